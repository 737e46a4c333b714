//! What a server was asked, and what AWS would have charged for it.
use super::operation::Operation;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// Dollars for one PUT, COPY, POST or LIST request.
///
/// S3 Standard in us-east-1 by <https://aws.amazon.com/s3/pricing/> (requests), November 2026: $0.005 for 1,000.
const USD_PER_WRITE_OR_LIST: f64 = 0.005 / 1_000.0;

/// Dollars for one GET request and for all others, by the same page: $0.0004 for 1,000. DELETE and cancelling are free.
const USD_PER_READ: f64 = 0.000_4 / 1_000.0;

/// Requests since the start or the last reset. One that failed counts too, as AWS charges for it, and so do 304 and 412.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests by operation; an operation that was not asked for is absent.
    pub by_operation: BTreeMap<Operation, u64>,
    /// Bytes in bodies of requests, as sent: with the frames of `aws-chunked`.
    pub bytes_in: u64,
    /// Bytes in bodies of answers; half of the body where a fault sends half.
    pub bytes_out: u64,
    /// The most requests at one time, from their headers to the end of the answer.
    pub most_in_flight: u64,
    /// Connections that were opened.
    pub connections: u64,
}

impl Counts {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.by_operation.values().sum()
    }

    /// Requests that change objects or uploads, [`Operation::is_write`].
    pub fn writes(&self) -> u64 {
        self.by_operation.iter().filter(|(operation, _)| operation.is_write()).map(|(_, n)| n).sum()
    }

    /// Requests for one operation.
    pub fn of(&self, operation: Operation) -> u64 {
        self.by_operation.get(&operation).copied().unwrap_or(0)
    }

    /// What AWS charges for the requests, in dollars: S3 Standard in us-east-1, November 2026. Storage and traffic are not in it.
    pub fn usd(&self) -> f64 {
        self.by_operation.iter().map(|(operation, n)| price(*operation) * *n as f64).sum()
    }
}

fn price(operation: Operation) -> f64 {
    match operation {
        Operation::PutObject
        | Operation::ListObjectsV2
        | Operation::ListObjectVersions
        | Operation::ListMultipartUploads
        | Operation::CreateMultipartUpload
        | Operation::UploadPart
        | Operation::CompleteMultipartUpload => USD_PER_WRITE_OR_LIST,
        Operation::GetObject | Operation::HeadObject | Operation::Other => USD_PER_READ,
        Operation::DeleteObject | Operation::DeleteObjects | Operation::AbortMultipartUpload => 0.0,
    }
}

#[derive(Debug, Default)]
struct Now {
    counts: Counts,
    in_flight: u64,
}

/// The counts of a running server.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(Arc<Mutex<Now>>);

impl Tally {
    pub(super) fn counts(&self) -> Counts {
        self.0.lock().counts.clone()
    }

    /// What is in flight stays so, and is the new maximum.
    pub(super) fn reset(&self) {
        let mut now = self.0.lock();
        now.counts = Counts { most_in_flight: now.in_flight, ..Counts::default() };
    }

    pub(super) fn connection(&self) {
        self.0.lock().counts.connections += 1;
    }

    pub(super) fn read(&self, bytes: usize) {
        self.0.lock().counts.bytes_in += bytes as u64;
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.0.lock().counts.bytes_out += bytes as u64;
    }

    /// Counts a request, which is in flight until what is returned is dropped.
    pub(super) fn request(&self, operation: Operation) -> InFlight {
        let mut now = self.0.lock();
        *now.counts.by_operation.entry(operation).or_default() += 1;
        now.in_flight += 1;
        now.counts.most_in_flight = now.counts.most_in_flight.max(now.in_flight);
        InFlight(self.clone())
    }
}

/// One request in flight.
#[derive(Debug)]
pub(super) struct InFlight(Tally);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.lock().in_flight -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_those_of_aws() {
        let usd = |operation, n| {
            let by_operation = BTreeMap::from([(operation, n)]);
            (Counts { by_operation, ..Counts::default() }.usd() * 1e6).round() / 1e6
        };
        assert_eq!(usd(Operation::PutObject, 1_000), 0.005);
        assert_eq!(usd(Operation::ListObjectsV2, 2_000), 0.01);
        assert_eq!(usd(Operation::UploadPart, 1_000), 0.005);
        assert_eq!(usd(Operation::GetObject, 10_000), 0.004);
        assert_eq!(usd(Operation::HeadObject, 1_000), 0.0004);
        assert_eq!(usd(Operation::DeleteObject, 1_000), 0.0);
        assert_eq!(usd(Operation::DeleteObjects, 1_000), 0.0);
    }

    #[test]
    fn requests_in_flight_are_counted_at_their_most() {
        let tally = Tally::default();
        let first = tally.request(Operation::PutObject);
        drop(tally.request(Operation::GetObject));
        let _third = tally.request(Operation::DeleteObject);
        drop(first);
        let counts = tally.counts();
        assert_eq!((counts.most_in_flight, counts.requests(), counts.writes()), (2, 3, 2));
        tally.reset();
        assert_eq!(tally.counts(), Counts { most_in_flight: 1, ..Counts::default() });
    }
}
