//! A PostgreSQL server of the tests' own, one for each test process: on a Unix socket and, with TLS, on loopback.
//!
//! A shell stands between: it starts the server, kills it and starts it again for each line that it reads, waits until
//! the pipe to the tests closes, which also happens when they are killed, ends the server and removes its directory.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

/// Runs until its standard input ends. `$1` directory, `$2` server, `$3` user or empty, the rest its options.
const GUARD: &str = r#"
dir=$1 server=$2 user=$3; shift 3
start() {
    if [ -n "$user" ]; then
        setpriv --reuid "$user" --regid "$user" --init-groups "$server" "$@" </dev/null >>"$dir/log" 2>&1 &
    else
        "$server" "$@" </dev/null >>"$dir/log" 2>&1 &
    fi
    pid=$!
}
start "$@"
while read -r seconds; do
    kill -KILL "$pid" $(cat "/proc/$pid/task/$pid/children")
    wait "$pid"
    sleep "$seconds"
    start "$@"
done
kill -QUIT "$pid"
wait "$pid"
rm -rf "$dir"
"#;

/// Password of the user `secret`, who must show it.
pub(crate) const PASSWORD: &str = "correct horse";

/// The superuser as whom the application connects, without a password.
const APPLICATION: &str = "postgres";

pub(crate) struct Server {
    pub(crate) directory: PathBuf,
    pub(crate) port: u16,
    guard: Child,
}

/// The server of this process.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

impl Server {
    /// A new, empty database: its name.
    pub(crate) fn create_database(&self) -> String {
        self.create_database_with("")
    }

    /// The same with further words of CREATE DATABASE.
    pub(crate) fn create_database_with(&self, words: &str) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("shop{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.client("postgres").batch_execute(&format!("CREATE DATABASE {name} {words}")).unwrap();
        name
    }

    /// The URL of a database for a user, over the socket.
    pub(crate) fn url(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@/{database}?host={}&port={}", self.directory.display(), self.port)
    }

    /// A connection of the application.
    pub(crate) fn client(&self, database: &str) -> Client {
        Client::connect(&self.url(APPLICATION, database), NoTls).unwrap()
    }

    /// Stops the server where it is (`STOP`), with all its processes, so that it hangs, or lets it go on (`CONT`).
    pub(crate) fn signal(&self, signal: &str) {
        let script = format!(
            "server=$(head -n 1 {}/data/postmaster.pid); all=\"$server $(ps -o pid= --ppid $server)\"; kill -{signal} $all; \
             test {signal} != STOP || for process in $all; do \
             until grep -q '^State:.T' /proc/$process/status; do sleep 0.01; done; done",
            self.directory.display()
        );
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    }

    /// Kills every process of the server and starts it again after a pause. Returns at once.
    pub(crate) fn crash(&self, pause: Duration) {
        let mut pipe = self.guard.stdin.as_ref().unwrap();
        writeln!(pipe, "{}", pause.as_secs_f64()).unwrap();
    }

    /// The authority that signed the server's certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }
}

/// Where Debian puts the server's programs, which are not in the PATH.
pub(crate) fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists()).collect();
    found.sort();
    assert!(!found.is_empty(), "{name} is missing: apt-get install postgresql");
    found.pop().unwrap()
}

/// initdb and the server refuse root.
fn user() -> &'static str {
    if rustix::process::geteuid().is_root() { "postgres" } else { "" }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// As the server's user.
fn as_user(program: &Path) -> Command {
    if user().is_empty() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user(), "--regid", user(), "--init-groups"]).arg(program);
    command
}

/// A server that no other test uses.
pub(crate) fn start() -> Server {
    start_in("/tmp", &[])
}

/// A server whose files lie below `place`, with further options.
pub(crate) fn start_in(place: &str, options: &[&str]) -> Server {
    let directory = directory(place);
    let data = directory.join("data");
    run(as_user(&program("initdb"))
        .args(["--username", APPLICATION, "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"])
        .arg(&data));
    certificates(&directory);
    access(&data);
    let server = launch(directory, &data, options);
    server.wait();
    server
}

/// Starts a server on a directory that holds `data`. What `further` says goes before what is said here.
fn launch(directory: PathBuf, data: &Path, further: &[&str]) -> Server {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = [
        format!("unix_socket_directories={}", directory.display()),
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", directory.join("server.crt").display()),
        format!("ssl_key_file={}", directory.join("server.key").display()),
        "fsync=off".to_owned(),
        "synchronous_commit=off".to_owned(),
        "full_page_writes=off".to_owned(),
        "max_connections=60".to_owned(),
        "autovacuum=off".to_owned(),
        "shared_buffers=32MB".to_owned(),
        "wal_level=replica".to_owned(),
        "max_wal_senders=4".to_owned(),
    ];
    let mut guard = Command::new("sh");
    guard.args(["-c", GUARD, "guard"]).arg(&directory).arg(program("postgres")).arg(user()).arg("-D").arg(data);
    for option in options.iter().map(String::as_str).chain(further.iter().copied()) {
        guard.args(["-c", option]);
    }
    let guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    Server { directory, port, guard }
}

/// A directory of the server's user.
fn directory(place: &str) -> PathBuf {
    let directory = tempfile::Builder::new().prefix("forgetd-pg").tempdir_in(place).unwrap().keep();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    if !user().is_empty() {
        run(Command::new("chown").arg(user()).arg(&directory));
    }
    directory
}

impl Server {
    /// A replica of this server, which follows it.
    pub(crate) fn standby(&self) -> Server {
        let directory = directory("/tmp");
        let data = directory.join("data");
        run(as_user(&program("pg_basebackup"))
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--username", APPLICATION])
            .args(["--host".as_ref(), self.directory.as_os_str()])
            .args(["--port", &self.port.to_string()])
            .arg("--pgdata")
            .arg(&data));
        certificates(&directory);
        let standby = launch(directory, &data, &[]);
        standby.wait();
        standby
    }
}

impl Server {
    /// Waits until it lets somebody in.
    pub(crate) fn wait(&self) {
        let started = Instant::now();
        while let Err(error) = Client::connect(&self.url(APPLICATION, "postgres"), NoTls) {
            let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(60), "the server does not start: {error}\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Who is let in how: `peered` by the process's user, `secret` by the password and TLS only, all others freely.
fn access(data: &Path) {
    let hba = "local all peered peer map=tests\n\
               local all secret scram-sha-256\n\
               hostssl all secret 127.0.0.1/32 scram-sha-256\n\
               local all all trust\n\
               local replication all trust\n";
    std::fs::write(data.join("pg_hba.conf"), hba).unwrap();
    let me = Command::new("id").arg("-un").output().unwrap().stdout;
    let ident = format!("tests {} peered\n", String::from_utf8(me).unwrap().trim());
    std::fs::write(data.join("pg_ident.conf"), ident).unwrap();
}

/// An authority of the tests' own, and a certificate for 127.0.0.1 from it.
fn certificates(directory: &Path) {
    let openssl = |arguments: &str| {
        run(Command::new("openssl").args(arguments.split_whitespace()).current_dir(directory));
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tests -keyout ca.key -out ca.crt");
    openssl("req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr");
    let mut extensions = std::fs::File::create(directory.join("server.ext")).unwrap();
    extensions.write_all(b"subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl(
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.crt",
    );
    std::fs::set_permissions(directory.join("server.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    if !user().is_empty() {
        run(Command::new("chown").arg(user()).args(["server.key", "server.crt"]).current_dir(directory));
    }
}
