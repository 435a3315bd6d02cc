//! What this identity may do with the state table, and whether work that is due gets done. Nothing is changed.

use serde_json::Map;

use super::{Check, Status};
use crate::aws::dynamodb::DynamoState;
use crate::model::UnixMillis;
use crate::ports::{Clock, ErrorKind, PortResult, State};
use crate::report::time::duration;
use crate::state::run::RunHead;
use crate::state::{Condition, Index, Item, Key, Page, Query, QueryOf, Transaction, Write, keys, run};

/// Work that is due for longer than this is not done by anybody, milliseconds. The schedule looks every ten minutes.
const LATE: UnixMillis = 60 * 60 * 1000;
/// Most runs that are looked at in one shard.
const LOOKED_AT: usize = 100;
/// Of an item that is never there.
const NOWHERE: &str = "DOCTOR#nothing";

pub async fn checks(table: &DynamoState, clock: &dyn Clock) -> Vec<Check> {
    vec![reads(table).await, writes(table).await, protection(table).await, due(table, clock.now()).await]
}

async fn protection(table: &DynamoState) -> Check {
    const NAME: &str = "table: keep";
    match table.protected().await {
        Ok(Some(true)) => Check::new(NAME, Status::Ok, "it cannot be deleted by accident"),
        Ok(Some(false)) => {
            let told = "one call deletes it and the audit trail: set deletion_protection = true (terraform apply), unless this is for trying";
            Check::new(NAME, Status::Warn, told)
        }
        Ok(None) => Check::new(NAME, Status::Warn, "whether it can be deleted by accident is not told here"),
        Err(error) => Check::new(NAME, Status::Bad, error.chain()),
    }
}

fn nowhere() -> Key {
    Key { pk: NOWHERE.to_owned(), sk: "NOTHING".to_owned() }
}

/// Every way in which the program reads.
async fn reads(state: &dyn State) -> Check {
    const NAME: &str = "table: read";
    let mut asked = vec![state.get(&nowhere()).await.map(drop)];
    let partition = QueryOf::Partition { pk: NOWHERE.to_owned(), prefix: String::new() };
    asked.push(page(state, partition).await.map(drop));
    for index in [Index::Due, Index::Repository, Index::IssueType, Index::Outcome] {
        let (hash, from, to) = (NOWHERE.to_owned(), String::new(), keys::LAST.to_string());
        asked.push(page(state, QueryOf::Index { index, hash, from, to }).await.map(drop));
    }
    match asked.into_iter().find_map(Result::err) {
        None => Check::new(NAME, Status::Ok, "items and all indexes can be read"),
        Some(error) => Check::new(NAME, Status::Bad, error.chain()),
    }
}

async fn page(state: &dyn State, of: QueryOf) -> PortResult<Page> {
    state.query(&Query { of, descending: false, limit: LOOKED_AT, cursor: None }).await
}

/// A write on the condition that an item is there which never is: who may write is told that it is not.
async fn writes(state: &dyn State) -> Check {
    const NAME: &str = "table: write";
    let item = Item { key: nowhere(), fields: Map::new(), indexes: Vec::new(), expires: None };
    let write = Write::Put { item, when: vec![Condition::Present] };
    match state.commit(&Transaction { writes: vec![write], token: None }).await {
        Err(error) if error.kind == ErrorKind::Conflict => Check::new(NAME, Status::Ok, "this identity may write"),
        Err(error) if error.kind == ErrorKind::Denied => {
            let told = "this identity may only read, as the trail's policy wants; `audit ignore` needs it in table_writers, and the \
                        worker's role must not be refused";
            Check::new(NAME, Status::Warn, told)
        }
        Err(error) => Check::new(NAME, Status::Bad, error.chain()),
        // It cannot be: the condition does not hold.
        Ok(()) => {
            Check::new(NAME, Status::Bad, "the server writes although a condition does not hold; is it DynamoDB?")
        }
    }
}

/// Whether runs wait that a worker should have taken.
async fn due(state: &dyn State, now: UnixMillis) -> Check {
    const NAME: &str = "due work";
    let mut late: Vec<RunHead> = Vec::new();
    for shard in 0..keys::DUE_SHARDS {
        let to = format!("{}#{}", keys::time(now.saturating_sub(LATE)), keys::LAST);
        let of = QueryOf::Index { index: Index::Due, hash: format!("DUE#{shard}"), from: String::new(), to };
        match page(state, of).await {
            Ok(page) => late.extend(page.items.iter().filter_map(|item| run::record::<RunHead>(item).ok())),
            Err(error) => return Check::new(NAME, Status::Bad, error.chain()),
        }
    }
    late.retain(|head| head.lease_until < now);
    match late.iter().filter_map(|head| head.due).min() {
        None => Check::new(NAME, Status::Ok, "nothing waits that should have been done"),
        Some(oldest) => {
            let told = format!(
                "{} runs should have been worked on, the oldest for {}: see that the worker runs, its schedule is on and its \
                 concurrency is not 0",
                late.len(),
                duration(now.saturating_sub(oldest))
            );
            Check::new(NAME, Status::Bad, told)
        }
    }
}
