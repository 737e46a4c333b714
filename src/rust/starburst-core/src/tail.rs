//! Following the log of segments: ask for the next number, list once there is one.
use crate::{
    error::Error,
    key::SessionKeys,
    mutation::{Rule, is_broken},
    segment,
    store::{Entry, Store},
};

/// How far one process has followed a session's segments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tail {
    next: u64,
}

/// A segment that appeared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// Its number.
    pub number: u64,
    /// How many parts it has, if that is known.
    pub parts: Option<u64>,
}

impl Tail {
    /// As if all segments before this one had been seen.
    pub fn from(next: u64) -> Self {
        Self { next }
    }

    /// The first number not seen yet.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The segments that appeared since the last call, in order.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn advance(
        &mut self,
        store: &dyn Store,
        keys: &SessionKeys,
    ) -> Result<Vec<News>, Error> {
        if store.head(&keys.segment(self.next)).await?.is_none() {
            return Ok(Vec::new());
        }
        let after = self.next.checked_sub(1).map(|last| keys.segment(last));
        let listed = store.list(&keys.segments(), after.as_ref()).await?;
        let news = |e: &Entry| {
            Some(News { number: e.key.number()?, parts: segment::listed_parts(e.size) })
        };
        let mut found: Vec<News> = listed.iter().filter_map(news).collect();
        // The head above saw this one, whatever the listing says.
        if found.first().is_none_or(|first| first.number != self.next) {
            found.insert(0, News { number: self.next, parts: None });
        }
        // Segments are written without gaps; what follows a gap is seen the next time.
        let follows = |(n, at): &(&News, u64)| n.number == *at || is_broken(Rule::TailStops);
        let run = found.iter().zip(self.next..).take_while(follows).count();
        found.truncate(run);
        self.next += run as u64;
        Ok(found)
    }
}
