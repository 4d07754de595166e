//! What must hold whatever happens: random days, sleeps, crashes and a network that loses, repeats and reorders,
//! against a model service that keeps what reports say. Examples are in `tests`.

use std::collections::{BTreeMap, BTreeSet};

use classpulse_proto::v1::{self, Ack, Report};
use proptest::prelude::*;

use super::{
    tests::{EPOCH_MS, NOTHING, ack, at, config, input},
    *,
};

/// Boot, kind, number.
type Key = (Vec<u8>, i32, u32);

/// What a service knows after any reports: the longest form of each session.
#[derive(Default)]
struct Model {
    known: BTreeMap<Key, (i64, i64)>,
    /// Those that were said to have ended.
    ended: BTreeSet<Key>,
}

impl Model {
    fn take(&mut self, report: &Report) {
        for session in &report.sessions {
            let key = (report.boot_id.clone(), session.kind, session.number);
            if !session.open {
                self.ended.insert(key.clone());
            }
            let held = self
                .known
                .entry(key)
                .or_insert((session.start, session.end));
            assert_eq!(held.0, session.start, "a start never moves");
            assert!((session.start..=session.start + 86_400).contains(&session.end));
            held.1 = held.1.max(session.end);
        }
    }

    fn lengths(&self) -> BTreeMap<Key, i64> {
        let known = self.known.iter();
        known
            .map(|(key, (start, end))| (key.clone(), end - start))
            .collect()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Pass {
        seconds: u64,
        input: bool,
        playing: bool,
    },
    Sleep {
        seconds: u64,
    },
    /// The report at this place of those under way arrives; a copy stays behind.
    Arrive {
        which: usize,
        again: bool,
    },
    /// The acknowledgement at this place of those under way arrives.
    Acknowledge {
        which: usize,
        again: bool,
    },
    Lose,
    Hurry,
    Reconnect,
    /// The agent is killed; with a new boot, power was cut. Only what was written is left.
    Crash {
        new_boot: bool,
        dead_clock: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let seconds = prop_oneof![1..15_u64, 1..400_u64];
    let pass = (seconds, any::<bool>(), any::<bool>());
    let wire = (0..8_usize, proptest::bool::weighted(0.2));
    let crash = (any::<bool>(), any::<bool>());
    prop_oneof![
        8 => pass.prop_map(|(seconds, input, playing)| Step::Pass { seconds, input, playing: playing && input }),
        1 => (1..900_u64).prop_map(|seconds| Step::Sleep { seconds }),
        6 => wire.clone().prop_map(|(which, again)| Step::Arrive { which, again }),
        6 => wire.prop_map(|(which, again)| Step::Acknowledge { which, again }),
        1 => Just(Step::Lose),
        2 => Just(Step::Hurry),
        1 => Just(Step::Reconnect),
        2 => crash.prop_map(|(new_boot, dead_clock)| Step::Crash { new_boot, dead_clock }),
    ]
}

struct World {
    core: Core,
    model: Model,
    /// Lengths of everything that any core saw.
    seen: BTreeMap<Key, i64>,
    /// Lengths of everything that was written, and so must never be lost.
    written: BTreeMap<Key, i64>,
    journal: JournalState,
    reports: Vec<Report>,
    acks: Vec<Ack>,
    boots: u8,
    booted: u64,
    second: u64,
    slept: u64,
    dead_clock: bool,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            core: Core::start([1; 16], at(0), config(), None),
            model: Model::default(),
            seen: BTreeMap::new(),
            written: BTreeMap::new(),
            journal: JournalState::default(),
            reports: Vec::new(),
            acks: Vec::new(),
            boots: 1,
            booted: 0,
            second: 0,
            slept: 0,
            dead_clock: false,
        };
        world.core.connected(world.now());
        world
    }

    fn now(&self) -> Now {
        let up = self.second - self.booted;
        let wall_ms = if self.dead_clock {
            946_684_800_000 + i64::try_from(up * 1_000).unwrap()
        } else {
            at(self.second).wall_ms
        };
        Now {
            mono_ms: up * 1_000,
            awake_ms: (up - self.slept) * 1_000,
            wall_ms,
            wall_synced: !self.dead_clock,
        }
    }

    /// What a driver does after every event: write, send. And what the law needs to know.
    fn settle(&mut self) {
        let now = self.now();
        let state = self.core.journal_due(now);
        for one in self.core.sessions() {
            let key = (
                vec![self.boots; 16],
                v1::Kind::from(one.kind).into(),
                one.number,
            );
            let length = one.end - one.start;
            if state.is_some() {
                self.written.insert(key.clone(), length);
            }
            let seen = self.seen.entry(key).or_default();
            *seen = length.max(*seen);
        }
        self.journal = state.unwrap_or_else(|| std::mem::take(&mut self.journal));
        self.reports
            .extend(std::iter::from_fn(|| self.core.poll(now)));
        assert!(self.core.in_flight(now) <= 8);
    }

    fn arrive(&mut self, which: usize, again: bool) {
        if which >= self.reports.len() {
            return;
        }
        let report = if again {
            self.reports[which].clone()
        } else {
            self.reports.remove(which)
        };
        self.model.take(&report);
        let server_time_ms = EPOCH_MS + i64::try_from(self.second * 1_000).unwrap();
        self.acks.push(Ack {
            server_time_ms,
            ..ack(&report)
        });
    }

    fn acknowledge(&mut self, which: usize, again: bool) {
        if which >= self.acks.len() {
            return;
        }
        let ack = if again {
            self.acks[which].clone()
        } else {
            self.acks.remove(which)
        };
        self.core.acknowledged(self.now(), &ack);
    }

    fn crash(&mut self, new_boot: bool, dead_clock: bool) {
        if new_boot {
            self.second += 30;
            self.booted = self.second;
            self.slept = 0;
            self.boots += 1;
            self.dead_clock = dead_clock;
        }
        let journal = Some(self.journal.clone());
        self.core = Core::start([self.boots; 16], self.now(), config(), journal);
        self.core.connected(self.now());
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Pass {
                seconds,
                input,
                playing,
            } => {
                self.second += seconds;
                let last_input_mono_ms = input.then(|| self.now().mono_ms);
                let seen = Observation {
                    last_input_mono_ms,
                    playing,
                    presenting: false,
                };
                self.core.observe(self.now(), seen);
            }
            Step::Sleep { seconds } => {
                self.second += seconds;
                self.slept += seconds;
                self.core.observe(self.now(), NOTHING);
            }
            Step::Arrive { which, again } => self.arrive(which, again),
            Step::Acknowledge { which, again } => self.acknowledge(which, again),
            Step::Lose => {
                self.reports.clear();
                self.acks.clear();
            }
            Step::Hurry => self.core.report_now(),
            Step::Reconnect => {
                self.core.disconnected(self.now());
                assert!(self.core.poll(self.now()).is_none());
                self.core.connected(self.now());
            }
            Step::Crash {
                new_boot,
                dead_clock,
            } => self.crash(new_boot, dead_clock),
        }
        self.settle();
    }

    /// In the end the network holds for a while.
    fn calm(&mut self) {
        for _ in 0..40 {
            self.second += 61;
            self.core.observe(self.now(), NOTHING);
            self.settle();
            while !self.reports.is_empty() {
                self.arrive(0, false);
                self.acknowledge(self.acks.len() - 1, false);
                self.settle();
            }
        }
    }
}

/// Plays steps, then a calm, and holds what the service knows against what was written and seen.
fn whole_after(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut world = World::new();
    world.settle();
    for step in steps {
        world.step(step);
    }
    world.calm();
    let known = world.model.lengths();
    for (key, length) in &world.written {
        prop_assert!(
            known.get(key).is_some_and(|known| known >= length),
            "{key:?}: {length} of {known:?}"
        );
    }
    for (key, length) in &known {
        prop_assert!(
            world.seen.get(key).is_some_and(|seen| seen >= length),
            "{key:?}: {length} of {:?}",
            world.seen
        );
    }
    let open = world.core.sessions().iter().filter(|one| one.open).count();
    let unended = known
        .keys()
        .filter(|key| world.written.contains_key(*key) && !world.model.ended.contains(*key));
    prop_assert!(
        unended.count() <= open,
        "forgotten before its end was heard: {:?}",
        world.model.known
    );
    prop_assert_eq!(world.core.older_boots(), 0);
    prop_assert!(
        world.core.waiting() <= 1,
        "only what is still open: {}",
        world.core.waiting()
    );
    Ok(())
}

/// Found by the law below: the process before had sent several reports in its last millisecond, and an answer to one of
/// them came to this one, which had given the same number to another.
#[test]
fn an_answer_to_the_process_before_means_nothing_to_this_one() {
    let pass = |seconds, input| Step::Pass {
        seconds,
        input,
        playing: false,
    };
    let arrive = |which, again| Step::Arrive { which, again };
    let acknowledge = |which| Step::Acknowledge {
        which,
        again: false,
    };
    let crash = |new_boot| Step::Crash {
        new_boot,
        dead_clock: false,
    };
    let steps = [
        crash(true),
        crash(true),
        Step::Lose,
        pass(60, false),
        pass(60, true),
        arrive(0, true),
        acknowledge(0),
        arrive(0, false),
        Step::Hurry,
        pass(300, false),
        arrive(0, false),
        pass(1, false),
        Step::Hurry,
        arrive(7, false),
        crash(false),
        acknowledge(2),
        Step::Lose,
        pass(1, false),
    ];
    whole_after(&steps).unwrap();
}

fn total(core: &Core, kind: Kind) -> i64 {
    let sessions = core.sessions().into_iter();
    sessions
        .filter(|one| one.kind == kind)
        .map(|one| one.end - one.start)
        .sum()
}

proptest! {
    #[test]
    fn what_was_written_is_counted_and_nothing_else_is(steps in proptest::collection::vec(step(), 1..120)) {
        whole_after(&steps)?;
    }

    #[test]
    fn use_lasts_from_first_to_last_input_and_no_longer(looks in proptest::collection::vec((1..20_u64, 0..20_u64, proptest::bool::weighted(0.1)), 1..200)) {
        let mut core = Core::start([1; 16], at(0), config(), None);
        let (mut second, mut last) = (1_000, None);
        let mut truth: Vec<(u64, u64)> = Vec::new();
        for (pause, before, long) in looks {
            second += if long { pause * 30 } else { pause };
            let moment = second - before.min(pause - 1);
            // No more than one input between two looks: a look tells only the last.
            if !long && before % 3 != 0 {
                match truth.last_mut() {
                    Some((_, end)) if moment - *end < 300 => *end = moment,
                    _ => truth.push((moment, moment)),
                }
                last = Some(moment);
            }
            core.observe(at(second), last.map_or(NOTHING, input));
        }
        let base = EPOCH_MS / 1_000;
        let found: Vec<_> = core
            .sessions()
            .into_iter()
            .filter(|one| one.kind == Kind::Used)
            .map(|one| (u64::try_from(one.start - base).unwrap(), u64::try_from(one.end - base).unwrap()))
            .collect();
        prop_assert_eq!(found, truth);
    }

    #[test]
    fn power_is_the_time_awake_in_pieces_of_12_hours(spans in proptest::collection::vec((1..70_000_u64, prop_oneof![3 => Just(0), 1 => 6..50_000_u64]), 1..12)) {
        let mut core = Core::start([1; 16], at(0), config(), None);
        let (mut second, mut slept) = (0, 0);
        for (awake, asleep) in &spans {
            second += awake;
            core.observe(Now { awake_ms: (second - slept) * 1_000, ..at(second) }, NOTHING);
            second += asleep;
            slept += asleep;
            core.observe(Now { awake_ms: (second - slept) * 1_000, ..at(second) }, input(second));
        }
        prop_assert_eq!(total(&core, Kind::Powered), i64::try_from(second - slept).unwrap());
        let powered: Vec<Seen> = core.sessions().into_iter().filter(|one| one.kind == Kind::Powered).collect();
        for one in &powered {
            prop_assert!(one.end - one.start <= 43_200);
        }
        let gaps = powered.windows(2).map(|pair| pair[1].start - pair[0].end);
        let sleeps: Vec<i64> = spans.iter().map(|(_, asleep)| i64::try_from(*asleep).unwrap()).filter(|asleep| *asleep > 0).collect();
        prop_assert_eq!(gaps.filter(|gap| *gap != 0).collect::<Vec<_>>(), sleeps);
        for used in core.sessions().into_iter().filter(|one| one.kind == Kind::Used) {
            let inside = |one: &Seen| one.start <= used.start && used.start <= one.end;
            prop_assert!(powered.iter().any(inside));
        }
    }

    #[test]
    fn nothing_is_dated_before_the_time_is_known(looks in proptest::collection::vec((1..100_u64, any::<bool>()), 1..60)) {
        let dead = |second: u64| Now { wall_ms: 946_684_800_000 + i64::try_from(second * 1_000).unwrap(), wall_synced: false, ..at(second) };
        let mut core = Core::start([1; 16], dead(0), config(), None);
        core.connected(dead(0));
        let mut second = 0;
        for (pause, used) in looks {
            second += pause;
            core.observe(dead(second), if used { input(second) } else { NOTHING });
            while let Some(report) = core.poll(dead(second)) {
                prop_assert!(report.sessions.is_empty());
                prop_assert_eq!(report.clock(), v1::ClockState::Unsynced);
                core.acknowledged(dead(second), &ack(&report));
            }
        }
        prop_assert!(core.flush(dead(second)).boots[0].sessions.iter().all(|one| one.placed.is_none()));
    }
}
