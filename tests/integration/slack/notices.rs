//! Notices in Slack: once, in place, and by us.

use std::sync::Arc;
use std::time::Duration;

use codehealer::model::Notice;
use codehealer::ports::{ErrorKind, Notifier};
use codehealer::slack::SlackNotifier;
use serde_json::{Value, json};

use super::House;
use crate::contract::notifier::{Told, contract, notice};
use crate::support::slack_api::{BOT_ID, BOT_USER, Fault};

struct Posted {
    house: Arc<House>,
    notifier: SlackNotifier,
}

impl Posted {
    fn open(house: Arc<House>) -> Self {
        Self { notifier: house.notifier(house.api()), house }
    }
}

impl Told for Posted {
    fn notifier(&self) -> &dyn Notifier {
        &self.notifier
    }

    fn times(&self) -> usize {
        standing(&self.house).len()
    }

    fn text(&self, reference: &str) -> String {
        let digits = reference.rsplit_once("/p").unwrap().1;
        let found = standing(&self.house)
            .into_iter()
            .find(|message| message["ts"].as_str().unwrap().replace('.', "") == digits);
        found.unwrap_or_default()["blocks"].to_string()
    }

    fn again(&self) -> Box<dyn Told> {
        Box::new(Self::open(Arc::clone(&self.house)))
    }
}

/// The messages of the channel for notices.
fn standing(house: &House) -> Vec<Value> {
    house.server.with(|world| world.find("C09NOTICES").unwrap().messages.iter().cloned().map(Value::Object).collect())
}

fn posts(house: &House) -> usize {
    house.server.calls("chat.postMessage").len()
}

#[tokio::test]
async fn slack_keeps_the_contract_of_notices() {
    contract(async || Posted::open(Arc::new(House::with_notices().await))).await;
}

#[tokio::test]
async fn a_lost_answer_posts_one_message() {
    let house = House::with_notices().await;
    let notifier = house.notifier(house.patient(Duration::from_secs(3)));
    house.server.fails("chat.postMessage", Fault::LostAnswer);
    let error = notifier.ensure_notice(&notice("k", "b")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(standing(&house).len(), 1, "it was done, and nobody heard of it");
    let reference = notifier.ensure_notice(&notice("k", "b")).await.unwrap();
    assert_eq!((standing(&house).len(), posts(&house)), (1, 1));
    assert!(reference.ends_with(&standing(&house)[0]["ts"].as_str().unwrap().replace('.', "")), "{reference}");
}

#[tokio::test]
async fn an_answer_of_500_is_not_followed_by_a_second_post() {
    let house = House::with_notices().await;
    let notifier = house.notifier(house.api());
    house.server.fails("chat.postMessage", Fault::Status(500));
    assert_eq!(notifier.ensure_notice(&notice("k", "b")).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(posts(&house), 1, "no blind second try");
    notifier.ensure_notice(&notice("k", "b")).await.unwrap();
    assert_eq!(standing(&house).len(), 1);
}

#[tokio::test]
async fn clocks_an_hour_apart_post_one_message() {
    for skew in [-50 * 60 * 1000, 50 * 60 * 1000] {
        let house = House::with_notices().await;
        house.server.with(|world| world.skew = skew);
        let notifier = house.notifier(house.api());
        let first = notifier.ensure_notice(&notice("k", "b")).await.unwrap();
        assert_eq!(notifier.ensure_notice(&notice("k", "b")).await.unwrap(), first, "{skew}");
        assert_eq!(posts(&house), 1);
    }
}

#[tokio::test]
async fn a_notice_is_found_in_a_busy_channel() {
    let house = House::with_notices().await;
    let notifier = house.notifier(house.api());
    let first = notifier.ensure_notice(&notice("k", "b")).await.unwrap();
    house.server.with(|world| (0..900).for_each(|_| drop(world.say("C09NOTICES", "U1", "chatter"))));
    assert_eq!(house.notifier(house.api()).ensure_notice(&notice("k", "b")).await.unwrap(), first);
    assert_eq!(posts(&house), 1);
}

#[tokio::test]
async fn a_strangers_message_with_our_key_is_not_ours() {
    let house = House::with_notices().await;
    let metadata = json!({"event_type": "codehealer_notice", "event_payload": {"key": "k", "digest": "d"}});
    let forged = house.server.with(|world| {
        world.put("C09NOTICES", json!({"user": "B1", "bot_id": "B7", "text": "all is well", "metadata": metadata}))
    });
    let earlier = format!("https://acme.slack.com/archives/C09NOTICES/p{}", forged.replace('.', ""));
    let misled = Notice { earlier: Some(earlier.clone()), ..notice("k", "b") };
    let reference = house.notifier(house.api()).ensure_notice(&misled).await.unwrap();
    assert_ne!(reference, earlier);
    assert!(house.server.calls("chat.update").is_empty());
    assert_eq!(standing(&house).len(), 2);
}

#[tokio::test]
async fn our_own_message_without_the_key_is_another_notice() {
    let house = House::with_notices().await;
    let metadata = json!({"event_type": "codehealer_notice", "event_payload": {"key": "other"}});
    house.server.with(|world| {
        world.put("C09NOTICES", json!({"user": BOT_USER, "bot_id": BOT_ID, "text": "x", "metadata": metadata}));
        world.put("C09NOTICES", json!({"user": BOT_USER, "bot_id": BOT_ID, "text": "y"}));
    });
    house.notifier(house.api()).ensure_notice(&notice("k", "b")).await.unwrap();
    assert_eq!(posts(&house), 1);
}

#[tokio::test]
async fn the_senior_is_called_once_and_nobody_else_ever() {
    let house = House::with_notices().await;
    let notifier = house.notifier(house.api());
    let hostile = "<!here> <@U2> <!subteam^S1> @channel &lt;!everyone&gt;";
    let first = Notice { headline: hostile.into(), ..notice("k", hostile) };
    let reference = notifier.ensure_notice(&first).await.unwrap();
    let posted = standing(&house)[0].to_string();
    assert_eq!(posted.matches("<@U3>").count(), 1, "{posted}");
    for call in ["<!", "<@U2", "<#"] {
        assert!(!posted.contains(call), "{call} in {posted}");
    }
    let changed = Notice { earlier: Some(reference), ..notice("k", "other") };
    notifier.ensure_notice(&changed).await.unwrap();
    assert!(!standing(&house)[0].to_string().contains("<@U3>"), "an update calls nobody");
    notifier.ensure_notice(&Notice { for_senior: false, ..notice("quiet", "b") }).await.unwrap();
    assert!(!standing(&house)[1].to_string().contains("<@"));
}

#[tokio::test]
async fn nothing_unfurls_and_no_name_is_linked() {
    let house = House::with_notices().await;
    let notifier = house.notifier(house.api());
    notifier.ensure_notice(&notice("k", "see https://evil.example/x")).await.unwrap();
    notifier.ensure_notice(&notice("k", "changed")).await.unwrap();
    let arguments = &house.server.calls("chat.postMessage")[0].arguments;
    for off in ["unfurl_links", "unfurl_media", "link_names"] {
        assert_eq!(arguments[off], json!(false), "{off}");
    }
    assert_eq!(arguments["parse"], "none");
    assert_eq!(house.server.calls("chat.update")[0].arguments["link_names"], json!(false));
    let blocks = arguments["blocks"].as_array().unwrap();
    let marked = blocks.iter().filter(|block| block["text"]["type"] == "mrkdwn");
    assert!(marked.clone().count() > 1 && marked.clone().all(|block| block["text"]["verbatim"] == true));
}

#[tokio::test]
async fn a_removed_notice_is_told_again_without_a_call() {
    let house = House::with_notices().await;
    let notifier = house.notifier(house.api());
    let reference = notifier.ensure_notice(&notice("k", "b")).await.unwrap();
    let ts = standing(&house)[0]["ts"].as_str().unwrap().to_owned();
    house.server.with(|world| world.delete("C09NOTICES", &ts));
    let again = notifier.ensure_notice(&Notice { earlier: Some(reference.clone()), ..notice("k", "b") }).await.unwrap();
    assert_ne!(again, reference);
    assert!(!standing(&house)[0].to_string().contains("<@U3>"));
}

#[tokio::test]
async fn a_notice_moves_when_its_channel_is_gone() {
    let house = House::with_notices().await;
    let elsewhere = Some("https://acme.slack.com/archives/C0GONE/p1767225600000100".to_owned());
    let reference = house.notifier(house.api()).ensure_notice(&Notice { earlier: elsewhere, ..notice("k", "b") }).await;
    assert!(reference.unwrap().contains("C09NOTICES"));
}

#[tokio::test]
async fn a_message_that_may_not_be_edited_is_left_as_it_is() {
    let house = House::with_notices().await;
    let notifier = house.notifier(house.api());
    let reference = notifier.ensure_notice(&notice("k", "b")).await.unwrap();
    house.server.fails("chat.update", Fault::Refused("edit_window_closed"));
    assert_eq!(notifier.ensure_notice(&notice("k", "c")).await.unwrap(), reference);
    assert_eq!(posts(&house), 1);
}

#[tokio::test]
async fn two_notices_are_posted_a_second_apart() {
    let house = House::with_notices().await;
    let notifier = house.notifier(house.api());
    let began = std::time::Instant::now();
    let (one, two) = (notice("a", "b"), notice("b", "b"));
    let (first, second) = tokio::join!(notifier.ensure_notice(&one), notifier.ensure_notice(&two));
    assert!(first.is_ok() && second.is_ok());
    assert!(began.elapsed() >= Duration::from_secs(1));
}
