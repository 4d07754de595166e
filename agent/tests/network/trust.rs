//! Whom a terminal speaks to, and who lets it in.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use classpulse_agent::{access::Trust, tls::Dates};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::time::{Duration, Instant};

use crate::{
    mosquitto::{Mosquitto, OPEN, access, free_port, program},
    service::Service,
    terminal::{Terminal, named},
};

/// An authority, and in the folder a server's certificate and key by it.
struct County(tempfile::TempDir);

const VOUCHED: Dates = Dates {
    vouched: || true,
    since: 0,
};

impl County {
    fn new(host: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let own = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let server = server.signed_by(&own, &issuer).unwrap().pem();
        for (name, text) in [
            ("ca.pem", ca),
            ("server.pem", server),
            ("server.key", own.serialize_pem()),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn broker(&self, port: u16) -> Mosquitto {
        let file = |name| self.file(name).display().to_string();
        let more = format!(
            "{OPEN}certfile {}\nkeyfile {}\n",
            file("server.pem"),
            file("server.key")
        );
        Mosquitto::start(port, &more)
    }
}

fn trusting(ca: &Path) -> Trust {
    Trust::pinned(ca, VOUCHED)
}

#[tokio::test]
async fn whom_the_authority_does_not_vouch_for_is_refused_and_said_so() {
    let (county, other) = (County::new("localhost"), County::new("localhost"));
    let elsewhere = County::new("elsewhere.example");
    for (server, ca) in [(&other, &county), (&elsewhere, &elsewhere)] {
        let broker = server.broker(free_port());
        let access = access(broker.port, trusting(&ca.file("ca.pem")));
        let terminal = Terminal::start(access, Some(named("t-1", "key")), None);
        let shown = terminal.reaches("impostor").await;
        let what = shown["last_error"]["what"].as_str().unwrap();
        assert!(what.contains("certificate"), "{what}");
        assert_eq!(shown["waiting"], 2, "what is recorded waits");
    }
}

#[tokio::test]
async fn what_speaks_no_tls_in_the_servers_place_is_refused_and_told_from_no_network() {
    let county = County::new("localhost");
    let trust = || trusting(&county.file("ca.pem"));
    // A broker without TLS ends the connection: three times in a row is no accident.
    let fake = Mosquitto::start(free_port(), OPEN);
    let terminal = Terminal::start(access(fake.port, trust()), Some(named("t-1", "key")), None);
    terminal.reaches("down").await;
    terminal.reaches("impostor").await;
    drop(terminal);
    // A login page of a network says so at once.
    let portal = portal();
    let terminal = Terminal::start(access(portal, trust()), Some(named("t-1", "key")), None);
    terminal.reaches("impostor").await;
    // In plain text too.
    let terminal = Terminal::start(access(portal, Trust::Plain), Some(named("t-1", "")), None);
    terminal.reaches("impostor").await;
    // Nobody there.
    let access = access(free_port(), trust());
    let terminal = Terminal::start(access, Some(named("t-1", "key")), None);
    terminal.reaches("down").await;
}

/// Answers everything with a web page, for as long as the test runs.
fn portal() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // What is said does not matter, nor how much of it came.
            drop(stream.read(&mut [0; 512]));
            stream
                .write_all(b"HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n")
                .ok();
            stream.shutdown(Shutdown::Write).ok();
            drop(stream.read(&mut [0; 512]));
        }
    });
    port
}

#[tokio::test]
async fn an_authority_that_is_not_there_yet_is_waited_for_and_nothing_goes_in_plain_text() {
    let broker = Mosquitto::start(free_port(), OPEN);
    let mut service = Service::start(&broker.access(), |_| None).await;
    let late = tempfile::tempdir().unwrap();
    let ca = late.path().join("ca.pem");
    let trust = || Trust::pinned(&ca, VOUCHED);
    let start = |port| Terminal::start(access(port, trust()), Some(named("t-1", "key")), None);
    let terminal = start(broker.port);
    let shown = terminal.reaches("down").await;
    let what = shown["last_error"]["what"].as_str().unwrap();
    assert!(what.contains("ca.pem"), "{what}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(service.came.try_recv().is_err());
    assert!(terminal.stop().await < Duration::from_secs(2));

    // Its partition comes late.
    let county = County::new("localhost");
    let broker = county.broker(free_port());
    let terminal = start(broker.port);
    terminal.reaches("down").await;
    let trusted = access(broker.port, trusting(&county.file("ca.pem")));
    let mut service = Service::start(&trusted, |_| None).await;
    fs::copy(county.file("ca.pem"), &ca).unwrap();
    assert_eq!(service.report().await.0, "t-1");
    terminal.reaches("up").await;
}

#[tokio::test]
async fn a_refused_key_is_told_from_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    let made = Command::new(program("mosquitto_passwd"))
        .args(["-b", "-c"])
        .arg(&file)
        .args(["t-1", "right"])
        .status();
    assert!(made.unwrap().success());
    let more = format!("allow_anonymous false\npassword_file {}\n", file.display());
    let broker = Mosquitto::start(free_port(), &more);
    let terminal = Terminal::start(broker.access(), Some(named("t-1", "wrong")), None);
    terminal.reaches("denied").await;
    let terminal = Terminal::start(broker.access(), Some(named("t-1", "right")), None);
    terminal.reaches("up").await;
}

#[tokio::test]
async fn a_connection_that_answers_nothing_is_left_and_holds_no_stop() {
    // Takes everything and says nothing: a router that has forgotten the way.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let held: Vec<_> = listener.incoming().collect();
        drop(held);
    });
    let access = access(port, Trust::Plain);
    let terminal = Terminal::start(access, Some(named("t-1", "")), None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(terminal.stop().await < Duration::from_secs(2));

    // And one that was well, and is dead: the broker stands still.
    let broker = Mosquitto::start(free_port(), OPEN);
    let terminal = Terminal::start(broker.access(), Some(named("t-2", "")), None);
    terminal.reaches("up").await;
    broker.freeze();
    let began = Instant::now();
    terminal.reaches("down").await;
    // A report every 15 s here, and 30 s to answer it; the broker's own keep-alive is minutes.
    assert!(began.elapsed() > Duration::from_secs(5));
    assert!(terminal.stop().await < Duration::from_secs(2));
}
