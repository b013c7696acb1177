//! The table under a rule: a rule is released for its tables as they are, and held for review when they change.
//!
//! What was accepted stands in the register: by an approval, or where there was none to give (approvals are automatic,
//! or older than this guard), by the first run. Tables that have changed hold the rule in either case.

use jiff::Timestamp;

use crate::plan::Rule;
use crate::register::{Register, RegisterError};
use crate::store::{Selection, Severity, Shape, Store, StoreError};

/// What has changed about the tables of `rule` since they were accepted; empty where they never were.
///
/// # Errors
/// The register cannot be read.
pub fn changes(register: Option<&Register>, rule: &Rule, shape: Option<&Shape>) -> Result<Vec<String>, RegisterError> {
    let (Some(register), Some(shape)) = (register, shape) else { return Ok(Vec::new()) };
    let Some(accepted) = register.accepted_shape(rule.name.as_str())? else { return Ok(Vec::new()) };
    Ok(match serde_json::from_str::<Shape>(&accepted) {
        Ok(accepted) => shape.changes_since(&accepted),
        Err(_) => vec!["this version cannot read what was accepted".to_owned()],
    })
}

/// Remembers these tables as what the rule was released for.
///
/// # Errors
/// The register cannot be written.
pub fn accept(register: &mut Register, rule: &Rule, shape: &Shape, now: Timestamp) -> Result<(), RegisterError> {
    let (name, json) = (rule.name.as_str(), shape.to_json());
    if register.accepted_shape(name)?.as_ref() == Some(&json) {
        return Ok(());
    }
    register.accept_shape(name, &json, now)
}

/// Looks at the tables once more, right before a walk builds its statements from them: counting takes minutes, a walk
/// before it hours. `None` where they are as they were `assessed`, else why the walk must not begin.
///
/// # Errors
/// The store cannot be read.
pub fn look_again(
    store: &mut dyn Store,
    selection: &Selection<'_>,
    assessed: Option<&Shape>,
) -> Result<Option<String>, StoreError> {
    let inspection = store.inspect(selection)?;
    let refusals = inspection.findings.iter().filter(|finding| finding.severity == Severity::Refusal);
    let mut objections: Vec<String> = refusals.map(ToString::to_string).collect();
    if let (Some(shape), Some(assessed)) = (&inspection.shape, assessed) {
        objections.extend(shape.changes_since(assessed));
    }
    Ok((!objections.is_empty()).then(|| format!("its store has changed during the run: {}", objections.join("; "))))
}
