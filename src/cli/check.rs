//! `forgetd check`: is the configuration valid, and do the stores look as it says?

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::arguments::CheckOptions;
use super::output::{Output, instant};
use super::progress::Looks;
use super::{Ended, Exit, session};
use crate::config::site::Site;
use crate::config::{Config, Problems};
use crate::plan::{self, Rule};
use crate::purge::StatePaths;
use crate::register::Register;
use crate::safety;
use crate::safety::hold::{self, HoldEffect};
use crate::service::rights::{self, Accounts};
use crate::store::{Selection, Severity};
use crate::visible::visible;

/// How many runs ahead an operator wants to see to believe a schedule.
const NEXT_RUNS: usize = 3;

#[derive(Debug, Serialize)]
struct Checked<'a> {
    valid: bool,
    problems: &'a Problems,
    sites: Vec<CheckedSite<'a>>,
    findings: Vec<String>,
    stores: Vec<StoreFinding>,
    /// What the service needs for files, with `--stores`.
    drop_in: Option<String>,
}

#[derive(Debug, Serialize)]
struct CheckedSite<'a> {
    site: &'a str,
    rules: usize,
    time_zone: &'a str,
    schedule: String,
    next_runs: Vec<Timestamp>,
}

#[derive(Debug, Serialize)]
pub(super) struct StoreFinding {
    pub(super) rule: String,
    pub(super) severity: &'static str,
    pub(super) finding: String,
}

pub(super) fn run(directory: &Path, options: &CheckOptions, output: &Output) -> Ended {
    let config = match Config::load(directory) {
        Ok(config) => config,
        Err(problems) => {
            let (sites, findings, stores) = (vec![], vec![], vec![]);
            let checked = Checked { valid: false, problems: &problems, sites, findings, stores, drop_in: None };
            if output.is_json() {
                output.result(&checked, |_| ());
                return Ok(Exit::Invalid);
            }
            return Err(session::invalid(directory, &problems));
        }
    };
    let now = session::clock()?.wall;
    let rules = plan::derive(&config);
    let mut stores = Vec::new();
    if options.stores {
        // What holds name must be there too.
        let register = StatePaths::new(&config.daemon.state_dir).existing_register().unwrap_or_else(|error| {
            let finding = format!("what holds name was not looked for: {error}");
            stores.push(StoreFinding { rule: "all rules".to_owned(), severity: "warning", finding });
            None
        });
        stores.extend(look_at_stores(&rules, register.as_ref(), now, output));
    }
    let checked = Checked {
        valid: true,
        problems: &Problems(Vec::new()),
        sites: config.sites.values().map(|site| checked_site(site, &rules, now)).collect(),
        findings: plan::consent_findings(&config),
        stores,
        drop_in: if options.stores { rights::drop_in(&config, &Accounts::read()) } else { None },
    };
    output.result(&checked, |output| print(&checked, options, output));
    let refused = checked.stores.iter().any(|finding| finding.severity == "refused");
    Ok(if refused { Exit::Attention } else { Exit::Done })
}

fn checked_site<'a>(site: &'a Site, rules: &[Rule], now: Timestamp) -> CheckedSite<'a> {
    let next = |from: &Timestamp| site.schedule.next_after(*from, &site.time_zone.zone);
    let next_runs = std::iter::successors(next(&now), next).take(NEXT_RUNS).collect();
    CheckedSite {
        site: &site.domain,
        rules: rules.iter().filter(|rule| rule.site == site.domain).count(),
        time_zone: &site.time_zone.name,
        schedule: site.schedule.to_string(),
        next_runs,
    }
}

pub(super) fn look_at_stores(
    rules: &[Rule],
    register: Option<&Register>,
    now: Timestamp,
    output: &Output,
) -> Vec<StoreFinding> {
    let mut findings = Vec::new();
    let looks = Looks::at(rules.len(), output);
    for rule in rules {
        looks.next(rule.name.as_str());
        let name = || rule.name.to_string();
        let holds = match hold::effect(register, rule, now) {
            Ok(HoldEffect::Rows(rows)) => rows,
            // It names no column.
            Ok(HoldEffect::Whole(_)) => Vec::new(),
            Err(error) => {
                findings.push(StoreFinding { rule: name(), severity: "refused", finding: error.to_string() });
                continue;
            }
        };
        let selection = Selection { rule: (&rule.definition).into(), now, cutoff: None, holds };
        match safety::open_store(rule).inspect(&selection) {
            Ok(found) => findings.extend(found.findings.into_iter().map(|finding| StoreFinding {
                rule: name(),
                severity: if finding.severity == Severity::Refusal { "refused" } else { "warning" },
                finding: finding.to_string(),
            })),
            Err(error) => {
                findings.push(StoreFinding { rule: name(), severity: "refused", finding: error.to_string() });
            }
        }
    }
    findings
}

fn print(checked: &Checked<'_>, options: &CheckOptions, output: &Output) {
    let sites = super::output::number_of(checked.sites.len(), "site");
    output.line(format!("{}: {sites}.", output.good("The configuration is valid")));
    for site in &checked.sites {
        let next: Vec<String> = site.next_runs.iter().copied().map(instant).collect();
        output.line(format!(
            "  {}: {}, next runs {} (`{}` in {})",
            site.site,
            super::output::number_of(site.rules, "rule"),
            next.join(", "),
            site.schedule,
            site.time_zone
        ));
    }
    for finding in &checked.findings {
        output.line(format!("{}: {}", output.attention("finding"), visible(finding)));
    }
    for StoreFinding { rule, severity, finding } in &checked.stores {
        output.line(format!("{}: {rule}: {}", output.attention(severity), visible(finding)));
    }
    match (options.stores, checked.stores.is_empty()) {
        (true, true) => output.line(output.good("The stores are as the rules need them.")),
        (true, false) => {}
        (false, _) => output.line(output.advice("The stores were not looked at: `forgetd check --stores`.")),
    }
    if let Some(drop_in) = &checked.drop_in {
        output.line("");
        output.line("The service needs this for the files of these stores, unless it has it already:");
        output.line("");
        output.line(format!("# {}, then: systemctl daemon-reload && systemctl restart forgetd", rights::DROP_IN));
        drop_in.lines().for_each(|line| output.line(line));
    }
}
