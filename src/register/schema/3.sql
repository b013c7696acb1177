-- Version 3. What was last counted of each rule, for who asks how much is overdue without opening a store.
CREATE TABLE last_counts (
  rule        TEXT PRIMARY KEY,
  counted_at  TEXT NOT NULL,
  expired     INTEGER NOT NULL,       -- records that should go and are still there
  oldest      TEXT,                   -- the time of the oldest expired record that is still there, where it is known
  since       TEXT                    -- since when the oldest of those that should go has been expired
) STRICT;
