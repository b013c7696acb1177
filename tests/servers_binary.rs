//! The built binary and a database server, as an operator meets them: mistakes in the login, servers that are away or
//! of the wrong kind, changed settings, and what is still there after a run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/database.rs"]
mod database;
#[path = "support/faketime.rs"]
mod faketime;
#[path = "servers_binary/hangs.rs"]
mod hangs;
#[path = "servers_binary/holds.rs"]
mod holds;
#[path = "support/installation.rs"]
mod installation;
#[path = "servers_binary/logins.rs"]
mod logins;
#[path = "support/mariadb.rs"]
mod mariadb;
#[path = "support/mariadb_pair.rs"]
mod mariadb_pair;
#[path = "servers_binary/nights.rs"]
mod nights;
#[path = "servers_binary/passwords.rs"]
mod passwords;
#[path = "support/postgres_server.rs"]
mod postgres_server;
#[path = "servers_binary/replicas.rs"]
mod replicas;
#[path = "servers_binary/schedule.rs"]
mod schedule;

use installation::{Installation, UNGUARDED};

const RULE: &str = "shop.example/shop/visitors";
const SITE: &str = "sites/shop.example.toml";

/// A year ago and half a year before that, in words that both servers understand; half of the visitors are expired.
const VISITORS: [&str; 2] = [
    "CREATE TABLE visitors (id bigint PRIMARY KEY, last_seen bigint NOT NULL, email varchar(80), ip varchar(40))",
    "CREATE INDEX visitors_last_seen ON visitors (last_seen)",
];

const EXPIRED: u64 = 600;

/// A site with one table in the store that is declared so.
fn site(declaration: &str, settings: &str) -> String {
    format!(
        r#"
domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "0 0 1 1 *"
[settings]
{settings}
[retention]
visit = "6 months"
[store.shop]
{declaration}
[[store.shop.table]]
name = "visitors"
key = "id"
time = {{ column = "last_seen", format = "unix-seconds" }}
holds = "visit"
[store.shop.table.columns]
ip = "visit.ip-address"
"#
    )
}

fn installation(declaration: &str, settings: &str) -> Installation {
    installation_paced(UNGUARDED, declaration, settings)
}

/// The same with other guards and pace.
fn installation_paced(daemon: &str, declaration: &str, settings: &str) -> Installation {
    let installation = Installation::new(daemon);
    installation.write(SITE, &site(declaration, settings));
    installation
}

/// Visitors of half a year ago and of yesterday, as many of each, with data that must not be repeated anywhere.
fn fill(connection: &mut dyn database::Connection) {
    VISITORS.iter().for_each(|statement| _ = connection.execute(statement));
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let day = 24 * 3_600;
    let rows: Vec<String> = (0..2 * i64::try_from(EXPIRED).unwrap())
        .map(|id| {
            let last_seen = now - if id % 2 == 0 { 400 * day } else { day };
            format!("({id}, {last_seen}, 'canary{id}@shop.example', '192.0.2.77')")
        })
        .collect();
    connection.execute(&format!("INSERT INTO visitors VALUES {}", rows.join(", ")));
}
