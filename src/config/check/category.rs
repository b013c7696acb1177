//! `categories.toml`.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::super::error::{FileProblems, suggest};
use super::super::file::{CategoriesFile, CategoryTable, Keyed, ROOT, Section, Text, decode};
use super::super::{Category, CategoryId, Setting};
use super::value;

pub(super) fn check(table: DeTable<'_>, problems: &mut FileProblems<'_>) -> Option<BTreeMap<CategoryId, Category>> {
    let CategoriesFile { category } = decode(table, &ROOT, problems);
    let mut categories = BTreeMap::new();
    let mut declared: Vec<(CategoryId, Text)> = Vec::new();
    for section in category {
        if let Some((id, written, category)) = one(section, problems) {
            if categories.insert(id.clone(), category).is_some() {
                problems.report(&written.span(), format!("the category `{id}` is declared twice"));
            }
            declared.push((id, written));
        }
    }
    for (id, written) in &declared {
        check_parent(id, written, &categories, problems);
    }
    Some(categories)
}

fn one(section: Section<CategoryTable>, problems: &mut FileProblems<'_>) -> Option<(CategoryId, Text, Category)> {
    let place = section.span();
    let Keyed(CategoryTable { id, name, description, setting }) = section.into_inner();
    let id = problems
        .required(&place, "id", id, "add `id = \"visit.location\"`")
        .and_then(|text| category_id(text, problems));
    let name = value::required(&place, "name", name, "add `name = \"…\"`: what people call it", problems);
    let description = value::optional(description, problems);
    let settings = Setting::ALL.map(|setting| (setting.key(), setting));
    let setting = setting.and_then(|word| value::one_of(&word, "setting", &settings, problems));
    let (id, written) = id?;
    Some((id, written, Category { name: name?, description, setting }))
}

fn category_id(text: Text, problems: &mut FileProblems<'_>) -> Option<(CategoryId, Text)> {
    let id = CategoryId::new(text.get_ref());
    if id.is_none() {
        problems.report_with_hint(
            &text.span(),
            format!("`{}` cannot name a category", text.get_ref()),
            "write lower-case words of letters, digits and hyphens, joined by dots: `visit.ip-address`",
        );
    }
    id.map(|id| (id, text))
}

fn check_parent(
    id: &CategoryId,
    written: &Text,
    categories: &BTreeMap<CategoryId, Category>,
    problems: &mut FileProblems<'_>,
) {
    let Some(parent) = id.lineage().nth(1).filter(|parent| !categories.contains_key(parent)) else { return };
    problems.report_with_hint(
        &written.span(),
        format!("the category `{parent}`, which `{id}` is part of, is not declared"),
        format!("add a `[[category]]` with `id = \"{parent}\"`"),
    );
}

/// The declared category of this name. An unknown one is a problem where all categories are known.
pub(super) fn known(
    text: &Text,
    categories: &BTreeMap<CategoryId, Category>,
    complete: bool,
    problems: &mut FileProblems<'_>,
) -> Option<CategoryId> {
    let id = CategoryId::new(text.get_ref()).filter(|id| categories.contains_key(id));
    if id.is_none() && complete {
        let hint = suggest::hint(text.get_ref(), categories.keys().map(CategoryId::as_str));
        problems.report_with_hint(&text.span(), format!("unknown category `{}`", text.get_ref()), hint);
    }
    id
}
