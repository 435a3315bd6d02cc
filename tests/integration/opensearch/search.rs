//! Looking up where the search trails behind, filters hard, or knows what is gone.

use codehealer::model::{FixId, PastFix};
use codehealer::ports::{ErrorKind, FixMemory, FixQuery};

use super::{fresh_index, memory_at, raw, stops_refreshing};
use crate::contract::memory::{ids, query};
use crate::support::fixes::{direction, fix, rule};
use crate::support::servers;

#[tokio::test]
async fn our_own_fixes_are_found_before_the_index_refreshes() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let (ours, theirs) = (memory_at(&url, &index), memory_at(&url, &index));
    ours.remember(&fix("old", 30.0)).await.unwrap();
    stops_refreshing(&index).await;

    ours.remember(&fix("a", 10.0)).await.unwrap();
    assert!(ours.remember_new(&fix("b", 20.0)).await.unwrap());
    assert_eq!(ids(&theirs, &query(5)).await, ["old"], "a search does not know them yet");
    assert_eq!(ids(&ours, &query(5)).await, ["a", "b", "old"]);
    assert_eq!(ids(&ours, &query(1)).await, ["a"]);
    assert_eq!(ids(&ours, &FixQuery { rule: rule("py-other"), ..query(5) }).await, [""; 0]);
    assert_eq!(theirs.get(&FixId("a".into())).await.unwrap(), Some(fix("a", 10.0)), "by id everybody knows them");

    // What others do to them meanwhile is seen, since candidates are read by id.
    theirs.remember(&fix("a", 40.0)).await.unwrap();
    theirs.remember(&PastFix { superseded_by: Some(FixId("a".into())), ..fix("old", 30.0) }).await.unwrap();
    assert_eq!(ids(&ours, &query(5)).await, ["b", "a"]);
    assert!(theirs.forget(&FixId("b".into())).await.unwrap());
    assert_eq!(ids(&ours, &query(5)).await, ["a"]);
    let listed: Vec<String> = ours.list(None, 9).await.unwrap().into_iter().map(|fix| fix.id.0).collect();
    assert_eq!(listed, ["a", "old"]);
}

#[tokio::test]
async fn what_is_gone_or_private_by_now_neither_shows_nor_hides_others() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let theirs = memory_at(&url, &index);
    let stored: Vec<PastFix> = (0..90_u8).map(|n| fix(&format!("{n:02}"), f32::from(n))).collect();
    theirs.remember_all(&stored).await.unwrap();
    stops_refreshing(&index).await;

    for n in 0..60 {
        assert!(theirs.forget(&FixId(format!("{n:02}"))).await.unwrap());
    }
    theirs.remember(&PastFix { private: true, ..fix("60", 60.0) }).await.unwrap();
    let ours = memory_at(&url, &index);
    assert_eq!(ids(&ours, &query(2)).await, ["61", "62"]);
    let own = FixQuery { repository: "acme/shop".to_owned(), ..query(2) };
    assert_eq!(ids(&ours, &own).await, ["60", "61"]);
    let listed: Vec<String> = ours.list(None, 3).await.unwrap().into_iter().map(|fix| fix.id.0).collect();
    assert_eq!(listed, ["60", "61", "62"], "a page is full unless it is the last");
    assert_eq!(ours.list(Some(&FixId("88".into())), 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_nearest_are_found_under_a_filter_that_leaves_few() {
    const FIXES: u32 = 3_000;
    let (url, index) = (servers::opensearch().await, fresh_index());
    let memory = memory_at(&url, &index);
    let stored: Vec<PastFix> = (0..FIXES)
        .map(|n| {
            // One in twenty is of the rule that is asked for.
            let of = if n % 20 == 0 { "py-yaml-unsafe-load" } else { "py-other" };
            PastFix { vector: scattered(n), rule: rule(of), aliases: vec![], ..fix(&format!("{n:04}"), 0.0) }
        })
        .collect();
    memory.remember_all(&stored).await.unwrap();
    raw("POST", &format!("{index}/_refresh"), None).await;
    // A process that stored none of them.
    let memory = memory_at(&url, &index);
    let (mut found, mut expected) = (0, 0);
    for seed in 0..20 {
        let wanted = FixQuery { vector: scattered(1_000_000 + seed), ..query(5) };
        let mut exact: Vec<_> =
            stored.iter().step_by(20).map(|f| (cosine(&wanted.vector, &f.vector), &f.id.0)).collect();
        exact.sort_by(|a, b| b.0.total_cmp(&a.0));
        let near = memory.nearest(&wanted).await.unwrap();
        assert_eq!(near.len(), 5);
        for (fix, similarity) in &near {
            assert!(
                (similarity - cosine(&wanted.vector, &fix.vector)).abs() < 1e-12,
                "computed, not taken from a score"
            );
        }
        expected += 5;
        found += exact[..5].iter().filter(|(_, id)| near.iter().any(|(fix, _)| fix.id.0 == **id)).count();
    }
    assert!(found * 100 >= expected * 95, "{found} of {expected}");
}

/// A vector with sixty places that are not zero, the same on every run.
fn scattered(seed: u32) -> Vec<f32> {
    let step = |x: &u32| Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let mut vector = vec![0.0; 768];
    for x in std::iter::successors(Some(seed.wrapping_mul(2_654_435_761)), step).skip(9).take(60) {
        vector[usize::try_from(x >> 16).unwrap() % 768] += (x >> 8 & 0xff) as f32 / 64.0 - 1.0;
    }
    vector
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[tokio::test]
async fn a_vector_comes_back_bit_by_bit() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let memory = memory_at(&url, &index);
    let mut vector = direction(12.3);
    let odd = [f32::MIN_POSITIVE, 1.0e-45, -0.0, f32::MAX, 0.1 + 0.2, 16_777_217.0];
    vector[10..16].copy_from_slice(&odd);
    memory.remember(&PastFix { vector: vector.clone(), ..fix("a", 0.0) }).await.unwrap();
    let bits = |vector: &[f32]| vector.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let got = memory.get(&FixId("a".into())).await.unwrap().unwrap();
    assert_eq!(bits(&got.vector), bits(&vector));
    assert_eq!(bits(&memory.nearest(&query(1)).await.unwrap()[0].0.vector), bits(&vector));
}

#[tokio::test]
async fn a_vector_of_another_length_is_refused_and_one_without_direction_is_near_all() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let memory = memory_at(&url, &index);
    memory.remember(&fix("a", 10.0)).await.unwrap();
    let error = memory.nearest(&FixQuery { vector: vec![1.0; 384], ..query(5) }).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
    assert!(error.chain().contains("384") && error.chain().contains("opensearch.index"), "{}", error.chain());

    raw("POST", &format!("{index}/_refresh"), None).await;
    let near = memory_at(&url, &index).nearest(&FixQuery { vector: vec![0.0; 768], ..query(5) }).await.unwrap();
    assert_eq!(near.iter().map(|(fix, cosine)| (fix.id.0.as_str(), *cosine)).collect::<Vec<_>>(), [("a", 0.0)]);
}
