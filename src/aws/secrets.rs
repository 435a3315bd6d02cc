//! Secrets in AWS Secrets Manager, read when they are needed and kept for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Config;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use super::client::{Aws, repeatable};
use super::error::port_error;
use crate::ports::{Clock, ErrorKind, PortError, PortResult, Secrets};

const PORT: &str = "secrets";
/// A value this old still serves while Secrets Manager does not answer: work goes on through an hour of its outage.
const OLDEST: Duration = Duration::from_secs(60 * 60);

/// Secrets by name; `name#field` is a field of a secret that holds a JSON object.
pub struct AwsSecrets {
    aws: Aws,
    lifetime: Duration,
    clock: Arc<dyn Clock>,
    client: OnceCell<Client>,
    kept: Mutex<BTreeMap<String, Kept>>,
}

#[derive(Clone)]
struct Kept {
    value: SecretString,
    at: u64,
}

/// Why a secret is of no use, and the remedy. Never the secret itself.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it is empty; give it a value in Secrets Manager")]
    Empty,
    #[error("it is neither text nor UTF-8; store it as text")]
    NotText,
    #[error("it is no JSON object with a text field {0:?}; correct the secret, or name another field after #")]
    NoField(String),
}

impl AwsSecrets {
    /// Costs nothing; what was read is good for `lifetime`.
    #[must_use]
    pub fn new(aws: Aws, lifetime: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { aws, lifetime, clock, client: OnceCell::new(), kept: Mutex::default() }
    }

    async fn client(&self) -> PortResult<&Client> {
        self.client.get_or_try_init(async || Ok(Client::new(self.aws.config(PORT).await?))).await
    }

    /// The whole secret, kept or asked for.
    async fn whole(&self, name: &str) -> PortResult<SecretString> {
        let now = self.clock.now();
        let age = |kept: &Kept| Duration::from_millis(now.saturating_sub(kept.at));
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(fresh) = kept.as_ref().filter(|kept| age(kept) < self.lifetime) {
            return Ok(fresh.value.clone());
        }
        match (self.fetch(name).await, kept) {
            (Ok(value), _) => {
                self.keep(name, &value);
                Ok(value)
            }
            (Err(error), Some(old)) if may_pass(&error) && age(&old) < OLDEST => {
                tracing::warn!(secret = name, error = error.chain(), "a secret could not be read again; the old one serves");
                Ok(old.value)
            }
            (Err(error), _) => Err(error),
        }
    }

    fn keep(&self, name: &str, value: &SecretString) {
        let entry = Kept { value: value.clone(), at: self.clock.now() };
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), entry);
    }

    async fn fetch(&self, name: &str) -> PortResult<SecretString> {
        let asked = self.client().await?.get_secret_value().secret_id(name);
        let asked = asked.customize().config_override(Config::builder().retry_config(repeatable()));
        let answer = asked.send().await.map_err(|error| port_error(PORT, format!("read the secret {name}"), &error))?;
        let text = match (answer.secret_string, answer.secret_binary) {
            (Some(text), _) => text,
            (None, Some(bytes)) => {
                String::from_utf8(bytes.into_inner()).map_err(|_| unusable(name, Unusable::NotText))?
            }
            (None, None) => return Err(unusable(name, Unusable::Empty)),
        };
        Ok(SecretString::from(text))
    }
}

#[async_trait]
impl Secrets for AwsSecrets {
    async fn secret(&self, name: &str) -> PortResult<SecretString> {
        let (whole, field) = parts(name);
        usable(name, self.whole(whole).await?, field)
    }

    async fn fresh(&self, name: &str) -> PortResult<SecretString> {
        let (whole, field) = parts(name);
        let value = self.fetch(whole).await?;
        self.keep(whole, &value);
        usable(name, value, field)
    }
}

/// The secret's own name, and the field of it that is meant.
fn parts(name: &str) -> (&str, Option<&str>) {
    match name.split_once('#') {
        Some((whole, field)) => (whole, Some(field)),
        None => (name, None),
    }
}

fn usable(name: &str, value: SecretString, field: Option<&str>) -> PortResult<SecretString> {
    let value = match field {
        Some(field) => of_field(&value, field).ok_or_else(|| unusable(name, Unusable::NoField(field.to_owned())))?,
        None => value,
    };
    if value.expose_secret().trim().is_empty() { Err(unusable(name, Unusable::Empty)) } else { Ok(value) }
}

fn of_field(value: &SecretString, field: &str) -> Option<SecretString> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(value.expose_secret()).ok()?;
    object.get(field)?.as_str().map(SecretString::from)
}

fn unusable(name: &str, why: Unusable) -> PortError {
    PortError::new(PORT, format!("use the secret {name}"), ErrorKind::Malformed).caused_by(why)
}

fn may_pass(error: &PortError) -> bool {
    matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Throttled(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_text_of_a_json_object() {
        let secret = SecretString::from(r#"{"a":"x","b":1}"#);
        assert_eq!(of_field(&secret, "a").unwrap().expose_secret(), "x");
        assert!(of_field(&secret, "b").is_none() && of_field(&secret, "c").is_none());
        assert!(of_field(&SecretString::from("plain"), "a").is_none());
    }
}
