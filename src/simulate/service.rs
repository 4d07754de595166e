//! The aggregator: the real decoding, checking and assembling, a commit, acknowledgements; and its crashes.
//!
//! Not responsible for judging reports: that is ingest, driven here as its pipeline drives it.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use classpulse_proto::v1::{Report, Settings};
use prost::Message as _;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::{
    Sabotage,
    report::Fault,
    world::{Event, Flying, World},
};
use crate::{
    domain::ids::TerminalId,
    ingest::assemble::{Assembly, Decoded, Incoming, Known, Outcome, open},
    store::{Committed, Standing, StoreError},
};

/// Most reports in one commit; small, so that batches differ.
const MAX_BATCH: usize = 64;

/// How the aggregator dies at its next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    BeforeCommit,
    AfterCommit,
}

impl Crash {
    pub(super) fn draw(random: &mut ChaCha8Rng) -> Self {
        if random.random() {
            Self::BeforeCommit
        } else {
            Self::AfterCommit
        }
    }
}

/// One report that waits for its commit.
#[derive(Debug, Clone)]
struct Waiting {
    terminal: usize,
    incoming: Incoming,
}

/// The aggregator's state.
#[derive(Debug)]
pub(super) struct Service {
    /// Seconds between reports that it wants of terminals.
    pub(super) heartbeat: u32,
    /// The broker is another process: it keeps what the aggregator has not taken, and brings it again.
    outside_broker: bool,
    queue: VecDeque<Waiting>,
    /// A batch whose commit failed; it is tried again as it is.
    stuck: Vec<Waiting>,
    scheduled: bool,
    down: bool,
    pub(super) crash: Option<Crash>,
    pub(super) refusing_until: i64,
}

impl Service {
    pub(super) fn draw(random: &mut ChaCha8Rng) -> Self {
        Self {
            heartbeat: [60, 120, 300][random.random_range(0..3)],
            outside_broker: random.random(),
            queue: VecDeque::new(),
            stuck: Vec::new(),
            scheduled: false,
            down: false,
            crash: None,
            refusing_until: i64::MIN,
        }
    }
}

impl World<'_> {
    /// A report comes in.
    pub(super) fn take(&mut self, flying: Flying) {
        if self.service.down && !self.service.outside_broker {
            return;
        }
        let payload = if self.sabotaged(Sabotage::Invented) && self.random.random_bool(0.01) {
            invent(&flying.bytes)
        } else {
            flying.bytes
        };
        let incoming = Incoming {
            topic_terminal: Some(self.names[flying.terminal].as_str().to_owned()),
            payload,
            received_at: self.now_s(),
            replay_of: None,
        };
        self.service.queue.push_back(Waiting {
            terminal: flying.terminal,
            incoming,
        });
        self.gather();
    }

    fn gather(&mut self) {
        if self.service.scheduled || self.service.down {
            return;
        }
        self.service.scheduled = true;
        let linger = self.random.random_range(5..1_500);
        self.after_ms(linger, Event::Commit);
    }

    /// One batch: as the pipeline does it, with a store that may refuse and a process that may die.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        self.service.scheduled = false;
        if self.service.down {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.service.stuck);
        if batch.is_empty() {
            let count = self.service.queue.len().min(MAX_BATCH);
            batch.extend(self.service.queue.drain(..count));
        }
        if batch.is_empty() {
            return Ok(());
        }
        let mut assembly = self.assemble(&batch)?;
        let early = self.sabotaged(Sabotage::AckBeforeCommit);
        if early {
            let outcomes = self.assemble(&batch)?.finish(&Committed::default(), None);
            self.answer(&batch, outcomes);
        }
        if self.now_s() < self.service.refusing_until {
            self.faults.note(Fault::Refused);
            if !early {
                self.service.stuck = batch;
            }
            self.service.scheduled = true;
            let pause = self.random.random_range(100..10_000);
            self.after_ms(pause, Event::Commit);
            return Ok(());
        }
        let crash = self.service.crash.take();
        if crash == Some(Crash::BeforeCommit) {
            self.faults.note(Fault::CrashBefore);
            self.die(batch, early);
            return Ok(());
        }
        let committed = self.store.commit(assembly.batch())?;
        self.figures.commits += 1;
        self.trace(&[3, batch.len() as u64, committed.overflowed.len() as u64]);
        if crash.is_some() {
            self.faults.note(Fault::CrashAfter);
            self.die(batch, early);
            return Ok(());
        }
        let settings = Settings {
            heartbeat_seconds: self.service.heartbeat,
            idle_seconds: 0,
        };
        let outcomes = assembly.finish(&committed, Some(settings));
        if !early {
            self.answer(&batch, outcomes);
        }
        if !self.service.queue.is_empty() {
            self.gather();
        }
        Ok(())
    }

    fn assemble(&mut self, batch: &[Waiting]) -> Result<Assembly, StoreError> {
        let decoded: Vec<Decoded> = batch
            .iter()
            .map(|one| open(&one.incoming, &self.zone))
            .collect();
        let mut names: Vec<TerminalId> = decoded
            .iter()
            .filter_map(|one| match one {
                Decoded::Good(good) => Some(good.0.clone()),
                Decoded::Bad(..) => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        let found = self.store.standings(&names)?;
        let standings: HashMap<TerminalId, Standing> = names.into_iter().zip(found).collect();
        let mut known = Known {
            standings: &standings,
            room_for_unknown: crate::ingest::pipeline::MAX_PENDING_TERMINALS,
        };
        let mut assembly = Assembly::default();
        for (one, decoded) in batch.iter().zip(decoded) {
            assembly.add(&one.incoming, decoded, &mut known, &self.zone);
        }
        Ok(assembly)
    }

    fn answer(&mut self, batch: &[Waiting], outcomes: Vec<Outcome>) {
        for (one, outcome) in batch.iter().zip(outcomes) {
            if let Some(ack) = outcome.ack {
                self.send_ack(one.terminal, ack.encode_to_vec().into());
            }
        }
    }

    /// The process dies with its batch and its queue; an outside broker brings them again.
    fn die(&mut self, batch: Vec<Waiting>, forget: bool) {
        self.service.down = true;
        if self.service.outside_broker {
            if !forget {
                for one in batch.into_iter().rev() {
                    self.service.queue.push_front(one);
                }
            }
        } else {
            self.service.queue.clear();
            self.drop_connections();
        }
        let pause = self.random.random_range(2_000..90_000);
        self.after_ms(pause, Event::Restart);
    }

    pub(super) fn restart(&mut self) {
        self.service.down = false;
        // What an outside broker brings again is received again.
        let now = self.now_s();
        for one in &mut self.service.queue {
            one.incoming.received_at = now;
        }
        self.gather();
    }
}

/// Sabotage: the first session begins ten minutes before it did.
fn invent(bytes: &Bytes) -> Bytes {
    let Ok(mut report) = Report::decode(bytes.clone()) else {
        return bytes.clone();
    };
    for session in report.sessions.iter_mut().take(1) {
        session.start -= 600;
    }
    report.encode_to_vec().into()
}
