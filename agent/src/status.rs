//! What the journal holds, for people and for programs. Not responsible for reading it, and changes nothing.

use classpulse_agent::{
    config::Config,
    core::{JournalState, Kind, Seen},
};

/// In JSON: Unix seconds as numbers, and beside them the same moments in RFC 3339, UTC.
pub(crate) fn json(config: &Config, state: &JournalState) -> serde_json::Value {
    let sessions: Vec<_> = state
        .sessions()
        .iter()
        .map(|seen| {
            serde_json::json!({
                "kind": kind(seen), "number": seen.number, "open": seen.open,
                "start": seen.start, "end": seen.end,
                "start_utc": utc(seen.start), "end_utc": utc(seen.end),
            })
        })
        .collect();
    let (heartbeat, idle) = settings(config, state);
    serde_json::json!({
        "terminal": config.terminal,
        "journal": config.journal,
        "heartbeat_seconds": heartbeat,
        "idle_seconds": idle,
        "last_ack": last_ack(state),
        "last_ack_utc": last_ack(state).map(utc),
        "waiting": sessions,
    })
}

/// In words.
pub(crate) fn words(config: &Config, state: &JournalState) -> String {
    let sessions = state.sessions();
    let (heartbeat, idle) = settings(config, state);
    let acknowledged = last_ack(state).map_or_else(|| "never".to_owned(), utc);
    let head = format!(
        "{}: {} sessions wait for an acknowledgement\n  last acknowledgement {acknowledged}, \
         a report every {heartbeat} s, use ends after {idle} s without input\n",
        config.terminal.as_deref().unwrap_or("no terminal yet"),
        sessions.len(),
    );
    let line = |seen: &Seen| {
        format!(
            "  {:<7} {:>4}  {} to {}  {} to {}  {} min, {}\n",
            kind(seen),
            seen.number,
            seen.start,
            seen.end,
            utc(seen.start),
            utc(seen.end),
            seen.end.saturating_sub(seen.start) / 60,
            if seen.open { "open" } else { "closed" },
        )
    };
    std::iter::once(head)
        .chain(sessions.iter().map(line))
        .collect()
}

fn kind(seen: &Seen) -> &'static str {
    match seen.kind {
        Kind::Powered => "powered",
        Kind::Used => "used",
    }
}

fn last_ack(state: &JournalState) -> Option<i64> {
    (state.last_ack_ms != 0).then_some(state.last_ack_ms.div_euclid(1_000))
}

/// What holds now: the service's word, else the configuration's.
fn settings(config: &Config, state: &JournalState) -> (u32, u32) {
    let either = |ordered, own| if ordered == 0 { own } else { ordered };
    (
        either(state.heartbeat_seconds, config.heartbeat_seconds),
        either(state.idle_seconds, config.idle_seconds),
    )
}

/// RFC 3339 in UTC, by the civil calendar's rule of 146,097 days in 400 years (years counted from March).
fn utc(unix: i64) -> String {
    let (days, second) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    // From 0000-03-01.
    let days = days.saturating_add(719_468);
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era.saturating_mul(400).saturating_add(year + later);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_the_calendar_says() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (946_684_799, "1999-12-31T23:59:59Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_788_220_800, "2026-09-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(unix), text);
        }
        // Nonsense is shown, not fallen over.
        assert!(utc(i64::MAX).ends_with('Z') && utc(i64::MIN).ends_with('Z'));
    }
}
