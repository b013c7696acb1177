//! Erasures over time as bars, and the same numbers as a table for whoever cannot see them.

use jiff::civil::Date;

use super::markup::Markup;
use crate::report::model::Report;
use crate::report::timeline::{Bar, Timeline, Unit};
use crate::report::words::{self, count, number};

/// The plot in units of its own; the page scales it.
const WIDTH: u64 = 720;
const HEIGHT: u64 = 220;
const LEFT: u64 = 84;
const RIGHT: u64 = 8;
const TOP: u64 = 14;
const BOTTOM: u64 = 34;

/// Labels that fit below one another's bars.
const MOST_LABELS: usize = 7;

/// Bars are no wider, however few they are.
const WIDEST: u64 = 56;

pub(super) fn plot(page: &mut Markup, report: &Report) {
    let timeline = &report.timeline;
    page.element("figure", &[("class", "plot")], |page| {
        let caption = format!("Records erased or masked, by {} ({})", timeline.unit.key(), report.period.zone);
        page.element("figcaption", &[("id", "plot-caption")], |page| page.text(&caption));
        let view = format!("0 0 {WIDTH} {HEIGHT}");
        let attributes = [
            ("viewBox", view.as_str()),
            ("role", "img"),
            ("aria-labelledby", "plot-caption"),
            ("aria-describedby", "plot-summary"),
        ];
        page.element("svg", &attributes, |page| {
            grid(page, ceiling(timeline.most()));
            bars(page, timeline, ceiling(timeline.most()));
        });
        page.element("p", &[("class", "legend")], |page| {
            page.element("span", &[("class", "key")], |page| page.text("every run came to its end"));
            page.element("span", &[("class", "key not-done")], |page| page.text("at least one did not (dashed)"));
        });
        page.element("p", &[("id", "plot-summary"), ("class", "note")], |page| page.text(&summary(timeline)));
        page.element("details", &[], |page| {
            page.element("summary", &[], |page| page.text("The same as a table"));
            table(page, timeline, &caption);
        });
    });
}

/// What the bars show, in a sentence.
fn summary(timeline: &Timeline) -> String {
    let busiest = timeline.bars.iter().filter(|(_, bar)| bar.erased > 0).max_by_key(|(_, bar)| bar.erased);
    match busiest {
        None => "No run of the period erased anything.".to_owned(),
        Some((first, bar)) => {
            let unit = timeline.unit.key();
            format!(
                "Most in one {unit}: {}, {}. {} of {} had a run that erased something.",
                count(bar.erased, "record"),
                when(timeline.unit, *first),
                number(many(timeline.bars.values().filter(|bar| bar.erased > 0).count())),
                count(many(timeline.bars.len()), unit)
            )
        }
    }
}

fn when(unit: Unit, first: Date) -> String {
    match unit {
        Unit::Day => words::date(first),
        Unit::Week => format!("the week from {}", words::date(first)),
        Unit::Month => first.strftime("%B %Y").to_string(),
        Unit::Year => first.strftime("%Y").to_string(),
    }
}

fn many(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Where the axis may end, in tenths of a power of ten: round numbers whose halves are round too.
const ENDS: [u64; 10] = [10, 12, 16, 20, 24, 30, 40, 50, 60, 80];

/// The first number at or above `most` where the axis may end.
fn ceiling(most: u64) -> u64 {
    if most <= 10 {
        return most.max(2).next_multiple_of(2);
    }
    let mut tenth: u64 = 1;
    loop {
        if let Some(end) = ENDS.iter().map(|end| tenth.saturating_mul(*end)).find(|end| *end >= most) {
            return end;
        }
        tenth = tenth.saturating_mul(10);
    }
}

/// A number at the axis, which has little room.
fn at_axis(value: u64) -> String {
    const MILLION: u64 = 1_000_000;
    match value {
        value if value >= MILLION && value % (MILLION / 10) == 0 => format!("{} M", tenths(value / (MILLION / 10))),
        value => number(value),
    }
}

fn grid(page: &mut Markup, top: u64) {
    for (height, value) in [(0, 0), (1, top / 2), (2, top)] {
        let y = (HEIGHT - BOTTOM) - (HEIGHT - BOTTOM - TOP) * height / 2;
        let (y, right) = (y.to_string(), (WIDTH - RIGHT).to_string());
        page.element(
            "line",
            &[("class", "grid"), ("x1", &LEFT.to_string()), ("x2", &right), ("y1", &y), ("y2", &y)],
            |_| {},
        );
        let x = (LEFT - 8).to_string();
        page.element("text", &[("class", "axis end"), ("x", &x), ("y", &y), ("dy", "4")], |page| {
            page.text(&at_axis(value));
        });
    }
}

fn bars(page: &mut Markup, timeline: &Timeline, top: u64) {
    let shown = many(timeline.bars.len()).max(1);
    let width = WIDTH - LEFT - RIGHT;
    let every = timeline.bars.len().div_ceil(MOST_LABELS).max(1);
    for (position, (first, bar)) in timeline.bars.iter().enumerate() {
        // Tenths, so that many narrow bars do not drift from their places.
        let slot = width * 10 / shown;
        let thick = (slot * 7 / 10).clamp(15, WIDEST * 10);
        let middle = LEFT * 10 + width * 10 * (2 * many(position) + 1) / (2 * shown);
        drawn(page, bar, (middle.saturating_sub(thick / 2), thick), top, &when(timeline.unit, *first));
        if position % every == 0 {
            label(page, middle, timeline.unit, *first);
        }
    }
}

fn drawn(page: &mut Markup, bar: &Bar, (x, thick): (u64, u64), top: u64, when: &str) {
    let room = u128::from(HEIGHT - BOTTOM - TOP) * 10;
    let height = u64::try_from(room * u128::from(bar.erased) / u128::from(top.max(1))).unwrap_or(0);
    // What is not nothing can be seen, and so can a run that erased nothing because it was broken off.
    let height = if bar.erased > 0 || bar.not_done > 0 { height.max(15) } else { 0 };
    if height == 0 {
        return;
    }
    let y = (HEIGHT - BOTTOM) * 10 - height;
    let class = if bar.not_done > 0 { "bar not-done" } else { "bar" };
    let (x, y, thick, height) = (tenths(x), tenths(y), tenths(thick), tenths(height));
    let attributes =
        [("class", class), ("x", x.as_str()), ("y", &y), ("width", &thick), ("height", &height), ("rx", "1.5")];
    page.element("rect", &attributes, |page| {
        page.element("title", &[], |page| {
            page.text(&format!("{when}: {} in {}", count(bar.erased, "record"), count(bar.runs, "run")));
        });
    });
}

fn label(page: &mut Markup, middle: u64, unit: Unit, first: Date) {
    let text = match unit {
        Unit::Day | Unit::Week => first.strftime("%-d %b").to_string(),
        Unit::Month => first.strftime("%b %Y").to_string(),
        Unit::Year => first.strftime("%Y").to_string(),
    };
    let (x, y) = (tenths(middle), (HEIGHT - 10).to_string());
    page.element("text", &[("class", "axis middle"), ("x", &x), ("y", &y)], |page| page.text(&text));
}

fn tenths(value: u64) -> String {
    format!("{}.{}", value / 10, value % 10)
}

fn table(page: &mut Markup, timeline: &Timeline, caption: &str) {
    page.element("table", &[("class", "narrow")], |page| {
        page.element("caption", &[], |page| page.text(caption));
        page.element("thead", &[], |page| {
            page.element("tr", &[], |page| {
                for (title, class) in [("When", "text"), ("Runs", "number"), ("Erased", "number")] {
                    page.element("th", &[("scope", "col"), ("class", class)], |page| page.text(title));
                }
            });
        });
        page.element("tbody", &[], |page| {
            for (first, bar) in timeline.bars.iter().filter(|(_, bar)| bar.runs > 0) {
                page.element("tr", &[], |page| {
                    let when = when(timeline.unit, *first);
                    page.element("th", &[("scope", "row"), ("class", "text")], |page| page.text(&when));
                    for value in [bar.runs, bar.erased] {
                        page.element("td", &[("class", "number")], |page| page.text(&number(value)));
                    }
                });
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_a_round_number_above_the_highest_bar() {
        let tops = [0, 1, 2, 3, 7, 10, 11, 4_195, 10_175, 106_843, u64::MAX].map(ceiling);
        assert_eq!(tops, [2, 2, 2, 4, 8, 10, 12, 5_000, 12_000, 120_000, u64::MAX]);
        assert_eq!([0, 950, 60_000, 1_000_000, 2_500_000].map(at_axis), ["0", "950", "60,000", "1.0 M", "2.5 M"]);
    }
}
