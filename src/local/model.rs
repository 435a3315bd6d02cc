//! A language model behind an OpenAI-compatible address: vLLM, llama.cpp, Ollama and their like.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::ports::{Completion, Credential, ErrorKind, Model, PortError, PortResult, Prompt};
use crate::recall::completion::{self, ANSWER_BYTES, BadAnswer, Profile};

/// Wait after a refusal for overload that names no time.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);

/// A client of one model. The connection is made at the first question.
pub struct OpenAiModel {
    endpoint: String,
    name: String,
    key: Option<Credential>,
    client: reqwest::Client,
}

fn error(attempted: impl Into<String>, kind: ErrorKind) -> PortError {
    PortError::new("model", attempted, kind)
}

impl OpenAiModel {
    /// `url` is the base address, with or without `/chat/completions`; `timeout` bounds a whole call.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(url: &str, name: &str, key: Option<Credential>, timeout: Duration) -> PortResult<Self> {
        let base = url.trim_end_matches('/');
        let base = base.strip_suffix("/chat/completions").unwrap_or(base);
        let endpoint = format!("{base}/chat/completions");
        // A redirect could carry code and key to another host.
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .timeout(timeout)
            .build()
            .map_err(|e| error("make an HTTP client", ErrorKind::Unavailable).caused_by(e))?;
        Ok(Self { endpoint, name: name.to_owned(), key, client })
    }

    async fn ask(&self, question: &Value) -> PortResult<Vec<u8>> {
        let mut request = self.client.post(&self.endpoint).json(question);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.read().await?.expose_secret());
        }
        let unreachable = |e: reqwest::Error| {
            error(format!("get an answer from {}; is the server running?", self.endpoint), ErrorKind::Unavailable)
                .caused_by(e.without_url())
        };
        let mut response = request.send().await.map_err(unreachable)?;
        if let Some(error) = self.refusal(&response) {
            return Err(error);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES {
                return Err(unusable(BadAnswer::TooLong(body.len())));
            }
        }
        Ok(body)
    }

    fn refusal(&self, response: &reqwest::Response) -> Option<PortError> {
        let status = response.status();
        if status.is_success() {
            return None;
        }
        let attempted = format!("get an answer from {} (HTTP {})", self.endpoint, status.as_u16());
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Denied,
            StatusCode::NOT_FOUND => ErrorKind::Missing,
            StatusCode::TOO_MANY_REQUESTS => {
                let seconds = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
                ErrorKind::Throttled(seconds.map_or(DEFAULT_WAIT, Duration::from_secs))
            }
            status if status.is_server_error() => ErrorKind::Unavailable,
            _ => ErrorKind::Malformed,
        };
        Some(error(attempted, kind))
    }
}

#[async_trait]
impl Model for OpenAiModel {
    async fn complete(&self, prompt: &Prompt) -> PortResult<Completion> {
        let question = completion::request(Profile::Chat, Some(&self.name), prompt);
        let body = self.ask(&question).await?;
        completion::read(Profile::Chat, &self.name, prompt, &body).map_err(unusable)
    }
}

/// An error inside an answer may pass; an answer that is none, from something that is no such server, does not.
fn unusable(why: BadAnswer) -> PortError {
    let kind = match why {
        BadAnswer::InBand { .. } => ErrorKind::Unavailable,
        _ => ErrorKind::Malformed,
    };
    error("use the answer; is this an OpenAI-compatible server?", kind).caused_by(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rubbish_does_not_pass_and_an_error_inside_an_answer_may() {
        let read = |body: &[u8]| {
            let prompt = Prompt { system: String::new(), user: String::new(), max_tokens: 1 };
            completion::read(Profile::Chat, "x", &prompt, body).map_err(unusable).unwrap_err().kind
        };
        let malformed: [&[u8]; 4] = [b"", b"<html>", b"{}", b"[1]"];
        for body in malformed {
            assert_eq!(read(body), ErrorKind::Malformed);
        }
        assert_eq!(read(br#"{"error":{"message":"out of memory"}}"#), ErrorKind::Unavailable);
    }
}
