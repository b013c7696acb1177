//! What is built in: the texts of two languages, translations of the shipped declarations, and the templates.

/// Languages whose texts are built in.
pub(super) const LANGUAGES: [&str; 2] = ["en", "cs"];

/// The language that names every text there is: another one is whole when it has the same.
pub(super) const COMPLETE: &str = "en";

const TEXTS: [(&str, &str); 2] =
    [("en", include_str!("templates/en/texts.toml")), ("cs", include_str!("templates/cs/texts.toml"))];

const FACTS: [(&str, &str); 2] =
    [("en", include_str!("templates/en/facts.toml")), ("cs", include_str!("templates/cs/facts.toml"))];

const TEMPLATES: [(&str, &str); 12] = [
    ("macros.html", include_str!("templates/macros.html")),
    ("page.html", include_str!("templates/page.html")),
    ("article30.html", include_str!("templates/article30.html")),
    ("article30-processor.html", include_str!("templates/article30-processor.html")),
    ("privacy-notice.html", include_str!("templates/privacy-notice.html")),
    ("privacy-notice.md", include_str!("templates/privacy-notice.md")),
    ("visitor-notice.html", include_str!("templates/visitor-notice.html")),
    ("visitor-notice.md", include_str!("templates/visitor-notice.md")),
    ("cookies.html", include_str!("templates/cookies.html")),
    ("cookies.md", include_str!("templates/cookies.md")),
    ("agreement-annex.html", include_str!("templates/agreement-annex.html")),
    ("agreement-annex.md", include_str!("templates/agreement-annex.md")),
];

fn find(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// `texts.toml` of a language.
pub(super) fn texts(language: &str) -> Option<&'static str> {
    find(&TEXTS, language)
}

/// `facts.toml` of a language.
pub(super) fn facts(language: &str) -> Option<&'static str> {
    find(&FACTS, language)
}

/// Declared texts that ship: every one of them has a translation.
pub(super) fn shipped_facts() -> impl Iterator<Item = String> {
    let translations = facts("cs").and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
    let facts = translations.get("facts").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    facts.into_iter().map(|(text, _)| text)
}

/// A template.
pub(super) fn template(name: &str) -> Option<&'static str> {
    find(&TEMPLATES, name)
}
