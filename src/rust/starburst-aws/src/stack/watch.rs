//! Waiting until nothing is being done to a stack any more.
use super::{OnEvent, Stack, StackError, StackStatus, events::Events, find};
use crate::account::Account;
use starburst_core::{clock::Monotonic, pace::Backoff};
use std::time::Duration;

/// The first and the longest wait between two looks.
const LOOKS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// A new stack, or what is new of one, may not be seen at once; it is looked for this often.
const UNSEEN: u32 = 5;
/// So long a stack is waited for altogether. Ours take a few minutes; deleting a network can take half an hour.
pub(super) const LIMIT: Duration = Duration::from_secs(90 * 60);

/// Until when to wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Monotonic);

impl Deadline {
    pub(super) fn new(account: &Account) -> Self {
        Self(account.clock.now())
    }
    fn passed(self, account: &Account) -> bool {
        account.clock.now().since(self.0) > LIMIT
    }
}

/// Waits until nothing is being done to a stack, and tells its events. `None`: it is gone.
pub(super) async fn settled(
    account: &Account,
    name: &str,
    id: &str,
    events: &mut Events<'_>,
    deadline: Deadline,
    on_event: OnEvent<'_>,
) -> Result<Option<Stack>, StackError> {
    let mut backoff = Backoff::new(LOOKS.0, LOOKS.1);
    let mut seen = false;
    let (mut looks, mut calm) = (0, 0);
    loop {
        // The status is asked for first: what led to it is then among the events.
        let found = find(account, id).await?;
        looks += 1;
        let status = match found {
            Some(stack) => {
                seen = true;
                events.tell(on_event).await?;
                // What was begun a moment ago may not show at once, and the status is then that of before: it counts
                // when the events say the same.
                if !stack.status.in_progress() {
                    calm += 1;
                    if events.status.as_deref() == Some(stack.status.as_str()) || calm >= UNSEEN {
                        return Ok(Some(stack));
                    }
                }
                stack.status
            }
            None if seen || looks >= UNSEEN => {
                // The events of a deleted stack can still be asked for, but need not be there.
                let _ = events.tell(on_event).await;
                return Ok(None);
            }
            None => StackStatus::new("CREATE_IN_PROGRESS"),
        };
        if deadline.passed(account) {
            return Err(StackError::Slow { name: name.to_owned(), status: status.to_string() });
        }
        account.clock.sleep(backoff.step(account.ids.random())).await;
    }
}
