//! Calling Slack: the token of the moment, no call before Slack wants to hear us again, and answers as they mean.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use slack_morphism::{SlackApiToken, SlackApiTokenValue, SlackClient};

use super::connector::Connector;
use super::error::Trouble;
use super::wire::Identity;
use crate::model::{UnixMillis, sha256_hex};
use crate::ports::{Clock, Credential, ErrorKind, PortError, PortResult};

/// Where Slack is.
pub const SLACK_URL: &str = "https://slack.com/api";

/// How Slack is reached.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// Address before the names of methods, [`SLACK_URL`] by default; http for this machine only.
    pub api_url: String,
    pub connect_timeout: Duration,
    /// For a whole call.
    pub timeout: Duration,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        let (connect_timeout, timeout) = (Duration::from_secs(5), Duration::from_secs(20));
        Self { api_url: SLACK_URL.to_owned(), connect_timeout, timeout }
    }
}

/// Slack's Web API. Shared by all who speak to it, so that one refusal is heard by all.
pub struct SlackApi {
    client: SlackClient<Connector>,
    clock: Arc<dyn Clock>,
    /// Until when a method must not be called with a token: Slack counts by both.
    closed: Mutex<BTreeMap<(String, &'static str), UnixMillis>>,
    /// Who a token belongs to, by hash of the token.
    identities: Mutex<BTreeMap<String, Identity>>,
}

/// What a call failed with: a refusal of Slack, or a token that could not be read.
#[derive(Debug)]
pub enum Failure {
    Slack(Trouble),
    Token(PortError),
}

impl Failure {
    /// Slack's name for the refusal, or nothing.
    pub fn code(&self) -> &str {
        match self {
            Self::Slack(trouble) => &trouble.code,
            Self::Token(_) => "",
        }
    }

    pub fn kind(&self) -> &ErrorKind {
        match self {
            Self::Slack(trouble) => &trouble.kind,
            Self::Token(error) => &error.kind,
        }
    }

    pub fn port(self, port: &'static str, attempted: impl Into<String>) -> PortError {
        match self {
            Self::Slack(trouble) => trouble.port(port, attempted),
            Self::Token(error) => error,
        }
    }
}

pub type Asked<T> = Result<T, Failure>;

/// Arguments of a read.
pub type Arguments<'a> = Vec<(&'a str, Option<String>)>;

impl SlackApi {
    /// # Errors
    /// When the address is none, or would send tokens unencrypted to another machine.
    pub fn new(options: &ConnectionOptions, clock: Arc<dyn Clock>) -> PortResult<Arc<Self>> {
        let connector = Connector::new(&options.api_url, options.connect_timeout, options.timeout)?;
        let (closed, identities) = (Mutex::default(), Mutex::default());
        Ok(Arc::new(Self { client: SlackClient::new(connector), clock, closed, identities }))
    }

    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Calls a method that changes nothing.
    pub(super) async fn read<T>(&self, token: &Credential, method: &'static str, arguments: Arguments<'_>) -> Asked<T>
    where
        T: DeserializeOwned + Send,
    {
        let value = self.open(token, method).await?;
        let session = self.client.open_session(&value);
        let answered = session.http_session_api.http_get(method, &arguments, None).await;
        answered.map_err(|error| self.heed(token, method, &error))
    }

    /// Calls a method that changes something, once: no answer does not mean that nothing happened.
    pub(super) async fn write<T>(&self, token: &Credential, method: &'static str, body: &impl Body) -> Asked<T>
    where
        T: DeserializeOwned + Send,
    {
        let value = self.open(token, method).await?;
        let session = self.client.open_session(&value);
        let answered = session.http_session_api.http_post(method, body, None).await;
        answered.map_err(|error| self.heed(token, method, &error))
    }

    /// Who the token belongs to and what it may do, asked once for each token.
    pub(super) async fn identity(&self, token: &Credential) -> Asked<Identity> {
        let secret = token.read().await.map_err(Failure::Token)?;
        let hash = sha256_hex(&[secret.expose_secret().as_bytes()]);
        if let Some(known) = self.identities.lock().unwrap_or_else(PoisonError::into_inner).get(&hash) {
            return Ok(known.clone());
        }
        let identity = self.introduce(token).await?;
        let mut identities = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        // Tokens rotate; the last few are enough.
        if identities.len() > 16 {
            identities.clear();
        }
        identities.insert(hash, identity.clone());
        Ok(identity)
    }

    /// As [`Self::identity`], asked now.
    pub(super) async fn introduce(&self, token: &Credential) -> Asked<Identity> {
        self.read(token, "auth.test", Vec::new()).await
    }

    /// The token, unless Slack asked to be left alone.
    async fn open(&self, token: &Credential, method: &'static str) -> Asked<SlackApiToken> {
        let until = {
            let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
            closed.get(&(token.name().to_owned(), method)).copied().unwrap_or(0)
        };
        let wait = until.saturating_sub(self.clock.now());
        if wait > 0 {
            return Err(Failure::Slack(Trouble::too_early(method, Duration::from_millis(wait))));
        }
        let secret = token.read().await.map_err(Failure::Token)?;
        Ok(SlackApiToken::new(SlackApiTokenValue(secret.expose_secret().trim().to_owned())))
    }

    fn heed(
        &self,
        token: &Credential,
        method: &'static str,
        error: &slack_morphism::errors::SlackClientError,
    ) -> Failure {
        let trouble = Trouble::of(method, error);
        if let ErrorKind::Throttled(wait) = trouble.kind {
            let until = self.clock.now().saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
            closed.insert((token.name().to_owned(), method), until);
        }
        Failure::Slack(trouble)
    }
}

/// What can be sent as JSON.
pub trait Body: Serialize + Send + Sync {}
impl<T: Serialize + Send + Sync> Body for T {}
