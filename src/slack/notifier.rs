//! Telling people in a channel: one message a notice, found again by what we attached to it, changed in place.

mod place;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slack_morphism::api::{SlackApiChatPostMessageRequest, SlackApiChatUpdateRequest};
use slack_morphism::{SlackMessageContent, SlackMessageMetadata};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::api::{Asked, SlackApi};
use super::blocks::Rendered;
use super::directory::Directory;
use super::history::{History, Range};
use super::wire::{Identity, Posted, WireMessage};
use crate::ports::{Credential, ErrorKind, Notice, Notifier, PortError, PortResult};
use place::Place;

/// What our messages carry, beside the notice's key and a digest of what they say.
const EVENT: &str = "codehealer_notice";
/// How far our clock and Slack's may be apart, milliseconds.
const SKEW: u64 = 60 * 60 * 1000;
/// Pages of the channel that are searched for an earlier notice.
const PAGES: usize = 50;
/// Slack takes one message a second and channel.
const PACE: Duration = Duration::from_secs(1);

/// What the operator says about notices.
#[derive(Debug, Clone)]
pub struct NoticeOptions {
    /// `xoxb-…`; scopes chat:write, channels:read and channels:history, or groups:* for a private channel.
    pub bot_token: Credential,
    /// Name or id.
    pub channel: String,
    /// Whom to call: a user's id (`U…`) or a user group's (`S…`).
    pub senior: Option<String>,
}

/// Notices in a channel of Slack.
pub struct SlackNotifier {
    pub(super) api: Arc<SlackApi>,
    pub(super) options: NoticeOptions,
    pub(super) directory: Directory,
    /// Slack's markup that calls the senior.
    mention: Option<String>,
    /// When the next message may be posted.
    next: Mutex<Instant>,
}

/// A message of ours that stands in a channel.
struct Standing {
    place: Place,
    digest: String,
}

impl SlackNotifier {
    /// # Errors
    /// `Malformed` when the senior is neither a user's id nor a group's.
    pub fn new(api: Arc<SlackApi>, options: NoticeOptions) -> PortResult<Self> {
        let mention = options.senior.as_deref().map(mention).transpose()?;
        Ok(Self { api, options, directory: Directory::default(), mention, next: Mutex::new(Instant::now()) })
    }

    fn history(&self) -> History<'_> {
        History { api: &self.api, token: &self.options.bot_token }
    }

    /// Id of the notice channel.
    pub(super) async fn channel(&self) -> PortResult<String> {
        let named = std::slice::from_ref(&self.options.channel);
        if place::is_channel_id(&self.options.channel) {
            return Ok(self.options.channel.clone());
        }
        let found = self.directory.channels(&self.api, &self.options.bot_token, named).await?;
        found.into_iter().next().map(|channel| channel.id).ok_or_else(|| {
            PortError::new("notifier", format!("find the channel {}", self.options.channel), ErrorKind::Missing)
        })
    }

    /// The notice where it stands, or the channel in which it has to be posted.
    async fn standing(&self, notice: &Notice, me: &Identity) -> PortResult<Result<Standing, String>> {
        if let Some(place) = notice.earlier.as_deref().and_then(Place::parse) {
            let found = self.at(place, &notice.key, me).await;
            if let Some(standing) = found.map_err(|failure| self.failed(failure, "look for the notice"))? {
                return Ok(Ok(standing));
            }
        }
        let channel = self.channel().await?;
        Ok(self.find(&channel, notice, me).await?.ok_or(channel))
    }

    /// The message that an earlier call returned, if it is still there and ours.
    async fn at(&self, place: Place, key: &str, me: &Identity) -> Asked<Option<Standing>> {
        match self.history().one(&place.channel, &place.ts).await {
            Ok(found) => Ok(found.and_then(|message| ours(&message, key, me)).map(|digest| Standing { place, digest })),
            // The channel is gone, or we are no longer in it: the notice has to stand where people look now.
            Err(failure) if *failure.kind() == ErrorKind::Missing || failure.code() == "not_in_channel" => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The notice in the channel, sent by a call whose answer was lost.
    async fn find(&self, channel: &str, notice: &Notice, me: &Identity) -> PortResult<Option<Standing>> {
        let oldest = Some(place::timestamp(notice.since.saturating_sub(SKEW)));
        let mut range = Range { oldest, metadata: true, ..Range::default() };
        for _ in 0..PAGES {
            let page = self.history().page(channel, &range).await.map_err(|f| self.failed(f, "look for the notice"))?;
            for message in &page.messages {
                if let Some(digest) = ours(message, &notice.key, me) {
                    let place = Place { channel: channel.to_owned(), ts: message.said.ts.clone() };
                    return Ok(Some(Standing { place, digest }));
                }
            }
            let lowest = page.messages.iter().map(|message| message.said.ts.clone()).min();
            range.cursor = page.next.cursor();
            // A server without cursors goes by time.
            if range.cursor.is_none() {
                range.latest.clone_from(&lowest);
            }
            if !page.has_more || (range.cursor.is_none() && lowest.is_none()) {
                return Ok(None);
            }
        }
        let what =
            format!("tell whether the notice stands in {channel}: too much is said there; use a channel of its own");
        Err(PortError::new("notifier", what, ErrorKind::Denied))
    }

    /// Changes a message that says something else. Nobody is called again.
    async fn bring_up_to_date(&self, standing: &Standing, notice: &Notice) -> PortResult<()> {
        let rendered = Rendered::new(notice, None);
        if rendered.digest == standing.digest {
            return Ok(());
        }
        let Place { channel, ts } = standing.place.clone();
        let request = SlackApiChatUpdateRequest::new(channel.into(), content(rendered, &notice.key), ts.into())
            .with_link_names(false)
            .with_parse("none".to_owned());
        match self.api.write::<Posted>(&self.options.bot_token, "chat.update", &request).await {
            Ok(_) => Ok(()),
            // The workspace forbids it: people were told, and more cannot be done.
            Err(failure) if matches!(failure.code(), "edit_window_closed" | "cant_update_message") => {
                tracing::warn!(code = failure.code(), "a notice in Slack can no longer be changed");
                Ok(())
            }
            Err(failure) => Err(self.failed(failure, "change the notice")),
        }
    }

    async fn post(&self, channel: &str, notice: &Notice) -> PortResult<Place> {
        // Told again, where a notice was removed, nobody is called.
        let is_first = notice.for_senior && notice.earlier.is_none();
        let rendered = Rendered::new(notice, self.mention.as_deref().filter(|_| is_first));
        let request = SlackApiChatPostMessageRequest::new(channel.to_owned().into(), content(rendered, &notice.key))
            .with_link_names(false)
            .with_parse("none".to_owned())
            .with_unfurl_links(false)
            .with_unfurl_media(false);
        let posted: Posted = {
            let mut next = self.next.lock().await;
            sleep_until(*next).await;
            *next = Instant::now() + PACE;
            let posted = self.api.write(&self.options.bot_token, "chat.postMessage", &request).await;
            posted.map_err(|failure| self.failed(failure, "post the notice"))?
        };
        Ok(Place { channel: posted.channel, ts: posted.ts })
    }

    fn failed(&self, failure: super::api::Failure, what: &str) -> PortError {
        failure.port("notifier", format!("{what} in {}", self.options.channel))
    }
}

#[async_trait]
impl Notifier for SlackNotifier {
    async fn ensure_notice(&self, notice: &Notice) -> PortResult<String> {
        let me = self.api.identity(&self.options.bot_token).await.map_err(|f| self.failed(f, "post the notice"))?;
        let standing = match self.standing(notice, &me).await? {
            Ok(standing) => standing,
            Err(channel) => return Ok(self.post(&channel, notice).await?.link(&me.url)),
        };
        self.bring_up_to_date(&standing, notice).await?;
        Ok(standing.place.link(&me.url))
    }
}

fn content(rendered: Rendered, key: &str) -> SlackMessageContent {
    let payload = HashMap::from([("key".to_owned(), key.to_owned()), ("digest".to_owned(), rendered.digest)]);
    let metadata = SlackMessageMetadata::new(EVENT.to_owned()).with_event_payload(payload);
    SlackMessageContent::new().with_text(rendered.text).with_blocks(rendered.blocks).with_metadata(metadata)
}

/// The digest of a message that is this notice and was written by us: anybody's app can attach the same key.
fn ours(message: &WireMessage, key: &str, me: &Identity) -> Option<String> {
    let by_us = message.said.user.as_deref() == Some(me.user_id.as_str())
        || (me.bot_id.is_some() && message.said.bot_id == me.bot_id);
    let metadata = message.metadata.as_ref().filter(|metadata| by_us && metadata.event_type == EVENT)?;
    let text = |field: &str| metadata.event_payload.get(field).and_then(|value| value.as_str());
    (text("key") == Some(key)).then(|| text("digest").unwrap_or_default().to_owned())
}

/// Slack's markup for a user or a group.
fn mention(id: &str) -> PortResult<String> {
    let is_id = id.len() >= 2 && id.len() <= 32 && id.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    match id.chars().next() {
        Some('U' | 'W') if is_id => Ok(format!("<@{id}>")),
        Some('S') if is_id => Ok(format!("<!subteam^{id}>")),
        _ => {
            let what = "call the senior: give the id of a user (U…) or of a user group (S…), as Slack's profile menu copies it";
            Err(PortError::new("notifier", what, ErrorKind::Malformed))
        }
    }
}
