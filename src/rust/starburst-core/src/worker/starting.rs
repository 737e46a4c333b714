//! A worker that is not ready yet: it beats and listens while something is made ready, which may take minutes.
use super::{
    Told,
    pulse::{Orders, Pulse, Shared},
    relay,
};
use crate::{
    clock::Clock, error::Error, heartbeat::Heartbeat, ids::Ids, key::SessionKeys,
    manifest::Manifest, store::Store, update::Versioned,
};
use parking_lot::Mutex;
use std::{
    future::Future,
    sync::{Arc, atomic::AtomicBool},
};
use tokio::sync::{Notify, watch};

/// What a worker beats with.
#[derive(Debug, Clone)]
pub struct Beating {
    /// The session's store.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub ids: Arc<dyn Ids>,
    /// The session.
    pub keys: SessionKeys,
}

/// What came of the work.
#[derive(Debug)]
pub enum Started<T> {
    /// It is done.
    Ready(T),
    /// The worker is to leave, and this is why; the work was given up.
    Leave(String),
}

/// Does the work, and shows meanwhile that this worker lives. A worker that says nothing for minutes would be taken for
/// dead, and one that does not listen would go on for a session that is over.
///
/// # Errors
/// The first heartbeat cannot be written.
pub async fn beat_while<T>(
    on: &Beating,
    manifest: &Versioned<Manifest>,
    beat: Heartbeat,
    told: watch::Receiver<Told>,
    work: impl Future<Output = T>,
) -> Result<Started<T>, Error> {
    let shared = Arc::new(Shared {
        beat: Mutex::new(beat),
        manifest: Mutex::new(Arc::new(manifest.value.clone())),
        disturbed: AtomicBool::new(false),
        woken: Notify::new(),
    });
    let (store, clock) = (Arc::clone(&on.store), Arc::clone(&on.clock));
    let mut pulse = Pulse::new(store, clock, on.keys.clone(), Arc::clone(&shared), manifest);
    pulse.beat().await?;
    let (send, mut orders) = watch::channel(Orders::Work);
    let send = Arc::new(send);
    let beating = tokio::spawn(pulse.run(Arc::clone(&send), Arc::clone(&on.ids)));
    let relaying = tokio::spawn(relay(told, send, shared));
    let outcome = tokio::select! {
        biased;
        done = work => Started::Ready(done),
        leave = orders.wait_for(|orders| *orders != Orders::Work) => match leave.as_deref() {
            Ok(Orders::Leave(reason)) => Started::Leave(reason.clone()),
            Ok(Orders::Work) | Err(_) => Started::Leave("it was told to stop".into()),
        },
    };
    beating.abort();
    relaying.abort();
    Ok(outcome)
}
