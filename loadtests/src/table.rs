//! Tables for people: columns as wide as their widest cell, figures to the right, words to the left. Pure.

use std::fmt::{self, Write as _};

/// Header and rows of as many cells each.
pub(crate) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table with a header only.
    pub(crate) fn new(header: [&str; COLUMNS]) -> Self {
        Self { rows: vec![header.map(str::to_owned)] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells);
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; COLUMNS] = std::array::from_fn(width);
        let is_figure: [bool; COLUMNS] =
            std::array::from_fn(|column| self.rows.iter().any(|row| is_figure(&row[column])));
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::from(" ");
            for column in 0..COLUMNS {
                let (cell, width) = (&row[column], widths[column]);
                if is_figure[column] {
                    write!(line, " {cell:>width$} ")?;
                } else {
                    write!(line, " {cell:<width$} ")?;
                }
            }
            writeln!(f, "{}", line.trim_end())?;
            if number == 0 {
                writeln!(f, "  {}", "-".repeat(widths.iter().map(|width| width + 2).sum::<usize>().saturating_sub(2)))?;
            }
        }
        Ok(())
    }
}

fn is_figure(cell: &str) -> bool {
    cell.trim_start_matches(['+', '-']).starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn figures_stand_to_the_right_and_words_to_the_left() {
        let mut table = Table::new(["program", "ns"]);
        table.row(["empty".into(), "7".into()]);
        table.row(["sched_switch".into(), "-123.5".into()]);
        let text = "  program           ns\n  --------------------\n  empty              7\n  sched_switch  -123.5\n";
        assert_eq!(table.to_string(), text);
    }
}
