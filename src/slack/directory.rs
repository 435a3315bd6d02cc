//! Who is who and which channel is which, remembered for an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::api::{Asked, Failure, SlackApi};
use super::wire::{ChannelList, UserInfo, WireChannel};
use crate::model::{AuthorKind, MessageAuthor, UnixMillis};
use crate::ports::{Credential, ErrorKind, PortError, PortResult};

/// How long what Slack said of a person or channel is believed, milliseconds.
const FRESH: u64 = 60 * 60 * 1000;
/// People remembered.
const PEOPLE: usize = 10_000;
/// Pages of channels that are read, of [`PAGE`] each.
const PAGES: usize = 50;
const PAGE: usize = 200;

/// Who and what is where.
#[derive(Default)]
pub struct Directory {
    people: Mutex<BTreeMap<String, (MessageAuthor, UnixMillis)>>,
    channels: Mutex<Option<(Vec<WireChannel>, UnixMillis)>>,
}

impl Directory {
    /// Those of `ids` that are users of the workspace. Who is not known confirms nothing and is nobody.
    pub async fn people(
        &self,
        api: &SlackApi,
        token: &Credential,
        ids: &BTreeSet<String>,
    ) -> Asked<BTreeMap<String, MessageAuthor>> {
        let mut found = BTreeMap::new();
        for id in ids {
            let author = match self.known(id, api.now()) {
                Some(author) => author,
                None => self.ask(api, token, id).await?,
            };
            if author.kind != AuthorKind::Unknown {
                found.insert(id.clone(), author);
            }
        }
        Ok(found)
    }

    /// How many of `ids` have to be asked for.
    pub fn unknown(&self, ids: &BTreeSet<String>, now: UnixMillis) -> usize {
        ids.iter().filter(|id| self.known(id, now).is_none()).count()
    }

    fn known(&self, id: &str, now: UnixMillis) -> Option<MessageAuthor> {
        let people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let (author, at) = people.get(id)?;
        (now.saturating_sub(*at) < FRESH).then(|| author.clone())
    }

    async fn ask(&self, api: &SlackApi, token: &Credential, id: &str) -> Asked<MessageAuthor> {
        let author = match api.read::<UserInfo>(token, "users.info", vec![("user", Some(id.to_owned()))]).await {
            Ok(info) => info.user.into(),
            // A user of another workspace, or one that is gone.
            Err(failure) if *failure.kind() == ErrorKind::Missing => {
                MessageAuthor { id: id.to_owned(), name: id.to_owned(), kind: AuthorKind::Unknown }
            }
            Err(failure) => return Err(failure),
        };
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        if people.len() >= PEOPLE {
            people.clear();
        }
        people.insert(id.to_owned(), (author.clone(), api.now()));
        Ok(author)
    }

    /// The channels of these names or ids; with none named those that the bot is a member of.
    ///
    /// # Errors
    /// `Missing` names the channel that is not there or not to be seen.
    pub async fn channels(&self, api: &SlackApi, token: &Credential, names: &[String]) -> PortResult<Vec<WireChannel>> {
        let all = self.all(api, token).await?;
        if names.is_empty() {
            return Ok(all.into_iter().filter(|channel| channel.is_member && !channel.is_direct()).collect());
        }
        for name in names {
            if !all.iter().any(|channel| channel.is_named(std::slice::from_ref(name))) {
                let what = format!("find the channel {name}; check its name, and invite the bot if it is private");
                return Err(PortError::new("slack", what, ErrorKind::Missing));
            }
        }
        Ok(all.into_iter().filter(|channel| channel.is_named(names)).collect())
    }

    async fn all(&self, api: &SlackApi, token: &Credential) -> PortResult<Vec<WireChannel>> {
        let held = self.channels.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((channels, at)) = &held
            && api.now().saturating_sub(*at) < FRESH
        {
            return Ok(channels.clone());
        }
        match list(api, token).await {
            Ok(channels) => {
                let mut held = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
                *held = Some((channels.clone(), api.now()));
                Ok(channels)
            }
            // Channels seldom change: what was true an hour ago does while Slack is away.
            Err(failure) => match held {
                Some((channels, _)) if is_passing(failure.kind()) => Ok(channels),
                _ => Err(failure.port("slack", "list the channels")),
            },
        }
    }

    /// Forgets the channels, so that a renamed or new one is seen at once.
    pub fn forget_channels(&self) {
        *self.channels.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Whether the same call may be answered later without anybody doing anything.
pub fn is_passing(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Throttled(_))
}

async fn list(api: &SlackApi, token: &Credential) -> Asked<Vec<WireChannel>> {
    match list_of(api, token, "public_channel,private_channel").await {
        // Without the scope for private channels the public ones do.
        Err(Failure::Slack(trouble)) if trouble.code == "missing_scope" => list_of(api, token, "public_channel").await,
        other => other,
    }
}

async fn list_of(api: &SlackApi, token: &Credential, types: &str) -> Asked<Vec<WireChannel>> {
    let mut channels = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES {
        let arguments = vec![
            ("types", Some(types.to_owned())),
            ("exclude_archived", Some("true".to_owned())),
            ("limit", Some(PAGE.to_string())),
            ("cursor", cursor),
        ];
        let page: ChannelList = api.read(token, "conversations.list", arguments).await?;
        channels.extend(page.channels);
        cursor = page.next.cursor();
        if cursor.is_none() {
            break;
        }
    }
    Ok(channels)
}
