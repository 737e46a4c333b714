//! The services that are called: their names, their protocols, their addresses.

/// A service of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Stacks.
    CloudFormation,
    /// What workers print.
    CloudWatchLogs,
    /// Spot prices.
    Ec2,
    /// Images.
    Ecr,
    /// Tasks.
    Ecs,
    /// Roles.
    Iam,
    /// Prices.
    Pricing,
    /// Objects.
    S3,
    /// Limits.
    ServiceQuotas,
    /// Who calls.
    Sts,
}

/// How a service is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// AWS JSON; operations are named `<target>.<operation>`.
    Json { target: &'static str, version: &'static str },
    /// Parameters of a form, answers in XML.
    Query { version: &'static str },
    /// Neither: only the SDK speaks it.
    Rest,
}

impl Service {
    /// As AWS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Service::CloudFormation => "CloudFormation",
            Service::CloudWatchLogs => "CloudWatch Logs",
            Service::Ec2 => "EC2",
            Service::Ecr => "ECR",
            Service::Ecs => "ECS",
            Service::Iam => "IAM",
            Service::Pricing => "Pricing",
            Service::S3 => "S3",
            Service::ServiceQuotas => "Service Quotas",
            Service::Sts => "STS",
        }
    }

    /// What configuration files and environment variables are named after.
    pub(crate) fn id(self) -> &'static str {
        self.name()
    }

    /// What its IAM actions begin with, which is also the name in its signatures.
    pub fn prefix(self) -> &'static str {
        match self {
            Service::CloudFormation => "cloudformation",
            Service::CloudWatchLogs => "logs",
            Service::Ec2 => "ec2",
            Service::Ecr => "ecr",
            Service::Ecs => "ecs",
            Service::Iam => "iam",
            Service::Pricing => "pricing",
            Service::S3 => "s3",
            Service::ServiceQuotas => "servicequotas",
            Service::Sts => "sts",
        }
    }

    /// Versions as in the services' models (AWS, November 2026).
    pub(crate) fn protocol(self) -> Protocol {
        let json = |target| Protocol::Json { target, version: "1.1" };
        let query = |version| Protocol::Query { version };
        match self {
            Service::CloudFormation => query("2010-05-15"),
            Service::CloudWatchLogs => json("Logs_20140328"),
            Service::Ec2 => query("2016-11-15"),
            Service::Ecr => json("AmazonEC2ContainerRegistry_V20150921"),
            Service::Ecs => json("AmazonEC2ContainerServiceV20141113"),
            Service::Iam => query("2010-05-08"),
            Service::Pricing => json("AWSPriceListService"),
            Service::S3 => Protocol::Rest,
            Service::ServiceQuotas => json("ServiceQuotasV20190624"),
            Service::Sts => query("2011-06-15"),
        }
    }

    /// Its address for callers in a region, and the region to sign for.
    ///
    /// Prices and roles are kept in one region of each partition.
    pub(crate) fn address(self, region: &str) -> (String, String) {
        let suffix = suffix(region);
        let there = |host: &str, home: &str| (format!("https://{host}.{suffix}"), home.to_owned());
        let china = region.starts_with("cn-");
        match self {
            Service::Pricing if china => there("api.pricing.cn-northwest-1", "cn-northwest-1"),
            Service::Pricing => {
                ("https://api.pricing.us-east-1.amazonaws.com".into(), "us-east-1".into())
            }
            Service::Iam if china => there("iam.cn-north-1", "cn-north-1"),
            Service::Iam if region.starts_with("us-gov-") => there("iam.us-gov", "us-gov-west-1"),
            Service::Iam => there("iam", "us-east-1"),
            Service::Ecr => there(&format!("api.ecr.{region}"), region),
            Service::CloudFormation
            | Service::CloudWatchLogs
            | Service::Ec2
            | Service::Ecs
            | Service::S3
            | Service::ServiceQuotas
            | Service::Sts => there(&format!("{}.{region}", self.prefix()), region),
        }
    }
}

/// What the names of a region's servers end with (partitions of AWS, November 2026).
fn suffix(region: &str) -> &'static str {
    let of = |start: &str| region.starts_with(start);
    match () {
        () if of("cn-") => "amazonaws.com.cn",
        () if of("eusc-") => "amazonaws.eu",
        () => "amazonaws.com",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_region_or_of_its_partition() {
        for (service, region, address, signed) in [
            (
                Service::CloudFormation,
                "eu-west-1",
                "https://cloudformation.eu-west-1.amazonaws.com",
                "eu-west-1",
            ),
            (
                Service::CloudFormation,
                "cn-north-1",
                "https://cloudformation.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
            ),
            (Service::Ecr, "us-east-2", "https://api.ecr.us-east-2.amazonaws.com", "us-east-2"),
            (Service::Iam, "eu-west-1", "https://iam.amazonaws.com", "us-east-1"),
            (Service::Sts, "eu-west-1", "https://sts.eu-west-1.amazonaws.com", "eu-west-1"),
            (
                Service::Pricing,
                "eu-west-1",
                "https://api.pricing.us-east-1.amazonaws.com",
                "us-east-1",
            ),
        ] {
            assert_eq!(service.address(region), (address.to_owned(), signed.to_owned()));
        }
    }
}
