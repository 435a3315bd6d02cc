//! What the data flow is followed through: statements and expressions that every language's tree is brought down to.

use std::rc::Rc;

use crate::model::Span;

/// An expression and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Expr {
    pub span: Span,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A literal: the text of a string without its quotes, a number as written, `true`, `false` or `null`.
    Constant(Rc<str>),
    Name(Rc<str>),
    Member(Box<Expr>, Rc<str>),
    Index(Box<Expr>, Box<Expr>),
    Call(Box<Call>),
    /// Text put together from parts, in order.
    Text(Vec<Expr>),
    /// A list, tuple, map or object; a key is known when it is a constant.
    Collection(Vec<(Option<Rc<str>>, Expr)>),
    Arithmetic(&'static str, Box<Expr>, Box<Expr>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    Both(Box<Expr>, Box<Expr>),
    /// The first, or else the second: `or`, `||`, `??`.
    Either(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    /// Condition, value when it holds, value when it does not.
    Choice(Box<Expr>, Box<Expr>, Box<Expr>),
    Assign(Box<Assign>),
    Comprehension(Box<Comprehension>),
    Function(Rc<Function>),
    /// What hands on the values of its parts: `await x`, a slice, a cast.
    Same(Vec<Expr>),
    /// What is evaluated but gives no text: `typeof x`, `-x`, a type test.
    Plain(Vec<Expr>),
    /// A value that is checked to be of a type: the value and the type's name.
    IsType(Box<Expr>, Rc<str>),
    /// Nothing is known of it: too deep, too large, or not understood.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    Other,
}

#[derive(Debug, Clone)]
pub(super) struct Call {
    pub callee: Expr,
    pub arguments: Vec<Argument>,
    /// `new X(…)`.
    pub constructs: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Argument {
    pub name: Option<Rc<str>>,
    pub value: Expr,
    /// `*x`, `...x`: holds several.
    pub spread: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Assign {
    pub target: Expr,
    pub value: Expr,
    /// `+=`: what was there is kept.
    pub augmented: bool,
    /// The type that the target is declared with.
    pub declared: Option<Rc<str>>,
}

#[derive(Debug, Clone)]
pub(super) struct Comprehension {
    /// Target and what it runs over.
    pub clauses: Vec<(Expr, Expr)>,
    pub conditions: Vec<Expr>,
    pub body: Expr,
}

#[derive(Debug, Clone)]
pub(super) enum Stmt {
    Expr(Expr),
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    Loop(Box<Loop>),
    Switch(Expr, Vec<Case>),
    Try(Box<Try>),
    Return(Option<Expr>, Span),
    /// `raise`, `throw`, `panic`: nothing behind it runs.
    Exit,
    Break,
    Continue,
    Function(Rc<Function>),
    /// Local name and the path it stands for.
    Import(Vec<(Rc<str>, Rc<str>)>),
}

#[derive(Debug, Clone)]
pub(super) struct Loop {
    pub before: Vec<Stmt>,
    pub bind: Option<(Expr, Expr)>,
    pub condition: Option<Expr>,
    pub body: Vec<Stmt>,
    pub behind: Vec<Stmt>,
}

#[derive(Debug, Clone)]
pub(super) struct Case {
    /// Empty for the default.
    pub values: Vec<Expr>,
    pub body: Vec<Stmt>,
    pub falls_through: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Try {
    pub body: Vec<Stmt>,
    pub handlers: Vec<Vec<Stmt>>,
    pub otherwise: Vec<Stmt>,
    pub last: Vec<Stmt>,
}

/// A function, method or lambda.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub span: Span,
    pub name: Rc<str>,
    /// The class it is a method of.
    pub class: Option<Rc<str>>,
    /// The name of its own object inside: `self`, `this`, Go's receiver.
    pub own: Option<Rc<str>>,
    pub parameters: Vec<Parameter>,
    /// Decorators or annotations, as written.
    pub marks: Vec<Rc<str>>,
    /// Nobody outside of the file calls it.
    pub private: bool,
    pub body: Vec<Stmt>,
}

#[derive(Debug, Clone)]
pub(super) struct Parameter {
    /// A name or a pattern.
    pub target: Expr,
    pub name: Rc<str>,
    pub declared: Option<Rc<str>>,
    pub marks: Vec<Rc<str>>,
}

impl Expr {
    pub fn new(span: Span, kind: Kind) -> Self {
        Self { span, kind }
    }

    pub fn constant(&self) -> Option<&Rc<str>> {
        match &self.kind {
            Kind::Constant(text) => Some(text),
            _ => None,
        }
    }

    /// What the expression is written as when it names a place: `request.args`, `a[0]`, `self.x`.
    pub fn place(&self) -> Option<String> {
        match &self.kind {
            Kind::Name(name) => Some(name.to_string()),
            Kind::Member(object, name) => Some(format!("{}.{name}", object.place()?)),
            Kind::Index(object, index) => Some(format!("{}[{}]", object.place()?, index.constant()?)),
            _ => None,
        }
    }
}
