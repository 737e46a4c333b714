//! Which service and operation a request asks for, by its `X-Amz-Target`.

/// A service that the stand-in knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Ecs,
    Quotas,
    Pricing,
}

impl Service {
    const TARGETS: [(&'static str, Self); 3] = [
        ("AmazonEC2ContainerServiceV20141113", Self::Ecs),
        ("ServiceQuotasV20190624", Self::Quotas),
        ("AWSPriceListService", Self::Pricing),
    ];

    /// The name in a signature, which is also that of its permissions.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ecs => "ecs",
            Self::Quotas => "servicequotas",
            Self::Pricing => "pricing",
        }
    }

    /// The service and the name of the operation, which may be one that the service does not have.
    pub(super) fn of(target: &str) -> Option<(Self, &str)> {
        let (prefix, operation) = target.split_once('.')?;
        let (_, service) = Self::TARGETS.into_iter().find(|(name, _)| *name == prefix)?;
        Some((service, operation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_service_and_operation() {
        let found = Service::of("AmazonEC2ContainerServiceV20141113.RunTask");
        assert_eq!(found, Some((Service::Ecs, "RunTask")));
        assert_eq!(Service::of("Logs_20140328.PutLogEvents"), None);
        assert_eq!(Service::of("RunTask"), None);
    }
}
