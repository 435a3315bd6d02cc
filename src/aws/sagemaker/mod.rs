//! SageMaker endpoints: a model that is asked, and one that embeds code.

mod endpoint;
mod vector;

use async_trait::async_trait;

use self::endpoint::Endpoint;
use super::client::Aws;
use crate::detect::redact::redact_part;
use crate::model::{Completion, Language, Prompt, Sampling, Span};
use crate::ports::{Embedder, ErrorKind, Model, PortError, PortResult};
use crate::recall::completion;
use crate::recall::embedding::lines_of;

pub use crate::recall::completion::Profile;

/// Longest text that is embedded, bytes.
const EMBEDDED_BYTES: usize = 8 * 1024;

/// A model behind an endpoint. Its server's errors, also those inside an answer, are told as what they are; nothing is asked
/// twice, for a question costs money.
pub struct SageMakerModel {
    endpoint: Endpoint,
    profile: Profile,
    model: Option<String>,
}

/// Which endpoint, and what it speaks.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// Name of the endpoint.
    pub endpoint: String,
    /// Inference component, where the endpoint has several.
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
        let all = self.ask(prompt, &Sampling::ONE).await?;
        all.into_iter().next().ok_or_else(|| PortError::new("model", "read an answer", ErrorKind::Malformed))
    }

    async fn draw(&self, prompt: &Prompt, sampling: &Sampling) -> PortResult<Vec<Completion>> {
        match self.ask(prompt, sampling).await {
            // Some containers refuse the very word for several answers, before they work on any.
            Err(error)
                if error.kind == ErrorKind::Malformed
                    && error.attempted.starts_with("invoke")
                    && sampling.count > 1
                    && self.profile.gives_several() =>
            {
                self.ask(prompt, &Sampling { count: 1, ..*sampling }).await
            }
            outcome => outcome,
        }
    }
}

impl SageMakerModel {
    async fn ask(&self, prompt: &Prompt, sampling: &Sampling) -> PortResult<Vec<Completion>> {
        let request = completion::request(self.profile, self.model.as_deref(), prompt, sampling);
        let answer = self.endpoint.invoke(&request).await?;
        let asked = self.model.as_deref().unwrap_or(self.endpoint.name());
        completion::read_all(self.profile, asked, prompt, &answer).map_err(|why| self.endpoint.unusable(why))
    }
}

/// Code embedded by an endpoint.
pub struct SageMakerEmbedder {
    endpoint: Endpoint,
    id: String,
    dimensions: usize,
}

/// Which endpoint, and what it gives.
#[derive(Debug, Clone)]
pub struct EmbedderOptions {
    /// Name of the endpoint.
    pub endpoint: String,
    /// Inference component, where the endpoint has several.
    pub component: Option<String>,
    /// Length of its vectors, 1 or more.
    pub dimensions: usize,
}

impl SageMakerEmbedder {
    /// Costs nothing; the endpoint is first asked by the first call.
    #[must_use]
    pub fn new(aws: Aws, options: EmbedderOptions) -> Self {
        let EmbedderOptions { endpoint, component, dimensions } = options;
        let part = component.as_ref().map(|component| format!("/{component}")).unwrap_or_default();
        let id = format!("sagemaker:{endpoint}{part}:{dimensions}");
        Self { endpoint: Endpoint::new(aws, endpoint, component, "embedder"), id, dimensions }
    }
}

#[async_trait]
impl Embedder for SageMakerEmbedder {
    /// Names endpoint, component and length: another model behind another endpoint makes other vectors.
    fn id(&self) -> &str {
        &self.id
    }

    async fn embed(&self, _language: Language, source: &str, span: Span) -> PortResult<Vec<f32>> {
        let answer = self.endpoint.invoke(&vector::request(&embedded(source, span))).await?;
        vector::read(&answer, self.dimensions).map_err(|why| match why {
            vector::BadVector::Answer(why) => self.endpoint.unusable(why),
            why => self.endpoint.malformed(why),
        })
    }
}

/// The whole lines of a span, as many as are embedded, without secrets: nothing else leaves for the endpoint.
fn embedded(source: &str, span: Span) -> String {
    if span.start > source.len() {
        return String::new();
    }
    let mut text = redact_part(source, lines_of(source, span));
    let end = (0..=EMBEDDED_BYTES.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_embedded_and_no_secret_among_them() {
        let source = "a = 1\ntoken = \"ghp_0123456789abcdefghijABCDEFGHIJ012345\"\nb = 2\n";
        let text = embedded(source, Span { start: 8, end: 9 });
        assert!(text.starts_with("token = ") && !text.contains("ghp_0123") && !text.contains('\n'), "{text}");
        assert_eq!(embedded("x", Span { start: 9, end: 12 }), "");
        assert_eq!(embedded("ab\ncd", Span { start: 3, end: 4 }), "cd");
    }

    #[test]
    fn a_secret_that_began_above_the_span_is_not_embedded() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA0Z3VS5JJcds3xfn\nygWyF0ZlPq5JyLxYnZ9U\n-----END RSA PRIVATE KEY-----\n";
        let inside = key.find("ygWy").unwrap();
        let text = embedded(key, Span { start: inside, end: inside + 4 });
        assert!(!text.contains("ygWyF0"), "{text}");
    }

    #[test]
    fn what_is_embedded_is_bounded_and_ends_at_a_character() {
        let source = "é".repeat(EMBEDDED_BYTES);
        let text = embedded(&source, Span { start: 0, end: 2 });
        assert!(text.len() <= EMBEDDED_BYTES && text.len() > EMBEDDED_BYTES - 4);
    }
}
