//! Virtual terminals under load: each keeps its sessions in memory and reports all that is not acknowledged, again and
//! again, as agents do. Some of what they send is poison, and a tenth of everything comes twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use classpulse_proto::{
    topic::{self, Channel},
    v1::{Ack, AgentFacts, Kind, Report, Session},
};
use prost::Message as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rumqttc::v5::mqttbytes::QoS;

use crate::support::Link;

/// 2026-09-01T06:00:00+08:00.
const MORNING: i64 = 1_788_213_600;

/// Between two reports of a terminal.
const BEAT: Duration = Duration::from_millis(250);

/// Sessions in one report, oldest first.
const PART: usize = 40;

/// What all terminals together have done.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) poison: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
}

/// The load, until told to finish.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) tally: Arc<Tally>,
    /// Nothing new is recorded; what there is must get through.
    pub(crate) finish: Arc<AtomicBool>,
    /// All is known to have got through, poison too.
    pub(crate) over: Arc<AtomicBool>,
}

impl Load {
    pub(crate) fn new() -> Self {
        Self {
            tally: Arc::default(),
            finish: Arc::default(),
            over: Arc::default(),
        }
    }
}

/// What can't be believed, and the reason that it must get.
pub(crate) const POISON: [&str; 5] = [
    "undecodable",
    "too_large",
    "ends_before_start",
    "topic_mismatch",
    "in_future",
];

/// A terminal and what it recorded.
pub(crate) struct Terminal {
    pub(crate) name: String,
    boot: Vec<u8>,
    random: ChaCha8Rng,
    sequence: u64,
    /// Everything it recorded: the truth.
    pub(crate) sessions: Vec<Session>,
    /// The end up to which each session is acknowledged.
    safe: Vec<i64>,
    /// What each report said that has no answer.
    said: BTreeMap<u64, Vec<(usize, i64)>>,
    /// Poison that it has sent, by its place in [`POISON`].
    pub(crate) poisoned: BTreeSet<usize>,
    /// Counts poison, so that all kinds take turns.
    turn: usize,
    /// When all that it recorded was known to be safe.
    pub(crate) safe_at: Option<tokio::time::Instant>,
}

impl Terminal {
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let random_turn = random.random_range(0..POISON.len());
        let boot = (0..16).map(|_| random.random()).collect();
        Self {
            name: name.to_owned(),
            boot,
            random,
            sequence: 0,
            sessions: Vec::new(),
            safe: Vec::new(),
            said: BTreeMap::new(),
            poisoned: BTreeSet::new(),
            turn: random_turn,
            safe_at: None,
        }
    }

    /// Sends until all is safe and the load is over.
    pub(crate) async fn live(mut self, broker: SocketAddr, load: Load) -> Self {
        let mut link = Link::connect_small(broker, &self.name).await;
        // Not all in the same moment.
        tokio::time::sleep(BEAT.mul_f64(self.random.random_range(0.0..1.0))).await;
        while !load.over.load(Relaxed) || !self.is_safe() {
            while let Some(ack) = link.ack_now() {
                self.hear(&ack, &load.tally);
            }
            if !load.finish.load(Relaxed) {
                self.record();
            } else if self.safe_at.is_none() && self.is_safe() {
                self.safe_at = Some(tokio::time::Instant::now());
            }
            let report = self.report();
            self.send(&link, &report.encode_to_vec(), &load.tally);
            if self.random.random_range(0..6) == 0 {
                self.poison(&link, &load.tally);
            }
            tokio::time::sleep(BEAT).await;
        }
        self
    }

    /// A while passes: the open session grows, or ends and another begins.
    fn record(&mut self) {
        let passed = self.random.random_range(5..240);
        let grows = self.random.random_range(0..3) != 0;
        match self.sessions.last_mut() {
            Some(session) if grows => session.end += passed,
            last => {
                let after = last.map_or(MORNING, |session| {
                    session.open = false;
                    session.end
                });
                let kind = if self.random.random_range(0..4) == 0 {
                    Kind::Powered
                } else {
                    Kind::Used
                };
                let start = after + self.random.random_range(0..120);
                self.sessions.push(Session {
                    kind: kind.into(),
                    number: u32::try_from(self.sessions.len()).unwrap() + 1,
                    start,
                    end: start + passed,
                    open: true,
                });
                self.safe.push(i64::MIN);
            }
        }
    }

    fn report(&mut self) -> Report {
        self.sequence += 1;
        let due: Vec<usize> = (0..self.sessions.len())
            .filter(|index| self.safe[*index] < self.sessions[*index].end)
            .take(PART)
            .collect();
        let said = due
            .iter()
            .map(|index| (*index, self.sessions[*index].end))
            .collect();
        self.said.insert(self.sequence, said);
        while self.said.len() > 200 {
            self.said.pop_first();
        }
        // Text that no database takes as it is.
        let facts = (self.sequence == 1).then(|| AgentFacts {
            version: "0.0\u{0}1".to_owned(),
            os: "\u{0}\u{1}os".to_owned(),
            ..AgentFacts::default()
        });
        Report {
            boot_id: self.boot.clone(),
            sequence: self.sequence,
            sessions: due.iter().map(|index| self.sessions[*index]).collect(),
            facts,
            ..Report::default()
        }
    }

    fn send(&mut self, link: &Link, payload: &[u8], tally: &Tally) {
        let times = if self.random.random_range(0..10) == 0 {
            2
        } else {
            1
        };
        for time in 0..times {
            let topic = topic::of(&self.name, Channel::Report);
            // No room while there is no connection: it is said again.
            if link
                .client
                .try_publish(topic, QoS::AtLeastOnce, false, payload.to_vec())
                .is_ok()
            {
                tally.sent.fetch_add(1, Relaxed);
                tally.duplicates.fetch_add(time, Relaxed);
            }
        }
    }

    /// The next kind of poison; the same bytes whenever the same kind comes again.
    fn poison(&mut self, link: &Link, tally: &Tally) {
        self.turn += 1;
        let kind = self.turn % POISON.len();
        let bad = |start, end| Session {
            kind: Kind::Used.into(),
            number: 1_000,
            start,
            end,
            open: false,
        };
        let mut report = Report {
            boot_id: self.boot.clone(),
            sequence: 1_000_000,
            ..Report::default()
        };
        let payload = match POISON[kind] {
            "undecodable" => b"\x00\xff\x00 no report".to_vec(),
            "too_large" => vec![b'x'; 70_000],
            "ends_before_start" => {
                report.sessions = vec![bad(MORNING, MORNING - 1)];
                report.encode_to_vec()
            }
            "in_future" => {
                report.sessions = vec![bad(4_000_000_000, 4_000_000_060)];
                report.encode_to_vec()
            }
            _ => {
                "some\u{0}body else".clone_into(&mut report.terminal);
                report.sessions = vec![bad(MORNING, MORNING + 60)];
                report.encode_to_vec()
            }
        };
        self.poisoned.insert(kind);
        tally.poison.fetch_add(1, Relaxed);
        self.send(link, &payload, tally);
    }

    fn hear(&mut self, ack: &Ack, tally: &Tally) {
        assert_eq!(ack.boot_id, self.boot, "an Ack for somebody else");
        for sequence in &ack.sequences {
            let Some(said) = self.said.remove(sequence) else {
                continue;
            };
            tally.acknowledged.fetch_add(1, Relaxed);
            for (index, end) in said {
                self.safe[index] = self.safe[index].max(end);
            }
        }
    }

    fn is_safe(&self) -> bool {
        self.sessions
            .iter()
            .zip(&self.safe)
            .all(|(session, safe)| session.end <= *safe)
    }

    /// Every minute that it recorded, found without the product's painting: whether it was used.
    pub(crate) fn truth(&self) -> BTreeMap<i64, bool> {
        let mut minutes = BTreeMap::new();
        for session in &self.sessions {
            for minute in session.start.div_euclid(60)..=session.end.div_euclid(60) {
                let covered = session.end.min(minute * 60 + 60) - session.start.max(minute * 60);
                if covered >= 30 {
                    *minutes.entry(minute).or_insert(false) |= session.kind() == Kind::Used;
                }
            }
        }
        minutes
    }
}
