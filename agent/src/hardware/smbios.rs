//! The firmware's table of the machine (SMBIOS), where a system hands it out raw. Pure: bytes in, texts out.
//!
//! Only what tells machines apart is read. Not responsible for getting the table.

use super::Said;

/// Windows puts so many bytes before the table; the last four of them are its length.
const WINDOWS_HEAD: usize = 8;
/// A structure's own head: type, length, handle.
const HEAD: usize = 4;
const SYSTEM: u8 = 1;
const BOARD: u8 = 2;
const END: u8 = 127;

/// What `GetSystemFirmwareTable('RSMB')` answers.
#[must_use]
pub fn from_windows(answer: &[u8]) -> Said {
    let Some((head, table)) = answer.split_at_checked(WINDOWS_HEAD) else {
        return Said::default();
    };
    let length = head[4..]
        .iter()
        .rev()
        .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    from_table(table.get(..length).unwrap_or(table))
}

/// What a table says; a torn one as far as it goes.
#[must_use]
pub fn from_table(mut table: &[u8]) -> Said {
    let mut said = Said::default();
    while let Some((formatted, texts, rest)) = structure(table) {
        match formatted[0] {
            END => break,
            SYSTEM => {
                said.product_serial = text(formatted, texts, 7);
                said.uuid = formatted.get(8..24).map(uuid).unwrap_or_default();
            }
            // Boards of several parts say more than one; the first is the main one.
            BOARD if said.board_serial.is_empty() => said.board_serial = text(formatted, texts, 7),
            _ => {}
        }
        table = rest;
    }
    said
}

/// The first structure's fixed part, its texts, and what comes after it.
fn structure(table: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let length = usize::from(*table.get(1)?);
    if length < HEAD {
        return None;
    }
    let (formatted, after) = table.split_at_checked(length)?;
    let end = after.windows(2).position(|two| two == [0, 0])?;
    Some((formatted, &after[..end], &after[end + 2..]))
}

/// The text whose number stands at a place; empty where there is none.
fn text(formatted: &[u8], texts: &[u8], at: usize) -> String {
    let number = formatted.get(at).copied().map_or(0, usize::from);
    let found = number
        .checked_sub(1)
        .and_then(|index| texts.split(|byte| *byte == 0).nth(index));
    String::from_utf8_lossy(found.unwrap_or_default())
        .trim()
        .to_owned()
}

/// As Linux and Windows write it: the first three parts are stored with their lowest byte first.
fn uuid(bytes: &[u8]) -> String {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    super::hex(order.iter().map(|at| &bytes[*at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(kind: u8, formatted: &[u8], texts: &[&str]) -> Vec<u8> {
        let length = u8::try_from(HEAD + formatted.len()).unwrap();
        let mut bytes = vec![kind, length, 0, 0];
        bytes.extend_from_slice(formatted);
        for text in texts {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
        bytes.extend_from_slice(if texts.is_empty() { &[0, 0] } else { &[0] });
        bytes
    }

    fn table() -> Vec<u8> {
        let mut system = vec![1, 2, 0, 3];
        system.extend(0x10..0x20_u8);
        [
            structure(0, &[1, 2], &["BIOS", "1.0"]),
            structure(3, &[], &[]),
            structure(SYSTEM, &system, &["Maker", "OPS-7", " PROD-1 "]),
            structure(BOARD, &[1, 0, 0, 2], &["Maker", "BRD-1"]),
            structure(BOARD, &[0, 0, 0, 1], &["BRD-2"]),
            structure(END, &[], &[]),
            structure(SYSTEM, &[0, 0, 0, 1], &["AFTER THE END"]),
        ]
        .concat()
    }

    #[test]
    fn serial_numbers_and_uuid_are_read() {
        let said = from_table(&table());
        assert_eq!(said.product_serial, "PROD-1");
        assert_eq!(said.board_serial, "BRD-1");
        assert_eq!(
            said.uuid,
            "13121110151417161819".to_owned() + "1a1b1c1d1e1f"
        );
        let mut answer = vec![0, 3, 2, 0];
        answer.extend_from_slice(&u32::try_from(table().len()).unwrap().to_le_bytes());
        answer.extend_from_slice(&table());
        answer.extend_from_slice(b"rubbish after the table");
        assert!(from_windows(&answer) == said);
    }

    #[test]
    fn a_torn_table_says_what_it_can_and_nothing_else() {
        let whole = from_table(&table());
        for length in 0..table().len() {
            let said = from_table(&table()[..length]);
            assert!(said.board_serial.is_empty() || said.board_serial == whole.board_serial);
            assert!(said.uuid.is_empty() || said.uuid == whole.uuid);
        }
        assert!(from_windows(&[1, 2, 3]) == Said::default());
        // A length that would never go on.
        assert!(from_table(&[1, 0, 0, 0, 0, 0]) == Said::default());
    }
}
