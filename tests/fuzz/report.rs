//! Reports as they come over MQTT and gRPC: protobuf and its JSON mapping.

use std::sync::LazyLock;

use classpulse::{
    domain::{ids::TerminalId, usage::Period},
    ingest::{
        check::{Received, check, identify},
        decode::decode,
    },
    store::Standing,
};
use classpulse_proto::v1::{ClockState, Kind, Report, Session, Signal, SignalKind};
use jiff::{civil::date, tz::TimeZone};
use prost::Message as _;

use crate::target;

/// 2026-09-01T08:00:00+08:00.
const AT: i64 = 1_788_220_800;

static ZONE: LazyLock<TimeZone> = LazyLock::new(|| TimeZone::get("Asia/Shanghai").unwrap());

fn received(topic_terminal: Option<&str>) -> Received<'_> {
    Received {
        topic_terminal,
        at: AT,
        zone: &ZONE,
    }
}

target!(
    /// What can be read says the same again in either form.
    decoded_means_the_same_in_both_forms,
    2_000,
    |bytes: &[u8]| {
        let Ok(report) = decode(bytes) else { return };
        let again = Report::decode(report.encode_to_vec().as_slice()).unwrap();
        assert_eq!(again, report);
        // An unknown number of an enumeration has no name, so JSON can't say it.
        if let Ok(json) = serde_json::to_string(&report) {
            let from_json: Report = serde_json::from_str(&json).unwrap();
            assert_eq!(from_json, report);
        }
    }
);

target!(
    /// Every session and every signal is believed or refused with a reason; none is lost, none is both.
    every_session_is_believed_or_refused,
    2_000,
    |bytes: &[u8]| {
        let Ok(report) = decode(bytes) else { return };
        let received = received(None);
        let Ok(terminal) = identify(&report, received) else {
            return;
        };
        let since = Period {
            first: date(2026, 1, 1),
            last: date(2026, 12, 31),
        };
        let standing = Standing::Registered(vec![since]);
        accounts_for_all(&report, &terminal, &standing, received);
    }
);

fn accounts_for_all(
    report: &Report,
    terminal: &TerminalId,
    standing: &Standing,
    received: Received<'_>,
) {
    let checked = check(report, terminal, standing, None, received);
    let came = report.sessions.len() + report.signals.len();
    let went = checked.accepted + checked.incidents.len() + checked.refusals.len();
    assert_eq!(came, went, "something of {report:?} is nowhere");
    for one in &checked.painted {
        assert!(one.minutes.used.is_subset(&one.minutes.powered));
    }
    // A minute is painted where a session covers half of it, so a session paints at most one more than it lasted.
    let most: i128 = report
        .sessions
        .iter()
        .map(|one| (i128::from(one.end) - i128::from(one.start)).max(0) / 60 + 1)
        .sum();
    let painted: i128 = checked
        .painted
        .iter()
        .map(|one| i128::from(one.minutes.powered.count()))
        .sum();
    assert!(painted <= most, "{painted} minutes of at most {most}");
}

/// Reports of every kind, in both forms.
pub(crate) fn first_inputs() -> Vec<Vec<u8>> {
    let session = |kind: Kind, number, start, end, open| Session {
        kind: kind.into(),
        number,
        start,
        end,
        open,
    };
    let report = Report {
        boot_id: vec![7; 16],
        sequence: 3,
        sent_at: AT,
        terminal: "pc-1".to_owned(),
        sessions: vec![
            session(Kind::Powered, 1, AT - 7_200, AT, true),
            session(Kind::Used, 1, AT - 5_400, AT - 1_800, false),
        ],
        signals: vec![Signal {
            kind: SignalKind::AgentGap.into(),
            number: 1,
            at: AT - 7_200,
            seconds: 600,
        }],
        ..Report::default()
    };
    let quiet = Report {
        sessions: Vec::new(),
        signals: Vec::new(),
        ..report.clone()
    };
    let undated = Report {
        clock: ClockState::Unsynced.into(),
        ..report.clone()
    };
    let history = Report {
        history: true,
        ..report.clone()
    };
    [report, quiet, undated, history]
        .iter()
        .flat_map(|one| [one.encode_to_vec(), serde_json::to_vec(one).unwrap()])
        .collect()
}
