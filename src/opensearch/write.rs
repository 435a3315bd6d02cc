//! Storing and removing fixes.
//!
//! Every write has a version: the writer's clock in milliseconds, or one more than what it found in its way. A request that was
//! held up on its way therefore never undoes what was written after it, and repeating one changes nothing. Where clocks of
//! two writers differ, the one that is called later still wins, since it sees the other's version and goes beyond it.

use opensearch::http::Method;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::connection::Answer;
use super::document::{self, key};
use super::error::{Refusal, not_understood};
use super::memory::{OpenSearchMemory, conflict, is_missing};
use crate::model::{FixId, PastFix};
use crate::ports::{ErrorKind, PortError, PortResult};

/// Times that a write goes beyond a version in its way before it gives up.
const TRIES: usize = 16;
/// Documents and bytes of one bulk request.
const BULK_FIXES: usize = 200;
const BULK_BYTES: usize = 4 * 1024 * 1024;

#[derive(Deserialize)]
struct Done {
    result: String,
}

#[derive(Deserialize)]
struct Written {
    #[serde(rename = "_source")]
    source: Option<Token>,
}

#[derive(Deserialize)]
struct Token {
    write: String,
}

#[derive(Deserialize)]
struct Bulk {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: ItemDone,
}

#[derive(Deserialize)]
struct ItemDone {
    status: u16,
    error: Option<super::error::Detail>,
}

impl OpenSearchMemory {
    pub(super) async fn put(&self, fix: &PastFix) -> PortResult<()> {
        let attempted = format!("remember fix {}", fix.id);
        let token = Uuid::new_v4().to_string();
        let body = document::encode(&attempted, fix, self.dimensions, &token)?.into_bytes();
        self.ensure_index().await?;
        // Also when it fails: it may have happened.
        self.recent.note(fix, self.clock.now());
        let path = format!("_doc/{}", key(&fix.id));
        let stored = match self.beyond(&attempted, (Method::Put, path), Some(body)).await {
            Ok(answer) => done(&attempted, &answer, &["created", "updated"]),
            Err(error) => Err(error),
        };
        match stored {
            Err(error) if is_ambiguous(&error) => match self.last_write(&fix.id).await {
                Ok(Some(found)) if found == token => Ok(()),
                _ => Err(error),
            },
            stored => stored,
        }
    }

    pub(super) async fn create(&self, fix: &PastFix) -> PortResult<bool> {
        const ATTEMPTED: &str = "remember a new fix";
        let token = Uuid::new_v4().to_string();
        let body = document::encode(ATTEMPTED, fix, self.dimensions, &token)?.into_bytes();
        self.ensure_index().await?;
        self.recent.note(fix, self.clock.now());
        let to = (Method::Put, format!("_create/{}", key(&fix.id)));
        let stored = match self.ask(ATTEMPTED, to, Vec::new(), Some(body)).await {
            Ok(answer) if answer.status == 409 => return Ok(false),
            Ok(answer) => done(ATTEMPTED, &answer, &["created"]),
            Err(error) => Err(error),
        };
        match stored {
            Ok(()) => Ok(true),
            Err(error) if is_ambiguous(&error) => match self.last_write(&fix.id).await {
                Ok(Some(found)) => Ok(found == token),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    pub(super) async fn delete(&self, id: &FixId) -> PortResult<bool> {
        let attempted = format!("forget fix {id}");
        // Deleting in an index that does not exist would make it.
        if !self.inspect().await? {
            return Ok(false);
        }
        let removed = match self.beyond(&attempted, (Method::Delete, format!("_doc/{}", key(id))), None).await {
            Ok(answer) if answer.status == 404 && was_missing(&answer) => return Ok(false),
            Ok(answer) => done(&attempted, &answer, &["deleted"]),
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => Ok(true),
            // Who removed it cannot be told; it is gone.
            Err(error) if is_ambiguous(&error) => match self.last_write(id).await {
                Ok(None) => Ok(true),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Stores many fixes at once, each as [`crate::ports::FixMemory::remember`] does: for imports.
    ///
    /// # Errors
    /// When one cannot be stored; those before it are. Storing them again changes nothing.
    pub async fn remember_all(&self, fixes: &[PastFix]) -> PortResult<()> {
        self.ensure_index().await?;
        let mut rest = fixes;
        while !rest.is_empty() {
            let mut body = String::new();
            let version = self.clock.now().max(1);
            let mut count = 0;
            for fix in rest.iter().take(BULK_FIXES) {
                let attempted = format!("remember fix {}", fix.id);
                let action = json!({"_id": key(&fix.id), "version": version, "version_type": "external"});
                let document = document::encode(&attempted, fix, self.dimensions, &Uuid::new_v4().to_string())?;
                body.push_str(&format!("{}\n{document}\n", json!({ "index": action })));
                count += 1;
                if body.len() > BULK_BYTES {
                    break;
                }
            }
            let (now, later) = rest.split_at(count);
            self.bulk(now, body).await?;
            rest = later;
        }
        Ok(())
    }

    async fn bulk(&self, fixes: &[PastFix], body: String) -> PortResult<()> {
        const ATTEMPTED: &str = "remember many fixes";
        let to = (Method::Post, "_bulk".to_owned());
        let answer = self.ask(ATTEMPTED, to, Vec::new(), Some(body.into_bytes())).await?;
        let answer: Bulk = answer.json(ATTEMPTED)?;
        if answer.items.len() != fixes.len() {
            return Err(not_understood(ATTEMPTED, "an answer to other fixes than were sent"));
        }
        for (fix, item) in fixes.iter().zip(answer.items) {
            match item.index {
                ItemDone { status: 200..300, .. } => self.recent.note(fix, self.clock.now()),
                // A version in its way, or too much at once: alone it is waited for and told apart.
                ItemDone { status, error: Some(_) } if status != 0 => self.put(fix).await?,
                ItemDone { .. } => return Err(not_understood(ATTEMPTED, "a fix was neither stored nor refused")),
            }
        }
        Ok(())
    }

    /// Sends a write with a version beyond whatever is there.
    async fn beyond(
        &self,
        attempted: &str,
        (method, path): (Method, String),
        body: Option<Vec<u8>>,
    ) -> PortResult<Answer> {
        let mut version = self.clock.now().max(1);
        for _ in 0..TRIES {
            let query = vec![("version", version.to_string()), ("version_type", "external".to_owned())];
            let answer = self.ask(attempted, (method, path.clone()), query, body.clone()).await?;
            if answer.status != 409 {
                return Ok(answer);
            }
            let Some(there) = Refusal::read(&answer.body).version_in_the_way() else { break };
            version = there.saturating_add(1);
        }
        Err(conflict(attempted))
    }

    /// Name of the write that made the document as it is now; `None` when there is no document.
    async fn last_write(&self, id: &FixId) -> PortResult<Option<String>> {
        const ATTEMPTED: &str = "read back what was stored";
        let only = vec![("_source_includes", "write".to_owned())];
        let answer = self.ask(ATTEMPTED, (Method::Get, format!("_doc/{}", key(id))), only, None).await?;
        if is_missing(&answer) {
            return Ok(None);
        }
        Ok(answer.json::<Written>(ATTEMPTED)?.source.map(|source| source.write))
    }
}

/// Whether a write that failed like this may have happened.
fn is_ambiguous(error: &PortError) -> bool {
    matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Malformed)
}

fn done(attempted: &str, answer: &Answer, expected: &[&str]) -> PortResult<()> {
    let Done { result } = answer.json(attempted)?;
    if expected.contains(&result.as_str()) {
        return Ok(());
    }
    Err(not_understood(attempted, "an answer that does not say what was done"))
}

/// A deletion of what was not there is answered with 404, and so is a path that nobody knows.
fn was_missing(answer: &Answer) -> bool {
    serde_json::from_slice::<Done>(&answer.body).is_ok_and(|done| done.result == "not_found")
        || Refusal::read(&answer.body).is("index_not_found_exception")
}
