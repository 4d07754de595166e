//! The Windows program under Wine: installed, run by the service manager, upgraded in place, uninstalled.
//!
//! What Wine can't show: it has one session and nobody who logs on; its disk keeps no owners, so that a stranger's folder
//! is put aside and that ours is closed is not seen here (see the agent's own tests); it keeps no recovery actions, so an
//! agent that is killed is not started again; it never says `Preshutdown`, nor that the machine sleeps; it lets anybody be
//! an administrator.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
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

    fn starts_at_logon(&self) -> bool {
        let output = self.run("reg", &["query", RUN_KEY, "/v", SERVICE]);
        output.status.success()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.drive("ProgramData/Classpulse/agent.log")).unwrap_or_default()
    }
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
    assert!(wine.drive("kept").is_dir());
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
