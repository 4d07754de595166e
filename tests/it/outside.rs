//! The same service, unchanged, against a Mosquitto of the test's own: private port, private folder, stopped at the end.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use classpulse::domain::usage::Period;
use jiff::civil::date;
use tempfile::TempDir;

use crate::support::{Link, PRIMARY, Service, register, report, terminal, used};

/// 2026-09-01T08:00:00+08:00.
const LESSON: i64 = 1_788_220_800;

/// A Mosquitto that ends with the test.
struct Mosquitto {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Mosquitto {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        // The port is free again when the listener is dropped at the end of this line.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
             max_queued_messages 100000\nmax_inflight_messages 10000\nuser root\n",
            folder.path().display()
        );
        fs::write(folder.path().join("mosquitto.conf"), text).unwrap();
        let child = Self::spawn(folder.path());
        let mosquitto = Self {
            child,
            port,
            folder,
        };
        mosquitto.wait();
        mosquitto
    }

    fn spawn(folder: &Path) -> Child {
        let program = [
            "/usr/sbin/mosquitto",
            "/usr/bin/mosquitto",
            "/usr/local/sbin/mosquitto",
        ]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("mosquitto is installed by deploy/test");
        Command::new(program)
            .arg("-c")
            .arg(folder.join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn wait(&self) {
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("mosquitto does not listen on {}", self.port);
    }

    /// Ends it in order and starts it again on the same port and folder.
    fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = Self::spawn(self.folder.path());
        self.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_carries_reports_and_acknowledgements_over_its_own_restart() {
    let mut mosquitto = Mosquitto::start();
    let broker = format!(
        "[broker]\nkind = \"outside\"\nhost = \"127.0.0.1\"\nport = {}\nclient_id = \"it\"\nshared = true",
        mosquitto.port
    );
    let service = Service::start_with(&broker).await;
    let store = service.app.store.clone();
    let names: Vec<_> = (0..5)
        .map(|index| (format!("m-{index}"), PRIMARY))
        .collect();
    register(&store, &names).await;
    let address = ([127, 0, 0, 1], mosquitto.port).into();
    for (round, restart) in [(1_u64, false), (2, true)] {
        if restart {
            mosquitto.restart();
        }
        for (name, _) in &names {
            let mut link = Link::connect(address, name).await;
            let start = LESSON + i64::try_from(round).unwrap() * 3_600;
            let reports: Vec<_> = (1..=20)
                .map(|part| {
                    report(
                        round * 100 + part,
                        vec![used(1, start, start + i64::try_from(part).unwrap() * 60)],
                    )
                })
                .collect();
            // What a broker forgets at its restart is reported again, as agents do.
            let sent = async {
                while tokio::time::timeout(Duration::from_secs(5), link.send_all(name, &reports))
                    .await
                    .is_err()
                {}
            };
            tokio::time::timeout(crate::support::PATIENCE, sent)
                .await
                .unwrap();
        }
    }
    let period = Period {
        first: date(2026, 9, 1),
        last: date(2026, 9, 1),
    };
    for (name, _) in &names {
        let days = store.terminal_days(&terminal(name), period).await.unwrap();
        assert_eq!(days[0].1.used.count(), 40, "{name}");
    }
    assert!(service.app.broker.is_none());
    service.stop().await;
}
