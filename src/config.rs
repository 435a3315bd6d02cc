//! Configuration: defaults < `codehealer.toml` < environment < flags. The only place that reads the environment.

pub mod model;
pub mod origin;
pub mod services;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use self::model::{BudgetFile, ModelFile, Models};
use self::services::{AwsFile, GitHubFile, OpenSearchFile, SageMakerFile, Services, SlackFile};
use crate::healer::Policy;
use crate::model::{Confidence, Thresholds};

/// Name of the file that is looked for in the working directory and in the user's configuration folder.
pub const FILE_NAME: &str = "codehealer.toml";

/// What the operator wrote. Every key is optional; unknown keys are refused by name.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "codehealer.toml")]
pub struct File {
    /// Whose knowledge this is. Memory and team answers never leave their organisation. Default: `local`.
    pub organisation: Option<String>,
    /// Folder for the state file and local pull requests. Default: `$XDG_STATE_HOME/codehealer`.
    pub state: Option<PathBuf>,
    /// Folders with further rules, in the format of the built-in ones.
    pub rules: Vec<PathBuf>,
    pub thresholds: ThresholdsFile,
    pub limits: LimitsFile,
    pub ignore: IgnoreFile,
    pub slack_export: Option<SlackExportFile>,
    pub model: Option<ModelFile>,
    pub budget: BudgetFile,
    pub verify: Option<VerifyFile>,
    pub github: Option<GitHubFile>,
    pub slack: Option<SlackFile>,
    pub aws: AwsFile,
    pub opensearch: Option<OpenSearchFile>,
    pub sagemaker: SageMakerFile,
    pub serve: ServeFile,
    /// Repositories that are watched.
    pub repository: Vec<RepositoryFile>,
}

/// Confidence, percent, from which a change is proposed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ThresholdsFile {
    /// From here a pull request is opened. Default: 85.
    pub open: Option<u8>,
    /// From here a draft is opened and a senior told; below, a senior is only told. Default: 60.
    pub draft: Option<u8>,
}

/// Bounds on what is read and changed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsFile {
    /// Most lines a fix may change. Default: 60.
    pub changed_lines: Option<usize>,
    /// Larger files are skipped, bytes. Default: 1048576.
    pub file_bytes: Option<usize>,
    /// A worker that is silent for this long is taken for dead, and another one goes on, seconds from 1. Default: 20.
    pub lease_seconds: Option<u64>,
    /// Pull requests opened in one repository within an hour, drafts included; the rest waits. On GitHub only. Default: 2.
    pub pull_requests_per_hour: Option<u64>,
    /// Pull requests open in one repository at a time, drafts included; the rest waits. On GitHub only. Default: 5.
    pub open_pull_requests: Option<usize>,
    /// Cases of one push that are healed at once, the most severe first; the rest follows in later hours. On GitHub only.
    /// Default: 10.
    pub cases_a_push: Option<usize>,
}

/// What is never looked at.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IgnoreFile {
    /// Globs of paths: `docs/**`. `*` does not cross a `/`.
    pub paths: Vec<String>,
    /// Rule ids.
    pub rules: Vec<String>,
}

/// The team's chat as a folder in Slack's export format.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackExportFile {
    pub path: PathBuf,
    /// Channels whose answers may open a pull request. Default: all of the export's public channels.
    #[serde(default)]
    pub channels: Vec<String>,
    /// Reactions by which a member confirms an answer. Default: `white_check_mark`.
    #[serde(default)]
    pub confirm: Vec<String>,
    /// Address of the workspace, for permalinks: `https://acme.slack.com`.
    #[serde(default)]
    pub workspace: Option<String>,
}

/// The operator's scanner, for findings that the built-in rules cannot re-check.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyFile {
    /// Run by `sh -c` in a scratch copy; must print SARIF 2.1.0.
    pub command: String,
    /// Seconds. Default: 120.
    #[serde(default)]
    pub timeout_seconds: Option<u64>,
}

/// The local server.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServeFile {
    /// Address to listen on. Default: `127.0.0.1:8080`.
    pub listen: Option<SocketAddr>,
    /// Where the webhook secrets are: `env:NAME` or `file:/path`; two while one is rotated. Default: `env:CODEHEALER_WEBHOOK_SECRET`.
    pub webhook_secrets: Vec<String>,
    /// Runs healed at the same time. Default: 2.
    pub workers: Option<usize>,
    /// Pause between two reconciliations, seconds. Default: 600.
    pub reconcile_seconds: Option<u64>,
    /// Whether a start with an empty memory takes the starter memory in. Default: true.
    pub starter: Option<bool>,
}

/// A repository that is watched.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepositoryFile {
    /// `owner/name`, as in the webhook's payload.
    pub name: String,
    /// Its clone on this machine; not needed with `[github]`, which reads and writes the repository itself.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Branches that are healed. Default: `develop`.
    #[serde(default)]
    pub branches: Vec<String>,
    /// Whether knowledge from a clone must stay out of public repositories; GitHub knows by itself. Default: true.
    #[serde(default)]
    pub private: Option<bool>,
}

impl RepositoryFile {
    /// Branches that are healed, the default filled in.
    #[must_use]
    pub fn branches(&self) -> Vec<String> {
        if self.branches.is_empty() { vec!["develop".to_owned()] } else { self.branches.clone() }
    }
}

/// What the environment says; empty variables count as unset.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub config: Option<PathBuf>,
    /// The configuration itself, for functions that have no file of their own; a file that is named wins.
    pub config_text: Option<String>,
    pub state: Option<PathBuf>,
    pub model_url: Option<String>,
    pub model_name: Option<String>,
    pub slack_export: Option<PathBuf>,
    pub verify_command: Option<String>,
    pub log: Option<String>,
    pub no_color: bool,
    /// Address of Lambda's Runtime API; set where this process is a function.
    pub lambda_api: Option<String>,
    /// Which function this process is.
    pub role: Option<String>,
    search_path: OsString,
    home: Option<PathBuf>,
    state_home: Option<PathBuf>,
    config_home: Option<PathBuf>,
}

impl Environment {
    /// Reads the process's environment, once.
    #[must_use]
    pub fn read() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            config: path("CODEHEALER_CONFIG"),
            config_text: text("CODEHEALER_CONFIG_TEXT"),
            state: path("CODEHEALER_STATE"),
            model_url: text("CODEHEALER_MODEL_URL"),
            model_name: text("CODEHEALER_MODEL"),
            slack_export: path("CODEHEALER_SLACK_EXPORT"),
            verify_command: text("CODEHEALER_VERIFY_COMMAND"),
            log: text("CODEHEALER_LOG"),
            no_color: path("NO_COLOR").is_some(),
            lambda_api: text("AWS_LAMBDA_RUNTIME_API"),
            role: text("CODEHEALER_ROLE"),
            search_path: std::env::var_os("PATH").unwrap_or_default(),
            home: path("HOME"),
            state_home: path("XDG_STATE_HOME"),
            config_home: path("XDG_CONFIG_HOME"),
        }
    }
}

/// What flags say.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub config: Option<PathBuf>,
    pub state: Option<PathBuf>,
    pub model_url: Option<String>,
    pub model_name: Option<String>,
    pub slack_export: Option<PathBuf>,
    pub verify_command: Option<String>,
    pub rules: Vec<PathBuf>,
    pub listen: Option<SocketAddr>,
    /// Named profile of the AWS configuration.
    pub aws_profile: Option<String>,
    /// DynamoDB table.
    pub table: Option<String>,
}

/// Everything decided.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    pub organisation: String,
    pub state: PathBuf,
    pub rules: Vec<PathBuf>,
    pub policy: Policy,
    /// Larger files are skipped, bytes.
    pub file_bytes: Option<usize>,
    pub slack_export: Option<SlackExport>,
    /// The model behind a plain address, where one is configured, and further ones.
    pub models: Models,
    pub verify: Option<Verify>,
    pub services: Services,
    pub serve: Serve,
    pub repositories: Vec<RepositoryFile>,
    /// Where the verifier command finds its programs: the operator's `PATH`.
    pub search_path: OsString,
}

/// A chat export, its defaults filled in.
#[derive(Debug, Clone)]
pub struct SlackExport {
    pub path: PathBuf,
    /// Empty: all public channels.
    pub channels: Vec<String>,
    pub confirm: Vec<String>,
    pub workspace: Option<String>,
}

/// The verifier, its defaults filled in.
#[derive(Debug, Clone)]
pub struct Verify {
    pub command: String,
    pub timeout: Duration,
}

/// The server, its defaults filled in.
#[derive(Debug, Clone)]
pub struct Serve {
    pub listen: SocketAddr,
    pub webhook_secrets: Vec<SecretSource>,
    pub workers: usize,
    pub reconcile: Duration,
    /// Whether a start with an empty memory takes the starter memory in.
    pub starter: bool,
}

/// Where a secret is; never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    Environment(String),
    File(PathBuf),
    /// In AWS Secrets Manager; `name#field` for a field of a JSON secret.
    Aws(String),
}

/// Why the configuration is refused, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: cannot be read")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    Syntax { path: PathBuf, source: Box<toml::de::Error> },
    #[error("{key} = {value}: {reason}")]
    Value { key: &'static str, value: String, reason: String },
    #[error("there is no home folder to keep state in; set CODEHEALER_STATE or --state")]
    NoHome,
    #[error("{0}: the secret cannot be read; see [serve] and [model] in `codehealer config show`")]
    Secret(SecretSource),
}

impl Config {
    /// Reads the file and lays environment and flags over it.
    ///
    /// # Errors
    /// Names the file, the key and what is wrong with it.
    pub fn load(environment: &Environment, flags: Flags) -> Result<Self, ConfigError> {
        let named = flags.config.clone().or_else(|| environment.config.clone());
        let (path, file) = match (named, &environment.config_text) {
            (None, Some(text)) => (None, from_text(Path::new("CODEHEALER_CONFIG_TEXT"), text)?),
            (named, _) => match named.or_else(|| find(environment)) {
                Some(path) => {
                    let file = parse(&path)?;
                    (Some(path), file)
                }
                None => (None, File::default()),
            },
        };
        let folder = path.as_deref().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default();
        resolve(environment, flags, file, (path, &folder))
    }
}

/// The file in the working directory, else in the user's configuration folder.
fn find(environment: &Environment) -> Option<PathBuf> {
    let user = environment.config_home.clone().or_else(|| environment.home.as_ref().map(|home| home.join(".config")));
    let candidates = [Some(PathBuf::from(FILE_NAME)), user.map(|folder| folder.join("codehealer").join(FILE_NAME))];
    candidates.into_iter().flatten().find(|path| path.is_file())
}

fn parse(path: &Path) -> Result<File, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_path_buf(), source })?;
    from_text(path, &text)
}

fn from_text(path: &Path, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|source| ConfigError::Syntax { path: path.to_path_buf(), source: Box::new(source) })
}

fn resolve(
    environment: &Environment,
    flags: Flags,
    file: File,
    (path, folder): (Option<PathBuf>, &Path),
) -> Result<Config, ConfigError> {
    let from_file = |given: PathBuf| folder.join(given);
    let state = flags.state.or_else(|| environment.state.clone()).or_else(|| file.state.clone().map(from_file));
    let policy = policy(&file)?;
    let limits = file.limits.clone();
    let services = Services {
        github: file.github.clone().map(GitHubFile::resolve).transpose()?,
        slack: file.slack.clone().map(SlackFile::resolve).transpose()?,
        aws: file.aws.clone().resolve(flags.aws_profile, flags.table)?,
        opensearch: file.opensearch.clone().map(OpenSearchFile::resolve).transpose()?,
        sagemaker: file.sagemaker.clone(),
    };
    services.agree(&file)?;
    // A function keeps nothing on its machine: a receiver has a queue, a worker a table too.
    let is_function = services.aws.table.is_some() || services.aws.queue.is_some();
    let nowhere = || is_function.then(|| std::env::temp_dir().join("codehealer"));
    let state = state.or_else(|| default_state(environment)).or_else(nowhere).ok_or(ConfigError::NoHome)?;
    let asked = file.model.clone().unwrap_or_default();
    let mut policy = Policy { caps: services.caps(&limits), model: asked.policy(&file.budget)?, ..policy };
    policy.model_timeout = asked.timeout();
    if let Some(github) = &services.github {
        policy.labels.clone_from(&github.labels);
        policy.reviewers.clone_from(&github.reviewers);
    }
    let slack_file = file.slack_export.map(|s| SlackExport {
        path: folder.join(s.path),
        channels: s.channels,
        confirm: s.confirm,
        workspace: s.workspace,
    });
    let slack_export = match flags.slack_export.or_else(|| environment.slack_export.clone()) {
        None => slack_file,
        Some(path) => Some(match slack_file {
            Some(file) => SlackExport { path, ..file },
            None => SlackExport { path, channels: Vec::new(), confirm: Vec::new(), workspace: None },
        }),
    };
    let slack_export = slack_export.map(confirm_by_default);
    let verify_command = flags.verify_command.or_else(|| environment.verify_command.clone());
    let verify = match (verify_command, file.verify) {
        (Some(command), file) => Some(verify(command, file.and_then(|f| f.timeout_seconds))),
        (None, Some(file)) => Some(verify(file.command, file.timeout_seconds)),
        (None, None) => None,
    };
    let model_url = flags.model_url.or_else(|| environment.model_url.clone());
    let model_name = flags.model_name.or_else(|| environment.model_name.clone());
    let mut rules: Vec<PathBuf> = file.rules.into_iter().map(from_file).collect();
    rules.extend(flags.rules);
    let beside = |path: PathBuf| folder.join(path);
    let repositories: Vec<RepositoryFile> =
        file.repository.into_iter().map(|r| RepositoryFile { path: r.path.map(beside), ..r }).collect();
    if services.github.is_none()
        && let Some(lost) = repositories.iter().find(|r| r.path.is_none())
    {
        let reason = "say where its clone is with path, or add [github]".to_owned();
        return Err(ConfigError::Value { key: "repository.name", value: lost.name.clone(), reason });
    }
    Ok(Config {
        file: path,
        organisation: file.organisation.unwrap_or_else(|| "local".to_owned()),
        state,
        rules,
        policy,
        file_bytes: file.limits.file_bytes,
        slack_export,
        models: asked.models(model_url, model_name)?,
        verify,
        services,
        serve: serve(file.serve, flags.listen)?,
        repositories,
        search_path: environment.search_path.clone(),
    })
}

fn default_state(environment: &Environment) -> Option<PathBuf> {
    let base = environment.state_home.clone();
    let base = base.or_else(|| environment.home.as_ref().map(|home| home.join(".local").join("state")))?;
    Some(base.join("codehealer"))
}

fn confirm_by_default(mut export: SlackExport) -> SlackExport {
    if export.confirm.is_empty() {
        export.confirm.push("white_check_mark".to_owned());
    }
    export
}

fn verify(command: String, seconds: Option<u64>) -> Verify {
    Verify { command, timeout: Duration::from_secs(seconds.unwrap_or(120)) }
}

fn policy(file: &File) -> Result<Policy, ConfigError> {
    let default = Policy::default();
    let percent = |key, value: Option<u8>, default| match value {
        None => Ok(default),
        Some(value) => Confidence::new(value).map_err(|error| ConfigError::Value {
            key,
            value: value.to_string(),
            reason: error.reason.to_owned(),
        }),
    };
    let thresholds = Thresholds {
        open: percent("thresholds.open", file.thresholds.open, default.thresholds.open)?,
        draft: percent("thresholds.draft", file.thresholds.draft, default.thresholds.draft)?,
    };
    if thresholds.draft > thresholds.open {
        return Err(ConfigError::Value {
            key: "thresholds.draft",
            value: thresholds.draft.to_string(),
            reason: format!("it must not be above thresholds.open, which is {}", thresholds.open),
        });
    }
    let mut policy = Policy { thresholds, ..default };
    if let Some(lines) = file.limits.changed_lines {
        policy.limits.changed_lines = lines;
    }
    if let Some(seconds) = file.limits.lease_seconds {
        policy.lease = Duration::from_secs(seconds.max(1));
    }
    policy.ignore_paths.clone_from(&file.ignore.paths);
    policy.ignore_rules = file.ignore.rules.iter().cloned().collect::<BTreeSet<_>>();
    policy.ignored().map_err(|error| ConfigError::Value {
        key: "ignore.paths",
        value: format!("{:?}", file.ignore.paths),
        reason: error.to_string(),
    })?;
    Ok(policy)
}

fn serve(file: ServeFile, listen: Option<SocketAddr>) -> Result<Serve, ConfigError> {
    let mut secrets = file.webhook_secrets;
    if secrets.is_empty() {
        secrets.push("env:CODEHEALER_WEBHOOK_SECRET".to_owned());
    }
    let secrets: Result<Vec<_>, _> =
        secrets.iter().map(|text| SecretSource::parse("serve.webhook_secrets", text)).collect();
    let default = SocketAddr::from(([127, 0, 0, 1], 8080));
    Ok(Serve {
        listen: listen.or(file.listen).unwrap_or(default),
        webhook_secrets: secrets?,
        workers: file.workers.unwrap_or(2).clamp(1, 64),
        reconcile: Duration::from_secs(file.reconcile_seconds.unwrap_or(600).max(1)),
        starter: file.starter.unwrap_or(true),
    })
}

impl SecretSource {
    pub(crate) fn parse(key: &'static str, text: &str) -> Result<Self, ConfigError> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("aws", name)) if !name.is_empty() => Ok(Self::Aws(name.to_owned())),
            _ => Err(ConfigError::Value {
                key,
                // Perhaps the secret itself stands there: it is not repeated.
                value: "…".to_owned(),
                reason: "say where the secret is, `env:NAME`, `file:/path` or `aws:NAME`, not the secret itself"
                    .to_owned(),
            }),
        }
    }

    /// Reads a secret of this machine; trailing line ends are not part of it.
    ///
    /// # Errors
    /// When it is not there or empty, or kept elsewhere.
    pub fn read(&self) -> Result<SecretString, ConfigError> {
        let text = match self {
            Self::Environment(name) => std::env::var(name).ok(),
            Self::File(path) => std::fs::read_to_string(path).ok(),
            Self::Aws(_) => None,
        };
        let text = text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        text.filter(|text| !text.trim().is_empty())
            .map(SecretString::from)
            .ok_or_else(|| ConfigError::Secret(self.clone()))
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Aws(name) => write!(f, "aws:{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
