//! MariaDB: a private server with its defaults but for the memory, the visitors' table, and what its operator would
//! do by hand: pt-archiver, loops, one statement.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder, Statement, TxOpts};

use crate::contest::Arena;
use crate::installation::Declaration;
use crate::mariadb::MariaDb;
use crate::rows::{Random, agent, city, cutoff, expired_and_kept, ip, times, url};
use crate::shopper::Transaction;
use crate::task::{Course, Task};

/// Everything durable, as the server comes; what the tests turn off is on again.
const OPTIONS: &str = "--skip-networking --innodb-flush-log-at-trx-commit=1 --innodb-flush-method=O_DIRECT \
    --innodb-buffer-pool-size=1G --character-set-server=utf8mb4";

/// The database that is measured: a copy.
const SHOP: &str = "shop";

/// Where tables are kept for copies.
const TEMPLATES: &str = "templates";

/// Keys in one transaction of a loop.
const BATCH: u64 = 5_000;

/// Rows that pt-archiver erases as it comes: more would take all night.
pub(crate) const AS_IT_COMES_ROWS: u64 = 10_000;

const COLUMNS: &str = "id BIGINT NOT NULL AUTO_INCREMENT, last_seen DATETIME NOT NULL, ip VARCHAR(45), \
    agent VARCHAR(255), url VARCHAR(255), city VARCHAR(100)";

/// How long the application waits for a lock before its transaction has failed.
const PATIENCE: &str = "SET SESSION innodb_lock_wait_timeout = 2, time_zone = '+00:00'";

/// What the operator could do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// By ranges of the primary key, so many rows each.
    ArchiverBulk(u32),
    /// By the index over the time.
    ArchiverByTime,
    KeyRanges,
    /// Batches by the index over the time.
    TimeIndex,
    OneDelete,
    OneUpdate,
}

/// A table on the server.
pub(crate) struct OnMariaDb<'s> {
    server: &'s MariaDb,
    course: Course,
    store: String,
    table: String,
    /// Keys of rows that stay.
    kept: Vec<i64>,
}

/// Starts the server. Its files lie where the disk is: /tmp may be in memory.
pub(crate) fn start() -> MariaDb {
    let directory = tempfile::Builder::new().prefix("forgetd-mariadb").tempdir_in("/var/tmp").unwrap().keep();
    let server = MariaDb::start_in(directory, OPTIONS);
    let mut administrator = server.administrator();
    for database in [TEMPLATES, SHOP] {
        administrator.query_drop(format!("CREATE DATABASE {database}")).unwrap();
    }
    server
}

/// What the server says it is.
pub(crate) fn version(server: &MariaDb) -> String {
    server.administrator().query_first("SELECT VERSION()").unwrap().unwrap()
}

fn connect(server: &MariaDb, database: &str) -> Conn {
    let options = OptsBuilder::new().user(Some("root")).socket(Some(server.socket().display().to_string()));
    let mut connection = Conn::new(options.db_name(Some(database))).unwrap();
    connection.query_drop(PATIENCE).unwrap();
    connection
}

/// The server's directory.
fn directory(server: &MariaDb) -> PathBuf {
    server.socket().parent().unwrap().to_owned()
}

/// An instant in SQL.
fn literal(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().strftime("'%Y-%m-%d %H:%M:%S'").to_string()
}

impl<'s> OnMariaDb<'s> {
    /// Writes the table that is copied, unless it is there.
    pub(crate) fn new(server: &'s MariaDb, course: Course) -> OnMariaDb<'s> {
        let template = course.template();
        let mut connection = connect(server, TEMPLATES);
        let known: Vec<String> = connection.query(format!("SHOW TABLES LIKE '{template}'")).unwrap();
        if known.is_empty() {
            write(server, &mut connection, course);
        }
        let kept = format!("SELECT id FROM {template} WHERE last_seen >= {}", literal(cutoff()));
        let socket = server.socket();
        OnMariaDb {
            server,
            course,
            store: format!("kind = \"mysql\"\nurl = \"mysql://root@localhost/{SHOP}?socket={}\"", socket.display()),
            table: format!(
                "time = {{ column = \"last_seen\", format = \"datetime\", time-zone = \"UTC\" }}\n{}",
                course.columns()
            ),
            kept: connection.query(kept).unwrap(),
        }
    }

    fn connect(&self) -> Conn {
        connect(self.server, SHOP)
    }

    /// pt-archiver, with what is asked of it and `more`.
    fn archiver(&self, index: &str, more: &[&str]) {
        let socket = self.server.socket();
        let source = format!("h=localhost,S={},u=root,A=utf8mb4,D={SHOP},t=visitors{index}", socket.display());
        let expired = format!("last_seen < {}", literal(cutoff()));
        let mut command = Command::new("pt-archiver");
        command.args(["--source", &source, "--where", &expired, "--purge", "--no-version-check"]).args(more);
        let output = command.output().unwrap();
        assert!(output.status.success(), "pt-archiver: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Rows a second that pt-archiver erases without being told anything.
    pub(crate) fn archiver_as_it_comes(&self) -> f64 {
        self.renew();
        // Told only which rows: few enough to wait for.
        let limit: i64 = self
            .connect()
            .query_first(format!(
                "SELECT id FROM visitors WHERE last_seen < {} ORDER BY id LIMIT {AS_IT_COMES_ROWS}, 1",
                literal(cutoff())
            ))
            .unwrap()
            .unwrap();
        let socket = self.server.socket();
        let source = format!("h=localhost,S={},u=root,A=utf8mb4,D={SHOP},t=visitors", socket.display());
        let which = format!("last_seen < {} AND id < {limit}", literal(cutoff()));
        let mut command = Command::new("pt-archiver");
        command.args(["--source", &source, "--where", &which, "--purge", "--no-version-check"]);
        let (output, took) = crate::figures::measured(|| command.output().unwrap());
        assert!(output.status.success(), "pt-archiver: {}", String::from_utf8_lossy(&output.stderr));
        AS_IT_COMES_ROWS as f64 / took.wall.as_secs_f64()
    }
}

fn write(server: &MariaDb, connection: &mut Conn, course: Course) {
    let (template, file) = (course.template(), directory(server).join("rows"));
    let mut lines = String::new();
    for (number, time) in (1..).zip(times(course.rows, course.order)) {
        let time = jiff::Timestamp::from_second(time).unwrap().strftime("%Y-%m-%d %H:%M:%S");
        writeln!(lines, "{time}\t{}\t{}\t{}\t{}", ip(number), agent(number), url(number), city(number)).unwrap();
    }
    fs::write(&file, lines).unwrap();
    for statement in [
        format!("CREATE TABLE {template} ({COLUMNS}, PRIMARY KEY (id))"),
        format!("LOAD DATA INFILE '{}' INTO TABLE {template} (last_seen, ip, agent, url, city)", file.display()),
        format!("ALTER TABLE {template} ADD KEY visitors_last_seen (last_seen)"),
        format!("FLUSH TABLES {template} FOR EXPORT"),
    ] {
        connection.query_drop(statement).unwrap();
    }
    let data = directory(server).join("data").join(TEMPLATES);
    for suffix in ["ibd", "cfg"] {
        let name = format!("{template}.{suffix}");
        fs::copy(data.join(&name), directory(server).join(&name)).unwrap();
    }
    connection.query_drop("UNLOCK TABLES").unwrap();
    fs::remove_file(file).unwrap();
}

impl Arena for OnMariaDb<'_> {
    type Peer = Peer;

    fn name(&self, peer: Peer) -> String {
        match peer {
            Peer::ArchiverBulk(limit) => {
                format!("pt-archiver `--limit {limit} --bulk-delete --commit-each --primary-key-only`")
            }
            Peer::ArchiverByTime => {
                "pt-archiver `--limit 5000 --bulk-delete --commit-each`, by the time index".to_owned()
            }
            Peer::KeyRanges => "key ranges, 5,000 keys each".to_owned(),
            Peer::TimeIndex => "loop by the time index, 5,000 rows each".to_owned(),
            Peer::OneDelete => "one DELETE".to_owned(),
            Peer::OneUpdate => "one UPDATE".to_owned(),
        }
    }

    fn renew(&self) {
        let mut connection = self.connect();
        let template = self.course.template();
        connection.query_drop("DROP TABLE IF EXISTS visitors").unwrap();
        connection.query_drop(format!("CREATE TABLE visitors LIKE {TEMPLATES}.{template}")).unwrap();
        connection.query_drop("ALTER TABLE visitors DISCARD TABLESPACE").unwrap();
        let data = directory(self.server).join("data").join(SHOP);
        for suffix in ["ibd", "cfg"] {
            let copy = data.join(format!("visitors.{suffix}"));
            fs::copy(directory(self.server).join(format!("{template}.{suffix}")), &copy).unwrap();
            give(&copy, &data);
        }
        connection.query_drop("ALTER TABLE visitors IMPORT TABLESPACE").unwrap();
        connection.query_drop("ANALYZE TABLE visitors").unwrap();
        warm(&mut connection);
        rest(&mut connection, || self.processor());
    }

    fn transaction(&self) -> Transaction {
        let (mut connection, kept) = (self.connect(), self.kept.clone());
        let insert = "INSERT INTO visitors (last_seen, ip, agent, url, city) VALUES (NOW(), ?, ?, ?, ?)";
        let insert = connection.prep(insert).unwrap();
        let update = connection.prep("UPDATE visitors SET last_seen = NOW(), url = ? WHERE id = ?").unwrap();
        Box::new(move |number| {
            let id = kept[Random::new(number.into()).below(kept.len())];
            shop(&mut connection, &insert, &update, number, id).is_ok()
        })
    }

    fn run(&self, peer: Peer) {
        let expired = format!("last_seen < {}", literal(cutoff()));
        match peer {
            Peer::ArchiverBulk(limit) => {
                let limit = limit.to_string();
                self.archiver("", &["--limit", &limit, "--bulk-delete", "--commit-each", "--primary-key-only"]);
            }
            Peer::ArchiverByTime => {
                self.archiver(",i=visitors_last_seen", &["--limit", "5000", "--bulk-delete", "--commit-each"]);
            }
            Peer::KeyRanges => key_ranges(&mut self.connect(), &expired),
            Peer::TimeIndex => {
                let delete = format!("DELETE FROM visitors WHERE {expired} ORDER BY last_seen LIMIT {BATCH}");
                let mut connection = self.connect();
                while let Ok(()) = connection.query_drop(&delete)
                    && connection.affected_rows() > 0
                {}
            }
            Peer::OneDelete => self.connect().query_drop(format!("DELETE FROM visitors WHERE {expired}")).unwrap(),
            Peer::OneUpdate => {
                let masked = "CONCAT(SUBSTRING_INDEX(ip, '.', 3), '.0')";
                let update = format!("UPDATE visitors SET ip = {masked} WHERE {expired} AND ip <> {masked}");
                self.connect().query_drop(update).unwrap();
            }
        }
    }

    fn declaration(&self) -> Declaration<'_> {
        Declaration {
            rule: self.course.rule(),
            retention: self.course.retention(),
            store: &self.store,
            table: &self.table,
        }
    }

    fn left(&self) -> (u64, u64) {
        let unmasked = match self.course.task {
            Task::Erase => "TRUE",
            Task::Mask => "ip NOT LIKE '%.0'",
        };
        let sql = format!(
            "SELECT COUNT(*), COUNT(CASE WHEN last_seen < {} AND {unmasked} THEN 1 END) FROM visitors",
            literal(cutoff())
        );
        self.connect().query_first(sql).unwrap().unwrap()
    }

    fn remaining(&self) -> u64 {
        self.course.remaining()
    }

    fn touched(&self) -> u64 {
        self.course.touched()
    }

    fn processor(&self) -> f64 {
        processor(self.server)
    }
}

/// Processor time that the server has used, in seconds.
fn processor(server: &MariaDb) -> f64 {
    let pid: String = server.administrator().query_first("SELECT @@pid_file").unwrap().unwrap();
    let pid = fs::read_to_string(directory(server).join("data").join(pid)).unwrap();
    crate::figures::processor_time_of_family(pid.trim().parse().unwrap())
}

/// Files that are put there belong to the server's user.
fn give(file: &Path, directory: &Path) {
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(directory).unwrap());
    std::os::unix::fs::chown(file, Some(owner), None).unwrap();
}

/// Every page in memory.
fn warm(connection: &mut Conn) {
    for sql in [
        "SELECT COUNT(*) FROM visitors FORCE INDEX (PRIMARY) WHERE city = 'nowhere'",
        "SELECT COUNT(*) FROM visitors FORCE INDEX (visitors_last_seen)",
    ] {
        connection.query_drop(sql).unwrap();
    }
}

/// Waits until the server has nothing left to do of what went before: no old versions to purge, no page to write.
fn rest(connection: &mut Conn, processor: impl Fn() -> f64) {
    const GLANCE: Duration = Duration::from_millis(500);
    /// A few pages are always written by the server itself.
    const CLEAN: u64 = 50;
    /// In seconds per glance: what a server does that does nothing.
    const IDLE: f64 = 0.03;
    connection.query_drop("SET GLOBAL innodb_max_dirty_pages_pct = 0").unwrap();
    let dirty = "SELECT CAST(VARIABLE_VALUE AS UNSIGNED) FROM information_schema.GLOBAL_STATUS \
                 WHERE VARIABLE_NAME = 'Innodb_buffer_pool_pages_dirty'";
    loop {
        let before = processor();
        thread::sleep(GLANCE);
        let is_idle = processor() - before <= IDLE;
        if is_idle && connection.query_first::<u64, _>(dirty).unwrap().unwrap_or(0) <= CLEAN {
            break;
        }
    }
    connection.query_drop("SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT").unwrap();
}

fn shop(connection: &mut Conn, insert: &Statement, update: &Statement, number: u32, id: i64) -> mysql::Result<()> {
    let mut transaction = connection.start_transaction(TxOpts::default())?;
    transaction.exec_drop(insert, (ip(number), agent(number), url(number), city(number)))?;
    transaction.exec_drop(update, (url(number), id))?;
    transaction.commit()
}

fn key_ranges(connection: &mut Conn, expired: &str) {
    let last: u64 = connection.query_first("SELECT MAX(id) FROM visitors").unwrap().unwrap();
    let delete = connection.prep(format!("DELETE FROM visitors WHERE id > ? AND id <= ? AND {expired}")).unwrap();
    let mut from = 0;
    while from < last {
        connection.exec_drop(&delete, (from, from + BATCH)).unwrap();
        from += BATCH;
    }
}

/// What the partitioned table says of its time.
pub(crate) const TIME_IN_KEY: &str = "time = { column = \"id\", format = \"unix-micros\" }";

/// A table in two partitions, one expired and one not, in place of the copy. The server wants the column that it is
/// partitioned by in every unique key, so that the key is the time: numbers that grow with it, as many shops have.
pub(crate) fn partitioned(server: &MariaDb, rows: u32) {
    let mut connection = connect(server, SHOP);
    let (old, new, bound) = expired_and_kept();
    connection.query_drop("DROP TABLE IF EXISTS visitors").unwrap();
    connection
        .query_drop(format!(
            "CREATE TABLE visitors ({COLUMNS}, PRIMARY KEY (id), KEY (last_seen))
             PARTITION BY RANGE (id) (PARTITION old VALUES LESS THAN ({bound}000000),
                 PARTITION new VALUES LESS THAN (MAXVALUE))"
        ))
        .unwrap();
    for from in [old, new] {
        connection
            .query_drop(format!(
                "INSERT INTO visitors SELECT ({from} + seq) * 1000000, FROM_UNIXTIME({from} + seq), '192.0.2.1', \
                 REPEAT('a', 80), REPEAT('u', 40), 'Brno' FROM seq_1_to_{}",
                rows / 2
            ))
            .unwrap();
    }
    connection.query_drop("SELECT COUNT(*) FROM visitors WHERE city = 'nowhere'").unwrap();
    rest(&mut connection, || processor(server));
}
