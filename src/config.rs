//! The configuration: a directory of TOML files turned into checked values, whole or not at all.
//!
//! The files say which processors a site uses, what its stores hold and which settings apply; nobody writes a purge
//! rule. [`Config`] existing is the proof that every file was read, every name resolved and every period found, so
//! the stages after this one have nothing left to check. File formats stay in `file`; `check` turns them into the
//! values below; [`Problems`] says everything that is wrong in one go.

mod check;
mod error;
mod file;
pub mod period;
mod read;
mod resolve;
pub mod schedule;
pub mod site;
pub mod time_format;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Date;
use serde::Serialize;

pub use error::{Problem, Problems};
pub use period::Period;
pub use read::{Source, Trust, hex, read_directory, state_directory};
pub use resolve::{NotStored, PeriodSource, StatedPeriod};
pub use schedule::Schedule;
pub use site::Site;
pub use time_format::TimeFormat;

/// Everything that is declared, checked as a whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// `forgetd.toml`.
    pub daemon: Daemon,
    /// `categories.toml`, by category.
    pub categories: BTreeMap<CategoryId, Category>,
    /// `processors/*.toml`, by the processor's id.
    pub processors: BTreeMap<String, Processor>,
    /// `sites/*.toml`, by domain.
    pub sites: BTreeMap<String, Site>,
    /// The files as they were read, by their path below the directory.
    pub sources: BTreeMap<String, Source>,
}

/// `forgetd.toml`: the daemon and who answers for it.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// Where the register, the audit log and the keys live. Absolute.
    pub state_dir: PathBuf,
    /// Who decides on the processing, unless a site says otherwise.
    pub controller: Controller,
    /// The data protection officer, where there is one.
    pub dpo: Option<Contact>,
    /// How much one run may erase without being asked.
    pub safety: Safety,
    /// How gently it works.
    pub pace: Pace,
}

/// The controller of GDPR Article 4(7), with what Article 30(1)(a) asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Controller {
    /// Name and contact.
    #[serde(flatten)]
    pub party: Contact,
    /// Who decides together with it (Article 26).
    pub joint_controller: Option<Contact>,
    /// Its representative in the Union (Article 27).
    pub representative: Option<Contact>,
}

/// A person or company with a way to reach it. What is not known is `None`, never invented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// Name of the company or person.
    pub name: String,
    /// Postal address.
    pub address: Option<String>,
    /// E-mail address, telephone number or web form.
    pub contact: Option<String>,
}

/// Limits of section `[safety]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Safety {
    /// Whether a new or loosened rule waits for an approval.
    pub approval: ApprovalMode,
    /// Largest share of a table that one run may touch.
    pub max_share: Share,
    /// Most records that one run may touch.
    pub max_rows: u64,
}

/// Whether new and loosened rules wait to be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalMode {
    /// They wait: the default.
    Required,
    /// They run at once; the limits on share and rows still apply.
    Automatic,
}

/// A share between 0 and 1, kept exactly in millionths so that limits never depend on floating point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// The whole.
    pub const WHOLE: Share = Share(1_000_000);
    /// One half.
    pub const HALF: Share = Share(500_000);
    /// One tenth.
    pub const TENTH: Share = Share(100_000);

    /// A share of `millionths`, at most one whole.
    pub fn from_millionths(millionths: u32) -> Option<Share> {
        (millionths <= Self::WHOLE.0).then_some(Share(millionths))
    }

    /// The share in millionths.
    pub fn millionths(self) -> u32 {
        self.0
    }

    /// This share of `total`, rounded down.
    pub fn of(self, total: u64) -> u64 {
        let exact = u128::from(total) * u128::from(self.0) / 1_000_000;
        u64::try_from(exact).unwrap_or(total)
    }
}

/// Section `[pace]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// What one batch aims at.
    pub batch_time: Duration,
    /// Share of the time spent working.
    pub duty: Share,
    /// Longest lag of a replica that is still worked against.
    pub max_lag: Duration,
}

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

/// A processor (GDPR Article 4(8)): who, where, under which safeguards, what it sets and processes.
#[derive(Debug, Clone)]
pub struct Processor {
    /// The name that sites use for it.
    pub id: String,
    /// The product's name.
    pub product: String,
    /// Legal name, registered office, contact.
    pub party: Contact,
    /// Company identification number.
    pub identification: Option<String>,
    /// Its own data protection officer.
    pub dpo: Option<Contact>,
    /// Regions where data are stored.
    pub locations: Vec<Location>,
    /// Transfers to third countries with their safeguards, as far as they are known.
    pub transfers: Vec<Transfer>,
    /// How it chooses sub-processors, and those that are known.
    pub sub_processors: SubProcessors,
    /// What its features are for and on which basis.
    pub features: Vec<Feature>,
    /// Groups of personal data that it processes.
    pub data: Vec<DataGroup>,
    /// What it sets in the visitor's browser.
    pub items: Vec<StorageItem>,
    /// Everything else that it states about itself, one fact each.
    pub statements: Vec<Statement>,
    /// Where the facts were read.
    pub source: Option<String>,
    /// When they were read.
    pub read: Option<Date>,
    /// The file, below the directory.
    pub file: String,
}

/// A region where data are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Location {
    /// `EU`, `US`, `other`.
    pub region: String,
    /// Whether most data are there.
    pub primary: bool,
    /// What the processor promises about it.
    pub promise: Option<String>,
}

/// A transfer to a third country (GDPR Chapter V).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transfer {
    /// Country or region.
    pub country: String,
    /// The safeguard, where it is known: an adequacy decision, standard contractual clauses, and so on.
    pub safeguard: Option<String>,
    /// Until when the safeguard is valid: dated data, never code.
    pub valid_until: Option<Date>,
}

/// Sub-processors (GDPR Article 28(2) and (4)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubProcessors {
    /// Whether there are any: `None` when it is not known.
    pub exist: Option<bool>,
    /// How they are chosen.
    pub selection: Option<String>,
    /// Those that are known by name.
    pub known: Vec<SubProcessor>,
}

/// One sub-processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubProcessor {
    /// Name, address, contact (EDPB Opinion 22/2024 wants all three at hand).
    pub party: Contact,
    /// What it does.
    pub purpose: Option<String>,
    /// Where.
    pub country: Option<String>,
}

/// One feature of a processor with its purpose and lawful basis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// `chat`, `analytics`, `marketing`.
    pub id: String,
    /// What it is for.
    pub purpose: String,
    /// GDPR Article 6(1).
    pub lawful_basis: LawfulBasis,
}

/// Lawful basis of GDPR Article 6(1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LawfulBasis {
    /// (a)
    Consent,
    /// (b)
    Contract,
    /// (c)
    LegalObligation,
    /// (f)
    LegitimateInterest,
}

impl LawfulBasis {
    /// The word used in files and in the register.
    pub fn key(self) -> &'static str {
        match self {
            LawfulBasis::Consent => "consent",
            LawfulBasis::Contract => "contract",
            LawfulBasis::LegalObligation => "legal-obligation",
            LawfulBasis::LegitimateInterest => "legitimate-interest",
        }
    }
}

/// A group of personal data as the processor names it, with its items as data categories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataGroup {
    /// The group's name.
    pub name: String,
    /// Its items.
    pub categories: Vec<CategoryId>,
}

/// A cookie or another entry that a processor sets in the visitor's browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageItem {
    /// Its name; `<CHAT_KEY>` stands for the site's key.
    pub name: String,
    /// Whether it needs consent.
    pub class: Class,
    /// Where in the browser it stands.
    pub kind: ItemKind,
    /// What it is for.
    pub description: String,
    /// How long it lives.
    pub lifetime: Lifetime,
}

/// Class of a storage item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Needed for what the visitor asked for.
    Functional,
    /// Measures.
    Analytics,
    /// Targets.
    Marketing,
}

impl Class {
    /// The word used in files and in the register.
    pub fn key(self) -> &'static str {
        match self {
            Class::Functional => "functional",
            Class::Analytics => "analytics",
            Class::Marketing => "marketing",
        }
    }

    /// Whether an item of this class may be kept only where the visitor agreed (ePrivacy Directive, Article 5(3)).
    pub fn needs_consent(self) -> bool {
        match self {
            Class::Functional => false,
            Class::Analytics | Class::Marketing => true,
        }
    }
}

/// Where a storage item stands in the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemKind {
    /// A cookie.
    Cookie,
    /// An entry of Local Storage.
    LocalStorage,
    /// An entry of session storage.
    SessionStorage,
    /// A database of the browser.
    IndexedDb,
}

impl ItemKind {
    /// The word used in files and in the register.
    pub fn key(self) -> &'static str {
        match self {
            ItemKind::Cookie => "cookie",
            ItemKind::LocalStorage => "local-storage",
            ItemKind::SessionStorage => "session-storage",
            ItemKind::IndexedDb => "indexed-db",
        }
    }
}

/// How long a storage item lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// A fixed time after it was last set.
    For(Period),
    /// Until the browser is closed.
    Session,
    /// Until the application or the visitor deletes it: no period follows from it.
    UntilDeleted,
}

impl std::fmt::Display for Lifetime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lifetime::For(period) => period.fmt(f),
            Lifetime::Session => f.write_str("session"),
            Lifetime::UntilDeleted => f.write_str("until deleted"),
        }
    }
}

/// One fact that a processor states about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it is about: `information-duty`, `agreement`, `automated-processing`, …
    pub topic: String,
    /// The fact, in our words.
    pub text: String,
}
