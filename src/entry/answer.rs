//! What a delivery is answered: the same at every entry, whoever carried the request.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::StatusCode;

use super::body::Unread;
use crate::model::Task;
use crate::ports::Inbox;
use crate::webhook::Reception;

/// An answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// For counters: `accepted`, `nothing`, `unsigned`, …
    pub outcome: &'static str,
    pub status: StatusCode,
    /// One line for people.
    pub message: Cow<'static, str>,
}

impl Answer {
    #[must_use]
    pub fn new(outcome: &'static str, status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { outcome, status, message: message.into() }
    }

    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.outcome == "accepted"
    }
}

/// Does what was judged of a delivery: an accepted task goes into the inbox before the answer says so.
pub async fn answer(reception: Reception, inbox: &dyn Inbox, delivery: &str) -> Answer {
    match reception {
        Reception::Accepted(task) => accept(&task, inbox, delivery).await,
        Reception::Nothing(why) => Answer::new("nothing", StatusCode::OK, why),
        Reception::Unsigned(error) => {
            tracing::warn!(delivery, %error, "a delivery was refused");
            Answer::new("unsigned", StatusCode::UNAUTHORIZED, error.to_string())
        }
        Reception::Refused(error) => {
            tracing::warn!(delivery, %error, "a delivery was refused");
            Answer::new("refused", StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
        }
        Reception::Foreign(_) => {
            tracing::warn!(delivery, "a delivery for a repository that is not watched was refused");
            Answer::new(
                "foreign",
                StatusCode::NOT_FOUND,
                "this repository is not watched here under this name; see [[repository]]",
            )
        }
    }
}

async fn accept(task: &Task, inbox: &dyn Inbox, delivery: &str) -> Answer {
    let stored = match serde_json::to_string(task) {
        Ok(body) => inbox.enqueue(&body, None, Duration::ZERO).await.map_err(|error| error.chain()),
        Err(error) => Err(error.to_string()),
    };
    match stored {
        Ok(()) => {
            tracing::info!(delivery, "a delivery was accepted");
            Answer::new("accepted", StatusCode::ACCEPTED, "accepted")
        }
        Err(error) => {
            tracing::error!(delivery, error, "a delivery could not be stored");
            // So that the delivery shows as failed on GitHub and can be redelivered.
            unavailable("the inbox cannot be written; redeliver later")
        }
    }
}

/// Nothing was kept, through no fault of the sender.
#[must_use]
pub fn unavailable(message: &'static str) -> Answer {
    Answer::new("unavailable", StatusCode::SERVICE_UNAVAILABLE, message)
}

/// The body could not be taken in.
#[must_use]
pub fn unread(why: Unread) -> Answer {
    let (outcome, status) = match why {
        Unread::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
        Unread::BrokenOff => ("broken_off", StatusCode::BAD_REQUEST),
        Unread::TooSlow => ("too_slow", StatusCode::REQUEST_TIMEOUT),
    };
    Answer::new(outcome, status, why.to_string())
}

/// The delivery's id as far as it can be logged: it is not signed.
#[must_use]
pub fn delivery_id(header: Option<&[u8]>) -> String {
    let id = header.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
    id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect()
}
