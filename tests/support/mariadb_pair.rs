//! A MariaDB (or MySQL) server and a replica of it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::net::TcpListener;
use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use mysql::{Conn, Row};

use super::mariadb::{self, MariaDb};

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A primary that writes a binary log, and a replica of it.
pub(crate) struct Pair {
    pub(crate) primary: MariaDb,
    pub(crate) replica: MariaDb,
    /// Of the replica.
    pub(crate) port: u16,
}

impl Pair {
    pub(crate) fn start() -> Pair {
        let (of_primary, port) = (free_port(), free_port());
        let primary = MariaDb::start(&format!(
            "--bind-address=127.0.0.1 --port={of_primary} --log-bin=binlog --server-id=1 --binlog-format=ROW \
             --binlog-expire-logs-seconds=604800"
        ));
        let replica = MariaDb::start(&format!("--bind-address=127.0.0.1 --port={port} --server-id=2"));
        let mut connection = primary.administrator();
        connection.query_drop("CREATE USER replica@'127.0.0.1' IDENTIFIED BY 's3cret'").unwrap();
        connection.query_drop("GRANT REPLICATION SLAVE ON *.* TO replica@'127.0.0.1'").unwrap();
        let mut connection = replica.administrator();
        let sql = format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {of_primary}, MASTER_USER = 'replica', \
             MASTER_PASSWORD = 's3cret', MASTER_LOG_FILE = 'binlog.000001', MASTER_LOG_POS = 4, \
             MASTER_CONNECT_RETRY = 1"
        );
        // Without TLS the password goes to MySQL under the key of the server.
        let key = if mariadb::is_mysql() { ", GET_SOURCE_PUBLIC_KEY = 1" } else { "" };
        connection.query_drop(of_replication(&sql) + key).unwrap();
        connection.query_drop(of_replication("START SLAVE")).unwrap();
        until(|| seconds_behind(&mut replica.administrator()).is_some());
        Pair { primary, replica, port }
    }

    pub(crate) fn on_replica(&self, statement: &str) {
        self.replica.administrator().query_drop(of_replication(statement)).unwrap();
    }

    pub(crate) fn until_caught_up(&self) {
        until(|| seconds_behind(&mut self.replica.administrator()) == Some(0));
    }
}

pub(crate) fn seconds_behind(replica: &mut Conn) -> Option<u64> {
    let status: Row = replica.query_first("SHOW REPLICA STATUS").unwrap().unwrap();
    let name = if mariadb::is_mysql() { "Seconds_Behind_Source" } else { "Seconds_Behind_Master" };
    status.get::<Option<u64>, _>(name).unwrap()
}

/// A statement about replication: MySQL 8.4 has dropped the older words, MariaDB does not know all of the newer ones.
fn of_replication(statement: &str) -> String {
    let older = [("CHANGE MASTER", "CHANGE REPLICATION SOURCE"), ("MASTER_", "SOURCE_"), ("SLAVE", "REPLICA")];
    let newer = |text: String, (from, to): (&str, &str)| text.replace(from, to);
    if mariadb::is_mysql() { older.into_iter().fold(statement.to_owned(), newer) } else { statement.to_owned() }
}
