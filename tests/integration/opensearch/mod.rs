//! The memory in OpenSearch, against a real node: its contract, and what only such a memory can get wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use codehealer::opensearch::{Auth, OpenSearchMemory, OpenSearchOptions};

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

#[tokio::test]
async fn a_real_node_keeps_the_memory_contract() {
    let url = servers::opensearch().await;
    memory::contract(async || memory::Subject { memory: Arc::new(memory_at(&url, &fresh_index())) }).await;
}
