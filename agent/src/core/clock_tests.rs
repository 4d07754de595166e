//! Clocks by example: what may date a boot that heard no time, and what is said of clocks and gaps.

use classpulse_proto::v1::{Ack, ClockState, Report, SignalKind};

use super::{
    tests::{BOOT, EPOCH_MS, NOTHING, ack, at, config, input},
    *,
};

/// A moment of a boot that began so many seconds after the epoch, by a clock that is off by `error` seconds and that
/// nobody vouches for.
fn alone(began: i64, error: i64, second: u64) -> Now {
    Now {
        wall_ms: EPOCH_MS + (began + error) * 1_000 + i64::try_from(second * 1_000).unwrap(),
        wall_synced: false,
        ..at(second)
    }
}

/// A boot by itself: ten minutes on, used for a while, then power is gone. What its journal says.
fn boot(id: u8, began: i64, error: i64, journal: Option<JournalState>) -> JournalState {
    let mut core = Core::start([id; 16], alone(began, error, 0), config(), journal);
    for second in (0..=600).step_by(15) {
        core.observe(alone(began, error, second), input(second.min(300)));
    }
    core.flush(alone(began, error, 600))
}

/// A boot that hears the time from the service at once; what it reports of earlier boots, and its own signals.
fn hear(began: i64, error: i64, journal: JournalState) -> (Vec<Report>, Vec<(SignalKind, i64)>) {
    let now = |second| alone(began, error, second);
    let mut core = Core::start([99; 16], now(0), config(), Some(journal));
    core.observe(now(1), NOTHING);
    core.connected(now(1));
    let first = core.poll(now(1)).unwrap();
    assert!(first.sessions.is_empty(), "earlier boots wait for the time");
    assert!(core.poll(now(1)).is_none());
    let answer = Ack {
        server_time_ms: EPOCH_MS + began * 1_000 + 1_000,
        ..ack(&first)
    };
    core.acknowledged(now(1), &answer);
    let mut older = Vec::new();
    let mut signals = Vec::new();
    while let Some(report) = core.poll(now(1)) {
        let said = report.signals.iter();
        signals.extend(said.map(|signal| (signal.kind(), signal.seconds)));
        let own = report.boot_id == [99; 16];
        assert_eq!(own, !report.over);
        core.acknowledged(now(1), &ack(&report));
        if !own {
            older.push(report);
        }
    }
    assert_eq!(core.older_boots(), 0);
    (older, signals)
}

/// A journal that knew the time at this second after the epoch.
fn known(second: i64) -> JournalState {
    JournalState {
        known_ms: EPOCH_MS + second * 1_000,
        ..JournalState::default()
    }
}

#[test]
fn a_boot_without_network_and_with_a_good_clock_is_dated_by_it() {
    let first = boot(1, 1_000, 0, Some(known(500)));
    let journal = boot(2, 5_000, 20, Some(first));
    let (older, signals) = hear(100_000, -100, journal);
    assert_eq!(older.len(), 2);
    for (report, began) in older.iter().zip([1_000, 5_020]) {
        assert_eq!(report.clock(), ClockState::Hardware);
        assert_eq!(report.sessions[0].start, EPOCH_MS / 1_000 + began);
    }
    assert_eq!(signals, []);
}

#[test]
fn a_dead_clock_places_nothing_and_says_so() {
    for dead in [0, 946_684_800, 1_514_764_800, 1_577_836_800] {
        let error = dead - EPOCH_MS / 1_000 - 1_000;
        let journal = boot(1, 1_000, error, Some(known(500)));
        // The battery is still dead, or somebody has put in a new one.
        for now in [dead - EPOCH_MS / 1_000 - 100_000, 0] {
            let (older, signals) = hear(100_000, now, journal.clone());
            assert_eq!(older[0].clock(), ClockState::Unsynced);
            assert_eq!(older[0].sessions[0].start, dead);
            assert!(
                signals.contains(&(SignalKind::Unplaced, 300)),
                "{signals:?}"
            );
            let off = signals.contains(&(SignalKind::ClockOff, now));
            assert_eq!(off, now != 0, "{signals:?}");
        }
    }
}

#[test]
fn a_clock_that_goes_on_where_a_boot_left_it_that_could_not_be_placed_places_nothing() {
    // The first begins where the last known time ended; the second an hour after it, and its clock stood still meanwhile.
    let first = boot(1, 1_000, -450, Some(known(500)));
    let left = 1_000 - 450 + 600;
    let stood = |pause: i64| {
        let began = left + 3_600;
        let journal = boot(2, began, left + pause - began, Some(first.clone()));
        let (older, _) = hear(100_000, 0, journal);
        older.iter().map(Report::clock).collect::<Vec<_>>()
    };
    assert_eq!(stood(47), [ClockState::Unsynced; 2]);
    assert_eq!(stood(179), [ClockState::Unsynced; 2]);
    // By its clock it was off for longer than a restart takes: a clock that stands still does not say that.
    assert_eq!(stood(180), [ClockState::Unsynced, ClockState::Hardware]);
}

#[test]
fn a_clock_that_goes_on_where_somebody_had_set_it_ahead_places_nothing() {
    // The time is known, the clock is an hour ahead, and everything is acknowledged.
    let now = |second| Now {
        wall_ms: EPOCH_MS + 5_400_000 + i64::try_from(second * 1_000).unwrap(),
        wall_synced: false,
        ..at(second)
    };
    let mut core = Core::start([1; 16], now(0), config(), None);
    core.observe(now(0), NOTHING);
    core.connected(now(0));
    for second in [1, 16] {
        let report = core.poll(now(second)).unwrap();
        let answer = Ack {
            server_time_ms: EPOCH_MS + 1_800_000 + i64::try_from(second * 1_000).unwrap(),
            ..ack(&report)
        };
        core.acknowledged(now(second), &answer);
    }
    assert!(core.knows_time());
    core.observe(now(600), NOTHING);
    let mut ended = core.flush(now(600));
    ended.boots[0].sessions.clear();
    ended.boots[0].signals.clear();
    // Two days later it goes on where it stood.
    let left = 5_400 + 600;
    for (pause, clock) in [(4, ClockState::Unsynced), (180, ClockState::Hardware)] {
        let began = left + 172_800;
        let journal = boot(2, began, left + pause - began, Some(ended.clone()));
        let (older, _) = hear(400_000, 0, journal);
        assert_eq!(older.last().map(Report::clock), Some(clock));
    }
}

#[test]
fn a_journal_of_which_one_part_is_lost_misdates_nothing() {
    // By its own clock it began before the last known time.
    let first = boot(1, 1_000, -800, Some(known(500)));
    let journal = boot(2, 5_000, 0, Some(first));
    // The part that is written all the time is torn in both its generations.
    let (older, _) = crate::journal::split(&journal);
    let left = crate::journal::join(older, JournalState::default());
    assert_eq!(left.known_ms, EPOCH_MS + 500_000);
    let (older, _) = hear(100_000, 0, left);
    assert_eq!(older.len(), 1);
    assert_eq!(older[0].clock(), ClockState::Unsynced);
}

#[test]
fn a_journal_that_could_not_be_read_for_a_while_is_dated_only_where_no_later_time_is_known() {
    let unread = boot(1, 1_000, 0, Some(known(500)));
    let dated = |newer: JournalState| {
        let (older, _) = hear(100_000, 0, crate::journal::join(unread.clone(), newer));
        older[0].clock()
    };
    assert_eq!(dated(JournalState::default()), ClockState::Hardware);
    // Nothing tells whether its clock stood still: in doubt it waits in quarantine, where somebody can see it.
    assert_eq!(dated(known(50_000)), ClockState::Unsynced);
}

#[test]
fn a_clock_that_stands_still_without_power_places_nothing() {
    // Off for a day, and it goes on where it stood: after the last known time, and yet wrong.
    let journal = boot(1, 100_000, -86_400, Some(known(500)));
    let (older, _) = hear(200_000, -90_000, journal);
    assert_eq!(older[0].clock(), ClockState::Unsynced);
    // It stood where the last known time ended, and was set right before the next look: nobody can tell.
    for (since, clock) in [(60, ClockState::Unsynced), (181, ClockState::Hardware)] {
        let journal = boot(1, 100_000, -90_000, Some(known(10_000 - since)));
        let (older, _) = hear(200_000, 0, journal);
        assert_eq!(
            older[0].clock(),
            clock,
            "{since} s after the last known time"
        );
    }
}

#[test]
fn a_clock_ahead_or_set_meanwhile_places_nothing() {
    let ahead = boot(1, 1_000, 200_000, Some(known(500)));
    let (older, _) = hear(100_000, 0, ahead);
    assert_eq!(older[0].clock(), ClockState::Unsynced);

    let mut core = Core::start(BOOT, alone(1_000, 0, 0), config(), Some(known(500)));
    core.observe(alone(1_000, 0, 60), NOTHING);
    core.observe(alone(1_000, 30, 600), NOTHING);
    let set = core.flush(alone(1_000, 30, 600));
    let (older, _) = hear(100_000, 0, set);
    assert_eq!(older[0].clock(), ClockState::Unsynced);
}

#[test]
fn boots_out_of_order_are_not_both_believed() {
    let first = boot(1, 50_000, 0, Some(known(500)));
    let journal = boot(2, 60_000, -50_000, Some(first));
    let (older, _) = hear(100_000, 0, journal);
    let clocks: Vec<_> = older.iter().map(Report::clock).collect();
    assert_eq!(clocks, [ClockState::Hardware, ClockState::Unsynced]);
}

#[test]
fn network_time_before_the_first_look_leaves_the_hardware_to_tell() {
    let journal = boot(1, 1_000, 0, Some(known(500)));
    for (hardware, clock) in [
        (Some(0), ClockState::Hardware),
        (Some(-3_600_000), ClockState::Unsynced),
        (None, ClockState::Unsynced),
    ] {
        let own = CoreConfig {
            hardware_ms: hardware.map(|error| EPOCH_MS + error),
            ..config()
        };
        let later = Now {
            wall_ms: EPOCH_MS + 90_000_000,
            ..at(0)
        };
        let own = CoreConfig {
            hardware_ms: own.hardware_ms.map(|ms| ms + 90_000_000),
            ..own
        };
        let mut core = Core::start([9; 16], later, own, Some(journal.clone()));
        core.connected(later);
        let older = core.poll(later).unwrap();
        assert_eq!((older.over, older.clock()), (true, clock));
    }
}

/// Everything a core says of itself until it is acknowledged.
fn signals(core: &mut Core, now: Now) -> Vec<(SignalKind, i64)> {
    core.connected(now);
    let report = core.poll(now).unwrap();
    core.acknowledged(now, &ack(&report));
    let said = report.signals.iter();
    said.map(|one| (one.kind(), one.seconds)).collect()
}

#[test]
fn a_gap_while_the_machine_was_on_is_said_and_a_quick_restart_is_not() {
    let begin = |again: u64, stopped: bool, asleep: u64| {
        let mut core = Core::start(BOOT, at(0), config(), None);
        core.observe(at(600), NOTHING);
        if stopped {
            core.stopping();
        }
        let journal = core.flush(at(600));
        let now = Now {
            awake_ms: (again - asleep) * 1_000,
            ..at(again)
        };
        signals(&mut Core::start(BOOT, now, config(), Some(journal)), now)
    };
    assert_eq!(begin(659, false, 0), []);
    assert_eq!(begin(660, false, 0), [(SignalKind::AgentGap, 60)]);
    assert_eq!(begin(4_200, true, 0), [(SignalKind::AgentStopped, 3_600)]);
    assert_eq!(begin(4_200, false, 3_590), [], "it slept");
}

#[test]
fn a_clock_set_away_from_the_truth_is_said_and_one_set_right_is_not() {
    let wall = |second: u64, off: i64, synced: bool| Now {
        wall_ms: at(second).wall_ms + off * 1_000,
        wall_synced: synced,
        ..at(second)
    };
    let mut core = Core::start(BOOT, at(0), config(), None);
    core.observe(at(10), NOTHING);
    core.observe(wall(20, -86_400, true), NOTHING);
    core.observe(wall(30, -86_400, true), NOTHING);
    core.observe(at(40), NOTHING);
    assert_eq!(
        signals(&mut core, at(50)),
        [(SignalKind::ClockSet, -86_400)]
    );
    // A dead clock that network time sets right.
    let mut core = Core::start(BOOT, wall(0, -900_000, false), config(), None);
    core.observe(wall(10, -900_000, false), NOTHING);
    core.observe(at(20), NOTHING);
    assert_eq!(
        signals(&mut core, at(30)),
        [(SignalKind::ClockOff, -900_000)]
    );
}

#[test]
fn trouble_that_goes_on_is_said_once_an_hour_and_not_for_ever() {
    let mut core = Core::start(BOOT, at(0), config(), None);
    for second in 0..200_000 {
        core.note(at(second), SignalKind::ServerRefused, 0);
    }
    core.observe(at(200_000), NOTHING);
    let journal = core.flush(at(200_000));
    let numbers: Vec<_> = journal.boots[0]
        .signals
        .iter()
        .map(|one| one.number)
        .collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    assert_eq!(journal.boots[0].signals[1].at_ms, 3_600_000);
    // They outlive a restart, and go once they are acknowledged.
    let mut core = Core::start(BOOT, at(200_001), config(), Some(journal));
    assert_eq!(signals(&mut core, at(200_001)).len(), 20);
    assert!(core.flush(at(200_002)).boots[0].signals.is_empty());
}

#[test]
fn history_is_reported_once_as_power_only_and_marked() {
    let base = EPOCH_MS / 1_000 - 1_000_000;
    let spans = [(base, base + 600), (base + 86_400, base + 86_400 + 50_000)];
    let mut core = Core::start(BOOT, at(0), config(), None);
    core.take_history(at(0), [5; 16], &spans);
    let journal = core.flush(at(0));
    // Again, in the same process and in the next.
    core.take_history(at(0), [5; 16], &spans);
    assert_eq!(core.older_boots(), 1);
    let mut core = Core::start(BOOT, at(10), config(), Some(journal));
    core.take_history(at(10), [5; 16], &spans);
    core.connected(at(10));
    let report = core.poll(at(10)).unwrap();
    assert_eq!(
        (report.history, report.over, report.clock()),
        (true, true, ClockState::Unspecified)
    );
    let length: i64 = report.sessions.iter().map(|one| one.end - one.start).sum();
    assert_eq!(length, 50_600);
    assert_eq!(report.sessions[0].start, base);
    assert_eq!(report.sessions.len(), 3, "cut after 12 hours");
    assert!(
        report
            .sessions
            .iter()
            .all(|one| one.kind() == classpulse_proto::v1::Kind::Powered && !one.open)
    );
    core.acknowledged(at(10), &ack(&report));
    assert_eq!(core.older_boots(), 0);
    assert_eq!(signals(&mut core, at(11)), [(SignalKind::History, 50_600)]);
    core.take_history(at(11), [5; 16], &spans);
    assert_eq!(core.older_boots(), 0);
}
