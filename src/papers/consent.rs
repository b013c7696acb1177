//! Configuration of the two consent managers that sites use most: categories, services, and what each must clear when
//! the visitor refuses.
//!
//! Both clear cookies by themselves and nothing else, so the script clears Local Storage and session storage. An item
//! that stands in two classes is kept as long as one of them is allowed: refusing marketing must not take away what the
//! chat needs.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::PaperError;
use super::items::stands_for;
use super::language::Language;
use super::model::{Class, Item, Papers};

/// What the scripts do with what the managers do not clear.
const CLEAR: &str = include_str!("consent/clear.js");

/// Whether a script of the page can clear an item of that kind: what stands in the name of a third party it cannot see.
fn is_of(item: &Item, kind: &str) -> bool {
    item.kind == kind && item.party == "first"
}

/// Names of one kind that a class without consent has.
fn kept<'a>(papers: &'a Papers, kind: &str) -> BTreeSet<&'a str> {
    let free = papers.classes.iter().filter(|class| !class.needs_consent).flat_map(|class| &class.items);
    free.filter(|item| is_of(item, kind)).map(|item| item.name.as_str()).collect()
}

/// Names of one kind of items, without those that a class without consent has as well.
fn names<'a>(papers: &'a Papers, items: impl Iterator<Item = &'a Item>, kind: &str) -> BTreeSet<&'a str> {
    let kept = kept(papers, kind);
    let names = items.filter(|item| is_of(item, kind)).map(|item| item.name.as_str());
    names.filter(|name| !kept.iter().any(|kept| stands_for(kept, name))).collect()
}

/// What a script must clear when a class is refused, by the places in the browser.
fn cleared<'a>(papers: &'a Papers, items: impl Iterator<Item = &'a Item> + Clone) -> Value {
    json!({
        "localStorage": names(papers, items.clone(), "local-storage"),
        "sessionStorage": names(papers, items.clone(), "session-storage"),
        "indexedDB": names(papers, items, "indexed-db"),
    })
}

/// What a script must leave alone where it clears by the beginning of a name.
fn left_alone(papers: &Papers) -> Value {
    json!({
        "cookies": kept(papers, "cookie"),
        "localStorage": kept(papers, "local-storage"),
        "sessionStorage": kept(papers, "session-storage"),
        "indexedDB": kept(papers, "indexed-db"),
    })
}

fn cookies<'a>(papers: &'a Papers, items: impl Iterator<Item = &'a Item>) -> Vec<Value> {
    names(papers, items, "cookie").into_iter().map(|name| json!({ "name": name })).collect()
}

/// Processors with items of a class, or with a feature that asks for it.
fn processors<'a>(papers: &'a Papers, class: &'a Class) -> BTreeSet<&'a str> {
    let asking = papers
        .processors
        .iter()
        .filter(|processor| class.needs_consent && processor.features.iter().any(|feature| feature.id == class.class));
    let asking = asking.map(|processor| processor.id.as_str());
    class.items.iter().map(|item| item.processor.as_str()).chain(asking).collect()
}

fn product<'a>(papers: &'a Papers, id: &'a str) -> &'a str {
    papers.processors.iter().find(|processor| processor.id == id).map_or(id, |processor| &processor.product)
}

/// The configuration of vanilla-cookieconsent.
pub(super) fn cookieconsent(papers: &Papers, language: &Language) -> Value {
    let mut categories = Map::new();
    for class in &papers.classes {
        let services: Map<String, Value> = processors(papers, class)
            .into_iter()
            .map(|id| {
                let items = class.items.iter().filter(|item| item.processor == id);
                (id.to_owned(), json!({ "label": product(papers, id), "cookies": cookies(papers, items) }))
            })
            .collect();
        let category = if class.needs_consent {
            let cookies = cookies(papers, class.items.iter());
            json!({ "enabled": false, "autoClear": { "cookies": cookies }, "services": services })
        } else {
            json!({ "enabled": true, "readOnly": true })
        };
        categories.insert(class.class.to_owned(), category);
    }
    json!({
        "register": papers.stamp,
        "categories": categories,
        "language": {
            "default": language.code(),
            "translations": { language.code(): cookieconsent_texts(papers, language) },
        },
    })
}

fn cookieconsent_texts(papers: &Papers, language: &Language) -> Value {
    let text = |key: &str| language.text(&format!("consent.{key}"));
    let about = json!({ "title": text("about"), "description": text("about-text") });
    let section = |class: &Class| {
        let headers = json!({
            "name": language.text("column.name"),
            "purpose": language.text("column.item-purpose"),
            "duration": language.text("column.duration"),
            "type": language.text("column.type"),
        });
        let rows: Vec<Value> = class.items.iter().map(row).collect();
        let mut section =
            json!({ "title": class.name, "description": class.description, "linkedCategory": class.class });
        if let Some(section) = section.as_object_mut().filter(|_| !rows.is_empty()) {
            section.insert("cookieTable".to_owned(), json!({ "headers": headers, "body": rows }));
        }
        section
    };
    let sections: Vec<Value> = std::iter::once(about).chain(papers.classes.iter().map(section)).collect();
    let mut modal = json!({
        "title": text("title"),
        "description": text("description"),
        "acceptAllBtn": text("accept-all"),
        "acceptNecessaryBtn": text("reject-all"),
        "showPreferencesBtn": text("manage"),
    });
    if let (Some(policy), Some(modal)) = (&papers.policy, modal.as_object_mut()) {
        modal.insert("footer".to_owned(), format!("<a href=\"{}\">{}</a>", html(policy), html(&text("policy"))).into());
    }
    json!({
        "consentModal": modal,
        "preferencesModal": {
            "title": text("preferences"),
            "acceptAllBtn": text("accept-all"),
            "acceptNecessaryBtn": text("reject-all"),
            "savePreferencesBtn": text("save"),
            "closeIconLabel": text("close"),
            "serviceCounterLabel": text("services"),
            "sections": sections,
        },
    })
}

/// The manager takes its texts for HTML.
fn row(item: &Item) -> Value {
    json!({
        "name": html(&item.name),
        "purpose": html(&item.purpose),
        "duration": html(&item.duration),
        "type": html(&item.kind_name),
    })
}

fn html(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    crate::report::html::markup::escape(text, &mut told);
    told
}

/// The script that starts vanilla-cookieconsent.
pub(super) fn cookieconsent_script(papers: &Papers, language: &Language) -> Result<String, PaperError> {
    let cleared: Map<String, Value> = papers
        .classes
        .iter()
        .filter(|class| class.needs_consent)
        .map(|class| (class.class.to_owned(), cleared(papers, class.items.iter())))
        .collect();
    let body = script(papers, &cookieconsent(papers, language), cleared, include_str!("consent/cookieconsent.js"))?;
    Ok(format!("{}\n(function () {{\n{body}}})();\n", heading(papers)))
}

/// The configuration of Klaro.
pub(super) fn klaro(papers: &Papers, language: &Language) -> Value {
    let mut services = Vec::new();
    for class in &papers.classes {
        for id in processors(papers, class) {
            let items = class.items.iter().filter(|item| item.processor == id);
            let title =
                language.told("consent.service-of", &[("product", product(papers, id)), ("class", &class.name)]);
            services.push(json!({
                "name": service(id, class.class),
                "title": title,
                "description": class.description,
                "purposes": [class.class],
                "required": !class.needs_consent,
                "default": !class.needs_consent,
                "cookies": if class.needs_consent { names(papers, items, "cookie") } else { BTreeSet::new() },
            }));
        }
    }
    let purposes: Map<String, Value> = papers
        .classes
        .iter()
        .map(|class| (class.class.to_owned(), json!({ "title": class.name, "description": class.description })))
        .collect();
    let mut texts = klaro_texts(language);
    if let Some(texts) = texts.as_object_mut() {
        texts.insert("purposes".to_owned(), purposes.into());
        texts.extend(papers.policy.iter().map(|policy| ("privacyPolicyUrl".to_owned(), policy.clone().into())));
    }
    json!({
        "version": 1,
        "register": papers.stamp,
        "lang": language.code(),
        "acceptAll": true,
        "mustConsent": false,
        "translations": { language.code(): texts },
        "services": services,
    })
}

/// Every text that a visitor may see: those that Klaro brings are not all translated.
fn klaro_texts(language: &Language) -> Value {
    let text = |key: &str| language.text(&format!("consent.{key}"));
    json!({
        "consentNotice": {
            "title": text("title"),
            "description": text("description"),
            "learnMore": text("manage"),
            "changeDescription": text("changed"),
        },
        "consentModal": { "title": text("preferences"), "description": text("about-text") },
        "privacyPolicy": { "name": text("policy"), "text": text("policy-text") },
        "purposeItem": { "service": text("service"), "services": text("several-services") },
        "service": {
            "disableAll": { "title": text("all"), "description": text("all-text") },
            "required": { "title": text("required"), "description": text("required-text") },
            "purpose": text("purpose"),
            "purposes": text("purposes"),
        },
        "ok": text("accept-all"),
        "acceptAll": text("accept-all"),
        "acceptSelected": text("save"),
        "save": text("save"),
        "decline": text("reject-all"),
        "close": text("close"),
    })
}

fn service(processor: &str, class: &str) -> String {
    format!("{processor}-{class}")
}

/// The script that Klaro loads: a global `klaroConfig`.
pub(super) fn klaro_script(papers: &Papers, language: &Language) -> Result<String, PaperError> {
    let mut by_service = Map::new();
    for class in papers.classes.iter().filter(|class| class.needs_consent) {
        for id in processors(papers, class) {
            let items = class.items.iter().filter(|item| item.processor == id);
            by_service.insert(service(id, class.class), cleared(papers, items));
        }
    }
    let body = script(papers, &klaro(papers, language), by_service, include_str!("consent/klaro.js"))?;
    Ok(format!("{}\nvar klaroConfig = (function () {{\n{body}}})();\n", heading(papers)))
}

/// What both scripts are made of: the configuration, what is cleared and what is left alone, and what is done with it.
fn script(papers: &Papers, config: &Value, cleared: Map<String, Value>, act: &str) -> Result<String, PaperError> {
    let config = script_value(config)?;
    let cleared = script_value(&Value::Object(cleared))?;
    let kept = script_value(&left_alone(papers))?;
    Ok(format!("\"use strict\";\nvar config = {config};\nvar cleared = {cleared};\nvar kept = {kept};\n{CLEAR}{act}"))
}

fn heading(papers: &Papers) -> String {
    let stamped = crate::visible::visible(&papers.stamped).replace("*/", "* /");
    format!("/* {stamped} forgetd {}. */", papers.program)
}

/// A value as a part of a script, also of one that stands in a page, whatever encoding it is served in.
fn script_value(value: &Value) -> Result<String, PaperError> {
    let json = serde_json::to_string_pretty(value)?;
    let mut script = String::with_capacity(json.len());
    let mut units = [0; 2];
    for character in json.chars() {
        match character {
            '<' => script.push_str("\\u003c"),
            ascii if ascii.is_ascii() => script.push(ascii),
            other => {
                for unit in other.encode_utf16(&mut units) {
                    script.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    Ok(script)
}
