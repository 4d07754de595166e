//! The core's laws, against a model service that keeps what reports say and a network that loses and repeats.

use std::collections::BTreeMap;

use classpulse_proto::v1::{self, Ack, AgentFacts, Report, Settings};
use proptest::prelude::*;

use super::*;

const BOOT: BootId = [7; 16];
/// 2026-09-01T08:00:00+08:00.
const EPOCH_MS: i64 = 1_788_220_800_000;

fn config() -> CoreConfig {
    CoreConfig {
        terminal: "t".to_owned(),
        facts: AgentFacts::default(),
        heartbeat_seconds: 60,
        idle_seconds: 300,
    }
}

fn at(second: u64) -> Now {
    let ms = second * 1_000;
    Now {
        mono_ms: ms,
        awake_ms: ms,
        wall_ms: EPOCH_MS + i64::try_from(ms).unwrap(),
        wall_synced: true,
    }
}

fn input(second: u64) -> Observation {
    Observation {
        last_input_mono_ms: Some(second * 1_000),
        playing: false,
    }
}

const NOTHING: Observation = Observation {
    last_input_mono_ms: None,
    playing: false,
};

/// (kind, start, end, open) relative to `EPOCH_MS`, in seconds.
fn seen(core: &Core) -> Vec<(Kind, i64, i64, bool)> {
    let base = EPOCH_MS / 1_000;
    core.sessions()
        .iter()
        .map(|one| (one.kind, one.start - base, one.end - base, one.open))
        .collect()
}

fn ack(report: &Report) -> Ack {
    Ack {
        boot_id: report.boot_id.clone(),
        sequences: vec![report.sequence],
        server_time_ms: 0,
        settings: None,
    }
}

#[test]
fn power_counts_from_the_boot_and_the_idle_tail_of_use_does_not() {
    let mut core = Core::start(BOOT, at(40), config(), None);
    for second in 61..=100 {
        core.observe(at(second), input(60));
    }
    assert_eq!(
        seen(&core),
        [(Kind::Powered, 0, 100, true), (Kind::Used, 60, 60, true)]
    );
    core.observe(at(200), input(190));
    core.observe(at(480), input(190));
    assert_eq!(seen(&core)[1], (Kind::Used, 60, 190, true));
    core.observe(at(491), input(190));
    assert_eq!(seen(&core)[1], (Kind::Used, 60, 190, false));
    core.observe(at(500), input(499));
    assert_eq!(seen(&core)[2], (Kind::Used, 499, 499, true));
}

#[test]
fn a_film_is_use_and_silence_is_not() {
    let mut core = Core::start(BOOT, at(0), config(), None);
    let film = Observation {
        last_input_mono_ms: None,
        playing: true,
    };
    for second in (600..=1_800).step_by(60) {
        core.observe(at(second), film);
    }
    for second in (1_860..=4_000).step_by(60) {
        core.observe(at(second), NOTHING);
    }
    assert_eq!(seen(&core)[1..], [(Kind::Used, 600, 1_800, false)]);
}

#[test]
fn a_sleep_is_neither_power_nor_use() {
    let mut core = Core::start(BOOT, at(0), config(), None);
    core.observe(at(100), input(100));
    let slept = |second: u64| Now {
        awake_ms: at(second).mono_ms - 1_000_000,
        ..at(second)
    };
    core.observe(slept(1_105), input(100));
    core.observe(slept(1_200), input(1_190));
    let expected = [
        (Kind::Powered, 0, 100, false),
        (Kind::Powered, 1_100, 1_200, true),
        (Kind::Used, 100, 100, false),
        (Kind::Used, 1_190, 1_190, true),
    ];
    assert_eq!(seen(&core), expected);
}

#[test]
fn long_sessions_are_cut_without_a_gap() {
    let mut core = Core::start(BOOT, at(0), config(), None);
    for second in (0..=100_000).step_by(200) {
        core.observe(at(second), input(second));
    }
    let found: Vec<_> = seen(&core)
        .into_iter()
        .filter(|one| one.0 == Kind::Powered)
        .collect();
    assert_eq!(
        found,
        [
            (Kind::Powered, 0, 43_200, false),
            (Kind::Powered, 43_200, 86_400, false),
            (Kind::Powered, 86_400, 100_000, true),
        ]
    );
    assert_eq!(
        seen(&core).iter().filter(|one| one.0 == Kind::Used).count(),
        3
    );
}

#[test]
fn a_clock_that_nobody_vouches_for_dates_nothing_until_the_service_does() {
    let dead = |second: u64| Now {
        wall_ms: 946_684_800_000 + i64::try_from(second).unwrap() * 1_000,
        wall_synced: false,
        ..at(second)
    };
    let mut core = Core::start(BOOT, dead(10), config(), None);
    core.connected(dead(10));
    core.observe(dead(70), input(65));
    let first = core.poll(dead(70)).unwrap();
    assert!(first.sessions.is_empty());
    assert_eq!(first.clock(), v1::ClockState::Unsynced);
    assert!(core.poll(dead(71)).is_none());
    core.acknowledged(
        dead(71),
        &Ack {
            server_time_ms: EPOCH_MS + 71_000,
            ..ack(&first)
        },
    );
    let second = core.poll(dead(71)).unwrap();
    assert_eq!(second.clock(), v1::ClockState::Synced);
    assert_eq!(second.sessions[0].start, EPOCH_MS / 1_000);
    assert_eq!(second.sessions[1].start, EPOCH_MS / 1_000 + 65);
}

#[test]
fn a_boot_that_ends_undated_is_reported_by_its_own_clock_and_said_so() {
    let dead = |second: u64| Now {
        wall_ms: 946_684_800_000 + i64::try_from(second).unwrap() * 1_000,
        wall_synced: false,
        ..at(second)
    };
    let mut core = Core::start(BOOT, dead(0), config(), None);
    core.observe(dead(600), NOTHING);
    let journal = core.flush(dead(600));
    let mut core = Core::start([8; 16], at(5), config(), Some(journal));
    core.connected(at(5));
    let old = core.poll(at(5)).unwrap();
    assert_eq!(
        (old.boot_id.as_slice(), old.clock()),
        (&BOOT[..], v1::ClockState::Unsynced)
    );
    assert_eq!(
        (old.sessions[0].start, old.sessions[0].open),
        (946_684_800, false)
    );
    assert_eq!(core.older_boots(), 1);
    core.acknowledged(at(5), &ack(&old));
    assert_eq!(core.older_boots(), 0);
}

#[test]
fn only_what_an_acknowledged_report_carried_in_its_final_form_is_forgotten() {
    let mut core = Core::start(BOOT, at(0), config(), None);
    core.connected(at(0));
    core.observe(at(10), input(10));
    let early = core.poll(at(10)).unwrap();
    core.observe(at(400), input(20));
    assert_eq!(core.waiting(), 2);
    core.acknowledged(at(400), &ack(&early));
    assert_eq!(core.waiting(), 2, "it was open then");
    let late = core.poll(at(400)).unwrap();
    core.acknowledged(
        at(401),
        &Ack {
            boot_id: vec![9; 16],
            ..ack(&late)
        },
    );
    core.acknowledged(
        at(401),
        &Ack {
            sequences: vec![late.sequence + 1, 0, u64::MAX],
            ..ack(&late)
        },
    );
    core.acknowledged(
        at(401),
        &Ack {
            boot_id: vec![],
            ..ack(&late)
        },
    );
    assert_eq!(core.waiting(), 2, "not that report");
    core.acknowledged(at(401), &ack(&late));
    assert_eq!(core.waiting(), 1);
    assert_eq!(seen(&core).len(), 2, "the log still knows it");
}

#[test]
fn sequences_rise_over_a_restart_and_settings_are_kept() {
    let mut core = Core::start(BOOT, at(0), config(), None);
    core.connected(at(30));
    let report = core.poll(at(30)).unwrap();
    let settings = Settings {
        heartbeat_seconds: 15,
        idle_seconds: 4,
    };
    core.acknowledged(
        at(30),
        &Ack {
            settings: Some(settings),
            ..ack(&report)
        },
    );
    assert_eq!(core.settings(), (15, 300));
    let journal = core.flush(at(31));
    let mut core = Core::start(BOOT, at(40), config(), Some(journal));
    assert_eq!(core.settings(), (15, 300));
    core.connected(at(40));
    assert!(core.poll(at(40)).unwrap().sequence > report.sequence);
    assert_eq!(seen(&core), [(Kind::Powered, 0, 0, true)]);
}

/// What a service knows after any reports: the longest form of each session.
#[derive(Default)]
struct Model {
    known: BTreeMap<(Vec<u8>, i32, u32), (i64, i64)>,
}

impl Model {
    fn take(&mut self, report: &Report) {
        for session in &report.sessions {
            let key = (report.boot_id.clone(), session.kind, session.number);
            let held = self
                .known
                .entry(key)
                .or_insert((session.start, session.end));
            assert_eq!(held.0, session.start, "a start never moves");
            assert!(session.end >= session.start);
            held.1 = held.1.max(session.end);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Pass {
        seconds: u64,
        input: bool,
        playing: bool,
    },
    Deliver {
        lose: bool,
        twice: bool,
        lose_ack: bool,
    },
    Reconnect,
    Restart,
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..400_u64, any::<bool>(), any::<bool>()).prop_map(|(seconds, input, playing)| Step::Pass { seconds, input, playing: playing && input }),
        6 => (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(lose, twice, lose_ack)| Step::Deliver { lose, twice, lose_ack }),
        1 => Just(Step::Reconnect),
        1 => Just(Step::Restart),
        1 => Just(Step::PowerCut),
    ]
}

struct World {
    core: Core,
    model: Model,
    /// Everything that any boot recorded, as its core last knew it.
    truth: BTreeMap<(Vec<u8>, i32, u32), (i64, i64)>,
    boots: u8,
    booted: u64,
    second: u64,
}

impl World {
    fn now(&self) -> Now {
        let ms = (self.second - self.booted) * 1_000;
        Now {
            mono_ms: ms,
            awake_ms: ms,
            ..at(self.second)
        }
    }

    fn record(&mut self) {
        let id = vec![self.boots; 16];
        for one in self.core.sessions() {
            let kind = if one.kind == Kind::Used {
                v1::Kind::Used
            } else {
                v1::Kind::Powered
            };
            let held = self
                .truth
                .entry((id.clone(), kind.into(), one.number))
                .or_insert((one.start, one.end));
            held.1 = held.1.max(one.end);
        }
    }

    fn deliver(&mut self, lose: bool, twice: bool, lose_ack: bool) {
        while let Some(report) = self.core.poll(self.now()) {
            if lose {
                continue;
            }
            self.model.take(&report);
            if twice {
                self.model.take(&report);
            }
            if !lose_ack {
                self.core.acknowledged(self.now(), &ack(&report));
            }
        }
    }

    fn restart(&mut self, new_boot: bool) {
        let now = self.now();
        let journal = self.core.flush(now);
        if new_boot {
            self.second += 30;
            self.booted = self.second;
            self.boots += 1;
        }
        self.core = Core::start([self.boots; 16], self.now(), config(), Some(journal));
        self.core.connected(self.now());
        self.record();
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Pass {
                seconds,
                input,
                playing,
            } => {
                self.second += seconds;
                let last_input_mono_ms = input.then(|| self.now().mono_ms);
                self.core.observe(
                    self.now(),
                    Observation {
                        last_input_mono_ms,
                        playing: *playing,
                    },
                );
                self.record();
            }
            Step::Deliver {
                lose,
                twice,
                lose_ack,
            } => self.deliver(*lose, *twice, *lose_ack),
            Step::Reconnect => {
                self.core.disconnected(self.now());
                assert!(self.core.poll(self.now()).is_none());
                self.core.connected(self.now());
            }
            Step::Restart => self.restart(false),
            Step::PowerCut => self.restart(true),
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_or_moved_whatever_is_lost_repeated_or_restarted(steps in proptest::collection::vec(step(), 1..80)) {
        let mut core = Core::start([1; 16], at(0), config(), None);
        core.connected(at(0));
        let mut world =
            World { core, model: Model::default(), truth: BTreeMap::new(), boots: 1, booted: 0, second: 0 };
        world.record();
        for step in &steps {
            world.step(step);
        }
        // In the end the network holds for a while.
        for _ in 0..40 {
            world.second += 61;
            world.core.observe(world.now(), NOTHING);
            world.record();
            world.deliver(false, false, false);
        }
        prop_assert_eq!(&world.model.known, &world.truth);
        prop_assert_eq!(world.core.older_boots(), 0);
        prop_assert!(world.core.waiting() <= 1, "only what is still open: {}", world.core.waiting());
    }
}
