//! What ran, and what did not.

use super::super::model::{Incident, Report, Run};
use super::super::words::{action, count, named, number, outcome, short};
use super::{Block, Cell, Column, MOST_ROWS, Section, Table, Tone, left_out};
use crate::audit::RunOutcome;

pub(super) fn runs(report: &Report) -> Section {
    let totals = &report.totals;
    let mut blocks = Vec::new();
    if totals.runs == 0 && report.runs.is_empty() {
        blocks.push(Block::Text("No run ended in the period.".to_owned()));
        return Section { id: "runs", title: "Runs", blocks };
    }
    blocks.push(Block::Text(
        "A run executes one rule once. It counts what matches, erases it in batches with an entry in the log before \
         each, and counts again: what is left under \u{201c}left\u{201d} matched at the beginning and still did at the \
         end. A run counts for the day on which it ended."
            .to_owned(),
    ));
    if totals.runs > 0 {
        blocks.push(Block::Plot);
        blocks.push(Block::Table(by_rule(report)));
    }
    if !report.runs.is_empty() {
        let (listed, others) = report.runs.latest(MOST_ROWS);
        blocks.push(Block::Table(list(listed)));
        blocks.extend(left_out(others));
    }
    if report.quiet_runs > 0 {
        blocks.push(Block::Text(format!(
            "{} besides came to the end and found nothing to erase.",
            count(report.quiet_runs, "run")
        )));
    }
    Section { id: "runs", title: "Runs", blocks }
}

fn by_rule(report: &Report) -> Table {
    let sum = |pick: fn(&super::super::model::RuleTotals) -> u64| Cell::of(number(report.rules.iter().map(pick).sum()));
    let mut rows: Vec<Vec<Cell>> = report
        .rules
        .iter()
        .map(|rule| {
            let not_done = match rule.not_done {
                0 => Cell::of("0"),
                many => Cell::toned(Tone::Attention, number(many)),
            };
            vec![
                Cell::of(named(&rule.rule)),
                Cell::of(number(rule.runs)),
                not_done,
                Cell::of(number(rule.erased)),
                Cell::of(number(rule.children)),
            ]
        })
        .collect();
    rows.push(vec![
        Cell::toned(Tone::Plain, "All rules"),
        sum(|rule| rule.runs),
        sum(|rule| rule.not_done),
        sum(|rule| rule.erased),
        sum(|rule| rule.children),
    ]);
    Table {
        caption: "Runs of the period by rule".to_owned(),
        columns: vec![
            Column::Text("Rule"),
            Column::Number("Runs"),
            Column::Number("Without a good end"),
            Column::Number("Records erased or masked"),
            Column::Number("Dependent rows"),
        ],
        rows,
    }
}

fn list<'a>(runs: impl Iterator<Item = &'a Run>) -> Table {
    Table {
        caption: "Runs that erased something or did not end well, the latest first. Times are UTC.".to_owned(),
        columns: vec![
            Column::Text("Began"),
            Column::Text("Rule"),
            Column::Text("How it ended"),
            Column::Number("Counted"),
            Column::Number("Erased"),
            Column::Number("Dependent rows"),
            Column::Number("Left"),
        ],
        rows: runs.map(run).collect(),
    }
}

fn run(run: &Run) -> Vec<Cell> {
    let tone = if run.outcome == Some(RunOutcome::Done) { Tone::Good } else { Tone::Attention };
    let mut rule = Cell::of(named(&run.rule)).with(action(&run.action));
    rule.notes.extend(run.cutoff.map(|cutoff| format!("Records from before {}", short(cutoff))));
    let left = match run.left {
        None => Cell::of("not known"),
        Some(0) => Cell::of("0"),
        Some(left) => Cell::toned(Tone::Attention, number(left)),
    };
    vec![
        Cell::of(short(run.started)),
        rule,
        Cell::toned(tone, outcome(run.outcome)),
        Cell::of(number(run.counted)),
        Cell::of(number(run.erased)),
        Cell::of(number(run.children)),
        left,
    ]
}

pub(super) fn incidents(report: &Report) -> Section {
    let mut blocks = vec![Block::Text(
        "Every doubt keeps the records and is written down. Here is what was refused before it ran, what ended before \
         its end, and which changes of the configuration were not accepted."
            .to_owned(),
    )];
    if report.incidents.is_empty() {
        blocks.push(Block::Text("Nothing was refused or interrupted in the period.".to_owned()));
    } else {
        let (listed, others) = report.incidents.latest(MOST_ROWS);
        blocks.push(Block::Table(Table {
            caption: "What did not go as planned, the latest first. Times are UTC.".to_owned(),
            columns: vec![
                Column::Text("When"),
                Column::Text("What"),
                Column::Text("Why"),
                Column::Number("Records kept"),
            ],
            rows: listed.map(incident).collect(),
        }));
        blocks.extend(left_out(others));
    }
    Section { id: "incidents", title: "Refused, held and interrupted", blocks }
}

fn incident(incident: &Incident) -> Vec<Cell> {
    let what = match incident.kind {
        "refused" => "Held before it ran",
        "interrupted" => "Run interrupted",
        "stopped" => "Run stopped by an operator",
        "held" => "Run held by a guard",
        "failed" => "Run failed",
        "without-end" => "Run without a recorded end",
        "configuration-rejected" => "Configuration not accepted",
        "log-repaired" => "Log mended",
        other => other,
    };
    let what = Cell::toned(Tone::Attention, what).with_all(incident.rule.iter().map(|rule| named(rule)));
    vec![
        Cell::of(short(incident.time)),
        what,
        Cell::of(incident.text.clone()),
        Cell::of(incident.records.map_or_else(|| "\u{2013}".to_owned(), number)),
    ]
}
