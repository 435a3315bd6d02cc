//! The index itself: absent, made by others, of another shape, taken away.

use codehealer::model::FixId;
use codehealer::opensearch::{IndexCheck, MemoryCheck, OpenSearchMemory};
use codehealer::ports::{ErrorKind, FixMemory, PortError};
use serde_json::{Value, json};

use super::{OpenSearchOptions, fresh_index, memory_at, options, raw};
use crate::contract::memory::query;
use crate::support::fixes::fix;
use crate::support::servers;

#[tokio::test]
async fn without_an_index_the_memory_is_empty_and_reading_makes_none() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let memory = memory_at(&url, &index);
    assert_eq!(memory.nearest(&query(5)).await.unwrap(), []);
    assert_eq!(memory.get(&FixId("a".into())).await.unwrap(), None);
    assert_eq!(memory.list(None, 5).await.unwrap(), []);
    assert!(!memory.forget(&FixId("a".into())).await.unwrap());
    let MemoryCheck { version, index: found } = memory.check().await.unwrap();
    assert!(version.unwrap().starts_with("2.19."));
    assert_eq!(found, None);
    assert_eq!(raw("GET", &index, None).await.0, 404);
}

#[tokio::test]
async fn the_check_tells_what_the_index_is_like() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let memory = memory_at(&url, &index);
    memory.remember(&fix("a", 0.0)).await.unwrap();
    raw("POST", &format!("{index}/_refresh"), None).await;
    let expected =
        IndexCheck { dimensions: 768, engine: "lucene".to_owned(), space: "cosinesimil".to_owned(), fixes: 1 };
    assert_eq!(memory.check().await.unwrap().index, Some(expected));
}

async fn every_error(memory: &OpenSearchMemory) -> Vec<PortError> {
    vec![
        memory.nearest(&query(5)).await.unwrap_err(),
        memory.remember(&fix("a", 0.0)).await.unwrap_err(),
        memory.remember_new(&fix("a", 0.0)).await.unwrap_err(),
        memory.forget(&FixId("a".into())).await.unwrap_err(),
        memory.list(None, 5).await.unwrap_err(),
        memory.check().await.unwrap_err(),
    ]
}

#[tokio::test]
async fn an_index_of_another_shape_is_refused_with_the_remedy_and_left_as_it_is() {
    let url = servers::opensearch().await;
    let plain = json!({"mappings": {"properties": {"vector": {"type": "float"}}}});
    let l2 = {
        let method = json!({"name": "hnsw", "engine": "lucene", "space_type": "l2"});
        let vector = json!({"type": "knn_vector", "dimension": 768, "method": method});
        json!({"settings": {"index": {"knn": true}}, "mappings": {"properties": {"vector": vector}}})
    };
    for (body, said) in [(plain, "not made for k-NN"), (l2, "l2"), (json!({}), "not made for k-NN")] {
        let index = fresh_index();
        assert_eq!(raw("PUT", &index, Some(body)).await.0, 200);
        let kept = json!({"somebody": "else's"});
        assert_eq!(raw("PUT", &format!("{index}/_doc/1?refresh=true"), Some(kept)).await.0, 201);
        for error in every_error(&memory_at(&url, &index)).await {
            assert_eq!(error.kind, ErrorKind::Malformed);
            assert!(error.chain().contains(said) && error.chain().contains("opensearch.index"), "{}", error.chain());
        }
        assert_eq!(raw("GET", &format!("{index}/_count"), None).await.1["count"], 1);
    }
}

#[tokio::test]
async fn an_index_of_another_embedder_is_refused_and_loses_nothing() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let short = || OpenSearchMemory::new(OpenSearchOptions { dimensions: 3, ..options(&url, &index) }).unwrap();
    let old = codehealer::model::PastFix { vector: vec![1.0, 2.0, 3.0], ..fix("a", 0.0) };
    short().remember(&old).await.unwrap();
    for error in every_error(&memory_at(&url, &index)).await {
        assert_eq!(error.kind, ErrorKind::Malformed);
        let text = error.chain();
        assert!(text.contains("3 dimensions") && text.contains("768") && text.contains("reindex"), "{text}");
    }
    assert_eq!(short().get(&old.id).await.unwrap(), Some(old));
}

#[tokio::test]
async fn an_index_that_is_taken_away_is_made_again_as_it_should_be() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let memory = memory_at(&url, &index);
    memory.remember(&fix("a", 0.0)).await.unwrap();
    assert_eq!(raw("DELETE", &index, None).await.0, 200);
    assert_eq!(memory.nearest(&query(5)).await.unwrap(), []);
    assert_eq!(memory.get(&FixId("a".into())).await.unwrap(), None);
    assert_eq!(memory.list(None, 5).await.unwrap(), []);
    assert!(!memory.forget(&FixId("a".into())).await.unwrap());
    assert_eq!(raw("GET", &index, None).await.0, 404, "a read or a deletion makes no index");

    // Seen to be there and then taken away, with no read in between: a write would make an index that cannot search.
    memory.remember(&fix("b", 0.0)).await.unwrap();
    assert_eq!(memory.nearest(&query(5)).await.unwrap().len(), 1);
    raw("DELETE", &index, None).await;
    assert!(!memory.forget(&FixId("b".into())).await.unwrap());
    assert_eq!(raw("GET", &index, None).await.0, 404, "a deletion makes no index");
    memory.remember(&fix("c", 0.0)).await.unwrap();
    assert_eq!(memory.nearest(&query(5)).await.unwrap().len(), 1);
    raw("DELETE", &index, None).await;
    assert!(memory.remember_new(&fix("d", 0.0)).await.unwrap());
    assert!(memory.check().await.unwrap().index.is_some());
}

#[tokio::test]
async fn an_alias_may_stand_for_the_index() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    memory_at(&url, &index).remember(&fix("a", 0.0)).await.unwrap();
    let alias = format!("{index}-now");
    let (status, _) = raw("PUT", &format!("{index}/_alias/{alias}"), Some(json!({}))).await;
    assert_eq!(status, 200);
    let memory = memory_at(&url, &alias);
    memory.remember(&fix("b", 10.0)).await.unwrap();
    assert_eq!(memory.get(&FixId("a".into())).await.unwrap(), Some(fix("a", 0.0)));
    assert_eq!(raw("GET", &format!("{index}/_mapping"), None).await.0, 200);
}

#[test]
fn a_name_that_is_none_is_refused() {
    for name in ["", "Fixes", "_all", "-x", ".kibana", "a/b", "a,b", "a*", "ä", "a b", "..", &"x".repeat(256)] {
        let error = OpenSearchMemory::new(options("http://127.0.0.1:9", name)).expect_err(name);
        assert_eq!(error.kind, ErrorKind::Malformed, "{name}");
    }
}

#[tokio::test]
async fn a_document_that_is_no_fix_is_passed_over() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    memory_at(&url, &index).remember(&fix("a", 0.0)).await.unwrap();
    let kept = json!({"somebody": "else's", "rules": ["py-yaml-unsafe-load"]});
    assert_eq!(raw("PUT", &format!("{index}/_doc/1?refresh=true"), Some(kept)).await.0, 201);
    let memory = memory_at(&url, &index);
    assert_eq!(memory.list(None, 9).await.unwrap(), [fix("a", 0.0)]);
    assert_eq!(memory.nearest(&query(5)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_foreign_document_is_named_and_not_believed() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let memory = memory_at(&url, &index);
    memory.remember(&fix("a", 0.0)).await.unwrap();
    memory.remember(&fix("b", 5.0)).await.unwrap();
    raw("POST", &format!("{index}/_refresh"), None).await;
    let (_, found) = raw("GET", &format!("{index}/_search"), None).await;
    let hit = |id: &str| {
        let hits = found["hits"]["hits"].as_array().unwrap();
        hits.iter().find(|hit| hit["_source"]["id"] == id).unwrap().clone()
    };
    let (a, b) = (hit("a"), hit("b"));
    // The fix of another id under this one, and one whose text is no fix.
    let mut nonsense: Value = a["_source"].clone();
    nonsense["fix"] = json!("{");
    for body in [b["_source"].clone(), nonsense] {
        let path = format!("{index}/_doc/{}", a["_id"].as_str().unwrap());
        assert_eq!(raw("PUT", &path, Some(body)).await.0, 200);
        let error = memory.get(&FixId("a".into())).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.chain().contains("damaged"), "{}", error.chain());
        assert_eq!(memory.nearest(&query(5)).await.unwrap_err().kind, ErrorKind::Malformed);
    }
}
