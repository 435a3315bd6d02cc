//! The reliability curve as a picture: one SVG file that needs nothing else, light or dark as its reader's screen is.

use std::fmt::Write as _;

use super::words::{figure, percent};
use super::{Bin, Calibration, Figures};
use crate::model::Thresholds;

/// Size of the picture.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 690.0;
/// The square that the curve is drawn in.
const LEFT: f64 = 84.0;
const TOP: f64 = 104.0;
const SIDE: f64 = 420.0;
/// The bars beneath it.
const BARS_TOP: f64 = 574.0;
const BARS: f64 = 64.0;
/// The figures at its right.
const PANEL: f64 = 560.0;
const PANEL_WIDTH: f64 = WIDTH - PANEL - 36.0;
/// Rows of each table of sources, rules and repositories: those with most outcomes.
const ROWS: usize = 3;
/// Characters of a name in that table.
const NAME: usize = 21;

const STYLE: &str = "\
.page{fill:#ffffff}.ink{fill:#1b2430}.soft{fill:#5d6b7a}.warn{fill:#a15c00}\
.grid{stroke:#e3e8ee;stroke-width:1}.frame{fill:none;stroke:#b8c2cc;stroke-width:1}\
.ideal{stroke:#8794a2;stroke-width:1.5;stroke-dasharray:5 5}\
.draft{fill:#f3b13f;opacity:.13}.open{fill:#2f9e6e;opacity:.14}\
.curve{fill:none;stroke:#2563c9;stroke-width:2.5;stroke-linejoin:round}\
.whisker{stroke:#2563c9;stroke-width:1.5;opacity:.45}.dot{fill:#2563c9;stroke:#ffffff;stroke-width:2}\
.thin{fill:#ffffff;stroke:#2563c9;stroke-width:2}.yes{fill:#2f9e6e}.no{fill:#d6604d}.card{fill:#f5f7fa}\
text{font-family:ui-sans-serif,system-ui,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:13px}\
.title{font-size:21px;font-weight:650}.big{font-size:25px;font-weight:650}.small{font-size:11.5px}\
.end{text-anchor:end}.middle{text-anchor:middle}\
@media(prefers-color-scheme:dark){.page{fill:#12171e}.ink{fill:#e8edf3}.soft{fill:#98a6b5}.warn{fill:#f0b45c}\
.grid{stroke:#232c37}.frame{stroke:#3c4958}.card{fill:#1a222c}.curve,.whisker{stroke:#6ea0f5}\
.dot{fill:#6ea0f5;stroke:#12171e}.thin{fill:#12171e;stroke:#6ea0f5}}";

/// The picture, as a whole file. `thresholds` are shown as bands.
#[must_use]
pub fn picture(calibration: &Calibration, thresholds: Thresholds) -> String {
    let mut svg = Svg(String::new());
    svg.head(calibration);
    svg.plane(thresholds);
    svg.curve(&calibration.bins);
    svg.bars(&calibration.bins);
    svg.panel(calibration);
    svg.0.push_str("</svg>\n");
    svg.0
}

struct Svg(String);

impl Svg {
    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing into memory cannot fail.
        let _ = self.0.write_fmt(element);
        self.0.push('\n');
    }

    fn text(&mut self, (x, y): (f64, f64), class: &str, text: &str) {
        self.add(format_args!(r#"<text x="{x:.1}" y="{y:.1}" class="{class}">{}</text>"#, escaped(text)));
    }

    fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        self.add(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" class="{class}"/>"#
        ));
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        self.add(format_args!(r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}"/>"#));
    }

    fn head(&mut self, calibration: &Calibration) {
        let Figures { outcomes, right, .. } = calibration.all;
        self.add(format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">"#
        ));
        self.add(format_args!("<title>Reliability of confidences, {outcomes} outcomes</title>"));
        self.add(format_args!("<style>{STYLE}</style>"));
        self.rect((0.0, 0.0), (WIDTH, HEIGHT), "page");
        self.text((36.0, 44.0), "title ink", "How far the confidences can be believed");
        let judged = format!("{right} of {outcomes} judged proposals were merged");
        self.text((36.0, 68.0), "soft", &judged);
        if !calibration.sound {
            let few = format!("fewer than {} outcomes: the figures are mostly chance", calibration.enough);
            self.text((36.0, 88.0), "warn", &few);
        }
    }

    fn plane(&mut self, thresholds: Thresholds) {
        let (draft, open) =
            (f64::from(thresholds.draft.percent()) / 100.0, f64::from(thresholds.open.percent()) / 100.0);
        for (from, to, class, name) in [(draft, open, "draft", "draft"), (open, 1.0, "open", "pull request")] {
            let (left, right) = (x(from), x(to));
            if right - left > 1.0 {
                self.rect((left, TOP), (right - left, SIDE), class);
                if right - left > 50.0 {
                    self.text(((left + right) / 2.0, TOP + SIDE - 9.0), "small soft middle", name);
                }
            }
        }
        for step in 0..=5 {
            let at = f64::from(step) / 5.0;
            self.line((x(at), TOP), (x(at), TOP + SIDE), "grid");
            self.line((LEFT, y(at)), (LEFT + SIDE, y(at)), "grid");
            let label = format!("{} %", step * 20);
            self.text((x(at), TOP + SIDE + 18.0), "small soft middle", &label);
            self.text((LEFT - 9.0, y(at) + 4.0), "small soft end", &label);
        }
        self.rect((LEFT, TOP), (SIDE, SIDE), "frame");
        self.line((x(0.0), y(0.0)), (x(1.0), y(1.0)), "ideal");
        self.text((LEFT + SIDE / 2.0, TOP + SIDE + 38.0), "soft middle", "confidence that was given");
        let (at_x, at_y) = (28.0, TOP + SIDE / 2.0);
        self.add(format_args!(
            r#"<text x="{at_x}" y="{at_y}" class="soft middle" transform="rotate(-90 {at_x} {at_y})">share that people merged</text>"#
        ));
    }

    fn curve(&mut self, bins: &[Bin]) {
        let points: Vec<(&Bin, f64, f64)> =
            bins.iter().filter_map(|bin| Some((bin, x(bin.mean_confidence?), y(bin.share?)))).collect();
        for (bin, at, _) in &points {
            let Some((low, high)) = bin.interval else { continue };
            self.line((*at, y(low)), (*at, y(high)), "whisker");
        }
        let path: Vec<String> = points.iter().map(|(_, x, y)| format!("{x:.1},{y:.1}")).collect();
        if path.len() > 1 {
            self.add(format_args!(r#"<polyline points="{}" class="curve"/>"#, path.join(" ")));
        }
        let most = bins.iter().map(|bin| bin.outcomes).max().unwrap_or(0).max(1) as f64;
        for (bin, at_x, at_y) in points {
            let class = if bin.outcomes < super::words::FEW_IN_BIN { "thin" } else { "dot" };
            let radius = 5.0 + 6.0 * (bin.outcomes as f64 / most).sqrt();
            let told = format!("confidence {} to {}: {} of {} merged", bin.from, bin.to, bin.right, bin.outcomes);
            self.add(format_args!(
                r#"<circle cx="{at_x:.1}" cy="{at_y:.1}" r="{radius:.1}" class="{class}"><title>{told}</title></circle>"#
            ));
        }
    }

    fn bars(&mut self, bins: &[Bin]) {
        let most = bins.iter().map(|bin| bin.outcomes).max().unwrap_or(0).max(1) as f64;
        let width = SIDE / bins.len().max(1) as f64;
        for (number, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.outcomes > 0) {
            let left = LEFT + width * number as f64 + 3.0;
            let high = |count: usize| count as f64 / most * BARS;
            let (right, wrong) = (high(bin.right), high(bin.outcomes - bin.right));
            let floor = BARS_TOP + BARS;
            self.rect((left, floor - right), (width - 6.0, right), "yes");
            self.rect((left, floor - right - wrong), (width - 6.0, wrong), "no");
            let count = bin.outcomes.to_string();
            self.text((left + width / 2.0 - 3.0, floor - right - wrong - 5.0), "small soft middle", &count);
        }
        self.line((LEFT, BARS_TOP + BARS), (LEFT + SIDE, BARS_TOP + BARS), "ideal");
        let legend = BARS_TOP + BARS + 24.0;
        for (at, class, name) in [(0.0, "yes", "merged"), (90.0, "no", "closed or reverted")] {
            self.rect((LEFT + at, legend - 10.0), (11.0, 11.0), class);
            self.text((LEFT + at + 17.0, legend), "small soft", name);
        }
    }

    fn panel(&mut self, calibration: &Calibration) {
        let Figures { brier, ece, auc, brier_of_share, .. } = calibration.all;
        let told = [
            ("Brier score", brier, format!("0 is perfect; the average gives {}", figure(brier_of_share))),
            ("Calibration error", ece, "0 is perfect; 10 bins of equal width".to_owned()),
            ("AUC", auc, "1 tells right from wrong, 0.5 cannot".to_owned()),
        ];
        let mut top = TOP;
        for (name, value, means) in told {
            self.rect((PANEL, top), (PANEL_WIDTH, 74.0), "card");
            self.text((PANEL + 14.0, top + 22.0), "soft", name);
            self.text((PANEL + PANEL_WIDTH - 14.0, top + 32.0), "big ink end", &figure(value));
            self.text((PANEL + 14.0, top + 60.0), "small soft", &means);
            top += 84.0;
        }
        top += 20.0;
        let Calibration { by_source, by_rule, by_repository, .. } = calibration;
        for (name, group) in [("by source", by_source), ("by rule", by_rule), ("by repository", by_repository)] {
            self.text((PANEL, top), "soft", name);
            for (at, head) in [(72.0, "outcomes"), (0.0, "merged")] {
                self.text((PANEL + PANEL_WIDTH - at, top), "small soft end", head);
            }
            let mut rows: Vec<(&String, &Figures)> = group.iter().collect();
            rows.sort_by_key(|(name, of)| (std::cmp::Reverse(of.outcomes), (*name).clone()));
            for (name, of) in rows.iter().take(ROWS) {
                top += 21.0;
                self.text((PANEL, top), "ink", &cut(name));
                self.text((PANEL + PANEL_WIDTH - 72.0, top), "ink end", &of.outcomes.to_string());
                self.text((PANEL + PANEL_WIDTH, top), "ink end", &percent(of.share));
            }
            top += 36.0;
        }
    }
}

fn x(share: f64) -> f64 {
    LEFT + share.clamp(0.0, 1.0) * SIDE
}

fn y(share: f64) -> f64 {
    TOP + (1.0 - share.clamp(0.0, 1.0)) * SIDE
}

/// The end of a name tells more than its beginning.
fn cut(name: &str) -> String {
    let length = name.chars().count();
    if length <= NAME {
        return name.to_owned();
    }
    std::iter::once('…').chain(name.chars().skip(length + 1 - NAME)).collect()
}

/// Text from elsewhere as XML 1.0 takes it.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in crate::report::line::plain(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}
