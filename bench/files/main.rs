//! How fast forgetd removes files beside the tools that administrators use for it. `bench/run files` runs it.
//!
//! Every contestant finds the same tree, in which the expired files were just written and synced, and within a round all of
//! them run one after the other; the ratios are formed within a round, so that whatever else the machine does falls on
//! all of them alike. Files that stay are written once: nobody touches them, and a disk takes its time to write.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on has failed; it prints its results and clears up after itself"
)]

#[path = "../common/figures.rs"]
#[allow(dead_code, reason = "each benchmark uses its part")]
mod figures;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, UNIX_EPOCH};

use figures::{Took, grouped, head, measured, median, now, processor, row, spread, wall};

/// Directories in memory.
const IN_MEMORY: u32 = 1_000;

/// Directories on a disk: it takes its time to write them, and every contestant needs fresh ones.
const ON_DISK: u32 = 200;

/// Files in each.
const FILES: u32 = 500;

/// Threads that write them.
const WRITERS: u32 = 2;

/// Odd, so that a median is a measurement.
const ROUNDS: usize = 3;

/// How far in the past expired files are, in days, and how long files are kept.
const OLD: u64 = 300;
const KEPT: u64 = 180;

/// The limits that the figures are held against.
const LEAST_GAIN_IN_MEMORY: f64 = 1.5;
const LEAST_GAIN_ON_DISK: f64 = 1.2;

/// Where a contest takes place.
struct Place {
    /// As the command line names it.
    word: &'static str,
    parent: &'static Path,
    kind: &'static str,
    /// Unless the command line says how many.
    directories: u32,
    /// How many times as fast as the others forgetd must be.
    least: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contestant {
    Find,
    Tmpfiles,
    Forgetd,
}

impl Contestant {
    const ALL: [Contestant; 3] = [Contestant::Find, Contestant::Tmpfiles, Contestant::Forgetd];

    fn name(self) -> &'static str {
        match self {
            Contestant::Find => "find -delete",
            Contestant::Tmpfiles => "systemd-tmpfiles --clean",
            Contestant::Forgetd => "**forgetd purge, evidence included**",
        }
    }
}

fn main() {
    // `cargo test --all-targets` runs this program too, without the word that `cargo bench` adds.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("measures only under `cargo bench`: see bench/run");
        return;
    }
    let all = [
        Place {
            word: "memory",
            parent: Path::new("/dev/shm"),
            kind: "in memory (tmpfs)",
            directories: IN_MEMORY,
            least: LEAST_GAIN_IN_MEMORY,
        },
        Place {
            word: "disk",
            parent: Path::new(env!("CARGO_TARGET_TMPDIR")),
            kind: "on a disk",
            directories: ON_DISK,
            least: LEAST_GAIN_ON_DISK,
        },
    ];
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    for place in all {
        if wanted.is_empty() {
            contest(&place);
        }
        for wanted in &wanted {
            match wanted.split_once(':') {
                None if wanted == place.word => contest(&place),
                Some((word, number)) if word == place.word => {
                    contest(&Place { directories: number.parse().unwrap(), ..place });
                }
                _ => {}
            }
        }
    }
}

fn contest(place: &Place) {
    let Place { parent, kind, directories, least: limit, .. } = *place;
    let dir = parent.join("forgetd-bench-files");
    let _absent = fs::remove_dir_all(&dir);
    write(&dir.join("sessions"), directories, Kind::Young);
    let mut took: [Vec<Took>; Contestant::ALL.len()] = Default::default();
    for round in 0..ROUNDS {
        // Each round begins with another contestant, so that none always runs when the machine is busiest.
        for turn in 0..Contestant::ALL.len() {
            let position = (round + turn) % Contestant::ALL.len();
            took[position].push(run(&dir, directories, Contestant::ALL[position]));
        }
    }
    fs::remove_dir_all(&dir).unwrap();
    let expired = f64::from(directories * FILES / 2);
    let title = format!(
        "Removing {} of {} files in {} directories {kind}",
        grouped(expired),
        grouped(expired * 2.0),
        grouped(directories.into())
    );
    head(&title, &["contestant", "seconds", "files/s", "times as fast as find", "processor seconds"]);
    let find = wall(&took[0]);
    for (contestant, all) in Contestant::ALL.iter().zip(&took) {
        let seconds = wall(all);
        let gains: Vec<f64> = find.iter().zip(&seconds).map(|(find, ours)| find / ours).collect();
        let rate = grouped(expired / median(&seconds));
        row(&[contestant.name(), &spread(&seconds), &rate, &spread(&gains), &spread(&processor(all))]);
    }
    let ours = wall(&took[2]);
    for (peer, theirs) in Contestant::ALL.iter().zip(&took).take(2) {
        let gains: Vec<f64> = wall(theirs).iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect();
        let (gain, met) = (median(&gains), if median(&gains) >= limit { "met" } else { "**MISSED**" });
        println!("\n{met}: {gain:.2} times as fast as {}, wanted ≥ {limit}", peer.name());
    }
}

/// One contestant on the tree.
fn run(dir: &Path, directories: u32, contestant: Contestant) -> Took {
    let tree = dir.join("sessions");
    write(&tree, directories, Kind::Expired);
    let command = command(dir, &tree, contestant);
    rustix::fs::sync();
    let (output, took) = measured(|| finished(command));
    if contestant == Contestant::Forgetd {
        let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["runs"][0]["outcome"], "done", "{result}");
    }
    assert_eq!(count(&tree), directories * FILES / 2, "{contestant:?}");
    for own in ["config", "state"] {
        let _absent = fs::remove_dir_all(dir.join(own));
    }
    took
}

/// Every second file of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Expired,
    Young,
}

fn write(tree: &Path, directories: u32, kind: Kind) {
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                let mine = (0..directories).filter(|directory| directory % WRITERS == writer);
                mine.for_each(|directory| write_into(&tree.join(format!("{directory:04}")), kind));
            });
        }
    });
}

fn write_into(directory: &Path, kind: Kind) {
    let old = UNIX_EPOCH + Duration::from_secs(u64::try_from(now()).unwrap() - OLD * 86_400);
    fs::create_dir_all(directory).unwrap();
    for number in (u32::from(kind == Kind::Young)..FILES).step_by(2) {
        let mut file = File::create(directory.join(format!("sess_{number:026}"))).unwrap();
        file.write_all(b"user_id|i:4711;cart|a:0:{}").unwrap();
        if kind == Kind::Expired {
            file.set_modified(old).unwrap();
        }
    }
}

fn count(tree: &Path) -> u32 {
    let within = |path: PathBuf| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    u32::try_from(within(tree.to_owned()).flat_map(within).count()).unwrap()
}

fn command(dir: &Path, tree: &Path, contestant: Contestant) -> Command {
    match contestant {
        Contestant::Find => {
            let mut find = Command::new("find");
            find.arg(tree).args(["-type", "f", "-name", "sess_*", "-mtime", &format!("+{KEPT}"), "-delete"]);
            find
        }
        Contestant::Tmpfiles => {
            let rule = dir.join("sessions.conf");
            fs::write(&rule, format!("e {} - - - m:{KEPT}d\n", tree.display())).unwrap();
            let mut tmpfiles = Command::new("systemd-tmpfiles");
            tmpfiles.arg("--clean").arg(rule);
            tmpfiles
        }
        Contestant::Forgetd => {
            install(dir, tree);
            let mut forgetd = Command::new(env!("CARGO_BIN_EXE_forgetd"));
            forgetd.arg("--config").arg(dir.join("config")).args(["purge", "--yes", "--json"]);
            forgetd
        }
    }
}

fn finished(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A configuration and a state beside the tree.
fn install(dir: &Path, tree: &Path) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/categories.toml");
    put(dir, "categories.toml", &fs::read_to_string(shipped).unwrap());
    let state = dir.join("state");
    put(
        dir,
        "forgetd.toml",
        &format!(
            "state-dir = {state:?}\n[controller]\nname = \"Shop s.r.o.\"\n[safety]\napproval = \"automatic\"\n\
             max-share = 1.0\n[pace]\nduty = 1.0\n"
        ),
    );
    put(
        dir,
        "sites/shop.example.toml",
        &format!(
            "domain = \"shop.example\"\ntime-zone = \"Europe/Prague\"\nschedule = \"30 3 * * *\"\n\
             [retention]\nvisit = \"{KEPT} days\"\n\
             [store.sessions]\nkind = \"directory\"\npath = {tree:?}\npattern = \"sess_*\"\nholds = \"visit\"\n\
             settle = \"none\"\n"
        ),
    );
}

/// Writes a file of the configuration, not writable by others whatever the umask.
fn put(dir: &Path, name: &str, text: &str) {
    let path = dir.join("config").join(name);
    let parent = path.parent().unwrap();
    fs::create_dir_all(parent).unwrap();
    for closed in [dir.join("config").as_path(), parent] {
        fs::set_permissions(closed, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
}
