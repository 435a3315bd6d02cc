//! The course of a replay: learn what came before, then push by push follow the open places, heal what came in, learn from it.

use std::time::Instant;

use anyhow::Result;
use indicatif::ProgressBar;

use crate::detect::redact::redact;
use crate::entry::cli::memory::learn::Miner;
use crate::entry::cli::output::Output;
use crate::fix::{diff, edit};
use crate::healer::{CaseReport, HealError, Healer, Place, ScanRequest, trail};
use crate::local::git::pushes::PushStep;
use crate::model::{CommitId, ConsultOutcome, Decided, EventKind, Finding, Source};
use crate::report::replay::{Origin, Proposal, Replay};
use crate::wiring::{Clone, Shadow};

/// Characters of a proposal's diff that are kept.
const DIFF: usize = 4_000;

pub struct Course<'a> {
    pub output: &'a Output,
    pub shadow: &'a Shadow,
    pub clone: &'a Clone,
    /// Of the branch, in full.
    pub reference: String,
}

/// Proposals that are followed: `places[n]` is `replay.proposals[n]`.
type Places = Vec<Place>;

impl Course<'_> {
    /// Goes the whole way. What `replay` holds is sound at every moment: the future may be dropped.
    pub async fn run(
        &self,
        miner: &mut Miner<'_>,
        (base, steps): (&CommitId, &[PushStep]),
        replay: &mut Replay,
    ) -> Result<()> {
        let began = Instant::now();
        miner.mine(base.clone()).await?;
        miner.leave_rest(base);
        replay.learned_before = miner.tally.fixes();
        replay.commits = miner.tally.commits;
        replay.seconds_learning = began.elapsed().as_secs_f64();
        let began = Instant::now();
        let spinner = self.output.spinner("replaying");
        let mut places = Places::new();
        if replay.standing {
            spinner.set_message("healing what stood before the first push");
            self.heal((None, base), &mut places, replay, &spinner).await?;
        }
        for (number, step) in steps.iter().enumerate() {
            spinner.set_message(format!("push {} of {}, {} edit(s)", number + 1, steps.len(), places.len()));
            match self.step(step, &mut places, replay, &spinner).await {
                Ok(()) => {}
                // One push that cannot be read does not end the others.
                Err(error) if !error.is_transient() => replay.failed.push((step.head.clone(), told(&error))),
                Err(error) => return Err(error.into()),
            }
            miner.quiet = true;
            miner.mine(step.head.clone()).await?;
            replay.learned_on_the_way = miner.tally.fixes() - replay.learned_before;
            replay.commits = miner.tally.commits;
            replay.pushes += 1;
            replay.merges += usize::from(step.merge);
            replay.seconds = began.elapsed().as_secs_f64();
        }
        if let Some(last) = steps.last() {
            self.shadow.healer()?.end_places_of_lost_files(&self.clone.repository, &last.head, &mut places).await?;
            carry(&places, replay);
        }
        replay.seconds = began.elapsed().as_secs_f64();
        replay.finished = true;
        spinner.finish_and_clear();
        Ok(())
    }

    /// First what the push did to places of earlier ones, then what it brought in itself.
    async fn step(
        &self,
        step: &PushStep,
        places: &mut Places,
        replay: &mut Replay,
        spinner: &ProgressBar,
    ) -> Result<(), HealError> {
        let healer = self.shadow.healer()?;
        healer.follow_places(&self.clone.repository, (&step.base, &step.head), places).await?;
        carry(places, replay);
        self.heal((Some(&step.base), &step.head), places, replay, spinner).await
    }

    async fn heal(
        &self,
        (base, head): (Option<&CommitId>, &CommitId),
        places: &mut Places,
        replay: &mut Replay,
        spinner: &ProgressBar,
    ) -> Result<(), HealError> {
        let repository = &self.clone.repository;
        let healer = self.shadow.healer()?.under_policy_of(repository, base.unwrap_or(head)).await?;
        let request = ScanRequest {
            repository: repository.clone(),
            reference: self.reference.clone(),
            base: base.cloned(),
            head: head.clone(),
            pusher: None,
            external: Vec::new(),
        };
        let scan = healer.scan(&request).await?;
        replay.findings += scan.findings.len();
        let message = spinner.message();
        for (number, (case, generation)) in scan.runs.iter().enumerate() {
            spinner.set_message(format!("{message}; case {} of {}", number + 1, scan.runs.len()));
            let report = healer.heal(case, *generation, &|_| {}).await?;
            self.count(&healer, &report, replay).await?;
            if let Some(decided) = &report.decided {
                let in_case = |f: &&Finding| f.path == report.summary.path && f.rule.id == report.summary.rule;
                let findings: Vec<&Finding> = scan.findings.iter().filter(in_case).collect();
                self.propose(&healer, (decided, &findings), head, (places, replay)).await?;
            }
        }
        Ok(())
    }

    /// What the model was asked about this case.
    async fn count(&self, healer: &Healer, report: &CaseReport, replay: &mut Replay) -> Result<(), HealError> {
        replay.cases += 1;
        replay.saved.input_tokens += report.summary.input_tokens;
        replay.saved.output_tokens += report.summary.output_tokens;
        for event in trail::events(&*healer.ports().state, &report.case, report.generation).await? {
            if let EventKind::Consulted(asked) = event.kind
                && asked.source == Source::Model
                && !matches!(asked.outcome, ConsultOutcome::NotConfigured | ConsultOutcome::Unavailable { .. })
            {
                replay.saved.model_calls += asked.answers.len();
            }
        }
        Ok(())
    }

    async fn propose(
        &self,
        healer: &Healer,
        (decided, findings): (&Decided, &[&Finding]),
        head: &CommitId,
        (places, replay): (&mut Places, &mut Replay),
    ) -> Result<(), HealError> {
        let Some(path) = findings.first().map(|finding| &finding.path) else { return Ok(()) };
        let file = healer.ports().forge.read(&self.clone.repository, head, path).await?;
        let Some(text) = file.and_then(|file| String::from_utf8(file.bytes).ok()) else { return Ok(()) };
        let open = healer.policy().thresholds.open;
        for finding in findings {
            let chosen = decided.chosen.iter().find(|chosen| chosen.finding == finding.fingerprint);
            let scored = chosen.and_then(|chosen| Some((chosen, chosen.scored.as_ref()?.confidence)));
            let Some((chosen, confidence)) = scored else {
                replay.saved.need_a_model += 1;
                continue;
            };
            let origin = Origin::of(&chosen.candidate.evidence);
            match origin {
                Origin::Memory if confidence >= open => replay.saved.by_memory += 1,
                Origin::Curated if confidence >= open => replay.saved.by_curated += 1,
                Origin::Team if confidence >= open => replay.saved.by_team += 1,
                _ => replay.saved.need_a_model += 1,
            }
            let Some(place) = Place::of(finding, decided, &text) else { continue };
            let after = edit::apply(&text, &chosen.candidate.edits).unwrap_or_else(|_| text.clone());
            replay.proposals.push(Proposal {
                push: head.clone(),
                path: finding.path.clone(),
                line: finding.start.line,
                rule: finding.rule.id.clone(),
                decision: decided.decision,
                confidence,
                origin,
                diff: cut(diff::unified(&finding.path, &redact(&text), &redact(&after))),
                later: place.later,
                by: None,
            });
            places.push(place);
        }
        Ok(())
    }
}

/// Brings what became of the places into the report.
fn carry(places: &[Place], replay: &mut Replay) {
    for (place, proposal) in places.iter().zip(&mut replay.proposals) {
        proposal.later = place.later;
        proposal.by.clone_from(&place.by);
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(DIFF) {
        Some((at, _)) => format!("{}\n…\n", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

fn told(error: &HealError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    redact(&text).into_owned()
}
