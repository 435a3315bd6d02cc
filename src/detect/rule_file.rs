//! One rule document: what the product says about the rule, read strictly, and the matcher that ast-grep makes of it.

use ast_grep_config::{RuleConfig, RuleConfigError, SerializableRuleConfig};
use ast_grep_language::Language as _;
use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use serde_json::Value;

use super::flow::{FlowDocument, RuleFlow};
use super::grammar::Grammar;
use super::prefilter::Needs;
use super::{language, test_code, utilities};
use crate::model::{Cwe, IssueType, Language, RuleId, RuleInfo, RuleOrigin, Severity};

/// A rule or fix document that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule file {file}{}: {problem}; {remedy}", place(.at))]
pub struct RuleError {
    pub file: String,
    /// Line and column, from 1, where the YAML reader knows them.
    pub at: Option<(u64, u64)>,
    pub problem: String,
    pub remedy: String,
}

fn place(at: &Option<(u64, u64)>) -> String {
    at.map(|(line, column)| format!(" line {line} column {column}")).unwrap_or_default()
}

impl RuleError {
    pub(super) fn new(file: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { file: file.to_owned(), at: None, problem: problem.into(), remedy: remedy.into() }
    }

    pub(super) fn yaml(file: &str, error: &serde_saphyr::Error) -> Self {
        let plain = error.without_snippet();
        let problem = plain.to_string().lines().next().unwrap_or("it is not YAML of a rule").to_owned();
        let at = plain.location().filter(|at| at.line() > 0).map(|at| (at.line(), at.column()));
        let remedy = "correct the document; docs/RULES.md lists the keys";
        Self { file: file.to_owned(), at, problem, remedy: remedy.to_owned() }
    }

    fn config(file: &str, id: &str, error: &RuleConfigError) -> Self {
        let mut problem = format!("rule {id} cannot be compiled: {error}");
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            problem.push_str(" → ");
            problem.push_str(inner.to_string().trim_end_matches('.'));
            cause = inner.source();
        }
        Self::new(file, problem, "correct `rule`, `constraints`, `utils`, `transform` or `fix` as the causes say")
    }
}

/// The keys of `metadata` in a rule document. Any other is refused by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleMetadata {
    issue_type: IssueType,
    cwe: Vec<Cwe>,
    severity: Severity,
    hint: String,
    #[serde(default)]
    references: Vec<String>,
    #[serde(default)]
    languages: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    in_tests: Option<InTests>,
    #[serde(default)]
    repeats: Option<String>,
}

/// What becomes of a rule's findings in code that tests other code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum InTests {
    /// They are findings like any other.
    Report,
    /// They are set aside, as suppressed ones are.
    Ignore,
}

/// What is read of a rule document before its matcher is compiled. ast-grep itself refuses unknown keys at this level.
#[derive(Debug, Clone, Deserialize)]
struct RuleDocument {
    id: RuleId,
    language: String,
    message: String,
    #[serde(default)]
    note: String,
    metadata: RuleMetadata,
    #[serde(default)]
    fix: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    rule: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    flow: Option<RuleFlow>,
}

/// A rule as its file tells it, for all languages it is valid for.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// `language` is the rule's main one.
    pub info: RuleInfo,
    pub main: Language,
    pub languages: Vec<Language>,
    /// Only paths that one of these matches; all when `None`.
    pub files: Option<GlobSet>,
    /// Whether it has a matcher.
    pub matches: bool,
    /// Where untrusted values must not go.
    pub flow: Option<RuleFlow>,
    pub in_tests: InTests,
    /// [`OWN_TEXT`], or the field whose text another node must have too that the rule may match.
    pub repeats: Option<String>,
}

/// Reads everything but the matcher.
pub(super) fn header(file: &str, text: &str, origin: &RuleOrigin) -> Result<Header, RuleError> {
    let document: RuleDocument = ast_grep_config::from_str(text).map_err(|error| RuleError::yaml(file, &error))?;
    let RuleDocument { id, language, message, note, metadata, fix, rule, flow } = document;
    let stem = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".yml").trim_end_matches(".yaml");
    if id.as_str() != stem {
        return Err(RuleError::new(file, format!("its id is {id}"), format!("name the file {id}.yml")));
    }
    if fix.is_some() {
        return Err(RuleError::new(file, "a rule has no `fix`", format!("move it to {id}.fix.yml")));
    }
    if message.is_empty() || message.contains('\n') || metadata.hint.is_empty() || metadata.hint.contains('\n') {
        return Err(RuleError::new(
            file,
            "`message` or `metadata.hint` is empty or has several lines",
            "write one line",
        ));
    }
    let main = linked(file, &language)?;
    let mut languages = vec![main];
    for name in &metadata.languages {
        let further = linked(file, name)?;
        if !languages.contains(&further) {
            languages.push(further);
        }
    }
    let usual = if test_code::needs_an_attacker(&metadata.issue_type) { InTests::Ignore } else { InTests::Report };
    let info = RuleInfo {
        id,
        issue_type: metadata.issue_type,
        cwes: metadata.cwe,
        severity: metadata.severity,
        language: Some(main),
        message,
        note,
        hint: metadata.hint,
        references: metadata.references,
        origin: origin.clone(),
    };
    let matches = rule.is_some();
    if !matches && flow.is_none() {
        return Err(RuleError::new(file, "it has neither `rule` nor `flow`", "say what it finds"));
    }
    let (in_tests, repeats) = (metadata.in_tests.unwrap_or(usual), metadata.repeats);
    if let Some(field) = repeats.as_deref().filter(|field| *field != OWN_TEXT && !has_field(&languages, field)) {
        let remedy = "write `text`, or a field that every language of the rule has, in `metadata.repeats`";
        return Err(RuleError::new(file, format!("{field:?} is no field"), remedy));
    }
    Ok(Header { info, main, languages, files: globs(file, &metadata.files)?, matches, flow, in_tests, repeats })
}

/// Reads a document of `<name>.flow.yml`, with its languages.
pub(super) fn flow_document(file: &str, text: &str) -> Result<(FlowDocument, Vec<Language>), RuleError> {
    let document: FlowDocument = ast_grep_config::from_str(text).map_err(|error| RuleError::yaml(file, &error))?;
    let languages = document.languages.iter().map(|name| linked(file, name)).collect::<Result<Vec<_>, _>>()?;
    Ok((document, languages))
}

fn linked(file: &str, name: &str) -> Result<Language, RuleError> {
    language::named(name).ok_or_else(|| {
        let known: Vec<String> = Language::ALL.iter().map(|one| language::grammar(*one).to_string()).collect();
        RuleError::new(file, format!("language {name:?} is not built in"), format!("use one of {}", known.join(", ")))
    })
}

fn globs(file: &str, patterns: &[String]) -> Result<Option<GlobSet>, RuleError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let refused = |error: globset::Error| RuleError::new(file, error.to_string(), "correct `metadata.files`");
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(refused)?);
    }
    set.build().map(Some).map_err(refused)
}

/// Says in `metadata.repeats` that the text of the node itself repeats.
pub(super) const OWN_TEXT: &str = "text";

fn has_field(languages: &[Language], field: &str) -> bool {
    languages.iter().all(|language| language::grammar(*language).field_to_id(field).is_some())
}

/// A rule document whose matcher is compiled when a file needs it.
pub(super) struct Source {
    /// As ast-grep knows it: without `flow`, with utilities that say which others they build upon.
    document: Value,
    /// What texts must contain, and what matched nodes must.
    pub needs: (Needs, Needs),
}

impl Source {
    pub fn read(file: &str, text: &str) -> Result<Self, RuleError> {
        let mut document: Value = ast_grep_config::from_str(text).map_err(|error| RuleError::yaml(file, &error))?;
        if let Some(keys) = document.as_object_mut() {
            keys.remove("flow");
        }
        let part = |name: &str| document.get(name).cloned().unwrap_or_default();
        let (rule, utilities) = (part("rule"), part("utils"));
        let needs = (Needs::of(&rule, &utilities), Needs::of_node(&rule, &utilities));
        utilities::in_order(&mut document);
        Ok(Self { document, needs })
    }

    /// The matcher for one of the rule's languages. `text` is what the document was read from, for errors with their place.
    pub fn compile(&self, file: &str, text: &str, language: Language) -> Result<RuleConfig<Grammar>, RuleError> {
        let document = match SerializableRuleConfig::<Grammar>::deserialize(&self.document) {
            Ok(document) => document,
            Err(_) => ast_grep_config::from_str(text).map_err(|error| RuleError::yaml(file, &error))?,
        };
        configure(file, document, language)
    }
}

fn configure(
    file: &str,
    mut document: SerializableRuleConfig<Grammar>,
    language: Language,
) -> Result<RuleConfig<Grammar>, RuleError> {
    document.language = language::grammar(language);
    let id = document.id.clone();
    RuleConfig::try_from(document, &Default::default()).map_err(|error| RuleError::config(file, &id, &error))
}

/// A statement that must be in the file once a fix is applied.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum FixImport {
    /// The statement itself.
    Statement(String),
    /// JavaScript: for modules, and for CommonJS scripts.
    Module { esm: String, cjs: String },
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FixMetadata {
    #[serde(default)]
    imports: Vec<FixImport>,
    #[serde(default)]
    languages: Vec<String>,
    #[serde(default)]
    caution: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct FixDocument {
    id: RuleId,
    language: String,
    message: String,
    #[serde(default)]
    metadata: Option<FixMetadata>,
    #[serde(default)]
    fix: Option<serde::de::IgnoredAny>,
}

/// One way to heal what a rule finds, written by us: a matcher with the text to put in its place.
pub struct CuratedFix {
    /// `<rule id>/<name>`.
    pub id: RuleId,
    /// Imperative: `use yaml.safe_load`.
    pub title: String,
    pub imports: Vec<FixImport>,
    /// What a person must know before they merge it: the fix is right, but not the whole of what has to be done.
    pub caution: Option<String>,
    pub config: RuleConfig<Grammar>,
}

/// Compiles the fix documents in `text` that are valid for `language`, in order. A document in the rule's main language
/// is valid for all languages of the rule.
pub(super) fn fixes(file: &str, text: &str, rule: &Header, language: Language) -> Result<Vec<CuratedFix>, RuleError> {
    let documents: Vec<FixDocument> =
        ast_grep_config::from_multiple(text).map_err(|error| RuleError::yaml(file, &error))?;
    let configs: Vec<SerializableRuleConfig<Grammar>> =
        ast_grep_config::from_multiple(text).map_err(|error| RuleError::yaml(file, &error))?;
    let mut fixes = Vec::new();
    for (document, config) in documents.into_iter().zip(configs) {
        let metadata = document.metadata.unwrap_or_default();
        check_fix(file, &document.id, rule, document.fix.is_some())?;
        let main = linked(file, &document.language)?;
        let mut valid = vec![main];
        for name in &metadata.languages {
            valid.push(linked(file, name)?);
        }
        if main == rule.main {
            valid.extend(&rule.languages);
        }
        if valid.contains(&language) {
            let config = configure(file, config, language)?;
            let FixMetadata { imports, caution, .. } = metadata;
            fixes.push(CuratedFix { id: document.id, title: document.message, imports, caution, config });
        }
    }
    Ok(fixes)
}

fn check_fix(file: &str, id: &RuleId, rule: &Header, has_fix: bool) -> Result<(), RuleError> {
    let own = id.as_str().split_once('/').is_some_and(|(of, _)| of == rule.info.id.as_str());
    if !own {
        let remedy = format!("name it {}/<name>", rule.info.id);
        return Err(RuleError::new(file, format!("fix {id} does not name its rule"), remedy));
    }
    if !has_fix {
        return Err(RuleError::new(file, format!("{id} has no `fix`"), "add the text to put in place"));
    }
    Ok(())
}
