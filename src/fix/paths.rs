//! Files that no fix may touch, whoever proposes it.
//!
//! What decides how code is built, reviewed, released or watched over stays with people: an edit there could
//! switch a safeguard off or run code on a build machine (a Dockerfile is a build script). Symlinks and file modes are the forge's matter.

use crate::model::RepoPath;

/// Why this file must not be edited, for people; `None` when it may be.
///
/// Names are compared as the most lenient file system would: without regard to case, to
/// characters that HFS+ ignores, to full-width look-alikes, to NTFS' trailing dots, spaces and stream
/// names, or to 8.3 short names of `.git`.
#[must_use]
pub fn refusal(path: &RepoPath) -> Option<&'static str> {
    let folded: Vec<String> = path.as_str().split('/').map(folded).collect();
    let parts: Vec<&str> = folded.iter().map(String::as_str).collect();
    let (name, folders) = parts.split_last()?;
    parts
        .iter()
        .find_map(|part| repository_machinery(part))
        .or_else(|| folders.iter().find_map(|folder| machinery_folder(folder)))
        .or_else(|| machinery_file(name))
}

/// Folders and files whose name alone means git, a forge or us, wherever they stand in the path.
fn repository_machinery(part: &str) -> Option<&'static str> {
    if part.is_empty() || part == "." || part == ".." {
        return Some("its name is not a plain one");
    }
    if part.starts_with(".git") {
        // Also .github, .gitlab-ci.yml, .gitattributes, .gitmodules, .gitea.
        return Some("files of git and of the forge, workflows included, are never edited");
    }
    let short_name = part.strip_prefix("git~").or(part.strip_prefix("gi"));
    if short_name.is_some_and(|rest| is_short_name(part, rest)) {
        return Some("it may name the .git folder on Windows");
    }
    if part == ".codehealer.toml" || part == "codehealer.toml" || part == ".codehealer" {
        return Some("our own configuration is never edited");
    }
    (part == "codeowners").then_some("who owns the code is never edited")
}

/// `git~1`, or the hashed form of NTFS for `.git`-names, `gi7eba~1`.
fn is_short_name(part: &str, rest: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if part.starts_with("git~") {
        return digits(rest);
    }
    let hashed = rest.split_once('~');
    hashed
        .is_some_and(|(hash, number)| hash.len() == 4 && hash.bytes().all(|b| b.is_ascii_hexdigit()) && digits(number))
}

const CI: &str = "the configuration of build servers is never edited";
const BUILD: &str = "build scripts are never edited";
const LOCK: &str = "lock files are never edited";
const TOOLS: &str = "files that tools run by themselves are never edited";

fn machinery_folder(folder: &str) -> Option<&'static str> {
    match folder {
        ".circleci" | ".buildkite" | ".azure-pipelines" | ".azuredevops" | ".drone" | ".semaphore" | ".woodpecker"
        | ".teamcity" | ".tekton" | ".forgejo" | ".harness" | ".jenkins" | ".ci" | ".travis" => Some(CI),
        ".husky" | ".hooks" | ".vscode" | ".idea" | ".devcontainer" | ".cargo" | ".mvn" | ".yarn" => Some(TOOLS),
        "node_modules" => Some("installed packages are never edited"),
        _ => None,
    }
}

fn machinery_file(name: &str) -> Option<&'static str> {
    if LOCK_FILES.contains(&name) || name.ends_with(".lock") || name.ends_with(".lockfile") {
        return Some(LOCK);
    }
    if CI_FILES.contains(&name) || name.starts_with("azure-pipelines") || name.starts_with("jenkinsfile") {
        return Some(CI);
    }
    if BUILD_FILES.contains(&name) || BUILD_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return Some(BUILD);
    }
    let image = ["dockerfile.", "containerfile."].iter().any(|begin| name.starts_with(begin));
    if image || name.ends_with(".dockerfile") {
        return Some(BUILD);
    }
    let tool = TOOL_FILES.contains(&name) || name.starts_with(".pre-commit") || name.starts_with(".eslintrc");
    tool.then_some(TOOLS)
}

const LOCK_FILES: &[&str] = &[
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "go.sum",
    "go.work.sum",
    "packages.lock.json",
    "bun.lockb",
    "gradle-wrapper.properties",
    "pdm.lock",
    "package.resolved",
    "cartfile.resolved",
];

const CI_FILES: &[&str] = &[
    ".travis.yml",
    ".travis.yaml",
    "appveyor.yml",
    ".appveyor.yml",
    "bitbucket-pipelines.yml",
    ".drone.yml",
    ".drone.yaml",
    "wercker.yml",
    "circle.yml",
    ".cirrus.yml",
    "cloudbuild.yaml",
    "cloudbuild.yml",
    "cloudbuild.json",
    "buildspec.yml",
    "buildspec.yaml",
    "codefresh.yml",
    "shippable.yml",
    ".woodpecker.yml",
    ".woodpecker.yaml",
    "screwdriver.yaml",
    ".semaphore.yml",
    "renovate.json",
    "renovate.json5",
    ".renovaterc",
    ".renovaterc.json",
    "dependabot.yml",
    ".mergify.yml",
    "codecov.yml",
    ".codecov.yml",
    "sonar-project.properties",
    ".readthedocs.yml",
    ".readthedocs.yaml",
    "netlify.toml",
    "vercel.json",
    "amplify.yml",
    "skaffold.yaml",
    "earthfile",
    "dangerfile",
];

const BUILD_FILES: &[&str] = &[
    "setup.py",
    "setup.cfg",
    "pyproject.toml",
    "conftest.py",
    "noxfile.py",
    "tox.ini",
    "fabfile.py",
    "pipfile",
    "sitecustomize.py",
    "usercustomize.py",
    "pytest.ini",
    "dockerfile",
    "containerfile",
    "wscript",
    "sconstruct",
    "sconscript",
    "build.rs",
    "cargo.toml",
    "makefile",
    "gnumakefile",
    "cmakelists.txt",
    "meson.build",
    "configure",
    "configure.ac",
    "package.json",
    "gruntfile.js",
    "gulpfile.js",
    "gulpfile.ts",
    "rakefile",
    "gemfile",
    "justfile",
    "taskfile.yml",
    "taskfile.yaml",
    "pom.xml",
    "build.xml",
    "build.sbt",
    "gradlew",
    "gradlew.bat",
    "mvnw",
    "mvnw.cmd",
    "gradle.properties",
    "go.mod",
    "go.work",
    "magefile.go",
    "mix.exs",
    "rebar.config",
    "build.zig",
    "build",
    "build.bazel",
    "workspace",
    "workspace.bazel",
    "module.bazel",
    "composer.json",
    "binding.gyp",
    "lerna.json",
    "nx.json",
    "turbo.json",
];

const BUILD_ENDINGS: &[&str] = &[
    ".gradle",
    ".gradle.kts",
    ".mk",
    ".bzl",
    ".cmake",
    ".gemspec",
    ".csproj",
    ".vcxproj",
    ".props",
    ".targets",
    ".pth",
];

const TOOL_FILES: &[&str] = &[
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".pypirc",
    "pip.conf",
    ".netrc",
    ".envrc",
    "lefthook.yml",
    ".lefthook.yml",
    ".bandit",
    ".semgrepignore",
    ".semgrep.yml",
    ".snyk",
    ".trivyignore",
    ".nvmrc",
    ".tool-versions",
    ".dockerignore",
];

/// A name as a careless file system would see it.
fn folded(part: &str) -> String {
    let plain: String = part.chars().filter(|c| !is_ignored(*c)).flat_map(|c| look_alike(c).to_lowercase()).collect();
    // NTFS drops what follows a colon (streams) when the main stream is meant, and trailing dots and spaces.
    let main = plain.split(':').next().unwrap_or_default();
    main.trim_end_matches(['.', ' ']).trim_start_matches(' ').to_owned()
}

/// Characters that some file systems drop from names (HFS+) or that no reader sees.
fn is_ignored(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'
                ..='\u{180f}'
        )
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

/// The ASCII character that compatibility normalisation (NFKC) or case folding makes of this one.
fn look_alike(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => u32::from(c).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(c),
        '\u{2024}' | '\u{fe52}' => '.',
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        'ı' | 'İ' => 'i',
        'ſ' => 's',
        '\u{212a}' => 'k',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str) -> bool {
        RepoPath::new(path).map_or(true, |path| refusal(&path).is_some())
    }

    #[test]
    fn machinery_is_refused_wherever_it_stands() {
        for path in [
            ".github/workflows/ci.yml",
            ".github/CODEOWNERS",
            "CODEOWNERS",
            "docs/CODEOWNERS",
            ".gitmodules",
            ".gitattributes",
            ".git/config",
            "sub/.git/hooks/pre-commit",
            ".gitlab-ci.yml",
            "Jenkinsfile",
            ".circleci/config.yml",
            "azure-pipelines.yml",
            "bitbucket-pipelines.yml",
            ".travis.yml",
            "setup.py",
            "pkg/setup.py",
            "build.rs",
            "Makefile",
            "package.json",
            "web/package-lock.json",
            "yarn.lock",
            "poetry.lock",
            "Cargo.lock",
            "go.sum",
            "pom.xml",
            "build.gradle",
            "app/build.gradle.kts",
            "tests/conftest.py",
            ".codehealer.toml",
            "codehealer.toml",
            "pyproject.toml",
            ".husky/pre-commit",
            ".vscode/tasks.json",
            "node_modules/a/index.js",
            ".npmrc",
            "rules.mk",
            "x.pth",
            "Dockerfile",
            "Dockerfile.prod",
        ] {
            assert!(refused(path), "{path}");
        }
    }

    #[test]
    fn disguises_do_not_help() {
        for path in [
            ".GIT/config",
            ".GitHub/workflows/x.yml",
            ".g\u{200c}it/config",
            ".gi\u{2060}t/x",
            ".g\u{206a}it/config",
            ".git./config",
            ".git /config",
            "git~1/config",
            "GIT~2/config",
            "gi7eba~1/hooks/x",
            ".git::$INDEX_ALLOCATION/config",
            ".\u{ff47}\u{ff49}\u{ff54}/config",
            "\u{ff0e}git/config",
            ".g\u{131}t/config",
            "\u{2024}git/x",
            "SETUP.PY",
            "setup.py.",
            "setup.py ",
            "\u{ff53}etup.py",
            "Make\u{fb01}le\u{200b}",
            "a/../.git/config",
            "../x",
            "/etc/passwd",
            "a\\..\\b",
            "a\nb",
            "CodeOwners",
            "package.json:x",
            "...",
            "a/\u{a0}/b",
            "\u{212a}/../x",
            ".gıthub/workflows/a.yml",
        ] {
            assert!(refused(path), "{path:?}");
        }
    }

    #[test]
    fn ordinary_source_is_not() {
        for path in [
            "src/auth.py",
            "lib/git.py",
            "legit/file.js",
            "gist.py",
            "digit~1.py",
            "src/größe.py",
            "builder/package.jsonc",
            "src/main/java/App.java",
            "cmd/build/main.go",
            "infra/main.tf",
            "k8s/deployment.yaml",
            "app/tasks.py",
            "gifts/a.py",
            "src/setup_db.py",
            "tests/test_setup.py",
            "web/.storybook/main.js",
            "日本.py",
            "docker-compose.yml",
            "blocks/x.go",
        ] {
            assert!(!refused(path), "{path}");
        }
    }
}
