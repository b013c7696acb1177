//! `forgetd init`: a configuration is begun from nothing, on real stores, with the built binary. What it writes needs
//! decisions and nothing else; it overwrites nothing, and no value of a record stands in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/database.rs"]
mod database;
#[path = "support/installation.rs"]
mod installation;
#[path = "support/mariadb.rs"]
mod mariadb;
#[path = "support/postgres_server.rs"]
mod postgres_server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use database::{Database, OnMariaDb, OnPostgres};
use installation::{Installation, Ran, forgetd, tree};
use rusqlite::Connection;
use tempfile::TempDir;
use toml::Value;

const SITE: &str = "sites/shop.example.toml";

/// A place without a configuration.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = forgetd();
        command.arg("--config").arg(self.path("config")).args(arguments).stdin(Stdio::null());
        Ran::of(command.output().unwrap())
    }

    /// Begins a configuration for the shop, with further options.
    fn init(&self, options: &[&str]) -> Ran {
        let state = self.path("state").display().to_string();
        let common = ["init", "--site", "shop.example", "--time-zone", "Europe/Prague", "--controller", "Shop s.r.o."];
        self.run(&[&common[..], &["--state-dir", &state], options].concat())
    }

    fn site(&self) -> String {
        fs::read_to_string(self.path("config").join(SITE)).unwrap()
    }

    fn proposal(&self) -> Value {
        Value::Table(self.site().parse().unwrap())
    }

    /// What is missing is periods, and nothing else.
    fn lacks_only_periods(&self) {
        let ran = self.run(&["check", "--json"]);
        assert_eq!(ran.code, 78, "{ran:?}");
        let checked: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let problems = checked["problems"].as_array().unwrap();
        assert!(!problems.is_empty());
        for problem in problems {
            let message = problem["message"].as_str().unwrap();
            assert!(message.contains("how long"), "{message}\n{}", self.site());
        }
    }

    /// A person decides on every period.
    fn decide(&self) {
        let decided = |line: &str| match line.strip_prefix("# ").and_then(|line| line.strip_suffix("\"decide\"")) {
            Some(category) => format!("{category}\"6 months\"\n"),
            None => format!("{line}\n"),
        };
        let text: String = self.site().lines().map(decided).collect();
        fs::write(self.path("config").join(SITE), text).unwrap();
    }

    /// It is valid then, the stores are as the rules need them, and every rule waits for its approval.
    fn is_ready_once_decided(&self) -> Vec<String> {
        self.lacks_only_periods();
        self.decide();
        let ran = self.run(&["check", "--stores"]);
        assert_eq!(ran.code, 0, "{ran:?}\n{}", self.site());
        assert!(!ran.stdout.contains("refused"), "{ran:?}");
        let plan = self.run(&["plan", "--json"]);
        let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
        let rules = plan["rules"].as_array().unwrap();
        assert!(rules.iter().all(|rule| rule["state"] == "waiting"), "{rules:?}");
        rules.iter().map(|rule| rule["rule"].as_str().unwrap().to_owned()).collect()
    }
}

/// A shop as SQLite has it: a foreign key, a unique address, a column that may not be empty, and tables of other kinds.
fn shop(path: &Path) -> Connection {
    let database = Connection::open(path).unwrap();
    database
        .execute_batch(
            "CREATE TABLE visitors (id INTEGER PRIMARY KEY, created_at TEXT, last_seen INTEGER, ip TEXT NOT NULL,
                 mail TEXT UNIQUE, note TEXT, marketing_consent INTEGER);
             CREATE TABLE pages (id INTEGER PRIMARY KEY, visitor INTEGER NOT NULL REFERENCES visitors (id), url TEXT);
             CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, created_at TEXT, price INTEGER);
             CREATE TABLE accounts (login TEXT, created_at TEXT);
             INSERT INTO visitors SELECT value, '2026-01-01 00:00:00', 1767225600000 + value, '192.0.2.' || value,
                 'canary-' || value || '@shop.example', 'canary' || value || '@note.example', 1
                 FROM json_each('[1, 2, 3, 4]');
             INSERT INTO pages SELECT NULL, id, '/canary' FROM visitors;",
        )
        .unwrap();
    database
}

#[test]
fn a_sqlite_database_is_proposed_and_needs_nothing_but_decisions() {
    let place = Place::new();
    let path = place.path("shop.db");
    shop(&path);
    let before = fs::read(&path).unwrap();
    let ran = place.init(&["--database", path.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(ran.stdout.contains("1 of 4 tables proposed: visitors"), "{ran:?}");
    let proposal = place.proposal();
    let table = &proposal["store"]["shop"]["table"][0];
    assert_eq!(table["name"].as_str(), Some("visitors"));
    assert_eq!(table["key"].as_str(), Some("id"));
    assert_eq!(table["time"]["column"].as_str(), Some("last_seen"));
    assert_eq!(table["time"]["format"].as_str(), Some("unix-millis"), "by the magnitude of its values");
    assert_eq!(table["children"][0]["table"].as_str(), Some("pages"));
    assert_eq!(table["columns"]["ip"]["value"].as_str(), Some(""), "it may not be empty");
    assert_eq!(table["columns"]["mail"].as_str(), Some("contact.email"), "by its name");
    assert_eq!(table["columns"]["note"].as_str(), Some("contact.email"), "by its values");
    assert!(place.site().contains("table accounts looks personal as well, and has not got a column that is unique"));
    for text in [&place.site(), &ran.stdout] {
        assert!(!text.contains("canary") && !text.contains("192.0.2") && !text.contains("17672"), "{text}");
    }
    let rules = place.is_ready_once_decided();
    assert_eq!(rules, ["shop.example/shop/visitors", "shop.example/shop/visitors/ip@setting"]);
    assert_eq!(fs::read(&path).unwrap(), before, "the database is as it was");
}

fn on_a_server(database: &dyn Database, statements: &[&str]) -> Vec<String> {
    let mut connection = database.connect();
    for statement in statements {
        connection.execute(statement);
    }
    let declared: toml::Table = database.declaration().parse().unwrap();
    let place = Place::new();
    let ran = place.init(&["--database", declared["url"].as_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let proposal = place.proposal();
    let (_, store) = proposal["store"].as_table().unwrap().iter().next().unwrap();
    let tables = store["table"].as_array().unwrap();
    let names: Vec<&str> = tables.iter().map(|table| table["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["orders", "visits"]);
    assert_eq!(tables[0]["time"]["format"].as_str(), Some("unix-seconds"));
    assert_eq!(tables[1]["children"][0]["column"].as_str(), Some("visit"));
    assert!(!place.site().contains("canary") && !place.site().contains("192.0.2"), "{}", place.site());
    let times = tables.iter().map(|table| &table["time"]);
    let times = times.map(|time| format!("{} {:?}", time["column"].as_str().unwrap(), time.get("time-zone"))).collect();
    let rules = place.is_ready_once_decided();
    assert!(rules.iter().any(|rule| rule.ends_with("/visits/ip@setting")), "{rules:?}");
    times
}

#[test]
fn a_postgresql_database_is_proposed_and_needs_nothing_but_decisions() {
    let times = on_a_server(
        &OnPostgres::new(postgres_server::server()),
        &[
            "CREATE TABLE visits (id bigserial PRIMARY KEY, created_at timestamptz, last_visit timestamp, ip inet NOT NULL, day_time time)",
            "CREATE TABLE pages (id bigserial PRIMARY KEY, visit bigint NOT NULL REFERENCES visits (id), url text)",
            "CREATE TABLE orders (number varchar(20) PRIMARY KEY, updated bigint, email text)",
            "CREATE TABLE products (id bigint PRIMARY KEY, name text, created_at timestamptz)",
            "INSERT INTO visits (created_at, last_visit, ip) SELECT now(), now(), '192.0.2.7' FROM generate_series(1, 5)",
            "INSERT INTO orders VALUES ('a', 1767225600, 'canary@shop.example')",
        ],
    );
    assert_eq!(times, ["updated None", "last_visit Some(String(\"UTC\"))"]);
}

#[test]
fn a_mariadb_database_is_proposed_and_needs_nothing_but_decisions() {
    let times = on_a_server(
        &OnMariaDb::new(mariadb::shared()),
        &[
            "CREATE TABLE visits (id bigint PRIMARY KEY AUTO_INCREMENT, created_at datetime, last_visit timestamp, ip varchar(40) NOT NULL, day_time time)",
            "CREATE TABLE pages (id bigint PRIMARY KEY AUTO_INCREMENT, visit bigint NOT NULL, url text, FOREIGN KEY (visit) REFERENCES visits (id))",
            "CREATE TABLE orders (number varchar(20) PRIMARY KEY, updated bigint, email varchar(80))",
            "CREATE TABLE products (id bigint PRIMARY KEY, name text, created_at datetime)",
            "INSERT INTO visits (created_at, last_visit, ip) VALUES (now(), now(), '192.0.2.7')",
            "INSERT INTO orders VALUES ('a', 1767225600, 'canary@shop.example')",
        ],
    );
    assert_eq!(times, ["updated None", "last_visit None"]);
}

#[test]
fn directories_and_logs_are_proposed_by_their_names_and_lines() {
    let place = Place::new();
    fs::create_dir_all(place.path("srv/sessions")).unwrap();
    fs::create_dir_all(place.path("srv/log")).unwrap();
    for name in ["sess_canary1", "sess_canary2", "sess_canary3"] {
        fs::write(place.path("srv/sessions").join(name), "x").unwrap();
    }
    let line = "192.0.2.7 - - [01/Mar/2026:10:00:00 +0100] \"GET /canary HTTP/1.1\" 200 612 \"-\" \"curl/8.5\"\n";
    fs::write(place.path("srv/log/shop.access.log"), line.repeat(3)).unwrap();
    let ran = place.init(&[
        "--directory",
        place.path("srv/sessions").to_str().unwrap(),
        "--log",
        place.path("srv/log/shop.access.log").to_str().unwrap(),
    ]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let proposal = place.proposal();
    assert_eq!(proposal["store"]["sessions"]["pattern"].as_str(), Some("sess_*"));
    let log = &proposal["store"]["shop-access-log"];
    assert_eq!(log["format"].as_str(), Some("combined"));
    assert!(log["path"].as_str().unwrap().ends_with("/srv/log/shop.access.log*"), "rotated files are meant as well");
    assert!(!place.site().contains("canary") && !ran.stdout.contains("canary"), "{ran:?}");
    place.lacks_only_periods();
    place.decide();
    let ran = place.run(&["check"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn what_is_there_stays_as_it_is() {
    let place = Place::new();
    assert_eq!(place.init(&[]).code, 0);
    let before = tree(&place.path("config"));
    let again = place.init(&[]);
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.stderr.contains("is there already"), "{again:?}");
    assert_eq!(tree(&place.path("config")), before);
    let ran = place.run(&["init", "--site", "blog.example", "--controller", "Somebody else", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["written"], serde_json::json!([place.path("config/sites/blog.example.toml")]));
    let mut after = tree(&place.path("config"));
    assert!(after.remove(&place.path("config/sites/blog.example.toml")).is_some());
    assert_eq!(after, before, "a site was added, and nothing else");
}

#[test]
fn a_site_that_another_file_declares_is_not_begun_again() {
    let place = Place::new();
    assert_eq!(place.init(&[]).code, 0);
    let sites = place.path("config/sites");
    fs::rename(sites.join("shop.example.toml"), sites.join("other.toml")).unwrap();
    let ran = place.init(&[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("declared in sites/other.toml already"), "{ran:?}");
}

#[test]
fn what_cannot_be_used_is_told_and_leaves_nothing_behind() {
    let place = Place::new();
    let secret = "mysql://shop:canary@localhost/shop";
    for (options, code, told) in [
        (&["--database", "/nonexistent/shop.db"][..], 1, "/nonexistent/shop.db"),
        (&["--database", secret], 2, "--password-file"),
        (&["--database", "oracle://shop"], 2, "no URL of a database"),
        (&["--directory", "/nonexistent"], 1, "/nonexistent"),
        (&["--log", "/nonexistent/a.log"], 1, "/nonexistent/a.log"),
    ] {
        let ran = place.init(options);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains(told) && !ran.stderr.contains("canary"), "{ran:?}");
        assert!(!place.path("config").exists(), "{options:?}");
    }
    for site in ["../shop", "Shop.example", "", "shop/example"] {
        let ran = place.run(&["init", "--site", site]);
        assert_eq!(ran.code, 2, "{site}: {ran:?}");
    }
    let ran = place.run(&["init"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("--site shop.example"), "{ran:?}");
}

#[test]
fn no_name_of_a_table_writes_a_line_of_the_configuration() {
    let place = Place::new();
    let path = place.path("shop.db");
    let database = Connection::open(&path).unwrap();
    let name = "x\"\n[retention]\nvisit = \"6 months\"\n#";
    let quoted = name.replace('"', "\"\"");
    database
        .execute_batch(&format!(
            "CREATE TABLE \"{quoted}\" (id INTEGER PRIMARY KEY, seen INTEGER, \"{quoted}\" TEXT, email TEXT);
             CREATE TABLE \"{quoted}2\" (email TEXT, seen INTEGER);"
        ))
        .unwrap();
    let ran = place.init(&["--database", path.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(place.proposal()["store"]["shop"]["table"][0]["name"].as_str(), Some(name));
    assert!(place.proposal()["retention"].as_table().unwrap().is_empty(), "{}", place.site());
    place.lacks_only_periods();
}

#[test]
fn on_a_terminal_it_asks_for_what_no_option_says() {
    let place = Installation::new("");
    let path = place.database_path();
    shop(&path);
    fs::remove_file(place.config().join("forgetd.toml")).unwrap();
    let answers = format!("asked.example\nEurope/Prague\nAsked s.r.o.\n{}\n\n\n\n", path.display());
    let ran = place.on_a_terminal(100, &["init"], &answers);
    assert_eq!(ran.code, 0, "{ran:?}");
    for question in ["Domain of the site", "Its time zone", "Who decides", "A database", "A directory", "A log"] {
        assert!(ran.stdout.contains(question), "{question}: {ran:?}");
    }
    let site = fs::read_to_string(place.config().join("sites/asked.example.toml")).unwrap();
    assert!(site.contains("time-zone = \"Europe/Prague\"\n") && site.contains("name = \"visitors\""), "{site}");
    let daemon = fs::read_to_string(place.config().join("forgetd.toml")).unwrap();
    assert!(daemon.contains("name = \"Asked s.r.o.\""), "{daemon}");
}
