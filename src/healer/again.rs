//! Runs that begin because an earlier one ended: superseded before delivery, or waited for by new findings.

use std::collections::BTreeSet;

use super::heal::replay;
use super::lease::Leased;
use super::scan::Ended;
use super::{HealError, Healer, ScanReport, ScanRequest, trail};
use crate::model::{CaseId, Fingerprint, Generation, Repository};
use crate::state::run::{FindingStatus, Summary};
use crate::state::{QueryOf, Transaction, Write, keys};

impl Healer {
    /// Opens the next generation of a superseded run: its findings, as far as they still stand at the branch's head.
    pub(super) async fn judge_anew(&self, leased: &Leased) -> Result<Option<Generation>, HealError> {
        let walk = replay(leased)?;
        let fingerprints = walk.findings.iter().map(|f| f.fingerprint.clone()).collect();
        self.open_again(&leased.head.summary, &fingerprints).await
    }

    /// Opens runs for findings that waited for a pull request which has ended since.
    ///
    /// # Errors
    /// When the forge or the store cannot be asked.
    pub async fn open_waiting(&self, repository: &Repository) -> Result<Vec<(CaseId, Generation)>, HealError> {
        let state = &*self.ports.state;
        let of = QueryOf::Partition { pk: keys::waiting_partition(&repository.id), prefix: String::new() };
        let mut opened = Vec::new();
        for item in trail::all(state, of).await? {
            let case = CaseId::from_stored(item.key.sk.clone());
            let Some(previous) = self.previous_run(&case).await? else { continue };
            if matches!(previous.ended, Ended::NotYet | Ended::WaitsForPeople) {
                continue;
            }
            let Some(run) = trail::run_head(state, &case, previous.head.generation).await? else { continue };
            let records = trail::findings(state, &case).await?;
            let waiting = records.into_iter().filter(|r| r.status == FindingStatus::Waiting);
            let fingerprints = waiting.map(|r| r.fingerprint).collect();
            if let Some(generation) = self.open_again(&run.summary, &fingerprints).await? {
                opened.push((case, generation));
            }
            let delete = Write::Delete { key: item.key, when: Vec::new() };
            trail::commit(state, &Transaction { writes: vec![delete], token: None }).await?;
        }
        Ok(opened)
    }

    /// Opens a run for those of the findings that still stand at the branch's head.
    async fn open_again(
        &self,
        summary: &Summary,
        fingerprints: &BTreeSet<Fingerprint>,
    ) -> Result<Option<Generation>, HealError> {
        let forge = &self.ports.forge;
        let Some(head) = forge.head(&summary.repository, &summary.reference).await? else { return Ok(None) };
        let Some(file) = forge.read(&summary.repository, &head, &summary.path).await? else { return Ok(None) };
        let mut findings = self.detector.scan(&summary.repository.id, &summary.path, &file.bytes).findings;
        findings.retain(|f| fingerprints.contains(&f.fingerprint));
        if findings.is_empty() {
            return Ok(None);
        }
        let request = ScanRequest {
            repository: summary.repository.clone(),
            reference: summary.reference.clone(),
            base: None,
            head,
            pusher: summary.pusher.clone(),
            external: Vec::new(),
        };
        let mut report = ScanReport::default();
        self.open_case(&request, &mut report, (&summary.rule, &summary.path), &findings).await?;
        Ok(report.runs.first().map(|(_, generation)| *generation))
    }
}
