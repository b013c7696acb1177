-- Version 2. What the tables of a rule were like when an operator, or its first run, accepted them: when they change,
-- the rule is held.
CREATE TABLE accepted_shapes (
  rule        TEXT PRIMARY KEY,
  shape       TEXT NOT NULL,          -- JSON; names and types of the schema, digests of triggers, nothing of a record
  accepted_at TEXT NOT NULL
) STRICT;
