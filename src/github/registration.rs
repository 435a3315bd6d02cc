//! The App itself: its registration from a manifest, and what GitHub knows of it and of its webhook.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::access::{Access, Auth};
use super::failure::{Answer, Asked, Failure};
use super::wire::{Call, Method, Wire, encoded};
use crate::ports::{Clock, Credential, ErrorKind, PortResult};

/// An App that was just registered. GitHub hands its secrets out this once.
pub struct Registered {
    pub app: AppName,
    /// PEM.
    pub private_key: SecretString,
    /// `None` where GitHub made none.
    pub webhook_secret: Option<SecretString>,
}

/// Which App it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppName {
    pub id: u64,
    /// Its name in addresses.
    pub slug: String,
    /// Its page, where it is installed from.
    pub html_url: String,
}

/// What GitHub says of the App.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AppFacts {
    #[serde(flatten)]
    pub name: AppName,
    #[serde(default)]
    pub permissions: BTreeMap<String, String>,
    #[serde(default)]
    pub events: Vec<String>,
}

/// Where GitHub sends deliveries of the App.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hook {
    #[serde(default)]
    pub url: String,
    #[serde(default)]
    pub content_type: String,
}

/// One delivery, as GitHub remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HookDelivery {
    pub id: u64,
    pub delivered_at: String,
    pub event: String,
    /// What was answered; 0 when nobody answered.
    pub status_code: u16,
}

/// The App at an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledAt {
    pub account: String,
    pub permissions: BTreeMap<String, String>,
    pub suspended: bool,
}

#[derive(Deserialize)]
struct Conversion {
    #[serde(flatten)]
    app: AppName,
    pem: String,
    webhook_secret: Option<String>,
}

#[derive(Deserialize)]
struct Installation {
    #[serde(default)]
    account: Option<Account>,
    #[serde(default)]
    permissions: BTreeMap<String, String>,
    #[serde(default)]
    suspended_at: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    login: String,
}

/// Exchanges the code of a registration, which is good once and for an hour, for the App.
///
/// # Errors
/// `Missing` when the code was used, ran out, or never was; as the wire for everything else.
pub async fn register(api_url: &str, code: &str, clock: &dyn Clock) -> PortResult<Registered> {
    let exchange = async {
        let call = plain_post(format!("/app-manifests/{}/conversions", encoded(code)));
        let answer = Wire::new(api_url)?.send_openly(&call).await?;
        match answer.status {
            201 => answer.json::<Conversion>(),
            404 | 422 => {
                let reason =
                    "GitHub does not take the code: it is good once and for an hour; begin again without --code";
                Err(Failure::of(&answer, clock.now()).meaning(ErrorKind::Missing, reason))
            }
            _ => Err(Failure::of(&answer, clock.now())),
        }
    };
    let made = exchange.await.map_err(|failure| failure.into_port("register the App"))?;
    let webhook_secret = made.webhook_secret.filter(|secret| !secret.trim().is_empty()).map(SecretString::from);
    Ok(Registered { app: made.app, private_key: SecretString::from(made.pem), webhook_secret })
}

/// The App as itself, by its private key.
pub struct GitHubApp {
    access: Access,
}

impl GitHubApp {
    /// # Errors
    /// When the address is none, or would be asked unencrypted.
    pub fn new(api_url: &str, id: u64, private_key: Credential, clock: Arc<dyn Clock>) -> PortResult<Self> {
        let auth = Auth::App { id, private_key, installation: None };
        Ok(Self { access: Access::new(api_url, auth, false, clock)? })
    }

    /// What GitHub knows of the App.
    ///
    /// # Errors
    /// `Denied` when it does not know it by this key.
    pub async fn facts(&self) -> PortResult<AppFacts> {
        self.read("/app").await.map_err(|failure| failure.into_port("ask GitHub about the App"))
    }

    /// Where its deliveries go.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub async fn hook(&self) -> PortResult<Hook> {
        self.read("/app/hook/config").await.map_err(|failure| failure.into_port("ask where the App's webhook points"))
    }

    /// Sends deliveries to `url` from now on, as JSON, signed with `secret`.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub async fn point_hook(&self, url: &str, secret: &SecretString) -> PortResult<()> {
        let body = json!({"url": url, "content_type": "json", "insecure_ssl": "0", "secret": secret.expose_secret()});
        let sent = self.done(&Call::patch("/app/hook/config", body)).await;
        sent.map(drop).map_err(|failure| failure.into_port("point the App's webhook"))
    }

    /// The last deliveries, the newest first.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub async fn deliveries(&self) -> PortResult<Vec<HookDelivery>> {
        let asked = self.read("/app/hook/deliveries?per_page=30").await;
        asked.map_err(|failure| failure.into_port("ask for the webhook's last deliveries"))
    }

    /// Has a delivery sent again.
    ///
    /// # Errors
    /// As GitHub refuses; it forgets deliveries after three days.
    pub async fn redeliver(&self, delivery: u64) -> PortResult<()> {
        let call = plain_post(format!("/app/hook/deliveries/{delivery}/attempts"));
        self.done(&call).await.map(drop).map_err(|failure| failure.into_port("have a delivery sent again"))
    }

    /// Where the App is installed; the first hundred accounts.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub async fn installations(&self) -> PortResult<Vec<InstalledAt>> {
        let asked: Asked<Vec<Installation>> = self.read("/app/installations?per_page=100").await;
        let found = asked.map_err(|failure| failure.into_port("ask where the App is installed"))?;
        let told = |one: Installation| InstalledAt {
            account: one.account.map(|account| account.login).unwrap_or_default(),
            permissions: one.permissions,
            suspended: one.suspended_at.is_some(),
        };
        Ok(found.into_iter().map(told).collect())
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> Asked<T> {
        self.done(&Call::get(path)).await?.json()
    }

    async fn done(&self, call: &Call) -> Asked<Answer> {
        let answer = self.access.as_app(call).await?;
        if answer.is_success() { Ok(answer) } else { Err(self.access.failure(&answer)) }
    }
}

/// A POST that says everything with its path.
fn plain_post(path: String) -> Call {
    Call { method: Method::Post, path, body: None }
}

/// What of `wanted` is not among the `given` permissions, as `name: level`. Who may write may read.
#[must_use]
pub fn lacking(given: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> Vec<String> {
    let rank = |level: &str| ["read", "write", "admin"].iter().position(|known| *known == level);
    let has = |name: &str, level: &str| given.get(name).is_some_and(|given| rank(given) >= rank(level));
    wanted.iter().filter(|(name, level)| !has(name, level)).map(|(name, level)| format!("{name}: {level}")).collect()
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (number {}, {})", self.slug, self.id, self.html_url)
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").field("app", &self.app).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect()
    }

    #[test]
    fn who_may_write_may_read_and_not_the_other_way_round() {
        let wanted = permissions(&[("contents", "write"), ("issues", "read"), ("metadata", "read")]);
        let enough = permissions(&[("contents", "write"), ("issues", "write"), ("metadata", "read")]);
        assert_eq!(lacking(&enough, &wanted), [""; 0]);
        let less = permissions(&[("contents", "read"), ("metadata", "read")]);
        assert_eq!(lacking(&less, &wanted), ["contents: write", "issues: read"]);
    }
}
