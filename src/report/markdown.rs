//! The same text as Markdown, for a wiki, a ticket or a mail.

use super::document::{Block, Cell, Column, Section, Table, Tone};
use super::model::Report;
use super::words::{self, count};
use crate::visible::visible;

pub(super) fn render(report: &Report, sections: &[Section]) -> String {
    let period = &report.period;
    let whom = report.site.as_deref().map_or_else(String::new, |site| format!(" on {}", prose(site)));
    let mut text = format!(
        "# Erasure of visitor records{whom}\n\nReport for the data protection officer: {} to {} (days of {}).\n",
        words::date(period.from),
        words::date(period.to),
        prose(&period.zone)
    );
    if let Some(controller) = &report.controller {
        text.push_str(&format!("Controller: {}.\n", prose(controller)));
    }
    for section in sections {
        text.push_str(&format!("\n## {}\n", section.title));
        section.blocks.iter().for_each(|item| block(&mut text, report, item));
    }
    let written = words::utc(report.written);
    text.push_str(&format!("\n---\n\nWritten by forgetd {} on {written}.\n", report.program));
    text
}

fn block(text: &mut String, report: &Report, block: &Block) {
    text.push('\n');
    match block {
        Block::Text(sentences) => text.push_str(&format!("{}\n", prose(sentences))),
        Block::Heading(title) => text.push_str(&format!("### {}\n", prose(title))),
        Block::Notice(tone, sentences) => {
            let mark = match tone {
                Tone::Plain => "",
                Tone::Good => "**Good.** ",
                Tone::Attention => "**Attention.** ",
                Tone::Bad => "**Wrong.** ",
            };
            text.push_str(&format!("> {mark}{}\n", prose(sentences)));
        }
        Block::Figures(figures) => {
            figures.iter().for_each(|figure| text.push_str(&format!("* {} {}\n", figure.value, figure.label)));
        }
        Block::Table(item) => table(text, item),
        Block::List(items) => items.iter().for_each(|item| text.push_str(&format!("* {}\n", prose(item)))),
        Block::Plot => plot(text, report),
        // Indented, since no line of it can end that.
        Block::Lines(what, lines) => {
            text.push_str(&format!("{what}:\n\n"));
            lines.split('\n').for_each(|line| text.push_str(&format!("    {}\n", visible(line))));
        }
    }
}

fn plot(text: &mut String, report: &Report) {
    let timeline = &report.timeline;
    text.push_str(&format!("Records erased or masked, by {}:\n\n", timeline.unit.key()));
    for (first, bar) in timeline.bars.iter().filter(|(_, bar)| bar.runs > 0) {
        text.push_str(&format!("* {first}: {} in {}\n", count(bar.erased, "record"), count(bar.runs, "run")));
    }
}

fn table(text: &mut String, table: &Table) {
    text.push_str(&format!("{}\n\n", prose(&table.caption)));
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    text.push_str(&row(table.columns.iter().map(|column| column.title().to_owned()).collect()));
    let rule = |column: &Column| match column {
        Column::Text(_) => "---".to_owned(),
        Column::Number(_) => "---:".to_owned(),
    };
    text.push_str(&row(table.columns.iter().map(rule).collect()));
    for cells in &table.rows {
        text.push_str(&row(cells.iter().map(cell).collect()));
    }
}

fn cell(cell: &Cell) -> String {
    let main = Some(&cell.main).filter(|main| !main.is_empty());
    main.into_iter().chain(&cell.notes).map(|line| prose(line)).collect::<Vec<_>>().join("<br>")
}

/// Names between backticks stay so; whatever else means something in Markdown or HTML does not.
fn prose(text: &str) -> String {
    let text = visible(text);
    let parts: Vec<&str> = text.split('`').collect();
    let mut told = String::with_capacity(text.len());
    for (position, part) in parts.iter().enumerate() {
        // A backtick without its other half is none.
        let is_name = position % 2 == 1 && position + 1 < parts.len();
        if is_name && !part.is_empty() {
            told.push_str(&format!("`{}`", part.replace('|', "\\|")));
        } else {
            escape(part, &mut told);
        }
    }
    told
}

/// Text in which nothing means anything to Markdown or HTML.
pub(crate) fn escape(text: &str, told: &mut String) {
    for character in text.chars() {
        match character {
            '&' => told.push_str("&amp;"),
            '<' => told.push_str("&lt;"),
            '>' => told.push_str("&gt;"),
            '\\' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' => told.extend(['\\', character]),
            other => told.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup_but_the_names() {
        assert_eq!(prose("`a|b` <script>[x](y) *z*"), "`a\\|b` &lt;script&gt;\\[x\\](y) \\*z\\*");
        assert_eq!(prose("one ` alone\n"), "one  alone⟨U+000A⟩");
    }
}
