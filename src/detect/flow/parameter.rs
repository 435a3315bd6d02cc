//! What the parameters of a function hold when it is called from outside of the file.

use std::rc::Rc;

use regex::Regex;

use super::engine::Engine;
use super::ir::{Function, Parameter};
use super::spec::{KindId, PARAMETER, ParameterSource};
use super::value::{Atom, Trail, Value};
use crate::model::Span;

impl Engine<'_, '_> {
    pub(super) fn parameter(&self, function: &Function, id: usize, number: usize, parameter: &Parameter) -> Value {
        let declared = parameter.declared.as_deref();
        let span = parameter.target.span;
        let path = Some(declared.map_or_else(|| Rc::clone(&parameter.name), Rc::from));
        match self.outside(function, number, parameter) {
            Some(Some(kind)) => return Value { path, ..Value::from_source(kind, span) },
            Some(None) => return Value { path, ..Value::default() },
            None => {}
        }
        if declared.is_some_and(|declared| self.rules.is_plain_type(declared)) {
            return Value { path, ..Value::default() };
        }
        let owner = Some((id, number));
        let atom = Atom {
            source: PARAMETER,
            owner,
            clean: 0,
            trusted: 0,
            built: false,
            lasting: false,
            trail: Trail::at(span),
        };
        Value { path, atoms: vec![atom], ..Value::default() }
    }

    /// The parameter of a function that is handed over, where the call that it is handed to tells what it stands for.
    pub(super) fn called_with(&self, name: &str, value: Value, span: Span) -> Value {
        let value = Value { path: Some(Rc::from(name)), ..value };
        self.as_source(name, &value, span).unwrap_or(value)
    }

    /// The kind of source that fills a parameter from outside, or that something from outside fills it that is no text.
    fn outside(&self, function: &Function, number: usize, parameter: &Parameter) -> Option<Option<KindId>> {
        let declared = parameter.declared.as_deref().unwrap_or_default();
        let source = self.rules.parameters.iter().find(|source| self.fills(source, function, number, parameter))?;
        let is_this = |mark: &Rc<str>, except: &Regex| {
            except.captures_iter(mark).any(|found| found.get(1).is_some_and(|n| n.as_str() == &*parameter.name))
        };
        let except = source.except_decorated.as_ref();
        let named = except.is_some_and(|except| function.marks.iter().any(|mark| is_this(mark, except)));
        let plain = !declared.is_empty() && self.rules.is_plain_type(declared) || named;
        Some((!plain).then_some(source.kind))
    }

    fn fills(&self, source: &ParameterSource, function: &Function, number: usize, parameter: &Parameter) -> bool {
        let declared = parameter.declared.as_deref().unwrap_or_default();
        let first = function.parameters.first().map(|one| &*one.name).unwrap_or_default();
        let fits = |wanted: &Option<Regex>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted.is_match(text));
        let marked = |wanted: &Option<Regex>, marks: &[Rc<str>]| {
            wanted.as_ref().is_none_or(|one| marks.iter().any(|m| one.is_match(m)))
        };
        (source.at.is_empty() || source.at.contains(&number))
            && marked(&source.decorated, &function.marks)
            && marked(&source.annotated, &parameter.marks)
            && fits(&source.typed, declared)
            && fits(&source.named, &parameter.name)
            && fits(&source.first, first)
            && fits(&source.function, &function.name)
            && !source.except_typed.as_ref().is_some_and(|except| except.is_match(declared))
            && fits(&source.file, self.lower.source)
    }
}
