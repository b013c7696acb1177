//! Captures in JSON. The keys at the top tell which one it is; cookies look nearly alike in all of them.

use std::io::Read;

use jiff::Timestamp;
use serde::Deserialize;

use super::har::{Har, date};
use super::list::{Bounded, Keyed, Skipped};
use super::{Items, Refused, TooMany, instant, life_until};
use crate::config::ItemKind;
use crate::cookies::{Life, Source, host};

/// What may stand at the top of a capture.
#[derive(Debug, Deserialize)]
struct Document {
    /// A HAR file.
    log: Option<Har>,
    /// A storage state, or an inspection.
    cookies: Option<Bounded<Row>>,
    /// A storage state.
    origins: Option<Bounded<Origin>>,
    /// An inspection.
    uri_ins: Option<Skipped>,
    start_time: Option<Timestamp>,
    #[serde(rename = "localStorage")]
    local_storage: Option<Keyed<Keyed<Skipped>>>,
}

/// A cookie.
#[derive(Debug, Deserialize)]
pub(in crate::cookies) struct Row {
    name: String,
    domain: Option<String>,
    /// Negative for a cookie of the session.
    expires: Option<End>,
    /// The same as browser extensions call it.
    #[serde(rename = "expirationDate")]
    expiration_date: Option<End>,
}

/// When a cookie ends: seconds since 1970, or the date that a script wrote.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum End {
    Seconds(f64),
    Date(String),
}

impl End {
    /// How long a cookie with this end lives from an instant on; none where it is deleted by it.
    pub(super) fn life(end: Option<&End>, from: Option<Timestamp>) -> Option<Life> {
        let end = match end {
            None => return Some(Life::Session),
            Some(End::Seconds(seconds)) if *seconds <= 0.0 => return Some(Life::Session),
            Some(End::Seconds(seconds)) => Some(instant(*seconds)),
            Some(End::Date(date)) => self::date(date),
        };
        match (end, from) {
            (Some(end), Some(from)) => life_until(end, from),
            _ => Some(Life::NotSaid),
        }
    }
}

impl Row {
    /// Adds the cookie, as it was at that time.
    pub(in crate::cookies) fn add_to(&self, items: &mut Items, at: Timestamp) -> Result<(), TooMany> {
        match End::life(self.expires.as_ref().or(self.expiration_date.as_ref()), Some(at)) {
            Some(life) => items.add(&self.name, ItemKind::Cookie, self.domain.as_deref().and_then(host::named), life),
            None => Ok(()),
        }
    }
}

/// An origin of a storage state.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Origin {
    origin: String,
    local_storage: Option<Bounded<Named>>,
    #[serde(rename = "indexedDB")]
    indexed_db: Option<Bounded<Named>>,
}

/// Something with a name.
#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

impl From<TooMany> for Refused {
    fn from(_: TooMany) -> Refused {
        Refused::Malformed { line: 1, column: 1, problem: "more cookies and entries than a visit to a website can set" }
    }
}

/// A document: a HAR file, an inspection, or a storage state.
pub(super) fn document(reader: &mut impl Read, written: Timestamp) -> Result<(Source, Items), Refused> {
    let document: Document = whole(reader)?;
    let Document { log, cookies, origins, uri_ins, start_time, local_storage } = document;
    if let Some(Har(items)) = log {
        return Ok((Source::Har, items));
    }
    let (source, at) = match (&origins, &cookies, uri_ins.is_some() || local_storage.is_some()) {
        (_, _, true) => (Source::Inspection, start_time.unwrap_or(written)),
        (Some(_), _, _) | (None, Some(_), false) => (Source::StorageState, written),
        (None, None, false) => return Err(Refused::Unknown),
    };
    let mut items = Items::default();
    for row in cookies.into_iter().flat_map(|rows| rows.0) {
        row.add_to(&mut items, at)?;
    }
    for origin in origins.into_iter().flat_map(|origins| origins.0) {
        origin.add_to(&mut items)?;
    }
    for (address, entries) in local_storage.into_iter().flat_map(|origins| origins.0) {
        for (name, _) in entries.0 {
            items.add(&name, ItemKind::LocalStorage, host::of_address(&address), Life::UntilDeleted)?;
        }
    }
    Ok((source, items))
}

impl Origin {
    fn add_to(self, items: &mut Items) -> Result<(), TooMany> {
        let host = host::of_address(&self.origin);
        for (entries, kind) in [(self.local_storage, ItemKind::LocalStorage), (self.indexed_db, ItemKind::IndexedDb)] {
            for entry in entries.into_iter().flat_map(|entries| entries.0) {
                items.add(&entry.name, kind, host.clone(), Life::UntilDeleted)?;
            }
        }
        Ok(())
    }
}

/// A list of cookies.
pub(super) fn list(reader: &mut impl Read, written: Timestamp) -> Result<(Source, Items), Refused> {
    let rows: Bounded<Row> = whole(reader)?;
    let mut items = Items::default();
    for row in rows.0 {
        row.add_to(&mut items, written)?;
    }
    Ok((Source::CookieList, items))
}

/// The whole of a file, behind which nothing else may stand.
fn whole<T: for<'de> Deserialize<'de>>(reader: &mut impl Read) -> Result<T, serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_reader(reader);
    let value = T::deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}
