//! A language model behind a plain address: vLLM, NIM, llama.cpp, Ollama, and LMI and TGI containers.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::ports::{Completion, Credential, ErrorKind, Model, PortError, PortResult, Prompt, Sampling};
use crate::recall::completion::stream::Stream;
use crate::recall::completion::{self, ANSWER_BYTES, BadAnswer, Profile};

/// Wait after a refusal for overload that names no time.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);

/// What is asked, and how.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// Base address, with or without the profile's own route: `http://127.0.0.1:8000/v1`.
    pub url: String,
    /// The model's name as the server knows it.
    pub name: String,
    pub profile: Profile,
    /// Bounds a whole call.
    pub timeout: Duration,
    /// Answers are streamed, and given up once nothing came for this long. `None`: they come whole.
    pub stall: Option<Duration>,
}

/// A client of one model. The connection is made at the first question.
pub struct UrlModel {
    endpoint: String,
    options: ModelOptions,
    key: Option<Credential>,
    client: reqwest::Client,
}

fn error(attempted: impl Into<String>, kind: ErrorKind) -> PortError {
    PortError::new("model", attempted, kind)
}

impl UrlModel {
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(options: ModelOptions, key: Option<Credential>) -> PortResult<Self> {
        let (base, route) = (options.url.trim_end_matches('/'), options.profile.route());
        let endpoint = format!("{}{route}", base.strip_suffix(route).unwrap_or(base));
        // A redirect could carry code and key to another host.
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(options.timeout.min(Duration::from_secs(10)))
            .timeout(options.timeout)
            .build()
            .map_err(|e| error("make an HTTP client", ErrorKind::Unavailable).caused_by(e))?;
        Ok(Self { endpoint, options, key, client })
    }

    async fn ask(&self, prompt: &Prompt, sampling: &Sampling) -> PortResult<Vec<Completion>> {
        let ModelOptions { profile, name, stall, .. } = &self.options;
        let mut question = completion::request(*profile, Some(name), prompt, sampling);
        let streamed = stall.is_some() && profile.is_chat();
        if let (true, Some(fields)) = (streamed, question.as_object_mut()) {
            fields.insert("stream".to_owned(), json!(true));
            fields.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
        let body = self.body(&question).await?;
        completion::read_all(*profile, name, prompt, &body).map_err(unusable)
    }

    async fn body(&self, question: &Value) -> PortResult<Vec<u8>> {
        let mut request = self.client.post(&self.endpoint).json(question);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.read().await?.expose_secret());
        }
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        if let Some(error) = self.refusal(&response) {
            return Err(error);
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("text/event-stream") { self.streamed(response).await } else { self.whole(response).await }
    }

    async fn whole(&self, mut response: Response) -> PortResult<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(e))? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES {
                return Err(unusable(BadAnswer::TooLong(body.len())));
            }
        }
        Ok(body)
    }

    /// Reads a stream to its end. A server that says nothing for a while is given up long before the whole call's limit.
    async fn streamed(&self, mut response: Response) -> PortResult<Vec<u8>> {
        let stall = self.options.stall.unwrap_or(self.options.timeout);
        let mut stream = Stream::default();
        while !stream.is_done() {
            let next = tokio::time::timeout(stall, response.chunk()).await.map_err(|_| {
                error(format!("read on: {} sent nothing for {stall:?}", self.endpoint), ErrorKind::Unavailable)
            })?;
            match next.map_err(|e| self.unreachable(e))? {
                Some(chunk) => stream.feed(&chunk).map_err(unusable)?,
                None => break,
            }
        }
        stream.into_body().map_err(unusable)
    }

    fn unreachable(&self, e: reqwest::Error) -> PortError {
        error(format!("get an answer from {}; is the server running?", self.endpoint), ErrorKind::Unavailable)
            .caused_by(e.without_url())
    }

    fn refusal(&self, response: &Response) -> Option<PortError> {
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
            // LMI's word for a model that failed, and a request that waited too long.
            StatusCode::FAILED_DEPENDENCY | StatusCode::REQUEST_TIMEOUT => ErrorKind::Unavailable,
            status if status.is_server_error() => ErrorKind::Unavailable,
            _ => ErrorKind::Malformed,
        };
        Some(error(attempted, kind))
    }
}

#[async_trait]
impl Model for UrlModel {
    async fn complete(&self, prompt: &Prompt) -> PortResult<Completion> {
        let all = self.ask(prompt, &Sampling::ONE).await?;
        all.into_iter().next().ok_or_else(|| unusable(BadAnswer::Empty(self.options.profile)))
    }

    async fn draw(&self, prompt: &Prompt, sampling: &Sampling) -> PortResult<Vec<Completion>> {
        match self.ask(prompt, sampling).await {
            // Some servers refuse the very word for several answers, before they work on any.
            Err(error)
                if error.kind == ErrorKind::Malformed
                    && error.source.is_none()
                    && sampling.count > 1
                    && self.options.profile.gives_several() =>
            {
                self.ask(prompt, &Sampling { count: 1, ..*sampling }).await
            }
            outcome => outcome,
        }
    }
}

/// An error inside an answer may pass; an answer that is none, from something that is no such server, does not.
fn unusable(why: BadAnswer) -> PortError {
    let kind = match why {
        BadAnswer::InBand { code: Some(429), .. } => ErrorKind::Throttled(DEFAULT_WAIT),
        BadAnswer::InBand { code: Some(400..=407 | 409..=423 | 425..=499), .. } => ErrorKind::Malformed,
        BadAnswer::InBand { .. } => ErrorKind::Unavailable,
        _ => ErrorKind::Malformed,
    };
    error("use the answer; does the server speak the configured profile?", kind).caused_by(why)
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
        assert_eq!(read(br#"{"error":{"message":"too long","code":400}}"#), ErrorKind::Malformed);
        assert_eq!(read(br#"{"error":{"message":"slow down","code":429}}"#), ErrorKind::Throttled(DEFAULT_WAIT));
    }

    #[test]
    fn each_profile_has_its_route_and_it_is_not_doubled() {
        let endpoint = |url: &str, profile| {
            let options = ModelOptions {
                url: url.to_owned(),
                name: "m".to_owned(),
                profile,
                timeout: Duration::from_secs(1),
                stall: None,
            };
            UrlModel::new(options, None).unwrap().endpoint
        };
        assert_eq!(endpoint("http://h/v1/", Profile::Vllm), "http://h/v1/chat/completions");
        assert_eq!(endpoint("http://h/v1/chat/completions", Profile::Chat), "http://h/v1/chat/completions");
        assert_eq!(endpoint("http://h", Profile::Tgi), "http://h/generate");
        assert_eq!(endpoint("http://h/invocations", Profile::Lmi), "http://h/invocations");
    }
}
