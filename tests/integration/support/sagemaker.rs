//! SageMaker's runtime for tests, as its reference describes it: endpoints with a container behind each, errors in SageMaker's words,
//! and the container's own. What its containers answer is made up here, no model is asked; what they accept is strict.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Text of every made-up answer.
pub const SYNTHETIC: &str = "a synthetic answer";

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub endpoint: String,
    pub component: Option<String>,
    pub body: Value,
}

/// What happens to one request instead of the container's answer.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The container answers with this, status 200.
    Says(String),
    /// SageMaker refuses: status, code, message.
    Refused(u16, &'static str, String),
    /// The container answers with this status, which SageMaker wraps.
    Container(u16, &'static str),
    /// Nothing comes back.
    Silence,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Invocation>>,
    planned: Mutex<VecDeque<Reply>>,
    arrived: Notify,
}

/// A running server; it ends with the test.
pub struct SageMakerServer {
    url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for SageMakerServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SageMakerServer {
    pub async fn start() -> Self {
        let shared: Arc<Shared> = Arc::default();
        let router = Router::new().route("/endpoints/{name}/invocations", post(invoke)).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// What happens to the next requests.
    pub fn plan(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.planned.lock().unwrap().extend(replies);
    }

    pub fn seen(&self) -> Vec<Invocation> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Returns once a further request is there.
    pub async fn arrival(&self) {
        self.shared.arrived.notified().await;
    }
}

async fn invoke(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let component = header("x-amzn-sagemaker-inference-component");
    let parsed: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    shared.seen.lock().unwrap().push(Invocation { endpoint: name.clone(), component, body: parsed.clone() });
    shared.arrived.notify_one();
    let planned = shared.planned.lock().unwrap().pop_front();
    match planned {
        Some(Reply::Says(text)) => answer(text),
        Some(Reply::Refused(status, code, message)) => refusal(status, code, json!({ "Message": message })),
        Some(Reply::Container(status, message)) => wrapped(status, message),
        Some(Reply::Silence) => std::future::pending().await,
        None if header("content-type").as_deref() != Some("application/json") => wrapped(415, "not JSON"),
        None => match container(&name, &parsed) {
            Ok(said) => answer(said.to_string()),
            Err((status, why)) => wrapped(status, why),
        },
    }
}

/// What the container of this endpoint says to a body.
fn container(endpoint: &str, body: &Value) -> Result<Value, (u16, &'static str)> {
    let malformed = |why| Err((422, why));
    match endpoint {
        "chat" => {
            let roles: Vec<_> = body["messages"].as_array().into_iter().flatten().map(|m| m["role"].as_str()).collect();
            if roles != [Some("system"), Some("user")] || !body["max_tokens"].is_u64() {
                return malformed("messages and max_tokens are needed");
            }
            if body.get("model").is_some_and(|model| model != "llama") {
                return Err((404, "The model does not exist."));
            }
            let message = json!({"role": "assistant", "content": SYNTHETIC});
            let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
            Ok(json!({"id": "c", "object": "chat.completion", "model": "llama", "choices": [choice],
                "usage": {"prompt_tokens": 21, "completion_tokens": 4, "total_tokens": 25}}))
        }
        "lmi" | "tgi" => {
            let parameters = &body["parameters"];
            if !body["inputs"].is_string() || !parameters.is_object() {
                return malformed("inputs and parameters are needed");
            }
            // LMI writes 30 tokens unless it is told otherwise, TGI 20 (100 in newer ones).
            let cut = parameters["max_new_tokens"].as_u64().unwrap_or(20) <= 30;
            let text = if cut { &SYNTHETIC[..5] } else { SYNTHETIC };
            let full = parameters["return_full_text"].as_bool().unwrap_or(true);
            let text = if full { format!("{}{text}", body["inputs"].as_str().unwrap()) } else { text.to_owned() };
            let finish = if cut { "length" } else { "eos_token" };
            let details = json!({"finish_reason": finish, "generated_tokens": 4});
            let one = match parameters["details"].as_bool() {
                Some(true) => json!({"generated_text": text, "details": details}),
                _ => json!({"generated_text": text}),
            };
            Ok(if endpoint == "tgi" { json!([one]) } else { one })
        }
        "embed" => match body["inputs"].as_str() {
            // Any text has some direction of its own.
            Some(text) => Ok(json!([[text.len(), 4.0, -2.0, text.bytes().map(u32::from).sum::<u32>() % 97]])),
            None => malformed("inputs are needed"),
        },
        _ => Err((500, "there is no such container")),
    }
}

fn answer(text: String) -> Response {
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn refusal(status: u16, code: &str, body: Value) -> Response {
    let headers = [("x-amzn-errortype", code.to_owned()), ("content-type", "application/json".to_owned())];
    (StatusCode::from_u16(status).unwrap(), headers, body.to_string()).into_response()
}

/// A container's error as SageMaker passes it on; 0 stands for a container that said nothing in time.
fn wrapped(status: u16, message: &str) -> Response {
    let side = if (400..500).contains(&status) { "client" } else { "server" };
    let text = format!("Received {side} error ({status}) from primary with message \"{message}\".");
    let log =
        "https://eu-central-1.console.aws.amazon.com/cloudwatch/home#logEventViewer:group=/aws/sagemaker/Endpoints/e";
    let body = json!({"Message": text, "OriginalStatusCode": status, "OriginalMessage": message, "LogStreamArn": log,
        "ErrorCode": format!("{}_ERROR_FROM_MODEL", side.to_uppercase())});
    refusal(424, "ModelError", body)
}
