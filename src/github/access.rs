//! Who we are to GitHub: an app with a token for one repository at a time, or a person's token.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use octocrab::jsonwebtoken::{self, Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::failure::{Answer, Asked, Failure, nullable, suspended};
use super::wire::{Call, Wire, encoded};
use crate::model::{Repository, UnixMillis};
use crate::ports::{Clock, Credential, ErrorKind, PortResult};

/// How GitHub knows us.
#[derive(Debug, Clone)]
pub enum Auth {
    /// A GitHub App. `installation` is the only one that is used; `None`: whichever a repository has.
    App { id: u64, private_key: Credential, installation: Option<u64> },
    /// A person's token, for small set-ups.
    Token(Credential),
}

/// A token is thrown away this long before it ends, ms.
const MARGIN: UnixMillis = 5 * 60 * 1000;
/// A clock that is off by less is not the reason for a refusal, seconds.
const TOLERATED_SKEW: i64 = 30;
/// Moves of a repository that are followed.
const MOVES: usize = 3;

pub(super) struct Access {
    pub wire: Wire,
    pub auth: Auth,
    checks: bool,
    pub clock: Arc<dyn Clock>,
    /// What to add to our clock to have GitHub's, seconds; learnt when it matters.
    skew: AtomicI64,
    /// By number of the repository.
    tokens: tokio::sync::Mutex<BTreeMap<u64, Token>>,
    /// Installations by the repository's name in lower case.
    installations: Mutex<BTreeMap<String, u64>>,
    /// How repositories are called now, by number.
    names: Mutex<BTreeMap<u64, String>>,
}

#[derive(Clone)]
struct Token {
    secret: SecretString,
    until: UnixMillis,
}

/// What we want to know of a repository.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RepositoryInfo {
    pub id: u64,
    pub full_name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub private: bool,
    #[serde(default)]
    pub visibility: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub archived: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub disabled: bool,
    #[serde(default)]
    pub permissions: Option<BTreeMap<String, bool>>,
}

#[derive(Deserialize)]
pub(super) struct Installation {
    pub id: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub permissions: BTreeMap<String, String>,
    #[serde(default)]
    pub suspended_at: Option<String>,
}

#[derive(Deserialize)]
struct Minted {
    token: String,
    expires_at: String,
    #[serde(default)]
    repositories: Option<Vec<Named>>,
}

#[derive(Deserialize)]
struct Named {
    id: u64,
    full_name: String,
}

/// A token, the repositories it is for as far as that was said, and the number of one that moved.
type Made = (Token, Option<Vec<Named>>, Option<u64>);

#[derive(Serialize)]
struct Claims {
    iss: u64,
    iat: i64,
    exp: i64,
}

impl Access {
    pub fn new(api_url: &str, auth: Auth, checks: bool, clock: Arc<dyn Clock>) -> PortResult<Self> {
        Ok(Self {
            wire: Wire::new(api_url)?,
            auth,
            checks,
            clock,
            skew: AtomicI64::new(0),
            tokens: tokio::sync::Mutex::default(),
            installations: Mutex::default(),
            names: Mutex::default(),
        })
    }

    /// Asks about a repository; the path begins after its name. An answer that refuses is an answer, except that a token which
    /// ran out is replaced and a repository that was renamed is followed, each once: neither has had an effect.
    pub async fn ask(&self, repository: &Repository, call: Call) -> Asked<Answer> {
        let id = number(repository)?;
        let mut token = self.token(id, repository).await?;
        let (mut renewed, mut moved) = (false, false);
        loop {
            let path = match call.path.as_str() {
                "/graphql" => call.path.clone(),
                rest => format!("/repos/{}{rest}", self.name(repository)),
            };
            let sent = Call { path, body: call.body.clone(), ..call };
            let answer = self.wire.send(&token, &sent).await?;
            match answer.status {
                401 if !renewed => token = self.renewed(id, repository, &token).await?,
                301 | 302 | 307 | 308 if !moved => self.follow(id, repository, &token).await?,
                _ => return Ok(answer),
            }
            (renewed, moved) = (renewed || answer.status == 401, moved || answer.status != 401);
        }
    }

    /// As [`Access::ask`], where everything but success is a failure.
    pub async fn done(&self, repository: &Repository, call: Call) -> Asked<Answer> {
        let answer = self.ask(repository, call).await?;
        if answer.is_success() { Ok(answer) } else { Err(self.failure(&answer)) }
    }

    /// As [`Access::done`] for what may not be there. A repository that we cannot see is a failure, not an absence.
    pub async fn there(&self, repository: &Repository, call: Call) -> Asked<Option<Answer>> {
        match self.done(repository, call).await {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.kind == ErrorKind::Missing && failure.status.is_some() => match self
                .done(repository, Call::get(""))
                .await
            {
                Ok(_) => Ok(None),
                Err(failure) if failure.kind == ErrorKind::Missing => Err(failure.meaning(ErrorKind::Missing, gone())),
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(failure),
        }
    }

    /// As [`Access::done`] for what another object names, so that it must be there: GitHub may not know yet what was pushed a
    /// moment ago, which passes, and a repository that we cannot see any more has lost nothing.
    pub async fn named(&self, repository: &Repository, call: Call) -> Asked<Answer> {
        match self.there(repository, call).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => {
                Err(Failure::new(ErrorKind::Unavailable, "GitHub does not show what it names itself; try later"))
            }
            Err(failure) if failure.kind == ErrorKind::Missing => Err(failure.of_kind(ErrorKind::Denied)),
            Err(failure) => Err(failure),
        }
    }

    pub fn failure(&self, answer: &Answer) -> Failure {
        Failure::of(answer, self.clock.now())
    }

    /// The repository's name as of now, as far as we know.
    pub fn name(&self, repository: &Repository) -> String {
        let known = number(repository)
            .ok()
            .and_then(|id| self.names.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned());
        known.unwrap_or_else(|| repository.name.clone())
    }

    fn call_it(&self, id: u64, name: &str) {
        if is_name(name) {
            self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(id, name.to_owned());
        }
    }

    /// Permissions that a token of ours gets and no more.
    pub fn permissions(&self) -> BTreeMap<&'static str, &'static str> {
        let mut needed = BTreeMap::from([("contents", "write"), ("metadata", "read"), ("pull_requests", "write")]);
        if self.checks {
            needed.insert("checks", "write");
        }
        needed
    }

    async fn token(&self, id: u64, repository: &Repository) -> Asked<SecretString> {
        let Auth::App { .. } = &self.auth else { return self.personal(false).await };
        // Held while one is made, so that it is made once.
        let mut tokens = self.tokens.lock().await;
        if let Some(token) = tokens.get(&id).filter(|token| token.until > self.clock.now()) {
            return Ok(token.secret.clone());
        }
        let only = |_| json!({ "repository_ids": [id] });
        let (token, named, _) = self.mint_for(&self.name(repository), only).await?.ok_or_else(not_installed)?;
        match named.as_deref() {
            // GitHub names what it was asked for; another server may say nothing.
            None => {}
            Some([one]) if one.id == id => self.call_it(id, &one.full_name),
            Some(_) => return Err(other_repositories()),
        }
        tokens.insert(id, token.clone());
        Ok(token.secret)
    }

    /// Another token instead of one that was refused.
    async fn renewed(&self, id: u64, repository: &Repository, refused: &SecretString) -> Asked<SecretString> {
        if let Auth::Token(_) = self.auth {
            let fresh = self.personal(true).await?;
            if fresh.expose_secret() == refused.expose_secret() {
                return Err(Failure::denied("the token is expired or revoked; store a new one"));
            }
            return Ok(fresh);
        }
        {
            let mut tokens = self.tokens.lock().await;
            if tokens.get(&id).is_some_and(|token| token.secret.expose_secret() == refused.expose_secret()) {
                tokens.remove(&id);
            }
        }
        self.token(id, repository).await
    }

    pub async fn personal(&self, fresh: bool) -> Asked<SecretString> {
        let Auth::Token(credential) = &self.auth else { return Err(Failure::denied("no token is configured")) };
        let secret = if fresh { credential.fresh().await? } else { credential.read().await? };
        Ok(SecretString::from(secret.expose_secret().trim().to_owned()))
    }

    /// Learns what a repository is called now, if it still is the same one.
    async fn follow(&self, id: u64, repository: &Repository, token: &SecretString) -> Asked<()> {
        let name = self.name(repository);
        let answer = self.read(token, format!("/repos/{name}")).await?;
        if !answer.is_success() {
            return Err(self.failure(&answer));
        }
        let info: RepositoryInfo = answer.json()?;
        if info.id != id {
            return Err(Failure::denied("another repository has this name now; correct the name in the configuration"));
        }
        self.call_it(id, &info.full_name);
        Ok(())
    }

    /// Reads a path of the API, following it where it moved within the API.
    pub async fn read(&self, token: &SecretString, path: String) -> Asked<Answer> {
        let mut call = Call::get(path);
        for _ in 0..=MOVES {
            let answer = self.wire.send(token, &call).await?;
            if !matches!(answer.status, 301 | 302 | 307 | 308) {
                return Ok(answer);
            }
            let Some(path) = self.wire.redirected(&answer) else { return Ok(answer) };
            call.path = path;
        }
        Err(Failure::denied("GitHub sends us in circles; check github.api_url"))
    }

    /// The repository of this name and a token for it; `None` when there is none that we may see.
    pub async fn find(&self, name: &str) -> Asked<Option<(RepositoryInfo, SecretString)>> {
        if !is_name(name) {
            return Ok(None);
        }
        let (mut token, id) = match &self.auth {
            Auth::Token(_) => (self.personal(false).await?, None),
            Auth::App { .. } => match self.token_by_name(name).await? {
                Some((token, id)) => (token, Some(id)),
                None => return Ok(None),
            },
        };
        let mut answer = self.read(&token, format!("/repos/{name}")).await?;
        if answer.status == 401 {
            token = match id {
                None => self.personal(true).await?,
                Some(id) => {
                    self.tokens.lock().await.remove(&id);
                    let Some((token, _)) = self.token_by_name(name).await? else { return Ok(None) };
                    token
                }
            };
            answer = self.read(&token, format!("/repos/{name}")).await?;
        }
        if matches!(answer.status, 404 | 410) {
            return Ok(None);
        }
        if !answer.is_success() {
            return Err(self.failure(&answer));
        }
        let info: RepositoryInfo = answer.json()?;
        if !is_name(&info.full_name) {
            return Err(Failure::malformed("GitHub names the repository in a way that cannot be used"));
        }
        if id.is_some_and(|id| id != info.id) {
            return Err(other_repositories());
        }
        self.call_it(info.id, &info.full_name);
        Ok(Some((info, token)))
    }

    async fn token_by_name(&self, name: &str) -> Asked<Option<(SecretString, u64)>> {
        let mut tokens = self.tokens.lock().await;
        let known = {
            let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            names.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(id, _)| *id)
        };
        let now = self.clock.now();
        if let Some(id) = known
            && let Some(token) = tokens.get(&id).filter(|token| token.until > now)
        {
            return Ok(Some((token.secret.clone(), id)));
        }
        let short = name.rsplit('/').next().unwrap_or(name);
        // A repository that moved is known by its number only.
        let wanted = |moved: Option<u64>| {
            moved.map_or_else(|| json!({ "repositories": [short] }), |id| json!({ "repository_ids": [id] }))
        };
        let Some((token, named, moved)) = self.mint_for(name, wanted).await? else { return Ok(None) };
        let named = match named {
            Some(named) => named,
            // GitHub names what it was asked for; another server may say nothing.
            None => vec![self.named_by(&token.secret, name).await?],
        };
        let [one] = named.as_slice() else { return Err(other_repositories()) };
        let expected = moved.map_or_else(|| one.full_name.eq_ignore_ascii_case(name), |id| one.id == id);
        if !expected {
            return Err(other_repositories());
        }
        self.call_it(one.id, &one.full_name);
        tokens.insert(one.id, token.clone());
        Ok(Some((token.secret, one.id)))
    }

    /// Which repository a token leads to.
    async fn named_by(&self, token: &SecretString, name: &str) -> Asked<Named> {
        let answer = self.read(token, format!("/repos/{name}")).await?;
        if answer.is_success() { answer.json() } else { Err(self.failure(&answer)) }
    }

    /// A token for what is `wanted`, which may depend on the number of a repository that moved, and that number; `None` when the
    /// app is not installed there.
    async fn mint_for(&self, name: &str, wanted: impl Fn(Option<u64>) -> Value) -> Asked<Option<Made>> {
        let key = name.to_ascii_lowercase();
        let known = self.installations.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        let only = match &self.auth {
            Auth::App { installation, .. } => *installation,
            Auth::Token(_) => None,
        };
        if let Some(installation) = only.or(known) {
            match self.mint(installation, wanted(None)).await {
                Ok((token, named)) => return Ok(Some((token, named, None))),
                // It may have been installed anew, or the repository may have moved.
                Err(failure) if failure.kind == ErrorKind::Missing => {}
                Err(failure) => return Err(failure),
            }
        }
        let Some((installation, moved)) = self.look_up_installation(name).await? else { return Ok(None) };
        if only.is_some_and(|only| only != installation.id) {
            return Err(Failure::denied("the app is installed there as another installation than github.installation"));
        }
        let (token, named) = self.mint(installation.id, wanted(moved)).await?;
        if moved.is_none() {
            self.installations.lock().unwrap_or_else(PoisonError::into_inner).insert(key, installation.id);
        }
        Ok(Some((token, named, moved)))
    }

    pub async fn look_up_installation(&self, name: &str) -> Asked<Option<(Installation, Option<u64>)>> {
        let mut call = Call::get(format!("/repos/{name}/installation"));
        let mut moved = None;
        for _ in 0..=MOVES {
            let answer = self.as_app(&call).await?;
            match answer.status {
                404 => return Ok(None),
                301 | 302 | 307 | 308 => {
                    call.path = self.wire.redirected(&answer).ok_or_else(|| self.failure(&answer))?;
                    let number = call.path.strip_prefix("/repositories/").and_then(|rest| rest.split('/').next());
                    moved = number.and_then(|number| number.parse().ok()).or(moved);
                }
                _ if answer.is_success() => {
                    let installation: Installation = answer.json()?;
                    return match installation.suspended_at {
                        None => Ok(Some((installation, moved))),
                        Some(_) => Err(Failure::denied(suspended())),
                    };
                }
                _ => return Err(self.failure(&answer)),
            }
        }
        Err(Failure::denied("GitHub sends us in circles; check github.api_url"))
    }

    /// A token of the installation for the `wanted` repository, with the permissions that we need.
    async fn mint(&self, installation: u64, mut wanted: Value) -> Asked<(Token, Option<Vec<Named>>)> {
        if let Some(wanted) = wanted.as_object_mut() {
            wanted.insert("permissions".to_owned(), json!(self.permissions()));
        }
        let path = format!("/app/installations/{}/access_tokens", encoded(&installation.to_string()));
        let answer = self.as_app(&Call::post(path, wanted)).await?;
        if !answer.is_success() {
            return Err(self.not_minted(&answer));
        }
        let minted: Minted = answer.json()?;
        let ends = chrono::DateTime::parse_from_rfc3339(&minted.expires_at)
            .map_err(|_| Failure::malformed("GitHub does not say how long the token is good for"))?;
        // By GitHub's clock, whatever ours says.
        let now = answer.date().unwrap_or_else(|| self.seconds());
        let life = u64::try_from((ends.timestamp() - now).max(0)).unwrap_or(0) * 1000;
        let until = self.clock.now() + life.saturating_sub(MARGIN);
        Ok((Token { secret: SecretString::from(minted.token), until }, minted.repositories))
    }

    fn not_minted(&self, answer: &Answer) -> Failure {
        let failure = self.failure(answer);
        if failure.says(&["permission"]) {
            let needed: Vec<String> =
                self.permissions().iter().map(|(name, level)| format!("{name}: {level}")).collect();
            let reason = format!("the app lacks permissions; it needs {}: grant and accept them", needed.join(", "));
            return failure.meaning(ErrorKind::Denied, reason);
        }
        match failure.status {
            Some(404 | 422) => not_installed(),
            _ => failure,
        }
    }

    /// Calls as the app itself. A refusal may come from a clock that is off, ours, or from a key that was replaced.
    pub async fn as_app(&self, call: &Call) -> Asked<Answer> {
        let Auth::App { id, private_key, .. } = &self.auth else {
            return Err(Failure::denied("no GitHub App is configured"));
        };
        let key = private_key.read().await?;
        let answer = self.wire.send(&self.signed(*id, &key)?, call).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let turned = self.turn_clock(&answer);
        let fresh = private_key.fresh().await?;
        if !turned && fresh.expose_secret() == key.expose_secret() {
            let reason = "GitHub does not know the app by this key; check github.app_id and store a key of that app";
            return Err(self.failure(&answer).meaning(ErrorKind::Denied, reason));
        }
        self.wire.send(&self.signed(*id, &fresh)?, call).await
    }

    /// Takes over GitHub's clock where it differs; whether it does.
    fn turn_clock(&self, answer: &Answer) -> bool {
        let Some(theirs) = answer.date() else { return false };
        let off = theirs - self.seconds();
        if off.abs() < TOLERATED_SKEW {
            return false;
        }
        // Set and not added to: two calls may learn it at the same time.
        self.skew.store(theirs - self.own_seconds(), Ordering::Relaxed);
        tracing::warn!(seconds = off, "our clock and GitHub's differ; GitHub's is used for signing");
        true
    }

    /// Seconds since the epoch, by GitHub's clock as far as we know it.
    fn seconds(&self) -> i64 {
        self.own_seconds().saturating_add(self.skew.load(Ordering::Relaxed))
    }

    fn own_seconds(&self) -> i64 {
        i64::try_from(self.clock.now() / 1000).unwrap_or(i64::MAX)
    }

    /// A signed statement that we are the app. Issued a minute ago, so that a clock that is a little slow does no harm; GitHub
    /// accepts ten minutes.
    fn signed(&self, app: u64, key: &SecretString) -> Asked<SecretString> {
        // One line with `\n` in it is how environments carry keys.
        let pem = key.expose_secret().replace("\\n", "\n");
        let unusable =
            |_| Failure::malformed("the app's private key is no RSA key in PEM; store the file that GitHub gave");
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(unusable)?;
        let now = self.seconds();
        let claims = Claims { iss: app, iat: now - 60, exp: now + 9 * 60 };
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).map(SecretString::from).map_err(unusable)
    }
}

/// The repository's number.
pub(super) fn number(repository: &Repository) -> Asked<u64> {
    repository.id.0.parse().map_err(|_| Failure::missing("the repository's number is none of GitHub's"))
}

/// `owner/name` of which nothing needs to be encoded.
fn is_name(name: &str) -> bool {
    let plain = |part: &str| {
        let letters = part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        letters && !matches!(part, "" | "." | "..") && part.len() <= 100
    };
    name.split_once('/').is_some_and(|(owner, name)| plain(owner) && plain(name))
}

fn gone() -> &'static str {
    "the repository is deleted, or was moved to where we may not see it; correct its name, or give the app or token access"
}

fn not_installed() -> Failure {
    Failure::missing("the app is not installed for this repository; install it there")
}

fn other_repositories() -> Failure {
    Failure::denied("GitHub gave a token for another repository than was asked for; it is not used")
}
