//! The built-in embedder: structural, without weights, the same on every machine.

use async_trait::async_trait;

use crate::model::{Language, Span};
use crate::ports::{Embedder, PortResult};
use crate::recall::embedding;

/// Hashes the tokens and the syntax of the finding's lines into 768 dimensions.
pub struct StructuralEmbedder;

#[async_trait]
impl Embedder for StructuralEmbedder {
    fn id(&self) -> &str {
        embedding::EMBEDDER
    }

    async fn embed(&self, language: Language, source: &str, span: Span) -> PortResult<Vec<f32>> {
        Ok(embedding::embed(language, source, span))
    }
}
