//! What befalls the processes: crashes, standing still, a network or a store that is gone, and a deletion amid all that.
use super::{
    process::{Power, Switch},
    weather::{Hopeless, Weather},
    world::{Process, World},
};
use starburst_core::{
    client::{self, Client},
    clock::{Clock, Monotonic},
    error::Error,
    ids::SessionId,
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Most troubles pass within this, in seconds.
const SHORT: u64 = 250;
/// A write that is late comes within this.
const LATEST: Duration = Duration::from_secs(21);
/// Some take as long as this, in seconds: longer than a worker waits for its store.
const LONG: u64 = 900;
/// Somebody who attaches is refused more often than this by no weather: a try takes a second at least, and mostly 20.
const REFUSED: u32 = 500;

impl World {
    /// Crashes, stops and cuts off processes at random moments.
    pub(super) async fn make_trouble(self: Arc<Self>) {
        let Weather { crash_s, pause_s, cut_s, outage_s, no_room_s, silent_s, .. } = self.weather;
        loop {
            self.clock.sleep(Duration::from_secs(1)).await;
            if self.one_in(crash_s) {
                self.befall(false, |process| {
                    process.switch.set(Power::Dead);
                    process.task.abort();
                    "is killed".into()
                });
            }
            for (every, power, what) in
                [(pause_s, Power::StandsStill, "stands still"), (cut_s, Power::Cut, "is cut off")]
            {
                if self.one_in(every) {
                    let time = self.a_while();
                    self.befall(true, |process| {
                        let (switch, clock) = (process.switch.clone(), Arc::clone(&self.clock));
                        switch.set(power);
                        tokio::spawn(async move {
                            clock.sleep(time).await;
                            switch.set(Power::Runs);
                        });
                        format!("{what} for {} s", time.as_secs())
                    });
                }
            }
            if self.one_in(outage_s) {
                let time = self.a_while();
                self.note(format!("nobody reaches the store for {} s", time.as_secs()));
                self.store.go_down(time);
            }
            for (every, how) in [(no_room_s, Hopeless::Refused), (silent_s, Hopeless::Silent)] {
                if self.one_in(every) {
                    let until = Monotonic(self.clock.now().0 + self.a_while());
                    self.note(format!("launches are in vain until {:?}: {how:?}", until.0));
                    self.launching.hinder(how, until);
                }
            }
        }
    }

    fn a_while(&self) -> Duration {
        let most = if self.dice.one_in(8) { LONG } else { SHORT };
        Duration::from_secs(self.dice.below(most))
    }

    /// Does something to a worker that runs, or also to a client.
    fn befall(&self, clients_too: bool, act: impl FnOnce(&Process) -> String) {
        let workers = self.workers.lock();
        let clients = self.clients.lock();
        let standing: Vec<&Process> = workers
            .iter()
            .filter(|p| p.switch.get() == Power::Runs && !p.task.is_finished())
            .collect();
        let extra = if clients_too { clients.len() } else { 0 };
        if standing.len() + extra == 0 {
            return;
        }
        let n = self.dice.below((standing.len() + extra) as u64) as usize;
        if let Some(process) = standing.get(n) {
            let what = act(process);
            self.note(format!("worker {} {what}", process.name));
        } else if let Some(switch) = clients.get(n.wrapping_sub(standing.len())) {
            let name = "a client".to_owned();
            let task = tokio::spawn(async {});
            let what = act(&Process { name, switch: switch.clone(), task });
            self.note(format!("a client {what}"));
        }
    }

    /// Somebody deletes the session, and may be killed in the middle of it; then somebody else does.
    pub(super) async fn delete_in_storm(self: Arc<Self>, session: SessionId) {
        // A late write that makes the session would make it again: that is not promised to be noticed.
        self.clock.sleep(LATEST).await;
        self.pause(200_000).await;
        let mut refused = 0;
        loop {
            if refused > REFUSED {
                self.alarms.lock().push("half a deletion cannot be completed".into());
                break;
            }
            let switch = Switch::default();
            let client = match Client::attach(self.deps(&switch), session.clone()).await {
                Ok(client) => client,
                Err(Error::NoSession { .. }) => break,
                // It is deleted by its name.
                Err(Error::Damaged { .. }) if self.weather.damage_s > 0 => {
                    match client::delete_session(&self.deps(&switch), &session).await {
                        Ok(()) => break,
                        Err(_) => refused += 1,
                    }
                    continue;
                }
                Err(_) => {
                    refused += 1;
                    continue;
                }
            };
            refused = 0;
            self.clients.lock().push(switch.clone());
            self.note(format!("client {} deletes the session", client.id()));
            let dies = if self.dice.one_in(2) { 60_000 } else { u64::from(u32::MAX) };
            let time = Duration::from_millis(self.dice.below(dies));
            let deleted = tokio::select! {
                biased;
                deleted = client.delete() => deleted.is_ok(),
                () = self.clock.sleep(time) => false,
            };
            let done = if deleted { "has deleted it" } else { "is gone" };
            self.note(format!("client {} {done}", client.id()));
            switch.set(Power::Dead);
            client.stop();
            if deleted {
                break;
            }
        }
        self.gone.store(true, Ordering::Relaxed);
    }
}
