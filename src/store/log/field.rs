//! Addresses in a line: where they are, and what is written instead.
//!
//! A field is certain where the format says that an address stands there: what does not parse as one may be one in a
//! form that is not known, and goes unless the operator keeps it. Everywhere else only what is an address is touched.

use std::ops::Range;

use super::dotted::Dotted;
use super::groups::Groups;
use super::text::{Instead, Text};
use crate::config::site::{ColumnAction, Mask, Unparsed};
use crate::store::address::{self, Masked};

/// A place in a line that holds addresses, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// Where in the line.
    pub(super) place: Range<usize>,
    /// How it is written.
    pub(super) kind: FieldKind,
}

/// How a field is written, and how certain it is that it holds addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    /// One address, or several between commas; nothing else belongs here.
    Certain,
    /// The same, perhaps percent-encoded.
    Parameter,
    /// Touched as far as it is an address.
    Possible,
    /// A number in JSON where an address belongs.
    Number,
}

/// The fields of one line, in a buffer that is used again for the next.
#[derive(Debug, Default)]
pub(super) struct Fields {
    fields: Vec<Field>,
}

impl Fields {
    /// Forgets the last line.
    pub(super) fn clear(&mut self) {
        self.fields.clear();
    }

    pub(super) fn push(&mut self, place: Range<usize>, kind: FieldKind) {
        self.fields.push(Field { place, kind });
    }

    /// From the beginning of the line to its end; of two that overlap the first. What a parameter has in common with
    /// a field that only may hold addresses is the parameter's: there the name says that an address follows.
    pub(super) fn in_order(&mut self) -> &[Field] {
        // As most lines have it.
        if self.fields.len() < 2 {
            return &self.fields;
        }
        self.take_out_parameters();
        if !self.fields.is_sorted_by_key(|field| field.place.start) {
            self.fields.sort_by_key(|field| field.place.start);
        }
        let mut end = 0;
        self.fields.retain(|field| {
            let apart = field.place.start >= end;
            end = if apart { field.place.end } else { end };
            apart
        });
        &self.fields
    }
}

impl Fields {
    fn take_out_parameters(&mut self) {
        for at in 0..self.fields.len() {
            let Field { place: value, kind: FieldKind::Parameter } = self.fields[at].clone() else { continue };
            // What is pushed holds no more of this one.
            for other in 0..self.fields.len() {
                let Field { place, kind } = &mut self.fields[other];
                if *kind != FieldKind::Possible || place.end <= value.start || value.end <= place.start {
                    continue;
                }
                let behind = value.end..place.end.max(value.end);
                place.end = value.start.max(place.start);
                self.fields.push(Field { place: behind, kind: FieldKind::Possible });
            }
        }
    }
}

/// What becomes of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Becomes(Instead),
    /// Up to this place it stays as it is written.
    Ends {
        behind: usize,
        with: Instead,
    },
    /// It is none in a form that is known.
    NoAddress,
}

/// Does to addresses what the rule says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Masking {
    action: ColumnAction,
    /// The bits of an IPv4 address that stay.
    v4: u32,
}

impl Masking {
    pub(super) fn new(action: ColumnAction) -> Masking {
        let v4 = match action {
            ColumnAction::Erase => 0,
            ColumnAction::Truncate(mask) => address::leading_ones_v4(mask.v4),
        };
        Masking { action, v4 }
    }

    /// Tells `replace` what must be written where, from the beginning of the field to its end.
    pub(super) fn apply(&self, line: &[u8], field: &Field, mut replace: impl FnMut(Range<usize>, Instead)) {
        let Field { place, kind } = field;
        let text = &line[place.clone()];
        if *kind == FieldKind::Number {
            if self.unknown_goes() {
                replace(place.clone(), Instead::Null);
            }
            return;
        }
        // Most fields are one address and nothing else.
        if let Some(fate) = self.usual(text) {
            return tell(fate, place.clone(), &mut replace);
        }
        if memchr::memchr(b',', text).is_none() {
            return self.element(line, place.clone(), *kind, &mut replace);
        }
        let mut from = place.start;
        for element in text.split(|byte| *byte == b',') {
            self.element(line, from..from + element.len(), *kind, &mut replace);
            from += element.len() + 1;
        }
    }

    fn element(
        &self,
        line: &[u8],
        place: Range<usize>,
        kind: FieldKind,
        replace: &mut impl FnMut(Range<usize>, Instead),
    ) {
        let whole = &line[place.clone()];
        let text = whole.trim_ascii();
        let start = place.start + (whole.len() - whole.trim_ascii_start().len());
        let place = start..start + text.len();
        let fate = match kind {
            FieldKind::Parameter if memchr::memchr(b'%', text).is_some() => self.encoded(text),
            _ => self.one(text),
        };
        match fate {
            Fate::NoAddress if kind == FieldKind::Possible || !self.unknown_goes() => {}
            Fate::NoAddress => replace(place, Instead::Nothing),
            fate => tell(fate, place, replace),
        }
    }

    /// Whether what is no address in a known form must go from where an address belongs.
    fn unknown_goes(&self) -> bool {
        !matches!(self.action, ColumnAction::Truncate(Mask { unparsed: Unparsed::Keep, .. }))
    }

    fn one(&self, text: &[u8]) -> Fate {
        self.usual(text).unwrap_or_else(|| self.whole(text))
    }

    /// What becomes of one address, where it is written as most are.
    fn usual(&self, text: &[u8]) -> Option<Fate> {
        match Dotted::read(text) {
            Some(address) => Some(self.v4(address)),
            None => self.v6(text),
        }
    }

    /// What is written instead of all of the text.
    fn whole(&self, text: &[u8]) -> Fate {
        let Ok(text) = std::str::from_utf8(text) else { return Fate::NoAddress };
        // A socket of the machine itself has no visitor at its other end.
        if address::holds_no_address(text) || text.starts_with("unix:") {
            return Fate::Stays;
        }
        match self.action {
            ColumnAction::Erase if address::is_address_in_log(text) => Fate::Becomes(Instead::Nothing),
            ColumnAction::Erase => Fate::NoAddress,
            ColumnAction::Truncate(mask) => match address::mask_in_log(text, &mask) {
                Masked::Unchanged => Fate::Stays,
                Masked::To(network) => Fate::Becomes(Instead::Network(network)),
                Masked::Unparsed => Fate::NoAddress,
            },
        }
    }

    fn v4(&self, address: Dotted) -> Fate {
        let ColumnAction::Truncate(Mask { v4: prefix, .. }) = self.action else {
            return Fate::Becomes(Instead::Nothing);
        };
        let bits = address.bits & self.v4;
        if bits == address.bits {
            return Fate::Stays;
        }
        // Where whole numbers go, those before them are written as they were.
        match address.begins.get(usize::from(prefix / 8)) {
            Some(behind) if prefix % 8 == 0 => {
                Fate::Ends { behind: usize::from(*behind), with: Instead::Zeros(4 - usize::from(prefix / 8)) }
            }
            _ => Fate::Becomes(Instead::V4(bits)),
        }
    }

    /// What becomes of an IPv6 address of which nothing goes, or whose first groups stay as they are written. `None` of
    /// every other one.
    fn v6(&self, text: &[u8]) -> Option<Fate> {
        let ColumnAction::Truncate(mask) = self.action else { return None };
        let Groups { groups, begins, written } = Groups::read(text)?;
        // It may be an IPv4 address in another form.
        if groups[0] == 0 {
            return None;
        }
        let network = address::network_v6(groups.into(), &mask).segments();
        if network == groups {
            return Some(Fate::Stays);
        }
        let stay = usize::from(mask.v6 / 16);
        // Of the others at least two are zero then, which is the longest run: `::` stands for it (RFC 5952, section 4.2).
        let is_usual = (1..=6).contains(&stay) && stay < written && !groups[..stay].contains(&0);
        let stays_so = network[..stay] == groups[..stay] && network[stay..] == [0; 8][stay..];
        (is_usual && stays_so).then_some(Fate::Ends { behind: usize::from(begins[stay]), with: Instead::Colon })
    }

    fn encoded(&self, text: &[u8]) -> Fate {
        let Some(decoded) = percent_decoded(text) else { return Fate::NoAddress };
        match self.whole(decoded.as_bytes()) {
            Fate::Becomes(Instead::Network(network)) => Fate::Becomes(Instead::Encoded(network)),
            fate => fate,
        }
    }
}

/// Tells what must be written where.
fn tell(fate: Fate, place: Range<usize>, replace: &mut impl FnMut(Range<usize>, Instead)) {
    match fate {
        Fate::Stays | Fate::NoAddress => {}
        Fate::Becomes(instead) => replace(place, instead),
        Fate::Ends { behind, with } => replace(place.start + behind..place.end, with),
    }
}

/// `None` where it is longer than an address, or not encoded well.
fn percent_decoded(text: &[u8]) -> Option<Text> {
    let mut decoded = Text::new();
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let (byte, tail) = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                (digit(high)? * 16 + digit(low)?, tail)
            }
            (b'%', _) => return None,
            (byte, tail) => (*byte, tail),
        };
        if decoded.is_full() {
            return None;
        }
        decoded.push(byte);
        rest = tail;
    }
    Some(decoded)
}
