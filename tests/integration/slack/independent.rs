//! Slack as somebody else emulates it: `emulate`, which knows messages and channels, and no search.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use codehealer::local::clock::SystemClock;
use codehealer::local::store::{FILE_NAME, Options, Store};
use codehealer::model::Notice;
use codehealer::ports::{Clock as _, Credential, Notifier, PortResult, Secrets, TeamKnowledge};
use codehealer::slack::{ConnectionOptions, NoticeOptions, SlackApi, SlackNotifier, SlackTeam, TeamOptions};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::contract::notifier::notice;
use crate::contract::team::query;
use crate::support::servers;

/// Every name is the token.
struct Named;

#[async_trait]
impl Secrets for Named {
    async fn secret(&self, name: &str) -> PortResult<SecretString> {
        Ok(SecretString::from(name.to_owned()))
    }
}

fn token(value: &str) -> Credential {
    Credential::new(Arc::new(Named), value)
}

async fn api() -> Arc<SlackApi> {
    let api_url = format!("{}/api", servers::emulated_slack().await);
    let timeout = Duration::from_secs(20);
    SlackApi::new(&ConnectionOptions { api_url, connect_timeout: timeout, timeout }, Arc::new(SystemClock)).unwrap()
}

/// Calls a method directly, as another client of the workspace.
async fn call(method: &str, token: &str, body: Value) -> Value {
    let url = format!("{}/api/{method}", servers::emulated_slack().await);
    let sent = reqwest::Client::new().post(url).bearer_auth(token).json(&body).send().await.unwrap();
    let answer: Value = sent.json().await.unwrap();
    assert_eq!(answer["ok"], true, "{method}: {answer}");
    answer
}

async fn channel(name: &str) -> String {
    let made = call("conversations.create", "xoxb-codehealer", json!({"name": name})).await;
    made["channel"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_notice_is_posted_once_and_changed_in_place() {
    let id = channel("notices-once").await;
    let notifier = || async {
        let options =
            NoticeOptions { bot_token: token("xoxb-codehealer"), channel: "notices-once".into(), senior: None };
        SlackNotifier::new(api().await, options).unwrap()
    };
    let since = SystemClock.now();
    let first = Notice { since, ..notice("k", "proposed") };
    let reference = notifier().await.ensure_notice(&first).await.unwrap();
    assert_eq!(notifier().await.ensure_notice(&first).await.unwrap(), reference, "found by what is attached to it");
    let merged = Notice { earlier: Some(reference.clone()), since, ..notice("k", "merged") };
    assert_eq!(notifier().await.ensure_notice(&merged).await.unwrap(), reference);
    let history = call("conversations.history", "xoxb-codehealer", json!({"channel": id})).await;
    let ours: Vec<&Value> =
        history["messages"].as_array().unwrap().iter().filter(|message| message.get("metadata").is_some()).collect();
    assert_eq!(ours.len(), 1, "{history}");
    assert!(ours[0]["blocks"].to_string().contains("merged"), "{history}");
}

#[tokio::test]
async fn a_channel_is_indexed_with_its_threads_and_reactions() {
    let id = channel("fixes-indexed").await;
    let say = |text: &str, thread: Option<String>| {
        let mut body = json!({"channel": id, "text": text});
        if let Some(thread) = thread {
            body["thread_ts"] = thread.into();
        }
        async move { call("chat.postMessage", "xoxp-ann", body).await["ts"].as_str().unwrap().to_owned() }
    };
    call("conversations.join", "xoxp-ann", json!({"channel": id})).await;
    let root = say("yaml.load &amp; friends", None).await;
    let answer = say("```safe_load```", Some(root.clone())).await;
    let reaction = json!({"channel": id, "timestamp": answer, "name": "white_check_mark"});
    call("conversations.join", "xoxp-bob", json!({"channel": id})).await;
    call("reactions.add", "xoxp-bob", reaction).await;

    let folder = tempfile::tempdir().unwrap();
    let state = Store::open(&folder.path().join(FILE_NAME), Options::new(Arc::new(SystemClock))).unwrap();
    let options = TeamOptions {
        organisation: "acme".into(),
        bot_token: Some(token("xoxb-codehealer")),
        user_token: None,
        channels: vec!["fixes-indexed".into()],
        confirm: vec!["white_check_mark".into()],
    };
    let team = SlackTeam::new(api().await, options, Arc::new(state.state())).unwrap();
    let found = team.search(&query(&["yaml.load"])).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    let texts: Vec<&str> = found[0].messages.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(texts, ["yaml.load & friends", "```safe_load```"]);
    assert!(found[0].messages[1].confirmed && !found[0].messages[0].confirmed);
}
