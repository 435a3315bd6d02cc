//! Reading what is in commits: comparisons, contents of paths, single commits and branches.

use git2::{Delta, DiffFindOptions, ObjectType, Oid};
use serde_json::{Value, json};

use super::http::{Answer, Outcome, Request};
use super::shapes::encoded;
use super::world::{Hosted, World};

/// Most files of a comparison.
const FILES: usize = 300;
/// Most commits of a comparison that is not asked for in pages.
const COMMITS: usize = 250;
/// Largest file whose content is shown with its path, bytes.
const CONTENT: usize = 1 << 20;

/// The changes between two trees, renames found.
pub fn diff<'a>(git: &'a git2::Repository, from: &git2::Tree<'_>, to: &git2::Tree<'_>) -> git2::Diff<'a> {
    let mut diff = git.diff_tree_to_tree(Some(from), Some(to), None).unwrap();
    diff.find_similar(Some(DiffFindOptions::new().renames(true))).unwrap();
    diff
}

/// The commits that `head` has and `base` has not, oldest first.
pub fn commits(git: &git2::Repository, base: Oid, head: Oid) -> Vec<Oid> {
    let mut walk = git.revwalk().unwrap();
    walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::REVERSE).unwrap();
    walk.push(head).unwrap();
    walk.hide(base).unwrap();
    walk.map(Result::unwrap).collect()
}

fn path(file: &git2::DiffFile<'_>) -> String {
    String::from_utf8_lossy(file.path_bytes().unwrap_or_default()).into_owned()
}

/// A path as part of an address.
fn escaped(path: &str) -> String {
    let mut url = reqwest::Url::parse("http://path").unwrap();
    url.path_segments_mut().unwrap().extend(path.split('/'));
    url.path().trim_start_matches('/').to_owned()
}

impl World {
    pub fn files_json(&self, repo: &Hosted, diff: &git2::Diff<'_>, head: Oid) -> Vec<Value> {
        let (api, html) = (self.repository_url(repo), format!("https://github.com/{}", repo.full_name()));
        let one = |at: usize| {
            let delta = diff.get_delta(at).unwrap();
            let lines = git2::Patch::from_diff(diff, at).ok().flatten().map(|patch| patch.line_stats().unwrap());
            let (_, additions, deletions) = lines.unwrap_or_default();
            let status = match delta.status() {
                Delta::Added => "added",
                Delta::Deleted => "removed",
                Delta::Renamed => "renamed",
                Delta::Typechange => "changed",
                _ => "modified",
            };
            let gone = delta.status() == Delta::Deleted;
            let file = if gone { delta.old_file() } else { delta.new_file() };
            let (name, sha) = (path(&file), file.id().to_string());
            let place = escaped(&name);
            let mut shown = json!({
                "sha": sha, "filename": name, "status": status, "additions": additions, "deletions": deletions,
                "changes": additions + deletions, "blob_url": format!("{html}/blob/{head}/{place}"),
                "raw_url": format!("{html}/raw/{head}/{place}"),
                "contents_url": format!("{api}/contents/{place}?ref={head}"),
            });
            if status == "renamed" {
                shown["previous_filename"] = path(&delta.old_file()).into();
            }
            shown
        };
        (0..diff.deltas().len()).map(one).collect()
    }

    pub(super) fn compare(&mut self, request: &Request) -> Outcome {
        let repo = &self.repos[request.repo];
        let asked = request.part("basehead");
        let (base_name, head_name) = asked.split_once("...").ok_or_else(Answer::not_found)?;
        let named = |name: &str| {
            let own = name.strip_prefix(&format!("{}:", repo.owner)).unwrap_or(name);
            repo.commit(own).ok_or_else(Answer::not_found)
        };
        let (base, head) = (named(base_name)?, named(head_name)?);
        let fork = repo
            .git
            .merge_base(base.id(), head.id())
            .map_err(|_| Answer::error(404, &format!("No common ancestor between {base_name} and {head_name}.")))?;
        let fork = repo.git.find_commit(fork).unwrap();
        let (ahead, behind) = repo.git.graph_ahead_behind(head.id(), base.id()).unwrap();
        let status = match (ahead, behind) {
            (0, 0) => "identical",
            (_, 0) => "ahead",
            (0, _) => "behind",
            _ => "diverged",
        };
        let all = commits(&repo.git, base.id(), head.id());
        let in_pages = request.query.contains_key("page") || request.query.contains_key("per_page");
        let (per_page, page) = if in_pages { request.page(COMMITS) } else { (COMMITS, 1) };
        let shown = if in_pages {
            all.iter().skip((page - 1) * per_page).take(per_page).copied().collect()
        } else {
            all[all.len().saturating_sub(COMMITS)..].to_vec()
        };
        let shown = shown.into_iter().map(|id| self.commit_json(repo, &repo.git.find_commit(id).unwrap()));
        let html = format!("https://github.com/{}/compare/{asked}", repo.full_name());
        let mut body = json!({
            "url": format!("{}/compare/{asked}", self.repository_url(repo)), "html_url": html,
            "permalink_url": html, "diff_url": format!("{html}.diff"), "patch_url": format!("{html}.patch"),
            "base_commit": self.commit_json(repo, &base), "merge_base_commit": self.commit_json(repo, &fork),
            "status": status, "ahead_by": ahead, "behind_by": behind, "total_commits": ahead,
            "commits": shown.collect::<Vec<_>>(),
        });
        if page == 1 {
            let diff = diff(&repo.git, &fork.tree().unwrap(), &head.tree().unwrap());
            let mut files = self.files_json(repo, &diff, head.id());
            files.truncate(FILES);
            body["files"] = files.into();
        }
        let mut answer = Answer::new(200, body);
        let last = all.len().div_ceil(per_page).max(1);
        if in_pages && last > 1 {
            answer.headers.push(("link", request.links(page, last)));
        }
        Ok(answer)
    }

    pub(super) fn get_commit(&mut self, request: &Request) -> Outcome {
        let repo = &self.repos[request.repo];
        let name = request.part("ref");
        let missing = || Answer::error(422, &format!("No commit found for SHA: {name}"));
        let commit = repo.commit(name).ok_or_else(missing)?;
        let mut shown = self.commit_json(repo, &commit);
        let before = commit.parent(0).ok().map(|parent| parent.tree().unwrap());
        let mut diff = repo.git.diff_tree_to_tree(before.as_ref(), Some(&commit.tree().unwrap()), None).unwrap();
        diff.find_similar(None).unwrap();
        let files = self.files_json(repo, &diff, commit.id());
        let sum = |field: &str| files.iter().filter_map(|file| file[field].as_u64()).sum::<u64>();
        let (additions, deletions) = (sum("additions"), sum("deletions"));
        shown["stats"] = json!({"additions": additions, "deletions": deletions, "total": additions + deletions});
        shown["files"] = files.into_iter().take(FILES).collect();
        Answer::ok(shown)
    }

    pub(super) fn get_branch(&mut self, request: &Request) -> Outcome {
        let repo = &self.repos[request.repo];
        let name = request.part("branch");
        let tip = repo.tip(name).ok_or_else(|| Answer::error(404, "Branch not found"))?;
        let protected = repo.is_protected(name);
        let api = self.repository_url(repo);
        let html = format!("https://github.com/{}/tree/{name}", repo.full_name());
        let checks = json!({"enforcement_level": "off", "contexts": [], "checks": []});
        Answer::ok(json!({
            "name": name, "commit": self.commit_json(repo, &repo.git.find_commit(tip).unwrap()),
            "_links": {"self": format!("{api}/branches/{name}"), "html": html}, "protected": protected,
            "protection": {"enabled": protected, "required_status_checks": checks},
            "protection_url": format!("{api}/branches/{name}/protection"),
        }))
    }

    pub(super) fn get_contents(&mut self, request: &Request) -> Outcome {
        let repo = &self.repos[request.repo];
        let name = request.query("ref").unwrap_or(&repo.default_branch);
        let short = name.strip_prefix("refs/heads/").unwrap_or(name);
        let missing = || Answer::error(404, &format!("No commit found for the ref {name}"));
        let tree = repo.commit(short).ok_or_else(missing)?.tree().unwrap();
        let place = request.part("path").trim_matches('/');
        if place.is_empty() {
            return Answer::ok(self.folder(repo, "", &tree, name));
        }
        let entry = tree.get_path(place.as_ref()).map_err(|_| Answer::not_found())?;
        if entry.kind() == Some(ObjectType::Tree) {
            return Answer::ok(self.folder(repo, place, &repo.git.find_tree(entry.id()).unwrap(), name));
        }
        let mut shown = self.content(repo, place, &entry, name);
        match shown["type"].as_str() {
            // What a link inside of the repository leads to is answered in its place.
            Some("symlink") => {
                let target = String::from_utf8_lossy(repo.git.find_blob(entry.id()).unwrap().content()).into_owned();
                let folder = std::path::Path::new(place).parent().unwrap_or_else(|| "".as_ref());
                let led = tree.get_path(&folder.join(&target)).ok().filter(|led| led.kind() == Some(ObjectType::Blob));
                match led {
                    Some(led) => {
                        shown = self.content(repo, place, &led, name);
                        self.fill(repo, &led, &mut shown);
                    }
                    None => shown["target"] = target.into(),
                }
            }
            Some("file") => self.fill(repo, &entry, &mut shown),
            _ => shown["submodule_git_url"] = Value::Null,
        }
        Answer::ok(shown)
    }

    fn fill(&self, repo: &Hosted, entry: &git2::TreeEntry<'_>, shown: &mut Value) {
        let blob = repo.git.find_blob(entry.id()).unwrap();
        let fits = blob.size() <= CONTENT;
        shown["encoding"] = if fits { "base64" } else { "none" }.into();
        shown["content"] = if fits { encoded(blob.content()) } else { String::new() }.into();
    }

    fn folder(&self, repo: &Hosted, place: &str, tree: &git2::Tree<'_>, name: &str) -> Value {
        let list = tree.iter().map(|entry| {
            let inner = format!("{place}/{}", String::from_utf8_lossy(entry.name_bytes()));
            self.content(repo, inner.trim_start_matches('/'), &entry, name)
        });
        list.collect()
    }

    fn content(&self, repo: &Hosted, place: &str, entry: &git2::TreeEntry<'_>, name: &str) -> Value {
        let api = self.repository_url(repo);
        let (sha, html) = (entry.id(), format!("https://github.com/{}", repo.full_name()));
        let (kind, data) = match (entry.kind(), entry.filemode_raw()) {
            (Some(ObjectType::Tree), _) => ("dir", "trees"),
            (Some(ObjectType::Commit), _) => ("submodule", "trees"),
            (_, 0o120_000) => ("symlink", "blobs"),
            _ => ("file", "blobs"),
        };
        let size = if data == "blobs" { repo.git.odb().unwrap().read_header(sha).unwrap().0 } else { 0 };
        let path = escaped(place);
        let url = format!("{api}/contents/{path}?ref={name}");
        let (git, web) = (format!("{api}/git/{data}/{sha}"), format!("{html}/blob/{name}/{path}"));
        let raw = format!("https://raw.githubusercontent.com/{}/{name}/{path}", repo.full_name());
        json!({
            "name": place.rsplit('/').next(), "path": place, "sha": sha.to_string(), "size": size, "url": url,
            "html_url": web, "git_url": git, "download_url": (kind == "file").then_some(raw), "type": kind,
            "_links": {"self": url, "git": git, "html": web},
        })
    }
}
