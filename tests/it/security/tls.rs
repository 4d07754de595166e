//! TLS at our own listeners: by certificates that `tls init` makes, for agents, browsers and gRPC; and no plain text beyond
//! this machine that nobody asked for.

use std::{
    fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration,
};

use classpulse::tls::{TlsOptions, client};
use classpulse_agent::{
    config::{Config, Settings},
    identity::IdentityFile,
    local::Hearing,
    publish::SaveNow,
    run,
};
use rumqttc::{
    TlsConfiguration, Transport,
    v5::{AsyncClient, MqttOptions},
};
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};
use tokio_rustls::TlsConnector;

use super::certificates;
use crate::{
    enrolment::{self, until},
    servers::{free_port, process::Aggregator},
    support::{EMBEDDED, Service},
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn certificates_are_made_once_and_keys_are_closed() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path().join("tls");
    let named = dir.display().to_string();
    let run = |more: &[&str]| {
        let arguments = [&["tls", "init", "--dir", &named], more].concat();
        super::run(&[], &arguments)
    };
    let (status, said, _) = run(&["--name", "classpulse.test", "--name", "10.1.2.3"]);
    assert!(status == 0 && said.contains("certificate_file"), "{said}");
    let all = ["ca.pem", "ca.key", "server.pem", "server.key"].map(|name| dir.join(name));
    assert_eq!(
        all.each_ref().map(|path| mode(path)),
        [0o644, 0o600, 0o644, 0o600]
    );
    let texts = all.each_ref().map(|path| fs::read(path).unwrap());
    let (status, _, said) = run(&["--name", "other.test"]);
    assert!(status == 3 && said.contains("server.pem"), "{said}");
    assert_eq!(all.each_ref().map(|path| fs::read(path).unwrap()), texts);

    // A new certificate by the same authority, which agents go on to trust.
    for name in ["server.pem", "server.key"] {
        fs::remove_file(dir.join(name)).unwrap();
    }
    let (status, said, _) = run(&["--name", "other.test"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(fs::read(&all[0]).unwrap(), texts[0]);
    assert_ne!(fs::read(&all[2]).unwrap(), texts[2]);
    fs::remove_file(&all[1]).unwrap();
    for name in ["server.pem", "server.key"] {
        fs::remove_file(dir.join(name)).unwrap();
    }
    let (status, _, said) = run(&["--name", "other.test"]);
    assert!(status == 3 && said.contains("ca.key"), "{said}");
    assert!(!all[2].exists() && !all[3].exists(), "nothing half done");
    let left = fs::read_dir(&dir).unwrap().count();
    assert_eq!(left, 1, "nothing is left lying about");
    for wrong in [&["--name", "not a name\u{e9}"][..], &[]] {
        assert_eq!(
            run(wrong).0,
            if wrong.is_empty() { 2 } else { 3 },
            "{wrong:?}"
        );
    }
}

/// A service with TLS, and where its authority is.
async fn secured(more: &str) -> (Service, TempDir) {
    let folder = TempDir::new().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let text = format!(
        "{EMBEDDED}\n{more}\n[tls]\ncertificate_file = {:?}\nkey_file = {:?}\n",
        file("server.pem"),
        file("server.key")
    );
    (Service::start_with(&text).await, folder)
}

/// Says something over TLS to a port, and hears all that is said back; and which protocol was agreed on.
async fn over_tls(
    at: SocketAddr,
    authority: &Path,
    protocols: &[&[u8]],
    said: &[u8],
) -> Result<(String, Option<Vec<u8>>), String> {
    let options = TlsOptions {
        ca_file: Some(authority.to_owned()),
        identity: None,
    };
    let mut config = client(&options).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(at).await.unwrap();
    let name = ServerName::try_from("classpulse.test").unwrap();
    let mut stream = connector
        .connect(name, stream)
        .await
        .map_err(|error| error.to_string())?;
    let agreed = stream.get_ref().1.alpn_protocol().map(Vec::from);
    stream.write_all(said).await.unwrap();
    let mut heard = Vec::new();
    // A server that cuts the line without a word has said all the same.
    drop(stream.read_to_end(&mut heard).await);
    Ok((String::from_utf8_lossy(&heard).into_owned(), agreed))
}

const METRICS: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Whatever a plain connection is answered.
async fn in_plain(at: SocketAddr, said: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(said).await.unwrap();
    let mut heard = Vec::new();
    let reading = stream.read_to_end(&mut heard);
    drop(
        tokio::time::timeout(std::time::Duration::from_secs(30), reading)
            .await
            .unwrap(),
    );
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_grpc_are_behind_tls_and_nothing_is_said_in_plain() {
    let (service, folder) = secured("").await;
    let authority = folder.path().join("ca.pem");
    let api = service.app.api;
    let (page, agreed) = over_tls(api, &authority, &[b"http/1.1"], METRICS)
        .await
        .unwrap();
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("classpulse_"),
        "{page}"
    );
    assert_eq!(agreed.as_deref(), Some(&b"http/1.1"[..]));
    // gRPC's first words, and the server's: its settings, in a frame of kind 4.
    let preface =
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0";
    let (frames, agreed) = over_tls(api, &authority, &[b"h2"], preface).await.unwrap();
    assert_eq!(agreed.as_deref(), Some(&b"h2"[..]));
    assert_eq!(frames.as_bytes().get(3), Some(&4), "{frames:?}");
    let other = TempDir::new().unwrap();
    certificates(other.path());
    let stranger = over_tls(api, &other.path().join("ca.pem"), &[], METRICS).await;
    assert!(stranger.is_err(), "another authority's agents hear nothing");
    for at in [api, service.broker()] {
        let heard = in_plain(at, METRICS).await;
        let text = String::from_utf8_lossy(&heard);
        assert!(
            !text.contains("HTTP/1.1") && !text.contains("classpulse"),
            "{text}"
        );
    }
    service.stop().await;
}

/// Renewed by the same authority: what `tls init` makes beside a `ca.pem` and `ca.key` that are there.
fn renew(folder: &Path) {
    for name in ["server.pem", "server.key"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    certificates(folder);
}

/// The certificate that a port shows, in DER.
async fn shown(at: SocketAddr, authority: &Path) -> Vec<u8> {
    let options = TlsOptions {
        ca_file: Some(authority.to_owned()),
        identity: None,
    };
    let connector = TlsConnector::from(Arc::new(client(&options).unwrap()));
    let stream = TcpStream::connect(at).await.unwrap();
    let name = ServerName::try_from("classpulse.test").unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain[0].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_by_every_listener_and_a_broken_one_by_none() {
    let (service, folder) = secured("").await;
    let authority = folder.path().join("ca.pem");
    let ports = [service.app.api, service.broker()];
    let all = async || {
        let [api, broker] = ports.map(|at| shown(at, &authority));
        let shown = (api.await, broker.await);
        assert_eq!(shown.0, shown.1, "every listener shows the same");
        shown.0
    };
    let first = all().await;
    let certificate = service.app.certificate.clone().unwrap();
    // Connections that are there go on.
    let mut open = Vec::new();
    for at in ports {
        open.push(TcpStream::connect(at).await.unwrap());
    }
    let whole = fs::read(folder.path().join("server.pem")).unwrap();
    fs::write(folder.path().join("server.pem"), &whole[..whole.len() / 2]).unwrap();
    certificate.renew_and_tell().await;
    assert_eq!(all().await, first, "what is broken is not taken");
    fs::write(folder.path().join("server.pem"), &whole).unwrap();
    renew(folder.path());
    assert_eq!(all().await, first, "nobody has looked yet");
    certificate.renew_and_tell().await;
    let second = all().await;
    assert_ne!(second, first);
    drop(open);
    service.stop().await;
}

/// The real program, told so by SIGHUP; without TLS the signal ends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_has_the_certificate_read_again() {
    let folder = TempDir::new().unwrap();
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let start = |name: &str, more: &str| {
        let store = format!("sqlite:{}", path(&format!("{name}.db")));
        let broker = format!("[broker]\nlisten = \"127.0.0.1:{}\"\n{more}", free_port());
        let mut service = Aggregator::new(folder.path(), name, &store, &broker);
        service.start();
        service
    };
    let heard = async |service: &Aggregator, word: &str| {
        for _ in 0..200 {
            if service.log().contains(word) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{word}: {}", service.log());
    };
    let mut plain = start("plain", "");
    plain.tell("HUP");
    heard(&plain, "no certificate to read again").await;
    plain.stop();

    let files = (path("server.pem"), path("server.key"));
    let tls = format!(
        "[tls]\ncertificate_file = {:?}\nkey_file = {:?}",
        files.0, files.1
    );
    let mut secured = start("secured", &tls);
    let api = SocketAddr::from(([127, 0, 0, 1], secured.api_port));
    let authority = folder.path().join("ca.pem");
    let first = shown(api, &authority).await;
    fs::write(&files.1, "nothing").unwrap();
    secured.tell("HUP");
    heard(&secured, "can't be used").await;
    assert_eq!(shown(api, &authority).await, first);
    renew(folder.path());
    secured.tell("HUP");
    heard(&secured, "is used from now on").await;
    for at in [api, secured.broker()] {
        assert_ne!(shown(at, &authority).await, first);
    }
    secured.stop();
}

/// Hundreds of connections that begin no handshake, or never end one.
#[tokio::test(flavor = "multi_thread")]
async fn half_open_handshakes_are_ended_and_stand_in_nobodys_way() {
    let (service, folder) = secured("").await;
    let authority = folder.path().join("ca.pem");
    let mut streams = Vec::new();
    for at in [service.app.api, service.broker()] {
        for number in 0..300 {
            let mut stream = TcpStream::connect(at).await.unwrap();
            // The first bytes of a client's greeting, or nothing at all.
            let said = &[0x16, 3, 1, 2, 0, 1, 0][..number % 8];
            // It may have been ended by a newer one already.
            drop(stream.write_all(said).await);
            streams.push(stream);
        }
    }
    let began = tokio::time::Instant::now();
    let page = over_tls(service.app.api, &authority, &[b"http/1.1"], METRICS).await;
    assert!(page.unwrap().0.starts_with("HTTP/1.1 200"));
    let knocked = over_tls(service.broker(), &authority, &[], b"no MQTT at all").await;
    assert!(
        knocked.is_ok(),
        "TLS is spoken with whoever speaks it: {knocked:?}"
    );
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
    let ends = futures::future::join_all(streams.iter_mut().map(async |stream| {
        let mut heard = Vec::new();
        drop(stream.read_to_end(&mut heard).await);
    }));
    let ended = tokio::time::timeout(crate::support::PATIENCE, ends).await;
    assert!(ended.is_ok(), "all are ended");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_enrols_and_reports_over_tls_and_a_plain_client_does_not_get_in() {
    let (service, folder) = secured("keys = \"required\"").await;
    let (broker, store) = (service.broker(), service.app.store.clone());
    let code = enrolment::code(&store, 3).await;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let text = format!(
        "server = \"127.0.0.1:{}\"\ncode = \"{code}\"\nca_file = {:?}\njournal = {:?}\nsocket = {:?}\nsources = [\"tty\"]\n\
         tick_seconds = 1\nheartbeat_seconds = 15\njitter_seconds = 0\n",
        broker.port(),
        path("ca.pem"),
        path("journal"),
        path("local.sock"),
    );
    fs::write(path("agent.toml"), text).unwrap();
    let config = Config::load(Some(path("agent.toml").as_ref()), Settings::default()).unwrap();
    let (stop, stopped) = watch::channel(false);
    let scene = async {
        until("a report over TLS", async || {
            let keys = store.keys().await.unwrap();
            match keys.first() {
                Some(key) => {
                    let known = store.terminal(&key.terminal).await.unwrap();
                    known.is_some_and(|known| known.last_heard.is_some())
                }
                None => false,
            }
        })
        .await;
        stop.send_replace(true);
    };
    let (ran, ()) = tokio::join!(
        run::run(config, stopped, SaveNow::default(), Hearing::default()),
        scene
    );
    ran.unwrap();
    let kept = IdentityFile::new(path("identity").into())
        .look()
        .said
        .unwrap();

    // The right key in plain text gets nowhere.
    let plain = enrolment::log_in(broker, &kept.terminal, &kept.key).await;
    assert!(plain.is_err(), "{plain:?}");
    let options = TlsOptions {
        ca_file: Some(path("ca.pem").into()),
        identity: None,
    };
    let mut options_mqtt = MqttOptions::new(&kept.terminal, "127.0.0.1", broker.port());
    options_mqtt.set_credentials(&kept.terminal, &kept.key);
    let tls = TlsConfiguration::Rustls(Arc::new(client(&options).unwrap()));
    options_mqtt.set_transport(Transport::tls_with_config(tls));
    let (_client, mut events) = AsyncClient::new(options_mqtt, 8);
    assert!(events.poll().await.is_ok(), "over TLS it does");
    service.stop().await;
}

#[test]
fn plain_text_beyond_this_machine_must_be_said() {
    let folder = TempDir::new().unwrap();
    let store = format!("sqlite:{}", folder.path().join("x.db").display());
    let with = |more: &[(&str, &str)]| {
        let all = [&[("CLASSPULSE_STORE", store.as_str())], more].concat();
        super::run(&all, &["serve"])
    };
    for (variable, key) in [
        ("CLASSPULSE_API_LISTEN", "api.listen"),
        ("CLASSPULSE_BROKER_LISTEN", "broker.listen"),
    ] {
        let (status, _, said) = with(&[(variable, "0.0.0.0:0")]);
        assert_eq!(status, 2, "{said}");
        assert!(said.contains(key) && said.contains("tls init"), "{said}");
    }
    let missing = [
        ("CLASSPULSE_API_LISTEN", "0.0.0.0:0"),
        ("CLASSPULSE_TLS_CERTIFICATE_FILE", "/no/such/file"),
        ("CLASSPULSE_TLS_KEY_FILE", "/no/such/key"),
    ];
    let (status, _, said) = with(&missing);
    assert!(status == 1 && said.contains("/no/such/file"), "{said}");
}
