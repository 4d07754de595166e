//! Whether a report can be believed, session by session. Pure: what is known of the terminal is an argument.
//!
//! Not responsible for decoding, nor for keeping what is refused.

use classpulse_proto::v1::{self, Report};
use jiff::{civil::Date, tz::TimeZone};
use prost::Message as _;

use super::reason::Reason;
use crate::{
    domain::{
        ids::TerminalId,
        session::{Kind, Painted, Session, day_of, paint},
    },
    store::{Refusal, Standing},
};

/// Most sessions in a report.
pub const MAX_SESSIONS: usize = 1_000;

/// Longest session, in seconds.
pub const MAX_SESSION_SECONDS: i64 = 86_400;

/// How far ahead of the service's clock a session may end, in seconds.
pub const MAX_AHEAD_SECONDS: i64 = 300;

/// 2020-01-01T00:00:00Z: earlier sessions come from a clock that was never set.
pub const EARLIEST: i64 = 1_577_836_800;

/// What came, from whom, and when.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The terminal as the topic (or login) says it; `None` outside MQTT, where the report must say it.
    pub topic_terminal: Option<&'a str>,
    /// The service's clock, Unix seconds.
    pub at: i64,
    /// The deployment's time zone.
    pub zone: &'a TimeZone,
}

/// Who speaks, once the topic and the message agree.
///
/// # Errors
/// The reason and a sentence, where they do not, or where the report as a whole has no sense.
pub fn identify(report: &Report, received: Received<'_>) -> Result<TerminalId, (Reason, String)> {
    let said = report.terminal.as_str();
    let name = match received.topic_terminal {
        Some(topic) if said.is_empty() || said == topic => topic,
        Some(topic) => {
            return Err((
                Reason::TopicMismatch,
                format!("topic says {topic}, report says {said:.64}"),
            ));
        }
        None => said,
    };
    let terminal = name
        .parse::<TerminalId>()
        .map_err(|error| (Reason::BadTerminal, error.to_string()))?;
    if report.boot_id.len() != 16 {
        let detail = format!("{} bytes, must be 16", report.boot_id.len());
        return Err((Reason::BadBootId, detail));
    }
    if report.sequence == 0 {
        return Err((Reason::BadSequence, "0, must be at least 1".to_owned()));
    }
    if report.sessions.len() > MAX_SESSIONS {
        let detail = format!("{} sessions, at most {MAX_SESSIONS}", report.sessions.len());
        return Err((Reason::TooManySessions, detail));
    }
    Ok(terminal)
}

/// What a report comes to.
#[derive(Debug, Default)]
pub struct Checked {
    /// The minutes of its good sessions.
    pub painted: Vec<Painted>,
    /// Its bad sessions, one quarantine entry a session and reason.
    pub refusals: Vec<(Reason, Refusal)>,
}

/// Sorts a report's sessions into believed and refused.
#[must_use]
pub fn check(
    report: &Report,
    terminal: &TerminalId,
    standing: &Standing,
    kept_from: Option<Date>,
    received: Received<'_>,
) -> Checked {
    let mut checked = Checked::default();
    for raw in &report.sessions {
        match believe(raw, standing, kept_from, received) {
            Ok(session) => checked.painted.extend(paint(&session, received.zone)),
            Err((reason, detail)) => {
                let refusal = refuse_session(report, raw, terminal, reason, detail, received);
                checked.refusals.push((reason, refusal));
            }
        }
    }
    checked
}

fn believe(
    raw: &v1::Session,
    standing: &Standing,
    kept_from: Option<Date>,
    received: Received<'_>,
) -> Result<Session, (Reason, String)> {
    let kind = match raw.kind() {
        v1::Kind::Powered => Kind::Powered,
        v1::Kind::Used => Kind::Used,
        v1::Kind::Unspecified => return Err((Reason::UnknownKind, format!("kind {}", raw.kind))),
    };
    let (start, end) = (raw.start, raw.end);
    if end < start {
        return Err((
            Reason::EndsBeforeStart,
            format!("starts at {start}, ends at {end}"),
        ));
    }
    if start < EARLIEST {
        return Err((
            Reason::ClockUnset,
            format!("starts at {start}, before 2020-01-01"),
        ));
    }
    if end - start > MAX_SESSION_SECONDS {
        let detail = format!("{} s long, at most {MAX_SESSION_SECONDS}", end - start);
        return Err((Reason::TooLong, detail));
    }
    if end > received.at.saturating_add(MAX_AHEAD_SECONDS) {
        let detail = format!(
            "ends {} s after now, at most {MAX_AHEAD_SECONDS}",
            end - received.at
        );
        return Err((Reason::InFuture, detail));
    }
    if let (Some(kept), Some(day)) = (kept_from, day_of(start, received.zone))
        && day < kept
    {
        let detail = format!("on {day}, whose sums are final; minutes are kept from {kept} on");
        return Err((Reason::NoLongerKept, detail));
    }
    in_service(start, end, standing, received.zone)?;
    Ok(Session { kind, start, end })
}

/// Refuses a session none of whose days lies in the terminal's service. While it waits for approval, all are kept.
fn in_service(
    start: i64,
    end: i64,
    standing: &Standing,
    zone: &TimeZone,
) -> Result<(), (Reason, String)> {
    let Standing::Registered(service) = standing else {
        return Ok(());
    };
    let (Some(first), Some(last)) = (day_of(start, zone), day_of((end - 1).max(start), zone))
    else {
        return Err((Reason::InFuture, format!("{start} is beyond the calendar")));
    };
    let touches = |from: Date, to: Date| from <= last && first <= to;
    if service
        .iter()
        .any(|period| touches(period.first, period.last))
    {
        return Ok(());
    }
    match service.first() {
        Some(begin) if last < begin.first => Err((
            Reason::BeforeService,
            format!("on {first}, in service from {}", begin.first),
        )),
        _ => Err((
            Reason::AfterService,
            format!("on {first}, not in service on that day"),
        )),
    }
}

/// A quarantine entry that can be replayed: the report with nothing but this session.
/// An open session grows from report to report and stays one entry; its end is another, so that an earlier form that
/// comes late can't take its place.
fn refuse_session(
    report: &Report,
    raw: &v1::Session,
    terminal: &TerminalId,
    reason: Reason,
    detail: String,
    received: Received<'_>,
) -> Refusal {
    let alone = Report {
        sessions: vec![*raw],
        facts: None,
        terminal: terminal.as_str().to_owned(),
        ..report.clone()
    };
    let mut fingerprint = report.boot_id.clone();
    fingerprint.extend_from_slice(&raw.kind.to_be_bytes());
    fingerprint.extend_from_slice(&raw.number.to_be_bytes());
    fingerprint.extend_from_slice(&raw.start.to_be_bytes());
    fingerprint.push(u8::from(raw.open));
    fingerprint.extend_from_slice(reason.key().as_bytes());
    Refusal {
        terminal: terminal.as_str().to_owned(),
        fingerprint,
        reason: reason.key().to_owned(),
        detail,
        payload: alone.encode_to_vec(),
        received_at: received.at,
        received_day: day_of(received.at, received.zone).unwrap_or(Date::MIN),
    }
}

/// A quarantine entry for a report that is refused whole: its bytes as they came.
#[must_use]
pub fn refuse_whole(
    payload: &[u8],
    said: &str,
    reason: Reason,
    detail: String,
    received: Received<'_>,
) -> Refusal {
    // Text that is no terminal id still tells the operator where to look.
    let terminal = received
        .topic_terminal
        .unwrap_or(said)
        .chars()
        .take(64)
        .collect();
    let mut fingerprint = reason.key().as_bytes().to_vec();
    fingerprint.extend_from_slice(&payload.len().to_be_bytes());
    fingerprint.extend_from_slice(&digest(payload));
    Refusal {
        terminal,
        fingerprint,
        reason: reason.key().to_owned(),
        detail,
        payload: payload.to_vec(),
        received_at: received.at,
        received_day: day_of(received.at, received.zone).unwrap_or(Date::MIN),
    }
}

/// FNV-1a, 128 bit: tells payloads apart; nothing is secured by it.
fn digest(payload: &[u8]) -> [u8; 16] {
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in payload {
        hash ^= u128::from(*byte);
        hash = hash.wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    hash.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::usage::Period;

    const NOW: i64 = 1_788_220_800; // 2026-09-01T00:00:00Z

    fn zone() -> TimeZone {
        TimeZone::get("Asia/Shanghai").unwrap()
    }

    fn report(sessions: Vec<v1::Session>) -> Report {
        Report {
            boot_id: vec![1; 16],
            sequence: 1,
            sessions,
            ..Report::default()
        }
    }

    fn session(start: i64, end: i64) -> v1::Session {
        v1::Session {
            kind: v1::Kind::Used.into(),
            number: 1,
            start,
            end,
            open: false,
        }
    }

    fn service() -> Standing {
        Standing::Registered(vec![
            Period {
                first: date(2026, 3, 1),
                last: date(2026, 4, 1),
            },
            Period {
                first: date(2026, 5, 1),
                last: date(9999, 12, 31),
            },
        ])
    }

    #[test]
    fn a_session_is_refused_for_its_own_reason_and_its_neighbours_count() {
        let zone = zone();
        let received = Received {
            topic_terminal: Some("t"),
            at: NOW,
            zone: &zone,
        };
        let day = 86_400;
        let bad = [
            (
                v1::Session {
                    kind: 9,
                    ..session(NOW - 60, NOW)
                },
                Reason::UnknownKind,
            ),
            (session(NOW, NOW - 60), Reason::EndsBeforeStart),
            (session(946_684_800, 946_684_860), Reason::ClockUnset),
            (session(i64::MIN, i64::MAX), Reason::ClockUnset),
            (session(NOW - day - 1, NOW), Reason::TooLong),
            (session(NOW, NOW + 301), Reason::InFuture),
            (session(i64::MAX - 5, i64::MAX), Reason::InFuture),
            (
                session(NOW - 200 * day, NOW - 200 * day + 60),
                Reason::BeforeService,
            ),
            (
                session(NOW - 140 * day, NOW - 140 * day + 60),
                Reason::AfterService,
            ),
        ];
        let mut sessions = vec![session(NOW - 600, NOW - 300)];
        sessions.extend(bad.iter().map(|(session, _)| *session));
        let report = report(sessions);
        let terminal = identify(&report, received).unwrap();
        let checked = check(&report, &terminal, &service(), None, received);
        assert_eq!(checked.painted.len(), 1);
        assert_eq!(checked.painted[0].minutes.used.count(), 5);
        let today = day_of(NOW, received.zone).unwrap();
        let good = session(NOW - 600, NOW - 300);
        let kept = |day| believe(&good, &service(), Some(day), received).err();
        assert_eq!(kept(today), None);
        let (reason, _) = kept(today.tomorrow().unwrap()).unwrap();
        assert_eq!(reason, Reason::NoLongerKept);
        let found: Vec<_> = checked.refusals.iter().map(|(reason, _)| *reason).collect();
        let expected: Vec<_> = bad.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(found, expected);
        let alone = Report::decode(checked.refusals[1].1.payload.as_slice()).unwrap();
        assert_eq!(
            (alone.sessions, alone.terminal.as_str()),
            (vec![bad[1].0], "t")
        );
    }

    #[test]
    fn bounds_themselves_are_believed() {
        let zone = zone();
        let received = Received {
            topic_terminal: Some("t"),
            at: NOW,
            zone: &zone,
        };
        for good in [
            session(NOW - 86_400, NOW),
            session(NOW, NOW + 300),
            session(NOW, NOW),
            // The last minutes of the day before service began, and the first of it.
            session(
                NOW - 123 * 86_400 - 8 * 3_600 - 60,
                NOW - 123 * 86_400 - 8 * 3_600 + 60,
            ),
        ] {
            assert_eq!(
                believe(&good, &service(), None, received).err(),
                None,
                "{good:?}"
            );
        }
    }

    #[test]
    fn reports_without_sense_are_refused_whole() {
        let zone = zone();
        let received = Received {
            topic_terminal: Some("t"),
            at: NOW,
            zone: &zone,
        };
        let outside = Received {
            topic_terminal: None,
            ..received
        };
        let good = report(vec![]);
        let said = |name: &str| Report {
            terminal: name.to_owned(),
            ..good.clone()
        };
        assert_eq!(identify(&said("t"), received).unwrap().as_str(), "t");
        assert_eq!(identify(&said("u"), outside).unwrap().as_str(), "u");
        for (report, received, reason) in [
            (said("u"), received, Reason::TopicMismatch),
            (said(""), outside, Reason::BadTerminal),
            (said("a/b"), outside, Reason::BadTerminal),
            (
                Report {
                    boot_id: vec![1; 15],
                    ..good.clone()
                },
                received,
                Reason::BadBootId,
            ),
            (
                Report {
                    sequence: 0,
                    ..good.clone()
                },
                received,
                Reason::BadSequence,
            ),
            (
                report(vec![session(0, 0); 1_001]),
                received,
                Reason::TooManySessions,
            ),
        ] {
            assert_eq!(identify(&report, received).unwrap_err().0, reason);
        }
    }

    #[test]
    fn a_growing_session_keeps_its_fingerprint_until_it_ends() {
        let zone = zone();
        let received = Received {
            topic_terminal: Some("t"),
            at: NOW,
            zone: &zone,
        };
        let refused = |end, open| {
            let session = v1::Session {
                open,
                ..session(946_684_800, end)
            };
            let report = report(vec![session]);
            let terminal = identify(&report, received).unwrap();
            check(&report, &terminal, &Standing::Unknown, None, received)
                .refusals
                .remove(0)
                .1
        };
        let (early, late) = (refused(946_684_860, true), refused(946_684_920, true));
        assert_eq!(early.fingerprint, late.fingerprint);
        assert_ne!(early.payload, late.payload);
        let ended = refused(946_684_920, false);
        assert_ne!(
            ended.fingerprint, late.fingerprint,
            "an earlier form that comes late must not take the end's place"
        );
    }
}
