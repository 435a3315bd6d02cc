//! The local receiver: verify, check the allow-list, put one small message into the inbox, answer. Nothing else happens here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use tokio::sync::Notify;

use super::metrics::Metrics;
use crate::model::{PushTask, Task};
use crate::ports::{Inbox, State as StatePort};
use crate::state::Key;
use crate::webhook::{Reception, Request, WatchList, WebhookSecrets, receive};

/// GitHub does not send payloads above 25 MB.
const BODY_LIMIT: usize = 25 * 1024 * 1024;
/// Longer than any body takes that arrives at all; GitHub itself gives up after 10 s.
const BODY_TIME: Duration = Duration::from_secs(15);

/// What the handlers share.
pub struct Receiver {
    pub secrets: WebhookSecrets,
    pub watched: WatchList,
    pub inbox: Arc<dyn Inbox>,
    pub state: Arc<dyn StatePort>,
    pub metrics: Arc<Metrics>,
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
    let body = match tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return ("too_large", reply(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or broke off")),
        Err(_) => return ("too_slow", reply(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    };
    let delivery = delivery(&parts.headers);
    match judge(receiver, &parts.headers, &body) {
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

fn judge(receiver: &Receiver, headers: &HeaderMap, body: &Bytes) -> Reception {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    receive(&receiver.secrets, &receiver.watched, &Request { headers: &headers, body })
}

async fn accept(receiver: &Receiver, task: PushTask, delivery: &str) -> (&'static str, Response) {
    let stored = match serde_json::to_string(&Task::Push(task)) {
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
