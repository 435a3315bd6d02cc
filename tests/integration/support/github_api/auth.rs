//! Who calls: an app by a token it signed, an installation of it, or a person.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use octocrab::jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use super::http::{Answer, Outcome, Request};
use super::openapi;
use super::world::{Hosted, World};

/// The pair that the tests' app signs with, made anew for each run: no key lies in the repository.
static KEYS: LazyLock<(String, String)> = LazyLock::new(|| {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let wrapped: Pkcs8V1Der = pair.as_der().unwrap();
    // GitHub hands out the older form, PKCS#1: of a key of this size PKCS#8 is 26 bytes of header before it.
    (pem("RSA PRIVATE KEY", &wrapped.as_ref()[26..]), pem("RSA PUBLIC KEY", pair.public_key().as_ref()))
});

fn pem(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

/// The private key of the tests' app as GitHub would hand it out.
pub fn app_key() -> &'static str {
    &KEYS.0
}

/// What our app asks of GitHub when somebody registers it.
pub const MANIFEST: &str = include_str!("../../../../scripts/github-app.json");

/// How long a token of an installation lives, seconds.
const LIFETIME: u64 = 3600;
/// Furthest expiry of a signed token, seconds from now.
const FURTHEST: u64 = 600;
/// What GitHub forgives a clock, seconds.
const SLACK: u64 = 60;

pub type Permissions = BTreeMap<String, String>;

pub fn permissions(list: &[(&str, &str)]) -> Permissions {
    list.iter().map(|(name, access)| ((*name).to_owned(), (*access).to_owned())).collect()
}

pub fn manifest_permissions() -> Permissions {
    let manifest: Value = serde_json::from_str(MANIFEST).unwrap();
    serde_json::from_value(manifest["default_permissions"].clone()).unwrap()
}

pub fn manifest_events() -> Vec<String> {
    let manifest: Value = serde_json::from_str(MANIFEST).unwrap();
    serde_json::from_value(manifest["default_events"].clone()).unwrap()
}

/// Events that an app with these permissions cannot subscribe to. GitHub takes comments on pull requests for comments on
/// issues here, although who may write them is settled by the permission for pull requests.
pub fn unsupported_events(permissions: &Permissions, events: &[String]) -> Vec<String> {
    let is_supported = |event: &String| match event.as_str() {
        "push" => grants(permissions, "contents", "read"),
        "pull_request" => grants(permissions, "pull_requests", "read"),
        "issue_comment" => grants(permissions, "issues", "read"),
        _ => false,
    };
    events.iter().filter(|event| !is_supported(event)).cloned().collect()
}

/// The app of the tests.
pub struct App {
    pub id: u64,
    pub slug: String,
    pub owner: String,
    pub permissions: Permissions,
    pub events: Vec<String>,
}

/// The app at an account.
pub struct Installation {
    pub id: u64,
    pub account: String,
    pub repositories: BTreeSet<u64>,
    pub permissions: Permissions,
    pub suspended: bool,
}

/// What a token stands for.
#[derive(Debug, Clone)]
pub struct Token {
    /// Login; an app's ends in `[bot]`.
    pub login: String,
    pub installation: Option<u64>,
    /// Of an installation's token: what it may touch and do.
    pub repositories: BTreeSet<u64>,
    pub permissions: Permissions,
    /// Of a classic personal token.
    pub scopes: BTreeSet<String>,
    /// Seconds since the epoch.
    pub expires: Option<u64>,
    pub revoked: bool,
}

/// Who calls.
#[derive(Debug, Clone)]
pub enum Actor {
    Nobody,
    App,
    Token(Box<Token>),
}

impl Actor {
    pub fn login(&self) -> String {
        match self {
            Self::Token(token) => token.login.clone(),
            _ => String::new(),
        }
    }

    /// Whether an app calls, whose commits GitHub signs.
    pub fn is_installation(&self) -> bool {
        matches!(self, Self::Token(token) if token.installation.is_some())
    }
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Anybody,
    App,
    Installation,
    /// Any token at all.
    Person,
    /// A token that may see the repository, with what the operation needs there.
    Repository,
}

fn bad_credentials() -> Answer {
    Answer::error(401, "Bad credentials")
}

/// The token of a request, as it was sent.
pub fn credential(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("authorization")?.to_str().ok()?;
    let (scheme, credential) = value.split_once(' ')?;
    matches!(scheme.to_lowercase().as_str(), "bearer" | "token").then(|| credential.to_owned())
}

impl World {
    pub fn seconds(&self) -> u64 {
        u64::try_from((i64::try_from(self.clock.now()).unwrap() + self.skew) / 1000).unwrap()
    }

    pub fn recognise(&self, credential: Option<&str>) -> Result<Actor, Answer> {
        let Some(credential) = credential else { return Ok(Actor::Nobody) };
        if credential.starts_with("eyJ") {
            return self.signed(credential).map(|()| Actor::App);
        }
        let token = self.tokens.get(credential).ok_or_else(bad_credentials)?;
        let is_over = token.revoked || token.expires.is_some_and(|at| at <= self.seconds());
        let installation = token.installation.map(|id| self.installations.iter().find(|one| one.id == id));
        match installation {
            _ if is_over => Err(bad_credentials()),
            Some(None) => Err(bad_credentials()),
            Some(Some(found)) if found.suspended => Err(Answer::error(403, "This installation has been suspended")),
            _ => Ok(Actor::Token(Box::new(token.clone()))),
        }
    }

    /// Checks what an app signed about itself, with the words GitHub has for it.
    fn signed(&self, text: &str) -> Result<(), Answer> {
        let refused = |message: &str| Answer::error(401, message);
        let undecodable = || refused("A JSON web token could not be decoded");
        if decode_header(text).map_err(|_| undecodable())?.alg != Algorithm::RS256 {
            return Err(undecodable());
        }
        // Times are judged below, by this world's clock.
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let key = DecodingKey::from_rsa_pem(KEYS.1.as_bytes()).unwrap();
        let claims = decode::<Value>(text, &key, &validation).map_err(|_| undecodable())?.claims;
        let issuer = claims["iss"].as_str().map(str::to_owned).unwrap_or_else(|| claims["iss"].to_string());
        if issuer != self.app.id.to_string() {
            return Err(Answer::error(404, "Integration not found"));
        }
        let now = self.seconds();
        let issued = claims["iat"].as_u64().filter(|iat| *iat <= now + SLACK);
        let issued = issued.ok_or_else(|| {
            refused("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
        })?;
        let expires = claims["exp"].as_u64().filter(|exp| *exp > now).ok_or_else(|| {
            refused(
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the \
                 assertion expires",
            )
        })?;
        if expires > now + FURTHEST + SLACK || expires > issued + FURTHEST + SLACK {
            return Err(refused("'Expiration time' claim ('exp') is too far in the future"));
        }
        Ok(())
    }

    /// Whether the caller may call a route that names no repository.
    pub fn admit(&self, actor: &Actor, who: Who) -> Result<(), Answer> {
        match (who, actor) {
            (Who::App, Actor::App) | (Who::Person, Actor::Token(_)) | (Who::Repository | Who::Anybody, _) => Ok(()),
            (Who::App, _) => Err(Answer::error(401, "A JSON web token could not be decoded")),
            (Who::Installation, Actor::Token(token)) if token.installation.is_some() => Ok(()),
            (_, Actor::Nobody) => Err(Answer::error(401, "Requires authentication")),
            (_, Actor::App) => Err(bad_credentials()),
            (Who::Installation, Actor::Token(_)) => Err(Answer::error(
                403,
                "You must authenticate with an installation access token in order to list repositories for an installation.",
            )),
        }
    }

    /// Whether the caller may do this in the repository: what it cannot see does not exist.
    pub fn allow(&self, actor: &Actor, repo: &Hosted, method: &str, template: &str) -> Result<(), Answer> {
        let writes = method != "GET";
        let needed = openapi::permissions(method, template);
        match actor {
            Actor::App => Err(bad_credentials()),
            Actor::Nobody if repo.private => Err(Answer::not_found()),
            Actor::Nobody if writes => Err(Answer::error(401, "Requires authentication")),
            Actor::Nobody => Ok(()),
            Actor::Token(token) if token.installation.is_some() => {
                if !token.repositories.contains(&repo.id) {
                    return if repo.private || !writes { Err(Answer::not_found()) } else { Err(inaccessible(&needed)) };
                }
                let is_granted = needed.iter().any(|(name, access)| grants(&token.permissions, name, access));
                if is_granted || needed.is_empty() { Ok(()) } else { Err(inaccessible(&needed)) }
            }
            Actor::Token(token) => self.allow_person(token, repo, &needed, writes),
        }
    }

    fn allow_person(
        &self,
        token: &Token,
        repo: &Hosted,
        needed: &[(String, String)],
        writes: bool,
    ) -> Result<(), Answer> {
        let level = repo.level(&token.login);
        let sees = if repo.private { level != "none" && token.scopes.contains("repo") } else { true };
        if !sees {
            return Err(Answer::not_found());
        }
        let scoped = token.scopes.contains("repo") || token.scopes.contains("public_repo");
        // Whoever reads may open pull requests and comment; changing contents takes more.
        let pushes = needed.iter().any(|(name, _)| name == "contents" || name == "checks");
        if writes && (!scoped || (pushes && !matches!(level, "write" | "maintain" | "admin"))) {
            return Err(Answer::not_found());
        }
        Ok(())
    }

    pub(super) fn get_app(&mut self, _: &Request) -> Outcome {
        Answer::ok(self.app_json())
    }

    pub(super) fn get_installation(&mut self, request: &Request) -> Outcome {
        let id = self.repos[request.repo].id;
        let found = self.installations.iter().find(|one| one.repositories.contains(&id));
        Answer::ok(self.installation_json(found.ok_or_else(Answer::not_found)?))
    }

    pub(super) fn list_installation_repositories(&mut self, request: &Request) -> Outcome {
        let Actor::Token(token) = &request.actor else { return Err(bad_credentials()) };
        let seen = self.repos.iter().filter(|repo| token.repositories.contains(&repo.id));
        let all: Vec<Value> = seen.map(|repo| self.repository_json(repo, &request.actor)).collect();
        let total = all.len();
        Ok(request.paged(
            all,
            |items| json!({"total_count": total, "repository_selection": "selected", "repositories": items}),
        ))
    }

    pub(super) fn post_access_token(&mut self, request: &Request) -> Outcome {
        let id = request.number("installation_id");
        let found = self.installations.iter().find(|one| one.id == id).ok_or_else(Answer::not_found)?;
        if found.suspended {
            return Err(Answer::error(403, "This installation has been suspended"));
        }
        let repositories = self.asked_repositories(found, &request.body)?;
        let mut granted = found.permissions.clone();
        if let Some(asked) = request.body["permissions"].as_object() {
            let asked: Permissions =
                asked.iter().map(|(name, access)| (name.clone(), access.as_str().unwrap().to_owned())).collect();
            if !asked.iter().all(|(name, access)| grants(&found.permissions, name, access)) {
                return Err(Answer::error(422, "The permissions requested are not granted to this installation."));
            }
            granted = asked;
        }
        // Every token may read metadata.
        granted.entry("metadata".to_owned()).or_insert_with(|| "read".to_owned());
        let expires = self.seconds() + LIFETIME;
        let name = format!("ghs_{:036}", self.fresh_id());
        let token = Token {
            login: format!("{}[bot]", self.app.slug),
            installation: Some(id),
            repositories: repositories.clone(),
            permissions: granted.clone(),
            scopes: BTreeSet::new(),
            expires: Some(expires),
            revoked: false,
        };
        let actor = Actor::Token(Box::new(token.clone()));
        self.tokens.insert(name.clone(), token);
        let mut body = json!({
            "token": name, "expires_at": super::shapes::date(expires * 1000), "permissions": granted,
            "repository_selection": "selected",
        });
        let narrow = request.body.get("repositories").is_some() || request.body.get("repository_ids").is_some();
        if narrow && self.names_repositories {
            let chosen = self.repos.iter().filter(|repo| repositories.contains(&repo.id));
            body["repositories"] = chosen.map(|repo| self.repository_json(repo, &actor)).collect();
        }
        Ok(Answer::new(201, body))
    }

    /// Which repositories a token is asked for: all of the installation, or those that are named.
    fn asked_repositories(&self, of: &Installation, body: &Value) -> Result<BTreeSet<u64>, Answer> {
        let unknown = || {
            let message = "There is at least one repository that does not exist or is not accessible to the parent \
                           installation.";
            Answer::error(422, message)
        };
        let mut asked = BTreeSet::new();
        for id in body["repository_ids"].as_array().into_iter().flatten() {
            asked.insert(id.as_u64().filter(|id| of.repositories.contains(id)).ok_or_else(unknown)?);
        }
        for name in body["repositories"].as_array().into_iter().flatten() {
            let named =
                self.repos.iter().find(|repo| repo.owner == of.account && Some(repo.name.as_str()) == name.as_str());
            let id = named.map(|repo| repo.id).filter(|id| of.repositories.contains(id));
            asked.insert(id.ok_or_else(unknown)?);
        }
        Ok(if asked.is_empty() { of.repositories.clone() } else { asked })
    }
}

/// Whether `access` to what is named is among the permissions. Whoever may write may read.
pub fn grants(permissions: &Permissions, name: &str, access: &str) -> bool {
    let rank = |access: &str| ["read", "write", "admin"].iter().position(|level| *level == access);
    permissions.get(name).is_some_and(|granted| rank(granted) >= rank(access))
}

fn inaccessible(needed: &[(String, String)]) -> Answer {
    let list: Vec<String> = needed.iter().map(|(name, access)| format!("{name}={access}")).collect();
    let refusal = Answer::error(403, "Resource not accessible by integration");
    // Alternatives are parted by semicolons.
    refusal.with("x-accepted-github-permissions", list.join("; "))
}
