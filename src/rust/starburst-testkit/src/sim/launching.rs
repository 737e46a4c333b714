//! When workers can be started: launches are refused for a while, or are accepted and nobody comes, or both without an end.
use super::{
    process::Power,
    weather::Hopeless,
    world::{Watched, World},
};
use parking_lot::Mutex;
use starburst_core::{
    client::Client,
    clock::{Clock, Monotonic},
    error::Error,
    launch::LaunchError,
};
use std::{sync::Arc, time::Duration};

/// A client that waits for workers that cannot start is told within this: the leases of those that were there, and three
/// times the time that a worker has for its first heartbeat.
const TOLD_WITHIN: Duration = Duration::from_secs(1_800);

/// Workers can be started for so long at most in a storm that ends without any, in milliseconds.
const HOPE_LASTS: u64 = 60_000;

/// The fate of launches.
#[derive(Debug, Default)]
pub(super) struct Launching(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    no_room_until: Monotonic,
    silent_until: Monotonic,
    hopeless: Option<Hopeless>,
}

impl Launching {
    /// The obstacle to a launch now, if there is one.
    pub(super) fn obstacle(&self, now: Monotonic) -> Option<Hopeless> {
        let state = self.0.lock();
        state.hopeless.or_else(|| {
            if state.no_room_until > now {
                Some(Hopeless::Refused)
            } else {
                (state.silent_until > now).then_some(Hopeless::Silent)
            }
        })
    }
    /// For so long launches come to this.
    pub(super) fn hinder(&self, how: Hopeless, until: Monotonic) {
        let mut state = self.0.lock();
        match how {
            Hopeless::Refused => state.no_room_until = until,
            Hopeless::Silent => state.silent_until = until,
        }
    }
    /// From now on nothing is in the way of workers, or this until [`Launching::calm_down`] says otherwise.
    pub(super) fn calm_down(&self, hopeless: Option<Hopeless>) {
        *self.0.lock() = State { hopeless, ..State::default() };
    }
}

impl World {
    /// At some moment in the storm all workers are lost, and no other can be started.
    pub(super) async fn lose_hope(self: Arc<Self>, how: Hopeless) {
        self.pause(HOPE_LASTS).await;
        self.launching.calm_down(Some(how));
        self.note(format!("all workers are lost, and none can be started: {how:?}"));
        self.kill_workers();
    }

    pub(super) fn kill_workers(&self) {
        for process in self.workers.lock().iter() {
            process.switch.set(Power::Dead);
            process.task.abort();
        }
    }

    /// With no worker left and none that can be started, whoever waits is told; then workers can be started again. `false`
    /// when nobody says anything.
    pub(super) async fn is_told(&self, auditor: &mut Watched) -> bool {
        if self.weather.hopeless.is_none() {
            return true;
        }
        let begun = self.clock.now().0;
        auditor.0.engage();
        let told = loop {
            let open = auditor.0.summary().pending + auditor.0.summary().running;
            // A client may tell of damage instead.
            let damage = self.weather.damage_s > 0 && auditor.0.trouble().is_some();
            if open == 0 || damage || says_so(&auditor.0) {
                break true;
            }
            if self.clock.now().0 >= begun + TOLD_WITHIN {
                // With damaged objects besides, what is said is not examined yet.
                break self.weather.damage_s > 0;
            }
            auditor.0.wait_change(auditor.0.changes(), Duration::from_secs(15)).await;
            self.see(auditor);
        };
        self.launching.calm_down(None);
        self.note("workers can be started again".into());
        told
    }
}

/// Whether a client says that no worker starts or stays.
fn says_so(client: &Client) -> bool {
    client.trouble().is_some_and(|error| {
        matches!(*error, Error::Launch(LaunchError::Refused { .. }) | Error::WorkersLost { .. })
    })
}
