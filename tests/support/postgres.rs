//! The contract suite's application on PostgreSQL.

use std::collections::BTreeSet;

use forgetd::config::TimeFormat;
use forgetd::config::site::{After, DatabaseKind, Server};
use jiff::Timestamp;
use postgres::Client;

use super::postgres_server::server;
use super::{Application, Fixture, Visitor};

/// PostgreSQL in the shapes that differ: by numbers; by text, with the server's own time; in partitions, of which
/// none lies before the cutoff as a whole.
pub(crate) fn fixtures() -> Vec<Box<dyn Fixture>> {
    let fixture = |name, schema, format| Box::new(PostgresFixture::new(name, schema, format)) as Box<dyn Fixture>;
    vec![
        fixture("postgres, numbers", NUMBERS, TimeFormat::UnixSeconds),
        fixture("postgres, text", TEXT, TimeFormat::Datetime),
        fixture("postgres, partitions", PARTITIONS, TimeFormat::UnixSeconds),
    ]
}

const NUMBERS: &str =
    "CREATE TABLE visitors (id bigint PRIMARY KEY, last_seen bigint, site integer, consent integer, ip text);
    CREATE TABLE pages (id bigserial PRIMARY KEY, visitor_id bigint NOT NULL REFERENCES visitors (id), url text);";
const TEXT: &str = "CREATE TABLE visitors (id text PRIMARY KEY, last_seen timestamptz, site bigint, consent smallint, ip varchar(100));
    CREATE TABLE pages (id bigserial PRIMARY KEY, visitor_id text NOT NULL REFERENCES visitors (id), url text);";
const PARTITIONS: &str = "CREATE TABLE visitors (id bigint NOT NULL, last_seen bigint, site integer, consent integer, ip text, UNIQUE (id, last_seen))
    PARTITION BY RANGE (last_seen);
    CREATE TABLE visitors_old PARTITION OF visitors FOR VALUES FROM (MINVALUE) TO (1756684820);
    CREATE TABLE visitors_new PARTITION OF visitors FOR VALUES FROM (1756684820) TO (MAXVALUE);
    CREATE TABLE visitors_odd PARTITION OF visitors DEFAULT;
    CREATE TABLE pages (id bigserial PRIMARY KEY, visitor_id bigint NOT NULL, url text);";
const COMMON: &str = "CREATE INDEX ON visitors (last_seen); CREATE INDEX ON pages (visitor_id);";

struct PostgresFixture {
    name: &'static str,
    database: String,
    format: TimeFormat,
}

impl PostgresFixture {
    fn new(name: &'static str, schema: &str, format: TimeFormat) -> PostgresFixture {
        let database = server().create_database();
        let mut client = server().client(&database);
        client.batch_execute(schema).unwrap();
        client.batch_execute(COMMON).unwrap();
        PostgresFixture { name, database, format }
    }
}

impl Fixture for PostgresFixture {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> DatabaseKind {
        let url = server().url("postgres", &self.database);
        DatabaseKind::Postgres { server: Server { url, password: None, ca_file: None }, after: After::Vacuum }
    }

    fn key(&self) -> String {
        "id".to_owned()
    }

    fn tells_arrivals(&self) -> bool {
        self.name != "postgres, text"
    }

    fn time_format(&self) -> TimeFormat {
        self.format
    }

    fn keeps_copies(&self) -> bool {
        true
    }

    fn application(&self) -> Box<dyn Application> {
        let time = match self.format {
            TimeFormat::UnixSeconds => "CAST($2 AS bigint)",
            _ => "to_timestamp(CAST($2 AS bigint))",
        };
        Box::new(PostgresApplication { client: server().client(&self.database), time })
    }
}

struct PostgresApplication {
    client: Client,
    /// The parameter 2, in seconds, as the column has it.
    time: &'static str,
}

impl Application for PostgresApplication {
    fn write(&mut self, visitors: &[Visitor]) {
        // A literal has the type that its column has.
        let literal = |value: Option<String>| value.map_or("NULL".to_owned(), |value| format!("'{value}'"));
        let mut statements = "BEGIN;".to_owned();
        for visitor in visitors {
            let Visitor { id, last_seen, site, consent, address, pages } = visitor;
            let seconds = literal(last_seen.map(|seen| seen.as_second().to_string()));
            statements.push_str(&format!(
                "INSERT INTO visitors VALUES ('{id}', {}, {site}, {}, {}); \
                 INSERT INTO pages (visitor_id, url) SELECT '{id}', '/' FROM generate_series(1, {pages});",
                self.time.replace("$2", &seconds),
                literal(consent.map(|consent| consent.to_string())),
                literal(address.map(str::to_owned)),
            ));
        }
        self.client.batch_execute(&(statements + "COMMIT")).unwrap();
    }

    fn touch(&mut self, ids: &[i64], at: Timestamp) {
        let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
        let sql = format!("UPDATE visitors SET last_seen = {} WHERE id::text = ANY ($1::text[])", self.time);
        self.client.execute(&sql, &[&ids, &at.as_second()]).unwrap();
    }

    fn visitors(&mut self) -> BTreeSet<i64> {
        let rows = self.client.query("SELECT id::bigint FROM visitors", &[]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    fn pages(&mut self) -> u64 {
        self.client.query_one("SELECT count(*) FROM pages", &[]).unwrap().get::<_, i64>(0).unsigned_abs()
    }

    fn address(&mut self, id: i64) -> Option<String> {
        let sql = "SELECT ip::text FROM visitors WHERE id::text = $1";
        self.client.query_one(sql, &[&id.to_string()]).unwrap().get(0)
    }

    fn lock(&mut self) {
        self.client.batch_execute("BEGIN; LOCK TABLE visitors IN EXCLUSIVE MODE").unwrap();
    }

    fn unlock(&mut self) {
        self.client.batch_execute("ROLLBACK").unwrap();
    }

    fn upgrade(&mut self, statement: &str) {
        self.client.batch_execute(statement).unwrap();
    }
}
