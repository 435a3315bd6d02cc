//! How the product is started: the command line, the local server.

pub mod body;
pub mod cli;
pub mod http;
pub mod metrics;
mod serve;
