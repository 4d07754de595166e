//! What is refused as quarantine entries that can be replayed. Pure.
//!
//! Not responsible for what is refused and why (`check`).

use classpulse_proto::v1::{self, Report};
use jiff::civil::Date;
use prost::Message as _;

use super::{check::Received, reason::Reason};
use crate::{
    domain::{ids::TerminalId, session::day_of},
    store::Refusal,
};

/// A quarantine entry that can be replayed: the report with nothing but this session.
/// An open session grows from report to report and stays one entry; its end is another, so that an earlier form that
/// comes late can't take its place. Of a boot that is over, ends of other lengths are others: where a disk was copied while
/// the boot went on, the copy's machine ends its sessions at that moment, and says so later than the true one.
pub(super) fn refuse_session(
    report: &Report,
    raw: &v1::Session,
    terminal: &TerminalId,
    reason: Reason,
    detail: String,
    received: Received<'_>,
) -> Refusal {
    // A clock that nothing vouches for may be set meanwhile, and the session begins elsewhere.
    let start = if reason == Reason::Unplaced {
        0
    } else {
        raw.start
    };
    let mut fingerprint = report.boot_id.clone();
    fingerprint.extend_from_slice(&raw.kind.to_be_bytes());
    fingerprint.extend_from_slice(&raw.number.to_be_bytes());
    fingerprint.extend_from_slice(&start.to_be_bytes());
    fingerprint.push(u8::from(raw.open));
    if report.over && !raw.open {
        let length = raw.end.saturating_sub(raw.start);
        fingerprint.extend_from_slice(&length.to_be_bytes());
    }
    fingerprint.extend_from_slice(reason.key().as_bytes());
    let alone = Report {
        sessions: vec![*raw],
        ..bare(report, terminal)
    };
    refusal(terminal, fingerprint, reason, detail, &alone, received)
}

/// The same for a signal.
pub(super) fn refuse_signal(
    report: &Report,
    signal: &v1::Signal,
    terminal: &TerminalId,
    detail: String,
    received: Received<'_>,
) -> Refusal {
    let reason = Reason::BadSignal;
    let mut fingerprint = report.boot_id.clone();
    fingerprint.extend_from_slice(&signal.kind.to_be_bytes());
    fingerprint.extend_from_slice(&signal.number.to_be_bytes());
    fingerprint.extend_from_slice(reason.key().as_bytes());
    let alone = Report {
        signals: vec![*signal],
        ..bare(report, terminal)
    };
    refusal(terminal, fingerprint, reason, detail, &alone, received)
}

/// A report without what it carries.
fn bare(report: &Report, terminal: &TerminalId) -> Report {
    Report {
        boot_id: report.boot_id.clone(),
        sequence: report.sequence,
        sent_at: report.sent_at,
        clock: report.clock,
        facts: None,
        sessions: Vec::new(),
        terminal: terminal.as_str().to_owned(),
        quiet: report.quiet,
        signals: Vec::new(),
        history: report.history,
        over: report.over,
    }
}

fn refusal(
    terminal: &TerminalId,
    fingerprint: Vec<u8>,
    reason: Reason,
    detail: String,
    alone: &Report,
    received: Received<'_>,
) -> Refusal {
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
pub(super) fn refuse_whole(
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
