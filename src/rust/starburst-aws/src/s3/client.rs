//! One client a process: credentials, region, connections.
use super::{
    location::{S3Access, S3Location},
    server_time::ServerTime,
    store::S3Store,
};
use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::{Client, config::StalledStreamProtectionConfig};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use parking_lot::Mutex;
use starburst_core::{
    clock::Clock,
    ids::Ids,
    retry::{RetryPolicy, RetryStore},
    store::Store,
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a body may stand still.
const STALLED: Duration = Duration::from_secs(10);
/// The region of servers that are not AWS and do not care.
const ANY_REGION: &str = "us-east-1";

/// A store in a bucket, and the time there.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The wall clock of the server, and this machine's monotonic clock.
    pub clock: Arc<dyn Clock>,
}

/// Clients of this process by how they get there, each with the process that made it: a forked child
/// must not use its parent's connections.
static CLIENTS: Mutex<Option<Clients>> = Mutex::new(None);

type Clients = HashMap<(u32, S3Access), (Client, ServerTime)>;

/// Opens a bucket. Makes no request: what is wrong shows with the first call.
///
/// Credentials, region and endpoint come from `access` where it says so, else from where all AWS tools
/// take them: environment, shared configuration files with their profiles, single sign-on, and the roles
/// of containers and instances. They are fetched again before they expire.
pub async fn connect(
    location: S3Location,
    access: S3Access,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
) -> Connection {
    let (client, time) = shared_client(&access, &clock).await;
    let one_try = Arc::new(S3Store::new(client, location, access));
    let store = RetryStore::new(one_try, clock, ids, RetryPolicy::default());
    Connection { store: Arc::new(store), clock: Arc::new(time) }
}

async fn shared_client(access: &S3Access, clock: &Arc<dyn Clock>) -> (Client, ServerTime) {
    let key = (std::process::id(), access.clone());
    if let Some(found) = CLIENTS.lock().as_ref().and_then(|clients| clients.get(&key)) {
        return found.clone();
    }
    let made = new_client(access, clock).await;
    let mut clients = CLIENTS.lock();
    clients.get_or_insert_default().entry(key).or_insert(made).clone()
}

async fn new_client(access: &S3Access, clock: &Arc<dyn Clock>) -> (Client, ServerTime) {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        // One try: what is tried again, and when, is decided above this store.
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build());
    if let Some(profile) = &access.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &access.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &access.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    let shared = loader.load().await;
    let other_server =
        shared.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    let time = ServerTime::new(Arc::clone(clock));
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        .interceptor(time.clone())
        .force_path_style(other_server)
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled().grace_period(STALLED).build(),
        );
    if shared.region().is_none() && other_server {
        config = config.region(Region::new(ANY_REGION));
    }
    (Client::from_conf(config.build()), time)
}
