//! What becomes of several answers, of answers that fail, of models that abstain and servers that are gone: in whole worlds, with a
//! server whose answers are written here.

use std::sync::Arc;
use std::time::Duration;

use codehealer::local::model::{ModelOptions, UrlModel};
use codehealer::model::{AuditEvent, CaseOutcome, Consultation, Decision, EventKind, Evidence, ModelCall, Source};
use codehealer::ports::Model;
use codehealer::recall::completion::Profile;

use crate::support::model_server::{Asked, ModelServer, Play};
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{UNKNOWN, World, rewrite};

on_both_stores! {
    two_of_three_that_agree_are_evidence,
    the_same_answer_again_is_none,
    answers_that_fail_are_asked_for_once_more_with_the_reasons,
    a_model_that_never_passes_is_asked_a_bounded_number_of_times,
    a_model_that_abstains_hands_over_to_the_larger_one,
    what_is_long_goes_to_the_larger_one_at_once,
    where_the_model_is_gone_another_stands_in,
    what_cannot_be_read_is_not_paid_for_again,
    reviewers_are_heard_and_security_has_a_veto,
}

const FILE: &str = "src/tell.py";

pub fn at(server: &ModelServer, profile: Profile) -> Arc<dyn Model> {
    let (url, name) = (server.url().to_owned(), "llama".to_owned());
    let options = ModelOptions { url, name, profile, timeout: Duration::from_secs(20), stall: None };
    Arc::new(UrlModel::new(options, None).unwrap())
}

/// The right repair, claimed so sure.
pub fn good(asked: &Asked, claim: &str) -> Play {
    Play::Says(rewrite(&asked.prompt(), claim, |region| region.replace("%s has %s", "%s has")))
}

fn silenced(asked: &Asked) -> Play {
    Play::Says(rewrite(&asked.prompt(), "90", |region| format!("{}  # noqa", region.trim_end())))
}

async fn healed(world: &World) -> Vec<AuditEvent> {
    world.pushed(FILE, UNKNOWN).await;
    world.settle().await;
    world.assert_ended().await;
    world.events(&world.run().await).await
}

fn asked_of_model(events: &[AuditEvent]) -> Consultation {
    let found = events.iter().find_map(|event| match &event.kind {
        EventKind::Consulted(asked) if asked.source == Source::Model => Some(asked.clone()),
        _ => None,
    });
    found.expect("the model was asked")
}

fn purposes(calls: &[ModelCall]) -> Vec<&str> {
    calls.iter().map(|call| call.purpose.as_str()).collect()
}

async fn two_of_three_that_agree_are_evidence(storage: Storage) {
    let server = ModelServer::playing(|asked, number| good(asked, ["90", "88", "86"][number.min(2)])).await;
    let mut world = storage.world().await;
    world.model = Some(at(&server, Profile::Nim));
    let events = healed(&world).await;
    assert_eq!(server.seen().len(), 2, "the third would tell nothing new");
    let asked = asked_of_model(&events);
    let [(_, candidate)] = asked.candidates.as_slice() else { panic!("{:?}", asked.candidates) };
    let Evidence::Model { agreeing, samples, claimed, .. } = &candidate.evidence else { panic!("{candidate:?}") };
    assert_eq!((*agreeing, *samples, *claimed), (2, 3, Some(88)));
    let summary = world.run().await.summary;
    assert_eq!((summary.decision, summary.confidence.unwrap().percent()), (Some(Decision::Open), 88));
    assert_eq!((summary.input_tokens, summary.output_tokens), (22, 14));
}

async fn the_same_answer_again_is_none(storage: Storage) {
    for profile in [Profile::Nim, Profile::Vllm] {
        let server = ModelServer::playing(|asked, _| good(asked, "100")).await;
        let mut world = storage.world().await;
        world.model = Some(at(&server, profile));
        healed(&world).await;
        assert_eq!(server.seen().len(), if profile == Profile::Nim { 2 } else { 1 });
        let summary = world.run().await.summary;
        assert_eq!((summary.decision, summary.confidence.unwrap().percent()), (Some(Decision::Draft), 84));
    }
}

async fn answers_that_fail_are_asked_for_once_more_with_the_reasons(storage: Storage) {
    let server = ModelServer::playing(|asked, _| {
        let told = asked.prompt().user.contains("tells scanners to look away");
        if told { good(asked, "80") } else { silenced(asked) }
    })
    .await;
    let mut world = storage.world().await;
    world.model = Some(at(&server, Profile::Vllm));
    let events = healed(&world).await;
    let asked = asked_of_model(&events);
    assert_eq!(purposes(&asked.calls), ["fix", "revision"]);
    assert!(asked.calls.iter().all(|call| call.answers == 3 && call.expected_tokens > 100 && !call.estimated));
    assert_eq!(asked.candidates.len(), 2, "the one that failed stays on record");
    assert_eq!(world.run().await.summary.decision, Some(Decision::Draft));
}

async fn a_model_that_never_passes_is_asked_a_bounded_number_of_times(storage: Storage) {
    let server = ModelServer::playing(|asked, _| silenced(asked)).await;
    let mut world = storage.world().await;
    world.model = Some(at(&server, Profile::Vllm));
    healed(&world).await;
    world.pass(Duration::from_secs(3 * 3600)).await;
    assert_eq!(server.seen().len(), 2, "once, and once more with the reasons");
    assert_eq!(world.run().await.summary.outcome, CaseOutcome::Escalated);
}

async fn a_model_that_abstains_hands_over_to_the_larger_one(storage: Storage) {
    let (small, large) =
        (ModelServer::saying("CANNOT").await, ModelServer::playing(|asked, _| good(asked, "80")).await);
    let mut world = storage.world().await;
    world.model = Some(at(&small, Profile::Vllm));
    world.large_model = Some(at(&large, Profile::Vllm));
    let events = healed(&world).await;
    assert_eq!((small.seen().len(), large.seen().len()), (1, 1), "it is not asked why it cannot");
    let asked = asked_of_model(&events);
    assert!(asked.answers.iter().any(|line| line.contains("cannot repair it")), "{:?}", asked.answers);
    assert_eq!(world.run().await.summary.decision, Some(Decision::Draft));

    // Nobody asks the larger one while the smaller one can.
    let small = ModelServer::playing(|asked, _| good(asked, "80")).await;
    let mut world = storage.world().await;
    world.model = Some(at(&small, Profile::Vllm));
    world.large_model = Some(at(&large, Profile::Vllm));
    healed(&world).await;
    assert_eq!(large.seen().len(), 1);
}

async fn what_is_long_goes_to_the_larger_one_at_once(storage: Storage) {
    let (small, large) = (ModelServer::saying("CANNOT").await, ModelServer::playing(|asked, _| blocks(asked)).await);
    let mut world = storage.world().await;
    world.model = Some(at(&small, Profile::Vllm));
    world.large_model = Some(at(&large, Profile::Vllm));
    let filler: String = (0..80).map(|number| format!("    x{number} = name\n")).collect();
    world.pushed(FILE, UNKNOWN.replace("    return", &format!("{filler}    return"))).await;
    world.settle().await;
    assert_eq!((small.seen().len(), large.seen().len()), (0, 1));
    assert_eq!(world.run().await.summary.decision, Some(Decision::Draft));
}

/// The right repair of a long function, as a block.
fn blocks(asked: &Asked) -> Play {
    let nonce = asked.prompt().system.split("`BEGIN ").nth(1).unwrap().split('`').next().unwrap().to_owned();
    let line = |with: &str| format!("    return \"%s has{with}\" % (name,)");
    let (wrong, right) = (line(" %s"), line(""));
    Play::Says(format!(
        "BEGIN {nonce}\n<<<<<<< SEARCH\n{wrong}\n=======\n{right}\n>>>>>>> REPLACE\nEND {nonce}\nCONFIDENCE 80\n"
    ))
}

async fn where_the_model_is_gone_another_stands_in(storage: Storage) {
    let gone = ModelServer::playing(|_, _| Play::Refuses(503, None, "loading")).await;
    let other = ModelServer::playing(|asked, _| good(asked, "80")).await;
    let mut world = storage.world().await;
    world.model = Some(at(&gone, Profile::Vllm));
    world.fallback_model = Some(at(&other, Profile::Vllm));
    let events = healed(&world).await;
    assert_eq!((gone.seen().len(), other.seen().len()), (1, 1));
    let asked = asked_of_model(&events);
    assert!(asked.answers.iter().any(|line| line.contains("so another was")), "{:?}", asked.answers);
    assert_eq!(world.run().await.summary.decision, Some(Decision::Draft));
}

async fn what_cannot_be_read_is_not_paid_for_again(storage: Storage) {
    for play in [Play::Body("{}".to_owned()), Play::Refuses(400, None, "the question is too long")] {
        let server = ModelServer::playing(move |_, _| play.clone()).await;
        let mut world = storage.world().await;
        world.model = Some(at(&server, Profile::Nim));
        let events = healed(&world).await;
        world.pass(Duration::from_secs(3 * 3600)).await;
        assert_eq!(server.seen().len(), 1);
        let asked = asked_of_model(&events);
        assert!(asked.answers.iter().any(|line| line.contains("not usable")), "{:?}", asked.answers);
        assert_eq!(world.run().await.summary.outcome, CaseOutcome::Escalated);
    }
}

/// A reviewer's vote on the concern that its question names.
fn reviewing(vote_of_security: &'static str) -> impl Fn(&Asked, usize) -> Play {
    move |asked, _| {
        let prompt = asked.prompt();
        if prompt.system.contains("`BEGIN ") {
            return good(asked, "80");
        }
        let security = prompt.system.contains("for security");
        let vote = if security { vote_of_security } else { "APPROVE" };
        Play::Says(format!("VOTE {vote}\nREASON it looks at @acme/admins <!here> {security}"))
    }
}

async fn reviewers_are_heard_and_security_has_a_veto(storage: Storage) {
    for (vote, decision) in [("APPROVE", Decision::Draft), ("REVISE", Decision::Draft), ("REJECT", Decision::Escalate)]
    {
        let server = ModelServer::playing(reviewing(vote)).await;
        let mut world = storage.world().await;
        world.policy.model.council = true;
        world.policy.model.revisions = 0;
        world.model = Some(at(&server, Profile::Vllm));
        let events = healed(&world).await;
        let asked = asked_of_model(&events);
        assert_eq!(asked.reviews.len(), 3, "{vote}: {:?}", asked.reviews);
        assert_eq!(purposes(&asked.calls)[1..], ["security review", "behaviour review", "maintainability review"]);
        assert_eq!(world.run().await.summary.decision, Some(decision), "{vote}");
        if decision == Decision::Draft {
            let pulls = crate::support::world::files(&world.folder().join("pulls"));
            let text: String = pulls.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
            assert!(text.contains("security") && text.contains("maintainability"), "{text}");
        } else {
            assert!(asked.answers.iter().any(|line| line.contains("vetoed")), "{:?}", asked.answers);
            assert_eq!(world.branches().len(), 0);
        }
    }
}

/// The right repair of the case that the command line sends.
pub fn good_case(asked: &Asked) -> Play {
    let repair = |region: &str| {
        region.replace(
            "\"SELECT * FROM users WHERE name = '%s'\" % name",
            "\"SELECT * FROM users WHERE name = ?\", (name,)",
        )
    };
    Play::Says(rewrite(&asked.prompt(), "80", repair))
}
