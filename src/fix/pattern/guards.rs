//! A silent detector is not a correct fix. These guards compare the code before and after a candidate and refuse what
//! makes a finding go away without fixing it: deleted or swallowed code, lost operands, changed signatures, constant
//! conditions, suppression comments, and the same danger in other clothes.
//!
//! They judge by the shape of the change, never by the rule, and hold for candidates of every source. What they cannot
//! decide they let through: the detector and the reviewer come after them.

mod change;
mod comments;
mod conditions;
mod flow;
mod operands;
mod signature;
#[cfg(test)]
mod tests;
mod values;
mod weaker;

use std::sync::Arc;

use super::tree::Tree;
use crate::model::{Language, Span};
use change::Change;

/// A guard: what is wrong with the change, as a clause for people.
type Guard = fn(&Change) -> Option<String>;

const GUARDS: [Guard; 20] = [
    signature::changed,
    signature::default_without_guard,
    flow::swallowed,
    flow::deleted,
    flow::lost_return,
    flow::lost_branch,
    conditions::constant_assert,
    conditions::constant_condition,
    conditions::comparison_assigned,
    conditions::turned_around,
    values::useless_expression,
    values::same_constant,
    values::moved_aside,
    values::disguised,
    operands::lost_call,
    operands::lost_operand,
    weaker::algorithm,
    weaker::handler,
    weaker::swapped,
    weaker::connective,
];

/// Most syntax nodes that a change may delete and insert together; a fix has a few dozen.
const MAX_CHANGED: usize = 4_000;

/// Why the change is no fix of the finding (a span of `before`), in one clause; `None` when no guard objects.
///
/// For languages without edit learning, and for files too large to read, only comments are judged.
#[must_use]
pub fn violation(language: Language, before: &str, after: &str, finding: Span) -> Option<String> {
    match Tree::parse(language, before) {
        Ok(old) => violation_of(&Arc::new(old), after, finding),
        Err(_) => comments::silencing(language, before, after, None),
    }
}

/// [`violation`] of a file that is read already.
#[must_use]
pub fn violation_of(old: &Arc<Tree>, after: &str, finding: Span) -> Option<String> {
    match old.becoming(after) {
        Ok(new) => violation_between(old, &Arc::new(new), finding),
        Err(_) => comments::silencing(old.language, &old.text, after, None),
    }
}

/// [`violation`] of two texts that are read already.
#[must_use]
pub fn violation_between(old: &Arc<Tree>, new: &Arc<Tree>, finding: Span) -> Option<String> {
    let change = Change::between(old, new, finding);
    if change.all_deleted().count() + change.all_inserted().count() > MAX_CHANGED {
        return Some("it changes too much to be judged".to_owned());
    }
    let silencing = comments::silencing(old.language, &old.text, &new.text, Some(&change));
    silencing.or_else(|| GUARDS.iter().find_map(|guard| guard(&change)))
}
