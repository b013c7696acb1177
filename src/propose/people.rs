//! What something that looks personal is called in the register, and what a table about people holds.

use crate::config::site::Scalar;
use crate::drift::likeness::{Likeness, words};
use crate::store::catalog::Nature;

/// Words of tables that hold what was written to each other, and of those that hold who can be reached how. Whatever
/// else says when and looks personal is about visits.
const CONVERSATION: [&str; 18] = [
    "chat",
    "chats",
    "comment",
    "comments",
    "conversation",
    "conversations",
    "dialog",
    "message",
    "messages",
    "inquiry",
    "inquiries",
    "ticket",
    "tickets",
    "thread",
    "threads",
    "zpravy",
    "komentare",
    "nachrichten",
];
const CONTACT: [&str; 24] = [
    "account",
    "accounts",
    "client",
    "clients",
    "contact",
    "contacts",
    "customer",
    "customers",
    "lead",
    "leads",
    "member",
    "members",
    "newsletter",
    "people",
    "person",
    "persons",
    "subscriber",
    "subscribers",
    "user",
    "users",
    "uzivatele",
    "zakaznici",
    "kunden",
    "benutzer",
];

/// The category of what looks so, where the shipped categories have one.
pub(super) fn category(likeness: Likeness) -> Option<&'static str> {
    match likeness {
        Likeness::IpAddress => Some("visit.ip-address"),
        Likeness::Email => Some("contact.email"),
        Likeness::Phone => Some("contact.phone"),
        Likeness::UserAgent => Some("visit.device.browser"),
        Likeness::Name => Some("contact.name"),
        Likeness::Location => Some("visit.location"),
        Likeness::Address => Some("contact"),
        Likeness::UserId | Likeness::Birth | Likeness::Number => None,
    }
}

/// What the rows of a table hold, as its name says.
pub(super) fn holds(table: &str) -> &'static str {
    let words = words(table);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    match () {
        () if has(&CONVERSATION) => "conversation",
        () if has(&CONTACT) => "contact",
        () => "visit",
    }
}

/// What can stand in a column that may not be empty.
pub(super) fn stand_in(nature: Nature) -> Scalar {
    match nature {
        Nature::Number => Scalar::Integer(0),
        Nature::Address => Scalar::Text("0.0.0.0".to_owned()),
        Nature::Text | Nature::Time | Nature::Other => Scalar::Text(String::new()),
    }
}

/// Whether a column looks as if it said that consent was given.
pub(super) fn is_consent(column: &str) -> bool {
    words(column).iter().any(|word| ["consent", "consents", "souhlas", "einwilligung"].contains(&word.as_str()))
}

/// Whether a column of this name looks as if it held the key of a table of that name: `visitor_id` of `visitors`.
pub(super) fn names_key_of(column: &str, table: &str) -> bool {
    let (mut column, table) = (words(column), words(table).concat());
    if column.pop().is_none_or(|last| last != "id") || column.is_empty() {
        return false;
    }
    let one = column.concat();
    [format!("{one}s"), format!("{one}es"), one.clone()].contains(&table)
        || one.strip_suffix('y').is_some_and(|stem| format!("{stem}ies") == table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_holds_what_its_name_says_and_else_visits() {
        for (table, expected) in [
            ("wp_comments", "conversation"),
            ("ChatMessages", "conversation"),
            ("crm.customers", "contact"),
            ("newsletter_signups", "contact"),
            ("log_visit", "visit"),
            ("sessions", "visit"),
        ] {
            assert_eq!(holds(table), expected, "{table}");
        }
    }

    #[test]
    fn a_key_is_named_after_its_table() {
        for (column, table) in [("visitor_id", "visitors"), ("visitorId", "visitor"), ("category_id", "categories")] {
            assert!(names_key_of(column, table), "{column} {table}");
        }
        for (column, table) in [("id", "ids"), ("visitor_id", "pages"), ("visitor", "visitors"), ("paid", "pas")] {
            assert!(!names_key_of(column, table), "{column} {table}");
        }
    }
}
