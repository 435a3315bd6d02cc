//! Whether Slack is set up so that we can work: for an operator who asks before something fails.

use std::collections::BTreeSet;

use super::api::SlackApi;
use super::history::{History, Range};
use super::notifier::SlackNotifier;
use super::team::{SlackTeam, Source};
use super::wire::{ChannelInfo, Identity, SearchAnswer};
use crate::ports::{Credential, ErrorKind, PortError, PortResult};

impl SlackTeam {
    /// One line on who we are in Slack and what we can read.
    ///
    /// # Errors
    /// Names the first thing that is missing and what to do about it.
    pub async fn check(&self) -> PortResult<String> {
        let port = "team knowledge";
        match &self.source {
            Source::Search(token) => {
                let me = introduced(&self.api, token, port).await?;
                has_scopes(&me, &["search:read", "channels:history", "users:read"], port)?;
                let arguments = vec![("query", Some("codehealer".to_owned())), ("count", Some("1".to_owned()))];
                let found = self.api.read::<SearchAnswer>(token, "search.messages", arguments).await;
                found.map_err(|failure| failure.port(port, "search Slack"))?;
                Ok(format!("{} in {}, by search", me.user, me.team))
            }
            Source::Index(token, _) => {
                let me = introduced(&self.api, token, port).await?;
                has_scopes(&me, &["channels:history", "channels:read", "users:read"], port)?;
                self.directory.forget_channels();
                let channels = self.directory.channels(&self.api, token, &self.options.channels).await?;
                for channel in &channels {
                    let history = History { api: &self.api, token };
                    let read = history.page(&channel.id, &Range::default()).await;
                    read.map_err(|failure| failure.port(port, format!("read the channel #{}", channel.name)))?;
                }
                Ok(format!("{} in {}, by an index of {} channels", me.user, me.team, channels.len()))
            }
        }
    }
}

impl SlackNotifier {
    /// One line on who we are in Slack and where notices go. Nothing is posted.
    ///
    /// # Errors
    /// Names the first thing that is missing and what to do about it.
    pub async fn check(&self) -> PortResult<String> {
        let (port, token) = ("notifier", &self.options.bot_token);
        let me = introduced(&self.api, token, port).await?;
        has_scopes(&me, &["chat:write"], port)?;
        self.directory.forget_channels();
        let id = self.channel().await?;
        let failed = format!("reach the channel {}", self.options.channel);
        let asked = self.api.read(token, "conversations.info", vec![("channel", Some(id.clone()))]).await;
        let info: ChannelInfo = asked.map_err(|failure| failure.port(port, failed.clone()))?;
        if info.channel.is_archived {
            return Err(PortError::new(
                port,
                format!("{failed}: it is archived; configure another"),
                ErrorKind::Denied,
            ));
        }
        let range = Range { metadata: true, ..Range::default() };
        let read = History { api: &self.api, token }.page(&id, &range).await;
        read.map_err(|failure| failure.port(port, failed))?;
        Ok(format!("{} in {}, notices in #{}", me.user, me.team, info.channel.name))
    }
}

async fn introduced(api: &SlackApi, token: &Credential, port: &'static str) -> PortResult<Identity> {
    let what = format!("sign in to Slack with {}", token.name());
    api.introduce(token).await.map_err(|failure| failure.port(port, what))
}

/// A server that does not say what a token may do is believed to allow all.
fn has_scopes(me: &Identity, needed: &[&str], port: &'static str) -> PortResult<()> {
    let Some(scopes) = &me.scopes else { return Ok(()) };
    let given: BTreeSet<&str> = scopes.split(',').map(str::trim).collect();
    let missing: Vec<&str> = needed.iter().filter(|scope| !given.contains(*scope)).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what =
        format!("work with this token: give the Slack app the scope {} and install it again", missing.join(", "));
    Err(PortError::new(port, what, ErrorKind::Denied))
}
