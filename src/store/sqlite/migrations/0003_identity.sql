-- Living boots, which tell two machines under one identity; with them boot_id is the latest living boot. NULL before any.
ALTER TABLE terminal ADD COLUMN sequence INTEGER;
ALTER TABLE terminal ADD COLUMN before_id BLOB;
ALTER TABLE terminal ADD COLUMN before_sequence INTEGER;
ALTER TABLE terminal ADD COLUMN turns_since INTEGER;
ALTER TABLE terminal ADD COLUMN turns INTEGER NOT NULL DEFAULT 0;
-- Those that are two machines: hardly any, so that no other report pays for them. The figure is domain::boots::ALARM.
CREATE INDEX terminal_of_two ON terminal (name) WHERE turns >= 6;

-- Rises with every change of a key.
ALTER TABLE meta ADD COLUMN identity_version INTEGER NOT NULL DEFAULT 0;

-- Enrolment codes, as SHA-256 of their normal form.
CREATE TABLE code (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    school INTEGER NOT NULL REFERENCES school (id),
    uses INTEGER NOT NULL,
    used INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked INTEGER NOT NULL CHECK (revoked IN (0, 1))
) STRICT;

-- Keys, as SHA-256 of what was said, and the code that each was given for.
CREATE TABLE identity (
    terminal INTEGER PRIMARY KEY REFERENCES terminal (id),
    key BLOB NOT NULL CHECK (length(key) = 32),
    enrolled_at INTEGER NOT NULL,
    code INTEGER REFERENCES code (id),
    revoked INTEGER NOT NULL CHECK (revoked IN (0, 1))
) STRICT;

-- What the machines with an identity are. kind: 0 board, 1 disk, 2 network adapter.
CREATE TABLE hardware_mark (
    mark BLOB NOT NULL CHECK (length(mark) = 16),
    kind INTEGER NOT NULL,
    terminal INTEGER NOT NULL REFERENCES identity (terminal),
    PRIMARY KEY (mark, kind, terminal)
) STRICT, WITHOUT ROWID;
CREATE INDEX hardware_mark_by_terminal ON hardware_mark (terminal);

-- What terminals told beside minutes, and what the service found. boot_id is zeros for the latter.
CREATE TABLE incident (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    terminal INTEGER NOT NULL REFERENCES terminal (id),
    boot_id BLOB NOT NULL CHECK (length(boot_id) = 16),
    kind TEXT NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    seconds INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    UNIQUE (terminal, boot_id, kind, number)
) STRICT;
CREATE INDEX incident_by_terminal ON incident (terminal, received_at);
CREATE INDEX incident_by_time ON incident (received_at);
