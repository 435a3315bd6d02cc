//! Slack: the contracts of its ports, run on the laptop's backends as well, and what only Slack does.

mod blocks;
mod independent;
mod index;
mod laptop;
mod notices;
mod refusals;
mod search;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use codehealer::local::store::{FILE_NAME, Options, Store};
use codehealer::ports::{Credential, ErrorKind, PortError, PortResult, Secrets, State};
use codehealer::slack::{ConnectionOptions, NoticeOptions, SlackApi, SlackNotifier, SlackTeam, TeamOptions};
use secrecy::SecretString;
use tempfile::TempDir;

use crate::contract::team::{Chat, Heard, Line, Room, people};
use crate::support::clock::VirtualClock;
use crate::support::slack_api::{BOT_TOKEN, SlackServer, USER_TOKEN, World};

/// Tokens by name, which can be changed.
#[derive(Default)]
pub struct Tokens(Mutex<BTreeMap<String, String>>);

impl Tokens {
    pub fn set(&self, name: &str, token: &str) {
        self.0.lock().unwrap().insert(name.to_owned(), token.to_owned());
    }
}

#[async_trait]
impl Secrets for Tokens {
    async fn secret(&self, name: &str) -> PortResult<SecretString> {
        let found = self.0.lock().unwrap().get(name).cloned();
        let missing = || PortError::new("secrets", format!("find {name}"), ErrorKind::Missing);
        found.map(SecretString::from).ok_or_else(missing)
    }
}

/// Which token the team's chat is asked with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Bot,
    User,
}

/// A workspace, and what a process of ours needs to speak to it.
pub struct House {
    pub server: SlackServer,
    pub clock: Arc<VirtualClock>,
    pub state: Arc<dyn State>,
    pub tokens: Arc<Tokens>,
    _folder: TempDir,
}

impl House {
    pub async fn new() -> Self {
        let clock = VirtualClock::new();
        let folder = tempfile::tempdir().unwrap();
        let state = Store::open(&folder.path().join(FILE_NAME), Options::new(clock.clone())).unwrap();
        let server = SlackServer::start(&clock).await;
        server.with(|world| people().into_iter().for_each(|user| world.user(user)));
        let tokens = Arc::new(Tokens::default());
        tokens.set("bot", BOT_TOKEN);
        tokens.set("user", USER_TOKEN);
        Self { server, clock, state: Arc::new(state.state()), tokens, _folder: folder }
    }

    pub fn say(&self, rooms: &[Room]) {
        self.server.with(|world| rooms.iter().for_each(|room| hear(world, room)));
    }

    pub fn api(&self) -> Arc<SlackApi> {
        self.patient(Duration::from_secs(20))
    }

    /// Waits this long for an answer.
    pub fn patient(&self, timeout: Duration) -> Arc<SlackApi> {
        let options = ConnectionOptions { api_url: self.server.url(), connect_timeout: timeout, timeout };
        SlackApi::new(&options, self.clock.clone()).unwrap()
    }

    pub fn credential(&self, name: &str) -> Credential {
        Credential::new(self.tokens.clone(), name)
    }

    /// The team's chat as a new process opens it.
    pub fn team(&self, kind: Kind, named: &[&str]) -> SlackTeam {
        let options = TeamOptions {
            organisation: "acme".into(),
            bot_token: Some(self.credential("bot")),
            user_token: (kind == Kind::User).then(|| self.credential("user")),
            channels: named.iter().map(ToString::to_string).collect(),
            confirm: vec!["white_check_mark".into()],
        };
        SlackTeam::new(self.api(), options, Arc::clone(&self.state)).unwrap()
    }

    /// Notices to `#notices` as a new process sends them.
    pub fn notifier(&self, api: Arc<SlackApi>) -> SlackNotifier {
        let options =
            NoticeOptions { bot_token: self.credential("bot"), channel: "#notices".into(), senior: Some("U3".into()) };
        SlackNotifier::new(api, options).unwrap()
    }

    /// A house with a channel for notices.
    pub async fn with_notices() -> Self {
        let house = Self::new().await;
        house.server.with(|world| {
            world.channel("C09NOTICES", "notices", false);
        });
        house
    }
}

fn hear(world: &mut World, room: &Room) {
    world.channel(room.id, room.name, room.private);
    for line in &room.lines {
        let root = put(world, room.id, line, None);
        for reply in &line.replies {
            put(world, room.id, reply, Some(&root));
        }
    }
}

pub fn put(world: &mut World, channel: &str, line: &Line, root: Option<&str>) -> String {
    let mut message = serde_json::json!({"user": line.user, "text": line.text});
    if let Some(root) = root {
        message["thread_ts"] = root.into();
    }
    if let Some(subtype) = line.subtype {
        message["subtype"] = subtype.into();
    }
    let ts = world.put(channel, message);
    for (name, users) in &line.reactions {
        world.react(channel, &ts, name, users);
    }
    ts
}

/// The emulated workspace as a backend of the contract.
struct Emulated(Kind);

#[async_trait]
impl Chat for Emulated {
    async fn hear(&self, rooms: &[Room], named: &[&str]) -> Heard {
        let house = House::new().await;
        house.say(rooms);
        let team = Arc::new(house.team(self.0, named));
        let _keep: Box<dyn Any + Send + Sync> = Box::new(house);
        Heard { team, _keep }
    }
}

#[tokio::test]
async fn slack_by_search_keeps_the_contract_of_team_knowledge() {
    crate::contract::team::contract(&Emulated(Kind::User)).await;
}

#[tokio::test]
async fn slack_by_index_keeps_the_contract_of_team_knowledge() {
    crate::contract::team::contract(&Emulated(Kind::Bot)).await;
}
