//! How a stand-in behaves.
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Fargate On-Demand vCPUs.
pub const FARGATE_ON_DEMAND: &str = "L-3032A538";
/// Fargate Spot vCPUs.
pub const FARGATE_SPOT: &str = "L-36FBB829";
/// vCPUs of running EC2 On-Demand standard instances.
pub const EC2_ON_DEMAND: &str = "L-1216C47A";
/// vCPUs of EC2 standard Spot instances.
pub const EC2_SPOT: &str = "L-34B43A08";

/// What a stand-in is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Twelve digits.
    pub account: String,
    /// All names are in this region.
    pub region: String,
    /// Clusters that are there from the start, with the providers of Fargate.
    pub clusters: Vec<String>,
    /// EC2 capacity providers that are there from the start, in no cluster.
    pub capacity_providers: Vec<String>,
    /// What each task runs, before the container's command; the entry point of the image, so to speak.
    pub program: Vec<String>,
    /// The environment of each task beside that of its container.
    pub environment: Vec<(String, String)>,
    /// Secrets by their ARNs, which the execution role may read.
    pub secrets: BTreeMap<String, String>,
    /// From RunTask to RUNNING.
    pub start_delay: Duration,
    /// From an interruption of Spot to SIGKILL; 120 s on AWS. A shorter stop timeout of the container wins.
    pub spot_notice: Duration,
    /// The longest that a stop waits before SIGKILL, whatever the container says; for tests in a hurry.
    pub stop_timeout: Option<Duration>,
    /// From a task that finds no room to a new EC2 instance.
    pub ec2_delay: Duration,
    /// From the last task of an EC2 instance to its end.
    pub ec2_idle: Duration,
    /// The most EC2 instances of one capacity provider.
    pub ec2_most: usize,
    /// Quotas by code, in vCPUs; `None` was never changed, so that `GetServiceQuota` knows nothing of it and the default holds.
    pub quotas: BTreeMap<String, Option<f64>>,
    /// Whether calls of RunTask and launches on Fargate are limited as on AWS.
    pub limits: bool,
    /// Where the lines go that workers write, `http://host:port` of an endpoint of CloudWatch Logs.
    pub logs_endpoint: Option<String>,
    /// Where clusters, capacity providers and buckets come from that are not known here, `http://host:port`.
    pub moto: Option<String>,
    /// A file that all requests are appended to.
    pub record: Option<PathBuf>,
}

impl Default for Settings {
    /// An account without a cluster, and with quotas that no test meets by chance. Tasks run `/bin/true`.
    fn default() -> Self {
        let codes = [FARGATE_ON_DEMAND, FARGATE_SPOT, EC2_ON_DEMAND, EC2_SPOT];
        Self {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            clusters: Vec::new(),
            capacity_providers: Vec::new(),
            program: vec!["/bin/true".to_owned()],
            environment: Vec::new(),
            secrets: BTreeMap::new(),
            start_delay: Duration::from_millis(100),
            spot_notice: Duration::from_secs(120),
            stop_timeout: None,
            ec2_delay: Duration::from_millis(500),
            ec2_idle: Duration::from_secs(2),
            ec2_most: 200,
            quotas: codes.into_iter().map(|code| (code.to_owned(), Some(4_000.0))).collect(),
            limits: true,
            logs_endpoint: None,
            moto: None,
            record: None,
        }
    }
}
