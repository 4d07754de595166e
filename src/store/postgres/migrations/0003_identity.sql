-- Living boots, which tell two machines under one identity; with them boot_id is the latest living boot. NULL before any.
-- Not one of them may ever be indexed.
ALTER TABLE heard
    ADD COLUMN sequence bigint,
    ADD COLUMN before_id bytea,
    ADD COLUMN before_sequence bigint,
    ADD COLUMN turns_since bigint,
    ADD COLUMN turns integer NOT NULL DEFAULT 0;

-- Rises with every change of a key.
ALTER TABLE meta ADD COLUMN identity_version bigint NOT NULL DEFAULT 0;

-- Enrolment codes, as SHA-256 of their normal form.
CREATE TABLE code (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    school integer NOT NULL REFERENCES school (id),
    uses bigint NOT NULL,
    used bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    revoked boolean NOT NULL
);

-- Keys, as SHA-256 of what was said, and the code that each was given for.
CREATE TABLE identity (
    terminal integer PRIMARY KEY REFERENCES terminal (id),
    key bytea NOT NULL CHECK (length(key) = 32),
    enrolled_at bigint NOT NULL,
    code bigint REFERENCES code (id),
    revoked boolean NOT NULL
);

-- What the machines with an identity are. kind: 0 board, 1 disk, 2 network adapter.
CREATE TABLE hardware_mark (
    mark bytea NOT NULL CHECK (length(mark) = 16),
    kind smallint NOT NULL,
    terminal integer NOT NULL REFERENCES identity (terminal),
    PRIMARY KEY (mark, kind, terminal)
);
CREATE INDEX hardware_mark_by_terminal ON hardware_mark (terminal);

-- What terminals told beside minutes, and what the service found. boot_id is zeros for the latter.
CREATE TABLE incident (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    terminal integer NOT NULL REFERENCES terminal (id),
    boot_id bytea NOT NULL CHECK (length(boot_id) = 16),
    kind text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    at bigint NOT NULL,
    seconds bigint NOT NULL,
    received_at bigint NOT NULL,
    UNIQUE (terminal, boot_id, kind, number)
);
CREATE INDEX incident_by_terminal ON incident (terminal, received_at);
CREATE INDEX incident_by_time ON incident (received_at);
