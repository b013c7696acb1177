//! What `docs/evidence.md` tells a reader to run, run: evidence that needs forgetd to be believed would be none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const DOCUMENT: &str = include_str!("../docs/evidence.md");

/// The script as it stands in the document.
fn script() -> &'static str {
    let (_, rest) = DOCUMENT.split_once("```python\n").unwrap();
    let (script, rest) = rest.split_once("```\n").unwrap();
    assert!(!rest.contains("```python"), "one script, so that the reader and this test mean the same");
    script
}

/// An audit log that the binary has just written, and the script beside it.
struct Evidence {
    temporary: TempDir,
}

impl Evidence {
    fn new() -> Evidence {
        let temporary = tempfile::tempdir().unwrap();
        let demo = Command::new(env!("CARGO_BIN_EXE_forgetd"))
            .args(["demo", "--visitors", "400"])
            .arg(temporary.path().join("demo"))
            .output()
            .unwrap();
        assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
        fs::write(temporary.path().join("verify.py"), script()).unwrap();
        Evidence { temporary }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temporary.path().join("demo/state/audit").join(name)
    }

    /// What the script says, given checkpoints that were kept.
    fn verify(&self, kept: &[&Path]) -> Output {
        Command::new("python3")
            .arg(self.temporary.path().join("verify.py"))
            .arg(self.temporary.path().join("demo/state/audit"))
            .args(kept)
            .output()
            .unwrap()
    }

    fn rewrite(&self, name: &str, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        let changed = change(text.clone());
        assert_ne!(changed, text, "the test changes nothing");
        fs::write(self.path(name), changed).unwrap();
    }

    fn is_refused(&self, kept: &[&Path], why: &str) {
        let output = self.verify(kept);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "a log that was tampered with passed: {output:?}");
        assert!(said.contains(why), "expected `{why}`, got: {said}");
    }

    fn forgetd(&self, arguments: &[&str]) {
        let status = Command::new(env!("CARGO_BIN_EXE_forgetd"))
            .arg("--config")
            .arg(self.temporary.path().join("demo/config"))
            .args(arguments)
            .output()
            .unwrap()
            .status;
        assert!(status.success(), "{arguments:?}: {status}");
    }
}

#[test]
fn a_fresh_log_passes_and_so_does_a_checkpoint_kept_before_it_grew() {
    let evidence = Evidence::new();
    let kept = evidence.temporary.path().join("kept");
    fs::copy(evidence.path("checkpoint"), &kept).unwrap();
    evidence.forgetd(&["stop-purges"]);
    evidence.forgetd(&["stop-purges", "--lift"]);
    let output = evidence.verify(&[&kept]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let entries = fs::read_to_string(evidence.path("log.jsonl")).unwrap().lines().count();
    assert!(said.contains(&format!("checkpoint: holds for the first {entries} of {entries} entries")), "{said}");
    assert!(said.contains(&format!("kept: holds for the first {} of {entries} entries", entries - 2)), "{said}");
}

#[test]
fn a_changed_count_is_found() {
    let evidence = Evidence::new();
    evidence.rewrite("log.jsonl", |log| log.replacen("\"erased\":", "\"erased\":1", 1));
    evidence.is_refused(&[], "the log is not what was signed for");
}

#[test]
fn a_removed_last_entry_is_found() {
    let evidence = Evidence::new();
    evidence.rewrite("log.jsonl", |log| {
        let end = log.trim_end().rfind('\n').unwrap() + 1;
        log[..end].to_owned()
    });
    evidence.is_refused(&[], "entries were signed for and only");
}

#[test]
fn a_checkpoint_changed_to_fit_a_shorter_log_is_found() {
    let evidence = Evidence::new();
    let entries = fs::read_to_string(evidence.path("log.jsonl")).unwrap().lines().count();
    evidence.rewrite("checkpoint", |note| note.replacen(&format!("\n{entries}\n"), &format!("\n{}\n", entries - 1), 1));
    evidence.is_refused(&[], "not signed by");
}

#[test]
fn a_history_rewritten_under_the_same_key_is_found_by_the_checkpoint_that_was_kept() {
    const FILES: [&str; 3] = ["log.jsonl", "checkpoint", "index"];
    let evidence = Evidence::new();
    let aside = |name: &str| evidence.temporary.path().join(name);
    for name in FILES {
        fs::copy(evidence.path(name), aside(name)).unwrap();
    }
    evidence.forgetd(&["stop-purges"]);
    let kept = aside("kept");
    fs::copy(evidence.path("checkpoint"), &kept).unwrap();
    for name in FILES {
        fs::copy(aside(name), evidence.path(name)).unwrap();
    }
    evidence.forgetd(&["stop-purges", "--lift"]);
    assert!(evidence.verify(&[]).status.success(), "the history that took the other's place is signed");
    evidence.is_refused(&[&kept], "the log is not what was signed for");
}

#[test]
fn a_log_under_another_key_is_found_by_the_checkpoint_that_was_kept() {
    let (first, second) = (Evidence::new(), Evidence::new());
    assert!(second.verify(&[]).status.success());
    second.is_refused(&[&first.path("checkpoint")], "not signed by");
}
