//! Verification with our own detector looking at the file before and after.

use super::{NewPackages, Rejection, RejectionKind, VerifiedCandidate, VerifyInput, check_edits, check_findings};
use crate::detect::{Detector, FileScan, SkipReason};
use crate::model::{Evidence, Finding, Provenance, RepositoryId};

/// Every check, with the findings of our own rules. Suppressed findings count as findings: they are still there.
///
/// # Errors
/// The first check that failed; `CouldNotCheck` when the detector does not read the whole file before or after the edit,
/// as when the edit makes it look generated or binary.
pub fn with_detector(
    input: &VerifyInput<'_>,
    detector: &Detector,
    repository: &RepositoryId,
) -> Result<VerifiedCandidate, Rejection> {
    let patched = check_edits(input)?;
    let scan = |text: &str| all_findings(detector.scan(repository, input.path, text.as_bytes()));
    let (before, after) = (scan(input.before)?, scan(patched.text())?);
    check_findings(patched, &before, &after)
}

/// The findings of a whole file, suppressed ones included: they are still there.
///
/// # Errors
/// `CouldNotCheck` when the detector did not read the whole file.
pub fn all_findings(scan: FileScan) -> Result<Vec<Finding>, Rejection> {
    let partial = match (&scan.skipped, &scan.cut_off) {
        (None | Some(SkipReason::NoGrammar), None) => None,
        (Some(reason), _) => Some(format!("the detector does not read the file: {reason}")),
        (None, Some(cut_off)) => Some(format!("the detector reads only part of the file: {cut_off}")),
    };
    match partial {
        Some(detail) => Err(Rejection { check: RejectionKind::CouldNotCheck, detail }),
        None => Ok(scan.findings.into_iter().chain(scan.suppressed.into_iter().map(|hidden| hidden.finding)).collect()),
    }
}

impl NewPackages {
    /// What people wrote and used or confirmed may bring in a package. Names that a past fix brings from elsewhere are weighed by the score.
    #[must_use]
    pub fn by(evidence: &Evidence) -> Self {
        let reviewed = match evidence {
            Evidence::TeamKnowledge { confirmed, .. } => *confirmed,
            Evidence::PastFix { provenance, .. } => !matches!(provenance, Provenance::Proposed { .. }),
            Evidence::Model { .. } => false,
        };
        if reviewed { Self::Allowed } else { Self::Refused }
    }
}
