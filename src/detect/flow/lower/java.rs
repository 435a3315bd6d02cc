//! Java.

use std::rc::Rc;

use tree_sitter::Node;

use super::{Lower, assign, bare_type, children, in_field, positional, span, unknown, unquoted};
use crate::detect::flow::ir::{Argument, Call, Case, Expr, Function, Kind, Loop, Parameter, Stmt, Try};

impl<'t> Lower<'t> {
    pub(super) fn java_expr(&self, node: Node<'t>) -> Kind {
        match node.kind() {
            "identifier" | "this" | "type_identifier" | "scoped_type_identifier" | "scoped_identifier" => {
                Kind::Name(self.name(node))
            }
            "string_literal" | "character_literal" => Kind::Constant(Rc::from(unquoted(self.text(node)))),
            "true" | "false" => Kind::Constant(self.name(node)),
            "null_literal" => Kind::Constant(Rc::from("null")),
            kind if kind.ends_with("_literal") && kind != "class_literal" => Kind::Constant(self.name(node)),
            "field_access" if is_qualified_class(self.text(node)) => Kind::Name(self.field_text(node, "field")),
            "field_access" => Kind::Member(self.boxed(node, "object"), self.field_text(node, "field")),
            "array_access" => Kind::Index(self.boxed(node, "array"), self.boxed(node, "index")),
            "method_invocation" => self.java_call(node),
            "object_creation_expression" => self.java_new(node),
            "binary_expression" => self.operation(node, &["-", "*", "/", "%"]),
            "unary_expression" => match &*self.field_text(node, "operator") {
                "!" => Kind::Not(self.boxed(node, "operand")),
                "-" => Kind::Constant(Rc::from(format!("-{}", self.field_text(node, "operand")))),
                _ => Kind::Plain(vec![self.field(node, "operand")]),
            },
            "update_expression" => Kind::Plain(self.parts(node)),
            "ternary_expression" => Kind::Choice(
                self.boxed(node, "condition"),
                self.boxed(node, "consequence"),
                self.boxed(node, "alternative"),
            ),
            "assignment_expression" => {
                let augmented = &*self.field_text(node, "operator") != "=";
                assign(self.field(node, "left"), self.field(node, "right"), augmented, None).kind
            }
            "cast_expression" => match bare_type(&self.field_text(node, "type")) {
                "int" | "long" | "double" | "float" | "short" | "byte" | "Integer" | "Long" => {
                    Kind::Plain(vec![self.field(node, "value")])
                }
                _ => self.field(node, "value").kind,
            },
            "instanceof_expression" => {
                Kind::IsType(self.boxed(node, "left"), Rc::from(bare_type(&self.field_text(node, "right"))))
            }
            "lambda_expression" => Kind::Function(Rc::new(self.java_lambda(node))),
            "array_creation_expression" => match node.child_by_field_name("value") {
                Some(value) => self.expr(value).kind,
                None => Kind::Collection(Vec::new()),
            },
            "array_initializer" => self.elements(node, |_| false),
            "parenthesized_expression" => self.inner(node),
            "switch_expression" => self.java_switch_value(node),
            "class_literal" | "method_reference" | "type_arguments" => Kind::Plain(Vec::new()),
            _ => self.same(node),
        }
    }

    fn java_arguments(&self, node: Node<'t>) -> Vec<Argument> {
        let list = node.child_by_field_name("arguments").map(children).unwrap_or_default();
        list.into_iter().map(|child| positional(self.expr(child))).collect()
    }

    fn java_call(&self, node: Node<'t>) -> Kind {
        let name = self.field_text(node, "name");
        let callee = match node.child_by_field_name("object") {
            Some(object) => Kind::Member(Box::new(self.expr(object)), name),
            None => Kind::Name(name),
        };
        let callee = Expr::new(node.child_by_field_name("name").map_or_else(|| span(node), span), callee);
        Kind::Call(Box::new(Call { callee, arguments: self.java_arguments(node), constructs: false }))
    }

    fn java_new(&self, node: Node<'t>) -> Kind {
        let kind = node.child_by_field_name("type");
        let name = kind.map_or("", |kind| self.text(kind).split('<').next().unwrap_or_default());
        let name = name.rsplit('.').next().unwrap_or(name);
        let callee = Expr::new(kind.map_or_else(|| span(node), span), Kind::Name(Rc::from(name)));
        Kind::Call(Box::new(Call { callee, arguments: self.java_arguments(node), constructs: true }))
    }

    fn java_lambda(&self, node: Node<'t>) -> Function {
        let list = node.child_by_field_name("parameters");
        let parameters = match list {
            Some(list) if list.kind() == "identifier" => vec![list],
            Some(list) => children(list),
            None => Vec::new(),
        };
        let body = match node.child_by_field_name("body") {
            Some(body) if body.kind() == "block" => self.block(Some(body)),
            Some(body) => vec![Stmt::Return(Some(self.expr(body)), span(body))],
            None => Vec::new(),
        };
        Function {
            span: span(node),
            name: Rc::from("lambda"),
            class: None,
            own: None,
            parameters: parameters.into_iter().filter_map(|one| self.java_parameter(one)).collect(),
            marks: Vec::new(),
            private: false,
            body,
        }
    }

    fn java_parameter(&self, node: Node<'t>) -> Option<Parameter> {
        let declarator = children(node).into_iter().find(|child| child.kind() == "variable_declarator");
        let named = node.child_by_field_name("name").or_else(|| declarator?.child_by_field_name("name"));
        let named = named.or_else(|| (node.kind() == "identifier").then_some(node))?;
        Some(Parameter {
            target: Expr::new(span(named), Kind::Name(self.name(named))),
            name: self.name(named),
            declared: node.child_by_field_name("type").map(|one| Rc::from(bare_type(self.text(one)))),
            marks: self.java_marks(node),
        })
    }

    /// Annotations as written.
    fn java_marks(&self, node: Node<'t>) -> Vec<Rc<str>> {
        let modifiers = children(node).into_iter().filter(|child| child.kind() == "modifiers");
        let marks = modifiers.flat_map(children).filter(|one| one.kind().ends_with("annotation"));
        marks.map(|one| self.name(one)).collect()
    }

    pub(super) fn java_function(&self, node: Node<'t>, class: Option<Rc<str>>) -> Function {
        let parameters = node.child_by_field_name("parameters").map(children).unwrap_or_default();
        let modifiers = children(node).into_iter().find(|child| child.kind() == "modifiers");
        Function {
            span: span(node),
            name: self.field_text(node, "name"),
            class,
            own: Some(Rc::from("this")),
            parameters: parameters.into_iter().filter_map(|one| self.java_parameter(one)).collect(),
            marks: self.java_marks(node),
            private: modifiers.is_some_and(|one| self.text(one).contains("private")),
            body: self.block(node.child_by_field_name("body")),
        }
    }

    pub(super) fn java_stmt(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        match node.kind() {
            "block" | "constructor_body" | "program" => self.all(node, into),
            "expression_statement" => into.extend(self.parts(node).into_iter().map(Stmt::Expr)),
            "local_variable_declaration" => self.java_declaration(node, into),
            "if_statement" => {
                let then = self.block(node.child_by_field_name("consequence"));
                let otherwise = self.block(node.child_by_field_name("alternative"));
                into.push(Stmt::If(self.condition(node), then, otherwise));
            }
            "for_statement" | "enhanced_for_statement" | "while_statement" | "do_statement" => {
                into.push(self.java_loop(node));
            }
            "switch_expression" => into.push(self.java_switch(node)),
            "try_statement" | "try_with_resources_statement" => self.java_try(node, into),
            "return_statement" => {
                into.push(Stmt::Return(children(node).first().map(|value| self.expr(*value)), span(node)));
            }
            "throw_statement" => {
                into.extend(self.parts(node).into_iter().map(Stmt::Expr));
                into.push(Stmt::Exit);
            }
            "break_statement" => into.push(Stmt::Break),
            "continue_statement" => into.push(Stmt::Continue),
            "labeled_statement" => {
                if let Some(last) = children(node).last() {
                    self.stmt(*last, into);
                }
            }
            "synchronized_statement" => into.extend(self.block(node.child_by_field_name("body"))),
            "import_declaration"
            | "package_declaration"
            | "line_comment"
            | "block_comment"
            | "class_declaration"
            | "interface_declaration"
            | "enum_declaration"
            | "record_declaration" => {}
            _ => into.extend(self.parts(node).into_iter().map(Stmt::Expr)),
        }
    }

    fn java_declaration(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        let declared: Option<Rc<str>> =
            node.child_by_field_name("type").map(|kind| Rc::from(bare_type(self.text(kind))));
        for one in in_field(node, "declarator") {
            let target = self.field(one, "name");
            let value = match one.child_by_field_name("value") {
                Some(value) => self.expr(value),
                None => Expr::new(span(one), Kind::Plain(Vec::new())),
            };
            into.push(Stmt::Expr(assign(target, value, false, declared.clone())));
        }
    }

    fn java_loop(&self, node: Node<'t>) -> Stmt {
        let mut before = Vec::new();
        for one in in_field(node, "init") {
            self.stmt(one, &mut before);
        }
        let mut body = self.block(node.child_by_field_name("body"));
        body.extend(in_field(node, "update").into_iter().map(|one| Stmt::Expr(self.expr(one))));
        let bind =
            (node.kind() == "enhanced_for_statement").then(|| (self.field(node, "name"), self.field(node, "value")));
        let condition = node.child_by_field_name("condition").map(|one| self.expr(one));
        Stmt::Loop(Box::new(Loop { before, bind, condition, body, behind: Vec::new() }))
    }

    fn java_switch(&self, node: Node<'t>) -> Stmt {
        let mut cases = Vec::new();
        for group in node.child_by_field_name("body").map(children).unwrap_or_default() {
            let (labels, rest): (Vec<Node<'t>>, Vec<Node<'t>>) =
                children(group).into_iter().partition(|child| child.kind() == "switch_label");
            let fallback = labels.iter().any(|label| self.text(*label).starts_with("default"));
            let values: Vec<Expr> = labels.into_iter().flat_map(children).map(|value| self.expr(value)).collect();
            let mut body = Vec::new();
            rest.into_iter().for_each(|one| self.stmt(one, &mut body));
            let values = if fallback { Vec::new() } else { values };
            cases.push(Case { values, body, falls_through: group.kind() == "switch_block_statement_group" });
        }
        Stmt::Switch(self.condition(node), cases)
    }

    /// A `switch` that gives a value: any of those that its cases give.
    fn java_switch_value(&self, node: Node<'t>) -> Kind {
        let groups = node.child_by_field_name("body").map(children).unwrap_or_default();
        let arms = groups.into_iter().flat_map(children).filter(|child| child.kind() == "expression_statement");
        let values: Vec<Expr> = arms.flat_map(|arm| self.parts(arm)).collect();
        if values.is_empty() { Kind::Unknown } else { Kind::Same(values) }
    }

    fn java_try(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        let resources = node.child_by_field_name("resources").map(children).unwrap_or_default();
        for one in resources {
            let Some(value) = one.child_by_field_name("value") else { continue };
            let target = one.child_by_field_name("name").map_or_else(|| unknown(one), |name| self.expr(name));
            let declared = one.child_by_field_name("type").map(|kind| Rc::from(bare_type(self.text(kind))));
            into.push(Stmt::Expr(assign(target, self.expr(value), false, declared)));
        }
        let (mut handlers, mut last) = (Vec::new(), Vec::new());
        for child in children(node) {
            match child.kind() {
                "catch_clause" => handlers.push(self.block(child.child_by_field_name("body"))),
                "finally_clause" => last = self.block(child.named_child(0)),
                _ => {}
            }
        }
        let body = self.block(node.child_by_field_name("body"));
        into.push(Stmt::Try(Box::new(Try { body, handlers, otherwise: Vec::new(), last })));
    }
}

/// `java.nio.file.Paths`: a class by its full name.
fn is_qualified_class(text: &str) -> bool {
    const ROOTS: [&str; 9] = ["java.", "javax.", "jakarta.", "org.", "com.", "net.", "io.", "edu.", "sun."];
    let (package, class) = text.rsplit_once('.').unwrap_or_default();
    ROOTS.iter().any(|root| text.starts_with(root))
        && class.starts_with(|c: char| c.is_ascii_uppercase())
        && package.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_'))
}
