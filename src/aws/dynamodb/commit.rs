//! Writing: one item by a conditional put or delete, several in a transaction, which costs twice as much.
//!
//! Nothing is sent again blindly. A request is repeated only when DynamoDB says that it was not applied: because others wrote
//! the same items at that moment, or because its comparison was stricter than ours (see [`super::condition`]).

use std::error::Error;
use std::sync::PoisonError;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, ConsumedCapacity, Delete, Put, ReturnConsumedCapacity, TransactWriteItem,
};
use uuid::Uuid;

use crate::aws::error::{is_mistimed, port_error};
use crate::model::sha256_hex;
use crate::ports::{ErrorKind, PortError, PortResult};
use crate::state::{Item, Key, Transaction, Write};

use super::condition::{Clause, Guard, broken};
use super::item::{self, Attributes};
use super::{DynamoState, PORT};

/// How often a write is sent, each time known not to have happened before.
const ATTEMPTS: u32 = 6;
/// Longest pause before the second attempt; doubled before each further one.
const PAUSE: Duration = Duration::from_millis(40);
/// How long a caller should stay away when others write the same items all the time.
const BUSY: Duration = Duration::from_secs(1);
/// Longest token that DynamoDB takes.
const TOKEN_CHARS: usize = 36;

/// Puts a write's condition into a request. The SDK's builders have these setters by the same names, and no trait for them.
macro_rules! under {
    ($request:expr, $write:expr, $guard:expr) => {{
        let clause = Clause::of($write.when(), $guard);
        $request
            .set_condition_expression(clause.text)
            .set_expression_attribute_names(clause.names)
            .set_expression_attribute_values(clause.values)
            .set_return_values_on_condition_check_failure(clause.on_failure)
    }};
}

/// Why a request was not applied, or may not have been.
enum Failure {
    /// Conditions of these writes do not hold of these items, as DynamoDB compares.
    Refused(Vec<(usize, Option<Attributes>)>),
    /// Others wrote the same items at that moment. It was not applied.
    Contended,
    /// Its time was not AWS's. It was not applied, and the next one is signed by AWS's clock.
    Mistimed(PortError),
    Failed(PortError),
}

/// One transaction on its way.
struct Attempt<'a> {
    transaction: &'a Transaction,
    /// One for each write.
    guards: Vec<Guard>,
    /// How often the guards changed: another request needs another token.
    round: u32,
    attempted: String,
}

impl DynamoState {
    pub(super) async fn write(&self, transaction: &Transaction) -> PortResult<()> {
        let first = transaction.writes.first().map(Write::key);
        let place = first.map(|key| format!(" from {}/{}", key.pk, key.sk)).unwrap_or_default();
        let attempted = format!("commit {} writes{place}", transaction.writes.len());
        transaction.check().map_err(|e| Self::malformed(attempted.clone(), e))?;
        let guards = vec![Guard::Native; transaction.writes.len()];
        let mut attempt = Attempt { transaction, guards, round: 0, attempted };
        for n in 0..ATTEMPTS {
            match self.send(&attempt).await {
                Ok(()) => return Ok(()),
                Err(Failure::Failed(error)) => return Err(error),
                Err(Failure::Contended) => pause(n).await,
                Err(Failure::Mistimed(error)) if n > 0 => return Err(error),
                Err(Failure::Mistimed(_)) => {}
                Err(Failure::Refused(refused)) => self.judge(&mut attempt, refused).await?,
            }
        }
        Err(PortError::new(PORT, attempt.attempted, ErrorKind::Throttled(BUSY))
            .caused_by("others write the same items all the time; nothing was written"))
    }

    /// Decides by our own rules about writes that DynamoDB refused: a conflict, or worth another attempt.
    async fn judge(&self, attempt: &mut Attempt<'_>, refused: Vec<(usize, Option<Attributes>)>) -> PortResult<()> {
        for (n, mut stored) in refused {
            let (Some(write), Some(guard)) = (attempt.transaction.writes.get(n), attempt.guards.get_mut(n)) else {
                return Err(Self::malformed(attempt.attempted.clone(), "the answer names a write that was not sent"));
            };
            let key = write.key();
            let broken = |stored: Option<&Attributes>| {
                let found = broken(write.when(), stored, self.clock.now());
                found.map_err(|e| Self::malformed(attempt.attempted.clone(), e))
            };
            let mut found = broken(stored.as_ref())?;
            // Nothing in the way is handed back: not every server that speaks DynamoDB's language does so.
            if found.is_none() && stored.is_none() {
                stored = self.stored(key).await?;
                found = broken(stored.as_ref())?;
            }
            if let Some(condition) = found {
                let reason = format!("{}/{} is not {condition:?}", key.pk, key.sk);
                return Err(PortError::new(PORT, attempt.attempted.clone(), ErrorKind::Conflict).caused_by(reason));
            }
            *guard = Guard::Unchanged(stored);
        }
        attempt.round += 1;
        Ok(())
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Result<(), Failure> {
        let guard = attempt.guards.first().unwrap_or(&Guard::Native);
        match (attempt.transaction.writes.as_slice(), &attempt.transaction.token) {
            ([write @ Write::Put { item, .. }], None) => self.put(item, write, guard, &attempt.attempted).await,
            ([write @ Write::Delete { key, .. }], None) => self.delete(key, write, guard, &attempt.attempted).await,
            ([Write::Check { key, .. }], None) => self.look(key, guard).await,
            _ => self.transact(attempt).await,
        }
    }

    async fn put(&self, item: &Item, write: &Write, guard: &Guard, attempted: &str) -> Result<(), Failure> {
        let client = self.client().await.map_err(Failure::Failed)?;
        let request = client.put_item().table_name(self.table()).set_item(Some(item::encode(item)));
        let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        match under!(request, write, guard).send().await {
            Ok(answer) => {
                self.count(answer.consumed_capacity());
                Ok(())
            }
            Err(error) => Err(match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(e)) => Failure::Refused(vec![(0, e.item.clone())]),
                _ => self.failure(attempted, &error),
            }),
        }
    }

    async fn delete(&self, key: &Key, write: &Write, guard: &Guard, attempted: &str) -> Result<(), Failure> {
        let client = self.client().await.map_err(Failure::Failed)?;
        let request = client.delete_item().table_name(self.table()).set_key(Some(item::key(key)));
        let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        match under!(request, write, guard).send().await {
            Ok(answer) => {
                self.count(answer.consumed_capacity());
                Ok(())
            }
            Err(error) => Err(match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(e)) => {
                    Failure::Refused(vec![(0, e.item.clone())])
                }
                _ => self.failure(attempted, &error),
            }),
        }
    }

    /// A check alone writes nothing: a consistent read says the same for a quarter of the price.
    async fn look(&self, key: &Key, guard: &Guard) -> Result<(), Failure> {
        match guard {
            Guard::Unchanged(_) => Ok(()),
            Guard::Native => Err(Failure::Refused(vec![(0, self.stored(key).await.map_err(Failure::Failed)?)])),
        }
    }

    async fn transact(&self, attempt: &Attempt<'_>) -> Result<(), Failure> {
        let writes = attempt.transaction.writes.iter().zip(&attempt.guards);
        let writes: Result<Vec<_>, BuildError> = writes.map(|(write, guard)| self.element(write, guard)).collect();
        let writes = writes.map_err(|e| Failure::Failed(Self::malformed(attempt.attempted.clone(), e)))?;
        let client = self.client().await.map_err(Failure::Failed)?;
        let answer = client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .set_client_request_token(attempt.token(self.table()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match answer {
            Ok(answer) => {
                self.count(answer.consumed_capacity());
                Ok(())
            }
            Err(error) => Err(match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(e)) => match e.cancellation_reasons() {
                    [] => cancelled(attempt, &reasons_in(e.message().unwrap_or_default()), &error),
                    reasons => cancelled(attempt, reasons, &error),
                },
                _ => self.failure(&attempt.attempted, &error),
            }),
        }
    }

    fn element(&self, write: &Write, guard: &Guard) -> Result<TransactWriteItem, BuildError> {
        let element = TransactWriteItem::builder();
        Ok(match write {
            Write::Put { item, .. } => {
                let put = Put::builder().table_name(self.table()).set_item(Some(item::encode(item)));
                element.put(under!(put, write, guard).build()?).build()
            }
            Write::Delete { key, .. } => {
                let delete = Delete::builder().table_name(self.table()).set_key(Some(item::key(key)));
                element.delete(under!(delete, write, guard).build()?).build()
            }
            Write::Check { key, when } => {
                let check = ConditionCheck::builder().table_name(self.table()).set_key(Some(item::key(key)));
                let check = under!(check, write, guard);
                // A check of nothing holds always, and DynamoDB wants to be told so.
                let always = || format!("attribute_exists({0}) OR attribute_not_exists({0})", item::PK);
                let check = if when.is_empty() { check.condition_expression(always()) } else { check };
                element.condition_check(check.build()?).build()
            }
        })
    }

    /// Adds to what was written so far.
    fn count<'a>(&self, used: impl IntoIterator<Item = &'a ConsumedCapacity>) {
        let units: f64 = used.into_iter().filter_map(ConsumedCapacity::capacity_units).sum();
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) += units;
    }

    fn failure<E>(&self, attempted: &str, error: &SdkError<E, HttpResponse>) -> Failure
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
        match code {
            // The second: the same token is being worked on, for a caller that gave up waiting.
            Some("TransactionConflictException" | "TransactionInProgressException") => Failure::Contended,
            _ if is_mistimed(error) => Failure::Mistimed(self.failed(attempted, error)),
            _ => Failure::Failed(self.failed(attempted, error)),
        }
    }
}

impl Attempt<'_> {
    /// The token for DynamoDB, which remembers it for ten minutes, for all tables of an account together.
    fn token(&self, table: &str) -> Option<String> {
        let token = self.transaction.token.as_ref()?;
        let digest = sha256_hex(&[b"token", table.as_bytes(), token.as_bytes(), &self.round.to_be_bytes()]);
        Some(digest.chars().take(TOKEN_CHARS).collect())
    }
}

/// Why a transaction was cancelled. A condition that does not hold outweighs everything else: it will not hold next time.
fn cancelled(
    attempt: &Attempt<'_>,
    reasons: &[CancellationReason],
    error: &SdkError<TransactWriteItemsError, HttpResponse>,
) -> Failure {
    let refused = reasons.iter().enumerate().filter(|(_, reason)| is(reason, &["ConditionalCheckFailed"]));
    let refused: Vec<_> = refused.map(|(n, reason)| (n, reason.item.clone())).collect();
    if !refused.is_empty() {
        return Failure::Refused(refused);
    }
    let any = |codes: &[&str]| reasons.iter().any(|reason| is(reason, codes));
    if any(&["TransactionConflict"]) {
        return Failure::Contended;
    }
    let kind = if any(&["ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"]) {
        ErrorKind::Throttled(BUSY)
    } else if any(&["ValidationError", "ItemCollectionSizeLimitExceeded"]) {
        ErrorKind::Malformed
    } else if any(&["AccessDenied"]) {
        ErrorKind::Denied
    } else {
        ErrorKind::Unavailable
    };
    let mapped = port_error(PORT, attempt.attempted.clone(), error);
    let told: Vec<&str> = reasons.iter().filter_map(CancellationReason::message).collect();
    let cause = format!("the transaction was cancelled: {}", told.join("; "));
    Failure::Failed(PortError { kind, ..mapped }.caused_by(cause))
}

/// The reasons as the message lists them, `… [ConditionalCheckFailed, None]`, for servers that give no other list.
fn reasons_in(message: &str) -> Vec<CancellationReason> {
    let listed = message.rsplit_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let codes = listed.map(|(codes, _)| codes.split(',')).into_iter().flatten();
    codes.map(|code| CancellationReason::builder().code(code.trim()).build()).collect()
}

fn is(reason: &CancellationReason, codes: &[&str]) -> bool {
    reason.code().is_some_and(|code| codes.contains(&code))
}

/// Waits longer each time, and not as long as a rival that began at the same moment.
pub(super) async fn pause(attempt: u32) {
    let longest = PAUSE.saturating_mul(1 << attempt.min(6));
    let share = Uuid::new_v4().as_bytes().first().copied().map_or(1.0, |byte| f64::from(byte) / 255.0);
    tokio::time::sleep(longest.mul_f64(0.25 + 0.75 * share)).await;
}
