//! The core by example, one rule a test. What must hold whatever happens is in `laws`.

use classpulse_proto::v1::{self, Ack, AgentFacts, Report};

use super::*;

pub(super) const BOOT: BootId = [7; 16];
/// 2026-09-01T08:00:00+08:00.
pub(super) const EPOCH_MS: i64 = 1_788_220_800_000;

pub(super) fn config() -> CoreConfig {
    CoreConfig {
        hardware_ms: None,
        terminal: "t".to_owned(),
        facts: AgentFacts::default(),
        heartbeat_seconds: 60,
        idle_seconds: 300,
        utc_offset_seconds: 8 * 3_600,
    }
}

pub(super) fn at(second: u64) -> Now {
    let ms = second * 1_000;
    Now {
        mono_ms: ms,
        awake_ms: ms,
        wall_ms: EPOCH_MS + i64::try_from(ms).unwrap(),
        wall_synced: true,
    }
}

pub(super) fn input(second: u64) -> Observation {
    Observation {
        last_input_mono_ms: Some(second * 1_000),
        playing: false,
        presenting: false,
    }
}

pub(super) const NOTHING: Observation = Observation {
    last_input_mono_ms: None,
    playing: false,
    presenting: false,
};

/// (kind, start, end, open) relative to `EPOCH_MS`, in seconds.
pub(super) fn seen(core: &Core) -> Vec<(Kind, i64, i64, bool)> {
    let base = EPOCH_MS / 1_000;
    core.sessions()
        .iter()
        .map(|one| (one.kind, one.start - base, one.end - base, one.open))
        .collect()
}

pub(super) fn ack(report: &Report) -> Ack {
    Ack {
        boot_id: report.boot_id.clone(),
        sequences: vec![report.sequence],
        server_time_ms: 0,
        settings: None,
        renew_key: false,
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
        presenting: false,
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
fn long_sessions_are_cut_on_a_whole_minute() {
    let booted = |second: u64| Now {
        wall_ms: EPOCH_MS + 26_500 + i64::try_from(second * 1_000).unwrap(),
        ..at(second)
    };
    let mut core = Core::start(BOOT, booted(0), config(), None);
    for second in (0..=43_240).step_by(20) {
        core.observe(booted(second), NOTHING);
    }
    // On at 8:00:26, off at 20:01:06: the minute of 20:00 belongs to one piece alone.
    let found: Vec<_> = seen(&core).iter().map(|one| (one.1, one.2)).collect();
    assert_eq!(found, [(26, 43_199), (43_200, 43_266)]);
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
fn an_answer_that_was_long_under_way_dates_nothing() {
    let dead = |second: u64| Now {
        wall_ms: 946_684_800_000 + i64::try_from(second).unwrap() * 1_000,
        wall_synced: false,
        ..at(second)
    };
    let mut core = Core::start(BOOT, dead(0), config(), None);
    core.connected(dead(0));
    let first = core.poll(dead(0)).unwrap();
    // Received at second 1; the commit waited for the store, so that the answer came a quarter of an hour later.
    let late = Ack {
        server_time_ms: EPOCH_MS + 1_000,
        ..ack(&first)
    };
    core.observe(dead(900), input(890));
    core.acknowledged(dead(900), &late);
    let second = core.poll(dead(900)).unwrap();
    assert_eq!(second.clock(), v1::ClockState::Unsynced);
    assert!(second.sessions.is_empty());
    let timely = Ack {
        server_time_ms: EPOCH_MS + 901_000,
        ..ack(&second)
    };
    core.acknowledged(dead(901), &timely);
    let third = core.poll(dead(901)).unwrap();
    assert_eq!(third.clock(), v1::ClockState::Synced);
    assert_eq!(third.sessions[0].start, EPOCH_MS / 1_000);
}

#[test]
fn a_sleep_is_not_bridged_by_old_input_even_after_its_session_is_forgotten() {
    let asleep = |second: u64, slept: u64| Now {
        awake_ms: (second - slept) * 1_000,
        ..at(second)
    };
    let mut core = Core::start(BOOT, at(0), config(), None);
    core.connected(at(0));
    core.observe(at(90), input(80));
    core.observe(at(103), input(100));
    // Seen too late: it lies before the sleep.
    core.observe(asleep(208, 100), input(104));
    let report = core.poll(asleep(208, 100)).unwrap();
    core.acknowledged(asleep(208, 100), &ack(&report));
    core.observe(asleep(210, 100), input(104));
    core.observe(asleep(215, 100), input(214));
    assert_eq!(
        seen(&core),
        [
            (Kind::Powered, 0, 103, false),
            (Kind::Powered, 203, 215, true),
            (Kind::Used, 80, 100, false),
            (Kind::Used, 214, 214, true),
        ]
    );
}

#[test]
fn a_restart_of_the_agent_breaks_no_session_and_notices_a_sleep() {
    let mut core = Core::start(BOOT, at(0), config(), None);
    core.observe(at(100), input(100));
    let journal = core.flush(at(100));
    let mut again = Core::start(BOOT, at(130), config(), Some(journal.clone()));
    again.observe(at(131), input(131));
    assert_eq!(
        seen(&again),
        [(Kind::Powered, 0, 131, true), (Kind::Used, 100, 131, true)]
    );
    let slept = Now {
        awake_ms: 110_000,
        ..at(130)
    };
    let mut again = Core::start(BOOT, slept, config(), Some(journal));
    again.observe(slept, NOTHING);
    assert_eq!(
        seen(&again),
        [
            (Kind::Powered, 0, 100, false),
            (Kind::Powered, 120, 130, true),
            (Kind::Used, 100, 100, false)
        ]
    );
    let numbers: Vec<u32> = again.sessions().iter().map(|one| one.number).collect();
    assert_eq!(
        numbers,
        [1, 102, 1],
        "a number never stands for two sessions"
    );
}

#[test]
fn a_boot_whose_journal_was_lost_gives_no_number_away_twice() {
    let lived = |from: u64| {
        let mut core = Core::start(BOOT, at(from), config(), None);
        core.note(at(from), SignalKind::ServerRefused, 0);
        core.observe(at(from + 10), input(from + 10));
        core.flush(at(from + 10)).boots.remove(0)
    };
    let (first, again) = (lived(0), lived(7_200));
    let numbers = |boot: &StoredBoot| -> Vec<(bool, u32)> {
        let sessions = boot.sessions.iter();
        sessions.map(|one| (one.used, one.number)).collect()
    };
    assert_eq!(numbers(&first), [(false, 1), (true, 1)]);
    assert_eq!(numbers(&again), [(false, 7_201), (true, 7_201)]);
    assert_eq!(
        (first.signals[0].number, again.signals[0].number),
        (1, 7_201)
    );
}

#[test]
fn the_journal_is_written_every_15_seconds_and_at_once_when_time_becomes_known() {
    let dead = |second: u64| Now {
        wall_ms: 946_684_800_000,
        wall_synced: false,
        ..at(second)
    };
    let mut core = Core::start(BOOT, dead(0), config(), None);
    assert!(core.journal_due(dead(0)).is_some());
    core.observe(dead(5), NOTHING);
    assert!(core.journal_due(dead(14)).is_none());
    assert!(core.journal_due(dead(15)).is_some());
    core.connected(dead(16));
    let report = core.poll(dead(16)).unwrap();
    let timely = Ack {
        server_time_ms: EPOCH_MS + 17_000,
        ..ack(&report)
    };
    core.acknowledged(dead(17), &timely);
    let journal = core.journal_due(dead(17)).unwrap();
    assert_eq!(journal.last_ack_ms, EPOCH_MS + 17_000);
    assert!(core.journal_due(dead(40)).is_none(), "nothing changed");
}

/// Looks every `tick` seconds; the most seconds of power that no journal knew at any moment.
fn most_unwritten(tick: u64, forced: &[u64]) -> u64 {
    let dead = |second: u64| Now {
        wall_ms: 946_684_800_000,
        wall_synced: false,
        ..at(second)
    };
    let mut core = Core::start(BOOT, dead(0), config(), None);
    core.connected(dead(0));
    let (mut known, mut most) = (0, 0);
    for second in 0..600 {
        most = most.max(second - known);
        if second % tick == 0 {
            core.observe(dead(second), NOTHING);
        }
        if forced.contains(&second) {
            // An answer says a new time, which is written at once.
            core.report_now();
            let report = core.poll(dead(second)).unwrap();
            let server_time_ms = EPOCH_MS + i64::try_from(second * 10_000).unwrap();
            let timely = Ack {
                server_time_ms,
                ..ack(&report)
            };
            core.acknowledged(dead(second), &timely);
        }
        if core.journal_due(dead(second)).is_some() {
            known = second - second % tick;
        }
    }
    most
}

#[test]
fn no_more_than_15_seconds_are_unwritten_whatever_else_is_written() {
    for tick in 1..=15 {
        for forced in [
            vec![],
            vec![7],
            vec![20, 31, 52],
            (0..600).step_by(11).collect(),
        ] {
            let most = most_unwritten(tick, &forced);
            assert!(
                most <= 15,
                "looks every {tick} s, forced {forced:?}: {most}"
            );
        }
    }
}
