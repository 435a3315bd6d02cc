//! Repositories, commits and the paths inside them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::{InvalidValue, is_deceptive};

/// Where a repository keeps its own configuration.
pub const REPOSITORY_CONFIG: &str = ".codehealer.toml";

/// The forge's own number of a repository; locally one that the store keeps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RepositoryId(pub String);

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A repository as the healer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    pub id: RepositoryId,
    /// `owner/name` on a forge, the folder's name on a laptop.
    pub name: String,
    /// Memory and team answers never leave their organisation.
    pub organisation: String,
    pub private: bool,
}

macro_rules! object_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// # Errors
            /// When the text is not 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidValue> {
                let value = text.into();
                let hex = value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if hex && matches!(value.len(), 40 | 64) {
                    return Ok(Self(value));
                }
                Err(InvalidValue { what: $what, value, reason: "expected 40 or 64 lower-case hex digits" })
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidValue;
            fn try_from(text: String) -> Result<Self, InvalidValue> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

object_id!(
    /// A git commit id.
    CommitId, "commit id"
);
object_id!(
    /// A git blob id: identity of a file's content.
    BlobId, "blob id"
);

impl CommitId {
    /// First 12 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }

    /// The all-zero id that GitHub sends for "no such commit" (created or deleted branches).
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.bytes().all(|b| b == b'0')
    }
}

/// A path inside a repository: relative, `/`-separated, UTF-8, without `.`, `..` or empty components,
/// backslashes, or control and invisible characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoPath(String);

/// Why a path was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?} is refused: {reason}")]
pub struct PathError {
    pub path: String,
    pub reason: &'static str,
}

impl RepoPath {
    /// # Errors
    /// When the path could name something outside the repository or look like another path to a reader.
    pub fn new(path: impl Into<String>) -> Result<Self, PathError> {
        let path = path.into();
        match refusal(&path) {
            None => Ok(Self(path)),
            Some(reason) => Err(PathError { path, reason }),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Whether the file is test code or test data by the conventions of common languages: `tests/`, `test_x.py`, `x_test.go`,
    /// `x.spec.ts`, `x_spec.rb`, `XTest.java`.
    #[must_use]
    pub fn is_test_code(&self) -> bool {
        const FOLDERS: [&str; 9] =
            ["test", "tests", "__tests__", "testing", "testdata", "spec", "specs", "fixtures", "e2e"];
        let folders = self.0.rsplit_once('/').map_or("", |(folders, _)| folders);
        let stem = self.file_name().split('.').next().unwrap_or_default();
        folders.split('/').any(|folder| FOLDERS.contains(&folder.to_ascii_lowercase().as_str()))
            || stem.starts_with("test_")
            || stem.ends_with("_test")
            || stem.ends_with("_spec")
            || stem == "conftest"
            || [".test.", ".spec."].iter().any(|mark| self.file_name().contains(mark))
            || (matches!(self.extension(), Some("cs" | "java" | "php"))
                && (stem.ends_with("Test") || stem.ends_with("Tests")))
    }

    /// The part after the last dot of the file name, if any.
    #[must_use]
    pub fn extension(&self) -> Option<&str> {
        self.file_name().rsplit_once('.').map(|(_, extension)| extension)
    }
}

fn refusal(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.len() > 4096 {
        return Some("it is longer than 4096 bytes");
    }
    if path.starts_with('/') || path.contains('\\') || path.as_bytes().get(1) == Some(&b':') {
        return Some("it is not a relative path with forward slashes");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some("it has an empty, `.` or `..` component");
    }
    if path.chars().any(is_deceptive) {
        return Some("it has control or invisible characters");
    }
    None
}

impl TryFrom<String> for RepoPath {
    type Error = PathError;
    fn try_from(path: String) -> Result<Self, PathError> {
        Self::new(path)
    }
}

impl From<RepoPath> for String {
    fn from(path: RepoPath) -> Self {
        path.0
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A regular file that a range of commits added, modified or renamed. Deleted files, symlinks and
/// submodules are not changes to heal and never appear here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub path: RepoPath,
    /// The blob at the head of the range.
    pub blob: BlobId,
    /// Path at the base of the range; `None` when the file is new there. Differs from `path` after a rename.
    pub base_path: Option<RepoPath>,
    pub base_blob: Option<BlobId>,
    /// Size at the head, bytes; 0 where the forge does not say it.
    pub size: u64,
}

#[cfg(test)]
mod tests {
    use super::RepoPath;

    #[test]
    fn test_code_is_told_by_the_conventions_of_its_language() {
        let is_test = |path: &str| RepoPath::new(path).unwrap().is_test_code();
        for path in [
            "tests/a.py",
            "pkg/test_a.py",
            "pkg/a_test.go",
            "src/a.spec.ts",
            "src/UserTest.java",
            "lib/a_spec.rb",
            "Api/CartTests.cs",
        ] {
            assert!(is_test(path), "{path}");
        }
        for path in ["src/a.py", "src/attest.py", "contest/a.go", "src/Latest.java", "testimony.js"] {
            assert!(!is_test(path), "{path}");
        }
    }
}
