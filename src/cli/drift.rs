//! `forgetd drift`: is what is declared what is enforced, and do the stores agree with both?

use std::path::Path;

use jiff::Timestamp;

use super::output::{Output, count, instant, number_of};
use super::progress::Looks;
use super::session::Reading;
use super::{Ended, Exit, Failure};
use crate::drift::{self, Declared, Drift, Enforced, Errand, Moment, Observed, RuleDrift, Stores};
use crate::visible::visible;

pub(super) fn run(directory: &Path, site: Option<&str>, output: &Output) -> Ended {
    let reading = Reading::begin(directory, output)?;
    let declared = declared(&reading, site)?;
    let enforced = Enforced::read(reading.register.as_ref(), &declared)?;
    let moment = Moment { circumstances: reading.circumstances(), suspended: &reading.in_force.suspended };
    let (mut observed, mut stores) = (Observed::default(), Stores::default());
    let errands = Errand::all(&declared, &enforced.former);
    let looks = Looks::at(errands.len(), output);
    for task in errands.iter().filter_map(|errand| errand.task(&declared)) {
        looks.next(&task.location());
        observed.take(drift::look(&task, &mut stores, &moment));
    }
    drop(looks);
    let drift = drift::judge(&declared, &enforced, &observed, reading.clock.wall);
    output.result(&drift, |output| print(&drift, output));
    Ok(reading.exit(exit(&drift)))
}

/// The site must be one: a misspelt one would have nothing wrong with it. One that is declared no longer can be asked
/// about by asking about all.
fn declared<'a>(reading: &'a Reading, site: Option<&'a str>) -> Result<Declared<'a>, Failure> {
    let config = &reading.in_force.config;
    if let Some(site) = site.filter(|site| !config.sites.contains_key(*site)) {
        return Err(Failure::usage(format!("no site is called `{site}`: `forgetd register show sites` lists them")));
    }
    Ok(Declared { config, rules: &reading.rules, site })
}

/// Where a store could not be looked at, nobody can say what else is wrong: that is a failure of the comparison itself.
fn exit(drift: &Drift) -> Exit {
    match (drift.is_complete(), drift.ok) {
        (false, _) => Exit::Failed,
        (true, false) => Exit::Attention,
        (true, true) => Exit::Done,
    }
}

fn print(drift: &Drift, output: &Output) {
    if drift.rules.is_empty() && drift.stores.is_empty() {
        output.line("No rules: no site declares a store with tables.");
    } else {
        let header = ["RULE", "RECORDS", "OVERDUE", "OLDEST", "UNDATABLE", "LAST SUCCESS", "ANSWER"];
        output.table(&header, &drift.rules.iter().map(rule).collect::<Vec<_>>());
        output.line("");
        let store = |store: &drift::StoreDrift| {
            let tables = store.tables.map_or_else(|| "-".to_owned(), count);
            vec![store.store.clone(), store.kind.to_owned(), tables, store.answer.clone()]
        };
        output.table(&["STORE", "KIND", "TABLES", "ANSWER"], &drift.stores.iter().map(store).collect::<Vec<_>>());
    }
    for (position, finding) in drift.findings.iter().enumerate() {
        if position == 0 {
            output.line("");
        }
        let text = output.advice(&visible(&finding.text));
        output.line(format!("{}: {}: {text}", output.attention(finding.kind.key()), visible(&finding.place)));
    }
    for (position, note) in drift.notes.iter().enumerate() {
        if position == 0 {
            output.line("");
        }
        output.line(visible(note));
    }
    output.line("");
    output.line(verdict(drift, output));
}

fn rule(rule: &RuleDrift) -> Vec<String> {
    let counted = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), count);
    let at = |instant_of: Option<Timestamp>, otherwise: &str| instant_of.map_or_else(|| otherwise.to_owned(), instant);
    vec![
        rule.rule.clone(),
        counted(rule.records),
        counted(rule.overdue),
        at(rule.oldest, "-"),
        counted(rule.undatable),
        at(rule.last_success, "never"),
        rule.answer.clone(),
    ]
}

fn verdict(drift: &Drift, output: &Output) -> String {
    let accepted = match drift.accepted {
        0 => String::new(),
        accepted => format!(" {} that the configuration accepts left out.", number_of(to_usize(accepted), "finding")),
    };
    if drift.ok {
        let said = output.good("What is declared is what is enforced, and the stores agree with it.");
        return format!("{said}{accepted}");
    }
    let counts: Vec<String> = drift.counts.iter().map(|(kind, many)| format!("{many} {}", kind.key())).collect();
    let findings = output.attention(&number_of(drift.findings.len(), "finding"));
    format!("{findings}: {}.{accepted}", counts.join(", "))
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
