//! What this machine must offer: a state file, room on its disk, a clock, a free address.

use std::net::TcpListener;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::{Check, Status};
use crate::config::Config;
use crate::local::clock::SystemClock;
use crate::ports::Clock as _;
use crate::report::time::instant;
use crate::wiring::{self, Mode};

/// Below this much free room, bytes, work will soon stop.
const ROOM_BAD: u64 = 64 * 1024 * 1024;
/// Below this much it is time to look.
const ROOM_WARN: u64 = 1024 * 1024 * 1024;
/// No clock is right that shows a time before this program was written: 2025-10-09.
const WRITTEN: u64 = 1_760_000_000_000;
/// How far into the future a file may have been written, milliseconds; clocks differ a little.
const AHEAD: u64 = 10 * 60 * 1000;

pub async fn checks(config: &Config) -> Vec<Check> {
    vec![state(config).await, room(&config.state), clock(config), address(config)]
}

async fn state(config: &Config) -> Check {
    let file = wiring::state_file(config);
    if !file.exists() {
        return match writable(&config.state) {
            Ok(()) => {
                Check::new("state", Status::Ok, format!("{} will be made when it is first needed", file.display()))
            }
            Err(problem) => Check::new("state", Status::Bad, problem),
        };
    }
    let opened = wiring::open_store(config, Mode::Record);
    let checked = match opened {
        Ok(store) => store.check().await,
        Err(error) => Err(error),
    };
    let found = checked.map(|()| format!("{} is sound and can be written", file.display()));
    Check::of("state", found.map_err(|error| error.chain()))
}

/// Whether the folder, or the nearest one above it that exists, can be written.
fn writable(folder: &Path) -> Result<(), String> {
    let Some(existing) = folder.ancestors().find(|folder| folder.is_dir()) else {
        return Err(format!("there is no folder above {}; name another with --state", folder.display()));
    };
    // Permissions alone do not tell: disks are read-only, and file systems have rules of their own.
    let tried = tempfile::Builder::new().prefix(".codehealer-doctor-").tempfile_in(existing);
    let explain = |error| {
        format!(
            "{} cannot be written ({error}); give this user access, or name another with --state",
            existing.display()
        )
    };
    tried.map(drop).map_err(explain)
}

fn room(folder: &Path) -> Check {
    let existing = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let Ok(disk) = rustix::fs::statvfs(existing) else {
        return Check::new("free space", Status::Warn, format!("the disk of {} does not tell", existing.display()));
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let told = format!("{} MB at {}", free / (1024 * 1024), existing.display());
    match free {
        0..ROOM_BAD => {
            Check::new("free space", Status::Bad, format!("{told}; free some, or name another with --state"))
        }
        ROOM_BAD..ROOM_WARN => Check::new("free space", Status::Warn, format!("{told}; free some soon")),
        _ => Check::new("free space", Status::Ok, told),
    }
}

fn clock(config: &Config) -> Check {
    let now = SystemClock.now();
    let written = std::fs::metadata(wiring::state_file(config)).and_then(|meta| meta.modified()).ok();
    let written = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |age| age.as_millis());
    let told = instant(now);
    if now < WRITTEN {
        return Check::new("clock", Status::Bad, format!("{told} is before this program was written; set the clock"));
    }
    if written > u128::from(now + AHEAD) {
        return Check::new(
            "clock",
            Status::Bad,
            format!("{told} is before the state file was last written; set the clock"),
        );
    }
    Check::new("clock", Status::Ok, told)
}

fn address(config: &Config) -> Check {
    let listen = config.serve.listen;
    match TcpListener::bind(listen) {
        Ok(_) => Check::new("listen address", Status::Ok, format!("{listen} is free for `serve`")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let told =
                format!("{listen} is in use; if that is not `codehealer serve`, choose another with serve.listen");
            Check::new("listen address", Status::Warn, told)
        }
        Err(error) => {
            Check::new("listen address", Status::Bad, format!("{listen}: {error}; choose another with serve.listen"))
        }
    }
}
