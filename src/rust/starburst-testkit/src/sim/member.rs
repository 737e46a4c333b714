//! One client's part in the storm: it submits, cancels and tries again, and may die in the middle of any of that.
use super::{
    large,
    process::{Power, Switch},
    views::Shown,
    workplace,
    world::{Watched, World},
};
use starburst_core::{
    client::{Client, Known, NewTask},
    clock::Clock,
    error::Error,
    ids::{SessionId, TaskId},
};
use std::{sync::Arc, time::Duration};

/// How long the storm lasts at most.
const STORM: Duration = Duration::from_secs(900);
/// How long a task may run, where it has a limit.
const LIMIT: Duration = Duration::from_secs(10);

impl World {
    /// Submits, and waits for what was submitted. Returns the client if it survives.
    pub(super) async fn take_part(
        self: Arc<Self>,
        session: SessionId,
        first: Option<(Arc<Client>, Switch)>,
    ) -> Option<Watched> {
        let mortal = first.is_none();
        let (client, switch) = match first {
            Some(first) => first,
            None => self.arrive(session).await?,
        };
        self.clients.lock().push(switch.clone());
        // The first client stays: somebody must see how it ends.
        let mortal = mortal && self.one_in(self.weather.client_dies);
        let dies_after = self.dice.below(u64::from(self.weather.tasks) + 1);
        let (mut mine, mut watched) = (Vec::new(), (client, Shown::default()));
        for n in 0..u64::from(self.weather.tasks) {
            if mortal && n == dies_after {
                self.die(&watched.0, &switch, &mine).await;
                return None;
            }
            let Some(id) = self.submit(&watched.0, n) else { break };
            mine.push(id);
            if self.one_in(4) {
                self.pause(3_000).await;
            }
            if self.one_in(5) && watched.0.flush().await.is_ok() {
                self.safe(&mine);
            }
            if self.one_in(self.weather.cancel) {
                let victim = mine[self.dice.below(mine.len() as u64) as usize].clone();
                watched.1.meddles();
                let _ = watched.0.cancel(&[victim]).await;
            }
            self.see(&mut watched);
        }
        while !self.is_gone() && watched.0.flush().await.is_err() {}
        self.safe(&mine);
        let until = self.clock.now().0 + STORM;
        while self.clock.now().0 < until && !self.is_gone() && !over(&watched.0, &mine) {
            watched.0.wait_change(watched.0.changes(), Duration::from_secs(20)).await;
            self.see(&mut watched);
            watched.0.engage();
            if self.one_in(self.weather.cancel * 4) || self.one_in(self.weather.fails * 8) {
                watched.1.meddles();
                let _ = watched.0.retry(&mine).await;
                self.see(&mut watched);
            }
        }
        Some(watched)
    }

    /// Attaches after a while; never where the session was deleted.
    async fn arrive(self: &Arc<Self>, session: SessionId) -> Option<(Arc<Client>, Switch)> {
        while !self.is_gone() {
            self.pause(20_000).await;
            let switch = Switch::default();
            match Client::attach(self.deps(&switch), session.clone()).await {
                Ok(client) => return Some((client, switch)),
                // It stays so.
                Err(Error::Damaged { .. }) if self.weather.damage_s > 0 => return None,
                Err(_) => {}
            }
        }
        None
    }

    /// Submits a task that says its client and its number; none once the session takes no more.
    fn submit(&self, client: &Client, n: u64) -> Option<TaskId> {
        let words = format!("{}-{n}", client.id());
        let uploads = client.uploads();
        let payload = large::payload(words.as_bytes(), self.weather.large, &self.dice, &uploads);
        let mut task = NewTask { payload, ..workplace::task("".into()) };
        task.header.timeout = self.one_in(self.weather.limit).then_some(LIMIT);
        let id = client.submit(task).ok()?;
        self.submitted.lock().insert(id.clone(), false);
        Some(id)
    }

    /// The client's process is killed: at once, or while it cancels, tries again, or writes tasks.
    async fn die(&self, client: &Client, switch: &Switch, mine: &[TaskId]) {
        let act = self.dice.below(4);
        let time = Duration::from_millis(self.dice.below(1_500));
        let acts = async {
            match act {
                0 => {}
                1 => drop(client.cancel(mine).await),
                2 => drop(client.retry(mine).await),
                _ => {
                    for n in 0..4 {
                        self.submit(client, mine.len() as u64 + n);
                    }
                    drop(client.flush().await);
                }
            }
        };
        tokio::select! {
            biased;
            () = acts => {}
            () = self.clock.sleep(time) => {}
        }
        let doing = ["nothing", "cancelling", "trying again", "submitting"];
        self.note(format!("client {} is killed while {}", client.id(), doing[act as usize]));
        switch.set(Power::Dead);
        client.stop();
    }

    fn safe(&self, ids: &[TaskId]) {
        let mut submitted = self.submitted.lock();
        for id in ids {
            submitted.insert(id.clone(), true);
        }
    }
}

fn over(client: &Client, ids: &[TaskId]) -> bool {
    ids.iter().all(|id| match client.known(id) {
        Ok(Known::Completed | Known::Failed | Known::Cancelled) => true,
        Ok(Known::Pending | Known::Claimed) | Err(_) => false,
    })
}
