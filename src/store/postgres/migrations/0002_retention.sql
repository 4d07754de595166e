-- Terminal-days before this day are gone or about to go; the sums of those days are final. NULL while all are kept.
ALTER TABLE meta ADD COLUMN kept_from date;

-- Periods whose results stand in a frozen evaluation: their terminal-days may go when they are old enough.
CREATE TABLE evaluated (
    county integer NOT NULL REFERENCES county (id),
    first_day date NOT NULL,
    last_day date NOT NULL,
    PRIMARY KEY (county, first_day, last_day),
    CHECK (first_day <= last_day)
);
