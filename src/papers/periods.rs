//! How long what is kept: the periods of the rules that follow from the register, each under the name that it was
//! declared for.
//!
//! A category without a period of its own goes by its parent's, and is not listed beside it. One that is shortened or
//! erased in steps is.

use std::collections::{BTreeMap, BTreeSet};

use super::Subject;
use super::build::columns;
use super::language::Language;
use super::model::Period;
use crate::config::site::{ColumnAction, Tag, TimeMeaning, Treatment};
use crate::config::{self, CategoryId, Config, PeriodSource, Site};

/// The periods of everything in `scope` that is stored. `without` is told what has none.
pub(super) fn told(
    subject: Subject<'_>,
    scope: &BTreeSet<Tag>,
    language: &Language,
    without: impl Fn(String),
) -> Vec<Period> {
    let Subject { config, site, .. } = subject;
    let steps = steps(subject, language);
    let mut told: BTreeMap<Tag, Option<config::Period>> = BTreeMap::new();
    for tag in scope.iter().filter(|tag| is_stored(config, site, tag)) {
        match config.period(site, tag) {
            Some(stated) => {
                let named = match stated.source {
                    PeriodSource::Site(from) if !steps.contains_key(tag) => from,
                    _ => tag.clone(),
                };
                told.insert(named, Some(stated.period));
            }
            None if expires_by_itself(site, tag) => {}
            None => {
                without(tag.to_string());
                told.insert(tag.clone(), None);
            }
        }
    }
    let period = |(tag, period): (Tag, Option<config::Period>)| Period {
        subject: name(subject, &tag, language),
        period: period.map(|period| language.period(period)),
        steps: steps.get(&tag).cloned().unwrap_or_default(),
    };
    told.into_iter().map(period).collect()
}

pub(super) fn is_stored(config: &Config, site: &Site, tag: &Tag) -> bool {
    match tag {
        Tag::Category(category) => config.not_stored(site, category).is_none(),
        Tag::Item { .. } => true,
    }
}

/// Whether records of that kind carry the instant of their end.
pub(super) fn expires_by_itself(site: &Site, tag: &Tag) -> bool {
    let mut tables = site.stores.values().flat_map(|store| store.tables());
    tables.any(|table| table.holds == *tag && table.time.meaning == TimeMeaning::Expires)
}

/// What a tag is called for people.
pub(super) fn name(subject: Subject<'_>, tag: &Tag, language: &Language) -> String {
    match tag {
        Tag::Category(id) => category(subject.config, id, language),
        Tag::Item { processor, name, .. } => {
            let used = subject.site.processors.iter().find(|used| used.id == *processor);
            let key = used.and_then(|used| used.chat_key.as_deref());
            let name = key.map_or_else(|| name.clone(), |key| name.replace(super::items::KEY, key));
            language.told("period-of-item", &[("name", &name)])
        }
    }
}

fn category(config: &Config, id: &CategoryId, language: &Language) -> String {
    config.categories.get(id).map_or_else(|| id.to_string(), |category| language.fact(&category.name))
}

/// What happens to parts of records before their period is over, or instead of erasing them at its end.
fn steps(subject: Subject<'_>, language: &Language) -> BTreeMap<Tag, Vec<String>> {
    let mut told: BTreeMap<Tag, Vec<String>> = BTreeMap::new();
    for column in columns(subject.site) {
        let steps: Vec<String> = match &column.treatment {
            Treatment::Once(ColumnAction::Erase) => continue,
            Treatment::Once(ColumnAction::Truncate(_)) => vec![language.text("step.truncate-at-end")],
            Treatment::Ladder(steps) => steps
                .iter()
                .map(|step| {
                    let key = match step.action {
                        ColumnAction::Erase => "step.erase",
                        ColumnAction::Truncate(_) => "step.truncate",
                    };
                    language.told(key, &[("period", &language.period(step.after))])
                })
                .collect(),
        };
        let known = told.entry(column.holds.clone()).or_default();
        known.extend(steps.into_iter().filter(|step| !known.contains(step)).collect::<Vec<_>>());
    }
    told
}
