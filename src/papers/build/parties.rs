//! Who answers for the processing, and what only the operator can say of it.

use super::super::model::{Gap, Level, Party, Recipient};
use super::super::{Paper, Subject};
use super::Builder;
use crate::config::{Contact, Controller};

/// Papers in which the controller stands.
const OF_THE_CONTROLLER: &[Paper] =
    &[Paper::Article30, Paper::Article30Processor, Paper::PrivacyNotice, Paper::AgreementAnnex];

impl Builder<'_> {
    pub(super) fn controller(&self) -> &Controller {
        let Subject { config, site, .. } = self.subject;
        site.controller.as_ref().unwrap_or(&config.daemon.controller)
    }

    /// The operator's name, number and office, where it keeps another controller's records and none of the site's
    /// processors is declared to be the operator.
    pub(super) fn undeclared_operator(&self, on_behalf: bool) -> Option<String> {
        let Subject { config, site, .. } = self.subject;
        let operator = &config.daemon.controller.party;
        let mut used = site.processors.iter().filter_map(|used| config.processors.get(&used.id));
        if !on_behalf || site.stores.is_empty() || used.any(|processor| processor.party.name == operator.name) {
            return None;
        }
        self.gap(Gap {
            level: Level::Missing,
            what: format!("data processing agreement of {} with {}", self.controller().party.name, operator.name),
            because: "GDPR Article 28(3): who keeps the records on behalf of the controller is its processor",
            remedy: format!(
                "processors/NAME.toml with `name = \"{}\"`; {}: that processor, with `agreement = DATE`",
                operator.name, site.file
            ),
            papers: OF_THE_CONTROLLER,
        });
        Some(self.line(&plain(operator), None))
    }

    pub(super) fn operator_as_recipient(&self) -> Recipient {
        Recipient {
            party: plain(&self.subject.config.daemon.controller.party),
            identification: None,
            has_sub_processors: None,
            sub_processors: Vec::new(),
        }
    }

    pub(super) fn file_of_controller(&self) -> String {
        let Subject { site, .. } = self.subject;
        if site.controller.is_some() { site.file.clone() } else { "forgetd.toml".to_owned() }
    }

    /// Whether there must be an officer depends on what the configuration does not say (Article 37).
    pub(super) fn no_dpo(&self) {
        self.gap(Gap {
            level: Level::Note,
            what: "no data protection officer is declared".to_owned(),
            because: "GDPR Articles 37 and 30(1)(a), where there is one",
            remedy: format!("{}: `[dpo]` with `name` and `contact`, if there is one", self.file_of_controller()),
            papers: OF_THE_CONTROLLER,
        });
    }

    pub(super) fn party(&self, party: &Contact, role: &str, file: &str, section: &str) -> Party {
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
    pub(super) fn operator(&self, on_behalf: bool) -> Party {
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
    pub(super) fn role(&self, party: Option<&Contact>, role: &str, key: &str) -> Option<Party> {
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

    pub(super) fn other_measures(&self) -> Option<String> {
        let papers = &[Paper::Article30, Paper::Article30Processor, Paper::AgreementAnnex];
        self.operators_text("measures.other", Level::Note, "other security measures", "GDPR Article 30(1)(g)", papers)
    }

    pub(super) fn end_of_agreement(&self) -> Option<String> {
        let what = "what happens to the data when the agreement ends";
        let papers = &[Paper::AgreementAnnex];
        self.operators_text("annex.end-of-agreement", Level::Note, what, "GDPR Article 28(3)(g)", papers)
    }

    pub(super) fn provision(&self) -> Option<String> {
        let what = "whether visitors must give their data, and what follows when they do not";
        let papers = &[Paper::PrivacyNotice];
        self.operators_text("notice.provision", Level::Missing, what, "GDPR Article 13(2)(e)", papers)
    }

    /// What only the operator can say, in a text of his own.
    fn operators_text(
        &self,
        key: &str,
        level: Level,
        what: &str,
        because: &'static str,
        papers: &'static [Paper],
    ) -> Option<String> {
        let text = self.language.text_of(key).filter(|text| !text.is_empty()).map(str::to_owned);
        self.needed(text, || Gap {
            level,
            what: what.to_owned(),
            because,
            remedy: format!("templates/{}/texts.toml: the text `{key}`", self.language.code()),
            papers,
        })
    }
}

pub(super) fn plain(party: &Contact) -> Party {
    Party { name: party.name.clone(), address: party.address.clone(), contact: party.contact.clone() }
}
