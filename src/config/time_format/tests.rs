use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn prague() -> TimeZone {
    TimeZone::get("Europe/Prague").unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[rstest]
#[case("2024-01-01T23:00:00Z", "2024-01-01T23:00:00Z")]
#[case("2024-01-01t23:00:00z", "2024-01-01T23:00:00Z")]
#[case("2024-01-01 23:00:00Z", "2024-01-01T23:00:00Z")]
#[case("2024-01-01T23:00Z", "2024-01-01T23:00:00Z")]
#[case("2024-01-01T23:00:00+02:00", "2024-01-01T21:00:00Z")]
#[case("2024-01-01T23:00:00+0200", "2024-01-01T21:00:00Z")]
#[case("2024-01-01 23:00:00+02", "2024-01-01T21:00:00Z")]
#[case("2024-01-01T23:00:00-03:30", "2024-01-02T02:30:00Z")]
#[case("2024-01-01T23:00:00-00:00", "2024-01-01T23:00:00Z")]
#[case("2024-01-01T23:00:00.5Z", "2024-01-01T23:00:00.5Z")]
#[case("2024-01-01T23:00:00.000001+01:00", "2024-01-01T22:00:00.000001Z")]
#[case("2024-01-01T23:00:00.123456789Z", "2024-01-01T23:00:00.123456789Z")]
#[case("1969-12-31T23:59:59.9Z", "1969-12-31T23:59:59.9Z")]
#[case("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z")]
fn iso_8601_with_an_offset_needs_no_zone(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(TimeFormat::Iso8601.parse_text(text, None), Some(at(expected)));
    assert_eq!(TimeFormat::Iso8601.parse_text(text, Some(&prague())), Some(at(expected)));
    assert_eq!(TimeFormat::Datetime.parse_text(text, Some(&prague())), None, "a datetime has no offset");
}

#[rstest]
#[case("2024-01-01 23:00", "2024-01-01T22:00:00Z")]
#[case("2024-07-01T23:00", "2024-07-01T21:00:00Z")]
#[case("2024-07-01 23:00:00", "2024-07-01T21:00:00Z")]
#[case("2024-07-01 23:00:00.25", "2024-07-01T21:00:00.25Z")]
#[case::a_day_of_winter("2024-01-01", "2024-01-01T22:59:59.999999Z")]
#[case::a_day_of_23_hours("2024-03-31", "2024-03-31T21:59:59.999999Z")]
#[case::a_day_of_25_hours("2024-10-27", "2024-10-27T22:59:59.999999Z")]
#[case::last_instant_before_the_gap("2024-03-31 01:59:59", "2024-03-31T00:59:59Z")]
#[case::inside_of_the_gap("2024-03-31 02:30:00", "2024-03-31T01:30:00Z")]
#[case::end_of_the_gap("2024-03-31 03:00:00", "2024-03-31T01:00:00Z")]
#[case::repeated_hour("2024-10-27 02:30:00", "2024-10-27T01:30:00Z")]
#[case::after_the_repeated_hour("2024-10-27 03:00:00", "2024-10-27T02:00:00Z")]
fn without_an_offset_the_zone_decides_and_the_later_instant_counts(#[case] text: &str, #[case] expected: &str) {
    for format in [TimeFormat::Iso8601, TimeFormat::Datetime] {
        assert_eq!(format.parse_text(text, Some(&prague())), Some(at(expected)), "{format}");
        assert_eq!(format.parse_text(text, None), None, "{format}: no zone, no instant");
    }
}

#[test]
fn a_day_before_a_missing_or_repeated_midnight_lasts_to_its_later_instant() {
    let parse = |text: &str, zone: &str| {
        TimeFormat::Datetime.parse_text(text, Some(&TimeZone::get(zone).unwrap())).unwrap().to_string()
    };
    // Havana, 3 November 2024: midnight at 04:00Z and again at 05:00Z.
    assert_eq!(parse("2024-11-02", "America/Havana"), "2024-11-03T04:59:59.999999Z");
    // Santiago, 8 September 2024: no midnight; 01:00 begins at 04:00Z.
    assert_eq!(parse("2024-09-07", "America/Santiago"), "2024-09-08T03:59:59.999999Z");
    // Apia, 30 December 2011: the day does not exist; 31 December begins at 10:00Z.
    assert_eq!(parse("2011-12-30", "Pacific/Apia"), "2011-12-30T09:59:59.999999Z");
}

#[rstest]
fn what_is_not_certainly_an_instant_is_undatable(
    #[values(
        "",
        " ",
        "0",
        "now",
        "infinity",
        "-infinity",
        "NULL",
        "0000-00-00",
        "0000-00-00 00:00:00",
        "2024-00-10",
        "2024-01-00 10:00:00",
        "2024-13-01",
        "2024-02-30",
        "2023-02-29",
        "2024-04-31 10:00:00",
        "01/06/2030",
        "1.6.2030",
        "2024/01/01",
        "2024-1-1",
        "24-01-01",
        "12024-01-01",
        "+002024-01-01",
        "-2024-01-01",
        "20240101",
        "20240101T230000Z",
        "2024-W01-1",
        "2024-001",
        "2024-01",
        "2024",
        "12:00",
        "1704150000",
        "2024-01-01T",
        "2024-01-01 ",
        " 2024-01-01",
        "2024-01-01Z",
        "2024-01-01+02:00",
        "2024-01-01  23:00",
        "2024-01-01_23:00",
        "2024-01-01 9:00",
        "2024-01-01 23",
        "2024-01-01 23:0",
        "2024-01-01 23:00:",
        "2024-01-01 23:00:0",
        "2024-01-01 24:00:00",
        "2024-01-01 25:00",
        "2024-01-01 23:60",
        "2016-12-31T23:59:60Z",
        "2024-01-01 23:00:00.",
        "2024-01-01 23:00:00.1234567890",
        "2024-01-01 23:00:00,5",
        "2024-01-01 23:00:00 ",
        "2024-01-01 23:00:00\n",
        "2024-01-01 23:00:00 +02:00",
        "2024-01-01 23:00:00 UTC",
        "2024-01-01T23:00:00ZZ",
        "2024-01-01T23:00:00+",
        "2024-01-01T23:00:00+2",
        "2024-01-01T23:00:00+02:",
        "2024-01-01T23:00:00+02:0",
        "2024-01-01T23:00:00+02:60",
        "2024-01-01T23:00:00+16:00",
        "2024-01-01T23:00:00+99",
        "2024-01-01T23:00:00+02:00:00",
        "2024-01-01T23:00:00[Europe/Prague]",
        "2024-01-01T23:00:00Z[UTC]",
        "2024-01-01T23:00:00\u{2212}02:00",
        "٢٠٢٤-01-01",
        "9999-12-31",
        "9999-12-31T23:59:59-12:00",
        "4713-01-01 BC"
    )]
    text: &str,
) {
    for format in TimeFormat::ALL {
        assert_eq!(format.parse_text(text, Some(&prague())), None, "{format}");
    }
}

#[rstest]
#[case("20240101230000", Some("2024-01-01T23:00:00Z"))]
#[case("20240229000000", Some("2024-02-29T00:00:00Z"))]
#[case("20230229000000", None)]
#[case("00000000000000", None)]
#[case("20241301000000", None)]
#[case("20240101240000", None)]
#[case("20240101235960", None)]
#[case("2024010123000", None)]
#[case("202401012300000", None)]
#[case("20240101230000Z", None)]
#[case("2024-01-01T23:0", None)]
#[case("+2024010123000", None)]
#[case("infinity", None)]
fn mediawiki_is_fourteen_digits_of_utc_whatever_the_zone(#[case] text: &str, #[case] expected: Option<&str>) {
    assert_eq!(TimeFormat::Mediawiki.parse_text(text, Some(&prague())), expected.map(at));
    assert_eq!(TimeFormat::Mediawiki.parse_text(text, None), expected.map(at));
}

#[rstest]
#[case(TimeFormat::UnixSeconds, 1_704_150_000, "2024-01-01T23:00:00Z")]
#[case(TimeFormat::UnixMillis, 1_704_150_000_123, "2024-01-01T23:00:00.123Z")]
#[case(TimeFormat::UnixMicros, 1_704_150_000_123_456, "2024-01-01T23:00:00.123456Z")]
#[case(TimeFormat::UnixSeconds, -1, "1969-12-31T23:59:59Z")]
#[case(TimeFormat::UnixMillis, -1, "1969-12-31T23:59:59.999Z")]
#[case(TimeFormat::UnixSeconds, 2_147_483_648, "2038-01-19T03:14:08Z")]
fn a_number_is_an_instant_in_its_own_unit(#[case] format: TimeFormat, #[case] value: i64, #[case] expected: &str) {
    assert_eq!(format.from_number(value), Some(at(expected)));
    assert_eq!(format.to_number_floor(at(expected)), Some(value));
}

#[test]
fn a_number_out_of_range_is_no_instant() {
    assert_eq!(TimeFormat::UnixSeconds.from_number(i64::MAX), None);
    assert_eq!(TimeFormat::UnixSeconds.from_number(i64::MIN), None);
    assert_eq!(TimeFormat::UnixMillis.from_number(i64::MAX), None);
    assert_eq!(TimeFormat::UnixMicros.from_number(i64::MAX), None);
}

#[test]
fn a_cutoff_between_two_numbers_is_the_lower_one() {
    assert_eq!(TimeFormat::UnixSeconds.to_number_floor(at("1970-01-01T00:00:01.999999999Z")), Some(1));
    assert_eq!(TimeFormat::UnixSeconds.to_number_floor(at("1969-12-31T23:59:59.5Z")), Some(-1));
    assert_eq!(TimeFormat::UnixMillis.to_number_floor(at("1970-01-01T00:00:00.001999Z")), Some(1));
    assert_eq!(TimeFormat::UnixMicros.to_number_floor(at("1969-12-31T23:59:59.999999001Z")), Some(-1));
}

#[test]
fn text_formats_have_no_numbers() {
    for format in [TimeFormat::Iso8601, TimeFormat::Datetime, TimeFormat::Mediawiki] {
        assert_eq!(format.units_per_second(), None);
        assert_eq!(format.from_number(1_704_150_000), None);
        assert_eq!(format.to_number_floor(at("2024-01-01T23:00:00Z")), None);
    }
}

#[rstest]
#[case("1994-12-31T23:59:59.999999Z", false)]
#[case("1995-01-01T00:00:00Z", true)]
#[case("2024-01-01T00:00:00Z", true)]
#[case("2024-01-01T00:02:00Z", true)]
#[case("2024-01-01T00:02:00.000001Z", false)]
#[case("1970-01-01T00:00:00Z", false)]
#[case("9999-12-30T00:00:00Z", false)]
fn a_visit_is_plausible_between_the_webs_beginning_and_now(#[case] instant: &str, #[case] expected: bool) {
    assert_eq!(plausible(at(instant), at("2024-01-01T00:00:00Z")), expected);
}

#[test]
fn the_names_are_those_of_the_configuration() {
    let names = ["unix-seconds", "unix-millis", "unix-micros", "iso-8601", "datetime", "mediawiki"];
    for (name, format) in names.into_iter().zip(TimeFormat::ALL) {
        assert_eq!(name.parse(), Ok(format));
        assert_eq!(format.to_string(), name);
        assert_eq!(serde_json::to_string(&format).unwrap(), format!("\"{name}\""));
    }
    let error = "unix".parse::<TimeFormat>().unwrap_err();
    assert_eq!(error.to_string(), "`unix` is not a time format");
    assert_eq!(
        error.hint(),
        "write one of `unix-seconds`, `unix-millis`, `unix-micros`, `iso-8601`, `datetime`, `mediawiki`"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn comparing_floors_never_expires_what_comparing_instants_keeps(value in any::<i32>(), nanosecond in any::<i64>()) {
        let cutoff = Timestamp::from_nanosecond(i128::from(nanosecond)).unwrap();
        for format in [TimeFormat::UnixSeconds, TimeFormat::UnixMillis, TimeFormat::UnixMicros] {
            let value = i64::from(value) * format.units_per_second().unwrap();
            if value < format.to_number_floor(cutoff).unwrap() {
                prop_assert!(format.from_number(value).unwrap() < cutoff);
            }
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[-0-9TtZz:.+ ]{0,32}|\\PC{0,20}") {
        for format in TimeFormat::ALL {
            let _any_answer = format.parse_text(&text, Some(&TimeZone::UTC));
        }
    }

    #[test]
    fn what_an_independent_writer_prints_is_read_back(nanosecond in 0..4_000_000_000_000_000_000_i64) {
        let instant = Timestamp::from_nanosecond(i128::from(nanosecond)).unwrap();
        prop_assert_eq!(TimeFormat::Iso8601.parse_text(&instant.to_string(), None), Some(instant));
    }
}
