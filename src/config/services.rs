//! The services of a deployment: GitHub, Slack, AWS, OpenSearch, SageMaker. A section that is there is used; what it leaves out has a default.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConfigError, SecretSource};
use crate::healer::Caps;

/// GitHub as the forge: an App, or a personal token for small set-ups.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GitHubFile {
    /// Address of the API. Default: `https://api.github.com`; `https://HOST/api/v3` for GitHub Enterprise Server.
    pub api_url: Option<String>,
    /// Number of the GitHub App.
    pub app_id: Option<u64>,
    /// Where the App's private key (PEM) is: `aws:NAME`, `env:NAME` or `file:/path`.
    pub private_key: Option<String>,
    /// The only installation of the App that is served. Default: whichever the repository has.
    pub installation: Option<u64>,
    /// Where a personal token is, instead of an App: `aws:NAME`, `env:NAME` or `file:/path`.
    pub token: Option<String>,
    /// Whether a check run may say what could not become a pull request; the App then needs checks: write. Default: false, a comment
    /// on the commit does.
    pub checks: Option<bool>,
    /// Labels of our pull requests. Default: `codehealer`.
    pub labels: Option<Vec<String>>,
    /// Who is asked to review where CODEOWNERS names nobody: logins, or teams as `organisation/team`.
    pub reviewers: Vec<String>,
}

/// Slack: where people are told, and what the team said.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SlackFile {
    /// Address of the API. Default: `https://slack.com/api`.
    pub api_url: Option<String>,
    /// Where the bot token (`xoxb-…`) is; it sends notices and reads the channels below.
    pub bot_token: Option<String>,
    /// Where a user token (`xoxp-…`, scope search:read) is; with it the whole workspace is searched.
    pub user_token: Option<String>,
    /// Channels, by id or name, whose answers may open a pull request.
    pub channels: Vec<String>,
    /// Reactions by which a member confirms an answer. Default: `white_check_mark`.
    pub confirm: Vec<String>,
    /// Channel, by id, that notices go to. Default: nobody is told in Slack.
    pub notices: Option<String>,
    /// The user (`U…`) or user group (`S…`) who is mentioned where a senior is asked to look. Default: nobody.
    pub senior: Option<String>,
}

/// Amazon Web Services.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AwsFile {
    /// Default: that of the environment or of the AWS profile.
    pub region: Option<String>,
    /// Address instead of AWS's own, for LocalStack or moto.
    pub endpoint: Option<String>,
    /// DynamoDB table of state and audit trail. Default: a file on this machine.
    pub table: Option<String>,
    /// Address of the SQS queue that tasks go through. Default: a file on this machine.
    pub queue: Option<String>,
    /// Address of the queue for tasks that cannot be worked on; needed with `queue`.
    pub dead_letter_queue: Option<String>,
    /// A secret that was read is kept for this long, seconds. Default: 300.
    pub secret_seconds: Option<u64>,
}

/// OpenSearch, for remembered fixes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenSearchFile {
    /// Address of the domain.
    pub url: String,
    /// Default: `codehealer-fixes`.
    #[serde(default)]
    pub index: Option<String>,
    /// `sigv4` (an Amazon domain), `serverless` (a collection), `basic` or `none`. Default: `sigv4`.
    #[serde(default)]
    pub auth: Option<OpenSearchAuth>,
    /// For `basic`.
    #[serde(default)]
    pub user: Option<String>,
    /// For `basic`: where the password is, `aws:NAME`, `env:NAME` or `file:/path`.
    #[serde(default)]
    pub password: Option<String>,
}

/// How OpenSearch knows us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OpenSearchAuth {
    SigV4,
    Serverless,
    Basic,
    None,
}

/// SageMaker endpoints.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SageMakerFile {
    /// Name of the endpoint of the model. Default: no model is asked.
    pub model_endpoint: Option<String>,
    /// What the endpoint's container speaks. Default: `chat`.
    pub model_profile: Option<ModelProfile>,
    /// The model's name, where the container wants one.
    pub model_name: Option<String>,
    /// Inference component, where the endpoint has several.
    pub model_component: Option<String>,
    /// Name of the endpoint that embeds code. Default: the built-in structural embedding, which needs no endpoint.
    pub embedding_endpoint: Option<String>,
    /// Length of its vectors. Default: 768.
    pub embedding_dimensions: Option<usize>,
}

/// What a model's container speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelProfile {
    /// OpenAI's `messages`, as most servers and newer LMI containers.
    #[default]
    Chat,
    /// The same as vLLM serves it.
    Vllm,
    /// The same as NVIDIA NIM serves it.
    Nim,
    /// `inputs` and `parameters`, as LMI (DJL) containers.
    Lmi,
    /// `/generate`, as TGI containers.
    Tgi,
}

/// The services, their defaults filled in.
#[derive(Debug, Clone, Default)]
pub struct Services {
    pub github: Option<GitHub>,
    pub slack: Option<Slack>,
    pub aws: Aws,
    pub opensearch: Option<OpenSearch>,
    pub sagemaker: SageMakerFile,
}

#[derive(Debug, Clone)]
pub struct GitHub {
    pub api_url: String,
    pub auth: GitHubAuth,
    pub checks: bool,
    pub labels: Vec<String>,
    pub reviewers: Vec<String>,
}

/// How GitHub knows us.
#[derive(Debug, Clone)]
pub enum GitHubAuth {
    App { id: u64, private_key: SecretSource, installation: Option<u64> },
    Token(SecretSource),
}

#[derive(Debug, Clone)]
pub struct Slack {
    pub api_url: String,
    pub bot_token: Option<SecretSource>,
    pub user_token: Option<SecretSource>,
    pub channels: Vec<String>,
    pub confirm: Vec<String>,
    pub notices: Option<String>,
    pub senior: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Aws {
    pub region: Option<String>,
    /// Named profile of the AWS configuration; given by flag only.
    pub profile: Option<String>,
    pub endpoint: Option<String>,
    pub table: Option<String>,
    pub queue: Option<Queue>,
    pub secret_lifetime: Duration,
}

/// Two queues of SQS, by their addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    pub url: String,
    /// For tasks that cannot be worked on.
    pub dead_letters: String,
}

#[derive(Debug, Clone)]
pub struct OpenSearch {
    pub url: String,
    pub index: String,
    pub auth: OpenSearchAuth,
    /// For [`OpenSearchAuth::Basic`].
    pub login: Option<(String, SecretSource)>,
}

impl GitHubAuth {
    /// The only installation that is served, where one is named.
    #[must_use]
    pub fn installation(&self) -> Option<u64> {
        match self {
            Self::App { installation, .. } => *installation,
            Self::Token(_) => None,
        }
    }
}

fn refused(key: &'static str, value: impl Into<String>, reason: impl Into<String>) -> ConfigError {
    ConfigError::Value { key, value: value.into(), reason: reason.into() }
}

fn address(key: &'static str, given: Option<String>, default: &str) -> Result<String, ConfigError> {
    let url = given.unwrap_or_else(|| default.to_owned());
    let url = url.trim_end_matches('/').to_owned();
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|host| url.starts_with(host));
    if url.starts_with("https://") || local {
        return Ok(url);
    }
    Err(refused(
        key,
        super::origin::without_login(&url),
        "it must begin with https://; http:// is for this machine only",
    ))
}

fn secret(key: &'static str, given: Option<String>) -> Result<Option<SecretSource>, ConfigError> {
    given.map(|text| SecretSource::parse(key, &text)).transpose()
}

impl GitHubFile {
    pub(super) fn resolve(self) -> Result<GitHub, ConfigError> {
        let private_key = secret("github.private_key", self.private_key)?;
        let token = secret("github.token", self.token)?;
        let auth = match (self.app_id, private_key, token) {
            (Some(id), Some(private_key), None) => GitHubAuth::App { id, private_key, installation: self.installation },
            (None, None, Some(token)) => GitHubAuth::Token(token),
            _ => {
                let reason = "give app_id and private_key for a GitHub App, or token alone";
                return Err(refused(
                    "github.app_id",
                    self.app_id.map_or_else(String::new, |id| id.to_string()),
                    reason,
                ));
            }
        };
        Ok(GitHub {
            api_url: address("github.api_url", self.api_url, "https://api.github.com")?,
            auth,
            checks: self.checks.unwrap_or(false),
            labels: self.labels.unwrap_or_else(|| vec!["codehealer".to_owned()]),
            reviewers: self.reviewers,
        })
    }
}

impl SlackFile {
    pub(super) fn resolve(self) -> Result<Slack, ConfigError> {
        let bot_token = secret("slack.bot_token", self.bot_token)?;
        let user_token = secret("slack.user_token", self.user_token)?;
        if bot_token.is_none() && user_token.is_none() {
            return Err(refused("slack.bot_token", "", "say where a bot token or a user token is"));
        }
        if self.notices.is_some() && bot_token.is_none() {
            return Err(refused("slack.notices", self.notices.unwrap_or_default(), "notices need slack.bot_token"));
        }
        let is_id = |senior: &String| matches!(senior.as_bytes().first(), Some(b'U' | b'W' | b'S'));
        if let Some(senior) = self.senior.as_ref().filter(|senior| !is_id(senior)) {
            return Err(refused("slack.senior", senior, "give the id of a user (U…) or user group (S…), not a name"));
        }
        let confirm = if self.confirm.is_empty() { vec!["white_check_mark".to_owned()] } else { self.confirm };
        Ok(Slack {
            api_url: address("slack.api_url", self.api_url, "https://slack.com/api")?,
            bot_token,
            user_token,
            channels: self.channels,
            confirm,
            notices: self.notices,
            senior: self.senior,
        })
    }
}

impl AwsFile {
    pub(super) fn resolve(self, profile: Option<String>, table: Option<String>) -> Result<Aws, ConfigError> {
        let queue = match (self.queue, self.dead_letter_queue) {
            (Some(url), Some(dead_letters)) if url != dead_letters => Some(Queue { url, dead_letters }),
            (None, None) => None,
            (Some(url), _) => {
                let reason = "name another queue, for tasks that cannot be worked on, with aws.dead_letter_queue";
                return Err(refused("aws.queue", url, reason));
            }
            (None, Some(url)) => {
                return Err(refused("aws.dead_letter_queue", url, "it is of no use without aws.queue"));
            }
        };
        Ok(Aws {
            region: self.region,
            profile,
            endpoint: self.endpoint,
            table: table.or(self.table),
            queue,
            secret_lifetime: Duration::from_secs(self.secret_seconds.unwrap_or(300)),
        })
    }
}

impl OpenSearchFile {
    pub(super) fn resolve(self) -> Result<OpenSearch, ConfigError> {
        let auth = self.auth.unwrap_or(OpenSearchAuth::SigV4);
        let password = secret("opensearch.password", self.password)?;
        let login = match (auth, self.user, password) {
            (OpenSearchAuth::Basic, Some(user), Some(password)) => Some((user, password)),
            (OpenSearchAuth::Basic, ..) => {
                return Err(refused("opensearch.auth", "basic", "it needs opensearch.user and opensearch.password"));
            }
            _ => None,
        };
        Ok(OpenSearch {
            url: address("opensearch.url", Some(self.url), "")?,
            index: self.index.unwrap_or_else(|| "codehealer-fixes".to_owned()),
            auth,
            login,
        })
    }
}

impl Services {
    /// Refuses what contradicts itself between two sections.
    pub(super) fn agree(&self, config: &super::File) -> Result<(), ConfigError> {
        let url = config.model.as_ref().and_then(|model| model.url.as_ref());
        if let (Some(endpoint), Some(_)) = (&self.sagemaker.model_endpoint, url) {
            let reason = "there is a model.url too; take one of them out";
            return Err(refused("sagemaker.model_endpoint", endpoint, reason));
        }
        let cloned = config.repository.iter().find(|repository| repository.path.is_some());
        if let (Some(_), Some(cloned)) = (&self.github, cloned) {
            let reason = "with [github] repositories are read there: take out its path, or [github]";
            return Err(refused("repository.name", &cloned.name, reason));
        }
        Ok(())
    }

    /// Caps hold where other people see what is done: on a remote forge.
    pub(super) fn caps(&self, limits: &super::LimitsFile) -> Option<Caps> {
        self.github.as_ref()?;
        let default = Caps::default();
        Some(Caps {
            per_hour: limits.pull_requests_per_hour.unwrap_or(default.per_hour),
            open: limits.open_pull_requests.unwrap_or(default.open),
            cases_a_push: limits.cases_a_push.unwrap_or(default.cases_a_push).max(1),
            ..default
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn github(text: &str) -> Result<GitHub, ConfigError> {
        toml::from_str::<GitHubFile>(text).unwrap().resolve()
    }

    #[test]
    fn github_wants_an_app_or_a_token_and_not_both() {
        assert!(matches!(github("token = 'env:T'").unwrap().auth, GitHubAuth::Token(_)));
        let app = github("app_id = 7\nprivate_key = 'aws:key'").unwrap();
        assert!(matches!(app.auth, GitHubAuth::App { id: 7, .. }));
        assert_eq!(app.labels, ["codehealer"]);
        for text in ["", "app_id = 7", "app_id = 7\nprivate_key = 'aws:k'\ntoken = 'env:T'", "private_key = 'aws:k'"] {
            assert!(github(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tokens_go_over_tls_or_stay_on_this_machine() {
        assert!(github("token = 'env:T'\napi_url = 'http://example.org'").is_err());
        let local = github("token = 'env:T'\napi_url = 'http://127.0.0.1:9/'").unwrap();
        assert_eq!(local.api_url, "http://127.0.0.1:9");
    }

    #[test]
    fn a_token_in_the_file_is_refused_and_not_repeated() {
        let error = github("token = 'ghp_hunter2'").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn slack_notices_need_a_bot_and_a_senior_is_an_id() {
        let slack = |text: &str| toml::from_str::<SlackFile>(text).unwrap().resolve();
        assert!(slack("bot_token = 'env:B'\nnotices = 'C1'\nsenior = 'S1'").is_ok());
        for text in ["", "user_token = 'env:U'\nnotices = 'C1'", "bot_token = 'env:B'\nsenior = 'ann'"] {
            assert!(slack(text).is_err(), "{text}");
        }
    }
}
