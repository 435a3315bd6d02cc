//! A proxy on the way to a server, over plain HTTP/1.1, that spoils chosen requests: it knows no service and no client.
//!
//! ```text
//! let proxy = Proxy::before(&server_url).await;
//! proxy.spoil(|request| request.path.ends_with("/pulls"), [Fault::AnswerLost]);
//! ```
//! One request a connection; requests that no fault waits for pass untouched.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What happens to one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection closes before the server sees anything.
    Refused,
    /// The server does it, and the connection closes without an answer.
    AnswerLost,
    /// The server does it, and the answer breaks off in the middle.
    HalfAnswer,
    /// The server never sees it; this is the answer.
    Instead(Answer),
    /// The server does it; this is the answer.
    Afterwards(Answer),
    /// The server does it, and the answer comes so much later.
    Slow(Duration),
}

/// An answer of our own.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Spoilt\r\n", self.status);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n{}", self.body.len(), self.body));
        text.into_bytes()
    }
}

/// A request as it passed.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

type Matcher = Box<dyn Fn(&Seen) -> bool + Send>;

#[derive(Default)]
struct Plan {
    /// Faults that wait for a request that matches, in order.
    waiting: Vec<(Matcher, Vec<Fault>)>,
    seen: Vec<Seen>,
}

/// The proxy; it ends when it is dropped.
pub struct Proxy {
    url: String,
    plan: Arc<Mutex<Plan>>,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// A proxy before the server at this base URL (`http://host:port`).
    pub async fn before(server: &str) -> Self {
        let server = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let plan = Arc::new(Mutex::new(Plan::default()));
        let shared = Arc::clone(&plan);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, plan) = (server.clone(), Arc::clone(&shared));
                // A client that went away is no failure of the proxy.
                tokio::spawn(async move { drop(serve(client, &server, &plan).await) });
            }
        });
        Self { url, plan, accepting }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Spoils the next requests that match, one for each fault.
    pub fn spoil(&self, matching: impl Fn(&Seen) -> bool + Send + 'static, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().collect();
        self.plan.lock().unwrap().waiting.push((Box::new(matching), faults));
    }

    /// All requests so far, spoilt or not.
    pub fn seen(&self) -> Vec<Seen> {
        self.plan.lock().unwrap().seen.clone()
    }

    /// Faults that no request has met yet.
    pub fn left(&self) -> usize {
        self.plan.lock().unwrap().waiting.iter().map(|(_, faults)| faults.len()).sum()
    }
}

impl Plan {
    fn meet(&mut self, request: &Seen) -> Option<Fault> {
        self.seen.push(request.clone());
        let found = self.waiting.iter_mut().find(|(matching, faults)| !faults.is_empty() && matching(request));
        found.map(|(_, faults)| faults.remove(0))
    }
}

async fn serve(mut client: TcpStream, server: &str, plan: &Mutex<Plan>) -> std::io::Result<()> {
    let (request, raw) = read_request(&mut client).await?;
    let fault = plan.lock().unwrap().meet(&request);
    let answer = match fault {
        None => forward(server, &raw).await?,
        Some(Fault::Refused) => return Ok(()),
        Some(Fault::Instead(answer)) => answer.bytes(),
        Some(Fault::Afterwards(answer)) => {
            forward(server, &raw).await?;
            answer.bytes()
        }
        Some(Fault::AnswerLost) => {
            forward(server, &raw).await?;
            return Ok(());
        }
        Some(Fault::HalfAnswer) => {
            let mut answer = forward(server, &raw).await?;
            // Some of the body is there, and some is missing.
            answer.truncate(answer.len().saturating_sub(1));
            answer
        }
        Some(Fault::Slow(wait)) => {
            let answer = forward(server, &raw).await?;
            tokio::time::sleep(wait).await;
            answer
        }
    };
    client.write_all(&answer).await?;
    client.shutdown().await
}

/// The whole request: parsed, and as it goes on to the server, for one request a connection.
async fn read_request(client: &mut TcpStream) -> std::io::Result<(Seen, Vec<u8>)> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = find(&bytes, b"\r\n\r\n") {
            break at + 4;
        }
        more(client, &mut bytes).await?;
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    let split = |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let headers: Vec<(String, String)> = lines.filter_map(split).collect();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Seen { method, path, headers, body: Vec::new() };
    if request.header("expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    if request.header("transfer-encoding").is_some() {
        while !bytes.ends_with(b"0\r\n\r\n") {
            more(client, &mut bytes).await?;
        }
        request.body = unchunked(&bytes[head_end..]);
    } else {
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while bytes.len() < head_end + length {
            more(client, &mut bytes).await?;
        }
        request.body = bytes[head_end..].to_vec();
    }
    let mut onward = format!("{first}\r\n");
    let ours = ["connection", "content-length", "transfer-encoding", "expect"];
    for (name, value) in request.headers.iter().filter(|(name, _)| !ours.contains(&name.as_str())) {
        onward.push_str(&format!("{name}: {value}\r\n"));
    }
    onward.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", request.body.len()));
    let onward = [onward.as_bytes(), &request.body].concat();
    Ok((request, onward))
}

async fn more(client: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    match client.read_buf(bytes).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = find(rest, b"\r\n") {
        let size = std::str::from_utf8(&rest[..at]).ok().and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let Some(size) = size.filter(|size| *size > 0 && rest.len() >= at + 4 + size) else { break };
        body.extend_from_slice(&rest[at + 2..at + 2 + size]);
        rest = &rest[at + 4 + size..];
    }
    body
}

/// Sends the request and reads the whole answer.
async fn forward(server: &str, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut upstream = TcpStream::connect(server).await?;
    upstream.write_all(request).await?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await?;
    // The answer says that the connection closes; one that does not would be waited on for ever.
    let head_end = find(&answer, b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..head_end]).to_lowercase();
    if head.contains("\r\nconnection: close") {
        return Ok(answer);
    }
    let status_end = find(&answer, b"\r\n").unwrap_or(answer.len());
    let (status, rest) = answer.split_at(status_end);
    Ok([status, b"\r\nconnection: close", rest].concat())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
