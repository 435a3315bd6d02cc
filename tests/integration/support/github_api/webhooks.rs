//! What GitHub delivers when something happens: its own examples, made to speak of what really happened, and checked against
//! its schemas.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::{DateTime, FixedOffset};
use git2::{Delta, Oid};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};
use sha2::Sha256;

use super::compare::commits;
use super::shapes::{date, node};
use super::world::{Hosted, World};
use crate::support::servers::counterpart;

/// Most commits that a push lists.
const COMMITS: usize = 2048;
/// The repository of GitHub's examples.
const EXAMPLE: &str = "Codertocat/Hello-World";

/// One request that GitHub makes.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: String,
    pub event: String,
    /// The exact bytes, which the signature covers.
    pub body: String,
}

impl Delivery {
    /// The headers that tell what it is and who sent it.
    pub fn headers(&self, secret: &str) -> [(&'static str, String); 3] {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(self.body.as_bytes());
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        [
            ("X-GitHub-Event", self.event.clone()),
            ("X-GitHub-Delivery", self.id.clone()),
            ("X-Hub-Signature-256", signature),
        ]
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A branch or tag that is not where it was.
pub struct Moved {
    pub name: String,
    pub before: Option<Oid>,
    pub after: Option<Oid>,
}

fn folder(name: &str) -> std::path::PathBuf {
    counterpart("webhooks").join("node_modules/@octokit").join(name)
}

/// The first of GitHub's examples of an event that is like this.
fn example(event: &str, is_meant: impl Fn(&Value) -> bool) -> Value {
    static EXAMPLES: OnceLock<Vec<Value>> = OnceLock::new();
    let read = || {
        let text = std::fs::read_to_string(folder("webhooks-examples/api.github.com/index.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let kind = EXAMPLES.get_or_init(read).iter().find(|kind| kind["name"] == event).unwrap();
    let found = kind["examples"].as_array().unwrap().iter().find(|one| is_meant(one));
    found.unwrap_or_else(|| panic!("GitHub has no such example of {event}")).clone()
}

/// Everything that is wrong with a payload, by GitHub's schema of it.
pub fn check(event: &str, body: &Value) -> Vec<String> {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    static COMPILED: Mutex<BTreeMap<String, Arc<Validator>>> = Mutex::new(BTreeMap::new());
    let schema = SCHEMA.get_or_init(|| {
        let text = std::fs::read_to_string(folder("webhooks-schemas/schema.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    });
    let name = format!("{event}${}", body["action"].as_str().unwrap_or("event"));
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let root = json!({"allOf": [{"$ref": format!("#/definitions/{name}")}], "definitions": schema["definitions"]});
        let options = jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(true);
        Arc::new(options.build(&root).unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    let validator = Arc::clone(compiled.entry(name.clone()).or_insert_with(make));
    drop(compiled);
    let errors = validator.iter_errors(body).take(5);
    let short = |error: String| error.chars().take(300).collect::<String>();
    errors.map(|error| format!("{name}{}: {}", error.instance_path(), short(error.to_string()))).collect()
}

/// Takes what has the same name from another object.
fn overlay(onto: &mut Value, from: &Value) {
    for (name, value) in onto.as_object_mut().unwrap() {
        if let Some(ours) = from.get(name) {
            *value = ours.clone();
        }
    }
}

impl World {
    /// Sends an event to whoever listens, if the app wants such events.
    pub(super) fn emit(&mut self, event: &str, mut body: Value) {
        if !self.app.events.iter().any(|wanted| wanted == event) {
            return;
        }
        forget(&mut body, "user_view_type");
        // Payloads speak of the API's public address, wherever it is asked.
        let text = body.to_string().replace(&self.base, "https://api.github.com");
        self.unlawful.extend(check(event, &serde_json::from_str(&text).unwrap()));
        let number = self.fresh_id();
        let id = format!("{number:08x}-0000-11f0-8000-{number:012x}");
        self.deliveries.push(Delivery { id, event: event.to_owned(), body: text });
    }

    /// An example as if it had happened in this repository, by this person.
    fn at_home(&self, example: &Value, repo: &Hosted, by: &str) -> Value {
        let text = example.to_string().replace(EXAMPLE, &repo.full_name());
        let mut body: Value = serde_json::from_str(&text).unwrap();
        self.identify(repo, &mut body["repository"]);
        body["sender"] = self.user_json(by);
        let owner = self.user_json(&repo.owner);
        let installation = self.installations.iter().find(|one| one.repositories.contains(&repo.id));
        let all = body.as_object_mut().unwrap();
        all.remove("installation");
        all.remove("organization");
        if let Some(found) = installation {
            let shown = json!({"id": found.id, "node_id": node("IntegrationInstallation", found.id)});
            all.insert("installation".to_owned(), shown);
        }
        if owner["type"] == "Organization" {
            let known = example_organization().to_string().replace("Octocoders", &repo.owner);
            let mut shown: Value = serde_json::from_str(&known).unwrap();
            shown["id"] = owner["id"].clone();
            all.insert("organization".to_owned(), shown);
        }
        body
    }

    fn identify(&self, repo: &Hosted, shown: &mut Value) {
        let visibility = if repo.private { "private" } else { "public" };
        let ours = json!({
            "id": repo.id, "node_id": node("Repository", repo.id), "name": repo.name, "full_name": repo.full_name(),
            "private": repo.private, "visibility": visibility, "default_branch": repo.default_branch,
            "master_branch": repo.default_branch, "archived": repo.archived, "owner": self.user_json(&repo.owner),
        });
        overlay(shown, &ours);
    }

    pub(super) fn push_json(&self, at: usize, moved: &Moved, by: &str) -> Value {
        let repo = &self.repos[at];
        let known = example("push", |one| one["ref"] == "refs/heads/master" && one.get("installation").is_some());
        let mut body = self.at_home(&known, repo, by);
        let sha = |id: Option<Oid>| id.map_or_else(|| "0".repeat(40), |id| id.to_string());
        let (before, after) = (sha(moved.before), sha(moved.after));
        let forced = match (moved.before, moved.after) {
            (Some(before), Some(after)) => !repo.git.graph_descendant_of(after, before).unwrap_or(false),
            _ => false,
        };
        let (created, deleted) = (moved.before.is_none(), moved.after.is_none());
        let html = format!("https://github.com/{}", repo.full_name());
        body["compare"] = format!("{html}/compare/{}...{}", &before[..12], &after[..12]).into();
        let list = repo.pushed(moved);
        let list: Vec<Value> = list.iter().map(|id| self.pushed_commit(repo, *id)).collect();
        let head = moved.after.and_then(|id| repo.git.find_object(id, None).ok()?.peel_to_commit().ok());
        body["head_commit"] = head.map_or(Value::Null, |head| self.pushed_commit(repo, head.id()));
        body["commits"] = list.into_iter().take(COMMITS).collect();
        body["repository"]["pushed_at"] = self.seconds().into();
        body["pusher"] = json!({"name": by, "email": format!("{by}@users.noreply.github.com")});
        let facts = json!({
            "ref": moved.name, "before": before, "after": after, "created": created, "deleted": deleted,
            "forced": forced, "base_ref": null,
        });
        overlay(&mut body, &facts);
        body
    }

    fn pushed_commit(&self, repo: &Hosted, id: Oid) -> Value {
        let commit = repo.git.find_commit(id).unwrap();
        let before = commit.parent(0).ok().map(|parent| parent.tree().unwrap());
        let diff = repo.git.diff_tree_to_tree(before.as_ref(), Some(&commit.tree().unwrap()), None).unwrap();
        let of = |wanted: &[Delta]| -> Vec<String> {
            let deltas = diff.deltas().filter(|delta| wanted.contains(&delta.status()));
            let path = |delta: git2::DiffDelta<'_>| {
                let file = if delta.status() == Delta::Deleted { delta.old_file() } else { delta.new_file() };
                String::from_utf8_lossy(file.path_bytes().unwrap_or_default()).into_owned()
            };
            deltas.map(path).collect()
        };
        let person = |who: &git2::Signature<'_>| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            json!({"name": text(who.name_bytes()), "email": text(who.email_bytes())})
        };
        let when = commit.time();
        let zone = FixedOffset::east_opt(when.offset_minutes() * 60).unwrap();
        let stamp = DateTime::from_timestamp(when.seconds(), 0).unwrap().with_timezone(&zone);
        json!({
            "id": id.to_string(), "tree_id": commit.tree_id().to_string(), "distinct": true,
            "message": String::from_utf8_lossy(commit.message_bytes()), "timestamp": stamp.to_rfc3339(),
            "url": format!("https://github.com/{}/commit/{id}", repo.full_name()),
            "author": person(&commit.author()), "committer": person(&commit.committer()),
            "added": of(&[Delta::Added]), "removed": of(&[Delta::Deleted]),
            "modified": of(&[Delta::Modified, Delta::Typechange]),
        })
    }

    /// Tells of a pull request; `was` is where its branch was before it moved.
    pub(super) fn emit_pull(&mut self, (at, number): (usize, u64), action: &str, by: &str, was: Option<Oid>) {
        let repo = &self.repos[at];
        let pull = &repo.pulls[&number];
        let known = example("pull_request", |one| one["action"] == action && one.get("installation").is_some());
        let mut body = self.at_home(&known, repo, by);
        body["number"] = number.into();
        let ours = self.full_pull_json(repo, pull);
        let shown = &mut body["pull_request"];
        let ends = [shown["head"]["repo"].clone(), shown["base"]["repo"].clone()];
        overlay(shown, &ours);
        for (end, mut kept) in ["head", "base"].into_iter().zip(ends) {
            self.identify(repo, &mut kept);
            shown[end]["repo"] = kept;
        }
        if pull.open {
            // Nobody knows yet when it is told.
            overlay(shown, &json!({"mergeable": null, "rebaseable": null, "mergeable_state": "unknown"}));
        }
        if let Some(was) = was {
            overlay(&mut body, &json!({"before": was.to_string(), "after": pull.head_sha.to_string()}));
        }
        self.emit("pull_request", body);
    }

    /// Tells of the latest comment.
    pub(super) fn emit_comment(&mut self, at: usize, by: &str) {
        let repo = &self.repos[at];
        let Some(comment) = repo.comments.last() else { return };
        let pull = &repo.pulls[&comment.number];
        let is_meant = |one: &Value| one["action"] == "created" && one.get("installation").is_some();
        let known = example("issue_comment", is_meant);
        let mut body = self.at_home(&known, repo, by);
        overlay(&mut body["comment"], &self.comment_json(repo, comment));
        let whole = self.full_pull_json(repo, pull);
        let (api, url) = (self.repository_url(repo), whole["issue_url"].clone());
        let address = |part: &str| json!(format!("{}{part}", url.as_str().unwrap()));
        let mut issue = whole.clone();
        issue["url"] = url.clone();
        issue["repository_url"] = api.into();
        issue["labels_url"] = address("/labels{/name}");
        issue["events_url"] = address("/events");
        issue["reactions"] = body["issue"]["reactions"].clone();
        issue["reactions"]["url"] = address("/reactions");
        // None of the examples is about a pull request; this is how such an issue is told from others.
        body["issue"]["pull_request"] = json!({
            "url": whole["url"], "html_url": whole["html_url"], "diff_url": whole["diff_url"],
            "patch_url": whole["patch_url"], "merged_at": pull.merged.as_ref().map(|merged| date(merged.at)),
        });
        overlay(&mut body["issue"], &issue);
        self.emit("issue_comment", body);
    }
}

fn example_organization() -> Value {
    example("push", |one| one.get("organization").is_some())["organization"].clone()
}

fn forget(value: &mut Value, name: &str) {
    match value {
        Value::Object(fields) => {
            fields.remove(name);
            fields.values_mut().for_each(|inner| forget(inner, name));
        }
        Value::Array(all) => all.iter_mut().for_each(|inner| forget(inner, name)),
        _ => {}
    }
}

impl Hosted {
    /// Branches and tags that moved since this was last asked.
    pub(super) fn moved(&mut self) -> Vec<Moved> {
        let now = self.references();
        let names = self.seen.keys().chain(now.keys()).collect::<std::collections::BTreeSet<_>>();
        let change = |name: &String| {
            let (before, after) = (self.seen.get(name).copied(), now.get(name).copied());
            (before != after).then(|| Moved { name: name.clone(), before, after })
        };
        let found = names.into_iter().filter_map(change).collect();
        self.seen = now;
        found
    }

    pub(super) fn references(&self) -> BTreeMap<String, Oid> {
        let all = self.git.references().unwrap().map(Result::unwrap);
        let named = all.filter_map(|one| Some((String::from_utf8(one.name_bytes().to_vec()).ok()?, one.target()?)));
        named.filter(|(name, _)| name.starts_with("refs/heads/") || name.starts_with("refs/tags/")).collect()
    }

    /// The commits of a push, oldest first: of a new branch those that the default branch has not.
    fn pushed(&self, moved: &Moved) -> Vec<Oid> {
        let Some(after) = moved.after.filter(|id| self.git.find_commit(*id).is_ok()) else { return Vec::new() };
        if let Some(before) = moved.before.filter(|id| self.git.find_commit(*id).is_ok()) {
            return commits(&self.git, before, after);
        }
        let default = self.tip(&self.default_branch).filter(|_| !moved.name.ends_with(&self.default_branch));
        match default {
            Some(default) => commits(&self.git, default, after),
            None => {
                let mut walk = self.git.revwalk().unwrap();
                walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::REVERSE).unwrap();
                walk.push(after).unwrap();
                walk.map(Result::unwrap).collect()
            }
        }
    }
}
