//! The Windows program under Wine: installed, run by the service manager, upgraded in place, uninstalled.
//!
//! What Wine can't show: it has one session and nobody who logs on; its disk keeps no owners, so that a stranger's folder
//! is put aside is not seen here (see the agent's own tests), and of who may open a folder only whether everybody may; it
//! keeps no recovery actions, so an agent that is killed is not started again; it never says `Preshutdown`, nor that the
//! machine sleeps; it lets anybody be an administrator.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use crate::agent_windows::{Windows, made};

const SERVICE: &str = "ClasspulseAgent";
/// What is started at every logon.
const RUN_KEY: &str = r"HKLM\Software\Microsoft\Windows\CurrentVersion\Run";
/// Wine on a busy machine; nothing that is asked takes that long.
const SECONDS: &str = "120";

/// A Windows machine of this test's own.
struct Wine(Windows);

impl Wine {
    fn new() -> Self {
        Self(Windows::start(None))
    }

    fn folder(&self) -> &Path {
        self.0.folder.path()
    }

    /// A path on its system drive.
    fn drive(&self, path: &str) -> PathBuf {
        self.folder().join("wine/drive_c").join(path)
    }

    fn run(&self, program: impl AsRef<Path>, words: &[&str]) -> Output {
        // Output goes to files: the service outlives its installer and would keep a pipe open.
        let (out, err) = (self.folder().join("out"), self.folder().join("err"));
        let status = self
            .0
            .command("timeout")
            .args([SECONDS, "wine"])
            .arg(program.as_ref())
            .args(words)
            .stdout(fs::File::create(&out).unwrap())
            .stderr(fs::File::create(&err).unwrap())
            .status()
            .unwrap();
        Output {
            status,
            stdout: fs::read(out).unwrap(),
            stderr: fs::read(err).unwrap(),
        }
    }

    fn install(&self, program: &Path, words: &[&str]) -> String {
        let mut all = vec!["install"];
        all.extend(words);
        said(&self.run(program, &all))
    }

    /// What the service manager says, such as "RUNNING"; `None` where it knows no such service.
    fn state(&self) -> Option<String> {
        let output = self.run("sc", &["query", SERVICE]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| line.contains("STATE"))?;
        line.split_whitespace().last().map(str::to_owned)
    }

    fn waits_for(&self, state: &str) {
        for _ in 0..50 {
            if self.state().as_deref() == Some(state) {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("{state}: {:?}\n{}", self.state(), self.log());
    }

    /// Waits until a helper speaks.
    fn is_helped(&self, program: &Path) {
        let mut text = String::new();
        for _ in 0..50 {
            let output = self.run(program, &["status"]);
            text = String::from_utf8_lossy(&output.stdout).into_owned();
            let helped = |line: &str| line.contains(" session ") && line.ends_with("(1)");
            if text.lines().any(helped) {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("{text}\n{}", self.log());
    }

    /// Processes of the installed program that were started with this word, by this machine's numbers.
    fn processes(&self, word: &str) -> Vec<u32> {
        let prefix = format!("WINEPREFIX={}", self.folder().join("wine").display());
        let ours = |number: &u32| {
            let said = |what| fs::read(format!("/proc/{number}/{what}")).unwrap_or_default();
            let words = said("cmdline");
            let mut words = words.split(|byte| *byte == 0);
            let program = words.next().unwrap_or_default();
            let installed = br"C:\Program Files\Classpulse\classpulse-agent.exe";
            let environment = said("environ");
            program == installed
                && words.next() == Some(word.as_bytes())
                && environment
                    .split(|byte| *byte == 0)
                    .any(|one| one == prefix.as_bytes())
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter(ours).collect()
    }

    fn starts_at_logon(&self) -> bool {
        let output = self.run("reg", &["query", RUN_KEY, "/v", SERVICE]);
        output.status.success()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.drive("ProgramData/Classpulse/agent.log")).unwrap_or_default()
    }
}

/// What others than its owner and group may do with a folder, in the bits that Wine makes of who is let in: 4 look into
/// it, 2 write, 1 open what is in it. Wine adds what the folder above says to a folder that was there before, whatever
/// it is told: there only writing tells.
fn others_may(folder: &Path) -> u32 {
    fs::metadata(folder).unwrap().permissions().mode() & 0o007
}

/// Lets everybody in, as a pupil would have made it.
fn open(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}{error}", output.status);
    text
}

#[test]
fn a_terminal_is_installed_upgraded_and_uninstalled() {
    let program = made("target/dist/classpulse-agent.exe");
    let wine = Wine::new();
    let installed = wine.drive("Program Files/Classpulse/classpulse-agent.exe");
    let configuration = wine.drive("ProgramData/Classpulse/agent.toml");
    assert_eq!(wine.state(), None);

    // What is wrong is said before anything is touched.
    for (words, code) in [
        (vec!["install"], 2),
        (vec!["install", "--server", "nowhere"], 2),
        (
            vec!["install", "--server", "10.1.2.3:8883", "--ca", r"C:\no.pem"],
            1,
        ),
        (
            vec![
                "install",
                "--server",
                "10.1.2.3:8883",
                "--plain",
                "--journal",
                "here",
            ],
            2,
        ),
        // The root of a drive is nobody's to close.
        (
            vec![
                "install",
                "--server",
                "10.1.2.3:8883",
                "--plain",
                "--journal",
                r"C:\j",
            ],
            2,
        ),
    ] {
        let output = wine.run(&program, &words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
        assert!(!installed.exists() && !configuration.exists(), "{words:?}");
    }

    // As an earlier version has left it.
    let old = r"C:\old.exe session";
    said(&wine.run("reg", &["add", RUN_KEY, "/v", SERVICE, "/d", old, "/f"]));
    assert!(wine.starts_at_logon());

    // One line, and it runs; nothing answers at the server's port, which is not the installer's trouble.
    let lines = wine.install(&program, &["--server", "127.0.0.1:9"]);
    assert!(lines.contains("服务已启动"), "{lines}");
    wine.waits_for("RUNNING");
    assert_eq!(fs::read(&installed).unwrap(), fs::read(&program).unwrap());
    assert_eq!(
        fs::read_to_string(&configuration).unwrap(),
        "server = \"127.0.0.1:9\"\n"
    );
    assert!(!wine.starts_at_logon(), "a black window at every logon");
    // The service alone starts the session's helper, and hears it.
    wine.is_helped(&program);
    assert!(wine.log().contains("sensing"), "{}", wine.log());

    // Again: nothing to do, and the agent is not disturbed.
    let before = wine.log().matches("sensing").count();
    let lines = wine.install(&program, &[]);
    assert!(lines.contains("一直在运行"), "{lines}");
    assert_eq!(wine.log().matches("sensing").count(), before);

    // Stopped in order, by the service manager's word, and started again.
    said(&wine.run("sc", &["stop", SERVICE]));
    wine.waits_for("STOPPED");
    assert!(wine.log().contains("stopping"), "{}", wine.log());
    assert!(wine.drive("ProgramData/Classpulse/journal").exists());
    said(&wine.run("sc", &["start", SERVICE]));
    wine.waits_for("RUNNING");

    // A new version, while the old one runs: what is configured by hand stays.
    fs::write(
        &configuration,
        "server = \"127.0.0.1:9\"\nidle_seconds = 600\n",
    )
    .unwrap();
    let newer = wine.folder().join("newer.exe");
    let mut bytes = fs::read(&program).unwrap();
    bytes.extend_from_slice(b"newer");
    fs::write(&newer, &bytes).unwrap();
    let lines = wine.install(&newer, &["--server", "127.0.0.1:10"]);
    assert!(lines.contains("程序 program"), "{lines}");
    wine.waits_for("RUNNING");
    wine.is_helped(&program);
    assert_eq!(fs::read(&installed).unwrap(), bytes);
    assert_eq!(
        fs::read_to_string(&configuration).unwrap(),
        "server = \"127.0.0.1:10\"\nidle_seconds = 600\n"
    );
    assert!(wine.log().contains("127.0.0.1:10"), "{}", wine.log());

    // Away: what was measured stays, until that is told to go too.
    let lines = said(&wine.run(&program, &["uninstall"]));
    assert!(lines.contains("服务已移除"), "{lines}");
    assert_eq!(wine.state(), None);
    assert!(!installed.exists() && !wine.starts_at_logon());
    assert!(configuration.exists());
    said(&wine.run(&program, &["uninstall", "--purge"]));
    assert!(!wine.drive("ProgramData/Classpulse").exists());
    said(&wine.run(&program, &["uninstall", "--purge"]));
}

#[test]
fn an_installed_program_uninstalls_itself() {
    let program = made("target/dist/classpulse-agent.exe");
    let wine = Wine::new();
    wine.install(
        &program,
        &["--server", "127.0.0.1:9", "--journal", r"C:\kept\journal"],
    );
    wine.waits_for("RUNNING");
    for folder in ["kept", "ProgramData/Classpulse"] {
        assert_eq!(
            others_may(&wine.drive(folder)),
            0,
            "{folder}: closed from its first moment"
        );
    }
    let installed = r"C:\Program Files\Classpulse\classpulse-agent.exe";
    said(&wine.run(installed, &["uninstall", "--purge"]));
    assert_eq!(wine.state(), None);
    let folder = wine.drive("Program Files/Classpulse");
    for _ in 0..100 {
        if !folder.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(!folder.exists(), "the program's folder is still there");
    assert!(!wine.drive("ProgramData/Classpulse").exists());
    let left = fs::read_dir(wine.drive("kept")).unwrap().count();
    assert_eq!(left, 0, "the journal went with the rest");
}

#[test]
fn an_image_in_a_folder_is_made_ready_without_a_service() {
    let program = made("target/dist/classpulse-agent.exe");
    let wine = Wine::new();
    let words = [
        "--server",
        "10.1.2.3:8883",
        "--plain",
        "--root",
        r"C:\image",
    ];
    wine.install(&program, &words);
    let image = |path: &str| wine.drive("image").join(path);
    assert!(image("Program Files/Classpulse/classpulse-agent.exe").exists());
    assert!(image("ProgramData/Classpulse/agent.toml").exists());
    assert_eq!(wine.state(), None);
    assert!(!wine.starts_at_logon() && !wine.drive("ProgramData/Classpulse").exists());
    said(&wine.run(&program, &["uninstall", "--purge", "--root", r"C:\image"]));
    assert!(!image("Program Files/Classpulse").exists());
    assert!(!image("ProgramData/Classpulse").exists());
}

#[test]
fn folders_that_were_open_are_closed_and_others_are_left_alone() {
    let program = made("target/dist/classpulse-agent.exe");
    let wine = Wine::new();
    let data = wine.drive("ProgramData/Classpulse");
    let kept = wine.drive("kept");
    let configuration = data.join("agent.toml");
    // Made beforehand, open to all, the journal's with something in it that is the agent's.
    open(&data);
    fs::write(&configuration, "idle_seconds = 600\n").unwrap();
    open(&kept);
    fs::write(kept.join("journal"), "of an earlier installation").unwrap();
    // One that holds other things is nobody's to close.
    let shared = wine.drive("shared");
    open(&shared);
    fs::write(shared.join("homework.txt"), "mine").unwrap();
    let server = ["--server", "127.0.0.1:9"];
    let elsewhere = [
        "install",
        server[0],
        server[1],
        "--journal",
        r"C:\shared\journal",
    ];
    let refused = wine.run(&program, &elsewhere);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(others_may(&shared), 7, "it is as it was");

    let own = [server[0], server[1], "--journal", r"C:\kept\journal"];
    let lines = wine.install(&program, &own);
    wine.waits_for("RUNNING");
    for folder in [&data, &kept] {
        assert_eq!(others_may(folder) & 2, 0, "{}: {lines}", folder.display());
    }
    // This disk keeps no owners, so what lay there is taken over, and not put aside.
    let said_now = fs::read_to_string(&configuration).unwrap();
    assert!(said_now.contains("idle_seconds = 600"), "{said_now}");
    // Somebody opens it again: the next installation closes it, though nothing else is to be done.
    open(&data);
    open(&kept);
    let lines = wine.install(&program, &[]);
    assert!(lines.contains("一直在运行"), "{lines}");
    for folder in [&data, &kept] {
        assert_eq!(others_may(folder) & 2, 0, "{}: {lines}", folder.display());
    }

    // Away: also where the folder was opened meanwhile, what stays is closed.
    open(&data);
    said(&wine.run(&program, &["uninstall"]));
    assert!(configuration.exists());
    assert_eq!(others_may(&data) & 2, 0);
    said(&wine.run(&program, &["uninstall", "--purge"]));
    assert!(!data.exists() && shared.join("homework.txt").exists());
}

#[test]
fn a_service_that_was_cut_off_leaves_no_helper_behind() {
    let program = made("target/dist/classpulse-agent.exe");
    let wine = Wine::new();
    wine.install(&program, &["--server", "127.0.0.1:9"]);
    wine.waits_for("RUNNING");
    wine.is_helped(&program);
    let (services, helpers) = (wine.processes("service"), wine.processes("session"));
    assert_eq!((services.len(), helpers.len()), (1, 1));
    // A word from somebody else is not heard: not at the place that everybody knows.
    let stranger = wine.0.command("wine").arg(&program).arg("session").spawn();
    let mut stranger = stranger.unwrap();

    let kill = Command::new("kill")
        .args(["-KILL", &services[0].to_string()])
        .status();
    assert!(kill.unwrap().success());
    // The service manager here learns of it only when it is asked to start it again.
    for _ in 0..50 {
        if wine.processes("service").is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(wine.processes("service").is_empty());
    assert_eq!(
        wine.processes("session"),
        helpers,
        "it outlives its service"
    );
    said(&wine.run("sc", &["start", SERVICE]));
    wine.waits_for("RUNNING");
    // One is heard, and it is a new one: the stranger, which has tried meanwhile, is not counted.
    wine.is_helped(&program);
    let now = wine.processes("session");
    assert!(
        now.len() == 1 && now != helpers,
        "{now:?}, before {helpers:?}\n{}",
        wine.log()
    );
    // In order, its helper ends with it.
    said(&wine.run("sc", &["stop", SERVICE]));
    wine.waits_for("STOPPED");
    assert!(wine.processes("session").is_empty());
    stranger.kill().ok();
    stranger.wait().ok();
}
