//! What the events of a Windows System log say of the machine: from XML to records.
//!
//! Of an event only its provider, its id and its times are read, never a user, a computer or a message. Pure, and tested
//! on every system. Not responsible for asking for the events (`windows`).

use super::{Event, Record, civil};

/// Events that are written close to each other may be written out of order: seconds.
const CLOSE: i64 = 900;

/// One event that says something of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// When it was written, Unix seconds by the machine's clock.
    at: i64,
    says: Says,
}

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// The system started (Kernel-General 12).
    System,
    /// The event log started (`EventLog` 6005): a part of the same start, but old logs may have lost the other.
    Log,
    /// The machine was on.
    Alive,
    /// The boot before ended without a shutdown, and was last alive at this time (`EventLog` 6008).
    LastAlive(i64),
    Asleep,
    Awake,
    /// The event log (6006) or the system (13) stops.
    Down,
}

/// Which ids are asked for, and of which provider they are meant. Numbers are every provider's own.
const MEANT: [(&str, &[u32]); 4] = [
    ("EventLog", &[6005, 6006, 6008, 6013]),
    ("Microsoft-Windows-Kernel-General", &[12, 13]),
    // Switched on after an end without shutdown; to sleep, awake; the same of machines that only stand by.
    ("Microsoft-Windows-Kernel-Power", &[41, 42, 107, 506, 507]),
    ("Microsoft-Windows-Power-Troubleshooter", &[1]),
];

/// The question for these events, in the event log's `XPath`.
pub(super) fn query() -> String {
    let of = |(provider, ids): &(&str, &[u32])| {
        let ids: Vec<String> = ids.iter().map(|id| format!("EventID={id}")).collect();
        format!("(Provider[@Name='{provider}'] and ({}))", ids.join(" or "))
    };
    let meant: Vec<String> = MEANT.iter().map(of).collect();
    format!("*[System[{}]]", meant.join(" or "))
}

/// The events in `xml`, which come latest first, in the order in which they were written. What is torn or unknown is
/// passed over.
pub(super) fn parse(xml: &str) -> Vec<Seen> {
    let mut seen: Vec<Seen> = xml.split("<Event ").skip(1).filter_map(event).collect();
    seen.reverse();
    seen
}

fn event(xml: &str) -> Option<Seen> {
    let (xml, _) = xml.split_once("</Event>")?;
    let provider = attribute(xml, "Provider", "Name")?;
    let id: u32 = content(xml, "EventID")?.trim().parse().ok()?;
    let at = moment(attribute(xml, "TimeCreated", "SystemTime")?)?;
    let meant = MEANT
        .iter()
        .any(|(of, ids)| provider.eq_ignore_ascii_case(of) && ids.contains(&id));
    let says = match id {
        _ if !meant => return None,
        12 => Says::System,
        6005 => Says::Log,
        6006 | 13 => Says::Down,
        6008 => Says::LastAlive(last_alive(content(xml, "Binary")?)?),
        42 | 506 => Says::Asleep,
        107 | 507 | 1 => Says::Awake,
        _ => Says::Alive,
    };
    Some(Seen { at, says })
}

/// The value of an attribute of the first such element; the log writes both kinds of quotes.
fn attribute<'a>(xml: &'a str, element: &str, name: &str) -> Option<&'a str> {
    let inside = opening(xml, element)?.0;
    let (_, value) = inside.split_once(&format!(" {name}="))?;
    let quote = value
        .chars()
        .next()
        .filter(|mark| matches!(mark, '"' | '\''))?;
    value.get(1..)?.split_once(quote).map(|(value, _)| value)
}

/// The text of the first such element.
fn content<'a>(xml: &'a str, element: &str) -> Option<&'a str> {
    opening(xml, element)?
        .1
        .split_once('<')
        .map(|(text, _)| text)
}

/// What lies inside the first opening tag, and what follows it.
fn opening<'a>(xml: &'a str, element: &str) -> Option<(&'a str, &'a str)> {
    let mut rest = xml;
    loop {
        let (_, tag) = rest.split_once('<')?;
        rest = tag;
        let Some(named) = tag.strip_prefix(element) else {
            continue;
        };
        if named.starts_with([' ', '>', '/', '\n', '\r', '\t']) {
            return named.split_once('>');
        }
    }
}

/// `2026-09-01T07:58:11.1234567Z`.
fn moment(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    civil::unix_seconds(civil::three(date, '-')?, civil::three(time, ':')?)
}

/// Event 6008 has the last sign of life twice, as the system's structures: in local time, then in UTC. The earlier is
/// taken, which is UTC wherever clocks run ahead of it, and never proves more than there was. Where both are the same,
/// nobody knows which of them it is.
fn last_alive(hex: &str) -> Option<i64> {
    let bytes: Option<Vec<u8>> = (0..32)
        .map(|place| u8::from_str_radix(hex.trim().get(place * 2..place * 2 + 2)?, 16).ok())
        .collect();
    let bytes = bytes?;
    let (one, other) = bytes.split_at(16);
    let (one, other) = (system_time(one)?, system_time(other)?);
    (one != other).then_some(one.min(other))
}

/// Year, month, day of the week, day, hour, minute, second, ms: 16 bits each.
fn system_time(bytes: &[u8]) -> Option<i64> {
    let part = |place: usize| -> Option<i64> {
        Some(u16::from_le_bytes(*bytes.get(place * 2..)?.first_chunk()?).into())
    };
    civil::unix_seconds(
        [part(0)?, part(1)?, part(3)?],
        [part(4)?, part(5)?, part(6)?],
    )
}

/// The records for the common rules.
pub(super) fn records(seen: &[Seen]) -> Vec<Record> {
    let mut told = Telling::default();
    for seen in in_order(seen) {
        told.event(seen);
    }
    told.records
}

/// At a start and at a shutdown, events wait for each other's service and may be written a little out of order. What is
/// far out of order was written by another clock, and stays where it is.
fn in_order(seen: &[Seen]) -> Vec<Seen> {
    let mut ordered: Vec<Seen> = Vec::with_capacity(seen.len());
    for next in seen {
        let late = ordered
            .iter()
            .rev()
            .take_while(|before| (1..=CLOSE).contains(&(before.at - next.at)))
            .count();
        ordered.insert(ordered.len() - late, *next);
    }
    ordered
}

#[derive(Default)]
struct Telling {
    records: Vec<Record>,
    /// The start that is being told: its record's place, and which of its two events was it.
    start: Option<(usize, Says)>,
}

impl Telling {
    fn event(&mut self, seen: Seen) {
        let event = match seen.says {
            Says::System | Says::Log => return self.start(seen),
            Says::LastAlive(at) => return self.last_alive(at),
            Says::Alive => Event::Alive,
            Says::Asleep => Event::Asleep,
            // Told twice, by the kernel and by whoever asks what woke it.
            Says::Awake if self.last().is_some_and(|last| last.event == Event::Awake) => {
                Event::Alive
            }
            Says::Awake => Event::Awake,
            // Written late, by the next boot: it is not the end of that.
            Says::Down if self.last().is_some_and(|last| seen.at < last.at) => {
                return self.last_alive(seen.at);
            }
            Says::Down => Event::Down,
        };
        if event != Event::Alive {
            self.start = None;
        }
        self.push(seen.at, event);
    }

    /// A start is told by two events: one boot.
    fn start(&mut self, seen: Seen) {
        match self.start {
            Some((place, says)) if says != seen.says => {
                // Far from each other, the clock was set between them: the later written is right.
                if let Some(boot) = self.records.get_mut(place)
                    && boot.at.abs_diff(seen.at) > CLOSE.unsigned_abs()
                {
                    boot.at = seen.at;
                }
                self.start = None;
            }
            _ => {
                self.start = Some((self.records.len(), seen.says));
                self.push(seen.at, Event::Boot);
            }
        }
    }

    /// It belongs before the start that notes it.
    fn last_alive(&mut self, at: i64) {
        let last = self
            .records
            .iter()
            .rposition(|record| record.event == Event::Boot);
        let place = last.unwrap_or(self.records.len());
        self.records.insert(
            place,
            Record {
                at,
                event: Event::Alive,
            },
        );
        if let Some((start, _)) = &mut self.start
            && place <= *start
        {
            *start += 1;
        }
    }

    fn last(&self) -> Option<&Record> {
        self.records.last()
    }

    fn push(&mut self, at: i64, event: Event) {
        self.records.push(Record { at, event });
    }
}

#[cfg(test)]
mod tests;
