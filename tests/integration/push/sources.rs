//! What the sources say, and how far they are believed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use codehealer::local::model::{ModelOptions, UrlModel};
use codehealer::model::{
    CaseOutcome, Decision, EventKind, Evidence, FixId, PastFix, Provenance, RunState, Source, TrackRecord,
};
use codehealer::recall::completion::Profile;
use codehealer::state::run::RunHead;

use crate::support::faults::{Down, Fault};
use crate::support::slack::Chat;
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, ScriptedModel, UNKNOWN, World};

on_both_stores! {
    a_model_that_hangs_is_given_up_and_asked_again_later,
    a_model_that_hangs_for_a_day_escalates_once,
    a_source_that_is_down_never_raises_a_tier,
    an_outage_of_hours_fails_nothing,
    what_a_model_claims_of_itself_opens_nothing,
    a_poisoned_memory_never_opens_however_similar_and_however_often_it_is_there,
    only_what_a_member_said_and_another_confirmed_opens,
}

const FILE: &str = "src/tell.py";

fn good_model() -> Arc<ScriptedModel> {
    ScriptedModel::rewriting("%s has %s", "%s has", "80")
}

async fn count(world: &World, run: &RunHead, name: &str) -> usize {
    world.events(run).await.iter().filter(|event| event.kind.name() == name).count()
}

async fn a_model_that_hangs_is_given_up_and_asked_again_later(at: Storage) {
    let model = good_model();
    let mut world = at.world().await.with_model(&model);
    world.policy.model_timeout = Duration::from_millis(50);
    let push = world.pushed(FILE, UNKNOWN).await;
    let hangs = Down::hanging("model");
    let begun = Instant::now();
    world.process_under(hangs.clone() as Arc<dyn Fault>).drain().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "it is aborted at its limit");
    let run = world.run().await;
    assert_eq!((run.state, run.summary.outcome), (RunState::Deferred, CaseOutcome::Open), "deferred, not escalated");
    assert_eq!((world.notices(), world.branches().len()), (0, 0));

    // The same delivery again does not bring its time forward.
    world.deliver(&push).await;
    world.process().drain().await.unwrap();
    assert_eq!((world.run().await.state, model.asked()), (RunState::Deferred, 0));

    hangs.recovers();
    world.settle().await;
    world.assert_ok().await;
    let run = world.run().await;
    assert_eq!((run.summary.decision, model.asked()), (Some(Decision::Draft), 1));
    assert!(world.pull_request(&run).await.unwrap().draft, "what is decided to be a draft is one");
}

async fn a_model_that_hangs_for_a_day_escalates_once(at: Storage) {
    let url = silent_server().await;
    let limit = Duration::from_millis(20);
    let mut world = at.world().await;
    world.policy.model_timeout = limit;
    let options = ModelOptions { url, name: "silent".into(), profile: Profile::Chat, timeout: limit, stall: None };
    world.model = Some(Arc::new(UrlModel::new(options, None).unwrap()));
    world.pushed(FILE, UNKNOWN).await;
    world.pass(Duration::from_secs(23 * 3600)).await;
    assert_eq!((world.run().await.state, world.notices()), (RunState::Deferred, 0), "a day is not over");
    world.pass(Duration::from_secs(3 * 3600)).await;
    let run = world.run().await;
    assert_eq!((run.state, run.summary.outcome), (RunState::Done, CaseOutcome::Escalated));
    assert_eq!((world.notices(), world.branches().len()), (1, 0));
    assert!(count(&world, &run, "deferred").await > 80, "it was tried again and again");
    world.assert_ended().await;
}

/// Takes connections and never answers.
async fn silent_server() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    url
}

async fn a_source_that_is_down_never_raises_a_tier(at: Storage) {
    for port in ["team", "memory", "model"] {
        let chat = Chat { messages: &[("U1", "py-format-arguments, anybody?")], confirmed: false };
        let (_folder, team) = chat.open();
        let model = good_model();
        let mut world = at.world().await.with_model(&model);
        world.team = Some(team);
        world.pushed(FILE, UNKNOWN).await;
        let down = Down::failing(port);
        for _ in 0..3 {
            let _ = world.process_under(down.clone() as Arc<dyn Fault>).drain().await;
            world.clock.advance(Duration::from_secs(30));
        }
        let run = world.run().await;
        let told = world.events(&run).await.into_iter().any(|event| match event.kind {
            EventKind::Consulted(consulted) => consulted.is_unavailable(),
            _ => false,
        });
        assert!(told, "{port}: it is audited");
        assert_ne!(run.summary.decision, Some(Decision::Open));
        down.recovers();
        world.settle().await;
        world.assert_ok().await;
    }
}

async fn an_outage_of_hours_fails_nothing(at: Storage) {
    for port in ["forge", "notifier", "memory"] {
        let world = at.world().await;
        world.pushed("src/config.py", BAD).await;
        world.process().worker.work(1).await.unwrap();
        let down = Down::failing(port);
        for _ in 0..40 {
            let process = world.process_under(down.clone() as Arc<dyn Fault>);
            let _ = process.worker.reconcile().await;
            let _ = process.drain().await;
            world.clock.advance(Duration::from_secs(600));
        }
        assert!(!world.run().await.state.is_terminal(), "{port}: {:?}", world.run().await.state);
        down.recovers();
        world.settle().await;
        world.assert_ok().await;
    }
}

async fn what_a_model_claims_of_itself_opens_nothing(at: Storage) {
    for claim in ["100", "99999", "100%\nCONFIDENCE 100"] {
        let model = ScriptedModel::rewriting("%s has %s", "%s has", claim);
        let world = at.world().await.with_model(&model);
        world.pushed(FILE, UNKNOWN).await;
        world.settle().await;
        world.assert_ok().await;
        let summary = world.run().await.summary;
        assert_eq!((summary.decision, summary.source), (Some(Decision::Draft), Some(Source::Model)), "{claim}");
        assert!(summary.confidence.unwrap().percent() <= 84);
    }
}

/// A fix of the finding as a world with a model makes and merges it.
async fn remembered(at: Storage) -> PastFix {
    let world = at.world().await.with_model(&good_model());
    world.pushed(FILE, UNKNOWN).await;
    world.settle().await;
    let run = world.run().await;
    world.git.merge(&run.case.branch(&run.summary.rule, run.generation), "develop");
    world.settle().await;
    let [fix] = world.memories().await.try_into().unwrap();
    fix
}

/// How a world without a model decides that remembers these fixes.
async fn decided_with(at: Storage, fixes: Vec<PastFix>) -> (Option<Decision>, u8) {
    let world = at.world().await;
    for fix in fixes {
        world.memory.remember(&fix).await.unwrap();
    }
    world.pushed(FILE, UNKNOWN).await;
    world.settle().await;
    let run = world.run().await;
    let near = world.events(&run).await.into_iter().any(|event| match event.kind {
        EventKind::Judged { candidates, .. } => candidates.iter().any(|judged| match &judged.candidate.evidence {
            Evidence::PastFix { similarity, .. } => *similarity > 0.99,
            _ => false,
        }),
        _ => false,
    });
    assert!(near, "the memory is as near as can be");
    (run.summary.decision, run.summary.confidence.unwrap().percent())
}

async fn a_poisoned_memory_never_opens_however_similar_and_however_often_it_is_there(at: Storage) {
    let fix = remembered(at).await;
    let copies = |provenance: Provenance, record: TrackRecord| -> Vec<PastFix> {
        let copy = |number: usize| PastFix {
            id: FixId(format!("{number:064}")),
            provenance: provenance.clone(),
            record,
            ..fix.clone()
        };
        (0..12).map(copy).collect()
    };
    let merged = Provenance::Merged { pull_request: "1".into(), commit: "c".into() };
    let (decision, percent) = decided_with(at, copies(merged, TrackRecord::default())).await;
    assert_eq!(decision, Some(Decision::Open), "merged fixes are believed: {percent}");

    let praised = TrackRecord { accepted: 1_000, rejected: 0, reverted: 0 };
    for provenance in [Provenance::Imported, Provenance::Proposed { case: "x".into() }] {
        for record in [TrackRecord::default(), praised] {
            let (decision, percent) = decided_with(at, copies(provenance.clone(), record)).await;
            assert!(percent < 85 && decision != Some(Decision::Open), "{provenance:?} {record:?}: {percent}");
        }
        // One honest fix does not lend them its name.
        let mut mixed = copies(provenance.clone(), praised);
        mixed[0].provenance = Provenance::Mined { commit: "c".into() };
        mixed[0].record = TrackRecord::default();
        let (decision, percent) = decided_with(at, mixed).await;
        assert!(percent < 85 && decision != Some(Decision::Open), "{provenance:?} beside a mined one: {percent}");
    }
}

const QUESTION: &str = "py-format-arguments again:\n```\nreturn \"%s has %s\" % (name,)\n```";
const ANSWER: &str = "use this instead:\n```\nreturn \"%s has\" % (name,)\n```";

async fn decided_by_chat(at: Storage, author: &str, confirmed: bool) -> (Option<Source>, Option<Decision>, u8) {
    let (_folder, team) = Chat { messages: &[("U1", QUESTION), (author, ANSWER)], confirmed }.open();
    let mut world = at.world().await;
    world.team = Some(team);
    world.pushed(FILE, UNKNOWN).await;
    world.settle().await;
    world.assert_ended().await;
    let summary = world.run().await.summary;
    (summary.source, summary.decision, summary.confidence.unwrap().percent())
}

async fn only_what_a_member_said_and_another_confirmed_opens(at: Storage) {
    assert_eq!(decided_by_chat(at, "U2", true).await, (Some(Source::TeamKnowledge), Some(Decision::Open), 90));
    for (author, confirmed) in [("G1", true), ("B1", true), ("U9", true), ("G1", false), ("U2", false)] {
        let (source, decision, percent) = decided_by_chat(at, author, confirmed).await;
        assert_eq!(source, Some(Source::TeamKnowledge), "{author}");
        assert!(percent < 85 && decision == Some(Decision::Draft), "{author} {confirmed}: {percent}");
    }
}
