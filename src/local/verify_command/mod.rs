//! The operator's own scanner as a second opinion, run over a scratch copy of a commit.
//!
//! This is the one place where something is executed, and it is the operator's command, never the repository's. It sees
//! only regular files (`scratch` leaves out what would configure or extend a scanner), no credentials, no `.git`, and an
//! environment of its own. Whatever it starts ends with it. A command that builds or imports the code it looks at would
//! run the repository's code all the same: operators are told to choose one that only reads.

mod process;
mod scratch;

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::IgnoredAny;

use self::process::{Finished, Limits};
use self::scratch::Scratch;
use crate::model::{CommitId, Repository};
use crate::ports::{ErrorKind, ExternalScanner, Forge, PortError, PortResult, SnapshotFile};

/// A scanner that is any shell command which prints SARIF 2.1.0.
pub struct VerifyCommand {
    command: String,
    path: OsString,
    forge: Arc<dyn Forge>,
    limits: Limits,
}

impl VerifyCommand {
    /// `command` is given to `sh -c`; `path` is the `PATH` it sees. It may run for 5 minutes and print 64 MiB.
    #[must_use]
    pub fn new(command: impl Into<String>, path: impl Into<OsString>, forge: Arc<dyn Forge>) -> Self {
        let limits = Limits { time: Duration::from_secs(300), output: 64 * 1024 * 1024 };
        Self { command: command.into(), path: path.into(), forge, limits }
    }

    /// How long the command may run.
    #[must_use]
    pub fn with_timeout(mut self, time: Duration) -> Self {
        self.limits.time = time;
        self
    }

    /// How much it may print, bytes.
    #[must_use]
    pub fn with_output_limit(mut self, bytes: usize) -> Self {
        self.limits.output = bytes;
        self
    }
}

#[async_trait]
impl ExternalScanner for VerifyCommand {
    async fn scan(
        &self,
        repository: &Repository,
        commit: &CommitId,
        changed: &[SnapshotFile<'_>],
    ) -> PortResult<String> {
        let scratch = Scratch::new().map_err(no_scratch)?;
        scratch.fill(self.forge.as_ref(), repository, commit, changed).await?;
        let finished = process::run(&self.command, &self.path, &scratch, self.limits).await?;
        report(finished, scratch.tree())
    }
}

fn failed(kind: ErrorKind, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
    PortError::new("external scanner", "run the verify command", kind).caused_by(cause)
}

fn no_scratch(error: std::io::Error) -> PortError {
    failed(ErrorKind::Unavailable, format!("the scratch copy cannot be written ({error}); is the disk full?"))
}

/// As much of SARIF as tells it from other output.
#[derive(Deserialize)]
struct Sarif {
    #[serde(rename = "runs")]
    _runs: Vec<IgnoredAny>,
}

/// The printed report with paths relative to the repository. The exit status does not count: scanners use it to say that
/// they found something.
fn report(finished: Finished, tree: &Path) -> PortResult<String> {
    let text = String::from_utf8(finished.stdout)
        .map_err(|_| failed(ErrorKind::Malformed, "the verify command printed text that is not UTF-8"))?;
    if let Err(error) = serde_json::from_str::<Sarif>(&text) {
        let complaint = finished.stderr.trim();
        let complaint = if complaint.is_empty() { "and no message" } else { complaint };
        let cause = format!(
            "the verify command must print SARIF 2.1.0 on its standard output, but did not ({error}); {}, {complaint}",
            finished.status
        );
        return Err(failed(ErrorKind::Malformed, cause));
    }
    let root = tree.display().to_string();
    Ok(text.replace(&format!("file://{root}/"), "").replace(&format!("{root}/"), ""))
}
