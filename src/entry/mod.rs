//! How the product is started: the command line, the local server.

pub mod cli;
pub mod http;
mod metrics;
mod serve;
