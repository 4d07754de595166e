//! Installation on Linux: what a package would put in place where there is none, the configuration, and the service.
//!
//! Not responsible for packages (`deploy/agent/build-deb`), which put the same files elsewhere and call this for the
//! configuration.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

mod files;

use super::{InstallError, InstallOptions, UninstallOptions, configuration, read_authority};
use crate::config::Config;
use files::{Owner, Wanted, put, remove, take_over};

const PROGRAM: &str = "/usr/bin/classpulse-agent";
const CONFIGURATION: &str = "/etc/classpulse-agent/agent.toml";
const AUTHORITY: &str = "/etc/classpulse-agent/ca.pem";
const UNIT: &str = "/etc/systemd/system/classpulse-agent.service";
/// Where a package has its unit.
const PACKAGED_UNIT: &str = "/lib/systemd/system/classpulse-agent.service";
const PACKAGED: &str = "/var/lib/dpkg/info/classpulse-agent.list";
const DROP_IN: &str = "/etc/systemd/system/classpulse-agent.service.d/journal.conf";
const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/classpulse-agent.service";
const STATE: &str = "/var/lib/classpulse-agent";
/// The service's user and group.
const USER: &str = "classpulse-agent";

/// What a package brings, and without one this program does: the same files, which it carries within it.
const BROUGHT: [(&str, &str); 4] = [
    (
        UNIT,
        include_str!("../../../deploy/agent/classpulse-agent.service"),
    ),
    (
        "/etc/sysusers.d/classpulse-agent.conf",
        include_str!("../../../deploy/agent/sysusers.conf"),
    ),
    (
        "/etc/tmpfiles.d/classpulse-agent.conf",
        include_str!("../../../deploy/agent/tmpfiles.conf"),
    ),
    (
        "/etc/xdg/autostart/classpulse-agent-session.desktop",
        include_str!("../../../deploy/agent/classpulse-agent-session.desktop"),
    ),
];

/// Folders that the service doesn't see, or sees empty.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// The machine that is installed on: this one, or an image in a folder.
struct Machine {
    root: PathBuf,
    live: bool,
}

impl Machine {
    fn new(root: Option<&Path>) -> Result<Self, InstallError> {
        let live = root.is_none();
        if live && fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0) {
            return Err(InstallError::NotAllowed("run it as root, by sudo"));
        }
        let root = root.unwrap_or(Path::new("/")).to_owned();
        Ok(Self { root, live })
    }

    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn packaged(&self) -> bool {
        self.at(PACKAGED).exists()
    }

    fn has_systemd(&self) -> bool {
        self.live && Path::new("/run/systemd/system").is_dir()
    }

    /// The service's user and group, once they are there.
    fn service(&self) -> Option<Owner> {
        let id = |file: &str| -> Option<u32> {
            let text = fs::read_to_string(self.at(file)).ok()?;
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(USER)?.strip_prefix(':'))?;
            line.split(':').nth(1)?.parse().ok()
        };
        Some(Owner {
            user: id("/etc/passwd")?,
            group: id("/etc/group")?,
        })
    }
}

/// See [`super::install`].
///
/// # Errors
/// [`InstallError`].
pub fn install(options: &InstallOptions) -> Result<Vec<String>, InstallError> {
    let machine = Machine::new(options.root.as_deref())?;
    // Everything that can be wrong with what was said, before anything is touched.
    let authority = options.ca.as_deref().map(read_authority).transpose()?;
    let existing = match fs::read_to_string(machine.at(CONFIGURATION)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(InstallError::file(&machine.at(CONFIGURATION), "read")(
                error,
            ));
        }
    };
    let copy = authority.is_some().then_some(Path::new(AUTHORITY));
    let text = configuration(&existing, options, copy)?;
    let journal = journal_folder(&text)?;

    let mut done = Done::default();
    if machine.packaged() {
        // An earlier installation without the package would hide the package's unit.
        done.say(
            remove(&machine.at(UNIT))?,
            "旧服务单元 old unit removed",
            UNIT,
        );
    } else {
        bring(&machine, &mut done)?;
    }
    make_user(&machine, &mut done);
    if let Some(authority) = authority {
        let wanted = Wanted::readable(authority.as_bytes());
        done.say(
            put(&machine.at(AUTHORITY), &wanted)?,
            "根证书 authority",
            AUTHORITY,
        );
    }
    keep_journal(&machine, journal.as_deref(), &mut done)?;
    let wanted = Wanted::secret(text.as_bytes(), machine.service());
    done.say(
        put(&machine.at(CONFIGURATION), &wanted)?,
        "配置 configuration",
        CONFIGURATION,
    );
    start(&machine, &mut done)?;
    Ok(done.lines)
}

/// What was done, for whoever installs.
#[derive(Default)]
struct Done {
    lines: Vec<String>,
    changed: bool,
}

impl Done {
    fn say(&mut self, changed: bool, what: &str, path: &str) {
        if changed {
            self.changed = true;
            self.lines.push(format!("{what}: {path}"));
        }
    }

    fn note(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }
}

/// The folder of the journal, where the configuration names one that is not the service's own.
fn journal_folder(configuration: &str) -> Result<Option<PathBuf>, InstallError> {
    let table: toml::Table = super::read(configuration)?;
    let Some(journal) = table.get("journal").and_then(toml::Value::as_str) else {
        return Ok(None);
    };
    let journal = Path::new(journal);
    let wrong = |problem: String| InstallError::Option {
        key: "journal",
        problem,
    };
    let folder = journal.parent().filter(|_| journal.is_absolute());
    let Some(folder) = folder.filter(|folder| *folder != Path::new("/")) else {
        return Err(wrong(
            "must be the full path of a file in a folder of its own".to_owned(),
        ));
    };
    if let Some(hidden) = HIDDEN.iter().find(|hidden| folder.starts_with(hidden)) {
        return Err(wrong(format!("the service does not see {hidden}")));
    }
    Ok((!folder.starts_with(STATE)).then(|| folder.to_owned()))
}

/// Puts the program and the files that belong to it in place.
fn bring(machine: &Machine, done: &mut Done) -> Result<(), InstallError> {
    let own = std::env::current_exe().map_err(InstallError::file(
        Path::new("/proc/self/exe"),
        "find this program",
    ))?;
    let there = machine.at(PROGRAM);
    if fs::canonicalize(&own).ok() != fs::canonicalize(&there).ok() {
        let bytes = fs::read(&own).map_err(InstallError::file(&own, "read"))?;
        done.say(
            put(&there, &Wanted::program(&bytes))?,
            "程序 program",
            PROGRAM,
        );
    }
    for (path, text) in BROUGHT {
        let wanted = Wanted::readable(text.as_bytes());
        done.say(put(&machine.at(path), &wanted)?, "文件 file", path);
    }
    Ok(())
}

/// The service's user: by systemd, else by what every Linux has. Where neither can, the line says what is missing.
fn make_user(machine: &Machine, done: &mut Done) {
    if machine.service().is_some() {
        return;
    }
    let root = format!("--root={}", machine.root.display());
    run("systemd-sysusers", &[&root, "classpulse-agent.conf"]).ok();
    if machine.service().is_none() && machine.live {
        let groups = ["input", "systemd-journal"];
        for group in groups {
            run("groupadd", &["--system", "--force", group]).ok();
        }
        let shell = "--shell=/usr/sbin/nologin";
        let home = format!("--home-dir={STATE}");
        run("useradd", &["--system", "--user-group", &home, shell, USER]).ok();
    }
    match machine.service() {
        Some(_) => done.say(true, "用户 user", USER),
        None => done.note(format!(
            "还没有用户 {USER},请先建好 / there is no user {USER} yet: make it before the first start"
        )),
    }
}

/// Opens the journal's folder to the service, which may write nowhere else, and closes one that is not used any more.
fn keep_journal(
    machine: &Machine,
    folder: Option<&Path>,
    done: &mut Done,
) -> Result<(), InstallError> {
    let drop_in = machine.at(DROP_IN);
    let Some(folder) = folder else {
        done.say(remove(&drop_in)?, "移除 removed", DROP_IN);
        return Ok(());
    };
    let there = machine.at(folder);
    if !take_over(&there, machine.service())? && machine.service().is_some() {
        let folder = folder.display();
        done.note(format!(
            "{folder} 属于别人,请让用户 {USER} 能写 / belongs to another: let the user {USER} write there"
        ));
    }
    // A partition that is missing one day must not keep the agent from starting: it then works from memory.
    let text = format!(
        "# Made by `classpulse-agent install`: the journal lies outside {STATE}.\n[Service]\nReadWritePaths=-{}\n",
        folder.display()
    );
    done.say(
        put(&drop_in, &Wanted::readable(text.as_bytes()))?,
        "日志位置 journal",
        DROP_IN,
    );
    Ok(())
}

fn start(machine: &Machine, done: &mut Done) -> Result<(), InstallError> {
    if machine.has_systemd() {
        // Marks of the hardware are opened now, as they are at every start of the machine.
        run("systemd-tmpfiles", &["--create", "classpulse-agent.conf"]).ok();
        service(&["daemon-reload"])?;
        service(&["enable", USER])?;
        // Nothing new: an agent that runs is not disturbed.
        let verb = if done.changed { "restart" } else { "start" };
        service(&[verb, USER])?;
        done.note("服务已启动 the service runs; classpulse-agent doctor");
    } else if machine.live {
        // systemd would make it at the first start.
        take_over(&machine.at(STATE), None)?;
        done.note(format!(
            "本机没有 systemd:请用系统自己的办法,开机时以 root 运行 / no systemd here: at every start of the machine, \
             let its own means run as root: {PROGRAM} run --config {CONFIGURATION}"
        ));
    } else {
        let unit = if machine.packaged() {
            PACKAGED_UNIT
        } else {
            UNIT
        };
        done.say(
            files::link(&machine.at(ENABLED), unit)?,
            "开机启动 enabled",
            ENABLED,
        );
    }
    Ok(())
}

/// See [`super::uninstall`].
///
/// # Errors
/// [`InstallError`].
pub fn uninstall(options: &UninstallOptions) -> Result<Vec<String>, InstallError> {
    let machine = Machine::new(options.root.as_deref())?;
    if machine.packaged() {
        return Err(InstallError::Packaged(if options.purge {
            "apt-get purge classpulse-agent"
        } else {
            "apt-get remove classpulse-agent"
        }));
    }
    let mut done = Done::default();
    let runs = machine.has_systemd() && machine.at(UNIT).exists();
    if runs {
        service(&["disable", "--now", USER])?;
    }
    // Read before it goes: it knows where the journal lies.
    let configuration = fs::read_to_string(machine.at(CONFIGURATION)).unwrap_or_default();
    let brought = BROUGHT.iter().map(|(path, _)| *path);
    for path in brought.chain([ENABLED, DROP_IN, PROGRAM]) {
        done.say(remove(&machine.at(path))?, "移除 removed", path);
    }
    if options.purge {
        purge(&machine, &configuration, &mut done)?;
    } else {
        done.note(format!(
            "保留 kept: {CONFIGURATION}, {STATE} (--purge 一并删除 removes them)"
        ));
    }
    if runs {
        service(&["daemon-reload"])?;
    }
    Ok(done.lines)
}

/// The user stays: files of its may lie where nobody looks, and another must not get its number.
fn purge(machine: &Machine, configuration: &str, done: &mut Done) -> Result<(), InstallError> {
    // Outside the agent's own folder: the journal, and the identity that lies beside it unless it is said where.
    if let Ok(config) = Config::parse(configuration, Path::new(CONFIGURATION)) {
        let kept = [config.journal, config.identity];
        for path in kept.iter().filter(|path| path.is_absolute()) {
            for path in super::beside(&machine.at(path)) {
                done.say(remove(&path)?, "移除 removed", &path.to_string_lossy());
            }
        }
    }
    for folder in ["/etc/classpulse-agent", STATE] {
        let path = machine.at(folder);
        match fs::remove_dir_all(&path) {
            Ok(()) => done.say(true, "移除 removed", folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(InstallError::file(&path, "remove")(error)),
        }
    }
    Ok(())
}

fn service(words: &[&str]) -> Result<(), InstallError> {
    run("systemctl", words).map_err(|source| InstallError::Service {
        action: words.join(" "),
        source,
    })
}

fn run(program: &str, words: &[&str]) -> io::Result<()> {
    let output = Command::new(program).args(words).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{program}: {}", said.trim())))
}

#[cfg(test)]
mod tests;
