//! Whether a changed rule provably keeps at least what an approved one keeps.
//!
//! In doubt it does not: the rule then waits for an approval.

use crate::config::site::{Mask, Unparsed};

use super::{Action, Definition, When};

impl Definition {
    /// Whether every record that `self` would touch, `approved` would have touched as well, and at least as hard.
    pub fn keeps_at_least(&self, approved: &Definition) -> bool {
        let Definition { rule, store, target, when, action, zone } = self;
        let same_place = *rule == approved.rule
            && *store == approved.store
            && *zone == approved.zone
            && target.table == approved.target.table
            && target.key == approved.target.key
            && target.time == approved.target.time;
        let no_more_rows =
            approved.target.filter.iter().all(|(column, value)| target.filter.get(column) == Some(value))
                && target.accepts.is_subset(&approved.target.accepts);
        same_place && no_more_rows && when.selects_no_more(&approved.when) && action.is_no_harder(&approved.action)
    }
}

impl When {
    fn selects_no_more(&self, approved: &When) -> bool {
        match (self, approved) {
            (When::Older(period), When::Older(before)) => period.keeps_at_least(before),
            (now, before) => now == before,
        }
    }
}

impl Action {
    fn is_no_harder(&self, approved: &Action) -> bool {
        match (self, approved) {
            (
                Action::TruncateColumn { column, stand_in, .. },
                Action::EraseColumn { column: before, stand_in: was },
            ) => column == before && stand_in == was,
            (
                Action::TruncateColumn { column, mask, stand_in },
                Action::TruncateColumn { column: before, mask: mask_before, stand_in: was },
            ) => column == before && stand_in == was && mask.keeps_at_least(mask_before),
            (now, before) => now == before,
        }
    }
}

impl Mask {
    fn keeps_at_least(&self, approved: &Mask) -> bool {
        let Mask { v4, v6, unparsed } = *self;
        v4 >= approved.v4 && v6 >= approved.v6 && (unparsed == approved.unparsed || unparsed == Unparsed::Keep)
    }
}
