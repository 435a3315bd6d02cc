//! The team's chat with a user's token.

use codehealer::model::AuthorKind;
use codehealer::ports::{ErrorKind, TeamKnowledge, TeamQuery};
use serde_json::json;

use super::{House, Kind};
use crate::contract::team::{Room, line, query, room};

#[tokio::test]
async fn a_reply_brings_its_whole_thread() {
    let house = House::new().await;
    let said = line("U1", "how do we parse this?").answered(line("U2", "never with yaml.load"));
    house.say(&[room(vec![said])]);
    let found = house.team(Kind::User, &[]).search(&query(&["yaml.load"])).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].messages[0].text, "how do we parse this?");
    assert_eq!(found[0].messages.len(), 2);
}

#[tokio::test]
async fn terms_cannot_steer_the_search() {
    let house = House::new().await;
    let hidden = Room { id: "C02", name: "secrets", ..room(vec![line("U1", "the launch code is in:secrets x")]) };
    house.say(&[room(vec![line("U1", "hello")]), hidden]);
    let team = house.team(Kind::User, &[]);
    for term in ["x\" in:secrets \"launch", "in:secrets", "\u{201c}from:@U1 hello", "-hello launch"] {
        team.search(&query(&[term])).await.unwrap();
    }
    for call in house.server.calls("search.messages") {
        let asked = call.arguments["query"].as_str().unwrap();
        assert_eq!(asked.matches('"').count(), 2, "{asked}");
        assert!(asked.starts_with('"') && asked.ends_with('"'), "{asked}");
    }
}

#[tokio::test]
async fn what_is_searched_for_is_in_no_address() {
    let house = House::new().await;
    house.say(&[room(vec![line("U1", "telling.word here")])]);
    house.team(Kind::User, &[]).search(&query(&["telling.word"])).await.unwrap();
    let log = house.server.log();
    assert!(log.len() > 1 && log.iter().all(|call| call.query.is_empty()), "{log:?}");
}

#[tokio::test]
async fn direct_messages_answer_nobody() {
    let house = House::new().await;
    house.say(&[
        room(vec![]),
        Room { id: "D01", name: "", private: true, ..room(vec![line("U1", "yaml.load between us")]) },
    ]);
    assert!(house.team(Kind::User, &[]).search(&query(&["yaml.load"])).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_guests_answer_and_another_channel_are_marked() {
    let house = House::new().await;
    let fix = line("U1", "md5.sum?").answered(line("G1", "```- md5\n+ sha256```").reacted("white_check_mark", &["U1"]));
    let other = Room { id: "C02", name: "random", ..room(vec![line("U2", "md5.sum is weak")]) };
    house.say(&[room(vec![fix]), other]);
    let found = house.team(Kind::User, &["C01"]).search(&query(&["md5.sum"])).await.unwrap();
    let guest = found.iter().find(|thread| thread.channel == "fixes").unwrap();
    assert!(guest.channel_configured);
    assert_eq!(guest.messages[1].author.kind, AuthorKind::Guest);
    assert!(!found.iter().find(|thread| thread.channel == "random").unwrap().channel_configured);
}

#[tokio::test]
async fn a_search_is_few_calls() {
    let house = House::new().await;
    let lines = (0..60).map(|_| line("U2", "common.call everywhere")).collect();
    house.say(&[room(lines)]);
    let many: Vec<String> = (0..12).map(|n| format!("rare.term{n}")).collect();
    let terms: Vec<&str> = many.iter().map(String::as_str).chain(["common.call"]).collect();
    house.team(Kind::User, &[]).search(&query(&terms)).await.unwrap();
    assert!(house.server.calls("search.messages").len() <= 4);
    let wide = TeamQuery { limit: 20, ..query(&["common.call"]) };
    let found = house.team(Kind::User, &[]).search(&wide).await.unwrap();
    assert_eq!(found.len(), 10, "as many threads as one search reads");
    assert_eq!(house.server.calls("conversations.replies").len(), 10);
    assert_eq!(house.server.calls("users.info").len(), 1, "one person is asked for once");
}

#[tokio::test]
async fn a_thread_that_went_away_since_is_passed_over() {
    let house = House::new().await;
    house.say(&[room(vec![line("U1", "yaml.load a"), line("U1", "yaml.load b")])]);
    house.server.fails("conversations.replies", crate::support::slack_api::Fault::Refused("thread_not_found"));
    let found = house.team(Kind::User, &[]).search(&query(&["yaml.load"])).await.unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn a_bots_token_cannot_search_and_is_told_so() {
    let house = House::new().await;
    house.tokens.set("user", crate::support::slack_api::BOT_TOKEN);
    let error = house.team(Kind::User, &[]).search(&query(&["yaml.load"])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.to_string().contains("another kind of token"), "{error}");
}

#[tokio::test]
async fn a_message_of_forty_thousand_characters_and_a_thousand_replies_are_read() {
    for kind in [Kind::User, Kind::Bot] {
        let house = House::new().await;
        let long = format!("deep.thread {}", "x ".repeat(20_000));
        house.say(&[room(vec![line("U1", &long)])]);
        house.server.with(|world| {
            let root = world.find("C01").unwrap().messages[0]["ts"].as_str().unwrap().to_owned();
            for number in 0..1_000 {
                world.reply("C01", &root, "U2", &format!("reply {number}"));
            }
            let last = world.reply("C01", &root, "U2", "```the answer```");
            world.react("C01", &last, "white_check_mark", &["U1"]);
        });
        let found = house.team(kind, &["fixes"]).search(&query(&["deep.thread"])).await.unwrap();
        // An index leaves out chatter of a thread that is too large for an item.
        let least = if kind == Kind::User { 1_002 } else { 500 };
        assert!(found[0].messages.len() >= least, "{kind:?}: {}", found[0].messages.len());
        assert!(found[0].messages.last().unwrap().confirmed && found[0].messages[0].text.len() > 39_000);
    }
}

#[tokio::test]
async fn an_odd_message_does_not_hide_the_others() {
    for kind in [Kind::User, Kind::Bot] {
        let house = House::new().await;
        house.say(&[room(vec![line("U1", "odd.things said")])]);
        house.server.with(|world| {
            let root = world.find("C01").unwrap().messages[0]["ts"].as_str().unwrap().to_owned();
            let blocks = json!([{"type": "of_the_future", "x": {}}]);
            world.put("C01", json!({"thread_ts": root, "user": null, "bot_id": "B7", "text": null, "blocks": blocks}));
            world.put("C01", json!({"thread_ts": root, "subtype": "bot_message", "bot_id": "B8", "text": "deployed"}));
        });
        let found = house.team(kind, &["fixes"]).search(&query(&["odd.things"])).await.unwrap();
        let kinds: Vec<AuthorKind> = found[0].messages.iter().map(|message| message.author.kind).collect();
        assert_eq!(kinds, [AuthorKind::Member, AuthorKind::Bot, AuthorKind::Bot], "{kind:?}");
    }
}
