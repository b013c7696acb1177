//! Random values for the sample, all of them fictional by construction.
//!
//! The generator is splitmix64: one word of state, the same numbers on every machine, and, since its output is a
//! bijection of a counter, no value twice. Bounded draws take a remainder: its bias is far below what a sample shows.
//!
//! Addresses come from the documentation ranges (RFC 5737, RFC 3849), domains from the reserved names (RFC 2606),
//! telephone numbers from those that regulators keep free for film and television: Ofcom's 07700 900000–900999 and
//! the Bundesnetzagentur's (0)30 23125 000–999.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A region's people and places. Names come with their form in an e-mail address.
pub(super) struct Region {
    names: [(&'static str, &'static str); 8],
    surnames: [(&'static str, &'static str); 8],
    places: [(&'static str, &'static str); 4],
}

/// What a visitor used.
#[derive(Clone, Copy)]
pub(super) struct Machine {
    pub(super) device: &'static str,
    pub(super) screen: &'static str,
    pub(super) os: &'static str,
    pub(super) browser: &'static str,
}

/// What a visitor left in the chat; nothing by default.
#[derive(Default)]
pub(super) struct Contact {
    pub(super) name: Option<&'static str>,
    pub(super) surname: Option<&'static str>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) social: Option<String>,
}

/// The random sequence and what can be drawn from it.
pub(super) struct Draw {
    state: u64,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn word(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.next().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    fn short(&mut self) -> u16 {
        let [a, b, ..] = self.next().to_be_bytes();
        u16::from_be_bytes([a, b])
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.word() % bound
    }

    /// A number from `from` on and below `to`; `from` itself when nothing lies between.
    pub(super) fn within(&mut self, from: i64, to: i64) -> i64 {
        from + i64::from(self.word()) % (to - from).max(1)
    }

    /// True once in `times`.
    pub(super) fn one_in(&mut self, times: u32) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy, const N: usize>(&mut self, list: &[T; N]) -> T {
        list[usize::from(self.short()) % N]
    }

    /// A value as the chat would keep it in `ssupp.vid`, unlike any other of the sequence.
    pub(super) fn visitor_id(&mut self) -> String {
        format!("vi{:016x}", self.next())
    }

    pub(super) fn region(&mut self) -> &'static Region {
        self.pick(&REGIONS)
    }

    /// Country code and city.
    pub(super) fn place(&mut self, region: &'static Region) -> (&'static str, &'static str) {
        self.pick(&region.places)
    }

    pub(super) fn machine(&mut self) -> Machine {
        self.pick(&MACHINES)
    }

    /// An address from the documentation ranges, one in six of them IPv6.
    pub(super) fn address(&mut self) -> String {
        let [a, b, c, d, host, ..] = self.next().to_be_bytes();
        let address = match self.below(6) {
            0 => {
                let (site, network) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, site, network, 0, 0, 0, u16::from(host)))
            }
            1 | 2 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)),
            3 | 4 => IpAddr::V4(Ipv4Addr::new(198, 51, 100, host)),
            _ => IpAddr::V4(Ipv4Addr::new(203, 0, 113, host)),
        };
        address.to_string()
    }

    /// Consent to marketing: given by 45 in a hundred, refused by 35, never asked of 20.
    pub(super) fn consent(&mut self) -> Option<u8> {
        match self.below(100) {
            0..45 => Some(1),
            45..80 => Some(0),
            _ => None,
        }
    }

    /// Name and e-mail always, telephone every second time, social contact every fourth. `number` keeps two people
    /// of one name apart.
    pub(super) fn contact(&mut self, region: &'static Region, number: u64) -> Contact {
        let (name, mailbox_name) = self.pick(&region.names);
        let (surname, mailbox_surname) = self.pick(&region.surnames);
        let mailbox = format!("{mailbox_name}.{mailbox_surname}.{number}");
        let domain = self.pick(&DOMAINS);
        Contact {
            name: Some(name),
            surname: Some(surname),
            email: Some(format!("{mailbox}@{domain}")),
            phone: self.one_in(2).then(|| self.phone()),
            social: self.one_in(4).then(|| format!("https://social.example/{mailbox}")),
        }
    }

    fn phone(&mut self) -> String {
        let prefix = self.pick(&PHONE_PREFIXES);
        format!("{prefix}{:03}", self.below(1_000))
    }

    /// A page of the shop, half of the time one of its articles.
    pub(super) fn url(&mut self) -> String {
        if self.one_in(2) {
            return format!("https://shop.example/article/{}", 1_000 + self.below(4_000));
        }
        format!("https://shop.example/{}", self.pick(&PATHS))
    }

    pub(super) fn question(&mut self) -> &'static str {
        self.pick(&QUESTIONS)
    }

    pub(super) fn answer(&mut self) -> &'static str {
        self.pick(&ANSWERS)
    }
}

const DOMAINS: [&str; 3] = ["example.com", "example.org", "example.net"];
const PHONE_PREFIXES: [&str; 2] = ["+44 7700 900", "+49 30 23125 "];
const PATHS: [&str; 8] =
    ["", "boots", "tents", "sale?sort=price", "cart", "delivery", "returns", "search?q=head%20torch"];

const QUESTIONS: [&str; 6] = [
    "Hello, is the blue one in stock?",
    "When will my order arrive?",
    "Mohu zboží vrátit v prodejně?",
    "Kolik stojí doprava na Slovensko?",
    "Gibt es den Schlafsack auch in Größe L?",
    "Thanks. Please write to my e-mail address then.",
];
const ANSWERS: [&str; 5] = [
    "Good afternoon, let me look that up for you.",
    "It left our warehouse this morning.",
    "Dobrý den, ano, do třiceti dnů.",
    "Ja, nächste Woche kommt eine Lieferung.",
    "You are welcome. Is there anything else?",
];

const MACHINES: [Machine; 7] = [
    Machine { device: "desktop", screen: "1920x1080", os: "Windows 11", browser: "Chrome" },
    Machine { device: "desktop", screen: "2560x1440", os: "Windows 10", browser: "Edge" },
    Machine { device: "desktop", screen: "1440x900", os: "macOS", browser: "Safari" },
    Machine { device: "desktop", screen: "1920x1200", os: "Linux", browser: "Firefox" },
    Machine { device: "mobile", screen: "412x915", os: "Android", browser: "Chrome" },
    Machine { device: "mobile", screen: "390x844", os: "iOS", browser: "Safari" },
    Machine { device: "tablet", screen: "820x1180", os: "iPadOS", browser: "Safari" },
];

const REGIONS: [&Region; 3] = [&CZECH, &GERMAN, &ENGLISH];

static CZECH: Region = Region {
    names: [
        ("Jiří", "jiri"),
        ("Tomáš", "tomas"),
        ("Ondřej", "ondrej"),
        ("Petr", "petr"),
        ("Tereza", "tereza"),
        ("Lucie", "lucie"),
        ("Kateřina", "katerina"),
        ("Eliška", "eliska"),
    ],
    // The same in both genders.
    surnames: [
        ("Janů", "janu"),
        ("Martinů", "martinu"),
        ("Petrů", "petru"),
        ("Krejčí", "krejci"),
        ("Dolejší", "dolejsi"),
        ("Jarní", "jarni"),
        ("Hořejší", "horejsi"),
        ("Kočí", "koci"),
    ],
    places: [("CZ", "Brno"), ("CZ", "Praha"), ("CZ", "Plzeň"), ("SK", "Bratislava")],
};

static GERMAN: Region = Region {
    names: [
        ("Jürgen", "juergen"),
        ("Lukas", "lukas"),
        ("Felix", "felix"),
        ("Björn", "bjoern"),
        ("Hannah", "hannah"),
        ("Käthe", "kaethe"),
        ("Sophie", "sophie"),
        ("Greta", "greta"),
    ],
    surnames: [
        ("Müller", "mueller"),
        ("Schäfer", "schaefer"),
        ("Weiß", "weiss"),
        ("Fischer", "fischer"),
        ("Köhler", "koehler"),
        ("Becker", "becker"),
        ("Vogel", "vogel"),
        ("Brandt", "brandt"),
    ],
    places: [("DE", "Berlin"), ("DE", "München"), ("DE", "Leipzig"), ("AT", "Wien")],
};

static ENGLISH: Region = Region {
    names: [
        ("Oliver", "oliver"),
        ("Harry", "harry"),
        ("Arthur", "arthur"),
        ("Noah", "noah"),
        ("Amelia", "amelia"),
        ("Isla", "isla"),
        ("Grace", "grace"),
        ("Zoë", "zoe"),
    ],
    surnames: [
        ("Smith", "smith"),
        ("Taylor", "taylor"),
        ("Walker", "walker"),
        ("Hughes", "hughes"),
        ("O'Brien", "obrien"),
        ("Cooper", "cooper"),
        ("Ward", "ward"),
        ("Bennett", "bennett"),
    ],
    places: [("GB", "London"), ("GB", "Leeds"), ("GB", "Bristol"), ("IE", "Dublin")],
};
