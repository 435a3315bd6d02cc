//! What was said in the channels that a bot is a member of, kept in the state store: Slack does not let bots search.
//!
//! The newest messages are read again at every refresh, because edits, deletions and reactions come later; the rest of the
//! channel is read again bit by bit, from the newest to the oldest and then from the top. Replies are read only of threads
//! that changed, and of those in which somebody spoke lately: Slack does not tell of a reaction to a reply.

mod entry;
mod pass;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::api::{Asked, SlackApi};
use super::directory::{Directory, is_passing};
use super::wire::WireChannel;
use crate::model::{Thread, UnixMillis};
use crate::ports::{Credential, ErrorKind, PortError, PortResult, State, TeamQuery};
use crate::recall::chat::{self, ChatChannel, RawMessage, Reader};
use pass::{Budget, Pass};
use store::{Held, Store};

/// Age at which an index is brought up to date before it answers, milliseconds.
const STALE: u64 = 5 * 60 * 1000;
/// Age up to which an index answers while Slack is away, milliseconds.
const TOLERATED: u64 = 60 * 60 * 1000;
/// How long nobody looks whether another process was here, milliseconds.
const UNLOOKED: u64 = 60 * 1000;

/// Where threads come from: the connection, who is asked for, and what the operator configured.
#[derive(Clone, Copy)]
pub struct Feed<'a> {
    pub api: &'a SlackApi,
    pub token: &'a Credential,
    pub directory: &'a Directory,
    pub confirm: &'a [String],
    /// Channels that are sources of fixes.
    pub named: &'a [String],
}

impl Feed<'_> {
    /// The channels that are indexed.
    pub async fn channels(&self) -> PortResult<Vec<WireChannel>> {
        self.directory.channels(self.api, self.token, self.named).await
    }

    /// Puts a thread together.
    pub async fn read(&self, channel: &WireChannel, root: &str, messages: Vec<RawMessage>) -> Asked<Thread> {
        let workspace = self.api.identity(self.token).await?.url;
        let ids = chat::people(&messages, self.confirm);
        let users = self.directory.people(self.api, self.token, &ids).await?;
        let reader =
            Reader { channel: self.about(channel), users: &users, confirm: self.confirm, workspace: &workspace };
        Ok(reader.thread(root, messages))
    }

    /// With no channel named, every public one is a source.
    pub fn about<'c>(&self, channel: &'c WireChannel) -> ChatChannel<'c> {
        let private = channel.is_private || channel.id.starts_with('G');
        let configured = if self.named.is_empty() { !private } else { channel.is_named(self.named) };
        ChatChannel { id: &channel.id, name: &channel.name, private, configured }
    }
}

/// The index of one organisation's channels, as far as this process has read it.
pub struct Index {
    store: Store,
    channels: Mutex<BTreeMap<String, Held>>,
}

impl Index {
    pub fn new(state: Arc<dyn State>, organisation: &str) -> Self {
        Self { store: Store::new(state, organisation), channels: Mutex::default() }
    }

    /// Answers from the index, brought up to date where it is old.
    pub async fn search(
        &self,
        feed: &Feed<'_>,
        channels: &[WireChannel],
        query: &TeamQuery,
    ) -> PortResult<Vec<Thread>> {
        let mut held = self.channels.lock().await;
        held.retain(|id, _| channels.iter().any(|channel| channel.id == *id));
        for channel in channels {
            let known = self.store.current(&mut held, channel, feed, UNLOOKED).await?;
            let now = feed.api.now();
            if now.saturating_sub(known.head.claimed) < STALE && known.head.refreshed > 0 {
                continue;
            }
            if let Err(error) = self.bring_up(feed, channel, known, Budget::for_an_answer(now)).await {
                tolerable(error, known.head.refreshed, now)?;
            }
        }
        let threads = held.values().flat_map(|known| known.threads.values().map(|entry| &entry.said));
        Ok(chat::search(threads, query.private, &query.terms, query.limit))
    }

    /// Brings every channel up to date. One that cannot be read does not keep the others from it.
    pub async fn refresh(&self, feed: &Feed<'_>, channels: &[WireChannel]) -> PortResult<()> {
        let mut held = self.channels.lock().await;
        let mut first = Ok(());
        for channel in channels {
            let known = self.store.current(&mut held, channel, feed, 0).await?;
            let done = self.bring_up(feed, channel, known, Budget::for_a_round(feed.api.now())).await;
            first = first.and(done);
        }
        first
    }

    /// Claims the channel, reads what is new, and stores it; what was read before a failure is kept.
    async fn bring_up(
        &self,
        feed: &Feed<'_>,
        channel: &WireChannel,
        known: &mut Held,
        budget: Budget,
    ) -> PortResult<()> {
        if !self.store.claim(channel, known, feed.api.now()).await? {
            return Ok(());
        }
        let mut pass = Pass::new(feed, channel, known, budget);
        let read = pass.run().await;
        let changed = pass.into_changed();
        if read.is_ok() {
            known.head.refreshed = feed.api.now();
        }
        self.store.save(channel, known, &changed).await?;
        read.map_err(|failure| failure.port("team knowledge", format!("read the channel #{}", channel.name)))
    }
}

/// An index that is not too old answers while Slack is away; a refusal that somebody has to mend is told.
fn tolerable(error: PortError, refreshed: UnixMillis, now: UnixMillis) -> PortResult<()> {
    let recent = refreshed > 0 && now.saturating_sub(refreshed) < TOLERATED;
    match error.kind {
        ErrorKind::Conflict => Ok(()),
        _ if recent && is_passing(&error.kind) => Ok(()),
        _ => Err(error),
    }
}
