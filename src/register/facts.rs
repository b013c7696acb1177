//! The configuration as rows of the register: one function per kind of fact.

use crate::config::site::{Site, Store, Tag};
use crate::config::{Config, Contact, Controller, Processor, Setting};

/// A table of declared facts: the columns that name a fact, then those that say something of it.
#[derive(Debug)]
pub struct FactTable {
    /// The table.
    pub name: &'static str,
    /// What one of its rows is called in a sentence.
    pub noun: &'static str,
    /// Columns that identify a fact.
    pub key: &'static [&'static str],
    /// Columns that describe it.
    pub values: &'static [&'static str],
}

/// Every table of declared facts, in the order in which people read them.
pub const FACT_TABLES: &[FactTable] = &[
    FactTable { name: "contacts", noun: "contact", key: &["scope", "role", "name"], values: &["address", "contact"] },
    FactTable {
        name: "processors",
        noun: "processor",
        key: &["processor"],
        values: &["product", "legal_name", "identification", "address", "contact", "source", "read_on"],
    },
    FactTable {
        name: "storage_locations",
        noun: "storage location",
        key: &["processor", "region"],
        values: &["extent", "promise"],
    },
    FactTable {
        name: "transfers",
        noun: "transfer",
        key: &["processor", "country"],
        values: &["safeguard", "safeguard_valid_until"],
    },
    FactTable {
        name: "sub_processors",
        noun: "sub-processor",
        key: &["processor", "name"],
        values: &["address", "contact", "purpose", "country"],
    },
    FactTable { name: "statements", noun: "statement", key: &["processor", "topic"], values: &["statement"] },
    FactTable {
        name: "purposes",
        noun: "purpose",
        key: &["processor", "feature"],
        values: &["purpose", "lawful_basis"],
    },
    FactTable {
        name: "processed_data",
        noun: "processed data",
        key: &["processor", "data_group", "category"],
        values: &[],
    },
    FactTable {
        name: "storage_items",
        noun: "storage item",
        key: &["processor", "name", "class", "kind", "host"],
        values: &["lifetime", "description"],
    },
    FactTable {
        name: "data_categories",
        noun: "data category",
        key: &["category"],
        values: &["name", "description", "setting"],
    },
    FactTable { name: "sites", noun: "site", key: &["site"], values: &["time_zone", "schedule", "file"] },
    FactTable { name: "site_settings", noun: "setting", key: &["site", "setting"], values: &["value"] },
    FactTable { name: "categories_not_stored", noun: "not stored", key: &["site", "category"], values: &[] },
    FactTable {
        name: "agreements",
        noun: "agreement",
        key: &["site", "processor"],
        values: &["agreed_on", "chat_key"],
    },
    FactTable { name: "features_in_use", noun: "feature in use", key: &["site", "processor", "feature"], values: &[] },
    FactTable {
        name: "retention_periods",
        noun: "retention period",
        key: &["site", "subject", "class"],
        values: &["period"],
    },
    FactTable { name: "stores", noun: "store", key: &["site", "store"], values: &["kind", "location"] },
    FactTable {
        name: "tagged_tables",
        noun: "table",
        key: &["site", "store", "table_name"],
        values: &["holds", "time_column"],
    },
    FactTable {
        name: "tagged_columns",
        noun: "column",
        key: &["site", "store", "table_name", "column_name"],
        values: &["holds"],
    },
    FactTable { name: "tagged_files", noun: "files", key: &["site", "store", "part"], values: &["holds"] },
    FactTable { name: "configuration_files", noun: "file", key: &["path"], values: &["sha256", "content"] },
];

/// Facts of one table: each row has the table's key columns, then its value columns.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// Every fact of `config`, table by table in the order of [`FACT_TABLES`].
pub(super) fn of(config: &Config) -> Vec<(&'static FactTable, Rows)> {
    FACT_TABLES.iter().map(|table| (table, rows(table.name, config))).collect()
}

fn rows(table: &str, config: &Config) -> Rows {
    let processors = || config.processors.values();
    let sites = || config.sites.values();
    match table {
        "contacts" => contacts(config),
        "processors" => processors().map(processor).collect(),
        "storage_locations" => processors().flat_map(locations).collect(),
        "transfers" => processors().flat_map(transfers).collect(),
        "sub_processors" => processors().flat_map(sub_processors).collect(),
        "statements" => processors().flat_map(statements).collect(),
        "purposes" => processors().flat_map(purposes).collect(),
        "processed_data" => processors().flat_map(processed_data).collect(),
        "storage_items" => processors().flat_map(storage_items).collect(),
        "data_categories" => data_categories(config),
        "sites" => sites().map(site).collect(),
        "site_settings" => sites().flat_map(settings).collect(),
        "categories_not_stored" => sites().flat_map(not_stored).collect(),
        "agreements" => sites().flat_map(agreements).collect(),
        "features_in_use" => sites().flat_map(features).collect(),
        "retention_periods" => sites().flat_map(retention).collect(),
        "stores" => sites().flat_map(stores).collect(),
        "tagged_tables" => sites().flat_map(tagged_tables).collect(),
        "tagged_columns" => sites().flat_map(tagged_columns).collect(),
        "tagged_files" => sites().flat_map(tagged_files).collect(),
        "configuration_files" => {
            config.sources.values().map(|file| vec![text(&file.path), text(&file.sha256), text(&file.text)]).collect()
        }
        _ => Rows::new(),
    }
}

fn text(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

fn contact_row(scope: &str, role: &str, contact: &Contact) -> Vec<Option<String>> {
    vec![text(scope), text(role), text(&contact.name), contact.address.clone(), contact.contact.clone()]
}

fn controller_rows(scope: &str, controller: &Controller) -> Rows {
    let Controller { party, joint_controller, representative } = controller;
    let mut rows = vec![contact_row(scope, "controller", party)];
    rows.extend(joint_controller.iter().map(|contact| contact_row(scope, "joint-controller", contact)));
    rows.extend(representative.iter().map(|contact| contact_row(scope, "representative", contact)));
    rows
}

fn contacts(config: &Config) -> Rows {
    let mut rows = controller_rows("", &config.daemon.controller);
    rows.extend(config.daemon.dpo.iter().map(|dpo| contact_row("", "dpo", dpo)));
    for processor in config.processors.values() {
        rows.extend(processor.dpo.iter().map(|dpo| contact_row(&processor.id, "dpo", dpo)));
    }
    for site in config.sites.values() {
        rows.extend(site.controller.iter().flat_map(|controller| controller_rows(&site.domain, controller)));
        rows.extend(site.dpo.iter().map(|dpo| contact_row(&site.domain, "dpo", dpo)));
    }
    rows
}

fn processor(processor: &Processor) -> Vec<Option<String>> {
    vec![
        text(&processor.id),
        text(&processor.product),
        text(&processor.party.name),
        processor.identification.clone(),
        processor.party.address.clone(),
        processor.party.contact.clone(),
        processor.source.clone(),
        processor.read.map(|date| date.to_string()),
    ]
}

fn locations(processor: &Processor) -> Rows {
    let extent = |primary| if primary { "primary" } else { "some" };
    let row = |location: &crate::config::Location| {
        vec![text(&processor.id), text(&location.region), text(extent(location.primary)), location.promise.clone()]
    };
    processor.locations.iter().map(row).collect()
}

fn transfers(processor: &Processor) -> Rows {
    let row = |transfer: &crate::config::Transfer| {
        let until = transfer.valid_until.map(|date| date.to_string());
        vec![text(&processor.id), text(&transfer.country), transfer.safeguard.clone(), until]
    };
    processor.transfers.iter().map(row).collect()
}

fn sub_processors(processor: &Processor) -> Rows {
    let row = |sub: &crate::config::SubProcessor| {
        let Contact { name, address, contact } = &sub.party;
        vec![
            text(&processor.id),
            text(name),
            address.clone(),
            contact.clone(),
            sub.purpose.clone(),
            sub.country.clone(),
        ]
    };
    processor.sub_processors.known.iter().map(row).collect()
}

fn statements(processor: &Processor) -> Rows {
    let row = |topic: &str, statement: &str| vec![text(&processor.id), text(topic), text(statement)];
    let mut rows: Rows = processor.statements.iter().map(|fact| row(&fact.topic, &fact.text)).collect();
    rows.extend(
        processor.sub_processors.exist.map(|exist| row("sub-processors-exist", if exist { "yes" } else { "no" })),
    );
    rows.extend(processor.sub_processors.selection.iter().map(|how| row("sub-processors-selection", how)));
    rows
}

fn purposes(processor: &Processor) -> Rows {
    let row = |feature: &crate::config::Feature| {
        vec![text(&processor.id), text(&feature.id), text(&feature.purpose), text(feature.lawful_basis.key())]
    };
    processor.features.iter().map(row).collect()
}

fn processed_data(processor: &Processor) -> Rows {
    let group = |group: &crate::config::DataGroup| -> Rows {
        group.categories.iter().map(|category| vec![text(&processor.id), text(&group.name), text(category)]).collect()
    };
    processor.data.iter().flat_map(group).collect()
}

fn storage_items(processor: &Processor) -> Rows {
    let row = |item: &crate::config::StorageItem| {
        vec![
            text(&processor.id),
            text(&item.name),
            text(item.class.key()),
            text(item.kind.key()),
            item.host.clone(),
            text(item.lifetime),
            text(&item.description),
        ]
    };
    processor.items.iter().map(row).collect()
}

fn data_categories(config: &Config) -> Rows {
    let row = |(id, category): (&crate::config::CategoryId, &crate::config::Category)| {
        let setting = category.setting.map(|setting| setting.key().to_owned());
        vec![text(id), text(&category.name), category.description.clone(), setting]
    };
    config.categories.iter().map(row).collect()
}

fn site(site: &Site) -> Vec<Option<String>> {
    vec![text(&site.domain), text(&site.time_zone.name), text(&site.schedule), text(&site.file)]
}

/// All settings, also those that the file leaves at their default: the register says what applies.
fn settings(site: &Site) -> Rows {
    let row = |setting: Setting| {
        let value = site.settings.get(&setting).copied().unwrap_or_else(|| setting.default_value());
        vec![text(&site.domain), text(setting.key()), text(value)]
    };
    Setting::ALL.into_iter().map(row).collect()
}

fn not_stored(site: &Site) -> Rows {
    site.not_stored.iter().map(|category| vec![text(&site.domain), text(category)]).collect()
}

fn agreements(site: &Site) -> Rows {
    let row = |used: &crate::config::site::SiteProcessor| {
        let agreed = used.agreement.map(|date| date.to_string());
        vec![text(&site.domain), text(&used.id), agreed, used.chat_key.clone()]
    };
    site.processors.iter().map(row).collect()
}

fn features(site: &Site) -> Rows {
    let row = |used: &crate::config::site::SiteProcessor| -> Rows {
        used.features.iter().map(|feature| vec![text(&site.domain), text(&used.id), text(feature)]).collect()
    };
    site.processors.iter().flat_map(row).collect()
}

fn retention(site: &Site) -> Rows {
    let row = |(tag, period): (&Tag, &crate::config::Period)| {
        let class = match tag {
            Tag::Category(_) => None,
            Tag::Item { class, .. } => text(class.key()),
        };
        vec![text(&site.domain), text(tag), class, text(period)]
    };
    site.retention.iter().map(row).collect()
}

fn stores(site: &Site) -> Rows {
    let row = |(name, store): (&String, &Store)| {
        vec![text(&site.domain), text(name), text(store.key()), text(store.location())]
    };
    site.stores.iter().map(row).collect()
}

fn tagged_tables(site: &Site) -> Rows {
    let store = |(name, store): (&String, &Store)| -> Rows {
        let row = |table: &crate::config::site::Table| {
            vec![text(&site.domain), text(name), text(&table.id), text(&table.holds), text(&table.time.column)]
        };
        store.tables().iter().map(row).collect()
    };
    site.stores.iter().flat_map(store).collect()
}

fn tagged_files(site: &Site) -> Rows {
    let mut rows = Rows::new();
    for (name, store) in &site.stores {
        let mut part =
            |part: &str, holds: &Tag| rows.push(vec![text(&site.domain), text(name), text(part), text(holds)]);
        match store {
            Store::Tables { .. } => {}
            Store::Directory { holds, .. } => part("files", holds),
            Store::Log { holds, address, .. } => {
                part("lines", holds);
                if let Some(address) = address {
                    part("addresses", &address.holds);
                }
            }
        }
    }
    rows
}

fn tagged_columns(site: &Site) -> Rows {
    let mut rows = Rows::new();
    for (name, store) in &site.stores {
        for table in store.tables() {
            rows.extend(table.columns.iter().map(|column| {
                vec![text(&site.domain), text(name), text(&table.id), text(&column.name), text(&column.holds)]
            }));
        }
    }
    rows
}
