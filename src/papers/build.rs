//! From the configuration to what the papers of one site say, and what they should say and cannot.
//!
//! A value that is not known becomes `None` and a gap in the same step, so that no paper shows as missing what
//! [`super::gaps`] does not list: but for the address of the privacy policy, which a command names and no file does.

mod activities;
mod parties;
mod processor;
mod server;

pub(super) use server::columns;

use std::cell::RefCell;

use super::items::{self, DeclaredItem, Use};
use super::language::Language;
use super::model::{Activity, Class, Gap, Item, Level, Papers, Processor};
use super::{Paper, PaperError, Subject, periods};
use crate::config::{self, LawfulBasis};
use parties::plain;

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
        let controller = self.controller();
        let on_behalf = controller.party.name != config.daemon.controller.party.name;
        let operators = config.daemon.dpo.as_ref();
        let dpo = site.dpo.as_ref().or(operators.filter(|_| !on_behalf));
        if dpo.is_none() {
            self.no_dpo();
        }
        let processors: Vec<Processor> = site.processors.iter().filter_map(|used| self.processor(used)).collect();
        let classes = self.classes();
        let server = self.server();
        let scope = server.scope(self.subject);
        let mut activities: Vec<Activity> =
            processors.iter().flat_map(|processor| self.activities(processor)).collect();
        activities.extend(self.own_activity(&server));
        if activities.is_empty() {
            self.nothing_is_declared();
        }
        let operator_line = self.undeclared_operator(on_behalf);
        if operator_line.is_some() {
            activities.iter_mut().for_each(|activity| activity.recipients.push(self.operator_as_recipient()));
        }
        let rests_on =
            |basis: LawfulBasis| activities.iter().any(|activity| activity.lawful_basis == Some(basis.key()));
        let uses_consent = rests_on(LawfulBasis::Consent) || classes.iter().any(|class| class.needs_consent);
        if uses_consent {
            self.consent_is_recorded();
        }
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
            operator_line,
            processing: server.processing(self, &processors).filter(|_| on_behalf),
            data_subjects: language.told("data-subjects", &[("site", &site.domain)]),
            uses_legitimate_interest: rests_on(LawfulBasis::LegitimateInterest),
            uses_consent,
            chats: processors.iter().filter(|one| !one.own && is_chat(one)).map(|one| one.party.name.clone()).collect(),
            provision: self.provision(),
            supports_customers: processors.iter().any(supports_customers),
            is_automated: processors.iter().any(is_automated),
            activities,
            own_data: server.own_data.clone(),
            shortened: server.shortened.clone(),
            not_stored: self.not_stored(&server.shortened),
            periods: periods::told(self.subject, &scope, language, |gap| self.period_gap(gap)),
            measures: self.measures(&server),
            enforced: server.enforced,
            stores: server.places,
            classes,
            other_measures: self.other_measures(),
            end_of_agreement: self.end_of_agreement(),
            processors,
            gaps: Vec::new(),
        }
    }

    /// Where something rests on consent, the site's own records must say who gave it: else nobody can show it, and nothing
    /// goes when it is withdrawn.
    fn consent_is_recorded(&self) {
        let stores = self.subject.site.stores.values();
        let mut tables = stores.flat_map(|store| store.tables()).peekable();
        if tables.peek().is_some() && tables.all(|table| table.consent.is_none()) {
            self.gap(Gap {
                level: Level::Missing,
                what: "where the visitor's consent is recorded in the site's own tables".to_owned(),
                because: "GDPR Article 7(1): whoever relies on consent must be able to show it; 7(3): it can be withdrawn",
                remedy: format!(
                    "{}: `consent = {{ column = \"…\", given = … }}` in a `[[store.NAME.table]]`, or leave out the features \
                     that need consent",
                    self.subject.site.file
                ),
                papers: &[],
            });
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

    fn measures(&self, server: &server::Server) -> Vec<String> {
        if server.enforced.is_empty() { Vec::new() } else { vec![self.language.text("measures.erasure")] }
    }

    /// Categories that a processor or a store could hold and the site's settings do not let it keep, not even in part.
    fn not_stored(&self, shortened: &[String]) -> Vec<String> {
        let Subject { config, site, .. } = self.subject;
        let used = site.processors.iter().filter_map(|used| config.processors.get(&used.id));
        let categories = used.flat_map(|processor| processor.data.iter()).flat_map(|group| &group.categories);
        let mut names = Vec::new();
        for category in categories.filter(|category| config.not_stored(site, category).is_some()) {
            let name = self.category(category);
            if !names.contains(&name) && !shortened.contains(&name) {
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
        // What a processor's script keeps in the visitor's browser it keeps in the name of the page that runs it: what
        // stands in another name has a `host`.
        let party = if item.third_party.is_some() { "third" } else { "first" };
        let whose = self.language.text(&format!("party.{party}"));
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
            party_name: item.third_party.map_or_else(|| whose.clone(), |host| format!("{whose} ({host})")),
        }
    }
}

/// The feature that a chat box is by itself.
const CHAT: &str = "chat";

fn is_chat(processor: &Processor) -> bool {
    processor.features.iter().any(|feature| feature.id == CHAT)
}

fn supports_customers(processor: &Processor) -> bool {
    let interest = LawfulBasis::LegitimateInterest.key();
    processor.features.iter().any(|feature| feature.id == CHAT && feature.basis == interest)
}

fn is_automated(processor: &Processor) -> bool {
    processor.statements.iter().any(|fact| fact.topic == "automated-processing")
}
