//! What a file consists of: its functions and methods, the fields of its classes, and the statements outside of both.

use std::rc::Rc;

use tree_sitter::Node;

use super::{bare_type, children, in_field};
use crate::model::{Language, Span};

/// Definitions that are told apart in one file; further ones are not followed.
const MAX_DEFINITIONS: usize = 5_000;

/// A function or method that stands in no other function.
#[derive(Debug, Clone)]
pub(in crate::detect::flow) struct Definition<'t> {
    pub node: Node<'t>,
    pub name: Rc<str>,
    pub class: Option<Rc<str>>,
    pub constructor: bool,
    pub span: Span,
}

/// A field as its class declares it.
#[derive(Debug, Clone)]
pub(in crate::detect::flow) struct Field<'t> {
    pub class: Rc<str>,
    pub name: Rc<str>,
    pub declared: Option<Rc<str>>,
    pub value: Option<Node<'t>>,
}

#[derive(Debug)]
pub(in crate::detect::flow) struct Outline<'t> {
    language: Language,
    pub definitions: Vec<Definition<'t>>,
    pub fields: Vec<Field<'t>>,
    pub statements: Vec<Node<'t>>,
}

impl<'t> Outline<'t> {
    pub fn of(root: Node<'t>, source: &'t str, language: Language) -> Self {
        let (definitions, fields, statements) = (Vec::new(), Vec::new(), Vec::new());
        let mut outline = Self { language, definitions, fields, statements };
        let mut open: Vec<(Node<'t>, Option<Rc<str>>)> = vec![(root, None)];
        let text = |node: Node<'t>| -> Rc<str> { Rc::from(source.get(node.byte_range()).unwrap_or_default()) };
        while let Some((node, class)) = open.pop() {
            for child in children(node) {
                if node.id() == root.id() && !is_definition(child) {
                    outline.statements.push(child);
                }
                outline.add(child, &class, &text, &mut open);
            }
            if outline.definitions.len() > MAX_DEFINITIONS {
                break;
            }
        }
        outline.definitions.sort_by_key(|definition| definition.span);
        outline
    }

    fn add(
        &mut self,
        child: Node<'t>,
        class: &Option<Rc<str>>,
        text: &dyn Fn(Node<'t>) -> Rc<str>,
        open: &mut Vec<(Node<'t>, Option<Rc<str>>)>,
    ) {
        let named = |field: &str| child.child_by_field_name(field).map(text);
        match child.kind() {
            "function_definition" | "function_declaration" | "generator_function_declaration" => {
                self.define(child, child, named("name"), class.clone());
            }
            "method_definition" | "constructor_declaration" | "compact_constructor_declaration" => {
                self.define(child, child, named("name"), class.clone());
            }
            "method_declaration" => {
                let receiver = child.child_by_field_name("receiver").map(|list| receiver_type(&text(list)));
                self.define(child, child, named("name"), receiver.or_else(|| class.clone()));
            }
            "decorated_definition" => match child.child_by_field_name("definition") {
                Some(one) if one.kind() == "function_definition" => {
                    let name = one.child_by_field_name("name").map(text);
                    self.define(child, one, name, class.clone());
                }
                Some(one) => open.push((one, one.child_by_field_name("name").map(text))),
                None => {}
            },
            "class_definition"
            | "class_declaration"
            | "abstract_class_declaration"
            | "enum_declaration"
            | "interface_declaration"
            | "record_declaration"
            | "class" => open.push((child, named("name"))),
            "block"
            | "class_body"
            | "enum_body"
            | "enum_body_declarations"
            | "interface_body"
            | "export_statement"
            | "if_statement"
            | "try_statement"
            | "else_clause"
            | "except_clause"
                if self.language != Language::Go =>
            {
                open.push((child, class.clone()));
            }
            "type_declaration" => self.go_types(child, text),
            _ => self.field(child, class, text),
        }
    }

    fn define(&mut self, node: Node<'t>, function: Node<'t>, name: Option<Rc<str>>, class: Option<Rc<str>>) {
        let Some(name) = name else { return };
        let constructor = matches!(&*name, "__init__" | "constructor") || function.kind().contains("constructor");
        let span = Span::new(node.start_byte(), node.end_byte());
        self.definitions.push(Definition { node, name, class, constructor, span });
    }

    fn field(&mut self, child: Node<'t>, class: &Option<Rc<str>>, text: &dyn Fn(Node<'t>) -> Rc<str>) {
        let Some(class) = class else { return };
        let typed = |one: Node<'t>| one.child_by_field_name("type").map(|kind| Rc::from(bare_type(&text(kind))));
        match child.kind() {
            "field_declaration" => {
                for one in in_field(child, "declarator") {
                    let Some(name) = one.child_by_field_name("name").map(text) else { continue };
                    let value = one.child_by_field_name("value");
                    self.fields.push(Field { class: Rc::clone(class), name, declared: typed(child), value });
                }
            }
            "field_definition" | "public_field_definition" => {
                let name = child.child_by_field_name("property").or_else(|| child.child_by_field_name("name"));
                let Some(name) = name.map(text) else { return };
                let value = child.child_by_field_name("value");
                self.fields.push(Field { class: Rc::clone(class), name, declared: typed(child), value });
            }
            "expression_statement" => {
                let Some(one) = child.named_child(0).filter(|one| one.kind() == "assignment") else { return };
                let Some(name) = one.child_by_field_name("left").filter(|left| left.kind() == "identifier") else {
                    return;
                };
                let value = one.child_by_field_name("right");
                self.fields.push(Field { class: Rc::clone(class), name: text(name), declared: None, value });
            }
            _ => {}
        }
    }

    fn go_types(&mut self, declaration: Node<'t>, text: &dyn Fn(Node<'t>) -> Rc<str>) {
        for spec in children(declaration) {
            let Some(class) = spec.child_by_field_name("name").map(text) else { continue };
            let Some(kind) = spec.child_by_field_name("type").filter(|kind| kind.kind() == "struct_type") else {
                continue;
            };
            for field in children(kind).into_iter().flat_map(children) {
                let declared = field.child_by_field_name("type").map(|one| Rc::from(bare_type(&text(one))));
                for name in in_field(field, "name") {
                    let (class, declared) = (Rc::clone(&class), declared.clone());
                    self.fields.push(Field { class, name: text(name), declared, value: None });
                }
            }
        }
    }
}

/// `(s *Server)` is a method of `Server`.
fn receiver_type(list: &str) -> Rc<str> {
    let inner = list.trim_matches(['(', ')']).split_whitespace().last().unwrap_or_default();
    Rc::from(bare_type(inner))
}

fn is_definition(node: Node<'_>) -> bool {
    let defines = |kind: &str| {
        matches!(
            kind,
            "function_definition"
                | "function_declaration"
                | "generator_function_declaration"
                | "method_declaration"
                | "class_definition"
                | "class_declaration"
                | "abstract_class_declaration"
                | "decorated_definition"
                | "interface_declaration"
                | "enum_declaration"
                | "record_declaration"
        )
    };
    defines(node.kind())
        || node.kind() == "export_statement"
            && node.child_by_field_name("declaration").is_some_and(|one| defines(one.kind()))
}
