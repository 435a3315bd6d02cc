//! What every source of team knowledge answers: the same conversations, the same threads.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use codehealer::model::{AuthorKind, Thread};
use codehealer::ports::{TeamKnowledge, TeamQuery};
use serde_json::{Value, json};

/// A channel and what is said in it.
#[derive(Clone)]
pub struct Room {
    pub id: &'static str,
    pub name: &'static str,
    pub private: bool,
    pub lines: Vec<Line>,
}

/// A message in Slack's markup, and its replies.
#[derive(Clone, Default)]
pub struct Line {
    pub user: &'static str,
    pub text: String,
    pub subtype: Option<&'static str>,
    pub reactions: Vec<(&'static str, Vec<&'static str>)>,
    pub replies: Vec<Line>,
}

pub fn line(user: &'static str, text: &str) -> Line {
    Line { user, text: text.to_owned(), ..Line::default() }
}

impl Line {
    pub fn reacted(mut self, name: &'static str, users: &[&'static str]) -> Self {
        self.reactions.push((name, users.to_vec()));
        self
    }

    pub fn answered(mut self, reply: Line) -> Self {
        self.replies.push(reply);
        self
    }
}

pub fn room(lines: Vec<Line>) -> Room {
    Room { id: "C01", name: "fixes", private: false, lines }
}

/// The people, as Slack describes them.
pub fn people() -> Vec<Value> {
    vec![
        json!({"id": "U1", "name": "ann", "real_name": "Ann", "is_app_user": true}),
        json!({"id": "U2", "name": "bob", "real_name": null}),
        json!({"id": "U3", "name": "cem"}),
        json!({"id": "G1", "name": "gus", "is_restricted": true}),
        json!({"id": "G2", "name": "gil", "is_ultra_restricted": true}),
        json!({"id": "X1", "name": "xia", "is_stranger": true}),
        json!({"id": "B1", "name": "ci", "is_bot": true}),
        json!({"id": "USLACKBOT", "name": "slackbot", "is_bot": false}),
    ]
}

/// A backend that has heard some rooms, and what keeps it alive.
pub struct Heard {
    pub team: Arc<dyn TeamKnowledge>,
    pub _keep: Box<dyn Any + Send + Sync>,
}

/// Makes a backend of the organisation `acme` that hears these rooms; `named` channels are configured as sources.
#[async_trait]
pub trait Chat: Sync {
    async fn hear(&self, rooms: &[Room], named: &[&str]) -> Heard;
}

pub fn query(terms: &[&str]) -> TeamQuery {
    let terms = terms.iter().map(ToString::to_string).collect();
    TeamQuery { organisation: "acme".into(), private: true, terms, limit: 5 }
}

/// Runs the whole suite.
pub async fn contract(chat: &dyn Chat) {
    a_thread_is_put_together_and_its_markup_undone(chat).await;
    only_another_full_member_confirms(chat).await;
    guests_and_bots_are_told_apart(chat).await;
    a_channel_that_was_not_named_is_flagged_or_silent(chat).await;
    private_channels_answer_private_repositories_only(chat).await;
    another_organisation_finds_nothing(chat).await;
    the_thread_with_most_terms_comes_first(chat).await;
    announcements_are_no_messages(chat).await;
}

async fn search(chat: &dyn Chat, rooms: &[Room], query: &TeamQuery) -> Vec<Thread> {
    let heard = chat.hear(rooms, &["fixes"]).await;
    heard.team.search(query).await.unwrap()
}

async fn a_thread_is_put_together_and_its_markup_undone(chat: &dyn Chat) {
    let said = line("U1", "yaml.load &amp; friends? &lt;ask <@U2>&gt; <!here> <!subteam^S1|@ops> &amp;lt;")
        .answered(line("U2", "see <https://github.com/a/b/pull/7|this>"))
        .answered(line("U3", "```\nyaml.safe_load(x)\n```"));
    let found = search(chat, &[room(vec![said])], &query(&["yaml.load"])).await;
    let [thread] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((thread.channel.as_str(), thread.channel_configured, thread.private), ("fixes", true, false));
    let texts: Vec<&str> = thread.messages.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "yaml.load & friends? <ask bob> !here @ops &lt;",
            "see https://github.com/a/b/pull/7",
            "```\nyaml.safe_load(x)\n```"
        ]
    );
    assert_eq!(thread.messages[1].pull_requests, ["https://github.com/a/b/pull/7"]);
    assert!(thread.messages.windows(2).all(|pair| pair[0].at < pair[1].at));
    assert!(thread.permalink.starts_with("https://acme.slack.com/archives/C01/p"), "{}", thread.permalink);
    assert_eq!(thread.permalink, thread.messages[0].permalink);
    assert_ne!(thread.messages[0].permalink, thread.messages[1].permalink);
}

async fn only_another_full_member_confirms(chat: &dyn Chat) {
    let check = "white_check_mark";
    let said = line("U1", "weak.hash question")
        .answered(line("U2", "by ann").reacted(check, &["U1"]))
        .answered(line("U2", "by a dark hand").reacted("white_check_mark::skin-tone-6", &["U3"]))
        .answered(line("U2", "by himself").reacted(check, &["U2"]))
        .answered(line("U2", "by guests, bots, strangers, nobody").reacted(check, &["G1", "G2", "B1", "X1", "U404"]))
        .answered(line("U2", "otherwise").reacted("+1", &["U1"]))
        .answered(line("U2", "twice").reacted("+1", &["U3"]).reacted(check, &["U2", "U3"]));
    let found = search(chat, &[room(vec![said])], &query(&["weak.hash"])).await;
    let confirmed: Vec<bool> = found[0].messages.iter().map(|m| m.confirmed).collect();
    assert_eq!(confirmed, [false, true, true, false, false, false, true]);
}

async fn guests_and_bots_are_told_apart(chat: &dyn Chat) {
    let said = line("U1", "who.is question")
        .answered(line("G1", "fix: ```x```").reacted("white_check_mark", &["U1"]))
        .answered(line("G2", "a"))
        .answered(line("X1", "b"))
        .answered(line("B1", "c"))
        .answered(line("USLACKBOT", "d"))
        .answered(line("U404", "e"));
    let found = search(chat, &[room(vec![said])], &query(&["who.is"])).await;
    let kinds: Vec<AuthorKind> = found[0].messages.iter().map(|m| m.author.kind).collect();
    let guest = AuthorKind::Guest;
    let expected = [AuthorKind::Member, guest, guest, guest, AuthorKind::Bot, AuthorKind::Bot, AuthorKind::Unknown];
    assert_eq!(kinds, expected);
    assert_eq!(found[0].messages[0].author.name, "Ann");
}

async fn a_channel_that_was_not_named_is_flagged_or_silent(chat: &dyn Chat) {
    let other = Room { id: "C02", name: "random", ..room(vec![line("U1", "tls.verify off")]) };
    let found = search(chat, &[room(vec![line("U1", "hello")]), other], &query(&["tls.verify"])).await;
    assert!(found.iter().all(|thread| !thread.channel_configured && thread.channel == "random"), "{found:?}");
}

async fn private_channels_answer_private_repositories_only(chat: &dyn Chat) {
    let rooms = [Room { private: true, ..room(vec![line("U1", "internal.secret thing")]) }];
    let found = search(chat, &rooms, &query(&["internal.secret"])).await;
    assert!(found.len() == 1 && found[0].private && found[0].channel_configured, "{found:?}");
    let public = TeamQuery { private: false, ..query(&["internal.secret"]) };
    assert!(search(chat, &rooms, &public).await.is_empty());
}

async fn another_organisation_finds_nothing(chat: &dyn Chat) {
    let rooms = [room(vec![line("U1", "yaml.load")])];
    let foreign = TeamQuery { organisation: "other".into(), ..query(&["yaml.load"]) };
    assert!(search(chat, &rooms, &foreign).await.is_empty());
    assert!(search(chat, &rooms, &query(&["nowhere"])).await.is_empty());
    assert!(search(chat, &rooms, &TeamQuery { limit: 0, ..query(&["yaml.load"]) }).await.is_empty());
}

async fn the_thread_with_most_terms_comes_first(chat: &dyn Chat) {
    let lines = vec![
        line("U1", "both eval.code and CWE-95"),
        line("U1", "only CWE-95"),
        line("U1", "only eval.code"),
        line("U1", "a later EVAL.CODE"),
    ];
    let rooms = [room(lines)];
    let found = search(chat, &rooms, &query(&["eval.code", "CWE-95"])).await;
    let first: Vec<&str> = found.iter().map(|thread| thread.messages[0].text.as_str()).collect();
    assert_eq!(first, ["both eval.code and CWE-95", "a later EVAL.CODE", "only eval.code", "only CWE-95"]);
    let two = TeamQuery { limit: 2, ..query(&["eval.code", "CWE-95"]) };
    assert_eq!(search(chat, &rooms, &two).await.len(), 2);
}

async fn announcements_are_no_messages(chat: &dyn Chat) {
    let joined =
        Line { subtype: Some("channel_join"), ..line("U2", "<@U2> has joined the channel about open.redirect") };
    let said = line("U1", "open.redirect");
    let found = search(chat, &[room(vec![joined, said])], &query(&["open.redirect"])).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].messages.len(), 1);
}
