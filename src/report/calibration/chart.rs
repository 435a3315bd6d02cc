//! The reliability curve on a terminal.

use super::Bin;
use crate::report::line::{Line, Tone};

/// Columns and rows of the plane. A character is about twice as high as wide, so this is a square.
const COLUMNS: usize = 50;
const ROWS: usize = 20;
/// Rows between two labels of the left scale.
const LABELLED: usize = 5;

/// The curve with its diagonal: a mark for each bin that has outcomes, at its mean confidence and share. Marks on the diagonal are
/// perfect, above it too modest, below it too sure. Bins with few outcomes, by `few`, have a hollow mark.
#[must_use]
pub fn lines(bins: &[Bin], few: usize) -> Vec<Line> {
    let mut plane = vec![vec![' '; COLUMNS + 1]; ROWS + 1];
    for column in 0..=COLUMNS {
        put(&mut plane, (column as f64 / COLUMNS as f64, column as f64 / COLUMNS as f64), '·');
    }
    for bin in bins {
        let (Some(x), Some(share), Some((low, high))) = (bin.mean_confidence, bin.share, bin.interval) else {
            continue;
        };
        for step in 0..=ROWS {
            let y = step as f64 / ROWS as f64;
            if low <= y && y <= high {
                put(&mut plane, (x, y), '│');
            }
        }
        put(&mut plane, (x, share), if bin.outcomes < few { '○' } else { '●' });
    }
    let mut lines = vec![Line::new(0, "share that people merged").toned(Tone::Quiet)];
    for (number, row) in plane.iter().enumerate() {
        let up = ROWS - number;
        let label =
            if up.is_multiple_of(LABELLED) { format!("{:>4} ┤", up * 100 / ROWS) } else { "     │".to_owned() };
        lines.push(Line::new(0, format!("{label}{}", row.iter().collect::<String>()).trim_end()));
    }
    lines.push(Line::new(0, &format!("     └┬{}", "─────────┬".repeat(COLUMNS / 10))));
    let labels: String = (1..=COLUMNS / 10).map(|n| format!("{:>10}", n * 1000 / COLUMNS)).collect();
    lines.push(Line::new(0, &format!("      0{labels}  confidence")));
    lines
}

/// Puts a mark at a place between 0 and 1.
fn put(plane: &mut [Vec<char>], (x, y): (f64, f64), mark: char) {
    let at = |value: f64, of: usize| (value.clamp(0.0, 1.0) * of as f64).round() as usize;
    let row = plane.get_mut(ROWS - at(y, ROWS));
    if let Some(cell) = row.and_then(|row| row.get_mut(at(x, COLUMNS))) {
        *cell = mark;
    }
}
