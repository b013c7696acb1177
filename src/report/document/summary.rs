//! The answer first: what was erased, what was not, and whether the evidence holds.

use super::super::model::{Report, Standing};
use super::super::words::{count, date, number, sentence, utc};
use super::{Block, Figure, Section, Tone};

pub(super) fn section(report: &Report) -> Section {
    let mut blocks = vec![Block::Text(what_happened(report)), Block::Figures(figures(report))];
    blocks.push(evidence(report));
    blocks.extend(what_needs_attention(report).into_iter().map(|text| Block::Notice(Tone::Attention, text)));
    if !report.missing.is_empty() {
        blocks.push(Block::Heading("What this report could not say".to_owned()));
        blocks.push(Block::List(report.missing.iter().map(|text| sentence(text)).collect()));
    }
    Section { id: "summary", title: "Summary", blocks }
}

fn what_happened(report: &Report) -> String {
    let (period, totals) = (&report.period, &report.totals);
    let span = if period.from == period.to {
        format!("On {}", date(period.from))
    } else {
        format!("From {} to {}", date(period.from), date(period.to))
    };
    if totals.entries == 0 {
        return format!("{span} nothing was recorded: the audit log has no entry of these days.");
    }
    if totals.runs == 0 {
        return format!("{span} no run ended, and nothing was erased.");
    }
    let children = match totals.children {
        0 => String::new(),
        children => format!(", and {} of dependent tables with them", count(children, "row")),
    };
    let not_done = match totals.not_done() {
        0 => "All of them came to their end.".to_owned(),
        many => format!("{} did not come to the end.", count(many, "run")),
    };
    format!(
        "{span} forgetd erased or masked {}{children}, in {}. {not_done}",
        count(totals.erased, "record"),
        count(totals.runs, "run")
    )
}

fn figures(report: &Report) -> Vec<Figure> {
    let totals = &report.totals;
    let figure = |many: u64, label: &str, tone: Tone| Figure {
        tone: if many == 0 { Tone::Plain } else { tone },
        value: number(many),
        label: label.to_owned(),
    };
    vec![
        figure(totals.erased, "records erased or masked", Tone::Plain),
        figure(totals.runs, "runs ended", Tone::Plain),
        figure(totals.not_done() + totals.without_end, "runs without a good end", Tone::Attention),
        figure(totals.refused, "times a rule was held before it ran", Tone::Attention),
        figure(totals.approvals, "approvals", Tone::Plain),
        figure(totals.versions, "changes of the configuration", Tone::Plain),
    ]
}

fn evidence(report: &Report) -> Block {
    let verified = &report.evidence.verified;
    let tone = if verified.holds { Tone::Good } else { Tone::Bad };
    let beware = if verified.holds { "" } else { " Nothing in this report can be relied on until that is explained." };
    Block::Notice(tone, format!("The audit log: {}. {}{beware}", verified.verdict, sentence(&verified.explanation)))
}

fn what_needs_attention(report: &Report) -> Vec<String> {
    let mut told = Vec::new();
    let rules = || report.sites.iter().flat_map(|site| &site.rules);
    let standing = |wanted: Standing| rules().filter(|rule| rule.overdue.standing == wanted).count();
    let as_of = utc(report.as_of);
    let of_rules = |many: usize| count(u64::try_from(many).unwrap_or(u64::MAX), "rule");
    match standing(Standing::Overdue) {
        0 => {}
        many => told.push(format!("Overdue records under {} on {as_of}.", of_rules(many))),
    }
    match standing(Standing::NotKnown) {
        0 => {}
        many => told.push(format!("For {} it is not known whether records are overdue on {as_of}.", of_rules(many))),
    }
    if let Some(silence) = &report.evidence.silence {
        told.push(format!(
            "The log was silent from {} to {}. A running daemon writes at least once in 24 hours.",
            utc(silence.from),
            utc(silence.to)
        ));
    }
    if let Some(last) = report.drift.last.as_ref().filter(|last| !last.counts.is_empty()) {
        let counts: Vec<String> = last.counts.iter().map(|(kind, many)| format!("{many} {kind}")).collect();
        told.push(format!(
            "On {} declaration, runs and stores did not agree everywhere: {}.",
            utc(last.time),
            counts.join(", ")
        ));
    }
    for site in report.sites.iter().filter(|site| !site.without_store.is_empty()) {
        told.push(format!(
            "{}: a period is declared for {}, and no store is said to hold it: nothing enforces it.",
            site.site,
            site.without_store.join(", ")
        ));
    }
    told
}
