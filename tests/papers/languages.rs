//! A paper is in one language; what an operator writes comes before what is built in.

use std::fs;

use super::{ALL, FORMS, Installation, export, shop, site};

/// Writes a file below `templates`.
fn template(shop: &Installation, name: &str, text: &str) {
    let path = shop.config().join("templates").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn every_paper_is_written_in_czech_and_in_english() {
    let shop = shop(ALL, "store-ip = true");
    for (paper, forms) in FORMS {
        for form in forms {
            let (english, czech) = (export(&shop, paper, form, &[]), export(&shop, paper, form, &["--lang", "cs"]));
            assert_ne!(english, czech, "{paper} as {form}");
            for word in ["Answering", "Recognises", "Controller", "Contact details", "[missing]", "legitimate interest"]
            {
                assert!(!czech.contains(word), "{paper} as {form}: {word}");
            }
        }
    }
}

#[test]
fn the_legal_terms_are_those_of_czech_law() {
    let shop = shop(ALL, "");
    let notice = export(&shop, "privacy-notice", "md", &["--lang", "cs"]);
    for term in [
        "Správcem vašich osobních údajů je Shop s.r.o.",
        "oprávněný zájem (čl. 6 odst. 1 písm. f) GDPR)",
        "souhlas (čl. 6 odst. 1 písm. a) GDPR)",
        "Smartsupp.com, s.r.o., IČO: 036 68 681, se sídlem Šumavská 31, 602 00 Brno",
        "Doba uložení",
        "předání do třetích zemí",
        "Zpracovatelé",
        "6 měsíců",
        "2 roky",
        "30 dnů",
        "podat stížnost u dozorového úřadu (čl. 77 GDPR)",
    ] {
        assert!(notice.contains(term), "{term}: {notice}");
    }
}

#[test]
fn a_declared_text_without_a_translation_is_an_error_and_not_a_mixture() {
    let shop = shop(ALL, "");
    let file = fs::read_to_string(shop.config().join("processors/smartsupp.toml")).unwrap();
    let own = "Selling \\\"more\\\" shoes";
    let changed = file.replace("\\\"Smart\\\" analytics features", own);
    assert_ne!(file, changed);
    shop.write("processors/smartsupp.toml", &changed);
    let refused = shop.run(&["register", "export", "privacy-notice", "--lang", "cs"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    let lines: Vec<&str> = refused.stderr.lines().collect();
    assert!(lines[0].ends_with("these declared texts have no translation:"), "{refused:?}");
    // The line is to be copied: it is TOML.
    let line: toml::Table = lines[1].parse().unwrap();
    assert_eq!(line["Selling \"more\" shoes"].as_str(), Some(""));
    assert!(lines[2].contains("templates/cs/facts.toml"), "{refused:?}");
    assert!(export(&shop, "privacy-notice", "md", &[]).contains("Selling \"more\" shoes"));

    template(&shop, "cs/facts.toml", "[facts]\n\"Selling \\\"more\\\" shoes\" = \"Prodej bot\"\n");
    assert!(export(&shop, "privacy-notice", "md", &["--lang", "cs"]).contains("Prodej bot"));
    template(&shop, "cs/facts.toml", "as-written = true\n");
    let in_english = shop.run(&["register", "export", "privacy-notice"]);
    assert_eq!(in_english.code, 1, "what is written in Czech is no English: {in_english:?}");
    assert!(in_english.stderr.contains("\n'Selling \"more\" shoes' = \"\"\n"), "{in_english:?}");
    template(&shop, "en/facts.toml", "[facts]\n'Selling \"more\" shoes' = \"Shoes\"\n");
    assert!(export(&shop, "privacy-notice", "md", &[]).contains("Shoes"));
    let as_written = export(&shop, "privacy-notice", "md", &["--lang", "cs"]);
    assert!(as_written.contains("Selling \"more\" shoes") && as_written.contains("Kontaktní údaje"), "{as_written}");
}

#[test]
fn a_language_of_one_s_own_must_be_whole() {
    let shop = shop(ALL, "");
    let unknown = shop.run(&["register", "export", "cookies", "--lang", "de"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("there are en, cs"), "{unknown:?}");
    let outside = shop.run(&["register", "export", "cookies", "--lang", "../en"]);
    assert_eq!(outside.code, 1, "{outside:?}");

    template(&shop, "de/texts.toml", "missing = \"[fehlt]\"\n");
    let half = shop.run(&["register", "export", "cookies", "--lang", "de"]);
    assert_eq!(half.code, 1);
    assert!(half.stderr.contains("texts are missing, such as"), "{half:?}");

    let english = include_str!("../../src/papers/templates/en/texts.toml");
    template(&shop, "de/texts.toml", &english.replace("first party", "Erstanbieter"));
    template(&shop, "de/facts.toml", "as-written = true\n");
    assert!(export(&shop, "cookies", "md", &["--lang", "de"]).contains("Erstanbieter"));
}

#[test]
fn a_sentence_and_a_whole_template_can_be_the_operator_s() {
    let shop = shop(ALL, "");
    template(&shop, "en/texts.toml", "[measures]\nother = \"Disks are encrypted\"\n[notice]\ntitle = \"Your data\"\n");
    let notice = export(&shop, "privacy-notice", "md", &[]);
    assert!(notice.starts_with("## Your data\n") && notice.contains("Who is responsible"), "{notice}");
    assert!(export(&shop, "article30", "csv", &[]).contains("Disks are encrypted"));

    template(&shop, "en/texts.toml", "[notice]\ntitel = \"Your data\"\n");
    let unknown = shop.run(&["register", "export", "privacy-notice"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("templates/en/texts.toml: no paper has a text `notice.titel`"), "{unknown:?}");
    fs::remove_file(shop.config().join("templates/en/texts.toml")).unwrap();

    template(&shop, "visitor-notice.html", "<p>{{ controller.name }} &amp; {{ t(\"visitor-notice.link\") }}</p>\n");
    assert_eq!(export(&shop, "visitor-notice", "html", &[]), "<p>Shop s.r.o. &amp; Privacy policy</p>\n");
    for (broken, named) in [
        ("<p>{{ controler.name }}</p>", "line 1"),
        ("<p>{{ t(\"no-such-text\") }}</p>", "there is no text `no-such-text`"),
        ("{% if %}", "visitor-notice.html"),
    ] {
        template(&shop, "visitor-notice.html", broken);
        let refused = shop.run(&["register", "export", "visitor-notice"]);
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{broken}");
        assert!(refused.stderr.contains(named), "{broken}: {refused:?}");
    }
}

#[test]
fn what_is_called_wrongly_is_told() {
    let shop = shop(ALL, "");
    let form = shop.run(&["register", "export", "klaro", "--format", "csv"]);
    assert_eq!(form.code, 2);
    assert!(form.stderr.contains("klaro is written as js, json, not as csv"), "{form:?}");
    assert_eq!(shop.run(&["register", "export", "poems"]).code, 2);
    assert_eq!(shop.run(&["register", "export", "cookies", "--site", "none.example"]).code, 2);
    for policy in ["javascript:alert(1)", "https://a\"b", "privacy page"] {
        assert_eq!(shop.run(&["register", "export", "visitor-notice", "--policy", policy]).code, 2, "{policy}");
    }
    shop.write("sites/other.example.toml", &site(ALL, "").replace("shop.example", "other.example"));
    let which = shop.run(&["register", "export", "cookies"]);
    assert_eq!(which.code, 2);
    assert!(which.stderr.contains("choose one with `--site`"), "{which:?}");
    assert_eq!(shop.run(&["register", "export", "cookies", "--json", "--site", "other.example"]).code, 0);
}
