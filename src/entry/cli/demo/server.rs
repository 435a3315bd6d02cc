//! The server of the demo: this same program as a child process, spoken to over HTTP.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Longest time for the server to begin to listen, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// What `codehealer serve` prints once it listens, before its address.
const READY: &str = "listening on ";

/// A running `codehealer serve`.
pub struct Server {
    child: Child,
    address: String,
    log: PathBuf,
    secret: String,
    client: reqwest::Client,
}

/// Makes the webhook's secret, readable for this user only.
pub fn make_secret(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("webhook-secret");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    writeln!(file, "{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())?;
    Ok(path)
}

/// This program under the demo's configuration. It gets no environment: what the person set there is for real work.
pub fn command(folder: &Path) -> Result<Command> {
    let program = std::env::current_exe().context("find this program's own file")?;
    let mut command = Command::new(program);
    command.env_clear().arg("--config").arg(folder.join(super::CONFIG)).kill_on_drop(true).stdin(Stdio::null());
    Ok(command)
}

impl Server {
    /// Starts it and waits until it listens.
    pub async fn start(folder: &Path) -> Result<Self> {
        let log = folder.join("serve.log");
        let errors = std::fs::File::create(&log).context("make the server's log")?;
        let mut child = command(folder)?.arg("serve").stdout(Stdio::piped()).stderr(errors).spawn()?;
        let stdout = child.stdout.take().context("read what the server prints")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let first = first.ok().and_then(Result::ok).flatten();
        let address = first.as_deref().and_then(|line| line.strip_prefix(READY));
        let address = address.with_context(|| format!("the server did not start; {} says why", log.display()))?;
        let secret = std::fs::read_to_string(folder.join("webhook-secret"))?.trim_end().to_owned();
        // A proxy of the person's network has no business with an address of this machine.
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { address: address.to_owned(), child, log, secret, client })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn log_hint(&self) -> String {
        format!("the server's log is {}", self.log.display())
    }

    /// Sends a webhook as GitHub does; returns the status, which must be 202.
    pub async fn deliver(&self, event: &str, body: &str) -> Result<reqwest::StatusCode> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())?;
        mac.update(body.as_bytes());
        let request = self
            .client
            .post(format!("{}/webhook", self.address))
            .header("content-type", "application/json")
            .header("x-github-event", event)
            .header("x-github-delivery", uuid::Uuid::new_v4().to_string())
            .header("x-hub-signature-256", format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
            .body(body.to_owned());
        let answer = request.send().await.context("deliver the webhook")?;
        let status = answer.status();
        ensure!(status == reqwest::StatusCode::ACCEPTED, "the webhook was answered with {status}; {}", self.log_hint());
        Ok(status)
    }

    /// Asks it to stop and waits until it did.
    pub async fn stop(mut self) -> Result<()> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        let id = id.with_context(|| format!("the server ended by itself; {}", self.log_hint()))?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM).context("ask the server to stop")?;
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.with_context(|| format!("the server did not stop; {}", self.log_hint()))??;
        ensure!(status.success(), "the server ended with {status}; {}", self.log_hint());
        Ok(())
    }
}
