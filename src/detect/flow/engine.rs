//! One walk over the functions of a file: what reaches the places where it must not go.
//!
//! Forward abstract interpretation of structured code: a state at each point, joined where ways meet, loops taken twice,
//! functions of the file summed up once. Source of the method: Cousot and Cousot, Abstract interpretation, POPL 1977;
//! functions summed up in the functional approach of Sharir and Pnueli, Two approaches to interprocedural data flow
//! analysis, 1981.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::rc::Rc;

use super::ir::{Expr, Function, Kind, Stmt};
use super::lower::{Definition, Lower, Outline};
use super::spec::{FlowRules, KindId, Mask, PARAMETER, Source, UNKNOWN};
use super::state::State;
use super::summary::{ParameterSink, Summary};
use super::trace::words_in;
use super::value::{Atom, Value};
use crate::model::Span;

/// Calls of functions of the file inside of each other that are followed.
const MAX_CALLS: usize = 4;
/// Levels of expressions and statements that are followed, all calls together.
pub(super) const MAX_LEVELS: usize = 220;

/// Variables of a module that are simply taken over after each statement.
const FEW_VARIABLES: usize = 100;

/// How a use of a value was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Judgement {
    /// Built from constants and cleaned values alone.
    Harmless,
    Unknown,
    Untrusted,
}

#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub judgement: Judgement,
    /// The source's kind and the places from the source to the sink, when it is untrusted.
    pub flow: Option<(KindId, Vec<Span>)>,
    pub owner: Option<(usize, usize)>,
}

#[derive(Default)]
struct Seen {
    untrusted: bool,
    owners: BTreeSet<(usize, usize)>,
}

enum Slot {
    Open,
    Running,
    Done(Rc<Summary>),
}

/// The function that is walked through.
pub(super) struct Frame {
    pub id: usize,
    pub span: Span,
    pub own: Option<Rc<str>>,
    pub class: Option<Rc<str>>,
    marks: Vec<Rc<str>>,
    pub returns: Option<Value>,
    pub sinks: Vec<ParameterSink>,
    pub breaks: Vec<State>,
    pub loops: usize,
    pub parameters: Vec<Rc<str>>,
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            id: usize::MAX,
            span: Span::new(0, 0),
            own: None,
            class: None,
            marks: Vec::new(),
            returns: None,
            sinks: Vec::new(),
            breaks: Vec::new(),
            loops: 0,
            parameters: Vec::new(),
        }
    }
}

pub(super) struct Engine<'a, 't> {
    pub rules: &'a FlowRules,
    /// Rules that look at this file.
    pub on: &'a [bool],
    /// Which of `FlowRules::files` the file holds.
    holds: Vec<bool>,
    pub lower: &'a Lower<'t>,
    pub outline: &'a Outline<'t>,
    steps: u64,
    pub level: usize,
    pub cut: bool,
    slots: Vec<Slot>,
    next_id: usize,
    private: BTreeSet<usize>,
    escaped: BTreeSet<Rc<str>>,
    pub by_name: BTreeMap<Rc<str>, Vec<usize>>,
    seen: BTreeMap<(usize, usize), Seen>,
    pub frames: Vec<Frame>,
    pub globals: State,
    pub fields: BTreeMap<(Rc<str>, Rc<str>), Value>,
    pub verdicts: BTreeMap<(usize, Span), Verdict>,
    /// What a function that is handed to a method gets as its first argument.
    pub handed: Option<Value>,
    /// What the parameters of a function that is handed over stand for.
    pub named: Option<Vec<String>>,
    /// The assignment that is made.
    pub assigned: Option<Span>,
}

impl<'a, 't> Engine<'a, 't> {
    pub fn new(
        (rules, text): (&'a FlowRules, &str),
        on: &'a [bool],
        lower: &'a Lower<'t>,
        outline: &'a Outline<'t>,
        steps: u64,
    ) -> Self {
        let mut by_name: BTreeMap<Rc<str>, Vec<usize>> = BTreeMap::new();
        for (index, definition) in outline.definitions.iter().enumerate() {
            by_name.entry(Rc::clone(&definition.name)).or_default().push(index);
        }
        Self {
            rules,
            on,
            holds: rules.files.iter().map(|file| file.is_match(text)).collect(),
            lower,
            outline,
            steps,
            level: 0,
            cut: false,
            slots: outline.definitions.iter().map(|_| Slot::Open).collect(),
            next_id: outline.definitions.len(),
            private: BTreeSet::new(),
            escaped: BTreeSet::new(),
            by_name,
            seen: BTreeMap::new(),
            frames: vec![Frame::default()],
            globals: State::default(),
            fields: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            handed: None,
            named: None,
            assigned: None,
        }
    }

    /// The first source at one of these paths that `fits` and counts in this file.
    pub fn source(&self, paths: &[&str], fits: impl Fn(&Source) -> bool) -> Option<&'a Source> {
        self.rules.sources.matching(paths).into_iter().find(|source| self.counts_here(source.file) && fits(source))
    }

    /// Whether the file holds what a source or sink asks for by number.
    pub fn counts_here(&self, file: Option<usize>) -> bool {
        file.is_none_or(|file| self.holds.get(file).copied().unwrap_or(false))
    }

    /// Takes steps; false when there are none left.
    pub fn spend(&mut self, steps: usize) -> bool {
        self.steps = self.steps.saturating_sub(steps as u64);
        self.cut |= self.steps == 0;
        self.steps > 0
    }

    pub fn exhausted(&self) -> bool {
        self.steps == 0
    }

    /// The statements outside of functions.
    pub fn module(&mut self) {
        let outline = self.outline;
        let mut state = State::default();
        for node in &outline.statements {
            let mut statements = Vec::new();
            self.lower.stmt(*node, &mut statements);
            self.run(&statements, &mut state);
            state.live = true;
            // Functions that are called from here see what stands above.
            let text = self.lower.source.get(node.byte_range()).unwrap_or_default();
            self.publish(text, &mut state);
            if self.exhausted() {
                return;
            }
        }
    }

    /// Takes the variables over that a statement of the module may have changed: where there are many, those that it names, and what
    /// is written of them. To take all of them each time would be quadratic.
    fn publish(&mut self, statement: &str, state: &mut State) {
        let known = &mut self.globals.variables;
        if state.variables.len() > FEW_VARIABLES {
            for (_, word) in words_in(statement) {
                let itself = state.variables.get_key_value(word);
                known.extend(itself.map(|(name, value)| (Rc::clone(name), value.clone())));
                // Between a dot or bracket and the character behind it.
                for (first, end) in [('.', '/'), ('[', '\\')] {
                    let (first, end) = (format!("{word}{first}"), format!("{word}{end}"));
                    let range = (Bound::Included(first.as_str()), Bound::Excluded(end.as_str()));
                    let below = state.variables.range::<str, _>(range);
                    known.extend(below.map(|(name, value)| (Rc::clone(name), value.clone())));
                }
            }
        }
        if std::mem::take(&mut state.swept) || known.len() != state.variables.len() || known.len() <= FEW_VARIABLES {
            self.globals.variables = state.variables.clone();
        }
    }

    /// The fields that classes declare with a value or a type.
    pub fn declared_fields(&mut self) {
        let outline = self.outline;
        for field in &outline.fields {
            let mut value = match field.value {
                Some(node) => {
                    let expr = self.lower.expr(node);
                    self.eval(&expr, &mut State::default())
                }
                None => Value::default(),
            };
            if let Some(declared) = &field.declared {
                value.path = Some(Rc::clone(declared));
                if field.value.is_none() && !self.rules.is_plain_type(declared) {
                    let span = Span::new(0, 0);
                    value.atoms = Value::unknown(span).atoms;
                }
            }
            self.fields.insert((Rc::clone(&field.class), Rc::clone(&field.name)), value);
        }
    }

    /// What the function of a number does; `None` while it is being found out, or when calls are nested too deep.
    pub fn summary(&mut self, index: usize) -> Option<Rc<Summary>> {
        match self.slots.get(index)? {
            Slot::Done(summary) => return Some(Rc::clone(summary)),
            Slot::Running => return None,
            Slot::Open if self.frames.len() > MAX_CALLS || self.exhausted() => return None,
            Slot::Open => {}
        }
        let outline = self.outline;
        let definition = outline.definitions.get(index)?;
        *self.slots.get_mut(index)? = Slot::Running;
        let function = self.lower.function(definition);
        if function.private {
            self.private.insert(index);
        }
        let summary = Rc::new(self.walk(&function, index, State::default()).0);
        *self.slots.get_mut(index)? = Slot::Done(Rc::clone(&summary));
        Some(summary)
    }

    /// A function that stands in another one, with what it sees of its surroundings.
    pub fn closure(&mut self, function: &Function, state: &mut State) -> Rc<Summary> {
        let id = self.next_id;
        self.next_id += 1;
        if self.frames.len() > MAX_CALLS + 4 || !self.spend(state.variables.len()) {
            let parameters = function.parameters.iter().map(|one| Rc::clone(&one.name)).collect();
            return Rc::new(Summary { id, parameters, returns: Value::unknown(function.span), sinks: Vec::new() });
        }
        let (summary, inner) = self.walk(function, id, state.clone());
        for (name, value) in state.variables.iter_mut() {
            let own = function.parameters.iter().any(|one| one.name == *name);
            if let Some(after) = inner.variables.get(name).filter(|_| !own) {
                value.join(after);
            }
        }
        Rc::new(summary)
    }

    fn walk(&mut self, function: &Function, id: usize, mut state: State) -> (Summary, State) {
        let (handed, named) = (self.handed.take(), self.named.take().unwrap_or_default());
        // One that takes an error first is called with others behind it.
        let fails = function.parameters.first().is_some_and(|one| one.name.starts_with("err"));
        let outer = self.frames.last();
        let own = function.own.clone().or_else(|| outer.and_then(|frame| frame.own.clone()));
        let class = function.class.clone().or_else(|| outer.and_then(|frame| frame.class.clone()));
        let mut parameters = outer.map(|frame| frame.parameters.clone()).unwrap_or_default();
        parameters.extend(function.parameters.iter().map(|one| Rc::clone(&one.name)));
        let marks = function.marks.clone();
        let span = function.span;
        self.frames.push(Frame { id, span, own, class, marks, parameters, ..Frame::default() });
        for (number, parameter) in function.parameters.iter().enumerate() {
            let value = match &handed {
                Some(value) if number == 0 => value.clone(),
                _ => self.parameter(function, id, number, parameter),
            };
            let value = match named.get(number).filter(|name| !fails && !name.is_empty()) {
                Some(name) => self.called_with(name, value, parameter.target.span),
                None => value,
            };
            self.bind(&parameter.target, value, &mut state);
        }
        self.run(&function.body, &mut state);
        let frame = self.frames.pop().unwrap_or_default();
        let parameters = function.parameters.iter().map(|one| Rc::clone(&one.name)).collect();
        let returns = frame.returns.unwrap_or_default();
        self.check_name(&function.name, function.span, &returns);
        (Summary { id, parameters, returns, sinks: frame.sinks }, state)
    }

    pub fn run(&mut self, statements: &[Stmt], state: &mut State) {
        for statement in statements {
            if !state.live || !self.spend(1) {
                return;
            }
            self.exec(statement, state);
        }
    }

    /// Looks at the callers of private functions whose parameters reach a sink.
    pub fn callers(&mut self) {
        let outline = self.outline;
        for _ in 0..2 {
            let private = |verdict: &Verdict| {
                let owner = verdict.owner.filter(|owner| self.private.contains(&owner.0))?;
                outline.definitions.get(owner.0).map(|definition| Rc::clone(&definition.name))
            };
            let names: BTreeSet<Rc<str>> = self.verdicts.values().filter_map(private).collect();
            let calls = |span: Span| {
                let text = self.lower.source.get(span.range()).unwrap_or_default();
                names.iter().any(|name| text.contains(&**name))
            };
            let open = outline.definitions.iter().enumerate().filter(|(number, definition)| {
                matches!(self.slots.get(*number), Some(Slot::Open)) && calls(definition.span)
            });
            for number in open.map(|(number, _)| number).collect::<Vec<_>>() {
                self.summary(number);
            }
        }
    }

    /// Looks at the functions that call those whose parameters reach a sink, or that give back what only the name tells the use
    /// of: what sinks and sources name is not named there.
    pub fn users(&mut self) {
        let outline = self.outline;
        for _ in 0..3 {
            let matters = |summary: &Summary| !summary.sinks.is_empty() || self.is_named_for(&summary.returns);
            let done = outline.definitions.iter().zip(&self.slots);
            let names: BTreeSet<&str> = done
                .filter(|(_, slot)| matches!(slot, Slot::Done(summary) if matters(summary)))
                .map(|(definition, _)| &*definition.name)
                .collect();
            let places = if names.is_empty() { Vec::new() } else { calls_of(self.lower.source, &names) };
            let calls = |definition: &Definition<'_>| {
                let from = places.partition_point(|place| *place < definition.span.start);
                places.get(from).is_some_and(|place| *place < definition.span.end)
            };
            let open = outline.definitions.iter().zip(&self.slots).enumerate();
            let open: Vec<usize> = open
                .filter(|(_, (definition, slot))| matches!(slot, Slot::Open) && calls(definition))
                .map(|(number, _)| number)
                .collect();
            if open.is_empty() || self.exhausted() {
                return;
            }
            for number in open {
                self.summary(number);
            }
        }
    }

    /// Judges again which parameters of private functions get untrusted values at all.
    pub fn settle(&mut self) {
        let mut known = BTreeMap::new();
        let harmless: Vec<(usize, Span)> = self
            .verdicts
            .iter()
            .filter(|(_, verdict)| {
                let parameter = verdict.flow.as_ref().is_some_and(|(kind, _)| *kind == PARAMETER);
                parameter && verdict.owner.is_some_and(|owner| self.is_fed_harmlessly(owner, 0, &mut known))
            })
            .map(|(key, _)| *key)
            .collect();
        for key in harmless {
            if let Some(verdict) = self.verdicts.get_mut(&key) {
                *verdict = Verdict { judgement: Judgement::Harmless, flow: None, owner: None };
            }
        }
    }

    /// `known` keeps the answers, since many functions may hand on to each other.
    fn is_fed_harmlessly(
        &self,
        owner: (usize, usize),
        depth: usize,
        known: &mut BTreeMap<((usize, usize), usize), bool>,
    ) -> bool {
        if let Some(answer) = known.get(&(owner, depth)) {
            return *answer;
        }
        let definition = self.outline.definitions.get(owner.0);
        let hidden = self.private.contains(&owner.0) && definition.is_some_and(|one| !self.escaped.contains(&one.name));
        let harmless = hidden
            && depth < 4
            && self.seen.get(&owner).is_some_and(|seen| {
                !seen.untrusted && seen.owners.iter().all(|next| self.is_fed_harmlessly(*next, depth + 1, known))
            });
        known.insert((owner, depth), harmless);
        harmless
    }

    /// A function is used as a value: anybody may call it.
    pub fn escapes(&mut self, name: &Rc<str>) {
        if self.by_name.contains_key(name) {
            self.escaped.insert(Rc::clone(name));
        }
    }

    /// A call of a function of the file: what its sinks get, and what it gives back.
    pub fn apply(&mut self, summary: &Summary, arguments: &[Value], span: Span) -> Value {
        // A token may be any mark between two parts of a program.
        let named = summary.parameters.iter().zip(arguments).filter(|(name, _)| &***name != "token");
        for (name, argument) in named {
            self.check_name(name, span, argument);
        }
        for number in 0..summary.parameters.len() {
            let atoms = arguments.get(number).map(Value::all_atoms).unwrap_or_default();
            let seen = self.seen.entry((summary.id, number)).or_default();
            for atom in atoms.iter().filter(|atom| atom.clean != Mask::MAX) {
                match atom.owner {
                    Some(owner) if atom.source == PARAMETER => drop(seen.owners.insert(owner)),
                    _ => seen.untrusted = true,
                }
            }
        }
        for sink in &summary.sinks {
            let Some(argument) = arguments.get(sink.parameter) else { continue };
            let atoms = argument.all_atoms().into_iter().filter(|atom| atom.source != UNKNOWN);
            let atoms: Vec<Atom> = atoms
                .map(|atom| Atom {
                    clean: atom.clean | sink.clean,
                    built: atom.built || sink.built,
                    trail: atom.trail.then(span).followed_by(&sink.trail),
                    ..atom
                })
                .collect();
            if atoms.is_empty() {
                continue;
            }
            let prefix = argument.prefix.clone().filter(|_| !sink.built);
            let value = Value { atoms, prefix, shapes: argument.shapes | sink.shapes, ..Value::default() };
            self.judge(sink.rule, sink.place, &value, sink.demand);
        }
        substitute(&summary.returns, summary.id, arguments, span)
    }

    /// What a function gives back to a caller may be what a rule forbids.
    pub fn returned(&mut self, value: &Value, span: Span) {
        let marks = self.frames.last().map(|frame| frame.marks.clone()).unwrap_or_default();
        let rules = self.rules;
        for (decorated, sink) in &rules.returns {
            if marks.iter().any(|mark| decorated.is_match(mark)) {
                self.judge(sink.rule, span, value, sink.demand);
            }
        }
    }

    pub fn bind_loop_target(&mut self, target: &Expr, source: &Value, state: &mut State) {
        let element = match &source.parts {
            Some(parts) if !parts.known.is_empty() => {
                let mut joined: Option<Value> = None;
                for part in parts.known.values() {
                    match &mut joined {
                        Some(joined) => {
                            joined.join(part);
                        }
                        None => joined = Some(part.clone()),
                    }
                }
                let mut element = joined.unwrap_or_default();
                element.add_atoms(&source.atoms);
                element
            }
            _ => {
                let path =
                    source.path.as_deref().filter(|path| path.len() < 120).map(|path| Rc::from(format!("{path}[]")));
                Value { path, ..source.any_part() }
            }
        };
        match &target.kind {
            // The elements of pairs: keys and values alike.
            Kind::Collection(targets) if element.parts.is_none() => {
                for (_, target) in targets {
                    self.bind(target, element.any_part(), state);
                }
            }
            _ => self.bind(target, element.through(target.span), state),
        }
    }
}

/// The places in order where one of some functions is called by its name.
fn calls_of(source: &str, names: &BTreeSet<&str>) -> Vec<usize> {
    let is_called = |(at, word): &(usize, &str)| {
        names.contains(word) && source.get(at + word.len()..).is_some_and(|rest| rest.starts_with('('))
    };
    words_in(source).filter(is_called).map(|(at, _)| at).collect()
}

/// The value that a function gives back, with what it was called with in place of its parameters.
fn substitute(returns: &Value, id: usize, arguments: &[Value], span: Span) -> Value {
    let mut value = returns.clone();
    let mut atoms = Vec::new();
    for atom in &returns.atoms {
        match atom.owner {
            Some((owner, parameter)) if owner == id => {
                let Some(argument) = arguments.get(parameter) else { continue };
                atoms.extend(argument.all_atoms().into_iter().map(|one| Atom {
                    clean: one.clean | atom.clean,
                    built: one.built || atom.built,
                    trail: one.trail.then(span).followed_by(&atom.trail),
                    ..one
                }));
                value.shapes |= argument.shapes;
            }
            _ => atoms.push(atom.clone()),
        }
    }
    value.atoms.clear();
    value.add_atoms(&atoms);
    if let Some(parts) = &mut value.parts {
        for part in Rc::make_mut(parts).known.values_mut() {
            *part = substitute(part, id, arguments, span);
        }
    }
    value
}
