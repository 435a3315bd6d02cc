//! `rules new`: the beginning of a rule.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::detect::RuleSet;
use crate::detect::language::grammar;
use crate::entry::cli::memory::list::language;
use crate::entry::cli::{Exit, Session, usage};
use crate::model::{IssueType, Language, RuleId, Severity};

#[derive(Args)]
pub struct NewArgs {
    /// Id of the rule: letters, digits and dashes; also the name of its files
    #[arg(value_parser = id)]
    id: RuleId,
    /// The language it reads, for example python
    #[arg(long, value_name = "NAME", value_parser = language)]
    language: Language,
    /// The kind of problem that it finds
    #[arg(long, value_name = "TYPE", default_value = "LOGIC", value_parser = |text: &str| IssueType::new(text.to_ascii_uppercase()))]
    issue_type: IssueType,
    /// Folder to write to; it is made when it is not there
    #[arg(long, value_name = "DIR", default_value = ".codehealer/rules")]
    folder: PathBuf,
}

/// Ids that are safe names of files everywhere.
fn id(text: &str) -> Result<RuleId, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !plain || text.starts_with('-') {
        return Err("use lower-case letters, digits and dashes, as in our-no-print".to_owned());
    }
    RuleId::new(text).map_err(|error| error.to_string())
}

pub fn new(session: &Session, args: &NewArgs) -> Result<Exit> {
    if RuleSet::built_in().info(&args.id).map_err(usage)?.is_some() {
        return Err(usage(format!("{} is a built-in rule; choose another id", args.id)));
    }
    fs::create_dir_all(&args.folder).with_context(|| format!("make the folder {}", args.folder.display()))?;
    let rule = args.folder.join(format!("{}.yml", args.id));
    let cases = args.folder.join(format!("{}.test.yml", args.id));
    for path in [&rule, &cases] {
        if path.exists() {
            return Err(usage(format!("{} is there already; choose another id, or edit it", path.display())));
        }
    }
    write(&rule, &document(args))?;
    write(&cases, &test_cases(args))?;
    let folder = args.folder.display();
    session.output.line(format!("wrote {} and {}", rule.display(), cases.display()))?;
    session.output.line(format!("next: codehealer rules test {folder} --watch"))?;
    Ok(Exit::Done)
}

/// Writes a file that must not be there: what somebody wrote is never lost.
fn write(path: &Path, text: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = match file {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(usage(format!("{} is there already; choose another id, or edit it", path.display())));
        }
        other => other.with_context(|| format!("write {}", path.display()))?,
    };
    file.write_all(text.as_bytes()).with_context(|| format!("write {}", path.display()))
}

fn document(args: &NewArgs) -> String {
    let NewArgs { id, language, issue_type, .. } = args;
    let severity = Severity::Medium;
    format!(
        "\
id: {id}
language: {grammar}
severity: warning
message: what is wrong, in one line
note: |
  Why it matters, a few sentences. They become part of the pull request.
metadata:
  issue_type: {issue_type}
  cwe: []
  severity: {severity}
  hint: what to do, in lower case
  references: []
rule:
  # What it matches: https://ast-grep.github.io/guide/rule-config.html, and docs/RULES.md for examples.
  {matcher}
",
        grammar = grammar(*language),
        matcher = matcher(*language)
    )
}

/// A matcher of the form that is usual in the language, which matches nothing yet.
fn matcher(language: Language) -> &'static str {
    match language {
        Language::Dockerfile => "kind: run_instruction\n  regex: WRITE_THE_RULE",
        Language::Hcl => "kind: attribute\n  regex: WRITE_THE_RULE",
        Language::Yaml => "kind: block_mapping_pair\n  regex: WRITE_THE_RULE",
        _ => "pattern: WRITE_THE_RULE($VALUE)",
    }
}

/// Cases that fail until the rule finds what it is for.
fn test_cases(args: &NewArgs) -> String {
    let (before, sign) = match args.language {
        Language::Php => ("<?php\n    ", "//"),
        Language::Dockerfile | Language::Hcl | Language::Python | Language::Ruby | Language::Yaml => ("", "#"),
        Language::CSharp
        | Language::Go
        | Language::Java
        | Language::JavaScript
        | Language::Rust
        | Language::Tsx
        | Language::TypeScript => ("", "//"),
    };
    format!(
        "\
id: {id}
valid:
  - |
    {before}{sign} code that looks like it and must be left alone
invalid:
  - |
    {before}{sign} code that the rule must find
  - |
    {before}{sign} another way that people write it
",
        id = args.id
    )
}
