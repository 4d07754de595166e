//! Linux: input devices, terminals' access times, ALSA playback, logind, session helpers; and what the system says of
//! its boot.
//!
//! Only moments are kept. Not responsible for the rules of use.

mod alsa;
mod bus;
pub mod desktop;
mod evdev;
mod logind;
mod tty;

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Sense, Sight, both};
use crate::{
    core::{BootId, Observation},
    local::Feed,
};

use logind::Logind;

/// Names of the sources, as the configuration says them.
pub const SOURCES: &[&str] = &["evdev", "tty", "alsa", "session", "logind"];

/// Opens these sources on this machine. `feed` is what session helpers say. Within a runtime, or logind is not watched.
#[must_use]
pub fn open(sources: &[String], feed: Feed) -> LinuxSense {
    let wanted = Source::ALL
        .into_iter()
        .filter(|source| sources.iter().any(|name| name == source.name()));
    LinuxSense::new("/".into(), wanted.collect(), feed)
}

/// A source of signs of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Events of keyboards, mice and touch screens (`/dev/input`); needs root or the group `input`.
    Evdev,
    /// Access times of consoles and pseudo-terminals, as `w` reads them.
    Tty,
    /// Sound being played (`/proc/asound`).
    Alsa,
    /// What helpers in people's sessions see: last input, presentations.
    Session,
    /// Programmes that ask logind for the screen, and the desktop's idle hint where no other source sees input.
    Logind,
}

impl Source {
    /// All of them, in the order in which they are looked at.
    pub const ALL: [Self; 5] = [
        Self::Evdev,
        Self::Tty,
        Self::Alsa,
        Self::Session,
        Self::Logind,
    ];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evdev => "evdev",
            Self::Tty => "tty",
            Self::Alsa => "alsa",
            Self::Session => "session",
            Self::Logind => "logind",
        }
    }
}

/// This machine's signs of use.
#[derive(Debug)]
pub struct LinuxSense {
    root: PathBuf,
    sources: Vec<Source>,
    feed: Feed,
    devices: evdev::Devices,
    logind: Option<Logind>,
    last_input_ms: Option<u64>,
    /// Of the last look, in the order of `sources`.
    sights: Vec<Sight>,
}

impl LinuxSense {
    /// Senses with these sources. `root` is `/` but for tests.
    #[must_use]
    pub fn new(root: PathBuf, sources: Vec<Source>, feed: Feed) -> Self {
        let logind = sources
            .contains(&Source::Logind)
            .then(|| Logind::watch(&root))
            .flatten();
        Self {
            root,
            sources,
            feed,
            devices: evdev::Devices::default(),
            logind,
            last_input_ms: None,
            sights: Vec::new(),
        }
    }

    fn there(&self, source: Source) -> bool {
        match source {
            Source::Evdev => self.devices.count() > 0 || evdev::there(&self.root),
            Source::Tty => tty::there(&self.root),
            Source::Alsa => alsa::there(&self.root),
            // Helpers come and go with people's sessions.
            Source::Session => true,
            Source::Logind => self.logind.is_some() && logind::there(&self.root),
        }
    }

    fn look(&mut self, source: Source, mono_ms: u64, wall_ms: i64) -> Sight {
        let input = |last_input_mono_ms| Observation {
            last_input_mono_ms,
            ..Observation::default()
        };
        let mut count = None;
        let seen = match source {
            Source::Evdev => {
                let latest = self.devices.look(&self.root, mono_ms, wall_ms);
                count = Some(self.devices.count()).filter(|count| *count > 0);
                count.map(|_| input(latest))
            }
            Source::Tty => {
                let latest = tty::look(&self.root, mono_ms, wall_ms);
                tty::there(&self.root).then(|| input(latest))
            }
            Source::Alsa => alsa::there(&self.root).then(|| Observation {
                playing: alsa::playing(&self.root),
                ..Observation::default()
            }),
            Source::Session => {
                let mut told = self.feed.seen(mono_ms);
                // What lies over the whole screen is not seen while the screen is locked.
                told.presenting &= !self.logind_says().is_some_and(|said| said.locked);
                count = Some(self.feed.speakers(mono_ms));
                Some(told)
            }
            Source::Logind => self.logind_says().map(|said| Observation {
                last_input_mono_ms: (said.stirring && !self.sees_input()).then_some(mono_ms),
                playing: false,
                presenting: said.inhibited,
            }),
        };
        Sight {
            source: source.name(),
            seen,
            count,
        }
    }

    fn logind_says(&self) -> Option<logind::Look> {
        self.logind.as_ref().and_then(Logind::seen)
    }

    /// Whether a better source than the desktop's hint sees people's input.
    fn sees_input(&self) -> bool {
        self.sights.iter().any(|sight| match sight.source {
            "evdev" => sight.seen.is_some(),
            "session" => sight
                .seen
                .is_some_and(|seen| seen.last_input_mono_ms.is_some()),
            _ => false,
        })
    }
}

impl Sense for LinuxSense {
    fn observe(&mut self, mono_ms: u64, wall_ms: i64) -> Observation {
        self.sights.clear();
        for index in 0..self.sources.len() {
            let sight = self.look(self.sources[index], mono_ms, wall_ms);
            self.sights.push(sight);
        }
        self.feed.tell_missing(mono_ms);
        let sights = self.sights.iter().filter_map(|sight| sight.seen);
        let all = sights.fold(Observation::default(), both);
        // A session that ends takes its word with it, but not its input.
        self.last_input_ms = self.last_input_ms.max(all.last_input_mono_ms);
        Observation {
            last_input_mono_ms: self.last_input_ms,
            ..all
        }
    }

    fn missing(&self) -> Vec<String> {
        self.sources
            .iter()
            .filter(|source| !self.there(**source))
            .map(|source| source.name().to_owned())
            .collect()
    }

    fn sights(&self) -> Vec<Sight> {
        self.sights.clone()
    }
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
    use crate::local::Signs;

    fn write(root: &Path, file: &str, text: &[u8]) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_source_that_is_not_there_is_named_and_never_guessed() {
        let root = tempfile::tempdir().unwrap();
        let mut sense = LinuxSense::new(
            root.path().to_owned(),
            Source::ALL.to_vec(),
            Feed::default(),
        );
        assert_eq!(sense.missing(), ["evdev", "tty", "alsa", "logind"]);
        assert_eq!(sense.observe(1_000, 1), Observation::default());
        let words: Vec<String> = sense.sights().iter().map(|one| one.words(1_000)).collect();
        assert_eq!(
            words,
            ["missing", "missing", "missing", "nothing (0)", "missing"]
        );
        for file in ["dev/input/event0", "dev/pts/0", "proc/asound/cards"] {
            write(root.path(), file, b"");
        }
        assert_eq!(sense.missing(), ["logind"]);
    }

    #[test]
    fn each_source_counts_and_says_so() {
        let root = tempfile::tempdir().unwrap();
        let feed = Feed::default();
        let sources = vec![Source::Evdev, Source::Alsa, Source::Session];
        let mut sense = LinuxSense::new(root.path().to_owned(), sources, feed.clone());
        // A key of 1970, when this machine's clock was wrong: now.
        let mut key = [0; 2 * size_of::<usize>() + 8];
        key[2 * size_of::<usize>()] = 1;
        write(root.path(), "dev/input/event0", &key);
        let status = "proc/asound/card0/pcm0p/sub0/status";
        write(root.path(), status, b"state: RUNNING");
        let seen = sense.observe(40_000, 1_788_220_800_000);
        assert_eq!(
            (seen.last_input_mono_ms, seen.playing),
            (Some(40_000), true)
        );
        write(root.path(), status, b"closed");
        let signs = Signs {
            input_ago_ms: Some(500),
            presenting: true,
            ..Signs::default()
        };
        feed.hear(1, 1_000, 45_000, signs);
        let seen = sense.observe(46_000, 1_788_220_806_000);
        assert_eq!(
            (seen.last_input_mono_ms, seen.playing),
            (Some(44_500), false)
        );
        assert!(seen.presenting);
        let words: Vec<String> = sense.sights().iter().map(|one| one.words(46_000)).collect();
        assert_eq!(
            words,
            [
                "last input 6 s ago (1)",
                "nothing",
                "last input 1 s ago, presenting (1)"
            ]
        );
        // The session ends; what was typed in it was typed.
        feed.forget(1);
        let seen = sense.observe(47_000, 1_788_220_807_000);
        assert_eq!(
            (seen.last_input_mono_ms, seen.presenting),
            (Some(44_500), false)
        );
    }

    #[test]
    fn a_boot_id_has_16_bytes() {
        let id = parse_boot_id("0cdad68d-72da-4cfd-ae07-5398c03c5d1e\n").unwrap();
        assert_eq!((id[0], id[15]), (0x0c, 0x1e));
        assert_eq!(parse_boot_id("0cdad68d"), None);
        assert_eq!(parse_boot_id("zz"), None);
    }
}
