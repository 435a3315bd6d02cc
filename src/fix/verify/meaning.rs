//! The file still parses, and the edit changes nothing but what it is for.

use std::collections::BTreeMap;

use super::VerifyInput;
use super::known::Trees;
use crate::fix::imports::{self, Binding};
use crate::fix::names;
use crate::fix::pattern::guards;
use crate::fix::syntax::{self, Tree};
use crate::model::Finding;

/// Errors that the grammar finds after the edit and did not find before.
pub(super) fn syntax_problem(old: &Tree, new: &Tree) -> Option<String> {
    if syntax::is_accepted(new) {
        return None;
    }
    let (before, after) = (errors(old), errors(new));
    if total(&after) < total(&before) {
        return None;
    }
    let fresh = after.iter().find(|(error, (count, _))| before.get(*error).is_none_or(|(old, _)| old < count))?;
    let (_, (_, line)) = fresh;
    Some(format!("after the edit line {line} does not parse"))
}

/// Error nodes by kind and text, each with its count and first line.
fn errors(tree: &Tree) -> BTreeMap<(String, String), (usize, usize)> {
    let mut found = BTreeMap::new();
    let root = tree.root();
    for node in root.dfs().filter(|node| node.is_error() || node.is_missing()) {
        let key = (node.kind().into_owned(), node.text().into_owned());
        found.entry(key).or_insert((0, node.start_pos().line() + 1)).0 += 1;
    }
    found
}

fn total(errors: &BTreeMap<(String, String), (usize, usize)>) -> usize {
    errors.values().map(|(count, _)| count).sum()
}

/// What else than the finding the edit changes in the code's meaning, for people.
pub(super) fn lost(input: &VerifyInput<'_>, after: &str, trees: &Trees<'_>) -> Option<String> {
    let hidden = hidden_name(trees);
    if hidden.is_some() || !input.guarded {
        return hidden;
    }
    let guarded = |finding: &Finding| match (trees.old.learned_from(), trees.new.learned_from()) {
        (Some(old), Some(new)) => guards::violation_between(old, new, finding.span),
        _ => guards::violation(trees.language, input.before, after, finding.span),
    };
    input.findings.iter().find_map(guarded)
}

/// A top-level import that takes the place of another meaning of its name.
fn hidden_name(trees: &Trees<'_>) -> Option<String> {
    let (before, after) = trees.both();
    let old = trees.bindings();
    let added = imports::bindings(trees.language, after).into_iter();
    let added: Vec<Binding> = added.filter(|binding| binding.top && !old.contains(binding)).collect();
    if added.is_empty() {
        return None;
    }
    let (bound_before, bound_after) =
        (names::bound_at_top(trees.language, before), names::bound_at_top(trees.language, after));
    let mut names = added.into_iter().filter_map(|binding| Some((binding.name.clone()?, binding)));
    let (name, _) = names.find(|(name, binding)| {
        let meanings = bound_before.get(name).copied().unwrap_or(0);
        let one_more = bound_after.get(name).copied().unwrap_or(0) > meanings;
        meanings > 0 && one_more && !old.iter().any(|other| same_thing(other, binding))
    })?;
    Some(format!("the new import of {name} hides another {name} of the file"))
}

/// Whether two imports bind the same thing, as `import a` and `import a.b` do.
fn same_thing(a: &Binding, b: &Binding) -> bool {
    let root = |binding: &Binding| binding.module.split(['.', '/']).next().unwrap_or_default().to_owned();
    a.name == b.name && a.item == b.item && root(a) == root(b)
}
