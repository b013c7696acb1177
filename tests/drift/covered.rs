//! What an earlier version of the configuration covered, and none covers now.

use super::installation::Installation;
use super::{VISITORS, drift, findings, found, shop};

const SITE: &str = "sites/shop.example.toml";

fn site(shop: &Installation) -> String {
    std::fs::read_to_string(shop.config().join(SITE)).unwrap()
}

/// Applies the files as they are.
fn apply(shop: &Installation) {
    assert_eq!(shop.run(&["purge", "--yes"]).code, 0);
}

/// Without a table that the version before covered.
fn without_talks() -> Installation {
    let shop = shop().with_database("CREATE TABLE talks (id INTEGER PRIMARY KEY, ended INTEGER, said TEXT)");
    let talks = "[[store.chat.table]]\nid = \"chats\"\nname = \"talks\"\nkey = \"id\"\nholds = \"conversation\"\n\
                 time = { column = \"ended\", format = \"unix-seconds\" }\n";
    shop.write(SITE, &shop.site("", &format!("{VISITORS}{talks}")));
    apply(&shop);
    drift(&shop, 0);
    shop.write(SITE, &shop.site("", VISITORS));
    shop
}

#[test]
fn a_table_that_is_no_longer_declared_and_still_there_is_told_before_and_after_that_is_applied() {
    let shop = without_talks();
    for _ in 0..2 {
        let drift = drift(&shop, 3);
        assert_eq!(findings(&drift), [found("uncovered", "shop.example/chat/chats", None)]);
        assert!(drift["findings"][0]["text"].as_str().unwrap().contains("table talks of "), "{drift}");
        apply(&shop);
    }
    shop.database().execute_batch("DROP TABLE talks").unwrap();
    drift(&shop, 0);
}

#[test]
fn a_table_that_is_declared_again_elsewhere_is_covered() {
    let shop = without_talks();
    apply(&shop);
    let child = VISITORS.replace("children = [", "children = [{ table = \"talks\", column = \"id\" }, ");
    shop.write(SITE, &shop.site("", &child));
    assert_eq!(findings(&drift(&shop, 0)), []);
}

#[test]
fn a_store_that_is_no_longer_declared_is_told_while_its_database_is_there() {
    let shop = shop();
    let before = site(&shop);
    let other = shop.path().join("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, at INTEGER)")
        .unwrap();
    let store = format!(
        "[store.old]\nkind = \"sqlite\"\npath = \"{}\"\n[[store.old.table]]\nname = \"t\"\nkey = \"id\"\nholds = \"visit\"\n\
         time = {{ column = \"at\", format = \"unix-seconds\" }}\n",
        other.display()
    );
    shop.write(SITE, &format!("{before}\n{store}"));
    apply(&shop);
    drift(&shop, 0);
    shop.write(SITE, &before);
    apply(&shop);
    assert_eq!(findings(&drift(&shop, 3)), [found("uncovered", "shop.example/old/t", None)]);
    // What cannot be looked at may still be there.
    std::fs::write(&other, "no database").unwrap();
    let unknown = drift(&shop, 3);
    assert!(unknown["findings"][0]["text"].as_str().unwrap().contains("is not known"), "{unknown}");
    std::fs::remove_file(&other).unwrap();
    drift(&shop, 0);
}

#[test]
fn a_directory_and_a_log_that_are_no_longer_declared_are_told_while_files_are_there() {
    let shop = shop();
    let before = site(&shop);
    let files = shop.path().join("files");
    std::fs::create_dir(&files).unwrap();
    for name in ["sess_1", "access.log"] {
        std::fs::write(files.join(name), "").unwrap();
    }
    let path = files.display();
    let stores = format!(
        "[store.sessions]\nkind = \"directory\"\npath = \"{path}\"\npattern = \"sess_*\"\nholds = \"visit\"\n\
         [store.access]\nkind = \"log\"\npath = \"{path}/access.log*\"\nformat = \"combined\"\nholds = \"visit\"\n"
    );
    shop.write(SITE, &format!("{before}\n{stores}"));
    apply(&shop);
    shop.write(SITE, &before);
    let told = findings(&drift(&shop, 3));
    assert_eq!(
        told,
        [found("uncovered", "shop.example/access", None), found("uncovered", "shop.example/sessions", None),]
    );
    // Another pattern covers the same files.
    shop.write(SITE, &format!("{before}\n{}", stores.replace("access.log*", "*.log*").replace("sess_*", "s*")));
    assert_eq!(findings(&drift(&shop, 0)), []);
    shop.write(SITE, &before);
    std::fs::remove_file(files.join("sess_1")).unwrap();
    std::fs::remove_file(files.join("access.log")).unwrap();
    drift(&shop, 0);
}

#[test]
fn a_site_that_is_gone_leaves_its_stores_uncovered() {
    let shop = shop();
    std::fs::remove_file(shop.config().join(SITE)).unwrap();
    let told = findings(&drift(&shop, 3));
    assert_eq!(told, [found("uncovered", "shop.example/chat/visitors", None)]);
}
