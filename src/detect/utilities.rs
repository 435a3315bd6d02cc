//! Utilities of a rule in an order that is the same in every process.
//!
//! ast-grep compiles utilities in the order of a hash map, save that those come first which another one builds upon directly. What
//! kinds of nodes a rule can match is worked out while it is compiled, so a utility that is named inside of a relation (`inside`,
//! `has`) narrows the search only when it happened to come before. The findings are the same, the steps they take are not, and
//! steps decide where a costly file is cut off. Here each such dependency is written where ast-grep looks for it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// For a utility those that must come before it.
type Needed = BTreeMap<String, BTreeSet<String>>;

/// Makes every utility depend openly on those that it names anywhere, as far as they do not build upon each other in a circle.
pub(super) fn in_order(document: &mut Value) {
    let Some(utilities) = document.get_mut("utils").and_then(Value::as_object_mut) else { return };
    let named = |within_relations: bool| -> Needed {
        let of = |rule: &Value| {
            let mut found = BTreeSet::new();
            names_in(rule, within_relations, &mut found);
            found.into_iter().filter(|name| utilities.contains_key(name)).collect()
        };
        utilities.iter().map(|(name, rule)| (name.clone(), of(rule))).collect()
    };
    let (mut order, mut added) = (named(false), Needed::new());
    for (name, needed) in named(true) {
        for other in needed {
            // Of a circle one has to be first: what would close it is left out.
            let known = order.get(&name).is_some_and(|needed| needed.contains(&other));
            if !known && !leads_to(&order, &other, &name) {
                order.entry(name.clone()).or_default().insert(other.clone());
                added.entry(name.clone()).or_default().insert(other);
            }
        }
    }
    for (name, needed) in added {
        if let Some(rule) = utilities.get_mut(&name) {
            *rule = depending(rule.take(), &needed);
        }
    }
}

/// The utilities that a rule names: at any depth, or only where ast-grep looks for them.
fn names_in(rule: &Value, within_relations: bool, found: &mut BTreeSet<String>) {
    match rule {
        Value::Object(keys) => {
            found.extend(keys.get("matches").and_then(Value::as_str).map(str::to_owned));
            let followed = |key: &str| within_relations || matches!(key, "all" | "any" | "not");
            let parts = keys.iter().filter(|(key, _)| followed(key));
            parts.for_each(|(_, value)| names_in(value, within_relations, found));
        }
        Value::Array(parts) => parts.iter().for_each(|part| names_in(part, within_relations, found)),
        _ => {}
    }
}

/// Whether one utility needs another, by way of any number of others.
fn leads_to(order: &Needed, from: &str, to: &str) -> bool {
    let (mut open, mut seen) = (vec![from], BTreeSet::new());
    while let Some(name) = open.pop() {
        if name == to {
            return true;
        }
        if seen.insert(name) {
            open.extend(order.get(name).into_iter().flatten().map(String::as_str));
        }
    }
    false
}

/// The rule, and beside it what is never true and only names the others.
fn depending(rule: Value, needed: &BTreeSet<String>) -> Value {
    let never = |name: &String| json!({"not": {"all": [{"matches": name}, {"not": {"matches": name}}]}});
    let parts: Vec<Value> = std::iter::once(rule).chain(needed.iter().map(never)).collect();
    json!({"all": parts})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_in_a_relation_becomes_a_dependency_and_circles_are_left() {
        let mut document = json!({"utils": {
            "array": {"kind": "identifier", "inside": {"matches": "method", "stopBy": "end"}},
            "method": {"kind": "method_declaration"},
            "loop": {"has": {"matches": "loop"}},
            "a": {"has": {"matches": "b"}},
            "b": {"has": {"matches": "a"}},
            "other": {"has": {"matches": "unknown"}},
            "c": {"has": {"matches": "d"}},
            "d": {"any": [{"matches": "c"}, {"kind": "call"}]},
        }});
        let before = document.clone();
        in_order(&mut document);
        let utility = |document: &Value, name: &str| document["utils"][name].clone();
        let never = |name: &str| json!({"not": {"all": [{"matches": name}, {"not": {"matches": name}}]}});
        assert_eq!(utility(&document, "array"), json!({"all": [utility(&before, "array"), never("method")]}));
        // One of the two that name each other comes first, always the same.
        assert_eq!(utility(&document, "a"), json!({"all": [utility(&before, "a"), never("b")]}));
        for same in ["method", "loop", "b", "other", "c", "d"] {
            assert_eq!(utility(&document, same), utility(&before, same), "{same}");
        }
    }
}
