//! Pushes, answers and chats of any size, and a memory that shows late what it was given.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use codehealer::model::{
    AuditEvent, BlobId, CaseId, EventKind, FixId, Generation, PastFix, RepoPath, Repository, RuleId, RunState,
};
use codehealer::ports::{Clock as _, FixMemory, FixQuery, Forge, PortResult, State};
use codehealer::state::chain::{PushEvent, PushEventKind, seal};
use codehealer::state::run::record;
use codehealer::state::{Item, Key, Page, Query, QueryOf, Transaction, Write, keys};

use crate::support::clock::VirtualClock;
use crate::support::faults::{Dying, Fault};
use crate::support::relay::{Relay, forge_by_relay};
use crate::support::slack::Chat;
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{BAD, DEVELOP, Push, ScriptedModel, UNKNOWN, World};

on_both_stores! {
    two_megabytes_from_every_side_leave_small_items,
    a_push_of_twenty_five_megabytes_is_scanned_as_far_as_it_is_code,
    what_is_made_to_be_slow_is_cut_off_and_the_trail_says_where,
    a_memory_that_shows_its_entries_late_costs_no_second_question,
    an_event_of_two_megabytes_is_stored_in_parts_and_read_back,
}

/// What an item may take in DynamoDB, bytes.
const LIMIT: usize = 400 * 1024;
const MEGABYTE: usize = 1024 * 1024;

/// A store that weighs every item on its way in.
struct Weighed {
    inner: Arc<dyn State>,
    heaviest: AtomicUsize,
}

#[async_trait]
impl State for Weighed {
    async fn get(&self, key: &Key) -> PortResult<Option<Item>> {
        self.inner.get(key).await
    }

    async fn query(&self, query: &Query) -> PortResult<Page> {
        self.inner.query(query).await
    }

    async fn commit(&self, transaction: &Transaction) -> PortResult<()> {
        for write in &transaction.writes {
            if let Write::Put { item, .. } = write {
                self.heaviest.fetch_max(serde_json::to_string(item).unwrap().len(), Ordering::SeqCst);
            }
        }
        self.inner.commit(transaction).await
    }
}

fn weighed(world: &mut World) -> Arc<Weighed> {
    let scale = Arc::new(Weighed { inner: Arc::clone(&world.state), heaviest: AtomicUsize::new(0) });
    world.state = Arc::clone(&scale) as Arc<dyn State>;
    scale
}

async fn two_megabytes_from_every_side_leave_small_items(at: Storage) {
    let words = "a word ".repeat(2 * MEGABYTE / 7);
    // Slack takes 40,000 characters a message.
    let talk = "a word ".repeat(5_000);
    let question = format!("py-format-arguments {talk}");
    let answer = format!("```\n{talk}\n```");
    let (_folder, team) = Chat { messages: &[("U1", &question), ("U2", &answer)], confirmed: true }.open();
    let said = words.clone();
    let model = ScriptedModel::answering(move |_| Ok(said.clone()));
    let mut world = at.world().await.with_model(&model);
    world.team = Some(team);
    world.pusher = "ann ".repeat(50_000);
    let scale = weighed(&mut world);
    // Two megabytes, and one file with more findings than one run takes up. Each fix has its whole file scanned again, so that
    // one is small.
    let before = world.git.tip("develop");
    let place = |n: usize| UNKNOWN.replace("tell", &format!("tell_{n}")).replace("%s has", &format!("{n} %s has"));
    let findings: String = (0..60).map(place).collect();
    let mut change = world.git.on("develop").file("src/many.py", findings);
    for number in 0..8 {
        let filler = format!("# {}\n", "x".repeat(100)).repeat(2_400);
        change = change.file(&format!("src/part{number}.py"), filler);
    }
    let after = change.file("src/config.py", BAD).commit(&words);
    world.deliver(&Push { before, after }).await;
    world.settle().await;
    world.assert_ended().await;
    assert_eq!(world.runs().await.len(), 2);
    let mut taken_up = Vec::new();
    for run in world.runs().await {
        let events = world.events(&run).await;
        let EventKind::Detected { findings, .. } = &events[0].kind else { panic!("{:?}", events[0]) };
        taken_up.push(findings.len());
    }
    taken_up.sort_unstable();
    assert_eq!(taken_up, [1, 50], "of sixty findings a run takes up fifty");
    let heaviest = scale.heaviest.load(Ordering::SeqCst);
    assert!(heaviest > LIMIT / 4, "something large was stored: {heaviest} bytes");
    assert!(heaviest < LIMIT, "an item takes {heaviest} bytes");
    assert!(world.runs().await.iter().all(|run| run.state != RunState::Failed));
    for notice in world.shown.lock().unwrap().iter() {
        assert!(notice.body.len() < 60_000, "a notice of {} bytes", notice.body.len());
    }
}

/// A push whose one bug is healed whatever stands beside it: how many files were looked at, and what was passed over.
async fn healed_beside(world: &World, push: Push) -> (usize, Vec<String>) {
    world.deliver(&push).await;
    world.settle().await;
    world.assert_ended().await;
    let [run] = world.runs().await.try_into().unwrap();
    assert_eq!((run.state, run.summary.path.as_str()), (RunState::Done, "src/config.py"));
    scanned(world, &push).await
}

async fn scanned(world: &World, push: &Push) -> (usize, Vec<String>) {
    let pk = keys::push_partition(&world.repository().id, DEVELOP, &push.after);
    let of = QueryOf::Partition { pk, prefix: keys::PUSH_EVENTS.to_owned() };
    let items = codehealer::healer::trail::all(&*world.state, of).await.unwrap();
    let events = items.iter().map(|item| record::<PushEvent>(item).unwrap());
    let mut found = events.filter_map(|event| match event.kind {
        PushEventKind::Scanned { files, skipped, .. } => Some((files, skipped)),
        _ => None,
    });
    found.next().expect("it was scanned")
}

/// A forge that notes the largest file that was asked for.
struct Read {
    inner: Arc<dyn Forge>,
    largest: AtomicUsize,
}

#[async_trait]
impl Relay for Read {
    fn behind(&self) -> &dyn Forge {
        &*self.inner
    }

    async fn read_blob(&self, repository: &Repository, blob: &BlobId) -> PortResult<Vec<u8>> {
        let bytes = self.inner.read_blob(repository, blob).await?;
        self.largest.fetch_max(bytes.len(), Ordering::SeqCst);
        Ok(bytes)
    }
}

forge_by_relay!(Read);

async fn a_push_of_twenty_five_megabytes_is_scanned_as_far_as_it_is_code(at: Storage) {
    let mut world = at.world().await;
    let scale = weighed(&mut world);
    let read = Arc::new(Read { inner: Arc::clone(&world.forge), largest: AtomicUsize::new(0) });
    world.forge = read.clone();
    let before = world.git.tip("develop");
    let mut change = world.git.on("develop");
    // Ten megabytes in one file of code, ten of something else, and five in many files.
    change = change.file("src/huge.py", format!("{BAD}{}", "x = 1\n".repeat(10 * MEGABYTE / 6)));
    change = change.file("data/blob.bin", vec![0_u8; 10 * MEGABYTE]);
    for number in 0..320 {
        change = change.file(&format!("docs/{number}.txt"), "some words\n".repeat(1_500));
    }
    let after = change.file("src/config.py", BAD).commit("everything");
    let (files, skipped) = healed_beside(&world, Push { before, after }).await;
    assert!(files > 300, "{files} files");
    assert!(skipped.iter().any(|line| line.starts_with("src/huge.py: ")), "it says what it left out: {skipped:?}");
    assert!(read.largest.load(Ordering::SeqCst) < MEGABYTE, "what is passed over is not fetched");
    assert!(scale.heaviest.load(Ordering::SeqCst) < LIMIT);
}

async fn what_is_made_to_be_slow_is_cut_off_and_the_trail_says_where(at: Storage) {
    let world = at.world().await;
    let before = world.git.tip("develop");
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(3_000), close.repeat(3_000));
    let files = [
        ("src/deep.py", format!("x = {}\n", nested("f(\n", ")\n")), "nested deeper than 1000 levels"),
        ("src/deep.js", format!("x = {};\n", nested("[\n", "]\n")), "nested deeper than 1000 levels"),
        ("src/table.py", format!("x = [\n{}]\n", "    {'a': 1, 'b': 'c'},\n".repeat(200_000)), "more than the limit"),
        ("src/page.js", format!("!{}\n", "function f(a){return eval(a)};".repeat(4_000)), "minified"),
    ];
    let mut change = world.git.on("develop").file("src/config.py", BAD);
    for (path, text, _) in &files {
        change = change.file(path, text.as_str());
    }
    let after = change.commit("everything that is slow");
    let (_, skipped) = healed_beside(&world, Push { before, after }).await;
    for (path, _, why) in files {
        let said = skipped.iter().find(|line| line.starts_with(path));
        assert!(said.is_some_and(|line| line.contains(why)), "{path} must be named with {why:?}: {skipped:?}");
    }
}

/// A memory whose search finds what is new only half a minute later. By its id everything is found at once.
struct Late {
    inner: Arc<dyn FixMemory>,
    clock: Arc<VirtualClock>,
    written: std::sync::Mutex<std::collections::BTreeMap<FixId, u64>>,
}

impl Late {
    fn note(&self, id: &FixId) {
        self.written.lock().unwrap().entry(id.clone()).or_insert(self.clock.now());
    }

    fn shows(&self, id: &FixId) -> bool {
        self.written.lock().unwrap().get(id).is_none_or(|at| self.clock.now() >= at + 30_000)
    }
}

#[async_trait]
impl FixMemory for Late {
    async fn nearest(&self, query: &FixQuery) -> PortResult<Vec<(PastFix, f64)>> {
        let mut found = self.inner.nearest(query).await?;
        found.retain(|(fix, _)| self.shows(&fix.id));
        Ok(found)
    }

    async fn get(&self, id: &FixId) -> PortResult<Option<PastFix>> {
        self.inner.get(id).await
    }

    async fn remember(&self, fix: &PastFix) -> PortResult<()> {
        self.note(&fix.id);
        self.inner.remember(fix).await
    }

    async fn remember_new(&self, fix: &PastFix) -> PortResult<bool> {
        self.note(&fix.id);
        self.inner.remember_new(fix).await
    }

    async fn forget(&self, id: &FixId) -> PortResult<bool> {
        self.inner.forget(id).await
    }

    async fn list(&self, after: Option<&FixId>, limit: usize) -> PortResult<Vec<PastFix>> {
        self.inner.list(after, limit).await
    }
}

async fn a_memory_that_shows_its_entries_late_costs_no_second_question(at: Storage) {
    // Killed at every effect.
    let mut asked_twice = Vec::new();
    for effects in 0.. {
        let model = ScriptedModel::rewriting("%s has %s", "%s has", "80");
        let mut world = at.world().await.with_model(&model);
        let (inner, clock) = (Arc::clone(&world.memory), world.clock.clone());
        world.memory = Arc::new(Late { inner, clock, written: std::sync::Mutex::default() });
        let push = world.pushed("src/tell.py", UNKNOWN).await;
        let dying = Dying::after(effects);
        let _ = world.process_under(dying.clone() as Arc<dyn Fault>).drain().await;
        world.deliver(&push).await;
        world.settle().await;
        world.deliver(&push).await;
        world.settle().await;
        world.assert_ok().await;
        let asked = model.asked();
        assert!(asked <= 2, "{effects}: asked {asked} times");
        asked_twice.extend((asked == 2).then_some(effects));
        for _ in 0..3 {
            world.deliver(&push).await;
            world.process().worker.reconcile().await.unwrap();
            world.process().drain().await.unwrap();
        }
        assert_eq!(model.asked(), asked, "{effects}: what was healed is not asked about again");
        assert_eq!(world.memories().await.len(), 1);
        if !dying.is_dead() {
            break;
        }
    }
    // Who dies between the answer and its record leaves nobody who could know it; an answer is recorded by the next effect.
    assert_eq!(asked_twice.len(), 1, "{asked_twice:?}");
}

async fn an_event_of_two_megabytes_is_stored_in_parts_and_read_back(at: Storage) {
    let mut world = at.world().await;
    let scale = weighed(&mut world);
    let (rule, path) = (RuleId::new("py-x").unwrap(), RepoPath::new("a.py").unwrap());
    let event = seal(AuditEvent {
        case: CaseId::of(&world.repository().id, &rule, &path),
        generation: Generation(1),
        sequence: 0,
        at: 1,
        kind: EventKind::Failed { reason: "eine \u{fc}ble Sache ".repeat(MEGABYTE / 8) },
        previous: String::new(),
        hash: String::new(),
    });
    let item = codehealer::healer::trail::event_item(&*world.state, &event).await.unwrap();
    codehealer::healer::trail::put(&*world.state, item).await.unwrap();
    let read = codehealer::healer::trail::events(&*world.state, &event.case, event.generation).await.unwrap();
    assert!(read == [event], "it is read back as it was");
    let heaviest = scale.heaviest.load(Ordering::SeqCst);
    assert!((LIMIT / 4..LIMIT).contains(&heaviest), "{heaviest} bytes");
}
