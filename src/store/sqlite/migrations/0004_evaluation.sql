-- The highest number that a run was given: people quote them, so none comes twice.
ALTER TABLE meta ADD COLUMN last_run INTEGER NOT NULL DEFAULT 0;

-- Rubrics as their texts, by SHA-256.
CREATE TABLE rubric (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    text TEXT NOT NULL,
    stored_at INTEGER NOT NULL
) STRICT;

-- Evaluation runs. Runs refer to others of their county by key, for numbers change when counties move.
-- digest, frozen_by, frozen_at and note are NULL for a draft.
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    county INTEGER NOT NULL REFERENCES county (id),
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    first_day INTEGER NOT NULL,
    last_day INTEGER NOT NULL,
    rubric BLOB NOT NULL REFERENCES rubric (digest),
    supersedes TEXT,
    minutes_from TEXT,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    digest BLOB CHECK (length(digest) = 32),
    frozen_by TEXT,
    frozen_at INTEGER,
    note TEXT,
    UNIQUE (county, key),
    CHECK (first_day <= last_day)
) STRICT;

-- Schools and terminals by code from here on: what the registry does must not reach a frozen run.
CREATE TABLE evidence (
    run INTEGER NOT NULL REFERENCES run (id),
    school TEXT NOT NULL,
    item TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (run, school, item)
) STRICT, WITHOUT ROWID;

-- number is the revision of the run that the exclusion made.
CREATE TABLE exclusion (
    run INTEGER NOT NULL REFERENCES run (id),
    number INTEGER NOT NULL,
    terminal TEXT NOT NULL,
    first_day INTEGER NOT NULL,
    last_day INTEGER NOT NULL,
    reason TEXT NOT NULL,
    excluded_by TEXT NOT NULL,
    excluded_at INTEGER NOT NULL,
    PRIMARY KEY (run, number),
    CHECK (first_day <= last_day)
) STRICT, WITHOUT ROWID;

-- What a frozen run is. digest and bytes are of the content before it was deflated.
CREATE TABLE run_part (
    run INTEGER NOT NULL REFERENCES run (id),
    key TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    bytes INTEGER NOT NULL,
    deflated BLOB NOT NULL,
    PRIMARY KEY (run, key)
) STRICT;
