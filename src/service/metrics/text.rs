//! The text format of Prometheus, version 0.0.4, as far as gauges and counters need it.

use std::fmt::Write;

/// The content type of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    /// It only grows; its name ends with `_total`.
    Counter,
}

/// A page of metrics in the making.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// One metric with a sample for each of `samples`: its labels and its value. Without samples it is left out.
    pub(super) fn metric<'a>(
        &mut self,
        (name, kind, help): (&str, Kind, &str),
        samples: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, f64)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    /// The whole page.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// A label's value: names of tables may hold any character.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_as_the_format_says() {
        let mut page = Page::default();
        let labels = vec![("rule", "a \"b\"\\c\nd"), ("site", "s")];
        page.metric(("forgetd_x_total", Kind::Counter, "Some."), [(labels, 1.5), (vec![], 0.0)]);
        page.metric(("forgetd_y", Kind::Gauge, "None."), []);
        page.metric(("forgetd_z", Kind::Gauge, "One."), [(vec![], 1_795_544_130.0)]);
        let expected = "# HELP forgetd_x_total Some.\n# TYPE forgetd_x_total counter\n\
             forgetd_x_total{rule=\"a \\\"b\\\"\\\\c\\nd\",site=\"s\"} 1.5\nforgetd_x_total 0\n\
             # HELP forgetd_z One.\n# TYPE forgetd_z gauge\nforgetd_z 1795544130\n";
        assert_eq!(page.into_text(), expected);
    }
}
