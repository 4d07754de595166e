//! Windows: what helpers in people's sessions see, and programmes that ask for the display; and what the system says of
//! its boot.
//!
//! A service runs in a session without people, and sees neither input nor screen nor sound: [`desktop`] looks at them
//! from within. Not responsible for the rules of use.

pub mod desktop;

use windows::Win32::System::Power::ES_DISPLAY_REQUIRED;
use windows_registry::{CURRENT_USER, Key, LOCAL_MACHINE, Type};

use super::{Sense, Sight, both};
use crate::{
    core::{BootId, Observation},
    local::Feed,
    win32,
};

/// Names of the sources, as the configuration says them.
pub const SOURCES: &[&str] = &[Source::Session.name(), Source::Display.name()];

/// Opens these sources on this machine. `feed` is what session helpers say.
#[must_use]
pub fn open(sources: &[String], feed: Feed) -> WindowsSense {
    let wanted = [Source::Session, Source::Display]
        .into_iter()
        .filter(|source| sources.iter().any(|name| name == source.name()));
    WindowsSense::new(wanted.collect(), feed, win32::execution_state)
}

/// A source of signs of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// What helpers in people's sessions see: last input, presentations, sound.
    Session,
    /// Programmes of any session that ask for the display to stay on, as players and presentations do.
    Display,
}

impl Source {
    /// Its name in the configuration.
    const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Display => "display",
        }
    }
}

/// This machine's signs of use.
#[derive(Debug)]
pub struct WindowsSense {
    sources: Vec<Source>,
    feed: Feed,
    /// Tells what programmes ask of the machine, where the system does.
    demands: fn() -> Option<u32>,
    last_input_ms: Option<u64>,
    /// Of the last look, in the order of `sources`.
    sights: Vec<Sight>,
}

impl WindowsSense {
    fn new(sources: Vec<Source>, feed: Feed, demands: fn() -> Option<u32>) -> Self {
        Self {
            sources,
            feed,
            demands,
            last_input_ms: None,
            sights: Vec::new(),
        }
    }

    fn look(&self, source: Source, mono_ms: u64) -> Sight {
        let (seen, count) = match source {
            Source::Session => (
                Some(self.feed.seen(mono_ms)),
                Some(self.feed.speakers(mono_ms)),
            ),
            Source::Display => {
                // Behind a lock nobody sees what a programme keeps on.
                let away = self.feed.all_away(mono_ms);
                let seen = |demands| Observation {
                    presenting: demands & ES_DISPLAY_REQUIRED.0 != 0 && !away,
                    ..Observation::default()
                };
                ((self.demands)().map(seen), None)
            }
        };
        Sight {
            source: source.name(),
            seen,
            count,
        }
    }
}

impl Sense for WindowsSense {
    fn observe(&mut self, mono_ms: u64, _: i64) -> Observation {
        let looks = self
            .sources
            .iter()
            .map(|source| self.look(*source, mono_ms));
        self.sights = looks.collect();
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
        // Helpers come and go with people's sessions; the other is there or it is not.
        let gone = |source: &&Source| **source == Source::Display && (self.demands)().is_none();
        let missing = self.sources.iter().filter(gone);
        missing.map(|source| source.name().to_owned()).collect()
    }

    fn sights(&self) -> Vec<Sight> {
        self.sights.clone()
    }

    fn unseen_seconds(&self) -> u64 {
        if self.sources.contains(&Source::Session) {
            self.feed.unseen_seconds()
        } else {
            0
        }
    }
}

/// The program's own key, kept on the disk.
const OWN_KEY: &str = r"SOFTWARE\Classpulse";
/// Below it, where the boot's id is kept: in memory, so that it ends with the boot.
const BOOT_KEY: &str = "Boot";
const BOOT_VALUE: &str = "Id";

/// The boot's id: drawn when it is first asked for, and kept where nothing outlives the system's own memory. Sleep,
/// hibernation and a fast start-up keep that, and so the id: to the agent they are sleep within one boot.
///
/// # Errors
/// Where the registry can't be written, or there is no chance to draw from.
pub fn boot_id() -> std::io::Result<BootId> {
    // Only an administrator may write for the machine; the service does. A person who tries the agent has an id too.
    boot_id_in(LOCAL_MACHINE, OWN_KEY).or_else(|_| boot_id_in(CURRENT_USER, OWN_KEY))
}

/// The program's own key that goes with the boot; only an administrator may write in it, as the service may.
///
/// # Errors
/// Where the registry can't be written.
pub(crate) fn boot_key() -> std::io::Result<Key> {
    boot_key_in(LOCAL_MACHINE, OWN_KEY)
}

fn boot_key_in(root: &Key, own: &str) -> std::io::Result<Key> {
    // First, and by itself: made on the way to the volatile key it would be volatile too, and nothing that is to stay
    // could ever be put in it.
    let own = root.create(own)?;
    let mut options = own.options();
    Ok(options.read().write().create().volatile().open(BOOT_KEY)?)
}

fn boot_id_in(root: &Key, own: &str) -> std::io::Result<BootId> {
    let key = boot_key_in(root, own)?;
    if let Ok(kept) = key.get_value(BOOT_VALUE)
        && let Ok(id) = BootId::try_from(&*kept)
    {
        return Ok(id);
    }
    let id: BootId = rand::random();
    key.set_bytes(BOOT_VALUE, Type::Bytes, &id)?;
    Ok(id)
}

/// The operating system's name, such as "Windows 7 Professional (build 7601)"; "Windows" where it has none.
#[must_use]
pub fn os_name() -> String {
    let key = LOCAL_MACHINE.open(r"SOFTWARE\Microsoft\Windows NT\CurrentVersion");
    let text = |name| key.as_ref().ok().and_then(|key| key.get_string(name).ok());
    let name = text("ProductName").unwrap_or_else(|| "Windows".to_owned());
    match text("CurrentBuild") {
        Some(build) => name_with(name, &build),
        None => name,
    }
}

/// Windows 11 calls itself 10 there; its builds begin with this one.
const WINDOWS_11: u32 = 22_000;

fn name_with(mut name: String, build: &str) -> String {
    if build.parse().is_ok_and(|build: u32| build >= WINDOWS_11) {
        name = name.replace("Windows 10", "Windows 11");
    }
    format!("{name} (build {build})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::{Signs, lack};

    const BOTH: [Source; 2] = [Source::Session, Source::Display];

    fn words(sense: &WindowsSense, mono_ms: u64) -> Vec<String> {
        let sights = sense.sights();
        sights.iter().map(|one| one.words(mono_ms)).collect()
    }

    #[test]
    fn each_source_counts_and_says_so() {
        let feed = Feed::default();
        let mut sense = WindowsSense::new(BOTH.to_vec(), feed.clone(), || Some(3));
        assert!(sense.missing().is_empty());
        let signs = Signs {
            input_ago_ms: Some(500),
            playing: true,
            ..Signs::default()
        };
        feed.hear(1, 1, 45_000, signs);
        let seen = sense.observe(46_000, 0);
        assert_eq!(seen.last_input_mono_ms, Some(44_500));
        assert!(seen.playing && seen.presenting);
        assert_eq!(
            words(&sense, 46_000),
            ["last input 1 s ago, playing (1)", "presenting"]
        );
        // Locked, while a player still asks for the display; then another session is not.
        let away = Signs {
            away: true,
            ..Signs::default()
        };
        feed.hear(1, 1, 46_000, away);
        assert!(!sense.observe(46_500, 0).presenting);
        feed.hear(2, 2, 46_000, Signs::default());
        assert!(sense.observe(46_500, 0).presenting);
        feed.forget(2);
        // The session ends; what was typed in it was typed.
        feed.forget(1);
        sense.demands = || Some(1);
        let seen = sense.observe(47_000, 0);
        assert_eq!(seen.last_input_mono_ms, Some(44_500));
        assert!(!seen.playing && !seen.presenting);
    }

    #[test]
    fn a_source_that_is_not_there_is_named_and_never_guessed() {
        let feed = Feed::default();
        let mut sense = WindowsSense::new(BOTH.to_vec(), feed.clone(), || None);
        assert_eq!(sense.missing(), ["display"]);
        let signs = Signs {
            missing: vec![lack::SOUND.to_owned()],
            ..Signs::default()
        };
        feed.hear(1, 1, 1_000, signs);
        assert_eq!(sense.observe(1_000, 0), Observation::default());
        assert_eq!(words(&sense, 1_000), ["nothing (1)", "missing"]);
        assert_eq!(feed.told(), [lack::SOUND]);
        feed.set_unseen(300);
        assert_eq!(sense.unseen_seconds(), 300);
        let unwanted = open(&[], feed);
        assert!(unwanted.missing().is_empty() && unwanted.sources.is_empty());
        assert_eq!(unwanted.unseen_seconds(), 0, "nobody wants to see it");
    }

    #[test]
    fn a_boot_has_one_id_and_the_next_another() {
        // Not the agent's own, which may run on this machine.
        let own = format!(r"SOFTWARE\Classpulse-test-{}", std::process::id());
        let boot_id = || boot_id_in(CURRENT_USER, &own).unwrap();
        let first = boot_id();
        assert_eq!(boot_id(), first);
        assert_ne!(first, BootId::default());
        let key = CURRENT_USER.create(&own).unwrap();
        // Below a volatile key nothing can be made that is not.
        assert!(key.create("Kept").is_ok(), "the parent stays");
        let boot = key.create(BOOT_KEY).unwrap();
        assert!(boot.create("Kept").is_err(), "the id goes with the boot");
        // What a reboot does to a volatile key.
        key.remove_tree(BOOT_KEY).unwrap();
        assert_ne!(boot_id(), first);
        CURRENT_USER.remove_tree(&own).unwrap();
    }

    #[test]
    fn the_system_has_a_name_and_11_is_not_10() {
        assert!(os_name().contains("Windows"), "{}", os_name());
        let named = |build| name_with("Windows 10 Pro".to_owned(), build);
        assert_eq!(named("19045"), "Windows 10 Pro (build 19045)");
        assert_eq!(named("22631"), "Windows 11 Pro (build 22631)");
    }
}
