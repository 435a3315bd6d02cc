//! Items as DynamoDB keeps them: one attribute for each field, so that people can query and read the audit trail as it is.
//!
//! Event hashes cover numbers as they were written, and DynamoDB's numbers are decimals: 84.0 comes back as 84, -0.0 as 0, and
//! 1e300 is refused. Every JSON number that would not come back as it was is therefore kept as its text, in a set of one
//! string; JSON has no sets, so nothing else looks like it. All other numbers are numbers.
//!
//! Names that begin with `_` are ours, and so are `pk` and `sk`: fields that are called so get the prefix `_f:`.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Number, Value};

use crate::state::{Index, IndexEntry, Item, Key};

use super::table::{INDEXES, IndexDefinition};

pub const PK: &str = "pk";
pub const SK: &str = "sk";
/// Seconds since the epoch: the attribute that DynamoDB's own expiry goes by.
pub const EXPIRES: &str = "_expires";
/// Places of an item's index entries, when they are not in the order of [`INDEXES`].
const ORDER: &str = "_order";
const ESCAPE: &str = "_f:";

/// An item as it travels.
pub type Attributes = HashMap<String, AttributeValue>;

/// A stored item is not one that this program writes.
#[derive(Debug, thiserror::Error)]
#[error("the stored item {key} cannot be read, for {what}: restore the table or remove the item")]
pub struct Damaged {
    key: String,
    what: &'static str,
}

/// The attributes of a key.
pub fn key(key: &Key) -> Attributes {
    HashMap::from([(PK.to_owned(), text(&key.pk)), (SK.to_owned(), text(&key.sk))])
}

/// The whole item with its index entries.
pub fn encode(item: &Item) -> Attributes {
    let mut all = key(&item.key);
    all.extend(item.fields.iter().map(|(name, value)| (attribute(name), self::value(value))));
    for (definition, entry) in item.indexes.iter().filter_map(|entry| Some((definition(entry.index)?, entry))) {
        all.insert(definition.hash.to_owned(), text(&entry.hash));
        all.insert(definition.range.to_owned(), text(&entry.range));
    }
    let places: Vec<usize> = item.indexes.iter().filter_map(|entry| place(entry.index)).collect();
    if !places.is_sorted() {
        all.insert(ORDER.to_owned(), text(&places.iter().map(ToString::to_string).collect::<String>()));
    }
    if let Some(seconds) = item.expires {
        all.insert(EXPIRES.to_owned(), AttributeValue::N(seconds.to_string()));
    }
    all
}

/// Reads an item back, exactly as it was written.
///
/// # Errors
/// When something is stored that [`encode`] does not make.
pub fn decode(attributes: &Attributes) -> Result<Item, Damaged> {
    let key = Key { pk: required(attributes, PK)?, sk: required(attributes, SK)? };
    let damaged = |what| Damaged { key: format!("{}/{}", key.pk, key.sk), what };
    let mut fields = Map::new();
    for (name, stored) in attributes {
        if let Some(name) = field(name) {
            let value = json(stored).ok_or_else(|| damaged("a value is of a kind that JSON does not have"))?;
            fields.insert(name, value);
        }
    }
    let expires = match attributes.get(EXPIRES) {
        None => None,
        Some(AttributeValue::N(seconds)) => {
            Some(seconds.parse().map_err(|_| damaged("its expiry is no time in seconds"))?)
        }
        Some(_) => return Err(damaged("its expiry is no number")),
    };
    Ok(Item { indexes: entries(attributes), key, fields, expires })
}

/// Where the item stands in one index.
pub fn entry(attributes: &Attributes, definition: &IndexDefinition) -> Option<IndexEntry> {
    let part = |name: &str| attributes.get(name)?.as_s().ok().cloned();
    Some(IndexEntry { index: definition.index, hash: part(definition.hash)?, range: part(definition.range)? })
}

/// The key of an item, or of an entry of an index.
pub fn decode_key(attributes: &Attributes) -> Result<Key, Damaged> {
    Ok(Key { pk: required(attributes, PK)?, sk: required(attributes, SK)? })
}

/// The attribute of a field.
pub fn attribute(field: &str) -> String {
    let ours = field.is_empty() || field.starts_with('_') || field == PK || field == SK;
    if ours { format!("{ESCAPE}{field}") } else { field.to_owned() }
}

/// A JSON value as an attribute.
pub fn value(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(flag) => AttributeValue::Bool(*flag),
        Value::Number(number) => self::number(number),
        Value::String(string) => text(string),
        Value::Array(values) => AttributeValue::L(values.iter().map(self::value).collect()),
        Value::Object(fields) => {
            AttributeValue::M(fields.iter().map(|(name, value)| (attribute(name), self::value(value))).collect())
        }
    }
}

fn number(number: &Number) -> AttributeValue {
    let written = number.to_string();
    if survives(number) { AttributeValue::N(written) } else { AttributeValue::Ss(vec![written]) }
}

/// Whether DynamoDB gives the number back as it was written. It holds 38 digits between 1e-130 and 1e126.
fn survives(number: &Number) -> bool {
    // Whole floats below this look like integers when they come back, and some integers above it like floats.
    const WHOLE: f64 = 2e19;
    const KEPT: std::ops::Range<f64> = 1e-120..1e120;
    match number.as_f64() {
        _ if !number.is_f64() => true,
        Some(float) if float.fract() == 0.0 && float.abs() < WHOLE => false,
        Some(float) => KEPT.contains(&float.abs()),
        None => false,
    }
}

fn json(stored: &AttributeValue) -> Option<Value> {
    Some(match stored {
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::Bool(flag) => Value::Bool(*flag),
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::N(text) => Value::Number(parsed(text)?),
        AttributeValue::Ss(texts) => match texts.as_slice() {
            [text] => Value::Number(serde_json::from_str(text).ok()?),
            _ => return None,
        },
        AttributeValue::L(values) => Value::Array(values.iter().map(json).collect::<Option<_>>()?),
        AttributeValue::M(fields) => {
            let named = fields.iter().map(|(name, value)| Some((field(name)?, json(value)?)));
            Value::Object(named.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn parsed(text: &str) -> Option<Number> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    match text.parse::<u64>() {
        Ok(whole) => Some(whole.into()),
        Err(_) => Number::from_f64(text.parse().ok()?),
    }
}

/// The field of an attribute; `None` for attributes of our own.
fn field(attribute: &str) -> Option<String> {
    match attribute.strip_prefix(ESCAPE) {
        Some(escaped) => Some(escaped.to_owned()),
        None if attribute.starts_with('_') || attribute == PK || attribute == SK => None,
        None => Some(attribute.to_owned()),
    }
}

fn entries(attributes: &Attributes) -> Vec<IndexEntry> {
    let mut found: Vec<IndexEntry> = INDEXES.iter().filter_map(|definition| entry(attributes, definition)).collect();
    if let Some(AttributeValue::S(order)) = attributes.get(ORDER) {
        let at = |entry: &IndexEntry| place(entry.index).and_then(|place| order.find(&place.to_string()));
        found.sort_by_key(at);
    }
    found
}

fn definition(index: Index) -> Option<&'static IndexDefinition> {
    INDEXES.iter().find(|definition| definition.index == index)
}

fn place(index: Index) -> Option<usize> {
    INDEXES.iter().position(|definition| definition.index == index)
}

fn required(attributes: &Attributes, name: &'static str) -> Result<String, Damaged> {
    match attributes.get(name) {
        Some(AttributeValue::S(text)) => Ok(text.clone()),
        _ => Err(Damaged { key: String::new(), what: "it has no key of texts" }),
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(fields: Value) -> Item {
        let Value::Object(fields) = fields else { panic!("fields are an object") };
        Item { key: Key { pk: "p".into(), sk: "s".into() }, fields, indexes: Vec::new(), expires: None }
    }

    fn written(item: &Item) -> String {
        serde_json::to_string(&item.fields).unwrap()
    }

    /// What DynamoDB does to numbers: decimals without trailing zeros.
    fn normalised(attributes: Attributes) -> Attributes {
        let normal = |(name, value)| match value {
            AttributeValue::N(text) if text.parse::<i64>().is_err() && text.parse::<u64>().is_err() => {
                (name, AttributeValue::N(format!("{}", text.parse::<f64>().unwrap())))
            }
            other => (name, other),
        };
        attributes.into_iter().map(normal).collect()
    }

    #[test]
    fn numbers_come_back_as_they_were_written() {
        let numbers = json!({
            "a": 84, "b": 84.0, "c": -0.0, "d": 0, "e": u64::MAX, "f": i64::MIN, "g": 1e300, "h": 5e-324, "i": 0.1 + 0.2,
            "j": 1e3, "k": f64::MAX, "l": 1.844_674_407_370_955_2e19, "m": -9.223_372_036_854_776e18, "n": 1e25, "o": 1.5e-119
        });
        let item = item(numbers);
        assert_eq!(written(&decode(&normalised(encode(&item))).unwrap()), written(&item));
    }

    #[test]
    fn scalars_stay_readable_for_people_who_query_the_table() {
        let stored = encode(&item(json!({"state": "OPEN", "confidence": 84, "cosine": 0.93, "ok": true})));
        assert_eq!(stored["state"], AttributeValue::S("OPEN".into()));
        assert_eq!(stored["confidence"], AttributeValue::N("84".into()));
        assert_eq!(stored["cosine"], AttributeValue::N("0.93".into()));
        assert_eq!(stored["ok"], AttributeValue::Bool(true));
    }

    #[test]
    fn fields_may_be_called_like_our_own_attributes() {
        let fields =
            json!({"pk": 1, "sk": 2, "_expires": 3, "_f:pk": 4, "": 5, "_due_hash": "x", "m": {"": 1, "pk": 2}});
        let item = item(fields);
        let back = decode(&encode(&item)).unwrap();
        assert_eq!(back, item);
    }

    #[test]
    fn what_is_not_ours_is_damaged() {
        let mut stored = encode(&item(json!({"n": 1})));
        stored.insert("n".into(), AttributeValue::Ns(vec!["1".into()]));
        let error = decode(&stored).unwrap_err().to_string();
        assert!(error.contains("p/s") && error.contains("restore"), "{error}");
    }
}
