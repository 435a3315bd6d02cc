//! From a language's syntax tree to what the data flow is followed through.

mod go;
mod java;
mod javascript;
mod outline;
mod python;

use std::cell::Cell;
use std::rc::Rc;

use tree_sitter::Node;

use super::ir::{Argument, Assign, Comparison, Expr, Function, Kind, Stmt};
use crate::model::{Language, Span};

pub(super) use outline::{Definition, Outline};

/// Levels of syntax inside one function; what lies deeper is taken as unknown.
const MAX_DEPTH: usize = 120;
/// A larger literal is a table of data, bytes.
const MAX_LITERAL: usize = 32 << 10;

/// Reads trees of one file.
pub(super) struct Lower<'t> {
    pub source: &'t str,
    pub language: Language,
    /// Nodes that may still be read.
    left: Cell<u64>,
    depth: Cell<usize>,
    cut: Cell<bool>,
}

impl<'t> Lower<'t> {
    pub fn new(source: &'t str, language: Language, nodes: u64) -> Self {
        Self { source, language, left: Cell::new(nodes), depth: Cell::new(0), cut: Cell::new(false) }
    }

    /// Whether something was left out because of a limit.
    pub fn is_cut(&self) -> bool {
        self.cut.get()
    }

    pub fn expr(&self, node: Node<'t>) -> Expr {
        let span = span(node);
        if !self.enter() {
            return Expr::new(span, Kind::Unknown);
        }
        // What is only wrapped is the same at its own place.
        if let ("await_expression" | "parenthesized_expression" | "non_null_expression", [only]) =
            (node.kind(), children(node).as_slice())
        {
            let inner = self.expr(*only);
            self.depth.set(self.depth.get() - 1);
            return inner;
        }
        let kind = match self.language {
            Language::Python => self.python_expr(node),
            Language::Java => self.java_expr(node),
            Language::Go => self.go_expr(node),
            _ => self.js_expr(node),
        };
        self.depth.set(self.depth.get() - 1);
        Expr::new(span, kind)
    }

    pub fn stmt(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        if !self.enter() {
            return;
        }
        match self.language {
            Language::Python => self.python_stmt(node, into),
            Language::Java => self.java_stmt(node, into),
            Language::Go => self.go_stmt(node, into),
            _ => self.js_stmt(node, into),
        }
        self.depth.set(self.depth.get() - 1);
    }

    /// The function that a definition of the outline is.
    pub fn function(&self, definition: &Definition<'t>) -> Function {
        match self.language {
            Language::Python => self.python_function(definition.node, definition.class.clone()),
            Language::Java => self.java_function(definition.node, definition.class.clone()),
            Language::Go => self.go_function(definition.node),
            _ => self.js_function(definition.node, definition.class.clone()),
        }
    }

    fn enter(&self) -> bool {
        let (left, depth) = (self.left.get(), self.depth.get());
        if left == 0 || depth >= MAX_DEPTH {
            self.cut.set(true);
            return false;
        }
        self.left.set(left - 1);
        self.depth.set(depth + 1);
        true
    }

    fn text(&self, node: Node<'t>) -> &'t str {
        self.source.get(node.byte_range()).unwrap_or_default()
    }

    fn name(&self, node: Node<'t>) -> Rc<str> {
        Rc::from(self.text(node))
    }

    fn field_text(&self, node: Node<'t>, field: &str) -> Rc<str> {
        node.child_by_field_name(field).map_or_else(|| Rc::from(""), |child| self.name(child))
    }

    fn field(&self, node: Node<'t>, field: &str) -> Expr {
        node.child_by_field_name(field).map_or_else(|| unknown(node), |child| self.expr(child))
    }

    fn boxed(&self, node: Node<'t>, field: &str) -> Box<Expr> {
        Box::new(self.field(node, field))
    }

    /// The statements of a block, or a single one.
    fn block(&self, node: Option<Node<'t>>) -> Vec<Stmt> {
        let mut statements = Vec::new();
        if let Some(node) = node {
            self.stmt(node, &mut statements);
        }
        statements
    }

    fn all(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        for child in children(node) {
            self.stmt(child, into);
        }
    }

    /// All named parts of a node as expressions.
    fn parts(&self, node: Node<'t>) -> Vec<Expr> {
        children(node).into_iter().map(|child| self.expr(child)).collect()
    }

    fn same(&self, node: Node<'t>) -> Kind {
        Kind::Same(self.parts(node))
    }

    /// The only part of parentheses and the like.
    fn inner(&self, node: Node<'t>) -> Kind {
        match children(node).as_slice() {
            [only] => self.expr(*only).kind,
            _ => self.same(node),
        }
    }

    /// Whether a literal is so large that it is data.
    fn is_data(&self, node: Node<'t>) -> bool {
        node.end_byte() - node.start_byte() > MAX_LITERAL
    }

    /// An operation on two values in the languages of C's family. `arithmetic` names the operators whose results on numbers are
    /// known to the engine.
    fn operation(&self, node: Node<'t>, arithmetic: &[&'static str]) -> Kind {
        let operator = operator(node);
        if operator == "+" {
            return self.sum(node);
        }
        let (left, right) = (self.boxed(node, "left"), self.boxed(node, "right"));
        if let Some(known) = arithmetic.iter().find(|known| **known == operator) {
            return Kind::Arithmetic(known, left, right);
        }
        let comparison = match operator {
            "&&" => return Kind::Both(left, right),
            "||" | "??" => return Kind::Either(left, right),
            "==" | "===" => Comparison::Equal,
            "!=" | "!==" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            "in" => Comparison::In,
            "instanceof" => Comparison::Other,
            _ => return Kind::Plain(vec![*left, *right]),
        };
        Kind::Compare(comparison, left, right)
    }

    /// The parts of `a + b + c`, found without recursion.
    fn sum(&self, node: Node<'t>) -> Kind {
        let is_sum = |one: Node<'t>| one.kind() == node.kind() && operator(one) == "+";
        let (mut parts, mut left) = (Vec::new(), node);
        while is_sum(left) && self.left.get() > 0 {
            self.left.set(self.left.get().saturating_sub(1));
            if let Some(right) = left.child_by_field_name("right") {
                parts.push(self.expr(right));
            }
            let Some(next) = left.child_by_field_name("left") else { break };
            left = next;
        }
        parts.push(self.expr(left));
        parts.reverse();
        Kind::Text(parts)
    }

    /// `if`, `while`: parentheses around a condition are not part of it.
    fn condition(&self, node: Node<'t>) -> Expr {
        self.field(node, "condition")
    }

    fn elements(&self, node: Node<'t>, is_splat: impl Fn(Node<'t>) -> bool) -> Kind {
        if self.is_data(node) {
            return Kind::Unknown;
        }
        let mut splat = false;
        let mut elements = Vec::new();
        for (index, child) in children(node).into_iter().enumerate() {
            splat |= is_splat(child);
            let key = (!splat).then(|| Rc::from(index.to_string()));
            elements.push((key, self.expr(child)));
        }
        Kind::Collection(elements)
    }
}

fn assign(target: Expr, value: Expr, augmented: bool, declared: Option<Rc<str>>) -> Expr {
    let span = Span::new(target.span.start.min(value.span.start), target.span.end.max(value.span.end));
    Expr::new(span, Kind::Assign(Box::new(Assign { target, value, augmented, declared })))
}

/// The sign or word of an operation.
fn operator(node: Node<'_>) -> &str {
    node.child_by_field_name("operator").map_or("", |operator| operator.kind())
}

fn positional(value: Expr) -> Argument {
    Argument { name: None, value, spread: false }
}

fn unknown(node: Node<'_>) -> Expr {
    Expr::new(span(node), Kind::Unknown)
}

fn span(node: Node<'_>) -> Span {
    Span::new(node.start_byte(), node.end_byte())
}

/// The named children in order, comments left out.
fn children<'t>(node: Node<'t>) -> Vec<Node<'t>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| !child.is_extra()).collect()
}

/// Children that stand in a field, in order.
fn in_field<'t>(node: Node<'t>, field: &str) -> Vec<Node<'t>> {
    let mut cursor = node.walk();
    node.children_by_field_name(field, &mut cursor).filter(|child| child.is_named()).collect()
}

/// What stands between the quotes of a string of any language.
fn unquoted(text: &str) -> &str {
    let bare = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    for quote in ["\"\"\"", "'''", "\"", "'", "`"] {
        if let Some(rest) = bare.strip_prefix(quote) {
            return rest.strip_suffix(quote).unwrap_or(rest);
        }
    }
    text
}

/// A type without its package, parameters and pointers: `List<String>` is `List`.
fn bare_type(text: &str) -> &str {
    let text = text.trim_start_matches(['*', '&', ':', ' ']).trim();
    text.split('<').next().unwrap_or(text).trim()
}
