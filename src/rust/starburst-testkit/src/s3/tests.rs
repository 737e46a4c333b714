//! The server over real connections, as far as unsigned requests go.
use super::*;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

struct Client(TcpStream);

impl Client {
    async fn new(server: &S3Server) -> Self {
        Self(TcpStream::connect(server.address).await.unwrap())
    }

    async fn send(&mut self, method: &str, path: &str) {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        self.0.write_all(request.as_bytes()).await.unwrap();
    }

    /// What one read gives; an empty text is the end of the connection.
    async fn some(&mut self) -> io::Result<String> {
        let mut buffer = vec![0; 65_536];
        let read = self.0.read(&mut buffer).await?;
        buffer.truncate(read);
        Ok(String::from_utf8(buffer).unwrap())
    }

    async fn ask(&mut self, method: &str, path: &str) -> String {
        self.send(method, path).await;
        self.some().await.unwrap()
    }
}

fn put(server: &S3Server, key: &str, body: &'static [u8]) {
    let object = objects::Stored {
        body: body.into(),
        etag: digest::etag(body),
        checksum: Default::default(),
        modified: std::time::SystemTime::UNIX_EPOCH,
        described: Default::default(),
    };
    server
        .state
        .objects
        .within(S3Server::BUCKET, |it| it.write(key.to_owned(), object, &Default::default()))
        .unwrap();
}

#[tokio::test]
async fn an_unsigned_request_is_refused_with_a_date_and_counted() {
    let server = S3Server::start().await;
    let mut client = Client::new(&server).await;
    let answer = client.ask("GET", "/starburst/key").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("\r\ndate: "), "{answer}");
    assert!(answer.contains("<Code>AccessDenied</Code>"), "{answer}");
    let counts = server.counts();
    assert_eq!((counts.of(Operation::GetObject), counts.connections), (1, 1));
    server.reset_counts();
    assert_eq!(server.counts().requests(), 0);
}

#[tokio::test]
async fn a_fault_is_answered_as_s3_would() {
    let server = S3Server::start().await;
    server.add_rule(Rule::once(Operation::PutObject, Fault::Conflict));
    server.add_rule(Rule::always(Operation::HeadObject, Fault::WrongRegion));
    let mut client = Client::new(&server).await;
    let answer = client.ask("PUT", "/starburst/key").await;
    assert!(answer.starts_with("HTTP/1.1 409") && answer.contains("ConditionalRequestConflict"));
    assert!(client.ask("PUT", "/starburst/key").await.starts_with("HTTP/1.1 403"));
    let answer = client.ask("HEAD", "/starburst/key").await;
    assert!(answer.starts_with("HTTP/1.1 301"), "{answer}");
    assert!(answer.contains("x-amz-bucket-region: eu-north-1") && answer.ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let server = S3Server::start().await;
    for fault in [Fault::ResetBefore, Fault::ResetAfter] {
        server.add_rule(Rule::once(Operation::GetObject, fault));
        let mut client = Client::new(&server).await;
        client.send("GET", "/starburst/key").await;
        let error = client.some().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{fault:?}");
    }
}

#[tokio::test]
async fn half_of_a_body_comes_before_it_stalls_or_ends() {
    let server = S3Server::start().await;
    for fault in [Fault::StallBody, Fault::Truncate] {
        server.add_rule(Rule::once(Operation::GetObject, fault));
        let mut client = Client::new(&server).await;
        client.send("GET", "/starburst/key").await;
        let mut answer = String::new();
        let end = timeout(Duration::from_millis(300), async {
            loop {
                let some = client.some().await.unwrap();
                if some.is_empty() {
                    break;
                }
                answer += &some;
            }
        })
        .await;
        assert_eq!(end.is_err(), fault == Fault::StallBody);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let length = head.split_once("content-length: ").unwrap().1.lines().next().unwrap();
        assert_eq!(body.len(), length.parse::<usize>().unwrap() / 2, "{answer}");
        assert!(!body.is_empty());
    }
}

#[tokio::test]
async fn a_stalled_request_ends_with_its_client() {
    let server = S3Server::start().await;
    server.add_rule(Rule::always(Operation::GetObject, Fault::StallBody));
    server.add_rule(Rule::always(Operation::HeadObject, Fault::StallBody));
    for method in ["GET", "HEAD"] {
        let mut client = Client::new(&server).await;
        client.send(method, "/starburst/key").await;
        assert!(timeout(Duration::from_secs(5), in_flight(&server, 1)).await.is_ok(), "{method}");
        drop(client);
        assert!(timeout(Duration::from_secs(5), in_flight(&server, 0)).await.is_ok(), "{method}");
    }
}

/// Done when so many requests are in flight.
async fn in_flight(server: &S3Server, expected: u64) {
    loop {
        server.reset_counts();
        if server.counts().most_in_flight == expected {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_a_network_only_the_test_is_answered() {
    let server = S3Server::start().await;
    let mut idle = Client::new(&server).await;
    idle.ask("GET", "/starburst/key").await;
    let mut control = Client::new(&server).await;
    assert!(control.ask("GET", "/-/network?up=false").await.ends_with("ok\n"));
    assert_eq!(idle.some().await.unwrap(), "");
    assert_eq!(Client::new(&server).await.ask("GET", "/starburst/key").await, "");
    assert!(control.ask("GET", "/-/counts").await.contains("\nrequests 1\n"));
    assert!(control.ask("GET", "/-/network?up=true").await.ends_with("ok\n"));
    assert!(Client::new(&server).await.ask("GET", "/starburst/key").await.contains(" 403 "));
}

#[tokio::test]
async fn a_test_in_another_language_sees_and_damages_objects() {
    let server = S3Server::start().await;
    put(&server, "a/1", b"0123456789012345678901234567890123456789 and more");
    put(&server, "b/1", b"x");
    let mut client = Client::new(&server).await;
    assert!(client.ask("GET", "/-/keys?prefix=a%2F").await.ends_with("\r\n\r\na/1\n"));
    client.ask("GET", "/-/damage?key=a%2F1&how=cut").await;
    assert_eq!(server.read("a/1").unwrap().len(), 40);
    client.ask("GET", "/-/damage?key=b%2F1&how=flip").await;
    assert_eq!(server.read("b/1").unwrap(), "y");
    client.ask("GET", "/-/damage?key=b%2F1&how=empty").await;
    assert_eq!(server.read("b/1").unwrap(), "");
    client.ask("GET", "/-/damage?key=a%2F1&how=gone").await;
    assert_eq!(server.keys(), ["b/1"]);
    for path in ["/-/damage?key=c&how=cut", "/-/nothing"] {
        assert!(client.ask("GET", path).await.starts_with("HTTP/1.1 404"), "{path}");
    }
    assert!(client.ask("GET", "/-/damage?key=b%2F1&how=x").await.starts_with("HTTP/1.1 400"));
    assert_eq!(server.counts().requests(), 0);
}

#[tokio::test]
async fn above_the_limit_is_slow_down() {
    let server = S3Server::start().await;
    server.set_limits(Limits { writes_per_second: Some(0.001), reads_per_second: None });
    let mut client = Client::new(&server).await;
    assert!(client.ask("PUT", "/starburst/key").await.starts_with("HTTP/1.1 403"));
    assert!(client.ask("PUT", "/starburst/key").await.contains("<Code>SlowDown</Code>"));
    assert!(client.ask("GET", "/starburst/key").await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let server = S3Server::start().await;
    let address = server.address;
    let mut client = Client::new(&server).await;
    client.ask("GET", "/starburst/key").await;
    drop(server);
    assert_eq!(client.some().await.unwrap(), "");
    let refused = timeout(Duration::from_secs(5), async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    assert!(refused.await.is_ok());
}
