//! The names of a made-up county, its schools and their terminals.

use classpulse::domain::ids::{CountyCode, SchoolCode, TerminalId};

/// The county.
pub(crate) fn county() -> CountyCode {
    "231123".parse().expect("a code")
}

/// A school, by its number.
pub(crate) fn school(index: u32) -> SchoolCode {
    format!("{}", 2_123_000_000_u32 + index)
        .parse()
        .expect("a code")
}

/// A terminal of a school, by their numbers.
pub(crate) fn terminal(school: u32, index: u32) -> TerminalId {
    format!("s{school:04}-{index:03}").parse().expect("an id")
}
