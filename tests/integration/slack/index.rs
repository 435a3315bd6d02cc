//! The team's chat with a bot's token: the index and how it stays true.

use std::time::Duration;

use codehealer::ports::{ErrorKind, TeamKnowledge};
use codehealer::state::{Query, QueryOf};

use super::{House, Kind};
use crate::contract::team::{line, query, room};
use crate::support::slack_api::Fault;

const LATER: Duration = Duration::from_secs(6 * 60);

/// A house with one thread about `yaml.load`, whose answer nobody confirmed yet; root and answer.
async fn asked() -> (House, String, String) {
    let house = House::new().await;
    let said = line("U1", "yaml.load again").answered(line("U2", "```use safe_load```"));
    house.say(&[room(vec![said])]);
    let stamps = house.server.with(|world| {
        let messages = &world.find("C01").unwrap().messages;
        messages.iter().map(|message| message["ts"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    });
    (house, stamps[0].clone(), stamps[1].clone())
}

#[tokio::test]
async fn a_later_check_mark_is_seen() {
    let (house, _, answer) = asked().await;
    let team = house.team(Kind::Bot, &["fixes"]);
    assert!(!team.search(&query(&["yaml.load"])).await.unwrap()[0].messages[1].confirmed);
    house.server.with(|world| world.react("C01", &answer, "white_check_mark", &["U1"]));
    assert!(!team.search(&query(&["yaml.load"])).await.unwrap()[0].messages[1].confirmed, "the index is fresh enough");
    house.clock.advance(LATER);
    assert!(team.search(&query(&["yaml.load"])).await.unwrap()[0].messages[1].confirmed);
}

#[tokio::test]
async fn edits_deletions_and_new_replies_are_taken_in() {
    let (house, root, answer) = asked().await;
    let team = house.team(Kind::Bot, &["fixes"]);
    team.refresh().await.unwrap();
    house.server.with(|world| {
        world.edit("C01", &answer, "```use CSafeLoader```");
        world.reply("C01", &root, "U3", "thanks");
        let other = world.say("C01", "U3", "yaml.load elsewhere");
        assert!(other > root);
    });
    house.clock.advance(LATER);
    team.refresh().await.unwrap();
    let found = team.search(&query(&["yaml.load"])).await.unwrap();
    assert_eq!(found.len(), 2);
    let old = found.iter().find(|thread| thread.messages.len() == 3).unwrap();
    assert!(old.messages[1].text.contains("CSafeLoader"), "{old:?}");

    house.server.with(|world| {
        world.delete("C01", &answer);
        let last = world.find("C01").unwrap().messages.last().unwrap()["ts"].as_str().unwrap().to_owned();
        world.delete("C01", &last);
    });
    house.clock.advance(LATER);
    team.refresh().await.unwrap();
    let found = team.search(&query(&["yaml.load"])).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].messages.len(), 2);

    house.server.with(|world| world.delete("C01", &root));
    house.clock.advance(LATER);
    team.refresh().await.unwrap();
    assert!(team.search(&query(&["yaml.load"])).await.unwrap().is_empty(), "the question is gone");
    assert_eq!(team.search(&query(&["thanks"])).await.unwrap()[0].messages.len(), 1);
}

#[tokio::test]
async fn another_process_answers_from_the_index_without_reading_the_channel() {
    let (house, ..) = asked().await;
    house.team(Kind::Bot, &["fixes"]).refresh().await.unwrap();
    let read = house.server.calls("conversations.history").len();
    let found = house.team(Kind::Bot, &["fixes"]).search(&query(&["yaml.load"])).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].messages[0].author.name, "Ann");
    assert_eq!(house.server.calls("conversations.history").len(), read);
    assert!(house.server.calls("search.messages").is_empty());
}

#[tokio::test]
async fn what_one_process_learned_the_other_sees() {
    let (house, root, _) = asked().await;
    let (one, other) = (house.team(Kind::Bot, &["fixes"]), house.team(Kind::Bot, &["fixes"]));
    other.refresh().await.unwrap();
    house.server.with(|world| world.reply("C01", &root, "U3", "unheard.of"));
    house.clock.advance(LATER);
    one.refresh().await.unwrap();
    let read = house.server.calls("conversations.history").len();
    assert_eq!(other.search(&query(&["unheard.of"])).await.unwrap().len(), 1);
    assert_eq!(house.server.calls("conversations.history").len(), read, "the other read the store, not Slack");
}

#[tokio::test]
async fn a_quiet_channel_costs_a_few_calls_and_no_writes() {
    let (house, ..) = asked().await;
    let team = house.team(Kind::Bot, &["fixes"]);
    team.refresh().await.unwrap();
    house.clock.advance(Duration::from_secs(4 * 24 * 60 * 60));
    let (before, calls) = (stored(&house).await, house.server.log().len());
    team.refresh().await.unwrap();
    assert_eq!(stored(&house).await, before);
    assert!(house.server.log().len() - calls <= 4, "{:?}", house.server.log());
}

/// All threads of the index as they are stored.
async fn stored(house: &House) -> Vec<String> {
    let of = QueryOf::Partition { pk: "SLACK#acme#C01".into(), prefix: "THR#".into() };
    let page = house.state.query(&Query { of, descending: false, limit: 1_000, cursor: None }).await.unwrap();
    page.items.into_iter().map(|item| serde_json::to_string(&item).unwrap()).collect()
}

#[tokio::test]
async fn no_secret_is_stored_and_no_item_is_too_large() {
    let house = House::new().await;
    let secret = format!("ghp_{}", "R8q7P6o5N4m3L2k1J0i9H8g7F6e5D4c3B2a1");
    let mut said = line("U1", &format!("leak.test with {secret}"));
    for number in 0..40 {
        said = said.answered(line("U2", &format!("{number} {}", "é".repeat(10_000))));
    }
    house.say(&[room(vec![said])]);
    let team = house.team(Kind::Bot, &["fixes"]);
    let found = team.search(&query(&["leak.test"])).await.unwrap();
    assert!(found[0].messages[0].text.contains("[redacted]"), "{}", found[0].messages[0].text);
    let items = stored(&house).await;
    assert!(!items.is_empty() && items.iter().all(|item| !item.contains(&secret) && item.len() < 400 * 1024));
}

#[tokio::test]
async fn a_large_channel_is_read_bit_by_bit_and_completely() {
    let house = House::new().await;
    let lines = (0..2_500).map(|number| line("U1", &format!("message.{number} said"))).collect();
    house.say(&[room(lines)]);
    let team = house.team(Kind::Bot, &["fixes"]);
    team.refresh().await.unwrap();
    let first = house.server.calls("conversations.history").len();
    assert!(first <= 80, "{first} pages at once");
    assert_eq!(team.search(&query(&["message.2499 said"])).await.unwrap().len(), 1, "the newest come first");
    for _ in 0..3 {
        house.clock.advance(LATER);
        team.refresh().await.unwrap();
    }
    assert_eq!(team.search(&query(&["message.0 said"])).await.unwrap().len(), 1, "the oldest come at last");
    assert_eq!(stored(&house).await.len(), 1_000, "one page of the store");
}

#[tokio::test]
async fn an_old_thread_that_wakes_up_is_found_again() {
    let (house, root, _) = asked().await;
    house.clock.advance(Duration::from_secs(30 * 24 * 60 * 60));
    house.server.with(|world| drop(world.say("C01", "U3", "something newer")));
    let team = house.team(Kind::Bot, &["fixes"]);
    team.refresh().await.unwrap();
    house.server.with(|world| world.reply("C01", &root, "U3", "woken.up"));
    house.clock.advance(LATER);
    team.refresh().await.unwrap();
    assert_eq!(team.search(&query(&["woken.up"])).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_index_answers_while_slack_is_away_but_not_for_ever() {
    let (house, ..) = asked().await;
    let team = house.team(Kind::Bot, &["fixes"]);
    team.refresh().await.unwrap();
    house.clock.advance(LATER);
    house.server.fails("conversations.history", Fault::Status(503));
    assert_eq!(team.search(&query(&["yaml.load"])).await.unwrap().len(), 1);
    house.clock.advance(Duration::from_secs(2 * 60 * 60));
    house.server.fails("conversations.history", Fault::Status(503));
    let error = team.search(&query(&["yaml.load"])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "could not ask is not found nothing");
}

#[tokio::test]
async fn an_index_of_nothing_is_not_an_answer() {
    let (house, ..) = asked().await;
    house.server.fails("conversations.history", Fault::RateLimited(7));
    let error = house.team(Kind::Bot, &["fixes"]).search(&query(&["yaml.load"])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Throttled(Duration::from_secs(7)));
}

#[tokio::test]
async fn what_was_read_before_a_refusal_is_kept() {
    let house = House::new().await;
    let lines = (0..300).map(|number| line("U1", &format!("kept.word {number}"))).collect();
    house.say(&[room(lines)]);
    let team = house.team(Kind::Bot, &["fixes"]);
    // The first page is answered, the second is not.
    house.server.fails("conversations.list", Fault::Status(500));
    assert!(team.refresh().await.is_err());
    house.server.fails_at("conversations.history", 2, Fault::RateLimited(60));
    assert!(team.refresh().await.is_err());
    assert_eq!(stored(&house).await.len(), 200);
    house.clock.advance(LATER);
    team.refresh().await.unwrap();
    assert_eq!(stored(&house).await.len(), 300);
}

#[tokio::test]
async fn a_channel_that_became_private_answers_no_public_repository() {
    let (house, ..) = asked().await;
    let team = house.team(Kind::Bot, &["fixes"]);
    let mut public = query(&["yaml.load"]);
    public.private = false;
    assert_eq!(team.search(&public).await.unwrap().len(), 1);
    house.server.with(|world| world.find("C01").unwrap().private = true);
    house.clock.advance(Duration::from_secs(2 * 60 * 60));
    assert!(team.search(&public).await.unwrap().is_empty());
}

#[tokio::test]
async fn without_named_channels_those_of_the_bot_are_read() {
    let (house, ..) = asked().await;
    house.server.with(|world| world.channel("C05", "elsewhere", false).members.remove("U0BOT"));
    let found = house.team(Kind::Bot, &[]).search(&query(&["yaml.load"])).await.unwrap();
    assert!(found.len() == 1 && found[0].channel_configured);
}
