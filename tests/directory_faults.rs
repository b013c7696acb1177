//! Every system call of a purge fails once, and then for ever, in every way that a file system fails. Whatever it is,
//! no young file goes, the evidence counts exactly what is gone, and once the fault is over the next run ends it.
//!
//! strace(1) makes the calls fail, those alone that are about the directory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a test that is left out says so")]

#[path = "support/evidence.rs"]
mod evidence;
#[path = "support/installation.rs"]
mod installation;
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use evidence::Evidence;
use installation::{Installation, Ran, UNGUARDED};
use jiff::Timestamp;
use rstest::rstest;
use tree::write;

const EXPIRED: u64 = 40;
const YOUNG: u64 = 20;

/// Directories that the files are in.
const DIRECTORIES: u64 = 4;

fn shop() -> Installation {
    let shop = Installation::new(UNGUARDED);
    let path = files(&shop).display().to_string();
    shop.write(
        "sites/shop.example.toml",
        &format!(
            "domain = \"shop.example\"\ntime-zone = \"Europe/Prague\"\nschedule = \"30 3 * * *\"\n\
             [retention]\nvisit = \"6 months\"\n\
             [store.files]\nkind = \"directory\"\npath = \"{path}\"\npattern = \"*\"\nholds = \"visit\"\n\
             settle = \"none\"\n"
        ),
    );
    let now = std::time::UNIX_EPOCH + std::time::UNIX_EPOCH.elapsed().unwrap();
    let old: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    for number in 0..EXPIRED + YOUNG {
        let (kind, modified) = if number < EXPIRED { ("old", old) } else { ("young", now.try_into().unwrap()) };
        write(&files(&shop).join(format!("{}/{kind}{number}", number % DIRECTORIES)), modified);
    }
    shop
}

fn files(shop: &Installation) -> PathBuf {
    shop.path().join("files")
}

/// How many are there of a kind.
fn there(shop: &Installation, kind: &str) -> u64 {
    let files = installation::tree(&files(shop)).into_iter().filter(|(_, content)| content.is_some());
    let of_kind = files.filter(|(path, _)| path.file_name().unwrap().to_str().unwrap().starts_with(kind));
    of_kind.count().try_into().unwrap()
}

/// `purge` with these calls failing that are about the directory; `None` where nothing can be traced.
fn purge(shop: &Installation, call: &str, error: &str, when: &str) -> Option<Ran> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null"]);
    for path in std::iter::once(files(shop)).chain((0..DIRECTORIES).map(|name| files(shop).join(name.to_string()))) {
        strace.arg("-P").arg(path);
    }
    strace.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:error={error}:when={when}")]);
    strace.arg(env!("CARGO_BIN_EXE_forgetd")).arg("--config").arg(shop.config()).args(["purge", "--yes", "--json"]);
    let ran = strace.stdin(Stdio::null()).output();
    let Ok(ran) = ran.map(Ran::of) else {
        eprintln!("left out: there is no strace");
        return None;
    };
    if ran.stderr.contains("PTRACE") || ran.stderr.contains("Operation not permitted") && ran.stdout.is_empty() {
        eprintln!("left out: nothing can be traced here: {}", ran.stderr);
        return None;
    }
    Some(ran)
}

#[rstest]
fn whatever_call_fails_the_evidence_counts_what_is_gone_and_the_next_run_ends_it(
    #[values("unlinkat", "statx", "getdents64", "openat2", "fsync")] call: &str,
    #[values("EIO", "EACCES", "ENOSPC", "EROFS", "EMFILE")] error: &str,
    #[values("1", "7", "30", "1+", "7+", "30+")] when: &str,
) {
    let shop = shop();
    let Some(ran) = purge(&shop, call, error, when) else { return };
    assert_eq!(there(&shop, "young"), YOUNG);
    let gone = EXPIRED - there(&shop, "old");
    let evidence = Evidence::read(&shop.state());
    assert!(evidence.rows <= gone, "{} in the evidence, {gone} gone: {ran:?}", evidence.rows);
    if evidence.open.is_empty() {
        assert_eq!(evidence.rows, gone, "{ran:?}");
    }
    // The error is one that the test asked for.
    if (call, when) == ("unlinkat", "1+") {
        assert!(gone == 0 && ran.code != 0 && ran.stdout.contains("40 files cannot be removed"), "{ran:?}");
    }
    // Said to be done is only what is.
    if ran.code == 0 {
        assert_eq!(gone, EXPIRED, "{ran:?}");
    }
    assert_eq!(shop.json(&["purge", "--yes"], 0)["runs"][0]["left"], 0);
    let evidence = Evidence::read(&shop.state());
    assert_eq!((evidence.rows, evidence.open.len()), (EXPIRED, 0));
    assert_eq!((there(&shop, "old"), there(&shop, "young")), (0, YOUNG));
    assert_eq!(fs::read_dir(shop.state().join("in-flight")).unwrap().count(), 0);
}
