//! What helps a model beside the code: fixes of the same rule from the memory, and the repository's own conventions.

use crate::healer::Healer;
use crate::healer::consult::Question;
use crate::model::{Finding, FlowStep, RepoPath};
use crate::ports::PortError;
use crate::recall::prompt::Pair;

/// Where a repository tells how it wants its code; the first that is there is read.
const CONVENTIONS: [&str; 4] = ["AGENTS.md", "CONTRIBUTING.md", ".github/CONTRIBUTING.md", "docs/CONTRIBUTING.md"];
/// A file that is longer is not one of conventions, bytes.
const LONGEST: usize = 256 * 1024;
/// Pairs that are offered to the question; it takes as many as fit.
const PAIRS: usize = 3;

/// What is known beside the code. All of it is hostile.
#[derive(Default)]
pub(super) struct Material {
    pub flow: Vec<String>,
    pub pairs: Vec<Pair>,
    /// The file's name and its text.
    pub conventions: Option<(String, String)>,
    /// What could not be had, for people.
    pub missing: Vec<String>,
}

/// One step of a flow, in a line.
fn told(step: &FlowStep) -> String {
    format!("line {}, {}: {}", step.start.line, step.role, step.code)
}

impl Healer {
    /// Collects what helps. What cannot be had is told and left out: the question is asked all the same.
    pub(super) async fn material(&self, question: &Question<'_>, finding: &Finding) -> Material {
        let mut material = Material { flow: finding.flow.iter().map(told).collect(), ..Material::default() };
        match self.guarded("memory", self.pairs(question, finding)).await {
            Ok(pairs) => material.pairs = pairs,
            Err(error) => material.missing.push(format!("without fixes from memory: {}", error.chain())),
        }
        match self.conventions(question).await {
            Ok(conventions) => material.conventions = conventions,
            Err(error) => material.missing.push(format!("without the repository's conventions: {}", error.chain())),
        }
        material
    }

    /// Fixes of the same rule that people reviewed, nearest first. Memory gives none of another organisation, and none of a
    /// private repository to a public one.
    async fn pairs(&self, question: &Question<'_>, finding: &Finding) -> Result<Vec<Pair>, PortError> {
        let Some(language) = question.base.language else { return Ok(Vec::new()) };
        let near = self.nearest(question, language, finding).await?;
        let reviewed = near
            .into_iter()
            .map(|(fix, _)| fix)
            .filter(|fix| fix.rule == finding.rule.id && fix.provenance.weight() > 0.0 && fix.superseded_by.is_none());
        let pairs = reviewed.map(|fix| Pair { before: fix.scope_before, after: fix.scope_after });
        Ok(pairs.take(PAIRS).collect())
    }

    async fn conventions(&self, question: &Question<'_>) -> Result<Option<(String, String)>, PortError> {
        let repository = &question.base.repository;
        for name in CONVENTIONS {
            let Ok(path) = RepoPath::new(name) else { continue };
            let Some(file) = self.ports.forge.read(repository, question.commit, &path).await? else { continue };
            if file.bytes.len() > LONGEST {
                continue;
            }
            if let Ok(text) = String::from_utf8(file.bytes) {
                return Ok(Some((name.to_owned(), text)));
            }
        }
        Ok(None)
    }
}
