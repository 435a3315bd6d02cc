//! `rules list`.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::entry::cli::memory::list::language;
use crate::entry::cli::output::Tone;
use crate::entry::cli::{Exit, Format, Session, Sources};
use crate::model::{IssueType, Language, RuleInfo, RuleOrigin, Severity};
use crate::report::table::Table;
use crate::wiring;

#[derive(Args)]
pub struct ListArgs {
    /// Rules for this language, for example python
    #[arg(long, value_name = "NAME", value_parser = language)]
    language: Option<Language>,
    /// Rules of this kind, for example SQL_INJECTION
    #[arg(long, value_name = "TYPE", value_parser = |text: &str| IssueType::new(text.to_ascii_uppercase()))]
    issue_type: Option<IssueType>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A rule with what is not in its own description.
#[derive(Serialize)]
pub(super) struct Listed {
    #[serde(flatten)]
    pub info: RuleInfo,
    pub languages: Vec<Language>,
    /// Fixes written with the rule, in its main language.
    pub fixes: usize,
}

pub fn list(session: &Session, args: &ListArgs) -> Result<Exit> {
    let config = session.config(&Sources::default())?;
    let detector = wiring::detector(&config)?;
    let rules = detector.rules();
    let mut found = Vec::new();
    for info in rules.infos()? {
        let languages = rules.languages(&info.id)?;
        let wanted = args.language.is_none_or(|language| languages.contains(&language))
            && args.issue_type.as_ref().is_none_or(|issue_type| *issue_type == info.issue_type);
        if wanted {
            let fixes =
                info.language.map(|main| rules.curated_fixes(&info.id, main)).transpose()?.map_or(0, <[_]>::len);
            found.push(Listed { info, languages, fixes });
        }
    }
    let output = &session.output;
    if args.format == Format::Json {
        output.json(&found)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["rule", "severity", "kind", "language", "fixes", "from", "message"]);
    for Listed { info, languages, fixes } in &found {
        let names: Vec<String> = languages.iter().map(ToString::to_string).collect();
        let from = if info.origin == RuleOrigin::BuiltIn { "built in" } else { "operator" };
        let tone = (info.severity >= Severity::High).then_some(Tone::Strong);
        let cells = vec![
            info.id.to_string(),
            info.severity.to_string(),
            info.issue_type.to_string(),
            if names.is_empty() { "all".to_owned() } else { names.join(", ") },
            fixes.to_string(),
            from.to_owned(),
            info.message.clone(),
        ];
        table.row(tone, cells);
    }
    output.lines(&table.lines())?;
    output.line(format!("{} rule(s)", found.len()))?;
    Ok(Exit::Done)
}
