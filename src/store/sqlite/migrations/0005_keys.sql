-- Keys that change: when anything about a key changed last (rises with every change), whether the terminal is asked for
-- a new one, and the new one until it was used. The salted forms are what outside brokers compare (enrolment::salted);
-- NULL for keys that were given before there were any.
ALTER TABLE identity ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE identity ADD COLUMN renew INTEGER NOT NULL DEFAULT 0 CHECK (renew IN (0, 1));
ALTER TABLE identity ADD COLUMN next_key BLOB CHECK (length(next_key) = 32);
ALTER TABLE identity ADD COLUMN salted BLOB CHECK (length(salted) = 76);
ALTER TABLE identity ADD COLUMN next_salted BLOB CHECK (length(next_salted) = 76);
UPDATE identity SET changed_at = enrolled_at;
