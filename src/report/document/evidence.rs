//! Who decided what, what is physically left, and how all of it can be checked without forgetd.

use super::super::model::{Decision, Hold, Report, Version};
use super::super::tell;
use super::super::words::{count, named, number, role, sentence, short, utc};
use super::{Block, Cell, Column, MOST_ROWS, Section, Table, Tone, left_out};

/// What a checkpoint is worth, and how to use one.
const HOW_TO_VERIFY: [&str; 3] = [
    "With forgetd, on the server or on a copy of the log: `forgetd audit --log DIR verify --anchor KEPT`, where KEPT is \
     a file with the checkpoint of an earlier report. The answer is `anchored` if nothing before it has changed.",
    "Without forgetd: the formats are public (RFC 6962 Merkle tree, C2SP signed note and tlog-checkpoint). A script of \
     Python and openssl that checks them stands in forgetd's documentation, under `docs/evidence.md`.",
    "Keep this report, or the checkpoint below, where the server's administrators cannot change it. Whoever can read \
     the private key can write another history; only a checkpoint that somebody else kept shows it.",
];

pub(super) fn decisions(report: &Report) -> Section {
    let mut blocks = Vec::new();
    if report.decisions.is_empty() {
        blocks.push(Block::Text("Nobody approved, held or stopped anything in the period.".to_owned()));
    } else {
        let (listed, others) = report.decisions.latest(MOST_ROWS);
        blocks.push(Block::Table(Table {
            caption: "Decisions, the latest first. Times are UTC.".to_owned(),
            columns: ["When", "Who", "Decision", "About"].into_iter().map(Column::Text).collect(),
            rows: listed.map(decision).collect(),
        }));
        blocks.extend(left_out(others));
        blocks.push(Block::Text(
            "People are known by the number of their account on the server only. Who had it is for the operator to say."
                .to_owned(),
        ));
    }
    if !report.holds.is_empty() {
        blocks.push(Block::Table(Table {
            caption: "Duties to keep (holds) that were in place in the period. Times are UTC.".to_owned(),
            columns: ["Hold", "What it keeps", "Placed", "Until", "Reason code", "Lifted"]
                .into_iter()
                .map(Column::Text)
                .collect(),
            rows: report.holds.iter().map(hold).collect(),
        }));
    }
    Section { id: "decisions", title: "Approvals and other decisions", blocks }
}

fn decision(decision: &Decision) -> Vec<Cell> {
    let about = decision.about.as_ref().map_or_else(|| "everything".to_owned(), |about| named(about));
    vec![Cell::of(short(decision.time)), Cell::of(role(decision.uid)), Cell::of(decision.text.clone()), Cell::of(about)]
}

fn hold(hold: &Hold) -> Vec<Cell> {
    let lifted = hold.lifted.map_or_else(|| "no".to_owned(), short);
    vec![
        Cell::of(hold.hold.to_string()),
        Cell::of(named(&hold.prefix)),
        Cell::of(short(hold.added)),
        Cell::of(hold.until.clone()),
        Cell::of(hold.reason_code.clone()),
        Cell::of(lifted),
    ]
}

pub(super) fn changes(report: &Report) -> Section {
    let mut blocks = Vec::new();
    if report.versions.is_empty() {
        blocks.push(Block::Text("The configuration did not change in the period.".to_owned()));
    } else {
        let (listed, others) = report.versions.latest(MOST_ROWS);
        blocks.push(Block::Table(Table {
            caption: "Versions of the configuration that came into force, the latest first. Times are UTC.".to_owned(),
            columns: ["Version", "In force from", "What changed"].into_iter().map(Column::Text).collect(),
            rows: listed.map(version).collect(),
        }));
        blocks.extend(left_out(others));
    }
    Section { id: "changes", title: "Changes of the configuration", blocks }
}

fn version(version: &Version) -> Vec<Cell> {
    let (mut told, others) = tell::changes(&version.changes);
    if others > 0 {
        let others = count(u64::try_from(others).unwrap_or(u64::MAX), "further change");
        told.push(format!("{others}: processors, contacts, descriptions or files."));
    }
    if told.is_empty() {
        told.push("Nothing that is named here.".to_owned());
    }
    let what = Cell { tone: None, main: String::new(), notes: told };
    vec![Cell::of(version.version.to_string()), Cell::of(short(version.time)), what]
}

pub(super) fn pending(report: &Report) -> Section {
    let mut blocks = vec![Block::Text(
        "An erased record is gone for every query at once. Its bytes may stay in files of the database for a while, \
         and in copies that forgetd does not reach. This is what the last runs found."
            .to_owned(),
    )];
    let has_run = report.sites.iter().flat_map(|site| &site.rules).any(|rule| rule.last_run.is_some());
    if !has_run {
        blocks.push(Block::Text("No run has asked the stores yet, so it is not known.".to_owned()));
    } else if report.pending.is_empty() {
        blocks.push(Block::Text(
            "The last runs reported nothing that is left in the stores themselves. Backups, replicas and exports are \
             not seen by forgetd: they are over when they expire."
                .to_owned(),
        ));
    } else {
        let rows = report.pending.iter().map(|pending| {
            let rules = pending.rules.iter().map(|rule| named(rule));
            vec![
                Cell::of(sentence(&pending.text)),
                Cell { tone: None, main: String::new(), notes: rules.collect() },
                Cell::of(short(pending.until)),
            ]
        });
        blocks.push(Block::Table(Table {
            caption: "What is physically left, and what ends that. Times are UTC.".to_owned(),
            columns: ["What is left, and until when", "Rules", "As of"].into_iter().map(Column::Text).collect(),
            rows: rows.collect(),
        }));
    }
    Section { id: "pending", title: "What is physically left", blocks }
}

pub(super) fn log(report: &Report) -> Section {
    let evidence = &report.evidence;
    let verified = &evidence.verified;
    let tone = if verified.holds { Tone::Good } else { Tone::Bad };
    let mut blocks = vec![
        Block::Text(format!(
            "Everything above rests on an append-only log. While this report was written, on {}, the log was verified.",
            utc(report.written)
        )),
        Block::Notice(tone, format!("{} {}", sentence(verified.verdict), sentence(&verified.explanation))),
        Block::Table(Table {
            caption: "The audit log".to_owned(),
            columns: vec![Column::Text("Fact"), Column::Text("Value")],
            rows: facts(report),
        }),
    ];
    blocks.push(Block::Heading("How to check it".to_owned()));
    blocks.push(Block::List(HOW_TO_VERIFY.map(str::to_owned).into()));
    let lines = |what: &str, text: &Option<String>| {
        text.as_ref().map(|text| Block::Lines(what.to_owned(), text.trim_end_matches('\n').to_owned()))
    };
    blocks.extend(lines("Checkpoint, to be kept", &evidence.checkpoint));
    blocks.extend(lines("Key that checks its signature", &evidence.verifier_key));
    if !evidence.kinds.is_empty() {
        blocks.push(Block::Table(Table {
            caption: "Entries of the period, of all sites, by kind".to_owned(),
            columns: vec![Column::Text("Kind"), Column::Number("Entries")],
            rows: evidence
                .kinds
                .iter()
                .map(|(kind, many)| vec![Cell::of(named(kind)), Cell::of(number(*many))])
                .collect(),
        }));
    }
    Section { id: "evidence", title: "The evidence, and how to check it", blocks }
}

fn facts(report: &Report) -> Vec<Vec<Cell>> {
    let verified = &report.evidence.verified;
    let fact = |name: &str, value: String| vec![Cell::of(name), Cell::of(value)];
    let mut rows = vec![
        fact("Name of the log", verified.origin.as_deref().map_or_else(|| "not known".to_owned(), named)),
        fact("Entries", number(verified.entries)),
        fact("Of these signed for", number(verified.signed)),
    ];
    let anchored = verified.anchored.map_or_else(
        || "none: no checkpoint that was kept elsewhere was given".to_owned(),
        |anchored| format!("{} entries", number(anchored)),
    );
    rows.push(fact("Covered by a kept checkpoint", anchored));
    rows.extend(verified.first.map(|at| fact("First entry", utc(at))));
    rows.extend(verified.last.map(|at| fact("Last entry", utc(at))));
    rows.push(fact("Entries of the period", number(report.totals.entries)));
    rows
}

pub(super) fn limits(_report: &Report) -> Section {
    let limits = [
        "It proves what forgetd did in the stores that are declared. A table that nobody declared is looked at only for \
         whether it looks personal, and only where a declared one stands beside it.",
        "It does not speak of backups, replicas, exports and what a processor holds on its own side.",
        "It proves counts, not identities: no entry says whose record was erased, so none can be traced back.",
        "Times are the server's own.",
    ];
    Section {
        id: "limits",
        title: "What this report does not prove",
        blocks: vec![Block::List(limits.map(str::to_owned).into())],
    }
}
