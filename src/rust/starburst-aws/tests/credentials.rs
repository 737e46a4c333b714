//! Where credentials come from when nobody names any: the chain that all AWS tools share, with providers of this machine.
//! Each test starts a process with an environment of its own, which writes to the S3 of the tests.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test's helper fails its test, and its process tells what it saw
mod common;

use common::{keys, within_bounds};
use starburst_aws::{
    account::Access,
    s3::{self, S3Location},
};
use starburst_core::error::Error;
use starburst_local::{SystemClock, SystemIds};
use starburst_testkit::s3::S3Server;
use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
    sync::Arc,
};
use tempfile::TempDir;
use tokio::process::Command;

/// Names the file whose second line the process waits for while it writes; empty for one write.
const UNTIL: &str = "STARBURST_WRITE_UNTIL";

/// What the tests start: writes to the bucket by the credentials that it finds, and says what came of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_that_writes() {
    let Ok(until) = std::env::var(UNTIL) else {
        return;
    };
    let place = S3Location::parse(&format!("s3://{}", S3Server::BUCKET)).unwrap();
    let (clock, ids) = (Arc::new(SystemClock::default()), Arc::new(SystemIds));
    let store = s3::connect(place, Access::default(), clock, ids).await.store;
    let mut count = 0;
    let mut write = async || {
        count += 1;
        store.create(&keys().segment(count), "x".into()).await
    };
    let mut written = write().await;
    if written.is_ok() && !until.is_empty() {
        println!("runs at first: {}", lines(Path::new(&until)));
        written = within_bounds(async || {
            let written = write().await;
            (written.is_err() || lines(Path::new(&until)) > 1).then_some(written)
        })
        .await;
    }
    match written {
        Ok(_) => println!("written"),
        Err(error) => {
            let error = Error::from(error);
            println!("{}; {}", error.chain().join(": "), error.advice().unwrap_or_default());
        }
    }
}

fn lines(file: &Path) -> usize {
    fs::read_to_string(file).unwrap_or_default().lines().count()
}

/// Runs it with these variables, and a home directory of its own.
async fn write_with(home: &TempDir, server: &S3Server, variables: &[(&str, &str)]) -> String {
    let Output { stdout, stderr, status } = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "one_process_that_writes", "--nocapture"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home.path())
        .env("AWS_ENDPOINT_URL_S3", server.endpoint())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env(UNTIL, "")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// Credentials as programs and containers give them; the word for the session's token differs.
fn answer(token: &str, end: &str) -> String {
    format!(
        r#"{{"Version": 1, "AccessKeyId": "{}", "SecretAccessKey": "{}", "{token}": "t", "Expiration": "{end}"}}"#,
        S3Server::ACCESS_KEY,
        S3Server::SECRET_KEY
    )
}

fn configure(home: &TempDir, config: &str) {
    fs::create_dir_all(home.path().join(".aws/sso/cache")).unwrap();
    fs::write(home.path().join(".aws/config"), config).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_gives_credentials_is_asked_again_before_they_expire() {
    let (server, home) = (S3Server::start().await, tempfile::tempdir().unwrap());
    let (script, runs) = (home.path().join("give.sh"), home.path().join("runs"));
    // For 12 s at first, and then for an hour. BSD's date knows no -d, and GNU's takes -r for a file.
    let code = format!(
        "cd '{}'\nend=$(($(date +%s) + 12))\nif [ -e runs ]; then end=$((end + 3600)); fi\n\
         end=$(date -u -d \"@$end\" +%FT%TZ 2>/dev/null || date -u -r \"$end\" +%FT%TZ)\n\
         echo run >> runs\ncat <<EOF\n{}\nEOF\n",
        home.path().display(),
        answer("SessionToken", "$end")
    );
    fs::write(&script, code).unwrap();
    let config = format!(
        "[profile lab]\nregion = us-east-1\ncredential_process = /bin/sh \"{}\"\n",
        script.display()
    );
    configure(&home, &config);
    let until = runs.display().to_string();
    let said = write_with(&home, &server, &[("AWS_PROFILE", "lab"), (UNTIL, &until)]).await;
    assert!(said.contains("runs at first: 1\n") && said.contains("written\n"), "{said}");
    assert_eq!(lines(&runs), 2);
    assert!(server.keys().len() > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_gets_the_credentials_of_its_role() {
    let (server, home) = (S3Server::start().await, tempfile::tempdir().unwrap());
    let agent = common::canned::serve(|_| (200, answer("Token", "2100-01-01T00:00:00Z"))).await;
    let role = format!("{}/role", agent.endpoint);
    let variables = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of-the-container"),
    ];
    let said = write_with(&home, &server, &variables).await;
    assert!(said.contains("written\n"), "{said}");
    assert_eq!(server.keys().len(), 1);
    let asked = agent.asked();
    assert!(asked[0].head.starts_with("GET /role "), "{}", asked[0].head);
    assert!(asked[0].head.contains("authorization: of-the-container\n"), "{}", asked[0].head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_that_has_expired_is_told_with_the_command_that_renews_it() {
    let (server, home) = (S3Server::start().await, tempfile::tempdir().unwrap());
    let start = "https://lab.awsapps.com/start";
    let role = "sso_account_id = 123456789012\nsso_role_name = dev\nregion = us-east-1\n";
    let config = format!(
        "[profile x]\nsso_session = work\n{role}\n\
         [sso-session work]\nsso_region = us-east-1\nsso_start_url = {start}\n"
    );
    configure(&home, &config);
    let never = write_with(&home, &server, &[("AWS_PROFILE", "x")]).await;
    assert!(never.contains("aws sso login --profile x"), "{never}");
    // Where the AWS CLI keeps the token of this session: the file's name is the SHA-1 of `work`.
    let kept = home.path().join(".aws/sso/cache/e274eeff768c6396088ec6eb091f4bf4d47ab1e0.json");
    let token = format!(
        r#"{{"startUrl": "{start}", "region": "us-east-1", "accessToken": "secret-token", "expiresAt": "2026-01-02T03:04:05Z"}}"#
    );
    fs::write(kept, token).unwrap();
    let expired = write_with(&home, &server, &[("AWS_PROFILE", "x")]).await;
    assert!(expired.contains("expired: run `aws sso login --profile x`"), "{expired}");
    assert!(expired.contains("no valid credentials to write"), "{expired}");
    assert!(!expired.contains("secret-token"), "{expired}");
    assert_eq!(server.keys().len(), 0);
}
