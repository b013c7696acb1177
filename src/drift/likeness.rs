//! What looks personal: by the name of a column, by its type, by a few of its values.
//!
//! Names are taken apart into words and compared with a list, in English, Czech and German. Some words say it alone
//! (`email`); others only among people (`name` may be a product's). Of values only what has an unmistakable form is
//! recognised, and nothing of them is kept.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::store::catalog::Nature;

/// What something looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likeness {
    /// The network address of a visitor.
    IpAddress,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// What a browser says of itself.
    UserAgent,
    /// The name of a person, or the one under which a person logs in.
    Name,
    /// A number or a name by which a person, or a visitor's browser, is told from others.
    UserId,
    /// When somebody was born.
    Birth,
    /// The number of an identity card, of an account, of a payment card.
    Number,
    /// A postal address.
    Address,
    /// Where somebody is.
    Location,
}

impl Likeness {
    /// What it is called in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Likeness::IpAddress => "an IP address",
            Likeness::Email => "an e-mail address",
            Likeness::Phone => "a telephone number",
            Likeness::UserAgent => "a browser's user agent",
            Likeness::Name => "a person's name",
            Likeness::UserId => "the identity of a visitor or user",
            Likeness::Birth => "a date of birth",
            Likeness::Number => "the number of an identity card, an account or a payment card",
            Likeness::Address => "a postal address",
            Likeness::Location => "a person's whereabouts",
        }
    }

    /// Whether values of that nature can be this.
    fn fits(self, nature: Nature) -> bool {
        match self {
            Likeness::Birth => true,
            Likeness::IpAddress | Likeness::Phone | Likeness::UserId | Likeness::Number | Likeness::Location => {
                nature != Nature::Time
            }
            Likeness::Email | Likeness::UserAgent | Likeness::Name | Likeness::Address => {
                !matches!(nature, Nature::Time | Nature::Number)
            }
        }
    }
}

/// How much a name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// In a table about people it is personal; in another one it may be about things.
    AmongPeople,
    /// It speaks of people wherever it stands.
    Alone,
}

/// Words as they are after [`words`], several of them written as one. What stands earlier is meant first: an e-mail
/// address is no postal one.
const KNOWN: &[(Likeness, Certainty, &[&str])] = &[
    (
        Likeness::IpAddress,
        Certainty::Alone,
        &[
            "ip",
            "ips",
            "ipv",
            "ipaddr",
            "ipaddress",
            "ipadresse",
            "ipadresa",
            "remoteaddr",
            "remoteaddress",
            "remotehost",
            "clientip",
            "xforwardedfor",
            "forwardedfor",
            "inet",
        ],
    ),
    (
        Likeness::Email,
        Certainty::Alone,
        &["email", "emails", "mail", "emailaddress", "mailaddress", "mailadresse", "emailadresse", "emailadresa"],
    ),
    (
        Likeness::Phone,
        Certainty::Alone,
        &[
            "phone",
            "phones",
            "telephone",
            "phonenumber",
            "tel",
            "telefon",
            "telefonnummer",
            "telefonu",
            "telefonnicislo",
            "cellphone",
            "mobile",
            "mobil",
            "mobilnummer",
            "mobilephone",
            "handy",
            "handynummer",
            "fax",
            "msisdn",
            "whatsapp",
        ],
    ),
    (
        Likeness::UserAgent,
        Certainty::Alone,
        &["useragent", "agent", "ua", "httpuseragent", "browser", "prohlizec", "browserkennung"],
    ),
    (
        Likeness::Name,
        Certainty::Alone,
        &[
            "firstname",
            "lastname",
            "surname",
            "fullname",
            "givenname",
            "familyname",
            "middlename",
            "maidenname",
            "nickname",
            "nick",
            "username",
            "displayname",
            "realname",
            "customername",
            "visitorname",
            "contactname",
            "clientname",
            "authorname",
            "recipient",
            "login",
            "jmeno",
            "prijmeni",
            "krestnijmeno",
            "celejmeno",
            "uzivatelskejmeno",
            "prezdivka",
            "vorname",
            "nachname",
            "familienname",
            "benutzername",
            "spitzname",
            "anzeigename",
            "kundenname",
            "empfaenger",
            "empfanger",
        ],
    ),
    (
        Likeness::UserId,
        Certainty::Alone,
        &[
            "userid",
            "uid",
            "customerid",
            "customernumber",
            "visitorid",
            "idvisitor",
            "clientid",
            "memberid",
            "personid",
            "contactid",
            "guestid",
            "cookieid",
            "deviceid",
            "sessionid",
            "fingerprint",
            "uzivatelid",
            "iduzivatele",
            "zakaznikid",
            "idzakaznika",
            "cislozakaznika",
            "navstevnikid",
            "benutzerid",
            "kundenid",
            "kundennummer",
            "besucherid",
        ],
    ),
    (
        Likeness::Birth,
        Certainty::Alone,
        &[
            "birthday",
            "birthdate",
            "dateofbirth",
            "dob",
            "birth",
            "birthyear",
            "narozeni",
            "narozeniny",
            "datumnarozeni",
            "geburtstag",
            "geburtsdatum",
            "geburtsjahr",
        ],
    ),
    (
        Likeness::Number,
        Certainty::Alone,
        &[
            "ssn",
            "passport",
            "passportnumber",
            "nationalid",
            "rodnecislo",
            "cisloop",
            "reisepass",
            "ausweisnummer",
            "personalausweis",
            "iban",
            "creditcard",
            "cardnumber",
            "cardholder",
            "bankaccount",
            "cislouctu",
            "kontonummer",
            "kreditkarte",
        ],
    ),
    (
        Likeness::Address,
        Certainty::Alone,
        &[
            "street",
            "streetaddress",
            "postaladdress",
            "homeaddress",
            "billingaddress",
            "shippingaddress",
            "deliveryaddress",
            "postcode",
            "postalcode",
            "zipcode",
            "adresa",
            "ulice",
            "bydliste",
            "psc",
            "adresse",
            "anschrift",
            "strasse",
            "hausnummer",
            "plz",
            "postleitzahl",
            "wohnort",
        ],
    ),
    (
        Likeness::Location,
        Certainty::Alone,
        &["latitude", "longitude", "lat", "lng", "geolocation", "gps", "zemepisnasirka", "zemepisnadelka"],
    ),
    (Likeness::Address, Certainty::AmongPeople, &["address", "addr"]),
    (Likeness::Location, Certainty::AmongPeople, &["city", "town", "region", "mesto", "obec", "stadt", "ort"]),
];

/// A column called just so, and no other: `file_name` is no person's.
const NAME: &str = "name";

/// Words that make of a name something that is said *about* an address or a number, and not the thing itself.
const ABOUT_IT: (&[&str], &[&str]) = (
    &["is", "has", "was", "can", "show", "allow", "enable", "je", "ist", "hat"],
    &[
        "count",
        "total",
        "verified",
        "confirmed",
        "enabled",
        "sent",
        "valid",
        "status",
        "state",
        "type",
        "format",
        "template",
        "subject",
        "version",
        "size",
        "limit",
        "label",
        "pocet",
        "typ",
        "anzahl",
    ],
);

/// Words of columns that say when.
const WHEN: &[&str] = &[
    "at",
    "date",
    "datetime",
    "time",
    "timestamp",
    "created",
    "updated",
    "modified",
    "changed",
    "inserted",
    "added",
    "registered",
    "visited",
    "seen",
    "activity",
    "expires",
    "expire",
    "expiry",
    "expiration",
    "datum",
    "cas",
    "vytvoreno",
    "vytvoren",
    "zmeneno",
    "upraveno",
    "zeit",
    "zeitpunkt",
    "zeitstempel",
    "erstellt",
    "geaendert",
    "geandert",
    "ablauf",
];

/// A longer name is read as far as this: the schema is somebody else's, and has no bounds that are known.
const MOST_WORDS: usize = 32;

/// The longest entry of [`KNOWN`], in words.
const LONGEST_RUN: usize = 4;

/// What a column looks like by its name and type.
pub fn of_column(name: &str, nature: Nature) -> Option<(Likeness, Certainty)> {
    if nature == Nature::Address {
        return Some((Likeness::IpAddress, Certainty::Alone));
    }
    let words = words(name);
    let is_about = |word: Option<&String>, list: &[&str]| word.is_some_and(|word| list.contains(&word.as_str()));
    if is_about(words.first(), ABOUT_IT.0) || is_about(words.last(), ABOUT_IT.1) {
        return None;
    }
    let has = |wanted: &&str| {
        (1..=LONGEST_RUN).any(|length| words.windows(length).any(|run| run.concat().as_str() == *wanted))
    };
    let known = KNOWN.iter().filter(|(likeness, ..)| likeness.fits(nature));
    let found =
        known.clone().find(|(.., list)| list.iter().any(has)).map(|(likeness, certainty, _)| (*likeness, *certainty));
    found.or_else(|| {
        let is_name = words.len() == 1 && words.iter().any(|word| word == NAME) && Likeness::Name.fits(nature);
        is_name.then_some((Likeness::Name, Certainty::AmongPeople))
    })
}

/// Whether a column says when its row was made, changed or expires.
pub fn says_when(name: &str, nature: Nature) -> bool {
    match nature {
        Nature::Time => true,
        Nature::Text | Nature::Number => words(name).iter().any(|word| WHEN.contains(&word.as_str())),
        Nature::Address | Nature::Other => false,
    }
}

/// What a value looks like.
pub fn of_value(value: &str) -> Option<Likeness> {
    let value = value.trim();
    if is_email(value) {
        return Some(Likeness::Email);
    }
    let is_address = value.parse::<IpAddr>().is_ok() || value.parse::<SocketAddr>().is_ok();
    is_address.then_some(Likeness::IpAddress)
}

fn is_email(value: &str) -> bool {
    let Some((local, domain)) = value.split_once('@') else { return false };
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    let is_plain = |c: char| !c.is_whitespace() && !matches!(c, '/' | ':' | '<' | '>' | '(' | ')' | ',' | ';');
    !local.is_empty() && local.chars().all(is_plain) && domain.contains('.') && domain.split('.').all(is_label)
}

/// The words of a name, in small letters without accents: `dateOfBirth`, `date_of_birth` and `DATE OF BIRTH` are one.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let letters: Vec<char> = name.chars().take(MOST_WORDS * 16).collect();
    for (position, letter) in letters.iter().enumerate() {
        if !letter.is_alphabetic() {
            words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
            continue;
        }
        let before = position.checked_sub(1).and_then(|before| letters.get(before));
        let follows_small = before.is_some_and(|before| before.is_lowercase());
        let ends_acronym = before.is_some_and(|before| before.is_uppercase())
            && letters.get(position + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (follows_small || ends_acronym) {
            words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
        }
        letter.to_lowercase().for_each(|letter| plain(letter, &mut word));
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words.truncate(MOST_WORDS);
    words
}

fn plain(letter: char, to: &mut String) {
    let plain = match letter {
        'á' | 'ä' | 'à' | 'â' | 'ą' => "a",
        'č' | 'ć' | 'ç' => "c",
        'ď' => "d",
        'é' | 'ě' | 'è' | 'ê' | 'ë' | 'ę' => "e",
        'í' | 'î' | 'ï' => "i",
        'ľ' | 'ĺ' | 'ł' => "l",
        'ň' | 'ń' | 'ñ' => "n",
        'ó' | 'ö' | 'ô' | 'ò' => "o",
        'ř' | 'ŕ' => "r",
        'š' | 'ś' => "s",
        'ß' => "ss",
        'ť' => "t",
        'ú' | 'ů' | 'ü' | 'ù' | 'û' => "u",
        'ý' => "y",
        'ž' | 'ź' | 'ż' => "z",
        other => return to.push(other),
    };
    to.push_str(plain);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeness(name: &str) -> Option<Likeness> {
        of_column(name, Nature::Text).map(|(likeness, _)| likeness)
    }

    #[test]
    fn names_are_recognised_in_three_languages_and_every_way_of_writing() {
        let expected: &[(Likeness, &[&str])] = &[
            (
                Likeness::IpAddress,
                &["ip", "IP", "ip_address", "ipAddress", "IPAddress", "REMOTE_ADDR", "ip4", "last-ip"],
            ),
            (Likeness::IpAddress, &["IP-Adresse", "ip_adresa", "x_forwarded_for", "comment_author_IP"]),
            (Likeness::Email, &["email", "e-mail", "E_Mail", "userEmail", "emailová adresa", "E-Mail-Adresse", "mail"]),
            (Likeness::Phone, &["phone", "Telefonnummer", "telefonní číslo", "mobile2", "HANDY", "tel", "telefon"]),
            (Likeness::UserAgent, &["user_agent", "userAgent", "UserAgent", "browser", "prohlížeč"]),
            (
                Likeness::Name,
                &["first_name", "lastName", "SURNAME", "jméno", "Příjmení", "prijmeni", "Vorname", "name"],
            ),
            (Likeness::Name, &["Nachname", "Benutzername", "uživatelské jméno", "user_login"]),
            (Likeness::UserId, &["user_id", "userId", "UID", "visitor_id", "ID zákazníka", "Kundennummer"]),
            (Likeness::Birth, &["date_of_birth", "dateOfBirth", "datum narození", "Geburtsdatum", "DOB"]),
            (Likeness::Number, &["IBAN", "rodné číslo", "Kontonummer"]),
            (
                Likeness::Address,
                &["address", "address1", "ulice", "PSČ", "Straße", "Anschrift", "shipping_address_line"],
            ),
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
}
