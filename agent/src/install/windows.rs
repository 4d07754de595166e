//! Installation on Windows: program, configuration, folders closed to pupils, and the service.
//!
//! The program is one of the console, so that `cmd`, PowerShell and a silent installation wait for it, read what it says
//! and learn its exit code; one of windows is waited for by neither shell. What is started without a console of its own
//! would show a black window, so only the service starts helpers, without any.
//!
//! Not responsible for what the service does (`service_windows`), helpers among it.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::windows::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use windows_registry::LOCAL_MACHINE;

mod closed;
mod files;
mod service;

use super::{InstallError, InstallOptions, UninstallOptions, configuration, read_authority};
use crate::{
    config::Config,
    folders::{Folders, PROGRAM},
    win32::{self, Owner},
};
use closed::{CLOSED, Guard};
use files::{put, remove};

/// Programs that are started at every logon, and the name under which the helper was one of them.
const RUN_KEY: &str = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Run";
const RUN_VALUE: &str = "ClasspulseAgent";
/// No black window flashes up.
const NO_WINDOW: u32 = 0x0800_0000;

/// The machine that is installed on: this one, or an image in a folder.
struct Machine {
    folders: Folders,
    live: bool,
}

impl Machine {
    fn new(root: Option<&Path>) -> Result<Self, InstallError> {
        if root.is_none() && !service::may_install() {
            return Err(InstallError::NotAllowed(
                "run it as administrator / 请以管理员身份运行",
            ));
        }
        Ok(Self {
            folders: root.map_or_else(Folders::here, Folders::under),
            live: root.is_none(),
        })
    }
}

/// What was done, for whoever installs.
#[derive(Default)]
struct Done {
    lines: Vec<String>,
    changed: bool,
}

impl Done {
    fn say(&mut self, changed: bool, what: &str, path: &Path) {
        if changed {
            self.changed = true;
            self.lines.push(format!("{what}: {}", path.display()));
        }
    }

    fn note(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }
}

/// See [`super::install`].
///
/// # Errors
/// [`InstallError`].
pub fn install(options: &InstallOptions) -> Result<Vec<String>, InstallError> {
    let machine = Machine::new(options.root.as_deref())?;
    let folders = &machine.folders;
    // Everything that can be wrong with what was said, before anything is touched.
    let authority = options.ca.as_deref().map(read_authority).transpose()?;
    let mut done = Done::default();
    let guard = Guard::new();
    // Nothing in it is read before it is closed, and nothing at all of a stranger's.
    let trusted = guard.take(&folders.data, &mut done)?;
    let existing = if trusted {
        read_configuration(folders)?
    } else {
        String::new()
    };
    let copy = authority.is_some().then(|| Folders::here().authority());
    let text = configuration(&existing, options, copy.as_deref())?;
    let journal = journal_folder(&text)?;
    if let Some((folder, file)) = journal.as_ref().filter(|_| machine.live) {
        of_its_own(folder, file)?;
    }

    if !trusted {
        guard.make(&folders.data, &mut done)?;
    }
    if let Some((folder, _)) = journal.filter(|_| machine.live) {
        keep_journal(&guard, &folder, &mut done)?;
    }
    if let Some(authority) = authority {
        let changed = put(&folders.authority(), authority.as_bytes())?;
        done.say(changed, "根证书 authority", &folders.authority());
    }
    let changed = put(&folders.configuration(), text.as_bytes())?;
    done.say(changed, "配置 configuration", &folders.configuration());
    bring(&machine, &mut done)?;
    if machine.live {
        let service =
            service::register(&folders.program()).map_err(asked("register the service"))?;
        if let Err(error) = service::recover(&service) {
            done.note(format!(
                "失败后自动重启未能全部设好 restarting after failures is not all set: {error}"
            ));
        }
        drop(service);
        not_at_logon().map_err(asked("forget the helper at logon"))?;
        let started = service::start(done.changed).map_err(asked("start the service"))?;
        done.note(if started {
            "服务已启动 the service runs; classpulse-agent doctor"
        } else {
            "服务一直在运行 the service ran already; classpulse-agent doctor"
        });
    }
    Ok(done.lines)
}

/// See [`super::uninstall`].
///
/// # Errors
/// [`InstallError`].
pub fn uninstall(options: &UninstallOptions) -> Result<Vec<String>, InstallError> {
    let machine = Machine::new(options.root.as_deref())?;
    let folders = &machine.folders;
    let mut done = Done::default();
    // Read before it goes: it knows where the journal lies. A stranger's is not heard on what is to be removed.
    let trusted = Guard::new().take(&folders.data, &mut done).unwrap_or(false);
    let configuration = if trusted {
        read_configuration(folders).unwrap_or_default()
    } else {
        String::new()
    };
    if machine.live {
        if service::remove().map_err(asked("remove the service"))? {
            done.note("服务已移除 the service is removed");
        }
        not_at_logon().map_err(asked("forget the helper at logon"))?;
        end_helpers();
    }
    take_away(&folders.programs, &mut done)?;
    if options.purge {
        purge(&machine, &configuration, &mut done)?;
    } else if folders.data.exists() {
        done.note(format!(
            "保留 kept: {} (--purge 一并删除 removes it)",
            folders.data.display()
        ));
    }
    Ok(done.lines)
}

/// For `map_err`: what the system was asked.
fn asked(action: &'static str) -> impl FnOnce(io::Error) -> InstallError {
    move |source| InstallError::Service {
        action: action.to_owned(),
        source,
    }
}

/// What is configured; nothing where nothing is.
fn read_configuration(folders: &Folders) -> Result<String, InstallError> {
    let path = folders.configuration();
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(InstallError::file(&path, "read")),
    }
}

/// The folder of the journal and its name there, where the configuration names one.
fn journal_folder(configuration: &str) -> Result<Option<(PathBuf, OsString)>, InstallError> {
    let table: toml::Table = super::read(configuration)?;
    let Some(journal) = table.get("journal").and_then(toml::Value::as_str) else {
        return Ok(None);
    };
    let journal = Path::new(journal);
    let folder = journal.parent().filter(|_| journal.is_absolute());
    let folder = folder.filter(|folder| folder.parent().is_some());
    match folder.zip(journal.file_name()) {
        Some((folder, file)) => Ok(Some((folder.to_owned(), file.to_owned()))),
        None => Err(InstallError::Option {
            key: "journal",
            problem: r"must be the full path of a file in a folder of its own, such as D:\Classpulse\journal"
                .to_owned(),
        }),
    }
}

/// The journal's folder will be closed to all others: it must hold nothing else.
fn of_its_own(folder: &Path, journal: &OsStr) -> Result<(), InstallError> {
    let Ok(entries) = fs::read_dir(folder) else {
        // Not there yet, or nothing that can be looked into: what is wrong with it is found when it is made.
        return Ok(());
    };
    let ours = [journal, OsStr::new("identity")].map(OsStr::to_string_lossy);
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !ours.iter().any(|ours| name.starts_with(&**ours)) {
            return Err(InstallError::Option {
                key: "journal",
                problem: format!(
                    r"{} holds {name} too; it is closed to others, so name a folder of its own, such as D:\Classpulse\journal",
                    folder.display()
                ),
            });
        }
    }
    Ok(())
}

/// The journal's folder, where that is another: the identity lies there too, so it is closed. It may be on any partition,
/// where it is not ours to move.
fn keep_journal(guard: &Guard, folder: &Path, done: &mut Done) -> Result<(), InstallError> {
    // Only an empty folder or a link goes by this, and another is made: an empty one may be a stranger's too.
    match fs::remove_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(_) if folder.is_dir() => {
            if guard.is_strange(folder)? {
                // Closed all the same; but whose it is may open it again.
                if let Some(found) = win32::look(folder).ok().flatten() {
                    found
                        .close(CLOSED)
                        .map_err(InstallError::file(folder, "close it to others"))?;
                }
                done.note(format!(
                    "该文件夹不是管理员所建,请核对其中内容 not made by an administrator, look at what is in it: {}",
                    folder.display()
                ));
            } else {
                guard.take(folder, done)?;
            }
            return Ok(());
        }
        Err(error) => return Err(InstallError::file(folder, "make")(error)),
    }
    guard.make(folder, done)?;
    done.say(true, "日志位置 journal", folder);
    let found = win32::look(folder).map_err(InstallError::file(folder, "look at"))?;
    if found.is_none_or(|found| found.owner != Owner::Trusted) {
        // A file system without owners (FAT) lets in everybody.
        done.note("该文件夹未能对普通用户关闭 pupils can read this folder");
    }
    Ok(())
}

/// Puts this program in its place. A program that runs can't be written over: the service stops first, and what still
/// runs goes on under another name.
fn bring(machine: &Machine, done: &mut Done) -> Result<(), InstallError> {
    let own =
        std::env::current_exe().map_err(InstallError::file(Path::new("."), "find this program"))?;
    let there = machine.folders.program();
    if fs::canonicalize(&own).ok() == fs::canonicalize(&there).ok() {
        return Ok(());
    }
    let bytes = fs::read(&own).map_err(InstallError::file(&own, "read"))?;
    if fs::read(&there).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if machine.live {
        service::stop().map_err(asked("stop the service"))?;
        end_helpers();
    }
    let before = there.with_extension("old.exe");
    // Of the upgrade before; where it still runs, it stays until the next.
    fs::remove_file(&before).ok();
    match fs::rename(&there, &before) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(InstallError::file(&there, "put aside")(error)),
    }
    let put = put(&there, &bytes);
    if put.is_err() {
        // A terminal without a program is worse than one with an old one.
        fs::rename(&before, &there).ok();
        service::start(false).ok();
    }
    done.say(put?, "程序 program", &there);
    fs::remove_file(&before).ok();
    Ok(())
}

/// Helpers in people's sessions; the service starts new ones. Where it can't, they go on as they are.
fn end_helpers() {
    win32::end_others(PROGRAM).ok();
}

/// Earlier versions had the helper started at every logon too, which showed a black window to whoever logged on.
fn not_at_logon() -> io::Result<()> {
    let key = LOCAL_MACHINE.create(RUN_KEY)?;
    match key.get_string(RUN_VALUE) {
        Ok(_) => key.remove_value(RUN_VALUE).map_err(io::Error::from),
        // Not there.
        Err(_) => Ok(()),
    }
}

/// Removes the program's folder; a program that runs from it removes it when it has ended.
fn take_away(folder: &Path, done: &mut Done) -> Result<(), InstallError> {
    if remove(folder)? {
        done.say(true, "移除 removed", folder);
        return Ok(());
    }
    if !folder.exists() {
        return Ok(());
    }
    // Some seconds later, by the system's shell, which is not in the folder. All by its full name, in a folder where only
    // the system puts programs: in any other somebody else's `ping` would be an administrator's.
    let system = win32::system_folder().ok_or(io::ErrorKind::NotFound);
    let system = system
        .map_err(io::Error::from)
        .map_err(InstallError::file(folder, "remove"))?;
    let later = format!(
        "\"{}\" -n 4 127.0.0.1 >nul & rmdir /s /q \"{}\"",
        system.join("ping.exe").display(),
        folder.display()
    );
    Command::new(system.join("cmd.exe"))
        .raw_arg(format!("/d /s /c \"{later}\""))
        .current_dir(&system)
        .creation_flags(NO_WINDOW)
        .spawn()
        .map_err(InstallError::file(folder, "remove"))?;
    done.say(true, "几秒后移除 removed in some seconds", folder);
    Ok(())
}

fn purge(machine: &Machine, configuration: &str, done: &mut Done) -> Result<(), InstallError> {
    // Outside the agent's own folder: the journal, and the identity that lies beside it unless it is said where.
    let there = machine.folders.configuration();
    if machine.live
        && let Ok(config) = Config::parse(configuration, &there)
    {
        let kept = [config.journal, config.identity];
        for path in kept.iter().filter(|path| path.is_absolute()) {
            for path in super::beside(path) {
                done.say(remove(&path)?, "移除 removed", &path);
            }
        }
    }
    let folder = &machine.folders.data;
    done.say(remove(folder)?, "移除 removed", folder);
    if folder.exists() {
        let in_use = io::Error::from(io::ErrorKind::ResourceBusy);
        return Err(InstallError::file(folder, "remove")(in_use));
    }
    Ok(())
}
