//! Lays captures beside the declared storage items.
//!
//! An item counts once, however often and at however many moments it was seen. Where its name stands in two classes,
//! or in the files of two processors, the most lenient declaration holds: it cannot be told whose it is.

use std::collections::{BTreeMap, BTreeSet};

use super::host::{self, Party};
use super::lifetime::lifetime;
use super::names;
use super::remark::{Remark, Topic};
use super::{Capture, Life, Moment, Seen};
use crate::config::{Config, ItemKind, Site};
use crate::papers::items::{self, DeclaredItem, Use};

/// Why consent is asked for.
const CONSENT: &str = "ePrivacy Directive Article 5(3)";

/// One item with all that was seen of it.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) name: &'a str,
    pub(super) kind: ItemKind,
    pub(super) hosts: BTreeSet<&'a str>,
    moments: BTreeSet<Moment>,
    pub(super) life: Life,
    pub(super) party: Party<'a>,
}

/// What is wrong with what a browser holds, and what is worth knowing of it. `visited` is the host that a browser was
/// sent to, which is the site's own whatever its name: a copy for tests stands elsewhere.
pub fn compare(config: &Config, site: &Site, captures: &[Capture], visited: Option<&str>) -> Vec<Remark> {
    let declared = items::declared(config, site);
    let seen = gather(captures, site, visited);
    let mut remarks = Vec::new();
    for item in &seen {
        of_item(item, &declared, site, &mut remarks);
    }
    not_seen(&declared, &seen, captures, &mut remarks);
    of_captures(&seen, captures, site, &mut remarks);
    remarks.sort();
    remarks.sort_by_key(|remark| remark.topic.level());
    remarks
}

/// Items that no processor of the site declares, under whatever kind or key.
pub(super) fn undeclared_items<'a>(
    config: &Config,
    site: &Site,
    captures: &'a [Capture],
    visited: Option<&str>,
) -> Vec<Item<'a>> {
    let declared = items::declared(config, site);
    let mut seen = gather(captures, site, visited);
    seen.retain(|item| !declared.iter().any(|said| item.party.may_be(said) && names::is_called(said, item.name)));
    seen
}

fn gather<'a>(captures: &'a [Capture], site: &Site, visited: Option<&str>) -> Vec<Item<'a>> {
    let visited = visited.and_then(host::of_address);
    let own: Vec<&str> = std::iter::once(site.domain.as_str()).chain(visited.as_deref()).collect();
    let mut items: BTreeMap<(Party<'a>, ItemKind, &str), Item<'a>> = BTreeMap::new();
    for capture in captures {
        for Seen { name, kind, host, life } in &capture.items {
            let party = Party::of(host.as_deref(), &own);
            let item = items.entry((party, *kind, name)).or_insert_with(|| Item {
                name,
                kind: *kind,
                hosts: BTreeSet::new(),
                moments: BTreeSet::new(),
                life: *life,
                party,
            });
            item.hosts.extend(host.as_deref());
            item.moments.insert(capture.moment);
            item.life = item.life.max(*life);
        }
    }
    items.into_values().collect()
}

/// The declarations that an item is one of. Where its own host is declared, it is not what others are declared to be.
fn declared_as<'d, 'c>(item: &Item<'_>, declared: &'d [DeclaredItem<'c>]) -> Vec<&'d DeclaredItem<'c>> {
    let mut same: Vec<&DeclaredItem<'_>> =
        declared.iter().filter(|said| item.party.may_be(said) && names::is(said, item.name, item.kind)).collect();
    if same.iter().any(|said| said.third_party.is_some()) {
        same.retain(|said| said.third_party.is_some());
    }
    same
}

fn of_item(item: &Item<'_>, declared: &[DeclaredItem<'_>], site: &Site, remarks: &mut Vec<Remark>) {
    let same = declared_as(item, declared);
    if same.is_empty() {
        remarks.push(undeclared(item, declared));
        return;
    }
    let used: Vec<&DeclaredItem<'_>> = same.iter().filter(|said| said.in_use == Use::Set).copied().collect();
    if used.is_empty() {
        remarks.push(feature_off(item, &same, site));
    }
    let holding = if used.is_empty() { &same } else { &used };
    consent(item, holding, remarks);
    remarks.extend(lifetime(item, holding));
    remarks.extend(third_party(item, holding));
}

fn third_party(item: &Item<'_>, holding: &[&DeclaredItem<'_>]) -> Option<Remark> {
    let Party::Third(host) = item.party else { return None };
    let said = holding.first().filter(|said| said.third_party.is_none())?;
    let what = format!("it is one of {host}, and the cookie overview calls it first party");
    let remedy = format!(
        "{}: add `host = \"{host}\"` to its `[[item]]`; where the site has one of its own too, add a second one with it",
        said.processor.file
    );
    Some(item.remark(Topic::ThirdParty, what, remedy))
}

fn undeclared(item: &Item<'_>, declared: &[DeclaredItem<'_>]) -> Remark {
    let here = || declared.iter().filter(|said| item.party.may_be(said));
    if let Some(said) = here().find(|said| names::is_called(said, item.name)) {
        let what = format!("it is declared as {}", words(said.kind));
        let remedy = format!("{}: set its `kind` to \"{}\"", said.processor.file, item.kind.key());
        return item.remark(Topic::WrongKind, what, remedy);
    }
    let similar = here().filter(|said| names::has_another_key(said, item.name, item.kind));
    let nearest = similar.max_by_key(|said| said.declared_name.len());
    let elsewhere = declared.iter().filter(|said| names::is(said, item.name, item.kind));
    let elsewhere: BTreeSet<&str> = elsewhere.filter_map(|said| said.third_party).collect();
    let only = if elsewhere.is_empty() { String::new() } else { format!(" but for {}", listed(&elsewhere)) };
    let (topic, whose) = match item.party {
        Party::First => (Topic::Undeclared, format!("no processor of the site declares it{only}")),
        Party::Third(host) => {
            (Topic::ThirdPartyUndeclared, format!("{host} keeps it, and no processor declares it{only}"))
        }
    };
    let remedy = match nearest {
        Some(said) => format!(
            "is it `{}`, with another key? Then `chat-key` of the site is wrong. Else declare it, or remove what sets it",
            said.declared_name
        ),
        None => {
            "find out what sets it; then add it as `[[item]]` to the file of that processor, or remove it from the \
                 page"
                .to_owned()
        }
    };
    item.remark(topic, whose, remedy)
}

fn feature_off(item: &Item<'_>, same: &[&DeclaredItem<'_>], site: &Site) -> Remark {
    let classes: BTreeSet<&str> = same.iter().map(|said| said.class.key()).collect();
    let what = format!("its class is {}, and the site has that feature switched off", listed(&classes));
    let remedy = format!(
        "switch it off at the processor too, or add it to `features` in {}: the overview does not tell of it",
        site.file
    );
    item.remark(Topic::FeatureOff, what, remedy)
}

fn consent(item: &Item<'_>, holding: &[&DeclaredItem<'_>], remarks: &mut Vec<Remark>) {
    if !holding.iter().all(|said| said.class.needs_consent()) {
        return;
    }
    let class = holding.first().map_or("", |said| said.class.key());
    let needs = format!("its class is {class}, which needs consent ({CONSENT})");
    for (moment, topic, remedy) in [
        (Moment::BeforeConsent, Topic::BeforeConsent, "load what sets it only once the visitor has agreed"),
        (Moment::AfterRefusal, Topic::AfterRefusal, "do not load what sets it, and clear it when the visitor refuses"),
        (
            Moment::NotSaid,
            Topic::ConsentNotSaid,
            "say with `--consent` what the visitor had answered when the capture was taken",
        ),
    ] {
        if item.moments.contains(&moment) {
            remarks.push(item.remark(topic, needs.clone(), remedy.to_owned()));
        }
    }
}

/// Declared items that no capture has, as far as it could have them.
fn not_seen(declared: &[DeclaredItem<'_>], seen: &[Item<'_>], captures: &[Capture], remarks: &mut Vec<Remark>) {
    let could_be_there = |said: &DeclaredItem<'_>| {
        captures.iter().any(|capture| {
            let agreed = matches!(capture.moment, Moment::AfterAcceptance | Moment::NotSaid);
            capture.source.kinds().contains(&said.kind) && (agreed || !said.class.needs_consent())
        })
    };
    let is_there = |said: &DeclaredItem<'_>| {
        let mut named = seen.iter().filter(|item| names::is(said, item.name, item.kind));
        named.any(|item| declared_as(item, declared).iter().any(|found| std::ptr::eq(*found, said)))
    };
    let (mut left_out, mut told) = (BTreeSet::new(), BTreeSet::new());
    for said in declared.iter().filter(|said| said.in_use == Use::Set && !is_there(said)) {
        if could_be_there(said) {
            // A name may stand in two classes.
            if !told.insert((said.kind, said.name.as_str(), said.third_party)) {
                continue;
            }
            remarks.push(Remark {
                topic: Topic::NotSeen,
                name: Some(said.name.clone()),
                kind: Some(said.kind),
                hosts: said.third_party.map(str::to_owned).into_iter().collect(),
                moments: Vec::new(),
                what: format!("{} declares it, and this capture does not have it", said.processor.file),
                remedy: "nothing, if only other pages or a conversation set it; else take it out of the file"
                    .to_owned(),
            });
        } else {
            left_out.insert((said.kind, said.name.as_str()));
        }
    }
    if !left_out.is_empty() {
        let names: BTreeSet<&str> = left_out.iter().map(|(_, name)| *name).collect();
        let what = format!("this capture cannot have {}", listed(&names));
        let remedy = "take one that can: with Local Storage, or after acceptance".to_owned();
        remarks.push(about_captures(Topic::NotLookedFor, what, remedy));
    }
}

fn of_captures(seen: &[Item<'_>], captures: &[Capture], site: &Site, remarks: &mut Vec<Remark>) {
    if seen.iter().any(|item| item.party == Party::First) {
        return;
    }
    let is_har = captures.iter().any(|capture| capture.source == super::Source::Har);
    let remedy = match (seen.is_empty(), is_har) {
        (true, true) => "browsers leave cookies out of a HAR file unless it is exported with sensitive data",
        (true, false) => "nothing, if the page sets nothing; else it was captured too early",
        (false, _) => "is the capture one of this site? Its name is `domain` of the site",
    };
    let what = format!("the capture holds nothing of {}", site.domain);
    remarks.push(about_captures(Topic::NothingOfSite, what, remedy.to_owned()));
}

fn about_captures(topic: Topic, what: String, remedy: String) -> Remark {
    Remark { topic, name: None, kind: None, hosts: Vec::new(), moments: Vec::new(), what, remedy }
}

impl Item<'_> {
    pub(super) fn remark(&self, topic: Topic, what: String, remedy: String) -> Remark {
        Remark {
            topic,
            name: Some(self.name.to_owned()),
            kind: Some(self.kind),
            hosts: self.hosts.iter().map(|host| (*host).to_owned()).collect(),
            moments: self.moments.iter().copied().collect(),
            what,
            remedy,
        }
    }
}

/// Where an item stands, in words.
pub(super) fn words(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Cookie => "a cookie",
        ItemKind::LocalStorage => "an entry of Local Storage",
        ItemKind::SessionStorage => "an entry of session storage",
        ItemKind::IndexedDb => "a database of the browser",
    }
}

fn listed(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}
