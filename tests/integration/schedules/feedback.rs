//! What people do with a proposal, and what is made of it: merged, amended, closed, opened again, undone.

use std::sync::Arc;

use codehealer::healer::trail;
use codehealer::model::{
    CaseOutcome, Check, EventKind, Feedback, Provenance, RejectionKind, RunState, Source, Verdict,
};
use codehealer::ports::{FixMemory, PullRequestState};
use codehealer::state::run::{FindingStatus, RunHead};

use super::people::{Bugs, People, merge};
use super::stage::{Removed, Stage};
use crate::support::clock::VirtualClock;
use crate::support::world::{ScriptedModel, rewrite};

const YAML: Bugs = Bugs { yaml: true, format: false };
const FORMAT: Bugs = Bugs { yaml: false, format: true };

/// A repository in which these bugs were pushed and proposed for.
async fn proposed(bugs: Bugs, model: Option<Arc<ScriptedModel>>) -> (Stage, People) {
    let mut stage = Stage::new(VirtualClock::new(), Removed::Nothing, None).await;
    stage.model = model;
    let mut people = People::default();
    pushed(&stage, &mut people, bugs).await;
    assert_eq!(stage.branches().len(), 1);
    (stage, people)
}

async fn pushed(stage: &Stage, people: &mut People, bugs: Bugs) {
    let push = people.push(stage, "a.py", bugs);
    stage.deliver(&push).await;
    assert!(stage.settle().await);
}

async fn newest(stage: &Stage) -> RunHead {
    stage.runs().await.pop().unwrap()
}

async fn feedback(stage: &Stage, run: &RunHead) -> Vec<Feedback> {
    let events = trail::events(&*stage.state, &run.case, run.generation).await.unwrap();
    let feedback = events.into_iter().filter_map(|event| match event.kind {
        EventKind::Feedback(feedback) => Some(feedback),
        _ => None,
    });
    feedback.collect()
}

async fn status(stage: &Stage, run: &RunHead) -> FindingStatus {
    let [record] = trail::findings(&*stage.state, &run.case).await.unwrap().try_into().unwrap();
    record.status
}

#[tokio::test(start_paused = true)]
async fn a_closed_proposal_that_is_opened_again_waits_for_people_as_before() {
    let (stage, mut people) = proposed(YAML, None).await;
    let branch = stage.branches().pop_first().unwrap();
    let show = |state, commit| stage.ledger.lock().unwrap().shown.insert(branch.clone(), (state, commit));
    show(PullRequestState::Closed, None);
    assert!(stage.settle().await);
    let run = newest(&stage).await;
    assert_eq!((run.summary.outcome, status(&stage, &run).await), (CaseOutcome::Closed, FindingStatus::Suppressed));
    let remembered = || async { stage.store.memory().list(None, 10).await.unwrap().remove(0) };
    assert_eq!(remembered().await.record.rejected, 1);

    show(PullRequestState::Open, None);
    assert!(stage.settle().await);
    let run = newest(&stage).await;
    assert_eq!((run.summary.outcome, status(&stage, &run).await), (CaseOutcome::Open, FindingStatus::Open));
    assert_eq!(remembered().await.record.rejected, 0, "its closing counts no longer");
    pushed(&stage, &mut people, YAML).await;
    assert_eq!((stage.runs().await.len(), stage.branches().len()), (1, 1), "it is still the one proposal");
    let key = format!("{}-g1", run.case);
    assert!(stage.board.notices()[&key].headline.starts_with("Reopened"), "{:?}", stage.board.notices());

    let tip = stage.git.tip(&branch).unwrap();
    show(PullRequestState::Merged, Some(tip.clone()));
    pushed(&stage, &mut people, Bugs::default()).await;
    let run = newest(&stage).await;
    assert_eq!((run.summary.outcome, status(&stage, &run).await), (CaseOutcome::Merged, FindingStatus::Healed));
    let said = feedback(&stage, &run).await;
    assert_eq!(said[..2], [Feedback::Closed, Feedback::Reopened]);
    assert!(matches!(&said[2], Feedback::Merged { commit, .. } if *commit == tip), "{said:?}");
    let memory = remembered().await;
    assert!(matches!(memory.provenance, Provenance::Merged { .. }), "{:?}", memory.provenance);
    assert_eq!((memory.record.accepted, memory.record.rejected), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_we_took_back_ourselves_is_not_begun_again_when_it_is_opened() {
    let (stage, _) = proposed(YAML, None).await;
    let branch = stage.branches().pop_first().unwrap();
    stage.git.delete_branch(&branch);
    assert!(stage.settle().await);
    let run = newest(&stage).await;
    // Other work ended the case since.
    let healer = stage.process(Arc::new(crate::support::faults::Healthy)).worker.healer().clone();
    healer.ignore(&run.case, None, "ann", "generated").await.unwrap();
    stage.ledger.lock().unwrap().shown.insert(branch, (PullRequestState::Open, None));
    assert!(stage.settle().await);
    assert_eq!(newest(&stage).await.summary.outcome, CaseOutcome::Suppressed);
    assert_eq!(status(&stage, &run).await, FindingStatus::Suppressed);
}

/// The verdicts on what a source proposed in the newest run.
async fn verdicts(stage: &Stage, source: Source) -> Vec<Verdict> {
    let run = newest(stage).await;
    let events = trail::events(&*stage.state, &run.case, run.generation).await.unwrap();
    let judged = events.into_iter().filter_map(|event| match event.kind {
        EventKind::Judged { source: judged, candidates } if judged == source => Some(candidates),
        _ => None,
    });
    judged.flatten().map(|judged| judged.verdict).collect()
}

fn is_vetoed(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Rejected(rejection) if rejection.check == RejectionKind::Vetoed)
}

#[tokio::test(start_paused = true)]
async fn an_undone_edit_is_vetoed_and_people_are_told_when_there_is_no_other() {
    let (stage, mut people) = proposed(YAML, None).await;
    merge(&stage, &stage.branches().pop_first().unwrap()).unwrap();
    assert!(stage.settle().await);
    pushed(&stage, &mut people, YAML).await;
    let runs = stage.runs().await;
    let ends: Vec<_> = runs.iter().map(|run| (run.generation.0, run.state, run.summary.outcome)).collect();
    let done = RunState::Done;
    assert_eq!(ends, [(1, done, CaseOutcome::Merged), (2, done, CaseOutcome::Escalated)]);
    assert!(matches!(feedback(&stage, &runs[0]).await.last(), Some(Feedback::Reverted { .. })));
    let judged = verdicts(&stage, Source::PastFix).await;
    assert!(!judged.is_empty() && judged.iter().all(is_vetoed), "{judged:?}");
    assert_eq!((stage.branches().len(), stage.board.notices().len()), (1, 2));
    pushed(&stage, &mut people, YAML).await;
    assert_eq!(stage.runs().await.len(), 2, "told once");
}

#[tokio::test(start_paused = true)]
async fn an_undone_edit_makes_room_for_another_one() {
    // The second time the model thinks of something else.
    let answers = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let model = ScriptedModel::answering(move |prompt| {
        let to = ["%s has", "it is %s, which has"][answers.fetch_add(1, std::sync::atomic::Ordering::SeqCst).min(1)];
        Ok(rewrite(prompt, "80", |region| region.replace("%s has %s", to)))
    });
    let (stage, mut people) = proposed(FORMAT, Some(model)).await;
    merge(&stage, &stage.branches().pop_first().unwrap()).unwrap();
    assert!(stage.settle().await);
    pushed(&stage, &mut people, FORMAT).await;
    let run = newest(&stage).await;
    assert_eq!((run.generation.0, run.state, run.summary.outcome), (2, RunState::Done, CaseOutcome::Open));
    let learned = verdicts(&stage, Source::PastFix).await;
    assert!(!learned.is_empty() && learned.iter().all(is_vetoed), "what was learned of it is vetoed too: {learned:?}");
    let judged = verdicts(&stage, Source::Model).await;
    assert!(matches!(&judged[..], [Verdict::Verified(checks)] if checks.contains(&Check::FindingGone)), "{judged:?}");
    let branch = run.case.branch(&run.summary.rule, run.generation);
    let text = stage.git.file_at(&stage.git.tip(&branch).unwrap(), "src/a.py");
    assert!(String::from_utf8(text).unwrap().contains("it is %s, which has"));
}

#[tokio::test(start_paused = true)]
async fn what_people_made_of_a_fix_before_they_merged_it_is_what_is_learned() {
    let (stage, _) = proposed(YAML, None).await;
    let branch = stage.branches().pop_first().unwrap();
    let text = String::from_utf8(stage.git.file_at(&stage.git.tip(&branch).unwrap(), "src/a.py")).unwrap();
    let amended = text.replace("yaml.safe_load(f)", "yaml.safe_load(f) or {}");
    stage.git.on(&branch).file("src/a.py", amended).commit("or nothing");
    merge(&stage, &branch).unwrap();
    assert!(stage.settle().await);
    let run = newest(&stage).await;
    let [Feedback::Merged { amended: true, .. }] = feedback(&stage, &run).await[..] else { panic!("not amended") };
    let [memory] = stage.store.memory().list(None, 10).await.unwrap().try_into().unwrap();
    assert!(memory.scope_after.contains("or {}"), "{}", memory.scope_after);
    assert_eq!((memory.record.accepted, memory.record.rejected, memory.record.reverted), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn other_work_in_the_merged_file_is_not_learned_as_ours() {
    let (stage, _) = proposed(YAML, None).await;
    let branch = stage.branches().pop_first().unwrap();
    let text = String::from_utf8(stage.git.file_at(&stage.git.tip(&branch).unwrap(), "src/a.py")).unwrap();
    let place = text.lines().find(|line| line.contains("yaml.safe_load")).unwrap();
    let indent = &place[..place.len() - place.trim_start().len()];
    let others: String = (0..30).map(|n| format!("{indent}unrelated_{n} = {n}\n")).collect();
    stage.git.on(&branch).file("src/a.py", text.replace(place, &format!("{others}{place}"))).commit("much more");
    merge(&stage, &branch).unwrap();
    assert!(stage.settle().await);
    let run = newest(&stage).await;
    let [Feedback::Merged { amended: false, .. }] = feedback(&stage, &run).await[..] else { panic!("amended") };
    let [memory] = stage.store.memory().list(None, 10).await.unwrap().try_into().unwrap();
    assert!(
        memory.scope_after.contains("safe_load") && !memory.scope_after.contains("unrelated"),
        "{}",
        memory.scope_after
    );
    assert_eq!(memory.record.accepted, 1, "the proposal stands for what was merged");
}

#[tokio::test(start_paused = true)]
async fn an_old_proposal_that_is_opened_again_does_not_take_the_case_back_from_a_newer_one() {
    let (stage, _) = proposed(YAML, None).await;
    let branch = stage.branches().pop_first().unwrap();
    let show = |state| stage.ledger.lock().unwrap().shown.insert(branch.clone(), (state, None));
    show(PullRequestState::Closed);
    assert!(stage.settle().await);
    let text = String::from_utf8(stage.git.file_at(&stage.git.tip("develop").unwrap(), "src/a.py")).unwrap();
    let more = format!("{text}\n\ndef more(stream):\n    return yaml.unsafe_load(stream)\n");
    stage.git.on("develop").file("src/a.py", more).commit("more");
    assert!(stage.settle().await);
    let outcomes = async || {
        let runs = stage.runs().await;
        runs.iter().map(|run| (run.generation.0, run.summary.outcome)).collect::<Vec<_>>()
    };
    let expected = [(1, CaseOutcome::Closed), (2, CaseOutcome::Open)];
    assert_eq!(outcomes().await, expected);
    show(PullRequestState::Open);
    assert!(stage.settle().await);
    assert_eq!(outcomes().await, expected);
    let run = newest(&stage).await;
    let current = trail::case_head(&*stage.state, &run.case).await.unwrap().unwrap();
    assert_eq!(current.generation, run.generation, "the case goes on with the newer one");
}
