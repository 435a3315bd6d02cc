//! The index as items of the state store: one head a channel, one item a thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Feed;
use super::entry::Entry;
use crate::model::{Thread, UnixMillis};
use crate::ports::{ErrorKind, PortError, PortResult, State};
use crate::recall::chat::Searchable;
use crate::slack::wire::WireChannel;
use crate::state::{Condition, Item, Key, Query, QueryOf, Transaction, Write, keys};

/// Items of one page and of one transaction.
const PAGE: usize = 100;
const WRITES: usize = 20;
/// Bytes of one transaction; a store takes 4 MB.
const BYTES: usize = 2 * 1024 * 1024;
/// Threads of one channel that are kept, and bytes of all of them.
pub const THREADS: usize = 3_000;
pub const MEMORY: usize = 16 * 1024 * 1024;

/// How far a channel was read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Head {
    /// Grows with every change: who has this one has all.
    #[serde(default)]
    pub revision: u64,
    /// When somebody last began to read, and when somebody last came to an end.
    #[serde(default)]
    pub claimed: UnixMillis,
    #[serde(default)]
    pub refreshed: UnixMillis,
    /// Where reading the rest of the channel goes on, going back in time; `None` to begin at the top.
    #[serde(default)]
    pub swept: Option<String>,
    /// Nothing before this is kept.
    #[serde(default)]
    pub floor: Option<String>,
    /// When the replies of threads were last read again.
    #[serde(default)]
    pub reread: BTreeMap<String, UnixMillis>,
}

/// A channel as this process holds it.
#[derive(Default)]
pub struct Held {
    pub head: Head,
    /// Whether the store has a head yet.
    stored: bool,
    /// By time stamp of the first message.
    pub threads: BTreeMap<String, Entry>,
    /// When it was last compared with the store.
    looked: UnixMillis,
}

pub struct Store {
    state: Arc<dyn State>,
    organisation: String,
}

impl Store {
    pub fn new(state: Arc<dyn State>, organisation: &str) -> Self {
        Self { state, organisation: organisation.to_owned() }
    }

    /// The channel as it is stored, read again when another process changed it and `unlooked` milliseconds have passed.
    pub async fn current<'h>(
        &self,
        held: &'h mut BTreeMap<String, Held>,
        channel: &WireChannel,
        feed: &Feed<'_>,
        unlooked: u64,
    ) -> PortResult<&'h mut Held> {
        let now = feed.api.now();
        let known = held.entry(channel.id.clone()).or_default();
        if known.looked == 0 || now.saturating_sub(known.looked) >= unlooked {
            let head = self.head(channel).await?;
            if known.looked == 0 || head.as_ref().is_some_and(|head| head.revision != known.head.revision) {
                known.threads = self.threads(channel).await?;
            }
            known.stored = head.is_some();
            known.head = head.unwrap_or_default();
            known.looked = now.max(1);
        }
        let about = feed.about(channel);
        known.threads.values_mut().for_each(|entry| entry.relabel(&about));
        Ok(known)
    }

    async fn head(&self, channel: &WireChannel) -> PortResult<Option<Head>> {
        let Some(item) = self.state.get(&self.head_key(channel)).await? else { return Ok(None) };
        let head = serde_json::from_value(Value::Object(item.fields)).map_err(|e| {
            let what = format!("read how far the channel #{} was read; delete that item to begin again", channel.name);
            PortError::new("team knowledge", what, ErrorKind::Malformed).caused_by(e)
        })?;
        Ok(Some(head))
    }

    async fn threads(&self, channel: &WireChannel) -> PortResult<BTreeMap<String, Entry>> {
        let mut threads = BTreeMap::new();
        let (mut cursor, mut bytes) = (None, 0);
        loop {
            let pk = keys::chat_partition(&self.organisation, &channel.id);
            let of = QueryOf::Partition { pk, prefix: keys::CHAT_THREADS.to_owned() };
            // Newest first: what does not fit into memory is old.
            let page = self.state.query(&Query { of, descending: true, limit: PAGE, cursor }).await?;
            for item in page.items {
                // One that cannot be read is as good as none: it is read from Slack again.
                let Some((root, entry)) = entry_of(&item) else { continue };
                bytes += entry.size;
                threads.insert(root, entry);
            }
            cursor = page.cursor;
            if cursor.is_none() || threads.len() >= THREADS || bytes >= MEMORY {
                return Ok(threads);
            }
        }
    }

    /// Says that this process reads the channel now; false when another one began since we looked.
    pub async fn claim(&self, channel: &WireChannel, known: &mut Held, now: UnixMillis) -> PortResult<bool> {
        let before = known.head.claimed;
        let when = if known.stored { Condition::Equals("claimed", before.into()) } else { Condition::Absent };
        known.head.claimed = now;
        let won = self.write_head(channel, known, when).await;
        if !matches!(won, Ok(true)) {
            known.head.claimed = before;
            known.looked = 0;
        }
        won
    }

    /// Stores the changed threads, then the head: a head that is stored vouches for its threads.
    pub async fn save(&self, channel: &WireChannel, known: &mut Held, changed: &[String]) -> PortResult<()> {
        let (mut writes, mut bytes) = (Vec::new(), 0);
        for root in changed {
            let entry = known.threads.get(root);
            let size = entry.map_or(0, |entry| entry.size);
            if !writes.is_empty() && (writes.len() >= WRITES || bytes + size > BYTES) {
                self.commit(std::mem::take(&mut writes)).await?;
                bytes = 0;
            }
            bytes += size;
            let key = keys::chat_thread(&self.organisation, &channel.id, root);
            writes.push(match entry {
                Some(entry) => Write::Put { item: item_of(key, entry), when: Vec::new() },
                None => Write::Delete { key, when: Vec::new() },
            });
        }
        if !writes.is_empty() {
            self.commit(writes).await?;
        }
        if !changed.is_empty() {
            known.head.revision += 1;
        }
        let claimed = Condition::Equals("claimed", known.head.claimed.into());
        if !self.write_head(channel, known, claimed).await? {
            // Another process took over; what it stored is read again.
            known.looked = 0;
        }
        Ok(())
    }

    async fn write_head(&self, channel: &WireChannel, known: &mut Held, when: Condition) -> PortResult<bool> {
        let Ok(Value::Object(fields)) = serde_json::to_value(&known.head) else { return Ok(false) };
        let item = Item { key: self.head_key(channel), fields, indexes: Vec::new(), expires: None };
        match self.commit(vec![Write::Put { item, when: vec![when] }]).await {
            Ok(()) => {
                known.stored = true;
                Ok(true)
            }
            Err(error) if error.kind == ErrorKind::Conflict => Ok(false),
            Err(error) => {
                // Whether it was written is not known.
                known.looked = 0;
                Err(error)
            }
        }
    }

    async fn commit(&self, writes: Vec<Write>) -> PortResult<()> {
        self.state.commit(&Transaction { writes, token: None }).await
    }

    fn head_key(&self, channel: &WireChannel) -> Key {
        keys::chat_head(&self.organisation, &channel.id)
    }
}

fn item_of(key: Key, entry: &Entry) -> Item {
    let mut fields = Map::new();
    // As text: a store charges for every level of an object.
    fields.insert("thread".to_owned(), serde_json::to_string(entry.thread()).unwrap_or_default().into());
    fields.insert("mark".to_owned(), entry.mark.clone().into());
    fields.insert("has_replies".to_owned(), entry.has_replies.into());
    Item { key, fields, indexes: Vec::new(), expires: None }
}

fn entry_of(item: &Item) -> Option<(String, Entry)> {
    let text = item.fields.get("thread")?.as_str()?;
    let thread: Thread = serde_json::from_str(text).ok()?;
    let root = item.key.sk.strip_prefix(keys::CHAT_THREADS)?.to_owned();
    let mark = item.fields.get("mark").and_then(Value::as_str).unwrap_or_default().to_owned();
    let has_replies = item.fields.get("has_replies").and_then(Value::as_bool).unwrap_or(false);
    Some((root, Entry { said: Searchable::from(thread), mark, has_replies, size: text.len() }))
}
