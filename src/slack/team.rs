//! The team's chat: a search with a user's token, an index with a bot's.

use std::sync::Arc;

use async_trait::async_trait;

use super::api::SlackApi;
use super::directory::Directory;
use super::index::{Feed, Index};
use super::live::Live;
use crate::model::Thread;
use crate::ports::{Credential, ErrorKind, PortError, PortResult, State, TeamKnowledge, TeamQuery};

/// What the operator says about the team's chat.
#[derive(Debug, Clone)]
pub struct TeamOptions {
    pub organisation: String,
    /// `xoxb-…`; scopes channels:history, channels:read, users:read, and groups:* for private channels.
    pub bot_token: Option<Credential>,
    /// `xoxp-…`; scopes search:read, channels:history, users:read, and groups:history for private channels. Preferred.
    pub user_token: Option<Credential>,
    /// Names or ids of the channels whose answers may open a pull request; empty means every public one.
    pub channels: Vec<String>,
    /// Reactions by which a member confirms an answer.
    pub confirm: Vec<String>,
}

/// Slack as a source of fixes.
pub struct SlackTeam {
    pub(super) api: Arc<SlackApi>,
    pub(super) options: TeamOptions,
    pub(super) source: Source,
    pub(super) directory: Directory,
}

/// How threads are found.
pub(super) enum Source {
    Search(Credential),
    Index(Credential, Index),
}

impl SlackTeam {
    /// The index of a bot's token lives in `state`.
    ///
    /// # Errors
    /// `Denied` when there is no token.
    pub fn new(api: Arc<SlackApi>, options: TeamOptions, state: Arc<dyn State>) -> PortResult<Self> {
        let source = match (&options.user_token, &options.bot_token) {
            (Some(user), _) => Source::Search(user.clone()),
            (None, Some(bot)) => Source::Index(bot.clone(), Index::new(state, &options.organisation)),
            (None, None) => {
                let what = "ask Slack without a token; configure a bot's or a user's";
                return Err(PortError::new("team knowledge", what, ErrorKind::Denied));
            }
        };
        Ok(Self { api, options, source, directory: Directory::default() })
    }

    fn feed<'a>(&'a self, token: &'a Credential) -> Feed<'a> {
        let (confirm, named) = (&self.options.confirm, &self.options.channels);
        Feed { api: &self.api, token, directory: &self.directory, confirm, named }
    }
}

#[async_trait]
impl TeamKnowledge for SlackTeam {
    async fn search(&self, query: &TeamQuery) -> PortResult<Vec<Thread>> {
        if query.organisation != self.options.organisation || query.limit == 0 {
            return Ok(Vec::new());
        }
        match &self.source {
            Source::Search(token) => Live { feed: self.feed(token) }.search(query).await,
            Source::Index(token, index) => {
                let feed = self.feed(token);
                let channels = feed.channels().await?;
                index.search(&feed, &channels, query).await
            }
        }
    }

    /// Brings the index up to date; a search is always.
    async fn refresh(&self) -> PortResult<()> {
        let Source::Index(token, index) = &self.source else { return Ok(()) };
        let feed = self.feed(token);
        let channels = feed.channels().await?;
        index.refresh(&feed, &channels).await
    }
}
