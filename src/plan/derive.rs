//! Deriving the rules of a configuration.

use std::collections::BTreeSet;

use crate::config::site::{
    Column, ColumnAction, Consent, DatabaseKind, Directory, Log, SideEffect, Site, Store, Table, Tag, TimeMeaning,
    Treatment,
};
use crate::config::{Config, NotStored, Period, PeriodSource, StatedPeriod};
use crate::visible::part;

use super::{
    Action, Belongs, Definition, DirectoryRule, GoesAlong, LineAction, LogRule, Rule, RuleName, TableRule, Target, When,
};

/// Every rule that follows from `config`, in the order of sites, stores, tables and columns.
pub fn derive(config: &Config) -> Vec<Rule> {
    let mut rules = Vec::new();
    for site in config.sites.values() {
        let said = SiteRules { config, site };
        for (name, store) in &site.stores {
            let base = format!("{}/{name}", site.domain);
            match store {
                Store::Tables { database, tables } => rules.extend(tables.iter().flat_map(|table| {
                    let base = format!("{base}/{}", part(&table.id));
                    TableRules { said, database, tables, table, base }.derive()
                })),
                Store::Directory { directory, holds } => {
                    rules.extend(said.whole(holds).into_iter().map(|cause| of_files(said, directory, &base, cause)));
                }
                Store::Log { log, holds, address } => rules.extend(of_lines(said, log, holds, address.as_ref(), &base)),
            }
        }
    }
    rules
}

/// Tables that hold items of a class which needs consent, but say nowhere whether it was given: nothing is erased
/// there for lack of consent, and that is a finding.
pub fn consent_findings(config: &Config) -> Vec<String> {
    let mut findings = Vec::new();
    for site in config.sites.values() {
        for (store, table) in site.stores.iter().flat_map(|(name, store)| store.tables().iter().map(move |t| (name, t)))
        {
            if table.consent.is_some() {
                continue;
            }
            let tags = std::iter::once(&table.holds).chain(table.columns.iter().map(|column| &column.holds));
            findings.extend(tags.filter(|tag| needs_consent(tag)).map(|tag| {
                format!(
                    "{}/{store}/{}: `{tag}` may be kept only with consent, but the table declares no `consent` \
                     column: nothing is erased there for lack of consent",
                    site.domain,
                    part(&table.id)
                )
            }));
        }
    }
    findings
}

/// Why something must go, and which records that concerns.
struct Cause {
    /// What follows the name of the place in the name of the rule.
    suffix: String,
    when: When,
    because: String,
}

/// What a site and its files say about tags.
#[derive(Clone, Copy)]
struct SiteRules<'a> {
    config: &'a Config,
    site: &'a Site,
}

impl SiteRules<'_> {
    /// Why whole records go that hold `tag` and whose age is known.
    fn whole(self, tag: &Tag) -> Option<Cause> {
        if let Some(because) = self.not_stored(tag) {
            return Some(Cause { suffix: "@setting".to_owned(), when: When::NotStored, because });
        }
        let stated = self.config.period(self.site, tag)?;
        let because = self.because_of_age(tag, &stated);
        Some(Cause { suffix: String::new(), when: When::Older(stated.period), because })
    }

    /// Why a column goes, and how, in a record that lives for `row_period`.
    fn column(self, column: &Column, row_period: Option<Period>, ages: Ages) -> Vec<(Cause, ColumnAction)> {
        let mut causes = Vec::new();
        let not_stored = self.not_stored(&column.holds);
        if let Some(because) = &not_stored {
            // A ladder begins at once where its category must not be stored; its later steps follow in their time.
            let cause = Cause { suffix: "@setting".to_owned(), when: When::NotStored, because: because.clone() };
            causes.push((cause, first_action(&column.treatment)));
        }
        if let Treatment::Ladder(steps) = &column.treatment {
            causes.extend(steps.iter().map(|step| {
                let suffix = format!("@{}", step.after.to_string().replace(' ', "-"));
                let because = format!("a step of the ladder for `{}`: after {}", column.holds, step.after);
                (Cause { suffix, when: When::Older(step.after), because }, step.action)
            }));
        }
        if not_stored.is_none() {
            causes.extend(self.column_past_its_period(column, row_period, ages));
        }
        causes
    }

    /// The end of the column's own period, unless its record goes first anyway, or its ladder ends before.
    fn column_past_its_period(
        self,
        column: &Column,
        row_period: Option<Period>,
        ages: Ages,
    ) -> Option<(Cause, ColumnAction)> {
        let stated = self.config.period(self.site, &column.holds)?;
        if ages == Ages::Unknown || row_period.is_some_and(|row| stated.period.keeps_at_least(&row)) {
            return None;
        }
        let action = match &column.treatment {
            Treatment::Once(action) => *action,
            Treatment::Ladder(steps) if steps.last().is_some_and(|step| step.action == ColumnAction::Erase) => {
                return None;
            }
            Treatment::Ladder(_) => ColumnAction::Erase,
        };
        let because = self.because_of_age(&column.holds, &stated);
        Some((Cause { suffix: String::new(), when: When::Older(stated.period), because }, action))
    }

    /// Why what is tagged so must not be kept at all.
    fn not_stored(self, tag: &Tag) -> Option<String> {
        let Tag::Category(category) = tag else { return None };
        Some(match self.config.not_stored(self.site, category)? {
            NotStored::SettingOff(setting) => {
                format!("`{}` is off in {}: `{category}` is not stored", setting.key(), self.site.file)
            }
            NotStored::DefaultOff(setting) => {
                format!("`{}` is off by default: `{category}` is not stored", setting.key())
            }
            NotStored::Listed(listed) => format!("{} lists `{listed}` under `not-stored`", self.site.file),
        })
    }

    fn because_of_age(self, tag: &Tag, stated: &StatedPeriod) -> String {
        match &stated.source {
            PeriodSource::Site(from) if from == tag => {
                format!("{} keeps `{tag}` for {}", self.site.file, stated.period)
            }
            PeriodSource::Site(from) => {
                format!("{} keeps `{from}`, of which `{tag}` is part, for {}", self.site.file, stated.period)
            }
            PeriodSource::Lifetime { processor } => {
                format!("`{tag}` of processor {processor} lives {}", stated.period)
            }
        }
    }
}

/// Whether it is known when a record was made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ages {
    Known,
    Unknown,
}

fn of_files(said: SiteRules<'_>, directory: &Directory, base: &str, cause: Cause) -> Rule {
    let Cause { suffix, when, because } = cause;
    let name = RuleName::new(format!("{base}{suffix}"));
    let zone = said.site.time_zone.clone();
    let rule = DirectoryRule { rule: name.clone(), directory: directory.clone(), when, zone };
    let definition = Definition::Directory(rule);
    Rule { name, site: said.site.domain.clone(), definition, because, goes_along: Vec::new(), beside: Vec::new() }
}

/// Makes the rules over one log know of each other.
fn beside_each_other(mut rules: Vec<Rule>) -> Vec<Rule> {
    let all: Vec<LogRule> = rules.iter().filter_map(|rule| rule.definition.over_a_log().cloned()).collect();
    for rule in &mut rules {
        rule.beside = all.iter().filter(|other| other.rule != rule.name).cloned().collect();
    }
    rules
}

/// A line takes its addresses with it: a hold on them keeps the line.
fn of_lines(said: SiteRules<'_>, log: &Log, holds: &Tag, address: Option<&Column>, base: &str) -> Vec<Rule> {
    let rule = |at: &str, cause: Cause, action, goes_along| {
        let name = RuleName::new(format!("{base}{at}{}", cause.suffix));
        let zone = said.site.time_zone.clone();
        let rule = LogRule { rule: name.clone(), log: log.clone(), when: cause.when, action, zone };
        let because = cause.because;
        let definition = Definition::Log(rule);
        Rule { name, site: said.site.domain.clone(), definition, because, goes_along, beside: Vec::new() }
    };
    let whole = said.whole(holds);
    let at = address.map_or_else(String::new, |address| format!("/{}", address.name));
    let along = address.map(|_| GoesAlong { name: format!("{base}{at}"), belongs: Belongs::Column });
    let all_go = whole.as_ref().is_some_and(|cause| cause.when == When::NotStored);
    let mut rules: Vec<Rule> =
        whole.map(|cause| rule("", cause, LineAction::Drop, along.into_iter().collect())).into_iter().collect();
    if let Some(address) = address.filter(|_| !all_go) {
        let period = said.config.period(said.site, holds).map(|stated| stated.period);
        let causes = said.column(address, period, Ages::Known).into_iter();
        rules.extend(causes.map(|(cause, action)| rule(&at, cause, LineAction::Addresses(action), Vec::new())));
    }
    beside_each_other(rules)
}

/// What one table gives rise to.
struct TableRules<'a> {
    said: SiteRules<'a>,
    database: &'a DatabaseKind,
    /// All of the database that are declared.
    tables: &'a [Table],
    table: &'a Table,
    base: String,
}

impl TableRules<'_> {
    fn derive(&self) -> Vec<Rule> {
        let SiteRules { config, site } = self.said;
        let erase_rows = || Action::EraseRows { children: self.table.children.clone() };
        if let Some(because) = self.said.not_stored(&self.table.holds) {
            // Whole rows must not be there: nothing is left for a rule of their columns or their age.
            return vec![self.rule("@setting", When::NotStored, erase_rows(), because)];
        }
        let mut rules = Vec::new();
        let period = config.period(site, &self.table.holds);
        if let Some(stated) = &period {
            rules.push(self.rule("", self.past(stated.period), erase_rows(), self.because_of_age(stated)));
        }
        if let Some(consent) = self.consent_for(&self.table.holds) {
            let because = because_of_consent(&self.table.holds, consent);
            rules.push(self.rule("@consent", When::WithoutConsent(consent.clone()), erase_rows(), because));
        }
        for column in &self.table.columns {
            self.column(column, period.as_ref().map(|stated| stated.period), &mut rules);
        }
        rules
    }

    fn column(&self, column: &Column, row_period: Option<Period>, rules: &mut Vec<Rule>) {
        let at = format!("/{}", part(&column.name));
        let ages = match self.table.time.meaning {
            TimeMeaning::Recorded => Ages::Known,
            TimeMeaning::Expires => Ages::Unknown,
        };
        let causes = self.said.column(column, row_period, ages).into_iter();
        rules.extend(causes.map(|(Cause { suffix, when, because }, action)| {
            self.rule(&format!("{at}{suffix}"), when, column_action(column, action), because)
        }));
        if let Some(consent) = self.consent_for(&column.holds) {
            let because = because_of_consent(&column.holds, consent);
            let action = column_action(column, ColumnAction::Erase);
            rules.push(self.rule(&format!("{at}@consent"), When::WithoutConsent(consent.clone()), action, because));
        }
    }

    fn past(&self, period: Period) -> When {
        match self.table.time.meaning {
            TimeMeaning::Recorded => When::Older(period),
            TimeMeaning::Expires => When::Expired,
        }
    }

    fn rule(&self, suffix: &str, when: When, action: Action, because: String) -> Rule {
        let name = RuleName::new(format!("{}{suffix}", self.base));
        let Table { name: table, key, time, filter, accepts, .. } = self.table;
        let target = Target {
            table: table.clone(),
            key: key.clone(),
            time: time.clone(),
            filter: filter.clone(),
            accepts: accepts.clone(),
        };
        let site = self.said.site;
        let goes_along = self.goes_along(&action);
        let rule = TableRule {
            rule: name.clone(),
            store: self.database.clone(),
            target,
            when,
            action,
            zone: site.time_zone.clone(),
        };
        let definition = Definition::Table(rule);
        Rule { name, site: site.domain.clone(), definition, because, goes_along, beside: Vec::new() }
    }

    /// A row takes its columns, its children, and what was accepted as a side effect with it.
    fn goes_along(&self, action: &Action) -> Vec<GoesAlong> {
        let Action::EraseRows { children } = action else { return Vec::new() };
        let along = |name, belongs| GoesAlong { name, belongs };
        let columns = self.table.columns.iter();
        let columns = columns.map(|column| along(format!("{}/{}", self.base, part(&column.name)), Belongs::Column));
        let children = children.iter().map(|child| (&child.table, Belongs::ByKey(child.column.clone())));
        let cascades = self.table.accepts.iter().filter_map(|effect| match effect {
            SideEffect::Cascade(table) => Some((table, Belongs::Cascade)),
            SideEffect::Trigger(_) => None,
        });
        let tables = children.chain(cascades).flat_map(|(table, belongs)| {
            self.names_of(table).into_iter().map(move |name| along(name, belongs.clone()))
        });
        columns.chain(tables).collect()
    }

    /// The names that rules of a table of this store have, or would have if it had any.
    fn names_of(&self, table: &str) -> BTreeSet<String> {
        let declared = self.tables.iter().filter(|other| other.name.eq_ignore_ascii_case(table));
        let ids = declared.map(|other| other.id.as_str()).chain(std::iter::once(table));
        let store = self.base.strip_suffix(&*part(&self.table.id)).unwrap_or(&self.base);
        ids.map(|id| format!("{store}{}", part(id))).collect()
    }

    fn consent_for(&self, tag: &Tag) -> Option<&Consent> {
        self.table.consent.as_ref().filter(|_| needs_consent(tag))
    }

    fn because_of_age(&self, stated: &StatedPeriod) -> String {
        match self.table.time.meaning {
            TimeMeaning::Recorded => self.said.because_of_age(&self.table.holds, stated),
            TimeMeaning::Expires => {
                format!("`{}` expires at the instant in column `{}`", self.table.holds, self.table.time.column)
            }
        }
    }
}

fn needs_consent(tag: &Tag) -> bool {
    matches!(tag, Tag::Item { class, .. } if class.needs_consent())
}

fn because_of_consent(tag: &Tag, consent: &Consent) -> String {
    let class = match tag {
        Tag::Item { class, .. } => class.key(),
        Tag::Category(_) => "such",
    };
    format!("`{tag}` is a {class} item and needs consent: column `{}` is not {}", consent.column, consent.given)
}

fn first_action(treatment: &Treatment) -> ColumnAction {
    match treatment {
        Treatment::Once(action) => *action,
        Treatment::Ladder(steps) => steps.first().map_or(ColumnAction::Erase, |step| step.action),
    }
}

fn column_action(column: &Column, action: ColumnAction) -> Action {
    let (name, stand_in) = (column.name.clone(), column.stand_in.clone());
    match action {
        ColumnAction::Erase => Action::EraseColumn { column: name, stand_in },
        ColumnAction::Truncate(mask) => Action::TruncateColumn { column: name, mask, stand_in },
    }
}
