//! Slack's Web API for tests, as its public reference describes it: tokens and scopes, errors inside of a 200, cursors, edits,
//! deletions, threads, reactions, metadata, search. Strict, so that a call which Slack refuses is refused here.

mod arguments;
mod blocks;
mod chat;
mod conversations;
mod lookup;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::clock::VirtualClock;
use arguments::Arguments;
pub use blocks::check as check_blocks;
pub use world::{BOT_ID, BOT_TOKEN, BOT_USER, USER_TOKEN, World};

/// What happens to a call instead of, or around, its answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is done and nobody hears of it.
    LostAnswer,
    /// It is not done, and nothing comes back for a long time.
    Silence,
    /// It is not done.
    Status(u16),
    /// It is not done; asked again before the seconds have passed, neither.
    RateLimited(u64),
    /// As above, without saying how long.
    RateLimitedSomehow,
    /// The answer is this text, called JSON.
    Garbage(&'static str),
    /// `ok: false` with this error.
    Refused(&'static str),
}

/// One call as it arrived.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub arguments: BTreeMap<String, Value>,
    /// What came in the address, which others may log.
    pub query: String,
}

/// A fault of one call of a method.
pub struct Planned {
    method: String,
    /// How many calls of the method go well before.
    after: usize,
    fault: Fault,
}

/// What the server shares with the test.
pub struct Shared {
    pub world: World,
    pub log: Vec<Call>,
    pub faults: Vec<Planned>,
}

/// A running server; it ends with the test.
pub struct SlackServer {
    shared: Arc<Mutex<Shared>>,
    address: String,
    task: JoinHandle<()>,
}

impl Drop for SlackServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SlackServer {
    pub async fn start(clock: &Arc<VirtualClock>) -> Self {
        let shared = Arc::new(Mutex::new(Shared { world: World::new(clock), log: Vec::new(), faults: Vec::new() }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/api", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, address, task }
    }

    pub fn url(&self) -> String {
        self.address.clone()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the world, or changes it.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.shared().world)
    }

    /// The next call of the method meets this fault.
    pub fn fails(&self, method: &str, fault: Fault) {
        self.fails_at(method, 1, fault);
    }

    /// The call of this number from now on, beginning with 1, meets this fault.
    pub fn fails_at(&self, method: &str, number: usize, fault: Fault) {
        self.shared().faults.push(Planned { method: method.to_owned(), after: number - 1, fault });
    }

    pub fn calls(&self, method: &str) -> Vec<Call> {
        self.shared().log.iter().filter(|call| call.method == method).cloned().collect()
    }

    pub fn log(&self) -> Vec<Call> {
        self.shared().log.clone()
    }
}

async fn answer(
    State(shared): State<Arc<Mutex<Shared>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(name) = uri.path().strip_prefix("/api/").map(str::to_owned) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if method != Method::GET && method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let query = uri.query().unwrap_or_default();
    let arguments = Arguments::read(&name, query, &headers, &body);
    let (fault, done) = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let call = Call { method: name.clone(), arguments: arguments.clone().into_map(), query: query.to_owned() };
        shared.log.push(call);
        let at = shared.faults.iter().position(|planned| planned.method == name && planned.after == 0);
        let fault = at.map(|at| shared.faults.remove(at).fault);
        let waiting = shared.faults.iter_mut().filter(|planned| planned.method == name);
        waiting.for_each(|planned| planned.after = planned.after.saturating_sub(1));
        let is_done = matches!(fault, None | Some(Fault::LostAnswer));
        (fault, is_done.then(|| shared.world.call(&name, &arguments)))
    };
    match fault {
        None => {}
        Some(Fault::LostAnswer | Fault::Silence) => tokio::time::sleep(Duration::from_secs(60)).await,
        Some(Fault::Status(status)) => {
            return (StatusCode::from_u16(status).unwrap(), "<html>an error page</html>").into_response();
        }
        Some(Fault::RateLimited(seconds)) => return too_often(Some(seconds)),
        Some(Fault::RateLimitedSomehow) => return too_often(None),
        Some(Fault::Garbage(text)) => return as_json(text.to_owned()),
        Some(Fault::Refused(error)) => return as_json(json!({"ok": false, "error": error}).to_string()),
    }
    let (body, scopes) = done.unwrap();
    let mut response = as_json(body.to_string());
    if let Some(scopes) = scopes {
        response.headers_mut().insert("x-oauth-scopes", HeaderValue::from_str(&scopes).unwrap());
    }
    response
}

fn as_json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], text).into_response()
}

fn too_often(seconds: Option<u64>) -> Response {
    let body = json!({"ok": false, "error": "ratelimited"}).to_string();
    let mut response = (StatusCode::TOO_MANY_REQUESTS, as_json(body)).into_response();
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
