//! The contract of a store, run over every kind of store there is, on the real thing.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and says where it was")]

#[path = "support/kinds.rs"]
mod kinds;
#[path = "support/store.rs"]
mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forgetd::config::site::{Consent, Mask, Scalar, Unparsed};
use forgetd::plan::{Action, RuleRef, When};
use forgetd::store::{
    self, Committed, HeldValue, Physical, Remainder, Resolution, Selection, Store, StoreError, Survey,
};
use jiff::{SignedDuration, Timestamp};
use kinds::{Kind, Writer, every_kind};
use support::{Application, Fixture, Visitor, every_database};

/// Nothing here has a replica.
const MAX_LAG: Duration = Duration::ZERO;

const LIMIT: u32 = 7;

/// After the test: files cannot be given a birth in the past, nor a moment at which they were put there.
fn now() -> Timestamp {
    "2037-03-01T12:00:00Z".parse().unwrap()
}

/// By the clock of the machine, once what follows is certainly later for a file system, whose clock ticks.
fn this_moment() -> Timestamp {
    let moment = (std::time::UNIX_EPOCH + std::time::UNIX_EPOCH.elapsed().unwrap()).try_into().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    moment
}

fn cutoff() -> Timestamp {
    "2036-09-01T00:00:00Z".parse().unwrap()
}

fn older() -> When {
    When::Older("6 months".parse().unwrap())
}

fn seconds_after_cutoff(seconds: i64) -> Timestamp {
    cutoff() + SignedDuration::from_secs(seconds)
}

/// A hundred visitors of whom every second one is expired, oldest last.
fn half_expired() -> Vec<Visitor> {
    (1..=100).map(|id| Visitor::new(id, seconds_after_cutoff(if id % 2 == 0 { -id } else { id }))).collect()
}

fn selection<'a>(rule: impl Into<RuleRef<'a>>) -> Selection<'a> {
    let rule = rule.into();
    let when = match rule {
        RuleRef::Table(rule) => &rule.when,
        RuleRef::Directory(rule) => &rule.when,
        RuleRef::Log(rule) => &rule.when,
    };
    let cutoff = match when {
        When::Older(_) => Some(cutoff()),
        When::Expired => Some(now()),
        When::NotStored | When::WithoutConsent(_) => None,
    };
    Selection { rule, now: now(), cutoff, holds: Vec::new() }
}

/// Walks to the end: records, records of children, and what is left.
fn erase(store: &mut dyn Store, selection: &Selection<'_>) -> (u64, u64, Remainder) {
    let mut walk = store.walk(selection, MAX_LAG).unwrap();
    let (mut rows, mut children) = (0, 0);
    while let Some(batch) = walk.prepare(LIMIT).unwrap() {
        assert!(batch.rows() <= LIMIT.into());
        let committed = batch.commit().unwrap();
        rows += committed.rows;
        children += committed.children;
    }
    (rows, children, walk.remainder().unwrap())
}

fn on_every_kind(test: impl Fn(&dyn Kind, &mut dyn Writer, &mut dyn Store)) {
    for kind in every_kind() {
        println!("on {}", kind.name());
        let store = &mut *store::open(&kind.rule(older()));
        test(kind.as_ref(), kind.writer().as_mut(), store);
    }
}

/// What is about rows and columns.
fn on_every_database(test: impl Fn(&dyn Fixture, &mut dyn Application, &mut dyn Store)) {
    for fixture in every_database() {
        println!("on {}", fixture.name());
        test(fixture.as_ref(), fixture.application().as_mut(), store::open_database(&fixture.kind()).as_mut());
    }
}

fn ids(ids: impl IntoIterator<Item = i64>) -> BTreeSet<i64> {
    ids.into_iter().collect()
}

#[test]
fn what_is_counted_is_what_is_erased() {
    on_every_kind(|kind, writer, store| {
        writer.write(&half_expired());
        let rule = kind.rule(older());
        let survey = store.survey(&selection(&rule)).unwrap();
        let oldest = Some(seconds_after_cutoff(-100));
        assert_eq!(survey, Survey { total: 100, matches: 50, oldest, ..Survey::default() });
        assert_eq!(erase(store, &selection(&rule)), (50, 50 * kind.children(), Remainder::default()));
        assert_eq!(writer.visitors(), ids((1..=100).step_by(2)));
    });
}

#[test]
fn a_record_of_the_very_instant_of_the_cutoff_is_kept() {
    on_every_kind(|kind, writer, store| {
        writer.write(&[-1, 0, 1].map(|offset| Visitor::new(offset + 2, seconds_after_cutoff(offset))));
        let rule = kind.rule(older());
        assert_eq!(erase(store, &selection(&rule)).0, 1);
        assert_eq!(writer.visitors(), ids([2, 3]));
    });
}

#[test]
fn a_second_run_finds_nothing() {
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    let column = || "ip".to_owned();
    let actions = [
        Action::EraseRows { children: Vec::new() },
        Action::EraseColumn { column: column(), stand_in: None },
        Action::EraseColumn { column: column(), stand_in: Some(Scalar::Text("gone".to_owned())) },
        Action::TruncateColumn { column: column(), mask, stand_in: None },
    ];
    for action in actions {
        on_every_database(|fixture, application, store| {
            application
                .write(&half_expired().into_iter().map(|visitor| Visitor { pages: 0, ..visitor }).collect::<Vec<_>>());
            let rule = fixture.rule(older(), action.clone());
            assert_eq!(erase(store, &selection(&rule)), (50, 0, Remainder::default()));
            assert_eq!(store.survey(&selection(&rule)).unwrap().matches, 0);
            assert_eq!(erase(store, &selection(&rule)), (0, 0, Remainder::default()));
        });
    }
}

#[test]
fn a_column_is_erased_or_masked_in_the_records_that_match_and_only_there() {
    let mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    let column = || "ip".to_owned();
    let stand_in = || Some(Scalar::Text("gone".to_owned()));
    let actions = [
        (Action::EraseColumn { column: column(), stand_in: None }, None),
        (Action::EraseColumn { column: column(), stand_in: stand_in() }, Some("gone")),
        (Action::TruncateColumn { column: column(), mask, stand_in: stand_in() }, Some("192.0.2.0")),
    ];
    for (action, expected) in actions {
        on_every_database(|fixture, application, store| {
            application.write(&half_expired());
            let rule = fixture.rule(older(), action.clone());
            assert_eq!(erase(store, &selection(&rule)).0, 50);
            assert_eq!(application.address(2).as_deref(), expected);
            assert_eq!(application.address(1).as_deref(), Some("192.0.2.77"));
            assert_eq!(application.visitors().len(), 100);
        });
    }
}

#[test]
fn what_must_not_be_stored_goes_from_every_record_whatever_its_time() {
    on_every_database(|fixture, application, store| {
        application.write(&half_expired());
        application.write(&[Visitor { last_seen: None, ..Visitor::new(101, now()) }]);
        let rule = fixture.rule(When::NotStored, Action::EraseColumn { column: "ip".to_owned(), stand_in: None });
        let survey = store.survey(&selection(&rule)).unwrap();
        assert_eq!(survey, Survey { total: 101, matches: 101, ..Survey::default() });
        assert_eq!(erase(store, &selection(&rule)).0, 101);
        assert_eq!(application.address(101), None);
    });
}

#[test]
fn without_consent_means_any_value_but_the_one_given() {
    on_every_database(|fixture, application, store| {
        let consents = [Some(1), Some(0), None, Some(2)];
        let visitors: Vec<Visitor> =
            (1..).zip(consents).map(|(id, consent)| Visitor { consent, ..Visitor::new(id, now()) }).collect();
        application.write(&visitors);
        let consent = Consent { column: "consent".to_owned(), given: Scalar::Integer(1) };
        let rule = fixture.rule(When::WithoutConsent(consent), fixture.erase_rows());
        assert_eq!(store.survey(&selection(&rule)).unwrap().matches, 3);
        assert_eq!(erase(store, &selection(&rule)).0, 3);
        assert_eq!(application.visitors(), ids([1]));
    });
}

#[test]
fn what_has_no_time_is_kept_and_counted() {
    on_every_kind(|kind, writer, store| {
        writer.write(&half_expired());
        writer.write(&[Visitor { last_seen: None, ..Visitor::new(101, now()) }]);
        let rule = kind.rule(older());
        assert_eq!(store.survey(&selection(&rule)).unwrap().undatable, 1);
        assert_eq!(erase(store, &selection(&rule)).0, 50);
        assert!(writer.visitors().contains(&101));
    });
}

#[test]
fn a_hold_keeps_its_rows_and_they_are_counted_apart() {
    on_every_database(|fixture, application, store| {
        application.write(&half_expired());
        let rule = fixture.rule(older(), fixture.erase_rows());
        let mut selection = selection(&rule);
        selection.holds =
            ["10", "12", "11"].map(|id| HeldValue { column: "id".to_owned(), value: id.to_owned() }).into();
        let survey = store.survey(&selection).unwrap();
        assert_eq!((survey.matches, survey.on_hold), (48, 2));
        assert_eq!(erase(store, &selection).0, 48);
        assert!(application.visitors().is_superset(&ids([10, 12])));
    });
}

#[test]
fn a_filter_narrows_the_table_and_its_total() {
    on_every_database(|fixture, application, store| {
        let visitors = half_expired().into_iter().map(|visitor| Visitor { site: visitor.id % 4, ..visitor });
        application.write(&visitors.collect::<Vec<_>>());
        let mut rule = fixture.rule(older(), fixture.erase_rows());
        rule.target.filter.insert("site".to_owned(), Scalar::Integer(2));
        let survey = store.survey(&selection(&rule)).unwrap();
        assert_eq!((survey.total, survey.matches), (25, 25));
        assert_eq!(erase(store, &selection(&rule)).0, 25);
        assert!(application.visitors().contains(&4));
    });
}

#[test]
fn a_batch_that_is_dropped_leaves_everything_and_is_offered_again() {
    on_every_kind(|kind, writer, store| {
        writer.write(&half_expired());
        let rule = kind.rule(older());
        let selection = selection(&rule);
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        let rows = walk.prepare(LIMIT).unwrap().map(|batch| batch.rows());
        assert_eq!(rows, Some(kind.batch(LIMIT)));
        assert_eq!(writer.visitors().len(), 100);
        drop(walk);
        assert_eq!(erase(store, &selection).0, 50);
    });
}

#[test]
fn children_go_in_the_same_transaction() {
    on_every_database(|fixture, application, store| {
        application.write(&half_expired());
        let rule = fixture.rule(older(), fixture.erase_rows());
        let selection = selection(&rule);
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        let batch = walk.prepare(LIMIT).unwrap().unwrap();
        assert_eq!((batch.rows(), batch.children()), (LIMIT.into(), u64::from(LIMIT) * 2));
        batch.commit().unwrap();
        let gone = u64::from(LIMIT);
        assert_eq!((application.visitors().len(), application.pages()), (100 - LIMIT as usize, 200 - 2 * gone));
    });
}

#[test]
fn a_batch_in_flight_is_resolved_by_its_records() {
    for action in ["rows", "column"] {
        on_every_database(|fixture, application, store| {
            application.write(&half_expired());
            let rule = match action {
                "rows" => fixture.rule(older(), fixture.erase_rows()),
                _ => fixture.rule(older(), Action::EraseColumn { column: "ip".to_owned(), stand_in: None }),
            };
            let selection = selection(&rule);
            let mut walk = store.walk(&selection, MAX_LAG).unwrap();
            let batch = walk.prepare(LIMIT).unwrap().unwrap();
            let in_flight = batch.in_flight().to_vec();
            drop(batch);
            let later = Selection { now: now() + SignedDuration::from_hours(24), ..selection.clone() };
            let resolve = |in_flight: &[u8]| store::open_database(&fixture.kind()).resolve(&later, in_flight).unwrap();
            assert_eq!(resolve(&in_flight), Resolution::RolledBack);
            let batch = walk.prepare(LIMIT).unwrap().unwrap();
            if batch.transaction().is_none() {
                assert_eq!(batch.in_flight(), in_flight);
            }
            let in_flight = batch.in_flight().to_vec();
            batch.commit().unwrap();
            assert_eq!(resolve(&in_flight), Resolution::Committed);
        });
    }
}

#[test]
fn a_batch_in_flight_of_any_kind_is_resolved_by_its_records() {
    on_every_kind(|kind, writer, store| {
        writer.write(&half_expired());
        let rule = kind.rule(older());
        let selection = selection(&rule);
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        // What is born after the run began is another visitor's, also where a number is given anew.
        let began = Selection { now: this_moment(), ..selection.clone() };
        let resolve = |in_flight: &[u8]| store::open(&rule).resolve(&began, in_flight).unwrap();
        let in_flight = walk.prepare(LIMIT).unwrap().unwrap().in_flight().to_vec();
        assert_eq!(resolve(&in_flight), Resolution::RolledBack);
        let batch = walk.prepare(LIMIT).unwrap().unwrap();
        let in_flight = batch.in_flight().to_vec();
        assert_eq!(
            batch.commit().unwrap(),
            Committed { rows: kind.batch(LIMIT), children: kind.batch(LIMIT) * kind.children() }
        );
        // The visitors come back, and are none of those that were erased.
        let erased: Vec<i64> = ids(1..=100).difference(&writer.visitors()).copied().collect();
        writer.write(&erased.into_iter().map(|id| Visitor::new(id, now())).collect::<Vec<_>>());
        assert_eq!(resolve(&in_flight), Resolution::Committed);
    });
}

#[test]
fn a_hold_that_came_later_does_not_make_a_rolled_back_batch_look_committed() {
    on_every_database(|fixture, application, store| {
        application.write(&half_expired());
        let rule = fixture.rule(older(), fixture.erase_rows());
        let mut selection = selection(&rule);
        let in_flight = store.walk(&selection, MAX_LAG).unwrap().prepare(LIMIT).unwrap().unwrap().in_flight().to_vec();
        selection.holds.push(HeldValue { column: "site".to_owned(), value: "1".to_owned() });
        selection.cutoff = Some(seconds_after_cutoff(-100_000));
        assert_eq!(store.resolve(&selection, &in_flight).unwrap(), Resolution::RolledBack);
    });
}

#[test]
fn what_is_no_batch_cannot_be_resolved() {
    on_every_kind(|kind, _, store| {
        let rule = kind.rule(older());
        for in_flight in [&b""[..], b"\xFFnonsense", &[1, 2, 3]] {
            let resolved = store.resolve(&selection(&rule), in_flight);
            assert!(matches!(resolved, Err(StoreError::Failed { .. })), "{resolved:?}");
        }
    });
}

#[test]
fn a_locked_store_is_busy_and_offers_the_same_records_again() {
    on_every_database(|fixture, application, store| {
        application.write(&half_expired());
        let rule = fixture.rule(older(), fixture.erase_rows());
        let selection = selection(&rule);
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        application.lock();
        assert!(matches!(walk.prepare(LIMIT).err(), Some(StoreError::Busy { .. })));
        application.unlock();
        let mut rows = 0;
        while let Some(batch) = walk.prepare(LIMIT).unwrap() {
            rows += batch.commit().unwrap().rows;
        }
        assert_eq!(rows, 50);
    });
}

#[test]
fn a_record_that_changes_before_its_batch_is_kept_and_not_counted() {
    on_every_kind(|kind, writer, store| {
        writer.write(&half_expired());
        let rule = kind.rule(older());
        let selection = selection(&rule);
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        walk.prepare(1).unwrap().unwrap().commit().unwrap();
        let gone = ids(1..=100).difference(&writer.visitors()).copied().collect::<Vec<_>>();
        writer.touch(&ids(1..=90).difference(&ids(gone.clone())).copied().collect::<Vec<_>>(), now());
        let mut rows = 0;
        while let Some(batch) = walk.prepare(LIMIT).unwrap() {
            rows += batch.commit().unwrap().rows;
        }
        let kept = ids((1..=90).filter(|id| !gone.contains(id)).chain((91..=100).step_by(2)));
        assert_eq!(writer.visitors(), kept);
        assert_eq!(rows, 100 - 1 - u64::try_from(kept.len()).unwrap());
        assert_eq!(walk.remainder().unwrap(), Remainder::default());
    });
}

#[test]
fn visitors_who_arrive_during_a_walk_are_kept_or_counted_apart_and_none_is_lost() {
    on_every_kind(|kind, writer, store| {
        writer.write(&half_expired());
        let rule = kind.rule(older());
        let selection = selection(&rule);
        let mut walk = store.walk(&selection, MAX_LAG).unwrap();
        let done = AtomicBool::new(false);
        let mut arriving = kind.writer();
        let (written, rows) = std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let mut written = 0;
                for id in (1_000..).take_while(|_| !done.load(Ordering::Relaxed)) {
                    arriving.write(&[Visitor::new(id, if id % 10 == 0 { seconds_after_cutoff(-5) } else { now() })]);
                    written += 1;
                    // Locks of a file are not fair: without a pause the walk might wait for ever.
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                written
            });
            let mut rows = 0;
            while let Some(batch) = walk.prepare(3).unwrap() {
                rows += batch.commit().unwrap().rows;
            }
            done.store(true, Ordering::Relaxed);
            (writing.join().unwrap(), rows)
        });
        let Remainder { left, arrived, .. } = walk.remainder().unwrap();
        let expired_now = writer.visitors().iter().filter(|id| **id >= 1_000 && **id % 10 == 0).count();
        assert_eq!(left + arrived, u64::try_from(expired_now).unwrap());
        assert!(left == 0 || !kind.tells_arrivals());
        assert_eq!(writer.visitors().len(), 100 + written - usize::try_from(rows).unwrap());
        assert!(writer.visitors().is_superset(&ids((1..=100).step_by(2))));
    });
}

#[test]
fn the_shape_of_a_table_is_the_same_until_something_changes_that_a_rule_relies_on() {
    on_every_database(|fixture, application, store| {
        let rule = fixture.rule(older(), Action::EraseColumn { column: "ip".to_owned(), stand_in: None });
        let shape = || store::open_database(&fixture.kind()).inspect(&selection(&rule)).unwrap().shape.unwrap();
        let before = shape();
        application.write(&half_expired());
        erase(store, &selection(&rule));
        application.upgrade("CREATE INDEX visitors_site ON visitors (site)");
        assert_eq!((shape(), shape().digest()), (before.clone(), before.digest()));
        application.upgrade("ALTER TABLE visitors ADD COLUMN locale VARCHAR(9)");
        let after = shape();
        assert_eq!(after.changes_since(&before), ["column `locale` of visitors was added"]);
        assert_eq!(before.changes_since(&after), ["column `locale` of visitors was removed"]);
        assert_ne!(after.digest(), before.digest());
    });
}

#[test]
fn a_store_that_is_open_sees_a_change_of_the_tables() {
    on_every_database(|fixture, application, store| {
        let rule = fixture.rule(older(), fixture.erase_rows());
        let mut selection = selection(&rule);
        let Some(before) = store.inspect(&selection).unwrap().shape else {
            // A key that is unique within its partition only, with children.
            return assert_eq!(fixture.name(), "postgres, partitions");
        };
        application.upgrade("ALTER TABLE pages ADD COLUMN title VARCHAR(9)");
        // Neither holds nor the moment have to do with it.
        selection.holds.push(HeldValue { column: "site".to_owned(), value: "1".to_owned() });
        selection.now += SignedDuration::from_hours(24);
        let after = store.inspect(&selection).unwrap().shape.unwrap();
        assert_eq!(after.changes_since(&before), ["column `title` of pages was added"]);
    });
}

#[test]
fn a_rule_that_is_refused_has_no_shape() {
    on_every_database(|fixture, application, store| {
        let mut rule = fixture.rule(older(), Action::EraseColumn { column: "ip".to_owned(), stand_in: None });
        rule.target.key = "site".to_owned();
        assert_eq!(store.inspect(&selection(&rule)).unwrap().shape, None);
        application.upgrade("DROP TABLE pages");
        application.upgrade("DROP TABLE visitors");
        assert_eq!(store.inspect(&selection(&rule)).unwrap().shape, None);
    });
}

#[test]
fn nothing_is_left_of_erased_records_once_settled() {
    on_every_kind(|kind, writer, store| {
        writer.write(&half_expired());
        let rule = kind.rule(older());
        erase(store, &selection(&rule));
        let left = store.settle(&std::sync::atomic::AtomicBool::new(false)).unwrap();
        match kind.keeps_copies() {
            false => assert_eq!(left, Physical::Gone),
            true => assert!(matches!(&left, Physical::Pending(what) if !what.contains("dead rows")), "{left:?}"),
        }
    });
}
