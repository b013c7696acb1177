//! A processor: who it is, where it works, what it processes and what it sets in the visitor's browser.

use jiff::civil::Date;
use serde::Serialize;

use super::{CategoryId, Contact, Period};

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
    /// In whose name it stands, where that is not the site's own: this host and all below it.
    pub host: Option<String>,
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
