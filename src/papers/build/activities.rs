//! The processing activities: each feature of each processor, and what the site's own stores hold beside that.

use super::super::Paper;
use super::super::model::{Activity, Feature, Gap, Group, Level, Processor, Recipient};
use super::{Builder, server};

/// Papers in which purposes stand.
const OF_PURPOSES: &[Paper] = &[Paper::Article30, Paper::PrivacyNotice, Paper::AgreementAnnex];

impl Builder<'_> {
    pub(super) fn activities(&self, processor: &Processor) -> Vec<Activity> {
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
                recipients: if processor.own { Vec::new() } else { vec![recipient(processor)] },
                agreement: processor.agreement.clone(),
                transfers: processor.transfers.clone(),
                locations: processor.locations.iter().map(|location| location.region.clone()).collect(),
            }
        };
        if processor.features.is_empty() {
            self.no_feature(&processor.id);
            return vec![activity("", None, None)];
        }
        let of = |feature: &Feature| {
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

    pub(super) fn nothing_is_declared(&self) {
        self.gap(Gap {
            level: Level::Missing,
            what: "any processing: the site uses no processor, and has no store with personal data".to_owned(),
            because: "GDPR Articles 13(1)(c) and 30(1)(b)",
            remedy: format!("{}: `[[processor]]` with `id` and `features`", self.subject.site.file),
            papers: OF_PURPOSES,
        });
    }

    /// What the site's own stores hold and no processor in use is declared to process.
    pub(super) fn own_activity(&self, server: &server::Server) -> Option<Activity> {
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

fn recipient(processor: &Processor) -> Recipient {
    Recipient {
        party: processor.party.clone(),
        identification: processor.identification.clone(),
        has_sub_processors: processor.sub_processors.exist,
        sub_processors: processor.sub_processors.known.clone(),
    }
}
