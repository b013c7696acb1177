//! The files as they are written: one struct for each table, every key optional, every value with its place.
//!
//! These structs never leave [`check`](super::check), which takes them apart by exhaustive destructuring: a key that
//! is added here does not compile until it is checked there. That a key is mandatory is for `check` to say, so that
//! several missing ones are told in one go. The keys themselves are explained in `docs/configuration.md`, and for editors
//! and the manual in `config/schema`, whose keys are held against these structs.

mod decode;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;
use toml::value::Datetime;

pub(super) use decode::{ROOT, decode, parse};
pub(super) use value::{AgeValue, ColumnValue, Keyed, Number, Retained, ScalarValue, Section, Text};

/// `forgetd.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct DaemonFile {
    pub(super) state_dir: Option<Text>,
    pub(super) controller: Option<Section<ControllerTable>>,
    pub(super) dpo: Option<Section<ContactTable>>,
    pub(super) safety: Option<Section<SafetyTable>>,
    pub(super) pace: Option<Section<PaceTable>>,
    pub(super) log: Option<Section<LoggingTable>>,
    pub(super) metrics: Option<Section<MetricsTable>>,
    pub(super) drift: Option<Section<DriftTable>>,
}

/// `[controller]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ControllerTable {
    pub(super) name: Option<Text>,
    pub(super) address: Option<Text>,
    pub(super) contact: Option<Text>,
    pub(super) joint_controller: Option<Section<ContactTable>>,
    pub(super) representative: Option<Section<ContactTable>>,
}

/// `[dpo]` and others who can be reached.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ContactTable {
    pub(super) name: Option<Text>,
    pub(super) address: Option<Text>,
    pub(super) contact: Option<Text>,
}

/// `[safety]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SafetyTable {
    pub(super) approval: Option<Text>,
    pub(super) max_share: Option<Spanned<Number>>,
    pub(super) max_rows: Option<Spanned<i64>>,
}

/// `[pace]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PaceTable {
    pub(super) batch_time: Option<Text>,
    pub(super) duty: Option<Spanned<Number>>,
    pub(super) max_lag: Option<Text>,
}

/// `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct LoggingTable {
    pub(super) level: Option<Text>,
}

/// `[metrics]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct MetricsTable {
    pub(super) listen: Option<Text>,
    pub(super) textfile: Option<Text>,
}

/// `[drift]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct DriftTable {
    pub(super) accepts: Vec<Text>,
}

/// `categories.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CategoriesFile {
    pub(super) category: Vec<Section<CategoryTable>>,
}

/// `[[category]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CategoryTable {
    pub(super) id: Option<Text>,
    pub(super) name: Option<Text>,
    pub(super) description: Option<Text>,
    pub(super) setting: Option<Text>,
}

/// `processors/*.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ProcessorFile {
    pub(super) id: Option<Text>,
    pub(super) product: Option<Text>,
    pub(super) name: Option<Text>,
    pub(super) address: Option<Text>,
    pub(super) contact: Option<Text>,
    pub(super) identification: Option<Text>,
    pub(super) source: Option<Text>,
    pub(super) read: Option<Spanned<Datetime>>,
    pub(super) dpo: Option<Section<ContactTable>>,
    pub(super) location: Vec<Section<LocationTable>>,
    pub(super) transfer: Vec<Section<TransferTable>>,
    pub(super) sub_processors: Option<Section<SubProcessorsTable>>,
    pub(super) feature: Vec<Section<FeatureTable>>,
    pub(super) data: Vec<Section<DataTable>>,
    pub(super) item: Vec<Section<ItemTable>>,
    pub(super) statement: Vec<Section<StatementTable>>,
}

/// `[[location]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct LocationTable {
    pub(super) region: Option<Text>,
    pub(super) primary: Option<bool>,
    pub(super) promise: Option<Text>,
}

/// `[[transfer]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TransferTable {
    pub(super) country: Option<Text>,
    pub(super) safeguard: Option<Text>,
    pub(super) valid_until: Option<Spanned<Datetime>>,
}

/// `[sub-processors]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SubProcessorsTable {
    pub(super) exist: Option<bool>,
    pub(super) selection: Option<Text>,
    pub(super) known: Vec<Section<SubProcessorTable>>,
}

/// `[[sub-processors.known]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SubProcessorTable {
    pub(super) name: Option<Text>,
    pub(super) address: Option<Text>,
    pub(super) contact: Option<Text>,
    pub(super) purpose: Option<Text>,
    pub(super) country: Option<Text>,
}

/// `[[feature]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct FeatureTable {
    pub(super) id: Option<Text>,
    pub(super) purpose: Option<Text>,
    pub(super) lawful_basis: Option<Text>,
}

/// `[[data]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct DataTable {
    pub(super) name: Option<Text>,
    pub(super) categories: Vec<Text>,
}

/// `[[item]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ItemTable {
    pub(super) name: Option<Text>,
    pub(super) class: Option<Text>,
    pub(super) kind: Option<Text>,
    pub(super) description: Option<Text>,
    pub(super) lifetime: Option<Text>,
    pub(super) host: Option<Text>,
}

/// `[[statement]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StatementTable {
    pub(super) topic: Option<Text>,
    pub(super) text: Option<Text>,
}

/// `sites/*.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SiteFile {
    pub(super) domain: Option<Text>,
    pub(super) time_zone: Option<Text>,
    pub(super) schedule: Option<Text>,
    pub(super) controller: Option<Section<ControllerTable>>,
    pub(super) dpo: Option<Section<ContactTable>>,
    pub(super) settings: Option<Section<SettingsTable>>,
    pub(super) processor: Vec<Section<UsedProcessorTable>>,
    pub(super) cookie_bar: Option<Section<CookieBarTable>>,
    pub(super) retention: Option<Spanned<BTreeMap<Text, Spanned<Retained>>>>,
    /// Taken out beforehand: which keys a store has depends on its kind. It stands here to be among the known keys.
    pub(super) store: Option<IgnoredAny>,
}

/// `[settings]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SettingsTable {
    pub(super) store_ip: Option<bool>,
    pub(super) store_location: Option<bool>,
    pub(super) store_device: Option<bool>,
    pub(super) store_contact: Option<bool>,
    pub(super) store_page_urls: Option<bool>,
    pub(super) not_stored: Vec<Text>,
}

/// `[[processor]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct UsedProcessorTable {
    pub(super) id: Option<Text>,
    pub(super) chat_key: Option<Text>,
    pub(super) features: Vec<Text>,
    pub(super) agreement: Option<Spanned<Datetime>>,
}

/// `[cookie-bar]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CookieBarTable {
    pub(super) accept: Option<Text>,
    pub(super) refuse: Option<Text>,
}

/// `[store.NAME]` with `kind = "sqlite"`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SqliteTable {
    pub(super) path: Option<Text>,
    pub(super) table: Vec<Section<TableTable>>,
}

/// `[store.NAME]` with `kind = "postgres"` or `kind = "mysql"`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ServerTable {
    pub(super) url: Option<Text>,
    pub(super) credential: Option<Text>,
    pub(super) password_file: Option<Text>,
    pub(super) ca_file: Option<Text>,
    pub(super) after: Option<Text>,
    pub(super) table: Vec<Section<TableTable>>,
}

/// `[store.NAME]` with `kind = "directory"`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct DirectoryTable {
    pub(super) path: Option<Text>,
    pub(super) pattern: Option<Text>,
    pub(super) age: Option<Spanned<AgeValue>>,
    pub(super) holds: Option<Text>,
    pub(super) settle: Option<Text>,
}

/// `age` of a directory.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct AgeTable {
    pub(super) name: Option<Text>,
}

/// `[store.NAME]` with `kind = "log"`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct LogTable {
    pub(super) path: Option<Text>,
    pub(super) format: Option<Text>,
    pub(super) time_zone: Option<Text>,
    pub(super) time_field: Option<Text>,
    pub(super) address_fields: Option<Spanned<Vec<Text>>>,
    pub(super) address_parameters: Vec<Text>,
    pub(super) pattern: Option<Text>,
    pub(super) unparsed: Option<Text>,
    pub(super) holds: Option<Text>,
    pub(super) address: Option<Spanned<ColumnValue>>,
}

/// `[[store.NAME.table]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TableTable {
    pub(super) id: Option<Text>,
    pub(super) name: Option<Text>,
    pub(super) key: Option<Text>,
    pub(super) time: Option<Section<TimeTable>>,
    pub(super) expires: Option<Section<TimeTable>>,
    pub(super) holds: Option<Text>,
    pub(super) consent: Option<Section<ConsentTable>>,
    pub(super) children: Vec<Section<ChildTable>>,
    pub(super) columns: Option<Spanned<BTreeMap<Text, Spanned<ColumnValue>>>>,
    pub(super) filter: Option<BTreeMap<Text, ScalarValue>>,
    pub(super) accepts: Vec<Text>,
}

/// `time` and `expires`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TimeTable {
    pub(super) column: Option<Text>,
    pub(super) format: Option<Text>,
    pub(super) time_zone: Option<Text>,
}

/// `consent`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConsentTable {
    pub(super) column: Option<Text>,
    pub(super) given: Option<ScalarValue>,
}

/// One of `children`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ChildTable {
    pub(super) table: Option<Text>,
    pub(super) column: Option<Text>,
}

/// A column of `columns` that is more than a tag.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ColumnTable {
    pub(super) category: Option<Text>,
    pub(super) item: Option<Text>,
    #[serde(rename = "do")]
    pub(super) action: Option<Text>,
    pub(super) value: Option<ScalarValue>,
    pub(super) prefix: Option<Section<PrefixTable>>,
    pub(super) unparsed: Option<Text>,
    pub(super) steps: Option<Spanned<Vec<Section<StepTable>>>>,
}

/// One of `steps`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StepTable {
    pub(super) after: Option<Text>,
    #[serde(rename = "do")]
    pub(super) action: Option<Text>,
    pub(super) prefix: Option<Section<PrefixTable>>,
}

/// `prefix`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PrefixTable {
    pub(super) v4: Option<Spanned<i64>>,
    pub(super) v6: Option<Spanned<i64>>,
}
