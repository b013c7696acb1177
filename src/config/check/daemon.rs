//! `forgetd.toml`.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::super::error::FileProblems;
use super::super::file::{DaemonFile, DriftTable, Keyed, PaceTable, ROOT, SafetyTable, Section, decode};
use super::super::{ApprovalMode, Daemon, Pace, Safety, Share};
use super::{observe, value};

/// A new or loosened rule waits for a person: a mistake in a file is then found by reading a plan and not by missing
/// the records.
const DEFAULT_APPROVAL: ApprovalMode = ApprovalMode::Required;

/// A night's run that touches more than a tenth of a table is not the daily trickle that a retention rule makes.
const DEFAULT_MAX_SHARE: Share = Share::TENTH;

/// More than a million records in one run is a backlog or a mistake, whatever the size of the table.
const DEFAULT_MAX_ROWS: u64 = 1_000_000;

/// Long enough for batches of thousands of rows, short enough that an application waiting on a lock does not notice.
const DEFAULT_BATCH_TIME: Duration = Duration::from_millis(200);

/// Half of the time is left to the application.
const DEFAULT_DUTY: Share = Share::HALF;

/// A replica this far behind is still caught up by the next page view.
const DEFAULT_MAX_LAG: Duration = Duration::from_secs(10);

/// Below 10 ms the evidence of a batch costs more than the batch; above 10 s locks are held too long.
const BATCH_TIME_BOUNDS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(10));

/// A lag of an hour is a broken replica, and waiting for it would never end.
const MAX_LAG_BOUNDS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(3600));

pub(super) fn check(table: DeTable<'_>, problems: &mut FileProblems<'_>) -> Option<Daemon> {
    let DaemonFile { state_dir, controller, dpo, safety, pace, drift, log, metrics } = decode(table, &ROOT, problems);
    let state_dir = value::absolute_path(
        &ROOT,
        "state-dir",
        state_dir,
        "add `state-dir = \"/var/lib/forgetd\"`: where the register and the audit log live",
        problems,
    );
    let controller = problems
        .required(
            &ROOT,
            "controller",
            controller,
            "add `[controller]` with `name = \"…\"`: who decides on the processing",
        )
        .and_then(|section| value::controller(section, problems));
    let dpo = dpo.and_then(|section| value::contact(section, problems));
    let safety = safety_limits(safety, problems);
    let pace = pace_limits(pace, problems);
    let log = observe::log(log, problems);
    let metrics = observe::metrics(metrics, problems);
    let drift_accepts = accepted(drift, problems);
    Some(Daemon { state_dir: state_dir?, controller: controller?, dpo, safety, pace, drift_accepts, log, metrics })
}

/// A name begins with a site and a store: one of a site alone would silence whatever is ever found there.
fn accepted(section: Option<Section<DriftTable>>, problems: &mut FileProblems<'_>) -> BTreeSet<String> {
    let Keyed(DriftTable { accepts }) = section.map(Spanned::into_inner).unwrap_or_default();
    let mut names = BTreeSet::new();
    for name in accepts {
        let parts: Vec<&str> = name.get_ref().splitn(3, '/').collect();
        if parts.len() < 2 || parts.iter().any(|part| part.is_empty()) {
            problems.report_with_hint(
                &name.span(),
                format!("`{}` is no name of a store, a table or a column", name.get_ref()),
                "write it as a finding has it: `shop.example/chat/products` or `shop.example/chat/visitors/device`",
            );
            continue;
        }
        names.insert(name.into_inner());
    }
    names
}

fn safety_limits(section: Option<Section<SafetyTable>>, problems: &mut FileProblems<'_>) -> Safety {
    let Keyed(SafetyTable { approval, max_share, max_rows }) = section.map(Spanned::into_inner).unwrap_or_default();
    let modes = [("required", ApprovalMode::Required), ("automatic", ApprovalMode::Automatic)];
    let approval = approval.and_then(|word| value::one_of(&word, "approval", &modes, problems));
    let max_share = max_share.and_then(|share| value::share("max-share", &share, problems));
    let max_rows = max_rows.and_then(|rows| {
        let count = u64::try_from(*rows.get_ref()).ok().filter(|count| *count > 0);
        if count.is_none() {
            problems.report(&rows.span(), "`max-rows` must be 1 or more");
        }
        count
    });
    Safety {
        approval: approval.unwrap_or(DEFAULT_APPROVAL),
        max_share: max_share.unwrap_or(DEFAULT_MAX_SHARE),
        max_rows: max_rows.unwrap_or(DEFAULT_MAX_ROWS),
    }
}

fn pace_limits(section: Option<Section<PaceTable>>, problems: &mut FileProblems<'_>) -> Pace {
    let Keyed(PaceTable { batch_time, duty, max_lag }) = section.map(Spanned::into_inner).unwrap_or_default();
    let batch_time = batch_time.and_then(|text| value::duration("batch-time", &text, BATCH_TIME_BOUNDS, problems));
    let duty = duty.and_then(|share| value::share("duty", &share, problems));
    let max_lag = max_lag.and_then(|text| value::duration("max-lag", &text, MAX_LAG_BOUNDS, problems));
    Pace {
        batch_time: batch_time.unwrap_or(DEFAULT_BATCH_TIME),
        duty: duty.unwrap_or(DEFAULT_DUTY),
        max_lag: max_lag.unwrap_or(DEFAULT_MAX_LAG),
    }
}
