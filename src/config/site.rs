//! One website: its settings, the processors it uses, how long it keeps what, and the stores that hold it.

mod database;
mod files;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CategoryId, Class, Contact, Controller, Period, Schedule, Setting};
pub use database::{After, DatabaseKind, Password, Server};
pub use files::{Directory, FileAge, Log, LogFormat, NamePattern, UnparsedLine};
pub use table::{
    Child, Column, ColumnAction, Consent, Mask, RowTime, Scalar, SideEffect, Step, Table, TimeMeaning, Treatment,
    Unparsed,
};

/// `sites/*.toml`.
#[derive(Debug, Clone)]
pub struct Site {
    /// The site's name everywhere.
    pub domain: String,
    /// Zone of the schedule and of calendar days.
    pub time_zone: Zone,
    /// When its rules run.
    pub schedule: Schedule,
    /// Instead of the daemon's.
    pub controller: Option<Controller>,
    /// Instead of the daemon's.
    pub dpo: Option<Contact>,
    /// What is stored at all, as far as the file says so.
    pub settings: BTreeMap<Setting, bool>,
    /// Further categories that must not be kept.
    pub not_stored: BTreeSet<CategoryId>,
    /// Processors in use.
    pub processors: Vec<SiteProcessor>,
    /// Where a visitor answers for cookies.
    pub cookie_bar: CookieBar,
    /// How long what may be kept.
    pub retention: BTreeMap<Tag, Period>,
    /// Where visitor records lie, by the store's name.
    pub stores: BTreeMap<String, Store>,
    /// The file, below the directory.
    pub file: String,
}

/// Longest host name (RFC 1035 §2.3.4, without the dots of the wire form).
const LONGEST_DOMAIN: usize = 253;

/// Longest label of a host name (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

/// Whether `name` is a host name in lower case: letters, digits and hyphens between dots (RFC 1123 §2.1).
pub fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= LONGEST_DOMAIN && name.split('.').all(label)
}

/// Whether `host` is `domain` or a name below it.
pub fn is_within(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| domain.contains('.') && rest.ends_with('.'))
}

/// Whether what stands in the name of `host` is the own of the site `domain`.
///
/// Without a list of public suffixes nobody can tell whether `shop.example` and `blog.example` belong together. So a
/// host is the site's own where one of the two names is a part of the other, and else a third party: doubt shows.
pub fn is_own(host: &str, domain: &str) -> bool {
    // A cookie of `shop.example` is sent by `www.shop.example`, and the other way round.
    is_within(host, domain) || is_within(domain, host)
}

/// A time zone with the name it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// IANA name.
    pub name: String,
    /// Its rules.
    pub zone: TimeZone,
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let zone = TimeZone::get(&name).map_err(serde::de::Error::custom)?;
        Ok(Zone { name, zone })
    }
}

/// A processor as one site uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteProcessor {
    /// The processor's id.
    pub id: String,
    /// Fills `<CHAT_KEY>` in the names of its storage items.
    pub chat_key: Option<String>,
    /// Features switched on.
    pub features: BTreeSet<String>,
    /// Date of the data processing agreement (GDPR Article 28(3)).
    pub agreement: Option<Date>,
}

/// The buttons of the site's cookie bar, by CSS selectors, for a check that presses them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CookieBar {
    /// The button that agrees to everything.
    pub accept: Option<String>,
    /// The button that refuses everything that may be refused.
    pub refuse: Option<String>,
}

/// What a table or column holds: a data category or a storage item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tag {
    /// A data category.
    Category(CategoryId),
    /// A storage item, by the name it has in the processor's file.
    Item {
        /// The processor that sets it.
        processor: String,
        /// Name with `<CHAT_KEY>` unfilled.
        name: String,
        /// Class, which is part of the identity: one name may stand in two.
        class: Class,
    },
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Tag::Category(id) => id.fmt(f),
            Tag::Item { name, .. } => f.write_str(name),
        }
    }
}

/// A place on the server that holds visitor records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// Tables of a database.
    Tables {
        /// The database.
        database: DatabaseKind,
        /// Its tables.
        tables: Vec<Table>,
    },
    /// Files of a directory.
    Directory {
        /// Which.
        directory: Directory,
        /// How long a file lives.
        holds: Tag,
    },
    /// Lines of a log.
    Log {
        /// Which.
        log: Log,
        /// How long a line lives.
        holds: Tag,
        /// What happens to the addresses in it; `name` is `address`.
        address: Option<Column>,
    },
}

impl Store {
    /// The word used in files and in the register.
    pub fn key(&self) -> &'static str {
        match self {
            Store::Tables { database, .. } => database.key(),
            Store::Directory { .. } => "directory",
            Store::Log { .. } => "log",
        }
    }

    /// Where it is: a path or a URL. Names the store in the register and in errors.
    pub fn location(&self) -> String {
        match self {
            Store::Tables { database, .. } => database.location(),
            Store::Directory { directory, .. } => directory.location(),
            Store::Log { log, .. } => log.location(),
        }
    }

    /// Its tables; a directory and a log have none.
    pub fn tables(&self) -> &[Table] {
        match self {
            Store::Tables { tables, .. } => tables,
            Store::Directory { .. } | Store::Log { .. } => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_name_belong_together_and_names_that_end_alike_do_not() {
        assert!(is_own("shop.example", "shop.example"));
        assert!(is_own("www.shop.example", "shop.example"));
        assert!(is_own("shop.example", "www.shop.example"));
        assert!(!is_own("workshop.example", "shop.example"));
        assert!(!is_own("example", "shop.example"));
        assert!(!is_own("blog.example", "shop.example"));
    }

    #[test]
    fn a_host_is_within_itself_and_the_names_above_it_only() {
        assert!(is_within("shop.example", "shop.example"));
        assert!(is_within("www.shop.example", "shop.example"));
        assert!(!is_within("shop.example", "www.shop.example"));
        assert!(!is_within("workshop.example", "shop.example"));
    }
}
