//! The storage items that a site declares: what its processors set in visitors' browsers, under the names they have
//! there.
//!
//! One list for whoever tells of them and for whoever compares them with a browser.

use crate::config::site::{Site, SiteProcessor, is_own};
use crate::config::{Class, Config, ItemKind, Lifetime, Processor, StorageItem};

/// What stands for the site's key in the names of a processor's file.
pub(crate) const KEY: &str = "<CHAT_KEY>";

/// What ends a declared name that stands for all that begin like it: `_ga_*`.
const ANY: char = '*';

/// Whether `declared` names `name`, or stands for it.
pub(crate) fn stands_for(declared: &str, name: &str) -> bool {
    declared == name
        || declared.strip_suffix(ANY).is_some_and(|begin| !begin.is_empty() && name.strip_prefix(begin).is_some())
}

/// One storage item of one site.
#[derive(Debug, Clone)]
pub struct DeclaredItem<'a> {
    /// Its name in the browser.
    pub name: String,
    /// Its name in the processor's file.
    pub declared_name: &'a str,
    /// Who sets it.
    pub processor: &'a Processor,
    /// Whether it needs consent.
    pub class: Class,
    /// Where in the browser it stands.
    pub kind: ItemKind,
    /// What it is for.
    pub description: &'a str,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// The third party in whose name it stands; none where it is the site's own.
    pub third_party: Option<&'a str>,
    /// Whether the features that the site uses set it.
    pub in_use: Use,
}

/// Whether a declared item is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is, where its class needs none or the visitor agreed.
    Set,
    /// The feature that sets it is switched off.
    FeatureOff,
}

/// Every storage item that `site` declares, in the order of its processors and of their files.
pub fn declared<'a>(config: &'a Config, site: &'a Site) -> Vec<DeclaredItem<'a>> {
    let mut declared = Vec::new();
    for used in &site.processors {
        let Some(processor) = config.processors.get(&used.id) else { continue };
        declared.extend(processor.items.iter().map(|item| of(item, processor, used, site)));
    }
    declared
}

fn of<'a>(item: &'a StorageItem, processor: &'a Processor, used: &SiteProcessor, site: &Site) -> DeclaredItem<'a> {
    let StorageItem { name, class, kind, description, lifetime, host } = item;
    DeclaredItem {
        name: used.chat_key.as_ref().map_or_else(|| name.clone(), |key| name.replace(KEY, key)),
        declared_name: name,
        processor,
        class: *class,
        kind: *kind,
        description,
        lifetime: *lifetime,
        third_party: host.as_deref().filter(|host| !is_own(host, &site.domain)),
        in_use: in_use(*class, processor, used),
    }
}

/// A class that needs consent belongs to the feature of its name. Where the processor has no such feature, any feature
/// that rests on consent may set it, and where it names no features at all, it may as well: what could be there is told.
fn in_use(class: Class, processor: &Processor, used: &SiteProcessor) -> Use {
    let is_on = |id: &str| used.features.contains(id);
    let set = !class.needs_consent()
        || processor.features.is_empty()
        || match processor.features.iter().find(|feature| feature.id == class.key()) {
            Some(feature) => is_on(&feature.id),
            None => processor
                .features
                .iter()
                .any(|feature| feature.lawful_basis == crate::config::LawfulBasis::Consent && is_on(&feature.id)),
        };
    if set { Use::Set } else { Use::FeatureOff }
}
