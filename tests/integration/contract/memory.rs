//! What every memory of fixes answers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use codehealer::model::{FixId, Language, PastFix, TrackRecord};
use codehealer::ports::{ErrorKind, FixMemory, FixQuery};
use futures_util::future::join_all;

use crate::support::fixes::{direction, fix, rule};

/// A fresh, empty memory.
pub struct Subject {
    pub memory: Arc<dyn FixMemory>,
}

/// Runs the whole suite; `make` gives an empty memory each time.
pub async fn contract<F, Made>(make: F)
where
    F: Fn() -> Made,
    Made: Future<Output = Subject>,
{
    a_fix_is_read_back_whole(&make().await).await;
    the_nearest_come_first_with_their_cosine(&make().await).await;
    a_fix_is_found_by_its_rule_and_aliases(&make().await).await;
    what_does_not_compare_is_left_out(&make().await).await;
    private_fixes_stay_private(&make().await).await;
    a_changed_fix_replaces_the_old_one(&make().await).await;
    forgotten_and_superseded_fixes_are_not_near(&make().await).await;
    fixes_are_listed_by_id(&make().await).await;
    a_new_fix_is_stored_once(&make().await).await;
    fixes_of_other_embedders_are_never_compared(&make().await).await;
    what_is_no_vector_is_refused(&make().await).await;
}

/// Asks at 0 degrees, for a public repository of the same organisation.
pub fn query(limit: usize) -> FixQuery {
    FixQuery {
        organisation: "acme".to_owned(),
        private: false,
        repository: "acme/other".to_owned(),
        language: Language::Python,
        rule: rule("py-yaml-unsafe-load"),
        vector: direction(0.0),
        embedder: "structural-1".to_owned(),
        limit,
    }
}

pub async fn ids(memory: &dyn FixMemory, query: &FixQuery) -> Vec<String> {
    memory.nearest(query).await.unwrap().into_iter().map(|(fix, _)| fix.id.0).collect()
}

async fn remember(subject: &Subject, fixes: &[PastFix]) {
    for fix in fixes {
        subject.memory.remember(fix).await.unwrap();
    }
}

/// A search index may trail behind what was stored, by seconds.
async fn settles(subject: &Subject, query: &FixQuery, expected: &[&str]) {
    for _ in 0..100 {
        if ids(subject.memory.as_ref(), query).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ids(subject.memory.as_ref(), query).await, expected, "for {}", query.rule);
}

async fn a_fix_is_read_back_whole(subject: &Subject) {
    let stored = fix("a", 33.3);
    assert_eq!(subject.memory.get(&stored.id).await.unwrap(), None);
    remember(subject, std::slice::from_ref(&stored)).await;
    assert_eq!(subject.memory.get(&stored.id).await.unwrap(), Some(stored.clone()));
    settles(subject, &query(5), &["a"]).await;
    assert_eq!(subject.memory.nearest(&query(5)).await.unwrap()[0].0, stored);
}

async fn the_nearest_come_first_with_their_cosine(subject: &Subject) {
    let angles = [("far", 120.0), ("near", 10.0), ("same", 0.0), ("opposite", 180.0), ("middle", -60.0)];
    remember(subject, &angles.map(|(id, degrees)| fix(id, degrees))).await;
    let mut long = fix("long", 20.0);
    long.vector.iter_mut().for_each(|x| *x *= 1e6);
    remember(subject, &[long]).await;
    settles(subject, &query(10), &["same", "near", "long", "middle", "far", "opposite"]).await;
    settles(subject, &query(2), &["same", "near"]).await;

    let found = subject.memory.nearest(&query(10)).await.unwrap();
    let cosines: Vec<f64> = found.iter().map(|(_, cosine)| *cosine).collect();
    let expected = [0.0_f64, 10.0, 20.0, 60.0, 120.0, 180.0].map(|degrees| degrees.to_radians().cos());
    for (cosine, expected) in cosines.iter().zip(expected) {
        assert!((cosine - expected).abs() < 1e-6, "{cosines:?}");
    }
}

async fn a_fix_is_found_by_its_rule_and_aliases(subject: &Subject) {
    let other = PastFix { rule: rule("py-other"), aliases: vec![], ..fix("other", 0.0) };
    remember(subject, &[fix("a", 5.0), other]).await;
    settles(subject, &query(5), &["a"]).await;
    settles(subject, &FixQuery { rule: rule("ruff/S506"), ..query(5) }, &["a"]).await;
    settles(subject, &FixQuery { rule: rule("py-other"), ..query(5) }, &["other"]).await;
    settles(subject, &FixQuery { rule: rule("py-unheard-of"), ..query(5) }, &[]).await;
}

async fn what_does_not_compare_is_left_out(subject: &Subject) {
    let short = PastFix { vector: vec![1.0, 0.0], ..fix("short", 0.0) };
    let zero = PastFix { vector: vec![0.0; 768], ..fix("zero", 0.0) };
    let none = PastFix { vector: vec![], ..fix("none", 0.0) };
    remember(subject, &[fix("a", 5.0), short, none]).await;
    settles(subject, &query(5), &["a"]).await;
    assert_eq!(subject.memory.get(&FixId("none".into())).await.unwrap().unwrap().vector, [0.0; 0]);
    settles(subject, &FixQuery { embedder: "structural-2".into(), ..query(5) }, &[]).await;
    settles(subject, &FixQuery { organisation: "rival".into(), ..query(5) }, &[]).await;
    settles(subject, &FixQuery { language: Language::Go, ..query(5) }, &[]).await;
    settles(subject, &query(0), &[]).await;
    remember(subject, &[zero]).await;
    settles(subject, &query(5), &["a", "zero"]).await;
    assert_eq!(subject.memory.nearest(&query(5)).await.unwrap()[1].1, 0.0);
}

async fn private_fixes_stay_private(subject: &Subject) {
    let secret = |id: &str, repository: &str, degrees| PastFix {
        private: true,
        repository: repository.to_owned(),
        ..fix(id, degrees)
    };
    let rival = PastFix { organisation: "rival".to_owned(), ..fix("rival", 0.0) };
    remember(
        subject,
        &[fix("public", 30.0), secret("vault", "acme/vault", 10.0), secret("shop", "acme/shop", 20.0), rival],
    )
    .await;
    let by = |private, repository: &str| FixQuery { private, repository: repository.to_owned(), ..query(9) };
    settles(subject, &by(false, "acme/other"), &["public"]).await;
    settles(subject, &by(false, "acme/vault"), &["vault", "public"]).await;
    settles(subject, &by(true, "acme/other"), &["vault", "shop", "public"]).await;
    let one = FixQuery { limit: 1, ..by(false, "acme/other") };
    settles(subject, &one, &["public"]).await;
}

async fn a_changed_fix_replaces_the_old_one(subject: &Subject) {
    remember(subject, &[fix("a", 10.0), fix("b", 20.0)]).await;
    settles(subject, &query(5), &["a", "b"]).await;
    let changed = PastFix { record: TrackRecord { accepted: 9, ..TrackRecord::default() }, ..fix("a", 40.0) };
    remember(subject, std::slice::from_ref(&changed)).await;
    settles(subject, &query(5), &["b", "a"]).await;
    assert_eq!(subject.memory.get(&changed.id).await.unwrap(), Some(changed));
    assert_eq!(subject.memory.list(None, 10).await.unwrap().len(), 2);

    let moved = PastFix { rule: rule("py-other"), aliases: vec![], ..fix("b", 0.0) };
    remember(subject, &[moved]).await;
    settles(subject, &query(5), &["a"]).await;
}

async fn forgotten_and_superseded_fixes_are_not_near(subject: &Subject) {
    remember(subject, &[fix("a", 10.0), fix("b", 20.0), fix("c", 30.0)]).await;
    settles(subject, &query(5), &["a", "b", "c"]).await;
    assert!(subject.memory.forget(&FixId("a".into())).await.unwrap());
    assert!(!subject.memory.forget(&FixId("a".into())).await.unwrap());
    remember(subject, &[PastFix { superseded_by: Some(FixId("c".into())), ..fix("b", 20.0) }]).await;
    settles(subject, &query(5), &["c"]).await;
    assert_eq!(subject.memory.get(&FixId("a".into())).await.unwrap(), None);
    assert!(subject.memory.get(&FixId("b".into())).await.unwrap().is_some(), "kept for the record");
}

async fn fixes_are_listed_by_id(subject: &Subject) {
    remember(subject, &["b", "é", "a", "B", "aa"].map(|id| fix(id, 0.0))).await;
    let list = async |after: Option<&str>, limit| {
        let after = after.map(|id| FixId(id.to_owned()));
        let fixes = subject.memory.list(after.as_ref(), limit).await.unwrap();
        fixes.into_iter().map(|fix| fix.id.0).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 9).await, ["B", "a", "aa", "b", "é"]);
    assert_eq!(list(Some("a"), 2).await, ["aa", "b"]);
    assert_eq!(list(Some("é"), 2).await, [""; 0]);

    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = list(after.as_deref(), 2).await;
        let Some(last) = page.last().cloned() else { break };
        after = Some(last);
        pages.push(page);
    }
    assert_eq!(pages, [vec!["B", "a"], vec!["aa", "b"], vec!["é"]]);
    assert_eq!(list(None, 0).await, [""; 0]);
}

async fn a_new_fix_is_stored_once(subject: &Subject) {
    let version = |accepted| PastFix { record: TrackRecord { accepted, ..TrackRecord::default() }, ..fix("a", 0.0) };
    let stored = join_all((0..8).map(async |n| subject.memory.remember_new(&version(n)).await.unwrap())).await;
    let winners: Vec<usize> = (0..8).filter(|n| stored[*n]).collect();
    let [winner] = winners[..] else { panic!("{winners:?} stored it") };
    let kept = version(u32::try_from(winner).unwrap());
    assert_eq!(subject.memory.get(&kept.id).await.unwrap(), Some(kept.clone()));
    assert!(!subject.memory.remember_new(&version(9)).await.unwrap());
    assert_eq!(subject.memory.get(&kept.id).await.unwrap(), Some(kept.clone()), "what people said of it is kept");

    assert!(subject.memory.forget(&kept.id).await.unwrap());
    assert!(subject.memory.remember_new(&version(9)).await.unwrap());
    assert_eq!(subject.memory.get(&kept.id).await.unwrap(), Some(version(9)));
    settles(subject, &query(5), &["a"]).await;
}

async fn fixes_of_other_embedders_are_never_compared(subject: &Subject) {
    let other = PastFix { embedder: "structural-2".to_owned(), ..fix("b", 0.0) };
    remember(subject, &[fix("a", 5.0), other]).await;
    settles(subject, &query(5), &["a"]).await;
    settles(subject, &FixQuery { embedder: "structural-2".to_owned(), ..query(5) }, &["b"]).await;
}

async fn what_is_no_vector_is_refused(subject: &Subject) {
    for vector in [vec![f32::NAN; 768], vec![f32::INFINITY; 768]] {
        let stored = PastFix { vector: vector.clone(), ..fix("a", 0.0) };
        assert_eq!(subject.memory.remember(&stored).await.unwrap_err().kind, ErrorKind::Malformed);
        let error = subject.memory.nearest(&FixQuery { vector, ..query(5) }).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed);
    }
    let error = subject.memory.nearest(&FixQuery { vector: vec![], ..query(5) }).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
    assert_eq!(subject.memory.list(None, 5).await.unwrap(), []);
}
