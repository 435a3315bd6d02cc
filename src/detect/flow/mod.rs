//! Data flow within a file: which untrusted values reach places where they must not go, and by which way.
//!
//! What is untrusted, where it must not go and what makes it harmless is told by rule files; `docs/RULES.md` describes them.

mod call;
mod change;
mod document;
mod engine;
mod eval;
mod exec;
mod format;
mod guard;
mod ir;
mod judge;
mod lower;
mod parameter;
mod pattern;
mod replace;
mod spec;
mod state;
mod summary;
mod trace;
mod value;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_ways;

use std::collections::BTreeSet;
use std::rc::Rc;

pub(super) use document::{FlowDocument, RuleFlow};
pub(super) use spec::{FlowRules, Named};

use engine::{Engine, Judgement};
use lower::{Definition, Lower, Outline};
use spec::PARAMETER;

use super::language::{self, Tree};
use crate::model::{Language, Span};

/// What is left of a use of a value after the walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flow {
    /// Built from constants and cleaned values alone: a rule that matches the text here is wrong.
    Harmless,
    /// From the source to the sink.
    Untrusted { kind: String, spans: Vec<Span> },
}

/// A place where a rule's sink gets a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    /// Number of the rule among those that follow data.
    pub rule: usize,
    pub span: Span,
    pub flow: Flow,
}

#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub uses: Vec<Use>,
    /// Set when not everything was followed.
    pub cut: bool,
}

impl FlowRules {
    /// The rules of those that are on that the text of the file does not except.
    fn holding(&self, on: &[bool], source: &str) -> Vec<bool> {
        let holds = |rule: &spec::FlowRule| {
            rule.only_file.as_ref().is_none_or(|file| file.is_match(source))
                && !rule.unless_file.as_ref().is_some_and(|file| file.is_match(source))
        };
        self.rules.iter().zip(on).map(|(rule, on)| *on && holds(rule)).collect()
    }

    /// Whether a function of the file may be one whose result is looked at.
    fn may_return(&self, source: &str) -> bool {
        let marks = || source.lines().map(str::trim).filter(|line| line.starts_with('@'));
        self.returns.iter().any(|(decorated, _)| marks().any(|mark| decorated.is_match(mark)))
    }

    /// The rules, in the order of `on` and `Use::rule`.
    pub fn infos(&self) -> impl Iterator<Item = &std::sync::Arc<crate::model::RuleInfo>> {
        self.rules.iter().map(|rule| &rule.info)
    }
}

/// Nodes that are read of one file.
const MAX_NODES: u64 = 400_000;

/// Follows the data of one file. `on` tells which rules look at it; `steps` bounds the work.
pub(super) fn follow(tree: &Tree, language: Language, rules: &FlowRules, on: &[bool], steps: u64) -> Outcome {
    let source = language::source(tree);
    let on = &rules.holding(on, source);
    if !on.contains(&true) || rules.traces.is_empty() && rules.returns.is_empty() {
        return Outcome::default();
    }
    let places = rules.traces.places(source, on);
    if places.is_empty() && !rules.may_return(source) {
        return Outcome::default();
    }
    let root = language::document(tree).raw().root_node();
    let outline = Outline::of(root, source, language);
    let lower = Lower::new(source, language, MAX_NODES);
    let mut engine = Engine::new((rules, source), on, &lower, &outline, steps);
    engine.declared_fields();
    engine.module();
    for index in order(&outline.definitions, source, &places, rules) {
        engine.summary(index);
    }
    engine.callers();
    engine.users();
    engine.settle();
    let cut = engine.cut || lower.is_cut();
    Outcome { uses: uses(&engine, rules), cut }
}

/// The functions that are looked at for their own sake: those that name a sink, after those that fill the fields of their
/// classes.
fn order(definitions: &[Definition<'_>], source: &str, places: &[usize], rules: &FlowRules) -> Vec<usize> {
    let returns = |definition: &Definition<'_>| {
        let text = source.get(definition.span.range()).unwrap_or_default();
        // Functions inside of it may be such ones as well.
        let marks = || text.lines().map(str::trim).filter(|line| line.starts_with('@'));
        !rules.returns.is_empty()
            && rules.returns.iter().any(|(decorated, _)| marks().any(|mark| decorated.is_match(mark)))
    };
    let hit = |definition: &Definition<'_>| {
        let from = places.partition_point(|place| *place < definition.span.start);
        places.get(from).is_some_and(|place| *place < definition.span.end) || returns(definition)
    };
    let numbers: Vec<usize> =
        definitions.iter().enumerate().filter(|(_, definition)| hit(definition)).map(|(number, _)| number).collect();
    let classes: BTreeSet<&Rc<str>> =
        numbers.iter().filter_map(|number| definitions.get(*number)?.class.as_ref()).collect();
    let fills = |definition: &Definition<'_>| {
        let text = || source.get(definition.span.range()).unwrap_or_default();
        let sets = |text: &str| text.contains("self.") || text.contains("this.");
        definition.class.as_ref().is_some_and(|class| classes.contains(class))
            && (definition.constructor || sets(text()) && text().contains(" = "))
    };
    let (mut first, mut then): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    for (number, definition) in definitions.iter().enumerate() {
        if fills(definition) {
            if definition.constructor { first.insert(0, number) } else { first.push(number) }
        } else if hit(definition) {
            then.push(number);
        }
    }
    first.extend(then);
    first
}

fn uses(engine: &Engine<'_, '_>, rules: &FlowRules) -> Vec<Use> {
    let mut uses = Vec::new();
    for ((rule, span), verdict) in &engine.verdicts {
        let at_source = rules.rules.get(*rule).is_some_and(|rule| rule.at_source);
        let flow = match (&verdict.judgement, &verdict.flow) {
            (Judgement::Harmless, _) if at_source => continue,
            (Judgement::Harmless, _) if !engine.cut => Flow::Harmless,
            (Judgement::Untrusted, Some((kind, spans))) => {
                let name = if *kind == PARAMETER { "parameter" } else { rules.kind_name(*kind) };
                Flow::Untrusted { kind: name.to_owned(), spans: spans.clone() }
            }
            _ => continue,
        };
        let span = match &flow {
            Flow::Untrusted { spans, .. } if at_source => spans.first().copied().unwrap_or(*span),
            _ => *span,
        };
        // One source may come to several sinks.
        if !at_source || !uses.iter().any(|one: &Use| (one.rule, one.span) == (*rule, span)) {
            uses.push(Use { rule: *rule, span, flow });
        }
    }
    uses
}
