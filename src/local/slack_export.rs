//! The team's chat as a folder in Slack's own export format: `users.json`, `channels.json`, a folder a channel with a file a day.

mod format;
mod markup;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::model::{AuthorKind, Message, MessageAuthor, Thread, UnixMillis};
use crate::ports::{ErrorKind, PortError, PortResult, TeamKnowledge, TeamQuery};
use format::{RawChannel, RawMessage, RawUser};

/// Largest file of an export that is read, bytes.
const FILE_LIMIT: u64 = 64 * 1024 * 1024;

/// What the operator says about an export.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    pub path: PathBuf,
    pub organisation: String,
    /// Names of the channels whose answers may open a pull request; empty means every public one.
    pub channels: Vec<String>,
    /// Reactions by which a member confirms an answer.
    pub confirm: Vec<String>,
    /// Address of the workspace, for permalinks.
    pub workspace: Option<String>,
}

/// An export, read once.
pub struct SlackExport {
    organisation: String,
    threads: Arc<Vec<Searchable>>,
}

struct Searchable {
    thread: Thread,
    /// All text, lower case.
    text: String,
}

impl SlackExport {
    /// Reads the whole export.
    ///
    /// # Errors
    /// Names the file that is missing or cannot be understood, and what to do about it.
    pub fn open(options: &ExportOptions) -> PortResult<Self> {
        let users: Vec<RawUser> = read(&options.path.join("users.json"))?;
        let users: BTreeMap<String, MessageAuthor> =
            users.into_iter().map(|user| (user.id.clone(), user.into())).collect();
        let mut channels: Vec<(RawChannel, bool)> = Vec::new();
        for (file, private) in [("channels.json", false), ("groups.json", true)] {
            let path = options.path.join(file);
            if private && !path.exists() {
                continue;
            }
            channels.extend(read::<Vec<RawChannel>>(&path)?.into_iter().map(|channel| (channel, private)));
        }
        let mut threads = Vec::new();
        for (channel, private) in channels {
            let messages = read_channel(&options.path, &channel)?;
            let context = Channel { name: channel.name, id: channel.id, private, options, users: &users };
            threads.extend(context.threads(messages));
        }
        Ok(Self { organisation: options.organisation.clone(), threads: Arc::new(threads) })
    }

    /// How many threads the export holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.threads.len()
    }

    /// Whether the export holds no thread.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }
}

#[async_trait]
impl TeamKnowledge for SlackExport {
    async fn search(&self, query: &TeamQuery) -> PortResult<Vec<Thread>> {
        if query.organisation != self.organisation {
            return Ok(Vec::new());
        }
        let terms: Vec<String> = query.terms.iter().map(|term| term.to_lowercase()).collect();
        let mut hits: Vec<(u64, &Searchable)> = self
            .threads
            .iter()
            .filter(|s| query.private || !s.thread.private)
            .filter_map(|s| score(&terms, &s.text).map(|score| (score, s)))
            .collect();
        let newest = |s: &Searchable| s.thread.messages.first().map_or(0, |m| m.at);
        hits.sort_by(|(a, left), (b, right)| b.cmp(a).then_with(|| newest(right).cmp(&newest(left))));
        Ok(hits.into_iter().take(query.limit).map(|(_, s)| s.thread.clone()).collect())
    }
}

/// The terms found, earlier (more telling) ones counting more; `None` when there is none.
fn score(terms: &[String], text: &str) -> Option<u64> {
    let weight = |rank: usize| (terms.len() - rank) as u64;
    let score: u64 = terms.iter().enumerate().filter(|(_, t)| text.contains(*t)).map(|(rank, _)| weight(rank)).sum();
    (score > 0).then_some(score)
}

fn broken(path: &Path, what: &str) -> PortError {
    let attempted = format!("read {}: {what}; export the workspace again, or leave the file out", path.display());
    PortError::new("team knowledge", attempted, ErrorKind::Malformed)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> PortResult<T> {
    let meta = std::fs::metadata(path).map_err(|e| broken(path, "there is no such file").caused_by(e))?;
    if !meta.is_file() || meta.len() > FILE_LIMIT {
        return Err(broken(path, "it is not a file of at most 64 MB"));
    }
    let bytes = std::fs::read(path).map_err(|e| broken(path, "it cannot be read").caused_by(e))?;
    serde_json::from_slice(&bytes).map_err(|e| broken(path, "it is not what Slack exports").caused_by(e))
}

/// The messages of a channel, day after day.
fn read_channel(root: &Path, channel: &RawChannel) -> PortResult<Vec<RawMessage>> {
    let name = Path::new(&channel.name);
    if name.components().count() != 1 || channel.name.starts_with('.') {
        return Err(broken(&root.join("channels.json"), "it has a channel with a name that is none"));
    }
    let folder = root.join(name);
    // Slack leaves out the folder of a channel in which nothing was said.
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut days: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    days.sort();
    let mut messages = Vec::new();
    for day in days {
        messages.extend(read::<Vec<RawMessage>>(&day)?);
    }
    Ok(messages)
}

struct Channel<'a> {
    name: String,
    id: String,
    private: bool,
    options: &'a ExportOptions,
    users: &'a BTreeMap<String, MessageAuthor>,
}

impl Channel<'_> {
    /// Groups messages by thread; a message without replies is a thread of one.
    fn threads(&self, messages: Vec<RawMessage>) -> Vec<Searchable> {
        let mut by_root: BTreeMap<String, Vec<RawMessage>> = BTreeMap::new();
        for message in messages {
            let root = message.thread_ts.clone().unwrap_or_else(|| message.ts.clone());
            by_root.entry(root).or_default().push(message);
        }
        by_root.into_iter().map(|(root, messages)| self.thread(&root, messages)).collect()
    }

    fn thread(&self, root: &str, mut messages: Vec<RawMessage>) -> Searchable {
        messages.sort_by_key(|message| format::millis(&message.ts));
        let configured = &self.options.channels;
        let channel_configured = if configured.is_empty() { !self.private } else { configured.contains(&self.name) };
        let thread = Thread {
            channel: self.name.clone(),
            channel_configured,
            private: self.private,
            permalink: self.permalink(root),
            messages: messages.into_iter().map(|message| self.message(message)).collect(),
        };
        let text: Vec<String> = thread.messages.iter().map(|message| message.text.to_lowercase()).collect();
        Searchable { text: text.join("\n"), thread }
    }

    fn message(&self, raw: RawMessage) -> Message {
        let author = self.author(&raw);
        let confirmed = self.is_confirmed(&raw, &author);
        let text = markup::plain(&raw.text, self.users);
        Message {
            at: format::millis(&raw.ts),
            permalink: self.permalink(&raw.ts),
            pull_requests: markup::pull_requests(&text),
            confirmed,
            author,
            text,
        }
    }

    fn author(&self, raw: &RawMessage) -> MessageAuthor {
        let id = raw.user.clone().or_else(|| raw.bot_id.clone()).unwrap_or_default();
        let is_bot = raw.bot_id.is_some() || raw.subtype.as_deref() == Some("bot_message");
        match self.users.get(&id) {
            Some(user) if is_bot => MessageAuthor { kind: AuthorKind::Bot, ..user.clone() },
            Some(user) => user.clone(),
            None => {
                let kind = if is_bot { AuthorKind::Bot } else { AuthorKind::Unknown };
                MessageAuthor { name: id.clone(), id, kind }
            }
        }
    }

    /// A reaction counts when it is one of the configured ones and by a full member who is not the author.
    fn is_confirmed(&self, raw: &RawMessage, author: &MessageAuthor) -> bool {
        let by_member =
            |id: &String| *id != author.id && self.users.get(id).is_some_and(|user| user.kind == AuthorKind::Member);
        raw.reactions
            .iter()
            .filter(|reaction| self.options.confirm.iter().any(|name| *name == reaction.base_name()))
            .any(|reaction| reaction.users.iter().any(by_member))
    }

    fn permalink(&self, ts: &str) -> String {
        let base = self.options.workspace.as_deref().unwrap_or("https://slack.com").trim_end_matches('/');
        let digits: String = ts.chars().filter(char::is_ascii_digit).collect();
        format!("{base}/archives/{}/p{digits}", self.id)
    }
}

/// The latest time in an export, for `doctor`.
impl SlackExport {
    #[must_use]
    pub fn newest(&self) -> Option<UnixMillis> {
        self.threads.iter().flat_map(|s| s.thread.messages.iter().map(|m| m.at)).max()
    }
}

#[cfg(test)]
mod tests;
