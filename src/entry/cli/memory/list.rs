//! `memory list`, which is also the way out: its JSON is what `memory import` reads.

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::PAGE;
use crate::entry::cli::output::Output;
use crate::entry::cli::{Exit, Format, Session, Sources};
use crate::model::{Language, PastFix, Provenance, RuleId};
use crate::ports::FixMemory;
use crate::report::table::Table;
use crate::report::time::instant;
use crate::wiring::{Backends, Mode};

#[derive(Args)]
pub struct ListArgs {
    /// Fixes of this rule, or with it among their aliases
    #[arg(long, value_name = "ID", value_parser = |text: &str| RuleId::new(text))]
    rule: Option<RuleId>,
    /// Fixes in this language, for example python
    #[arg(long, value_name = "NAME", value_parser = language)]
    language: Option<Language>,
    /// Fixes from there
    #[arg(long, value_enum)]
    provenance: Option<ProvenanceArg>,
    /// Fixes of this repository, by name
    #[arg(long, value_name = "NAME")]
    repo: Option<String>,
    /// How the result is written; JSON has one fix a line and can be imported
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProvenanceArg {
    Curated,
    Starter,
    Merged,
    Mined,
    Team,
    Proposed,
    Imported,
}

/// A language by the name that rules use.
pub fn language(name: &str) -> Result<Language, String> {
    let known = || Language::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let wanted = name.to_ascii_lowercase();
    Language::ALL.into_iter().find(|l| l.to_string() == wanted).ok_or_else(|| format!("use one of {}", known()))
}

impl ListArgs {
    fn takes(&self, fix: &PastFix) -> bool {
        let provenance = match fix.provenance {
            Provenance::Curated => ProvenanceArg::Curated,
            Provenance::Starter => ProvenanceArg::Starter,
            Provenance::Merged { .. } => ProvenanceArg::Merged,
            Provenance::Mined { .. } => ProvenanceArg::Mined,
            Provenance::Team { .. } => ProvenanceArg::Team,
            Provenance::Proposed { .. } => ProvenanceArg::Proposed,
            Provenance::Imported => ProvenanceArg::Imported,
        };
        self.rule.as_ref().is_none_or(|rule| *rule == fix.rule || fix.aliases.contains(rule))
            && self.language.is_none_or(|language| language == fix.language)
            && self.provenance.is_none_or(|wanted| wanted == provenance)
            && self.repo.as_ref().is_none_or(|repo| *repo == fix.repository)
    }
}

pub async fn list(session: &Session, args: ListArgs) -> Result<Exit> {
    let config = session.config(&Sources::default())?;
    let memory = Backends::new(&config, Mode::Read).memory()?;
    let memory = &*memory;
    match args.format {
        Format::Json => json(&session.output, memory, &args).await?,
        Format::Text => text(&session.output, memory, &args).await?,
    }
    Ok(Exit::Done)
}

/// A page of fixes at a time, so that a large memory does not have to fit into this process.
async fn json(output: &Output, memory: &dyn FixMemory, args: &ListArgs) -> Result<()> {
    output.write("[")?;
    let mut between = "\n";
    let mut after = None;
    loop {
        let page = memory.list(after.as_ref(), PAGE).await?;
        let Some(last) = page.last().map(|fix| fix.id.clone()) else { break };
        for fix in page.into_iter().filter(|fix| args.takes(fix)) {
            // The vector is made anew where it is imported.
            let fix = PastFix { vector: Vec::new(), ..fix };
            output.write(&format!("{between}{}", serde_json::to_string(&fix)?))?;
            between = ",\n";
        }
        after = Some(last);
    }
    output.line("\n]")
}

async fn text(output: &Output, memory: &dyn FixMemory, args: &ListArgs) -> Result<()> {
    let mut table =
        Table::new(&["fix", "rule", "language", "from", "learned", "taken", "refused", "repository and path"]);
    let (mut count, mut after) = (0usize, None);
    loop {
        let page = memory.list(after.as_ref(), PAGE).await?;
        let Some(last) = page.last().map(|fix| fix.id.clone()) else { break };
        for fix in page.iter().filter(|fix| args.takes(fix)) {
            count += 1;
            table.row(None, cells(fix));
        }
        after = Some(last);
    }
    if count == 0 {
        return output
            .line("no fix is remembered that fits; `codehealer memory learn` learns from a repository's history");
    }
    output.lines(&table.lines())?;
    output.line(format!("{count} fix(es)"))
}

fn cells(fix: &PastFix) -> Vec<String> {
    let from = match &fix.provenance {
        Provenance::Curated => "curated",
        Provenance::Starter => "starter",
        Provenance::Merged { .. } => "merged",
        Provenance::Mined { .. } => "mined",
        Provenance::Team { .. } => "team",
        Provenance::Proposed { .. } => "proposed",
        Provenance::Imported => "imported",
    };
    vec![
        super::short(fix).to_owned(),
        fix.rule.to_string(),
        fix.language.to_string(),
        from.to_owned(),
        instant(fix.created),
        fix.record.accepted.to_string(),
        fix.record.rejected.saturating_add(fix.record.reverted).to_string(),
        format!("{}: {}", fix.repository, fix.path),
    ]
}
