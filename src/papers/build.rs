//! From the configuration to what the papers of one site say, and what they should say and cannot.
//!
//! A value that is not known becomes `None` and a gap in the same step, so that no paper shows as missing what
//! [`super::gaps`] does not list.

mod processor;
mod server;

pub(super) use server::columns;

use std::cell::RefCell;

use super::items::{self, DeclaredItem, Use};
use super::language::Language;
use super::model::{Activity, Class, Gap, Group, Item, Level, Papers, Party, Processor, Recipient};
use super::{Paper, PaperError, Subject, periods};
use crate::config::{self, Contact, LawfulBasis};

/// Papers in which the controller stands.
const OF_THE_CONTROLLER: &[Paper] =
    &[Paper::Article30, Paper::Article30Processor, Paper::PrivacyNotice, Paper::AgreementAnnex];

/// Papers in which purposes stand.
const OF_PURPOSES: &[Paper] =
    &[Paper::Article30, Paper::Article30Processor, Paper::PrivacyNotice, Paper::AgreementAnnex];

const CLASSES: [config::Class; 3] = [config::Class::Functional, config::Class::Analytics, config::Class::Marketing];

/// Everything that is told of a site.
pub(super) fn papers(subject: Subject<'_>, language: &Language) -> Result<Papers, PaperError> {
    let builder = Builder { subject, language, gaps: RefCell::default() };
    let mut papers = builder.papers();
    language.translated()?;
    papers.gaps = builder.gaps.take();
    Ok(papers)
}

/// What is under way.
struct Builder<'a> {
    subject: Subject<'a>,
    language: &'a Language,
    gaps: RefCell<Vec<Gap>>,
}

impl Builder<'_> {
    fn gap(&self, gap: Gap) {
        self.gaps.borrow_mut().push(gap);
    }

    /// The value, or a gap.
    fn needed<T>(&self, value: Option<T>, gap: impl FnOnce() -> Gap) -> Option<T> {
        if value.is_none() {
            self.gap(gap());
        }
        value
    }

    fn facts(&self, texts: &Option<String>) -> Option<String> {
        texts.as_ref().map(|text| self.language.fact(text))
    }

    fn papers(&self) -> Papers {
        let Subject { config, site, stamp, policy, .. } = self.subject;
        let language = self.language;
        let controller = site.controller.as_ref().unwrap_or(&config.daemon.controller);
        let dpo = site.dpo.as_ref().or(config.daemon.dpo.as_ref());
        if dpo.is_none() {
            self.no_dpo();
        }
        let on_behalf = controller.party.name != config.daemon.controller.party.name;
        let processors: Vec<Processor> = site.processors.iter().filter_map(|used| self.processor(used)).collect();
        let classes = self.classes();
        let server = self.server();
        let scope = server.scope(self.subject);
        let mut activities: Vec<Activity> =
            processors.iter().flat_map(|processor| self.activities(processor)).collect();
        activities.extend(self.own_activity(&server));
        let rests_on =
            |basis: LawfulBasis| activities.iter().any(|activity| activity.lawful_basis == Some(basis.key()));
        let uses_consent = rests_on(LawfulBasis::Consent) || classes.iter().any(|class| class.needs_consent);
        Papers {
            stamp: stamp.clone(),
            program: env!("CARGO_PKG_VERSION"),
            site: site.domain.clone(),
            language: language.code().to_owned(),
            stamped: self.stamped(),
            policy: policy.map(str::to_owned),
            controller: self.party(&controller.party, "controller", &self.file_of_controller(), "[controller]"),
            joint_controller: self.role(controller.joint_controller.as_ref(), "joint controller", "joint-controller"),
            representative: self.role(controller.representative.as_ref(), "representative", "representative"),
            dpo: self.role(dpo, "data protection officer", "[dpo]"),
            operator: self.operator(on_behalf),
            operator_representative: config.daemon.controller.representative.as_ref().map(plain),
            operator_dpo: config.daemon.dpo.as_ref().map(plain),
            on_behalf,
            data_subjects: language.told("data-subjects", &[("site", &site.domain)]),
            uses_legitimate_interest: rests_on(LawfulBasis::LegitimateInterest),
            uses_consent,
            supports_customers: processors.iter().any(supports_customers),
            is_automated: processors.iter().any(is_automated),
            activities,
            own_data: server.own_data.clone(),
            shortened: server.shortened.clone(),
            not_stored: self.not_stored(),
            periods: periods::told(self.subject, &scope, language, |gap| self.period_gap(gap)),
            stores: server.places,
            classes,
            measures: self.measures(),
            other_measures: self.operators_text(
                "measures.other",
                "other security measures",
                "GDPR Article 30(1)(g)",
                &[Paper::Article30, Paper::Article30Processor, Paper::AgreementAnnex],
            ),
            end_of_agreement: self.operators_text(
                "annex.end-of-agreement",
                "what happens to the data when the agreement ends",
                "GDPR Article 28(3)(g)",
                &[Paper::AgreementAnnex],
            ),
            processors,
            gaps: Vec::new(),
        }
    }

    fn stamped(&self) -> String {
        let stamp = self.subject.stamp;
        let date = self.language.date(&stamp.date);
        match stamp.version {
            Some(version) => {
                let version = version.to_string();
                self.language
                    .told("stamp.applied", &[("version", &version), ("date", &date), ("digest", &stamp.digest)])
            }
            None => self.language.told("stamp.not-applied", &[("date", &date), ("digest", &stamp.digest)]),
        }
    }

    fn file_of_controller(&self) -> String {
        let Subject { site, .. } = self.subject;
        if site.controller.is_some() { site.file.clone() } else { "forgetd.toml".to_owned() }
    }

    /// Whether there must be an officer depends on what the configuration does not say (Article 37).
    fn no_dpo(&self) {
        self.gap(Gap {
            level: Level::Note,
            what: "no data protection officer is declared".to_owned(),
            because: "GDPR Articles 37 and 30(1)(a), where there is one",
            remedy: "forgetd.toml: `[dpo]` with `name` and `contact`, if there is one".to_owned(),
            papers: OF_THE_CONTROLLER,
        });
    }

    fn party(&self, party: &Contact, role: &str, file: &str, section: &str) -> Party {
        let gap = |what: &str| Gap {
            level: Level::Missing,
            what: format!("{what} of the {role}"),
            because: "GDPR Articles 13(1) and 30(1)(a)",
            remedy: format!("{file}: `{what} = \"…\"` under `{section}`"),
            papers: OF_THE_CONTROLLER,
        };
        Party {
            name: party.name.clone(),
            address: self.needed(party.address.clone(), || gap("address")),
            contact: self.needed(party.contact.clone(), || gap("contact")),
        }
    }

    /// Who runs the server. How to reach it matters where it does so for somebody else.
    fn operator(&self, on_behalf: bool) -> Party {
        let operator = &self.subject.config.daemon.controller.party;
        let gap = |what: &str| Gap {
            level: Level::Missing,
            what: format!("{what} of the operator, who processes on behalf of other controllers"),
            because: "GDPR Article 30(2)(a)",
            remedy: format!("forgetd.toml: `{what} = \"…\"` under `[controller]`"),
            papers: &[Paper::Article30Processor],
        };
        if on_behalf {
            self.needed(operator.address.as_ref(), || gap("address"));
            self.needed(operator.contact.as_ref(), || gap("contact"));
        }
        plain(operator)
    }

    /// Somebody beside the controller: how to reach him is asked for, where he lives is not.
    fn role(&self, party: Option<&Contact>, role: &str, key: &str) -> Option<Party> {
        let party = party?;
        self.needed(party.contact.as_ref(), || Gap {
            level: Level::Missing,
            what: format!("contact of the {role}"),
            because: "GDPR Articles 13(1) and 30(1)(a)",
            remedy: format!("{}: `contact` of `{key}`", self.file_of_controller()),
            papers: OF_THE_CONTROLLER,
        });
        Some(plain(party))
    }

    /// What only the operator can say, in a text of his own.
    fn operators_text(&self, key: &str, what: &str, because: &'static str, papers: &'static [Paper]) -> Option<String> {
        let text = self.language.text_of(key).filter(|text| !text.is_empty()).map(str::to_owned);
        self.needed(text, || Gap {
            level: Level::Note,
            what: what.to_owned(),
            because,
            remedy: format!("templates/{}/texts.toml: the text `{key}`", self.language.code()),
            papers,
        })
    }

    fn measures(&self) -> Vec<String> {
        if self.subject.site.stores.is_empty() { Vec::new() } else { vec![self.language.text("measures.erasure")] }
    }

    /// Categories that a processor or a store could hold and the site's settings do not let it keep.
    fn not_stored(&self) -> Vec<String> {
        let Subject { config, site, .. } = self.subject;
        let used = site.processors.iter().filter_map(|used| config.processors.get(&used.id));
        let categories = used.flat_map(|processor| processor.data.iter()).flat_map(|group| &group.categories);
        let mut names = Vec::new();
        for category in categories.filter(|category| config.not_stored(site, category).is_some()) {
            let name = self.category(category);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn category(&self, id: &config::CategoryId) -> String {
        self.subject
            .config
            .categories
            .get(id)
            .map_or_else(|| id.to_string(), |category| self.language.fact(&category.name))
    }

    fn period_gap(&self, subject: String) {
        self.gap(Gap {
            level: Level::Missing,
            what: format!("storage period of `{subject}`"),
            because: "GDPR Articles 13(2)(a) and 30(1)(f)",
            remedy: format!("{}: `\"{subject}\" = \"…\"` under `[retention]`", self.subject.site.file),
            papers: &[Paper::Article30, Paper::PrivacyNotice, Paper::AgreementAnnex],
        });
    }

    fn classes(&self) -> Vec<Class> {
        let Subject { config, site, .. } = self.subject;
        let declared = items::declared(config, site);
        let class = |class: &config::Class| {
            let of_class = declared.iter().filter(|item| item.class == *class && item.in_use == Use::Set);
            let items: Vec<Item> = of_class.map(|item| self.item(item)).collect();
            let text = |what: &str| self.language.text(&format!("class.{}.{what}", class.key()));
            let (name, description) = (text("name"), text("description"));
            let told = Class { class: class.key(), name, description, needs_consent: class.needs_consent(), items };
            (!told.items.is_empty() || self.asks_for(*class)).then_some(told)
        };
        CLASSES.iter().filter_map(class).collect()
    }

    /// Whether a feature is switched on for which the visitor is asked for this class, though no item of it is declared.
    fn asks_for(&self, class: config::Class) -> bool {
        let Subject { config, site, .. } = self.subject;
        site.processors.iter().any(|used| {
            let processor = config.processors.get(&used.id);
            let mut features = processor.iter().flat_map(|processor| &processor.features);
            features.any(|feature| {
                let consent = feature.lawful_basis == LawfulBasis::Consent;
                consent && feature.id == class.key() && used.features.contains(&feature.id)
            })
        })
    }

    fn item(&self, item: &DeclaredItem<'_>) -> Item {
        let processor = item.processor;
        // Whatever a processor's script keeps in the visitor's browser it keeps in the name of the page that runs it.
        let party = "first";
        Item {
            name: item.name.clone(),
            processor: processor.id.clone(),
            provider: self
                .language
                .told("provider", &[("product", &processor.product), ("name", &processor.party.name)]),
            purpose: self.language.fact(item.description),
            duration: self.language.lifetime(item.lifetime),
            kind: item.kind.key(),
            kind_name: self.language.text(&format!("kind.{}", item.kind.key())),
            party,
            party_name: self.language.text(&format!("party.{party}")),
        }
    }

    fn activities(&self, processor: &Processor) -> Vec<Activity> {
        let site = &self.subject.site.domain;
        let activity = |feature: &str, purpose, basis: Option<(&'static str, String)>| {
            let (lawful_basis, lawful_basis_name) = basis.unzip();
            Activity {
                reference: format!("{site}/{}{feature}", processor.id),
                function: processor.product.clone(),
                purpose,
                lawful_basis,
                lawful_basis_name,
                data: processor.data.clone(),
                recipients: vec![recipient(processor)],
                agreement: processor.agreement.clone(),
                transfers: processor.transfers.clone(),
                locations: processor.locations.iter().map(|location| location.region.clone()).collect(),
            }
        };
        if processor.features.is_empty() {
            self.no_feature(&processor.id);
            return vec![activity("", None, None)];
        }
        let of = |feature: &super::model::Feature| {
            let basis = (feature.basis, feature.basis_name.clone());
            activity(&format!("/{}", feature.id), Some(feature.purpose.clone()), Some(basis))
        };
        processor.features.iter().map(of).collect()
    }

    fn no_feature(&self, processor: &str) {
        self.gap(Gap {
            level: Level::Missing,
            what: format!("purposes and lawful bases of processor `{processor}`: none of its features is switched on"),
            because: "GDPR Articles 13(1)(c) and 30(1)(b)",
            remedy: format!("{}: `features` of the processor", self.subject.site.file),
            papers: OF_PURPOSES,
        });
    }

    /// What the site's own stores hold and no processor in use is declared to process.
    fn own_activity(&self, server: &server::Server) -> Option<Activity> {
        if server.own_data.is_empty() {
            return None;
        }
        let site = self.subject.site;
        self.gap(Gap {
            level: Level::Missing,
            what: format!("purpose and lawful basis of what the stores hold: {}", server.own_ids.join(", ")),
            because: "GDPR Articles 13(1)(c) and 30(1)(b)",
            remedy: format!(
                "{}: use a processor whose file lists it under `[[data]]`, with a `[[feature]]` that says what for",
                site.file
            ),
            papers: OF_PURPOSES,
        });
        Some(Activity {
            reference: format!("{}/server", site.domain),
            function: self.language.text("own-server"),
            purpose: None,
            lawful_basis: None,
            lawful_basis_name: None,
            data: vec![Group { name: self.language.text("own-data"), categories: server.own_data.clone() }],
            recipients: Vec::new(),
            agreement: None,
            transfers: Vec::new(),
            locations: vec![self.language.text("own-server")],
        })
    }
}

/// The feature that a chat box is by itself.
const CHAT: &str = "chat";

fn supports_customers(processor: &Processor) -> bool {
    let interest = LawfulBasis::LegitimateInterest.key();
    processor.features.iter().any(|feature| feature.id == CHAT && feature.basis == interest)
}

fn is_automated(processor: &Processor) -> bool {
    processor.statements.iter().any(|fact| fact.topic == "automated-processing")
}

fn recipient(processor: &Processor) -> Recipient {
    Recipient {
        party: processor.party.clone(),
        identification: processor.identification.clone(),
        has_sub_processors: processor.sub_processors.exist,
        sub_processors: processor.sub_processors.known.clone(),
    }
}

fn plain(party: &Contact) -> Party {
    Party { name: party.name.clone(), address: party.address.clone(), contact: party.contact.clone() }
}
