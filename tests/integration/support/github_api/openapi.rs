//! GitHub's own description of its API: read once per process, compiled only where it is used.
//!
//! It is OpenAPI 3.0, whose schemas are an old draft of JSON Schema with `nullable` instead of a null type. Whatever a schema
//! refers to is gathered into one document with it, so that nothing else of the 13 MB is ever parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jsonschema::{Draft, Validator};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::support::servers::counterpart;

type Raw = BTreeMap<String, Box<RawValue>>;

#[derive(Deserialize)]
struct Document {
    paths: BTreeMap<String, Raw>,
    components: BTreeMap<String, Raw>,
}

/// One parameter of an operation.
struct Parameter {
    name: String,
    /// `path` or `query`.
    place: String,
    required: bool,
    schema: Value,
}

/// What GitHub says of one method of one path.
pub struct Operation {
    name: String,
    /// The page of its reference, which its errors name.
    pub documentation: String,
    parameters: Vec<Parameter>,
    /// Schema of the body, and whether there must be one.
    body: Option<(Value, bool)>,
    /// Schema of each answer by status, where it has one.
    answers: BTreeMap<u16, Option<Value>>,
}

fn document() -> &'static Document {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let file = "node_modules/@octokit/openapi/generated/api.github.com.json";
        let text = std::fs::read_to_string(counterpart("openapi").join(file)).unwrap();
        serde_json::from_str(&text).expect("GitHub's description is JSON")
    })
}

/// The operation of a path as the description spells it, such as `/repos/{owner}/{repo}`.
///
/// # Panics
/// When GitHub describes no such operation: an emulator must not have more than GitHub has.
pub fn operation(method: &str, template: &str) -> Arc<Operation> {
    static READ: Mutex<BTreeMap<String, Arc<Operation>>> = Mutex::new(BTreeMap::new());
    let name = format!("{method} {template}");
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let path = document().paths.get(template);
        let raw = path.and_then(|path| path.get(&method.to_lowercase()));
        let raw = raw.unwrap_or_else(|| panic!("GitHub describes no {name}"));
        Arc::new(Operation::read(name.clone(), &serde_json::from_str(raw.get()).unwrap()))
    };
    Arc::clone(read.entry(name.clone()).or_insert_with(make))
}

/// What a reference inside of the document points at.
fn component(reference: &str) -> Value {
    let mut parts = reference.strip_prefix("#/components/").expect("inside of the document").splitn(2, '/');
    let (kind, name) = (parts.next().unwrap(), parts.next().unwrap());
    serde_json::from_str(document().components[kind][name].get()).unwrap()
}

fn followed(value: &Value) -> Value {
    value["$ref"].as_str().map_or_else(|| value.clone(), component)
}

impl Operation {
    fn read(name: String, raw: &Value) -> Self {
        let list = raw["parameters"].as_array().cloned().unwrap_or_default();
        let parameters = list.iter().map(followed).map(|parameter| Parameter {
            name: parameter["name"].as_str().unwrap().to_owned(),
            place: parameter["in"].as_str().unwrap().to_owned(),
            required: parameter["required"] == true,
            schema: parameter["schema"].clone(),
        });
        let json = |part: &Value| part["content"].get("application/json").map(|content| content["schema"].clone());
        let body = json(&raw["requestBody"]).map(|schema| (schema, raw["requestBody"]["required"] == true));
        let answers = raw["responses"].as_object().unwrap().iter();
        let answers = answers.filter_map(|(status, answer)| Some((status.parse().ok()?, json(&followed(answer)))));
        let documentation = raw["externalDocs"]["url"].as_str().unwrap_or_default().to_owned();
        Self { documentation, parameters: parameters.collect(), body, answers: answers.collect(), name }
    }

    /// Everything that is wrong with a request.
    pub fn check_request(
        &self,
        path: &BTreeMap<String, String>,
        query: &BTreeMap<String, String>,
        body: Option<&Value>,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let known: BTreeSet<_> = self.parameters.iter().map(|p| (p.place.as_str(), p.name.as_str())).collect();
        for name in query.keys().filter(|name| !known.contains(&("query", name.as_str()))) {
            wrong.push(format!("{}: there is no parameter {name}", self.name));
        }
        for parameter in &self.parameters {
            let given = if parameter.place == "path" { path } else { query }.get(&parameter.name);
            match given {
                Some(text) => wrong.extend(self.check_parameter(parameter, text)),
                None if parameter.required => wrong.push(format!("{}: no {}", self.name, parameter.name)),
                None => {}
            }
        }
        match (&self.body, body) {
            (Some((schema, _)), Some(body)) => wrong.extend(self.check("body", schema, body)),
            (Some((_, true)), None) => wrong.push(format!("{}: a body is required", self.name)),
            (None, Some(_)) => wrong.push(format!("{}: takes no body", self.name)),
            (_, None) => {}
        }
        wrong
    }

    fn check_parameter(&self, parameter: &Parameter, text: &str) -> Vec<String> {
        let schema = followed(&parameter.schema);
        let value = match schema["type"].as_str() {
            Some("integer" | "number" | "boolean") => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            _ => json!(text),
        };
        self.check(&format!("parameter {}", parameter.name), &schema, &value)
    }

    /// Everything that is wrong with an answer. Refusals that any operation may meet need not be described.
    pub fn check_answer(&self, status: u16, body: &Value) -> Vec<String> {
        let error = json!({"$ref": "#/components/schemas/basic-error"});
        match self.answers.get(&status) {
            Some(Some(schema)) => self.check(&format!("answer {status}"), schema, body),
            Some(None) if body.is_null() => Vec::new(),
            Some(None) if status >= 300 => self.check(&format!("answer {status}"), &error, body),
            Some(None) => vec![format!("{}: {status} has no body", self.name)],
            None if matches!(status, 301 | 307 | 400 | 401 | 403 | 404 | 409 | 410 | 422 | 429) => {
                self.check(&format!("answer {status}"), &error, body)
            }
            None => vec![format!("{}: never answers {status}", self.name)],
        }
    }

    fn check(&self, what: &str, schema: &Value, value: &Value) -> Vec<String> {
        let validator = compiled(&format!("{} {what}", self.name), schema);
        let errors = validator.iter_errors(value).take(5);
        errors.map(|error| format!("{}: {what}{}: {}", self.name, error.instance_path(), short(&error))).collect()
    }
}

fn short(error: &impl ToString) -> String {
    error.to_string().chars().take(300).collect()
}

fn compiled(name: &str, schema: &Value) -> Arc<Validator> {
    static COMPILED: Mutex<BTreeMap<String, Arc<Validator>>> = Mutex::new(BTreeMap::new());
    if let Some(found) = COMPILED.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
        return Arc::clone(found);
    }
    let options = jsonschema::options().with_draft(Draft::Draft4).should_validate_formats(true);
    let made = Arc::new(options.build(&closed(schema)).unwrap_or_else(|error| panic!("{name}: {error}")));
    COMPILED.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Arc::clone(&made));
    made
}

/// The schema with everything that it refers to.
fn closed(schema: &Value) -> Value {
    let mut wanted = Vec::new();
    let mut schemas = Map::new();
    let root = plain(schema, &mut wanted);
    while let Some(reference) = wanted.pop() {
        let name = reference.rsplit('/').next().unwrap().to_owned();
        if !schemas.contains_key(&name) {
            let found = plain(&component(&reference), &mut wanted);
            schemas.insert(name, found);
        }
    }
    json!({"allOf": [root], "components": {"schemas": schemas}})
}

/// The schema without what OpenAPI adds to JSON Schema; what it refers to goes to `wanted`.
fn plain(schema: &Value, wanted: &mut Vec<String>) -> Value {
    let Some(given) = schema.as_object() else { return schema.clone() };
    if let Some(reference) = schema["$ref"].as_str() {
        wanted.push(reference.to_owned());
        return json!({"$ref": reference});
    }
    let mut kept = Map::new();
    for (key, value) in given {
        let value = match (key.as_str(), value) {
            ("properties" | "patternProperties", Value::Object(all)) => {
                all.iter().map(|(name, one)| (name.clone(), plain(one, wanted))).collect()
            }
            ("items" | "additionalProperties" | "not", one) => plain(one, wanted),
            ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => all.iter().map(|one| plain(one, wanted)).collect(),
            (
                "type" | "enum" | "required" | "format" | "pattern" | "minimum" | "maximum" | "exclusiveMinimum"
                | "exclusiveMaximum" | "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties"
                | "maxProperties" | "uniqueItems" | "multipleOf",
                value,
            ) => value.clone(),
            _ => continue,
        };
        kept.insert(key.clone(), value);
    }
    if schema["nullable"] == true { json!({"anyOf": [{"type": "null"}, kept]}) } else { Value::Object(kept) }
}

/// What the app that made a token must be allowed for an operation: any one of these permissions with at least this access.
/// Read from the map of the reference's own page; empty where the page lists none.
pub fn permissions(method: &str, template: &str) -> Vec<(String, String)> {
    static MAP: OnceLock<BTreeMap<String, Vec<(String, String)>>> = OnceLock::new();
    let map = MAP.get_or_init(|| {
        let file = "node_modules/@octokit/app-permissions/generated/api.github.com.json";
        let text = std::fs::read_to_string(counterpart("app_permissions").join(file)).unwrap();
        let map: Value = serde_json::from_str(&text).unwrap();
        let mut found: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for (permission, levels) in map["permissions"].as_object().unwrap() {
            for access in ["read", "write"] {
                for endpoint in levels[access].as_array().into_iter().flatten() {
                    let endpoint = unnamed(endpoint.as_str().unwrap());
                    found.entry(endpoint).or_default().push((permission.clone(), access.to_owned()));
                }
            }
        }
        // Newer than the map. The reference says: "Metadata" repository permissions (read).
        let asked = unnamed("GET /repos/{owner}/{repo}/collaborators/{username}/permission");
        found.entry(asked).or_insert_with(|| vec![("metadata".to_owned(), "read".to_owned())]);
        found
    });
    map.get(&unnamed(&format!("{method} {template}"))).cloned().unwrap_or_default()
}

/// A template whose parameters have no names: the two sources name them differently.
fn unnamed(endpoint: &str) -> String {
    let mut text = String::new();
    for part in endpoint.replace("{base}...{head}", "{basehead}").split_inclusive(['{', '}']) {
        if !part.ends_with('}') {
            text.push_str(part);
        } else {
            text.push('}');
        }
    }
    text
}
