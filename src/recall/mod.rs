//! Turning knowledge into candidates: what to ask, how to find what is alike, reading threads, prompts and replies. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod chat;
pub mod completion;
pub mod council;
pub mod embedding;
pub mod look;
pub mod plain;
pub mod prompt;
pub mod reach;
pub mod reply;
pub mod samples;
pub mod team;
