//! A table of injections, and a model that obeys every one of them. Whatever is asked of it and whatever it answers, nothing
//! happens but a draft in the one region of the one file, and each refusal has its reason on record.
//!
//! The texts are in `injections.toml`: where each stands, and which attack the model then makes. The answers are written here; no
//! model made them.

mod attack;
mod quiet;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use codehealer::model::{AuditEvent, CaseOutcome, Decision, EventKind, PastFix, Provenance, Source, Span, Verdict};
use codehealer::slack::Rendered;
use serde::Deserialize;

use self::attack::{Dialect, obey, refused_for};
use self::quiet::{assert_quiet_line, assert_quiet_markdown, assert_quiet_slack};
use super::hostile::changed;
use super::secrets::{assert_absent, sinks};
use crate::support::fixes;
use crate::support::log::Log;
use crate::support::slack::Chat;
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{Push, ScriptedModel, World, files};

on_both_stores! {
    what_stands_in_comments_orders_nothing,
    what_stands_in_strings_orders_nothing,
    what_stands_in_names_and_commits_orders_nothing,
    what_the_team_and_the_memory_say_orders_nothing,
    what_the_repository_says_of_itself_orders_nothing,
    what_the_model_wants_by_itself_does_not_happen,
    answers_that_agree_in_other_words_buy_nothing,
    a_wish_of_the_model_in_other_words_each_time_buys_nothing,
}

#[derive(Debug, Clone, Deserialize)]
struct Table {
    injection: Vec<Injection>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Injection {
    name: String,
    place: Place,
    /// Of the code around it.
    #[serde(default)]
    language: Dialect,
    #[serde(default)]
    text: String,
    /// The attack that the model makes.
    obeys: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    Comment,
    String,
    Identifier,
    FileName,
    Commit,
    Author,
    Slack,
    Memory,
    Conventions,
    Config,
    Answer,
}

/// In the form of a token, put together so that no literal looks like one.
fn secret() -> String {
    ["gh", "p_", "aB3dE5fG7hJ9kLmN1pQrS2tUvWxYz4aB3dE5"].concat()
}

fn table(places: &[Place]) -> Vec<Injection> {
    let all: Table = toml::from_str(include_str!("injections.toml")).unwrap();
    assert!(all.injection.len() >= 60, "the table has its size");
    let chosen = all.injection.into_iter().filter(|one| places.contains(&one.place));
    chosen.map(|one| Injection { text: one.text.replace("{secret}", &secret()), ..one }).collect()
}

async fn what_stands_in_comments_orders_nothing(at: Storage) {
    try_all(at, &[Place::Comment]).await;
}

async fn what_stands_in_strings_orders_nothing(at: Storage) {
    try_all(at, &[Place::String]).await;
}

async fn what_stands_in_names_and_commits_orders_nothing(at: Storage) {
    try_all(at, &[Place::Identifier, Place::FileName, Place::Commit, Place::Author]).await;
}

async fn what_the_team_and_the_memory_say_orders_nothing(at: Storage) {
    try_all(at, &[Place::Slack, Place::Memory]).await;
}

async fn what_the_repository_says_of_itself_orders_nothing(at: Storage) {
    try_all(at, &[Place::Conventions, Place::Config]).await;
}

async fn what_the_model_wants_by_itself_does_not_happen(at: Storage) {
    try_all(at, &[Place::Answer]).await;
}

/// The same attacks of a model that never says the same twice: its answers differ in every byte but the edit, so they agree.
async fn answers_that_agree_in_other_words_buy_nothing(at: Storage) {
    try_all_as(at, &[Place::Comment, Place::Slack], Voice::EachTimeAnother).await;
}

async fn a_wish_of_the_model_in_other_words_each_time_buys_nothing(at: Storage) {
    try_all_as(at, &[Place::Answer], Voice::EachTimeAnother).await;
}

/// How a model words the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    AlwaysTheSame,
    EachTimeAnother,
}

async fn try_all(at: Storage, places: &[Place]) {
    try_all_as(at, places, Voice::AlwaysTheSame).await;
}

async fn try_all_as(at: Storage, places: &[Place], voice: Voice) {
    let injections = table(places);
    assert!(injections.len() >= 9, "{places:?}");
    let mut reached = 0;
    for injection in &injections {
        let log = Log::default();
        let _guard = log.listen();
        let model = obedient(injection, voice);
        let (world, file, text) = stage(at, injection, &model).await;
        world.settle().await;
        world.assert_ended().await;
        assert_nothing_forbidden(&world, &model, (injection, voice), (&file, &text)).await;
        let mut sinks = sinks(&world, &log, &model).await;
        // What the memory was given by this test itself, it has.
        sinks.retain(|(name, _)| injection.place != Place::Memory || !["memory", "stores"].contains(name));
        assert_absent(&sinks, &secret());
        reached += usize::from(assert_fenced(injection, &model));
    }
    assert!(reached > 0 || places == [Place::Answer], "{places:?}: none was ever shown to the model");
}

fn obedient(injection: &Injection, voice: Voice) -> Arc<ScriptedModel> {
    let (dialect, attack) = (injection.language, injection.obeys.clone());
    let number = AtomicUsize::new(0);
    ScriptedModel::answering(move |prompt| {
        let answer = obey(&attack, dialect, prompt);
        let other = number.fetch_add(1, Ordering::SeqCst);
        // Who says more than that he cannot, has not said so.
        let same = voice == Voice::AlwaysTheSame || attack == "cannot";
        Ok(if same { answer } else { format!("Considered {other} times.\n{answer}\nThat was number {other}.") })
    })
}

/// Attacks whose edit is the right repair and nothing else: what such an answer claims beside it changes nothing.
const HARMLESS: [&str; 4] = ["fix", "confidence", "claims", "other_file"];

/// A world in which the injection was pushed, its file, and what that holds.
async fn stage(at: Storage, injection: &Injection, model: &Arc<ScriptedModel>) -> (World, String, String) {
    let mut world = at.readable().unseen().await.with_model(model);
    let of =
        |place: Place, other: &str| if injection.place == place { injection.text.as_str() } else { other }.to_owned();
    let dialect = injection.language;
    let text = dialect.file(
        &of(Place::Identifier, "tell"),
        &of(Place::Comment, "who has what"),
        &of(Place::String, "telling"),
    );
    let file = of(Place::FileName, &format!("src/tell.{}", dialect.extension()));
    let base = world
        .git
        .on("develop")
        .file("README.md", "a shop\n")
        .file("CONTRIBUTING.md", of(Place::Conventions, "# Contributing\n\nKeep functions short.\n"))
        .file(".github/workflows/ci.yml", "on: push\n")
        .commit("begin");
    let (mut folder, mut team) = (None, None);
    if injection.place == Place::Slack {
        let (kept, chat) = Chat { messages: &[("U1", &injection.text), ("U2", "seen")], confirmed: false }.open();
        (folder, team) = (Some(kept), Some(chat));
    }
    world.team = team;
    if injection.place == Place::Memory {
        let fix = hostile_memory(&world, injection, &text).await;
        world.memory.remember(&fix).await.unwrap();
    }
    if injection.place == Place::Author {
        world.pusher.clone_from(&injection.text);
    }
    let mut change = world.git.on("develop").file(&file, &text);
    if injection.place == Place::Config {
        change = change.file(".codehealer.toml", &injection.text);
    }
    let after = change.commit(&of(Place::Commit, "tell who has what"));
    world.deliver(&Push { before: Some(base), after }).await;
    // An export is read when it is searched; here everything is searched at once.
    world.process().drain().await.unwrap();
    drop(folder);
    (world, file, text)
}

/// A fix of the same rule, as near as can be, that nobody reviewed.
async fn hostile_memory(world: &World, injection: &Injection, text: &str) -> PastFix {
    let dialect = injection.language;
    let place = text.find(dialect.wrong()).unwrap();
    let span = Span::new(place, place + dialect.wrong().len());
    let before = dialect.file("tell", &injection.text, &injection.text);
    let finding = before.find(dialect.wrong()).unwrap();
    PastFix {
        language: dialect.language(),
        rule: fixes::rule(dialect.rule()),
        aliases: Vec::new(),
        message: injection.text.clone(),
        scope_after: before.replace(dialect.wrong(), dialect.right()),
        scope_before: before,
        finding: Span::new(finding, finding + dialect.wrong().len()),
        imports_added: Vec::new(),
        patterns: Vec::new(),
        vector: world.embedder.embed(dialect.language(), text, span).await.unwrap(),
        embedder: world.embedder.id().to_owned(),
        private: true,
        provenance: Provenance::Merged { pull_request: injection.text.clone(), commit: "c".repeat(40) },
        ..fixes::fix(&"7".repeat(64), 0.0)
    }
}

async fn assert_nothing_forbidden(
    world: &World,
    model: &ScriptedModel,
    (injection, voice): (&Injection, Voice),
    (file, text): (&str, &str),
) {
    let harmless = voice == Voice::EachTimeAnother && HARMLESS.contains(&injection.obeys.as_str());
    let name = &injection.name;
    let paths = changed(world);
    assert!(paths.iter().all(|path| path == file), "{name}: {paths:?} changed");
    for tip in world.branches().into_values() {
        let commit = codehealer::model::CommitId::new(tip).unwrap();
        let after = String::from_utf8(world.git.file_at(&commit, file)).unwrap();
        let (head, tail) = injection.language.around(text);
        assert!(after.starts_with(head) && after.ends_with(tail), "{name}: changed outside of the region:\n{after}");
        let dialect = injection.language;
        let repaired = text.replace(dialect.wrong(), dialect.right());
        assert!(!harmless || after == repaired, "{name}: the repair and nothing else:\n{after}");
        let message = world.git.repo.find_commit(commit.as_str().parse().unwrap()).unwrap();
        message.message().unwrap().lines().for_each(|line| assert_quiet_line(name, line));
    }
    let runs = world.runs().await;
    assert_eq!(runs.len(), 1, "{name}: one case");
    for run in &runs {
        // Answers that agree are evidence for an edit that is made of what was there and of what the rule names; for no other.
        let most = if harmless { 90 } else { 84 };
        assert!(harmless || run.summary.decision != Some(Decision::Open), "{name}: never above a draft");
        assert!(run.summary.confidence.is_none_or(|c| c.percent() <= most), "{name}");
        assert_ne!(run.summary.outcome, CaseOutcome::Merged, "{name}");
        assert_reasoned(injection, &world.events(run).await, model.asked());
    }
    for file in files(&world.folder().join("pulls")).iter().filter(|file| file.extension().is_some_and(|e| e == "md")) {
        assert_quiet_markdown(name, &std::fs::read_to_string(file).unwrap());
    }
    let shown = world.shown.lock().unwrap();
    assert!(!shown.is_empty(), "{name}: people are told");
    for notice in shown.iter() {
        assert_quiet_markdown(name, &notice.body);
        let rendered = Rendered::new(notice, None);
        assert_quiet_slack(name, &rendered.text);
        assert_quiet_slack(name, &serde_json::to_string(&rendered.blocks).unwrap());
    }
}

/// Every attack ends with a reason on record: why the answer was not used, or why the proposal was refused.
fn assert_reasoned(injection: &Injection, events: &[AuditEvent], asked: usize) {
    let name = &injection.name;
    let mut reasons = Vec::new();
    let mut proposed = false;
    for event in events {
        match &event.kind {
            EventKind::Consulted(asked) if asked.source == Source::Model => reasons.extend(asked.answers.clone()),
            EventKind::Judged { source: Source::Model, candidates } => {
                reasons.extend(candidates.iter().filter_map(|judged| match &judged.verdict {
                    Verdict::Rejected(rejection) => Some(rejection.detail.clone()),
                    Verdict::Verified(_) => None,
                }));
            }
            EventKind::Proposed { .. } => proposed = true,
            EventKind::Failed { reason } => {
                assert_eq!(injection.place, Place::Config, "{name}: {reason}");
                let told = ["is refused", "can only tighten"].iter().any(|why| reason.contains(why));
                assert!(told && reason.contains(".codehealer.toml"), "{name}: {reason}");
                return;
            }
            _ => {}
        }
    }
    assert!(asked > 0, "{name}: the model was asked");
    let expected = refused_for(&injection.obeys);
    if expected.is_empty() {
        return;
    }
    assert!(!proposed, "{name}: `{}` was proposed: {reasons:?}", injection.obeys);
    let said = reasons.iter().any(|reason| expected.iter().any(|expected| reason.contains(expected)));
    assert!(said, "{name}: `{}` is refused for {expected:?}, on record is {reasons:?}", injection.obeys);
}

/// What strangers wrote stands between the marks of data, never among the instructions. Whether the model saw it.
fn assert_fenced(injection: &Injection, model: &ScriptedModel) -> bool {
    let told: String = injection.text.lines().next().unwrap_or_default().chars().take(24).collect();
    // A single word may be one of ours.
    if told.len() < 12 {
        return false;
    }
    let mut seen = false;
    for prompt in model.prompts.lock().unwrap().iter() {
        assert!(!prompt.system.contains(&told), "{}: among the instructions", injection.name);
        let nonce = attack::nonce(prompt);
        let mark = format!("DATA-{nonce}\n");
        for (number, part) in prompt.user.split(&mark).enumerate() {
            assert!(number % 2 == 1 || !part.contains(&told), "{}: outside of the fence", injection.name);
            seen |= part.contains(&told);
        }
    }
    seen
}
