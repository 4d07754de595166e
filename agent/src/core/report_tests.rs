//! What is said, when, and when it may be forgotten, by example. Sessions themselves are in `tests`.

use classpulse_proto::v1::{Ack, Settings};

use super::{
    tests::{BOOT, NOTHING, ack, at, config, input, seen},
    *,
};

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

#[test]
fn a_backlog_goes_out_in_several_reports_as_acknowledgements_let_it() {
    let mut core = Core::start(BOOT, at(0), config(), None);
    for use_number in 1..=2_500 {
        core.observe(at(use_number * 400), input(use_number * 400));
    }
    let mut now = 2_501 * 400;
    core.observe(at(now), NOTHING);
    core.connected(at(now));
    let burst =
        |core: &mut Core, now| std::iter::from_fn(|| core.poll(at(now))).collect::<Vec<_>>();
    let mut reports = burst(&mut core, now);
    assert_eq!(reports.len(), 8);
    assert_eq!(core.in_flight(at(now)), 8);
    assert!(reports.iter().all(|report| report.sessions.len() == 200));
    core.acknowledged(at(now), &ack(&reports[0]));
    assert_eq!(
        burst(&mut core, now).len(),
        1,
        "no waiting for the heartbeat"
    );
    // Late acknowledgements still count.
    now += 61;
    for report in reports.drain(..) {
        core.acknowledged(at(now), &ack(&report));
    }
    let before = now;
    while core.waiting() > 1 && now < before + 10 {
        now += 1;
        for report in burst(&mut core, now) {
            core.acknowledged(at(now), &ack(&report));
        }
    }
    assert_eq!(core.waiting(), 1, "only the open one");
}

#[test]
fn facts_are_said_until_heard_and_the_heart_beats_without_news() {
    let mut core = Core::start(BOOT, at(0), config(), None);
    assert!(core.poll(at(0)).is_none(), "not connected");
    core.connected(at(0));
    let first = core.poll(at(0)).unwrap();
    assert!(first.facts.is_some() && core.poll(at(59)).is_none());
    let second = core.poll(at(60)).unwrap();
    assert!(second.facts.is_some() && second.sequence > first.sequence);
    core.acknowledged(at(61), &ack(&first));
    assert!(core.poll(at(119)).is_none());
    assert!(core.poll(at(120)).unwrap().facts.is_none());
    core.disconnected(at(121));
    assert!(core.poll(at(1_000)).is_none());
}

#[test]
fn hostile_acknowledgements_are_harmless() {
    let mut core = Core::start(BOOT, at(0), config(), None);
    core.connected(at(0));
    let report = core.poll(at(0)).unwrap();
    for server_time_ms in [i64::MIN, -1, 0, 1, i64::MAX] {
        for boot_id in [vec![], vec![1; 16], vec![0; 17], BOOT.to_vec()] {
            let settings = Settings {
                heartbeat_seconds: u32::MAX,
                idle_seconds: 1,
            };
            let ack = Ack {
                boot_id,
                sequences: vec![0, report.sequence, u64::MAX],
                server_time_ms,
                settings: Some(settings),
                renew_key: false,
            };
            core.acknowledged(at(1), &ack);
        }
    }
    assert_eq!(core.settings(), (60, 300));
    let end = Now {
        mono_ms: u64::MAX,
        awake_ms: 0,
        wall_ms: i64::MIN,
        wall_synced: false,
    };
    core.observe(end, input(10));
    core.shutdown(end);
    assert_eq!(seen(&core)[0].1, 0, "no time was taken from it");
}

#[test]
fn an_order_of_the_service_outlives_a_restart_and_a_configuration_without_one_does_not() {
    let mut core = Core::start(BOOT, at(0), config(), None);
    let journal = core.flush(at(0));
    let mut changed = config();
    changed.heartbeat_seconds = 30;
    let mut core = Core::start(BOOT, at(1), changed.clone(), Some(journal));
    assert_eq!(core.settings(), (30, 300));
    core.connected(at(1));
    let report = core.poll(at(1)).unwrap();
    let settings = Settings {
        heartbeat_seconds: 0,
        idle_seconds: 120,
    };
    let order = Ack {
        settings: Some(settings),
        ..ack(&report)
    };
    core.acknowledged(at(1), &order);
    let journal = core.flush(at(2));
    assert_eq!(
        Core::start([8; 16], at(3), changed, Some(journal)).settings(),
        (30, 120)
    );
}

#[test]
fn reports_that_only_let_sessions_grow_are_quiet_but_not_for_longer_than_five_minutes() {
    let mut core = Core::start(BOOT, at(0), config(), None);
    core.connected(at(0));
    core.observe(at(10), input(10));
    let first = core.poll(at(10)).unwrap();
    assert!(!first.quiet, "nothing was answered yet");
    core.acknowledged(at(11), &ack(&first));
    let mut quiet = Vec::new();
    for minute in 1..=6 {
        let now = 10 + 60 * minute;
        core.observe(at(now), input(now));
        let report = core.poll(at(now)).unwrap();
        assert_eq!(core.in_flight(at(now)), usize::from(!report.quiet));
        quiet.push(report.quiet);
        if !report.quiet {
            core.acknowledged(at(now), &ack(&report));
        }
    }
    // At 250 s the next report would come only after five minutes without an answer.
    assert_eq!(quiet, [true, true, true, true, false, true]);
    // Use has ended: that end must be acknowledged before it is forgotten.
    core.observe(at(1_000), NOTHING);
    let report = core.poll(at(1_000)).unwrap();
    assert!(report.sessions.iter().any(|session| !session.open));
    assert!(!report.quiet);
    core.acknowledged(at(1_000), &ack(&report));
    core.disconnected(at(1_010));
    core.connected(at(1_020));
    assert!(
        !core.poll(at(1_020)).unwrap().quiet,
        "a new connection is tried out"
    );
}

#[test]
fn the_regular_question_needs_no_receipt_unless_it_stays_without_an_answer() {
    let mut core = Core::start(BOOT, at(0), config(), None);
    core.connected(at(0));
    core.observe(at(10), input(10));
    let first = core.poll(at(10)).unwrap();
    assert!(core.wants_receipt(&first), "a new connection is tried out");
    core.acknowledged(at(11), &ack(&first));
    let mut asked = Vec::new();
    for minute in 1..=7 {
        let now = 10 + 60 * minute;
        core.observe(at(now), input(now));
        let report = core.poll(at(now)).unwrap();
        asked.push((!report.quiet, core.wants_receipt(&report)));
        if asked.len() == 6 {
            core.acknowledged(at(now), &ack(&report));
        }
    }
    let (quiet, question, insists) = ((false, false), (true, false), (true, true));
    assert_eq!(
        asked,
        [quiet, quiet, quiet, quiet, question, insists, quiet]
    );
    // An end is forgotten only when it has arrived.
    core.observe(at(1_000), NOTHING);
    let report = core.poll(at(1_000)).unwrap();
    assert!(core.wants_receipt(&report));
}

#[test]
fn what_was_acknowledged_today_is_still_told_after_the_agent_or_the_machine_starts_again() {
    let minutes = |core: &Core, second: u64| {
        let now = at(second).wall_ms / 1_000;
        let today = core.today(now);
        (today.powered / 60, today.used / 60)
    };
    let mut core = Core::start(BOOT, at(0), config(), None);
    core.connected(at(0));
    for second in (0..=1_200).step_by(10) {
        core.observe(at(second), input(second.min(600)));
    }
    assert_eq!(minutes(&core, 1_200), (20, 10));
    let report = core.poll(at(1_200)).unwrap();
    core.acknowledged(at(1_200), &ack(&report));
    assert_eq!(core.waiting(), 1, "use has ended, and is forgotten");
    assert_eq!(minutes(&core, 1_200), (20, 10));
    let journal = core.flush(at(1_200));

    // The agent starts again.
    let mut again = Core::start(BOOT, at(1_210), config(), Some(journal));
    again.observe(at(1_800), NOTHING);
    assert_eq!(minutes(&again, 1_800), (30, 10));
    let journal = again.flush(at(1_800));
    // The machine starts again, ten minutes later by the clock, and reports what was left.
    let later = |second: u64| Now {
        wall_ms: at(second).wall_ms + 2_400_000,
        ..at(second)
    };
    let mut next = Core::start([9; 16], later(0), config(), Some(journal));
    next.connected(later(0));
    next.observe(later(300), NOTHING);
    for _ in 0..3 {
        while let Some(report) = next.poll(later(300)) {
            next.acknowledged(later(300), &ack(&report));
        }
    }
    assert_eq!((next.older_boots(), next.waiting()), (0, 1));
    assert_eq!(minutes(&next, 2_700), (35, 10));
    let tomorrow = next.today(later(86_400).wall_ms / 1_000);
    assert_eq!(tomorrow, crate::core::Lengths::default());
}
