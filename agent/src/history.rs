//! When the machine was on before the agent was installed, by the machine's own log of its boots. Rules only: what a
//! log's records prove, and no minute more.
//!
//! Reading the log is the system's part ([`spans`]). Not responsible for reporting what was found (`core`).

#[cfg(any(target_os = "linux", windows))]
mod civil;
#[cfg(any(windows, test))]
mod events;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(windows)]
mod windows;

/// What this machine's own log says, from `since` to `now`, both in Unix seconds. Ask only when the clock is known to
/// be right: what is dated after `now` is not believed. May take seconds: not for a thread that has more to do.
///
/// # Errors
/// [`HistoryError`] where the machine keeps no such log, or it may not be read.
#[cfg(target_os = "linux")]
pub use linux::spans;
#[cfg(windows)]
pub use windows::spans;

const DAY: i64 = 86_400;
/// 2020-01-01 UTC: a clock that says less is dead, and was so in every classroom terminal that is still in use.
const EARLIEST: i64 = 1_577_836_800;
/// How far back is looked: a school year and the summer before it.
pub const MOST_DAYS: i64 = 400;
/// Most spans in one history; of more, the latest are taken.
pub const MOST_SPANS: usize = 2_000;

/// A time in which the machine was on: [start, end), Unix seconds, at most a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoweredSpan {
    /// The first second.
    pub start: i64,
    /// The second after the last.
    pub end: i64,
}

/// What a log proves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Ascending, never overlapping, at most [`MOST_SPANS`].
    pub spans: Vec<PoweredSpan>,
    /// Records that can't be true: a dead clock's, the future's, or out of order.
    pub records_left_out: usize,
    /// Spans beyond [`MOST_SPANS`].
    pub spans_left_out: usize,
}

/// Why there is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// No log of boots, or none that may be read.
    #[error("this machine's log of its boots can't be read")]
    Unreadable(#[source] std::io::Error),
}

/// What a record of the log tells of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was switched on.
    Boot,
    /// It was on at this moment. A note made later of when a boot ended without warning is such a record too: it
    /// belongs before the next boot's.
    Alive,
    /// It went to sleep.
    Asleep,
    /// It woke.
    Awake,
    /// It was shut down in order.
    Down,
}

/// One record of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// When, Unix seconds, as the machine's clock had it.
    pub at: i64,
    /// What.
    pub event: Event,
}

impl History {
    /// What `records` prove, from `since` (but no more than [`MOST_DAYS`] back) to `now`. They come as they were
    /// written: their order is the true one, even where their times are not.
    ///
    /// A boot without a shutdown ends at its last sign of life. Nothing joins two boots. More than a day without a sign
    /// of life is not filled.
    #[must_use]
    pub fn from_records(records: &[Record], since: i64, now: i64) -> Self {
        let believed = believable(records, now);
        let mut walk = Walk::default();
        for (record, believed) in records.iter().zip(&believed) {
            walk.step(*record, *believed);
        }
        walk.close();
        let since = since.max(now.saturating_sub(MOST_DAYS * DAY));
        let mut spans: Vec<PoweredSpan> = walk
            .spans
            .into_iter()
            .flat_map(|span| days(span, since, now))
            .collect();
        let spans_left_out = spans.len().saturating_sub(MOST_SPANS);
        spans.drain(..spans_left_out);
        Self {
            spans,
            records_left_out: believed.iter().filter(|believed| !**believed).count(),
            spans_left_out,
        }
    }

    /// Seconds of power in all.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.spans.iter().map(|span| span.end - span.start).sum()
    }
}

/// Which records can be true together: of those dated between 2020 and now, the most that are in order.
fn believable(records: &[Record], now: i64) -> Vec<bool> {
    // Places in `records`: of each length of chain, the one that ends earliest; and each record's place in its chain.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; records.len()];
    for (place, record) in records.iter().enumerate() {
        if !(EARLIEST..=now).contains(&record.at) {
            continue;
        }
        let length = ends.partition_point(|end| records[*end].at <= record.at);
        before[place] = length.checked_sub(1).map(|shorter| ends[shorter]);
        if length == ends.len() {
            ends.push(place);
        } else {
            ends[length] = place;
        }
    }
    let mut believed = vec![false; records.len()];
    let mut link = ends.last().copied();
    while let Some(place) = link {
        believed[place] = true;
        link = before[place];
    }
    believed
}

/// Goes through records in their order.
#[derive(Debug, Default)]
struct Walk {
    spans: Vec<PoweredSpan>,
    /// What is proven of the time that is being walked through.
    open: Option<PoweredSpan>,
    /// Between going to sleep and waking, nothing that is written proves more than the moment itself.
    asleep: bool,
}

impl Walk {
    fn step(&mut self, record: Record, believed: bool) {
        match record.event {
            Event::Boot | Event::Awake => {
                self.close();
                self.asleep = false;
                if believed {
                    self.alive(record.at);
                }
            }
            Event::Alive if self.asleep || !believed => {}
            Event::Alive => self.alive(record.at),
            Event::Asleep | Event::Down => {
                if believed && !self.asleep {
                    self.alive(record.at);
                }
                self.close();
                self.asleep = record.event == Event::Asleep;
            }
        }
    }

    fn alive(&mut self, at: i64) {
        if self.open.is_some_and(|open| at - open.end > DAY) {
            self.close();
        }
        let open = self.open.get_or_insert(PoweredSpan { start: at, end: at });
        open.end = at;
    }

    fn close(&mut self) {
        let closed = self.open.take().filter(|span| span.end > span.start);
        self.spans.extend(closed);
    }
}

/// The part of a span between two moments, in pieces of at most a day: no session may be longer.
fn days(span: PoweredSpan, since: i64, now: i64) -> impl Iterator<Item = PoweredSpan> {
    let end = span.end.min(now);
    let mut next = span.start.max(since);
    std::iter::from_fn(move || {
        let start = next;
        next = start.saturating_add(DAY).min(end);
        (start < end).then_some(PoweredSpan { start, end: next })
    })
}

#[cfg(test)]
mod tests;
