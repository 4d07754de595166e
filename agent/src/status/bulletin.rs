//! What a running agent says of itself. Kept up with little; made into words only when somebody asks.

use std::io;

use serde_json::{Value, json};

use super::{session, time::Zone};
use crate::{
    core::{Core, JournalState, Now},
    identity::Identity,
    sense::Sight,
};

/// How the agent stands with its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Not tried yet: terminals spread out when they start.
    Waiting,
    /// Connected.
    Up,
    /// No network, or no server.
    Down,
    /// Something else answers in the server's place.
    Impostor,
    /// The server refuses this terminal's key.
    Denied,
    /// The machine is no terminal yet.
    NotEnrolled,
}

impl Connection {
    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Up => "up",
            Self::Down => "down",
            Self::Impostor => "impostor",
            Self::Denied => "denied",
            Self::NotEnrolled => "not_enrolled",
        }
    }
}

/// What the agent says of itself.
#[derive(Debug)]
pub struct Bulletin {
    began: Now,
    connection: Connection,
    since: Now,
    error: Option<(Now, String)>,
    /// Id and school, once the machine was enrolled in this run.
    enrolled: Option<(String, String)>,
    /// The journal as it was written last, or could not be.
    journal: Option<JournalState>,
    written: Option<Now>,
    trouble: Option<String>,
    /// What was wrong with journal and identity at the start.
    found: Vec<String>,
    zone: Zone,
}

impl Bulletin {
    /// The agent begins. `utc_offset` is the county's, seconds; `found` what was wrong with what it had kept.
    #[must_use]
    pub fn new(now: Now, utc_offset: i64, found: Vec<String>) -> Self {
        Self {
            began: now,
            connection: Connection::Waiting,
            since: now,
            error: None,
            enrolled: None,
            journal: None,
            written: None,
            trouble: None,
            found,
            zone: Zone { utc_offset },
        }
    }

    /// How it stands with the server from now on, and why.
    pub fn connection(&mut self, now: Now, connection: Connection, why: Option<String>) {
        if self.connection != connection {
            (self.connection, self.since) = (connection, now);
        }
        if let Some(why) = why {
            self.error = Some((now, why));
        }
    }

    /// The machine was enrolled.
    pub fn enrolled(&mut self, identity: &Identity) {
        self.enrolled = Some((identity.terminal.clone(), identity.school.clone()));
    }

    /// The journal was written, or could not be.
    pub fn saved(&mut self, now: Now, state: JournalState, trouble: Option<&io::Error>) {
        self.journal = Some(state);
        match trouble {
            None => self.written = Some(now),
            Some(error) if self.trouble.is_none() => {
                self.error = Some((now, format!("the journal can't be written: {error}")));
            }
            Some(_) => {}
        }
        self.trouble = trouble.map(ToString::to_string);
    }

    /// Why the journal could not be written the last time.
    #[must_use]
    pub fn journal_trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// All of it, as one object.
    #[must_use]
    pub fn show(&self, now: Now, core: &Core, sights: &[Sight]) -> Value {
        let clock = Reckoning::of(self.journal.as_ref(), now);
        let at = |moment: Now| clock.unix(moment);
        let sessions = core.sessions();
        let open: Vec<Value> = sessions
            .iter()
            .filter(|seen| seen.open)
            .map(session)
            .collect();
        let last_ack = self.journal.as_ref().map_or(0, |state| state.last_ack_ms);
        let (heartbeat, idle) = core.settings();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "running_since": at(self.began),
            "terminal": self.enrolled.as_ref().map(|(terminal, _)| terminal),
            "school": self.enrolled.as_ref().map(|(_, school)| school),
            "connection": { "state": self.connection.name(), "since": at(self.since) },
            "last_error": self.error.as_ref().map(|(when, what)| json!({ "at": at(*when), "what": what })),
            "last_ack": (last_ack != 0).then(|| last_ack.div_euclid(1_000)),
            "clock": { "trusted": clock.trusted, "system_off_seconds": clock.off_seconds(now) },
            "sensing": sights.iter().map(|sight| sensed(sight, now)).collect::<Vec<_>>(),
            "today": self.today(clock.unix(now), core),
            "open": open,
            "waiting": core.waiting(),
            "earlier_boots": core.older_boots(),
            "journal": { "written": self.written.map(at), "trouble": self.trouble, "found": self.found },
            "heartbeat_seconds": heartbeat,
            "idle_seconds": idle,
        })
    }

    /// Minutes of the civil day as this agent knows them: by the length of its sessions, not by painted minutes.
    fn today(&self, now: i64, core: &Core) -> Value {
        let seconds = core.today(now);
        json!({
            "day": self.zone.day(now), "zone": self.zone.name(),
            "powered_minutes": seconds.powered / 60, "used_minutes": seconds.used / 60,
        })
    }
}

fn sensed(sight: &Sight, now: Now) -> Value {
    let input = sight.seen.and_then(|seen| seen.last_input_mono_ms);
    json!({
        "source": sight.source,
        "there": sight.seen.is_some(),
        "input_seconds_ago": input.map(|at| now.mono_ms.saturating_sub(at) / 1_000),
        "playing": sight.seen.is_some_and(|seen| seen.playing),
        "presenting": sight.seen.is_some_and(|seen| seen.presenting),
        "count": sight.count,
        "words": sight.words(now.mono_ms),
    })
}

/// The best knowledge of time.
struct Reckoning {
    trusted: bool,
    /// Unix ms minus ms since boot.
    offset_ms: i64,
}

impl Reckoning {
    fn of(journal: Option<&JournalState>, now: Now) -> Self {
        let boot = journal.and_then(|state| state.boots.last());
        let known = boot
            .filter(|boot| boot.synced && boot.doubted_ms.is_none())
            .map(|boot| boot.offset_ms);
        Self {
            trusted: known.is_some(),
            offset_ms: known.unwrap_or_else(|| system_offset(now)),
        }
    }

    fn unix(&self, moment: Now) -> i64 {
        let mono = i64::try_from(moment.mono_ms).unwrap_or(i64::MAX);
        self.offset_ms.saturating_add(mono).div_euclid(1_000)
    }

    /// By how much the system's clock is ahead of the time as it is known.
    fn off_seconds(&self, now: Now) -> i64 {
        system_offset(now).saturating_sub(self.offset_ms) / 1_000
    }
}

fn system_offset(now: Now) -> i64 {
    now.wall_ms
        .saturating_sub(i64::try_from(now.mono_ms).unwrap_or(i64::MAX))
}
