//! The sample's visitor database: what a shop's chat back end has gathered over fourteen months.
//!
//! It stands in for somebody else's database, so it is shaped like one: ordinary tables in WAL mode, rows mostly in
//! time order, a few visitors who came back later, a few whose time was lost. Every person is invented and every
//! address, number and domain comes from a range set aside for examples, so no purge of it can concern anybody.
//!
//! The same [`Sample`] gives the same rows on every machine: what the demonstration prints can be compared.

mod draw;
#[cfg(test)]
mod tests;

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, Statement, Transaction, ffi, params};

use draw::{Contact, Draw};

/// Visitors unless asked otherwise: enough that batches and their pace show, few enough to be written in seconds.
pub(crate) const DEFAULT_VISITORS: u32 = 200_000;

/// Seed unless asked otherwise. Any number serves; a fixed one makes two demonstrations comparable.
pub(crate) const DEFAULT_SEED: u64 = 30;

/// Seconds in a day.
const DAY: u32 = 86_400;

/// How far back the rows reach, in seconds: fourteen calendar months are never shorter than 424 days, so that no row
/// is older than fourteen months whatever the date.
const REACH: u32 = 424 * DAY;

/// Visitors whose time was lost (`last_seen` = 0), so that the demonstration shows undatable rows being kept.
const UNDATABLE: u64 = 7;

/// One visitor in so many writes to the chat.
const CHATTING: u32 = 6;

/// One visitor in so many comes back on a later day.
const RETURNING: u32 = 12;

/// Page cache while writing, in KiB: the freshly written tables stay in memory until their indexes are built.
const CACHE_KIB: i64 = 128 * 1024;

const SCHEMA: &str = include_str!("schema.sql");

/// One sorted pass over finished tables is several times faster than keeping indexes up to date row by row.
const INDEXES: &str = "
    CREATE INDEX visitors_last_seen ON visitors (last_seen);
    CREATE INDEX pages_visitor ON pages (visitor_id);
    CREATE INDEX conversations_last_message ON conversations (last_message_at);
    CREATE INDEX messages_conversation ON messages (conversation_id);";

const INSERT_VISITOR: &str = "INSERT INTO visitors (vid, first_seen, last_seen, name, surname, email, phone, social, \
    screen, device, browser, os, ip, country, city, visits, marketing_consent) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
const INSERT_PAGE: &str = "INSERT INTO pages (visitor_id, url, viewed_at) VALUES (?1, ?2, ?3)";
const INSERT_CONVERSATION: &str =
    "INSERT INTO conversations (visitor_id, started_at, last_message_at) VALUES (?1, ?2, ?3)";
const INSERT_MESSAGE: &str = "INSERT INTO messages (conversation_id, author, body, sent_at) VALUES (?1, ?2, ?3, ?4)";

/// What to write. Equal values give equal rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Number of visitors.
    pub(crate) visitors: u32,
    /// Start of the random sequence.
    pub(crate) seed: u64,
    /// The end of the fourteen months: no row is younger.
    pub(crate) now: Timestamp,
}

/// How many rows were written, per table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Rows of `visitors`.
    pub(crate) visitors: u64,
    /// Rows of `pages`.
    pub(crate) pages: u64,
    /// Rows of `conversations`.
    pub(crate) conversations: u64,
    /// Rows of `messages`.
    pub(crate) messages: u64,
    /// Those of the visitors whose `last_seen` is 0: seven, or all of fewer.
    pub(crate) undatable: u64,
}

/// Writes the sample database to `path`, in one transaction, and leaves it in WAL mode with no side files.
///
/// # Errors
/// Whatever SQLite reports. A database that holds anything already is refused with `SQLITE_CANTOPEN` and left as it
/// is; after any other error the file holds no tables.
pub(crate) fn write(path: &Path, size: &Sample) -> Result<Counts, rusqlite::Error> {
    let mut connection = Connection::open(path)?;
    refuse_if_in_use(&connection)?;
    // A sample lost in a power cut is simply written again: waiting for the disk would buy nothing.
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;

    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    let counts = fill(&transaction, size)?;
    transaction.execute_batch(INDEXES)?;
    transaction.commit()?;

    // Only now: inside a WAL every page would have been written twice.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(counts)
}

fn refuse_if_in_use(connection: &Connection) -> Result<(), rusqlite::Error> {
    let in_use: bool = connection.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
    if in_use {
        let reason = "the file is a database already; the sample goes into a new one".to_owned();
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(reason)));
    }
    Ok(())
}

fn fill(transaction: &Transaction<'_>, size: &Sample) -> Result<Counts, rusqlite::Error> {
    let mut writer = Writer::new(transaction, size.seed)?;
    for index in 0..size.visitors {
        let visit = writer.visit(index, size);
        writer.visitor(&visit)?;
    }
    Ok(writer.counts)
}

/// When one visitor came, in Unix seconds, and what the visit was like.
struct Visit {
    first_seen: i64,
    /// Start and end of the latest visit: pages and messages lie between the two.
    start: i64,
    end: i64,
    visits: u32,
    chatting: bool,
    undatable: bool,
}

impl Visit {
    /// The instant of event `number` of `of`, in order and evenly between start and end.
    fn moment(&self, number: u32, of: u32) -> i64 {
        self.start + (self.end - self.start) * i64::from(number) / i64::from(of)
    }
}

/// The prepared statements, the random sequence and what was written so far.
struct Writer<'t> {
    visitors: Statement<'t>,
    pages: Statement<'t>,
    conversations: Statement<'t>,
    messages: Statement<'t>,
    draw: Draw,
    counts: Counts,
}

impl<'t> Writer<'t> {
    fn new(transaction: &'t Transaction<'_>, seed: u64) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            visitors: transaction.prepare(INSERT_VISITOR)?,
            pages: transaction.prepare(INSERT_PAGE)?,
            conversations: transaction.prepare(INSERT_CONVERSATION)?,
            messages: transaction.prepare(INSERT_MESSAGE)?,
            draw: Draw::new(seed),
            counts: Counts::default(),
        })
    }

    /// Draws the times of visitor `index`: first visits are spread evenly, each within its own slice of the time.
    fn visit(&mut self, index: u32, size: &Sample) -> Visit {
        let now = size.now.as_second();
        let earliest = now - i64::from(REACH);
        let slice = |number: u32| i64::from(REACH) * i64::from(number) / i64::from(size.visitors);
        let first_seen = earliest + self.draw.within(slice(index), slice(index + 1));

        let chatting = self.draw.one_in(CHATTING);
        let returning = self.draw.one_in(RETURNING);
        let start = if returning { self.draw.within(first_seen, now) } else { first_seen };
        // Reading takes up to half an hour; a conversation five minutes at least.
        let length = self.draw.within(20, 1_800) + if chatting { 300 } else { 0 };
        Visit {
            first_seen,
            start,
            end: now.min(start + length),
            visits: if returning { 2 + self.draw.below(8) } else { 1 },
            chatting,
            undatable: is_undatable(index, size.visitors),
        }
    }

    fn visitor(&mut self, visit: &Visit) -> Result<(), rusqlite::Error> {
        let draw = &mut self.draw;
        let vid = draw.visitor_id();
        let region = draw.region();
        let (country, city) = draw.place(region);
        let machine = draw.machine();
        let address = draw.address();
        let consent = draw.consent();
        // Whoever only reads leaves no contact.
        let contact = if visit.chatting { draw.contact(region, self.counts.visitors + 1) } else { Contact::default() };
        let last_seen = if visit.undatable { 0 } else { visit.end };

        let visitor = self.visitors.insert(params![
            vid,
            visit.first_seen,
            last_seen,
            contact.name,
            contact.surname,
            contact.email,
            contact.phone,
            contact.social,
            machine.screen,
            machine.device,
            machine.browser,
            machine.os,
            address,
            country,
            city,
            visit.visits,
            consent,
        ])?;
        self.counts.visitors += 1;
        self.counts.undatable += u64::from(visit.undatable);
        self.pages(visitor, visit)?;
        if visit.chatting { self.conversation(visitor, visit) } else { Ok(()) }
    }

    /// One to three pages, two on average.
    fn pages(&mut self, visitor: i64, visit: &Visit) -> Result<(), rusqlite::Error> {
        let pages = 1 + self.draw.below(3);
        for number in 0..pages {
            let url = self.draw.url();
            self.pages.execute(params![visitor, url, visit.moment(number, pages)])?;
        }
        self.counts.pages += u64::from(pages);
        Ok(())
    }

    /// Two to six messages, four on average, question and answer in turn.
    fn conversation(&mut self, visitor: i64, visit: &Visit) -> Result<(), rusqlite::Error> {
        let messages = 2 + self.draw.below(5);
        // The last message comes before the visitor leaves, the first after a look at the page.
        let sent_at = |number: u32| visit.moment(number + 1, messages + 1);
        let conversation = self.conversations.insert(params![visitor, sent_at(0), sent_at(messages - 1)])?;
        for number in 0..messages {
            let (author, body) =
                if number % 2 == 0 { ("visitor", self.draw.question()) } else { ("agent", self.draw.answer()) };
            self.messages.execute(params![conversation, author, body, sent_at(number)])?;
        }
        self.counts.conversations += 1;
        self.counts.messages += u64::from(messages);
        Ok(())
    }
}

/// Whether visitor `index` of `visitors` is one of the undatable ones, which stand evenly apart.
fn is_undatable(index: u32, visitors: u32) -> bool {
    // The middle of each seventh part of the table.
    (0..UNDATABLE).any(|part| u64::from(index) == u64::from(visitors) * (2 * part + 1) / (2 * UNDATABLE))
}
