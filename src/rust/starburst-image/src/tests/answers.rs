//! What a registry may answer beside the plain: tokens, redirections, nonsense.
use super::world::http;
use crate::{ImageRef, Login, Logins, registry::Repository};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

/// What a server was asked: the first line, and what was said about who asks.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// A server on loopback that answers by a function of its own address, the line of the request, and who asks.
fn serve(
    answer: impl Fn(&str, &str, Option<&str>) -> (u16, String, String) + Send + 'static,
) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let (asked, own) = (Asked::default(), place.clone());
    let record = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            let headers: Vec<String> =
                lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let who = headers.iter().find_map(|line| line.strip_prefix("authorization: "));
            record.lock().unwrap().push((first.clone(), who.map(ToOwned::to_owned)));
            let (status, header, body) = answer(&own, &first, who);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\n{header}content-length: {length}\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    (place, asked)
}

fn repository(place: &str, logins: &Logins) -> Repository {
    let image = ImageRef::parse(&format!("{place}/some/where:1")).unwrap();
    Repository::new(&http(), &image, logins, true, Some("other")).unwrap()
}

const EMPTY: &str = r#"{"schemaVersion": 2, "manifests": []}"#;

#[tokio::test]
async fn a_token_is_asked_for_with_the_password_and_sent_from_then_on() {
    let (place, asked) = serve(|own, line, who| match (line.contains("/token"), who) {
        (true, Some("Basic bWU6c2VjcmV0")) => {
            (200, String::new(), r#"{"token": "abc"}"#.to_owned())
        }
        (true, _) => (401, String::new(), String::new()),
        (false, Some("Bearer abc")) => (200, String::new(), EMPTY.to_owned()),
        (false, _) => {
            let challenge = format!("Bearer realm=\"http://{own}/token\",service=\"it is\"");
            (401, format!("www-authenticate: {challenge}\r\n"), String::new())
        }
    });
    let mut logins = Logins::default();
    logins.add(&place, Login::new("me", "secret"));
    let repository = repository(&place, &logins);
    assert!(repository.document("1").await.unwrap().is_some());
    assert!(repository.document("1").await.unwrap().is_some());
    let asked = asked.lock().unwrap();
    let lines: Vec<&str> = asked.iter().map(|(line, _)| line.as_str()).collect();
    let manifest = "GET /v2/some/where/manifests/1 HTTP/1.1";
    let token = "GET /token?service=it+is&scope=repository%3Asome%2Fwhere%3Apull%2Cpush\
                 &scope=repository%3Aother%3Apull HTTP/1.1";
    assert_eq!(lines, [manifest, token, manifest, manifest]);
}

#[tokio::test]
async fn who_is_asked_instead_is_not_told_who_asks() {
    let (other, asked) = serve(|_, _, _| (200, String::new(), "bytes".to_owned()));
    let (place, _) = serve(move |_, _, who| match who {
        Some(_) => (307, format!("location: http://{other}/elsewhere\r\n"), String::new()),
        None => (401, "www-authenticate: Basic realm=\"here\"\r\n".to_owned(), String::new()),
    });
    let mut logins = Logins::default();
    logins.add(&place, Login::new("me", "secret"));
    let repository = repository(&place, &logins);
    let mut body = repository.blob_from(&format!("sha256:{}", "0".repeat(64)), 0).await.unwrap();
    assert_eq!(&body.next_at_most(100).await.unwrap()[..], b"bytes");
    assert_eq!(*asked.lock().unwrap(), [("GET /elsewhere HTTP/1.1".to_owned(), None)]);
}

#[tokio::test]
async fn a_blob_that_is_given_elsewhere_is_there() {
    let (place, _) = serve(|_, line, _| {
        let there = line.contains("aa");
        let elsewhere = "location: http://127.0.0.1:1/signed-for-reading\r\n".to_owned();
        if there { (307, elsewhere, String::new()) } else { (404, String::new(), String::new()) }
    });
    let repository = repository(&place, &Logins::default());
    assert!(repository.has_blob("sha256:aa").await.unwrap());
    assert!(!repository.has_blob("sha256:bb").await.unwrap());
}

#[tokio::test]
async fn nobody_is_asked_without_encryption_but_this_machine() {
    let (place, _) = serve(|_, _, _| {
        let realm = "Bearer realm=\"http://tokens.example.org/token\"";
        (401, format!("www-authenticate: {realm}\r\n"), String::new())
    });
    let error = repository(&place, &Logins::default()).document("1").await.unwrap_err();
    assert!(error.chain().join(": ").contains("not asked without encryption"), "{error:?}");
}

#[tokio::test]
async fn refusals_are_told_in_the_words_of_the_registry() {
    let (place, _) = serve(|_, _, _| {
        let body = r#"{"errors": [{"code": "DENIED", "message": "not yours {stop(1)}"}]}"#;
        (403, String::new(), body.to_owned())
    });
    let error = repository(&place, &Logins::default()).document("1").await.unwrap_err();
    assert_eq!(error.kind().class_suffix(), "permission");
    assert_eq!(
        error.chain(),
        [
            format!("the registry `{place}` refuses to read `1`"),
            "DENIED: not yours {stop(1)}".into()
        ]
    );
}
