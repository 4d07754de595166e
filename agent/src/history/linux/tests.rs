//! Parsers of wtmp and of the system journal's boots, on records built here and on random bytes.

use proptest::prelude::*;

use super::*;
use crate::history::PoweredSpan;

/// 2026-09-01 00:00 UTC.
const DAY: i64 = 1_788_220_800;
const HOUR: i64 = 3_600;

/// A record as the C library writes it: kind, the place of a process id, the place of a name, time.
fn entry(layout: Layout, kind: u16, level: u8, name: &str, at: i64) -> Vec<u8> {
    let mut bytes = vec![0; layout.record];
    bytes[..2].copy_from_slice(&kind.to_ne_bytes());
    bytes[4] = level;
    bytes[44..44 + name.len()].copy_from_slice(name.as_bytes());
    let time = at.to_ne_bytes();
    bytes[layout.time..layout.time + layout.time_bytes].copy_from_slice(&time[..layout.time_bytes]);
    bytes
}

fn record(at: i64, event: Event) -> Record {
    Record { at, event }
}

#[cfg(target_endian = "little")]
#[test]
fn wtmp_is_read_as_each_machine_lays_it_out() {
    for layout in [Layout::NARROW, Layout::WIDE] {
        let file = [
            entry(layout, 2, 0, "reboot", DAY),
            entry(layout, 1, b'5', "runlevel", DAY + 20),
            entry(layout, 7, 0, "teacher", DAY + HOUR),
            entry(layout, 0, 0, "", DAY + HOUR),
            entry(layout, 9, 0, "", DAY + HOUR),
            entry(layout, 8, 0, "", DAY + 2 * HOUR),
            entry(layout, 1, 0, "shutdown", DAY + 3 * HOUR),
            entry(layout, 2, 0, "reboot", DAY + 4 * HOUR),
            entry(layout, 1, b'6', "runlevel", DAY + 5 * HOUR),
            entry(layout, 2, 0, "torn", DAY)[..layout.record - 1].to_vec(),
        ]
        .concat();
        let records = wtmp(file.as_slice(), layout).unwrap();
        let expected = [
            (0, Event::Boot),
            (20, Event::Alive),
            (HOUR, Event::Alive),
            (2 * HOUR, Event::Alive),
            (3 * HOUR, Event::Down),
            (4 * HOUR, Event::Boot),
            (5 * HOUR, Event::Down),
        ];
        assert_eq!(records, expected.map(|(at, event)| record(DAY + at, event)));
    }
}

#[test]
fn the_month_before_is_read_first_and_no_wtmp_is_said() {
    let folder = tempfile::tempdir().unwrap();
    assert!(read_wtmp(folder.path()).is_err());
    let write = |name: &str, at| {
        std::fs::write(folder.path().join(name), entry(Layout::HERE, 2, 0, "", at)).unwrap();
    };
    write("wtmp.1", DAY);
    let boot = |at| record(at, Event::Boot);
    assert_eq!(read_wtmp(folder.path()).unwrap(), [boot(DAY)]);
    write("wtmp", DAY + 5);
    assert_eq!(
        read_wtmp(folder.path()).unwrap(),
        [boot(DAY), boot(DAY + 5)]
    );
}

#[test]
fn a_list_of_boots_is_read_in_json_and_in_words() {
    let id = "0cdad68d72da4cfdae075398c03c5d1e";
    let boot = Boot {
        id: id.to_owned(),
        first: DAY + 8 * HOUR,
        last: DAY + 17 * HOUR + 61,
        signs: Vec::new(),
    };
    let json = format!(
        r#"[{{"index":-1,"boot_id":"{id}","first_entry":{}000999,"last_entry":{}999999}}]"#,
        boot.first, boot.last
    );
    let old = format!(" -1 {id} Tue 2026-09-01 08:00:00 UTC—Tue 2026-09-01 17:01:01 UTC\n");
    let newer = format!(
        "IDX BOOT ID                          FIRST ENTRY                 LAST ENTRY\n \
         -1 {id} Tue 2026-09-01 08:00:00 UTC Tue 2026-09-01 17:01:01 UTC\n"
    );
    for text in [json, old, newer] {
        assert_eq!(boots(&text), std::slice::from_ref(&boot), "{text}");
    }
    for text in ["", "[]", "[{}]", "No journal files were found.\n"] {
        assert_eq!(boots(text), [], "{text}");
    }
    assert_eq!(moment("Thu 2024-02-29 00:00:00 "), Some(1_709_164_800));
    assert_eq!(moment("Fri 2100-03-01 00:00:00 "), Some(4_107_542_400));
}

fn sign(at: i64, event: Event, awake: i64) -> Sign {
    Sign {
        record: record(at, event),
        awake,
    }
}

#[test]
fn entries_go_to_their_boots() {
    let line = |at: i64, boot: &str, message: &str| {
        format!(
            r#"{{"__CURSOR":"c","__REALTIME_TIMESTAMP":"{at}000000","__MONOTONIC_TIMESTAMP":"7500000","_BOOT_ID":"{boot}","MESSAGE_ID":"{message}"}}"#
        )
    };
    let text = [
        line(DAY, "a", STARTED),
        line(DAY + 1, "b", SESSION),
        line(DAY + 2, "b", ASLEEP),
        line(DAY + 3, "b", AWAKE),
        line(DAY + 4, "c", AWAKE),
        line(DAY + 5, "a", "39f53479d3a045ac8e11786248231fbf"),
        "{".to_owned(),
        String::new(),
    ]
    .join("\n");
    let mut two = ["a", "b"].map(|id| Boot {
        id: id.to_owned(),
        ..Boot::default()
    });
    add_signs(&mut two, &text);
    assert_eq!(two[0].signs, [sign(DAY, Event::Alive, 7)]);
    assert_eq!(
        two[1].signs,
        [
            sign(DAY + 1, Event::Alive, 7),
            sign(DAY + 2, Event::Asleep, 7),
            sign(DAY + 3, Event::Awake, 7)
        ]
    );
}

fn spans_of(logins: &[Record], boots: &[Boot]) -> Vec<(i64, i64)> {
    let history = History::from_records(&joined(logins, boots), 0, DAY + 30 * 24 * HOUR);
    assert_eq!(history.records_left_out, 0, "no record is told twice");
    let pair = |span: &PoweredSpan| (span.start - DAY, span.end - DAY);
    history.spans.iter().map(pair).collect()
}

#[test]
fn a_boot_begins_when_its_awake_time_says_where_the_clock_was_set_meanwhile() {
    // The hardware clock is kept in local time and was read as UTC, or the other way round: 8 hours off.
    for off in [-8 * HOUR, 8 * HOUR] {
        let boot = Boot {
            first: DAY + 8 * HOUR + off,
            last: DAY + 12 * HOUR,
            signs: vec![
                sign(DAY + 8 * HOUR + 30 + off, Event::Alive, 30),
                sign(DAY + 8 * HOUR + 90, Event::Alive, 90),
                sign(DAY + 10 * HOUR, Event::Asleep, 2 * HOUR),
                sign(DAY + 11 * HOUR, Event::Awake, 2 * HOUR),
                sign(DAY + 11 * HOUR + 60, Event::Alive, 2 * HOUR + 60),
            ],
            ..Boot::default()
        };
        let spans = spans_of(&[], &[boot]);
        assert_eq!(spans.last(), Some(&(11 * HOUR, 12 * HOUR)), "{off}");
        assert_eq!(spans[0], (8 * HOUR, 10 * HOUR), "{off}");
        assert_eq!(spans.len(), 2);
    }
}

#[test]
fn wtmp_tells_what_was_before_the_journal_and_bears_out_its_boots() {
    let logins = [
        record(DAY + HOUR, Event::Boot),
        record(DAY + 2 * HOUR, Event::Down),
        // The journal's: the same boot a little later, and a sign of life on each of its three days.
        record(DAY + 30 * HOUR + 5, Event::Boot),
        record(DAY + 50 * HOUR, Event::Alive),
        record(DAY + 70 * HOUR, Event::Alive),
        record(DAY + 90 * HOUR, Event::Alive),
    ];
    let boot = Boot {
        first: DAY + 30 * HOUR,
        last: DAY + 91 * HOUR,
        ..Boot::default()
    };
    let mut boots = vec![boot];
    assert_eq!(
        spans_of(&logins, &boots),
        [
            (HOUR, 2 * HOUR),
            (30 * HOUR, 54 * HOUR),
            (54 * HOUR, 78 * HOUR),
            (78 * HOUR, 91 * HOUR)
        ]
    );
    assert_eq!(
        spans_of(&[], &boots),
        [],
        "61 hours with two entries prove nothing"
    );
    boots.clear();
    assert_eq!(spans_of(&logins[..2], &boots), [(HOUR, 2 * HOUR)]);
}

fn well_formed(records: &[Record], since: i64, now: i64) -> Result<(), TestCaseError> {
    let mut before = since;
    for span in History::from_records(records, since, now).spans {
        prop_assert!(before <= span.start && span.start < span.end && span.end <= now);
        before = span.end;
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_bytes_make_it_fall_over(
        bytes in proptest::collection::vec(any::<u8>(), 0..4_000),
        text in "\\PC{0,200}",
        numbers in proptest::collection::vec(any::<i64>(), 6),
        now in any::<i64>(),
        since in any::<i64>(),
    ) {
        for layout in [Layout::NARROW, Layout::WIDE] {
            // Kinds that are taken, so that the times are looked at.
            let mut bytes = bytes.clone();
            for record in bytes.chunks_mut(layout.record) {
                record[0] = record[0] % 8 + 1;
                if let Some(high) = record.get_mut(1) {
                    *high = 0;
                }
            }
            let records = wtmp(bytes.as_slice(), layout).unwrap();
            prop_assert_eq!(records.len(), bytes.len() / layout.record);
            well_formed(&records, since, now)?;
        }
        boots(&text);
        moment(&text);
        let [a, b, c, d, e, f] = numbers[..] else { unreachable!() };
        let list = format!(
            r#"[{{"boot_id":"a","first_entry":{a},"last_entry":{b}}},{{"boot_id":"b","first_entry":{c},"last_entry":{d}}}]"#
        );
        let mut two = boots(&list);
        prop_assert_eq!(two.len(), 2);
        let line = format!(
            r#"{{"__REALTIME_TIMESTAMP":"{e}","__MONOTONIC_TIMESTAMP":"{f}","_BOOT_ID":"b","MESSAGE_ID":"{SESSION}"}}"#
        );
        add_signs(&mut two, &line);
        prop_assert_eq!(two[1].signs.len(), 1);
        well_formed(&joined(&[], &two), since, now)?;
        moment(&format!("x {a}-{b}-{c} {d}:{e}:{f}"));
        moment(&format!("x 2026-09-01 {d}:{e}:{f}"));
    }
}
