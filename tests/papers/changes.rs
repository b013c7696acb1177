//! Which version a paper was written from, and what changed in the papers since a day.

use rusqlite::Connection;
use serde_json::Value;

use super::{ALL, CHAT, FORMS, Installation, export, rows, shop, site};

/// Brings the files as they stand into force.
fn apply(shop: &Installation) {
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
}

/// Moves everything that was recorded so far to the year 2026.
fn backdate(shop: &Installation, to: &str) {
    let register = Connection::open(shop.state().join("register.db")).unwrap();
    register.execute("UPDATE configuration_files SET valid_from = ?1", [to]).unwrap();
    register.execute("UPDATE configuration_versions SET applied_at = ?1", [to]).unwrap();
}

#[test]
fn every_paper_carries_the_date_and_the_version_of_the_register() {
    let shop = shop(ALL, "");
    assert!(export(&shop, "cookies", "md", &[]).contains("From a register that is not in force yet"));
    apply(&shop);
    backdate(&shop, "2026-03-01T23:30:00.000000Z");
    for (paper, forms) in FORMS {
        for form in forms {
            let text = export(&shop, paper, form, &[]);
            match *form {
                "json" => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    // Half past eleven in the evening of UTC is the next day in Prague.
                    let register = &value["register"];
                    assert_eq!((&register["version"], &register["date"]), (&1.into(), &"2026-03-02".into()), "{paper}");
                    assert_eq!(register["digest"].as_str().unwrap().len(), 12);
                }
                "csv" => {
                    for row in rows(&text) {
                        let stamp = (&row["Register: date"], &row["Register: version"]);
                        assert_eq!(stamp, (&"2026-03-02".into(), &"1".into()), "{paper}");
                    }
                }
                _ => {
                    let stamp = "From version 1 of the register, in force since 2 March 2026";
                    assert!(text.contains(stamp), "{paper} as {form}: {text}");
                }
            }
        }
    }
    assert_eq!(export(&shop, "cookies", "md", &[]), export(&shop, "cookies", "md", &[]), "the same text every time");
}

#[test]
fn what_changed_in_the_papers_is_told_line_by_line() {
    let shop = shop(CHAT, "store-ip = true");
    apply(&shop);
    backdate(&shop, "2026-03-01T12:00:00.000000Z");
    let unchanged = shop.run(&["register", "diff", "--since", "2026-04-01"]);
    assert_eq!((unchanged.code, unchanged.stdout.as_str()), (0, "No paper has changed.\n"));

    let changed = site(CHAT, "store-ip = false").replace("visit = \"6 months\"", "visit = \"3 months\"");
    shop.write("sites/shop.example.toml", &changed);
    let diff = shop.json(&["register", "diff", "--since", "2026-04-01"], 0);
    let changes = diff["changes"].as_array().unwrap();
    let papers: Vec<&str> = changes.iter().map(|change| change["paper"].as_str().unwrap()).collect();
    assert_eq!(papers, ["article30", "privacy-notice", "agreement-annex"]);
    let lines = |paper: &str, side: &str| -> Vec<String> {
        let change = changes.iter().find(|change| change["paper"] == paper).unwrap();
        change[side].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    };
    let removed = lines("privacy-notice", "removed");
    assert!(removed.contains(&"* Visits to the website: 6 months".to_owned()), "{removed:?}");
    assert!(removed.iter().any(|line| line.contains("Operating system, IP address, Geolocation")), "{removed:?}");
    let added = lines("privacy-notice", "added");
    assert!(added.contains(&"* Visits to the website: 3 months".to_owned()), "{added:?}");
    assert!(added.contains(&"Not stored: IP address.".to_owned()), "{added:?}");
    assert_eq!((removed.len(), added.len()), (2, 3), "nothing else");

    let told = shop.run(&["register", "diff", "--since", "2026-04-01", "--lang", "cs"]);
    assert!(
        told.stdout.contains("- * Návštěvy webu: 6 měsíců\n") && told.stdout.contains("+ * Návštěvy webu: 3 měsíce\n")
    );
}

#[test]
fn before_anything_was_recorded_every_paper_is_new() {
    let shop = shop(CHAT, "");
    let new = shop.run(&["register", "diff", "--since", "2026-01-01"]);
    assert_eq!(new.code, 0);
    assert!(new.stderr.contains("every paper is told as new"), "{new:?}");
    assert!(new.stdout.contains("shop.example: cookies\n+ # Cookies and similar storage\n"), "{new:?}");
    assert_eq!(shop.run(&["register", "diff", "--since", "2026-01-01", "--site", "none.example"]).code, 2);
    let future = shop.run(&["register", "diff", "--since", "2999-01-01"]);
    assert_eq!(future.code, 2);
    assert!(future.stderr.contains("that day has not come yet"), "{future:?}");
}

#[test]
fn writing_papers_changes_nothing() {
    let shop = shop(ALL, "");
    apply(&shop);
    let before = shop.tree();
    export(&shop, "article30", "html", &[]);
    shop.run(&["register", "check"]);
    shop.run(&["register", "diff", "--since", "2026-01-01"]);
    assert!(shop.tree() == before);
}
