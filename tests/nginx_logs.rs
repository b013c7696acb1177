//! A real nginx under load writes and rotates its log, by hand and by Debian's logrotate, while forgetd drops and masks
//! lines of it: every request that was made is in exactly one log, or was dropped as expired.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a test that is left out says so")]

#[path = "support/installation.rs"]
mod installation;
#[path = "support/log.rs"]
mod log;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use forgetd::config::site::LogFormat;
use forgetd::store::{self, Selection};
use installation::{Installation, UNGUARDED};
use jiff::{SignedDuration, Timestamp};
use log::{Logs, text_of};
use rustix::process::{Pid, Signal, kill_process};

/// Visitors at a time.
const VISITORS: u64 = 4;

/// How often each of the two rules runs.
const RUNS: u32 = 25;

/// How old a line is when it is dropped.
const RETENTION: SignedDuration = SignedDuration::from_secs(2);

/// Whatever happens, the test ends.
const LONGEST: Duration = Duration::from_secs(90);

fn wall() -> Timestamp {
    (std::time::UNIX_EPOCH + std::time::UNIX_EPOCH.elapsed().unwrap()).try_into().unwrap()
}

struct Nginx {
    process: Child,
    port: u16,
}

impl Nginx {
    fn start(directory: &Path, logs: &Path) -> Nginx {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = directory.join("nginx.conf");
        let text = format!(
            "daemon off; worker_processes 2; user root; pid {0}/nginx.pid; error_log {0}/error.log;
             events {{ worker_connections 64; }}
             http {{
                 access_log {1}/access.log combined; keepalive_requests 100000000;
                 server {{ listen 127.0.0.1:{port}; location / {{ return 204; }} }}
             }}",
            directory.display(),
            logs.display()
        );
        fs::write(&config, text).unwrap();
        let error_log = directory.join("error.log");
        let mut nginx = Command::new("nginx");
        nginx.arg("-p").arg(directory).arg("-c").arg(&config).arg("-e").arg(error_log);
        let process = nginx.spawn().expect("nginx is installed");
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(since.elapsed() < LONGEST, "nginx does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Nginx { process, port }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Ends once every request is answered and logged.
    fn quit(&mut self) {
        self.signal(Signal::QUIT);
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ends what others do until they are told to, also where the test fails.
struct Ending<'e>(&'e AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One visitor after the other on one connection. Returns when each was there, by its number.
fn visit(visitor: u64, port: u16, ended: &AtomicBool, made: &AtomicU64) -> BTreeMap<u64, Timestamp> {
    let mut visits = BTreeMap::new();
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_nodelay(true).unwrap();
    for number in (visitor..).step_by(usize::try_from(VISITORS).unwrap()) {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        write!(connection, "GET /{number} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: visitor\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut some = [0; 1024];
            let read = connection.read(&mut some).unwrap();
            assert!(read > 0, "nginx hung up");
            answer.extend_from_slice(&some[..read]);
        }
        visits.insert(number, wall());
        made.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(1));
    }
    visits
}

/// Debian's configuration as it is installed, about this directory and this process. It keeps more files than there
/// will be: that logrotate removes the oldest is not what is tested.
fn logrotate_config(directory: &Path, logs: &Path) -> PathBuf {
    let debian = fs::read_to_string("/etc/logrotate.d/nginx").expect("nginx is Debian's");
    let pid = directory.join("nginx.pid");
    let replaced = debian
        .replace("/var/log/nginx/*.log", &format!("{}/*.log", logs.display()))
        .replace("rotate 14", "rotate 10000")
        .replace("create 0640 www-data adm", "create 0640 root root")
        .replace("invoke-rc.d nginx rotate", &format!("kill -USR1 $(cat {})", pid.display()));
    for part in ["rotate 10000", "kill -USR1", "delaycompress"] {
        assert!(replaced.contains(part), "{replaced}");
    }
    let config = directory.join("logrotate.conf");
    fs::write(&config, replaced).unwrap();
    config
}

/// Rotates by both ways in turn until told to end.
fn rotate(directory: &Path, logs: &Path, nginx: &Nginx, ended: &AtomicBool) -> u32 {
    let config = logrotate_config(directory, logs);
    let mut rotations = 0;
    while !ended.load(Ordering::Relaxed) {
        if rotations % 2 == 0 {
            fs::rename(logs.join("access.log"), logs.join(format!("access.log.renamed-{rotations}"))).unwrap();
            // As a slow script would: nginx writes to the renamed file meanwhile.
            thread::sleep(Duration::from_millis(50));
            nginx.signal(Signal::USR1);
        } else {
            let state = directory.join("logrotate.state");
            let ran = Command::new("logrotate").args(["--force", "--state"]).arg(state).arg(&config).output().unwrap();
            assert!(ran.status.success(), "{ran:?}");
        }
        rotations += 1;
        thread::sleep(Duration::from_millis(300));
    }
    rotations
}

/// Drops what is older than the retention, and returns how many lines that were and up to when.
fn drop_lines(logs: &Logs) -> (u64, Timestamp) {
    let (now, cutoff) = (wall(), wall() - RETENTION);
    let selection = Selection { rule: (&logs.rule).into(), now, cutoff: Some(cutoff), holds: Vec::new() };
    let mut store = store::open(&logs.rule);
    store.survey(&selection).unwrap();
    let mut walk = store.walk(&selection, Duration::ZERO).unwrap();
    let mut dropped = 0;
    loop {
        match walk.prepare(1) {
            Ok(Some(batch)) => dropped += batch.commit().unwrap().rows,
            Ok(None) => break,
            Err(store::StoreError::Busy { .. }) => thread::sleep(Duration::from_millis(10)),
            Err(error) => panic!("{error}"),
        }
    }
    (dropped, cutoff)
}

/// An installation whose one rule masks the addresses in these logs.
fn masking(logs: &Path) -> Installation {
    let forgetd = Installation::new(UNGUARDED);
    let site = format!(
        "domain = \"shop.example\"\ntime-zone = \"Europe/Prague\"\nschedule = \"30 3 * * *\"\n\
         [retention]\nvisit = \"6 months\"\n\
         [store.access]\nkind = \"log\"\npath = \"{}/access.log*\"\nformat = \"combined\"\nholds = \"visit\"\n\
         address = {{ category = \"visit.ip-address\", do = \"truncate\" }}\n",
        logs.display()
    );
    forgetd.write("sites/shop.example.toml", &site);
    forgetd
}

fn mask_lines(forgetd: &Installation) -> u64 {
    let rule = "shop.example/access/address@setting";
    let told = forgetd.run(&["purge", rule, "--yes", "--json"]);
    let ran: serde_json::Value = serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error}: {told:?}"));
    assert_eq!(ran["runs"][0]["outcome"], "done", "{ran}");
    ran["runs"][0]["erased"].as_u64().unwrap()
}

#[test]
fn every_request_is_in_exactly_one_log_or_was_dropped_as_expired() {
    let mut logs = Logs::new();
    logs.rule.log.format = LogFormat::Combined;
    let directory = tempfile::tempdir().unwrap();
    let forgetd = masking(logs.root());
    let mut nginx = Nginx::start(directory.path(), logs.root());
    let (ended, rotations_ended, made) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
    let (mut dropped, mut masked, mut last_cutoff) = (0, 0, Timestamp::UNIX_EPOCH);
    let visits: BTreeMap<u64, Timestamp> = thread::scope(|scope| {
        let (port, ended, made) = (nginx.port, &ended, &made);
        let visitors: Vec<_> =
            (0..VISITORS).map(|visitor| scope.spawn(move || visit(visitor, port, ended, made))).collect();
        let rotating = scope.spawn(|| rotate(directory.path(), logs.root(), &nginx, &rotations_ended));
        let visits_end = Ending(ended);
        let rotation_ends = Ending(&rotations_ended);
        let since = Instant::now();
        for _ in 0..RUNS {
            let (rows, cutoff) = drop_lines(&logs);
            (dropped, last_cutoff) = (dropped + rows, cutoff);
            masked += mask_lines(&forgetd);
            assert!(since.elapsed() < LONGEST, "it takes too long");
            thread::sleep(Duration::from_millis(200));
        }
        drop(rotation_ends);
        assert!(rotating.join().unwrap() > 5, "it was hardly rotated");
        drop(visits_end);
        visitors.into_iter().flat_map(|visitor| visitor.join().unwrap()).collect()
    });
    nginx.quit();
    let there = requests(logs.root());
    let twice: Vec<_> = there.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "duplicated: {twice:?}");
    assert!(there.keys().all(|number| visits.contains_key(number)), "nobody made such a request");
    let missing: Vec<_> = visits.iter().filter(|(number, _)| !there.contains_key(number)).collect();
    assert_eq!(u64::try_from(missing.len()).unwrap(), dropped, "what is missing was dropped");
    // nginx writes whole seconds.
    let latest = last_cutoff + SignedDuration::from_secs(1);
    assert!(missing.iter().all(|(_, made)| **made < latest), "lost: younger than any cutoff");
    assert_eq!(made.load(Ordering::Relaxed), u64::try_from(visits.len()).unwrap());
    eprintln!("{} requests, {dropped} dropped, {masked} masked", visits.len());
    assert!(dropped > 0 && masked > 0, "nothing was done: forgetd may not look into nginx");
}

/// How often each request stands in the logs.
fn requests(logs: &Path) -> BTreeMap<u64, u32> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(logs).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with("access.log"), "{path:?}");
        for line in text_of(&path).lines() {
            let rest = line.strip_prefix("127.0.0.1 - - [").or_else(|| line.strip_prefix("127.0.0.0 - - ["));
            let (time, rest) = rest.unwrap_or_else(|| panic!("{line}")).split_once("] \"GET /").unwrap();
            assert_eq!(time.len(), 26, "{line}");
            let number = rest.strip_suffix(" HTTP/1.1\" 204 0 \"-\" \"visitor\"").unwrap_or_else(|| panic!("{line}"));
            *found.entry(number.parse().unwrap()).or_default() += 1;
        }
    }
    found
}
