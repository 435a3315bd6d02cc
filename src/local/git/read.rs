//! Reading heads and files from objects. The work tree is never looked at, and no filter is applied.

use git2::{ErrorCode, ObjectType, Oid, Repository};

use super::failure::Failure;
use super::trees::{self, Kind};
use crate::model::{BlobId, CommitId, RepoPath};
use crate::ports::File;

/// The largest blob that is read into memory, bytes.
pub const MAX_BLOB: usize = 64 * 1024 * 1024;

pub(super) fn commit_id(oid: Oid) -> Result<CommitId, Failure> {
    CommitId::new(oid.to_string()).map_err(Failure::malformed)
}

pub(super) fn blob_id(oid: Oid) -> Result<BlobId, Failure> {
    BlobId::new(oid.to_string()).map_err(Failure::malformed)
}

/// The commit that a full reference name points at; `None` when there is no such reference.
pub(super) fn head(repo: &Repository, reference: &str) -> Result<Option<Oid>, Failure> {
    let found = repo.find_reference(reference).and_then(|found| found.peel_to_commit());
    match found {
        Ok(commit) => Ok(Some(commit.id())),
        Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A regular file of a commit.
pub(super) fn file(repo: &Repository, commit: &CommitId, path: &RepoPath) -> Result<Option<File>, Failure> {
    let tree = trees::commit(repo, commit)?.tree_id();
    let Some(entry) = trees::lookup(repo, tree, path)? else { return Ok(None) };
    let Kind::File { executable } = entry.kind else { return Ok(None) };
    Ok(Some(File { blob: blob_id(entry.id)?, bytes: blob(repo, entry.id)?, executable }))
}

/// The content of a blob, its size checked before any of it is unpacked.
pub(super) fn blob(repo: &Repository, id: Oid) -> Result<Vec<u8>, Failure> {
    let odb = repo.odb()?;
    let (size, kind) = odb.read_header(id)?;
    if kind != ObjectType::Blob {
        return Err(Failure::missing(format!("object {id} is not a file")));
    }
    if size > MAX_BLOB {
        return Err(Failure::malformed(format!("blob {id} has {size} bytes; at most {MAX_BLOB} are read")));
    }
    Ok(odb.read(id)?.data().to_vec())
}
