//! What may happen to a call instead of, or around, its answer.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Response;
use futures_util::stream;

use super::http::Answer;
use super::world::World;

/// How long nothing comes back where nothing does: longer than any client waits.
const LONG: Duration = Duration::from_secs(600);

#[derive(Debug, Clone)]
pub enum Fault {
    /// It is done and nobody hears of it: the connection breaks.
    LostAnswer,
    /// It is done and an error is answered.
    DoneAnd(u16),
    /// It is not done, and nothing comes back.
    Silence,
    /// It is not done.
    Status(u16),
    /// This hour's requests are spent; they come back after so many seconds.
    PrimaryLimit(u64),
    /// Too much at once, with how many seconds to wait where GitHub says so; 403, or else 429.
    SecondaryLimit(Option<u64>),
    TooManyRequests(Option<u64>),
    /// The answer begins and never ends.
    SlowBody,
    /// The answer is this text, called JSON.
    Garbage(&'static str),
}

/// A fault of one call of a kind.
pub struct Planned {
    /// Method and route, or `*`.
    pub kind: String,
    /// How many calls of the kind go well before.
    pub after: usize,
    pub fault: Fault,
}

/// The fault that this call meets; others come one call nearer.
pub fn next(planned: &mut Vec<Planned>, kind: &str) -> Option<Fault> {
    let is_meant = |one: &Planned| one.kind == "*" || one.kind == kind;
    let at = planned.iter().position(|one| is_meant(one) && one.after == 0);
    let fault = at.map(|at| planned.remove(at).fault);
    let waiting = planned.iter_mut().filter(|one| is_meant(one));
    waiting.for_each(|one| one.after = one.after.saturating_sub(1));
    fault
}

impl Fault {
    /// The answer where the call is not done.
    pub fn instead(&self, world: &World) -> Option<Answer> {
        let secondary = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        let limited = |status, seconds: &Option<u64>| {
            let answer = Answer::error(status, secondary);
            Some(match seconds {
                Some(seconds) => answer.with("retry-after", seconds),
                None => answer,
            })
        };
        match self {
            Self::LostAnswer | Self::DoneAnd(_) | Self::SlowBody | Self::Garbage(_) => None,
            Self::Silence => Some(Answer::error(500, "nobody hears this")),
            Self::Status(status) => Some(Answer::error(*status, "Server Error")),
            Self::PrimaryLimit(seconds) => {
                let id = world.installations.first().map_or(0, |one| one.id);
                let answer = Answer::error(403, &format!("API rate limit exceeded for installation ID {id}."));
                let reset = world.seconds() + seconds;
                Some(answer.with("x-ratelimit-remaining", 0).with("x-ratelimit-reset", reset))
            }
            Self::SecondaryLimit(seconds) => limited(403, seconds),
            Self::TooManyRequests(seconds) => limited(429, seconds),
        }
    }

    /// For how many seconds a client must not come back.
    pub fn quiet(&self, _: &World) -> Option<u64> {
        match self {
            Self::PrimaryLimit(seconds) => Some(*seconds),
            // Without a word, at least a minute.
            Self::SecondaryLimit(seconds) | Self::TooManyRequests(seconds) => Some(seconds.unwrap_or(60)),
            _ => None,
        }
    }
}

/// Sends an answer, or what a fault makes of it.
pub async fn send(answer: Answer, fault: Option<Fault>) -> Response<Body> {
    let mut status = answer.status;
    let text = if answer.body.is_null() { String::new() } else { answer.body.to_string() };
    let mut body = Body::from(text.clone());
    match fault {
        Some(Fault::Silence) => tokio::time::sleep(LONG).await,
        Some(Fault::LostAnswer) => body = unfinished(String::new(), false),
        Some(Fault::SlowBody) => body = unfinished(text[..text.len() / 2].to_owned(), true),
        Some(Fault::DoneAnd(instead)) => {
            status = instead;
            body = Body::from("<html>an error page</html>");
        }
        Some(Fault::Garbage(garbage)) => body = Body::from(garbage),
        _ => {}
    }
    let mut response = Response::builder().status(status).header("content-type", "application/json; charset=utf-8");
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(body).unwrap()
}

/// A body that begins with this text and then breaks, or hangs.
fn unfinished(text: String, hangs: bool) -> Body {
    Body::from_stream(stream::unfold(Some(text), move |state| async move {
        if let Some(text) = state.filter(|text| !text.is_empty()) {
            return Some((Ok(Bytes::from(text)), None));
        }
        if hangs {
            tokio::time::sleep(LONG).await;
        }
        Some((Err(std::io::Error::other("the connection broke")), None))
    }))
}
