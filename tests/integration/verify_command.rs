//! The operator's scanner: what it sees, what it may not do, and what becomes of what it starts.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codehealer::local::git::LocalForge;
use codehealer::local::verify_command::VerifyCommand;
use codehealer::model::CommitId;
use codehealer::ports::{ErrorKind, ExternalScanner, PortError, SnapshotFile};
use serde_json::Value;

use crate::support::git::{TestRepo, path};

const EMPTY: &str = r#"printf '{"version":"2.1.0","runs":[]}'"#;

struct World {
    git: TestRepo,
    commit: CommitId,
    /// Outside of everything the command is given.
    outside: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let git = TestRepo::bare();
        let commit = git
            .on("main")
            .file("src/a.py", "a = 1\n")
            .file("src/b.py", "b = 1\r\n")
            .executable("run.sh", "echo hi\n")
            .symlink("link.py", "/etc/passwd")
            .file("ruff.toml", "select = []\n")
            .file("pyproject.toml", "[tool.ruff]\nselect = []\n")
            .file(".gitignore", "*\n")
            .file("json.py", "import os\nos.system('touch pwned')\n")
            .commit("one");
        Self { git, commit, outside: tempfile::tempdir().unwrap() }
    }

    fn scanner(&self, command: &str) -> VerifyCommand {
        let forge = LocalForge::new(self.outside.path(), [(self.git.described().id, self.git.git_dir())]);
        VerifyCommand::new(command, std::env::var_os("PATH").unwrap(), Arc::new(forge))
    }

    async fn scan(&self, scanner: &VerifyCommand) -> Result<String, PortError> {
        let (name, added) = (path("src/a.py"), path("src/new.py"));
        let changed = [SnapshotFile { path: &name, bytes: b"a = 2\n" }, SnapshotFile { path: &added, bytes: b"n\n" }];
        scanner.scan(&self.git.described(), &self.commit, &changed).await
    }

    /// Runs `command`, which writes what it wants to tell into `$OUT`, and returns that.
    async fn told(&self, command: &str) -> String {
        let out = self.outside.path().join("out");
        let command = format!("OUT='{}'; {command}; {EMPTY}", out.display());
        self.scan(&self.scanner(&command)).await.unwrap();
        fs::read_to_string(out).unwrap()
    }
}

#[tokio::test]
async fn the_command_sees_the_commit_with_the_changed_files_and_nothing_else() {
    let world = World::new();
    let files = world.told("find . -mindepth 1 ! -type d | sort > $OUT").await;
    assert_eq!(files, "./json.py\n./run.sh\n./src/a.py\n./src/b.py\n./src/new.py\n");
    assert_eq!(world.told("cat src/a.py src/b.py > $OUT").await, "a = 2\nb = 1\r\n");
    assert_eq!(world.told("find . -type f -perm /111 > $OUT; pwd > pwd; rm pwd").await, "");
}

#[tokio::test]
async fn the_environment_is_cleared_and_the_copy_removed() {
    let world = World::new();
    let told = world.told("env | cut -d= -f1 | sort > $OUT; pwd >> $OUT; echo $HOME >> $OUT").await;
    let (names, places): (Vec<&str>, Vec<&str>) = told.lines().partition(|line| !line.starts_with('/'));
    let allowed = ["HOME", "LANG", "OLDPWD", "PATH", "PWD", "PYTHONSAFEPATH", "SHLVL", "TMPDIR", "_"];
    assert!(names.iter().all(|name| allowed.contains(name)), "{names:?}");
    assert_eq!(places.len(), 2);
    assert!(places.iter().all(|place| !Path::new(place).exists()), "{places:?} is still there");
}

#[tokio::test]
async fn a_report_counts_whatever_the_exit_status_and_its_paths_are_the_repositorys() {
    let world = World::new();
    let command = r#"printf '{"runs":[{"uri":"file://%s/src/a.py","abs":"%s/src/b.py"}]}' "$PWD" "$PWD"; exit 1"#;
    let report: Value = serde_json::from_str(&world.scan(&world.scanner(command)).await.unwrap()).unwrap();
    assert_eq!((&report["runs"][0]["uri"], &report["runs"][0]["abs"]), (&"src/a.py".into(), &"src/b.py".into()));
}

#[tokio::test]
async fn what_is_no_report_is_an_error_that_quotes_the_command() {
    let world = World::new();
    let told = [
        ("echo boom >&2; exit 3", "exit status: 3, boom"),
        ("surely-no-such-scanner", "surely-no-such-scanner: not found"),
        ("echo '{\"runs\": 1}'", "must print SARIF"),
        ("true", "must print SARIF"),
        ("printf '\\377'", "not UTF-8"),
    ];
    for (command, expected) in told {
        let error = world.scan(&world.scanner(command)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{command}");
        assert!(error.chain().contains(expected), "{command}: {}", error.chain());
    }
    let error = world.scan(&world.scanner("printf 'a\\033[31m\\nb' >&2")).await.unwrap_err();
    assert!(!error.chain().contains(char::is_control), "{:?}", error.chain());
}

#[tokio::test]
async fn a_flood_is_stopped() {
    let world = World::new();
    let scanner = world.scanner("yes").with_output_limit(100_000).with_timeout(Duration::from_secs(60));
    let error = world.scan(&scanner).await.unwrap_err();
    assert!(error.kind == ErrorKind::Malformed && error.chain().contains("more than 100000"), "{}", error.chain());
    let noisy = format!("head -c 3000000 /dev/zero >&2; {EMPTY}");
    assert!(world.scan(&world.scanner(&noisy)).await.is_ok(), "noise on standard error is only cut");
}

/// Whether the process that wrote its id into `file` is gone (or only waits to be collected).
fn ended(file: &Path) -> bool {
    let id = fs::read_to_string(file).unwrap();
    match fs::read_to_string(format!("/proc/{}/stat", id.trim())) {
        Err(_) => true,
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X'])),
    }
}

async fn soon(what: impl Fn() -> bool) -> bool {
    for _ in 0..200 {
        if what() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    false
}

#[tokio::test]
async fn on_a_timeout_the_grandchildren_end_too() {
    let world = World::new();
    let id = world.outside.path().join("id");
    let command = format!("sleep 600 & echo $! > '{}'; wait", id.display());
    let scanner = world.scanner(&command).with_timeout(Duration::from_millis(700));
    let error = world.scan(&scanner).await.unwrap_err();
    assert!(error.kind == ErrorKind::Unavailable && error.chain().contains("did not end"), "{}", error.chain());
    assert!(soon(|| ended(&id)).await, "the grandchild still runs");
}

#[tokio::test]
async fn what_is_left_in_the_background_neither_delays_nor_survives() {
    let world = World::new();
    let id = world.outside.path().join("id");
    let command = format!("sleep 600 & echo $! > '{}'; {EMPTY}", id.display());
    let begun = Instant::now();
    assert!(world.scan(&world.scanner(&command)).await.is_ok());
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!(soon(|| ended(&id)).await, "the process in the background still runs");
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_nothing_running() {
    let world = World::new();
    let id = world.outside.path().join("id");
    let scanner = world.scanner(&format!("sleep 600 & echo $! > '{}'; wait", id.display()));
    {
        let scan = world.scan(&scanner);
        tokio::pin!(scan);
        let started = soon(|| fs::read_to_string(&id).is_ok_and(|text| text.ends_with('\n')));
        tokio::select! {
            _ = &mut scan => panic!("it ended by itself"),
            started = started => assert!(started),
        }
    }
    assert!(soon(|| ended(&id)).await, "the command still runs");
}

/// S7: a module of the repository is not what `import json` finds.
#[tokio::test]
async fn the_repositorys_modules_do_not_shadow_those_of_the_scanner() {
    let world = World::new();
    let python = "command -v python3 > /dev/null && python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'";
    let command = format!("{python} && python3 -c 'import json'; ls > $OUT");
    assert!(!world.told(&command).await.contains("pwned"));
}
