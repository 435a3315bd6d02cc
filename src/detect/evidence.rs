//! From what following data tells to findings: rules that match harmless text are overruled, flows become evidence.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::flow::{self, Flow, FlowRules};
use super::language::{self, Node, Tree};
use super::lines::LineIndex;
use super::normalise::{normalise, normalise_text};
use super::redact::redact;
use super::scan::Place;
use crate::model::{FlowRole, FlowStep, IssueType, Language, RuleInfo, Span};

/// Longest code that a step of a flow shows, characters.
const MAX_CODE: usize = 120;
/// Bytes that are read for it.
const MAX_READ: usize = 4_000;

/// What following the data of a file told.
pub(super) struct Followed {
    harmless: BTreeMap<Span, Vec<Arc<RuleInfo>>>,
    untrusted: Vec<(Arc<RuleInfo>, Span, Vec<Span>)>,
    /// Not everything was followed.
    pub cut: bool,
}

/// Follows the data of a file for the rules that are on.
pub(super) fn follow(tree: &Tree, language: Language, rules: (&FlowRules, &[bool]), steps: u64) -> Followed {
    let (rules, on) = rules;
    let outcome = flow::follow(tree, language, rules, on, steps);
    let infos: Vec<&Arc<RuleInfo>> = rules.infos().collect();
    let mut followed = Followed { harmless: BTreeMap::new(), untrusted: Vec::new(), cut: outcome.cut };
    for one in outcome.uses {
        let Some(info) = infos.get(one.rule) else { continue };
        match one.flow {
            Flow::Harmless => followed.harmless.entry(one.span).or_default().push(Arc::clone(info)),
            Flow::Untrusted { spans, .. } => followed.untrusted.push((Arc::clone(info), one.span, spans)),
        }
    }
    followed
}

impl Followed {
    /// Whether a rule that matched the text at a place is wrong: nothing untrusted comes there.
    pub fn refutes(&self, rule: &RuleInfo, place: Span) -> bool {
        let here = self.harmless.get(&place);
        let refuted = here.is_some_and(|rules| rules.iter().any(|one| one.id == rule.id));
        refuted && !self.untrusted.iter().any(|(one, span, _)| one.issue_type == rule.issue_type && *span == place)
    }

    /// Gives places that a rule found already their flow, and adds the others: one finding for a place and issue type.
    pub fn add_to(self, places: &mut Vec<Place>, tree: &Tree, lines: &LineIndex<'_>) {
        for (rule, span, spans) in self.untrusted {
            let steps = steps(&spans, tree, lines);
            if let Some(known) = places.iter_mut().find(|known| same(known, &rule.issue_type, span, lines)) {
                if known.flow.is_empty() {
                    known.flow = steps;
                }
                continue;
            }
            let normalised = match node_at(tree, span) {
                Some(node) => normalise(&node, false),
                None => normalise_text(language::source(tree).get(span.range()).unwrap_or_default()),
            };
            let message = rule.message.clone();
            places.push(Place { rule, span, normalised, message, flow: steps });
        }
    }
}

/// Whether a place is the same problem: the very place, or one inside of the other that begins on the same line.
fn same(known: &Place, issue_type: &IssueType, span: Span, lines: &LineIndex<'_>) -> bool {
    let within = |a: Span, b: Span| a.start >= b.start && a.end <= b.end;
    known.rule.issue_type == *issue_type
        && (within(known.span, span) || within(span, known.span))
        && lines.line(known.span.start) == lines.line(span.start)
}

fn steps(spans: &[Span], tree: &Tree, lines: &LineIndex<'_>) -> Vec<FlowStep> {
    let last = spans.len().saturating_sub(1);
    let step = |(number, span): (usize, &Span)| {
        let role = match number {
            _ if number == last => FlowRole::Sink,
            0 => FlowRole::Source,
            _ => FlowRole::Step,
        };
        let code = shown(language::source(tree).get(span.range()).unwrap_or_default());
        FlowStep { role, span: *span, start: lines.position(span.start), end: lines.position(span.end), code }
    };
    spans.iter().enumerate().map(step).collect()
}

/// Code as a step of a flow shows it: on one line, shortened, without secrets.
pub(super) fn shown(code: &str) -> String {
    // Redacted whole: a part may show the end of a secret whose beginning gives it away.
    short(&redact(&normalise_text(beginning(code))))
}

/// As much of a text as can be of interest.
fn beginning(text: &str) -> &str {
    let end = (0..=MAX_READ.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

fn short(code: &str) -> String {
    if code.chars().count() <= MAX_CODE {
        return code.to_owned();
    }
    let cut: String = code.chars().take(MAX_CODE).collect();
    format!("{cut} …")
}

/// The outermost node that covers exactly a span.
fn node_at(tree: &Tree, span: Span) -> Option<Node<'_>> {
    let mut node = tree.root();
    loop {
        let range = node.range();
        if range == span.range() {
            return Some(node);
        }
        let next = node.children().find(|child| child.range().start <= span.start && child.range().end >= span.end);
        node = next?;
    }
}
