//! A processor as one site uses it: what its features are for, what it processes of what the site stores, where, and
//! who else does.

use std::collections::BTreeSet;

use super::super::model::{
    Feature, Gap, Group, Level, Location, Party, Processor, Statement, SubProcessor, SubProcessors, Transfer,
};
use super::super::{Paper, Subject};
use super::Builder;
use super::parties::plain;
use crate::config::site::SiteProcessor;
use crate::config::{self, Contact};

/// The European Economic Area, where no safeguard is needed, as files name it and its parts.
const AREA: [&str; 4] = ["EU", "EEA", "European Union", "European Economic Area"];

/// The members of the European Union, and Iceland, Liechtenstein and Norway, by ISO 3166-1 and by their English names.
const MEMBERS: [(&str, &str); 30] = [
    ("AT", "Austria"),
    ("BE", "Belgium"),
    ("BG", "Bulgaria"),
    ("CY", "Cyprus"),
    ("CZ", "Czechia"),
    ("DE", "Germany"),
    ("DK", "Denmark"),
    ("EE", "Estonia"),
    ("ES", "Spain"),
    ("FI", "Finland"),
    ("FR", "France"),
    ("GR", "Greece"),
    ("HR", "Croatia"),
    ("HU", "Hungary"),
    ("IE", "Ireland"),
    ("IS", "Iceland"),
    ("IT", "Italy"),
    ("LI", "Liechtenstein"),
    ("LT", "Lithuania"),
    ("LU", "Luxembourg"),
    ("LV", "Latvia"),
    ("MT", "Malta"),
    ("NL", "Netherlands"),
    ("NO", "Norway"),
    ("PL", "Poland"),
    ("PT", "Portugal"),
    ("RO", "Romania"),
    ("SE", "Sweden"),
    ("SI", "Slovenia"),
    ("SK", "Slovakia"),
];

/// Facts of these topics are advice to the site: the papers follow it instead of repeating it.
const ADVICE: [&str; 2] = ["privacy-policy-", "cookie-overview-duty"];

/// Papers in which processors stand.
const OF_PROCESSORS: &[Paper] = &[Paper::Article30, Paper::PrivacyNotice, Paper::AgreementAnnex];

/// Papers in which sub-processors stand.
const OF_SUB_PROCESSORS: &[Paper] = &[Paper::Article30, Paper::AgreementAnnex];

impl Builder<'_> {
    pub(super) fn processor(&self, used: &SiteProcessor) -> Option<Processor> {
        let processor = self.subject.config.processors.get(&used.id)?;
        if processor.party.name == self.controller().party.name {
            return Some(self.controller_itself(processor, used));
        }
        let party = self.processors_party(processor);
        let identification = self.needed(processor.identification.clone(), || Gap {
            level: Level::Note,
            what: format!("identification number of {}", processor.party.name),
            because: "it names the company beyond doubt, where its country gives one",
            remedy: format!("{}: `identification = \"…\"`", processor.file),
            papers: OF_PROCESSORS,
        });
        let agreement = self.needed(used.agreement, || Gap {
            level: Level::Missing,
            what: format!("date of the data processing agreement with {}", processor.party.name),
            because: "GDPR Article 28(3)",
            remedy: format!("{}: `agreement = DATE` of the processor `{}`", self.subject.site.file, used.id),
            papers: OF_SUB_PROCESSORS,
        });
        Some(Processor {
            id: processor.id.clone(),
            own: false,
            product: processor.product.clone(),
            line: self.line(&party, identification.as_deref()),
            party,
            identification,
            dpo: processor.dpo.as_ref().map(plain),
            agreement: agreement.map(|date| date.to_string()),
            features: self.features(processor, used),
            data: self.data(processor),
            locations: self.locations(processor),
            transfers: self.transfers(processor),
            sub_processors: self.sub_processors(processor),
            statements: self.statements(processor),
        })
    }

    /// Where the file's name is the controller's: it tells of items and purposes of its own. Who it is stands elsewhere,
    /// and there is nothing to agree on.
    fn controller_itself(&self, processor: &config::Processor, used: &SiteProcessor) -> Processor {
        let party = plain(&processor.party);
        Processor {
            id: processor.id.clone(),
            own: true,
            product: processor.product.clone(),
            line: self.line(&party, processor.identification.as_deref()),
            party,
            identification: processor.identification.clone(),
            dpo: None,
            agreement: None,
            features: self.features(processor, used),
            data: self.data(processor),
            locations: processor.locations.iter().map(|location| self.location(location)).collect(),
            transfers: self.transfers(processor),
            sub_processors: SubProcessors { exist: Some(false), selection: None, known: Vec::new() },
            statements: self.statements(processor),
        }
    }

    fn processors_party(&self, processor: &config::Processor) -> Party {
        let Contact { name, address, contact } = &processor.party;
        let gap = |what: &str| Gap {
            level: Level::Missing,
            what: format!("{what} of the processor {name}"),
            because: "EDPB Opinion 22/2024: name, address and contact of every processor",
            remedy: format!("{}: `{what} = \"…\"`", processor.file),
            papers: OF_PROCESSORS,
        };
        Party {
            name: name.clone(),
            address: self.needed(address.clone(), || gap("address")),
            contact: self.needed(contact.clone(), || gap("contact")),
        }
    }

    /// As a privacy policy names a company.
    pub(super) fn line(&self, party: &Party, identification: Option<&str>) -> String {
        let missing = self.language.missing();
        let address = party.address.as_deref().unwrap_or(&missing);
        match identification {
            Some(number) => self
                .language
                .told("processor-line.with-number", &[("name", &party.name), ("number", number), ("address", address)]),
            None => self.language.told("processor-line.without-number", &[("name", &party.name), ("address", address)]),
        }
    }

    fn features(&self, processor: &config::Processor, used: &SiteProcessor) -> Vec<Feature> {
        let feature = |feature: &config::Feature| Feature {
            id: feature.id.clone(),
            purpose: self.language.fact(&feature.purpose),
            basis: feature.lawful_basis.key(),
            basis_name: self.language.text(&format!("basis.{}", feature.lawful_basis.key())),
        };
        processor.features.iter().filter(|feature| used.features.contains(&feature.id)).map(feature).collect()
    }

    /// What the site does not store is left out.
    fn data(&self, processor: &config::Processor) -> Vec<Group> {
        let Subject { config, site, .. } = self.subject;
        let group = |group: &config::DataGroup| {
            let stored = group.categories.iter().filter(|category| config.not_stored(site, category).is_none());
            let categories: Vec<String> = stored.map(|category| self.category(category)).collect();
            (!categories.is_empty()).then(|| Group { name: self.language.fact(&group.name), categories })
        };
        let groups: Vec<Group> = processor.data.iter().filter_map(group).collect();
        if processor.data.is_empty() {
            self.gap(Gap {
                level: Level::Missing,
                what: format!("categories of personal data that {} processes", processor.party.name),
                because: "GDPR Articles 28(3) and 30(1)(c)",
                remedy: format!("{}: `[[data]]` with `name` and `categories`", processor.file),
                papers: OF_PROCESSORS,
            });
        }
        groups
    }

    fn locations(&self, processor: &config::Processor) -> Vec<Location> {
        if processor.locations.is_empty() {
            self.gap(Gap {
                level: Level::Missing,
                what: format!("where {} stores data", processor.party.name),
                because: "GDPR Articles 13(1)(f) and 30(1)(e)",
                remedy: format!("{}: `[[location]]` with `region`", processor.file),
                papers: OF_PROCESSORS,
            });
        }
        processor.locations.iter().map(|location| self.location(location)).collect()
    }

    fn location(&self, location: &config::Location) -> Location {
        Location {
            region: self.language.fact(&location.region),
            primary: location.primary,
            promise: self.sentence(&location.promise),
        }
    }

    /// A declared text that becomes a part of a sentence.
    fn sentence(&self, text: &Option<String>) -> Option<String> {
        self.facts(text).map(|text| text.trim_end_matches('.').to_owned())
    }

    /// Declared transfers, and places outside the European Economic Area for which none is declared: of the processor
    /// and of its sub-processors.
    fn transfers(&self, processor: &config::Processor) -> Vec<Transfer> {
        let promise = |country: &str| {
            let at = processor.locations.iter().find(|location| location.region == country);
            at.and_then(|location| self.sentence(&location.promise))
        };
        let declared = processor.transfers.iter().filter(|transfer| !is_within(&transfer.country)).map(|transfer| {
            self.safeguard(processor, &transfer.country, transfer.safeguard.as_ref(), transfer.valid_until);
            // One that has ended protects nothing.
            let in_force = transfer.valid_until.is_none_or(|end| end >= self.subject.today);
            Transfer {
                processor: processor.party.name.clone(),
                country: self.language.fact(&transfer.country),
                safeguard: self.facts(&transfer.safeguard).filter(|_| in_force),
                valid_until: transfer.valid_until.filter(|_| in_force).map(|date| date.to_string()),
                promise: promise(&transfer.country),
            }
        });
        let known = |region: &str| processor.transfers.iter().any(|transfer| transfer.country == region);
        let places = processor.locations.iter().map(|location| location.region.as_str());
        let of_others = processor.sub_processors.known.iter().filter_map(|sub| sub.country.as_deref());
        let outside: BTreeSet<&str> =
            places.chain(of_others).filter(|region| !is_within(region) && !known(region)).collect();
        let undeclared = outside.into_iter().map(|region| {
            self.safeguard(processor, region, None, None);
            Transfer {
                processor: processor.party.name.clone(),
                country: self.language.fact(region),
                safeguard: None,
                valid_until: None,
                promise: promise(region),
            }
        });
        declared.chain(undeclared).collect()
    }

    fn safeguard(
        &self,
        processor: &config::Processor,
        country: &str,
        safeguard: Option<&String>,
        valid_until: Option<jiff::civil::Date>,
    ) {
        let name = &processor.party.name;
        let what = match (safeguard, valid_until) {
            (None, _) => format!("safeguard for the transfer by {name} to `{country}`"),
            (Some(_), Some(end)) if end < self.subject.today => {
                format!("safeguard for the transfer by {name} to `{country}`: it was valid until {end}")
            }
            _ => return,
        };
        self.gap(Gap {
            level: Level::Missing,
            what,
            because: "GDPR Articles 13(1)(f), 30(1)(e) and 44 to 49",
            remedy: format!(
                "{}: `[[transfer]]` with `country = \"{country}\"` and the `safeguard`; a place in the EEA by its English \
                 name or code",
                processor.file
            ),
            papers: OF_PROCESSORS,
        });
    }

    fn sub_processors(&self, processor: &config::Processor) -> SubProcessors {
        let config::SubProcessors { exist, selection, known } = &processor.sub_processors;
        let name = &processor.party.name;
        if known.is_empty() && *exist != Some(false) {
            let what = match exist {
                Some(_) => format!("names, addresses and contacts of the sub-processors of {name}"),
                None => format!("whether {name} has sub-processors"),
            };
            self.gap(Gap {
                level: Level::Missing,
                what,
                because: "GDPR Article 28(2) and EDPB Opinion 22/2024",
                remedy: format!(
                    "{}: `[[sub-processors.known]]` with `name`, `address` and `contact` for each, or `exist = false`",
                    processor.file
                ),
                papers: OF_SUB_PROCESSORS,
            });
        }
        let sub = |sub: &config::SubProcessor| self.sub_processor(processor, sub);
        SubProcessors { exist: *exist, selection: self.facts(selection), known: known.iter().map(sub).collect() }
    }

    fn sub_processor(&self, processor: &config::Processor, sub: &config::SubProcessor) -> SubProcessor {
        let Contact { name, address, contact } = &sub.party;
        let gap = |level, what: &str, because| Gap {
            level,
            what: format!("{what} of the sub-processor {name}"),
            because,
            remedy: format!("{}: `{what} = \"…\"` of it under `[[sub-processors.known]]`", processor.file),
            papers: OF_SUB_PROCESSORS,
        };
        let opinion = "EDPB Opinion 22/2024: name, address and contact of every sub-processor";
        let party = Party {
            name: name.clone(),
            address: self.needed(address.clone(), || gap(Level::Missing, "address", opinion)),
            contact: self.needed(contact.clone(), || gap(Level::Missing, "contact", opinion)),
        };
        let description = "EDPB Opinion 22/2024: a description of the processing";
        let purpose = self.needed(self.facts(&sub.purpose), || gap(Level::Note, "purpose", description));
        let country =
            self.needed(self.facts(&sub.country), || gap(Level::Missing, "country", "GDPR Articles 30(1)(e) and 44"));
        SubProcessor { party, purpose, country }
    }

    fn statements(&self, processor: &config::Processor) -> Vec<Statement> {
        let told =
            processor.statements.iter().filter(|fact| !ADVICE.iter().any(|advice| fact.topic.starts_with(advice)));
        let text = |fact: &config::Statement| self.language.fact(&fact.text).trim_end_matches('.').to_owned();
        told.map(|fact| Statement { topic: fact.topic.clone(), text: text(fact) }).collect()
    }
}

fn is_within(place: &str) -> bool {
    let is = |name: &str| name.eq_ignore_ascii_case(place);
    AREA.iter().any(|name| is(name)) || MEMBERS.iter().any(|(code, name)| is(code) || is(name))
}
