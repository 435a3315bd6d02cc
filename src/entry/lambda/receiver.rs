//! The receiver: verify, check the allow-list, put one small message into the inbox, answer. It knows a queue and the webhook
//! secrets, and nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tracing::Instrument as _;

use super::http::{BodyError, HttpRequest, HttpResponse};
use super::keys::{Keys, KeysError};
use super::metrics::Metrics;
use crate::entry::answer::{self, Answer, delivery_id, unavailable, unread};
use crate::ports::{Clock, Credential, Inbox};
use crate::webhook::{Request, WatchList};

/// GitHub gives up after 10 s: an answer that comes later says nothing to anybody.
const PATIENCE: Duration = Duration::from_secs(8);

/// Everything that the receiving function needs.
pub struct LambdaReceiver {
    keys: Keys,
    watched: WatchList,
    inbox: Arc<dyn Inbox>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
}

impl LambdaReceiver {
    /// `secrets` are up to two: the current one and, while it is rotated, the other.
    ///
    /// # Errors
    /// When there is no webhook secret or one of them is empty, missing or not ours to read.
    pub async fn new(
        secrets: Vec<Credential>,
        watched: WatchList,
        inbox: Arc<dyn Inbox>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeysError> {
        let keys = Keys::open(secrets, Arc::clone(&clock)).await?;
        Ok(Self { keys, watched, inbox, clock, metrics: Arc::default() })
    }

    /// Answers one request.
    pub async fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let delivery = delivery_id(request.header("x-github-delivery").map(str::as_bytes));
        let span = tracing::info_span!("delivery", delivery);
        request.respond(&self.route(request, &delivery).instrument(span).await)
    }

    async fn route(&self, request: &HttpRequest, delivery: &str) -> Answer {
        match (request.route(), request.method.as_str()) {
            ("webhook", "POST") => {
                let begun = Instant::now();
                let late = |_| unavailable("there was no time to keep it; redeliver later");
                let answer = tokio::time::timeout(PATIENCE, self.webhook(request, delivery)).await;
                let answer = answer.unwrap_or_else(late);
                self.metrics.delivery(answer.outcome, begun.elapsed());
                answer
            }
            ("health", "GET" | "HEAD") => Answer::new("health", StatusCode::OK, "ok"),
            ("webhook" | "health", _) => {
                Answer::new("not_allowed", StatusCode::METHOD_NOT_ALLOWED, "POST /webhook or GET /health")
            }
            _ => Answer::new("not_found", StatusCode::NOT_FOUND, "there is POST /webhook and GET /health"),
        }
    }

    async fn webhook(&self, request: &HttpRequest, delivery: &str) -> Answer {
        let body = match request.body() {
            Ok(body) => body,
            Err(BodyError::Unread(why)) => return unread(why),
            Err(error @ BodyError::NotBase64) => {
                return Answer::new("broken_off", StatusCode::BAD_REQUEST, error.to_string());
            }
        };
        let headers: Vec<(&str, &[u8])> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        match self.keys.judge(&self.watched, &Request { headers: &headers, body: &body }).await {
            Some(reception) => answer::answer(reception, &*self.inbox, delivery).await,
            None => unavailable("the webhook secret cannot be read; redeliver later"),
        }
    }
}
