//! What can be recognised: rules, their kind, weight and language.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text::InvalidValue;

/// A rule's identifier: kebab case, or a foreign scanner's own id (`ruff/E711`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleId(String);

impl RuleId {
    /// # Errors
    /// When the id is empty, longer than 200 bytes, or has characters other than ASCII letters, digits and `-_./:@`.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidValue> {
        let value = id.into();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_./:@".contains(&b);
        if (1..=200).contains(&value.len()) && value.bytes().all(allowed) {
            return Ok(Self(value));
        }
        Err(InvalidValue { what: "rule id", value, reason: "use 1 to 200 letters, digits and -_./:@" })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as a branch name component: lower case, everything but letters and digits becomes `-`, at most 40 bytes.
    #[must_use]
    pub fn slug(&self) -> String {
        let mapped: String =
            self.0.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let parts: Vec<&str> = mapped.split('-').filter(|part| !part.is_empty()).collect();
        let mut slug = parts.join("-");
        slug.truncate(40);
        slug.trim_end_matches('-').to_owned()
    }
}

impl TryFrom<String> for RuleId {
    type Error = InvalidValue;
    fn try_from(id: String) -> Result<Self, InvalidValue> {
        Self::new(id)
    }
}

impl From<RuleId> for String {
    fn from(id: RuleId) -> Self {
        id.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kind of problem, `SCREAMING_SNAKE_CASE`: `SQL_INJECTION`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IssueType(String);

impl IssueType {
    /// # Errors
    /// When the text is not 1 to 60 upper-case letters, digits and underscores, beginning with a letter.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidValue> {
        let value = text.into();
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        let begins = value.as_bytes().first().is_some_and(u8::is_ascii_uppercase);
        if begins && value.len() <= 60 && value.bytes().all(allowed) {
            return Ok(Self(value));
        }
        Err(InvalidValue { what: "issue type", value, reason: "use SCREAMING_SNAKE_CASE" })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for IssueType {
    type Error = InvalidValue;
    fn try_from(text: String) -> Result<Self, InvalidValue> {
        Self::new(text)
    }
}

impl From<IssueType> for String {
    fn from(issue_type: IssueType) -> Self {
        issue_type.0
    }
}

impl fmt::Display for IssueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A CWE number, as listed by MITRE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cwe(pub u32);

impl fmt::Display for Cwe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CWE-{}", self.0)
    }
}

/// How much a finding matters. Ordered from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        })
    }
}

/// Languages whose grammar is linked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    CSharp,
    Dockerfile,
    Go,
    Hcl,
    Java,
    JavaScript,
    Php,
    Python,
    Ruby,
    Rust,
    Tsx,
    TypeScript,
    Yaml,
}

impl Language {
    pub const ALL: [Self; 13] = [
        Self::CSharp,
        Self::Dockerfile,
        Self::Go,
        Self::Hcl,
        Self::Java,
        Self::JavaScript,
        Self::Php,
        Self::Python,
        Self::Ruby,
        Self::Rust,
        Self::Tsx,
        Self::TypeScript,
        Self::Yaml,
    ];

    /// The language by file name; `None` when no grammar of ours reads the file.
    #[must_use]
    pub fn of(path: &super::RepoPath) -> Option<Self> {
        Self::by_name(path.file_name()).or_else(|| Self::by_extension(path.extension()?))
    }

    /// Files whose whole name, or its first part, says what they are: `Dockerfile`, `Dockerfile.dev`, `Gemfile`.
    fn by_name(name: &str) -> Option<Self> {
        let first = name.split('.').next().unwrap_or_default();
        match first {
            "Dockerfile" | "Containerfile" if !matches!(name, "Dockerfile.md" | "Dockerfile.txt") => {
                // `Dockerfile.j2` is a text that makes one; `Dockerfile.rs` is a program.
                let last = name.rsplit('.').next().unwrap_or_default();
                let template = matches!(last, "j2" | "jinja" | "jinja2" | "erb" | "tmpl" | "tpl" | "template" | "in");
                (!template && (last == first || Self::by_extension(last).is_none())).then_some(Self::Dockerfile)
            }
            "Gemfile" | "Rakefile" | "Capfile" | "Guardfile" | "Vagrantfile" if name == first => Some(Self::Ruby),
            _ => None,
        }
    }

    fn by_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "cs" | "csx" => Self::CSharp,
            "dockerfile" | "containerfile" => Self::Dockerfile,
            "go" => Self::Go,
            "tf" | "tfvars" | "hcl" => Self::Hcl,
            "java" => Self::Java,
            "js" | "jsx" | "mjs" | "cjs" => Self::JavaScript,
            "php" | "php5" | "php7" | "phtml" | "inc" => Self::Php,
            "py" | "pyi" | "pyw" => Self::Python,
            "rb" | "rake" | "gemspec" | "ru" => Self::Ruby,
            "rs" => Self::Rust,
            "tsx" => Self::Tsx,
            "ts" | "mts" | "cts" => Self::TypeScript,
            "yml" | "yaml" => Self::Yaml,
            _ => return None,
        })
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CSharp => "csharp",
            Self::Dockerfile => "dockerfile",
            Self::Go => "go",
            Self::Hcl => "hcl",
            Self::Java => "java",
            Self::JavaScript => "javascript",
            Self::Php => "php",
            Self::Python => "python",
            Self::Ruby => "ruby",
            Self::Rust => "rust",
            Self::Tsx => "tsx",
            Self::TypeScript => "typescript",
            Self::Yaml => "yaml",
        })
    }
}

/// Who wrote a rule, which decides how far its fixes are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleOrigin {
    /// Shipped with the product and reviewed by us.
    BuiltIn,
    /// From a folder that the operator configured.
    Operator,
    /// Reported by another scanner through SARIF; our engine cannot re-check it.
    External { tool: String },
    /// A kind of claim that a model makes of a function; only a model can look again.
    Model,
}

/// What the product says about a rule, apart from how it matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleInfo {
    pub id: RuleId,
    pub issue_type: IssueType,
    pub cwes: Vec<Cwe>,
    pub severity: Severity,
    /// `None` for rules of other scanners, which do not tell.
    pub language: Option<Language>,
    /// One line: what is wrong.
    pub message: String,
    /// Why it matters, Markdown.
    pub note: String,
    /// Imperative, lower case: what to do.
    pub hint: String,
    pub references: Vec<String>,
    pub origin: RuleOrigin,
}
