//! Declared, enforced, observed: what the daily comparison found.

use super::super::model::{Comparison, DriftFinding, Report};
use super::super::words::{count, named, number, sentence, short, utc};
use super::{Block, Cell, Column, MOST_ROWS, Section, Table, Tone};

pub(super) fn section(report: &Report) -> Section {
    let mut blocks = vec![Block::Text(
        "Once a day forgetd opens every store and compares what is declared with what was enforced and with what the \
         store holds: whether records are there that should have gone, whether every rule runs, and whether something \
         looks personal that nobody declared."
            .to_owned(),
    )];
    match &report.drift.last {
        None => blocks.push(Block::Text("No comparison is recorded yet.".to_owned())),
        Some(last) => {
            blocks.push(Block::Text(format!(
                "In the period it did so {}, and found a disagreement {}. What follows is the last comparison up to {}.",
                times(report.drift.checks),
                times(report.drift.disagreed),
                utc(report.as_of)
            )));
            blocks.extend(comparison(last, report.site.is_some()));
        }
    }
    Section { id: "drift", title: "Declared, enforced, observed", blocks }
}

fn times(many: u64) -> String {
    count(many, "time")
}

fn comparison(last: &Comparison, of_one_site: bool) -> Vec<Block> {
    let accepted = match last.accepted {
        0 => String::new(),
        accepted => format!(" {} that the configuration accepts left out.", count(accepted, "finding")),
    };
    // What was looked at is of all sites.
    let looked = match of_one_site {
        true => String::new(),
        false => format!(" ({} in {})", count(last.rules, "rule"), count(last.stores, "store")),
    };
    let at = utc(last.time);
    let agreed = last.counts.is_empty();
    let mut blocks = Vec::new();
    if agreed && (last.unnamed == 0 || !of_one_site) {
        let text = "what was declared was what was enforced, and the stores agreed with it";
        blocks.push(Block::Notice(Tone::Good, format!("On {at} {text}{looked}.{accepted}")));
    }
    if !agreed {
        let counts: Vec<String> =
            last.counts.iter().map(|(kind, many)| format!("{} × {kind}", number(*many))).collect();
        let text = format!("On {at} not everything agreed{looked}: {}.{accepted}", counts.join(", "));
        blocks.push(Block::Notice(Tone::Attention, text));
        blocks.push(Block::Table(table(&last.findings)));
    }
    let cut = u64::try_from(last.findings.len().saturating_sub(MOST_ROWS)).unwrap_or(u64::MAX);
    match last.unnamed + cut {
        0 => {}
        others => {
            let of = if of_one_site { " of all sites" } else { "" };
            let more = count(others, "more finding");
            let text = format!("{more}{of} not named here: `forgetd drift` names all that disagrees now.");
            blocks.push(Block::Notice(Tone::Attention, text));
        }
    }
    blocks
}

fn table(findings: &[DriftFinding]) -> Table {
    Table {
        caption: "What disagreed, the gravest first. Times are UTC.".to_owned(),
        columns: vec![
            Column::Text("Where"),
            Column::Text("What disagreed"),
            Column::Number("Records"),
            Column::Text("Oldest"),
        ],
        rows: findings.iter().take(MOST_ROWS).map(row).collect(),
    }
}

fn row(finding: &DriftFinding) -> Vec<Cell> {
    vec![
        Cell::of(named(&finding.place)),
        Cell::toned(Tone::Attention, finding.finding.clone()).with(meaning(&finding.finding)),
        Cell::of(finding.records.map_or_else(String::new, number)),
        Cell::of(finding.oldest.map_or_else(String::new, short)),
    ]
}

/// What a kind means, for a lawyer.
fn meaning(kind: &str) -> String {
    match kind {
        "unreadable" => "The store could not be looked at: nothing is known of it.",
        "gone" => "It is declared, and is not there any more.",
        "overdue" => "Records are there that should have gone.",
        "not-stored" => "It is declared as not stored, and holds values.",
        "not-enforced" => "The rule is declared and does not run.",
        "never-run" => "No run of the rule has ever ended well.",
        "stale" => "The rule did not run when it should have.",
        "undatable" => "Records cannot be judged by their age, and stay.",
        "uncovered" => "It was declared once; it is still there, and no rule concerns it now.",
        "undeclared-column" => "The field looks personal, and nobody declared what it holds.",
        "undeclared-table" => "The table looks personal, and nobody declared it.",
        other => return sentence(other),
    }
    .to_owned()
}
