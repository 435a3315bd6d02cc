//! Who asks: a user with a password that may change, or an AWS role whose requests are signed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use codehealer::model::{FixId, sha256_hex};
use codehealer::opensearch::{Auth, AwsIdentity, IdentitySource, OpenSearchMemory};
use codehealer::ports::{Credential, ErrorKind, FixMemory, PortError, PortResult, Secrets};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::{OpenSearchOptions, fresh_index, options};
use crate::contract::memory::{ids, query};
use crate::support::fixes::fix;
use crate::support::proxy::{Answer, Fault, Proxy, Seen};
use crate::support::servers;

/// A password that was changed: what is known of it is old, until it is asked for afresh.
struct Rotated {
    fresh: AtomicUsize,
}

#[async_trait]
impl Secrets for Rotated {
    async fn secret(&self, name: &str) -> PortResult<SecretString> {
        assert_eq!(name, "search");
        let known = if self.fresh.load(Ordering::SeqCst) == 0 { "old hunter2" } else { "new:hunter3" };
        Ok(SecretString::from(known.to_owned()))
    }

    async fn fresh(&self, _: &str) -> PortResult<SecretString> {
        self.fresh.fetch_add(1, Ordering::SeqCst);
        Ok(SecretString::from("new:hunter3".to_owned()))
    }
}

fn with_auth(url: &str, auth: Auth) -> OpenSearchMemory {
    OpenSearchMemory::new(OpenSearchOptions { auth, ..options(url, &fresh_index()) }).unwrap()
}

fn login(seen: &Seen) -> String {
    let encoded = seen.header("authorization").unwrap().strip_prefix("Basic ").unwrap();
    String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap()
}

#[tokio::test]
async fn a_rotated_password_is_asked_for_afresh_once() {
    let proxy = Proxy::before(&servers::opensearch().await).await;
    let secrets = Arc::new(Rotated { fresh: AtomicUsize::new(0) });
    let auth = Auth::Basic { user: "healer".to_owned(), password: Credential::new(secrets.clone(), "search") };
    let memory = with_auth(proxy.url(), auth.clone());
    proxy.spoil(|_| true, [Fault::Instead(Answer::new(401, "Unauthorized"))]);
    memory.remember(&fix("a", 0.0)).await.unwrap();
    let logins: Vec<String> = proxy.seen().iter().map(login).collect();
    assert_eq!(logins[0], "healer:old hunter2");
    assert!(logins.len() > 2 && logins[1..].iter().all(|login| login == "healer:new:hunter3"), "{logins:?}");
    assert_eq!(secrets.fresh.load(Ordering::SeqCst), 1);

    // A password that is wrong and stays so is not tried for ever.
    let before = proxy.seen().len();
    proxy.spoil(|_| true, vec![Fault::Instead(Answer::new(401, "hunter3 is wrong")); 9]);
    let error = memory.nearest(&query(5)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(proxy.seen().len() - before, 1);
    let shown = format!("{} {memory:?} {auth:?}", error.chain());
    assert!(shown.contains("opensearch.password") && !shown.contains("hunter"), "{shown}");
}

fn role(provider: impl ProvideCredentials + 'static) -> IdentitySource {
    let credentials = SharedCredentialsProvider::new(provider);
    Arc::new(move || {
        let identity = AwsIdentity { credentials: credentials.clone(), region: "eu-central-1".to_owned() };
        Box::pin(std::future::ready(Ok(identity)))
    })
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The signature as AWS describes it (Signature Version 4), made anew from what arrived.
fn signature(seen: &Seen, secret: &str, service: &str, signed: &str) -> String {
    let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let headers: String =
        signed.split(';').map(|name| format!("{name}:{}\n", seen.header(name).unwrap().trim())).collect();
    let body = hex::encode(Sha256::digest(&seen.body));
    assert_eq!(seen.header("x-amz-content-sha256"), Some(body.as_str()), "serverless collections insist on it");
    let canonical = format!("{}\n{path}\n{}\n{headers}\n{signed}\n{body}", seen.method, pairs.join("&"));
    let stamp = seen.header("x-amz-date").unwrap();
    let day = &stamp[..8];
    let scope = format!("{day}/eu-central-1/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let key = [day, "eu-central-1", service, "aws4_request"]
        .iter()
        .fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part));
    hex::encode(hmac(&key, &text))
}

#[tokio::test]
async fn every_request_of_a_role_is_signed() {
    for service in ["es", "aoss"] {
        let proxy = Proxy::before(&servers::opensearch().await).await;
        let credentials = Credentials::new("AKIDEXAMPLE", "hunter2", Some("session".to_owned()), None, "test");
        let memory = with_auth(proxy.url(), Auth::Aws { service, identity: role(credentials) });
        memory.remember(&fix("a", 0.0)).await.unwrap();
        assert_eq!(ids(&memory, &query(5)).await, ["a"]);
        assert!(memory.forget(&FixId("a".into())).await.unwrap());
        memory.check().await.unwrap();
        assert!(proxy.seen().len() > 8);
        for seen in proxy.seen() {
            let header = seen.header("authorization").unwrap();
            let rest = header.strip_prefix("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/").expect(header);
            let (scope, rest) = rest.split_once(", SignedHeaders=").unwrap();
            let (signed, found) = rest.split_once(", Signature=").unwrap();
            assert!(scope.ends_with(&format!("/eu-central-1/{service}/aws4_request")), "{scope}");
            for name in ["host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"] {
                assert!(signed.split(';').any(|signed| signed == name), "{name} in {signed}");
            }
            assert_eq!(found, signature(&seen, "hunter2", service, signed), "{} {}", seen.method, seen.path);
            assert_eq!(seen.header("x-amz-security-token"), Some("session"));
        }
    }
}

/// Has no credentials, as a machine without a role.
#[derive(Debug)]
struct Nobody;

impl ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("hunter2 is in the profile")))
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_sent_and_the_remedy_is_told() {
    let proxy = Proxy::before(&servers::opensearch().await).await;
    let memory = with_auth(proxy.url(), Auth::Aws { service: "es", identity: role(Nobody) });
    let error = memory.nearest(&query(5)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.chain().contains("AWS_PROFILE") && !error.chain().contains("hunter2"), "{}", error.chain());
    assert_eq!(proxy.seen().len(), 0);
}

#[tokio::test]
async fn a_role_that_cannot_be_told_now_is_asked_for_again() {
    let proxy = Proxy::before(&servers::opensearch().await).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let working = role(Credentials::new("AKIDEXAMPLE", "hunter2", None, None, "test"));
    let counted = Arc::clone(&asked);
    let identity: IdentitySource = Arc::new(move || {
        if counted.fetch_add(1, Ordering::SeqCst) > 0 {
            return working();
        }
        Box::pin(std::future::ready(Err(PortError::new("fix memory", "reach AWS", ErrorKind::Unavailable))))
    });
    let memory = with_auth(proxy.url(), Auth::Aws { service: "es", identity });
    assert_eq!(memory.nearest(&query(5)).await.unwrap_err().kind, ErrorKind::Unavailable);
    memory.remember(&fix("a", 0.0)).await.unwrap();
    memory.nearest(&query(5)).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert!(proxy.seen().iter().all(|seen| !seen.path.contains(&sha256_hex(&[b"hunter2"]))));
}

/// Counts how often it is asked, as a token service would be.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>, Option<std::time::SystemTime>);

impl ProvideCredentials for Counted {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.0.fetch_add(1, Ordering::SeqCst);
        future::ProvideCredentials::ready(Ok(Credentials::new("AKIDEXAMPLE", "hunter2", None, self.1, "test")))
    }
}

#[tokio::test]
async fn credentials_are_kept_while_they_are_good() {
    let now = std::time::SystemTime::now();
    let hour = std::time::Duration::from_secs(3600);
    for (until, at_most) in [(Some(now + hour), 1), (None, 1), (Some(now - hour), 99)] {
        let proxy = Proxy::before(&servers::opensearch().await).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let identity = role(Counted(Arc::clone(&asked), until));
        let memory = with_auth(proxy.url(), Auth::Aws { service: "es", identity });
        for _ in 0..3 {
            memory.get(&FixId("a".into())).await.unwrap();
        }
        let asked = asked.load(Ordering::SeqCst);
        assert!(asked <= at_most && (at_most == 1 || asked == proxy.seen().len()), "{asked} for {until:?}");
    }
}
