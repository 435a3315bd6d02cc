//! Findings of another scanner: what people merge for them teaches, although only that scanner could see them.

use std::sync::Arc;

use async_trait::async_trait;
use codehealer::detect::sarif_in::{self, Place};
use codehealer::model::{
    CaseOutcome, CommitId, EventKind, Feedback, Finding, PastFix, Provenance, RepoPath, Repository, Source,
};
use codehealer::ports::{ExternalScanner, PortResult, SnapshotFile};
use codehealer::state::run::RunHead;
use serde_json::{Value, json};

use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{ScriptedModel, World};

on_both_stores! {
    a_merged_fix_of_another_scanners_finding_heals_the_next_one,
    an_amended_fix_of_another_scanners_finding_is_learned_as_it_was_merged,
    what_people_merged_without_healing_teaches_nothing,
    a_closed_fix_of_another_scanners_finding_speaks_against_the_edit,
    without_the_scanner_the_merge_itself_is_the_proof,
}

const FILE: &str = "src/state.py";
const TEXT: &str = "import logging\n\nlog = logging.getLogger()\n\n\ndef close(order):\n    log.warn(\"closing\")\n    order.close()\n";
const OTHER: &str =
    "import logging\n\nout = logging.getLogger()\n\n\ndef free(seat):\n    out.warn(\"free %s\", seat)\n";

/// Reports every call of the deprecated `warn`, which none of our own rules does.
struct Deprecated;

fn report(files: &[(&str, &str)]) -> String {
    let mut results: Vec<Value> = Vec::new();
    for (path, text) in files {
        for (number, line) in text.lines().enumerate() {
            let Some(at) = line.find(".warn(") else { continue };
            let region = json!({ "startLine": number + 1, "startColumn": at + 2, "endColumn": at + 6 });
            let place = json!({ "artifactLocation": { "uri": path }, "region": region });
            results.push(json!({
                "ruleId": "D1", "level": "warning", "message": { "text": "`warn` is deprecated" },
                "locations": [{ "physicalLocation": place }],
            }));
        }
    }
    let driver = json!({ "name": "deprecated", "rules": [{ "id": "D1" }] });
    json!({ "version": "2.1.0", "runs": [{ "tool": { "driver": driver }, "results": results }] }).to_string()
}

#[async_trait]
impl ExternalScanner for Deprecated {
    async fn scan(&self, _: &Repository, _: &CommitId, changed: &[SnapshotFile<'_>]) -> PortResult<String> {
        let files: Vec<(&str, &str)> =
            changed.iter().map(|file| (file.path.as_str(), std::str::from_utf8(file.bytes).unwrap())).collect();
        Ok(report(&files))
    }
}

fn found(world: &World, file: &str, text: &str) -> Vec<Finding> {
    let repository = world.repository();
    let read = |path: &RepoPath| (path.as_str() == file).then(|| text.to_owned());
    let place = Place { repository: &repository.id, root: None, read: &read };
    sarif_in::read(&report(&[(file, text)]), &place).unwrap().findings
}

/// Somebody pushes the file, and the scanner's report of it comes with the request to heal.
async fn reported(world: &World, file: &str, text: &str) {
    world.git.on("develop").file(file, text).commit("work");
    let external = found(world, file, text);
    assert_eq!(external.len(), 1);
    world.heal_head(external).await;
}

async fn world(at: Storage) -> World {
    let mut world = at.world().await.with_model(&ScriptedModel::rewriting("log.warn(", "log.warning(", "90"));
    world.external = Some(Arc::new(Deprecated));
    world
}

/// A world in which a model's fix waits for people; the branch that holds it.
async fn proposed(at: Storage) -> (World, RunHead, String) {
    let world = world(at).await;
    reported(&world, FILE, TEXT).await;
    let run = world.run().await;
    assert_eq!((run.summary.source, run.summary.confidence.unwrap().percent()), (Some(Source::Model), 84));
    let branch = run.case.branch(&run.summary.rule, run.generation);
    (world, run, branch)
}

async fn taught(world: &World) -> PastFix {
    let [fix] = world.memories().await.try_into().unwrap();
    fix
}

async fn a_merged_fix_of_another_scanners_finding_heals_the_next_one(at: Storage) {
    let (mut world, run, branch) = proposed(at).await;
    world.git.merge(&branch, "develop");
    world.settle().await;
    let fix = taught(&world).await;
    assert!(matches!(fix.provenance, Provenance::Merged { .. }), "{:?}", fix.provenance);
    assert_eq!((fix.rule.as_str(), fix.record.accepted, fix.round_trips), ("deprecated/D1", 1, true));

    world.model = None;
    reported(&world, "src/other.py", OTHER).await;
    let other = world.runs().await.into_iter().find(|other| other.case != run.case).unwrap();
    assert_eq!(other.summary.source, Some(Source::PastFix));
    let branch = other.case.branch(&other.summary.rule, other.generation);
    let text = world.git.file_at(&world.git.tip(&branch).unwrap(), "src/other.py");
    assert_eq!(String::from_utf8(text).unwrap(), OTHER.replace("out.warn(", "out.warning("));
}

async fn an_amended_fix_of_another_scanners_finding_is_learned_as_it_was_merged(at: Storage) {
    let (world, run, branch) = proposed(at).await;
    let amended = TEXT.replace("log.warn(\"closing\")", "log.info(\"closing\")");
    world.git.on(&branch).file(FILE, &amended).commit("shorter");
    world.git.merge(&branch, "develop");
    world.settle().await;
    let events = world.events(&run).await;
    assert!(matches!(events.last().unwrap().kind, EventKind::Feedback(Feedback::Merged { amended: true, .. })));
    let fix = taught(&world).await;
    assert!(fix.scope_after.contains("log.info") && fix.round_trips, "{}", fix.scope_after);
}

async fn what_people_merged_without_healing_teaches_nothing(at: Storage) {
    let (world, _, branch) = proposed(at).await;
    let unhealed = TEXT.replace("log.warn(\"closing\")", "log.warn(\"closing it\")");
    world.git.on(&branch).file(FILE, &unhealed).commit("something else");
    world.git.merge(&branch, "develop");
    world.settle().await;
    assert_eq!(world.run().await.summary.outcome, CaseOutcome::Merged);
    let merged = world.memories().await.into_iter().filter(|fix| fix.record.accepted > 0).count();
    assert_eq!(merged, 0);
}

async fn a_closed_fix_of_another_scanners_finding_speaks_against_the_edit(at: Storage) {
    let (world, _, branch) = proposed(at).await;
    world.git.delete_branch(&branch);
    world.settle().await;
    let fix = taught(&world).await;
    assert_eq!((fix.record.rejected, fix.round_trips), (1, true));
}

async fn without_the_scanner_the_merge_itself_is_the_proof(at: Storage) {
    let (mut world, _, branch) = proposed(at).await;
    world.external = None;
    let amended = TEXT.replace("log.warn(\"closing\")", "log.info(\"closing\")");
    world.git.on(&branch).file(FILE, &amended).commit("shorter");
    world.git.merge(&branch, "develop");
    world.settle().await;
    assert!(taught(&world).await.scope_after.contains("log.info"));
}
