//! The prices themselves, in USD an hour, without tax. To bring them up to date, change the rows and the dates.
use super::Architecture::{self, Arm, X86};

/// When the Fargate table was compared with AWS's own price list: the offer `AmazonECS` of 11 September 2026.
pub(super) const FARGATE_AS_OF: &str = "2026-09";

/// When the table of instances was seen.
pub(super) const EC2_AS_OF: &str = "2026-07";

/// What Fargate costs in one region. What is not known is `None`, and is estimated on the dear side.
#[derive(Debug)]
pub(super) struct FargateRegion {
    pub(super) name: &'static str,
    /// x86, On-Demand: for a vCPU and for a GB of memory.
    pub(super) x86: (f64, f64),
    /// ARM, On-Demand: for a vCPU and for a GB of memory.
    pub(super) arm: Option<(f64, f64)>,
    /// A GB of ephemeral storage above the free ones.
    pub(super) storage: Option<f64>,
}

const fn region(
    name: &'static str,
    x86: (f64, f64),
    arm: Option<(f64, f64)>,
    storage: Option<f64>,
) -> FargateRegion {
    FargateRegion { name, x86, arm, storage }
}

/// Fargate for Linux, by region.
#[rustfmt::skip]
pub(super) const FARGATE: &[FargateRegion] = &[
    region("af-south-1", (0.0546, 0.006), None, None),
    region("ap-east-1", (0.0556, 0.0061), None, None),
    region("ap-northeast-1", (0.05056, 0.00553), None, Some(0.000133)),
    region("ap-northeast-2", (0.04656, 0.00511), None, None),
    region("ap-south-1", (0.04256, 0.004655), Some((0.02383, 0.00261)), None),
    region("ap-southeast-1", (0.05056, 0.00553), None, None),
    region("ap-southeast-2", (0.04856, 0.00532), Some((0.03885, 0.00426)), None),
    region("ca-central-1", (0.04456, 0.004865), None, None),
    region("eu-central-1", (0.04656, 0.00511), None, None),
    region("eu-north-1", (0.0445, 0.0049), None, None),
    region("eu-south-1", (0.0486, 0.0053), None, None),
    region("eu-west-1", (0.04048, 0.004445), Some((0.03238, 0.00356)), None),
    region("eu-west-2", (0.04656, 0.00511), Some((0.03725, 0.00409)), Some(0.000129)),
    region("eu-west-3", (0.0486, 0.0053), None, None),
    region("me-south-1", (0.0526, 0.0058), None, None),
    region("sa-east-1", (0.0696, 0.0076), Some((0.0557, 0.00612)), None),
    region("us-east-1", (0.04048, 0.004445), Some((0.03238, 0.00356)), Some(0.000111)),
    region("us-east-2", (0.04048, 0.004445), None, None),
    region("us-gov-east-1", (0.0486, 0.0053), None, None),
    region("us-gov-west-1", (0.0486, 0.0053), None, None),
    region("us-west-1", (0.04656, 0.00511), None, None),
    region("us-west-2", (0.04048, 0.004445), None, None),
];

/// An instance type, On-Demand with Linux in us-east-1.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) name: &'static str,
    pub(super) architecture: Architecture,
    pub(super) vcpu: u32,
    pub(super) memory_gib: u32,
    pub(super) usd: f64,
}

const fn instance(
    name: &'static str,
    architecture: Architecture,
    vcpu: u32,
    memory_gib: u32,
    usd: f64,
) -> Instance {
    Instance { name, architecture, vcpu, memory_gib, usd }
}

/// Some instance types, from one public table. Families whose row there equals that of an older family (7a, 8a, 7g
/// with much memory, 8g) are left out: the Pricing API knows them, and all others.
#[rustfmt::skip]
pub(super) const EC2: &[Instance] = &[
    instance("c7g.large", Arm, 2, 4, 0.0725),
    instance("c7g.xlarge", Arm, 4, 8, 0.145),
    instance("c7g.2xlarge", Arm, 8, 16, 0.29),
    instance("c7g.4xlarge", Arm, 16, 32, 0.58),
    instance("c7g.8xlarge", Arm, 32, 64, 1.16),
    instance("c7g.12xlarge", Arm, 48, 96, 1.74),
    instance("c7g.16xlarge", Arm, 64, 128, 2.32),
    instance("m7g.large", Arm, 2, 8, 0.0816),
    instance("m7g.xlarge", Arm, 4, 16, 0.1632),
    instance("m7g.2xlarge", Arm, 8, 32, 0.3264),
    instance("c6a.large", X86, 2, 4, 0.0765),
    instance("c6a.xlarge", X86, 4, 8, 0.153),
    instance("c6a.2xlarge", X86, 8, 16, 0.306),
    instance("c6a.4xlarge", X86, 16, 32, 0.612),
    instance("m6a.large", X86, 2, 8, 0.0864),
    instance("m6a.xlarge", X86, 4, 16, 0.1728),
    instance("m6a.2xlarge", X86, 8, 32, 0.3456),
    instance("r6a.large", X86, 2, 16, 0.1134),
    instance("r6a.xlarge", X86, 4, 32, 0.2268),
    instance("r6a.2xlarge", X86, 8, 64, 0.4536),
    instance("r6a.4xlarge", X86, 16, 128, 0.9072),
    instance("c6i.large", X86, 2, 4, 0.085),
    instance("c6i.xlarge", X86, 4, 8, 0.17),
    instance("c6i.2xlarge", X86, 8, 16, 0.34),
    instance("c6i.4xlarge", X86, 16, 32, 0.68),
    instance("m6i.large", X86, 2, 8, 0.096),
    instance("m6i.xlarge", X86, 4, 16, 0.192),
    instance("m6i.2xlarge", X86, 8, 32, 0.384),
    instance("r6i.large", X86, 2, 16, 0.126),
    instance("r6i.xlarge", X86, 4, 32, 0.252),
    instance("r6i.2xlarge", X86, 8, 64, 0.504),
    instance("r6i.4xlarge", X86, 16, 128, 1.008),
    instance("c7i.large", X86, 2, 4, 0.0893),
    instance("c7i.xlarge", X86, 4, 8, 0.1785),
    instance("c7i.2xlarge", X86, 8, 16, 0.357),
    instance("c7i.4xlarge", X86, 16, 32, 0.714),
    instance("c7i.8xlarge", X86, 32, 64, 1.428),
    instance("c7i.12xlarge", X86, 48, 96, 2.142),
    instance("c7i.16xlarge", X86, 64, 128, 2.856),
    instance("c8i.large", X86, 2, 4, 0.0935),
    instance("c8i.xlarge", X86, 4, 8, 0.187),
    instance("c8i.2xlarge", X86, 8, 16, 0.374),
    instance("c8i.4xlarge", X86, 16, 32, 0.748),
    instance("c8i.8xlarge", X86, 32, 64, 1.496),
    instance("c8i.12xlarge", X86, 48, 96, 2.244),
    instance("c8i.16xlarge", X86, 64, 128, 2.992),
    instance("t4g.small", Arm, 2, 2, 0.0168),
    instance("t4g.medium", Arm, 2, 4, 0.0336),
    instance("t4g.large", Arm, 2, 8, 0.0672),
];
