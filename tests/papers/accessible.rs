//! The pages as a browser has them: no violation of the rules that axe-core knows, on a phone and on a desk.

use std::fs;
use std::process::Command;

use super::roles::{STORE, of_a_client};
use super::{ALL, FORMS, export, npm, shop};

/// Of version 4.10.2, as npm publishes it.
const DIGEST: &str = "9ea2d2d6917da998122bdacfd3b473e31ead53f4b87146c716a12edf89158100";

/// What is put behind a page: it writes what it found where it can be read from outside.
const JUDGE: &str = "<script>axe.run().then(found => { document.documentElement.dataset.found = JSON.stringify( \
    found.violations.map(one => one.id + ': ' + one.nodes[0].html)); \
    document.documentElement.dataset.passed = found.passes.length; });</script>";

fn axe() -> String {
    fs::read_to_string(npm::package("axe-core", "4.10.2", DIGEST).join("axe.min.js")).unwrap()
}

/// The page after its scripts have run.
fn rendered(page: &str, width: u32) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("page.html");
    fs::write(&file, page).unwrap();
    let ran = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
        .arg(format!("--window-size={width},900"))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn no_page_has_anything_that_keeps_a_reader_out() {
    let (own, of_another, axe) = (shop(ALL, ""), of_a_client(ALL, STORE), axe());
    let client = [("article30-processor", &["html"][..])];
    let all = FORMS.iter().map(|one| (&own, *one)).chain(client.map(|one| (&of_another, one)));
    for (shop, (paper, forms)) in all {
        let Some(form) = ["page", "html"].into_iter().find(|form| forms.contains(form)) else { continue };
        for (language, width) in [("en", 390), ("cs", 1280)] {
            let page = export(shop, paper, form, &["--lang", language]);
            // Which forbids all scripts, the judge's too.
            let page = page.replace("http-equiv=\"Content-Security-Policy\"", "name=\"policy\"");
            let judged = rendered(&format!("{page}<script>{axe}</script>{JUDGE}"), width);
            let root = &judged[judged.find("<html").unwrap()..];
            let root = &root[..root.find('>').unwrap()];
            assert!(root.contains("data-found=\"[]\""), "{paper}, {language}, {width}: {root}");
            assert!(!root.contains("data-passed=\"0\""), "{paper}: nothing was judged");
        }
    }
}
