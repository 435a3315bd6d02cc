//! The state store when DynamoDB refuses, hangs, breaks off or says nothing, each injected on the wire.

use std::sync::Arc;
use std::time::Duration;

use codehealer::aws::client::Aws;
use codehealer::aws::dynamodb::DynamoState;
use codehealer::ports::{ErrorKind, State};
use codehealer::state::{Condition, Index, IndexEntry, Item, Query, QueryOf, Transaction};
use serde_json::{Value, json};

use super::options;
use super::state::fresh_table;
use crate::contract::state::{item, key, put, transaction};
use crate::support::clock::VirtualClock;
use crate::support::proxy::{Answer, Fault, Proxy, Seen};
use crate::support::servers;

const SECOND: Duration = Duration::from_secs(1);

/// A table behind a proxy.
struct Spoilt {
    state: DynamoState,
    proxy: Proxy,
}

impl Spoilt {
    async fn new() -> Self {
        let proxy = Proxy::before(&servers::dynamodb().await).await;
        let mut options = options(proxy.url());
        options.attempt_timeout = Duration::from_secs(8);
        let state = DynamoState::new(Aws::new(options), fresh_table(), VirtualClock::new());
        state.create_table().await.unwrap();
        Self { state, proxy }
    }

    fn requests(&self, operation: &'static str) -> usize {
        self.proxy.seen().iter().filter(|seen| is(operation)(seen)).count()
    }

    async fn n(&self) -> Option<Value> {
        self.state.get(&key("p", "s")).await.unwrap().map(|item| item.fields["n"].clone())
    }
}

fn is(operation: &'static str) -> impl Fn(&Seen) -> bool + Send + 'static {
    move |request| request.header("x-amz-target").is_some_and(|target| target.ends_with(&format!(".{operation}")))
}

/// An error as DynamoDB words it.
fn says(status: u16, code: &str) -> Answer {
    let body = json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "said the server"});
    Answer::new(status, body.to_string())
}

fn cancelled(reasons: &[&str]) -> Answer {
    let reasons: Vec<_> = reasons.iter().map(|code| json!({"Code": code, "Message": "why"})).collect();
    let name = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    let body = json!({"__type": name, "message": "cancelled", "CancellationReasons": reasons});
    Answer::new(400, body.to_string())
}

fn one(n: i64) -> Transaction {
    transaction(vec![put(item("p", "s", json!({"n": n})), vec![])])
}

fn two(n: i64, token: Option<&str>) -> Transaction {
    let writes = vec![
        put(item("p", "s", json!({"n": n})), vec![Condition::Absent]),
        put(item("p", "other", json!({"n": n})), vec![]),
    ];
    Transaction { writes, token: token.map(str::to_owned) }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_sent_again() {
    let spoilt = Spoilt::new().await;
    for (n, fault) in [
        Fault::AnswerLost,
        Fault::HalfAnswer,
        Fault::Afterwards(says(500, "InternalServerError")),
        Fault::Afterwards(Answer::new(200, "<html>not DynamoDB</html>")),
        Fault::Slow(60 * SECOND),
    ]
    .into_iter()
    .enumerate()
    {
        let number = i64::try_from(n).unwrap();
        spoilt.proxy.spoil(is("PutItem"), [fault.clone()]);
        let error = spoilt.state.commit(&one(number)).await.unwrap_err();
        let expected = if n == 3 { ErrorKind::Malformed } else { ErrorKind::Unavailable };
        assert_eq!(error.kind, expected, "{fault:?}: {}", error.chain());
        assert_eq!(spoilt.requests("PutItem"), n + 1, "{fault:?}");
        assert_eq!(spoilt.n().await, Some(json!(number)), "read back, it is there: {fault:?}");
    }
}

#[tokio::test]
async fn a_transaction_that_was_applied_unheard_says_so_when_it_is_sent_again() {
    let spoilt = Spoilt::new().await;
    for (n, fault) in [Fault::AnswerLost, Fault::Afterwards(says(500, "InternalServerError"))].into_iter().enumerate() {
        let token = format!("t{n}");
        spoilt
            .state
            .commit(&transaction(vec![codehealer::state::Write::Delete { key: key("p", "s"), when: vec![] }]))
            .await
            .unwrap();
        let step = two(i64::try_from(n).unwrap(), Some(&token));
        spoilt.proxy.spoil(is("TransactWriteItems"), [fault]);
        assert_eq!(spoilt.state.commit(&step).await.unwrap_err().kind, ErrorKind::Unavailable);
        spoilt.state.commit(&step).await.unwrap();
        let rival = two(9, None);
        assert_eq!(spoilt.state.commit(&rival).await.unwrap_err().kind, ErrorKind::Conflict);
    }
    assert_eq!(spoilt.requests("TransactWriteItems"), 6);
}

#[tokio::test]
async fn nothing_is_written_by_a_request_that_never_arrived() {
    let spoilt = Spoilt::new().await;
    for fault in
        [Fault::Refused, Fault::Instead(Answer::new(503, "")), Fault::Instead(says(500, "InternalServerError"))]
    {
        spoilt.proxy.spoil(is("PutItem"), [fault]);
        assert_eq!(spoilt.state.commit(&one(1)).await.unwrap_err().kind, ErrorKind::Unavailable);
        assert_eq!(spoilt.n().await, None);
    }
    assert_eq!(spoilt.requests("PutItem"), 3);
}

#[tokio::test]
async fn refusals_are_told_as_what_they_are() {
    let spoilt = Spoilt::new().await;
    let cases = [
        ("ProvisionedThroughputExceededException", ErrorKind::Throttled(SECOND)),
        ("ThrottlingException", ErrorKind::Throttled(SECOND)),
        ("RequestLimitExceeded", ErrorKind::Throttled(SECOND)),
        ("ExpiredTokenException", ErrorKind::Denied),
        ("AccessDeniedException", ErrorKind::Denied),
        ("UnrecognizedClientException", ErrorKind::Denied),
        ("ResourceNotFoundException", ErrorKind::Missing),
        ("ValidationException", ErrorKind::Malformed),
    ];
    for (code, kind) in cases {
        spoilt.proxy.spoil(is("PutItem"), [Fault::Instead(says(400, code))]);
        spoilt.proxy.spoil(is("TransactWriteItems"), [Fault::Instead(says(400, code))]);
        for writes in [one(1), two(1, Some("t"))] {
            let error = spoilt.state.commit(&writes).await.unwrap_err();
            assert_eq!(error.kind, kind, "{code}: {}", error.chain());
            assert!(error.chain().contains("said the server"), "{}", error.chain());
        }
    }
    assert_eq!(spoilt.requests("PutItem") + spoilt.requests("TransactWriteItems"), 16, "each sent once");
    let expired = Fault::Instead(says(400, "ExpiredTokenException"));
    spoilt.proxy.spoil(is("GetItem"), [expired]);
    let error = spoilt.state.get(&key("p", "s")).await.unwrap_err();
    assert!(error.kind == ErrorKind::Denied && error.chain().contains("renew the credentials"), "{}", error.chain());
}

#[tokio::test]
async fn rivals_at_the_same_moment_are_waited_for() {
    let spoilt = Spoilt::new().await;
    let conflict = || Fault::Instead(cancelled(&["None", "TransactionConflict"]));
    spoilt.proxy.spoil(is("TransactWriteItems"), [conflict(), conflict()]);
    spoilt.state.commit(&two(1, Some("t"))).await.unwrap();
    assert_eq!(spoilt.requests("TransactWriteItems"), 3);

    let single = || Fault::Instead(says(400, "TransactionConflictException"));
    spoilt.proxy.spoil(is("PutItem"), [single(), single()]);
    spoilt.state.commit(&one(2)).await.unwrap();
    assert_eq!(spoilt.n().await, Some(json!(2)));

    spoilt.proxy.spoil(is("PutItem"), std::iter::repeat_with(single).take(50));
    let error = spoilt.state.commit(&one(3)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Throttled(SECOND), "no conflict: no condition was looked at");
    assert_eq!(spoilt.n().await, Some(json!(2)));
}

#[tokio::test]
async fn the_reasons_of_a_cancelled_transaction_decide() {
    let spoilt = Spoilt::new().await;
    let cases = [
        (vec!["None", "ThrottlingError"], ErrorKind::Throttled(SECOND)),
        (vec!["ProvisionedThroughputExceeded", "None"], ErrorKind::Throttled(SECOND)),
        (vec!["None", "ValidationError"], ErrorKind::Malformed),
        (vec!["None", "SomethingNew"], ErrorKind::Unavailable),
    ];
    for (reasons, kind) in cases {
        spoilt.proxy.spoil(is("TransactWriteItems"), [Fault::Instead(cancelled(&reasons))]);
        let error = spoilt.state.commit(&two(1, None)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{reasons:?}");
        assert!(error.chain().contains("why"), "{}", error.chain());
    }
    // A condition that does not hold outweighs a rival: sending it again would not help.
    spoilt.state.commit(&one(0)).await.unwrap();
    let before = spoilt.requests("TransactWriteItems");
    assert_eq!(spoilt.state.commit(&two(1, None)).await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(spoilt.requests("TransactWriteItems"), before + 1);
}

/// Not every server that speaks DynamoDB's language hands a refused write's item back.
#[tokio::test]
async fn what_stands_in_the_way_is_read_where_it_is_not_handed_back() {
    let spoilt = Spoilt::new().await;
    spoilt.state.commit(&one(0)).await.unwrap();
    let refused = || Fault::Instead(says(400, "ConditionalCheckFailedException"));
    spoilt.proxy.spoil(is("PutItem"), std::iter::repeat_with(refused).take(10));
    let (before, absent) =
        (spoilt.requests("PutItem"), transaction(vec![put(item("p", "s", json!({})), vec![Condition::Absent])]));
    assert_eq!(spoilt.state.commit(&absent).await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(spoilt.requests("PutItem"), before + 1, "it is not tried again in vain");
}

/// The reasons of a cancelled transaction in its message alone, as some servers give them.
#[tokio::test]
async fn reasons_in_the_words_of_a_cancelled_transaction_count_too() {
    let spoilt = Spoilt::new().await;
    let cancelled = |listed: &str| {
        let said = format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{listed}]");
        let name = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
        Fault::Instead(Answer::new(400, json!({"__type": name, "message": said}).to_string()))
    };
    spoilt.proxy.spoil(is("TransactWriteItems"), [cancelled("None, ThrottlingError")]);
    assert_eq!(spoilt.state.commit(&two(1, None)).await.unwrap_err().kind, ErrorKind::Throttled(SECOND));
    spoilt.proxy.spoil(is("TransactWriteItems"), [cancelled("None, TransactionConflict")]);
    spoilt.state.commit(&two(1, Some("t"))).await.unwrap();
    let before = spoilt.requests("TransactWriteItems");
    spoilt.proxy.spoil(is("TransactWriteItems"), [cancelled("ConditionalCheckFailed, None")]);
    assert_eq!(spoilt.state.commit(&two(2, None)).await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!((spoilt.requests("TransactWriteItems"), spoilt.proxy.left()), (before + 1, 0));
}

/// A clock that is minutes off: the write was refused for its time, so it did not happen, and goes again by AWS's clock.
#[tokio::test]
async fn a_clock_that_is_minutes_off_is_set_by_the_refusal() {
    let spoilt = Spoilt::new().await;
    let theirs = chrono::Utc::now() + chrono::Duration::minutes(6);
    let refused = || {
        let name = "com.amazon.coral.service#InvalidSignatureException";
        let said =
            "Signature expired: 20261129T030000Z is now earlier than 20261129T030100Z (20261129T030600Z - 5 min.)";
        let answer = Answer::new(400, json!({"__type": name, "message": said}).to_string());
        Fault::Instead(answer.with("date", theirs.format("%a, %d %b %Y %H:%M:%S GMT").to_string()))
    };
    spoilt.proxy.spoil(is("PutItem"), [refused()]);
    spoilt.state.commit(&one(1)).await.unwrap();
    let sent: Vec<String> = spoilt
        .proxy
        .seen()
        .into_iter()
        .filter(|seen| is("PutItem")(seen))
        .map(|seen| seen.header("x-amz-date").unwrap().to_owned())
        .collect();
    let [first, second] = sent.try_into().unwrap();
    let time = |text: &str| chrono::NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").unwrap();
    assert!((time(&second) - time(&first)).num_minutes() >= 5, "{first} {second}");

    spoilt.proxy.spoil(is("PutItem"), [refused(), refused()]);
    let error = spoilt.state.commit(&one(2)).await.unwrap_err();
    assert_eq!((error.kind.clone(), spoilt.proxy.left()), (ErrorKind::Unavailable, 0), "{}", error.chain());
    assert!(error.chain().contains("set this machine's clock"), "{}", error.chain());
    assert_eq!(spoilt.n().await, Some(json!(1)));
}

#[tokio::test]
async fn reads_are_repeated_a_few_times() {
    let spoilt = Spoilt::new().await;
    spoilt.state.commit(&one(7)).await.unwrap();
    let busy = || Fault::Instead(says(400, "ThrottlingException"));
    spoilt.proxy.spoil(is("GetItem"), [Fault::AnswerLost, busy()]);
    assert_eq!(spoilt.n().await, Some(json!(7)));
    spoilt.proxy.spoil(is("GetItem"), [busy(), busy(), busy()]);
    let error = spoilt.state.get(&key("p", "s")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Throttled(SECOND));
    assert_eq!(spoilt.requests("GetItem"), 6);
}

fn indexed() -> Item {
    let entry = IndexEntry { index: Index::Due, hash: "h".into(), range: "r".into() };
    Item { indexes: vec![entry], ..item("p", "s", json!({"n": 1})) }
}

fn due() -> Query {
    let of = QueryOf::Index { index: Index::Due, hash: "h".into(), from: "a".into(), to: "z".into() };
    Query { of, descending: false, limit: 10, cursor: None }
}

#[tokio::test]
async fn an_entry_that_trails_its_item_is_left_out() {
    let spoilt = Spoilt::new().await;
    spoilt.state.commit(&transaction(vec![put(indexed(), vec![])])).await.unwrap();
    let row = |sk: &str, range: &str| json!({"pk": {"S": "p"}, "sk": {"S": sk}, "_due_hash": {"S": "h"}, "_due_range": {"S": range}});
    let rows = json!({"Items": [row("gone", "b"), row("s", "earlier"), row("s", "r")], "Count": 3});
    spoilt.proxy.spoil(is("Query"), [Fault::Instead(Answer::new(200, rows.to_string()))]);
    let page = spoilt.state.query(&due()).await.unwrap();
    assert_eq!((page.items, page.cursor), (vec![indexed()], None));
}

#[tokio::test]
async fn items_that_dynamodb_left_unread_are_asked_for_again() {
    let spoilt = Spoilt::new().await;
    spoilt.state.commit(&transaction(vec![put(indexed(), vec![])])).await.unwrap();
    let table = spoilt.state.table().to_owned();
    let unread = || {
        let keys = json!([{"pk": {"S": "p"}, "sk": {"S": "s"}}]);
        let body = json!({"Responses": {}, "UnprocessedKeys": {table.clone(): {"Keys": keys, "ConsistentRead": true}}});
        Fault::Instead(Answer::new(200, body.to_string()))
    };
    spoilt.proxy.spoil(is("BatchGetItem"), [unread(), unread()]);
    assert_eq!(spoilt.state.query(&due()).await.unwrap().items, [indexed()]);
    spoilt.proxy.spoil(is("BatchGetItem"), std::iter::repeat_with(unread).take(50));
    assert_eq!(spoilt.state.query(&due()).await.unwrap_err().kind, ErrorKind::Throttled(SECOND), "not: found nothing");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let state = DynamoState::new(super::aws(&url), "none", Arc::clone(&VirtualClock::new()) as Arc<_>);
    let error = state.get(&key("p", "s")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.chain().contains("check the network"), "{}", error.chain());
}

/// The proxy itself: what passes is untouched, and requests can be told apart by what they ask.
#[tokio::test]
async fn what_is_not_spoilt_passes_untouched() {
    let spoilt = Spoilt::new().await;
    spoilt.proxy.spoil(|seen| seen.method == "DELETE" || seen.path != "/", [Fault::Refused]);
    spoilt.state.commit(&one(1)).await.unwrap();
    assert_eq!((spoilt.n().await, spoilt.proxy.left()), (Some(json!(1)), 1));
}
