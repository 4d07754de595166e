//! How the agent is, for people and for programs: what a running agent says of itself, and what its files say without it.
//!
//! Never the key, never the code. Not responsible for asking the running agent (`local`).
//!
//! # Layout
//! - [`Bulletin`]: what the running agent says, made only when somebody asks.
//! - `ask`: the command's side: the agent's word over its files. `words`: the same for people. `time`: moments as texts.

mod ask;
mod bulletin;
mod time;
mod words;

pub use ask::ask;
pub use bulletin::{Bulletin, Connection};
pub use words::words;

use crate::core::{Kind, Seen};

/// In JSON: Unix seconds as numbers, and beside them the same moments in RFC 3339, UTC.
fn session(seen: &Seen) -> serde_json::Value {
    serde_json::json!({
        "kind": match seen.kind {
            Kind::Powered => "powered",
            Kind::Used => "used",
        },
        "number": seen.number, "open": seen.open,
        "start": seen.start, "end": seen.end,
        "start_utc": time::utc(seen.start), "end_utc": time::utc(seen.end),
    })
}
