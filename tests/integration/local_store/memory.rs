//! The embedded memory of fixes: its contract, several processes, and what does not fit.

use std::sync::Arc;

use codehealer::local::store::{Options, Store};
use codehealer::model::{FixId, PastFix};
use codehealer::ports::{ErrorKind, FixMemory};

use super::Disk;
use crate::contract::memory::{self, ids, query};
use crate::support::clock::VirtualClock;
use crate::support::fixes::{direction, fix, pattern};

#[tokio::test]
async fn a_file_keeps_the_memory_contract() {
    let disks = std::sync::Mutex::new(Vec::new());
    memory::contract(async || {
        let disk = Disk::new();
        let subject = memory::Subject { memory: Arc::new(disk.store().memory()) };
        disks.lock().unwrap().push(disk);
        subject
    })
    .await;
}

#[tokio::test]
async fn memory_keeps_the_memory_contract() {
    memory::contract(async || {
        let store = Store::in_memory(Options::new(VirtualClock::new())).unwrap();
        memory::Subject { memory: Arc::new(store.memory()) }
    })
    .await;
}

#[tokio::test]
async fn what_another_process_stores_is_seen_at_once() {
    let disk = Disk::new();
    let (here, there) = (disk.store().memory(), disk.store().memory());
    there.remember(&fix("a", 10.0)).await.unwrap();
    assert_eq!(ids(&here, &query(5)).await, ["a"]);
    there.remember(&fix("b", 5.0)).await.unwrap();
    assert_eq!(ids(&here, &query(5)).await, ["b", "a"]);
    there.remember(&fix("b", 50.0)).await.unwrap();
    assert_eq!(ids(&here, &query(5)).await, ["a", "b"]);
    there.forget(&FixId("a".into())).await.unwrap();
    assert_eq!(ids(&here, &query(5)).await, ["b"]);
}

#[tokio::test]
async fn many_rows_that_are_gone_hide_none_that_are_there() {
    let disk = Disk::new();
    let (here, there) = (disk.store().memory(), disk.store().memory());
    for n in 0..60_u8 {
        there.remember(&fix(&format!("{n:02}"), f32::from(n))).await.unwrap();
    }
    assert_eq!(ids(&here, &query(2)).await, ["00", "01"]);
    for n in 0..50 {
        there.forget(&FixId(format!("{n:02}"))).await.unwrap();
    }
    assert_eq!(ids(&here, &query(2)).await, ["50", "51"]);
}

#[tokio::test]
async fn equal_fixes_come_in_the_same_order_however_they_were_stored() {
    let mut answers = Vec::new();
    for order in [[0, 1, 2, 3], [3, 1, 0, 2]] {
        let disk = Disk::new();
        let memory = disk.store().memory();
        for n in order {
            memory.remember(&fix(&format!("fix-{n}"), 10.0)).await.unwrap();
        }
        answers.push(ids(&memory, &query(3)).await);
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn the_search_is_exact_among_thousands() {
    let memory = Store::in_memory(Options::new(VirtualClock::new())).unwrap().memory();
    let vector = |seed: u32| -> Vec<f32> {
        // A plain congruential generator: the same numbers on every run.
        let step = |x: &u32| Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        std::iter::successors(Some(seed), step).skip(9).take(768).map(|x| (x >> 8) as f32 / 8_388_608.0 - 1.0).collect()
    };
    let stored: Vec<PastFix> =
        (0..2500).map(|n| PastFix { vector: vector(n), ..fix(&format!("{n:04}"), 0.0) }).collect();
    for fix in &stored {
        memory.remember(fix).await.unwrap();
    }
    let cosine = |a: &[f32], b: &[f32]| {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    for seed in [77_777, 88_888] {
        let wanted = vector(seed);
        let mut expected: Vec<_> = stored.iter().map(|fix| (cosine(&wanted, &fix.vector), &fix.id.0)).collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        let found = memory.nearest(&codehealer::ports::FixQuery { vector: wanted, ..query(10) }).await.unwrap();
        for ((fix, similarity), (cosine, id)) in found.iter().zip(&expected) {
            assert_eq!(&fix.id.0, *id);
            assert!((similarity - cosine).abs() < 1e-12);
        }
        assert_eq!(found.len(), 10);
    }
}

#[tokio::test]
async fn what_could_not_be_read_back_is_not_stored() {
    let disk = Disk::new();
    let memory = disk.store().memory();
    let refused = [
        ("too deep", PastFix { patterns: vec![pattern(200)], ..fix("a", 0.0) }, "deepest patterns"),
        ("too large", PastFix { scope_before: "x".repeat(2 << 20), ..fix("a", 0.0) }, "largest patterns"),
        ("too new", PastFix { schema: PastFix::SCHEMA + 1, ..fix("a", 0.0) }, "upgrade"),
    ];
    memory.remember(&fix("a", 7.0)).await.unwrap();
    for (what, fix, remedy) in refused {
        let error = memory.remember(&fix).await.expect_err(what);
        assert_eq!(error.kind, ErrorKind::Malformed, "{what}");
        assert!(error.chain().contains(remedy) && error.chain().len() < 1_000, "{}", error.chain());
    }
    assert_eq!(memory.get(&FixId("a".into())).await.unwrap().unwrap().vector, direction(7.0));
    memory.remember(&PastFix { patterns: vec![pattern(30)], ..fix("a", 0.0) }).await.unwrap();
}

#[tokio::test]
async fn a_damaged_fix_is_named_and_no_bomb_is_unpacked() {
    let disk = Disk::new();
    let memory = disk.store().memory();
    memory.remember(&fix("a", 0.0)).await.unwrap();
    let bomb = miniz_oxide::deflate::compress_to_vec_zlib(&vec![b' '; 64 << 20], 6);
    for body in [b"rubbish".to_vec(), bomb] {
        disk.raw().execute("UPDATE fixes SET body = ?1", [body]).unwrap();
        let error = memory.get(&FixId("a".into())).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.chain().contains("damaged"), "{}", error.chain());
    }
}

#[tokio::test]
async fn a_fix_takes_little_room() {
    const FIXES: u64 = 50;
    let disk = Disk::new();
    let store = disk.store();
    let noise = (0..768_u16).map(|n| f32::from(n * 37 % 101) - 50.0).collect::<Vec<_>>();
    for n in 0..FIXES {
        // Five levels of two hundred nodes between scopes of sixty lines.
        let scope = "    connection.execute(f\"SELECT * FROM users WHERE id = {user_id}\")\n".repeat(60);
        let (scope_before, patterns) = (format!("# {n}\n{scope}"), vec![pattern(30); 7]);
        let large = PastFix { scope_before, patterns, vector: noise.clone(), ..fix(&n.to_string(), 0.0) };
        store.memory().remember(&large).await.unwrap();
    }
    drop(store);
    let each = std::fs::metadata(disk.file()).unwrap().len() / FIXES;
    assert!(each < 20_000, "{each} bytes a fix");
}
