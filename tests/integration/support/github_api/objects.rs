//! Git data: references, trees, blobs and commits, read from and written to the real repository.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::DateTime;
use git2::build::TreeUpdateBuilder;
use git2::{ErrorCode, FileMode, ObjectType, Oid, Signature, Time};
use serde_json::{Value, json};

use super::auth::Actor;
use super::http::{Answer, Outcome, Request};
use super::shapes::{encoded, node, person, unverified};
use super::world::{BOT, Hosted, World};

/// Largest blob that is answered, bytes.
const BLOB: usize = 100 << 20;

fn unprocessable(message: &str) -> Answer {
    Answer::error(422, message)
}

fn id(text: &str) -> Option<Oid> {
    // Shortened ids are no ids here.
    Oid::from_str(text).ok().filter(|_| text.len() == 40)
}

/// An entry that somebody asks to put into a tree; without an object, to take out.
struct Entry {
    path: String,
    mode: FileMode,
    object: Option<Oid>,
}

impl World {
    fn reference_json(&self, repo: &Hosted, found: &git2::Reference<'_>) -> Value {
        let name = String::from_utf8_lossy(found.name_bytes()).into_owned();
        let target = found.target().unwrap();
        let kind = repo.git.find_object(target, None).unwrap().kind().unwrap().str();
        let api = self.repository_url(repo);
        let place = if kind == "tag" { "tags" } else { "commits" };
        json!({
            "ref": name, "node_id": node("Ref", &name), "url": format!("{api}/git/{name}"),
            "object": {"sha": target.to_string(), "type": kind, "url": format!("{api}/git/{place}/{target}")},
        })
    }

    /// The repository, unless it has no commit yet.
    fn filled(&self, request: &Request) -> Result<&Hosted, Answer> {
        let repo = &self.repos[request.repo];
        if repo.is_empty() { Err(Answer::error(409, "Git Repository is empty.")) } else { Ok(repo) }
    }

    pub(super) fn get_ref(&mut self, request: &Request) -> Outcome {
        let repo = self.filled(request)?;
        let found = repo.git.find_reference(&format!("refs/{}", request.part("ref")));
        Answer::ok(self.reference_json(repo, &found.map_err(|_| Answer::not_found())?))
    }

    pub(super) fn get_matching_refs(&mut self, request: &Request) -> Outcome {
        let repo = self.filled(request)?;
        let beginning = format!("refs/{}", request.part("ref"));
        let all = repo.git.references().unwrap().map(Result::unwrap);
        let mut found: Vec<_> = all.filter(|one| one.name_bytes().starts_with(beginning.as_bytes())).collect();
        found.sort_by(|a, b| a.name_bytes().cmp(b.name_bytes()));
        Answer::ok(found.iter().map(|one| self.reference_json(repo, one)).collect())
    }

    pub(super) fn post_ref(&mut self, request: &Request) -> Outcome {
        let repo = self.filled(request)?;
        let (name, sha) = (request.text("ref").unwrap(), request.text("sha").unwrap());
        if !name.starts_with("refs/") || name.matches('/').count() < 2 {
            return Err(unprocessable("Reference name must start with 'refs/' and contain at least two '/'."));
        }
        if !git2::Reference::is_valid_name(name) {
            return Err(unprocessable(&format!("{name} is not a valid ref name.")));
        }
        let target = id(sha).filter(|id| repo.git.find_object(*id, None).is_ok());
        let target = target.ok_or_else(|| unprocessable("Object does not exist"))?;
        if name.starts_with("refs/heads/") && repo.git.find_commit(target).is_err() {
            return Err(unprocessable("Object is not a commit"));
        }
        if name.strip_prefix("refs/heads/").is_some_and(|branch| repo.is_protected(branch)) {
            return Err(unprocessable(
                "Repository rule violations found\n\nCannot create ref due to creations being restricted.\n\n",
            ));
        }
        let made = repo.git.reference(name, target, false, "api").map_err(|error| match error.code() {
            ErrorCode::Exists => unprocessable("Reference already exists"),
            // A branch `a` and a branch `a/b` cannot both exist.
            _ => unprocessable("Reference update failed"),
        })?;
        Answer::created(self.reference_json(repo, &made))
    }

    pub(super) fn patch_ref(&mut self, request: &Request) -> Outcome {
        let repo = self.filled(request)?;
        let name = format!("refs/{}", request.part("ref"));
        let found = repo.git.find_reference(&name).map_err(|_| unprocessable("Reference does not exist"))?;
        let target = request.text("sha").and_then(id).filter(|id| repo.git.find_commit(*id).is_ok());
        let target = target.ok_or_else(|| unprocessable("Object does not exist"))?;
        if repo.is_protected(name.trim_start_matches("refs/heads/")) {
            return Err(unprocessable("Cannot update this protected ref."));
        }
        let before = found.target().unwrap();
        let forward = before == target || repo.git.graph_descendant_of(target, before).unwrap_or(false);
        if !forward && request.body["force"] != true {
            return Err(unprocessable("Update is not a fast forward"));
        }
        let moved = repo.git.reference(&name, target, true, "api").unwrap();
        Answer::ok(self.reference_json(repo, &moved))
    }

    pub(super) fn delete_ref(&mut self, request: &Request) -> Outcome {
        let repo = self.filled(request)?;
        let name = format!("refs/{}", request.part("ref"));
        let mut found = repo.git.find_reference(&name).map_err(|_| unprocessable("Reference does not exist"))?;
        if repo.is_protected(name.trim_start_matches("refs/heads/")) {
            return Err(unprocessable("Cannot delete this protected ref."));
        }
        found.delete().unwrap();
        Ok(Answer::new(204, Value::Null))
    }

    pub(super) fn get_tag(&mut self, request: &Request) -> Outcome {
        let repo = self.filled(request)?;
        let found = id(request.part("tag_sha")).and_then(|id| repo.git.find_tag(id).ok());
        let tag = found.ok_or_else(Answer::not_found)?;
        let (sha, api) = (tag.id().to_string(), self.repository_url(repo));
        let kind = tag.target_type().unwrap().str();
        let place = if kind == "tag" { "tags" } else { "commits" };
        let target = tag.target_id();
        let now = Signature::new("nobody", "nobody@example.org", &Time::new(0, 0)).unwrap();
        Answer::ok(json!({
            "node_id": node("Tag", &sha), "sha": sha, "url": format!("{api}/git/tags/{sha}"),
            "tag": String::from_utf8_lossy(tag.name_bytes()), "verification": unverified(),
            "message": String::from_utf8_lossy(tag.message_bytes().unwrap_or_default()),
            "tagger": person(&tag.tagger().unwrap_or(now)),
            "object": {"type": kind, "sha": target.to_string(), "url": format!("{api}/git/{place}/{target}")},
        }))
    }

    fn tree_entry(&self, repo: &Hosted, path: &str, entry: &git2::TreeEntry<'_>) -> Value {
        let api = self.repository_url(repo);
        let (mode, sha) = (format!("{:06o}", entry.filemode_raw()), entry.id().to_string());
        match entry.kind() {
            Some(ObjectType::Tree) => json!({
                "path": path, "mode": mode, "type": "tree", "sha": sha, "url": format!("{api}/git/trees/{sha}"),
            }),
            Some(ObjectType::Commit) => json!({"path": path, "mode": mode, "type": "commit", "sha": sha}),
            _ => {
                let size = repo.git.odb().unwrap().read_header(entry.id()).unwrap().0;
                let url = format!("{api}/git/blobs/{sha}");
                json!({"path": path, "mode": mode, "type": "blob", "sha": sha, "size": size, "url": url})
            }
        }
    }

    fn tree_json(&self, repo: &Hosted, tree: &git2::Tree<'_>, recursive: bool) -> Value {
        let mut entries = self.list(repo, tree, "", recursive);
        let truncated = entries.len() > repo.tree_limit;
        entries.truncate(repo.tree_limit);
        let url = format!("{}/git/trees/{}", self.repository_url(repo), tree.id());
        json!({"sha": tree.id().to_string(), "url": url, "tree": entries, "truncated": truncated})
    }

    fn list(&self, repo: &Hosted, tree: &git2::Tree<'_>, folder: &str, recursive: bool) -> Vec<Value> {
        let mut all = Vec::new();
        for entry in tree {
            let path = format!("{folder}{}", String::from_utf8_lossy(entry.name_bytes()));
            all.push(self.tree_entry(repo, &path, &entry));
            if recursive && entry.kind() == Some(ObjectType::Tree) {
                let inner = repo.git.find_tree(entry.id()).unwrap();
                all.extend(self.list(repo, &inner, &format!("{path}/"), true));
            }
        }
        all
    }

    pub(super) fn get_tree(&mut self, request: &Request) -> Outcome {
        let repo = self.filled(request)?;
        let named = request.part("tree_sha");
        let direct = id(named).and_then(|id| repo.git.find_tree(id).ok());
        let tree = direct.or_else(|| repo.commit(named).and_then(|commit| commit.tree().ok()));
        let tree = tree.ok_or_else(Answer::not_found)?;
        // Any value at all, `0` and `false` too.
        Answer::ok(self.tree_json(repo, &tree, request.query.contains_key("recursive")))
    }

    pub(super) fn post_tree(&mut self, request: &Request) -> Outcome {
        let repo = self.filled(request)?;
        let empty = || repo.git.find_tree(repo.git.treebuilder(None).unwrap().write().unwrap()).unwrap();
        let base = match request.text("base_tree") {
            None => empty(),
            // The id of a commit does as well.
            Some(sha) => {
                let found = id(sha).and_then(|id| repo.git.find_object(id, None).ok()?.peel_to_tree().ok());
                found.ok_or_else(|| unprocessable("base_tree is not a valid tree oid"))?
            }
        };
        let mut update = TreeUpdateBuilder::new();
        for asked in request.body["tree"].as_array().unwrap() {
            let entry = Entry::read(repo, asked)?;
            match entry.object {
                Some(object) => drop(update.upsert(entry.path, object, entry.mode)),
                None if base.get_path(entry.path.as_ref()).is_ok() => drop(update.remove(entry.path)),
                None => return Err(unprocessable("GitRPC::BadObjectState")),
            }
        }
        let made = update.create_updated(&repo.git, &base);
        let made = made.map_err(|_| unprocessable("tree.path contains a malformed path component"))?;
        Answer::created(self.tree_json(repo, &repo.git.find_tree(made).unwrap(), false))
    }

    pub(super) fn get_blob(&mut self, request: &Request) -> Outcome {
        let repo = self.filled(request)?;
        let found = id(request.part("file_sha")).and_then(|id| repo.git.find_blob(id).ok());
        let blob = found.ok_or_else(Answer::not_found)?;
        if blob.size() > BLOB {
            let mut refusal = Answer::error(403, "This API returns blobs up to 100 MB in size.");
            refusal.body["errors"] = json!([{"resource": "Blob", "field": "data", "code": "too_large"}]);
            return Err(refusal);
        }
        let sha = blob.id().to_string();
        Answer::ok(json!({
            "sha": sha, "node_id": node("Blob", &sha), "size": blob.size(),
            "url": format!("{}/git/blobs/{sha}", self.repository_url(repo)), "content": encoded(blob.content()),
            "encoding": "base64",
        }))
    }

    pub(super) fn post_blob(&mut self, request: &Request) -> Outcome {
        let repo = self.filled(request)?;
        let content = request.text("content").unwrap();
        let bytes = match request.text("encoding").unwrap_or("utf-8") {
            "base64" => {
                let compact: String = content.split_whitespace().collect();
                BASE64_STANDARD.decode(compact).map_err(|_| unprocessable("content is not valid Base64"))?
            }
            "utf-8" => content.as_bytes().to_vec(),
            _ => return Err(unprocessable("encoding must be utf-8 or base64")),
        };
        let sha = repo.git.blob(&bytes).unwrap().to_string();
        let url = format!("{}/git/blobs/{sha}", self.repository_url(repo));
        Answer::created(json!({"sha": sha, "url": url}))
    }

    fn git_commit_json(&self, repo: &Hosted, commit: &git2::Commit<'_>, signed: bool) -> Value {
        let api = self.repository_url(repo);
        let (sha, tree) = (commit.id().to_string(), commit.tree_id().to_string());
        let html = format!("https://github.com/{}/commit", repo.full_name());
        let parents = commit.parent_ids().map(|parent| {
            let url = format!("{api}/git/commits/{parent}");
            json!({"sha": parent.to_string(), "url": url, "html_url": format!("{html}/{parent}")})
        });
        let mut verification = unverified();
        if signed {
            verification["verified"] = true.into();
            verification["reason"] = "valid".into();
        }
        json!({
            "sha": sha, "node_id": node("Commit", &sha), "url": format!("{api}/git/commits/{sha}"),
            "html_url": format!("{html}/{sha}"), "author": person(&commit.author()),
            "committer": person(&commit.committer()), "message": String::from_utf8_lossy(commit.message_bytes()),
            "tree": {"sha": tree, "url": format!("{api}/git/trees/{tree}")},
            "parents": parents.collect::<Vec<_>>(), "verification": verification,
        })
    }

    pub(super) fn get_git_commit(&mut self, request: &Request) -> Outcome {
        let repo = self.filled(request)?;
        let found = id(request.part("commit_sha")).and_then(|id| repo.git.find_commit(id).ok());
        Answer::ok(self.git_commit_json(repo, &found.ok_or_else(Answer::not_found)?, false))
    }

    pub(super) fn post_git_commit(&mut self, request: &Request) -> Outcome {
        let repo = self.filled(request)?;
        let (author, committer) = self.signatures(request)?;
        let tree = request.text("tree").and_then(id).and_then(|id| repo.git.find_tree(id).ok());
        let tree = tree.ok_or_else(|| unprocessable("Tree SHA does not exist"))?;
        let mut parents = Vec::new();
        for parent in request.body["parents"].as_array().into_iter().flatten() {
            let found = parent.as_str().and_then(id).and_then(|id| repo.git.find_commit(id).ok());
            parents.push(found.ok_or_else(|| unprocessable("Parent SHA does not exist or is not a commit object"))?);
        }
        let message = request.text("message").unwrap();
        let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
        let made = repo.git.commit(None, &author, &committer, message, &tree, &parents).unwrap();
        // GitHub signs what an app commits in nobody else's name.
        let own = request.body.get("author").is_none() && request.body.get("committer").is_none();
        let signed = own && request.actor.is_installation();
        Answer::created(self.git_commit_json(repo, &repo.git.find_commit(made).unwrap(), signed))
    }

    /// Author and committer: as given, else the caller now. A committer who is not given is the author.
    fn signatures(&self, request: &Request) -> Result<(Signature<'static>, Signature<'static>), Answer> {
        let now = Time::new(i64::try_from(self.seconds()).unwrap(), 0);
        let login = request.actor.login();
        let id = self.users.get(&login).copied().unwrap_or(1);
        let own = Signature::new(&login, &format!("{id}+{login}@users.noreply.github.com"), &now).unwrap();
        let read = |given: &Value| -> Result<Signature<'static>, Answer> {
            let when = match given["date"].as_str() {
                Some(text) => {
                    let at = DateTime::parse_from_rfc3339(text);
                    let at = at.map_err(|_| unprocessable("The date is not a valid timestamp"))?;
                    Time::new(at.timestamp(), at.offset().local_minus_utc() / 60)
                }
                None => now,
            };
            let (name, email) =
                (given["name"].as_str().unwrap_or_default(), given["email"].as_str().unwrap_or_default());
            Signature::new(name, email, &when).map_err(|_| unprocessable("The name of a person is missing"))
        };
        let author = request.body.get("author").map(&read).transpose()?;
        let committer = request.body.get("committer").map(&read).transpose()?;
        let by_github = || Signature::new("GitHub", "noreply@github.com", &now).unwrap();
        let is_app = matches!(&request.actor, Actor::Token(token) if token.login == BOT);
        Ok(match (author, committer) {
            (None, None) => (own.clone(), if is_app { by_github() } else { own }),
            (Some(author), committer) => (author.clone(), committer.unwrap_or(author)),
            (None, Some(committer)) => (own, committer),
        })
    }
}

impl Entry {
    fn read(repo: &Hosted, asked: &Value) -> Result<Self, Answer> {
        let path = asked["path"].as_str().unwrap_or_default().to_owned();
        if path.is_empty() || path.starts_with('/') {
            return Err(unprocessable("tree.path cannot start with a slash"));
        }
        let (mode, kind) = match asked["mode"].as_str() {
            Some("100644") => (FileMode::Blob, ObjectType::Blob),
            Some("100755") => (FileMode::BlobExecutable, ObjectType::Blob),
            Some("120000") => (FileMode::Link, ObjectType::Blob),
            Some("040000") => (FileMode::Tree, ObjectType::Tree),
            Some("160000") => (FileMode::Commit, ObjectType::Commit),
            _ => return Err(unprocessable("Must supply a valid tree.mode")),
        };
        let object = match (&asked["sha"], asked["content"].as_str()) {
            (Value::String(_), Some(_)) => {
                return Err(unprocessable("Must supply either tree.sha or tree.content, not both."));
            }
            (Value::String(sha), None) => {
                let found = id(sha).filter(|id| {
                    // A submodule's commit lives elsewhere.
                    kind == ObjectType::Commit || repo.git.find_object(*id, Some(kind)).is_ok()
                });
                let message = format!("tree.sha {sha} is not a valid {}", kind.str());
                Some(found.ok_or_else(|| unprocessable(&message))?)
            }
            (_, Some(content)) => Some(repo.git.blob(content.as_bytes()).unwrap()),
            (Value::Null, None) if asked.get("sha").is_some() => None,
            _ => return Err(unprocessable("Must supply either tree.sha or tree.content.")),
        };
        Ok(Self { path, mode, object })
    }
}
