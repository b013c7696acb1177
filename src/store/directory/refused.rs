//! Files that may go, and that the file system does not let go.
//!
//! One directory in which the daemon may not write must not keep a run from all the others. So the walk goes on to its
//! end, and only there ends as failed, with how many they are and why.

use rustix::io::Errno;

use super::root::Root;
use crate::store::StoreError;

#[derive(Debug, Default)]
pub(super) struct Refused {
    files: u64,
    why: Option<Errno>,
}

impl Refused {
    /// So many, for this reason.
    pub(super) fn of(files: usize, why: Errno) -> Refused {
        Refused { files: u64::try_from(files).unwrap_or(u64::MAX), why: Some(why) }
    }

    pub(super) fn add(&mut self, more: Refused) {
        self.files += more.files;
        self.why = self.why.or(more.why);
    }

    /// At the end of a walk.
    pub(super) fn at_the_end(self, root: &Root) -> Result<(), StoreError> {
        match self.why {
            None => Ok(()),
            Some(why) => Err(root.failed(format!("{} files cannot be removed: {why}", self.files))),
        }
    }
}
