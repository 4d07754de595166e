//! The parser of Windows's event log, on XML written here.

use proptest::prelude::*;

use super::*;
use crate::history::{History, PoweredSpan};

/// 2026-09-01 00:00 UTC.
const DAY: i64 = 1_788_220_800;
const HOUR: i64 = 3_600;
const KERNEL: &str = "Microsoft-Windows-Kernel-General";
const POWER: &str = "Microsoft-Windows-Kernel-Power";

/// Seconds of 2026-09-01 as the log writes them.
fn stamp(at: i64) -> String {
    let (day, at) = ((at - DAY).div_euclid(86_400), (at - DAY).rem_euclid(86_400));
    let (hour, minute, second) = (at / HOUR, at % HOUR / 60, at % 60);
    format!(
        "2026-09-{:02}T{hour:02}:{minute:02}:{second:02}.1234567Z",
        day + 1
    )
}

fn written(provider: &str, id: u32, at: i64, data: &str) -> String {
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='{provider}' \
         Guid='{{a68ca8b7-004f-d7b6-a698-07e2de0f1f5d}}'/><EventID Qualifiers='32768'>{id}</EventID><Version>0</Version>\
         <TimeCreated SystemTime='{}'/><EventRecordID>1</EventRecordID><Computer>TEACHER-PC</Computer>\
         <Security UserID='S-1-5-21-1004'/></System><EventData>{data}</EventData></Event>\r\n",
        stamp(at)
    )
}

/// What `wevtutil` writes: the latest first.
fn log(events: &[(&str, u32, i64)]) -> String {
    let lines = events.iter().rev();
    lines
        .map(|(provider, id, at)| written(provider, *id, *at, ""))
        .collect()
}

fn spans(xml: &str) -> Vec<(i64, i64)> {
    let history = History::from_records(&records(&parse(xml)), 0, DAY + 20 * 86_400);
    let span = |span: &PoweredSpan| (span.start - DAY, span.end - DAY);
    history.spans.iter().map(span).collect()
}

/// The structure of event 6008: hours of 2026-09-01.
fn unclean(local_hour: u8, utc_hour: u8) -> String {
    // Year 2026, month 9, day of the week 2, day 1, the hour, minute 30, second and ms 0.
    let time = |hour: u8| format!("EA07090002000100{hour:02X}001E0000000000");
    format!(
        "<Data>x</Data><Binary>{}{}60090000</Binary>",
        time(local_hour),
        time(utc_hour)
    )
}

#[test]
fn only_provider_id_and_times_are_taken() {
    let event = written("EventLog", 6005, DAY + 65, "");
    let seen = Seen {
        at: DAY + 65,
        says: Says::Log,
    };
    assert_eq!(parse(&event), [seen]);
    // The other quotes, as later versions write them, and blanks.
    let quotes = event.replace('\'', "\"").replace("><", ">\n  <");
    assert_eq!(parse(&quotes), [seen]);
    for other in [
        written("Service Control Manager", 6005, DAY, ""),
        written(POWER, 12, DAY, ""),
        written("EventLog", 6009, DAY, ""),
        event.replace("6005", "six"),
        event.replace("2026-09", "2026-19"),
        event.replace("TimeCreated", "TimeCreate"),
        event.replace("</Event>", ""),
        "<Event ".to_owned(),
        String::new(),
    ] {
        assert_eq!(parse(&other), [], "{other}");
    }
}

#[test]
fn every_event_that_is_meant_is_asked_for() {
    let query = query();
    for (provider, ids) in MEANT {
        assert!(query.contains(&format!("@Name='{provider}'")));
        for id in ids {
            assert!(query.contains(&format!("EventID={id}")));
        }
    }
    assert_eq!(query.matches('(').count(), query.matches(')').count());
}

#[test]
fn a_day_in_order_is_on_from_the_start_to_the_shutdown() {
    let day = [
        (KERNEL, 12, DAY),
        ("EventLog", 6005, DAY + 15),
        ("EventLog", 6006, DAY + 9 * HOUR),
        (KERNEL, 13, DAY + 9 * HOUR + 3),
        (KERNEL, 12, DAY + 24 * HOUR),
        ("EventLog", 6005, DAY + 24 * HOUR + 15),
        ("EventLog", 6006, DAY + 25 * HOUR),
    ];
    let truth = [(0, 9 * HOUR), (24 * HOUR, 25 * HOUR)];
    assert_eq!(spans(&log(&day)), truth);
    // The two services may write in another order at the start, and the end may be written by the next boot.
    let mut turned = day;
    turned.swap(0, 1);
    turned.swap(4, 5);
    assert_eq!(spans(&log(&turned)), truth);
    let late = [day[0], day[1], day[2], day[4], day[5], day[3], day[6]];
    assert_eq!(spans(&log(&late)), truth);
    // The kernel's own events may be lost or not there.
    let without: Vec<_> = day.into_iter().filter(|event| event.0 != KERNEL).collect();
    let truth = [(15, 9 * HOUR), (24 * HOUR + 15, 25 * HOUR)];
    assert_eq!(spans(&log(&without)), truth);
}

#[test]
fn a_boot_that_was_cut_ends_at_its_last_noted_sign_of_life() {
    let boot = |at| log(&[(KERNEL, 12, at), ("EventLog", 6005, at + 15)]);
    let noted = |data: &str| {
        let second = [
            log(&[("EventLog", 6013, DAY + 25 * HOUR)]),
            written("EventLog", 6008, DAY + 24 * HOUR + 16, data),
            log(&[(POWER, 41, DAY + 24 * HOUR + 2)]),
            boot(DAY + 24 * HOUR),
            boot(DAY),
        ];
        spans(&second.concat())
    };
    let second = (24 * HOUR, 25 * HOUR);
    // 16:30 in China is 08:30 UTC.
    let cut = [(0, 8 * HOUR + 1_800), second];
    assert_eq!(noted(&unclean(16, 8)), cut);
    assert_eq!(noted(&unclean(8, 16)), cut, "the earlier one is taken");
    // Without a note, or with one that can't be told, only the two moments of the start are known.
    let unknown = [(0, 0), second];
    for data in [
        unclean(16, 16),
        unclean(99, 98),
        "<Binary>EA07</Binary>".to_owned(),
        "<Binary>\u{8bfe}\u{8109}EA0709</Binary>".to_owned(),
        String::new(),
    ] {
        let found = noted(&data);
        assert_eq!(found.last(), unknown.last(), "{data}");
        assert!(found.len() == 1 || found[0].1 <= 15, "{data}: {found:?}");
    }
}

#[test]
fn sleep_and_a_start_from_the_kept_kernel_are_not_power() {
    let day = [
        (KERNEL, 12, DAY),
        ("EventLog", 6005, DAY + 15),
        (POWER, 42, DAY + HOUR),
        (POWER, 107, DAY + 2 * HOUR),
        (
            "Microsoft-Windows-Power-Troubleshooter",
            1,
            DAY + 2 * HOUR + 2,
        ),
        (POWER, 506, DAY + 3 * HOUR),
        (POWER, 507, DAY + 4 * HOUR),
        ("EventLog", 6013, DAY + 5 * HOUR),
        (POWER, 42, DAY + 6 * HOUR),
        (POWER, 107, DAY + 30 * HOUR),
        ("EventLog", 6006, DAY + 31 * HOUR),
    ];
    let found = spans(&log(&day));
    let seconds: i64 = found.iter().map(|(start, end)| end - start).sum();
    assert_eq!(seconds, 5 * HOUR, "{found:?}");
}

#[test]
fn a_clock_that_was_set_during_the_start_moves_the_start() {
    for (system, log_start) in [(DAY + HOUR, DAY + 9 * HOUR), (DAY + 9 * HOUR, DAY + HOUR)] {
        let day = [
            (KERNEL, 12, system),
            ("EventLog", 6005, log_start),
            ("EventLog", 6006, DAY + 10 * HOUR),
        ];
        assert_eq!(
            spans(&log(&day)),
            [(log_start - DAY, 10 * HOUR)],
            "{system} {log_start}"
        );
    }
}

proptest! {
    /// No more is found than there was, whatever of the log is lost.
    #[test]
    fn what_is_lost_adds_nothing(
        lengths in prop::collection::vec((60_i64..20 * HOUR, 60_i64..20 * HOUR, any::<bool>()), 1..8),
        lost in prop::collection::vec(any::<bool>(), 64),
    ) {
        let (mut at, mut truth, mut xml) = (DAY, 0, Vec::new());
        for (on, off, clean) in lengths {
            xml.push((KERNEL, 12, at));
            xml.push(("EventLog", 6005, at + 15));
            if clean {
                xml.push(("EventLog", 6006, at + on - 3));
                xml.push((KERNEL, 13, at + on));
            }
            truth += on;
            at += on + off;
        }
        let found: i64 = spans(&log(&xml)).iter().map(|(start, end)| end - start).sum();
        prop_assert!(found <= truth);
        // A lost start would join two boots: starts are kept, any other may go.
        let kept: Vec<_> = xml
            .into_iter()
            .zip(lost.iter().cycle())
            .filter(|(event, lost)| event.1 == 12 || !**lost)
            .map(|(event, _)| event)
            .collect();
        let found: i64 = spans(&log(&kept)).iter().map(|(start, end)| end - start).sum();
        prop_assert!(found <= truth);
    }

    #[test]
    fn no_text_stops_the_parser(text in ".{0,200}", at in 0_usize..400) {
        let event = written("EventLog", 6008, DAY, &unclean(16, 8));
        let cut = event.char_indices().map(|(place, _)| place).nth(at).unwrap_or(event.len());
        let torn = format!("{}{text}{}", &event[..cut], &event[cut..]);
        drop(records(&parse(&torn)));
        drop(parse(&text));
    }
}
