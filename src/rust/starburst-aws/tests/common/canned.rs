//! A server that answers what a test says, and remembers what it was asked.
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A request: its headers in lower case, and its body.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    /// The operation, by either protocol.
    pub(crate) fn operation(&self) -> String {
        let target = self.head.lines().find_map(|line| line.strip_prefix("x-amz-target: "));
        match target {
            Some(target) => target.rsplit('.').next().unwrap_or_default().to_owned(),
            None => self.parameter("Action").unwrap_or_default(),
        }
    }

    /// A parameter of a form, as it was encoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_owned())
    }
}

/// A status, headers, and a body.
pub(crate) type Canned = (u16, String);

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) endpoint: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// The operations asked for so far, in order.
    pub(crate) fn operations(&self) -> Vec<String> {
        self.asked.lock().iter().map(Asked::operation).collect()
    }
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }
}

/// Serves answers by what was asked and how often anything was asked before, until the test ends.
/// A status of 0 closes the connection instead.
pub(crate) async fn serve(answer: impl FnMut(&Asked) -> Canned + Send + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = Server { endpoint, asked: Arc::default() };
    let (asked, answer) = (Arc::clone(&server.asked), Arc::new(Mutex::new(answer)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
            tokio::spawn(async move {
                let mut stream = stream;
                while let Some(request) = read(&mut stream).await {
                    asked.lock().push(request.clone());
                    let (status, body) = (answer.lock())(&request);
                    if status == 0 {
                        return;
                    }
                    let text = format!(
                        "HTTP/1.1 {status} X\r\ndate: Tue, 24 Nov 2026 12:00:00 GMT\r\n\
                         content-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    server
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let head: String = head
        .lines()
        .map(|line| match line.split_once(": ") {
            Some((name, value)) => format!("{}: {value}\n", name.to_lowercase()),
            None => format!("{line}\n"),
        })
        .collect();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |text| text.parse().unwrap());
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&bytes[end..end + length]).into_owned();
    Some(Asked { head, body })
}
