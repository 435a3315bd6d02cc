//! Lambda's side of a function: the Runtime API over HTTP, which hands out events, takes answers, and writes everything down.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio_util::task::AbortOnDropHandle;

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Answered(Value),
    /// `errorType` and `errorMessage` inside.
    Failed(Value),
}

/// What the function asked for or told.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Registered(String),
    Next,
    Response(String),
    Error(String),
    InitError(Value),
}

pub struct RuntimeApi {
    /// `host:port`, as in `AWS_LAMBDA_RUNTIME_API`.
    pub address: String,
    shared: Arc<Shared>,
    _server: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    arrived: Notify,
    said: Notify,
}

#[derive(Default)]
struct Inner {
    count: u32,
    waiting: VecDeque<Invocation>,
    open: BTreeMap<String, oneshot::Sender<Ended>>,
    log: Vec<Said>,
}

struct Invocation {
    id: String,
    event: Value,
    deadline: u128,
}

impl Shared {
    fn say(&self, said: Said) {
        self.inner.lock().unwrap().log.push(said);
        self.said.notify_waiters();
    }
}

impl RuntimeApi {
    pub async fn start() -> Self {
        let shared: Arc<Shared> = Arc::default();
        let runtime = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failure))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .route("/2020-01-01/extension/register", post(register))
            .route("/2020-01-01/extension/event/next", get(std::future::pending::<()>))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move { axum::serve(listener, runtime).await.unwrap() });
        Self { address, shared, _server: AbortOnDropHandle::new(server) }
    }

    /// Has the function work on an event, for which it is given `time`.
    pub async fn invoke(&self, event: Value, time: Duration) -> Ended {
        let (send, ended) = oneshot::channel();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        {
            let mut inner = self.shared.inner.lock().unwrap();
            inner.count += 1;
            let id = format!("request-{}", inner.count);
            inner.open.insert(id.clone(), send);
            inner.waiting.push_back(Invocation { id, event, deadline: (now + time).as_millis() });
        }
        self.shared.arrived.notify_one();
        let ended = tokio::time::timeout(time, ended).await.expect("the function answers before its deadline");
        ended.unwrap()
    }

    /// Waits until something was said that `wanted` picks.
    pub async fn heard<T>(&self, wanted: impl Fn(&Said) -> Option<T>) -> T {
        let search = async {
            loop {
                let said = self.shared.said.notified();
                if let Some(found) = self.log().iter().find_map(&wanted) {
                    return found;
                }
                said.await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(30), search).await;
        found.unwrap_or_else(|_| panic!("the function never said it: {:?}", self.log()))
    }

    pub fn log(&self) -> Vec<Said> {
        self.shared.inner.lock().unwrap().log.clone()
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    shared.say(Said::Next);
    let invocation = loop {
        let arrived = shared.arrived.notified();
        if let Some(invocation) = shared.inner.lock().unwrap().waiting.pop_front() {
            break invocation;
        }
        arrived.await;
    };
    let headers = [
        ("lambda-runtime-aws-request-id", invocation.id),
        ("lambda-runtime-deadline-ms", invocation.deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:123456789012:function:codehealer".into()),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419".into()),
    ];
    (headers, Json(invocation.event))
}

async fn response(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    end(&shared, &id, Said::Response(id.clone()), Ended::Answered(serde_json::from_slice(&body).unwrap()))
}

async fn failure(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    end(&shared, &id, Said::Error(id.clone()), Ended::Failed(serde_json::from_slice(&body).unwrap()))
}

fn end(shared: &Shared, id: &str, said: Said, ended: Ended) -> StatusCode {
    shared.say(said);
    match shared.inner.lock().unwrap().open.remove(id) {
        Some(waiting) => {
            let _ = waiting.send(ended);
            StatusCode::ACCEPTED
        }
        // Lambda refuses a second answer.
        None => StatusCode::BAD_REQUEST,
    }
}

async fn init_error(State(shared): State<Arc<Shared>>, Json(body): Json<Value>) -> StatusCode {
    shared.say(Said::InitError(body));
    StatusCode::ACCEPTED
}

async fn register(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> impl IntoResponse {
    let name = headers["lambda-extension-name"].to_str().unwrap().to_owned();
    shared.say(Said::Registered(name));
    let answer = json!({ "functionName": "codehealer", "functionVersion": "$LATEST", "handler": "bootstrap" });
    ([("lambda-extension-identifier", "8b64a6a5-6b1e-4a3c-9c2f-1d3f1f7a9b10")], Json(answer))
}
