//! The embedded store: the contracts of its ports, and what only a file can suffer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use codehealer::local::clock::SystemClock;
use codehealer::local::store::{Access, FILE_NAME, Options, Store};
use codehealer::ports::{Aside, ErrorKind, Inbox, PortError, State};
use codehealer::state::{Condition, Transaction};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::contract::state::{increment, item, key, put, transaction};
use crate::contract::{inbox, state};
use crate::support::clock::VirtualClock;

mod crash;
mod memory;
mod random;

/// A folder with a state file in it.
struct Disk {
    folder: TempDir,
    clock: Arc<VirtualClock>,
}

impl Disk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: VirtualClock::new() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(FILE_NAME)
    }

    fn options(&self) -> Options {
        Options { busy_timeout: Duration::from_millis(200), ..Options::new(self.clock.clone()) }
    }

    fn store(&self) -> Store {
        Store::open(&self.file(), self.options()).unwrap()
    }

    fn refusal(&self, options: Options) -> PortError {
        Store::open(&self.file(), options).err().expect("the file is refused")
    }

    /// SQLite without our code in between.
    fn raw(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }
}

async fn write_counter(store: &Store, n: i64) -> Result<(), PortError> {
    store.state().commit(&transaction(vec![put(item("p", "counter", json!({"n": n})), vec![])])).await
}

async fn read_counter(store: &Store) -> Option<i64> {
    store.state().get(&key("p", "counter")).await.unwrap().and_then(|item| item.fields["n"].as_i64())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_the_state_contract() {
    let disks = std::sync::Mutex::new(Vec::new());
    state::contract(async || {
        let disk = Disk::new();
        let subject = state::Subject { state: Arc::new(disk.store().state()), clock: disk.clock.clone() };
        disks.lock().unwrap().push(disk);
        subject
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_the_state_contract() {
    state::contract(async || {
        let clock = VirtualClock::new();
        let store = Store::in_memory(Options::new(clock.clone())).unwrap();
        state::Subject { state: Arc::new(store.state()), clock }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_the_inbox_contract() {
    let disks = std::sync::Mutex::new(Vec::new());
    inbox::contract(async || {
        let disk = Disk::new();
        let time = inbox::Time::Virtual(disk.clock.clone());
        let inbox = Arc::new(disk.store().inbox());
        let subject = inbox::Subject { inbox: inbox.clone(), aside: inbox, time, dedupes: true };
        disks.lock().unwrap().push(disk);
        subject
    })
    .await;
}

#[tokio::test]
async fn a_token_is_forgotten_after_ten_minutes() {
    let disk = Disk::new();
    let state = disk.store().state();
    let writes = vec![put(item("p", "s", json!({})), vec![Condition::Absent])];
    let once = Transaction { writes, token: Some("t".into()) };
    state.commit(&once).await.unwrap();
    disk.clock.advance(Duration::from_millis(599_999));
    state.commit(&once).await.unwrap();
    disk.clock.advance(Duration::from_millis(1));
    assert_eq!(state.commit(&once).await.unwrap_err().kind, ErrorKind::Conflict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn committers_of_several_processes_lose_no_update() {
    let disk = Disk::new();
    write_counter(&disk.store(), 0).await.unwrap();
    let patient = Options { busy_timeout: Duration::from_secs(20), ..disk.options() };
    let workers = (0..16).map(|_| {
        let store = Store::open(&disk.file(), patient.clone()).unwrap();
        tokio::spawn(async move {
            for _ in 0..4 {
                increment(&store.state()).await;
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(read_counter(&disk.store()).await, Some(64));
}

/// The race for the switch to the write-ahead log is short: it takes many rounds to be met.
#[test]
fn several_processes_may_create_the_file_at_once() {
    const ROUNDS: usize = 40;
    for _ in 0..ROUNDS {
        let disk = Disk::new();
        let patient = Options { busy_timeout: Duration::from_secs(20), ..disk.options() };
        let open = || Store::open(&disk.file(), patient.clone()).map(drop).map_err(|error| error.chain());
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(open)).collect();
            for thread in threads {
                thread.join().unwrap().unwrap();
            }
        });
    }
}

#[tokio::test]
async fn readers_work_while_another_process_writes() {
    let disk = Disk::new();
    let writer = disk.store();
    write_counter(&writer, 1).await.unwrap();
    let raw = disk.raw();
    raw.execute_batch("BEGIN IMMEDIATE; DELETE FROM items").unwrap();
    let reader = Store::open(&disk.file(), Options { access: Access::Read, ..disk.options() }).unwrap();
    assert_eq!(read_counter(&reader).await, Some(1));
    assert_eq!(read_counter(&writer).await, Some(1));
    let error = write_counter(&reader, 2).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.chain().contains("read-only"), "{}", error.chain());
}

#[tokio::test]
async fn a_locked_file_is_unavailable_and_works_again() {
    let disk = Disk::new();
    let store = disk.store();
    let raw = disk.raw();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = write_counter(&store, 1).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.chain().contains("stop that process"), "{}", error.chain());
    raw.execute_batch("ROLLBACK").unwrap();
    write_counter(&store, 1).await.unwrap();
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let disk = Disk::new();
    drop(disk.store());
    disk.raw().pragma_update(None, "user_version", 99).unwrap();
    for access in [Access::Write, Access::Read] {
        let error = disk.refusal(Options { access, ..disk.options() });
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.chain().contains("upgrade") && error.chain().contains(FILE_NAME), "{}", error.chain());
    }
}

#[tokio::test]
async fn files_of_others_are_left_alone() {
    let disk = Disk::new();
    disk.raw().execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    let before = std::fs::read(disk.file()).unwrap();
    let error = disk.refusal(disk.options());
    assert!(error.chain().contains("another program"), "{}", error.chain());
    assert_eq!(std::fs::read(disk.file()).unwrap(), before);

    let disk = Disk::new();
    std::fs::write(disk.file(), "not a database at all, but long enough to have a header ".repeat(4)).unwrap();
    let error = disk.refusal(disk.options());
    assert_eq!(error.kind, ErrorKind::Malformed);
    assert!(error.chain().contains("move it away"), "{}", error.chain());
}

/// Overwrites the middle of the file, where the pages of tables are.
fn damage(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes.iter_mut().skip(4096).for_each(|byte| *byte = 0xA5);
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn damage_is_named_when_it_is_met() {
    let disk = Disk::new();
    let store = disk.store();
    write_counter(&store, 1).await.unwrap();
    drop(store);
    damage(&disk.file());
    let store = disk.store();
    let error = store.state().get(&key("p", "counter")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
    assert!(error.chain().contains("put a backup in its place"), "{}", error.chain());
}

#[tokio::test]
async fn after_a_crash_the_file_is_checked_before_it_is_used() {
    let disk = Disk::new();
    let store = disk.store();
    write_counter(&store, 1).await.unwrap();
    drop(store);
    damage(&disk.file());
    // A log that nobody has open is what a crash leaves behind.
    std::fs::write(disk.folder.path().join(format!("{FILE_NAME}-wal")), [0; 64]).unwrap();
    let error = disk.refusal(disk.options());
    assert_eq!(error.kind, ErrorKind::Malformed);
    assert!(error.chain().contains("damaged"), "{}", error.chain());
}

#[tokio::test]
async fn a_full_disk_refuses_the_whole_transaction() {
    let disk = Disk::new();
    let store = Store::open(&disk.file(), Options { max_pages: Some(60), ..disk.options() }).unwrap();
    write_counter(&store, 1).await.unwrap();
    let big = |n: i64| put(item("p", &format!("big{n}"), json!({"text": "x".repeat(100_000)})), vec![]);
    let counter = put(item("p", "counter", json!({"n": 2})), vec![]);
    let error = store.state().commit(&transaction(vec![counter, big(1), big(2), big(3)])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.chain().contains("free some space"), "{}", error.chain());

    assert_eq!(read_counter(&store).await, Some(1), "nothing was written by halves");
    assert!(store.state().get(&key("p", "big1")).await.unwrap().is_none());
    write_counter(&store, 3).await.expect("what fits is still written");
    drop(store);
    assert_eq!(read_counter(&disk.store()).await, Some(3));
}

#[tokio::test]
async fn a_missing_file_is_made_for_writing_and_missed_for_reading() {
    let disk = Disk::new();
    let reading = Options { access: Access::Read, ..disk.options() };
    assert_eq!(disk.refusal(reading.clone()).kind, ErrorKind::Missing);
    assert!(!disk.file().exists());

    let deep = disk.folder.path().join("a/b").join(FILE_NAME);
    write_counter(&Store::open(&deep, disk.options()).unwrap(), 1).await.unwrap();
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&deep), mode(deep.parent().unwrap())), (0o600, 0o700));
    assert_eq!(read_counter(&Store::open(&deep, reading).unwrap()).await, Some(1));
}

#[test]
fn a_place_where_no_file_can_be_is_denied() {
    let disk = Disk::new();
    std::fs::write(disk.folder.path().join("plain"), "").unwrap();
    for place in [disk.folder.path().to_owned(), disk.folder.path().join("plain").join(FILE_NAME)] {
        let error = Store::open(&place, disk.options()).err().expect("denied");
        assert_eq!(error.kind, ErrorKind::Denied, "{}", error.chain());
        assert!(error.chain().contains("check that the folder exists"), "{}", error.chain());
    }
}

#[tokio::test]
async fn a_snapshot_begins_with_the_file_and_never_touches_it() {
    let disk = Disk::new();
    let nothing = Store::snapshot_in_memory(&disk.file(), disk.options()).unwrap();
    assert_eq!(read_counter(&nothing).await, None);
    assert!(!disk.file().exists());

    let store = disk.store();
    write_counter(&store, 1).await.unwrap();
    let snapshot = Store::snapshot_in_memory(&disk.file(), disk.options()).unwrap();
    assert_eq!(read_counter(&snapshot).await, Some(1));
    write_counter(&snapshot, 2).await.unwrap();
    assert_eq!((read_counter(&snapshot).await, read_counter(&store).await), (Some(2), Some(1)));
}

#[tokio::test]
async fn expired_items_leave_the_file() {
    let disk = Disk::new();
    let store = disk.store();
    let count = || disk.raw().query_row("SELECT count(*) FROM items", [], |row| row.get::<_, i64>(0)).unwrap();
    for n in 0..20 {
        let mut short = item("p", &format!("s{n}"), json!({}));
        short.expires = Some(disk.clock.seconds() + 1);
        store.state().commit(&transaction(vec![put(short, vec![])])).await.unwrap();
    }
    disk.clock.advance(Duration::from_secs(2));
    for n in 0..3 {
        write_counter(&store, n).await.unwrap();
    }
    assert_eq!(count(), 1);
}

#[tokio::test]
async fn what_was_buried_can_be_seen_and_redriven() {
    let disk = Disk::new();
    let inbox = disk.store().inbox();
    inbox.enqueue("m", Some("k"), Duration::ZERO).await.unwrap();
    let taken = inbox.take(1, Duration::from_secs(9)).await.unwrap().remove(0);
    inbox.bury(&taken.receipt, "cannot be read").await.unwrap();
    let depth = inbox.depth().await.unwrap();
    assert_eq!((depth.ready, depth.hidden, depth.buried), (0, 0, 1));

    let buried = inbox.buried(10).await.unwrap().remove(0);
    assert_eq!((buried.body.as_str(), buried.reason.as_str(), buried.attempts), ("m", "cannot be read", 1));
    assert!(inbox.redrive(&buried.receipt).await.unwrap());
    assert!(!inbox.redrive(&buried.receipt).await.unwrap());
    assert_eq!(inbox.take(1, Duration::ZERO).await.unwrap()[0].attempts, 1);
    assert_eq!(inbox.redrive("rubbish").await.unwrap_err().kind, ErrorKind::Malformed);
}

#[tokio::test]
async fn what_came_again_meanwhile_does_not_stop_the_others_from_being_redriven() {
    let disk = Disk::new();
    let inbox = disk.store().inbox();
    for body in ["first", "second"] {
        inbox.enqueue(body, Some(body), Duration::ZERO).await.unwrap();
        let taken = inbox.take(1, Duration::from_secs(9)).await.unwrap().remove(0);
        inbox.bury(&taken.receipt, "why").await.unwrap();
    }
    inbox.enqueue("first again", Some("first"), Duration::ZERO).await.unwrap();
    assert_eq!(Aside::redrive(&inbox, 1).await.unwrap(), 1);
    let mut bodies: Vec<_> =
        inbox.take(10, Duration::ZERO).await.unwrap().into_iter().map(|taken| taken.body).collect();
    bodies.sort();
    assert_eq!(bodies, ["first again", "second"]);
    assert_eq!(inbox.buried(10).await.unwrap()[0].body, "first", "its like does its work");
}

#[test]
fn the_file_lives_with_the_real_clock_too() {
    let disk = Disk::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = Store::open(&disk.file(), Options::new(Arc::new(SystemClock))).unwrap();
    runtime.block_on(write_counter(&store, 5)).unwrap();
    assert_eq!(runtime.block_on(read_counter(&store)), Some(5));
}
