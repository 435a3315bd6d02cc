//! Slack as the team's memory and as the place where people are told.
//!
//! A user's token searches the workspace; a bot's token cannot, so an index of the configured channels is kept in the state
//! store. What people wrote is hostile data on the way in, and what we write is escaped on the way out.

mod api;
mod blocks;
mod check;
mod connector;
mod directory;
mod error;
mod history;
mod index;
mod live;
mod mrkdwn;
mod notifier;
mod team;
mod wire;

pub use api::{ConnectionOptions, SLACK_URL, SlackApi};
pub use blocks::Rendered;
pub use notifier::{NoticeOptions, SlackNotifier};
pub use team::{SlackTeam, TeamOptions};
