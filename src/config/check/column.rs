//! `columns`: columns that must go earlier than their row.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::super::error::FileProblems;
use super::super::file::{ColumnTable, ColumnValue, Keyed, PrefixTable, ScalarValue, Section, Text};
use super::super::site::{Column, ColumnAction, Mask, Tag, TimeMeaning, Treatment, Unparsed};
use super::super::{CategoryId, Setting};
use super::ladder;
use super::retention::{Kept, kept};
use super::site::Declared;
use super::value;

/// The category of IP addresses.
const IP_ADDRESS: &str = "visit.ip-address";

/// A /24 leaves one of 256 neighbours open; it is what Google Analytics and WordPress keep.
const DEFAULT_V4: u8 = 24;

/// A /48 is one customer's site, the smallest block that is not a single household's.
const DEFAULT_V6: u8 = 48;

/// Longer IPv4 prefixes name too few people; shorter ones than /8 say nothing.
const V4_BOUNDS: (u8, u8) = (8, DEFAULT_V4);

/// Longer IPv6 prefixes come close to one household; shorter ones than /16 say nothing.
const V6_BOUNDS: (u8, u8) = (16, DEFAULT_V6);

/// The IPv6 prefix that a provider gives to one household.
const HOUSEHOLD: i64 = 64;

/// What is known of the rows when their columns are checked.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// Columns with another duty, and what it is.
    pub(super) taken: [(&'static str, Option<&'a str>); 3],
    pub(super) meaning: Option<TimeMeaning>,
    pub(super) kept: Option<Kept>,
    pub(super) declared: Declared<'a>,
}

/// Checks the columns of a table.
pub(super) fn check(
    columns: Option<Spanned<BTreeMap<Text, Spanned<ColumnValue>>>>,
    row: Row<'_>,
    problems: &mut FileProblems<'_>,
) -> Vec<Column> {
    let mut checked: Vec<Column> = Vec::new();
    for (name, value) in columns.map(Spanned::into_inner).unwrap_or_default() {
        let place = name.span();
        let Some(name) = value::name(name, problems) else { continue };
        let duty = row.taken.iter().find(|(_, taken)| taken.is_some_and(|taken| taken.eq_ignore_ascii_case(&name)));
        if let Some((duty, _)) = duty {
            let message = format!("`{name}` is the {duty}: changing it would change which rows are meant");
            problems.report(&place, message);
        } else if checked.iter().any(|column| column.name.eq_ignore_ascii_case(&name)) {
            problems.report(&place, format!("the column `{name}` is listed twice: case makes no difference"));
        }
        checked.extend(column(name, value, row, problems));
    }
    checked
}

pub(super) fn column(
    name: String,
    value: Spanned<ColumnValue>,
    row: Row<'_>,
    problems: &mut FileProblems<'_>,
) -> Option<Column> {
    let place = value.span();
    match value.into_inner() {
        ColumnValue::Tag(tag) => {
            let holds = row.declared.scope.tag(&tag, &place, problems)?;
            let kept = kept(&holds, &place, row.declared.said, row.declared.retention, problems);
            check_own_period(kept, &place, row, problems);
            Some(Column { name, holds, treatment: Treatment::Once(ColumnAction::Erase), stand_in: None })
        }
        ColumnValue::Table(table) => table_column(name, *table, &place, row, problems),
    }
}

fn table_column(
    name: String,
    table: ColumnTable,
    place: &Range<usize>,
    row: Row<'_>,
    problems: &mut FileProblems<'_>,
) -> Option<Column> {
    let ColumnTable { category, item, action, value, prefix, unparsed, steps } = table;
    let (holds, tag_at) = tag(category, item, place, row, problems)?;
    let kept = kept(&holds, &tag_at, row.declared.said, row.declared.retention, problems);
    let masking = Masking {
        is_address: is_address(&holds, row),
        tag: &holds,
        unparsed: self::unparsed(unparsed.as_ref(), problems),
    };
    let treatment = match (action, steps) {
        (Some(_), Some(steps)) => {
            let hint = "keep `steps` for several actions, `do` for one";
            problems.report_with_hint(&steps.span(), "`do` and `steps` exclude each other", hint);
            None
        }
        (action, None) => {
            check_own_period(kept, place, row, problems);
            masking.action(action, prefix, problems).map(Treatment::Once)
        }
        (None, Some(steps)) => {
            refuse_prefix(prefix, "give a prefix with each step that truncates", problems);
            ladder::check(steps, masking, kept, row.meaning, problems).map(Treatment::Ladder)
        }
    };
    let treatment = treatment?;
    if let Some(unparsed) = unparsed.filter(|_| !treatment.truncates()) {
        problems.report_with_hint(&unparsed.span(), "`unparsed` goes with `do = \"truncate\"` only", "remove it");
    }
    Some(Column { name, holds, treatment, stand_in: value.map(|ScalarValue(value)| value) })
}

/// The two kinds of tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Category,
    Item,
}

/// What the column holds, by the one key of two that says it.
fn tag(
    category: Option<Text>,
    item: Option<Text>,
    place: &Range<usize>,
    row: Row<'_>,
    problems: &mut FileProblems<'_>,
) -> Option<(Tag, Range<usize>)> {
    let (text, key) = match (category, item) {
        (Some(text), None) => (text, Kind::Category),
        (None, Some(text)) => (text, Kind::Item),
        (Some(_), Some(item)) => {
            problems.report(&item.span(), "`category` and `item` exclude each other");
            return None;
        }
        (None, None) => {
            if problems.left_out(place).all(|key| key != "item") {
                let hint = "add `category = \"visit.ip-address\"`, or `item = \"…\"`: what the column holds";
                problems.required(place, "category", None::<()>, hint);
            }
            return None;
        }
    };
    let tag = row.declared.scope.tag_at(&text, problems)?;
    let found = match tag {
        Tag::Category(_) => Kind::Category,
        Tag::Item { .. } => Kind::Item,
    };
    if found != key {
        let (message, right) = match found {
            Kind::Category => (format!("`{}` is not a storage item", text.get_ref()), "category"),
            Kind::Item => (format!("`{}` is not a category", text.get_ref()), "item"),
        };
        problems.report_with_hint(&text.span(), message, format!("write `{right} = \"{}\"`", text.get_ref()));
        return None;
    }
    Some((tag, text.span()))
}

/// With `expires`, a row's age is not known: a column cannot go a period after an instant that nobody recorded.
fn check_own_period(kept: Option<Kept>, place: &Range<usize>, row: Row<'_>, problems: &mut FileProblems<'_>) {
    let (Some(TimeMeaning::Expires), Some(Kept::For(period))) = (row.meaning, kept) else { return };
    let Some(Kept::For(row_period)) = row.kept else { return };
    if !period.keeps_at_least(&row_period) {
        problems.report_with_hint(
            place,
            format!("this column must go after {period}, and `expires` does not say when that is"),
            "give the table a `time` column instead of `expires`",
        );
    }
}

/// Whether the tag stands for IP addresses, which are all that can be truncated.
fn is_address(tag: &Tag, row: Row<'_>) -> bool {
    let categories = &row.declared.scope.known.categories;
    let governed = |id: &CategoryId| categories.get(id).is_some_and(|one| one.setting == Some(Setting::StoreIp));
    match tag {
        Tag::Category(id) => id.lineage().any(|id| id.as_str() == IP_ADDRESS || governed(&id)),
        Tag::Item { .. } => false,
    }
}

fn unparsed(word: Option<&Text>, problems: &mut FileProblems<'_>) -> Unparsed {
    let choices = [("erase", Unparsed::Erase), ("keep", Unparsed::Keep)];
    word.and_then(|word| value::one_of(word, "word", &choices, problems)).unwrap_or(Unparsed::Erase)
}

fn refuse_prefix(prefix: Option<Section<PrefixTable>>, hint: &str, problems: &mut FileProblems<'_>) {
    if let Some(prefix) = prefix {
        problems.report_with_hint(&prefix.span(), "`prefix` goes with `do = \"truncate\"` only", hint);
    }
}

/// How the actions of one column are read.
#[derive(Clone, Copy)]
pub(super) struct Masking<'a> {
    is_address: bool,
    tag: &'a Tag,
    unparsed: Unparsed,
}

/// The words for actions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Erase,
    Truncate,
}

impl Masking<'_> {
    /// The action that `do` and `prefix` say; to erase where they say nothing.
    pub(super) fn action(
        self,
        action: Option<Text>,
        prefix: Option<Section<PrefixTable>>,
        problems: &mut FileProblems<'_>,
    ) -> Option<ColumnAction> {
        let choices = [("erase", Action::Erase), ("truncate", Action::Truncate)];
        let word = match &action {
            Some(word) => value::one_of(word, "action", &choices, problems)?,
            None => Action::Erase,
        };
        match (word, action) {
            (Action::Truncate, Some(word)) if !self.is_address => {
                let message = format!("only IP addresses can be truncated, and `{}` is none", self.tag);
                problems.report_with_hint(&word.span(), message, "write `do = \"erase\"`");
                None
            }
            (Action::Truncate, _) => self.mask(prefix, problems).map(ColumnAction::Truncate),
            (Action::Erase, _) => {
                refuse_prefix(prefix, "remove it, or write `do = \"truncate\"`", problems);
                Some(ColumnAction::Erase)
            }
        }
    }

    fn mask(self, prefix: Option<Section<PrefixTable>>, problems: &mut FileProblems<'_>) -> Option<Mask> {
        let Keyed(PrefixTable { v4, v6 }) = prefix.map(Spanned::into_inner).unwrap_or_default();
        let v4 = v4.map_or(Some(DEFAULT_V4), |bits| prefix_length("v4", &bits, V4_BOUNDS, problems));
        let v6 = v6.map_or(Some(DEFAULT_V6), |bits| prefix_length("v6", &bits, V6_BOUNDS, problems));
        Some(Mask { v4: v4?, v6: v6?, unparsed: self.unparsed })
    }
}

fn prefix_length(
    key: &str,
    bits: &Spanned<i64>,
    (shortest, longest): (u8, u8),
    problems: &mut FileProblems<'_>,
) -> Option<u8> {
    let value = *bits.get_ref();
    let length = u8::try_from(value).ok().filter(|length| (shortest..=longest).contains(length));
    if length.is_none() && key == "v6" && value == HOUSEHOLD {
        let message = "an IPv6 prefix of 64 bits is one household: nothing is masked";
        problems.report_with_hint(&bits.span(), message, format!("write {longest} or less"));
    } else if length.is_none() {
        problems.report(&bits.span(), format!("`{key}` must be between {shortest} and {longest}"));
    }
    length
}

impl Treatment {
    fn truncates(&self) -> bool {
        let truncates = |action: &ColumnAction| matches!(action, ColumnAction::Truncate(_));
        match self {
            Treatment::Once(action) => truncates(action),
            Treatment::Ladder(steps) => steps.iter().any(|step| truncates(&step.action)),
        }
    }
}
