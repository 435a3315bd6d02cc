//! What GitHub sends: verified as bytes, then parsed once into a closed enum, then held against the allow-list. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod event;
mod form;
mod reception;
mod signature;

pub use event::{CommentEvent, Event, EventError, Origin, PullRequestEvent, PushEvent};
pub use reception::{Reception, Request, WatchList, Watched, receive};
pub use signature::{SignatureError, WebhookSecrets, verify};
