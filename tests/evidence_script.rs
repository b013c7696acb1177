//! What `docs/evidence.md` tells a reader to run, run: evidence that needs forgetd to be believed would be none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const DOCUMENT: &str = include_str!("../docs/evidence.md");

/// The script of that name as it stands in the document.
fn script(name: &str) -> &'static str {
    let scripts: Vec<&str> =
        DOCUMENT.split("```python\n").skip(1).map(|rest| rest.split_once("```\n").unwrap().0).collect();
    let mut named = scripts.iter().filter(|script| script.starts_with(&format!("\"\"\"python3 {name} ")));
    let script = named.next().unwrap();
    assert!(named.next().is_none(), "one of a name, so that the reader and this test mean the same");
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
        for name in ["verify.py", "check_proof.py"] {
            fs::write(temporary.path().join(name), script(name)).unwrap();
        }
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

    /// A proof of the entry, made by the binary.
    fn prove(&self, entry: &str) -> PathBuf {
        let out = self.temporary.path().join(format!("{entry}.tlog-proof"));
        self.forgetd(&["audit", "prove", entry, "--out", out.to_str().unwrap()]);
        out
    }

    /// What the script for a proof says, with nothing but the proof and the key.
    fn check_proof(&self, proof: &Path, key: &Path) -> Output {
        Command::new("python3").arg(self.temporary.path().join("check_proof.py")).args([proof, key]).output().unwrap()
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

#[test]
fn the_proof_of_each_entry_passes_and_shows_the_entry() {
    let evidence = Evidence::new();
    let log = fs::read_to_string(evidence.path("log.jsonl")).unwrap();
    let last = log.lines().count() - 1;
    for entry in [0, 1, 2, last / 2, last - 1, last] {
        let proof = evidence.prove(&entry.to_string());
        let output = evidence.check_proof(&proof, &evidence.path("forgetd.vkey"));
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), log.lines().nth(entry).unwrap());
    }
}

#[test]
fn a_proof_with_another_entry_root_or_key_is_refused() {
    let (evidence, other) = (Evidence::new(), Evidence::new());
    let (proof, key) = (evidence.prove("3"), evidence.path("forgetd.vkey"));
    let good = fs::read_to_string(&proof).unwrap();
    let of_another_entry = fs::read_to_string(evidence.prove("4")).unwrap();
    let (_, size) = good.rsplit_once("\n\n").map(|(text, _)| text.rsplit_once("\n\n").unwrap()).unwrap();
    let size = size.lines().nth(1).unwrap();
    let line = |text: &str, at| text.lines().nth(at).unwrap().to_owned();
    for (what, bent, why) in [
        ("entry", good.replace(&line(&good, 1), &line(&of_another_entry, 1)), "the entry is not what was signed for"),
        ("place", good.replace("index 3", "index 2"), "the entry is not what was signed for"),
        ("size", good.replace(&format!("\n{size}\n"), "\n4096\n"), "not signed by"),
        ("hash", good.replace(&line(&good, 3), &line(&good, 4)), "the entry is not what was signed for"),
    ] {
        assert_ne!(bent, good, "{what}");
        fs::write(&proof, bent).unwrap();
        let output = evidence.check_proof(&proof, &key);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{what}: {output:?}");
    }
    fs::write(&proof, good).unwrap();
    let output = evidence.check_proof(&proof, &other.path("forgetd.vkey"));
    assert!(
        !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("not signed by"),
        "{output:?}"
    );
}

#[test]
fn both_scripts_follow_a_key_that_was_replaced_by_the_proof_of_its_rotation() {
    let evidence = Evidence::new();
    let old = evidence.temporary.path().join("old.vkey");
    fs::copy(evidence.path("forgetd.vkey"), &old).unwrap();
    let entries = fs::read_to_string(evidence.path("log.jsonl")).unwrap().lines().count();
    evidence.forgetd(&["audit", "rotate-key"]);
    let rotation = evidence.path(&format!("rotations/{entries}.tlog-proof"));
    for key in [&old, &evidence.path("forgetd.vkey")] {
        let output = evidence.check_proof(&rotation, key);
        assert!(output.status.success(), "{output:?}");
        let entry: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(entry["from"], fs::read_to_string(&old).unwrap().trim_end());
        assert_eq!(entry["to"], fs::read_to_string(evidence.path("forgetd.vkey")).unwrap().trim_end());
    }
    assert!(evidence.verify(&[]).status.success());
}
