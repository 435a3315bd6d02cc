//! Expressions: what their value is made of.

use std::rc::Rc;

use super::engine::{Engine, MAX_LEVELS};
use super::exec::truth;
use super::ir::{Assign, Comparison, Expr, Kind};
use super::spec::{Mask, PARAMETER, UNKNOWN};
use super::state::State;
use super::value::{Atom, Parts, Value};
use crate::model::Span;

/// Longest path of a value, bytes.
const MAX_PATH: usize = 160;

impl Engine<'_, '_> {
    pub(super) fn eval(&mut self, expr: &Expr, state: &mut State) -> Value {
        if !self.spend(1) || self.level >= MAX_LEVELS {
            self.cut = true;
            return Value::unknown(expr.span);
        }
        self.level += 1;
        let value = self.eval_kind(expr, state);
        self.level -= 1;
        value
    }

    fn eval_kind(&mut self, expr: &Expr, state: &mut State) -> Value {
        match &expr.kind {
            Kind::Constant(text) => Value::constant(text),
            Kind::Name(name) => self.read_name(name, expr.span, state),
            Kind::Member(object, name) => self.read_member(expr, object, name, state),
            Kind::Index(object, index) => self.read_index(expr, object, index, state),
            Kind::Call(call) => self.call(expr.span, call, state),
            Kind::Text(parts) => {
                let values: Vec<Value> = parts.iter().map(|part| self.eval(part, state)).collect();
                self.build(&values)
            }
            Kind::Collection(elements) => self.collect(elements, state),
            Kind::Arithmetic(operator, left, right) => {
                let (left, right) = (self.eval(left, state), self.eval(right, state));
                let Value { atoms, .. } = Value::calculated([&left, &right]);
                Value { atoms, ..calculate(operator, left.text.as_deref(), right.text.as_deref()) }
            }
            Kind::Compare(comparison, left, right) => {
                let (left, right) = (self.eval(left, state), self.eval(right, state));
                let known = left.text.as_deref().zip(right.text.as_deref());
                known.and_then(|(a, b)| compare(*comparison, a, b)).map_or_else(Value::default, boolean)
            }
            Kind::Both(left, right) => {
                let first = self.eval(left, state);
                let mut then = state.clone();
                self.spend(state.variables.len() / 8);
                self.assume(left, true, &mut then);
                let second = self.eval(right, &mut then);
                let known = first.text.as_deref().and_then(truth).zip(second.text.as_deref().and_then(truth));
                match (known, first.text.as_deref()) {
                    (Some((a, b)), _) => boolean(a && b),
                    (None, Some("false")) => boolean(false),
                    _ => joined(first, &second),
                }
            }
            Kind::Either(left, right) => self.either(left, right, state),
            Kind::Not(inner) => {
                let known = self.eval(inner, state).text.as_deref().and_then(truth);
                known.map_or_else(Value::default, |known| boolean(!known))
            }
            Kind::Choice(condition, yes, no) => self.choice(condition, yes, no, state),
            Kind::Assign(assign) => self.assign(expr.span, assign, state),
            Kind::Comprehension(one) => self.comprehension(one, state),
            Kind::Function(function) => {
                let summary = self.closure(function, state);
                Value { function: Some(summary), ..Value::unknown(expr.span) }
            }
            Kind::Same(parts) => {
                let mut values = parts.iter().map(|part| self.eval(part, state));
                let first = values.next().unwrap_or_default();
                values.collect::<Vec<_>>().iter().fold(first, joined)
            }
            Kind::Plain(parts) => {
                let parts: Vec<Value> = parts.iter().map(|part| self.eval(part, state)).collect();
                Value::calculated(&parts)
            }
            Kind::IsType(value, _) => {
                self.eval(value, state);
                Value::default()
            }
            Kind::Unknown => Value::unknown(expr.span),
        }
    }

    fn either(&mut self, left: &Expr, right: &Expr, state: &mut State) -> Value {
        let first = self.eval(left, state);
        let mut otherwise = state.clone();
        self.spend(state.variables.len() / 8);
        self.assume(left, false, &mut otherwise);
        let second = self.eval(right, &mut otherwise);
        match (first.text.as_deref().and_then(truth), second.text.as_deref().and_then(truth)) {
            (Some(a), Some(b)) => boolean(a || b),
            (Some(true), _) => boolean(true),
            _ => joined(first, &second),
        }
    }

    fn choice(&mut self, condition: &Expr, yes: &Expr, no: &Expr, state: &mut State) -> Value {
        let decided = self.eval(condition, state).text.as_deref().and_then(truth);
        let (mut then, mut otherwise) = (state.clone(), state.clone());
        self.spend(state.variables.len() / 4);
        self.assume(condition, true, &mut then);
        self.assume(condition, false, &mut otherwise);
        match decided {
            Some(true) => self.eval(yes, &mut then),
            Some(false) => self.eval(no, &mut otherwise),
            None => {
                let first = self.eval(yes, &mut then);
                let second = self.eval(no, &mut otherwise);
                joined(first, &second)
            }
        }
    }

    fn assign(&mut self, span: Span, assign: &Assign, state: &mut State) -> Value {
        if matches!(assign.value.kind, Kind::Function(_)) {
            self.named = self.names_of(&assign.target);
        }
        let mut value = self.eval(&assign.value, state);
        self.named = None;
        if assign.augmented {
            let before = self.eval(&assign.target, state);
            value = self.build(&[before, value]);
        }
        if let Some(declared) = &assign.declared {
            value = self.declared(value, declared);
        }
        let value = value.through(span);
        let outer = self.assigned.replace(span);
        self.bind(&assign.target, value.clone(), state);
        self.assigned = outer;
        self.remember_fact(assign, state);
        value
    }

    /// What the parameters of a function stand for that is put at a place: `window.onmessage`.
    fn names_of(&self, target: &Expr) -> Option<Vec<String>> {
        let place = target.place().filter(|_| matches!(target.kind, Kind::Member(..)))?;
        let known = self.rules.callbacks.first(&[&place])?;
        known.conditions.is_empty().then(|| known.names.clone())
    }

    fn declared(&self, mut value: Value, declared: &Rc<str>) -> Value {
        if self.rules.is_plain_type(declared) {
            let Value { atoms, .. } = Value::calculated([&value]);
            return Value { text: value.text, path: Some(Rc::clone(declared)), atoms, ..Value::default() };
        }
        let path: &str = declared;
        if !matches!(path, "var" | "let" | "const" | "String" | "Object" | "str" | "string" | "any" | "val") {
            value.declared = Some(Rc::clone(declared));
            value.path.get_or_insert_with(|| Rc::clone(declared));
        }
        value
    }

    fn comprehension(&mut self, one: &super::ir::Comprehension, state: &mut State) -> Value {
        let mut inside = state.clone();
        self.spend(state.variables.len() / 4);
        for (target, source) in &one.clauses {
            let source = self.eval(source, &mut inside);
            self.bind_loop_target(target, &source, &mut inside);
        }
        for condition in &one.conditions {
            self.eval(condition, &mut inside);
            self.assume(condition, true, &mut inside);
        }
        self.eval(&one.body, &mut inside).any_part()
    }

    fn read_name(&mut self, name: &Rc<str>, span: Span, state: &State) -> Value {
        let known = state.variables.get(name).or_else(|| self.globals.variables.get(name)).cloned();
        let value = match known {
            Some(value) => value,
            None => self.read_unbound(name, span),
        };
        let value = self.trust(name, value);
        if value.path.is_none() || value.atoms.is_empty() {
            return value;
        }
        self.as_source(name, &value, span).unwrap_or(value)
    }

    fn read_unbound(&mut self, name: &Rc<str>, span: Span) -> Value {
        self.escapes(name);
        let class = self.frames.last().and_then(|frame| frame.class.clone());
        if let Some(field) = class.and_then(|class| self.fields.get(&(class, Rc::clone(name)))) {
            return field.clone();
        }
        if is_constant_name(name) {
            return Value { path: Some(Rc::clone(name)), ..Value::default() };
        }
        Value::named(name, span)
    }

    /// Names that say that a value is a part of the program's own text.
    fn trust(&self, name: &str, value: Value) -> Value {
        let weak = value.atoms.iter().any(|atom| matches!(atom.source, UNKNOWN | PARAMETER));
        if !weak || self.rules.trusted.is_empty() {
            return value;
        }
        let trusted = self.rules.trusted.iter().filter(|(regex, _)| regex.is_match(name));
        let mask = trusted.fold(0, |mask, (_, uses)| mask | uses);
        if mask == 0 {
            return value;
        }
        let mut value = value;
        for atom in value.atoms.iter_mut().filter(|atom| matches!(atom.source, UNKNOWN | PARAMETER)) {
            atom.trusted |= mask;
        }
        value
    }

    fn read_member(&mut self, expr: &Expr, object: &Expr, name: &Rc<str>, state: &mut State) -> Value {
        if let Some(value) = self.own_field(object, name, state) {
            let value = self.trust(name, value);
            let path = value.path.clone().unwrap_or_else(|| Rc::clone(name));
            let place = expr.place().unwrap_or_default();
            let found = self.as_source(&path, &value, expr.span);
            let found = found.or_else(|| self.as_source(&place, &value, expr.span));
            return self.checked(expr, found.unwrap_or(value), state);
        }
        let base = self.eval(object, state);
        let value = self.read_part(&base, name, expr.span);
        let written = expr.place().filter(|_| self.is_open(object, state));
        let found = written.and_then(|written| self.as_source(&written, &value, expr.span));
        let value = self.trust(name, found.unwrap_or(value));
        self.checked(expr, value, state)
    }

    /// Whether the name that an expression begins with is not one that the function gave a value.
    pub(super) fn is_open(&self, expr: &Expr, state: &State) -> bool {
        match &expr.kind {
            Kind::Name(name) => {
                let parameter = self.frames.iter().any(|frame| frame.parameters.contains(name));
                parameter || !state.variables.contains_key(name) || self.globals.variables.contains_key(name)
            }
            Kind::Member(object, _) | Kind::Index(object, _) => self.is_open(object, state),
            _ => false,
        }
    }

    /// A field of the object whose method is walked through.
    fn own_field(&mut self, object: &Expr, name: &Rc<str>, state: &State) -> Option<Value> {
        let frame = self.frames.last()?;
        let Kind::Name(own) = &object.kind else { return None };
        if frame.own.as_ref() != Some(own) {
            return None;
        }
        let place = format!("{own}.{name}");
        if let Some(value) = state.variables.get(place.as_str()) {
            return Some(value.clone());
        }
        let class = frame.class.clone()?;
        self.fields.get(&(class, Rc::clone(name))).cloned()
    }

    pub(super) fn write_member(&mut self, target: &Expr, value: Value, state: &mut State) {
        let Kind::Member(object, name) = &target.kind else { return };
        let written = target.place();
        self.check_assign(target, &value, state);
        self.check_name(name, target.span, &value);
        let frame = self.frames.last();
        let own = matches!(&object.kind, Kind::Name(o) if frame.and_then(|f| f.own.as_ref()) == Some(o));
        if own {
            if let Some(class) = frame.and_then(|frame| frame.class.clone()) {
                self.fields
                    .entry((class, Rc::clone(name)))
                    .and_modify(|known| {
                        known.join(&value);
                    })
                    .or_insert_with(|| value.clone());
            }
            if let Some(place) = written {
                state.set(&Rc::from(place), value);
            }
            return;
        }
        if let Some(place) = &written {
            state.forget_below(place);
        }
        if let Kind::Name(variable) = &object.kind
            && let Some(known) = state.variables.get_mut(variable)
        {
            known.set_part(Some(name), value);
        }
    }

    fn read_index(&mut self, expr: &Expr, object: &Expr, index: &Expr, state: &mut State) -> Value {
        let base = self.eval(object, state);
        let index = self.eval(index, state);
        let key = &index.text;
        let value = match (&base.parts, key) {
            (Some(_), Some(key)) => base.part(key).unwrap_or_default(),
            (None, Some(key)) if base.text.is_some() && base.atoms.is_empty() => letter(&base, key),
            _ => Value { path: base.path.as_ref().map(|path| Rc::from(format!("{path}[]"))), ..base.any_part() },
        };
        let value = match base.path.as_deref().filter(|path| path.len() < MAX_PATH) {
            Some(path) => {
                let named = key.as_deref().filter(|key| is_word(key)).map(|key| format!("{path}.{key}"));
                let found = named.and_then(|named| self.as_source(&named, &value, expr.span));
                let found = found.or_else(|| self.as_source(&format!("{path}[]"), &value, expr.span));
                found.unwrap_or(value)
            }
            None => value,
        };
        let mut value = self.checked(expr, value, state);
        value.add_atoms(&Value::calculated([&index]).atoms);
        value
    }

    /// A part of a value by its name.
    pub(super) fn read_part(&mut self, base: &Value, name: &str, span: Span) -> Value {
        let path = base.path.as_deref().filter(|path| path.len() < MAX_PATH).map(|path| format!("{path}.{name}"));
        let mut value = match base.part(name) {
            Some(part) => part,
            None if base.path.is_some() && base.is_constant() && !is_constant_name(name) => Value::unknown(span),
            None => base.any_part(),
        };
        if let Some(path) = path {
            if let Some(source) = self.as_source(&path, &value, span) {
                return source;
            }
            value.path.get_or_insert_with(|| Rc::from(path));
        }
        if is_constant_name(name) && value.atoms.iter().all(|atom| atom.source == UNKNOWN) {
            value.atoms.clear();
        }
        value
    }

    /// The untrusted value that is read at a path, if that is a source.
    pub(super) fn as_source(&self, path: &str, value: &Value, span: Span) -> Option<Value> {
        let source = self.source(&[path], |_| true)?;
        // What is known to have been put there by the program itself stays that.
        if value.atoms.iter().any(|atom| atom.source == source.kind) {
            // A part of what is untrusted as a whole may be more harmless than the whole.
            let known = source.prefix.as_deref().map(Rc::from);
            if known.is_none() && source.clean == 0 {
                return None;
            }
            let path = Some(Rc::from(path));
            return Some(Value { prefix: known.or_else(|| value.prefix.clone()), path, ..value.cleaned(source.clean) });
        }
        Some(Value { path: Some(Rc::from(path)), ..Value::of(source, span) })
    }

    /// What was checked of a place before it is read.
    pub(super) fn checked(&self, expr: &Expr, value: Value, state: &State) -> Value {
        if state.checked.is_empty() {
            return value;
        }
        match expr.place().and_then(|place| state.checked.get(&place)) {
            Some(mask) => value.cleaned(*mask),
            None => value,
        }
    }

    fn collect(&mut self, elements: &[(Option<Rc<str>>, Expr)], state: &mut State) -> Value {
        let mut container = Value::container();
        let mut splat = false;
        for (key, element) in elements {
            let value = self.eval(element, state);
            match key {
                // What is compared with as it is cannot be an operator itself.
                Some(key) if self.is_named_for(&value) => {
                    self.check_name(key, element.span, &value);
                    container.set_part(Some(key), value);
                }
                Some(key) if &**key == "$eq" => container.set_part(Some(key), value.cleaned(self.rules.known.text)),
                Some(key) => container.set_part(Some(key), value),
                None => {
                    splat = true;
                    container.set_part(None, value.any_part());
                }
            }
        }
        if let Some(parts) = container.parts.as_mut().map(Rc::make_mut) {
            let list = elements
                .iter()
                .enumerate()
                .all(|(index, (key, _))| key.as_ref().is_some_and(|key| key.parse() == Ok(index)));
            *parts = Parts {
                whole: !splat,
                length: list.then_some(elements.len()),
                known: std::mem::take(&mut parts.known),
            };
        }
        container
    }

    /// A text put together from parts.
    pub(super) fn build(&mut self, values: &[Value]) -> Value {
        self.build_leading(values, true)
    }

    /// `bound` says that what stands in front of an absolute path still leads.
    pub(super) fn build_leading(&mut self, values: &[Value], bound: bool) -> Value {
        let mut atoms: Vec<Atom> = Vec::new();
        let (mut constant, mut prefix, mut open) = (String::new(), String::new(), true);
        let (mut shapes, mut known) = (0, true);
        let several = values.len() > 1;
        // What is put together is a text, and no longer the path that it was.
        let mut led = self.rules.known.text;
        let kept = if several { !self.rules.known.normal } else { Mask::MAX };
        for value in values {
            let own = value.all_atoms();
            let outside = own.iter().any(|atom| atom.source > PARAMETER && !atom.lasting);
            // One slash, and no second one behind it: it stays on its host.
            let local = if constant == "/" { self.rules.mask_of(&["bare"]) } else { 0 };
            for mut atom in own {
                atom.built |= several;
                if atom.clean & local != 0 {
                    atom.clean |= self.rules.mask_of(&["redirect"]);
                }
                atom.clean = if atom.clean == Mask::MAX { atom.clean } else { (atom.clean & kept) | led };
                atoms.push(atom);
            }
            // What an address or a path begins with decides where it leads: a part that leads nowhere else does it as well.
            if !outside && value.text.is_none() {
                led |= self.rules.known.leading;
            } else if outside {
                let all = value.all_atoms().into_iter().filter(|atom| atom.source > PARAMETER && !atom.lasting);
                led |= all.fold(self.rules.known.leading, |led, atom| led & atom.clean);
            }
            if bound && !outside && value.text.as_deref() != Some("") {
                led |= self.rules.known.absolute;
            }
            shapes |= value.shapes;
            known &= value.text.is_some();
            match value.text.as_deref() {
                Some(text) => constant.push_str(text),
                None => constant.push_str("\u{1}x"),
            }
            if open {
                prefix.push_str(value.text.as_deref().or(value.prefix.as_deref()).unwrap_or_default());
                open = value.text.is_some();
            }
        }
        if known && constant.len() < 4_000 {
            return sum(values).unwrap_or_else(|| Value::constant(&constant));
        }
        // Also text without untrusted parts: they may come later.
        shapes |= self.rules.forms(&constant);
        let prefix = (!prefix.is_empty()).then(|| Rc::from(prefix));
        let mut built = Value { prefix, shapes, ..Value::default() };
        built.add_atoms(&atoms);
        built
    }
}

/// A name in capitals is a constant by custom.
pub(super) fn is_constant_name(name: &str) -> bool {
    let letters = name.trim_start_matches('_');
    letters.len() > 1
        && letters.starts_with(|c: char| c.is_ascii_uppercase())
        && letters.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// A letter of a constant text.
fn letter(text: &Value, at: &str) -> Value {
    let letter = at.parse().ok().and_then(|at: usize| text.text.as_deref()?.chars().nth(at));
    letter.map_or_else(Value::default, |letter| Value::constant(letter.encode_utf8(&mut [0; 4])))
}

/// A key that could be written as the name of a part.
fn is_word(key: &str) -> bool {
    key.len() < 40 && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn joined(mut first: Value, second: &Value) -> Value {
    first.join(second);
    first
}

fn boolean(holds: bool) -> Value {
    Value::constant(if holds { "true" } else { "false" })
}

/// Numbers that are added, where all are whole.
fn sum(values: &[Value]) -> Option<Value> {
    let numbers: Option<Vec<i64>> = values.iter().map(|value| value.text.as_deref()?.parse().ok()).collect();
    let total = numbers?.into_iter().try_fold(0_i64, i64::checked_add)?;
    Some(Value::constant(&total.to_string()))
}

fn calculate(operator: &str, left: Option<&str>, right: Option<&str>) -> Value {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let result = number(left).zip(number(right)).and_then(|(a, b)| match operator {
        "-" => a.checked_sub(b),
        "*" => a.checked_mul(b),
        "/" => a.checked_div(b),
        "%" => a.checked_rem(b),
        _ => None,
    });
    result.map_or_else(Value::default, |number| Value::constant(&number.to_string()))
}

fn compare(comparison: Comparison, a: &str, b: &str) -> Option<bool> {
    let numbers = a.parse::<i64>().ok().zip(b.parse::<i64>().ok());
    let ordered = |test: fn(i64, i64) -> bool| numbers.map(|(a, b)| test(a, b));
    match comparison {
        Comparison::Equal => Some(a == b),
        Comparison::NotEqual => Some(a != b),
        Comparison::Less => ordered(|a, b| a < b),
        Comparison::LessOrEqual => ordered(|a, b| a <= b),
        Comparison::Greater => ordered(|a, b| a > b),
        Comparison::GreaterOrEqual => ordered(|a, b| a >= b),
        Comparison::In | Comparison::NotIn | Comparison::Other => None,
    }
}
