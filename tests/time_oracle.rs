//! Every way of writing a time × every odd value × every declared type, against a model with arithmetic of its own.
//!
//! The model knows three zones by their laws, not by a database; it counts days itself and reads text by its shape.
//! For every cell the survey and a real walk must agree with it, and what is undatable must be kept and counted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mariadb.rs"]
mod mariadb;
#[path = "support/postgres_server.rs"]
mod postgres_server;

use std::collections::BTreeSet;
use std::time::Duration;

use forgetd::config::TimeFormat;
use forgetd::config::site::{After, DatabaseKind, RowTime, Server, TimeMeaning, Zone};
use forgetd::plan::{Action, Definition, TableRule, Target, When};
use forgetd::store::{self, Selection};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use mysql::prelude::Queryable;
use rstest::rstest;
use rusqlite::Connection;
use rusqlite::types::Value;

/// Nothing here has a replica.
const MAX_LAG: Duration = Duration::ZERO;

const SECOND: i128 = 1_000_000_000;
const DAY: i64 = 86_400;
/// 1995-01-01T00:00:00Z.
const EARLIEST: i64 = 788_918_400;
const TOLERANCE: i64 = 120;

/// Days from 1970-01-01, by counting leap years.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let leaps = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let before_year = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let before_month: i64 = (1..month).map(|month| length(year, month)).sum();
    before_year + before_month + day - 1
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn length(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The calendar date of a day, by walking there.
fn date(mut day: i64) -> (i64, i64, i64) {
    let (mut year, mut month) = (1970, 1);
    while day < 0 {
        year -= 1;
        day += 365 + i64::from(is_leap(year));
    }
    while day >= 365 + i64::from(is_leap(year)) {
        day -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    while day >= length(year, month) {
        day -= length(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

/// The `nth` Sunday of a month (the last one for 5), as a day.
fn sunday(year: i64, month: i64, nth: i64) -> i64 {
    // 1970-01-01 was a Thursday: day 3 was a Sunday.
    let sundays: Vec<i64> =
        (1..=length(year, month)).map(|d| days(year, month, d)).filter(|d| (d - 3) % 7 == 0).collect();
    if nth == 5 { sundays[sundays.len() - 1] } else { sundays[usize::try_from(nth).unwrap() - 1] }
}

/// A zone by its law: the standard offset, and the two changes of a year in seconds since 1970.
struct Law {
    name: &'static str,
    standard: i64,
    summer: i64,
    /// (start, end) of summer time in a year; the end comes first in the southern hemisphere.
    summer_time: fn(i64) -> Option<(i64, i64)>,
}

const LAWS: [Law; 4] = [
    Law { name: "UTC", standard: 0, summer: 0, summer_time: |_| None },
    // Directive 2000/84/EC: last Sundays of March and October, 01:00 UTC.
    Law {
        name: "Europe/Prague",
        standard: 3_600,
        summer: 7_200,
        summer_time: |year| Some((sunday(year, 3, 5) * DAY + 3_600, sunday(year, 10, 5) * DAY + 3_600)),
    },
    // Energy Policy Act of 2005: second Sunday of March, first of November, 02:00 local time.
    Law {
        name: "America/New_York",
        standard: -18_000,
        summer: -14_400,
        summer_time: |year| Some((sunday(year, 3, 2) * DAY + 7 * 3_600, sunday(year, 11, 1) * DAY + 6 * 3_600)),
    },
    // Half an hour of summer time, from the first Sunday of October to the first of April, 02:00 local time.
    Law {
        name: "Australia/Lord_Howe",
        standard: 37_800,
        summer: 39_600,
        summer_time: |year| {
            Some((sunday(year, 10, 1) * DAY + 7_200 - 37_800, sunday(year, 4, 1) * DAY + 7_200 - 39_600))
        },
    },
];

impl Law {
    fn offset(&self, instant: i64) -> i64 {
        let (year, ..) = date(instant.div_euclid(DAY));
        let is_summer = (self.summer_time)(year).is_some_and(|(start, end)| match start < end {
            true => start <= instant && instant < end,
            false => instant < end || start <= instant,
        });
        if is_summer { self.summer } else { self.standard }
    }

    /// What a local time may mean; both readings where the clock skipped it.
    fn readings(&self, local: i64) -> Vec<i64> {
        let both = [local - self.standard, local - self.summer];
        let real: Vec<i64> = both.into_iter().filter(|instant| instant + self.offset(*instant) == local).collect();
        if real.is_empty() { both.into() } else { real }
    }

    fn latest(&self, local: i64) -> i64 {
        self.readings(local).into_iter().max().unwrap()
    }

    fn zone(&self) -> Zone {
        Zone { name: self.name.to_owned(), zone: TimeZone::get(self.name).unwrap() }
    }
}

/// A period as the model knows it.
#[derive(Clone, Copy)]
enum Span {
    Days(i64),
    Months(i64),
}

/// The start of the local day that lies a span before today.
fn cutoff(now: i64, span: Span, law: &Law) -> i64 {
    let today = (now + law.offset(now)).div_euclid(DAY);
    let day = match span {
        Span::Days(count) => today - count,
        Span::Months(count) => {
            let (year, month, day) = date(today);
            let months = year * 12 + month - 1 - count;
            let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
            days(year, month, day.min(length(year, month)))
        }
    };
    law.readings(day * DAY).into_iter().min().unwrap()
}

/// Nanoseconds since 1970, or nothing where the text is not certainly a time.
fn read_text(text: &str, format: TimeFormat, law: Option<&Law>) -> Option<i128> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    if format == TimeFormat::Mediawiki {
        if shape != "99999999999999" {
            return None;
        }
        let at = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap();
        return civil((at(0, 4), at(4, 6), at(6, 8)), (at(8, 10), at(10, 12), at(12, 14)))
            .map(|s| i128::from(s) * SECOND);
    }
    let number = |range: std::ops::Range<usize>| text.get(range).map_or(0, |digits| digits.parse::<i64>().unwrap());
    if shape == "9999-99-99" {
        let midnight = civil((number(0..4), number(5..7), number(8..10)), (0, 0, 0))?;
        return law.map(|law| i128::from(law.latest(midnight + DAY)) * SECOND - 1_000);
    }
    let (head, rest) = shape.split_at_checked(16)?;
    if !["9999-99-99 99:99", "9999-99-99T99:99", "9999-99-99t99:99"].contains(&head) {
        return None;
    }
    let (seconds, rest) = match rest.strip_prefix(":99") {
        Some(rest) => (number(17..19), rest),
        None => (0, rest),
    };
    let (nanoseconds, zone) = match rest.strip_prefix('.') {
        Some(rest) if head.len() + 3 + 1 + rest.len() == shape.len() => {
            let zone = rest.trim_start_matches('9');
            let digits = &text[20..text.len() - zone.len()];
            if digits.is_empty() || digits.len() > 9 {
                return None;
            }
            (format!("{digits:0<9}").parse::<i128>().unwrap(), zone)
        }
        _ => (0, rest),
    };
    let local = civil((number(0..4), number(5..7), number(8..10)), (number(11..13), number(14..16), seconds))?;
    let written = &text[text.len() - zone.len()..];
    let instant = match zone {
        "" => law?.latest(local),
        _ if format == TimeFormat::Datetime => return None,
        "Z" | "z" => local,
        "+99" | "-99" | "+9999" | "-9999" | "+99:99" | "-99:99" => {
            let digits: String = written.chars().filter(char::is_ascii_digit).collect();
            let digits: i64 = format!("{digits:0<4}").parse().unwrap();
            let offset = (digits / 100 * 60 + digits % 100) * 60;
            if written.starts_with('-') { local + offset } else { local - offset }
        }
        _ => return None,
    };
    Some(i128::from(instant) * SECOND + nanoseconds)
}

fn civil((year, month, day): (i64, i64, i64), (hour, minute, second): (i64, i64, i64)) -> Option<i64> {
    let exists = (1..=12).contains(&month)
        && (1..=length(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    exists.then(|| days(year, month, day) * DAY + hour * 3_600 + minute * 60 + second)
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Verdict {
    Expired,
    Kept,
    Undatable,
}

/// One column's declaration and one moment.
struct Cell<'a> {
    format: TimeFormat,
    law: Option<&'a Law>,
    now: i64,
    cutoff: i64,
}

const UNITS: [(TimeFormat, i128); 3] =
    [(TimeFormat::UnixSeconds, SECOND), (TimeFormat::UnixMillis, 1_000_000), (TimeFormat::UnixMicros, 1_000)];

impl Cell<'_> {
    fn unit(&self) -> Option<i128> {
        UNITS.iter().find(|(format, _)| *format == self.format).map(|(_, unit)| *unit)
    }

    fn instant(&self, stored: &Value, law: Option<&Law>) -> Option<i128> {
        let instant = match (stored, self.unit()) {
            (Value::Integer(number), Some(unit)) => i128::from(*number) * unit,
            (Value::Text(text), None) => read_text(text, self.format, law)?,
            (Value::Blob(bytes), None) if self.format == TimeFormat::Mediawiki => {
                read_text(str::from_utf8(bytes).ok()?, self.format, law)?
            }
            _ => return None,
        };
        self.is_plausible(instant).then_some(instant)
    }

    fn is_plausible(&self, instant: i128) -> bool {
        i128::from(EARLIEST) * SECOND <= instant && instant <= i128::from(self.now + TOLERANCE) * SECOND
    }

    fn judge(&self, stored: &Value) -> Verdict {
        match self.instant(stored, self.law) {
            None => Verdict::Undatable,
            Some(instant) if instant < i128::from(self.cutoff) * SECOND => Verdict::Expired,
            Some(_) => Verdict::Kept,
        }
    }

    fn is_of_unit(&self, stored: &Value, unit: i128) -> bool {
        matches!(stored, Value::Integer(number) if self.is_plausible(i128::from(*number) * unit))
    }

    fn lacks_zone(&self, stored: &Value) -> bool {
        self.law.is_none() && self.judge(stored) == Verdict::Undatable && self.instant(stored, Some(&LAWS[0])).is_some()
    }
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// Values that no format should make anything of, and values that some of them should.
fn odd_values() -> Vec<Value> {
    let texts = [
        "",
        "0",
        "abc",
        "infinity",
        "-infinity",
        "now",
        "01/06/2030",
        "12:00",
        "0000-00-00",
        "0000-00-00 00:00:00",
        "1700000000",
        "1700000000000",
        "1e9",
        " 2025-01-01 00:00:00",
        "2025-01-01 00:00:00 ",
        "2025-1-1",
        "2025-13-01",
        "2025-00-10",
        "2025-02-29",
        "2024-02-29",
        "2024-02-29 23:59:59",
        "2024-02-30",
        "2025-04-31 10:00:00",
        "2025-01-31",
        "2025-06-30 24:00:00",
        "2016-12-31 23:59:60",
        "2025-01-01 00:60:00",
        "2025-01-01T10",
        "20250101",
        "20250101000000",
        "20250229000000",
        "20240229235959",
        "2025010100000",
        "202501010000000",
        "20251301000000",
        "2025-01-01T00:00:00Z",
        "2025-01-01t00:00:00z",
        "2025-01-01 00:00:00+02:00",
        "2025-01-01 00:00:00-0330",
        "2025-01-01 00:00+05",
        "2025-01-01 00:00:00.123456",
        "2025-01-01 00:00:00.",
        "2025-01-01 00:00:00.1Z",
        "2025-01-01 00:00:00.1234567890",
        "1994-12-31",
        "1994-12-31 23:59:59",
        "1995-01-01",
        "1995-01-01T00:00:00Z",
        "9999-12-31",
        "9999-12-31 23:59:59",
        "12025-01-01",
        "-2025-01-01",
        "2025-01-01 00:00:00 UTC",
        // Skipped and repeated by the clocks of Prague, New York and Lord Howe.
        "2025-03-30 02:30:00",
        "2025-10-26 02:30:00",
        "2025-03-09 02:30:00",
        "2025-11-02 01:30:00",
        "2025-10-05 02:15:00",
        "2025-04-06 01:45:00",
        "2024-03-31 02:00:00",
        "2024-10-27 03:00:00",
    ];
    let numbers =
        [0, 1, -1, -1_700_000_000, i64::MIN, i64::MAX, 1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000];
    let fractions = [0.0, 0.5, -1.5, 1e300, 1_700_000_000.5];
    let blobs: [&[u8]; 4] = [b"", b"\x00", b"20250101000000", b"2025-01-01"];
    let mut values = vec![Value::Null];
    values.extend(texts.map(text));
    values.extend(numbers.map(Value::Integer));
    values.extend(fractions.map(Value::Real));
    values.extend(blobs.map(|bytes| Value::Blob(bytes.into())));
    values
}

/// The instants where the verdict changes, one unit before, at, and after, written in every way.
fn edges(cell: &Cell<'_>, law: &Law) -> Vec<Value> {
    let mut values = Vec::new();
    for edge in [cell.cutoff, EARLIEST, cell.now + TOLERANCE] {
        for (_, unit) in UNITS {
            let per_second = i64::try_from(SECOND / unit).unwrap();
            values.extend([-1, 0, 1].map(|offset| Value::Integer(edge * per_second + offset)));
        }
        for instant in [edge - 1, edge, edge + 1] {
            let local = |offset: i64, separator: &str| {
                let seconds = instant + offset;
                let (year, month, day) = date(seconds.div_euclid(DAY));
                let time = seconds.rem_euclid(DAY);
                let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
                format!("{year:04}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}")
            };
            let digits: String = local(0, "").chars().filter(char::is_ascii_digit).collect();
            let here = law.offset(instant);
            values.extend([
                text(&(local(0, "T") + "Z")),
                text(&(local(0, "T") + ".000001Z")),
                text(&(local(0, " ") + ".999999+00:00")),
                text(&(local(7_200, " ") + "+02:00")),
                text(&(local(-18_000, "T") + "-0500")),
                text(&local(here, " ")),
                text(&local(here, "T")),
                text(&(local(here, " ") + ".999999")),
                text(&local(here, " ")[..16]),
                text(&local(here, " ")[..10]),
                text(&digits),
                Value::Blob(digits.into_bytes()),
            ]);
        }
    }
    values
}

/// A database with one table of visitors.
trait Database {
    fn kind(&self) -> DatabaseKind;
    /// Types of column, each with the formats that fit it and what the model takes them for.
    fn columns(&self) -> Vec<(&'static str, Vec<(TimeFormat, TimeFormat)>)>;
    /// Fills a new table and reads back what the database made of the values; one that it refuses is left out.
    fn fill(&mut self, declared: &str, values: &[Value]) -> Vec<(i64, Value)>;
    fn left(&mut self) -> BTreeSet<i64>;
}

struct Sqlite {
    connection: Connection,
    _directory: tempfile::TempDir,
}

impl Sqlite {
    fn new() -> Sqlite {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join("chat.db")).unwrap();
        connection.pragma_update(None, "synchronous", "OFF").unwrap();
        Sqlite { connection, _directory: directory }
    }
}

impl Database for Sqlite {
    fn kind(&self) -> DatabaseKind {
        DatabaseKind::Sqlite { path: self.connection.path().unwrap().into() }
    }

    fn columns(&self) -> Vec<(&'static str, Vec<(TimeFormat, TimeFormat)>)> {
        let any = TimeFormat::ALL.map(|format| (format, format)).to_vec();
        ["INTEGER", "TEXT", "DATETIME", ""].map(|declared| (declared, any.clone())).to_vec()
    }

    fn fill(&mut self, declared: &str, values: &[Value]) -> Vec<(i64, Value)> {
        let connection = &self.connection;
        connection.execute_batch(&format!("DROP TABLE IF EXISTS visitors; CREATE TABLE visitors (id INTEGER PRIMARY KEY, seen {declared}); CREATE INDEX seen ON visitors (seen); BEGIN")).unwrap();
        let mut insert = connection.prepare("INSERT INTO visitors (seen) VALUES (?1)").unwrap();
        values.iter().for_each(|value| assert_eq!(insert.execute([value]).unwrap(), 1));
        connection.execute_batch("COMMIT").unwrap();
        let mut select = connection.prepare("SELECT id, seen FROM visitors").unwrap();
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn left(&mut self) -> BTreeSet<i64> {
        let mut select = self.connection.prepare("SELECT id FROM visitors").unwrap();
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

struct Postgres {
    name: String,
    client: postgres::Client,
}

impl Postgres {
    fn new() -> Postgres {
        let server = postgres_server::server();
        let name = server.create_database();
        let mut client = server.client(&name);
        // The application's session has another zone than UTC: values must not depend on it.
        client.batch_execute("SET TimeZone = 'Asia/Kolkata'").unwrap();
        Postgres { name, client }
    }
}

impl Database for Postgres {
    fn kind(&self) -> DatabaseKind {
        let url = postgres_server::server().url("postgres", &self.name);
        DatabaseKind::Postgres { server: Server { url, password: None, ca_file: None }, after: After::Nothing }
    }

    fn columns(&self) -> Vec<(&'static str, Vec<(TimeFormat, TimeFormat)>)> {
        use TimeFormat::{Datetime, Iso8601, Mediawiki, UnixMicros, UnixMillis, UnixSeconds};
        let same = |formats: &[TimeFormat]| formats.iter().map(|format| (*format, *format)).collect();
        vec![
            ("bigint", same(&[UnixSeconds, UnixMillis, UnixMicros])),
            ("integer", same(&[UnixSeconds, UnixMillis, UnixMicros])),
            ("text", same(&[Iso8601, Mediawiki])),
            ("varchar(40)", same(&[Iso8601, Mediawiki])),
            ("bytea", same(&[Mediawiki])),
            // Its text always has an offset.
            ("timestamptz", vec![(Datetime, Iso8601)]),
            ("timestamp", same(&[Datetime])),
            ("date", same(&[Datetime])),
        ]
    }

    fn fill(&mut self, declared: &str, values: &[Value]) -> Vec<(i64, Value)> {
        self.client.batch_execute(&format!("DROP TABLE IF EXISTS visitors; CREATE TABLE visitors (id bigserial PRIMARY KEY, seen {declared}); CREATE INDEX ON visitors (seen)")).unwrap();
        let insert = format!("INSERT INTO visitors (seen) VALUES ($1::text::{declared})");
        let insert = self.client.prepare(&insert).unwrap();
        for value in values {
            let text = match value {
                Value::Null => None,
                Value::Integer(number) => Some(number.to_string()),
                Value::Real(number) => Some(number.to_string()),
                Value::Text(text) => Some(text.clone()),
                Value::Blob(bytes) if declared == "bytea" => {
                    Some(bytes.iter().fold("\\x".to_owned(), |hex, byte| format!("{hex}{byte:02x}")))
                }
                Value::Blob(bytes) => str::from_utf8(bytes).ok().map(str::to_owned),
            };
            // Not every text is a value of every type.
            let _refused = self.client.execute(&insert, &[&text]);
        }
        self.client.batch_execute("SET TimeZone = 'UTC'").unwrap();
        let read = |row: &postgres::Row| -> Option<Value> {
            Some(match declared {
                "bigint" | "integer" => Value::Integer(row.get::<_, Option<String>>(1)?.parse().unwrap()),
                "bytea" => Value::Blob(row.get::<_, Option<Vec<u8>>>(2)?),
                _ => Value::Text(row.get::<_, Option<String>>(1)?),
            })
        };
        let bytes = if declared == "bytea" { "seen" } else { "NULL::bytea" };
        let rows = self.client.query(&format!("SELECT id, seen::text, {bytes} FROM visitors"), &[]).unwrap();
        self.client.batch_execute("SET TimeZone = 'Asia/Kolkata'").unwrap();
        rows.iter().map(|row| (row.get(0), read(row).unwrap_or(Value::Null))).collect()
    }

    fn left(&mut self) -> BTreeSet<i64> {
        self.client.query("SELECT id FROM visitors", &[]).unwrap().iter().map(|row| row.get(0)).collect()
    }
}

struct MariaDb {
    database: mariadb::MariaDbDatabase,
    connection: mysql::Conn,
}

impl MariaDb {
    fn new() -> MariaDb {
        let database = mariadb::shared().database();
        let connection = database.connect();
        MariaDb { database, connection }
    }
}

impl Database for MariaDb {
    fn kind(&self) -> DatabaseKind {
        self.database.kind("root")
    }

    fn columns(&self) -> Vec<(&'static str, Vec<(TimeFormat, TimeFormat)>)> {
        use TimeFormat::{Datetime, Iso8601, Mediawiki, UnixMicros, UnixMillis, UnixSeconds};
        let same = |formats: &[TimeFormat]| formats.iter().map(|format| (*format, *format)).collect();
        vec![
            ("BIGINT", same(&[UnixSeconds, UnixMillis, UnixMicros])),
            ("BIGINT UNSIGNED", same(&[UnixSeconds, UnixMillis])),
            ("VARCHAR(64)", same(&[Iso8601, Mediawiki])),
            ("DATETIME(6)", same(&[Datetime])),
            // An instant, whatever the zone of the session that wrote it.
            ("TIMESTAMP(6) NULL", vec![(Datetime, Iso8601)]),
            ("DATE", same(&[Datetime])),
            ("VARBINARY(40)", same(&[Mediawiki])),
            ("BINARY(14)", same(&[Mediawiki])),
        ]
    }

    /// The application writes as carelessly as the server lets it, from a session in another zone.
    fn fill(&mut self, declared: &str, values: &[Value]) -> Vec<(i64, Value)> {
        let literal = |value: &Value| match value {
            Value::Null => "(NULL)".to_owned(),
            Value::Integer(number) => format!("({number})"),
            Value::Real(number) => format!("({number:e})"),
            Value::Text(text) => format!("(_utf8mb4'{text}')"),
            Value::Blob(bytes) => {
                format!("(x'{}')", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            }
        };
        let rows: Vec<String> = values.iter().map(literal).collect();
        for statement in [
            "DROP TABLE IF EXISTS visitors".to_owned(),
            format!("CREATE TABLE visitors (id BIGINT AUTO_INCREMENT PRIMARY KEY, seen {declared}, KEY (seen))"),
            "SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+05:00'".to_owned(),
            format!("INSERT IGNORE INTO visitors (seen) VALUES {}", rows.join(",")),
            "SET time_zone = '+00:00'".to_owned(),
        ] {
            self.connection.query_drop(statement).unwrap();
        }
        let read = |(id, stored): (i64, Option<Vec<u8>>)| {
            let stored = match stored {
                None => Value::Null,
                Some(bytes) if declared.contains("BINARY") => Value::Blob(bytes),
                Some(bytes) if declared.starts_with("BIGINT") => {
                    // What only an unsigned column holds is beyond every instant.
                    String::from_utf8(bytes).unwrap().parse().map_or(Value::Real(f64::MAX), Value::Integer)
                }
                Some(bytes) if declared.starts_with("TIMESTAMP") => {
                    Value::Text(String::from_utf8(bytes).unwrap() + "Z")
                }
                Some(bytes) => Value::Text(String::from_utf8(bytes).unwrap()),
            };
            (id, stored)
        };
        self.connection.query_map("SELECT id, seen FROM visitors ORDER BY id", read).unwrap()
    }

    fn left(&mut self) -> BTreeSet<i64> {
        self.connection.query::<i64, _>("SELECT id FROM visitors").unwrap().into_iter().collect()
    }
}

fn rule(kind: DatabaseKind, time: RowTime, when: When, days_in: &Law) -> TableRule {
    TableRule {
        rule: serde_json::from_value("shop.example/chat/visitors".into()).unwrap(),
        store: kind,
        target: Target {
            table: "visitors".to_owned(),
            key: "id".to_owned(),
            time,
            filter: Default::default(),
            accepts: Default::default(),
        },
        when,
        action: Action::EraseRows { children: Vec::new() },
        zone: days_in.zone(),
    }
}

fn count(matching: impl Iterator) -> u64 {
    u64::try_from(matching.count()).unwrap()
}

/// Counts and erases, and compares both with the model.
fn check(database: &mut dyn Database, rule: &TableRule, cell: &Cell<'_>, declared: &str, values: &[Value]) {
    let rows = database.fill(declared, values);
    assert!(rows.len() > 15, "{declared} took {} of {} values", rows.len(), values.len());
    let of = |verdict| rows.iter().filter(move |(_, value)| cell.judge(value) == verdict);
    let selection = Selection {
        rule: rule.into(),
        now: Timestamp::from_second(cell.now).unwrap(),
        cutoff: Some(Timestamp::from_second(cell.cutoff).unwrap()),
        holds: Vec::new(),
    };
    let mut store = store::open_database(&rule.store);
    let survey = store.survey(&selection).unwrap();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    while let Some(batch) = walk.prepare(50).unwrap() {
        batch.commit().unwrap();
    }
    drop(walk);
    let left = database.left();
    let place = format!("{} in a column of type {declared:?}, now {}", cell.format, cell.now);
    for (id, value) in &rows {
        assert_eq!(left.contains(id), cell.judge(value) != Verdict::Expired, "{place}: {value:?}");
    }
    assert_eq!(survey.total, count(rows.iter()), "{place}");
    assert_eq!(survey.matches, count(of(Verdict::Expired)), "{place}");
    assert_eq!(survey.undatable, count(of(Verdict::Undatable)), "{place}");
    assert_eq!(survey.without_zone, count(rows.iter().filter(|(_, value)| cell.lacks_zone(value))), "{place}");
    let of_other_units = UNITS
        .iter()
        .filter(|(format, _)| *format != cell.format)
        .map(|(_, unit)| count(of(Verdict::Undatable).filter(|(_, value)| cell.is_of_unit(value, *unit))));
    assert_eq!(survey.other_unit.map_or(0, |(_, count)| count), of_other_units.max().unwrap(), "{place}");
    let oldest = of(Verdict::Expired).filter_map(|(_, value)| cell.instant(value, cell.law)).min();
    assert_eq!(survey.oldest.map(Timestamp::as_nanosecond), oldest, "{place}");
}

fn at(year: i64, month: i64, day: i64, hour: i64) -> i64 {
    days(year, month, day) * DAY + hour * 3_600
}

#[rstest]
#[case::utc(&LAWS[0])]
#[case::prague(&LAWS[1])]
#[case::new_york(&LAWS[2])]
#[case::lord_howe(&LAWS[3])]
fn every_cell_agrees_with_the_model(#[case] law: &Law) {
    every_cell(&mut Sqlite::new(), law);
}

#[rstest]
#[case::utc(&LAWS[0])]
#[case::prague(&LAWS[1])]
#[case::new_york(&LAWS[2])]
#[case::lord_howe(&LAWS[3])]
fn every_cell_on_postgres_agrees_with_the_model(#[case] law: &Law) {
    every_cell(&mut Postgres::new(), law);
}

#[rstest]
#[case::utc(&LAWS[0])]
#[case::prague(&LAWS[1])]
#[case::new_york(&LAWS[2])]
#[case::lord_howe(&LAWS[3])]
fn every_cell_on_mariadb_agrees_with_the_model(#[case] law: &Law) {
    every_cell(&mut MariaDb::new(), law);
}

fn every_cell(database: &mut dyn Database, law: &Law) {
    let moments = [
        // 31 August less six months: the last day of February, in a leap year and in another.
        (at(2024, 8, 31, 10), Span::Months(6), "6 months"),
        (at(2025, 8, 31, 23), Span::Months(6), "6 months"),
        (at(2025, 2, 28, 12), Span::Months(12), "1 year"),
        // Cutoffs on the days when the clocks of Prague, New York and Lord Howe change.
        (at(2025, 9, 30, 9), Span::Months(6), "6 months"),
        (at(2025, 11, 25, 9), Span::Days(30), "30 days"),
        (at(2025, 4, 8, 9), Span::Days(30), "30 days"),
        (at(2025, 12, 2, 9), Span::Months(1), "1 month"),
        (at(2025, 5, 6, 1), Span::Days(30), "30 days"),
    ];
    // Without a zone the law only counts the days, and one is enough for that.
    let zones: &[Option<&Law>] = if law.name == "UTC" { &[None, Some(law)] } else { &[Some(law)] };
    for (now, span, period) in moments {
        let when = When::Older(period.parse().unwrap());
        for (declared, formats) in database.columns() {
            for ((format, as_model), zone) in
                formats.iter().flat_map(|formats| zones.iter().map(move |z| (*formats, *z)))
            {
                let cell = Cell { format: as_model, law: zone, now, cutoff: cutoff(now, span, law) };
                let time = RowTime {
                    column: "seen".to_owned(),
                    format,
                    zone: zone.map(Law::zone),
                    meaning: TimeMeaning::Recorded,
                };
                let rule = rule(database.kind(), time, when.clone(), law);
                let derived = Definition::Table(rule.clone()).cutoff(Timestamp::from_second(now).unwrap()).unwrap();
                assert_eq!(derived.map(Timestamp::as_second), Some(cell.cutoff), "{} in {}", period, law.name);
                check(database, &rule, &cell, declared, &[odd_values(), edges(&cell, law)].concat());
            }
        }
    }
}

#[test]
fn an_expiry_may_lie_ahead() {
    an_expiry_ahead(&mut Sqlite::new(), "INTEGER");
}

#[test]
fn an_expiry_on_postgres_may_lie_ahead() {
    an_expiry_ahead(&mut Postgres::new(), "bigint");
}

fn an_expiry_ahead(database: &mut dyn Database, declared: &str) {
    let now = at(2026, 3, 1, 12);
    let years = |years: i64| now + years * 365 * DAY;
    let values = [now - 1, now, now + 1, years(50), years(102), EARLIEST - 1, EARLIEST].map(Value::Integer);
    let rows = database.fill(declared, &values);
    let time = RowTime {
        column: "seen".to_owned(),
        format: TimeFormat::UnixSeconds,
        zone: None,
        meaning: TimeMeaning::Expires,
    };
    let rule = rule(database.kind(), time, When::Expired, &LAWS[0]);
    let moment = Timestamp::from_second(now).unwrap();
    let selection = Selection { rule: (&rule).into(), now: moment, cutoff: Some(moment), holds: Vec::new() };
    let survey = store::open_database(&rule.store).survey(&selection).unwrap();
    assert_eq!((survey.total, survey.matches, survey.undatable), (count(rows.iter()), 2, 2));
}
