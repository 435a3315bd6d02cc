//! The parts of SARIF 2.1.0 that are read. Unknown fields are passed over, missing ones are empty.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Log {
    pub version: Option<String>,
    /// Required, so that other JSON is not taken for a report without findings.
    pub runs: Option<Vec<Run>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Run {
    pub tool: Tool,
    /// Read one by one, so that a malformed result costs itself only.
    #[serde(deserialize_with = "list_or_null")]
    pub results: Vec<Value>,
    pub artifacts: Vec<Artifact>,
    pub column_kind: Option<String>,
    pub original_uri_base_ids: BTreeMap<String, ArtifactLocation>,
    pub taxonomies: Vec<Component>,
    pub invocations: Vec<Invocation>,
}

/// `results` is null in a run that did not scan.
fn list_or_null<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Value>, D::Error> {
    Ok(Option::<Vec<Value>>::deserialize(from)?.unwrap_or_default())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Invocation {
    pub working_directory: Option<ArtifactLocation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tool {
    pub driver: Component,
    pub extensions: Vec<Component>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Component {
    pub name: Option<String>,
    pub rules: Vec<Rule>,
    pub taxa: Vec<Rule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Rule {
    pub id: Option<String>,
    pub name: Option<String>,
    pub short_description: Option<Text>,
    pub full_description: Option<Text>,
    pub help_uri: Option<String>,
    pub default_configuration: Option<Configuration>,
    pub message_strings: BTreeMap<String, Text>,
    pub relationships: Vec<Relationship>,
    pub properties: Properties,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Configuration {
    pub level: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Text {
    pub text: Option<String>,
    pub markdown: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Relationship {
    pub target: Reference,
}

/// A rule or taxon named by id or by its index in a component.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Reference {
    pub id: Option<String>,
    pub index: Option<i64>,
    pub tool_component: Option<ComponentReference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ComponentReference {
    pub name: Option<String>,
    pub index: Option<usize>,
}

/// A property bag: anything under any key.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Properties(BTreeMap<String, Value>);

impl Properties {
    /// The value as text, a number included.
    pub fn text(&self, key: &str) -> Option<String> {
        match self.0.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The texts under the key, whether one or a list.
    pub fn texts(&self, key: &str) -> Vec<String> {
        match self.0.get(key) {
            Some(Value::Array(list)) => list.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
            _ => self.text(key).into_iter().collect(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Artifact {
    pub location: Option<ArtifactLocation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ArtifactLocation {
    pub uri: Option<String>,
    pub uri_base_id: Option<String>,
    pub index: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SarifResult {
    pub rule_id: Option<String>,
    pub rule_index: Option<i64>,
    pub rule: Option<Reference>,
    pub kind: Option<String>,
    pub level: Option<String>,
    pub message: Option<Message>,
    pub locations: Vec<Location>,
    /// Read apart, see [`CodeFlow`].
    pub code_flows: Value,
    pub taxa: Vec<Reference>,
    pub suppressions: Vec<Suppression>,
    pub baseline_state: Option<String>,
    pub properties: Properties,
}

/// A way that data takes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct CodeFlow {
    pub thread_flows: Vec<ThreadFlow>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ThreadFlow {
    pub locations: Vec<ThreadFlowLocation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ThreadFlowLocation {
    pub location: Option<Location>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    pub text: Option<String>,
    pub markdown: Option<String>,
    pub id: Option<String>,
    pub arguments: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Suppression {
    pub status: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Location {
    pub physical_location: Option<PhysicalLocation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PhysicalLocation {
    pub artifact_location: Option<ArtifactLocation>,
    pub region: Option<Region>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Region {
    pub start_line: Option<i64>,
    pub start_column: Option<i64>,
    pub end_line: Option<i64>,
    pub end_column: Option<i64>,
    pub char_offset: Option<i64>,
    pub char_length: Option<i64>,
    pub byte_offset: Option<i64>,
    pub byte_length: Option<i64>,
}
