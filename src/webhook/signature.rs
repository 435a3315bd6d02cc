//! The signature of a delivery: HMAC-SHA256 over the raw bytes, compared in constant time, before anything is parsed.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The secrets that may have signed a delivery: one, or two while the secret is rotated. Never empty ones.
#[derive(Debug, Clone)]
pub struct WebhookSecrets(Vec<SecretString>);

/// Why a delivery is not believed to come from GitHub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the header X-Hub-Signature-256 is missing")]
    Missing,
    #[error("the header X-Hub-Signature-256 is there more than once")]
    Duplicated,
    #[error("the header X-Hub-Signature-256 is not sha256= and 64 hex digits")]
    Malformed,
    #[error("the signature does not match the body")]
    Mismatch,
}

impl WebhookSecrets {
    /// # Errors
    /// When there is no secret, or one of them is empty: an empty secret would let anybody sign.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, &'static str> {
        if secrets.is_empty() {
            return Err("no webhook secret is configured");
        }
        if secrets.iter().any(|secret| secret.expose_secret().trim().is_empty()) {
            return Err("a webhook secret is empty");
        }
        Ok(Self(secrets))
    }
}

/// Checks that one of the secrets signed exactly these bytes. `headers` are all values of `X-Hub-Signature-256`.
///
/// # Errors
/// Says what is wrong with the signature; never how near it was.
pub fn verify<'h>(
    secrets: &WebhookSecrets,
    mut headers: impl Iterator<Item = &'h [u8]>,
    body: &[u8],
) -> Result<(), SignatureError> {
    let header = headers.next().ok_or(SignatureError::Missing)?;
    if headers.next().is_some() {
        return Err(SignatureError::Duplicated);
    }
    let digits = header.strip_prefix(b"sha256=").ok_or(SignatureError::Malformed)?;
    let mut claimed = [0u8; 32];
    hex::decode_to_slice(digits, &mut claimed).map_err(|_| SignatureError::Malformed)?;
    // Every secret is tried, so that the time does not tell which one matched.
    let matched = secrets.0.iter().fold(false, |matched, secret| {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return matched };
        mac.update(body);
        mac.verify_slice(&claimed).is_ok() || matched
    });
    if matched { Ok(()) } else { Err(SignatureError::Mismatch) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"Hello, World!";
    /// GitHub's published test vector.
    const VECTOR: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn secrets(all: &[&str]) -> WebhookSecrets {
        WebhookSecrets::new(all.iter().map(|s| SecretString::from(*s)).collect()).unwrap()
    }

    fn check(headers: &[&str], body: &[u8]) -> Result<(), SignatureError> {
        verify(&secrets(&["It's a Secret to Everybody"]), headers.iter().map(|h| h.as_bytes()), body)
    }

    #[test]
    fn the_published_vector_passes() {
        assert_eq!(check(&[VECTOR], BODY), Ok(()));
    }

    #[test]
    fn everything_else_is_refused() {
        let sha1 = "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59";
        let sha512 = format!("sha512={}", "ab".repeat(64));
        let cases: [(&[&str], SignatureError); 9] = [
            (&[], SignatureError::Missing),
            (&[""], SignatureError::Malformed),
            (&[sha1], SignatureError::Malformed),
            (&[&sha512], SignatureError::Malformed),
            (&[&VECTOR[..VECTOR.len() - 2]], SignatureError::Malformed),
            (&[&VECTOR[7..]], SignatureError::Malformed),
            (&[VECTOR, VECTOR], SignatureError::Duplicated),
            (&[&format!("{VECTOR}00")], SignatureError::Malformed),
            (&[&VECTOR.replace("757107", "757108")], SignatureError::Mismatch),
        ];
        for (headers, error) in cases {
            assert_eq!(check(headers, BODY), Err(error), "{headers:?}");
        }
    }

    #[test]
    fn one_changed_byte_or_another_serialisation_does_not_pass() {
        assert_eq!(check(&[VECTOR], b"Hello, World"), Err(SignatureError::Mismatch));
        assert_eq!(check(&[VECTOR], b"Hello,  World!"), Err(SignatureError::Mismatch));
    }

    #[test]
    fn both_secrets_pass_during_rotation() {
        let header = [VECTOR.as_bytes()];
        for all in [["It's a Secret to Everybody", "new"], ["new", "It's a Secret to Everybody"]] {
            assert_eq!(verify(&secrets(&all), header.into_iter(), BODY), Ok(()));
        }
        assert_eq!(verify(&secrets(&["new"]), header.into_iter(), BODY), Err(SignatureError::Mismatch));
    }

    #[test]
    fn an_empty_secret_is_refused_at_start() {
        for all in [vec![], vec![""], vec!["good", " "]] {
            assert!(WebhookSecrets::new(all.into_iter().map(SecretString::from).collect()).is_err());
        }
    }
}
