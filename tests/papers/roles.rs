//! Who is what: the controller, the operator who keeps records for another, processors, and what each paper says of them.

use serde_json::Value;

use super::{ALL, CHAT, Installation, export, rows, seen, shop, site};

const CLIENT: &str =
    "[controller]\nname = \"Client a.s.\"\naddress = \"Street 2\"\ncontact = \"client@client.example\"\n[settings]";

pub(super) const STORE: &str = "[store.chat]\nkind = \"sqlite\"\npath = \"/srv/chat.db\"\n[[store.chat.table]]\nname = \"visitors\"\n\
                     key = \"id\"\ntime = { column = \"seen\", format = \"unix-seconds\" }\nholds = \"visit\"\n";

/// A site of another controller on the operator's server.
pub(super) fn of_a_client(features: &str, store: &str) -> Installation {
    let shop = shop(features, "");
    shop.write("sites/shop.example.toml", &(site(features, "").replace("[settings]", CLIENT) + store));
    shop
}

fn found(shop: &Installation) -> String {
    shop.json(&["register", "check"], 3)["findings"].to_string()
}

#[test]
fn the_operator_s_record_is_of_what_it_keeps_for_other_controllers() {
    let own = shop(ALL, "");
    assert_eq!(rows(&export(&own, "article30-processor", "csv", &[])).len(), 0);
    let told = export(&own, "article30-processor", "html", &[]);
    assert!(told.contains("Shop s.r.o. is itself the controller of shop.example"), "{told}");

    // Smartsupp's processing is not the operator's, and without a store the operator keeps nothing.
    let without = of_a_client(ALL, "");
    assert_eq!(rows(&export(&without, "article30-processor", "csv", &[])).len(), 0);
    let told = export(&without, "article30-processor", "html", &[]);
    assert!(told.contains("Shop s.r.o. keeps no records of the visitors of shop.example."), "{told}");

    let client = of_a_client(ALL, STORE);
    assert!(found(&client).contains("address of the operator, who processes on behalf of other controllers"));
    let record = rows(&export(&client, "article30-processor", "csv", &[]));
    assert_eq!(record.len(), 1);
    assert_eq!(record[0]["Processor"], "Shop s.r.o., [missing], [missing]");
    assert_eq!(record[0]["Name and contact details of controller"], "Client a.s., Street 2, client@client.example");
    assert_eq!(record[0]["Categories of processing"], "Storing and erasing records of visitors");
    assert_eq!(record[0]["Categories of personal data"], "Records of visitors: Visits to the website");
    // Article 30(2)(c): nobody has told where the operator's own server sends data.
    for column in [
        "Third countries or international organisations that personal data are transferred to",
        "Safeguards for transfers of personal data",
    ] {
        assert_eq!(record[0][column], "[missing]", "{column}");
    }
    let value: Value = serde_json::from_str(&export(&client, "article30-processor", "json", &[])).unwrap();
    assert_eq!(value["processing"]["reference"], "shop.example/server");
    assert!(!value.to_string().contains("Smartsupp"), "{value}");
}

#[test]
fn the_operator_s_officer_is_not_another_controller_s() {
    let client = of_a_client(CHAT, STORE);
    let daemon = std::fs::read_to_string(client.config().join("forgetd.toml")).unwrap();
    client.write("forgetd.toml", &(daemon + "\n[dpo]\nname = \"Jana Example\"\ncontact = \"dpo@shop.example\"\n"));
    let record = rows(&export(&client, "article30-processor", "csv", &[]));
    assert_eq!(record[0]["Data protection officer of the processor"], "Jana Example, dpo@shop.example");
    assert_eq!(record[0]["Data protection officer of the controller"], "[none declared]");
    assert!(!export(&client, "privacy-notice", "md", &[]).contains("Jana Example"));
    assert!(found(&client).contains("no data protection officer is declared"));
}

#[test]
fn who_keeps_the_records_for_another_controller_is_its_processor() {
    let client = of_a_client(CHAT, STORE);
    for (paper, form) in [
        ("privacy-notice", "md"),
        ("privacy-notice", "html"),
        ("article30", "csv"),
        ("article30", "html"),
        ("agreement-annex", "md"),
        ("agreement-annex", "html"),
    ] {
        assert!(export(&client, paper, form, &[]).contains("Shop s.r.o."), "{paper} as {form}");
    }
    let missing = "data processing agreement of Client a.s. with Shop s.r.o.";
    assert!(found(&client).contains(missing));

    let operator = "id = \"operator\"\nproduct = \"Hosting\"\nname = \"Shop s.r.o.\"\n[[feature]]\nid = \"hosting\"\n\
                    purpose = \"Running the website\"\nlawful-basis = \"contract\"\n";
    client.write("processors/operator.toml", operator);
    let used = "[[processor]]\nid = \"operator\"\nfeatures = [\"hosting\"]\nagreement = 2026-02-01\n[retention]";
    let with = site(CHAT, "").replace("[settings]", CLIENT).replace("[retention]", used) + STORE;
    client.write("sites/shop.example.toml", &with);
    assert!(!found(&client).contains(missing));
    assert!(export(&client, "agreement-annex", "md", &[]).contains("Agreement of 1 February 2026"));
    client.write("processors/operator.toml", &format!("{operator}[[location]]\nregion = \"US\"\n"));
    let record = rows(&export(&client, "article30-processor", "csv", &[]));
    assert_eq!(record[0]["Safeguards for transfers of personal data"], "the United States: [missing]");
}

#[test]
fn items_and_purposes_of_the_controller_itself_make_no_processor_of_it() {
    let shop = shop(CHAT, "");
    let own = "id = \"own\"\nproduct = \"The shop itself\"\nname = \"Shop s.r.o.\"\n[[feature]]\nid = \"basket\"\n\
               purpose = \"Keeping the basket\"\nlawful-basis = \"contract\"\n[[data]]\nname = \"Orders\"\n\
               categories = [\"visit.time\"]\n[[item]]\nname = \"basket\"\nclass = \"functional\"\nkind = \"cookie\"\n\
               description = \"Holds the basket\"\nlifetime = \"session\"\n";
    shop.write("processors/own.toml", own);
    let used = "[[processor]]\nid = \"own\"\nfeatures = [\"basket\"]\n[retention]";
    shop.write("sites/shop.example.toml", &site(CHAT, "").replace("[retention]", used));
    let told = found(&shop);
    for of_processors in ["of the processor Shop", "agreement with Shop", "sub-processors of Shop", "where Shop"] {
        assert!(!told.contains(of_processors) && !told.contains("whether Shop"), "{of_processors}: {told}");
    }
    let notice = seen("md", &export(&shop, "privacy-notice", "md", &[]));
    let (_, processors) = notice.split_once("### Who processes data for us").unwrap();
    let (processors, rest) = processors.split_once("### Which data").unwrap();
    assert!(!processors.contains("Shop s.r.o.") && rest.contains("Orders: Date and time of the visit"), "{notice}");
    assert!(notice.contains("The shop itself: Keeping the basket: performance of a contract"), "{notice}");
    let record = rows(&export(&shop, "article30", "csv", &[]));
    assert_eq!(
        (&record[1]["Categories of recipients"], &record[1]["Contract with processor"]),
        (&"none".into(), &"none".into())
    );
    assert!(export(&shop, "cookies", "csv", &[]).contains("basket,The shop itself (Shop s.r.o.),"));
    assert!(!export(&shop, "visitor-notice", "md", &[]).contains("help of Shop"));
}

#[test]
fn the_message_in_the_chat_names_who_takes_part_in_the_chat() {
    let shop = shop(CHAT, "");
    let mail = "id = \"mail\"\nproduct = \"Mail\"\nname = \"Mail GmbH\"\n[[feature]]\nid = \"newsletter\"\n\
                purpose = \"Sending the newsletter\"\nlawful-basis = \"consent\"\n";
    shop.write("processors/mail.toml", mail);
    let used = "[[processor]]\nid = \"mail\"\nfeatures = [\"newsletter\"]\n[retention]";
    shop.write("sites/shop.example.toml", &site(CHAT, "").replace("[retention]", used));
    let told = export(&shop, "visitor-notice", "md", &["--policy", "/privacy"]);
    assert!(told.contains("by Shop s.r.o. with the help of Smartsupp.com, s.r.o. "), "{told}");
}

#[test]
fn erasure_is_claimed_only_of_what_a_rule_erases() {
    let erased = "Records on our own server are erased automatically when their period is over: ";
    let measure = "Records past their storage period are erased automatically";
    let answer = "Retained and erased in accordance with the retention schedule";
    let shop = shop(CHAT, "");
    assert!(!export(&shop, "privacy-notice", "md", &[]).contains("erased automatically"));
    assert!(!export(&shop, "agreement-annex", "md", &[]).contains(measure));
    let record = rows(&export(&shop, "article30", "csv", &[]));
    assert_eq!(record[0][answer], "Not shown: no rule of forgetd erases records of the website");

    shop.write("sites/shop.example.toml", &(site(CHAT, "") + STORE));
    let plan = shop.json(&["plan"], 3);
    assert_eq!(plan["rules"].as_array().unwrap().len(), 1, "{plan}");
    for form in ["md", "html"] {
        let notice = seen(form, &export(&shop, "privacy-notice", form, &[]));
        assert!(notice.contains(&format!("{erased}Visits to the website.")), "conversations are not: {notice}");
    }
    assert!(export(&shop, "agreement-annex", "md", &[]).contains(measure));
    let record = rows(&export(&shop, "article30", "csv", &[]));
    assert_eq!(record[0][answer], "By the evidence of forgetd: `forgetd audit report`");
}

#[test]
fn a_site_without_anything_lacks_its_processing() {
    let shop = shop(CHAT, "");
    shop.write("sites/shop.example.toml", "domain = \"shop.example\"\ntime-zone = \"UTC\"\nschedule = \"0 3 * * *\"\n");
    assert!(found(&shop).contains("any processing: the site uses no processor"), "{}", found(&shop));
    let notice = export(&shop, "privacy-notice", "md", &[]);
    let missing = "**\\[missing\\]**";
    for heading in ["What for, and on which basis", "Which data", "How long data are kept"] {
        let (_, text) = notice.split_once(&format!("### {heading}\n")).unwrap();
        assert!(text.trim_start().starts_with(&format!("* {missing}")), "{heading}: {notice}");
    }
}

#[test]
fn a_transfer_is_one_out_of_the_european_economic_area() {
    let transfers = |places: &str| {
        let shop = shop(CHAT, "");
        let processor = "id = \"mail\"\nproduct = \"Mail\"\nname = \"Mail GmbH\"\naddress = \"Street 4\"\n\
                         contact = \"mail@mail.example\"\nidentification = \"HRB 1\"\n";
        let rest = "[[feature]]\nid = \"newsletter\"\npurpose = \"Sending the newsletter\"\nlawful-basis = \"consent\"\n\
                    [[data]]\nname = \"Addresses\"\ncategories = [\"contact.email\"]\n";
        shop.write("processors/mail.toml", &[processor, places, rest].concat());
        let used = "id = \"mail\"\nfeatures = [\"newsletter\"]\nagreement = 2026-01-10\n[retention]";
        let site = site(CHAT, "");
        let (before, after) = site.split_once("id = \"smartsupp\"").unwrap();
        let (_, retention) = after.split_once("[retention]").unwrap();
        shop.write("sites/shop.example.toml", &[before, used, retention].concat());
        let record: Value = serde_json::from_str(&export(&shop, "article30", "json", &[])).unwrap();
        let told = record["activities"][0]["transfers"].as_array().unwrap();
        let countries: Vec<String> = told.iter().map(|one| one["country"].as_str().unwrap().to_owned()).collect();
        (countries, found(&shop).contains("safeguard for the transfer by Mail GmbH"))
    };
    let none = (Vec::<String>::new(), false);
    for within in ["EU", "EEA", "Germany", "DE", "Norway", "IS", "european union"] {
        assert_eq!(transfers(&format!("[[location]]\nregion = \"{within}\"\n")), none, "{within}");
    }
    let declared = "[[location]]\nregion = \"DE\"\n[[transfer]]\ncountry = \"DE\"\nsafeguard = \"none needed (EEA)\"\n";
    assert_eq!(transfers(declared), none, "a place within is none, whatever is declared");
    assert_eq!(transfers("[[location]]\nregion = \"Switzerland\"\n"), (vec!["Switzerland".to_owned()], true));
    let through = "[[location]]\nregion = \"EU\"\n[sub-processors]\nexist = true\n[[sub-processors.known]]\n\
                   name = \"Host Inc.\"\naddress = \"Road 1\"\ncontact = \"host@host.example\"\ncountry = \"US\"\n";
    assert_eq!(transfers(through), (vec!["the United States".to_owned()], true), "also through a sub-processor");
}
