//! Whether a changed rule provably keeps at least what an approved one keeps.
//!
//! In doubt it does not: the rule then waits for an approval.

use crate::config::site::{ColumnAction, Directory, Mask, Unparsed};

use super::{Action, Definition, DirectoryRule, LineAction, LogRule, TableRule, When};

impl Definition {
    /// Whether every record that `self` would touch, `approved` would have touched as well, and at least as hard.
    pub fn keeps_at_least(&self, approved: &Definition) -> bool {
        match (self, approved) {
            (Definition::Table(rule), Definition::Table(approved)) => rule.keeps_at_least(approved),
            (Definition::Directory(rule), Definition::Directory(approved)) => rule.keeps_at_least(approved),
            (Definition::Log(rule), Definition::Log(approved)) => rule.keeps_at_least(approved),
            _ => false,
        }
    }
}

impl TableRule {
    fn keeps_at_least(&self, approved: &TableRule) -> bool {
        let TableRule { rule, store, target, when, action, zone } = self;
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

impl DirectoryRule {
    fn keeps_at_least(&self, approved: &DirectoryRule) -> bool {
        let DirectoryRule { rule, directory, when, zone } = self;
        let Directory { path, pattern, age, settle } = directory;
        let before = &approved.directory;
        let same_place = *rule == approved.rule
            && *zone == approved.zone
            && *path == before.path
            && *pattern == before.pattern
            && *age == before.age;
        same_place && *settle >= before.settle && when.selects_no_more(&approved.when)
    }
}

impl LogRule {
    fn keeps_at_least(&self, approved: &LogRule) -> bool {
        let LogRule { rule, log, when, action, zone } = self;
        let same_place = *rule == approved.rule && *zone == approved.zone && *log == approved.log;
        same_place && when.selects_no_more(&approved.when) && action.is_no_harder(&approved.action)
    }
}

impl LineAction {
    fn is_no_harder(&self, approved: &LineAction) -> bool {
        match (self, approved) {
            (LineAction::Addresses(ColumnAction::Truncate(_)), LineAction::Addresses(ColumnAction::Erase)) => true,
            (
                LineAction::Addresses(ColumnAction::Truncate(mask)),
                LineAction::Addresses(ColumnAction::Truncate(before)),
            ) => mask.keeps_at_least(before),
            (now, before) => now == before,
        }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::site::Scalar;

    const WIDE: Mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
    const NARROW: Mask = Mask { v4: 16, v6: 48, unparsed: Unparsed::Erase };
    const LENIENT: Mask = Mask { unparsed: Unparsed::Keep, ..WIDE };

    fn erase(column: &str) -> Action {
        Action::EraseColumn { column: column.to_owned(), stand_in: None }
    }

    fn truncate(mask: Mask) -> Action {
        Action::TruncateColumn { column: "ip".to_owned(), mask, stand_in: None }
    }

    /// What the register keeps of an approved rule: over rows, over files, over lines.
    fn approved() -> [Value; 3] {
        let rule = json!({"rule": "shop.example/chat", "when": {"older": "6 months"}, "zone": "Europe/Prague"});
        let [mut rows, mut files, mut lines] = [rule.clone(), rule.clone(), rule];
        rows["store"] = json!({"sqlite": {"path": "/srv/chat.db"}});
        rows["target"] =
            json!({"table": "visitors", "key": "id", "filter": {"site_id": 3}, "accepts": [{"trigger": "note"}]});
        rows["target"]["time"] =
            json!({"column": "last_seen", "format": "unix-seconds", "zone": null, "meaning": "recorded"});
        rows["action"] = json!({"action": "erase-rows", "children": [{"table": "pages", "column": "visitor_id"}]});
        files["directory"] =
            json!({"path": "/srv/chat", "pattern": "*", "age": "modified", "settle": {"secs": 60, "nanos": 0}});
        lines["log"] = json!({"directory": "/srv", "pattern": "chat.log", "format": "combined", "zone": null,
            "unparsed": "scan", "parameters": []});
        lines["action"] = json!({"addresses": {"do": "truncate", "v4": 16, "v6": 32, "unparsed": "erase"}});
        [json!({"table": rows}), json!({"directory": files}), json!({"log": lines})]
    }

    fn definition(json: Value) -> Definition {
        serde_json::from_value(json).unwrap()
    }

    /// The same rule with the value at one place replaced.
    fn with(rule: &Value, at: &str, value: Value) -> Definition {
        let mut changed = rule.clone();
        *changed.pointer_mut(at).unwrap_or_else(|| panic!("{at} in {rule}")) = value;
        assert_ne!(changed, *rule);
        definition(changed)
    }

    #[test]
    fn a_rule_that_is_what_it_was_keeps_as_much_and_another_kind_of_rule_does_not() {
        let approved = approved().map(definition);
        for (at, rule) in approved.iter().enumerate() {
            let keeps = [0, 1, 2].map(|other| rule.keeps_at_least(&approved[other]));
            assert_eq!(keeps, [0, 1, 2].map(|other| other == at));
        }
    }

    #[test]
    fn a_rule_that_acts_elsewhere_or_on_more_or_sooner_or_harder_does_not_keep_as_much() {
        let [rows, files, lines] = approved();
        let of_rows = [
            ("/table/rule", json!("shop.example/other")),
            ("/table/store/sqlite/path", json!("/srv/other.db")),
            ("/table/zone", json!("Asia/Tokyo")),
            ("/table/target/table", json!("other")),
            ("/table/target/key", json!("other")),
            ("/table/target/time/column", json!("other")),
            ("/table/target/filter", json!({})),
            ("/table/target/filter/site_id", json!(4)),
            ("/table/target/accepts", json!([{"trigger": "note"}, {"trigger": "other"}])),
            ("/table/when", json!({"older": "5 months"})),
            ("/table/when", json!("not-stored")),
            ("/table/action/children/0/column", json!("other")),
        ];
        let of_files = [
            ("/directory/rule", json!("shop.example/other")),
            ("/directory/zone", json!("Asia/Tokyo")),
            ("/directory/directory/path", json!("/srv/other")),
            ("/directory/directory/pattern", json!("*.log")),
            ("/directory/directory/age", json!({"named": "%Y"})),
            ("/directory/directory/settle/secs", json!(59)),
            ("/directory/when", json!({"older": "5 months"})),
        ];
        let of_lines = [
            ("/log/rule", json!("shop.example/other")),
            ("/log/zone", json!("Asia/Tokyo")),
            ("/log/log/pattern", json!("other.log")),
            ("/log/when", json!({"older": "5 months"})),
            ("/log/action", json!("drop")),
            ("/log/action", json!({"addresses": {"do": "erase"}})),
            ("/log/action/addresses/v6", json!(24)),
        ];
        for (approved, changes) in [(rows, &of_rows[..]), (files, &of_files[..]), (lines, &of_lines[..])] {
            for (at, value) in changes {
                let changed = with(&approved, at, value.clone());
                assert!(!changed.keeps_at_least(&definition(approved.clone())), "{at}: {value}");
            }
        }
    }

    #[test]
    fn a_rule_that_acts_on_less_or_later_or_less_hard_keeps_as_much() {
        let [rows, files, lines] = approved();
        for (approved, at, value) in [
            (&rows, "/table/target/filter", json!({"site_id": 3, "city": "Brno"})),
            (&rows, "/table/target/accepts", json!([])),
            (&rows, "/table/when", json!({"older": "7 months"})),
            (&files, "/directory/directory/settle/secs", json!(61)),
            (&files, "/directory/when", json!({"older": "7 months"})),
            (&lines, "/log/when", json!({"older": "7 months"})),
            (&lines, "/log/action/addresses/v6", json!(48)),
        ] {
            assert!(with(approved, at, value.clone()).keeps_at_least(&definition(approved.clone())), "{at}: {value}");
        }
        let erased = with(&lines, "/log/action", json!({"addresses": {"do": "erase"}}));
        assert!(definition(lines).keeps_at_least(&erased));
    }

    #[test]
    fn an_address_that_keeps_its_network_is_no_harder_than_one_that_goes() {
        for mask in [WIDE, NARROW, LENIENT] {
            assert!(truncate(mask).is_no_harder(&erase("ip")));
            assert!(!erase("ip").is_no_harder(&truncate(mask)));
            assert!(!truncate(mask).is_no_harder(&erase("city")));
        }
    }

    #[test]
    fn a_longer_prefix_or_keeping_what_is_no_address_is_no_harder() {
        assert!(truncate(WIDE).is_no_harder(&truncate(NARROW)));
        assert!(!truncate(NARROW).is_no_harder(&truncate(WIDE)));
        assert!(truncate(LENIENT).is_no_harder(&truncate(WIDE)));
        assert!(!truncate(WIDE).is_no_harder(&truncate(LENIENT)));
        let longer_in_one_only = Mask { v4: 24, v6: 32, ..WIDE };
        assert!(!truncate(longer_in_one_only).is_no_harder(&truncate(NARROW)));
        let elsewhere = Action::TruncateColumn { column: "other".to_owned(), mask: WIDE, stand_in: None };
        assert!(!elsewhere.is_no_harder(&truncate(WIDE)));
        let stand_in = Some(Scalar::Text(String::new()));
        let otherwise = Action::TruncateColumn { column: "ip".to_owned(), mask: WIDE, stand_in };
        assert!(!otherwise.is_no_harder(&truncate(WIDE)));
    }

    #[test]
    fn another_stand_in_or_erasing_rows_instead_of_a_column_is_another_action() {
        let stand_in = Action::EraseColumn { column: "ip".to_owned(), stand_in: Some(Scalar::Text(String::new())) };
        let rows = Action::EraseRows { children: Vec::new() };
        for (now, before) in [(&stand_in, &erase("ip")), (&erase("ip"), &stand_in), (&rows, &erase("ip"))] {
            assert!(!now.is_no_harder(before));
        }
        // What is gone with its row cannot be kept, but nothing proves that this column was meant.
        assert!(!erase("ip").is_no_harder(&rows));
    }
}
