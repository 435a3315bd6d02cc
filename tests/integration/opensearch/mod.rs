//! The memory in OpenSearch, against a real node: its contract, and what only such a memory can get wrong.

mod auth;
mod faults;
mod index;
mod search;
mod writes;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use codehealer::opensearch::{Auth, OpenSearchMemory, OpenSearchOptions};
use serde_json::Value;

use crate::contract::memory;
use crate::support::clock::VirtualClock;
use crate::support::fixes::DIMENSIONS;
use crate::support::servers;

/// A name that no other index has.
pub fn fresh_index() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("fixes-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn options(url: &str, index: &str) -> OpenSearchOptions {
    OpenSearchOptions {
        url: url.to_owned(),
        index: index.to_owned(),
        auth: Auth::None,
        clock: VirtualClock::new(),
        dimensions: DIMENSIONS,
    }
}

pub fn memory_at(url: &str, index: &str) -> OpenSearchMemory {
    OpenSearchMemory::new(options(url, index)).unwrap()
}

/// Asks the node itself, past everything of ours.
pub async fn raw(method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("{}/{path}", servers::opensearch().await);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.request(method.parse().unwrap(), url);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// From now on a search knows what was stored until now, and nothing of what is stored later.
pub async fn stops_refreshing(index: &str) {
    let (status, _) = raw("POST", &format!("{index}/_refresh"), None).await;
    assert_eq!(status, 200);
    let never = serde_json::json!({"index": {"refresh_interval": "-1"}});
    assert_eq!(raw("PUT", &format!("{index}/_settings"), Some(never)).await.0, 200);
}

#[tokio::test]
async fn a_real_node_keeps_the_memory_contract() {
    let url = servers::opensearch().await;
    memory::contract(async || memory::Subject { memory: Arc::new(memory_at(&url, &fresh_index())) }).await;
}
