//! What people do on GitHub's pages, and with git.

use codehealer::model::CommitId;
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Signature, Time};

use super::pulls::Ends;
use super::world::{Comment, Hosted, Merged, World};
use crate::support::git::{commit_id, oid};

impl Hosted {
    /// Puts a commit on a branch.
    fn put(&self, branch: &str, tree: Oid, parents: &[Oid], words: (&str, &str, u64)) -> Oid {
        let (message, by, now) = words;
        let at = Time::new(i64::try_from(now / 1000).unwrap(), 0);
        let who = Signature::new(by, &format!("{by}@users.noreply.github.com"), &at).unwrap();
        let parents: Vec<_> = parents.iter().map(|id| self.git.find_commit(*id).unwrap()).collect();
        let parents: Vec<_> = parents.iter().collect();
        let tree = self.git.find_tree(tree).unwrap();
        let made = self.git.commit(None, &who, &who, message, &tree, &parents).unwrap();
        self.git.reference(&format!("refs/heads/{branch}"), made, true, "people").unwrap();
        made
    }

    /// The tree of both branches merged.
    ///
    /// # Panics
    /// When they are in conflict.
    fn merged_tree(&self, base: Oid, head: Oid) -> Oid {
        let commit = |id| self.git.find_commit(id).unwrap();
        let mut index = self.git.merge_commits(&commit(base), &commit(head), None).unwrap();
        assert!(!index.has_conflicts(), "there is a conflict, the button is grey");
        index.write_tree_to(&self.git).unwrap()
    }

    fn amended(&self, branch: &str, files: &[(&str, &str)], by: &str, now: u64) -> Oid {
        let tip = self.tip(branch).unwrap();
        let mut update = TreeUpdateBuilder::new();
        for (path, content) in files {
            update.upsert(*path, self.git.blob(content.as_bytes()).unwrap(), FileMode::Blob);
        }
        let before = self.git.find_commit(tip).unwrap().tree().unwrap();
        let tree = update.create_updated(&self.git, &before).unwrap();
        self.put(branch, tree, &[tip], ("Amend the fix", by, now))
    }

    fn reverted(&self, branch: &str, commit: &CommitId, by: &str, now: u64) -> Oid {
        let tip = self.tip(branch).unwrap();
        let bad = self.git.find_commit(oid(commit)).unwrap();
        let mainline = u32::from(bad.parent_count() > 1);
        let mut index = self.git.revert_commit(&bad, &self.git.find_commit(tip).unwrap(), mainline, None).unwrap();
        assert!(!index.has_conflicts(), "there is a conflict, the button is grey");
        let tree = index.write_tree_to(&self.git).unwrap();
        let title = bad.summary().ok().flatten().unwrap_or_default();
        let message = format!("Revert \"{title}\"\n\nThis reverts commit {}.\n", commit.as_str());
        self.put(branch, tree, &[tip], (&message, by, now))
    }
}

impl World {
    fn ends_of(&mut self, repo: &str, number: u64, by: &str) -> (usize, Oid, Oid) {
        self.user(by);
        self.settle(by);
        let at = self.find(repo).unwrap();
        let pull = &self.repos[at].pulls[&number];
        assert!(pull.open && !pull.draft, "only open pull requests that are no drafts are merged");
        (at, pull.base_sha, pull.head_sha)
    }

    fn was_merged(&mut self, at: usize, number: u64, by: &str, commit: Oid) -> CommitId {
        let now = self.now();
        let pull = self.repos[at].pulls.get_mut(&number).unwrap();
        (pull.open, pull.closed, pull.updated) = (false, Some(now), now);
        pull.merged = Some(Merged { at: now, by: by.to_owned(), commit });
        self.settle(by);
        self.emit_pull((at, number), "closed", by, None);
        commit_id(commit)
    }

    /// Merges a pull request with a merge commit.
    pub fn merge(&mut self, repo: &str, number: u64, by: &str) -> CommitId {
        let (at, base, head) = self.ends_of(repo, number, by);
        let (now, hosted) = (self.now(), &self.repos[at]);
        let pull = &hosted.pulls[&number];
        let tree = hosted.merged_tree(base, head);
        let message = format!("Merge pull request #{number} from {}/{}\n\n{}", hosted.owner, pull.head, pull.title);
        let made = hosted.put(&pull.base, tree, &[base, head], (&message, by, now));
        self.was_merged(at, number, by, made)
    }

    /// Merges a pull request as one commit of the base.
    pub fn squash(&mut self, repo: &str, number: u64, by: &str) -> CommitId {
        let (at, base, head) = self.ends_of(repo, number, by);
        let (now, hosted) = (self.now(), &self.repos[at]);
        let pull = &hosted.pulls[&number];
        let tree = hosted.merged_tree(base, head);
        let message = format!("{} (#{number})", pull.title);
        let made = hosted.put(&pull.base, tree, &[base], (&message, by, now));
        self.was_merged(at, number, by, made)
    }

    /// Changes files on the branch of a pull request.
    pub fn amend(&mut self, repo: &str, number: u64, by: &str, files: &[(&str, &str)]) -> CommitId {
        self.user(by);
        let at = self.find(repo).unwrap();
        let branch = self.repos[at].pulls[&number].head.clone();
        let made = self.repos[at].amended(&branch, files, by, self.now());
        self.settle(by);
        commit_id(made)
    }

    /// Changes files on the branch of a pull request, then merges it.
    pub fn amend_and_merge(&mut self, repo: &str, number: u64, by: &str, files: &[(&str, &str)]) -> CommitId {
        self.amend(repo, number, by, files);
        self.merge(repo, number, by)
    }

    /// Opens a pull request. Returns its number.
    pub fn open(&mut self, repo: &str, head: &str, base: &str, by: &str) -> u64 {
        self.settle(by);
        let at = self.find(repo).unwrap();
        let tip = |branch: &str| self.repos[at].tip(branch).unwrap();
        let (head_sha, base_sha) = (tip(head), tip(base));
        let summary = self.repos[at].git.find_commit(head_sha).unwrap();
        let title = summary.summary().ok().flatten().unwrap_or_default().to_owned();
        drop(summary);
        let ends = Ends { head: head.to_owned(), head_sha, base: base.to_owned(), base_sha };
        self.put_pull(at, ends, (title, None, false), by)
    }

    /// Takes a draft out of drafting.
    pub fn ready(&mut self, repo: &str, number: u64, by: &str) {
        self.user(by);
        let at = self.find(repo).unwrap();
        self.repos[at].pulls.get_mut(&number).unwrap().draft = false;
        self.emit_pull((at, number), "ready_for_review", by, None);
    }

    /// Closes a pull request without merging.
    pub fn close(&mut self, repo: &str, number: u64, by: &str) {
        self.user(by);
        let (at, now) = (self.find(repo).unwrap(), self.now());
        let pull = self.repos[at].pulls.get_mut(&number).unwrap();
        assert!(pull.open, "it is closed already");
        (pull.open, pull.closed, pull.updated) = (false, Some(now), now);
        self.emit_pull((at, number), "closed", by, None);
    }

    /// # Panics
    /// When it cannot be opened again.
    pub fn reopen(&mut self, repo: &str, number: u64, by: &str) {
        self.user(by);
        let (at, now) = (self.find(repo).unwrap(), self.now());
        let hosted = &mut self.repos[at];
        hosted.may_reopen(&hosted.pulls[&number]).unwrap_or_else(|refusal| panic!("{}", refusal.body));
        let pull = hosted.pulls.get_mut(&number).unwrap();
        (pull.open, pull.closed, pull.updated) = (true, None, now);
        self.emit_pull((at, number), "reopened", by, None);
    }

    /// Says something about a pull request. Returns the number of the comment.
    pub fn comment(&mut self, repo: &str, number: u64, by: &str, text: &str) -> u64 {
        self.user(by);
        let (at, now, id) = (self.find(repo).unwrap(), self.now(), self.fresh_id());
        let (author, body, commit) = (by.to_owned(), text.to_owned(), String::new());
        let comment = Comment { id, number, commit, author, body, created: now, updated: now };
        self.repos[at].comments.push(comment);
        self.emit_comment(at, by);
        id
    }

    /// Takes a commit back on a branch; of a merge, what it brought in.
    pub fn revert(&mut self, repo: &str, branch: &str, commit: &CommitId, by: &str) -> CommitId {
        self.user(by);
        self.settle(by);
        let at = self.find(repo).unwrap();
        let made = self.repos[at].reverted(branch, commit, by, self.now());
        self.settle(by);
        commit_id(made)
    }

    /// Closes a repository to writes.
    pub fn archive(&mut self, repo: &str) {
        self.repo(repo).archived = true;
    }
}
