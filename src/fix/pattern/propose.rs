//! From remembered fixes to ranked proposals for one finding.

use std::sync::Arc;

use super::agreement::{Agreement, Witness, ask};
use super::apply::{Application, DEFAULT_STEPS, Results, results};
use super::names;
use super::tree::Tree;
use crate::fix::imports;
use crate::model::{
    Edit, EditPattern, Evidence, FixId, Language, Level, PastFix, Provenance, RepoPath, Span, TrackRecord,
};

/// Fixes whose patterns are tried at a time.
const DONORS: usize = 10;
/// Most proposals of one request.
const MAX_PROPOSALS: usize = 10;
/// Patterns for which the memories are asked, per request.
const MAX_ASKED: usize = 60;

/// A finding, and what is remembered of its rule.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub language: Language,
    /// The whole file.
    pub text: &'a str,
    pub finding: Span,
    pub repository: &'a str,
    /// Fixes of the rule with their cosine, nearest first. All of them agree or contradict; the first ten give patterns, and
    /// the next ones where no pattern of those fits.
    pub similar: &'a [(PastFix, f64)],
}

/// What remembered fixes propose.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    pub application: Application,
    pub level: Level,
    pub fix: FixId,
    pub provenance: Provenance,
    pub same_repository: bool,
    /// Cosine of the donor.
    pub similarity: f64,
    pub agreement: Agreement,
    /// Remembered fixes, among the similar ones, whose patterns give this same result.
    pub donors: u32,
    pub foreign_tokens: Vec<String>,
    /// Import statements that the file lacks for this edit.
    pub imports: Vec<String>,
}

impl Proposal {
    /// The proposal as edits of the file it was made for, with the imports it needs.
    #[must_use]
    pub fn edits(&self, language: Language, path: &RepoPath, text: &str) -> Vec<Edit> {
        let here = self.application.edits.iter();
        let mut edits: Vec<Edit> =
            here.map(|e| Edit { path: path.clone(), span: e.span, text: e.text.clone() }).collect();
        edits.extend(imports::insert(language, path, text, &self.imports));
        edits
    }

    /// What speaks for the proposal. `origin` tells people where its donor came from, `record` what became of earlier
    /// proposals for the rule.
    #[must_use]
    pub fn evidence(self, origin: String, record: TrackRecord) -> Evidence {
        Evidence::PastFix {
            fix: self.fix,
            origin,
            provenance: self.provenance,
            level: self.level,
            similarity: self.similarity,
            supports: self.agreement.supports,
            contradictions: self.agreement.contradictions,
            record,
            foreign_tokens: self.foreign_tokens,
            donors: self.donors,
            new_imports: u32::try_from(self.imports.len()).unwrap_or(u32::MAX),
            caution: None,
        }
    }
}

struct Draft<'a> {
    proposal: Proposal,
    pattern: &'a EditPattern,
    patched: Arc<Tree>,
    donor_ids: Vec<&'a FixId>,
}

/// Applies the patterns of the similar fixes. Equal results are one proposal with several donors; they are ranked by
/// the Beta mean of agreement, then cosine, donors, level and whether the donor is of the same repository. At most ten.
#[must_use]
pub fn propose(request: &Request<'_>) -> Vec<Proposal> {
    let Ok(file) = Tree::shared(request.language, request.text) else { return Vec::new() };
    let (mut drafts, mut known): (Vec<Draft<'_>>, _) = (Vec::new(), Results::default());
    let usable = |(fix, _): &&(PastFix, f64)| fix.language == request.language && fix.superseded_by.is_none();
    let usable: Vec<&(PastFix, f64)> = request.similar.iter().filter(usable).collect();
    for donors in usable.chunks(DONORS) {
        for (fix, cosine) in donors {
            draft(request, &file, (fix, *cosine), (&mut drafts, &mut known));
        }
        if !drafts.is_empty() {
            break;
        }
    }
    let asked = usable.iter().map(|(fix, _)| fix);
    judge(&mut drafts, &mut Witness::call(asked));
    let mut merged = merge(drafts);
    merged.sort_by(|(a, _), (b, _)| rank(a, b));
    merged.truncate(MAX_PROPOSALS);
    merged.into_iter().map(|(proposal, patched)| complete(proposal, &file, &patched)).collect()
}

fn draft<'a>(
    request: &Request<'a>,
    file: &Tree,
    (fix, cosine): (&'a PastFix, f64),
    (drafts, known): (&mut Vec<Draft<'a>>, &mut Results),
) {
    for pattern in &fix.patterns {
        // What a repository imports from itself is not there for another one.
        if fix.repository != request.repository && pattern.imports.iter().any(|import| is_first_party(fix, import)) {
            continue;
        }
        let made = results(pattern, file, request.finding, (DEFAULT_STEPS, &mut *known));
        for (application, patched) in made {
            let proposal = Proposal {
                application,
                level: pattern.level,
                fix: fix.id.clone(),
                provenance: fix.provenance.clone(),
                same_repository: fix.repository == request.repository,
                similarity: cosine,
                agreement: Agreement::default(),
                donors: 1,
                foreign_tokens: Vec::new(),
                imports: pattern.imports.clone(),
            };
            drafts.push(Draft { proposal, pattern, patched, donor_ids: vec![&fix.id] });
        }
    }
}

/// Whether an import statement is of the donor's own code: relative, or of a package on the donor's path.
fn is_first_party(fix: &PastFix, statement: &str) -> bool {
    let quoted = statement.split(['"', '\'', '`']).nth(1);
    let module = quoted.or_else(|| statement.split_whitespace().nth(1)).unwrap_or_default();
    let parts: Vec<&str> = module.trim_end_matches(';').split(['.', '/']).collect();
    let folders: Vec<&str> = fix.path.as_str().split('/').collect();
    let owned = |parts: &[&str]| !parts.is_empty() && folders.windows(parts.len()).any(|window| window == parts);
    let repository = fix.repository.rsplit('/').next().unwrap_or_default();
    match fix.language {
        Language::Java => owned(parts.get(..2).unwrap_or_default()),
        Language::Go => parts.contains(&repository),
        _ => module.starts_with('.') || owned(parts.get(..1).unwrap_or_default()) || parts.first() == Some(&repository),
    }
}

/// Asks the witnesses once for each distinct pattern.
fn judge(drafts: &mut [Draft<'_>], witnesses: &mut [Witness<'_>]) {
    let mut answers: Vec<(&EditPattern, Agreement)> = Vec::new();
    for draft in drafts {
        let pattern = draft.pattern;
        let same = |(other, _): &&(&EditPattern, Agreement)| {
            other.before == pattern.before && other.rewrites == pattern.rewrites && other.anchor == pattern.anchor
        };
        if let Some((_, told)) = answers.iter().find(same) {
            draft.proposal.agreement = *told;
        } else if answers.len() < MAX_ASKED {
            let told = ask(pattern, witnesses);
            answers.push((pattern, told));
            draft.proposal.agreement = told;
        }
    }
}

/// One proposal for each distinct result: the best ranked draft speaks for it.
fn merge(mut drafts: Vec<Draft<'_>>) -> Vec<(Proposal, Arc<Tree>)> {
    drafts.sort_by(|a, b| rank(&a.proposal, &b.proposal));
    let mut merged: Vec<Draft<'_>> = Vec::new();
    for draft in drafts {
        match merged.iter_mut().find(|other| other.patched.same_code(&draft.patched)) {
            Some(other) => {
                for id in draft.donor_ids {
                    if !other.donor_ids.contains(&id) {
                        other.donor_ids.push(id);
                    }
                }
            }
            None => merged.push(draft),
        }
    }
    let counted = |draft: Draft<'_>| {
        let proposal = Proposal { donors: u32::try_from(draft.donor_ids.len()).unwrap_or(u32::MAX), ..draft.proposal };
        (proposal, draft.patched)
    };
    merged.into_iter().map(counted).collect()
}

fn rank(a: &Proposal, b: &Proposal) -> std::cmp::Ordering {
    b.agreement
        .mean()
        .total_cmp(&a.agreement.mean())
        .then_with(|| b.similarity.total_cmp(&a.similarity))
        .then_with(|| b.donors.cmp(&a.donors))
        .then_with(|| a.level.cmp(&b.level))
        .then_with(|| b.same_repository.cmp(&a.same_repository))
        .then_with(|| a.fix.cmp(&b.fix))
        .then_with(|| a.application.matched.cmp(&b.application.matched))
}

/// Leaves out imports that the file has, and names what is foreign to it.
fn complete(mut proposal: Proposal, file: &Tree, patched: &Tree) -> Proposal {
    let bound = names::imports(file);
    proposal.imports.retain(|statement| {
        let Ok(import) = Tree::parse(file.language, statement) else { return false };
        let names = names::imports(&import);
        !names.iter().all(|import| bound.iter().any(|known| known.name == import.name))
    });
    proposal.foreign_tokens = names::foreign_names(file, patched, &proposal.imports);
    proposal
}
