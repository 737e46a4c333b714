//! Plain requests below `/-/`, by which tests in other languages look into the server and disturb it.
use super::{
    faults::{Fault, Rule},
    operation::Operation,
    pace::Latency,
    query::{Query, Refused, number, required},
    state::State,
};
use bytes::Bytes;
use hyper::{
    Method, Response, StatusCode, Uri,
    header::{CONTENT_TYPE, HeaderValue},
};
use std::{fmt::Write, time::Duration};

const BELOW: &str = "/-/";

/// A name of a bucket never begins like this.
pub(super) fn is_for(uri: &Uri) -> bool {
    uri.path().starts_with(BELOW)
}

pub(super) fn answer(state: &State, method: &Method, uri: &Uri) -> Response<String> {
    let name = uri.path().strip_prefix(BELOW).unwrap_or_default();
    let result = if method == Method::GET {
        answer_get(state, name, &Query::parse(uri.query()))
    } else {
        Err(Refused::Unknown(format!("no {method} here")))
    };
    let (status, text) = match result {
        Ok(text) => (StatusCode::OK, text),
        Err(Refused::Unknown(text)) => (StatusCode::NOT_FOUND, text + "\n"),
        Err(Refused::Malformed(text)) => (StatusCode::BAD_REQUEST, text + "\n"),
    };
    let mut answer = Response::new(text);
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}

fn answer_get(state: &State, name: &str, query: &Query) -> Result<String, Refused> {
    match name {
        "keys" => {
            let keys = state.keys(query.get("prefix").unwrap_or_default());
            return Ok(keys.into_iter().map(|key| key + "\n").collect());
        }
        "counts" => return Ok(counts(state)),
        "reset-counts" => state.tally.reset(),
        "damage" => damage(state, query)?,
        "network" => state.set_network(required(query, "up")?),
        "rule" => state.rules.lock().add(rule(query)?),
        "clear-rules" => state.rules.lock().clear(),
        "latency" => {
            let milliseconds = |name| Ok(Duration::from_millis(number(query, name, 0)?));
            let (base, tail) = (milliseconds("base_ms")?, milliseconds("tail_ms")?);
            state.pace.lock().set_latency(Latency { base, tail });
        }
        _ => return Err(Refused::Unknown(format!("nothing is called {name}"))),
    }
    Ok("ok\n".to_owned())
}

fn counts(state: &State) -> String {
    let counts = state.tally.counts();
    let mut text = String::new();
    for operation in Operation::ALL {
        let _ = writeln!(text, "{} {}", operation.name(), counts.of(operation));
    }
    for (name, number) in [
        ("requests", counts.requests()),
        ("writes", counts.writes()),
        ("bytes_in", counts.bytes_in),
        ("bytes_out", counts.bytes_out),
        ("most_in_flight", counts.most_in_flight),
        ("connections", counts.connections),
        ("uploads", state.uploads() as u64),
    ] {
        let _ = writeln!(text, "{name} {number}");
    }
    let _ = writeln!(text, "usd {:.7}", counts.usd());
    text
}

fn damage(state: &State, query: &Query) -> Result<(), Refused> {
    let key: String = required(query, "key")?;
    let missing = || Refused::Unknown(format!("no object has the key {key}"));
    let body = state.read(&key).ok_or_else(missing)?;
    let damaged = match query.get("how") {
        Some("flip") => {
            let mut bytes = body.to_vec();
            let last = bytes.len().saturating_sub(1);
            if let Some(byte) = bytes.get_mut(last.min(100)) {
                *byte ^= 1;
            }
            bytes.into()
        }
        Some("cut") => body.slice(..body.len().min(40)),
        Some("empty") => Bytes::new(),
        Some("gone") => return if state.remove(&key) { Ok(()) } else { Err(missing()) },
        Some(_) | None => {
            return Err(Refused::Malformed("how is flip, cut, empty or gone".to_owned()));
        }
    };
    if state.overwrite(&key, damaged) { Ok(()) } else { Err(missing()) }
}

fn rule(query: &Query) -> Result<Rule, Refused> {
    let named = |name: &str| {
        let unknown = || Refused::Malformed(format!("no operation is called {name}"));
        Operation::named(name).ok_or_else(unknown)
    };
    let fault: String = required(query, "fault")?;
    Ok(Rule {
        operation: query.get("operation").map(named).transpose()?,
        key_contains: query.get("key").map(str::to_owned),
        skip: number(query, "skip", 0)?,
        times: number(query, "times", u64::MAX)?,
        one_in: number(query, "one_in", 1)?,
        fault: Fault::named(&fault)
            .ok_or_else(|| Refused::Malformed(format!("no fault is called {fault}")))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Result<Rule, Refused> {
        rule(&Query::parse(Some(query)))
    }

    #[test]
    fn a_rule_is_read_from_an_address() {
        let found = parsed("operation=PutObject&key=a%2Fb&skip=1&times=2&fault=reset-after");
        let expected = Rule {
            key_contains: Some("a/b".to_owned()),
            skip: 1,
            times: 2,
            ..Rule::always(Operation::PutObject, Fault::ResetAfter)
        };
        assert_eq!(found.unwrap(), expected);
        let all = Rule { operation: None, ..Rule::always(Operation::Other, Fault::SlowDown) };
        assert_eq!(parsed("fault=slow-down").unwrap(), all);
    }

    #[test]
    fn a_rule_with_a_mistake_is_refused() {
        for query in ["", "fault=fire", "fault=slow-down&skip=x", "fault=slow-down&operation=Get"] {
            assert!(matches!(parsed(query), Err(Refused::Malformed(_))), "{query}");
        }
    }
}
