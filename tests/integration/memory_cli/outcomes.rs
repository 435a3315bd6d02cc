//! What people decide moves what is proposed next: on both stores.

use codehealer::fix::edit;
use codehealer::model::{Candidate, CandidateJudged, EventKind, Evidence, Source, Verdict};
use codehealer::state::run::RunHead;

use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, GOOD, World};

on_both_stores! {
    a_closed_proposal_lowers_the_next_one_and_is_cited,
    an_undone_edit_is_vetoed_by_the_name_of_its_pull_request,
    an_amended_merge_teaches_the_amended_fix_and_contradicts_the_other,
}

/// Pushes a file with the problem and waits until it was dealt with.
async fn dealt_with(world: &World, file: &str) -> RunHead {
    world.pushed(file, BAD).await;
    world.settle().await;
    let runs = world.runs().await;
    runs.into_iter().filter(|run| run.summary.path.as_str() == file).max_by_key(|run| run.generation).unwrap()
}

fn branch(run: &RunHead) -> String {
    run.case.branch(&run.summary.rule, run.generation)
}

/// What memory answered, and what was made of its candidates.
async fn past_fixes(world: &World, run: &RunHead) -> (Vec<String>, Vec<CandidateJudged>) {
    let (mut answers, mut judged) = (Vec::new(), Vec::new());
    for event in world.events(run).await {
        match event.kind {
            EventKind::Consulted(asked) if asked.source == Source::PastFix => answers.extend(asked.answers),
            EventKind::Judged { source: Source::PastFix, candidates } => judged.extend(candidates),
            _ => {}
        }
    }
    (answers, judged)
}

async fn a_closed_proposal_lowers_the_next_one_and_is_cited(at: Storage) {
    let world = at.world().await;
    let first = dealt_with(&world, "a.py").await;
    let (answers, _) = past_fixes(&world, &first).await;
    assert!(!answers.iter().any(|answer| answer.contains("like ")), "{answers:#?}");
    world.git.delete_branch(&branch(&first));
    world.settle().await;
    let second = dealt_with(&world, "b.py").await;
    let (answers, _) = past_fixes(&world, &second).await;
    let request = first.summary.pull_request.unwrap();
    let cited = answers.iter().find(|answer| answer.contains(&format!("like {request}, closed")));
    assert!(cited.is_some(), "{answers:#?}");
    assert!(second.summary.confidence < first.summary.confidence, "{second:#?}");
    // A merge lifts it again, and is cited nowhere.
    world.git.merge(&branch(&second), "develop");
    world.settle().await;
    let third = dealt_with(&world, "c.py").await;
    assert!(third.summary.confidence > second.summary.confidence, "{third:#?}");
}

async fn an_undone_edit_is_vetoed_by_the_name_of_its_pull_request(at: Storage) {
    let world = at.world().await;
    let merged = dealt_with(&world, "a.py").await;
    world.git.merge(&branch(&merged), "develop");
    world.settle().await;
    let again = dealt_with(&world, "a.py").await;
    assert!(again.generation > merged.generation, "{again:#?}");
    let (answers, judged) = past_fixes(&world, &again).await;
    let request = merged.summary.pull_request.unwrap();
    let vetoed = |c: &&CandidateJudged| match &c.verdict {
        Verdict::Rejected(rejection) => rejection.detail.contains(&format!("like {request}, reverted")),
        Verdict::Verified(_) => false,
    };
    assert!(judged.iter().any(|c| vetoed(&c)), "{judged:#?}");
    assert!(answers.iter().any(|a| a.contains(&format!("like {request}, merged and undone"))), "{answers:#?}");
}

async fn an_amended_merge_teaches_the_amended_fix_and_contradicts_the_other(at: Storage) {
    let world = at.world().await;
    let first = dealt_with(&world, "a.py").await;
    let amended = GOOD.replace("yaml.safe_load(f)", "yaml.safe_load(f) or {}");
    world.git.on(&branch(&first)).file("a.py", amended).commit("or nothing");
    world.git.merge(&branch(&first), "develop");
    world.settle().await;
    let [memory] = world.memories().await.try_into().unwrap();
    let second = dealt_with(&world, "b.py").await;
    let proposed = world.events(&second).await.into_iter().filter_map(|event| match event.kind {
        EventKind::Consulted(asked) if asked.source == Source::PastFix => Some(asked.candidates),
        _ => None,
    });
    let proposed: Vec<Candidate> = proposed.flatten().map(|(_, candidate)| candidate).collect();
    let taught = proposed.iter().find(|c| matches!(&c.evidence, Evidence::PastFix { fix, .. } if *fix == memory.id));
    let taught = taught.unwrap_or_else(|| panic!("what was merged is proposed again: {proposed:#?}"));
    let made = edit::apply(BAD, &taught.edits).unwrap();
    assert!(made.contains("yaml.safe_load(f) or {}"), "{made}");
    let (_, judged) = past_fixes(&world, &second).await;
    let checked: Vec<&Candidate> = judged.iter().map(|one| &one.candidate).collect();
    assert!(!checked.is_empty() && !checked.contains(&taught), "what cannot be chosen any more is not checked");
}
