//! The pages as a validator has them that is not ours: html-validate, with the rules of the standard.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::roles::{STORE, of_a_client};
use super::{ALL, FORMS, export, shop};

const PACKAGE: &str = "html-validate@9.5.2";

/// Where the validator is: fetched once.
fn validator() -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("html-validate");
    let program = directory.join("node_modules/.bin/html-validate");
    if !program.exists() {
        fs::create_dir_all(&directory).unwrap();
        let install = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", ".", PACKAGE];
        let fetched = Command::new("npm").args(install).current_dir(&directory).output().unwrap();
        assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    }
    program
}

#[test]
fn every_page_keeps_to_the_standard() {
    let (shop, validator, pages) = (shop(ALL, ""), validator(), tempfile::tempdir().unwrap());
    let standard = r#"{ "root": true, "extends": ["html-validate:standard"] }"#;
    fs::write(pages.path().join(".htmlvalidate.json"), standard).unwrap();
    for (paper, forms) in FORMS {
        for form in forms.iter().filter(|form| matches!(**form, "html" | "page")) {
            for language in ["en", "cs"] {
                let page = export(&shop, paper, form, &["--lang", language]);
                fs::write(pages.path().join(format!("{paper}-{form}-{language}.html")), page).unwrap();
            }
        }
    }
    let client = of_a_client(ALL, STORE);
    for paper in ["article30-processor", "agreement-annex", "privacy-notice"] {
        fs::write(pages.path().join(format!("{paper}-of-a-client.html")), export(&client, paper, "html", &[])).unwrap();
    }
    let judge = || Command::new(&validator).arg(".").current_dir(pages.path()).output().unwrap();
    let judged = judge();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
    // And it does look.
    fs::write(pages.path().join("broken.html"), "<!doctype html><html lang=\"en\"><p><div></div></p></html>").unwrap();
    assert!(!judge().status.success());
}
