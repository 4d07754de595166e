-- Accounts. password is what argon2 writes; NULL until somebody set the account up. failures and failed_at tell of failed
-- logins in a row.
CREATE TABLE account (
    login TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    scope TEXT NOT NULL,
    password TEXT,
    password_at INTEGER,
    locked INTEGER NOT NULL CHECK (locked IN (0, 1)),
    failures INTEGER NOT NULL,
    failed_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    login_at INTEGER,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Browsers' sessions, by SHA-256 of what they show.
CREATE TABLE session (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    login TEXT NOT NULL REFERENCES account (login),
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_login ON session (login);

-- Other systems' tokens, by SHA-256 of their text.
CREATE TABLE token (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    role TEXT NOT NULL,
    scope TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    revoked INTEGER NOT NULL CHECK (revoked IN (0, 1))
) STRICT;

-- One-time links. login is NULL for the first administrator's.
CREATE TABLE link (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    login TEXT REFERENCES account (login),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The audit log: a chain of hashes, and its end beside it.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    origin TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX audit_by_time ON audit (at);
ALTER TABLE meta ADD COLUMN audit_number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN audit_hash BLOB NOT NULL DEFAULT x'0000000000000000000000000000000000000000000000000000000000000000';

CREATE TRIGGER audit_is_not_edited BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
