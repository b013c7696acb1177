//! What a browser really holds, against what the site declares.
//!
//! A cookie overview is true only as long as somebody looks. A capture is read from a file that a tool has written, or
//! taken by an installed browser that visits the page; both become the same list of names, places and lifetimes, which
//! [`compare`](compare()) lays beside the declared storage items.
//!
//! Values of cookies and entries identify visitors. They are skipped where a capture is read, and no type here has a
//! place for one.

mod browser;
mod capture;
mod compare;
mod draft;
mod host;
mod lifetime;
mod names;
mod remark;
mod visit;

use serde::Serialize;

use crate::config::ItemKind;

pub use browser::{BrowserError, Sandbox, sandbox};
pub use capture::{ReadError, read};
pub use compare::compare;
pub use draft::draft;
pub use remark::{Level, Remark, Topic};
pub use visit::{Visit, VisitError, visit};

/// What a browser held at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Capture {
    /// Where it comes from.
    pub source: Source,
    /// What the visitor had answered by then.
    pub moment: Moment,
    /// What it holds.
    pub items: Vec<Seen>,
}

/// One item that a browser holds. Its value is never read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Where in the browser it stands.
    pub kind: ItemKind,
    /// The host that it belongs to, where the capture says so.
    pub host: Option<String>,
    /// How long it lives.
    #[serde(rename = "lives")]
    pub life: Life,
}

/// How long an item lives, by what the capture tells of it. Later ones live longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// The capture does not tell.
    NotSaid,
    /// Until the browser is closed.
    Session,
    /// So many seconds, or more: what was captured later has less left.
    Seconds(u64),
    /// Until somebody deletes it.
    UntilDeleted,
}

/// What the visitor had answered when a capture was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Nothing yet.
    BeforeConsent,
    /// That nothing may be kept that needs consent.
    AfterRefusal,
    /// That everything may.
    AfterAcceptance,
    /// Nobody said.
    NotSaid,
}

impl Moment {
    /// The word for programs.
    pub fn key(self) -> &'static str {
        match self {
            Moment::BeforeConsent => "before-consent",
            Moment::AfterRefusal => "after-refusal",
            Moment::AfterAcceptance => "after-acceptance",
            Moment::NotSaid => "not-said",
        }
    }

    /// The moment in words.
    pub fn words(self) -> &'static str {
        match self {
            Moment::BeforeConsent => "before consent",
            Moment::AfterRefusal => "after refusal",
            Moment::AfterAcceptance => "after acceptance",
            Moment::NotSaid => "with consent not said",
        }
    }
}

/// Where a capture comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A log of requests (HTTP Archive 1.2).
    Har,
    /// `inspection.json` of the EDPS Website Evidence Collector.
    Inspection,
    /// A cookie file in Netscape's format, as curl and wget keep one.
    CookiesTxt,
    /// What Playwright calls a storage state.
    StorageState,
    /// A list of cookies in JSON, as Puppeteer and browser extensions write one.
    CookieList,
    /// An installed browser that visited the page.
    Browser,
}

impl Source {
    /// The word for programs.
    pub fn key(self) -> &'static str {
        match self {
            Source::Har => "har",
            Source::Inspection => "inspection",
            Source::CookiesTxt => "cookies-txt",
            Source::StorageState => "storage-state",
            Source::CookieList => "cookie-list",
            Source::Browser => "browser",
        }
    }

    /// The source in words.
    pub fn words(self) -> &'static str {
        match self {
            Source::Har => "a HAR file",
            Source::Inspection => "an inspection of the Website Evidence Collector",
            Source::CookiesTxt => "a cookies.txt",
            Source::StorageState => "a storage state",
            Source::CookieList => "a list of cookies",
            Source::Browser => "a visit with a browser",
        }
    }

    /// The kinds of items that such a capture can hold.
    pub fn kinds(self) -> &'static [ItemKind] {
        match self {
            Source::Har | Source::CookiesTxt | Source::CookieList => &[ItemKind::Cookie],
            Source::Inspection | Source::StorageState => &[ItemKind::Cookie, ItemKind::LocalStorage],
            Source::Browser => {
                &[ItemKind::Cookie, ItemKind::LocalStorage, ItemKind::SessionStorage, ItemKind::IndexedDb]
            }
        }
    }
}
