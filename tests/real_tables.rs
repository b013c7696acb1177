//! The tables of real applications, with their traps, on real servers: each shipped example under `config/examples` is
//! taken as it is (only its `url` is replaced) through check, plan, approval and purge by the built binary, as a user
//! with exactly the privileges that the example tells to grant.
//!
//! What must be left is computed on the server by SQL of the tests' own, before anything is erased.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "real_tables/chatwoot.rs"]
mod chatwoot;
#[path = "real_tables/django.rs"]
mod django;
#[path = "support/installation.rs"]
mod installation;
#[path = "real_tables/laravel.rs"]
mod laravel;
#[path = "support/mariadb.rs"]
mod mariadb;
#[path = "real_tables/matomo.rs"]
mod matomo;
#[path = "support/postgres_server.rs"]
mod postgres_server;
#[path = "real_tables/servers.rs"]
mod servers;
#[path = "real_tables/wordpress.rs"]
mod wordpress;

use std::path::Path;
use std::time::Duration;

use installation::{GUARDED, Installation};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use servers::Database;

/// The shipped example for an application.
fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/examples/{name}.example.toml"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The statements that an example tells to run: of its comment, those that begin so.
fn told<'e>(example: &'e str, verb: &str) -> Vec<&'e str> {
    let statements = example.lines().filter_map(|line| line.strip_prefix("#   "));
    // For each of the two servers there are lines of its own.
    let of_the_other = if mariadb::is_mysql() { ["SHOW VIEW", "unix_socket"] } else { ["REFERENCES", "auth_socket"] };
    let statements = statements.filter(|line| !of_the_other.iter().any(|word| line.contains(word)));
    let statements: Vec<&str> = statements.filter(|line| line.starts_with(verb) && line.ends_with(';')).collect();
    assert!(!statements.is_empty(), "no {verb} in {example}");
    statements
}

/// The example as a site whose store is `database`, seen by `user`.
fn install(example: &str, database: &dyn Database, user: &str) -> Installation {
    let is_url = |line: &&str| line.starts_with("url = ");
    assert_eq!(example.lines().filter(is_url).count(), 1);
    let url = format!("url = \"{}\"", database.url(user));
    let lines: Vec<&str> = example.lines().map(|line| if is_url(&line) { url.as_str() } else { line }).collect();
    let installation = Installation::new(GUARDED);
    installation.write("sites/example.toml", &(lines.join("\n") + "\n"));
    installation
}

/// What a plan must say of a rule.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    rule: &'static str,
    action: String,
    matches: i64,
    total: i64,
    undatable: i64,
}

fn expected(rule: &'static str, action: &str, [matches, total, undatable]: [i64; 3]) -> Expected {
    Expected { rule, action: action.to_owned(), matches, total, undatable }
}

/// Plan, approval, purge, verification, as an operator goes about it, with the safety settings of a fresh
/// installation. Afterwards nothing is left to erase.
fn purge(installation: &Installation, expected: &[Expected]) {
    let checked = installation.run(&["check", "--stores"]);
    assert!(checked.code == 0 && checked.stdout.contains("The stores are as the rules need them."), "{checked:?}");
    let plan = installation.json(&["plan"], 3);
    let planned = plan["rules"].as_array().unwrap();
    assert_eq!(planned.len(), expected.len(), "{plan}");
    for (planned, expected) in planned.iter().zip(expected) {
        let said = Expected {
            rule: expected.rule,
            action: planned["action"].as_str().unwrap().to_owned(),
            matches: planned["matches"].as_i64().unwrap(),
            total: planned["total"].as_i64().unwrap(),
            undatable: planned["undatable"].as_i64().unwrap(),
        };
        assert_eq!((planned["rule"].as_str().unwrap(), &said), (expected.rule, expected));
        assert!(planned["state"] == "waiting" && planned["warnings"].as_array().unwrap().is_empty(), "{planned}");
    }
    for planned in planned {
        let (rule, token) = (planned["rule"].as_str().unwrap(), planned["plan"].as_str().unwrap());
        let approved = installation.run(&["approve", rule, "--plan", token]);
        assert_eq!(approved.code, 0, "{approved:?}");
    }
    let purged = installation.run(&["purge", "--yes"]);
    assert!(purged.code == 0 && !purged.stdout.contains("not known"), "{purged:?}");
    for planned in installation.json(&["plan"], 0)["rules"].as_array().unwrap() {
        assert_eq!(planned["matches"], 0, "{planned}");
    }
    let verified = installation.run(&["audit", "verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
}

/// A user without any privilege is told, by `check --stores`, one grant after the other until nothing is missing; and
/// all of them together are what the example tells to grant.
fn grants_are_found_one_by_one(example: &str, database: &mut dyn Database) {
    let user = database.create_user("newcomer");
    let installation = install(example, database, &user);
    let mut told_last = String::new();
    loop {
        let checked = installation.run(&["check", "--stores"]);
        let grants: Vec<&str> = checked
            .stdout
            .split("GRANT ")
            .skip(1)
            .filter_map(|rest| rest.split_once(';'))
            .map(|(grant, _)| grant)
            .collect();
        if grants.is_empty() {
            assert_eq!(checked.code, 0, "{checked:?}");
            break;
        }
        assert_ne!(checked.stdout, told_last, "what was told to be granted did not help");
        for grant in grants {
            database.execute(&format!("GRANT {grant}"));
        }
        told_last = checked.stdout;
    }
    assert_eq!(database.privileges(&user), database.privileges("forgetd"));
    assert!(!database.privileges(&user).is_empty());
}

/// What is older than a period of whole days, on every example's site: before this instant.
///
/// A day is whole in the zone of the site. Not in the last minutes of a day: the plan must see the same one.
fn cutoff(period: Span) -> Timestamp {
    let zone = TimeZone::get("Europe/Prague").unwrap();
    loop {
        let now = host_clock().to_zoned_datetime(zone.clone());
        let midnight = now.tomorrow().and_then(|day| day.start_of_day()).unwrap();
        if midnight > &now + 3.minutes() {
            return now.date().checked_sub(period).unwrap().to_zoned_datetime(zone).unwrap().timestamp();
        }
        std::thread::sleep(Duration::from_secs(5));
    }
}

/// An instant as a literal of a type without a zone, in UTC.
fn utc(instant: Timestamp) -> String {
    instant.strftime("'%Y-%m-%d %H:%M:%S'").to_string()
}

#[expect(clippy::disallowed_methods, reason = "expectations are of the day on which the test runs")]
fn host_clock() -> Timestamp {
    Timestamp::now()
}
