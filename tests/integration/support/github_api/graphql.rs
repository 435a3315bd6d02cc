//! The part of GitHub's GraphQL that reads files at commits: a parser of the language's queries, and the few types behind them.

use std::collections::BTreeMap;

use git2::{ObjectType, Oid};
use serde_json::{Map, Value, json};

use super::auth::{Actor, grants};
use super::http::{Answer, Outcome, Request};
use super::world::{Hosted, World};

/// Longest text of a blob, bytes; what is longer is truncated.
const TEXT: usize = 512_000;

/// Where something stands in a query: line and column, from 1.
type Place = (usize, usize);

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(i64),
    /// One of `{ } ( ) : $ ! [ ] = @`, or `...`.
    Sign(&'static str),
}

/// A field that is asked for, or a fragment on a type.
enum Selection {
    Field { key: String, name: String, arguments: BTreeMap<String, Value>, inner: Vec<Selection>, place: Place },
    On { kind: String, inner: Vec<Selection> },
}

struct Refused {
    message: String,
    place: Place,
}

fn tokens(text: &str) -> Result<Vec<(Token, Place)>, Refused> {
    const SIGNS: [&str; 11] = ["...", "{", "}", "(", ")", ":", "$", "!", "[", "]", "="];
    let mut found = Vec::new();
    let (mut at, mut line, mut begun) = (0, 1, 0);
    while let Some(c) = text[at..].chars().next() {
        let place = (line, at - begun + 1);
        let rest = &text[at..];
        let length = |is: fn(char) -> bool| rest.find(|c| !is(c)).unwrap_or(rest.len());
        match c {
            '\n' => {
                (line, begun) = (line + 1, at + 1);
                at += 1;
            }
            ' ' | '\t' | '\r' | ',' | '\u{feff}' => at += c.len_utf8(),
            '#' => at += rest.find('\n').unwrap_or(rest.len()),
            '"' => {
                // A text is written as in JSON, apart from blocks, which nobody needs here.
                let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                let read = stream.next().and_then(Result::ok);
                let read = read.ok_or_else(|| Refused { message: "Unterminated string".to_owned(), place })?;
                at += stream.byte_offset();
                found.push((Token::Text(read), place));
            }
            _ if c.is_ascii_alphabetic() || c == '_' => {
                let length = length(|c| c.is_ascii_alphanumeric() || c == '_');
                found.push((Token::Name(rest[..length].to_owned()), place));
                at += length;
            }
            _ if c.is_ascii_digit() || c == '-' => {
                let length = 1 + rest[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - 1);
                let number = rest[..length].parse();
                let number = number.map_err(|_| Refused { message: "Expected a number".to_owned(), place })?;
                found.push((Token::Number(number), place));
                at += length;
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let message =
                    format!("Expected one of SCHEMA, SCALAR, TYPE, ENUM, INPUT, UNION, INTERFACE, actual: {c:?}");
                let sign = sign.ok_or(Refused { message, place })?;
                found.push((Token::Sign(sign), place));
                at += sign.len();
            }
        }
    }
    Ok(found)
}

struct Parser<'a> {
    tokens: &'a [(Token, Place)],
    at: usize,
    variables: &'a Value,
    declared: BTreeMap<String, Value>,
}

impl Parser<'_> {
    fn place(&self) -> Place {
        self.tokens.get(self.at).or(self.tokens.last()).map_or((1, 1), |(_, place)| *place)
    }

    fn refuse<T>(&self, message: impl Into<String>) -> Result<T, Refused> {
        Err(Refused { message: message.into(), place: self.place() })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn takes(&mut self, sign: &'static str) -> bool {
        let is_next = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), Refused> {
        if self.takes(sign) { Ok(()) } else { self.refuse(format!("Parse error: expected {sign:?}")) }
    }

    fn name(&mut self) -> Result<String, Refused> {
        match self.peek().cloned() {
            Some(Token::Name(name)) => {
                self.at += 1;
                Ok(name)
            }
            _ => self.refuse("Parse error: expected a name"),
        }
    }

    fn document(&mut self) -> Result<Vec<Selection>, Refused> {
        if let Some(Token::Name(kind)) = self.peek().cloned() {
            if kind != "query" {
                return self.refuse(format!("Parse error on {kind:?}"));
            }
            self.at += 1;
            if matches!(self.peek(), Some(Token::Name(_))) {
                self.at += 1;
            }
            self.declarations()?;
        }
        let selections = self.selections()?;
        if self.at < self.tokens.len() { self.refuse("Parse error: one operation only") } else { Ok(selections) }
    }

    /// `($name: Type! = default, …)`
    fn declarations(&mut self) -> Result<(), Refused> {
        if !self.takes("(") {
            return Ok(());
        }
        while !self.takes(")") {
            self.expect("$")?;
            let name = self.name()?;
            self.expect(":")?;
            let is_list = self.takes("[");
            let kind = self.name()?;
            let required = self.takes("!");
            if is_list {
                self.expect("]")?;
                self.takes("!");
            }
            let default = if self.takes("=") { self.value()? } else { Value::Null };
            let given = self.variables.get(&name).cloned().unwrap_or(default);
            if required && given.is_null() {
                return self.refuse(format!("Variable ${name} of type {kind}! was provided invalid value"));
            }
            self.declared.insert(name, given);
        }
        Ok(())
    }

    fn value(&mut self) -> Result<Value, Refused> {
        if self.takes("$") {
            let name = self.name()?;
            let known = self.declared.get(&name).cloned();
            return known.map_or_else(|| self.refuse(format!("Variable ${name} is used but not declared")), Ok);
        }
        let value = match self.peek().cloned() {
            Some(Token::Text(text)) => json!(text),
            Some(Token::Number(number)) => json!(number),
            Some(Token::Name(word)) if word == "true" || word == "false" => json!(word == "true"),
            Some(Token::Name(word)) if word == "null" => Value::Null,
            _ => return self.refuse("Parse error: expected a value"),
        };
        self.at += 1;
        Ok(value)
    }

    fn selections(&mut self) -> Result<Vec<Selection>, Refused> {
        self.expect("{")?;
        let mut all = Vec::new();
        while !self.takes("}") {
            all.push(self.selection()?);
        }
        if all.is_empty() { self.refuse("Parse error: a selection cannot be empty") } else { Ok(all) }
    }

    fn selection(&mut self) -> Result<Selection, Refused> {
        let place = self.place();
        if self.takes("...") {
            if self.name()? != "on" {
                return self.refuse("Parse error: only inline fragments are understood");
            }
            return Ok(Selection::On { kind: self.name()?, inner: self.selections()? });
        }
        let key = self.name()?;
        let name = if self.takes(":") { self.name()? } else { key.clone() };
        let mut arguments = BTreeMap::new();
        if self.takes("(") {
            while !self.takes(")") {
                let argument = self.name()?;
                self.expect(":")?;
                arguments.insert(argument, self.value()?);
            }
        }
        let inner = if self.peek() == Some(&Token::Sign("{")) { self.selections()? } else { Vec::new() };
        Ok(Selection::Field { key, name, arguments, inner, place })
    }
}

/// Something that fields can be asked of.
#[derive(Clone, Copy)]
enum Thing<'a> {
    Query,
    Repository(&'a Hosted),
    Commit(&'a Hosted, Oid),
    Tree(Oid),
    Entry(&'a Hosted, Oid, i32, Option<ObjectType>),
    Blob(&'a Hosted, Oid),
}

/// What a field is.
enum Found<'a> {
    Plain(Value),
    Thing(Thing<'a>),
}

impl Thing<'_> {
    fn kind(self) -> &'static str {
        match self {
            Self::Query => "Query",
            Self::Repository(_) => "Repository",
            Self::Commit(..) => "Commit",
            Self::Tree(_) => "Tree",
            Self::Entry(..) => "TreeEntry",
            Self::Blob(..) => "Blob",
        }
    }
}

/// An execution: the errors that it meets do not end it.
struct Execution<'a> {
    world: &'a World,
    actor: &'a Actor,
    errors: Vec<Value>,
}

/// A field that is asked for: its name, its arguments and where it stands.
struct Asked<'a> {
    name: &'a str,
    arguments: &'a BTreeMap<String, Value>,
    place: Place,
}

impl Asked<'_> {
    fn text(&self, name: &str) -> &str {
        self.arguments.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

impl<'a> Execution<'a> {
    fn error(&mut self, kind: &str, path: &[String], place: Place, message: String) {
        let locations = json!([{"line": place.0, "column": place.1}]);
        self.errors.push(json!({"type": kind, "path": path, "locations": locations, "message": message}));
    }

    fn object(&mut self, thing: Thing<'a>, selections: &[Selection], path: &[String], into: &mut Map<String, Value>) {
        for selection in selections {
            match selection {
                Selection::On { kind, inner } if kind == thing.kind() => self.object(thing, inner, path, into),
                Selection::On { .. } => {}
                Selection::Field { key, name, arguments, inner, place } => {
                    let mut path = path.to_vec();
                    path.push(key.clone());
                    let found = self.field(thing, &Asked { name, arguments, place: *place }, &path);
                    let value = match found {
                        Some(Found::Thing(thing)) if !inner.is_empty() => {
                            let mut fields = Map::new();
                            self.object(thing, inner, &path, &mut fields);
                            Value::Object(fields)
                        }
                        Some(Found::Plain(value)) if inner.is_empty() || value.is_null() => value,
                        None => Value::Null,
                        _ => {
                            let message = format!("Field must have selections or must have none (field '{name}')");
                            self.error("selectionMismatch", &path, *place, message);
                            Value::Null
                        }
                    };
                    into.insert(key.clone(), value);
                }
            }
        }
    }

    fn field(&mut self, of: Thing<'a>, asked: &Asked<'_>, path: &[String]) -> Option<Found<'a>> {
        let plain = |value: Value| Some(Found::Plain(value));
        match (of, asked.name) {
            (_, "__typename") => plain(of.kind().into()),
            (Thing::Query, "repository") => self.repository(asked, path),
            (Thing::Repository(repo), "nameWithOwner") => plain(repo.full_name().into()),
            (Thing::Repository(repo), "object") => Some(object(repo, asked)),
            (Thing::Commit(_, id) | Thing::Tree(id) | Thing::Blob(_, id), "oid") => plain(id.to_string().into()),
            (Thing::Commit(repo, id), "file") => Some(file(repo, id, asked.text("path"))),
            (Thing::Entry(_, _, mode, _), "mode") => plain(mode.into()),
            (Thing::Entry(_, id, ..), "oid") => plain(id.to_string().into()),
            (Thing::Entry(_, _, _, kind), "type") => plain(kind.map(|kind| kind.str()).into()),
            (Thing::Entry(repo, id, _, kind), "object") => match kind {
                Some(ObjectType::Blob) => Some(Found::Thing(Thing::Blob(repo, id))),
                Some(ObjectType::Tree) => Some(Found::Thing(Thing::Tree(id))),
                // A submodule's commit is somewhere else.
                _ => plain(Value::Null),
            },
            (Thing::Blob(repo, id), name @ ("byteSize" | "isBinary" | "isTruncated" | "text")) => {
                plain(blob(repo, id, name))
            }
            (_, name) => {
                let message = format!("Field '{name}' doesn't exist on type '{}'", of.kind());
                self.error("undefinedField", path, asked.place, message);
                None
            }
        }
    }

    fn repository(&mut self, asked: &Asked<'_>, path: &[String]) -> Option<Found<'a>> {
        let name = format!("{}/{}", asked.text("owner"), asked.text("name"));
        let at = self.world.find(&name).or_else(|| self.world.find_former(&name));
        let repo = at.map(|at| &self.world.repos[at]).filter(|repo| match self.actor {
            Actor::Token(token) if token.installation.is_some() => {
                token.repositories.contains(&repo.id) || !repo.private
            }
            Actor::Token(token) => repo.level(&token.login) != "none",
            _ => false,
        });
        let Some(repo) = repo else {
            let message = format!("Could not resolve to a Repository with the name '{name}'.");
            self.error("NOT_FOUND", path, asked.place, message);
            return None;
        };
        if let Actor::Token(token) = self.actor
            && token.installation.is_some()
            && !grants(&token.permissions, "contents", "read")
        {
            self.error("FORBIDDEN", path, asked.place, "Resource not accessible by integration".to_owned());
            return None;
        }
        Some(Found::Thing(Thing::Repository(repo)))
    }
}

fn object<'a>(repo: &'a Hosted, asked: &Asked<'_>) -> Found<'a> {
    let found = match (asked.arguments.get("oid"), asked.arguments.get("expression")) {
        (Some(_), _) => Oid::from_str(asked.text("oid")).and_then(|id| repo.git.find_object(id, None)).ok(),
        (None, _) => repo.git.revparse_single(asked.text("expression")).ok(),
    };
    match found.map(|found| (found.kind(), found.id())) {
        Some((Some(ObjectType::Commit), id)) => Found::Thing(Thing::Commit(repo, id)),
        Some((Some(ObjectType::Blob), id)) => Found::Thing(Thing::Blob(repo, id)),
        Some((Some(ObjectType::Tree), id)) => Found::Thing(Thing::Tree(id)),
        _ => Found::Plain(Value::Null),
    }
}

fn file<'a>(repo: &'a Hosted, commit: Oid, path: &str) -> Found<'a> {
    let tree = repo.git.find_commit(commit).unwrap().tree().unwrap();
    match tree.get_path(path.as_ref()) {
        Ok(entry) => Found::Thing(Thing::Entry(repo, entry.id(), entry.filemode_raw(), entry.kind())),
        Err(_) => Found::Plain(Value::Null),
    }
}

fn blob(repo: &Hosted, id: Oid, field: &str) -> Value {
    let blob = repo.git.find_blob(id).unwrap();
    let truncated = blob.size() > TEXT;
    match field {
        "byteSize" => blob.size().into(),
        "isBinary" => blob.is_binary().into(),
        "isTruncated" => truncated.into(),
        _ if blob.is_binary() => Value::Null,
        _ => {
            let shown = &blob.content()[..blob.size().min(TEXT)];
            // Bytes that are no UTF-8 are replaced, silently.
            String::from_utf8_lossy(shown).into_owned().into()
        }
    }
}

impl World {
    pub(super) fn graphql(&mut self, request: &Request) -> Outcome {
        let Some(text) = request.text("query") else {
            return Err(Answer::error(400, "A query attribute must be specified and must be a string."));
        };
        let refused = |refused: Refused| {
            let locations = json!([{"line": refused.place.0, "column": refused.place.1}]);
            json!({"errors": [{"message": refused.message, "locations": locations}]})
        };
        let read = tokens(text).and_then(|tokens| {
            let declared = BTreeMap::new();
            Parser { tokens: &tokens, at: 0, variables: &request.body["variables"], declared }.document()
        });
        let selections = match read {
            Ok(selections) => selections,
            Err(error) => return Answer::ok(refused(error)),
        };
        let mut run = Execution { world: self, actor: &request.actor, errors: Vec::new() };
        let mut data = Map::new();
        run.object(Thing::Query, &selections, &[], &mut data);
        let mut body = json!({"data": data});
        if !run.errors.is_empty() {
            // What the schema does not know fails the query as a whole.
            let is_static = |error: &Value| {
                error["type"]
                    .as_str()
                    .is_some_and(|kind| !kind.contains(char::is_uppercase) || kind.contains(char::is_lowercase))
            };
            if run.errors.iter().any(is_static) {
                body = json!({});
            }
            body["errors"] = run.errors.into();
        }
        Answer::ok(body)
    }
}
