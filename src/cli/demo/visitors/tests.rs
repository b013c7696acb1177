use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::draw::Draw;
use super::{Counts, Sample, write};

const TABLES: [&str; 4] = ["visitors", "pages", "conversations", "messages"];

struct Written {
    directory: TempDir,
    path: PathBuf,
    counts: Counts,
}

impl Written {
    fn open(&self) -> Connection {
        Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
    }

    fn number(&self, sql: &str) -> i64 {
        self.open().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        let connection = self.open();
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn digest(&self) -> Vec<u8> {
        let connection = self.open();
        let mut hash = Sha256::new();
        for table in TABLES {
            let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY id")).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let values: Vec<Value> = (0..columns).map(|column| row.get(column).unwrap()).collect();
                hash.update(format!("{table} {values:?}\n"));
            }
        }
        hash.finalize().to_vec()
    }
}

fn sample(visitors: u32, seed: u64) -> Sample {
    // The fourteen months before 1 April 2027 hold two Februaries of 28 days: there are none shorter.
    Sample { visitors, seed, now: "2027-04-01T00:00:00Z".parse().unwrap() }
}

fn written(visitors: u32, seed: u64) -> Written {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    let counts = write(&path, &sample(visitors, seed)).unwrap();
    Written { directory, path, counts }
}

#[test]
fn the_generator_is_splitmix64() {
    // First output for seed 0 and first three for 1234567 of the reference implementation.
    assert_eq!(Draw::new(0).next(), 0xe220_a839_7b1d_cdaf);
    let mut draw = Draw::new(1_234_567);
    let drawn = [draw.next(), draw.next(), draw.next()];
    assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
}

#[test]
fn the_same_seed_gives_the_same_rows_and_another_seed_others() {
    let first = written(300, 1);
    assert_eq!(first.digest(), written(300, 1).digest());
    assert_ne!(first.digest(), written(300, 2).digest());
}

#[test]
fn the_counts_are_those_of_the_tables() {
    let written = written(3_000, 1);
    let rows = TABLES.map(|table| written.number(&format!("SELECT count(*) FROM {table}")));
    let counts = written.counts;
    let counted = [counts.visitors, counts.pages, counts.conversations, counts.messages];
    assert_eq!(counted.map(|count| i64::try_from(count).unwrap()), rows);

    let [visitors, pages, conversations, messages] = rows;
    assert_eq!(visitors, 3_000);
    assert!((5_700..=6_300).contains(&pages), "two pages per visitor, found {pages}");
    assert!((420..=580).contains(&conversations), "one visitor in six, found {conversations}");
    assert!((conversations * 37 / 10..=conversations * 43 / 10).contains(&messages), "four each, found {messages}");
}

#[test]
fn seven_visitors_have_no_time_or_all_when_there_are_fewer() {
    for (visitors, expected) in [(0, 0), (1, 1), (6, 6), (7, 7), (8, 7), (1_000, 7)] {
        let written = written(visitors, 1);
        assert_eq!(written.counts.undatable, expected, "of {visitors}");
        let rows = written.number("SELECT count(*) FROM visitors WHERE last_seen = 0");
        assert_eq!(u64::try_from(rows).unwrap(), expected, "of {visitors}");
    }
}

#[test]
fn every_time_lies_within_the_last_fourteen_months() {
    let written = written(2_000, 3);
    let now = sample(0, 0).now;
    let earliest = now.to_zoned_datetime(TimeZone::UTC).checked_sub(14.months()).unwrap().timestamp();
    let columns = [
        ("visitors", "first_seen"),
        ("visitors", "last_seen"),
        ("pages", "viewed_at"),
        ("conversations", "started_at"),
        ("conversations", "last_message_at"),
        ("messages", "sent_at"),
    ];
    for (table, column) in columns {
        let bound = |function: &str| {
            let sql = format!("SELECT {function}({column}) FROM {table} WHERE {column} <> 0");
            Timestamp::from_second(written.number(&sql)).unwrap()
        };
        assert!(bound("min") >= earliest, "{table}.{column} begins at {}", bound("min"));
        assert!(bound("max") <= now, "{table}.{column} ends at {}", bound("max"));
    }
}

#[test]
fn rows_are_spread_evenly_and_mostly_in_time_order() {
    let written = written(2_000, 4);
    let now = sample(0, 0).now.as_second();
    // The later half of 424 days, and the visitors who came back into it.
    let later = written.number(&format!("SELECT count(*) FROM visitors WHERE last_seen > {}", now - 212 * 86_400));
    assert!((1_000..=1_200).contains(&later), "found {later} in the later half");

    let returned = written.number("SELECT count(*) FROM visitors WHERE last_seen > first_seen + 86400");
    assert!((100..=230).contains(&returned), "a few come back later, found {returned}");
    let backwards =
        "SELECT count(*) FROM visitors a JOIN visitors b ON b.id = a.id + 1 AND b.first_seen < a.first_seen";
    assert_eq!(written.number(backwards), 0);
}

#[test]
fn children_belong_to_a_parent_and_lie_within_its_time() {
    let written = written(2_000, 5);
    let misfits = [
        "SELECT count(*) FROM pages p LEFT JOIN visitors v ON v.id = p.visitor_id
         WHERE v.id IS NULL OR p.viewed_at < v.first_seen OR (v.last_seen <> 0 AND p.viewed_at > v.last_seen)",
        "SELECT count(*) FROM conversations c LEFT JOIN visitors v ON v.id = c.visitor_id
         WHERE v.id IS NULL OR c.started_at < v.first_seen OR (v.last_seen <> 0 AND c.last_message_at > v.last_seen)",
        "SELECT count(*) FROM conversations c WHERE c.last_message_at IS NOT
         (SELECT max(sent_at) FROM messages m WHERE m.conversation_id = c.id)",
        "SELECT count(*) FROM messages WHERE conversation_id NOT IN (SELECT id FROM conversations)",
    ];
    for sql in misfits {
        assert_eq!(written.number(sql), 0, "{sql}");
    }
}

#[test]
fn every_address_lies_in_a_documentation_range() {
    let written = written(2_000, 6);
    let mut ranges = HashSet::new();
    for text in written.texts("SELECT ip FROM visitors") {
        let range = match text.parse().unwrap() {
            IpAddr::V4(v4) => match v4.octets() {
                [192, 0, 2, _] => "192.0.2.0/24",
                [198, 51, 100, _] => "198.51.100.0/24",
                [203, 0, 113, _] => "203.0.113.0/24",
                _ => panic!("{text} may be somebody's"),
            },
            IpAddr::V6(v6) => match v6.segments() {
                [0x2001, 0xdb8, ..] => "2001:db8::/32",
                _ => panic!("{text} may be somebody's"),
            },
        };
        ranges.insert(range);
    }
    assert_eq!(ranges.len(), 4, "all ranges occur: {ranges:?}");
}

#[test]
fn contacts_are_fictional_and_only_of_those_who_chatted() {
    let written = written(2_000, 7);
    for email in written.texts("SELECT email FROM visitors WHERE email IS NOT NULL") {
        let (mailbox, domain) = email.split_once('@').unwrap();
        assert!(mailbox.is_ascii(), "{email}");
        assert!(["example.com", "example.org", "example.net"].contains(&domain), "{email}");
    }
    for phone in written.texts("SELECT phone FROM visitors WHERE phone IS NOT NULL") {
        let number = phone.strip_prefix("+44 7700 900").or_else(|| phone.strip_prefix("+49 30 23125 ")).unwrap();
        assert!(number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()), "{phone}");
    }
    let silent = "SELECT count(*) FROM visitors WHERE id NOT IN (SELECT visitor_id FROM conversations)
                  AND coalesce(name, surname, email, phone, social) IS NOT NULL";
    assert_eq!(written.number(silent), 0);
    let nameless = "SELECT count(*) FROM visitors v JOIN conversations c ON c.visitor_id = v.id
                    WHERE v.name IS NULL OR v.surname IS NULL OR v.email IS NULL";
    assert_eq!(written.number(nameless), 0);
}

#[test]
fn consent_is_given_refused_or_unknown_in_the_promised_shares() {
    let written = written(4_000, 8);
    for (value, percent) in [("1", 45), ("0", 35), ("NULL", 20)] {
        let sql = format!("SELECT count(*) FROM visitors WHERE marketing_consent IS {value}");
        let share = written.number(&sql) * 100 / 4_000;
        assert!((percent - 4..=percent + 3).contains(&share), "{value}: {share} %, promised {percent} %");
    }
}

#[test]
fn visitor_ids_are_unique() {
    let written = written(2_000, 9);
    assert_eq!(written.number("SELECT count(DISTINCT vid) FROM visitors"), 2_000);
}

#[test]
fn the_database_is_left_in_wal_mode_without_side_files() {
    let written = written(50, 1);
    let files: Vec<_> = std::fs::read_dir(written.directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, ["chat.db"]);
    let mode: String = written.open().query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn a_database_in_use_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chat.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY)").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = write(&path, &sample(10, 1)).unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::CannotOpen));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
