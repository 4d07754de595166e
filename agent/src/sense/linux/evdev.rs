//! Input devices (`/dev/input/event*`): keyboards, mice, touch screens, on every desktop and without one.
//!
//! Only moments are kept: which key it was is not looked at, and what was read is thrown away at once.
//! Needs root or the group `input`.

use std::{
    fs::{File, OpenOptions},
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::entries;

/// How often new input devices are looked for, in ms.
const RESCAN_MS: u64 = 30_000;
/// Bytes of a machine word, in which an event's seconds and microseconds come.
const WORD: usize = size_of::<usize>();
/// Bytes of one input event: seconds, microseconds, type (2), code (2), value (4).
const EVENT: usize = 2 * WORD + 8;

/// Types of events, as the kernel numbers them.
mod kind {
    /// Marks, no input; but [`super::DROPPED`] stands for events that were too many to wait.
    pub(super) const SYN: u16 = 0;
    /// Keys, buttons, touches.
    pub(super) const KEY: u16 = 1;
    /// Movements.
    pub(super) const REL: u16 = 2;
    /// Positions.
    pub(super) const ABS: u16 = 3;
}

/// The mark that stands for events that nobody read in time.
const DROPPED: u16 = 3;
/// The value of a key that repeats itself: a book that lies on the keyboard is no use.
const REPEATED: i32 = 2;

/// The machine's input devices.
#[derive(Debug, Default)]
pub(super) struct Devices {
    open: Vec<(PathBuf, File)>,
    scanned_ms: Option<u64>,
    last_input_ms: Option<u64>,
}

/// Whether there is a device that may be read.
pub(super) fn there(root: &Path) -> bool {
    paths(root).into_iter().any(|path| File::open(path).is_ok())
}

fn paths(root: &Path) -> Vec<PathBuf> {
    entries(&root.join("dev/input"), |name| name.starts_with("event"))
}

impl Devices {
    /// How many can be read.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// The moment of the latest input, ms since boot.
    pub(super) fn look(&mut self, root: &Path, mono_ms: u64, wall_ms: i64) -> Option<u64> {
        self.scan(root, mono_ms);
        let latest = self.drain(mono_ms, wall_ms);
        self.last_input_ms = self.last_input_ms.max(latest);
        self.last_input_ms
    }

    fn scan(&mut self, root: &Path, mono_ms: u64) {
        let scanned = self.scanned_ms;
        if scanned.is_some_and(|at| mono_ms.saturating_sub(at) < RESCAN_MS) {
            return;
        }
        self.scanned_ms = Some(mono_ms);
        for path in paths(root) {
            if self.open.iter().all(|(known, _)| *known != path) {
                let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
                if let Ok(file) = OpenOptions::new()
                    .read(true)
                    .custom_flags(nonblock)
                    .open(&path)
                {
                    self.open.push((path, file));
                }
            }
        }
    }

    /// Reads past whatever the devices have to say; the moment of the latest input.
    fn drain(&mut self, mono_ms: u64, wall_ms: i64) -> Option<u64> {
        let mut latest = None;
        let mut buffer = [0; 64 * EVENT];
        self.open.retain_mut(|(_, file)| {
            loop {
                match file.read(&mut buffer) {
                    Ok(0) => return true,
                    Ok(length) => {
                        let input = buffer[..length].as_chunks().0.iter().rev();
                        if let Some(event) = input.map(Event::parse).find(Event::is_input) {
                            let ago = event.age_ms(wall_ms).unwrap_or(0);
                            latest = latest.max(Some(mono_ms.saturating_sub(ago)));
                        }
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
                }
            }
        });
        latest
    }
}

/// What is looked at of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Event {
    /// By the system clock, Unix ms.
    at_ms: Option<i64>,
    kind: u16,
    code_of_mark: Option<u16>,
    repeated: bool,
}

impl Event {
    fn parse(bytes: &[u8; EVENT]) -> Self {
        let word = |at: usize| {
            let mut word = [0; WORD];
            word.copy_from_slice(&bytes[at..at + WORD]);
            usize::from_ne_bytes(word)
        };
        let at_ms = i64::try_from(word(0))
            .ok()
            .and_then(|seconds| seconds.checked_mul(1_000))
            .zip(i64::try_from(word(WORD) / 1_000).ok())
            .and_then(|(seconds, ms)| seconds.checked_add(ms));
        let [.., k0, k1, c0, c1, v0, v1, v2, v3] = *bytes;
        let kind = u16::from_ne_bytes([k0, k1]);
        Self {
            at_ms,
            kind,
            code_of_mark: (kind == kind::SYN).then_some(u16::from_ne_bytes([c0, c1])),
            repeated: kind == kind::KEY && i32::from_ne_bytes([v0, v1, v2, v3]) == REPEATED,
        }
    }

    /// Whether a person did it. A lid that closes, a plug, a lamp are no input.
    fn is_input(&self) -> bool {
        match self.kind {
            kind::KEY => !self.repeated,
            kind::REL | kind::ABS => true,
            _ => self.code_of_mark == Some(DROPPED),
        }
    }

    /// How long ago it happened, ms; `None` where that can't be, because the clock was set meanwhile.
    fn age_ms(&self, wall_ms: i64) -> Option<u64> {
        let ago = u64::try_from(wall_ms.checked_sub(self.at_ms?)?).ok()?;
        (ago <= RESCAN_MS).then_some(ago)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    const WALL_MS: i64 = 1_788_220_800_000;
    /// A lid.
    const SWITCH: u16 = 5;

    /// An event as the kernel lays it out.
    fn event(seconds: usize, micros: usize, kind: u16, code: u16, value: i32) -> [u8; EVENT] {
        let mut bytes = [0; EVENT];
        bytes[..WORD].copy_from_slice(&seconds.to_ne_bytes());
        bytes[WORD..2 * WORD].copy_from_slice(&micros.to_ne_bytes());
        bytes[EVENT - 8..EVENT - 6].copy_from_slice(&kind.to_ne_bytes());
        bytes[EVENT - 6..EVENT - 4].copy_from_slice(&code.to_ne_bytes());
        bytes[EVENT - 4..].copy_from_slice(&value.to_ne_bytes());
        bytes
    }

    /// A machine with a device that is a pipe: read as a real one is, to which the other end types.
    fn machine() -> (tempfile::TempDir, File) {
        let root = tempfile::tempdir().unwrap();
        let input = root.path().join("dev/input");
        fs::create_dir_all(&input).unwrap();
        let pipe = input.join("event3");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let ends = OpenOptions::new().read(true).write(true).open(&pipe);
        (root, ends.unwrap())
    }

    #[test]
    fn keys_movements_and_touches_are_input_and_nothing_else_is() {
        let (root, mut device) = machine();
        let mut devices = Devices::default();
        let mut mono_ms = 1_000;
        let mut look = |devices: &mut Devices| {
            mono_ms += 1_000;
            let seen = devices.look(root.path(), mono_ms, WALL_MS);
            seen.map(|at| mono_ms - at)
        };
        assert_eq!((look(&mut devices), devices.count()), (None, 1));
        let at = |ago: usize| 1_788_220_800 - ago;
        for [kind, code, value] in [
            [kind::SYN, 0, 0],
            [SWITCH, 0, 1],
            [4, 4, 30],
            [0x11, 0, 1],
            [0x14, 0, 250],
            [kind::KEY, 30, 2],
        ] {
            let bytes = event(at(0), 0, kind, code, value.into());
            device.write_all(&bytes).unwrap();
            assert_eq!(look(&mut devices), None, "type {kind}, value {value}");
        }
        for [kind, code, value] in [
            [kind::KEY, 30, 1],
            [kind::KEY, 30, 0],
            [kind::REL, 0, 5],
            [kind::ABS, 53, 900],
            [kind::SYN, DROPPED, 0],
        ] {
            // The input, its mark, and a lid: the input's own moment counts.
            let moment = event(at(4), 500_000, kind, code, value.into());
            device.write_all(&moment).unwrap();
            device.write_all(&event(at(3), 0, kind::SYN, 0, 0)).unwrap();
            device.write_all(&event(at(0), 0, SWITCH, 0, 1)).unwrap();
            assert_eq!(look(&mut devices), Some(3_500), "type {kind}");
            assert_eq!(look(&mut devices), Some(4_500), "nothing new");
        }
    }

    #[test]
    fn an_event_tells_its_own_moment_where_the_clock_allows_it() {
        let age = |seconds, micros| {
            Event::parse(&event(seconds, micros, kind::KEY, 30, 1)).age_ms(WALL_MS)
        };
        assert_eq!(age(1_788_220_796, 500_000), Some(3_500));
        for (seconds, micros) in [
            (1_788_220_801, 0),
            (5, 0),
            (usize::MAX, 0),
            (usize::MAX / 2, usize::MAX),
        ] {
            assert_eq!(age(seconds, micros), None);
        }
        // A clock that was set meanwhile: it happened since the last look, which is near enough.
        let (root, mut device) = machine();
        device.write_all(&event(5, 0, kind::KEY, 30, 1)).unwrap();
        let seen = Devices::default().look(root.path(), 9_000, WALL_MS);
        assert_eq!(seen, Some(9_000));
    }

    #[test]
    fn devices_that_come_and_go_are_followed() {
        let root = tempfile::tempdir().unwrap();
        let input = root.path().join("dev/input");
        fs::create_dir_all(&input).unwrap();
        let mut devices = Devices::default();
        assert!(!there(root.path()));
        assert_eq!(devices.look(root.path(), 1_000, WALL_MS), None);
        let key = event(1_788_220_800, 0, kind::KEY, 30, 1);
        fs::write(input.join("event3"), key).unwrap();
        fs::write(input.join("mice"), key).unwrap();
        assert!(there(root.path()));
        let soon = devices.look(root.path(), 2_000, WALL_MS);
        assert_eq!(soon, None, "not looked for yet");
        assert_eq!(devices.look(root.path(), 31_000, WALL_MS), Some(31_000));
        assert_eq!(devices.look(root.path(), 32_000, WALL_MS), Some(31_000));
        assert_eq!(devices.count(), 1);
    }
}
