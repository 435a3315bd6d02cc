//! The external scanner: run over many texts at a time, each answer kept on disk.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use codehealer::detect::sarif_in::{self, Place};
use codehealer::model::{Finding, RepoPath, RepositoryId, sha256_hex};
use serde_json::{Value, json};

/// Stands for the path of the text in a kept answer.
const HERE: &str = "@checked@";
/// Texts of one run of the command.
const BATCH: usize = 200;

pub struct Checker {
    command: String,
    known: Mutex<BTreeMap<String, String>>,
    log: Mutex<File>,
    spent: Mutex<(usize, Duration)>,
}

impl Checker {
    pub fn new(command: &str, cache: &Path) -> Self {
        let log = OpenOptions::new().create(true).append(true).read(true).open(cache).expect("the cache can be opened");
        let mut known = BTreeMap::new();
        for line in BufReader::new(&log).lines().map_while(Result::ok) {
            // A line that an interrupted run left half written is asked for again.
            if let Some((key, report)) = line.split_once('\t').filter(|(_, report)| report.ends_with('}')) {
                known.insert(key.to_owned(), report.to_owned());
            }
        }
        let spent = Mutex::new((0, Duration::ZERO));
        Self { command: command.to_owned(), known: Mutex::new(known), log: Mutex::new(log), spent }
    }

    fn key(&self, path: &str, text: &str) -> String {
        sha256_hex(&[self.command.as_bytes(), name_of(path).as_bytes(), text.as_bytes()])
    }

    /// Asks the command about the texts that it has not been asked about.
    pub fn ask(&self, texts: &[(&str, &str)]) {
        let mut open: BTreeMap<String, (&str, &str)> =
            texts.iter().map(|(path, text)| (self.key(path, text), (*path, *text))).collect();
        open.retain(|key, _| !self.known.lock().unwrap().contains_key(key));
        let open: Vec<_> = open.into_iter().collect();
        for batch in open.chunks(BATCH) {
            let began = Instant::now();
            let reports = self.run(batch.iter().map(|(_, text)| *text));
            for ((key, _), report) in batch.iter().zip(reports) {
                writeln!(self.log.lock().unwrap(), "{key}\t{report}").expect("the cache can be written");
                self.known.lock().unwrap().insert(key.clone(), report);
            }
            let mut spent = self.spent.lock().unwrap();
            *spent = (spent.0 + 1, spent.1 + began.elapsed());
        }
    }

    /// The scanner's findings in a text, through the import that the product uses.
    pub fn findings(&self, repository: &RepositoryId, path: &RepoPath, text: &str) -> Vec<Finding> {
        self.ask(&[(path.as_str(), text)]);
        let report = self.known.lock().unwrap()[&self.key(path.as_str(), text)].clone();
        let here = serde_json::to_string(HERE).unwrap();
        let report = report.replace(&here, &serde_json::to_string(path.as_str()).unwrap());
        let read = |asked: &RepoPath| (asked == path).then(|| text.to_owned());
        let place = Place { repository, root: None, read: &read };
        sarif_in::read(&report, &place).expect("the report is SARIF").findings
    }

    /// One report for each text, in order.
    fn run<'t>(&self, texts: impl Iterator<Item = (&'t str, &'t str)>) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder for the texts");
        let mut count = 0;
        for (index, (path, text)) in texts.enumerate() {
            let own = folder.path().join(index.to_string());
            std::fs::create_dir(&own).unwrap();
            std::fs::write(own.join(name_of(path)), text).unwrap();
            count = index + 1;
        }
        let done = Command::new("sh").args(["-c", &self.command]).current_dir(folder.path()).output().unwrap();
        let printed = String::from_utf8(done.stdout).expect("the checker prints UTF-8");
        let root = folder.path().display().to_string();
        let printed = printed.replace(&format!("file://{root}/"), "").replace(&format!("{root}/"), "");
        let report: Value = serde_json::from_str(&printed)
            .unwrap_or_else(|error| panic!("no SARIF ({error}): {}", String::from_utf8_lossy(&done.stderr)));
        let mut runs = vec![Vec::new(); count];
        for run in report["runs"].as_array().into_iter().flatten() {
            for (index, own) in by_text(run) {
                runs[index].push(own);
            }
        }
        runs.into_iter().map(|runs| json!({ "version": "2.1.0", "runs": runs }).to_string()).collect()
    }

    pub fn report(&self) {
        let (runs, time) = *self.spent.lock().unwrap();
        println!("the checker ran {runs} times for {:.0} s in all; its time is in no figure", time.as_secs_f64());
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The results of a run by text, each as a run of its own with the rules it names and without their manuals.
fn by_text(run: &Value) -> BTreeMap<usize, Value> {
    let mut results: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
    for result in run["results"].as_array().into_iter().flatten() {
        let mut result = result.clone();
        result.as_object_mut().unwrap().remove("fixes");
        result.as_object_mut().unwrap().remove("ruleIndex");
        let uri = &mut result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        let index = uri.as_str().and_then(|uri| uri.split('/').next()).and_then(|index| index.parse().ok());
        let index = index.unwrap_or_else(|| panic!("a result in {uri}, where nothing was written"));
        *uri = json!(HERE);
        results.entry(index).or_default().push(result);
    }
    let slim = |rule: &Value| {
        let mut rule = rule.clone();
        for manual in ["help", "fullDescription"] {
            rule.as_object_mut().unwrap().remove(manual);
        }
        rule
    };
    let rules: Vec<Value> = run["tool"]["driver"]["rules"].as_array().into_iter().flatten().map(slim).collect();
    let own = |results: Vec<Value>| {
        let named = |rule: &&Value| results.iter().any(|result| result["ruleId"] == rule["id"]);
        let rules: Vec<&Value> = rules.iter().filter(named).collect();
        let driver = json!({ "name": run["tool"]["driver"]["name"], "rules": rules });
        json!({ "tool": { "driver": driver }, "columnKind": run["columnKind"], "results": results })
    };
    results.into_iter().map(|(index, results)| (index, own(results))).collect()
}
