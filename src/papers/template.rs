//! Papers as text: templates filled with the model.
//!
//! The templates are read when the program runs, for an operator may replace each by one of the same name below
//! `templates` of the configuration directory. Whatever they insert is escaped for what they write, HTML or Markdown.
//! A name that does not exist is an error, never an empty place.

use minijinja::value::{Kwargs, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use super::language::{Language, Texts, date, filled};
use super::model::Papers;
use super::{Form, Paper, PaperError, embedded};
use crate::report::html::{self, markup};
use crate::report::markdown;
use crate::visible::visible;

/// What the escaping of Markdown is called.
const MARKDOWN: AutoEscape = AutoEscape::Custom("markdown");

/// Every built-in template, so that one can include another.
const MACROS: &str = "macros.html";
const PAGE: &str = "page.html";

pub(super) fn render(paper: Paper, form: Form, papers: &Papers, language: &Language) -> Result<String, PaperError> {
    let ending = if form == Form::Markdown { "md" } else { "html" };
    let name = format!("{}.{ending}", paper.key());
    let mut environment = environment(language);
    for name in [MACROS, PAGE, &name] {
        add(&mut environment, name, language)?;
    }
    let failed = |error: Error| PaperError::Template { name: name.clone(), problem: problem(&error) };
    let template = environment.get_template(&name).map_err(failed)?;
    let context = Value::from_serialize(papers);
    let is_part = paper.forms().contains(&Form::Page);
    let whole = form == Form::Page || !is_part;
    let context = minijinja::context! { style => html::STYLE, whole_page => whole, ..context };
    template.render(context).map_err(failed)
}

fn add(environment: &mut Environment<'_>, name: &str, language: &Language) -> Result<(), PaperError> {
    let own = language.own_file(name)?;
    let Some(text) = own.or_else(|| embedded::template(name).map(str::to_owned)) else { return Ok(()) };
    let failed = |error: Error| PaperError::Template { name: name.to_owned(), problem: problem(&error) };
    environment.add_template_owned(name.to_owned(), text).map_err(failed)
}

/// Where and why, on one line.
fn problem(error: &Error) -> String {
    let place = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    format!("{place}{error}")
}

fn environment(language: &Language) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(true);
    environment.set_auto_escape_callback(|name| if name.ends_with(".md") { MARKDOWN } else { AutoEscape::Html });
    environment.set_formatter(escaped);
    let texts = language.texts();
    let (of_text, of_missing, of_dates) = (texts.clone(), texts.clone(), texts);
    environment.add_function("t", move |key: &str, values: Kwargs| {
        let text = of_text.get(key).ok_or_else(|| no_text(key))?;
        fill(text, &values, &of_text)
    });
    environment.add_filter("known", move |state: &State<'_, '_>, value: Value| known(state, value, &of_missing));
    environment.add_filter("date", move |value: Value| match value.as_str() {
        Some(iso) => Value::from(date(&of_dates, iso)),
        None => value,
    });
    environment
}

fn no_text(key: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("there is no text `{key}`"))
}

/// A text with the template's values in it; what is not known is told as missing.
fn fill(text: &str, values: &Kwargs, texts: &Texts) -> Result<String, Error> {
    let missing = texts.get("missing").cloned().unwrap_or_default();
    let mut known = Vec::new();
    for name in values.args() {
        let value: Value = values.get(name)?;
        let value = if value.is_none() { missing.clone() } else { value.to_string() };
        known.push((name.to_owned(), value));
    }
    Ok(filled(text, |name| known.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())))
}

/// The value, or a mark that it is missing.
fn known(state: &State<'_, '_>, value: Value, texts: &Texts) -> Value {
    if !value.is_none() {
        return value;
    }
    let missing = texts.get("missing").cloned().unwrap_or_default();
    let mut text = String::new();
    match state.auto_escape() {
        MARKDOWN => {
            markdown::escape(&missing, &mut text);
            Value::from_safe_string(format!("**{text}**"))
        }
        _ => {
            markup::escape(&missing, &mut text);
            Value::from_safe_string(format!("<mark>{text}</mark>"))
        }
    }
}

/// Text as text: what cannot be seen in it is named, and nothing of it is markup.
fn escaped(output: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    let Some(text) = value.as_str().filter(|_| !value.is_safe()) else {
        return write!(output, "{value}").map_err(Error::from);
    };
    let mut told = String::with_capacity(text.len());
    let escape = if state.auto_escape() == MARKDOWN { markdown::escape } else { markup::escape };
    escape(&visible(text), &mut told);
    output.write_str(&told).map_err(Error::from)
}
