//! From an address to its handler, past every check: the description, the token, the repository, what it may be used for.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use chrono::DateTime;
use reqwest::Url;
use serde_json::{Value, json};

use super::Call;
use super::auth::Who;
use super::http::{Answer, Outcome, Request};
use super::openapi;
use super::world::World;

type Handler = fn(&mut World, &Request) -> Outcome;

/// A method of a path, who may call it, and what answers. The last parameter of these paths may have slashes where GitHub
/// takes them.
type Route = (&'static str, &'static str, Who, Handler);

const ROUTES: [Route; 48] = [
    ("GET", "/app", Who::App, World::get_app),
    ("POST", "/app-manifests/{code}/conversions", Who::Anybody, World::post_conversion),
    ("GET", "/app/hook/config", Who::App, World::get_hook),
    ("PATCH", "/app/hook/config", Who::App, World::patch_hook),
    ("GET", "/app/hook/deliveries", Who::App, World::list_hook_deliveries),
    ("POST", "/app/hook/deliveries/{delivery_id}/attempts", Who::App, World::post_attempt),
    ("GET", "/app/installations", Who::App, World::list_installations),
    ("POST", "/app/installations/{installation_id}/access_tokens", Who::App, World::post_access_token),
    ("GET", "/repos/{owner}/{repo}/installation", Who::App, World::get_installation),
    ("GET", "/installation/repositories", Who::Installation, World::list_installation_repositories),
    ("GET", "/user", Who::Person, World::get_user),
    ("GET", "/rate_limit", Who::Person, World::get_rate_limit),
    ("POST", "/graphql", Who::Person, World::graphql),
    ("GET", "/repos/{owner}/{repo}", Who::Repository, World::get_repository),
    ("GET", "/repos/{owner}/{repo}/git/ref/{ref}", Who::Repository, World::get_ref),
    ("GET", "/repos/{owner}/{repo}/git/matching-refs/{ref}", Who::Repository, World::get_matching_refs),
    ("POST", "/repos/{owner}/{repo}/git/refs", Who::Repository, World::post_ref),
    ("PATCH", "/repos/{owner}/{repo}/git/refs/{ref}", Who::Repository, World::patch_ref),
    ("DELETE", "/repos/{owner}/{repo}/git/refs/{ref}", Who::Repository, World::delete_ref),
    ("GET", "/repos/{owner}/{repo}/git/tags/{tag_sha}", Who::Repository, World::get_tag),
    ("GET", "/repos/{owner}/{repo}/git/trees/{tree_sha}", Who::Repository, World::get_tree),
    ("POST", "/repos/{owner}/{repo}/git/trees", Who::Repository, World::post_tree),
    ("GET", "/repos/{owner}/{repo}/git/blobs/{file_sha}", Who::Repository, World::get_blob),
    ("POST", "/repos/{owner}/{repo}/git/blobs", Who::Repository, World::post_blob),
    ("GET", "/repos/{owner}/{repo}/git/commits/{commit_sha}", Who::Repository, World::get_git_commit),
    ("POST", "/repos/{owner}/{repo}/git/commits", Who::Repository, World::post_git_commit),
    ("GET", "/repos/{owner}/{repo}/compare/{basehead}", Who::Repository, World::compare),
    ("GET", "/repos/{owner}/{repo}/contents/{path}", Who::Repository, World::get_contents),
    ("GET", "/repos/{owner}/{repo}/branches/{branch}", Who::Repository, World::get_branch),
    ("GET", "/repos/{owner}/{repo}/commits/{commit_sha}/comments", Who::Repository, World::list_commit_comments),
    ("POST", "/repos/{owner}/{repo}/commits/{commit_sha}/comments", Who::Repository, World::post_commit_comment),
    ("GET", "/repos/{owner}/{repo}/commits/{ref}/check-runs", Who::Repository, World::list_checks),
    ("GET", "/repos/{owner}/{repo}/commits/{ref}", Who::Repository, World::get_commit),
    ("GET", "/repos/{owner}/{repo}/pulls", Who::Repository, World::list_pulls),
    ("POST", "/repos/{owner}/{repo}/pulls", Who::Repository, World::post_pull),
    ("GET", "/repos/{owner}/{repo}/pulls/{pull_number}", Who::Repository, World::get_pull),
    ("PATCH", "/repos/{owner}/{repo}/pulls/{pull_number}", Who::Repository, World::patch_pull),
    ("GET", "/repos/{owner}/{repo}/pulls/{pull_number}/files", Who::Repository, World::list_pull_files),
    ("POST", "/repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers", Who::Repository, World::post_reviewers),
    ("POST", "/repos/{owner}/{repo}/issues/{issue_number}/labels", Who::Repository, World::post_labels),
    ("GET", "/repos/{owner}/{repo}/issues/{issue_number}/comments", Who::Repository, World::list_comments),
    ("POST", "/repos/{owner}/{repo}/issues/{issue_number}/comments", Who::Repository, World::post_comment),
    ("PATCH", "/repos/{owner}/{repo}/issues/comments/{comment_id}", Who::Repository, World::patch_comment),
    ("PATCH", "/repos/{owner}/{repo}/comments/{comment_id}", Who::Repository, World::patch_commit_comment),
    ("POST", "/repos/{owner}/{repo}/check-runs", Who::Repository, World::post_check),
    ("PATCH", "/repos/{owner}/{repo}/check-runs/{check_run_id}", Who::Repository, World::patch_check),
    ("GET", "/repos/{owner}/{repo}/collaborators/{username}/permission", Who::Repository, World::get_permission),
    ("GET", "/repos/{owner}/{repo}/issues/comments/{comment_id}", Who::Repository, World::get_comment),
];

/// Parameters that may have slashes, at the end of a path.
const GREEDY: [&str; 4] = ["{ref}", "{path}", "{basehead}", "{branch}"];

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let pair = tail.get(..2).and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        match pair.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The parameters of a path that fits the template.
fn fits(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let parts: Vec<&str> = template.split('/').collect();
    let mut given = path.split('/');
    for (at, part) in parts.iter().enumerate() {
        let mut text = given.next()?.to_owned();
        let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            if text != *part {
                return None;
            }
            continue;
        };
        if at + 1 == parts.len() && GREEDY.contains(part) {
            for more in given.by_ref() {
                text = format!("{text}/{more}");
            }
        }
        if text.is_empty() && name != "path" {
            return None;
        }
        found.insert(name.to_owned(), decoded(&text));
    }
    given.next().is_none().then_some(found)
}

fn find(method: &str, path: &str) -> Option<(&'static Route, BTreeMap<String, String>)> {
    let of_method = ROUTES.iter().filter(|route| route.0 == method);
    of_method.filter_map(|route| Some((route, fits(route.1, path)?))).next()
}

/// The path with a repository's number replaced by its name.
fn named(world: &World, path: &str) -> String {
    let rest = path.strip_prefix("/repositories/").map(|rest| rest.split_once('/').unwrap_or((rest, "")));
    let found = rest.and_then(|(id, rest)| {
        let repo = world.repos.iter().find(|repo| id.parse() == Ok(repo.id))?;
        Some(format!("/repos/{}/{rest}", repo.full_name()))
    });
    found.map_or_else(|| path.to_owned(), |path| path.trim_end_matches('/').to_owned())
}

/// The template that a path fits, or the path.
pub fn template(world: &World, method: &str, path: &str) -> String {
    find(method, &named(world, path)).map_or_else(|| path.to_owned(), |(route, _)| route.1.to_owned())
}

/// Answers a call, with everything about it that breaks GitHub's description.
pub fn handle(world: &mut World, call: &Call, headers: &HeaderMap, body: &[u8]) -> (Answer, Vec<String>) {
    let path = named(world, &call.path);
    if !headers.contains_key("user-agent") {
        let message =
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header";
        return (Answer::error(403, message), Vec::new());
    }
    let Some((route, parameters)) = find(&call.method, &path) else {
        return (Answer::not_found(), vec![format!("{} {path}: not emulated", call.method)]);
    };
    let query = Url::parse(&format!("http://q/?{}", call.query)).unwrap();
    let request = Request {
        path: parameters,
        query: query.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
        body: call.body.clone(),
        address: format!("{}{}", world.base, call.path),
        actor: super::auth::Actor::Nobody,
        repo: 0,
    };
    if !body.is_empty() && serde_json::from_slice::<Value>(body).is_err() {
        return (Answer::error(400, "Problems parsing JSON"), vec![format!("{} {path}: no JSON", call.method)]);
    }
    let (mut answer, violations) = described(world, route, request, call, !body.is_empty());
    if !violations.is_empty() {
        answer = Answer::error(500, &format!("against GitHub's description: {}", violations.join("; ")));
    }
    (answer, violations)
}

/// Answers between two checks against the description.
fn described(world: &mut World, route: &Route, request: Request, call: &Call, has_body: bool) -> (Answer, Vec<String>) {
    if route.1 == "/graphql" {
        let answer = admitted(world, route, request, call).unwrap_or_else(|refusal| refusal);
        return (answer, Vec::new());
    }
    // An empty object is what clients send for nothing.
    let body = Some(&request.body).filter(|body| has_body && !(route.0 == "GET" && **body == json!({})));
    let operation = openapi::operation(route.0, route.1);
    let violations = operation.check_request(&request.path, &request.query, body);
    if !violations.is_empty() {
        return (Answer::error(500, ""), violations);
    }
    let mut answer = admitted(world, route, request, call).unwrap_or_else(|refusal| refusal);
    if answer.body["documentation_url"] == "" {
        answer.body["documentation_url"] = operation.documentation.clone().into();
    }
    let violations = operation.check_answer(answer.status, &answer.body);
    (answer, violations)
}

/// Lets the caller through to the handler.
fn admitted(world: &mut World, route: &Route, mut request: Request, call: &Call) -> Outcome {
    let (method, template, who, handler) = *route;
    request.actor = world.recognise(call.credential.as_deref())?;
    world.admit(&request.actor, who)?;
    if template.starts_with("/repos/") {
        let name = format!("{}/{}", request.part("owner"), request.part("repo"));
        let Some(at) = world.find(&name) else { return Err(moved(world, &request, &name, method, call)) };
        request.repo = at;
        let repo = &world.repos[at];
        if who == Who::Repository {
            world.allow(&request.actor, repo, method, template)?;
        }
        if repo.archived && method != "GET" {
            return Err(Answer::error(403, "Repository was archived so is read-only."));
        }
    }
    let answer = handler(world, &request);
    // What moved now was moved by the caller.
    world.settle(&request.actor.login());
    answer
}

/// What is answered under a name that is no repository's: where the one went that had it, if any had.
fn moved(world: &World, request: &Request, name: &str, method: &str, call: &Call) -> Answer {
    let Some(at) = world.find_former(name) else { return Answer::not_found() };
    let repo = &world.repos[at];
    if repo.private && matches!(request.actor, super::auth::Actor::Nobody) {
        return Answer::not_found();
    }
    let rest = call.path.splitn(5, '/').nth(4).map(|rest| format!("/{rest}")).unwrap_or_default();
    let query = if call.query.is_empty() { String::new() } else { format!("?{}", call.query) };
    let url = format!("{}/repositories/{}{rest}{query}", world.base, repo.id);
    let (status, message) = if method == "GET" { (301, "Moved Permanently") } else { (307, "Temporary Redirect") };
    let body = json!({"message": message, "url": url, "documentation_url": "https://docs.github.com/rest"});
    Answer::new(status, body).with("location", url)
}

impl World {
    /// Our time as headers write it.
    fn http_date(&self) -> String {
        let now = DateTime::from_timestamp(i64::try_from(self.seconds()).unwrap(), 0).unwrap();
        now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// Adds the headers that every answer has.
    pub(super) fn dress(&mut self, answer: &mut Answer) {
        self.remaining = self.remaining.saturating_sub(1);
        let given: Vec<&str> = answer.headers.iter().map(|(name, _)| *name).collect();
        let reset = self.seconds() / 3600 * 3600 + 3600;
        let all = [
            ("date", self.http_date()),
            ("x-ratelimit-limit", "5000".to_owned()),
            ("x-ratelimit-remaining", self.remaining.to_string()),
            ("x-ratelimit-used", (5000 - self.remaining).to_string()),
            ("x-ratelimit-reset", reset.to_string()),
            ("x-ratelimit-resource", "core".to_owned()),
            ("x-github-request-id", format!("{:04X}:1:2:3", self.remaining)),
            ("x-github-media-type", "github.v3; format=json".to_owned()),
            // By this world's clock, not the machine's.
            ("date", self.http_date()),
        ];
        let more: Vec<_> = all.into_iter().filter(|(name, _)| !given.contains(name)).collect();
        answer.headers.extend(more);
    }
}
