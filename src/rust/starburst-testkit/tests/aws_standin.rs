//! The stand-in for AWS as a process, as tests in other languages start it.
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper fails its test
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

struct Standin {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Drop for Standin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Standin {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_starburst-aws-standin"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The address on the next line, behind this word.
    fn address(&mut self, word: &str) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().strip_prefix(&format!("{word} http://")).unwrap().to_owned()
    }
}

fn send(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn get(address: &str, path: &str) -> String {
    send(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"))
}

fn ecs(address: &str, operation: &str, body: &Value) -> Value {
    let body = body.to_string();
    let answer = send(
        address,
        &format!(
            "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=k/20261101/us-east-1/ecs/aws4_request\r\n\
             x-amz-target: AmazonEC2ContainerServiceV20141113.{operation}\r\n\r\n{body}",
            body.len()
        ),
    );
    serde_json::from_str(&answer).unwrap()
}

/// Asks until there is an answer.
fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_500 {
        if let Some(found) = ask() {
            return found;
        }
        #[allow(clippy::disallowed_methods)] // processes live in real time
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("it did not come to that")
}

#[test]
fn everything_ends_with_standard_input() {
    let folder = std::env::temp_dir().join(format!("starburst-standin-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let record = folder.join("record.jsonl");
    let mut standin = Standin::start(&[
        "--s3",
        "--cluster",
        "lab",
        "--env",
        "GREETING=hello",
        "--record",
        record.to_str().unwrap(),
        "--start-delay-ms",
        "10",
        "--",
        "/bin/sh",
        "-c",
    ]);
    let (address, s3) = (standin.address("ECS"), standin.address("S3"));
    assert!(get(&s3, "/-/counts").contains("requests 0"));
    let definition = json!({
        "family": "starburst-a", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [{ "name": "worker", "image": "i" }]
    });
    ecs(&address, "RegisterTaskDefinition", &definition);
    let script = "trap '' TERM; echo $GREETING $$; while :; do sleep 0.05; done";
    let run = json!({
        "cluster": "lab", "taskDefinition": "starburst-a", "launchType": "FARGATE",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
        "overrides": { "containerOverrides": [{ "name": "worker", "command": [script] }] }
    });
    let launched = ecs(&address, "RunTask", &run);
    let arn = launched["tasks"][0]["taskArn"].as_str().unwrap();
    let id = arn.rsplit('/').next().unwrap();
    let line = wait_for(|| {
        let output = get(&address, &format!("/-/output?task={id}"));
        output.lines().next().map(str::to_owned)
    });
    let pid = line.strip_prefix("hello ").unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    assert!(get(&address, "/-/tasks").starts_with(&format!("{id} RUNNING FARGATE - - -")));
    assert!(get(&address, "/-/statuses").contains("RUNNING 1\n"));
    let task = get(&address, &format!("/v4/{id}/task"));
    let task: Value = serde_json::from_str(&task).unwrap();
    assert_eq!(
        (task["TaskARN"].as_str(), task["Family"].as_str()),
        (Some(arn), Some("starburst-a"))
    );
    drop(standin.child.stdin.take());
    assert!(standin.child.wait().unwrap().success());
    wait_for(|| (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    let record = std::fs::read_to_string(record).unwrap();
    let lines: Vec<Value> = record.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[1]["service"], &lines[1]["operation"], &lines[1]["body"]),
        (&json!("ecs"), &json!("RunTask"), &run)
    );
    let _ = std::fs::remove_dir_all(folder);
}
