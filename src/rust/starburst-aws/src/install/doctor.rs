//! Looking whether everything is there that a session on AWS needs: one finding a check, each failure with its remedy.
use super::{Said, Tell, setup::template_version};
use crate::{
    account::Account,
    bucket::{self, RoundTrip},
    call::CallError,
    ecr::{self, ImageAddress},
    logs,
    quotas::{self, QuotaCode},
    roles,
    stack::{self, StackOutputs},
};

/// What is to be looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patient {
    /// The stack's name.
    pub name: String,
    /// The template of this package.
    pub template: String,
    /// The image workers start from, if one was chosen; else it is that of this version in the stack's repository.
    pub image: Option<String>,
    /// The version of this package, which is the tag of that image.
    pub version: String,
    /// The vCPU of one worker.
    pub cpu: f64,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub finding: Finding,
}

/// How something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// As it should be, with what was found.
    Well(String),
    /// Not as it should be.
    Ill {
        /// What is wrong.
        detail: String,
        /// What to do about it, without a full stop.
        remedy: String,
    },
    /// Not looked at, since something else must be put right first.
    Unknown(String),
}

impl Finding {
    fn ill(detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding::Ill { detail: detail.into(), remedy: remedy.into() }
    }

    fn of_error(error: &CallError) -> Self {
        let remedy = error.advice().unwrap_or("put right what AWS says, and try again");
        // What a chain of credential providers tries is told in many lines, of which the first is enough.
        let words = error.words();
        let said = words.lines().next().unwrap_or_default().trim_end_matches(" Attempted:");
        Finding::ill(format!("{error}: {said}"), remedy)
    }

    fn of<T>(outcome: Result<T, CallError>, judge: impl FnOnce(T) -> Self) -> Self {
        match outcome {
            Ok(found) => judge(found),
            Err(error) => Self::of_error(&error),
        }
    }
}

const SETUP: &str = "run `starburst_setup()`";
/// What needs the stack.
const OF_THE_STACK: [&str; 6] =
    ["template", "bucket", "task role", "execution role", "image", "log group"];

/// Looks at everything. What is wrong is in the findings, never an error.
pub async fn examine(account: &Account, patient: &Patient, tell: Tell<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    let look = |what: &str| tell(Said::Step(format!("looking at: {what}")));
    look("credentials");
    let caller = account.caller().await;
    let known = caller.is_ok();
    let add = |checks: &mut Vec<Check>, check, finding| checks.push(Check { check, finding });
    let finding = Finding::of(caller, |caller| {
        Finding::Well(format!("{} in account {}", caller.arn, caller.account))
    });
    add(&mut checks, "credentials", finding);
    let region = match account.region() {
        Some(region) => Finding::Well(region.to_owned()),
        None => Finding::ill(
            "nothing says which region",
            "give `region`, or set AWS_REGION, or run `aws configure set region us-east-1`",
        ),
    };
    let placed = matches!(region, Finding::Well(_));
    add(&mut checks, "region", region);
    if !known || !placed {
        let first = if known { "region" } else { "credentials" };
        for check in std::iter::once("stack").chain(OF_THE_STACK).chain(["quota"]) {
            add(&mut checks, check, Finding::Unknown(format!("needs {first}")));
        }
        return checks;
    }
    look("stack");
    let (finding, outputs) = of_stack(account, patient).await;
    add(&mut checks, "stack", finding);
    match outputs {
        Some(outputs) => {
            for check in OF_THE_STACK {
                look(check);
                add(&mut checks, check, of_part(account, patient, &outputs, check).await);
            }
        }
        None => {
            for check in OF_THE_STACK {
                add(&mut checks, check, Finding::Unknown("needs the stack".to_owned()));
            }
        }
    }
    look("quota");
    add(&mut checks, "quota", of_quota(account, patient.cpu).await);
    checks
}

async fn of_stack(account: &Account, patient: &Patient) -> (Finding, Option<StackOutputs>) {
    let name = &patient.name;
    let stack = match stack::find(account, name).await {
        Ok(Some(stack)) => stack,
        Ok(None) => {
            let region = account.region().unwrap_or_default();
            return (Finding::ill(format!("there is no stack `{name}` in {region}"), SETUP), None);
        }
        Err(error) => return (Finding::of_error(&error), None),
    };
    if stack.status.in_progress() {
        let detail = format!("`{name}` is in {}", stack.status);
        return (
            Finding::ill(detail, "wait until AWS is done: `starburst_setup()` shows what it does"),
            None,
        );
    }
    if !stack.status.is_usable() {
        let why = stack.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        return (Finding::ill(format!("`{name}` is in {}{why}", stack.status), SETUP), None);
    }
    match StackOutputs::read(&stack) {
        Ok(outputs) => (Finding::Well(format!("`{name}` is in {}", stack.status)), Some(outputs)),
        Err(error) => (
            Finding::ill(error.to_string(), error.advice().unwrap_or_else(|| SETUP.to_owned())),
            None,
        ),
    }
}

async fn of_part(
    account: &Account,
    patient: &Patient,
    outputs: &StackOutputs,
    check: &str,
) -> Finding {
    let role = |arn: &str, found: bool| {
        if found {
            Finding::Well(arn.to_owned())
        } else {
            Finding::ill(
                format!("there is no role `{arn}`"),
                format!("{SETUP}, or ask who deployed the stack to"),
            )
        }
    };
    match check {
        "template" => of_template(&outputs.template_version, &patient.template),
        "bucket" => {
            let bucket = outputs.bucket.as_str();
            Finding::of(bucket::round_trip(account, bucket).await, |outcome| match outcome {
                RoundTrip::Fine => Finding::Well(format!("`{bucket}`: written, refused, deleted")),
                RoundTrip::Unconditional => Finding::ill(
                    format!("`{bucket}` takes a conditional write although the object exists"),
                    "use a bucket of Amazon S3: the server at the endpoint in use does not know conditions",
                ),
            })
        }
        "task role" => {
            let arn = &outputs.task_role;
            Finding::of(roles::exists(account, arn).await, |found| role(arn, found))
        }
        "execution role" => {
            let arn = &outputs.execution_role;
            Finding::of(roles::exists(account, arn).await, |found| role(arn, found))
        }
        "image" => of_image(account, patient, &outputs.repository).await,
        _ => {
            let group = outputs.log_group.as_str();
            Finding::of(logs::describe(account, group).await, |found| match found {
                Some(group) => Finding::Well(format!("`{}`", group.name)),
                None => Finding::ill(format!("there is no log group `{group}`"), SETUP),
            })
        }
    }
}

fn of_template(has: &str, template: &str) -> Finding {
    let wanted = template_version(template).unwrap_or_default();
    let number = |text: &str| text.parse::<u32>().unwrap_or_default();
    if number(has) < number(&wanted) {
        return Finding::ill(
            format!("version {has}, and this package needs {wanted}"),
            format!("{SETUP} to update the stack, or ask who deployed it to"),
        );
    }
    Finding::Well(format!("version {has}"))
}

async fn of_image(account: &Account, patient: &Patient, repository: &str) -> Finding {
    let own = format!("{repository}:{}", patient.version);
    let (image, remedy) = match &patient.image {
        Some(image) => (image, "push it, or choose another `image`"),
        None => {
            (&own, "run `starburst_image_build()`, or choose one with `starburst_config(image = )`")
        }
    };
    let Some(address) = ImageAddress::parse(image) else {
        return Finding::Well(format!("`{image}`, of a registry that is not looked at"));
    };
    Finding::of(ecr::has_image(account, &address).await, |found| {
        if found {
            Finding::Well(format!("`{image}`"))
        } else {
            Finding::ill(format!("there is no image `{image}`"), remedy)
        }
    })
}

async fn of_quota(account: &Account, cpu: f64) -> Finding {
    let code = QuotaCode::FargateOnDemand;
    Finding::of(quotas::get(account, code).await, |quota| {
        let limit = quota.limit;
        if limit >= cpu {
            let workers = (limit / cpu).floor();
            let plural = if workers == 1.0 { "" } else { "s" };
            return Finding::Well(format!(
                "{limit} vCPU on Fargate: {workers} worker{plural} of {cpu} vCPU at a time"
            ));
        }
        let detail = format!("{limit} vCPU on Fargate are too few for one worker of {cpu} vCPU");
        match quota.pending {
            Some(pending) => Finding::ill(
                format!("{detail}; {} were asked for", pending.desired),
                "wait for AWS: `starburst_check_quota_request()` tells",
            ),
            None => {
                let wanted = (cpu * 10.0).max(100.0);
                Finding::ill(detail, format!("run `starburst_request_quota_increase({wanted})`"))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_template_is_told_and_a_newer_one_is_fine() {
        let template = "Outputs:\n  TemplateVersion:\n    Value: '2'\n";
        assert!(matches!(of_template("1", template), Finding::Ill { .. }));
        assert_eq!(of_template("2", template), Finding::Well("version 2".into()));
        assert_eq!(of_template("3", template), Finding::Well("version 3".into()));
    }
}
