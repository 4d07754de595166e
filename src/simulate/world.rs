//! The event queue and the virtual clock: what happens next, and to whom.
//!
//! Not responsible for what an event does (`terminal`, `network`, `service`).

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::{civil::Date, tz::TimeZone};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{
    Keeper, Options, Sabotage,
    network::Network,
    report::{Fault, Faults, Figures, Outcome},
    service::{Crash, Service},
    terminal::Machine,
    truth::Truth,
    verdict::Verdict,
};
use crate::{
    domain::{ids::TerminalId, session::day_of},
    store::StoreError,
};

/// 2026-09-07T00:00:00+08:00, a Monday.
pub(super) const BEGIN: i64 = 1_788_710_400;
/// Seconds.
pub(super) const DAY: i64 = 86_400;

/// Something that will happen.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A day's plans are made.
    Dawn(i64),
    /// A machine is switched on, by this plan of its list.
    Boot(usize),
    /// The agent starts, in this boot.
    Start(usize, u32),
    /// The agent's process looks at its machine.
    Look(usize, u32),
    /// The process tries to connect.
    Connect(usize, u32),
    /// Power goes, in this boot.
    PowerOff(usize, u32),
    /// The agent is killed for so many seconds.
    Kill(usize, u32, i64),
    /// The machine sleeps until this second.
    Sleep(usize, u32, i64),
    Wake(usize, u32),
    /// Network time arrives.
    NetworkTime(usize, u32),
    /// Somebody sets the clock, by so many seconds.
    Jump(usize, u32, i64),
    /// A terminal's network goes until this second.
    Outage(usize, i64),
    /// A report reaches the aggregator's side of the broker.
    Arrive(Flying),
    /// An acknowledgement reaches a terminal.
    Deliver(Flying),
    /// The broker forgets.
    Amnesia,
    /// The aggregator gathers and commits.
    Commit,
    /// The aggregator's next commit ends in a crash.
    Crash(Crash),
    /// The aggregator runs again.
    Restart,
    /// The store fails until this second.
    Refuse(i64),
}

/// A message under way.
#[derive(Debug, Clone)]
pub(super) struct Flying {
    pub(super) terminal: usize,
    pub(super) bytes: Bytes,
    /// Which life of the broker carries it.
    pub(super) epoch: u32,
    /// The how-manieth report of its terminal.
    pub(super) order: u64,
    pub(super) copy: bool,
}

/// One seed's world.
pub struct World<'s> {
    pub(super) seed: u64,
    pub(super) options: Options,
    pub(super) random: ChaCha8Rng,
    pub(super) store: &'s mut dyn Keeper,
    pub(super) zone: TimeZone,
    queue: BTreeMap<(i64, u64), Event>,
    next: u64,
    pub(super) now_ms: i64,
    pub(super) names: Vec<TerminalId>,
    pub(super) machines: Vec<Machine>,
    pub(super) truth: Truth,
    pub(super) network: Network,
    pub(super) service: Service,
    pub(super) verdict: Verdict,
    pub(super) faults: Faults,
    pub(super) figures: Figures,
    digest: u64,
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed)
            .field("now_ms", &self.now_ms)
            .finish_non_exhaustive()
    }
}

impl<'s> World<'s> {
    /// A world at its first midnight, with everything that is drawn beforehand.
    ///
    /// # Errors
    /// The store's.
    pub fn new(
        seed: u64,
        options: &Options,
        store: &'s mut dyn Keeper,
    ) -> Result<Self, StoreError> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let terminals = usize::from(options.terminals);
        let mut world = Self {
            seed,
            options: *options,
            store,
            zone: TimeZone::get("Asia/Shanghai")
                .unwrap_or_else(|_missing| TimeZone::fixed(jiff::tz::offset(8))),
            queue: BTreeMap::new(),
            next: 0,
            now_ms: BEGIN * 1_000,
            names: Vec::new(),
            machines: Vec::new(),
            truth: Truth::default(),
            network: Network::draw(&mut random, terminals),
            service: Service::draw(&mut random),
            verdict: Verdict::new(terminals),
            faults: Faults::default(),
            figures: Figures::default(),
            digest: 0xcbf2_9ce4_8422_2325,
            random,
        };
        world.people()?;
        world.fates();
        Ok(world)
    }

    /// Terminals: most in service for long, some from the third day on, some that nobody has registered.
    fn people(&mut self) -> Result<(), StoreError> {
        let mut registered: Vec<(TerminalId, Date)> = Vec::new();
        for index in 0..usize::from(self.options.terminals) {
            let name = format!("T-{index:04}");
            let name: TerminalId = name
                .parse()
                .map_err(|error| StoreError::Conflict(format!("{error}")))?;
            let since = match index % 5 {
                3 => Some(BEGIN + 2 * DAY),
                4 => None,
                _ => Some(BEGIN - 30 * DAY),
            };
            if let Some(first) = since.and_then(|at| day_of(at, &self.zone)) {
                registered.push((name.clone(), first));
            }
            self.names.push(name);
            let machine = Machine::new(index, &mut self.random);
            self.machines.push(machine);
        }
        self.store.register(&registered)
    }

    /// A machine that enrols under a name of its own while the world goes on. Nobody has approved it yet.
    pub(super) fn settle_in(&mut self, like: usize) -> usize {
        let mut name = self.names[like].as_str().to_owned();
        name.push_str("-clone");
        // A name with an ending of the same letters is a name.
        if let Ok(name) = name.parse() {
            self.names.push(name);
        }
        self.network.grow();
        self.verdict.grow();
        self.names.len() - 1
    }

    /// What befalls everybody, drawn beforehand.
    fn fates(&mut self) {
        let days = i64::from(self.options.days);
        for day in 0..days {
            self.at(BEGIN + day * DAY, Event::Dawn(day));
            let from = BEGIN + day * DAY + 6 * 3_600;
            let moment = |random: &mut ChaCha8Rng| from + random.random_range(0..17 * 3_600);
            for _ in 0..self.random.random_range(0..=2) {
                let at = moment(&mut self.random);
                let crash = Crash::draw(&mut self.random);
                self.at(at, Event::Crash(crash));
            }
            if self.random.random_bool(0.6) {
                let at = moment(&mut self.random);
                let until = at + self.random.random_range(10..2_400);
                self.at(at, Event::Refuse(until));
            }
            if self.random.random_bool(0.4) {
                let at = moment(&mut self.random);
                self.at(at, Event::Amnesia);
            }
            for terminal in 0..self.names.len() {
                let often = if self.options.case.is_some() {
                    0.4
                } else {
                    0.12
                };
                if !self.random.random_bool(often) {
                    continue;
                }
                let at = moment(&mut self.random);
                let long = self.random.random_bool(0.2);
                let longest = if long { 4 * DAY } else { 3 * 3_600 };
                let until = at + self.random.random_range(60..longest);
                self.at(at, Event::Outage(terminal, until));
            }
        }
    }

    pub(super) fn now_s(&self) -> i64 {
        self.now_ms.div_euclid(1_000)
    }

    /// Puts an event into the queue, at a true Unix second.
    pub(super) fn at(&mut self, second: i64, event: Event) {
        self.at_ms(second * 1_000, event);
    }

    pub(super) fn at_ms(&mut self, ms: i64, event: Event) {
        self.next += 1;
        self.queue.insert((ms.max(self.now_ms), self.next), event);
    }

    pub(super) fn after_ms(&mut self, ms: i64, event: Event) {
        self.at_ms(self.now_ms + ms, event);
    }

    pub(super) fn sabotaged(&self, sabotage: Sabotage) -> bool {
        self.options.sabotage == Some(sabotage)
    }

    /// Mixes what happens into the digest.
    pub(super) fn trace(&mut self, words: &[u64]) {
        for word in words {
            for byte in word.to_le_bytes() {
                self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
    }

    pub(super) fn trace_bytes(&mut self, what: u64, bytes: &[u8]) {
        self.trace(&[what, self.now_ms.unsigned_abs(), u64::from(hash(bytes))]);
    }

    /// Plays until nothing is left to happen within the days.
    ///
    /// # Errors
    /// The store's.
    pub fn play(&mut self) -> Result<(), StoreError> {
        let end = (BEGIN + (i64::from(self.options.days) + 1) * DAY) * 1_000;
        while let Some(((ms, _), event)) = self.queue.pop_first() {
            if ms > end {
                break;
            }
            self.now_ms = ms;
            self.happen(event)?;
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Dawn(day) => self.dawn(day),
            Event::Boot(machine) => self.boot(machine),
            Event::Start(machine, boot) => self.start(machine, boot),
            Event::Look(machine, process) => self.look(machine, process),
            Event::Connect(machine, process) => self.connect(machine, process),
            Event::PowerOff(machine, boot) => self.power_off(machine, boot),
            Event::Kill(machine, boot, seconds) => self.kill(machine, boot, seconds),
            Event::Sleep(machine, boot, until) => self.sleep(machine, boot, until),
            Event::Wake(machine, boot) => self.wake(machine, boot),
            Event::NetworkTime(machine, boot) => self.network_time(machine, boot),
            Event::Jump(machine, boot, by) => self.jump(machine, boot, by),
            Event::Outage(terminal, until) => self.outage(terminal, until),
            Event::Arrive(flying) => self.arrive(flying),
            Event::Deliver(flying) => self.deliver(&flying),
            Event::Amnesia => self.amnesia(),
            Event::Commit => self.commit()?,
            Event::Crash(crash) => self.service.crash = Some(crash),
            Event::Restart => self.restart(),
            Event::Refuse(until) => {
                self.faults.note(Fault::Refusing);
                self.service.refusing_until = self.service.refusing_until.max(until);
            }
        }
        Ok(())
    }

    /// Compares with the truth.
    ///
    /// # Errors
    /// The store's.
    pub fn judge(mut self) -> Result<Outcome, StoreError> {
        self.figures.seeds = 1;
        self.figures.terminal_hours =
            u64::from(self.options.days) * 24 * u64::from(self.options.terminals);
        self.figures.boots = self.truth.boots.len() as u64;
        let differences = self.compare()?;
        Ok(Outcome {
            seed: self.seed,
            digest: self.digest,
            figures: self.figures,
            faults: self.faults,
            differences,
        })
    }
}

/// FNV-1a, 32 bit.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}
