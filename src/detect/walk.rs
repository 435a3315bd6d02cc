//! Which rules match which nodes of a file.
//!
//! The tree is walked once, and what can concern a rule at all is marked: by its kind, and by the words that stand in it. Only then
//! rules are tried, on the marked nodes. So most nodes cost a look at their kind and no more, and how deep the tree is, which decides
//! on what stack rules are tried, is known from the same walk.

use std::collections::{BTreeMap, BTreeSet};

use ast_grep_core::matcher::MatcherExt as _;

use super::language::{self, Node, Tree};
use super::prefilter::Words;
use super::rule_file::RuleError;
use super::rules::{CompiledRule, LanguageRules, Repeats};
use super::tree::{CodeDoc, MAX_DEPTH};
use crate::model::{RuleId, Span};

/// The rules of a pack that look at one file, with the steps that each may still take in it.
pub(super) struct Active<'r> {
    rules: &'r LanguageRules,
    steps: Vec<u64>,
    words: Words<'r>,
}

impl<'r> Active<'r> {
    /// For a file of this text; each rule that is `on` may take so many steps.
    pub fn new(rules: &'r LanguageRules, text: &str, steps: u64, on: impl Fn(&CompiledRule) -> bool) -> Self {
        let words = rules.words(text);
        let steps = rules.rules.iter().map(|rule| if on(rule) { steps } else { 0 }).collect();
        Self { rules, steps, words }
    }

    /// Whether a rule looks at the file.
    pub fn looks(&self, id: &RuleId) -> bool {
        self.rules.rules.iter().zip(&self.steps).any(|(rule, steps)| *steps > 0 && rule.info.id == *id)
    }

    fn may_match(&self, rule: usize) -> bool {
        self.steps.get(rule).is_some_and(|steps| *steps > 0) && self.words.allow(rule)
    }
}

/// A rule by the number of its pack and its own in it.
type Number = (usize, usize);

/// What of a file has to be looked at.
pub(super) struct Marked<'t> {
    nodes: Vec<Node<'t>>,
    pub comments: Vec<Span>,
    /// By kind of node the rules that may match one somewhere in the file.
    candidates: Vec<Vec<Number>>,
}

/// Walks over the tree.
///
/// # Errors
/// When a rule that may match cannot be compiled.
pub(super) fn mark<'t>(packs: &[Active<'_>], tree: &'t Tree) -> Result<Marked<'t>, RuleError> {
    let candidates = candidates(packs)?;
    let (mut nodes, mut comments) = (Vec::new(), Vec::new());
    for node in tree.root().dfs() {
        let kind = node.kind_id();
        if packs.first().is_some_and(|pack| pack.rules.is_comment(kind)) {
            comments.push(span(&node));
        }
        let Some(rules) = candidates.get(usize::from(kind)).filter(|rules| !rules.is_empty()) else { continue };
        if rules.iter().any(|number| allows(packs, *number, &node)) {
            nodes.push(node);
        }
    }
    Ok(Marked { nodes, comments, candidates })
}

fn candidates(packs: &[Active<'_>]) -> Result<Vec<Vec<Number>>, RuleError> {
    let kinds = packs.iter().map(|pack| pack.rules.kinds()).max().unwrap_or(0);
    let mut candidates: Vec<Vec<Number>> = vec![Vec::new(); kinds];
    for (number, pack) in packs.iter().enumerate() {
        for (index, rule) in pack.rules.rules.iter().enumerate().filter(|(index, _)| pack.may_match(*index)) {
            for kind in rule.matcher()?.into_iter().flat_map(|matcher| &matcher.kinds) {
                if let Some(slot) = candidates.get_mut(*kind) {
                    slot.push((number, index));
                }
            }
        }
    }
    Ok(candidates)
}

/// How often a rule's nodes have each text that must repeat; white space does not count.
struct Repeated(BTreeMap<Number, BTreeMap<String, usize>>);

impl Repeated {
    /// Counts once what is asked for again and again.
    fn of(packs: &[Active<'_>], marked: &Marked<'_>) -> Self {
        let mut counts: BTreeMap<Number, BTreeMap<String, usize>> = BTreeMap::new();
        for node in &marked.nodes {
            for number in marked.candidates.get(usize::from(node.kind_id())).into_iter().flatten() {
                if let Some(text) = repeating(packs, *number, node) {
                    *counts.entry(*number).or_default().entry(text).or_default() += 1;
                }
            }
        }
        Self(counts)
    }

    fn allow(&self, packs: &[Active<'_>], number: Number, node: &Node<'_>) -> bool {
        let Some(counts) = self.0.get(&number) else { return true };
        repeating(packs, number, node).and_then(|text| counts.get(&text)).is_some_and(|count| *count > 1)
    }
}

/// The text that must repeat for a rule to match a node.
fn repeating(packs: &[Active<'_>], (pack, rule): Number, node: &Node<'_>) -> Option<String> {
    let range = match packs.get(pack)?.rules.rules.get(rule)?.matcher().ok()??.repeats? {
        Repeats::Text => node.range(),
        Repeats::Field(field) => node.child_by_field_id(field)?.range(),
    };
    Some(node.get_doc().source().get(range)?.split_whitespace().collect())
}

fn allows(packs: &[Active<'_>], (pack, rule): Number, node: &Node<'_>) -> bool {
    packs.get(pack).is_some_and(|pack| pack.words.allow_at(rule, node.range()))
}

/// A rule matched a node.
pub(super) struct Hit<'t, 'r> {
    pub rule: &'r CompiledRule,
    pub node: Node<'t>,
}

#[derive(Default)]
pub(super) struct Walked<'t, 'r> {
    pub hits: Vec<Hit<'t, 'r>>,
    pub cut_off: Option<String>,
}

/// Tries the rules on what was marked, until there are `limit` findings.
pub(super) fn walk<'t, 'r>(
    packs: &mut [Active<'r>],
    tree: &'t Tree,
    marked: &Marked<'t>,
    limit: usize,
) -> Walked<'t, 'r> {
    let document = language::document(tree);
    let mut walked = Walked::default();
    let (mut chains, mut slow) = (BTreeSet::new(), BTreeSet::new());
    let repeated = Repeated::of(packs, marked);
    for node in &marked.nodes {
        for number in marked.candidates.get(usize::from(node.kind_id())).into_iter().flatten() {
            if !repeated.allow(packs, *number, node) {
                continue;
            }
            let Some((rule, true)) = tried(packs, *number, node, document, &mut slow) else { continue };
            let inner = continues_chain(node, |outer| chains.contains(&(*number, outer)));
            // What seemed to match when the budget ran out did so because a look found nothing.
            if document.exhausted() {
                break;
            }
            chains.insert((*number, node.node_id()));
            if !inner {
                walked.hits.push(Hit { rule, node: node.clone() });
            }
        }
        if walked.hits.len() >= limit {
            let line = node.start_pos().line() + 1;
            walked.cut_off = Some(format!("more than {limit} findings: those behind line {line} are left out"));
            return walked;
        }
    }
    walked.cut_off = cut_off(document, &slow);
    walked
}

/// Whether a rule matches a node; `None` when it is not tried there.
fn tried<'r>(
    packs: &mut [Active<'r>],
    number: Number,
    node: &Node<'_>,
    document: &CodeDoc,
    slow: &mut BTreeSet<&'r RuleId>,
) -> Option<(&'r CompiledRule, bool)> {
    if !allows(packs, number, node) {
        return None;
    }
    let pack = packs.get_mut(number.0)?;
    let rule = pack.rules.rules.get(number.1)?;
    let steps = pack.steps.get_mut(number.1).filter(|steps| **steps > 0)?;
    let before = document.left();
    let matched = rule.matcher().ok()??.config.matcher.match_node(node.clone()).is_some();
    *steps = steps.saturating_sub(before.saturating_sub(document.left()));
    if *steps == 0 {
        slow.insert(&rule.info.id);
    }
    Some((rule, matched))
}

/// Cut off, and by which rules, if any.
fn cut_off(document: &CodeDoc, slow: &BTreeSet<&RuleId>) -> Option<String> {
    if document.exhausted() {
        return Some("the file takes too many steps: it was scanned in part".to_owned());
    }
    if !slow.is_empty() {
        let names: Vec<&str> = slow.iter().map(|id| id.as_str()).collect();
        return Some(format!("too many steps: the file was scanned in part for {}", names.join(", ")));
    }
    let deep = || format!("what is nested deeper than {MAX_DEPTH} levels was not looked at");
    document.too_deep().then(deep)
}

/// Whether the node is the inner part of a chain (`a + b` in `a + b + c`) whose outer part `matched` too. Such parts are
/// one problem. Calls in arguments or receivers are not: another kind of node stands between them.
fn continues_chain(node: &Node<'_>, matched: impl Fn(usize) -> bool) -> bool {
    let mut parent = node.parent();
    while let Some(outer) = parent {
        if outer.kind_id() == node.kind_id() {
            return matched(outer.node_id());
        }
        if outer.kind() != "parenthesized_expression" {
            return false;
        }
        parent = outer.parent();
    }
    false
}

pub(super) fn span(node: &Node<'_>) -> Span {
    let range = node.range();
    Span::new(range.start, range.end)
}
