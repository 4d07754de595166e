//! A machine with its clock, disk and people: power, sleep, clocks, restored and cloned disks.
//!
//! Not responsible for the agent on it (`driver`).

mod driver;

use std::collections::{BTreeMap, VecDeque};

use classpulse_agent::core::{BootId, Core, Now, Observation};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::{
    case::{DiskFate, Image},
    disk::{Disk, Tear},
    plan::{self, Ending, Habits, HardwareClock, Plan, SleepClock},
    report::Fault,
    truth::{SetOver, TAIL},
    world::{BEGIN, DAY, Event, World},
};

/// Between two looks, seconds: the longest that the agent allows.
const LOOK: i64 = 15;

/// A machine under some terminal's identity.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) terminal: usize,
    habits: Habits,
    pub(super) disk: Disk,
    /// An older image of the disk.
    image: Option<Disk>,
    /// Today's boots to come.
    plans: VecDeque<Plan>,
    /// Until when its plans reach.
    free: i64,
    /// What its hardware clock said when power went last, and its error then.
    stood: Option<i64>,
    on: Option<On>,
    boots: u32,
    processes: u32,
}

/// While the power is on.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that have nothing to do with each other"
)]
struct On {
    plan: Plan,
    id: BootId,
    /// Which boot of the truth.
    truth: usize,
    slept_ms: i64,
    /// Of a sleep, what time since boot does not count.
    uncounted_ms: i64,
    /// It slept so, the system did not tell, and no look has seen it yet.
    untold: bool,
    /// It slept so, the agent had not known the time before, and has not been awake for anything since.
    blind: bool,
    /// The clock's error when the agent read it last, seconds.
    read_error: i64,
    /// It slept since, and time since boot counted that.
    napped: bool,
    asleep: bool,
    /// Seconds awake to the next look, while asleep.
    rest: i64,
    /// Input before this second is from before a sleep.
    woke: i64,
    next_input: usize,
    error: i64,
    /// What the hardware clock said at the boot, Unix ms.
    hardware_ms: i64,
    /// Whether the system vouches for its clock.
    synced: bool,
    agent: Option<Agent>,
    /// The last look of an agent that is no more.
    last_look: Option<i64>,
    /// The next write is torn by a power cut.
    tear: Option<Tear>,
}

#[derive(Debug)]
struct Agent {
    process: u32,
    core: Core,
    up: bool,
    last_look: i64,
    /// Reports of this boot and when they were sent, ms.
    sent: BTreeMap<u64, i64>,
}

impl Machine {
    pub(super) fn new(terminal: usize, random: &mut ChaCha8Rng) -> Self {
        Self {
            terminal,
            habits: Habits::draw(random),
            disk: Disk::default(),
            image: None,
            plans: VecDeque::new(),
            free: i64::MIN,
            stood: None,
            on: None,
            boots: 0,
            processes: 0,
        }
    }
}

impl On {
    fn now(&self, now_ms: i64) -> Now {
        let mono = now_ms - self.plan.on * 1_000 - self.uncounted_ms;
        Now {
            mono_ms: mono.unsigned_abs(),
            awake_ms: (mono - self.slept_ms).unsigned_abs(),
            wall_ms: now_ms + self.error * 1_000,
            wall_synced: self.synced,
        }
    }

    /// What the sensors say, and the moment of use that it shows.
    fn sense(&mut self, second: i64) -> (Observation, Option<i64>) {
        while self
            .plan
            .inputs
            .get(self.next_input)
            .is_some_and(|at| *at <= second)
        {
            self.next_input += 1;
        }
        let input = self.next_input.checked_sub(1);
        let input = input.and_then(|at| self.plan.inputs.get(at).copied());
        let films = &self.plan.films;
        let playing = films
            .iter()
            .any(|(from, until)| (*from..*until).contains(&second));
        let seen = if playing { Some(second) } else { input };
        let observation = Observation {
            last_input_mono_ms: input.map(|at| {
                let uncounted = if at >= self.woke {
                    self.uncounted_ms
                } else {
                    0
                };
                ((at - self.plan.on) * 1_000 - uncounted).unsigned_abs()
            }),
            playing,
            presenting: false,
        };
        (observation, seen.filter(|at| *at >= self.woke))
    }

    /// The agent reads the clocks now. The answer is the sleep over which the clock was set while nobody had said the time:
    /// what came before it stays as the clock before it says.
    fn read(&mut self) -> Option<SetOver> {
        self.blind = false;
        let napped = std::mem::take(&mut self.napped);
        let before = std::mem::replace(&mut self.read_error, self.error);
        let knows = self.agent.as_ref().is_some_and(|one| one.core.knows_time());
        (napped && before != self.error && !self.synced && !knows).then_some(SetOver {
            woke: self.woke,
            error: before,
        })
    }

    fn agent_of(&mut self, process: u32) -> Option<&mut Agent> {
        self.agent.as_mut().filter(|agent| agent.process == process)
    }
}

/// Days and power.
impl World<'_> {
    fn on(&mut self, machine: usize, boot: u32) -> Option<&mut On> {
        let machine = &mut self.machines[machine];
        if machine.boots != boot {
            return None;
        }
        machine.on.as_mut()
    }

    pub(super) fn dawn(&mut self, day: i64) {
        self.clone_a_disk(day);
        let midnight = BEGIN + day * DAY;
        let last = day + 1 == i64::from(self.options.days);
        for index in 0..self.machines.len() {
            let machine = &mut self.machines[index];
            let plans = plan::day(
                &mut self.random,
                machine.habits,
                midnight,
                day % 7 >= 5,
                machine.free,
                last,
            );
            for mut plan in plans {
                if let Some(case) = self.options.case {
                    plan.under(case, &mut self.random);
                }
                let on = plan.on;
                self.machines[index].free = plan.off + 2 * LOOK + 10;
                self.machines[index].plans.push_back(plan);
                self.at(on, Event::Boot(index));
            }
        }
    }

    /// Somebody puts a terminal's disk image into another machine, before school.
    fn clone_a_disk(&mut self, day: i64) {
        if let Some(case) = self.options.case {
            if day == 1 {
                self.clone_disks(case.image);
            }
            return;
        }
        let many = self.machines.len() > self.names.len();
        if day == 0 || many || !self.random.random_bool(0.15) {
            return;
        }
        let index = self.random.random_range(0..self.machines.len());
        let original = &self.machines[index];
        if original.on.is_some() {
            return;
        }
        let (terminal, disk) = (original.terminal, original.disk.clone());
        let mut clone = Machine::new(terminal, &mut self.random);
        clone.disk = disk;
        self.machines.push(clone);
        self.faults.note(Fault::Clone);
    }

    /// Every second machine's disk is in another machine as well.
    fn clone_disks(&mut self, image: Image) {
        if image == Image::Own {
            return;
        }
        for index in (0..self.machines.len()).step_by(2) {
            let original = &self.machines[index];
            let (terminal, disk) = (original.terminal, original.disk.clone());
            let mut clone = Machine::new(terminal, &mut self.random);
            clone.disk = disk;
            if image == Image::ToldApart {
                // The agent puts the foreign identity aside with its journal, and enrols.
                clone.disk = Disk::default();
                clone.terminal = self.settle_in(index);
            }
            self.machines.push(clone);
            self.faults.note(Fault::Clone);
        }
    }

    pub(super) fn boot(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        let Some(plan) = machine.plans.pop_front().filter(|_| machine.on.is_none()) else {
            return;
        };
        machine.boots += 1;
        let (boots, terminal) = (machine.boots, machine.terminal);
        let stood = machine.stood.unwrap_or(plan.on);
        self.restore(index);
        let id: BootId = self.random.random();
        let truth = self.truth.begin(id, index, terminal, boots, plan.on);
        let error = match plan.clock {
            HardwareClock::Right => 0,
            HardwareClock::Off(by) => by,
            // Whole minutes, so that what it paints is what it would have painted.
            HardwareClock::Reset(to) => to + plan.on % 60 - plan.on,
            HardwareClock::Stopped => -((plan.on - stood) / 60 * 60),
        };
        match plan.clock {
            HardwareClock::Right => {}
            HardwareClock::Off(_) => self.faults.note(Fault::ClockOff),
            HardwareClock::Reset(_) => self.faults.note(Fault::ClockDead),
            HardwareClock::Stopped => self.faults.note(Fault::ClockStopped),
        }
        self.truth.boots[truth].errors.insert(error);
        self.schedule(index, boots, &plan);
        self.machines[index].on = Some(On {
            id,
            truth,
            slept_ms: 0,
            uncounted_ms: 0,
            untold: false,
            blind: false,
            read_error: error,
            napped: false,
            asleep: false,
            rest: 0,
            woke: plan.on,
            next_input: 0,
            error,
            hardware_ms: (plan.on + error) * 1_000,
            synced: false,
            agent: None,
            last_look: None,
            tear: None,
            plan,
        });
    }

    fn schedule(&mut self, index: usize, boot: u32, plan: &Plan) {
        self.at(plan.on + plan.agent_after, Event::Start(index, boot));
        self.at(plan.off, Event::PowerOff(index, boot));
        if let Some(at) = plan.network_time {
            self.at(at, Event::NetworkTime(index, boot));
        }
        if let Some((at, by)) = plan.jump {
            self.at(at, Event::Jump(index, boot, by));
        }
        if let Some((at, seconds)) = plan.kill {
            self.at(at, Event::Kill(index, boot, seconds));
        }
        if let Some((from, until)) = plan.sleep {
            self.at(from, Event::Sleep(index, boot, until));
        }
    }

    /// A card, or a person, sets the disk back.
    fn restore(&mut self, index: usize) {
        if let Some(case) = self.options.case {
            match case.disk {
                DiskFate::Kept => {}
                DiskFate::Restored => self.set_back(index, false),
                DiskFate::Emptied => self.set_back(index, true),
            }
            return;
        }
        let often = if self.machines[index].habits.card {
            0.6
        } else {
            0.01
        };
        if !self.random.random_bool(often) {
            return;
        }
        let emptied = self.random.random_bool(0.3);
        self.set_back(index, emptied);
    }

    fn set_back(&mut self, index: usize, emptied: bool) {
        let machine = &mut self.machines[index];
        let image = match &machine.image {
            Some(image) if !emptied => {
                self.faults.note(Fault::Restored);
                image.clone()
            }
            _ => {
                self.faults.note(Fault::Emptied);
                Disk::default()
            }
        };
        let before = machine.disk.look();
        let after = image.look();
        machine.disk = image;
        let terminal = machine.terminal;
        self.verdict
            .gone(terminal, before.as_slice(), after.as_ref(), &self.zone);
    }

    pub(super) fn power_off(&mut self, index: usize, boot: u32) {
        let now = self.now_s();
        let Some(on) = self.on(index, boot) else {
            return;
        };
        let ending = on.plan.ending;
        match ending {
            Ending::CutInWrite(tear) if on.agent.is_some() && !on.asleep => {
                on.tear = Some(tear);
            }
            Ending::Orderly if on.agent.is_some() => {
                self.last_words(index);
                self.end_boot(index, now, "switched off");
            }
            _ => {
                self.faults.note(Fault::Cut);
                let on = self.machines[index].on.as_ref();
                let known = on.and_then(|on| match (&on.agent, on.last_look) {
                    (Some(_), _) => Some(now - TAIL),
                    (None, last) => last.map(|last| last - TAIL),
                });
                let written = known.unwrap_or(0);
                self.end_boot(index, written, "power cut");
            }
        }
    }

    /// Power is gone; everything until `written` must be in the journal.
    fn end_boot(&mut self, index: usize, written: i64, ending: &'static str) {
        let now = self.now_s();
        let machine = &mut self.machines[index];
        let Some(on) = machine.on.take() else { return };
        machine.stood = Some(now + on.error);
        let terminal = machine.terminal;
        self.truth.boots[on.truth].end(now, written, ending);
        if let Some(state) = machine.disk.look() {
            self.truth.dated(on.truth, &state);
        }
        let first = self.options.case.is_some() && machine.image.is_none();
        if first || self.options.case.is_none() && self.random.random_bool(0.08) {
            machine.image = Some(machine.disk.clone());
        }
        self.unlink(terminal, index);
    }

    pub(super) fn sleep(&mut self, index: usize, boot: u32, until: i64) {
        let now = self.now_s();
        let Some(on) = self.on(index, boot) else {
            return;
        };
        let Some(agent) = &on.agent else { return };
        if on.asleep || until - now < 60 || on.tear.is_some() {
            return;
        }
        on.rest = (agent.last_look + LOOK - now).clamp(0, LOOK);
        // Nor at the very second of falling asleep: where time stands still, it would look like one of the waking's.
        on.plan.inputs.retain(|at| *at < now || *at > until);
        on.next_input = on.plan.inputs.partition_point(|at| *at <= now);
        let input = on.next_input.checked_sub(1);
        let input = input.and_then(|at| on.plan.inputs.get(at).copied());
        let (truth, tells, process) = (on.truth, on.plan.tells, agent.process);
        let terminal = self.machines[index].terminal;
        self.faults.note(Fault::Suspend);
        if tells {
            self.before_sleep(index, process);
        }
        let Some(on) = self.on(index, boot) else {
            return;
        };
        on.asleep = true;
        match on.plan.sleep_clock {
            SleepClock::Counts => {
                on.slept_ms += (until - now) * 1_000;
                on.napped = true;
            }
            SleepClock::Reset(_) | SleepClock::Stopped => {
                on.uncounted_ms = (until - now) * 1_000;
                on.untold = !tells;
                let knew = on.agent.as_ref().is_some_and(|one| one.core.knows_time());
                on.blind = on.untold && !knew;
                self.faults.note(Fault::UncountedSleep);
            }
        }
        self.truth.boots[truth].sleep(now, input);
        self.unlink(terminal, index);
        self.at(until, Event::Wake(index, boot));
    }

    pub(super) fn wake(&mut self, index: usize, boot: u32) {
        let now = self.now_s();
        let Some(on) = self.on(index, boot) else {
            return;
        };
        on.asleep = false;
        on.woke = now;
        let (truth, gap, before) = (on.truth, on.uncounted_ms / 1_000, on.error);
        let asks = on.plan.network_time.is_some();
        if gap != 0 {
            on.error = match on.plan.sleep_clock {
                SleepClock::Reset(to) => to + now % 60 - now,
                SleepClock::Counts | SleepClock::Stopped => before - gap,
            };
            on.synced = false;
            let after = on.error;
            if on.plan.tells
                && let Some(agent) = on.agent.as_mut()
            {
                agent.core.woken();
            }
            self.truth.boots[truth].lose(now, gap, after);
        }
        let Some(on) = self.on(index, boot) else {
            return;
        };
        // The pending look comes when its time awake has passed.
        let next = on
            .agent
            .as_ref()
            .map(|agent| (agent.process, now + on.rest));
        self.truth.boots[truth].wake(now);
        if asks && gap != 0 {
            let again = now + self.random.random_range(60..1_800);
            self.at(again, Event::NetworkTime(index, boot));
        }
        if let Some((process, at)) = next {
            self.at(at, Event::Look(index, process));
        }
        self.lose_link(index);
    }

    pub(super) fn network_time(&mut self, index: usize, boot: u32) {
        let now = self.now_s();
        let away = self.network.away_until[self.machines[index].terminal];
        let Some(on) = self.on(index, boot) else {
            return;
        };
        if away > now || on.asleep {
            let again = away.max(now) + 60;
            self.at(again, Event::NetworkTime(index, boot));
            return;
        }
        (on.error, on.synced) = (0, true);
        if on.blind {
            // Set right before anybody looked: that it was ever wrong, and that it slept, nobody can tell.
            let truth = on.truth;
            self.truth.boots[truth].unseen = true;
        }
    }

    pub(super) fn jump(&mut self, index: usize, boot: u32, by: i64) {
        let now = self.now_s();
        let back = now + self.random.random_range(60..1_800);
        let Some(on) = self.on(index, boot) else {
            return;
        };
        if on.error != 0 || on.asleep {
            return;
        }
        (on.error, on.synced) = (by, false);
        let (truth, asks) = (on.truth, on.plan.network_time.is_some());
        if self.truth.boots[truth].vouched.is_none() {
            self.truth.boots[truth].errors.insert(by);
        }
        self.faults.note(Fault::Jump);
        if asks {
            self.at(back, Event::NetworkTime(index, boot));
        }
    }
}
