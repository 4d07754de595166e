//! A journal in two parts: boots that are over, which hardly change, and the boot that goes on.
//!
//! The boot that goes on is written every 15 s; a term offline lies in the other part and is written only when a boot ends
//! or an acknowledgement comes. Both parts are whole journals by themselves, so that one alone can be read: what must not be
//! forgotten with the other stands in both. Not responsible for files.

use std::{cmp::Ordering, collections::HashSet};

use prost::Message as _;

use crate::core::{
    JournalState, StoredBoot, StoredDay, StoredSession, StoredSignal, UNWRITTEN_NUMBERS,
};

/// Takes a state apart: boots that are over, and all the rest with the last boot.
#[must_use]
pub fn split(state: &JournalState) -> (JournalState, JournalState) {
    let over = state.boots.len().saturating_sub(1);
    let (older, last) = state.boots.split_at(over);
    let older = JournalState {
        boots: older.to_vec(),
        known_ms: state.known_ms,
        history_taken: state.history_taken,
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
    let rest = rest_of_both(&older, &current);
    let mut boots = older.boots;
    for boot in current.boots {
        match boots.iter_mut().find(|known| known.id == boot.id) {
            Some(known) => unite(known, boot),
            None => boots.push(boot),
        }
    }
    JournalState { boots, ..rest }
}

/// What the older part is written for, as a checksum: the time that was known goes on with every look and only stands
/// along.
#[must_use]
pub fn mark(older: &JournalState) -> u32 {
    let lasting = JournalState {
        known_ms: 0,
        ..older.clone()
    };
    crc32fast::hash(&lasting.encode_to_vec())
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

/// What either knows. The newer may have begun from nothing, where the older could not be read then.
fn rest_of_both(older: &JournalState, current: &JournalState) -> JournalState {
    let or = |newer: u32, before: u32| if newer == 0 { before } else { newer };
    JournalState {
        heartbeat_seconds: or(current.heartbeat_seconds, older.heartbeat_seconds),
        idle_seconds: or(current.idle_seconds, older.idle_seconds),
        last_ack_ms: current.last_ack_ms.max(older.last_ack_ms),
        known_ms: current.known_ms.max(older.known_ms),
        history_taken: current.history_taken || older.history_taken,
        acknowledged: acknowledged(older.acknowledged, current.acknowledged),
        ..JournalState::default()
    }
}

/// Of the later day, what either knows of it.
fn acknowledged(older: Option<StoredDay>, current: Option<StoredDay>) -> Option<StoredDay> {
    let (Some(older), Some(current)) = (older, current) else {
        return current.or(older);
    };
    Some(match older.begins.cmp(&current.begins) {
        Ordering::Less => current,
        Ordering::Greater => older,
        Ordering::Equal => StoredDay {
            begins: current.begins,
            powered_seconds: current.powered_seconds.max(older.powered_seconds),
            used_seconds: current.used_seconds.max(older.used_seconds),
        },
    })
}

/// Two generations of one boot; or two lives of the agent in it, of which the later one could not read the journal of
/// the one before: then both may have begun to count at the same number, and only the start tells what is the same.
fn unite(known: &mut StoredBoot, other: StoredBoot) {
    let named = |one: &StoredSession| (one.used, one.number, one.start_ms);
    for session in other.sessions {
        let same = |one: &&mut StoredSession| named(one) == named(&session);
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
        let same = |one: &StoredSignal| {
            (one.kind, one.number, one.at_ms) == (signal.kind, signal.number, signal.at_ms)
        };
        if !known.signals.iter().any(same) {
            known.signals.push(signal);
        }
    }
    known
        .sessions
        .sort_by_key(|session| (session.start_ms, session.used, session.number));
    known.powered_count = known.powered_count.max(other.powered_count);
    known.used_count = known.used_count.max(other.used_count);
    known.signal_count = known.signal_count.max(other.signal_count);
    tell_apart(known);
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
    if known.left_ms.is_empty() {
        known.left_ms = other.left_ms;
    }
}

/// No number for two, and nothing open before the last of its kind.
fn tell_apart(boot: &mut StoredBoot) {
    for (used, count) in [
        (false, &mut boot.powered_count),
        (true, &mut boot.used_count),
    ] {
        let of_kind = |one: &&mut StoredSession| one.used == used;
        let sessions = boot.sessions.iter_mut().filter(of_kind);
        renumber(sessions.map(|one| &mut one.number), count);
        // The life that had opened it is over: it must not grow into what nobody saw.
        for session in boot.sessions.iter_mut().filter(of_kind).rev().skip(1) {
            session.open = false;
        }
    }
    boot.signals
        .sort_by_key(|signal| (signal.at_ms, signal.number));
    let signals = boot.signals.iter_mut().map(|one| &mut one.number);
    renumber(signals, &mut boot.signal_count);
}

/// Gives every later one of the same number a new one, that no process has given away without writing it.
fn renumber<'a>(numbers: impl Iterator<Item = &'a mut u32>, count: &mut u32) {
    let mut taken = HashSet::new();
    for number in numbers {
        if !taken.insert(*number) {
            *count = count.saturating_add(UNWRITTEN_NUMBERS);
            *number = *count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn two_lives_of_one_boot_lose_nothing_and_invent_nothing() {
        let life = |sessions: [(bool, u64, u64); 2], seen_ms: u64| {
            let open = |(used, start_ms, length_ms): (bool, u64, u64)| StoredSession {
                used,
                start_ms,
                ..session(1, length_ms, true)
            };
            StoredBoot {
                powered_count: 1,
                used_count: 1,
                signal_count: 1,
                seen_ms: Some(seen_ms),
                signals: vec![StoredSignal {
                    number: 1,
                    at_ms: seen_ms,
                    ..StoredSignal::default()
                }],
                ..boot(1, &sessions.map(open))
            }
        };
        let first = life([(false, 0, 900), (true, 300, 600)], 900);
        let later = life([(false, 1_000, 9_000), (true, 7_200, 2_400)], 10_000);
        // Whichever is taken for the older: the later one gets the new number, and it alone goes on.
        for (one, other) in [(&first, &later), (&later, &first)] {
            let joined = join(
                state(std::slice::from_ref(one)),
                state(std::slice::from_ref(other)),
            );
            let found: Vec<_> = joined.boots[0]
                .sessions
                .iter()
                .map(|one| (one.used, one.number, one.start_ms, one.length_ms, one.open))
                .collect();
            let expected = [
                (false, 1, 0, 900, false),
                (true, 1, 300, 600, false),
                (false, 101, 1_000, 9_000, true),
                (true, 101, 7_200, 2_400, true),
            ];
            assert_eq!(found, expected);
            assert_eq!(
                (joined.boots[0].powered_count, joined.boots[0].used_count),
                (101, 101)
            );
            let signals = joined.boots[0].signals.iter();
            let signals: Vec<_> = signals.map(|one| (one.number, one.at_ms)).collect();
            assert_eq!(signals, [(1, 900), (101, 10_000)]);
            // Taken in once more, it says the same.
            let again = join(state(std::slice::from_ref(&first)), joined.clone());
            assert_eq!(again, joined);
        }
    }

    #[test]
    fn one_part_alone_is_a_journal() {
        let alone = state(&[boot(3, &[session(1, 5, true)])]);
        assert_eq!(join(JournalState::default(), alone.clone()), alone);
        let older = split(&state(&[boot(1, &[]), boot(2, &[])])).0;
        assert_eq!(join(older.clone(), JournalState::default()), older);
        // The other is torn in both its generations: what was known of the time still holds, and no history is read twice.
        let whole = JournalState {
            history_taken: true,
            ..state(&[boot(1, &[]), boot(2, &[])])
        };
        let alone = join(split(&whole).0, JournalState::default());
        assert_eq!((alone.known_ms, alone.history_taken), (7, true));
    }

    #[test]
    fn a_newer_part_that_began_from_nothing_takes_nothing_away() {
        let day = |begins, powered_seconds, used_seconds| {
            Some(StoredDay {
                begins,
                powered_seconds,
                used_seconds,
            })
        };
        let before = JournalState {
            idle_seconds: 600,
            last_ack_ms: 9,
            history_taken: true,
            acknowledged: day(86_400, 100, 50),
            ..state(&[])
        };
        let nothing = JournalState::default();
        assert_eq!(join(before.clone(), nothing.clone()), before);
        assert_eq!(join(nothing, before.clone()), before);
        let newer = JournalState {
            heartbeat_seconds: 30,
            known_ms: 5,
            acknowledged: day(86_400, 70, 60),
            ..JournalState::default()
        };
        let expected = JournalState {
            heartbeat_seconds: 30,
            acknowledged: day(86_400, 100, 60),
            ..before.clone()
        };
        assert_eq!(join(before.clone(), newer.clone()), expected);
        assert_eq!(join(before.clone(), expected.clone()), expected, "again");
        for (begins, kept) in [(0, before.acknowledged), (172_800, day(172_800, 1, 1))] {
            let newer = JournalState {
                acknowledged: day(begins, 1, 1),
                ..newer.clone()
            };
            assert_eq!(join(before.clone(), newer).acknowledged, kept);
        }
    }
}
