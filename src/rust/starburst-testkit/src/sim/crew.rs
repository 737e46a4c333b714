//! The simulation's workers: one may be started twice, and each has a wall clock of its own.
use super::{
    evaluator::SimR,
    process::{Power, Switch},
    workplace::{self, Workplace},
    world::{Process, World},
};
use starburst_core::{
    clock::{Clock, UnixMillis},
    ids::WorkerId,
    launch::LaunchSpec,
};
use std::{collections::VecDeque, sync::Arc, time::Duration};

impl Workplace for World {
    fn start(self: &Arc<Self>, spec: &LaunchSpec) {
        let twice = self.weather.twice > 0 && self.dice.one_in(self.weather.twice);
        for copy in 0..=u32::from(twice) {
            let switch = Switch::default();
            let task = tokio::spawn(work(Arc::clone(self), spec.clone(), switch.clone()));
            let name = format!("{}{}", spec.worker, if copy > 0 { " (again)" } else { "" });
            self.note(format!("worker {name} starts"));
            self.workers.lock().push(Process { name, switch, task });
        }
    }
    fn stop(&self, worker: &WorkerId) {
        for process in self.workers.lock().iter() {
            if process.name.starts_with(worker.as_str()) {
                process.task.abort();
                process.switch.set(Power::Dead);
            }
        }
    }
}

async fn work(world: Arc<World>, spec: LaunchSpec, switch: Switch) {
    // Up to a day off in either direction.
    let wall = Duration::from_secs(1_000_000 - 86_400 + world.dice.below(2 * 86_400));
    let clock = Arc::new(world.clock.with_wall(UnixMillis(0).plus(wall)));
    let store = world.reached(&switch, &clock);
    let mut evaluator = SimR {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        dice: Arc::clone(&world.dice),
        switch,
        r_dies: world.weather.r_dies,
        jobs: VecDeque::new(),
    };
    workplace::work(&world, spec, store, clock, Arc::clone(&world.dice), &mut evaluator).await;
}
