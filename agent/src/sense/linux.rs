//! Linux: input devices, terminals' access times, ALSA playback; and what the system says of its boot.
//!
//! Only moments are kept: what was typed is read past and thrown away at once. Not responsible for the rules of use.

use std::{
    fs::{self, File, OpenOptions},
    io::Read as _,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::Sense;
use crate::{
    core::{BootId, Observation},
    local::Feed,
};

/// Names of the sources, as the configuration says them.
pub const SOURCES: &[&str] = &["evdev", "tty", "alsa", "session"];

/// Opens these sources on this machine. `feed` is what session helpers say.
#[must_use]
pub fn open(sources: &[String], feed: Feed) -> LinuxSense {
    let wanted = Source::ALL
        .into_iter()
        .filter(|source| sources.iter().any(|name| name == source.name()));
    LinuxSense::new("/".into(), wanted.collect(), feed)
}

/// How often new input devices are looked for, in ms.
const RESCAN_MS: u64 = 30_000;
/// Bytes of one input event on 64-bit Linux: seconds and microseconds of 8 bytes each, then what is not looked at.
const EVENT: usize = 24;

/// A source of signs of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Events of keyboards, mice and touch screens (`/dev/input`); needs root or the group `input`.
    Evdev,
    /// Access times of consoles and pseudo-terminals, as `w` reads them.
    Tty,
    /// Sound being played (`/proc/asound`).
    Alsa,
    /// What helpers in people's sessions see: last input, presentations, sound.
    Session,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Evdev, Self::Tty, Self::Alsa, Self::Session];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evdev => "evdev",
            Self::Tty => "tty",
            Self::Alsa => "alsa",
            Self::Session => "session",
        }
    }
}

/// This machine's signs of use.
#[derive(Debug)]
pub struct LinuxSense {
    root: PathBuf,
    sources: Vec<Source>,
    feed: Feed,
    devices: Vec<(PathBuf, File)>,
    scanned_ms: Option<u64>,
    last_input_ms: Option<u64>,
}

impl LinuxSense {
    /// Senses with these sources. `root` is `/` but for tests.
    #[must_use]
    pub fn new(root: PathBuf, sources: Vec<Source>, feed: Feed) -> Self {
        Self {
            root,
            sources,
            feed,
            devices: Vec::new(),
            scanned_ms: None,
            last_input_ms: None,
        }
    }

    fn has(&self, source: Source) -> bool {
        self.sources.contains(&source)
    }

    fn scan_devices(&mut self, mono_ms: u64) {
        if self
            .scanned_ms
            .is_some_and(|at| mono_ms.saturating_sub(at) < RESCAN_MS)
        {
            return;
        }
        self.scanned_ms = Some(mono_ms);
        for path in entries(&self.root.join("dev/input"), |name| {
            name.starts_with("event")
        }) {
            if self.devices.iter().all(|(known, _)| *known != path) {
                let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
                if let Ok(file) = OpenOptions::new()
                    .read(true)
                    .custom_flags(nonblock)
                    .open(&path)
                {
                    self.devices.push((path, file));
                }
            }
        }
    }

    /// Reads past whatever the devices have to say; the moment of the latest event.
    fn drain_devices(&mut self, mono_ms: u64, wall_ms: i64) -> Option<u64> {
        let mut latest = None;
        let mut buffer = [0; 4_096];
        self.devices.retain_mut(|(_, file)| {
            loop {
                match file.read(&mut buffer) {
                    Ok(0) => return true,
                    Ok(length) => {
                        let ago = event_age(&buffer[..length], wall_ms).unwrap_or(0);
                        latest = latest.max(Some(mono_ms.saturating_sub(ago)));
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
                }
            }
        });
        latest
    }

    /// The latest access to a console or pseudo-terminal, in ms since boot.
    fn tty_input(&self, mono_ms: u64, wall_ms: i64) -> Option<u64> {
        let consoles = entries(&self.root.join("dev"), |name| {
            name.strip_prefix("tty")
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
        });
        let pseudo = entries(&self.root.join("dev/pts"), |name| {
            name.bytes().all(|b| b.is_ascii_digit())
        });
        let latest = consoles
            .into_iter()
            .chain(pseudo)
            .filter_map(|path| fs::metadata(path).ok())
            .filter(|about| !untouched(about))
            .map(|about| {
                about
                    .atime()
                    .saturating_mul(1_000)
                    .saturating_add(about.atime_nsec() / 1_000_000)
            });
        let ago = wall_ms.saturating_sub(latest.max()?);
        // Before this boot, or in the future: the clock was set meanwhile, so nothing is known.
        let ago = u64::try_from(ago).ok()?;
        mono_ms.checked_sub(ago).filter(|at| *at > 0)
    }

    fn playing(&self) -> bool {
        let cards = entries(&self.root.join("proc/asound"), |name| {
            name.starts_with("card")
        });
        let outputs = cards
            .iter()
            .flat_map(|card| entries(card, |name| name.starts_with("pcm") && name.ends_with('p')));
        let streams = outputs.flat_map(|output| entries(&output, |name| name.starts_with("sub")));
        streams.into_iter().any(|stream| {
            fs::read_to_string(stream.join("status"))
                .is_ok_and(|status| status.contains("state: RUNNING"))
        })
    }
}

impl Sense for LinuxSense {
    fn observe(&mut self, mono_ms: u64, wall_ms: i64) -> Observation {
        if self.has(Source::Evdev) {
            self.scan_devices(mono_ms);
            let latest = self.drain_devices(mono_ms, wall_ms);
            self.last_input_ms = self.last_input_ms.max(latest);
        }
        if self.has(Source::Tty) {
            self.last_input_ms = self.last_input_ms.max(self.tty_input(mono_ms, wall_ms));
        }
        let mut seen = Observation::default();
        if self.has(Source::Session) {
            seen = self.feed.seen(mono_ms);
            self.last_input_ms = self.last_input_ms.max(seen.last_input_mono_ms);
        }
        Observation {
            last_input_mono_ms: self.last_input_ms,
            playing: seen.playing || self.has(Source::Alsa) && self.playing(),
            presenting: seen.presenting,
        }
    }

    fn missing(&self) -> Vec<String> {
        let there = |source: Source| match source {
            Source::Evdev => entries(&self.root.join("dev/input"), |name| {
                name.starts_with("event")
            })
            .into_iter()
            .any(|path| File::open(path).is_ok()),
            Source::Tty => {
                self.root.join("dev/pts").exists() || self.root.join("dev/tty1").exists()
            }
            Source::Alsa => self.root.join("proc/asound").exists(),
            // Helpers come and go with people's sessions.
            Source::Session => true,
        };
        self.sources
            .iter()
            .filter(|source| !there(**source))
            .map(|source| source.name().to_owned())
            .collect()
    }
}

/// How many ms ago the last of these input events happened, by the system clock at its head; `None` where that can't
/// be, because the clock was set meanwhile or this machine lays events out in another way.
fn event_age(events: &[u8], wall_ms: i64) -> Option<u64> {
    if !cfg!(target_pointer_width = "64") {
        return None;
    }
    let [seconds, micros, _] = events.as_chunks::<EVENT>().0.last()?.as_chunks().0 else {
        return None;
    };
    let at = i64::from_ne_bytes(*seconds)
        .checked_mul(1_000)?
        .checked_add(i64::from_ne_bytes(*micros) / 1_000)?;
    let ago = u64::try_from(wall_ms.checked_sub(at)?).ok()?;
    (ago <= RESCAN_MS).then_some(ago)
}

/// Whether nobody has read or written a device since it was made: its times are still those of its making, which say
/// nothing of input.
fn untouched(about: &fs::Metadata) -> bool {
    let accessed = (about.atime(), about.atime_nsec());
    about.file_type().is_char_device()
        && accessed == (about.mtime(), about.mtime_nsec())
        && accessed == (about.ctime(), about.ctime_nsec())
}

fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(read) = fs::read_dir(folder) else {
        return Vec::new();
    };
    read.flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(&wanted))
        .map(|entry| entry.path())
        .collect()
}

/// The kernel's own boot id: new at each power-on, the same for every process of a boot.
///
/// # Errors
/// Where the kernel does not say one.
pub fn boot_id() -> std::io::Result<BootId> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    parse_boot_id(&text)
        .ok_or_else(|| std::io::Error::other(format!("boot_id reads {:?}", text.trim())))
}

fn parse_boot_id(text: &str) -> Option<BootId> {
    let digits: Vec<u32> = text
        .trim()
        .chars()
        .filter(|c| *c != '-')
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .filter_map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok())
        .collect();
    bytes.try_into().ok()
}

/// The operating system's name, such as "Debian GNU/Linux 12 (bookworm)"; "Linux" where it has none.
#[must_use]
pub fn os_name() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(
        || "Linux".to_owned(),
        |name| name.trim_matches('"').to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playing_card_is_heard_and_a_recording_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let status = |stream: &str, text: &str| {
            let folder = root
                .path()
                .join("proc/asound/card0")
                .join(stream)
                .join("sub0");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("status"), text).unwrap();
        };
        let mut sense =
            LinuxSense::new(root.path().to_owned(), vec![Source::Alsa], Feed::default());
        assert_eq!(sense.missing(), ["alsa"]);
        assert!(!sense.observe(1, 1).playing);
        status("pcm0c", "state: RUNNING\n");
        status("pcm0p", "closed\n");
        assert!(!sense.observe(1, 1).playing);
        status("pcm1p", "state: RUNNING\nowner_pid   : 1\n");
        assert!(sense.observe(1, 1).playing);
        assert!(sense.missing().is_empty());
    }

    #[test]
    fn the_latest_access_to_a_terminal_is_the_last_input() {
        let root = tempfile::tempdir().unwrap();
        let pts = root.path().join("dev/pts");
        fs::create_dir_all(&pts).unwrap();
        fs::write(pts.join("0"), "").unwrap();
        fs::write(pts.join("ptmx"), "").unwrap();
        let atime = fs::metadata(pts.join("0")).unwrap().atime() * 1_000;
        let mut sense = LinuxSense::new(root.path().to_owned(), vec![Source::Tty], Feed::default());
        let seen = sense
            .observe(100_000, atime + 40_000)
            .last_input_mono_ms
            .unwrap();
        assert!((60_000..61_000).contains(&seen), "{seen}");
        // Before the boot, and in the future, nothing is known.
        let mut fresh = LinuxSense::new(root.path().to_owned(), vec![Source::Tty], Feed::default());
        assert_eq!(
            fresh.observe(1_000, atime + 40_000).last_input_mono_ms,
            None
        );
        assert_eq!(
            fresh.observe(100_000, atime - 40_000).last_input_mono_ms,
            None
        );
    }

    #[test]
    fn input_devices_tell_only_that_something_happened() {
        let root = tempfile::tempdir().unwrap();
        let input = root.path().join("dev/input");
        fs::create_dir_all(&input).unwrap();
        let mut sense =
            LinuxSense::new(root.path().to_owned(), vec![Source::Evdev], Feed::default());
        assert_eq!(sense.missing(), ["evdev"]);
        assert_eq!(sense.observe(1_000, 0).last_input_mono_ms, None);
        fs::write(input.join("event3"), [0; 48]).unwrap();
        fs::write(input.join("mice"), [0; 3]).unwrap();
        assert_eq!(
            sense.observe(2_000, 0).last_input_mono_ms,
            None,
            "not looked for yet"
        );
        assert_eq!(sense.observe(31_000, 0).last_input_mono_ms, Some(31_000));
        assert_eq!(
            sense.observe(32_000, 0).last_input_mono_ms,
            Some(31_000),
            "nothing new"
        );
        assert!(sense.missing().is_empty());
    }

    #[test]
    fn an_event_tells_its_own_moment_where_the_clock_allows_it() {
        let event = |seconds: i64, micros: i64| {
            let mut bytes = [0x55; EVENT];
            bytes[..8].copy_from_slice(&seconds.to_ne_bytes());
            bytes[8..16].copy_from_slice(&micros.to_ne_bytes());
            bytes
        };
        let wall_ms = 1_788_220_800_000;
        let mut events = event(1_788_220_000, 0).to_vec();
        events.extend(event(1_788_220_796, 500_000));
        assert_eq!(event_age(&events, wall_ms), Some(3_500));
        for nonsense in [
            event(1_788_220_801, 0),
            event(5, 0),
            event(i64::MAX, i64::MIN),
            event(i64::MIN, i64::MAX),
        ] {
            assert_eq!(event_age(&nonsense, wall_ms), None);
        }
        assert_eq!(event_age(&events[..10], wall_ms), None);
    }

    #[test]
    fn a_boot_id_has_16_bytes() {
        let id = parse_boot_id("0cdad68d-72da-4cfd-ae07-5398c03c5d1e\n").unwrap();
        assert_eq!((id[0], id[15]), (0x0c, 0x1e));
        assert_eq!(parse_boot_id("0cdad68d"), None);
        assert_eq!(parse_boot_id("zz"), None);
    }
}
