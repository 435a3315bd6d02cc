//! Tables: for a terminal in columns, for other programs as CSV.

use super::line::{Line, Tone, plain};

/// Columns stand apart by this much.
const GAP: usize = 2;
/// A cell is cut to this many characters on a terminal; the last column is not.
const CELL: usize = 60;

/// Rows under headings. Cells are text from anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<(Option<Tone>, Vec<String>)>,
}

impl Table {
    #[must_use]
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, tone: Option<Tone>, cells: Vec<String>) {
        self.rows.push((tone, cells));
    }

    /// In columns; numbers stand at the right of theirs.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let last = self.headings.len().saturating_sub(1);
        let shown: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|(_, row)| row.iter().enumerate().map(|(at, cell)| shown(cell, at == last)).collect())
            .collect();
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| {
                let cells = shown.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
                let heading = self.headings.get(column).map_or(0, |heading| heading.chars().count());
                cells.max().unwrap_or(0).max(heading)
            })
            .collect();
        let numeric: Vec<bool> = (0..self.headings.len())
            .map(|column| shown.iter().filter_map(|row| row.get(column)).all(|cell| is_number(cell)))
            .collect();
        let headings: Vec<String> = self.headings.iter().map(|&heading| heading.to_owned()).collect();
        let mut lines = vec![Line::new(0, &join(&headings, &widths, &numeric)).toned(Tone::Quiet)];
        for ((tone, _), row) in self.rows.iter().zip(&shown) {
            lines.push(Line { tone: *tone, ..Line::new(0, &join(row, &widths, &numeric)) });
        }
        lines
    }

    /// As CSV (RFC 4180), headings first. A cell that a spreadsheet would take for a formula begins with an apostrophe.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        // Writing into memory cannot fail, and every row has its headings' length.
        let _ = writer.write_record(&self.headings);
        for (_, row) in &self.rows {
            let cells = (0..self.headings.len()).map(|column| row.get(column).map_or("", String::as_str));
            let _ = writer.write_record(cells.map(unformulated));
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }
}

fn shown(cell: &str, whole: bool) -> String {
    let text = plain(cell);
    if whole || text.chars().count() <= CELL {
        return text;
    }
    // The end of a path tells more than its beginning.
    let skip = text.chars().count() - (CELL - 1);
    std::iter::once('…').chain(text.chars().skip(skip)).collect()
}

fn is_number(cell: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '–' | '%');
    cell.chars().all(digit) || cell.strip_suffix(" s").is_some_and(|rest| rest.chars().all(digit))
}

fn join(cells: &[String], widths: &[usize], numeric: &[bool]) -> String {
    let mut line = String::new();
    for ((cell, width), numeric) in cells.iter().zip(widths).zip(numeric) {
        if !line.is_empty() {
            line.push_str(&" ".repeat(GAP));
        }
        let free = " ".repeat(width.saturating_sub(cell.chars().count()));
        if *numeric {
            line.push_str(&free);
            line.push_str(cell);
        } else {
            line.push_str(cell);
            line.push_str(&free);
        }
    }
    line.trim_end().to_owned()
}

fn unformulated(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
    if formula { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["path", "n", "what"]);
        table.row(None, vec!["a.py".to_owned(), "7".to_owned(), "one".to_owned()]);
        table.row(Some(Tone::Bad), vec!["=cmd|calc".to_owned(), "120".to_owned(), "two \"quoted\", cut\n".to_owned()]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_cells_and_numbers_stand_right() {
        let text: Vec<String> = table().lines().into_iter().map(|line| line.text).collect();
        assert_eq!(text, ["path         n  what", "a.py         7  one", "=cmd|calc  120  two \"quoted\", cut"]);
    }

    #[test]
    fn csv_quotes_and_disarms() {
        assert_eq!(table().csv(), "path,n,what\na.py,7,one\n'=cmd|calc,120,\"two \"\"quoted\"\", cut\n\"\n");
    }

    #[test]
    fn a_long_cell_keeps_its_end() {
        let mut table = Table::new(&["path", "what"]);
        table.row(None, vec![format!("{}/end.py", "d".repeat(100)), "x".repeat(100)]);
        let line = &table.lines()[1].text;
        assert!(line.starts_with('…') && line.contains("/end.py  xxx"), "{line}");
        assert!(line.ends_with(&"x".repeat(100)));
    }
}
