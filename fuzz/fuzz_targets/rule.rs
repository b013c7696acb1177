//! A rule over a log in every format, and what it makes of bytes.

use forgetd::config::site::{Log, LogFormat, NamePattern, UnparsedLine, Zone};
use forgetd::plan::{LineAction, LogRule, When};
use forgetd::store::log::{Judgement, Mode, Output, Tally};
use jiff::Timestamp;
use jiff::tz::TimeZone;

const FORMATS: u8 = 7;

fn format(choice: u8) -> LogFormat {
    match choice % FORMATS {
        0 => LogFormat::Common,
        1 => LogFormat::Combined,
        2 => LogFormat::VhostCombined,
        3 => LogFormat::NginxError,
        4 => LogFormat::ApacheError,
        5 => LogFormat::Json { time: "ts".to_owned(), addresses: vec!["ip".to_owned(), "request.ip".to_owned()] },
        _ => LogFormat::Custom("{address} [{time:%Y-%m-%d %H:%M:%S}] {_} for={address}".to_owned()),
    }
}

pub fn judgement(choice: u8, action: LineAction, cutoff: Option<Timestamp>) -> Judgement {
    let utc = || Zone { name: "UTC".to_owned(), zone: TimeZone::UTC };
    let rule = LogRule {
        rule: serde_json::from_value("shop.example/access".into()).expect("a name"),
        log: Log {
            directory: "/var/log/shop".into(),
            pattern: NamePattern::new("access.log*").expect("a pattern"),
            format: format(choice),
            zone: Some(utc()),
            unparsed: if choice & 0x80 == 0 { UnparsedLine::Scan } else { UnparsedLine::Keep },
            parameters: ["ip".to_owned()].into(),
        },
        when: When::NotStored,
        action,
        zone: utc(),
    };
    Judgement::new(&rule, Timestamp::constant(1_790_000_000, 0), cutoff).expect("within any log")
}

/// What is left of `text`, and what was counted.
pub fn judged(judgement: &Judgement, text: &[u8]) -> (Vec<u8>, Tally) {
    let (mut out, mut tally) = (Vec::new(), Tally::default());
    let mut engine = judgement.engine().expect("the patterns are good");
    let output = engine.lines(text, Mode::Write, &mut out, &mut tally);
    (if output == Output::Same { text.to_vec() } else { out }, tally)
}

/// Lines with their newlines.
pub fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}
