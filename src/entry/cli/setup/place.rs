//! Where the App's secrets are kept: files of one folder, or Secrets Manager.

use std::path::PathBuf;

use crate::config::SecretSource;

/// The private key and the webhook secret, side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Files that only this user can read.
    Files(PathBuf),
    /// `NAME/github-app` and `NAME/webhook`, as Terraform names them.
    Aws(String),
}

/// Names of the files.
pub const KEY_FILE: &str = "private-key.pem";
pub const WEBHOOK_FILE: &str = "webhook-secret";

impl Place {
    /// # Errors
    /// Says how a place is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("file", folder)) if !folder.is_empty() => {
                // A configuration that is read elsewhere must still find it.
                std::path::absolute(folder).map(Self::Files).map_err(|error| format!("{folder}: {error}"))
            }
            Some(("aws", name)) if is_name(name) => Ok(Self::Aws(name.to_owned())),
            _ => Err("write file:FOLDER, or aws:NAME with the deployment's name, such as aws:codehealer".to_owned()),
        }
    }

    pub fn key(&self) -> SecretSource {
        match self {
            Self::Files(folder) => SecretSource::File(folder.join(KEY_FILE)),
            Self::Aws(name) => SecretSource::Aws(format!("{name}/github-app")),
        }
    }

    pub fn webhook(&self) -> SecretSource {
        match self {
            Self::Files(folder) => SecretSource::File(folder.join(WEBHOOK_FILE)),
            Self::Aws(name) => SecretSource::Aws(format!("{name}/webhook")),
        }
    }
}

/// What Secrets Manager takes in names, without what our own notation uses.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'+' | b'=');
    !name.is_empty() && name.len() <= 200 && name.bytes().all(plain) && !name.ends_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_the_name_of_a_deployment() {
        let aws = Place::parse("aws:team/codehealer").unwrap();
        assert_eq!(
            (aws.key().to_string(), aws.webhook().to_string()),
            ("aws:team/codehealer/github-app".into(), "aws:team/codehealer/webhook".into())
        );
        let files = Place::parse("file:/run/x").unwrap();
        assert_eq!(files.key().to_string(), "file:/run/x/private-key.pem");
        for bad in ["", "aws:", "file:", "codehealer", "aws:a#b", "aws:a/", "env:X"] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}
