//! The control plane's wire formats, against a second implementation of them: moto.
//!
//! moto has no Pricing and no quotas of Fargate; those are in `calls.rs`, with canned answers.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
mod common;

use common::account::account;
use serde_json::{Value, json};
use starburst_aws::{
    account::Account,
    call::{Call, Meaning, Service},
    ecr::{self, ImageAddress, ImageName},
    logs::{self, Tail},
    pricing, stack,
    stack::{Deployment, StackError, StackOutputs},
};
use std::collections::BTreeMap;

const TEMPLATE: &str = "\
AWSTemplateFormatVersion: '2010-09-09'
Parameters:
  Days: {Type: Number, Default: 30}
  Other: {Type: String, Default: none}
Resources:
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: /starburst/test, RetentionInDays: !Ref Days}
Outputs:
  LogGroup: {Value: !Ref Logs}
  Other: {Value: !Ref Other}
  TemplateVersion: {Value: '1'}
";

fn deployment(template: &str, parameters: &[(&str, &str)]) -> Deployment {
    let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Deployment {
        name: "starburst".into(),
        template: template.into(),
        parameters: text(parameters),
        tags: text(&[("starburst", "test & more")]),
    }
}

async fn deployed(account: &Account, deployment: &Deployment) -> (stack::Stack, usize) {
    let mut count = 0;
    let made = stack::deploy(account, deployment, &mut |_| count += 1).await.unwrap();
    (made, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_mean_to_moto_what_aws_documents() {
    let Some(moto) = common::moto::moto().await else { return };
    let (account, _) = account(&moto.endpoint);
    let caller = account.caller().await.unwrap();
    assert_eq!(
        (caller.account.as_str(), caller.arn.starts_with("arn:aws:")),
        ("123456789012", true)
    );
    stacks(&account).await;
    log_streams(&account).await;
    images(&account).await;
    let spot = pricing::ec2_spot(&account, "c5.large").await.unwrap();
    assert!(spot.iter().all(|price| price.zone.starts_with("us-east-1")), "{spot:?}");
}

async fn stacks(account: &Account) {
    assert_eq!(stack::find(account, "starburst").await.unwrap(), None);
    let (made, events) = deployed(account, &deployment(TEMPLATE, &[("Other", "mine")])).await;
    assert!(made.status.is_well() && events > 0, "{made:?}");
    assert_eq!(made.template_version.as_deref(), Some("1"));
    assert_eq!(made.outputs["LogGroup"], "/starburst/test");
    assert_eq!(made.tags["starburst"], "test & more");
    let missing = StackOutputs::read(&made).unwrap_err();
    assert!(matches!(missing, StackError::MissingOutput { output: "Subnets", .. }));

    // A parameter that is not named keeps its value.
    let newer = TEMPLATE.replace("Value: '1'", "Value: '2'");
    let (updated, events) = deployed(account, &deployment(&newer, &[("Days", "7")])).await;
    assert_eq!(updated.template_version.as_deref(), Some("2"));
    assert_eq!(
        (updated.outputs["Other"].as_str(), updated.parameters["Days"].as_str()),
        ("mine", "7")
    );
    assert!(events > 0);
    let group = logs::describe(account, "/starburst/test").await.unwrap().unwrap();
    // moto carries out neither the update nor the deletion of this kind of resource.
    assert!(matches!(group.retention_days, Some(7 | 30)), "{group:?}");
    assert_eq!(stack::beginning_with(account, "star").await.unwrap().len(), 1);

    let mut told = Vec::new();
    stack::delete(account, "starburst", &mut |event| told.push(event.id.clone())).await.unwrap();
    assert_eq!(stack::find(account, "starburst").await.unwrap(), None);
    assert_eq!(logs::describe(account, "/starburst").await.unwrap(), None);
    stack::delete(account, "starburst", &mut |_| {}).await.unwrap();

    let call = Call::new(Service::CloudFormation, "DescribeStackEvents").on("starburst");
    let missing = account.query(&call, &[("StackName".into(), "nobody".into())]).await.unwrap_err();
    assert_eq!(missing.meaning(), Meaning::Absent);
    assert!(missing.words().contains("nobody"), "{}", missing.words());
}

async fn log_streams(account: &Account) {
    let (group, stream) = ("g", "starburst/worker/1");
    let make = async |operation: &str, parameters: Value| {
        let call = Call::new(Service::CloudWatchLogs, operation).on(group);
        account.json(&call, &parameters).await.unwrap();
    };
    let missing = logs::tail(account, group, stream, Tail::Lines(5)).await.unwrap_err();
    assert_eq!(missing.meaning(), Meaning::Absent);
    make("CreateLogGroup", json!({ "logGroupName": group })).await;
    let none = logs::tail(account, group, stream, Tail::Lines(5)).await.unwrap();
    assert!(none.lines.is_empty() && !none.cut);
    let named = json!({ "logGroupName": group, "logStreamName": stream });
    make("CreateLogStream", named).await;
    // moto takes events of the last 14 days only.
    let server = moto_now();
    let event = |place: i64| json!({ "timestamp": server + place * 1_000, "message": format!("line {place}") });
    let events: Vec<_> = (0..30).map(event).collect();
    let put = json!({ "logGroupName": group, "logStreamName": stream, "logEvents": events });
    make("PutLogEvents", put).await;
    let tail = logs::tail(account, group, stream, Tail::Lines(2)).await.unwrap();
    let texts: Vec<_> = tail.lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!((texts, tail.cut), (vec!["line 28", "line 29"], true));
    let span = logs::between(account, group, stream, server + 5_000, server + 8_000).await.unwrap();
    assert!(span.text().starts_with("line 5\nline 6\nline 7\n"), "{}", span.text());
    assert!(span.lines.len() <= 4 && !span.cut);
}

/// A time that moto takes events of: by its own clock, which is this machine's.
fn moto_now() -> i64 {
    use starburst_core::clock::Clock as _;
    let now = starburst_local::SystemClock::default().wall().0;
    i64::try_from(now).unwrap() - 60_000
}

async fn images(account: &Account) {
    let address = |tag: &str| {
        let uri = format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/starburst:{tag}");
        ImageAddress::parse(&uri).unwrap()
    };
    assert_eq!(ecr::repository(account, "starburst").await.unwrap(), None);
    assert!(!ecr::has_image(account, &address("a")).await.unwrap());
    let make = Call::new(Service::Ecr, "CreateRepository").on("starburst");
    let name = json!({ "repositoryName": "starburst" });
    account.json(&make, &name).await.unwrap();
    let found = ecr::repository(account, "starburst").await.unwrap().unwrap();
    assert!(found.uri.ends_with("/starburst"), "{found:?}");
    for tag in ["a", "b"] {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": { "mediaType": "x", "size": 1, "digest": format!("sha256:{tag}") }, "layers": [],
        });
        let put = Call::new(Service::Ecr, "PutImage").on("starburst");
        let image = json!({
            "repositoryName": "starburst", "imageTag": tag, "imageManifest": manifest.to_string() });
        account.json(&put, &image).await.unwrap();
    }
    assert!(ecr::has_image(account, &address("a")).await.unwrap());
    let images = ecr::images(account, "starburst").await.unwrap();
    let mut tags: Vec<_> = images.iter().flat_map(|image| image.tags.clone()).collect();
    tags.sort();
    assert_eq!(tags, ["a", "b"]);
    let gone = [ImageName::Tag("a".into()), ImageName::Tag("never".into())];
    assert_eq!(ecr::delete_images(account, "starburst", &gone).await.unwrap(), []);
    assert!(!ecr::has_image(account, &address("a")).await.unwrap());
    assert!(ecr::has_image(account, &address("b")).await.unwrap());
    // "AWS:", in base 64.
    assert!(ecr::authorization(account).await.unwrap().starts_with("QVdTO"));
}
