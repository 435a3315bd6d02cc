//! A signed ping to a receiver, as GitHub sends it: does it answer, and does it know this secret?

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// GitHub gives up after this long.
const PATIENCE: Duration = Duration::from_secs(10);
const BODY: &str = r#"{"zen":"Keep it logically awesome.","hook_id":0}"#;

/// Sends it once and follows nothing.
///
/// # Errors
/// Says what came instead of 200, and what to do about it.
pub async fn signed(url: &str, secret: &SecretString) -> Result<(), String> {
    let shown = crate::config::origin::without_login(url);
    let client = reqwest::Client::builder().redirect(Policy::none()).timeout(PATIENCE).build();
    let client = client.map_err(|error| format!("no HTTP client can be made: {error}"))?;
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).map_err(|error| error.to_string())?;
    mac.update(BODY.as_bytes());
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("user-agent", concat!("codehealer/", env!("CARGO_PKG_VERSION")))
        .header("x-github-event", "ping")
        .header("x-github-delivery", uuid::Uuid::new_v4().to_string())
        .header("x-hub-signature-256", format!("sha256={}", hex::encode(mac.finalize().into_bytes())));
    let answer = request.body(BODY).send().await.map_err(|error| {
        let why = if error.is_timeout() { "did not answer within 10 s" } else { "cannot be reached" };
        format!("{shown} {why}: check the address, and whether the receiver runs")
    })?;
    let remedy = match answer.status().as_u16() {
        200 => return Ok(()),
        401 => {
            "it does not know this secret: store the same one there and at GitHub, and wait until it is read again (aws.secret_seconds)"
        }
        403 | 404 => {
            "nobody is there: the address ends with /webhook, and webhook_sources of the deployment must let this machine in"
        }
        301 | 302 | 307 | 308 => "it redirects, which GitHub does not follow: give the address that it redirects to",
        502..=504 => "the receiver did not start or has no time: see its log",
        _ => "see its log",
    };
    Err(format!("{shown} answers a signed ping with {}: {remedy}", answer.status().as_u16()))
}
