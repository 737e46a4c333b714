//! What happens to a stack: each event once, in order.
use super::{OnEvent, PAGES, call};
use crate::{
    account::Account,
    call::{CallError, Xml},
};

/// Something that happened to a stack or to one of its resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackEvent {
    /// The event's own id.
    pub id: String,
    /// When, as CloudFormation writes it: `2026-11-24T12:00:00.000Z`.
    pub at: String,
    /// The resource's name in the template; for the stack itself, the stack's name.
    pub resource: String,
    /// The resource's type, such as `AWS::S3::Bucket`.
    pub kind: String,
    /// What it does now, such as `CREATE_IN_PROGRESS`.
    pub status: String,
    /// Why, if CloudFormation says.
    pub reason: Option<String>,
    /// Whether it is about the whole stack.
    pub of_stack: bool,
}

impl StackEvent {
    fn read(xml: &Xml) -> Option<Self> {
        let text = |name: &str| xml.text(name).map(ToOwned::to_owned);
        Some(Self {
            id: text("EventId")?,
            at: text("Timestamp").unwrap_or_default(),
            resource: text("LogicalResourceId").unwrap_or_default(),
            kind: text("ResourceType").unwrap_or_default(),
            status: text("ResourceStatus").unwrap_or_default(),
            reason: text("ResourceStatusReason"),
            of_stack: text("PhysicalResourceId") == text("StackId")
                && text("ResourceType").as_deref() == Some("AWS::CloudFormation::Stack"),
        })
    }

    /// Whether something failed here by itself, and not because something else did.
    pub(super) fn is_cause(&self) -> bool {
        let reason = self.reason.as_deref().unwrap_or_default();
        let follows = ["cancelled", "The following resource(s) failed"];
        self.status.ends_with("_FAILED") && !follows.iter().any(|text| reason.contains(text))
    }

    /// Whether an operation on the whole stack begins here.
    fn begins(&self) -> bool {
        let starts = ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"];
        self.of_stack && starts.contains(&self.status.as_str())
    }
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// With the first event there is.
    Start,
    /// With the operation that runs now, or ran last.
    Operation,
}

/// Reads the events of one stack, and remembers how far.
#[derive(Debug)]
pub(super) struct Events<'a> {
    account: &'a Account,
    id: &'a str,
    /// The last event told.
    last: Option<String>,
    from: From,
    /// The status of the stack by the events told.
    pub(super) status: Option<String>,
    /// The first event of those told that says why something failed.
    pub(super) cause: Option<StackEvent>,
}

impl<'a> Events<'a> {
    pub(super) fn new(account: &'a Account, id: &'a str, from: From) -> Self {
        Self { account, id, last: None, from, status: None, cause: None }
    }

    /// Those that come after this moment.
    pub(super) async fn after_now(account: &'a Account, id: &'a str) -> Result<Self, CallError> {
        let mut events = Self::new(account, id, From::Start);
        let (newest, _) = events.page(None).await?;
        events.last = newest.into_iter().next().map(|event| event.id);
        Ok(events)
    }

    /// Tells the events that are new.
    pub(super) async fn tell(&mut self, on_event: OnEvent<'_>) -> Result<(), CallError> {
        for event in self.fresh().await?.into_iter().rev() {
            if self.cause.is_none() && event.is_cause() {
                self.cause = Some(event.clone());
            }
            on_event(&event);
            if event.of_stack {
                self.status = Some(event.status);
            }
            self.last = Some(event.id);
        }
        Ok(())
    }

    /// The new events, newest first, as the service lists them.
    async fn fresh(&self) -> Result<Vec<StackEvent>, CallError> {
        let mut fresh = Vec::new();
        let mut next = None;
        for _ in 0..PAGES {
            let (page, more) = self.page(next).await?;
            for event in page {
                if self.last.as_deref() == Some(event.id.as_str()) {
                    return Ok(fresh);
                }
                let first = self.from == From::Operation && event.begins();
                fresh.push(event);
                if first && self.last.is_none() {
                    return Ok(fresh);
                }
            }
            if more.is_none() {
                break;
            }
            next = more;
        }
        Ok(fresh)
    }

    async fn page(
        &self,
        next: Option<String>,
    ) -> Result<(Vec<StackEvent>, Option<String>), CallError> {
        let call = call("DescribeStackEvents", self.id);
        let mut parameters = vec![("StackName".to_owned(), self.id.to_owned())];
        parameters.extend(next.map(|token| ("NextToken".to_owned(), token)));
        let answer = self.account.query(&call, &parameters).await?;
        let result = "DescribeStackEventsResponse/DescribeStackEventsResult";
        let events = answer.items(&format!("{result}/StackEvents"));
        let events = events.iter().filter_map(StackEvent::read).collect();
        Ok((events, answer.text(&format!("{result}/NextToken")).map(ToOwned::to_owned)))
    }
}
