//! Data categories, and the settings that say whether one is stored at all.

use serde::Serialize;

/// A data category, dotted: `visit.ip-address` is part of `visit`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CategoryId(String);

impl CategoryId {
    /// Lower-case words of letters, digits and hyphens, joined by dots; `None` for anything else.
    pub fn new(text: &str) -> Option<CategoryId> {
        let word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && !word.ends_with('-')
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        text.split('.').all(word).then(|| CategoryId(text.to_owned()))
    }

    /// The dotted text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This category, its parent, its parent's parent: what is said of the nearest one holds.
    pub fn lineage(&self) -> impl Iterator<Item = CategoryId> + '_ {
        std::iter::successors(Some(self.0.as_str()), |id| id.rsplit_once('.').map(|(parent, _)| parent))
            .map(|id| CategoryId(id.to_owned()))
    }
}

impl std::fmt::Display for CategoryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a category means and what switches it off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Its name for people.
    pub name: String,
    /// What belongs to it.
    pub description: Option<String>,
    /// The setting that says whether it is stored at all.
    pub setting: Option<Setting>,
}

/// A site's switch over what is stored at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// IP addresses.
    StoreIp,
    /// Country and city.
    StoreLocation,
    /// Screen, device, browser, operating system.
    StoreDevice,
    /// Name, e-mail, phone, social networks.
    StoreContact,
    /// Addresses of the pages visited.
    StorePageUrls,
}

impl Setting {
    /// Every setting there is.
    pub const ALL: [Setting; 5] =
        [Setting::StoreIp, Setting::StoreLocation, Setting::StoreDevice, Setting::StoreContact, Setting::StorePageUrls];

    /// The key in a site file.
    pub fn key(self) -> &'static str {
        match self {
            Setting::StoreIp => "store-ip",
            Setting::StoreLocation => "store-location",
            Setting::StoreDevice => "store-device",
            Setting::StoreContact => "store-contact",
            Setting::StorePageUrls => "store-page-urls",
        }
    }

    /// What holds where the site says nothing: IP addresses are not kept (the processor's own default, and data
    /// protection by default, GDPR Article 25(2)); the rest is.
    pub fn default_value(self) -> bool {
        !matches!(self, Setting::StoreIp)
    }
}
