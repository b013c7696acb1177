//! Parameters of a predicate, and positions of rows.

use std::error::Error;

use bytes::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::connection::Parameter;

/// Texts by the number of their parameter. They go to the server apart from the statement: what a hold or a filter
/// names must not stand in the list of running statements.
#[derive(Debug, Default)]
pub(super) struct Values(Vec<String>);

impl Values {
    /// The parameter that stands for `value`.
    pub(super) fn add(&mut self, value: impl Into<String>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }

    /// The number of the next parameter, for what a statement adds.
    pub(super) fn next(&self) -> usize {
        self.0.len() + 1
    }

    /// All of them, and what a statement adds. Those that a statement does not use do no harm: their type is given.
    pub(super) fn with<'a>(&'a self, added: &[Parameter<'a>]) -> Vec<Parameter<'a>> {
        let own = self.0.iter().map(|value| (value as &(dyn ToSql + Sync), Type::TEXT));
        own.chain(added.iter().cloned()).collect()
    }
}

/// Where a row lies: its block, and its place there. In the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// Number of the block of 8 KiB.
    pub(super) block: u32,
    place: u16,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "'({},{})'::tid", self.block, self.place)
    }
}

impl Position {
    /// Before every row of a block.
    pub(super) fn start_of(block: u32) -> Position {
        Position { block, place: 0 }
    }
}

impl<'a> FromSql<'a> for Position {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let (block, place) = raw.split_at_checked(4).ok_or("a position has six bytes")?;
        Ok(Position { block: u32::from_be_bytes(block.try_into()?), place: u16::from_be_bytes(place.try_into()?) })
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::TID
    }
}

impl ToSql for Position {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.block.to_be_bytes());
        out.extend_from_slice(&self.place.to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::TID
    }

    to_sql_checked!();
}
