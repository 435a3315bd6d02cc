//! Asking memory: fixes curated with the rule, then remembered fixes of the same rule, nearest first.

use super::{Answer, Question};
use crate::fix::curated;
use crate::fix::pattern::{Proposal, Request, propose, rule_record};
use crate::healer::Healer;
use crate::model::{Candidate, Finding, Language, PastFix, Provenance};
use crate::ports::{FixQuery, PortError};

/// Remembered fixes compared with one finding: the nearest give patterns, all of them are witnesses for or against.
const NEIGHBOURS: usize = 40;
/// Refused proposals that are named for one finding.
const CITED: usize = 3;
/// Fixes of a rule that a team has of its own before the starter memory steps back.
const OWN_FIXES: usize = 3;

impl Healer {
    pub(super) async fn ask_past_fixes(&self, question: &Question<'_>) -> Result<Answer, PortError> {
        let mut answer = Answer { question: describe(question), ..Answer::default() };
        let Some(language) = question.base.language else {
            answer.answers.push("no grammar reads this language, so no learned edit can be matched".to_owned());
            return Ok(answer);
        };
        for finding in &question.findings {
            let near = self.nearest(question, language, finding).await?;
            self.candidates(question, (language, finding), &near, &mut answer);
            self.cite_refusals(finding, &near, &mut answer).await?;
        }
        Ok(answer)
    }

    fn candidates(
        &self,
        question: &Question<'_>,
        (language, finding): (Language, &Finding),
        near: &[(PastFix, f64)],
        answer: &mut Answer,
    ) {
        let base = question.base;
        let place = finding.fingerprint.short();
        let record = rule_record(near, &finding.rule.id);
        match curated::candidates(self.detector.rules(), finding, &base.text, record) {
            Ok(candidates) => {
                for candidate in candidates {
                    answer.answers.push(format!("{place}: {} (curated with the rule)", candidate.title));
                    answer.candidates.push((finding.fingerprint.clone(), candidate));
                }
            }
            Err(error) => answer.answers.push(format!("{place}: the rule's fixes are broken: {error}")),
        }
        let request = Request {
            language,
            text: &base.text,
            finding: finding.span,
            repository: &base.repository.name,
            similar: near,
        };
        for proposal in propose(&request) {
            let origin =
                near.iter().find(|(fix, _)| fix.id == proposal.fix).map_or_else(String::new, |(f, _)| origin(f));
            answer.answers.push(format!("{place}: {}", said(&proposal, &origin)));
            let edits = proposal.edits(language, &base.path, &base.text);
            let evidence = proposal.evidence(origin, record);
            let candidate = Candidate { title: finding.rule.hint.clone(), edits, evidence };
            answer.candidates.push((finding.fingerprint.clone(), candidate));
        }
    }

    /// Names the refused proposals of the rule: they lower the confidence of every edit for it, and of the same edit most.
    async fn cite_refusals(
        &self,
        finding: &Finding,
        near: &[(PastFix, f64)],
        answer: &mut Answer,
    ) -> Result<(), PortError> {
        let counts = |fix: &&PastFix| fix.record.rejected > 0 || fix.record.reverted > 0;
        for fix in near.iter().map(|(fix, _)| fix).filter(counts).take(CITED) {
            if let Some(refusal) = self.refusal(fix).await? {
                let place = finding.fingerprint.short();
                answer.answers.push(format!("{place}: {refusal}: that speaks against such an edit"));
            }
        }
        Ok(())
    }

    pub(super) async fn nearest(
        &self,
        question: &Question<'_>,
        language: Language,
        finding: &Finding,
    ) -> Result<Vec<(PastFix, f64)>, PortError> {
        let embedder = &self.ports.embedder;
        let query = FixQuery {
            organisation: question.base.repository.organisation.clone(),
            private: question.base.repository.private,
            repository: question.base.repository.name.clone(),
            language,
            rule: finding.rule.id.clone(),
            vector: embedder.embed(language, &question.base.text, finding.span).await?,
            embedder: embedder.id().to_owned(),
            limit: NEIGHBOURS,
        };
        self.ports.memory.nearest(&query).await.map(own_before_starter)
    }
}

/// The starter memory stands in for a team that has no fixes of its own. Where it has some, its own way is the right one, and other
/// examples do not speak against it.
fn own_before_starter(mut near: Vec<(PastFix, f64)>) -> Vec<(PastFix, f64)> {
    let own = near.iter().filter(|(fix, _)| fix.provenance != Provenance::Starter && fix.provenance.weight() > 0.0);
    if own.count() >= OWN_FIXES {
        near.retain(|(fix, _)| fix.provenance != Provenance::Starter);
    }
    near
}

fn describe(question: &Question<'_>) -> String {
    let rule = question.findings.first().map_or("", |f| f.rule.id.as_str());
    format!("fixes of {rule} nearest to {} place(s) in {}", question.findings.len(), question.base.path)
}

/// Where a remembered fix came from, for people.
fn origin(fix: &PastFix) -> String {
    let short = |commit: &str| commit.chars().take(12).collect::<String>();
    match &fix.provenance {
        Provenance::Curated => "curated with the rule".to_owned(),
        Provenance::Starter => "the starter memory".to_owned(),
        Provenance::Merged { pull_request, .. } => format!("merged in {} ({pull_request})", fix.repository),
        Provenance::Mined { commit } => format!("commit {} in {}", short(commit), fix.repository),
        Provenance::Team { permalink } => format!("an answer of the team ({permalink})"),
        Provenance::Proposed { .. } => format!("proposed before in {}, not reviewed", fix.repository),
        Provenance::Imported => "an imported file".to_owned(),
    }
}

fn said(proposal: &Proposal, origin: &str) -> String {
    let Proposal { similarity, agreement, donors, .. } = proposal;
    let (supports, against) = (agreement.supports, agreement.contradictions);
    format!(
        "{origin}: similarity {similarity:.2}, {donors} fix(es) give this edit, {supports:.0} for it and {against:.0} against"
    )
}
