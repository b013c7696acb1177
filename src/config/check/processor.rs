//! `processors/*.toml`.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::DeTable;

use super::super::error::FileProblems;
use super::super::file::{
    DataTable, FeatureTable, ItemTable, Keyed, LocationTable, ProcessorFile, ROOT, Section, StatementTable,
    SubProcessorTable, SubProcessorsTable, TransferTable, decode,
};
use super::super::{
    Class, DataGroup, Feature, ItemKind, LawfulBasis, Lifetime, Location, Period, Processor, Statement, StorageItem,
    SubProcessor, SubProcessors, Transfer,
};
use super::{Known, category, value};

const CLASSES: [Class; 3] = [Class::Functional, Class::Analytics, Class::Marketing];

const KINDS: [ItemKind; 4] = [ItemKind::Cookie, ItemKind::LocalStorage, ItemKind::SessionStorage, ItemKind::IndexedDb];

const LAWFUL_BASES: [LawfulBasis; 4] =
    [LawfulBasis::Consent, LawfulBasis::Contract, LawfulBasis::LegalObligation, LawfulBasis::LegitimateInterest];

/// Checks one processor and adds it to what is known.
pub(super) fn check(table: DeTable<'_>, known: &mut Known, problems: &mut FileProblems<'_>) -> Option<()> {
    let file: ProcessorFile = decode(table, &ROOT, problems);
    let place = file.id.as_ref().map(Spanned::span).unwrap_or_default();
    let processor = processor(file, known, problems)?;
    if let Some(other) = known.processors.get(&processor.id) {
        let message = format!("the processor `{}` is declared in `{}` already", processor.id, other.file);
        problems.report_with_hint(&place, message, "give one of them another `id`, or remove one of the files");
        return None;
    }
    known.processors.insert(processor.id.clone(), processor);
    Some(())
}

fn processor(file: ProcessorFile, known: &Known, problems: &mut FileProblems<'_>) -> Option<Processor> {
    let ProcessorFile {
        id,
        product,
        name,
        address,
        contact,
        identification,
        source,
        read,
        dpo,
        location,
        transfer,
        sub_processors,
        feature,
        data,
        item,
        statement,
    } = file;
    let id = value::required(&ROOT, "id", id, "add `id = \"…\"`: the name that sites use for it", problems);
    let product = value::required(&ROOT, "product", product, "add `product = \"…\"`: what it is sold as", problems);
    let party = value::party(&ROOT, name, address, contact, problems);
    let identification = value::optional(identification, problems);
    let source = value::optional(source, problems);
    let read = read.and_then(|day| value::date(&day, problems));
    let dpo = dpo.and_then(|section| value::contact(section, problems));
    let locations = each(location, problems, self::location);
    let transfers = each(transfer, problems, self::transfer);
    let sub_processors = self::sub_processors(sub_processors, problems);
    let features = each(feature, problems, self::feature);
    let data = each(data, problems, |section, problems| data_group(section, known, problems));
    let items = items(item, problems);
    let statements = each(statement, problems, self::statement);
    Some(Processor {
        id: id?,
        product: product?,
        party: party?,
        identification,
        dpo,
        locations,
        transfers,
        sub_processors,
        features,
        data,
        items,
        statements,
        source,
        read,
        file: problems.file().to_owned(),
    })
}

/// The sections that are right; what is wrong with the others is told.
fn each<T, U>(
    sections: Vec<Section<T>>,
    problems: &mut FileProblems<'_>,
    check: impl Fn(Section<T>, &mut FileProblems<'_>) -> Option<U>,
) -> Vec<U> {
    sections.into_iter().filter_map(|section| check(section, problems)).collect()
}

fn location(section: Section<LocationTable>, problems: &mut FileProblems<'_>) -> Option<Location> {
    let place = section.span();
    let Keyed(LocationTable { region, primary, promise }) = section.into_inner();
    let region = value::required(&place, "region", region, "add `region = \"EU\"`", problems);
    let promise = value::optional(promise, problems);
    Some(Location { region: region?, primary: primary.unwrap_or(false), promise })
}

fn transfer(section: Section<TransferTable>, problems: &mut FileProblems<'_>) -> Option<Transfer> {
    let place = section.span();
    let Keyed(TransferTable { country, safeguard, valid_until }) = section.into_inner();
    let country = value::required(&place, "country", country, "add `country = \"…\"`", problems);
    let safeguard = value::optional(safeguard, problems);
    let valid_until = valid_until.and_then(|day| value::date(&day, problems));
    Some(Transfer { country: country?, safeguard, valid_until })
}

fn sub_processors(section: Option<Section<SubProcessorsTable>>, problems: &mut FileProblems<'_>) -> SubProcessors {
    let Keyed(SubProcessorsTable { exist, selection, known }) = section.map(Spanned::into_inner).unwrap_or_default();
    let selection = value::optional(selection, problems);
    SubProcessors { exist, selection, known: each(known, problems, sub_processor) }
}

fn sub_processor(section: Section<SubProcessorTable>, problems: &mut FileProblems<'_>) -> Option<SubProcessor> {
    let place = section.span();
    let Keyed(SubProcessorTable { name, address, contact, purpose, country }) = section.into_inner();
    let party = value::party(&place, name, address, contact, problems);
    let purpose = value::optional(purpose, problems);
    let country = value::optional(country, problems);
    Some(SubProcessor { party: party?, purpose, country })
}

fn feature(section: Section<FeatureTable>, problems: &mut FileProblems<'_>) -> Option<Feature> {
    let place = section.span();
    let Keyed(FeatureTable { id, purpose, lawful_basis }) = section.into_inner();
    let id = value::required(&place, "id", id, "add `id = \"…\"`: the name that sites use for it", problems);
    let purpose = value::required(&place, "purpose", purpose, "add `purpose = \"…\"`: what it is for", problems);
    let bases = LAWFUL_BASES.map(|basis| (basis.key(), basis));
    let lawful_basis = problems
        .required(
            &place,
            "lawful-basis",
            lawful_basis,
            "add `lawful-basis = \"consent\"` or another of GDPR Article 6(1)",
        )
        .and_then(|word| value::one_of(&word, "lawful basis", &bases, problems));
    Some(Feature { id: id?, purpose: purpose?, lawful_basis: lawful_basis? })
}

fn data_group(section: Section<DataTable>, known: &Known, problems: &mut FileProblems<'_>) -> Option<DataGroup> {
    let place = section.span();
    let Keyed(DataTable { name, categories }) = section.into_inner();
    let name = value::required(&place, "name", name, "add `name = \"…\"`", problems);
    let categories = categories
        .iter()
        .filter_map(|text| category::known(text, &known.categories, known.categories_complete, problems))
        .collect();
    Some(DataGroup { name: name?, categories })
}

fn items(sections: Vec<Section<ItemTable>>, problems: &mut FileProblems<'_>) -> Vec<StorageItem> {
    let mut identities = BTreeSet::new();
    each(sections, problems, item_with_place)
        .into_iter()
        .filter_map(|(place, item)| {
            let first = identities.insert((item.name.clone(), item.class, item.host.clone()));
            if !first {
                let of = item.host.as_ref().map(|host| format!(" of `{host}`")).unwrap_or_default();
                let message = format!("the {} item `{}`{of} is declared twice", item.class.key(), item.name);
                problems.report(&place, message);
            }
            first.then_some(item)
        })
        .collect()
}

fn item_with_place(
    section: Section<ItemTable>,
    problems: &mut FileProblems<'_>,
) -> Option<(std::ops::Range<usize>, StorageItem)> {
    let place = section.span();
    let Keyed(ItemTable { name, class, kind, description, lifetime, host }) = section.into_inner();
    let name = value::required(&place, "name", name, "add `name = \"…\"`: as it stands in the browser", problems);
    let class = problems
        .required(&place, "class", class, "add `class = \"functional\"`, `\"analytics\"` or `\"marketing\"`")
        .and_then(|word| value::one_of(&word, "class", &CLASSES.map(|class| (class.key(), class)), problems));
    let kind = problems
        .required(&place, "kind", kind, "add `kind = \"cookie\"` or `\"local-storage\"`")
        .and_then(|word| value::one_of(&word, "kind", &KINDS.map(|kind| (kind.key(), kind)), problems));
    let hint = "add `description = \"…\"`: what it is for";
    let description = value::required(&place, "description", description, hint, problems);
    let hint = "add `lifetime = \"6 months\"`, `\"session\"` or `\"until deleted\"`";
    let lifetime =
        problems.required(&place, "lifetime", lifetime, hint).and_then(|text| match text.get_ref().as_str() {
            "session" => Some(Lifetime::Session),
            "until deleted" => Some(Lifetime::UntilDeleted),
            period => match period.parse::<Period>() {
                Ok(period) => Some(Lifetime::For(period)),
                Err(error) => {
                    let hint = format!("{}; or `session`, or `until deleted`", error.hint());
                    problems.report_with_hint(&text.span(), error.to_string(), hint);
                    None
                }
            },
        });
    // A host that cannot be read is not the same as none: the item would be taken for the site's own.
    let host = match host {
        Some(text) => Some(value::host_name(text, problems)?),
        None => None,
    };
    let (name, class, kind) = (name?, class?, kind?);
    let item = StorageItem { name, class, kind, description: description?, lifetime: lifetime?, host };
    Some((place, item))
}

fn statement(section: Section<StatementTable>, problems: &mut FileProblems<'_>) -> Option<Statement> {
    let place = section.span();
    let Keyed(StatementTable { topic, text }) = section.into_inner();
    let topic = value::required(&place, "topic", topic, "add `topic = \"…\"`: what the fact is about", problems);
    let text = value::required(&place, "text", text, "add `text = \"…\"`: the fact", problems);
    Some(Statement { topic: topic?, text: text? })
}
