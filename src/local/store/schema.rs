//! The tables of the state file and how an older file becomes a current one.

use rusqlite::{Connection, TransactionBehavior};

use super::error::Problem;

/// Version of the format, kept in `user_version`.
const VERSION: i64 = 1;

/// Says in the file's header whose it is: `CHlr`.
const APPLICATION: i64 = 0x4348_6C72;

/// Keys compare by byte (collation BINARY on UTF-8). `entries` repeats in JSON what stands in `index_entries`, so that an
/// item is read with one look-up. Row numbers never return (AUTOINCREMENT): caches rely on it.
const TABLES: &str = "
    CREATE TABLE items (
        n INTEGER PRIMARY KEY,
        pk TEXT NOT NULL,
        sk TEXT NOT NULL,
        fields TEXT NOT NULL,
        entries TEXT NOT NULL,
        expires INTEGER,
        UNIQUE (pk, sk)
    ) STRICT;
    CREATE INDEX items_expiring ON items (expires) WHERE expires IS NOT NULL;

    CREATE TABLE index_entries (
        name TEXT NOT NULL,
        hash TEXT NOT NULL,
        range TEXT NOT NULL,
        pk TEXT NOT NULL,
        sk TEXT NOT NULL,
        PRIMARY KEY (name, hash, range, pk, sk)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX index_entries_of_item ON index_entries (pk, sk);

    CREATE TABLE tokens (
        token TEXT PRIMARY KEY,
        digest TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tokens_by_age ON tokens (at);

    CREATE TABLE messages (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        body TEXT NOT NULL,
        dedupe TEXT,
        visible INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        buried TEXT
    ) STRICT;
    CREATE INDEX messages_waiting ON messages (visible, n) WHERE buried IS NULL;
    CREATE UNIQUE INDEX messages_once ON messages (dedupe) WHERE dedupe IS NOT NULL AND buried IS NULL;

    CREATE TABLE fixes (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        body BLOB NOT NULL
    ) STRICT;

    CREATE TABLE fix_vectors (
        n INTEGER PRIMARY KEY,
        tie INTEGER NOT NULL,
        repository TEXT NOT NULL,
        private INTEGER NOT NULL,
        vector BLOB NOT NULL
    ) STRICT;

    CREATE TABLE fix_rules (
        rule TEXT NOT NULL,
        organisation TEXT NOT NULL,
        language TEXT NOT NULL,
        embedder TEXT NOT NULL,
        n INTEGER NOT NULL,
        PRIMARY KEY (rule, organisation, language, embedder, n)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX fix_rules_of_fix ON fix_rules (n);
";

/// What the header of a file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Nothing was ever written.
    Empty,
    /// Ours; an older version, perhaps.
    Ours(i64),
}

/// Reads whose file it is without changing anything.
///
/// # Errors
/// When it belongs to another program or to a newer version of this one, or cannot be read.
pub(super) fn inspect(connection: &Connection) -> Result<Format, Problem> {
    // In one statement, since another process may be making the file right now.
    let sql =
        "SELECT (SELECT user_version FROM pragma_user_version), (SELECT application_id FROM pragma_application_id),
                      (SELECT count(*) FROM sqlite_schema)";
    let header = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let (version, application, tables): (i64, i64, i64) = header;
    if application == APPLICATION {
        if version > VERSION {
            return Err(Problem::Newer { found: version, known: VERSION });
        }
        return Ok(Format::Ours(version));
    }
    if application == 0 && version == 0 && tables == 0 { Ok(Format::Empty) } else { Err(Problem::Foreign) }
}

/// Brings the file to the current version. Of several processes that try at once, one does it and all find it done.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Problem> {
    if inspect(connection)? == Format::Ours(VERSION) {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if inspect(&transaction)? == Format::Empty {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}
