//! Which repositories are watched: the allow-list of deliveries, and where each is found.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};

use super::Clone;
use crate::config::{Config, RepositoryFile};
use crate::healer::Directory;
use crate::local::git::open::open;
use crate::model::RepositoryId;
use crate::webhook::{WatchList, Watched};

/// The watched repositories.
pub struct Watch {
    /// For the receiver.
    pub list: WatchList,
    /// For the workers.
    pub directory: Directory,
    /// On this machine; none where the repositories are GitHub's.
    pub clones: Vec<Clone>,
}

impl Watch {
    /// Everything that the configuration lists. Clones are opened; GitHub is not asked.
    ///
    /// # Errors
    /// Names the repository that is there twice, has no clone, or whose clone cannot be opened.
    pub fn of(config: &Config) -> Result<Self> {
        if config.services.github.is_some() { Self::of_github(config) } else { Self::of_clones(config) }
    }

    /// For a receiver of GitHub's deliveries, which needs nothing but names.
    fn of_github(config: &Config) -> Result<Self> {
        let installation = config.services.github.as_ref().and_then(|github| github.auth.installation());
        let (mut list, mut names) = (WatchList::new(), Vec::new());
        for entry in watched(config)? {
            let branches = references(entry);
            names.push((entry.name.clone(), branches.clone()));
            enter(&mut list, entry, Watched { repository: None, branches, installation })?;
        }
        Ok(Self { list, directory: Directory::of_names(names), clones: Vec::new() })
    }

    fn of_clones(config: &Config) -> Result<Self> {
        let (mut list, mut clones) = (WatchList::new(), Vec::new());
        let mut branches: BTreeMap<RepositoryId, Vec<String>> = BTreeMap::new();
        for entry in watched(config)? {
            let path = entry.path.as_deref().with_context(|| format!("the clone of {} is not named", entry.name))?;
            let local = open(path).with_context(|| format!("open the clone of {}", entry.name))?;
            let mut clone = Clone::of(config, local);
            clone.repository.name.clone_from(&entry.name);
            clone.repository.private = entry.private.unwrap_or(true);
            let (id, references) = (clone.repository.id.clone(), references(entry));
            branches.insert(id.clone(), references.clone());
            enter(&mut list, entry, Watched { repository: Some(id), branches: references, installation: None })?;
            clones.push(clone);
        }
        let branches_of = |clone: &Clone| branches.get(&clone.repository.id).cloned().unwrap_or_default();
        let directory = Directory::of_clones(clones.iter().map(|c| (c.repository.clone(), branches_of(c))));
        Ok(Self { list, directory, clones })
    }
}

fn watched(config: &Config) -> Result<&[RepositoryFile]> {
    let remedy = "add a [[repository]] with name and path to codehealer.toml; with [github] the name is enough";
    ensure!(!config.repositories.is_empty(), "no repository is configured; {remedy}");
    Ok(&config.repositories)
}

fn enter(list: &mut WatchList, entry: &RepositoryFile, watched: Watched) -> Result<()> {
    let twice = list.insert(entry.name.to_lowercase(), watched);
    ensure!(twice.is_none(), "repository {} is configured twice", entry.name);
    Ok(())
}

/// Full names of the branches that are healed.
fn references(entry: &RepositoryFile) -> Vec<String> {
    entry.branches().iter().map(|name| format!("refs/heads/{name}")).collect()
}
