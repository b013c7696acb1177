//! What follows from declarations taken together: whether a category is stored at all, and how long a tag may be kept.

use std::collections::{BTreeMap, BTreeSet};

use super::site::{Site, Tag};
use super::{Category, CategoryId, Config, Lifetime, Period, Processor, Setting, StorageItem};

/// A period and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedPeriod {
    /// How long.
    pub period: Period,
    /// Where that is said.
    pub source: PeriodSource,
}

/// Where a period is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeriodSource {
    /// The site's `[retention]`, for this tag or the parent it inherits from.
    Site(Tag),
    /// The lifetime of the storage item in the processor's file.
    Lifetime {
        /// The processor.
        processor: String,
    },
}

/// Why a category must not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotStored {
    /// Its setting is off in the site's file.
    SettingOff(Setting),
    /// Its setting is off because that is the default.
    DefaultOff(Setting),
    /// The site lists it, or its parent, under `not-stored`.
    Listed(CategoryId),
}

/// What one site and the files it depends on say about settings and periods.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) categories: &'a BTreeMap<CategoryId, Category>,
    pub(super) processors: &'a BTreeMap<String, Processor>,
    pub(super) settings: &'a BTreeMap<Setting, bool>,
    pub(super) not_stored: &'a BTreeSet<CategoryId>,
    pub(super) retention: &'a BTreeMap<Tag, Period>,
}

impl Said<'_> {
    /// See [`Config::not_stored`].
    pub(super) fn not_stored(self, category: &CategoryId) -> Option<NotStored> {
        let mut default = None;
        for id in category.lineage() {
            if self.not_stored.contains(&id) {
                return Some(NotStored::Listed(id));
            }
            let Some(setting) = self.categories.get(&id).and_then(|category| category.setting) else { continue };
            match self.settings.get(&setting) {
                Some(true) => return None,
                Some(false) => return Some(NotStored::SettingOff(setting)),
                None => default = default.or(Some(setting)),
            }
        }
        default.filter(|setting| !setting.default_value()).map(NotStored::DefaultOff)
    }

    /// See [`Config::period`].
    pub(super) fn period(self, tag: &Tag) -> Option<StatedPeriod> {
        match tag {
            Tag::Category(category) => category.lineage().find_map(|id| {
                let tag = Tag::Category(id);
                self.retention.get(&tag).map(|period| StatedPeriod { period: *period, source: PeriodSource::Site(tag) })
            }),
            Tag::Item { processor, .. } => match self.retention.get(tag) {
                Some(period) => Some(StatedPeriod { period: *period, source: PeriodSource::Site(tag.clone()) }),
                None => match item(self.processors, tag)?.lifetime {
                    Lifetime::For(period) => {
                        Some(StatedPeriod { period, source: PeriodSource::Lifetime { processor: processor.clone() } })
                    }
                    Lifetime::Session | Lifetime::UntilDeleted => None,
                },
            },
        }
    }
}

impl Config {
    fn said<'a>(&'a self, site: &'a Site) -> Said<'a> {
        let Config { categories, processors, .. } = self;
        let Site { settings, not_stored, retention, .. } = site;
        Said { categories, processors, settings, not_stored, retention }
    }

    /// Why `category` must not be kept on `site`; `None` where it may be.
    ///
    /// What is said explicitly of the nearest category wins: a `not-stored` entry, then the setting that governs it.
    /// Only where nothing is said explicitly does the default of the nearest setting hold.
    pub fn not_stored(&self, site: &Site, category: &CategoryId) -> Option<NotStored> {
        self.said(site).not_stored(category)
    }

    /// How long what is tagged so may be kept on `site`. There is no default: a tag of a checked configuration has
    /// none only where its category is not stored.
    pub fn period(&self, site: &Site, tag: &Tag) -> Option<StatedPeriod> {
        self.said(site).period(tag)
    }

    /// The storage item that a tag names.
    pub fn item(&self, tag: &Tag) -> Option<&StorageItem> {
        item(&self.processors, tag)
    }

    /// The files that `site` depends on: its rules are suspended while one of them is in doubt.
    pub fn depends_on<'a>(&'a self, site: &'a Site) -> impl Iterator<Item = &'a str> {
        let processors = site.processors.iter().filter_map(|used| self.processors.get(&used.id));
        ["forgetd.toml", "categories.toml"]
            .into_iter()
            .chain(processors.map(|processor| processor.file.as_str()))
            .chain(std::iter::once(site.file.as_str()))
    }
}

/// See [`Config::item`]. What stands in the name of another host is named by no tag.
pub(super) fn item<'a>(processors: &'a BTreeMap<String, Processor>, tag: &Tag) -> Option<&'a StorageItem> {
    let Tag::Item { processor, name, class } = tag else { return None };
    processors
        .get(processor)?
        .items
        .iter()
        .find(|item| item.name == *name && item.class == *class && item.host.is_none())
}
