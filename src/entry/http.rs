//! The local receiver: verify, check the allow-list, put one small message into the inbox, answer. Nothing else happens here.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request as HttpRequest, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use tokio::sync::Notify;

use super::answer::{self, Answer, delivery_id, unread};
use super::body::Room;
use super::metrics::Metrics;
use crate::ports::{Inbox, State as StatePort};
use crate::state::Key;
use crate::webhook::{Reception, Request, WatchList, WebhookSecrets, receive};

/// What the handlers share.
pub struct Receiver {
    pub secrets: WebhookSecrets,
    pub watched: WatchList,
    pub inbox: Arc<dyn Inbox>,
    pub state: Arc<dyn StatePort>,
    pub metrics: Arc<Metrics>,
    /// Memory for bodies.
    pub room: Room,
    /// Wakes a worker.
    pub wake: Arc<Notify>,
}

/// The server's routes.
pub fn router(receiver: Arc<Receiver>) -> Router {
    Router::new()
        .route("/webhook", post(webhook))
        .route("/health", get(|| async { (StatusCode::OK, "ok\n") }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(receiver)
}

async fn webhook(State(receiver): State<Arc<Receiver>>, request: HttpRequest<Body>) -> Response {
    let begun = Instant::now();
    let answer = answer(&receiver, request).await;
    receiver.metrics.delivery(answer.outcome, begun.elapsed());
    (answer.status, axum::Json(json!({ "message": answer.message }))).into_response()
}

async fn answer(receiver: &Receiver, request: HttpRequest<Body>) -> Answer {
    let (parts, body) = request.into_parts();
    let body = match receiver.room.read(body, announced(&parts.headers)).await {
        Ok(body) => body,
        Err(why) => return unread(why),
    };
    let delivery = delivery_id(parts.headers.get("x-github-delivery").map(HeaderValue::as_bytes));
    let reception = judge(receiver, &parts.headers, body.bytes());
    let answer = answer::answer(reception, &*receiver.inbox, &delivery).await;
    if answer.is_accepted() {
        receiver.wake.notify_one();
    }
    answer
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn judge(receiver: &Receiver, headers: &HeaderMap, body: &[u8]) -> Reception {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    receive(&receiver.secrets, &receiver.watched, &Request { headers: &headers, body })
}

/// Ready when the state file answers.
async fn ready(State(receiver): State<Arc<Receiver>>) -> Response {
    let probe = Key { pk: "READY".to_owned(), sk: "READY".to_owned() };
    match receiver.state.get(&probe).await {
        Ok(_) => (StatusCode::OK, "ready\n").into_response(),
        Err(error) => {
            tracing::error!(error = error.chain(), "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the state file does not answer; run `codehealer doctor`\n")
                .into_response()
        }
    }
}

async fn metrics(State(receiver): State<Arc<Receiver>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], receiver.metrics.render()).into_response()
}
