//! The figures against values worked out by hand and against plain definitions.

use proptest::prelude::*;

use super::backtest::{self, Backtest};
use super::*;
use crate::model::{RepositoryId, Thresholds};

fn at(percent: u8) -> Confidence {
    Confidence::new(percent).unwrap()
}

fn forecasts(of: &[(u8, bool)]) -> Vec<Forecast> {
    of.iter().map(|(percent, right)| Forecast { confidence: at(*percent), right: *right }).collect()
}

fn case(number: usize, percent: u8, fate: Fate) -> Judged {
    let (rule, path) = (RuleId::new("py-yaml-unsafe-load").unwrap(), RepoPath::new(format!("{number}.py")).unwrap());
    let decision = Thresholds::default().decide(at(percent));
    let source = (percent > 0).then_some(Source::PastFix);
    let case = CaseId::of(&RepositoryId("1".to_owned()), &rule, &path);
    let (generation, repository) = (Generation(1), "acme/shop".to_owned());
    let confidence = at(percent);
    Judged { case, generation, repository, rule, path, source, confidence, decision, fate, detected_at: number as u64 }
}

fn near(value: Option<f64>, expected: f64) -> bool {
    value.is_some_and(|value| (value - expected).abs() < 1e-9)
}

#[test]
fn the_figures_are_those_worked_out_by_hand() {
    // Two bins: 90 and 92 (one of two right), 60 and 64 and 68 (two of three right).
    let figures = Figures::of(&forecasts(&[(90, true), (92, false), (60, true), (64, false), (68, true)]));
    assert_eq!((figures.outcomes, figures.right), (5, 3));
    assert!(near(figures.share, 0.6) && near(figures.mean_confidence, 0.748), "{figures:?}");
    assert!(near(figures.brier, (0.01 + 0.8464 + 0.16 + 0.4096 + 0.1024) / 5.0), "{figures:?}");
    assert!(near(figures.brier_of_share, 0.24), "{figures:?}");
    assert!(near(figures.ece, (0.41 * 2.0 + (0.64f64 - 2.0 / 3.0).abs() * 3.0) / 5.0), "{figures:?}");
    // Of six pairs 90 wins one, 60 none, 68 one.
    assert!(near(figures.auc, 2.0 / 6.0), "{figures:?}");
}

#[test]
fn what_has_no_value_is_none_and_nothing_is_divided_by_zero() {
    let none = Figures::of(&[]);
    assert_eq!(none, Figures::default());
    assert!(bins(&[]).iter().all(|bin| bin.share.is_none() && bin.interval.is_none()));
    let only_right = Figures::of(&forecasts(&[(80, true), (70, true)]));
    assert_eq!(only_right.auc, None, "one kind alone cannot be told from the other");
    let empty = Calibration::of(&[], false);
    let text = serde_json::to_string(&empty).unwrap();
    assert!(!text.contains("NaN") && !empty.sound, "{text}");
    for text in [svg::picture(&empty, Thresholds::default()), format!("{:?}", words::lines(&empty))] {
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}

#[test]
fn a_hundred_belongs_to_the_last_bin_and_each_edge_to_the_upper_one() {
    let counts: Vec<usize> = bins(&forecasts(&[(0, true), (9, true), (10, true), (90, true), (100, true)]))
        .iter()
        .map(|bin| bin.outcomes)
        .collect();
    assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
}

#[test]
fn the_interval_is_wilsons() {
    // 8 of 10: 0.490162 to 0.943318, as in published tables of the score interval.
    let (low, high) = wilson(8, 10).unwrap();
    assert!((low - 0.490_162).abs() < 1e-5 && (high - 0.943_318).abs() < 1e-5, "{low} {high}");
    assert_eq!(wilson(0, 0), None);
    let (low, high) = wilson(10, 10).unwrap();
    assert!(low > 0.7 && (high - 1.0).abs() < 1e-9, "{low} {high}");
}

#[test]
fn who_was_not_judged_is_left_out_and_counted() {
    let fates = [Fate::Merged, Fate::Amended, Fate::Closed, Fate::Reverted, Fate::Open, Fate::Escalated, Fate::Ignored];
    let cases: Vec<Judged> = fates.iter().enumerate().map(|(number, fate)| case(number, 90, *fate)).collect();
    let lenient = Calibration::of(&cases, false);
    assert_eq!((lenient.all.outcomes, lenient.all.right, lenient.without_outcome()), (4, 2, 3));
    let strict = Calibration::of(&cases, true);
    assert_eq!((strict.all.outcomes, strict.all.right, strict.without_outcome()), (4, 1, 3));
    assert_eq!(lenient.by_rule["py-yaml-unsafe-load"], lenient.all);
    assert_eq!(lenient.by_source.keys().collect::<Vec<_>>(), ["past fix"]);
}

#[test]
fn few_outcomes_are_called_few() {
    let cases = |count: usize| (0..count).map(|n| case(n, 90, Fate::Merged)).collect::<Vec<_>>();
    let few = Calibration::of(&cases(ENOUGH - 1), false);
    let said = |calibration: &Calibration| words::lines(calibration).iter().any(|l| l.text.contains("mostly chance"));
    assert!(said(&few) && svg::picture(&few, Thresholds::default()).contains("mostly chance"));
    let enough = Calibration::of(&cases(ENOUGH), false);
    assert!(!said(&enough) && !svg::picture(&enough, Thresholds::default()).contains("mostly chance"));
}

#[test]
fn other_thresholds_move_cases_between_tiers() {
    let cases = [
        case(0, 90, Fate::Merged),
        case(1, 82, Fate::Closed),
        case(2, 80, Fate::Amended),
        case(3, 57, Fate::Escalated),
        case(4, 0, Fate::Escalated),
    ];
    let tried = Thresholds { open: at(80), draft: at(0) };
    let test = Backtest::of(&cases, Thresholds::default(), tried);
    let counts = |split: &backtest::Split| [split.open, split.draft, split.escalate].map(|tier| tier.cases);
    assert_eq!((counts(&test.today), counts(&test.tried)), ([1, 2, 2], [3, 1, 1]));
    assert_eq!((test.tried.open.merged, test.tried.open.refused, test.tried.draft.unknown), (2, 1, 1));
    let moved: Vec<_> = test.moved.iter().map(|moved| (moved.confidence.percent(), moved.from, moved.to)).collect();
    let (open, draft, person) = (Decision::Open, Decision::Draft, Decision::Escalate);
    assert_eq!(moved, [(82, draft, open), (80, draft, open), (57, person, draft)]);
    let same = Backtest::of(&cases, Thresholds::default(), Thresholds::default());
    assert!(same.moved.is_empty() && same.today == same.tried);
}

#[test]
fn thresholds_are_read_as_people_write_them() {
    let today = Thresholds::default();
    assert_eq!(backtest::read("open=80,draft=55", today), Ok(Thresholds { open: at(80), draft: at(55) }));
    assert_eq!(backtest::read(" draft = 70 ", today), Ok(Thresholds { open: at(85), draft: at(70) }));
    for wrong in ["", "80", "open=101", "open=-1", "open=x", "shut=3", "open=80,open=81", "open=50", "draft=90"] {
        assert!(backtest::read(wrong, today).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_hostile_name_stays_text_in_the_picture() {
    let mut cases = vec![case(0, 90, Fate::Merged), case(1, 70, Fate::Closed)];
    cases[0].repository = "</text><script>alert(1)</script>&\u{1b}\u{202e}".to_owned();
    let picture = svg::picture(&Calibration::of(&cases, false), Thresholds::default());
    assert!(!picture.contains("<script") && !picture.contains('\u{1b}') && !picture.contains('\u{202e}'), "{picture}");
    assert!(
        !picture.contains("href") && !picture.contains("url(") && !picture.contains("@import"),
        "needs nothing else"
    );
}

#[test]
fn the_curve_has_its_marks_where_the_bins_are() {
    let mut of = vec![(96, true); 20];
    of.extend([(65, false); 4]);
    let lines: Vec<String> = chart::lines(&bins(&forecasts(&of)), 10).into_iter().map(|line| line.text).collect();
    let find = |mark: char| {
        let row = lines.iter().position(|line| line.contains(mark)).unwrap_or_else(|| panic!("{mark}: {lines:#?}"));
        (row, lines[row].chars().position(|c| c == mark).unwrap())
    };
    // The plane begins in column 6 and row 1; 20 rows and 50 columns are the whole of it.
    assert_eq!(find('●'), (1, 6 + 48), "{lines:#?}");
    assert_eq!(find('○'), (21, 6 + 33), "{lines:#?}");
}

proptest! {
    #[test]
    fn auc_is_the_share_of_pairs_in_the_right_order(of in prop::collection::vec((0u8..=100, any::<bool>()), 0..60)) {
        let (mut won, mut pairs) = (0.0, 0.0);
        for (right, _) in of.iter().filter(|(_, right)| *right) {
            for (wrong, _) in of.iter().filter(|(_, right)| !right) {
                pairs += 1.0;
                won += match right.cmp(wrong) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                };
            }
        }
        let auc = Figures::of(&forecasts(&of)).auc;
        prop_assert_eq!(auc.is_some(), pairs > 0.0);
        prop_assert!(auc.is_none_or(|auc| (auc - won / pairs).abs() < 1e-9), "{:?} {} {}", auc, won, pairs);
    }

    #[test]
    fn all_figures_lie_between_0_and_1(of in prop::collection::vec((0u8..=100, any::<bool>()), 1..80)) {
        let forecasts = forecasts(&of);
        let figures = Figures::of(&forecasts);
        for value in [figures.brier, figures.ece, figures.share, figures.mean_confidence] {
            prop_assert!(value.is_some_and(|value| (0.0..=1.0).contains(&value)), "{:?}", figures);
        }
        let bins = bins(&forecasts);
        prop_assert_eq!(bins.iter().map(|bin| bin.outcomes).sum::<usize>(), forecasts.len());
        for bin in bins.iter().filter(|bin| bin.outcomes > 0) {
            let ((low, high), share) = (bin.interval.unwrap(), bin.share.unwrap());
            prop_assert!(low <= share + 1e-9 && share <= high + 1e-9, "{:?}", bin);
        }
        // The error of the whole is never smaller than the distance of the two averages.
        let gap = (figures.mean_confidence.unwrap() - figures.share.unwrap()).abs();
        prop_assert!(figures.ece.unwrap() + 1e-9 >= gap, "{:?}", figures);
    }
}
