//! Roles: whether one is there, and the one that ECS makes for itself.
use crate::{
    account::Account,
    call::{Call, CallError, Meaning, Service},
};

/// Whether a role exists, by its ARN.
pub(crate) async fn exists(account: &Account, arn: &str) -> Result<bool, CallError> {
    let name = arn.rsplit('/').next().unwrap_or(arn);
    let call = Call::new(Service::Iam, "GetRole").on(name);
    match account.query(&call, &[("RoleName".into(), name.into())]).await {
        Ok(_) => Ok(true),
        Err(error) if error.meaning() == Meaning::Absent => Ok(false),
        Err(error) => Err(error),
    }
}

/// What became of the wish for a service-linked role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkedRole {
    /// It was made.
    Made,
    /// It was there.
    There,
    /// The caller may not make one; mostly an account has it already.
    Denied,
}

/// Makes the role that ECS does its work with in this account, once for an account.
pub(crate) async fn ecs_linked_role(account: &Account) -> Result<LinkedRole, CallError> {
    let service = "ecs.amazonaws.com";
    let call = Call::new(Service::Iam, "CreateServiceLinkedRole").on(service);
    match account.query(&call, &[("AWSServiceName".into(), service.into())]).await {
        Ok(_) => Ok(LinkedRole::Made),
        Err(error) => taken(&error).ok_or(error),
    }
}

fn taken(error: &CallError) -> Option<LinkedRole> {
    // IAM has no code of its own for a role that is there: "Service role name ... has been taken in this account".
    if error.meaning() == Meaning::Exists || error.words().contains("has been taken") {
        return Some(LinkedRole::There);
    }
    (error.meaning() == Meaning::Denied).then_some(LinkedRole::Denied)
}
