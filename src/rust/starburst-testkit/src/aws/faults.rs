//! Which request, or which task, meets which fault.
use std::time::{Duration, Instant};

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// `ThrottlingException`; nothing is done.
    Throttle,
    /// `AccessDeniedException` with this message; nothing is done.
    AccessDenied {
        /// The whole message.
        message: String,
    },
    /// `AccessDeniedException` that says that the caller may not `iam:PassRole` the execution role; nothing is done.
    PassRole,
    /// `ExpiredTokenException`; nothing is done.
    ExpiredToken,
    /// 500 `ServerException`; nothing is done.
    InternalError,
    /// Any other exception; nothing is done.
    Exception {
        /// Its name.
        code: String,
        /// The whole message.
        message: String,
    },
    /// It is done, and the connection is closed instead of an answer.
    LostAnswer,
    /// `RunTask` succeeds without a task: each one is in `failures` with this reason.
    Refused {
        /// `RESOURCE:CPU`, `AGENT`, or a sentence.
        reason: String,
    },
    /// A task's image cannot be pulled.
    PullFailure,
    /// A task gets no network interface: the subnet has no free address.
    EniFailure,
    /// A task reaches no registry: the subnet has no way out.
    NetworkFailure,
    /// A task's execution role may not pull the image.
    RoleFailure,
    /// A task's processes are killed for lack of memory.
    OutOfMemory {
        /// So long after it runs.
        after: Duration,
    },
}

/// What AWS says when Fargate has no room.
///
/// Re:Post, "RunTask API for a Fargate task that fails with a Capacity is unavailable error" (AWS, November 2026).
pub const NO_CAPACITY: &str = "Capacity is unavailable at this time. Please try again later or in a different availability zone";

/// When a fault comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Request,
    Placement,
    Task,
}

impl Fault {
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Throttle
            | Self::AccessDenied { .. }
            | Self::PassRole
            | Self::ExpiredToken
            | Self::InternalError
            | Self::Exception { .. }
            | Self::LostAnswer => Stage::Request,
            Self::Refused { .. } => Stage::Placement,
            Self::PullFailure
            | Self::EniFailure
            | Self::NetworkFailure
            | Self::RoleFailure
            | Self::OutOfMemory { .. } => Stage::Task,
        }
    }
}

/// Says which requests or tasks meet a fault. Rules are asked in the order in which they were added; one that lets something pass,
/// because of `skip`, `times` or `lasts`, leaves it to those behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Only this operation; any if `None`. Tasks are made by `RunTask`.
    pub operation: Option<String>,
    /// Only tasks on this capacity provider, or on the launch type of that name; any if `None`. Means nothing to other requests.
    pub provider: Option<String>,
    /// So many requests, or tasks, pass first.
    pub skip: u64,
    /// So many meet the fault, then all pass; `u64::MAX` is for ever.
    pub times: u64,
    /// The rule ends so long after it was added; never if `None`.
    pub lasts: Option<Duration>,
    /// What they meet.
    pub fault: Fault,
}

impl Rule {
    /// Every request or task, for ever.
    pub fn always(fault: Fault) -> Self {
        Self { operation: None, provider: None, skip: 0, times: u64::MAX, lasts: None, fault }
    }

    /// The next so many requests for the operation, or tasks of it.
    pub fn times(operation: &str, times: u64, fault: Fault) -> Self {
        Self { operation: Some(operation.to_owned()), times, ..Self::always(fault) }
    }

    /// The next request for the operation, or task of it.
    pub fn once(operation: &str, fault: Fault) -> Self {
        Self::times(operation, 1, fault)
    }
}

#[derive(Debug)]
struct Active {
    rule: Rule,
    added: Instant,
}

impl Active {
    /// Counts down `skip` and `times`.
    fn applies(&mut self, operation: &str, place: Option<&str>, now: Instant) -> bool {
        let rule = &mut self.rule;
        let named = rule.operation.as_deref().is_none_or(|only| only == operation);
        let here = rule.provider.as_deref().is_none_or(|only| Some(only) == place);
        let over = rule.lasts.is_some_and(|lasts| now.duration_since(self.added) > lasts);
        if !named || !here || over || rule.times == 0 {
            return false;
        }
        if rule.skip > 0 {
            rule.skip -= 1;
            return false;
        }
        if rule.times != u64::MAX {
            rule.times -= 1;
        }
        true
    }
}

/// The rules in force, with what is left of each.
#[derive(Debug, Default)]
pub(super) struct Rules(Vec<Active>);

impl Rules {
    pub(super) fn add(&mut self, rule: Rule, now: Instant) {
        self.0.push(Active { rule, added: now });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What this request meets at this stage, or this task at this place.
    pub(super) fn choose(
        &mut self,
        stage: Stage,
        operation: &str,
        place: Option<&str>,
        now: Instant,
    ) -> Option<Fault> {
        let mut rules = self.0.iter_mut().filter(|it| it.rule.fault.stage() == stage);
        rules.find_map(|it| it.applies(operation, place, now).then(|| it.rule.fault.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)] // only the distance from it matters
    fn rules_end_after_their_times_or_their_time() {
        let now = Instant::now();
        let mut rules = Rules::default();
        rules.add(Rule { skip: 1, ..Rule::times("RunTask", 2, Fault::Throttle) }, now);
        let refused = Fault::Refused { reason: NO_CAPACITY.into() };
        let lasts = Some(Duration::from_secs(2));
        let provider = Some("FARGATE_SPOT".to_owned());
        rules.add(Rule { lasts, provider, ..Rule::always(refused.clone()) }, now);
        let mut request = |operation| rules.choose(Stage::Request, operation, None, now);
        assert_eq!(request("StopTask"), None);
        let met: Vec<_> = (0..4).map(|_| request("RunTask").is_some()).collect();
        assert_eq!(met, [false, true, true, false]);
        let mut place = |place, now| rules.choose(Stage::Placement, "RunTask", Some(place), now);
        assert_eq!(place("FARGATE", now), None);
        assert_eq!(place("FARGATE_SPOT", now), Some(refused));
        assert_eq!(place("FARGATE_SPOT", now + Duration::from_secs(3)), None);
    }
}
