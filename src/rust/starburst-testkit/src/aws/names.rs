//! Identifiers and ARNs.
use std::hash::{BuildHasher, RandomState};

/// The account and region that all names are in.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) account: String,
    pub(super) region: String,
}

impl Names {
    fn ecs(&self, rest: &str) -> String {
        format!("arn:aws:ecs:{}:{}:{rest}", self.region, self.account)
    }

    pub(super) fn cluster(&self, name: &str) -> String {
        self.ecs(&format!("cluster/{name}"))
    }

    pub(super) fn task(&self, cluster: &str, id: &str) -> String {
        self.ecs(&format!("task/{cluster}/{id}"))
    }

    pub(super) fn container(&self, cluster: &str, id: &str) -> String {
        self.ecs(&format!("container/{cluster}/{id}/{}", uuid(id)))
    }

    pub(super) fn instance(&self, cluster: &str, id: &str) -> String {
        self.ecs(&format!("container-instance/{cluster}/{id}"))
    }

    pub(super) fn definition(&self, family: &str, revision: usize) -> String {
        self.ecs(&format!("task-definition/{family}:{revision}"))
    }

    pub(super) fn provider(&self, name: &str) -> String {
        self.ecs(&format!("capacity-provider/{name}"))
    }

    pub(super) fn quota(&self, service: &str, code: &str) -> String {
        format!("arn:aws:servicequotas:{}:{}:{service}/{code}", self.region, self.account)
    }

    /// Whoever it is that calls, as messages of IAM name them.
    pub(super) fn user(&self) -> String {
        format!("arn:aws:iam::{}:user/researcher", self.account)
    }
}

/// What is behind the last slash of an ARN; a plain name is itself.
pub(super) fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// 32 hexadecimal digits that nobody else has, not even another stand-in on this machine.
pub(super) fn fresh_id() -> String {
    // Each `RandomState` has keys of its own, from the system's random numbers.
    let half = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", half(), half())
}

/// An identifier in the form of a UUID, made of another identifier.
pub(super) fn uuid(id: &str) -> String {
    let part = |from: usize, to: usize| id.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_form_of_aws() {
        let names = Names { account: "123456789012".into(), region: "eu-west-1".into() };
        let id = fresh_id();
        assert_eq!(id.len(), 32);
        assert_ne!(id, fresh_id());
        let arn = names.task("lab", &id);
        assert_eq!(arn, format!("arn:aws:ecs:eu-west-1:123456789012:task/lab/{id}"));
        assert_eq!(short(&arn), id);
        assert_eq!(uuid(&id).len(), 36);
    }
}
