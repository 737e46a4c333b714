//! Opens a bucket with the account's client for S3.
use super::{location::S3Location, store::S3Store};
use crate::account::{Access, Account};
use starburst_core::{
    clock::Clock,
    ids::Ids,
    retry::{RetryPolicy, RetryStore},
    store::Store,
};
use std::sync::Arc;

/// A store in a bucket, and the time there.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The wall clock of the server, and this machine's monotonic clock.
    pub clock: Arc<dyn Clock>,
}

/// Opens a bucket. Makes no request: what is wrong shows with the first call.
///
/// How credentials, region and endpoint are found, [`Account::open`] says.
pub async fn connect(
    location: S3Location,
    access: Access,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
) -> Connection {
    let account = Account::open(access.clone(), Arc::clone(&clock), Arc::clone(&ids)).await;
    let one_try = Arc::new(S3Store::new(account.s3(), location, access));
    let store = RetryStore::new(one_try, clock, ids, RetryPolicy::default());
    Connection { store: Arc::new(store), clock: Arc::new(account.time()) }
}
