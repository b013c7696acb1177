//! Lines made in every format, of which it is therefore known what must become of them.

use proptest::prelude::*;

use super::*;

/// A line, and what is known of it because it was made so.
#[derive(Debug, Clone)]
struct Made {
    line: Vec<u8>,
    /// The same with its addresses masked, as far as they are named by the format.
    masked: Vec<u8>,
    expired: bool,
}

fn formats() -> impl Strategy<Value = LogFormat> {
    proptest::sample::select(vec![
        LogFormat::Common,
        LogFormat::Combined,
        LogFormat::VhostCombined,
        LogFormat::NginxError,
        LogFormat::ApacheError,
        json(),
        custom("{address} [{time:%d/%b/%Y:%H:%M:%S %z}] {_}"),
    ])
}

/// Those in which the beginning of a line says its time and its client.
fn long_formats() -> impl Strategy<Value = LogFormat> {
    proptest::sample::select(vec![
        LogFormat::Common,
        LogFormat::Combined,
        LogFormat::VhostCombined,
        custom("{address} [{time:%d/%b/%Y:%H:%M:%S %z}] {_}"),
    ])
}

/// A line of October in the format. Whatever a visitor sent stands in it as the server would write it.
fn written(format: &LogFormat, client: &str, (year, day, second): (u16, u8, u8), sent: &[u8]) -> Vec<u8> {
    let mut plain = sent.to_vec();
    plain.retain(|byte| !b"\n\"\\".contains(byte));
    let clf = format!("[{day:02}/Oct/{year}:13:55:{second:02} +0000]");
    let surround = |before: String, after: String| [before.as_bytes(), &plain, after.as_bytes()].concat();
    match format {
        LogFormat::Common => surround(format!("{client} - eva {clf} \"GET /"), "\" 200 5".into()),
        LogFormat::Combined => surround(format!("{client} - - {clf} \"GET /"), "\" 200 5 \"-\" \"curl\"".into()),
        LogFormat::VhostCombined => {
            surround(format!("shop.example:443 {client} - - {clf} \"GET /"), "\" 200 5 \"-\" \"curl\"".into())
        }
        LogFormat::NginxError => surround(
            format!("{year}/10/{day:02} 13:55:{second:02} [error] 7#7: *1 open() \""),
            format!("\" failed, client: {client}, server: x"),
        ),
        LogFormat::ApacheError => surround(
            format!("[Sat Oct {day:02} 13:55:{second:02}.000001 {year}] [core:error] [pid 1] [client {client}] "),
            String::new(),
        ),
        LogFormat::Json { .. } => {
            let sent = serde_json::to_string(&String::from_utf8_lossy(sent)).unwrap();
            let time = format!("{year}-10-{day:02}T13:55:{second:02}Z");
            format!(r#"{{"ts":"{time}","x":{sent},"request":{{"remote_ip":"{client}"}},"y":[{sent}]}}"#).into_bytes()
        }
        LogFormat::Custom(_) => surround(format!("{client} {clf} "), String::new()),
    }
}

/// Its network, bit by bit, by the standard library's own words.
fn network_of(address: std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0")
        }
        std::net::IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string()
        }
    }
}

fn made(format: LogFormat) -> impl Strategy<Value = (LogFormat, Vec<Made>)> {
    let address = prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(std::net::IpAddr::V4),
        any::<u128>()
            .prop_map(|bits| std::net::IpAddr::V6((bits & (u128::MAX >> 3) | 1 << 125).into()))
            .prop_filter("6to4 keeps less", |address| !address.to_string().starts_with("2002:")),
    ];
    let sent = prop_oneof![
        "[ -~]{0,40}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(b"\0\0 caf\xE9 \r".to_vec()),
    ];
    let of_format = format.clone();
    let in_format =
        (address, (2025_u16..=2026, 1_u8..=28, 0_u8..60), sent).prop_map(move |(address, time, sent)| Made {
            line: written(&of_format, &address.to_string(), time, &sent),
            masked: written(&of_format, &network_of(address), time, &sent),
            expired: time.0 == 2025,
        });
    let junk = proptest::collection::vec(any::<u8>(), 0..60).prop_map(|mut line| {
        // Nothing in it that an address is made of.
        line.retain(|byte| !b"\n.:".contains(byte));
        Made { masked: line.clone(), line, expired: false }
    });
    let lines = proptest::collection::vec(prop_oneof![4 => in_format, 1 => junk], 0..40);
    (Just(format), lines)
}

/// Lines that are cut off anywhere, have a byte changed, or are made of what the format is made of.
fn nearly(format: LogFormat) -> impl Strategy<Value = (LogFormat, Vec<u8>)> {
    const SYNTAX: &str = "[ \\[\\]\"\\\\:/+0-9a-fipOct{},=.&?%-]{0,60}";
    let syntax = proptest::collection::vec(SYNTAX.prop_map(String::into_bytes), 0..10);
    let damages = proptest::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 40);
    (made(format), damages, syntax).prop_map(|((format, made), damages, syntax)| {
        let damaged = |(made, (cut, at, byte)): (Made, (usize, usize, u8))| {
            let mut line = made.line;
            line.truncate(cut % (2 * line.len() + 1));
            let length = line.len();
            if let Some(place) = line.get_mut(at % (length + 1)) {
                *place = byte;
            }
            line
        };
        let lines = made.into_iter().zip(damages).map(damaged).chain(syntax).collect::<Vec<_>>();
        (format, lines.join(&b'\n'))
    })
}

/// Lines behind each other, the last with or without its newline. An empty last line is none.
fn joined<'m>(lines: impl Iterator<Item = &'m Vec<u8>>) -> Vec<u8> {
    lines.flat_map(|line| [&line[..], b"\n"].concat()).collect()
}

proptest! {
    #[test]
    fn in_every_format_expired_lines_go_and_the_others_stay_as_they_are_in_their_order(
        (format, made) in formats().prop_flat_map(made),
        size in 512_usize..4096,
    ) {
        let judgement = judgement(log(format), LineAction::Drop, Some("2026-10-01T00:00:00Z"));
        let text = joined(made.iter().map(|made| &made.line));
        let kept = joined(made.iter().filter(|made| !made.expired).map(|made| &made.line));
        let (left, tally) = piped(&judgement, Codec::Plain, &text, size);
        prop_assert_eq!(String::from_utf8_lossy(&left), String::from_utf8_lossy(&kept));
        prop_assert!(left == kept);
        let dropped = made.iter().filter(|made| made.expired).count();
        prop_assert_eq!((tally.lines, tally.matches), (made.len() as u64, dropped as u64));
    }

    #[test]
    fn in_every_format_the_client_keeps_its_network_and_all_else_stays_as_it_is(
        (format, made) in formats().prop_flat_map(made),
    ) {
        let judgement = judgement(log(format), TRUNCATE, None);
        let text = joined(made.iter().map(|made| &made.line));
        let masked = joined(made.iter().map(|made| &made.masked));
        let (left, tally) = judged(&judgement, &text);
        prop_assert_eq!(String::from_utf8_lossy(&left), String::from_utf8_lossy(&masked));
        prop_assert!(left == masked);
        let changed = made.iter().filter(|made| made.line != made.masked).count();
        prop_assert_eq!((tally.lines, tally.matches), (made.len() as u64, changed as u64));
        prop_assert_eq!(judged(&judgement, &left), (left.clone(), Tally { matches: 0, ..tally }));
    }

    #[test]
    fn whatever_a_line_is_in_any_format_none_is_lost_and_what_is_done_is_done_once(
        (format, text) in formats().prop_flat_map(nearly),
    ) {
        let log = Log { parameters: BTreeSet::from(["ip".to_owned()]), ..log(format) };
        let dropping = judgement(log.clone(), LineAction::Drop, Some("2026-10-01T00:00:00Z"));
        let (left, tally) = judged(&dropping, &text);
        let (before, after) = (lines(&text), lines(&left));
        prop_assert_eq!((tally.lines, tally.lines - tally.matches), (before.len() as u64, after.len() as u64));
        let mut rest = before.iter();
        prop_assert!(after.iter().all(|line| rest.any(|other| other == line)), "a line changed or moved");
        for action in [TRUNCATE, ERASE] {
            let masking = judgement(log.clone(), action, None);
            let (once, tally) = judged(&masking, &text);
            let after = lines(&once);
            prop_assert_eq!(after.len(), before.len());
            let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            prop_assert_eq!(tally.matches, changed as u64);
            let (twice, tally) = judged(&masking, &once);
            prop_assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once));
            prop_assert_eq!(tally.matches, 0);
        }
    }

    #[test]
    fn lines_longer_than_a_block_go_or_stay_whole_and_keep_their_order(
        (format, made) in long_formats().prop_flat_map(made),
        lengths in proptest::collection::vec(0_usize..3_000, 40),
        size in 256_usize..1_024,
    ) {
        let longer = |line: &[u8], length: usize| [line, &vec![b'x'; length][..]].concat();
        let grown = |line: fn(&Made) -> &Vec<u8>| {
            let lines = made.iter().zip(&lengths).map(|(made, length)| longer(line(made), *length));
            lines.collect::<Vec<_>>()
        };
        let (lines, masked) = (grown(|made| &made.line), grown(|made| &made.masked));
        let text = joined(lines.iter());
        let kept = joined(lines.iter().zip(&made).filter(|(_, made)| !made.expired).map(|(line, _)| line));
        let log = log(format);
        let dropping = judgement(log.clone(), LineAction::Drop, Some("2026-10-01T00:00:00Z"));
        let (left, tally) = piped(&dropping, Codec::Plain, &text, size);
        prop_assert!(left == kept);
        let expired = made.iter().filter(|made| made.expired).count();
        prop_assert_eq!((tally.lines, tally.matches), (made.len() as u64, expired as u64));
        let (left, tally) = piped(&judgement(log, TRUNCATE, None), Codec::Plain, &text, size);
        prop_assert!(left == joined(masked.iter()));
        prop_assert_eq!(tally.lines, made.len() as u64);
    }

    #[test]
    fn the_time_of_a_line_is_the_one_that_the_calendar_says(
        seconds in 800_000_000_i64..1_793_000_000,
        quarters in -48_i64..=56,
    ) {
        let offset = quarters * 900;
        let (year, month, day, second) = by_the_calendar(seconds + offset);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let zone = format!("{}{:02}{:02}", if offset < 0 { '-' } else { '+' }, offset.abs() / 3_600, offset.abs() / 60 % 60);
        let name = MONTHS[usize::try_from(month).unwrap() - 1];
        let clf = format!("{day:02}/{name}/{year}:{hour:02}:{minute:02}:{second:02} {zone}");
        let rfc = format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{}:{}", &zone[..3], &zone[3..]);
        let instant = Timestamp::from_second(seconds).unwrap().to_string();
        let mut lines = vec![
            (LogFormat::Combined, format!("- - - [{clf}] \"GET /\" 200 5")),
            (custom("{address} [{time:%d/%b/%Y:%H:%M:%S %z}] {_}"), format!("- [{clf}] x")),
            (json(), format!("{{\"ts\":\"{rfc}\"}}")),
            (json(), format!("{{\"ts\":{seconds}.0}}")),
        ];
        if offset == 0 {
            let time = format!("{hour:02}:{minute:02}:{second:02}");
            lines.push((LogFormat::NginxError, format!("{year}/{month:02}/{day:02} {time} [error] x")));
            lines.push((LogFormat::ApacheError, format!("[Mon {name} {day:02} {time}.000000 {year}] x")));
        }
        for (format, line) in lines {
            let right = has_time(&log(format), &line, &instant);
            prop_assert!(right, "{}", line);
        }
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Year, month and day, and the second of the day: counted year by year and month by month, unlike the code under test.
fn by_the_calendar(seconds: i64) -> (i64, i64, i64, i64) {
    let (mut days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (mut year, mut month) = (1970, 1);
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let length = |month: i64| match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    while days >= length(month) {
        days -= length(month);
        month += 1;
    }
    (year, month, days + 1, second)
}
