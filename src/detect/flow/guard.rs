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
            Kind::Call(call) => match begins_with(call) {
                // Anything but the beginning counts as true.
                Some(begins) => self.assume_call(&begins, !held, state),
                None => self.assume_call(call, held, state),
            },
            Kind::IsType(value, kind) if held && self.rules.is_plain_type(kind) => {
                self.check(value, Mask::MAX, state);
            }
            Kind::Index(container, key) if held => self.assume_member(key, container, state),
            Kind::Name(name) => {
                if let Some(fact) = state.facts.remove(name) {
                    self.assume(&fact, held, state);
                } else if !held {
                    // There is nothing in it.
                    self.check(condition, Mask::MAX, state);
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
                match &right.kind {
                    // `base in path.parents`
                    Kind::Member(path, name) if within && &**name == "parents" => {
                        let (normal, mask) = (self.rules.known.normal, self.rules.mask_of(&["path"]));
                        self.check_origin(path, normal, mask, state);
                    }
                    _ if within => self.assume_member(left, right, state),
                    _ => {}
                }
                return;
            }
            _ => return self.assume_number(comparison, sides, held, state),
        };
        for (subject, other) in [(left, right), (right, left)] {
            let Some(constant) = other.constant().cloned() else { continue };
            match (&subject.kind, &*constant) {
                (Kind::Call(call), "-1") => return self.assume_call(call, !equal, state),
                (Kind::Call(call), "0") if begins_with(call).is_some() => {
                    let Some(begins) = begins_with(call) else { return };
                    return self.assume_call(&begins, equal, state);
                }
                (Kind::Call(call), "true") => return self.assume_call(call, equal, state),
                (Kind::Call(call), "false") => return self.assume_call(call, !equal, state),
                // A pattern that found nothing.
                (Kind::Call(call), "null") if is_pattern(call) => return self.assume_call(call, !equal, state),
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
        for (subject, other) in [(left, right), (right, left)] {
            if let Some(begins) = beginning_of(subject, other) {
                return self.assume_call(&begins, equal, state);
            }
        }
        if !equal {
            return;
        }
        if let Some(paths) = [left, right].into_iter().find_map(common_part_of) {
            let (normal, mask) = (self.rules.known.normal, self.rules.mask_of(&["path"]));
            return self.check_origin(paths, normal, mask, state);
        }
        for (subject, other) in [(left, right), (right, left)] {
            if let (Kind::Plain(parts), Some(kind)) = (&subject.kind, other.constant()) {
                // `typeof x === "number"`
                match (parts.as_slice(), &**kind) {
                    ([value], "number" | "boolean" | "bigint" | "undefined") => self.check(value, Mask::MAX, state),
                    ([value], "string") => self.check(value, self.rules.known.text, state),
                    _ => {}
                }
                continue;
            }
            let fixed = other.constant().is_some_and(|text| &**text != "null")
                || other.constant().is_none() && self.eval(other, &mut state.clone()).is_constant();
            if fixed {
                self.check_subject(subject, Mask::MAX, state);
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
            // Without the one an absolute path may still be there, without the other nothing leads anywhere.
            let harmless = if text.constant().is_some_and(|text| &**text == "/") { "path" } else { "dots" };
            let mask = self.rules.mask_of(&[harmless]);
            self.check(subject, mask, state);
        }
    }

    /// `key in container`, `container[key]`.
    fn assume_member(&mut self, key: &Expr, container: &Expr, state: &mut State) {
        let values = self.eval(container, &mut state.clone());
        let own = values.all_atoms().iter().all(|atom| matches!(atom.source, UNKNOWN | PARAMETER));
        if own && values.text.is_none() {
            self.check_subject(key, Mask::MAX, state);
        }
    }

    /// `validate(path);` stands alone: it does not come back with what it refuses. What it does is seen where it is in the file.
    pub(super) fn assume_passed(&mut self, call: &Call, state: &mut State) {
        let name = match &call.callee.kind {
            Kind::Name(name) | Kind::Member(_, name) => Rc::clone(name),
            _ => return,
        };
        if !refuses(&name) || call.arguments.is_empty() {
            return;
        }
        let outline = self.outline;
        let here = self.by_name.get(&name).into_iter().flatten();
        let mut texts = here.filter_map(|index| self.lower.source.get(outline.definitions.get(*index)?.span.range()));
        if texts.any(|text| !gives_up(text)) {
            return;
        }
        for argument in &call.arguments {
            self.check_subject(&argument.value, Mask::MAX, state);
        }
    }

    fn assume_call(&mut self, call: &Call, held: bool, state: &mut State) {
        let paths = self.guard_paths(call, state);
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let rules = self.rules;
        for guard in rules.guards.matching(&paths) {
            let mask = match &guard.pattern {
                Some(pattern) => self.pattern_mask(call, pattern, (guard.whole, held), state),
                None if guard.when != held => continue,
                None => guard.mask,
            };
            let fixed = guard.fixed.as_ref().is_none_or(|fixed| self.is_fixed(call, fixed, guard, state));
            if mask == 0 || !fixed {
                continue;
            }
            for argument in &guard.subject {
                for subject in argument_of(call, argument) {
                    if guard.needs == 0 {
                        self.check_subject(subject, mask, state);
                    } else {
                        self.check_origin(subject, guard.needs, mask, state);
                    }
                }
            }
        }
    }

    fn pattern_mask(&mut self, call: &Call, pattern: &Argument, (whole, held): (bool, bool), state: &State) -> Mask {
        let unknown = if held { Mask::MAX } else { 0 };
        let Some(expr) = argument_of(call, pattern).first().copied() else { return unknown };
        let value = self.eval(expr, &mut state.clone());
        if value.atoms.iter().any(|atom| atom.source > PARAMETER) {
            return 0;
        }
        self.tested(&value, whole, held)
    }

    /// What a checked value was made from is as harmless as it: a path is checked in its normal form, and then used as it came.
    fn check_origin(&mut self, subject: &Expr, needs: Mask, mask: Mask, state: &mut State) {
        let value = self.eval(subject, &mut state.clone());
        let atoms = value.all_atoms();
        if atoms.is_empty() || atoms.iter().any(|atom| atom.source > PARAMETER && atom.clean & needs == 0) {
            return;
        }
        let sources: Vec<Span> = atoms.iter().filter_map(|atom| atom.trail.spans().first().copied()).collect();
        state.check_sources(&sources, mask);
        self.check(subject, mask, state);
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

    /// Whether the other side of a guard is none that an attacker chooses, and is like what the guard asks for. Where something must
    /// not be there, that is dots.
    fn is_fixed(&mut self, call: &Call, fixed: &Argument, guard: &Guard, state: &mut State) -> bool {
        let exprs: Vec<Expr> = argument_of(call, fixed).into_iter().cloned().collect();
        !exprs.is_empty()
            && exprs.iter().all(|expr| {
                let value = self.eval(expr, &mut state.clone());
                let text = value.text.as_deref().or(value.prefix.as_deref());
                let like = match &guard.like {
                    Some(like) => text.map_or(guard.when, |text| like.is_match(text)),
                    None => guard.when || text.is_none_or(|text| text.contains("..") || text == "/"),
                };
                like && value.all_atoms().iter().all(|atom| matches!(atom.source, UNKNOWN | PARAMETER))
            })
    }

    /// The value is one of some that the program knows. Its lower-case or trimmed form being one of them is as good; where
    /// only the host of an address was checked, that settles where the address leads.
    fn check_subject(&mut self, subject: &Expr, mask: Mask, state: &mut State) {
        match &subject.kind {
            Kind::Call(call) => {
                if let Kind::Member(object, name) = &call.callee.kind {
                    if matches!(
                        &**name,
                        "lower" | "upper" | "strip" | "toLowerCase" | "toUpperCase" | "trim" | "toString"
                    ) {
                        return self.check_subject(object, mask, state);
                    }
                    if is_host(name) {
                        return self.check_host(object, state);
                    }
                    let hands = matches!(&**name, "ToLower" | "ToUpper" | "TrimSpace" | "matcher");
                    let inner = call.arguments.first().filter(|_| hands);
                    if let Some(inner) = inner {
                        return self.check_subject(&inner.value, mask, state);
                    }
                }
                let named = matches!(&call.callee.kind, Kind::Name(name) if matches!(&**name, "str" | "String"));
                if let Some(inner) = call.arguments.first().filter(|_| named) {
                    self.check_subject(&inner.value, mask, state);
                }
            }
            Kind::Member(object, name) if is_host(name) => {
                self.check_host(object, state);
                self.check(subject, mask, state);
            }
            _ => self.check(subject, mask, state),
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

/// `x.indexOf(y)` as the question whether `x` begins with `y`, for where its result is compared with nought.
fn begins_with(call: &Call) -> Option<Call> {
    let Kind::Member(object, name) = &call.callee.kind else { return None };
    if &**name != "indexOf" || call.arguments.len() != 1 {
        return None;
    }
    let callee = Expr::new(call.callee.span, Kind::Member(object.clone(), Rc::from("startsWith")));
    Some(Call { callee, ..call.clone() })
}

/// `x.substring(0, n) === y` and `x[0] === y` as the question whether `x` begins with `y`.
fn beginning_of(subject: &Expr, other: &Expr) -> Option<Call> {
    let object = match &subject.kind {
        Kind::Call(call) => match &call.callee.kind {
            Kind::Member(object, name) if matches!(&**name, "substring" | "slice" | "substr" | "charAt") => {
                let from = call.arguments.first().and_then(|one| one.value.constant());
                from.filter(|from| &***from == "0").map(|_| object.as_ref().clone())?
            }
            _ => return None,
        },
        Kind::Index(object, index) if other.constant().is_some_and(|text| matches!(&**text, "/" | "." | "\\\\")) => {
            index.constant().filter(|index| &***index == "0").map(|_| object.as_ref().clone())?
        }
        _ => return None,
    };
    let callee = Expr::new(subject.span, Kind::Member(Box::new(object), Rc::from("startsWith")));
    let arguments = vec![super::ir::Argument { name: None, value: other.clone(), spread: false }];
    Some(Call { callee, arguments, constructs: false })
}

/// Names of functions that throw where a value is not as it must be.
fn refuses(name: &str) -> bool {
    let name = name.trim_start_matches('_').to_ascii_lowercase();
    let about = ["path", "url", "name", "host", "input", "safe", "valid", "param", "allowed", "query", "id", "value"];
    let says = ["validate", "ensure", "assert", "verify", "check", "require", "refuse", "reject"];
    name.starts_with("validate")
        || says.iter().any(|verb| name.starts_with(verb)) && about.iter().any(|one| name.contains(one))
}

/// Whether the text of a function says that it does not always return.
fn gives_up(text: &str) -> bool {
    ["throw", "raise", "abort", "exit", "panic", "Fatal", "assert"].iter().any(|word| text.contains(word))
}

fn is_pattern(call: &Call) -> bool {
    matches!(&call.callee.kind, Kind::Member(_, name) if matches!(&**name, "exec" | "match" | "fullmatch"))
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

/// The paths in `os.path.commonpath([base, path])`.
fn common_part_of(side: &Expr) -> Option<&Expr> {
    let Kind::Call(call) = &side.kind else { return None };
    let asks = matches!(&call.callee.kind, Kind::Member(_, name) if matches!(&**name, "commonpath" | "commonprefix"));
    call.arguments.first().filter(|_| asks).map(|paths| &paths.value)
}
