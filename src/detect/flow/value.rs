//! What is known of a value: where untrusted parts of it come from, what it was cleaned of, and its constant text.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::spec::{KindId, Mask, Source, UNKNOWN};
use super::summary::Summary;
use crate::model::Span;

/// Longest constant text that is kept, bytes.
const MAX_TEXT: usize = 2_000;
/// Sources that one value is told to come from.
const MAX_ATOMS: usize = 8;
/// Steps of a flow that are kept; those in the middle are dropped first.
const MAX_TRAIL: usize = 16;
/// Known parts of a container; beyond, parts are no longer told apart.
const MAX_PARTS: usize = 64;
/// Levels of containers in containers.
const MAX_LEVELS: u8 = 3;

/// The places that a value went through, the newest first.
#[derive(Debug, Clone)]
pub(super) struct Trail(Rc<Place>);

#[derive(Debug)]
struct Place {
    span: Span,
    before: Option<Trail>,
    length: usize,
}

impl Trail {
    pub fn at(span: Span) -> Self {
        Self(Rc::new(Place { span, before: None, length: 1 }))
    }

    #[must_use]
    pub fn then(&self, span: Span) -> Self {
        if self.0.span == span || self.0.length >= MAX_TRAIL {
            return self.clone();
        }
        Self(Rc::new(Place { span, before: Some(self.clone()), length: self.0.length + 1 }))
    }

    /// This trail followed by the places of another, its first excepted.
    #[must_use]
    pub fn followed_by(&self, other: &Self) -> Self {
        other.spans().into_iter().skip(1).fold(self.clone(), |trail, span| trail.then(span))
    }

    /// From the source on.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::with_capacity(self.0.length);
        let mut next = Some(self);
        while let Some(trail) = next {
            spans.push(trail.0.span);
            next = trail.0.before.as_ref();
        }
        spans.reverse();
        spans
    }
}

/// One source that is in a value.
#[derive(Debug, Clone)]
pub(super) struct Atom {
    pub source: KindId,
    /// The function and the number of its parameter, where that is what it comes from.
    pub owner: Option<(usize, usize)>,
    /// The uses that it is harmless for.
    pub clean: Mask,
    /// The uses that the name of a parameter says it is harmless for: not so what a caller hands in.
    pub trusted: Mask,
    /// It became a part of a longer text.
    pub built: bool,
    /// Nothing that is calculated from it gets rid of it.
    pub lasting: bool,
    pub trail: Trail,
}

/// Parts of a container by key.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub known: BTreeMap<Rc<str>, Value>,
    /// Nothing else is in it.
    pub whole: bool,
    /// How many there are, when it is a list and that is known.
    pub length: Option<usize>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Value {
    /// Of the value itself or, in a container, of what is under no known key.
    pub atoms: Vec<Atom>,
    pub text: Option<Rc<str>>,
    /// What its text certainly begins with.
    pub prefix: Option<Rc<str>>,
    /// Which forms of text were seen in its constant parts.
    pub shapes: Mask,
    /// What it is by its origin: `subprocess`, `db.cursor()`, a type.
    pub path: Option<Rc<str>>,
    /// The type that its variable is declared with.
    pub declared: Option<Rc<str>>,
    pub parts: Option<Rc<Parts>>,
    pub function: Option<Rc<Summary>>,
}

impl Value {
    /// A value that nothing is known of, which is not the same as a harmless one.
    pub fn unknown(span: Span) -> Self {
        Self::from_source(UNKNOWN, span)
    }

    pub fn from_source(source: KindId, span: Span) -> Self {
        let atom =
            Atom { source, owner: None, clean: 0, trusted: 0, built: false, lasting: false, trail: Trail::at(span) };
        Self { atoms: vec![atom], ..Self::default() }
    }

    /// What is read at a place that is a source.
    pub fn of(source: &Source, span: Span) -> Self {
        let prefix = source.prefix.as_deref().map(Rc::from);
        let mut value = Self { prefix, ..Self::from_source(source.kind, span).cleaned(source.clean) };
        value.atoms.iter_mut().for_each(|atom| atom.lasting = source.lasting);
        value
    }

    /// What is left of values in what is calculated from them.
    pub fn calculated<'v>(values: impl IntoIterator<Item = &'v Self>) -> Self {
        let mut left = Self::default();
        for value in values {
            if value.holds(&|atom| atom.lasting) {
                let atoms = value.all_atoms().into_iter().filter(|atom| atom.lasting);
                left.add_atoms(&atoms.collect::<Vec<_>>());
            }
        }
        left
    }

    /// Whether one of its sources, or of those of its parts, is like this.
    pub fn holds(&self, like: &dyn Fn(&Atom) -> bool) -> bool {
        let within = |parts: &Rc<Parts>| parts.known.values().any(|part| part.holds(like));
        self.atoms.iter().any(like) || self.parts.as_ref().is_some_and(within)
    }

    pub fn constant(text: &str) -> Self {
        if text.len() > MAX_TEXT {
            return Self::default();
        }
        let text: Rc<str> = Rc::from(text);
        Self { prefix: Some(Rc::clone(&text)), text: Some(text), ..Self::default() }
    }

    pub fn named(path: &str, span: Span) -> Self {
        Self { path: Some(Rc::from(path)), ..Self::unknown(span) }
    }

    /// Whether nothing in it comes from anywhere but the program's own text.
    pub fn is_constant(&self) -> bool {
        self.all_atoms().is_empty()
    }

    /// Its own sources and those of its parts.
    pub fn all_atoms(&self) -> Vec<Atom> {
        let mut atoms = self.atoms.clone();
        if let Some(parts) = &self.parts {
            for part in parts.known.values() {
                for atom in part.all_atoms() {
                    add(&mut atoms, &atom);
                }
            }
        }
        atoms
    }

    /// What one gets who reads a part of it under an unknown key.
    pub fn any_part(&self) -> Self {
        Self { atoms: self.all_atoms(), shapes: self.shapes, ..Self::default() }
    }

    pub fn add_atoms(&mut self, atoms: &[Atom]) {
        for atom in atoms {
            add(&mut self.atoms, atom);
        }
    }

    /// The same, harmless for more uses.
    #[must_use]
    pub fn cleaned(&self, mask: Mask) -> Self {
        let mut value = self.clone();
        for atom in &mut value.atoms {
            atom.clean |= mask;
        }
        if let Some(parts) = &mut value.parts {
            for part in Rc::make_mut(parts).known.values_mut() {
                *part = part.cleaned(mask);
            }
        }
        value
    }

    /// The same, having gone through one more place.
    #[must_use]
    pub fn through(mut self, span: Span) -> Self {
        for atom in self.atoms.iter_mut().filter(|atom| atom.source != UNKNOWN) {
            atom.trail = atom.trail.then(span);
        }
        self
    }

    /// What it is where two ways of the program meet; whether that is less certain than `self` was.
    pub fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for atom in &other.atoms {
            changed |= add(&mut self.atoms, atom);
        }
        if self.text != other.text {
            changed |= self.text.take().is_some();
        }
        if self.prefix != other.prefix {
            let common = common_prefix(self.prefix.as_deref(), other.prefix.as_deref());
            changed |= common.as_deref() != self.prefix.as_deref();
            self.prefix = common;
        }
        if self.shapes | other.shapes != self.shapes {
            self.shapes |= other.shapes;
            changed = true;
        }
        if self.path.is_none() {
            self.path.clone_from(&other.path);
        }
        if self.function.is_none() {
            self.function.clone_from(&other.function);
        }
        changed | self.join_parts(other)
    }

    fn join_parts(&mut self, other: &Self) -> bool {
        match (&mut self.parts, &other.parts) {
            (None, None) => false,
            (Some(own), Some(others)) if Rc::ptr_eq(own, others) => false,
            (Some(own), Some(others)) => {
                let own = Rc::make_mut(own);
                let mut changed = false;
                for (key, part) in &others.known {
                    match own.known.get_mut(key) {
                        Some(known) => changed |= known.join(part),
                        None => {
                            own.known.insert(Rc::clone(key), part.clone());
                            changed = true;
                        }
                    }
                }
                own.whole &= others.whole;
                if own.length != others.length {
                    own.length = None;
                }
                changed
            }
            (None, Some(others)) => {
                let mut parts = (**others).clone();
                parts.whole = false;
                self.parts = Some(Rc::new(parts));
                true
            }
            (Some(own), None) => {
                let own = Rc::make_mut(own);
                let changed = own.whole;
                own.whole = false;
                changed
            }
        }
    }

    /// Reads the part under a constant key; `None` when that key may be anything.
    pub fn part(&self, key: &str) -> Option<Self> {
        let parts = self.parts.as_ref()?;
        match parts.known.get(key) {
            Some(part) if self.atoms.is_empty() => Some(part.clone()),
            Some(part) => {
                let mut part = part.clone();
                part.add_atoms(&self.atoms);
                Some(part)
            }
            None if parts.whole && self.atoms.is_empty() => Some(Self::default()),
            None => Some(Self { atoms: self.atoms.clone(), shapes: self.shapes, ..Self::default() }),
        }
    }

    /// Writes a part. Under an unknown key it joins what is there.
    pub fn set_part(&mut self, key: Option<&str>, part: Self) {
        let part = if level(&part) >= MAX_LEVELS { part.any_part() } else { part };
        let parts = Rc::make_mut(self.parts.get_or_insert_with(Rc::default));
        self.text = None;
        match key {
            Some(key) if parts.known.len() < MAX_PARTS => {
                parts.known.insert(Rc::from(key), part);
            }
            _ => {
                parts.length = None;
                let atoms = part.all_atoms();
                self.shapes |= part.shapes;
                self.add_atoms(&atoms);
            }
        }
    }

    /// Appends to a list.
    pub fn push(&mut self, part: Self) {
        let parts = Rc::make_mut(self.parts.get_or_insert_with(Rc::default));
        match parts.length {
            Some(length) if length < MAX_PARTS => {
                parts.length = Some(length + 1);
                self.set_part(Some(&length.to_string()), part);
            }
            _ => self.set_part(None, part),
        }
    }

    /// Takes the element at a place out of a list.
    pub fn remove(&mut self, at: Option<usize>) {
        let Some(parts) = &mut self.parts else { return };
        let parts = Rc::make_mut(parts);
        match (parts.length, at) {
            (Some(length), Some(at)) if at < length => {
                for index in at + 1..length {
                    if let Some(part) = parts.known.remove(index.to_string().as_str()) {
                        parts.known.insert(Rc::from((index - 1).to_string()), part);
                    }
                }
                if at + 1 == length {
                    parts.known.remove(at.to_string().as_str());
                }
                parts.length = Some(length - 1);
            }
            (Some(0), _) => {}
            _ => {
                let atoms = parts.known.values().flat_map(Self::all_atoms).collect::<Vec<_>>();
                parts.known.clear();
                parts.length = None;
                self.add_atoms(&atoms);
            }
        }
    }

    /// An empty list or map whose every part is known.
    pub fn container() -> Self {
        Self { parts: Some(Rc::new(Parts { whole: true, length: Some(0), ..Parts::default() })), ..Self::default() }
    }
}

fn level(value: &Value) -> u8 {
    value.parts.as_ref().map_or(0, |parts| 1 + parts.known.values().map(level).max().unwrap_or(0))
}

/// Adds a source; whether that says more than was known.
fn add(atoms: &mut Vec<Atom>, atom: &Atom) -> bool {
    let same = |one: &&mut Atom| one.source == atom.source && one.owner == atom.owner;
    if let Some(known) = atoms.iter_mut().find(same) {
        let clean = known.clean & atom.clean;
        let changed = clean != known.clean || atom.built && !known.built;
        if clean != known.clean && atom.clean == clean {
            known.trail = atom.trail.clone();
        }
        known.clean = clean;
        known.trusted &= atom.trusted;
        known.built |= atom.built;
        return changed;
    }
    let room = atoms.len() < MAX_ATOMS;
    if room {
        atoms.push(atom.clone());
    }
    room
}

fn common_prefix(a: Option<&str>, b: Option<&str>) -> Option<Rc<str>> {
    let (a, b) = (a?, b?);
    let length = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).map(|(c, _)| c.len_utf8()).sum();
    a.get(..length).filter(|text| !text.is_empty()).map(Rc::from)
}
