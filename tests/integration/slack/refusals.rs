//! What Slack refuses, and what the operator hears of it.

use std::sync::Arc;
use std::time::Duration;

use codehealer::ports::{ErrorKind, Notifier, PortError, TeamKnowledge};
use codehealer::slack::{ConnectionOptions, NoticeOptions, SlackApi, SlackNotifier, SlackTeam, TeamOptions};

use super::{House, Kind};
use crate::contract::notifier::notice;
use crate::contract::team::{line, query, room};
use crate::support::proxy::{self, Answer, Proxy};
use crate::support::slack_api::{BOT_TOKEN, Fault, USER_TOKEN};

async fn house() -> House {
    let house = House::with_notices().await;
    house.say(&[room(vec![line("U1", "yaml.load")])]);
    house
}

async fn searched(house: &House, kind: Kind) -> PortError {
    house.team(kind, &["fixes"]).search(&query(&["yaml.load"])).await.unwrap_err()
}

async fn told(house: &House) -> PortError {
    house.notifier(house.api()).ensure_notice(&notice("k", "b")).await.unwrap_err()
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    for (kind, token, scope) in [
        (Kind::User, USER_TOKEN, "search:read"),
        (Kind::User, USER_TOKEN, "channels:history"),
        (Kind::User, USER_TOKEN, "users:read"),
        (Kind::Bot, BOT_TOKEN, "channels:history"),
        (Kind::Bot, BOT_TOKEN, "users:read"),
        (Kind::Bot, BOT_TOKEN, "channels:read"),
    ] {
        let house = house().await;
        house.server.with(|world| world.token(token).scopes.remove(scope));
        let error = searched(&house, kind).await;
        assert_eq!(error.kind, ErrorKind::Denied, "{scope}");
        assert!(error.to_string().contains(scope), "{error}");
    }
    let house = house().await;
    house.server.with(|world| world.token(BOT_TOKEN).scopes.remove("chat:write"));
    let error = told(&house).await;
    assert!(error.kind == ErrorKind::Denied && error.to_string().contains("chat:write"), "{error}");
}

#[tokio::test]
async fn a_revoked_token_is_denied_and_a_new_one_works_at_once() {
    let house = house().await;
    let notifier = house.notifier(house.api());
    notifier.ensure_notice(&notice("k", "b")).await.unwrap();
    house.server.with(|world| {
        let old = world.token(BOT_TOKEN).clone();
        world.token(BOT_TOKEN).revoked = true;
        world.tokens.insert("xoxb-new".into(), old);
    });
    let error = notifier.ensure_notice(&notice("k", "c")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.to_string().contains("install the Slack app again"), "{error}");
    for kind in [Kind::Bot, Kind::User] {
        house.server.with(|world| world.token(USER_TOKEN).revoked = true);
        assert_eq!(searched(&house, kind).await.kind, ErrorKind::Denied, "{kind:?}");
    }
    house.tokens.set("bot", "xoxb-new\n");
    notifier.ensure_notice(&notice("k", "c")).await.unwrap();
}

#[tokio::test]
async fn no_token_ends_up_in_an_error() {
    let house = house().await;
    house.tokens.set("bot", "xoxb-s3cret");
    let error = told(&house).await;
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(!format!("{error:?} {}", error.chain()).contains("s3cret"));
}

#[tokio::test]
async fn an_uninvited_bot_says_so() {
    let house = house().await;
    for channel in ["C01", "C09NOTICES"] {
        house.server.with(|world| world.find(channel).unwrap().members.remove("U0BOT"));
    }
    for error in [searched(&house, Kind::Bot).await, told(&house).await] {
        assert_eq!(error.kind, ErrorKind::Denied);
        assert!(error.to_string().contains("invite the bot"), "{error}");
    }
}

#[tokio::test]
async fn a_deleted_or_archived_channel_is_named() {
    let house = house().await;
    house.server.with(|world| world.find("C09NOTICES").unwrap().archived = true);
    let error = told(&house).await;
    assert_eq!(error.kind, ErrorKind::Missing);
    assert!(error.to_string().contains("#notices"), "{error}");
    house.server.with(|world| world.channels.clear());
    assert_eq!(told(&house).await.kind, ErrorKind::Missing);
    let error = searched(&house, Kind::Bot).await;
    assert!(error.kind == ErrorKind::Missing && error.to_string().contains("fixes"), "{error}");
}

#[tokio::test]
async fn slack_is_left_alone_until_it_wants_to_be_asked() {
    let house = house().await;
    let notifier = house.notifier(house.api());
    house.server.fails("chat.postMessage", Fault::RateLimited(30));
    let error = notifier.ensure_notice(&notice("k", "b")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Throttled(Duration::from_secs(30)));
    house.clock.advance(Duration::from_secs(10));
    let error = notifier.ensure_notice(&notice("k", "b")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Throttled(Duration::from_secs(20)));
    assert_eq!(house.server.calls("chat.postMessage").len(), 1, "it was not asked again");
    house.clock.advance(Duration::from_secs(20));
    notifier.ensure_notice(&notice("k", "b")).await.unwrap();
}

#[tokio::test]
async fn a_limit_without_a_time_is_a_limit_too() {
    let house = house().await;
    house.server.fails("search.messages", Fault::RateLimitedSomehow);
    assert!(
        matches!(searched(&house, Kind::User).await.kind, ErrorKind::Throttled(wait) if wait >= Duration::from_secs(1))
    );
    house.server.fails("auth.test", Fault::Refused("ratelimited"));
    assert!(matches!(told(&house).await.kind, ErrorKind::Throttled(_)));
}

/// Some say it within an answer.
#[tokio::test]
async fn a_limit_within_an_answer_has_its_time_beside_it() {
    let house = house().await;
    let proxy = Proxy::before(house.server.url().trim_end_matches("/api")).await;
    let refused = Answer::new(200, r#"{"ok":false,"error":"ratelimited"}"#).with("retry-after", "7");
    proxy.spoil(|seen| seen.path.ends_with("/auth.test"), [proxy::Fault::Instead(refused)]);
    let options = ConnectionOptions { api_url: format!("{}/api", proxy.url()), ..ConnectionOptions::default() };
    let notifier = house.notifier(SlackApi::new(&options, house.clock.clone()).unwrap());
    let error = notifier.ensure_notice(&notice("k", "b")).await.unwrap_err();
    assert_eq!((error.kind, proxy.left()), (ErrorKind::Throttled(Duration::from_secs(7)), 0));
}

#[tokio::test]
async fn bad_weather_is_unavailable_and_nonsense_is_malformed() {
    for (fault, kind) in [
        (Fault::Status(500), ErrorKind::Unavailable),
        (Fault::Status(503), ErrorKind::Unavailable),
        (Fault::Status(403), ErrorKind::Denied),
        (Fault::Status(302), ErrorKind::Malformed),
        (Fault::Refused("internal_error"), ErrorKind::Unavailable),
        (Fault::Refused("external_channel_migrating"), ErrorKind::Unavailable),
        (Fault::Refused("something_new"), ErrorKind::Malformed),
        (Fault::Garbage("<html>"), ErrorKind::Malformed),
        (Fault::Garbage(""), ErrorKind::Malformed),
        (Fault::Garbage("[]"), ErrorKind::Malformed),
        (Fault::Garbage("{\"messages\": {\"matches\": []}}"), ErrorKind::Malformed),
        (Fault::Garbage("{\"ok\": false}"), ErrorKind::Malformed),
        (Fault::Garbage("{\"ok\": true, \"messages\": 7}"), ErrorKind::Malformed),
    ] {
        let house = house().await;
        let what = format!("{fault:?}");
        house.server.fails("search.messages", fault);
        assert_eq!(searched(&house, Kind::User).await.kind, kind, "{what}");
    }
}

#[tokio::test]
async fn an_error_repeats_nothing_of_the_answer() {
    let house = house().await;
    house.server.fails("search.messages", Fault::Garbage("{\"ok\": true, \"messages\": \"what people said\"}"));
    let error = searched(&house, Kind::User).await;
    assert!(!format!("{error:?} {}", error.chain()).contains("people said"), "{error:?}");
}

#[tokio::test]
async fn silence_ends() {
    let house = house().await;
    house.server.fails("auth.test", Fault::Silence);
    let notifier = house.notifier(house.patient(Duration::from_millis(300)));
    let told = notice("k", "b");
    let asked = tokio::time::timeout(Duration::from_secs(20), notifier.ensure_notice(&told));
    assert_eq!(asked.await.unwrap().unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn nobody_at_the_address_is_unavailable() {
    let house = house().await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let options = ConnectionOptions { api_url: format!("http://{free}/api"), ..ConnectionOptions::default() };
    let api = SlackApi::new(&options, house.clock.clone()).unwrap();
    let error = house.notifier(api).ensure_notice(&notice("k", "b")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn what_is_set_up_is_checked_without_posting() {
    let house = house().await;
    let line = house.notifier(house.api()).check().await.unwrap();
    assert!(line.contains("codehealer") && line.contains("#notices"), "{line}");
    for kind in [Kind::Bot, Kind::User] {
        assert!(house.team(kind, &["fixes"]).check().await.unwrap().contains("Acme"));
    }
    assert!(house.server.calls("chat.postMessage").is_empty());
    house.server.with(|world| world.token(BOT_TOKEN).scopes.remove("chat:write"));
    house.server.with(|world| world.token(USER_TOKEN).scopes.remove("users:read"));
    let error = house.notifier(house.api()).check().await.unwrap_err();
    assert!(error.kind == ErrorKind::Denied && error.to_string().contains("chat:write"), "{error}");
    let error = house.team(Kind::User, &["fixes"]).check().await.unwrap_err();
    assert!(error.to_string().contains("users:read"), "{error}");
    let error = house.team(Kind::Bot, &["fixes", "#nowhere"]).check().await.unwrap_err();
    assert!(error.to_string().contains("#nowhere"), "{error}");
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_the_start() {
    let house = house().await;
    let options = TeamOptions {
        organisation: "acme".into(),
        bot_token: None,
        user_token: None,
        channels: Vec::new(),
        confirm: Vec::new(),
    };
    assert!(SlackTeam::new(house.api(), options, Arc::clone(&house.state)).is_err());
    for senior in ["", "U", "@ann", "<!here>", "U1> <!here", "here", "C01"] {
        let (bot_token, channel) = (house.credential("bot"), "#notices".to_owned());
        let options = NoticeOptions { bot_token, channel, senior: Some(senior.into()) };
        let error = SlackNotifier::new(house.api(), options).err().unwrap();
        assert!(error.to_string().contains("id of a user"), "{senior}: {error}");
    }
}
