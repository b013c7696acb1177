//! Deriving the rules of a configuration.

use std::collections::BTreeSet;

use crate::config::site::{Column, ColumnAction, Consent, SideEffect, Site, Store, Table, Tag, TimeMeaning, Treatment};
use crate::config::{Config, NotStored, Period, PeriodSource, StatedPeriod};

use super::{Action, Belongs, Definition, GoesAlong, Rule, RuleName, Target, When};

/// Every rule that follows from `config`, in the order of sites, stores, tables and columns.
pub fn derive(config: &Config) -> Vec<Rule> {
    let mut rules = Vec::new();
    for site in config.sites.values() {
        for (name, store) in &site.stores {
            for table in &store.tables {
                TableRules { config, site, store, table, base: format!("{}/{name}/{}", site.domain, table.id) }
                    .derive(&mut rules);
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
        for (store, table) in site.stores.iter().flat_map(|(name, store)| store.tables.iter().map(move |t| (name, t))) {
            if table.consent.is_some() {
                continue;
            }
            let tags = std::iter::once(&table.holds).chain(table.columns.iter().map(|column| &column.holds));
            findings.extend(tags.filter(|tag| needs_consent(tag)).map(|tag| {
                format!(
                    "{}/{store}/{}: `{tag}` may be kept only with consent, but the table declares no `consent` \
                     column: nothing is erased there for lack of consent",
                    site.domain, table.id
                )
            }));
        }
    }
    findings
}

/// What one table gives rise to.
struct TableRules<'a> {
    config: &'a Config,
    site: &'a Site,
    store: &'a Store,
    table: &'a Table,
    base: String,
}

impl TableRules<'_> {
    fn derive(&self, rules: &mut Vec<Rule>) {
        let erase_rows = || Action::EraseRows { children: self.table.children.clone() };
        if let Some(because) = self.not_stored(&self.table.holds) {
            // Whole rows must not be there: nothing is left for a rule of their columns or their age.
            rules.push(self.rule("@setting", When::NotStored, erase_rows(), because));
            return;
        }
        let period = self.config.period(self.site, &self.table.holds);
        if let Some(stated) = &period {
            rules.push(self.rule(
                "",
                self.past(stated.period),
                erase_rows(),
                self.because_of_age(&self.table.holds, stated),
            ));
        }
        if let Some(consent) = self.consent_for(&self.table.holds) {
            let because = because_of_consent(&self.table.holds, consent);
            rules.push(self.rule("@consent", When::WithoutConsent(consent.clone()), erase_rows(), because));
        }
        for column in &self.table.columns {
            self.column(column, period.as_ref().map(|stated| stated.period), rules);
        }
    }

    fn column(&self, column: &Column, row_period: Option<Period>, rules: &mut Vec<Rule>) {
        let at = format!("/{}", column.name);
        let not_stored = self.not_stored(&column.holds);
        if let Some(because) = &not_stored {
            // A ladder begins at once where its category must not be stored; its later steps follow in their time.
            let action = column_action(column, first_action(&column.treatment));
            rules.push(self.rule(&format!("{at}@setting"), When::NotStored, action, because.clone()));
        }
        if let Treatment::Ladder(steps) = &column.treatment {
            for step in steps {
                let because = format!("a step of the ladder for `{}`: after {}", column.holds, step.after);
                let name = format!("{at}@{}", step.after.to_string().replace(' ', "-"));
                rules.push(self.rule(&name, When::Older(step.after), column_action(column, step.action), because));
            }
        }
        if not_stored.is_none() {
            self.column_past_its_period(column, &at, row_period, rules);
        }
        if let Some(consent) = self.consent_for(&column.holds) {
            let because = because_of_consent(&column.holds, consent);
            let action = column_action(column, ColumnAction::Erase);
            rules.push(self.rule(&format!("{at}@consent"), When::WithoutConsent(consent.clone()), action, because));
        }
    }

    /// The rule at the end of the column's own period, unless its row goes first anyway, or its ladder ends before.
    fn column_past_its_period(&self, column: &Column, at: &str, row_period: Option<Period>, rules: &mut Vec<Rule>) {
        let Some(stated) = self.config.period(self.site, &column.holds) else { return };
        if self.table.time.meaning == TimeMeaning::Expires
            || row_period.is_some_and(|row| stated.period.keeps_at_least(&row))
        {
            return;
        }
        let action = match &column.treatment {
            Treatment::Once(action) => *action,
            Treatment::Ladder(steps) if steps.last().is_some_and(|step| step.action == ColumnAction::Erase) => return,
            Treatment::Ladder(_) => ColumnAction::Erase,
        };
        let because = self.because_of_age(&column.holds, &stated);
        rules.push(self.rule(at, When::Older(stated.period), column_action(column, action), because));
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
        let definition = Definition {
            rule: name.clone(),
            store: self.store.kind.clone(),
            target,
            when,
            action,
            zone: self.site.time_zone.clone(),
        };
        let goes_along = self.goes_along(&definition.action);
        Rule { name, site: self.site.domain.clone(), definition, because, goes_along }
    }

    /// A row takes its columns, its children, and what was accepted as a side effect with it.
    fn goes_along(&self, action: &Action) -> Vec<GoesAlong> {
        let Action::EraseRows { children } = action else { return Vec::new() };
        let along = |name, belongs| GoesAlong { name, belongs };
        let columns = self.table.columns.iter();
        let columns = columns.map(|column| along(format!("{}/{}", self.base, column.name), Belongs::Column));
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
        let declared = self.store.tables.iter().filter(|other| other.name.eq_ignore_ascii_case(table));
        let ids = declared.map(|other| other.id.as_str()).chain(std::iter::once(table));
        let store = self.base.strip_suffix(&self.table.id).unwrap_or(&self.base);
        ids.map(|id| format!("{store}{id}")).collect()
    }

    /// Why what is tagged so must not be kept at all.
    fn not_stored(&self, tag: &Tag) -> Option<String> {
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

    fn consent_for(&self, tag: &Tag) -> Option<&Consent> {
        self.table.consent.as_ref().filter(|_| needs_consent(tag))
    }

    fn because_of_age(&self, tag: &Tag, stated: &StatedPeriod) -> String {
        if self.table.time.meaning == TimeMeaning::Expires && *tag == self.table.holds {
            return format!("`{tag}` expires at the instant in column `{}`", self.table.time.column);
        }
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
