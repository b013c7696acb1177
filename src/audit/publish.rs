//! Where a signed checkpoint goes: into its file, and as an event to whoever keeps events in a second place. The journal
//! of another machine is out of reach for who rewrites the log on this one.

use super::error::{AuditError, not_writable};
use super::log::Log;
use super::note::Checkpoint;
use super::start;
use crate::durable;

impl Log {
    /// Puts a signed statement in place of the last.
    pub(super) fn publish(&mut self, checkpoint: &Checkpoint, note: &str) -> Result<(), AuditError> {
        durable::replace(&self.paths.checkpoint, note.as_bytes(), start::FILE_MODE)
            .map_err(not_writable(&self.paths.checkpoint))?;
        self.told = self.told.max(checkpoint.size);
        tell(checkpoint, note);
        Ok(())
    }

    /// Tells the checkpoint that stands there, if it is larger than `known` and than what this process has told: other
    /// commands sign too, and nobody reads their events.
    ///
    /// # Errors
    /// [`AuditError`] when it cannot be read or does not hold.
    pub fn tell_of_others(&mut self, known: u64) -> Result<(), AuditError> {
        self.told = self.told.max(known);
        self.locked(|log, _| {
            let (note, checkpoint) = start::sealed(&log.paths, &log.key)?;
            if checkpoint.size > log.told {
                log.told = checkpoint.size;
                tell(&checkpoint, &note);
            }
            Ok(())
        })
    }

    /// The size of the largest checkpoint that was told by this value.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.told
    }
}

/// The statement as an event, for whoever keeps events in a second place: with the signature it is a whole note again.
fn tell(checkpoint: &Checkpoint, note: &str) {
    let Checkpoint { origin, size, root } = checkpoint;
    let signatures: Vec<&str> = note.lines().skip(4).filter_map(|line| line.rsplit(' ').next()).collect();
    let signature = signatures.join(",");
    tracing::info!(target: "forgetd::audit", %origin, size, %root, %signature, "checkpoint");
}
