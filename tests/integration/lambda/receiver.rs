//! The receiving function: who is let in, what is answered, and how a rotated secret gets to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use codehealer::entry::lambda::{Function, LambdaReceiver};
use codehealer::ports::{Clock, Credential, ErrorKind, Inbox, PortError, PortResult, Secrets};
use codehealer::webhook::{WatchList, Watched};
use secrecy::SecretString;
use serde_json::json;

use super::{SHAPES, Shape, answered, get, invoke, post, schedule, sqs_record};
use crate::push::receiver::{foreign_installations, of_installation, payload, sign};
use crate::support::faults::{Down, Fault, Under};
use crate::support::world::{BAD, DEVELOP, World};

pub const SECRET: &str = "It's a Secret to Everybody";
const SIGNATURE: &str = "X-Hub-Signature-256";

/// A store of secrets with a cache in front of it.
#[derive(Default)]
pub struct Vault {
    stored: Mutex<BTreeMap<String, String>>,
    cached: Mutex<BTreeMap<String, String>>,
    /// How often the store was asked past the cache.
    pub asked: AtomicUsize,
    down: Mutex<Option<ErrorKind>>,
}

impl Vault {
    pub fn with(secrets: &[(&str, &str)]) -> Arc<Self> {
        let vault = Self::default();
        for (name, secret) in secrets {
            vault.store(name, secret);
        }
        Arc::new(vault)
    }

    fn store(&self, name: &str, secret: &str) {
        self.stored.lock().unwrap().insert(name.to_owned(), secret.to_owned());
    }

    fn loses(&self, name: &str) {
        self.stored.lock().unwrap().remove(name);
        self.cached.lock().unwrap().remove(name);
    }

    fn breaks(&self, kind: Option<ErrorKind>) {
        *self.down.lock().unwrap() = kind;
        self.cached.lock().unwrap().clear();
    }

    pub fn credentials(self: &Arc<Self>, names: &[&str]) -> Vec<Credential> {
        names.iter().map(|name| Credential::new(Arc::clone(self) as Arc<dyn Secrets>, *name)).collect()
    }
}

#[async_trait]
impl Secrets for Vault {
    async fn secret(&self, name: &str) -> PortResult<SecretString> {
        if let Some(secret) = self.cached.lock().unwrap().get(name) {
            return Ok(secret.clone().into());
        }
        self.fresh(name).await
    }

    async fn fresh(&self, name: &str) -> PortResult<SecretString> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(kind) = &*self.down.lock().unwrap() {
            return Err(PortError::new("secrets", "read it", kind.clone()));
        }
        let stored = self.stored.lock().unwrap().get(name).cloned();
        let secret = stored.ok_or_else(|| PortError::new("secrets", format!("find {name}"), ErrorKind::Missing))?;
        self.cached.lock().unwrap().insert(name.to_owned(), secret.clone());
        Ok(secret.into())
    }
}

pub fn watch_list(world: &World) -> WatchList {
    watch_list_of(world, None)
}

/// Of one installation only.
fn watch_list_of(world: &World, installation: Option<u64>) -> WatchList {
    let entry = Watched { repository: Some(world.repository().id), branches: vec![DEVELOP.to_owned()], installation };
    WatchList::from([(world.repository().name.to_lowercase(), entry)])
}

async fn receiver_with(world: &World, vault: &Arc<Vault>, names: &[&str]) -> Function {
    let inbox: Arc<dyn Inbox> = Arc::new(world.store.inbox());
    let clock: Arc<dyn Clock> = world.clock.clone();
    let receiver = LambdaReceiver::new(vault.credentials(names), watch_list(world), inbox, clock).await.unwrap();
    Function::Receiver(receiver)
}

async fn receiver(world: &World) -> Function {
    receiver_with(world, &Vault::with(&[("webhook", SECRET)]), &["webhook"]).await
}

/// Status of a delivery.
async fn deliver(function: &Function, shape: Shape, signatures: &[&str], body: &[u8]) -> i64 {
    let mut headers = vec![("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "d-1")];
    headers.extend(signatures.iter().map(|value| (SIGNATURE, *value)));
    let answer = invoke(function, &post(shape, &headers, body)).await.unwrap();
    answered(shape, &answer).0
}

async fn waiting(world: &World) -> u64 {
    let depth = world.store.inbox().depth().await.unwrap();
    depth.ready + depth.hidden + depth.buried
}

#[tokio::test]
async fn a_push_comes_in_through_every_shape_and_is_healed_once() {
    let world = World::new().await;
    let push = world.push("src/config.py", BAD);
    let body = payload(&world, &push);
    let good = sign(SECRET, body.as_bytes());
    let function = receiver(&world).await;
    for shape in SHAPES {
        assert_eq!(deliver(&function, shape, &[&good], body.as_bytes()).await, 202, "{shape:?}");
    }
    assert_eq!(waiting(&world).await, 4, "doubles do no harm");
    world.settle().await;
    world.assert_ok().await;
}

#[tokio::test]
async fn only_an_exact_signature_lets_a_delivery_into_the_function() {
    let world = World::new().await;
    let body = payload(&world, &world.push("src/config.py", BAD));
    let good = sign(SECRET, body.as_bytes());
    let again = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&body).unwrap()).unwrap();
    let function = receiver(&world).await;
    let refused: [(&str, &[&str], &str); 11] = [
        ("none", &[], &body),
        ("empty", &[""], &body),
        ("sha1", &["sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"], &body),
        ("cut short", &[&good[..good.len() - 2]], &body),
        ("too long", &[&format!("{good}00")], &body),
        ("without its name", &[&good[7..]], &body),
        ("twice", &[&good, &good], &body),
        ("good, then bad", &[&good, "sha256=00"], &body),
        ("bad, then good", &["sha256=00", &good], &body),
        ("signed with nothing", &[&sign("", body.as_bytes())], &body),
        ("the same JSON written otherwise", &[&good], &again),
    ];
    for shape in SHAPES {
        for (what, signatures, body) in refused {
            assert_eq!(deliver(&function, shape, signatures, body.as_bytes()).await, 401, "{what} as {shape:?}");
        }
    }
    assert_eq!(waiting(&world).await, 0);
}

/// S3 through the function, in every shape of request.
#[tokio::test]
async fn only_deliveries_of_our_installation_get_into_the_queue() {
    let world = World::new().await;
    let push = world.push("src/config.py", BAD);
    let (inbox, clock): (Arc<dyn Inbox>, Arc<dyn Clock>) = (Arc::new(world.store.inbox()), world.clock.clone());
    let vault = Vault::with(&[("webhook", SECRET)]);
    let receiver =
        LambdaReceiver::new(vault.credentials(&["webhook"]), watch_list_of(&world, Some(11)), inbox, clock).await;
    let function = Function::Receiver(receiver.unwrap());
    let send = async |shape: Shape, event: &str, body: &str| {
        let signature = sign(SECRET, body.as_bytes());
        let headers = [("X-GitHub-Event", event), (SIGNATURE, signature.as_str())];
        answered(shape, &invoke(&function, &post(shape, &headers, body.as_bytes())).await.unwrap()).0
    };
    for shape in SHAPES {
        for installation in foreign_installations() {
            for (event, body) in of_installation(&world, &push, &installation) {
                assert_eq!(send(shape, event, &body).await, 404, "{event} of {installation} as {shape:?}");
            }
        }
    }
    assert_eq!(waiting(&world).await, 0);
    for (event, body) in of_installation(&world, &push, &json!({"id": 11})) {
        assert_eq!(send(Shape::Http, event, &body).await, 202, "{event}");
    }
}

#[tokio::test]
async fn a_signature_that_came_twice_is_called_so_in_every_shape() {
    let world = World::new().await;
    let function = receiver(&world).await;
    let good = sign(SECRET, b"{}");
    for shape in SHAPES {
        let event = post(shape, &[(SIGNATURE, &good), (SIGNATURE, &good)], b"{}");
        let (status, message) = answered(shape, &invoke(&function, &event).await.unwrap());
        assert_eq!((status, message.contains("more than once")), (401, true), "{shape:?}: {message}");
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_had_are_answered_and_nothing_breaks() {
    let world = World::new().await;
    let function = receiver(&world).await;
    for (shape, body) in [(Shape::RestEncoded, "%%%"), (Shape::HttpEncoded, "abc"), (Shape::HttpEncoded, "é")] {
        let mut event = post(shape, &[(SIGNATURE, "sha256=00")], b"");
        event["body"] = json!(body);
        assert_eq!(answered(shape, &invoke(&function, &event).await.unwrap()).0, 400, "{body}");
    }
    let large = "x".repeat(25 * 1024 * 1024 + 1);
    assert_eq!(deliver(&function, Shape::Http, &[], large.as_bytes()).await, 413);
    for body in ["[".repeat(10_000), "{".to_owned(), String::new(), "null".to_owned(), "\u{0}".to_owned()] {
        let signature = sign(SECRET, body.as_bytes());
        assert_eq!(deliver(&function, Shape::Rest, &[&signature], body.as_bytes()).await, 422, "{body:.20}");
        assert_eq!(deliver(&function, Shape::Rest, &[], body.as_bytes()).await, 401, "{body:.20}");
    }
    // Bytes that are no text, and maps that are not there.
    let signature = sign(SECRET, &[0xff, 0xfe]);
    assert_eq!(deliver(&function, Shape::RestEncoded, &[&signature], &[0xff, 0xfe]).await, 422);
    let bare = json!({"httpMethod": "POST", "path": "/webhook", "headers": null, "multiValueHeaders": null,
        "body": null, "requestContext": {}});
    assert_eq!(answered(Shape::Rest, &invoke(&function, &bare).await.unwrap()).0, 401);
    assert_eq!(waiting(&world).await, 0);
}

#[tokio::test]
async fn a_queue_that_refuses_or_hangs_is_answered_with_503_in_time() {
    for hangs in [false, true] {
        let world = World::new().await;
        let body = payload(&world, &world.push("src/config.py", BAD));
        let fault: Arc<dyn Fault> = if hangs { Down::hanging("inbox") } else { Down::failing("inbox") };
        let inbox = Under::<dyn Inbox>::new(Arc::new(world.store.inbox()), &fault);
        let vault = Vault::with(&[("webhook", SECRET)]);
        let clock: Arc<dyn Clock> = world.clock.clone();
        let receiver = LambdaReceiver::new(vault.credentials(&["webhook"]), watch_list(&world), inbox, clock).await;
        let function = Function::Receiver(receiver.unwrap());
        let begun = std::time::Instant::now();
        let status = deliver(&function, Shape::Http, &[&sign(SECRET, body.as_bytes())], body.as_bytes()).await;
        assert_eq!(status, 503, "hangs: {hangs}");
        assert!(begun.elapsed() < Duration::from_secs(9), "GitHub would have given up");
    }
}

#[tokio::test]
async fn health_is_answered_and_nothing_else_is() {
    let world = World::new().await;
    let function = receiver(&world).await;
    for shape in [Shape::Rest, Shape::Http] {
        for (path, status) in
            [("/health", 200), ("/prod/health", 200), ("/webhook", 405), ("/", 404), ("/metrics", 404)]
        {
            let answer = invoke(&function, &get(shape, path)).await.unwrap();
            assert_eq!(answered(shape, &answer).0, status, "{path}");
        }
    }
}

#[tokio::test]
async fn the_receiver_takes_no_work_and_says_where_it_belongs() {
    let world = World::new().await;
    let function = receiver(&world).await;
    let batch = json!({"Records": [sqs_record("m", "r", "{}", 1)]});
    for event in [batch, schedule()] {
        let refused = invoke(&function, &event).await.unwrap_err().to_string();
        assert!(refused.contains("receiver") && refused.contains("CODEHEALER_ROLE is `worker`"), "{refused}");
    }
}

#[tokio::test]
async fn without_a_usable_secret_the_receiver_does_not_start() {
    let world = World::new().await;
    let start = async |vault: &Arc<Vault>, names: &[&str]| {
        let inbox: Arc<dyn Inbox> = Arc::new(world.store.inbox());
        let started =
            LambdaReceiver::new(vault.credentials(names), watch_list(&world), inbox, world.clock.clone()).await;
        started.map(drop).map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    };
    let vault = Vault::with(&[("webhook", SECRET), ("empty", ""), ("blank", " \n")]);
    for (names, word) in [
        (&[][..], "no webhook secret is named"),
        (&["empty"], "empty"),
        (&["webhook", "blank"], "blank"),
        (&["webhook", "gone"], "gone"),
    ] {
        let error = start(&vault, names).await.unwrap_err();
        assert!(error.contains(word) && error.contains("[serve] webhook_secrets"), "{names:?}: {error}");
    }
    assert_eq!(start(&vault, &["webhook"]).await, Ok(()));
    vault.breaks(Some(ErrorKind::Denied));
    assert!(start(&vault, &["webhook"]).await.unwrap_err().contains("denied"), "an operator must act");
    vault.breaks(Some(ErrorKind::Unavailable));
    assert_eq!(start(&vault, &["webhook"]).await, Ok(()), "the store may answer a moment later");
}

#[tokio::test]
async fn while_the_secret_cannot_be_read_deliveries_are_to_come_again() {
    let world = World::new().await;
    let body = payload(&world, &world.push("src/config.py", BAD));
    let signature = sign(SECRET, body.as_bytes());
    let vault = Vault::with(&[("webhook", SECRET)]);
    vault.breaks(Some(ErrorKind::Unavailable));
    let function = receiver_with(&world, &vault, &["webhook"]).await;
    assert_eq!(deliver(&function, Shape::Http, &[&signature], body.as_bytes()).await, 503);
    assert_eq!(deliver(&function, Shape::Http, &["sha256=00"], body.as_bytes()).await, 503, "nothing is known of it");
    vault.breaks(None);
    assert_eq!(deliver(&function, Shape::Http, &[&signature], body.as_bytes()).await, 202);
}

/// The one that cannot be read may be the one that signed.
#[tokio::test]
async fn while_one_of_two_secrets_cannot_be_read_only_the_other_s_deliveries_are_judged() {
    let world = World::new().await;
    let body = payload(&world, &world.push("src/config.py", BAD));
    let vault = Vault::with(&[("webhook", "old"), ("next", "new")]);
    let function = receiver_with(&world, &vault, &["webhook", "next"]).await;
    vault.loses("next");
    for (signature, status) in [
        (sign("old", body.as_bytes()), 202),
        (sign("new", body.as_bytes()), 503),
        (sign("wrong", body.as_bytes()), 503),
        ("sha1=00".to_owned(), 401),
    ] {
        assert_eq!(deliver(&function, Shape::Http, &[&signature], body.as_bytes()).await, status, "{signature}");
    }
    assert_eq!(waiting(&world).await, 1);
}

#[tokio::test]
async fn a_rotated_secret_counts_at_once_and_strangers_cannot_make_us_ask() {
    let world = World::new().await;
    let body = payload(&world, &world.push("src/config.py", BAD));
    let (old, new) = (sign("old", body.as_bytes()), sign("new", body.as_bytes()));
    let vault = Vault::with(&[("webhook", "old"), ("next", "other")]);
    let function = receiver_with(&world, &vault, &["webhook", "next"]).await;
    let send = async |signature: &str| deliver(&function, Shape::Http, &[signature], body.as_bytes()).await;
    assert_eq!(send(&old).await, 202);
    world.clock.advance(Duration::from_secs(31));
    vault.store("next", "new");
    assert_eq!(send(&new).await, 202, "the store is asked before the delivery is refused");
    assert_eq!(send(&old).await, 202, "both count during the rotation");

    let asked = vault.asked.load(Ordering::SeqCst);
    for _ in 0..50 {
        assert_eq!(send(&sign("wrong", body.as_bytes())).await, 401);
        world.clock.advance(Duration::from_secs(1));
    }
    let more = vault.asked.load(Ordering::SeqCst) - asked;
    assert_eq!(more, 2, "two secrets, once in fifty seconds");
    for signature in ["", "sha256=00", "sha1=00"] {
        world.clock.advance(Duration::from_secs(60));
        assert_eq!(send(signature).await, 401);
    }
    assert_eq!(vault.asked.load(Ordering::SeqCst) - asked, 2, "what is no signature is no rotation");
}
