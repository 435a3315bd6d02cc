//! Where a world keeps its state. Every test of what becomes of a push runs once on each store, by [`on_both_stores`].

use std::path::Path;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use codehealer::aws::dynamodb::DynamoState;
use codehealer::local::store::{FILE_NAME, Options, Store};
use codehealer::ports::State;
use rusqlite::types::ValueRef;
use uuid::Uuid;

use super::clock::VirtualClock;
use super::servers;
use super::world::World;
use crate::support::aws::aws;

/// Where a world keeps its state. The inbox and the memory of fixes are embedded in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// In the embedded store, which forgets.
    InMemory,
    /// In the embedded store, in its file.
    OnDisk,
    /// In a DynamoDB table of its own.
    InDynamoDb,
}

impl Storage {
    /// A world with one harmless commit on `develop`, which was seen before.
    pub async fn world(self) -> World {
        let world = self.unseen().await;
        world.git.on("develop").file("README.md", "a shop\n").commit("begin");
        world.process().worker.reconcile().await.unwrap();
        world
    }

    /// A world in which no branch was looked at yet.
    pub async fn unseen(self) -> World {
        let (clock, folder) = (VirtualClock::new(), tempfile::tempdir().unwrap());
        let options = Options::new(clock.clone());
        let store = match self {
            Self::OnDisk => Store::open(&folder.path().join(FILE_NAME), options),
            Self::InMemory | Self::InDynamoDb => Store::in_memory(options),
        };
        let store = store.unwrap();
        let table = match self {
            Self::InDynamoDb => Some(table(&clock).await),
            Self::InMemory | Self::OnDisk => None,
        };
        let state: Arc<dyn State> = match &table {
            Some(table) => Arc::new(table.clone()),
            None => Arc::new(store.state()),
        };
        World::over(folder, store, (state, table), clock)
    }

    /// The same store, but such that [`everything`] can read it.
    pub fn readable(self) -> Self {
        if self == Self::InMemory { Self::OnDisk } else { self }
    }
}

/// An empty table of its own.
async fn table(clock: &Arc<VirtualClock>) -> DynamoState {
    let name = format!("codehealer-{}", Uuid::new_v4().simple());
    let state = DynamoState::new(aws(&servers::dynamodb().await), name, clock.clone());
    state.create_table().await.unwrap();
    state
}

/// Every text that the stores of a world hold, wherever it stands.
pub async fn everything(world: &World) -> String {
    let mut text = String::new();
    let file = world.folder().join(FILE_NAME);
    if file.exists() {
        text.push_str(&texts_of_file(&file));
    } else {
        assert!(world.table.is_some(), "a store in memory cannot be read from outside");
    }
    if let Some(table) = &world.table {
        text.push_str(&texts_of_table(table.table()).await);
    }
    text
}

fn texts_of_file(file: &Path) -> String {
    let connection = rusqlite::Connection::open(file).unwrap();
    let mut tables = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    let names: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut text = String::new();
    for name in names {
        let mut all = connection.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
        let columns = all.column_count();
        let mut rows = all.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                match row.get_ref(column).unwrap() {
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
                    _ => {}
                }
                text.push('\n');
            }
        }
    }
    text
}

async fn texts_of_table(table: &str) -> String {
    let client = aws_sdk_dynamodb::Client::new(aws(&servers::dynamodb().await).config("state").await.unwrap());
    let mut text = String::new();
    let mut pages = client.scan().table_name(table).into_paginator().items().send();
    while let Some(item) = pages.next().await {
        for (name, value) in item.unwrap() {
            text.push_str(&name);
            text.push('\n');
            texts_of(&value, &mut text);
        }
    }
    text
}

fn texts_of(value: &AttributeValue, into: &mut String) {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => {
            into.push_str(text);
            into.push('\n');
        }
        AttributeValue::Ss(texts) => texts.iter().for_each(|text| into.push_str(text)),
        AttributeValue::L(list) => list.iter().for_each(|value| texts_of(value, into)),
        AttributeValue::M(map) => map.iter().for_each(|(name, value)| {
            into.push_str(name);
            into.push('\n');
            texts_of(value, into);
        }),
        AttributeValue::B(bytes) => into.push_str(&String::from_utf8_lossy(bytes.as_ref())),
        AttributeValue::Bool(_) | AttributeValue::Null(_) => {}
        other => panic!("an attribute that we never write: {other:?}"),
    }
}

/// Runs each of these tests, functions of a [`Storage`], once with the embedded store and once with DynamoDB; those after
/// `on_threads` on four threads.
macro_rules! on_both_stores {
    (on_threads: $($threaded:ident),+ $(,)?) => {
        $crate::support::stores::on_both_stores! { @modules [] [$($threaded)+] }
    };
    ($($name:ident),+; on_threads: $($threaded:ident),+ $(,)?) => {
        $crate::support::stores::on_both_stores! { @modules [$($name)+] [$($threaded)+] }
    };
    ($($name:ident),+ $(,)?) => {
        $crate::support::stores::on_both_stores! { @modules [$($name)+] [] }
    };
    (@modules $names:tt $threaded:tt) => {
        mod embedded {
            $crate::support::stores::on_both_stores! { @tests InMemory $names $threaded }
        }
        mod dynamodb {
            $crate::support::stores::on_both_stores! { @tests InDynamoDb $names $threaded }
        }
    };
    (@tests $storage:ident [$($name:ident)*] [$($threaded:ident)*]) => {
        use $crate::support::stores::Storage;

        $(#[tokio::test]
        async fn $name() {
            super::$name(Storage::$storage).await;
        })*

        $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $threaded() {
            super::$threaded(Storage::$storage).await;
        })*
    };
}
pub(crate) use on_both_stores;
