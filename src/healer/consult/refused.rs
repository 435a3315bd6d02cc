//! Proposals that people refused, named where they count against a new one: "like PR #118, closed".

use crate::healer::{HealError, Healer, learn, trail};
use crate::model::{CaseId, PastFix, Provenance};
use crate::ports::PortError;

impl Healer {
    /// What people did to the proposal behind a fix: `like PR #118, closed`. `None` when they refused nothing of it.
    pub(super) async fn refusal(&self, fix: &PastFix) -> Result<Option<String>, PortError> {
        let what = match (fix.record.rejected, fix.record.reverted) {
            (0, 0) => return Ok(None),
            (_, 0) => "closed",
            _ => "merged and undone",
        };
        let request = match &fix.provenance {
            Provenance::Merged { pull_request, .. } => Some(pull_request.clone()),
            Provenance::Proposed { case } => self.request_behind(&CaseId::from_stored(case.clone()), fix).await?,
            _ => None,
        };
        let named = request
            .as_deref()
            .filter(|url| !url.is_empty())
            .map_or_else(|| format!("a proposal in {}", fix.path), request_name);
        Ok(Some(format!("like {named}, {what}")))
    }

    /// The pull request of the run that left this fix.
    async fn request_behind(&self, case: &CaseId, fix: &PastFix) -> Result<Option<String>, PortError> {
        let state = &*self.ports.state;
        let Some(current) = read(trail::case_head(state, case).await)? else { return Ok(None) };
        for generation in trail::recent(current.generation.0) {
            if learn::fix_id_of(case, generation) == fix.id {
                let head = read(trail::run_head(state, case, generation).await)?;
                return Ok(head.and_then(|head| head.summary.pull_request));
            }
        }
        Ok(None)
    }
}

/// `PR #118` where the address tells a number, else the address.
pub(in crate::healer) fn request_name(url: &str) -> String {
    let number = url.rsplit_once("/pull/").map(|(_, number)| number.trim_end_matches('/'));
    match number.filter(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())) {
        Some(number) => format!("PR #{number}"),
        None => url.to_owned(),
    }
}

fn read<T>(found: Result<T, HealError>) -> Result<T, PortError> {
    found.map_err(|error| error.into_port("read the run behind a refused fix"))
}

#[cfg(test)]
mod tests {
    use super::request_name;

    #[test]
    fn a_pull_request_is_named_by_its_number_where_it_has_one() {
        assert_eq!(request_name("https://github.com/acme/shop/pull/118"), "PR #118");
        for other in ["/state/pulls/1/codehealer-x.md", "https://example.org/pull/x", "https://example.org/pull/"] {
            assert_eq!(request_name(other), other);
        }
    }
}
