//! A model's endpoint on SageMaker's runtime that speaks the chat profile. Its answers are written by the test: synthetic.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router};
use codehealer::ports::Prompt;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::support::world::rewrite;

/// What the model makes of the region that it is shown.
type Change = Box<dyn Fn(&str) -> String + Send + Sync>;

#[derive(Default)]
struct Shared {
    change: Option<Change>,
    /// Questions for a fix.
    asked: usize,
}

pub struct Endpoint {
    shared: Arc<Mutex<Shared>>,
    address: String,
    _server: AbortOnDropHandle<()>,
}

impl Endpoint {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let router = Router::new()
            .route("/endpoints/llama/invocations", axum::routing::post(invoked))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, address, _server: AbortOnDropHandle::new(server) }
    }

    pub fn url(&self) -> String {
        self.address.clone()
    }

    /// From now on the region comes back changed so.
    pub fn rewrites(&self, change: impl Fn(&str) -> String + Send + Sync + 'static) {
        self.shared.lock().unwrap().change = Some(Box::new(change));
    }

    /// How often it was asked for a fix.
    pub fn asked(&self) -> usize {
        self.shared.lock().unwrap().asked
    }
}

async fn invoked(State(shared): State<Arc<Mutex<Shared>>>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let said = |role: &str| {
        let messages = body["messages"].as_array().unwrap();
        let found = messages.iter().find(|message| message["role"] == role).unwrap();
        found["content"].as_str().unwrap().to_owned()
    };
    let prompt = Prompt { system: said("system"), user: said("user"), max_tokens: 0 };
    let mut shared = shared.lock().unwrap();
    // Whoever looks whether it is there asks for a word.
    let text = if prompt.system.contains("`BEGIN ") {
        shared.asked += 1;
        match &shared.change {
            Some(change) => rewrite(&prompt, "80", change),
            None => return (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"message": "nobody said what to answer"}))),
        }
    } else {
        "Ready".to_owned()
    };
    let choice = json!({"message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
    let wanted = usize::try_from(body["n"].as_u64().unwrap_or(1)).unwrap();
    let answer = json!({
        "model": "llama-synthetic",
        "choices": vec![choice; wanted],
        "usage": {"prompt_tokens": 700, "completion_tokens": 90},
    });
    (StatusCode::OK, Json(answer))
}
