//! A session's configuration and state: one object, changed by compare-and-swap.
use crate::{
    clock::UnixMillis,
    compute::{Budget, Compute},
    error::Error,
    ids::{ClientId, EnvironmentId, Nonce, SessionId},
    key::Key,
    pace::Pace,
    travel::Travel,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The protocol this code speaks. A worker refuses a session made for another.
pub const PROTOCOL_VERSION: u32 = 2;

/// How long a worker of a `plan()` waits for a store that does not answer.
const OWNED_OUTAGE: Duration = Duration::from_secs(60 * 60);
/// No session asks for more workers.
const MOST_WORKERS: u32 = 1_000_000;
/// No time limit is longer: a hundred years.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// Who keeps a session alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// The R process that made it; workers leave when its heartbeat stops.
    Owned,
    /// Nobody: it lives by its own timeouts.
    Detached,
}

/// Whether a session takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionState {
    /// Tasks are accepted and worked on.
    Open,
    /// Nothing more is accepted or started; workers leave.
    Closed,
}

/// What made the payloads, so that a worker knows whether it can read them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientR {
    /// R's major and minor version.
    pub r: (u32, u32),
    /// The version of the `future` package.
    pub future: String,
}

/// The stored configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Recognises the writer's own write.
    pub write: Nonce,
    /// See [`PROTOCOL_VERSION`].
    pub protocol: u32,
    /// The session's id.
    pub session: SessionId,
    /// Who made it.
    pub creator: ClientId,
    /// When, on the creator's clock.
    pub created_at: UnixMillis,
    /// Who keeps it alive.
    pub lifetime: Lifetime,
    /// Whether it takes work.
    pub state: SessionState,
    /// Workers wanted at most.
    pub workers: u32,
    /// Virtual CPUs of each worker.
    pub cpu: f64,
    /// Memory of each worker in MiB.
    pub memory_mib: u64,
    /// Where workers run: `LOCAL`, `FARGATE` or `EC2`.
    pub launch_type: String,
    /// How to start workers there.
    #[serde(default)]
    pub compute: Compute,
    /// What workers cost, and may cost; none where they cost nothing.
    #[serde(default)]
    pub budget: Option<Budget>,
    /// The packages that workers make ready before they start; those of their own R only when absent.
    #[serde(default)]
    pub environment: Option<EnvironmentId>,
    /// Its objects are being deleted: what is missing is missing on purpose.
    #[serde(default)]
    pub deleting: bool,
    /// Why it was closed, when it was not by a user's wish.
    #[serde(default)]
    pub closed_because: Option<String>,
    /// The longest one task may run; no limit when absent.
    pub task_timeout: Option<Duration>,
    /// A worker of a detached session leaves when it found nothing to do for so long.
    pub idle_timeout: Duration,
    /// Workers of the session stop at this time.
    pub deadline: UnixMillis,
    /// Counts the times that ended tasks were made to wait again; workers then look at every segment anew.
    #[serde(default)]
    pub reopened: u64,
    /// Attempts a task gets before it fails because its workers died.
    pub max_attempts: u32,
    /// Whether idle workers join tasks that take long.
    #[serde(default)]
    pub backup_tasks: bool,
    /// How often things are looked at.
    pub pace: Pace,
    /// What made the payloads.
    pub client: ClientR,
    /// What a worker's R begins with.
    #[serde(default)]
    pub travel: Travel,
}

impl Manifest {
    /// The manifest with its deadline at least `seconds` away from `now`; never nearer than it was.
    pub fn extended(mut self, now: UnixMillis, by: Duration) -> Self {
        self.deadline = self.deadline.max(now.plus(by));
        self
    }
    /// The manifest after ended tasks were made to wait again.
    pub fn reopened(mut self) -> Self {
        self.reopened = self.reopened.saturating_add(1);
        self
    }
    /// The manifest of a session that takes no more work.
    pub fn closed(mut self) -> Self {
        self.state = SessionState::Closed;
        self
    }
    /// The manifest of a session whose objects are deleted from now on.
    pub fn deleting(self) -> Self {
        Self { deleting: true, ..self.closed() }
    }
    /// The manifest of a session that was stopped for a reason that its users are told.
    pub fn closed_because(self, reason: &str) -> Self {
        Self { closed_because: Some(reason.to_owned()), ..self.closed() }
    }
    /// Whether its workers have what an image has, and not what this machine has.
    pub fn starts_from_image(&self) -> bool {
        self.launch_type != "LOCAL"
    }
    /// How long a worker waits for a store that does not answer, before it leaves what it has: nobody may be there to start
    /// another. A worker of a `plan()` has an R that does, and may have lost it without knowing. `None` past the deadline.
    pub fn outage_limit(&self, now: UnixMillis) -> Option<Duration> {
        match self.lifetime {
            Lifetime::Owned => Some(OWNED_OUTAGE),
            Lifetime::Detached => (now < self.deadline).then_some(Duration::MAX),
        }
    }
    /// Checks what readers compute with: a manifest comes from outside.
    ///
    /// # Errors
    /// [`Error::Damaged`] that names the field.
    pub fn check(&self, key: &Key) -> Result<(), Error> {
        let wrong = if self.workers == 0 || self.workers > MOST_WORKERS {
            "workers"
        } else if !(self.cpu > 0.0 && self.cpu <= 1e6) {
            "cpu"
        } else if self.max_attempts == 0 {
            "max_attempts"
        } else if self.task_timeout.is_some_and(|limit| limit > LONGEST) {
            "task_timeout"
        } else if self.idle_timeout > LONGEST {
            "idle_timeout"
        } else if !self.pace.is_sound() {
            "pace"
        } else {
            return Ok(());
        };
        let detail = format!("`{wrong}` has a value that no client writes");
        Err(Error::Damaged { key: key.to_string(), detail })
    }
    /// Whether workers should work for it now.
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.state == SessionState::Open && now < self.deadline
    }
}

/// Why a worker with this R cannot serve payloads made by that one; `None` when it can. What to do depends on whether
/// workers start from an image.
///
/// R reads what an older R wrote, not the other way round, and the expressions of `future` from 1.40 on
/// need functions that older ones lack.
pub fn refusal(client: &ClientR, worker: &ClientR, of_image: bool) -> Option<String> {
    if worker.r < client.r {
        let ((cm, cn), (wm, wn)) = (client.r, worker.r);
        let remedy = if of_image {
            format!(
                "build an image on a base with R {cm}.{cn} or newer, such as \
                 `starburst_image_build(base = \"rocker/r-ver:{cm}.{cn}\")`, or choose one by `image`"
            )
        } else {
            format!("use a library with R {cm}.{cn} or newer")
        };
        return Some(format!(
            "the session was made by R {cm}.{cn} and the worker has R {wm}.{wn}, which cannot read it; {remedy}"
        ));
    }
    if modern_future(&client.future) && !modern_future(&worker.future) {
        let has = match worker.future.as_str() {
            "0.0.0" => "does not have it".to_owned(),
            older => format!("has future {older}"),
        };
        let remedy = if of_image {
            "build an image with future 1.40 or newer: `starburst_image_build()` brings it for a base without one"
        } else {
            "install future 1.40 or newer for the worker"
        };
        return Some(format!(
            "the session was made with future {} and the worker {has}; {remedy}",
            client.future
        ));
    }
    None
}

fn modern_future(version: &str) -> bool {
    let mut parts = version.split(['.', '-']).map(|p| p.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (1, 40)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn r(major: u32, minor: u32, future: &str) -> ClientR {
        ClientR { r: (major, minor), future: future.into() }
    }

    #[test]
    fn a_worker_reads_what_its_own_or_an_older_r_wrote() {
        let refused = |client, worker| refusal(&client, &worker, false);
        assert_eq!(refused(r(4, 2, "1.31.0"), r(4, 2, "1.31.0")), None);
        assert_eq!(refused(r(4, 2, "1.31.0"), r(4, 6, "1.75.0")), None);
        assert!(refused(r(4, 6, "1.75.0"), r(4, 2, "1.75.0")).unwrap().contains("R 4.6 or newer"));
        assert!(refused(r(4, 2, "1.75.0"), r(4, 2, "1.31.0")).unwrap().contains("1.40 or newer"));
    }

    #[test]
    fn who_has_the_wrong_image_is_told_how_to_build_the_right_one() {
        let refused = |worker| refusal(&r(4, 6, "1.75.0"), &worker, true).unwrap();
        assert!(
            refused(r(4, 2, "1.75.0"))
                .contains("`starburst_image_build(base = \"rocker/r-ver:4.6\")`")
        );
        assert_eq!(
            refused(r(4, 6, "0.0.0")),
            "the session was made with future 1.75.0 and the worker does not have it; build an image with \
             future 1.40 or newer: `starburst_image_build()` brings it for a base without one"
        );
    }

    proptest! {
        #[test]
        fn the_same_r_is_never_refused(major in 3u32..6, minor in 0u32..9, future in "[0-9]\\.[0-9]{1,2}\\.[0-9]") {
            prop_assert_eq!(refusal(&r(major, minor, &future), &r(major, minor, &future), true), None);
        }
    }
}
