//! Messages between terminals and the aggregator, and what befalls them on the way.
//!
//! Not responsible for what they say.

use bytes::Bytes;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::{
    report::Fault,
    world::{DAY, Event, Flying, World},
};

/// The network's habits, drawn once a seed, and its state.
#[derive(Debug)]
pub(super) struct Network {
    loss: f64,
    twice: f64,
    slow: f64,
    late: f64,
    /// Rises with every amnesia; messages of an earlier life are gone.
    pub(super) epoch: u32,
    /// Which machine is connected as this terminal.
    pub(super) links: Vec<Option<usize>>,
    /// Until when a terminal's network is away.
    pub(super) away_until: Vec<i64>,
    /// Reports sent, and the latest that arrived, by terminal.
    sent: Vec<u64>,
    arrived: Vec<u64>,
}

impl Network {
    pub(super) fn draw(random: &mut ChaCha8Rng, terminals: usize) -> Self {
        let pick = |random: &mut ChaCha8Rng, of: [f64; 3]| of[random.random_range(0..3)];
        Self {
            loss: pick(random, [0.005, 0.05, 0.25]),
            twice: pick(random, [0.01, 0.05, 0.1]),
            slow: pick(random, [0.01, 0.03, 0.1]),
            late: 0.001,
            epoch: 0,
            links: vec![None; terminals],
            away_until: vec![i64::MIN; terminals],
            sent: vec![0; terminals],
            arrived: vec![0; terminals],
        }
    }
}

impl Network {
    /// One terminal more.
    pub(super) fn grow(&mut self) {
        self.links.push(None);
        self.away_until.push(i64::MIN);
        self.sent.push(0);
        self.arrived.push(0);
    }
}

impl World<'_> {
    /// Sends a report; the network does with it what it does.
    pub(super) fn send_report(&mut self, terminal: usize, bytes: Bytes) {
        self.figures.reports_sent += 1;
        self.network.sent[terminal] += 1;
        let flying = Flying {
            terminal,
            bytes,
            epoch: self.network.epoch,
            order: self.network.sent[terminal],
            copy: false,
        };
        self.carry(flying, Event::Arrive);
    }

    pub(super) fn send_ack(&mut self, terminal: usize, bytes: Bytes) {
        let flying = Flying {
            terminal,
            bytes,
            epoch: self.network.epoch,
            order: 0,
            copy: false,
        };
        self.carry(flying, Event::Deliver);
    }

    fn carry(&mut self, flying: Flying, arrival: fn(Flying) -> Event) {
        if self.random.random_bool(self.network.loss) {
            self.faults.note(Fault::Lost);
            return;
        }
        if self.random.random_bool(self.network.twice) {
            self.faults.note(Fault::Duplicated);
            let copy = Flying {
                copy: true,
                ..flying.clone()
            };
            let delay = self.delay();
            self.after_ms(delay, arrival(copy));
        }
        let delay = self.delay();
        self.after_ms(delay, arrival(flying));
    }

    /// Ms.
    fn delay(&mut self) -> i64 {
        if self.random.random_bool(self.network.late) {
            self.faults.note(Fault::Late);
            return self.random.random_range(DAY..3 * DAY) * 1_000;
        }
        if self.random.random_bool(self.network.slow) {
            self.faults.note(Fault::Delayed);
            return self.random.random_range(1_000..120_000);
        }
        self.random.random_range(20..900)
    }

    /// A report reaches the aggregator's side.
    pub(super) fn arrive(&mut self, flying: Flying) {
        if flying.epoch != self.network.epoch {
            return;
        }
        let latest = &mut self.network.arrived[flying.terminal];
        if flying.order < *latest {
            self.faults.note(Fault::Reordered);
        }
        *latest = flying.order.max(*latest);
        self.figures.reports_delivered += 1;
        self.figures.reports_duplicated += u64::from(flying.copy);
        self.trace_bytes(1, &flying.bytes);
        self.take(flying);
    }

    /// An acknowledgement reaches the machine that is connected as its terminal, if any.
    pub(super) fn deliver(&mut self, flying: &Flying) {
        if flying.epoch != self.network.epoch {
            return;
        }
        self.trace_bytes(2, &flying.bytes);
        if let Some(machine) = self.network.links[flying.terminal] {
            self.acknowledge(machine, &flying.bytes);
        }
    }

    /// The broker forgets sessions, queues and all that is under way; everybody must come again.
    pub(super) fn amnesia(&mut self) {
        self.faults.note(Fault::Amnesia);
        self.drop_connections();
    }

    pub(super) fn drop_connections(&mut self) {
        self.network.epoch += 1;
        for terminal in 0..self.network.links.len() {
            self.disconnect(terminal);
        }
    }

    /// A terminal's network goes.
    pub(super) fn outage(&mut self, terminal: usize, until: i64) {
        self.faults.note(Fault::Outage);
        let away = &mut self.network.away_until[terminal];
        *away = until.max(*away);
        self.disconnect(terminal);
    }

    fn disconnect(&mut self, terminal: usize) {
        if let Some(machine) = self.network.links[terminal].take() {
            self.lose_link(machine);
        }
    }

    /// A machine comes as its terminal; who was connected so before is thrown out.
    pub(super) fn link(&mut self, terminal: usize, machine: usize) {
        let before = self.network.links[terminal].replace(machine);
        if let Some(before) = before.filter(|before| *before != machine) {
            self.faults.note(Fault::Takeover);
            self.lose_link(before);
        }
    }

    pub(super) fn unlink(&mut self, terminal: usize, machine: usize) {
        if self.network.links[terminal] == Some(machine) {
            self.network.links[terminal] = None;
        }
    }
}
