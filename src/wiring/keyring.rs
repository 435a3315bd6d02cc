//! Secrets wherever the configuration says they are: the environment, a file, Secrets Manager.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::config::SecretSource;
use crate::ports::{Credential, ErrorKind, PortError, PortResult, Secrets};

const PORT: &str = "secrets";

/// Reads a secret by the place that the configuration names, such as `env:NAME`, each time that it is needed.
pub struct Keyring {
    /// For `aws:NAME`.
    cloud: Arc<dyn Secrets>,
}

impl Keyring {
    #[must_use]
    pub fn new(cloud: Arc<dyn Secrets>) -> Arc<Self> {
        Arc::new(Self { cloud })
    }

    /// What a backend is given in place of the secret.
    #[must_use]
    pub fn credential(self: &Arc<Self>, source: &SecretSource) -> Credential {
        Credential::new(Arc::clone(self) as Arc<dyn Secrets>, source.to_string())
    }

    async fn read(&self, place: &str, fresh: bool) -> PortResult<SecretString> {
        let failed = |kind| PortError::new(PORT, format!("read {place}"), kind);
        match SecretSource::parse("secret", place) {
            Ok(SecretSource::Aws(name)) if fresh => self.cloud.fresh(&name).await,
            Ok(SecretSource::Aws(name)) => self.cloud.secret(&name).await,
            // A file of a few hundred bytes: no reason for a thread.
            Ok(local) => local.read().map_err(|error| failed(ErrorKind::Missing).caused_by(error)),
            Err(error) => Err(failed(ErrorKind::Malformed).caused_by(error)),
        }
    }
}

#[async_trait]
impl Secrets for Keyring {
    async fn secret(&self, name: &str) -> PortResult<SecretString> {
        self.read(name, false).await
    }

    async fn fresh(&self, name: &str) -> PortResult<SecretString> {
        self.read(name, true).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::local::secrets::LocalSecrets;

    fn keyring() -> Arc<Keyring> {
        let cloud = BTreeMap::from([("hook".to_owned(), SecretString::from("from the cloud"))]);
        Keyring::new(Arc::new(LocalSecrets::new(cloud, None)))
    }

    #[tokio::test]
    async fn a_secret_is_read_where_it_is_and_a_changed_file_counts_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "first\n").unwrap();
        let (ring, source) = (keyring(), SecretSource::File(file.clone()));
        let token = ring.credential(&source);
        assert_eq!(token.read().await.unwrap().expose_secret(), "first");
        std::fs::write(&file, "second\n").unwrap();
        assert_eq!(token.read().await.unwrap().expose_secret(), "second");
        let hook = ring.credential(&SecretSource::Aws("hook".into()));
        assert_eq!(hook.read().await.unwrap().expose_secret(), "from the cloud");
        assert_eq!(hook.fresh().await.unwrap().expose_secret(), "from the cloud");
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let ring = keyring();
        let absent = ring.credential(&SecretSource::File("/nowhere/token".into())).read().await.unwrap_err();
        assert_eq!(absent.kind, ErrorKind::Missing);
        assert!(absent.chain().contains("file:/nowhere/token"), "{}", absent.chain());
        let error = ring.secret("ghp_hunter2").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed);
    }
}
