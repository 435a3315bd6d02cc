//! The team's chat as a folder in Slack's own export format: `users.json`, `channels.json`, a folder a channel with a file a day.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use crate::model::{MessageAuthor, Thread, UnixMillis};
use crate::ports::{ErrorKind, PortError, PortResult, TeamKnowledge, TeamQuery};
use crate::recall::chat::{self, ChatChannel, RawMessage, RawUser, Reader, Searchable};

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

#[derive(Deserialize)]
struct RawChannel {
    #[serde(default)]
    id: String,
    name: String,
}

/// An export, read once.
pub struct SlackExport {
    organisation: String,
    threads: Arc<Vec<Searchable>>,
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
            let configured = match options.channels.as_slice() {
                [] => !private,
                named => named.contains(&channel.name),
            };
            let reader = Reader {
                channel: ChatChannel { id: &channel.id, name: &channel.name, private, configured },
                users: &users,
                confirm: &options.confirm,
                workspace: options.workspace.as_deref().unwrap_or("https://slack.com"),
            };
            threads.extend(conversations(&reader, messages));
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
        Ok(chat::search(self.threads.iter(), query.private, &query.terms, query.limit))
    }
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

/// Groups messages by thread; a message without replies is a thread of one.
fn conversations(reader: &Reader<'_>, messages: Vec<RawMessage>) -> Vec<Searchable> {
    let mut by_root: BTreeMap<String, Vec<RawMessage>> = BTreeMap::new();
    for message in messages {
        by_root.entry(message.root().to_owned()).or_default().push(message);
    }
    let threads = by_root.into_iter().map(|(root, messages)| reader.thread(&root, messages));
    threads.filter(|thread| !thread.messages.is_empty()).map(Searchable::from).collect()
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
