//! Deliveries that come twice, late, out of order or not at all, and branches that are not as they were.

use std::collections::BTreeSet;
use std::time::Duration;

use codehealer::healer::{ScanRequest, trail};
use codehealer::model::{CommitId, RunState};
use codehealer::state::chain::{PushEvent, PushEventKind, PushHead, Stored, verify_push};
use codehealer::state::run::record;
use codehealer::state::{QueryOf, keys};

use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, DEVELOP, GOOD, Push, World};

on_both_stores! {
    the_same_delivery_again_changes_nothing_whenever_it_comes,
    lost_and_reordered_pushes_find_what_one_scan_finds,
    a_push_without_any_webhook_is_found_by_the_reconciler,
    a_webhook_for_a_deleted_branch_is_refused_and_audited,
    a_branch_that_disappears_while_it_is_healed_ends_its_runs,
    the_first_sight_of_a_branch_is_a_baseline,
    a_forced_push_is_scanned_from_where_the_lines_part,
    a_last_scanned_commit_that_is_nowhere_any_more_is_no_dead_end,
    history_that_begins_anew_is_a_new_baseline,
    two_thousand_commits_and_three_hundred_files_are_one_scan,
    a_broken_configuration_is_told_once_and_mending_it_is_enough,
}

const EIGHT_DAYS: Duration = Duration::from_secs(8 * 24 * 3600);

/// Everything that people can see of a world.
async fn seen(world: &World) -> impl PartialEq + std::fmt::Debug {
    let mut trails = Vec::new();
    for run in world.runs().await {
        trails.push((run.sequence, run.head_hash.clone(), run.state));
    }
    let memories: Vec<_> = world.memory.list(None, 100).await.unwrap().into_iter().map(|m| m.record).collect();
    (world.git.references(), world.pull_requests(), world.notices(), memories, trails)
}

async fn push_events(world: &World, push: &Push) -> Vec<PushEvent> {
    let pk = keys::push_partition(&world.repository().id, DEVELOP, &push.after);
    let of = QueryOf::Partition { pk, prefix: keys::PUSH_EVENTS.to_owned() };
    let items = trail::all(&*world.state, of).await.unwrap();
    let events: Vec<PushEvent> = items.iter().map(|item| record(item).unwrap()).collect();
    let head = keys::push_head(&world.repository().id, DEVELOP, &push.after);
    let head: PushHead = trail::load(&*world.state, &head).await.unwrap().expect("the push has a head");
    let stored = |event: &PushEvent| Stored { event: event.clone(), kind: serde_json::to_value(&event.kind).unwrap() };
    assert_eq!(verify_push(&events.iter().map(stored).collect::<Vec<_>>(), &head), []);
    events
}

async fn the_same_delivery_again_changes_nothing_whenever_it_comes(at: Storage) {
    let world = at.world().await;
    let push = world.pushed("src/config.py", BAD).await;
    let process = world.process();
    process.worker.work(1).await.unwrap();
    world.deliver(&push).await;
    process.drain().await.unwrap();
    world.assert_ok().await;

    let before = seen(&world).await;
    for wait in [Duration::ZERO, EIGHT_DAYS] {
        world.clock.advance(wait);
        world.deliver(&push).await;
        world.settle().await;
        world.assert_ok().await;
        assert_eq!(seen(&world).await, before, "after {wait:?}");
    }
    let received: BTreeSet<String> = push_events(&world, &push)
        .await
        .into_iter()
        .filter_map(|event| match event.kind {
            PushEventKind::Received { delivery, .. } => Some(delivery),
            _ => None,
        })
        .collect();
    assert_eq!(received.len(), 4, "each delivery is audited: {received:?}");
}

/// What one scan of the whole range finds.
async fn of_one_scan(world: &World, base: &CommitId, head: &CommitId) -> BTreeSet<String> {
    let request = ScanRequest {
        repository: world.repository(),
        reference: DEVELOP.to_owned(),
        base: Some(base.clone()),
        head: head.clone(),
        pusher: None,
        external: Vec::new(),
    };
    let found = world.process().worker.healer().detect_range(&request).await.unwrap().findings;
    found.iter().map(|f| format!("{} in {}", f.rule.id, f.path)).collect()
}

async fn of_runs(world: &World) -> BTreeSet<String> {
    world.runs().await.iter().map(|run| format!("{} in {}", run.summary.rule, run.summary.path)).collect()
}

async fn lost_and_reordered_pushes_find_what_one_scan_finds(at: Storage) {
    for order in [&[2][..], &[2, 0, 1], &[1, 2], &[2, 2, 0], &[0, 2, 1]] {
        let world = at.world().await;
        let base = world.git.tip("develop").unwrap();
        let pushes = [
            world.push("src/a.py", BAD),
            world.push("src/b.py", BAD.replace("load(path)", "read(path)")),
            // The third one heals the first one's file and brings in another.
            Push {
                after: world.git.on("develop").file("src/a.py", GOOD).file("src/c.py", BAD).commit("c"),
                before: None,
            },
        ];
        let pushes =
            [pushes[0].clone(), pushes[1].clone(), Push { before: Some(pushes[1].after.clone()), ..pushes[2].clone() }];
        for number in order {
            world.deliver(&pushes[*number]).await;
            world.process().drain().await.unwrap();
        }
        world.settle().await;
        world.assert_ended().await;
        let expected = of_one_scan(&world, &base, &pushes[2].after).await;
        assert_eq!(expected.len(), 2);
        assert_eq!(of_runs(&world).await, expected, "{order:?}");
    }
}

async fn a_push_without_any_webhook_is_found_by_the_reconciler(at: Storage) {
    let world = at.world().await;
    world.push("src/config.py", BAD);
    world.settle().await;
    world.assert_ok().await;
}

async fn a_webhook_for_a_deleted_branch_is_refused_and_audited(at: Storage) {
    let world = at.world().await;
    let push = world.pushed("src/config.py", BAD).await;
    world.git.delete_branch("develop");
    world.process().drain().await.unwrap();
    assert_eq!(world.runs().await.len(), 0);
    let events = push_events(&world, &push).await;
    assert!(matches!(&events.last().unwrap().kind, PushEventKind::Refused { reason } if reason.contains("gone")));
}

async fn a_branch_that_disappears_while_it_is_healed_ends_its_runs(at: Storage) {
    let world = at.world().await;
    world.pushed("src/config.py", BAD).await;
    world.process().worker.work(1).await.unwrap();
    world.git.delete_branch("develop");
    world.settle().await;
    assert_eq!(world.run().await.state, RunState::Superseded);
    assert_eq!((world.branches().len(), world.pull_requests()), (0, 0));
    world.assert_ended().await;
}

async fn the_first_sight_of_a_branch_is_a_baseline(at: Storage) {
    let world = at.unseen().await;
    let push = world.pushed("src/old.py", BAD).await;
    assert_eq!(push.before, None);
    world.process().drain().await.unwrap();
    assert_eq!(world.runs().await.len(), 0, "old code is healed on request only");
    world.pushed("src/old.py", format!("{BAD}\n\ndef another():\n    return 1\n")).await;
    world.settle().await;
    assert_eq!(world.runs().await.len(), 0, "also where something else in its file changes");
    world.pushed("src/config.py", BAD).await;
    world.settle().await;
    assert_eq!(of_runs(&world).await, BTreeSet::from(["py-yaml-unsafe-load in src/config.py".to_owned()]));
}

async fn a_forced_push_is_scanned_from_where_the_lines_part(at: Storage) {
    let world = at.world().await;
    let base = world.git.tip("develop").unwrap();
    world.pushed("src/a.py", BAD).await;
    world.settle().await;
    world.git.point("develop", &base);
    let push = world.push("src/b.py", BAD);
    world.deliver(&push).await;
    world.settle().await;
    world.assert_ended().await;
    assert_eq!(world.runs().await.len(), 2);
    assert_eq!(world.notices(), 2);
}

async fn a_last_scanned_commit_that_is_nowhere_any_more_is_no_dead_end(at: Storage) {
    let world = at.world().await;
    let healer = world.process().worker.healer().clone();
    let at = world.git.tip("develop").unwrap();
    let lost = CommitId::new("1234567890123456789012345678901234567890").unwrap();
    assert!(healer.advance(&world.repository(), DEVELOP, Some(&at), &lost).await.unwrap());
    world.pushed("src/config.py", BAD).await;
    world.settle().await;
    world.assert_ok().await;
}

async fn history_that_begins_anew_is_a_new_baseline(at: Storage) {
    let world = at.world().await;
    let before = world.git.tip("develop");
    let after = world.git.on("develop").parents(&[]).file("src/old.py", BAD).commit("another world");
    let push = Push { before, after };
    world.deliver(&push).await;
    world.settle().await;
    assert_eq!(world.runs().await.len(), 0);
    let told = push_events(&world, &push).await;
    let refused =
        |event: &PushEvent| matches!(&event.kind, PushEventKind::Refused { reason } if reason.contains("ancestor"));
    assert!(told.iter().any(refused), "{told:?}");
    // Its webhook is lost, so that only what is known of the branch tells what is new.
    world.push("src/config.py", BAD);
    world.settle().await;
    world.assert_ok().await;
}

async fn two_thousand_commits_and_three_hundred_files_are_one_scan(at: Storage) {
    let world = at.world().await;
    let before = world.git.tip("develop");
    for number in 0..2_047 {
        world.git.on("develop").file("counter.txt", number.to_string()).commit("count");
    }
    let mut last = world.git.on("develop");
    for number in 0..330 {
        let text = if number % 100 == 7 { BAD.to_owned() } else { format!("def f{number}():\n    return {number}\n") };
        last = last.file(&format!("src/part{number}.py"), text);
    }
    let after = last.commit("many files");
    world.deliver(&Push { before, after }).await;
    world.settle().await;
    world.assert_ended().await;
    assert_eq!(world.runs().await.len(), 4);
    assert_eq!((world.branches().len(), world.pull_requests(), world.notices()), (4, 4, 4));
}

async fn a_broken_configuration_is_told_once_and_mending_it_is_enough(at: Storage) {
    let world = at.world().await;
    world.push(".codehealer.toml", "[thresholds]\nopen = 1\n");
    world.pushed("src/config.py", BAD).await;
    world.settle().await;
    let failed = world.run().await;
    assert_eq!(failed.state, RunState::Failed);
    assert!(
        world.shown.lock().unwrap().iter().any(|notice| notice.body.contains("only tighten")),
        "people are told why"
    );

    let still_broken = world.pushed("src/other.py", BAD).await;
    for _ in 0..5 {
        world.process().worker.reconcile().await.unwrap();
        world.process().drain().await.unwrap();
        world.clock.advance(Duration::from_secs(600));
    }
    assert_eq!((world.runs().await.len(), world.notices()), (1, 1));
    assert!(push_events(&world, &still_broken).await.len() <= 3, "a refusal is audited once");

    world.pushed(".codehealer.toml", "[thresholds]\nopen = 90\n").await;
    world.settle().await;
    world.assert_ended().await;
    let healed: Vec<_> = world.runs().await.into_iter().filter(|run| run.state == RunState::Done).collect();
    assert_eq!(healed.len(), 1, "what was pushed meanwhile is healed");
    assert_eq!(healed[0].summary.path.as_str(), "src/other.py");
}
