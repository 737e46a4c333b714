//! Objects of the session that are damaged in the storm, and what that may cost.
//!
//! One thing is not promised. A process that never saw the newer state of a ledger, or of the manifest, takes an older one
//! that was put back for the state that there is. So tasks of such a part may run again and clients may differ about them; a value
//! is right all the same. Once others have written more states than there were, the new ones count for everybody. Nobody writes over a ledger that cannot be read.
use super::world::{Watched, World};
use bytes::Bytes;
use starburst_core::{
    client::{self, Client, list_sessions},
    clock::Clock,
    envelope::{self, Kind},
    ids::{SessionId, TaskId},
    key::{Key, OfPart, SessionKeys},
    manifest::Manifest,
    segment::Segment,
    store::Store,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Manifest and segments are hit more rarely than others by so much: there nothing new can be done afterwards.
const SPARED: u64 = 4;

impl World {
    /// Damages objects of the session at random moments.
    pub(super) async fn damage_objects(self: Arc<Self>, session: SessionId) {
        loop {
            self.clock.sleep(Duration::from_secs(1)).await;
            if self.one_in(self.weather.damage_s) {
                self.damage_one(&session).await;
            }
        }
    }

    async fn damage_one(&self, session: &SessionId) {
        let all = SessionKeys::new(session.clone()).all();
        let mut kinds: BTreeMap<&'static str, Vec<Key>> = BTreeMap::new();
        for entry in self.store.objects.list(&all, None).await.unwrap_or_default() {
            kinds.entry(kind(&entry.key)).or_default().push(entry.key);
        }
        let Some((name, keys)) = kinds.iter().nth(self.dice.below(kinds.len() as u64) as usize)
        else {
            return;
        };
        if ["manifest", "segment"].contains(name) && !self.dice.one_in(SPARED) {
            return;
        }
        let one = |keys: &[Key]| keys[self.dice.below(keys.len() as u64) as usize].clone();
        let key = one(keys);
        let Ok(object) = self.store.objects.get(&key).await else { return };
        let how = self.dice.below(4);
        let (how, body) = match how {
            0 => ("cut", object.body.slice(..self.dice.below(object.body.len() as u64) as usize)),
            1 => ("changed", self.flipped(&object.body)),
            2 => match self.store.log.earlier(&key) {
                bodies if bodies.is_empty() => return,
                bodies => {
                    let any = self.dice.below(bodies.len() as u64) as usize;
                    ("replaced by an older state", bodies[any].clone())
                }
            },
            _ => match self.store.objects.get(&one(keys)).await {
                Ok(other) => ("replaced by another of its kind", other.body),
                Err(_) => return,
            },
        };
        if body != object.body {
            self.store.objects.damage(&key, body.clone());
            self.store.log.damaged(self.clock.now().0, &key, how, &body);
        }
    }

    fn flipped(&self, body: &Bytes) -> Bytes {
        let mut bytes = body.to_vec();
        for _ in 0..=self.dice.below(3) {
            let at = self.dice.below(bytes.len() as u64) as usize;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << self.dice.below(8);
            }
        }
        bytes.into()
    }

    /// Why the session cannot be attached to, or not all of it can be worked on, by the names of the objects: the manifest and
    /// indexes of segments, and the payloads of segments.
    pub(super) async fn ruins(&self, session: &SessionId) -> (Vec<Key>, Vec<Key>) {
        let keys = SessionKeys::new(session.clone());
        let (mut shut, mut idle) = (Vec::new(), Vec::new());
        for entry in self.store.objects.list(&keys.all(), None).await.unwrap_or_default() {
            let Ok(object) = self.store.objects.get(&entry.key).await else { continue };
            match kind(&entry.key) {
                "manifest" => {
                    let read =
                        envelope::decode::<Manifest>(Kind::Manifest, &entry.key, &object.body);
                    shut.extend(read.is_err().then_some(entry.key));
                }
                "segment" if Segment::decode_index(&entry.key, &object.body).is_err() => {
                    shut.push(entry.key);
                }
                "segment" if Segment::decode(&entry.key, &object.body).is_err() => {
                    idle.push(entry.key);
                }
                _ => {}
            }
        }
        (shut, idle)
    }

    /// A session that cannot be attached to: it says so, is listed so, shows no wrong value, and goes when its user says so.
    pub(super) async fn after_ruin(
        self: &Arc<Self>,
        session: &SessionId,
        survivors: &mut [Watched],
        ruined: &[Key],
        violations: &mut Vec<String>,
    ) {
        let names = |text: &str| ruined.iter().any(|key| text.contains(key.as_str()));
        let deps = self.deps(&super::process::Switch::default());
        match Client::attach(deps.clone(), session.clone()).await {
            Err(error) if names(&error.chain().join(": ")) => {}
            Err(error) => violations.push(format!("it is damaged, and says only: {error}")),
            Ok(_) => {
                violations.push("a session whose objects cannot be read is attached to".into())
            }
        }
        let rows = list_sessions(&deps).await.unwrap();
        let row = rows.iter().find(|row| row.session == *session);
        let word = row.map_or("not listed", |row| row.state_word(self.clock.wall()));
        // Damage may also look like another version.
        if !["damaged", "other version"].contains(&word) {
            violations.push(format!("a damaged session is {word}"));
        }
        for survivor in survivors.iter_mut() {
            self.see(survivor);
            for (id, ending) in self.view(&survivor.0).await {
                if ending != "has not ended" && !self.may_end(&id, &ending) {
                    violations.push(format!("task {id}: {ending}"));
                }
            }
            survivor.0.stop();
        }
        self.clock.sleep(Duration::from_secs(60)).await;
        if let Err(error) = client::delete_session(&deps, session).await {
            violations.push(format!("a damaged session cannot be deleted: {error}"));
        }
    }

    /// Whether an ending says which damaged object of this task is to blame.
    pub(super) fn is_hurt(&self, id: &TaskId, ending: &str) -> bool {
        let Some((part, _)) = self.store.log.place(id) else { return false };
        self.store.log.all_damaged().iter().any(|key| {
            let own = match (key.of_part(), key.number()) {
                (Some((damaged, _)), _) => damaged == part,
                (None, Some(number)) => number == part.segment(),
                // Chunks are named by what is in them, and results by their part.
                (None, None) => {
                    !key.as_str().contains("/results/") || key.as_str().contains(&part.to_string())
                }
            };
            // A chunk is named without its session.
            let chunk = kind(key) == "chunk" && ending.contains(key.last());
            own && (chunk || ending.contains(key.as_str()))
        })
    }

    /// Whether clients may differ about a task: its ledger was damaged, or one of them has read what was damaged later.
    pub(super) fn may_differ(&self, id: &TaskId, one: &str, other: &str) -> bool {
        let place = self.store.log.place(id);
        place.is_some_and(|(part, _)| self.store.log.is_ledger_damaged(part))
            || self.is_hurt(id, one)
            || self.is_hurt(id, other)
    }
}

/// Of which kind an object of a session is.
fn kind(key: &Key) -> &'static str {
    match key.of_part() {
        Some((_, OfPart::Ledger)) => return "ledger",
        Some((_, OfPart::Signals)) => return "signals",
        None => {}
    }
    match key.as_str().split('/').nth(2) {
        Some("manifest") => "manifest",
        Some("segments") => "segment",
        Some("results") => "results",
        Some("blobs") => "chunk",
        Some("workers") => "heartbeat",
        Some("owner") => "owner",
        Some(_) | None => "other",
    }
}
