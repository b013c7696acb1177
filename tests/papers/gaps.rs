//! What is not known stands in the papers as missing, and `register check` says what to write where.

use serde_json::Value;

use super::{ALL, CHAT, Installation, export, shop, site};

/// What Smartsupp's page does not say, completed as an operator would from the agreement.
const COMPLETED: [(&str, &str); 3] = [
    (
        "address = \"Šumavská 31, 602 00 Brno\"",
        "address = \"Šumavská 31, 602 00 Brno\"\ncontact = \"support@smartsupp.example\"",
    ),
    (
        "[sub-processors]\n",
        "[[transfer]]\ncountry = \"US\"\nsafeguard = \"SCC 2021/914 module 3\"\n\
         [[transfer]]\ncountry = \"other\"\nsafeguard = \"adequacy\"\nvalid-until = 2999-12-31\n[sub-processors]\n",
    ),
    (
        "[[feature]]\nid = \"chat\"",
        "[[sub-processors.known]]\nname = \"Host s.r.o.\"\naddress = \"Street 3\"\ncontact = \"host@host.example\"\n\
         purpose = \"Server hosting\"\ncountry = \"EU\"\n[[feature]]\nid = \"chat\"",
    ),
];

fn complete(shop: &Installation) {
    let file = shop.config().join("processors/smartsupp.toml");
    let mut text = std::fs::read_to_string(file).unwrap();
    for (from, to) in COMPLETED {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    shop.write("processors/smartsupp.toml", &text);
    let daemon = std::fs::read_to_string(shop.config().join("forgetd.toml")).unwrap();
    let name = "name = \"Shop s.r.o.\"\n";
    let controller = format!("{name}address = \"Street 1\"\ncontact = \"shop@shop.example\"\n");
    shop.write("forgetd.toml", &daemon.replace(name, &controller));
    let own = "[notice]\nprovision = \"Nobody must give data; without them there is no answer\"\n";
    std::fs::create_dir_all(shop.config().join("templates/en")).unwrap();
    std::fs::write(shop.config().join("templates/en/texts.toml"), own).unwrap();
}

fn findings(shop: &Installation, code: i32) -> Vec<String> {
    let found = shop.json(&["register", "check"], code);
    let what =
        |finding: &Value| format!("{}: {}", finding["level"].as_str().unwrap(), finding["what"].as_str().unwrap());
    found["findings"].as_array().unwrap().iter().map(what).collect()
}

#[test]
fn what_the_law_wants_and_nobody_declared_is_found_with_what_to_write() {
    let shop = shop(CHAT, "");
    let expected = [
        "missing: address of the controller",
        "missing: contact of the controller",
        "missing: contact of the processor Smartsupp.com, s.r.o.",
        "missing: names, addresses and contacts of the sub-processors of Smartsupp.com, s.r.o.",
        "missing: safeguard for the transfer by Smartsupp.com, s.r.o. to `US`",
        "missing: safeguard for the transfer by Smartsupp.com, s.r.o. to `other`",
        "missing: whether visitors must give their data, and what follows when they do not",
        "note: no data protection officer is declared",
        "note: other security measures",
        "note: what happens to the data when the agreement ends",
    ];
    assert_eq!(findings(&shop, 3), expected);
    let told = shop.run(&["register", "check"]);
    assert_eq!(told.code, 3);
    assert!(told.stdout.contains("processors/smartsupp.toml: `contact = \"…\"`"), "{told:?}");
    assert!(told.stdout.ends_with("7 things must be said and are not known.\n"), "{told:?}");
}

#[test]
fn a_site_that_relies_on_consent_must_declare_where_it_is_recorded() {
    let store = "[store.chat]\nkind = \"sqlite\"\npath = \"/srv/chat.db\"\n[[store.chat.table]]\nname = \"visitors\"\n\
                 key = \"id\"\ntime = { column = \"seen\", format = \"unix-seconds\" }\nholds = \"visit\"\n";
    let recorded = "consent = { column = \"agreed\", given = 1 }\n";
    let is_found = |features: &str, stores: &str| {
        let shop = shop(features, "");
        shop.write("sites/shop.example.toml", &(site(features, "") + stores));
        let wanted = "missing: where the visitor's consent is recorded in the site's own tables";
        findings(&shop, 3).iter().any(|finding| finding == wanted)
    };
    assert!(is_found(ALL, store));
    assert!(!is_found(ALL, &[store, recorded].concat()));
    assert!(!is_found(CHAT, store), "nothing rests on consent");
    assert!(!is_found(ALL, ""), "there are no tables");
}

#[test]
fn what_a_processor_lacks_is_found_once_for_all_its_sites() {
    let shop = shop(CHAT, "");
    shop.write("sites/other.example.toml", &site(CHAT, "").replace("shop.example", "other.example"));
    let found = shop.json(&["register", "check"], 3);
    let contact = "contact of the processor Smartsupp.com, s.r.o.";
    let of_contact: Vec<&Value> =
        found["findings"].as_array().unwrap().iter().filter(|finding| finding["what"] == contact).collect();
    assert_eq!(of_contact.len(), 1);
    assert_eq!(of_contact[0]["sites"], serde_json::json!(["other.example", "shop.example"]));
    assert_eq!(
        shop.json(&["register", "check", "--site", "shop.example"], 3)["findings"][0]["sites"][0],
        "shop.example"
    );
}

#[test]
fn what_is_missing_is_marked_and_named_in_the_export_which_succeeds() {
    let shop = shop(CHAT, "");
    let record: Value = serde_json::from_str(&export(&shop, "article30", "json", &[])).unwrap();
    assert_eq!(record["controller"]["address"], Value::Null);
    assert!(record["missing"].as_array().unwrap().contains(&"address of the controller".into()), "{record}");
    for (paper, form, mark) in [
        ("article30", "html", "<mark>[missing]</mark>"),
        ("article30", "csv", "[missing]"),
        ("privacy-notice", "html", "<mark>[missing]</mark>"),
        ("privacy-notice", "md", "**\\[missing\\]**"),
        ("agreement-annex", "md", "**\\[missing\\]**"),
        ("visitor-notice", "html", "<mark>[missing]</mark>"),
    ] {
        assert!(export(&shop, paper, form, &[]).contains(mark), "{paper} as {form}");
    }
}

#[test]
fn a_register_that_knows_everything_has_no_findings() {
    let shop = shop(ALL, "");
    complete(&shop);
    assert!(findings(&shop, 0).iter().all(|finding| finding.starts_with("note: ")));
    let told = export(&shop, "article30", "csv", &[]);
    assert!(
        told.contains(
            "the United States: SCC 2021/914 module 3; other countries: adequacy (valid until 31 December 2999)"
        ),
        "{told}"
    );
    assert!(told.contains("Sub-processor: Host s.r.o., Street 3, host@host.example, EU"), "{told}");
    let notice = export(&shop, "privacy-notice", "html", &["--policy", "/privacy"]);
    assert!(!notice.contains("<mark>"), "{notice}");
}

#[test]
fn a_safeguard_that_has_ended_is_a_finding() {
    let shop = shop(ALL, "");
    complete(&shop);
    let file = std::fs::read_to_string(shop.config().join("processors/smartsupp.toml")).unwrap();
    shop.write("processors/smartsupp.toml", &file.replace("2999-12-31", "2020-12-31"));
    let found = findings(&shop, 3);
    let ended =
        "missing: safeguard for the transfer by Smartsupp.com, s.r.o. to `other`: it was valid until 2020-12-31";
    assert!(found.contains(&ended.to_owned()), "{found:?}");
    for (paper, form) in [("privacy-notice", "md"), ("article30", "csv"), ("agreement-annex", "md")] {
        let told = export(&shop, paper, form, &[]);
        assert!(!told.contains("adequacy") && !told.contains("2020"), "{paper} tells what no longer holds: {told}");
    }
}

#[test]
fn what_a_store_holds_and_no_feature_explains_lacks_its_purpose() {
    let shop = shop(CHAT, "");
    let store = "[store.chats]\nkind = \"directory\"\npath = \"/srv/shop/chats\"\npattern = \"chat-*\"\nage = \"mtime\"\nholds = \"visit.count\"\n";
    shop.write("sites/shop.example.toml", &(site(CHAT, "") + store));
    let found = findings(&shop, 3);
    let purpose = "missing: purpose and lawful basis of what the stores hold: `visit.count`";
    assert!(found.contains(&purpose.to_owned()), "{found:?}");
    let record: Value = serde_json::from_str(&export(&shop, "article30", "json", &[])).unwrap();
    let own = &record["activities"][1];
    assert_eq!((&own["reference"], &own["purpose"]), (&"shop.example/server".into(), &Value::Null));
}

#[test]
fn an_address_that_is_kept_without_its_last_part_is_told_so() {
    let shop = shop(CHAT, "");
    let store = "[store.access]\nkind = \"log\"\npath = \"/var/log/nginx/shop.log*\"\nformat = \"combined\"\nholds = \"visit\"\n\
        address = { category = \"visit.ip-address\", do = \"truncate\" }\n";
    shop.write("sites/shop.example.toml", &(site(CHAT, "store-ip = false") + store));
    let notice = export(&shop, "privacy-notice", "md", &[]);
    assert!(notice.contains("Kept only without their last part: IP address."), "{notice}");
    assert!(!notice.contains("Not stored"), "it is one or the other: {notice}");
    let ladder = "address = { category = \"visit.ip-address\", steps = [{ after = \"7 days\", do = \"truncate\" }, { after = \"30 days\", do = \"erase\" }] }";
    let store = store.replace("address = { category = \"visit.ip-address\", do = \"truncate\" }", ladder);
    shop.write("sites/shop.example.toml", &(site(CHAT, "store-ip = true") + &store));
    let notice = export(&shop, "privacy-notice", "md", &[]);
    let told = "IP address: 6 months, shortened to its network after 7 days, erased after 30 days";
    assert!(notice.contains(told), "{notice}");
}
