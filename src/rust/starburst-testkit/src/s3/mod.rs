//! An S3 for tests: in memory, right under races, and broken on demand.
//!
//! It answers as S3 does in us-east-1, with path-style addresses and signatures of version 4. What it does not know is 501
//! `NotImplemented`. Unsigned GET requests below `/-/` look into it and disturb it from other languages: `keys`, `counts`,
//! `reset-counts`, `damage`, `network`, `rule`, `clear-rules`, `latency`.
mod answer;
mod bodies;
mod conditions;
mod control;
mod counts;
mod digest;
mod faults;
mod layer;
mod link;
mod listing;
mod lists;
mod objects;
mod operation;
mod pace;
pub(crate) mod query;
mod random;
mod service;
mod state;
#[cfg(test)]
mod tests;
mod uploads;

pub use counts::Counts;
pub use faults::{Fault, Rule};
pub use operation::Operation;
pub use pace::{Latency, Limits};

use bytes::Bytes;
use hyper::HeaderMap;
use state::State;
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, task::JoinHandle};

/// A server on this machine. It serves on the runtime that started it and stops when dropped.
#[derive(Debug)]
pub struct S3Server {
    state: Arc<State>,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl S3Server {
    /// The access key of the only user.
    pub const ACCESS_KEY: &str = "AKIASTARBURSTTESTKIT";
    /// The secret key of the only user.
    pub const SECRET_KEY: &str = "starburst-testkit-secret-of-nobody";
    /// The bucket that is there from the start.
    pub const BUCKET: &str = "starburst";

    /// Serves on a free port.
    pub async fn start() -> Self {
        Self::start_on(0).await.expect("a free port on 127.0.0.1")
    }

    /// Serves on this port of 127.0.0.1; 0 is a free one.
    ///
    /// # Errors
    /// If the port cannot be had.
    pub async fn start_on(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::new(Self::BUCKET, Self::ACCESS_KEY, Self::SECRET_KEY));
        let serving = tokio::spawn(link::serve(listener, state.clone()));
        Ok(Self { state, address, serving })
    }

    /// Where it serves, `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a rule behind those that are there.
    pub fn add_rule(&self, rule: Rule) {
        self.state.rules.lock().add(rule);
    }

    /// No more faults.
    pub fn clear_rules(&self) {
        self.state.rules.lock().clear();
    }

    /// Asks about each bucket that is not known; one that exists there is made here, empty.
    pub fn set_origin<F>(&self, exists: impl Fn(String) -> F + Send + Sync + 'static)
    where
        F: Future<Output = bool> + Send + 'static,
    {
        self.state.outside.lock().origin = Some(Arc::new(move |bucket| Box::pin(exists(bucket))));
    }

    /// Tells of each request: operation, bucket, and key.
    pub fn set_observer(
        &self,
        observer: impl Fn(Operation, &str, &str, &HeaderMap) + Send + Sync + 'static,
    ) {
        self.state.outside.lock().observer = Some(Arc::new(observer));
    }

    /// Begins the random numbers of rules and latency anew; without it they are the same for each server.
    pub fn set_seed(&self, seed: u64) {
        self.state.set_seed(seed);
    }

    /// What each request waits from now on; nothing at the start.
    pub fn set_latency(&self, latency: Latency) {
        self.state.pace.lock().set_latency(latency);
    }

    /// How many requests a second are let in from now on; all at the start.
    pub fn set_limits(&self, limits: Limits) {
        self.state.set_limits(limits);
    }

    /// The most entries on a page of a list, 1 to 1,000, even if a client asks for more; 1,000 at the start.
    pub fn set_page_size(&self, size: usize) {
        self.state.objects.set_page_size(size);
    }

    /// `false` closes every connection, and each new one at its first request, until `true`. Nothing is counted meanwhile but
    /// connections. A request that was being done may have been done.
    pub fn set_network(&self, up: bool) {
        self.state.set_network(up);
    }

    /// What was asked since the start or the last reset.
    pub fn counts(&self) -> Counts {
        self.state.tally.counts()
    }

    /// Counts from nothing.
    pub fn reset_counts(&self) {
        self.state.tally.reset();
    }

    /// All keys of the bucket, sorted.
    pub fn keys(&self) -> Vec<String> {
        self.state.keys("")
    }

    /// The bytes of an object of the bucket.
    pub fn read(&self, key: &str) -> Option<Bytes> {
        self.state.read(key)
    }

    /// Puts other bytes into an object of the bucket, with their ETag and checksums, so that only a reader who knows what should
    /// be there sees the damage. For damage on the way see [`Fault::FlipBit`]. Does nothing and returns `false` if there is no
    /// such object.
    pub fn overwrite(&self, key: &str, body: Bytes) -> bool {
        self.state.overwrite(key, body)
    }

    /// Multipart uploads of the bucket that are neither completed nor aborted.
    pub fn uploads(&self) -> usize {
        self.state.uploads()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
