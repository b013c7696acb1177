//! What must be true of every configuration, every table and every night, with models of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/shop.rs"]
mod shop;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use forgetd::config::site::{DatabaseKind, Mask, RowTime, Scalar, TimeMeaning, Unparsed, Zone};
use forgetd::config::{Safety, TimeFormat};
use forgetd::plan::{Action, Definition, Rule, RuleName, TableRule, Target, When, derive};
use forgetd::purge::{Outcome, State, Unwatched};
use forgetd::safety::approval::definition_json;
use forgetd::store::{self, Selection};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;
use rusqlite::types::Value;
use shop::{DEFAULT_SAFETY, SITE, Shop, UNLIMITED, assess, clock, days, run};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

const ZONES: [&str; 6] =
    ["UTC", "Europe/Prague", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Kathmandu"];
const PERIODS: [&str; 10] =
    ["24 hours", "100 hours", "1 day", "30 days", "8 weeks", "1 month", "2 months", "6 months", "183 days", "1 year"];

fn zone() -> impl Strategy<Value = Zone> {
    select(&ZONES[..]).prop_map(|name| Zone { name: name.to_owned(), zone: TimeZone::get(name).unwrap() })
}

fn when() -> impl Strategy<Value = When> {
    select(&PERIODS[..]).prop_map(|period| When::Older(period.parse().unwrap()))
}

fn definition(path: &Path, time: RowTime, when: When, action: Action, zone: Zone) -> TableRule {
    let rule: RuleName = serde_json::from_value("shop.example/chat/visitors".into()).unwrap();
    let (filter, accepts) = (BTreeMap::new(), BTreeSet::new());
    let target = Target { table: "visitors".to_owned(), key: "id".to_owned(), time, filter, accepts };
    TableRule { rule, store: DatabaseKind::Sqlite { path: path.to_owned() }, target, when, action, zone }
}

/// A database with these values in a column without a type.
fn database(path: &Path, rows: &[(Value, Option<&str>)]) {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "synchronous", "OFF").unwrap();
    connection.execute_batch("BEGIN; CREATE TABLE visitors (id INTEGER PRIMARY KEY, seen, ip TEXT)").unwrap();
    for (seen, ip) in rows {
        connection.execute("INSERT INTO visitors (seen, ip) VALUES (?1, ?2)", (seen, ip)).unwrap();
    }
    connection.execute_batch("COMMIT").unwrap();
}

/// What a rule leaves of a copy of the database: each row's address.
fn left_by(definition: &TableRule, now: Timestamp) -> BTreeMap<i64, Option<String>> {
    let DatabaseKind::Sqlite { path } = &definition.store else { panic!("another kind of store") };
    let copy = path.with_extension("copy");
    std::fs::copy(path, &copy).unwrap();
    let definition = TableRule { store: DatabaseKind::Sqlite { path: copy.clone() }, ..definition.clone() };
    let cutoff = Definition::Table(definition.clone()).cutoff(now).unwrap();
    let selection = Selection { rule: (&definition).into(), now, cutoff, holds: Vec::new() };
    let mut store = store::open_database(&definition.store);
    let counted = store.survey(&selection).unwrap().matches;
    let mut erased = 0;
    let mut walk = store.walk(&selection, std::time::Duration::ZERO).unwrap();
    while let Some(batch) = walk.prepare(7).unwrap() {
        erased += batch.rows();
        batch.commit().unwrap();
    }
    assert_eq!(counted, erased, "what is counted is what is erased");
    drop(walk);
    drop(store);
    addresses(&copy)
}

fn addresses(path: &Path) -> BTreeMap<i64, Option<String>> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare("SELECT id, ip FROM visitors").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

// A later moment.

/// An instant as one of the ways in which an application may write it, or as something that is no instant.
fn written(format: TimeFormat, at: Timestamp, way: u8) -> Value {
    let text = |form: &str| Value::Text(at.strftime(form).to_string());
    match (way, format) {
        (0, _) => Value::Null,
        (1, _) => Value::Integer(0),
        (2, _) => Value::Text("0000-00-00".to_owned()),
        (3, _) => Value::Real(1.5e9),
        (4, _) => Value::Integer(at.as_second()),
        (5, _) => Value::Integer(at.as_millisecond()),
        (_, TimeFormat::UnixSeconds) => Value::Integer(at.as_second()),
        (_, TimeFormat::UnixMillis) => Value::Integer(at.as_millisecond()),
        (_, TimeFormat::UnixMicros) => Value::Integer(at.as_microsecond()),
        (_, TimeFormat::Mediawiki) => text("%Y%m%d%H%M%S"),
        (6 | 7, TimeFormat::Iso8601) => text("%Y-%m-%dT%H:%M:%SZ"),
        (8, _) => text("%Y-%m-%d"),
        (9, _) => text("%Y-%m-%d %H:%M:%S.%6f"),
        _ => text("%Y-%m-%d %H:%M:%S"),
    }
}

const START: i64 = 1_767_225_600; // 2026-01-01T00:00:00Z
const YEAR: i64 = 366 * 24 * 3_600;

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn a_later_moment_never_keeps_what_an_earlier_one_erases(
        format in select(&TimeFormat::ALL[..]),
        meaning in select(&[TimeMeaning::Recorded, TimeMeaning::Expires][..]),
        (own, of_values) in (zone(), zone()),
        when in when(),
        ages in prop::collection::vec((-YEAR / 100..YEAR * 3 / 2, 0_u8..14), 1..40),
        now in START..START + 2 * YEAR,
        step in prop_oneof![0..7_200_i64, 0..YEAR],
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat.db");
        let at = |second| Timestamp::from_second(second).unwrap();
        let rows: Vec<_> = ages.iter().map(|(age, way)| (written(format, at(now - age), *way), None)).collect();
        database(&path, &rows);
        let time = RowTime { column: "seen".to_owned(), format, zone: Some(of_values), meaning };
        let when = if meaning == TimeMeaning::Expires { When::Expired } else { when };
        let rule = definition(&path, time, when, Action::EraseRows { children: Vec::new() }, own);
        let (earlier, later) = (left_by(&rule, at(now)), left_by(&rule, at(now + step)));
        prop_assert!(later.keys().all(|id| earlier.contains_key(id)), "kept later: {:?}, earlier: {:?}", later, earlier);
    }
}

// A rule that keeps at least what another one keeps.

fn action() -> impl Strategy<Value = Action> {
    let column = || "ip".to_owned();
    let stand_in = select(&[None, Some("none")][..]).prop_map(|text| text.map(|text| Scalar::Text(text.to_owned())));
    let mask = (select(&[8_u8, 16, 24][..]), select(&[32_u8, 48][..]), select(&[Unparsed::Erase, Unparsed::Keep][..]))
        .prop_map(|(v4, v6, unparsed)| Mask { v4, v6, unparsed });
    prop_oneof![
        Just(Action::EraseRows { children: Vec::new() }),
        stand_in.clone().prop_map(move |stand_in| Action::EraseColumn { column: column(), stand_in }),
        (mask, stand_in).prop_map(move |(mask, stand_in)| Action::TruncateColumn { column: column(), mask, stand_in }),
    ]
}

fn filter() -> impl Strategy<Value = BTreeMap<String, Scalar>> {
    let ip = select(&[None, Some("192.0.2.77"), Some("192.0.2.0")][..]);
    ip.prop_map(|ip| ip.map(|ip| ("ip".to_owned(), Scalar::Text(ip.to_owned()))).into_iter().collect())
}

const ADDRESSES: [Option<&str>; 8] = [
    None,
    Some("192.0.2.77"),
    Some("192.0.2.0"),
    Some("192.0.0.0"),
    Some("2001:db8:1:2::3"),
    Some("2001:db8:1::"),
    Some("unknown"),
    Some("none"),
];

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn a_rule_that_is_said_to_keep_at_least_as_much_touches_nothing_that_the_other_would_not(
        rows in prop::collection::vec((0..YEAR, select(&ADDRESSES[..])), 1..40),
        (zone, now) in (zone(), START..START + 2 * YEAR),
        (approved, new) in ((when(), action(), filter()), (when(), action(), filter())),
        same in prop::collection::vec(any::<bool>(), 3),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat.db");
        let rows: Vec<_> = rows.into_iter().map(|(age, ip)| (Value::Integer(now - age), ip)).collect();
        database(&path, &rows);
        let column = "seen".to_owned();
        let time = RowTime { column, format: TimeFormat::UnixSeconds, zone: None, meaning: TimeMeaning::Recorded };
        let make = |(when, action, filter)| {
            let mut made = definition(&path, time.clone(), when, action, zone.clone());
            made.target.filter = filter;
            made
        };
        let approved = make(approved);
        let mut new = make(new);
        // Independent draws are rarely alike enough to compare.
        if same[0] { new.when = approved.when.clone(); }
        if same[1] { new.action = approved.action.clone(); }
        if same[2] { new.target.filter = approved.target.filter.clone(); }
        let (of_new, of_approved) = (Definition::Table(new.clone()), Definition::Table(approved.clone()));
        prop_assume!(of_new.keeps_at_least(&of_approved));
        let now = Timestamp::from_second(now).unwrap();
        let (before, by_new, by_approved) = (addresses(&path), left_by(&new, now), left_by(&approved, now));
        for (id, was) in &before {
            let touched = by_new.get(id) != Some(was);
            prop_assert!(!touched || by_approved.get(id) != Some(was), "row {} with {:?}: {:?}, {:?}", id, was, new, approved);
            prop_assert!(by_new.contains_key(id) || !by_approved.contains_key(id), "row {}", id);
        }
    }
}

// Any sequence of configurations.

/// What a site file says, and what the model makes of it.
#[derive(Debug, Clone)]
struct Choice {
    row_months: i64,
    city_days: Option<i64>,
    store_ip: bool,
    ladder: bool,
    only_brno: bool,
}

/// Days after which the ladder of the address masks and erases it.
const LADDER: (i64, i64) = (7, 20);

fn choice() -> impl Strategy<Value = Choice> {
    let months = select(&[2_i64, 3, 6, 12][..]);
    let days = select(&[None, Some(1_i64), Some(10), Some(45)][..]);
    (months, days, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(row_months, city_days, store_ip, ladder, only_brno)| Choice {
            row_months,
            city_days,
            store_ip,
            ladder,
            only_brno,
        },
    )
}

impl Choice {
    fn site(&self) -> String {
        let city = self.city_days.map(|days| format!("\"visit.location\" = \"{days} days\"\n")).unwrap_or_default();
        let filter = if self.only_brno { "filter = { city = \"Brno\" }\n" } else { "" };
        let ladder = format!(
            "{{ category = \"visit.ip-address\", steps = [{{ after = \"{} days\", do = \"truncate\" }}, \
             {{ after = \"{} days\", do = \"erase\" }}] }}",
            LADDER.0, LADDER.1
        );
        let ip = if self.ladder { ladder } else { "\"visit.ip-address\"".to_owned() };
        format!(
            "domain = \"shop.example\"\ntime-zone = \"UTC\"\nschedule = \"30 3 * * *\"\n\
             [settings]\nstore-ip = {}\n[retention]\nvisit = \"{} months\"\n{city}\
             [store.chat]\nkind = \"sqlite\"\npath = \"DATABASE\"\n[[store.chat.table]]\nname = \"visitors\"\n\
             key = \"id\"\ntime = {{ column = \"last_seen\", format = \"unix-seconds\" }}\nholds = \"visit\"\n{filter}\
             [store.chat.table.columns]\nip = {ip}\ntown = \"visit.location\"\n",
            self.store_ip, self.row_months
        )
    }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The model's calendar: days since 1970 to year, month, day, by counting months off.
fn civil(day: i64) -> (i64, i64, i64) {
    let (mut year, mut month, mut left) = (1970, 1, day);
    while left >= days_of_month(year, month) {
        left -= days_of_month(year, month);
        (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    }
    (year, month, left + 1)
}

/// The day that is so many months before, or the last one of its month where there is none.
fn months_before(day: i64, months: i64) -> i64 {
    let (mut year, mut month, of_month) = civil(day);
    let mut first = day - (of_month - 1);
    for _ in 0..months {
        (year, month) = if month == 1 { (year - 1, 12) } else { (year, month - 1) };
        first -= days_of_month(year, month);
    }
    first + of_month.min(days_of_month(year, month)) - 1
}

/// One visitor as the application sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Visitor {
    last_seen: Option<i64>,
    city: String,
    town: Option<String>,
    ip: Option<String>,
}

fn visitors(shop: &Shop) -> BTreeMap<i64, Visitor> {
    let sql = shop.sql();
    let mut statement = sql.prepare("SELECT id, last_seen, city, town, ip FROM visitors").unwrap();
    let visitor = |row: &rusqlite::Row<'_>| {
        Ok((row.get(0)?, Visitor { last_seen: row.get(1)?, city: row.get(2)?, town: row.get(3)?, ip: row.get(4)? }))
    };
    statement.query_map([], visitor).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The most that a configuration lets happen to a visitor at `now`; `None`: it may go.
fn least_kept(visitor: &Visitor, choice: &Choice, now: Timestamp) -> Option<Visitor> {
    let today = now.as_second().div_euclid(86_400);
    let seen = visitor.last_seen.map(|second| second.div_euclid(86_400));
    let before = |day: i64| seen.is_some_and(|seen| seen < day);
    let mut kept = visitor.clone();
    if choice.only_brno && visitor.city != "Brno" {
        return Some(kept);
    }
    if before(months_before(today, choice.row_months)) {
        return None;
    }
    if choice.city_days.is_some_and(|days| before(today - days)) {
        kept.town = None;
    }
    let masked = |ip: &Option<String>| ip.as_ref().map(|ip| format!("{}.0", ip.rsplit_once('.').unwrap().0));
    kept.ip = match (choice.store_ip, choice.ladder) {
        (false, false) => None,
        (_, true) if before(today - LADDER.1) => None,
        (false, true) => masked(&visitor.ip),
        (true, true) if before(today - LADDER.0) => masked(&visitor.ip),
        (true, _) => visitor.ip.clone(),
    };
    Some(kept)
}

/// What happens in a shop.
#[derive(Debug, Clone)]
enum Turn {
    /// The operator writes another site file; it is applied.
    Edit(Choice),
    /// The operator approves some of the rules, as they are.
    Approve(u8),
    /// Days pass, visitors come and come back, and every rule runs.
    Night(i64, Runs),
}

/// Whose rules run at night.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runs {
    /// Those in force, under the default settings.
    InForce,
    /// Those in force, of an operator who wants no approvals.
    Automatic,
    /// Those of a process that has not yet noticed the last edit.
    Stale,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        2 => choice().prop_map(Turn::Edit),
        2 => any::<u8>().prop_map(Turn::Approve),
        3 => (1..40_i64, select(&[Runs::InForce, Runs::InForce, Runs::Stale, Runs::Automatic][..]))
            .prop_map(|(days, runs)| Turn::Night(days, runs)),
    ]
}

const VISITORS: &str =
    "CREATE TABLE visitors (id INTEGER PRIMARY KEY, last_seen INTEGER, city TEXT, town TEXT, ip TEXT)";

struct Story {
    shop: Shop,
    state: State,
    choice: Choice,
    rules: Vec<Rule>,
    stale: Vec<Rule>,
    now: Timestamp,
}

impl Story {
    fn begin(choice: Choice) -> Story {
        let now = "2027-01-15T02:30:00Z".parse().unwrap();
        let shop = Shop::in_memory(&choice.site(), VISITORS);
        for id in 0..60_i64 {
            come(&shop, (id % 20 != 0).then(|| now - days(id * 9)), id);
        }
        let state = shop.state(now);
        let mut story = Story { shop, state, choice, rules: Vec::new(), stale: Vec::new(), now };
        story.apply();
        story
    }

    fn apply(&mut self) {
        let config = self.shop.config();
        let rules = derive(&config);
        self.stale = std::mem::replace(&mut self.rules, rules);
        self.state.apply(&config, &self.rules, self.now).unwrap();
    }

    fn edit(&mut self, choice: Choice) {
        self.shop.write(SITE, &choice.site());
        self.choice = choice;
        self.apply();
    }

    fn approve(&mut self, which: u8) {
        for (position, rule) in self.rules.iter().enumerate() {
            let assessment = assess(rule, &self.state, DEFAULT_SAFETY, &clock(self.now));
            if let Some(token) = assessment.token.filter(|_| which & (1 << (position % 8)) > 0) {
                let counts = (token.counted(), token.ceiling());
                let definition = definition_json(&rule.definition);
                self.state.register.approve(rule.name.as_str(), &definition, counts, 0, self.now).unwrap();
            }
        }
    }

    /// Every rule runs. What ran to its end is returned.
    fn night(&mut self, length: i64, runs: Runs) -> Vec<String> {
        self.now += days(length);
        let visitors = i64::try_from(self.shop.count("visitors")).unwrap();
        come(&self.shop, Some(self.now - SignedDuration::from_hours(5)), visitors);
        let (rules, safety): (&[Rule], Safety) = match runs {
            Runs::InForce => (&self.rules, DEFAULT_SAFETY),
            Runs::Automatic => (&self.rules, UNLIMITED),
            Runs::Stale => (&self.stale, DEFAULT_SAFETY),
        };
        let mut done = Vec::new();
        for rule in rules {
            match run(rule, &mut self.state, safety, &clock(self.now), &Unwatched).unwrap() {
                Outcome::Ran(run) if run.outcome.as_deref() == Some("done") => done.push(rule.name.to_string()),
                Outcome::Ran(run) => panic!("{run:?}"),
                Outcome::NotReady(_) => {}
                other => panic!("{other:?}"),
            }
        }
        done
    }
}

fn come(shop: &Shop, last_seen: Option<Timestamp>, number: i64) {
    let values = (
        last_seen.map(Timestamp::as_second),
        if number % 3 == 0 { "Praha" } else { "Brno" },
        format!("192.0.2.{}", 1 + number % 250),
    );
    shop.sql().execute("INSERT INTO visitors (last_seen, city, town, ip) VALUES (?1, ?2, ?2, ?3)", values).unwrap();
}

/// Of these two, what is there is at least what had to be kept.
fn keeps(after: &Visitor, least: &Visitor, before: &Visitor) -> bool {
    after.last_seen == before.last_seen
        && after.city == before.city
        && (after.town == before.town || after.town == least.town)
        && (after.ip == before.ip || after.ip == least.ip || (least.ip.is_none() && after.ip.is_some()))
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn no_sequence_of_changes_erases_what_the_configuration_in_force_keeps(
        first in choice(),
        turns in prop::collection::vec(turn(), 4..16),
    ) {
        let mut story = Story::begin(first);
        for turn in turns {
            match turn {
                Turn::Edit(choice) => story.edit(choice),
                Turn::Approve(which) => story.approve(which),
                Turn::Night(length, runs) => {
                    let before = visitors(&story.shop);
                    let done = story.night(length, runs);
                    let after = visitors(&story.shop);
                    for (id, before) in &before {
                        let Some(least) = least_kept(before, &story.choice, story.now) else { continue };
                        let kept = after.get(id).is_some_and(|after| keeps(after, &least, before));
                        prop_assert!(kept, "{:?}: {:?} became {:?} under {:?}", runs, before, after.get(id), story.choice);
                    }
                    // And what the rule in force has run for is really gone.
                    if runs != Runs::Stale && done.iter().any(|rule| rule == shop::VISITORS) {
                        let expired = |visitor: &&Visitor| least_kept(visitor, &story.choice, story.now).is_none();
                        prop_assert_eq!(after.values().find(expired), None);
                    }
                }
            }
        }
    }
}

#[test]
fn the_models_calendar_is_right() {
    // Days by `date -ud @$((day * 86400))`.
    assert_eq!(civil(0), (1970, 1, 1));
    assert_eq!(civil(20_512), (2026, 2, 28));
    assert_eq!(civil(19_782), (2024, 2, 29));
    assert_eq!(months_before(20_696, 6), 20_512, "31 August 2026 - 6 months");
}
