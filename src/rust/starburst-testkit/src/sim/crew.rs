//! The simulation's workers: one may be started twice, and each has a wall clock of its own.
use super::{
    evaluator::SimR,
    process::{Power, Switch},
    weather::Hopeless,
    workplace::{self, Workplace},
    world::{Process, World},
};
use starburst_core::{
    clock::{Clock, UnixMillis},
    ids::WorkerId,
    key::SessionKeys,
    launch::{Fate, LaunchError, LaunchSpec},
    uploads::Uploads,
};
use std::{collections::VecDeque, sync::Arc, time::Duration};

impl Workplace for World {
    fn start(self: &Arc<Self>, spec: &LaunchSpec) -> Result<(), LaunchError> {
        match self.launching.obstacle(self.clock.now()) {
            Some(Hopeless::Refused) => {
                return Err(LaunchError::Refused { message: "no capacity".into() });
            }
            Some(Hopeless::Silent) => {
                self.note(format!("worker {} is started and does not come", spec.worker));
                // Of some the launcher knows that they ended at once; of others it knows nothing.
                if self.dice.one_in(2) {
                    let (name, switch) = (spec.worker.to_string(), Switch::default());
                    switch.set(Power::Dead);
                    let task = tokio::spawn(async {});
                    self.workers.lock().push(Process { name, switch, task });
                }
                return Ok(());
            }
            None => {}
        }
        let twice = self.weather.twice > 0 && self.dice.one_in(self.weather.twice);
        for copy in 0..=u32::from(twice) {
            let switch = Switch::default();
            let task = tokio::spawn(work(Arc::clone(self), spec.clone(), switch.clone()));
            let name = format!("{}{}", spec.worker, if copy > 0 { " (again)" } else { "" });
            self.note(format!("worker {name} starts"));
            self.workers.lock().push(Process { name, switch, task });
        }
        Ok(())
    }
    fn stop(&self, worker: &WorkerId) {
        // Where they are out of reach they learn of it by themselves.
        if !self.weather.sure {
            return;
        }
        for process in self.workers.lock().iter() {
            if process.name.starts_with(worker.as_str()) {
                process.task.abort();
                process.switch.set(Power::Dead);
            }
        }
    }
    fn fate(&self, worker: &WorkerId) -> Fate {
        if !self.weather.sure {
            return Fate::Unknown;
        }
        let workers = self.workers.lock();
        let mut alive = workers
            .iter()
            .filter(|process| process.name.starts_with(worker.as_str()))
            .map(|process| process.switch.get() != Power::Dead && !process.task.is_finished());
        match alive.next() {
            None => Fate::Unknown,
            Some(first) if first || alive.any(|other| other) => Fate::Alive,
            Some(_) => Fate::Gone(GONE.into()),
        }
    }
}

/// What the launcher says of a worker whose processes have all ended.
pub(super) const GONE: &str = "its process has ended";

async fn work(world: Arc<World>, spec: LaunchSpec, switch: Switch) {
    // Up to a day off in either direction.
    let wall = Duration::from_secs(1_000_000 - 86_400 + world.dice.below(2 * 86_400));
    let clock = Arc::new(world.clock.with_wall(UnixMillis(0).plus(wall)));
    let store = world.reached(&switch, &clock);
    let keys = SessionKeys::new(spec.session.clone());
    let uploads = Uploads::new(Arc::clone(&store), keys, Arc::clone(&clock) as Arc<dyn Clock>);
    let mut evaluator = SimR {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        dice: Arc::clone(&world.dice),
        switch,
        weather: world.weather,
        uploads: Arc::clone(&uploads),
        acts: VecDeque::new(),
    };
    let dice = Arc::clone(&world.dice);
    workplace::work(&world, spec, (store, uploads), clock, dice, &mut evaluator).await;
}
