//! The alarms of Terraform, held to what the program writes and to what the runbook says.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use codehealer::healer::BreakerPolicy;
use codehealer::ports::{ErrorKind, PortError};
use regex::Regex;
use serde_json::Value;

use crate::support::log::Log;
use crate::support::world::{Push, ScriptedModel, UNKNOWN, World};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What the metric filters look for in the logs: words between quotes, as CloudWatch writes a phrase.
fn phrases() -> BTreeSet<String> {
    let terraform = read("terraform/observability.tf");
    let filters = terraform.matches("\"aws_cloudwatch_log_metric_filter\"").count();
    let pattern = Regex::new(r#"(?m)^\s*pattern\s*=\s*"\\"([^"\\]+)\\"""#).unwrap();
    let found: BTreeSet<String> = pattern.captures_iter(&terraform).map(|found| found[1].to_owned()).collect();
    assert_eq!(found.len(), filters, "a filter whose pattern is no phrase is not looked at here");
    found
}

/// Lines of the log with this phrase.
fn lines(log: &Log, phrase: &str) -> Vec<Value> {
    let text = log.text();
    let told = text.lines().filter(|line| line.contains(phrase));
    told.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_breaker_that_opens_is_logged_with_the_words_that_the_alarm_counts() {
    let phrases = phrases();
    assert_eq!(phrases.len(), 1, "each filter needs its own story here: {phrases:?}");
    let phrase = phrases.first().unwrap();
    let log = Log::default();
    let _guard = log.listen();
    let model = ScriptedModel::answering(|_| Err(PortError::new("model", "answer", ErrorKind::Unavailable)));
    let mut world = World::new().await.with_model(&model);
    world.policy.breaker = BreakerPolicy { threshold: 2, cool_down: Duration::from_secs(60) };
    let before = world.git.tip("develop");
    let mut change = world.git.on("develop");
    for number in 0..4 {
        change = change.file(&format!("src/tell{number}.py"), UNKNOWN);
    }
    let after = change.commit("tell");
    world.deliver(&Push { before, after }).await;
    let worker = world.process().worker;
    worker.work(1).await.unwrap();
    worker.work(2).await.unwrap();
    assert_eq!(model.asked(), 2, "it is asked while the breaker is closed");
    assert_eq!(lines(&log, phrase).len(), 0, "nothing is open yet");
    worker.work(1).await.unwrap();
    assert_eq!(model.asked(), 2, "it is left alone");
    let told = lines(&log, phrase);
    assert_eq!(told.len(), 1, "one line each time that it is left alone: {told:?}");
    assert_eq!((&told[0]["dependency"], &told[0]["level"]), (&Value::from("model"), &Value::from("WARN")));
}

#[test]
fn every_alarm_is_in_the_runbook_and_the_runbook_has_no_other() {
    let terraform = read("terraform/observability.tf");
    let keyed = Regex::new(r"(?m)^      ([a-z0-9-]+) = \{$").unwrap();
    let own = Regex::new(r#"alarm_name\s*=\s*"\$\{var\.name\}-([a-z0-9-]+)""#).unwrap();
    let listed = terraform.split("  alarms = merge(").nth(1).unwrap().split("\nresource ").next().unwrap();
    let mut alarms: BTreeSet<String> = keyed.captures_iter(listed).map(|found| found[1].to_owned()).collect();
    alarms.extend(own.captures_iter(&terraform).map(|found| found[1].to_owned()));
    assert!(alarms.len() >= 18, "{alarms:?}");
    let page = read("docs/OPERATING.md");
    let section = page.split("### Alarms").nth(1).unwrap().split("\n### ").next().unwrap();
    let heading = Regex::new(r"(?m)^\| `([a-z0-9-]+)` \|").unwrap();
    let told: BTreeSet<String> = heading.captures_iter(section).map(|found| found[1].to_owned()).collect();
    assert_eq!(told, alarms);
}
