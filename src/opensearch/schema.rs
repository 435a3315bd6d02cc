//! The index: how it is made, and whether one that is there will do.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::connection::{Connection, Request};
use super::error::{REINDEX, Refusal, failed};
use crate::ports::{ErrorKind, PortResult};
use opensearch::http::Method;

/// Names of fields that hold a whole text and are filtered by.
const KEYWORDS: [&str; 6] = ["id", "organisation", "language", "embedder", "rules", "repository"];
/// Names of fields that are true or false.
const FLAGS: [&str; 3] = ["private", "superseded", "directionless"];
/// Names of fields that are stored and never searched.
const STORED: [&str; 3] = ["fix", "exact", "write"];

/// Links of a vector in the graph, and candidates looked at when it is linked: the usual numbers.
const LINKS: u32 = 16;
const LINKED_AMONG: u32 = 128;

/// How an index searches its vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub dimensions: usize,
    pub engine: String,
    pub space: String,
}

#[derive(Deserialize)]
struct Index {
    mappings: Mappings,
    settings: Value,
}

#[derive(Deserialize)]
struct Mappings {
    #[serde(default)]
    properties: BTreeMap<String, Value>,
}

/// Body of the request that makes the index. Shards are one, since each is searched for itself; replicas are the cluster's choice.
pub(super) fn definition(dimensions: usize) -> Value {
    let parameters = json!({"m": LINKS, "ef_construction": LINKED_AMONG});
    let method = json!({"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil", "parameters": parameters});
    let mut fields = serde_json::Map::new();
    fields.insert("vector".to_owned(), json!({"type": "knn_vector", "dimension": dimensions, "method": method}));
    let kinds = [
        (&KEYWORDS[..], json!({"type": "keyword"})),
        (&FLAGS[..], json!({"type": "boolean"})),
        (&STORED[..], json!({"type": "object", "enabled": false})),
    ];
    for (names, kind) in kinds {
        fields.extend(names.iter().map(|name| ((*name).to_owned(), kind.clone())));
    }
    json!({
        "settings": {"index": {"knn": true, "number_of_shards": 1}},
        "mappings": {"dynamic": false, "properties": fields},
    })
}

/// The index's shape; `None` when there is no such index.
///
/// # Errors
/// `Malformed` when there is one that fixes of so many dimensions cannot be searched in.
pub(super) async fn inspect(connection: &Connection, index: &str, dimensions: usize) -> PortResult<Option<Shape>> {
    let attempted = format!("use the index {index}");
    let request =
        Request { attempted: &attempted, method: Method::Get, path: index.to_owned(), query: Vec::new(), body: None };
    let answer = connection.call(&request).await?;
    if answer.status == 404 && Refusal::read(&answer.body).is("index_not_found_exception") {
        return Ok(None);
    }
    let found: BTreeMap<String, Index> = answer.json(&attempted)?;
    let unfit = |said: String| failed(&attempted, ErrorKind::Malformed, said, REINDEX);
    let mut indexes = found.into_values();
    let (Some(found), None) = (indexes.next(), indexes.next()) else {
        return Err(unfit("the name stands for several indexes".to_owned()));
    };
    shape(&found, dimensions).map(Some).map_err(unfit)
}

/// # Errors
/// What is wrong with it, in words.
fn shape(index: &Index, dimensions: usize) -> Result<Shape, String> {
    let fields = &index.mappings.properties;
    let kind = |name: &str| fields.get(name).and_then(|field| field["type"].as_str()).unwrap_or("nothing");
    let vector = fields.get("vector").filter(|field| field["type"] == "knn_vector");
    let is_on = |value: &Value| value == "true" || value == &Value::Bool(true);
    let (Some(vector), true) = (vector, is_on(&index.settings["index"]["knn"])) else {
        return Err("it is not made for k-NN search".to_owned());
    };
    let text = |value: &Value| value.as_str().unwrap_or("none").to_owned();
    let method = &vector["method"];
    // Newer versions name the space beside the method.
    let space = if method["space_type"].is_string() { &method["space_type"] } else { &vector["space_type"] };
    let found = Shape {
        dimensions: vector["dimension"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
        engine: text(&method["engine"]),
        space: text(space),
    };
    if found.dimensions != dimensions {
        return Err(format!("its vectors have {} dimensions, the embedder's {dimensions}", found.dimensions));
    }
    if found.space != "cosinesimil" || found.engine != "lucene" {
        return Err(format!("it searches with {} by {}, not with lucene by cosinesimil", found.engine, found.space));
    }
    let expected = KEYWORDS.map(|name| (name, "keyword")).into_iter().chain(FLAGS.map(|name| (name, "boolean")));
    for (name, wanted) in expected {
        if kind(name) != wanted {
            return Err(format!("its field {name} is of type {}, not {wanted}", kind(name)));
        }
    }
    Ok(found)
}

/// Makes the index unless somebody else is faster.
///
/// # Errors
/// When it cannot be made, or what is there will not do.
pub(super) async fn create(connection: &Connection, index: &str, dimensions: usize) -> PortResult<()> {
    let attempted = format!("make the index {index}");
    let body = Some(definition(dimensions).to_string().into_bytes());
    let request =
        Request { attempted: &attempted, method: Method::Put, path: index.to_owned(), query: Vec::new(), body };
    let refusal = match connection.call(&request).await {
        Ok(answer) if answer.is_success() => return Ok(()),
        Ok(answer) => answer.refused(&attempted),
        Err(error) => error,
    };
    // Made by another process, or by us before the answer was lost.
    match inspect(connection, index, dimensions).await? {
        Some(_) => Ok(()),
        None => Err(refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(dimensions: usize) -> Index {
        let mut body = definition(dimensions);
        // As the server tells settings: in words.
        body["settings"]["index"]["knn"] = json!("true");
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn what_we_make_will_do_and_nothing_else() {
        assert!(shape(&made(768), 768).is_ok());
        assert!(shape(&made(384), 768).unwrap_err().contains("384 dimensions"));
        let without = |change: fn(&mut Index)| {
            let mut index = made(768);
            change(&mut index);
            shape(&index, 768).unwrap_err()
        };
        assert!(without(|i| i.settings = json!({})).contains("k-NN"));
        assert!(without(|i| i.mappings.properties.clear()).contains("k-NN"));
        let textual = |i: &mut Index| drop(i.mappings.properties.insert("rules".into(), json!({"type": "text"})));
        assert!(without(textual).contains("rules"));
        let flat = |i: &mut Index| drop(i.mappings.properties.remove("private"));
        assert!(without(flat).contains("private"));
        let far = |i: &mut Index| {
            if let Some(vector) = i.mappings.properties.get_mut("vector") {
                vector["method"]["space_type"] = json!("l2");
            }
        };
        assert!(without(far).contains("l2"));
    }
}
