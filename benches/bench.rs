//! In-process benchmarks (`cargo bench`): the look-up of past fixes among 100,000, and what one signed delivery costs.
//! Whole commands are measured against their peers by `scripts/bench.py`; `make bench` runs both.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use codehealer::local::clock::SystemClock;
use codehealer::local::store::{Options, Store};
use codehealer::model::{
    AuthorKind, Confidence, FixId, IssueType, Language, PastFix, Provenance, RepoPath, RuleId, Severity, Span,
    TrackRecord,
};
use codehealer::ports::{FixMemory, FixQuery};
use codehealer::recall::embedding::{DIMENSIONS, EMBEDDER};
use codehealer::webhook::{Reception, Request, WatchList, Watched, WebhookSecrets, receive};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use sha2::Sha256;

const FIXES: usize = 100_000;
/// Fixes are spread over this many rules, unevenly, as in a real memory; the largest rule holds a fifth of them.
const RULES: usize = 60;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(memory());
    for size in [8 * 1024, 1024 * 1024] {
        delivery(size);
    }
}

/// A small linear congruential generator: the same numbers on every machine.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A unit vector with about sixty non-zero places, as the structural embedder makes them.
    fn vector(&mut self) -> Vec<f32> {
        let mut vector = vec![0.0f32; DIMENSIONS];
        for _ in 0..60 {
            let place = usize::try_from(self.next()).unwrap() % DIMENSIONS;
            vector[place] += 1.0 + f32::from(u8::try_from(self.next() % 4).unwrap());
        }
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
        vector
    }

    fn rule(&mut self) -> RuleId {
        let at = usize::try_from(self.next()).unwrap();
        let rule = if at % 5 == 0 { 0 } else { at % RULES };
        RuleId::new(format!("rule-{rule}")).unwrap()
    }
}

fn fix(number: usize, numbers: &mut Numbers) -> PastFix {
    PastFix {
        id: FixId(format!("{number:08}")),
        schema: PastFix::SCHEMA,
        organisation: "acme".to_owned(),
        language: Language::Python,
        rule: numbers.rule(),
        aliases: Vec::new(),
        issue_type: IssueType::new("LINTING").unwrap(),
        severity: Severity::Low,
        confidence: Confidence::new(60).unwrap(),
        message: String::new(),
        scope_before: format!("def f(x):\n    return g{number}(x)\n"),
        scope_after: format!("def f(x):\n    return h{number}(x)\n"),
        finding: Span::new(14, 20),
        anchor_kind: "call".to_owned(),
        imports_added: Vec::new(),
        patterns: Vec::new(),
        vector: numbers.vector(),
        embedder: EMBEDDER.to_owned(),
        repository: "acme/shop".to_owned(),
        private: true,
        path: RepoPath::new("a.py").unwrap(),
        provenance: Provenance::Mined { commit: "c".repeat(40) },
        author: AuthorKind::Member,
        created: 0,
        round_trips: true,
        record: TrackRecord::default(),
        superseded_by: None,
    }
}

async fn memory() {
    let store = Store::in_memory(Options::new(Arc::new(SystemClock))).unwrap();
    let memory = store.memory();
    let mut numbers = Numbers(7);
    let begun = Instant::now();
    for number in 0..FIXES {
        memory.remember(&fix(number, &mut numbers)).await.unwrap();
    }
    println!("memory: {FIXES} fixes stored in {:.1} s", begun.elapsed().as_secs_f64());
    for (label, rule) in [("largest rule", Some("rule-0")), ("any rule", None)] {
        let mut times = Vec::new();
        for _ in 0..200 {
            let query = FixQuery {
                organisation: "acme".to_owned(),
                private: true,
                repository: "acme/shop".to_owned(),
                language: Language::Python,
                rule: rule.map_or_else(|| numbers.rule(), |id| RuleId::new(id).unwrap()),
                vector: numbers.vector(),
                embedder: EMBEDDER.to_owned(),
                limit: 40,
            };
            let begun = Instant::now();
            let found = memory.nearest(&query).await.unwrap();
            times.push(begun.elapsed());
            assert_eq!(found.len(), 40);
        }
        report(&format!("memory look-up among {FIXES}, {label}"), &mut times);
    }
}

/// What the receiver does with one delivery before it answers, the store aside.
fn delivery(size: usize) {
    let body = format!(
        r#"{{"ref":"refs/heads/develop","before":"{0}","after":"{0}","repository":{{"id":1,"full_name":"acme/shop"}},"commits":["{1}"]}}"#,
        "1".repeat(40),
        "x".repeat(size)
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(b"bench").unwrap();
    mac.update(body.as_bytes());
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let secrets = WebhookSecrets::new(vec![SecretString::from("bench")]).unwrap();
    let target = Watched {
        repository: Some(codehealer::model::RepositoryId("1".to_owned())),
        installation: None,
        branches: vec!["refs/heads/develop".to_owned()],
    };
    let watched = WatchList::from([("acme/shop".to_owned(), target)]);
    let headers: [(&str, &[u8]); 2] =
        [("x-hub-signature-256", signature.as_bytes()), ("x-github-event", b"push".as_slice())];
    let mut times = Vec::new();
    for _ in 0..500 {
        let begun = Instant::now();
        let reception = receive(&secrets, &watched, &Request { headers: &headers, body: body.as_bytes() });
        times.push(begun.elapsed());
        assert!(matches!(reception, Reception::Accepted(_)));
    }
    report(&format!("delivery of {} KiB, verified and parsed", size / 1024), &mut times);
}

fn report(label: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1000.0;
    println!("{label}: p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms", at(50), at(99), at(100));
}
