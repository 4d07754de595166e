//! Journals as a disk gives them back: torn, flipped, of another program, or well sealed and full of nonsense.

use classpulse_agent::{
    core::{Core, CoreConfig, JournalState, Now, Observation},
    journal,
};
use classpulse_proto::v1::AgentFacts;
use prost::Message as _;

use crate::target;

/// 2026-09-01T08:00:00+08:00, Unix ms.
const WALL_MS: i64 = 1_788_220_800_000;

target!(
    /// Bytes that open are a state which seals to a file that opens to the same.
    what_opens_seals_again,
    5_000,
    |bytes: &[u8]| {
        if let Ok(state) = journal::decode(bytes) {
            let again = journal::decode(&journal::encode(&state)).unwrap();
            assert_eq!(again, state);
        }
    }
);

target!(
    /// One flipped bit anywhere in a sealed file, or a missing end, is seen.
    damage_is_seen,
    2_000,
    |bytes: &[u8]| {
        let Some((damage, rest)) = bytes.split_first_chunk::<4>() else {
            return;
        };
        let Ok(state) = JournalState::decode(rest) else {
            return;
        };
        let mut file = journal::encode(&state);
        let [high, low, bit, cut] = *damage;
        let place = usize::from(u16::from_be_bytes([high, low])) % file.len();
        if cut % 2 == 0 {
            file[place] ^= 1 << (bit % 8);
        } else {
            file.truncate(place);
        }
        assert!(journal::decode(&file).is_err(), "damage at {place} passed");
    }
);

target!(
    /// An agent starts with any state, reports, and keeps what it did not send.
    an_agent_starts_with_any_state,
    2_000,
    |bytes: &[u8]| {
        let Ok(state) = JournalState::decode(bytes) else {
            return;
        };
        let mut core = Core::start([7; 16], at(1_000), config(), Some(state));
        core.observe(
            at(2_000),
            Observation {
                last_input_mono_ms: Some(1_500),
                ..Observation::default()
            },
        );
        core.connected(at(2_000));
        let mut seen = 0;
        while let Some(report) = core.poll(at(3_000)) {
            assert!(report.sessions.len() <= 1_000);
            seen += 1;
            if seen == 4 {
                break;
            }
        }
        let kept = core.flush(at(120_000));
        assert_eq!(journal::decode(&journal::encode(&kept)).unwrap(), kept);
        // What it wrote is a state that it starts with again.
        let _again = Core::start([7; 16], at(130_000), config(), Some(kept));
    }
);

fn at(mono_ms: u64) -> Now {
    Now {
        mono_ms,
        awake_ms: mono_ms,
        wall_ms: WALL_MS.saturating_add_unsigned(mono_ms),
        wall_synced: true,
    }
}

fn config() -> CoreConfig {
    CoreConfig {
        terminal: "pc-1".to_owned(),
        facts: AgentFacts::default(),
        heartbeat_seconds: 60,
        idle_seconds: 300,
        hardware_ms: None,
        utc_offset_seconds: 8 * 3_600,
    }
}

/// What an agent keeps: at its start, in the middle of a lesson, and after it was started again in a later boot.
pub(crate) fn first_states() -> Vec<JournalState> {
    let mut core = Core::start([1; 16], at(1_000), config(), None);
    let first = core.flush(at(2_000));
    for minute in 1..50 {
        core.observe(
            at(minute * 60_000),
            Observation {
                last_input_mono_ms: Some(minute * 60_000 - 500),
                ..Observation::default()
            },
        );
    }
    let lesson = core.flush(at(50 * 60_000));
    let mut later = Core::start([2; 16], at(1_000), config(), Some(lesson.clone()));
    let both = later.flush(at(2_000));
    vec![first, lesson, both]
}
