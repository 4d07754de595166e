//! One report's way through the pure part of ingest, in nanoseconds: decode, check, paint, merge, assemble.
//!
//! Every step is checked against an answer found another way, and shown beside the plain way to do the same.
//! Not responsible for sockets, queues and databases (`ingest`).

#![allow(
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a bench that can't go on says where; figures are for people"
)]

#[path = "common/repeat.rs"]
mod repeat;
#[path = "common/spread.rs"]
mod spread;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsString,
    hint::black_box,
};

use bytes::Bytes;
use clap::Parser;
use classpulse::{
    domain::{
        ids::TerminalId,
        minutes::{DayMinutes, MinuteSet},
        session::{self, paint},
        usage::Period,
    },
    ingest::{
        assemble::{Assembly, Incoming, Known, open},
        check::{self, Received},
        decode::decode,
    },
    store::Standing,
};
use classpulse_proto::v1::{Kind, Report, Session};
use jiff::{Timestamp, civil::date, tz::TimeZone};
use prost::Message as _;

use crate::{repeat::time, spread::Spread};

/// 2026-09-01T08:00:00+08:00.
const MORNING: i64 = 1_788_220_800;

/// The pure part of ingest, step by step.
#[derive(Debug, Parser)]
struct Cli {
    /// Reports in one measurement.
    #[arg(long, default_value_t = 100_000)]
    reports: usize,
    /// Measurements of each step.
    #[arg(long, default_value_t = 5)]
    repeat: usize,
    /// A quick run: shows that it works, measures nothing.
    #[arg(long)]
    test: bool,
}

/// As many terminals as a county has report once; sessions of 1 to 400 minutes.
struct Work {
    reports: Vec<Report>,
    protobuf: Vec<Incoming>,
    json: Vec<Incoming>,
    standings: HashMap<TerminalId, Standing>,
    zone: TimeZone,
    repeat: usize,
}

impl Work {
    fn new(count: usize, repeat: usize) -> Self {
        let reports: Vec<Report> = (0..count).map(report).collect();
        let incoming = |report: &Report, payload: Vec<u8>| Incoming {
            topic_terminal: Some(report.terminal.clone()),
            payload: Bytes::from(payload),
            received_at: MORNING + 86_400,
            replay_of: None,
        };
        let service = Period {
            first: date(2026, 3, 1),
            last: date(9999, 12, 31),
        };
        Self {
            protobuf: reports
                .iter()
                .map(|one| incoming(one, one.encode_to_vec()))
                .collect(),
            json: reports
                .iter()
                .map(|one| incoming(one, serde_json::to_vec(one).expect("JSON")))
                .collect(),
            standings: reports
                .iter()
                .map(|one| {
                    let name = one.terminal.parse().expect("a terminal's name");
                    (name, Standing::Registered(vec![service]))
                })
                .collect(),
            reports,
            zone: TimeZone::get("Asia/Shanghai").expect("a zone"),
            repeat,
        }
    }

    /// Measures a step, in nanoseconds a report.
    fn step<T>(&self, name: &str, work: impl FnMut() -> T) -> (Spread, T) {
        let (spread, answer) = time(self.repeat, 1e-9 * self.reports.len() as f64, work);
        println!("  {name:<44} {spread:.0} ns");
        (spread, answer)
    }
}

fn length(index: usize) -> i64 {
    i64::try_from(index % 400).expect("small") + 1
}

fn report(index: usize) -> Report {
    let end = MORNING + 60 * length(index);
    let session = |(kind, start): (Kind, i64)| Session {
        kind: kind.into(),
        number: 1,
        start,
        end,
        open: true,
    };
    Report {
        boot_id: vec![7; 16],
        sequence: 9,
        sent_at: end,
        sessions: [(Kind::Powered, MORNING), (Kind::Used, MORNING + 60)]
            .map(session)
            .to_vec(),
        terminal: format!("xk-{:05}", index % 20_000),
        ..Report::default()
    }
}

/// Minutes that the reports' sessions paint, used ones only.
fn used_minutes(work: &Work) -> u64 {
    let one = |index| u64::try_from(length(index)).expect("positive") - 1;
    (0..work.reports.len()).map(one).sum()
}

fn decoding(work: &Work) {
    let sum = |all: &[Incoming]| {
        let decoded = all
            .iter()
            .map(|one| decode(&one.payload).expect("a report"));
        decoded.map(|report| report.sessions.len()).sum::<usize>()
    };
    let (fast, count) = work.step("decode, protobuf", || sum(&work.protobuf));
    let (plain, same) = work.step("decode, JSON", || sum(&work.json));
    assert_eq!((count, same), (2 * work.reports.len(), count));
    println!(
        "    JSON ÷ protobuf                            {:.1}",
        plain.median / fast.median
    );
}

fn checking(work: &Work) {
    let (_, minutes) = work.step("check and paint", || {
        let mut minutes = 0;
        for (report, incoming) in work.reports.iter().zip(&work.protobuf) {
            let received = Received {
                topic_terminal: incoming.topic_terminal.as_deref(),
                at: incoming.received_at,
                zone: &work.zone,
            };
            let terminal = check::identify(report, received).expect("a name");
            let checked = check::check(
                report,
                &terminal,
                &work.standings[&terminal],
                None,
                received,
            );
            let painted = checked
                .painted
                .iter()
                .map(|part| u64::from(part.minutes.used.count()));
            minutes += painted.sum::<u64>();
        }
        minutes
    });
    assert_eq!(minutes, used_minutes(work));
}

fn painting(work: &Work) {
    let sessions: Vec<_> = (0..work.reports.len())
        .map(|index| session::Session {
            kind: session::Kind::Used,
            start: MORNING + 60,
            end: MORNING + 60 * length(index),
        })
        .collect();
    let count = |parts: Vec<session::Painted>| -> u64 {
        parts
            .iter()
            .map(|part| u64::from(part.minutes.used.count()))
            .sum()
    };
    let (fast, minutes) = work.step("paint one session", || {
        sessions
            .iter()
            .map(|one| count(paint(one, &work.zone)))
            .sum::<u64>()
    });
    assert_eq!(minutes, used_minutes(work));
    // The plain way walks through the minutes and asks the calendar for each.
    let few = &sessions[..sessions.len().min(1_000)];
    let (plain, same) = time(work.repeat, 1e-9 * few.len() as f64, || {
        few.iter()
            .map(|one| plainly(one, &work.zone).len() as u64)
            .sum::<u64>()
    });
    let expected: u64 = few.iter().map(|one| count(paint(one, &work.zone))).sum();
    assert_eq!(same, expected);
    println!("  {:<44} {plain:.0} ns", "the plain way: a set of minutes");
    println!(
        "    plain ÷ ours                               {:.0}",
        plain.median / fast.median
    );
}

/// Sessions of the bench lie on whole minutes.
fn plainly(session: &session::Session, zone: &TimeZone) -> BTreeSet<(i16, i16)> {
    let minutes = (session.start..session.end).step_by(60);
    minutes
        .map(|at| {
            let local = zone.to_datetime(Timestamp::from_second(at).expect("a time"));
            (
                local.day_of_year(),
                i16::from(local.hour()) * 60 + i16::from(local.minute()),
            )
        })
        .collect()
}

fn merging(work: &Work) {
    let days: Vec<DayMinutes> = (0..work.reports.len())
        .map(|index| {
            let end = u16::try_from(index % 400).expect("small") + 481;
            let set = MinuteSet::of(480, end);
            DayMinutes {
                powered: set,
                used: set,
                last_seen: i64::from(end),
            }
        })
        .collect();
    let (_, all) = work.step("merge a day into a day", || {
        let mut all = DayMinutes::default();
        for day in &days {
            black_box(&mut all).merge(day);
        }
        all
    });
    let longest = u32::try_from(days.len().min(400)).expect("small");
    assert_eq!((all.powered.count(), all.used.count()), (longest, longest));
}

fn assembling(work: &Work) {
    let (_, rows) = work.step("all of it: bytes to a batch of rows", || {
        let mut assembly = Assembly::default();
        let mut known = Known {
            standings: &work.standings,
            room_for_unknown: 0,
            kept_from: None,
        };
        for incoming in &work.protobuf {
            assembly.add(incoming, open(incoming, &work.zone), &mut known, &work.zone);
        }
        let batch = assembly.batch();
        assert!(batch.quarantined.is_empty());
        batch.days
    });
    let mut expected: BTreeMap<&str, u32> = BTreeMap::new();
    for (index, report) in work.reports.iter().enumerate() {
        let minutes = u32::try_from(length(index)).expect("small") - 1;
        let most = expected.entry(&report.terminal).or_default();
        *most = minutes.max(*most);
    }
    let found: BTreeMap<&str, u32> = rows
        .iter()
        .map(|(name, _, day)| (name.as_str(), day.used.count()))
        .collect();
    assert_eq!(found, expected);
}

fn main() {
    let bench = OsString::from("--bench");
    let cli = Cli::parse_from(std::env::args_os().filter(|argument| *argument != bench));
    let (reports, repeat) = if cli.test {
        (1_000, 1)
    } else {
        (cli.reports, cli.repeat)
    };
    let work = Work::new(reports, repeat);
    println!(
        "{reports} reports of {} terminals, each step {repeat} times; a report:",
        work.standings.len()
    );
    decoding(&work);
    checking(&work);
    painting(&work);
    merging(&work);
    assembling(&work);
}
