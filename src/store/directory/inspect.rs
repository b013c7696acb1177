//! Looking at the real directory before a rule may touch it.

use rustix::fs::{Access, AtFlags};
use rustix::io::Errno;

use super::root::{Identity, Root};
use crate::plan::DirectoryRule;
use crate::store::{Finding, Inspection, Severity, Shape, StoreError, read_only};

/// Looks at everything that the rule relies on.
pub(super) fn inspect(root: &Root, rule: &DirectoryRule) -> Result<Inspection, StoreError> {
    let mut findings = Vec::new();
    let mut refuse = |message: String, hint: &str| {
        findings.push(Finding { severity: Severity::Refusal, message, hint: Some(hint.to_owned()) });
    };
    let path = rule.directory.path.display();
    let is_read_only = read_only::is_mounted_read_only(root.fd()).map_err(|error| root.unavailable(error))?;
    let access = rustix::fs::accessat(root.fd(), c".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
    match access {
        _ if is_read_only => refuse(format!("{path} {}", read_only::MOUNTED), read_only::HINT),
        Ok(()) => {}
        Err(Errno::ACCESS | Errno::PERM) => refuse(
            format!("files in {path} may not be removed by the daemon's user"),
            "give its user the right to write to the directory, or run the daemon as root",
        ),
        Err(error) => return Err(root.unavailable(error)),
    }
    let Identity { file_system, inode } = root.identity;
    Ok(Inspection::new(findings, Some(Shape::of_directory(file_system, inode))))
}
