//! One language: the texts of the papers, and translations of what is declared.
//!
//! `texts.toml` has the sentences of the papers by a key. `facts.toml` has translations of texts that stand in the
//! configuration, by those texts, for the configuration has no keys for them. Files of the same names below `templates`
//! of the configuration directory come on top, text by text, so an operator changes one sentence without keeping the
//! others; a language of its own is two such files.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use toml::{Table, Value};

use super::{PaperError, embedded};
use crate::config::{Lifetime, Period};

/// A file of texts is a hundredth of it.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Says in `facts.toml` that declarations are written in its language.
const AS_WRITTEN: &str = "as-written";

/// As many missing texts as an error names.
const EXAMPLES: usize = 5;

/// Texts by their keys.
pub(super) type Texts = BTreeMap<String, String>;

/// The texts and translations of one language.
#[derive(Debug)]
pub struct Language {
    code: String,
    texts: Texts,
    facts: BTreeMap<String, String>,
    /// The declarations are in this language.
    as_written: bool,
    templates: Option<PathBuf>,
    untranslated: RefCell<BTreeSet<String>>,
}

impl Language {
    /// The texts of `code`, with those of the operator in `directory`, the configuration's, on top.
    ///
    /// # Errors
    /// There are none, one is missing, or a file of the operator's cannot be read.
    pub fn load(code: &str, directory: Option<&Path>) -> Result<Language, PaperError> {
        let is_code = !code.is_empty() && code.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let unknown =
            || PaperError::UnknownLanguage { language: code.to_owned(), known: embedded::LANGUAGES.join(", ") };
        if !is_code {
            // It becomes a part of a path.
            return Err(unknown());
        }
        let templates = directory.map(|directory| directory.join("templates")).filter(|path| path.is_dir());
        let mut language = Language {
            code: code.to_owned(),
            texts: BTreeMap::new(),
            facts: BTreeMap::new(),
            as_written: false,
            templates,
            untranslated: RefCell::default(),
        };
        let own = |name: &str| language.own_file(&format!("{code}/{name}"));
        let (texts, facts) = (own("texts.toml")?, own("facts.toml")?);
        if embedded::texts(code).is_none() && texts.is_none() {
            return Err(unknown());
        }
        for text in [embedded::texts(code).map(str::to_owned), texts].into_iter().flatten() {
            flatten("", parse(&format!("templates/{code}/texts.toml"), &text)?, &mut language.texts);
        }
        for text in [embedded::facts(code).map(str::to_owned), facts].into_iter().flatten() {
            language.add_facts(parse(&format!("templates/{code}/facts.toml"), &text)?);
        }
        language.must_be_complete()?;
        language.read_english()?;
        Ok(language)
    }

    /// Declarations are taken for English unless a language of the operator's says that they are written in it. Then only
    /// what ships is English as it stands.
    fn read_english(&mut self) -> Result<(), PaperError> {
        if self.code != embedded::COMPLETE {
            return Ok(());
        }
        let Some(directories) = self.templates.as_ref().and_then(|templates| std::fs::read_dir(templates).ok()) else {
            return Ok(());
        };
        let directories = directories.flatten().filter(|entry| entry.path().is_dir());
        let codes = directories.filter_map(|entry| entry.file_name().into_string().ok());
        for code in codes.filter(|code| code != embedded::COMPLETE) {
            let name = format!("{code}/facts.toml");
            let Some(text) = self.own_file(&name)? else { continue };
            if parse(&format!("templates/{name}"), &text)?.get(AS_WRITTEN) == Some(&Value::Boolean(true)) {
                self.as_written = false;
                for shipped in embedded::shipped_facts() {
                    self.facts.entry(shipped.clone()).or_insert(shipped);
                }
            }
        }
        Ok(())
    }

    fn add_facts(&mut self, mut file: Table) {
        if let Some(Value::Boolean(as_written)) = file.get(AS_WRITTEN) {
            self.as_written = *as_written;
        }
        if let Some(Value::Table(facts)) = file.remove("facts") {
            let texts = facts.into_iter().filter_map(|(text, told)| Some((text, told.as_str()?.to_owned())));
            self.facts.extend(texts);
        }
    }

    fn must_be_complete(&self) -> Result<(), PaperError> {
        let mut all = BTreeMap::new();
        let complete = embedded::texts(embedded::COMPLETE).unwrap_or_default();
        flatten("", parse("templates/en/texts.toml", complete)?, &mut all);
        if let Some(unknown) = self.texts.keys().find(|key| !all.contains_key(*key)) {
            let name = format!("templates/{}/texts.toml", self.code);
            let problem = format!("no paper has a text `{unknown}`: see the keys of the built-in file");
            return Err(PaperError::Unreadable { path: PathBuf::from(name), problem });
        }
        let missing: Vec<&str> = all.keys().filter(|key| !self.texts.contains_key(*key)).map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let examples = missing.iter().take(EXAMPLES).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        Err(PaperError::MissingTexts { language: self.code.clone(), count: missing.len(), examples })
    }

    /// A file of the operator's; none where there is none.
    pub(super) fn own_file(&self, name: &str) -> Result<Option<String>, PaperError> {
        let Some(path) = self.templates.as_ref().map(|templates| templates.join(name)) else { return Ok(None) };
        let unreadable = |problem: String| PaperError::Unreadable { path: path.clone(), problem };
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error.to_string())),
            // A FIFO would be waited for.
            Ok(metadata) if !metadata.is_file() => return Err(unreadable("this is not a regular file".to_owned())),
            Ok(_) => {}
        }
        let mut text = String::new();
        let file = File::open(&path).map_err(|error| unreadable(error.to_string()))?;
        let read =
            file.take(LARGEST_FILE + 1).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
        if u64::try_from(read).is_ok_and(|read| read > LARGEST_FILE) {
            return Err(unreadable("the file is larger than 1 MiB".to_owned()));
        }
        Ok(Some(text))
    }

    /// `en`, `cs`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The text of that key; none for a key that nobody wrote a text for.
    pub(super) fn text_of(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }

    /// Every text.
    pub(super) fn texts(&self) -> Texts {
        self.texts.clone()
    }

    /// A text that every language has.
    pub(super) fn text(&self, key: &str) -> String {
        self.text_of(key).unwrap_or(key).to_owned()
    }

    /// The same with values in the places that its names in braces hold.
    pub(super) fn told(&self, key: &str, values: &[(&str, &str)]) -> String {
        filled(&self.text(key), |name| values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    }

    /// A declared text. One that has no translation is remembered: see [`Language::translated`].
    pub(super) fn fact(&self, text: &str) -> String {
        match self.facts.get(text) {
            Some(told) => told.clone(),
            None if self.as_written => text.to_owned(),
            None => {
                self.untranslated.borrow_mut().insert(text.to_owned());
                text.to_owned()
            }
        }
    }

    /// What stands for something that is not known.
    pub(super) fn missing(&self) -> String {
        self.text("missing")
    }

    /// `6 months`.
    pub(super) fn period(&self, period: Period) -> String {
        let text = period.to_string();
        let Some((count, unit)) = text.split_once(' ') else { return text };
        let unit = unit.trim_end_matches('s');
        let form = match count {
            "1" => "one",
            // Slavic languages have a form for a few; others write the same twice.
            "2" | "3" | "4" => "few",
            _ => "other",
        };
        self.told(&format!("period.{unit}.{form}"), &[("n", count)])
    }

    /// How long a storage item lives.
    pub(super) fn lifetime(&self, lifetime: Lifetime) -> String {
        match lifetime {
            Lifetime::For(period) => self.period(period),
            Lifetime::Session => self.text("lifetime.session"),
            Lifetime::UntilDeleted => self.text("lifetime.until-deleted"),
        }
    }

    /// `10 January 2026` of `2026-01-10`.
    pub(super) fn date(&self, iso: &str) -> String {
        date(&self.texts, iso)
    }

    /// Whether every declared text that was told so far had a translation.
    ///
    /// # Errors
    /// Those that had none.
    pub(super) fn translated(&self) -> Result<(), PaperError> {
        let untranslated = self.untranslated.take();
        if untranslated.is_empty() {
            return Ok(());
        }
        let line = |text: &String| format!("{} = \"\"", Value::String(text.clone()));
        let texts = untranslated.iter().map(line).collect::<Vec<_>>().join("\n");
        Err(PaperError::MissingFacts { language: self.code.clone(), texts })
    }
}

/// A day as people write it; whatever is none stays as it is.
pub(super) fn date(texts: &Texts, iso: &str) -> String {
    let Ok(date) = iso.parse::<Date>() else { return iso.to_owned() };
    let text = |key: &str| texts.get(key).cloned().unwrap_or_default();
    let (day, month, year) =
        (date.day().to_string(), text(&format!("month.{}", date.month())), date.year().to_string());
    filled(&text("date"), |name| match name {
        "day" => Some(&day),
        "month" => Some(&month),
        "year" => Some(&year),
        _ => None,
    })
}

/// `text` with values in the places of the names in braces; a name without a value stays, so that it is seen.
pub(super) fn filled<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        told.push_str(before);
        let Some((name, after)) = behind.split_once('}') else {
            told.push('{');
            rest = behind;
            continue;
        };
        match value(name) {
            Some(value) => told.push_str(value),
            None => told.extend(["{", name, "}"]),
        }
        // A name may end with the full stop that ends the sentence: `Shop s.r.o.`
        rest = if told.ends_with('.') { after.strip_prefix('.').unwrap_or(after) } else { after };
    }
    told + rest
}

fn parse(name: &str, text: &str) -> Result<Table, PaperError> {
    text.parse().map_err(|error: toml::de::Error| PaperError::Unreadable {
        path: PathBuf::from(name),
        problem: error.to_string().trim_end().to_owned(),
    })
}

/// Sections of a file become keys with dots.
fn flatten(prefix: &str, table: Table, texts: &mut Texts) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(table) => flatten(&key, table, texts),
            Value::String(text) => drop(texts.insert(key, text)),
            other => drop(texts.insert(key, other.to_string())),
        }
    }
}
