//! `sites/*.toml`.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::error::{FileProblems, suggest};
use super::super::file::{
    CookieBarTable, Keyed, ROOT, Section, SettingsTable, SiteFile, Text, UsedProcessorTable, decode,
};
use super::super::resolve::Said;
use super::super::site::{CookieBar, Site, SiteProcessor};
use super::super::{CategoryId, Processor, Schedule, Setting};
use super::retention::{self, Retention};
use super::tag::{CHAT_KEY, Scope};
use super::{Known, Targets, category, store, value};

/// Checks one site and adds it to `sites`.
pub(super) fn check(
    mut table: DeTable<'_>,
    known: &Known,
    sites: &mut BTreeMap<String, Site>,
    targets: &mut Targets,
    problems: &mut FileProblems<'_>,
) -> Option<()> {
    let stores = table.remove("store");
    let file: SiteFile = decode(table, &ROOT, problems);
    let place = file.domain.as_ref().map(Spanned::span).unwrap_or_default();
    let site = self::site(file, stores, known, targets, problems)?;
    if let Some(other) = sites.get(&site.domain) {
        let message = format!("the site `{}` is declared in `{}` already", site.domain, other.file);
        problems.report_with_hint(&place, message, "a site is one file: join them");
        return None;
    }
    sites.insert(site.domain.clone(), site);
    Some(())
}

fn site(
    file: SiteFile,
    stores: Option<Spanned<DeValue<'_>>>,
    known: &Known,
    targets: &mut Targets,
    problems: &mut FileProblems<'_>,
) -> Option<Site> {
    let SiteFile { domain, time_zone, schedule, controller, dpo, settings, processor, cookie_bar, retention, store: _ } =
        file;
    let domain = problems
        .required(&ROOT, "domain", domain, "add `domain = \"shop.example\"`: the host name of the site")
        .and_then(|text| value::host_name(text, problems));
    let hint = "add `time-zone = \"Europe/Prague\"`: the zone of the schedule and of calendar days";
    let time_zone =
        problems.required(&ROOT, "time-zone", time_zone, hint).and_then(|name| value::zone(&name, problems));
    let schedule = problems
        .required(&ROOT, "schedule", schedule, "add `schedule = \"30 3 * * *\"`: when its rules run, as in crontab(5)")
        .and_then(|text| self::schedule(&text, problems));
    let controller = controller.and_then(|section| value::controller(section, problems));
    let dpo = dpo.and_then(|section| value::contact(section, problems));
    let settings = self::settings(settings, known, problems);
    let used = processors(processor, known, problems);
    let cookie_bar = cookie_bar.map(|section| self::cookie_bar(section, problems)).unwrap_or_default();
    let scope = Scope { known, used: &used.processors, complete: used.complete && known.is_complete() };
    let mut retention = retention::check(retention, scope, problems);
    if !settings.complete {
        retention.distrust();
    }
    let declared = Declared { scope, said: said(known, &settings, &retention), retention: &retention };
    let stores = store::check(stores, declared, targets, problems);
    Some(Site {
        domain: domain?,
        time_zone: time_zone?,
        schedule: schedule?,
        controller,
        dpo,
        settings: settings.switches,
        not_stored: settings.not_stored,
        processors: used.processors,
        cookie_bar,
        retention: retention.periods,
        stores,
        file: problems.file().to_owned(),
    })
}

/// What the stores of a site are checked against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declared<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) said: Said<'a>,
    pub(super) retention: &'a Retention,
}

fn said<'a>(known: &'a Known, settings: &'a Settings, retention: &'a Retention) -> Said<'a> {
    Said {
        categories: &known.categories,
        processors: &known.processors,
        settings: &settings.switches,
        not_stored: &settings.not_stored,
        retention: &retention.periods,
    }
}

fn schedule(text: &Text, problems: &mut FileProblems<'_>) -> Option<Schedule> {
    match text.get_ref().parse::<Schedule>() {
        Ok(schedule) => Some(schedule),
        Err(error) => {
            problems.report_with_hint(&text.span(), error.to_string(), error.hint());
            None
        }
    }
}

/// What a site says of what is stored at all.
struct Settings {
    switches: BTreeMap<Setting, bool>,
    not_stored: BTreeSet<CategoryId>,
    /// Whether all of it could be read.
    complete: bool,
}

fn settings(section: Option<Section<SettingsTable>>, known: &Known, problems: &mut FileProblems<'_>) -> Settings {
    let place = section.as_ref().map(Spanned::span).unwrap_or_default();
    let unread = problems.left_out(&place).any(|key| section.is_some() || key == "settings");
    let Keyed(SettingsTable { store_ip, store_location, store_device, store_contact, store_page_urls, not_stored }) =
        section.map(Spanned::into_inner).unwrap_or_default();
    let switches = [
        (Setting::StoreIp, store_ip),
        (Setting::StoreLocation, store_location),
        (Setting::StoreDevice, store_device),
        (Setting::StoreContact, store_contact),
        (Setting::StorePageUrls, store_page_urls),
    ];
    let named = not_stored.len();
    let not_stored: BTreeSet<CategoryId> = not_stored
        .iter()
        .filter_map(|text| category::known(text, &known.categories, known.categories_complete, problems))
        .collect();
    Settings {
        switches: switches.into_iter().filter_map(|(setting, value)| Some((setting, value?))).collect(),
        complete: !unread && not_stored.len() == named,
        not_stored,
    }
}

/// Whether a selector finds something is for the browser to say: its grammar grows with every version.
fn cookie_bar(section: Section<CookieBarTable>, problems: &mut FileProblems<'_>) -> CookieBar {
    let Keyed(CookieBarTable { accept, refuse }) = section.into_inner();
    CookieBar { accept: value::optional(accept, problems), refuse: value::optional(refuse, problems) }
}

/// The processors that a site uses.
struct UsedProcessors {
    processors: Vec<SiteProcessor>,
    /// Whether all of them could be read.
    complete: bool,
}

fn processors(
    sections: Vec<Section<UsedProcessorTable>>,
    known: &Known,
    problems: &mut FileProblems<'_>,
) -> UsedProcessors {
    let unread = problems.left_out(&ROOT).any(|key| key == "processor");
    let mut used = UsedProcessors { processors: Vec::new(), complete: !unread };
    for section in sections {
        match used_processor(section, &used.processors, known, problems) {
            Some(processor) => used.processors.push(processor),
            None => used.complete = false,
        }
    }
    used
}

fn used_processor(
    section: Section<UsedProcessorTable>,
    before: &[SiteProcessor],
    known: &Known,
    problems: &mut FileProblems<'_>,
) -> Option<SiteProcessor> {
    let place = section.span();
    let Keyed(UsedProcessorTable { id, chat_key, features, agreement }) = section.into_inner();
    let hint = "add `id = \"…\"`: the `id` of a file in `processors`";
    let id = problems.required(&place, "id", id, hint)?;
    let agreement = agreement.and_then(|day| value::date(&day, problems));
    let chat_key_given = chat_key.is_some() || problems.left_out(&place).any(|key| key == "chat-key");
    let chat_key = value::optional(chat_key, problems);
    let Some(processor) = known.processors.get(id.get_ref()) else {
        if known.processors_complete {
            let hint = suggest::hint(id.get_ref(), known.processors.keys().map(String::as_str));
            problems.report_with_hint(&id.span(), format!("unknown processor `{}`", id.get_ref()), hint);
        }
        return None;
    };
    if before.iter().any(|other| other.id == processor.id) {
        problems.report(&id.span(), format!("the processor `{}` is listed twice", processor.id));
        return None;
    }
    if !chat_key_given && processor.items.iter().any(|item| item.name.contains(CHAT_KEY)) {
        let hint = format!("add `chat-key = \"…\"`: it fills {CHAT_KEY} in the names of its storage items");
        problems.report_with_hint(&place, "missing key `chat-key`", hint);
    }
    let features = features.iter().filter_map(|name| feature(name, processor, problems)).collect();
    Some(SiteProcessor { id: id.into_inner(), chat_key, features, agreement })
}

fn feature(name: &Text, processor: &Processor, problems: &mut FileProblems<'_>) -> Option<String> {
    let known = processor.features.iter().any(|feature| feature.id == *name.get_ref());
    if !known {
        let hint = suggest::hint(name.get_ref(), processor.features.iter().map(|feature| feature.id.as_str()));
        let message = format!("`{}` has no feature `{}`", processor.id, name.get_ref());
        problems.report_with_hint(&name.span(), message, hint);
    }
    known.then(|| name.get_ref().clone())
}
