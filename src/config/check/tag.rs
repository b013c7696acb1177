//! What a tag names: a data category, or a storage item of a processor that the site uses.

use std::ops::Range;

use super::super::error::{FileProblems, suggest};
use super::super::file::Text;
use super::super::site::{SiteProcessor, Tag};
use super::super::{CategoryId, Class, StorageItem};
use super::Known;

/// Stands in the names of storage items for the key that each site has of its own.
pub(super) const CHAT_KEY: &str = "<CHAT_KEY>";

/// The names that a tag of one site may bear.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) known: &'a Known,
    pub(super) used: &'a [SiteProcessor],
    /// Whether all of them are known: only then is another one wrong.
    pub(super) complete: bool,
}

impl<'a> Scope<'a> {
    /// What `written` names. A name that means nothing, or more than one thing, is a problem.
    pub(super) fn tag(self, written: &str, span: &Range<usize>, problems: &mut FileProblems<'_>) -> Option<Tag> {
        let (class, name) = split_class(written);
        let mut meanings: Vec<Tag> = self
            .items()
            .filter(|(used, item)| class.is_none_or(|class| class == item.class) && is_named(item, used, name))
            .map(|(used, item)| item_tag(used, item))
            .collect();
        let category = CategoryId::new(name).filter(|id| class.is_none() && self.known.categories.contains_key(id));
        meanings.extend(category.map(Tag::Category));
        match meanings.len() {
            0 if self.complete => self.report_unknown(written, span, problems),
            0 => {}
            1 => return meanings.pop(),
            _ => report_ambiguous(written, &meanings, span, problems),
        }
        None
    }

    /// [`tag`](Scope::tag) of a text with its place.
    pub(super) fn tag_at(self, text: &Text, problems: &mut FileProblems<'_>) -> Option<Tag> {
        self.tag(text.get_ref(), &text.span(), problems)
    }

    /// The storage items that a record of this site may hold. No site is sent what stands in the name of another host.
    fn items(self) -> impl Iterator<Item = (&'a SiteProcessor, &'a StorageItem)> {
        self.all_items().filter(|(_, item)| item.host.is_none())
    }

    /// The storage items that the processors of this site set.
    fn all_items(self) -> impl Iterator<Item = (&'a SiteProcessor, &'a StorageItem)> {
        self.used.iter().flat_map(move |used| {
            let items = self.known.processors.get(&used.id).map(|processor| processor.items.as_slice());
            items.unwrap_or_default().iter().map(move |item| (used, item))
        })
    }

    /// In whose name an item of this name stands, where that is not the site.
    fn host_of(self, class: Option<Class>, name: &str) -> Option<&'a str> {
        let of_name = |(used, item): &(&SiteProcessor, &StorageItem)| {
            class.is_none_or(|class| class == item.class) && is_named(item, used, name)
        };
        self.all_items().filter(of_name).find_map(|(_, item)| item.host.as_deref())
    }

    fn report_unknown(self, written: &str, span: &Range<usize>, problems: &mut FileProblems<'_>) {
        let (class, name) = split_class(written);
        if let Some(host) = self.host_of(class, name) {
            let message = format!("`{name}` stands in the name of `{host}`: no record of this site holds it");
            return problems.report_with_hint(span, message, "write the category of what is held");
        }
        let unused =
            self.known.processors.values().find(|processor| processor.items.iter().any(|item| item.name == name));
        if let Some(processor) = unused.filter(|processor| self.used.iter().all(|used| used.id != processor.id)) {
            let message = format!("`{name}` is set by `{}`, which this site does not use", processor.id);
            let hint = format!("add `[[processor]]` with `id = \"{}\"`, or another tag", processor.id);
            return problems.report_with_hint(span, message, hint);
        }
        let mut names: Vec<String> = self
            .items()
            .map(|(used, item)| match class {
                Some(_) => format!("{}:{}", item.class.key(), filled(item, used)),
                None => filled(item, used),
            })
            .collect();
        names.sort();
        names.dedup();
        let categories = self.known.categories.keys().map(CategoryId::as_str).filter(|_| class.is_none());
        let hint = suggest::hint(written, names.iter().map(String::as_str).chain(categories));
        problems.report_with_hint(span, format!("unknown category or storage item `{written}`"), hint);
    }
}

/// `marketing:NAME` as class and name.
fn split_class(written: &str) -> (Option<Class>, &str) {
    [Class::Functional, Class::Analytics, Class::Marketing]
        .into_iter()
        .find_map(|class| {
            let name = written.strip_prefix(class.key())?.strip_prefix(':')?;
            Some((Some(class), name))
        })
        .unwrap_or((None, written))
}

fn is_named(item: &StorageItem, used: &SiteProcessor, name: &str) -> bool {
    item.name == name || filled(item, used) == name
}

/// The item's name as it stands in the browsers of the site's visitors.
fn filled(item: &StorageItem, used: &SiteProcessor) -> String {
    match &used.chat_key {
        Some(key) => item.name.replace(CHAT_KEY, key),
        None => item.name.clone(),
    }
}

fn item_tag(used: &SiteProcessor, item: &StorageItem) -> Tag {
    Tag::Item { processor: used.id.clone(), name: item.name.clone(), class: item.class }
}

fn report_ambiguous(written: &str, meanings: &[Tag], span: &Range<usize>, problems: &mut FileProblems<'_>) {
    let spellings: Vec<String> = meanings
        .iter()
        .map(|tag| match tag {
            Tag::Category(id) => format!("the category `{id}`"),
            Tag::Item { class, .. } => format!("`{}:{}`", class.key(), split_class(written).1),
        })
        .collect();
    let hint = format!("write {}", spellings.join(" or "));
    problems.report_with_hint(span, format!("`{written}` means more than one thing"), hint);
}
