//! The starter memory: what the fixes written with the rules teach, for a memory that is still empty.
//!
//! It has no data of its own. Every rule that we can fix ships with whole files before and after its fix; they are tested with the
//! rule, and here each is learned like a fix of somebody's history. So a place that the rule's own fix does not match can still be
//! healed in its manner.

use std::collections::BTreeMap;

use serde::Serialize;

use super::learn::{Origin, Studied, Texts};
use super::{HealError, Healer};
use crate::detect::rule_tests;
use crate::model::{AuthorKind, Provenance, Repository, RepositoryId, RuleId};

/// The name that starter fixes have for their repository.
pub const REPOSITORY: &str = "codehealer/starter";

/// What became of the starter memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StarterReport {
    /// Taken in now, by rule.
    pub learned: BTreeMap<RuleId, usize>,
    /// There already; what people said of them stays.
    pub known: usize,
    /// Cases that teach no pattern, with the reason: by rule.
    pub refused: Vec<(RuleId, String)>,
}

impl StarterReport {
    #[must_use]
    pub fn fixes(&self) -> usize {
        self.learned.values().sum()
    }
}

impl Healer {
    /// Takes the starter memory in, where nothing at all is remembered yet; else `None`. Who forgets single fixes of it does not
    /// get them back.
    ///
    /// # Errors
    /// When memory or the embedder cannot be asked.
    pub async fn begin_with_starter(&self, organisation: &str) -> Result<Option<StarterReport>, HealError> {
        if !self.ports.memory.list(None, 1).await?.is_empty() {
            return Ok(None);
        }
        self.learn_starter(organisation).await.map(Some)
    }

    /// Takes the starter memory in, for an organisation. Doing it again changes nothing.
    ///
    /// # Errors
    /// When memory or the embedder cannot be asked.
    pub async fn learn_starter(&self, organisation: &str) -> Result<StarterReport, HealError> {
        let repository = Repository {
            id: RepositoryId("starter".to_owned()),
            name: REPOSITORY.to_owned(),
            organisation: organisation.to_owned(),
            private: false,
        };
        let mut report = StarterReport::default();
        // Our own cases are tested; one that cannot be read would have failed those tests.
        for cases in rule_tests::built_in().unwrap_or_default() {
            let Ok(path) = rule_tests::place(self.detector.rules(), &cases) else { continue };
            let origin = Origin {
                repository: &repository,
                path: &path,
                provenance: Provenance::Starter,
                author: AuthorKind::Member,
                created: 0,
            };
            for fixed in &cases.fixed {
                let texts = Texts { before: &fixed.before, after: &fixed.after };
                let studied = self.study(texts, &origin).await?;
                self.take_in(&cases.id, studied, &mut report).await?;
            }
        }
        Ok(report)
    }

    async fn take_in(&self, rule: &RuleId, studied: Studied, report: &mut StarterReport) -> Result<(), HealError> {
        report.refused.extend(studied.refused.into_iter().filter(|(of, _)| of == rule));
        for fix in studied.fixes.into_iter().filter(|fix| fix.rule == *rule) {
            if !fix.round_trips {
                report.refused.push((fix.rule, "no pattern makes the very change again".to_owned()));
            } else if self.ports.memory.remember_new(&fix).await? {
                *report.learned.entry(fix.rule).or_default() += 1;
            } else {
                report.known += 1;
            }
        }
        Ok(())
    }
}
