//! Which repositories are watched, and what is known of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{Repository, RepositoryId, UnixMillis};
use crate::ports::{Forge, PortResult};

/// A repository that becomes public must soon be treated as such.
const KNOWN_FOR_MS: UnixMillis = 5 * 60 * 1000;

/// The watched repositories by name, and their full reference names. Descriptions come from the forge and are kept for a while.
#[derive(Clone, Default)]
pub struct Directory {
    /// By `owner/name` in lower case.
    watched: Arc<BTreeMap<String, Entry>>,
    seen: Arc<Mutex<BTreeMap<String, (Repository, UnixMillis)>>>,
}

struct Entry {
    name: String,
    references: Vec<String>,
    /// Described by the configuration: a clone on this machine.
    clone: Option<Repository>,
}

impl Directory {
    /// Clones on this machine with the branches that are watched.
    #[must_use]
    pub fn of_clones(clones: impl IntoIterator<Item = (Repository, Vec<String>)>) -> Self {
        Self::new(clones.into_iter().map(|(clone, references)| Entry {
            name: clone.name.clone(),
            references,
            clone: Some(clone),
        }))
    }

    /// Repositories of the forge, by name, with the branches that are watched.
    #[must_use]
    pub fn of_names(names: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        Self::new(names.into_iter().map(|(name, references)| Entry { name, references, clone: None }))
    }

    fn new(entries: impl Iterator<Item = Entry>) -> Self {
        let watched = entries.map(|entry| (entry.name.to_lowercase(), entry)).collect();
        Self { watched: Arc::new(watched), seen: Arc::default() }
    }

    /// Names of all watched repositories with their branches.
    pub fn watched(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.watched.values().map(|entry| (entry.name.as_str(), entry.references.as_slice()))
    }

    /// The watched repository of this name as it is now; `None` when it is not watched or does not exist.
    ///
    /// # Errors
    /// When the forge cannot be asked.
    pub async fn by_name(&self, forge: &dyn Forge, name: &str, now: UnixMillis) -> PortResult<Option<Repository>> {
        let key = name.to_lowercase();
        let Some(entry) = self.watched.get(&key) else { return Ok(None) };
        if let Some(clone) = &entry.clone {
            return Ok(Some(clone.clone()));
        }
        let known = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((repository, at)) = known
            && now.saturating_sub(at) < KNOWN_FOR_MS
        {
            return Ok(Some(repository));
        }
        let found = forge.repository(&entry.name).await?;
        if let Some(repository) = &found {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (repository.clone(), now));
        }
        Ok(found)
    }

    /// As [`Directory::by_name`], if it still is the repository with this number: a name may have been given to another one.
    ///
    /// # Errors
    /// When the forge cannot be asked.
    pub async fn get(
        &self,
        forge: &dyn Forge,
        (id, name): (&RepositoryId, &str),
        now: UnixMillis,
    ) -> PortResult<Option<Repository>> {
        Ok(self.by_name(forge, name, now).await?.filter(|repository| repository.id == *id))
    }
}
