//! Secrets given by the configuration, or kept as files in a folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use crate::ports::{ErrorKind, PortError, PortResult, Secrets};

/// Bytes of a secret file; a private key takes a few thousand.
const SECRET_BYTES: u64 = 64 * 1024;

/// Secrets by name: those given first, then files of that name in the folder.
#[derive(Debug, Clone, Default)]
pub struct LocalSecrets {
    given: BTreeMap<String, SecretString>,
    folder: Option<PathBuf>,
}

/// Why a secret is of no use, and the remedy. Never the secret itself.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it is given nowhere; set it in the configuration{}", folder.as_ref().map(|f| format!(" or put it into {}", f.display())).unwrap_or_default())]
    Nowhere { folder: Option<PathBuf> },
    #[error("it is empty; give it a value or take it out")]
    Empty,
    #[error("its name is not one of letters, digits and ._-, beginning with a letter or digit")]
    Name,
    #[error("{} may be read or written by other users (mode {mode:o}); run chmod 600 on it", file.display())]
    Exposed { file: PathBuf, mode: u32 },
    #[error("{} is not a plain file of UTF-8 text with at most {SECRET_BYTES} bytes; write the secret alone into it", .0.display())]
    NotText(PathBuf),
    #[error("{} cannot be read; give this user access", file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
}

impl LocalSecrets {
    #[must_use]
    pub fn new(given: BTreeMap<String, SecretString>, folder: Option<PathBuf>) -> Self {
        Self { given, folder }
    }

    fn find(&self, name: &str) -> Result<SecretString, Unusable> {
        let secret = match (self.given.get(name), &self.folder) {
            (Some(secret), _) => secret.clone(),
            (None, Some(folder)) => read(folder, name)?.ok_or_else(|| self.nowhere())?,
            (None, None) => return Err(self.nowhere()),
        };
        if secret.expose_secret().trim().is_empty() { Err(Unusable::Empty) } else { Ok(secret) }
    }

    fn nowhere(&self) -> Unusable {
        Unusable::Nowhere { folder: self.folder.clone() }
    }
}

#[async_trait]
impl Secrets for LocalSecrets {
    async fn secret(&self, name: &str) -> PortResult<SecretString> {
        let (this, wanted) = (self.clone(), name.to_owned());
        let failed = |kind| PortError::new("secrets", format!("get {name:?}"), kind);
        let found = tokio::task::spawn_blocking(move || this.find(&wanted)).await;
        found.map_err(|e| failed(ErrorKind::Unavailable).caused_by(e))?.map_err(|e| failed(e.kind()).caused_by(e))
    }
}

impl Unusable {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Nowhere { .. } => ErrorKind::Missing,
            Self::Empty | Self::Name | Self::NotText(_) => ErrorKind::Malformed,
            Self::Exposed { .. } | Self::Unreadable { .. } => ErrorKind::Denied,
        }
    }
}

/// The file's text without the line end that editors leave; `None` when there is no such file.
fn read(folder: &Path, name: &str) -> Result<Option<SecretString>, Unusable> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if !name.bytes().all(plain) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(Unusable::Name);
    }
    let file = folder.join(name);
    let unreadable = |source| Unusable::Unreadable { file: file.clone(), source };
    let metadata = match fs::metadata(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(unreadable)?,
    };
    if !metadata.is_file() || metadata.len() > SECRET_BYTES {
        return Err(Unusable::NotText(file));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Unusable::Exposed { file, mode });
        }
    }
    let mut text = String::new();
    let mut reader = File::open(&file).map_err(unreadable)?.take(SECRET_BYTES);
    match reader.read_to_string(&mut text) {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(Unusable::NotText(file)),
        Err(error) => Err(unreadable(error)),
        Ok(_) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn with(self, name: &str, content: &[u8], mode: u32) -> Self {
            use std::os::unix::fs::PermissionsExt;
            let file = self.0.path().join(name);
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            self
        }

        async fn secret(&self, name: &str) -> PortResult<String> {
            let given = BTreeMap::from([("given".to_owned(), "from-config".into()), ("blank".to_owned(), " ".into())]);
            let secrets = LocalSecrets::new(given, Some(self.0.path().to_owned()));
            secrets.secret(name).await.map(|secret| secret.expose_secret().to_owned())
        }

        async fn refusal(&self, name: &str) -> (ErrorKind, String) {
            let error = self.secret(name).await.unwrap_err();
            (error.kind.clone(), error.chain())
        }
    }

    #[tokio::test]
    async fn a_given_secret_wins_over_a_file() {
        let folder = Folder::new().with("given", b"from-file", 0o600).with("other", b"from-file\n", 0o600);
        assert_eq!(folder.secret("given").await.unwrap(), "from-config");
        assert_eq!(folder.secret("other").await.unwrap(), "from-file");
    }

    #[tokio::test]
    async fn an_empty_secret_is_malformed_and_an_absent_one_missing() {
        let folder = Folder::new().with("empty", b"\n", 0o600);
        assert_eq!(folder.refusal("blank").await.0, ErrorKind::Malformed);
        assert_eq!(folder.refusal("empty").await.0, ErrorKind::Malformed);
        let (kind, chain) = folder.refusal("absent").await;
        assert_eq!(kind, ErrorKind::Missing);
        assert!(chain.contains("put it into"), "{chain}");
    }

    #[tokio::test]
    async fn a_file_that_others_can_read_is_refused_with_the_remedy() {
        let (kind, chain) = Folder::new().with("open", b"hunter2", 0o644).refusal("open").await;
        assert_eq!(kind, ErrorKind::Denied);
        assert!(chain.contains("mode 644") && chain.contains("chmod 600"), "{chain}");
        assert!(!chain.contains("hunter2"));
    }

    #[tokio::test]
    async fn names_never_leave_the_folder() {
        let folder = Folder::new();
        for name in ["../etc/passwd", "/etc/passwd", "..", ".hidden", "a/b", "a\0b", ""] {
            assert_eq!(folder.refusal(name).await.0, ErrorKind::Malformed, "{name:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_text_is_refused() {
        let huge = vec![b'x'; usize::try_from(SECRET_BYTES).unwrap() + 1];
        let folder = Folder::new().with("binary", &[0xff, 0xfe], 0o600).with("huge", &huge, 0o600);
        fs::create_dir(folder.0.path().join("folder")).unwrap();
        for name in ["binary", "huge", "folder"] {
            assert_eq!(folder.refusal(name).await.0, ErrorKind::Malformed, "{name:?}");
        }
    }
}
