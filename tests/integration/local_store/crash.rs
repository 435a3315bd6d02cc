//! Kills a writing process at random moments: what it confirmed is there, the rest happened as a whole or not at all.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use codehealer::local::clock::SystemClock;
use codehealer::local::store::{Options, Store};
use codehealer::ports::{Inbox, State};
use serde_json::json;

use super::Disk;
use crate::contract::state::{item, key, put, transaction};

/// Tells the child which file to write; without it there is nothing to do.
const FILE: &str = "CODEHEALER_TEST_CRASH_FILE";

fn child(file: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "local_store::crash::writes_until_killed", "--ignored", "--nocapture"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "the process that the other test of this file kills"]
async fn writes_until_killed() {
    let file = std::env::var_os(FILE).expect("started by the other test");
    let store = Store::open(Path::new(&file), Options::new(Arc::new(SystemClock))).unwrap();
    let begun = store.state().get(&key("p", "left")).await.unwrap();
    let mut n = begun.map_or(0, |item| item.fields["n"].as_i64().unwrap());
    loop {
        n += 1;
        let side = |sk: &str| put(item("p", sk, json!({"n": n, "pad": "x".repeat(20_000)})), vec![]);
        store.state().commit(&transaction(vec![side("left"), side("right")])).await.unwrap();
        store.inbox().enqueue(&n.to_string(), None, Duration::ZERO).await.unwrap();
        println!("confirmed {n}");
    }
}

/// Waits until the child confirmed `count` writes, then kills it; the last number it confirmed.
fn kill_after(mut child: Child, count: usize) -> i64 {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The first line of the test harness has no line end of its own, so the word is searched for.
    let number = |line: String| line.split_once("confirmed ").and_then(|(_, n)| n.parse::<i64>().ok());
    let mut last = lines.by_ref().map_while(Result::ok).filter_map(number).nth(count).expect("the child writes");
    child.kill().unwrap();
    child.wait().unwrap();
    for n in lines.map_while(Result::ok).filter_map(number) {
        last = n;
    }
    last
}

#[tokio::test]
async fn a_killed_writer_leaves_what_it_confirmed() {
    let disk = Disk::new();
    for round in 0..8 {
        let confirmed = kill_after(child(&disk.file()), round * 3);
        assert!(disk.folder.path().join("codehealer.db-wal").metadata().unwrap().len() > 0, "it did not end well");
        let store = disk.store();
        let mut stored = Vec::new();
        for sk in ["left", "right"] {
            stored.push(store.state().get(&key("p", sk)).await.unwrap().unwrap().fields["n"].as_i64().unwrap());
        }
        assert_eq!(stored[0], stored[1], "both or none");
        assert!((confirmed..=confirmed + 1).contains(&stored[0]), "{confirmed} was confirmed, {} is there", stored[0]);
        let depth = store.inbox().depth().await.unwrap();
        let messages = i64::try_from(depth.ready + depth.hidden).unwrap();
        // Each kill may have come between the two confirmations.
        assert!((confirmed - i64::try_from(round).unwrap()..=confirmed + 1).contains(&messages), "{messages} messages");
        let sound: String = disk.raw().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
    }
}
