//! Calls: what they do with what they are given.

use std::rc::Rc;

use regex::Regex;

use super::change::write_back;
use super::document::Argument;
use super::engine::Engine;
use super::format::formatted;
use super::ir::{Call, Expr, Kind};
use super::spec::{Mask, PARAMETER, Sink, Source, UNKNOWN};
use super::state::State;
use super::summary::Summary;
use super::value::Value;
use crate::model::{Language, Span};

/// An argument with its value.
pub(super) struct Given {
    name: Option<Rc<str>>,
    pub value: Value,
    spread: bool,
}

/// What a call is made on and with.
pub(super) struct Site<'c> {
    pub span: Span,
    pub call: &'c Call,
    receiver: Option<Value>,
    /// The last part of the callee's name.
    method: Rc<str>,
    /// Names of what is called: by origin, and as written.
    paths: Vec<String>,
    function: Option<Rc<Summary>>,
    pub given: Vec<Given>,
}

impl Site<'_> {
    /// The values that an argument of a rule means here.
    pub fn pick(&self, argument: &Argument) -> Vec<Value> {
        let positional = || self.given.iter().filter(|given| given.name.is_none());
        match argument {
            Argument::Receiver => self.receiver.clone().into_iter().collect(),
            Argument::All => self.given.iter().map(|given| given.value.clone()).collect(),
            Argument::From(number) => positional().skip(*number).map(|given| given.value.clone()).collect(),
            Argument::Number(number) => {
                let spread = positional().take(number + 1).find(|given| given.spread);
                let given = spread.or_else(|| positional().nth(*number));
                given
                    .map(|given| if given.spread { given.value.any_part() } else { given.value.clone() })
                    .into_iter()
                    .collect()
            }
            Argument::Part(number, part) => {
                positional().nth(*number).and_then(|given| given.value.part(part)).into_iter().collect()
            }
            Argument::Named(name) => {
                let named = self.given.iter().find(|given| given.name.as_deref() == Some(name));
                let option = || {
                    self.given.iter().find_map(|given| {
                        given.value.parts.as_ref().and_then(|parts| parts.known.get(name.as_str()).cloned())
                    })
                };
                named.map(|given| given.value.clone()).or_else(option).into_iter().collect()
            }
        }
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    pub fn receiver(&self) -> Option<&Value> {
        self.receiver.as_ref()
    }

    fn paths(&self) -> Vec<&str> {
        self.paths.iter().map(String::as_str).collect()
    }
}

impl Engine<'_, '_> {
    pub(super) fn call(&mut self, span: Span, call: &Call, state: &mut State) -> Value {
        let site = self.site(span, call, state);
        self.check_call(&site);
        let paths = site.paths();
        if self.rules.exits.any(&paths) {
            state.live = false;
        }
        self.result(&site, state)
    }

    fn site<'c>(&mut self, span: Span, call: &'c Call, state: &mut State) -> Site<'c> {
        let mut site = Site {
            span,
            call,
            receiver: None,
            method: Rc::from(""),
            paths: Vec::new(),
            function: None,
            given: Vec::new(),
        };
        match &call.callee.kind {
            Kind::Member(object, name) => {
                let own = self.own_method(object, name);
                let receiver = self.eval(object, state);
                site.method = Rc::clone(name);
                site.function = own.or_else(|| self.method_of(&receiver, call, name, state));
                site.paths = self.callee_paths(&receiver, object, name, &call.callee);
                site.receiver = Some(receiver);
            }
            Kind::Name(name) => {
                site.method = Rc::clone(name);
                let known = state.variables.get(name).or_else(|| self.globals.variables.get(name)).cloned();
                let path = known.as_ref().and_then(|value| value.path.clone()).unwrap_or_else(|| Rc::clone(name));
                site.paths.push(path.to_string());
                if known.is_none() {
                    site.function = self.function_named(name);
                } else {
                    site.function = known.and_then(|value| value.function);
                }
            }
            _ => {
                let callee = self.eval(&call.callee, state);
                site.paths.extend(callee.path.map(|path| path.to_string()));
                site.function = callee.function;
            }
        }
        site.given = self.arguments(call, &site, state);
        site
    }

    fn callee_paths(&self, receiver: &Value, object: &Expr, name: &str, callee: &Expr) -> Vec<String> {
        let mut paths = Vec::new();
        match receiver.path.as_deref().filter(|path| path.len() < 160) {
            Some(path) => paths.push(format!("{path}.{name}")),
            None if receiver.text.is_some() && object.constant().is_some() => paths.push(format!("\"\".{name}")),
            None => {}
        }
        paths.extend(receiver.declared.as_ref().map(|declared| format!("{declared}.{name}")));
        if let Some(written) = callee.place()
            && !paths.contains(&written)
        {
            paths.push(written);
        }
        if paths.is_empty() {
            paths.push(format!("?.{name}"));
        }
        paths
    }

    fn arguments(&mut self, call: &Call, site: &Site<'_>, state: &mut State) -> Vec<Given> {
        let mut given = Vec::with_capacity(call.arguments.len());
        let element = site
            .receiver
            .as_ref()
            .map(Value::any_part)
            .filter(|value| value.atoms.iter().any(|atom| atom.source != UNKNOWN));
        for argument in &call.arguments {
            if matches!(argument.value.kind, Kind::Function(_)) {
                self.handed.clone_from(&element);
                self.named = self.names_for(site, &given);
            }
            let value = self.eval(&argument.value, state);
            (self.handed, self.named) = (None, None);
            given.push(Given { name: argument.name.clone(), value, spread: argument.spread });
        }
        given
    }

    /// What the parameters of a function stand for that is handed to a call behind some other arguments.
    fn names_for(&self, site: &Site<'_>, given: &[Given]) -> Option<Vec<String>> {
        let holds = |(place, wanted): &(String, Regex)| {
            let Argument::Number(number) = Argument::read(place) else { return false };
            given.get(number).and_then(|one| one.value.text.as_deref()).is_some_and(|text| wanted.is_match(text))
        };
        let callbacks = self.rules.callbacks.matching(&site.paths());
        callbacks.into_iter().find(|one| one.conditions.iter().all(holds)).map(|one| one.names.clone())
    }

    /// A method of the object whose method is walked through.
    fn own_method(&mut self, object: &Expr, name: &Rc<str>) -> Option<Rc<Summary>> {
        let frame = self.frames.last()?;
        let Kind::Name(receiver) = &object.kind else { return None };
        let class = frame.class.clone()?;
        let own = frame.own.as_ref() == Some(receiver) || **receiver == *class;
        own.then(|| self.method_in(&class, name))?
    }

    fn method_in(&mut self, class: &str, name: &Rc<str>) -> Option<Rc<Summary>> {
        let outline = self.outline;
        let index =
            *self.by_name.get(name)?.iter().find(|index| {
                outline.definitions.get(**index).is_some_and(|one| one.class.as_deref() == Some(class))
            })?;
        self.summary(index)
    }

    /// A method of another class of the file: by the receiver's type, or because no other method has that name and that
    /// many parameters.
    fn method_of(&mut self, receiver: &Value, call: &Call, name: &Rc<str>, state: &State) -> Option<Rc<Summary>> {
        let outline = self.outline;
        let candidates = self.by_name.get(name)?.clone();
        let class = receiver.path.as_deref().map(|path| path.trim_end_matches("()"));
        let exact = candidates.iter().copied().find(|index| {
            outline.definitions.get(*index).is_some_and(|one| one.class.is_some() && one.class.as_deref() == class)
        });
        if let Some(index) = exact {
            return self.summary(index);
        }
        let [only] = candidates.as_slice() else { return None };
        let Kind::Member(object, _) = &call.callee.kind else { return None };
        let local = matches!(&object.kind, Kind::Name(name) if state.variables.contains_key(name));
        let foreign = class.is_some_and(|class| class.contains(['.', '/'])) || !(local || receiver.path.is_none());
        let summary = if foreign { None } else { self.summary(*only) }?;
        (summary.parameters.len() == call.arguments.len()).then_some(summary)
    }

    fn function_named(&mut self, name: &Rc<str>) -> Option<Rc<Summary>> {
        let outline = self.outline;
        let candidates = self.by_name.get(name)?.clone();
        let class = self.frames.last().and_then(|frame| frame.class.clone());
        let of = |index: &usize| outline.definitions.get(*index).map(|one| one.class.clone());
        let free = candidates.iter().find(|index| of(index) == Some(None));
        let same = candidates.iter().find(|index| of(index) == Some(class.clone()));
        let index = *same.or(free)?;
        self.summary(index)
    }

    fn check_call(&mut self, site: &Site<'_>) {
        self.check_names(site);
        let rules = self.rules;
        for sink in rules.calls.matching(&site.paths()) {
            let constructs = sink.constructs.is_none_or(|constructs| constructs == site.call.constructs);
            let meant =
                constructs && self.counts_here(sink.file) && !sink.except.any(&site.paths()) && holds(sink, site);
            if meant && sink.always {
                self.found(sink.rule, site.span);
            } else if meant {
                for argument in &sink.arguments {
                    for value in site.pick(argument) {
                        self.judge(sink.rule, site.span, &value, sink.demand);
                    }
                }
            }
        }
    }

    /// What arguments are called: by keyword, by the method that sets them, by the text in front of them.
    fn check_names(&mut self, site: &Site<'_>) {
        if !site.given.iter().any(|given| self.is_named_for(&given.value)) {
            return;
        }
        for given in &site.given {
            if let Some(name) = &given.name {
                self.check_name(name, site.span, &given.value);
            }
        }
        match (site.given.as_slice(), site.method().strip_prefix("set").or(site.method().strip_prefix("Set"))) {
            ([only], Some(name)) => self.check_name(name.trim_start_matches('_'), site.span, &only.value),
            ([key, value, ..], _) if !site.method().eq_ignore_ascii_case("replace") => {
                if let Some(name) = &key.value.text {
                    self.check_name(name, site.span, &value.value);
                }
            }
            _ => {}
        }
    }

    /// Assigning to some names that no function gave a value is a use: `location = x`.
    pub(super) fn check_named(&mut self, name: &Rc<str>, span: Span, value: &Value, state: &State) {
        let rules = self.rules;
        if state.variables.contains_key(name) {
            return;
        }
        let span = self.assigned.unwrap_or(span);
        for sink in rules.assigns.matching(&[&**name]) {
            self.judge(sink.rule, span, value, sink.demand);
        }
    }

    /// Assigning to an element of some containers is a use: `session[key] = x`.
    pub(super) fn check_element(&mut self, object: &Expr, span: Span, value: &Value, state: &mut State) {
        let rules = self.rules;
        if rules.elements.is_empty() {
            return;
        }
        let by_origin = self.eval(object, state).path.map(|path| format!("{path}[]"));
        let written = object.place().map(|place| format!("{place}[]"));
        let paths: Vec<&str> = by_origin.iter().chain(&written).map(String::as_str).collect();
        let span = self.assigned.unwrap_or(span);
        for sink in rules.elements.matching(&paths) {
            self.judge(sink.rule, span, value, sink.demand);
        }
    }

    /// Assigning to some places is a use.
    pub(super) fn check_assign(&mut self, target: &Expr, value: &Value, state: &mut State) {
        let Kind::Member(object, name) = &target.kind else { return };
        let rules = self.rules;
        let base = self.eval(object, state);
        let by_origin = base.path.as_ref().map(|path| format!("{path}.{name}"));
        let written = target.place().unwrap_or_else(|| format!("?.{name}"));
        let paths: Vec<&str> = by_origin.iter().map(String::as_str).chain([written.as_str()]).collect();
        let span = self.assigned.unwrap_or(target.span);
        for sink in rules.assigns.matching(&paths) {
            self.judge(sink.rule, span, value, sink.demand);
        }
    }

    fn result(&mut self, site: &Site<'_>, state: &mut State) -> Value {
        let paths = site.paths();
        let called: Vec<String> = paths.iter().map(|path| format!("{path}()")).collect();
        let first = called.first().cloned().unwrap_or_default();
        let path = if site.call.constructs { paths.first().map_or("", |path| path) } else { first.as_str() };
        let named = |value: Value| Value { path: value.path.or_else(|| Some(Rc::from(path))), ..value };
        let called: Vec<&str> = called.iter().map(String::as_str).collect();
        let few = |source: &Source| {
            source.most.is_none_or(|most| site.given.len() <= most) && are_like(&source.conditions, site)
        };
        // Which generator it is, its origin tells better than its declared type.
        let made = |source: &Source| source.lasting && few(source);
        let found = self.source(&called, |source| !source.lasting && few(source));
        if let Some(source) = found.or_else(|| self.source(called.get(..1).unwrap_or_default(), made)) {
            let value = Value::of(source, site.span);
            for name in fill(site, &source.into, &value, state) {
                self.check_name(&name, site.span, &value);
            }
            return if source.into.is_empty() { named(value) } else { Value::unknown(site.span) };
        }
        if let Some(module) = required(site) {
            return Value::named(&module, site.span);
        }
        let cleaners = self.rules.cleaners.matching(&paths);
        if !cleaners.is_empty() {
            let strong = cleaners.iter().any(|one| !one.weak);
            let counting = cleaners.into_iter().filter(|one| !(strong && one.weak));
            return named(cleaned(site, counting.fold(0, |mask, one| mask | one.mask)));
        }
        if let Some(summary) = &site.function {
            let given: Vec<Value> = self.in_order(summary, site);
            let value = self.apply(summary, &given, site.span);
            return value.through(site.span);
        }
        if let Some(value) = self.changed(site, state) {
            return value;
        }
        if let Some(value) = self.passed(site, state) {
            return value;
        }
        if (site.call.constructs || site.receiver.is_none())
            && let Some(value) = self.contained(site, &paths)
        {
            return value;
        }
        if self.rules.builders.any(&paths) {
            let values: Vec<Value> = site.given.iter().map(|given| given.value.clone()).collect();
            let start = if values.is_empty() { Value::constant("") } else { self.build(&values) };
            return Value { path: Some(Rc::from(path)), ..start };
        }
        named(self.handed_on(site))
    }

    /// A list or map that is made: empty, or with what it is made from.
    fn contained(&self, site: &Site<'_>, paths: &[&str]) -> Option<Value> {
        let filled = self.lower.language == Language::Go && site.call.constructs;
        let path = paths.first().filter(|_| filled || self.rules.containers.any(paths))?;
        let path = Some(Rc::from(*path));
        match site.given.as_slice() {
            [] => Some(Value { path, ..Value::container() }),
            [only] if only.value.parts.is_some() && !paths.iter().any(|path| path.ends_with("Map")) => {
                Some(Value { path, ..only.value.clone() })
            }
            _ if site.given.iter().all(|given| given.value.is_constant()) => Some(Value { path, ..Value::container() }),
            _ => None,
        }
    }

    /// The arguments in the order of the parameters.
    fn in_order(&self, summary: &Summary, site: &Site<'_>) -> Vec<Value> {
        let mut values: Vec<Value> = Vec::with_capacity(summary.parameters.len());
        let positional: Vec<&Given> = site.given.iter().filter(|given| given.name.is_none()).collect();
        let spread = positional.iter().position(|given| given.spread);
        for (number, parameter) in summary.parameters.iter().enumerate() {
            let named = site.given.iter().find(|given| given.name.as_ref() == Some(parameter));
            let from_spread = spread.filter(|at| number >= *at).and_then(|at| positional.get(at));
            let value = match (named, from_spread, positional.get(number)) {
                (Some(named), _, _) => named.value.clone(),
                (None, Some(spread), _) => spread.value.any_part(),
                (None, None, Some(given)) => given.value.clone(),
                (None, None, None) => Value::default(),
            };
            values.push(value);
        }
        values
    }

    /// What a call gives that no rule knows: what a method is called on is in what it gives, and so is what a function that
    /// is handed over gives.
    fn handed_on(&mut self, site: &Site<'_>) -> Value {
        let mut value = Value::unknown(site.span);
        let functions = site.given.iter().any(|given| given.value.function.is_some());
        if functions && matches!(&*site.method, "map" | "flatMap" | "then" | "mapToObj" | "thenApply") {
            // What the function makes of each takes the place of what was there.
            value = Value::default();
        } else if let Some(receiver) = &site.receiver {
            let atoms = receiver.all_atoms();
            if atoms.iter().any(|atom| atom.source != UNKNOWN) {
                value = Value { shapes: receiver.shapes, ..Value::default() };
                value.add_atoms(&atoms);
            } else if receiver.text.is_some() || receiver.parts.is_some() && atoms.is_empty() {
                value = Value::default();
                if site.given.iter().any(|given| !given.value.is_constant()) {
                    value = Value::unknown(site.span);
                }
            }
        }
        for given in &site.given {
            if let Some(function) = &given.value.function {
                let returns = self.apply(function, &[], site.span);
                value.add_atoms(&returns.all_atoms());
                value.shapes |= returns.shapes;
            }
        }
        value
    }

    fn passed(&mut self, site: &Site<'_>, state: &mut State) -> Option<Value> {
        let pass = self.rules.passes.first(&site.paths())?.clone();
        if let Some(format) = &pass.format {
            let text = site.pick(format).into_iter().next().unwrap_or_default();
            let others: Vec<Value> = match format {
                Argument::Number(number) => site.given.iter().skip(number + 1).map(|one| one.value.clone()).collect(),
                _ => site.given.iter().map(|one| one.value.clone()).collect(),
            };
            let parts = formatted(&text, &others);
            return Some(self.build(&parts));
        }
        let values: Vec<Value> = pass.from.iter().flat_map(|argument| site.pick(argument)).collect();
        if let Some(mask) = self.replaced(site) {
            let value = values.into_iter().next().unwrap_or_default().any_part();
            return Some(value.cleaned(mask | pass.cleans));
        }
        if pass.joins {
            let parts: Vec<Value> = values.iter().flat_map(elements).collect();
            let mut value = self.build_leading(&parts, !pass.overrides);
            value.atoms.iter_mut().for_each(|atom| atom.built = true);
            return Some(value.cleaned(pass.cleans));
        }
        // A part of a text, or a text without its beginning, begins differently.
        let cuts = site.receiver.is_some() && values.iter().any(|value| value.text.is_none());
        let mut values = values.into_iter();
        let first = values.next().unwrap_or_default();
        let mut all = values.fold(first, |mut all, one| {
            all.join(&one);
            all
        });
        let rooted = all.prefix.as_deref().is_some_and(|prefix| prefix.starts_with('/'));
        if cuts {
            all.prefix = all.prefix.filter(|_| !cuts_beginning(site.method()));
        }
        if site.call.constructs {
            all.path = site.paths.first().map(|path| Rc::from(path.as_str()));
        } else if pass.from.as_slice() == [Argument::Receiver] && all.atoms.iter().all(|atom| atom.source == UNKNOWN) {
            // Of something that nobody knows a method gives something else.
            let path = site.paths.first().filter(|path| path.len() < 160).map(|path| Rc::from(format!("{path}()")));
            all.path = path.filter(|_| all.path.is_some());
        }
        let mut all = all.cleaned(pass.cleans | self.extracted(site) | self.trimmed(site));
        if rooted && pass.cleans & self.rules.known.normal != 0 {
            self.below_root(&mut all);
        }
        // A part of a whole is not at the place of the whole.
        if matches!(site.method(), "slice" | "splice" | "filter" | "concat" | "get" | "getlist" | "getAll" | "pop") {
            all.path = all.path.filter(|_| all.atoms.iter().all(|atom| atom.source == UNKNOWN));
        }
        let given = site.given.iter().filter_map(|given| given.value.function.as_ref());
        all.add_atoms(&Value::calculated(given.map(|function| &function.returns)).atoms);
        fill(site, &pass.into, &all, state);
        Some(if pass.into.is_empty() { all } else { Value::unknown(site.span) })
    }
}

/// Puts a value into what a call was given to be filled, and tells the names of that.
fn fill(site: &Site<'_>, into: &[Argument], value: &Value, state: &mut State) -> Vec<String> {
    let mut names = Vec::new();
    if into.is_empty() {
        return names;
    }
    for (number, (argument, given)) in site.call.arguments.iter().zip(&site.given).enumerate() {
        let meant = |one: &Argument| match one {
            Argument::All => true,
            Argument::Number(at) => *at == number,
            Argument::From(at) => number >= *at,
            _ => false,
        };
        if into.iter().any(meant) {
            let mut filled = Value { text: None, prefix: None, ..given.value.clone() };
            filled.add_atoms(&value.all_atoms());
            let target = whole(&argument.value);
            names.extend(target.place());
            write_back(target, filled, state);
        }
    }
    names
}

/// What a slice of is given: `bytes[:]`.
fn whole(expr: &Expr) -> &Expr {
    match &expr.kind {
        Kind::Same(parts) if parts.len() == 1 => parts.first().map_or(expr, whole),
        _ => expr,
    }
}

/// Whether a method gives a text that may begin differently from the one it is called on.
fn cuts_beginning(method: &str) -> bool {
    let kept = ["toString", "trim", "trimEnd", "toLowerCase", "concat", "strip", "rstrip", "lower", "encode", "decode"];
    !kept.contains(&method)
}

fn holds(sink: &Sink, site: &Site<'_>) -> bool {
    let given = |place: &String| !site.pick(&Argument::read(place)).is_empty();
    if sink.absent.iter().any(given) {
        return false;
    }
    let written = |(place, wanted): &(String, Regex)| {
        let values = site.pick(&Argument::read(place));
        values
            .iter()
            .any(|value| value.is_constant() && value.text.as_deref().is_some_and(|text| wanted.is_match(text)))
    };
    are_like(&sink.conditions, site) && sink.written.iter().all(written)
}

/// Whether arguments are known to be as conditions say.
fn are_like(conditions: &[(String, Regex)], site: &Site<'_>) -> bool {
    conditions.iter().all(|(place, wanted)| {
        let values = site.pick(&Argument::read(place));
        let told = |told: &Option<Rc<str>>| told.as_deref().is_some_and(|text| wanted.is_match(text));
        values.iter().any(|value| told(&value.text) || told(&value.path))
    })
}

/// `require("module")`.
fn required(site: &Site<'_>) -> Option<String> {
    let [given] = site.given.as_slice() else { return None };
    let plain = site.receiver.is_none() && matches!(&*site.method, "require" | "__import__" | "import");
    let module = given.value.text.as_deref().filter(|_| plain)?;
    Some(module.trim_start_matches("node:").trim_start_matches(['.', '/']).replace('.', "_"))
}

/// The arguments and the receiver of a call that cleans, made harmless.
fn cleaned(site: &Site<'_>, mask: Mask) -> Value {
    if mask == Mask::MAX {
        return Value::calculated(site.given.iter().map(|given| &given.value).chain(&site.receiver));
    }
    let mut value = Value::default();
    for one in site.given.iter().map(|given| &given.value).chain(&site.receiver) {
        let weak = site.receiver.as_ref().is_some_and(|receiver| std::ptr::eq(receiver, one));
        let atoms = one.all_atoms().into_iter().filter(|atom| !weak || !matches!(atom.source, UNKNOWN | PARAMETER));
        value.add_atoms(&atoms.collect::<Vec<_>>());
    }
    if value.atoms.is_empty() {
        value = Value::unknown(site.span);
    }
    value.cleaned(mask)
}

/// What is joined when a list is: its elements.
fn elements(value: &Value) -> Vec<Value> {
    match &value.parts {
        Some(parts) if !parts.known.is_empty() => {
            let mut all: Vec<Value> = parts.known.values().cloned().collect();
            if !value.atoms.is_empty() {
                all.push(Value { atoms: value.atoms.clone(), ..Value::default() });
            }
            all
        }
        _ => vec![value.clone()],
    }
}
