//! Tables for eyes: as wide as the terminal, last columns dropped first and said in the footer, never wrapped.

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid};

/// A table under construction.
pub struct Table {
    headers: Vec<(&'static str, CellAlignment)>,
    rows: Vec<Vec<String>>,
}

/// Width of a terminal that does not say.
const FALLBACK_WIDTH: u16 = 80;

impl Table {
    /// A table with headers; a header that begins with `>` is a column of numbers, aligned right.
    #[must_use]
    pub fn new(headers: &[&'static str]) -> Self {
        let headers = headers
            .iter()
            .map(|header| match header.strip_prefix('>') {
                Some(number) => (number, CellAlignment::Right),
                None => (*header, CellAlignment::Left),
            })
            .collect();
        Self { headers, rows: Vec::new() }
    }

    /// Adds a row; an empty cell is shown as `–`.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.into_iter().map(|cell| if cell.is_empty() { "–".to_owned() } else { cell }).collect());
    }

    /// The lines of the table for a width; `None` is full width (piped). Also the headers that had to go.
    #[must_use]
    pub fn render(&self, width: Option<u16>, headers: bool) -> (Vec<String>, Vec<&'static str>) {
        let mut shown = self.headers.len();
        loop {
            let lines = self.lines(shown, headers);
            let widest = lines.iter().map(|line| console::measure_text_width(line)).max().unwrap_or(0);
            let fits = width.is_none_or(|width| widest <= usize::from(width));
            if fits || shown <= 2 {
                let dropped = self.headers[shown..].iter().map(|(name, _)| *name).filter(|name| !name.is_empty());
                return (lines, dropped.collect());
            }
            shown -= 1;
        }
    }

    fn lines(&self, shown: usize, headers: bool) -> Vec<String> {
        let mut grid = Grid::new();
        grid.load_style(comfy_table::presets::NOTHING);
        grid.set_content_arrangement(ContentArrangement::Disabled);
        if headers {
            grid.set_header(self.headers[..shown].iter().map(|(name, _)| *name));
        }
        for row in &self.rows {
            grid.add_row(row.iter().take(shown));
        }
        for index in 0..shown {
            if let Some(column) = grid.column_mut(index) {
                column.set_cell_alignment(self.headers[index].1);
                column.set_padding((0, 2));
            }
        }
        grid.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// Prints the table on stdout and what was left out on stderr.
    pub fn print(&self, terminal: bool, headers: bool) {
        let width =
            terminal.then(|| console::Term::stdout().size_checked().map_or(FALLBACK_WIDTH, |(_, columns)| columns));
        let (lines, dropped) = self.render(width, headers);
        crate::output::lines(&lines);
        if !dropped.is_empty() {
            eprintln!("(not shown for lack of width: {}; -o wide shows all)", dropped.join(", "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["NAME", ">GPUS", "STATE"]);
        table.row(vec!["r01u05".into(), "8".into(), "In service".into()]);
        table.row(vec!["r01u06".into(), "12".into(), String::new()]);
        table
    }

    #[test]
    fn numbers_stand_right_and_missing_values_are_dashes() {
        let (lines, dropped) = table().render(None, true);
        assert_eq!(lines, ["NAME    GPUS  STATE", "r01u05     8  In service", "r01u06    12  –"]);
        assert!(dropped.is_empty());
    }

    #[test]
    fn the_last_columns_go_first_when_the_terminal_is_narrow() {
        let (lines, dropped) = table().render(Some(15), true);
        assert_eq!(lines[1], "r01u05     8");
        assert_eq!(dropped, ["STATE"]);
    }
}
