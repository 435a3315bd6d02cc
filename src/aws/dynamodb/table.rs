//! The table: what it must look like, how it is made where nothing else makes it, and what `doctor` finds wrong with it.

use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableInputBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, GlobalSecondaryIndexDescription, IndexStatus,
    KeySchemaElement, KeyType, PointInTimeRecoveryStatus, Projection, ProjectionType, ScalarAttributeType,
    TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};

use crate::aws::Defect;
use crate::aws::error::port_error;
use crate::ports::{ErrorKind, PortError, PortResult};
use crate::state::Index;

use super::item::{EXPIRES, PK, SK};
use super::{DynamoState, PORT};

/// A secondary index and the attributes that it goes by, all texts. An item that has none of them is not in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexDefinition {
    pub index: Index,
    pub name: &'static str,
    /// Its partition key.
    pub hash: &'static str,
    /// Its sort key.
    pub range: &'static str,
}

/// All secondary indexes. They hold keys only: a run's head is written at each of its steps and would otherwise be written to
/// four indexes each time, eight write units a step instead of none. Whole items are read by key afterwards, which costs
/// a tenth of a write.
pub const INDEXES: [IndexDefinition; 4] = [
    IndexDefinition { index: Index::Due, name: "due", hash: "_due_hash", range: "_due_range" },
    IndexDefinition {
        index: Index::Repository,
        name: "repository",
        hash: "_repository_hash",
        range: "_repository_range",
    },
    IndexDefinition {
        index: Index::IssueType,
        name: "issue_type",
        hash: "_issue_type_hash",
        range: "_issue_type_range",
    },
    IndexDefinition { index: Index::Outcome, name: "outcome", hash: "_outcome_hash", range: "_outcome_range" },
];

/// The attribute by which DynamoDB drops items whose time is over.
pub const TTL_ATTRIBUTE: &str = EXPIRES;

/// How often and how long a new table is waited for.
const POLL: Duration = Duration::from_millis(500);
const POLLS: u32 = 120;

impl DynamoState {
    /// Makes the table with its indexes, paid by request, and waits until it can be used. A table that is there is left as it is.
    ///
    /// # Errors
    /// `Malformed` when the definition is refused, `Unavailable` when the table is not ready within a minute.
    pub async fn create_table(&self) -> PortResult<()> {
        let attempted = || format!("create the table {}", self.table());
        let client = self.client().await?;
        let made = definition(self.table())
            .map_err(|e| PortError::new(PORT, attempted(), ErrorKind::Malformed).caused_by(e))?;
        match made.send_with(client).await {
            Err(error) if error.code() == Some("ResourceInUseException") => {}
            Err(error) => return Err(port_error(PORT, attempted(), &error)),
            Ok(_) => {}
        }
        for _ in 0..POLLS {
            if self.describe().await?.is_some_and(|table| table.table_status() == Some(&TableStatus::Active)) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        Err(PortError::new(PORT, attempted(), ErrorKind::Unavailable)
            .caused_by("it is not ready after a minute: look at its status in the console"))
    }

    /// Lets DynamoDB drop items whose time is over. Switching it on twice is no error.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn enable_expiry(&self) -> PortResult<()> {
        let attempted = || format!("switch on the expiry of items in {}", self.table());
        if self.expires().await? {
            return Ok(());
        }
        let wanted = TimeToLiveSpecification::builder().enabled(true).attribute_name(TTL_ATTRIBUTE).build();
        let wanted = wanted.map_err(|e| PortError::new(PORT, attempted(), ErrorKind::Malformed).caused_by(e))?;
        let asked = self.client().await?.update_time_to_live().table_name(self.table());
        asked.time_to_live_specification(wanted).send().await.map_err(|e| port_error(PORT, attempted(), &e))?;
        Ok(())
    }

    /// What is missing or wrong, each with its remedy; empty when the table is as it must be.
    ///
    /// # Errors
    /// When DynamoDB cannot be asked.
    pub async fn check(&self) -> PortResult<Vec<Defect>> {
        let Some(table) = self.describe().await? else {
            let problem = format!("the table {} does not exist in this region", self.table());
            let remedy = "create it with terraform apply, or mend its name and the region in the configuration";
            return Ok(vec![Defect { problem, remedy: remedy.to_owned() }]);
        };
        let mut defects = defects(&table);
        if !self.expires().await? {
            defects.push(Defect {
                problem: format!("items of {} do not expire: it will grow for ever", self.table()),
                remedy: format!("switch on time to live for the attribute {TTL_ATTRIBUTE}"),
            });
        }
        if self.recoverable().await == Some(false) {
            defects.push(Defect {
                problem: format!("{} cannot be restored to an earlier moment", self.table()),
                remedy: "switch on point-in-time recovery (terraform apply)".to_owned(),
            });
        }
        Ok(defects)
    }

    /// Whether the table can be restored to an earlier moment; `None` where that cannot be read. It is no part of the work, so
    /// a role need not be allowed to look.
    async fn recoverable(&self) -> Option<bool> {
        let asked = self.client().await.ok()?.describe_continuous_backups().table_name(self.table());
        let answer = asked.send().await.ok()?;
        let recovery = answer.continuous_backups_description()?.point_in_time_recovery_description()?;
        Some(recovery.point_in_time_recovery_status() == Some(&PointInTimeRecoveryStatus::Enabled))
    }

    /// Whether nobody can delete the table by one call; `None` where there is no table or it is not told.
    ///
    /// # Errors
    /// When DynamoDB cannot be asked.
    pub async fn protected(&self) -> PortResult<Option<bool>> {
        Ok(self.describe().await?.and_then(|table| table.deletion_protection_enabled()))
    }

    async fn describe(&self) -> PortResult<Option<TableDescription>> {
        let answer = self.client().await?.describe_table().table_name(self.table()).send().await;
        match answer {
            Ok(output) => Ok(output.table),
            Err(error) => {
                let error = port_error(PORT, format!("look at the table {}", self.table()), &error);
                if error.kind == ErrorKind::Missing { Ok(None) } else { Err(error) }
            }
        }
    }

    async fn expires(&self) -> PortResult<bool> {
        let answer = self.client().await?.describe_time_to_live().table_name(self.table()).send().await;
        let answer =
            answer.map_err(|e| port_error(PORT, format!("look at the expiry of items in {}", self.table()), &e))?;
        let found = answer.time_to_live_description();
        let on = |status: &TimeToLiveStatus| matches!(status, TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling);
        Ok(found.is_some_and(|found| {
            found.time_to_live_status().is_some_and(on) && found.attribute_name() == Some(TTL_ATTRIBUTE)
        }))
    }
}

/// The request that makes the table.
///
/// # Errors
/// Never with the definitions of this file; the SDK checks that all parts are there.
pub fn definition(table: &str) -> Result<CreateTableInputBuilder, aws_sdk_dynamodb::error::BuildError> {
    let mut request = CreateTableInputBuilder::default()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(key_schema(PK, SK)?));
    let keys = INDEXES.iter().flat_map(|index| [index.hash, index.range]);
    for name in [PK, SK].into_iter().chain(keys) {
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        request = request.attribute_definitions(attribute.build()?);
    }
    for index in &INDEXES {
        let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
        let made = GlobalSecondaryIndex::builder().index_name(index.name).projection(keys_only);
        let made = made.set_key_schema(Some(key_schema(index.hash, index.range)?)).build()?;
        request = request.global_secondary_indexes(made);
    }
    Ok(request)
}

fn key_schema(hash: &str, range: &str) -> Result<Vec<KeySchemaElement>, aws_sdk_dynamodb::error::BuildError> {
    let part = |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    Ok(vec![part(hash, KeyType::Hash)?, part(range, KeyType::Range)?])
}

fn defects(table: &TableDescription) -> Vec<Defect> {
    let mut defects = Vec::new();
    let name = table.table_name().unwrap_or_default();
    if let Some(status) = table.table_status().filter(|status| **status != TableStatus::Active) {
        let remedy = "wait until it is active; see its status in the console when it stays so".to_owned();
        defects.push(Defect { problem: format!("the table {name} is {status}"), remedy });
    }
    if !goes_by(table.key_schema(), PK, SK) {
        defects.push(Defect {
            problem: format!("the table {name} does not have the keys {PK} and {SK}"),
            remedy: "keys cannot be changed: create another table with terraform apply and configure its name".into(),
        });
    }
    let found = table.global_secondary_indexes();
    for index in &INDEXES {
        let there = found.iter().find(|found| found.index_name() == Some(index.name));
        if let Some(problem) = wrong(index, there) {
            let remedy = format!(
                "give it the index {} with the partition key {} and the sort key {}, both texts, keys only (terraform apply)",
                index.name, index.hash, index.range
            );
            defects.push(Defect { problem: format!("the table {name} {problem}"), remedy });
        }
    }
    defects
}

fn wrong(index: &IndexDefinition, found: Option<&GlobalSecondaryIndexDescription>) -> Option<String> {
    let Some(found) = found else { return Some(format!("has no index {}", index.name)) };
    if !goes_by(found.key_schema(), index.hash, index.range) {
        return Some(format!("has an index {} with other keys", index.name));
    }
    if found.projection().and_then(Projection::projection_type) != Some(&ProjectionType::KeysOnly) {
        return Some(format!(
            "has an index {} that holds more than keys: every step of a run is written to it",
            index.name
        ));
    }
    let filled =
        found.index_status().is_none_or(|status| *status == IndexStatus::Active) && found.backfilling() != Some(true);
    (!filled).then(|| format!("has an index {} that is not filled yet: it finds less than there is", index.name))
}

fn goes_by(schema: &[KeySchemaElement], hash: &str, range: &str) -> bool {
    let has = |name, kind| schema.iter().any(|part| part.attribute_name() == name && *part.key_type() == kind);
    schema.len() == 2 && has(hash, KeyType::Hash) && has(range, KeyType::Range)
}
