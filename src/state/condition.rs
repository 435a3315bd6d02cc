//! When a condition holds.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::{Condition, Item, Key, Write};

impl Condition {
    /// Whether the condition holds of the stored item's fields; `None` when there is no such item.
    #[must_use]
    pub fn holds(&self, stored: Option<&Map<String, Value>>) -> bool {
        match (self, stored) {
            (Self::Absent, fields) => fields.is_none(),
            (Self::Present, fields) => fields.is_some(),
            (Self::Equals(name, value), Some(fields)) => fields.get(*name).is_some_and(|found| same(found, value)),
            (Self::Below(name, limit), Some(fields)) => match fields.get(*name) {
                Some(Value::Number(found)) => compare(found, &Number::from(*limit)) == Some(Ordering::Less),
                _ => false,
            },
            (Self::Equals(..) | Self::Below(..), None) => false,
        }
    }
}

impl Write {
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { item, .. } => &item.key,
            Self::Delete { key, .. } | Self::Check { key, .. } => key,
        }
    }

    #[must_use]
    pub fn when(&self) -> &[Condition] {
        match self {
            Self::Put { when, .. } | Self::Delete { when, .. } | Self::Check { when, .. } => when,
        }
    }
}

impl Item {
    /// Whether the item counts as absent at `now` (milliseconds since the epoch).
    #[must_use]
    pub fn expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|seconds| seconds <= now / 1000)
    }
}

/// Equality of JSON in which numbers are equal by value, at any depth.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(condition: &Condition, stored: &Value) -> bool {
        condition.holds(stored.as_object())
    }

    #[test]
    fn field_conditions_never_hold_of_an_absent_item() {
        assert!(Condition::Absent.holds(None));
        assert!(!Condition::Present.holds(None));
        assert!(!Condition::Equals("a", Value::Null).holds(None));
        assert!(!Condition::Below("a", 1).holds(None));
    }

    #[test]
    fn a_missing_field_equals_nothing_not_even_null() {
        assert!(!holds(&Condition::Equals("a", Value::Null), &json!({})));
        assert!(holds(&Condition::Equals("a", Value::Null), &json!({"a": null})));
    }

    #[test]
    fn numbers_are_equal_by_value_at_any_depth() {
        assert!(holds(&Condition::Equals("a", json!([{"b": 1.0}])), &json!({"a": [{"b": 1}]})));
        assert!(!holds(&Condition::Equals("a", json!([{"b": 1.5}])), &json!({"a": [{"b": 1}]})));
        assert!(!holds(&Condition::Equals("a", json!("1")), &json!({"a": 1})));
        assert!(!holds(&Condition::Equals("a", json!(u64::MAX)), &json!({"a": u64::MAX - 1})));
    }

    #[test]
    fn below_is_strict_and_wants_a_number() {
        assert!(holds(&Condition::Below("n", 3), &json!({"n": 2})));
        assert!(holds(&Condition::Below("n", 3), &json!({"n": 2.9})));
        assert!(!holds(&Condition::Below("n", 3), &json!({"n": 3})));
        assert!(!holds(&Condition::Below("n", 3), &json!({"n": u64::MAX})));
        assert!(!holds(&Condition::Below("n", 3), &json!({"n": "2"})));
        assert!(!holds(&Condition::Below("n", 3), &json!({})));
    }

    #[test]
    fn an_item_expires_at_its_second() {
        let item = Item {
            key: Key { pk: "p".into(), sk: "s".into() },
            fields: Map::new(),
            indexes: Vec::new(),
            expires: Some(10),
        };
        assert!(!item.expired(9_999));
        assert!(item.expired(10_000));
    }
}
