//! Text in which nothing acts that cannot be seen.
//!
//! A table may be called anything, and so may a file; a log may have been written by somebody else. On a terminal such
//! a name could move the cursor and overwrite a finding, in a page it could turn the direction of writing, in a file of
//! lines it could forge one. So every text that leaves the program passes here: what people read names such characters,
//! what programs read escapes them.

use std::borrow::Cow;
use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

/// Longest text of somebody else that is repeated whole; a longer one floods a terminal, a journal, a ticket.
const LONGEST_TOLD: usize = 1_000;

/// Whether a character acts without being seen: control characters, those that turn the direction of writing, and those
/// without any width.
pub(crate) fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
                | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

/// One line: whatever acts without being seen is named, as `⟨U+202E⟩`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    named(text, is_invisible)
}

/// Several lines: newlines and tabs stay.
pub(crate) fn visible_lines(text: &str) -> Cow<'_, str> {
    named(text, |character| !matches!(character, '\n' | '\t') && is_invisible(character))
}

/// One part of a name whose parts are joined by `/` and end at `@`. Two texts never become one part.
pub(crate) fn part(text: &str) -> Cow<'_, str> {
    named(text, |character| matches!(character, '/' | '@' | '⟨') || is_invisible(character))
}

/// `text` up to a length that can be told.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST_TOLD) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
    }
}

fn named(text: &str, is_named: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_named) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_named(character) {
            shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Lines of ours for a terminal: the same, except that our own styles stay. They are colours, bold and dim; nothing that
/// moves the cursor or hides text is among them.
pub(crate) fn styled(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut pieces = text.split('\u{1B}');
    shown.push_str(&visible_lines(pieces.next().unwrap_or_default()));
    for piece in pieces {
        let rest = match style(piece) {
            Some((style, rest)) => {
                shown.push('\u{1B}');
                shown.push_str(style);
                rest
            }
            None => {
                shown.push_str("⟨U+001B⟩");
                piece
            }
        };
        shown.push_str(&visible_lines(rest));
    }
    shown
}

/// The style that stands behind an escape character, and what follows it.
fn style(text: &str) -> Option<(&str, &str)> {
    let end = text.find('m').filter(|_| text.starts_with('['))?;
    let (style, rest) = text.split_at_checked(end + 1)?;
    let of_ours = |number: &str| matches!(number, "" | "0" | "1" | "2" | "3" | "22" | "39") || is_colour(number);
    style.get(1..end)?.split(';').all(of_ours).then_some((style, rest))
}

/// The eight colours of a terminal that every background leaves readable.
fn is_colour(number: &str) -> bool {
    number.len() == 2 && number.starts_with('3') && matches!(number.as_bytes().get(1), Some(b'1'..=b'6'))
}

/// JSON on several lines whose texts hold nothing invisible.
///
/// # Errors
/// The value cannot be written as JSON.
pub(crate) fn json_lines(value: &impl Serialize) -> serde_json::Result<String> {
    json(value, PrettyFormatter::new())
}

/// JSON on one line whose texts hold nothing invisible.
///
/// # Errors
/// The value cannot be written as JSON.
pub(crate) fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    json(value, CompactFormatter)
}

fn json(value: &impl Serialize, form: impl Formatter) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Escaping(form)))?;
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

/// JSON that stands there already: escaping changes its spelling and not what it says, since outside of texts it is
/// ASCII.
pub(crate) fn json_text(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut text, character| {
        match character {
            '\n' | '\t' => text.push(character),
            _ if is_invisible(character) => text.push_str(&escape(character)),
            _ => text.push(character),
        }
        text
    })
}

fn escape(character: char) -> String {
    let mut units = [0; 2];
    character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// Writes texts without what cannot be seen, and everything else as the inner one does.
struct Escaping<F>(F);

impl<F: Formatter> Formatter for Escaping<F> {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, character)) = rest.char_indices().find(|(_, character)| is_invisible(*character)) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            writer.write_all(escape(character).as_bytes())?;
            rest = from.get(character.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_the_direction_of_writing_is_named() {
        assert_eq!(visible("a\u{202e}b\nc"), "a⟨U+202E⟩b⟨U+000A⟩c");
        assert_eq!(visible("čeština – ok"), "čeština – ok");
        assert_eq!(visible_lines("a\u{9b}31m\n\tb\r\n"), "a⟨U+009B⟩31m\n\tb⟨U+000D⟩\n");
    }

    #[test]
    fn two_names_never_become_one_part() {
        assert_eq!(part("a/b@c"), "a⟨U+002F⟩b⟨U+0040⟩c");
        assert_eq!(part("a⟨U+000A⟩b"), "a⟨U+27E8⟩U+000A⟩b");
        assert_eq!(part("a\nb"), "a⟨U+000A⟩b");
        assert_eq!(part("public.visitors `x` \"y\" 'z' \\ %;--"), "public.visitors `x` \"y\" 'z' \\ %;--");
    }

    #[test]
    fn styles_of_ours_stay_and_no_other_sequence_reaches_a_terminal() {
        for ours in ["\x1b[31mred\x1b[39m", "\x1b[1m\x1b[33mwarning:\x1b[0m x\n", "\x1b[2mdim\x1b[0m", "\x1b[m"] {
            assert_eq!(styled(ours), ours);
        }
        for (hostile, shown) in [
            ("\x1b[8mhidden", "⟨U+001B⟩[8mhidden"),
            ("\x1b[2Jcleared", "⟨U+001B⟩[2Jcleared"),
            ("\x1b]0;title\x07", "⟨U+001B⟩]0;title⟨U+0007⟩"),
            ("\x1b[31;8mhidden", "⟨U+001B⟩[31;8mhidden"),
            ("\x1b[40;30mblack", "⟨U+001B⟩[40;30mblack"),
            ("\x1b\x1b[1m", "⟨U+001B⟩\x1b[1m"),
            ("a\rb\u{9b}2K", "a⟨U+000D⟩b⟨U+009B⟩2K"),
            ("\x1b[1", "⟨U+001B⟩[1"),
        ] {
            assert_eq!(styled(hostile), shown);
        }
    }

    #[test]
    fn json_says_the_same_with_nothing_invisible_in_it() {
        let text = "a\u{202e}\u{7f}\u{9b}31m\u{e0041}\n\u{1b}č";
        let expected = "[\"a\\u202e\\u007f\\u009b31m\\udb40\\udc41\\n\\u001bč\"]";
        assert_eq!(json_line(&[text]).unwrap(), expected);
        assert_eq!(serde_json::from_str::<Vec<String>>(expected).unwrap(), [text]);
        let plain = serde_json::to_string(&[text]).unwrap();
        assert_eq!(json_text(&plain), expected);
        let object = serde_json::json!({"a": [1, {"b": null}], "c": []});
        assert_eq!(json_lines(&object).unwrap(), serde_json::to_string_pretty(&object).unwrap());
        assert_eq!(json_line(&object).unwrap(), object.to_string());
    }

    #[test]
    fn a_long_text_is_told_up_to_a_point() {
        assert_eq!(shortened(&"š".repeat(1_000)), "š".repeat(1_000));
        assert_eq!(shortened(&"š".repeat(1_001)), format!("{}…", "š".repeat(1_000)));
    }
}
