//! Campaigns: one person's decision to change many places alike. It is one opinion, however many places it changed, and must not
//! outvote what others did one by one.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::healer::trail;
use crate::model::{CommitId, PastFix, RepositoryId, sha256_hex};
use crate::ports::State;
use crate::state::run::fields;
use crate::state::{Item, keys};

/// Like fixes that one commit can teach.
pub const A_COMMIT: u32 = 2;
/// Like fixes that one author can teach: as many as agree for a pull request.
pub const AN_AUTHOR: u32 = 5;
/// Authors and shapes that are remembered between two calls; about 100 KB.
const KEPT: usize = 4_000;

/// Why a fix was not taken in.
pub const OF_COMMIT: &str = "two like fixes of the same commit were learned: a campaign is one opinion";
pub const OF_AUTHOR: &str = "five like fixes of the same author were learned: a campaign is one opinion";

/// Like fixes counted by commit and by author.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Campaigns {
    /// Fixes by a digest of author, rule and shape: no name is kept.
    authors: BTreeMap<String, u32>,
    #[serde(skip)]
    commit: Option<CommitId>,
    #[serde(skip)]
    in_commit: BTreeMap<String, u32>,
}

impl Campaigns {
    pub async fn load(state: &dyn State, repository: &RepositoryId) -> Result<Self> {
        Ok(trail::load(state, &keys::campaigns(repository)).await?.unwrap_or_default())
    }

    pub async fn save(&mut self, state: &dyn State, repository: &RepositoryId) -> Result<()> {
        self.trim();
        let item = Item { key: keys::campaigns(repository), fields: fields(self), indexes: Vec::new(), expires: None };
        Ok(trail::put(state, item).await?)
    }

    /// Whether one more such fix may be learned. Commits come one after the other.
    ///
    /// # Errors
    /// Says which measure is full.
    pub fn admit(&mut self, (commit, author): (&CommitId, &str), fix: &PastFix) -> Result<(), &'static str> {
        if self.commit.as_ref() != Some(commit) {
            self.commit = Some(commit.clone());
            self.in_commit.clear();
        }
        let shape = shape(fix);
        let here = self.in_commit.entry(shape.clone()).or_default();
        let by_author = self.authors.entry(digest(&[author.as_bytes(), shape.as_bytes()])).or_default();
        if *here >= A_COMMIT {
            return Err(OF_COMMIT);
        }
        if *by_author >= AN_AUTHOR {
            return Err(OF_AUTHOR);
        }
        *here += 1;
        *by_author += 1;
        Ok(())
    }

    /// Forgets those that count least.
    fn trim(&mut self) {
        let mut least = 1;
        while self.authors.len() > KEPT {
            self.authors.retain(|_, count| *count > least);
            least += 1;
        }
    }
}

/// What a fix does, whatever its names: its most general pattern.
fn shape(fix: &PastFix) -> String {
    let general = fix.patterns.last().map(|pattern| (&pattern.before, &pattern.rewrites));
    let text = general.and_then(|general| serde_json::to_string(&general).ok());
    let text = text.unwrap_or_else(|| format!("{}\n{}", fix.scope_before, fix.scope_after));
    digest(&[fix.rule.as_str().as_bytes(), text.as_bytes()])
}

fn digest(parts: &[&[u8]]) -> String {
    let mut hex = sha256_hex(parts);
    hex.truncate(16);
    hex
}
