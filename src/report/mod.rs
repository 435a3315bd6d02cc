//! What people read: pull requests, notices, tables and reports for other tools. Pure; everything quoted is hostile and escaped.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod calibration;
pub mod line;
pub mod markdown;
pub mod notice;
pub mod pattern;
pub mod pull_request;
pub mod replay;
pub mod reply;
pub mod sarif;
pub mod stats;
pub mod table;
pub mod time;
pub mod trail;
