//! Go.

use std::rc::Rc;

use tree_sitter::Node;

use super::{Lower, assign, bare_type, children, in_field, positional, span, unquoted};
use crate::detect::flow::ir::{Argument, Call, Case, Expr, Function, Kind, Loop, Parameter, Stmt};

impl<'t> Lower<'t> {
    pub(super) fn go_expr(&self, node: Node<'t>) -> Kind {
        match node.kind() {
            "identifier" | "field_identifier" | "package_identifier" | "type_identifier" => Kind::Name(self.name(node)),
            "interpreted_string_literal" | "raw_string_literal" | "rune_literal" => {
                Kind::Constant(Rc::from(unquoted(self.text(node))))
            }
            "int_literal" | "float_literal" | "imaginary_literal" | "true" | "false" => Kind::Constant(self.name(node)),
            "nil" => Kind::Constant(Rc::from("null")),
            "selector_expression" => Kind::Member(self.boxed(node, "operand"), self.field_text(node, "field")),
            "qualified_type" => Kind::Name(self.name(node)),
            "index_expression" => Kind::Index(self.boxed(node, "operand"), self.boxed(node, "index")),
            "slice_expression" if node.child_by_field_name("start").is_none() => {
                Kind::Same(vec![self.field(node, "operand")])
            }
            // A part of a list, which is counted anew.
            "slice_expression" => {
                let callee = Kind::Member(self.boxed(node, "operand"), Rc::from("slice"));
                let callee = Expr::new(span(node), callee);
                Kind::Call(Box::new(Call { callee, arguments: Vec::new(), constructs: false }))
            }
            "call_expression" => self.go_call(node),
            "type_conversion_expression" => Kind::Same(vec![self.field(node, "operand")]),
            "type_assertion_expression" => Kind::Same(vec![self.field(node, "operand")]),
            "binary_expression" => self.operation(node, &["-", "*"]),
            "unary_expression" => match node.child_by_field_name("operator").map_or("", |operator| operator.kind()) {
                "!" => Kind::Not(self.boxed(node, "operand")),
                "-" => Kind::Constant(Rc::from(format!("-{}", self.field_text(node, "operand")))),
                _ => self.field(node, "operand").kind,
            },
            "composite_literal" => self.go_literal(node),
            "literal_value" => self.go_elements(node),
            "func_literal" => Kind::Function(Rc::new(self.go_function(node))),
            "expression_list" => match children(node).as_slice() {
                [only] => self.expr(*only).kind,
                _ => self.elements(node, |_| false),
            },
            "parenthesized_expression" | "variadic_argument" | "literal_element" => self.inner(node),
            _ => self.same(node),
        }
    }

    fn go_call(&self, node: Node<'t>) -> Kind {
        let callee = self.field(node, "function");
        let list = node.child_by_field_name("arguments").map(children).unwrap_or_default();
        let arguments: Vec<Argument> = list
            .into_iter()
            .map(|child| Argument { spread: child.kind() == "variadic_argument", ..positional(self.expr(child)) })
            .collect();
        Kind::Call(Box::new(Call { callee, arguments, constructs: false }))
    }

    /// `T{…}` is a container; of which type it is shows in calls of its methods.
    fn go_literal(&self, node: Node<'t>) -> Kind {
        let Some(body) = node.child_by_field_name("body") else { return Kind::Unknown };
        let body = self.expr(body);
        let kind = node.child_by_field_name("type").filter(|kind| kind.kind() == "qualified_type");
        let filled = matches!(&body.kind, Kind::Collection(elements) if !elements.is_empty());
        let Some(kind) = kind.filter(|_| filled) else { return body.kind };
        let callee = Expr::new(span(kind), Kind::Name(self.name(kind)));
        Kind::Call(Box::new(Call { callee, arguments: vec![positional(body)], constructs: true }))
    }

    fn go_elements(&self, node: Node<'t>) -> Kind {
        if self.is_data(node) {
            return Kind::Unknown;
        }
        let mut elements = Vec::new();
        for (index, child) in children(node).into_iter().enumerate() {
            if child.kind() == "keyed_element" {
                let key = child.child_by_field_name("key").map(|key| Rc::from(unquoted(self.text(key))));
                elements.push((key, self.field(child, "value")));
            } else {
                elements.push((Some(Rc::from(index.to_string())), self.expr(child)));
            }
        }
        Kind::Collection(elements)
    }

    fn go_parameters(&self, list: Option<Node<'t>>) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        for declaration in list.map(children).unwrap_or_default() {
            let declared: Option<Rc<str>> =
                declaration.child_by_field_name("type").map(|kind| Rc::from(go_type(self.text(kind))));
            for name in in_field(declaration, "name") {
                parameters.push(Parameter {
                    target: self.expr(name),
                    name: self.name(name),
                    declared: declared.clone(),
                    marks: Vec::new(),
                });
            }
        }
        parameters
    }

    pub(super) fn go_function(&self, node: Node<'t>) -> Function {
        let name = self.field_text(node, "name");
        let receiver = self.go_parameters(node.child_by_field_name("receiver")).into_iter().next();
        Function {
            span: span(node),
            private: name.starts_with(|c: char| c.is_ascii_lowercase()) && &*name != "main",
            name,
            class: receiver.as_ref().and_then(|receiver| receiver.declared.clone()),
            own: receiver.map(|receiver| receiver.name),
            parameters: self.go_parameters(node.child_by_field_name("parameters")),
            marks: Vec::new(),
            body: self.block(node.child_by_field_name("body")),
        }
    }

    pub(super) fn go_stmt(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        match node.kind() {
            "block" | "statement_list" | "source_file" => self.all(node, into),
            "expression_statement" | "go_statement" | "defer_statement" => {
                into.extend(self.parts(node).into_iter().map(Stmt::Expr));
            }
            "short_var_declaration" | "assignment_statement" => self.go_assignment(node, into),
            "var_declaration" | "const_declaration" => self.go_variables(node, into),
            "if_statement" => {
                into.extend(self.block(node.child_by_field_name("initializer")));
                let then = self.block(node.child_by_field_name("consequence"));
                let otherwise = self.block(node.child_by_field_name("alternative"));
                into.push(Stmt::If(self.condition(node), then, otherwise));
            }
            "for_statement" => into.push(self.go_loop(node)),
            "expression_switch_statement" | "type_switch_statement" | "select_statement" => self.go_switch(node, into),
            "return_statement" => {
                into.push(Stmt::Return(children(node).first().map(|value| self.expr(*value)), span(node)));
            }
            "break_statement" => into.push(Stmt::Break),
            "continue_statement" => into.push(Stmt::Continue),
            "labeled_statement" => {
                if let Some(last) = children(node).last() {
                    self.stmt(*last, into);
                }
            }
            "import_declaration" => into.push(Stmt::Import(self.go_imports(node))),
            "package_clause" | "type_declaration" | "comment" | "inc_statement" | "dec_statement" => {}
            _ => into.extend(self.parts(node).into_iter().map(Stmt::Expr)),
        }
    }

    fn go_assignment(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        let augmented = node.child_by_field_name("operator").map_or("", |operator| operator.kind());
        let value = self.field(node, "right");
        into.push(Stmt::Expr(assign(self.field(node, "left"), value, augmented == "+=", None)));
    }

    fn go_variables(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        let specs = children(node)
            .into_iter()
            .flat_map(|child| if child.kind().ends_with("_list") { children(child) } else { vec![child] });
        for spec in specs {
            let declared: Option<Rc<str>> =
                spec.child_by_field_name("type").map(|kind| Rc::from(go_type(self.text(kind))));
            let names = in_field(spec, "name");
            let value = match spec.child_by_field_name("value") {
                Some(value) => self.expr(value),
                None => Expr::new(span(spec), Kind::Plain(Vec::new())),
            };
            let target = match names.as_slice() {
                [only] => self.expr(*only),
                _ => {
                    Expr::new(span(spec), Kind::Collection(names.iter().map(|name| (None, self.expr(*name))).collect()))
                }
            };
            into.push(Stmt::Expr(assign(target, value, false, declared)));
        }
    }

    fn go_loop(&self, node: Node<'t>) -> Stmt {
        let (mut before, mut bind, mut condition, mut step) = (Vec::new(), None, None, Vec::new());
        for child in children(node) {
            match child.kind() {
                "for_clause" => {
                    before = self.block(child.child_by_field_name("initializer"));
                    condition = child.child_by_field_name("condition").map(|one| self.expr(one));
                    step = self.block(child.child_by_field_name("update"));
                }
                "range_clause" => {
                    // The first of the two is the key or the number.
                    let targets = child.child_by_field_name("left").map(children).unwrap_or_default();
                    if let Some(target) = targets.last() {
                        bind = Some((self.expr(*target), self.field(child, "right")));
                    }
                }
                "block" => {}
                _ => condition = Some(self.expr(child)),
            }
        }
        let mut body = self.block(node.child_by_field_name("body"));
        body.extend(step);
        Stmt::Loop(Box::new(Loop { before, bind, condition, body, behind: Vec::new() }))
    }

    fn go_switch(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        into.extend(self.block(node.child_by_field_name("initializer")));
        let subject = match node.child_by_field_name("value") {
            Some(value) => self.expr(value),
            None => Expr::new(span(node), Kind::Plain(Vec::new())),
        };
        if let Some(alias) = node.child_by_field_name("alias") {
            into.push(Stmt::Expr(assign(self.expr(alias), subject.clone(), false, None)));
        }
        let mut cases = Vec::new();
        for case in children(node).into_iter().filter(|child| child.kind().ends_with("_case")) {
            let values = case.child_by_field_name("value").map(children).unwrap_or_default();
            let constants: Vec<Expr> = if case.kind() == "expression_case" {
                values.into_iter().map(|value| self.expr(value)).collect()
            } else {
                vec![Expr::new(span(case), Kind::Unknown)]
            };
            let mut body = Vec::new();
            for list in children(case).into_iter().filter(|child| child.kind() == "statement_list") {
                self.stmt(list, &mut body);
            }
            let values = if case.kind() == "default_case" { Vec::new() } else { constants };
            cases.push(Case { values, body, falls_through: false });
        }
        into.push(Stmt::Switch(subject, cases));
    }

    fn go_imports(&self, node: Node<'t>) -> Vec<(Rc<str>, Rc<str>)> {
        let mut names = Vec::new();
        let specs = children(node)
            .into_iter()
            .flat_map(|child| if child.kind() == "import_spec_list" { children(child) } else { vec![child] });
        for spec in specs {
            let path = spec.child_by_field_name("path").map_or("", |path| unquoted(self.text(path)));
            let version = |part: &&str| {
                part.len() > 1 && part.starts_with('v') && part.get(1..).is_some_and(|n| n.parse::<u32>().is_ok())
            };
            // The one that is used by that name with no other meaning but a better generator.
            let package = match path {
                "crypto/rand" => "crypto_rand",
                _ => path.rsplit('/').find(|part| !version(part)).unwrap_or(path),
            };
            let short = package.trim_start_matches("crypto_");
            let local = spec.child_by_field_name("name").map_or_else(|| Rc::from(short), |name| self.name(name));
            names.push((local, Rc::from(package)));
        }
        names
    }
}

/// `[]string` stays apart from `string`, pointers do not matter.
fn go_type(text: &str) -> &str {
    if text.starts_with(['[', 'm']) && (text.starts_with("[]") || text.starts_with("map[")) {
        text
    } else {
        bare_type(text)
    }
}
