//! What a log of boots proves: by example, and laws over random logs.

use proptest::prelude::*;

use super::*;

/// 2026-09-01 00:00 UTC.
const EPOCH: i64 = 1_788_220_800;
const HOUR: i64 = 3_600;
const NOW: i64 = EPOCH + 100 * DAY;

use Event::{Alive, Asleep, Awake, Boot, Down};

fn records(hours: &[(i64, Event)]) -> Vec<Record> {
    let record = |(hour, event): &(i64, Event)| Record {
        at: EPOCH + hour * HOUR,
        event: *event,
    };
    hours.iter().map(record).collect()
}

/// Spans in hours, and how many records were left out.
fn found(hours: &[(i64, Event)]) -> (Vec<(i64, i64)>, usize) {
    let history = History::from_records(&records(hours), 0, NOW);
    let hours = |span: &PoweredSpan| ((span.start - EPOCH) / HOUR, (span.end - EPOCH) / HOUR);
    (
        history.spans.iter().map(hours).collect(),
        history.records_left_out,
    )
}

#[test]
fn each_way_in_which_a_boot_ends() {
    type Row = (&'static str, &'static [(i64, Event)], &'static [(i64, i64)]);
    let rows: &[Row] = &[
        ("in order", &[(8, Boot), (17, Down)], &[(8, 17)]),
        (
            "at the wall switch: the last sign of life counts",
            &[(8, Boot), (11, Alive), (32, Boot), (41, Down)],
            &[(8, 11), (32, 41)],
        ),
        (
            "at the wall switch, nothing ever seen",
            &[(8, Boot), (32, Boot), (41, Down)],
            &[(32, 41)],
        ),
        (
            "its end was noted at the next boot",
            &[(8, Boot), (16, Alive), (32, Boot)],
            &[(8, 16)],
        ),
        (
            "in sleep, and nothing proves the hours between",
            &[
                (8, Boot),
                (10, Asleep),
                (12, Alive),
                (14, Awake),
                (15, Down),
            ],
            &[(8, 10), (14, 15)],
        ),
        (
            "what is written on the way to sleep, and dated when it wakes, fills no sleep",
            &[
                (8, Boot),
                (10, Asleep),
                (11, Alive),
                (15, Alive),
                (16, Awake),
                (17, Down),
            ],
            &[(8, 10), (16, 17)],
        ),
        (
            "asleep for good",
            &[(8, Boot), (10, Asleep), (12, Down), (32, Boot), (33, Down)],
            &[(8, 10), (32, 33)],
        ),
        (
            "woken without having been seen to fall asleep",
            &[(8, Boot), (9, Alive), (14, Awake), (15, Down)],
            &[(8, 9), (14, 15)],
        ),
        (
            "more than a day without a sign",
            &[(8, Boot), (20, Alive), (45, Alive), (47, Down)],
            &[(8, 20), (45, 47)],
        ),
        (
            "on for days, and seen each day: pieces of a day",
            &[(0, Boot), (20, Alive), (40, Alive), (50, Down)],
            &[(0, 24), (24, 48), (48, 50)],
        ),
        (
            "a boot that was never written",
            &[(8, Boot), (17, Down), (32, Alive), (33, Alive)],
            &[(8, 17), (32, 33)],
        ),
        ("still on", &[(8, Boot), (9, Alive)], &[(8, 9)]),
    ];
    for (what, hours, expected) in rows {
        assert_eq!(found(hours), (expected.to_vec(), 0), "{what}");
    }
}

#[test]
fn a_dead_clock_is_left_out_and_joins_nothing() {
    let dead = (EARLIEST - EPOCH) / HOUR - 10;
    // 2018, then network time: the boot is a boundary whatever its time says.
    assert_eq!(
        found(&[(8, Boot), (9, Alive), (dead, Boot), (12, Alive), (13, Down)]),
        (vec![(8, 9), (12, 13)], 1)
    );
    // A whole boot in the future, and one that lies years back although it came later.
    assert_eq!(
        found(&[
            (8, Boot),
            (9, Down),
            (9_000, Boot),
            (9_001, Down),
            (12, Boot),
            (13, Down)
        ]),
        (vec![(8, 9), (12, 13)], 2)
    );
    assert_eq!(
        found(&[
            (2_000, Boot),
            (2_001, Down),
            (-200, Boot),
            (-199, Alive),
            (-198, Down)
        ])
        .1,
        2,
        "the more that agree are believed"
    );
    // A dead clock at the end leaves what came before.
    assert_eq!(
        found(&[(8, Boot), (9, Alive), (dead, Down), (10, Alive)]),
        (vec![(8, 9)], 1)
    );
}

#[test]
fn it_looks_back_so_far_and_no_further() {
    let day = |back: i64| NOW - back * DAY;
    let boots: Vec<Record> = [500, 401, 400, 3, 1]
        .into_iter()
        .flat_map(|back| {
            [(day(back) - HOUR, Boot), (day(back) + HOUR, Down)]
                .map(|(at, event)| Record { at, event })
        })
        .collect();
    let starts = |since| -> Vec<i64> {
        let history = History::from_records(&boots, since, NOW);
        assert_eq!(history.records_left_out, 0, "too old is not wrong");
        history.spans.iter().map(|span| span.start).collect()
    };
    assert_eq!(
        starts(0),
        [day(400), day(3) - HOUR, day(1) - HOUR],
        "a span is cut where the time begins"
    );
    assert_eq!(starts(day(2)), [day(1) - HOUR]);
}

#[test]
fn of_too_many_the_latest_are_taken() {
    let many = MOST_SPANS + 7;
    let boots: Vec<Record> = (0..i64::try_from(many).unwrap())
        .flat_map(|n| [(n * 100, Boot), (n * 100 + 50, Down)])
        .map(|(at, event)| Record {
            at: EPOCH + at,
            event,
        })
        .collect();
    let history = History::from_records(&boots, 0, NOW);
    assert_eq!(
        (history.spans.len(), history.spans_left_out),
        (MOST_SPANS, 7)
    );
    assert_eq!(history.spans[0].start, EPOCH + 700);
    assert_eq!(history.seconds(), 50 * i64::try_from(MOST_SPANS).unwrap());
}

/// One boot as it truly was: off before it, then awake and asleep by turns, seconds.
#[derive(Debug, Clone)]
struct Truth {
    off: i64,
    awake: Vec<i64>,
    asleep: i64,
    orderly: bool,
    /// Its clock says 2015 from switching on to switching off.
    dead: bool,
    /// A sign of life every so many seconds.
    every: i64,
}

fn truth() -> impl Strategy<Value = Truth> {
    (
        1..100_000_i64,
        proptest::collection::vec(1..90_000_i64, 1..4),
        1..100_000_i64,
        any::<bool>(),
        proptest::bool::weighted(0.2),
        1..50_000_i64,
    )
        .prop_map(|(off, awake, asleep, orderly, dead, every)| Truth {
            off,
            awake,
            asleep,
            orderly,
            dead,
            every,
        })
}

/// What a machine that lived so writes, and when it was truly awake.
fn live(boots: &[Truth]) -> (Vec<Record>, Vec<PoweredSpan>) {
    let (mut at, mut written, mut awake) = (EPOCH, Vec::new(), Vec::new());
    for boot in boots {
        at += boot.off;
        let shown = if boot.dead {
            EARLIEST - 200_000_000 - at
        } else {
            0
        };
        let mut write = |at: i64, event| {
            written.push(Record {
                at: at + shown,
                event,
            });
        };
        write(at, Boot);
        for (turn, length) in boot.awake.iter().enumerate() {
            if turn > 0 {
                write(at, Asleep);
                at += boot.asleep;
                write(at, Awake);
            }
            let end = at + length;
            awake.push(PoweredSpan { start: at, end });
            let mut sign = at + boot.every;
            while sign < end {
                write(sign, Alive);
                sign += boot.every;
            }
            at = end;
        }
        if boot.orderly {
            write(at, Down);
        }
    }
    (written, awake)
}

fn inside(span: PoweredSpan, spans: &[PoweredSpan]) -> bool {
    spans
        .iter()
        .any(|other| other.start <= span.start && span.end <= other.end)
}

proptest! {
    /// Whatever is lost of shutdowns and signs of life, whichever boots had a dead clock: no second is claimed in which
    /// the machine was off or asleep.
    #[test]
    fn nothing_is_claimed_that_was_not(
        boots in proptest::collection::vec(truth(), 1..12),
        lost in proptest::collection::vec(any::<bool>(), 64),
    ) {
        let (written, awake) = live(&boots);
        let mut lost = lost.into_iter().cycle();
        let kept: Vec<Record> = written
            .into_iter()
            .filter(|record| !matches!(record.event, Alive | Down) || !lost.next().unwrap_or(false))
            .collect();
        for span in History::from_records(&kept, 0, NOW).spans {
            prop_assert!(inside(span, &awake), "{span:?} of {awake:?}");
        }
    }

    /// Where nothing is lost and every boot ended in order, nothing is missing.
    #[test]
    fn what_was_written_is_found(boots in proptest::collection::vec(truth(), 1..12)) {
        let boots: Vec<Truth> = boots
            .into_iter()
            .map(|boot| Truth { orderly: true, dead: false, ..boot })
            .collect();
        let (written, awake) = live(&boots);
        let history = History::from_records(&written, 0, NOW);
        prop_assert_eq!(history.records_left_out, 0);
        prop_assert_eq!(history.seconds(), awake.iter().map(|span| span.end - span.start).sum::<i64>());
    }

    /// Any records at all: spans lie in order and apart, inside what was asked for and what was written, none longer
    /// than a day, and none holds a day without a record.
    #[test]
    fn spans_are_well_formed(
        seeds in proptest::collection::vec((-3_000_i64..3_000, 0..5_u8, 0..40_i64), 0..80),
        since in EPOCH - 50 * DAY..EPOCH + 50 * DAY,
    ) {
        let mut at = EPOCH - 40 * DAY;
        let kinds = [Boot, Alive, Asleep, Awake, Down];
        let records: Vec<Record> = seeds
            .into_iter()
            .map(|(jump, kind, hours)| {
                at += hours * HOUR;
                // One in ten is dated anywhere.
                let stray = if jump % 10 == 0 { jump * HOUR } else { 0 };
                Record { at: at + stray, event: kinds[usize::from(kind)] }
            })
            .collect();
        let history = History::from_records(&records, since, NOW);
        prop_assert!(history.records_left_out <= records.len());
        let mut times: Vec<i64> = records.iter().map(|record| record.at).collect();
        times.sort_unstable();
        let mut before = since;
        for span in history.spans {
            prop_assert!(before <= span.start && span.start < span.end && span.end <= NOW);
            prop_assert!(span.end - span.start <= DAY);
            prop_assert!(times[0] <= span.start && span.end <= times[times.len() - 1]);
            let gap = times.windows(2).any(|pair| {
                pair[1] - pair[0] > DAY && pair[0] < span.end && span.start < pair[1]
            });
            prop_assert!(!gap, "{span:?} of {times:?}");
            before = span.end;
        }
    }
}
