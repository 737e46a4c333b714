//! Plain GET requests below `/-/`, by which tests in other languages look into the stand-in and disturb it.
use super::{
    NO_CAPACITY,
    ecs::task::{Purchase, Status},
    faults::{Fault, Rule},
    state::{Interrupted, State},
    time::now,
};
use crate::s3::query::{Query, Refused, number, required};
use bytes::Bytes;
use hyper::{
    Method, Response, StatusCode, Uri,
    header::{CONTENT_TYPE, HeaderValue},
};
use std::{fmt::Write, time::Duration};

const BELOW: &str = "/-/";

pub(super) fn is_for(path: &str) -> bool {
    path.starts_with(BELOW)
}

pub(super) fn answer(state: &State, method: &Method, uri: &Uri) -> Response<Bytes> {
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
    let mut answer = Response::new(Bytes::from(text));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}

fn answer_get(state: &State, name: &str, query: &Query) -> Result<String, Refused> {
    match name {
        "counts" => return Ok(counts(state)),
        "statuses" => return Ok(statuses(state)),
        "tasks" => return Ok(tasks(state)),
        "output" => return output(state, query),
        "reset-counts" => state.counts.reset(),
        "rule" => state.rules.lock().add(rule(query)?, now()),
        "clear" | "clear-rules" => {
            state.rules.lock().clear();
            state.ecs.lock().storm = None;
        }
        "interrupt-spot" => {
            let which = match query.get("task") {
                Some(task) => Interrupted::One(task),
                None if query.has("count") => Interrupted::First(required(query, "count")?),
                None if query.has("for_ms") => {
                    Interrupted::AllFor(Duration::from_millis(required(query, "for_ms")?))
                }
                None => Interrupted::All,
            };
            return Ok(format!("{}\n", state.interrupt(which)));
        }
        "out-of-memory" => {
            let task: String = required(query, "task")?;
            if !state.out_of_memory(&task) {
                return Err(Refused::Unknown(format!("no task {task} is running")));
            }
        }
        "quota" => {
            let code: String = required(query, "code")?;
            let unset = query.get("value") == Some("unset");
            let value = if unset { None } else { Some(required(query, "value")?) };
            state.quotas.lock().set(&code, value);
        }
        "limits" => {
            let limits = super::ecs::limits(required(query, "on")?, now());
            state.ecs.lock().limits = limits;
        }
        "delays" => {
            let time = |name| Ok(Duration::from_millis(required(query, name)?));
            if query.has("start_ms") {
                *state.start_delay.lock() = time("start_ms")?;
            }
            if query.has("spot_notice_ms") {
                state.set_spot_notice(time("spot_notice_ms")?);
            }
            if query.has("ec2_ms") {
                state.ecs.lock().fleet.delay = time("ec2_ms")?;
            }
        }
        "prices" => state.pricing.lock().factor = required(query, "factor")?,
        _ => return Err(Refused::Unknown(format!("nothing is called {name}"))),
    }
    Ok("ok\n".to_owned())
}

fn counts(state: &State) -> String {
    let counts = state.counts.all();
    let mut text = String::new();
    for (operation, number) in &counts {
        let _ = writeln!(text, "{operation} {number}");
    }
    let _ = writeln!(text, "requests {}", counts.values().sum::<u64>());
    text
}

fn statuses(state: &State) -> String {
    let mut text = String::new();
    let mut ecs = state.ecs.lock();
    for status in Status::ALL {
        let number = ecs.tasks.all().filter(|task| task.status == status).count();
        let _ = writeln!(text, "{} {number}", status.name());
    }
    ecs.fleet.retire(now());
    let (instances, launched) = ecs.fleet.counts(now());
    let _ = writeln!(text, "instances {instances}\ninstances_launched {launched}");
    drop(ecs);
    for (name, purchase) in [
        ("most_vcpus_fargate", Purchase::FargateOnDemand),
        ("most_vcpus_fargate_spot", Purchase::FargateSpot),
    ] {
        let _ = writeln!(text, "{name} {}", state.most_vcpus(purchase));
    }
    text
}

/// A line each: id, status, provider, `startedBy`, exit code, stop code; `-` for what there is none of.
fn tasks(state: &State) -> String {
    let mut text = String::new();
    for task in state.ecs.lock().tasks.all() {
        let exit = task.exit_code.map(|code| code.to_string());
        let columns = [
            task.id.as_str(),
            task.status.name(),
            task.provider.as_deref().unwrap_or("FARGATE"),
            task.started_by.as_deref().unwrap_or("-"),
            exit.as_deref().unwrap_or("-"),
            Some(task.stop_code()).filter(|code| !code.is_empty()).unwrap_or("-"),
        ];
        let _ = writeln!(text, "{}", columns.join(" "));
    }
    text
}

fn output(state: &State, query: &Query) -> Result<String, Refused> {
    let id: String = required(query, "task")?;
    let ecs = state.ecs.lock();
    let task = ecs.tasks.get(&id);
    let task = task.ok_or_else(|| Refused::Unknown(format!("there is no task {id}")))?;
    Ok(task.lines.iter().map(|line| format!("{line}\n")).collect())
}

fn fault(query: &Query) -> Result<Fault, Refused> {
    let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
    let name: String = required(query, "fault")?;
    Ok(match name.as_str() {
        "throttle" => Fault::Throttle,
        "access-denied" => Fault::AccessDenied { message: text("message") },
        "pass-role" => Fault::PassRole,
        "expired-token" => Fault::ExpiredToken,
        "internal-error" => Fault::InternalError,
        "exception" => {
            Fault::Exception { code: required(query, "code")?, message: text("message") }
        }
        "lost-answer" => Fault::LostAnswer,
        "capacity" => Fault::Refused { reason: NO_CAPACITY.to_owned() },
        "refused" => Fault::Refused { reason: required(query, "reason")? },
        "pull" => Fault::PullFailure,
        "eni" => Fault::EniFailure,
        "network" => Fault::NetworkFailure,
        "role" => Fault::RoleFailure,
        "out-of-memory" => {
            Fault::OutOfMemory { after: Duration::from_millis(number(query, "after_ms", 0)?) }
        }
        _ => return Err(Refused::Malformed(format!("no fault is called {name}"))),
    })
}

fn rule(query: &Query) -> Result<Rule, Refused> {
    let lasts = query.has("for_ms").then(|| required(query, "for_ms")).transpose()?;
    Ok(Rule {
        operation: query.get("operation").map(str::to_owned),
        provider: query.get("provider").map(str::to_owned),
        skip: number(query, "skip", 0)?,
        times: number(query, "times", u64::MAX)?,
        lasts: lasts.map(Duration::from_millis),
        fault: fault(query)?,
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
        let found =
            parsed("operation=RunTask&provider=FARGATE_SPOT&times=2&for_ms=500&fault=capacity");
        let expected = Rule {
            provider: Some("FARGATE_SPOT".to_owned()),
            lasts: Some(Duration::from_millis(500)),
            ..Rule::times("RunTask", 2, Fault::Refused { reason: NO_CAPACITY.to_owned() })
        };
        assert_eq!(found.unwrap(), expected);
        assert_eq!(parsed("fault=pull").unwrap(), Rule::always(Fault::PullFailure));
    }

    #[test]
    fn a_rule_with_a_mistake_is_refused() {
        for query in ["", "fault=fire", "fault=throttle&skip=x", "fault=refused"] {
            assert!(matches!(parsed(query), Err(Refused::Malformed(_))), "{query}");
        }
    }
}
