//! Packages of npm that run in a browser.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sha2::{Digest, Sha256};

/// The package's own directory: fetched once, and again if it is not what it should be, which is the digest of what npm
/// publishes under that version.
pub(crate) fn package(name: &str, version: &str, digest: &str) -> PathBuf {
    let (package, file) = (format!("{name}@{version}"), format!("{name}-{version}.tgz"));
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).unwrap();
    let is_right = || {
        let bytes = fs::read(directory.join(&file)).unwrap_or_default();
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>() == digest
    };
    if !is_right() {
        let fetched = Command::new("npm").args(["pack", &package]).current_dir(&directory).output().unwrap();
        assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
        assert!(is_right(), "npm gave another {package} than the one that was tried");
    }
    let unpacked = Command::new("tar").args(["xzf", &file]).current_dir(&directory).status().unwrap();
    assert!(unpacked.success());
    directory.join("package")
}
