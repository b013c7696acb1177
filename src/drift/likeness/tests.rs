use super::*;

fn likeness(name: &str) -> Option<Likeness> {
    of_column(name, Nature::Text).map(|(likeness, _)| likeness)
}

#[test]
fn names_are_recognised_in_three_languages_and_every_way_of_writing() {
    let expected: &[(Likeness, &[&str])] = &[
        (Likeness::IpAddress, &["ip", "IP", "ip_address", "ipAddress", "IPAddress", "REMOTE_ADDR", "ip4", "last-ip"]),
        (Likeness::IpAddress, &["IP-Adresse", "ip_adresa", "x_forwarded_for", "comment_author_IP"]),
        (Likeness::Email, &["email", "e-mail", "E_Mail", "userEmail", "emailová adresa", "E-Mail-Adresse", "mail"]),
        (Likeness::Phone, &["phone", "Telefonnummer", "telefonní číslo", "mobile2", "HANDY", "tel", "telefon"]),
        (Likeness::UserAgent, &["user_agent", "userAgent", "UserAgent", "browser", "prohlížeč"]),
        (Likeness::Name, &["first_name", "lastName", "SURNAME", "jméno", "Příjmení", "prijmeni", "Vorname", "name"]),
        (Likeness::Name, &["Nachname", "Benutzername", "uživatelské jméno", "user_login"]),
        (Likeness::UserId, &["user_id", "userId", "UID", "visitor_id", "ID zákazníka", "Kundennummer"]),
        (Likeness::Birth, &["date_of_birth", "dateOfBirth", "datum narození", "Geburtsdatum", "DOB"]),
        (Likeness::Number, &["IBAN", "rodné číslo", "Kontonummer"]),
        (Likeness::Address, &["address", "address1", "ulice", "PSČ", "Straße", "Anschrift", "shipping_address_line"]),
        (Likeness::Location, &["city", "město", "latitude", "Stadt"]),
    ];
    for (wanted, names) in expected {
        for name in *names {
            assert_eq!(likeness(name), Some(*wanted), "{name}");
        }
    }
}

#[test]
fn names_of_things_are_not_taken_for_people() {
    let others = [
        "id",
        "title",
        "zip",
        "ship",
        "tip",
        "description",
        "recipe",
        "file_name",
        "table_name",
        "price",
        "hostname",
        "email_template",
        "email_verified",
        "ip_version",
        "is_mobile",
        "phone_type",
        "membership",
        "multiplication",
        "relation",
        "strategy",
        "",
        "_",
        "日付",
    ];
    for name in others {
        assert_eq!(likeness(name), None, "{name}");
    }
}

#[test]
fn a_type_can_say_it_alone_and_can_contradict_a_name() {
    assert_eq!(of_column("a", Nature::Address), Some((Likeness::IpAddress, Certainty::Alone)));
    assert_eq!(of_column("email_verified_at", Nature::Time), None);
    assert_eq!(of_column("email", Nature::Number), None);
    assert_eq!(of_column("ip", Nature::Number), Some((Likeness::IpAddress, Certainty::Alone)));
    assert_eq!(of_column("birthday", Nature::Time), Some((Likeness::Birth, Certainty::Alone)));
    assert_eq!(of_column("name", Nature::Text), Some((Likeness::Name, Certainty::AmongPeople)));
}

#[test]
fn a_hostile_name_is_read_in_bounds() {
    let long = "a_".repeat(1_000_000) + "email";
    assert_eq!(likeness(&long), None);
    assert_eq!(likeness("\"; DROP TABLE email; --"), Some(Likeness::Email));
    assert_eq!(likeness("\u{202e}email\u{0}"), Some(Likeness::Email));
}

#[test]
fn addresses_are_told_from_other_values() {
    for value in ["192.0.2.7", " 2001:db8::1 ", "192.0.2.7:443", "[2001:db8::1]:443"] {
        assert_eq!(of_value(value), Some(Likeness::IpAddress), "{value}");
    }
    for value in ["jana@shop.example", "j.n+x@mail.shop.example"] {
        assert_eq!(of_value(value), Some(Likeness::Email), "{value}");
    }
    for value in ["", "7", "1.2.3", "@shop", "a@b", "see jana@shop.example", "https://x@shop.example/", "@"] {
        assert_eq!(of_value(value), None, "{value}");
    }
}

#[test]
fn columns_that_say_when_are_found_by_type_and_by_name() {
    for (name, nature) in [
        ("x", Nature::Time),
        ("created_at", Nature::Number),
        ("lastSeen", Nature::Number),
        ("Datum", Nature::Text),
        ("vytvořeno", Nature::Text),
        ("last_activity", Nature::Number),
    ] {
        assert!(says_when(name, nature), "{name}");
    }
    assert!(!says_when("data", Nature::Text) && !says_when("cost", Nature::Number));
}
