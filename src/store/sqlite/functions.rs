//! SQL functions for what SQL cannot say exactly: instants written as text, and addresses. They belong to one
//! connection and one selection, and the application's schema cannot call them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result};

use crate::config::TimeFormat;
use crate::config::site::{Mask, RowTime};
use crate::store::address::{self, Masked, mask_bytes, mask_integer, mask_text};

/// The instant in a column, in microseconds since 1970 rounded up (towards keeping); NULL where there is none that is
/// plausible.
pub(super) const INSTANT: &str = "forgetd_instant";
/// Whether a text would be a plausible instant if it had a zone.
pub(super) const LACKS_ZONE: &str = "forgetd_lacks_zone";
/// The value after masking.
pub(super) const MASK: &str = "forgetd_mask";
/// Whether masking would change the value.
pub(super) const UNMASKED: &str = "forgetd_unmasked";

/// Same input, same output; and no use by triggers, views or indexes of the application.
const FLAGS: FunctionFlags =
    FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC).union(FunctionFlags::SQLITE_DIRECTONLY);

/// The instants that a record may plausibly have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plausible {
    /// The first one.
    pub(super) earliest: Timestamp,
    /// The last one.
    pub(super) latest: Timestamp,
}

impl Plausible {
    fn allows(&self, instant: Timestamp) -> bool {
        self.earliest <= instant && instant <= self.latest
    }
}

/// Defines [`INSTANT`] and [`LACKS_ZONE`] for columns written like `time`.
pub(super) fn define_instant(connection: &Connection, time: &RowTime, plausible: Plausible) -> Result<()> {
    let format = time.format;
    let zone = time.zone.as_ref().map(|zone| zone.zone.clone());
    let lacks_zone = zone.is_none();
    connection.create_scalar_function(INSTANT, 1, FLAGS, move |context| {
        let instant = instant(context.get_raw(0), format, zone.as_ref());
        Ok(instant.filter(|instant| plausible.allows(*instant)).and_then(microseconds_up))
    })?;
    connection.create_scalar_function(LACKS_ZONE, 1, FLAGS, move |context| {
        let instant = instant(context.get_raw(0), format, Some(&TimeZone::UTC));
        Ok(lacks_zone && instant.is_some_and(|instant| plausible.allows(instant)))
    })
}

/// Only MediaWiki's format is also found as bytes: it declares the column BINARY(14).
fn instant(value: ValueRef<'_>, format: TimeFormat, zone: Option<&TimeZone>) -> Option<Timestamp> {
    let bytes = match value {
        ValueRef::Text(bytes) => bytes,
        ValueRef::Blob(bytes) if format == TimeFormat::Mediawiki => bytes,
        _ => return None,
    };
    format.parse_text(str::from_utf8(bytes).ok()?, zone)
}

/// Microseconds since 1970, rounded up.
pub(super) fn microseconds_up(instant: Timestamp) -> Option<i64> {
    let nanoseconds = instant.as_nanosecond();
    i64::try_from(-(-nanoseconds).div_euclid(1_000)).ok()
}

/// Microseconds since 1970, rounded down.
pub(super) fn microseconds_down(instant: Timestamp) -> Option<i64> {
    i64::try_from(instant.as_nanosecond().div_euclid(1_000)).ok()
}

/// Defines [`MASK`] and [`UNMASKED`]. `unparsed` is written instead of what must be erased.
pub(super) fn define_mask(connection: &Connection, mask: Mask, unparsed: Value) -> Result<()> {
    connection.create_scalar_function(MASK, 1, FLAGS, move |context| {
        let value = context.get_raw(0);
        // Never asked for what may stay; if it were, failing would leave the record as it is.
        masked(value, &mask, &unparsed).ok_or(Error::InvalidParameterType(0, value.data_type()))
    })?;
    connection.create_scalar_function(UNMASKED, 1, FLAGS, move |context| {
        Ok(masked(context.get_raw(0), &mask, &Value::Null).is_some())
    })
}

/// What must be written instead of `value`; `None` if it may stay.
fn masked(value: ValueRef<'_>, mask: &Mask, unparsed: &Value) -> Option<Value> {
    let masked: Masked<Value> = match value {
        ValueRef::Null => Masked::Unchanged,
        ValueRef::Integer(number) => map(mask_integer(number, mask), Value::Integer),
        // No address is a fraction, but a column of type REAL turns whole numbers into one.
        ValueRef::Real(_) => address::unparsed(mask),
        ValueRef::Blob(bytes) => map(mask_bytes(bytes, mask), Value::Blob),
        ValueRef::Text(bytes) => match str::from_utf8(bytes) {
            Ok(text) => map(mask_text(text, mask), Value::Text),
            Err(_) => address::unparsed(mask),
        },
    };
    match masked {
        Masked::Unchanged => None,
        Masked::To(value) => Some(value),
        Masked::Unparsed => Some(unparsed.clone()),
    }
}

fn map<T>(masked: Masked<T>, wrap: impl FnOnce(T) -> Value) -> Masked<Value> {
    match masked {
        Masked::Unchanged => Masked::Unchanged,
        Masked::To(value) => Masked::To(wrap(value)),
        Masked::Unparsed => Masked::Unparsed,
    }
}
