//! Secrets that we store in AWS Secrets Manager: when the App is registered, and never while the agent works.

use aws_sdk_secretsmanager::Client;
use secrecy::{ExposeSecret as _, SecretString};

use super::client::{Aws, repeatable};
use super::error::{kind, port_error};
use crate::ports::{ErrorKind, PortResult};

const PORT: &str = "secrets";

/// Where secrets are stored.
pub struct Vault {
    aws: Aws,
}

/// What became of a secret that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It had this value already.
    Same,
    /// It has a new value; the one before serves as `AWSPREVIOUS`.
    Replaced,
    /// There was no such secret.
    Created,
}

impl Vault {
    /// Costs nothing until the first secret is stored.
    #[must_use]
    pub fn new(aws: Aws) -> Self {
        Self { aws }
    }

    /// Gives the secret of this name this value. Doing it twice changes nothing.
    ///
    /// # Errors
    /// `Denied` without `secretsmanager:GetSecretValue` and `PutSecretValue`, or `CreateSecret` where there is none yet.
    pub async fn store(&self, name: &str, value: &SecretString) -> PortResult<Stored> {
        let client = Client::new(self.aws.config(PORT).await?);
        let there = match self.value(&client, name).await? {
            Some(there) if there.expose_secret() == value.expose_secret() => return Ok(Stored::Same),
            there => there.is_some(),
        };
        let attempted = || format!("store the secret {name}");
        if there || self.exists(&client, name).await? {
            let put = client.put_secret_value().secret_id(name).secret_string(value.expose_secret());
            put.send().await.map_err(|error| port_error(PORT, attempted(), &error))?;
            return Ok(Stored::Replaced);
        }
        let made = client.create_secret().name(name).secret_string(value.expose_secret());
        made.send().await.map_err(|error| port_error(PORT, attempted(), &error))?;
        Ok(Stored::Created)
    }

    /// The current value; `None` where there is none.
    async fn value(&self, client: &Client, name: &str) -> PortResult<Option<SecretString>> {
        let asked = client.get_secret_value().secret_id(name).customize();
        let again = aws_sdk_secretsmanager::config::Config::builder().retry_config(repeatable());
        match asked.config_override(again).send().await {
            Ok(found) => Ok(found.secret_string.map(SecretString::from)),
            Err(error) if kind(&error) == ErrorKind::Missing => Ok(None),
            Err(error) => Err(port_error(PORT, format!("read the secret {name}"), &error)),
        }
    }

    /// Whether there is such a secret, with a value or without: Terraform makes them empty.
    async fn exists(&self, client: &Client, name: &str) -> PortResult<bool> {
        match client.describe_secret().secret_id(name).send().await {
            Ok(_) => Ok(true),
            Err(error) if kind(&error) == ErrorKind::Missing => Ok(false),
            Err(error) => Err(port_error(PORT, format!("look for the secret {name}"), &error)),
        }
    }
}
