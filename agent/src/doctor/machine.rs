//! The checks of the machine itself.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use classpulse_proto::v1::Hardware;
use serde_json::Value;

use super::{Check, Finding, Mend, Outcome};
use crate::{
    chain::chain,
    clock::{Clock as _, SystemClock},
    config::Config,
    hardware::{self, Likeness, likeness},
    identity::{Identity, IdentityFile},
    journal::FileJournal,
    local::Feed,
    sense::{Sense as _, machine},
};

/// What a write of the journal must find room for, bytes.
const ROOM: usize = 256 * 1024;

/// Journal, identity, clock.
pub(super) fn files(config: &Config) -> Vec<Finding> {
    let found = IdentityFile::new(config.identity.clone()).look();
    let identity = match config.terminal.as_deref() {
        Some(terminal) => Outcome::Well(format!("{terminal}, named by hand")),
        None => self::identity(
            found.said.as_ref(),
            &hardware::here(&config.hardware_root),
            config.code.is_some(),
        ),
    };
    vec![
        Finding::new(Check::Journal, journal(&config.journal)),
        Finding::new(Check::Identity, identity),
    ]
}

pub(super) fn journal(path: &Path) -> Outcome {
    let loaded = FileJournal::new(path.to_owned()).look();
    if let Err(error) = probe(path) {
        let mend = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Mend::DiskFull,
            _ => Mend::JournalFolder,
        };
        return Outcome::Wrong(format!("{}: {error}", path.display()), mend);
    }
    match loaded.troubles.first() {
        Some(trouble) => Outcome::Wrong(chain(trouble), Mend::JournalBad),
        None => Outcome::Well(path.display().to_string()),
    }
}

/// Writes as much as a journal may have beside it, and takes it away.
fn probe(path: &Path) -> io::Result<()> {
    let mut name = path.to_owned().into_os_string();
    name.push(".doctor");
    let written = fs::File::create(&name).and_then(|mut file| {
        file.write_all(&vec![0; ROOM])
            .and_then(|()| file.sync_all())
    });
    let removed = fs::remove_file(&name);
    written.and(removed)
}

pub(super) fn identity(found: Option<&Identity>, here: &Hardware, code: bool) -> Outcome {
    let known = found.and_then(|identity| identity.hardware.as_ref());
    if known.is_some_and(|known| likeness(known, here) == Likeness::Other) {
        return Outcome::Wrong("given to other hardware".to_owned(), Mend::ForeignIdentity);
    }
    if *here == Hardware::default() {
        return Outcome::Wrong(
            "this machine tells nothing of itself".to_owned(),
            Mend::NoHardware,
        );
    }
    match found.filter(|identity| identity.is_enrolled()) {
        Some(identity) => Outcome::Well(format!("{} {}", identity.terminal, identity.school)),
        None if code => Outcome::Wrong("not enrolled yet".to_owned(), Mend::NotEnrolled),
        None => Outcome::Wrong("not enrolled, no code".to_owned(), Mend::NoCode),
    }
}

/// Clock, input devices, each source, helpers: the running agent's word, else a look of one's own.
pub(super) fn sensing(config: &Config, agent: &Value) -> Vec<Finding> {
    let mut findings = vec![Finding::new(Check::Clock, clock(agent))];
    #[cfg(target_os = "linux")]
    findings.push(Finding::new(Check::Input, input(Path::new("/dev/input"))));
    let missing = match agent["sensing"].as_array() {
        Some(sources) => sources
            .iter()
            .filter(|source| source["there"] == false)
            .filter_map(|source| source["source"].as_str().map(str::to_owned))
            .collect(),
        None => machine::open(&config.sources, Feed::default()).missing(),
    };
    for source in machine::SOURCES {
        if !config.sources.iter().any(|wanted| wanted == source) {
            continue;
        }
        let outcome = if missing.iter().any(|name| name == source) {
            Outcome::Remark("missing".to_owned(), Mend::Source)
        } else {
            Outcome::Well(words(agent, source))
        };
        findings.push(Finding::new(Check::Source(source), outcome));
    }
    findings.push(Finding::new(Check::Helper, helper(agent)));
    let devices = missing.iter().all(|name| name != "evdev");
    findings.push(Finding::new(Check::Use, sees_use(config, devices, agent)));
    findings
}

/// Whether anything sees people's input. Each source may be missing; without any of these no minute of use is counted.
/// Terminals' times and the desktop's idle hint are not taken for such: most desktops let neither of them tell.
pub(super) fn sees_use(config: &Config, devices: bool, agent: &Value) -> Outcome {
    let wanted = |source: &str| config.sources.iter().any(|name| name == source);
    let helpers = of(agent, "session").and_then(|seen| seen["count"].as_u64());
    let mut seeing = Vec::new();
    if wanted("evdev") && devices {
        seeing.push("evdev");
    }
    if wanted("session") && helpers.is_some_and(|count| count > 0) {
        seeing.push("session");
    }
    if !seeing.is_empty() {
        Outcome::Well(seeing.join(", "))
    } else if wanted("session") && !agent.is_object() {
        Outcome::Untold("only a running agent hears session helpers".to_owned())
    } else {
        Outcome::Wrong("nothing".to_owned(), Mend::Use)
    }
}

fn of<'a>(agent: &'a Value, source: &str) -> Option<&'a Value> {
    let sources = agent["sensing"].as_array()?;
    sources.iter().find(|seen| seen["source"] == source)
}

fn words(agent: &Value, source: &str) -> String {
    let said = of(agent, source).and_then(|seen| seen["words"].as_str());
    said.unwrap_or("there").to_owned()
}

pub(super) fn helper(agent: &Value) -> Outcome {
    match of(agent, "session") {
        None => Outcome::Untold("only a running agent hears them".to_owned()),
        Some(seen) => match seen["count"].as_u64() {
            Some(count) if count > 0 => Outcome::Well(format!("{count}")),
            _ => Outcome::Remark("none".to_owned(), Mend::Helper),
        },
    }
}

pub(super) fn clock(agent: &Value) -> Outcome {
    let clock = &agent["clock"];
    if clock["trusted"] == true {
        let off = clock["system_off_seconds"].as_i64().unwrap_or(0);
        return Outcome::Well(format!("known; the system's clock is off by {off} s"));
    }
    if agent.is_object() {
        return Outcome::Wrong("not known in this boot yet".to_owned(), Mend::Clock);
    }
    if SystemClock.now().wall_synced {
        Outcome::Well("network time".to_owned())
    } else {
        Outcome::Untold("only a running agent knows, from the server".to_owned())
    }
}

/// Whether devices are there and may be read.
#[cfg(target_os = "linux")]
pub(super) fn input(folder: &Path) -> Outcome {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let devices: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("event"))
        .collect();
    let refused = devices
        .iter()
        .find_map(|entry| fs::File::open(entry.path()).err());
    match refused {
        Some(error) => Outcome::Remark(error.to_string(), Mend::Input),
        None if devices.is_empty() => Outcome::Untold("there is none".to_owned()),
        None => Outcome::Well(format!("{}", devices.len())),
    }
}

/// Whether the service starts with the machine, and runs now.
pub(super) fn service(agent: &Value) -> Finding {
    let outcome = match (enabled(), agent.is_object()) {
        (None, true) => {
            Outcome::Untold("runs, and not by a service manager that is known".to_owned())
        }
        (None, false) => Outcome::Untold("there is no service manager that is known".to_owned()),
        (Some(false), _) => Outcome::Wrong("not enabled".to_owned(), Mend::ServiceMissing),
        (Some(true), false) => Outcome::Wrong("does not answer".to_owned(), Mend::ServiceStopped),
        (Some(true), true) => Outcome::Well("enabled, running".to_owned()),
    };
    Finding::new(Check::Service, outcome)
}

/// `None` where nobody can say.
#[cfg(not(windows))]
fn enabled() -> Option<bool> {
    if !Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    asked("systemctl", &["is-enabled", "--quiet", "classpulse-agent"])
}

/// `None` where nobody can say.
#[cfg(windows)]
fn enabled() -> Option<bool> {
    asked("sc.exe", &["query", "ClasspulseAgent"])
}

fn asked(program: &str, arguments: &[&str]) -> Option<bool> {
    let ended = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    ended.ok().map(|status| status.success())
}
