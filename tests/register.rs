//! The register: every declared fact with the time for which it held, and a file that nobody else's program wrote.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/shop.rs"]
mod shop;

use std::collections::BTreeSet;

use forgetd::audit::Event;
use forgetd::plan::derive;
use forgetd::register::{FACT_TABLES, FactRow, LastCount, Moment, Recorded, Register, RegisterError};
use jiff::Timestamp;
use rusqlite::Connection;
use shop::{SCHEMA, SITE, Shop, days, noon, site};

fn shop() -> Shop {
    Shop::in_memory(&site(""), SCHEMA)
}

fn apply(shop: &Shop, now: Timestamp) -> Recorded {
    let config = shop.config();
    shop.state(now).apply(&config, &derive(&config), now).unwrap()
}

fn register(shop: &Shop) -> Register {
    Register::open_existing(&shop.state_dir().join("register.db")).unwrap().unwrap()
}

fn facts(shop: &Shop, table: &str, moment: Moment) -> Vec<FactRow> {
    register(shop).facts(Register::fact_table(table).unwrap(), moment).unwrap()
}

/// Every version of every fact.
fn everything(shop: &Shop) -> Vec<FactRow> {
    FACT_TABLES.iter().flat_map(|table| facts(shop, table.name, Moment::Always)).collect()
}

/// Periods of `visit`, with the days, counted from noon, from and until which they held.
fn periods(shop: &Shop, moment: Moment) -> Vec<(String, i64, Option<i64>)> {
    let of_visit = |row: &FactRow| value(row, "subject").as_deref() == Some("visit");
    let day = |text: &str| text.parse::<Timestamp>().unwrap().duration_since(noon()).as_hours() / 24;
    let rows = facts(shop, "retention_periods", moment).into_iter().filter(of_visit);
    rows.map(|row| (value(&row, "period").unwrap(), day(&row.valid_from), row.valid_until.as_deref().map(day)))
        .collect()
}

fn value(row: &FactRow, column: &str) -> Option<String> {
    row.values.iter().find(|(name, _)| *name == column).unwrap().1.clone()
}

fn period(period: &str, from: i64, until: Option<i64>) -> (String, i64, Option<i64>) {
    (period.to_owned(), from, until)
}

#[test]
fn applying_the_same_files_again_changes_nothing() {
    let shop = shop();
    let first = apply(&shop, noon());
    assert!(first.new_version && !first.changes.is_empty());
    let (before, entries) = (everything(&shop), shop.entries().len());
    let again = apply(&shop, noon() + days(1));
    assert_eq!(again, Recorded { version: first.version, changes: Vec::new(), new_version: false });
    assert_eq!(everything(&shop), before);
    assert_eq!(shop.entries().len(), entries, "nothing happened, and no entry says so");
}

#[test]
fn a_comment_makes_a_new_version_of_the_files_and_of_no_other_fact() {
    let shop = shop();
    apply(&shop, noon());
    let declared = |shop: &Shop| -> Vec<FactRow> {
        let tables = FACT_TABLES.iter().filter(|table| table.name != "configuration_files");
        tables.flat_map(|table| facts(shop, table.name, Moment::Always)).collect()
    };
    let before = declared(&shop);
    shop.write(SITE, &site("# nothing else\n"));
    assert!(apply(&shop, noon() + days(1)).new_version);
    assert_eq!(declared(&shop), before);
}

#[test]
fn a_changed_fact_keeps_its_old_version_with_its_dates() {
    let shop = shop();
    apply(&shop, noon());
    shop.edit(SITE, "visit = \"6 months\"", "visit = \"3 months\"");
    let changed = apply(&shop, noon() + days(10));
    assert!(changed.changes.contains(&"retention period shop.example visit: 6 months → 3 months".to_owned()));
    let both = vec![period("6 months", 0, Some(10)), period("3 months", 10, None)];
    assert_eq!(periods(&shop, Moment::Always), both);
    assert_eq!(periods(&shop, Moment::Now), [period("3 months", 10, None)]);
}

#[test]
fn what_the_register_said_at_an_instant_can_be_asked() {
    let shop = shop();
    apply(&shop, noon());
    for (day, before, after) in [(10, "6 months", "3 months"), (20, "3 months", "12 months")] {
        shop.edit(SITE, &format!("visit = \"{before}\""), &format!("visit = \"{after}\""));
        apply(&shop, noon() + days(day));
    }
    let said = |at| periods(&shop, Moment::At(at)).into_iter().map(|(period, ..)| period).collect::<Vec<_>>();
    assert_eq!(said(noon() - days(1)), Vec::<String>::new());
    assert_eq!(said(noon()), ["6 months"]);
    assert_eq!(said(noon() + days(10) - jiff::SignedDuration::from_micros(1)), ["6 months"]);
    assert_eq!(said(noon() + days(10)), ["3 months"], "at the very instant the new version holds, and it alone");
    assert_eq!(said(noon() + days(15)), ["3 months"]);
    assert_eq!(said(noon() + days(1_000)), ["12 months"]);
}

#[test]
fn a_fact_that_was_removed_and_declared_again_was_not_there_in_between() {
    let shop = shop();
    let line = "\"visit.location\" = \"30 days\"\n";
    apply(&shop, noon());
    shop.edit(SITE, line, "");
    let removed = apply(&shop, noon() + days(5));
    assert!(removed.changes.contains(&"retention period shop.example visit.location removed".to_owned()));
    shop.edit(SITE, "visit = \"6 months\"\n", &format!("visit = \"6 months\"\n{line}"));
    let added = apply(&shop, noon() + days(9));
    assert!(added.changes.contains(&"retention period shop.example visit.location added: 30 days".to_owned()));
    let versions = |moment| {
        let of_location = |row: &FactRow| value(row, "subject").as_deref() == Some("visit.location");
        facts(&shop, "retention_periods", moment).into_iter().filter(of_location).count()
    };
    assert_eq!(versions(Moment::Always), 2);
    assert_eq!([4, 6, 9].map(|day| versions(Moment::At(noon() + days(day)))), [1, 0, 1]);
}

#[test]
fn in_whose_name_an_item_stands_is_a_fact_of_its_own() {
    let shop = shop();
    apply(&shop, noon());
    let item = "name = \"ssupp.vid\"\nclass = \"functional\"\nkind = \"cookie\"";
    let more = "[[item]]\nname = \"ssupp.vid\"\nclass = \"functional\"\nkind = \"cookie\"\nhost = \"video.example\"\n\
                description = \"Recognises a visitor\"\nlifetime = \"1 day\"\n\n";
    shop.edit("processors/smartsupp.toml", &format!("[[item]]\n{item}"), &format!("{more}[[item]]\n{item}"));
    let changed = apply(&shop, noon() + days(1)).changes;
    assert!(
        changed.contains(&"storage item smartsupp ssupp.vid functional cookie video.example added: 1 day".to_owned()),
        "{changed:?}"
    );
    let items = facts(&shop, "storage_items", Moment::Now);
    let hosts = items.iter().filter(|row| value(row, "name").as_deref() == Some("ssupp.vid"));
    assert_eq!(hosts.map(|row| value(row, "host")).collect::<Vec<_>>(), [None, Some("video.example".to_owned())]);
}

#[test]
fn the_files_in_force_are_those_that_were_applied_last() {
    let shop = shop();
    apply(&shop, noon());
    shop.edit(SITE, "visit = \"6 months\"", "visit = \"3 months\"");
    let applied = shop.config().sources;
    apply(&shop, noon() + days(1));
    shop.edit(SITE, "visit = \"3 months\"", "visit = \"2 months\"");
    assert_eq!(register(&shop).files_in_force().unwrap(), Some(applied));
}

#[test]
fn without_evidence_nothing_comes_into_force() {
    let shop = shop();
    apply(&shop, noon());
    let before = everything(&shop);
    shop.edit(SITE, "visit = \"6 months\"", "visit = \"3 months\"");
    let mut register = Register::open(&shop.state_dir().join("register.db")).unwrap();
    let path = || shop.state_dir();
    let refused = |_: &Recorded| Err(RegisterError::Damaged { path: path(), what: "the disk" });
    assert!(register.record(&shop.config(), noon() + days(1), refused).is_err());
    assert_eq!(everything(&shop), before);
}

/// Whatever stands in a change stands in the audit log for good.
#[test]
fn what_changed_is_told_without_naming_anybody() {
    let person = |n: u32| {
        format!("name = \"Canary{n} Person\", address = \"Canary{n} Street\", contact = \"canary{n}@x.example\"")
    };
    let daemon = |first: u32| {
        format!(
            "joint-controller = {{ {} }}\nrepresentative = {{ {} }}\n[dpo]\n{}\n",
            person(first),
            person(first + 1),
            person(first + 2).replace(", ", "\n")
        )
    };
    let of_site = |first: u32| {
        format!(
            "\n[controller]\n{}\n[dpo]\n{}\n",
            person(first).replace(", ", "\n"),
            person(first + 1).replace(", ", "\n")
        )
    };
    let shop = shop();
    let processor = std::fs::read_to_string(shop.config_dir().join("processors/smartsupp.toml")).unwrap();
    let of_processor = |n: u32| {
        let sub = format!("\n[[sub-processors.known]]\n{}\npurpose = \"hosting\"\n", person(n).replace(", ", "\n"));
        processor
            .replace("Mgr. Petra Stupková", &format!("Canary{n} Officer"))
            .replace("\n# What its features", &format!("{sub}\n# What its features"))
    };
    let mut told = Vec::new();
    // Declared, changed in every value, and removed.
    for (night, first) in [10, 20].into_iter().enumerate() {
        shop.write_daemon(&daemon(first));
        shop.write(SITE, &site(&of_site(first + 3)));
        shop.write("processors/smartsupp.toml", &of_processor(first + 5));
        told.extend(apply(&shop, noon() + days(i64::try_from(night).unwrap())).changes);
    }
    shop.write_daemon("");
    shop.write(SITE, &site(""));
    shop.write("processors/smartsupp.toml", &processor);
    told.extend(apply(&shop, noon() + days(3)).changes);
    assert!(told.iter().any(|change| change.starts_with("contact ")), "{told:?}");
    assert!(told.iter().any(|change| change.starts_with("sub-processor smartsupp")), "{told:?}");
    let named: Vec<&String> = told.iter().filter(|change| change.to_lowercase().contains("canary")).collect();
    assert_eq!(named, Vec::<&String>::new());
    let log = std::fs::read_to_string(shop.audit_dir().join("log.jsonl")).unwrap();
    assert!(log.contains("config.applied") && !log.to_lowercase().contains("canary"));
    // The register itself does name them: that is what it is for.
    let names: BTreeSet<_> =
        facts(&shop, "contacts", Moment::Always).iter().filter_map(|row| value(row, "name")).collect();
    assert!(names.contains("Canary10 Person") && names.contains("Canary22 Person"), "{names:?}");
}

#[test]
fn two_hundred_sites_are_applied_once_and_a_change_of_one_is_a_change_of_one() {
    let shop = shop();
    for number in 0..200 {
        let text = site("")
            .replace("shop.example", &format!("s{number}.example"))
            .replace("DATABASE", &format!("/srv/{number}.db"));
        shop.write(&format!("sites/s{number}.toml"), &text);
    }
    apply(&shop, noon());
    let before = everything(&shop);
    assert!(!apply(&shop, noon() + days(1)).new_version);
    assert_eq!(everything(&shop), before);
    shop.edit("sites/s77.toml", "visit = \"6 months\"", "visit = \"7 months\"");
    let changes = apply(&shop, noon() + days(2)).changes;
    let expected = ["retention period s77.example visit: 6 months → 7 months", "file sites/s77.toml: sha256 changed"];
    assert!(expected.iter().all(|change| changes.iter().any(|told| told == change)), "{changes:?}");
    assert!(changes.iter().all(|change| change.contains("s77")), "{changes:?}");
    let [Event::ConfigApplied { changes: first, .. }, _] = &shop.events("config.applied")[..] else { panic!() };
    assert!(first.len() <= 101, "an entry is bounded");
}

// The file.

fn pragma(shop: &Shop, pragma: &str) {
    Connection::open(shop.state_dir().join("register.db")).unwrap().execute_batch(&format!("PRAGMA {pragma}")).unwrap();
}

#[test]
fn a_register_of_a_newer_version_is_refused() {
    let shop = shop();
    apply(&shop, noon());
    pragma(&shop, "user_version = 999");
    let path = shop.state_dir().join("register.db");
    assert!(matches!(Register::open(&path), Err(RegisterError::Newer { found: 999, .. })));
    assert!(matches!(Register::open_existing(&path), Err(RegisterError::Newer { found: 999, .. })));
}

/// What version 1 of the register was, with what an operator had decided.
const VERSION_1: &str = concat!(
    include_str!("../src/register/schema/1.sql"),
    "INSERT INTO approvals (rule, definition, counted, ceiling, approved_at, uid)
       VALUES ('shop.example/chat/visitors', '{}', 1, 2, '2027-02-01T00:00:00.000000Z', 0);
     INSERT INTO storage_items (processor, name, class, kind, lifetime, description, valid_from)
       VALUES ('smartsupp', 'ssupp.vid', 'functional', 'cookie', '6 months', 'Recognises a visitor', '2027-02-01T00:00:00.000000Z');
     INSERT INTO holds (prefix, until, reason_code, added_at, uid)
       VALUES ('shop.example', '2099-12-31', 'court', '2027-02-01T00:00:00.000000Z', 0);
     PRAGMA application_id = 1718056036; PRAGMA user_version = 1;"
);

#[test]
fn a_register_of_version_1_is_brought_up_to_date_and_keeps_what_was_decided() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("register.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(VERSION_1).unwrap();
    let version = || old.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap();
    let rule = "shop.example/chat/visitors";

    // Whoever only reads leaves it as it is.
    let reading = Register::open_existing(&path).unwrap().unwrap();
    assert_eq!((reading.accepted_shape(rule).unwrap(), reading.holds(None).unwrap().len()), (None, 1));
    assert!(reading.last_counts().unwrap().is_empty());
    let items = Register::fact_table("storage_items").unwrap();
    let known = reading.facts(items, Moment::Now).unwrap();
    assert_eq!((value(&known[0], "name").as_deref(), value(&known[0], "host")), (Some("ssupp.vid"), None));
    assert_eq!(version(), 1);

    for _ in 0..2 {
        let mut register = Register::open(&path).unwrap();
        assert_eq!(version(), 4);
        assert_eq!(register.facts(items, Moment::Now).unwrap(), known);
        assert_eq!(register.approval(rule).unwrap().map(|approval| approval.ceiling), Some(Some(2)));
        assert_eq!(register.holds(None).unwrap().len(), 1);
        register.accept_shape(rule, "{}", noon()).unwrap();
        assert_eq!(register.accepted_shape(rule).unwrap().as_deref(), Some("{}"));
        let count = LastCount { counted_at: noon(), expired: 7, oldest: Some(noon() - days(3)), since: None };
        register.keep_count(rule, &count).unwrap();
        assert_eq!(register.last_counts().unwrap()[rule], count);
    }
}

#[test]
fn another_programs_database_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    // 0x47504B47 is GeoPackage; most programs never set an id.
    for (name, pragmas) in [("gpkg", "PRAGMA application_id = 1196444487; PRAGMA user_version = 1;"), ("plain", "")] {
        let path = directory.path().join(name);
        let schema = format!("{pragmas} CREATE TABLE t (a); INSERT INTO t VALUES (1);");
        Connection::open(&path).unwrap().execute_batch(&schema).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(Register::open(&path), Err(RegisterError::Foreign { .. })), "{name}");
        assert!(matches!(Register::open_existing(&path), Err(RegisterError::Foreign { .. })), "{name}");
        assert!(std::fs::read(&path).unwrap() == before, "{name} was changed");
    }
}

#[test]
fn several_processes_may_begin_the_register_at_once() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("register.db");
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| Register::open(&path).map(drop))).collect();
            for thread in threads {
                thread.join().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn any_tool_can_read_the_register() {
    let shop = shop();
    apply(&shop, noon());
    let register = Connection::open(shop.state_dir().join("register.db")).unwrap();
    let id: i64 = register.pragma_query_value(None, "application_id", |row| row.get(0)).unwrap();
    assert_eq!(id, i64::from(u32::from_be_bytes(*b"fgtd")));
    let sql = "SELECT period FROM retention_periods WHERE site = 'shop.example' AND subject = 'visit' AND valid_until IS NULL";
    assert_eq!(register.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap(), "6 months");
    let loose: i64 = register
        .query_row(
            "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%' AND strict = 0",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(loose, 0, "every table is strict");
}
