//! Sleeps by example: what lay before stays, what comes after waits for the time and lies where it belongs.

use classpulse_proto::v1::{Ack, ClockState, Report, SignalKind};

use super::{
    tests::{BOOT, EPOCH_MS, NOTHING, ack, at, config, input},
    *,
};

/// The system's clock of a machine whose battery is dead, Unix ms.
const DEAD: i64 = 946_684_800_000;

/// A machine that slept from second 600 of its boot for `gap` seconds, which its clock did not count; before that it
/// said the true time, and after it says `wall` plus what passed.
fn woken(second: u64, wall: i64) -> Now {
    Now {
        wall_ms: wall + i64::try_from((second - 600) * 1_000).unwrap(),
        wall_synced: false,
        ..at(second)
    }
}

fn before(second: u64) -> Now {
    Now {
        wall_synced: false,
        ..at(second)
    }
}

fn answer(report: &Report, second: u64, gap: i64) -> Ack {
    Ack {
        server_time_ms: EPOCH_MS + i64::try_from(second * 1_000).unwrap() + gap * 1_000,
        ..ack(report)
    }
}

/// On and used for 600 s, the time heard from the service, everything said and acknowledged.
fn lesson() -> Core {
    let mut core = Core::start(BOOT, before(0), config(), None);
    core.observe(before(0), NOTHING);
    core.connected(before(0));
    let first = core.poll(before(0)).unwrap();
    core.acknowledged(before(0), &answer(&first, 0, 0));
    for second in (0..=600).step_by(15) {
        core.observe(before(second), input(second));
        while let Some(report) = core.poll(before(second)) {
            core.acknowledged(before(second), &answer(&report, second, 0));
        }
    }
    assert!(core.knows_time());
    core
}

/// Start, end and clock of what is said until nothing is left, relative to the epoch; `gap` as the service knows it.
fn said(core: &mut Core, now: Now, gap: i64) -> Vec<(i64, i64, ClockState)> {
    let base = EPOCH_MS / 1_000;
    let mut all = Vec::new();
    core.disconnected(now);
    core.connected(now);
    while let Some(report) = core.poll(now) {
        for one in &report.sessions {
            all.push((one.start - base, one.end - base, report.clock()));
        }
        core.acknowledged(now, &answer(&report, now.mono_ms / 1_000, gap));
    }
    all.sort_unstable_by_key(|(start, end, _)| (*start, *end));
    all.dedup();
    all
}

#[test]
fn a_sleep_that_the_clock_did_not_count_moves_what_comes_after_it_and_nothing_before() {
    const GAP: i64 = 50_000;
    // Told of the sleep; noticed by a clock that died in it; told, while the clock stood still.
    for (told, wall) in [(true, DEAD), (false, DEAD), (true, EPOCH_MS + 600_000)] {
        let mut core = lesson();
        if told {
            core.woken();
        }
        for second in (610..=900).step_by(10) {
            core.observe(woken(second, wall), input(second));
        }
        assert!(!core.knows_time());
        let clock = ClockState::Synced;
        let expected = [
            (0, 600, clock),
            (600 + GAP, 900 + GAP, clock),
            (610 + GAP, 900 + GAP, clock),
        ];
        let found = said(&mut core, woken(900, wall), GAP);
        assert_eq!(found, expected, "told {told}, wall {wall}");
        assert!(core.knows_time());
    }
}

#[test]
fn what_plays_at_the_very_moment_of_waking_is_use_from_then_on() {
    let film = Observation {
        playing: true,
        ..NOTHING
    };
    let mut core = lesson();
    core.woken();
    // Time since boot stood still: the look at waking is at the moment of the one before the sleep.
    for second in (600..=900).step_by(15) {
        core.observe(woken(second, DEAD), film);
    }
    let sessions: Vec<_> = core.sessions().into_iter().filter(|one| one.open).collect();
    let spans: Vec<_> = sessions
        .iter()
        .map(|one| (one.kind, one.end - one.start))
        .collect();
    assert_eq!(spans, [(Kind::Powered, 300), (Kind::Used, 300)]);
}

#[test]
fn a_connection_before_the_first_look_after_a_sleep_hears_the_time() {
    let asleep = |second: u64| Now {
        awake_ms: 600_000 + (second - 4_200) * 1_000,
        ..before(second)
    };
    let mut core = Core::start(BOOT, before(0), config(), None);
    for second in (0..=600).step_by(15) {
        core.observe(before(second), input(second));
    }
    assert!(!core.knows_time());
    core.connected(asleep(4_201));
    let report = core.poll(asleep(4_201)).unwrap();
    core.acknowledged(asleep(4_203), &answer(&report, 4_202, 0));
    assert!(core.knows_time());
}

#[test]
fn a_correction_without_any_sign_of_a_sleep_cuts_what_is_open() {
    const GAP: i64 = 50_000;
    let mut core = lesson();
    // Nobody said anything, and the clock stood still.
    core.observe(woken(610, EPOCH_MS + 600_000), input(610));
    assert!(core.knows_time());
    core.connected(before(611));
    let report = core.poll(before(611)).unwrap();
    core.acknowledged(before(611), &answer(&report, 611, GAP));
    for second in (620..=900).step_by(10) {
        core.observe(before(second), input(second));
    }
    let clock = ClockState::Synced;
    let found = said(&mut core, before(900), GAP);
    let expected = [(0, 610, clock), (610 + GAP, 900 + GAP, clock)];
    assert_eq!(found.first(), Some(&expected[0]));
    assert_eq!(found.last(), Some(&expected[1]));
    assert!(
        found
            .iter()
            .all(|(start, end, _)| *end <= 610 || *start >= 610 + GAP),
        "{found:?}"
    );
    // A small one moves nothing that was said.
    let mut core = lesson();
    core.connected(before(600));
    let report = core.poll(before(600)).unwrap();
    core.acknowledged(before(600), &answer(&report, 600, 59));
    core.observe(before(615), input(615));
    assert_eq!(said(&mut core, before(615), 59), [(0, 615, clock)]);
}

#[test]
fn a_sleep_that_was_counted_costs_a_question_and_nothing_else() {
    let mut core = lesson();
    let slept = |second: u64| Now {
        awake_ms: (second - 3_000) * 1_000,
        ..before(second)
    };
    core.observe(slept(3_610), input(3_605));
    core.connected(slept(3_611));
    let report = core.poll(slept(3_611)).unwrap();
    assert!(
        report
            .sessions
            .iter()
            .all(|one| one.end <= EPOCH_MS / 1_000 + 600)
    );
    core.acknowledged(slept(3_611), &answer(&report, 3_611, 0));
    core.observe(slept(3_700), input(3_605));
    let clock = ClockState::Synced;
    let found = said(&mut core, slept(3_700), 0);
    assert_eq!(found, [(3_600, 3_700, clock), (3_605, 3_605, clock)]);
    // A system that vouches and says what was known needs no answer.
    let mut core = lesson();
    core.observe(
        Now {
            wall_synced: true,
            ..slept(3_610)
        },
        NOTHING,
    );
    assert!(core.knows_time());
    // One that says something else may not have noticed.
    let mut core = lesson();
    let away = Now {
        wall_synced: true,
        wall_ms: DEAD,
        ..slept(3_610)
    };
    core.observe(away, NOTHING);
    assert!(!core.knows_time());
}

#[test]
fn an_answer_from_before_the_sleep_tells_no_time_after_it() {
    let mut core = lesson();
    core.connected(before(605));
    let old = core.poll(before(605)).unwrap();
    core.woken();
    core.observe(woken(610, DEAD), NOTHING);
    // It lay in the network's buffers for as long as the machine slept, and yet looks young.
    core.acknowledged(woken(611, DEAD), &answer(&old, 605, 0));
    assert!(!core.knows_time());
}

#[test]
fn switched_off_before_anybody_said_the_time_again() {
    // After 600 s; its time since boot counts a sleep of 1,000 s, or its clock died in it.
    let ended = |counted: bool| {
        let mut core = lesson();
        core.disconnected(before(600));
        let now = |second: u64| {
            if counted {
                let awake_ms = before(second).mono_ms;
                Now {
                    awake_ms,
                    ..before(second + 1_000)
                }
            } else {
                woken(second, DEAD)
            }
        };
        core.woken();
        for second in (610..=900).step_by(10) {
            let at = now(second).mono_ms / 1_000;
            core.observe(now(second), input(at));
        }
        core.flush(now(900))
    };
    let later = |second: u64| Now {
        wall_ms: at(second + 100_000).wall_ms,
        ..at(second)
    };
    for (counted, clock, gap) in [
        (true, ClockState::Hardware, 1_000),
        (false, ClockState::Unsynced, 0),
    ] {
        let journal = ended(counted);
        // Cut between the two parts of the journal.
        let (older, current) = crate::journal::split(&journal);
        let journal = crate::journal::join(older, current);
        let own = CoreConfig {
            hardware_ms: Some(later(0).wall_ms),
            ..config()
        };
        let mut core = Core::start([9; 16], later(0), own, Some(journal));
        core.connected(later(1));
        let mut said = Vec::new();
        let mut signals = Vec::new();
        while let Some(report) = core.poll(later(1)) {
            signals.extend(report.signals.iter().map(|one| (one.kind(), one.seconds)));
            if report.over {
                let base = EPOCH_MS / 1_000;
                said.extend(
                    report
                        .sessions
                        .iter()
                        .map(|one| (one.start - base, one.end - base, report.clock())),
                );
            }
            core.acknowledged(later(1), &ack(&report));
        }
        // What was heard before the sleep is sure whatever came later.
        let known = ClockState::Synced;
        assert_eq!(
            said,
            [
                (0, 600, known),
                (0, 600, known),
                (600 + gap, 900 + gap, clock),
                (610 + gap, 900 + gap, clock),
            ]
        );
        assert_eq!(
            signals.contains(&(SignalKind::Unplaced, 290)),
            clock == ClockState::Unsynced,
            "{signals:?}"
        );
        assert_eq!(core.older_boots(), 0);
    }
}

#[test]
fn what_lies_before_an_uncounted_sleep_in_a_boot_that_knew_no_time_is_unplaced() {
    let dead = |second: u64| Now {
        wall_ms: DEAD + i64::try_from(second * 1_000).unwrap(),
        ..before(second)
    };
    let mut core = Core::start(BOOT, dead(0), config(), None);
    for second in (0..=600).step_by(15) {
        core.observe(dead(second), input(second));
    }
    core.woken();
    for second in (610..=900).step_by(10) {
        // It begins anew once more.
        core.observe(woken(second, DEAD), input(second));
    }
    let found = said(&mut core, woken(900, DEAD), 50_000);
    let placed: Vec<_> = found
        .iter()
        .filter(|one| one.2 == ClockState::Synced)
        .collect();
    assert_eq!(
        placed,
        [
            &(50_600, 50_900, ClockState::Synced),
            &(50_610, 50_900, ClockState::Synced)
        ]
    );
    let unplaced: Vec<_> = found
        .iter()
        .filter(|one| one.2 == ClockState::Unsynced)
        .collect();
    let start = (DEAD - EPOCH_MS) / 1_000;
    assert_eq!(unplaced, [&(start, start + 600, ClockState::Unsynced)]);
}
