//! The stand-in for ECS and Service Quotas, driven by the SDK's own clients.
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper fails its test
mod common;

use aws_sdk_ecs::{
    config::{Credentials, Region, retry::RetryConfig},
    types::{
        AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, LaunchType,
        NetworkConfiguration, PropagateTags, Tag, TaskStopCode,
    },
};
use aws_smithy_http_client::Builder;
use common::{Bucket, account::account, sdk_lab::*, within_bounds};
use starburst_aws::{
    call::{Call, Service},
    logs::{self, Tail},
};
use starburst_testkit::aws::{FARGATE_ON_DEMAND, FARGATE_SPOT, Fault, NO_CAPACITY, Rule, Settings};
use starburst_testkit::s3::S3Server;
use std::time::Duration;

#[tokio::test]
async fn a_task_lives_from_provisioning_to_its_own_exit() {
    let lab = Lab::new(settings()).await;
    let tag = Tag::builder().key("starburst:session").value("s").build();
    let run = lab
        .run("echo $ECS_CONTAINER_METADATA_URI_V4; echo oops >&2; exit 3", 1)
        .launch_type(LaunchType::Fargate)
        .started_by("s")
        .tags(tag)
        .propagate_tags(PropagateTags::TaskDefinition);
    let launched = run.send().await.unwrap();
    assert_eq!(launched.tasks()[0].last_status(), Some("PROVISIONING"));
    let arn = &arns(&launched)[0];
    let task = lab.reach(arn, "STOPPED").await;
    assert_eq!(exit_code(&task), Some(3));
    assert_eq!(task.stop_code(), Some(&TaskStopCode::EssentialContainerExited));
    assert_eq!(task.desired_status(), Some("STOPPED"));
    assert_eq!((task.started_by(), task.tags()[0].value()), (Some("s"), Some("s")));
    let times = [task.created_at(), task.pull_started_at(), task.started_at(), task.stopped_at()];
    let times: Vec<f64> = times.map(|time| time.unwrap().as_secs_f64()).to_vec();
    assert!(times.is_sorted(), "{times:?}");
    let mut lines = lab.server.output(id(arn));
    lines.sort();
    assert_eq!(lines, [format!("{}/v4/{}", lab.server.endpoint(), id(arn)), "oops".into()]);
}

#[tokio::test]
async fn stopping_is_a_signal_and_then_a_stronger_one() {
    let lab = Lab::new(settings()).await;
    let gentle = "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done";
    let deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let mut found = Vec::new();
    for script in [gentle, deaf] {
        let arn = &arns(&lab.on_demand(script, 1).await)[0];
        lab.line(arn, "up").await;
        lab.stop(arn).await;
        let task = lab.reach(arn, "STOPPED").await;
        assert_eq!(task.stop_code(), Some(&TaskStopCode::UserInitiated));
        assert_eq!(task.stopped_reason(), Some("enough"));
        let span =
            task.stopped_at().unwrap().as_secs_f64() - task.stopping_at().unwrap().as_secs_f64();
        found.push((exit_code(&task), span > 1.9));
    }
    assert_eq!(found, [(Some(5), false), (Some(137), true)]);
}

#[tokio::test]
async fn nothing_of_a_task_outlives_it() {
    let lab = Lab::new(settings()).await;
    // A grandchild in a session of its own, as a worker's R child may be.
    let script = "setsid sh -c 'echo pid $$; while :; do sleep 0.05; done' & wait";
    let arn = &arns(&lab.on_demand(script, 1).await)[0];
    let pid: String = within_bounds(async || {
        let lines = lab.server.output(id(arn));
        lines.iter().find_map(|line| line.strip_prefix("pid ").map(str::to_owned))
    })
    .await;
    let process = std::path::PathBuf::from(format!("/proc/{pid}"));
    assert!(process.exists());
    let Lab { server, .. } = lab;
    server.shut_down(Duration::from_millis(100)).await;
    let is_gone = || {
        let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    };
    within_bounds(async || is_gone().then_some(())).await;
}

#[tokio::test]
async fn a_client_token_launches_once() {
    let lab = Lab::new(settings()).await;
    let token = |script: &str| {
        lab.run(script, 2).launch_type(LaunchType::Fargate).client_token("token-1").send()
    };
    lab.server.add_rule(Rule::once("RunTask", Fault::LostAnswer));
    assert!(token("true").await.is_err());
    let first = arns(&token("true").await.unwrap());
    assert_eq!(arns(&token("true").await.unwrap()), first);
    assert_eq!(code(token("false").await), "ConflictException");
    assert_eq!(lab.server.statuses().values().sum::<usize>(), 2);
}

#[tokio::test]
async fn what_aws_refuses_is_refused() {
    let lab = Lab::new(settings()).await;
    let fargate = |count| lab.run("true", count).launch_type(LaunchType::Fargate);
    assert_eq!(code(fargate(11).send().await), "InvalidParameterException");
    let long = lab.run(&"x".repeat(8_200), 1).launch_type(LaunchType::Fargate);
    assert_eq!(code(long.send().await), "InvalidParameterException");
    assert_eq!(code(fargate(1).cluster("other").send().await), "ClusterNotFoundException");
    assert_eq!(code(fargate(1).task_definition("other").send().await), "ClientException");
    let missing = fargate(1).set_network_configuration(None).send().await;
    assert_eq!(code(missing), "InvalidParameterException");
    let unknown = CapacityProviderStrategyItem::builder().capacity_provider("x").weight(1);
    let unknown = lab.run("true", 1).capacity_provider_strategy(unknown.build().unwrap());
    assert_eq!(code(unknown.send().await), "InvalidParameterException");
    assert!(lab.server.statuses().is_empty());
}

#[tokio::test]
async fn a_quota_bounds_the_vcpus_of_all_tasks_that_have_not_ended() {
    let lab = Lab::new(settings()).await;
    lab.server.set_quota(FARGATE_ON_DEMAND, Some(4.0));
    let launched = lab.on_demand("read never < /dev/zero; sleep 60", 10).await;
    assert_eq!((launched.tasks().len(), launched.failures().len()), (4, 6));
    let reason = launched.failures()[0].reason().unwrap();
    assert!(reason.contains("limit on the number of vCPUs"), "{reason}");
    assert!(lab.on_demand("true", 1).await.tasks().is_empty());
    assert_eq!(lab.on("FARGATE_SPOT", "true", 1).await.tasks().len(), 1);
    let first = &arns(&launched)[0];
    lab.stop(first).await;
    lab.reach(first, "STOPPED").await;
    assert_eq!(lab.on_demand("true", 2).await.tasks().len(), 1);
}

#[tokio::test]
async fn launches_are_throttled_and_let_in_later() {
    let lab = Lab::new(settings()).await;
    let slow = format!("{}/-/delays?start_ms=600000", lab.server.endpoint());
    assert_eq!(get(&slow).await, "ok\n");
    let again = || lab.run("true", 10).launch_type(LaunchType::Fargate).send();
    let mut let_in = 0;
    let failed = within_bounds(async || {
        let answer = again().await;
        let_in += usize::from(answer.is_ok());
        answer.is_err().then_some(answer)
    })
    .await;
    assert_eq!(code(failed), "ThrottlingException");
    assert!(let_in >= 10, "{let_in}");
    // Spot has launches of its own, though RunTask's calls are limited for both.
    let run = || {
        let spot = CapacityProviderStrategyItem::builder().capacity_provider("FARGATE_SPOT");
        let spot = spot.weight(1).build().unwrap();
        lab.run("true", 10).capacity_provider_strategy(spot).send()
    };
    let spot = within_bounds(async || run().await.ok()).await;
    assert_eq!(spot.tasks().len(), 10);
    let launched = within_bounds(async || again().await.ok()).await;
    assert_eq!(launched.tasks().len(), 10);
}

#[tokio::test]
async fn spot_is_interrupted_and_on_demand_is_not() {
    let lab = Lab::new(Settings { spot_notice: Duration::from_millis(300), ..settings() }).await;
    let script = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let spot = &arns(&lab.on("FARGATE_SPOT", script, 1).await)[0];
    let other = &arns(&lab.on_demand(script, 1).await)[0];
    lab.line(spot, "up").await;
    lab.line(other, "up").await;
    assert_eq!(lab.server.interrupt_spot(), 1);
    let task = lab.reach(spot, "STOPPED").await;
    assert_eq!(task.stop_code(), Some(&TaskStopCode::SpotInterruption));
    assert_eq!(
        (exit_code(&task), task.capacity_provider_name()),
        (Some(137), Some("FARGATE_SPOT"))
    );
    assert_eq!(lab.describe(other).await.last_status(), Some("RUNNING"));
    lab.server.interrupt_spot_for(Duration::from_secs(20));
    let next = &arns(&lab.on("FARGATE_SPOT", script, 1).await)[0];
    let task = lab.reach(next, "STOPPED").await;
    assert_eq!(task.stop_code(), Some(&TaskStopCode::SpotInterruption));
}

#[tokio::test]
async fn tasks_that_never_start_say_why() {
    let lab = Lab::new(settings()).await;
    for (fault, expected) in [
        (Fault::PullFailure, "CannotPullContainerError"),
        (Fault::EniFailure, "Create Network Interface"),
        (Fault::NetworkFailure, "ResourceInitializationError"),
        (Fault::RoleFailure, "ecr:GetAuthorizationToken"),
    ] {
        lab.server.add_rule(Rule::once("RunTask", fault));
        let task = lab.reach(&arns(&lab.on_demand("true", 1).await)[0], "STOPPED").await;
        assert_eq!(task.stop_code(), Some(&TaskStopCode::TaskFailedToStart));
        let reason = task.stopped_reason().unwrap();
        assert!(reason.contains(expected), "{reason}");
        assert_eq!((exit_code(&task), task.started_at()), (None, None));
    }
    let out_of_memory = Fault::OutOfMemory { after: Duration::from_millis(50) };
    lab.server.add_rule(Rule::once("RunTask", out_of_memory));
    let task = lab.reach(&arns(&lab.on_demand("sleep 60", 1).await)[0], "STOPPED").await;
    assert_eq!(exit_code(&task), Some(137));
    assert!(task.containers()[0].reason().unwrap().starts_with("OutOfMemoryError"));
}

#[tokio::test]
async fn requests_fail_on_demand() {
    let lab = Lab::new(settings()).await;
    for (fault, expected) in [
        (Fault::Throttle, "ThrottlingException"),
        (Fault::PassRole, "AccessDeniedException"),
        (Fault::ExpiredToken, "ExpiredTokenException"),
        (Fault::InternalError, "ServerException"),
    ] {
        lab.server.add_rule(Rule::once("RunTask", fault));
        let failed = lab.run("true", 1).launch_type(LaunchType::Fargate).send().await;
        assert_eq!(code(failed), expected);
    }
    let refused = Fault::Refused { reason: NO_CAPACITY.into() };
    let provider = Some("FARGATE_SPOT".into());
    lab.server.add_rule(Rule { provider, ..Rule::always(refused) });
    let spot = lab.on("FARGATE_SPOT", "true", 2).await;
    assert_eq!(spot.failures()[1].reason(), Some(NO_CAPACITY));
    assert_eq!(lab.on_demand("true", 2).await.tasks().len(), 2);
    assert_eq!(lab.server.counts()["RunTask"], 6);
}

#[tokio::test]
async fn lists_have_pages_and_filters_and_missing_tasks_are_told() {
    let lab = Lab::new(Settings { limits: false, ..settings() }).await;
    let mut all = Vec::new();
    // The stand-in takes its time with them, so that none has a process yet.
    let url = format!("{}/-/delays?start_ms=600000", lab.server.endpoint());
    assert_eq!(get(&url).await, "ok\n");
    for _ in 0..25 {
        let run = lab.run("true", 10).launch_type(LaunchType::Fargate).started_by("many");
        all.extend(arns(&run.send().await.unwrap()));
    }
    let mut listed = Vec::new();
    let mut sizes = Vec::new();
    let mut token = None;
    loop {
        let request = lab.ecs.list_tasks().cluster(CLUSTER).started_by("many");
        let page = request.set_next_token(token).send().await.unwrap();
        sizes.push(page.task_arns().len());
        listed.extend(page.task_arns().to_vec());
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!((sizes, &listed), (vec![100, 100, 50], &all));
    let count = async |startedby: &str, status: &str| {
        let request = lab.ecs.list_tasks().cluster(CLUSTER).started_by(startedby);
        request.desired_status(status.into()).send().await.unwrap().task_arns().len()
    };
    assert_eq!((count("one", "RUNNING").await, count("many", "STOPPED").await), (0, 0));
    let missing = "0".repeat(32);
    let request = lab.ecs.describe_tasks().cluster(CLUSTER).tasks(&all[0]).tasks(&missing);
    let answer = request.send().await.unwrap();
    assert_eq!((answer.tasks().len(), answer.failures()[0].reason()), (1, Some("MISSING")));
    let request = lab.ecs.describe_tasks().cluster(CLUSTER).set_tasks(Some(all[..101].to_vec()));
    assert_eq!(code(request.send().await), "InvalidParameterException");
    for arn in &all[..3] {
        lab.stop(arn).await;
        let task = lab.reach(arn, "STOPPED").await;
        assert_eq!(task.stop_code(), Some(&TaskStopCode::UserInitiated));
        assert_eq!(task.started_at(), None);
    }
    assert_eq!(count("many", "STOPPED").await, 3);
}

#[tokio::test]
async fn tasks_on_ec2_wait_for_an_instance_which_goes_after_them() {
    let settings = Settings {
        ec2_delay: Duration::from_millis(100),
        ec2_idle: Duration::from_millis(200),
        capacity_providers: vec!["lab-ec2-c7g-xlarge-ondemand".into()],
        ..settings()
    };
    let lab = Lab::new(settings).await;
    let request = lab.ecs.put_cluster_capacity_providers().cluster(CLUSTER);
    let providers = ["FARGATE", "FARGATE_SPOT", "lab-ec2-c7g-xlarge-ondemand"];
    let request = request.set_capacity_providers(Some(providers.map(str::to_owned).to_vec()));
    let request = request.set_default_capacity_provider_strategy(Some(Vec::new()));
    request.send().await.unwrap();
    // Four vCPUs, and 8 GiB less what ECS keeps: three tasks of 1 vCPU and 2 GiB.
    let launched = lab.on("lab-ec2-c7g-xlarge-ondemand", "echo up; sleep 60", 4).await;
    assert_eq!(lab.server.instances(), 0);
    for arn in arns(&launched) {
        let task = lab.reach(&arn, "RUNNING").await;
        assert_eq!(task.launch_type(), Some(&LaunchType::Ec2));
        assert!(task.container_instance_arn().is_some());
    }
    assert_eq!(lab.server.instances(), 2);
    for arn in arns(&launched) {
        lab.stop(&arn).await;
    }
    within_bounds(async || (lab.server.instances() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_public_address_and_a_launch_type_are_for_fargate() {
    let lab = Lab::new(settings()).await;
    let network = AwsVpcConfiguration::builder()
        .subnets("subnet-1")
        .assign_public_ip(AssignPublicIp::Enabled)
        .build()
        .unwrap();
    let network = NetworkConfiguration::builder().awsvpc_configuration(network).build();
    let run = lab.run("true", 1).network_configuration(network);
    assert!(run.clone().launch_type(LaunchType::Fargate).send().await.is_ok());
    assert_eq!(code(run.launch_type(LaunchType::Ec2).send().await), "InvalidParameterException");
}

#[tokio::test]
async fn quotas_are_asked_with_their_own_client() {
    let quotas = [(FARGATE_SPOT.to_owned(), None)].into();
    let lab = Lab::new(Settings { quotas, ..settings() }).await;
    let config = aws_sdk_servicequotas::Config::builder()
        .behavior_version(aws_sdk_servicequotas::config::BehaviorVersion::latest())
        .http_client(Builder::new().build_http())
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .region(Region::new("us-east-1"))
        .endpoint_url(lab.server.endpoint())
        .retry_config(RetryConfig::disabled())
        .build();
    let client = aws_sdk_servicequotas::Client::from_conf(config);
    let get = || client.get_service_quota().service_code("fargate").quota_code(FARGATE_SPOT).send();
    assert_eq!(code(get().await), "NoSuchResourceException");
    let default = client.get_aws_default_service_quota().service_code("fargate");
    let default = default.quota_code(FARGATE_SPOT).send().await.unwrap();
    assert_eq!(default.quota().unwrap().value(), Some(6.0));
    let ask = || {
        let request = client.request_service_quota_increase().service_code("fargate");
        request.quota_code(FARGATE_SPOT).desired_value(64.0).send()
    };
    ask().await.unwrap();
    assert_eq!(code(ask().await), "ResourceAlreadyExistsException");
    lab.server.set_quota(FARGATE_SPOT, Some(64.0));
    assert_eq!(get().await.unwrap().quota().unwrap().value(), Some(64.0));
}

/// A process that is killed when dropped.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `tools/test.sh` installs moto and names its Python in STARBURST_MOTO_PYTHON; elsewhere there is nothing to test against.
#[tokio::test]
async fn clusters_and_buckets_come_from_moto_and_logs_go_there() {
    let Ok(python) = std::env::var("STARBURST_MOTO_PYTHON") else {
        eprintln!("no STARBURST_MOTO_PYTHON: not tested against moto");
        return;
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let moto = std::process::Command::new(python)
        .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    let _moto = Killed(moto.unwrap());
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    within_bounds(async || listens().then_some(())).await;
    let moto = format!("http://127.0.0.1:{port}");
    ecs_at(&moto).create_cluster().cluster_name(CLUSTER).send().await.unwrap();
    Bucket::at(&moto, "key", "secret").named("elsewhere").make().await;
    let (account, _) = account(&moto);
    let make = Call::new(Service::CloudWatchLogs, "CreateLogGroup").on("starburst");
    account.json(&make, &serde_json::json!({ "logGroupName": "starburst" })).await.unwrap();

    let endpoint = Some(moto);
    let settings = Settings {
        clusters: Vec::new(),
        moto: endpoint.clone(),
        logs_endpoint: endpoint,
        ..settings()
    };
    let lab = Lab::new(settings).await;
    let arn = &arns(&lab.on_demand("echo one; echo two", 1).await)[0];
    lab.reach(arn, "STOPPED").await;
    let stream = format!("starburst/worker/{}", id(arn));
    let printed = logs::tail(&account, "starburst", &stream, Tail::Lines(9)).await.unwrap();
    assert_eq!(printed.text(), "one\ntwo\n");

    let s3 = S3Server::start().await;
    lab.server.attach(&s3);
    let bucket = Bucket::on(&s3).await;
    let body = bytes::Bytes::from_static(b"x");
    bucket.clone().named("elsewhere").one_try().create(&common::key(), body.clone()).await.unwrap();
    assert!(bucket.named("nowhere").one_try().create(&common::key(), body).await.is_err());
}

/// The body of a plain GET request.
async fn get(url: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}
