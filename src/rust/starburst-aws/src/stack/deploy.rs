//! Making a stack be as a template says, from whatever state it is in.
use super::{
    OnEvent, Stack, StackError, StackEvent, call,
    delete::remove,
    events::{Events, From},
    find,
    status::Next,
    watch::{Deadline, settled},
};
use crate::{
    account::Account,
    call::{CallError, Meaning},
};
use std::collections::{BTreeMap, BTreeSet};

/// The longest template that fits into a request, in bytes (AWS, November 2026).
const LONGEST: usize = 51_200;
/// Looks at one stack that somebody else keeps changing.
const LOOKS: u32 = 8;

/// What a stack shall be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployment {
    /// The stack's name.
    pub name: String,
    /// The template itself.
    pub template: String,
    /// Values of parameters. Those not named here keep what a stack has already, or are the template's defaults.
    pub parameters: BTreeMap<String, String>,
    /// Tags of the stack and of all that is made with it.
    pub tags: BTreeMap<String, String>,
}

/// Creates or updates a stack and waits until it is done. The same call again changes nothing, goes on
/// watching, or begins anew, whichever is left to do.
///
/// # Errors
/// [`StackError`], with the event that says why, where CloudFormation failed.
pub async fn deploy(
    account: &Account,
    deployment: &Deployment,
    on_event: OnEvent<'_>,
) -> Result<Stack, StackError> {
    let bytes = deployment.template.len();
    if bytes > LONGEST {
        return Err(StackError::LongTemplate { bytes, most: LONGEST });
    }
    let name = deployment.name.as_str();
    let deadline = Deadline::new(account);
    for _ in 0..LOOKS {
        let Some(stack) = find(account, name).await? else {
            let Some(id) = create(account, deployment).await? else { continue };
            let mut events = Events::new(account, &id, From::Start);
            let end = settled(account, name, &id, &mut events, deadline, on_event).await?;
            return well(name, end, events);
        };
        match stack.status.next() {
            Next::Join => {
                let mut events = Events::new(account, &stack.id, From::Operation);
                let end =
                    settled(account, name, &stack.id, &mut events, deadline, on_event).await?;
                well(name, end, events)?;
            }
            Next::Wait => {
                let mut events = Events::new(account, &stack.id, From::Operation);
                settled(account, name, &stack.id, &mut events, deadline, on_event).await?;
            }
            Next::Anew => remove(account, &stack, deadline, on_event).await?,
            Next::Update => {
                let mut events = Events::after_now(account, &stack.id).await?;
                match update(account, deployment, &stack).await? {
                    Update::Nothing => return Ok(stack),
                    Update::Busy => {}
                    Update::Begun => {
                        let end =
                            settled(account, name, &stack.id, &mut events, deadline, on_event)
                                .await?;
                        return well(name, end, events);
                    }
                }
            }
            Next::Stuck => {
                let mut events = Events::new(account, &stack.id, From::Operation);
                events.tell(&mut |_| {}).await?;
                let cause = events.cause.map(Box::new);
                return Err(failed(stack, cause));
            }
        }
    }
    Err(StackError::Restless { name: name.to_owned() })
}

/// The stack, if what was done to it went well.
fn well(name: &str, end: Option<Stack>, events: Events<'_>) -> Result<Stack, StackError> {
    match end {
        Some(stack) if stack.status.is_well() => Ok(stack),
        Some(stack) => Err(failed(stack, events.cause.map(Box::new))),
        None => Err(StackError::Failed {
            name: name.to_owned(),
            status: "DELETE_COMPLETE".to_owned(),
            cause: events.cause.map(Box::new),
            reason: None,
        }),
    }
}

fn failed(stack: Stack, cause: Option<Box<StackEvent>>) -> StackError {
    StackError::Failed {
        name: stack.name,
        status: stack.status.to_string(),
        cause,
        reason: stack.reason,
    }
}

/// Begins to create the stack. `None`: somebody else did.
async fn create(account: &Account, deployment: &Deployment) -> Result<Option<String>, StackError> {
    let call = call("CreateStack", &deployment.name);
    let values = deployment.parameters.iter();
    let values = values.map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
    match account.query(&call, &parameters(account, deployment, &values)).await {
        Ok(answer) => {
            let id = answer.text("CreateStackResponse/CreateStackResult/StackId");
            let id = id.ok_or_else(|| account.unreadable(&call, "no stack id in the answer"))?;
            Ok(Some(id.to_owned()))
        }
        Err(error) if error.meaning() == Meaning::Exists => Ok(None),
        Err(error) => Err(error.into()),
    }
}

enum Update {
    Begun,
    /// It is as it shall be.
    Nothing,
    /// Somebody else began to change it.
    Busy,
}

async fn update(
    account: &Account,
    deployment: &Deployment,
    stack: &Stack,
) -> Result<Update, StackError> {
    let mut values: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    // What is not named would go back to the template's default: an administrator's choice would be lost.
    let unnamed = stack.parameters.keys().filter(|name| !deployment.parameters.contains_key(*name));
    let unnamed: Vec<&str> = unnamed.map(String::as_str).collect();
    if !unnamed.is_empty() {
        let known = known_parameters(account, deployment).await?;
        values.extend(unnamed.into_iter().filter(|name| known.contains(*name)).map(|n| (n, None)));
    }
    let given = deployment.parameters.iter();
    values.extend(given.map(|(name, value)| (name.as_str(), Some(value.as_str()))));
    let call = call("UpdateStack", &deployment.name);
    match account.query(&call, &parameters(account, deployment, &values)).await {
        Ok(_) => Ok(Update::Begun),
        Err(error) => {
            let words = error.words();
            if words.contains("No updates are to be performed") {
                Ok(Update::Nothing)
            } else if words.contains("_IN_PROGRESS state and can not be updated") {
                Ok(Update::Busy)
            } else {
                Err(error.into())
            }
        }
    }
}

/// The parameters of the new template: a stack's value of one that it no longer has cannot be kept.
async fn known_parameters(
    account: &Account,
    deployment: &Deployment,
) -> Result<BTreeSet<String>, CallError> {
    let call = call("GetTemplateSummary", &deployment.name);
    let template = [("TemplateBody".to_owned(), deployment.template.clone())];
    let answer = account.query(&call, &template).await?;
    let list = "GetTemplateSummaryResponse/GetTemplateSummaryResult/Parameters";
    let names = answer.items(list).iter().filter_map(|item| item.text("ParameterKey"));
    Ok(names.map(ToOwned::to_owned).collect())
}

/// The request; a parameter without a value keeps the one it has.
fn parameters(
    account: &Account,
    deployment: &Deployment,
    values: &BTreeMap<&str, Option<&str>>,
) -> Vec<(String, String)> {
    let token = format!("starburst-{:016x}", account.ids.random());
    let mut all = vec![
        ("StackName".to_owned(), deployment.name.clone()),
        ("TemplateBody".to_owned(), deployment.template.clone()),
        ("Capabilities.member.1".to_owned(), "CAPABILITY_NAMED_IAM".to_owned()),
        // A try that got no answer is recognised when it comes again.
        ("ClientRequestToken".to_owned(), token),
    ];
    for (place, (name, value)) in values.iter().enumerate() {
        let member = format!("Parameters.member.{}", place + 1);
        all.push((format!("{member}.ParameterKey"), (*name).to_owned()));
        all.push(match value {
            Some(value) => (format!("{member}.ParameterValue"), (*value).to_owned()),
            None => (format!("{member}.UsePreviousValue"), "true".to_owned()),
        });
    }
    for (place, (key, value)) in deployment.tags.iter().enumerate() {
        let member = format!("Tags.member.{}", place + 1);
        all.push((format!("{member}.Key"), key.clone()));
        all.push((format!("{member}.Value"), value.clone()));
    }
    all
}
