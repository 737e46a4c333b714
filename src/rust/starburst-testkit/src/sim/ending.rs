//! The calm: everything comes to an end, every client sees the same, and a deleted session is gone for good.
use super::{
    large,
    process::{Power, Switch},
    workplace,
    world::{Process, Watched, World},
};
use bytes::Bytes;
use starburst_core::{
    client::{self, Client, FetchedEnding, Known},
    clock::Clock,
    downloads::Material,
    error::Error,
    ids::{SessionId, TaskId},
    key::{Key, SessionKeys},
    store::Store,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// How long everything may take once nothing fails any more.
const CALM: Duration = Duration::from_secs(4 * 3_600);

/// Objects and what they are.
pub(super) type Objects = Vec<(String, Bytes)>;

impl World {
    /// A session of somebody else in the same store, which nobody may touch.
    pub(super) async fn bystander(self: &Arc<Self>) -> Objects {
        let config = || workplace::config(4, Duration::from_secs(600));
        let client = loop {
            let deps = self.deps(&Switch::default());
            if let Ok(client) = Client::create(deps, config()).await {
                break client;
            }
        };
        client.stop();
        let (segment, body) = (SessionKeys::new(client.session().clone()).segment(0), "somebody's");
        let _ = self.store.objects.create(&segment, body.into()).await;
        self.objects(client.session()).await
    }

    async fn objects(&self, session: &SessionId) -> Objects {
        let keys = SessionKeys::new(session.clone());
        let mut objects = Vec::new();
        for entry in self.store.objects.list(&keys.all(), None).await.unwrap() {
            let object = self.store.objects.get(&entry.key).await.unwrap();
            objects.push((entry.key.to_string(), object.body));
        }
        objects
    }

    /// Whether everything comes to an end once nothing fails.
    ///
    /// Tasks of segments whose payloads cannot be read never do; then it says so. Known fault: where several workers come and
    /// leave in turns nobody says so, since one of them is always there.
    pub(super) async fn all_end(&self, auditor: &mut Watched, idle: &[Key]) -> bool {
        let begun = self.clock.now().0;
        while self.clock.now().0 < begun + CALM {
            let silent = self.clock.now().0 > begun + CALM / 2;
            let told = self.only_idle_left(&auditor.0, idle, silent);
            auditor.0.engage();
            let refreshed = auditor.0.refresh().await.is_ok();
            self.see(auditor);
            let summary = auditor.0.summary();
            let open = summary.pending + summary.running;
            if refreshed && (open == 0 || told) {
                return true;
            }
            auditor.0.wait_change(auditor.0.changes(), Duration::from_secs(30)).await;
            self.see(auditor);
        }
        false
    }

    /// A worker that has not left.
    pub(super) fn somebody_there(&self) -> Option<String> {
        let workers = self.workers.lock();
        let there =
            |process: &&Process| !process.task.is_finished() && process.switch.get() != Power::Dead;
        workers.iter().find(there).map(|process| process.name.clone())
    }

    /// How every task of the session ended, as one client sees it.
    pub(super) async fn view(&self, client: &Client) -> BTreeMap<TaskId, String> {
        let mut view = BTreeMap::new();
        for row in client.rows() {
            let ending = match client.fetch(&row.id).await {
                Ok(Some(fetched)) => match fetched.ending {
                    FetchedEnding::Value(material) => format!("value {}", read(&material).await),
                    FetchedEnding::Error(material) => format!("error {}", read(&material).await),
                    FetchedEnding::Broken { message, .. } => format!("broken: {message}"),
                    FetchedEnding::Cancelled => "cancelled".into(),
                },
                Ok(None) => "has not ended".into(),
                Err(error) => format!("cannot be read: {}", error.chain().join(": ")),
            };
            if view.insert(row.id.clone(), ending).is_some() {
                view.insert(row.id, "is there twice".into());
            }
        }
        view
    }

    pub(super) async fn audit(
        &self,
        auditor: &Client,
        idle: &[Key],
        violations: &mut Vec<String>,
    ) -> BTreeMap<TaskId, String> {
        let seen = self.view(auditor).await;
        let submitted = self.submitted.lock();
        for (id, _) in submitted.iter().filter(|(_, safe)| **safe) {
            if !seen.contains_key(id) {
                violations.push(format!("task {id} was acknowledged and is lost"));
            }
        }
        for (id, ending) in &seen {
            if !submitted.contains_key(id) {
                violations.push(format!("task {id} was never submitted"));
            }
            let idle = ending == "has not ended" && self.is_idle(id, idle);
            if !idle && !self.may_end(id, ending) {
                violations.push(format!("task {id}: {ending}"));
            }
        }
        let ids: BTreeSet<String> = seen.keys().map(ToString::to_string).collect();
        if auditor.rows().len() != ids.len() {
            violations.push("a task is there twice".into());
        }
        seen
    }

    fn is_idle(&self, id: &TaskId, idle: &[Key]) -> bool {
        // An older ledger may say that a worker holds a task which that worker, alive, knows to have ended.
        self.store.log.place(id).is_some_and(|(part, _)| {
            self.store.log.is_put_back(part)
                || idle.iter().any(|key| key.number() == Some(part.segment()))
        })
    }

    /// Whether all that has not ended is in segments that cannot be read, and the client says which.
    fn only_idle_left(&self, client: &Client, idle: &[Key], silent: bool) -> bool {
        let open = |known: Known| matches!(known, Known::Pending | Known::Claimed);
        let told = client.trouble().is_some_and(|error| {
            let words = error.chain().join(": ");
            idle.iter().any(|key| words.contains(key.as_str()))
        });
        (told || silent)
            && client.rows().iter().all(|row| !open(row.known) || self.is_idle(&row.id, idle))
    }

    pub(super) fn may_end(&self, id: &TaskId, ending: &str) -> bool {
        let lost = ending.starts_with("broken: lost") || ending == "cancelled";
        let long = ending.starts_with("broken: it ran longer than its limit");
        ending == format!("value {id}")
            || self.is_hurt(id, ending)
            || (self.weather.fails > 0 && ending == format!("error {id}"))
            || (self.weather.limit > 0 && long)
            || (!self.weather.spares_tasks() && lost)
    }

    /// Deletes the session; nothing of it may be left or come back, and nobody else's may go.
    pub(super) async fn clean_up(
        &self,
        deleter: &Client,
        session: &SessionId,
        bystander: Objects,
        violations: &mut Vec<String>,
    ) {
        // A request that was given up is gone for good by now: no network keeps one for so long.
        self.clock.sleep(Duration::from_secs(60)).await;
        if let Err(error) = deleter.delete().await {
            violations.push(format!("it cannot be deleted: {}", error.chain().join(": ")));
        }
        self.look_behind(session, bystander, violations).await;
    }

    /// The session was deleted in the storm: it is gone, and stays so once its clients are.
    pub(super) async fn after_deletion(
        self: &Arc<Self>,
        session: &SessionId,
        survivors: &[Watched],
        bystander: Objects,
        violations: &mut Vec<String>,
    ) {
        for switch in self.clients.lock().iter() {
            switch.set(Power::Dead);
        }
        for (client, _) in survivors {
            client.stop();
        }
        self.clock.sleep(Duration::from_secs(60)).await;
        match Client::attach(self.deps(&Switch::default()), session.clone()).await {
            Err(Error::NoSession { .. }) => {}
            Ok(_) => violations.push("a deleted session is there".into()),
            Err(error) => violations.push(format!("a deleted session: {error}")),
        }
        self.look_behind(session, bystander, violations).await;
    }

    /// What is there long after a deletion.
    pub(super) async fn look_behind(
        &self,
        session: &SessionId,
        bystander: Objects,
        violations: &mut Vec<String>,
    ) {
        self.clock.sleep(Duration::from_secs(600)).await;
        if let Some(name) = self.somebody_there() {
            violations.push(format!("worker {name} stays in a deleted session"));
        }
        // What a write that was late, or a worker that stood still, has left is found by a sweep.
        client::sweep(&*self.store, self.clock.wall()).await.unwrap();
        let left = self.objects(session).await;
        if let Some((key, _)) = left.first() {
            violations.push(format!("{key} outlived its session, with {} more", left.len() - 1));
        }
        for (key, body) in bystander {
            let key = Key::from_listing(&key).unwrap();
            let now = self.store.objects.get(&key).await;
            if now.map(|object| object.body).ok() != Some(body) {
                violations.push(format!("{key} of another session was touched"));
            }
        }
    }
}

async fn read(material: &Material) -> String {
    match material.concat().await {
        Ok(bytes) => large::words(&bytes),
        Err(error) => format!("cannot be read: {}", error.chain().join(": ")),
    }
}
