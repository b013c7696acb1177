//! Every form is what it says it is, by readers that are not ours, whatever is declared.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{ALL, CHAT, FORMS, Installation, export, npm, outline, piped, rows, shop, site};

/// A processor whose every text tries to be markup, a formula, or to turn the sentence around.
const HOSTILE: &str = r#"
id = "hostile"
product = "<script>alert(1)</script>"
name = "=cmd|'/c calc'!A0"
address = "\"><img src=x onerror=alert(1)>"
contact = "a|b`c`[d](javascript:e)"
[[location]]
region = "\u202edrawkcab\u2066"
[[feature]]
id = "chat"
purpose = "</script><script>alert(2)</script> {{ site }} {% raw %}"
lawful-basis = "consent"
[[data]]
name = "@SUM(A1)"
categories = ["contact.name"]
[[item]]
name = "';alert(3)//"
class = "marketing"
kind = "local-storage"
description = "*/ alert(4) /* --> <b>"
lifetime = "session"
[[statement]]
topic = "x"
text = "{name} <!-- "
"#;

fn hostile() -> Installation {
    let shop = shop(CHAT, "");
    shop.write("processors/hostile.toml", HOSTILE);
    let used = "[[processor]]\nid = \"hostile\"\nfeatures = [\"chat\"]\n[retention]";
    shop.write("sites/shop.example.toml", &site(ALL, "").replace("[retention]", used));
    shop
}

#[test]
fn pages_and_parts_of_pages_are_well_formed_and_fetch_nothing() {
    let shop = shop(ALL, "");
    for (paper, forms) in FORMS {
        for form in forms.iter().filter(|form| ["html", "page"].contains(form)) {
            for language in ["en", "cs"] {
                let html =
                    export(&shop, paper, form, &["--lang", language, "--policy", "https://shop.example/privacy"]);
                let page = outline(&html);
                let is_page = html.starts_with("<!doctype html>");
                assert_eq!(is_page, *form == "page" || !forms.contains(&"page"), "{paper} as {form}");
                if is_page {
                    assert_eq!(page["lang"], language);
                    assert_eq!((&page["elements"]["h1"], &page["elements"]["main"]), (&1.into(), &1.into()), "{paper}");
                    assert!(page["policy"].as_str().unwrap().starts_with("default-src 'none'"));
                    assert!(page["style"].as_str().unwrap().contains("@media print"));
                }
                for fetched in ["script", "link", "img", "iframe", "object", "form", "base"] {
                    assert_eq!(page["elements"][fetched], Value::Null, "{paper} as {form}: {fetched}");
                }
                for table in page["tables"].as_array().unwrap() {
                    let (head, rows) = (table["head"][0].as_array().unwrap(), table["rows"].as_array().unwrap());
                    assert!(!rows.is_empty() && !table["caption"].as_str().unwrap().trim().is_empty(), "{paper}");
                    assert!(rows.iter().all(|row| row.as_array().unwrap().len() == head.len()), "{paper}");
                    let scopes = table["scopes"].as_array().unwrap();
                    assert_eq!(scopes.iter().filter(|scope| **scope == "col").count(), head.len());
                    assert_eq!(scopes.iter().filter(|scope| **scope == "row").count(), rows.len());
                }
            }
        }
    }
}

#[test]
fn records_print_on_a_landscape_page() {
    let shop = shop(ALL, "");
    for paper in ["article30", "article30-processor"] {
        let page = outline(&export(&shop, paper, "html", &[]));
        assert!(page["style"].as_str().unwrap().contains("@page { size: A4 landscape;"), "{paper}");
    }
}

#[test]
fn the_scripts_of_consent_managers_hold_the_configuration_and_are_ascii() {
    let shop = shop(ALL, "");
    for (paper, begins) in [("cookieconsent", "var config = "), ("klaro", "var config = ")] {
        let script = export(&shop, paper, "js", &["--lang", "cs"]);
        let code = script.split_once("*/").unwrap().1;
        assert!(code.is_ascii(), "{paper}");
        let (_, config) = code.split_once(begins).unwrap();
        let (config, _) = config.split_once(";\nvar cleared").unwrap();
        let in_script: Value = serde_json::from_str(config).unwrap();
        let alone: Value = serde_json::from_str(&export(&shop, paper, "json", &["--lang", "cs"])).unwrap();
        assert_eq!(in_script, alone, "{paper}");
    }
}

#[test]
fn an_item_of_two_classes_is_not_cleared_when_one_of_them_is_refused() {
    let shop = shop(ALL, "");
    for paper in ["cookieconsent", "klaro"] {
        let script = export(&shop, paper, "js", &[]);
        let (_, cleared) = script.split_once("var cleared = ").unwrap();
        let cleared = cleared.split_once(";\n").unwrap().0;
        assert!(cleared.contains("\"ssupp_8f3c2avisits\"") && !cleared.contains("\"ssupp_8f3c2a\""), "{cleared}");
    }
}

#[test]
fn json_keeps_to_the_published_schemas() {
    let shop = shop(ALL, "");
    for paper in ["article30", "article30-processor", "cookies"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schemas/{paper}.schema.json"));
        let fields = fs::read_to_string(file).unwrap();
        let schema = serde_json::from_str(&fields).unwrap();
        jsonschema::meta::validate(&schema).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        for shop in [&shop, &hostile()] {
            schema.validate(&serde_json::from_str(&export(shop, paper, "json", &[])).unwrap()).unwrap();
        }
        assert!(fields.contains("\"register\"") && fields.contains("\"required\""), "{paper}");
    }
}

#[test]
fn a_table_has_a_line_for_each_activity_and_each_item() {
    let shop = shop(ALL, "store-ip = true");
    let activities = rows(&export(&shop, "article30", "csv", &[]));
    let references: Vec<&str> = activities.iter().map(|row| row["Reference"].as_str().unwrap()).collect();
    let expected =
        ["shop.example/smartsupp/chat", "shop.example/smartsupp/analytics", "shop.example/smartsupp/marketing"];
    assert_eq!(references, expected);
    let first = &activities[0];
    assert_eq!(first["Controller"], "Shop s.r.o.");
    assert_eq!(first["Controller: address"], "[missing]");
    assert_eq!(first["Categories of individuals"], "Visitors of the website shop.example");
    assert_eq!(
        first["Retention schedule"],
        "Contact details: 2 years; Conversations: 2 years; Visits to the website: 6 months; Geolocation: 30 days"
    );
    assert_eq!(rows(&export(&shop, "cookies", "csv", &[])).len(), 10, "the page lists ten items");
}

/// The columns of the ICO's template of a controller's register that Article 30(1) asks for, and of its lawful bases and
/// locations, by the words they begin with.
const ICO: [&str; 13] = [
    "Business function",
    "Purpose of processing",
    "Name and contact details of joint controller",
    "Categories of individuals",
    "Categories of personal data",
    "Categories of recipients",
    "contract with processor",
    "third countries or international organisations that personal data are transferred to",
    "Safeguards for",
    "Retention schedule",
    "General description of technical and organisational security measures",
    "Article 6 lawful basis for processing personal data",
    "Location of personal data",
];

#[test]
fn the_record_has_the_columns_of_the_icos_register_in_their_order() {
    let table = export(&shop(ALL, ""), "article30", "csv", &[]);
    let columns = table.lines().next().unwrap().to_lowercase();
    let mut from = 0;
    for column in ICO {
        let found = columns[from..].find(&column.to_lowercase());
        from += found.unwrap_or_else(|| panic!("`{column}` is not there, or not in its place: {columns}"));
    }
}

/// What SheetJS makes of the table on its standard input: cells by their columns, and how many are formulas.
const SPREADSHEET: &str = r#"
const sheets = require(process.argv[1]);
const book = sheets.read(require("fs").readFileSync(0), { type: "buffer", raw: true });
const sheet = book.Sheets[book.SheetNames[0]];
const formulas = Object.values(sheet).filter(cell => cell.f !== undefined).length;
console.log(JSON.stringify({ rows: sheets.utils.sheet_to_json(sheet, { defval: "" }), formulas }));
"#;

/// Of version 0.18.5, as npm publishes it.
const SHEETJS: &str = "5b23e25faa2472e50679e5f6ee52fced3ae4c4b1e46e8dfebb221c59747461ee";

#[test]
fn a_spreadsheet_reads_every_table_cell_by_cell_in_its_language_and_finds_no_formula() {
    let library = npm::package("xlsx", "0.18.5", SHEETJS).join("xlsx.js");
    for shop in [&shop(ALL, "store-ip = true"), &hostile()] {
        for paper in ["article30", "article30-processor", "cookies"] {
            let mut languages = vec!["en"];
            // What the hostile processor says is not translated.
            if !shop.config().join("processors/hostile.toml").exists() {
                languages.push("cs");
            }
            for language in languages {
                let table = export(shop, paper, "csv", &["--lang", language]);
                let read = piped(Command::new("node").args(["-e", SPREADSHEET]).arg(&library), &table);
                let read: Value = serde_json::from_str(&read).unwrap();
                assert_eq!(read["formulas"], 0, "{paper}");
                assert_eq!(read["rows"].as_array().unwrap(), &rows(&table), "{paper} in {language}");
            }
        }
    }
}

#[test]
fn whatever_is_declared_stays_text() {
    let shop = hostile();
    for (paper, forms) in FORMS {
        for form in forms {
            let text = export(&shop, paper, form, &[]);
            match *form {
                "html" | "page" => {
                    let page = outline(&text);
                    for element in ["script", "img", "b"] {
                        assert_eq!(page["elements"][element], Value::Null, "{paper} as {form}");
                    }
                    assert!(!text.contains('\u{202e}'), "{paper} as {form}");
                }
                "csv" => {
                    for cell in rows(&text)
                        .iter()
                        .flat_map(|row| row.as_object().unwrap().values().cloned().collect::<Vec<_>>())
                    {
                        assert!(!cell.as_str().unwrap().starts_with(['=', '+', '-', '@']), "{paper}: {cell}");
                    }
                }
                "md" => {
                    let read = text.replace("\\]", "");
                    assert!(
                        !read.contains("<script>") && !read.contains("](javascript:") && !read.contains('\u{202e}')
                    );
                }
                _ => {
                    assert!(!text.contains("</script>") || *form == "json", "{paper} as {form}");
                }
            }
        }
    }
    let notice = export(&shop, "privacy-notice", "md", &[]);
    assert!(notice.contains("{{ site }} {% raw %}"), "a declared text is no template: {notice}");
}

#[test]
fn what_holds_for_every_processor_is_said_once() {
    let shop = shop(ALL, "");
    let file = fs::read_to_string(shop.config().join("processors/smartsupp.toml")).unwrap();
    shop.write("processors/second.toml", &file.replace("id = \"smartsupp\"", "id = \"second\""));
    let used = "[[processor]]\nid = \"second\"\nchat-key = \"other\"\nfeatures = [\"chat\"]\n[retention]";
    shop.write("sites/shop.example.toml", &site(ALL, "").replace("[retention]", used));
    for form in ["html", "md"] {
        let notice = export(&shop, "privacy-notice", form, &[]);
        for sentence in ["We have a legitimate interest", "is processed automatically", "Advanced features are only"] {
            assert_eq!(notice.matches(sentence).count(), 1, "{form}: {sentence}");
        }
    }
}
