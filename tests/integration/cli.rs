//! The program as people and scripts use it: its words, its exit codes, its JSON, over real repositories and state files.

mod audit;
mod memory;
mod operator;
mod scan;
mod tamper;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::git::TestRepo;

/// A repository and a state folder of its own.
pub struct World {
    pub repo: TestRepo,
    pub state: TempDir,
}

/// What a call left.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {}", self.out))
    }

    /// The output, when the call ended with this code.
    pub fn ended(self, code: i32) -> String {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        self.out
    }
}

/// Two findings: one with a curated fix, one that only a person can heal.
const APP: &str = "\
import hashlib
import yaml


def settings(f):
    return yaml.load(f)


def load(plugin):
    return exec(plugin)
";

impl World {
    pub fn new() -> Self {
        let repo = TestRepo::new();
        repo.repo.remote("origin", "https://github.com/acme/shop.git").unwrap();
        Self { repo, state: tempfile::tempdir().unwrap() }
    }

    /// With the shop's code healed once.
    fn healed() -> Self {
        let world = Self::new();
        world.repo.write("app.py", APP);
        world.repo.check_out();
        world.run(&["heal", "--all"]).ended(0);
        world
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, &[])
    }

    pub fn run_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Ran {
        run_in(self.repo.path(), self.state.path(), args, environment)
    }

    /// The id of the newest case of a rule.
    fn case(&self, rule: &str) -> String {
        let listed = self.run(&["audit", "list", "--rule", rule, "--format", "json"]).json();
        listed["runs"][0]["case"].as_str().unwrap_or_else(|| panic!("no case of {rule}: {listed}")).to_owned()
    }

    /// Text with everything that differs from run to run replaced.
    pub fn redacted(&self, text: &str) -> String {
        let mut text = text.replace(&*self.state.path().to_string_lossy(), "[state]");
        text = text.replace(&*self.repo.path().to_string_lossy(), "[repo]");
        static CHANGING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
            [
                (r"local-[0-9a-f]{16}", "local-[repository]"),
                (r"\b[0-9a-f]{64}\b", "[64 digits]"),
                (r"\b[0-9a-f]{24}\b", "[24 digits]"),
                (r"\b[0-9a-f]{12}\b", "[12 digits]"),
                (r"-[0-9a-f]{12}-g", "-[12 digits]-g"),
                (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "[time]"),
                (r"\d\d:\d\d:\d\d\.\d{3}", "[time]"),
                (r"\d+ min \d+ s|\d+\.\d s|\d+ ms", "[duration]"),
            ]
            .into_iter()
            .map(|(pattern, name)| (Regex::new(pattern).unwrap(), name))
            .collect()
        });
        for (pattern, name) in CHANGING.iter() {
            text = pattern.replace_all(&text, *name).into_owned();
        }
        text
    }
}

fn run_in(folder: &Path, state: &Path, args: &[&str], environment: &[(&str, &str)]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_codehealer"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", state)
        .env("CODEHEALER_STATE", state)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}
