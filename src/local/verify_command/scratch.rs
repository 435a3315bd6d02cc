//! A copy of a commit for a scanner to read: regular files only, without what would steer the scanner.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::fs;

use super::{failed, no_scratch};
use crate::model::{Change, CommitId, RepoPath, Repository};
use crate::ports::{ErrorKind, Forge, PortResult, SnapshotFile};

/// All files together, bytes.
const MAX_TOTAL: u64 = 2 * 1024 * 1024 * 1024;
/// Larger files are not copied, bytes; no scanner reads them.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// A temporary folder with the copy in `tree` and an empty home beside it; removed when dropped.
pub(super) struct Scratch {
    _folder: TempDir,
    tree: PathBuf,
    home: PathBuf,
}

impl Scratch {
    pub fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("codehealer-verify-").tempdir()?;
        let root = folder.path().canonicalize()?;
        let (tree, home) = (root.join("tree"), root.join("home"));
        std::fs::create_dir(&tree)?;
        std::fs::create_dir(&home)?;
        Ok(Self { _folder: folder, tree, home })
    }

    pub fn tree(&self) -> &Path {
        &self.tree
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Writes the commit's files, then those of `changed` over them.
    pub async fn fill(
        &self,
        forge: &dyn Forge,
        repository: &Repository,
        commit: &CommitId,
        changed: &[SnapshotFile<'_>],
    ) -> PortResult<()> {
        let listed = forge.changed_files(repository, None, commit).await?;
        let wanted = |file: &&Change| {
            file.size <= MAX_FILE && !steers_scanners(&file.path) && changed.iter().all(|new| *new.path != file.path)
        };
        let files: Vec<&Change> = listed.files.iter().filter(wanted).collect();
        let total: u64 = files.iter().map(|file| file.size).sum();
        if total > MAX_TOTAL {
            let cause = format!("the commit has {total} bytes; a scratch copy of at most {MAX_TOTAL} is made");
            return Err(failed(ErrorKind::Malformed, cause));
        }
        for file in files {
            let bytes = forge.read_blob(repository, &file.blob).await?;
            self.write(&file.path, &bytes).await.map_err(no_scratch)?;
        }
        for file in changed.iter().filter(|file| !steers_scanners(file.path)) {
            self.write(file.path, file.bytes).await.map_err(no_scratch)?;
        }
        Ok(())
    }

    /// A [`RepoPath`] cannot leave the folder, and there is no link in it to follow.
    async fn write(&self, path: &RepoPath, bytes: &[u8]) -> io::Result<()> {
        let place = self.tree.join(path.as_str());
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).await?;
        }
        fs::write(place, bytes).await
    }
}

/// Whether a scanner would take orders from this file: switch rules off, load plug-ins, run installed packages.
pub(super) fn steers_scanners(path: &RepoPath) -> bool {
    let path = path.as_str().to_ascii_lowercase();
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    parts.any(|folder| FOLDERS.contains(&folder) || folder.starts_with(".git"))
        || name.starts_with(".git")
        || NAMES.contains(&name)
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

const FOLDERS: &[&str] =
    &["node_modules", ".venv", "venv", ".tox", ".semgrep", ".cargo", ".mvn", ".yarn", ".codehealer"];

const NAMES: &[&str] = &[
    ".bandit",
    ".checkov.yaml",
    ".checkov.yml",
    ".codehealer.toml",
    ".flake8",
    ".hadolint.yaml",
    ".hadolint.yml",
    ".jshintrc",
    ".mypy.ini",
    ".npmrc",
    ".pnpmfile.cjs",
    ".pylintrc",
    ".ruff.toml",
    ".semgrep.yaml",
    ".semgrep.yml",
    ".semgrepignore",
    ".snyk",
    ".terraformrc",
    ".tflint.hcl",
    ".tfsec.yml",
    ".trivyignore",
    ".yamllint",
    ".yamllint.yaml",
    ".yamllint.yml",
    ".yarnrc",
    ".yarnrc.yml",
    "bandit.yaml",
    "bandit.yml",
    "biome.json",
    "biome.jsonc",
    "checkstyle.xml",
    "codehealer.toml",
    "clippy.toml",
    ".clippy.toml",
    "deno.json",
    "deno.jsonc",
    "mypy.ini",
    "package.json",
    "pmd.xml",
    "pylintrc",
    "pyproject.toml",
    "ruff.toml",
    "semgrep.yaml",
    "semgrep.yml",
    "setup.cfg",
    "sitecustomize.py",
    "sonar-project.properties",
    "spotbugs-exclude.xml",
    "tox.ini",
    "trivy.yaml",
    "usercustomize.py",
];

const BEGINNINGS: &[&str] =
    &[".eslint", "eslint.config.", ".golangci.", ".stylelint", "stylelint.config.", ".prettier", ".oxlint"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_steer_scanners_are_left_out_wherever_they_lie() {
        let left_out = |name: &str| steers_scanners(&RepoPath::new(name).unwrap());
        for name in [
            "pyproject.toml",
            "a/RUFF.toml",
            ".eslintrc.json",
            "x/eslint.config.mjs",
            "node_modules/eslint/bin/eslint.js",
            ".gitattributes",
            ".github/workflows/a.yml",
            "sub/.semgrepignore",
            "sub/.Bandit",
        ] {
            assert!(left_out(name), "{name}");
        }
        for name in ["src/ruff.py", "bandit/__init__.py", "docs/package.json.md", "eslint/a.js", "venv.py"] {
            assert!(!left_out(name), "{name}");
        }
    }
}
