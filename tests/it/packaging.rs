//! The Debian package, made by `deploy/agent/build-deb` and taken in by the real dpkg in a folder of its own: install,
//! configure, upgrade, remove, purge. systemd's tools are stand-ins that note what they were asked.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::agent_process::program;

/// A machine in a folder, with dpkg's own records and stand-ins for systemd's tools.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let machine = Self { folder };
        for path in [
            "root/etc",
            "root/run/systemd/system",
            "root/var/lib/dpkg/info",
            "root/var/lib/dpkg/updates",
            "root/var/lib/dpkg/triggers",
            "tools",
        ] {
            fs::create_dir_all(machine.folder.path().join(path)).unwrap();
        }
        fs::write(machine.at("var/lib/dpkg/status"), "").unwrap();
        let own = fs::metadata(machine.folder.path()).unwrap();
        let (user, group) = (own.uid(), own.gid());
        let passwd = format!("root:x:0:0::/:\nclasspulse-agent:x:{user}:{group}::/:\n");
        fs::write(machine.at("etc/passwd"), passwd).unwrap();
        let groups = format!("root:x:0:\nclasspulse-agent:x:{group}:\n");
        fs::write(machine.at("etc/group"), groups).unwrap();
        for tool in ["systemctl", "systemd-sysusers", "systemd-tmpfiles"] {
            // Enabled is what there is a link for, as it truly is.
            let text = format!(
                "#!/bin/sh\necho {tool} \"$@\" >>'{log}'\nlink='{link}'\ncase \"$*\" in\n\
                 *is-enabled*) [ -h \"$link\" ] ;;\n\
                 *enable*) mkdir -p \"${{link%/*}}\"; ln -sf /lib/systemd/system/classpulse-agent.service \"$link\" ;;\n\
                 esac\n",
                log = machine.log().display(),
                link = machine.at(ENABLED).display(),
            );
            let path = machine.folder.path().join("tools").join(tool);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        machine
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path)
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What systemd's tools were asked since the last look.
    fn asked(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        fs::remove_file(self.log()).ok();
        text
    }

    fn dpkg(&self, words: &[&str]) {
        let tools = self.folder.path().join("tools");
        let output = Command::new("sh")
            .args(["-c", "PATH=\"$0:/usr/sbin:/sbin:$PATH\" exec dpkg \"$@\""])
            .arg(tools)
            .arg(format!("--root={}", self.at("").display()))
            // Scripts run on this machine with the folder's name; it has none of the packages that are asked for.
            .args([
                "--force-script-chrootless",
                "--force-not-root",
                "--force-depends",
            ])
            .args(words)
            .env("LC_ALL", "C")
            .output();
        good(&output.unwrap());
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.at(path)).unwrap().permissions().mode() & 0o7777
    }
}

const ENABLED: &str = "etc/systemd/system/multi-user.target.wants/classpulse-agent.service";
const CONFIGURATION: &str = "etc/classpulse-agent/agent.toml";
const AUTOSTART: &str = "etc/xdg/autostart/classpulse-agent-session.desktop";

fn good(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The real agent in a package of this version.
fn build(out: &Path, version: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/agent/build-deb");
    let output = Command::new(script)
        .arg("--binary")
        .arg(program())
        .args(["--version", version, "--compression", "none", "--out"])
        .arg(out)
        .env("SOURCE_DATE_EPOCH", "1788220800")
        .output();
    good(&output.unwrap()).trim().to_owned()
}

/// `classpulse-agent` of the package, in the machine's folder.
fn agent(machine: &Machine, words: &[&str]) -> String {
    let output = Command::new(machine.at("usr/bin/classpulse-agent"))
        .args(words)
        .arg("--root")
        .arg(machine.at(""))
        .output();
    good(&output.unwrap())
}

#[test]
fn a_package_is_installed_configured_upgraded_removed_and_purged() {
    let machine = Machine::new();
    let out = TempDir::new().unwrap();
    let first = build(out.path(), "0.1.0");
    let bytes = fs::read(&first).unwrap();
    fs::remove_file(&first).unwrap();
    assert!(
        fs::read(build(out.path(), "0.1.0")).unwrap() == bytes,
        "the same inputs give the same bytes"
    );

    // Without a configuration nothing is started.
    machine.dpkg(&["--install", &first]);
    let asked = machine.asked();
    assert!(asked.contains("systemd-sysusers --root="), "{asked}");
    assert!(
        !asked.contains("enable") && !asked.contains("restart"),
        "{asked}"
    );
    assert_eq!(machine.mode("usr/bin/classpulse-agent"), 0o755);
    for path in [
        "lib/systemd/system/classpulse-agent.service",
        "usr/lib/sysusers.d/classpulse-agent.conf",
        "usr/lib/tmpfiles.d/classpulse-agent.conf",
        AUTOSTART,
    ] {
        assert_eq!(machine.mode(path), 0o644, "{path}");
    }

    agent(
        &machine,
        &[
            "install",
            "--server",
            "10.1.2.3:8883",
            "--plain",
            "--code",
            "7KQ4-M2XD-9TRA",
            "--journal",
            "/data/classpulse/journal",
        ],
    );
    let configured = fs::read_to_string(machine.at(CONFIGURATION)).unwrap();
    assert!(configured.contains("7KQ4-M2XD-9TRA"));
    assert_eq!(
        machine.mode(CONFIGURATION),
        0o640,
        "the code is not for all to read"
    );
    assert!(machine.at(ENABLED).is_symlink());
    assert!(
        !machine
            .at("etc/systemd/system/classpulse-agent.service")
            .exists()
    );

    // What whoever runs the machine has changed stays over an upgrade: configuration, and a file of the package's.
    fs::write(machine.at(AUTOSTART), "by hand\n").unwrap();
    let second = build(out.path(), "0.2.0");
    machine.dpkg(&["--force-confold", "--install", &second]);
    assert!(
        machine
            .asked()
            .contains("systemctl restart classpulse-agent.service")
    );
    assert_eq!(
        fs::read_to_string(machine.at(CONFIGURATION)).unwrap(),
        configured
    );
    assert_eq!(
        fs::read_to_string(machine.at(AUTOSTART)).unwrap(),
        "by hand\n"
    );

    // Switched off by hand: an upgrade doesn't switch it on.
    fs::remove_file(machine.at(ENABLED)).unwrap();
    machine.dpkg(&["--force-confold", "--install", &second]);
    assert!(!machine.asked().contains("restart"));
    assert!(!machine.at(ENABLED).exists());

    fs::create_dir_all(machine.at("var/lib/classpulse-agent")).unwrap();
    fs::write(machine.at("var/lib/classpulse-agent/identity"), "").unwrap();
    machine.dpkg(&["--remove", "classpulse-agent"]);
    assert!(
        machine
            .asked()
            .contains("systemctl stop classpulse-agent.service")
    );
    assert!(!machine.at("usr/bin/classpulse-agent").exists());
    assert!(machine.at(CONFIGURATION).exists());
    assert!(machine.at("var/lib/classpulse-agent/identity").exists());

    machine.dpkg(&["--purge", "classpulse-agent"]);
    for path in [
        "etc/classpulse-agent",
        "var/lib/classpulse-agent",
        "etc/systemd/system/classpulse-agent.service.d",
        AUTOSTART,
    ] {
        assert!(!machine.at(path).exists(), "{path}");
    }
}

#[test]
fn an_image_with_its_configuration_starts_with_the_package() {
    let machine = Machine::new();
    fs::create_dir_all(machine.at("etc/classpulse-agent")).unwrap();
    fs::write(machine.at(CONFIGURATION), "server = \"10.1.2.3:8883\"\n").unwrap();
    // An earlier installation without the package, which would hide the package's unit.
    let old = "etc/systemd/system/classpulse-agent.service";
    fs::create_dir_all(machine.at("etc/systemd/system")).unwrap();
    fs::write(machine.at(old), "").unwrap();
    let out = TempDir::new().unwrap();
    let package = build(out.path(), "0.1.0");
    machine.dpkg(&["--install", &package]);
    let asked = machine.asked();
    let order = [
        "sysusers",
        "tmpfiles",
        "daemon-reload",
        " enable ",
        "restart",
    ];
    let places: Vec<_> = order.map(|word| asked.find(word)).to_vec();
    assert!(places.is_sorted() && places[0].is_some(), "{asked}");
    assert!(!machine.at(old).exists());
}

/// What the unit and the package's files agree on: the program's path, its configuration, its user, its folders.
#[test]
fn the_unit_and_its_files_speak_of_the_same_things() {
    let text = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/agent");
        fs::read_to_string(folder.join(name)).unwrap()
    };
    let unit = text("classpulse-agent.service");
    let has = |line: &str| unit.lines().any(|other| other == line);
    for line in [
        "ExecStart=/usr/bin/classpulse-agent run --config /etc/classpulse-agent/agent.toml",
        "User=classpulse-agent",
        "StateDirectory=classpulse-agent",
        "RuntimeDirectory=classpulse-agent",
        "CapabilityBoundingSet=",
        "DeviceAllow=char-input r",
        "Restart=always",
        "TimeoutStopSec=3",
    ] {
        assert!(has(line), "{line}");
    }
    // It starts early: no line waits for a network.
    assert!(!unit.contains("network-online"));
    assert!(text("sysusers.conf").contains("\nu classpulse-agent "));
    assert!(
        text("tmpfiles.conf")
            .contains("/etc/classpulse-agent/agent.toml 0640 root classpulse-agent")
    );
    let tool = Command::new("systemd-analyze").arg("--version").output();
    if tool.is_err() {
        eprintln!("no systemd-analyze here: the unit's syntax was not looked at");
        return;
    }
    // It wants the program to be there: any other program will do.
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("classpulse-agent.service");
    fs::write(
        &copy,
        unit.replace("/usr/bin/classpulse-agent run", "/bin/true run"),
    )
    .unwrap();
    let verify = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&copy)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verify.stderr);
    let ours: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("classpulse-agent"))
        .collect();
    assert!(verify.status.success() && ours.is_empty(), "{said}");
}
