//! The shipped configuration holds what it should, and every mistake is told at its place.
//!
//! `tests/bad-config` has one file for each mistake. Its first line says which file of the shipped configuration it
//! stands in for; the `.expected` file beside it says what an operator must read, written from the documentation.

#![expect(clippy::unwrap_used, reason = "a test that cannot prepare its files has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use forgetd::config::site::{
    Child, ColumnAction, Consent, Mask, Scalar, SideEffect, Tag, TimeMeaning, Treatment, Unparsed,
};
use forgetd::config::{
    ApprovalMode, CategoryId, Class, Config, ItemKind, LawfulBasis, Lifetime, Listen, LogLevel, Metrics, NotStored,
    PeriodSource, Problems, Processor, Setting, Site, Source, TimeFormat,
};
use rstest::rstest;
use snapbox::data::DataFormat;
use snapbox::{Data, assert_data_eq};

const SHIPPED: [&str; 4] = ["forgetd.toml", "categories.toml", "processors/smartsupp.toml", "sites/shop.example.toml"];

type Sources = BTreeMap<String, Source>;

fn put(sources: &mut Sources, path: &str, text: &str) {
    sources.insert(path.to_owned(), Source::new(path, text));
}

fn shipped_sources() -> Sources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut sources = Sources::new();
    for path in SHIPPED {
        put(&mut sources, path, &fs::read_to_string(root.join(path)).unwrap());
    }
    sources
}

fn shipped() -> Config {
    Config::parse(shipped_sources()).unwrap()
}

/// The shipped configuration with another site file.
fn with_site(text: &str) -> Result<Config, Problems> {
    let mut sources = shipped_sources();
    put(&mut sources, "sites/shop.example.toml", text);
    Config::parse(sources)
}

fn shop(config: &Config) -> &Site {
    &config.sites["shop.example"]
}

fn smartsupp(config: &Config) -> &Processor {
    &config.processors["smartsupp"]
}

fn category(id: &str) -> CategoryId {
    CategoryId::new(id).unwrap()
}

fn item(name: &str, class: Class) -> Tag {
    Tag::Item { processor: "smartsupp".into(), name: name.into(), class }
}

fn statement<'a>(processor: &'a Processor, topic: &str) -> &'a str {
    &processor.statements.iter().find(|statement| statement.topic == topic).unwrap().text
}

#[rstest]
fn a_mistake_is_told_at_its_place_with_its_remedy(#[files("tests/bad-config/*.toml")] case: PathBuf) {
    let text = fs::read_to_string(&case).unwrap();
    let path = text.lines().next().unwrap().strip_prefix("# file: ").unwrap().to_owned();
    let mut sources = shipped_sources();
    put(&mut sources, &path, &text);
    let (exit, told) = checked_by_the_command(&sources);
    assert_eq!(exit, Some(78));
    assert_data_eq!(told, Data::read_from(&case.with_extension("expected"), Some(DataFormat::Text)).raw());
}

/// Exit code and problems as `forgetd check` ends with and prints them, the directory's name aside.
fn checked_by_the_command(sources: &Sources) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    for below in ["", "processors", "sites"] {
        fs::create_dir_all(config.join(below)).unwrap();
        fs::set_permissions(config.join(below), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for source in sources.values() {
        let path = config.join(&source.path);
        fs::write(&path, &source.text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_forgetd"));
    let output = command.args(["--config", "config", "check"]).current_dir(&directory).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let told = String::from_utf8(output.stderr).unwrap();
    let problems = told.strip_prefix("forgetd: the configuration is invalid:\n").unwrap();
    let below = |line: &str| line.strip_prefix("config/").unwrap_or(line).to_owned() + "\n";
    (output.status.code(), problems.lines().map(below).collect())
}

#[test]
fn five_mistakes_are_five_problems() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-config/five-mistakes.toml"));
    let Problems(problems) = with_site(&text.unwrap()).unwrap_err();
    assert_eq!(problems.len(), 5);
}

#[test]
fn mistakes_of_several_files_are_told_together() {
    let mut sources = shipped_sources();
    put(&mut sources, "forgetd.toml", "state-dir = \"/x\"\n[controller]\nname = \"\"\n");
    put(&mut sources, "sites/second.toml", "domain = \"second.example\"\n");
    let problems = Config::parse(sources).unwrap_err();
    assert_eq!(problems.files(), BTreeSet::from(["forgetd.toml", "sites/second.toml"]));
}

#[test]
fn a_missing_file_is_told_with_where_to_find_one() {
    for path in ["forgetd.toml", "categories.toml"] {
        let mut sources = shipped_sources();
        sources.remove(path);
        let told = Config::parse(sources).unwrap_err().to_string();
        let expected =
            format!("{path}:1:1: the file is missing\n      = hint: copy `{path}` from the shipped `config`");
        assert_eq!(told, expected);
    }
}

#[test]
fn a_mistake_among_the_categories_does_not_make_every_tag_unknown() {
    let mut sources = shipped_sources();
    put(&mut sources, "categories.toml", "[[categry]]\nid = \"visit\"\nname = \"Visits\"\n");
    let Problems(problems) = Config::parse(sources).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].message, "unknown key `categry`");
}

#[test]
fn a_domain_belongs_to_one_file() {
    let mut sources = shipped_sources();
    let text = "domain = \"shop.example\"\ntime-zone = \"UTC\"\nschedule = \"@daily\"\n";
    put(&mut sources, "sites/zweite.toml", text);
    let Problems(problems) = Config::parse(sources).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].file.as_str(), problems[0].line, problems[0].column), ("sites/zweite.toml", 1, 10));
    assert_eq!(problems[0].message, "the site `shop.example` is declared in `sites/shop.example.toml` already");
}

#[test]
fn a_processor_belongs_to_one_file() {
    let mut sources = shipped_sources();
    put(&mut sources, "processors/zz.toml", "id = \"smartsupp\"\nproduct = \"Other\"\nname = \"Other Ltd\"\n");
    let Problems(problems) = Config::parse(sources).unwrap_err();
    assert_eq!(problems.len(), 1);
    let expected = "the processor `smartsupp` is declared in `processors/smartsupp.toml` already";
    assert_eq!((problems[0].message.as_str(), problems[0].line, problems[0].column), (expected, 1, 6));
}

#[test]
fn two_sites_cannot_both_declare_the_same_records() {
    let mut sources = shipped_sources();
    let second = sources["sites/shop.example.toml"].text.replace("\"shop.example\"", "\"zweite.example\"");
    put(&mut sources, "sites/zweite.toml", &second);
    let Problems(problems) = Config::parse(sources).unwrap_err();
    assert_eq!(problems.len(), 1);
    let expected = "the same records of `visitors` are declared in `sites/shop.example.toml` already";
    assert_eq!((problems[0].file.as_str(), problems[0].message.as_str()), ("sites/zweite.toml", expected));
}

#[test]
fn a_file_of_another_program_is_not_told_in_full() {
    let mut text = String::new();
    for number in 0..5_000 {
        text.push_str(&format!("key-{number} = {number}\n"));
    }
    let Problems(problems) = with_site(&text).unwrap_err();
    assert_eq!(problems.len(), 100);
}

#[test]
fn no_sites_are_a_configuration_too() {
    let mut sources = shipped_sources();
    sources.remove("sites/shop.example.toml");
    assert!(Config::parse(sources).unwrap().sites.is_empty());
}

#[test]
fn the_digest_names_the_version_of_the_whole() {
    let before = shipped().digest();
    assert_eq!(before, shipped().digest());
    let mut sources = shipped_sources();
    let text = sources["categories.toml"].text.clone() + "# one more line\n";
    put(&mut sources, "categories.toml", &text);
    assert_ne!(before, Config::parse(sources).unwrap().digest());
}

#[test]
fn a_loaded_directory_is_what_its_files_say() {
    let directory = tempfile::tempdir().unwrap();
    for (path, source) in shipped_sources() {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, source.text).unwrap();
        closed(&path);
        closed(path.parent().unwrap());
    }
    assert_eq!(Config::load(directory.path()).unwrap().digest(), shipped().digest());
}

/// Takes the write permission that a lax umask may have given to others.
fn closed(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).unwrap().permissions().mode() & !0o022;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_shipped_daemon_file_states_every_key_and_its_default() {
    let daemon = shipped().daemon;
    assert_eq!(daemon.state_dir, Path::new("/var/lib/forgetd"));
    assert_eq!(daemon.controller.party.name, "Shop s.r.o.");
    assert_eq!(daemon.controller.party.address.as_deref(), Some("Example 1, 602 00 Brno, Czechia"));
    assert_eq!(daemon.controller.party.contact.as_deref(), Some("privacy@shop.example"));
    assert_eq!(daemon.dpo.unwrap().name, "Jana Example");
    assert_eq!(daemon.safety.approval, ApprovalMode::Required);
    assert_eq!(daemon.safety.max_share.millionths(), 100_000);
    assert_eq!(daemon.safety.max_rows, 1_000_000);
    assert_eq!(daemon.pace.batch_time, Duration::from_millis(200));
    assert_eq!(daemon.pace.duty.millionths(), 500_000);
    assert_eq!(daemon.pace.max_lag, Duration::from_secs(10));
}

#[test]
fn a_default_written_out_is_the_default() {
    let mut sources = shipped_sources();
    let written = sources["forgetd.toml"].text.replace("\n# approval", "\napproval").replace("\n# max-", "\nmax-");
    let written = written.replace("\n# batch-time", "\nbatch-time").replace("\n# duty", "\nduty");
    put(&mut sources, "forgetd.toml", &written);
    let (daemon, defaults) = (Config::parse(sources).unwrap().daemon, shipped().daemon);
    assert_eq!((daemon.safety, daemon.pace), (defaults.safety, defaults.pace));
}

#[test]
fn nothing_is_offered_and_runs_are_told_unless_the_file_says_otherwise() {
    let daemon = shipped().daemon;
    assert_eq!((daemon.log, daemon.metrics), (LogLevel::Info, Metrics::default()));
    let mut sources = shipped_sources();
    let written = sources["forgetd.toml"].text.replace("\n# level = \"info\"", "\nlevel = \"debug\"");
    let written = written.replace("\n# listen", "\nlisten").replace("\n# textfile", "\ntextfile");
    put(&mut sources, "forgetd.toml", &written);
    let daemon = Config::parse(sources).unwrap().daemon;
    assert_eq!(daemon.log, LogLevel::Debug);
    assert_eq!(daemon.metrics.listen, Some(Listen::Unix("/run/forgetd/metrics.sock".into())));
    let textfile = Path::new("/var/lib/prometheus/node-exporter/forgetd.prom");
    assert_eq!(daemon.metrics.textfile.as_deref(), Some(textfile));
    let mut sources = shipped_sources();
    let written = sources["forgetd.toml"]
        .text
        .replace("\n# listen = \"unix:/run/forgetd/metrics.sock\"", "\nlisten = \"[::1]:9723\"");
    put(&mut sources, "forgetd.toml", &written);
    let address = "[::1]:9723".parse().unwrap();
    assert_eq!(Config::parse(sources).unwrap().daemon.metrics.listen, Some(Listen::Loopback(address)));
}

#[test]
fn each_setting_governs_what_its_name_says() {
    let config = shipped();
    let governed: BTreeSet<(Setting, &str)> =
        config.categories.iter().filter_map(|(id, category)| Some((category.setting?, id.as_str()))).collect();
    let expected = [
        (Setting::StoreIp, "visit.ip-address"),
        (Setting::StoreLocation, "visit.location"),
        (Setting::StoreDevice, "visit.device"),
        (Setting::StoreContact, "contact"),
        (Setting::StorePageUrls, "visit.page-urls"),
    ];
    assert_eq!(governed, BTreeSet::from(expected));
}

#[test]
fn smartsupp_is_named_as_its_page_names_it() {
    let config = shipped();
    let processor = smartsupp(&config);
    assert_eq!(processor.party.name, "Smartsupp.com, s.r.o.");
    assert_eq!(processor.identification.as_deref(), Some("036 68 681"));
    assert_eq!(processor.party.address.as_deref(), Some("Šumavská 31, 602 00 Brno"));
    let dpo = processor.dpo.as_ref().unwrap();
    assert_eq!((dpo.name.as_str(), dpo.contact.as_deref()), ("Mgr. Petra Stupková", Some("dpo@smartsupp.com")));
}

#[test]
fn smartsupp_stores_data_mainly_in_the_eu_and_elsewhere_under_a_promise() {
    let config = shipped();
    let locations: Vec<_> = smartsupp(&config)
        .locations
        .iter()
        .map(|location| (location.region.as_str(), location.primary, location.promise.is_some()))
        .collect();
    assert_eq!(locations, [("EU", true, false), ("US", false, true), ("other", false, true)]);
    for location in smartsupp(&config).locations.iter().filter(|location| !location.primary) {
        assert!(location.promise.as_deref().unwrap().contains("level of data security similar to that in the EU"));
    }
}

#[test]
fn smartsupp_has_sub_processors_whose_selection_but_not_whose_names_are_known() {
    let config = shipped();
    let sub_processors = &smartsupp(&config).sub_processors;
    assert_eq!(sub_processors.exist, Some(true));
    let selection = sub_processors.selection.as_deref().unwrap();
    assert!(selection.contains("guarantees of security and data protection"));
    assert!(selection.contains("server hosting"));
    assert!(sub_processors.known.is_empty());
}

#[test]
fn what_the_page_does_not_say_is_absent() {
    let config = shipped();
    let processor = smartsupp(&config);
    assert!(processor.transfers.is_empty());
    assert_eq!(processor.party.contact, None);
    assert_eq!(processor.dpo.as_ref().unwrap().address, None);
    assert_eq!(processor.read, None);
}

#[test]
fn smartsupps_features_rest_on_the_bases_of_the_page() {
    let config = shipped();
    let bases: Vec<_> =
        smartsupp(&config).features.iter().map(|feature| (feature.id.as_str(), feature.lawful_basis)).collect();
    let expected = [
        ("chat", LawfulBasis::LegitimateInterest),
        ("analytics", LawfulBasis::Consent),
        ("marketing", LawfulBasis::Consent),
    ];
    assert_eq!(bases, expected);
}

#[test]
fn smartsupps_two_groups_of_personal_data_and_what_is_entered_into_the_chat_have_all_their_items() {
    let config = shipped();
    let groups: Vec<(&str, Vec<&str>)> = smartsupp(&config)
        .data
        .iter()
        .map(|group| (group.name.as_str(), group.categories.iter().map(CategoryId::as_str).collect()))
        .collect();
    let contact = vec!["contact.name", "contact.surname", "contact.email", "contact.phone", "contact.social-network"];
    let visit = vec![
        "visit.page-urls",
        "visit.time",
        "visit.device",
        "visit.device.screen",
        "visit.device.type",
        "visit.device.browser",
        "visit.device.operating-system",
        "visit.ip-address",
        "visit.location",
        "visit.location.country",
        "visit.location.city",
    ];
    let entered = ("Data entered into the chat box", vec!["conversation"]);
    assert_eq!(groups, [("Contact details", contact), ("Details about visiting the website", visit), entered]);
}

/// Name, class and lifetime as the page's tables give them, and a word that the description must have.
const ITEMS: [(&str, Class, ItemKind, Option<&str>, &str); 10] = [
    ("ssupp.vid", Class::Functional, ItemKind::Cookie, Some("6 months"), "conversation"),
    ("_ss.enableSounds", Class::Functional, ItemKind::LocalStorage, None, "sounds"),
    ("ssupp_<CHAT_KEY>", Class::Functional, ItemKind::LocalStorage, None, "automatic message"),
    ("ssupp_<CHAT_KEY>vid", Class::Functional, ItemKind::LocalStorage, None, "ssupp.vid"),
    ("ssupp_<CHAT_KEY>message", Class::Functional, ItemKind::LocalStorage, None, "begun to write"),
    ("ssupp_<CHAT_KEY>opened", Class::Functional, ItemKind::LocalStorage, None, "open or closed"),
    ("ssupp_<CHAT_KEY>_cards", Class::Functional, ItemKind::LocalStorage, None, "product cards"),
    ("ssupp.visits", Class::Marketing, ItemKind::Cookie, Some("6 months"), "visits"),
    ("ssupp_<CHAT_KEY>", Class::Marketing, ItemKind::LocalStorage, None, "prefer"),
    ("ssupp_<CHAT_KEY>visits", Class::Marketing, ItemKind::LocalStorage, None, "ssupp.visits"),
];

#[test]
fn smartsupps_ten_storage_items_are_all_there() {
    let config = shipped();
    let items = &smartsupp(&config).items;
    assert_eq!(items.len(), ITEMS.len());
    for (found, (name, class, kind, period, word)) in items.iter().zip(ITEMS) {
        assert_eq!((found.name.as_str(), found.class, found.kind), (name, class, kind));
        let lifetime = period.map_or(Lifetime::UntilDeleted, |period| Lifetime::For(period.parse().unwrap()));
        assert_eq!(found.lifetime, lifetime, "{name}");
        assert!(found.description.contains(word), "{name}: {}", found.description);
    }
}

#[rstest]
#[case("compliance", "complies with the GDPR")]
#[case("data-location", "mainly within the EU")]
#[case("dpo-consultation", "regularly consults")]
#[case("sub-processors", "guarantees of security and data protection")]
#[case("ip-storage-default", "IP addresses are not stored by default")]
#[case("other-sensitive-data-default", "which ones is not said")]
#[case("information-duty", "notice that personal data are processed")]
#[case("agreement", "agreement with every customer")]
#[case("automated-processing", "processed automatically")]
#[case("consent-not-needed", "legitimate interest")]
#[case("consent-needed", "cookie bar")]
#[case("privacy-policy-processor", "identification number and registered office")]
#[case("privacy-policy-wording", "by automated means")]
#[case("privacy-policy-scope", "two groups of personal data")]
#[case("cookie-overview-duty", "each in its right class")]
fn smartsupps_other_statements_are_all_there(#[case] topic: &str, #[case] words: &str) {
    let config = shipped();
    let text = statement(smartsupp(&config), topic);
    assert!(text.contains(words), "{topic}: {text}");
}

#[test]
fn the_shipped_site_is_the_example_of_the_documentation() {
    let config = shipped();
    let site = shop(&config);
    assert_eq!((site.time_zone.name.as_str(), site.schedule.to_string().as_str()), ("Europe/Prague", "30 3 * * *"));
    assert_eq!(site.settings, BTreeMap::from([(Setting::StoreIp, false)]));
    assert_eq!(site.processors[0].chat_key.as_deref(), Some("8f3c2a"));
    assert_eq!(site.processors[0].agreement, Some(jiff::civil::date(2026, 1, 10)));
    assert_eq!(site.retention[&Tag::Category(category("visit.location"))], "30 days".parse().unwrap());
    let table = &site.stores["chat"].tables()[0];
    assert_eq!((table.id.as_str(), table.name.as_str(), table.key.as_str()), ("visitors", "visitors", "id"));
    assert_eq!((table.time.column.as_str(), table.time.format), ("last_seen", TimeFormat::UnixSeconds));
    assert_eq!(table.time.meaning, TimeMeaning::Recorded);
    assert_eq!(table.holds, item("ssupp.vid", Class::Functional));
    assert_eq!(table.consent, Some(Consent { column: "marketing_consent".into(), given: Scalar::Integer(1) }));
    assert_eq!(table.children, [Child { table: "pages".into(), column: "visitor_id".into() }]);
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["city", "email", "ip", "visits"]);
    assert!(table.columns.iter().all(|column| column.treatment == Treatment::Once(ColumnAction::Erase)));
}

#[test]
fn a_period_comes_from_the_nearest_category_or_from_the_items_lifetime() {
    let config = shipped();
    let site = shop(&config);
    let period = |tag: &Tag| config.period(site, tag).map(|stated| (stated.period.to_string(), stated.source));
    let from = |id: &str| PeriodSource::Site(Tag::Category(category(id)));
    let city = Tag::Category(category("visit.location.city"));
    assert_eq!(period(&city), Some(("30 days".into(), from("visit.location"))));
    let browser = Tag::Category(category("visit.device.browser"));
    assert_eq!(period(&browser), Some(("6 months".into(), from("visit"))));
    let lifetime = PeriodSource::Lifetime { processor: "smartsupp".into() };
    assert_eq!(period(&item("ssupp.visits", Class::Marketing)), Some(("6 months".into(), lifetime)));
    assert_eq!(period(&item("ssupp_<CHAT_KEY>opened", Class::Functional)), None);
}

#[test]
fn addresses_are_not_stored_unless_the_site_says_so() {
    let silent = shipped_sources()["sites/shop.example.toml"].text.replace("store-ip = false", "");
    let config = with_site(&silent).unwrap();
    let address = category("visit.ip-address");
    assert_eq!(config.not_stored(shop(&config), &address), Some(NotStored::DefaultOff(Setting::StoreIp)));
    let config = with_site(&silent.replace("[settings]", "[settings]\nstore-ip = true")).unwrap();
    assert_eq!(config.not_stored(shop(&config), &address), None);
}

#[test]
fn a_parents_switch_holds_for_its_children_and_not_stored_for_any_category() {
    let text = &shipped_sources()["sites/shop.example.toml"].text;
    let text = text.replace("[settings]", "[settings]\nstore-device = false\nnot-stored = [\"contact.phone\"]");
    let config = with_site(&text).unwrap();
    let not_stored = |id: &str| config.not_stored(shop(&config), &category(id));
    assert_eq!(not_stored("visit.device.browser"), Some(NotStored::SettingOff(Setting::StoreDevice)));
    assert_eq!(not_stored("contact.phone"), Some(NotStored::Listed(category("contact.phone"))));
    assert_eq!(not_stored("contact.email"), None);
}

#[test]
fn every_way_of_writing_a_table_is_read() {
    let text = r#"
domain = "shop.example"
time-zone = "Europe/Prague"
schedule = "@daily"
controller = { name = "Shop Ltd", joint-controller = { name = "Partner Ltd" } }
[settings]
store-ip = true
[[processor]]
id = "smartsupp"
chat-key = "8f3c2a"
[retention]
visit = "6 months"
"marketing:ssupp_8f3c2a" = "1 month"
[store.chat]
kind = "sqlite"
path = "/srv/shop/chat.db"
[[store.chat.table]]
id = "third-site"
name = "visitors/all"
key = "id"
time = { column = "seen", format = "datetime", time-zone = "UTC" }
holds = "marketing:ssupp_8f3c2a"
filter = { site_id = 3, kind = "web", live = true }
accepts = ["trigger:visitors_log", "cascade:pages"]
[store.chat.table.columns]
ip = { category = "visit.ip-address", value = "", unparsed = "keep", steps = [
  { after = "7 days", do = "truncate" },
  { after = "14 days", do = "truncate", prefix = { v4 = 16, v6 = 32 } },
  { after = "30 days", do = "erase" },
] }
[[store.chat.table]]
name = "sessions"
key = "id"
expires = { column = "expire_date", format = "iso-8601" }
holds = "visit"
columns = { address = { category = "visit.ip-address", do = "truncate" } }
"#;
    let config = with_site(text).unwrap();
    let site = shop(&config);
    assert_eq!(site.controller.as_ref().unwrap().joint_controller.as_ref().unwrap().name, "Partner Ltd");
    let [visitors, sessions] = site.stores["chat"].tables() else { panic!("two tables") };
    assert_eq!((visitors.id.as_str(), visitors.name.as_str()), ("third-site", "visitors/all"));
    assert_eq!(visitors.holds, item("ssupp_<CHAT_KEY>", Class::Marketing));
    assert_eq!(visitors.time.zone.as_ref().unwrap().name, "UTC");
    assert_eq!(visitors.filter["site_id"], Scalar::Integer(3));
    assert_eq!(visitors.filter["kind"], Scalar::Text("web".into()));
    assert_eq!(visitors.filter["live"], Scalar::Boolean(true));
    let accepted = [SideEffect::Trigger("visitors_log".into()), SideEffect::Cascade("pages".into())];
    assert_eq!(visitors.accepts, BTreeSet::from(accepted));
    assert_eq!(visitors.columns[0].stand_in, Some(Scalar::Text(String::new())));
    let Treatment::Ladder(steps) = &visitors.columns[0].treatment else { panic!("a ladder") };
    let mask = |v4, v6| ColumnAction::Truncate(Mask { v4, v6, unparsed: Unparsed::Keep });
    let actions: Vec<_> = steps.iter().map(|step| (step.after.to_string(), step.action)).collect();
    let expected = [("7 days", mask(24, 48)), ("14 days", mask(16, 32)), ("30 days", ColumnAction::Erase)];
    assert_eq!(actions, expected.map(|(after, action)| (after.to_owned(), action)));
    assert_eq!(sessions.time.meaning, TimeMeaning::Expires);
    let whole = ColumnAction::Truncate(Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase });
    assert_eq!(sessions.columns[0].treatment, Treatment::Once(whole));
}

/// The examples of the reference, in the order of the files they show.
fn documented_examples() -> Vec<String> {
    let reference = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap();
    let blocks = reference.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_examples_of_the_reference_are_one_whole_configuration() {
    let [daemon, _excerpt_of_categories, processor, site] = documented_examples().try_into().unwrap();
    let mut sources = shipped_sources();
    put(&mut sources, "forgetd.toml", &daemon);
    put(&mut sources, "sites/shop.example.toml", &site);
    Config::parse(sources.clone()).unwrap();
    // The processor of the example has one item only, which the site does not get by with.
    sources.remove("sites/shop.example.toml");
    put(&mut sources, "processors/smartsupp.toml", &processor);
    Config::parse(sources).unwrap();
}

#[test]
fn an_item_in_the_name_of_another_host_is_no_tag_and_takes_no_name_from_one_that_is() {
    let site =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sites/shop.example.toml")).unwrap();
    let used = "[[processor]]\nid = \"video\"\n\n[retention]\n";
    let checked = |name: &str, period: &str| {
        let mut sources = shipped_sources();
        let item = format!(
            "id = \"video\"\nproduct = \"Video\"\nname = \"Video Ltd\"\n[[item]]\nname = \"{name}\"\n\
             class = \"functional\"\nkind = \"cookie\"\ndescription = \"Plays\"\nlifetime = \"1 day\"\n\
             host = \"video.example\"\n"
        );
        put(&mut sources, "processors/video.toml", &item);
        put(&mut sources, "sites/shop.example.toml", &site.replace("[retention]\n", &format!("{used}{period}")));
        Config::parse(sources)
    };
    let Problems(problems) = checked("PREF", "PREF = \"1 day\"\n").unwrap_err();
    let told: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(told, ["`PREF` stands in the name of `video.example`: no record of this site holds it"]);
    // The shipped site has columns that hold the item of that name of its own.
    checked("ssupp.vid", "").unwrap();
}

/// The keys that are allowed in a table, as the hint for a key that is none of them lists them.
fn allowed_keys(path: &str, text: &str) -> Vec<String> {
    let mut sources = shipped_sources();
    put(&mut sources, path, text);
    let Problems(problems) = Config::parse(sources).unwrap_err();
    let unknown = problems.iter().find(|problem| problem.message == "unknown key `0000000000000000`").unwrap();
    let list = unknown.hint.as_deref().unwrap().strip_prefix("write ").unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[rstest]
#[case("forgetd.toml", "")]
#[case("forgetd.toml", "[controller]")]
#[case("forgetd.toml", "[dpo]")]
#[case("forgetd.toml", "[safety]")]
#[case("forgetd.toml", "[pace]")]
#[case("categories.toml", "[[category]]")]
#[case("processors/smartsupp.toml", "")]
#[case("processors/smartsupp.toml", "[[location]]")]
#[case("processors/smartsupp.toml", "[[transfer]]")]
#[case("processors/smartsupp.toml", "[sub-processors]")]
#[case("processors/smartsupp.toml", "[[sub-processors.known]]")]
#[case("processors/smartsupp.toml", "[[feature]]")]
#[case("processors/smartsupp.toml", "[[data]]")]
#[case("processors/smartsupp.toml", "[[item]]")]
#[case("processors/smartsupp.toml", "[[statement]]")]
#[case("sites/shop.example.toml", "")]
#[case("sites/shop.example.toml", "[settings]")]
#[case("sites/shop.example.toml", "[[processor]]")]
#[case("sites/shop.example.toml", "[store.a]\nkind = \"sqlite\"")]
#[case("sites/shop.example.toml", "[store.a]\nkind = \"directory\"")]
#[case("sites/shop.example.toml", "[store.a]\nkind = \"directory\"\n[store.a.age]")]
#[case("sites/shop.example.toml", "[store.a]\nkind = \"log\"")]
#[case("sites/shop.example.toml", "[store.a]\nkind = \"postgres\"")]
#[case("sites/shop.example.toml", "[store.a]\nkind = \"mysql\"")]
#[case("sites/shop.example.toml", "[store.a]\nkind = \"sqlite\"\n[[store.a.table]]")]
#[case("sites/shop.example.toml", "[store.a]\nkind = \"sqlite\"\n[[store.a.table]]\n[store.a.table.time]")]
#[case("sites/shop.example.toml", "[store.a]\nkind = \"sqlite\"\n[[store.a.table]]\n[store.a.table.columns.ip]")]
fn every_key_that_is_read_is_documented(#[case] path: &str, #[case] table: &str) {
    let reference = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap();
    for key in allowed_keys(path, &format!("{table}\n0000000000000000 = 0\n")) {
        let documented = [format!("`{key}`"), format!("`[{key}"), format!("`[[{key}"), format!("`[{key}.")];
        assert!(documented.iter().any(|form| reference.contains(form.as_str())), "{path} {table}: `{key}`");
    }
}
