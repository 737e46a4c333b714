//! Signed calls against a server that answers what each test says: what is tried again, and what a user is told.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
mod common;

use common::{account::account, canned::serve};
use starburst_aws::{
    call::{Call, Meaning, Service},
    pricing,
    quotas::{self, QuotaCode},
};
use starburst_core::error::{Error, ErrorKind};
use std::time::Duration;

const CALLER: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
    <GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/ann</Arn><UserId>AIDA</UserId>\
    <Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";

fn query_error(code: &str, words: &str) -> String {
    format!(
        "<ErrorResponse><Error><Code>{code}</Code><Message>{words}</Message></Error></ErrorResponse>"
    )
}

#[tokio::test]
async fn throttling_a_failure_and_a_lost_connection_are_tried_again() {
    let mut answers = vec![
        (200, CALLER.to_owned()),
        (0, String::new()),
        (503, String::new()),
        (400, query_error("Throttling", "Rate exceeded")),
    ];
    let server = serve(move |_| answers.pop().unwrap()).await;
    let (account, clock) = account(&server.endpoint);
    assert_eq!(account.caller().await.unwrap().account, "111122223333");
    assert_eq!(server.operations().len(), 4);
    let (least, most) = (Duration::from_millis(1_000), Duration::from_millis(2_100));
    assert!(clock.waited() > least && clock.waited() < most, "{:?}", clock.waited());
    let head = &server.asked()[0].head;
    assert!(head.contains("/us-east-1/sts/aws4_request"), "{head}");
    assert!(head.contains("x-amz-date: 20261124T"), "{head}");
}

#[tokio::test]
async fn five_tries_are_enough() {
    let server = serve(|_| (500, "{}".to_owned())).await;
    let (account, _) = account(&server.endpoint);
    let error = account.caller().await.unwrap_err();
    assert_eq!((error.meaning(), server.operations().len()), (Meaning::Unavailable, 5));
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let words = "User: arn:aws:iam::1:user/a is not authorized to perform: ecr:DescribeImages on resource: arn:x";
    let body = format!("{{\"__type\":\"AccessDeniedException\",\"message\":\"{words}\"}}");
    let server = serve(move |_| (400, body.clone())).await;
    let (account, _) = account(&server.endpoint);
    let call = Call::new(Service::Ecr, "DescribeImages").on("r");
    let error = account.json(&call, &serde_json::json!({})).await.unwrap_err();
    assert_eq!(server.operations(), ["DescribeImages"]);
    let error = Error::from(error);
    assert_eq!(error.kind(), ErrorKind::Permission);
    assert_eq!(
        error.advice().unwrap(),
        "ask your administrator to allow ecr:DescribeImages on arn:x"
    );
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_by_the_first_answer() {
    let mut count = 0;
    let server = serve(move |_| {
        count += 1;
        match count {
            1 => (
                403,
                query_error(
                    "SignatureDoesNotMatch",
                    "Signature expired: 2027 is now earlier than 2026",
                ),
            ),
            _ => (200, CALLER.to_owned()),
        }
    })
    .await;
    let (account, clock) = account(&server.endpoint);
    // A day passes here that does not pass there.
    starburst_core::clock::Clock::sleep(clock.as_ref(), Duration::from_secs(86_400)).await;
    account.caller().await.unwrap();
    let dates: Vec<_> = server
        .asked()
        .iter()
        .map(|asked| {
            let date = asked.head.lines().find_map(|line| line.strip_prefix("x-amz-date: "));
            date.unwrap()[..8].to_owned()
        })
        .collect();
    assert_eq!(dates, ["20261125", "20261124"]);
}

#[tokio::test]
async fn an_answer_that_is_no_answer_of_aws_tells_where_to_look() {
    let server = serve(|_| (200, "<html>Log in to the wireless network".to_owned())).await;
    let (account, _) = account(&server.endpoint);
    let error = account.caller().await.unwrap_err();
    assert_eq!(error.meaning(), Meaning::Unreadable);
    assert!(error.advice().unwrap().contains("proxy"), "{error:?}");
}

#[tokio::test]
async fn nobody_there_is_told_with_the_address() {
    let (account, _) = account("http://127.0.0.1:9");
    let error = account.caller().await.unwrap_err();
    assert_eq!(error.meaning(), Meaning::Unreachable);
    assert!(error.words().contains("http://127.0.0.1:9"), "{}", error.words());
}

#[tokio::test]
async fn a_quota_that_was_never_changed_is_the_default_with_what_is_pending() {
    let server = serve(|asked| match asked.operation().as_str() {
        "GetServiceQuota" => {
            (400, r#"{"__type":"NoSuchResourceException","Message":"none"}"#.to_owned())
        }
        "GetAWSDefaultServiceQuota" => (
            200,
            r#"{"Quota":{"QuotaCode":"L-3032A538","ServiceCode":"fargate","Value":6.0,"Adjustable":true}}"#.to_owned(),
        ),
        "ListRequestedServiceQuotaChangeHistoryByQuota" if asked.body.contains("NextToken") => {
            (200, r#"{"RequestedQuotas":[{"Id":"new","Status":"PENDING","DesiredValue":500.0,"Created":1795521600}]}"#.to_owned())
        }
        "ListRequestedServiceQuotaChangeHistoryByQuota" => (
            200,
            r#"{"NextToken":"t","RequestedQuotas":[{"Id":"old","Status":"DENIED","DesiredValue":9.0,"Created":1}]}"#.to_owned(),
        ),
        "RequestServiceQuotaIncrease" => (
            200,
            r#"{"RequestedQuota":{"Id":"r","CaseId":"c-1","Status":"CASE_OPENED","DesiredValue":500.0}}"#.to_owned(),
        ),
        other => (400, format!("{{\"__type\":\"Unexpected\",\"message\":\"{other}\"}}")),
    })
    .await;
    let (account, _) = account(&server.endpoint);
    let quota = quotas::get(&account, QuotaCode::FargateOnDemand).await.unwrap();
    assert_eq!((quota.limit, quota.is_default), (6.0, true));
    let pending = quota.pending.unwrap();
    assert_eq!((pending.desired, pending.status.as_str()), (500.0, "PENDING"));
    let ids: Vec<_> = quotas::history(&account, QuotaCode::FargateOnDemand).await.unwrap();
    assert_eq!(ids.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["new", "old"]);
    let made = quotas::request_increase(&account, QuotaCode::FargateOnDemand, 500.0).await.unwrap();
    assert_eq!(made.case_id.as_deref(), Some("c-1"));
}

#[tokio::test]
async fn prices_are_asked_for_by_pages() {
    let product = |usage: &str, usd: &str| {
        serde_json::json!({
            "product": { "attributes": { "usagetype": usage } },
            "terms": { "OnDemand": { "a": { "priceDimensions": { "b": { "pricePerUnit": { "USD": usd } } } } } }
        })
        .to_string()
    };
    let first = serde_json::json!({
        "PriceList": [product("Fargate-vCPU-Hours:perCPU", "0.04048")], "NextToken": "t" });
    let second = serde_json::json!({ "PriceList": [product("Fargate-GB-Hours", "0.004445")] });
    let server = serve(move |asked| {
        (200, if asked.body.contains("NextToken") { &second } else { &first }.to_string())
    })
    .await;
    let (account, _) = account(&server.endpoint);
    let prices = pricing::fargate(&account, "us-east-1").await.unwrap();
    assert_eq!(
        (prices.x86_vcpu, prices.x86_gb, prices.arm_gb),
        (Some(0.04048), Some(0.004445), None)
    );
    assert!(server.asked()[0].head.contains("/us-east-1/pricing/aws4_request"));
}
