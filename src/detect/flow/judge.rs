//! What a value that reaches a sink means: harmless, not known, or a flow from a source.

use super::document::Level;
use super::engine::{Engine, Judgement, Verdict};
use super::spec::{Demand, FlowRule, KindId, Mask, PARAMETER, UNKNOWN};
use super::summary::ParameterSink;
use super::value::{Atom, Value};
use crate::model::Span;

/// A function around the innermost one tells what holds in it only when it is at most this long, bytes.
const MAX_NEAR: usize = 1_500;
/// Sinks that are kept for the callers of one function.
const MAX_SINKS: usize = 64;

impl Engine<'_, '_> {
    /// Notes that a value is used where some rule forbids untrusted ones. `demand` is the number of what the sink asks for.
    pub(super) fn judge(&mut self, rule: usize, place: Span, value: &Value, demand: usize) {
        let rules = self.rules;
        let Some(spec) = rules.rules.get(rule).filter(|_| self.on.get(rule).copied().unwrap_or(false)) else { return };
        let Some(asked) = rules.demands.get(demand) else { return };
        if asked.single && value.parts.is_some()
            || self.is_excepted(spec)
            || spec.unless_path.as_ref().zip(value.path.as_deref()).is_some_and(|(p, at)| p.is_match(at))
        {
            return;
        }
        if begins_harmlessly(spec, asked, value) {
            return self.note(rule, place, Judgement::Harmless, None);
        }
        let from = asked.from.as_ref().unwrap_or(&spec.from);
        // What is only calculated does no harm where nobody asks for it.
        let all = value.all_atoms().into_iter().filter(|atom| !atom.lasting || from.contains_key(&atom.source));
        let mut open: Vec<Atom> = all.filter(|atom| !self.is_clean(atom.clean, spec.use_of)).collect();
        self.pass_on((rule, place, demand), value.shapes, &open);
        open.retain(|atom| atom.trusted & spec.use_of == 0);
        if open.is_empty() {
            return self.note(rule, place, Judgement::Harmless, None);
        }
        let shaped = !asked.formed || spec.form.is_none() || value.shapes & spec.shape != 0;
        let counts = |atom: &&Atom| match from.get(&atom.source) {
            Some(Level::Any) => shaped,
            Some(Level::Built) => shaped && atom.built,
            None => false,
        };
        match open.iter().filter(counts).max_by_key(|atom| (atom.source != PARAMETER, atom.owner.is_none())) {
            Some(atom) => self.note(rule, place, Judgement::Untrusted, Some(atom)),
            // What has no such form is not the text that the sink is about.
            None if asked.formed && !shaped => {}
            None => self.note(rule, place, Judgement::Unknown, None),
        }
    }

    /// Whether the names that a value gets matter.
    pub(super) fn is_named_for(&self, value: &Value) -> bool {
        !self.rules.named.is_empty() && value.holds(&|atom| self.rules.named_kinds.contains(&atom.source))
    }

    /// A value gets a name that may say what it is used for. What a function gives back gets the function's.
    pub(super) fn check_name(&mut self, name: &str, span: Span, value: &Value) {
        if !self.is_named_for(value) {
            return self.check_given(name, span, value);
        }
        let (rules, span) = (self.rules, self.assigned.unwrap_or(span));
        for (_, sink) in rules.named.iter().filter(|(named, _)| named.is_match(name)) {
            self.judge(sink.rule, span, value, sink.demand);
        }
    }

    /// A function that gets a name: what it gives back gets it too.
    fn check_given(&mut self, name: &str, span: Span, value: &Value) {
        let Some(function) = &value.function else { return };
        if self.is_named_for(&function.returns) {
            let returns = function.returns.clone();
            self.check_name(name, span, &returns);
        }
    }

    /// Something is wrong whatever the values come from.
    pub(super) fn found(&mut self, rule: usize, place: Span) {
        let on = self.on.get(rule).copied().unwrap_or(false);
        if on && !self.rules.rules.get(rule).is_some_and(|spec| self.is_excepted(spec)) {
            let verdict = Verdict { judgement: Judgement::Untrusted, flow: Some((UNKNOWN, Vec::new())), owner: None };
            self.verdicts.entry((rule, place)).or_insert(verdict);
        }
    }

    /// Whether a value that was cleaned like this is harmless for a use.
    fn is_clean(&self, clean: Mask, use_of: Mask) -> bool {
        let both = |(of, both): &(Mask, Mask)| *of == use_of && both.count_ones() == 2 && clean & both == *both;
        clean & use_of != 0 || self.rules.known.pairs.iter().any(both)
    }

    /// Whether one of the functions around tells that the rule does not hold there.
    fn is_excepted(&self, rule: &FlowRule) -> bool {
        let source = self.lower.source;
        let Some(near) = &rule.unless_near else { return false };
        let around = self.frames.iter().rev().filter(|frame| frame.span.start < frame.span.end);
        around.enumerate().any(|(level, frame)| {
            let text = source.get(frame.span.range()).unwrap_or_default();
            (level == 0 || text.len() <= MAX_NEAR) && near.is_match(text)
        })
    }

    /// What reaches a sink from a parameter is a matter of the callers.
    fn pass_on(&mut self, sink: (usize, Span, usize), shapes: Mask, open: &[Atom]) {
        let (rule, place, demand) = sink;
        for atom in open {
            let Some((id, parameter)) = atom.owner else { continue };
            let Some(frame) = self.frames.iter_mut().find(|frame| frame.id == id) else { continue };
            let same = |one: &ParameterSink| one.rule == rule && one.place == place && one.parameter == parameter;
            if frame.sinks.len() >= MAX_SINKS || frame.sinks.iter().any(same) {
                continue;
            }
            let (clean, built, trail) = (atom.clean, atom.built, atom.trail.clone());
            frame.sinks.push(ParameterSink { rule, place, demand, parameter, clean, built, shapes, trail });
        }
    }

    fn note(&mut self, rule: usize, place: Span, judgement: Judgement, atom: Option<&Atom>) {
        let flow = atom.map(|atom| (atom.source, atom.trail.then(place).spans()));
        let owner = atom.and_then(|atom| atom.owner);
        let rank = |judgement: Judgement, flow: &Option<(KindId, Vec<Span>)>| {
            (judgement, flow.as_ref().is_some_and(|(kind, _)| *kind != PARAMETER))
        };
        let verdict = Verdict { judgement, flow, owner };
        let known = self.verdicts.get(&(rule, place));
        if known.is_none_or(|known| rank(known.judgement, &known.flow) < rank(verdict.judgement, &verdict.flow)) {
            self.verdicts.insert((rule, place), verdict);
        }
    }
}

fn begins_harmlessly(rule: &FlowRule, asked: &Demand, value: &Value) -> bool {
    let Some(prefix) = value.prefix.as_deref() else { return false };
    [&rule.unless_prefix, &asked.unless_prefix].into_iter().flatten().any(|harmless| harmless.is_match(prefix))
}
