//! When a name in a browser is the one that is declared.
//!
//! Browsers, servers and processors all write names a little differently: the key of a site in the middle, a prefix
//! that asks the browser for a guarantee, a dot that PHP reads as an underscore.

use crate::config::ItemKind;
use crate::papers::items::{DeclaredItem, KEY, stands_for};

/// Prefixes by which a cookie asks browsers for guarantees (RFC 6265bis §4.1.3): they are not part of what it is.
const PREFIXES: [&str; 2] = ["__Secure-", "__Host-"];

/// Whether an item of this name and kind is the declared one.
pub(super) fn is(declared: &DeclaredItem<'_>, name: &str, kind: ItemKind) -> bool {
    declared.kind == kind && is_called(declared, name)
}

/// Whether an item of this name has the declared name, wherever it stands.
pub(super) fn is_called(declared: &DeclaredItem<'_>, name: &str) -> bool {
    let said = declared.name.as_str();
    // A prefix may be a part of the declared name, and PHP leaves it as it is.
    let spellings = [Some(name), without_prefix(name)];
    let is_cookie_called = |spelt: &str| stands_for(said, spelt) || stands_for(&as_php(said), &as_php(spelt));
    match declared.kind {
        ItemKind::Cookie => spellings.into_iter().flatten().any(is_cookie_called),
        ItemKind::LocalStorage | ItemKind::SessionStorage | ItemKind::IndexedDb => stands_for(said, name),
    }
}

fn without_prefix(name: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix))
}

/// As PHP names the variable: dots, spaces and opening brackets become underscores.
fn as_php(name: &str) -> String {
    name.replace(['.', ' ', '['], "_")
}

/// Whether the name would be the declared one if the site's chat key were another.
pub(super) fn has_another_key(declared: &DeclaredItem<'_>, name: &str, kind: ItemKind) -> bool {
    let Some((before, behind)) = declared.declared_name.split_once(KEY) else { return false };
    let key = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
    declared.kind == kind && key.is_some_and(|key| !key.is_empty())
}
