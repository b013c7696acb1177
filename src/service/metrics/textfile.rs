//! The file for the node exporter's textfile collector: replaced in one step, so that nobody reads half of it.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::durable::{self, NoLink};

/// The exporter runs as another user.
const MODE: u32 = 0o644;

/// Writes the page aside and renames it. It need not outlive a power cut: there will be another within a minute.
pub(super) fn write(path: &Path, page: &str) -> io::Result<()> {
    let aside = durable::aside(path);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).no_link().open(&aside)?;
    // Whatever the umask took away.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(page.as_bytes())?;
    drop(file);
    std::fs::rename(&aside, path)
}
