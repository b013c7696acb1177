//! Names, sessions and holds: what a statement must mean whatever surrounds it.

use forgetd::config::site::{Mask, Unparsed};
use forgetd::plan::Action;
use forgetd::store::{HeldValue, Remainder};
use rstest::rstest;

use super::{EXPIRED, MAX_LAG, Shop, VISITORS, erase, older, selection};

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
