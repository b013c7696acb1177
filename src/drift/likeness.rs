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
const KNOWN: [(Likeness, Certainty, &str); 12] = [
    (
        Likeness::IpAddress,
        Certainty::Alone,
        "ip ips ipv ipaddr ipaddress ipadresse ipadresa remoteaddr remoteaddress remotehost clientip \
         xforwardedfor forwardedfor inet",
    ),
    (
        Likeness::Email,
        Certainty::Alone,
        "email emails mail emailaddress mailaddress mailadresse emailadresse emailadresa emailova",
    ),
    (
        Likeness::Phone,
        Certainty::Alone,
        "phone phones telephone phonenumber tel telefon telefonnummer telefonu telefonnicislo cellphone \
         mobile mobil mobilnummer mobilephone handy handynummer fax msisdn whatsapp",
    ),
    (Likeness::UserAgent, Certainty::Alone, "useragent agent ua httpuseragent browser prohlizec browserkennung"),
    (
        Likeness::Name,
        Certainty::Alone,
        "firstname lastname surname fullname givenname familyname middlename maidenname nickname nick \
         username displayname realname customername visitorname contactname clientname authorname recipient \
         login jmeno prijmeni krestnijmeno celejmeno uzivatelskejmeno prezdivka vorname nachname familienname \
         benutzername spitzname anzeigename kundenname empfaenger empfanger",
    ),
    (
        Likeness::UserId,
        Certainty::Alone,
        "userid uid customerid customernumber visitorid idvisitor clientid memberid personid contactid \
         guestid cookieid deviceid sessionid fingerprint uzivatelid iduzivatele zakaznikid idzakaznika \
         cislozakaznika navstevnikid benutzerid kundenid kundennummer besucherid",
    ),
    (
        Likeness::Birth,
        Certainty::Alone,
        "birthday birthdate dateofbirth dob birth birthyear narozeni narozeniny datumnarozeni geburtstag \
         geburtsdatum geburtsjahr",
    ),
    (
        Likeness::Number,
        Certainty::Alone,
        "ssn passport passportnumber nationalid rodnecislo cisloop reisepass ausweisnummer personalausweis \
         iban creditcard cardnumber cardholder bankaccount cislouctu kontonummer kreditkarte",
    ),
    (
        Likeness::Address,
        Certainty::Alone,
        "street streetaddress postaladdress homeaddress billingaddress shippingaddress deliveryaddress \
         postcode postalcode zipcode adresa ulice bydliste psc adresse anschrift strasse hausnummer plz \
         postleitzahl wohnort",
    ),
    (Likeness::Location, Certainty::Alone, "latitude longitude lat lng geolocation gps zemepisnasirka zemepisnadelka"),
    (Likeness::Address, Certainty::AmongPeople, "address addr"),
    (Likeness::Location, Certainty::AmongPeople, "city town region mesto obec stadt ort"),
];

/// A column called just so, and no other: `file_name` is no person's.
const NAME: &str = "name";

/// Words that make of a name something that is said *about* an address or a number, and not the thing itself.
const BEFORE_IT: &str = "is has was can show allow enable je ist hat";
const AFTER_IT: &str = "count total verified confirmed enabled sent valid status state type format template subject version \
     size limit label pocet typ anzahl";

/// Words of columns that say when.
const WHEN: &str = "at date datetime time timestamp created updated modified changed inserted added registered visited \
     seen activity expires expire expiry expiration datum cas vytvoreno vytvoren zmeneno upraveno zeit \
     zeitpunkt zeitstempel erstellt geaendert geandert ablauf";

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
    let stands_in = |word: Option<&String>, list: &str| word.is_some_and(|word| has(list, word));
    if stands_in(words.first(), BEFORE_IT) || stands_in(words.last(), AFTER_IT) {
        return None;
    }
    let runs: Vec<String> =
        (1..=LONGEST_RUN).flat_map(|length| words.windows(length).map(<[String]>::concat)).collect();
    let known = KNOWN.iter().filter(|(likeness, ..)| likeness.fits(nature));
    let mut found = known.filter(|(.., list)| runs.iter().any(|run| has(list, run)));
    let found = found.next().map(|(likeness, certainty, _)| (*likeness, *certainty));
    found.or_else(|| {
        let is_name = words.len() == 1 && words.iter().any(|word| word == NAME) && Likeness::Name.fits(nature);
        is_name.then_some((Likeness::Name, Certainty::AmongPeople))
    })
}

/// Whether `word` is one of a list.
fn has(list: &str, word: &str) -> bool {
    list.split(' ').any(|known| known == word)
}

/// Whether a column says when its row was made, changed or expires.
pub fn says_when(name: &str, nature: Nature) -> bool {
    match nature {
        Nature::Time => true,
        Nature::Text | Nature::Number => words(name).iter().any(|word| has(WHEN, word)),
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
mod tests;
