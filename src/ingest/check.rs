//! Whether a report can be believed, session by session and signal by signal. Pure: what is known of the terminal is an argument.
//!
//! Not responsible for decoding, nor for keeping what is refused.

use super::{
    reason::Reason,
    refuse::{refuse_session, refuse_signal},
};
use crate::{
    domain::{
        ids::TerminalId,
        incident::{self, Incident},
        session::{Kind, Painted, Session, day_of, paint},
    },
    store::{Refusal, Standing},
};
use classpulse_proto::{
    topic,
    v1::{self, ClockState, Report},
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// Most sessions in a report.
pub const MAX_SESSIONS: usize = 1_000;

/// Most signals in a report.
pub const MAX_SIGNALS: usize = 100;

/// The longest time that a signal can speak of, and the oldest that a machine's own log of its boots is taken from,
/// seconds: 400 days, more than a school year.
pub const MAX_BACK_SECONDS: i64 = 400 * 86_400;

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
                format!("it came from {topic}, and says {said:.64}"),
            ));
        }
        None => said,
    };
    let terminal = name
        .parse::<TerminalId>()
        .map_err(|error| (Reason::BadTerminal, error.to_string()))?;
    if topic::is_passing(name) {
        let detail = format!("{name} is a passing name, of a machine that is no terminal yet");
        return Err((Reason::BadTerminal, detail));
    }
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
    if report.signals.len() > MAX_SIGNALS {
        let detail = format!("{} signals, at most {MAX_SIGNALS}", report.signals.len());
        return Err((Reason::TooManySignals, detail));
    }
    Ok(terminal)
}

/// What a report comes to.
#[derive(Debug, Default)]
pub struct Checked {
    /// The minutes of its good sessions.
    pub painted: Vec<Painted>,
    /// How many sessions that is.
    pub accepted: usize,
    /// Its bad sessions and signals, one quarantine entry each.
    pub refusals: Vec<(Reason, Refusal)>,
    /// Its good signals.
    pub incidents: Vec<Incident>,
}

/// Sorts a report's sessions and signals into believed and refused.
#[must_use]
pub fn check(
    report: &Report,
    terminal: &TerminalId,
    standing: &Standing,
    kept_from: Option<Date>,
    received: Received<'_>,
) -> Checked {
    let mut checked = Checked::default();
    let dating = Dating {
        unsynced: report.clock() == ClockState::Unsynced,
        history: report.history,
    };
    for raw in &report.sessions {
        match believe(raw, dating, standing, kept_from, received) {
            Ok(session) => {
                checked.accepted += 1;
                checked.painted.extend(paint(&session, received.zone));
            }
            Err((reason, detail)) => {
                let refusal = refuse_session(report, raw, terminal, reason, detail, received);
                checked.refusals.push((reason, refusal));
            }
        }
    }
    for signal in &report.signals {
        match heed(signal, report, terminal, received) {
            Ok(incident) => checked.incidents.push(incident),
            Err(detail) => {
                let refusal = refuse_signal(report, signal, terminal, detail, received);
                checked.refusals.push((Reason::BadSignal, refusal));
            }
        }
    }
    checked
}

/// What a report as a whole says of its sessions' dates.
#[derive(Debug, Clone, Copy, Default)]
struct Dating {
    /// Nothing vouches for the clock.
    unsynced: bool,
    /// They are from the machine's own log.
    history: bool,
}

/// A signal as an incident. When it happened is told as the terminal had it, be its clock right or wrong.
fn heed(
    signal: &v1::Signal,
    report: &Report,
    terminal: &TerminalId,
    received: Received<'_>,
) -> Result<Incident, String> {
    let kind = incident::Kind::of_signal(signal.kind())
        .ok_or_else(|| format!("kind {} is not known", signal.kind))?;
    if !(-MAX_BACK_SECONDS..=MAX_BACK_SECONDS).contains(&signal.seconds) {
        return Err(format!(
            "{} s, at most {MAX_BACK_SECONDS} either way",
            signal.seconds
        ));
    }
    if Timestamp::from_second(signal.at).is_err() {
        return Err(format!("at {}, beyond the calendar", signal.at));
    }
    let mut boot_id = [0; 16];
    boot_id.copy_from_slice(&report.boot_id);
    Ok(Incident {
        terminal: terminal.clone(),
        boot_id,
        kind,
        number: signal.number,
        at: signal.at,
        seconds: signal.seconds,
        received_at: received.at,
    })
}

fn believe(
    raw: &v1::Session,
    dating: Dating,
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
    if dating.unsynced {
        let detail = format!("dated {start} to {end} by a clock that nothing vouches for");
        return Err((Reason::Unplaced, detail));
    }
    if dating.history {
        from_history(kind, start, received.at)?;
    }
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
    match in_service(start, end, standing, received.zone) {
        // What the machine's own log says of the time before it was registered belongs to no school, and does no harm.
        Err((Reason::BeforeService, _)) if dating.history => {}
        other => other?,
    }
    Ok(Session { kind, start, end })
}

/// A machine's own log of its boots tells when it was on, within reason.
fn from_history(kind: Kind, start: i64, now: i64) -> Result<(), (Reason, String)> {
    if kind == Kind::Used {
        let detail = "use from before the installation, which nothing sensed".to_owned();
        return Err((Reason::HistoryUsed, detail));
    }
    if start < now.saturating_sub(MAX_BACK_SECONDS) {
        let days = now.saturating_sub(start) / 86_400;
        let detail = format!("{days} days ago, at most {}", MAX_BACK_SECONDS / 86_400);
        return Err((Reason::HistoryTooOld, detail));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use prost::Message as _;

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
        let kept = |day| believe(&good, Dating::default(), &service(), Some(day), received).err();
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

    /// The reasons for which a report's sessions and signals are refused, and how many of each are believed.
    fn reasons(report: &Report) -> (Vec<Reason>, usize, usize) {
        let zone = zone();
        let received = Received {
            topic_terminal: Some("t"),
            at: NOW,
            zone: &zone,
        };
        let terminal = identify(report, received).unwrap();
        let checked = check(report, &terminal, &service(), None, received);
        let reasons = checked.refusals.iter().map(|(reason, _)| *reason);
        (reasons.collect(), checked.accepted, checked.incidents.len())
    }

    #[test]
    fn sessions_of_a_clock_that_nothing_vouches_for_are_unplaced_whatever_they_say() {
        let good = session(NOW - 60, NOW);
        let sessions = vec![good, session(946_684_800, 946_684_860)];
        for (clock, expected, accepted) in [
            (
                ClockState::Unsynced,
                vec![Reason::Unplaced, Reason::Unplaced],
                0,
            ),
            (ClockState::Synced, vec![Reason::ClockUnset], 1),
            (ClockState::Hardware, vec![Reason::ClockUnset], 1),
            (ClockState::Unspecified, vec![Reason::ClockUnset], 1),
        ] {
            let report = Report {
                clock: clock.into(),
                ..report(sessions.clone())
            };
            assert_eq!(reasons(&report), (expected, accepted, 0), "{clock:?}");
        }
        // The clock is set within the boot: still the same session.
        let zone = zone();
        let received = Received {
            topic_terminal: Some("t"),
            at: NOW,
            zone: &zone,
        };
        let print = |session| {
            let report = report(vec![session]);
            let terminal = identify(&report, received).unwrap();
            let (reason, detail) = (Reason::Unplaced, String::new());
            refuse_session(&report, &session, &terminal, reason, detail, received).fingerprint
        };
        assert_eq!(print(good), print(session(0, 10)));
    }

    #[test]
    fn history_is_power_alone_not_too_far_back_and_older_than_the_service() {
        let day = 86_400;
        let powered = |days: i64| v1::Session {
            kind: v1::Kind::Powered.into(),
            ..session(NOW - days * day, NOW - days * day + 3_600)
        };
        let sessions = vec![
            powered(300),
            powered(400),
            powered(401),
            session(NOW - 60, NOW),
            powered(140),
        ];
        let history = Report {
            history: true,
            ..report(sessions.clone())
        };
        let expected = vec![
            Reason::HistoryTooOld,
            Reason::HistoryUsed,
            Reason::AfterService,
        ];
        assert_eq!(reasons(&history), (expected, 2, 0));
        let (found, accepted, _) = reasons(&report(sessions));
        assert_eq!(accepted, 1);
        assert_eq!(found[..3], [Reason::BeforeService; 3]);
    }

    #[test]
    fn signals_are_heeded_one_by_one_and_bounded() {
        let signal = |kind: i32, at, seconds| v1::Signal {
            kind,
            number: 1,
            at,
            seconds,
        };
        let signals = vec![
            signal(1, NOW, 720),
            signal(0, NOW, 1),
            signal(99, NOW, 1),
            signal(3, NOW, -MAX_BACK_SECONDS),
            signal(3, NOW, -MAX_BACK_SECONDS - 1),
            signal(4, i64::MAX, 0),
            signal(4, 0, i64::MIN),
        ];
        let report = |signals| Report {
            signals,
            clock: ClockState::Unsynced.into(),
            ..report(vec![])
        };
        assert_eq!(
            reasons(&report(signals)),
            (vec![Reason::BadSignal; 5], 0, 2)
        );
        let zone = zone();
        let received = Received {
            topic_terminal: Some("t"),
            at: NOW,
            zone: &zone,
        };
        let many = |count| report(vec![signal(1, NOW, 1); count]);
        assert!(identify(&many(MAX_SIGNALS), received).is_ok());
        let (reason, _) = identify(&many(MAX_SIGNALS + 1), received).unwrap_err();
        assert_eq!(reason, Reason::TooManySignals);
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
                believe(&good, Dating::default(), &service(), None, received).err(),
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
        let passing = identify(&said(&topic::passing(1)), outside).unwrap_err();
        assert_eq!(passing.0, Reason::BadTerminal);
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
        let said = |end, open, over| {
            let session = v1::Session {
                open,
                ..session(946_684_800, end)
            };
            let report = Report {
                over,
                ..report(vec![session])
            };
            let terminal = identify(&report, received).unwrap();
            check(&report, &terminal, &Standing::Unknown, None, received)
                .refusals
                .remove(0)
                .1
        };
        let refused = |end, open| said(end, open, false);
        let (early, late) = (refused(946_684_860, true), refused(946_684_920, true));
        assert_eq!(early.fingerprint, late.fingerprint);
        assert_ne!(early.payload, late.payload);
        let ended = refused(946_684_920, false);
        assert_ne!(
            ended.fingerprint, late.fingerprint,
            "an earlier form that comes late must not take the end's place"
        );
        assert_eq!(ended.fingerprint, refused(946_684_900, false).fingerprint);
        let over = said(946_684_920, false, true);
        for other in [ended, said(946_684_900, false, true)] {
            assert_ne!(
                over.fingerprint, other.fingerprint,
                "nor must the end that a copied disk says"
            );
        }
        let again = said(946_684_920, false, true);
        assert_eq!(over.fingerprint, again.fingerprint);
    }
}
