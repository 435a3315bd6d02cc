//! What is known at one point of a function.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::ir::Expr;
use super::spec::Mask;
use super::value::Value;
use crate::model::Span;

/// Variables by name. Where ways of the program part nothing is copied until one of them writes.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables(Rc<BTreeMap<Rc<str>, Value>>);

impl Deref for Variables {
    type Target = BTreeMap<Rc<str>, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Variables {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Rc::make_mut(&mut self.0)
    }
}

impl Variables {
    fn are(&self, others: &Self) -> bool {
        Rc::ptr_eq(&self.0, &others.0)
    }
}

#[derive(Debug, Clone)]
pub(super) struct State {
    pub variables: Variables,
    /// What was checked of places that are no variables (`request.query.id`), by how they are written.
    pub checked: BTreeMap<String, Mask>,
    /// What a variable that holds the outcome of a check stands for.
    pub facts: BTreeMap<Rc<str>, Rc<Expr>>,
    /// Whether this point is reached at all.
    pub live: bool,
    /// Whether variables were checked that nothing here names: others that come from the same source.
    pub swept: bool,
}

impl Default for State {
    fn default() -> Self {
        let variables = Variables::default();
        Self { variables, checked: BTreeMap::new(), facts: BTreeMap::new(), live: true, swept: false }
    }
}

impl State {
    /// What holds where two ways meet; whether that is less certain than before.
    pub fn join(&mut self, other: &Self) -> bool {
        if !other.live {
            return false;
        }
        if !self.live {
            *self = other.clone();
            return true;
        }
        self.swept |= other.swept;
        let changed = !self.variables.are(&other.variables) && self.join_variables(other);
        let others = &other.checked;
        self.checked.retain(|place, mask| {
            *mask &= others.get(place).copied().unwrap_or(0);
            *mask != 0
        });
        self.facts.retain(|name, fact| other.facts.get(name).is_some_and(|one| Rc::ptr_eq(one, fact)));
        changed
    }

    fn join_variables(&mut self, other: &Self) -> bool {
        let (variables, mut changed) = (&mut *self.variables, false);
        for (name, value) in other.variables.iter() {
            match variables.get_mut(name) {
                Some(known) => changed |= known.join(value),
                None => {
                    variables.insert(Rc::clone(name), value.clone());
                    changed = true;
                }
            }
        }
        changed
    }

    pub fn set(&mut self, name: &Rc<str>, value: Value) {
        self.facts.remove(name);
        self.forget_below(name);
        self.variables.insert(Rc::clone(name), value);
    }

    /// What was checked of a place no longer holds once it is written.
    pub fn forget_below(&mut self, place: &str) {
        if !self.checked.is_empty() {
            self.checked.retain(|checked, _| {
                checked.strip_prefix(place).is_none_or(|rest| !rest.is_empty() && !rest.starts_with(['.', '[']))
            });
        }
    }

    /// Notes that a place was checked and is harmless for some uses.
    pub fn check(&mut self, place: &str, mask: Mask) {
        match self.variables.get_mut(place) {
            Some(value) => *value = value.cleaned(mask),
            None => *self.checked.entry(place.to_owned()).or_default() |= mask,
        }
    }

    /// Makes all variables that come from one of the sources harmless for some uses.
    pub fn check_sources(&mut self, sources: &[Span], mask: Mask) {
        self.swept = true;
        for value in self.variables.values_mut() {
            for atom in &mut value.atoms {
                if atom.trail.spans().first().is_some_and(|first| sources.contains(first)) {
                    atom.clean |= mask;
                }
            }
        }
    }
}
