//! What is remembered and how it is found again: queries, embeddings, ranking, prompts and replies.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod embedding;
