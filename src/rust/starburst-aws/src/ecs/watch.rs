//! What became of the workers: all that may have changed are asked about together, and not too often.
use super::{EcsLauncher, reasons, tasks};
use starburst_core::{clock::Monotonic, ids::WorkerId, launch::Fate};
use std::{collections::BTreeMap, time::Duration};

/// What was seen of a task is taken for what it is for so long.
const LASTS: Duration = Duration::from_secs(10);
/// ECS may not know of a task this soon after it was started (AWS, November 2026: its answers agree eventually).
const SETTLES: Duration = Duration::from_secs(300);

/// The tasks this process knows of.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: BTreeMap<WorkerId, Seen>,
}

#[derive(Debug)]
struct Seen {
    fate: Fate,
    at: Monotonic,
    started: Option<Monotonic>,
}

impl Watch {
    pub(super) fn started(&mut self, workers: &[WorkerId], now: Monotonic) {
        for worker in workers {
            let seen = Seen { fate: Fate::Alive, at: now, started: Some(now) };
            self.seen.insert(worker.clone(), seen);
        }
    }

    /// What is known for sure, or new enough.
    fn known(&self, worker: &WorkerId, now: Monotonic) -> Option<Fate> {
        let seen = self.seen.get(worker)?;
        let holds = matches!(seen.fate, Fate::Gone(_)) || now.since(seen.at) < LASTS;
        holds.then(|| seen.fate.clone())
    }

    fn to_ask(&self, worker: &WorkerId, now: Monotonic) -> Vec<WorkerId> {
        let mut ask: Vec<WorkerId> = self
            .seen
            .keys()
            .filter(|other| *other != worker && self.known(other, now).is_none())
            .cloned()
            .collect();
        ask.push(worker.clone());
        ask
    }

    fn learn(&mut self, worker: WorkerId, fate: Fate, now: Monotonic) {
        let started = self.seen.get(&worker).and_then(|seen| seen.started);
        // A task that ECS does not show yet is on its way.
        let young = started.is_some_and(|started| now.since(started) < SETTLES);
        let fate = if fate == Fate::Unknown && young { Fate::Alive } else { fate };
        self.seen.insert(worker, Seen { fate, at: now, started });
    }
}

impl EcsLauncher {
    /// What became of a worker; asks ECS about all whose state may have changed.
    pub(super) async fn watched(&self, worker: &WorkerId) -> Fate {
        let now = self.clock.now();
        let ask = {
            let watch = self.watch.lock();
            if let Some(fate) = watch.known(worker, now) {
                return fate;
            }
            watch.to_ask(worker, now)
        };
        let names: Vec<String> = ask.iter().map(ToString::to_string).collect();
        // Without an answer nothing is known; heartbeats still tell.
        let Ok(tasks) = tasks::describe(&self.account, &self.fleet.cluster, &names).await else {
            return Fate::Unknown;
        };
        let mut fates: BTreeMap<WorkerId, Fate> = tasks
            .iter()
            .filter_map(|task| {
                Some((super::run_task::worker_of(task.task_arn()?)?, reasons::fate(task)))
            })
            .collect();
        let mut watch = self.watch.lock();
        for other in ask {
            let fate = fates.remove(&other).unwrap_or(Fate::Unknown);
            watch.learn(other, fate, now);
        }
        watch.seen.get(worker).map_or(Fate::Unknown, |seen| seen.fate.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    #[test]
    fn what_is_over_is_not_asked_about_again() {
        let (a, b) = (WorkerId::parse("a").unwrap(), WorkerId::parse("b").unwrap());
        let mut watch = Watch::default();
        watch.started(&[a.clone(), b.clone()], at(0));
        assert_eq!(watch.known(&a, at(9)), Some(Fate::Alive));
        assert_eq!(watch.to_ask(&a, at(10)), [b.clone(), a.clone()]);
        watch.learn(a.clone(), Fate::Gone("over".into()), at(10));
        watch.learn(b.clone(), Fate::Unknown, at(10));
        assert_eq!(watch.known(&a, at(9_999)), Some(Fate::Gone("over".into())));
        assert_eq!(watch.known(&b, at(11)), Some(Fate::Alive));
        watch.learn(b.clone(), Fate::Unknown, at(400));
        assert_eq!(watch.known(&b, at(401)), Some(Fate::Unknown));
        assert_eq!(watch.to_ask(&b, at(500)), [b]);
    }
}
