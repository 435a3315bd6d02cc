//! Finding the repository that a person means, and saying clearly when there is none to work with.

use std::io;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, RepositoryOpenFlags};

use super::read;
use crate::model::{CommitId, Repository, RepositoryId, sha256_hex};

/// Why a repository cannot be used. Each message ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0} does not exist; give the path of a git repository")]
    NoSuchPath(PathBuf),
    #[error("{0} is not inside a git repository; run this in a clone, or `git init` one")]
    NotARepository(PathBuf),
    #[error("the git repository at {path} is damaged ({reason}); `git fsck` tells more, a fresh clone repairs it")]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "{0} belongs to another user, who could prepare it against you; if you trust it: \
         `git config --global --add safe.directory {0}`"
    )]
    ForeignOwner(PathBuf),
    #[error("{path} uses a git feature that is not supported here ({reason}); a plain `git clone` of it works")]
    Unsupported { path: PathBuf, reason: String },
    #[error("{path} cannot be read: {source}; check its permissions")]
    Unreadable { path: PathBuf, source: io::Error },
}

/// What `HEAD` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadState {
    /// On a branch (full reference name).
    Branch { reference: String, commit: CommitId },
    /// On a commit, without a branch.
    Detached(CommitId),
    /// On a branch that has no commit yet.
    Unborn { reference: String },
}

impl HeadState {
    #[must_use]
    pub fn commit(&self) -> Option<&CommitId> {
        match self {
            Self::Branch { commit, .. } | Self::Detached(commit) => Some(commit),
            Self::Unborn { .. } => None,
        }
    }
}

/// A local repository that can be worked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRepository {
    /// The git folder of this work tree; what [`super::LocalForge::new`] takes.
    pub git_dir: PathBuf,
    /// The git folder that linked work trees share, without symlinks.
    pub common_dir: PathBuf,
    /// `None` for a bare repository.
    pub work_tree: Option<PathBuf>,
    /// `owner/name` of the remote `origin`, else the folder's name.
    pub name: String,
    /// Owner on the forge that `origin` names; `local` without one.
    pub organisation: String,
    pub head: HeadState,
    /// Short name of the branch that others build on: what `origin/HEAD` names, else the usual names, else the current one.
    pub default_branch: Option<String>,
    /// Whether older history is missing.
    pub shallow: bool,
}

impl LocalRepository {
    /// Identity while the store has no other: the same for every work tree of one repository, another after a move.
    #[must_use]
    pub fn default_id(&self) -> RepositoryId {
        let hash = sha256_hex(&[b"local-repository-1", self.common_dir.as_os_str().as_encoded_bytes()]);
        RepositoryId(format!("local-{}", hash.get(..16).unwrap_or(&hash)))
    }

    /// The repository for the healer, private until the operator says otherwise.
    #[must_use]
    pub fn describe(&self, id: RepositoryId) -> Repository {
        Repository { id, name: self.name.clone(), organisation: self.organisation.clone(), private: true }
    }

    /// Short name of the branch to propose to: the checked out one, else the default.
    #[must_use]
    pub fn base_branch(&self) -> Option<&str> {
        match &self.head {
            HeadState::Branch { reference, .. } | HeadState::Unborn { reference } => {
                reference.strip_prefix("refs/heads/").or(self.default_branch.as_deref())
            }
            HeadState::Detached(_) => self.default_branch.as_deref(),
        }
    }
}

/// Opens the repository that `path`, or a folder above it, belongs to.
///
/// # Errors
/// When there is none, or it is damaged, owned by somebody else, unreadable or of a kind that is not supported.
pub fn open(path: &Path) -> Result<LocalRepository, OpenError> {
    let path = path.canonicalize().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => OpenError::NoSuchPath(path.to_path_buf()),
        _ => OpenError::Unreadable { path: path.to_path_buf(), source },
    })?;
    let no_ceilings: &[&Path] = &[];
    let repo = git2::Repository::open_ext(&path, RepositoryOpenFlags::empty(), no_ceilings)
        .map_err(|error| explain(&path, &error))?;
    describe(&repo).map_err(|error| explain(repo.path(), &error))
}

fn describe(repo: &git2::Repository) -> Result<LocalRepository, git2::Error> {
    let common_dir = repo.commondir().canonicalize().unwrap_or_else(|_| repo.commondir().to_path_buf());
    let origin = repo.find_remote("origin").ok().and_then(|remote| remote.url().ok().and_then(owner_and_name));
    let (organisation, name) = match origin {
        Some((owner, name)) => (owner.clone(), format!("{owner}/{name}")),
        None => ("local".to_owned(), folder_name(repo, &common_dir)),
    };
    let head = head_state(repo)?;
    Ok(LocalRepository {
        git_dir: repo.path().to_path_buf(),
        work_tree: repo.workdir().map(Path::to_path_buf),
        name,
        organisation,
        default_branch: default_branch(repo, &head),
        head,
        shallow: repo.is_shallow(),
        common_dir,
    })
}

fn head_state(repo: &git2::Repository) -> Result<HeadState, git2::Error> {
    let head = repo.find_reference("HEAD")?;
    let Some(target) = head.symbolic_target()?.map(str::to_owned) else {
        return Ok(HeadState::Detached(as_commit(head.peel_to_commit()?.id())?));
    };
    match repo.find_reference(&target).and_then(|branch| branch.peel_to_commit()) {
        Ok(commit) => Ok(HeadState::Branch { reference: target, commit: as_commit(commit.id())? }),
        // The branch is unborn only when the name is free; a branch whose commit is missing is damage.
        Err(error) if error.code() == ErrorCode::NotFound && repo.find_reference(&target).is_err() => {
            Ok(HeadState::Unborn { reference: target })
        }
        Err(error) => Err(error),
    }
}

fn as_commit(id: git2::Oid) -> Result<CommitId, git2::Error> {
    read::commit_id(id).map_err(|failure| git2::Error::from_str(&failure.cause.to_string()))
}

fn default_branch(repo: &git2::Repository, head: &HeadState) -> Option<String> {
    let exists = |name: &&str| repo.find_reference(&format!("refs/heads/{name}")).is_ok();
    let remote = repo.find_reference("refs/remotes/origin/HEAD").ok();
    let remote = remote.as_ref().and_then(|head| head.symbolic_target().ok().flatten());
    let named = remote.and_then(|target| target.strip_prefix("refs/remotes/origin/")).filter(exists);
    let usual = || ["main", "master", "develop", "trunk"].into_iter().find(exists);
    let current = match head {
        HeadState::Branch { reference, .. } | HeadState::Unborn { reference } => reference.strip_prefix("refs/heads/"),
        HeadState::Detached(_) => None,
    };
    named.or_else(usual).or(current).map(str::to_owned)
}

/// The name of the work tree's folder; of the git folder without `.git` when bare.
fn folder_name(repo: &git2::Repository, common_dir: &Path) -> String {
    let folder = if common_dir.file_name().is_some_and(|name| name == ".git") {
        common_dir.parent().unwrap_or(common_dir)
    } else if repo.is_bare() || repo.is_worktree() {
        common_dir
    } else {
        repo.workdir().unwrap_or(common_dir)
    };
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.strip_suffix(".git").unwrap_or(&name);
    if name.is_empty() { "repository".to_owned() } else { name.to_owned() }
}

/// Owner and name in a remote's address: `https://host/owner/name.git`, `git@host:owner/name`, `ssh://…`. Addresses of
/// local folders have no owner. Anything but plain characters is not believed.
fn owner_and_name(url: &str) -> Option<(String, String)> {
    let path = match url.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => rest.split_once('/')?.1,
        None => {
            let (host, path) = url.split_once(':')?;
            // `C:\folder` and `./a:b` are folders.
            (host.len() > 1 && !host.contains(['/', '\\'])).then_some(path)?
        }
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let parts: Vec<&str> = path.split('/').collect();
    let plain = |part: &&str| {
        let known = part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        known && (1..=100).contains(&part.len()) && !part.starts_with('.')
    };
    match parts.as_slice() {
        [owner, rest @ ..] if !rest.is_empty() && parts.iter().all(plain) => {
            Some(((*owner).to_owned(), rest.join("/")))
        }
        _ => None,
    }
}

fn explain(path: &Path, error: &git2::Error) -> OpenError {
    let reason = error.message().to_owned();
    let owned = || path.to_path_buf();
    if let Err(source) = path.read_dir()
        && source.kind() == io::ErrorKind::PermissionDenied
    {
        return OpenError::Unreadable { path: owned(), source };
    }
    match error.code() {
        ErrorCode::Owner => OpenError::ForeignOwner(owner_root(path)),
        _ if reason.contains("extension") || reason.contains("object format") || reason.contains("version") => {
            OpenError::Unsupported { path: owned(), reason }
        }
        ErrorCode::NotFound => match git_entry_above(path) {
            Some(git) => OpenError::Damaged { path: git, reason },
            None => OpenError::NotARepository(owned()),
        },
        _ => OpenError::Damaged { path: owned(), reason },
    }
}

/// The `.git` that makes a folder look like a repository even though libgit2 sees none.
fn git_entry_above(path: &Path) -> Option<PathBuf> {
    if path.join("HEAD").is_file() && path.join("objects").is_dir() {
        return Some(path.to_path_buf());
    }
    path.ancestors().map(|folder| folder.join(".git")).find(|git| git.symlink_metadata().is_ok())
}

/// The folder that `safe.directory` must name.
fn owner_root(path: &Path) -> PathBuf {
    let root = path.ancestors().find(|folder| folder.join(".git").symlink_metadata().is_ok());
    root.unwrap_or(path).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_come_from_forge_addresses_only() {
        let pair = |owner: &str, name: &str| Some((owner.to_owned(), name.to_owned()));
        assert_eq!(owner_and_name("https://github.com/acme/shop.git"), pair("acme", "shop"));
        assert_eq!(owner_and_name("https://user:token@github.com/acme/shop"), pair("acme", "shop"));
        assert_eq!(owner_and_name("git@github.com:acme/shop.git"), pair("acme", "shop"));
        assert_eq!(owner_and_name("ssh://git@host:2222/acme/team/shop.git/"), pair("acme", "team/shop"));
        for folder in ["/srv/git/shop.git", "../shop", "file:///srv/acme/shop", "C:\\work\\shop", "./a:b/c", ""] {
            assert_eq!(owner_and_name(folder), None, "{folder}");
        }
        for hostile in ["https://h/a/../b", "git@h:a/b\nc", "git@h:<!here>/b", "https://h/only", "https://h/a/.git"] {
            assert_eq!(owner_and_name(hostile), None, "{hostile}");
        }
    }
}
