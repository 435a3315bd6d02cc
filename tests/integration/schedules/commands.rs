//! What people ask for in comments on our pull requests: done once, for those who may push, and answered there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use codehealer::model::{CaseOutcome, CommandTask, EventKind, Feedback, RunState, Task};
use codehealer::ports::{ErrorKind, FixMemory, Forge, Inbox, PortError, PortResult, PullRequestState};
use codehealer::state::run::RunHead;

use super::people::{Bugs, People};
use super::stage::{Removed, Stage};
use crate::support::clock::VirtualClock;
use crate::support::faults::{Call, Counting, Dying, Fault, Healthy};

const YAML: Bugs = Bugs { yaml: true, format: false };

/// A repository with one pull request of ours, whose number is 1, and its people.
async fn healed() -> (Stage, People) {
    let stage = Stage::new(VirtualClock::new(), Removed::Nothing, None).await;
    stage.ledger.lock().unwrap().writers.insert("ann".to_owned());
    let mut people = People::default();
    let push = people.push(&stage, "a.py", YAML);
    stage.deliver(&push).await;
    assert!(stage.settle().await);
    assert_eq!(stage.ledger.lock().unwrap().numbers.len(), 1);
    (stage, people)
}

/// A comment on pull request `number`, as the receiver passes it on.
fn comment(stage: &Stage, number: u64, (comment, updated_at): (u64, &str), login: &str, text: &str) -> Task {
    let repository = stage.repository();
    Task::Command(CommandTask {
        repository: repository.id,
        name: repository.name,
        number,
        comment,
        updated_at: updated_at.to_owned(),
        login: login.to_owned(),
        text: text.to_owned(),
    })
}

async fn arrives(stage: &Stage, task: &Task) {
    stage.store.inbox().enqueue(&serde_json::to_string(task).unwrap(), None, Duration::ZERO).await.unwrap();
    assert!(stage.settle().await);
    assert_eq!(stage.store.inbox().buried(10).await.unwrap(), []);
}

/// The answers so far, with the number of the pull request that each stands on.
fn answers(stage: &Stage) -> Vec<(u64, String)> {
    stage.ledger.lock().unwrap().comments.iter().map(|(number, _, text)| (*number, text.clone())).collect()
}

async fn states(stage: &Stage) -> Vec<(u32, RunState, CaseOutcome)> {
    stage.runs().await.iter().map(|run| (run.generation.0, run.state, run.summary.outcome)).collect()
}

async fn last_event(stage: &Stage, run: &RunHead) -> EventKind {
    let events = codehealer::healer::trail::events(&*stage.state, &run.case, run.generation).await.unwrap();
    events.into_iter().next_back().unwrap().kind
}

#[tokio::test(start_paused = true)]
async fn ignore_is_for_good() {
    let (stage, mut people) = healed().await;
    arrives(&stage, &comment(&stage, 1, (7, "t1"), "ann", "/codehealer ignore it is  generated")).await;
    let [run] = stage.runs().await.try_into().unwrap();
    let ignored = Feedback::Ignored { by: "ann".to_owned(), reason: "it is generated".to_owned() };
    assert_eq!(last_event(&stage, &run).await, EventKind::Feedback(ignored));
    let [(number, answer)] = answers(&stage).try_into().unwrap();
    assert!(number == 1 && answer.contains("Ignored for good: 1 finding(s), because it is generated"), "{answer}");

    let branch = stage.branches().pop_first().unwrap();
    stage.git.delete_branch(&branch);
    let push = people.push(&stage, "a.py", Bugs::default());
    stage.deliver(&push).await;
    assert!(stage.settle().await);
    let push = people.push(&stage, "a.py", YAML);
    stage.deliver(&push).await;
    assert!(stage.settle().await);
    assert_eq!(states(&stage).await, [(1, RunState::Done, CaseOutcome::Suppressed)]);
    assert_eq!((stage.branches().len(), stage.board.notices().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn retry_takes_the_proposal_back_and_judges_anew() {
    let (stage, _) = healed().await;
    arrives(&stage, &comment(&stage, 1, (7, "t1"), "ann", "/codehealer retry")).await;
    let expected = [(1, RunState::Done, CaseOutcome::Closed), (2, RunState::Done, CaseOutcome::Open)];
    assert_eq!(states(&stage).await, expected);
    let runs = stage.runs().await;
    let retried = EventKind::Feedback(Feedback::Retried { by: "ann".to_owned() });
    assert_eq!(last_event(&stage, &runs[0]).await, retried);
    let request = |number| {
        let (hub, repository) = (stage.hub(), stage.repository());
        async move { hub.pull_request(&repository, number).await.unwrap().unwrap().state }
    };
    assert_eq!((request(1).await, request(2).await), (PullRequestState::Closed, PullRequestState::Open));
    let memories = stage.store.memory().list(None, 10).await.unwrap();
    assert!(memories.iter().all(|memory| memory.record.rejected == 0), "it counts against nothing");
    assert!(answers(&stage)[0].1.contains("taken back"), "{:?}", answers(&stage));
}

#[tokio::test(start_paused = true)]
async fn explain_tells_the_walk_and_changes_nothing() {
    let (stage, _) = healed().await;
    let before = (states(&stage).await, stage.git.references(), stage.board.notices().len());
    arrives(&stage, &comment(&stage, 1, (7, "t1"), "ann", "/codehealer explain")).await;
    let [(_, answer)] = answers(&stage).try_into().unwrap();
    for told in ["How this came about", "yaml.safe_load", "curated with the rule", "codehealer/"] {
        assert!(answer.contains(told), "{told} is not in {answer}");
    }
    assert_eq!((states(&stage).await, stage.git.references(), stage.board.notices().len()), before);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_until_it_is_resumed_and_loses_nothing() {
    let (stage, mut people) = healed().await;
    arrives(&stage, &comment(&stage, 1, (7, "t1"), "ann", "/codehealer pause")).await;
    let push = people.push(&stage, "b.py", YAML);
    stage.deliver(&push).await;
    assert!(stage.settle().await);
    assert_eq!(stage.runs().await.len(), 1, "nothing is looked at");
    arrives(&stage, &comment(&stage, 1, (8, "t2"), "ann", "/codehealer resume")).await;
    assert_eq!((stage.runs().await.len(), stage.branches().len()), (2, 2), "what was pushed meanwhile is healed");
    let said: Vec<String> = answers(&stage).into_iter().map(|(_, text)| text).collect();
    assert!(said[0].contains("Paused by ann") && said[1].contains("Going on"), "{said:?}");
}

/// What was found before the pause waits as well, and goes on with the word alone: nobody waits for the schedule.
#[tokio::test(start_paused = true)]
async fn a_run_that_was_found_before_the_pause_waits_until_the_word_is_given() {
    let (stage, mut people) = healed().await;
    let push = people.push(&stage, "b.py", YAML);
    stage.deliver(&push).await;
    let healthy = || stage.process(Arc::new(Healthy)).worker;
    assert_eq!(healthy().work(1).await.unwrap(), 1, "the scan");
    let waits = stage.runs().await.into_iter().find(|run| run.state == RunState::Detected).unwrap();
    let pause = comment(&stage, 1, (7, "t1"), "ann", "/codehealer pause");
    healthy().handle(&pause).await.unwrap();
    let unseen = people.push(&stage, "c.py", YAML);
    stage.deliver(&unseen).await;
    for _ in 0..5 {
        let process = healthy();
        process.reconcile().await.unwrap();
        while process.work(10).await.unwrap() > 0 {}
        stage.clock.advance(Duration::from_secs(600));
    }
    let now = codehealer::healer::trail::run_head(&*stage.state, &waits.case, waits.generation).await.unwrap().unwrap();
    assert_eq!((now.state, stage.branches().len()), (RunState::Detected, 1), "it is not healed");

    let resume = comment(&stage, 1, (8, "t2"), "ann", "/codehealer resume");
    stage.store.inbox().enqueue(&serde_json::to_string(&resume).unwrap(), None, Duration::ZERO).await.unwrap();
    let process = healthy();
    while process.work(1).await.unwrap() > 0 {}
    assert_eq!((stage.runs().await.len(), stage.branches().len()), (3, 3), "found before, and pushed meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_stranger_can_neither_command_nor_make_us_talk() {
    let (stage, _) = healed().await;
    let before = (states(&stage).await, stage.git.references());
    for (number, word) in ["ignore it", "retry", "explain", "pause", "resume", "dance"].iter().enumerate() {
        let task = comment(&stage, 1, (number as u64, "t1"), "mallory", &format!("/codehealer {word}"));
        arrives(&stage, &task).await;
    }
    assert_eq!((states(&stage).await, stage.git.references()), before);
    assert_eq!(answers(&stage), []);
    assert_eq!(stage.ledger.lock().unwrap().looked_up, vec!["mallory"; 6]);
}

#[tokio::test(start_paused = true)]
async fn a_comment_that_comes_again_is_done_once_and_an_edited_one_anew() {
    let (stage, _) = healed().await;
    let first = comment(&stage, 1, (7, "t1"), "ann", "/codehealer explain");
    for _ in 0..3 {
        arrives(&stage, &first).await;
    }
    assert_eq!((answers(&stage).len(), stage.ledger.lock().unwrap().looked_up.len()), (1, 1));
    let edited = comment(&stage, 1, (7, "t2"), "ann", "/codehealer ignore on second thought");
    for _ in 0..2 {
        arrives(&stage, &edited).await;
    }
    assert_eq!((answers(&stage).len(), stage.ledger.lock().unwrap().looked_up.len()), (2, 2));
    assert_eq!(states(&stage).await, [(1, RunState::Done, CaseOutcome::Suppressed)]);
    let retry = comment(&stage, 1, (9, "t1"), "ann", "/codehealer dance");
    arrives(&stage, &retry).await;
    assert!(answers(&stage)[2].1.contains("dance is not something that can be asked for"), "{:?}", answers(&stage));
}

#[tokio::test(start_paused = true)]
async fn a_pull_request_of_others_has_no_case() {
    let (stage, _) = healed().await;
    let before = (states(&stage).await, stage.git.references());
    let case = stage.runs().await[0].case.short().to_owned();
    // Other people's branches, also ones that look like ours, and a number that nobody has.
    let strange = ["feature/login", "codehealer", &format!("mine/codehealer/x-{case}-g1")];
    stage.ledger.lock().unwrap().numbers.extend(strange.map(str::to_owned));
    for number in [2, 3, 4, 99] {
        for word in ["ignore", "retry", "explain"] {
            let task =
                comment(&stage, number, (number * 10 + word.len() as u64, "t1"), "ann", &format!("/codehealer {word}"));
            arrives(&stage, &task).await;
        }
    }
    assert_eq!((states(&stage).await, stage.git.references()), before);
    assert!(answers(&stage).iter().all(|(_, text)| text.contains("No case is on record")), "{:?}", answers(&stage));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_while_it_obeys_is_followed_by_one_that_finishes() {
    for word in ["retry", "ignore it", "pause"] {
        for effects in 0.. {
            let (stage, mut people) = healed().await;
            let task = comment(&stage, 1, (7, "t1"), "ann", &format!("/codehealer {word}"));
            let dying = Dying::after(effects);
            let _ = stage.process(dying.clone() as Arc<dyn Fault>).worker.handle(&task).await;
            stage.clock.advance(Duration::from_secs(60));
            arrives(&stage, &task).await;
            assert_eq!(answers(&stage).len(), 1, "{word}, {effects}");
            let open = CaseOutcome::Open;
            let (done, outcomes) = (RunState::Done, states(&stage).await);
            match word {
                "retry" => assert_eq!(outcomes, [(1, done, CaseOutcome::Closed), (2, done, open)], "{effects}"),
                "pause" => {
                    let push = people.push(&stage, "b.py", YAML);
                    stage.deliver(&push).await;
                    assert!(stage.settle().await);
                    assert_eq!(states(&stage).await, [(1, done, open)], "{effects}");
                }
                _ => assert_eq!(outcomes, [(1, done, CaseOutcome::Suppressed)], "{effects}"),
            }
            if !dying.is_dead() {
                assert!(effects > 1, "{word}: only {effects} points were tried");
                break;
            }
        }
    }
}

/// The notice of a proposal is refused; that of a failure is not.
struct Untold;

#[async_trait]
impl Fault for Untold {
    async fn before(&self, call: &Call) -> PortResult<()> {
        if !call.is("notifier", "ensure_notice") || call.key.ends_with("-failed") {
            return Ok(());
        }
        Err(PortError::new("notifier", "post the notice: invalid_blocks", ErrorKind::Malformed))
    }
}

/// A run that failed after its pull request was opened goes on with it, whoever dies while he obeys.
#[tokio::test(start_paused = true)]
async fn retry_lets_a_failed_run_go_on_with_the_proposal_that_it_has() {
    for effects in 0.. {
        let stage = Stage::new(VirtualClock::new(), Removed::Nothing, None).await;
        stage.ledger.lock().unwrap().writers.insert("ann".to_owned());
        stage.deliver(&People::default().push(&stage, "a.py", YAML)).await;
        while stage.process(Arc::new(Untold)).worker.work(10).await.unwrap() > 0 {}
        assert!(stage.settle().await);
        assert_eq!(states(&stage).await, [(1, RunState::Failed, CaseOutcome::Failed)]);
        assert_eq!(stage.ledger.lock().unwrap().numbers.len(), 1, "its pull request was opened before");

        let task = comment(&stage, 1, (7, "t1"), "ann", "/codehealer retry");
        let dying = Dying::after(effects);
        let _ = stage.process(dying.clone() as Arc<dyn Fault>).worker.handle(&task).await;
        stage.clock.advance(Duration::from_secs(60));
        // Meanwhile the run may have come to its end.
        assert!(stage.settle().await);
        arrives(&stage, &task).await;
        assert_eq!(states(&stage).await, [(1, RunState::Done, CaseOutcome::Open)], "{effects}");
        assert_eq!((stage.ledger.lock().unwrap().numbers.len(), stage.branches().len()), (1, 1), "{effects}");
        let [(1, answer)] = &answers(&stage)[..] else { panic!("{:?}", answers(&stage)) };
        assert!(answer.contains("it goes on from where it stopped"), "{answer}");
        if !dying.is_dead() {
            assert!(effects > 1, "only {effects} points were tried");
            break;
        }
    }
}

/// From webhook to notice, a bug that a curated fix heals asks the forge this and nothing more.
#[tokio::test(start_paused = true)]
async fn a_healed_case_asks_the_forge_no_more_than_it_needs() {
    let stage = Stage::new(VirtualClock::new(), Removed::Nothing, None).await;
    let push = People::default().push(&stage, "a.py", YAML);
    stage.deliver(&push).await;
    let counting = Counting::new();
    let process = stage.process(counting.clone() as Arc<dyn Fault>);
    while process.worker.work(1).await.unwrap() > 0 {}
    let _ = Arc::new(Healthy);
    assert_eq!(stage.branches().len(), 1);
    let expected = [
        "head", // the branch now
        "read", // the repository's configuration where the range begins
        "changed_files",
        "read_blob",
        "read",      // the configuration at the commit that is healed
        "read_blob", // by its id: a forge may keep it
        "head",      // is it still the file that was judged?
        "ensure_branch",
        "ensure_pull_request",
    ];
    assert_eq!(counting.verbs("forge"), expected);
}

/// What we took back ourselves is ours to take back: opening it again is not a person's judgement undone.
#[tokio::test(start_paused = true)]
async fn a_proposal_that_was_taken_back_stays_so_when_it_is_opened_again() {
    let (stage, mut people) = healed().await;
    let branch = stage.branches().pop_first().unwrap();
    // The bug is gone by then, so that there is nothing to begin anew.
    let push = people.push(&stage, "a.py", Bugs::default());
    stage.deliver(&push).await;
    arrives(&stage, &comment(&stage, 1, (7, "t1"), "ann", "/codehealer retry")).await;
    assert_eq!(states(&stage).await, [(1, RunState::Done, CaseOutcome::Closed)]);
    let [run] = stage.runs().await.try_into().unwrap();
    stage.ledger.lock().unwrap().shown.insert(branch, (PullRequestState::Open, None));
    assert!(stage.settle().await);
    assert_eq!(states(&stage).await, [(1, RunState::Done, CaseOutcome::Closed)]);
    let retried = EventKind::Feedback(Feedback::Retried { by: "ann".to_owned() });
    assert_eq!(last_event(&stage, &run).await, retried);
}
