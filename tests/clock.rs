//! The daemon, and one-off commands, under a clock that is wrong: it was set before the start, while the daemon waits or
//! during a run; it came up wrong after a boot; a database has another one. In every bad case nothing is erased and the
//! reason stands in the daemon's log, in `status` and in the audit log; where the clock is good, exactly what is expired
//! goes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/database.rs"]
mod database;
#[path = "clock/databases.rs"]
mod databases;
#[path = "support/faketime.rs"]
mod faketime;
#[path = "support/mariadb.rs"]
mod mariadb;
#[path = "support/postgres_server.rs"]
mod postgres_server;

use daemon::{AGE_RULE, Daemon, FAST, Installation, QUIET, Rules, Site, eventually};
use faketime::{Clock, DAY, HOUR, MINUTE, YEAR};
use rstest::rstest;
use rusqlite::Connection;

/// Half of them are expired.
const VISITORS: u64 = 200;

/// What expires after the first night.
const LATER: u64 = 20;

const EVERY_MINUTE: Site = Site { schedule: "* * * * *", ..QUIET };

/// Words of the reasons.
const BEHIND: &str = "before the audit log's last entry";
const MOVED: &str = "since it was last seen: if it is right now, run `forgetd approve --clock`";
const BEFORE_RELEASE: &str = "before this version was released";
const AWAY: &str = "days have passed while the machine was off, or the clock is wrong";

/// The time since 1970, and as much more as the first day after that.
fn to_1970() -> i64 {
    DAY - i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

fn with(clock: &Clock) -> Vec<(String, String)> {
    clock.environment()
}

fn borrowed(environment: &[(String, String)]) -> Vec<(&str, &str)> {
    environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// A shop after a first night with a right clock, where more has expired since.
fn shop(rules: Rules) -> Installation {
    let shop = Installation::new(rules, EVERY_MINUTE, VISITORS.try_into().unwrap());
    assert_eq!(shop.json(&["purge", "--yes"])["runs"][0]["erased"], VISITORS / 2);
    let sql = "UPDATE visitors SET last_seen = unixepoch('now', '-25 months') WHERE id IN \
               (SELECT id FROM visitors LIMIT ?1)";
    let expired = shop.sql().execute(sql, [i64::try_from(LATER).unwrap()]).unwrap();
    assert_eq!(u64::try_from(expired).unwrap(), LATER);
    shop
}

/// The machine was started since forgetd last looked at its clock.
fn boot(shop: &Installation) {
    let register = Connection::open(shop.state().join("register.db")).unwrap();
    assert_eq!(register.execute("UPDATE clock SET boot = 'an earlier boot'", []).unwrap(), 1);
}

/// The daemon is started under a clock that is not believed.
fn erases_nothing(shop: &Installation, clock: &Clock, reason: &str) {
    let (environment, before) = (with(clock), shop.visitors());
    let daemon = Daemon::spawn(shop, &shop.config(), &borrowed(&environment));
    eventually("the refusal", || daemon.said("not run").then_some(()));
    is_refused(shop, clock, &daemon, reason);
    daemon.stop();
    assert_eq!(shop.visitors(), before, "something was erased");
}

/// The reason is told in the daemon's log, by `status` and in the evidence.
fn is_refused(shop: &Installation, clock: &Clock, daemon: &Daemon, reason: &str) {
    assert!(daemon.said(reason), "{}", daemon.log());
    let held = shop.wait_for("rule.held", 1);
    assert_eq!(held["rule"], AGE_RULE);
    assert!(held["reason"].as_str().unwrap().contains(reason), "{held}");
    let (code, status) = shop.told(&borrowed(&with(clock)), &["status"]);
    let rule = &status["rules"][0];
    assert_eq!((code, &rule["rule"], &rule["state"]), (3, &AGE_RULE.into(), &"held".into()), "{status}");
    assert!(rule["reasons"].to_string().contains(reason), "{rule}");
}

/// A purge erases exactly what is expired.
fn purges(shop: &Installation) {
    let (code, purged) = shop.told(&[], &["purge", "--yes"]);
    assert_eq!((code, &purged["runs"][0]["erased"]), (0, &LATER.into()), "{purged}");
    assert_eq!((shop.visitors(), shop.erased()), (VISITORS / 2 - LATER, VISITORS / 2 + LATER));
    shop.assert_log_verifies();
}

#[rstest]
#[case::a_day_back(-DAY, BEHIND)]
#[case::an_hour_back(-HOUR, BEHIND)]
#[case::six_minutes_back(-6 * MINUTE, BEHIND)]
#[case::in_1970(to_1970(), BEFORE_RELEASE)]
fn a_clock_behind_erases_nothing_and_when_it_is_right_again_the_next_run_does(
    #[case] step: i64,
    #[case] reason: &str,
    #[values(false, true)] after_a_boot: bool,
) {
    let (shop, clock) = (shop(FAST), Clock::right());
    if after_a_boot {
        boot(&shop);
    }
    clock.set_before_a_minute(step);
    erases_nothing(&shop, &clock, reason);
    purges(&shop);
}

/// What the wrong clock wrote into the log is ahead of the right one: that has to be approved.
#[rstest]
#[case::an_hour_ahead(HOUR)]
#[case::forty_days_ahead(40 * DAY)]
#[case::twenty_years_ahead(20 * YEAR)]
fn a_clock_ahead_erases_nothing_and_when_it_is_right_again_an_operator_has_to_say_so(#[case] step: i64) {
    let (shop, clock) = (shop(FAST), Clock::right());
    clock.set(step);
    erases_nothing(&shop, &clock, MOVED);
    let (code, purged) = shop.told(&[], &["purge", "--yes"]);
    assert_eq!((code, &purged["runs"][0]["erased"]), (3, &0.into()), "{purged}");
    assert!(purged["runs"][0]["reason"].as_str().unwrap().contains(BEHIND), "{purged}");
    assert!(shop.command(&["approve", "--clock"]).status.success());
    purges(&shop);
}

#[rstest]
#[case::thirty_six_days_ahead(36 * DAY)]
#[case::twenty_years_ahead(20 * YEAR)]
fn a_clock_far_ahead_after_a_boot_erases_nothing(#[case] step: i64) {
    let (shop, clock) = (shop(FAST), Clock::right());
    boot(&shop);
    clock.set(step);
    erases_nothing(&shop, &clock, AWAY);
}

#[rstest]
#[case::right(0, false)]
#[case::four_minutes_ahead(4 * MINUTE, false)]
#[case::three_minutes_behind(-3 * MINUTE, false)]
#[case::a_month_after_a_boot(34 * DAY, true)]
fn under_a_clock_that_can_be_right_the_daemon_erases_what_is_expired(#[case] step: i64, #[case] after_a_boot: bool) {
    let (shop, clock) = (shop(FAST), Clock::right());
    if after_a_boot {
        boot(&shop);
    }
    clock.set_before_a_minute(step);
    let environment = with(&clock);
    let daemon = Daemon::spawn(&shop, &shop.config(), &borrowed(&environment));
    assert_eq!(shop.wait_for("run.finished", 2)["outcome"], "done");
    daemon.stop();
    assert_eq!((shop.visitors(), shop.erased()), (VISITORS / 2 - LATER, VISITORS / 2 + LATER));
    assert!(shop.entries_of("rule.held").is_empty());
    shop.assert_log_verifies();
}

/// A run goes by the moment at which it began, whatever happens to the clock; the next one is refused.
#[rstest]
#[case::a_day_back(-DAY, BEHIND)]
#[case::an_hour_ahead(HOUR, MOVED)]
#[case::forty_days_ahead(40 * DAY, MOVED)]
#[case::twenty_years_ahead(20 * YEAR, MOVED)]
#[case::in_1970(to_1970(), BEFORE_RELEASE)]
fn a_clock_that_is_set_during_a_run_moves_nothing_in_it_and_the_next_run_is_refused(
    #[case] step: i64,
    #[case] reason: &str,
) {
    const MANY: u64 = 2_400;
    let shop = Installation::new(Rules { duty: "0.1", ..FAST }, EVERY_MINUTE, MANY.try_into().unwrap());
    let clock = Clock::right();
    clock.set_before_a_minute(0);
    let environment = with(&clock);
    let daemon = Daemon::spawn(&shop, &shop.config(), &borrowed(&environment));
    shop.wait_for("batch.committed", 1);
    clock.set_before_a_minute(step);
    assert_eq!(shop.entries_of("run.finished").len(), 0, "the run was over before the clock was set");
    let done = shop.wait_for("run.finished", 1);
    assert_eq!((&done["outcome"], &done["erased"]), (&"done".into(), &(MANY / 2).into()));
    assert_eq!(shop.visitors(), MANY / 2);
    daemon.stop();
    let sql =
        "UPDATE visitors SET last_seen = unixepoch('now', '-25 months') WHERE id = (SELECT min(id) FROM visitors)";
    assert_eq!(shop.sql().execute(sql, []).unwrap(), 1);
    clock.set_before_a_minute(step);
    erases_nothing(&shop, &clock, reason);
}

#[rstest]
fn a_daemon_that_waits_while_the_clock_is_set_refuses_the_next_run(
    #[values((-DAY, BEHIND), (20 * YEAR, MOVED))] (step, reason): (i64, &str),
) {
    let shop = shop(FAST);
    shop.set_site(QUIET);
    let clock = Clock::right();
    let environment = with(&clock);
    let daemon = Daemon::spawn(&shop, &shop.config(), &borrowed(&environment));
    eventually("ready", || daemon.said(" ready").then_some(()));
    clock.set_before_a_minute(step);
    // A new schedule is planned for at once.
    shop.set_site(EVERY_MINUTE);
    eventually("the refusal", || daemon.said("not run").then_some(()));
    is_refused(&shop, &clock, &daemon, reason);
    daemon.stop();
    assert_eq!(shop.visitors(), VISITORS / 2);
}
