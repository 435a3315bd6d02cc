//! A calibration in words and tables, for a terminal.

use std::collections::BTreeMap;

use super::backtest::{Backtest, Moved, Split, Tier};
use super::{Calibration, Figures, chart};
use crate::report::line::{Line, Tone};
use crate::report::table::Table;

/// A bin with fewer outcomes has a hollow mark.
pub const FEW_IN_BIN: usize = 10;
/// Moved cases that are named; all are in the JSON.
const NAMED: usize = 20;

/// Everything that the figures say.
#[must_use]
pub fn lines(calibration: &Calibration) -> Vec<Line> {
    let mut lines = vec![counted(calibration)];
    lines.extend(left_out(calibration));
    if calibration.all.outcomes == 0 {
        let say = "no proposal was judged yet: merge or close some, then `codehealer heal` or the server takes it in";
        lines.push(Line::new(0, say));
        return lines;
    }
    if !calibration.sound {
        let enough = calibration.enough;
        let say = format!("fewer than {enough} outcomes: the figures are mostly chance; read them as a beginning");
        lines.push(Line::new(0, &say).toned(Tone::Careful));
    }
    lines.push(Line::empty());
    lines.extend(scores(&calibration.all));
    lines.push(Line::empty());
    lines.extend(reliability(calibration));
    lines.push(Line::empty());
    lines.extend(chart::lines(&calibration.bins, FEW_IN_BIN));
    let legend = format!(
        "● {FEW_IN_BIN} outcomes or more, ○ fewer, │ 95 % interval; above the diagonal too modest, below it too sure"
    );
    lines.push(Line::new(6, &legend).toned(Tone::Quiet));
    for (name, group) in
        [("source", &calibration.by_source), ("rule", &calibration.by_rule), ("repository", &calibration.by_repository)]
    {
        lines.push(Line::empty());
        lines.extend(grouped(name, group));
    }
    lines
}

fn counted(calibration: &Calibration) -> Line {
    let Figures { outcomes, right, .. } = calibration.all;
    let amended = if calibration.strict { "; amended merges count as misses" } else { "" };
    let proved = if calibration.strict { "proved right" } else { "were merged" };
    Line::new(0, &format!("{outcomes} proposal(s) were judged, {right} {proved}{amended}")).toned(Tone::Strong)
}

fn left_out(calibration: &Calibration) -> Option<Line> {
    let out = calibration.without_outcome();
    let counts = calibration.fates.iter().filter(|(fate, _)| fate.proved_right(false).is_none());
    let counts: Vec<String> = counts.map(|(fate, count)| format!("{count} {}", fate.word())).collect();
    let say = format!("left out, for nobody judged them: {out} ({})", counts.join(", "));
    (out > 0).then(|| Line::new(0, &say).toned(Tone::Quiet))
}

fn scores(figures: &Figures) -> Vec<Line> {
    let Figures { brier, brier_of_share, ece, auc, mean_confidence, share, .. } = figures;
    let average = figure(*brier_of_share);
    vec![
        Line::new(
            0,
            &format!("Brier score  {}   0 is perfect; saying the average of all gives {average}", figure(*brier)),
        ),
        Line::new(
            0,
            &format!(
                "ECE          {}   expected calibration error, 10 bins of equal width; 0 is perfect",
                figure(*ece)
            ),
        ),
        Line::new(
            0,
            &format!("AUC          {}   1 tells merged from refused, 0.5 cannot; – without both kinds", figure(*auc)),
        ),
        Line::new(
            0,
            &format!("confidence   {}   on average, beside {} merged", percent(*mean_confidence), percent(*share)),
        ),
    ]
}

fn reliability(calibration: &Calibration) -> Vec<Line> {
    let mut table = Table::new(&["confidence", "outcomes", "merged", "mean confidence", "share", "95 % interval"]);
    for bin in calibration.bins.iter().filter(|bin| bin.outcomes > 0) {
        let to = if bin.to == 100 { "100".to_owned() } else { format!("{}", bin.to - 1) };
        let interval = bin.interval.map_or_else(none, |(low, high)| format!("{low:.2} – {high:.2}"));
        let (mean, share) = (figure(bin.mean_confidence), figure(bin.share));
        let cells =
            [format!("{} to {to}", bin.from), bin.outcomes.to_string(), bin.right.to_string(), mean, share, interval];
        table.row(None, cells.into());
    }
    table.lines()
}

/// One table, the group with most outcomes first.
fn grouped(name: &'static str, groups: &BTreeMap<String, Figures>) -> Vec<Line> {
    let mut sorted: Vec<(&String, &Figures)> = groups.iter().collect();
    sorted.sort_by(|a, b| b.1.outcomes.cmp(&a.1.outcomes).then(a.0.cmp(b.0)));
    let mut table = Table::new(&["outcomes", "merged", "confidence", "share", "Brier", "ECE", "AUC", name]);
    for (key, of) in sorted {
        let Figures { outcomes, right, mean_confidence, share, brier, ece, auc, .. } = of;
        let figures = [*mean_confidence, *share, *brier, *ece, *auc].map(figure);
        let cells = [outcomes.to_string(), right.to_string()].into_iter().chain(figures).chain([key.clone()]);
        table.row(None, cells.collect());
    }
    table.lines()
}

/// What other thresholds would have done.
#[must_use]
pub fn of_backtest(backtest: &Backtest) -> Vec<Line> {
    let name = |split: &Split| format!("open {}, draft {}", split.thresholds.open, split.thresholds.draft);
    let heading = format!("thresholds today: {}; tried: {}", name(&backtest.today), name(&backtest.tried));
    let mut lines = vec![Line::empty(), Line::new(0, &heading).toned(Tone::Strong)];
    let mut table = Table::new(&["tier", "today", "merged", "refused", "share", "tried", "merged", "refused", "share"]);
    let rows = [
        ("pull request", backtest.today.open, backtest.tried.open),
        ("draft", backtest.today.draft, backtest.tried.draft),
        ("for a person", backtest.today.escalate, backtest.tried.escalate),
    ];
    for (name, today, tried) in rows {
        let cells = [name.to_owned()].into_iter().chain(tier(today)).chain(tier(tried));
        table.row(None, cells.collect());
    }
    lines.extend(table.lines());
    lines.push(
        Line::new(0, "shares are of the judged cases; what was never proposed has no outcome").toned(Tone::Quiet),
    );
    lines.extend(moved(&backtest.moved));
    lines
}

fn tier(tier: Tier) -> [String; 4] {
    [tier.cases.to_string(), tier.merged.to_string(), tier.refused.to_string(), figure(tier.merged_share())]
}

fn moved(moved: &[Moved]) -> Vec<Line> {
    if moved.is_empty() {
        return vec![Line::new(0, "no case would change its tier")];
    }
    let mut table = Table::new(&["case", "gen", "conf", "today", "tried", "outcome", "rule", "repository"]);
    for case in moved.iter().take(NAMED) {
        table.row(
            None,
            vec![
                case.case.short().to_owned(),
                case.generation.0.to_string(),
                case.confidence.to_string(),
                case.from.to_string(),
                case.to.to_string(),
                case.fate.word().to_owned(),
                case.rule.to_string(),
                case.repository.clone(),
            ],
        );
    }
    let mut lines = vec![Line::empty(), Line::new(0, &format!("{} case(s) would change their tier", moved.len()))];
    lines.extend(table.lines());
    if moved.len() > NAMED {
        let more = format!("… and {} more; --format json lists them", moved.len() - NAMED);
        lines.push(Line::new(0, &more).toned(Tone::Quiet));
    }
    lines
}

/// Three digits behind the point; a dash for what has no value.
#[must_use]
pub fn figure(value: Option<f64>) -> String {
    value.map_or_else(none, |value| format!("{value:.3}"))
}

/// A share in percent.
#[must_use]
pub fn percent(value: Option<f64>) -> String {
    value.map_or_else(none, |value| format!("{:.0} %", value * 100.0))
}

fn none() -> String {
    "–".to_owned()
}
