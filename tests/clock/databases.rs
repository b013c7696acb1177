//! A database server has a clock of its own, which nobody has set: where ours is two minutes away from it, nothing is
//! erased, also on the very first night, when nothing else is known about time.

use std::fs;

use rstest::rstest;

use crate::daemon::{FAST, Installation, QUIET};
use crate::database::{Database, OnMariaDb, OnPostgres};
use crate::faketime::{Clock, DAY, HOUR, MINUTE, YEAR};
use crate::{borrowed, mariadb, postgres_server, with};

const REASON: &str = "the database's clock is";

#[derive(Debug, Clone, Copy)]
enum Kind {
    Postgres,
    MariaDb,
}

impl Kind {
    fn database(self) -> Box<dyn Database> {
        match self {
            Kind::Postgres => Box::new(OnPostgres::new(postgres_server::server())),
            Kind::MariaDb => Box::new(OnMariaDb::new(mariadb::shared())),
        }
    }
}

const EXPIRED: u64 = 50;

fn shop(database: &dyn Database) -> Installation {
    let shop = Installation::new(FAST, QUIET, 0);
    let site = shop.site_file(QUIET);
    let (before, after) = site.split_once("kind = \"sqlite\"\n").unwrap();
    let after = after.split_once('\n').unwrap().1;
    let after = after.split("[store.chat.table.columns]").next().unwrap();
    shop.put("sites/shop.example.toml", &format!("{before}{}\n{after}", database.declaration()));
    let mut connection = database.connect();
    connection.execute("CREATE TABLE visitors (id bigint PRIMARY KEY, last_seen bigint NOT NULL)");
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let rows = (0..2 * i64::try_from(EXPIRED).unwrap())
        .map(|id| format!("({id}, {})", now - if id % 2 == 0 { 2 * YEAR } else { DAY }));
    connection.execute(&format!("INSERT INTO visitors VALUES {}", rows.collect::<Vec<_>>().join(", ")));
    shop
}

#[rstest]
fn a_clock_away_from_the_databases_erases_nothing_and_one_near_it_does(
    #[values(Kind::Postgres, Kind::MariaDb)] kind: Kind,
) {
    let database = kind.database();
    let (shop, clock) = (shop(&*database), Clock::right());
    let visitors = || database.connect().row("SELECT count(*) FROM visitors")[0].unsigned_abs();
    for step in [3 * MINUTE, -3 * MINUTE, HOUR, -HOUR, -DAY, 40 * DAY, 20 * YEAR, crate::to_1970()] {
        clock.set(step);
        let (code, purged) = shop.told(&borrowed(&with(&clock)), &["purge", "--yes"]);
        let run = &purged["runs"][0];
        assert_eq!((code, &run["outcome"], &run["erased"]), (3, &"held".into(), &0.into()), "{step}: {purged}");
        assert!(run["reason"].as_str().unwrap().contains(REASON), "{step}: {run}");
        let (code, status) = shop.told(&borrowed(&with(&clock)), &["status"]);
        assert!(code == 3 && status["rules"][0]["reasons"].to_string().contains(REASON), "{step}: {status}");
        let held = shop.wait_for("rule.held", 1);
        assert!(held["reason"].as_str().unwrap().contains(REASON), "{held}");
        assert_eq!(visitors(), 2 * EXPIRED);
        // As before the first night.
        fs::rename(shop.state(), shop.path().join(format!("state{step}"))).unwrap();
    }
    for (step, erased) in [(-MINUTE, EXPIRED), (MINUTE, 0)] {
        clock.set(step);
        let (code, purged) = shop.told(&borrowed(&with(&clock)), &["purge", "--yes"]);
        assert_eq!((code, &purged["runs"][0]["erased"]), (0, &erased.into()), "{step}: {purged}");
    }
    assert_eq!(visitors(), EXPIRED);
}
