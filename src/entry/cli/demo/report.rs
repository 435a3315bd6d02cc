//! What became of each planted bug: decision, source, branch, diff and the walk that led there.

use anyhow::{Context as _, Result, ensure};

use super::shop::Shop;
use super::watch::Watch;
use crate::entry::cli::output::{Output, Tone, plain, tone};
use crate::fix::pattern::agreement;
use crate::fix::{diff, edit};
use crate::healer::trail;
use crate::model::{
    AuditEvent, CandidateJudged, ConsultOutcome, Decided, Decision, EventKind, Evidence, PastFix, Provenance, Verdict,
};
use crate::ports::FixMemory as _;
use crate::report::pull_request::source_line;
use crate::state::run::RunHead;

/// More fixes than the demo's history can teach.
const ALL_FIXES: usize = 1_000;

/// Prints every case, the surest first.
pub async fn print(output: &Output, shop: &Shop, watch: &Watch) -> Result<()> {
    let mut runs = watch.runs().await?;
    runs.sort_by_key(|run| std::cmp::Reverse(run.summary.confidence));
    let fixes = watch.store.memory().list(None, ALL_FIXES).await?;
    for run in &runs {
        print_case(output, shop, watch, (run, &fixes)).await?;
    }
    let count = |decision| runs.iter().filter(|run| run.summary.decision == Some(decision)).count();
    let (open, draft, escalated) = (count(Decision::Open), count(Decision::Draft), count(Decision::Escalate));
    output.line(format!("\n{open} pull request(s), {draft} draft(s), {escalated} for a person"))
}

async fn print_case(output: &Output, shop: &Shop, watch: &Watch, (run, fixes): (&RunHead, &[PastFix])) -> Result<()> {
    let events = trail::events(&watch.store.state(), &run.case, run.generation).await?;
    let decided = events.iter().find_map(|e| match &e.kind {
        EventKind::Decided(decided) => Some(&**decided),
        _ => None,
    });
    let decided = decided.with_context(|| format!("case {} was not decided", run.case.short()))?;
    let word = match decided.decision {
        Decision::Open => "PULL REQUEST",
        Decision::Draft => "DRAFT",
        Decision::Escalate => "FOR A PERSON",
    };
    let head = output.paint(tone(Some(decided.decision)), &format!("{word} {}/100", decided.confidence));
    output.line(format!("\n{head}  {}", output.paint(Tone::Strong, &plain(&run.summary.headline))))?;
    match decided.chosen.first() {
        Some(chosen) => print_source(output, shop, (chosen, fixes))?,
        None => output.line("  source   none: nobody knew a fix")?,
    }
    if let Some(text) = &run.summary.pull_request {
        output.line(format!("  branch   {}", run.case.branch(&run.summary.rule, run.generation)))?;
        output.line(format!("  text     {}", plain(text)))?;
    }
    print_diff(output, shop, run, (&events, decided))?;
    let walk = events.iter().map(step).collect::<Vec<_>>().join("\n           ");
    output.line(output.paint(Tone::Quiet, &format!("  walk     {walk}")))
}

/// Where the change comes from; for a past fix, every commit that taught it.
fn print_source(output: &Output, shop: &Shop, (chosen, fixes): (&CandidateJudged, &[PastFix])) -> Result<()> {
    let Evidence::PastFix { fix, level, supports, contradictions, .. } = &chosen.candidate.evidence else {
        return output.line(format!("  source   {}", plain(&source_line(chosen))));
    };
    let donor = fixes.iter().find(|known| known.id == *fix).context("the fix that was used is remembered")?;
    output.line(format!("  source   past fix: {supports} commits of this history agree, {contradictions} differ"))?;
    let patterns = donor.patterns.iter().filter(|pattern| pattern.level == *level);
    let agree = |pattern| -> Vec<&PastFix> {
        let same_rule = fixes.iter().filter(|known| known.rule == donor.rule);
        same_rule.filter(|known| agreement(pattern, std::slice::from_ref(*known)).donors > 0).collect()
    };
    let mut teachers = patterns.map(agree).max_by_key(Vec::len).unwrap_or_default();
    teachers.sort_by_key(|teacher| teacher.created);
    for teacher in teachers {
        let Provenance::Mined { commit } = &teacher.provenance else { continue };
        let told = shop.describe(commit).context("the commit that taught the fix is in the history")?;
        output.line(format!("           {} {}", commit.get(..12).unwrap_or(commit), plain(&told)))?;
    }
    Ok(())
}

fn print_diff(output: &Output, shop: &Shop, run: &RunHead, (events, decided): (&[AuditEvent], &Decided)) -> Result<()> {
    let Some(EventKind::Detected { blob, .. }) = events.first().map(|e| &e.kind) else { return Ok(()) };
    ensure!(decided.edits.iter().all(|e| e.path == run.summary.path), "a fix of the demo touches one file");
    let before = shop.blob(blob)?;
    let after = edit::apply(&before, &decided.edits)?;
    for line in diff::unified(&run.summary.path, &before, &after).lines() {
        let tone = match line.chars().next() {
            Some('+') => Tone::Good,
            Some('-') => Tone::Bad,
            _ => Tone::Quiet,
        };
        output.line(format!("    {}", output.paint(tone, &plain(line))))?;
    }
    Ok(())
}

/// One step of a walk in a few words; `codehealer audit show` tells all of it.
fn step(event: &AuditEvent) -> String {
    let text = match &event.kind {
        EventKind::Detected { findings, commit, .. } => {
            format!("detected {} finding(s) at {}", findings.len(), commit.short())
        }
        EventKind::Consulted(asked) => {
            let answer = match &asked.outcome {
                ConsultOutcome::Answered => format!("{} proposal(s)", asked.candidates.len()),
                ConsultOutcome::NothingFound => "nothing that fits".to_owned(),
                ConsultOutcome::NotConfigured => "not configured".to_owned(),
                ConsultOutcome::Unavailable { error } => format!("could not be asked: {error}"),
            };
            format!("asked {}: {answer}", asked.source)
        }
        EventKind::Judged { source, candidates } => {
            let verified = candidates.iter().filter(|c| c.verdict.is_verified()).count();
            let checks = candidates.iter().find_map(|c| match &c.verdict {
                Verdict::Verified(checks) => Some(checks.len()),
                Verdict::Rejected(_) => None,
            });
            let checks = checks.map_or_else(String::new, |n| format!(" by {n} checks"));
            format!("judged {source}: {verified} of {} verified{checks}", candidates.len())
        }
        EventKind::Decided(decided) => format!("decided: {}, {}", decided.decision, decided.reason),
        EventKind::Branched { commit, .. } => format!("made the branch at {}", commit.short()),
        EventKind::Proposed { draft: true, .. } => "opened the draft".to_owned(),
        EventKind::Proposed { .. } => "opened the pull request".to_owned(),
        EventKind::Notifying => "about to tell people".to_owned(),
        EventKind::Notified { .. } => "told people".to_owned(),
        EventKind::Learned { detail, .. } => format!("learned: {detail}"),
        other => other.name().replace('_', " "),
    };
    plain(&text)
}
