//! Logs: one line an event on standard error, JSON when nobody looks. Never a secret, a body or a payload.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Begins logging. `filter` is in the syntax of `tracing_subscriber::EnvFilter`, for example `info,codehealer=debug`.
/// Libraries that would log addresses with queries in them stay at `warn`.
pub fn begin(filter: Option<&str>, default: &str, colour: bool) {
    let filter = format!("{},hyper=warn,reqwest=warn", filter.unwrap_or(default));
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(default));
    let to_person = std::io::stderr().is_terminal();
    let subscriber = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call, in tests, keeps the first subscriber.
    let _ = if to_person {
        subscriber.with_ansi(colour).with_target(false).compact().try_init()
    } else {
        subscriber.with_ansi(false).json().flatten_event(true).try_init()
    };
}
