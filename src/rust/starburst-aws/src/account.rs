//! How this process gets to AWS: credentials, region, connections, and one client for each service.
use crate::{
    call::{Call, CallError, Service},
    identity::IdentityCache,
    server_time::ServerTime,
};
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_smithy_http_client::{
    Builder, Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use aws_types::service_config::ServiceConfigKey;
use parking_lot::Mutex;
use starburst_core::{clock::Clock, ids::Ids};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the body of an object may stand still.
const STALLED: Duration = Duration::from_secs(10);
/// How long one try of a call of the control plane may take.
pub(crate) const TRY_LIMIT: Duration = Duration::from_secs(30);
/// How often a call of the control plane is made before its error counts.
pub(crate) const TRIES: u32 = 5;
/// The region of servers that are not AWS and do not care.
const ANY_REGION: &str = "us-east-1";

/// What the environment, profiles and roles would decide, decided by the caller instead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// The region.
    pub region: Option<String>,
    /// The profile of the shared configuration files.
    pub profile: Option<String>,
    /// The address of a server that every service is asked at instead of AWS; names of buckets then stand in the path.
    pub endpoint: Option<String>,
}

/// Who the credentials belong to, as STS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account's twelve digits.
    pub account: String,
    /// The user or the assumed role.
    pub arn: String,
}

/// One way to get to AWS, with what all calls by it share.
#[derive(Debug, Clone)]
pub struct Account {
    pub(crate) shared: Arc<Shared>,
    /// Another region than the configuration's.
    region: Option<String>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) access: Access,
    pub(crate) config: SdkConfig,
    pub(crate) time: ServerTime,
    pub(crate) identity: IdentityCache,
    connector: OnceLock<Connector>,
    s3: OnceLock<aws_sdk_s3::Client>,
}

/// What this process has opened, each with the process that opened it: a forked child must not use
/// its parent's connections.
static OPENED: Mutex<Option<Opened>> = Mutex::new(None);

type Opened = HashMap<Door, Arc<Shared>>;

/// How AWS is reached, with what of the environment decides that: R users change it while R runs.
type Door = (u32, Access, blake3::Hash);

/// Tells one environment of AWS tools from another, without keeping what is secret in it.
fn environment() -> blake3::Hash {
    let mut variables: Vec<_> = std::env::vars_os()
        .filter(|(name, _)| name.as_encoded_bytes().starts_with(b"AWS_"))
        .collect();
    variables.sort();
    let mut hasher = blake3::Hasher::new();
    for text in variables.iter().flat_map(|(name, value)| [name, value]) {
        hasher.update(text.as_encoded_bytes());
        hasher.update(&[0]);
    }
    hasher.finalize()
}

/// Connections for requests that do not come from the SDK.
pub(crate) fn connector() -> Connector {
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT).build();
    let tls = Provider::Rustls(CryptoMode::Ring);
    Connector::builder().tls_provider(tls).connector_settings(settings).build()
}

impl Account {
    /// Opens a way to AWS, once for each process, `access` and environment. Makes no request to a service, so what is wrong shows with
    /// the first call. Where nothing else says which region, the metadata of an instance may be asked.
    ///
    /// Credentials, region and endpoints come from `access` where it says so, else from where all AWS tools
    /// take them: environment, shared configuration files with their profiles, single sign-on, and the roles
    /// of containers and instances. They are fetched again before they expire.
    pub async fn open(access: Access, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        let key = (std::process::id(), access, environment());
        let found = OPENED.lock().as_ref().and_then(|opened| opened.get(&key).cloned());
        let shared = match found {
            Some(shared) => shared,
            None => {
                let config = load(&key.1).await;
                let made = Arc::new(Shared::new(key.1.clone(), config, &clock));
                let mut opened = OPENED.lock();
                Arc::clone(opened.get_or_insert_default().entry(key).or_insert(made))
            }
        };
        Self { shared, region: None, clock, ids }
    }

    /// A way to AWS by a configuration made elsewhere, shared with nobody.
    pub fn with_config(config: SdkConfig, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        let shared = Arc::new(Shared::new(Access::default(), config, &clock));
        Self { shared, region: None, clock, ids }
    }

    /// The same account in another region.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        Self { region: Some(region.to_owned()), ..self.clone() }
    }

    /// The region calls go to. `None` if nothing says which; calls then fail and say so.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref().or_else(|| self.shared.config.region().map(AsRef::as_ref))
    }

    /// What the caller decided instead of the environment.
    pub fn access(&self) -> &Access {
        &self.shared.access
    }

    /// The wall clock of AWS, and this machine's monotonic clock.
    pub fn time(&self) -> ServerTime {
        self.shared.time.clone()
    }

    /// The client for ECS. It tries again by itself.
    pub fn ecs(&self) -> aws_sdk_ecs::Client {
        let config = aws_sdk_ecs::config::Builder::from(&self.shared.config)
            .region(self.sdk_region(Service::Ecs))
            .retry_config(retries())
            .timeout_config(timeouts());
        aws_sdk_ecs::Client::from_conf(config.build())
    }

    /// The client for S3. It makes one try for each call: what is tried again, and when,
    /// is decided above it.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        match &self.region {
            Some(_) => self.new_s3(),
            None => self.shared.s3.get_or_init(|| self.new_s3()).clone(),
        }
    }

    fn new_s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.shared.config)
            .region(self.sdk_region(Service::S3))
            .interceptor(self.time())
            .force_path_style(self.other_server(Service::S3).is_some())
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled().grace_period(STALLED).build(),
            );
        aws_sdk_s3::Client::from_conf(config.build())
    }

    fn sdk_region(&self, service: Service) -> Option<Region> {
        self.region_of(service).map(Region::new)
    }

    /// The region that requests to a service are signed for.
    pub(crate) fn region_of(&self, service: Service) -> Option<String> {
        let any = || self.other_server(service).map(|_| ANY_REGION.to_owned());
        self.region().map(ToOwned::to_owned).or_else(any)
    }

    /// The address of a service where it is not AWS's own: from `access`, `AWS_ENDPOINT_URL_<SERVICE>`,
    /// `AWS_ENDPOINT_URL`, or the profile, in this order.
    pub(crate) fn other_server(&self, service: Service) -> Option<String> {
        if let Some(endpoint) = &self.shared.access.endpoint {
            return Some(endpoint.clone());
        }
        let key = ServiceConfigKey::builder()
            .service_id(service.id())
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok();
        let config = &self.shared.config;
        let own = key.and_then(|key| config.service_config().and_then(|c| c.load_config(key)));
        own.or_else(|| config.endpoint_url().map(ToOwned::to_owned))
    }

    /// Connections for requests that do not come from the SDK.
    pub(crate) fn connector(&self) -> &Connector {
        self.shared.connector.get_or_init(connector)
    }

    /// Who the credentials belong to.
    ///
    /// # Errors
    /// [`CallError`]: mostly that there are none, or that they have expired.
    pub async fn caller(&self) -> Result<Caller, CallError> {
        let call = Call::new(Service::Sts, "GetCallerIdentity");
        let answer = self.query(&call, &[]).await?;
        let result = answer.at("GetCallerIdentityResponse/GetCallerIdentityResult");
        let text = |name: &str| result.and_then(|result| result.text(name));
        match (text("Account"), text("Arn")) {
            (Some(account), Some(arn)) => {
                Ok(Caller { account: account.to_owned(), arn: arn.to_owned() })
            }
            (_, _) => Err(self.unreadable(&call, "no account in the answer")),
        }
    }
}

impl Shared {
    fn new(access: Access, config: SdkConfig, clock: &Arc<dyn Clock>) -> Self {
        let time = ServerTime::new(Arc::clone(clock));
        let identity = IdentityCache::new(config.credentials_provider());
        Self { access, config, time, identity, connector: OnceLock::new(), s3: OnceLock::new() }
    }
}

async fn load(access: &Access) -> SdkConfig {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
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
    loader.load().await
}

pub(crate) fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(TRIES)
}

pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(TRY_LIMIT).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_types::service_config::LoadServiceConfig;
    use starburst_local::{SystemClock, SystemIds};

    /// What `AWS_ENDPOINT_URL_ECS` would say.
    #[derive(Debug)]
    struct OnlyEcs;
    impl LoadServiceConfig for OnlyEcs {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            (key.service_id() == "ECS").then(|| "http://ecs.test".to_owned())
        }
    }

    fn account(config: SdkConfig) -> Account {
        Account::with_config(config, Arc::new(SystemClock::default()), Arc::new(SystemIds))
    }

    #[test]
    fn a_service_is_asked_where_its_own_variable_says_and_else_where_all_are() {
        let config = SdkConfig::builder().service_config(OnlyEcs).endpoint_url("http://all.test");
        let account = account(config.build());
        assert_eq!(account.other_server(Service::Ecs).as_deref(), Some("http://ecs.test"));
        assert_eq!(account.other_server(Service::Sts).as_deref(), Some("http://all.test"));
        assert_eq!(account.region_of(Service::Sts).as_deref(), Some(ANY_REGION));
    }

    #[test]
    fn aws_itself_needs_a_region() {
        let account = account(SdkConfig::builder().build());
        assert_eq!(
            (account.other_server(Service::Sts), account.region_of(Service::Sts)),
            (None, None)
        );
        assert_eq!(account.in_region("eu-west-1").region(), Some("eu-west-1"));
    }

    #[tokio::test]
    async fn no_region_is_told_before_anything_is_sent() {
        let error = account(SdkConfig::builder().build()).caller().await.unwrap_err();
        assert_eq!(error.to_string(), "no AWS region is set for STS GetCallerIdentity");
        assert!(error.advice().unwrap().contains("aws configure set region"));
    }
}
