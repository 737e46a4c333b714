//! Sessions in a list: what they are, how far they are, and why this version cannot use one.
use super::{Deps, Summary};
use crate::{
    clock::UnixMillis,
    compute::Compute,
    error::{Error, ErrorKind},
    ids::{PartId, SessionId},
    key::{self, Key, OfPart, SessionKeys},
    lead::Lead,
    ledger::{Counts, Ledger},
    manifest::{Lifetime, Manifest, PROTOCOL_VERSION, SessionState},
    mutation::{Rule, is_broken},
    segment::Segment,
    store::{Store, StoreError},
    update,
};
use std::collections::BTreeSet;

/// Why a session in a list cannot be used by this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Something of it is damaged or missing.
    Damaged(String),
    /// Another version made it.
    Version(String),
}

impl Problem {
    fn of(error: &Error) -> Self {
        let words = error.chain().join(": ");
        match error.kind() {
            ErrorKind::Version => Self::Version(words),
            ErrorKind::InvalidInput
            | ErrorKind::NotFound
            | ErrorKind::Permission
            | ErrorKind::Unauthenticated
            | ErrorKind::Capacity
            | ErrorKind::Quota
            | ErrorKind::Cost
            | ErrorKind::Unavailable
            | ErrorKind::Environment
            | ErrorKind::WorkerLost
            | ErrorKind::Data
            | ErrorKind::Closed
            | ErrorKind::Internal => Self::Damaged(words),
        }
    }
}

/// A session in a list.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// Its id.
    pub session: SessionId,
    /// Its configuration; none where it cannot be read.
    pub manifest: Option<Manifest>,
    /// Its tasks by state; none where they cannot be counted.
    pub tasks: Option<Summary>,
    /// When a task was last submitted or ended, on the clock of whoever did that; none where nobody knows.
    pub last_activity: Option<UnixMillis>,
    /// What it has cost in US dollars, as whoever led wrote it down last; `None` where only its own clients know.
    pub cost_usd: Option<f64>,
    /// Why this version cannot use it.
    pub problem: Option<Problem>,
}

impl SessionRow {
    /// Its state, in the word that lists show. A session that cannot be used may be at work for somebody else, or for a
    /// newer version: its state says neither that it is over nor that it is not.
    pub fn state_word(&self, now: UnixMillis) -> &'static str {
        match (&self.problem, &self.manifest) {
            (Some(Problem::Version(_)), _) => "other version",
            (Some(Problem::Damaged(_)), _) | (None, None) => "damaged",
            (None, Some(manifest)) => state_word(manifest, now),
        }
    }
}

/// All sessions in a store, oldest first; those that cannot be read come first, and say why.
///
/// # Errors
/// A failure of the store. A session that is being deleted is left out.
pub async fn list_sessions(deps: &Deps) -> Result<Vec<SessionRow>, Error> {
    let mut rows = Vec::new();
    for name in deps.store.children(&key::sessions()).await? {
        let Ok(session) = SessionId::parse(&name) else {
            continue;
        };
        rows.extend(session_row(deps, session).await?);
    }
    rows.sort_by_key(|row| row.manifest.as_ref().map(|manifest| manifest.created_at));
    Ok(rows)
}

/// A session in a list; `None` for one that is gone.
async fn session_row(deps: &Deps, session: SessionId) -> Result<Option<SessionRow>, Error> {
    let (store, keys) = (&*deps.store, SessionKeys::new(session.clone()));
    let mut row = SessionRow {
        session,
        manifest: None,
        tasks: None,
        last_activity: None,
        cost_usd: None,
        problem: None,
    };
    let manifest = match update::read::<Manifest>(store, &keys.manifest()).await {
        Ok(Some(found)) => found.value,
        Ok(None) => return Ok(None),
        Err(error @ (Error::Damaged { .. } | Error::Version { .. })) => {
            row.problem = Some(Problem::of(&error));
            return Ok(Some(row));
        }
        Err(other) => return Err(other),
    };
    if manifest.protocol != PROTOCOL_VERSION {
        row.problem = Some(Problem::Version(format!(
            "it speaks protocol {}, and this starburst speaks {PROTOCOL_VERSION}",
            manifest.protocol
        )));
        row.last_activity = Some(manifest.created_at);
        row.manifest = Some(manifest);
        return Ok(Some(row));
    }
    match count_tasks(store, &keys).await {
        Ok((tasks, active)) => {
            row.tasks = Some(tasks);
            row.last_activity = Some(active.max(manifest.created_at));
        }
        // Half of it is deleted: the next clean-up deletes the rest.
        Err(Error::Damaged { .. }) if manifest.deleting => {
            row.last_activity = Some(manifest.created_at);
        }
        Err(error @ (Error::Damaged { .. } | Error::Version { .. })) => {
            row.problem = Some(Problem::of(&error));
        }
        // It went while it was read.
        Err(Error::Store(StoreError::NotFound { .. })) => return Ok(None),
        Err(other) => return Err(other),
    }
    row.cost_usd = kept_cost(store, &keys, &manifest).await?;
    row.manifest = Some(manifest);
    Ok(Some(row))
}

/// What a listing can know of a session's cost without looking at its workers.
async fn kept_cost(
    store: &dyn Store,
    keys: &SessionKeys,
    manifest: &Manifest,
) -> Result<Option<f64>, Error> {
    match (&manifest.compute, &manifest.lifetime) {
        (Compute::Local, _) => Ok(manifest.pace.looks_are_free().then_some(0.0)),
        (Compute::Ecs(_), Lifetime::Owned) => Ok(None),
        (Compute::Ecs(_), Lifetime::Detached) if manifest.budget.is_none() => Ok(None),
        (Compute::Ecs(_), Lifetime::Detached) => {
            match update::read::<Lead>(store, &keys.lead()).await {
                // Nobody has led, so nothing was started.
                Ok(None) => Ok(Some(0.0)),
                Ok(Some(lead)) => Ok(lead.value.spent.map(|spent| spent.total_usd())),
                Err(Error::Damaged { .. } | Error::Version { .. }) => Ok(None),
                Err(other) => Err(other),
            }
        }
    }
}

async fn count_tasks(
    store: &dyn Store,
    keys: &SessionKeys,
) -> Result<(Summary, UnixMillis), Error> {
    let mut counts = Counts::default();
    let mut holders = BTreeSet::new();
    let mut active = UnixMillis(0);
    let listed = store.list(&keys.parts(), None).await?;
    let ledgers = listed.iter().filter_map(|entry| entry.key.of_part());
    let mut begun: BTreeSet<PartId> =
        ledgers.filter(|(_, kind)| *kind == OfPart::Ledger).map(|(part, _)| part).collect();
    let segments = store.list(&keys.segments(), None).await?;
    for number in segments.iter().filter_map(|entry| entry.key.number()) {
        let key = keys.segment(number);
        let object = store.get(&key).await?;
        let index = Segment::decode_index(&key, &object.body)?;
        active = active.max(index.submitted_at);
        for (part, places) in index.parts(number) {
            if !begun.remove(&part) {
                counts.pending += places.len() as u64;
                continue;
            }
            let key = keys.ledger(part);
            let Some(ledger) = update::read::<Ledger>(store, &key).await? else {
                return Err(StoreError::NotFound { key }.into());
            };
            ledger.value.belongs_to(&key, index.write, places.len())?;
            counts += ledger.value.counts();
            holders.extend(ledger.value.holders().cloned());
            active = active.max(ledger.value.last_ended());
        }
    }
    // The segments were listed after the ledgers: what is left has none.
    if let Some(part) = begun.first() {
        return Err(orphan(&keys.segment(part.segment())));
    }
    check_gaps(store, keys, segments.iter().filter_map(|entry| entry.key.number())).await?;
    let summary = Summary::of(&counts, holders.len());
    Ok((summary, active))
}

fn orphan(segment: &Key) -> Error {
    let detail =
        "it is gone, with the tasks that were submitted in it; what became of them is still there";
    Error::Damaged { key: segment.to_string(), detail: detail.into() }
}

/// Segments are written without gaps: one that is missing before another one is gone. A listing may miss one that was written
/// while it was made, and show the next one, so the store is asked.
async fn check_gaps(
    store: &dyn Store,
    keys: &SessionKeys,
    numbers: impl Iterator<Item = u64>,
) -> Result<(), Error> {
    let mut expected = 0;
    for number in numbers {
        for missing in expected..number {
            let key = keys.segment(missing);
            if is_broken(Rule::GapsAsked) || store.head(&key).await?.is_none() {
                let detail =
                    "it is gone, with the tasks that were submitted in it; later ones are there";
                return Err(Error::Damaged { key: key.to_string(), detail: detail.into() });
            }
        }
        expected = number + 1;
    }
    Ok(())
}

/// Checks that no segment of the session is missing: neither before another one, nor where something says what became of its
/// tasks.
///
/// # Errors
/// [`Error::Damaged`] that names the first one, or a failure of the store.
pub(super) async fn check_segments(store: &dyn Store, keys: &SessionKeys) -> Result<(), Error> {
    let parts = store.list(&keys.parts(), None).await?;
    let segments = store.list(&keys.segments(), None).await?;
    let numbers: Vec<u64> = segments.iter().filter_map(|entry| entry.key.number()).collect();
    check_gaps(store, keys, numbers.iter().copied()).await?;
    let last = parts.iter().filter_map(|entry| entry.key.of_part()).map(|(part, _)| part.segment());
    match last.max().filter(|last| numbers.last().is_none_or(|there| last > there)) {
        Some(gone) => Err(orphan(&keys.segment(gone))),
        None => Ok(()),
    }
}

/// Whether a session still takes work, in the word that lists show.
pub fn state_word(manifest: &Manifest, now: UnixMillis) -> &'static str {
    match manifest.state {
        SessionState::Closed => "closed",
        SessionState::Open if now >= manifest.deadline => "expired",
        SessionState::Open => "open",
    }
}
