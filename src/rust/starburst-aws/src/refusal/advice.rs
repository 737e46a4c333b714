//! What a user can do about a refusal: one sentence, exact enough to hand on to an administrator.
use super::{Answer, Meaning};
use crate::{account::Access, call::Call};

/// The regions that every account has; all others must be switched on (AWS, November 2026). Regions
/// that come later are all of the second kind.
const ALWAYS_ON: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// What AWS says somebody may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Denial<'a> {
    /// The IAM action.
    pub(crate) action: &'a str,
    /// What it was to be done to, if AWS says.
    pub(crate) resource: Option<&'a str>,
    /// The kind of policy that forbids it, such as `service control policy`; `None` if nothing allows it.
    pub(crate) forbidden_by: Option<&'a str>,
}

/// Finds "not authorized to perform: <action> on resource: <resource> with an explicit deny in a <policy>" in a text.
pub(crate) fn words_that_deny(text: &str) -> Option<Denial<'_>> {
    let (_, rest) = text.split_once("not authorized to perform: ")?;
    let action = rest.split_whitespace().next()?.trim_end_matches([',', '.', ';', ')']);
    if !action.contains(':') {
        return None;
    }
    let resource = rest.split_once("on resource: ").map(|(_, after)| after);
    let resource = resource.and_then(|after| after.split_whitespace().next());
    let resource = resource.map(|name| name.trim_end_matches([',', '.', ';', ')', '"', '\'']));
    let forbidden_by = rest.split_once("explicit deny in a").map(|(_, after)| {
        let after = after.trim_start_matches('n').trim_start();
        after.split(['.', ',', ':', '(', ';']).next().unwrap_or(after).trim()
    });
    Some(Denial { action, resource, forbidden_by })
}

/// Whom to ask for what.
pub(crate) fn allow(action: &str, on: &str) -> String {
    format!("ask your administrator to allow {action} on {on}")
}

/// The profile that credentials come from, as far as can be told.
pub(crate) fn profile_in_use(access: &Access) -> String {
    let chosen = access.profile.clone().or_else(|| std::env::var("AWS_PROFILE").ok());
    chosen.unwrap_or_else(|| "default".to_owned())
}

/// How to get valid credentials. `problem` is what those who fetch them said.
pub(crate) fn login(
    profile: &str,
    region: Option<&str>,
    code: Option<&str>,
    problem: Option<&str>,
) -> String {
    let text = problem.unwrap_or_default().to_lowercase();
    if text.contains("sso") {
        return format!("your sign-in has expired: run `aws sso login --profile {profile}`");
    }
    match code {
        Some(
            "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "TokenRefreshRequired",
        ) => format!(
            "your credentials have expired: sign in again, with `aws sso login --profile {profile}` \
             if your account uses single sign-on"
        ),
        // What AWS says of an unknown key, and of a known one in a region that is switched off.
        Some("AuthFailure" | "InvalidClientTokenId" | "UnrecognizedClientException")
            if region.is_some_and(must_be_switched_on) =>
        {
            let region = region.unwrap_or_default();
            format!(
                "AWS does not know these credentials in {region}: if the account has not switched this region \
                 on, run `aws account enable-region --region-name {region}` or use another region; else check \
                 the profile `{profile}` and the AWS_* environment variables"
            )
        }
        Some(_) => format!(
            "AWS does not know these credentials: check the profile `{profile}` and the AWS_* \
             environment variables"
        ),
        None => format!(
            "no AWS credentials were found: run `aws configure`, or `aws sso login --profile {profile}`, \
             or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ),
    }
}

fn must_be_switched_on(region: &str) -> bool {
    let partitions_of_their_own = ["cn-", "us-gov-", "us-iso", "eusc-"];
    !ALWAYS_ON.contains(&region) && !partitions_of_their_own.iter().any(|p| region.starts_with(p))
}

pub(super) fn of(
    meaning: Meaning,
    call: &Call<'_>,
    answer: Answer<'_>,
    profile: &str,
    region: Option<&str>,
) -> Option<String> {
    let denial = words_that_deny(answer.words);
    let advice = match meaning {
        Meaning::Denied => {
            let own = format!("{}:{}", call.service.prefix(), call.operation);
            let action = denial.map_or(own.as_str(), |d| d.action);
            let named = call.resource.map(|name| format!("`{name}`"));
            let on = denial.and_then(|d| d.resource).map(ToOwned::to_owned).or(named);
            let advice = allow(action, on.as_deref().unwrap_or("*"));
            match denial.and_then(|d| d.forbidden_by) {
                Some(policy) => format!("{advice}; now an explicit deny forbids it ({policy})"),
                None => advice,
            }
        }
        Meaning::PassRole => {
            let role = denial.and_then(|d| d.resource).unwrap_or("the roles of the stack");
            format!(
                "{}, for the service ecs-tasks.amazonaws.com; the policy in \
                 `system.file(\"cloudformation/user-policy.json\", package = \"starburst\")` has it",
                allow("iam:PassRole", role)
            )
        }
        Meaning::RoleUnusable => "check that the role exists and that its trust policy names \
             ecs-tasks.amazonaws.com; `starburst_setup()` makes such a role"
            .to_owned(),
        Meaning::ServiceRole => "make it once for the account: \
             `aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com`"
            .to_owned(),
        Meaning::BadCredentials => login(profile, region, answer.code, Some(answer.words)),
        Meaning::RegionOff => match region {
            Some(region) if must_be_switched_on(region) => format!(
                "run `aws account enable-region --region-name {region}`, or use another region"
            ),
            Some(_) | None => format!(
                "the account has not finished its sign-up for {}: complete it in the AWS console",
                call.service.name()
            ),
        },
        Meaning::NoRegion => "give `region`, such as \"us-east-1\", or set AWS_REGION, or run \
             `aws configure set region us-east-1`"
            .to_owned(),
        Meaning::Full => format!(
            "delete what is not needed, or request a higher limit for {} in the Service Quotas console",
            call.service.name()
        ),
        Meaning::Throttled => {
            "wait a minute and try again: something else in this account may be asking too"
                .to_owned()
        }
        Meaning::Skewed => "set the clock of this machine, and its time zone".to_owned(),
        Meaning::Unreachable => match region {
            Some(region) => {
                format!("check the network and any firewall, and that there is a region `{region}`")
            }
            None => "check the network and any firewall".to_owned(),
        },
        Meaning::Unavailable => "try again in a few minutes; https://health.aws.amazon.com tells \
             whether AWS has a problem"
            .to_owned(),
        Meaning::Unreadable => {
            "check whether a proxy or the AWS_ENDPOINT_URL environment variables \
             lead elsewhere than to AWS"
                .to_owned()
        }
        Meaning::Absent | Meaning::Exists | Meaning::Invalid => return None,
    };
    Some(advice)
}
