//! One contract for every profile at a plain address: what is asked, what is read, and what each trouble means.

use std::time::Duration;

use codehealer::local::model::{ModelOptions, UrlModel};
use codehealer::ports::{ErrorKind, Model, PortResult, Prompt, Sampling};
use codehealer::recall::completion::Profile;

use crate::support::model_server::{ModelServer, Play};
use crate::support::servers;

const PROFILES: [Profile; 5] = [Profile::Chat, Profile::Vllm, Profile::Nim, Profile::Lmi, Profile::Tgi];

fn prompt() -> Prompt {
    Prompt { system: "Repair it.".to_owned(), user: "eval(x)".to_owned(), max_tokens: 900 }
}

fn model(server: &ModelServer, profile: Profile, stall: Option<Duration>) -> UrlModel {
    let url = format!("{}/v1", server.url());
    let timeout = Duration::from_secs(20);
    UrlModel::new(ModelOptions { url, name: "llama".to_owned(), profile, timeout, stall }, None).unwrap()
}

async fn failure(server: &ModelServer, profile: Profile, play: Play) -> (ErrorKind, String) {
    server.plan([play]);
    let error = model(server, profile, None).complete(&prompt()).await.unwrap_err();
    (error.kind.clone(), error.chain())
}

#[tokio::test]
async fn every_profile_is_asked_on_its_route_and_read() {
    let server = ModelServer::saying("a synthetic answer").await;
    for profile in PROFILES {
        let answer = model(&server, profile, None).complete(&prompt()).await.unwrap();
        assert_eq!((answer.text.as_str(), answer.truncated, answer.output_tokens), ("a synthetic answer", false, 7));
        let asked = server.seen().pop().unwrap();
        assert_eq!(asked.path, format!("/v1{}", profile.route()), "{profile:?}");
        let most =
            if profile.is_chat() { &asked.body["max_tokens"] } else { &asked.body["parameters"]["max_new_tokens"] };
        assert_eq!(most, 900, "{profile:?}");
        server.plan([Play::CutOff("half".to_owned())]);
        assert!(model(&server, profile, None).complete(&prompt()).await.unwrap().truncated, "{profile:?}");
    }
}

#[tokio::test]
async fn each_trouble_means_the_same_in_every_profile() {
    let server = ModelServer::saying("x").await;
    let body = |text: &str| Play::Body(text.to_owned());
    for profile in PROFILES {
        let cases: Vec<(Play, ErrorKind)> = vec![
            (Play::Refuses(401, None, "who?"), ErrorKind::Denied),
            (Play::Refuses(404, None, "no such model"), ErrorKind::Missing),
            (Play::Refuses(400, None, "too long"), ErrorKind::Malformed),
            (Play::Refuses(422, None, "inputs?"), ErrorKind::Malformed),
            (Play::Refuses(424, None, "prediction failure"), ErrorKind::Unavailable),
            (Play::Refuses(429, Some(7), "slow down"), ErrorKind::Throttled(Duration::from_secs(7))),
            (Play::Refuses(429, None, "slow down"), ErrorKind::Throttled(Duration::from_secs(60))),
            (Play::Refuses(500, None, "oh"), ErrorKind::Unavailable),
            (Play::Refuses(503, None, "loading"), ErrorKind::Unavailable),
            (body(r#"{"error":{"message":"out of memory"}}"#), ErrorKind::Unavailable),
            (body(r#"{"error":{"message":"too long","code":400}}"#), ErrorKind::Malformed),
            (body(r#"{"error":{"message":"slow down","code":429}}"#), ErrorKind::Throttled(Duration::from_secs(60))),
            (body("<html>a proxy</html>"), ErrorKind::Malformed),
            (body("{}"), ErrorKind::Malformed),
            (body(&"x".repeat(2 * 1024 * 1024)), ErrorKind::Malformed),
        ];
        for (play, kind) in cases {
            let shown: String = format!("{profile:?} {play:?}").chars().take(90).collect();
            let (found, chain) = failure(&server, profile, play).await;
            assert_eq!(found, kind, "{shown}: {chain}");
            assert!(chain.len() < 1_000, "{shown}");
        }
    }
}

#[tokio::test]
async fn a_stream_is_read_as_the_answer_it_stands_for() {
    let server = ModelServer::saying("a synthetic \u{e9} answer").await;
    let stall = Some(Duration::from_secs(10));
    for profile in [Profile::Chat, Profile::Vllm, Profile::Nim] {
        let whole = model(&server, profile, None).complete(&prompt()).await.unwrap();
        let streamed = model(&server, profile, stall).complete(&prompt()).await.unwrap();
        assert_eq!(streamed, whole, "{profile:?}");
        assert_eq!(server.seen().last().unwrap().body["stream"], true);
    }
    // The others have no stream of this kind: they are asked for the whole.
    for profile in [Profile::Lmi, Profile::Tgi] {
        model(&server, profile, stall).complete(&prompt()).await.unwrap();
        assert!(server.seen().last().unwrap().body.get("stream").is_none(), "{profile:?}");
    }
}

/// What comes of a question, and how long it took on the clock of the runtime, which goes on by itself once the question is there.
async fn timed(server: &ModelServer, model: UrlModel) -> (PortResult<String>, Duration) {
    let asked = tokio::spawn(async move { model.complete(&prompt()).await.map(|one| one.text) });
    server.arrival().await;
    // From here on nothing moves but the time, and that at once.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let outcome = asked.await.unwrap();
    let waited = begun.elapsed();
    tokio::time::resume();
    (outcome, waited)
}

fn about(waited: Duration, seconds: u64) -> bool {
    (Duration::from_secs(seconds - 1)..Duration::from_secs(seconds + 2)).contains(&waited)
}

#[tokio::test]
async fn a_stream_that_stalls_is_given_up_long_before_the_whole_call() {
    let server = ModelServer::saying("x").await;
    let url = format!("{}/v1", server.url());
    let (timeout, stall) = (Duration::from_secs(600), Some(Duration::from_secs(30)));
    let options = ModelOptions { url, name: "llama".to_owned(), profile: Profile::Chat, timeout, stall };
    server.plan([Play::Stalls("half".to_owned())]);
    let (outcome, waited) = timed(&server, UrlModel::new(options, None).unwrap()).await;
    let stalled = outcome.unwrap_err();
    assert_eq!(stalled.kind, ErrorKind::Unavailable);
    assert!(stalled.chain().contains("sent nothing for 30s"), "{}", stalled.chain());
    assert!(about(waited, 30), "{waited:?}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_no_answer() {
    let server = ModelServer::saying("x").await;
    let model = model(&server, Profile::Chat, Some(Duration::from_secs(30)));
    server.plan([Play::BreaksOff("half".to_owned())]);
    let broken = model.complete(&prompt()).await.unwrap_err();
    assert!(broken.chain().contains("broke off"), "{}", broken.chain());
    server.plan([Play::Body(r#"{"error":{"message":"out of memory"}}"#.to_owned())]);
    assert_eq!(model.complete(&prompt()).await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_slow_server_is_waited_for_and_a_silent_one_given_up() {
    let server = ModelServer::saying("x").await;
    let limited = |seconds| {
        let (url, name) = (format!("{}/v1", server.url()), "llama".to_owned());
        let timeout = Duration::from_secs(seconds);
        UrlModel::new(ModelOptions { url, name, profile: Profile::Chat, timeout, stall: None }, None).unwrap()
    };
    server.plan([Play::Slow(Duration::from_secs(40), "late".to_owned())]);
    let (outcome, waited) = timed(&server, limited(60)).await;
    assert_eq!(outcome.unwrap(), "late");
    assert!(about(waited, 40), "{waited:?}");
    server.plan([Play::Silence]);
    let (outcome, waited) = timed(&server, limited(60)).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.chain().contains("is the server running?"), "{}", error.chain());
    assert!(about(waited, 60), "{waited:?}");
}

async fn drawn(server: &ModelServer, profile: Profile) -> PortResult<usize> {
    let sampling = Sampling { count: 3, temperature: 0.6, seed: 4 };
    Ok(model(server, profile, None).draw(&prompt(), &sampling).await?.len())
}

#[tokio::test]
async fn several_answers_come_in_one_call_where_the_server_gives_them() {
    let server = ModelServer::saying("x").await;
    for (profile, count) in
        [(Profile::Chat, 3), (Profile::Vllm, 3), (Profile::Nim, 1), (Profile::Lmi, 1), (Profile::Tgi, 1)]
    {
        let before = server.seen().len();
        assert_eq!(drawn(&server, profile).await.unwrap(), count, "{profile:?}");
        assert_eq!(server.seen().len(), before + 1, "{profile:?}: one call");
    }
    // Who ignores the wish, gives one; who refuses the word, is asked without it.
    server.plan([Play::SaysFewer(1, "x".to_owned())]);
    assert_eq!(drawn(&server, Profile::Chat).await.unwrap(), 1);
    server.plan([Play::Refuses(400, None, "Only one completion choice is allowed")]);
    assert_eq!(drawn(&server, Profile::Chat).await.unwrap(), 1);
    assert!(server.seen().last().unwrap().body.get("n").is_none());
    // What was answered and could not be read is not paid for twice.
    let before = server.seen().len();
    server.plan([Play::Body("{}".to_owned())]);
    assert_eq!(drawn(&server, Profile::Chat).await.unwrap_err().kind, ErrorKind::Malformed);
    assert_eq!(server.seen().len(), before + 1);
}

#[tokio::test]
async fn an_independent_server_of_chats_is_read_whole_and_as_a_stream() {
    let url = format!("{}/v1", servers::chat().await);
    let model = |stall| {
        let timeout = Duration::from_secs(30);
        let options = ModelOptions { url: url.clone(), name: "any".to_owned(), profile: Profile::Chat, timeout, stall };
        UrlModel::new(options, None).unwrap()
    };
    for stall in [None, Some(Duration::from_secs(20))] {
        let model = model(stall);
        let one = model.complete(&prompt()).await.unwrap();
        assert_eq!(
            (one.text.as_str(), one.model.as_str(), one.truncated),
            ("a canned answer", "any", false),
            "{stall:?}"
        );
        assert!(one.input_tokens > 0 && one.output_tokens > 0, "{stall:?}");
        // It gives one answer, whatever was wanted.
        let drawn = model.draw(&prompt(), &Sampling { count: 3, temperature: 0.6, seed: 1 }).await.unwrap();
        assert_eq!(drawn.len(), 1, "{stall:?}");
    }
}
