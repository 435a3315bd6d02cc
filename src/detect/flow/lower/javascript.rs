//! JavaScript, TypeScript and TSX.

use std::rc::Rc;

use tree_sitter::Node;

use super::{Lower, assign, bare_type, children, positional, span, unquoted};
use crate::detect::flow::ir::{Argument, Call, Case, Expr, Function, Kind, Loop, Parameter, Stmt, Try};

impl<'t> Lower<'t> {
    pub(super) fn js_expr(&self, node: Node<'t>) -> Kind {
        match node.kind() {
            "identifier" | "shorthand_property_identifier" | "shorthand_property_identifier_pattern" | "this" => {
                Kind::Name(self.name(node))
            }
            "string" | "regex" => Kind::Constant(Rc::from(unquoted(self.text(node)))),
            "number" | "true" | "false" => Kind::Constant(self.name(node)),
            "null" | "undefined" => Kind::Constant(Rc::from("null")),
            "template_string" => self.js_template(node),
            "member_expression" => Kind::Member(self.boxed(node, "object"), self.field_text(node, "property")),
            "subscript_expression" => Kind::Index(self.boxed(node, "object"), self.boxed(node, "index")),
            "call_expression" | "new_expression" => self.js_call(node),
            "binary_expression" => self.operation(node, &["-", "*"]),
            "unary_expression" => match &*self.field_text(node, "operator") {
                "!" => Kind::Not(self.boxed(node, "argument")),
                "-" => Kind::Constant(Rc::from(format!("-{}", self.field_text(node, "argument")))),
                _ => Kind::Plain(vec![self.field(node, "argument")]),
            },
            "update_expression" => Kind::Plain(self.parts(node)),
            "ternary_expression" => Kind::Choice(
                self.boxed(node, "condition"),
                self.boxed(node, "consequence"),
                self.boxed(node, "alternative"),
            ),
            "array" | "array_pattern" => self.elements(node, |child| child.kind() == "spread_element"),
            "object" | "object_pattern" => self.js_object(node),
            "assignment_expression" => assign(self.field(node, "left"), self.field(node, "right"), false, None).kind,
            "augmented_assignment_expression" => {
                let value = self.field(node, "right");
                let text = matches!(&*self.field_text(node, "operator"), "+=" | "||=" | "??=");
                let value = if text { value } else { Expr::new(value.span, Kind::Plain(vec![value])) };
                assign(self.field(node, "left"), value, true, None).kind
            }
            "assignment_pattern" | "object_assignment_pattern" => self.field(node, "left").kind,
            "arrow_function"
            | "function_expression"
            | "generator_function"
            | "function_declaration"
            | "method_definition"
            | "generator_function_declaration" => Kind::Function(Rc::new(self.js_function(node, None))),
            "parenthesized_expression" | "await_expression" | "non_null_expression" => self.inner(node),
            "as_expression" | "satisfies_expression" | "type_assertion" => match node.named_child(0) {
                Some(value) if node.kind() != "type_assertion" => self.expr(value).kind,
                _ => self.same(node),
            },
            "sequence_expression" => match self.parts(node).pop() {
                Some(last) => last.kind,
                None => Kind::Unknown,
            },
            "jsx_element" | "jsx_self_closing_element" | "jsx_fragment" => Kind::Plain(self.parts(node)),
            "jsx_attribute" => self.jsx_attribute(node),
            "class" => self.js_class_value(node),
            "jsx_text" | "property_identifier" | "comment" | "type_annotation" => Kind::Plain(Vec::new()),
            _ => self.same(node),
        }
    }

    /// An attribute of an element is a place that is written.
    fn jsx_attribute(&self, node: Node<'t>) -> Kind {
        let parts = children(node);
        let (Some(name), Some(value)) = (parts.first(), parts.get(1)) else { return Kind::Plain(Vec::new()) };
        let element = Expr::new(span(*name), Kind::Name(Rc::from("JSX")));
        let target = Expr::new(span(*name), Kind::Member(Box::new(element), self.name(*name)));
        let value =
            Expr::new(span(*value), if value.kind() == "string" { self.js_expr(*value) } else { self.inner(*value) });
        assign(target, value, false, None).kind
    }

    /// A class that is a value: its methods by name.
    fn js_class_value(&self, node: Node<'t>) -> Kind {
        let class = self.field_text(node, "name");
        let body = node.child_by_field_name("body").map(children).unwrap_or_default();
        let methods = body.into_iter().filter(|child| child.kind() == "method_definition").map(|child| {
            let method = self.js_function(child, Some(Rc::clone(&class)));
            (Some(Rc::clone(&method.name)), Expr::new(span(child), Kind::Function(Rc::new(method))))
        });
        Kind::Collection(methods.collect())
    }

    fn js_template(&self, node: Node<'t>) -> Kind {
        let mut parts = Vec::new();
        for child in children(node) {
            match child.kind() {
                "template_substitution" => parts.push(Expr::new(span(child), self.inner(child))),
                _ => parts.push(Expr::new(span(child), Kind::Constant(self.name(child)))),
            }
        }
        match parts.as_slice() {
            [] => Kind::Constant(Rc::from("")),
            [Expr { kind: Kind::Constant(text), .. }] => Kind::Constant(Rc::clone(text)),
            _ => Kind::Text(parts),
        }
    }

    fn js_call(&self, node: Node<'t>) -> Kind {
        let constructs = node.kind() == "new_expression";
        let callee = self.field(node, if constructs { "constructor" } else { "function" });
        let mut arguments: Vec<Argument> = Vec::new();
        if let Some(list) = node.child_by_field_name("arguments") {
            if list.kind() == "template_string" {
                // A tag gets the text and the values apart.
                return Kind::Call(Box::new(Call { callee, arguments, constructs }));
            }
            arguments.extend(children(list).into_iter().map(|child| match child.kind() {
                "spread_element" => {
                    Argument { name: None, value: Expr::new(span(child), self.inner(child)), spread: true }
                }
                _ => positional(self.expr(child)),
            }));
        }
        Kind::Call(Box::new(Call { callee, arguments, constructs }))
    }

    fn js_object(&self, node: Node<'t>) -> Kind {
        if self.is_data(node) {
            return Kind::Unknown;
        }
        let mut elements = Vec::new();
        for child in children(node) {
            match child.kind() {
                "pair" | "pair_pattern" => {
                    let key = child.child_by_field_name("key").filter(|key| key.kind() != "computed_property_name");
                    let key = key.map(|key| Rc::from(unquoted(self.text(key))));
                    elements.push((key, self.field(child, "value")));
                }
                "shorthand_property_identifier" | "shorthand_property_identifier_pattern" => {
                    elements.push((Some(self.name(child)), self.expr(child)));
                }
                "object_assignment_pattern" => {
                    let left = self.field(child, "left");
                    elements.push((left.place().map(Rc::from), left));
                }
                "method_definition" => elements.push((Some(self.field_text(child, "name")), self.expr(child))),
                _ => elements.push((None, Expr::new(span(child), self.inner(child)))),
            }
        }
        Kind::Collection(elements)
    }

    pub(super) fn js_function(&self, node: Node<'t>, class: Option<Rc<str>>) -> Function {
        let mut parameters: Vec<Parameter> = Vec::new();
        let single = node.child_by_field_name("parameter");
        let list = node.child_by_field_name("parameters").map(children).unwrap_or_default();
        for child in single.into_iter().chain(list) {
            parameters.push(self.js_parameter(child));
        }
        let body = match node.child_by_field_name("body") {
            Some(body) if body.kind() == "statement_block" => self.block(Some(body)),
            Some(body) => vec![Stmt::Return(Some(self.expr(body)), span(body))],
            None => Vec::new(),
        };
        let exported = node.parent().is_some_and(|parent| parent.kind() == "export_statement");
        let arrow = node.kind() == "arrow_function";
        Function {
            span: span(node),
            name: self.field_text(node, "name"),
            own: (!arrow).then(|| Rc::from("this")),
            private: class.is_none() && !exported && node.kind().ends_with("declaration"),
            class,
            parameters,
            marks: children(node)
                .into_iter()
                .filter(|one| one.kind() == "decorator")
                .map(|one| self.name(one))
                .collect(),
            body,
        }
    }

    fn js_parameter(&self, node: Node<'t>) -> Parameter {
        let pattern = node.child_by_field_name("pattern").unwrap_or(node);
        let pattern = match pattern.kind() {
            "assignment_pattern" => pattern.child_by_field_name("left").unwrap_or(pattern),
            "rest_pattern" => pattern.named_child(0).unwrap_or(pattern),
            _ => pattern,
        };
        let marks = children(node).into_iter().filter(|one| one.kind() == "decorator");
        Parameter {
            target: self.expr(pattern),
            name: self.name(pattern),
            declared: node.child_by_field_name("type").map(|one| Rc::from(bare_type(self.text(one)))),
            marks: marks.map(|one| self.name(one)).collect(),
        }
    }

    pub(super) fn js_stmt(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        match node.kind() {
            "program" | "statement_block" | "class_static_block" => self.all(node, into),
            "expression_statement" => into.extend(self.parts(node).into_iter().map(Stmt::Expr)),
            "lexical_declaration" | "variable_declaration" | "using_declaration" => self.js_declaration(node, into),
            "if_statement" => {
                let otherwise = node.child_by_field_name("alternative").map(|one| self.block(one.named_child(0)));
                let then = self.block(node.child_by_field_name("consequence"));
                into.push(Stmt::If(self.condition(node), then, otherwise.unwrap_or_default()));
            }
            "for_statement" | "for_in_statement" | "while_statement" | "do_statement" => into.push(self.js_loop(node)),
            "switch_statement" => into.push(self.js_switch(node)),
            "try_statement" => into.push(self.js_try(node)),
            "return_statement" => {
                into.push(Stmt::Return(children(node).first().map(|value| self.expr(*value)), span(node)));
            }
            "throw_statement" => {
                into.extend(self.parts(node).into_iter().map(Stmt::Expr));
                into.push(Stmt::Exit);
            }
            "break_statement" => into.push(Stmt::Break),
            "continue_statement" => into.push(Stmt::Continue),
            "function_declaration" | "generator_function_declaration" => {
                into.push(Stmt::Function(Rc::new(self.js_function(node, None))));
            }
            "class_declaration" | "class" | "abstract_class_declaration" => self.js_class(node, into),
            "import_statement" => into.push(Stmt::Import(self.js_import(node))),
            "export_statement" => match node.child_by_field_name("declaration") {
                Some(declaration) => self.stmt(declaration, into),
                None => into.extend(node.child_by_field_name("value").map(|value| Stmt::Expr(self.expr(value)))),
            },
            "labeled_statement" => into.extend(self.block(node.child_by_field_name("body"))),
            "comment"
            | "interface_declaration"
            | "type_alias_declaration"
            | "empty_statement"
            | "debugger_statement" => {}
            _ => into.extend(self.parts(node).into_iter().map(Stmt::Expr)),
        }
    }

    fn js_declaration(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        for one in children(node).into_iter().filter(|one| one.kind() == "variable_declarator") {
            let Some(value) = one.child_by_field_name("value") else { continue };
            let declared = one.child_by_field_name("type").map(|kind| Rc::from(bare_type(self.text(kind))));
            into.push(Stmt::Expr(assign(self.field(one, "name"), self.expr(value), false, declared)));
        }
    }

    fn js_class(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        let class = self.field_text(node, "name");
        for child in node.child_by_field_name("body").map(children).unwrap_or_default() {
            if child.kind() == "method_definition" {
                into.push(Stmt::Function(Rc::new(self.js_function(child, Some(Rc::clone(&class))))));
            }
        }
    }

    fn js_loop(&self, node: Node<'t>) -> Stmt {
        let mut before = Vec::new();
        let mut bind = None;
        let mut body = self.block(node.child_by_field_name("body"));
        match node.kind() {
            "for_in_statement" => {
                // Names of properties are no text of anybody's, values are.
                let of = node.child_by_field_name("operator").is_some_and(|operator| operator.kind() == "of");
                let source = self.field(node, "right");
                let source = if of { source } else { Expr::new(source.span, Kind::Same(vec![source])) };
                bind = Some((self.field(node, "left"), source));
            }
            "for_statement" => {
                before = self.block(node.child_by_field_name("initializer"));
                if let Some(step) = node.child_by_field_name("increment") {
                    body.push(Stmt::Expr(self.expr(step)));
                }
            }
            _ => {}
        }
        let condition =
            node.child_by_field_name("condition").filter(|one| one.is_named() && one.kind() != "empty_statement");
        Stmt::Loop(Box::new(Loop {
            before,
            bind,
            condition: condition.map(|one| self.expr(one)),
            body,
            behind: Vec::new(),
        }))
    }

    fn js_switch(&self, node: Node<'t>) -> Stmt {
        let mut cases = Vec::new();
        for case in node.child_by_field_name("body").map(children).unwrap_or_default() {
            let values = case.child_by_field_name("value").map(|value| self.expr(value));
            let mut body = Vec::new();
            let mut cursor = case.walk();
            for one in case.children_by_field_name("body", &mut cursor) {
                self.stmt(one, &mut body);
            }
            cases.push(Case { values: values.into_iter().collect(), body, falls_through: true });
        }
        Stmt::Switch(self.field(node, "value"), cases)
    }

    fn js_try(&self, node: Node<'t>) -> Stmt {
        let handler = node.child_by_field_name("handler").and_then(|one| one.child_by_field_name("body"));
        let last = node.child_by_field_name("finalizer").and_then(|one| one.child_by_field_name("body"));
        Stmt::Try(Box::new(Try {
            body: self.block(node.child_by_field_name("body")),
            handlers: handler.into_iter().map(|body| self.block(Some(body))).collect(),
            otherwise: Vec::new(),
            last: self.block(last),
        }))
    }

    /// A module's name as the first part of a path: dots would be taken for further parts.
    fn js_import(&self, node: Node<'t>) -> Vec<(Rc<str>, Rc<str>)> {
        let module = node.child_by_field_name("source").map_or("", |source| unquoted(self.text(source)));
        let module = module.trim_start_matches("node:").trim_start_matches(['.', '/']).replace('.', "_");
        let mut names = Vec::new();
        let clauses = children(node).into_iter().filter(|child| child.kind() == "import_clause");
        for part in clauses.flat_map(children) {
            match part.kind() {
                "identifier" => names.push((self.name(part), Rc::from(module.as_str()))),
                "namespace_import" => {
                    let local = part.named_child(0).map_or_else(|| self.name(part), |one| self.name(one));
                    names.push((local, Rc::from(module.as_str())));
                }
                _ => {
                    for one in children(part) {
                        let name = self.field_text(one, "name");
                        let local = one.child_by_field_name("alias").map_or_else(|| Rc::clone(&name), |a| self.name(a));
                        names.push((local, Rc::from(format!("{module}.{name}"))));
                    }
                }
            }
        }
        names
    }
}
