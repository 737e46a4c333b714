//! What workers printed, from CloudWatch Logs: one stream a worker.
use crate::{
    account::Account,
    call::{Call, CallError, Meaning, Service},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// The most text that one call returns, in bytes.
pub const MOST: usize = 1_000_000;
/// Pages that are read for one call. A page may be empty although there are more.
const PAGES: usize = 200;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was printed, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The line, without its end.
    pub text: String,
}

/// Lines of one stream, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogText {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Whether there are more that were left out.
    pub cut: bool,
}

impl LogText {
    /// The lines as one text.
    pub fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect()
    }
}

/// How much of the end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// The last lines.
    Lines(usize),
    /// The last lines that have so many bytes altogether, at most; at least one line.
    Bytes(usize),
}

/// A log group, for those who check the set-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    /// Its name.
    pub name: String,
    /// After how many days lines are deleted; `None`: never.
    pub retention_days: Option<i32>,
    /// What is stored, in bytes; hours old.
    pub stored_bytes: i64,
}

/// The end of a stream. A stream that does not exist (yet) is empty.
///
/// # Errors
/// [`CallError`]: also if the group does not exist.
pub async fn tail(
    account: &Account,
    group: &str,
    stream: &str,
    tail: Tail,
) -> Result<LogText, CallError> {
    let mut kept = Kept::new(tail);
    let mut next: Option<String> = None;
    for _ in 0..PAGES {
        let parameters = json!({ "startFromHead": false });
        let page = page(account, (group, stream), parameters, next.as_deref()).await?;
        let Some(page) = page else { break };
        for line in page.lines().rev() {
            if !kept.take(line) {
                return Ok(kept.done(true));
            }
        }
        // The token stands still at the beginning.
        if page.next_backward_token.is_none() || page.next_backward_token == next {
            break;
        }
        next = page.next_backward_token;
    }
    Ok(kept.done(false))
}

/// The lines printed from one moment until before another, both in milliseconds since the epoch, and no more than
/// [`MOST`] bytes. A stream that does not exist (yet) is empty.
///
/// # Errors
/// [`CallError`]: also if the group does not exist.
pub async fn between(
    account: &Account,
    group: &str,
    stream: &str,
    from_ms: i64,
    to_ms: i64,
) -> Result<LogText, CallError> {
    let mut found = LogText::default();
    if from_ms >= to_ms {
        return Ok(found);
    }
    let (mut bytes, mut next) = (0, None::<String>);
    for _ in 0..PAGES {
        let parameters =
            json!({ "startFromHead": true, "startTime": from_ms.max(0), "endTime": to_ms });
        let page = page(account, (group, stream), parameters, next.as_deref()).await?;
        let Some(page) = page else { return Ok(found) };
        for line in page.lines() {
            bytes += line.text.len() + 1;
            if bytes > MOST {
                found.cut = true;
                return Ok(found);
            }
            found.lines.push(line);
        }
        // The token stands still at the end.
        if page.next_forward_token.is_none() || page.next_forward_token == next {
            return Ok(found);
        }
        next = page.next_forward_token;
    }
    found.cut = true;
    Ok(found)
}

/// Looks for a log group. `None`: there is none of this name.
///
/// # Errors
/// [`CallError`].
pub async fn describe(account: &Account, group: &str) -> Result<Option<LogGroup>, CallError> {
    let call = Call::new(Service::CloudWatchLogs, "DescribeLogGroups").on(group);
    let answer: Groups = account.json_as(&call, &json!({ "logGroupNamePrefix": group })).await?;
    // Names are listed in order, so the name itself comes before all that it begins.
    let found = answer.log_groups.into_iter().find(|found| found.log_group_name == group);
    Ok(found.map(|found| LogGroup {
        name: found.log_group_name,
        retention_days: found.retention_in_days,
        stored_bytes: found.stored_bytes,
    }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Groups {
    log_groups: Vec<Group>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Group {
    log_group_name: String,
    retention_in_days: Option<i32>,
    stored_bytes: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Page {
    events: Vec<Event>,
    next_backward_token: Option<String>,
    next_forward_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    timestamp: i64,
    message: String,
}

impl Page {
    fn lines(&self) -> impl DoubleEndedIterator<Item = LogLine> {
        self.events.iter().map(|event| LogLine {
            at_ms: event.timestamp,
            text: event.message.trim_end_matches(['\n', '\r']).to_owned(),
        })
    }
}

/// A page. `None`: there is no such stream.
async fn page(
    account: &Account,
    (group, stream): (&str, &str),
    mut parameters: Value,
    next: Option<&str>,
) -> Result<Option<Page>, CallError> {
    let call = Call::new(Service::CloudWatchLogs, "GetLogEvents").on(stream);
    parameters["logGroupName"] = group.into();
    parameters["logStreamName"] = stream.into();
    if let Some(next) = next {
        parameters["nextToken"] = next.into();
    }
    let error = match account.json_as(&call, &parameters).await {
        Ok(page) => return Ok(Some(page)),
        Err(error) => error,
    };
    if error.meaning() != Meaning::Absent {
        return Err(error);
    }
    // The same code for a stream that is not there yet, and for a group that should be.
    let no_stream = error.words().contains("log stream")
        || matches!(describe(account, group).await, Ok(Some(_)));
    if no_stream { Ok(None) } else { Err(error) }
}

/// The lines of a tail, gathered from the last one backwards.
struct Kept {
    tail: Tail,
    bytes: usize,
    lines: VecDeque<LogLine>,
}

impl Kept {
    fn new(tail: Tail) -> Self {
        Self { tail, bytes: 0, lines: VecDeque::new() }
    }

    /// False if there is no room for this line.
    fn take(&mut self, line: LogLine) -> bool {
        let bytes = self.bytes + line.text.len() + 1;
        let room = match self.tail {
            Tail::Lines(most) => self.lines.len() < most && bytes <= MOST,
            Tail::Bytes(most) => self.lines.is_empty() || bytes <= most.min(MOST),
        };
        if room {
            self.bytes = bytes;
            self.lines.push_front(line);
        }
        room
    }

    fn done(self, cut: bool) -> LogText {
        LogText { lines: self.lines.into(), cut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(tail: Tail, texts: &[&str]) -> Vec<String> {
        let mut kept = Kept::new(tail);
        for text in texts.iter().rev() {
            if !kept.take(LogLine { at_ms: 0, text: (*text).to_owned() }) {
                break;
            }
        }
        kept.done(false).lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_tail_has_the_last_lines_in_their_order() {
        let all = ["one", "two", "three"];
        assert_eq!(last(Tail::Lines(2), &all), ["two", "three"]);
        assert_eq!(last(Tail::Lines(9), &all), all);
        assert_eq!(last(Tail::Bytes(10), &all), ["two", "three"]);
        assert_eq!(last(Tail::Bytes(1), &all), ["three"]);
    }
}
