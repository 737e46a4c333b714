use super::*;
use crate::call::Service;
use aws_config::{Region, SdkConfig};
use starburst_local::{SystemClock, SystemIds};
use std::sync::Arc;

const ECS: Call<'static> =
    Call { service: Service::Ecs, operation: "RunTask", resource: Some("starburst-1") };
const STACKS: Call<'static> = Call {
    service: Service::CloudFormation,
    operation: "CreateStack",
    resource: Some("starburst"),
};

fn account(region: &str) -> Account {
    let config = SdkConfig::builder().region(Region::new(region.to_owned())).build();
    Account::with_config(config, Arc::new(SystemClock::default()), Arc::new(SystemIds))
}

/// What a user sees: the error, its cause, the advice.
fn seen(region: &str, call: Call<'_>, status: u16, code: &str, words: &str) -> [String; 3] {
    let answer = Answer { status: Some(status), code: Some(code), words };
    let error = Error::from(account(region).refused(&call, answer));
    let chain = error.chain();
    assert_eq!(chain.len(), 2);
    [chain[0].clone(), chain[1].clone(), error.advice().unwrap_or_default()]
}

fn advice(region: &str, call: Call<'_>, code: &str, words: &str) -> String {
    seen(region, call, 400, code, words)[2].clone()
}

#[test]
fn a_denial_names_the_action_and_the_resource_that_aws_names() {
    let words = "User: arn:aws:iam::111122223333:user/ann is not authorized to perform: \
                 cloudformation:CreateStack on resource: \
                 arn:aws:cloudformation:eu-west-1:111122223333:stack/starburst/* because no \
                 identity-based policy allows the cloudformation:CreateStack action";
    assert_eq!(
        seen("eu-west-1", STACKS, 403, "AccessDenied", words),
        [
            "not allowed: CloudFormation CreateStack on `starburst`".to_owned(),
            format!("AccessDenied: {words}"),
            "ask your administrator to allow cloudformation:CreateStack on \
             arn:aws:cloudformation:eu-west-1:111122223333:stack/starburst/*"
                .to_owned(),
        ]
    );
}

#[test]
fn a_denial_without_names_tells_the_operation() {
    assert_eq!(
        advice("eu-west-1", ECS, "AccessDeniedException", "no"),
        "ask your administrator to allow ecs:RunTask on `starburst-1`"
    );
}

#[test]
fn a_denial_by_a_policy_says_which_kind() {
    let words = "User: arn:aws:iam::1:user/a is not authorized to perform: ecs:RunTask on resource: \
                 arn:aws:ecs:us-east-1:1:task-definition/x:1 with an explicit deny in a service control policy";
    assert_eq!(
        advice("us-east-1", ECS, "AccessDeniedException", words),
        "ask your administrator to allow ecs:RunTask on arn:aws:ecs:us-east-1:1:task-definition/x:1; \
         now an explicit deny forbids it (service control policy)"
    );
}

#[test]
fn a_missing_pass_role_names_the_role() {
    let words = "User: arn:aws:iam::1:user/a is not authorized to perform: iam:PassRole on resource: \
                 arn:aws:iam::1:role/starburst-TaskRole because no identity-based policy allows the iam:PassRole action";
    let [message, _, advice] = seen("us-east-1", ECS, 400, "AccessDeniedException", words);
    assert_eq!(message, "not allowed to hand over a role: ECS RunTask on `starburst-1`");
    assert!(
        advice.starts_with(
            "ask your administrator to allow iam:PassRole on arn:aws:iam::1:role/starburst-TaskRole, \
             for the service ecs-tasks.amazonaws.com"
        ),
        "{advice}"
    );
}

#[test]
fn credentials_that_have_expired_are_renewed_by_a_command() {
    let words = "The security token included in the request is expired";
    let [message, _, advice] = seen("us-east-1", STACKS, 403, "ExpiredToken", words);
    assert_eq!(message, "no valid AWS credentials for CloudFormation CreateStack on `starburst`");
    assert!(advice.contains("`aws sso login --profile "), "{advice}");
}

#[test]
fn no_credentials_and_an_expired_sign_in_are_told_apart() {
    let told = |problem: &str| {
        let error = account("us-east-1").no_credentials(&STACKS, problem);
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        error.advice().unwrap().to_owned()
    };
    let none =
        told("the credential provider was not enabled: no providers in chain provided credentials");
    assert!(none.starts_with("no AWS credentials were found: run `aws configure`"), "{none}");
    let expired = told("the SSO token has expired");
    assert!(expired.starts_with("your sign-in has expired: run `aws sso login"), "{expired}");
}

#[test]
fn a_network_that_is_down_is_no_want_of_credentials() {
    let problem = "an error occurred while loading credentials: dispatch failure: io error: client error (Connect): \
                   dns error: failed to lookup address information: Name or service not known";
    let error = account("us-east-1").no_credentials(&STACKS, problem);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let message = error.to_string();
    let all = format!("{message} {:?}", std::error::Error::source(&error));
    assert!(!all.contains("no AWS credentials"), "{all}");
}

#[test]
fn unknown_credentials_may_mean_a_region_that_is_switched_off() {
    let words = "The security token included in the request is invalid.";
    let off = advice("eu-south-1", ECS, "UnrecognizedClientException", words);
    assert!(off.contains("`aws account enable-region --region-name eu-south-1`"), "{off}");
    let on = advice("us-east-1", ECS, "UnrecognizedClientException", words);
    assert!(on.starts_with("AWS does not know these credentials: check the profile"), "{on}");
    let [message, _, opt_in] = seen(
        "eu-south-1",
        Call::new(Service::Ec2, "DescribeSpotPriceHistory"),
        403,
        "OptInRequired",
        "You are not subscribed to this service. Please go to http://aws.amazon.com to subscribe.",
    );
    assert_eq!(message, "this account does not use the region: EC2 DescribeSpotPriceHistory");
    assert!(opt_in.contains("enable-region"), "{opt_in}");
}

#[test]
fn throttling_passes_and_a_service_that_fails_passes_too() {
    let answer = |status, code| Answer { status: Some(status), code, words: "Rate exceeded" };
    for (status, code, meaning) in [
        (400, Some("ThrottlingException"), Meaning::Throttled),
        (400, Some("Throttling"), Meaning::Throttled),
        (503, Some("RequestLimitExceeded"), Meaning::Throttled),
        (429, None, Meaning::Throttled),
        (500, Some("InternalFailure"), Meaning::Unavailable),
        (502, None, Meaning::Unavailable),
    ] {
        let error = account("us-east-1").refused(&STACKS, answer(status, code));
        assert_eq!(error.meaning(), meaning, "{status} {code:?}");
        assert!(error.meaning().passes() && error.kind() == ErrorKind::Unavailable);
        assert!(error.advice().is_some());
    }
}

#[test]
fn the_service_linked_role_of_ecs_is_made_by_a_command() {
    let words = "Unable to assume the service linked role. Please verify that the ECS service linked role exists.";
    let [message, _, advice] = seen("us-east-1", ECS, 400, "InvalidParameterException", words);
    assert!(message.starts_with("the service-linked role of ECS is missing"), "{message}");
    assert!(
        advice.contains("aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com"),
        "{advice}"
    );
}

#[test]
fn a_role_that_ecs_cannot_use_is_told() {
    let words = "ECS was unable to assume the role 'arn:aws:iam::1:role/x' that was provided for this task.";
    let [_, _, advice] = seen("us-east-1", ECS, 400, "ClientException", words);
    assert!(advice.contains("trust policy names ecs-tasks.amazonaws.com"), "{advice}");
}

#[test]
fn what_is_not_there_is_absent_in_each_service() {
    for (code, words) in [
        ("ValidationError", "Stack with id starburst does not exist"),
        ("RepositoryNotFoundException", "The repository with name 'x' does not exist"),
        ("ResourceNotFoundException", "The specified log stream does not exist."),
        ("NoSuchResourceException", ""),
    ] {
        let answer = Answer { status: Some(400), code: Some(code), words };
        let error = account("us-east-1").refused(&STACKS, answer);
        assert_eq!((error.meaning(), error.kind()), (Meaning::Absent, ErrorKind::NotFound));
    }
}

#[test]
fn no_connection_names_the_region_that_may_not_exist() {
    let words = "failed to lookup address information (https://ecs.eu-west-9.amazonaws.com)";
    let answer = Answer { words, ..Answer::default() };
    let error = account("eu-west-9").told(&ECS, Meaning::Unreachable, answer);
    assert_eq!(error.to_string(), "no connection for ECS RunTask on `starburst-1`");
    assert_eq!(error.words(), words);
    assert_eq!(
        error.advice(),
        Some("check the network and any firewall, and that there is a region `eu-west-9`")
    );
}

#[test]
fn a_denial_is_found_in_the_middle_of_a_text() {
    let text = "Resource handler returned message: \"User: arn:aws:iam::1:user/a is not authorized to perform: \
                iam:CreateRole on resource: arn:aws:iam::1:role/r\" (Service: Iam, Status Code: 403)";
    let found = words_that_deny(text).unwrap();
    assert_eq!((found.action, found.resource), ("iam:CreateRole", Some("arn:aws:iam::1:role/r")));
    let bare = "User: a is not authorized to perform: ec2:DescribeSpotPriceHistory because no policy allows it";
    let found = words_that_deny(bare).unwrap();
    assert_eq!((found.action, found.resource), ("ec2:DescribeSpotPriceHistory", None));
    assert_eq!(words_that_deny("you are not authorized to perform this operation"), None);
}
