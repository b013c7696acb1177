mod formats;

use std::collections::BTreeSet;
use std::io::{Read, Seek};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use rstest::rstest;

use super::codec::Codec;
use super::engine::{Judgement, Mode, Output, Tally};
use super::pipeline::{self, Task};
use super::time::Moment;
use crate::config::site::{ColumnAction, Log, LogFormat, Mask, NamePattern, Unparsed, UnparsedLine, Zone};
use crate::plan::{LineAction, LogRule, When};

const MASK: Mask = Mask { v4: 24, v6: 48, unparsed: Unparsed::Erase };
const TRUNCATE: LineAction = LineAction::Addresses(ColumnAction::Truncate(MASK));
const KEEPING: LineAction =
    LineAction::Addresses(ColumnAction::Truncate(Mask { v4: 24, v6: 48, unparsed: Unparsed::Keep }));
const ERASE: LineAction = LineAction::Addresses(ColumnAction::Erase);

fn log(format: LogFormat) -> Log {
    Log {
        directory: "/var/log/nginx".into(),
        pattern: NamePattern::new("access.log*").unwrap(),
        format,
        zone: None,
        unparsed: UnparsedLine::Scan,
        parameters: BTreeSet::new(),
    }
}

fn json() -> LogFormat {
    let addresses = ["request.remote_ip", "request.headers.X-Forwarded-For", "client"].map(str::to_owned).into();
    LogFormat::Json { time: "ts".to_owned(), addresses }
}

fn custom(pattern: &str) -> LogFormat {
    LogFormat::Custom(pattern.to_owned())
}

fn in_prague(log: Log) -> Log {
    let zone = TimeZone::get("Europe/Prague").unwrap();
    Log { zone: Some(Zone { name: "Europe/Prague".to_owned(), zone }), ..log }
}

fn rule(log: Log, action: LineAction) -> LogRule {
    let zone = Zone { name: "UTC".to_owned(), zone: TimeZone::UTC };
    let name = serde_json::from_value("shop.example/access".into()).unwrap();
    LogRule { rule: name, log, when: When::NotStored, action, zone }
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    instant("2026-11-01T00:00:00Z")
}

fn judgement(log: Log, action: LineAction, cutoff: Option<&str>) -> Judgement {
    Judgement::new(&rule(log, action), now(), cutoff.map(instant)).unwrap()
}

/// What is left of `text`, and what was counted.
fn judged(judgement: &Judgement, text: &[u8]) -> (Vec<u8>, Tally) {
    let (mut out, mut tally) = (Vec::new(), Tally::default());
    let output = judgement.engine().unwrap().lines(text, Mode::Write, &mut out, &mut tally);
    (if output == Output::Same { text.to_vec() } else { out }, tally)
}

fn masked(log: Log, action: LineAction, line: &str) -> String {
    String::from_utf8(judged(&judgement(log, action, None), line.as_bytes()).0).unwrap()
}

/// The time that a line has, found by the cutoffs on both sides of it.
fn has_time(log: &Log, line: &str, time: &str) -> bool {
    let matches = |cutoff: Timestamp| {
        let judgement = Judgement::new(&rule(log.clone(), LineAction::Drop), now(), Some(cutoff)).unwrap();
        judged(&judgement, line.as_bytes()).1.matches
    };
    let time = instant(time);
    matches(time) == 0 && matches(time + jiff::SignedDuration::from_micros(1)) == 1
}

#[rstest]
#[case::common(
    LogFormat::Common,
    r#"192.0.2.7 - - [10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 5"#,
    "2026-10-10T11:55:36Z"
)]
#[case::west(
    LogFormat::Common,
    r#"192.0.2.7 - - [10/Oct/2026:13:55:36 -0330] "GET / HTTP/1.1" 200 5"#,
    "2026-10-10T17:25:36Z"
)]
#[case::with_a_user(
    LogFormat::Combined,
    r#"192.0.2.7 - eva [29/Feb/2024:23:59:60 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#,
    "2024-03-01T00:00:00Z"
)]
#[case::user_with_spaces(
    LogFormat::Combined,
    r#"192.0.2.7 - Eva Nová [10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 5 "-" "-""#,
    "2026-10-10T11:55:36Z"
)]
#[case::vhost(
    LogFormat::VhostCombined,
    r#"shop.example:443 2001:db8::1 - - [10/Oct/2026:13:55:36 +0200] "-" 408 0 "-" "-""#,
    "2026-10-10T11:55:36Z"
)]
#[case::nginx_error(
    LogFormat::NginxError,
    "2026/10/10 13:55:36 [error] 7#7: *1 open() failed, client: 192.0.2.7",
    "2026-10-10T11:55:36Z"
)]
#[case::nginx_error_in_winter(LogFormat::NginxError, "2026/01/10 13:55:36 [warn] 7#7: x", "2026-01-10T12:55:36Z")]
#[case::apache_error(
    LogFormat::ApacheError,
    "[Sat Oct 10 13:55:36.123456 2026] [core:error] [pid 1] [client 192.0.2.7:5] x",
    "2026-10-10T11:55:36.123456Z"
)]
#[case::apache_error_of_old(
    LogFormat::ApacheError,
    "[Fri Oct  9 13:55:36 2026] [error] [client 192.0.2.7] x",
    "2026-10-09T11:55:36Z"
)]
#[case::json_float(json(), r#"{"level":"info","ts":1791633336.25,"request":{}}"#, "2026-10-10T11:55:36.25Z")]
#[case::json_seconds(json(), r#"{"ts": 1791633336}"#, "2026-10-10T11:55:36Z")]
#[case::json_millis(json(), r#"{"ts":"1791633336250"}"#, "2026-10-10T11:55:36.25Z")]
#[case::json_rfc_3339(json(), r#"{"ts":"2026-10-10T13:55:36.5+02:00"}"#, "2026-10-10T11:55:36.5Z")]
#[case::json_without_offset(json(), r#"{"ts":"2026-10-10 13:55:36"}"#, "2026-10-10T11:55:36Z")]
#[case::custom(
    custom("{address} [{time:%d/%b/%Y:%H:%M:%S %z}] {_}"),
    "192.0.2.7 [10/Oct/2026:13:55:36 +0200] GET /",
    "2026-10-10T11:55:36Z"
)]
#[case::custom_without_offset(custom("{time:%Y-%m-%d %H:%M:%S}|{_}"), "2026-10-10 13:55:36|x", "2026-10-10T11:55:36Z")]
// Clocks were set back at 3:00, so that 2:30 was twice: the later of the two keeps the line longer.
#[case::twice(LogFormat::NginxError, "2026/10/25 02:30:00 [error] x", "2026-10-25T01:30:00Z")]
// Clocks were set forward at 2:00: 2:30 never was.
#[case::never(LogFormat::NginxError, "2026/03/29 02:30:00 [error] x", "2026-03-29T01:30:00Z")]
fn a_line_has_the_time_that_its_format_says(#[case] format: LogFormat, #[case] line: &str, #[case] time: &str) {
    let log = in_prague(log(format));
    assert!(has_time(&log, line, time), "{line}");
    assert!(has_time(&log, &format!("{line}\r\n"), time), "{line}");
}

#[rstest]
#[case(LogFormat::Combined, "")]
#[case(LogFormat::Combined, "192.0.2.7")]
#[case(LogFormat::Combined, " \"8888")]
#[case(LogFormat::VhostCombined, "  \"8888")]
#[case(LogFormat::Combined, r#"192.0.2.7 - - [31/Feb/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 5"#)]
#[case(LogFormat::Combined, r#"192.0.2.7 - - [10/Oct/2026:24:00:00 +0200] "GET / HTTP/1.1" 200 5"#)]
#[case(LogFormat::Combined, r#"192.0.2.7 - - [10/Oct/2026:13:55:36] "GET / HTTP/1.1" 200 5"#)]
#[case(LogFormat::Combined, r#"192.0.2.7 - - [10/Oct/1994:13:55:36 +0000] "GET / HTTP/1.1" 200 5"#)]
#[case(LogFormat::Combined, r#"192.0.2.7 - - [10/Oct/2027:13:55:36 +0000] "GET / HTTP/1.1" 200 5"#)]
#[case(LogFormat::Combined, r#"[10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 5"#)]
#[case(LogFormat::VhostCombined, r#"shop.example [10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 5"#)]
#[case(LogFormat::NginxError, "2026-10-10 13:55:36 [error]")]
#[case(LogFormat::ApacheError, "Sat Oct 10 13:55:36 2026")]
#[case(json(), r#"{"ts":1791633336"#)]
#[case(json(), r#"{"ts":1791633336} {}"#)]
#[case(json(), r#"{"time":1791633336}"#)]
#[case(json(), r#"{"ts":20261010}"#)]
#[case(json(), r#"["ts",1791633336]"#)]
#[case(custom("[{time:%s}] {address}"), "[x] 192.0.2.7")]
fn what_has_no_plausible_time_is_kept_and_counted(#[case] format: LogFormat, #[case] line: &str) {
    let text = format!("{line}\n");
    let (left, tally) =
        judged(&judgement(log(format), LineAction::Drop, Some("2026-10-20T00:00:00Z")), text.as_bytes());
    assert_eq!(left, text.as_bytes());
    assert_eq!((tally.lines, tally.matches, tally.undatable), (1, 0, 1));
}

#[rstest]
#[case::nginx(
    r#"192.0.2.7 - x [01/Jan/2001:00:00:00 +0000] [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#
)]
#[case::nginx_escapes(
    r#"192.0.2.7 - - [01/Jan/2001:00:00:00 +0000] \x22 [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#
)]
#[case::apache_escapes(
    r#"192.0.2.7 - - [01/Jan/2001:00:00:00 +0000] \"x [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#
)]
#[case::in_the_request(
    r#"192.0.2.7 - - [10/Oct/2026:13:55:36 +0000] "GET /[01/Jan/2001:00:00:00 +0000] \"" 200 5 "-" "-""#
)]
fn a_visitor_cannot_date_a_line(#[case] line: &str) {
    assert!(has_time(&log(LogFormat::Combined), line, "2026-10-10T13:55:36Z"));
}

const TAIL: &str = r#" - - [10/Oct/2026:13:55:36 +0200] "GET /?ip=192.0.2.9 HTTP/1.1" 200 5 "http://198.51.100.7/" "curl/8.1 10.0.0.1""#;

#[rstest]
#[case::v4("192.0.2.77", "192.0.2.0", "-")]
#[case::v4_masked("192.0.2.0", "192.0.2.0", "-")]
#[case::v6("2001:db8:1:2:3:4:5:6", "2001:db8:1::", "-")]
#[case::v6_with_zone("fe80::1%eth0", "fe80::", "-")]
#[case::mapped("::ffff:192.0.2.77", "::ffff:192.0.2.0", "-")]
#[case::brackets_and_port("[2001:db8:1:2::1]:443", "2001:db8:1::", "-")]
#[case::port("192.0.2.77:52100", "192.0.2.0", "-")]
#[case::list("192.0.2.77,198.51.100.9", "192.0.2.0,198.51.100.0", "-,-")]
#[case::list_with_spaces(
    "192.0.2.77, 2001:db8:1:2::9, 198.51.100.9",
    "192.0.2.0, 2001:db8:1::, 198.51.100.0",
    "-, -, -"
)]
#[case::list_with_spaces_before_commas("192.0.2.77 , 198.51.100.9", "192.0.2.0 , 198.51.100.0", "- , -")]
#[case::list_with_more_spaces(
    "192.0.2.77,  198.51.100.9 ,192.0.2.78",
    "192.0.2.0,  198.51.100.0 ,192.0.2.0",
    "-,  - ,-"
)]
#[case::list_of_spaces("192.0.2.77 2001:db8:1:2::9", "192.0.2.0 2001:db8:1::", "- -")]
#[case::list_with_unknown("unknown, 192.0.2.77", "unknown, 192.0.2.0", "unknown, -")]
#[case::host_name("77.visitor.example", "-", "-")]
#[case::nothing("-", "-", "-")]
#[case::socket("unix:", "unix:", "unix:")]
fn the_client_keeps_its_network_or_goes(#[case] client: &str, #[case] network: &str, #[case] erased: &str) {
    for (before, format) in [("", LogFormat::Combined), ("shop.example:80 ", LogFormat::VhostCombined)] {
        let line = |client| format!("{before}{client}{TAIL}");
        assert_eq!(masked(log(format.clone()), TRUNCATE, &line(client)), line(network));
        assert_eq!(masked(log(format), ERASE, &line(client)), line(erased));
    }
}

#[test]
fn a_client_that_is_no_address_stays_where_the_operator_says_so() {
    let line = format!("77.visitor.example{TAIL}");
    assert_eq!(masked(log(LogFormat::Combined), KEEPING, &line), line);
}

#[rstest]
#[case::forwarded(r#" "192.0.2.9, 2001:db8:1:2::9""#, r#" "192.0.2.0, 2001:db8:1::""#)]
#[case::forwarded_by_unknown(r#" "unknown, 192.0.2.9""#, r#" "unknown, 192.0.2.0""#)]
#[case::something_else(r#" "shop.example" 0.005 10.0.0.1:80"#, r#" "shop.example" 0.005 10.0.0.1:80"#)]
#[case::followed_by_more(r#" "192.0.2.9" "HIT" 0.1"#, r#" "192.0.2.0" "HIT" 0.1"#)]
fn quoted_fields_beyond_the_format_are_masked_as_far_as_they_are_addresses(#[case] more: &str, #[case] expected: &str) {
    let line = format!("192.0.2.0{TAIL}");
    assert_eq!(masked(log(LogFormat::Combined), TRUNCATE, &format!("{line}{more}")), format!("{line}{expected}"));
}

#[test]
fn an_agent_with_escaped_quotes_is_not_taken_for_further_fields() {
    let line =
        r#"192.0.2.0 - - [10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 5 "-" "x \"192.0.2.9\" \\" "192.0.2.9""#;
    let expected =
        r#"192.0.2.0 - - [10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 5 "-" "x \"192.0.2.9\" \\" "192.0.2.0""#;
    assert_eq!(masked(log(LogFormat::Combined), TRUNCATE, line), expected);
}

#[test]
fn a_parameter_that_runs_into_the_time_does_not_hide_an_address_until_the_next_run() {
    let log = Log { parameters: BTreeSet::from(["ip".to_owned()]), ..log(LogFormat::Common) };
    let line = r#"- - a<[2001:db8::1] ?ip=y[10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 5"#;
    let expected = r#"- - a<[2001:db8::] ?ip=- +0200] "GET / HTTP/1.1" 200 5"#;
    assert_eq!(masked(log, TRUNCATE, line), expected);
}

#[test]
fn a_declared_parameter_is_masked_to_its_end_also_where_it_looks_like_a_client_before() {
    let log = Log { parameters: BTreeSet::from(["ip".to_owned()]), ..log(LogFormat::ApacheError) };
    let line = "[Sat Oct 10 13:55:36 2026] [core:error] [client 192.0.2.0] /?x=client a?ip=192.0.2.9,198.51.100.9";
    let expected = line.replace("192.0.2.9,198.51.100.9", "192.0.2.0,198.51.100.0");
    assert_eq!(masked(log, TRUNCATE, line), expected);
}

#[rstest]
#[case("/?ip=192.0.2.9&x=1", "/?ip=192.0.2.0&x=1")]
#[case("/?x=1&ip=2001%3Adb8%3A1%3A2%3A%3A9", "/?x=1&ip=2001%3Adb8%3A1%3A%3A")]
#[case("/?skip=192.0.2.9", "/?skip=192.0.2.9")]
#[case("/?ip=encoded%21", "/?ip=-")]
#[case("/?ip=", "/?ip=")]
#[case("/?ip=192.0.2.9&ip=192.0.2.8", "/?ip=192.0.2.0&ip=192.0.2.0")]
fn declared_parameters_are_masked_wherever_they_stand(#[case] url: &str, #[case] expected: &str) {
    let log = Log { parameters: BTreeSet::from(["ip".to_owned()]), ..log(LogFormat::Combined) };
    let line = |url: &str| {
        format!(
            r#"192.0.2.0 - - [10/Oct/2026:13:55:36 +0200] "GET {url} HTTP/1.1" 200 5 "http://shop.example{url}" "-" "a=b; ip=-""#
        )
    };
    assert_eq!(masked(log.clone(), TRUNCATE, &line(url)), line(expected));
    // In a field beyond the format: nginx's `"$http_cookie"`, and beside a list of addresses.
    for (before, behind) in [("", ""), ("a=b; ip=192.0.2.9; ", ""), ("192.0.2.9, ", "; x=y, 198.51.100.9")] {
        let line = |url: &str| {
            format!(r#"192.0.2.0{TAIL} "{before}{url}{behind}""#).replacen("192.0.2.9 HTTP", "192.0.2.0 HTTP", 1)
        };
        let expected = line(expected).replace(&format!("\"{before}"), &format!("\"{}", before.replace(".9", ".0")));
        assert_eq!(masked(log.clone(), TRUNCATE, &line(url)), expected.replace("198.51.100.9\"", "198.51.100.0\""));
    }
}

#[rstest]
#[case("client: 192.0.2.9, server: x", "client: 192.0.2.0, server: x")]
#[case("client: 2001:db8:1:2::9, server: x", "client: 2001:db8:1::, server: x")]
#[case("client 192.0.2.9 closed keepalive connection", "client 192.0.2.0 closed keepalive connection")]
#[case(
    "client sent invalid method while reading client request line, client: 192.0.2.9",
    "client sent invalid method while reading client request line, client: 192.0.2.0"
)]
#[case("upstream: \"http://10.0.0.1:80\", client: unix:", "upstream: \"http://10.0.0.1:80\", client: unix:")]
fn error_logs_of_nginx_name_the_client(#[case] message: &str, #[case] expected: &str) {
    let line = |message| format!("2026/10/10 13:55:36 [error] 7#7: *1 {message}");
    assert_eq!(masked(log(LogFormat::NginxError), TRUNCATE, &line(message)), line(expected));
}

#[rstest]
#[case(
    "[client 192.0.2.9:54321] AH1: x, referer: http://10.0.0.1/",
    "[client 192.0.2.0] AH1: x, referer: http://10.0.0.1/"
)]
#[case("[client 2001:db8:1:2::9:54321] x", "[client 2001:db8:1::] x")]
#[case("[client [2001:db8:1:2::9]:54321] x", "[client 2001:db8:1::] x")]
#[case("[client 192.0.2.9] x", "[client 192.0.2.0] x")]
#[case("[remote 192.0.2.9:443] x", "[remote 192.0.2.0] x")]
fn error_logs_of_apache_name_the_client(#[case] message: &str, #[case] expected: &str) {
    let line = |message| format!("[Sat Oct 10 13:55:36.123456 2026] [core:error] [pid 7:tid 8] {message}");
    assert_eq!(masked(log(LogFormat::ApacheError), TRUNCATE, &line(message)), line(expected));
}

#[rstest]
#[case(
    r#""request":{"remote_ip":"192.0.2.9","uri":"/192.0.2.8"}"#,
    r#""request":{"remote_ip":"192.0.2.0","uri":"/192.0.2.8"}"#
)]
#[case(
    r#""request":{"headers":{"X-Forwarded-For":["192.0.2.9, 192.0.2.8","2001:db8:1:2::1"],"Host":["192.0.2.9"]}}"#,
    r#""request":{"headers":{"X-Forwarded-For":["192.0.2.0, 192.0.2.0","2001:db8:1::"],"Host":["192.0.2.9"]}}"#
)]
#[case(r#""request.remote_ip":"192.0.2.9""#, r#""request.remote_ip":"192.0.2.0""#)]
#[case(r#""client":"192.0.2.9:5000""#, r#""client":"192.0.2.0""#)]
#[case(r#""client":"host.example""#, r#""client":"-""#)]
#[case(r#""client":3221225993"#, r#""client":null"#)]
#[case(r#""client":null"#, r#""client":null"#)]
#[case(r#""x":{"client":"192.0.2.9"}"#, r#""x":{"client":"192.0.2.9"}"#)]
#[case(r#""msg":"\"client\":\"192.0.2.9\"""#, r#""msg":"\"client\":\"192.0.2.9\"""#)]
fn fields_of_json_are_masked_by_their_names(#[case] members: &str, #[case] expected: &str) {
    let line = |members| format!(r#"{{"ts":1791633336.25,{members}, "n" : [1, -2e5, true, {{}}, []]}}"#);
    assert_eq!(masked(log(json()), TRUNCATE, &line(members)), line(expected));
}

#[test]
fn parts_of_a_pattern_are_masked() {
    let log = log(custom("{address} {{{_}}} [{time:%d/%b/%Y:%H:%M:%S %z}] for={address}"));
    let line = "192.0.2.9 {GET /192.0.2.9} [10/Oct/2026:13:55:36 +0200] for=192.0.2.8, 192.0.2.7\r\n";
    let expected = "192.0.2.0 {GET /192.0.2.9} [10/Oct/2026:13:55:36 +0200] for=192.0.2.0, 192.0.2.0\r\n";
    assert_eq!(masked(log, TRUNCATE, line), expected);
}

#[rstest]
#[case("from 192.0.2.9.", "from 192.0.2.0.")]
#[case("(192.0.2.9)", "(192.0.2.0)")]
#[case("ip:192.0.2.9 peer=192.0.2.8:5000,", "ip:192.0.2.0 peer=192.0.2.0,")]
#[case("9.2.0.192.dsl.example 192.0.2.9.in-addr.arpa", "9.2.0.0.dsl.example 192.0.2.0.in-addr.arpa")]
#[case("2001:db8:1:2::9: refused", "2001:db8:1::: refused")]
#[case("[2001:db8:1:2::9] x", "[2001:db8:1::] x")]
#[case("[2001:db8:1:2::9]:443 x", "2001:db8:1:: x")]
#[case("peer [::ffff:192.0.2.9]:443", "peer ::ffff:192.0.2.0")]
#[case("2001:db8:1:2::9:54321 x", "2001:db8:1:: x")]
#[case("2001:db8:1:2:3:4:5:6:443.", "2001:db8:1::.")]
#[case("source:2001:db8:1:2::9", "source:2001:db8:1::")]
#[case("source:2001:db8:1:2::9:54321,", "source:2001:db8:1::,")]
#[case("at [2001:db8:1:2::9]:443.", "at 2001:db8:1::.")]
#[case("source:192.0.2.9:80", "source:192.0.2.0")]
#[case("foo::bad::cafe std::a::b", "foo::bad::cafe std::a::b")]
#[case("::ffff:192.0.2.9", "::ffff:192.0.2.0")]
#[case(
    "10/Oct/2026:13:55:36 v1.2.3.4 1.2.3.4.5 256.1.1.1 01.2.3.4",
    "10/Oct/2026:13:55:36 v1.2.3.4 1.2.3.4.5 256.1.1.1 01.2.3.4"
)]
#[case("std::vec Cafe::add(1) a: b::", "std::vec Cafe::add(1) a: b::")]
#[case("\0\0\x00192.0.2.9", "\0\0\x00192.0.2.0")]
fn addresses_are_found_anywhere_in_a_line_that_is_not_in_the_format(#[case] line: &str, #[case] expected: &str) {
    assert_eq!(masked(log(LogFormat::Combined), TRUNCATE, line), expected);
    let kept = Log { unparsed: UnparsedLine::Keep, ..log(LogFormat::Combined) };
    assert_eq!(masked(kept, TRUNCATE, line), line);
}

/// What is left of a neighbour must not become an address once the other is gone.
#[rstest]
#[case("!.0.2.0.3::5356]", "!.--]")]
#[case("0.0.0.0::", "--")]
#[case("at fe80:::192.0.2.9", "at -:-")]
#[case("192.0.2.9::192.0.2.8", "---")]
#[case("at 192.0.2.9:55:36 [error]", "at -:55:36 [error]")]
#[case("[2001:db8::9]:55:36", "[-]:55:36")]
#[case("[[2001:db8::9]:1]:82", "[[-]:1]:82")]
fn addresses_side_by_side_are_gone_after_one_time(#[case] line: &str, #[case] expected: &str) {
    assert_eq!(masked(log(LogFormat::Combined), LineAction::Addresses(ColumnAction::Erase), line), expected);
    assert_eq!(masked(log(LogFormat::Combined), LineAction::Addresses(ColumnAction::Erase), expected), expected);
}

#[test]
fn lines_of_the_very_instant_of_the_cutoff_are_kept() {
    let at = |second: u32| {
        format!("192.0.2.7 - - [10/Oct/2026:13:55:{second} +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n")
    };
    let text = [at(35), at(36), at(37)].concat();
    let (left, tally) =
        judged(&judgement(log(LogFormat::Combined), LineAction::Drop, Some("2026-10-10T13:55:36Z")), text.as_bytes());
    assert_eq!(left, [at(36), at(37)].concat().as_bytes());
    assert_eq!((tally.lines, tally.matches), (3, 1));
    assert_eq!(tally.oldest.unwrap().timestamp().unwrap(), instant("2026-10-10T13:55:35Z"));
    assert_eq!(tally.next.unwrap().timestamp().unwrap(), instant("2026-10-10T13:55:36Z"));
}

#[test]
fn addresses_of_their_own_period_stay_in_younger_lines_and_in_those_without_a_time() {
    let old = format!("192.0.2.9{}\n", TAIL.replace("Oct", "Sep"));
    let young = format!("192.0.2.9{TAIL}\n");
    let text = [&old, "from 192.0.2.9\n", &young].concat();
    let (left, tally) =
        judged(&judgement(log(LogFormat::Combined), TRUNCATE, Some("2026-10-01T00:00:00Z")), text.as_bytes());
    let masked = old.replacen("192.0.2.9 ", "192.0.2.0 ", 1);
    assert_eq!(String::from_utf8(left).unwrap(), [&masked, "from 192.0.2.9\n", &young].concat());
    assert_eq!((tally.matches, tally.undatable), (1, 1));
    assert_eq!(tally.next.unwrap().timestamp().unwrap(), instant("2026-10-10T11:55:36Z"));
}

#[test]
fn a_line_without_a_time_is_as_old_as_its_file_where_only_its_addresses_are_concerned() {
    let text = b"from 192.0.2.9\n192.0.2.9 - - [10/Oct/2027:13:55:36 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n";
    let future = String::from_utf8_lossy(&text[15..]).into_owned();
    let written = |time: &str| Moment::of(instant(time));
    let judgement = judgement(log(LogFormat::Combined), TRUNCATE, Some("2026-10-01T00:00:00Z"));
    let (left, tally) = judged(&judgement.of_file(written("2026-09-30T23:59:59Z")), text);
    assert_eq!(String::from_utf8(left).unwrap(), ["from 192.0.2.0\n", &future].concat(), "a time that lies is no time");
    assert_eq!((tally.matches, tally.undatable), (1, 1));
    let (left, tally) = judged(&judgement.of_file(written("2026-10-01T00:00:00Z")), text);
    assert_eq!(left, text);
    assert_eq!((tally.matches, tally.undatable), (0, 1));
    assert_eq!(tally.next.unwrap().timestamp().unwrap(), instant("2026-10-01T00:00:00Z"), "it is looked at again");
}

#[test]
fn a_line_that_is_not_in_the_format_is_never_dropped_by_the_age_of_its_file() {
    let judgement = judgement(log(LogFormat::Combined), LineAction::Drop, Some("2026-10-01T00:00:00Z"));
    let (left, tally) = judged(&judgement.of_file(Moment::of(instant("2020-01-01T00:00:00Z"))), b"from 192.0.2.9\n");
    assert_eq!((&left[..], tally.matches, tally.undatable), (&b"from 192.0.2.9\n"[..], 0, 1));
}

#[test]
fn where_the_operator_keeps_unparsed_lines_their_file_does_not_date_them() {
    let kept = Log { unparsed: UnparsedLine::Keep, ..log(LogFormat::Combined) };
    let judgement = judgement(kept, TRUNCATE, Some("2026-10-01T00:00:00Z"));
    let (left, tally) = judged(&judgement.of_file(Moment::of(instant("2020-01-01T00:00:00Z"))), b"from 192.0.2.9\n");
    assert_eq!((&left[..], tally.matches, tally.undatable), (&b"from 192.0.2.9\n"[..], 0, 1));
}

#[test]
fn declared_parameters_are_found_in_a_line_that_is_not_in_the_format() {
    let log = Log { parameters: BTreeSet::from(["ip".to_owned()]), ..log(LogFormat::Combined) };
    let line = "cut off: GET /?ip=2001%3Adb8%3A1%3A2%3A%3A9&x=192.0.2.9";
    assert_eq!(masked(log, TRUNCATE, line), "cut off: GET /?ip=2001%3Adb8%3A1%3A%3A&x=192.0.2.0");
}

#[test]
fn what_must_not_be_stored_goes_whole() {
    let (left, tally) = judged(&judgement(log(LogFormat::Combined), LineAction::Drop, None), b"a\n\nb");
    assert_eq!((left, tally.lines, tally.matches), (Vec::new(), 3, 3));
}

/// Runs a whole stream in blocks of `size`, and returns what was written.
fn piped(judgement: &Judgement, codec: Codec, stored: &[u8], size: usize) -> (Vec<u8>, Tally) {
    let mut file = tempfile::tempfile().unwrap();
    let mut source = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut source, stored).unwrap();
    source.rewind().unwrap();
    let task = Task { judgement, beside: &[], codec, writer: Some(codec.writer(&file).unwrap()) };
    let counted = pipeline::run_in_blocks(codec.reader(&source).unwrap(), task, size).unwrap();
    let task = Task { judgement, beside: &[], codec, writer: None };
    source.rewind().unwrap();
    assert_eq!(pipeline::run_in_blocks(codec.reader(&source).unwrap(), task, size).unwrap(), counted);
    let tally = counted.tally;
    // For other rules the same is counted as for them alone.
    let older = Some("2026-10-10T12:00:00Z");
    let others = [LineAction::Drop, TRUNCATE].map(|action| self::judgement(judgement.log().clone(), action, older));
    let count = |judgement: &Judgement, beside: &[Judgement], source: &mut std::fs::File| {
        source.rewind().unwrap();
        let task = Task { judgement, beside, codec, writer: None };
        pipeline::run_in_blocks(codec.reader(source).unwrap(), task, size).unwrap()
    };
    let together = count(judgement, &others, &mut source);
    let alone = others.each_ref().map(|other| count(other, &[], &mut source).tally);
    assert_eq!((together.tally, together.beside), (tally, alone.to_vec()));
    let mut written = Vec::new();
    file.rewind().unwrap();
    codec.reader(&file).unwrap().read_to_end(&mut written).unwrap();
    (written, tally)
}

fn stored(codec: Codec, text: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Zstd => zstd::encode_all(text, 1).unwrap(),
        Codec::Gzip(_) => {
            // Two members, as rotation with concatenation leaves them.
            let (one, other) = text.split_at(text.len() / 2);
            let member = |text| {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                std::io::Write::write_all(&mut encoder, text).unwrap();
                encoder.finish().unwrap()
            };
            [member(one), member(other)].concat()
        }
        Codec::Plain | Codec::Unknown => text.to_vec(),
    }
}

/// Lines that are in the format, and lines that are not.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let address = prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
        "[0-9a-f:.%-]{1,20}",
    ];
    let in_format = (address, 1_u8..=28, 2025_u16..=2026, "[ -~]{0,40}", 0_u8..60).prop_map(
        |(address, day, year, request, second)| {
            let request = request.replace(['"', '\\'], "'");
            format!("{address} - - [{day:02}/Oct/{year}:13:55:{second:02} +0000] \"{request}\" 200 5 \"-\" \"-\"")
                .into_bytes()
        },
    );
    prop_oneof![
        3 => in_format,
        1 => proptest::collection::vec(any::<u8>(), 0..60)
            .prop_map(|line| line.into_iter().filter(|byte| *byte != b'\n').collect::<Vec<u8>>()),
        1 => "[0-9a-f:. ]{0,60}".prop_map(String::into_bytes),
    ]
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    (proptest::collection::vec(any_line(), 0..60), any::<bool>()).prop_map(|(lines, ends_well)| {
        let mut text = lines.join(&b'\n');
        if ends_well {
            text.push(b'\n');
        }
        text
    })
}

/// Lines with their newlines.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

proptest! {
    #[test]
    fn dropping_keeps_the_other_lines_as_they_are_and_in_their_order(text in any_text()) {
        let judgement = judgement(log(LogFormat::Combined), LineAction::Drop, Some("2026-10-01T00:00:00Z"));
        let (left, tally) = judged(&judgement, &text);
        let expired = |line: &&[u8]| {
            let line = String::from_utf8_lossy(line);
            line.contains("/Oct/2025:13:55:") && line.contains(" +0000] \"")
        };
        let kept: Vec<&[u8]> = lines(&text).into_iter().filter(|line| !expired(line)).collect();
        prop_assert_eq!(lines(&left), kept);
        prop_assert_eq!(tally.lines, lines(&text).len() as u64);
        prop_assert_eq!(tally.lines - tally.matches, lines(&left).len() as u64);
    }

    #[test]
    fn masking_what_could_be_addresses_twice_is_masking_once(line in "[0-9a-f.:\\[\\]( -]{0,48}") {
        for action in [TRUNCATE, LineAction::Addresses(ColumnAction::Erase)] {
            let once = masked(log(LogFormat::Combined), action, &line);
            prop_assert_eq!(masked(log(LogFormat::Combined), action, &once), once);
        }
    }

    #[test]
    fn masking_twice_is_masking_once(text in any_text()) {
        for action in [TRUNCATE, KEEPING, ERASE] {
            let judgement = judgement(log(LogFormat::Combined), action, None);
            let (once, tally) = judged(&judgement, &text);
            let changed = lines(&text).into_iter().zip(lines(&once)).filter(|(before, after)| before != after);
            prop_assert_eq!(tally.matches, changed.count() as u64);
            prop_assert_eq!(lines(&once).len(), lines(&text).len());
            let (twice, tally) = judged(&judgement, &once);
            prop_assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once));
            prop_assert_eq!(tally.matches, 0);
        }
    }

    #[test]
    fn blocks_and_compression_change_nothing(text in any_text(), size in 4_usize..400) {
        for action in [LineAction::Drop, TRUNCATE] {
            let judgement = judgement(log(LogFormat::Combined), action, Some("2026-10-01T00:00:00Z"));
            // Lines that are longer than a block are judged by their beginning.
            let size = size.max(text.split(|byte| *byte == b'\n').map(|line| line.len() + 1).max().unwrap_or(0));
            let expected = judged(&judgement, &text);
            for codec in [Codec::Plain, Codec::Gzip(6), Codec::Zstd] {
                prop_assert_eq!(&piped(&judgement, codec, &stored(codec, &text), size), &expected);
            }
        }
    }
}

#[test]
fn a_line_longer_than_any_block_goes_or_stays_whole_and_is_counted_once() {
    let head = r#"192.0.2.9 - - [10/Oct/2025:13:55:36 +0000] "GET /"#;
    let long = format!("{head}{} 192.0.2.9 \" 200", "a 192.0.2.9 ".repeat(500));
    let young = long.replace("2025", "2026");
    let text = format!("{long}\n{young}\n{long}");
    let cutoff = Some("2026-10-01T00:00:00Z");
    let (left, tally) =
        piped(&judgement(log(LogFormat::Combined), LineAction::Drop, cutoff), Codec::Plain, text.as_bytes(), 700);
    assert_eq!(String::from_utf8(left).unwrap(), format!("{young}\n"));
    assert_eq!((tally.lines, tally.matches), (3, 2));
    let (left, tally) = piped(&judgement(log(LogFormat::Combined), TRUNCATE, None), Codec::Plain, text.as_bytes(), 700);
    assert_eq!((tally.lines, tally.matches), (3, 3));
    // Behind its beginning nothing says what is what: every address goes.
    let left = String::from_utf8(left).unwrap();
    assert_eq!(left.lines().count(), 3);
    assert!(
        left.lines().all(|line| line.starts_with("192.0.2.0 - - [10/Oct/202") && line.ends_with(" 192.0.2.0 \" 200"))
    );
}

#[test]
fn a_long_line_without_an_address_at_its_beginning_is_looked_at_again_when_it_is_due() {
    let line = format!(r#"- - - [10/Oct/2026:13:55:36 +0000] "GET /{} 192.0.2.9 " 200"#, "a".repeat(2_000));
    let young = judgement(log(LogFormat::Combined), TRUNCATE, Some("2026-10-01T00:00:00Z"));
    let (left, tally) = piped(&young, Codec::Plain, line.as_bytes(), 700);
    assert_eq!((left, tally.matches), (line.clone().into_bytes(), 0));
    assert_eq!(tally.next.unwrap().timestamp().unwrap(), instant("2026-10-10T13:55:36Z"));
    let due = judgement(log(LogFormat::Combined), TRUNCATE, Some("2026-10-20T00:00:00Z"));
    let (left, tally) = piped(&due, Codec::Plain, line.as_bytes(), 700);
    assert_eq!((String::from_utf8(left).unwrap(), tally.matches), (line.replace("192.0.2.9", "192.0.2.0"), 1));
}

#[test]
fn lines_of_megabytes_zeros_and_bytes_that_are_no_text_come_through_as_they_are() {
    let old =
        |fill: &[u8]| [br#"192.0.2.9 - - [10/Oct/2025:13:55:36 +0000] "GET /"#, fill, br#"" 200 5 "-" "-""#].concat();
    let young =
        |fill: &[u8]| [br#"192.0.2.9 - - [10/Oct/2026:13:55:36 +0000] "GET /"#, fill, br#"" 200 5 "-" "-""#].concat();
    let (long, bytes) = (vec![b'a'; 5 << 20], b"\0\xFF\xFE\x80\r\0");
    let zeros = vec![0; 3 << 20];
    let lines =
        [old(&long), young(&long), zeros.clone(), old(bytes), young(bytes), b"\r".to_vec(), old(b"x"), young(b"y")];
    let text = lines.join(&b'\n');
    let judgement = judgement(log(LogFormat::Combined), LineAction::Drop, Some("2026-10-01T00:00:00Z"));
    let size = Codec::Plain.block_size();
    for codec in [Codec::Plain, Codec::Gzip(1), Codec::Zstd] {
        let (left, tally) = piped(&judgement, codec, &stored(codec, &text), size);
        let kept = [young(&long), zeros.clone(), young(bytes), b"\r".to_vec(), young(b"y")].join(&b'\n');
        assert!(left == kept, "{codec:?}: not what was to be kept");
        assert_eq!((tally.lines, tally.matches, tally.undatable), (8, 3, 2), "{codec:?}");
    }
}

#[test]
fn a_damaged_file_is_told_from_a_disk_that_fails() {
    let judgement = judgement(log(LogFormat::Combined), TRUNCATE, None);
    for codec in [Codec::Gzip(6), Codec::Zstd] {
        let mut bytes = stored(codec, &b"192.0.2.9 and more\n".repeat(1_000));
        bytes.truncate(bytes.len() - 9);
        let mut source = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut source, &bytes).unwrap();
        source.rewind().unwrap();
        let task = Task { judgement: &judgement, beside: &[], codec, writer: None };
        let error = pipeline::run(codec.reader(&source).unwrap(), task).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{codec:?}");
    }
}

#[rstest]
#[case(b"\x1F\x8B\x08\0\0\0\0\0\x02\x03", Codec::Gzip(9))]
#[case(b"\x1F\x8B\x08\0\0\0\0\0\0\x03", Codec::Gzip(6))]
#[case(b"\x28\xB5\x2F\xFD", Codec::Zstd)]
#[case(b"\x50\x2A\x4D\x18\x04\0\0\0", Codec::Zstd)]
#[case(b"\x5D\x2A\x4D\x18\x04\0\0\0", Codec::Zstd)]
#[case(b"BZh9", Codec::Unknown)]
#[case(b"LZIP\x01", Codec::Unknown)]
#[case(b"\x89LZO\0\r\n\x1A\n", Codec::Unknown)]
#[case(b"\xFD7zXZ\0", Codec::Unknown)]
#[case(b"192.0.2.7 - -", Codec::Plain)]
#[case(b"", Codec::Plain)]
fn compression_is_told_by_the_first_bytes(#[case] head: &[u8], #[case] codec: Codec) {
    assert_eq!(Codec::of(head), codec);
}

#[rstest]
#[case("access.log.1.br", b"\x8B\x05", Codec::Unknown)]
#[case("access.log.1.gpg", b"\x85\x01", Codec::Unknown)]
#[case("access.log.1.br", b"", Codec::Plain)]
#[case("access.log.1.gz", b"192.0.2.7 - -", Codec::Unknown)]
#[case("access.log.1.GZ", b"192.0.2.7 - -", Codec::Unknown)]
#[case("access.log.1.zst", b"192.0.2.7 - -", Codec::Unknown)]
#[case("access.log.1.Z", b"192.0.2.7 - -", Codec::Unknown)]
#[case("access.log.1.sz", b"\xFF\x06\0\0sNaPpY", Codec::Unknown)]
#[case("access.log.tar", b"access.log.1\0", Codec::Unknown)]
#[case("access.log.tar.gz", b"\x1F\x8B\x08\0\0\0\0\0\0\x03", Codec::Unknown)]
#[case("access.log.tgz", b"\x1F\x8B\x08\0\0\0\0\0\0\x03", Codec::Unknown)]
#[case("access.log.1.gz", b"", Codec::Plain)]
#[case("access.log.1.xz", b"\x1F\x8B\x08\0\0\0\0\0\0\x03", Codec::Gzip(6))]
#[case("lz", b"192.0.2.7 - -", Codec::Plain)]
fn a_name_only_keeps_a_file_from_being_taken_for_lines(#[case] name: &str, #[case] head: &[u8], #[case] codec: Codec) {
    assert_eq!(Codec::of_file(name.as_ref(), head), codec);
}

#[test]
fn a_file_that_was_compressed_harder_may_take_twice_its_size_when_it_is_written_anew() {
    assert_eq!(Codec::Zstd.room(1_000), 2_000);
    assert_eq!((Codec::Plain.room(1_000), Codec::Gzip(9).room(1_000)), (1_125, 1_125));
}
