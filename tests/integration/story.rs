//! One team, its repository, and the agent in its account: told from the first bug to the last.

mod cloud;
mod endpoint;

use codehealer::model::{CaseOutcome, Decision, EventKind, Provenance, RunState, Source};
use serde_json::Value;

use cloud::{Cloud, NOTICES, SENIOR};

/// A page of the shop that sends people wherever the address says.
fn page(name: &str, parameter: &str) -> String {
    format!(
        "from flask import Blueprint, redirect, request\n\nfrom shop import urls\n\npages = Blueprint(\"{name}\", __name__)\n\n\n\
         @pages.post(\"/{name}\")\ndef {name}():\n    return redirect(request.args.get(\"{parameter}\"))\n\n\n\
         def link():\n    return urls.product(\"{name}\")\n"
    )
}

/// The same, as the team wants it.
fn healed(name: &str, parameter: &str) -> String {
    let (call, right) = (asked(parameter), right(parameter));
    page(name, parameter).replace(&call, &right)
}

fn asked(parameter: &str) -> String {
    format!("redirect(request.args.get(\"{parameter}\"))")
}

fn right(parameter: &str) -> String {
    format!("redirect(urls.local_path(request.args.get(\"{parameter}\")))")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_teaches_its_agent_and_the_agent_obeys() {
    let mut cloud = Cloud::new().await;
    cloud.tick().await;
    let first = a_model_is_asked_when_nobody_knows(&mut cloud).await;
    nothing_happens_twice(&mut cloud).await;
    what_is_merged_is_knowledge(&mut cloud, first).await;
    let third = what_is_known_needs_no_model(&mut cloud).await;
    what_is_closed_never_comes_again(&mut cloud).await;
    what_is_reverted_comes_back_for_another_edit(&mut cloud, third).await;
    nothing_is_left_behind(&cloud).await;
}

/// Bob pushes a page that sends people anywhere. Nobody here solved that before, so the model is asked.
async fn a_model_is_asked_when_nobody_knows(cloud: &mut Cloud) -> u64 {
    cloud.model.rewrites(|region| region.replace(&asked("next"), &right("next")));
    cloud.pushed("shop/login.py", &page("login", "next")).await;
    let first = cloud.run_of("shop/login.py");
    assert_eq!((first.state, first.summary.decision), (RunState::Done, Some(Decision::Draft)), "{first:#?}");
    assert_eq!(first.summary.source, Some(Source::Model));
    assert!(first.summary.input_tokens > 0, "what it cost is recorded");
    assert_eq!(cloud.model.asked(), 1);
    let consulted: Vec<Source> = cloud
        .events(&first)
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::Consulted(consultation) => Some(consultation.source),
            _ => None,
        })
        .collect();
    assert_eq!(consulted, [Source::TeamKnowledge, Source::PastFix, Source::Model], "in this order");
    let [pull] = cloud.pulls().try_into().unwrap();
    assert!(pull.draft && pull.open && pull.base == "develop");
    assert_eq!(cloud.file_on(&pull.head, "shop/login.py"), healed("login", "next"));
    assert!(pull.title.contains("OPEN_REDIRECT"), "{}", pull.title);
    assert_eq!(cloud.pull_of("shop/login.py").number, pull.number);
    let [notice] = cloud.notices().try_into().unwrap();
    assert!(notice.to_string().contains(&format!("<@{SENIOR}>")), "a draft calls the senior: {notice}");
    let [proposed] = cloud.memory().await.try_into().unwrap();
    assert!(matches!(proposed.provenance, Provenance::Proposed { .. }), "a mere proposal teaches nothing yet");
    pull.number
}

/// The same delivery once more, and its body under another id: nothing new.
async fn nothing_happens_twice(cloud: &mut Cloud) {
    let before = (cloud.pulls().len(), cloud.notices().len(), cloud.model.asked(), cloud.runs().len());
    cloud.delivered_again().await;
    assert_eq!((cloud.pulls().len(), cloud.notices().len(), cloud.model.asked(), cloud.runs().len()), before);
}

/// Ann merges it. From now on it is knowledge.
async fn what_is_merged_is_knowledge(cloud: &mut Cloud, first: u64) {
    cloud.merged(first).await;
    let [learned] = cloud.memory().await.try_into().unwrap();
    assert!(matches!(learned.provenance, Provenance::Merged { .. }), "{:?}", learned.provenance);
    assert_eq!(cloud.run_of("shop/login.py").summary.outcome, CaseOutcome::Merged);

    // A second one like it. One merged fix makes a draft by itself, so the model is still asked.
    cloud.model.rewrites(|region| region.replace(&asked("back"), &right("back")));
    cloud.pushed("shop/cart.py", &page("cart", "back")).await;
    let second = cloud.run_of("shop/cart.py");
    assert_eq!(second.state, RunState::Done, "{second:#?}");
    let pull = cloud.pull_of("shop/cart.py");
    assert_eq!(cloud.file_on(&pull.head, "shop/cart.py"), healed("cart", "back"));
    cloud.merged(pull.number).await;
}

/// The third such bug, in another file: from memory, sure enough for a pull request, and the model is not asked.
async fn what_is_known_needs_no_model(cloud: &mut Cloud) -> u64 {
    let asked_so_far = cloud.model.asked();
    cloud.pushed("shop/reviews.py", &page("reviews", "return_to")).await;
    let third = cloud.run_of("shop/reviews.py");
    assert_eq!(
        (third.summary.decision, third.summary.source),
        (Some(Decision::Open), Some(Source::PastFix)),
        "{third:#?}"
    );
    assert_eq!(cloud.model.asked(), asked_so_far, "no call of the model");
    let pull = cloud.pull_of("shop/reviews.py");
    assert!(pull.open && !pull.draft);
    assert_eq!(cloud.file_on(&pull.head, "shop/reviews.py"), healed("reviews", "return_to"));
    let body = pull.body.clone().unwrap();
    assert!(body.contains("- ") && body.contains(&right("return_to")), "the diff that was made: {body}");
    pull.number
}

/// A fourth. Bob does not want it and closes the pull request: its finding never comes again, also when its lines move.
async fn what_is_closed_never_comes_again(cloud: &mut Cloud) {
    cloud.pushed("shop/wishes.py", &page("wishes", "page")).await;
    let pull = cloud.pull_of("shop/wishes.py");
    cloud.closed(pull.number).await;
    assert_eq!(cloud.run_of("shop/wishes.py").summary.outcome, CaseOutcome::Closed);
    let pulls = cloud.pulls().len();
    let moved = page("wishes", "page").replace("\n\nfrom shop", "\n\n# Wish lists.\nfrom shop");
    cloud.pushed("shop/wishes.py", &moved).await;
    cloud.tick().await;
    assert_eq!(cloud.pulls().len(), pulls, "it never comes again");
    assert_eq!(cloud.run_of("shop/wishes.py").generation.0, 1);
}

/// The third is merged, and then reverted by a person: the edit is vetoed, the bug is not forgotten.
async fn what_is_reverted_comes_back_for_another_edit(cloud: &mut Cloud, third: u64) {
    cloud.merged(third).await;
    assert_eq!(cloud.run_of("shop/reviews.py").summary.outcome, CaseOutcome::Merged);
    // The model has nothing better to say.
    cloud.model.rewrites(str::to_owned);
    cloud.reverted(third).await;
    assert_eq!(cloud.file_on("develop", "shop/reviews.py"), page("reviews", "return_to"), "the bug is back");
    let again = cloud.run_of("shop/reviews.py");
    assert_eq!(again.generation.0, 2, "a new generation: {again:#?}");
    let proposals = cloud.pulls().into_iter().filter(|p| p.number > third && p.open).collect::<Vec<_>>();
    for pull in &proposals {
        assert_ne!(
            cloud.file_on(&pull.head, "shop/reviews.py"),
            healed("reviews", "return_to"),
            "another edit than the one that was reverted"
        );
    }
    assert!(
        !proposals.is_empty() || again.summary.decision == Some(Decision::Escalate),
        "another edit or an escalation: {again:#?}"
    );
}

/// The record is whole, nothing is left behind, and nothing was told to whom it does not concern.
async fn nothing_is_left_behind(cloud: &Cloud) {
    assert!(cloud.cli(&["audit", "verify"]).contains("all as written"));
    assert_eq!(cloud.dead().await, 0);
    for run in cloud.runs() {
        assert!(run.state.is_terminal(), "{run:#?}");
    }
    cloud.assert_nothing_leaked().await;
    cloud.github.assert_lawful();
    assert!(cloud.notices().iter().all(|notice| notice["channel"].is_null() || notice["channel"] == NOTICES));
    let doctor: Value = serde_json::from_str(&cloud.cli(&["doctor", "--format", "json"])).unwrap();
    // Deliveries are carried by the test: there is no address that a webhook could point to.
    let bad = doctor.as_array().unwrap().iter().filter(|check| check["status"] == "bad" && check["name"] != "webhook");
    let bad: Vec<&Value> = bad.collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
