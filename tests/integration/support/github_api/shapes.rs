//! The JSON of things that many answers show: people, repositories, commits, the app.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use git2::Time;
use serde_json::{Map, Value, json};

use super::auth::{Actor, Installation};
use super::world::{Hosted, World};

/// Addresses of a repository's parts, by the name of their field. A `{` begins a part that clients fill in.
const PARTS: [(&str, &str); 38] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("url", ""),
    ("svn_url", ""),
];

/// When the repositories of the tests were made.
pub const BORN: &str = "2023-01-01T00:00:00Z";

/// A time in milliseconds as GitHub writes it.
pub fn date(milliseconds: u64) -> String {
    let at = DateTime::<Utc>::from_timestamp_millis(i64::try_from(milliseconds).unwrap()).unwrap();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Adds the fields of another object.
pub fn add(to: &mut Value, more: &Value) {
    to.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
}

pub fn node(kind: &str, id: impl ToString) -> String {
    BASE64_STANDARD.encode(format!("{}:{kind}{}", kind.len(), id.to_string()))
}

/// Text in base64 as GitHub breaks it into lines.
pub fn encoded(bytes: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(bytes);
    let lines = text.as_bytes().chunks(60).map(|line| format!("{}\n", std::str::from_utf8(line).unwrap()));
    lines.collect()
}

impl World {
    pub fn user_json(&self, login: &str) -> Value {
        let id = self.users.get(login).copied().unwrap_or(1);
        let kind = if login.ends_with("[bot]") {
            "Bot"
        } else if self.repos.iter().any(|repo| repo.owner == login) && !self.people.contains(login) {
            "Organization"
        } else {
            "User"
        };
        let escaped = login.replace('[', "%5B").replace(']', "%5D");
        let api = format!("{}/users/{escaped}", self.base);
        let html = match login.strip_suffix("[bot]") {
            Some(app) => format!("https://github.com/apps/{app}"),
            None => format!("https://github.com/{login}"),
        };
        json!({
            "login": login, "id": id, "node_id": node(kind, id),
            "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"), "gravatar_id": "",
            "url": api, "html_url": html, "followers_url": format!("{api}/followers"),
            "following_url": format!("{api}/following{{/other_user}}"), "gists_url": format!("{api}/gists{{/gist_id}}"),
            "starred_url": format!("{api}/starred{{/owner}}{{/repo}}"),
            "subscriptions_url": format!("{api}/subscriptions"), "organizations_url": format!("{api}/orgs"),
            "repos_url": format!("{api}/repos"), "events_url": format!("{api}/events{{/privacy}}"),
            "received_events_url": format!("{api}/received_events"), "type": kind, "user_view_type": "public",
            "site_admin": false,
        })
    }

    pub fn repository_url(&self, repo: &Hosted) -> String {
        format!("{}/repos/{}", self.base, repo.full_name())
    }

    /// A repository as this caller sees it.
    pub fn repository_json(&self, repo: &Hosted, actor: &Actor) -> Value {
        let (api, name) = (self.repository_url(repo), repo.full_name());
        let html = format!("https://github.com/{name}");
        let mut fields: Map<String, Value> =
            PARTS.iter().map(|(field, part)| ((*field).to_owned(), format!("{api}{part}").into())).collect();
        fields.insert("svn_url".into(), html.clone().into());
        let open = repo.pulls.values().filter(|pull| pull.open).count();
        let level = match actor {
            Actor::Token(token) if token.installation.is_none() => repo.level(&token.login),
            _ => "none",
        };
        let rank = ["read", "triage", "write", "maintain", "admin"].iter().position(|one| *one == level);
        let has = |least: usize| rank.is_some_and(|rank| rank >= least);
        let rest = json!({
            "id": repo.id, "node_id": node("Repository", repo.id), "name": repo.name, "full_name": name,
            "private": repo.private, "owner": self.user_json(&repo.owner), "html_url": html, "description": null,
            "fork": false, "created_at": BORN, "updated_at": BORN, "pushed_at": BORN,
            "git_url": format!("git://github.com/{name}.git"), "ssh_url": format!("git@github.com:{name}.git"),
            "clone_url": format!("https://github.com/{name}.git"), "mirror_url": null, "homepage": null, "size": 108,
            "stargazers_count": 0, "watchers_count": 0, "language": null, "has_issues": true, "has_projects": true,
            "has_downloads": true, "has_wiki": false, "has_pages": false, "has_discussions": false, "forks_count": 0,
            "archived": repo.archived, "disabled": false, "open_issues_count": open, "license": null,
            "allow_forking": true, "is_template": false, "web_commit_signoff_required": false, "topics": [],
            "visibility": if repo.private { "private" } else { "public" }, "forks": 0, "open_issues": open,
            "watchers": 0, "default_branch": repo.default_branch, "subscribers_count": 0, "network_count": 0,
            "permissions": {
                "admin": has(4), "maintain": has(3), "push": has(2), "triage": has(1), "pull": has(0)
            },
        });
        let mut shown = Value::Object(fields);
        add(&mut shown, &rest);
        shown
    }

    /// A commit as lists and comparisons show it.
    pub fn commit_json(&self, repo: &Hosted, commit: &git2::Commit<'_>) -> Value {
        let api = self.repository_url(repo);
        let (sha, tree) = (commit.id().to_string(), commit.tree_id().to_string());
        let html = format!("https://github.com/{}/commit/{sha}", repo.full_name());
        let parents = commit.parent_ids().map(|parent| {
            json!({
                "sha": parent.to_string(), "url": format!("{api}/commits/{parent}"),
                "html_url": format!("https://github.com/{}/commit/{parent}", repo.full_name()),
            })
        });
        json!({
            "sha": sha, "node_id": node("Commit", &sha), "url": format!("{api}/commits/{sha}"), "html_url": html,
            "comments_url": format!("{api}/commits/{sha}/comments"), "author": null, "committer": null,
            "commit": {
                "author": person(&commit.author()), "committer": person(&commit.committer()),
                "message": String::from_utf8_lossy(commit.message_bytes()), "comment_count": 0,
                "tree": {"sha": tree, "url": format!("{api}/git/trees/{tree}")},
                "url": format!("{api}/git/commits/{sha}"), "verification": unverified(),
            },
            "parents": parents.collect::<Vec<_>>(),
        })
    }

    pub fn app_json(&self) -> Value {
        let (id, slug) = (self.app.id, &self.app.slug);
        json!({
            "id": id, "slug": slug, "node_id": node("Integration", id), "owner": self.user_json(&self.app.owner),
            "name": slug, "description": "", "external_url": "https://codehealer.example",
            "html_url": format!("https://github.com/apps/{slug}"), "created_at": BORN, "updated_at": BORN,
            "permissions": self.app.permissions, "events": self.app.events,
            "installations_count": self.installations.len(), "client_id": "Iv1.ab1112223334445c",
        })
    }

    pub fn installation_json(&self, one: &Installation) -> Value {
        let id = one.id;
        let account = self.user_json(&one.account);
        json!({
            "id": id, "account": account, "repository_selection": "selected",
            "access_tokens_url": format!("{}/app/installations/{id}/access_tokens", self.base),
            "repositories_url": format!("{}/installation/repositories", self.base),
            "html_url": format!("https://github.com/organizations/{}/settings/installations/{id}", one.account),
            "app_id": self.app.id, "app_slug": self.app.slug, "target_id": account["id"],
            "target_type": account["type"], "permissions": one.permissions, "events": self.app.events,
            "created_at": BORN, "updated_at": BORN, "single_file_name": null, "has_multiple_single_files": false,
            "single_file_paths": [], "suspended_by": null, "suspended_at": one.suspended.then_some(BORN),
        })
    }
}

/// Who made a commit and when, in UTC.
pub fn person(who: &git2::Signature<'_>) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    json!({"name": text(who.name_bytes()), "email": text(who.email_bytes()), "date": stamp(who.when())})
}

fn stamp(time: Time) -> String {
    date(u64::try_from(time.seconds()).unwrap_or_default() * 1000)
}

pub fn unverified() -> Value {
    json!({"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null})
}
