//! One backend for each port, chosen by the configuration and made when it is first asked for.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Result, bail};

use super::keyring::Keyring;
use super::{Mode, open_store};
use crate::aws::client::{Aws, AwsOptions};
use crate::aws::dynamodb::DynamoState;
use crate::aws::sagemaker::{EmbedderOptions, ModelOptions, Profile, SageMakerEmbedder, SageMakerModel};
use crate::aws::secrets::AwsSecrets;
use crate::aws::sqs::{SqsInbox, SqsOptions};
use crate::aws::vault::Vault;
use crate::config::model::{Model as ConfiguredModel, OtherModel};
use crate::config::services::{GitHubAuth, ModelProfile, OpenSearchAuth};
use crate::config::{Config, SecretSource};
use crate::github::registration::GitHubApp;
use crate::github::{Auth as GitHubLogin, GitHubForge, GitHubOptions};
use crate::local::clock::SystemClock;
use crate::local::embedder::StructuralEmbedder;
use crate::local::model::{ModelOptions as UrlModelOptions, UrlModel};
use crate::local::notifier::{FileNotifier, Show};
use crate::local::slack_export::{ExportOptions, SlackExport};
use crate::local::store::Store;
use crate::opensearch::{Auth as OpenSearchLogin, AwsIdentity, IdentitySource, OpenSearchMemory, OpenSearchOptions};
use crate::ports::{
    Aside, Clock, Credential, Embedder, FixMemory, Inbox, Model, Notifier, PortResult, State, TeamKnowledge,
};
use crate::recall::embedding::DIMENSIONS;
use crate::slack::{ConnectionOptions, NoticeOptions, SlackApi, SlackNotifier, SlackTeam, TeamOptions};

/// How long a server waits for a first message. Functions are handed theirs.
const LONG_POLL: Duration = Duration::from_secs(5);

/// Makes the backends of one process. What they can share they share: the state file, the way to AWS, the line to Slack.
pub struct Backends<'c> {
    config: &'c Config,
    mode: Mode,
    aws: Aws,
    keyring: Arc<Keyring>,
    store: OnceLock<Store>,
    slack: OnceLock<Arc<SlackApi>>,
}

impl<'c> Backends<'c> {
    /// Costs nothing: no file is opened and nobody is asked.
    #[must_use]
    pub fn new(config: &'c Config, mode: Mode) -> Self {
        let given = &config.services.aws;
        let aws = Aws::new(AwsOptions {
            region: given.region.clone(),
            profile: given.profile.clone(),
            endpoint: given.endpoint.clone(),
            ..AwsOptions::default()
        });
        let secrets = AwsSecrets::new(aws.clone(), given.secret_lifetime, Arc::new(SystemClock));
        let keyring = Keyring::new(Arc::new(secrets));
        Self { config, mode, aws, keyring, store: OnceLock::new(), slack: OnceLock::new() }
    }

    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    #[must_use]
    pub fn credential(&self, source: &SecretSource) -> Credential {
        self.keyring.credential(source)
    }

    /// Where secrets are stored, for who sets a deployment up.
    #[must_use]
    pub fn vault(&self) -> Vault {
        Vault::new(self.aws.clone())
    }

    /// The state file of this machine.
    ///
    /// # Errors
    /// Says what is wrong with the file and what to do.
    pub fn store(&self) -> PortResult<Store> {
        if let Some(store) = self.store.get() {
            return Ok(store.clone());
        }
        let opened = open_store(self.config, self.mode)?;
        Ok(self.store.get_or_init(|| opened).clone())
    }

    /// The table, where one is configured. A dry run leaves it alone and begins with an empty state.
    #[must_use]
    pub fn table(&self) -> Option<DynamoState> {
        let table = self.config.services.aws.table.as_deref().filter(|_| self.mode != Mode::DryRun)?;
        Some(DynamoState::new(self.aws.clone(), table, self.clock()))
    }

    /// # Errors
    /// As [`Backends::store`].
    pub fn state(&self) -> PortResult<Arc<dyn State>> {
        match self.table() {
            Some(table) => Ok(Arc::new(table)),
            None => Ok(Arc::new(self.store()?.state())),
        }
    }

    /// The queue, where one is configured.
    #[must_use]
    pub fn queue(&self) -> Option<SqsInbox> {
        let queue = self.config.services.aws.queue.as_ref().filter(|_| self.mode != Mode::DryRun)?;
        let options =
            SqsOptions { queue: queue.url.clone(), dead_letters: queue.dead_letters.clone(), wait: LONG_POLL };
        Some(SqsInbox::new(self.aws.clone(), options, self.clock()))
    }

    /// # Errors
    /// As [`Backends::store`].
    pub fn inbox(&self) -> PortResult<Arc<dyn Inbox>> {
        match self.queue() {
            Some(queue) => Ok(Arc::new(queue)),
            None => Ok(Arc::new(self.store()?.inbox())),
        }
    }

    /// What was put aside from the inbox.
    ///
    /// # Errors
    /// As [`Backends::store`].
    pub fn aside(&self) -> PortResult<Arc<dyn Aside>> {
        match self.queue() {
            Some(queue) => Ok(Arc::new(queue)),
            None => Ok(Arc::new(self.store()?.inbox())),
        }
    }

    /// The memory in OpenSearch, where one is configured.
    ///
    /// # Errors
    /// When its address is none.
    pub fn index(&self) -> PortResult<Option<OpenSearchMemory>> {
        let Some(given) = &self.config.services.opensearch else { return Ok(None) };
        let auth = match (&given.auth, &given.login) {
            (OpenSearchAuth::Basic, Some((user, password))) => {
                OpenSearchLogin::Basic { user: user.clone(), password: self.credential(password) }
            }
            (OpenSearchAuth::SigV4, _) => OpenSearchLogin::Aws { service: "es", identity: self.identity() },
            (OpenSearchAuth::Serverless, _) => OpenSearchLogin::Aws { service: "aoss", identity: self.identity() },
            _ => OpenSearchLogin::None,
        };
        let dimensions = self.dimensions();
        let (url, index, clock) = (given.url.clone(), given.index.clone(), self.clock());
        OpenSearchMemory::new(OpenSearchOptions { url, index, auth, clock, dimensions }).map(Some)
    }

    /// Who signs requests that are no SDK's: the role of this process.
    fn identity(&self) -> IdentitySource {
        let aws = self.aws.clone();
        Arc::new(move || {
            let aws = aws.clone();
            Box::pin(async move {
                let (credentials, region) = aws.identity("fix memory").await?;
                Ok(AwsIdentity { credentials, region })
            })
        })
    }

    /// # Errors
    /// As [`Backends::store`] and [`Backends::index`].
    pub fn memory(&self) -> PortResult<Arc<dyn FixMemory>> {
        match self.index()? {
            Some(index) => Ok(Arc::new(index)),
            None => Ok(Arc::new(self.store()?.memory())),
        }
    }

    fn dimensions(&self) -> usize {
        let given = &self.config.services.sagemaker;
        given.embedding_endpoint.as_ref().and(given.embedding_dimensions).unwrap_or(DIMENSIONS)
    }

    #[must_use]
    pub fn embedder(&self) -> Arc<dyn Embedder> {
        match &self.config.services.sagemaker.embedding_endpoint {
            Some(endpoint) => {
                let (endpoint, dimensions) = (endpoint.clone(), self.dimensions());
                let options = EmbedderOptions { endpoint, component: None, dimensions };
                Arc::new(SageMakerEmbedder::new(self.aws.clone(), options))
            }
            None => Arc::new(StructuralEmbedder),
        }
    }

    /// The configured model; nothing is asked of it yet.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn model(&self) -> PortResult<Option<Arc<dyn Model>>> {
        let given = &self.config.services.sagemaker;
        if let Some(endpoint) = given.model_endpoint.clone() {
            let options = ModelOptions {
                endpoint,
                component: given.model_component.clone(),
                profile: profile(given.model_profile.unwrap_or_default()),
                model: given.model_name.clone(),
            };
            return Ok(Some(Arc::new(SageMakerModel::new(self.aws.clone(), options))));
        }
        let Some(model) = &self.config.models.first else { return Ok(None) };
        Ok(Some(self.at_url(model)?))
    }

    /// The model that stands in for one that cannot be reached.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn fallback_model(&self) -> PortResult<Option<Arc<dyn Model>>> {
        self.config.models.fallback.as_ref().map(|other| self.other_model(other)).transpose()
    }

    /// The larger model.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn large_model(&self) -> PortResult<Option<Arc<dyn Model>>> {
        self.config.models.large.as_ref().map(|other| self.other_model(other)).transpose()
    }

    fn other_model(&self, other: &OtherModel) -> PortResult<Arc<dyn Model>> {
        match other {
            OtherModel::Url(model) => self.at_url(model),
            OtherModel::SageMaker { endpoint, component, name, profile: speaks } => {
                let options = ModelOptions {
                    endpoint: endpoint.clone(),
                    component: component.clone(),
                    profile: profile(*speaks),
                    model: name.clone(),
                };
                Ok(Arc::new(SageMakerModel::new(self.aws.clone(), options)))
            }
        }
    }

    fn at_url(&self, model: &ConfiguredModel) -> PortResult<Arc<dyn Model>> {
        let options = UrlModelOptions {
            url: model.url.clone(),
            name: model.name.clone(),
            profile: profile(model.profile),
            timeout: model.timeout,
            stall: model.stall,
        };
        let key = model.key.as_ref().map(|key| self.credential(key));
        Ok(Arc::new(UrlModel::new(options, key)?))
    }

    /// GitHub, where it is configured.
    ///
    /// # Errors
    /// When its address is none.
    pub fn github(&self) -> PortResult<Option<GitHubForge>> {
        let Some(given) = &self.config.services.github else { return Ok(None) };
        let auth = match &given.auth {
            GitHubAuth::App { id, private_key, installation } => {
                GitHubLogin::App { id: *id, private_key: self.credential(private_key), installation: *installation }
            }
            GitHubAuth::Token(token) => GitHubLogin::Token(self.credential(token)),
        };
        let options = GitHubOptions {
            api_url: given.api_url.clone(),
            auth,
            checks: given.checks,
            organisation: self.config.organisation.clone(),
            clock: self.clock(),
        };
        GitHubForge::new(options).map(Some)
    }

    /// The App itself, where GitHub knows us as one.
    ///
    /// # Errors
    /// When GitHub's address is none.
    pub fn app(&self) -> PortResult<Option<GitHubApp>> {
        let Some(given) = &self.config.services.github else { return Ok(None) };
        let GitHubAuth::App { id, private_key, .. } = &given.auth else { return Ok(None) };
        GitHubApp::new(&given.api_url, *id, self.credential(private_key), self.clock()).map(Some)
    }

    fn slack(&self) -> PortResult<Option<Arc<SlackApi>>> {
        let Some(given) = &self.config.services.slack else { return Ok(None) };
        if let Some(api) = self.slack.get() {
            return Ok(Some(Arc::clone(api)));
        }
        let options = ConnectionOptions { api_url: given.api_url.clone(), ..ConnectionOptions::default() };
        let api = SlackApi::new(&options, self.clock())?;
        Ok(Some(Arc::clone(self.slack.get_or_init(|| api))))
    }

    /// The team's chat in Slack, where channels or a user's token let us read it.
    ///
    /// # Errors
    /// When Slack's address is none, or as [`Backends::state`], which holds the index of a bot.
    pub fn slack_team(&self) -> PortResult<Option<SlackTeam>> {
        let (Some(given), Some(api)) = (&self.config.services.slack, self.slack()?) else { return Ok(None) };
        if given.user_token.is_none() && given.channels.is_empty() {
            return Ok(None);
        }
        let options = TeamOptions {
            organisation: self.config.organisation.clone(),
            bot_token: given.bot_token.as_ref().map(|token| self.credential(token)),
            user_token: given.user_token.as_ref().map(|token| self.credential(token)),
            channels: given.channels.clone(),
            confirm: given.confirm.clone(),
        };
        SlackTeam::new(api, options, self.state()?).map(Some)
    }

    /// The team's chat as an export, where one is configured.
    ///
    /// # Errors
    /// Names the file of the export that cannot be read.
    pub fn slack_export(&self) -> PortResult<Option<SlackExport>> {
        let Some(export) = &self.config.slack_export else { return Ok(None) };
        let options = ExportOptions {
            path: export.path.clone(),
            organisation: self.config.organisation.clone(),
            channels: export.channels.clone(),
            confirm: export.confirm.clone(),
            workspace: export.workspace.clone(),
        };
        SlackExport::open(&options).map(Some)
    }

    /// # Errors
    /// When both are configured, or as [`Backends::slack_team`] and [`Backends::slack_export`].
    pub fn team(&self) -> Result<Option<Arc<dyn TeamKnowledge>>> {
        Ok(match (self.slack_team()?, self.slack_export()?) {
            (Some(_), Some(_)) => bail!(
                "[slack] and [slack_export] both tell what the team said; take out the export, or the channels and the user token"
            ),
            (Some(team), None) => Some(Arc::new(team)),
            (None, Some(export)) => Some(Arc::new(export)),
            (None, None) => None,
        })
    }

    /// The channel that notices go to, where one is configured.
    ///
    /// # Errors
    /// When Slack's address or the senior's id is none.
    pub fn slack_notifier(&self) -> PortResult<Option<SlackNotifier>> {
        let (Some(given), Some(api)) = (&self.config.services.slack, self.slack()?) else { return Ok(None) };
        let (Some(channel), Some(token)) = (&given.notices, &given.bot_token) else { return Ok(None) };
        let (bot_token, channel, senior) = (self.credential(token), channel.clone(), given.senior.clone());
        SlackNotifier::new(api, NoticeOptions { bot_token, channel, senior }).map(Some)
    }

    /// # Errors
    /// As [`Backends::slack_notifier`].
    pub fn notifier(&self, show: Show) -> PortResult<Arc<dyn Notifier>> {
        match self.slack_notifier()? {
            Some(slack) if self.mode != Mode::DryRun => Ok(Arc::new(slack)),
            _ => Ok(Arc::new(FileNotifier::new(self.config.state.join("notices"), show))),
        }
    }
}

fn profile(given: ModelProfile) -> Profile {
    match given {
        ModelProfile::Chat => Profile::Chat,
        ModelProfile::Vllm => Profile::Vllm,
        ModelProfile::Nim => Profile::Nim,
        ModelProfile::Lmi => Profile::Lmi,
        ModelProfile::Tgi => Profile::Tgi,
    }
}
