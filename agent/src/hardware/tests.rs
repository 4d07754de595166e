//! Marks of machines, and which two are one machine.

use super::*;

fn machine(board: &str, disk: &str, macs: &[u8]) -> Hardware {
    marks(&Said {
        board_serial: board.to_owned(),
        disk: disk.to_owned(),
        macs: macs
            .iter()
            .map(|last| [0x00, 0x1A, 0x2B, 0x3C, 0x4D, *last])
            .collect(),
        ..Said::default()
    })
}

#[test]
fn one_machine_is_told_from_another() {
    use Likeness::{Other, Same, Unknown};
    let mine = machine("BRD-1234", "DISK-5678", &[1, 2]);
    for (what, other, likeness) in [
        ("itself", machine("BRD-1234", "DISK-5678", &[1, 2]), Same),
        (
            "its image on another",
            machine("BRD-9999", "DISK-9999", &[9]),
            Other,
        ),
        (
            "a new disk",
            machine("BRD-1234", "DISK-0001", &[1, 2]),
            Same,
        ),
        (
            "a new board",
            machine("BRD-9999", "DISK-5678", &[1, 2]),
            Same,
        ),
        (
            "an adapter more",
            machine("BRD-1234", "DISK-5678", &[1, 2, 7]),
            Same,
        ),
        (
            "other adapters",
            machine("BRD-1234", "DISK-5678", &[7]),
            Same,
        ),
        (
            "its disk in another",
            machine("BRD-9999", "DISK-5678", &[9]),
            Other,
        ),
        (
            "its board alone in common",
            machine("BRD-1234", "DISK-9999", &[9]),
            Other,
        ),
        ("no disk told", machine("BRD-1234", "", &[1]), Same),
        (
            "no disk told, another board",
            machine("BRD-9999", "", &[1]),
            Other,
        ),
        ("the disk alone told", machine("", "DISK-5678", &[]), Same),
        (
            "another disk alone told",
            machine("", "DISK-9999", &[]),
            Other,
        ),
        ("nothing told", machine("", "", &[]), Unknown),
    ] {
        assert_eq!(super::likeness(&mine, &other), likeness, "{what}");
        assert_eq!(
            super::likeness(&other, &mine),
            likeness,
            "{what}, turned round"
        );
    }
    let (board, disk) = (machine("BRD-1234", "", &[]), machine("", "DISK-5678", &[]));
    assert_eq!(super::likeness(&board, &disk), Unknown);
}

#[test]
fn what_all_of_a_make_say_is_nothing() {
    for filler in [
        "",
        " ",
        "To be filled by O.E.M.",
        "To Be Filled By O.E.M.",
        "Default string",
        "default string\n",
        "None",
        "N/A",
        "0123456789",
        "123456789",
        "00000000-0000-0000-0000-000000000000",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "03000200-0400-0500-0006-000700080009",
        "System Serial Number",
        "Not Specified",
        "........",
        "xxxxxxxx",
        "A1",
    ] {
        assert_eq!(meant(filler), None, "{filler:?}");
    }
    assert_eq!(meant(" pf-2Ab9 \n").as_deref(), Some("PF2AB9"));
    let nothing = machine("Default string", "00000000", &[0]);
    assert!(nothing.board.is_empty() && nothing.disk.is_empty());
}

#[test]
fn marks_are_short_hashes_in_one_order() {
    let mine = machine("BRD-1234", "DISK-5678", &[3, 1, 2, 3]);
    let all = [&mine.board, &mine.disk].into_iter().chain(&mine.macs);
    assert!(all.clone().all(|mark| mark.len() == MARK));
    assert_eq!(all.collect::<BTreeSet<_>>().len(), 5);
    assert!(mine.macs.is_sorted() && mine.macs.len() == 3);
    assert_eq!(mine, machine("brd 1234", "DISK5678\n", &[2, 3, 1]));
    // The contract with every later version and with the service: the same machine stays the same.
    let known = hex(&mark("board", "BRD1234"));
    assert_eq!(known, "b87127d73a44d882a9558cbd7f2ecf45");
    let many: Vec<u8> = (1..=20).collect();
    assert_eq!(machine("", "", &many).macs.len(), MOST_MACS);
    // The serial number of the whole machine speaks where the board does not.
    let product = |serial: &str| {
        marks(&Said {
            board_serial: "Default string".to_owned(),
            product_serial: serial.to_owned(),
            ..Said::default()
        })
    };
    assert_ne!(product("SN-0001").board, product("SN-0002").board);
    assert_eq!(product("SN-0001").board.len(), MARK);
}

#[test]
fn made_up_addresses_are_no_marks() {
    for (mac, good) in [
        ([0x00, 0x1A, 0x2B, 0x3C, 0x4D, 0x5E], true),
        ([0x02, 0x1A, 0x2B, 0x3C, 0x4D, 0x5E], false),
        ([0x01, 0x1A, 0x2B, 0x3C, 0x4D, 0x5E], false),
        ([0x00; 6], false),
        ([0xFF; 6], false),
    ] {
        assert_eq!(burnt_in(mac), good, "{mac:02x?}");
    }
}
