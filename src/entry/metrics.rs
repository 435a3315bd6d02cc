//! Counters of the local server in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use crate::healer::Observation;

/// Upper bounds of the buckets for answers to webhooks, seconds.
const BUCKETS: [f64; 8] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0];

/// All counters. Cheap to update: a handful of lock-protected integers.
#[derive(Default)]
pub struct Metrics {
    inner: Mutex<Counters>,
}

#[derive(Default)]
struct Counters {
    deliveries: BTreeMap<&'static str, u64>,
    tasks: BTreeMap<&'static str, u64>,
    runs: BTreeMap<String, u64>,
    findings: u64,
    files: u64,
    buckets: [u64; BUCKETS.len()],
    answers: u64,
    answer_seconds: f64,
}

impl Metrics {
    /// A delivery was answered.
    pub fn delivery(&self, outcome: &'static str, took: Duration) {
        self.update(|c| {
            *c.deliveries.entry(outcome).or_default() += 1;
            let seconds = took.as_secs_f64();
            c.answers += 1;
            c.answer_seconds += seconds;
            for (bucket, bound) in c.buckets.iter_mut().zip(BUCKETS) {
                *bucket += u64::from(seconds <= bound);
            }
        });
    }

    /// The worker did something.
    pub fn observe(&self, observation: &Observation) {
        self.update(|c| match observation {
            Observation::Scanned { files, findings } => {
                c.files += *files as u64;
                c.findings += *findings as u64;
            }
            Observation::Healed { state, decision, .. } => {
                let decision = decision.map_or_else(|| "none".to_owned(), |d| d.to_string());
                let labels = format!("state=\"{}\",decision=\"{decision}\"", state.to_string().to_lowercase());
                *c.runs.entry(labels).or_default() += 1;
            }
            Observation::Looked { .. } => {}
            Observation::Done => *c.tasks.entry("done").or_default() += 1,
            Observation::Retried => *c.tasks.entry("retried").or_default() += 1,
            Observation::PutAside => *c.tasks.entry("put_aside").or_default() += 1,
        });
    }

    fn update(&self, change: impl FnOnce(&mut Counters)) {
        // A poisoned lock means that a counter update panicked; counting on is better than failing requests.
        let mut counters = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut counters);
    }

    /// The text that Prometheus scrapes.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        self.update(|c| {
            family(&mut out, "codehealer_deliveries_total", "counter", "Webhook deliveries by outcome.");
            for (outcome, count) in &c.deliveries {
                let _ = writeln!(out, "codehealer_deliveries_total{{outcome=\"{outcome}\"}} {count}");
            }
            family(&mut out, "codehealer_tasks_total", "counter", "Tasks taken from the inbox by outcome.");
            for (outcome, count) in &c.tasks {
                let _ = writeln!(out, "codehealer_tasks_total{{outcome=\"{outcome}\"}} {count}");
            }
            family(&mut out, "codehealer_runs_total", "counter", "Runs worked on, by state and decision.");
            for (labels, count) in &c.runs {
                let _ = writeln!(out, "codehealer_runs_total{{{labels}}} {count}");
            }
            family(&mut out, "codehealer_scanned_files_total", "counter", "Changed files that were scanned.");
            let _ = writeln!(out, "codehealer_scanned_files_total {}", c.files);
            family(&mut out, "codehealer_findings_total", "counter", "Findings that pushes brought in.");
            let _ = writeln!(out, "codehealer_findings_total {}", c.findings);
            family(&mut out, "codehealer_answer_seconds", "histogram", "Time to answer a webhook delivery.");
            for (count, bound) in c.buckets.iter().zip(BUCKETS) {
                let _ = writeln!(out, "codehealer_answer_seconds_bucket{{le=\"{bound}\"}} {count}");
            }
            let _ = writeln!(out, "codehealer_answer_seconds_bucket{{le=\"+Inf\"}} {}", c.answers);
            let _ = writeln!(out, "codehealer_answer_seconds_sum {}", c.answer_seconds);
            let _ = writeln!(out, "codehealer_answer_seconds_count {}", c.answers);
        });
        out
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
