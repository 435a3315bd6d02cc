//! `rules show`.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::list::Listed;
use crate::detect::rule_tests::{self, Cases};
use crate::entry::cli::output::Tone;
use crate::entry::cli::{Exit, Format, Session, Sources, usage};
use crate::model::RuleId;
use crate::report::line::Line;
use crate::wiring;

#[derive(Args)]
pub struct ShowArgs {
    /// Rule id, as `codehealer rules list` shows it
    #[arg(value_parser = |text: &str| RuleId::new(text))]
    id: RuleId,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Everything that is known of one rule.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    /// Id, title and what to consider before it is merged; most preferred first.
    curated: Vec<(String, String, Option<String>)>,
    /// Valid, invalid and fixed cases; none for rules of the operator, whose cases `rules test FOLDER` runs.
    cases: Option<[usize; 3]>,
    document: Option<String>,
}

pub fn show(session: &Session, args: &ShowArgs) -> Result<Exit> {
    let config = session.config(&Sources::default())?;
    let detector = wiring::detector(&config)?;
    let rules = detector.rules();
    let Some(info) = rules.info(&args.id)? else {
        return Err(usage(format!("there is no rule {}; `codehealer rules list` shows all", args.id)));
    };
    let fixes = info.language.map(|main| rules.curated_fixes(&info.id, main)).transpose()?.unwrap_or_default();
    let cases = rule_tests::built_in()?.into_iter().find(|cases| cases.id == args.id);
    let shown = Shown {
        curated: fixes.iter().map(|fix| (fix.id.to_string(), fix.title.clone(), fix.caution.clone())).collect(),
        cases: cases.map(|Cases { valid, invalid, fixed, .. }| [valid.len(), invalid.len(), fixed.len()]),
        document: rules.document(&args.id)?.map(str::to_owned),
        listed: Listed { languages: rules.languages(&args.id)?, fixes: fixes.len(), info },
    };
    match args.format {
        Format::Json => session.output.json(&shown)?,
        Format::Text => session.output.lines(&lines(&shown))?,
    }
    Ok(Exit::Done)
}

fn lines(shown: &Shown) -> Vec<Line> {
    let Listed { info, languages, .. } = &shown.listed;
    let names: Vec<String> = languages.iter().map(ToString::to_string).collect();
    let cwes: String = info.cwes.iter().map(|cwe| format!(", {cwe}")).collect();
    let mut lines = vec![
        Line::new(0, &format!("{}: {}", info.id, info.message)).toned(Tone::Strong),
        Line::new(0, &format!("{} {}{cwes}; {}", info.severity, info.issue_type, names.join(", "))),
        Line::new(0, &format!("Fix: {}", info.hint)),
        Line::empty(),
    ];
    lines.extend(info.note.trim().lines().map(|line| Line::new(0, line)));
    lines.extend(info.references.iter().map(|address| Line::new(0, address).toned(Tone::Quiet)));
    if !shown.curated.is_empty() {
        lines.push(Line::empty());
        lines.push(Line::new(0, "fixes, most preferred first").toned(Tone::Strong));
        for (id, title, caution) in &shown.curated {
            lines.push(Line::new(2, &format!("{id}: {title}")));
            lines.extend(caution.iter().map(|caution| Line::new(4, &format!("before it is merged: {caution}"))));
        }
    }
    if let Some([valid, invalid, fixed]) = shown.cases {
        lines.push(Line::empty());
        let cases = format!("cases: {valid} to leave alone, {invalid} to find, {fixed} to fix");
        lines.push(Line::new(0, &cases));
    }
    if let Some(document) = &shown.document {
        lines.push(Line::empty());
        lines.push(Line::new(0, "document").toned(Tone::Strong));
        lines.extend(document.lines().map(|line| Line::new(2, line).toned(Tone::Quiet)));
    }
    lines
}
