//! Secrets against moto's Secrets Manager, and what goes wrong on the way.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::primitives::Blob;
use codehealer::aws::client::Aws;
use codehealer::aws::secrets::{AwsSecrets, GRACE, PAUSE};
use codehealer::entry::lambda::keys::Keys;
use codehealer::ports::{Credential, ErrorKind, PortResult, Secrets};
use codehealer::webhook::{Reception, Request, WatchList};
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use super::{aws, options};
use crate::push::receiver::sign;
use crate::support::clock::VirtualClock;
use crate::support::proxy::{Answer, Fault, Proxy, Seen};
use crate::support::servers;

const LIFETIME: Duration = Duration::from_secs(300);
/// What no error and no debug text may show.
const HIDDEN: &str = "hunter2-hunter2";

/// Secrets Manager behind a proxy, a client that changes things from outside, and a clock to turn.
struct Vault {
    client: Client,
    proxy: Proxy,
    secrets: AwsSecrets,
    clock: Arc<VirtualClock>,
    /// A name that no other test uses.
    name: String,
}

impl Vault {
    async fn new() -> Self {
        let moto = servers::moto().await;
        let client = Client::new(aws(&moto).config("secrets").await.unwrap());
        let proxy = Proxy::before(&moto).await;
        let clock = VirtualClock::new();
        let secrets = AwsSecrets::new(Aws::new(options(proxy.url())), LIFETIME, clock.clone());
        Self { client, proxy, secrets, clock, name: format!("codehealer/{}", Uuid::new_v4().simple()) }
    }

    async fn holding(value: &str) -> Self {
        let vault = Self::new().await;
        vault.client.create_secret().name(&vault.name).secret_string(value).send().await.unwrap();
        vault
    }

    async fn put(&self, value: &str) {
        self.client.put_secret_value().secret_id(&self.name).secret_string(value).send().await.unwrap();
    }

    /// The secret by its name with this behind it.
    async fn get(&self, behind: &str) -> PortResult<String> {
        let found = self.secrets.secret(&format!("{}{behind}", self.name)).await;
        found.map(|secret| secret.expose_secret().to_owned())
    }

    async fn value(&self) -> String {
        self.get("").await.unwrap()
    }

    async fn fresh(&self) -> PortResult<String> {
        self.secrets.fresh(&self.name).await.map(|secret| secret.expose_secret().to_owned())
    }

    /// Kind and whole text of the refusal.
    async fn refusal(&self, behind: &str) -> (ErrorKind, String) {
        let error = self.get(behind).await.unwrap_err();
        let shown = format!("{} {error:?}", error.chain());
        assert!(!shown.contains(HIDDEN), "{shown}");
        (error.kind.clone(), error.chain())
    }

    fn asked(&self) -> usize {
        self.proxy.seen().len()
    }

    fn spoil(&self, faults: impl IntoIterator<Item = Fault>) {
        self.proxy.spoil(|_: &Seen| true, faults);
    }
}

fn says(status: u16, code: &str) -> Fault {
    Fault::Instead(Answer::new(status, json!({"__type": code, "Message": "said the server"}).to_string()))
}

/// A server that answers nothing but this, to three attempts.
fn down() -> Vec<Fault> {
    vec![Fault::Refused, Fault::Instead(Answer::new(503, "busy")), Fault::AnswerLost]
}

#[tokio::test]
async fn a_secret_is_kept_for_its_lifetime_and_fresh_goes_past_it() {
    let vault = Vault::holding("one\n").await;
    assert_eq!((vault.value().await.as_str(), vault.value().await.as_str()), ("one", "one"), "without its line end");
    vault.put("two").await;
    vault.clock.advance(LIFETIME - Duration::from_millis(1));
    assert_eq!((vault.value().await.as_str(), vault.asked()), ("one", 1));
    vault.clock.advance(Duration::from_millis(1));
    assert_eq!((vault.value().await.as_str(), vault.asked()), ("two", 2));

    vault.put("three").await;
    assert_eq!(vault.fresh().await.unwrap(), "three");
    assert_eq!((vault.value().await.as_str(), vault.asked()), ("three", 3), "what was read past the cache is kept");
}

#[tokio::test]
async fn a_field_of_a_secret_is_a_secret() {
    let vault = Vault::holding(&json!({"bot": "xoxb-1", "n": 7, "empty": " ", "other": HIDDEN}).to_string()).await;
    assert_eq!(vault.get("#bot").await.unwrap(), "xoxb-1");
    for (behind, says) in [("#n", "text field"), ("#none", "text field"), ("#empty", "empty")] {
        let (kind, text) = vault.refusal(behind).await;
        assert_eq!(kind, ErrorKind::Malformed);
        assert!(text.contains(says) && text.contains(behind), "{text}");
    }
    assert_eq!(vault.asked(), 1, "its fields are read at once");
    vault.put(HIDDEN).await;
    vault.secrets.fresh(&format!("{}#bot", vault.name)).await.unwrap_err();
    assert_eq!(vault.refusal("#bot").await.0, ErrorKind::Malformed);
}

#[tokio::test]
async fn what_is_no_secret_is_refused_with_the_remedy() {
    let vault = Vault::new().await;
    let (kind, text) = vault.refusal("").await;
    assert_eq!(kind, ErrorKind::Missing);
    assert!(text.contains(&format!("create-secret --name {}", vault.name)), "{text}");
    let error = vault.secrets.secret("#field").await.unwrap_err();
    assert!(error.kind == ErrorKind::Malformed && error.chain().contains("aws:NAME"), "{}", error.chain());
    assert_eq!(vault.asked(), 1);

    // A secret can be made before it has a value. AWS says so (moto says that there is no secret).
    vault.client.create_secret().name(&vault.name).send().await.unwrap();
    let said = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
    let answer = json!({"__type": "ResourceNotFoundException", "Message": said});
    vault.spoil([Fault::Instead(Answer::new(400, answer.to_string()))]);
    let (kind, text) = vault.refusal("").await;
    assert_eq!(kind, ErrorKind::Malformed, "{text}");
    assert!(text.contains("put-secret-value"), "{text}");
    for blank in [" ", "\n", "\t \r\n"] {
        vault.put(blank).await;
        let (kind, text) = vault.refusal("").await;
        assert!(kind == ErrorKind::Malformed && text.contains("empty"), "{text}");
        vault.clock.advance(LIFETIME);
    }
    let put = |bytes: &[u8]| vault.client.put_secret_value().secret_id(&vault.name).secret_binary(Blob::new(bytes));
    put(b"text in bytes").send().await.unwrap();
    assert_eq!(vault.value().await, "text in bytes");
    put(&[0xff, 0xfe]).send().await.unwrap();
    vault.clock.advance(LIFETIME);
    let (kind, text) = vault.refusal("").await;
    assert!(kind == ErrorKind::Malformed && text.contains("store it as text"), "{text}");

    vault.client.delete_secret().secret_id(&vault.name).send().await.unwrap();
    let (kind, text) = vault.refusal("").await;
    assert!(kind == ErrorKind::Missing && text.contains("restore-secret"), "{text}");
}

/// Signs a body with this secret and has it judged by what the names give. Whether it is let in.
async fn lets_in(vault: &Vault, names: &[String], secret: &str) -> bool {
    let secrets: Arc<dyn Secrets> = Arc::new(vault.secrets.clone());
    let credentials = names.iter().map(|name| Credential::new(Arc::clone(&secrets), name)).collect();
    let keys = Keys::open(credentials, vault.clock.clone()).await.unwrap();
    let body = br#"{"zen":"Keep it logically awesome.","hook_id":1,"repository":{"full_name":"acme/shop","id":1}}"#;
    let signature = sign(secret, body);
    let headers = [("x-github-event", &b"ping"[..]), ("x-hub-signature-256", signature.as_bytes())];
    let request = Request { headers: &headers, body };
    let reception = keys.judge(&WatchList::default(), &request).await.expect("all secrets can be read");
    reception == Reception::Nothing("pong".to_owned())
}

#[tokio::test]
async fn during_a_rotation_two_names_give_the_secret_of_before_and_of_now() {
    let vault = Vault::holding("first").await;
    let names = [vault.name.clone(), format!("{}#@AWSPREVIOUS", vault.name)];
    // Before the first rotation there is nothing before.
    assert_eq!(vault.get("#@AWSPREVIOUS").await.unwrap(), "first");
    assert_eq!(vault.get("#@AWSPENDING").await.unwrap(), "first");
    assert!(lets_in(&vault, &names, "first").await);

    vault.put("second").await;
    vault.clock.advance(LIFETIME);
    assert_eq!(vault.value().await, "second");
    assert_eq!(vault.get("#@AWSPREVIOUS").await.unwrap(), "first");
    for (secret, expected) in [("first", true), ("second", true), ("third", false)] {
        assert_eq!(lets_in(&vault, &names, secret).await, expected, "{secret}");
    }
    let coming = vault.client.put_secret_value().secret_id(&vault.name).secret_string("third");
    coming.version_stages("AWSPENDING").send().await.unwrap();
    vault.clock.advance(LIFETIME);
    assert_eq!(vault.get("#@AWSPENDING").await.unwrap(), "third");
    assert_eq!(vault.value().await, "second");

    let (kind, text) = vault.refusal("#@blue").await;
    assert_eq!(kind, ErrorKind::Missing, "a stage that people made is not made up for");
    assert!(text.contains("blue"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_readers_makes_one_call() {
    let vault = Vault::holding("v").await;
    let burst = async || {
        let readers = (0..50).map(|_| {
            let (secrets, name) = (vault.secrets.clone(), vault.name.clone());
            tokio::spawn(async move { secrets.secret(&name).await.map(|v| v.expose_secret().to_owned()) })
        });
        let mut outcomes = Vec::new();
        for reader in readers.collect::<Vec<_>>() {
            outcomes.push(reader.await.unwrap());
        }
        outcomes
    };
    // The first answer is slow, so that all the others wait for it.
    vault.spoil([Fault::Slow(Duration::from_millis(300))]);
    assert!(burst().await.into_iter().all(|outcome| outcome.unwrap() == "v"));
    assert_eq!(vault.asked(), 1);

    vault.clock.advance(GRACE);
    vault.spoil([Fault::Slow(Duration::from_millis(300))]);
    assert!(burst().await.into_iter().all(|outcome| outcome.is_ok()));
    assert_eq!(vault.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_for_a_call_that_fails_do_not_call_again() {
    let vault = Vault::holding("v").await;
    // Each of its three attempts, and nothing else.
    vault.spoil((0..3).map(|_| Fault::Instead(Answer::new(503, "busy"))));
    let (mut refused, readers) = (0, (0..50).map(|_| vault.secrets.secret(&vault.name)));
    for outcome in futures_util::future::join_all(readers).await {
        assert_eq!(outcome.unwrap_err().kind, ErrorKind::Unavailable);
        refused += 1;
    }
    assert_eq!((refused, vault.asked(), vault.proxy.left()), (50, 3, 0));
    assert_eq!(vault.value().await, "v", "who comes later asks");
}

#[tokio::test]
async fn while_the_service_is_down_the_old_value_serves_for_an_hour() {
    let vault = Vault::holding("old").await;
    assert_eq!(vault.value().await, "old");
    vault.put("new").await;
    vault.clock.advance(LIFETIME);
    vault.spoil(down());
    assert_eq!((vault.value().await.as_str(), vault.asked()), ("old", 4));
    assert_eq!((vault.value().await.as_str(), vault.asked()), ("old", 4), "not asked again at once");
    vault.spoil(down());
    assert_eq!(vault.fresh().await.unwrap_err().kind, ErrorKind::Unavailable, "an old value is not fresh");

    vault.clock.advance(GRACE - LIFETIME - PAUSE);
    vault.spoil((0..3).map(|_| says(400, "ThrottlingException")));
    assert_eq!(vault.value().await, "old");
    vault.clock.advance(PAUSE);
    vault.spoil(down());
    let (kind, _) = vault.refusal("").await;
    assert_eq!(kind, ErrorKind::Unavailable, "an hour is over");
    assert_eq!((vault.value().await.as_str(), vault.proxy.left()), ("new", 0));
}

#[tokio::test]
async fn a_refusal_counts_at_once() {
    for (code, kind, says_so) in [
        ("AccessDeniedException", ErrorKind::Denied, "secretsmanager:GetSecretValue"),
        ("DecryptionFailure", ErrorKind::Denied, "kms:Decrypt"),
        ("ResourceNotFoundException", ErrorKind::Missing, "create-secret"),
        ("InvalidSignatureException", ErrorKind::Denied, "check the credentials"),
    ] {
        let vault = Vault::holding("old").await;
        assert_eq!(vault.value().await, "old");
        vault.clock.advance(LIFETIME);
        vault.spoil([says(400, code), says(400, code)]);
        for _ in 0..2 {
            let (found, text) = vault.refusal("").await;
            assert_eq!(found, kind, "{code}: {text}");
            assert!(text.contains(says_so) && text.contains("said the server"), "{text}");
        }
        assert_eq!(vault.value().await, "old", "{code}: once it is allowed again");
    }
    let vault = Vault::holding("v").await;
    vault.spoil((0..3).map(|_| says(400, "ThrottlingException")));
    assert_eq!(vault.refusal("").await.0, ErrorKind::Throttled(Duration::from_secs(1)));
}

#[tokio::test]
async fn no_text_shows_a_secret() {
    let vault = Vault::holding(HIDDEN).await;
    assert_eq!(vault.value().await, HIDDEN);
    let secret = vault.secrets.secret(&vault.name).await.unwrap();
    assert!(!format!("{:?} {secret:?}", vault.secrets).contains(HIDDEN));
    // Answers that break off or are no answers carry it as well.
    vault.clock.advance(GRACE);
    let broken = format!(r#"{{"SecretString":"{HIDDEN}","Name":"#);
    for fault in [Fault::Instead(Answer::new(200, broken)), Fault::Instead(Answer::new(200, HIDDEN)), Fault::HalfAnswer]
    {
        vault.spoil((0..3).map(|_| fault.clone()));
        vault.refusal("").await;
    }
}
