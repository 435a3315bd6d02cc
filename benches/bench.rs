//! In-process benchmarks (`cargo bench`): the look-up of past fixes among 100,000 (in SQLite and in OpenSearch), and what one signed delivery costs.
//! Whole commands are measured against their peers by `scripts/bench.py`; `make bench` runs both.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "in_process/memory.rs"]
mod memory;
// The servers of the tests; most of their support is not needed here.
#[allow(dead_code, unused_imports, unused_macros)]
#[path = "../tests/integration/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use codehealer::webhook::{Reception, Request, WatchList, Watched, WebhookSecrets, receive};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use sha2::Sha256;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // `cargo bench --bench bench -- memory` measures that alone.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    if is_wanted("memory") {
        runtime.block_on(memory::memory());
    }
    if is_wanted("delivery") {
        for size in [8 * 1024, 1024 * 1024] {
            delivery(size);
        }
    }
}

/// A small linear congruential generator: the same numbers on every machine.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap() % limit
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
