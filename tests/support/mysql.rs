//! The contract suite on MariaDB.

use std::collections::BTreeSet;

use ::mysql::prelude::Queryable;
use ::mysql::{Conn, params};
use forgetd::config::site::DatabaseKind;
use jiff::Timestamp;

use super::mariadb::{MariaDbDatabase, shared};
use super::{Application, Fixture, Visitor};

/// Every form of table that the suite runs over.
pub(super) fn fixtures() -> Vec<Box<dyn Fixture>> {
    vec![
        Box::new(MysqlFixture::new("mysql, key of numbers", "BIGINT UNSIGNED")),
        Box::new(MysqlFixture::new("mysql, key of text", "VARCHAR(40)")),
    ]
}

struct MysqlFixture {
    name: &'static str,
    database: MariaDbDatabase,
}

impl MysqlFixture {
    fn new(name: &'static str, key: &str) -> MysqlFixture {
        let fixture = MysqlFixture { name, database: shared().database() };
        let mut connection = fixture.database.connect();
        for statement in [
            format!(
                "CREATE TABLE visitors (id {key} NOT NULL PRIMARY KEY, last_seen BIGINT, site INT, consent TINYINT, \
                 ip VARCHAR(64), KEY (last_seen))"
            ),
            format!(
                "CREATE TABLE pages (id BIGINT AUTO_INCREMENT PRIMARY KEY, visitor_id {key} NOT NULL, url TEXT, \
                 FOREIGN KEY (visitor_id) REFERENCES visitors (id))"
            ),
        ] {
            connection.query_drop(statement).unwrap();
        }
        fixture
    }
}

impl Fixture for MysqlFixture {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> DatabaseKind {
        self.database.kind("root")
    }

    fn key(&self) -> String {
        "id".to_owned()
    }

    fn tells_arrivals(&self) -> bool {
        self.name == "mysql, key of numbers"
    }

    fn application(&self) -> Box<dyn Application> {
        Box::new(MysqlApplication(self.database.connect()))
    }

    fn keeps_copies(&self) -> bool {
        true
    }
}

struct MysqlApplication(Conn);

impl Application for MysqlApplication {
    fn write(&mut self, visitors: &[Visitor]) {
        let mut transaction = self.0.start_transaction(Default::default()).unwrap();
        for visitor in visitors {
            let Visitor { id, last_seen, site, consent, address, pages } = visitor;
            let last_seen = last_seen.map(Timestamp::as_second);
            transaction
                .exec_drop(
                    "INSERT INTO visitors VALUES (:id, :last_seen, :site, :consent, :address)",
                    params! { "id" => id, "last_seen" => last_seen, "site" => site, "consent" => consent, "address" => address },
                )
                .unwrap();
            for _ in 0..*pages {
                transaction.exec_drop("INSERT INTO pages (visitor_id, url) VALUES (?, '/')", (id,)).unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    fn touch(&mut self, ids: &[i64], at: Timestamp) {
        for id in ids {
            self.0
                .exec_drop(
                    "UPDATE visitors SET last_seen = ? WHERE CAST(id AS CHAR) = ?",
                    (at.as_second(), id.to_string()),
                )
                .unwrap();
        }
    }

    fn visitors(&mut self) -> BTreeSet<i64> {
        self.0.query::<i64, _>("SELECT CAST(id AS SIGNED) FROM visitors").unwrap().into_iter().collect()
    }

    fn pages(&mut self) -> u64 {
        self.0.query_first("SELECT COUNT(*) FROM pages").unwrap().unwrap()
    }

    fn address(&mut self, id: i64) -> Option<String> {
        self.0.exec_first("SELECT ip FROM visitors WHERE id = ?", (id.to_string(),)).unwrap().unwrap()
    }

    fn lock(&mut self) {
        self.0.query_drop("LOCK TABLES visitors WRITE, pages WRITE").unwrap();
    }

    fn unlock(&mut self) {
        self.0.query_drop("UNLOCK TABLES").unwrap();
    }

    fn upgrade(&mut self, statement: &str) {
        self.0.query_drop(statement).unwrap();
    }
}
