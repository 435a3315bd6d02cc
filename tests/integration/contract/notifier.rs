//! What every notifier keeps: one notice a key, kept up to date, told once.

use codehealer::model::{Notice, NoticeKind};
use codehealer::ports::Notifier;

/// A notifier, and a look at what people got.
pub trait Told: Send + Sync {
    fn notifier(&self) -> &dyn Notifier;

    /// How often people were told something new.
    fn times(&self) -> usize;

    /// What stands at a reference.
    fn text(&self, reference: &str) -> String;

    /// The same place, as another process finds it.
    fn again(&self) -> Box<dyn Told>;
}

pub fn notice(key: &str, body: &str) -> Notice {
    Notice {
        key: key.into(),
        kind: NoticeKind::PullRequest,
        headline: "Pull request: SQL_INJECTION in src/auth.py line 15 → Fix: use a parameterized query".into(),
        body: body.into(),
        repository: "acme/shop".into(),
        link: Some("https://github.com/acme/shop/pull/7".into()),
        for_senior: true,
        earlier: None,
        since: 1_767_225_600_000,
    }
}

/// Runs the whole suite; `make` gives an empty place each time.
pub async fn contract<T: Told>(make: impl AsyncFn() -> T) {
    a_notice_is_told_once(&make().await).await;
    what_changed_is_brought_up_to_date_in_place(&make().await).await;
    two_keys_are_two_notices(&make().await).await;
    another_process_finds_the_notice(&make().await).await;
    a_reference_of_another_backend_is_no_obstacle(&make().await).await;
}

async fn a_notice_is_told_once(told: &impl Told) {
    let first = told.notifier().ensure_notice(&notice("k", "proposed")).await.unwrap();
    let with_reference = Notice { earlier: Some(first.clone()), ..notice("k", "proposed") };
    let second = told.notifier().ensure_notice(&with_reference).await.unwrap();
    let third = told.notifier().ensure_notice(&notice("k", "proposed")).await.unwrap();
    assert_eq!((&first, &first), (&second, &third));
    assert_eq!(told.times(), 1);
    assert!(told.text(&first).contains("proposed"), "{}", told.text(&first));
}

async fn what_changed_is_brought_up_to_date_in_place(told: &impl Told) {
    let first = told.notifier().ensure_notice(&notice("k", "proposed")).await.unwrap();
    let merged = Notice { earlier: Some(first.clone()), ..notice("k", "merged") };
    assert_eq!(told.notifier().ensure_notice(&merged).await.unwrap(), first);
    assert!(told.text(&first).contains("merged"), "{}", told.text(&first));
    assert_eq!(told.notifier().ensure_notice(&notice("k", "closed")).await.unwrap(), first);
    assert!(told.text(&first).contains("closed") && !told.text(&first).contains("merged"));
    assert_eq!(told.times(), 1, "an update draws nobody's attention");
}

async fn two_keys_are_two_notices(told: &impl Told) {
    let first = told.notifier().ensure_notice(&notice("k", "one")).await.unwrap();
    let second = told.notifier().ensure_notice(&notice("k-failed", "two")).await.unwrap();
    assert_ne!(first, second);
    assert!(told.text(&first).contains("one") && told.text(&second).contains("two"));
    assert_eq!(told.times(), 2);
}

async fn another_process_finds_the_notice(told: &impl Told) {
    let first = told.notifier().ensure_notice(&notice("k", "one")).await.unwrap();
    let other = told.again();
    assert_eq!(other.notifier().ensure_notice(&notice("k", "two")).await.unwrap(), first);
    assert_eq!(told.times(), 1);
    assert!(told.text(&first).contains("two"));
}

async fn a_reference_of_another_backend_is_no_obstacle(told: &impl Told) {
    let foreign = Notice { earlier: Some("https://elsewhere.example/1".into()), ..notice("k", "one") };
    let first = told.notifier().ensure_notice(&foreign).await.unwrap();
    assert!(told.text(&first).contains("one"));
    assert_eq!(told.times(), 1);
}
