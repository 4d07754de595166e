//! What people do with a machine on one day: on, off, lessons, films, and what befalls the machine meanwhile.
//!
//! Not responsible for carrying it out (`terminal`).

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::{
    case::{Case, Clock, Power},
    disk::Tear,
};

/// 2000-01-01 and 2018-01-01, Unix seconds: where clocks begin whose battery is dead.
const YEAR_2000: i64 = 946_684_800;
const YEAR_2018: i64 = 1_514_764_800;

/// Seconds without input after which use has ended.
pub(super) const IDLE: i64 = 300;

/// Rooms and machines differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// The system asks network time.
    pub(super) network_time: bool,
    /// A card restores the disk at many a boot.
    pub(super) card: bool,
    /// The clock battery is dead.
    pub(super) dead_battery: bool,
}

impl Habits {
    pub(super) fn draw(random: &mut ChaCha8Rng) -> Self {
        Self {
            network_time: random.random_bool(0.6),
            card: random.random_bool(0.1),
            dead_battery: random.random_bool(0.1),
        }
    }
}

/// How the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Orderly,
    Cut,
    /// In the middle of the next write of the journal.
    CutInWrite(Tear),
}

/// The hardware clock at the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HardwareClock {
    Right,
    /// Off by so many seconds.
    Off(i64),
    /// It begins at this Unix second.
    Reset(i64),
    /// It goes on where it stood when power went.
    Stopped,
}

/// What the hardware clock does while the machine sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SleepClock {
    /// It goes on, and time since boot with it.
    Counts,
    /// It begins at this Unix second, and time since boot lacks the sleep.
    Reset(i64),
    /// It goes on where it stood, and so does time since boot.
    Stopped,
}

/// One boot as it will be, true Unix seconds.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) on: i64,
    pub(super) off: i64,
    pub(super) ending: Ending,
    pub(super) clock: HardwareClock,
    /// The agent starts so many seconds after the boot.
    pub(super) agent_after: i64,
    /// Network time arrives then, if the network does.
    pub(super) network_time: Option<i64>,
    /// Somebody sets the clock: when, by how many seconds.
    pub(super) jump: Option<(i64, i64)>,
    /// The agent is killed, and starts again so many seconds later.
    pub(super) kill: Option<(i64, i64)>,
    /// From, until.
    pub(super) sleep: Option<(i64, i64)>,
    pub(super) sleep_clock: SleepClock,
    /// The system tells its services of a sleep.
    pub(super) tells: bool,
    pub(super) inputs: Vec<i64>,
    pub(super) films: Vec<(i64, i64)>,
}

impl Plan {
    /// It hibernates in the middle of a boot that is long enough, and power is cut meanwhile.
    fn hibernate(&mut self, dies: bool, random: &mut ChaCha8Rng) {
        if self.off - self.on > 1_200 {
            let from = random.random_range(self.on + 120..self.off - 600);
            let until = from + random.random_range(60..5_400);
            self.sleep = Some((from, until.min(self.off - 120)));
            self.lose_time(dies, random);
        }
    }

    /// The clock does not count the sleep. One that stands still is noticed only where the system tells.
    fn lose_time(&mut self, dies: bool, random: &mut ChaCha8Rng) {
        (self.clock, self.jump, self.kill) = (HardwareClock::Right, None, None);
        (self.sleep_clock, self.tells) = if dies {
            (SleepClock::Reset(YEAR_2000), random.random())
        } else {
            (SleepClock::Stopped, true)
        };
    }

    /// Puts a case's conditions in the place of what was drawn.
    pub(super) fn under(&mut self, case: Case, random: &mut ChaCha8Rng) {
        (self.sleep_clock, self.tells) = (SleepClock::Counts, false);
        (self.clock, self.jump) = match case.clock {
            Clock::Right => (HardwareClock::Right, None),
            Clock::Year1970 => (HardwareClock::Reset(0), None),
            Clock::Year2000 => (HardwareClock::Reset(YEAR_2000), None),
            Clock::Year2018 => (HardwareClock::Reset(YEAR_2018), None),
            Clock::StandsStill => (HardwareClock::Stopped, None),
            Clock::SetBack => {
                let at = random.random_range(self.on..self.off.max(self.on + 1));
                (HardwareClock::Right, Some((at, -3_600)))
            }
            Clock::DiesAsleep | Clock::StillAsleep => {
                self.hibernate(case.clock == Clock::DiesAsleep, random);
                (HardwareClock::Right, None)
            }
        };
        self.ending = match case.power {
            Power::Orderly => Ending::Orderly,
            Power::Cut => Ending::Cut,
            Power::CutInWrite => Ending::CutInWrite(match random.random_range(0..3) {
                0 => Tear::BeforeRename,
                1 => Tear::WithBak,
                _ => Tear::WithoutBak,
            }),
        };
    }
}

/// The boots of a day that begins at `midnight`, not before `free`.
pub(super) fn day(
    random: &mut ChaCha8Rng,
    habits: Habits,
    midnight: i64,
    weekend: bool,
    free: i64,
    last: bool,
) -> Vec<Plan> {
    let mut plans = Vec::new();
    if !random.random_bool(if weekend { 0.2 } else { 0.92 }) {
        return plans;
    }
    if !last && random.random_bool(0.02) {
        // Left on over night: across midnight, and longer than one session may be.
        let on = (midnight + 13 * 3_600 + random.random_range(0..3_600)).max(free);
        let off = midnight + 30 * 3_600 + random.random_range(0..3_600);
        let mut plan = boot(random, habits, on, off);
        (plan.clock, plan.jump) = (HardwareClock::Right, None);
        plans.push(plan);
        return plans;
    }
    let mut at = (midnight + 6 * 3_600 + random.random_range(1_800..10_000)).max(free);
    let mut left = random.random_range(2 * 3_600..10 * 3_600_i64);
    let close = midnight + 22 * 3_600 + 1_800;
    while left > 600 && at + 120 < close {
        let short = random.random_bool(0.05);
        let length = if short {
            random.random_range(5..120)
        } else {
            random.random_range(600..=left)
        };
        let off = (at + length).min(close);
        plans.push(boot(random, habits, at, off));
        left -= length;
        at = off + random.random_range(40..3_600);
    }
    plans
}

fn boot(random: &mut ChaCha8Rng, habits: Habits, on: i64, off: i64) -> Plan {
    let ending = match random.random_range(0..100) {
        0..50 => Ending::Orderly,
        50..88 => Ending::Cut,
        88..92 => Ending::CutInWrite(Tear::BeforeRename),
        92..98 => Ending::CutInWrite(Tear::WithBak),
        _ => Ending::CutInWrite(Tear::WithoutBak),
    };
    let clock = match random.random_range(0..100) {
        _ if habits.dead_battery && random.random_bool(0.7) => dead(random),
        0..3 => dead(random),
        3..6 => HardwareClock::Off(hour(random)),
        _ => HardwareClock::Right,
    };
    let within = |random: &mut ChaCha8Rng| random.random_range(on..off.max(on + 1));
    let network_time = habits
        .network_time
        .then(|| on + random.random_range(5..900));
    let jump = random
        .random_bool(0.06)
        .then(|| (within(random), hour(random)));
    let kill = random
        .random_bool(0.12)
        .then(|| (within(random), random.random_range(1..=120)));
    let sleep = (off - on > 1_200 && random.random_bool(0.15)).then(|| {
        let from = random.random_range(on + 120..off - 600);
        let until = from + random.random_range(60..5_400);
        (from, until.min(off - 120))
    });
    let (inputs, films) = use_of(random, on, off);
    let mut plan = Plan {
        on,
        off,
        ending,
        clock,
        agent_after: random.random_range(1..=12),
        network_time,
        jump,
        kill,
        sleep,
        sleep_clock: SleepClock::Counts,
        tells: false,
        inputs,
        films,
    };
    if plan.sleep.is_some() && random.random_bool(0.25) {
        let dies = random.random();
        plan.lose_time(dies, random);
    }
    plan
}

fn hour(random: &mut ChaCha8Rng) -> i64 {
    if random.random() { 3_600 } else { -3_600 }
}

fn dead(random: &mut ChaCha8Rng) -> HardwareClock {
    match random.random_range(0..4) {
        0 => HardwareClock::Reset(0),
        1 => HardwareClock::Reset(YEAR_2000),
        2 => HardwareClock::Reset(YEAR_2018),
        _ => HardwareClock::Stopped,
    }
}

/// Lessons: inputs more than a look apart, so that each is seen; sometimes a film.
fn use_of(random: &mut ChaCha8Rng, on: i64, off: i64) -> (Vec<i64>, Vec<(i64, i64)>) {
    let (mut inputs, mut films) = (Vec::new(), Vec::new());
    let mut at = on + random.random_range(10..1_200);
    while at < off {
        let until = (at + random.random_range(30..3_000)).min(off);
        if random.random_bool(0.2) {
            films.push((at, until));
            at = until;
        } else {
            while at < until {
                inputs.push(at);
                at += random.random_range(16..100);
            }
        }
        at += if random.random_bool(0.2) {
            random.random_range(30..IDLE)
        } else {
            random.random_range(IDLE..3_600)
        };
    }
    (inputs, films)
}
