//! Learning: what a developer's change of one finding teaches about the next finding of its kind.
//!
//! A fix pasted onto a new place is wrong nine times in ten. What is kept is the *edit*: the smallest part of the change
//! that makes the finding go away, rooted at the syntax it touches and generalised along a ladder (after Bader et al.,
//! *Getafix*, OOPSLA 2019, but from one example). Every rung must reproduce the fix it was learned from.

mod generalise;
mod minimise;
mod remembered;
mod scope;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_ladder;
#[cfg(test)]
mod tests_properties;

use std::sync::Arc;

use crate::detect;
use crate::fix::pattern::fragment::Pair;
use crate::fix::pattern::tree::{NodeId, Tree, TreeError};
use crate::fix::pattern::{DEFAULT_STEPS, Results, guards, names, reproduces};
use crate::model::{EditPattern, Finding, Language, Level, Span};

use crate::fix::pattern::align::{self, Gap};
use generalise::Example;
pub use remembered::Origin;
use scope::Facts;

/// Largest scope that is remembered, in bytes.
const MAX_SCOPE: usize = 40_000;
/// Most gaps of a change that is looked at: beyond it is a rewrite, not a fix.
const MAX_GAPS: usize = 400;
/// Most gaps of a change that is taken as a whole.
const MAX_WHOLE: usize = 12;
/// How far the root may be widened to bind an inserted name.
const MAX_WIDENING: usize = 4;
const LADDER: [Level; 5] = [Level::L0, Level::L1, Level::L2, Level::L3, Level::L4];

/// A fix to learn from.
pub struct LearnInput<'a> {
    pub language: Language,
    /// The whole file before the fix.
    pub before: &'a str,
    /// The whole file after it, or with only the part of the change that concerns the finding.
    pub after: &'a str,
    /// Where the finding was, in `before`.
    pub finding: Span,
    /// Whether, in this patched whole file, the finding is gone and nothing new is found. Asked about fifty times at most.
    pub silent: &'a dyn Fn(&str) -> bool,
}

/// What a fix teaches; the fields have the names they have in `PastFix`.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// The whole file with only the smallest part of the change that fixes the finding.
    pub patched: String,
    /// Enclosing function or class before and after the smallest edit that fixes the finding, comments dropped.
    pub scope_before: String,
    pub scope_after: String,
    /// The finding in `scope_before`.
    pub finding_in_scope: Span,
    /// Syntax kind of the node that the finding covers.
    pub anchor_kind: String,
    pub imports_added: Vec<String>,
    /// Most specific first. Each reproduces `scope_after`.
    pub patterns: Vec<EditPattern>,
    /// Whether any pattern does; if not, the fix is text for the model only.
    pub round_trips: bool,
}

/// Why nothing was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LearnRefusal {
    #[error(transparent)]
    Unreadable(#[from] TreeError),
    #[error("the finding does not lie in the file: scan the file as it was before the fix")]
    NoFinding,
    #[error("the file has syntax errors near the edit: only code that parses is learned from")]
    SyntaxError,
    #[error("only layout or comments changed: there is no edit to learn")]
    NoEdit,
    #[error("only imports changed: there is no local edit to learn")]
    ImportsOnly,
    #[error("the edit is too large to be one fix; split the commit")]
    TooLarge,
    #[error("no part of the change makes the finding go away without a new one")]
    NotAFix,
}

/// Whether the finding, which is among those `before`, is gone `after` an edit, and nothing new has come.
#[must_use]
pub fn is_healed(finding: &Finding, before: &[Finding], after: &[Finding]) -> bool {
    is_gone(finding, before, after) && detect::introduced(after, before, None).is_empty()
}

/// Whether the finding, which is among those `before`, is gone `after` an edit.
#[must_use]
pub fn is_gone(finding: &Finding, before: &[Finding], after: &[Finding]) -> bool {
    let same = |other: &&Finding| other.rule.id == finding.rule.id && other.normalised == finding.normalised;
    let count = |all: &[Finding]| all.iter().filter(same).count();
    count(after) < count(before)
}

/// Learns the edit that fixes a finding.
///
/// # Errors
/// When the change is no single local fix of the finding; the error says why.
pub fn learn(input: &LearnInput<'_>) -> Result<Learned, LearnRefusal> {
    let (old, new) = read(input)?;
    let (imports, local) = split_imports(&old, &new)?;
    let good = |chosen: &[&Gap]| is_good(input, (&old, &new), imports.iter().chain(chosen.iter().copied()));
    let chosen = minimise::smallest(&old, &local, input.finding, &good).ok_or(LearnRefusal::NotAFix)?;
    generalised(input, &old, &new, chosen)
}

/// Learns a change that is known to fix the finding, where no part of it can be tried alone: the scanner that found it cannot be
/// asked. What lies in these bytes of `before` is the fix, with the imports that the change adds; `silent` judges it once.
///
/// # Errors
/// When there is no edit there, or it is more than one local fix; the error says why.
pub fn learn_whole(input: &LearnInput<'_>, within: Span) -> Result<Learned, LearnRefusal> {
    let (old, new) = read(input)?;
    let (imports, local) = split_imports(&old, &new)?;
    let here = |gap: &&Gap| within.start <= align::start(&old, gap) && align::end(&old, gap) <= within.end;
    let chosen: Vec<&Gap> = local.iter().filter(here).collect();
    if chosen.is_empty() {
        return Err(LearnRefusal::NoEdit);
    }
    if chosen.len() > MAX_WHOLE {
        return Err(LearnRefusal::TooLarge);
    }
    if !is_good(input, (&old, &new), imports.iter().chain(chosen.iter().copied())) {
        return Err(LearnRefusal::NotAFix);
    }
    generalised(input, &old, &new, chosen)
}

fn read(input: &LearnInput<'_>) -> Result<(Arc<Tree>, Tree), LearnRefusal> {
    if input.finding.start > input.finding.end || input.before.get(input.finding.range()).is_none() {
        return Err(LearnRefusal::NoFinding);
    }
    let old = Tree::parse(input.language, input.before)?;
    let new = Tree::parse(input.language, input.after)?;
    if new.errors > old.errors {
        return Err(LearnRefusal::SyntaxError);
    }
    Ok((Arc::new(old), new))
}

fn is_good<'g>(input: &LearnInput<'_>, (old, new): (&Arc<Tree>, &Tree), gaps: impl Iterator<Item = &'g Gap>) -> bool {
    let patched = minimise::patched(old, new, &gaps.collect::<Vec<_>>());
    patched.is_some_and(|text| !loses_meaning(input, old, &text) && (input.silent)(&text))
}

/// Whether a part of the change breaks what its other parts mend: a default that became `None` without the test for it.
fn loses_meaning(input: &LearnInput<'_>, old: &Arc<Tree>, patched: &str) -> bool {
    let broken = |text: &str| guards::violation_of(old, text, input.finding).is_some();
    broken(patched) && !broken(input.after)
}

/// Gaps that add imports, and the others.
fn split_imports(old: &Tree, new: &Tree) -> Result<(Vec<Gap>, Vec<Gap>), LearnRefusal> {
    let gaps = align::gaps(old, new);
    if gaps.is_empty() {
        return Err(LearnRefusal::NoEdit);
    }
    if gaps.len() > MAX_GAPS {
        return Err(LearnRefusal::TooLarge);
    }
    let (imports, local): (Vec<Gap>, Vec<Gap>) = gaps.into_iter().partition(|gap| adds_import(new, gap));
    if local.is_empty() {
        return Err(LearnRefusal::ImportsOnly);
    }
    Ok((imports, local))
}

/// Whether the gap only inserts import statements, or names into one.
fn adds_import(new: &Tree, gap: &Gap) -> bool {
    let inserted = new.node(gap.new_parent).children.get(gap.new.clone()).unwrap_or_default();
    let inside = std::iter::once(gap.new_parent).chain(new.ancestors(gap.new_parent));
    let in_import = inside.into_iter().any(|up| names::is_import_statement(new, up));
    gap.old.is_empty() && (in_import || inserted.iter().all(|id| names::is_import_statement(new, *id)))
}

fn touches_error(old: &Tree, gap: &Gap) -> bool {
    let children = old.node(gap.old_parent).children.get(gap.old.clone()).unwrap_or_default();
    children.iter().any(|top| old.subtree(*top).any(|id| old.node(id).kind == "ERROR"))
        || old.node(gap.old_parent).kind == "ERROR"
}

fn generalised(input: &LearnInput<'_>, old: &Tree, new: &Tree, mut chosen: Vec<&Gap>) -> Result<Learned, LearnRefusal> {
    chosen.sort_by_key(|gap| align::start(old, gap));
    if chosen.iter().any(|gap| touches_error(old, gap)) {
        return Err(LearnRefusal::SyntaxError);
    }
    let chosen = chosen.as_slice();
    let root = edit_root(old, chosen, input.finding);
    let facts = Facts::gather(old, new, chosen, scope::enclosing(old, root));
    let roots = widened(old, root, chosen, &facts);
    let root = roots.first().copied().unwrap_or(root);
    let changed = changed_span(old, chosen);
    let span = scope::remembered(old, root, input.finding, changed);
    let patched = minimise::patched(old, new, chosen).ok_or(LearnRefusal::NotAFix)?;
    let tail = old.text.len() - span.end;
    let after = Tree::parse(input.language, &patched)?;
    let after_span = Span { start: span.start, end: patched.len().saturating_sub(tail).max(span.start) };
    let (scope_before, finding_in_scope) = scope::without_comments(old, span, input.finding);
    let (scope_after, _) = scope::without_comments(&after, after_span, input.finding);
    if scope_before.len() > MAX_SCOPE || scope_after.len() > MAX_SCOPE {
        return Err(LearnRefusal::TooLarge);
    }
    let pair = Pair::read(input.language, &scope_before, &scope_after).ok_or(LearnRefusal::TooLarge)?;
    let (gaps, facts_here, finding) = (chosen, &facts, input.finding);
    let rooted =
        |root: &NodeId| Example { old, new, gaps, facts: facts_here, root: *root, replace_root: false, finding };
    let examples: Vec<Example<'_>> = roots.iter().map(rooted).collect();
    let patterns = ladder(&examples, &pair, finding_in_scope);
    Ok(Learned {
        anchor_kind: old.node(old.covering(input.finding)).kind.to_owned(),
        imports_added: facts.imports.iter().map(|(_, statement)| statement.clone()).collect(),
        round_trips: !patterns.is_empty(),
        patched,
        scope_before,
        scope_after,
        finding_in_scope,
        patterns,
    })
}

/// The innermost changed node that holds every gap and overlaps the finding.
fn edit_root(old: &Tree, chosen: &[&Gap], finding: Span) -> NodeId {
    let parents = chosen.iter().map(|gap| gap.old_parent);
    let lowest = parents.reduce(|a, b| scope::common_ancestor(old, a, b)).unwrap_or(0);
    std::iter::once(lowest).chain(old.ancestors(lowest)).find(|id| old.node(*id).span.overlaps(finding)).unwrap_or(0)
}

/// Widens the root until what binds the inserted names lies in it, and, as another way to come by them, only until a use of
/// them does, the widest first; where four steps do not do, it stays. A name that is in the deleted code needs no more.
fn widened(old: &Tree, root: NodeId, chosen: &[&Gap], facts: &Facts) -> Vec<NodeId> {
    let mut needed = facts.needs_binding.clone();
    for gap in chosen {
        for top in old.node(gap.old_parent).children.get(gap.old.clone()).unwrap_or_default() {
            let deleted = names::free_names(old, *top);
            needed.retain(|name| !deleted.contains(name.as_str()));
        }
    }
    let near = || std::iter::once(root).chain(old.ancestors(root).take(MAX_WIDENING));
    let binds = |id: &NodeId| needed.is_subset(&scope::bound_names(old, *id));
    let mentions = |id: &NodeId| {
        let there = names::free_names(old, *id);
        needed.iter().all(|name| there.contains(name.as_str()))
    };
    let mut roots: Vec<NodeId> = [near().find(binds), near().find(mentions)].into_iter().flatten().collect();
    roots.dedup();
    if roots.is_empty() { vec![root] } else { roots }
}

fn changed_span(old: &Tree, chosen: &[&Gap]) -> Span {
    let start = chosen.iter().map(|gap| align::start(old, gap)).min().unwrap_or(0);
    Span { start, end: chosen.iter().map(|gap| align::end(old, gap)).max().unwrap_or(start) }
}

/// Every rung, at the roots of the edit and, for a one to one replacement, at what is replaced; those that round-trip, each once.
fn ladder(examples: &[Example<'_>], pair: &Pair, finding: Span) -> Vec<EditPattern> {
    let replaced = examples.first().and_then(replaced_root);
    let (mut kept, mut results): (Vec<EditPattern>, _) = (Vec::new(), Results::expecting(&pair.after));
    for level in LADDER {
        for variant in examples.iter().chain(&replaced) {
            let Ok(pattern) = generalise::pattern(variant, level) else { continue };
            let known = kept.iter().any(|other| other.before == pattern.before && other.rewrites == pattern.rewrites);
            if !known && reproduces(&pattern, pair, finding, (DEFAULT_STEPS, &mut results)) == Some(true) {
                kept.push(pattern);
            }
        }
    }
    kept
}

fn replaced_root<'a>(example: &Example<'a>) -> Option<Example<'a>> {
    let [gap] = example.gaps else { return None };
    if gap.old.len() != 1 || gap.new.len() != 1 {
        return None;
    }
    let old = *example.old.node(gap.old_parent).children.get(gap.old.start)?;
    let new = *example.new.node(gap.new_parent).children.get(gap.new.start)?;
    let node = example.old.node(old);
    let usable = node.named && example.new.node(new).named && node.span.overlaps(example.finding);
    let bound = names::free_names(example.old, old);
    let binds = example.facts.needs_binding.iter().all(|name| bound.contains(name.as_str()));
    (usable && binds).then_some(Example { root: old, replace_root: true, ..*example })
}
