//! A model's server at a plain address, for tests: OpenAI's chat whole or as a stream, `/generate` and `/invocations`. What it
//! says is written by the test: synthetic, no model is asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use codehealer::ports::Prompt;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// What becomes of one request.
#[derive(Debug, Clone)]
pub enum Play {
    /// The answers that are wanted, each with this text.
    Says(String),
    /// So many answers at most, whatever was wanted, with this text.
    SaysFewer(usize, String),
    /// An answer that the limit of tokens cut off.
    CutOff(String),
    /// A body as it is, status 200.
    Body(String),
    /// A refusal: status, `Retry-After`, message.
    Refuses(u16, Option<u64>, &'static str),
    /// A stream that says this and then nothing more, without ending.
    Stalls(String),
    /// A stream that ends in the middle.
    BreaksOff(String),
    /// Nothing is ever answered.
    Silence,
    /// The answer comes after a while.
    Slow(Duration, String),
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub body: Value,
}

type Script = dyn Fn(&Asked, usize) -> Play + Send + Sync;

struct Shared {
    script: Box<Script>,
    planned: Mutex<VecDeque<Play>>,
    asked: Mutex<Vec<Asked>>,
    arrived: Notify,
}

/// A running server; it ends with the test.
pub struct ModelServer {
    address: String,
    shared: Arc<Shared>,
    _server: AbortOnDropHandle<()>,
}

impl ModelServer {
    /// Plays as the script says of each request and its number, from 0.
    pub async fn playing(script: impl Fn(&Asked, usize) -> Play + Send + Sync + 'static) -> Self {
        let (planned, asked, arrived) = (Mutex::default(), Mutex::default(), Notify::new());
        let shared = Arc::new(Shared { script: Box::new(script), planned, asked, arrived });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer_to).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, _server: AbortOnDropHandle::new(server) }
    }

    /// Says the same to everybody.
    pub async fn saying(text: &str) -> Self {
        let text = text.to_owned();
        Self::playing(move |_, _| Play::Says(text.clone())).await
    }

    pub fn url(&self) -> &str {
        &self.address
    }

    /// What becomes of the next requests, before the script has its say again.
    pub fn plan(&self, plays: impl IntoIterator<Item = Play>) {
        self.shared.planned.lock().unwrap().extend(plays);
    }

    /// Returns once a further request is there.
    pub async fn arrival(&self) {
        self.shared.arrived.notified().await;
    }

    pub fn seen(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Asked {
    /// The question in a chat.
    pub fn prompt(&self) -> Prompt {
        let said = |role: &str| {
            let messages = self.body["messages"].as_array().unwrap();
            let found = messages.iter().find(|message| message["role"] == role).unwrap();
            found["content"].as_str().unwrap().to_owned()
        };
        Prompt { system: said("system"), user: said("user"), max_tokens: 0 }
    }
}

async fn answer_to(State(shared): State<Arc<Shared>>, uri: Uri, body: Bytes) -> Response {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let asked = Asked { path: uri.path().to_owned(), body };
    let number = {
        let mut all = shared.asked.lock().unwrap();
        all.push(asked.clone());
        all.len() - 1
    };
    shared.arrived.notify_one();
    let planned = shared.planned.lock().unwrap().pop_front();
    let play = planned.unwrap_or_else(|| (shared.script)(&asked, number));
    played(&asked, play).await
}

async fn played(asked: &Asked, play: Play) -> Response {
    let wanted = usize::try_from(asked.body["n"].as_u64().unwrap_or(1)).unwrap();
    match play {
        Play::Says(text) => answer(asked, &text, "stop", wanted),
        Play::SaysFewer(most, text) => answer(asked, &text, "stop", wanted.min(most)),
        Play::CutOff(text) => answer(asked, &text, "length", wanted),
        Play::Body(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Play::Refuses(status, retry, message) => {
            let mut headers = HeaderMap::new();
            if let Some(seconds) = retry {
                headers.insert(header::RETRY_AFTER, seconds.to_string().parse().unwrap());
            }
            let status = StatusCode::from_u16(status).unwrap();
            (status, headers, Json(json!({"error": {"message": message}}))).into_response()
        }
        Play::Stalls(text) => {
            let begun = event(&json!({"choices": [{"index": 0, "delta": {"content": text}}]}));
            let stalled = futures_util::stream::once(async { Ok::<_, Infallible>(Bytes::from(begun)) });
            let never = futures_util::stream::pending();
            streamed(Body::from_stream(futures_util::StreamExt::chain(stalled, never)))
        }
        Play::BreaksOff(text) => {
            streamed(Body::from(event(&json!({"choices": [{"index": 0, "delta": {"content": text}}]}))))
        }
        Play::Silence => std::future::pending().await,
        Play::Slow(wait, text) => {
            tokio::time::sleep(wait).await;
            answer(asked, &text, "stop", wanted)
        }
    }
}

fn streamed(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// An answer in the form that the route and the question ask for.
fn answer(asked: &Asked, text: &str, finish: &str, count: usize) -> Response {
    if asked.path.ends_with("/chat/completions") {
        return if asked.body["stream"] == true { stream(text, finish, count) } else { chat(text, finish, count) };
    }
    let details = json!({"finish_reason": if finish == "stop" { "eos_token" } else { finish }, "generated_tokens": 7});
    let one = json!({"generated_text": text, "details": details});
    Json(if asked.path.ends_with("/generate") { json!([one]) } else { one }).into_response()
}

fn chat(text: &str, finish: &str, count: usize) -> Response {
    let choice =
        |index| json!({"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": finish});
    let choices: Vec<Value> = (0..count).map(choice).collect();
    let usage = json!({"prompt_tokens": 11, "completion_tokens": 7 * count});
    Json(json!({"model": "synthetic", "choices": choices, "usage": usage})).into_response()
}

fn stream(text: &str, finish: &str, count: usize) -> Response {
    let mut events = String::new();
    let pieces: Vec<String> = text.chars().collect::<Vec<_>>().chunks(5).map(|piece| piece.iter().collect()).collect();
    for index in 0..count {
        for piece in &pieces {
            events.push_str(&event(
                &json!({"model": "synthetic", "choices": [{"index": index, "delta": {"content": piece}}]}),
            ));
        }
        events.push_str(&event(&json!({"choices": [{"index": index, "delta": {}, "finish_reason": finish}]})));
    }
    let usage = json!({"prompt_tokens": 11, "completion_tokens": 7 * count});
    events.push_str(&event(&json!({"choices": [], "usage": usage})));
    events.push_str("data: [DONE]\n\n");
    streamed(Body::from(events))
}
