//! The text of the report, once for every form that people read: sections of sentences, tables and figures.
//!
//! A lawyer reads it, and perhaps a court: whole sentences, no abbreviation that is not explained, and every section
//! says what it rests on. Words between backticks are names as the configuration has them.

mod activity;
mod drift;
mod evidence;
mod standing;
mod summary;

use super::model::Report;

/// One section.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) blocks: Vec<Block>,
}

/// What a section consists of.
#[derive(Debug)]
pub(super) enum Block {
    Text(String),
    Heading(String),
    Notice(Tone, String),
    Figures(Vec<Figure>),
    Table(Table),
    List(Vec<String>),
    /// The report's timeline.
    Plot,
    /// Lines to be copied, and what they are.
    Lines(String, String),
}

/// What a word or a cell should look like; never the only thing that says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Attention,
    Bad,
}

/// A number and what it counts.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) tone: Tone,
    pub(super) value: String,
    pub(super) label: String,
}

/// A table; the first cell of a row is its heading.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Cell>>,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    Text(&'static str),
    Number(&'static str),
}

impl Column {
    pub(super) fn title(self) -> &'static str {
        match self {
            Column::Text(title) | Column::Number(title) => title,
        }
    }
}

/// A cell: one line or several, the first of them the answer and the others what is to be known about it.
#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) tone: Option<Tone>,
    pub(super) main: String,
    pub(super) notes: Vec<String>,
}

impl Cell {
    fn of(main: impl Into<String>) -> Cell {
        Cell { tone: None, main: main.into(), notes: Vec::new() }
    }

    fn toned(tone: Tone, main: impl Into<String>) -> Cell {
        Cell { tone: Some(tone), ..Cell::of(main) }
    }

    fn with(mut self, note: impl Into<String>) -> Cell {
        self.notes.push(note.into());
        self
    }

    fn with_all(mut self, notes: impl IntoIterator<Item = String>) -> Cell {
        self.notes.extend(notes);
        self
    }
}

/// Most rows of a table in a text for people; what is beyond is in the CSV and JSON forms.
const MOST_ROWS: usize = 200;

/// The whole report.
pub(super) fn of(report: &Report) -> Vec<Section> {
    vec![
        summary::section(report),
        standing::section(report),
        drift::section(report),
        activity::runs(report),
        activity::incidents(report),
        evidence::decisions(report),
        evidence::changes(report),
        evidence::pending(report),
        evidence::log(report),
        evidence::limits(report),
    ]
}

/// What a table leaves out.
fn left_out(others: u64) -> Option<Block> {
    (others > 0).then(|| {
        Block::Text(format!(
            "{} earlier ones are left out here. `--format csv` lists every run; the log has everything.",
            super::words::number(others)
        ))
    })
}
