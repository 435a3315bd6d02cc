//! What is said about pull requests and commits: comments, labels, check runs; and who may say it.

use serde_json::{Value, json};

use super::http::{Answer, Outcome, Request};
use super::pulls::check_text;
use super::shapes::{add, date, node};
use super::world::{Comment, Hosted, World};

impl World {
    pub(super) fn get_user(&mut self, request: &Request) -> Outcome {
        if request.actor.is_installation() {
            return Err(Answer::error(403, "Resource not accessible by integration"));
        }
        let login = request.actor.login();
        let mut shown = self.user_json(&login);
        let more = json!({
            "name": login, "company": null, "blog": "", "location": null, "email": null, "hireable": null, "bio": null,
            "twitter_username": null, "public_repos": 1, "public_gists": 0, "followers": 0, "following": 0,
            "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z",
        });
        add(&mut shown, &more);
        Answer::ok(shown)
    }

    pub(super) fn get_rate_limit(&mut self, _: &Request) -> Outcome {
        let reset = self.seconds() / 3600 * 3600 + 3600;
        let of = |limit: u64, remaining: u64| json!({"limit": limit, "used": limit - remaining, "remaining": remaining, "reset": reset});
        let core = of(5000, self.remaining);
        Answer::ok(json!({
            "resources": {"core": core, "search": of(30, 30), "graphql": of(5000, 5000)}, "rate": core,
        }))
    }

    pub(super) fn get_repository(&mut self, request: &Request) -> Outcome {
        let mut shown = self.repository_json(&self.repos[request.repo], &request.actor);
        // Only people have a role of their own in a repository.
        if request.actor.is_installation() {
            shown.as_object_mut().unwrap().remove("permissions");
        }
        Answer::ok(shown)
    }

    pub(super) fn get_permission(&mut self, request: &Request) -> Outcome {
        let login = request.part("username");
        if !self.users.contains_key(login) {
            return Err(Answer::error(404, &format!("{login} is not a user")));
        }
        let repo = &self.repos[request.repo];
        let role = repo.level(login);
        // The old word has no `maintain` and no `triage`.
        let permission = match role {
            "maintain" => "write",
            "triage" => "read",
            other => other,
        };
        let has = |of: &[&str]| of.contains(&role);
        let mut user = self.user_json(login);
        user["role_name"] = role.into();
        user["permissions"] = json!({
            "admin": has(&["admin"]), "maintain": has(&["admin", "maintain"]),
            "push": has(&["admin", "maintain", "write"]), "triage": has(&["admin", "maintain", "write", "triage"]),
            "pull": role != "none",
        });
        Answer::ok(json!({"permission": permission, "role_name": role, "user": user}))
    }

    pub fn comment_json(&self, repo: &Hosted, comment: &Comment) -> Value {
        let (api, id) = (self.repository_url(repo), comment.id);
        let html = format!("https://github.com/{}/pull/{}#issuecomment-{id}", repo.full_name(), comment.number);
        json!({
            "id": id, "node_id": node("IssueComment", id), "url": format!("{api}/issues/comments/{id}"),
            "html_url": html, "issue_url": format!("{api}/issues/{}", comment.number), "body": comment.body,
            "user": self.user_json(&comment.author), "created_at": date(comment.created),
            "updated_at": date(comment.updated), "author_association": self.association(repo, &comment.author),
            "performed_via_github_app": null,
        })
    }

    fn commit_comment_json(&self, repo: &Hosted, comment: &Comment) -> Value {
        let (api, id) = (self.repository_url(repo), comment.id);
        let html = format!("https://github.com/{}/commit/{}#commitcomment-{id}", repo.full_name(), comment.commit);
        json!({
            "id": id, "node_id": node("CommitComment", id), "url": format!("{api}/comments/{id}"), "html_url": html,
            "body": comment.body, "path": null, "position": null, "line": null, "commit_id": comment.commit,
            "user": self.user_json(&comment.author), "created_at": date(comment.created),
            "updated_at": date(comment.updated), "author_association": self.association(repo, &comment.author),
        })
    }

    fn spoken(&mut self, request: &Request, number: u64, commit: &str) -> Result<Comment, Answer> {
        let body = request.text("body").filter(|body| !body.trim().is_empty());
        let body = body.ok_or_else(|| Answer::invalid("IssueComment", Some("body"), "body cannot be blank"))?;
        check_text("IssueComment", Some(body))?;
        let (id, now) = (self.fresh_id(), self.now());
        let author = request.actor.login();
        self.user(&author);
        let (commit, body) = (commit.to_owned(), body.to_owned());
        Ok(Comment { id, number, commit, author, body, created: now, updated: now })
    }

    pub(super) fn list_comments(&mut self, request: &Request) -> Outcome {
        let repo = &self.repos[request.repo];
        let number = request.number("issue_number");
        repo.pull(number)?;
        let since = request.query("since").map(str::to_owned);
        let is_asked = |comment: &&Comment| {
            comment.number == number && since.as_ref().is_none_or(|since| date(comment.updated) >= *since)
        };
        let all = repo.comments.iter().filter(is_asked).map(|comment| self.comment_json(repo, comment)).collect();
        Ok(request.paged(all, Value::Array))
    }

    pub(super) fn get_comment(&mut self, request: &Request) -> Outcome {
        let repo = &self.repos[request.repo];
        let found = repo.comments.iter().find(|comment| comment.id == request.number("comment_id"));
        Answer::ok(self.comment_json(repo, found.ok_or_else(Answer::not_found)?))
    }

    pub(super) fn post_comment(&mut self, request: &Request) -> Outcome {
        let number = request.number("issue_number");
        self.repos[request.repo].pull(number)?;
        let comment = self.spoken(request, number, "")?;
        self.repos[request.repo].comments.push(comment.clone());
        self.emit_comment(request.repo, &comment.author);
        Answer::created(self.comment_json(&self.repos[request.repo], &comment))
    }

    pub(super) fn patch_comment(&mut self, request: &Request) -> Outcome {
        let comment = self.rewritten(request, |repo| &mut repo.comments)?;
        Answer::ok(self.comment_json(&self.repos[request.repo], &comment))
    }

    /// Changes the text of a comment. An app changes its own ones only; people with write access any.
    fn rewritten(&mut self, request: &Request, of: fn(&mut Hosted) -> &mut Vec<Comment>) -> Result<Comment, Answer> {
        let id = request.number("comment_id");
        let body = request.text("body").unwrap().to_owned();
        check_text("IssueComment", Some(&body))?;
        let (now, login) = (self.now(), request.actor.login());
        let repo = &mut self.repos[request.repo];
        let writes = matches!(repo.level(&login), "write" | "maintain" | "admin");
        let found = of(repo).iter_mut().find(|comment| comment.id == id).ok_or_else(Answer::not_found)?;
        if found.author != login && !(writes || request.actor.is_installation()) {
            return Err(Answer::error(403, "Must have admin rights to Repository."));
        }
        (found.body, found.updated) = (body, now);
        Ok(found.clone())
    }

    /// The full id of the commit that the request names.
    fn named_commit(&self, request: &Request, name: &str) -> Result<String, Answer> {
        let found = self.repos[request.repo].commit(name).map(|commit| commit.id().to_string());
        found.ok_or_else(|| Answer::error(422, &format!("No commit found for SHA: {name}")))
    }

    pub(super) fn list_commit_comments(&mut self, request: &Request) -> Outcome {
        let repo = &self.repos[request.repo];
        let commit = repo.commit(request.part("commit_sha")).ok_or_else(Answer::not_found)?.id().to_string();
        let of = repo.commit_comments.iter().filter(|comment| comment.commit == commit);
        Ok(request.paged(of.map(|comment| self.commit_comment_json(repo, comment)).collect(), Value::Array))
    }

    pub(super) fn post_commit_comment(&mut self, request: &Request) -> Outcome {
        let commit = self.named_commit(request, request.part("commit_sha"))?;
        let comment = self.spoken(request, 0, &commit)?;
        self.repos[request.repo].commit_comments.push(comment.clone());
        Answer::created(self.commit_comment_json(&self.repos[request.repo], &comment))
    }

    pub(super) fn patch_commit_comment(&mut self, request: &Request) -> Outcome {
        let comment = self.rewritten(request, |repo| &mut repo.commit_comments)?;
        Answer::ok(self.commit_comment_json(&self.repos[request.repo], &comment))
    }

    pub(super) fn post_labels(&mut self, request: &Request) -> Outcome {
        let number = request.number("issue_number");
        self.repos[request.repo].pull(number)?;
        let list = if request.body.is_array() { &request.body } else { &request.body["labels"] };
        let name = |label: &Value| label.as_str().or_else(|| label["name"].as_str()).map(str::to_owned);
        let names: Vec<String> = list.as_array().into_iter().flatten().filter_map(name).collect();
        if names.iter().any(|name| name.chars().count() > 50) {
            return Err(Answer::invalid("Label", Some("name"), "name is too long (maximum is 50 characters)"));
        }
        for name in names {
            let id = self.fresh_id();
            let repo = &mut self.repos[request.repo];
            // A label that nobody made yet is made.
            repo.labels.entry(name.clone()).or_insert(id);
            repo.pulls.get_mut(&number).unwrap().labels.insert(name);
        }
        let repo = &self.repos[request.repo];
        Answer::ok(self.labels_json(repo, &repo.pulls[&number]))
    }

    pub(super) fn post_check(&mut self, request: &Request) -> Outcome {
        let commit = self.named_commit(request, request.text("head_sha").unwrap())?;
        let (id, now) = (self.fresh_id(), self.now());
        let repo = &self.repos[request.repo];
        let mut check = json!({
            "id": id, "head_sha": commit, "node_id": node("CheckRun", id), "external_id": "",
            "url": format!("{}/check-runs/{id}", self.repository_url(repo)),
            "html_url": format!("https://github.com/{}/runs/{id}", repo.full_name()), "details_url": null,
            "status": "queued", "conclusion": null, "started_at": date(now), "completed_at": null,
            "name": "", "check_suite": {"id": 1}, "app": self.app_json(), "pull_requests": [],
            "output": {
                "title": null, "summary": null, "text": null, "annotations_count": 0,
                "annotations_url": format!("{}/check-runs/{id}/annotations", self.repository_url(repo)),
            },
        });
        update_check(&mut check, &request.body, now);
        self.repos[request.repo].checks.push(check.clone());
        Answer::created(check)
    }

    pub(super) fn patch_check(&mut self, request: &Request) -> Outcome {
        let (id, now) = (request.number("check_run_id"), self.now());
        let found = self.repos[request.repo].checks.iter_mut().find(|check| check["id"] == id);
        let check = found.ok_or_else(Answer::not_found)?;
        update_check(check, &request.body, now);
        Answer::ok(check.clone())
    }

    pub(super) fn list_checks(&mut self, request: &Request) -> Outcome {
        let commit = self.named_commit(request, request.part("ref"))?;
        let (name, status) = (request.query("check_name"), request.query("status"));
        let app = request.query("app_id").and_then(|id| id.parse::<u64>().ok());
        let is_asked = |check: &&Value| {
            check["head_sha"] == commit
                && name.is_none_or(|name| check["name"] == name)
                && status.is_none_or(|status| check["status"] == status)
                && app.is_none_or(|app| check["app"]["id"] == app)
        };
        let mut all: Vec<Value> = self.repos[request.repo].checks.iter().filter(is_asked).cloned().collect();
        // Of runs with one name, the latest, unless all are asked for.
        if request.query("filter") != Some("all") {
            let names: Vec<Value> = all.iter().map(|check| check["name"].clone()).collect();
            let mut at = 0;
            all.retain(|check| {
                at += 1;
                !names[at..].contains(&check["name"])
            });
        }
        let total = all.len();
        Ok(request.paged(all, |items| json!({"total_count": total, "check_runs": items})))
    }
}

/// Takes over what a request says of a check run.
fn update_check(check: &mut Value, asked: &Value, now: u64) {
    for field in ["name", "external_id", "details_url", "status", "conclusion", "started_at", "completed_at"] {
        if let Some(value) = asked.get(field) {
            check[field] = value.clone();
        }
    }
    // A conclusion completes it.
    if asked.get("conclusion").is_some() {
        check["status"] = "completed".into();
        if check["completed_at"].is_null() {
            check["completed_at"] = date(now).into();
        }
    }
    for field in ["title", "summary", "text"] {
        if let Some(value) = asked["output"].get(field) {
            check["output"][field] = value.clone();
        }
    }
    if let Some(annotations) = asked["output"]["annotations"].as_array() {
        let before = check["output"]["annotations_count"].as_u64().unwrap_or_default();
        check["output"]["annotations_count"] = (before + annotations.len() as u64).into();
    }
}
