//! What the site's own stores hold, beside what its processors hold.

use std::collections::BTreeSet;

use super::super::model::{Group, Place, Processing, Processor};
use super::super::{Subject, periods};
use super::Builder;
use crate::config::site::{Column, ColumnAction, Site, Store, Tag, Treatment};
use crate::config::{CategoryId, Config};

/// The site's stores, as the papers tell of them.
pub(super) struct Server {
    pub(super) places: Vec<Place>,
    /// Categories that no processor in use is declared to process: for people, and as the files have them.
    pub(super) own_data: Vec<String>,
    pub(super) own_ids: Vec<String>,
    /// Categories that are kept without their last part, because the whole may not be stored.
    pub(super) shortened: Vec<String>,
    /// What is held at all.
    held: Vec<String>,
    /// What of it a rule erases when its period is over.
    pub(super) enforced: Vec<String>,
    tags: BTreeSet<Tag>,
}

impl Server {
    /// Everything with a storage period: what processors process, what stores hold, and what the site sets a period for.
    pub(super) fn scope(&self, subject: Subject<'_>) -> BTreeSet<Tag> {
        let Subject { config, site, .. } = subject;
        let used = site.processors.iter().filter_map(|used| config.processors.get(&used.id));
        let categories = used.flat_map(|processor| &processor.data).flat_map(|group| &group.categories);
        let declared = categories.map(|category| Tag::Category(category.clone()));
        declared.chain(self.tags.iter().cloned()).chain(site.retention.keys().cloned()).collect()
    }

    /// What whoever runs the server does with what it holds.
    pub(super) fn processing(&self, builder: &Builder<'_>, processors: &[Processor]) -> Option<Processing> {
        let operator = &builder.subject.config.daemon.controller.party.name;
        let told = processors.iter().find(|processor| processor.party.name == *operator);
        let text = |key: &str| builder.language.text(key);
        let held = Group { name: text("own-data"), categories: self.held.clone() };
        (!self.held.is_empty()).then(|| Processing {
            reference: format!("{}/server", builder.subject.site.domain),
            categories_of_processing: text("processing"),
            data: vec![held],
            transfers: told.map(|processor| processor.transfers.clone()),
            locations: vec![text("own-server")],
        })
    }
}

/// What a store holds.
fn tags(store: &Store) -> Vec<&Tag> {
    match store {
        Store::Tables { tables, .. } => tables
            .iter()
            .flat_map(|table| std::iter::once(&table.holds).chain(table.columns.iter().map(|column| &column.holds)))
            .collect(),
        Store::Directory { holds, .. } => vec![holds],
        Store::Log { holds, address, .. } => {
            std::iter::once(holds).chain(address.iter().map(|address| &address.holds)).collect()
        }
    }
}

/// Parts of records that go by a rule of their own.
pub(in crate::papers) fn columns(site: &Site) -> impl Iterator<Item = &Column> {
    site.stores.values().flat_map(|store| -> Vec<&Column> {
        match store {
            Store::Tables { tables, .. } => tables.iter().flat_map(|table| &table.columns).collect(),
            Store::Directory { .. } => Vec::new(),
            Store::Log { address, .. } => address.iter().collect(),
        }
    })
}

impl Builder<'_> {
    pub(super) fn server(&self) -> Server {
        let Subject { config, site, .. } = self.subject;
        let tags: BTreeSet<Tag> = site.stores.values().flat_map(tags).cloned().collect();
        let shortened = self.shortened();
        let name = |tag: &&Tag| periods::name(self.subject, tag, self.language);
        let is_held = |tag: &&Tag| periods::is_stored(config, site, tag) || shortened.contains(&name(tag));
        let ends = |tag: &Tag| config.period(site, tag).is_some() || periods::expires_by_itself(site, tag);
        let is_enforced = |tag: &&Tag| ends(tag) && periods::is_stored(config, site, tag);
        let own: Vec<&CategoryId> = tags.iter().filter_map(|tag| own(config, site, tag)).collect();
        let place = |(name, store): (&String, &Store)| Place {
            name: name.clone(),
            kind: self.language.text(&format!("store.{}", store.key())),
        };
        Server {
            places: site.stores.iter().map(place).collect(),
            own_data: own.iter().map(|category| self.category(category)).collect(),
            own_ids: own.iter().map(|category| format!("`{category}`")).collect(),
            held: tags.iter().filter(is_held).map(|tag| name(&tag)).collect(),
            enforced: tags.iter().filter(is_enforced).map(|tag| name(&tag)).collect(),
            shortened,
            tags,
        }
    }

    fn shortened(&self) -> Vec<String> {
        let Subject { config, site, .. } = self.subject;
        let mut names = Vec::new();
        for column in columns(site) {
            let Tag::Category(category) = &column.holds else { continue };
            let first = match &column.treatment {
                Treatment::Once(action) => Some(*action),
                Treatment::Ladder(steps) => steps.first().map(|step| step.action),
            };
            let name = self.category(category);
            if config.not_stored(site, category).is_some()
                && matches!(first, Some(ColumnAction::Truncate(_)))
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }
}

/// The category of a tag that the site stores and no processor in use is declared to process, neither as a whole nor
/// in part.
fn own<'a>(config: &Config, site: &Site, tag: &'a Tag) -> Option<&'a CategoryId> {
    let Tag::Category(category) = tag else { return None };
    let is_part = |part: &CategoryId, whole: &CategoryId| part.lineage().any(|id| id == *whole);
    let used = site.processors.iter().filter_map(|used| config.processors.get(&used.id));
    let mut processed = used.flat_map(|processor| &processor.data).flat_map(|group| &group.categories);
    let is_processed = processed.any(|other| is_part(category, other) || is_part(other, category));
    (!is_processed && config.not_stored(site, category).is_none()).then_some(category)
}
