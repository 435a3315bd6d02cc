//! The shop's repository: its history from `story.toml`, made through libgit2, and what is pushed to it.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use git2::{Oid, Repository, RepositoryInitOptions, Signature, Time};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::CommitId;

/// The repository's name on its forge.
pub const NAME: &str = "acme/shop";
/// The watched branch, in full.
pub const BRANCH: &str = "refs/heads/develop";

/// How the repository came to be, and what is pushed in the end.
#[derive(Deserialize)]
pub struct Story {
    pub history: Vec<Change>,
    pub pushed: Vec<Change>,
}

/// One commit.
#[derive(Deserialize)]
pub struct Change {
    author: String,
    message: String,
    /// RFC 3339.
    at: String,
    #[serde(default)]
    write: Vec<Written>,
    #[serde(default)]
    replace: Vec<Replaced>,
}

#[derive(Deserialize)]
struct Written {
    path: String,
    text: String,
}

#[derive(Deserialize)]
struct Replaced {
    path: String,
    old: String,
    new: String,
}

/// The story that this program carries.
pub fn story() -> Result<Story> {
    toml::from_str(include_str!("story.toml")).context("read the demo's story")
}

/// What a push moved.
pub struct Push {
    pub before: CommitId,
    pub after: CommitId,
    pusher: String,
}

impl Push {
    /// The part of GitHub's payload that a receiver needs.
    pub fn payload(&self) -> Value {
        json!({
            "ref": BRANCH,
            "before": self.before.as_str(),
            "after": self.after.as_str(),
            "repository": { "id": 4711, "name": "shop", "full_name": NAME, "private": true },
            "pusher": { "name": self.pusher },
        })
    }
}

/// The clone in the demo's folder, `develop` checked out.
pub struct Shop {
    repository: Repository,
}

impl Shop {
    /// Makes the repository with its history.
    pub fn make(folder: &Path, history: &[Change]) -> Result<Self> {
        let mut options = RepositoryInitOptions::new();
        // No template: it may bring hooks, which have no place here.
        options.initial_head("develop").external_template(false).no_reinit(true);
        let repository = Repository::init_opts(folder, &options).context("make the shop's repository")?;
        repository.remote("origin", &format!("https://git.example.com/{NAME}.git"))?;
        let shop = Self { repository };
        for change in history {
            shop.commit(change)?;
        }
        Ok(shop)
    }

    /// Commits the changes to `develop`, as a developer does, and says what a forge would.
    pub fn push(&self, changes: &[Change]) -> Result<Push> {
        let before = self.tip()?;
        for change in changes {
            self.commit(change)?;
        }
        let pusher = changes.last().map(|c| c.author.clone()).unwrap_or_default();
        Ok(Push { before, after: self.tip()?, pusher })
    }

    /// First line of a commit's message and its author, for people.
    pub fn describe(&self, commit: &str) -> Option<String> {
        let commit = self.repository.find_commit(Oid::from_str(commit).ok()?).ok()?;
        let summary = commit.summary().ok().flatten()?.to_owned();
        let author = commit.author().name().unwrap_or("unknown").to_owned();
        Some(format!("{summary} ({author})"))
    }

    /// Content of a blob, as text.
    pub fn blob(&self, id: &str) -> Result<String> {
        let blob = self.repository.find_blob(Oid::from_str(id)?)?;
        Ok(String::from_utf8_lossy(blob.content()).into_owned())
    }

    fn tip(&self) -> Result<CommitId> {
        Ok(CommitId::new(self.repository.refname_to_id(BRANCH)?.to_string())?)
    }

    /// Writes the change into work tree and index, and commits it. Fixed times and authors give the same ids every time.
    fn commit(&self, change: &Change) -> Result<()> {
        let root = self.repository.workdir().context("the shop has a work tree")?;
        let mut index = self.repository.index()?;
        for written in &change.write {
            let file = root.join(&written.path);
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(file, &written.text)?;
            index.add_path(Path::new(&written.path))?;
        }
        for Replaced { path, old, new } in &change.replace {
            let text = std::fs::read_to_string(root.join(path))?;
            ensure!(text.matches(old).count() == 1, "{path} does not hold {old:?} once");
            std::fs::write(root.join(path), text.replace(old, new))?;
            index.add_path(Path::new(path))?;
        }
        index.write()?;
        let tree = self.repository.find_tree(index.write_tree()?)?;
        let seconds = chrono::DateTime::parse_from_rfc3339(&change.at)?.timestamp();
        let first = change.author.split(' ').next().unwrap_or_default().to_lowercase();
        let who = Signature::new(&change.author, &format!("{first}@shop.example"), &Time::new(seconds, 0))?;
        let parent = self.repository.head().ok().map(|head| head.peel_to_commit()).transpose()?;
        self.repository.commit(Some("HEAD"), &who, &who, &change.message, &tree, &parent.iter().collect::<Vec<_>>())?;
        Ok(())
    }
}
