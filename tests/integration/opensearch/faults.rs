//! The memory when the cluster refuses, breaks off, talks nonsense or says nothing, each injected on the wire.

use std::time::Duration;

use codehealer::model::{FixId, PastFix, TrackRecord};
use codehealer::opensearch::OpenSearchMemory;
use codehealer::ports::{ErrorKind, FixMemory, PortResult};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{OpenSearchOptions, fresh_index, memory_at, options, raw};
use crate::contract::memory::query;
use crate::support::clock::VirtualClock;
use crate::support::fixes::fix;
use crate::support::proxy::{Answer, Fault, Proxy, Seen};
use crate::support::servers;

/// A memory behind a proxy, with one fix in it.
struct Spoilt {
    memory: OpenSearchMemory,
    /// Past the proxy.
    direct: OpenSearchMemory,
    proxy: Proxy,
}

impl Spoilt {
    async fn new() -> Self {
        let (url, index) = (servers::opensearch().await, fresh_index());
        let proxy = Proxy::before(&url).await;
        // Called later than what is there was stored, so that its versions are beyond at the first try.
        let clock = VirtualClock::new();
        clock.advance(Duration::from_secs(1));
        let memory = OpenSearchMemory::new(OpenSearchOptions { clock, ..options(proxy.url(), &index) }).unwrap();
        let direct = memory_at(&url, &index);
        direct.remember(&fix("there", 10.0)).await.unwrap();
        raw("POST", &format!("{index}/_refresh"), None).await;
        Self { memory, direct, proxy }
    }

    fn spoil(&self, what: &'static str, fault: Fault) {
        self.proxy.spoil(is(what), [fault]);
    }

    fn sent(&self, what: &'static str) -> usize {
        self.proxy.seen().iter().filter(|seen| is(what)(seen)).count()
    }
}

/// Requests whose method and path have this in them.
fn is(what: &'static str) -> impl Fn(&Seen) -> bool + Send + 'static {
    move |seen| {
        format!("{} {}", seen.method, seen.path).split_once(' ').is_some_and(|(method, path)| {
            let (wanted, part) = what.split_once(' ').unwrap_or((what, ""));
            method == wanted && path.contains(part)
        })
    }
}

fn says(status: u16, name: &str) -> Answer {
    Answer::new(status, json!({"error": {"type": name, "reason": "secret words"}, "status": status}).to_string())
}

fn id(id: &str) -> FixId {
    FixId(id.to_owned())
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_told_from_one_that_never_was() {
    let lost = [
        Fault::AnswerLost,
        Fault::HalfAnswer,
        Fault::Afterwards(says(503, "x")),
        Fault::Afterwards(Answer::new(200, "<html>")),
        Fault::Afterwards(Answer::new(200, "{}")),
    ];
    for fault in lost {
        let spoilt = Spoilt::new().await;
        spoilt.spoil("PUT _doc", fault.clone());
        spoilt.spoil("PUT _create", fault.clone());
        spoilt.spoil("DELETE _doc", fault.clone());
        spoilt.memory.remember(&fix("a", 0.0)).await.unwrap();
        assert!(spoilt.memory.remember_new(&fix("b", 0.0)).await.unwrap(), "it was new, and ours: {fault:?}");
        assert!(spoilt.memory.forget(&id("there")).await.unwrap());
        assert_eq!(spoilt.proxy.left(), 0);
        assert_eq!((spoilt.sent("PUT _doc"), spoilt.sent("PUT _create"), spoilt.sent("DELETE _doc")), (1, 1, 1));
        assert!(spoilt.direct.get(&id("a")).await.unwrap().is_some());
        assert!(spoilt.direct.get(&id("b")).await.unwrap().is_some());
        assert_eq!(spoilt.direct.get(&id("there")).await.unwrap(), None);
    }
    for fault in [Fault::Refused, Fault::Instead(says(503, "x"))] {
        let spoilt = Spoilt::new().await;
        spoilt.spoil("PUT _doc", fault.clone());
        spoilt.spoil("PUT _create", fault.clone());
        spoilt.spoil("DELETE _doc", fault.clone());
        let changed = PastFix { record: TrackRecord::default(), ..fix("there", 10.0) };
        assert_eq!(spoilt.memory.remember(&changed).await.unwrap_err().kind, ErrorKind::Unavailable);
        assert_eq!(spoilt.memory.remember_new(&fix("b", 0.0)).await.unwrap_err().kind, ErrorKind::Unavailable);
        assert_eq!(spoilt.memory.forget(&id("there")).await.unwrap_err().kind, ErrorKind::Unavailable);
        assert_eq!(spoilt.direct.get(&id("there")).await.unwrap(), Some(fix("there", 10.0)));
        assert_eq!(spoilt.direct.get(&id("b")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn whose_new_fix_it_is_shows_when_it_is_read_back() {
    let spoilt = Spoilt::new().await;
    spoilt.spoil("PUT _create", Fault::AnswerLost);
    assert!(!spoilt.memory.remember_new(&fix("there", 80.0)).await.unwrap());
    // Reading back fails too: nobody knows, and that is what is said.
    spoilt.spoil("PUT _create", Fault::AnswerLost);
    spoilt.spoil("GET _doc", Fault::Refused);
    assert_eq!(spoilt.memory.remember_new(&fix("c", 0.0)).await.unwrap_err().kind, ErrorKind::Unavailable);
    spoilt.spoil("PUT _doc", Fault::AnswerLost);
    spoilt.spoil("GET _doc", Fault::Instead(Answer::new(404, "<html>not found")));
    assert_eq!(spoilt.memory.remember(&fix("d", 0.0)).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(spoilt.proxy.left(), 0);
}

#[tokio::test]
async fn a_lost_answer_to_making_the_index_makes_it_once() {
    let (url, index) = (servers::opensearch().await, fresh_index());
    let proxy = Proxy::before(&url).await;
    let memory = memory_at(proxy.url(), &index);
    proxy.spoil(|seen| seen.method == "PUT" && !seen.path.contains("_doc"), [Fault::AnswerLost]);
    memory.remember(&fix("a", 0.0)).await.unwrap();
    assert_eq!(proxy.left(), 0);
    assert!(memory.check().await.unwrap().index.is_some());
}

/// Every call once, each spoilt at its first request of the given kind.
async fn all(spoilt: &Spoilt, fault: &Fault) -> Vec<PortResult<()>> {
    let memory = &spoilt.memory;
    // The index is known from here on.
    memory.nearest(&query(5)).await.unwrap();
    let spoil = |what| spoilt.spoil(what, fault.clone());
    let mut answers = Vec::new();
    spoil("POST _search");
    answers.push(memory.nearest(&query(5)).await.map(drop));
    spoil("POST _mget");
    answers.push(memory.nearest(&query(5)).await.map(drop));
    spoil("POST _search");
    answers.push(memory.list(None, 5).await.map(drop));
    spoil("POST _mget");
    answers.push(memory.list(None, 5).await.map(drop));
    spoil("GET _doc");
    answers.push(memory.get(&id("there")).await.map(drop));
    spoil("PUT _doc");
    answers.push(memory.remember(&fix("a", 0.0)).await);
    spoil("PUT _create");
    answers.push(memory.remember_new(&fix("b", 0.0)).await.map(drop));
    spoil("DELETE _doc");
    answers.push(memory.forget(&id("there")).await.map(drop));
    spoil("POST _bulk");
    answers.push(memory.remember_all(&[fix("c", 0.0)]).await);
    spoil("GET ");
    answers.push(memory.check().await.map(drop));
    assert_eq!(spoilt.proxy.left(), 0);
    answers
}

#[tokio::test]
async fn refusals_mean_the_same_wherever_they_are_met() {
    let wait = says(429, "rejected_execution_exception").with("retry-after", "7");
    let cases = [
        (wait, ErrorKind::Throttled(Duration::from_secs(7)), "more nodes"),
        (says(429, "rejected_execution_exception"), ErrorKind::Throttled(Duration::from_secs(1)), "wait"),
        (says(429, "cluster_block_exception"), ErrorKind::Unavailable, "disk is full"),
        (says(503, "cluster_manager_not_discovered_exception"), ErrorKind::Unavailable, "health"),
        (Answer::new(502, "<html>Bad gateway"), ErrorKind::Unavailable, "health"),
        (says(401, "security_exception"), ErrorKind::Denied, "opensearch.password"),
        (says(403, "security_exception"), ErrorKind::Denied, "allow"),
        (says(400, "mapper_parsing_exception"), ErrorKind::Malformed, "k-NN"),
        (Answer::new(301, "").with("location", "/fixes-elsewhere"), ErrorKind::Malformed, "opensearch.url"),
        (Answer::new(200, "<html>Please log in</html>"), ErrorKind::Malformed, "opensearch.url"),
        (Answer::new(200, "[".repeat(100_000)), ErrorKind::Malformed, "opensearch.url"),
    ];
    let spoilt = Spoilt::new().await;
    for (answer, kind, remedy) in cases {
        for (n, result) in all(&spoilt, &Fault::Instead(answer.clone())).await.into_iter().enumerate() {
            let error = result.expect_err(&format!("call {n} took {answer:?}"));
            let text = error.chain();
            assert_eq!(error.kind, kind, "call {n}: {text}");
            assert!(text.contains(remedy), "call {n}: {text}");
            assert!(!text.contains("secret words") && text.len() < 600, "{text}");
        }
    }
    assert_eq!(spoilt.direct.get(&id("there")).await.unwrap(), Some(fix("there", 10.0)), "nothing was lost");
}

#[tokio::test]
async fn not_found_by_somebody_else_is_not_an_empty_memory() {
    let spoilt = Spoilt::new().await;
    let page = || Fault::Instead(Answer::new(404, "<html>no such page"));
    for result in all(&spoilt, &page()).await.into_iter().take(9) {
        assert_eq!(result.unwrap_err().kind, ErrorKind::Malformed);
    }
}

#[tokio::test]
async fn a_part_of_an_answer_is_no_answer() {
    let spoilt = Spoilt::new().await;
    spoilt.memory.nearest(&query(5)).await.unwrap();
    for (timed_out, failed) in [(true, 0), (false, 1)] {
        let body = json!({"timed_out": timed_out, "_shards": {"failed": failed}, "hits": {"hits": []}});
        spoilt.spoil("POST _search", Fault::Instead(Answer::new(200, body.to_string())));
        assert_eq!(spoilt.memory.nearest(&query(5)).await.unwrap_err().kind, ErrorKind::Unavailable);
    }
    let body = json!({"docs": [{"_id": "x", "error": {"type": "no_shard_available_action_exception", "reason": "x"}}]});
    spoilt.spoil("POST _mget", Fault::Instead(Answer::new(200, body.to_string())));
    assert_eq!(spoilt.memory.nearest(&query(5)).await.unwrap_err().kind, ErrorKind::Unavailable);
    spoilt.spoil("POST _mget", Fault::Instead(Answer::new(200, r#"{"docs":[]}"#)));
    assert_eq!(spoilt.memory.nearest(&query(5)).await.unwrap_err().kind, ErrorKind::Malformed);
    let body = json!({"items": []});
    spoilt.spoil("POST _bulk", Fault::Instead(Answer::new(200, body.to_string())));
    assert_eq!(spoilt.memory.remember_all(&[fix("z", 0.0)]).await.unwrap_err().kind, ErrorKind::Malformed);
}

#[tokio::test]
async fn a_fix_that_a_bulk_request_refuses_is_stored_alone() {
    let spoilt = Spoilt::new().await;
    let item = |status: u16| json!({"index": {"status": status, "error": {"type": "rejected_execution_exception"}}});
    let body = json!({"items": [item(429), item(429)]});
    spoilt.spoil("POST _bulk", Fault::Instead(Answer::new(200, body.to_string())));
    spoilt.memory.remember_all(&[fix("a", 0.0), fix("b", 0.0)]).await.unwrap();
    assert_eq!(spoilt.direct.get(&id("a")).await.unwrap(), Some(fix("a", 0.0)));
    assert_eq!(spoilt.direct.get(&id("b")).await.unwrap(), Some(fix("b", 0.0)));
}

/// A server that answers everything with these bytes and keeps the connection open.
async fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(bytes).await;
                std::future::pending::<()>().await;
            });
        }
    });
    url
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n{";
    let memory = memory_at(&answering(bytes).await, "fixes");
    let error = memory.nearest(&query(5)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed, "{}", error.chain());
    assert_eq!(memory.get(&id("a")).await.unwrap_err().kind, ErrorKind::Malformed);
}

/// A gateway need not say how long an answer is.
#[tokio::test]
async fn an_answer_in_pieces_is_read_to_its_end() {
    let whole = b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
        1c\r\n{\"_index\":\"fixes\",\"_id\":\"x\",\r\n11\r\n\"found\":   false}\r\n0\r\n\r\n";
    assert_eq!(memory_at(&answering(whole).await, "fixes").get(&id("a")).await.unwrap(), None);
}

/// The clock is turned as soon as nothing happens.
#[tokio::test(start_paused = true)]
async fn an_answer_in_pieces_that_never_ends_is_given_up() {
    let endless = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n";
    let error = memory_at(&answering(endless).await, "fixes").get(&id("a")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{}", error.chain());
}

#[tokio::test]
async fn nobody_at_the_address_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let memory = memory_at(&url, "fixes");
    for kind in [
        memory.nearest(&query(5)).await.unwrap_err().kind,
        memory.get(&id("a")).await.unwrap_err().kind,
        memory.remember(&fix("a", 0.0)).await.unwrap_err().kind,
        memory.check().await.unwrap_err().kind,
    ] {
        assert_eq!(kind, ErrorKind::Unavailable);
    }
}
