//! Numbers, sizes, times and tables for people. Pure.

use std::time::Duration;

use crate::domain::Month;

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 request`, `2 requests`.
pub fn counted(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", thousands(number))
}

/// `2.9 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1_024.0;
    let mut unit = 0;
    // 1,023.95 would be shown as `1024.0`.
    while value >= 1_023.95 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `0.8s`, `12s`, `4m 10s`, `1h 05m`, `2d 03h`.
pub fn span(duration: Duration) -> String {
    if duration < Duration::from_millis(9_950) {
        return format!("{:.1}s", duration.as_secs_f64());
    }
    let secs = duration.as_secs_f64().round() as u64;
    match (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60, secs % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m {s:02}s"),
        (0, h, m, _) => format!("{h}h {m:02}m"),
        (d, h, _, _) => format!("{d}d {h:02}h"),
    }
}

/// Parts joined by commas on as few lines as they need; the later lines are set in.
pub fn wrapped(parts: &[String], width: usize) -> String {
    let mut text = String::new();
    let mut used = 0;
    for (index, part) in parts.iter().enumerate() {
        let length = part.chars().count();
        if index > 0 {
            // The comma after this part has to fit as well.
            if used + length + 3 > width {
                text.push_str(",\n  ");
                used = 2;
            } else {
                text.push_str(", ");
                used += 2;
            }
        }
        text.push_str(part);
        used += length;
    }
    text
}

/// `2026-03`, or `2025-11 to 2026-03`.
pub fn months(first: Month, last: Month) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

/// Which side of its column a cell stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells, as wide as the widest of each column.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Row>,
}

#[derive(Debug, Clone)]
enum Row {
    Cells(Vec<String>),
    /// Stands above the rows that follow and counts for no column.
    Heading(String),
}

impl Table {
    /// A table with these columns and no row.
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; it has one cell for each column.
    pub fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(Row::Cells(row));
    }

    /// Adds a line of its own, above the rows that come next, which are then set in.
    pub fn heading(&mut self, text: String) {
        self.rows.push(Row::Heading(text));
    }

    /// Takes away columns, from the first named to the last, until everything fits into `width`.
    pub fn fit(&mut self, width: usize, leave_out: &[&str]) {
        for name in leave_out {
            if self.lines().iter().all(|line| line.chars().count() <= width) {
                return;
            }
            self.leave_out(name);
        }
    }

    /// Takes a column away if nothing in it says anything: every cell is `-` or `0`.
    pub fn leave_out_if_empty(&mut self, name: &str) {
        let Some(index) = self.columns.iter().position(|(head, _)| *head == name) else { return };
        if self.cells().all(|row| row[index] == "-" || row[index] == "0") {
            self.leave_out(name);
        }
    }

    fn leave_out(&mut self, name: &str) {
        let Some(index) = self.columns.iter().position(|(head, _)| *head == name) else { return };
        self.columns.remove(index);
        for row in &mut self.rows {
            if let Row::Cells(cells) = row {
                cells.remove(index);
            }
        }
    }

    fn cells(&self) -> impl Iterator<Item = &Vec<String>> {
        self.rows.iter().filter_map(|row| match row {
            Row::Cells(cells) => Some(cells),
            Row::Heading(_) => None,
        })
    }

    /// Tells whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, without spaces at their ends. Without any row there is no head either.
    pub fn lines(&self) -> Vec<String> {
        let width = |index: usize| {
            let cells = self.cells().map(|row| row[index].chars().count());
            cells.chain([self.columns[index].0.chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let has_headings = self.rows.iter().any(|row| matches!(row, Row::Heading(_)));
        let indent = if has_headings { "  " } else { "" };
        let line = |cells: &Vec<String>| format!("{indent}{}", self.line(cells, &widths));
        let head = self.cells().next().map(|_| line(&heads));
        let body = self.rows.iter().map(|row| match row {
            Row::Cells(cells) => line(cells),
            Row::Heading(text) => text.clone(),
        });
        head.into_iter().chain(body).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), (_, align)) in row.iter().zip(widths).zip(&self.columns) {
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            match align {
                Align::Left => line.extend([cell.as_str(), &pad]),
                Align::Right => line.extend([pad.as_str(), cell]),
            }
            line.push_str("  ");
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let shown: Vec<_> = [0, 12, 123, 1_234, 123_456, 1_234_567].map(thousands).to_vec();
        assert_eq!(shown, ["0", "12", "123", "1,234", "123,456", "1,234,567"]);
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(1_000, "row"), "1,000 rows");
    }

    #[test]
    fn sizes() {
        let shown: Vec<_> = [0, 1_023, 1_024, 1_048_575, 3_040_871, 1 << 31].map(size).to_vec();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "2.9 MiB", "2.0 GiB"]);
    }

    #[test]
    fn spans() {
        let check = |millis, expected| assert_eq!(span(Duration::from_millis(millis)), expected);
        check(0, "0.0s");
        check(840, "0.8s");
        check(9_960, "10s");
        check(59_600, "1m 00s");
        check(250_000, "4m 10s");
        check(3_900_000, "1h 05m");
        check(183_600_000, "2d 03h");
    }

    #[test]
    fn tables_align() {
        let mut table =
            Table::new(&[("month", Align::Left), ("rows", Align::Right), ("x", Align::Left)]);
        table.push(vec!["2026-03".into(), "1,234".into(), String::new()]);
        table.push(vec!["-".into(), "1".into(), "y".into()]);
        assert_eq!(table.lines(), ["month     rows  x", "2026-03  1,234", "-            1  y"]);
    }

    #[test]
    fn tables_give_up_columns_until_they_fit() {
        let mut table =
            Table::new(&[("month", Align::Left), ("rows", Align::Right), ("gaps", Align::Right)]);
        table.heading("R_100 ticks: all".into());
        table.push(vec!["2026-03".into(), "1,234".into(), "-".into()]);
        let mut small = table.clone();
        small.fit(16, &["gaps", "rows"]);
        assert_eq!(small.lines(), ["  month     rows", "R_100 ticks: all", "  2026-03  1,234"]);
        table.leave_out_if_empty("gaps");
        table.leave_out_if_empty("rows");
        assert_eq!(table.lines(), small.lines());
    }

    #[test]
    fn parts_are_wrapped_between_them() {
        let parts = ["one", "two", "three"].map(String::from);
        assert_eq!(wrapped(&parts, 80), "one, two, three");
        assert_eq!(wrapped(&parts, 10), "one, two,\n  three");
        assert_eq!(wrapped(&parts[..1], 2), "one");
    }
}
