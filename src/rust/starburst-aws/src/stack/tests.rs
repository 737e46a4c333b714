use super::*;
use starburst_core::error::{Error, ErrorKind};

fn stack(outputs: &[(&str, &str)]) -> Stack {
    let outputs: String = outputs
        .iter()
        .map(|(key, value)| {
            format!(
                "<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"
            )
        })
        .collect();
    let text = format!(
        "<member><StackName>starburst</StackName><StackId>arn:aws:cloudformation:eu-west-1:1:stack/starburst/x</StackId>\
         <CreationTime>2026-11-24T12:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>\
         <Parameters><member><ParameterKey>VpcId</ParameterKey><ParameterValue/></member></Parameters>\
         <Outputs>{outputs}</Outputs></member>"
    );
    Stack::read(&Xml::parse(text.as_bytes()).unwrap().children[0]).unwrap()
}

const ALL: [(&str, &str); 11] = [
    ("Bucket", "b"),
    ("Cluster", "c"),
    ("Subnets", "subnet-1, subnet-2"),
    ("SecurityGroup", "sg"),
    ("ExecutionRole", "arn:e"),
    ("TaskRole", "arn:t"),
    ("LogGroup", "l"),
    ("Repository", "r"),
    ("InstanceProfile", "arn:i"),
    ("ObjectExpiryDays", "45"),
    ("TemplateVersion", "3"),
];

#[test]
fn the_outputs_are_the_configuration() {
    let stack = stack(&ALL);
    assert_eq!(stack.template_version.as_deref(), Some("3"));
    assert_eq!(stack.parameters["VpcId"], "");
    let outputs = StackOutputs::read(&stack).unwrap();
    assert_eq!(outputs.subnets, ["subnet-1", "subnet-2"]);
    assert_eq!(outputs.object_expiry_days, Some(45));
    assert_eq!((outputs.bucket.as_str(), outputs.instance_profile.as_str()), ("b", "arn:i"));
}

#[test]
fn an_output_that_is_missing_tells_to_update_the_stack() {
    let old: Vec<_> = ALL.into_iter().filter(|(key, _)| *key != "InstanceProfile").collect();
    let error = Error::from(StackOutputs::read(&stack(&old)).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Version);
    assert_eq!(
        error.to_string(),
        "the stack `starburst` has no output `InstanceProfile` (its template has version 3)"
    );
    let advice = error.advice().unwrap();
    assert!(advice.starts_with("its template is older than this package: run `starburst_setup()`"));
}

fn failed(reason: &str, status: &str) -> Error {
    let event = StackEvent {
        id: "1".into(),
        at: String::new(),
        resource: "TaskRole".into(),
        kind: "AWS::IAM::Role".into(),
        status: "CREATE_FAILED".into(),
        reason: Some(reason.into()),
        of_stack: false,
    };
    assert!(event.is_cause());
    Error::from(StackError::Failed {
        name: "starburst".into(),
        status: status.into(),
        cause: Some(Box::new(event)),
        reason: None,
    })
}

#[test]
fn a_failure_says_which_resource_and_why() {
    let error = failed("The name is taken", "ROLLBACK_COMPLETE");
    assert_eq!(
        error.chain(),
        [
            "the stack `starburst` failed, and is now in ROLLBACK_COMPLETE",
            "`TaskRole` (AWS::IAM::Role) CREATE_FAILED: The name is taken"
        ]
    );
    assert_eq!(error.advice().unwrap(), "remove the cause and run `starburst_setup()` again");
}

#[test]
fn a_failure_for_want_of_a_permission_names_it() {
    let error = failed(
        "Resource handler returned message: \"User: arn:aws:iam::1:user/ann is not authorized to perform: \
         iam:CreateRole on resource: arn:aws:iam::1:role/starburst-TaskRole because no identity-based policy \
         allows the iam:CreateRole action (Service: Iam, Status Code: 403)\"",
        "ROLLBACK_COMPLETE",
    );
    assert_eq!(error.kind(), ErrorKind::Permission);
    assert_eq!(
        error.advice().unwrap(),
        "ask your administrator to allow iam:CreateRole on arn:aws:iam::1:role/starburst-TaskRole"
    );
}
