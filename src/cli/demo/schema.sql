-- A shop's chat back end, as its application would have made it: no STRICT, no foreign keys, times in Unix seconds.
-- The indexes follow once the rows are in.

CREATE TABLE visitors (
    id                INTEGER PRIMARY KEY,
    vid               TEXT NOT NULL,        -- value of ssupp.vid
    first_seen        INTEGER,
    last_seen         INTEGER NOT NULL,     -- 0: unknown
    name              TEXT,
    surname           TEXT,
    email             TEXT,
    phone             TEXT,
    social            TEXT,
    screen            TEXT,
    device            TEXT,
    browser           TEXT,
    os                TEXT,
    ip                TEXT,
    country           TEXT,
    city              TEXT,
    visits            INTEGER,
    marketing_consent INTEGER NULL          -- 1 given, 0 refused, NULL never asked
);

CREATE TABLE pages (
    id         INTEGER PRIMARY KEY,
    visitor_id INTEGER NOT NULL,
    url        TEXT,
    viewed_at  INTEGER
);

CREATE TABLE conversations (
    id              INTEGER PRIMARY KEY,
    visitor_id      INTEGER NOT NULL,
    started_at      INTEGER,
    last_message_at INTEGER NOT NULL
);

CREATE TABLE messages (
    id              INTEGER PRIMARY KEY,
    conversation_id INTEGER NOT NULL,
    author          TEXT,
    body            TEXT,
    sent_at         INTEGER
);
