//! HTML that cannot be malformed: elements are closures, so they nest; every text and every attribute is escaped.
//!
//! Names of elements and attributes are words of the program, never of the data. A template language would bring a
//! compiler plugin for what are forty lines here.

use crate::visible::visible;

/// Markup as it grows.
pub(super) struct Markup {
    html: String,
}

impl Markup {
    /// An HTML document.
    pub(super) fn document() -> Markup {
        Markup { html: "<!doctype html>\n".to_owned() }
    }

    /// An element and what is in it.
    pub(super) fn element(
        &mut self,
        name: &'static str,
        attributes: &[(&'static str, &str)],
        content: impl FnOnce(&mut Markup),
    ) {
        self.open(name, attributes);
        content(self);
        self.html.push_str("</");
        self.html.push_str(name);
        self.html.push('>');
        // A line for each block: the file can be read, and compared with another.
        if !matches!(name, "a" | "bdi" | "code" | "span" | "strong" | "text" | "title" | "dt" | "pre") {
            self.html.push('\n');
        }
    }

    /// An element that has no content.
    pub(super) fn void(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.open(name, attributes);
        self.html.push('\n');
    }

    /// The style sheet, which is a part of the program.
    pub(super) fn style(&mut self, css: &'static str) {
        self.html.push_str("<style>\n");
        self.html.push_str(css);
        self.html.push_str("</style>\n");
    }

    /// Text on one line; what cannot be seen in it is named.
    pub(super) fn text(&mut self, text: &str) {
        self.escaped(&visible(text));
    }

    /// A name, which may be broken behind each of its parts.
    pub(super) fn path(&mut self, text: &str) {
        for (position, part) in text.split_inclusive('/').enumerate() {
            if position > 0 {
                self.html.push_str("<wbr>");
            }
            self.text(part);
        }
    }

    /// Text with its lines.
    pub(super) fn lines(&mut self, text: &str) {
        for (position, line) in text.split('\n').enumerate() {
            if position > 0 {
                self.html.push('\n');
            }
            self.text(line);
        }
    }

    pub(super) fn finish(self) -> String {
        self.html
    }

    fn open(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.html.push('<');
        self.html.push_str(name);
        for (attribute, value) in attributes {
            self.html.push(' ');
            self.html.push_str(attribute);
            self.html.push_str("=\"");
            self.escaped(&visible(value));
            self.html.push('"');
        }
        self.html.push('>');
    }

    fn escaped(&mut self, text: &str) {
        escape(text, &mut self.html);
    }
}

/// Text that is text in an element and in an attribute.
pub(crate) fn escape(text: &str, html: &mut String) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_text_or_an_attribute_holds_stays_one() {
        let mut page = Markup::document();
        page.element("p", &[("title", "\"><script>'&")], |page| page.text("</p><script>\u{202e}&amp;"));
        assert_eq!(
            page.finish(),
            "<!doctype html>\n<p title=\"&quot;&gt;&lt;script&gt;&#39;&amp;\">&lt;/p&gt;&lt;script&gt;⟨U+202E⟩&amp;amp;\
             </p>\n"
        );
    }
}
