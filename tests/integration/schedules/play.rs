//! Playing one schedule: who goes on next, and what strikes, is drawn from the seed and from nothing else.
//!
//! Time is virtual. The runtime's own paused time tells when all is quiet: it moves only once every task waits, so a sleep of the
//! scheduler ends when each process stands at the gate, sleeps, or is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use codehealer::healer::Caps;
use codehealer::ports::{ErrorKind, State};
use tokio::task::JoinHandle;

use super::dice::Dice;
use super::gate::{Door, Gate, ProcessId, Verdict};
use super::people::{ACTS, Act, Bugs, People, Range, merge};
use super::stage::{Removed, Stage};
use super::{invariants, stage};
use crate::support::clock::VirtualClock;
use crate::support::faults::{Call, Fault};
use crate::support::world::ScriptedModel;

/// Steps in which faults may strike.
const STEPS: usize = 4_000;
/// Faults of a schedule at least.
const FAULTS: usize = 2;
/// Processes that are started while faults may strike.
const PROCESSES: usize = 60;

/// The last look.
const LAST: &str = "people merged";

/// What came of a schedule.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One line a step, and the end.
    pub trace: Vec<String>,
    pub violations: Vec<String>,
    /// Faults that struck.
    pub faults: usize,
    /// Which ones, by name, over all.
    pub kinds: BTreeMap<String, usize>,
}

/// Plays a schedule in a runtime of its own, with the embedded store.
pub fn play(seed: u64, removed: Removed) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(play_on(seed, removed, VirtualClock::new(), None))
}

/// Plays a schedule with this store, or the embedded one.
pub async fn play_on(seed: u64, removed: Removed, clock: Arc<VirtualClock>, state: Option<Arc<dyn State>>) -> Outcome {
    let mut dice = Dice::of(seed);
    let mut stage = Stage::new(clock, removed, state).await;
    stage.model = match dice.below(4) {
        0 => Some(ScriptedModel::answering(|_| Ok("I can not help with that.".to_owned()))),
        1 if dice.once_in(2) => None,
        _ => Some(ScriptedModel::rewriting("%s has %s", "%s has", "80")),
    };
    if dice.once_in(4) {
        let cases_a_push = 1 + dice.below(3);
        stage.policy.caps = Some(Caps { per_hour: 2, open: 5, cases_a_push, pause: Duration::from_secs(1) });
    }
    let mut player = Player::new(stage, dice);
    player.chaos().await;
    player.calm().await
}

/// Something that happens outside of our processes.
enum Event {
    Push { name: &'static str, bugs: Bugs, deliveries: usize },
    Deliver(Range),
    Act(Act),
}

struct Running {
    id: ProcessId,
    task: JoinHandle<()>,
    frozen_until: u64,
}

/// When a fault strikes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Strike {
    /// At this call, or the first one after it that will do.
    at: usize,
    /// Only at calls that show outside of our stores.
    shows: bool,
}

impl Strike {
    fn hits(&self, number: usize, call: &Call) -> bool {
        let shows = call.mutates && matches!(call.port, "forge" | "notifier" | "memory");
        self.at <= number && (shows || call.port == "model" || !self.shows)
    }
}

struct Player {
    stage: Stage,
    dice: Dice,
    gate: Arc<Gate>,
    people: People,
    events: Vec<Event>,
    running: Vec<Running>,
    started: usize,
    /// Nothing is left to be worked on, as far as the last one saw.
    idle: bool,
    steps: usize,
    strikes: Vec<Strike>,
    calls: usize,
    outcome: Outcome,
}

impl Player {
    fn new(stage: Stage, mut dice: Dice) -> Self {
        let mut events = Vec::new();
        for _ in 0..2 {
            let bugs = *dice.pick(&[(true, false), (false, true), (true, true), (true, false)]);
            let bugs = Bugs { yaml: bugs.0, format: bugs.1 };
            // Lost, once, once or twice.
            let deliveries = *dice.pick(&[0, 1, 1, 2]);
            events.push(Event::Push { name: if dice.once_in(3) { "b.py" } else { "a.py" }, bugs, deliveries });
        }
        for _ in 0..dice.below(4) {
            let act = Event::Act(*dice.pick(&ACTS));
            let at = 1 + dice.below(events.len());
            events.insert(at, act);
        }
        // Early enough to strike for sure: two pushes ask for more calls than that.
        let mut strikes: Vec<Strike> = (0..FAULTS).map(|_| Strike { at: dice.below(40), shows: false }).collect();
        // Others wait for a call that shows outside of our stores.
        strikes.extend((0..dice.below(4)).map(|_| Strike { at: dice.below(160), shows: dice.once_in(2) }));
        strikes.sort_unstable();
        events.reverse();
        let (gate, people) = (Arc::default(), People::default());
        let (running, outcome) = (Vec::new(), Outcome::default());
        Self {
            stage,
            dice,
            gate,
            people,
            events,
            running,
            started: 0,
            idle: true,
            steps: 0,
            strikes,
            calls: 0,
            outcome,
        }
    }

    fn note(&mut self, line: String) {
        self.outcome.trace.push(line);
    }

    fn now(&self) -> u64 {
        stage::now(&self.stage)
    }

    /// Faults strike, and people act, until there is nothing left to draw from.
    async fn chaos(&mut self) {
        while self.steps < STEPS {
            self.steps += 1;
            self.quiet().await;
            let strikes = self.outcome.faults < FAULTS || !(self.strikes.is_empty() || self.idle && self.started >= 16);
            if self.events.is_empty() && !strikes && self.running.is_empty() {
                return;
            }
            let ready = self.ready();
            let may_start = self.running.len() < 3 && self.started < PROCESSES;
            let start = if !may_start {
                0
            } else if self.idle {
                1
            } else {
                4
            };
            let event = usize::from(!self.events.is_empty());
            let drawn = self.dice.below(ready.len() * 12 + start + event + usize::from(ready.is_empty()));
            if drawn < ready.len() * 12 {
                self.step(ready[drawn / 12]);
            } else if drawn < ready.len() * 12 + start {
                self.start();
            } else if drawn < ready.len() * 12 + start + event {
                self.happen().await;
            } else if !self.wait().await {
                return;
            }
        }
    }

    /// Nobody can go on: time does. False when nobody ever will.
    async fn wait(&mut self) -> bool {
        if self.running.is_empty() && self.started >= PROCESSES {
            return false;
        }
        let held = self.gate.waiting(|w| (w.process, w.not_before));
        let frozen: BTreeMap<ProcessId, u64> = self.running.iter().map(|r| (r.id, r.frozen_until)).collect();
        let next = held.iter().map(|(p, until)| (*until).max(frozen.get(p).copied().unwrap_or(0))).min();
        // Long enough for what a process left that died.
        let wait = next.map_or(25_000, |next| next.saturating_sub(self.now()).clamp(1, 5_000));
        self.stage.pass(wait).await;
        self.idle = false;
        true
    }

    /// Waits until each process stands at the gate, sleeps, or is done.
    async fn quiet(&mut self) {
        loop {
            self.stage.pass(1).await;
            self.reap();
            let at_the_gate = self.gate.waiting(|waiting| waiting.process);
            if !self.stage.real_time || self.running.iter().all(|running| at_the_gate.contains(&running.id)) {
                return;
            }
        }
    }

    /// Places of the waiting calls that can go on now.
    fn ready(&self) -> Vec<usize> {
        let now = self.now();
        let frozen = |id: ProcessId| self.running.iter().any(|r| r.id == id && r.frozen_until > now);
        let ready = self.gate.waiting(|w| w.not_before <= now && !frozen(w.process));
        ready.iter().enumerate().filter(|(_, ready)| **ready).map(|(n, _)| n).collect()
    }

    /// Processes that died or are done leave.
    fn reap(&mut self) {
        for process in self.gate.died() {
            self.kill(process);
        }
        let before = self.running.len();
        self.running.retain(|running| !running.task.is_finished());
        // Who is done found nothing more to do.
        self.idle |= self.running.len() < before;
    }

    fn kill(&mut self, process: ProcessId) {
        if let Some(at) = self.running.iter().position(|running| running.id == process) {
            self.running.remove(at).task.abort();
        }
        self.gate.forget(process);
    }

    /// A call goes on, or a fault strikes it.
    fn step(&mut self, nth: usize) {
        let (process, call) = self.gate.waiting(|w| (w.process, w.call.clone())).swap_remove(nth);
        self.calls += 1;
        let Some(strike) = self.strikes.iter().position(|strike| strike.hits(self.calls, &call)) else {
            self.note(format!("p{process} {}", brief(&call)));
            return self.gate.release(nth, Verdict::Goes);
        };
        self.strikes.remove(strike);
        self.outcome.faults += 1;
        let until = self.now() + 5_000 + 1_000 * self.dice.below(90) as u64;
        let drawn = self.dice.below(9);
        let name = match drawn {
            0 | 1 => "dies before",
            2 | 3 => "dies after",
            4 => "answer lost",
            5 => "unavailable",
            6 => "throttled",
            7 => "slow",
            _ => *self.dice.pick(&["frozen", "frozen", "clock jumps"]),
        };
        self.note(format!("p{process} {}: {name}", brief(&call)));
        *self.outcome.kinds.entry(name.to_owned()).or_default() += 1;
        match name {
            "dies before" => self.kill(process),
            "dies after" => self.gate.release(nth, Verdict::DiesAfter),
            "answer lost" => self.gate.release(nth, Verdict::AnswerLost),
            "unavailable" => self.gate.release(nth, Verdict::Refused(ErrorKind::Unavailable)),
            "throttled" => {
                let wait = Duration::from_secs(1 + self.dice.below(60) as u64);
                self.gate.release(nth, Verdict::Refused(ErrorKind::Throttled(wait)));
            }
            "slow" => self.gate.hold(nth, until),
            "frozen" => {
                self.gate.strike(process);
                self.running.iter_mut().filter(|r| r.id == process).for_each(|r| r.frozen_until = until);
            }
            _ => {
                self.running.iter().for_each(|running| self.gate.strike(running.id));
                self.stage.clock.advance(Duration::from_millis(until - self.now()));
            }
        }
    }

    /// A new process works until the inbox is empty, or reconciles first.
    fn start(&mut self) {
        let id = self.started;
        self.started += 1;
        let door = Arc::new(Door { gate: Arc::clone(&self.gate), process: id }) as Arc<dyn Fault>;
        let worker = self.stage.process(door).worker;
        let reconciles = self.dice.once_in(4) && self.stage.removed != Removed::Reconciler;
        self.note(format!("p{id} starts{}", if reconciles { " and reconciles" } else { "" }));
        let task = tokio::spawn(async move {
            if reconciles {
                let _ = worker.reconcile().await;
            }
            while worker.work(1).await.is_ok_and(|done| done > 0) {}
        });
        self.running.push(Running { id, task, frozen_until: 0 });
    }

    /// The next thing that people, or GitHub, do.
    async fn happen(&mut self) {
        let Some(event) = self.events.pop() else { return };
        self.idle = false;
        match &event {
            Event::Push { name, bugs, deliveries } => {
                let (name, bugs, deliveries) = (*name, *bugs, *deliveries);
                let range = self.people.push(&self.stage, name, bugs);
                self.note(format!("somebody pushes {name} {bugs:?}, delivered {deliveries} times"));
                self.count(if deliveries == 1 { None } else { Some("webhook lost or doubled") });
                for _ in 0..deliveries {
                    // Now or later, in any order.
                    let at = self.dice.below(self.events.len() + 1);
                    self.events.insert(at, Event::Deliver(range.clone()));
                }
            }
            Event::Deliver(range) => {
                self.note(format!("{} is delivered", range.1.short()));
                self.stage.deliver(range).await;
            }
            Event::Act(act) => {
                let act = *act;
                let Some((what, pushed)) = self.people.act(&self.stage, act, &mut self.dice) else {
                    // There is nothing yet to do it to.
                    if !self.dice.once_in(20) {
                        let at = self.dice.below(self.events.len() + 1);
                        self.events.insert(at, event);
                    }
                    return;
                };
                self.note(format!("somebody {what}"));
                self.count(Some(&format!("{act:?}")));
                if let Some(range) = pushed
                    && !self.dice.once_in(3)
                {
                    let at = self.dice.below(self.events.len() + 1);
                    self.events.insert(at, Event::Deliver(range));
                }
            }
        }
    }

    fn count(&mut self, kind: Option<&str>) {
        if let Some(kind) = kind {
            *self.outcome.kinds.entry(kind.to_owned()).or_default() += 1;
        }
    }

    /// The faults stop, time passes, people finish, and everything is looked at.
    async fn calm(mut self) -> Outcome {
        // Some of those that hang wake only after everything is settled without them.
        let late = self.dice.once_in(2);
        if !late {
            self.wake().await;
        }
        self.settle("the faults stopped").await;
        self.wake().await;
        self.settle("everybody woke").await;
        let open: Vec<String> = self.stage.branches().into_iter().collect();
        for branch in open {
            if merge(&self.stage, &branch).is_some() {
                self.people.ended.insert(branch);
            }
        }
        self.settle(LAST).await;
        self.end().await;
        self.outcome
    }

    /// Everything that waits goes on, one after the other.
    async fn wake(&mut self) {
        for _ in 0..20_000 {
            self.quiet().await;
            if self.running.is_empty() {
                return;
            }
            let ready = self.ready();
            if ready.is_empty() {
                self.wait().await;
                continue;
            }
            let nth = *self.dice.pick(&ready);
            let what = self.gate.waiting(|w| format!("p{} {} late", w.process, brief(&w.call))).swap_remove(nth);
            self.note(what);
            self.gate.release(nth, Verdict::Goes);
        }
        self.outcome.violations.push("a process never ended".to_owned());
    }

    async fn settle(&mut self, after: &str) {
        let is_last = after == LAST;
        if !self.outcome.violations.is_empty() {
            return;
        }
        let found = if self.stage.settle().await {
            invariants::check(&self.stage, &self.people, &self.gate, is_last).await
        } else {
            vec!["there is still work days later".to_owned()]
        };
        self.outcome.violations.extend(found.into_iter().map(|what| format!("after {after}: {what}")));
    }

    /// How it ended, for the trace.
    async fn end(&mut self) {
        for run in self.stage.runs().await {
            let line = format!(
                "{} of {} in {} ends {} after {} events, {}",
                run.generation.0, run.summary.rule, run.summary.path, run.state, run.sequence, run.summary.outcome
            );
            self.note(line);
        }
        for (name, target) in self.stage.git.references() {
            self.note(format!("{name} {target}"));
        }
        for key in self.stage.board.notices().into_keys() {
            self.note(format!("notice {key}"));
        }
    }
}

fn brief(call: &Call) -> String {
    let key: String = call.key.chars().take(90).collect();
    format!("{}.{} {key}", call.port, call.verb)
}
