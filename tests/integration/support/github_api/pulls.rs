//! Pull requests, with merges and conflicts that are really computed.

use git2::Oid;
use serde_json::{Value, json};

use super::auth::Actor;
use super::compare::{commits, diff};
use super::http::{Answer, Outcome, Request};
use super::shapes::{add, date, node};
use super::world::{Hosted, Pull, World};

/// Longest text of a pull request or comment, characters.
pub const TEXT: usize = 65_536;

impl Hosted {
    /// The commit that merging would make, if there is no conflict. It is stored, as GitHub does, under no branch.
    fn trial(&self, pull: &Pull) -> Option<Oid> {
        let (base, head) = (self.git.find_commit(pull.base_sha).ok()?, self.git.find_commit(pull.head_sha).ok()?);
        let mut index = self.git.merge_commits(&base, &head, None).ok()?;
        if index.has_conflicts() {
            return None;
        }
        let tree = self.git.find_tree(index.write_tree_to(&self.git).ok()?).ok()?;
        let who = git2::Signature::new("GitHub", "noreply@github.com", &head.committer().when()).ok()?;
        let message = format!("Merge {} into {}", pull.head_sha, pull.base_sha);
        self.git.commit(None, &who, &who, &message, &tree, &[&base, &head]).ok()
    }

    fn label_json(&self, api: &str, name: &str) -> Value {
        let id = self.labels.get(name).copied().unwrap_or_default();
        let url = format!("{api}/labels/{}", name.replace(' ', "%20"));
        json!({
            "id": id, "node_id": node("Label", id), "url": url, "name": name, "color": "ededed", "default": false,
            "description": "",
        })
    }
}

/// The branches of a pull request and where they are.
pub struct Ends {
    pub head: String,
    pub head_sha: Oid,
    pub base: String,
    pub base_sha: Oid,
}

impl World {
    pub(super) fn labels_json(&self, repo: &Hosted, pull: &Pull) -> Value {
        let api = self.repository_url(repo);
        pull.labels.iter().map(|name| repo.label_json(&api, name)).collect()
    }

    pub(super) fn association(&self, repo: &Hosted, login: &str) -> &'static str {
        if login == repo.owner {
            "OWNER"
        } else if repo.collaborators.contains_key(login) {
            "COLLABORATOR"
        } else {
            "NONE"
        }
    }

    fn team_json(&self, repo: &Hosted, slug: &str) -> Value {
        let url = format!("{}/teams/{slug}", self.base);
        json!({
            "id": 1, "node_id": node("Team", 1), "url": url, "members_url": format!("{url}/members{{/member}}"),
            "name": slug, "description": null, "permission": "push", "privacy": "closed",
            "html_url": format!("https://github.com/orgs/{}/teams/{slug}", repo.owner),
            "repositories_url": format!("{url}/repos"), "slug": slug, "parent": null,
            "notification_setting": "notifications_enabled", "type": "organization",
        })
    }

    /// One end of a pull request.
    fn end_json(&self, repo: &Hosted, branch: &str, sha: Oid) -> Value {
        json!({
            "label": format!("{}:{branch}", repo.owner), "ref": branch, "sha": sha.to_string(),
            "user": self.user_json(&repo.owner), "repo": self.repository_json(repo, &Actor::Nobody),
        })
    }

    /// A pull request as lists show it.
    pub fn pull_json(&self, repo: &Hosted, pull: &Pull) -> Value {
        let (api, number) = (self.repository_url(repo), pull.number);
        let html = format!("https://github.com/{}/pull/{number}", repo.full_name());
        let (here, issue) = (format!("{api}/pulls/{number}"), format!("{api}/issues/{number}"));
        let statuses = format!("{api}/statuses/{}", pull.head_sha);
        let comment = format!("{api}/pulls/comments{{/number}}");
        // While it is open, the commit that a merge would make; afterwards, the one that was made.
        let merge = pull.merged.as_ref().map(|merged| merged.commit).or_else(|| repo.trial(pull));
        let links = json!({
            "self": {"href": here}, "html": {"href": html}, "issue": {"href": issue},
            "comments": {"href": format!("{issue}/comments")},
            "review_comments": {"href": format!("{here}/comments")}, "review_comment": {"href": comment},
            "commits": {"href": format!("{here}/commits")}, "statuses": {"href": statuses},
        });
        json!({
            "url": here, "id": pull.id, "node_id": node("PullRequest", pull.id), "html_url": html,
            "diff_url": format!("{html}.diff"), "patch_url": format!("{html}.patch"), "issue_url": issue,
            "number": number, "state": if pull.open { "open" } else { "closed" }, "locked": false,
            "title": pull.title, "user": self.user_json(&pull.author), "body": pull.body,
            "created_at": date(pull.created), "updated_at": date(pull.updated), "closed_at": pull.closed.map(date),
            "merged_at": pull.merged.as_ref().map(|merged| date(merged.at)),
            "merge_commit_sha": merge.map(|id| id.to_string()), "assignee": null, "assignees": [],
            "requested_reviewers": pull.reviewers.iter().map(|login| self.user_json(login)).collect::<Vec<_>>(),
            "requested_teams": pull.teams.iter().map(|slug| self.team_json(repo, slug)).collect::<Vec<_>>(),
            "labels": self.labels_json(repo, pull), "milestone": null, "draft": pull.draft,
            "commits_url": format!("{here}/commits"), "review_comments_url": format!("{here}/comments"),
            "review_comment_url": comment, "comments_url": format!("{issue}/comments"), "statuses_url": statuses,
            "head": self.end_json(repo, &pull.head, pull.head_sha),
            "base": self.end_json(repo, &pull.base, pull.base_sha),
            "_links": links,
            "author_association": self.association(repo, &pull.author), "auto_merge": null,
            "active_lock_reason": null,
        })
    }

    /// A pull request as it is shown alone.
    pub fn full_pull_json(&self, repo: &Hosted, pull: &Pull) -> Value {
        let mut shown = self.pull_json(repo, pull);
        let clean = repo.trial(pull).is_some();
        let state = match (&pull.merged, pull.open, clean) {
            (Some(_), ..) | (_, false, _) => "unknown",
            (_, _, false) => "dirty",
            _ if pull.draft => "draft",
            _ => "clean",
        };
        let fork = repo.git.merge_base(pull.base_sha, pull.head_sha).ok();
        let fork = fork.and_then(|id| repo.git.find_commit(id).ok()?.tree().ok());
        let head = repo.git.find_commit(pull.head_sha).unwrap();
        let stats = fork.map(|fork| diff(&repo.git, &fork, &head.tree().unwrap()).stats().unwrap());
        let count = |of: fn(&git2::DiffStats) -> usize| stats.as_ref().map_or(0, of);
        let comments = repo.comments.iter().filter(|comment| comment.number == pull.number).count();
        let more = json!({
            "merged": pull.merged.is_some(), "mergeable": pull.open.then_some(clean), "rebaseable": pull.open.then_some(clean),
            "mergeable_state": state,
            "merged_by": pull.merged.as_ref().map(|merged| self.user_json(&merged.by)), "comments": comments,
            "review_comments": 0, "maintainer_can_modify": false,
            "commits": commits(&repo.git, pull.base_sha, pull.head_sha).len(), "additions": count(git2::DiffStats::insertions),
            "deletions": count(git2::DiffStats::deletions), "changed_files": count(git2::DiffStats::files_changed),
        });
        add(&mut shown, &more);
        shown
    }

    pub(super) fn list_pulls(&mut self, request: &Request) -> Outcome {
        let repo = &self.repos[request.repo];
        let state = request.query("state").unwrap_or("open");
        // A head without an owner is no filter at all: everything is listed.
        let head = request.query("head").and_then(|head| head.split_once(':'));
        let base = request.query("base");
        let is_asked = |pull: &&Pull| {
            let in_state = state == "all" || (state == "open") == pull.open;
            let of_head =
                head.is_none_or(|(owner, branch)| owner.eq_ignore_ascii_case(&repo.owner) && branch == pull.head);
            in_state && of_head && base.is_none_or(|base| base == pull.base)
        };
        let mut found: Vec<&Pull> = repo.pulls.values().filter(is_asked).collect();
        if request.query("sort") == Some("updated") {
            found.sort_by_key(|pull| pull.updated);
        }
        let default = if request.query("sort").is_some_and(|sort| sort != "created") { "asc" } else { "desc" };
        if request.query("direction").unwrap_or(default) == "desc" {
            found.reverse();
        }
        let all = found.into_iter().map(|pull| self.pull_json(repo, pull)).collect();
        Ok(request.paged(all, Value::Array))
    }

    pub(super) fn get_pull(&mut self, request: &Request) -> Outcome {
        let repo = &self.repos[request.repo];
        Answer::ok(self.full_pull_json(repo, repo.pull(request.number("pull_number"))?))
    }

    pub(super) fn list_pull_files(&mut self, request: &Request) -> Outcome {
        let repo = &self.repos[request.repo];
        let pull = repo.pull(request.number("pull_number"))?;
        let tree = |id| repo.git.find_commit(id).unwrap().tree().unwrap();
        let fork = repo.git.merge_base(pull.base_sha, pull.head_sha).map_err(|_| Answer::not_found())?;
        let files = self.files_json(repo, &diff(&repo.git, &tree(fork), &tree(pull.head_sha)), pull.head_sha);
        Ok(request.paged(files, Value::Array))
    }

    /// The ends of a pull request that is asked for: branches and tips.
    fn ends(&self, request: &Request) -> Result<(String, Oid, String, Oid), Answer> {
        let repo = &self.repos[request.repo];
        let invalid = |field: &str| Answer::invalid("PullRequest", Some(field), "invalid");
        let asked = request.text("head").unwrap();
        let (owner, head) = asked.split_once(':').unwrap_or((repo.owner.as_str(), asked));
        let base = request.text("base").unwrap();
        let head_sha = repo.tip(head).filter(|_| owner.eq_ignore_ascii_case(&repo.owner));
        let head_sha = head_sha.ok_or_else(|| invalid("head"))?;
        let base_sha = repo.tip(base).ok_or_else(|| invalid("base"))?;
        let same = repo.pulls.values().any(|pull| pull.open && pull.head == head && pull.base == base);
        if same {
            let message = format!("A pull request already exists for {}:{head}.", repo.owner);
            return Err(Answer::invalid("PullRequest", None, &message));
        }
        if repo.git.merge_base(base_sha, head_sha).is_err() {
            let message = format!("The {head} branch has no history in common with {base}");
            return Err(Answer::invalid("PullRequest", None, &message));
        }
        if commits(&repo.git, base_sha, head_sha).is_empty() {
            let message = format!("No commits between {base} and {head}");
            return Err(Answer::invalid("PullRequest", None, &message));
        }
        Ok((head.to_owned(), head_sha, base.to_owned(), base_sha))
    }

    pub(super) fn post_pull(&mut self, request: &Request) -> Outcome {
        let title = request.text("title").filter(|title| !title.trim().is_empty());
        let title = title.ok_or_else(|| Answer::invalid("PullRequest", Some("title"), "missing_field"))?.to_owned();
        let body = request.text("body").map(str::to_owned);
        check_text("PullRequest", body.as_deref())?;
        if title.chars().count() > 256 {
            return Err(Answer::invalid("Issue", Some("title"), "title is too long (maximum is 256 characters)"));
        }
        let (head, head_sha, base, base_sha) = self.ends(request)?;
        let draft = request.body["draft"] == true;
        let ends = Ends { head, head_sha, base, base_sha };
        let number = self.put_pull(request.repo, ends, (title, body, draft), &request.actor.login());
        let repo = &self.repos[request.repo];
        Answer::created(self.full_pull_json(repo, &repo.pulls[&number]))
    }

    /// Stores a pull request and tells of it.
    pub(super) fn put_pull(&mut self, at: usize, ends: Ends, text: (String, Option<String>, bool), by: &str) -> u64 {
        self.user(by);
        let (id, now) = (self.fresh_id(), self.now());
        let Ends { head, head_sha, base, base_sha } = ends;
        let (title, body, draft) = text;
        let repo = &mut self.repos[at];
        let number = repo.next_number;
        repo.next_number += 1;
        let pull = Pull {
            id,
            number,
            title,
            body,
            draft,
            open: true,
            head,
            head_sha,
            base,
            base_sha,
            author: by.to_owned(),
            labels: Default::default(),
            reviewers: Default::default(),
            teams: Default::default(),
            created: now,
            updated: now,
            closed: None,
            merged: None,
        };
        repo.pulls.insert(number, pull);
        self.emit_pull((at, number), "opened", by, None);
        number
    }

    pub(super) fn patch_pull(&mut self, request: &Request) -> Outcome {
        let number = request.number("pull_number");
        check_text("PullRequest", request.text("body"))?;
        let now = self.now();
        let repo = &mut self.repos[request.repo];
        let pull = repo.pull(number)?;
        if let Some(base) = request.text("base")
            && repo.tip(base).is_none()
        {
            return Err(Answer::invalid("PullRequest", Some("base"), "invalid"));
        }
        let reopens = request.text("state") == Some("open") && !pull.open;
        let closes = request.text("state") == Some("closed") && pull.open;
        if reopens {
            repo.may_reopen(pull)?;
        }
        let pull = repo.pulls.get_mut(&number).unwrap();
        match request.text("state") {
            Some("closed") if pull.open => (pull.open, pull.closed) = (false, Some(now)),
            Some("open") => (pull.open, pull.closed) = (true, None),
            _ => {}
        }
        if let Some(title) = request.text("title") {
            pull.title = title.to_owned();
        }
        if let Some(body) = request.text("body") {
            pull.body = Some(body.to_owned());
        }
        if let Some(base) = request.text("base") {
            pull.base = base.to_owned();
        }
        pull.updated = now;
        if reopens || closes {
            let action = if reopens { "reopened" } else { "closed" };
            self.emit_pull((request.repo, number), action, &request.actor.login(), None);
        }
        let repo = &self.repos[request.repo];
        Answer::ok(self.full_pull_json(repo, &repo.pulls[&number]))
    }

    pub(super) fn post_reviewers(&mut self, request: &Request) -> Outcome {
        let number = request.number("pull_number");
        let repo = &mut self.repos[request.repo];
        let author = repo.pull(number)?.author.clone();
        let names = |field: &str| -> Vec<String> {
            let list = request.body[field].as_array().into_iter().flatten();
            list.filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let (people, teams) = (names("reviewers"), names("team_reviewers"));
        if people.contains(&author) {
            return Err(Answer::error(422, "Review cannot be requested from pull request author."));
        }
        let can_review = |login: &String| *login == repo.owner || repo.collaborators.contains_key(login);
        if !people.iter().all(can_review) {
            let message = "Reviews may only be requested from collaborators. One or more of the users or teams you \
                           specified is not a collaborator of the repository.";
            return Err(Answer::error(422, message));
        }
        let named = |team: &String| repo.collaborators.contains_key(&format!("@{team}"));
        if !teams.iter().all(named) {
            let message = format!(
                "Reviews may only be requested from collaborators. One or more of the teams you specified is not a \
                 collaborator of the {}/{} repository.",
                repo.owner, repo.name
            );
            return Err(Answer::error(422, &message));
        }
        let pull = repo.pulls.get_mut(&number).unwrap();
        pull.reviewers.extend(people);
        pull.teams.extend(teams);
        let repo = &self.repos[request.repo];
        Ok(Answer::new(201, self.pull_json(repo, &repo.pulls[&number])))
    }
}

impl Hosted {
    /// Whether a closed pull request can be opened again.
    pub fn may_reopen(&self, pull: &Pull) -> Result<(), Answer> {
        let refused = |message: &str| Err(Answer::invalid("PullRequest", Some("state"), message));
        if pull.merged.is_some() {
            return refused("state cannot be changed. The pull request is already merged.");
        }
        let Some(tip) = self.tip(&pull.head) else {
            return refused(&format!("state cannot be changed. The {} branch has been deleted.", pull.head));
        };
        let forward = tip == pull.head_sha || self.git.graph_descendant_of(tip, pull.head_sha).unwrap_or(false);
        if !forward {
            return refused(&format!(
                "state cannot be changed. The {} branch was force-pushed or recreated.",
                pull.head
            ));
        }
        let same = |other: &&Pull| other.open && other.head == pull.head && other.base == pull.base;
        if self.pulls.values().find(same).is_some() {
            let message = format!("A pull request already exists for {}:{}.", self.owner, pull.head);
            return Err(Answer::invalid("PullRequest", None, &message));
        }
        Ok(())
    }
}

pub fn check_text(resource: &str, text: Option<&str>) -> Result<(), Answer> {
    if text.is_some_and(|text| text.chars().count() > TEXT) {
        return Err(Answer::invalid(resource, Some("body"), "body is too long (maximum is 65536 characters)"));
    }
    Ok(())
}
