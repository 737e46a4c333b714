//! Segments a worker knows of and has not read, and which of them it reads next.
use crate::{ids::PartId, tail::News};
use std::collections::BTreeMap;

/// What is known of a segment that was not read.
#[derive(Debug, Clone, Copy)]
struct Segment {
    /// How many parts it has, if that is known.
    parts: Option<u64>,
    /// Whether its tasks may have been worked on, whatever a listing of ledgers says.
    again: bool,
}

/// What a listing of ledgers said of one segment.
#[derive(Debug, Clone, Copy, Default)]
struct Ledgers {
    begun: u64,
    waiting: u64,
}

/// The segments that were not read, and what the last listing said of them.
#[derive(Debug, Default)]
pub(super) struct Unread {
    segments: BTreeMap<u64, Segment>,
    listed: BTreeMap<u64, Ledgers>,
    /// The segment that is this worker's by its rank.
    home: Option<u64>,
}

impl Unread {
    /// Adds segments that were found.
    pub(super) fn add(&mut self, news: impl IntoIterator<Item = News>, again: bool) {
        for News { number, parts } in news {
            self.segments.insert(number, Segment { parts, again });
        }
    }

    /// Makes this segment the first to be read.
    pub(super) fn settle_at(&mut self, home: u64) {
        self.home = Some(home);
    }

    pub(super) fn is_home(&self, number: u64) -> bool {
        self.home.is_none_or(|home| home == number)
    }

    /// Whether the segment to begin with was not read yet.
    pub(super) fn awaits_home(&self) -> bool {
        self.home.is_some_and(|home| self.segments.contains_key(&home))
    }

    /// Takes note of which ledgers there are, and whether tasks may wait in them.
    pub(super) fn list(&mut self, ledgers: impl Iterator<Item = (PartId, bool)>) {
        self.listed.clear();
        for (id, waiting) in ledgers {
            let seen = self.listed.entry(id.segment()).or_default();
            seen.begun += 1;
            seen.waiting += u64::from(waiting);
        }
    }

    /// The segment to read next; with `any` also one that seems to have nothing to give. `turn` spreads workers.
    pub(super) fn choice(&self, turn: usize, any: bool) -> Option<u64> {
        if let Some(home) = self.home.filter(|home| self.segments.contains_key(home)) {
            return Some(home);
        }
        let listed = |number: &u64| self.listed.get(number).copied().unwrap_or_default();
        let untouched = |(number, s): &(&u64, &Segment)| {
            s.again || s.parts.is_none_or(|p| listed(number).begun < p)
        };
        let waiting = |(number, _): &(&u64, &Segment)| listed(number).waiting > 0;
        let pick = |which: &dyn Fn(&(&u64, &Segment)) -> bool| {
            let some: Vec<u64> = self.segments.iter().filter(which).map(|(n, _)| *n).collect();
            some.get(turn % some.len().max(1)).copied()
        };
        pick(&untouched).or_else(|| pick(&waiting)).or_else(|| pick(&|_| any))
    }

    /// How many parts of them may have tasks that wait.
    pub(super) fn open_parts(&self) -> u64 {
        let open = |(number, segment): (&u64, &Segment)| {
            let listed = self.listed.get(number).copied().unwrap_or_default();
            let untouched = segment.parts.unwrap_or(1).saturating_sub(listed.begun);
            untouched + listed.waiting
        };
        self.segments.iter().map(open).sum()
    }

    /// Whether the tasks of this segment may have been worked on before.
    pub(super) fn again(&self, number: u64) -> bool {
        self.segments.get(&number).is_some_and(|segment| segment.again)
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.segments.remove(&number);
    }

    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The first of them.
    pub(super) fn first(&self) -> Option<u64> {
        self.segments.keys().next().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unread(segments: u64) -> Unread {
        let mut unread = Unread::default();
        unread.add((0..segments).map(|number| News { number, parts: Some(2) }), false);
        unread
    }

    #[test]
    fn a_worker_begins_at_home_and_goes_on_where_parts_are_untouched() {
        let mut unread = unread(4);
        unread.settle_at(2);
        assert_eq!(unread.choice(0, false), Some(2));
        unread.remove(2);
        let begun = |segment, part, waiting| (PartId::new(segment, part), waiting);
        unread.list(vec![begun(0, 0, false), begun(0, 1, false), begun(1, 0, false)].into_iter());
        assert_eq!((unread.choice(0, false), unread.choice(1, false)), (Some(1), Some(3)));
    }

    #[test]
    fn a_segment_with_nothing_to_give_is_read_only_when_there_is_time() {
        let mut unread = unread(2);
        let all = |waiting| {
            (0..2).flat_map(move |s| (0..2).map(move |p| (PartId::new(s, p), waiting && s == 1)))
        };
        unread.list(all(true));
        assert_eq!(unread.choice(0, false), Some(1));
        unread.list(all(false));
        assert_eq!((unread.choice(0, false), unread.choice(1, true)), (None, Some(1)));
    }

    #[test]
    fn reopened_segments_are_read_whatever_is_listed() {
        let mut unread = Unread::default();
        unread.add([News { number: 0, parts: Some(1) }], true);
        unread.list([(PartId::new(0, 0), false)].into_iter());
        assert_eq!(unread.choice(5, false), Some(0));
    }
}
