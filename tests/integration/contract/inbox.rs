//! What every queue answers.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use codehealer::ports::{Aside, Depth, ErrorKind, Inbox, Taken};

use crate::support::clock::VirtualClock;

const NOW: Duration = Duration::ZERO;

/// A fresh, empty queue, the time it goes by, and what it can.
pub struct Subject {
    pub inbox: Arc<dyn Inbox>,
    /// What was put aside from it.
    pub aside: Arc<dyn Aside>,
    pub time: Time,
    /// Whether of equal messages one is kept.
    pub dedupes: bool,
}

/// Whose time a queue goes by.
pub enum Time {
    Virtual(Arc<VirtualClock>),
    /// Nobody can turn it: tests wait, and look around the edges instead of at them.
    Real,
}

impl Subject {
    /// The time that the suite counts in.
    fn unit(&self) -> Duration {
        match self.time {
            Time::Virtual(_) => Duration::from_secs(60),
            Time::Real => Duration::from_secs(4),
        }
    }

    /// Waits until `wait` is nearly over.
    async fn nearly(&self, wait: Duration) {
        match &self.time {
            Time::Virtual(clock) => clock.advance(wait - Duration::from_millis(1)),
            Time::Real => tokio::time::sleep(wait / 2).await,
        }
    }

    /// Waits for the rest of what [`Self::nearly`] waited for.
    async fn rest(&self, wait: Duration) {
        match &self.time {
            Time::Virtual(clock) => clock.advance(Duration::from_millis(1)),
            Time::Real => tokio::time::sleep(wait / 2 + Duration::from_millis(500)).await,
        }
    }

    async fn pass(&self, wait: Duration) {
        self.nearly(wait).await;
        self.rest(wait).await;
    }
}

/// Runs the whole suite; `make` gives an empty queue each time.
pub async fn contract<F, Made>(make: F)
where
    F: Fn() -> Made,
    Made: Future<Output = Subject>,
{
    // At the same time, for those who have to wait for real.
    tokio::join!(
        async { a_message_is_hidden_while_it_is_worked_on(&make().await).await },
        async { a_worker_that_dies_gives_the_message_to_another(&make().await).await },
        async { a_delayed_message_waits(&make().await).await },
        async { a_message_given_back_waits_and_counts(&make().await).await },
        async { a_buried_message_is_never_taken(&make().await).await },
        async { a_prolonged_message_still_ends(&make().await).await },
        async { what_was_put_aside_is_looked_at_and_gets_another_chance(&make().await).await },
    );
    equal_messages_do_no_harm(&make().await).await;
    what_is_no_message_is_refused(&make().await).await;
    workers_share_the_messages(&make().await).await;
}

async fn take(subject: &Subject, limit: usize) -> Vec<Taken> {
    subject.inbox.take(limit, subject.unit()).await.unwrap()
}

async fn one(subject: &Subject) -> Taken {
    let mut taken = take(subject, 10).await;
    assert_eq!(taken.len(), 1, "{taken:?}");
    taken.remove(0)
}

async fn a_message_is_hidden_while_it_is_worked_on(subject: &Subject) {
    assert!(take(subject, 10).await.is_empty());
    subject.inbox.enqueue(r#"{"é":"\u0000"}"#, None, NOW).await.unwrap();
    let taken = one(subject).await;
    assert_eq!((taken.body.as_str(), taken.attempts), (r#"{"é":"\u0000"}"#, 1));
    assert!(take(subject, 10).await.is_empty());
    subject.inbox.done(&taken.receipt).await.unwrap();
    subject.pass(2 * subject.unit()).await;
    assert!(take(subject, 10).await.is_empty());
    subject.inbox.done(&taken.receipt).await.expect("done twice is done");
}

async fn a_worker_that_dies_gives_the_message_to_another(subject: &Subject) {
    subject.inbox.enqueue("m", None, NOW).await.unwrap();
    let first = one(subject).await;
    subject.nearly(subject.unit()).await;
    assert!(take(subject, 10).await.is_empty());
    subject.rest(subject.unit()).await;
    let second = one(subject).await;
    assert_eq!(second.attempts, 2);
    assert_ne!(first.receipt, second.receipt);

    // The first wakes up: nothing of what it says touches the message that is no longer its own.
    subject.inbox.retry(&first.receipt, NOW).await.unwrap();
    subject.inbox.bury(&first.receipt, "late").await.unwrap();
    subject.inbox.done(&first.receipt).await.unwrap();
    assert!(take(subject, 10).await.is_empty());
    subject.inbox.retry(&second.receipt, NOW).await.unwrap();
    assert_eq!(one(subject).await.attempts, 3);
}

async fn a_delayed_message_waits(subject: &Subject) {
    subject.inbox.enqueue("later", None, subject.unit()).await.unwrap();
    subject.inbox.enqueue("now", None, NOW).await.unwrap();
    assert_eq!(one(subject).await.body, "now");
    subject.pass(subject.unit()).await;
    let bodies: BTreeSet<_> = take(subject, 10).await.into_iter().map(|taken| taken.body).collect();
    assert!(bodies.contains("later"));
}

async fn a_message_given_back_waits_and_counts(subject: &Subject) {
    subject.inbox.enqueue("m", None, NOW).await.unwrap();
    let taken = one(subject).await;
    let longer = 3 * subject.unit();
    subject.inbox.retry(&taken.receipt, longer).await.unwrap();
    subject.nearly(longer).await;
    assert!(take(subject, 10).await.is_empty());
    subject.rest(longer).await;
    assert_eq!(one(subject).await.attempts, 2);
}

async fn a_buried_message_is_never_taken(subject: &Subject) {
    subject.inbox.enqueue("poison", None, NOW).await.unwrap();
    subject.inbox.enqueue("good", None, NOW).await.unwrap();
    for taken in take(subject, 10).await {
        if taken.body == "poison" {
            subject.inbox.bury(&taken.receipt, "cannot be read").await.unwrap();
        } else {
            subject.inbox.retry(&taken.receipt, NOW).await.unwrap();
        }
    }
    subject.pass(2 * subject.unit()).await;
    assert_eq!(one(subject).await.body, "good");
}

/// Who works for long prolongs its time with `retry`, and the receipt stays good.
async fn a_prolonged_message_still_ends(subject: &Subject) {
    for body in ["poison", "good", "slow"] {
        subject.inbox.enqueue(body, None, NOW).await.unwrap();
    }
    let taken = take(subject, 10).await;
    assert_eq!(taken.len(), 3);
    let prolong = async || {
        for one in &taken {
            subject.inbox.retry(&one.receipt, 2 * subject.unit()).await.unwrap();
        }
    };
    prolong().await;
    subject.nearly(subject.unit()).await;
    prolong().await;
    for one in &taken {
        match one.body.as_str() {
            "poison" => subject.inbox.bury(&one.receipt, "cannot be read").await.unwrap(),
            "good" => subject.inbox.done(&one.receipt).await.unwrap(),
            _ => {}
        }
    }
    subject.pass(3 * subject.unit()).await;
    let last = one(subject).await;
    assert_eq!((last.body.as_str(), last.attempts), ("slow", 2), "its time ran out");
    let buried = subject.aside.buried(10).await.unwrap();
    assert_eq!(buried.iter().map(|buried| buried.body.as_str()).collect::<Vec<_>>(), ["poison"]);
}

async fn what_was_put_aside_is_looked_at_and_gets_another_chance(subject: &Subject) {
    assert_eq!(subject.aside.buried(10).await.unwrap(), []);
    assert_eq!(subject.aside.redrive(10).await.unwrap(), 0);
    for n in 0..3 {
        subject.inbox.enqueue(&format!("m{n}"), None, NOW).await.unwrap();
    }
    for taken in take(subject, 10).await {
        subject.inbox.bury(&taken.receipt, &format!("why {}", taken.body)).await.unwrap();
        subject.inbox.bury(&taken.receipt, "again").await.unwrap();
    }
    assert_eq!(subject.aside.depth().await.unwrap(), Depth { ready: 0, hidden: 0, buried: 3 });
    for _ in 0..2 {
        let buried = subject.aside.buried(10).await.unwrap();
        let told: BTreeSet<_> = buried.iter().map(|b| (b.body.clone(), b.reason.clone(), b.attempts)).collect();
        let expected = (0..3).map(|n| (format!("m{n}"), format!("why m{n}"), 1)).collect();
        assert_eq!(told, expected, "looking takes nothing away");
        assert_eq!(buried.iter().map(|b| &b.receipt).collect::<BTreeSet<_>>().len(), 3);
    }
    assert_eq!(subject.aside.buried(2).await.unwrap().len(), 2);
    assert_eq!(subject.aside.redrive(0).await.unwrap(), 0);
    assert_eq!(subject.aside.redrive(2).await.unwrap(), 2);
    assert_eq!(subject.aside.depth().await.unwrap(), Depth { ready: 2, hidden: 0, buried: 1 });
    let taken = take(subject, 10).await;
    assert!(taken.len() == 2 && taken.iter().all(|taken| taken.attempts == 1), "{taken:?}");
    assert_eq!(subject.aside.redrive(10).await.unwrap(), 1);
    assert_eq!(one(subject).await.attempts, 1);
    assert_eq!(subject.aside.buried(10).await.unwrap(), []);
}

async fn equal_messages_do_no_harm(subject: &Subject) {
    if !subject.dedupes {
        subject.inbox.enqueue("same", Some("k"), NOW).await.unwrap();
        subject.inbox.enqueue("same", Some("k"), NOW).await.unwrap();
        let bodies: BTreeSet<_> = take(subject, 10).await.into_iter().map(|taken| taken.body).collect();
        assert_eq!(bodies, BTreeSet::from(["same".to_owned()]));
        return;
    }
    let enqueue = |body: &'static str, dedupe| subject.inbox.enqueue(body, Some(dedupe), NOW);
    enqueue("first", "k").await.unwrap();
    enqueue("second", "k").await.unwrap();
    enqueue("third", "other").await.unwrap();
    let taken = take(subject, 10).await;
    let bodies: BTreeSet<_> = taken.iter().map(|taken| taken.body.as_str()).collect();
    assert_eq!(bodies, BTreeSet::from(["first", "third"]));
    enqueue("while it is worked on", "k").await.unwrap();
    assert!(take(subject, 10).await.is_empty());
    for taken in taken {
        subject.inbox.done(&taken.receipt).await.unwrap();
    }
    assert!(take(subject, 10).await.is_empty());
}

async fn what_is_no_message_is_refused(subject: &Subject) {
    for body in [String::new(), "x".repeat(1024 * 1024 + 1)] {
        let error = subject.inbox.enqueue(&body, None, NOW).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.chain().len() < 1_000, "the error repeats the message");
    }
    subject.inbox.enqueue(&"x".repeat(1024 * 1024), None, NOW).await.unwrap();
    assert_eq!(one(subject).await.body.len(), 1024 * 1024);
    assert!(subject.inbox.take(0, subject.unit()).await.unwrap().is_empty());
}

async fn workers_share_the_messages(subject: &Subject) {
    for n in 0..40 {
        subject.inbox.enqueue(&format!("m{n}"), None, NOW).await.unwrap();
    }
    let workers = (0..8).map(|_| {
        let inbox = Arc::clone(&subject.inbox);
        tokio::spawn(async move {
            let mut bodies = Vec::new();
            loop {
                let taken = inbox.take(3, Duration::from_secs(60)).await.unwrap();
                if taken.is_empty() {
                    return bodies;
                }
                for taken in taken {
                    inbox.done(&taken.receipt).await.unwrap();
                    bodies.push(taken.body);
                }
            }
        })
    });
    let mut all = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        all.extend(worker.await.unwrap());
    }
    // A queue that cannot tell equal messages apart may hand one to two workers at the same moment: at least once.
    assert!(all.len() == 40 || !subject.dedupes, "a message was taken by two workers");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 40, "each message was taken");
}
