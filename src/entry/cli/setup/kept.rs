//! What `setup` keeps between its steps: which App, and where its secrets are. Files that only this user can read.

use std::fs::{self, DirBuilder};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::place::{KEY_FILE, Place, WEBHOOK_FILE};
use crate::github::registration::{AppName, Registered};

const FILE: &str = "app.json";

/// How far it has come. No secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub app: AppName,
    pub api_url: String,
    /// Where the private key is, as the configuration writes it.
    pub key: String,
    /// Where the webhook secret is.
    pub webhook: String,
    /// Whether GitHub signs with that secret; one that we made ourselves it must be told first.
    pub known_to_github: bool,
}

/// The folder.
pub struct Kept(PathBuf);

impl Kept {
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path) -> Result<Self> {
        private(folder)?;
        Ok(Self(fs::canonicalize(folder).with_context(|| folder.display().to_string())?))
    }

    /// # Errors
    /// When the file cannot be read as what we write.
    pub fn progress(&self) -> Result<Option<Progress>> {
        let path = self.0.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        let damaged =
            || format!("{} is damaged; move it away, and name the App in codehealer.toml by hand", path.display());
        serde_json::from_str(&text).map(Some).with_context(damaged)
    }

    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, progress: &Progress) -> Result<()> {
        write(&self.0, FILE, &serde_json::to_string_pretty(progress)?)
    }

    /// Puts a new App's secrets into files here, then notes it.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep(&self, made: &Registered, api_url: &str) -> Result<Progress> {
        let place = Place::Files(self.0.clone());
        // One of another App must not be lost for this one.
        for name in [KEY_FILE, WEBHOOK_FILE] {
            let old = self.0.join(name);
            if old.exists() {
                fs::rename(&old, self.0.join(format!("{name}.before-{}", made.app.id)))?;
            }
        }
        let own = || SecretString::from(format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple()));
        let webhook = made.webhook_secret.clone().unwrap_or_else(own);
        self.put(&place, &made.private_key, &webhook)?;
        let progress = Progress {
            app: made.app.clone(),
            api_url: api_url.to_owned(),
            key: place.key().to_string(),
            webhook: place.webhook().to_string(),
            known_to_github: made.webhook_secret.is_some(),
        };
        self.note(&progress)?;
        Ok(progress)
    }

    /// Writes both secrets into the files of a place.
    ///
    /// # Errors
    /// When they cannot be written, or the place is none of files.
    pub fn put(&self, place: &Place, key: &SecretString, webhook: &SecretString) -> Result<()> {
        let Place::Files(folder) = place else { bail!("{place:?} is no folder") };
        private(folder)?;
        write(folder, KEY_FILE, key.expose_secret())?;
        write(folder, WEBHOOK_FILE, webhook.expose_secret())
    }

    /// Takes our own copies away, once the secrets are elsewhere.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn forget(&self) -> Result<()> {
        for name in [KEY_FILE, WEBHOOK_FILE] {
            match fs::remove_file(self.0.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// The place of our own copies.
    pub fn place(&self) -> Place {
        Place::Files(self.0.clone())
    }
}

fn private(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("make the folder {}", folder.display()))
}

/// Whole or not at all, and for this user only: that is how temporary files are made.
fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    let failed = || format!("write {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist(&path).with_context(failed)?;
    Ok(())
}
