//! Verifying what a source proposed, and forming the case's change from what passed.

use std::collections::BTreeMap;

use super::heal::replay;
use super::lease::Leased;
use super::look::again::is_looked_at;
use super::{HealError, Healer};
use crate::decide::{Choice, Walk, best_by_finding, order_for_union};
use crate::detect::redact::redact;
use crate::detect::sarif_in::{self, Place};
use crate::fix::edit;
use crate::fix::score::{CaseFacts, at_best, score};
use crate::fix::verify::{self, Known, NewPackages, VerifiedCandidate, VerifyInput};
use crate::model::{
    BlobId, Candidate, CandidateJudged, Confidence, Decided, Decision, Edit, EventKind, Finding, Fingerprint, Language,
    Rejection, RejectionKind, RepoPath, Repository, RuleOrigin, Source, Thresholds, UnhealedFinding, Verdict,
};
use crate::ports::{ErrorKind, PortError, SnapshotFile};

/// The file of a case as it stands at the pinned commit.
pub(super) struct Base {
    pub repository: Repository,
    pub path: RepoPath,
    pub text: String,
    pub language: Option<Language>,
    /// Whether the case's findings are another scanner's, which only that scanner can re-check.
    external: bool,
}

/// The check cannot be made, now or later: the candidate is refused.
pub(super) struct Uncheckable(String);

impl Healer {
    /// Reads the file of a case at the commit that its run is pinned to.
    pub(super) async fn base(&self, leased: &Leased, walk: &Walk<'_>) -> Result<Base, HealError> {
        let summary = &leased.head.summary;
        let text = self.pinned(leased, walk, &summary.path).await?;
        Ok(Base {
            repository: summary.repository.clone(),
            path: summary.path.clone(),
            language: Language::of(&summary.path),
            external: walk.findings.iter().any(|f| matches!(f.rule.origin, RuleOrigin::External { .. })),
            text,
        })
    }

    /// A file as it stands at the pinned commit, read once while the run is held. The case's own is asked for by its id, under
    /// which the scan read it: a forge may have kept it.
    pub(super) async fn pinned(&self, leased: &Leased, walk: &Walk<'_>, path: &RepoPath) -> Result<String, HealError> {
        if let Some(text) = leased.kept(path) {
            return Ok(text);
        }
        let failed = |why: &str, kind| PortError::new("forge", format!("read {path}: {why}"), kind);
        let (forge, summary) = (&self.ports.forge, &leased.head.summary);
        let bytes = match BlobId::new(walk.blob) {
            Ok(blob) if *path == summary.path => forge.read_blob(&summary.repository, &blob).await?,
            _ => {
                let file = forge.read(&summary.repository, walk.commit, path).await?;
                file.ok_or_else(|| failed("no regular file at the pinned commit", ErrorKind::Missing))?.bytes
            }
        };
        let text = String::from_utf8(bytes);
        let text = text.map_err(|e| failed("it is not valid UTF-8", ErrorKind::Malformed).caused_by(e))?;
        leased.keep(path, &text);
        Ok(text)
    }

    /// All findings in the file when its text is `text`: our rules', and the operator's scanner's when the case needs it.
    pub(super) async fn findings_in(
        &self,
        base: &Base,
        walk: &Walk<'_>,
        text: &str,
    ) -> Result<Vec<Finding>, Uncheckable> {
        let scan = self.detector.scan(&base.repository.id, &base.path, text.as_bytes());
        let mut findings = verify::all_findings(scan).map_err(|rejection| Uncheckable(rejection.detail))?;
        if base.external {
            findings.extend(self.external_findings(base, walk, text).await?);
        }
        Ok(findings)
    }

    async fn external_findings(&self, base: &Base, walk: &Walk<'_>, text: &str) -> Result<Vec<Finding>, Uncheckable> {
        let Some(scanner) = &self.ports.external else {
            let remedy = "another scanner found it; name a command that runs that scanner with --verify-command";
            return Err(Uncheckable(remedy.to_owned()));
        };
        let changed = [SnapshotFile { path: &base.path, bytes: text.as_bytes() }];
        let report = scanner.scan(&base.repository, walk.commit, &changed).await;
        // The operator's command is local: what fails once fails again.
        let report = report.map_err(|error| Uncheckable(error.chain()))?;
        let read = |path: &RepoPath| (*path == base.path).then(|| text.to_owned());
        let place = Place { repository: &base.repository.id, root: None, read: &read };
        let imported = sarif_in::read(&report, &place);
        let imported = imported.map_err(|error| Uncheckable(format!("the verifier's report: {error}")))?;
        Ok(imported.findings.into_iter().filter(|f| f.path == base.path).collect())
    }

    /// Verifies and scores the candidates of a source, but for those that cannot be chosen any more.
    pub(super) async fn judge(&self, leased: &Leased, source: Source) -> Result<EventKind, HealError> {
        let walk = replay(leased)?;
        let base = self.base(leased, &walk).await?;
        let before = self.findings_in(&base, &walk, &base.text).await;
        let vetoes = self.vetoes(leased).await?;
        let (mut candidates, known): (Vec<CandidateJudged>, _) = (Vec::new(), Known::default());
        for (fingerprint, candidate) in walk.consultation(source).map(|c| c.candidates.as_slice()).unwrap_or_default() {
            let Some(finding) = walk.findings.iter().find(|f| f.fingerprint == *fingerprint) else { continue };
            if is_beaten(&candidates, finding, candidate) {
                continue;
            }
            let attempt = Attempt {
                targets: std::slice::from_ref(finding),
                edits: &candidate.edits,
                new_packages: NewPackages::by(&candidate.evidence),
                guarded: !candidate.evidence.is_curated(),
                known: &known,
            };
            let checked = match (&before, vetoes.against(fingerprint, &base.text, &candidate.edits)) {
                (_, Some(vetoed)) => Err(vetoed),
                _ if !is_looked_at(walk.consultation(source), finding) => {
                    Err(could_not_check("a model found it, and nobody looked at the fixed function again".to_owned()))
                }
                (Ok(before), None) => self.check(&base, &walk, before, &attempt).await,
                (Err(Uncheckable(why)), None) => Err(could_not_check(why.clone())),
            };
            candidates.push(judged(finding, candidate, checked));
        }
        Ok(EventKind::Judged { source, candidates })
    }

    /// Runs every check on one set of edits.
    async fn check(
        &self,
        base: &Base,
        walk: &Walk<'_>,
        before: &[Finding],
        attempt: &Attempt<'_>,
    ) -> Result<VerifiedCandidate, Rejection> {
        let input = VerifyInput {
            limits: self.policy.limits,
            new_packages: attempt.new_packages,
            guarded: attempt.guarded,
            known: Some(attempt.known),
            ..VerifyInput::new(&base.path, &base.text, attempt.targets, attempt.edits)
        };
        let patched = verify::check_edits(&input)?;
        let after = self.findings_in(base, walk, patched.text()).await;
        let after = after.map_err(|Uncheckable(why)| could_not_check(why))?;
        verify::check_findings(patched, before, &after)
    }

    /// Forms the case's change of the best candidates and decides what is done with it.
    pub(super) async fn decide(&self, leased: &Leased) -> Result<EventKind, HealError> {
        let walk = replay(leased)?;
        let best = best_by_finding(walk.candidates());
        let choice = order_for_union(&best, &self.policy.thresholds);
        let united =
            if choice.chosen.is_empty() { United::default() } else { self.unite(leased, &walk, &choice).await? };
        let confidence = united.chosen.iter().filter_map(|c| c.scored.as_ref()).map(|s| s.confidence).min();
        let confidence = confidence.unwrap_or(Confidence::from_probability(0.0));
        let thresholds = self.policy.thresholds;
        let claimed = walk.findings.iter().any(|finding| finding.rule.origin == RuleOrigin::Model);
        // Wherever the operator put the threshold: what only a model found is never ready by itself.
        let decision = match thresholds.decide(confidence) {
            Decision::Open if claimed => Decision::Draft,
            decision => decision,
        };
        Ok(EventKind::Decided(Box::new(Decided {
            decision,
            confidence,
            thresholds,
            reason: reason(decision, confidence, &united, &thresholds),
            unhealed: unhealed(&walk, &united, &choice),
            edits: united.edits,
            chosen: united.chosen,
        })))
    }

    /// Joins the chosen candidates' edits. All at once when the whole passes every check, as it mostly does; else one after
    /// the other, the surest first, each kept only if the whole still passes.
    async fn unite(&self, leased: &Leased, walk: &Walk<'_>, choice: &Choice<'_>) -> Result<United, HealError> {
        let base = self.base(leased, walk).await?;
        let Ok(before) = self.findings_in(&base, walk, &base.text).await else { return Ok(United::default()) };
        let all = self.join(&base, walk, &before, &choice.chosen).await;
        if let Ok((edits, chosen)) = all {
            return Ok(United { edits, chosen, left_out: BTreeMap::new() });
        }
        let mut united = United::default();
        let mut kept: Vec<&CandidateJudged> = Vec::new();
        for candidate in &choice.chosen {
            kept.push(candidate);
            match self.join(&base, walk, &before, &kept).await {
                Ok((edits, chosen)) => (united.edits, united.chosen) = (edits, chosen),
                Err(why) => {
                    kept.pop();
                    united.left_out.insert(candidate.finding.clone(), why);
                }
            }
        }
        Ok(united)
    }

    /// The verified union of candidates, or why there is none.
    async fn join(
        &self,
        base: &Base,
        walk: &Walk<'_>,
        before: &[Finding],
        candidates: &[&CandidateJudged],
    ) -> Result<(Vec<Edit>, Vec<CandidateJudged>), String> {
        let sets: Vec<Vec<Edit>> = candidates.iter().map(|c| c.candidate.edits.clone()).collect();
        let union = edit::union(&sets);
        if let Some((_, why)) = union.left_out.into_iter().next() {
            return Err(why);
        }
        let targets = targets(walk, candidates);
        let attempt = Attempt {
            targets: &targets,
            edits: &union.edits,
            new_packages: packages(candidates),
            guarded: false,
            known: &Known::default(),
        };
        let verified = self.check(base, walk, before, &attempt).await;
        let verified = verified.map_err(|rejection| format!("together with the others: {}", rejection.detail))?;
        Ok((verified.edits().to_vec(), candidates.iter().map(|c| (*c).clone()).collect()))
    }
}

/// Edits to check, and what they claim to heal.
struct Attempt<'a> {
    targets: &'a [Finding],
    edits: &'a [Edit],
    new_packages: NewPackages,
    guarded: bool,
    known: &'a Known,
}

fn targets(walk: &Walk<'_>, chosen: &[&CandidateJudged]) -> Vec<Finding> {
    walk.findings.iter().filter(|f| chosen.iter().any(|c| c.finding == f.fingerprint)).cloned().collect()
}

/// A change may bring in a package only when each of its parts may.
fn packages(chosen: &[&CandidateJudged]) -> NewPackages {
    let all = chosen.iter().all(|c| NewPackages::by(&c.candidate.evidence) == NewPackages::Allowed);
    if all { NewPackages::Allowed } else { NewPackages::Refused }
}

#[derive(Default)]
struct United {
    edits: Vec<Edit>,
    chosen: Vec<CandidateJudged>,
    left_out: BTreeMap<Fingerprint, String>,
}

fn could_not_check(detail: String) -> Rejection {
    Rejection { check: RejectionKind::CouldNotCheck, detail }
}

/// Whether a candidate of the finding that passed every check already cannot be surpassed by this one, whatever its checks say.
fn is_beaten(judged: &[CandidateJudged], finding: &Finding, candidate: &Candidate) -> bool {
    let reached = judged.iter().filter(|one| one.finding == finding.fingerprint).filter_map(|one| one.scored.as_ref());
    let best = reached.map(|scored| scored.confidence).max();
    best.is_some_and(|best| at_best(&candidate.evidence, &CaseFacts::of(finding)) <= best)
}

fn judged(finding: &Finding, candidate: &Candidate, checked: Result<VerifiedCandidate, Rejection>) -> CandidateJudged {
    let facts = CaseFacts::of(finding);
    let scored = checked.as_ref().ok().map(|verified| score(&candidate.evidence, verified, &facts));
    let verdict = match checked {
        Ok(verified) => verified.verdict(),
        Err(rejection) => {
            let detail = redact(&rejection.detail).into_owned();
            Verdict::Rejected(Rejection { detail, ..rejection })
        }
    };
    CandidateJudged { finding: finding.fingerprint.clone(), candidate: candidate.clone(), verdict, scored }
}

fn unhealed(walk: &Walk<'_>, united: &United, choice: &Choice<'_>) -> Vec<UnhealedFinding> {
    let healed = |f: &Finding| united.chosen.iter().any(|c| c.finding == f.fingerprint);
    walk.findings
        .iter()
        .filter(|f| !healed(f))
        .map(|f| UnhealedFinding {
            fingerprint: f.fingerprint.clone(),
            headline: f.headline(),
            reason: why_unhealed(walk, united, choice, f),
        })
        .collect()
}

fn why_unhealed(walk: &Walk<'_>, united: &United, choice: &Choice<'_>, finding: &Finding) -> String {
    if let Some(why) = united.left_out.get(&finding.fingerprint) {
        return why.clone();
    }
    if let Some(weak) = choice.left_out.iter().find(|c| c.finding == finding.fingerprint) {
        let percent = weak.scored.as_ref().map_or(0, |s| s.confidence.percent());
        return format!("the best proposal reaches only {percent}");
    }
    let rejected = walk.candidates().filter(|c| c.finding == finding.fingerprint).count();
    match rejected {
        0 => "no source knew a fix".to_owned(),
        1 => "the one proposal did not pass verification".to_owned(),
        n => format!("none of {n} proposals passed verification"),
    }
}

fn reason(decision: Decision, confidence: Confidence, united: &United, thresholds: &Thresholds) -> String {
    match decision {
        Decision::Open => format!("confidence {confidence} reaches {}", thresholds.open),
        Decision::Draft if confidence >= thresholds.open => {
            format!("confidence {confidence} would open it, but a model found it: that is a draft at most")
        }
        Decision::Draft => format!("confidence {confidence} lies between {} and {}", thresholds.draft, thresholds.open),
        Decision::Escalate if united.chosen.is_empty() => "there is no verified proposal".to_owned(),
        Decision::Escalate => format!("confidence {confidence} is below {}", thresholds.draft),
    }
}
