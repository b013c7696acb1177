//! What ships with the program is whole: texts, translations, and the schemas of the JSON exports.

use std::collections::BTreeSet;
use std::path::Path;

use toml::{Table, Value};

use super::{article30, cookies, embedded};

/// A text of its own for each schema, beside the documents.
const SCHEMAS: &str = "docs/schemas";

fn keys(prefix: &str, table: &Table, found: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(table) => keys(&key, table, found),
            value => found.push((key, value.as_str().unwrap().to_owned())),
        }
    }
}

fn texts(language: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    keys("", &embedded::texts(language).unwrap().parse().unwrap(), &mut found);
    found.sort();
    found
}

fn places(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).map(|behind| behind.split('}').next().unwrap()).collect()
}

#[test]
fn every_language_has_the_same_texts_with_the_same_places() {
    let complete = texts(embedded::COMPLETE);
    for language in embedded::LANGUAGES {
        let told = texts(language);
        let names = |texts: &[(String, String)]| texts.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        assert_eq!(names(&told), names(&complete), "{language}");
        for ((key, text), (_, complete)) in told.iter().zip(&complete) {
            assert_eq!(places(text), places(complete), "{language}: {key}");
            assert_eq!(text.is_empty(), complete.is_empty(), "{language}: {key}");
        }
    }
}

/// Keys are put together from a prefix and what a value is called: those parts stand in a source or a template.
#[test]
fn every_text_is_asked_for_somewhere() {
    let mut sources = String::new();
    for directory in ["src/papers", "src/papers/build", "src/papers/templates"] {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let by_value = ["basis", "period", "month", "kind", "store", "class", "party", "column", "consent", "lifetime"];
    for (key, _) in texts(embedded::COMPLETE) {
        let (section, name) = key.split_once('.').unwrap_or(("", &key));
        let is_asked = sources.contains(&format!("\"{key}\""))
            || section == "article30" && sources.contains(&format!("\"{name}\""))
            || by_value.contains(&section)
                && (section != "column" && section != "consent" || sources.contains(&format!("\"{name}\"")));
        assert!(is_asked, "nobody asks for the text `{key}`");
    }
}

#[test]
fn what_ships_as_configuration_is_translated() {
    let facts = |language: &str| -> Table { embedded::facts(language).unwrap().parse().unwrap() };
    let told = facts("cs");
    let told = told["facts"].as_table().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let read = |file: &str| -> Table { std::fs::read_to_string(root.join(file)).unwrap().parse().unwrap() };
    let mut declared = Vec::new();
    for category in read("categories.toml")["category"].as_array().unwrap() {
        declared.push(category["name"].clone());
    }
    let smartsupp = read("processors/smartsupp.toml");
    for (section, key) in [("feature", "purpose"), ("data", "name"), ("item", "description"), ("location", "region")] {
        declared.extend(smartsupp[section].as_array().unwrap().iter().map(|table| table[key].clone()));
    }
    for text in declared {
        assert!(told.contains_key(text.as_str().unwrap()), "{text}");
    }
}

#[test]
fn the_published_schemas_are_those_of_the_exports() {
    let schemas = [
        ("article30", schemars::schema_for!(article30::Record<'static>)),
        ("article30-processor", schemars::schema_for!(article30::ProcessorRecord<'static>)),
        ("cookies", schemars::schema_for!(cookies::Overview<'static>)),
    ];
    for (name, schema) in schemas {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(SCHEMAS).join(format!("{name}.schema.json"));
        let schema = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("WRITE_SCHEMAS").is_some() {
            std::fs::write(&file, &schema).unwrap();
        }
        let published = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(published == schema, "{}: run this test with WRITE_SCHEMAS=1", file.display());
    }
}
