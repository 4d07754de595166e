//! A Mosquitto of a test's own: private port, private folder, stopped at the end.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use classpulse_agent::access::{Access, Trust};
use tempfile::TempDir;

/// Lets everybody in.
pub(crate) const OPEN: &str = "allow_anonymous true\n";

/// A Mosquitto that ends with the test.
pub(crate) struct Mosquitto {
    child: Child,
    pub(crate) port: u16,
    _folder: TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Mosquitto {
    pub(crate) fn start(port: u16, more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let text = format!("listener {port} 127.0.0.1\nuser root\npersistence false\n{more}");
        let file = folder.path().join("mosquitto.conf");
        fs::write(&file, text).unwrap();
        let child = Command::new(program("mosquitto"))
            .arg("-c")
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let listens = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        assert!(listens, "mosquitto does not listen");
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    /// It stands still, and its connections with it; what is sent to it is taken, and not answered.
    pub(crate) fn freeze(&self) {
        let signal = ["-STOP".to_owned(), self.child.id().to_string()];
        assert!(
            Command::new("kill")
                .args(signal)
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) fn access(&self) -> Access {
        access(self.port, Trust::Plain)
    }
}

pub(crate) fn access(port: u16, trust: Trust) -> Access {
    Access {
        host: "localhost".to_owned(),
        port,
        trust,
    }
}

/// A port of the loopback that nobody has, and that this process gives out once. Not of those that the system takes for
/// connections (32768 and up): one of these could be gone before a server binds it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    // Test programs that run beside one another begin at different places.
    let begin = std::process::id().wrapping_mul(97);
    let mut ports = std::iter::repeat_with(|| {
        let next = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        u16::try_from(FIRST + next % COUNT).unwrap()
    });
    ports
        .by_ref()
        .take(COUNT as usize)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

pub(crate) fn program(name: &str) -> PathBuf {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .into_iter()
        .map(|folder| PathBuf::from(folder).join(name))
        .find(|path| path.exists())
        .expect("mosquitto is installed by deploy/test")
}
