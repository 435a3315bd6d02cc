//! The embedded store: one SQLite file that holds the state, the inbox and the memory of fixes.
//!
//! One process may write while others read or wait for their turn to write. What was confirmed survives a kill and a power
//! cut; what was not confirmed happened entirely or not at all.

mod database;
mod error;
mod open;
mod query;
mod schema;
mod state;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::ports::{Clock, PortResult};

use super::inbox::LocalInbox;
use super::memory::LocalMemory;

pub(crate) use database::{Database, Task};
pub(crate) use error::Problem;
pub use error::StoreError;
pub use state::LocalState;

/// The name of the state file in its folder.
pub const FILE_NAME: &str = "codehealer.db";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads and writes; makes the file where there is none.
    Write,
    /// Reads only, also from a disk that is read-only.
    Read,
}

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    pub access: Access,
    /// How long to wait for another process that is writing.
    pub busy_timeout: Duration,
    /// The file may not grow beyond this many pages of 4,096 bytes; `None` for as large as the disk allows.
    pub max_pages: Option<u32>,
    /// What expiry, tokens and visibility go by.
    pub clock: Arc<dyn Clock>,
}

impl Options {
    /// Reads and writes, waits up to five seconds, no size limit.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { access: Access::Write, busy_timeout: Duration::from_secs(5), max_pages: None, clock }
    }
}

/// An open store. Its handles share it; the file is closed when the last of them is gone.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    memory: LocalMemory,
}

impl Store {
    /// Opens the file, or makes it. Blocks while it does.
    ///
    /// # Errors
    /// `Denied` when the file or disk cannot be read or written, `Missing` when it is to be read and is not there,
    /// `Malformed` when it is damaged, from a newer version or another program's, `Unavailable` when it is locked or the
    /// disk is full. The chain of causes names the remedy.
    pub fn open(path: &Path, options: Options) -> PortResult<Self> {
        Ok(Self::over(Database::open(path, options)?))
    }

    /// An empty store that is gone with its last handle. Of the options only the clock counts.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn in_memory(options: Options) -> PortResult<Self> {
        Ok(Self::over(Database::in_memory(options)?))
    }

    /// A store in memory that begins with what the file holds now, for trying things out. The file stays as it is; where
    /// there is none the store is empty.
    ///
    /// # Errors
    /// As [`Store::open`] for reading.
    pub fn snapshot_in_memory(path: &Path, options: Options) -> PortResult<Self> {
        Ok(Self::over(Database::copy_in_memory(path, options)?))
    }

    fn over(database: Database) -> Self {
        let database = Arc::new(database);
        Self { memory: LocalMemory::new(Arc::clone(&database)), database }
    }

    /// Reads the whole file and checks that its structure is sound.
    ///
    /// # Errors
    /// `Malformed` when it is not; the chain of causes names the remedy.
    pub async fn check(&self) -> PortResult<()> {
        self.database.read(Task::new("state", "check the store"), |connection, _| open::check(connection)).await
    }

    #[must_use]
    pub fn state(&self) -> LocalState {
        LocalState::new(Arc::clone(&self.database))
    }

    #[must_use]
    pub fn inbox(&self) -> LocalInbox {
        LocalInbox::new(Arc::clone(&self.database))
    }

    #[must_use]
    pub fn memory(&self) -> LocalMemory {
        self.memory.clone()
    }
}
