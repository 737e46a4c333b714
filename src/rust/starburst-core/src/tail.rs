//! Following the log of segments: ask for the next number, list once there is one.
use crate::{error::Error, key::SessionKeys, store::Store};

/// How far one process has followed a session's segments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tail {
    next: u64,
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

    /// Numbers of the segments that appeared since the last call, in order.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn advance(
        &mut self,
        store: &dyn Store,
        keys: &SessionKeys,
    ) -> Result<Vec<u64>, Error> {
        if store.head(&keys.segment(self.next)).await?.is_none() {
            return Ok(Vec::new());
        }
        let after = self.next.checked_sub(1).map(|last| keys.segment(last));
        let listed = store.list(&keys.segments(), after.as_ref()).await?;
        let mut numbers: Vec<u64> = listed.iter().filter_map(|e| e.key.number()).collect();
        // The head above saw this one, whatever the listing says.
        if numbers.first() != Some(&self.next) {
            numbers.insert(0, self.next);
        }
        // Segments are written without gaps; what follows a gap is seen the next time.
        let run =
            numbers.iter().zip(self.next..).take_while(|(n, expected)| *n == expected).count();
        numbers.truncate(run);
        self.next += run as u64;
        Ok(numbers)
    }
}
