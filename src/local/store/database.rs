//! The connections to one file, and how asynchronous code gets at them without blocking.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::UnixMillis;
use crate::ports::{Clock, PortResult};

use super::error::Problem;
use super::{Options, open};

/// Reads that may go on at the same time.
const READERS: usize = 4;

/// Which port is at work and what it tries; the head of every error.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub port: &'static str,
    pub attempted: String,
}

impl Task {
    pub fn new(port: &'static str, attempted: impl Into<String>) -> Self {
        Self { port, attempted: attempted.into() }
    }
}

/// One writing connection and a few for reading. A store in memory has the one only.
pub(crate) struct Database {
    /// Closed before the writer, which as the last one folds the log into the file.
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Connection>,
    file: Option<PathBuf>,
    busy_timeout: Duration,
    clock: Arc<dyn Clock>,
    reading: Arc<Semaphore>,
    writing: Arc<Semaphore>,
    _presence: Option<std::fs::File>,
}

impl Database {
    pub fn open(path: &Path, options: Options) -> PortResult<Self> {
        // Further connections are opened later, wherever the process stands then.
        let file = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let opened = open::open(&file, &options).map_err(|e| e.of("state", "open the store", Some(&file)))?;
        let mut database = Self::over(opened.connection, Some(file), options);
        database._presence = opened.presence;
        Ok(database)
    }

    pub fn in_memory(options: Options) -> PortResult<Self> {
        let connection = open::in_memory().map_err(|e| e.of("state", "make a store in memory", None))?;
        Ok(Self::over(connection, None, options))
    }

    pub fn copy_in_memory(path: &Path, options: Options) -> PortResult<Self> {
        let connection = open::copy_in_memory(path, options.busy_timeout);
        let connection = connection.map_err(|e| e.of("state", "copy the store", Some(&path.to_owned())))?;
        Ok(Self::over(connection, None, options))
    }

    fn over(writer: Connection, file: Option<PathBuf>, options: Options) -> Self {
        Self {
            readers: Mutex::new(Vec::new()),
            writer: Mutex::new(writer),
            file,
            busy_timeout: options.busy_timeout,
            clock: options.clock,
            reading: Arc::new(Semaphore::new(READERS)),
            writing: Arc::new(Semaphore::new(1)),
            _presence: None,
        }
    }

    /// `None` for a store in memory.
    pub fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// Runs `work` in a transaction that sees one state of the store.
    ///
    /// # Errors
    /// Those of `work`, and what keeps the store from being read.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        task: Task,
        work: impl FnOnce(&Connection, UnixMillis) -> Result<T, Problem> + Send + 'static,
    ) -> PortResult<T> {
        if self.file.is_none() {
            return self.write(task, work).await;
        }
        self.run(&self.reading, task, |database| {
            let mut connection = database.reader()?;
            let transaction = connection.transaction()?;
            let answer = work(&transaction, database.clock.now())?;
            transaction.commit()?;
            lock(&database.readers).push(connection);
            Ok(answer)
        })
        .await
    }

    /// Runs `work` in a transaction, alone among all writers of all processes; an error undoes what it did.
    ///
    /// # Errors
    /// Those of `work`, and what keeps the store from being written.
    pub async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        task: Task,
        work: impl FnOnce(&Connection, UnixMillis) -> Result<T, Problem> + Send + 'static,
    ) -> PortResult<T> {
        self.run(&self.writing, task, |database| {
            let mut connection = lock(&database.writer);
            let transaction: Transaction<'_> = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // Asked for when our turn has come, so that later commits never carry earlier times.
            let answer = work(&transaction, database.clock.now())?;
            transaction.commit()?;
            Ok(answer)
        })
        .await
    }

    /// Runs `work` on a thread that may block. It goes on to its end even when nobody waits for it any more.
    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        turns: &Arc<Semaphore>,
        task: Task,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> PortResult<T> {
        let turn = Arc::clone(turns).acquire_owned().await;
        let database = Arc::clone(self);
        let blocking = move || {
            let _turn: OwnedSemaphorePermit = turn.map_err(|_| Problem::BrokenOff)?;
            work(&database)
        };
        let answer = tokio::task::spawn_blocking(blocking).await.unwrap_or(Err(Problem::BrokenOff));
        answer.map_err(|problem| problem.of(task.port, task.attempted, self.file.as_ref()))
    }

    fn reader(&self) -> Result<Connection, Problem> {
        let idle = lock(&self.readers).pop();
        match (idle, &self.file) {
            (Some(connection), _) => Ok(connection),
            (None, Some(file)) => open::reader(file, self.busy_timeout),
            (None, None) => Err(Problem::Missing),
        }
    }
}

/// A panic while the lock was held rolled the transaction back, so the connection is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
