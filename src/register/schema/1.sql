-- The register, version 1. Declared facts carry the time for which they held: a changed fact is closed and a new row
-- opened, never overwritten. Instants are RFC 3339 in UTC, dates ISO 8601.

CREATE TABLE configuration_versions (
  version     INTEGER PRIMARY KEY,
  digest      TEXT NOT NULL,
  program     TEXT NOT NULL,
  applied_at  TEXT NOT NULL
) STRICT;

CREATE TABLE configuration_files (
  path TEXT NOT NULL, sha256 TEXT NOT NULL, content TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

-- Controllers, joint controllers, representatives and data protection officers. `scope` is empty for the daemon,
-- else a site's domain or a processor's id.
CREATE TABLE contacts (
  scope TEXT NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL, address TEXT, contact TEXT,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE processors (
  processor TEXT NOT NULL, product TEXT NOT NULL, legal_name TEXT NOT NULL, identification TEXT, address TEXT,
  contact TEXT, source TEXT, read_on TEXT,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE storage_locations (
  processor TEXT NOT NULL, region TEXT NOT NULL, extent TEXT NOT NULL, promise TEXT,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE transfers (
  processor TEXT NOT NULL, country TEXT NOT NULL, safeguard TEXT, safeguard_valid_until TEXT,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE sub_processors (
  processor TEXT NOT NULL, name TEXT NOT NULL, address TEXT, contact TEXT, purpose TEXT, country TEXT,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE statements (
  processor TEXT NOT NULL, topic TEXT NOT NULL, statement TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE purposes (
  processor TEXT NOT NULL, feature TEXT NOT NULL, purpose TEXT NOT NULL, lawful_basis TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE processed_data (
  processor TEXT NOT NULL, data_group TEXT NOT NULL, category TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE storage_items (
  processor TEXT NOT NULL, name TEXT NOT NULL, class TEXT NOT NULL, kind TEXT NOT NULL, lifetime TEXT NOT NULL,
  description TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE data_categories (
  category TEXT NOT NULL, name TEXT NOT NULL, description TEXT, setting TEXT,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE sites (
  site TEXT NOT NULL, time_zone TEXT NOT NULL, schedule TEXT NOT NULL, file TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE site_settings (
  site TEXT NOT NULL, setting TEXT NOT NULL, value TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE categories_not_stored (
  site TEXT NOT NULL, category TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE agreements (
  site TEXT NOT NULL, processor TEXT NOT NULL, agreed_on TEXT, chat_key TEXT,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE features_in_use (
  site TEXT NOT NULL, processor TEXT NOT NULL, feature TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE retention_periods (
  site TEXT NOT NULL, subject TEXT NOT NULL, class TEXT, period TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE stores (
  site TEXT NOT NULL, store TEXT NOT NULL, kind TEXT NOT NULL, location TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE tagged_tables (
  site TEXT NOT NULL, store TEXT NOT NULL, table_name TEXT NOT NULL, holds TEXT NOT NULL, time_column TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

CREATE TABLE tagged_columns (
  site TEXT NOT NULL, store TEXT NOT NULL, table_name TEXT NOT NULL, column_name TEXT NOT NULL, holds TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

-- Directories and logs: `part` is `files`, `lines` or `addresses`.
CREATE TABLE tagged_files (
  site TEXT NOT NULL, store TEXT NOT NULL, part TEXT NOT NULL, holds TEXT NOT NULL,
  valid_from TEXT NOT NULL, valid_until TEXT
) STRICT;

-- What operators decided and what was done.

CREATE TABLE approvals (
  approval    INTEGER PRIMARY KEY,
  rule        TEXT NOT NULL,
  definition  TEXT NOT NULL,          -- JSON; follows the rule as long as it only comes to keep more
  counted     INTEGER NOT NULL,
  ceiling     INTEGER NOT NULL,       -- records that the next run may touch whatever their share
  approved_at TEXT NOT NULL,
  uid         INTEGER NOT NULL,
  used_at     TEXT,                   -- end of the run that used the ceiling up
  ended_at    TEXT                    -- when the rule became another one
) STRICT;
CREATE UNIQUE INDEX approvals_in_force ON approvals (rule) WHERE ended_at IS NULL;

CREATE TABLE holds (
  hold        INTEGER PRIMARY KEY,
  prefix      TEXT NOT NULL,
  column_name TEXT,
  value       TEXT,                   -- stands here only, never in the audit log
  until       TEXT NOT NULL,
  reason_code TEXT NOT NULL,
  added_at    TEXT NOT NULL,
  uid         INTEGER NOT NULL,
  lifted_at   TEXT
) STRICT;

CREATE TABLE runs (
  run         TEXT PRIMARY KEY,
  rule        TEXT NOT NULL,
  digest      TEXT NOT NULL,
  started_at  TEXT NOT NULL,
  cutoff      TEXT,
  counted     INTEGER NOT NULL,
  finished_at TEXT,
  outcome     TEXT,
  erased      INTEGER NOT NULL DEFAULT 0,
  children    INTEGER NOT NULL DEFAULT 0,
  left_over   INTEGER,
  pending     TEXT,
  reason      TEXT
) STRICT;
CREATE INDEX runs_by_rule ON runs (rule, started_at);

-- Rules that are held or waiting, since when: a hold is written to the audit log when it begins, not every night.
CREATE TABLE held_rules (
  rule        TEXT PRIMARY KEY,
  reason      TEXT NOT NULL,
  since       TEXT NOT NULL
) STRICT;

-- One row: the last moment at which wall clock and boot clock were seen together.
CREATE TABLE clock (
  only        INTEGER PRIMARY KEY CHECK (only = 1),
  boot        TEXT NOT NULL,
  boottime_us INTEGER NOT NULL,
  wall        TEXT NOT NULL
) STRICT;

CREATE INDEX configuration_files_now ON configuration_files (path) WHERE valid_until IS NULL;
