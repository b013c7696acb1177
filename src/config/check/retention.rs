//! `[retention]`: how long what may be kept, and whether every tag has a period.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use super::super::error::FileProblems;
use super::super::file::{ROOT, Retained, Text};
use super::super::resolve::{Said, item};
use super::super::site::Tag;
use super::super::{Lifetime, Period};
use super::tag::Scope;
use super::value;

/// What a site says of periods.
#[derive(Debug, Default)]
pub(super) struct Retention {
    pub(super) periods: BTreeMap<Tag, Period>,
    /// Names whose period could not be read.
    unread: BTreeSet<String>,
    /// Whether a name could not be read: then any tag may be the one that was meant.
    names_unread: bool,
}

type Entries = Spanned<BTreeMap<Text, Spanned<Retained>>>;

/// Checks the section.
pub(super) fn check(section: Option<Entries>, scope: Scope<'_>, problems: &mut FileProblems<'_>) -> Retention {
    let mut retention = Retention { names_unread: problems.is_torn(), ..Retention::default() };
    let Some(section) = section else {
        retention.names_unread |= problems.left_out(&ROOT).any(|key| key == "retention");
        return retention;
    };
    retention.unread.extend(problems.left_out(&section.span()).map(str::to_owned));
    for (name, value) in section.into_inner() {
        entry(&name, &value, scope, &mut retention, problems);
    }
    retention
}

fn entry(
    name: &Text,
    value: &Spanned<Retained>,
    scope: Scope<'_>,
    retention: &mut Retention,
    problems: &mut FileProblems<'_>,
) {
    let written = match value.get_ref() {
        Retained::Period(period) => period,
        Retained::Unquoted(rest, period) => {
            let whole = format!("{}.{rest}", name.get_ref());
            let period = period.as_deref().unwrap_or("6 months");
            let hint = format!("quote a name that contains a dot: `\"{whole}\" = \"{period}\"`");
            problems.report_with_hint(&name.span(), format!("the dot in `{whole}` makes it a table"), hint);
            retention.names_unread = true;
            return;
        }
    };
    let tag = scope.tag_at(name, problems);
    let period = value::period(written, &value.span(), problems);
    match (tag, period) {
        (Some(tag), Some(period)) => {
            if is_within_lifetime(&tag, period, &value.span(), scope, problems)
                && retention.periods.insert(tag, period).is_some()
            {
                problems
                    .report(&name.span(), format!("`{}` has a period already, under its other name", name.get_ref()));
            }
        }
        (Some(tag), None) => drop(retention.unread.insert(tag.to_string())),
        (None, _) => retention.names_unread = true,
    }
}

/// A site may shorten how long an item lives, never exceed it.
fn is_within_lifetime(
    tag: &Tag,
    period: Period,
    span: &Range<usize>,
    scope: Scope<'_>,
    problems: &mut FileProblems<'_>,
) -> bool {
    match item(&scope.known.processors, tag).map(|item| item.lifetime) {
        Some(Lifetime::For(lifetime)) if !lifetime.keeps_at_least(&period) => {
            problems.report_with_hint(
                span,
                format!("`{tag}` lives for {lifetime} and cannot be kept for {period}"),
                format!("write `{lifetime}` or less, or leave the entry out"),
            );
            false
        }
        _ => true,
    }
}

/// How long what is tagged so may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Not at all: it is switched off.
    NotStored,
    /// For a period.
    For(Period),
}

/// How long `tag` may be kept; that nothing says so is a problem.
pub(super) fn kept(
    tag: &Tag,
    span: &Range<usize>,
    said: Said<'_>,
    retention: &Retention,
    problems: &mut FileProblems<'_>,
) -> Option<Kept> {
    if let Tag::Category(id) = tag
        && said.not_stored(id).is_some()
    {
        return Some(Kept::NotStored);
    }
    let period = said.period(tag).map(|stated| Kept::For(stated.period));
    if period.is_none() && !retention.may_have_said(tag) {
        report_missing(tag, span, said, problems);
    }
    period
}

impl Retention {
    /// Whether something is kept at all could not be read: then nobody can say that a period is missing.
    pub(super) fn distrust(&mut self) {
        self.names_unread = true;
    }

    /// Whether an entry that could not be read may be this tag's.
    fn may_have_said(&self, tag: &Tag) -> bool {
        let named = |name: &str| self.unread.contains(name);
        self.names_unread
            || match tag {
                Tag::Category(id) => id.lineage().any(|id| named(id.as_str())),
                Tag::Item { name, .. } => named(name),
            }
    }
}

fn report_missing(tag: &Tag, span: &Range<usize>, said: Said<'_>, problems: &mut FileProblems<'_>) {
    let (message, name) = match tag {
        Tag::Category(id) if id.as_str().contains('.') => {
            (format!("nothing says how long `{id}` may be kept"), format!("\"{id}\""))
        }
        Tag::Category(id) => (format!("nothing says how long `{id}` may be kept"), id.to_string()),
        Tag::Item { name, class, .. } => {
            let lives = match item(said.processors, tag).map(|item| item.lifetime) {
                Some(Lifetime::Session) => "as long as the browser is open",
                _ => "until somebody deletes it",
            };
            (
                format!("`{name}` lives {lives}, so nothing says how long it may be kept"),
                format!("\"{}:{name}\"", class.key()),
            )
        }
    };
    problems.report_with_hint(span, message, format!("add it under `[retention]`: `{name} = \"6 months\"`, say"));
}
