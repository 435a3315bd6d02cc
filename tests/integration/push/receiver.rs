//! The receiver over real HTTP: who is let in, and what strangers cost.

use std::sync::Arc;

use codehealer::entry::body::Room;
use codehealer::entry::http::{Receiver, router};
use codehealer::entry::metrics::Metrics;
use codehealer::healer::trail;
use codehealer::model::Task;
use codehealer::ports::Inbox as _;
use codehealer::state::chain::{PushEvent, PushEventKind};
use codehealer::state::run::record;
use codehealer::state::{QueryOf, keys};
use codehealer::webhook::{WatchList, Watched, WebhookSecrets};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256, Sha512};

use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, DEVELOP, Push, World};

on_both_stores! {
    one_signed_body_under_many_delivery_ids_has_one_effect,
}

const SECRET: &str = "It's a Secret to Everybody";

pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// A push as GitHub describes it.
pub fn payload(world: &World, push: &Push) -> String {
    let before = push.before.as_ref().map_or_else(|| "0".repeat(40), ToString::to_string);
    format!(
        r#"{{"ref":"{DEVELOP}","before":"{before}","after":"{}","repository":{{"id":7,"full_name":"{}"}},"pusher":{{"name":"ann"}},"commits":[]}}"#,
        push.after,
        world.repository().name
    )
}

/// The same with an address wherever GitHub has one.
pub fn payload_with_addresses(world: &World, push: &Push, url: &str) -> String {
    let mut all: serde_json::Value = serde_json::from_str(&payload(world, push)).unwrap();
    let addresses =
        ["url", "html_url", "clone_url", "git_url", "ssh_url", "hooks_url", "archive_url", "compare", "avatar_url"];
    for name in addresses {
        all[name] = format!("{url}/{name}").into();
        all["repository"][name] = format!("{url}/repository/{name}").into();
        all["sender"][name] = format!("{url}/sender/{name}").into();
    }
    all["installation"] = serde_json::json!({"id": 1, "access_tokens_url": format!("{url}/tokens")});
    all["commits"] = serde_json::json!([{"id": push.after.as_str(), "url": format!("{url}/commit"), "added": [format!("{url}/x.py")]}]);
    all["base_ref"] = url.into();
    all.to_string()
}

/// Headers by name.
pub type Headers<'a> = &'a [(&'static str, &'a str)];

pub struct Server {
    url: String,
    client: reqwest::Client,
}

impl Server {
    pub async fn start(world: &World, secrets: &[&str]) -> Self {
        Self::for_installation(world, secrets, None).await
    }

    /// One that takes the deliveries of this installation only.
    pub async fn for_installation(world: &World, secrets: &[&str], installation: Option<u64>) -> Self {
        let target =
            Watched { repository: Some(world.repository().id), branches: vec![DEVELOP.to_owned()], installation };
        let secrets = secrets.iter().map(|secret| SecretString::from(*secret)).collect();
        let receiver = Receiver {
            secrets: WebhookSecrets::new(secrets).unwrap(),
            watched: WatchList::from([(world.repository().name, target)]),
            inbox: Arc::new(world.store.inbox()),
            state: Arc::clone(&world.state),
            metrics: Arc::new(Metrics::default()),
            room: Room::default(),
            wake: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router(Arc::new(receiver))).await });
        Self { url, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn post(&self, headers: Headers<'_>, body: impl Into<reqwest::Body>) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        self.client.post(&self.url).headers(map).body(body).send().await.unwrap().status().as_u16()
    }

    /// A delivery with these signature headers.
    pub async fn deliver(&self, signatures: Headers<'_>, body: &str) -> u16 {
        let mut headers = vec![("x-github-event", "push"), ("x-github-delivery", "d-1")];
        headers.extend_from_slice(signatures);
        self.post(&headers, body.to_owned()).await
    }
}

pub const NAME: &str = "x-hub-signature-256";

#[tokio::test]
async fn only_an_exact_signature_lets_a_delivery_in() {
    let world = World::new().await;
    let push = world.push("src/config.py", BAD);
    let server = Server::start(&world, &[SECRET]).await;
    let body = payload(&world, &push);
    let good = sign(SECRET, body.as_bytes());
    let sha512 = {
        let mut mac = Hmac::<Sha512>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        format!("sha512={}", hex::encode(mac.finalize().into_bytes()))
    };
    let again = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&body).unwrap()).unwrap();
    let cut = &good[..good.len() - 2];
    let last = if good.ends_with('0') { "1" } else { "0" };
    let near = format!("{}{last}", &good[..good.len() - 1]);
    let refused: [(&str, Headers<'_>, &str); 15] = [
        ("no signature", &[], &body),
        ("an empty one", &[(NAME, "")], &body),
        ("only the old header", &[("x-hub-signature", &good.replace("sha256", "sha1"))], &body),
        ("sha1 in the new header", &[(NAME, "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59")], &body),
        ("sha512", &[(NAME, &sha512)], &body),
        ("cut short", &[(NAME, cut)], &body),
        ("right but for its last digit", &[(NAME, &near)], &body),
        ("too long", &[(NAME, &format!("{good}00"))], &body),
        ("without its name", &[(NAME, &good[7..])], &body),
        ("two names", &[(NAME, &format!("sha256={good}"))], &body),
        ("twice", &[(NAME, &good), (NAME, &good)], &body),
        ("good and bad", &[(NAME, &good), (NAME, "sha256=00")], &body),
        ("joined by a comma", &[(NAME, &format!("{good},{good}"))], &body),
        ("another key", &[(NAME, &sign("secret", body.as_bytes()))], &body),
        ("the same JSON written otherwise", &[(NAME, &good)], &again),
    ];
    for (what, signatures, body) in refused {
        assert_eq!(server.deliver(signatures, body).await, 401, "{what}");
    }
    assert_eq!(server.deliver(&[(NAME, &sign("", body.as_bytes()))], &body).await, 401, "signed with nothing");
    assert_eq!(world.store.inbox().depth().await.unwrap().ready, 0, "nothing was let in");
    assert_eq!(server.deliver(&[(NAME, &good)], &body).await, 202);
    world.settle().await;
    world.assert_ok().await;
}

/// A payload of each kind that leads to work, as an installation's.
pub fn of_installation(world: &World, push: &Push, installation: &serde_json::Value) -> [(&'static str, String); 3] {
    let repository = serde_json::json!({"id": 7, "full_name": world.repository().name});
    let head = serde_json::json!({"ref": "codehealer/py-x-0123456789ab-g1", "repo": repository});
    let comment = serde_json::json!({
        "id": 9, "updated_at": "2026-11-20T10:00:00Z", "body": "/codehealer explain", "user": {"login": "ann", "type": "User"},
    });
    let issue = serde_json::json!({"number": 3, "pull_request": {}});
    let payloads = [
        ("push", serde_json::from_str(&payload(world, push)).unwrap()),
        ("pull_request", serde_json::json!({"action": "closed", "pull_request": {"head": head}})),
        ("issue_comment", serde_json::json!({"action": "created", "issue": issue, "comment": comment})),
    ];
    payloads.map(|(event, mut body)| {
        body["repository"] = repository.clone();
        body["installation"] = installation.clone();
        (event, body.to_string())
    })
}

/// Installations whose deliveries are not ours, although they are signed: the same App may be installed by others.
pub fn foreign_installations() -> [serde_json::Value; 3] {
    [serde_json::json!({"id": 12}), serde_json::json!({"id": 1}), serde_json::Value::Null]
}

/// S3: of the repository's name and the signature only the latter is GitHub's word; who sends it is the installation.
#[tokio::test]
async fn only_deliveries_of_our_installation_are_let_in() {
    let world = World::new().await;
    let push = world.push("src/config.py", BAD);
    let server = Server::for_installation(&world, &[SECRET], Some(11)).await;
    let send = async |event: &'static str, body: String| {
        let signature = sign(SECRET, body.as_bytes());
        server.post(&[("x-github-event", event), (NAME, signature.as_str())], body).await
    };
    for installation in foreign_installations() {
        for (event, body) in of_installation(&world, &push, &installation) {
            assert_eq!(send(event, body).await, 404, "{event} of {installation}");
        }
    }
    let depth = world.store.inbox().depth().await.unwrap();
    assert_eq!(depth.ready + depth.hidden + depth.buried, 0);
    for (event, body) in of_installation(&world, &push, &serde_json::json!({"id": 11})) {
        assert_eq!(send(event, body).await, 202, "{event}");
    }
    assert_eq!(world.store.inbox().depth().await.unwrap().ready, 3);
}

#[tokio::test]
async fn during_rotation_both_secrets_count_and_no_other() {
    let world = World::new().await;
    let push = world.push("src/config.py", BAD);
    let server = Server::start(&world, &["old", "new"]).await;
    let body = payload(&world, &push);
    for (secret, status) in [("old", 202), ("new", 202), ("oldnew", 401), ("", 401)] {
        assert_eq!(server.deliver(&[(NAME, &sign(secret, body.as_bytes()))], &body).await, status, "{secret}");
    }
    assert!(WebhookSecrets::new(vec![SecretString::from("new"), SecretString::from("")]).is_err());
    world.settle().await;
    world.assert_ok().await;
}

async fn one_signed_body_under_many_delivery_ids_has_one_effect(at: Storage) {
    let world = at.world().await;
    let push = world.push("src/config.py", BAD);
    let server = Server::start(&world, &[SECRET]).await;
    let body = payload(&world, &push);
    let signature = sign(SECRET, body.as_bytes());
    for id in ["d-1", "d-2", "d-3", ""] {
        let headers = [("x-github-event", "push"), ("x-github-delivery", id), (NAME, signature.as_str())];
        assert_eq!(server.post(&headers, body.clone()).await, 202);
        world.process().drain().await.unwrap();
    }
    world.settle().await;
    world.assert_ok().await;
    // Audited: all of them are in the trail of the push, each by the hash of the same body.
    let pk = keys::push_partition(&world.repository().id, DEVELOP, &push.after);
    let of = QueryOf::Partition { pk, prefix: keys::PUSH_EVENTS.to_owned() };
    let events: Vec<PushEvent> =
        trail::all(&*world.state, of).await.unwrap().iter().map(|item| record(item).unwrap()).collect();
    let received: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.kind {
            PushEventKind::Received { delivery, body_sha, .. } => {
                assert_eq!(*body_sha, hex::encode(Sha256::digest(&body)));
                Some(delivery.as_str())
            }
            _ => None,
        })
        .collect();
    assert_eq!(received, ["d-1", "d-2", "d-3", ""]);
}

/// Random bytes that any run repeats.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> usize {
        usize::try_from(self.next() % limit).unwrap()
    }
}

#[tokio::test]
async fn nothing_unsigned_is_parsed_or_kept() {
    let world = World::new().await;
    let push = world.push("src/config.py", BAD);
    let server = Server::start(&world, &[SECRET]).await;
    let body = payload(&world, &push).into_bytes();
    let signature = sign(SECRET, &body);
    let mut dice = Dice(0x5eed);
    for round in 0..300 {
        let mut mutant = body.clone();
        match round % 4 {
            0 => mutant.truncate(dice.below(body.len() as u64)),
            1 => {
                for _ in 0..=dice.below(8) {
                    let at = dice.below(mutant.len() as u64);
                    mutant[at] ^= u8::try_from(dice.below(255)).unwrap() + 1;
                }
            }
            2 => mutant = (0..dice.below(2_000)).map(|_| dice.next().to_le_bytes()[0]).collect(),
            _ => mutant.extend(std::iter::repeat_n(b'[', dice.below(5_000) + 1)),
        }
        // Two changes at one place may undo each other.
        if mutant == body {
            continue;
        }
        let event = ["push", "ping", "pull_request", "\u{7f}"[..0].into(), "x"][round % 5];
        let headers = [("x-github-event", event), (NAME, signature.as_str())];
        assert_eq!(
            server.post(&headers, mutant).await,
            401,
            "round {round}: a body that is not signed is not looked at"
        );
    }
    let depth = world.store.inbox().depth().await.unwrap();
    assert_eq!(depth.ready + depth.hidden + depth.buried, 0);
}

#[tokio::test]
async fn signed_rubbish_is_refused_without_harm() {
    let world = World::new().await;
    let server = Server::start(&world, &[SECRET]).await;
    let deep = "[".repeat(10_000);
    let inside = format!(r#"{{"ref":"{DEVELOP}","x":{deep}{}}}"#, "]".repeat(10_000));
    for body in [
        deep.as_str(),
        &inside,
        "{",
        "",
        "\u{0}",
        "null",
        "[]",
        r#"{"ref":1}"#,
        r#"{"ref":"refs/heads/develop","before":"x"}"#,
    ] {
        let status = server.deliver(&[(NAME, &sign(SECRET, body.as_bytes()))], body).await;
        assert_eq!(status, 422, "{:.40}", body);
    }
    // What is not watched asks for nothing; what is not ours is not found.
    let zero = "0".repeat(40);
    let push = |reference: &str, name: &str, after: &str| {
        format!(
            r#"{{"ref":"{reference}","before":"{zero}","after":"{after}","repository":{{"id":7,"full_name":"{name}"}}}}"#
        )
    };
    let (one, name) = ("1".repeat(40), world.repository().name);
    let table = [
        (push("refs/heads/develop2", &name, &one), 200),
        (push("refs/tags/develop", &name, &one), 200),
        (push("refs/heads/feature/develop", &name, &one), 200),
        (push("refs/heads/Develop", &name, &one), 200),
        (push(DEVELOP, &name, &zero), 200),
        (push(DEVELOP, "evil/shop", &one), 404),
    ];
    for (body, status) in table {
        assert_eq!(server.deliver(&[(NAME, &sign(SECRET, body.as_bytes()))], &body).await, status, "{body}");
    }
    let depth = world.store.inbox().depth().await.unwrap();
    assert_eq!(depth.ready + depth.hidden + depth.buried, 0);
}

#[tokio::test]
async fn a_relabelled_event_is_refused_and_asks_for_nothing() {
    let world = World::new().await;
    let push = world.push("src/config.py", BAD);
    let server = Server::start(&world, &[SECRET]).await;
    let body = payload(&world, &push);
    let signature = sign(SECRET, body.as_bytes());
    let labels = ["ping", "pull_request", "issue_comment", "installation", "workflow_run", "Push", "", "push, ping"];
    for label in labels {
        let headers = [("x-github-event", label), (NAME, signature.as_str())];
        let status = server.post(&headers, body.clone()).await;
        assert_eq!(status, 422, "{label:?}");
    }
    assert_eq!(server.post(&[(NAME, signature.as_str())], body.clone()).await, 422, "no label at all");
    let depth = world.store.inbox().depth().await.unwrap();
    assert_eq!(depth.ready + depth.hidden + depth.buried, 0);
}

/// What becomes of each kind of push, as GitHub tells of it.
#[tokio::test]
async fn every_kind_of_push_has_its_answer() {
    let world = World::new().await;
    let server = Server::start(&world, &[SECRET]).await;
    let (zero, one, two) = ("0".repeat(40), "1".repeat(40), "2".repeat(40));
    let name = world.repository().name;
    let push = |reference: &str, before: &str, after: &str, more: &str| {
        format!(
            r#"{{"ref":"{reference}","before":"{before}","after":"{after}","repository":{{"id":7,"full_name":"{name}"}}{more}}}"#
        )
    };
    let commit = format!(r#"{{"id":"{two}","message":"{}","added":["a.py"]}}"#, "words ".repeat(900));
    let many = format!(r#","commits":[{}]"#, vec![commit.as_str(); 2_048].join(","));
    let large = format!(r#","commits":[{}]"#, vec![commit.as_str(); 4_500].join(","));
    let table = [
        ("an ordinary one", push(DEVELOP, &one, &two, ""), 202),
        ("created", push(DEVELOP, &zero, &two, r#","created":true"#), 202),
        ("deleted", push(DEVELOP, &two, &zero, r#","deleted":true"#), 200),
        ("forced", push(DEVELOP, &one, &two, r#","forced":true"#), 202),
        ("2,048 commits", push(DEVELOP, &one, &two, &many), 202),
        ("24 MB", push(DEVELOP, &one, &two, &large), 202),
        ("a tag", push("refs/tags/v1", &zero, &two, ""), 200),
        ("a tag of that name", push("refs/tags/develop", &zero, &two, ""), 200),
        ("another branch", push("refs/heads/develop2", &one, &two, ""), 200),
        ("a branch below", push("refs/heads/develop/x", &one, &two, ""), 200),
        ("our own branch", push("refs/heads/codehealer/py-x-0123456789ab-g1", &zero, &two, ""), 200),
        ("no branch", push("develop", &one, &two, ""), 200),
        ("nothing at all", push("", &zero, &zero, ""), 200),
        ("no commit", push(DEVELOP, &one, "HEAD", ""), 422),
        ("half a commit", push(DEVELOP, &one, "123", ""), 422),
    ];
    assert!(table[5].1.len() > 23 * 1024 * 1024);
    let mut accepted = 0;
    for (what, body, status) in table {
        assert_eq!(server.deliver(&[(NAME, &sign(SECRET, body.as_bytes()))], &body).await, status, "{what}");
        accepted += usize::from(status == 202);
        let taken = world.store.inbox().take(10, std::time::Duration::from_secs(60)).await.unwrap();
        assert_eq!(taken.len(), usize::from(status == 202), "{what}");
        for message in taken {
            assert!(message.body.len() < 2_000, "{what}: a message of {} bytes", message.body.len());
            // The number in the payload is GitHub's; ours is the one in our store.
            let Task::Push(task) = serde_json::from_str(&message.body).unwrap() else { panic!("{}", message.body) };
            assert_eq!((task.repository, task.after.as_str()), (world.repository().id, two.as_str()), "{what}");
        }
    }
    assert_eq!(accepted, 5);
}

#[tokio::test]
async fn a_body_beyond_what_github_sends_is_refused() {
    let world = World::new().await;
    let server = Server::start(&world, &[SECRET]).await;
    let large: &'static [u8] = Box::leak(vec![b'x'; 25 * 1024 * 1024 + 1].into_boxed_slice());
    let sent = server.client.post(&server.url).body(large).send().await;
    // The server may answer and hang up before all of it is sent.
    assert!(sent.is_err() || sent.unwrap().status() == 413);
    assert_eq!(server.deliver(&[], "after that").await, 401, "the server goes on");
}
