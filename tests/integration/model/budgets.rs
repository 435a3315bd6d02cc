//! What models may cost, kept by all workers together: exactly, also where answers are lost; told once a level; and what does not
//! fit waits or ends, as its window says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use codehealer::healer::{Budgets, Limit, Prices, trail};
use codehealer::model::{CaseOutcome, EventKind, ModelCall, RunState};
use codehealer::ports::{Clock, PortResult};
use codehealer::state::spend::{Amount, Hold, Spent};
use codehealer::state::{QueryOf, keys, run::record};

use crate::support::faults::{Call, Fault, LosesAnswers};
use crate::support::stores::{Storage, on_both_stores};
use crate::support::world::{Push, ScriptedModel, UNKNOWN, World};

on_both_stores! {
    a_day_is_never_overspent_while_answers_are_lost,
    exactly_what_fits_into_a_day_in_dollars_is_asked_and_the_rest_later,
    every_hold_is_in_the_count_and_nothing_else,
    what_is_spent_is_told_once_a_level,
    a_case_that_spent_its_own_ends_without_waiting,
    without_a_limit_nothing_is_counted;
    on_threads:
    many_workers_together_keep_within_a_day,
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn tokens(limit: u64) -> Limit {
    Limit { tokens: Some(limit), micros: None }
}

fn good() -> Arc<ScriptedModel> {
    ScriptedModel::rewriting("%s has %s", "%s has", "80")
}

/// A world whose day has just begun, with so many files that each need the model.
async fn world(at: Storage, model: &Arc<ScriptedModel>, budgets: Budgets, files: usize) -> World {
    let mut world = at.world().await.with_model(model);
    world.policy.model.budgets = budgets;
    // Each question holds what one answer may take, about 2,500.
    world.policy.model.samples = 1;
    world.clock.advance(Duration::from_millis(DAY_MS - world.clock.now() % DAY_MS));
    let before = world.git.tip("develop");
    let mut change = world.git.on("develop");
    for number in 0..files {
        change = change.file(&format!("src/tell{number}.py"), UNKNOWN);
    }
    let after = change.commit("many");
    world.deliver(&Push { before, after }).await;
    world
}

/// Every call on record, of all runs.
async fn calls(world: &World) -> Vec<ModelCall> {
    let mut all = Vec::new();
    for run in world.runs().await {
        for event in world.events(&run).await {
            if let EventKind::Consulted(asked) = event.kind {
                all.extend(asked.calls);
            }
        }
    }
    all
}

async fn spent(world: &World, scope: &str, window: u64) -> Spent {
    let item = world.state.get(&keys::budget(scope, window)).await.unwrap();
    item.map(|item| record(&item).unwrap()).unwrap_or_default()
}

fn sum(calls: &[ModelCall]) -> u64 {
    calls.iter().map(|call| call.input_tokens + call.output_tokens).sum()
}

async fn a_day_is_never_overspent_while_answers_are_lost(at: Storage) {
    let model = good();
    // Room to hold a few questions at a time; each takes 150 in the end.
    let world = world(at, &model, Budgets { day: tokens(4_000), ..Budgets::default() }, 30).await;
    let today = world.clock.now() / DAY_MS;
    let unreliable = world.process_under(LosesAnswers::new() as Arc<dyn Fault>);
    world.work_off(&unreliable).await;
    let calls = calls(&world).await;
    let counted = spent(&world, "model-day", today).await.spent;
    assert!(!calls.is_empty() && calls.len() < 30, "{}: some fit, and not all", calls.len());
    assert!(counted.tokens <= 4_000, "{counted:?}");
    // Calls whose answer was lost are held or settled, too: nothing that is on record is missing from the count.
    assert!(counted.tokens >= sum(&calls), "{counted:?}, on record {}", sum(&calls));
    let waiting = world.runs().await.iter().filter(|run| run.state == RunState::Deferred).count();
    assert!(waiting > 0, "the rest waits");
    let before = model.asked();
    world.clock.advance(Duration::from_secs(24 * 3600));
    world.work_off(&world.process()).await;
    assert!(model.asked() > before, "and goes on the next day");
}

fn dollars(micros: u64) -> Limit {
    Limit { tokens: None, micros: Some(micros) }
}

/// Every effect's answer is lost the first time, and every third answer of the model, which it was paid for.
#[derive(Default)]
struct LosesModels {
    others: LosesAnswers,
    asked: AtomicUsize,
}

#[async_trait]
impl Fault for LosesModels {
    async fn before(&self, call: &Call) -> PortResult<()> {
        self.others.before(call).await
    }

    async fn after(&self, call: &Call) -> PortResult<()> {
        if call.port == "model" && self.asked.fetch_add(1, Ordering::SeqCst) % 3 == 2 {
            return Err(call.unavailable("the answer was lost"));
        }
        self.others.after(call).await
    }
}

/// What every call of every run holds or took, by the records of the holds.
async fn held(world: &World) -> (Amount, usize) {
    let (mut sum, mut open) = (Amount::default(), 0);
    for run in world.runs().await {
        for step in 0..=run.sequence {
            let pk = format!("HOLD#{}-g{}-{step:08}", run.case, run.generation.0);
            let of = QueryOf::Partition { pk, prefix: String::new() };
            for item in trail::all(&*world.state, of).await.unwrap() {
                let hold: Hold = record(&item).unwrap();
                sum.tokens += hold.amount.tokens;
                sum.micros += hold.amount.micros;
                open += usize::from(!hold.settled);
            }
        }
    }
    (sum, open)
}

fn cost(calls: &[ModelCall]) -> u64 {
    calls.iter().map(|call| call.cost_micros).sum()
}

async fn exactly_what_fits_into_a_day_in_dollars_is_asked_and_the_rest_later(at: Storage) {
    let model = good();
    // Answers cost six millionths a token, questions nothing: a call holds 600 tokens and takes 50. Of ten calls nine are settled
    // when the last one holds its part, so that ten fit, and not one more.
    let limit = 9 * 50 * 6 + 600 * 6;
    let mut world = world(at, &model, Budgets { day: dollars(limit), ..Budgets::default() }, 40).await;
    world.policy.model.prices = Prices { input: 0, output: 6_000_000 };
    let unreliable = world.process_under(LosesAnswers::new() as Arc<dyn Fault>);
    world.work_off(&unreliable).await;
    let fits = 10;
    assert_eq!((model.asked(), calls(&world).await.len()), (fits, fits), "exactly what fits");
    let today = world.clock.now() / DAY_MS;
    let counted = spent(&world, "model-day", today).await.spent;
    assert_eq!((counted.micros, counted.micros <= limit), (cost(&calls(&world).await), true));
    assert_eq!(world.runs().await.iter().filter(|run| run.state == RunState::Deferred).count(), 40 - fits);
    world.clock.advance(Duration::from_millis(DAY_MS));
    world.work_off(&world.process()).await;
    assert_eq!(model.asked(), 2 * fits, "as many again on the next day");
    // Longer than a day nobody waits for a model: a person is told of each that is left.
    let told = world.runs().await.into_iter().filter(|run| run.summary.outcome == CaseOutcome::Escalated).count();
    assert_eq!(told, 40 - 2 * fits);
    // One notice a case, and one for each of the four levels on each of the two days.
    assert_eq!(world.notices(), 40 + 2 * 4);
}

async fn every_hold_is_in_the_count_and_nothing_else(at: Storage) {
    let model = good();
    let prices = Prices { input: 2_000_000, output: 6_000_000 };
    for limit in [tokens(9_000), dollars(30_000)] {
        let mut world =
            world(at, &model, Budgets { day: limit, month: tokens(1_000_000), ..Budgets::default() }, 15).await;
        world.policy.model.prices = prices;
        let today = world.clock.now() / DAY_MS;
        let unreliable = world.process_under(Arc::new(LosesModels::default()) as Arc<dyn Fault>);
        world.work_off(&unreliable).await;
        let (held, open) = held(&world).await;
        let (day, calls) = (spent(&world, "model-day", today).await.spent, calls(&world).await);
        assert_eq!(day, held, "{limit:?}: to the token and to the millionth");
        assert_eq!(spent(&world, "model-month", today / 30).await.spent, held, "{limit:?}");
        assert_eq!(open, 0, "{limit:?}: whatever was lost, each call is settled in the end");
        assert!(limit.tokens.is_none_or(|most| day.tokens <= most), "{limit:?}: {day:?}");
        assert!(limit.micros.is_none_or(|most| day.micros <= most), "{limit:?}: {day:?}");
        // Answers that were lost were paid for all the same, so more is counted than is on record.
        assert!(!calls.is_empty() && day.tokens > sum(&calls) && day.micros > cost(&calls), "{limit:?}: {day:?}");
    }
}

async fn many_workers_together_keep_within_a_day(at: Storage) {
    let model = good();
    let world = world(at, &model, Budgets { day: tokens(3_000), ..Budgets::default() }, 24).await;
    let today = world.clock.now() / DAY_MS;
    world.process().worker.work(1).await.unwrap();
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let process = world.process();
            tokio::spawn(async move { while process.worker.work(1).await.unwrap() > 0 {} })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let calls = calls(&world).await;
    let counted = spent(&world, "model-day", today).await.spent;
    assert!(!calls.is_empty() && counted.tokens <= 3_000, "{counted:?}");
    // Nothing was lost, so every hold is settled: the count is what is on record, to the token.
    assert_eq!((counted.tokens, counted.micros), (sum(&calls), 0));
    assert_eq!(calls.len(), model.asked());
}

async fn what_is_spent_is_told_once_a_level(at: Storage) {
    let model = good();
    let budgets = Budgets { repository: tokens(3_500), month: tokens(1_000_000), ..Budgets::default() };
    let world = world(at, &model, budgets, 40).await;
    world.work_off(&world.process()).await;
    world.work_off(&world.process()).await;
    let shown = world.shown.lock().unwrap();
    let told: Vec<&str> =
        shown.iter().map(|notice| notice.headline.as_str()).filter(|line| line.contains("models may cost")).collect();
    let mut once = told.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(told.len(), once.len(), "each once: {told:?}");
    assert!(told.iter().all(|line| line.contains("a day in acme/shop")), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("50 %")), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("100 %")), "{told:?}");
    let levels: Vec<u32> = told.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(levels.is_sorted() && levels.iter().all(|level| [50, 75, 90, 100].contains(level)), "{told:?}");
}

async fn a_case_that_spent_its_own_ends_without_waiting(at: Storage) {
    let model = good();
    let world = world(at, &model, Budgets { case: tokens(100), ..Budgets::default() }, 1).await;
    world.work_off(&world.process()).await;
    assert_eq!(model.asked(), 0);
    let run = world.run().await;
    assert_eq!((run.state, run.summary.outcome), (RunState::Done, CaseOutcome::Escalated), "no window would help");
    let events = world.events(&run).await;
    let told = events.iter().any(|event| match &event.kind {
        EventKind::Consulted(asked) => asked.answers.iter().any(|line| line.contains("100 tokens for this case")),
        _ => false,
    });
    assert!(told, "{events:?}");
}

async fn without_a_limit_nothing_is_counted(at: Storage) {
    let model = good();
    let world = world(at, &model, Budgets::default(), 1).await;
    let today = world.clock.now() / DAY_MS;
    world.work_off(&world.process()).await;
    assert_eq!(model.asked(), 1);
    assert_eq!(spent(&world, "model-day", today).await, Spent::default());
}
