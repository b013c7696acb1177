//! The list of the program's parts that is shipped with it names what the compiler is given for a release, and no more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn output(command: &mut Command) -> Vec<u8> {
    let ran = command.current_dir(root()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

fn cargo(arguments: &[&str]) -> Value {
    // Only unstable versions of Cargo tell what they would compile; the stable one does when it is told to.
    serde_json::from_slice(&output(Command::new(env!("CARGO")).args(arguments).env("RUSTC_BOOTSTRAP", "1"))).unwrap()
}

fn list(arguments: &[&str]) -> Value {
    serde_json::from_slice(&output(Command::new("packaging/sbom").args(arguments))).unwrap()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value}"))
}

/// The parts by `name@version`, of crates only.
fn crates(list: &Value) -> BTreeMap<String, Value> {
    let all = list["components"].as_array().unwrap().iter().chain([&list["metadata"]["component"]]);
    let crates = all.filter(|part| text(part, "purl").starts_with("pkg:cargo/"));
    crates.map(|part| (format!("{}@{}", text(part, "name"), text(part, "version")), part.clone())).collect()
}

#[test]
fn the_list_names_exactly_the_crates_that_a_release_is_compiled_from() {
    let plan = cargo(&[
        "build",
        "--locked",
        "--offline",
        "--release",
        "--bin",
        "forgetd",
        "--unit-graph",
        "-Z",
        "unstable-options",
    ]);
    let ids = plan["units"].as_array().unwrap().iter().map(|unit| text(unit, "pkg_id").rsplit('#').next().unwrap());
    let compiled: BTreeSet<String> =
        ids.map(|id| if id.contains('@') { id.to_owned() } else { format!("forgetd@{id}") }).collect();
    assert!(compiled.len() > 200, "{}", compiled.len());
    assert_eq!(crates(&list(&[])).into_keys().collect::<BTreeSet<_>>(), compiled);
}

#[test]
fn every_part_has_its_licence_and_the_checksum_of_the_lock_file() {
    let metadata = cargo(&["metadata", "--locked", "--offline", "--format-version", "1"]);
    let packages = metadata["packages"].as_array().unwrap().iter();
    let licences: BTreeMap<String, Option<String>> = packages
        .map(|package| {
            let licence = package["license"].as_str().map(|licence| licence.replace('/', " OR "));
            (format!("{}@{}", text(package, "name"), text(package, "version")), licence)
        })
        .collect();
    let lock: toml::Table = std::fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let checksums: BTreeMap<String, Option<&str>> = lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
            (format!("{}@{}", text("name").unwrap(), text("version").unwrap()), text("checksum"))
        })
        .collect();
    for (name, part) in crates(&list(&[])) {
        // Its manifest names none, and its file is that of ISC, and of BSD for what came from Chromium.
        let expected = licences[&name].as_deref().unwrap_or("ISC AND BSD-3-Clause");
        assert_eq!(part["licenses"][0]["expression"], expected, "{name}");
        assert_eq!(part["hashes"][0]["content"].as_str(), checksums[&name], "{name}");
    }
}

#[test]
fn what_is_in_a_crate_without_being_one_is_named_too() {
    let sqlite = rusqlite::version();
    let named = |list: &Value, name: &str| {
        let part = list["components"].as_array().unwrap().iter().find(|part| part["name"] == name)?;
        Some(text(part, "version").to_owned())
    };
    let dynamic = list(&[]);
    assert_eq!(named(&dynamic, "sqlite").as_deref(), Some(sqlite), "the SQLite that is linked says so itself");
    for name in ["zstd", "tzdata", "rust-std"] {
        assert!(
            named(&dynamic, name).is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit())),
            "{name}"
        );
    }
    assert_eq!(named(&dynamic, "glibc"), None, "it is the system's");
    assert!(named(&list(&["--static"]), "glibc").is_some_and(|version| version.starts_with("2.")));
}

#[test]
fn the_list_is_whole_in_itself_and_has_nothing_of_the_day() {
    let list = list(&[]);
    assert_eq!((text(&list, "bomFormat"), text(&list, "specVersion")), ("CycloneDX", "1.5"));
    assert!(list.get("serialNumber").is_none() && list["metadata"].get("timestamp").is_none());
    let parts = list["components"].as_array().unwrap().iter().chain([&list["metadata"]["component"]]);
    let known: Vec<&str> = parts.map(|part| text(part, "bom-ref")).collect();
    let told: Vec<&Value> = list["dependencies"].as_array().unwrap().iter().collect();
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let refs: Vec<&str> = told.iter().map(|entry| text(entry, "ref")).collect();
    assert_eq!(sorted(owned(&refs)), sorted(owned(&known)), "each part once, with what it needs");
    let needed: BTreeSet<&str> = told
        .iter()
        .flat_map(|entry| entry["dependsOn"].as_array().unwrap())
        .map(|name| name.as_str().unwrap())
        .collect();
    let own = text(&list["metadata"]["component"], "bom-ref");
    let unneeded: Vec<&&str> = known.iter().filter(|name| **name != own && !needed.contains(*name)).collect();
    assert!(unneeded.is_empty(), "nobody needs {unneeded:?}");
    assert!(needed.iter().all(|name| known.contains(name)), "{needed:?}");
}
