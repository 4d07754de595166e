//! What this machine is, in hashes that outlive its disk image, and whether two such descriptions are of one machine.
//!
//! Nothing can be read back from a hash. Not responsible for what follows from it (`identity`, and the service, which
//! judges by the same rule).
//!
//! # Layout
//! - `linux`, `windows`: what the system says of its hardware. [`smbios`]: the firmware's table, where it is read raw.

#[cfg(target_os = "linux")]
mod linux;
pub mod smbios;
#[cfg(windows)]
mod windows;

use std::{collections::BTreeSet, fmt::Write as _};

use classpulse_proto::v1::Hardware;
use ring::digest;

/// This machine's marks. What it does not tell, or not to this user, is empty. May take some milliseconds.
#[must_use]
pub fn here() -> Hardware {
    marks(&said())
}

#[cfg(target_os = "linux")]
fn said() -> Said {
    linux::said(std::path::Path::new("/"))
}

#[cfg(windows)]
fn said() -> Said {
    windows::said()
}

#[cfg(not(any(target_os = "linux", windows)))]
fn said() -> Said {
    Said::default()
}

/// Most network adapters in a description.
const MOST_MACS: usize = 8;
/// Bytes of a mark.
const MARK: usize = 16;

/// What a machine says of itself. Never leaves it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The board's serial number.
    pub board_serial: String,
    /// The board's UUID, such as "03000200-0400-0500-0006-000700080009".
    pub uuid: String,
    /// The whole machine's serial number, where the board says nothing.
    pub product_serial: String,
    /// The system disk's serial number.
    pub disk: String,
    /// Burnt-in addresses of built-in adapters.
    pub macs: Vec<[u8; 6]>,
}

/// The marks of what a machine says.
#[must_use]
pub fn marks(said: &Said) -> Hardware {
    let board: Vec<String> = [&said.board_serial, &said.uuid]
        .into_iter()
        .filter_map(|text| meant(text))
        .collect();
    let board = if board.is_empty() {
        meant(&said.product_serial)
    } else {
        Some(board.join("\n"))
    };
    let mark = |kind, text: Option<String>| text.map_or_else(Vec::new, |text| mark(kind, &text));
    // Ascending and each once: the same machine always says the same.
    let macs: BTreeSet<Vec<u8>> = said
        .macs
        .iter()
        .filter(|mac| burnt_in(**mac))
        .map(|mac| self::mark("mac", &hex(mac)))
        .collect();
    Hardware {
        board: mark("board", board),
        disk: mark("disk", meant(&said.disk)),
        macs: macs.into_iter().take(MOST_MACS).collect(),
    }
}

fn mark(kind: &str, text: &str) -> Vec<u8> {
    let whole = format!("classpulse hardware 1 {kind}\n{text}");
    let mut hash = digest::digest(&digest::SHA256, whole.as_bytes())
        .as_ref()
        .to_vec();
    hash.truncate(MARK);
    hash
}

/// Bytes as lower-case hexadecimal digits.
fn hex<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> String {
    bytes.into_iter().fold(String::new(), |mut text, byte| {
        // Writing to a string never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A globally unique address of one adapter: not a group's, not made up by software, not empty.
fn burnt_in(mac: [u8; 6]) -> bool {
    mac[0].trailing_zeros() >= 2 && mac[3..] != [0; 3] && mac[3..] != [0xFF; 3]
}

/// What firmware says where its maker filled nothing in; letters and digits only, upper case.
const FILLERS: [&str; 27] = [
    "TOBEFILLEDBYOEM",
    "DEFAULTSTRING",
    "DEFAULT",
    "SYSTEMSERIALNUMBER",
    "SYSTEMMANUFACTURER",
    "BASEBOARDSERIALNUMBER",
    "CHASSISSERIALNUMBER",
    "SERIALNUMBER",
    "SERIAL",
    "NOTSPECIFIED",
    "NOTAPPLICABLE",
    "NOTAVAILABLE",
    "NOTPRESENT",
    "NOTSETTABLE",
    "NOASSETTAG",
    "NONE",
    "NULL",
    "NA",
    "OEM",
    "INVALID",
    "UNKNOWN",
    "EMPTY",
    "FILLBYOEM",
    "MBSERIAL",
    "SERNUM0",
    "XXXX",
    // A reference firmware's UUID that boards of many makers carry.
    "03000200040005000006000700080009",
];
/// Shorter texts tell no machine from another.
const SHORTEST: usize = 4;

/// A text that can tell this machine from others of its make, in one spelling. `None` for what all of a make say.
#[must_use]
pub fn meant(text: &str) -> Option<String> {
    let text: String = text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_uppercase())
        .collect();
    let mut letters: Vec<u8> = text.bytes().collect();
    letters.sort_unstable();
    letters.dedup();
    // All zeros, all F, all X; and a typist's way along the keys.
    let counted = "01234567890123456789".contains(&text) || "12345678901234567890".contains(&text);
    let told = text.len() >= SHORTEST && letters.len() > 1 && !counted;
    (told && !FILLERS.contains(&text.as_str())).then_some(text)
}

/// Whether two descriptions are of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// One machine.
    Same,
    /// Two.
    Other,
    /// They have nothing in common that could tell.
    Unknown,
}

/// One machine has two kinds of marks in common of those that both descriptions have; the one, where there is but one.
/// So a new disk, a new board or another network adapter leave a machine what it was. Adapters are in common where
/// any is.
#[must_use]
pub fn likeness(one: &Hardware, other: &Hardware) -> Likeness {
    let equal = |a: &[u8], b: &[u8]| (!a.is_empty() && !b.is_empty()).then(|| a == b);
    let macs = (!one.macs.is_empty() && !other.macs.is_empty())
        .then(|| one.macs.iter().any(|mac| other.macs.contains(mac)));
    let verdicts: Vec<bool> = [
        equal(&one.board, &other.board),
        equal(&one.disk, &other.disk),
        macs,
    ]
    .into_iter()
    .flatten()
    .collect();
    let needed = verdicts.len().min(2);
    match verdicts.iter().filter(|equal| **equal).count() {
        _ if verdicts.is_empty() => Likeness::Unknown,
        equal if equal >= needed => Likeness::Same,
        _ => Likeness::Other,
    }
}

#[cfg(test)]
mod tests;
