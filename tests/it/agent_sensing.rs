//! What a person does at a machine becomes used minutes, and what the machine does alone does not: the real agent and
//! its session helper under private X displays with real input, and on machines whose devices are a test's files.
//!
//! A suspended machine can't be had here: that it is neither on nor used is in the agent's core and the simulation.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use classpulse::{
    clock::{Clock as _, SystemClock},
    domain::session::{Kind, Session},
};
use classpulse_agent::sense::desktop::{Desktop, Gone, Place};
use tempfile::TempDir;
use x11rb::{
    COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT,
    connection::Connection as _,
    protocol::xproto::{
        AtomEnum, ConnectionExt as _, CreateWindowAux, PropMode, ScreenSaver, Window, WindowClass,
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

use crate::{
    agent_process::{Agent, held, painted, program, socket, until},
    support::{Service, register},
};

/// How long somebody is active: whenever it begins, half of some minute lies within.
const ACTIVE: Duration = Duration::from_secs(62);
/// Seconds that a look, a helper's word and the log's rounding may shift the end of use.
const LATE: i64 = 8;

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// An X display of its own.
struct Display {
    server: Running,
    name: String,
}

impl Display {
    fn start() -> Self {
        let server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp"])
            .args(["-screen", "0", "640x480x24"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut server = Running(server.expect("Xvfb(1), of xvfb"));
        let mut number = String::new();
        let mut said = BufReader::new(server.0.stdout.take().unwrap());
        said.read_line(&mut number).unwrap();
        let name = format!(":{}", number.trim());
        Self { server, name }
    }

    /// Real input, through the X test extension.
    fn input(&self, what: &[&str]) {
        let typed = Command::new("xdotool")
            .args(what)
            .env("DISPLAY", &self.name)
            .status();
        assert!(typed.expect("xdotool(1)").success());
    }

    fn desktop(&self) -> Desktop {
        let place = Place {
            display: Some(self.name.clone()),
            wayland: None,
        };
        Desktop::open(&place).unwrap()
    }

    fn helper(&self, folder: &TempDir, agent: &str) -> Running {
        let helper = Command::new(program())
            .arg("session")
            .arg("--socket")
            .arg(socket(folder, agent))
            .env("DISPLAY", &self.name)
            .env_remove("WAYLAND_DISPLAY")
            .spawn();
        Running(helper.unwrap())
    }
}

/// A programme with a window, and the window manager's word on it.
struct Programme {
    display: RustConnection,
    root: Window,
    window: Window,
}

impl Programme {
    fn start(display: &Display) -> Self {
        let (display, screen) = x11rb::connect(Some(&display.name)).unwrap();
        let root = display.setup().roots[screen].root;
        let window = display.generate_id().unwrap();
        display
            .create_window(
                COPY_DEPTH_FROM_PARENT,
                window,
                root,
                0,
                0,
                640,
                480,
                0,
                WindowClass::INPUT_OUTPUT,
                COPY_FROM_PARENT,
                &CreateWindowAux::new(),
            )
            .unwrap()
            .check()
            .unwrap();
        display.map_window(window).unwrap().check().unwrap();
        Self {
            display,
            root,
            window,
        }
    }

    fn atom(&self, name: &str) -> u32 {
        let atom = self.display.intern_atom(false, name.as_bytes()).unwrap();
        atom.reply().unwrap().atom
    }

    fn say(&self, of: Window, name: &str, kind: AtomEnum, words: &[u32]) {
        let name = self.atom(name);
        self.display
            .change_property32(PropMode::REPLACE, of, name, kind, words)
            .unwrap()
            .check()
            .unwrap();
    }

    fn in_front(&self, window: Window) {
        self.say(self.root, "_NET_ACTIVE_WINDOW", AtomEnum::WINDOW, &[window]);
    }

    fn states(&self, names: &[&str]) {
        let atoms: Vec<u32> = names.iter().map(|name| self.atom(name)).collect();
        self.say(self.window, "_NET_WM_STATE", AtomEnum::ATOM, &atoms);
    }

    fn saver(&self, saver: ScreenSaver) {
        let forced = self.display.force_screen_saver(saver).unwrap();
        forced.check().unwrap();
    }
}

#[test]
fn a_session_tells_its_last_input_and_what_covers_its_screen() {
    let display = Display::start();
    let mut desktop = display.desktop();
    let mut presenting = || desktop.look().unwrap().presenting;
    let programme = Programme::start(&display);
    assert!(!presenting(), "no window manager says anything");
    programme.states(&["_NET_WM_STATE_ABOVE", "_NET_WM_STATE_FULLSCREEN"]);
    assert!(!presenting(), "not in front");
    programme.in_front(programme.window);
    assert!(presenting());
    programme.saver(ScreenSaver::ACTIVE);
    assert!(!presenting(), "behind the screen saver");
    programme.saver(ScreenSaver::RESET);
    assert!(presenting());
    programme.states(&["_NET_WM_STATE_MAXIMIZED_VERT"]);
    assert!(!presenting(), "a window among others");
    programme.states(&["_NET_WM_STATE_FULLSCREEN"]);
    programme.in_front(x11rb::NONE);
    assert!(!presenting(), "the desktop itself");
    programme.in_front(programme.window);
    let gone = programme.display.destroy_window(programme.window).unwrap();
    gone.check().unwrap();
    assert!(
        !presenting(),
        "gone, and the window manager has not noticed"
    );

    std::thread::sleep(Duration::from_millis(1_500));
    let idle = desktop.look().unwrap().input_ago_ms.unwrap();
    assert!(idle >= 1_400, "{idle} ms");
    display.input(&["key", "a"]);
    let fresh = desktop.look().unwrap().input_ago_ms.unwrap();
    assert!(fresh < 1_400, "{fresh} ms after a key");
    assert!(desktop.look().unwrap().missing.is_empty());

    drop(display.server);
    assert_eq!(desktop.look(), Err(Gone));
}

#[test]
fn a_wayland_session_says_what_it_lacks_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("wayland-0");
    fs::write(&socket, "").unwrap();
    let place = Place {
        display: Some(":0".to_owned()),
        wayland: Some(socket.clone()),
    };
    let mut desktop = Desktop::open(&place).unwrap();
    let signs = desktop.look().unwrap();
    assert_eq!(signs.missing, ["session-input", "session-full-screen"]);
    assert_eq!((signs.input_ago_ms, signs.presenting), (None, false));
    fs::remove_file(&socket).unwrap();
    assert_eq!(desktop.look(), Err(Gone));
}

/// A machine whose devices and sound cards are files of the test: the real program sees them in place of the system's.
struct Machine(PathBuf);

impl Machine {
    fn new(folder: &TempDir, name: &str) -> Self {
        let root = folder.path().join(name);
        let boot_id = "proc/sys/kernel/random/boot_id";
        for made in ["dev/input", "proc/sys/kernel/random"] {
            fs::create_dir_all(root.join(made)).unwrap();
        }
        fs::copy(Path::new("/").join(boot_id), root.join(boot_id)).unwrap();
        let pipe = Command::new("mkfifo")
            .arg(root.join("dev/input/event0"))
            .status();
        assert!(pipe.unwrap().success());
        let machine = Self(root);
        machine.sound("closed");
        machine
    }

    fn sound(&self, state: &str) {
        let stream = self.0.join("proc/asound/card0/pcm0p/sub0");
        fs::create_dir_all(&stream).unwrap();
        fs::write(stream.join("status"), state).unwrap();
    }

    /// What types at the keyboard; the other end is the agent's.
    fn keyboard(&self) -> File {
        let pipe = self.0.join("dev/input/event0");
        let ends = OpenOptions::new().read(true).write(true).open(pipe);
        ends.unwrap()
    }

    /// What starts the agent's program on this machine.
    fn command(&self) -> Command {
        let mut command = Command::new("unshare");
        let id = Command::new("id").arg("-u").output().unwrap();
        if id.stdout != b"0\n" {
            command.arg("--map-root-user");
        }
        let script = r#"mount --bind "$0/dev" /dev && mount --bind "$0/proc" /proc && exec "$@""#;
        command.args(["--mount", "sh", "-c", script]);
        command.arg(&self.0).arg(program());
        command
    }
}

/// A key that goes down, as a 64-bit kernel lays it out: when, what.
fn key_event() -> [u8; 24] {
    let mut event = [0; 24];
    let now = SystemClock.now();
    event[..8].copy_from_slice(&now.as_second().to_ne_bytes());
    event[8..16].copy_from_slice(&i64::from(now.subsec_microsecond()).to_ne_bytes());
    event[16..].copy_from_slice(&[1, 0, 30, 0, 1, 0, 0, 0]);
    event
}

/// Seconds of use.
fn used(sessions: &[Session]) -> i64 {
    let used = sessions.iter().filter(|session| session.kind == Kind::Used);
    used.map(|session| session.end - session.start).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_count_and_machines_left_alone_do_not() {
    let folder = TempDir::new().unwrap();
    let service = Service::start().await;
    let store = service.app.store.clone();
    register(&store, &[]).await;
    let broker = service.broker();

    let session = |name| Agent::start_by(Command::new(program()), &folder, broker, name, "session");
    let [typed, idle, shown] = std::array::from_fn(|_| Display::start());
    let screens = ["typed", "idle", "shown"].map(session);
    let helpers = [
        typed.helper(&folder, "typed"),
        idle.helper(&folder, "idle"),
        shown.helper(&folder, "shown"),
    ];
    let machines = ["touched", "film", "silent"].map(|name| {
        let machine = Machine::new(&folder, &format!("{name}-root"));
        let keyboard = machine.keyboard();
        let (command, sources) = (machine.command(), "evdev,alsa");
        let agent = Agent::start_by(command, &folder, broker, name, sources);
        (machine, keyboard, agent)
    });
    let [(_touched, mut keyboard, touched_agent), film, silent] = machines;
    let programme = Programme::start(&shown);
    programme.states(&["_NET_WM_STATE_FULLSCREEN"]);
    programme.in_front(programme.window);
    film.0.sound("state: RUNNING\nowner_pid   : 1\n");

    let began = tokio::time::Instant::now();
    let mut shown_agent = None;
    let [typed_agent, idle_agent, first] = screens;
    let mut first = Some(first);
    while began.elapsed() < ACTIVE {
        typed.input(&["mousemove", "--sync", "10", "10", "mousemove", "20", "20"]);
        typed.input(&["key", "a"]);
        keyboard.write_all(&key_event()).unwrap();
        if began.elapsed() > ACTIVE / 2
            && let Some(agent) = first.take()
        {
            // Cut off, and started again: its helper finds it.
            drop(agent);
            shown_agent = Some(session("shown"));
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let ended = SystemClock.now().as_second();
    programme.in_front(x11rb::NONE);
    film.0.sound("closed\n");
    for name in ["typed", "shown", "touched", "film"] {
        until(&format!("a used minute of {name}"), async || {
            let held = held(&store, name).await;
            held.iter().any(|(_, _, used)| !used.is_empty())
        })
        .await;
    }
    // Whatever would count what nobody does has had its time.
    tokio::time::sleep(Duration::from_secs(10)).await;

    let active = i64::try_from(ACTIVE.as_secs()).unwrap();
    let agents = [
        ("typed", typed_agent, active),
        ("shown", shown_agent.unwrap(), active),
        ("touched", touched_agent, active),
        ("film", film.2, active),
        ("idle", idle_agent, 0),
        ("silent", silent.2, 0),
    ];
    for (name, agent, expected) in agents {
        let sessions = agent.stop();
        let seconds = used(&sessions);
        assert!(
            (expected - LATE..=expected + LATE).contains(&seconds),
            "{name}: {seconds} s of {expected} s"
        );
        let last = sessions.iter().filter(|session| session.kind == Kind::Used);
        let last = last.map(|session| session.end).max();
        assert!(
            last.is_none_or(|last| last <= ended + LATE),
            "{name}: the idle tail counts"
        );
        // An X server takes its start for input: so its helper was heard, and it is no minute.
        assert_eq!(last.is_none(), name == "silent", "{name}");
        until(&format!("what {name} logged"), async || {
            held(&store, name).await == painted(&sessions)
        })
        .await;
        let painted = painted(&sessions);
        let minutes: u32 = painted.iter().map(|(_, _, used)| used.count()).sum();
        assert_eq!(minutes == 0, expected == 0, "{name}: {minutes} minutes");
    }
    for (mut helper, display) in helpers.into_iter().zip([typed, idle, shown]) {
        drop(display.server);
        until("the helper's end", async || {
            helper.0.try_wait().unwrap().is_some()
        })
        .await;
        assert!(
            helper.0.wait().unwrap().success(),
            "it ends with its display"
        );
    }
    assert_eq!(store.quarantine_counts().await.unwrap(), []);
    service.stop().await;
}
