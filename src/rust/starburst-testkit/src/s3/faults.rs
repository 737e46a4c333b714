//! Which request meets which fault.
use super::{operation::Operation, random::Random};

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 500 `InternalError`; nothing is done.
    InternalError,
    /// 503 `SlowDown`; nothing is done.
    SlowDown,
    /// 409 `ConditionalRequestConflict`; nothing is done.
    Conflict,
    /// The connection is reset once the request has been read; nothing is done.
    ResetBefore,
    /// It is done, and the connection is reset instead of an answer.
    ResetAfter,
    /// It is done; headers and the first half of the body come, then nothing more. Not even headers come of an answer without a
    /// body.
    StallBody,
    /// It is done; headers and the first half of the body come, then the connection closes. It closes at once if the answer has no
    /// body.
    Truncate,
    /// One bit of the body is another one. Only ever with `GetObject`, and only if that succeeds.
    FlipBit,
    /// 403 `AccessDenied`; nothing is done.
    AccessDenied,
    /// 400 `ExpiredToken`; nothing is done.
    ExpiredToken,
    /// 400 `AuthorizationHeaderMalformed`, or 301 for HEAD, naming the region `eu-north-1`; nothing is done.
    WrongRegion,
}

impl Fault {
    /// Every fault with its name in the address of `/-/rule`.
    pub const NAMED: [(&'static str, Self); 11] = [
        ("internal-error", Self::InternalError),
        ("slow-down", Self::SlowDown),
        ("conflict", Self::Conflict),
        ("reset-before", Self::ResetBefore),
        ("reset-after", Self::ResetAfter),
        ("stall-body", Self::StallBody),
        ("truncate", Self::Truncate),
        ("flip-bit", Self::FlipBit),
        ("access-denied", Self::AccessDenied),
        ("expired-token", Self::ExpiredToken),
        ("wrong-region", Self::WrongRegion),
    ];

    /// The fault of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|(found, _)| *found == name).map(|(_, fault)| fault)
    }
}

/// Says which requests meet a fault. Rules are asked in the order in which they were added; one that lets a request pass, because
/// of `skip`, `times` or `one_in`, leaves it to those behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Only this operation; any if `None`.
    pub operation: Option<Operation>,
    /// Only keys with this in them; any if `None`. A list's key is its prefix, and `DeleteObjects` has an empty one.
    pub key_contains: Option<String>,
    /// So many requests pass first.
    pub skip: u64,
    /// So many meet the fault, then all pass; `u64::MAX` is for ever.
    pub times: u64,
    /// One in so many meets the fault, chosen by a seeded generator; 1 is every one.
    pub one_in: u64,
    /// What they meet.
    pub fault: Fault,
}

impl Rule {
    /// Every request for the operation, for ever.
    pub fn always(operation: Operation, fault: Fault) -> Self {
        Self {
            operation: Some(operation),
            key_contains: None,
            skip: 0,
            times: u64::MAX,
            one_in: 1,
            fault,
        }
    }

    /// The next request for the operation.
    pub fn once(operation: Operation, fault: Fault) -> Self {
        Self { times: 1, ..Self::always(operation, fault) }
    }

    fn is_for(&self, operation: Operation, key: &str) -> bool {
        self.operation.is_none_or(|only| only == operation)
            && self.key_contains.as_ref().is_none_or(|part| key.contains(part))
            && (self.fault != Fault::FlipBit || operation == Operation::GetObject)
    }

    /// True if the request meets the fault. Counts down `skip` and `times`.
    fn applies(&mut self, operation: Operation, key: &str, random: &mut Random) -> bool {
        if !self.is_for(operation, key) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.times == 0 || !random.one_in(self.one_in) {
            return false;
        }
        if self.times != u64::MAX {
            self.times -= 1;
        }
        true
    }
}

/// The rules in force, with what is left of each.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    random: Random,
}

impl Rules {
    pub(super) fn new(seed: u64) -> Self {
        Self { rules: Vec::new(), random: Random::new(seed) }
    }

    pub(super) fn set_seed(&mut self, seed: u64) {
        self.random = Random::new(seed);
    }

    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// What this request meets.
    pub(super) fn choose(&mut self, operation: Operation, key: &str) -> Option<Fault> {
        let Self { rules, random } = self;
        rules.iter_mut().find_map(|rule| rule.applies(operation, key, random).then_some(rule.fault))
    }

    /// Where to flip a bit in so many bytes: a byte and a mask.
    pub(super) fn choose_bit(&mut self, length: usize) -> (usize, u8) {
        let drawn = self.random.next();
        ((drawn >> 3) as usize % length.max(1), 1 << (drawn & 7))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(added: impl IntoIterator<Item = Rule>) -> Rules {
        let mut rules = Rules::new(1);
        added.into_iter().for_each(|rule| rules.add(rule));
        rules
    }

    fn get() -> Rule {
        Rule::always(Operation::GetObject, Fault::SlowDown)
    }

    #[test]
    fn skip_and_times_count_matching_requests_only() {
        let mut rules =
            rules([Rule { skip: 1, times: 2, key_contains: Some("a".into()), ..get() }]);
        assert_eq!(rules.choose(Operation::PutObject, "a"), None);
        assert_eq!(rules.choose(Operation::GetObject, "b"), None);
        let met = [(); 5].map(|()| rules.choose(Operation::GetObject, "xay").is_some());
        assert_eq!(met, [false, true, true, false, false]);
    }

    #[test]
    fn a_rule_that_lets_pass_leaves_it_to_the_next() {
        let mut rules = rules([
            Rule { times: 1, ..get() },
            Rule { operation: None, ..Rule::once(Operation::Other, Fault::Conflict) },
        ]);
        let met = [(); 3].map(|()| rules.choose(Operation::GetObject, ""));
        assert_eq!(met, [Some(Fault::SlowDown), Some(Fault::Conflict), None]);
    }

    #[test]
    fn one_in_three_is_about_a_third_and_the_same_for_a_seed() {
        let run = || {
            let mut rules = rules([Rule { one_in: 3, ..get() }]);
            (0..3_000).map(|_| rules.choose(Operation::GetObject, "").is_some()).collect::<Vec<_>>()
        };
        let met = run().into_iter().filter(|met| *met).count();
        assert!((900..1_100).contains(&met), "{met}");
        assert_eq!(run(), run());
    }

    #[test]
    fn only_reads_meet_a_flipped_bit() {
        let mut rules = rules([Rule { operation: None, fault: Fault::FlipBit, ..get() }]);
        assert_eq!(rules.choose(Operation::PutObject, ""), None);
        assert_eq!(rules.choose(Operation::GetObject, ""), Some(Fault::FlipBit));
        let (byte, mask) = rules.choose_bit(10);
        assert!(byte < 10 && mask.count_ones() == 1);
    }

    #[test]
    fn a_cleared_rule_applies_no_more() {
        let mut rules = rules([get()]);
        rules.clear();
        assert_eq!(rules.choose(Operation::GetObject, ""), None);
    }
}
