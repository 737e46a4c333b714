//! The CloudFormation stack that holds everything of one installation in one region.
//!
//! [`deploy`] makes it be as a template says, from whatever state it is in; [`delete`] removes it. Both tell
//! each event once, in order, while they wait. Dropping the future stops the waiting, not what AWS does:
//! the same call goes on watching later.
mod delete;
mod deploy;
mod error;
mod events;
mod outputs;
mod status;
mod watch;

pub use delete::delete;
pub use deploy::{Deployment, deploy};
pub use error::StackError;
pub use events::StackEvent;
pub use outputs::StackOutputs;
pub use status::StackStatus;

use crate::{
    account::Account,
    call::{Call, CallError, Meaning, Service, Xml},
};
use std::collections::BTreeMap;

/// Pages of one listing that are read; more is no listing of ours.
const PAGES: usize = 100;

/// Told of each event while waiting.
pub type OnEvent<'a> = &'a mut (dyn FnMut(&StackEvent) + Send);

/// A stack, as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Its name, used again by later stacks.
    pub name: String,
    /// Its ARN, used once.
    pub id: String,
    /// What it is doing, or how the last thing it did ended.
    pub status: StackStatus,
    /// Why, if AWS says.
    pub reason: Option<String>,
    /// What it tells of itself, by name.
    pub outputs: BTreeMap<String, String>,
    /// What it was told, by name.
    pub parameters: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Which template it was made from: the output `TemplateVersion`.
    pub template_version: Option<String>,
}

impl Stack {
    fn read(xml: &Xml) -> Option<Self> {
        let pairs = |list: &str, key: &str, value: &str| -> BTreeMap<String, String> {
            let pair = |item: &Xml| {
                let text = item.text(value).unwrap_or_default().to_owned();
                Some((item.text(key)?.to_owned(), text))
            };
            xml.items(list).iter().filter_map(pair).collect()
        };
        let outputs = pairs("Outputs", "OutputKey", "OutputValue");
        Some(Self {
            name: xml.text("StackName")?.to_owned(),
            id: xml.text("StackId")?.to_owned(),
            status: StackStatus::new(xml.text("StackStatus")?),
            reason: xml.text("StackStatusReason").map(ToOwned::to_owned),
            template_version: outputs.get("TemplateVersion").cloned(),
            outputs,
            parameters: pairs("Parameters", "ParameterKey", "ParameterValue"),
            tags: pairs("Tags", "Key", "Value"),
        })
    }
}

fn call<'a>(operation: &'a str, stack: &'a str) -> Call<'a> {
    Call::new(Service::CloudFormation, operation).on(stack)
}

/// Looks for a stack by its name or ARN. One that has been deleted is not there.
///
/// # Errors
/// [`CallError`].
pub async fn find(account: &Account, name: &str) -> Result<Option<Stack>, CallError> {
    let call = call("DescribeStacks", name);
    let answer = match account.query(&call, &[("StackName".into(), name.into())]).await {
        Ok(answer) => answer,
        Err(error) if error.meaning() == Meaning::Absent => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = answer.items("DescribeStacksResponse/DescribeStacksResult/Stacks").first();
    let Some(found) = found else { return Ok(None) };
    let stack = Stack::read(found)
        .ok_or_else(|| account.unreadable(&call, "a stack without name, id or status"))?;
    Ok(Some(stack).filter(|stack| !stack.status.is_gone()))
}

/// The stacks of this region whose names begin like this, by name.
///
/// # Errors
/// [`CallError`].
pub async fn beginning_with(account: &Account, prefix: &str) -> Result<Vec<Stack>, CallError> {
    let call = Call::new(Service::CloudFormation, "DescribeStacks");
    let mut found = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..PAGES {
        let page: Vec<_> = next.iter().map(|token| ("NextToken".into(), token.clone())).collect();
        let answer = account.query(&call, &page).await?;
        let stacks = answer.items("DescribeStacksResponse/DescribeStacksResult/Stacks");
        let ours = stacks.iter().filter_map(Stack::read);
        found.extend(ours.filter(|s| s.name.starts_with(prefix) && !s.status.is_gone()));
        next = answer
            .text("DescribeStacksResponse/DescribeStacksResult/NextToken")
            .map(ToOwned::to_owned);
        if next.is_none() {
            break;
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

#[cfg(test)]
mod tests;
