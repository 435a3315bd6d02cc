//! Where local pull requests are kept: per branch a text for people and a record for us.
//!
//! The record is the truth. It is written under another name, flushed and then given its name, so that a reader sees all
//! of it or none; the first of several writers wins.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::failure::Failure;
use crate::model::{BRANCH_PREFIX, CommitId, RepositoryId, sha256_hex};
use crate::report::markdown;

const VERSION: u32 = 1;
/// A record larger than this was not written by us, bytes.
const MAX_RECORD: u64 = 4 * 1024 * 1024;

/// A local pull request as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub version: u32,
    pub repository: RepositoryId,
    pub branch: String,
    pub base: String,
    pub title: String,
    pub body: String,
    pub draft: bool,
    /// Parent of the commit that opened the pull request.
    pub parent: CommitId,
    /// The branch's tip when it was last seen.
    pub tip: CommitId,
    /// Closed without merging; final.
    pub closed: bool,
    /// The commit of the base that brought the change in; final.
    pub merged: Option<CommitId>,
}

impl Record {
    pub const fn version() -> u32 {
        VERSION
    }

    /// The text for people: what it is, how to take it, how to refuse it.
    fn text(&self) -> String {
        let kind = if self.draft { "Draft pull request: a senior should look first" } else { "Pull request" };
        let Self { branch, base, body, .. } = self;
        let title = markdown::text(&self.title.replace(['\r', '\n'], " "));
        format!(
            "# {title}\n\n{kind}, `{branch}` into `{base}`.\n\n\
             - look: `git diff {base}...{branch}`\n\
             - take: `git switch {base} && git merge {branch}`\n\
             - refuse: `git branch -D {branch}`\n\n---\n\n{body}\n",
        )
    }
}

/// The pull requests of one repository.
pub(super) struct Folder {
    repository: RepositoryId,
    path: PathBuf,
}

impl Folder {
    pub fn new(state_dir: &Path, repository: &RepositoryId) -> Self {
        Self { repository: repository.clone(), path: state_dir.join("pulls").join(slug(&repository.0)) }
    }

    pub fn repository(&self) -> &RepositoryId {
        &self.repository
    }

    fn file(&self, branch: &str, extension: &str) -> PathBuf {
        let branch = branch.strip_prefix(BRANCH_PREFIX).unwrap_or(branch);
        self.path.join(format!("{}.{extension}", slug(branch)))
    }

    /// The text for people.
    pub fn text_path(&self, branch: &str) -> PathBuf {
        self.file(branch, "md")
    }

    /// The branches of all records, in order.
    pub fn branches(&self) -> Result<Vec<String>, Failure> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut branches = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                branches.extend(read(&path)?.map(|record| record.branch));
            }
        }
        branches.sort();
        Ok(branches)
    }

    /// The record of a branch, if there is one.
    pub fn load(&self, branch: &str) -> Result<Option<Record>, Failure> {
        let path = self.file(branch, "json");
        match read(&path)? {
            Some(record) if record.branch != branch => Err(unreadable(&path, "it belongs to another branch")),
            other => Ok(other),
        }
    }

    /// Stores a new record; false when there is one already.
    pub fn create(&self, record: &Record) -> Result<bool, Failure> {
        fs::create_dir_all(&self.path)?;
        let path = self.file(&record.branch, "json");
        match self.written(&to_json(record)?)?.persist_noclobber(&path) {
            Ok(_) => self.flush_names()?,
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(error.error.into()),
        }
        self.ensure_text(record)?;
        Ok(true)
    }

    /// Replaces a record.
    pub fn update(&self, record: &Record) -> Result<(), Failure> {
        let path = self.file(&record.branch, "json");
        self.written(&to_json(record)?)?.persist(&path).map_err(|error| error.error)?;
        Ok(self.flush_names()?)
    }

    /// Writes the text for people if it is missing: never made because of a crash, or removed.
    pub fn ensure_text(&self, record: &Record) -> Result<(), Failure> {
        let path = self.text_path(&record.branch);
        if path.exists() {
            return Ok(());
        }
        self.written(record.text().as_bytes())?.persist(&path).map_err(|error| error.error)?;
        Ok(self.flush_names()?)
    }

    /// A flushed file in the folder, still without its name.
    fn written(&self, bytes: &[u8]) -> io::Result<NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix(".writing-").tempfile_in(&self.path)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    fn flush_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

fn read(path: &Path) -> Result<Option<Record>, Failure> {
    let bytes = match fs::metadata(path) {
        Ok(found) if found.len() > MAX_RECORD => return Err(unreadable(path, "it is too large")),
        Ok(_) => fs::read(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let record: Record = serde_json::from_slice(&bytes).map_err(|error| unreadable(path, &error.to_string()))?;
    if record.version > VERSION {
        return Err(unreadable(path, "a newer version of codehealer wrote it: upgrade"));
    }
    Ok(Some(record))
}

fn to_json(record: &Record) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec_pretty(record).map_err(Failure::malformed)
}

fn unreadable(path: &Path, reason: &str) -> Failure {
    Failure::malformed(format!("{} cannot be read ({reason}); move it away to begin anew", path.display()))
}

/// A file name for any text: plain names stay, others get a hash so that two never meet.
fn slug(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !text.is_empty() && text.len() <= 150 && text.chars().all(plain) {
        return text.to_owned();
    }
    let readable: String = text.chars().map(|c| if plain(c) { c } else { '-' }).take(100).collect();
    let hash = sha256_hex(&[text.as_bytes()]);
    format!("{readable}.{}", hash.get(..16).unwrap_or(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(branch: &str) -> Record {
        let id = CommitId::new("a".repeat(40)).unwrap();
        Record {
            version: Record::version(),
            repository: RepositoryId("r".to_owned()),
            branch: branch.to_owned(),
            base: "main".to_owned(),
            title: "Use safe_load\nx".to_owned(),
            body: "Because.".to_owned(),
            draft: true,
            parent: id.clone(),
            tip: id,
            closed: false,
            merged: None,
        }
    }

    #[test]
    fn slugs_stay_in_the_folder_and_never_meet() {
        assert_eq!(slug("py-sql-injection-0123456789ab-g1"), "py-sql-injection-0123456789ab-g1");
        let odd = ["../../etc/passwd", "a/b", "a-b", "a b", "", ".", "..", "é", "A\0", &"x".repeat(500)];
        let slugs: std::collections::BTreeSet<String> = odd.iter().map(|text| slug(text)).collect();
        assert_eq!(slugs.len(), odd.len());
        assert!(slugs.iter().all(|slug| !slug.contains('/') && !slug.starts_with('.') || slug.len() == 17));
    }

    #[test]
    fn the_first_record_wins_and_the_text_is_repaired() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::new(state.path(), &RepositoryId("r".to_owned()));
        let first = record("codehealer/x-g1");
        assert!(folder.load(&first.branch).unwrap().is_none());
        assert!(folder.create(&first).unwrap());
        assert!(!folder.create(&Record { title: "other".to_owned(), ..first.clone() }).unwrap());
        assert_eq!(folder.load(&first.branch).unwrap().as_ref(), Some(&first));
        let text = fs::read_to_string(folder.text_path(&first.branch)).unwrap();
        assert!(text.starts_with("# Use safe\\_load x\n\nDraft pull request"), "{text}");
        fs::remove_file(folder.text_path(&first.branch)).unwrap();
        folder.ensure_text(&first).unwrap();
        assert_eq!(fs::read_to_string(folder.text_path(&first.branch)).unwrap(), text);
        let left: Vec<_> = fs::read_dir(state.path().join("pulls/r")).unwrap().collect();
        assert_eq!(left.len(), 2, "no temporary file is left");
    }

    #[test]
    fn damaged_and_newer_records_say_what_to_do() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::new(state.path(), &RepositoryId("r".to_owned()));
        folder.create(&record("codehealer/x-g1")).unwrap();
        let path = folder.file("codehealer/x-g1", "json");
        fs::write(&path, "{\"version\":").unwrap();
        assert!(folder.load("codehealer/x-g1").unwrap_err().cause.to_string().contains("move it away"));
        let newer = Record { version: 2, ..record("codehealer/x-g1") };
        fs::write(&path, serde_json::to_vec(&newer).unwrap()).unwrap();
        assert!(folder.load("codehealer/x-g1").unwrap_err().cause.to_string().contains("upgrade"));
    }
}
