//! Files that are either there with their whole content, also after a power cut, or not there.
//!
//! What root creates in a directory of the daemon's user is given to that user: a checkpoint written by a one-off
//! command of root must not lock the daemon out of its own log. And no link is followed there: whoever controls the
//! daemon's user must not make root write to, or give away, a file of root's.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Replaces `path` by a file with this content, in one step: written aside, synced, renamed, directory synced.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let aside = aside(path);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).no_link().open(&aside)?;
    give_to_owner(&file, path)?;
    file.write_all(content)?;
    file.sync_all()?;
    rename(&aside, path)
}

/// Writes an empty file, or empties the one that is there.
pub(crate) fn touch(path: &Path, mode: u32) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).no_link().open(path)?;
    give_to_owner(&file, path)?;
    file.sync_all()?;
    sync_parent(path)
}

/// How files in a directory of the daemon's user are opened.
pub(crate) trait NoLink {
    /// A symbolic link in the place of the file is an error.
    fn no_link(&mut self) -> &mut Self;
}

impl NoLink for OpenOptions {
    fn no_link(&mut self) -> &mut OpenOptions {
        self.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
    }
}

/// Renames within a directory, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    sync_parent(to)
}

/// Makes a directory, and those above it, unless it is there.
pub(crate) fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    give_to_owner(&File::open(path)?, path)?;
    sync_parent(path)
}

/// Syncs the directory that holds `path`: until then a new name in it may not outlive a power cut.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

/// Gives what root just created to the owner of the directory it stands in.
pub(crate) fn give_to_owner(file: &File, path: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (own, dir) = (file.metadata()?, std::fs::metadata(parent(path))?);
    if (own.uid(), own.gid()) == (dir.uid(), dir.gid()) {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(dir.uid()), Some(dir.gid()))
}

/// The name under which a file is written before it takes its place.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_place_of_a_file_is_an_error_and_its_target_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link, aside) =
            (directory.path().join("target"), directory.path().join("link"), directory.path().join("file.new"));
        std::fs::write(&target, "somebody else's").unwrap();
        for name in [&link, &aside] {
            std::os::unix::fs::symlink(&target, name).unwrap();
        }
        touch(&link, 0o600).unwrap_err();
        replace(&directory.path().join("file"), b"ours", 0o600).unwrap_err();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "somebody else's");
    }

    #[test]
    fn what_is_created_belongs_to_the_owner_of_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(directory.path(), Some(65_534), Some(65_534)).unwrap();
        }
        let owner = std::fs::metadata(directory.path()).unwrap().uid();
        touch(&directory.path().join("touched"), 0o600).unwrap();
        replace(&directory.path().join("replaced"), b"", 0o600).unwrap();
        for name in ["touched", "replaced"] {
            assert_eq!(std::fs::metadata(directory.path().join(name)).unwrap().uid(), owner);
        }
    }
}
