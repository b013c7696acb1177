//! Names, sessions and holds: what a statement must mean whatever surrounds it.

use std::time::Duration;

use forgetd::config::TimeFormat;
use forgetd::config::site::{Child, Consent, Mask, Scalar, Unparsed};
use forgetd::plan::{Action, When};
use forgetd::store::{self, HeldValue, Remainder, Survey};
use jiff::Timestamp;
use rstest::rstest;

use super::postgres_server::server;
use super::{EXPIRED, MAX_LAG, Shop, VISITORS, erase, older, selection, zone};

#[test]
fn names_may_be_anything_and_stand_in_any_schema() {
    let mut shop = Shop::new("");
    let schema = r#"CREATE SCHEMA "the shop";
        CREATE TABLE "the shop"."Visitors; DROP TABLE x--" ("the ""id""" uuid PRIMARY KEY DEFAULT gen_random_uuid(), "select" timestamptz, "I'P" inet);
        CREATE TABLE "visitors.old" (id int PRIMARY KEY, seen timestamptz);
        INSERT INTO "the shop"."Visitors; DROP TABLE x--" ("select", "I'P") SELECT '2020-01-01', '192.0.2.77' FROM generate_series(1, 10);
        INSERT INTO "visitors.old" SELECT n, '2020-01-01' FROM generate_series(1, 3) AS n"#;
    shop.client.batch_execute(schema).unwrap();
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    for (action, expected) in [
        (Action::TruncateColumn { column: "I'P".to_owned(), mask, stand_in: None }, 10),
        (Action::EraseRows { children: Vec::new() }, 10),
    ] {
        let mut rule = shop.rule(older(), action);
        rule.target.table = "the shop.Visitors; DROP TABLE x--".to_owned();
        rule.target.key = "the \"id\"".to_owned();
        rule.target.time.column = "select".to_owned();
        assert_eq!(shop.refusals(&rule), Vec::<String>::new());
        assert_eq!(erase(&mut *shop.open(), &selection(&rule), 3), (expected, Remainder::default()));
    }
    let mut dotted = shop.erasure();
    dotted.target.table = "visitors.old".to_owned();
    assert_eq!(erase(&mut *shop.open(), &selection(&dotted), 100).0, 3);
}

#[test]
fn the_search_path_and_the_zone_of_the_user_do_not_matter() {
    let mut shop = Shop::new(VISITORS);
    let schema = format!(
        "CREATE SCHEMA trap; CREATE TABLE trap.visitors AS TABLE visitors; \
         CREATE FUNCTION trap.array_agg(tid) RETURNS tid[] LANGUAGE sql AS 'SELECT NULL::tid[]'; \
         ALTER DATABASE {0} SET search_path = trap, pg_catalog; ALTER DATABASE {0} SET TimeZone = 'Asia/Kolkata'; \
         ALTER DATABASE {0} SET DateStyle = 'German'; ALTER DATABASE {0} SET default_transaction_read_only = on",
        shop.name
    );
    shop.client.batch_execute(&schema).unwrap();
    let rule = shop.erasure();
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 50), (EXPIRED, Remainder::default()));
    assert_eq!(shop.count("trap.visitors"), 400);
    assert_eq!(shop.count("public.visitors"), 181);
}

#[rstest]
#[case::as_written("id", "300", 1)]
#[case::another_way_of_writing("id", "300.0", 1)]
#[case::of_a_boolean("agreed", "yes", 110)]
#[case::of_a_time("seen", "2025-05-05 02:00+02", 1)]
#[case::of_an_address("ip", "192.0.2.50", 1)]
#[case::nothing_like_it("id", "visitor", 0)]
fn a_hold_keeps_its_rows_however_its_value_is_written(#[case] column: &str, #[case] value: &str, #[case] kept: u64) {
    let mut shop = Shop::new(VISITORS);
    let rule = shop.erasure();
    let mut selection = selection(&rule);
    selection.holds.push(HeldValue { column: column.to_owned(), value: value.to_owned() });
    let survey = shop.open().survey(&selection).unwrap();
    assert_eq!((survey.matches, survey.on_hold), (EXPIRED - kept, kept));
    assert_eq!(erase(&mut *shop.open(), &selection, 50).0, EXPIRED - kept);
    assert_eq!(shop.count("visitors"), 181 + i64::try_from(kept).unwrap());
}

/// Types of an extension, in a schema that no search path names.
const EXTENSION: &str = "CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; CREATE EXTENSION ltree SCHEMA ext;
    CREATE DOMAIN address AS ext.citext; CREATE TYPE answer AS ENUM ('yes', 'no');
    CREATE TABLE visitors (id bigint PRIMARY KEY, seen timestamptz NOT NULL, email ext.citext, home address, path ext.ltree, code char(8), said answer);
    INSERT INTO visitors SELECT n, '2020-01-01', 'Jana' || n || '@x.cz', 'Jana' || n || '@x.cz', ('a.b' || n)::ext.ltree, 'C' || n, CASE WHEN n % 2 = 0 THEN 'yes' ELSE 'no' END::answer
    FROM generate_series(1, 4) AS n;";

#[rstest]
#[case::citext("email", "JANA1@x.cz", 1)]
#[case::domain("home", "jana1@X.cz", 1)]
#[case::ltree("path", "a.b2", 1)]
#[case::padded("code", "C3", 1)]
#[case::padded_as_written("code", "C3      ", 1)]
#[case::enumeration("said", "yes", 2)]
#[case::no_such_member("said", "perhaps", 0)]
fn a_hold_compares_by_the_operator_of_the_column(#[case] column: &str, #[case] value: &str, #[case] kept: u64) {
    let shop = Shop::new(EXTENSION);
    let rule = shop.erasure();
    let mut selection = selection(&rule);
    selection.holds.push(HeldValue { column: column.to_owned(), value: value.to_owned() });
    assert_eq!(erase(&mut *shop.open(), &selection, 50).0, 4 - kept);
}

#[rstest]
#[case::citext("ext.citext", "YES", 3)]
#[case::text("text", "YES", 4)]
fn consent_counts_as_given_where_the_column_thinks_so(#[case] of: &str, #[case] given: &str, #[case] erased: u64) {
    let mut shop = Shop::new(EXTENSION);
    let column = format!("ALTER TABLE visitors ADD agreed {of}; UPDATE visitors SET agreed = 'Yes' WHERE id = 1");
    shop.client.batch_execute(&column).unwrap();
    let consent = Consent { column: "agreed".to_owned(), given: Scalar::Text(given.to_owned()) };
    let rule = shop.rule(When::WithoutConsent(consent), Action::EraseRows { children: Vec::new() });
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 50).0, erased);
}

#[test]
fn a_stand_in_is_compared_by_the_operator_of_the_column() {
    let mut shop = Shop::new(EXTENSION);
    let stand_in = Some(Scalar::Text("gone".to_owned()));
    let rule = shop.rule(older(), Action::EraseColumn { column: "path".to_owned(), stand_in });
    assert_eq!(shop.refusals(&rule), Vec::<String>::new());
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 50), (4, Remainder::default()));
    assert_eq!(shop.count("visitors WHERE path::text = 'gone'"), 4);
}

#[test]
fn a_record_that_moves_on_during_a_walk_is_erased_or_left_but_never_new() {
    let mut shop = Shop::new(VISITORS);
    let rule = shop.rule(When::NotStored, Action::EraseColumn { column: "ip".to_owned(), stand_in: None });
    let selection = selection(&rule);
    let mut store = shop.open();
    let mut walk = store.walk(&selection, MAX_LAG).unwrap();
    let mut erased = 0;
    for round in 0.. {
        let Some(batch) = walk.prepare(50).unwrap() else { break };
        erased += batch.rows();
        batch.commit().unwrap();
        // Visitors come back, after the moment of the run: each row moves to another place.
        let sql = format!("UPDATE visitors SET seen = '2026-03-01 12:00:01Z' WHERE id % 8 = {}", round % 8);
        shop.client.execute(&sql, &[]).unwrap();
    }
    let Remainder { left, arrived, .. } = walk.remainder().unwrap();
    assert_eq!((erased + left, arrived), (400, 0));
    assert_eq!(u64::try_from(shop.count("visitors WHERE ip IS NOT NULL")).unwrap(), left);
    assert!(left > 0, "nothing moved away from the walk");
}

#[test]
fn an_error_never_shows_a_record() {
    let mut shop = Shop::new(VISITORS);
    let raising =
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''kept: %'', OLD.ip; END';
        CREATE TRIGGER f BEFORE DELETE ON visitors FOR EACH ROW EXECUTE FUNCTION f()";
    shop.client.batch_execute(raising).unwrap();
    let rule = shop.erasure();
    let selection = selection(&rule);
    let mut store = shop.open();
    let error = store.walk(&selection, MAX_LAG).unwrap().prepare(10).err().unwrap();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("P0001") && !shown.contains("192.0.2"), "{shown}");
}

/// Twenty visitors of three pages each in one block, with free places among them; all but number 5 are expired.
const FAMILY: &str = "CREATE TABLE visitors (id bigint PRIMARY KEY, seen timestamptz NOT NULL) WITH (fillfactor = 50);
    CREATE TABLE pages (id bigserial PRIMARY KEY, visitor bigint NOT NULL);
    INSERT INTO visitors SELECT n, '2020-01-01' FROM generate_series(1, 20) AS n;
    UPDATE visitors SET seen = '2026-02-01' WHERE id = 5;
    DELETE FROM visitors WHERE id BETWEEN 8 AND 12;
    INSERT INTO pages (visitor) SELECT id FROM visitors, generate_series(1, 3);";

#[rstest]
#[case::begins_to_match("UPDATE visitors SET seen = '2020-01-01' WHERE id = 5")]
#[case::ceases_to_match("UPDATE visitors SET seen = '2026-02-01' WHERE id = 6")]
fn a_parent_that_changes_while_children_go_keeps_its_own_or_goes_with_them(#[case] meanwhile: &str) {
    let mut shop = Shop::new(FAMILY);
    shop.client.batch_execute("VACUUM visitors").unwrap();
    let children = vec![Child { table: "pages".to_owned(), column: "visitor".to_owned() }];
    let rule = shop.rule(older(), Action::EraseRows { children });
    let selection = selection(&rule);
    let (kind, name) = (shop.kind(), shop.name.clone());
    shop.client.batch_execute("BEGIN; SELECT * FROM pages WHERE visitor = 20 FOR UPDATE").unwrap();
    let erased = std::thread::scope(|scope| {
        let erasing = scope.spawn(|| erase(&mut *store::open_database(&kind), &selection, 50).0);
        let mut other = server().client(&name);
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'forgetd' AND wait_event_type = 'Lock'";
        let count = || other.query_one(waiting, &[]).unwrap().get::<_, i64>(0);
        assert!(std::iter::repeat_with(count).take(10_000).any(|waiting| waiting == 1));
        let mut changing = server().client(&name);
        let changing = scope.spawn(move || changing.batch_execute(meanwhile).unwrap());
        std::thread::sleep(Duration::from_millis(300));
        shop.client.batch_execute("COMMIT").unwrap();
        changing.join().unwrap();
        erasing.join().unwrap()
    });
    let left = u64::try_from(shop.count("visitors")).unwrap();
    assert_eq!(erased + left, 15);
    assert_eq!(shop.count("pages"), 3 * i64::try_from(left).unwrap());
    assert_eq!(shop.count("pages WHERE visitor NOT IN (SELECT id FROM visitors)"), 0);
}

#[test]
fn addresses_are_masked_also_where_the_database_is_not_of_unicode() {
    let name = server().create_database_with("TEMPLATE template0 ENCODING 'LATIN2' LC_COLLATE 'C' LC_CTYPE 'C'");
    let mut shop = Shop::of(server(), name, VISITORS);
    shop.client.batch_execute("UPDATE visitors SET ip = ' 192.0.2.7, 198.51.100.9 '").unwrap();
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    let rule = shop.rule(older(), Action::TruncateColumn { column: "ip".to_owned(), mask, stand_in: None });
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 50), (EXPIRED, Remainder::default()));
    assert_eq!(shop.count("visitors WHERE ip = ' 192.0.2.0, 198.51.100.0 '"), i64::try_from(EXPIRED).unwrap());
}

#[test]
fn keys_of_another_collation_find_their_children() {
    let mut shop = Shop::new(
        "CREATE TABLE visitors (id text COLLATE \"C\" PRIMARY KEY, seen timestamptz NOT NULL);
         CREATE TABLE pages (id bigserial PRIMARY KEY, visitor text COLLATE \"POSIX\" NOT NULL);
         INSERT INTO visitors SELECT n, '2020-01-01' FROM generate_series(1, 5) AS n;
         INSERT INTO pages (visitor) SELECT id FROM visitors",
    );
    let children = vec![Child { table: "pages".to_owned(), column: "visitor".to_owned() }];
    let rule = shop.rule(older(), Action::EraseRows { children });
    assert_eq!(erase(&mut *shop.open(), &selection(&rule), 50), (5, Remainder::default()));
    assert_eq!(shop.count("pages"), 0);
}

/// Three rows expired and two kept, in order of their times; then what no record can be of, one at a time.
#[rstest]
#[case::instants(
    ("timestamptz", TimeFormat::Datetime),
    ["1995-01-01 00:00+00", "2025-03-03 03:03+00", "2025-08-31 23:59:59.999999+00", "2025-09-01 00:00+00", "2026-03-01 12:02+00"],
    ["infinity", "-infinity", "1994-12-31 23:59:59.999999+00", "2026-03-01 12:02:00.000001+00"]
)]
#[case::seconds(
    ("bigint", TimeFormat::UnixSeconds),
    ["788918400", "1740971000", "1756684799", "1756684800", "1772366520"],
    ["0", "788918399", "1772366521", "1772366400000"]
)]
#[case::days(
    ("date", TimeFormat::Datetime),
    ["1995-01-01", "2025-03-03", "2025-08-31", "2025-09-01", "2026-02-28"],
    ["infinity", "-infinity", "1994-12-30", "2026-03-03"]
)]
fn counts_are_the_same_whether_or_not_a_time_among_them_is_implausible(
    #[case] (of_type, format): (&str, TimeFormat),
    #[case] times: [&str; 5],
    #[case] implausible: [&str; 4],
) {
    let oldest = "1995-01-01T00:00:00Z".parse::<Timestamp>().unwrap();
    for odd in std::iter::once(None).chain(implausible.map(Some)) {
        let mut shop = Shop::new(&format!("CREATE TABLE visitors (id bigint PRIMARY KEY, seen {of_type})"));
        let mut rule = shop.erasure();
        rule.target.time.format = format;
        rule.target.time.zone = (of_type == "date").then(|| zone("UTC"));
        assert_eq!(shop.open().survey(&selection(&rule)).unwrap(), Survey::default());
        let values = times.iter().copied().chain(odd).map(|time| format!("'{time}'")).chain(["NULL".to_owned()]);
        for (id, value) in values.enumerate() {
            shop.client.batch_execute(&format!("INSERT INTO visitors VALUES ({id}, {value})")).unwrap();
        }
        let survey = shop.open().survey(&selection(&rule)).unwrap();
        let undatable = 1 + u64::from(odd.is_some());
        assert_eq!((survey.total, survey.matches, survey.undatable), (5 + undatable, 3, undatable), "{odd:?}");
        let found = survey.oldest.unwrap();
        // A day lasts until its end.
        assert!(found == oldest || (of_type == "date" && found.duration_since(oldest).as_hours() == 23), "{found}");
        assert_eq!(survey.other_unit.is_some(), odd == Some("1772366400000"), "{odd:?}");
        shop.client.batch_execute("DELETE FROM visitors WHERE id < 3").unwrap();
        let survey = shop.open().survey(&selection(&rule)).unwrap();
        assert_eq!((survey.matches, survey.oldest), (0, None), "{odd:?}");
    }
}
