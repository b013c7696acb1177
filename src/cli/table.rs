//! Tables: aligned columns where they fit, one block for each row where the terminal is too narrow.
//!
//! A rule's name or a plan token that is broken across lines can be neither read nor copied. Only prose is broken, and
//! only in the last column; where that is not enough, rows become blocks.

use anstyle::Style;
use comfy_table::{Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

/// Spaces between columns.
const GAP: u16 = 2;

/// What stands before each cell of a block.
const BLOCK_GAP: &str = "   ";

/// A last column narrower than this is not worth reading.
const NARROWEST_PROSE: u16 = 24;

/// Where a table is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    /// Columns as wide as they need to be, nothing emphasised.
    Pipe,
    /// At most so many columns wide.
    Terminal(u16),
}

/// How the rows are laid out.
#[derive(Debug, PartialEq, Eq)]
enum Layout {
    Natural,
    LastColumnWrapped(u16),
    Blocks(u16),
}

/// The table's lines.
pub(super) fn render(header: &[&str], rows: &[Vec<String>], medium: Medium) -> Vec<String> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|name| heading(name, medium)));
    table.add_rows(rows);
    for (position, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, GAP));
        if is_numeric(rows, position) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    match layout(&table, rows, medium) {
        Layout::Natural => {}
        Layout::LastColumnWrapped(width) => wrap_last(&mut table, header.len(), width),
        Layout::Blocks(width) => return blocks(header, rows, width.into()),
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn heading(name: &str, medium: Medium) -> Cell {
    match medium {
        Medium::Pipe => Cell::new(name),
        Medium::Terminal(_) => Cell::new(name).add_attribute(Attribute::Bold),
    }
}

fn layout(table: &Table, rows: &[Vec<String>], medium: Medium) -> Layout {
    let Medium::Terminal(width) = medium else { return Layout::Natural };
    let widths = table.column_max_content_widths();
    let Some((last, others)) = widths.split_last() else { return Layout::Natural };
    let before_last = others.iter().fold(0_u16, |sum, column| sum.saturating_add(*column).saturating_add(GAP));
    if before_last.saturating_add(*last) <= width {
        return Layout::Natural;
    }
    let is_prose = rows.iter().filter_map(|row| row.last()).any(|cell| cell.contains(' '));
    if is_prose && before_last.saturating_add(NARROWEST_PROSE) <= width {
        Layout::LastColumnWrapped(width)
    } else {
        Layout::Blocks(width)
    }
}

fn wrap_last(table: &mut Table, columns: usize, width: u16) {
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    for position in 0..columns.saturating_sub(1) {
        if let Some(column) = table.column_mut(position) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    if let Some(last) = table.column_mut(columns.saturating_sub(1)) {
        last.set_padding((0, 0));
    }
}

/// Each row on its own: the first cell, and below it the others with their names, as many on a line as fit whole.
fn blocks(header: &[&str], rows: &[Vec<String>], width: usize) -> Vec<String> {
    let (bold, dimmed) = (Style::new().bold(), Style::new().dimmed());
    let mut lines = Vec::new();
    for row in rows {
        lines.extend(row.first().map(|first| format!("{bold}{first}{bold:#}")));
        let (mut line, mut used) = (String::new(), 0);
        for (name, cell) in header.iter().zip(row).skip(1) {
            let long = BLOCK_GAP.len() + name.chars().count() + 1 + cell.chars().count();
            if used > 0 && used + long > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push_str(&format!("{BLOCK_GAP}{dimmed}{name}{dimmed:#} {cell}"));
            used += long;
        }
        lines.push(line);
    }
    lines
}

/// Whether a column holds counts: these are aligned by their last digit.
fn is_numeric(rows: &[Vec<String>], position: usize) -> bool {
    let is_count = |cell: &str| !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit() || c == ',');
    let cells = || rows.iter().filter_map(|row| row.get(position)).map(String::as_str);
    cells().any(is_count) && cells().all(|cell| is_count(cell) || is_blank(cell))
}

/// What stands for a count that is not known or does not apply.
fn is_blank(cell: &str) -> bool {
    matches!(cell, "-" | "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        vec![row(["shop/visitors", "1,055", "kept for six months"]), row(["shop/ip", "7", "not stored"])]
    }

    const HEADER: [&str; 3] = ["RULE", "MATCHES", "BECAUSE"];

    #[test]
    fn a_pipe_gets_columns_as_wide_as_they_need_to_be_and_no_emphasis() {
        let lines = render(&HEADER, &rows(), Medium::Pipe);
        assert_eq!(
            lines,
            [
                "RULE           MATCHES  BECAUSE",
                "shop/visitors    1,055  kept for six months",
                "shop/ip              7  not stored",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_breaks_prose_in_the_last_column_only() {
        let mut rows = rows();
        rows[0][2] = "kept for six months and not a day longer".to_owned();
        let lines = render(&HEADER, &rows, Medium::Terminal(50));
        assert!(lines.iter().any(|line| line.starts_with("shop/visitors    1,055  kept for six months")), "{lines:?}");
        assert!(lines.len() > 3, "{lines:?}");
    }

    #[test]
    fn a_terminal_too_narrow_for_that_gets_a_block_for_each_row() {
        let lines = render(&HEADER, &rows(), Medium::Terminal(34));
        let plain: Vec<String> = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        let block = ["shop/visitors", "   MATCHES 1,055", "   BECAUSE kept for six months"];
        assert_eq!(plain[..3], block);
        assert_eq!(plain[3..], ["shop/ip", "   MATCHES 7   BECAUSE not stored"]);
    }

    #[test]
    fn dates_and_nothing_at_all_are_not_taken_for_counts() {
        let column = |cells: &[&str]| cells.iter().map(|cell| vec![(*cell).to_owned()]).collect::<Vec<_>>();
        assert!(!is_numeric(&column(&["2027-12-31", "-"]), 0));
        assert!(!is_numeric(&column(&["-", "-"]), 0));
        assert!(is_numeric(&column(&["1,055", "-", "?"]), 0));
    }
}
