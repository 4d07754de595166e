-- Sets of minutes are bit(1440), minute 0 leftmost; instants are Unix seconds. Keys are integers inside this database
-- only; outside, things are known by code or name. Texts that are sorted sort by their bytes, as the service does.

-- One row. registry_version rises with every change of the registry or of a calendar.
CREATE TABLE meta (
    id integer PRIMARY KEY CHECK (id = 1),
    registry_version bigint NOT NULL
);
INSERT INTO meta (id, registry_version) VALUES (1, 0);

CREATE TABLE county (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text COLLATE "C" NOT NULL UNIQUE,
    name text NOT NULL
);

CREATE TABLE school (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text COLLATE "C" NOT NULL UNIQUE,
    county integer NOT NULL REFERENCES county (id),
    name text NOT NULL,
    stage text NOT NULL,
    township text NOT NULL
);
CREATE INDEX school_by_county ON school (county, code);

-- Never deleted, never renamed. placed is false while it waits for approval: true where it has a row in placement.
CREATE TABLE terminal (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    placed boolean NOT NULL DEFAULT false
);
CREATE INDEX terminal_waiting ON terminal (name) WHERE NOT placed;

-- The latest that was heard of a terminal. Apart from terminal, for it changes with every report: no column but the
-- key may ever be indexed, so that an update stays within its page.
CREATE TABLE heard (
    terminal integer PRIMARY KEY,
    first_heard bigint NOT NULL,
    last_heard bigint NOT NULL,
    clock_offset bigint NOT NULL,
    boot_id bytea NOT NULL,
    version text,
    os text
) WITH (fillfactor = 50);

-- Which school a terminal-day belongs to: the only place that says so. A terminal's rows never overlap.
-- to_day is included; 9999-12-31 while the placement goes on.
CREATE TABLE placement (
    terminal integer NOT NULL REFERENCES terminal (id),
    from_day date NOT NULL,
    to_day date NOT NULL,
    school integer NOT NULL REFERENCES school (id),
    room text NOT NULL,
    PRIMARY KEY (terminal, from_day),
    CHECK (from_day <= to_day)
);
CREATE INDEX placement_by_school ON placement (school, from_day, to_day, terminal);

-- The minutes. Rows only ever gain bits; a row has at least one minute. One partition a month, made when first needed.
-- By terminal first, which is also the key to distribute by (Citus). No foreign key: terminals are never deleted, and
-- the check would cost more than the row. No column but the key may ever be indexed.
CREATE TABLE terminal_day (
    terminal integer NOT NULL,
    day date NOT NULL,
    powered bit(1440) NOT NULL,
    used bit(1440) NOT NULL,
    last_seen bigint NOT NULL,
    PRIMARY KEY (terminal, day)
) PARTITION BY RANGE (day);
-- All that is older than any terminal should be.
CREATE TABLE terminal_day_early PARTITION OF terminal_day FOR VALUES FROM (MINVALUE) TO ('2020-01-01') WITH (fillfactor = 60);

-- The rollup: sums over the terminals that stood in the school on the day. A row where any of them has minutes.
CREATE TABLE school_day (
    school integer NOT NULL REFERENCES school (id),
    day date NOT NULL,
    counted bigint NOT NULL,
    powered bigint NOT NULL,
    used bigint NOT NULL,
    lessons_taught bigint NOT NULL,
    reporting bigint NOT NULL,
    PRIMARY KEY (school, day)
) WITH (fillfactor = 70);

-- School-days whose sums may be stale; the lowest number is the oldest mark. A school-day may be marked several times:
-- marks are only ever added, so adding one waits for nobody (see dirty.rs).
CREATE TABLE dirty_school_day (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    school integer NOT NULL,
    day date NOT NULL
);
CREATE INDEX dirty_by_school_day ON dirty_school_day (school, day);

-- Versions are never changed or deleted; the highest is in force.
CREATE TABLE calendar (
    county integer NOT NULL REFERENCES county (id),
    version bigint NOT NULL,
    text text NOT NULL,
    stored_at bigint NOT NULL,
    PRIMARY KEY (county, version)
);

-- What could not be believed. terminal is a text, for its sender need not be registered.
-- received_day is the day of the first arrival: the bound per day counts new entries.
CREATE TABLE quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    terminal text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    reason text COLLATE "C" NOT NULL,
    detail text NOT NULL,
    payload bytea NOT NULL,
    first_at bigint NOT NULL,
    last_at bigint NOT NULL,
    received_day date NOT NULL,
    times bigint NOT NULL,
    waiting boolean NOT NULL,
    UNIQUE (terminal, fingerprint)
);
CREATE INDEX quarantine_by_day ON quarantine (terminal, received_day);
CREATE INDEX quarantine_waiting ON quarantine (reason) WHERE waiting;
