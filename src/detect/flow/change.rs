//! Methods that change what they are called on, or read a part of it.

use std::rc::Rc;

use super::call::Site;
use super::engine::Engine;
use super::ir::{Expr, Kind};
use super::state::State;
use super::value::Value;

impl Engine<'_, '_> {
    pub(super) fn changed(&mut self, site: &Site<'_>, state: &mut State) -> Option<Value> {
        let Kind::Member(object, _) = &site.call.callee.kind else { return None };
        let receiver = site.receiver()?;
        let given: Vec<&Value> = site.given.iter().map(|given| &given.value).collect();
        let (value, back) = self
            .lengthened((site.method(), receiver), &given)
            .or_else(|| grown((site.method(), receiver), &given))
            .or_else(|| written((site.method(), receiver), &given))
            .or_else(|| shrunk((site.method(), receiver), &given))
            .unzip();
        if let Some(value) = value {
            write_back(object, value, state);
            return back;
        }
        if let ("assign", [first, rest @ ..]) = (site.method(), given.as_slice())
            && receiver.path.as_deref() == Some("Object")
        {
            return Some(assigned(site, (first, rest), state));
        }
        part_of((site.method(), receiver), &given)
    }

    /// A text that is made longer: what becomes of it, and what the call gives.
    fn lengthened(&mut self, (method, receiver): (&str, &Value), given: &[&Value]) -> Option<(Value, Value)> {
        let path = receiver.path.as_deref()?;
        if !self.rules.builders.any(&[path.trim_end_matches("()")]) {
            return None;
        }
        let (last, kept) = match (method, given) {
            ("append" | "Append" | "WriteString" | "Write" | "write" | "print" | "push" | "concat", [first, ..]) => {
                (first, true)
            }
            ("insert", [_, last]) => (last, false),
            _ => return None,
        };
        let mut value = self.build(&[receiver.clone(), (*last).clone()]);
        value.prefix = value.prefix.filter(|_| kept);
        value.path.clone_from(&receiver.path);
        Some((value.clone(), value))
    }
}

/// Something is added to a list or map.
fn grown((method, receiver): (&str, &Value), given: &[&Value]) -> Option<(Value, Value)> {
    receiver.parts.as_ref()?;
    let mut value = receiver.clone();
    match (method, given) {
        ("append" | "push" | "add" | "addLast" | "addElement" | "offer", [only]) => value.push((*only).clone()),
        (
            "append" | "push" | "add" | "addLast" | "addElement" | "offer" | "unshift" | "addFirst" | "insert",
            [.., last],
        ) => value.set_part(None, (*last).clone()),
        ("extend" | "addAll" | "update" | "putAll" | "concat", [all, ..]) => {
            value.set_part(None, all.any_part());
            return Some((value.clone(), value));
        }
        _ => return None,
    }
    Some((value, Value::default()))
}

/// A part gets a value.
fn written((method, receiver): (&str, &Value), given: &[&Value]) -> Option<(Value, Value)> {
    let mut value = receiver.clone();
    match (method, given) {
        ("put" | "set" | "setdefault" | "setProperty" | "setAttribute" | "putIfAbsent", [key, part])
            if receiver.parts.is_some() || receiver.path.is_some() && !receiver.is_constant() =>
        {
            value.set_part(key.text.as_deref(), (*part).clone());
        }
        ("set", [section, key, part]) if names_sections(receiver) => {
            value.set_part(section_key(section, key).as_deref(), (*part).clone());
        }
        _ => return None,
    }
    Some((value, Value::default()))
}

/// A part is taken out, and given back.
fn shrunk((method, receiver): (&str, &Value), given: &[&Value]) -> Option<(Value, Value)> {
    receiver.parts.as_ref()?;
    let ("remove" | "pop", [at]) = (method, given) else { return None };
    let (mut value, at) = (receiver.clone(), at.text.as_deref());
    value.remove(at.and_then(|at| at.parse().ok()));
    Some((value, at.and_then(|at| receiver.part(at)).unwrap_or_else(|| receiver.any_part())))
}

/// A part is read.
fn part_of((method, receiver): (&str, &Value), given: &[&Value]) -> Option<Value> {
    match (method, given) {
        // What was drawn chooses what is read.
        (
            "charAt" | "at" | "codePointAt" | "substring" | "substr" | "slice" | "elementAt" | "get" | "__getitem__",
            [at, ..],
        ) if at.holds(&|atom| atom.lasting) => Some(Value::calculated([*at, receiver])),
        ("get", [section, key, ..]) if names_sections(receiver) && receiver.parts.is_some() => {
            let known = section_key(section, key).and_then(|key| receiver.part(&key));
            Some(known.unwrap_or_else(|| receiver.any_part()))
        }
        ("get" | "getOrDefault" | "getProperty" | "getAttribute" | "elementAt", [key, ..]) => {
            receiver.parts.as_ref()?;
            let key = key.text.as_deref();
            Some(key.and_then(|key| receiver.part(key)).unwrap_or_else(|| receiver.any_part()))
        }
        ("charAt", [at]) => {
            let text = receiver.text.as_deref()?;
            let index: usize = at.text.as_deref()?.parse().ok()?;
            text.chars().nth(index).map(|c| Value::constant(&c.to_string()))
        }
        _ => None,
    }
}

/// A configuration whose values are told by section and name.
fn names_sections(value: &Value) -> bool {
    value.path.as_deref().is_some_and(|path| path.contains("ConfigParser"))
}

fn section_key(section: &Value, key: &Value) -> Option<String> {
    Some(format!("{}.{}", section.text.as_deref()?, key.text.as_deref()?))
}

/// What `Object.assign` puts into its first argument, and gives back.
fn assigned(site: &Site<'_>, (first, rest): (&Value, &[&Value]), state: &mut State) -> Value {
    let mut value = first.clone();
    for more in rest {
        value.set_part(None, more.any_part());
    }
    if let Some(first) = site.call.arguments.first() {
        write_back(&first.value, value.clone(), state);
    }
    value
}

/// Stores what became of the object that a chain of calls began with.
pub(super) fn write_back(object: &Expr, value: Value, state: &mut State) {
    let mut object = object;
    while let Kind::Call(call) = &object.kind {
        let Kind::Member(inner, _) = &call.callee.kind else { return };
        object = inner;
    }
    if let Some(place) = object.place() {
        state.variables.insert(Rc::from(place), value);
    }
}
