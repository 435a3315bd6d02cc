//! Writers that race, are held up, or have clocks that differ.

use std::sync::Arc;
use std::time::Duration;

use codehealer::model::{FixId, PastFix, TrackRecord};
use codehealer::opensearch::OpenSearchMemory;
use codehealer::ports::{ErrorKind, FixMemory};
use futures_util::future::join_all;

use super::{fresh_index, memory_at, options, raw};
use crate::support::clock::VirtualClock;
use crate::support::fixes::{fix, pattern};
use crate::support::proxy::Proxy;
use crate::support::servers;

fn accepted(id: &str, accepted: u32) -> PastFix {
    PastFix { record: TrackRecord { accepted, ..TrackRecord::default() }, ..fix(id, 0.0) }
}

async fn stored(memory: &OpenSearchMemory, id: &str) -> Option<u32> {
    memory.get(&FixId(id.to_owned())).await.unwrap().map(|fix| fix.record.accepted)
}

#[tokio::test]
async fn of_eight_who_store_the_same_new_fix_one_does() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    // None of them has seen the index, which is made on the way.
    let memories: Vec<OpenSearchMemory> = (0..8).map(|_| memory_at(&url, &index)).collect();
    let stored = join_all(
        memories
            .iter()
            .zip(0..)
            .map(|(memory, n)| async move { memory.remember_new(&accepted("a", n)).await.unwrap() }),
    )
    .await;
    assert_eq!(stored.iter().filter(|stored| **stored).count(), 1, "{stored:?}");
    let winner = stored.iter().position(|stored| *stored).unwrap();
    assert_eq!(memories[0].get(&FixId("a".into())).await.unwrap().unwrap().record.accepted as usize, winner);
    assert_eq!(memories[0].list(None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn of_eight_who_replace_a_fix_at_once_all_do_and_one_is_last() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    // Clocks that stand still together: every version collides.
    let memories: Vec<OpenSearchMemory> = (0..8).map(|_| memory_at(&url, &index)).collect();
    let writes = memories.iter().zip(1..).map(|(memory, n)| async move { memory.remember(&accepted("a", n)).await });
    join_all(writes).await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();
    let last = stored(&memories[0], "a").await.unwrap();
    assert!((1..=8).contains(&last));
    let (_, found) = raw("GET", &format!("{index}/_search?version=true&_source=false"), None).await;
    assert!(found["hits"]["hits"].as_array().unwrap().len() <= 1, "{found}");
}

#[tokio::test]
async fn a_write_that_was_held_up_undoes_nothing() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let (proxy, clock) = (Proxy::before(&url).await, VirtualClock::new());
    let at =
        |url: &str| OpenSearchMemory::new(super::OpenSearchOptions { clock: clock.clone(), ..options(url, &index) });
    let (slow, fast) = (at(proxy.url()).unwrap(), at(&url).unwrap());
    slow.remember(&accepted("a", 1)).await.unwrap();
    let request = proxy.seen().into_iter().find(|seen| seen.method == "PUT" && seen.path.contains("_doc")).unwrap();
    clock.advance(Duration::from_millis(1));
    fast.remember(&accepted("a", 2)).await.unwrap();

    // The same bytes once more, late.
    let body = serde_json::from_slice(&request.body).unwrap();
    let (status, _) = raw("PUT", request.path.trim_start_matches('/'), Some(body)).await;
    assert_eq!(status, 409);
    assert_eq!(stored(&slow, "a").await, Some(2));
    assert!(fast.forget(&FixId("a".into())).await.unwrap());
    let body = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(raw("PUT", request.path.trim_start_matches('/'), Some(body)).await.0, 409);
    assert_eq!(stored(&slow, "a").await, None, "what was forgotten does not come back");
}

#[tokio::test]
async fn a_clock_that_is_behind_keeps_nobody_from_writing() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let (ahead, behind) = (VirtualClock::new(), VirtualClock::new());
    ahead.advance(Duration::from_secs(300));
    let at = |clock: Arc<VirtualClock>| {
        OpenSearchMemory::new(super::OpenSearchOptions { clock, ..options(&url, &index) }).unwrap()
    };
    let (ahead, behind) = (at(ahead), at(behind));
    ahead.remember(&accepted("a", 1)).await.unwrap();
    behind.remember(&accepted("a", 2)).await.unwrap();
    assert_eq!(stored(&ahead, "a").await, Some(2), "who is called later wins");
    ahead.remember(&accepted("a", 3)).await.unwrap();
    assert!(behind.forget(&FixId("a".into())).await.unwrap());
    assert_eq!(stored(&ahead, "a").await, None);
    behind.remember(&accepted("a", 4)).await.unwrap();
    assert_eq!(stored(&ahead, "a").await, Some(4));
    ahead.forget(&FixId("a".into())).await.unwrap();
    assert!(behind.remember_new(&accepted("a", 5)).await.unwrap());
    assert!(!ahead.remember_new(&accepted("a", 6)).await.unwrap());
    assert_eq!(stored(&ahead, "a").await, Some(5));
}

#[tokio::test]
async fn many_are_stored_at_once_also_over_newer_versions() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let ahead = VirtualClock::new();
    ahead.advance(Duration::from_secs(300));
    let ahead = OpenSearchMemory::new(super::OpenSearchOptions { clock: ahead, ..options(&url, &index) }).unwrap();
    ahead.remember(&accepted("250", 9)).await.unwrap();
    let memory = memory_at(&url, &index);
    let fixes: Vec<PastFix> = (0..300).map(|n| accepted(&format!("{n:03}"), n)).collect();
    memory.remember_all(&fixes).await.unwrap();
    assert_eq!(stored(&memory, "250").await, Some(250));
    raw("POST", &format!("{index}/_refresh"), None).await;
    let listed = memory_at(&url, &index).list(None, 1_000).await.unwrap();
    assert_eq!(listed.iter().map(|fix| fix.record.accepted).collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_could_not_be_read_back_is_not_stored() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let memory = memory_at(&url, &index);
    memory.remember(&accepted("a", 7)).await.unwrap();
    let refused = [
        ("too deep", PastFix { patterns: vec![pattern(200)], ..fix("a", 0.0) }, "deepest patterns"),
        ("too large", PastFix { scope_before: "x".repeat(2 << 20), ..fix("a", 0.0) }, "largest patterns"),
        ("too new", PastFix { schema: PastFix::SCHEMA + 1, ..fix("a", 0.0) }, "upgrade"),
        ("a name too long", PastFix { organisation: "x".repeat(40_000), ..fix("a", 0.0) }, "shorter"),
    ];
    for (what, fix, remedy) in refused {
        let error = memory.remember(&fix).await.expect_err(what);
        assert_eq!(error.kind, ErrorKind::Malformed, "{what}");
        assert!(error.chain().contains(remedy) && error.chain().len() < 1_000, "{}", error.chain());
        assert_eq!(memory.remember_new(&fix).await.expect_err(what).kind, ErrorKind::Malformed);
        assert_eq!(memory.remember_all(&[fix]).await.expect_err(what).kind, ErrorKind::Malformed);
    }
    assert_eq!(stored(&memory, "a").await, Some(7));
    // As large as it may be, and read again in a look-up of its neighbours.
    let large = PastFix { scope_before: "\"\\\n".repeat(150_000), ..fix("large", 0.0) };
    memory.remember(&large).await.unwrap();
    assert_eq!(memory.get(&large.id).await.unwrap(), Some(large));
}
