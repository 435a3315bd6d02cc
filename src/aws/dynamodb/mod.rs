//! State and audit in one DynamoDB table: keys `pk` and `sk`, one attribute for each field, four sparse indexes.

mod commit;
mod condition;
mod item;
mod query;
pub mod table;

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use tokio::sync::OnceCell;

use crate::aws::client::{Aws, repeatable};
use crate::aws::error::{explained, kind, port_error, words};
use crate::ports::{Clock, ErrorKind, PortError, PortResult, State};
use crate::state::{Item, Key, Page, Query, Transaction};

const PORT: &str = "state";

/// The state and audit store in a DynamoDB table.
///
/// Items and keys are read consistently; an index trails its table by moments, and what it says is checked against the items.
/// A transaction with a token may only touch items that never expire: DynamoDB would have to know our time to answer a repeat
/// as it answered before.
#[derive(Clone)]
pub struct DynamoState {
    aws: Aws,
    table: Arc<str>,
    clock: Arc<dyn Clock>,
    client: Arc<OnceCell<Client>>,
    /// Write units that its requests used.
    written: Arc<Mutex<f64>>,
}

impl DynamoState {
    /// Costs nothing; the table is first asked by the first call. `clock` decides which items are expired.
    #[must_use]
    pub fn new(aws: Aws, table: impl Into<Arc<str>>, clock: Arc<dyn Clock>) -> Self {
        Self { aws, table: table.into(), clock, client: Arc::default(), written: Arc::default() }
    }

    /// Name of the table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Write units that the writes of this state and its clones used so far, as DynamoDB counted them, indexes included. What
    /// was refused, or not answered, is not in it.
    #[must_use]
    pub fn write_units(&self) -> f64 {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn client(&self) -> PortResult<&Client> {
        self.client.get_or_try_init(async || Ok(Client::new(self.aws.config(PORT).await?))).await
    }

    /// What the caller asked for cannot be done, or what is stored cannot be understood.
    fn malformed(attempted: impl Into<String>, reason: impl Into<Box<dyn Error + Send + Sync>>) -> PortError {
        PortError::new(PORT, attempted, ErrorKind::Malformed).caused_by(reason)
    }
}

/// Reads change nothing and may be repeated.
fn reading() -> Builder {
    Builder::new().retry_config(repeatable())
}

#[async_trait]
impl State for DynamoState {
    async fn get(&self, key: &Key) -> PortResult<Option<Item>> {
        let attempted = || format!("read {}/{}", key.pk, key.sk);
        key.check().map_err(|e| Self::malformed(attempted(), e))?;
        let stored = self.stored(key).await?;
        let item = stored.as_ref().map(item::decode).transpose().map_err(|e| Self::malformed(attempted(), e))?;
        Ok(item.filter(|item| !item.expired(self.clock.now())))
    }

    async fn query(&self, query: &Query) -> PortResult<Page> {
        self.page(query).await
    }

    async fn commit(&self, transaction: &Transaction) -> PortResult<()> {
        self.write(transaction).await
    }
}

impl DynamoState {
    /// The item as it is stored, with all writes that were confirmed before.
    async fn stored(&self, key: &Key) -> PortResult<Option<item::Attributes>> {
        let asked = self.client().await?.get_item().table_name(self.table()).consistent_read(true);
        let answer = asked.set_key(Some(item::key(key))).customize().config_override(reading()).send().await;
        let answer = answer.map_err(|e| self.failed(format!("read {}/{}", key.pk, key.sk), &e))?;
        Ok(answer.item)
    }

    /// An error of a request about items, with what an operator does about the table.
    fn failed<E>(&self, attempted: impl Into<String>, error: &SdkError<E, HttpResponse>) -> PortError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let table = self.table();
        let (code, said) = words(error);
        let said = said.to_lowercase();
        let other_keys = ["key element", "missing the key", "required keys", "number of conditions on the keys"];
        match (code, kind(error)) {
            (_, ErrorKind::Missing) => {
                let remedy = format!(
                    "there is no table {table} in this region: create it (terraform apply), or mend aws.table and the region"
                );
                explained(PORT, attempted, error, (ErrorKind::Missing, remedy))
            }
            ("ValidationException", kind) if other_keys.iter().any(|words| said.contains(words)) => {
                let remedy = format!(
                    "the table {table} has other keys than pk and sk, both texts: keys cannot be changed, so create another \
                     (terraform apply) and set aws.table to it"
                );
                explained(PORT, attempted, error, (kind, remedy))
            }
            ("AccessDeniedException", kind) => {
                let remedy = format!(
                    "allow the role dynamodb:GetItem, BatchGetItem, Query, PutItem, DeleteItem and ConditionCheckItem on the \
                     table {table} and its indexes"
                );
                explained(PORT, attempted, error, (kind, remedy))
            }
            _ => port_error(PORT, attempted, error),
        }
    }
}
