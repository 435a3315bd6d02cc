//! What people do in the repository of a schedule.

use std::collections::{BTreeMap, BTreeSet};

use codehealer::model::CommitId;
use git2::{Signature, Time};

use super::dice::Dice;
use super::stage::Stage;
use crate::support::clock::VirtualClock;
use crate::support::git::{commit_id, oid};

/// Bugs in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bugs {
    /// A curated fix heals it.
    pub yaml: bool,
    /// Only the model heals it.
    pub format: bool,
}

/// What a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Merges,
    /// Changes the fix first.
    Amends,
    Closes,
    /// On a branch of ours.
    Commits,
    /// Lines that no finding stands on.
    Edits,
    /// Writes the bugs of a file back that are gone from it.
    Undoes,
    Heals,
    Moves,
    /// Takes the last commit of the branch away and puts another in its place.
    ForcePushes,
}

pub const ACTS: [Act; 9] = [
    Act::Merges,
    Act::Amends,
    Act::Closes,
    Act::Commits,
    Act::Edits,
    Act::Undoes,
    Act::Heals,
    Act::Moves,
    Act::ForcePushes,
];

/// What a branch was, if it was, and became.
pub type Range = (Option<CommitId>, CommitId);

/// What people did, to hold against what became of it.
#[derive(Default)]
pub struct People {
    /// Their commits on our branches, which must stay their tips.
    pub tips: BTreeMap<String, CommitId>,
    /// Branches that they deleted or merged.
    pub ended: BTreeSet<String>,
    /// Those that they deleted before there was a pull request, and how often: nothing shows that they ever were.
    pub unproposed: BTreeMap<String, usize>,
    /// Where files were and went to.
    pub moved: Vec<(String, String)>,
    versions: usize,
    /// Commits that came by a push of theirs, newest last; a merge is none.
    plain: Vec<CommitId>,
}

impl People {
    /// A file with these bugs. No two files look alike.
    pub fn text(&mut self, name: &str, bugs: Bugs) -> String {
        self.versions += 1;
        let tag = name.trim_end_matches(".py");
        let mut text = format!("VERSION = {}\n\nimport yaml\n\n", self.versions);
        for line in 0..12 {
            text.push_str(&format!("{tag}_constant_number_{line} = \"{tag} holds {line}\"\n"));
        }
        let (loader, values) = (if bugs.yaml { "load(f, Loader=yaml.Loader)" } else { "safe_load(f)" }, "%s has");
        text.push_str(&format!("\n\ndef load_{tag}(path):\n    with open(path) as f:\n        return yaml.{loader}\n"));
        let places = if bugs.format { "%s has %s" } else { values };
        text.push_str(&format!("\n\ndef tell_{tag}(name):\n    return \"{places}\" % (name,)\n"));
        text
    }

    /// Writes a file wherever it is now. Returns what the branch was and became.
    pub fn push(&mut self, stage: &Stage, name: &str, bugs: Bugs) -> Range {
        let before = stage.git.tip("develop");
        let path = whereabouts(stage, name).unwrap_or_else(|| format!("src/{name}"));
        let text = self.text(name, bugs);
        let after = stage.git.on("develop").file(&path, text).commit(&format!("change {path}"));
        self.plain.push(after.clone());
        (before, after)
    }

    /// Does it if there is anything to do it to. Returns the push to `develop` that it was, if any, and says what was done.
    pub fn act(&mut self, stage: &Stage, act: Act, dice: &mut Dice) -> Option<(String, Option<Range>)> {
        let ours: Vec<String> = stage.branches().into_iter().collect();
        let files: Vec<String> = ["a.py", "b.py"].iter().filter_map(|name| whereabouts(stage, name)).collect();
        let branch = (!ours.is_empty()).then(|| dice.pick(&ours).clone());
        let file = (!files.is_empty()).then(|| dice.pick(&files).clone());
        let before = stage.git.tip("develop");
        match act {
            Act::Merges | Act::Amends => {
                let branch = branch?;
                if act == Act::Amends {
                    self.amend(stage, &branch);
                }
                let after = merge(stage, &branch)?;
                self.ended.insert(branch.clone());
                Some((format!("{act:?} {branch}"), Some((before, after))))
            }
            Act::Closes => {
                let branch = branch?;
                stage.git.delete_branch(&branch);
                self.ended.insert(branch.clone());
                self.tips.remove(&branch);
                if !stage.ledger.lock().unwrap().pull_requests.contains(&branch) {
                    *self.unproposed.entry(branch.clone()).or_default() += 1;
                }
                Some((format!("closes {branch}"), None))
            }
            Act::Commits => {
                let branch = branch?;
                let tip = stage.git.on(&branch).file("NOTES.md", "mine\n").commit("mine");
                self.tips.insert(branch.clone(), tip);
                Some((format!("commits on {branch}"), None))
            }
            Act::Edits | Act::Undoes | Act::Heals => {
                let path = file?;
                let name = path.rsplit('/').next()?.to_owned();
                let now = bugs_of(&String::from_utf8(stage.git.file_at(before.as_ref()?, &path)).ok()?);
                let bugs = match act {
                    Act::Edits => now,
                    Act::Undoes => Bugs { yaml: true, format: now.format },
                    _ => Bugs::default(),
                };
                Some((format!("{act:?} {path}"), Some(self.push(stage, &name, bugs))))
            }
            Act::Moves => {
                let path = file?;
                let (folder, name) = path.rsplit_once('/')?;
                let to = format!("{folder}/inner/{name}");
                let text = stage.git.file_at(before.as_ref()?, &path);
                let after = stage.git.on("develop").remove(&path).file(&to, text).commit("move");
                self.plain.push(after.clone());
                self.moved.push((path.clone(), to.clone()));
                Some((format!("moves {path} to {to}"), Some((before, after))))
            }
            Act::ForcePushes => {
                let tip = before.clone()?;
                // What was merged is not taken away: nothing tells a branch without the merge from one that never had it.
                if self.plain.last() != Some(&tip) || self.moved.iter().any(|_| true) {
                    return None;
                }
                let parent = commit_id(stage.git.repo.find_commit(oid(&tip)).unwrap().parent_id(0).ok()?);
                if ["src/a.py", "src/b.py"].iter().any(|path| heals(stage, (&parent, &tip), path)) {
                    return None;
                }
                self.plain.pop();
                stage.git.point("develop", &parent);
                let (_, after) = self.push(stage, "b.py", Bugs { yaml: dice.once_in(2), format: false });
                Some((format!("force-pushes over {}", tip.short()), Some((before, after))))
            }
        }
    }

    fn amend(&mut self, stage: &Stage, branch: &str) {
        let tip = stage.git.tip(branch).unwrap();
        for path in ["src/a.py", "src/b.py", "src/inner/a.py", "src/inner/b.py"] {
            if !is_file(stage, &tip, path) {
                continue;
            }
            let text = String::from_utf8(stage.git.file_at(&tip, path)).unwrap();
            if text.contains("yaml.safe_load(f)\n") {
                let amended = text.replace("yaml.safe_load(f)\n", "yaml.safe_load(f) or {}\n");
                stage.git.on(branch).file(path, amended).commit("or nothing");
                return;
            }
        }
    }
}

/// Which bugs a text has.
pub fn bugs_of(text: &str) -> Bugs {
    Bugs { yaml: text.contains("Loader=yaml.Loader"), format: text.contains("%s has %s") }
}

fn is_file(stage: &Stage, commit: &CommitId, path: &str) -> bool {
    let tree = stage.git.repo.find_commit(oid(commit)).unwrap().tree().unwrap();
    tree.get_path(std::path::Path::new(path)).is_ok()
}

/// Whether a bug of a file is gone between two commits.
fn heals(stage: &Stage, (from, to): (&CommitId, &CommitId), path: &str) -> bool {
    let bugs = |commit: &CommitId| {
        let there = is_file(stage, commit, path).then(|| stage.git.file_at(commit, path));
        there.map_or_else(Bugs::default, |text| bugs_of(&String::from_utf8(text).unwrap()))
    };
    let (from, to) = (bugs(from), bugs(to));
    (from.yaml && !to.yaml) || (from.format && !to.format)
}

/// The path of a file at the head, wherever it was moved to.
pub fn whereabouts(stage: &Stage, name: &str) -> Option<String> {
    let tip = stage.git.tip("develop")?;
    let places = (0..9).map(|depth| format!("src/{}{name}", "inner/".repeat(depth)));
    places.into_iter().find(|path| is_file(stage, &tip, path))
}

/// Merges a branch as git does; `None` when it does not merge cleanly.
pub fn merge(stage: &Stage, branch: &str) -> Option<CommitId> {
    let repo = &stage.git.repo;
    let ours = repo.find_commit(oid(&stage.git.tip("develop")?)).unwrap();
    let theirs = repo.find_commit(oid(&stage.git.tip(branch)?)).unwrap();
    if ours.id() == theirs.id() || repo.graph_descendant_of(ours.id(), theirs.id()).unwrap() {
        return None;
    }
    let mut index = repo.merge_commits(&ours, &theirs, None).unwrap();
    if index.has_conflicts() {
        return None;
    }
    let tree = repo.find_tree(index.write_tree_to(repo).unwrap()).unwrap();
    let seconds = i64::try_from(VirtualClock::seconds(&stage.clock)).unwrap();
    let who = Signature::new("Ben", "ben@example.org", &Time::new(seconds, 0)).unwrap();
    let id = repo.commit(Some("refs/heads/develop"), &who, &who, "merge", &tree, &[&ours, &theirs]).unwrap();
    Some(commit_id(id))
}
