//! How the product is started: the command line, the local server, AWS Lambda.

pub mod answer;
pub mod body;
pub mod cli;
pub mod http;
pub mod lambda;
pub mod metrics;
mod serve;
