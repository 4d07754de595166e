-- The highest number that a run was given: people quote them, so none comes twice.
ALTER TABLE meta ADD COLUMN last_run bigint NOT NULL DEFAULT 0;

-- Rubrics as their texts, by SHA-256.
CREATE TABLE rubric (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    text text NOT NULL,
    stored_at bigint NOT NULL
);

-- Evaluation runs. Runs refer to others of their county by key, for numbers change when counties move.
-- digest, frozen_by, frozen_at and note are NULL for a draft.
CREATE TABLE run (
    id bigint PRIMARY KEY,
    county integer NOT NULL REFERENCES county (id),
    key text COLLATE "C" NOT NULL,
    name text NOT NULL,
    first_day date NOT NULL,
    last_day date NOT NULL,
    rubric bytea NOT NULL REFERENCES rubric (digest),
    supersedes text COLLATE "C",
    minutes_from text COLLATE "C",
    created_by text NOT NULL,
    created_at bigint NOT NULL,
    revision bigint NOT NULL,
    digest bytea CHECK (length(digest) = 32),
    frozen_by text,
    frozen_at bigint,
    note text,
    UNIQUE (county, key),
    CHECK (first_day <= last_day)
);

-- Schools and terminals by code from here on: what the registry does must not reach a frozen run.
CREATE TABLE evidence (
    run bigint NOT NULL REFERENCES run (id),
    school text COLLATE "C" NOT NULL,
    item text COLLATE "C" NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (run, school, item)
);

-- number is the revision of the run that the exclusion made.
CREATE TABLE exclusion (
    run bigint NOT NULL REFERENCES run (id),
    number bigint NOT NULL,
    terminal text COLLATE "C" NOT NULL,
    first_day date NOT NULL,
    last_day date NOT NULL,
    reason text NOT NULL,
    excluded_by text NOT NULL,
    excluded_at bigint NOT NULL,
    PRIMARY KEY (run, number),
    CHECK (first_day <= last_day)
);

-- What a frozen run is. digest and bytes are of the content before it was deflated.
CREATE TABLE run_part (
    run bigint NOT NULL REFERENCES run (id),
    key text COLLATE "C" NOT NULL,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    bytes bigint NOT NULL,
    deflated bytea NOT NULL,
    PRIMARY KEY (run, key)
);
-- It is deflated already.
ALTER TABLE run_part ALTER COLUMN deflated SET STORAGE EXTERNAL;
