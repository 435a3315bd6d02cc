//! Opening the state file: whose it is, whether it is sound, and how SQLite is to treat it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::error::Problem;
use super::schema;
use super::{Access, Options};

/// The writing connection, and the mark that the file is in use.
pub(super) struct Opened {
    pub connection: Connection,
    /// Locked as long as we have the file open; see [`Presence`].
    pub presence: Option<File>,
}

/// Opens or creates the file as `options` say. Waits for other processes for as long as the options allow.
///
/// SQLite's own waiting does not cover the switch to the write-ahead log, nor the moment in which the last user removes it: there it
/// answers "locked" at once. What was done by then is harmless to do again.
pub(super) fn open(path: &Path, options: &Options) -> Result<Opened, Problem> {
    const PAUSE: Duration = Duration::from_millis(10);
    let begun = Instant::now();
    loop {
        match open_once(path, options) {
            Err(Problem::Locked(_)) if begun.elapsed() < options.busy_timeout => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}

fn open_once(path: &Path, options: &Options) -> Result<Opened, Problem> {
    if path.is_dir() {
        return Err(Problem::NoAccess("it is a folder".to_owned()));
    }
    let write = options.access == Access::Write;
    if write {
        create(path).map_err(|e| no_access(&e))?;
    } else if !path.exists() {
        return Err(Problem::Missing);
    }
    let mut connection = connect(path, write, options.busy_timeout)?;
    let format = schema::inspect(&connection)?;
    if write && connection.is_readonly("main")? {
        return Err(Problem::ReadOnly);
    }
    let presence = Presence::announce(path);
    if presence.crashed {
        check(&connection)?;
    }
    if write {
        configure(&connection, options)?;
        schema::migrate(&mut connection)?;
    } else if format == schema::Format::Empty {
        return Err(Problem::Missing);
    }
    let presence = presence.stay().map_err(|e| no_access(&e))?;
    Ok(Opened { connection, presence })
}

/// A further connection for reading.
pub(super) fn reader(path: &Path, busy_timeout: Duration) -> Result<Connection, Problem> {
    connect(path, false, busy_timeout)
}

/// An empty store in memory.
pub(super) fn in_memory() -> Result<Connection, Problem> {
    let mut connection = Connection::open_in_memory()?;
    schema::migrate(&mut connection)?;
    Ok(connection)
}

/// A copy in memory of what the file holds now; empty when there is no file.
pub(super) fn copy_in_memory(path: &Path, busy_timeout: Duration) -> Result<Connection, Problem> {
    const PAGES_AT_ONCE: std::ffi::c_int = 4096;
    if !path.exists() {
        return in_memory();
    }
    let source = connect(path, false, busy_timeout)?;
    schema::inspect(&source)?;
    let mut copy = Connection::open_in_memory()?;
    Backup::new(&source, &mut copy)?.run_to_completion(PAGES_AT_ONCE, Duration::from_millis(5), None)?;
    schema::migrate(&mut copy)?;
    Ok(copy)
}

fn connect(path: &Path, write: bool, busy_timeout: Duration) -> Result<Connection, Problem> {
    let access = if write { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(busy_timeout)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Write-ahead log (readers never wait), a sync for each commit (what was confirmed survives a power cut).
fn configure(connection: &Connection, options: &Options) -> Result<(), Problem> {
    const LOG_KEPT_BYTES: i64 = 64 * 1024 * 1024;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_KEPT_BYTES, |_| Ok(()))?;
    if let Some(pages) = options.max_pages {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(())
}

/// Whether the structure of the file is sound.
pub(super) fn check(connection: &Connection) -> Result<(), Problem> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(Problem::Damaged(found)) }
}

/// Makes the file, and the folders above it, for this user's eyes only: the state quotes source code.
fn create(path: &Path) -> io::Result<()> {
    let mut folder = DirBuilder::new();
    let mut file = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        folder.mode(0o700);
        file.mode(0o600);
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        folder.recursive(true).create(parent)?;
    }
    match file.write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop),
    }
}

fn no_access(error: &io::Error) -> Problem {
    Problem::NoAccess(error.to_string())
}

/// Tells a file that somebody else has open from one whose last user crashed: both have a write-ahead log beside them. Every
/// user holds a lock on the file `<name>-open`; the system lets go of it however the user ends.
struct Presence {
    file: Option<File>,
    /// Nobody else is here, and a log was left behind.
    crashed: bool,
}

impl Presence {
    /// Where the disk is read-only or knows no locks, nobody is seen and nothing is assumed.
    fn announce(path: &Path) -> Self {
        let Ok(file) = OpenOptions::new().write(true).create(true).truncate(false).open(beside(path, "-open")) else {
            return Self { file: None, crashed: false };
        };
        let alone = file.try_lock().is_ok();
        let log = fs::metadata(beside(path, "-wal")).map_or(0, |log| log.len());
        Self { file: Some(file), crashed: alone && log > 0 }
    }

    /// Lets others in. Waits for one who is just checking the file.
    fn stay(self) -> io::Result<Option<File>> {
        if let Some(file) = &self.file {
            match file.lock_shared() {
                Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
                _ => {}
            }
        }
        Ok(self.file)
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
