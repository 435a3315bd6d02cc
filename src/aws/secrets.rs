//! Secrets in AWS Secrets Manager, read when they are needed and kept for a while.
//!
//! # Names
//! | name | what is read |
//! |---|---|
//! | `codehealer/webhook` | the whole secret; an ARN does as well |
//! | `codehealer/slack#bot_token` | a text field of a secret that holds a JSON object |
//! | `codehealer/webhook#@AWSPREVIOUS` | the whole secret as it was before its last rotation |
//! | `codehealer/slack#bot_token@AWSPREVIOUS` | the field as it was before |
//!
//! # Rotation
//! `AWSPREVIOUS` is what was current before, `AWSPENDING` what is about to become current. **A secret that has no version of one
//! of these two gives its current one**, so that both names can be configured for good:
//!
//! ```toml
//! [serve]
//! webhook_secrets = ["aws:codehealer/webhook", "aws:codehealer/webhook#@AWSPREVIOUS"]
//! ```
//! Then `aws secretsmanager put-secret-value` and the change at GitHub may come in any order within the other's lifetime:
//! deliveries signed with either are let in. The secret of before is let in until the next rotation. Who must shut
//! it out at once, because it leaked, rotates twice, or takes the label away (`aws secretsmanager update-secret-version-stage
//! --version-stage AWSPREVIOUS --remove-from-version-id …`).
//!
//! # Time
//! What was read serves for its lifetime. After that it is read again, by one of all who ask, the others wait for that answer.
//! While Secrets Manager is down or throttles, the old value goes on serving until it is [`GRACE`] old, and is asked for again
//! every [`PAUSE`] at most. An answer that says no (there is no such secret, no permission, no value) counts at once:
//! somebody meant it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Config;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::get_secret_value::{GetSecretValueError, GetSecretValueOutput};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::client::{Aws, repeatable};
use super::error::{explained, kind, port_error, words};
use crate::model::UnixMillis;
use crate::ports::{Clock, ErrorKind, PortError, PortResult, Secrets};

const PORT: &str = "secrets";
/// A value up to this old serves while Secrets Manager does not answer: work goes on through an hour of its outage.
pub const GRACE: Duration = Duration::from_secs(60 * 60);
/// Secrets Manager is asked at most this often for a value whose old one serves meanwhile.
pub const PAUSE: Duration = Duration::from_secs(10);
/// Stages that a secret need not have: it gives its current value then.
const ROTATED: [&str; 2] = ["AWSPREVIOUS", "AWSPENDING"];
const CURRENT: &str = "AWSCURRENT";

/// Secrets by name. Clones share what was read.
#[derive(Clone)]
pub struct AwsSecrets {
    aws: Aws,
    lifetime: Duration,
    clock: Arc<dyn Clock>,
    client: Arc<OnceCell<Client>>,
    /// By secret and stage. Names come from the configuration, so they are few.
    slots: Arc<Mutex<Slots>>,
}

type Slots = BTreeMap<(String, String), Arc<Slot>>;

/// What is known of one version of one secret.
#[derive(Default)]
struct Slot {
    /// Held by whoever asks Secrets Manager.
    kept: tokio::sync::Mutex<Kept>,
    /// Number of the last request that began, and of the last one that brought an answer: who waited for it shares it.
    begun: AtomicU64,
    ended: AtomicU64,
}

#[derive(Default)]
struct Kept {
    value: Option<(SecretString, UnixMillis)>,
    /// How the last request ended, and when.
    failed: Option<(Failure, UnixMillis)>,
}

/// An error that several callers get.
#[derive(Clone)]
struct Failure {
    kind: ErrorKind,
    attempted: String,
    why: String,
}

/// A name taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reference<'a> {
    secret: &'a str,
    stage: &'a str,
    field: Option<&'a str>,
}

/// Why a secret is of no use, and the remedy. Never the secret itself.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it is empty; give it a value (aws secretsmanager put-secret-value)")]
    Empty,
    #[error("it is neither text nor UTF-8; store it as text")]
    NotText,
    #[error("it is no JSON object with a text field {0:?}; correct the secret, or name another field after #")]
    NoField(String),
    #[error("its name is empty; write aws:NAME, aws:NAME#FIELD or aws:NAME#FIELD@STAGE")]
    NoName,
}

/// Which answers count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    /// What was read within the lifetime does.
    Any,
    /// Only what was asked for after this moment.
    Fresh,
}

impl AwsSecrets {
    /// Costs nothing; what was read is good for `lifetime`. With none at all every use asks Secrets Manager.
    #[must_use]
    pub fn new(aws: Aws, lifetime: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { aws, lifetime, clock, client: Arc::default(), slots: Arc::default() }
    }

    async fn client(&self) -> PortResult<&Client> {
        self.client.get_or_try_init(async || Ok(Client::new(self.aws.config(PORT).await?))).await
    }

    async fn read(&self, name: &str, wanted: Age) -> PortResult<SecretString> {
        let reference = Reference::parse(name).ok_or_else(|| unusable(name, Unusable::NoName))?;
        let value = self.whole(reference, wanted).await?;
        usable(name, value, reference.field)
    }

    /// The whole secret, as kept, as somebody else is just asking for it, or asked for.
    async fn whole(&self, reference: Reference<'_>, wanted: Age) -> PortResult<SecretString> {
        let slot = self.slot(reference);
        // Fresh is only what a request brings that has not begun yet.
        let before = if wanted == Age::Fresh { &slot.begun } else { &slot.ended }.load(Ordering::SeqCst);
        let mut kept = slot.kept.lock().await;
        let shared = slot.ended.load(Ordering::SeqCst) > before;
        if let Some(answer) = kept.answer(wanted, shared, self.clock.now(), self.lifetime) {
            return answer;
        }
        let number = slot.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let fetched = self.fetch(reference).await;
        let now = self.clock.now();
        match &fetched {
            Ok(value) => *kept = Kept { value: Some((value.clone(), now)), failed: None },
            Err(error) => kept.refuse(error, now),
        }
        slot.ended.store(number, Ordering::SeqCst);
        match (fetched, kept.serving(now)) {
            (Err(error), Some(old)) if wanted == Age::Any => {
                tracing::warn!(secret = reference.secret, error = error.chain(), "the secret of before serves");
                Ok(old)
            }
            (fetched, _) => fetched,
        }
    }

    fn slot(&self, reference: Reference<'_>) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry((reference.secret.to_owned(), reference.stage.to_owned())).or_default())
    }

    /// Asks for a version; where there is none of a rotation, for the current one.
    async fn fetch(&self, reference: Reference<'_>) -> PortResult<SecretString> {
        let Reference { secret, stage, .. } = reference;
        let answer = match self.ask(secret, stage).await? {
            Err(error) if ROTATED.contains(&stage) && kind(&error) == ErrorKind::Missing => {
                self.ask(secret, CURRENT).await?
            }
            other => other,
        };
        text(secret, answer.map_err(|error| refused(reference, &error))?)
    }

    async fn ask(
        &self,
        secret: &str,
        stage: &str,
    ) -> PortResult<Result<GetSecretValueOutput, SdkError<GetSecretValueError, HttpResponse>>> {
        let request = self.client().await?.get_secret_value().secret_id(secret).version_stage(stage);
        let reading = Config::builder().retry_config(repeatable());
        Ok(request.customize().config_override(reading).send().await)
    }
}

#[async_trait]
impl Secrets for AwsSecrets {
    async fn secret(&self, name: &str) -> PortResult<SecretString> {
        self.read(name, Age::Any).await
    }

    async fn fresh(&self, name: &str) -> PortResult<SecretString> {
        self.read(name, Age::Fresh).await
    }
}

impl fmt::Debug for AwsSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSecrets").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Kept {
    /// What can be said without asking Secrets Manager. `shared`: a request that counts for the caller has just ended.
    fn answer(
        &self,
        wanted: Age,
        shared: bool,
        now: UnixMillis,
        lifetime: Duration,
    ) -> Option<PortResult<SecretString>> {
        let age = |at: UnixMillis| Duration::from_millis(now.saturating_sub(at));
        match (&self.failed, &self.value) {
            (_, Some((value, at))) if wanted == Age::Any && age(*at) < lifetime => Some(Ok(value.clone())),
            (None, Some((value, _))) if shared => Some(Ok(value.clone())),
            (Some((failure, at)), _) if shared || (wanted == Age::Any && age(*at) < PAUSE) => {
                match self.serving(now).filter(|_| wanted == Age::Any) {
                    Some(old) => Some(Ok(old)),
                    None if shared => Some(Err(failure.error())),
                    None => None,
                }
            }
            _ => None,
        }
    }

    /// Takes note of a failure; one that somebody meant ends the value of before.
    fn refuse(&mut self, error: &PortError, now: UnixMillis) {
        let why = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
        let failure = Failure { kind: error.kind.clone(), attempted: error.attempted.clone(), why };
        if !matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Throttled(_)) {
            self.value = None;
        }
        self.failed = Some((failure, now));
    }

    /// The value of before, while it may still serve.
    fn serving(&self, now: UnixMillis) -> Option<SecretString> {
        let young = |at: UnixMillis| Duration::from_millis(now.saturating_sub(at)) < GRACE;
        self.value.as_ref().filter(|(_, at)| young(*at)).map(|(value, _)| value.clone())
    }
}

impl Failure {
    fn error(&self) -> PortError {
        PortError::new(PORT, self.attempted.clone(), self.kind.clone()).caused_by(self.why.clone())
    }
}

impl<'a> Reference<'a> {
    /// `#` is in no name of a secret, so it divides; `@` may be in names and stands for a stage only after it.
    fn parse(name: &'a str) -> Option<Self> {
        let (secret, rest) = name.split_once('#').unwrap_or((name, ""));
        let (field, stage) = rest.rsplit_once('@').unwrap_or((rest, ""));
        let given = |text: &'a str| (!text.is_empty()).then_some(text);
        Some(Self { secret: given(secret)?, stage: given(stage).unwrap_or(CURRENT), field: given(field) })
    }
}

/// The text of a version, without the line end that editors leave.
fn text(secret: &str, answer: GetSecretValueOutput) -> PortResult<SecretString> {
    let text = match (answer.secret_string, answer.secret_binary) {
        (Some(text), _) => text,
        (None, Some(bytes)) => {
            String::from_utf8(bytes.into_inner()).map_err(|_| unusable(secret, Unusable::NotText))?
        }
        (None, None) => return Err(unusable(secret, Unusable::Empty)),
    };
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

fn usable(name: &str, value: SecretString, field: Option<&str>) -> PortResult<SecretString> {
    let value = match field {
        Some(field) => of_field(&value, field).ok_or_else(|| unusable(name, Unusable::NoField(field.to_owned())))?,
        None => value,
    };
    if value.expose_secret().trim().is_empty() { Err(unusable(name, Unusable::Empty)) } else { Ok(value) }
}

fn of_field(value: &SecretString, field: &str) -> Option<SecretString> {
    let object: Map<String, Value> = serde_json::from_str(value.expose_secret()).ok()?;
    object.get(field)?.as_str().map(SecretString::from)
}

fn unusable(name: &str, why: Unusable) -> PortError {
    PortError::new(PORT, format!("use the secret {name}"), ErrorKind::Malformed).caused_by(why)
}

/// What an answer of Secrets Manager means, and what an operator does about it.
fn refused(reference: Reference<'_>, error: &SdkError<GetSecretValueError, HttpResponse>) -> PortError {
    let Reference { secret, stage, .. } = reference;
    let (code, said) = words(error);
    let meaning = match code {
        "ResourceNotFoundException" if stage != CURRENT && !ROTATED.contains(&stage) => {
            let remedy = format!("there is no secret {secret} in this region, or no version of it is labelled {stage}");
            (ErrorKind::Missing, remedy)
        }
        "ResourceNotFoundException" if said.contains("staging label") => {
            let remedy = format!("the secret {secret} is empty; give it a value (aws secretsmanager put-secret-value)");
            (ErrorKind::Malformed, remedy)
        }
        "ResourceNotFoundException" => {
            let remedy = format!(
                "there is no secret {secret} in this region: create it (aws secretsmanager create-secret --name {secret}), \
                 or mend its name or the region in the configuration"
            );
            (ErrorKind::Missing, remedy)
        }
        "InvalidRequestException" if said.contains("delet") => {
            let remedy = format!("take it back (aws secretsmanager restore-secret --secret-id {secret})");
            (ErrorKind::Missing, remedy)
        }
        "DecryptionFailure" => {
            let remedy =
                format!("allow the role kms:Decrypt with the key of {secret}, and see that the key is enabled");
            (ErrorKind::Denied, remedy)
        }
        "AccessDeniedException" => {
            let remedy =
                format!("allow the role secretsmanager:GetSecretValue on {secret}, and kms:Decrypt with its key");
            (ErrorKind::Denied, remedy)
        }
        _ => return port_error(PORT, format!("read the secret {secret}"), error),
    };
    explained(PORT, format!("read the secret {secret}"), error, meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_secret_field_and_stage() {
        let parsed = |name| Reference::parse(name).map(|r| (r.secret, r.field, r.stage));
        assert_eq!(parsed("a/b"), Some(("a/b", None, CURRENT)));
        assert_eq!(parsed("a@b"), Some(("a@b", None, CURRENT)), "a name may have an @");
        assert_eq!(parsed("a#f"), Some(("a", Some("f"), CURRENT)));
        assert_eq!(parsed("a#@AWSPREVIOUS"), Some(("a", None, "AWSPREVIOUS")));
        assert_eq!(parsed("a#f@AWSPENDING"), Some(("a", Some("f"), "AWSPENDING")));
        assert_eq!(parsed("a#f@"), Some(("a", Some("f"), CURRENT)));
        assert_eq!((parsed(""), parsed("#f")), (None, None));
    }

    #[test]
    fn a_field_is_a_text_of_a_json_object() {
        let secret = SecretString::from(r#"{"a":"x","b":1}"#);
        assert_eq!(of_field(&secret, "a").unwrap().expose_secret(), "x");
        assert!(of_field(&secret, "b").is_none() && of_field(&secret, "c").is_none());
        assert!(of_field(&SecretString::from("plain"), "a").is_none());
    }
}
