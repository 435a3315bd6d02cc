//! The webhook secrets of a function that lives for hours: read when they are needed, and once more when nothing else explains
//! a signature.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use secrecy::SecretString;

use crate::model::UnixMillis;
use crate::ports::{Clock, Credential, ErrorKind, PortError};
use crate::webhook::{Reception, Request, SignatureError, WatchList, WebhookSecrets, receive};

/// Past its cache the store of secrets is asked at most this often, whatever strangers send.
pub const FRESH_EVERY: Duration = Duration::from_secs(30);

/// The secrets that may have signed a delivery: one, or two while the secret is rotated.
pub struct Keys {
    credentials: Vec<Credential>,
    clock: Arc<dyn Clock>,
    /// When the store was last asked past its cache.
    asked: AtomicU64,
}

/// Why the receiver does not start.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("no webhook secret is named; set [serve] webhook_secrets to the secret that GitHub signs with")]
    None,
    #[error("the webhook secret {name} cannot be used; see [serve] webhook_secrets")]
    Unusable { name: String, source: PortError },
}

/// What is known of the secrets now.
struct Known {
    secrets: Vec<SecretString>,
    /// Whether each of them could be read.
    complete: bool,
}

impl Keys {
    /// Reads every secret once: without them, or with an empty one, nobody is let in and nothing starts. A store that does not
    /// answer just now is no reason: deliveries get 503 until it does.
    ///
    /// # Errors
    /// Names the secret, what is wrong with it and the remedy.
    pub async fn open(credentials: Vec<Credential>, clock: Arc<dyn Clock>) -> Result<Self, KeysError> {
        if credentials.is_empty() {
            return Err(KeysError::None);
        }
        for credential in &credentials {
            match credential.read().await {
                Err(error) if !is_passing(&error) => {
                    return Err(KeysError::Unusable { name: credential.name().to_owned(), source: error });
                }
                Err(error) => tracing::warn!(secret = credential.name(), error = error.chain(), "a secret waits"),
                Ok(secret) => refuse_empty(credential, secret)?,
            }
        }
        let asked = AtomicU64::new(clock.now());
        Ok(Self { credentials, clock, asked })
    }

    /// Judges a delivery. When no secret explains its signature the store is asked past its cache: a rotated secret counts at
    /// once. `None` when that cannot be said, because a secret cannot be read.
    pub async fn judge(&self, watched: &WatchList, request: &Request<'_>) -> Option<Reception> {
        let first = self.judged_by(self.known(false).await, watched, request);
        let explained = !matches!(first, None | Some(Reception::Unsigned(SignatureError::Mismatch)));
        if explained || !self.may_ask() {
            return first;
        }
        self.judged_by(self.known(true).await, watched, request)
    }

    fn judged_by(&self, known: Known, watched: &WatchList, request: &Request<'_>) -> Option<Reception> {
        let secrets = WebhookSecrets::new(known.secrets).ok()?;
        match receive(&secrets, watched, request) {
            Reception::Unsigned(SignatureError::Mismatch) if !known.complete => None,
            other => Some(other),
        }
    }

    async fn known(&self, fresh: bool) -> Known {
        let mut known = Known { secrets: Vec::new(), complete: true };
        for credential in &self.credentials {
            match if fresh { credential.fresh().await } else { credential.read().await } {
                Ok(secret) => known.secrets.push(secret),
                Err(error) => {
                    known.complete = false;
                    tracing::error!(secret = credential.name(), error = error.chain(), "a secret cannot be read");
                }
            }
        }
        known
    }

    /// Whether enough time has passed; whoever is told so has used it up.
    fn may_ask(&self) -> bool {
        let now = self.clock.now();
        let every = UnixMillis::try_from(FRESH_EVERY.as_millis()).unwrap_or(UnixMillis::MAX);
        let due = |asked: u64| (now.saturating_sub(asked) >= every).then_some(now);
        self.asked.fetch_update(Ordering::SeqCst, Ordering::SeqCst, due).is_ok()
    }
}

fn is_passing(error: &PortError) -> bool {
    matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Throttled(_))
}

/// Stores refuse empty secrets themselves; here it would let anybody sign.
fn refuse_empty(credential: &Credential, secret: SecretString) -> Result<(), KeysError> {
    let empty = |why: &'static str| KeysError::Unusable {
        name: credential.name().to_owned(),
        source: PortError::new("secrets", "use it", ErrorKind::Malformed).caused_by(why),
    };
    WebhookSecrets::new(vec![secret]).map(drop).map_err(empty)
}
