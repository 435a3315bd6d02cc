//! Reading items: rows into items, and pages with cursors.

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::model::{UnixMillis, sha256_hex};
use crate::state::limits::{PAGE_BYTES, Refused};
use crate::state::{Index, Item, Key, Page, Query, QueryOf};

use super::error::Problem;

const COLUMNS: &str = "i.pk, i.sk, i.fields, i.entries, i.expires";

/// The item, unless its time is over.
pub(super) fn get(connection: &Connection, key: &Key, now: UnixMillis) -> Result<Option<Item>, Problem> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM items i WHERE i.pk = ?1 AND i.sk = ?2"))?;
    let row = statement.query_row((&key.pk, &key.sk), |row| Ok(read(row).map(|(item, _)| item))).optional()?;
    Ok(row.transpose()?.filter(|item| !item.expired(now)))
}

/// One page of the query.
pub(super) fn page(connection: &Connection, query: &Query, now: UnixMillis) -> Result<Page, Problem> {
    query.check().map_err(Problem::refused)?;
    let after = query.cursor.as_deref().map(|text| place(text, &query.of)).transpose()?;
    let (sql, values) = statement(query, after, now);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut page = Page { items: Vec::new(), cursor: None };
    let mut bytes = 0;
    let mut last = Vec::new();
    while let Some(row) = rows.next()? {
        if page.items.len() == query.limit || bytes > PAGE_BYTES {
            page.cursor = Some(cursor(&query.of, &last));
            break;
        }
        let (item, size) = read(row)?;
        bytes += size;
        last = vec![item.key.pk.clone(), item.key.sk.clone()];
        if matches!(query.of, QueryOf::Index { .. }) {
            last.push(row.get(5)?);
        }
        page.items.push(item);
    }
    Ok(page)
}

/// The item and its size as stored, in bytes.
fn read(row: &Row<'_>) -> Result<(Item, usize), Problem> {
    let key = Key { pk: row.get(0)?, sk: row.get(1)? };
    let (fields, entries): (String, String) = (row.get(2)?, row.get(3)?);
    let damaged = |e: serde_json::Error| Problem::Damaged(format!("item {key:?}: {e}"));
    let item = Item {
        fields: serde_json::from_str(&fields).map_err(damaged)?,
        indexes: serde_json::from_str(&entries).map_err(damaged)?,
        expires: row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs),
        key,
    };
    Ok((item, fields.len() + entries.len()))
}

/// The SQL of a query. An empty blob stands above every text, whatever the text.
fn statement(query: &Query, after: Option<Vec<String>>, now: UnixMillis) -> (String, Vec<Sql>) {
    let (order, beyond) = if query.descending { ("DESC", "<") } else { ("ASC", ">") };
    let top = || Sql::Blob(Vec::new());
    let begun = after.is_some();
    let mut place = after.unwrap_or_default().into_iter().map(Sql::Text);
    let seconds = Sql::Integer(i64::try_from(now / 1000).unwrap_or(i64::MAX));
    match &query.of {
        QueryOf::Partition { pk, prefix } => {
            let end = after_prefix(prefix).map_or_else(top, Sql::Text);
            // Of several bounds on one side SQLite would search by the first only.
            let (low, high) = match (place.nth(1), query.descending) {
                (Some(place), true) => (Sql::Text(prefix.clone()), place),
                (Some(place), false) => (place, end),
                (None, _) => (Sql::Text(prefix.clone()), end),
            };
            let from = if begun && !query.descending { ">" } else { ">=" };
            let sql = format!(
                "SELECT {COLUMNS} FROM items i WHERE i.pk = ?1 AND i.sk {from} ?2 AND i.sk < ?3
                 AND (i.expires IS NULL OR i.expires > ?4) ORDER BY i.sk {order}"
            );
            (sql, vec![Sql::Text(pk.clone()), low, high, seconds])
        }
        QueryOf::Index { index, hash, from, to } => {
            let (start, end) = if query.descending { (to, from) } else { (from, to) };
            let (pk, sk, range) = match (place.next(), place.next(), place.next()) {
                (Some(pk), Some(sk), Some(range)) => (pk, sk, range),
                _ if query.descending => (top(), top(), Sql::Text(start.clone())),
                _ => (Sql::Text(String::new()), Sql::Text(String::new()), Sql::Text(start.clone())),
            };
            let within = if query.descending { ">=" } else { "<=" };
            let sql = format!(
                "SELECT {COLUMNS}, e.range FROM index_entries e JOIN items i ON i.pk = e.pk AND i.sk = e.sk
                 WHERE e.name = ?1 AND e.hash = ?2 AND (e.range, e.pk, e.sk) {beyond} (?3, ?4, ?5)
                 AND e.range {within} ?6 AND (i.expires IS NULL OR i.expires > ?7)
                 ORDER BY e.range {order}, e.pk {order}, e.sk {order}"
            );
            let name = Sql::Text(index_name(*index).to_owned());
            (sql, vec![name, Sql::Text(hash.clone()), range, pk, sk, Sql::Text(end.clone()), seconds])
        }
    }
}

pub(super) fn index_name(index: Index) -> &'static str {
    match index {
        Index::Due => "due",
        Index::Repository => "repository",
        Index::IssueType => "issue_type",
        Index::Outcome => "outcome",
    }
}

/// The least text above all texts that begin with `prefix`; `None` when there is none.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // Skips the surrogates, which are no characters.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// Where a page ended: the query that gave it, and the key of its last item; for an index its range too.
fn cursor(of: &QueryOf, at: &[String]) -> String {
    serde_json::json!([digest(of), at]).to_string()
}

fn place(cursor: &str, of: &QueryOf) -> Result<Vec<String>, Problem> {
    let parts = if matches!(of, QueryOf::Index { .. }) { 3 } else { 2 };
    match serde_json::from_str::<(String, Vec<String>)>(cursor) {
        Ok((from, at)) if from == digest(of) && at.len() == parts => Ok(at),
        _ => Err(Problem::refused(Refused::Cursor)),
    }
}

fn digest(of: &QueryOf) -> String {
    let parts = match of {
        QueryOf::Partition { pk, prefix } => sha256_hex(&[b"partition", pk.as_bytes(), prefix.as_bytes()]),
        QueryOf::Index { index, hash, from, to } => {
            sha256_hex(&[index_name(*index).as_bytes(), hash.as_bytes(), from.as_bytes(), to.as_bytes()])
        }
    };
    parts.chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::after_prefix;

    #[test]
    fn the_end_of_a_prefix_lies_above_all_that_begin_with_it() {
        assert_eq!(after_prefix(""), None);
        assert_eq!(after_prefix("EVT#").as_deref(), Some("EVT$"));
        assert_eq!(after_prefix("a\u{D7FF}").as_deref(), Some("a\u{E000}"));
        assert_eq!(after_prefix("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10FFFF}"), None);
    }
}
