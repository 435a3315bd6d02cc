//! What stands behind a proposal, as facts in words.

use crate::model::{AuthorKind, Evidence, FixId, Provenance, TrackRecord};

/// The facts, one a line.
#[must_use]
pub fn lines(evidence: &Evidence) -> Vec<String> {
    match evidence {
        Evidence::TeamKnowledge { permalink, channel, author, confirmed, channel_configured, has_code } => {
            let confirmed = if *confirmed { "confirmed by another member" } else { "not confirmed" };
            let configured = if *channel_configured { "a configured channel" } else { "not a configured channel" };
            let form = if *has_code { "code" } else { "prose" };
            vec![
                format!("answer of {} in {channel} ({configured}), {form}, {confirmed}", author_kind(*author)),
                permalink.clone(),
            ]
        }
        Evidence::PastFix {
            fix,
            origin,
            provenance,
            level,
            similarity,
            supports,
            contradictions,
            record,
            foreign_tokens,
            donors,
            new_imports,
            caution,
        } => {
            let mut facts = vec![
                match provenance {
                    Provenance::Curated => format!("past fix {}: {origin}", name(fix)),
                    _ => format!("past fix {}: {origin}, {}", name(fix), kind(provenance)),
                },
                format!("level {level}, likeness {similarity:.3}, {donors} example(s)"),
                format!("support {supports:.1}, contradiction {contradictions:.1}; {}", reviewed(*record)),
            ];
            if *new_imports > 0 {
                facts.push(format!("adds {new_imports} import(s) that the file does without"));
            }
            facts.extend(caution.iter().map(|caution| format!("to consider before it is merged: {caution}")));
            if !foreign_tokens.is_empty() {
                facts.push(format!("brings names the file does not know: {}", foreign_tokens.join(", ")));
            }
            facts
        }
        Evidence::Model {
            model, claimed, agreeing, samples, past_fix_agrees, of_its_own, truncated, record, ..
        } => {
            let claimed = claimed.map_or_else(|| "nothing".to_owned(), |percent| format!("{percent}/100"));
            let agrees = if *past_fix_agrees { "; a past fix of the same shape agrees" } else { "" };
            let cut = if *truncated { "; it did not see all the context" } else { "" };
            let own = of_its_own.as_ref().map_or_else(String::new, |what| format!("; {what}"));
            vec![
                format!("model {model}: {agreeing} of {samples} answers agree, it claims {claimed}{agrees}{own}{cut}"),
                reviewed(*record),
            ]
        }
    }
}

/// Where a fix comes from, in words.
#[must_use]
pub fn kind(provenance: &Provenance) -> String {
    match provenance {
        Provenance::Curated => "written with the rule".to_owned(),
        Provenance::Starter => "from the starter memory".to_owned(),
        Provenance::Merged { pull_request, commit } => format!("merged by people: {pull_request} {}", short(commit)),
        Provenance::Mined { commit } => format!("mined from commit {}", short(commit)),
        Provenance::Team { permalink } => format!("answer of the team: {permalink}"),
        Provenance::Proposed { case } => format!("proposed in case {}, not yet reviewed", short(case)),
        Provenance::Imported => "imported".to_owned(),
    }
}

/// What became of fixes like this one.
#[must_use]
pub fn reviewed(record: TrackRecord) -> String {
    format!("people took {}, refused {} and reverted {}", record.accepted, record.rejected, record.reverted)
}

/// Learned fixes are named by a hash, curated ones by their rule.
fn name(fix: &FixId) -> &str {
    if fix.0.contains('/') { &fix.0 } else { short(&fix.0) }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn author_kind(author: AuthorKind) -> &'static str {
    match author {
        AuthorKind::Member => "a member",
        AuthorKind::Guest => "a guest",
        AuthorKind::Bot => "a bot",
        AuthorKind::Unknown => "somebody unknown",
    }
}
