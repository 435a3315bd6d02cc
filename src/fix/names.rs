//! Names that a change uses and nothing binds.
//!
//! A scope is a function, a class or the file; a name is bound when its own scope or one around it binds it anywhere, in
//! whatever order. That is more lenient than the languages are: what is reported is surely wrong, unless another file
//! supplies it. Names that were free before the change (globals of the environment, other files of a
//! package) are never reported.

use std::collections::{BTreeMap, BTreeSet};

use super::syntax::{Node, Tree};
use crate::model::Language;

mod builtins;
mod go;
mod java;
mod javascript;
mod python;

/// Names that are free in `after` and were not in `before`, sorted. Empty for languages without names of this
/// kind, and for files whose star imports could bind anything.
#[must_use]
pub fn unbound(language: Language, before: &Tree, after: &Tree) -> Vec<String> {
    let old = std::cell::OnceCell::new();
    unbound_beside(language, after, || old.get_or_init(|| free(language, before)))
}

/// [`unbound`], with the names that were [`free`] before where they are known already.
pub(super) fn unbound_beside<'k>(
    language: Language,
    after: &Tree,
    before: impl FnOnce() -> &'k BTreeSet<String>,
) -> Vec<String> {
    let new = free(language, after);
    if new.is_empty() { Vec::new() } else { new.difference(before()).cloned().collect() }
}

/// Whether names of the language are known well enough to say that one is bound nowhere.
#[must_use]
pub fn are_known(language: Language) -> bool {
    visitor(language).is_some()
}

/// How often the file's own scope binds each name.
#[must_use]
pub fn bound_at_top(language: Language, tree: &Tree) -> BTreeMap<String, usize> {
    scopes(language, tree).map(|scopes| scopes.of_file().clone()).unwrap_or_default()
}

/// Names that are used and bound nowhere around the use.
pub(super) fn free(language: Language, tree: &Tree) -> BTreeSet<String> {
    scopes(language, tree).map(|scopes| scopes.free(language)).unwrap_or_default()
}

fn visitor(language: Language) -> Option<Visit> {
    match language {
        Language::Python => Some(python::visit),
        Language::JavaScript | Language::TypeScript | Language::Tsx => Some(javascript::visit),
        Language::Java => Some(java::visit),
        Language::Go => Some(go::visit),
        // Who binds a name there is not known to us: no name is ever reported.
        Language::CSharp | Language::Dockerfile | Language::Hcl | Language::Php => None,
        Language::Ruby | Language::Rust | Language::Yaml => None,
    }
}

fn scopes(language: Language, tree: &Tree) -> Option<Scopes> {
    let visit = visitor(language)?;
    let mut walk = Walk { todo: vec![(tree.root(), FILE, Mode::Use)], scopes: Scopes::default() };
    while let Some((node, scope, mode)) = walk.todo.pop() {
        if node.is_error() {
            // What the parser did not understand may bind anything it mentions.
            node.dfs().filter(Node::is_named_leaf).for_each(|leaf| walk.scopes.bind(FILE, leaf.text()));
        }
        visit(&mut walk, &node, At { scope, mode });
    }
    Some(walk.scopes)
}

type Visit = for<'t> fn(&mut Walk<'t>, &Node<'t>, At);

/// The scope of the file itself.
const FILE: usize = 0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Identifiers here are looked up.
    Use,
    /// Identifiers here are bound.
    Bind,
}

/// Where the walk stands.
#[derive(Clone, Copy)]
struct At {
    scope: usize,
    mode: Mode,
}

impl At {
    fn using(self) -> Self {
        Self { mode: Mode::Use, ..self }
    }

    fn binding(self) -> Self {
        Self { mode: Mode::Bind, ..self }
    }
}

/// Nodes still to visit, and what was learned; a list instead of recursion, since trees can be of any depth.
struct Walk<'t> {
    todo: Vec<(Node<'t>, usize, Mode)>,
    scopes: Scopes,
}

impl<'t> Walk<'t> {
    fn node(&mut self, node: Option<Node<'t>>, at: At) {
        if let Some(node) = node {
            self.todo.push((node, at.scope, at.mode));
        }
    }

    fn field(&mut self, node: &Node<'t>, field: &str, at: At) {
        self.node(node.field(field), at);
    }

    fn children(&mut self, node: &Node<'t>, at: At) {
        self.todo.extend(node.children().map(|child| (child, at.scope, at.mode)));
    }

    /// Children but those of one field, whose nodes are visited as `special` says.
    fn children_but(&mut self, node: &Node<'t>, field: &str, special: At, others: At) {
        let marked: BTreeSet<usize> = node.field_children(field).map(|child| child.node_id()).collect();
        for child in node.children() {
            let at = if marked.contains(&child.node_id()) { special } else { others };
            self.todo.push((child, at.scope, at.mode));
        }
    }

    /// A name as the mode says.
    fn name(&mut self, node: &Node<'t>, at: At) {
        match at.mode {
            Mode::Use => self.scopes.uses.push((node.text().into_owned(), at.scope)),
            Mode::Bind => self.scopes.bind(at.scope, node.text()),
        }
    }

    /// A new scope inside this one, with identifiers looked up.
    fn inner(&mut self, at: At) -> At {
        self.scopes.parents.push(at.scope);
        self.scopes.bound.push(BTreeMap::new());
        At { scope: self.scopes.parents.len() - 1, mode: Mode::Use }
    }
}

/// Who binds what, and what is used where.
struct Scopes {
    /// The scope around each scope; the file's is its own.
    parents: Vec<usize>,
    bound: Vec<BTreeMap<String, usize>>,
    uses: Vec<(String, usize)>,
    /// Names of these kinds may come from somewhere that cannot be seen.
    open: Open,
}

/// What a file leaves open.
#[derive(Default)]
struct Open {
    /// Star imports of anything.
    everything: bool,
    /// Star imports of classes (Java).
    types: bool,
    /// Inherited members (Java).
    members: bool,
}

impl Default for Scopes {
    fn default() -> Self {
        Self { parents: vec![FILE], bound: vec![BTreeMap::new()], uses: Vec::new(), open: Open::default() }
    }
}

impl Scopes {
    fn bind(&mut self, scope: usize, name: impl Into<String>) {
        if let Some(bound) = self.bound.get_mut(scope) {
            *bound.entry(name.into()).or_insert(0) += 1;
        }
    }

    fn of_file(&self) -> &BTreeMap<String, usize> {
        static EMPTY: BTreeMap<String, usize> = BTreeMap::new();
        self.bound.first().unwrap_or(&EMPTY)
    }

    fn free(&self, language: Language) -> BTreeSet<String> {
        if self.open.everything {
            return BTreeSet::new();
        }
        let unbound = self.uses.iter().filter(|(name, scope)| {
            let is_type = name.starts_with(char::is_uppercase);
            let open = if is_type { self.open.types } else { self.open.members };
            !open && !builtins::has(language, name) && !self.is_bound(name, *scope)
        });
        unbound.map(|(name, _)| name.clone()).collect()
    }

    fn is_bound(&self, name: &str, mut scope: usize) -> bool {
        loop {
            if self.bound.get(scope).is_some_and(|bound| bound.contains_key(name)) {
                return true;
            }
            match self.parents.get(scope) {
                Some(parent) if *parent != scope => scope = *parent,
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests;
