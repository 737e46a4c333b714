//! The client that owns the session dies: its workers leave, others collect, and in the end the session is cleaned up by age.
use super::{
    ending::Objects,
    process::{Power, Switch},
    world::{Watched, World},
};
use starburst_core::{
    client::{self, Client, list_sessions},
    clock::Clock,
    ids::SessionId,
};
use std::{sync::Arc, time::Duration};

/// An owner dies within this, in milliseconds.
const OWNER_LIVES: u64 = 400_000;
/// Workers of an owner that is gone have left after this, with nothing to do: the time for which it has to be silent, a look,
/// and a grace.
const LEFT_WITHIN: Duration = Duration::from_secs(150);
/// A session that is over is cleaned up this long after the last that happened in it.
const OLD: Duration = Duration::from_secs(3_600);

impl World {
    /// The owner's process is killed at some moment, whatever it does.
    pub(super) async fn owner_dies(self: Arc<Self>, owner: Arc<Client>, switch: Switch) {
        self.pause(OWNER_LIVES).await;
        self.note(format!("client {} is killed, which owns the session", owner.id()));
        switch.set(Power::Dead);
        owner.stop();
    }

    /// Somebody lists the sessions now and then, as a clean-up by age does: ours is there, and is not over.
    pub(super) async fn look_for_old(self: Arc<Self>, session: SessionId) {
        loop {
            self.pause(60_000).await;
            let deps = self.deps(&Switch::default());
            let Ok(rows) = list_sessions(&deps).await else { continue };
            if self.weather.deleted || self.weather.damage_s > 0 {
                return;
            }
            let row = rows.iter().find(|row| row.session == session);
            let word = row.map_or("not listed", |row| row.state_word(self.clock.wall()));
            if word != "open" {
                let why = row.and_then(|row| row.problem.clone());
                self.alarms.lock().push(format!("a session that lives is {word}: {why:?}"));
            }
        }
    }

    /// All has ended and the owner is gone: no worker stays, and what is left goes when the session is old.
    pub(super) async fn without_owner(
        self: &Arc<Self>,
        (auditor, _): &Watched,
        survivors: &[Watched],
        session: &SessionId,
        bystander: Objects,
        violations: &mut Vec<String>,
    ) {
        self.clock.sleep(LEFT_WITHIN).await;
        if let Some(name) = self.somebody_there() {
            violations.push(format!("worker {name} stays without the owner of its session"));
        }
        // They would beat until the end of its time.
        self.kill_workers();
        auditor.stop();
        survivors.iter().for_each(|(client, _)| client.stop());
        let before = self.clock.wall();
        self.clock.sleep(auditor.manifest().deadline.since(before) + OLD).await;
        let deps = self.deps(&Switch::default());
        for row in list_sessions(&deps).await.unwrap() {
            let now = self.clock.wall();
            let old = row.last_activity.is_some_and(|at| now.since(at) >= OLD);
            let word = row.state_word(now);
            // A clean-up by age leaves what is damaged to its user. A flipped bit in the number of a layout is a newer one.
            let unusable = matches!(word, "damaged" | "other version");
            let named = self.weather.damage_s > 0 && unusable && row.session == *session;
            if named || word == "expired" && old {
                client::delete_session(&deps, &row.session).await.unwrap();
            }
        }
        self.look_behind(session, bystander, violations).await;
    }
}
