//! A visit to a page with a browser: before the visitor answers, after a refusal, and after an acceptance.
//!
//! Each is a visitor of its own who was never there before. After the answer the page is loaded anew, because many
//! pages act on it only then; what is still there afterwards is there in spite of the answer.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::browser::{Browser, BrowserError, Happened};
use super::capture::{Items, Row, TooMany};
use super::{Capture, Life, Moment, Source, host};
use crate::config::ItemKind;
use crate::config::site::CookieBar;

/// How long a page may take to load. One that takes longer is looked at as it is.
const LOAD: Duration = Duration::from_secs(60);

/// How long a button may take to appear.
const BUTTON: Duration = Duration::from_secs(20);

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// More frames than this are not asked for their storage.
const MOST_FRAMES: usize = 200;

/// What is visited, and how.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// The page.
    pub url: &'a str,
    /// The browser; else the first one that is installed.
    pub browser: Option<&'a Path>,
    /// The buttons by which the visitor answers.
    pub bar: &'a CookieBar,
    /// How long the page may work after it was loaded and after an answer.
    pub settle: Duration,
    /// The time.
    pub now: Timestamp,
}

/// Why a visit failed.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// The browser.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// The page.
    #[error("{url} cannot be visited: {problem}")]
    Page {
        /// Its address.
        url: String,
        /// What the browser says, which is one of its own words.
        problem: String,
    },
    /// No such button.
    #[error(
        "`{key}` of `[cookie-bar]`: no button that can be seen is found by `{selector}` within {} s on {url}",
        BUTTON.as_secs()
    )]
    NoButton {
        /// The key.
        key: &'static str,
        /// The selector.
        selector: String,
        /// The page.
        url: String,
    },
    /// No selector.
    #[error("`{key}` of `[cookie-bar]`: the browser does not take `{selector}` for a CSS selector")]
    NoSelector {
        /// The key.
        key: &'static str,
        /// The selector.
        selector: String,
    },
    /// More items than a visit can have.
    #[error("{url} sets more cookies and entries than can be looked at")]
    TooMany {
        /// The page.
        url: String,
    },
}

/// Visits the page as often as there are answers to give.
///
/// # Errors
/// There is no browser, the page cannot be visited, or a button is not there: then nothing is known of that answer.
pub fn visit(visit: &Visit<'_>) -> Result<Vec<Capture>, VisitError> {
    let mut browser = Browser::start(visit.browser)?;
    let refuse = visit.bar.refuse.as_deref().map(|selector| Button { key: "refuse", selector });
    let accept = visit.bar.accept.as_deref().map(|selector| Button { key: "accept", selector });
    let mut captures = vec![look(&mut browser, visit, Moment::BeforeConsent, None)?];
    for (moment, button) in [(Moment::AfterRefusal, refuse), (Moment::AfterAcceptance, accept)] {
        if button.is_some() {
            captures.push(look(&mut browser, visit, moment, button)?);
        }
    }
    Ok(captures)
}

#[derive(Debug, Clone, Copy)]
struct Button<'a> {
    key: &'static str,
    selector: &'a str,
}

fn look(
    browser: &mut Browser,
    visit: &Visit<'_>,
    moment: Moment,
    button: Option<Button<'_>>,
) -> Result<Capture, VisitError> {
    let mut page = Page::open(browser)?;
    page.go(visit)?;
    if let Some(button) = button {
        page.press(button, visit.url)?;
        page.browser.let_pass(visit.settle)?;
        page.reload(visit)?;
    }
    let mut items = Items::default();
    page.cookies(visit.now, &mut items)?.map_err(|TooMany| VisitError::TooMany { url: visit.url.to_owned() })?;
    page.storage(&mut items)?.map_err(|TooMany| VisitError::TooMany { url: visit.url.to_owned() })?;
    page.close()?;
    Ok(Capture { source: Source::Browser, moment, items: items.into_items() })
}

/// A page in a context of its own.
struct Page<'a> {
    browser: &'a mut Browser,
    context: String,
    session: String,
}

impl<'a> Page<'a> {
    fn open(browser: &'a mut Browser) -> Result<Page<'a>, BrowserError> {
        let context = browser.ask(None, "Target.createBrowserContext", &json!({}))?;
        let context = text(&context, "browserContextId", "Target.createBrowserContext")?;
        let target = json!({ "url": "about:blank", "browserContextId": context });
        let target = browser.ask(None, "Target.createTarget", &target)?;
        let target = text(&target, "targetId", "Target.createTarget")?;
        let session = browser.ask(None, "Target.attachToTarget", &json!({ "targetId": target, "flatten": true }))?;
        let session = text(&session, "sessionId", "Target.attachToTarget")?;
        let mut page = Page { browser, context, session };
        page.ask("Page.enable", &json!({}))?;
        let agent = json!({ "userAgent": page.browser.agent });
        page.ask("Emulation.setUserAgentOverride", &agent)?;
        Ok(page)
    }

    fn ask(&mut self, method: &'static str, parameters: &Value) -> Result<Value, BrowserError> {
        self.browser.ask(Some(&self.session), method, parameters)
    }

    fn go(&mut self, visit: &Visit<'_>) -> Result<(), VisitError> {
        self.browser.forget_events(&self.session);
        let answer = self.ask("Page.navigate", &json!({ "url": visit.url }))?;
        if let Some(problem) = answer.get("errorText").and_then(Value::as_str) {
            return Err(VisitError::Page { url: visit.url.to_owned(), problem: problem.to_owned() });
        }
        self.loaded(visit)
    }

    fn reload(&mut self, visit: &Visit<'_>) -> Result<(), VisitError> {
        self.browser.forget_events(&self.session);
        self.ask("Page.reload", &json!({}))?;
        self.loaded(visit)
    }

    fn loaded(&mut self, visit: &Visit<'_>) -> Result<(), VisitError> {
        // Some pages never end to load: they are looked at as they are.
        let (Happened::Yes | Happened::NotInTime) =
            self.browser.happened(&self.session, "Page.loadEventFired", LOAD)?;
        Ok(self.browser.let_pass(visit.settle)?)
    }

    /// Presses a button as soon as it can be seen, also inside of components.
    fn press(&mut self, button: Button<'_>, url: &str) -> Result<(), VisitError> {
        let Button { key, selector } = button;
        let script = format!("({PRESS})({})", Value::from(selector));
        let mut waited = Duration::ZERO;
        while waited < BUTTON {
            let answer = self.ask("Runtime.evaluate", &json!({ "expression": script, "returnByValue": true }))?;
            match answer.pointer("/result/value").and_then(Value::as_str) {
                Some("pressed") => return Ok(()),
                Some("no selector") => return Err(VisitError::NoSelector { key, selector: selector.to_owned() }),
                _ => self.browser.let_pass(LOOK)?,
            }
            waited += LOOK;
        }
        Err(VisitError::NoButton { key, selector: selector.to_owned(), url: url.to_owned() })
    }

    fn cookies(&mut self, now: Timestamp, items: &mut Items) -> Result<Result<(), TooMany>, BrowserError> {
        const METHOD: &str = "Storage.getCookies";
        #[derive(Deserialize)]
        struct Cookies {
            cookies: Vec<Row>,
        }
        let answer = self.browser.ask(None, METHOD, &json!({ "browserContextId": self.context }))?;
        let cookies = Cookies::deserialize(answer).map_err(|_| BrowserError::Refused { asked: METHOD })?;
        Ok(cookies.cookies.iter().try_for_each(|row| row.add_to(items, now)))
    }

    /// Names of the entries that the page and its frames keep.
    fn storage(&mut self, items: &mut Items) -> Result<Result<(), TooMany>, BrowserError> {
        let tree = self.ask("Page.getFrameTree", &json!({}))?;
        for frame in frames(&tree) {
            // A frame may be gone by now, and one without an origin keeps nothing.
            let Ok(answer) = self.names(&frame) else { continue };
            let Ok(names) = Names::deserialize(answer) else { continue };
            if names.add_to(items).is_err() {
                return Ok(Err(TooMany));
            }
        }
        Ok(Ok(()))
    }

    /// In a world of its own, in which the scripts of the page have changed nothing.
    fn names(&mut self, frame: &str) -> Result<Value, BrowserError> {
        let world = self.ask("Page.createIsolatedWorld", &json!({ "frameId": frame }))?;
        let world = world.get("executionContextId").cloned().unwrap_or_default();
        let call = json!({ "expression": NAMES, "contextId": world, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.ask("Runtime.evaluate", &call)?;
        Ok(answer.pointer_mut("/result/value").map(Value::take).unwrap_or_default())
    }

    fn close(self) -> Result<(), BrowserError> {
        self.browser.ask(None, "Target.disposeBrowserContext", &json!({ "browserContextId": self.context }))?;
        Ok(())
    }
}

/// Presses the first element of a selector that takes room on the page.
const PRESS: &str = r#"selector => {
    const find = root => {
        for (const found of root.querySelectorAll(selector)) {
            if (found.getClientRects().length > 0) return found;
        }
        for (const element of root.querySelectorAll("*")) {
            const found = element.shadowRoot && find(element.shadowRoot);
            if (found) return found;
        }
        return null;
    };
    try {
        document.createDocumentFragment().querySelector(selector);
    } catch {
        return "no selector";
    }
    const button = find(document);
    if (!button) return "not there";
    button.click();
    return "pressed";
}"#;

/// Names of what a frame keeps. Values stay in the page.
const NAMES: &str = r#"(async () => {
    const keys = of => { try { return Object.keys(of()); } catch { return []; } };
    const databases = async () => {
        try { return (await indexedDB.databases()).map(database => database.name); } catch { return []; }
    };
    return {
        host: location.hostname,
        local: keys(() => localStorage),
        session: keys(() => sessionStorage),
        databases: await databases(),
    };
})()"#;

#[derive(Deserialize)]
struct Names {
    host: String,
    local: Vec<String>,
    session: Vec<String>,
    databases: Vec<String>,
}

impl Names {
    fn add_to(&self, items: &mut Items) -> Result<(), TooMany> {
        let host = host::named(&self.host);
        for (names, kind, life) in [
            (&self.local, ItemKind::LocalStorage, Life::UntilDeleted),
            (&self.session, ItemKind::SessionStorage, Life::Session),
            (&self.databases, ItemKind::IndexedDb, Life::UntilDeleted),
        ] {
            for name in names {
                items.add(name, kind, host.clone(), life)?;
            }
        }
        Ok(())
    }
}

/// The ids of a page's frame and of all frames in it.
fn frames(tree: &Value) -> Vec<String> {
    let mut ids = Vec::new();
    let mut left: Vec<&Value> = tree.get("frameTree").into_iter().collect();
    while let Some(node) = left.pop() {
        ids.extend(node.pointer("/frame/id").and_then(Value::as_str).map(str::to_owned));
        left.extend(node.get("childFrames").and_then(Value::as_array).into_iter().flatten());
        if ids.len() >= MOST_FRAMES {
            break;
        }
    }
    ids
}

fn text(answer: &Value, key: &str, asked: &'static str) -> Result<String, BrowserError> {
    answer.get(key).and_then(Value::as_str).map(str::to_owned).ok_or(BrowserError::Refused { asked })
}
