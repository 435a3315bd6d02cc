//! A language model behind an OpenAI-compatible address: vLLM, llama.cpp, Ollama and their like.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::ports::{Completion, ErrorKind, Model, PortError, PortResult, Prompt};

/// Largest answer that is read, bytes.
const ANSWER_LIMIT: usize = 1024 * 1024;
/// Wait after a refusal for overload that names no time.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);

/// A client of one model. The connection is made at the first question.
pub struct OpenAiModel {
    endpoint: String,
    name: String,
    key: Option<SecretString>,
    client: reqwest::Client,
}

#[derive(Serialize)]
struct Question<'a> {
    model: &'a str,
    messages: [Said<'a>; 2],
    max_tokens: u32,
    temperature: f32,
    stream: bool,
}

#[derive(Serialize)]
struct Said<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
    /// Some servers report errors inside a 200.
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    message: Content,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

fn error(attempted: impl Into<String>, kind: ErrorKind) -> PortError {
    PortError::new("model", attempted, kind)
}

impl OpenAiModel {
    /// `url` is the base address, with or without `/chat/completions`; `timeout` bounds a whole call.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(url: &str, name: &str, key: Option<SecretString>, timeout: Duration) -> PortResult<Self> {
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

    async fn ask(&self, question: &Question<'_>) -> PortResult<Vec<u8>> {
        let mut request = self.client.post(&self.endpoint).json(question);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
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
            if body.len() > ANSWER_LIMIT {
                return Err(error("read an answer of more than a megabyte", ErrorKind::Malformed));
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
        let question = Question {
            model: &self.name,
            messages: [Said { role: "system", content: &prompt.system }, Said { role: "user", content: &prompt.user }],
            max_tokens: prompt.max_tokens,
            temperature: 0.0,
            stream: false,
        };
        let body = self.ask(&question).await?;
        read(&body, &self.name)
    }
}

fn read(body: &[u8], asked: &str) -> PortResult<Completion> {
    let answer: Answer = serde_json::from_slice(body).map_err(|e| {
        error("understand the answer; is this an OpenAI-compatible server?", ErrorKind::Malformed).caused_by(e)
    })?;
    if let Some(said) = answer.error.filter(|said| !said.is_null()) {
        let said: String = said.to_string().chars().take(200).collect();
        return Err(error(format!("get an answer; the server says {said}"), ErrorKind::Unavailable));
    }
    let choice =
        answer.choices.into_iter().next().ok_or_else(|| error("find a choice in the answer", ErrorKind::Malformed))?;
    let usage = answer.usage.unwrap_or(Usage { prompt_tokens: 0, completion_tokens: 0 });
    Ok(Completion {
        text: choice.message.content.unwrap_or_default(),
        model: answer.model.filter(|name| !name.is_empty()).unwrap_or_else(|| asked.to_owned()),
        input_tokens: usage.prompt_tokens,
        output_tokens: usage.completion_tokens,
        truncated: choice.finish_reason.as_deref() == Some("length"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let body = br#"{"model":"llama","choices":[{"message":{"content":"hi"},"finish_reason":"length"}],
            "usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
        let completion = read(body, "x").unwrap();
        assert_eq!((completion.text.as_str(), completion.model.as_str()), ("hi", "llama"));
        assert_eq!((completion.input_tokens, completion.output_tokens, completion.truncated), (5, 2, true));
    }

    #[test]
    fn rubbish_and_errors_inside_a_200_are_errors() {
        let malformed: [&[u8]; 4] = [b"", b"<html>", b"{}", b"[1]"];
        for body in malformed {
            assert_eq!(read(body, "x").unwrap_err().kind, ErrorKind::Malformed);
        }
        let inside = br#"{"error":{"message":"out of memory"}}"#;
        assert_eq!(read(inside, "x").unwrap_err().kind, ErrorKind::Unavailable);
    }
}
