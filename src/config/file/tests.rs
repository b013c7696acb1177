//! The published schemas against the structs that files are read into: an editor that knows a schema completes every key
//! there is, and no other.

use std::cell::Cell;
use std::collections::BTreeSet;

use rstest::rstest;
use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::*;

/// Notes which fields a struct asks for, and gives none.
struct Asked<'a>(&'a Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.set(fields);
        Err(serde::de::Error::custom("noted"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The keys of a table.
fn keys<'de, T: Deserialize<'de>>() -> BTreeSet<String> {
    let fields = Cell::new([].as_slice());
    assert!(T::deserialize(Asked(&fields)).is_err());
    assert!(!fields.get().is_empty(), "not a struct with fields");
    fields.get().iter().map(|key| (*key).to_owned()).collect()
}

/// With the key that says which of several tables it is.
fn store<'de, T: Deserialize<'de>>() -> BTreeSet<String> {
    let mut keys = keys::<T>();
    keys.insert("kind".to_owned());
    keys
}

/// Every object with keys of its own, by its place.
fn tables(schema: &Value, place: &str, found: &mut Vec<(String, BTreeSet<String>)>) {
    let children: Vec<(String, &Value)> = match schema {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(elements) => elements.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => return,
    };
    if schema["additionalProperties"] == false {
        let keys = schema["properties"].as_object().unwrap().keys().cloned().collect();
        found.push((place.to_owned(), keys));
    }
    for (name, value) in children {
        tables(value, &format!("{place}/{name}"), found);
    }
}

const CONTROLLER: &str = "/definitions/controller";
const CONTACT: &str = "/definitions/contact";

#[rstest]
#[case::daemon(include_str!("../../../config/schema/forgetd.schema.json"), &[
    ("", keys::<DaemonFile>()),
    ("/properties/safety", keys::<SafetyTable>()),
    ("/properties/pace", keys::<PaceTable>()),
    ("/properties/log", keys::<LoggingTable>()),
    ("/properties/metrics", keys::<MetricsTable>()),
    ("/properties/drift", keys::<DriftTable>()),
    (CONTACT, keys::<ContactTable>()),
    (CONTROLLER, keys::<ControllerTable>()),
])]
#[case::categories(include_str!("../../../config/schema/categories.schema.json"), &[
    ("", keys::<CategoriesFile>()),
    ("/properties/category/items", keys::<CategoryTable>()),
])]
#[case::processor(include_str!("../../../config/schema/processor.schema.json"), &[
    ("", keys::<ProcessorFile>()),
    ("/properties/location/items", keys::<LocationTable>()),
    ("/properties/transfer/items", keys::<TransferTable>()),
    ("/properties/sub-processors", keys::<SubProcessorsTable>()),
    ("/properties/sub-processors/properties/known/items", keys::<SubProcessorTable>()),
    ("/properties/feature/items", keys::<FeatureTable>()),
    ("/properties/data/items", keys::<DataTable>()),
    ("/properties/item/items", keys::<ItemTable>()),
    ("/properties/statement/items", keys::<StatementTable>()),
    (CONTACT, keys::<ContactTable>()),
])]
#[case::site(include_str!("../../../config/schema/site.schema.json"), &[
    ("", keys::<SiteFile>()),
    ("/properties/settings", keys::<SettingsTable>()),
    ("/properties/cookie-bar", keys::<CookieBarTable>()),
    ("/properties/processor/items", keys::<UsedProcessorTable>()),
    (CONTACT, keys::<ContactTable>()),
    (CONTROLLER, keys::<ControllerTable>()),
    ("/definitions/store/oneOf/0", store::<SqliteTable>()),
    ("/definitions/store/oneOf/1", store::<ServerTable>()),
    ("/definitions/store/oneOf/2", store::<DirectoryTable>()),
    ("/definitions/store/oneOf/2/properties/age/anyOf/1", keys::<AgeTable>()),
    ("/definitions/store/oneOf/3", store::<LogTable>()),
    ("/definitions/table", keys::<TableTable>()),
    ("/definitions/table/properties/consent", keys::<ConsentTable>()),
    ("/definitions/table/properties/children/items", keys::<ChildTable>()),
    ("/definitions/time", keys::<TimeTable>()),
    ("/definitions/column/anyOf/1", keys::<ColumnTable>()),
    ("/definitions/step", keys::<StepTable>()),
    ("/definitions/prefix", keys::<PrefixTable>()),
])]
fn a_schema_has_every_key_that_a_file_may_have_and_no_other(
    #[case] schema: &str,
    #[case] wanted: &[(&str, BTreeSet<String>)],
) {
    let mut found = Vec::new();
    tables(&serde_json::from_str(schema).unwrap(), "", &mut found);
    let sorted = |mut tables: Vec<(String, BTreeSet<String>)>| {
        tables.sort();
        tables
    };
    let wanted = wanted.iter().map(|(place, keys)| ((*place).to_owned(), keys.clone())).collect();
    assert_eq!(sorted(found), sorted(wanted));
}
