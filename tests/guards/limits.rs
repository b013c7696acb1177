//! The guards at their limits: what is just allowed, and what is one more.

use forgetd::config::{ApprovalMode, Safety, Share};
use jiff::Timestamp;

use super::shop::{DEFAULT_SAFETY, SCHEMA, Shop, UNLIMITED, VISITORS, assess, clock, days, insert, noon, site};

fn reasons(shop: &Shop, safety: Safety) -> String {
    assess(&shop.rule(VISITORS), &shop.state(noon()), safety, &clock(noon())).reason_codes()
}

fn written_as(shop: &Shop, value: &str, most: u32) {
    let sql = format!("UPDATE visitors SET last_seen = {value} WHERE id <= ?1");
    shop.sql().execute(&sql, [most]).unwrap();
}

#[test]
fn a_column_half_of_which_makes_sense_only_in_another_unit_is_not_held_and_with_one_more_it_is() {
    for (count, half) in [(10, 5), (11, 5)] {
        let shop = Shop::new(&site(""), SCHEMA);
        insert(&shop.sql(), count, noon() - days(10));
        written_as(&shop, "last_seen * 1000", half);
        assert_eq!(reasons(&shop, UNLIMITED), "");
        written_as(&shop, "1772366400000", half + 1);
        assert_eq!(reasons(&shop, UNLIMITED), "other-unit");
    }
}

#[test]
fn a_column_half_of_which_has_no_zone_is_not_held_and_with_one_more_it_is() {
    for (count, half) in [(10, 5), (11, 5)] {
        let text = site("").replace("unix-seconds", "iso-8601");
        let shop = Shop::new(&text, &SCHEMA.replace("last_seen INTEGER", "last_seen TEXT"));
        insert(&shop.sql(), count, noon() - days(10));
        written_as(&shop, "'2027-02-20T10:00:00Z'", count);
        written_as(&shop, "'2027-02-20T10:00:00'", half);
        assert_eq!(reasons(&shop, UNLIMITED), "");
        written_as(&shop, "'2027-02-20T10:00:00'", half + 1);
        assert_eq!(reasons(&shop, UNLIMITED), "without-zone");
    }
}

#[test]
fn as_many_records_as_one_run_may_touch_are_not_held_and_one_more_is() {
    let safety = Safety { approval: ApprovalMode::Automatic, max_share: Share::WHOLE, max_rows: 10 };
    let shop = Shop::new(&site(""), SCHEMA);
    insert(&shop.sql(), 10, noon() - days(300));
    assert_eq!(reasons(&shop, safety), "");
    insert(&shop.sql(), 1, noon() - days(300));
    assert_eq!(reasons(&shop, safety), "blast-radius");
    // A tenth of 110.
    insert(&shop.sql(), 99, noon() - days(10));
    let tenth = Safety { approval: ApprovalMode::Automatic, ..DEFAULT_SAFETY };
    assert_eq!(reasons(&shop, tenth), "");
    insert(&shop.sql(), 1, noon() - days(300));
    assert_eq!(reasons(&shop, tenth), "blast-radius");
}

#[test]
fn nothing_is_overdue_where_nothing_matches() {
    let shop = Shop::new(&site(""), SCHEMA);
    insert(&shop.sql(), 5, noon() - days(10));
    let since = |shop: &Shop| -> Option<Timestamp> {
        assess(&shop.rule(VISITORS), &shop.state(noon()), UNLIMITED, &clock(noon())).overdue_since
    };
    assert_eq!(since(&shop), None);
    insert(&shop.sql(), 1, "2026-08-20T10:00:00Z".parse().unwrap());
    assert_eq!(since(&shop), Some("2027-02-20T23:00:00Z".parse().unwrap()));
}
