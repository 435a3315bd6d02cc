//! Every prior, weight and cap of a confidence.

use proptest::prelude::*;

use super::*;
use crate::model::{FixId, Level};

const CHECKED: [Check; 2] = [Check::ParsesCleanly, Check::FindingGone];

fn facts() -> CaseFacts {
    CaseFacts {
        rule: RuleOrigin::BuiltIn,
        rule_from_repository: false,
        test_code: false,
        record: TrackRecord::default(),
    }
}

fn record(accepted: u32, rejected: u32) -> TrackRecord {
    TrackRecord { accepted, rejected, reverted: 0 }
}

fn mined() -> Provenance {
    Provenance::Mined { commit: "1a2b".to_owned() }
}

fn past(provenance: Provenance, supports: f64, contradictions: f64, record: TrackRecord) -> Evidence {
    Evidence::PastFix {
        fix: FixId("f".to_owned()),
        origin: "commit 1a2b".to_owned(),
        provenance,
        level: Level::L1,
        similarity: 0.99,
        supports,
        contradictions,
        record,
        foreign_tokens: Vec::new(),
        donors: 1,
        new_imports: 0,
        caution: None,
    }
}

fn team(confirmed: bool) -> Evidence {
    Evidence::TeamKnowledge {
        permalink: String::new(),
        channel: "dev".to_owned(),
        author: AuthorKind::Member,
        confirmed,
        channel_configured: true,
        has_code: true,
    }
}

fn model(claimed: Option<u8>, record: TrackRecord) -> Evidence {
    Evidence::Model {
        model: "m".to_owned(),
        claimed,
        agreeing: 1,
        samples: 1,
        past_fix_agrees: false,
        of_its_own: None,
        truncated: false,
        record,
        input_tokens: 0,
        output_tokens: 0,
    }
}

fn agreeing(evidence: Evidence, of: (u32, u32), with_past_fix: bool) -> Evidence {
    let Evidence::Model { model, claimed, truncated, record, input_tokens, output_tokens, .. } = evidence else {
        return evidence;
    };
    let (agreeing, samples) = of;
    let past_fix_agrees = with_past_fix;
    Evidence::Model {
        model,
        claimed,
        agreeing,
        samples,
        past_fix_agrees,
        of_its_own: None,
        truncated,
        record,
        input_tokens,
        output_tokens,
    }
}

fn percent(evidence: &Evidence) -> u8 {
    of_checks(evidence, &CHECKED, &facts()).confidence.percent()
}

#[test]
fn past_fixes_score_by_their_agreement() {
    assert_eq!(percent(&past(mined(), 1.0, 0.0, record(0, 0))), 59);
    assert_eq!(percent(&past(mined(), 5.0, 0.0, record(0, 0))), 85);
    assert_eq!(percent(&past(mined(), 5.0, 2.0, record(0, 0))), 64);
    // (4 · 0.5909 + 6) / (4 + 6)
    assert_eq!(percent(&past(mined(), 1.0, 0.0, record(6, 0))), 83);
    assert_eq!(percent(&past(mined(), 5.0, 0.0, record(0, 4))), 42);
}

#[test]
fn an_import_that_the_file_does_without_speaks_against_the_edit() {
    let with = |new: u32, supports: f64| {
        let mut evidence = past(mined(), supports, 0.0, record(0, 0));
        if let Evidence::PastFix { new_imports, .. } = &mut evidence {
            *new_imports = new;
        }
        percent(&evidence)
    };
    assert_eq!((with(0, 5.0), with(1, 5.0), with(2, 5.0)), (85, 64, 64));
    assert_eq!((with(0, 1.0), with(1, 1.0)), (59, 30));
    let told = of_checks(&past(mined(), 5.0, 0.0, record(0, 0)), &CHECKED, &facts());
    assert!(!told.lines.iter().any(|line| line.reason.contains("import")), "{told:?}");
}

#[test]
fn curated_and_team_answers_start_from_their_priors() {
    assert_eq!(percent(&past(Provenance::Curated, 0.0, 0.0, record(0, 0))), 90);
    // (10 · 0.9 + 0) / (10 + 1)
    assert_eq!(percent(&past(Provenance::Curated, 0.0, 0.0, record(0, 1))), 81);
    assert_eq!(percent(&team(true)), 90);
    assert_eq!(percent(&team(false)), 70);
    let with_record = CaseFacts { record: record(0, 1), ..facts() };
    // (4 · 0.9 + 0) / (4 + 1)
    assert_eq!(of_checks(&team(true), &CHECKED, &with_record).confidence.percent(), 72);
}

#[test]
fn a_model_is_not_believed_beyond_its_cap() {
    assert_eq!(percent(&model(Some(100), record(0, 0))), 84);
    assert_eq!(percent(&model(Some(70), record(0, 0))), 70);
    assert_eq!(percent(&model(None, record(0, 0))), 60);
    // (10 · 0.84 + 20) / (10 + 20) = 94, but 20 outcomes are no proof yet.
    assert_eq!(percent(&model(Some(100), record(20, 0))), 84);
    assert_eq!(percent(&model(Some(100), record(30, 0))), 96);
    assert_eq!(percent(&model(Some(100), record(0, 10))), 42);
}

#[test]
fn an_independent_agreement_lifts_the_cap_but_not_the_claim() {
    let claims_all = || model(Some(100), record(0, 0));
    assert_eq!(percent(&agreeing(claims_all(), (2, 3), false)), 90);
    assert_eq!(percent(&agreeing(claims_all(), (1, 1), true)), 90);
    assert_eq!(percent(&agreeing(claims_all(), (1, 3), false)), 84);
    assert_eq!(percent(&agreeing(claims_all(), (2, 2), false)), 84);
    assert_eq!(percent(&agreeing(claims_all(), (1, 1), false)), 84);
    assert_eq!(percent(&agreeing(model(Some(40), record(0, 0)), (3, 3), true)), 40);
}

#[test]
fn each_cap_holds_by_itself() {
    let merged = || past(mined(), 50.0, 0.0, record(0, 0));
    assert!(percent(&merged()) > 84);
    for provenance in [
        Provenance::Imported,
        Provenance::Proposed { case: String::new() },
        Provenance::Team { permalink: String::new() },
    ] {
        assert_eq!(percent(&past(provenance, 50.0, 0.0, record(0, 0))), 84);
    }
    for checks in [&[][..], &[Check::ParsesCleanly], &[Check::FindingGone]] {
        assert_eq!(of_checks(&merged(), checks, &facts()).confidence.percent(), 84, "{checks:?}");
    }
    let of_repository = CaseFacts { rule_from_repository: true, test_code: false, ..facts() };
    assert_eq!(of_checks(&merged(), &CHECKED, &of_repository).confidence.percent(), 84);
    let external = CaseFacts { rule: RuleOrigin::External { tool: "ruff".to_owned() }, ..facts() };
    assert!(of_checks(&merged(), &CHECKED, &external).confidence.percent() > 84, "a verifier looked again");
    let told = of_checks(&merged(), &[Check::ParsesCleanly], &external);
    assert!(told.lines.iter().any(|line| line.reason.contains("another scanner")), "{told:?}");
}

#[test]
fn each_cap_of_a_team_answer_holds_by_itself() {
    let answer = |kind: AuthorKind, configured: bool, code: bool| Evidence::TeamKnowledge {
        permalink: String::new(),
        channel: "dev".to_owned(),
        author: kind,
        confirmed: true,
        channel_configured: configured,
        has_code: code,
    };
    assert_eq!(percent(&answer(AuthorKind::Member, true, true)), 90);
    for kind in [AuthorKind::Guest, AuthorKind::Bot, AuthorKind::Unknown] {
        assert_eq!(percent(&answer(kind, true, true)), 84);
    }
    assert_eq!(percent(&answer(AuthorKind::Member, false, true)), 84);
    assert_eq!(percent(&answer(AuthorKind::Member, true, false)), 84);
}

#[test]
fn names_from_elsewhere_need_two_fixes() {
    let foreign = |provenance: Provenance, supports: f64, donors: u32| Evidence::PastFix {
        fix: FixId(String::new()),
        origin: String::new(),
        provenance,
        level: Level::L2,
        similarity: 1.0,
        supports,
        contradictions: 0.0,
        record: record(50, 0),
        foreign_tokens: vec!["sanitize".to_owned()],
        donors,
        new_imports: 0,
        caution: None,
    };
    let merged = || Provenance::Merged { pull_request: String::new(), commit: String::new() };
    assert_eq!(percent(&foreign(mined(), 1.0, 1)), 59);
    assert_eq!(percent(&foreign(merged(), 3.0, 1)), 59);
    assert!(percent(&foreign(mined(), 2.0, 1)) > 84);
    assert!(percent(&foreign(merged(), 4.0, 1)) > 84);
    assert!(percent(&foreign(mined(), 1.0, 2)) > 84);
}

#[test]
fn what_a_model_found_stays_a_draft_whatever_the_evidence() {
    let found = CaseFacts { rule: RuleOrigin::Model, ..facts() };
    let merged = Provenance::Merged { pull_request: String::new(), commit: String::new() };
    for evidence in [
        agreeing(model(Some(100), record(500, 0)), (8, 8), true),
        past(merged, 500.0, 0.0, record(500, 0)),
        past(Provenance::Curated, 500.0, 0.0, record(500, 0)),
        team(true),
    ] {
        assert!(percent(&evidence) > 84, "it would open anything else: {evidence:?}");
        // Even if somebody wrote down that a check was made which nobody can make.
        let scored = of_checks(&evidence, &CHECKED, &found);
        assert_eq!(scored.confidence.percent(), 84, "{scored:?}");
        assert!(scored.lines.iter().any(|line| line.reason.contains("a model found it")), "{scored:?}");
    }
}

#[test]
fn agreement_on_what_nobody_asked_for_lifts_nothing() {
    let with = |past_fix: bool, record: TrackRecord| {
        let mut evidence = agreeing(model(Some(100), record), (3, 3), past_fix);
        if let Evidence::Model { of_its_own, .. } = &mut evidence {
            *of_its_own = Some("it adds a comment".to_owned());
        }
        evidence
    };
    assert_eq!(percent(&agreeing(model(Some(100), record(0, 0)), (3, 3), false)), 90, "without it, agreement counts");
    assert_eq!(percent(&with(false, record(0, 0))), 84);
    assert_eq!(percent(&with(false, record(500, 0))), 84, "nor does a long record lift it");
    assert_eq!(percent(&with(true, record(0, 0))), 90, "people merged this very edit before");
}

#[test]
fn a_truncated_context_keeps_even_an_agreed_model_below_open() {
    let Evidence::Model { model, claimed, record, .. } = model(Some(100), record(0, 0)) else { return };
    let evidence = Evidence::Model {
        model,
        claimed,
        agreeing: 3,
        samples: 3,
        past_fix_agrees: true,
        of_its_own: None,
        truncated: true,
        record,
        input_tokens: 0,
        output_tokens: 0,
    };
    assert_eq!(percent(&evidence), 84);
}

#[test]
fn every_step_is_told_in_order() {
    let scored = of_checks(&past(Provenance::Imported, 5.0, 1.0, record(9, 1)), &CHECKED, &facts());
    let told: Vec<String> =
        scored.lines.iter().map(|line| format!("{:.0} {}", line.percent.floor(), line.reason)).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    73 past fixes that agree weigh 5, that differ 1
    85 of 10 reviewed proposals for this rule, 9 were merged
    84 at most 84: the past fix was neither merged nor curated
    ");
}

fn any_provenance() -> impl Strategy<Value = Provenance> {
    prop_oneof![
        Just(Provenance::Curated),
        Just(mined()),
        Just(Provenance::Imported),
        Just(Provenance::Merged { pull_request: String::new(), commit: String::new() }),
    ]
}

/// The probability before it is rounded down and capped.
fn probability(evidence: &Evidence) -> f64 {
    let scored = of_checks(evidence, &CHECKED, &facts());
    scored.lines.iter().rev().find(|line| !line.reason.starts_with("at most")).map_or(0.0, |line| line.percent)
}

proptest! {
    #[test]
    fn disagreement_and_rejection_strictly_lower_the_probability(
        provenance in any_provenance(), sup in 0.0f64..40.0, con in 0.0f64..40.0, acc in 0u32..50, rej in 0u32..50,
    ) {
        let at = |con: f64, rejected: u32| probability(&past(provenance.clone(), sup, con, record(acc, rejected)));
        prop_assert!(at(con + 1.0, rej) < at(con, rej));
        prop_assert!(at(con, rej + 1) < at(con, rej));
    }

    #[test]
    fn a_model_rejection_strictly_lowers_and_a_claim_never_lifts(claimed in 1u8..=100, acc in 0u32..60, rej in 0u32..60) {
        let at = |claimed: u8, rejected: u32| probability(&model(Some(claimed), record(acc, rejected)));
        prop_assert!(at(claimed, rej + 1) < at(claimed, rej));
        prop_assert!(percent(&model(Some(claimed), record(0, 0))) <= claimed.min(84));
    }

    #[test]
    fn more_support_never_lowers(provenance in any_provenance(), sup in 0.0f64..40.0, con in 0.0f64..40.0, acc in 0u32..50) {
        let at = |sup: f64, accepted: u32| percent(&past(provenance.clone(), sup, con, record(accepted, 3)));
        prop_assert!(at(sup + 1.0, acc) >= at(sup, acc));
        prop_assert!(at(sup, acc + 1) >= at(sup, acc));
    }

    #[test]
    fn any_numbers_give_a_percentage_within_the_caps(
        sup in any::<f64>(), con in any::<f64>(), similarity in any::<f64>(), accepted in any::<u32>(), rejected in any::<u32>(),
        claimed in any::<u8>(),
    ) {
        let record = TrackRecord { accepted: accepted / 3, rejected: rejected / 3, reverted: 0 };
        let mut evidence = past(Provenance::Imported, sup, con, record);
        if let Evidence::PastFix { similarity: of, .. } = &mut evidence {
            *of = similarity;
        }
        prop_assert!(percent(&evidence) <= 84);
        let wild = TrackRecord { accepted, rejected, reverted: rejected };
        let _ = of_checks(&team(true), &CHECKED, &CaseFacts { record: wild, ..facts() });
        prop_assert!(percent(&model(Some(claimed), TrackRecord::default())) <= 84);
    }

    #[test]
    fn no_check_lifts_a_score_above_its_best(
        provenance in any_provenance(), sup in 0.0f64..40.0, con in 0.0f64..40.0, acc in 0u32..50, rej in 0u32..50,
        claimed in proptest::option::of(1u8..=100), imports in 0u32..3, checked in any::<bool>(), test_code in any::<bool>(),
    ) {
        let mut fix = past(provenance, sup, con, record(acc, rej));
        if let Evidence::PastFix { new_imports, .. } = &mut fix {
            *new_imports = imports;
        }
        let facts = CaseFacts { test_code, ..facts() };
        let checks: &[Check] = if checked { &CHECKED } else { &[] };
        for evidence in [fix, team(checked), model(claimed, record(acc, rej))] {
            prop_assert!(of_checks(&evidence, checks, &facts).confidence <= at_best(&evidence, &facts));
        }
    }
}
