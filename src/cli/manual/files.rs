//! The manual pages of the configuration files, section 5, from the schemas that editors read.

use roff::{Roff, bold, italic, roman};
use serde_json::{Map, Value};

/// The page's name, the file, its schema.
const FILES: [(&str, &str, &str); 4] = [
    ("forgetd.toml", "/etc/forgetd/forgetd.toml", include_str!("../../../config/schema/forgetd.schema.json")),
    (
        "forgetd-categories.toml",
        "/etc/forgetd/categories.toml",
        include_str!("../../../config/schema/categories.schema.json"),
    ),
    (
        "forgetd-processor.toml",
        "/etc/forgetd/processors/*.toml",
        include_str!("../../../config/schema/processor.schema.json"),
    ),
    ("forgetd-site.toml", "/etc/forgetd/sites/*.toml", include_str!("../../../config/schema/site.schema.json")),
];

/// Each page with the name of its file.
pub(super) fn pages() -> std::io::Result<Vec<(String, String)>> {
    FILES.iter().map(|(name, file, schema)| Ok((format!("{name}.5"), page(name, file, schema)?))).collect()
}

fn page(name: &str, file: &str, schema: &str) -> std::io::Result<String> {
    let schema: Value = serde_json::from_str(schema)?;
    let mut page = Roff::new();
    page.control("TH", [name, "5", "", "forgetd", "Configuration of forgetd"]);
    page.control("SH", ["NAME"]).text([roman(format!("{name} - {}", first_sentence(&schema)))]);
    page.control("SH", ["SYNOPSIS"]).text([bold(file)]);
    page.control("SH", ["KEYS"]);
    let mut tables = Tables { schema: &schema, waiting: Vec::new(), told: Vec::new() };
    tables.keys(&schema, "", &mut page);
    tables.rest(&mut page);
    page.control("SH", ["SEE ALSO"]);
    let others = FILES.iter().filter(|(other, ..)| *other != name).map(|(other, ..)| format!("{other}(5)"));
    let others: Vec<String> = std::iter::once("forgetd(8)".to_owned()).chain(others).collect();
    page.text([roman(others.join(", "))]);
    Ok(page.to_roff())
}

/// Tables of a file, each told once.
struct Tables<'s> {
    schema: &'s Value,
    /// Those that keys led to, with how they are written.
    waiting: Vec<(String, &'s Value)>,
    /// Definitions that were told, with how they were written.
    told: Vec<(String, &'s str)>,
}

impl<'s> Tables<'s> {
    fn rest(&mut self, page: &mut Roff) {
        while !self.waiting.is_empty() {
            let (name, table) = self.waiting.remove(0);
            page.control("SS", [name.as_str()]).text([roman(described(table))]);
            self.keys(table, &name, page);
        }
    }

    /// The keys of one table.
    fn keys(&mut self, table: &'s Value, name: &str, page: &mut Roff) {
        let mandatory = table["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (key, value) in members(&table["properties"]) {
            let is_mandatory = mandatory.iter().any(|wanted| wanted == key);
            page.control("TP", []).text([bold(key), roman(bounds(value, is_mandatory))]);
            let see = self.follow(name, key, value);
            page.text([roman(described(value)), roman(if see.is_empty() { "" } else { " See " }), italic(see)]);
        }
    }

    /// Has the table behind a key told, and says where, if there is one.
    fn follow(&mut self, name: &str, key: &str, value: &'s Value) -> String {
        let inner = if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        if let Some(list) = value.get("items") {
            return self.target(&inner, list);
        }
        if let Some(each) = value.get("additionalProperties").filter(|each| each.is_object()) {
            return self.target(&format!("{inner}.NAME"), each);
        }
        self.target(&inner, value)
    }

    fn target(&mut self, name: &str, value: &'s Value) -> String {
        let reference = value["$ref"].as_str().or_else(|| value["allOf"][0]["$ref"].as_str());
        if let Some(reference) = reference {
            if let Some((told, _)) = self.told.iter().find(|(_, known)| *known == reference) {
                return told.clone();
            }
            self.told.push((name.to_owned(), reference));
            let place = reference.trim_start_matches('#');
            return self.schema.pointer(place).map(|found| self.target(name, found)).unwrap_or_default();
        }
        let choices = value["oneOf"].as_array().or_else(|| value["anyOf"].as_array());
        let tables: Vec<&'s Value> = match choices {
            Some(choices) => choices.iter().filter(|choice| choice.get("properties").is_some()).collect(),
            None if value.get("properties").is_some() => vec![value],
            None => Vec::new(),
        };
        let found = !tables.is_empty();
        self.waiting.extend(tables.into_iter().map(|table| (name.to_owned(), table)));
        if found { name.to_owned() } else { String::new() }
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn described(value: &Value) -> String {
    value["description"].as_str().unwrap_or_default().to_owned()
}

/// What follows the dash of a NAME section: one line without a full stop.
fn first_sentence(value: &Value) -> String {
    described(value).trim_end_matches('.').to_owned()
}

/// What may be written, and what holds where nothing is.
fn bounds(value: &Value, is_mandatory: bool) -> String {
    let mut said = Vec::new();
    if let Some(choices) = value["enum"].as_array() {
        said.push(choices.iter().map(Value::to_string).collect::<Vec<_>>().join(", "));
    } else if let Some(kind) = value["type"].as_str() {
        let (least, most) = (&value["minimum"], &value["maximum"]);
        said.push(match (kind, least.is_null(), most.is_null()) {
            ("object", ..) => "a table".to_owned(),
            ("array", ..) => "a list".to_owned(),
            ("integer", false, false) => format!("{least} to {most}"),
            ("integer", ..) => "a whole number".to_owned(),
            ("number", ..) => "a number above 0, at most 1".to_owned(),
            ("boolean", ..) => "true or false".to_owned(),
            _ if value["format"] == "date" => "a date".to_owned(),
            _ => "text".to_owned(),
        });
    }
    if is_mandatory {
        said.push("mandatory".to_owned());
    }
    if let Some(default) = value.get("default") {
        said.push(format!("default: {default}"));
    }
    if said.is_empty() { String::new() } else { format!(" ({})", said.join("; ")) }
}
