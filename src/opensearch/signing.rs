//! Credentials for signing, kept while they are good: the client asks for them with every request.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, Result, SharedCredentialsProvider, future};
use tokio::sync::Mutex;

/// How long before they run out new ones are asked for.
const EARLY: Duration = Duration::from_secs(300);
/// How long those are kept that do not say when they run out: they may be changed in a file.
const UNLIMITED: Duration = Duration::from_secs(300);

/// Credentials of another provider.
#[derive(Debug)]
pub(super) struct Kept {
    source: SharedCredentialsProvider,
    /// With the time until which they are kept.
    known: Mutex<Option<(Credentials, SystemTime)>>,
}

impl Kept {
    pub fn new(source: SharedCredentialsProvider) -> Self {
        Self { source, known: Mutex::new(None) }
    }

    async fn credentials(&self) -> Result {
        let mut known = self.known.lock().await;
        let now = SystemTime::now();
        if let Some((credentials, _)) = known.as_ref().filter(|(_, until)| now < *until) {
            return Ok(credentials.clone());
        }
        let credentials = self.source.provide_credentials().await?;
        let until = credentials.expiry().map_or_else(|| now.checked_add(UNLIMITED), |end| end.checked_sub(EARLY));
        *known = until.map(|until| (credentials.clone(), until));
        Ok(credentials)
    }
}

impl ProvideCredentials for Kept {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}
