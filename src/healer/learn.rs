//! Turning proposals, merged fixes and a repository's own history into remembered fixes.

use super::heal::replay;
use super::lease::Leased;
use super::{HealError, Healer};
use crate::decide::Walk;
use crate::detect;
use crate::detect::redact::{mask, redact, secrets_in};
use crate::fix::learn::{self, LearnInput, Learned};
use crate::fix::{diff, edit};
use crate::model::{
    AuthorKind, CaseId, Decided, Decision, Edit, EditPattern, EventKind, Finding, FixId, Generation, Language, PastFix,
    Provenance, RepoPath, Repository, RepositoryId, RuleOrigin, Span, UnixMillis, sha256_hex,
};

/// A file before and after a fix.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    pub before: &'a str,
    pub after: &'a str,
}

/// A finding of another scanner, and whether people changed what we proposed for it.
struct Known<'a> {
    finding: &'a Finding,
    amended: bool,
}

impl Healer {
    /// Remembers what was proposed, without weight until people have judged it.
    pub(super) async fn remember_proposal(&self, leased: &Leased) -> Result<EventKind, HealError> {
        self.decorate(leased).await?;
        let walk = replay(leased)?;
        let nothing = |detail: &str| EventKind::Learned { fix: None, detail: detail.to_owned() };
        let Some(decided) = walk.decided.filter(|d| d.decision != Decision::Escalate) else {
            return Ok(nothing("nothing was proposed"));
        };
        if walk.branch.is_none() {
            return Ok(nothing("nothing was delivered"));
        }
        let changes = self.file_changes(leased, &walk, &decided.edits).await?;
        let Some((before, after)) = changes.get(&leased.head.summary.path) else {
            return Ok(nothing("the change is in another file"));
        };
        let learned = match self.remember_proposed(leased, &walk, decided, Texts { before, after }).await {
            // The memory takes nothing until somebody mends it. People have the proposal, and what they do with it is taken in.
            Err(HealError::Port(error)) if error.is_beside_the_case() && !HealError::is_passing(&error) => {
                nothing(&format!("it was not remembered: {}", redact(&error.chain())))
            }
            other => other?,
        };
        Ok(learned)
    }

    async fn remember_proposed(
        &self,
        leased: &Leased,
        walk: &Walk<'_>,
        decided: &Decided,
        texts: Texts<'_>,
    ) -> Result<EventKind, HealError> {
        let provenance = Provenance::Proposed { case: leased.head.case.to_string() };
        match self.past_fix(leased, walk, decided, (texts, provenance)).await? {
            Ok(fix) => {
                self.ports.memory.remember_new(&fix).await?;
                let detail = "remembered as proposed; it counts once people merge it".to_owned();
                Ok(EventKind::Learned { fix: Some(fix.id.0), detail })
            }
            Err(refusal) => Ok(EventKind::Learned { fix: None, detail: refusal }),
        }
    }

    /// The remembered fix that a run makes: one a run, whatever becomes of it. The inner error says why nothing can be learned.
    pub(super) async fn past_fix(
        &self,
        leased: &Leased,
        walk: &Walk<'_>,
        decided: &Decided,
        (texts, provenance): (Texts<'_>, Provenance),
    ) -> Result<Result<PastFix, String>, HealError> {
        let Some(chosen) = decided.chosen.first() else { return Ok(Err("no candidate was chosen".to_owned())) };
        let Some(finding) = walk.findings.iter().find(|f| f.fingerprint == chosen.finding) else {
            return Ok(Err("the chosen finding is not in the trail".to_owned()));
        };
        let summary = &leased.head.summary;
        let id = fix_id(leased);
        let origin = Origin {
            repository: &summary.repository,
            path: &summary.path,
            provenance,
            author: AuthorKind::Unknown,
            created: walk.detected_at,
        };
        // What people amended is learned as it is; of our own change of several findings, the part for this one.
        let ours = applied(texts.before, &decided.edits, &summary.path);
        let amended = ours.is_none_or(|ours| ours != texts.after);
        let alone = if amended { None } else { applied(texts.before, &chosen.candidate.edits, &summary.path) };
        let texts = Texts { after: alone.as_deref().unwrap_or(texts.after), ..texts };
        let learned = match &finding.rule.origin {
            RuleOrigin::BuiltIn | RuleOrigin::Operator => self.learn(texts, finding, &origin.repository.id),
            RuleOrigin::Model => return Ok(Err("a model found it, and no rule can say what heals it".to_owned())),
            RuleOrigin::External { .. } => {
                let known = Known { finding, amended };
                if amended && self.is_found_still(leased, walk, finding, texts.after).await? {
                    return Ok(Err("the scanner still finds it in what people merged".to_owned()));
                }
                self.learn_from_another_scanner(texts, &known, &origin.repository.id)
            }
        };
        let learned = match learned {
            Ok(learned) => learned,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut fix = self.assemble(id, finding, learned, &origin).await?;
        fix.confidence = decided.confidence;
        Ok(Ok(fix))
    }

    fn learn(
        &self,
        texts: Texts<'_>,
        finding: &Finding,
        repository: &RepositoryId,
    ) -> Result<(Language, Learned), String> {
        let Some(language) = Language::of(&finding.path) else {
            return Err("no grammar reads this language".to_owned());
        };
        let before = self.detector.scan(repository, &finding.path, texts.before.as_bytes()).findings;
        let silent = |patched: &str| {
            let after = self.detector.scan(repository, &finding.path, patched.as_bytes()).findings;
            learn::is_healed(finding, &before, &after)
        };
        let input =
            LearnInput { language, before: texts.before, after: texts.after, finding: finding.span, silent: &silent };
        learn::learn(&input).map(|learned| (language, learned)).map_err(|refusal| refusal.to_string())
    }

    /// Learns the fix of a finding that only another scanner can see. What the case recorded stands for asking it about each part:
    /// our change passed its check when it was proposed; what people made of it is theirs to judge, and ours to learn where the
    /// finding was.
    fn learn_from_another_scanner(
        &self,
        texts: Texts<'_>,
        known: &Known<'_>,
        repository: &RepositoryId,
    ) -> Result<(Language, Learned), String> {
        let path = &known.finding.path;
        let language = Language::of(path).ok_or_else(|| "no grammar reads this language".to_owned())?;
        let scan = |text: &str| self.detector.scan(repository, path, text.as_bytes()).findings;
        let before = scan(texts.before);
        let silent = |patched: &str| detect::introduced(&scan(patched), &before, None).is_empty();
        let place = match known.amended {
            true => hunk_of(texts, known.finding).ok_or_else(|| "people changed another place".to_owned())?.before,
            false => 0..texts.before.len(),
        };
        let within = Span { start: place.start, end: place.end };
        let finding = known.finding.span;
        let input = LearnInput { language, before: texts.before, after: texts.after, finding, silent: &silent };
        let learned = learn::learn_whole(&input, within);
        learned.map(|learned| (language, learned)).map_err(|refusal| refusal.to_string())
    }

    /// Whether the scanner of the finding, where it can be asked, sees it in this text of the file.
    async fn is_found_still(
        &self,
        leased: &Leased,
        walk: &Walk<'_>,
        finding: &Finding,
        text: &str,
    ) -> Result<bool, HealError> {
        let base = self.base(leased, walk).await?;
        let before = self.findings_in(&base, walk, &base.text).await;
        let after = self.findings_in(&base, walk, text).await;
        let (Ok(before), Ok(after)) = (before, after) else { return Ok(false) };
        Ok(learn::is_gone(finding, &before, &[]) && !learn::is_gone(finding, &before, &after))
    }

    async fn assemble(
        &self,
        id: FixId,
        finding: &Finding,
        (language, learned): (Language, Learned),
        origin: &Origin<'_>,
    ) -> Result<PastFix, HealError> {
        let embedder = &self.ports.embedder;
        let mut learned = learned;
        learned.patterns.retain(is_free_of_secrets);
        learned.scope_before = mask(&learned.scope_before).into_owned();
        learned.scope_after = mask(&learned.scope_after).into_owned();
        let vector = embedder.embed(language, &learned.scope_before, learned.finding_in_scope).await?;
        let fix = learned.remembered(id, language, finding, &origin.of_lesson());
        Ok(PastFix { vector, embedder: embedder.id().to_owned(), ..fix })
    }

    /// Learns from one historical change of a file: every finding that a local edit made go away. Returns what was learned and
    /// what was refused, with the reason.
    ///
    /// # Errors
    /// When memory or the embedder cannot be asked.
    pub async fn learn_change(&self, change: &HistoricalChange<'_>) -> Result<LearnReport, HealError> {
        let studied = self.study_change(change).await?;
        let mut report = LearnReport { learned: Vec::new(), refused: studied.refused };
        for fix in studied.fixes {
            let (rule, id) = (fix.rule.clone(), fix.id.clone());
            self.remember_mined(fix).await?;
            report.learned.push((rule, id));
        }
        Ok(report)
    }

    /// Stores a fix of the history. What people said of it, if it was known before, stays.
    ///
    /// # Errors
    /// When memory cannot be asked.
    pub async fn remember_mined(&self, mut fix: PastFix) -> Result<(), HealError> {
        if let Some(known) = self.ports.memory.get(&fix.id).await? {
            (fix.record, fix.superseded_by) = (known.record, known.superseded_by);
        }
        Ok(self.ports.memory.remember(&fix).await?)
    }

    /// The first half of [`Healer::learn_change`]: what could be remembered, without storing anything.
    ///
    /// # Errors
    /// When the embedder cannot be asked.
    pub async fn study_change(&self, change: &HistoricalChange<'_>) -> Result<Studied, HealError> {
        self.study(Texts { before: change.before, after: change.after }, &change.origin()).await
    }

    pub(super) async fn study(&self, texts: Texts<'_>, origin: &Origin<'_>) -> Result<Studied, HealError> {
        let mut report = Studied::default();
        let repository = &origin.repository.id;
        let before = self.detector.scan(repository, origin.path, texts.before.as_bytes()).findings;
        if before.is_empty() {
            return Ok(report);
        }
        let after = self.detector.scan(repository, origin.path, texts.after.as_bytes()).findings;
        for finding in detect::introduced(&before, &after, None) {
            let Some(hunk) = only_the_hunk(texts, &finding) else {
                report.refused.push((finding.rule.id.clone(), "the code was removed, moved or rewritten".to_owned()));
                continue;
            };
            match self.learn(Texts { before: texts.before, after: &hunk }, &finding, repository) {
                Err(refusal) => report.refused.push((finding.rule.id.clone(), refusal)),
                Ok(learned) => {
                    let id = origin.id(&finding, &learned.1);
                    report.fixes.push(self.assemble(id, &finding, learned, origin).await?);
                }
            }
        }
        Ok(report)
    }
}

/// Identity of the one fix that a run leaves in memory.
pub(super) fn fix_id(leased: &Leased) -> FixId {
    fix_id_of(&leased.head.case, leased.head.generation)
}

pub(super) fn fix_id_of(case: &CaseId, generation: Generation) -> FixId {
    FixId(sha256_hex(&[b"run", case.as_str().as_bytes(), &generation.0.to_be_bytes()]))
}

/// Where a fix comes from.
pub(super) struct Origin<'a> {
    pub repository: &'a Repository,
    pub path: &'a RepoPath,
    pub provenance: Provenance,
    pub author: AuthorKind,
    pub created: UnixMillis,
}

impl Origin<'_> {
    fn of_lesson(&self) -> learn::Origin<'_> {
        learn::Origin {
            organisation: &self.repository.organisation,
            repository: &self.repository.name,
            private: self.repository.private,
            path: self.path,
            provenance: self.provenance.clone(),
            author: self.author,
            created: self.created,
        }
    }

    /// The same fix of the same code is one memory: however often it is learned, and in however many commits and files it was
    /// made, as when it was picked for several branches or the code had been copied.
    fn id(&self, finding: &Finding, learned: &Learned) -> FixId {
        FixId(sha256_hex(&[
            b"example",
            self.repository.organisation.as_bytes(),
            self.repository.name.as_bytes(),
            finding.rule.id.as_str().as_bytes(),
            learned.scope_before.as_bytes(),
            learned.scope_after.as_bytes(),
            &learned.finding_in_scope.start.to_be_bytes(),
        ]))
    }
}

/// A file that a commit of the history changed.
pub struct HistoricalChange<'a> {
    pub repository: &'a Repository,
    pub path: &'a RepoPath,
    pub commit: &'a str,
    pub at: UnixMillis,
    pub before: &'a str,
    pub after: &'a str,
}

impl HistoricalChange<'_> {
    fn origin(&self) -> Origin<'_> {
        Origin {
            repository: self.repository,
            path: self.path,
            provenance: Provenance::Mined { commit: self.commit.to_owned() },
            author: AuthorKind::Unknown,
            created: self.at,
        }
    }
}

/// What a change teaches, before it is remembered.
#[derive(Debug, Clone, Default)]
pub struct Studied {
    pub fixes: Vec<PastFix>,
    pub refused: Vec<(crate::model::RuleId, String)>,
}

/// What was learned and what was refused, by rule.
#[derive(Debug, Clone, Default)]
pub struct LearnReport {
    pub learned: Vec<(crate::model::RuleId, FixId)>,
    pub refused: Vec<(crate::model::RuleId, String)>,
}

/// An exact pattern may quote a secret of the code it was learned from; more general ones do not need it.
fn is_free_of_secrets(pattern: &EditPattern) -> bool {
    serde_json::to_string(pattern).is_ok_and(|text| secrets_in(&text).is_empty())
}

/// The file with those of the edits that are in it.
fn applied(before: &str, edits: &[Edit], path: &RepoPath) -> Option<String> {
    let edits: Vec<_> = edits.iter().filter(|e| e.path == *path).cloned().collect();
    edit::apply(before, &edits).ok()
}

/// The old file with only the hunk applied that holds the finding; `None` when that hunk only removes lines.
fn only_the_hunk(texts: Texts<'_>, finding: &Finding) -> Option<String> {
    let hunk = hunk_of(texts, finding).filter(|hunk| !hunk.after.is_empty())?;
    let (head, tail) = (texts.before.get(..hunk.before.start)?, texts.before.get(hunk.before.end..)?);
    Some([head, texts.after.get(hunk.after)?, tail].concat())
}

/// The changed lines that hold the finding.
fn hunk_of(texts: Texts<'_>, finding: &Finding) -> Option<diff::LineChange> {
    diff::line_changes(texts.before, texts.after)
        .into_iter()
        .find(|hunk| hunk.before.start < finding.span.end && finding.span.start < hunk.before.end)
}
