//! `codehealer heal`: detect, walk the tree, verify, decide, deliver; for a range of commits or the whole repository.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use super::output::{Output, Tone, plain, tone};
use super::{Exit, Format, Session, Sources, usage};
use crate::decide::Step;
use crate::detect::alerts_in;
use crate::detect::sarif_in::{self, Imported, Place};
use crate::healer::{CaseReport, Healer, ScanReport, ScanRequest};
use crate::local::git::open::{HeadState, open};
use crate::local::git::range::{self, Range};
use crate::model::{CaseId, Decision, Finding, Generation, RepoPath, RunState, Source};
use crate::ports::{Forge, Notice};
use crate::wiring::{self, Clone, Mode, Wiring};

/// Heals what a range of commits brought in. Proposals are branches `codehealer/…` with one commit each and a file with the
/// text of the pull request; merge a branch to accept it, delete it to reject it. Your work tree, index and current branch
/// are never touched. Running it again makes nothing new.
#[derive(Args)]
pub struct HealArgs {
    /// The repository, or a folder inside it
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Where the range begins: a branch, tag or commit [default: where the last push or commit began]
    #[arg(long, value_name = "REV", conflicts_with = "all")]
    base: Option<String>,
    /// Where the range ends [default: the current branch]
    #[arg(long, value_name = "REV")]
    head: Option<String>,
    /// Heal everything that is in the head commit, however old
    #[arg(long)]
    all: bool,
    /// Show the diffs and decide, but record and deliver nothing
    #[arg(long)]
    dry_run: bool,
    /// Findings of another scanner: SARIF 2.1.0, or code scanning alerts as `gh api` answers them; may be repeated
    #[arg(long, value_name = "FILE")]
    sarif_in: Vec<PathBuf>,
    #[command(flatten)]
    sources: Sources,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the command.
pub async fn run(session: &Session, args: HealArgs) -> Result<Exit> {
    let config = session.config(&args.sources)?;
    let local = open(&args.path).map_err(usage)?;
    let range = range::resolve(&local, args.base.as_deref(), args.head.as_deref()).map_err(usage)?;
    let clone = Clone::of(&config, local);
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Record };
    let silent = Arc::new(|_: &Notice| {});
    let wired = wiring::wire(&config, std::slice::from_ref(&clone), mode, silent)?;

    let mut done = Done::default();
    if !args.dry_run {
        done.feedback = wired.healer.follow_up(&clone.repository).await?;
        // The runs are due at once, and found again below.
        wired.healer.open_waiting(&clone.repository).await?;
    }
    let request = request(session, (&wired, &clone, &range), &args).await?;
    let policy_at = request.base.clone().unwrap_or_else(|| request.head.clone());
    let healer = wired.healer.under_policy_of(&clone.repository, &policy_at).await?;
    let healer = if args.dry_run { healer.preview() } else { healer };
    let spinner = session.output.spinner(format!("reading {}", describe(&request)));
    let scanned = healer.scan(&request).await;
    spinner.finish_and_clear();
    done.scan = scanned?;
    let runs = with_due(&healer, &clone, &done.scan, args.dry_run).await?;
    for (number, (case, generation)) in runs.iter().enumerate() {
        let label = format!("case {} of {}", number + 1, runs.len());
        heal_one(&session.output, &healer, (case, *generation), &label, &mut done).await?;
    }
    match args.format {
        Format::Json => session.output.json(&done.as_json(&request))?,
        Format::Text => done.print(&session.output, &request, args.dry_run)?,
    }
    Ok(done.exit())
}

async fn request(
    session: &Session,
    (wired, clone, range): (&Wiring, &Clone, &Range),
    args: &HealArgs,
) -> Result<ScanRequest> {
    let mut external = Vec::new();
    for file in &args.sarif_in {
        let imported = read_sarif(wired, clone, range, file).await?;
        for refused in imported.refused.iter().take(20) {
            session.output.note(&format!("{}: not used: {}", file.display(), plain(refused)));
        }
        external.extend(imported.findings);
    }
    Ok(ScanRequest {
        repository: clone.repository.clone(),
        reference: reference(clone, range, args.head.as_deref()),
        base: if args.all { None } else { range.base.clone() },
        head: range.head.clone(),
        pusher: None,
        external,
    })
}

/// The branch that a fix is for: the named one, the current one, or just the commit.
fn reference(clone: &Clone, range: &Range, head: Option<&str>) -> String {
    match (head, &clone.local.head) {
        (None, HeadState::Branch { reference, .. }) => reference.clone(),
        (Some(name), _) => range::branch(&clone.local, name).unwrap_or_else(|| range.head.to_string()),
        _ => range.head.to_string(),
    }
}

async fn read_sarif(wired: &Wiring, clone: &Clone, range: &Range, file: &Path) -> Result<Imported> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let runtime = tokio::runtime::Handle::current();
    let read = |path: &RepoPath| {
        let asked = wired.forge.read(&clone.repository, &range.head, path);
        let found = tokio::task::block_in_place(|| runtime.block_on(asked));
        found.ok().flatten().and_then(|file| String::from_utf8(file.bytes).ok())
    };
    let root = clone.local.work_tree.as_deref().map(|root| root.to_string_lossy().into_owned());
    let place = Place { repository: &clone.repository.id, root: root.as_deref(), read: &read };
    let named = |error: &dyn std::fmt::Display| usage(format!("{}: {error}", file.display()));
    if alerts_in::is_list(&text) {
        return alerts_in::read(&text, &place).map_err(|error| named(&error));
    }
    sarif_in::read(&text, &place).map_err(|error| named(&error))
}

/// The runs that the scan asks for, and those of this repository that an earlier, interrupted call left.
async fn with_due(
    healer: &Healer,
    clone: &Clone,
    scan: &ScanReport,
    dry_run: bool,
) -> Result<Vec<(CaseId, Generation)>> {
    let mut runs = scan.runs.clone();
    if dry_run {
        return Ok(runs);
    }
    for run in healer.due_runs_of(&clone.repository).await? {
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    Ok(runs)
}

/// How often a case is worked on in one call: its file may move away again and again.
const ROUNDS: usize = 20;

async fn heal_one(
    output: &Output,
    healer: &Healer,
    (case, generation): (&CaseId, Generation),
    label: &str,
    done: &mut Done,
) -> Result<()> {
    let spinner = output.spinner(label.to_owned());
    let bar = spinner.clone();
    let progress = move |step: &Step| bar.set_message(format!("{label}: {}", doing(step)));
    let mut left = vec![(case.clone(), generation)];
    // A superseded run is judged anew at once, and another worker's lease is waited for. What is left after that is due later.
    for _ in 0..ROUNDS {
        let Some((case, generation)) = left.pop() else { break };
        let report = healer.heal(&case, generation, &progress).await?;
        if !report.anew.is_empty() {
            left.extend(report.anew);
            continue;
        }
        let Some(until) = report.busy_until else {
            done.cases.push(report);
            continue;
        };
        left.push((case, generation));
        let wait = Duration::from_millis(until.saturating_sub(healer.ports().clock.now()) + 50);
        spinner.set_message(format!("{label}: another worker holds it, waiting up to {}s", wait.as_secs() + 1));
        tokio::time::sleep(wait).await;
    }
    spinner.finish_and_clear();
    Ok(())
}

fn doing(step: &Step) -> String {
    match step {
        Step::Consult { source: Source::TeamKnowledge, .. } => "asking the team's chat".to_owned(),
        Step::Consult { source: Source::PastFix, .. } => "looking for past fixes".to_owned(),
        Step::Consult { source: Source::Model, .. } => "asking the model".to_owned(),
        Step::Judge(_) => "verifying".to_owned(),
        Step::Branch | Step::Propose => "delivering".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn describe(request: &ScanRequest) -> String {
    match &request.base {
        Some(base) => format!("{}..{}", base.short(), request.head.short()),
        None => format!("all of {}", request.head.short()),
    }
}

/// Everything that a call did.
#[derive(Default)]
struct Done {
    feedback: Vec<CaseId>,
    scan: ScanReport,
    cases: Vec<CaseReport>,
}

#[derive(Serialize)]
struct Json<'a> {
    repository: &'a str,
    base: Option<&'a str>,
    head: &'a str,
    files: usize,
    findings: &'a [Finding],
    ignored: Vec<IgnoredJson<'a>>,
    skipped: &'a [(String, String)],
    known: Vec<(&'a str, &'a str)>,
    feedback: Vec<&'a str>,
    cases: Vec<CaseJson<'a>>,
}

#[derive(Serialize)]
struct IgnoredJson<'a> {
    finding: &'a Finding,
    reason: &'a str,
}

#[derive(Serialize)]
struct CaseJson<'a> {
    case: &'a str,
    generation: u32,
    state: RunState,
    summary: &'a crate::state::run::Summary,
    decided: Option<&'a crate::model::Decided>,
    diff: Option<&'a str>,
}

impl Done {
    fn as_json<'a>(&'a self, request: &'a ScanRequest) -> Json<'a> {
        let case = |c: &'a CaseReport| CaseJson {
            case: c.case.as_str(),
            generation: c.generation.0,
            state: c.state,
            summary: &c.summary,
            decided: c.decided.as_ref(),
            diff: c.diff.as_deref(),
        };
        Json {
            repository: &request.repository.name,
            base: request.base.as_ref().map(crate::model::CommitId::as_str),
            head: request.head.as_str(),
            files: self.scan.files,
            findings: &self.scan.findings,
            ignored: self.scan.ignored.iter().map(|(finding, reason)| IgnoredJson { finding, reason }).collect(),
            skipped: &self.scan.skipped,
            known: self.scan.known.iter().map(|(case, why)| (case.as_str(), why.as_str())).collect(),
            feedback: self.feedback.iter().map(CaseId::as_str).collect(),
            cases: self.cases.iter().map(case).collect(),
        }
    }

    fn exit(&self) -> Exit {
        let waits = |c: &CaseReport| matches!(c.state, RunState::Deferred | RunState::Failed) || c.busy_until.is_some();
        if self.cases.iter().any(waits) { Exit::Waits } else { Exit::Done }
    }

    fn print(&self, output: &Output, request: &ScanRequest, dry_run: bool) -> Result<()> {
        let files = self.scan.files;
        output.line(format!("{}: {files} file(s), {} finding(s)", describe(request), self.scan.findings.len()))?;
        for case in &self.feedback {
            output.line(format!("people judged case {}; what they did was learned", case.short()))?;
        }
        output.skipped(&self.scan.skipped)?;
        for (finding, reason) in &self.scan.ignored {
            output.line(output.paint(Tone::Quiet, &format!("ignored {}: {}", finding.headline(), plain(reason))))?;
        }
        for (case, why) in &self.scan.known {
            output.line(output.paint(Tone::Quiet, &format!("nothing new for case {}: {why}", case.short())))?;
        }
        for case in &self.cases {
            self.print_case(output, case, dry_run)?;
        }
        self.print_end(output, dry_run)
    }

    fn print_case(&self, output: &Output, case: &CaseReport, dry_run: bool) -> Result<()> {
        let summary = &case.summary;
        let word = word(case);
        let confidence = summary.confidence.map_or_else(String::new, |c| format!(" {c}/100"));
        let head = output.paint(tone(summary.decision), &format!("{word}{confidence}"));
        output.line(format!("\n{head}  {}", output.paint(Tone::Strong, &plain(&summary.headline))))?;
        if let Some(decided) = &case.decided {
            if let Some(first) = decided.chosen.first() {
                output.line(format!("  from {}", plain(&crate::report::pull_request::source_line(first))))?;
            }
            output.line(format!("  {}", plain(&decided.reason)))?;
            for left in &decided.unhealed {
                output.line(format!("  not healed: {}: {}", plain(&left.headline), plain(&left.reason)))?;
            }
        }
        if let Some(url) = &summary.pull_request {
            output.line(format!("  branch {}", case.case.branch(&summary.rule, case.generation)))?;
            output.line(format!("  text   {}", plain(url)))?;
        }
        if let (Some(diff), true) = (&case.diff, dry_run || summary.decision == Some(Decision::Escalate)) {
            for line in diff.lines() {
                let tone = match line.chars().next() {
                    Some('+') => Tone::Good,
                    Some('-') => Tone::Bad,
                    _ => Tone::Quiet,
                };
                output.line(format!(
                    "  {}",
                    output.paint(tone, &line.replace(|c: char| c.is_control() && c != '\t', " "))
                ))?;
            }
        }
        if !dry_run {
            output.line(output.paint(Tone::Quiet, &format!("  why: codehealer audit show {}", case.case.short())))?;
        }
        Ok(())
    }

    fn print_end(&self, output: &Output, dry_run: bool) -> Result<()> {
        let count = |decision| self.cases.iter().filter(|c| c.summary.decision == Some(decision)).count();
        let waits = self.cases.iter().filter(|c| c.summary.decision.is_none()).count();
        let made = if dry_run { "would be made" } else { "made" };
        let (open, draft, escalated) = (count(Decision::Open), count(Decision::Draft), count(Decision::Escalate));
        output.line(format!(
            "\n{open} pull request(s) and {draft} draft(s) {made}, {escalated} for a person, {waits} waiting"
        ))
    }
}

fn word(case: &CaseReport) -> &'static str {
    match (case.state, case.summary.decision) {
        (RunState::Deferred, _) => "WAITS",
        (RunState::Failed, _) => "FAILED",
        (RunState::Suppressed, _) => "IGNORED",
        (_, Some(Decision::Open)) => "OPEN",
        (_, Some(Decision::Draft)) => "DRAFT",
        (_, Some(Decision::Escalate)) => "ESCALATED",
        (_, None) => "UNFINISHED",
    }
}
