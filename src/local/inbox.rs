//! The durable queue in the state file.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, params};

use crate::model::UnixMillis;
use crate::ports::{Aside, Buried, Depth, Inbox, PortResult, Taken};

use super::store::{Database, Problem, Task};

/// Bytes of one message; what SQS takes.
pub const MESSAGE_BYTES: usize = 1024 * 1024;

/// The queue in the embedded file.
#[derive(Clone)]
pub struct LocalInbox {
    database: Arc<Database>,
}

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("a message has 1 to {MESSAGE_BYTES} bytes and this one has {0}: store the details and enqueue their key")]
    Size(usize),
    #[error("{0:?} is not a receipt of this queue")]
    Receipt(String),
}

impl LocalInbox {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Counts the messages.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn depth(&self) -> PortResult<Depth> {
        self.database
            .read(task("count the messages"), |connection, now| {
                let sql = "SELECT count(*) FILTER (WHERE buried IS NULL AND visible <= ?1),
                              count(*) FILTER (WHERE buried IS NULL AND visible > ?1),
                              count(*) FILTER (WHERE buried IS NOT NULL) FROM messages";
                let count = |row: &rusqlite::Row<'_>, n| row.get::<_, i64>(n).map(i64::unsigned_abs);
                Ok(connection.query_row(sql, [stamp(now)], |row| {
                    Ok(Depth { ready: count(row, 0)?, hidden: count(row, 1)?, buried: count(row, 2)? })
                })?)
            })
            .await
    }

    /// The messages that were put aside, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn buried(&self, limit: usize) -> PortResult<Vec<Buried>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database
            .read(task("list the buried messages"), move |connection, _| {
                let sql = "SELECT n, attempts, body, buried FROM messages WHERE buried IS NOT NULL ORDER BY n LIMIT ?1";
                let rows = connection
                    .prepare_cached(sql)?
                    .query_map([limit], |row| {
                        let attempts = row.get(1)?;
                        let receipt = Receipt { n: row.get(0)?, attempts }.to_string();
                        Ok(Buried { receipt, attempts, body: row.get(2)?, reason: row.get(3)? })
                    })?
                    .collect::<Result<_, _>>()?;
                Ok(rows)
            })
            .await
    }

    /// Gives a buried message another chance, its attempts counted from the start. False when it is not there, or when a
    /// message with its dedupe key has come since.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn redrive(&self, receipt: &str) -> PortResult<bool> {
        let receipt = self.receipt("redrive a message", receipt)?;
        self.database
            .write(task("redrive a message"), move |connection, now| Ok(unearth(connection, receipt.n, now)? == 1))
            .await
    }

    fn receipt(&self, attempted: &str, text: &str) -> PortResult<Receipt> {
        let refused = || Problem::refused(Refused::Receipt(text.to_owned()));
        Receipt::parse(text).ok_or_else(|| refused().of("inbox", attempted, self.database.file()))
    }
}

#[async_trait]
impl Inbox for LocalInbox {
    async fn enqueue(&self, body: &str, dedupe: Option<&str>, delay: Duration) -> PortResult<()> {
        let (body, dedupe) = (body.to_owned(), dedupe.map(str::to_owned));
        self.database
            .write(task("enqueue a message"), move |connection, now| {
                if body.is_empty() || body.len() > MESSAGE_BYTES {
                    return Err(Problem::refused(Refused::Size(body.len())));
                }
                connection
                    .prepare_cached("INSERT OR IGNORE INTO messages (body, dedupe, visible) VALUES (?1, ?2, ?3)")?
                    .execute(params![body, dedupe, later(now, delay)])?;
                Ok(())
            })
            .await
    }

    async fn take(&self, limit: usize, visibility: Duration) -> PortResult<Vec<Taken>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // Looking first keeps an idle worker from writing.
        let waiting =
            self.database.read(task("look for messages"), |connection, now| Ok(ready(connection, now, 1)?.len()));
        if limit == 0 || waiting.await? == 0 {
            return Ok(Vec::new());
        }
        self.database
            .write(task("take messages"), move |connection, now| {
                let mut hide =
                    connection.prepare_cached("UPDATE messages SET visible = ?2, attempts = ?3 WHERE n = ?1")?;
                let mut taken = Vec::new();
                for (n, attempts, body) in ready(connection, now, limit)? {
                    let attempts = attempts.saturating_add(1);
                    hide.execute((n, later(now, visibility), attempts))?;
                    taken.push(Taken { receipt: Receipt { n, attempts }.to_string(), body, attempts });
                }
                Ok(taken)
            })
            .await
    }

    async fn done(&self, receipt: &str) -> PortResult<()> {
        let receipt = self.receipt("finish a message", receipt)?;
        self.database
            .write(task("finish a message"), move |connection, _| {
                connection
                    .prepare_cached("DELETE FROM messages WHERE n = ?1 AND attempts = ?2 AND buried IS NULL")?
                    .execute((receipt.n, receipt.attempts))?;
                Ok(())
            })
            .await
    }

    async fn retry(&self, receipt: &str, delay: Duration) -> PortResult<()> {
        let receipt = self.receipt("give a message back", receipt)?;
        self.database
            .write(task("give a message back"), move |connection, now| {
                connection
                    .prepare_cached(
                        "UPDATE messages SET visible = ?3 WHERE n = ?1 AND attempts = ?2 AND buried IS NULL",
                    )?
                    .execute((receipt.n, receipt.attempts, later(now, delay)))?;
                Ok(())
            })
            .await
    }

    async fn bury(&self, receipt: &str, reason: &str) -> PortResult<()> {
        let receipt = self.receipt("bury a message", receipt)?;
        let reason = reason.to_owned();
        self.database
            .write(task("bury a message"), move |connection, _| {
                connection
                    .prepare_cached(
                        "UPDATE messages SET buried = ?3 WHERE n = ?1 AND attempts = ?2 AND buried IS NULL",
                    )?
                    .execute((receipt.n, receipt.attempts, reason))?;
                Ok(())
            })
            .await
    }
}

#[async_trait]
impl Aside for LocalInbox {
    async fn buried(&self, limit: usize) -> PortResult<Vec<Buried>> {
        Self::buried(self, limit).await
    }

    /// One whose like has come since stays where it is: its work is done by the other.
    async fn redrive(&self, limit: usize) -> PortResult<u64> {
        self.database
            .write(task("redrive messages"), move |connection, now| {
                let sql = "SELECT n FROM messages WHERE buried IS NOT NULL ORDER BY n";
                let numbers: Vec<i64> =
                    connection.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
                let mut count = 0;
                for n in numbers {
                    if count == limit {
                        break;
                    }
                    count += unearth(connection, n, now)?;
                }
                Ok(u64::try_from(count).unwrap_or(u64::MAX))
            })
            .await
    }

    async fn depth(&self) -> PortResult<Depth> {
        Self::depth(self).await
    }
}

/// Lets a buried message be taken again, its attempts counted from the start, unless its like has come since. How many were.
fn unearth(connection: &Connection, n: i64, now: UnixMillis) -> Result<usize, Problem> {
    let sql = "UPDATE OR IGNORE messages SET buried = NULL, attempts = 0, visible = ?2
               WHERE n = ?1 AND buried IS NOT NULL";
    Ok(connection.prepare_cached(sql)?.execute((n, stamp(now)))?)
}

/// One taking of one message. Taken again it has more attempts, and the receipt of before is void.
struct Receipt {
    n: i64,
    attempts: u32,
}

impl Receipt {
    fn parse(text: &str) -> Option<Self> {
        let (n, attempts) = text.split_once('-')?;
        Some(Self { n: n.parse().ok()?, attempts: attempts.parse().ok()? })
    }
}

impl std::fmt::Display for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.n, self.attempts)
    }
}

/// Number, attempts and body of messages that can be taken, those first that wait the longest.
fn ready(connection: &Connection, now: UnixMillis, limit: i64) -> Result<Vec<(i64, u32, String)>, Problem> {
    let sql =
        "SELECT n, attempts, body FROM messages WHERE buried IS NULL AND visible <= ?1 ORDER BY visible, n LIMIT ?2";
    let rows = connection
        .prepare_cached(sql)?
        .query_map((stamp(now), limit), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    Ok(rows)
}

fn task(attempted: &'static str) -> Task {
    Task::new("inbox", attempted)
}

fn stamp(now: UnixMillis) -> i64 {
    i64::try_from(now).unwrap_or(i64::MAX)
}

fn later(now: UnixMillis, wait: Duration) -> i64 {
    stamp(now).saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}
