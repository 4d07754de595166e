//! The agent's driver on a machine: the same order of steps as the agent's own `publish`.
//!
//! Not responsible for what the agent's core decides, nor for power and clocks (the parent module).

use std::collections::BTreeMap;

use classpulse_agent::core::{Core, CoreConfig, JournalState};
use classpulse_proto::v1::{Ack, AgentFacts};
use prost::Message as _;
use rand::RngExt as _;

use super::{Agent, LOOK};
use crate::simulate::{
    Sabotage,
    disk::Tear,
    plan::{HardwareClock, IDLE},
    report::Fault,
    truth::TAIL,
    world::{Event, World},
};

/// An answer that came so fast must be believed, ms.
const FAST: i64 = 5_000;

/// The agent's process.
impl World<'_> {
    pub(in crate::simulate) fn start(&mut self, index: usize, boot: u32) {
        let now_ms = self.now_ms;
        let heartbeat = self.service.heartbeat;
        let gullible = self.sabotaged(Sabotage::TornAccepted);
        let machine = &mut self.machines[index];
        if machine.boots != boot {
            return;
        }
        let Some(on) = machine.on.as_mut().filter(|on| on.agent.is_none()) else {
            return;
        };
        machine.processes += 1;
        let process = machine.processes;
        let journal = machine.disk.load(gullible);
        if matches!(on.plan.clock, HardwareClock::Stopped) {
            self.truth.began(on.truth, journal.as_ref());
        }
        if let Some(state) = &journal {
            self.truth.loaded(state, Some(on.truth));
        }
        let now = on.now(now_ms);
        // It begins with the clock as it is.
        (on.read_error, on.napped) = (on.error, false);
        let config = CoreConfig {
            terminal: self.names[machine.terminal].as_str().to_owned(),
            facts: AgentFacts {
                version: "0".to_owned(),
                booted_at: now.wall_ms.div_euclid(1_000),
                ..AgentFacts::default()
            },
            heartbeat_seconds: heartbeat,
            idle_seconds: IDLE.unsigned_abs().try_into().unwrap_or(u32::MAX),
            hardware_ms: Some(on.hardware_ms),
            utc_offset_seconds: 0,
        };
        on.agent = Some(Agent {
            process,
            core: Core::start(on.id, now, config, journal),
            up: false,
            last_look: now_ms.div_euclid(1_000),
            sent: BTreeMap::new(),
        });
        self.look(index, process);
        self.retry(index, process);
    }

    pub(in crate::simulate) fn kill(&mut self, index: usize, boot: u32, seconds: i64) {
        let Some(on) = self.on(index, boot) else {
            return;
        };
        if on.asleep || on.tear.is_some() {
            return;
        }
        let Some(agent) = on.agent.take() else { return };
        on.last_look = Some(agent.last_look);
        let (truth, again) = (on.truth, agent.last_look - TAIL);
        self.truth.boots[truth].soften(again);
        self.faults.note(Fault::Killed);
        let terminal = self.machines[index].terminal;
        self.unlink(terminal, index);
        let again = self.now_s() + seconds;
        self.at(again, Event::Start(index, boot));
    }

    /// A look at the machine, and what the driver does after it.
    pub(in crate::simulate) fn look(&mut self, index: usize, process: u32) {
        if self.see(index, process) {
            self.settle(index);
            self.at(self.now_s() + LOOK, Event::Look(index, process));
        }
    }

    fn see(&mut self, index: usize, process: u32) -> bool {
        let (now_ms, second) = (self.now_ms, self.now_s());
        let Some(on) = self.machines[index].on.as_mut().filter(|on| !on.asleep) else {
            return false;
        };
        if on.agent_of(process).is_none() {
            return false;
        }
        let (observation, seen) = on.sense(second);
        let (now, truth, synced) = (on.now(now_ms), on.truth, on.synced);
        let untold = std::mem::take(&mut on.untold);
        let set = on.read();
        let Some(agent) = on.agent_of(process) else {
            return false;
        };
        agent.core.observe(now, observation);
        agent.last_look = second;
        let boot = &mut self.truth.boots[truth];
        boot.set_over = set.or(boot.set_over);
        if let Some(at) = seen {
            boot.saw(at, second);
        }
        if untold {
            // The agent notices the sleep now, and not when it ended.
            boot.soften(second - 1);
        }
        if synced {
            boot.vouched.get_or_insert(second);
        }
        true
    }

    /// The system tells that it is about to sleep: a look, and a write at once.
    pub(super) fn before_sleep(&mut self, index: usize, process: u32) {
        let now_ms = self.now_ms;
        if !self.see(index, process) {
            return;
        }
        let Some(on) = self.machines[index].on.as_mut() else {
            return;
        };
        let now = on.now(now_ms);
        if let Some(agent) = on.agent.as_mut() {
            let state = agent.core.flush(now);
            self.save(index, state);
        }
    }

    /// Writes what is due, then sends what is due.
    fn settle(&mut self, index: usize) {
        let now_ms = self.now_ms;
        let Some(on) = self.machines[index].on.as_mut() else {
            return;
        };
        let now = on.now(now_ms);
        let Some(agent) = on.agent.as_mut() else {
            return;
        };
        let due = agent.core.journal_due(now);
        if let Some(state) = due
            && !self.save(index, state)
        {
            return;
        }
        self.send(index);
    }

    /// Writes the journal; false where the power went meanwhile.
    fn save(&mut self, index: usize, state: JournalState) -> bool {
        let unwritten = self.sabotaged(Sabotage::JournalNotWritten);
        let machine = &mut self.machines[index];
        let tear = machine.on.as_ref().and_then(|on| on.tear);
        let Some(tear) = tear else {
            if !unwritten {
                machine.disk.save(&state);
            }
            return true;
        };
        let before = machine.disk.look();
        machine.disk.tear(&state, tear, &mut self.random);
        let after = machine.disk.look();
        let (terminal, truth) = (machine.terminal, machine.on.as_ref().map(|on| on.truth));
        self.faults.note(match tear {
            Tear::BeforeRename => Fault::TornNew,
            Tear::WithBak => Fault::TornKept,
            Tear::WithoutBak => Fault::TornGone,
        });
        let written = self.now_s() - TAIL;
        self.end_boot(index, written, "power cut while the journal was written");
        if tear == Tear::WithoutBak {
            let held: Vec<JournalState> = before.into_iter().chain([state]).collect();
            if let (Some(truth), Some(state)) = (truth, held.first()) {
                self.truth.dated(truth, state);
            }
            self.verdict
                .gone(terminal, &held, after.as_ref(), &self.zone);
        }
        false
    }

    fn send(&mut self, index: usize) {
        let now_ms = self.now_ms;
        let forget = self.sabotaged(Sabotage::ForgetEarly);
        loop {
            let machine = &mut self.machines[index];
            let Some(on) = machine.on.as_mut() else {
                return;
            };
            let now = on.now(now_ms);
            let Some(agent) = on.agent.as_mut() else {
                return;
            };
            drop(agent.core.take_events());
            let Some(report) = agent.core.poll(now) else {
                return;
            };
            if report.boot_id == on.id {
                agent.sent.insert(report.sequence, now_ms);
                if agent.sent.len() > 32 {
                    agent.sent.pop_first();
                }
            }
            if forget {
                let ack = Ack {
                    boot_id: report.boot_id.clone(),
                    sequences: vec![report.sequence],
                    ..Ack::default()
                };
                agent.core.acknowledged(now, &ack);
            }
            let terminal = machine.terminal;
            self.send_report(terminal, report.encode_to_vec().into());
        }
    }

    pub(super) fn last_words(&mut self, index: usize) {
        let now_ms = self.now_ms;
        let process = self.machines[index].processes;
        if !self.see(index, process) {
            return;
        }
        let Some(on) = self.machines[index].on.as_mut() else {
            return;
        };
        let now = on.now(now_ms);
        let Some(agent) = on.agent.as_mut() else {
            return;
        };
        agent.core.report_now();
        agent.core.stopping();
        let state = agent.core.flush(now);
        if self.save(index, state) {
            self.send(index);
        }
    }

    pub(in crate::simulate) fn connect(&mut self, index: usize, process: u32) {
        let now_ms = self.now_ms;
        let terminal = self.machines[index].terminal;
        if self.network.away_until[terminal] > self.now_s() {
            self.retry(index, process);
            return;
        }
        let Some(on) = self.machines[index].on.as_mut().filter(|on| !on.asleep) else {
            return;
        };
        let now = on.now(now_ms);
        if on.agent_of(process).is_none_or(|agent| agent.up) {
            return;
        }
        let boot = &mut self.truth.boots[on.truth];
        boot.set_over = on.read().or(boot.set_over);
        if let Some(agent) = on.agent_of(process) {
            agent.up = true;
            agent.core.connected(now);
        }
        self.link(terminal, index);
        self.settle(index);
    }

    /// Tries to connect after a while, or when the network is back.
    fn retry(&mut self, index: usize, process: u32) {
        let away = self.network.away_until[self.machines[index].terminal];
        let pause = self.random.random_range(200..60_000);
        let at = self.now_ms.max(away.saturating_mul(1_000)) + pause;
        self.at_ms(at, Event::Connect(index, process));
    }

    /// The connection is gone.
    pub(in crate::simulate) fn lose_link(&mut self, index: usize) {
        let now_ms = self.now_ms;
        let Some(on) = self.machines[index].on.as_mut() else {
            return;
        };
        let now = on.now(now_ms);
        let Some(agent) = on.agent.as_mut() else {
            return;
        };
        agent.up = false;
        agent.core.disconnected(now);
        let process = agent.process;
        self.retry(index, process);
    }

    pub(in crate::simulate) fn acknowledge(&mut self, index: usize, bytes: &[u8]) {
        let (now_ms, second) = (self.now_ms, self.now_s());
        let Ok(ack) = Ack::decode(bytes) else { return };
        let Some(on) = self.machines[index].on.as_mut().filter(|on| !on.asleep) else {
            return;
        };
        let now = on.now(now_ms);
        if on.agent.is_some() {
            let boot = &mut self.truth.boots[on.truth];
            boot.set_over = on.read().or(boot.set_over);
        }
        let Some(agent) = on.agent.as_mut() else {
            return;
        };
        if ack.boot_id == on.id {
            let ages = ack
                .sequences
                .iter()
                .filter_map(|one| agent.sent.remove(one));
            if ages.map(|sent| now_ms - sent).any(|age| age <= FAST) {
                self.truth.boots[on.truth].vouched.get_or_insert(second);
            }
        }
        agent.core.acknowledged(now, &ack);
        self.settle(index);
    }
}
