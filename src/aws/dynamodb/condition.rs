//! Conditions as DynamoDB's expressions.
//!
//! DynamoDB compares by its own rules: a whole float kept as text is not below anything, an expired item still exists until it
//! is swept. An expression is therefore never true where [`Condition::holds`] is not, but may be false where it is. When a write
//! is refused, DynamoDB hands back the item as it stands; if our own rules accept it, the write is asked for again on the
//! condition that what they looked at is still the same. Expressions carry no time, so that a transaction
//! sent again with its token is the same request.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use crate::model::UnixMillis;
use crate::state::Condition;

use super::item::{self, Attributes, Damaged, EXPIRES, PK};

/// On what a write depends.
#[derive(Debug, Clone)]
pub enum Guard {
    /// The conditions in DynamoDB's words.
    Native,
    /// They were found to hold of this item; nothing that they look at may have changed. `None`: there is none.
    Unchanged(Option<Attributes>),
}

/// What a request says of its condition. DynamoDB refuses names and values that are there and empty.
#[derive(Debug, Default)]
pub struct Clause {
    pub text: Option<String>,
    pub names: Option<HashMap<String, String>>,
    pub values: Option<Attributes>,
    /// A write that is refused brings the item as it stands.
    pub on_failure: Option<ReturnValuesOnConditionCheckFailure>,
}

impl Clause {
    /// For `when`; empty when nothing has to hold.
    pub fn of(when: &[Condition], guard: &Guard) -> Self {
        let Some(expression) = Expression::of(when, guard) else { return Self::default() };
        Self {
            text: Some(expression.text()),
            names: (!expression.names.is_empty()).then_some(expression.names),
            values: (!expression.values.is_empty()).then_some(expression.values),
            on_failure: Some(ReturnValuesOnConditionCheckFailure::AllOld),
        }
    }
}

/// A condition expression with its names and values.
#[derive(Debug, Default)]
struct Expression {
    parts: Vec<String>,
    names: HashMap<String, String>,
    values: Attributes,
}

impl Expression {
    /// The expression for `when`; `None` when nothing has to hold.
    fn of(when: &[Condition], guard: &Guard) -> Option<Self> {
        if when.is_empty() {
            return None;
        }
        let mut expression = Self::default();
        match guard {
            Guard::Native => expression.native(when),
            Guard::Unchanged(None) => expression.absent(PK),
            Guard::Unchanged(Some(seen)) => expression.unchanged(when, seen),
        }
        Some(expression)
    }

    /// The whole text.
    fn text(&self) -> String {
        self.parts.join(" AND ")
    }

    fn native(&mut self, when: &[Condition]) {
        for condition in when {
            match condition {
                Condition::Absent => self.absent(PK),
                Condition::Present => self.present(PK),
                Condition::Equals(field, value) => {
                    // A value that is null is no missing one, whatever a server thinks.
                    if value.is_null() {
                        self.present(&item::attribute(field));
                    }
                    self.compare(&item::attribute(field), "=", item::value(value));
                }
                Condition::Below(field, limit) => {
                    self.compare(&item::attribute(field), "<", AttributeValue::N(limit.to_string()));
                }
            }
        }
        if when.iter().any(|condition| *condition != Condition::Absent) {
            self.absent(EXPIRES);
        }
    }

    fn unchanged(&mut self, when: &[Condition], seen: &Attributes) {
        self.present(PK);
        self.same(EXPIRES, seen);
        for condition in when {
            if let Condition::Equals(field, _) | Condition::Below(field, _) = condition {
                self.same(&item::attribute(field), seen);
            }
        }
    }

    fn same(&mut self, attribute: &str, seen: &Attributes) {
        match seen.get(attribute) {
            Some(value) => self.compare(attribute, "=", value.clone()),
            None => self.absent(attribute),
        }
    }

    fn absent(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.parts.push(format!("attribute_not_exists({name})"));
    }

    fn present(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.parts.push(format!("attribute_exists({name})"));
    }

    fn compare(&mut self, attribute: &str, operator: &str, value: AttributeValue) {
        let name = self.name(attribute);
        let placeholder = format!(":v{}", self.values.len());
        self.parts.push(format!("{name} {operator} {placeholder}"));
        self.values.insert(placeholder, value);
    }

    /// A placeholder for the attribute; DynamoDB refuses its reserved words and two placeholders for one purpose alike.
    fn name(&mut self, attribute: &str) -> String {
        if let Some((placeholder, _)) = self.names.iter().find(|(_, named)| *named == attribute) {
            return placeholder.clone();
        }
        let placeholder = format!("#n{}", self.names.len());
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }
}

/// The first condition that does not hold of the item as it stands, by the rules of the port.
///
/// # Errors
/// When the item cannot be read.
pub fn broken<'a>(
    when: &'a [Condition],
    stored: Option<&Attributes>,
    now: UnixMillis,
) -> Result<Option<&'a Condition>, Damaged> {
    let item = stored.map(item::decode).transpose()?.filter(|item| !item.expired(now));
    let fields = item.as_ref().map(|item| &item.fields);
    Ok(when.iter().find(|condition| !condition.holds(fields)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::state::{Item, Key};

    #[test]
    fn an_expression_is_the_same_whenever_it_is_made() {
        let when = [Condition::Equals("state", json!("OPEN")), Condition::Below("until", 5), Condition::Present];
        let text = |guard| Expression::of(&when, &guard).unwrap().text();
        assert_eq!(
            text(Guard::Native),
            "#n0 = :v0 AND #n1 < :v1 AND attribute_exists(#n2) AND attribute_not_exists(#n3)"
        );
        assert!(Expression::of(&[], &Guard::Native).is_none());
    }

    #[test]
    fn null_is_a_value_and_not_the_lack_of_one() {
        let text = Expression::of(&[Condition::Equals("owner", json!(null))], &Guard::Native).unwrap().text();
        assert_eq!(text, "attribute_exists(#n0) AND #n0 = :v0 AND attribute_not_exists(#n1)");
    }

    #[test]
    fn what_was_looked_at_must_be_unchanged() {
        let fields = json!({"n": 84.0}).as_object().unwrap().clone();
        let key = Key { pk: "p".into(), sk: "s".into() };
        let seen = item::encode(&Item { key, fields, indexes: Vec::new(), expires: Some(9) });
        let when = [Condition::Below("n", 85), Condition::Equals("other", json!(1))];
        let expression = Expression::of(&when, &Guard::Unchanged(Some(seen.clone()))).unwrap();
        assert_eq!(
            expression.text(),
            "attribute_exists(#n0) AND #n1 = :v0 AND #n2 = :v1 AND attribute_not_exists(#n3)"
        );
        assert_eq!(expression.values[":v1"], seen["n"]);
        assert_eq!(broken(&when[..1], Some(&seen), 8_999).unwrap(), None);
        assert_eq!(broken(&when[..1], Some(&seen), 9_000).unwrap(), Some(&when[0]), "expired");
    }
}
