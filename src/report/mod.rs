//! What people and other tools read: reports, notices, pull request text.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod sarif;
