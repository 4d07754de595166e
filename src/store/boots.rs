//! What tells two machines under one identity (`domain::boots`), as SQL that both backends put into the statement that
//! keeps a terminal's contact: so it costs no further read, and several aggregators see the same.
//!
//! The columns are `boot_id, sequence, before_id, before_sequence, turns_since, turns` of the row `known`. Plain
//! comparisons only: the usual report, of the boot that spoke last, is told by the first of them.
//! The figures are those of `domain::boots`; the contract suite compares the two.

/// The assignments that a contact makes. Arguments are the SQL of what is new: boot, sequence (NULL where the boot does
/// not live), moment and version (NULL where there are no facts).
macro_rules! boots_sql {
    ($boot:literal, $sequence:literal, $at:literal, $version:literal) => {
        concat!(
            "boot_id = CASE WHEN ", boots_sql!(@replaces $boot, $sequence, $at, $version),
            " OR (known.sequence IS NULL AND (", $sequence, " IS NOT NULL OR ", $at, " >= coalesce(known.last_heard, ", $at, ")))",
            " THEN ", $boot, " ELSE known.boot_id END,
            sequence = CASE WHEN ", $sequence, " IS NULL THEN known.sequence
                WHEN known.sequence IS NULL OR ", boots_sql!(@replaces $boot, $sequence, $at, $version),
            " OR (", $boot, " = known.boot_id AND ", $sequence, " > known.sequence) THEN ", $sequence, " ELSE known.sequence END,
            before_id = CASE WHEN ", boots_sql!(@replaces $boot, $sequence, $at, $version),
            " THEN known.boot_id ELSE known.before_id END,
            before_sequence = CASE WHEN ", boots_sql!(@replaces $boot, $sequence, $at, $version), " THEN known.sequence
                WHEN ", $boot, " = known.before_id AND ", $sequence, " > known.before_sequence THEN ", $sequence,
            " ELSE known.before_sequence END,
            turns_since = CASE WHEN (", $sequence, " IS NOT NULL AND known.sequence IS NULL)
                OR (", boots_sql!(@replaces $boot, $sequence, $at, $version), " AND ", $boot, " IS DISTINCT FROM known.before_id)
                THEN ", $at, " ELSE known.turns_since END,
            turns = CASE WHEN ", $sequence, " IS NULL OR known.sequence IS NULL THEN known.turns
                WHEN ", $boot, " = known.boot_id THEN
                    CASE WHEN ", $version, " IS NULL THEN known.turns WHEN known.turns > 2 THEN known.turns - 2 ELSE 0 END
                WHEN NOT ", boots_sql!(@replaces $boot, $sequence, $at, $version), " THEN known.turns
                WHEN ", $boot, " = known.before_id THEN CASE WHEN known.turns < 1000 THEN known.turns + 3 ELSE known.turns END
                WHEN ", boots_sql!(@introduced $version), " THEN 0
                WHEN known.turns < 1000 THEN known.turns + 2 ELSE known.turns END"
        )
    };
    // Whether the boot takes the latest one's place.
    (@replaces $boot:literal, $sequence:literal, $at:literal, $version:literal) => {
        concat!(
            "(", $sequence, " IS NOT NULL AND known.sequence IS NOT NULL AND ", $boot, " <> known.boot_id AND
            CASE WHEN ", $boot, " = known.before_id
                THEN ", $sequence, " > known.before_sequence AND ", $at, " >= known.turns_since + 300
                ELSE ", boots_sql!(@introduced $version), " OR ", $at, " >= known.turns_since + 300 END)"
        )
    };
    (@introduced $version:literal) => {
        concat!("(", $version, " IS NOT NULL OR coalesce(known.version, '') = '')")
    };
}

pub(super) use boots_sql;
