//! What is shipped is checked: configuration, unit, completions, manual pages, help texts and documents.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/installation.rs"]
mod installation;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use installation::{Ran, forgetd};
use rstest::rstest;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

fn run(arguments: &[&str]) -> Ran {
    Ran::of(forgetd().args(arguments).stdin(Stdio::null()).output().unwrap())
}

/// Runs a program of the system on a file. Without it nothing is shown, and that is a failure.
fn checked_by(program: &str, arguments: &[&str], file: &Path) -> Ran {
    match Command::new(program).args(arguments).arg(file).stdin(Stdio::null()).output() {
        Ok(output) => Ran::of(output),
        Err(error) => panic!("{program}: {error}: `tests/run` installs what the tests need"),
    }
}

/// The files below a directory whose name ends so.
fn files_below(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// Where a file is read from: an example is copied to the sites by who needs it.
fn installed(shipped: &Path) -> PathBuf {
    match shipped.strip_prefix("examples") {
        Ok(example) => Path::new("sites").join(example),
        Err(_) => shipped.to_owned(),
    }
}

#[test]
fn the_shipped_configuration_is_valid_as_a_whole() {
    let copy = tempfile::tempdir().unwrap();
    let shipped = root().join("config");
    let files = files_below(&shipped, ".toml");
    assert!(files.len() >= 9, "{files:?}");
    for file in &files {
        // As an installation has it: a checkout may be writable by a group.
        let target = copy.path().join(installed(file.strip_prefix(&shipped).unwrap()));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, &target).unwrap();
        for path in [target.as_path(), target.parent().unwrap()] {
            let mode = if path.is_dir() { 0o755 } else { 0o644 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    let config = copy.path().to_str().unwrap();
    let ran = run(&["--config", config, "check"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let declared = run(&["--config", config, "register", "show", "configuration-files", "--json"]);
    for file in &files {
        let name = installed(file.strip_prefix(&shipped).unwrap()).display().to_string();
        assert!(declared.stdout.contains(&name), "{name} is not read");
    }
}

/// The schema of a configuration file, by where it stands.
fn schema_of(file: &Path) -> jsonschema::Validator {
    let below = file.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap();
    let name = match (below, file.file_name().unwrap().to_str().unwrap()) {
        ("sites" | "examples", _) => "site",
        ("processors", _) => "processor",
        (_, "categories.toml") => "categories",
        (_, "forgetd.toml") => "forgetd",
        other => panic!("no schema for {other:?}"),
    };
    let text = read(root().join(format!("config/schema/{name}.schema.json")));
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

/// TOML as JSON, as editors take it: a date is a string.
fn as_json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(elements) => elements.iter().map(as_json).collect(),
        toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), as_json(value))).collect(),
        other => serde_json::to_value(other).unwrap(),
    }
}

fn mistakes(schema: &jsonschema::Validator, text: &str) -> Vec<String> {
    let instance = as_json(&toml::Value::Table(toml::from_str(text).unwrap()));
    schema.iter_errors(&instance).map(|error| error.to_string()).collect()
}

#[test]
fn the_shipped_configuration_has_the_form_of_the_published_schemas() {
    let files = files_below(&root().join("config"), ".toml");
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        assert_eq!(mistakes(&schema_of(&file), &read(&file)), [""; 0], "{}", file.display());
    }
}

#[rstest]
#[case::an_unknown_key("sites/shop.example.toml", "stor-ip = true\n", "stor-ip")]
#[case::a_key_of_another_kind(
    "sites/shop.example.toml",
    "[store.x]\nkind = \"sqlite\"\npath = \"/x\"\nurl = \"y\"\n",
    "oneOf"
)]
#[case::a_word_that_is_none(
    "forgetd.toml",
    "state-dir = \"/x\"\n[controller]\nname = \"x\"\n[safety]\napproval = \"never\"\n",
    "never"
)]
#[case::a_share_beyond_one(
    "forgetd.toml",
    "state-dir = \"/x\"\n[controller]\nname = \"x\"\n[pace]\nduty = 1.5\n",
    "1.5"
)]
#[case::a_mandatory_key_that_is_missing("forgetd.toml", "state-dir = \"/x\"\n", "controller")]
fn a_schema_finds(#[case] file: &str, #[case] text: &str, #[case] told: &str) {
    let site = "domain = \"a.example\"\ntime-zone = \"UTC\"\nschedule = \"@daily\"\n";
    let text = if file.starts_with("sites") { format!("{site}{text}") } else { text.to_owned() };
    let found = mistakes(&schema_of(&root().join("config").join(file)), &text);
    assert!(found.iter().any(|mistake| mistake.contains(told)), "{found:?}");
}

#[test]
fn every_key_of_a_schema_is_in_the_reference() {
    fn keys(schema: &serde_json::Value, found: &mut BTreeSet<String>) {
        match schema {
            serde_json::Value::Object(members) => {
                found.extend(
                    members
                        .get("properties")
                        .and_then(|keys| keys.as_object())
                        .into_iter()
                        .flatten()
                        .map(|(key, _)| key.clone()),
                );
                members.values().for_each(|value| keys(value, found));
            }
            serde_json::Value::Array(elements) => elements.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }
    let reference = read(root().join("docs/configuration.md"));
    for file in files_below(&root().join("config/schema"), ".json") {
        let mut found = BTreeSet::new();
        keys(&serde_json::from_str(&read(&file)).unwrap(), &mut found);
        for key in found {
            // As a key, as the name of a table, or in an example.
            let written = [format!("`{key}`"), format!("[{key}]"), format!("[{key}."), format!("{key} = ")];
            assert!(written.iter().any(|written| reference.contains(written)), "{}: {key}", file.display());
        }
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let units = files_below(&root().join("systemd"), ".service");
    assert!(!units.is_empty(), "a unit is shipped");
    let directory = tempfile::tempdir().unwrap();
    for unit in units {
        let text = read(&unit);
        let start = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("the unit starts something");
        let program = start.split_whitespace().next().unwrap();
        assert!(program.ends_with("/forgetd"), "{program}");
        // The program need not be installed for its unit to be checked.
        let copy = directory.path().join(unit.file_name().unwrap());
        fs::write(&copy, text.replace(program, env!("CARGO_BIN_EXE_forgetd"))).unwrap();
        let ran = checked_by("systemd-analyze", &["verify", "--man=no"], &copy);
        let name = unit.file_name().unwrap().to_string_lossy().into_owned();
        assert!(ran.code == 0 && !ran.stderr.contains(&name), "{ran:?}");
    }
}

/// What systemd thinks a service could do to the system, in tenths.
#[rstest]
#[case::as_shipped(None, 12)]
#[case::unix_sockets_only(Some("unix-sockets-only.conf"), 6)]
fn the_unit_is_exposed_at_most_so_much(#[case] drop_in: Option<&str>, #[case] most: u32) {
    let systemd = root().join("systemd");
    let tree = tempfile::tempdir().unwrap();
    let units = tree.path().join("etc/systemd/system");
    let drop_ins = units.join("forgetd.service.d");
    fs::create_dir_all(&drop_ins).unwrap();
    fs::copy(systemd.join("forgetd.service"), units.join("forgetd.service")).unwrap();
    if let Some(name) = drop_in {
        fs::copy(systemd.join("drop-ins").join(name), drop_ins.join(name)).unwrap();
    }
    let (tree, threshold) = (format!("--root={}", tree.path().display()), format!("--threshold={most}"));
    let arguments = ["security", "--offline=yes", &tree, &threshold];
    let ran = checked_by("systemd-analyze", &arguments, Path::new("forgetd.service"));
    assert!(ran.code == 0 && ran.stdout.contains("Overall exposure level for forgetd.service"), "{ran:?}");
}

#[test]
fn prometheus_takes_the_alerts_and_each_is_raised_by_what_it_is_for() {
    let alerts = root().join("packaging/prometheus/forgetd.rules.yml");
    let cases = root().join("packaging/prometheus/forgetd.rules.test.yml");
    for (arguments, file) in [(["check", "rules"], &alerts), (["test", "rules"], &cases)] {
        let ran = checked_by("promtool", &arguments, file);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    // Every metric that an alert asks for is told, and described.
    let told = read(root().join("src/service/metrics/page.rs"));
    let manual = read(root().join("docs/operators.md"));
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let text = read(&alerts);
    let asked: BTreeSet<&str> = text.split(|c| !is_name(c)).filter(|word| word.starts_with("forgetd_")).collect();
    assert!(asked.len() > 8, "{asked:?}");
    for metric in asked {
        assert!(told.contains(&format!("\"{metric}\"")), "{metric} is not told");
        let (stem, last) = metric.rsplit_once('_').unwrap();
        assert!(
            manual.contains(metric) || manual.contains(stem) || manual.contains(&format!("`…_{last}`")),
            "{metric}"
        );
    }
}

#[rstest]
#[case("bash", &["-n"])]
#[case("zsh", &["-n"])]
#[case("fish", &["--no-execute"])]
fn completions_parse_in_their_shell_and_know_every_command(#[case] shell: &str, #[case] arguments: &[&str]) {
    let ran = run(&["completions", shell]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for command in commands() {
        let last = command.last().unwrap();
        assert!(ran.stdout.contains(last.as_str()), "{shell}: {last}");
    }
    let script = tempfile::NamedTempFile::new().unwrap();
    fs::write(script.path(), &ran.stdout).unwrap();
    let parsed = checked_by(shell, arguments, script.path());
    assert_eq!((parsed.code, parsed.stderr.as_str()), (0, ""), "{shell}");
}

#[test]
fn every_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(run(&["man", directory.path().to_str().unwrap()]).code, 0);
    for command in commands() {
        let page = read(directory.path().join(format!("forgetd-{}.8", command.join("-"))));
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{command:?}");
    }
    let main = read(directory.path().join("forgetd.8"));
    assert_eq!(run(&["man"]).stdout, main, "the main page goes to standard output");
    assert!(main.contains(".SH \"EXIT STATUS\""));
}

#[test]
fn a_manual_page_has_whatever_the_help_of_its_command_has() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(run(&["man", directory.path().to_str().unwrap()]).code, 0);
    for command in [vec![Vec::new()], commands()].concat() {
        let name = [vec!["forgetd".to_owned()], command.clone()].concat().join("-");
        // roff escapes hyphens, and sets names and placeholders in fonts of their own.
        let page = read(directory.path().join(format!("{name}.8")));
        let page =
            page.replace("\\*(Aq", "'").replace("\\fB", "").replace("\\fI", "").replace("\\fR", "").replace('\\', "");
        let help = help_of(&command);
        for title in ["Commands:", "Arguments:", "Options:", "Options of every command:"] {
            for (what, description) in section(&help, title).into_iter().filter(|(what, _)| !what.ends_with("help")) {
                let words = what.split([' ', ',', '=', '[', ']']).filter(|word| !word.is_empty());
                for word in words.filter(|word| word.starts_with('-') || !word.starts_with('<')) {
                    assert!(page.contains(word.trim_end_matches("...")), "{name}: {word}");
                }
                let first = description.split(" Possible values").next().unwrap();
                let first = first.split(['.', ':', '[']).next().unwrap().trim();
                assert!(page.contains(first), "{name}: {what}: {first}");
            }
        }
    }
}

#[rstest]
#[case("forgetd.toml", "batch-time", "200 ms")]
#[case("forgetd-categories.toml", "setting", "store-ip")]
#[case("forgetd-processor.toml", "valid-until", "a date")]
#[case("forgetd-site.toml", "address-parameters", "a list")]
fn every_configuration_file_has_a_manual_page_that_man_can_read(
    #[case] name: &str,
    #[case] key: &str,
    #[case] said: &str,
) {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(run(&["man", directory.path().to_str().unwrap()]).code, 0);
    let file = directory.path().join(format!("{name}.5"));
    let ran = checked_by("man", &["--warnings", "--local-file", "--no-hyphenation"], &file);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}");
    let page = ran.stdout.replace('\u{8}', "");
    assert!(page.contains(key) && page.contains(said), "{page}");
}

/// Every command with the commands above it, as the help texts list them.
fn commands() -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut unseen = vec![Vec::new()];
    while let Some(command) = unseen.pop() {
        let help = help_of(&command);
        let listed = section(&help, "Commands:").into_iter().map(|(name, _)| name).filter(|name| name != "help");
        for name in listed {
            let below: Vec<String> = command.iter().cloned().chain([name]).collect();
            found.push(below.clone());
            unseen.push(below);
        }
    }
    found
}

fn help_of(command: &[String]) -> String {
    let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
    let ran = run(&words);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{words:?}");
    ran.stdout
}

/// The entries of one section of a help text: what is described, and the description.
fn section(help: &str, title: &str) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = Vec::new();
    let lines = help.lines().skip_while(|line| *line != title).skip(1);
    // Long help has empty lines between its options; the next title ends the section.
    for line in lines.take_while(|line| line.is_empty() || line.starts_with(' ')).filter(|line| !line.is_empty()) {
        let text = line.trim_start();
        if line.len() - text.len() <= 6 && (text.starts_with(['-', '[', '<']) || title == "Commands:") {
            let (what, description) = text.split_once("  ").unwrap_or((text, ""));
            entries.push((what.to_owned(), description.trim().to_owned()));
        } else if let Some((_, description)) = entries.last_mut() {
            *description = format!("{description} {text}").trim().to_owned();
        }
    }
    entries
}

#[test]
fn every_option_and_argument_is_explained() {
    let commands = commands();
    assert!(commands.len() >= 20, "{commands:?}");
    for command in commands {
        let help = help_of(&command);
        let about = help.lines().next().unwrap();
        assert!(about.len() > 10 && about.starts_with(char::is_uppercase), "{command:?}: {about}");
        let sections = ["Commands:", "Arguments:", "Options:", "Options of every command:"];
        let entries: Vec<(String, String)> = sections.iter().flat_map(|title| section(&help, title)).collect();
        for option in ["--config <DIR>", "--json", "-h, --help"] {
            assert!(entries.iter().any(|(what, _)| what == option), "{command:?}: {option} in {entries:?}");
        }
        for (what, description) in entries {
            let words = description.split_whitespace().count();
            assert!(words > 1 && description.starts_with(char::is_uppercase), "{command:?} {what}: {description}");
        }
    }
}

#[test]
fn the_help_says_what_every_exit_code_means() {
    let help = help_of(&[]);
    let (_, codes) = help.split_once("Exit codes:").unwrap();
    let codes: Vec<&str> = codes.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4", "78"]);
    assert!(help.lines().all(|line| line.chars().count() <= 100), "it fits on a terminal");
}

fn version(text: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> = text.split('.').map(|number| number.parse().unwrap()).collect();
    numbers.resize(3, 0);
    numbers
}

#[test]
fn nothing_needs_a_newer_compiler_than_is_stated() {
    // What forgetd itself uses of a newer standard library is found by clippy (`incompatible_msrv`).
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", &platform])
        .arg("--manifest-path")
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let stated = packages.iter().find(|package| package["name"] == "forgetd").unwrap();
    let stated = stated["rust_version"].as_str().unwrap();
    assert!(packages.len() > 100, "{}", packages.len());
    for package in packages {
        let Some(needs) = package["rust_version"].as_str() else { continue };
        assert!(version(needs) <= version(stated), "{} needs {needs}", package["name"]);
    }
    for document in ["README.md", "CONTRIBUTING.md", "tests/run"] {
        let text = read(root().join(document));
        assert!(text.contains(&format!("{stated} or later")), "{document} does not say {stated}");
    }
}

/// Everything under version control; nothing in a package, which was checked before it was packed.
fn tracked_files() -> Vec<PathBuf> {
    if !root().join(".git").exists() {
        return Vec::new();
    }
    let listed = Command::new("git").arg("-C").arg(root()).args(["ls-files", "-z"]).output().expect("git is there");
    let names = String::from_utf8(listed.stdout).unwrap();
    names.split_terminator('\0').map(PathBuf::from).filter(|path| root().join(path).is_file()).collect()
}

/// Text between marks that begin and end so.
fn between<'a>(text: &'a str, begin: &str, end: char) -> Vec<&'a str> {
    text.split(begin).skip(1).filter_map(|rest| rest.split_once(end)).map(|(inside, _)| inside).collect()
}

#[test]
fn every_path_that_a_document_names_exists() {
    let mut documents = files_below(&root().join("docs"), ".md");
    documents.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    let top: BTreeSet<String> =
        fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for document in documents {
        let text = read(&document);
        let links =
            between(&text, "](", ')').into_iter().filter(|link| !link.contains("://") && !link.starts_with('#'));
        for link in links {
            let path = link.split('#').next().unwrap();
            assert!(document.parent().unwrap().join(path).exists(), "{}: {link}", document.display());
        }
        let quoted: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
        let is_path = |word: &&&str| word.contains('/') && !word.contains([' ', '*', '<', '\n']);
        for path in quoted.iter().filter(is_path) {
            let first = path.trim_start_matches("./").split('/').next().unwrap();
            let known = top.contains(first) && first != "target";
            // Modules are named from `src` on.
            let exists = [root().to_owned(), root().join("src")].iter().any(|base| base.join(path).exists());
            assert!(!known || exists, "{}: `{path}`", document.display());
        }
    }
}

#[test]
fn no_file_names_a_document_that_is_not_here_or_the_place_of_a_checkout() {
    let tracked = tracked_files();
    let names: BTreeSet<&str> = tracked.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    let place = root().parent().filter(|parent| parent.parent().is_some() && **parent != *std::env::temp_dir());
    let place = place.map(|parent| format!("{}/", parent.display()));
    for path in &tracked {
        let Ok(text) = fs::read_to_string(root().join(path)) else { continue };
        if let Some(place) = &place {
            assert!(!text.contains(place.as_str()), "{} names {place}", path.display());
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let words = text.split(|c: char| !is_name(c)).filter(|word| word.len() > 3 && word.ends_with(".md"));
        for word in words {
            assert!(names.contains(word), "{} names {word}, which is not here", path.display());
        }
    }
}
