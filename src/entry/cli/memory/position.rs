//! How far a repository's history was learned from, so that the next call looks only at what is new.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::healer::trail;
use crate::model::{CommitId, RepositoryId};
use crate::ports::State;
use crate::state::run::fields;
use crate::state::{Item, keys};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// This commit and everything before it was looked at.
    pub done: Option<CommitId>,
    /// A walk that was broken off.
    pub under_way: Option<UnderWay>,
}

/// A walk from `from` down to `done`, that has come behind `after`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    pub from: CommitId,
    pub after: CommitId,
}

impl Position {
    pub async fn load(state: &dyn State, repository: &RepositoryId) -> Result<Self> {
        Ok(trail::load(state, &keys::learned(repository)).await?.unwrap_or_default())
    }

    pub async fn save(&self, state: &dyn State, repository: &RepositoryId) -> Result<()> {
        let item = Item { key: keys::learned(repository), fields: fields(self), indexes: Vec::new(), expires: None };
        Ok(trail::put(state, item).await?)
    }
}
