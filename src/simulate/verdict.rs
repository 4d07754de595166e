//! The comparison, minute by minute: what truly was against what is held, and the other way round.
//!
//! Not responsible for what is allowed in words: that is the module's documentation, and this its letter.

use std::collections::BTreeMap;

use classpulse_agent::core::{JournalState, Kind};
use classpulse_proto::v1::{self, Report};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use prost::Message as _;

use super::{
    plan::IDLE,
    report::Difference,
    truth::{Boot, Dating, SERVICE_DATING},
    world::World,
};
use crate::{
    domain::{
        minutes::{DayMinutes, MINUTES_PER_DAY, MinuteSet},
        session::{self, Session, paint},
    },
    store::StoreError,
};

/// A clock that is off by more can't be believed, seconds.
const HOUR: i64 = 3_600;
const BYTES: usize = crate::domain::minutes::BYTES;

/// Minutes of any days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Line(BTreeMap<Date, [u8; BYTES]>);

impl Line {
    fn add(&mut self, day: Date, set: &MinuteSet) {
        let mine = self.0.entry(day).or_insert([0; BYTES]);
        for (mine, theirs) in mine.iter_mut().zip(set.to_bytes()) {
            *mine |= theirs;
        }
    }

    fn join(&mut self, other: &Self) {
        for (day, bytes) in &other.0 {
            let mine = self.0.entry(*day).or_insert([0; BYTES]);
            for (mine, theirs) in mine.iter_mut().zip(bytes) {
                *mine |= theirs;
            }
        }
    }

    fn joined(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.join(other);
        both
    }

    fn minus(&self, other: &Self) -> Self {
        let mut left = self.clone();
        for (day, mine) in &mut left.0 {
            if let Some(theirs) = other.0.get(day) {
                for (mine, theirs) in mine.iter_mut().zip(theirs) {
                    *mine &= !theirs;
                }
            }
        }
        left
    }

    fn and(&self, other: &Self) -> Self {
        self.minus(&self.minus(other))
    }

    fn count(&self) -> u64 {
        let days = self.0.values();
        days.flatten()
            .map(|byte| u64::from(byte.count_ones()))
            .sum()
    }

    fn first(&self) -> Option<(Date, u16)> {
        self.0.iter().find_map(|(day, bytes)| {
            let set = MinuteSet::from_bytes(bytes).ok()?;
            let minute = (0..MINUTES_PER_DAY).find(|minute| set.contains(*minute))?;
            Some((*day, minute))
        })
    }
}

/// Powered and used minutes.
#[derive(Debug, Clone, Default)]
pub(super) struct Both([Line; 2]);

const KINDS: [(usize, &str); 2] = [(0, "powered"), (1, "used")];

impl Both {
    fn add_day(&mut self, day: Date, minutes: &DayMinutes) {
        self.0[0].add(day, &minutes.powered);
        self.0[1].add(day, &minutes.used);
    }

    fn paint(&mut self, used: bool, (start, end): (i64, i64), zone: &TimeZone) {
        if start >= end {
            return;
        }
        let kind = if used {
            session::Kind::Used
        } else {
            session::Kind::Powered
        };
        for part in paint(&Session { kind, start, end }, zone) {
            self.add_day(part.day, &part.minutes);
        }
    }

    /// What a journal's sessions would paint.
    fn journal(&mut self, state: &JournalState, zone: &TimeZone) {
        for seen in state.sessions() {
            self.paint(seen.kind == Kind::Used, (seen.start, seen.end), zone);
        }
    }

    fn report(&mut self, report: &Report, zone: &TimeZone) {
        for one in &report.sessions {
            self.paint(one.kind() == v1::Kind::Used, (one.start, one.end), zone);
        }
    }
}

/// What the comparison needs and that is only known while things happen.
#[derive(Debug)]
pub(super) struct Verdict {
    gone: Vec<Both>,
}

impl Verdict {
    pub(super) fn new(terminals: usize) -> Self {
        Self {
            gone: vec![Both::default(); terminals],
        }
    }

    /// One terminal more.
    pub(super) fn grow(&mut self) {
        self.gone.push(Both::default());
    }

    /// Journals are gone; `after` is what stands in their place.
    pub(super) fn gone(
        &mut self,
        terminal: usize,
        before: &[JournalState],
        after: Option<&JournalState>,
        zone: &TimeZone,
    ) {
        let (mut held, mut kept) = (Both::default(), Both::default());
        for state in before {
            held.journal(state, zone);
        }
        if let Some(state) = after {
            kept.journal(state, zone);
        }
        for (kind, _) in KINDS {
            self.gone[terminal].0[kind].join(&held.0[kind].minus(&kept.0[kind]));
        }
    }
}

/// What was recorded of a terminal, and where.
#[derive(Debug, Default)]
struct Held {
    store: Both,
    waiting: Both,
    quarantine: Both,
    gone: Both,
}

/// What should have been: by the true clock, or by a wrong one to the end.
#[derive(Debug, Default)]
struct Should {
    truth: Both,
    must: Both,
    misdated: Both,
    misdated_must: Both,
    /// What the store may hold.
    may: Both,
    /// What may wait in a journal only: a dead clock's days.
    may_wait: Both,
}

impl World<'_> {
    pub(super) fn compare(&mut self) -> Result<Vec<Difference>, StoreError> {
        let mut differences = Vec::new();
        let mut quarantine = vec![Both::default(); self.names.len()];
        for entry in self.store.quarantine()? {
            let place = self
                .names
                .iter()
                .position(|name| name.as_str() == entry.terminal);
            if let (Some(place), Ok(report)) = (place, Report::decode(entry.payload.as_slice())) {
                quarantine[place].report(&report, &self.zone);
            }
        }
        let mut waiting = vec![Both::default(); self.names.len()];
        for machine in &self.machines {
            if let Some(state) = machine.disk.look() {
                self.truth.loaded(&state, None);
                waiting[machine.terminal].journal(&state, &self.zone);
            }
        }
        for (terminal, (quarantine, waiting)) in quarantine.into_iter().zip(waiting).enumerate() {
            let mut held = Held {
                quarantine,
                waiting,
                gone: std::mem::take(&mut self.verdict.gone[terminal]),
                ..Held::default()
            };
            for (day, minutes) in self.store.days(&self.names[terminal])? {
                held.store.add_day(day, &minutes);
            }
            let should = self.should(terminal, &mut differences);
            self.settle_accounts(terminal, &held, &should, &mut differences);
        }
        Ok(differences)
    }

    fn should(&self, terminal: usize, differences: &mut Vec<Difference>) -> Should {
        let mut should = Should::default();
        let boots = self.truth.boots.iter();
        for boot in boots.filter(|boot| boot.terminal == terminal) {
            if let Some(why) = clock_fault(boot) {
                differences.push(Difference {
                    terminal: self.names[terminal].to_string(),
                    what: "a clock was handled wrongly".to_owned(),
                    why: format!("{why}: {}", self.describe(boot)),
                });
            }
            add_boot(&mut should, boot, &self.zone);
        }
        should
    }

    fn settle_accounts(
        &mut self,
        terminal: usize,
        held: &Held,
        should: &Should,
        differences: &mut Vec<Difference>,
    ) {
        for (kind, name) in KINDS {
            let right = account(&should.truth.0[kind], &should.must.0[kind], held, kind);
            // Minutes by a clock that was wrong to the end; what another boot painted too counts there.
            let wrong = &should.misdated.0[kind];
            let wrong = account(wrong, &should.misdated_must.0[kind], held, kind);
            self.figures.counted += right.stored;
            self.figures.misdated += wrong.stored;
            for one in [&right, &wrong] {
                self.figures.truth += one.truth;
                self.figures.waiting += one.waiting;
                self.figures.quarantined += one.quarantined;
                self.figures.gone += one.gone;
                self.figures.tail += one.tail;
            }
            let lost = right.lost.joined(&wrong.lost);
            self.figures.lost += lost.count();
            let mut extra = held.store.0[kind].minus(&should.may.0[kind]);
            let journal = held.waiting.0[kind].minus(&should.may.0[kind]);
            extra.join(&journal.minus(&should.may_wait.0[kind]));
            self.figures.doubled += extra.count();
            for (what, line) in [("lost", &lost), ("counted, but never so", &extra)] {
                let Some((day, minute)) = line.first() else {
                    continue;
                };
                let why = format!(
                    "{day} {:02}:{:02} ({name}; {} such minutes): {}",
                    minute / 60,
                    minute % 60,
                    line.count(),
                    self.explain(terminal, day, minute)
                );
                differences.push(Difference {
                    terminal: self.names[terminal].to_string(),
                    what: what.to_owned(),
                    why,
                });
            }
        }
    }

    /// The boots of a terminal around a minute.
    fn explain(&self, terminal: usize, day: Date, minute: u16) -> String {
        let midnight = self.zone.to_timestamp(day.at(0, 0, 0, 0));
        let midnight = midnight.map_or(0, Timestamp::as_second);
        let at = midnight + i64::from(minute) * 60;
        let boots = self.truth.boots.iter();
        // By its own clock, too: a boot may lie where it believed to be.
        let is_near = |boot: &Boot| {
            let own = boot.dating.map_or(0, |dating| dating.error_ms / 1_000);
            let about =
                |shift: i64| (boot.on + shift - 3_700..boot.off + shift + 3_700).contains(&at);
            about(0) || about(own)
        };
        let near: Vec<String> = boots
            .filter(|boot| boot.terminal == terminal && is_near(boot))
            .map(|boot| self.describe(boot))
            .collect();
        if near.is_empty() {
            "no machine was on".to_owned()
        } else {
            near.join("; ")
        }
    }

    fn describe(&self, boot: &Boot) -> String {
        let time = |at: i64| {
            Timestamp::from_second(at).map_or_else(
                |_| at.to_string(),
                |at| {
                    self.zone
                        .to_datetime(at)
                        .strftime("%m-%d %H:%M:%S")
                        .to_string()
                },
            )
        };
        let used: Vec<String> = boot
            .used(true, IDLE)
            .into_iter()
            .map(|(from, to)| format!("{}-{}", time(from), time(to)))
            .collect();
        let powered: Vec<String> = boot
            .powered
            .iter()
            .map(|span| format!("{}-{}", time(span.truth.0), time(span.truth.1)))
            .collect();
        format!(
            "machine {} boot {}, {}, {}; on {}; used {}; clock errors {:?} s, vouched {}, dated {:?}{}{}{}",
            boot.machine,
            boot.number,
            boot.ending,
            time(boot.off),
            powered.join(" "),
            used.join(" "),
            boot.errors,
            boot.vouched.map_or_else(|| "never".to_owned(), time),
            boot.dating,
            boot.uncounted
                .map_or_else(String::new, |sleep| format!("; {sleep:?}")),
            boot.set_over
                .map_or_else(String::new, |sleep| format!("; {sleep:?}")),
            if boot.unseen { ", unseen" } else { "" },
        )
    }
}

/// What became of minutes.
struct Account {
    truth: u64,
    stored: u64,
    waiting: u64,
    quarantined: u64,
    gone: u64,
    tail: u64,
    lost: Line,
}

/// Where each minute of `truth` is, the first place that has it.
fn account(truth: &Line, must: &Line, held: &Held, kind: usize) -> Account {
    let mut left = truth.clone();
    let mut take = |from: &Both| {
        let before = left.count();
        left = left.minus(&from.0[kind]);
        before - left.count()
    };
    let stored = take(&held.store);
    let waiting = take(&held.waiting);
    let quarantined = take(&held.quarantine);
    let gone = take(&held.gone);
    let lost = left.and(must);
    Account {
        truth: truth.count(),
        stored,
        waiting,
        quarantined,
        gone,
        tail: left.minus(&lost).count(),
        lost,
    }
}

/// How far a boot's dating may be off, seconds.
fn slack(boot: &Boot) -> i64 {
    if boot.was_wrong() { SERVICE_DATING } else { 0 }
}

/// Where a boot's time puts what it recorded, seconds beside the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shift {
    by: i64,
    /// How far the place may be off besides.
    slack: i64,
    /// Nothing of it may be in the store.
    unplaced: bool,
}

impl Shift {
    fn right(slack: i64) -> Self {
        Self {
            by: 0,
            slack,
            unplaced: false,
        }
    }
}

/// What a boot recorded before a sleep that its time does not count, or over which its clock was set, and after it; both the
/// same in other boots.
fn shifts(boot: &Boot, dating: Option<Dating>) -> [Shift; 2] {
    let right = Shift::right(slack(boot));
    let Some(dating) = dating else {
        return [right; 2];
    };
    let by = dating.error_ms.div_euclid(1_000);
    let wrong = |by: i64, unplaced| Shift {
        by,
        slack: 0,
        unplaced,
    };
    let set = boot.set_over.filter(|set| by != set.error);
    if let Some(set) = set.filter(|_| !dating.vouched) {
        // Which of the two clocks was right nobody can tell: neither places anything.
        return [wrong(set.error, true), wrong(by, true)];
    }
    let Some(sleep) = boot.uncounted else {
        let shift = if dating.vouched || by == 0 {
            right
        } else {
            wrong(by, by.abs() > HOUR && !boot.orphan)
        };
        return [shift; 2];
    };
    // Before it the clock was right, or nobody had looked; after it the boot's own time lacks the sleep.
    let after = by - sleep.gap;
    let heard = dating.vouched && (-right.slack..=0).contains(&after);
    let before = if boot.unseen && heard && by != 0 {
        wrong(by, false)
    } else {
        right
    };
    [before, if heard { right } else { wrong(after, true) }]
}

/// What is wrong with how a boot's clock was handled.
fn clock_fault(boot: &Boot) -> Option<String> {
    let dating = boot.dating?;
    if dating.vouched {
        let range = -slack(boot) * 1_000..=0;
        let asleep = boot.uncounted.map_or(0, |sleep| sleep.gap * 1_000);
        let right = range.contains(&dating.error_ms) || range.contains(&(dating.error_ms - asleep));
        return (!right).then(|| format!("vouched for, and off by {} ms", dating.error_ms));
    }
    if boot.vouched.is_some_and(|at| at <= boot.written) {
        return Some("somebody vouched for it, and it is not trusted".to_owned());
    }
    if boot.uncounted.is_some() {
        return None;
    }
    let own = dating.error_ms % 1_000 == 0 && boot.errors.contains(&(dating.error_ms / 1_000));
    (!own).then(|| format!("dated by no clock it had: off by {} ms", dating.error_ms))
}

fn add_boot(should: &mut Should, boot: &Boot, zone: &TimeZone) {
    // It sleeps once at most.
    let uncounted = boot.uncounted.map(|sleep| sleep.woke);
    let set = boot.set_over.map(|sleep| sleep.woke);
    let woke = uncounted.or(set).unwrap_or(i64::MAX);
    let of = |shifts: [Shift; 2], start: i64| shifts[usize::from(start >= woke)];
    let by = |(from, to): (i64, i64), by: i64, slack: i64| (from + by + slack, to + by - slack);
    let own = shifts(boot, boot.dating);
    let used = boot.used(true, IDLE);
    for span in &boot.powered {
        let shift = of(own, span.truth.0);
        let (truth, must) = should.by(shift);
        truth.paint(false, by(span.truth, shift.by, 0), zone);
        must.paint(false, by(span.must, shift.by, shift.slack), zone);
    }
    for span in &used {
        let shift = of(own, span.0);
        let (truth, _) = should.by(shift);
        truth.paint(true, by(*span, shift.by, 0), zone);
    }
    for span in boot.used(false, IDLE) {
        let shift = of(own, span.0);
        let (_, must) = should.by(shift);
        must.paint(true, by(span, shift.by, shift.slack), zone);
    }
    let datings = boot.datings.iter();
    let mut all: Vec<[Shift; 2]> = datings.map(|one| shifts(boot, Some(*one))).collect();
    all.push(own);
    all.sort_unstable();
    all.dedup();
    // Only where what came before the sleep is moved by it.
    if all.iter().any(|[before, _]| before.by != 0)
        && let Some(span) = boot.used_over_sleep(IDLE)
    {
        should.may.paint(true, span, zone);
    }
    for shifts in all {
        for span in &boot.powered {
            let shift = of(shifts, span.truth.0);
            should
                .may(shift)
                .paint(false, by(span.may, shift.by, -shift.slack), zone);
        }
        for span in &used {
            let shift = of(shifts, span.0);
            should
                .may(shift)
                .paint(true, by(*span, shift.by, -shift.slack), zone);
        }
    }
}

impl Should {
    fn by(&mut self, shift: Shift) -> (&mut Both, &mut Both) {
        if shift.by == 0 {
            (&mut self.truth, &mut self.must)
        } else {
            (&mut self.misdated, &mut self.misdated_must)
        }
    }

    fn may(&mut self, shift: Shift) -> &mut Both {
        if shift.unplaced {
            &mut self.may_wait
        } else {
            &mut self.may
        }
    }
}
