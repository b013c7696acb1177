//! The report as one HTML file that needs nothing else: no script, nothing fetched, which its own content security
//! policy enforces. It follows the reader's light or dark, prints on A4, and on a phone every row of a wide table
//! becomes a card.

pub(crate) mod markup;
mod plot;

use super::document::{Block, Cell, Column, Figure, Section, Table, Tone};
use super::model::Report;
use super::words;
use markup::Markup;

/// The style of every page that is written.
pub(crate) const STYLE: &str = include_str!("html/style.css");

/// Nothing but the style that stands in the file itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// More columns than this do not fit on a phone: rows become cards there.
const MOST_COLUMNS_ON_A_PHONE: usize = 2;

pub(super) fn render(report: &Report, sections: &[Section]) -> String {
    let mut page = Markup::document();
    page.element("html", &[("lang", "en")], |page| {
        head(page, report);
        page.element("body", &[], |page| {
            page.element("a", &[("class", "skip"), ("href", "#main")], |page| page.text("Skip to the report"));
            header(page, report);
            contents(page, sections);
            page.element("main", &[("id", "main")], |page| {
                sections.iter().for_each(|item| section(page, report, item));
            });
            page.element("footer", &[], |page| {
                page.text(&format!(
                    "Written by forgetd {} on {}. It contains no data of visitors.",
                    report.program,
                    words::utc(report.written)
                ));
            });
        });
    });
    page.finish()
}

fn title(report: &Report) -> String {
    let whom = report.site.as_deref().map_or_else(String::new, |site| format!(" on {site}"));
    format!("Erasure of visitor records{whom}, {} to {}", report.period.from, report.period.to)
}

fn head(page: &mut Markup, report: &Report) {
    page.element("head", &[], |page| {
        page.void("meta", &[("charset", "utf-8")]);
        page.void("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)]);
        page.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
        page.void("meta", &[("name", "color-scheme"), ("content", "light dark")]);
        page.void("meta", &[("name", "referrer"), ("content", "no-referrer")]);
        page.void("meta", &[("name", "robots"), ("content", "noindex")]);
        page.element("title", &[], |page| page.text(&title(report)));
        page.style(STYLE);
    });
}

fn header(page: &mut Markup, report: &Report) {
    let period = &report.period;
    page.element("header", &[], |page| {
        page.element("p", &[("class", "kind")], |page| page.text("Report for the data protection officer"));
        page.element("h1", &[], |page| {
            page.text("Erasure of visitor records");
            if let Some(site) = &report.site {
                page.text(" on ");
                page.element("bdi", &[], |page| page.text(site));
            }
        });
        page.element("dl", &[("class", "facts")], |page| {
            let mut fact = |name: &str, value: &str| {
                page.element("div", &[], |page| {
                    page.element("dt", &[], |page| page.text(name));
                    page.element("dd", &[], |page| page.element("bdi", &[], |page| page.text(value)));
                });
            };
            fact("Period", &format!("{} to {}", words::date(period.from), words::date(period.to)));
            fact("Days as in", &period.zone);
            if let Some(controller) = &report.controller {
                fact("Controller", controller);
            }
            fact("Written", &words::utc(report.written));
        });
    });
}

fn contents(page: &mut Markup, sections: &[Section]) {
    page.element("nav", &[("aria-label", "Contents")], |page| {
        page.element("ol", &[], |page| {
            for section in sections {
                page.element("li", &[], |page| {
                    let target = format!("#{}", section.id);
                    page.element("a", &[("href", &target)], |page| page.text(section.title));
                });
            }
        });
    });
}

fn section(page: &mut Markup, report: &Report, section: &Section) {
    let heading = format!("{}-heading", section.id);
    page.element("section", &[("id", section.id), ("aria-labelledby", &heading)], |page| {
        page.element("h2", &[("id", &heading)], |page| page.text(section.title));
        section.blocks.iter().for_each(|item| block(page, report, item));
    });
}

fn block(page: &mut Markup, report: &Report, block: &Block) {
    match block {
        Block::Text(text) => page.element("p", &[], |page| prose(page, text)),
        Block::Heading(text) => page.element("h3", &[], |page| page.element("bdi", &[], |page| page.text(text))),
        Block::Notice(tone, text) => {
            let class = format!("notice {}", tone_class(*tone));
            page.element("p", &[("class", &class)], |page| prose(page, text));
        }
        Block::Figures(figures) => page.element("ul", &[("class", "figures")], |page| {
            figures.iter().for_each(|item| figure(page, item));
        }),
        Block::Table(item) => table(page, item),
        Block::List(items) => page.element("ul", &[], |page| {
            items.iter().for_each(|item| page.element("li", &[], |page| prose(page, item)));
        }),
        Block::Plot => plot::plot(page, report),
        Block::Lines(what, text) => page.element("figure", &[("class", "lines")], |page| {
            page.element("figcaption", &[], |page| page.text(what));
            page.element("pre", &[("role", "region"), ("tabindex", "0"), ("aria-label", what)], |page| {
                page.lines(text)
            });
        }),
    }
}

fn figure(page: &mut Markup, figure: &Figure) {
    page.element("li", &[("class", tone_class(figure.tone))], |page| {
        page.element("strong", &[], |page| page.text(&figure.value));
        page.text(" ");
        page.element("span", &[], |page| page.text(&figure.label));
    });
}

/// The roles are said outright: a browser forgets them where a style lays a table out as cards.
fn table(page: &mut Markup, table: &Table) {
    let wide = table.columns.len() > MOST_COLUMNS_ON_A_PHONE;
    let (frame, class) = if wide { ("table wide", "cards") } else { ("table", "narrow") };
    let columns = format!("columns-{}", table.columns.len());
    page.element(
        "div",
        &[("class", frame), ("role", "region"), ("tabindex", "0"), ("aria-label", &table.caption)],
        |page| {
            let class = format!("{class} {columns}");
            page.element("table", &[("role", "table"), ("class", &class)], |page| {
                page.element("caption", &[], |page| page.text(&table.caption));
                page.element("thead", &[("role", "rowgroup")], |page| {
                    page.element("tr", &[("role", "row")], |page| {
                        for column in &table.columns {
                            let class = column_class(*column);
                            page.element(
                                "th",
                                &[("role", "columnheader"), ("scope", "col"), ("class", class)],
                                |page| {
                                    page.text(column.title());
                                },
                            );
                        }
                    });
                });
                page.element("tbody", &[("role", "rowgroup")], |page| {
                    table.rows.iter().for_each(|row| cells(page, table, row));
                });
            });
        },
    );
}

fn cells(page: &mut Markup, table: &Table, row: &[Cell]) {
    page.element("tr", &[("role", "row")], |page| {
        for (position, (column, item)) in table.columns.iter().zip(row).enumerate() {
            let class = column_class(*column);
            if position == 0 {
                page.element("th", &[("role", "rowheader"), ("scope", "row"), ("class", class)], |page| {
                    cell(page, item)
                });
            } else {
                let attributes = [("role", "cell"), ("data-label", column.title()), ("class", class)];
                page.element("td", &attributes, |page| page.element("div", &[], |page| cell(page, item)));
            }
        }
    });
}

fn cell(page: &mut Markup, cell: &Cell) {
    match cell.tone {
        Some(tone) => {
            let class = format!("tag {}", tone_class(tone));
            page.element("span", &[("class", &class)], |page| prose(page, &cell.main));
        }
        None if cell.main.is_empty() => {}
        None => page.element("span", &[("class", "main")], |page| prose(page, &cell.main)),
    }
    for note in &cell.notes {
        let class = if cell.main.is_empty() { "main" } else { "note" };
        page.element("span", &[("class", class)], |page| prose(page, note));
    }
}

/// Text whose words between backticks are names. Each stands in an isolate of its own, so that a name in a script that
/// is written from right to left leaves the sentence around it as it is.
fn prose(page: &mut Markup, text: &str) {
    for (position, part) in text.split('`').enumerate() {
        if position % 2 == 1 {
            page.element("code", &[("dir", "auto")], |page| page.path(part));
        } else {
            page.text(part);
        }
    }
}

fn column_class(column: Column) -> &'static str {
    match column {
        Column::Text(_) => "text",
        Column::Number(_) => "number",
    }
}

fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Good => "good",
        Tone::Attention => "attention",
        Tone::Bad => "bad",
    }
}
