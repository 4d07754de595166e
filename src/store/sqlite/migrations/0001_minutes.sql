-- Days are integers (days since 1970-01-01), instants Unix seconds, sets of minutes 180 bytes with minute 0 as the
-- highest bit of the first byte. Keys are integers inside this file only; outside, things are known by code or name.

-- "CLPS": a Classpulse database.
PRAGMA application_id = 1129074771;

-- One row. registry_version rises with every change of the registry or of a calendar.
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    registry_version INTEGER NOT NULL
) STRICT;
INSERT INTO meta (id, registry_version) VALUES (1, 0);

CREATE TABLE county (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL
) STRICT;

CREATE TABLE school (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    county INTEGER NOT NULL REFERENCES county (id),
    name TEXT NOT NULL,
    stage TEXT NOT NULL,
    township TEXT NOT NULL
) STRICT;
CREATE INDEX school_by_county ON school (county, code);

-- Never deleted, never renamed. Pending is a terminal without placements.
CREATE TABLE terminal (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    first_heard INTEGER,
    last_heard INTEGER,
    clock_offset INTEGER,
    boot_id BLOB,
    version TEXT NOT NULL DEFAULT '',
    os TEXT NOT NULL DEFAULT ''
) STRICT;

-- Which school a terminal-day belongs to: the only place that says so. A terminal's rows never overlap.
-- to_day is included; 2932896 (9999-12-31) while the placement goes on.
CREATE TABLE placement (
    terminal INTEGER NOT NULL REFERENCES terminal (id),
    from_day INTEGER NOT NULL,
    to_day INTEGER NOT NULL,
    school INTEGER NOT NULL REFERENCES school (id),
    room TEXT NOT NULL,
    PRIMARY KEY (terminal, from_day),
    CHECK (from_day <= to_day)
) STRICT, WITHOUT ROWID;
CREATE INDEX placement_by_school ON placement (school, from_day, to_day, terminal);

-- The minutes. Rows only ever gain bits; a row has at least one minute.
-- By day first: what is written together lies together, a tenth of the pages that terminal first would touch.
CREATE TABLE terminal_day (
    day INTEGER NOT NULL,
    terminal INTEGER NOT NULL REFERENCES terminal (id),
    powered BLOB NOT NULL CHECK (length(powered) = 180),
    used BLOB NOT NULL CHECK (length(used) = 180),
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (day, terminal)
) STRICT, WITHOUT ROWID;
-- A terminal's days. Over the key alone: an update never touches it, and no other column may ever be indexed.
CREATE INDEX terminal_day_by_terminal ON terminal_day (terminal, day);

-- The rollup: sums over the terminals that stood in the school on the day. A row where any of them has minutes.
CREATE TABLE school_day (
    school INTEGER NOT NULL REFERENCES school (id),
    day INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    powered INTEGER NOT NULL,
    used INTEGER NOT NULL,
    lessons_taught INTEGER NOT NULL,
    reporting INTEGER NOT NULL,
    PRIMARY KEY (school, day)
) STRICT, WITHOUT ROWID;

-- School-days whose sums may be stale; the lowest number is the oldest mark.
CREATE TABLE dirty_school_day (
    number INTEGER PRIMARY KEY,
    school INTEGER NOT NULL REFERENCES school (id),
    day INTEGER NOT NULL,
    UNIQUE (school, day)
) STRICT;

-- Versions are never changed or deleted; the highest is in force.
CREATE TABLE calendar (
    county INTEGER NOT NULL REFERENCES county (id),
    version INTEGER NOT NULL,
    text TEXT NOT NULL,
    stored_at INTEGER NOT NULL,
    PRIMARY KEY (county, version)
) STRICT;

-- What could not be believed. terminal is a text, for its sender need not be registered.
-- received_day is the day of the first arrival: the bound per day counts new entries.
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    terminal TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    payload BLOB NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    received_day INTEGER NOT NULL,
    times INTEGER NOT NULL,
    waiting INTEGER NOT NULL CHECK (waiting IN (0, 1)),
    UNIQUE (terminal, fingerprint)
) STRICT;
CREATE INDEX quarantine_by_day ON quarantine (terminal, received_day);
CREATE INDEX quarantine_waiting ON quarantine (reason) WHERE waiting = 1;
