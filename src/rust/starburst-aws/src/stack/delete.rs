//! Removing a stack.
use super::{
    OnEvent, Stack, StackError, call,
    events::{Events, From},
    find,
    watch::{Deadline, settled},
};
use crate::account::Account;

/// Removes a stack and waits until it is gone. One that is not there is removed already.
///
/// # Errors
/// [`StackError`]: mostly that a resource is still in use, such as a bucket that is not empty.
pub async fn delete(
    account: &Account,
    name: &str,
    on_event: OnEvent<'_>,
) -> Result<(), StackError> {
    let deadline = Deadline::new(account);
    let Some(mut stack) = find(account, name).await? else { return Ok(()) };
    // A stack can be deleted while it is created, but not while it is updated.
    let busy = stack.status.in_progress();
    if busy && !["CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS"].contains(&stack.status.as_str()) {
        let id = stack.id.clone();
        let mut events = Events::new(account, &id, From::Operation);
        match settled(account, name, &id, &mut events, deadline, on_event).await? {
            Some(now) => stack = now,
            None => return Ok(()),
        }
    }
    remove(account, &stack, deadline, on_event).await
}

pub(super) async fn remove(
    account: &Account,
    stack: &Stack,
    deadline: Deadline,
    on_event: OnEvent<'_>,
) -> Result<(), StackError> {
    let (name, id) = (stack.name.as_str(), stack.id.as_str());
    let mut events = if stack.status.as_str() == "DELETE_IN_PROGRESS" {
        Events::new(account, id, From::Operation)
    } else {
        let events = Events::after_now(account, id).await?;
        let token = format!("starburst-delete-{:016x}", account.ids.random());
        let parameters =
            [("StackName".to_owned(), id.to_owned()), ("ClientRequestToken".to_owned(), token)];
        account.query(&call("DeleteStack", name), &parameters).await?;
        events
    };
    match settled(account, name, id, &mut events, deadline, on_event).await? {
        None => Ok(()),
        Some(stack) => Err(StackError::Failed {
            name: stack.name,
            status: stack.status.to_string(),
            cause: events.cause.map(Box::new),
            reason: stack.reason,
        }),
    }
}
