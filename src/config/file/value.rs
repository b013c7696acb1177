//! Values that may be written in several ways, and tables that must be tables.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use toml::Spanned;

use super::super::site::Scalar;
use super::{AgeTable, ColumnTable};

/// A string with its place.
pub(in crate::config) type Text = Spanned<String>;

/// A table with its place.
pub(in crate::config) type Section<T> = Spanned<Keyed<T>>;

/// A struct that is read from a table only: serde would also take a list and go by the order of the fields.
#[derive(Debug, Default)]
pub(in crate::config) struct Keyed<T>(pub(in crate::config) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Keyed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TableVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for TableVisitor<T> {
            type Value = Keyed<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Keyed)
            }
        }
        deserializer.deserialize_map(TableVisitor(PhantomData))
    }
}

/// A number whose exact digits are read from the file: floating point does not know 0.1.
#[derive(Debug)]
pub(in crate::config) struct Number;

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Number, E> {
                Ok(Number)
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Number, E> {
                Ok(Number)
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// A value that is compared with or written to a column.
#[derive(Debug)]
pub(in crate::config) struct ScalarValue(pub(in crate::config) Scalar);

impl<'de> Deserialize<'de> for ScalarValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl Visitor<'_> for ScalarVisitor {
            type Value = ScalarValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a whole number, true or false")
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<ScalarValue, E> {
                Ok(ScalarValue(Scalar::Boolean(value)))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<ScalarValue, E> {
                Ok(ScalarValue(Scalar::Integer(value)))
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<ScalarValue, E> {
                Ok(ScalarValue(Scalar::Text(value.to_owned())))
            }
        }
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// A column of `columns`: `"tag"`, or a table.
#[derive(Debug)]
pub(in crate::config) enum ColumnValue {
    Tag(String),
    Table(Box<ColumnTable>),
}

impl<'de> Deserialize<'de> for ColumnValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ColumnVisitor;
        impl<'de> Visitor<'de> for ColumnVisitor {
            type Value = ColumnValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a category, a storage item, or a table with `category` or `item`")
            }
            fn visit_str<E: Error>(self, tag: &str) -> Result<ColumnValue, E> {
                Ok(ColumnValue::Tag(tag.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ColumnValue, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map)).map(ColumnValue::Table)
            }
        }
        deserializer.deserialize_any(ColumnVisitor)
    }
}

/// `age`: `"mtime"`, or a table.
#[derive(Debug)]
pub(in crate::config) enum AgeValue {
    Word(String),
    Table(Keyed<AgeTable>),
}

impl<'de> Deserialize<'de> for AgeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AgeVisitor;
        impl<'de> Visitor<'de> for AgeVisitor {
            type Value = AgeValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`\"mtime\"`, or a table with `name`")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<AgeValue, E> {
                Ok(AgeValue::Word(word.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AgeValue, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map)).map(AgeValue::Table)
            }
        }
        deserializer.deserialize_any(AgeVisitor)
    }
}

/// What stands at a key of `[retention]`: a period, or a table because a dot was not quoted.
#[derive(Debug)]
pub(in crate::config) enum Retained {
    Period(String),
    /// The rest of the first dotted name, with its period where it is one.
    Unquoted(String, Option<String>),
}

impl<'de> Deserialize<'de> for Retained {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RetainedVisitor;
        impl<'de> Visitor<'de> for RetainedVisitor {
            type Value = Retained;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a period such as \"6 months\"")
            }
            fn visit_str<E: Error>(self, period: &str) -> Result<Retained, E> {
                Ok(Retained::Period(period.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Retained, A::Error> {
                let Some((name, value)) = map.next_entry::<String, Retained>()? else {
                    return Ok(Retained::Unquoted(String::new(), None));
                };
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(match value {
                    Retained::Period(period) => Retained::Unquoted(name, Some(period)),
                    Retained::Unquoted(rest, period) => Retained::Unquoted(format!("{name}.{rest}"), period),
                })
            }
        }
        deserializer.deserialize_any(RetainedVisitor)
    }
}
