//! Noticing that register and audit log are not of the same moment: one of them was restored from an older copy.
//!
//! An older register is dangerous: holds placed since are gone, and records that must be kept would be erased. The log
//! tells which: every hold is recorded there. An older log is a loss of evidence: the register knows of runs that ended
//! and are not in it. Both together from one older copy fit each other, and only an anchor kept elsewhere can tell.
//!
//! Looking costs little: only entries after the last moment that the register knows of are read.

use std::path::Path;

use jiff::Timestamp;
use tracing::warn;

use crate::audit::{AuditError, Event, RestoredPart, RunFinished, Sync, read};
use crate::durable;
use crate::purge::{State, StateError};
use crate::safety::Stop;

/// Looks, and where a part was restored records that once. Without its holds an older register must not let anything
/// run: purges are stopped until an operator lets them go on.
///
/// # Errors
/// The state cannot be read or written.
pub fn notice_restored(state: &mut State, now: Timestamp) -> Result<(), StateError> {
    if let Some(run) = run_missing_in_log(state)? {
        warn!(%run, "the audit log is older than the register: entries of runs that ended are missing");
        record(state, now, RestoredPart::Log, 1)?;
    }
    let missing = holds_missing_in_register(state)?;
    if missing == 0 {
        return Ok(());
    }
    // The protection is in force before it is recorded.
    let switch = state.paths.stop_switch();
    if state.paths.stop() == Stop::Lifted {
        durable::touch(&switch, 0o640).map_err(|source| StateError::File { path: switch, source })?;
    }
    warn!(
        holds = missing,
        "the register is older than the audit log, and holds are missing in it: purges are stopped. Place them again \
         (`forgetd audit list --kind hold`), then `forgetd stop-purges --lift`"
    );
    record(state, now, RestoredPart::Register, missing)
}

fn record(state: &mut State, now: Timestamp, part: RestoredPart, missing: u64) -> Result<(), StateError> {
    state.log.append(now, &Event::StateRestored { part, missing }, Sync::Now)?;
    state.log.checkpoint()?;
    Ok(())
}

/// The last run that ended by the register's account, if the log does not have its end.
fn run_missing_in_log(state: &State) -> Result<Option<String>, StateError> {
    let Some((run, ended_at)) = state.register.latest_finished_run()? else { return Ok(None) };
    if state.log.last_time().is_some_and(|last| last >= ended_at) {
        return Ok(None);
    }
    // A clock that ran ahead and was corrected leaves such a register too: then the entry is there all the same.
    for entry in read::entries(&state.paths.audit(), 0)? {
        match entry {
            Ok(entry) if is_end_of(&entry.event, &run) => return Ok(None),
            Ok(_) | Err(AuditError::UnknownEntry { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(run))
}

fn is_end_of(event: &Event, wanted: &str) -> bool {
    matches!(event, Event::RunFinished(RunFinished { run, .. }) if run == wanted)
}

/// Holds that the log has recorded since the register's last known moment, and that the register has never seen.
fn holds_missing_in_register(state: &State) -> Result<u64, StateError> {
    let last_hold = state.register.last_hold()?;
    let audit = state.paths.audit();
    let from = match state.register.clock_sample()? {
        Some(known) => first_since(&audit, known.wall, state.log.size())?,
        None => 0,
    };
    let mut missing = 0;
    for entry in read::entries(&audit, from)? {
        match entry {
            Ok(entry) => match entry.event {
                Event::HoldAdded { hold, .. } if hold > last_hold => missing += 1,
                // Noticed, and in an operator's hands.
                Event::StateRestored { part: RestoredPart::Register, .. } => missing = 0,
                _ => {}
            },
            Err(AuditError::UnknownEntry { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(missing)
}

/// The first entry at or after an instant, or one before it.
fn first_since(audit: &Path, instant: Timestamp, size: u64) -> Result<u64, AuditError> {
    let (mut before, mut after) = (0, size);
    while before < after {
        let middle = before + (after - before) / 2;
        match read::entry(audit, middle) {
            Ok(Some(entry)) if entry.time < instant => before = middle + 1,
            Ok(_) | Err(AuditError::UnknownEntry { .. }) => after = middle,
            Err(error) => return Err(error),
        }
    }
    Ok(before)
}
