//! `forgetd hold` and `forgetd stop-purges`: they work while the configuration is invalid, and protect first: the
//! hold or the switch is in place before its entry is written, so that a full disk cannot prevent it.

use std::path::Path;

use serde_json::json;

use super::approve::{open_state, uid};
use super::arguments::HoldOptions;
use super::output::{Output, instant};
use super::session::{self, clock};
use super::{Ended, Exit, Failure};
use crate::audit::{Event, Sync};
use crate::config::Config;
use crate::durable;
use crate::plan;
use crate::register::NewHold;
use crate::safety::hold::{concerns, day_of};

pub(super) fn add(directory: &Path, options: &HoldOptions, output: &Output) -> Ended {
    if options.until < day_of(clock()?.wall) {
        return Err(Failure::usage(format!("--until {} is in the past: the hold would hold nothing", options.until)));
    }
    let (mut state, clock) = open_state(directory)?;
    let now = clock.wall;
    warn_if_nothing_matches(directory, &options.rule, output);
    let hold = NewHold {
        prefix: &options.rule,
        rows: options.rows.as_ref().map(|(column, value)| (column.as_str(), value.as_str())),
        until: options.until,
        reason_code: &options.reason_code,
        uid: uid(),
    };
    let id = state.register.add_hold(&hold, now)?;
    let event = Event::HoldAdded {
        hold: id,
        prefix: options.rule.clone(),
        until: options.until.to_string(),
        reason_code: options.reason_code.clone(),
        uid: uid(),
    };
    state.log.append(now, &event, Sync::Now)?;
    state.log.checkpoint()?;
    crate::service::wake(&state.paths);
    output.result(&json!({ "hold": id }), |output| {
        output.line(format!("{}: hold {id} on {} until {}", output.good("Placed"), options.rule, options.until));
    });
    Ok(Exit::Done)
}

fn warn_if_nothing_matches(directory: &Path, prefix: &str, output: &Output) {
    let Ok(config) = Config::load(directory) else { return };
    if !plan::derive(&config).iter().any(|rule| concerns(prefix, rule)) {
        output.warning(&format!("no rule is called `{prefix}` or begins so at present"));
    }
}

pub(super) fn list(directory: &Path, output: &Output) -> Ended {
    let register = session::state_paths(directory)?.existing_register()?;
    let today = day_of(clock()?.wall);
    let holds = register.map(|register| register.holds(Some(today))).transpose()?.unwrap_or_default();
    output.result(&json!({ "holds": holds }), |output| {
        if holds.is_empty() {
            return output.line("No holds are in force.");
        }
        let row = |hold: &crate::register::Hold| {
            vec![
                hold.id.to_string(),
                hold.prefix.clone(),
                hold.column.as_ref().map_or_else(|| "all rows".to_owned(), |column| format!("rows by {column}")),
                hold.until.to_string(),
                hold.reason_code.clone(),
                instant(hold.added_at),
            ]
        };
        output.table(
            &["HOLD", "RULES", "COVERS", "UNTIL", "REASON", "PLACED"],
            &holds.iter().map(row).collect::<Vec<_>>(),
        );
    });
    Ok(Exit::Done)
}

pub(super) fn lift(directory: &Path, hold: u64, output: &Output) -> Ended {
    let (mut state, clock) = open_state(directory)?;
    if !state.register.holds(None)?.iter().any(|placed| placed.id == hold) {
        return Err(Failure::usage(format!("no hold {hold} is in force: `forgetd hold list`")));
    }
    // Lifting lets erasure go on: here the evidence comes first.
    state.log.append(clock.wall, &Event::HoldLifted { hold, uid: uid() }, Sync::Now)?;
    state.register.lift_hold(hold, clock.wall)?;
    state.log.checkpoint()?;
    crate::service::wake(&state.paths);
    output.result(&json!({ "hold": hold }), |output| output.line(format!("{}: hold {hold}", output.good("Lifted"))));
    Ok(Exit::Done)
}

pub(super) fn stop_purges(directory: &Path, lift: bool, output: &Output) -> Ended {
    if lift { resume(directory, output) } else { stop(directory, output) }
}

fn stop(directory: &Path, output: &Output) -> Ended {
    let paths = session::state_paths(directory)?;
    let switch = paths.stop_switch();
    std::fs::create_dir_all(paths.dir())
        .and_then(|()| durable::touch(&switch, 0o640))
        .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", switch.display())))?;
    output.result(&json!({ "stopped": true }), |output| {
        let until = output.advice("`forgetd stop-purges --lift`");
        output.line(format!("{}: no batch begins until {until}.", output.attention("Stopped")));
    });
    let (mut state, clock) = open_state(directory)?;
    state.log.append(clock.wall, &Event::PurgesStopped { uid: uid() }, Sync::Now)?;
    state.log.checkpoint()?;
    crate::service::wake(&state.paths);
    Ok(Exit::Done)
}

fn resume(directory: &Path, output: &Output) -> Ended {
    let (mut state, clock) = open_state(directory)?;
    let switch = state.paths.stop_switch();
    state.log.append(clock.wall, &Event::PurgesResumed { uid: uid() }, Sync::Now)?;
    match std::fs::remove_file(&switch) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::new(Exit::Failed, format!("{}: {error}", switch.display())));
        }
        _ => {}
    }
    state.log.checkpoint()?;
    crate::service::wake(&state.paths);
    output.result(&json!({ "stopped": false }), |output| output.line(output.good("Purges go on.")));
    Ok(Exit::Done)
}
