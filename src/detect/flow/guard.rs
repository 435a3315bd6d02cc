//! Conditions as people write guards: what a value that passed one is harmless for.

use std::rc::Rc;

use super::document::Argument;
use super::engine::Engine;
use super::ir::{Assign, Call, Comparison, Expr, Kind};
use super::spec::{Guard, Mask, PARAMETER, UNKNOWN};
use super::state::State;
use crate::model::Span;

/// Conditions that are kept for a variable are at most this long, bytes.
const MAX_FACT: usize = 300;

impl Engine<'_, '_> {
    /// Notes what holds where a condition held, or did not.
    pub(super) fn assume(&mut self, condition: &Expr, held: bool, state: &mut State) {
        if !self.spend(1) {
            return;
        }
        match &condition.kind {
            Kind::Not(inner) => self.assume(inner, !held, state),
            Kind::Both(left, right) if held => {
                self.assume(left, true, state);
                self.assume(right, true, state);
            }
            Kind::Either(left, right) if !held => {
                self.assume(left, false, state);
                self.assume(right, false, state);
            }
            Kind::Both(left, right) | Kind::Either(left, right) => self.assume_one(left, right, held, state),
            Kind::Compare(comparison, left, right) => self.assume_compared(*comparison, (left, right), held, state),
            Kind::Call(call) => self.assume_call(call, held, state),
            Kind::IsType(value, kind) if held && self.rules.is_plain_type(kind) => {
                self.check(value, Mask::MAX, state);
            }
            Kind::Index(container, key) if held => self.assume_member(key, container, state),
            Kind::Name(name) => {
                if let Some(fact) = state.facts.remove(name) {
                    self.assume(&fact, held, state);
                }
            }
            Kind::Assign(assign) => {
                if matches!(assign.value.kind, Kind::Call(_)) {
                    self.assume(&assign.value, held, state);
                }
            }
            Kind::Same(parts) => {
                if let [only] = parts.as_slice() {
                    self.assume(only, held, state);
                }
            }
            _ => {}
        }
    }

    /// One of two conditions held: what both would tell holds.
    fn assume_one(&mut self, left: &Expr, right: &Expr, held: bool, state: &mut State) {
        let mut other = state.clone();
        self.spend(state.variables.len() / 4);
        self.assume(left, held, state);
        self.assume(right, held, &mut other);
        state.join(&other);
    }

    fn assume_compared(&mut self, comparison: Comparison, sides: (&Expr, &Expr), held: bool, state: &mut State) {
        let (left, right) = sides;
        let equal = match comparison {
            Comparison::Equal => held,
            Comparison::NotEqual => !held,
            Comparison::In | Comparison::NotIn => {
                let within = (comparison == Comparison::In) == held;
                if left.constant().is_some() {
                    return self.assume_text_within(left, right, within, state);
                }
                if within {
                    self.assume_member(left, right, state);
                }
                return;
            }
            _ => return self.assume_number(comparison, sides, held, state),
        };
        for (subject, other) in [(left, right), (right, left)] {
            let Some(constant) = other.constant().cloned() else { continue };
            match (&subject.kind, &*constant) {
                (Kind::Call(call), "-1") => return self.assume_call(call, !equal, state),
                (Kind::Call(call), "true") => return self.assume_call(call, equal, state),
                (Kind::Call(call), "false") => return self.assume_call(call, !equal, state),
                (Kind::Name(name), "null" | "nil") => {
                    // No error means that the check passed; for anything else it means that there is something.
                    let error = name.to_ascii_lowercase().contains("err");
                    if let Some(fact) = state.facts.get(name).cloned() {
                        return self.assume(&fact, equal == error, state);
                    }
                }
                _ => {}
            }
        }
        if !equal {
            return;
        }
        for (subject, other) in [(left, right), (right, left)] {
            if let (Kind::Plain(parts), Some(kind)) = (&subject.kind, other.constant()) {
                // `typeof x === "number"`
                if let ([value], true) = (parts.as_slice(), matches!(&**kind, "number" | "boolean" | "bigint")) {
                    self.check(value, Mask::MAX, state);
                }
                continue;
            }
            let fixed = other.constant().is_some_and(|text| &**text != "null")
                || other.constant().is_none() && self.eval(other, &mut state.clone()).is_constant();
            if fixed {
                self.check_subject(subject, state);
            }
        }
    }

    /// `x.indexOf("…") >= 0` and the like ask whether something is there.
    fn assume_number(&mut self, comparison: Comparison, sides: (&Expr, &Expr), held: bool, state: &mut State) {
        let (Kind::Call(call), Some(number)) = (&sides.0.kind, sides.1.constant()) else { return };
        let there = match (comparison, &**number) {
            (Comparison::GreaterOrEqual, "0") | (Comparison::Greater, "-1") => held,
            (Comparison::Less, "0") | (Comparison::LessOrEqual, "-1") => !held,
            _ => return,
        };
        self.assume_call(call, there, state);
    }

    /// `".." in name`.
    fn assume_text_within(&mut self, text: &Expr, subject: &Expr, within: bool, state: &mut State) {
        let parent = text.constant().is_some_and(|text| text.contains("..") || &**text == "/");
        if !within && parent {
            let mask = self.rules.mask_of(&["path"]);
            self.check(subject, mask, state);
        }
    }

    /// `key in container`, `container[key]`.
    fn assume_member(&mut self, key: &Expr, container: &Expr, state: &mut State) {
        let values = self.eval(container, &mut state.clone());
        let own = values.all_atoms().iter().all(|atom| matches!(atom.source, UNKNOWN | PARAMETER));
        if own && values.text.is_none() {
            self.check_subject(key, state);
        }
    }

    fn assume_call(&mut self, call: &Call, held: bool, state: &mut State) {
        let paths = self.guard_paths(call, state);
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let rules = self.rules;
        let guards: Vec<&Guard> = rules.guards.matching(&paths).into_iter().filter(|one| one.when == held).collect();
        for guard in guards {
            if guard.fixed.as_ref().is_some_and(|fixed| !self.is_fixed(call, fixed, guard, state)) {
                continue;
            }
            for argument in &guard.subject {
                for subject in argument_of(call, argument) {
                    if guard.mask == Mask::MAX {
                        self.check_subject(subject, state);
                    } else {
                        self.check(subject, guard.mask, state);
                    }
                }
            }
        }
    }

    fn guard_paths(&mut self, call: &Call, state: &mut State) -> Vec<String> {
        let mut paths: Vec<String> = call.callee.place().into_iter().collect();
        match &call.callee.kind {
            Kind::Member(object, name) => {
                let base = self.eval(object, &mut state.clone());
                match &base.path {
                    Some(path) => paths.push(format!("{path}.{name}")),
                    None => paths.push(format!("?.{name}")),
                }
            }
            Kind::Name(name) => {
                let known = state.variables.get(name).or_else(|| self.globals.variables.get(name));
                paths.extend(known.and_then(|value| value.path.as_ref()).map(ToString::to_string));
            }
            _ => {}
        }
        paths
    }

    /// Whether the other side of a guard is none that an attacker chooses. Where dots are looked for, it must be those.
    fn is_fixed(&mut self, call: &Call, fixed: &Argument, guard: &Guard, state: &mut State) -> bool {
        let exprs: Vec<Expr> = argument_of(call, fixed).into_iter().cloned().collect();
        !exprs.is_empty()
            && exprs.iter().all(|expr| {
                let value = self.eval(expr, &mut state.clone());
                let dots = guard.when || value.text.as_deref().is_none_or(|text| text.contains("..") || text == "/");
                dots && value.all_atoms().iter().all(|atom| matches!(atom.source, UNKNOWN | PARAMETER))
            })
    }

    /// The value is one of some that the program knows. Its lower-case or trimmed form being one of them is as good; where
    /// only the host of an address was checked, that settles where the address leads.
    fn check_subject(&mut self, subject: &Expr, state: &mut State) {
        match &subject.kind {
            Kind::Call(call) => {
                if let Kind::Member(object, name) = &call.callee.kind {
                    if matches!(
                        &**name,
                        "lower" | "upper" | "strip" | "toLowerCase" | "toUpperCase" | "trim" | "toString"
                    ) {
                        return self.check_subject(object, state);
                    }
                    if is_host(name) {
                        return self.check_host(object, state);
                    }
                    let inner =
                        call.arguments.first().filter(|_| matches!(&**name, "ToLower" | "ToUpper" | "TrimSpace"));
                    if let Some(inner) = inner {
                        return self.check_subject(&inner.value, state);
                    }
                }
                let named = matches!(&call.callee.kind, Kind::Name(name) if matches!(&**name, "str" | "String"));
                if let Some(inner) = call.arguments.first().filter(|_| named) {
                    self.check_subject(&inner.value, state);
                }
            }
            Kind::Member(object, name) if is_host(name) => {
                self.check_host(object, state);
                self.check(subject, Mask::MAX, state);
            }
            _ => self.check(subject, Mask::MAX, state),
        }
    }

    fn check_host(&mut self, address: &Expr, state: &mut State) {
        let value = self.eval(address, &mut state.clone());
        let atoms = value.all_atoms();
        let sources: Vec<Span> = atoms.iter().filter_map(|atom| atom.trail.spans().first().copied()).collect();
        let mask = self.rules.mask_of(&["url", "redirect"]);
        state.check_sources(&sources, mask);
    }

    /// The place that an expression names is harmless from here on.
    pub(super) fn check(&mut self, subject: &Expr, mask: Mask, state: &mut State) {
        if let Kind::Assign(assign) = &subject.kind {
            return self.check(&assign.target, mask, state);
        }
        if let Some(place) = subject.place() {
            state.check(&place, mask);
        }
    }

    /// Keeps what a variable that holds the outcome of a check stands for.
    pub(super) fn remember_fact(&mut self, assign: &Assign, state: &mut State) {
        let value = &assign.value;
        let asks = matches!(
            value.kind,
            Kind::Call(_) | Kind::Compare(..) | Kind::Not(_) | Kind::Both(..) | Kind::Either(..) | Kind::Index(..)
        );
        let short = value.span.end.saturating_sub(value.span.start) <= MAX_FACT;
        if !asks || !short || assign.augmented {
            return;
        }
        match &assign.target.kind {
            Kind::Name(name) => {
                state.facts.insert(Rc::clone(name), Rc::new(value.clone()));
            }
            // `_, ok := known[key]`, `n, err := parse(text)`
            Kind::Collection(targets) => {
                if let Some((_, Expr { kind: Kind::Name(name), .. })) = targets.last() {
                    state.facts.insert(Rc::clone(name), Rc::new(value.clone()));
                }
            }
            _ => {}
        }
    }
}

fn is_host(name: &str) -> bool {
    matches!(
        name,
        "hostname" | "host" | "netloc" | "origin" | "Host" | "Hostname" | "getHost" | "getAuthority" | "authority"
    )
}

fn argument_of<'c>(call: &'c Call, argument: &Argument) -> Vec<&'c Expr> {
    match argument {
        Argument::Receiver => match &call.callee.kind {
            Kind::Member(object, _) => vec![object],
            _ => Vec::new(),
        },
        Argument::Number(number) => call.arguments.get(*number).map(|one| &one.value).into_iter().collect(),
        Argument::Named(name) => {
            let named = call.arguments.iter().filter(|one| one.name.as_deref() == Some(name));
            named.map(|one| &one.value).collect()
        }
        Argument::From(number) => call.arguments.iter().skip(*number).map(|one| &one.value).collect(),
        Argument::All | Argument::Part(..) => call.arguments.iter().map(|one| &one.value).collect(),
    }
}
