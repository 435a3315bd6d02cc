//! What is said beside a pull request, and how fast: labels and reviewers, a note at the commit, one thing after the other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use codehealer::healer::Caps;
use codehealer::model::{CaseId, CaseOutcome, CommandTask, CommitId, Repository, RepositoryId, RunState};
use codehealer::ports::{
    Decoration, ErrorKind, Forge, Notice, Permission, PortError, PortResult, PullRequest, PullRequestPlan,
};

use crate::support::faults::{Counting, Dying, Fault};
use crate::support::relay::{Relay, forge_by_relay};
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, Push, World};

on_both_stores! {
    a_proposal_is_decorated_after_people_were_told_and_not_again,
    a_decoration_that_is_refused_stops_nothing_and_one_that_fails_for_now_is_tried_again,
    what_cannot_become_a_pull_request_is_said_at_the_commit,
    an_order_in_one_repository_reaches_no_case_of_another,
}

const FILE: &str = "src/config.py";

/// The local forge with a number for its pull requests, and with what was added to them.
struct Numbered {
    inner: Arc<dyn Forge>,
    seen: Mutex<Vec<(u64, Decoration)>>,
    notes: Mutex<Vec<(CommitId, String, String)>>,
    /// Answers to the next decorations.
    refuses: Mutex<Vec<ErrorKind>>,
    /// The pull request with the number, in whatever repository somebody looks for it.
    pull: Mutex<Option<PullRequest>>,
    said: Mutex<Vec<String>>,
}

const NUMBER: u64 = 7;

#[async_trait]
impl Relay for Numbered {
    fn behind(&self) -> &dyn Forge {
        &*self.inner
    }

    async fn ensure_pull_request(
        &self,
        repository: &Repository,
        plan: &PullRequestPlan,
    ) -> PortResult<(PullRequest, bool)> {
        let (request, new) = self.inner.ensure_pull_request(repository, plan).await?;
        let request = PullRequest { number: NUMBER, ..request };
        *self.pull.lock().unwrap() = Some(request.clone());
        Ok((request, new))
    }

    async fn pull_request(&self, _: &Repository, number: u64) -> PortResult<Option<PullRequest>> {
        Ok(self.pull.lock().unwrap().clone().filter(|request| request.number == number))
    }

    async fn permission(&self, _: &Repository, _: &str) -> PortResult<Permission> {
        Ok(Permission::Write)
    }

    async fn ensure_comment(&self, _: &Repository, _: u64, _: &str, markdown: &str) -> PortResult<String> {
        self.said.lock().unwrap().push(markdown.to_owned());
        Ok("comment".to_owned())
    }

    async fn decorate(&self, _: &Repository, number: u64, with: &Decoration) -> PortResult<()> {
        let refused = self.refuses.lock().unwrap().pop();
        match refused {
            Some(kind) => Err(PortError::new("forge", "label a pull request", kind)),
            None => {
                self.seen.lock().unwrap().push((number, with.clone()));
                Ok(())
            }
        }
    }

    async fn annotate(
        &self,
        _: &Repository,
        commit: &CommitId,
        key: &str,
        notice: &Notice,
    ) -> PortResult<Option<String>> {
        self.notes.lock().unwrap().push((commit.clone(), key.to_owned(), notice.headline.clone()));
        Ok(None)
    }
}

forge_by_relay!(Numbered);

fn decoration() -> Decoration {
    Decoration { labels: vec!["codehealer".to_owned()], reviewers: vec!["ann".to_owned()] }
}

/// A world on such a forge, whose operator wants labels and a reviewer.
async fn dressed(at: Storage) -> (World, Arc<Numbered>) {
    let mut world = at.world().await;
    let inner = Arc::clone(&world.forge);
    let (seen, notes, refuses) = (Mutex::default(), Mutex::default(), Mutex::default());
    let (pull, said) = (Mutex::default(), Mutex::default());
    let forge = Arc::new(Numbered { inner, seen, notes, refuses, pull, said });
    world.forge = forge.clone();
    Decoration { labels: world.policy.labels, reviewers: world.policy.reviewers } = decoration();
    (world, forge)
}

async fn a_proposal_is_decorated_after_people_were_told_and_not_again(at: Storage) {
    let (world, forge) = dressed(at).await;
    let push = world.pushed(FILE, BAD).await;
    let counting = Counting::new();
    world.process_under(counting.clone() as Arc<dyn Fault>).drain().await.unwrap();
    world.assert_ok().await;
    assert_eq!(*forge.seen.lock().unwrap(), [(NUMBER, decoration())]);
    let place = |port, verb| counting.all().iter().position(|call| call.is(port, verb)).unwrap();
    assert!(place("notifier", "ensure_notice") < place("forge", "decorate"), "people are told first");
    world.deliver(&push).await;
    world.settle().await;
    assert_eq!(forge.seen.lock().unwrap().len(), 1, "and not again");
    assert_eq!(*forge.notes.lock().unwrap(), [], "what became a pull request needs no note");
}

/// Whoever dies at it, or before it, is followed by one who does it.
#[tokio::test]
async fn who_dies_before_the_decoration_is_followed_by_one_who_does_it() {
    for effects in 0.. {
        let (world, forge) = dressed(Storage::InMemory).await;
        world.pushed(FILE, BAD).await;
        let dying = Dying::after(effects);
        let _ = world.process_under(dying.clone() as Arc<dyn Fault>).drain().await;
        world.settle().await;
        world.assert_ok().await;
        let times = forge.seen.lock().unwrap().len();
        assert!((1..=2).contains(&times), "{effects}: {times} times");
        if !dying.is_dead() {
            break;
        }
    }
}

async fn a_decoration_that_is_refused_stops_nothing_and_one_that_fails_for_now_is_tried_again(at: Storage) {
    for (refuses, expected) in [
        (vec![ErrorKind::Denied], 0),
        (vec![ErrorKind::Missing], 0),
        (vec![ErrorKind::Unavailable, ErrorKind::Unavailable], 1),
    ] {
        let (world, forge) = dressed(at).await;
        forge.refuses.lock().unwrap().clone_from(&refuses);
        world.pushed(FILE, BAD).await;
        world.settle().await;
        world.assert_ok().await;
        assert_eq!(
            (forge.seen.lock().unwrap().len(), forge.refuses.lock().unwrap().len()),
            (expected, 0),
            "{refuses:?}"
        );
    }
}

async fn what_cannot_become_a_pull_request_is_said_at_the_commit(at: Storage) {
    let (world, forge) = dressed(at).await;
    let push = world.pushed(FILE, BAD).await;
    world.process().worker.work(1).await.unwrap();
    let run = world.run().await;
    // Somebody has a branch of that name.
    world.git.on(&run.case.branch(&run.summary.rule, run.generation)).file("x", "x").commit("mine");
    world.settle().await;
    let run = world.run().await;
    assert_eq!((run.state, run.summary.outcome), (RunState::Done, CaseOutcome::Escalated));
    let told = world.shown.lock().unwrap().clone();
    let [notice] = &told[..] else { panic!("{told:?}") };
    assert_eq!(*forge.notes.lock().unwrap(), [(push.after, notice.key.clone(), notice.headline.clone())]);
    assert_eq!(*forge.seen.lock().unwrap(), [], "there is nothing to label");
}

/// Somebody who may push to this repository comments on the pull request with our number.
fn order(repository: &Repository, comment: u64, word: &str) -> CommandTask {
    CommandTask {
        repository: repository.id.clone(),
        name: repository.name.clone(),
        number: NUMBER,
        comment,
        updated_at: "t".to_owned(),
        login: "mallory".to_owned(),
        text: format!("/codehealer {word}"),
    }
}

/// Another repository may have a branch of any name; who may push there has no say here.
async fn an_order_in_one_repository_reaches_no_case_of_another(at: Storage) {
    let (world, forge) = dressed(at).await;
    world.pushed(FILE, BAD).await;
    world.settle().await;
    world.assert_ok().await;
    let before = world.run().await;
    let other = Repository { id: RepositoryId("999".to_owned()), name: "acme/other".to_owned(), ..world.repository() };
    for (comment, word) in ["ignore it", "retry", "explain"].into_iter().enumerate() {
        let task = order(&other, comment as u64, word);
        assert_eq!(world.process().worker.healer().obey(&task, &other).await.unwrap(), [], "{word}");
    }
    // A branch of theirs may also look like ours but for the rule.
    let request = forge.pull.lock().unwrap().clone().unwrap();
    let (short, generation) = CaseId::of_branch(&request.branch).unwrap();
    let branch = format!("codehealer/another-rule-{short}-g{}", generation.0);
    *forge.pull.lock().unwrap() = Some(PullRequest { branch, ..request });
    let task = order(&world.repository(), 9, "ignore it");
    assert_eq!(world.process().worker.healer().obey(&task, &world.repository()).await.unwrap(), []);
    assert_eq!(world.run().await, before);
    let said = forge.said.lock().unwrap().clone();
    assert!(said.len() == 4 && said.iter().all(|text| text.contains("No case is on record")), "{said:?}");
}

/// Three files with a finding each.
async fn three_pushed(world: &World) {
    let before = world.git.tip("develop");
    let mut change = world.git.on("develop");
    for number in 0..3 {
        change = change.file(&format!("src/file{number}.py"), BAD);
    }
    let after = change.commit("three files");
    world.deliver(&Push { before, after }).await;
}

/// One write after the other, as long apart as is configured; who would have to wait too long gives the work back.
#[tokio::test(start_paused = true)]
async fn what_shows_comes_one_after_the_other() {
    let mut world = World::new().await;
    let pause = Duration::from_secs(3);
    world.policy.caps = Some(Caps { per_hour: 100, open: 100, cases_a_push: 100, pause });
    three_pushed(&world).await;
    let process = world.process();
    assert_eq!(process.worker.work(1).await.unwrap(), 1, "the scan");
    // The world's clock stands still; the wait is the runtime's.
    let begun = tokio::time::Instant::now();
    let mut waits = Vec::new();
    while process.worker.work(1).await.unwrap() > 0 {
        waits.push((world.pull_requests(), begun.elapsed().as_secs()));
    }
    assert_eq!(waits, [(1, 0), (2, 3), (2, 3)], "the third would have to wait six seconds");
    assert_eq!(world.store.inbox().depth().await.unwrap().hidden, 1, "it is given back");
    world.clock.advance(Duration::from_secs(6));
    assert_eq!(process.worker.work(1).await.unwrap(), 1);
    assert_eq!((world.pull_requests(), begun.elapsed().as_secs()), (3, 3), "who gave up its turn took none");
    world.settle().await;
    world.assert_ended().await;
}
