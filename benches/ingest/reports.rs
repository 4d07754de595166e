//! What terminals say: one powered and one used session a day, both open, growing by a minute a report.
//!
//! Every report is a function of the terminal and its number, so that what must stand in the store is known exactly.
//! Encoded by hand, for the generator runs on the same cores as what it measures. Not responsible for frames.

use std::io::Write as _;

use classpulse_proto::v1::{ClockState, Kind, MinuteRun, Report, Session};
use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, date},
};
use prost::Message as _;

/// Reports of one terminal and day: ten hours, one a minute.
const DAY: u64 = 600;

/// Days before today on which the first report lies. More days than this are not reported.
const DAYS: i32 = 250;

/// When the day of a terminal begins, minutes after midnight: 07:00 to 07:59, so that neighbours differ.
fn first_minute(terminal: usize) -> u32 {
    420 + u32::try_from(terminal % 60).expect("small")
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// As agents do.
    Protobuf,
    /// As sites without the agent do.
    Json,
}

/// All reports of all terminals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reports {
    /// The first day.
    pub first_day: Date,
    /// Its midnight, Unix seconds.
    midnight: i64,
    form: Form,
    /// One report in so many asks for an answer.
    answers: u64,
}

/// A report's place in its terminal's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which terminal.
    pub terminal: usize,
    /// Which of its reports, from 0.
    pub number: u64,
}

impl Reports {
    /// The past, seen from `today`.
    pub(crate) fn new(today: Date, form: Form, answers: u64) -> Self {
        let first_day = today
            .checked_sub(DAYS.days())
            .expect("a day of our calendar");
        let days = first_day.duration_since(date(1970, 1, 1)).as_hours() / 24;
        // China has had one zone without summer time since 1991.
        let midnight = days * 86_400 - 8 * 3_600;
        let reports = Self {
            first_day,
            midnight,
            form,
            answers: answers.max(1),
        };
        reports.check();
        reports
    }

    /// Whether a report wants no answer, as agents' reports that only let open sessions grow. A day's last is answered.
    pub(crate) fn is_quiet(&self, place: Place) -> bool {
        let asks = (place.number + place.terminal as u64).is_multiple_of(self.answers);
        !asks && place.number % DAY != DAY - 1
    }

    /// Writes a report as it is sent at `now`, Unix seconds.
    pub(crate) fn write(&self, out: &mut Vec<u8>, place: Place, quiet: bool, now: i64) {
        match self.form {
            Form::Protobuf => self.protobuf(out, place, quiet, now),
            Form::Json => self.json(out, place, quiet, now),
        }
    }

    /// Start and end of the powered session, Unix seconds. The used one begins a minute later.
    fn session(&self, place: Place) -> (i64, i64) {
        let (day, minute) = (place.number / DAY, place.number % DAY);
        assert!(
            day < DAYS.unsigned_abs().into(),
            "a terminal has told all its days: give more terminals or fewer seconds"
        );
        let day = i64::try_from(day).expect("checked");
        let start = self.midnight + day * 86_400 + i64::from(first_minute(place.terminal)) * 60;
        (
            start,
            start + 60 * (i64::try_from(minute).expect("small") + 1),
        )
    }

    fn protobuf(&self, out: &mut Vec<u8>, place: Place, quiet: bool, now: i64) {
        let (start, end) = self.session(place);
        out.extend_from_slice(&[1 << 3 | 2, 16]);
        out.extend_from_slice(&boot(place));
        field(out, 2, place.number % DAY + 1);
        field(out, 3, now.unsigned_abs());
        field(out, 4, 2);
        for (kind, start) in [(1, start), (2, start + 60)] {
            if start < end {
                out.push(6 << 3 | 2);
                let at = out.len();
                out.push(0);
                field(out, 1, kind);
                field(out, 2, 1);
                field(out, 3, start.unsigned_abs());
                field(out, 4, end.unsigned_abs());
                field(out, 5, 1);
                out[at] = u8::try_from(out.len() - at - 1).expect("short");
            }
        }
        if quiet {
            field(out, 8, 1);
        }
    }

    fn json(&self, out: &mut Vec<u8>, place: Place, quiet: bool, now: i64) {
        let (start, end) = self.session(place);
        let sequence = place.number % DAY + 1;
        out.extend_from_slice(b"{\"bootId\":\"");
        base64(out, &boot(place));
        write!(
            out,
            "\",\"sequence\":\"{sequence}\",\"sentAt\":\"{now}\",\"clock\":\"CLOCK_STATE_SYNCED\",\"sessions\":["
        )
        .expect("memory");
        for (kind, start) in [("POWERED", start), ("USED", start + 60)] {
            if start < end {
                let comma = if kind == "USED" { "," } else { "" };
                write!(
                    out,
                    "{comma}{{\"kind\":\"KIND_{kind}\",\"number\":1,\"start\":\"{start}\",\"end\":\"{end}\",\"open\":true}}"
                )
                .expect("memory");
            }
        }
        let end: &[u8] = if quiet { b"],\"quiet\":true}" } else { b"]}" };
        out.extend_from_slice(end);
    }

    /// The days that a terminal has minutes on after `count` reports, with powered and used minutes.
    pub(crate) fn expected(
        &self,
        terminal: usize,
        count: u64,
    ) -> Vec<(Date, Vec<MinuteRun>, Vec<MinuteRun>)> {
        let start = first_minute(terminal);
        let run = |start, end| {
            let some = start < end;
            some.then_some(MinuteRun { start, end })
                .into_iter()
                .collect()
        };
        (0..count.div_ceil(DAY))
            .map(|day| {
                let minutes = u32::try_from((count - day * DAY).min(DAY)).expect("small");
                let end = start + minutes;
                let day = i64::try_from(day).expect("small");
                let date = self.first_day.checked_add(day.days()).expect("checked");
                (date, run(start, end), run(start + 1, end))
            })
            .collect()
    }

    /// What is written by hand is what the contract means; and the reports agree with what is expected of them.
    fn check(&self) {
        let now = self.midnight + 300 * 86_400;
        for (number, quiet) in [
            (0, false),
            (1, true),
            (77, false),
            (599, true),
            (600, false),
        ] {
            let place = Place {
                terminal: 61,
                number,
            };
            let (start, end) = self.session(place);
            let mut sessions = vec![(Kind::Powered, start)];
            if number % DAY > 0 {
                sessions.push((Kind::Used, start + 60));
            }
            let session = |(kind, start): (Kind, i64)| Session {
                kind: kind.into(),
                number: 1,
                start,
                end,
                open: true,
            };
            let meant = Report {
                boot_id: boot(place).to_vec(),
                sequence: number % DAY + 1,
                sent_at: now,
                clock: ClockState::Synced.into(),
                sessions: sessions.into_iter().map(session).collect(),
                quiet,
                ..Report::default()
            };
            let mut bytes = Vec::new();
            self.protobuf(&mut bytes, place, quiet, now);
            assert_eq!(Report::decode(bytes.as_slice()).expect("protobuf"), meant);
            bytes.clear();
            self.json(&mut bytes, place, quiet, now);
            let said: Report = serde_json::from_slice(&bytes).expect("JSON");
            assert_eq!(said, meant);
            let last = self.expected(61, number + 1).pop().expect("a day");
            let latest = Timestamp::from_second(end - 1).expect("a time");
            let local = jiff::tz::offset(8).to_datetime(latest);
            assert_eq!(local.date(), last.0);
            assert_eq!(placed(&meant.boot_id, meant.sequence), Some(place));
        }
    }
}

/// The report that an acknowledgement speaks of.
pub(crate) fn placed(boot: &[u8], sequence: u64) -> Option<Place> {
    let part = |at: usize| {
        let bytes = boot.get(at..at + 8)?;
        Some(u64::from_be_bytes(bytes.try_into().ok()?))
    };
    Some(Place {
        terminal: usize::try_from(part(0)?).ok()?,
        number: part(8)?.checked_mul(DAY)?.checked_add(sequence)? - 1,
    })
}

/// Terminal and day.
fn boot(place: Place) -> [u8; 16] {
    let mut boot = [0; 16];
    boot[..8].copy_from_slice(&(place.terminal as u64).to_be_bytes());
    boot[8..].copy_from_slice(&(place.number / DAY).to_be_bytes());
    boot
}

/// A varint field.
fn field(out: &mut Vec<u8>, tag: u8, mut value: u64) {
    out.push(tag << 3);
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in bytes.chunks(3) {
        let bits = three.iter().enumerate().fold(0_u32, |bits, (at, byte)| {
            bits | u32::from(*byte) << (16 - 8 * at)
        });
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= three.len() { letter } else { b'=' });
        }
    }
}
