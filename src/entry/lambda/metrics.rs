//! Metrics as lines of JSON that CloudWatch Logs takes apart (its embedded metric format): nothing is called, nothing waits.
//!
//! They are gathered during one invocation and written before its answer leaves: a function that is frozen writes nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::healer::{Observation, Observer};
use crate::model::UnixMillis;

/// Where CloudWatch shows them.
pub const NAMESPACE: &str = "CodeHealer";
/// Values of one metric that a line may hold.
const VALUES: usize = 100;

/// What was measured since the last line was written.
#[derive(Default)]
pub struct Metrics {
    gathered: Mutex<Gathered>,
}

/// By dimensions, then by name.
type Gathered = BTreeMap<Dimensions, BTreeMap<&'static str, Measured>>;

/// Names and values. Few different ones: each is a metric that is paid for.
type Dimensions = Vec<(&'static str, String)>;

#[derive(Debug, Clone, PartialEq)]
enum Measured {
    Count(u64),
    /// Milliseconds.
    Times(Vec<f64>),
}

impl Metrics {
    /// A delivery was answered.
    pub fn delivery(&self, outcome: &'static str, took: Duration) {
        self.count(vec![("Outcome", outcome.to_owned())], "Deliveries", 1);
        self.time("ReceiverLatency", took.as_secs_f64() * 1000.0);
    }

    /// The worker did something.
    pub fn observe(&self, seen: &Observation) {
        let one = |name| self.count(Vec::new(), name, 1);
        match seen {
            Observation::Scanned { files, findings } => {
                self.count(Vec::new(), "ScannedFiles", *files as u64);
                self.count(Vec::new(), "Findings", *findings as u64);
            }
            Observation::Healed { state, decision, millis, input_tokens, output_tokens } => {
                let decision = decision.map_or_else(|| "none".to_owned(), |decision| decision.to_string());
                let state = state.to_string().to_lowercase();
                self.count(vec![("State", state), ("Decision", decision.to_lowercase())], "Runs", 1);
                #[expect(clippy::cast_precision_loss, reason = "milliseconds of one invocation")]
                self.time("ExecutionTime", *millis as f64);
                self.count(Vec::new(), "ModelInputTokens", *input_tokens);
                self.count(Vec::new(), "ModelOutputTokens", *output_tokens);
            }
            Observation::Looked { input_tokens, output_tokens } => {
                self.count(Vec::new(), "ModelInputTokens", *input_tokens);
                self.count(Vec::new(), "ModelOutputTokens", *output_tokens);
            }
            Observation::Done => one("TasksDone"),
            Observation::Retried => one("TasksRetried"),
            Observation::PutAside => one("TasksPutAside"),
        }
    }

    /// Records of a batch that there was no time for.
    pub fn left(&self, records: u64) {
        self.count(Vec::new(), "TasksLeft", records);
    }

    /// What a worker is to tell of everything.
    #[must_use]
    pub fn observer(self: &Arc<Self>) -> Observer {
        let metrics = Arc::clone(self);
        Arc::new(move |seen| metrics.observe(seen))
    }

    /// Writes what was gathered, one line for each set of dimensions, and forgets it.
    ///
    /// # Errors
    /// When it cannot be written; it is forgotten all the same.
    pub fn flush(&self, at: UnixMillis, request: &str, out: &mut dyn Write) -> std::io::Result<()> {
        let gathered = std::mem::take(&mut *self.lock());
        let mut lines = String::new();
        for (dimensions, metrics) in gathered {
            lines.push_str(&line(at, request, &dimensions, metrics).to_string());
            lines.push('\n');
        }
        out.write_all(lines.as_bytes())?;
        out.flush()
    }

    fn count(&self, dimensions: Dimensions, name: &'static str, more: u64) {
        let mut gathered = self.lock();
        let measured = gathered.entry(dimensions).or_default().entry(name).or_insert(Measured::Count(0));
        if let Measured::Count(count) = measured {
            *count += more;
        }
    }

    fn time(&self, name: &'static str, millis: f64) {
        let mut gathered = self.lock();
        let measured = gathered.entry(Vec::new()).or_default().entry(name).or_insert(Measured::Times(Vec::new()));
        if let Measured::Times(times) = measured
            && times.len() < VALUES
        {
            times.push(millis);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        // A poisoned lock means that counting panicked; counting on is better than failing.
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(at: UnixMillis, request: &str, dimensions: &Dimensions, metrics: BTreeMap<&'static str, Measured>) -> Value {
    let mut fields = Map::new();
    let mut described = Vec::new();
    for (name, measured) in metrics {
        let (unit, value) = match measured {
            Measured::Count(count) => ("Count", json!(count)),
            Measured::Times(times) => ("Milliseconds", json!(times)),
        };
        described.push(json!({ "Name": name, "Unit": unit }));
        fields.insert(name.to_owned(), value);
    }
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    fields.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    fields.insert("RequestId".to_owned(), json!(request));
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": described });
    fields.insert("_aws".to_owned(), json!({ "Timestamp": at, "CloudWatchMetrics": [directive] }));
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Decision, RunState};

    fn flushed(metrics: &Metrics) -> Vec<Value> {
        let mut out = Vec::new();
        metrics.flush(1_700_000_000_000, "r-1", &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Every metric that a line declares is in it with numbers, and so is every dimension, as CloudWatch asks.
    fn assert_is_embedded(line: &Value) {
        assert!(line["_aws"]["Timestamp"].is_u64(), "{line}");
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], NAMESPACE);
            for metric in directive["Metrics"].as_array().unwrap() {
                let value = &line[metric["Name"].as_str().unwrap()];
                let numbers = value.as_array().is_some_and(|all| all.len() <= 100 && all.iter().all(Value::is_number));
                assert!(value.is_number() || numbers, "{metric} in {line}");
                assert!(["Count", "Milliseconds"].contains(&metric["Unit"].as_str().unwrap()));
            }
            for dimension in directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap())
            {
                assert!(line[dimension.as_str().unwrap()].is_string(), "{dimension} in {line}");
            }
        }
    }

    #[test]
    fn what_was_seen_is_written_once_in_the_embedded_format() {
        let metrics = Metrics::default();
        for outcome in ["accepted", "accepted", "unsigned"] {
            metrics.delivery(outcome, Duration::from_millis(3));
        }
        metrics.observe(&Observation::Scanned { files: 4, findings: 2 });
        metrics.observe(&Observation::Healed {
            state: RunState::Done,
            decision: Some(Decision::Open),
            millis: 70,
            input_tokens: 900,
            output_tokens: 40,
        });
        metrics.observe(&Observation::Looked { input_tokens: 100, output_tokens: 2 });
        for seen in [Observation::Done, Observation::Retried, Observation::PutAside] {
            metrics.observe(&seen);
        }
        let lines = flushed(&metrics);
        lines.iter().for_each(assert_is_embedded);
        let with = |name: &str, value: &str| lines.iter().find(|line| line[name] == value).unwrap();
        assert_eq!(with("Outcome", "accepted")["Deliveries"], 2);
        assert_eq!(with("Outcome", "unsigned")["Deliveries"], 1);
        assert_eq!((&with("State", "done")["Runs"], &with("Decision", "open")["Runs"]), (&json!(1), &json!(1)));
        let plain =
            lines.iter().find(|line| line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == json!([[]])).unwrap();
        assert_eq!(plain["ReceiverLatency"], json!([3.0, 3.0, 3.0]));
        assert_eq!(
            (&plain["Findings"], &plain["ScannedFiles"], &plain["ExecutionTime"]),
            (&json!(2), &json!(4), &json!([70.0]))
        );
        assert_eq!((&plain["ModelInputTokens"], &plain["ModelOutputTokens"]), (&json!(1000), &json!(42)));
        for name in ["TasksDone", "TasksRetried", "TasksPutAside"] {
            assert_eq!(plain[name], 1, "{name}");
        }
        assert!(lines.iter().all(|line| line["RequestId"] == "r-1"));
        assert_eq!(flushed(&metrics), Vec::<Value>::new(), "once");
    }
}
