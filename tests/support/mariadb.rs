//! A private MariaDB server for the tests of one process, and databases on it. Where `FORGETD_TEST_MYSQLD` names the
//! program of a MySQL server, it is one of those: the same tests run on either (`tests/mysql`).
//!
//! It listens on a socket in a directory of its own. A shell stands guard: it kills the server and starts it again for
//! each line that it reads, waits for the end of a pipe that only this process holds, and then ends the server and
//! removes its directory, however the process ended.

#![allow(dead_code, reason = "each test file uses its part")]

use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use forgetd::config::site::{DatabaseKind, Server};
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};

/// Starting takes a few seconds, more on a busy machine.
const START: Duration = Duration::from_secs(120);

/// As if everything were durable: nobody pulls the plug on a test.
const OPTIONS: &str = "--innodb-buffer-pool-size=64M --innodb-flush-log-at-trx-commit=1 --innodb-flush-method=nosync \
    --skip-log-bin --character-set-server=latin1";

const INSTALL_HINT: &str = "apt-get install mariadb-server";

/// Beside [`OPTIONS`], for MySQL: no second protocol with a port of its own, no directory that only a package makes, and
/// as many numbers in a row as the tests want ([`in_its_words`]).
const OPTIONS_OF_MYSQL: &str = "--mysqlx=OFF --secure-file-priv=NULL --cte-max-recursion-depth=10000000";

/// What an application sets that keeps zero dates: the defaults of MySQL without those two modes.
pub(crate) const MODE_WITH_ZERO_DATES: &str = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";

/// The program of a MySQL server to run the tests on, instead of MariaDB.
fn mysqld() -> Option<PathBuf> {
    std::env::var_os("FORGETD_TEST_MYSQLD").map(PathBuf::from)
}

/// Whether the tests run on MySQL.
pub(crate) fn is_mysql() -> bool {
    mysqld().is_some()
}

/// Whether the server of the tests has what a statement needs: types and kinds of tables of MariaDB alone.
pub(crate) fn knows(statement: &str) -> bool {
    const OF_MARIADB: [&str; 5] = ["UUID", "INET6", "INET4", "CREATE SEQUENCE", "SYSTEM VERSIONING"];
    !is_mysql() || !OF_MARIADB.iter().any(|words| statement.contains(words))
}

/// The privilege over everything that shows foreign keys, and no record.
pub(crate) fn key_privilege() -> &'static str {
    if is_mysql() { "REFERENCES" } else { "SHOW VIEW" }
}

/// A statement as the server understands it: MySQL has no tables of numbers, `FROM seq_1_to_9`.
pub(crate) fn in_its_words(statement: &str) -> Cow<'_, str> {
    let Some((before, rest)) = statement.split_once(" seq_").filter(|_| is_mysql()) else {
        return Cow::Borrowed(statement);
    };
    let (first, rest) = rest.split_once("_to_").unwrap();
    let (last, after) = rest.split_at(rest.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(rest.len()));
    Cow::Owned(format!(
        "{before} (WITH RECURSIVE numbers (seq) AS (SELECT {first} UNION ALL SELECT seq + 1 FROM numbers \
         WHERE seq < {last}) SELECT seq FROM numbers) AS seq_{first}_to_{last}{}",
        in_its_words(after)
    ))
}

/// The commands that make the files of a server in `directory`, and that run it.
fn commands(directory: &Path) -> [String; 2] {
    let directory = directory.display();
    match mysqld() {
        Some(program) => {
            let server = format!("{} --no-defaults --datadir={directory}/data {OPTIONS_OF_MYSQL}", program.display());
            [format!("{server} --initialize-insecure"), server]
        }
        None => [
            format!(
                "mariadb-install-db --no-defaults --datadir={directory}/data --skip-test-db \
                 --auth-root-authentication-method=normal"
            ),
            format!("mariadbd --no-defaults --datadir={directory}/data"),
        ],
    }
}

/// A running server.
pub(crate) struct MariaDb {
    directory: PathBuf,
    /// While its pipe is open the server lives.
    guard: std::process::Child,
}

/// The server that all tests of the process share.
pub(crate) fn shared() -> &'static MariaDb {
    static SERVER: OnceLock<MariaDb> = OnceLock::new();
    SERVER.get_or_init(|| MariaDb::start("--skip-networking"))
}

impl MariaDb {
    /// Starts a server with further options.
    pub(crate) fn start(options: &str) -> MariaDb {
        MariaDb::start_in(tempfile::tempdir().unwrap().keep(), options)
    }

    /// Starts a server whose files are in `directory`, which it removes at its end.
    pub(crate) fn start_in(directory: PathBuf, options: &str) -> MariaDb {
        if !is_mysql() {
            let installer = Command::new("mariadb-install-db").arg("--help").output();
            assert!(installer.is_ok(), "mariadb-install-db is missing: {INSTALL_HINT}");
        }
        // The server refuses to run as root.
        let as_user = if rustix::process::geteuid().is_root() {
            assert!(Command::new("chown").args(["-R", "mysql:"]).arg(&directory).status().unwrap().success());
            "setpriv --reuid mysql --regid mysql --clear-groups"
        } else {
            ""
        };
        let [install, run] = commands(&directory);
        // A server that starts removes temporary tables that it finds: it must not find those of another one.
        let script = format!(
            "set -e; exec 2>/dev/null; PATH=$PATH:/usr/sbin; export TMPDIR={0}; cd {0}; \
             {as_user} {install} >{0}/install.log 2>&1; \
             start() {{ {as_user} {run} --socket={0}/socket {OPTIONS} {options} \
             </dev/null >>{0}/log 2>&1 & server=$!; }}; \
             end() {{ kill -9 $server; wait $server || true; }}; \
             start; while read -r seconds; do end; sleep $seconds; start; done; end; rm -rf {0}",
            directory.display()
        );
        let guard = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
        let server = MariaDb { directory, guard };
        server.wait();
        server
    }

    /// Waits until it lets somebody in.
    pub(crate) fn wait(&self) {
        assert!(self.comes_back(), "MariaDB ended by itself: {}", self.log());
    }

    /// Waits for the server. False where it has ended by an assertion of its own, as 10.11 rarely does after it was killed.
    pub(crate) fn comes_back(&self) -> bool {
        let started = Instant::now();
        while Conn::new(self.options()).is_err() {
            if self.log().contains("InnoDB: Assertion failure") {
                return false;
            }
            assert!(started.elapsed() < START, "no MariaDB server ({INSTALL_HINT}): {}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        true
    }

    /// Kills the server and starts it again after a pause. Returns at once.
    pub(crate) fn crash(&self, pause: Duration) {
        let mut pipe = self.guard.stdin.as_ref().unwrap();
        writeln!(pipe, "{}", pause.as_secs_f64()).unwrap();
    }

    /// Stops the server where it is (`STOP`), so that it hangs, or lets it go on (`CONT`).
    pub(crate) fn signal(&self, signal: &str) {
        // A signal stops one thread, which stops the others: on a busy machine one may still answer meanwhile.
        let script = format!(
            "server=$(cat {}/data/*.pid); kill -{signal} $server; test {signal} != STOP \
             || until test -z \"$(grep -L '^State:.T' /proc/$server/task/*/status)\"; do sleep 0.01; done",
            self.directory.display()
        );
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    }

    fn log(&self) -> String {
        ["install.log", "log"]
            .map(|name| std::fs::read_to_string(self.directory.join(name)).unwrap_or_default())
            .concat()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    fn options(&self) -> OptsBuilder {
        OptsBuilder::new().user(Some("root")).socket(Some(self.socket().display().to_string()))
    }

    /// The administrator's connection.
    pub(crate) fn administrator(&self) -> Conn {
        Conn::new(self.options()).unwrap()
    }

    /// A new, empty database.
    pub(crate) fn database(&self) -> MariaDbDatabase {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("shop_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.administrator().query_drop(format!("CREATE DATABASE {name}")).unwrap();
        MariaDbDatabase { name, socket: self.socket() }
    }
}

/// A database of one test.
#[derive(Clone)]
pub(crate) struct MariaDbDatabase {
    pub(crate) name: String,
    socket: PathBuf,
}

impl MariaDbDatabase {
    /// A connection of the application.
    pub(crate) fn connect(&self) -> Conn {
        let options = OptsBuilder::new().user(Some("root")).socket(Some(self.socket.display().to_string()));
        let mut connection = Conn::new(options.db_name(Some(&self.name))).unwrap();
        connection.query_drop("SET time_zone = '+00:00', NAMES utf8mb4").unwrap();
        if is_mysql() {
            connection.query_drop(format!("SET sql_mode = '{MODE_WITH_ZERO_DATES}'")).unwrap();
        }
        connection
    }

    /// How the store is declared, for a user without a password.
    pub(crate) fn kind(&self, user: &str) -> DatabaseKind {
        let url = format!("mysql://{user}@localhost/{}?socket={}", self.name, self.socket.display());
        DatabaseKind::Mysql { server: Server { url, password: None, ca_file: None } }
    }
}
