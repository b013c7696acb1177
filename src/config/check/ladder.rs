//! `steps`: a column that loses its detail bit by bit.

use toml::Spanned;

use super::super::error::FileProblems;
use super::super::file::{Keyed, Section, StepTable};
use super::super::site::{ColumnAction, Step, TimeMeaning};
use super::column::Masking;
use super::retention::Kept;
use super::value;

/// Checks a ladder: every step later and stricter than the one before, the last within the period of what it is.
pub(super) fn check(
    steps: Spanned<Vec<Section<StepTable>>>,
    masking: Masking<'_>,
    kept: Option<Kept>,
    meaning: Option<TimeMeaning>,
    problems: &mut FileProblems<'_>,
) -> Option<Vec<Step>> {
    let place = steps.span();
    if meaning == Some(TimeMeaning::Expires) {
        let message = "steps count from when a row was recorded, and `expires` does not say when that was";
        problems.report_with_hint(&place, message, "give the table a `time` column instead of `expires`");
    }
    let steps = steps.into_inner();
    if steps.is_empty() {
        problems.report_with_hint(&place, "a ladder needs a step", "write `{ after = \"7 days\", do = \"truncate\" }`");
        return None;
    }
    let mut checked: Vec<Step> = Vec::new();
    for section in steps {
        let place = section.span();
        let step = step(section, masking, problems)?;
        if let Some(before) = checked.last() {
            check_order(before, &step, &place, problems);
        }
        if let Some(Kept::For(period)) = kept.filter(|_| !within(&step, kept)) {
            let message = format!("{} is longer than the {period} that this may be kept", step.after);
            problems.report_with_hint(&place, message, format!("write `after = \"{period}\"` or less"));
        }
        checked.push(step);
    }
    Some(checked)
}

fn step(section: Section<StepTable>, masking: Masking<'_>, problems: &mut FileProblems<'_>) -> Option<Step> {
    let place = section.span();
    let Keyed(StepTable { after, action, prefix }) = section.into_inner();
    let after = problems
        .required(&place, "after", after, "add `after = \"7 days\"`")
        .and_then(|text| value::period(text.get_ref(), &text.span(), problems));
    let action = problems.required(&place, "do", action, "add `do = \"truncate\"` or `do = \"erase\"`");
    let action = action.and_then(|word| masking.action(Some(word), prefix, problems));
    Some(Step { after: after?, action: action? })
}

fn within(step: &Step, kept: Option<Kept>) -> bool {
    match kept {
        Some(Kept::For(period)) => period.keeps_at_least(&step.after),
        Some(Kept::NotStored) | None => true,
    }
}

fn check_order(before: &Step, step: &Step, place: &std::ops::Range<usize>, problems: &mut FileProblems<'_>) {
    let later = step.after.keeps_at_least(&before.after) && !before.after.keeps_at_least(&step.after);
    if !later {
        let message = format!("{} is not later than the {} of the step before", step.after, before.after);
        problems.report_with_hint(place, message, "write the steps in the order in which they come");
    } else if !is_stricter(step.action, before.action) {
        let message = "this step leaves as much as the one before";
        problems.report_with_hint(place, message, "make each step stricter: a shorter prefix, then `erase`");
    }
}

/// Whether `action` leaves less than `before` did.
fn is_stricter(action: ColumnAction, before: ColumnAction) -> bool {
    match (before, action) {
        (ColumnAction::Erase, _) => false,
        (ColumnAction::Truncate(_), ColumnAction::Erase) => true,
        (ColumnAction::Truncate(before), ColumnAction::Truncate(after)) => {
            after.v4 <= before.v4 && after.v6 <= before.v6 && (after.v4, after.v6) != (before.v4, before.v6)
        }
    }
}
