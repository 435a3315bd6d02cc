//! The figures themselves. None of them divides by zero: what has no value is `None`.

use serde::Serialize;

use super::Forecast;

/// Bins of the reliability curve, of equal width.
pub const BINS: usize = 10;

/// How good a set of forecasts was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Forecasts with an outcome.
    pub outcomes: usize,
    /// Of these, how many proved right.
    pub right: usize,
    pub mean_confidence: Option<f64>,
    /// `right` of `outcomes`.
    pub share: Option<f64>,
    /// Mean squared distance of forecast and outcome (Brier, Monthly Weather Review 78, 1950): 0 is perfect, always saying one
    /// half gives 0.25.
    pub brier: Option<f64>,
    /// What saying `share` of every case would have given; a Brier score above this is worth less than the average alone.
    pub brier_of_share: Option<f64>,
    /// Expected calibration error over [`BINS`] bins of equal width (Naeini, Cooper, Hauskrecht, AAAI 2015): the distance between
    /// mean confidence and share of each bin, weighted by its size. 0 is perfect.
    pub ece: Option<f64>,
    /// Chance that of a right and a wrong proposal the right one had the higher confidence, ties by half (area under the ROC
    /// curve as a Mann-Whitney statistic; Hanley, McNeil, Radiology 143, 1982). `None` without both kinds.
    pub auc: Option<f64>,
}

/// One bin of the reliability curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Confidences from this percent, included,
    pub from: u8,
    /// to this one, excluded; the last bin includes 100.
    pub to: u8,
    pub outcomes: usize,
    pub right: usize,
    pub mean_confidence: Option<f64>,
    pub share: Option<f64>,
    /// 95 % interval of the share.
    pub interval: Option<(f64, f64)>,
}

impl Figures {
    #[must_use]
    pub fn of(forecasts: &[Forecast]) -> Self {
        let right = forecasts.iter().filter(|forecast| forecast.right).count();
        let share = ratio(right, forecasts.len());
        Self {
            outcomes: forecasts.len(),
            right,
            mean_confidence: mean(forecasts.iter().map(|f| probability(*f))),
            share,
            brier: mean(forecasts.iter().map(|f| (probability(*f) - f64::from(u8::from(f.right))).powi(2))),
            brier_of_share: share.map(|share| share * (1.0 - share)),
            ece: ece(&bins(forecasts), forecasts.len()),
            auc: auc(forecasts),
        }
    }
}

/// The forecasts in [`BINS`] bins of equal width, empty ones included.
#[must_use]
pub fn bins(forecasts: &[Forecast]) -> Vec<Bin> {
    let width = 100 / BINS;
    (0..BINS)
        .map(|number| {
            let inside = |f: &&Forecast| (usize::from(f.confidence.percent()) / width).min(BINS - 1) == number;
            let within: Vec<Forecast> = forecasts.iter().filter(inside).copied().collect();
            let right = within.iter().filter(|forecast| forecast.right).count();
            let edge = |at: usize| u8::try_from(at * width).unwrap_or(100);
            Bin {
                from: edge(number),
                to: edge(number + 1),
                outcomes: within.len(),
                right,
                mean_confidence: mean(within.iter().map(|f| probability(*f))),
                share: ratio(right, within.len()),
                interval: wilson(right, within.len()),
            }
        })
        .collect()
}

/// 95 % interval of a share (Wilson, Journal of the American Statistical Association 22, 1927); `None` of nothing.
#[must_use]
pub fn wilson(right: usize, of: usize) -> Option<(f64, f64)> {
    const Z: f64 = 1.959_963_984_540_054;
    let share = ratio(right, of)?;
    let n = of as f64;
    let scale = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(((centre - half).max(0.0), (centre + half).min(1.0)))
}

fn ece(bins: &[Bin], outcomes: usize) -> Option<f64> {
    if outcomes == 0 {
        return None;
    }
    let gap = |bin: &Bin| Some((bin.mean_confidence? - bin.share?).abs() * bin.outcomes as f64);
    Some(bins.iter().filter_map(gap).sum::<f64>() / outcomes as f64)
}

/// Counted by percent, so that a million forecasts cost no million comparisons.
fn auc(forecasts: &[Forecast]) -> Option<f64> {
    let mut counts = [(0u64, 0u64); 101];
    for forecast in forecasts {
        let Some((right, wrong)) = counts.get_mut(usize::from(forecast.confidence.percent())) else { continue };
        if forecast.right { *right += 1 } else { *wrong += 1 }
    }
    // Twice the pairs that are won, so that a tie is one.
    let (mut won, mut rights, mut wrongs_below) = (0u64, 0u64, 0u64);
    for (right, wrong) in counts {
        won += right * (2 * wrongs_below + wrong);
        rights += right;
        wrongs_below += wrong;
    }
    let pairs = rights * wrongs_below;
    (pairs > 0).then(|| won as f64 / (2 * pairs) as f64)
}

fn probability(forecast: Forecast) -> f64 {
    f64::from(forecast.confidence.percent()) / 100.0
}

fn ratio(part: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}
