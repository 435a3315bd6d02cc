//! Limits that all workers share: pull requests by the hour and open at a time, cases of one push, circuit breakers, turns, and the
//! deadline of an invocation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codehealer::healer::{BreakerPolicy, Caps, HealError};
use codehealer::model::{ConsultOutcome, EventKind, RunState, Source};
use codehealer::ports::{Clock, ErrorKind, PortError, PullRequestState};

use crate::support::faults::{Down, Fault, LosesAnswers};
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, ScriptedModel, UNKNOWN, World};

on_both_stores! {
    a_limit_holds_while_answers_are_lost_and_the_rest_follows_in_later_hours,
    open_pull_requests_are_limited_until_people_end_them,
    the_most_severe_cases_of_a_large_push_come_first_and_people_are_told_of_the_rest,
    work_is_laid_down_before_the_deadline_and_taken_up_again,
    a_forge_that_asks_to_be_left_alone_is_left_alone_by_all_workers,
    a_paused_repository_rests_until_it_is_resumed;
    on_threads:
    many_workers_together_keep_the_limit,
    fifty_workers_probe_a_dead_model_once_a_cool_down,
    a_dependency_that_is_back_is_asked_by_everybody_again,
    a_throttled_dependency_is_left_alone_as_long_as_it_asked_for,
    a_refusal_is_an_answer_and_opens_no_breaker,
}

const HOUR: Duration = Duration::from_secs(60 * 60);

fn caps(per_hour: u64, open: usize, cases_a_push: usize) -> Option<Caps> {
    Some(Caps { per_hour, open, cases_a_push, pause: Duration::ZERO })
}

async fn files_pushed(world: &World, files: usize) {
    let before = world.git.tip("develop");
    let mut change = world.git.on("develop");
    for number in 0..files {
        change = change.file(&format!("src/file{number}.py"), BAD);
    }
    let after = change.commit("many files");
    world.deliver(&crate::support::world::Push { before, after }).await;
}

async fn a_limit_holds_while_answers_are_lost_and_the_rest_follows_in_later_hours(at: Storage) {
    let mut world = at.world().await;
    world.policy.caps = caps(10, 1000, 1000);
    // Begins with the hour, so that all work of this test's first part falls into one window.
    let into = world.clock.now() % 3_600_000;
    world.clock.advance(Duration::from_millis(3_600_000 - into));
    files_pushed(&world, 100).await;
    let unreliable = world.process_under(LosesAnswers::new() as Arc<dyn Fault>);
    world.work_off(&unreliable).await;
    assert_eq!(world.pull_requests(), 10, "exactly the limit now");
    assert_eq!(world.runs().await.iter().filter(|run| run.state == RunState::Deferred).count(), 90);
    for hour in 2..=10 {
        world.clock.advance(HOUR);
        world.work_off(&world.process()).await;
        assert_eq!(world.pull_requests(), hour * 10, "hour {hour}");
    }
    world.assert_ended().await;
}

async fn many_workers_together_keep_the_limit(at: Storage) {
    let mut world = at.world().await;
    world.policy.caps = caps(4, 1000, 1000);
    files_pushed(&world, 20).await;
    world.process().worker.work(1).await.unwrap();
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let process = world.process();
            tokio::spawn(async move { while process.worker.work(1).await.unwrap() > 0 {} })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(world.pull_requests(), 4);
}

async fn open_pull_requests_are_limited_until_people_end_them(at: Storage) {
    let mut world = at.world().await;
    world.policy.caps = caps(1000, 3, 1000);
    files_pushed(&world, 5).await;
    world.work_off(&world.process()).await;
    assert_eq!(world.pull_requests(), 3);
    let waits = world.runs().await.into_iter().find(|run| run.state == RunState::Deferred).unwrap();
    let events = world.events(&waits).await;
    let Some(EventKind::Deferred { reason, .. }) = events.last().map(|e| &e.kind) else { panic!("{events:?}") };
    assert!(reason.contains("3 pull requests of ours are open"), "{reason}");
    // Time alone changes nothing.
    world.clock.advance(HOUR);
    world.work_off(&world.process()).await;
    assert_eq!(world.pull_requests(), 3);
    let (branch, _) = world.branches().into_iter().next().unwrap();
    world.git.delete_branch(branch.strip_prefix("refs/heads/").unwrap());
    world.clock.advance(HOUR);
    world.work_off(&world.process()).await;
    assert_eq!(world.pull_requests(), 4, "one was closed, one more is opened");
}

async fn the_most_severe_cases_of_a_large_push_come_first_and_people_are_told_of_the_rest(at: Storage) {
    let mut world = at.world().await;
    world.policy.caps = caps(1000, 1000, 2);
    files_pushed(&world, 5).await;
    let process = world.process();
    while process.worker.work(10).await.unwrap() > 0 {}
    assert_eq!(world.pull_requests(), 2);
    let told = world.shown.lock().unwrap().clone();
    let report = told.iter().find(|notice| notice.headline.contains("3 more case(s)")).expect("a report");
    assert!(report.body.contains("src/file"), "{}", report.body);
    for (hours, expected) in [(1, 4), (2, 5)] {
        world.clock.advance(HOUR + Duration::from_secs(1));
        world.work_off(&world.process()).await;
        assert_eq!(world.pull_requests(), expected, "after {hours} h");
    }
    world.assert_ended().await;
}

async fn fifty_workers_probe_a_dead_model_once_a_cool_down(at: Storage) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let model = ScriptedModel::answering(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Err(PortError::new("model", "answer", ErrorKind::Unavailable))
    });
    let mut world = at.world().await.with_model(&model);
    world.policy.breaker = BreakerPolicy { threshold: 3, cool_down: Duration::from_secs(60) };
    world.policy.defer = Duration::from_secs(30);
    let before = world.git.tip("develop");
    let mut change = world.git.on("develop");
    for number in 0..60 {
        change = change.file(&format!("src/tell{number}.py"), UNKNOWN);
    }
    let after = change.commit("many");
    world.deliver(&crate::support::world::Push { before, after }).await;
    let process = world.process();
    process.worker.work(1).await.unwrap();
    // Three runs in a row find it dead.
    process.worker.work(3).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    for cool_down in 1..=3 {
        world.clock.advance(Duration::from_secs(61));
        let workers: Vec<_> = (0..50)
            .map(|_| {
                let process = world.process();
                tokio::spawn(async move { process.worker.work(1).await.unwrap() })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
        assert_eq!(calls.load(Ordering::SeqCst), 3 + cool_down, "one probe in cool-down {cool_down}");
        for run in world.runs().await.iter().filter(|run| run.state == RunState::Deferred).take(5) {
            let asked = world.events(run).await.into_iter().find_map(|e| match e.kind {
                EventKind::Consulted(c) if c.source == Source::Model => Some(c.outcome),
                _ => None,
            });
            assert!(matches!(asked, Some(ConsultOutcome::Unavailable { .. })), "{asked:?}");
        }
        // So that there is something to ask about in the next round.
        world.process().worker.reconcile().await.unwrap();
    }
}

async fn work_is_laid_down_before_the_deadline_and_taken_up_again(at: Storage) {
    let model = ScriptedModel::rewriting("%s has %s", "%s has", "80");
    let world = at.world().await.with_model(&model);
    world.pushed("src/tell.py", UNKNOWN).await;
    world.process().worker.work(1).await.unwrap();
    let run = world.run().await;
    let hanging = world.process_under(Down::hanging("model") as Arc<dyn Fault>);
    let deadline = world.clock.now() + 7_000;
    let begun = std::time::Instant::now();
    let healer = hanging.worker.healer().clone().until(deadline);
    let outcome = healer.heal(&run.case, run.generation, &|_| {}).await;
    assert!(matches!(outcome, Err(HealError::OutOfTime)), "{outcome:?}");
    // Seven seconds were given, and at least five of them kept for saving.
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let saved = world.run().await;
    assert_eq!((saved.lease_until, saved.owner.as_deref()), (0, None), "the lease is given back");
    assert!(saved.due.is_some_and(|due| due <= world.clock.now()), "and the run is due at once");
    world.settle().await;
    world.assert_ok().await;
    assert_eq!(model.asked(), 1);
}

async fn a_forge_that_asks_to_be_left_alone_is_left_alone_by_all_workers(at: Storage) {
    let mut world = at.world().await;
    world.policy.caps = caps(1000, 1000, 1000);
    world.pushed("src/config.py", BAD).await;
    world.process().worker.work(1).await.unwrap();
    let limited = Throttles::after("ensure_branch", Duration::from_secs(300));
    world.process_under(limited.clone() as Arc<dyn Fault>).worker.work(1).await.unwrap();
    assert_eq!(limited.met.load(Ordering::SeqCst), 1);
    let counting = crate::support::faults::Counting::new();
    for _ in 0..4 {
        world.clock.advance(Duration::from_secs(60));
        let process = world.process_under(counting.clone() as Arc<dyn Fault>);
        process.worker.work(1).await.unwrap();
        let asked = counting.calls("forge", "head") + counting.calls("forge", "ensure_branch");
        assert_eq!(asked, 0, "nothing is asked of the forge early");
    }
    world.clock.advance(Duration::from_secs(61));
    world.settle().await;
    world.assert_ok().await;
}

async fn a_paused_repository_rests_until_it_is_resumed(at: Storage) {
    let world = at.world().await;
    let pause = codehealer::state::quota::Pause { by: "ann".to_owned(), at: 0 };
    let item = codehealer::state::Item {
        key: codehealer::state::keys::pause(&world.repository().id),
        fields: codehealer::state::run::fields(&pause),
        indexes: Vec::new(),
        expires: None,
    };
    codehealer::healer::trail::put(&*world.state, item.clone()).await.unwrap();
    world.pushed("src/config.py", BAD).await;
    for _ in 0..3 {
        world.work_off(&world.process()).await;
    }
    assert!(world.runs().await.is_empty() && world.branches().is_empty());
    let delete = codehealer::state::Write::Delete { key: item.key, when: Vec::new() };
    let transaction = codehealer::state::Transaction { writes: vec![delete], token: None };
    codehealer::healer::trail::commit(&*world.state, &transaction).await.unwrap();
    world.settle().await;
    world.assert_ok().await;
    assert_eq!(world.pull_request(&world.run().await).await.unwrap().state, PullRequestState::Open);
}

/// Answers one verb of the forge with a throttle, once.
struct Throttles {
    verb: &'static str,
    wait: Duration,
    met: AtomicUsize,
}

impl Throttles {
    fn after(verb: &'static str, wait: Duration) -> Arc<Self> {
        Arc::new(Self { verb, wait, met: AtomicUsize::new(0) })
    }
}

#[async_trait::async_trait]
impl Fault for Throttles {
    async fn before(&self, call: &crate::support::faults::Call) -> codehealer::ports::PortResult<()> {
        if call.is("forge", self.verb) {
            self.met.fetch_add(1, Ordering::SeqCst);
            return Err(PortError::new("forge", self.verb, ErrorKind::Throttled(self.wait)));
        }
        Ok(())
    }
}

/// Failures count in a row: what answered in between starts anew, and one probe that succeeds lets all in.
async fn a_dependency_that_is_back_is_asked_by_everybody_again(at: Storage) {
    let fails = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&fails);
    let model = ScriptedModel::answering(move |prompt| {
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(PortError::new("model", "answer", ErrorKind::Unavailable)),
            Err(_) => Ok(crate::support::world::rewrite(prompt, "80", |region| region.replace("%s has %s", "%s has"))),
        }
    });
    let mut world = at.world().await.with_model(&model);
    world.policy.breaker = BreakerPolicy { threshold: 3, cool_down: Duration::from_secs(600) };
    let asked = async |world: &World, file: usize, failing: usize| {
        fails.store(failing, Ordering::SeqCst);
        let before = model.asked();
        world.pushed(&format!("src/tell{file}.py"), UNKNOWN).await;
        world.process().drain().await.unwrap();
        model.asked() - before
    };
    for file in 0..6 {
        // Two fail, one answers: never three in a row.
        assert_eq!(asked(&world, file, usize::from(file % 3 != 2)).await, 1, "file {file}");
    }
    for file in 6..9 {
        assert_eq!(asked(&world, file, 1).await, 1, "file {file}");
    }
    assert_eq!(asked(&world, 9, 0).await, 0, "three in a row: it is left alone");
    world.clock.advance(Duration::from_secs(601));
    for file in 10..13 {
        assert_eq!(asked(&world, file, 0).await, 1, "file {file}: the probe answered");
    }
}

/// How often a model that always answers so is asked about one more file each time, after these pauses.
async fn asked_after(at: Storage, kind: ErrorKind, pauses: &[u64]) -> Vec<usize> {
    let model = ScriptedModel::answering(move |_| Err(PortError::new("model", "answer", kind.clone())));
    let mut world = at.world().await.with_model(&model);
    world.policy.breaker = BreakerPolicy { threshold: 2, cool_down: Duration::from_secs(60) };
    let mut asked = Vec::new();
    for (file, pause) in pauses.iter().enumerate() {
        world.clock.advance(Duration::from_secs(*pause));
        let before = model.asked();
        world.pushed(&format!("src/tell{file}.py"), UNKNOWN).await;
        world.process().drain().await.unwrap();
        asked.push(model.asked() - before);
    }
    asked
}

async fn a_throttled_dependency_is_left_alone_as_long_as_it_asked_for(at: Storage) {
    let long = ErrorKind::Throttled(Duration::from_secs(600));
    assert_eq!(asked_after(at, long, &[0, 0, 61, 500, 41]).await, [1, 1, 0, 0, 1]);
    // A shorter wait than the cool-down does not shorten it.
    let short = ErrorKind::Throttled(Duration::from_secs(1));
    assert_eq!(asked_after(at, short, &[0, 0, 2, 60]).await, [1, 1, 0, 1]);
}

async fn a_refusal_is_an_answer_and_opens_no_breaker(at: Storage) {
    for kind in [ErrorKind::Denied, ErrorKind::Malformed, ErrorKind::Missing] {
        assert_eq!(asked_after(at, kind, &[0, 0, 0, 0]).await, [1, 1, 1, 1]);
    }
}
