//! SageMaker endpoints: a model that is asked, and one that embeds code.

pub mod body;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sagemakerruntime::Client;
use aws_sdk_sagemakerruntime::config::Config;
use aws_sdk_sagemakerruntime::config::http::HttpResponse;
use aws_sdk_sagemakerruntime::config::timeout::TimeoutConfig;
use aws_sdk_sagemakerruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sagemakerruntime::operation::invoke_endpoint::InvokeEndpointError;
use aws_sdk_sagemakerruntime::primitives::Blob;
use serde_json::Value;
use tokio::sync::OnceCell;

use self::body::{BadAnswer, Profile};
use super::client::Aws;
use super::error::port_error;
use crate::model::{Completion, Language, Prompt, Span};
use crate::ports::{Embedder, ErrorKind, Model, PortError, PortResult};

/// SageMaker ends an invocation after this.
const INVOCATION: Duration = Duration::from_secs(60);
/// Longest text that is embedded, bytes.
const EMBEDDED_BYTES: usize = 8 * 1024;

/// One endpoint.
struct Endpoint {
    aws: Aws,
    name: String,
    /// Inference component, where the endpoint has several.
    component: Option<String>,
    port: &'static str,
    client: OnceCell<Client>,
}

impl Endpoint {
    fn new(aws: Aws, name: String, component: Option<String>, port: &'static str) -> Self {
        Self { aws, name, component, port, client: OnceCell::new() }
    }

    async fn client(&self) -> PortResult<&Client> {
        self.client.get_or_try_init(async || Ok(Client::new(self.aws.config(self.port).await?))).await
    }

    async fn invoke(&self, body: &Value) -> PortResult<Vec<u8>> {
        let limit = TimeoutConfig::builder().operation_timeout(INVOCATION).operation_attempt_timeout(INVOCATION).build();
        let asked = self
            .client()
            .await?
            .invoke_endpoint()
            .endpoint_name(&self.name)
            .set_inference_component_name(self.component.clone())
            .content_type("application/json")
            .accept("application/json")
            .body(Blob::new(body.to_string()));
        let answer = asked.customize().config_override(Config::builder().timeout_config(limit)).send().await;
        let answer = answer.map_err(|error| self.refused(&error))?;
        Ok(answer.body.map(Blob::into_inner).unwrap_or_default())
    }

    fn refused(&self, error: &SdkError<InvokeEndpointError, HttpResponse>) -> PortError {
        let refusal = port_error(self.port, format!("invoke the endpoint {}", self.name), error);
        let service = error.as_service_error();
        let message = service.and_then(ProvideErrorMetadata::message).unwrap_or_default();
        let kind = match service.and_then(ProvideErrorMetadata::code).unwrap_or_default() {
            // SageMaker calls an endpoint that does not exist a validation error.
            "ValidationError" | "ValidationException" if message.contains("not found") => ErrorKind::Missing,
            // The container's own error, or one that is not ready yet.
            "ModelError" | "ModelErrorException" | "ModelNotReadyException" | "InternalDependencyException" => {
                ErrorKind::Unavailable
            }
            _ => return refusal,
        };
        PortError { kind, ..refusal }
    }

    fn unreadable(&self, why: BadAnswer) -> PortError {
        // A container in trouble answers so, too; trying later may help.
        let kind = if matches!(why, BadAnswer::InBand(_)) { ErrorKind::Unavailable } else { ErrorKind::Malformed };
        PortError::new(self.port, format!("use the answer of the endpoint {}", self.name), kind).caused_by(why)
    }
}

/// A model behind a SageMaker endpoint.
pub struct SageMakerModel {
    endpoint: Endpoint,
    profile: Profile,
    model: Option<String>,
}

/// Which endpoint, and what it speaks.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    pub endpoint: String,
    pub component: Option<String>,
    pub profile: Profile,
    /// The model's name, where the container wants one.
    pub model: Option<String>,
}

impl SageMakerModel {
    /// Costs nothing; the endpoint is first asked by the first call.
    #[must_use]
    pub fn new(aws: Aws, options: ModelOptions) -> Self {
        let endpoint = Endpoint::new(aws, options.endpoint, options.component, "model");
        Self { endpoint, profile: options.profile, model: options.model }
    }
}

#[async_trait]
impl Model for SageMakerModel {
    async fn complete(&self, prompt: &Prompt) -> PortResult<Completion> {
        let request = body::request(self.profile, self.model.as_deref(), prompt);
        let answer = self.endpoint.invoke(&request).await?;
        body::completion(self.profile, &self.endpoint.name, prompt, &answer).map_err(|why| self.endpoint.unreadable(why))
    }
}

/// Code embedded by a SageMaker endpoint.
pub struct SageMakerEmbedder {
    endpoint: Endpoint,
    id: String,
    dimensions: usize,
}

impl SageMakerEmbedder {
    /// Vectors have `dimensions` numbers.
    #[must_use]
    pub fn new(aws: Aws, endpoint: &str, dimensions: usize) -> Self {
        let id = format!("sagemaker:{endpoint}:{dimensions}");
        Self { endpoint: Endpoint::new(aws, endpoint.to_owned(), None, "embedder"), id, dimensions }
    }
}

#[async_trait]
impl Embedder for SageMakerEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    async fn embed(&self, _language: Language, source: &str, span: Span) -> PortResult<Vec<f32>> {
        let request = body::embedding_request(&lines(source, span));
        let answer = self.endpoint.invoke(&request).await?;
        body::embedding(&answer, self.dimensions).map_err(|why| self.endpoint.unreadable(why))
    }
}

/// The whole lines of a span, without secrets: nothing else leaves for the endpoint.
fn lines(source: &str, span: Span) -> String {
    let (start, end) = (span.start.min(source.len()), span.end.min(source.len()));
    let begin = source.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let rest = source.get(end..).and_then(|after| after.find('\n')).map_or(source.len(), |at| end + at);
    let text = source.get(begin..rest).unwrap_or_default();
    let clean = crate::detect::redact::redact(text);
    let mut cut = EMBEDDED_BYTES.min(clean.len());
    while !clean.is_char_boundary(cut) {
        cut -= 1;
    }
    clean.get(..cut).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_embedded_and_no_secret_among_them() {
        let source = "a = 1\ntoken = \"ghp_0123456789abcdefghijABCDEFGHIJ012345\"\nb = 2\n";
        let text = lines(source, Span { start: 8, end: 9 });
        assert!(text.starts_with("token = ") && !text.contains("ghp_0123") && !text.contains('\n'), "{text}");
        assert_eq!(lines("x", Span { start: 9, end: 12 }), "");
        assert_eq!(lines("ab\ncd", Span { start: 3, end: 4 }), "cd");
    }
}
