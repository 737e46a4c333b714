//! What a user is told when AWS does not let workers be started, and what passes by itself.
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper fails its test
mod common;

use common::lab::{Lab, names, settings, site, slow, specs, wanted};
use starburst_aws::{
    ecs::{
        prepare::{Prepared, Spot, Wanted, prepare},
        tasks,
    },
    quotas::{self, QuotaCode},
};
use starburst_core::{
    cost::Ceiling,
    error::{Error, ErrorKind},
    launch::{LaunchError, Launcher as _},
};
use starburst_testkit::aws::{EC2_ON_DEMAND, FARGATE_ON_DEMAND, FARGATE_SPOT, Fault, Rule};

#[tokio::test]
async fn throttling_and_a_lost_answer_pass_and_start_nothing_twice() {
    let lab = Lab::new(slow()).await;
    for (fault, times) in [(Fault::Throttle, 2), (Fault::InternalError, 1), (Fault::LostAnswer, 1)]
    {
        let (before, asked) = (lab.tasks(), lab.count("RunTask"));
        lab.server.add_rule(Rule::times("RunTask", times, fault));
        let launched = lab.launcher().launch_all(&specs("s", 3)).await;
        assert!(launched.refused.is_none(), "{:?}", launched.refused);
        assert_eq!((launched.workers.len(), lab.tasks() - before), (3, 3));
        assert_eq!(lab.count("RunTask") - asked, times + 1);
    }
}

#[tokio::test]
async fn a_call_that_was_never_answered_is_made_again_and_starts_nothing_twice() {
    let lab = Lab::new(slow()).await;
    let launcher = lab.launcher();
    let tries = 5;
    lab.server.add_rule(Rule::times("RunTask", tries, Fault::LostAnswer));
    let launched = launcher.launch_all(&specs("s", 4)).await;
    assert!(matches!(launched.refused, Some(LaunchError::Refused { .. })), "{launched:?}");
    assert_eq!((launched.workers.len(), lab.tasks(), lab.count("RunTask")), (0, 4, tries));
    // Nothing else is asked for while it is not known what came of it.
    lab.server.add_rule(Rule::times("RunTask", tries, Fault::LostAnswer));
    let launched = launcher.launch_all(&specs("s", 12)).await;
    assert_eq!((launched.workers.len(), lab.tasks(), lab.count("RunTask")), (0, 4, 2 * tries));
    let launched = launcher.launch_all(&specs("s", 12)).await;
    assert!(launched.refused.is_none(), "{:?}", launched.refused);
    assert_eq!((launched.workers.len(), lab.tasks()), (12, 12));
    // It is known now: the next workers are new ones.
    assert_eq!(launcher.launch_all(&specs("s", 4)).await.workers.len(), 4);
    assert_eq!(lab.tasks(), 16);
}

#[tokio::test]
async fn throttled_calls_on_spot_do_not_start_workers_on_demand() {
    let lab = Lab::new(slow()).await;
    let launcher = lab.on("FARGATE_SPOT", Some("FARGATE"));
    lab.server.add_rule(Rule::times("RunTask", 5, Fault::Throttle));
    let launched = launcher.launch_all(&specs("s", 3)).await;
    assert!(matches!(launched.refused, Some(LaunchError::Refused { .. })), "{launched:?}");
    assert_eq!((lab.tasks(), lab.count("RunTask")), (0, 5));
    lab.server.set_quota(FARGATE_SPOT, Some(2.0));
    let launched = launcher.launch_all(&specs("s", 3)).await;
    let there = tasks::describe(&lab.account, "lab", &names(&launched.workers)).await.unwrap();
    assert_eq!((tasks::vcpu(&there, "FARGATE_SPOT"), tasks::vcpu(&there, "FARGATE")), (2.0, 0.0));
    assert!(launched.refused.unwrap().to_string().contains("quota is used up"));
}

/// The error a user gets from a launch that meets this.
async fn refusal(fault: Fault) -> (Error, usize) {
    let lab = Lab::new(settings("true")).await;
    lab.server.add_rule(Rule { operation: Some("RunTask".into()), ..Rule::always(fault) });
    let launched = lab.launcher().launch_all(&specs("s", 12)).await;
    let error = launched.refused.unwrap();
    assert!(matches!(error, LaunchError::Denied { .. }), "{error:?}");
    // It does not pass, so it is not tried again, and the second ten are not tried at all.
    assert_eq!(lab.count("RunTask"), 1);
    (Error::from(error), lab.tasks())
}

#[tokio::test]
async fn what_does_not_pass_is_told_with_what_to_do() {
    let role = "arn:aws:iam::123456789012:role/starburst-execution";
    let (error, tasks) = refusal(Fault::PassRole).await;
    assert_eq!((error.kind(), tasks), (ErrorKind::Permission, 0));
    let chain = error.chain();
    assert_eq!(
        chain[0],
        "cannot start a worker: not allowed to hand over a role: ECS RunTask on `lab`"
    );
    assert!(
        chain[1].starts_with("AccessDeniedException: User: arn:aws:iam::123456789012:"),
        "{chain:?}"
    );
    assert!(
        chain[1]
            .contains(&format!("is not authorized to perform: iam:PassRole on resource: {role}"))
    );
    assert_eq!(chain.len(), 2);
    let advice = error.advice().unwrap();
    assert!(
        advice.starts_with(&format!(
            "ask your administrator to allow iam:PassRole on {role}, for the service ecs-tasks"
        )),
        "{advice}"
    );

    let (error, _) = refusal(Fault::ExpiredToken).await;
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(
        error.chain(),
        [
            "cannot start a worker: no valid AWS credentials for ECS RunTask on `lab`",
            "ExpiredTokenException: The security token included in the request is expired"
        ]
    );
    let advice = error.advice().unwrap();
    assert!(advice.starts_with("your credentials have expired: sign in again"), "{advice}");

    let (error, _) = refusal(Fault::AccessDenied { message: String::new() }).await;
    assert_eq!(error.kind(), ErrorKind::Permission);
    assert_eq!(error.chain()[0], "cannot start a worker: not allowed: ECS RunTask on `lab`");
    assert_eq!(error.advice().unwrap(), "ask your administrator to allow ecs:RunTask on *");

    let gone = Fault::Exception {
        code: "ClusterNotFoundException".into(),
        message: "Cluster not found.".into(),
    };
    let (error, _) = refusal(gone).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.chain().join(": ").contains("`lab`"), "{:?}", error.chain());
}

async fn prepared(lab: &Lab, wanted: &Wanted) -> Result<Prepared, Error> {
    lab.server.reset_counts();
    prepare(&lab.account, &site(), wanted).await
}

#[tokio::test]
async fn what_costs_too_much_is_refused_before_anything_is_asked() {
    let lab = Lab::new(slow()).await;
    let hourly = |max| Ceiling { max_hourly_usd: Some(max), ..Ceiling::default() };
    let dear = Wanted { ceiling: hourly(0.1), ..wanted(10) };
    let error = prepared(&lab, &dear).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cost);
    let words = error.to_string();
    assert!(words.starts_with("max_hourly_cost = 0.1: 10 workers cost 0."), "{words}");
    assert!(words.ends_with("USD an hour; 1 would fit"), "{words}");
    for ceiling in [hourly(100.0), Ceiling { max_total_usd: Some(100.0), ..Ceiling::default() }] {
        let unknown = Wanted { instance_type: Some("x99.huge".into()), ceiling, ..wanted(10) };
        let error = prepared(&lab, &unknown).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cost);
        assert_eq!(
            error.to_string(),
            "the price of a worker (1 vCPU, 2 GB on x99.huge) is not known, so a ceiling on cost cannot be kept; \
             choose another `instance_type`, or leave `max_hourly_cost` and `max_total_cost` out"
        );
    }
    // But for its price.
    assert!(lab.server.counts().keys().all(|operation| operation == "GetProducts"));
    // Without a ceiling it is for the user to know.
    let unknown = Wanted { instance_type: Some("x99.huge".into()), ..wanted(10) };
    let made = prepared(&lab, &unknown).await.unwrap();
    assert_eq!(
        (made.budget, made.fleet.provider.as_str()),
        (None, "starburst-ec2-x99-huge-ondemand")
    );
    assert!(made.fleet.subnets.is_empty());
}

#[tokio::test]
async fn a_size_that_no_instance_has_room_for_is_refused_with_what_fits() {
    let lab = Lab::new(slow()).await;
    let sized = |kind: &str, cpu, gib: u64| Wanted {
        instance_type: Some(kind.into()),
        cpu,
        memory_mib: gib * 1_024,
        ..wanted(1)
    };
    // Not a size of Fargate.
    prepared(&lab, &sized("c7g.4xlarge", 3.0, 29)).await.unwrap();
    let error = prepared(&lab, &sized("c7g.4xlarge", 4.0, 31)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.subject().as_deref()),
        (ErrorKind::InvalidInput, Some("memory"))
    );
    assert_eq!(
        error.chain(),
        [
            "`memory` must be at most 29 GB with instance_type = \"c7g.4xlarge\"",
            "a worker of 4 vCPU and 31 GB does not fit on an instance of 16 vCPU and 32 GB, of which the system \
             takes a part"
        ]
    );
    assert!(error.advice().unwrap().ends_with("choose a larger `instance_type`"));
    let error = prepared(&lab, &sized("t4g.small", 4.0, 1)).await.unwrap_err();
    assert_eq!(error.to_string(), "`cpu` must be at most 2 with instance_type = \"t4g.small\"");
    // The table does not have this one; the price list does.
    let error = prepared(&lab, &sized("r7g.large", 1.0, 15)).await.unwrap_err();
    assert!(error.to_string().contains("at most 14 GB"), "{error}");
    assert!(prepared(&lab, &sized("r7g.large", 1.0, 14)).await.unwrap().budget.is_some());
    assert_eq!(lab.tasks(), 0);
}

#[tokio::test]
async fn a_quota_below_one_worker_is_refused_with_the_request_to_make() {
    let lab = Lab::new(slow()).await;
    lab.server.set_quota(FARGATE_ON_DEMAND, Some(1.0));
    let large = Wanted { cpu: 2.0, memory_mib: 4_096, ..wanted(10) };
    let error = prepared(&lab, &large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Quota);
    assert_eq!(
        error.to_string(),
        "the Fargate quota is 1 vCPU, 0 in use by others, and one worker needs 2 vCPU: none can start. \
         With cpu = 0.5: 2 at a time. \
         Request 20 vCPU? starburst_request_quota_increase(vcpus = 20, launch_type = \"FARGATE\")"
    );
    assert_eq!(lab.count("RegisterTaskDefinition"), 0);
    lab.server.set_quota(EC2_ON_DEMAND, Some(0.0));
    let on_ec2 = Wanted { instance_type: Some("c5.large".into()), ..wanted(10) };
    let error = prepared(&lab, &on_ec2).await.unwrap_err();
    assert!(error.to_string().starts_with("the EC2 quota is 0 vCPU"), "{error}");
    lab.server.set_quota(FARGATE_SPOT, Some(0.0));
    let error = prepared(&lab, &Wanted { spot: Spot::Only, ..wanted(10) }).await.unwrap_err();
    let command =
        "starburst_request_quota_increase(vcpus = 10, launch_type = \"FARGATE\", use_spot = TRUE)";
    assert!(error.to_string().ends_with(command), "{error}");
}

#[tokio::test]
async fn the_message_before_launch_says_what_holds_it_and_what_is_pending() {
    let lab = Lab::new(slow()).await;
    lab.server.set_quota(FARGATE_ON_DEMAND, Some(8.0));
    assert_eq!(lab.launcher().launch_all(&specs("other", 4)).await.workers.len(), 4);
    let made = prepared(&lab, &wanted(10)).await.unwrap();
    assert!(
        made.message.starts_with(
            "Requested 10 workers (10 vCPU). Fargate quota 8 vCPU, 4 in use: 4 workers at a time (3 waves). \
             With cpu = 0.25: all 10 at a time. \
             Request 20 vCPU? starburst_request_quota_increase(vcpus = 20, launch_type = \"FARGATE\") "
        ),
        "{}",
        made.message
    );
    let price = made.budget.unwrap().price.usd_per_hour * 4.0;
    let cost = format!(" At most {price:.2} USD an hour (a worker of 1 vCPU and 2 GB on Fargate");
    assert!(made.message.contains(&cost), "{}", made.message);
    assert_eq!((made.fleet.vcpu_quota, lab.count("RunTask")), (Some(8.0), 0));
    quotas::request_increase(&lab.account, QuotaCode::FargateOnDemand, 64.0).await.unwrap();
    let message = prepared(&lab, &wanted(10)).await.unwrap().message;
    assert!(message.contains(" An increase to 64 vCPU is pending since 2026-"), "{message}");
    assert!(!message.contains("Request "), "{message}");
    // Spot has a quota of its own, which nothing uses.
    let spot = Wanted { spot: Spot::First, ..wanted(10) };
    let made = prepared(&lab, &spot).await.unwrap();
    assert_eq!(
        (made.fleet.provider.as_str(), made.fleet.fallback.as_deref()),
        ("FARGATE_SPOT", Some("FARGATE"))
    );
    assert!(made.message.starts_with("Requested 10 workers (10 vCPU). "), "{}", made.message);
    assert!(!made.message.contains("quota"), "{}", made.message);
}

#[tokio::test]
async fn a_larger_quota_is_asked_for_once_where_the_user_wants_that() {
    let lab = Lab::new(slow()).await;
    lab.server.set_quota(FARGATE_ON_DEMAND, Some(8.0));
    let asking = Wanted { auto_quota_request: true, ..wanted(10) };
    // The second time it is pending.
    for requests in [1, 0] {
        let message = prepared(&lab, &asking).await.unwrap().message;
        assert!(message.contains(" An increase to 10 vCPU is pending since 2026-"), "{message}");
        assert_eq!(lab.count("RequestServiceQuotaIncrease"), requests);
    }
    // With room for all nothing is asked for.
    let few = Wanted { auto_quota_request: true, ..wanted(8) };
    assert!(!prepared(&lab, &few).await.unwrap().message.contains("increase"));
}

#[tokio::test]
async fn a_price_that_aws_tells_is_taken_before_the_table_s() {
    let lab = Lab::new(slow()).await;
    let before = prepared(&lab, &wanted(1)).await.unwrap().budget.unwrap().price;
    lab.server.set_price_factor(2.0);
    let after = prepared(&lab, &wanted(1)).await.unwrap().budget.unwrap().price;
    assert!(after.usd_per_hour > 1.8 * before.usd_per_hour, "{before:?} {after:?}");
    assert!(after.as_of.starts_with("2026-"), "{after:?}");
    // Where prices may not be asked for, there is the table.
    lab.server.add_rule(Rule::times(
        "GetProducts",
        1,
        Fault::AccessDenied { message: "not authorized".into() },
    ));
    let table = prepared(&lab, &wanted(1)).await.unwrap().budget.unwrap().price;
    assert_eq!(table.as_of, "2026-09");
}

#[tokio::test]
async fn a_quota_that_may_not_be_read_holds_nobody() {
    let lab = Lab::new(slow()).await;
    let denied = Fault::AccessDenied { message: String::new() };
    lab.server.add_rule(Rule { operation: Some("GetServiceQuota".into()), ..Rule::always(denied) });
    let made = prepared(&lab, &wanted(3)).await.unwrap();
    assert_eq!(made.fleet.vcpu_quota, None);
    assert!(
        made.message
            .contains("The Fargate quota could not be read: workers start as far as AWS allows.")
    );
    let expired =
        Rule { operation: Some("GetServiceQuota".into()), ..Rule::always(Fault::ExpiredToken) };
    lab.server.clear_rules();
    lab.server.add_rule(expired);
    assert_eq!(prepared(&lab, &wanted(3)).await.unwrap_err().kind(), ErrorKind::Unauthenticated);
}
