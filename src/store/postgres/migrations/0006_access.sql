-- Accounts. password is what argon2 writes; NULL until somebody set the account up. failures and failed_at tell of failed
-- logins in a row.
CREATE TABLE account (
    login text COLLATE "C" PRIMARY KEY,
    role text NOT NULL,
    scope text NOT NULL,
    password text,
    password_at bigint,
    locked boolean NOT NULL,
    failures bigint NOT NULL,
    failed_at bigint NOT NULL,
    created_at bigint NOT NULL,
    login_at bigint,
    revision bigint NOT NULL
);

-- Browsers' sessions, by SHA-256 of what they show.
CREATE TABLE session (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    login text COLLATE "C" NOT NULL REFERENCES account (login),
    created_at bigint NOT NULL,
    seen_at bigint NOT NULL
);
CREATE INDEX session_by_login ON session (login);

-- Other systems' tokens, by SHA-256 of their text.
CREATE TABLE token (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    role text NOT NULL,
    scope text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    used_at bigint,
    revoked boolean NOT NULL
);

-- One-time links. login is NULL for the first administrator's.
CREATE TABLE link (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    login text COLLATE "C" REFERENCES account (login),
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);

-- The audit log: a chain of hashes, and its end beside it.
CREATE TABLE audit (
    number bigint PRIMARY KEY,
    at bigint NOT NULL,
    who text COLLATE "C" NOT NULL,
    origin text NOT NULL,
    action text COLLATE "C" NOT NULL,
    target text NOT NULL,
    before text NOT NULL,
    after text NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32)
);
CREATE INDEX audit_by_time ON audit (at);
ALTER TABLE meta ADD COLUMN audit_number bigint NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN audit_hash bytea NOT NULL DEFAULT '\x0000000000000000000000000000000000000000000000000000000000000000';

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;
CREATE TRIGGER audit_is_not_edited BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
