//! Reading the changed files, before and after, with one GraphQL request instead of one request each.
//!
//! It is a shortcut and nothing depends on it: what it does not bring, or brings in a doubtful shape, is read through the REST
//! API later. A text is believed only if its bytes have the id that is given with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::GitHubForge;
use super::changes::{ComparedFile, Delta, delta};
use super::failure::{Asked, Failure, nullable, wait_within};
use super::objects::{Entry, Kind, ObjectId, object_id};
use super::wire::Call;
use crate::model::{CommitId, REPOSITORY_CONFIG, RepoPath, Repository};
use crate::ports::ErrorKind;

/// Files of one request; more are read from the trees.
const FILES: usize = 100;

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    errors: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Data {
    repository: Option<Sides>,
}

/// Entries by the names that the query gave them.
#[derive(Deserialize)]
struct Sides {
    h: Option<BTreeMap<String, Option<RawEntry>>>,
    b: Option<BTreeMap<String, Option<RawEntry>>>,
}

#[derive(Deserialize)]
struct RawEntry {
    mode: u32,
    #[serde(default)]
    object: Option<RawBlob>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBlob {
    #[serde(default)]
    oid: Option<String>,
    #[serde(default)]
    byte_size: Option<u64>,
    #[serde(default)]
    is_binary: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    is_truncated: bool,
    #[serde(default)]
    text: Option<String>,
}

/// A path at one end of the range, and the name of its field.
struct Place<'a> {
    field: String,
    path: &'a str,
}

impl GitHubForge {
    /// What differs, if one request can tell; `None` when the trees have to be read.
    ///
    /// # Errors
    /// When GitHub wants to be left alone: then nothing else is asked either.
    pub(super) async fn prefetched(
        &self,
        repository: &Repository,
        (fork, files): (&CommitId, &[ComparedFile]),
        head: &CommitId,
    ) -> Asked<Option<Vec<Delta>>> {
        if files.len() > FILES {
            return Ok(None);
        }
        match self.prefetch(repository, (fork, files), head).await {
            Ok(deltas) => Ok(Some(deltas)),
            Err(failure) if matches!(failure.kind, ErrorKind::Throttled(_)) => Err(failure),
            Err(failure) => {
                tracing::debug!(reason = ?failure, "GraphQL did not tell; reading trees and blobs");
                Ok(None)
            }
        }
    }

    async fn prefetch(
        &self,
        repository: &Repository,
        (fork, files): (&CommitId, &[ComparedFile]),
        head: &CommitId,
    ) -> Asked<Vec<Delta>> {
        let places = places(files);
        let name = self.access.name(repository);
        let (owner, short) = name.split_once('/').ok_or_else(|| Failure::malformed("no owner in the name"))?;
        let query = format!(
            "query {{ repository(owner: {}, name: {}) {{ h: {} b: {} }} }}",
            quoted(owner),
            quoted(short),
            object(head, &places),
            object(fork, &places)
        );
        let answer = self.access.done(repository, Call::post("/graphql", json!({ "query": query }))).await?;
        let reply: Reply = answer.json()?;
        let errors = reply.errors.unwrap_or_default();
        if let Some(wait) = wait_within(&answer, &Value::from(errors.clone()).to_string()) {
            return Err(Failure::new(ErrorKind::Throttled(wait), "GitHub was asked too often"));
        }
        // What is partly wrong is not used.
        let data = reply.data.filter(|_| errors.is_empty());
        let sides = data.and_then(|data| data.repository).ok_or_else(|| Failure::malformed("GraphQL errors"))?;
        let (Some(mut h), Some(mut b)) = (sides.h, sides.b) else {
            return Err(Failure::malformed("GraphQL does not know one of the commits"));
        };
        let mut deltas = Vec::new();
        for place in &places {
            let new = self.take(repository, head, place, &mut h)?;
            let old = self.take(repository, fork, place, &mut b)?;
            deltas.extend(delta(place.path, old.as_ref(), new.as_ref()));
        }
        Ok(deltas)
    }

    /// The entry at a place; it and its text are kept.
    fn take(
        &self,
        repository: &Repository,
        commit: &CommitId,
        place: &Place<'_>,
        side: &mut BTreeMap<String, Option<RawEntry>>,
    ) -> Asked<Option<Entry>> {
        let raw = side.remove(&place.field).ok_or_else(|| Failure::malformed("GraphQL left a file out"))?;
        let entry = raw.map(|raw| self.believed(repository, raw)).transpose()?;
        if let Ok(path) = RepoPath::new(place.path) {
            self.objects.keep_place(repository, commit, &path, entry.clone());
        }
        Ok(entry)
    }

    fn believed(&self, repository: &Repository, raw: RawEntry) -> Asked<Entry> {
        let kind = Kind::of_mode(raw.mode);
        let Some(blob) = raw.object else {
            // A submodule's commit is in another repository; its id does not matter, except that it is not a file's.
            return match kind {
                Kind::Submodule | Kind::Tree => Ok(Entry { id: nothing()?, kind, size: None }),
                _ => Err(Failure::malformed("GraphQL gives a file without its object")),
            };
        };
        let id = object_id(blob.oid.unwrap_or_default()).or_else(|failure| match kind {
            Kind::Tree => nothing(),
            _ => Err(failure),
        })?;
        if let Some(text) = blob.text.filter(|_| blob.is_binary == Some(false) && !blob.is_truncated) {
            // A text that is not the blob, such as one that is no UTF-8, is read again when it is needed.
            self.objects.keep_blob(repository, &id, text.into_bytes());
        }
        Ok(Entry { id, kind, size: blob.byte_size })
    }
}

/// All names, old and new, in order: what was renamed is gone at the one end and new at the other. The repository's own
/// configuration is always read next, so it comes along; where it did not change it is no difference.
fn places(files: &[ComparedFile]) -> Vec<Place<'_>> {
    let old = files.iter().filter_map(|file| file.previous_filename.as_deref());
    let names = files.iter().map(|file| file.filename.as_str()).chain(old).chain([REPOSITORY_CONFIG]);
    let names: BTreeSet<&str> = names.collect();
    names.into_iter().enumerate().map(|(at, path)| Place { field: format!("f{at}"), path }).collect()
}

fn object(commit: &CommitId, places: &[Place<'_>]) -> String {
    let fields: Vec<String> = places
        .iter()
        .map(|place| {
            let blob = "... on Blob { oid byteSize isBinary isTruncated text }";
            format!("{}: file(path: {}) {{ mode type object {{ {blob} }} }}", place.field, quoted(place.path))
        })
        .collect();
    format!("object(oid: {}) {{ ... on Commit {{ {} }} }}", quoted(commit.as_str()), fields.join(" "))
}

/// GraphQL writes texts as JSON does.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn nothing() -> Asked<ObjectId> {
    object_id("0".repeat(40))
}
