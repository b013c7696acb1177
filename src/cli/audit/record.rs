//! `forgetd audit review` and `rotate-key`: what is recorded about the log, in the log.

use std::path::Path;

use serde_json::json;

use super::super::approve::{open_state, uid};
use super::super::arguments::ReviewOptions;
use super::super::output::{Output, count};
use super::super::{Ended, Exit, Failure, session};
use crate::audit::{self, Event, Sync};
use crate::service;

pub(super) fn review(directory: &Path, options: &ReviewOptions, output: &Output) -> Ended {
    let log = session::state_paths(directory)?.audit();
    // What does not verify is no record of anything, and a review must not make it look like one.
    let before = audit::verify(&log, &[])?;
    let (verdict, exit) = super::verdict(&before.verdict);
    if exit == Exit::NotVerified {
        return Err(Failure::new(exit, format!("the log is {verdict} and cannot be reviewed: `forgetd audit verify`")));
    }
    let through = options.through;
    if through >= before.entries {
        let last = before.entries.saturating_sub(1);
        return Err(Failure::usage(format!("the log has no entry {through}: its last is {last}")));
    }
    if let Some(review) = before.review.filter(|review| review.through >= through) {
        return Err(Failure::usage(format!("the log is reviewed through entry {} already", review.through)));
    }
    let (mut state, clock) = open_state(directory)?;
    let event = Event::LogReviewed { through, note: options.note.clone(), uid: uid() };
    let entry = state.log.append(clock.wall, &event, Sync::Now)?;
    state.log.checkpoint()?;
    service::wake(&state.paths);
    let unreviewed = audit::verify(&log, &[])?.unreviewed;
    output.result(&json!({ "entry": entry, "through": through, "unreviewed": unreviewed }), |output| {
        let rest = match unreviewed {
            0 => "nothing is unreviewed".to_owned(),
            rest => format!("{} entries after it are not", count(rest)),
        };
        output.line(format!("{}: entries 0 to {through}; {rest}.", output.good("Reviewed")));
    });
    Ok(Exit::Done)
}

pub(super) fn rotate_key(directory: &Path, output: &Output) -> Ended {
    let paths = session::state_paths(directory)?;
    if !paths.audit().exists() {
        return Err(Failure::new(Exit::Failed, "there is no audit log yet, and so no key: `forgetd run` begins one"));
    }
    let (mut state, clock) = open_state(directory)?;
    let key = state.log.rotate_key(clock.wall, uid())?;
    service::wake(&state.paths);
    let proof = audit::Paths::new(&paths.audit()).rotations;
    output.result(&json!({ "key": key.to_string(), "size": state.log.size() }), |output| {
        output.line(format!("{}: {key}", output.good("The new key")));
        output.line(format!(
            "The proof that the old key handed over to it is in {}. The old private key is gone; a copy of it in a \
             backup signs nothing that a reader who has the proof believes.",
            proof.display()
        ));
    });
    Ok(Exit::Done)
}
