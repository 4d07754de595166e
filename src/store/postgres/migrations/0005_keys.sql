-- Keys that change: when anything about a key changed last (rises with every change), whether the terminal is asked for
-- a new one, and the new one until it was used. The salted forms are what outside brokers compare (enrolment::salted);
-- NULL for keys that were given before there were any.
ALTER TABLE identity
    ADD COLUMN changed_at bigint NOT NULL DEFAULT 0,
    ADD COLUMN renew boolean NOT NULL DEFAULT false,
    ADD COLUMN next_key bytea CHECK (length(next_key) = 32),
    ADD COLUMN salted bytea CHECK (length(salted) = 76),
    ADD COLUMN next_salted bytea CHECK (length(next_salted) = 76);
UPDATE identity SET changed_at = enrolled_at;
