//! A repository, a chat and a model that want more than a fix: other files, foreign files, running something.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use codehealer::model::{CaseOutcome, Decision};

use crate::support::git::oid;
use crate::support::slack::Chat;
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, ScriptedModel, UNKNOWN, World, rewrite};

on_both_stores! {
    a_chat_that_proposes_edits_of_other_files_gets_none_of_them,
    a_model_that_writes_about_other_files_changes_none,
    workflows_are_told_about_and_never_edited,
    a_symlink_is_never_followed,
    nothing_that_the_repository_brings_is_run,
    a_hostile_question_and_answer_do_not_stop_the_walk,
}

const FILE: &str = "src/tell.py";

/// Paths in which our branches differ from `develop`.
pub(super) fn changed(world: &World) -> Vec<String> {
    let repo = &world.git.repo;
    let mut paths = Vec::new();
    for tip in world.branches().into_values() {
        let tip = repo.find_commit(tip.parse().unwrap()).unwrap();
        let parent = tip.parent(0).unwrap();
        let diff = repo.diff_tree_to_tree(Some(&parent.tree().unwrap()), Some(&tip.tree().unwrap()), None).unwrap();
        for delta in diff.deltas() {
            assert_eq!(delta.old_file().mode(), delta.new_file().mode(), "modes stay");
            paths.push(delta.new_file().path().unwrap().to_str().unwrap().to_owned());
        }
    }
    paths
}

async fn a_chat_that_proposes_edits_of_other_files_gets_none_of_them(at: Storage) {
    let diff = "use this:\n```\n--- a/.github/workflows/ci.yml\n+++ b/.github/workflows/ci.yml\n@@ -1 +1 @@\n-on: push\n\
                +on: pull_request_target\n--- a/src/tell.py\n+++ b/src/tell.py\n@@ -1,2 +1,2 @@\n def tell(name):\n\
                -    return \"%s has %s\" % (name,)\n+    return \"%s has\" % (name,)\n--- a/../../etc/passwd\n\
                +++ b/../../etc/passwd\n@@ -1 +1 @@\n-root\n+evil\n```";
    let (_folder, team) = Chat { messages: &[("U1", "py-format-arguments?"), ("U2", diff)], confirmed: true }.open();
    let mut world = at.world().await;
    world.team = Some(team);
    world.push(".github/workflows/ci.yml", "on: push\n");
    world.pushed(FILE, UNKNOWN).await;
    world.settle().await;
    world.assert_ended().await;
    assert!(changed(&world).iter().all(|path| path == FILE), "{:?}", changed(&world));
}

async fn a_model_that_writes_about_other_files_changes_none(at: Storage) {
    let answers: [fn(&str) -> String; 5] = [
        |region| format!("{region}\n--- a/.github/workflows/ci.yml\n+++ b/.github/workflows/ci.yml"),
        |region| format!("import os\nos.system('touch /tmp/owned')\n{}", region.replace("has %s", "has")),
        |region| format!("{}  # noqa", region.trim_end()),
        |region| region.replace("has %s", "has").replace("name", "__import__('os').environ"),
        |_| String::new(),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let model = ScriptedModel::answering(move |prompt| Ok(rewrite(prompt, "100", answer)));
        let world = at.world().await.with_model(&model);
        world.push(".github/workflows/ci.yml", "on: push\n");
        world.pushed(FILE, UNKNOWN).await;
        world.settle().await;
        world.assert_ended().await;
        assert!(changed(&world).iter().all(|path| path == FILE), "{number}: {:?}", changed(&world));
        assert_ne!(world.run().await.summary.decision, Some(Decision::Open), "{number}");
    }
}

async fn workflows_are_told_about_and_never_edited(at: Storage) {
    let workflow =
        "on: push\npermissions: write-all\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: make\n";
    for file in [".github/workflows/ci.yml", ".github/workflows/deep/er.yml"] {
        let model = ScriptedModel::rewriting("write-all", "{contents: read}", "100");
        let world = at.world().await.with_model(&model);
        world.pushed(file, workflow).await;
        world.settle().await;
        world.assert_ended().await;
        for run in world.runs().await {
            assert_eq!(run.summary.outcome, CaseOutcome::Escalated, "{file}");
        }
        assert_eq!((world.branches().len(), world.pull_requests()), (0, 0), "{file}");
        assert_eq!(world.notices(), world.runs().await.len());
    }
}

async fn a_symlink_is_never_followed(at: Storage) {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.py");
    std::fs::write(&secret, BAD).unwrap();
    let world = at.world().await;
    let before = world.git.tip("develop");
    let after = world
        .git
        .on("develop")
        .symlink("src/config.py", secret.to_str().unwrap())
        .symlink("lib", outside.path().to_str().unwrap())
        .symlink("up.py", "../../../../etc/passwd")
        .commit("links");
    world.deliver(&crate::support::world::Push { before, after }).await;
    world.settle().await;
    assert_eq!(world.runs().await.len(), 0);

    // A file that becomes a link before the fix is delivered is not written through, either.
    world.pushed("src/real.py", BAD).await;
    world.process().worker.work(1).await.unwrap();
    world.git.on("develop").symlink("src/real.py", secret.to_str().unwrap()).commit("now a link");
    world.settle().await;
    world.assert_ended().await;
    assert_eq!(world.branches().len(), 0);
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), BAD);
}

async fn nothing_that_the_repository_brings_is_run(at: Storage) {
    let world = at.world().await;
    let canary = world.folder().join("canary");
    let touch = format!("touch {}", canary.display());
    let git_dir = world.git.git_dir();
    std::fs::create_dir_all(git_dir.join("hooks")).unwrap();
    for hook in ["pre-commit", "post-commit", "reference-transaction", "post-checkout", "post-update", "fsmonitor"] {
        let file = git_dir.join("hooks").join(hook);
        std::fs::write(&file, format!("#!/bin/sh\n{touch}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let config = format!(
        "[core]\n\tfsmonitor = {touch}\n\thooksPath = hooks\n\tlogAllRefUpdates = nonsense\n[filter \"evil\"]\n\tclean = {touch}\n\tsmudge = {touch}\n\tprocess = {touch}\n\
         [diff \"evil\"]\n\ttextconv = {touch}\n\tcommand = {touch}\n[gpg]\n\tprogram = {touch}\n[commit]\n\tgpgSign = true\n"
    );
    let mut all = std::fs::read_to_string(git_dir.join("config")).unwrap();
    all.push_str(&config);
    std::fs::write(git_dir.join("config"), all).unwrap();
    let python = format!("import os\nos.system({touch:?})\n");
    let before = world.git.tip("develop");
    let after = world
        .git
        .on("develop")
        .file(".gitattributes", "* filter=evil diff=evil\n")
        .file("conftest.py", &python)
        .file("setup.py", &python)
        .file("sitecustomize.py", &python)
        .file("yaml.py", &python)
        .file("build.rs", format!("fn main() {{ std::process::Command::new(\"sh\").arg(\"-c\").arg({touch:?}); }}"))
        .file("Makefile", format!("all:\n\t{touch}\n"))
        .file("src/config.py", BAD)
        .commit("come in");
    world.deliver(&crate::support::world::Push { before, after: after.clone() }).await;
    world.settle().await;
    world.assert_ended().await;
    assert!(world.branches().len() == 1 && !canary.exists());
    assert!(world.git.repo.find_commit(oid(&after)).is_ok());
}

async fn a_hostile_question_and_answer_do_not_stop_the_walk(at: Storage) {
    let bomb = "`".repeat(20_000) + &"(".repeat(20_000) + "\u{202e}\u{0}\u{feff}";
    let texts = [bomb.as_str(), "```\n", "```diff\n@@ -1,99999999 +1 @@\n-a\n+b\n```", "<!channel> <@U1> <http://x|y>"];
    for text in texts {
        let question = format!("py-format-arguments {text}");
        let (_folder, team) = Chat { messages: &[("U1", &question), ("U2", text)], confirmed: true }.open();
        let text = text.to_owned();
        let model = ScriptedModel::answering(move |_| Ok(text.clone()));
        let mut world = at.world().await.with_model(&model);
        world.team = Some(Arc::clone(&team));
        world.pushed(FILE, UNKNOWN).await;
        world.settle().await;
        world.assert_ended().await;
        assert_eq!(world.run().await.summary.outcome, CaseOutcome::Escalated);
    }
}
