//! Where every rule stands: what is declared, what the log last said of it, and what follows from the two.
//!
//! Nothing is concluded that neither says. "Not known" is an answer, and whoever reads it knows what to ask for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::gather::{Declared, Held, Known, Question, Seen};
use super::model::{Hold, LastRun, Overdue, RuleState, Run, SiteState, Standing};
use super::words::{self, count, moment, sentence};
use crate::audit::RunOutcome;
use crate::config::Config;
use crate::config::site::{Site, Store, Tag};
use crate::drift::GRACE;
use crate::plan::rule::is_within;
use crate::plan::{self, Action, Definition, LineAction, Rule, When};
use crate::safety::hold::{concerns, day_of};

/// Every site that is asked about, declared or known from the log.
pub(super) fn sites(question: &Question<'_>, declared: &Declared<'_>, seen: &Seen<'_>) -> Vec<SiteState> {
    let Some(config) = declared.config else {
        let sites = seen.sites.iter().filter(|site| question.is_about(site));
        return sites.map(|site| of_log(site, question, seen)).collect();
    };
    let rules = plan::derive(config);
    let sites = config.sites.values().filter(|site| question.site.is_none_or(|asked| asked == site.domain));
    sites.map(|site| Declaration { config, site, declared, question, seen }.state(&rules)).collect()
}

/// Who answers for the processing.
pub(super) fn controller(config: &Config, site: Option<&str>) -> String {
    let of_site = site.and_then(|site| config.sites.get(site)).and_then(|site| site.controller.as_ref());
    of_site.unwrap_or(&config.daemon.controller).party.name.clone()
}

/// What the log alone says of one site.
fn of_log(site: &str, question: &Question<'_>, seen: &Seen<'_>) -> SiteState {
    let zone = &question.period.tz;
    let of_site = seen.known.iter().filter(|(rule, _)| words::site_of(rule) == site);
    let rules = of_site.map(|(rule, known)| {
        let holds = in_force(seen, question.as_of());
        let holds = holds.filter(|hold| is_within(rule, &hold.prefix) || is_within(&hold.prefix, rule));
        RuleState {
            rule: rule.clone(),
            category: None,
            category_name: None,
            declared: None,
            does: known.last.as_ref().map_or_else(String::new, |run| sentence(&words::action(&run.action))),
            because: known.last.as_ref().map(|run| run.because.clone()),
            approved: known.approved.clone(),
            last_run: known.last.as_ref().map(last_run),
            oldest: oldest(known, zone),
            overdue: overdue(known, None, zone),
            held: held(known, None, seen.stopped, zone),
            kept: kept(known, holds),
        }
    });
    SiteState {
        site: site.to_owned(),
        zone: question.period.zone.clone(),
        rules: rules.collect(),
        without_store: Vec::new(),
    }
}

/// One declared site.
struct Declaration<'a> {
    config: &'a Config,
    site: &'a Site,
    declared: &'a Declared<'a>,
    question: &'a Question<'a>,
    seen: &'a Seen<'a>,
}

impl Declaration<'_> {
    fn state(&self, rules: &[Rule]) -> SiteState {
        let tags = tags(self.site);
        let own = rules.iter().filter(|rule| rule.site == self.site.domain);
        SiteState {
            site: self.site.domain.clone(),
            zone: self.site.time_zone.name.clone(),
            rules: own.map(|rule| self.rule(rule, tag_of(rule, &tags))).collect(),
            without_store: self.without_store(&tags),
        }
    }

    fn rule(&self, rule: &Rule, tag: Option<&Tag>) -> RuleState {
        let (nothing, zone) = (Known::default(), &self.site.time_zone.zone);
        let known = self.seen.known.get(rule.name.as_str()).unwrap_or(&nothing);
        let holds = in_force(self.seen, self.question.as_of()).filter(|hold| concerns(&hold.prefix, rule));
        let suspended = self.declared.suspended.get(&self.site.domain).map(String::as_str);
        RuleState {
            rule: rule.name.to_string(),
            category: tag.map(ToString::to_string),
            category_name: tag.map(|tag| self.name_of(tag)),
            declared: Some(self.period(rule, tag)),
            does: does(rule),
            because: Some(rule.because.clone()),
            approved: known.approved.clone(),
            last_run: known.last.as_ref().map(last_run),
            oldest: oldest(known, zone),
            overdue: overdue(known, self.missed(known), zone),
            held: held(known, suspended, self.seen.stopped, zone),
            kept: kept(known, holds),
        }
    }

    fn name_of(&self, tag: &Tag) -> String {
        match tag {
            Tag::Category(id) => self.config.categories.get(id).map_or_else(String::new, |known| known.name.clone()),
            Tag::Item { processor, class, .. } => format!("Storage item of {processor} ({})", class.key()),
        }
    }

    fn period(&self, rule: &Rule, tag: Option<&Tag>) -> String {
        let step = rule.name.as_str().contains('@');
        match rule.definition.when() {
            When::Older(period) if step => format!("a step after {period}"),
            When::Older(period) => period.to_string(),
            When::Expired => match tag.and_then(|tag| self.config.period(self.site, tag)) {
                Some(stated) => format!("{}, by each record's own date of expiry", stated.period),
                None => "each record's own date of expiry".to_owned(),
            },
            When::NotStored => "not stored".to_owned(),
            When::WithoutConsent(_) => "only with consent".to_owned(),
        }
    }

    /// The scheduled run that should have followed the last good one, where that time is over.
    fn missed(&self, known: &Known) -> Option<Timestamp> {
        let last = known.last_done.as_ref()?.started;
        let due = self.site.schedule.next_after(last, &self.site.time_zone.zone)?;
        (self.question.as_of().duration_since(due) > GRACE).then_some(due)
    }

    /// What has a period, and no store says that it holds it or a part of it.
    fn without_store(&self, tags: &BTreeMap<String, &Tag>) -> Vec<String> {
        let held: BTreeSet<&Tag> = tags.values().copied().collect();
        let covers = |declared: &Tag, tag: &Tag| match (declared, tag) {
            (Tag::Category(declared), Tag::Category(tag)) => tag.lineage().any(|id| id == *declared),
            _ => declared == tag,
        };
        let unheld = self.site.retention.iter().filter(|(declared, _)| !held.iter().any(|tag| covers(declared, tag)));
        unheld.map(|(tag, period)| format!("`{tag}` ({period})")).collect()
    }
}

/// What every place of a site holds, by the name that rules of the place begin with.
fn tags(site: &Site) -> BTreeMap<String, &Tag> {
    let mut tags = BTreeMap::new();
    for (name, store) in &site.stores {
        let base = format!("{}/{name}", site.domain);
        match store {
            Store::Tables { tables, .. } => {
                for table in tables {
                    let columns = table.columns.iter();
                    tags.extend(columns.map(|column| (format!("{base}/{}/{}", table.id, column.name), &column.holds)));
                    tags.insert(format!("{base}/{}", table.id), &table.holds);
                }
            }
            Store::Directory { holds, .. } => drop(tags.insert(base, holds)),
            Store::Log { holds, address, .. } => {
                tags.extend(address.iter().map(|address| (format!("{base}/{}", address.name), &address.holds)));
                tags.insert(base, holds);
            }
        }
    }
    tags
}

/// The place whose name the rule's is, but for the cause behind the last `@`.
fn tag_of<'a>(rule: &Rule, tags: &BTreeMap<String, &'a Tag>) -> Option<&'a Tag> {
    let name = rule.name.as_str();
    let place = tags.get(name).or_else(|| tags.get(name.rsplit_once('@')?.0));
    place.copied()
}

/// What a rule does, in one sentence.
fn does(rule: &Rule) -> String {
    let what = match &rule.definition {
        Definition::Table(table) => {
            let name = &table.target.table;
            match &table.action {
                Action::EraseRows { children } if children.is_empty() => format!("Records of `{name}` are erased"),
                Action::EraseRows { children } => {
                    let children: Vec<String> = children.iter().map(|child| format!("`{}`", child.table)).collect();
                    format!("Records of `{name}`, and what belongs to them in {}, are erased", children.join(", "))
                }
                Action::EraseColumn { column, .. } => format!("The field `{column}` of `{name}` is emptied"),
                Action::TruncateColumn { column, .. } => {
                    format!("The address in `{column}` of `{name}` keeps its network only")
                }
            }
        }
        Definition::Directory(_) => format!("Files `{}` are removed", rule.definition.location()),
        Definition::Log(log) => match log.action {
            LineAction::Drop => format!("Lines of `{}` are removed", rule.definition.location()),
            LineAction::Addresses(_) => {
                format!("{} (`{}`)", words::action(rule.definition.action()), rule.definition.location())
            }
        },
    };
    let when = match rule.definition.when() {
        When::Older(period) => format!("after {period}"),
        When::Expired => "once they have expired".to_owned(),
        When::NotStored => "whatever the age".to_owned(),
        When::WithoutConsent(_) => "where consent is missing".to_owned(),
    };
    format!("{what}, {when}.")
}

fn in_force<'a>(seen: &'a Seen<'_>, at: Timestamp) -> impl Iterator<Item = &'a Hold> {
    let today = day_of(at).to_string();
    // Dates of this form compare as text.
    seen.holds.values().filter(move |hold| hold.lifted.is_none() && hold.until >= today)
}

fn last_run(run: &Run) -> LastRun {
    LastRun { started: run.started, outcome: run.outcome, erased: run.erased }
}

/// The oldest record that is still there, as far as the last run or the last count tells.
fn oldest(known: &Known, zone: &TimeZone) -> String {
    if let Some(Held { overdue_since: Some(since), at, .. }) = &known.held {
        return format!("One that has been due since {} (counted on {}).", moment(*since, zone), moment(*at, zone));
    }
    let Some(run) = &known.last else { return "Not known.".to_owned() };
    if run.outcome != Some(RunOutcome::Done) {
        return "Not known: the last run did not come to its end.".to_owned();
    }
    let mut told = match run.cutoff {
        Some(cutoff) => format!("None from before {}.", moment(cutoff, zone)),
        None => "None that the rule forbids.".to_owned(),
    };
    if run.arrived > 0 {
        told.push_str(&format!(" {} came to match during the run.", count(run.arrived, "record")));
    }
    told
}

/// What should have gone and is still there.
fn overdue(known: &Known, missed: Option<Timestamp>, zone: &TimeZone) -> Overdue {
    let answer = |standing, records, since, text| Overdue { standing, records, since, text };
    if let Some(held) = &known.held {
        let since = held.overdue_since;
        return match held.matches {
            0 => answer(Standing::Nothing, Some(0), None, format!("None on {}.", moment(held.at, zone))),
            matches => {
                let text = format!("{} on {}.", count(matches, "record"), moment(held.at, zone));
                answer(Standing::Overdue, Some(matches), since.or(Some(held.at)), text)
            }
        };
    }
    let Some(run) = &known.last else {
        return answer(Standing::NotKnown, None, None, "The rule has never run.".to_owned());
    };
    if let Some(left) = run.left.filter(|left| *left > 0) {
        let text = format!("{} left by the last run.", count(left, "record"));
        return answer(Standing::Overdue, Some(left), None, text);
    }
    if run.outcome.is_none() {
        let text = "No end of the last run is recorded.".to_owned();
        return answer(Standing::NotKnown, None, None, text);
    }
    match missed {
        Some(due) => {
            let text = format!("The run due on {} did not complete.", moment(due, zone));
            answer(Standing::NotKnown, None, Some(due), text)
        }
        None => answer(Standing::Nothing, Some(0), None, "None at the last run.".to_owned()),
    }
}

/// Why the whole rule does not run.
fn held(known: &Known, suspended: Option<&str>, stopped: Option<Timestamp>, zone: &TimeZone) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(held) = &known.held {
        let reason = words::without_the_stop(&words::without_commands(&held.reason));
        if !reason.is_empty() {
            told.push(format!("Since {}: {}", moment(held.at, zone), sentence(&reason)));
        }
    }
    told.extend(suspended.map(|why| format!("Suspended: {}", sentence(why))));
    told.extend(stopped.map(|since| format!("All erasure has been stopped since {}.", moment(since, zone))));
    told
}

/// Which records are kept although the rule runs. What narrows a hold stands in the register only.
fn kept<'a>(known: &Known, holds: impl Iterator<Item = &'a Hold>) -> Vec<String> {
    let told = |hold: &Hold| {
        format!("Hold {} (reason code {}) keeps all of it, or some, until {}.", hold.hold, hold.reason_code, hold.until)
    };
    let mut kept: Vec<String> = holds.map(told).collect();
    if let Some(run) = &known.last {
        kept.extend(run.kept.iter().map(|kept| {
            format!("{} expired and still there: {}", count(kept.records, "record"), sentence(&kept.because))
        }));
        if run.on_hold > 0 {
            kept.push(format!("{} kept by a hold at the last run.", count(run.on_hold, "record")));
        }
        if run.undatable > 0 {
            kept.push(format!(
                "{} without a usable date: kept, and counted every time.",
                count(run.undatable, "record")
            ));
        }
    }
    kept
}
