//! Python.

use std::rc::Rc;

use tree_sitter::Node;

use super::{Lower, assign, children, in_field, positional, span, unknown, unquoted};
use crate::detect::flow::ir::{
    Argument, Call, Case, Comparison, Comprehension, Expr, Function, Kind, Loop, Parameter, Stmt, Try,
};

impl<'t> Lower<'t> {
    pub(super) fn python_expr(&self, node: Node<'t>) -> Kind {
        match node.kind() {
            "identifier" => Kind::Name(self.name(node)),
            "integer" | "float" | "ellipsis" => Kind::Constant(self.name(node)),
            "true" => Kind::Constant(Rc::from("true")),
            "false" => Kind::Constant(Rc::from("false")),
            "none" => Kind::Constant(Rc::from("null")),
            "string" => self.python_string(node),
            "concatenated_string" => Kind::Text(self.parts(node)),
            "attribute" => Kind::Member(self.boxed(node, "object"), self.field_text(node, "attribute")),
            "subscript" => self.python_subscript(node),
            "call" => self.python_call(node),
            "binary_operator" => self.python_operator(node),
            "boolean_operator" => self.python_logic(node),
            "not_operator" => Kind::Not(self.boxed(node, "argument")),
            "comparison_operator" => self.python_comparison(node),
            "conditional_expression" => match self.parts(node).as_slice() {
                [yes, condition, no] => {
                    Kind::Choice(Box::new(condition.clone()), Box::new(yes.clone()), Box::new(no.clone()))
                }
                _ => Kind::Unknown,
            },
            "list" | "tuple" | "expression_list" | "pattern_list" | "tuple_pattern" | "list_pattern" => {
                self.elements(node, |child| child.kind().contains("splat"))
            }
            "set" => self.elements(node, |_| true),
            "dictionary" => self.python_dictionary(node),
            "list_comprehension" | "set_comprehension" | "generator_expression" | "dictionary_comprehension" => {
                self.python_comprehension(node)
            }
            "lambda" => Kind::Function(Rc::new(self.python_lambda(node))),
            "named_expression" => assign(self.field(node, "name"), self.field(node, "value"), false, None).kind,
            "assignment" | "augmented_assignment" => self.python_assignment(node),
            "parenthesized_expression" => self.inner(node),
            "unary_operator" => Kind::Plain(self.parts(node)),
            "as_pattern" => match children(node).as_slice() {
                [value, target] => {
                    let target = children(*target).first().map_or_else(|| unknown(*target), |one| self.expr(*one));
                    assign(target, self.expr(*value), false, None).kind
                }
                _ => self.same(node),
            },
            "type_conversion" | "format_specifier" | "escape_sequence" | "string_content" => Kind::Same(Vec::new()),
            "interpolation" => self.python_interpolation(node),
            _ => self.same(node),
        }
    }

    fn python_string(&self, node: Node<'t>) -> Kind {
        let interpolated = children(node).iter().any(|child| child.kind() == "interpolation");
        if !interpolated {
            return Kind::Constant(Rc::from(unquoted(self.text(node))));
        }
        let mut parts = Vec::new();
        for child in children(node) {
            match child.kind() {
                "interpolation" => parts.push(self.expr(child)),
                "string_content" => parts.push(Expr::new(span(child), Kind::Constant(self.name(child)))),
                _ => {}
            }
        }
        Kind::Text(parts)
    }

    fn python_interpolation(&self, node: Node<'t>) -> Kind {
        let value = self.field(node, "expression");
        let specifier = self.field_text(node, "format_specifier");
        if specifier.ends_with(['d', 'f', 'F', 'g', 'G', 'e', 'E', 'x', 'X', 'o', 'b', '%']) {
            return Kind::Plain(vec![value]);
        }
        value.kind
    }

    fn python_subscript(&self, node: Node<'t>) -> Kind {
        let value = self.boxed(node, "value");
        match in_field(node, "subscript").as_slice() {
            [only] if only.kind() != "slice" => Kind::Index(value, Box::new(self.expr(*only))),
            // A part of a list, which is counted anew.
            _ => {
                let callee = Expr::new(value.span, Kind::Member(value, Rc::from("slice")));
                Kind::Call(Box::new(Call { callee, arguments: Vec::new(), constructs: false }))
            }
        }
    }

    fn python_call(&self, node: Node<'t>) -> Kind {
        let callee = self.field(node, "function");
        let mut arguments = Vec::new();
        if let Some(list) = node.child_by_field_name("arguments") {
            if list.kind() == "generator_expression" {
                arguments.push(positional(self.expr(list)));
            } else {
                arguments.extend(children(list).into_iter().map(|child| self.python_argument(child)));
            }
        }
        match (&callee.kind, arguments.as_slice()) {
            (Kind::Name(name), [value, kind]) if &**name == "isinstance" => {
                let text = self.source.get(kind.value.span.range()).unwrap_or_default();
                let first = text.trim_start_matches(['(', '[', ' ']).split([',', ')']).next().unwrap_or_default();
                Kind::IsType(Box::new(value.value.clone()), Rc::from(first.trim()))
            }
            _ => Kind::Call(Box::new(Call { callee, arguments, constructs: false })),
        }
    }

    fn python_argument(&self, node: Node<'t>) -> Argument {
        match node.kind() {
            "keyword_argument" => {
                Argument { name: Some(self.field_text(node, "name")), value: self.field(node, "value"), spread: false }
            }
            "list_splat" | "dictionary_splat" => {
                Argument { name: None, value: Expr::new(span(node), self.inner(node)), spread: true }
            }
            _ => positional(self.expr(node)),
        }
    }

    fn python_operator(&self, node: Node<'t>) -> Kind {
        match &*self.field_text(node, "operator") {
            "+" => self.sum(node),
            "%" => self.python_percent(node),
            "/" => {
                // Of paths: what is joined, as by the function for it.
                let callee = Expr::new(span(node), Kind::Name(Rc::from("os.path.join")));
                let arguments = vec![positional(self.field(node, "left")), positional(self.field(node, "right"))];
                Kind::Call(Box::new(Call { callee, arguments, constructs: false }))
            }
            "|" => Kind::Same(vec![self.field(node, "left"), self.field(node, "right")]),
            "*" => {
                let (left, right) = (self.field(node, "left"), self.field(node, "right"));
                match left.constant().is_some_and(|text| text.parse::<f64>().is_err()) {
                    true => Kind::Text(vec![left]),
                    false => Kind::Arithmetic("*", Box::new(left), Box::new(right)),
                }
            }
            "-" => Kind::Arithmetic("-", self.boxed(node, "left"), self.boxed(node, "right")),
            _ => Kind::Plain(vec![self.field(node, "left"), self.field(node, "right")]),
        }
    }

    /// `"…%s…" % values` is a call of a formatting function.
    fn python_percent(&self, node: Node<'t>) -> Kind {
        let (format, values) = (self.field(node, "left"), self.field(node, "right"));
        if matches!(&format.kind, Kind::Constant(text) if text.parse::<f64>().is_ok()) {
            return Kind::Plain(vec![format, values]);
        }
        let arguments = match values.kind {
            Kind::Collection(elements) if elements.iter().all(|(key, _)| key.is_some()) => {
                elements.into_iter().map(|(_, value)| positional(value)).collect()
            }
            _ => vec![positional(values)],
        };
        let callee = Expr::new(format.span, Kind::Member(Box::new(format), Rc::from("%")));
        Kind::Call(Box::new(Call { callee, arguments, constructs: false }))
    }

    fn python_logic(&self, node: Node<'t>) -> Kind {
        let (left, right) = (self.boxed(node, "left"), self.boxed(node, "right"));
        match &*self.field_text(node, "operator") {
            "and" => Kind::Both(left, right),
            _ => Kind::Either(left, right),
        }
    }

    fn python_comparison(&self, node: Node<'t>) -> Kind {
        let mut cursor = node.walk();
        let operators: Vec<&str> =
            node.children_by_field_name("operators", &mut cursor).map(|operator| operator.kind()).collect();
        match (children(node).as_slice(), operators.as_slice()) {
            ([left, right], [operator, ..]) => {
                let comparison = match *operator {
                    "==" | "is" => Comparison::Equal,
                    "!=" | "<>" | "is not" => Comparison::NotEqual,
                    "<" => Comparison::Less,
                    "<=" => Comparison::LessOrEqual,
                    ">" => Comparison::Greater,
                    ">=" => Comparison::GreaterOrEqual,
                    "in" => Comparison::In,
                    "not in" => Comparison::NotIn,
                    _ => Comparison::Other,
                };
                Kind::Compare(comparison, Box::new(self.expr(*left)), Box::new(self.expr(*right)))
            }
            _ => Kind::Plain(self.parts(node)),
        }
    }

    fn python_dictionary(&self, node: Node<'t>) -> Kind {
        if self.is_data(node) {
            return Kind::Unknown;
        }
        let mut elements = Vec::new();
        for child in children(node) {
            if child.kind() == "pair" {
                let key = self.field(child, "key");
                elements.push((key.constant().cloned(), self.field(child, "value")));
            } else {
                elements.push((None, self.expr(child)));
            }
        }
        Kind::Collection(elements)
    }

    fn python_comprehension(&self, node: Node<'t>) -> Kind {
        let body = self.field(node, "body");
        let (mut clauses, mut conditions) = (Vec::new(), Vec::new());
        for child in children(node) {
            match child.kind() {
                "for_in_clause" => clauses.push((self.field(child, "left"), self.field(child, "right"))),
                "if_clause" => conditions.extend(self.parts(child)),
                _ => {}
            }
        }
        Kind::Comprehension(Box::new(Comprehension { clauses, conditions, body }))
    }

    fn python_assignment(&self, node: Node<'t>) -> Kind {
        let Some(value) = node.child_by_field_name("right") else { return Kind::Same(Vec::new()) };
        let augmented = node.kind() == "augmented_assignment";
        let plain = augmented && !matches!(&*self.field_text(node, "operator"), "+=" | "|=" | "/=" | "%=");
        let value = self.expr(value);
        let value = if plain { Expr::new(value.span, Kind::Plain(vec![value])) } else { value };
        let declared = node.child_by_field_name("type").map(|one| self.name(one));
        assign(self.field(node, "left"), value, augmented, declared).kind
    }

    fn python_lambda(&self, node: Node<'t>) -> Function {
        let body = node.child_by_field_name("body").map(|body| {
            let value = self.expr(body);
            Stmt::Return(Some(value), span(body))
        });
        Function {
            span: span(node),
            name: Rc::from("lambda"),
            class: None,
            own: None,
            parameters: self.python_parameters(node),
            marks: Vec::new(),
            private: false,
            body: body.into_iter().collect(),
        }
    }

    fn python_parameters(&self, node: Node<'t>) -> Vec<Parameter> {
        let list = node.child_by_field_name("parameters").map(children).unwrap_or_default();
        list.into_iter().filter_map(|child| self.python_parameter(child)).collect()
    }

    fn python_parameter(&self, node: Node<'t>) -> Option<Parameter> {
        let named = node.child_by_field_name("name").or_else(|| children(node).first().copied()).unwrap_or(node);
        if node.kind().ends_with("separator") {
            return None;
        }
        let named = if named.kind().contains("splat") { *children(named).first()? } else { named };
        Some(Parameter {
            target: self.expr(named),
            name: self.name(named),
            declared: node.child_by_field_name("type").map(|one| self.name(one)),
            marks: Vec::new(),
        })
    }

    pub(super) fn python_function(&self, node: Node<'t>, class: Option<Rc<str>>) -> Function {
        let definition = node.child_by_field_name("definition").unwrap_or(node);
        let name = self.field_text(definition, "name");
        let decorators = children(node).into_iter().filter(|child| child.kind() == "decorator");
        let marks: Vec<Rc<str>> = decorators.map(|one| self.name(one)).collect();
        let mut parameters = self.python_parameters(definition);
        let fixed = marks.iter().any(|mark| &**mark == "@staticmethod");
        let own = (class.is_some() && !fixed && !parameters.is_empty()).then(|| parameters.remove(0).name);
        Function {
            span: span(definition),
            own,
            parameters,
            private: name.starts_with('_') && !name.starts_with("__"),
            class,
            name,
            marks,
            body: self.block(definition.child_by_field_name("body")),
        }
    }

    pub(super) fn python_stmt(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        match node.kind() {
            "block" | "module" => self.all(node, into),
            "expression_statement" => into.extend(self.parts(node).into_iter().map(Stmt::Expr)),
            "if_statement" => into.push(self.python_if(node)),
            "for_statement" | "while_statement" => into.push(self.python_loop(node)),
            "try_statement" => into.push(self.python_try(node)),
            "with_statement" => self.python_with(node, into),
            "match_statement" => into.push(self.python_match(node)),
            "return_statement" => {
                into.push(Stmt::Return(children(node).first().map(|value| self.expr(*value)), span(node)));
            }
            "raise_statement" => {
                into.extend(self.parts(node).into_iter().map(Stmt::Expr));
                into.push(Stmt::Exit);
            }
            "assert_statement" => {
                if let Some(condition) = children(node).first() {
                    into.push(Stmt::If(self.expr(*condition), Vec::new(), vec![Stmt::Exit]));
                }
            }
            "break_statement" => into.push(Stmt::Break),
            "continue_statement" => into.push(Stmt::Continue),
            "function_definition" => into.push(Stmt::Function(Rc::new(self.python_function(node, None)))),
            "decorated_definition" => match node.child_by_field_name("definition") {
                Some(one) if one.kind() == "function_definition" => {
                    into.push(Stmt::Function(Rc::new(self.python_function(node, None))));
                }
                Some(one) => self.stmt(one, into),
                None => {}
            },
            "class_definition" => self.python_class(node, into),
            "import_statement" | "import_from_statement" | "future_import_statement" => {
                into.push(Stmt::Import(self.python_import(node)));
            }
            _ => into.extend(self.parts(node).into_iter().map(Stmt::Expr)),
        }
    }

    /// The statements of a class inside of a function; its methods stand alone.
    fn python_class(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        let class = self.field_text(node, "name");
        for child in node.child_by_field_name("body").map(children).unwrap_or_default() {
            let definition = child.child_by_field_name("definition").unwrap_or(child);
            if definition.kind() == "function_definition" {
                into.push(Stmt::Function(Rc::new(self.python_function(child, Some(Rc::clone(&class))))));
            } else {
                self.stmt(child, into);
            }
        }
    }

    fn python_if(&self, node: Node<'t>) -> Stmt {
        let mut otherwise = Vec::new();
        for alternative in in_field(node, "alternative").into_iter().rev() {
            if alternative.kind() == "elif_clause" {
                let then = self.block(alternative.child_by_field_name("consequence"));
                otherwise = vec![Stmt::If(self.condition(alternative), then, otherwise)];
            } else {
                otherwise = self.block(alternative.child_by_field_name("body"));
            }
        }
        Stmt::If(self.condition(node), self.block(node.child_by_field_name("consequence")), otherwise)
    }

    fn python_loop(&self, node: Node<'t>) -> Stmt {
        let runs = node.kind() == "for_statement";
        let bind = runs.then(|| (self.field(node, "left"), self.field(node, "right")));
        let otherwise = node.child_by_field_name("alternative").and_then(|one| one.child_by_field_name("body"));
        Stmt::Loop(Box::new(Loop {
            before: Vec::new(),
            bind,
            condition: node.child_by_field_name("condition").map(|one| self.expr(one)),
            body: self.block(node.child_by_field_name("body")),
            behind: self.block(otherwise),
        }))
    }

    fn python_try(&self, node: Node<'t>) -> Stmt {
        let (mut handlers, mut otherwise, mut last) = (Vec::new(), Vec::new(), Vec::new());
        for child in children(node) {
            let block = || children(child).into_iter().find(|one| one.kind() == "block");
            match child.kind() {
                "except_clause" | "except_group_clause" => handlers.push(self.block(block())),
                "else_clause" => otherwise = self.block(child.child_by_field_name("body")),
                "finally_clause" => last = self.block(block()),
                _ => {}
            }
        }
        Stmt::Try(Box::new(Try { body: self.block(node.child_by_field_name("body")), handlers, otherwise, last }))
    }

    fn python_with(&self, node: Node<'t>, into: &mut Vec<Stmt>) {
        for clause in children(node).into_iter().filter(|child| child.kind() == "with_clause") {
            let items = children(clause).into_iter().filter_map(|item| item.child_by_field_name("value"));
            into.extend(items.map(|item| Stmt::Expr(self.expr(item))));
        }
        into.extend(self.block(node.child_by_field_name("body")));
    }

    fn python_match(&self, node: Node<'t>) -> Stmt {
        let subject = in_field(node, "subject").first().map_or_else(|| unknown(node), |one| self.expr(*one));
        let mut cases = Vec::new();
        for clause in node.child_by_field_name("body").map(children).unwrap_or_default() {
            let patterns = children(clause).into_iter().filter(|child| child.kind() == "case_pattern");
            let values: Vec<Expr> = patterns.map(|pattern| Expr::new(span(pattern), self.inner(pattern))).collect();
            let fixed = values.iter().all(|value| value.constant().is_some());
            let body = self.block(clause.child_by_field_name("consequence"));
            cases.push(Case { values: if fixed { values } else { Vec::new() }, body, falls_through: false });
        }
        Stmt::Switch(subject, cases)
    }

    fn python_import(&self, node: Node<'t>) -> Vec<(Rc<str>, Rc<str>)> {
        let module = self.field_text(node, "module_name");
        let mut names = Vec::new();
        for child in in_field(node, "name") {
            let (path, local) = match child.child_by_field_name("alias") {
                Some(alias) => (self.field_text(child, "name"), self.name(alias)),
                None => {
                    let name = self.name(child);
                    let first = name.split('.').next().unwrap_or_default();
                    if module.is_empty() { (Rc::from(first), Rc::from(first)) } else { (Rc::clone(&name), name) }
                }
            };
            let path = if module.is_empty() { path } else { Rc::from(format!("{module}.{path}")) };
            names.push((local, path));
        }
        names
    }
}
