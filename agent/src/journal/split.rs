//! A journal in two parts: boots that are over, which hardly change, and the boot that goes on.
//!
//! The boot that goes on is written every 15 s; a term offline lies in the other part and is written only when a boot ends
//! or an acknowledgement comes. Both parts are whole journals by themselves, so that one alone can be read. Not responsible
//! for files.

use crate::core::{JournalState, StoredBoot, StoredSession};

/// Takes a state apart: boots that are over, and all the rest with the last boot.
#[must_use]
pub fn split(state: &JournalState) -> (JournalState, JournalState) {
    let over = state.boots.len().saturating_sub(1);
    let (older, last) = state.boots.split_at(over);
    let older = JournalState {
        boots: older.to_vec(),
        ..JournalState::default()
    };
    let current = JournalState {
        boots: last.to_vec(),
        ..rest(state)
    };
    (older, current)
}

/// Puts two parts together again, whatever generations they are of. A power cut between two writes, or a torn part whose
/// generation before stands in for it, may leave a boot in both: then nothing that either says is lost. What was
/// acknowledged meanwhile is said once more, which changes nothing.
#[must_use]
pub fn join(older: JournalState, current: JournalState) -> JournalState {
    let mut boots = older.boots;
    let rest = rest(&current);
    for boot in current.boots {
        match boots.iter_mut().find(|known| known.id == boot.id) {
            Some(known) => unite(known, boot),
            None => boots.push(boot),
        }
    }
    JournalState { boots, ..rest }
}

/// All but the boots.
fn rest(state: &JournalState) -> JournalState {
    JournalState {
        boots: Vec::new(),
        heartbeat_seconds: state.heartbeat_seconds,
        idle_seconds: state.idle_seconds,
        last_ack_ms: state.last_ack_ms,
        known_ms: state.known_ms,
        history_taken: state.history_taken,
        acknowledged: state.acknowledged,
    }
}

/// Two generations of one boot.
fn unite(known: &mut StoredBoot, other: StoredBoot) {
    for session in other.sessions {
        let same =
            |one: &&mut StoredSession| (one.used, one.number) == (session.used, session.number);
        match known.sessions.iter_mut().find(same) {
            Some(one) => {
                one.open &= session.open;
                one.length_ms = one.length_ms.max(session.length_ms);
                one.placed = one.placed.or(session.placed);
                one.dated = one.dated.max(session.dated);
            }
            None => known.sessions.push(session),
        }
    }
    for signal in other.signals {
        if known.signals.iter().all(|one| one.number != signal.number) {
            known.signals.push(signal);
        }
    }
    known
        .sessions
        .sort_by_key(|session| (session.start_ms, session.used, session.number));
    known.powered_count = known.powered_count.max(other.powered_count);
    known.used_count = known.used_count.max(other.used_count);
    known.signal_count = known.signal_count.max(other.signal_count);
    known.last_sequence = known.last_sequence.max(other.last_sequence);
    known.use_floor_ms = known.use_floor_ms.max(other.use_floor_ms);
    // Time that was heard stays heard, whether a sleep has made it doubtful the later one says; a clock that was set
    // stays set.
    let later = other.seen_ms > known.seen_ms;
    if other.synced && (later || !known.synced) {
        (known.synced, known.offset_ms) = (true, other.offset_ms);
        known.doubted_ms = other.doubted_ms;
    }
    if later {
        (known.seen_ms, known.slept_ms) = (other.seen_ms, other.slept_ms);
        known.wall_ms = other.wall_ms;
    }
    known.disturbed |= other.disturbed;
    known.verdict = known.verdict.max(other.verdict);
    known.hardware_ms = known.hardware_ms.or(other.hardware_ms);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::StoredDay;

    fn session(number: u32, length_ms: u64, open: bool) -> StoredSession {
        StoredSession {
            number,
            length_ms,
            open,
            start_ms: u64::from(number) * 1_000,
            ..StoredSession::default()
        }
    }

    fn boot(id: u8, sessions: &[StoredSession]) -> StoredBoot {
        StoredBoot {
            id: vec![id; 16],
            sessions: sessions.to_vec(),
            ..StoredBoot::default()
        }
    }

    fn state(boots: &[StoredBoot]) -> JournalState {
        JournalState {
            boots: boots.to_vec(),
            heartbeat_seconds: 60,
            known_ms: 7,
            acknowledged: Some(StoredDay::default()),
            ..JournalState::default()
        }
    }

    #[test]
    fn what_is_taken_apart_is_put_together_again() {
        for boots in 0..4 {
            let boots: Vec<_> = (0..boots)
                .map(|id| boot(id, &[session(1, 5, false)]))
                .collect();
            let whole = state(&boots);
            let (older, current) = split(&whole);
            assert!(current.boots.len() <= 1);
            assert_eq!(older.boots.len() + current.boots.len(), boots.len());
            assert_eq!(join(older, current), whole);
        }
    }

    #[test]
    fn a_boot_that_stands_in_both_parts_keeps_the_longest_of_both() {
        let ended = boot(1, &[session(1, 5, false), session(2, 50, false)]);
        let open = boot(1, &[session(2, 60, true), session(3, 10, true)]);
        // Power went after the older part was written, and before the other.
        let (older, current) = (state(&[boot(0, &[]), ended]), state(&[open]));
        let joined = join(older, current);
        assert_eq!(joined.boots.len(), 2);
        let expected = [
            session(1, 5, false),
            session(2, 60, false),
            session(3, 10, true),
        ];
        assert_eq!(joined.boots[1].sessions, expected);
        assert_eq!((joined.heartbeat_seconds, joined.known_ms), (60, 7));
    }

    #[test]
    fn one_part_alone_is_a_journal() {
        let alone = state(&[boot(3, &[session(1, 5, true)])]);
        assert_eq!(join(JournalState::default(), alone.clone()), alone);
        let older = split(&state(&[boot(1, &[]), boot(2, &[])])).0;
        assert_eq!(
            join(older.clone(), JournalState::default()).boots,
            older.boots
        );
    }
}
