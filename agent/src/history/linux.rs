//! Linux: boots by wtmp and by the system journal. Of both only times are read, never who logged in.
//!
//! The journal knows more: the last entry of a boot that ended at the wall switch, sleep, and how long after its boot
//! an entry was written, which tells the boot's true time where the clock was set meanwhile. wtmp tells of the time
//! before the journal begins, and gives signs of life inside its boots.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
};

use serde::Deserialize;

use super::{Event, History, HistoryError, Record, civil};

/// At most so many bytes of one source are read: many years.
const LARGEST: u64 = 64 * 1024 * 1024;
/// Times of one boot that differ by less say the same, seconds.
const SAME: i64 = 120;

/// See [`super::spans`].
///
/// # Errors
/// Where neither log can be read.
pub fn spans(since: i64, now: i64) -> Result<History, HistoryError> {
    let logins = read_wtmp(Path::new("/var/log"));
    let journal = read_journal();
    let records = match (logins, journal) {
        (Ok(logins), Ok(boots)) => joined(&logins, &boots),
        (Ok(logins), Err(_)) => logins,
        (Err(_), Ok(boots)) => joined(&[], &boots),
        (Err(_), Err(error)) => return Err(HistoryError::Unreadable(error)),
    };
    Ok(History::from_records(&records, since, now))
}

/// The month before, where it was put aside, and this one.
fn read_wtmp(folder: &Path) -> io::Result<Vec<Record>> {
    let read = |name: &str| {
        let file = File::open(folder.join(name))?;
        wtmp(BufReader::new(file).take(LARGEST), Layout::HERE)
    };
    let mut records = read("wtmp.1").unwrap_or_default();
    match read("wtmp") {
        Ok(more) => records.extend(more),
        Err(error) if records.is_empty() => return Err(error),
        Err(_) => {}
    }
    Ok(records)
}

/// How wtmp's records lie in the file: fixed by each kind of machine's C library.
#[derive(Debug, Clone, Copy)]
struct Layout {
    record: usize,
    time: usize,
    time_bytes: usize,
}

impl Layout {
    /// x86, and what kept its 32-bit times.
    const NARROW: Self = Self {
        record: 384,
        time: 340,
        time_bytes: 4,
    };
    /// 64-bit ARM, `LoongArch` and others without such a past.
    const WIDE: Self = Self {
        record: 400,
        time: 344,
        time_bytes: 8,
    };
    const HERE: Self = if cfg!(any(target_arch = "aarch64", target_arch = "loongarch64")) {
        Self::WIDE
    } else {
        Self::NARROW
    };
}

/// The records of a wtmp file in their order. A torn one at the end is not there.
fn wtmp(mut file: impl Read, layout: Layout) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut bytes = vec![0; layout.record];
    loop {
        match file.read_exact(&mut bytes) {
            Ok(()) => records.extend(login_record(&bytes, layout)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(records),
            Err(error) => return Err(error),
        }
    }
}

fn login_record(bytes: &[u8], layout: Layout) -> Option<Record> {
    // The C library's names and numbers; 3 and 4 are the clock before and after it was set.
    const RUN_LVL: u16 = 1;
    const BOOT_TIME: u16 = 2;
    const LAST: u16 = 8;
    let kind = u16::from_ne_bytes(*bytes.first_chunk()?);
    let event = match kind {
        BOOT_TIME => Event::Boot,
        RUN_LVL if ends(bytes) => Event::Down,
        RUN_LVL..=LAST => Event::Alive,
        _ => return None,
    };
    let time = bytes.get(layout.time..)?;
    let at = match layout.time_bytes {
        8 => i64::from_ne_bytes(*time.first_chunk()?),
        _ => u32::from_ne_bytes(*time.first_chunk()?).into(),
    };
    Some(Record { at, event })
}

/// Whether a change of run level is the end: systemd says "shutdown" in the place of a name, others the level, 0 or 6,
/// in the place of a process id.
fn ends(bytes: &[u8]) -> bool {
    let level = bytes.get(4).copied().unwrap_or_default();
    let name = bytes.get(44..).unwrap_or_default();
    name.starts_with(b"shutdown") || matches!(level, b'0' | b'6')
}

/// One boot in the journal; times in Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Boot {
    id: String,
    first: i64,
    last: i64,
    /// Ascending.
    signs: Vec<Sign>,
}

/// An entry of a boot that says more than that something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sign {
    record: Record,
    /// Seconds that the machine had been awake in this boot.
    awake: i64,
}

impl Boot {
    /// When it was switched on: by the last entry before the first sleep, since the clock is right by then if it ever
    /// was; by the first entry where that says the same.
    fn began(&self) -> i64 {
        let awake = self
            .signs
            .iter()
            .take_while(|sign| sign.record.event == Event::Alive);
        let by_sign = awake.last().map(|sign| sign.record.at - sign.awake);
        by_sign
            .filter(|at| at.abs_diff(self.first) > SAME.unsigned_abs())
            .unwrap_or(self.first)
    }
}

/// Both logs as one: wtmp before the journal begins, then the journal's boots with wtmp's signs of life inside them.
fn joined(logins: &[Record], boots: &[Boot]) -> Vec<Record> {
    let begins = boots.first().map_or(i64::MAX, Boot::began);
    let before = logins.iter().filter(|record| record.at < begins);
    let mut records: Vec<Record> = before.copied().collect();
    for boot in boots {
        // What is dated outside was written before the clock was set.
        let inside = boot.began()..=boot.last;
        let own = boot.signs.iter().map(|sign| sign.record);
        let seen = logins.iter().map(|record| Record {
            at: record.at,
            event: Event::Alive,
        });
        let mut signs: Vec<Record> = own
            .chain(seen)
            .filter(|record| inside.contains(&record.at))
            .collect();
        signs.sort_by_key(|record| record.at);
        let edge = |at, event| std::iter::once(Record { at, event });
        records.extend(
            edge(boot.began(), Event::Boot)
                .chain(signs)
                .chain(edge(boot.last, Event::Alive)),
        );
    }
    records
}

fn read_journal() -> io::Result<Vec<Boot>> {
    let mut boots = boots(&ask(&["--list-boots"])?);
    let ids = [STARTED, SESSION, ASLEEP, AWAKE].map(|id| format!("MESSAGE_ID={id}"));
    let mut question = vec!["--output-fields=MESSAGE_ID"];
    question.extend(ids.iter().map(String::as_str));
    // Older journals know no such entries, and then there is nothing to say.
    let entries = ask(&question).unwrap_or_default();
    add_signs(&mut boots, &entries);
    Ok(boots)
}

/// What journalctl answers, in UTC. A journal that hangs is not waited for.
fn ask(question: &[&str]) -> io::Result<String> {
    let mut child = Command::new("timeout")
        .args(["30", "journalctl", "--quiet", "--no-pager", "--output=json"])
        .args(question)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(LARGEST).read_to_end(&mut answer)?;
    }
    let status = child.wait()?;
    if answer.is_empty() && !status.success() {
        return Err(io::Error::other(format!("journalctl: {status}")));
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The list of boots: JSON of newer versions, or the text that older ones write whatever they are asked for.
fn boots(answer: &str) -> Vec<Boot> {
    #[derive(Deserialize)]
    struct Listed {
        boot_id: String,
        first_entry: i64,
        last_entry: i64,
    }
    if let Ok(listed) = serde_json::from_str::<Vec<Listed>>(answer) {
        let boot = |listed: Listed| Boot {
            id: listed.boot_id,
            first: listed.first_entry.div_euclid(1_000_000),
            last: listed.last_entry.div_euclid(1_000_000),
            signs: Vec::new(),
        };
        return listed.into_iter().map(boot).collect();
    }
    answer.lines().filter_map(listed_in_words).collect()
}

/// ` -1 0cdad68d72da4cfdae075398c03c5d1e Mon 2026-09-01 07:58:11 UTC—Mon 2026-09-01 17:02:40 UTC`, or with a blank.
fn listed_in_words(line: &str) -> Option<Boot> {
    let mut moments = line.split("UTC").filter_map(moment);
    Some(Boot {
        id: line.split_whitespace().nth(1)?.to_owned(),
        first: moments.next()?,
        last: moments.next()?,
        signs: Vec::new(),
    })
}

/// `… 2026-09-01 07:58:11 `, UTC.
fn moment(text: &str) -> Option<i64> {
    let mut words = text.split_whitespace().rev();
    let (time, date) = (words.next()?, words.next()?);
    civil::unix_seconds(civil::three(date, '-')?, civil::three(time, ':')?)
}

/// systemd's own ids of its messages (sd-messages): the start is complete, a session began, asleep, awake.
const STARTED: &str = "b07a249cd024414a82dd00cd181378ff";
const SESSION: &str = "8d45620c1a4348dbb17410da57c60c66";
const ASLEEP: &str = "6bbd95ee977941e497c48be27c254128";
const AWAKE: &str = "8811e6df2a8e40f58a94cea26f8ebf14";

/// Puts entries, one JSON object a line, to their boots. A line that is none is passed over.
fn add_signs(boots: &mut [Boot], entries: &str) {
    #[derive(Deserialize)]
    struct Entry {
        #[serde(rename = "__REALTIME_TIMESTAMP")]
        at: String,
        #[serde(rename = "__MONOTONIC_TIMESTAMP")]
        awake: String,
        #[serde(rename = "_BOOT_ID")]
        boot: String,
        #[serde(rename = "MESSAGE_ID")]
        message: String,
    }
    let places: std::collections::BTreeMap<String, usize> = boots
        .iter()
        .enumerate()
        .map(|(place, boot)| (boot.id.clone(), place))
        .collect();
    for line in entries.lines() {
        let Ok(entry) = serde_json::from_str::<Entry>(line) else {
            continue;
        };
        let seconds = |micros: &str| {
            micros
                .parse::<i64>()
                .ok()
                .map(|us| us.div_euclid(1_000_000))
        };
        let (Some(at), Some(awake)) = (seconds(&entry.at), seconds(&entry.awake)) else {
            continue;
        };
        let event = match entry.message.as_str() {
            ASLEEP => Event::Asleep,
            AWAKE => Event::Awake,
            STARTED | SESSION => Event::Alive,
            _ => continue,
        };
        if let Some(place) = places.get(&entry.boot) {
            let record = Record { at, event };
            boots[*place].signs.push(Sign { record, awake });
        }
    }
}

#[cfg(test)]
mod tests;
