//! What the fixes written with a rule would put in place of a finding.

use ast_grep_core::matcher::MatcherExt as _;
use ast_grep_core::replacer::Replacer as _;

use super::language::{self, Match, Node, Tree};
use super::rule_file::{CuratedFix, FixImport};
use super::tree::CodeDoc;
use crate::model::{RuleId, Span};

/// A fix applied to one place of one file, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// `<rule id>/<name>`.
    pub fix: RuleId,
    /// Imperative: `use yaml.safe_load`.
    pub title: String,
    /// What is replaced; it overlaps the finding.
    pub span: Span,
    pub replacement: String,
    /// Statements that the file must have afterwards.
    pub imports: Vec<FixImport>,
    /// As in [`CuratedFix`].
    pub caution: Option<String>,
}

/// One fix document may match at several nodes around a finding; at most this many are offered.
const PLACES: usize = 4;

/// What each fix makes of the finding at `finding`, most preferred fix first. For one fix the node of the finding itself
/// comes before nodes inside it, and those before the nodes around it, nearest first.
#[must_use]
pub fn proposals(fixes: &[CuratedFix], tree: &Tree, finding: Span) -> Vec<Proposal> {
    if fixes.is_empty() {
        return Vec::new();
    }
    let work = || {
        let nodes = nodes_at(tree, finding);
        fixes.iter().flat_map(|fix| places_of(fix, tree, &nodes, finding)).collect()
    };
    language::with_stack(language::depth(tree), work).unwrap_or_default()
}

fn places_of(fix: &CuratedFix, tree: &Tree, nodes: &[Node<'_>], finding: Span) -> Vec<Proposal> {
    let document = language::document(tree);
    document.refill(CodeDoc::STEPS);
    let mut found: Vec<Proposal> = Vec::new();
    for node in nodes {
        let Some(matched) = fix.config.matcher.match_node(node.clone()) else { continue };
        for proposal in made_of(fix, &matched).into_iter().filter(|made| made.span.overlaps(finding)) {
            if !document.exhausted() && !found.contains(&proposal) {
                found.push(proposal);
            }
        }
        if found.len() >= PLACES || document.exhausted() {
            break;
        }
    }
    found
}

fn made_of(fix: &CuratedFix, matched: &Match<'_>) -> Vec<Proposal> {
    let make = |fixer: &ast_grep_config::Fixer| {
        let range = fixer.get_replaced_range(matched, &fix.config.matcher);
        let replacement = String::from_utf8(fixer.generate_replacement(matched)).ok()?;
        Some(Proposal {
            fix: fix.id.clone(),
            title: fixer.title().unwrap_or(&fix.title).to_owned(),
            span: Span::new(range.start, range.end.max(range.start)),
            replacement,
            imports: fix.imports.clone(),
            caution: fix.caution.clone(),
        })
    };
    fix.config.fixer.iter().filter_map(make).collect()
}

/// Nodes that overlap the finding: its own, those inside from the outermost, those around from the nearest.
fn nodes_at<'t>(tree: &'t Tree, finding: Span) -> Vec<Node<'t>> {
    let (mut around, mut inside) = (Vec::new(), Vec::new());
    let mut next = Some(tree.root());
    while let Some(node) = next.take() {
        let range = node.range();
        if range.start >= finding.start && range.end <= finding.end {
            inside.extend(node.dfs());
            break;
        }
        next = node.children().find(|child| child.range().start <= finding.start && child.range().end >= finding.end);
        if next.is_none() {
            inside.extend(node.children().filter(|child| finding.overlaps(span(child))).flat_map(|child| {
                let below: Vec<Node<'t>> = child.dfs().collect();
                below
            }));
        }
        around.push(node);
    }
    inside.extend(around.into_iter().rev());
    inside
}

fn span(node: &Node<'_>) -> Span {
    Span::new(node.range().start, node.range().end)
}
