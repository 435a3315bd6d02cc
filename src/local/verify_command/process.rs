//! Running a command that may hang, flood or leave children behind.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::failed;
use super::scratch::Scratch;
use crate::ports::{ErrorKind, PortResult};

/// How much of its standard error is kept for a message, bytes.
const MAX_COMPLAINT: usize = 2000;

/// How long after the command's end its output is waited for.
const DRAIN: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub time: Duration,
    /// Bytes of standard output.
    pub output: usize,
}

/// What a command left.
#[derive(Debug)]
pub(super) struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    /// The beginning of its standard error, in one line.
    pub stderr: String,
}

/// Ends the command's whole process group when it goes out of scope: at the end, on a timeout, and when the caller is
/// cancelled.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error means that nobody is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs `command` in the scratch copy with nothing of our environment but `path`.
pub(super) async fn run(command: &str, path: &OsStr, scratch: &Scratch, limits: Limits) -> PortResult<Finished> {
    let mut child = start(command, path, scratch)
        .map_err(|error| failed(ErrorKind::Unavailable, format!("`sh` cannot be started: {error}")))?;
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let finished = timeout(limits.time, finish(&mut child, limits.output)).await;
    drop(group);
    match finished {
        Ok(Ok(finished)) => Ok(finished),
        Ok(Err(Trouble::Flood)) => {
            let cause = format!("the verify command printed more than {} bytes; narrow what it reports", limits.output);
            Err(failed(ErrorKind::Malformed, cause))
        }
        Ok(Err(Trouble::Io(error))) => Err(failed(ErrorKind::Unavailable, error)),
        Err(_) => {
            let cause = format!("the verify command did not end within {:?} and was stopped", limits.time);
            Err(failed(ErrorKind::Unavailable, cause))
        }
    }
}

fn start(command: &str, path: &OsStr, scratch: &Scratch) -> std::io::Result<Child> {
    Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .current_dir(scratch.tree())
        .env_clear()
        .env("PATH", path)
        .env("LANG", "C.UTF-8")
        .env("HOME", scratch.home())
        .env("TMPDIR", scratch.home())
        // Python would import modules from the current folder, which is the repository's.
        .env("PYTHONSAFEPATH", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

enum Trouble {
    Flood,
    Io(std::io::Error),
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads both outputs until the command ends. What it left running in the background may hold them open, so the end of the
/// command counts, not the end of its output.
async fn finish(child: &mut Child, max_output: usize) -> Result<Finished, Trouble> {
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let status = {
        let reading = async {
            tokio::try_join!(
                collect(out.as_mut(), &mut stdout, max_output, true),
                collect(err.as_mut(), &mut stderr, MAX_COMPLAINT, false)
            )
        };
        tokio::pin!(reading);
        tokio::select! {
            read = &mut reading => {
                read?;
                child.wait().await?
            }
            status = child.wait() => {
                // What was printed before the end is already in the pipe.
                if let Ok(read) = timeout(DRAIN, &mut reading).await {
                    read?;
                }
                status?
            }
        }
    };
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    Ok(Finished { status, stdout, stderr: String::from_utf8_lossy(&stderr).chars().map(printable).collect() })
}

/// Appends what comes to `into`. Beyond `limit` it is an error or, unless `strict`, thrown away.
async fn collect(
    from: Option<&mut (impl AsyncRead + Unpin)>,
    into: &mut Vec<u8>,
    limit: usize,
    strict: bool,
) -> Result<(), Trouble> {
    let Some(from) = from else { return Ok(()) };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let room = limit.saturating_sub(into.len());
        if strict && count > room {
            return Err(Trouble::Flood);
        }
        into.extend(buffer.iter().take(count.min(room)));
    }
}
