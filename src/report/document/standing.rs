//! Per site and data category: what is declared, what enforces it, and where that stands.

use jiff::tz::TimeZone;

use super::super::model::{Report, RuleState, SiteState, Standing};
use super::super::words::{count, moment, named, outcome, role, utc};
use super::{Block, Cell, Column, Section, Table, Tone};
use crate::audit::RunOutcome;

pub(super) fn section(report: &Report) -> Section {
    let mut blocks = vec![Block::Text(format!(
        "Where every rule stood on {}. Rules are derived from the declaration; nobody writes them. What is said of \
         records is what the rule's last run, or the last count before it was held, found and wrote into the log.",
        utc(report.as_of)
    ))];
    if report.sites.is_empty() {
        blocks.push(Block::Text("No site declares a store, and no rule stands in the log.".to_owned()));
    }
    for site in &report.sites {
        blocks.push(Block::Heading(site.site.clone()));
        if site.rules.is_empty() {
            blocks.push(Block::Text("No store of this site is declared, so nothing is erased on it.".to_owned()));
        } else {
            blocks.push(Block::Table(table(site)));
        }
    }
    Section { id: "standing", title: "What may be kept, and what is", blocks }
}

fn table(site: &SiteState) -> Table {
    let columns = [
        "What is kept",
        "Declared period",
        "Rule in force",
        "Last run",
        "Oldest record still there",
        "Overdue",
        "Held",
    ];
    let zone = TimeZone::get(&site.zone).unwrap_or(TimeZone::UTC);
    Table {
        caption: format!("Rules of {}. Times are those of {}.", site.site, site.zone),
        columns: columns.into_iter().map(Column::Text).collect(),
        rows: site.rules.iter().map(|rule| row(rule, &zone)).collect(),
    }
}

fn row(rule: &RuleState, zone: &TimeZone) -> Vec<Cell> {
    let category = match (&rule.category_name, &rule.category) {
        (Some(name), Some(id)) if !name.is_empty() => Cell::of(name.clone()).with(named(id)),
        (_, Some(id)) => Cell::of(named(id)),
        _ => Cell::of(named(&rule.rule)),
    };
    let mut does = Cell::of(rule.does.clone()).with(named(&rule.rule));
    does.notes.extend(rule.because.iter().map(|because| format!("Because {because}.")));
    does.notes.extend(
        rule.approved.iter().map(|given| format!("Approved {} by {}.", moment(given.time, zone), role(given.uid))),
    );
    vec![
        category,
        Cell::of(rule.declared.clone().unwrap_or_else(|| "not known".to_owned())),
        does,
        last_run(rule, zone),
        Cell::of(rule.oldest.clone()),
        overdue(rule, zone),
        held(rule),
    ]
}

fn last_run(rule: &RuleState, zone: &TimeZone) -> Cell {
    let Some(run) = &rule.last_run else { return Cell::toned(Tone::Attention, "Never") };
    let tone = if run.outcome == Some(RunOutcome::Done) { Tone::Good } else { Tone::Attention };
    Cell::toned(tone, outcome(run.outcome))
        .with(moment(run.started, zone))
        .with(format!("{} erased", count(run.erased, "record")))
}

fn overdue(rule: &RuleState, zone: &TimeZone) -> Cell {
    let (tone, word) = match rule.overdue.standing {
        Standing::Nothing => (Tone::Good, "None"),
        Standing::Overdue => (Tone::Bad, "Overdue"),
        Standing::NotKnown => (Tone::Attention, "Not known"),
    };
    let since = rule.overdue.since.filter(|_| rule.overdue.standing == Standing::Overdue);
    Cell::toned(tone, word)
        .with(rule.overdue.text.clone())
        .with_all(since.map(|since| format!("Since {}.", moment(since, zone))))
}

fn held(rule: &RuleState) -> Cell {
    let cell = match (rule.held.is_empty(), rule.kept.is_empty()) {
        (false, _) => Cell::toned(Tone::Attention, "Held"),
        (true, false) => Cell::of("Some records"),
        (true, true) => Cell::of("No"),
    };
    cell.with_all(rule.held.iter().chain(&rule.kept).cloned())
}
