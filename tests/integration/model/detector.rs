//! A model as a detector, in whole worlds: what it is asked about, what of its claims counts, what becomes of them, and what it costs.
//! Its answers are written here: synthetic, no model is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codehealer::healer::{Budgets, Limit, Prices, trail};
use codehealer::model::{
    AuditEvent, CaseOutcome, Confidence, Consultation, Decision, EventKind, Feedback, ModelCall, RuleOrigin, Source,
};
use codehealer::ports::{ErrorKind, PortError, Prompt};
use codehealer::state::chain::{PushEvent, PushEventKind};
use codehealer::state::run::record;
use codehealer::state::{QueryOf, keys};

use crate::support::faults::{Dying, Fault, LosesAnswers};
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, DEVELOP, Push, ScriptedModel, World, files, rewrite};

on_both_stores! {
    unless_it_is_configured_nobody_is_asked,
    a_claim_that_is_confirmed_becomes_a_draft_and_never_more,
    a_claim_that_the_code_alone_does_not_show_is_none,
    other_words_for_the_same_problem_make_no_other_case,
    a_fix_in_which_a_second_look_still_sees_it_is_refused,
    what_is_unclear_about_a_fix_refuses_it,
    a_bounded_number_of_functions_is_looked_at_and_the_rest_is_told,
    only_changed_functions_are_asked_about_and_no_tests,
    the_same_code_is_not_asked_about_again,
    what_our_rules_report_is_not_reported_twice,
    people_can_leave_a_claim_alone,
    a_push_waits_for_no_model_that_is_gone_or_too_dear,
    what_it_costs_is_held_settled_and_on_record_while_answers_are_lost,
    killed_between_any_two_effects_no_look_is_paid_twice,
    a_model_that_claims_it_of_the_mended_function_again_undoes_nothing,
    a_superseded_draft_is_judged_anew,
}

const FILE: &str = "src/last.py";
const WRONG: &str = "return rows[len(rows)]";
const RIGHT: &str = "return rows[len(rows) - 1]";
/// No rule of ours finds anything in it.
const CODE: &str = "def last(rows):\n    return rows[len(rows)]\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Look,
    SecondLook,
    Fix,
}

fn asked(prompt: &Prompt) -> Asked {
    if prompt.system.starts_with("You look for defects") {
        Asked::Look
    } else if prompt.system.starts_with("You check one function") {
        Asked::SecondLook
    } else {
        Asked::Fix
    }
}

fn claims(words: &str) -> String {
    format!("DEFECT off-by-one | {WRONG} | {words}")
}

/// Sees the code as it is.
fn honest_look(prompt: &Prompt) -> String {
    if prompt.user.contains(WRONG) { format!("VERDICT PRESENT\nLINE {WRONG}") } else { "VERDICT ABSENT".to_owned() }
}

fn repaired(prompt: &Prompt, claim: &str) -> String {
    rewrite(prompt, claim, |region| region.replace(WRONG, RIGHT))
}

/// Claims what is there, and repairs it, each time in other words.
fn good() -> Arc<ScriptedModel> {
    let number = AtomicUsize::new(0);
    ScriptedModel::answering(move |prompt| {
        let other = number.fetch_add(1, Ordering::SeqCst);
        Ok(match asked(prompt) {
            Asked::Look if prompt.user.contains(WRONG) => claims(&format!("words of their own, number {other}")),
            Asked::Look => "NONE".to_owned(),
            Asked::SecondLook => honest_look(prompt),
            Asked::Fix => format!("{}\nSo much for number {other}.", repaired(prompt, "100")),
        })
    })
}

fn with_looks(look: impl Fn(&Prompt) -> String + Send + Sync + 'static) -> Arc<ScriptedModel> {
    ScriptedModel::answering(move |prompt| {
        Ok(match asked(prompt) {
            Asked::Look => claims("it reads behind the end"),
            Asked::SecondLook => look(prompt),
            Asked::Fix => repaired(prompt, "90"),
        })
    })
}

async fn world(at: Storage, model: &Arc<ScriptedModel>) -> World {
    let mut world = at.world().await.with_model(model);
    world.policy.model.functions_a_push = Some(10);
    world
}

fn count(model: &ScriptedModel, of: Asked) -> usize {
    model.prompts.lock().unwrap().iter().filter(|prompt| asked(prompt) == of).count()
}

/// What was put on record of looks at the functions of a push.
async fn looks(world: &World, push: &Push) -> Vec<PushEventKind> {
    let partition = keys::push_partition(&world.repository().id, DEVELOP, &push.after);
    let of = QueryOf::Partition { pk: partition, prefix: keys::PUSH_EVENTS.to_owned() };
    let events = trail::all(&*world.state, of).await.unwrap();
    let kinds = events.iter().map(|item| record::<PushEvent>(item).unwrap().kind);
    kinds.filter(|kind| matches!(kind, PushEventKind::Looked { .. })).collect()
}

async fn skipped(world: &World, push: &Push) -> Vec<String> {
    let partition = keys::push_partition(&world.repository().id, DEVELOP, &push.after);
    let of = QueryOf::Partition { pk: partition, prefix: keys::PUSH_EVENTS.to_owned() };
    let events = trail::all(&*world.state, of).await.unwrap();
    let kinds = events.iter().map(|item| record::<PushEvent>(item).unwrap().kind);
    kinds
        .filter_map(|kind| match kind {
            PushEventKind::Scanned { skipped, .. } => Some(skipped),
            _ => None,
        })
        .flatten()
        .collect()
}

fn consulted(events: &[AuditEvent]) -> Consultation {
    let found = events.iter().rev().find_map(|event| match &event.kind {
        EventKind::Consulted(asked) if asked.source == Source::Model => Some(asked.clone()),
        _ => None,
    });
    found.expect("the model was asked for a fix")
}

/// One run, one branch, one draft, one notice, a whole trail. What a model found teaches nothing: no rule can say what a fix of it is.
async fn assert_drafted_once(world: &World) {
    world.assert_ended().await;
    assert_eq!((world.runs().await.len(), world.branches().len()), (1, 1));
    assert_eq!((world.pull_requests(), world.notices(), world.memories().await.len()), (1, 1, 0));
}

async fn unless_it_is_configured_nobody_is_asked(at: Storage) {
    let model = good();
    let world = at.world().await.with_model(&model);
    let push = world.pushed(FILE, CODE).await;
    world.settle().await;
    assert_eq!((model.asked(), world.runs().await.len()), (0, 0));
    assert_eq!(looks(&world, &push).await, []);
}

async fn a_claim_that_is_confirmed_becomes_a_draft_and_never_more(at: Storage) {
    // Whatever speaks for it: every answer in words of its own, all of one mind, surer than sure, and a threshold below the cap.
    for open in [85, 61] {
        let model = good();
        let mut world = world(at, &model).await;
        world.policy.thresholds.open = Confidence::new(open).unwrap();
        world.policy.model.prices = Prices { input: 1_000_000, output: 1_000_000 };
        let push = world.pushed(FILE, CODE).await;
        world.settle().await;
        assert_drafted_once(&world).await;
        let summary = world.run().await.summary;
        assert_eq!((summary.rule.as_str(), summary.decision), ("model/off-by-one", Some(Decision::Draft)), "{open}");
        assert!(summary.confidence.unwrap().percent() <= Confidence::UNPROVEN_CAP, "{open}: {summary:?}");
        let request = world.pull_request(&world.run().await).await.unwrap();
        assert!(request.draft, "{open}");
        let events = world.events(&world.run().await).await;
        let EventKind::Detected { findings, .. } = &events[0].kind else { panic!("{events:?}") };
        assert_eq!((&findings[0].rule.origin, findings[0].start.line), (&RuleOrigin::Model, 2));
        let asked = consulted(&events);
        assert_eq!(asked.reviews.len(), 2, "the fixed function was looked at twice: {:?}", asked.reviews);
        let looks = looks(&world, &push).await;
        let [PushEventKind::Looked { claims, function, calls, .. }] = looks.as_slice() else { panic!("{looks:?}") };
        assert_eq!((claims.as_slice(), function.as_str(), calls.len()), (&["off-by-one".to_owned()][..], "last", 2));
        assert!(calls.iter().all(|call| call.cost_micros == 150 && call.expected_tokens > 100), "{calls:?}");
        let texts = files(&world.folder().join("pulls"));
        let text: String = texts.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        assert!(text.contains("second look") && text.contains("words of their own"), "{text}");
    }
}

async fn a_claim_that_the_code_alone_does_not_show_is_none(at: Storage) {
    for verdict in ["VERDICT ABSENT", "VERDICT PRESENT", "I agree with the claim.", "VERDICT PRESENT\nLINE other = 1"] {
        let model = with_looks(move |_| verdict.to_owned());
        let world = world(at, &model).await;
        let push = world.pushed(FILE, CODE).await;
        world.settle().await;
        assert_eq!(world.runs().await.len(), 0, "{verdict}");
        assert_eq!((count(&model, Asked::SecondLook), count(&model, Asked::Fix)), (1, 0), "{verdict}");
        let looks = looks(&world, &push).await;
        let [PushEventKind::Looked { claims, said, .. }] = looks.as_slice() else { panic!("{looks:?}") };
        assert!(claims.is_empty() && said[0].starts_with("off-by-one: claimed, and not "), "{verdict}: {said:?}");
        let second = model.prompts.lock().unwrap().iter().find(|p| asked(p) == Asked::SecondLook).cloned().unwrap();
        assert!(!second.user.contains("behind the end") && !second.system.contains("behind the end"));
    }
}

async fn other_words_for_the_same_problem_make_no_other_case(at: Storage) {
    let model = good();
    let world = world(at, &model).await;
    world.pushed(FILE, CODE).await;
    world.settle().await;
    let first = world.run().await;
    // The function changes, and the model says it again in other words.
    for change in [
        "def last(rows):\n    rows = list(rows)\n    return rows[len(rows)]\n",
        format!("import os\n\n\n{CODE}").as_str(),
    ] {
        world.pushed(FILE, change).await;
        world.settle().await;
        let run = world.run().await;
        assert_eq!((&run.case, run.generation), (&first.case, first.generation));
    }
    assert_eq!((world.pull_requests(), count(&model, Asked::Fix)), (1, 1));
    assert!(count(&model, Asked::Look) >= 2, "it was asked again, as the function changed");
}

async fn a_fix_in_which_a_second_look_still_sees_it_is_refused(at: Storage) {
    // Sees it in whatever it is shown.
    let model = with_looks(|prompt| {
        let line = if prompt.user.contains(WRONG) { WRONG } else { RIGHT };
        format!("VERDICT PRESENT\nLINE {line}")
    });
    let world = world(at, &model).await;
    world.pushed(FILE, CODE).await;
    world.settle().await;
    world.assert_ended().await;
    let run = world.run().await;
    assert_eq!(run.summary.outcome, CaseOutcome::Escalated);
    assert_eq!(world.branches().len(), 0);
    let asked = consulted(&world.events(&run).await);
    assert!(asked.candidates.is_empty(), "{:?}", asked.candidates);
    assert!(asked.answers.iter().any(|line| line.contains("still sees off-by-one in line 2")), "{:?}", asked.answers);
}

async fn what_is_unclear_about_a_fix_refuses_it(at: Storage) {
    let second = AtomicUsize::new(0);
    let model = with_looks(move |prompt| {
        if prompt.user.contains(WRONG) {
            return honest_look(prompt);
        }
        // The first look at a fix is clear, the second is not.
        let number = second.fetch_add(1, Ordering::SeqCst);
        if number.is_multiple_of(2) {
            "VERDICT ABSENT".to_owned()
        } else {
            "VERDICT ABSENT\nVERDICT PRESENT".to_owned()
        }
    });
    let world = world(at, &model).await;
    world.pushed(FILE, CODE).await;
    world.settle().await;
    let run = world.run().await;
    assert_eq!((run.summary.outcome, world.branches().len()), (CaseOutcome::Escalated, 0));
    let asked = consulted(&world.events(&run).await);
    assert!(asked.answers.iter().any(|line| line.contains("is unclear")), "{:?}", asked.answers);
}

/// Pushes files with one such function each.
async fn many(world: &World, number: usize) -> Push {
    let before = world.git.tip("develop");
    let mut change = world.git.on("develop");
    for number in 0..number {
        change = change.file(&format!("src/last{number}.py"), CODE);
    }
    let push = Push { before, after: change.commit("many") };
    world.deliver(&push).await;
    push
}

async fn a_bounded_number_of_functions_is_looked_at_and_the_rest_is_told(at: Storage) {
    let model = good();
    let mut world = world(at, &model).await;
    world.policy.model.functions_a_push = Some(2);
    let push = many(&world, 5).await;
    world.process().worker.work(1).await.unwrap();
    assert_eq!((count(&model, Asked::Look), count(&model, Asked::SecondLook)), (2, 2));
    assert_eq!(world.runs().await.len(), 2);
    let told = skipped(&world, &push).await;
    assert!(told.iter().any(|line| line.contains("3 changed function(s) were not looked at: at most 2")), "{told:?}");
}

async fn only_changed_functions_are_asked_about_and_no_tests(at: Storage) {
    let model = good();
    let world = world(at, &model).await;
    let two = "def first(rows):\n    return rows[0]\n\n\ndef last(rows):\n    return rows[-1]\n";
    world.pushed(FILE, two).await;
    world.settle().await;
    assert_eq!(count(&model, Asked::Look), 2, "both are new");
    world.pushed(FILE, two.replace("return rows[-1]", WRONG)).await;
    world.pushed("tests/test_last.py", CODE).await;
    world.settle().await;
    assert_eq!(count(&model, Asked::Look), 3, "one changed, and tests are left alone");
    let prompts = model.prompts.lock().unwrap();
    let last = prompts.iter().rfind(|prompt| asked(prompt) == Asked::Look).unwrap();
    assert!(last.user.contains(WRONG) && !last.user.contains("def first"), "{}", last.user);
}

async fn the_same_code_is_not_asked_about_again(at: Storage) {
    let model = ScriptedModel::answering(|_| Ok("NONE".to_owned()));
    let world = world(at, &model).await;
    for text in [CODE, "def other():\n    return 1\n", CODE, "def other():\n    return 1\n"] {
        world.pushed(FILE, text).await;
        world.settle().await;
    }
    assert_eq!(model.asked(), 2);
}

async fn what_our_rules_report_is_not_reported_twice(at: Storage) {
    let line = "return yaml.load(f, Loader=yaml.Loader)";
    let model = ScriptedModel::answering(move |prompt| {
        Ok(match asked(prompt) {
            Asked::Look => format!("DEFECT unsafe-deserialization | {line} | it makes any object"),
            Asked::SecondLook => format!("VERDICT PRESENT\nLINE {line}"),
            Asked::Fix => "CANNOT".to_owned(),
        })
    });
    let world = world(at, &model).await;
    world.pushed(FILE, BAD).await;
    world.settle().await;
    assert_eq!(count(&model, Asked::SecondLook), 1, "it was claimed and confirmed");
    assert_eq!(world.run().await.summary.rule.as_str(), "py-yaml-unsafe-load", "and is ours already");
}

async fn people_can_leave_a_claim_alone(at: Storage) {
    let model = good();
    let mut world = world(at, &model).await;
    let comment = "def last(rows):\n    # codehealer: ignore[model/off-by-one] the list ends with a guard\n    return rows[len(rows)]\n";
    world.pushed(FILE, comment).await;
    world.settle().await;
    assert_eq!((world.runs().await.len(), count(&model, Asked::SecondLook)), (0, 1));
    world.policy.ignore_rules.insert("model/off-by-one".to_owned());
    world.pushed("src/other.py", CODE).await;
    world.settle().await;
    assert_eq!(world.runs().await.len(), 0);
}

async fn a_push_waits_for_no_model_that_is_gone_or_too_dear(at: Storage) {
    let gone = ScriptedModel::answering(|_| Err(PortError::new("model", "answer", ErrorKind::Unavailable)));
    let dear = good();
    for (model, budgets, why) in [
        (&gone, Budgets::default(), "unavailable"),
        (&dear, Budgets { push: tokens(50), ..Budgets::default() }, "50 tokens for one push"),
        (&dear, Budgets { day: tokens(50), ..Budgets::default() }, "50 tokens for a day"),
    ] {
        let mut world = world(at, model).await;
        world.policy.model.budgets = budgets;
        world.push(FILE, CODE);
        let push = world.pushed("src/config.py", BAD).await;
        world.process().worker.work(1).await.unwrap();
        let told = skipped(&world, &push).await;
        let said =
            told.iter().any(|line| line.contains("2 changed function(s) were not looked at") && line.contains(why));
        assert!(said, "{why}: {told:?}");
        world.settle().await;
        assert_eq!(world.run().await.summary.decision, Some(Decision::Open), "{why}: our own finding is healed");
    }
    assert_eq!(dear.asked(), 0);
    assert_eq!(gone.asked(), 1, "after the first nobody else is asked about");
}

fn tokens(limit: u64) -> Limit {
    Limit { tokens: Some(limit), micros: None }
}

async fn spent(world: &World, scope: &str) -> u64 {
    let item = world.state.get(&keys::budget(scope, 0)).await.unwrap();
    item.map_or(0, |item| item.fields["spent"]["tokens"].as_u64().unwrap())
}

fn sum(calls: &[ModelCall]) -> u64 {
    calls.iter().map(|call| call.input_tokens + call.output_tokens).sum()
}

async fn what_it_costs_is_held_settled_and_on_record_while_answers_are_lost(at: Storage) {
    let model = ScriptedModel::answering(|prompt| {
        Ok(match asked(prompt) {
            Asked::Look => claims("x"),
            _ => "VERDICT ABSENT".to_owned(),
        })
    });
    let mut world = world(at, &model).await;
    world.policy.model.budgets = Budgets { push: tokens(1_000_000), ..Budgets::default() };
    let push = many(&world, 4).await;
    let unreliable = world.process_under(LosesAnswers::new() as Arc<dyn Fault>);
    world.work_off(&unreliable).await;
    let on_record: Vec<ModelCall> = looks(&world, &push)
        .await
        .into_iter()
        .flat_map(|look| match look {
            PushEventKind::Looked { calls, .. } => calls,
            other => panic!("{other:?}"),
        })
        .collect();
    // The model's own answers are not lost here, only those of the store: what is counted is what is on record.
    assert_eq!((on_record.len(), sum(&on_record)), (8, 8 * 150), "four functions, two questions each");
    let scope = format!("model-push#{}#{DEVELOP}#{}", world.repository().id, push.after);
    assert_eq!(spent(&world, &scope).await, 8 * 150);
}

async fn killed_between_any_two_effects_no_look_is_paid_twice(at: Storage) {
    for effects in 0..40 {
        let model = good();
        let world = world(at, &model).await;
        let push = world.pushed(FILE, CODE).await;
        let dying = Dying::after(effects);
        let process = world.process_under(Arc::clone(&dying) as Arc<dyn Fault>);
        let _ = process.worker.work(1).await;
        let died = dying.is_dead();
        drop(process);
        world.clock.advance(Duration::from_secs(60));
        world.settle().await;
        assert_drafted_once(&world).await;
        let looks = looks(&world, &push).await;
        assert_eq!(looks.len(), 1, "after {effects} effects: one look on record, {looks:?}");
        // Whoever died with an answer in hand has to ask once more; nobody else does.
        assert!(count(&model, Asked::Look) <= 2, "after {effects} effects");
        if !died {
            return;
        }
    }
    panic!("a push has fewer effects than that");
}

async fn a_model_that_claims_it_of_the_mended_function_again_undoes_nothing(at: Storage) {
    // Sees it in everything but its own repair, which is how it is proposed at all.
    let model = ScriptedModel::answering(|prompt| {
        let line = prompt.user.lines().rfind(|line| line.trim().starts_with("return ")).unwrap_or_default().trim();
        Ok(match asked(prompt) {
            Asked::Look => format!("DEFECT off-by-one | {line} | again"),
            Asked::SecondLook if prompt.user.contains(RIGHT) && !prompt.user.contains("amended") => {
                "VERDICT ABSENT".to_owned()
            }
            Asked::SecondLook => format!("VERDICT PRESENT\nLINE {line}"),
            Asked::Fix => repaired(prompt, "80"),
        })
    });
    let world = world(at, &model).await;
    world.pushed(FILE, CODE).await;
    world.settle().await;
    let run = world.run().await;
    let branch = run.case.branch(&run.summary.rule, run.generation);
    world.git.merge(&branch, "develop");
    world.settle().await;
    assert_eq!(world.run().await.summary.outcome, CaseOutcome::Merged);
    world.pushed(FILE, CODE.replace(WRONG, &format!("amended = rows\n    {RIGHT}"))).await;
    world.settle().await;
    let run = world.run().await;
    assert_eq!(run.generation.0, 1, "no further run");
    let undone =
        world.events(&run).await.iter().any(|e| matches!(e.kind, EventKind::Feedback(Feedback::Reverted { .. })));
    assert!(!undone, "and nobody undid the fix");
    assert!(count(&model, Asked::SecondLook) >= 4, "although it was claimed and confirmed again");
}

async fn a_superseded_draft_is_judged_anew(at: Storage) {
    let model = good();
    let world = world(at, &model).await;
    world.pushed(FILE, CODE).await;
    world.process().worker.work(1).await.unwrap();
    // Before the run is worked on the file changes elsewhere; the webhook of that is late.
    world.push(FILE, format!("{CODE}\n\nLAST = 1\n"));
    let looked = count(&model, Asked::Look);
    let process = world.process();
    process.drain().await.unwrap();
    world.clock.advance(Duration::from_secs(30));
    process.worker.reconcile().await.unwrap();
    world.settle().await;
    world.assert_ended().await;
    let runs = world.runs().await;
    let last = runs.last().unwrap();
    assert_eq!((last.summary.decision, world.pull_requests()), (Some(Decision::Draft), 1), "{runs:#?}");
    let case = &runs[0].case;
    assert!(runs.iter().all(|run| run.case == *case), "one case");
    assert_eq!(count(&model, Asked::Look), looked, "the function is the same, so it was not asked about again");
}
