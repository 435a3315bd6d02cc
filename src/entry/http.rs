//! The local receiver: verify, check the allow-list, put one small message into the inbox, answer. Nothing else happens here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use tokio::sync::Notify;

use super::body::{Room, Unread};
use super::metrics::Metrics;
use crate::model::Task;
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
    let (outcome, response) = answer(&receiver, request).await;
    receiver.metrics.delivery(outcome, begun.elapsed());
    response
}

async fn answer(receiver: &Receiver, request: HttpRequest<Body>) -> (&'static str, Response) {
    let (parts, body) = request.into_parts();
    let body = match receiver.room.read(body, announced(&parts.headers)).await {
        Ok(body) => body,
        Err(why) => return unread(why),
    };
    let delivery = delivery(&parts.headers);
    match judge(receiver, &parts.headers, body.bytes()) {
        Reception::Accepted(task) => accept(receiver, *task, &delivery).await,
        Reception::Nothing(why) => ("nothing", reply(StatusCode::OK, &why)),
        Reception::Unsigned(error) => {
            tracing::warn!(delivery, %error, "a delivery was refused");
            ("unsigned", reply(StatusCode::UNAUTHORIZED, &error.to_string()))
        }
        Reception::Refused(error) => {
            tracing::warn!(delivery, %error, "a delivery was refused");
            ("refused", reply(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()))
        }
        Reception::Foreign(_) => {
            tracing::warn!(delivery, "a delivery for a repository that is not watched was refused");
            ("foreign", reply(StatusCode::NOT_FOUND, "this repository is not watched here; see [[repository]]"))
        }
    }
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn unread(why: Unread) -> (&'static str, Response) {
    let (outcome, status) = match why {
        Unread::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
        Unread::BrokenOff => ("broken_off", StatusCode::BAD_REQUEST),
        Unread::TooSlow => ("too_slow", StatusCode::REQUEST_TIMEOUT),
    };
    (outcome, reply(status, &why.to_string()))
}

fn judge(receiver: &Receiver, headers: &HeaderMap, body: &[u8]) -> Reception {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    receive(&receiver.secrets, &receiver.watched, &Request { headers: &headers, body })
}

async fn accept(receiver: &Receiver, task: Task, delivery: &str) -> (&'static str, Response) {
    let stored = match serde_json::to_string(&task) {
        Ok(body) => receiver.inbox.enqueue(&body, None, Duration::ZERO).await.map_err(|error| error.chain()),
        Err(error) => Err(error.to_string()),
    };
    match stored {
        Ok(()) => {
            receiver.wake.notify_one();
            tracing::info!(delivery, "a delivery was accepted");
            ("accepted", reply(StatusCode::ACCEPTED, "accepted"))
        }
        Err(error) => {
            tracing::error!(delivery, error, "a delivery could not be stored");
            // So that the delivery shows as failed on GitHub and can be redelivered.
            ("unavailable", reply(StatusCode::SERVICE_UNAVAILABLE, "the inbox cannot be written; redeliver later"))
        }
    }
}

fn delivery(headers: &HeaderMap) -> String {
    let id = headers.get("x-github-delivery").and_then(|value| value.to_str().ok()).unwrap_or_default();
    id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect()
}

fn reply(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "message": message }))).into_response()
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
