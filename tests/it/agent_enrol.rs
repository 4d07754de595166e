//! A machine becomes a terminal, over a real Mosquitto: by code, over TLS, as a copy of another machine's disk, after its
//! own was wiped; and a server that is not the county's. The service's side is played. Refusals of codes, and servers without
//! TLS, are shown in `agent/tests/network`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use classpulse_agent::{
    config::{Config, Settings},
    identity::IdentityFile,
    journal::FileJournal,
    local::Hearing,
    publish::SaveNow,
    run,
};
use classpulse_proto::{
    topic::{self, Channel},
    v1::{
        Ack, EnrolRefusal, EnrolRequest, EnrolResponse, Enrolled, Kind, Report, SignalKind,
        enrol_response,
    },
};
use prost::Message as _;
use rumqttc::v5::{
    AsyncClient, Event, MqttOptions,
    mqttbytes::{QoS, v5::Packet},
};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::{
    outside::Authority,
    servers::{
        free_port,
        mosquitto::{FORGETS, Mosquitto},
        wait_for,
    },
    support::PATIENCE,
};

const CODE: &str = "7KQ4-M2XD-9TRA";

/// What the service's part was told.
#[derive(Default)]
struct Heard {
    requests: Vec<EnrolRequest>,
    /// Ids by hardware, as the service keeps them.
    ids: BTreeMap<Vec<u8>, String>,
    reports: Vec<(String, Report)>,
}

type Shared = Arc<Mutex<Heard>>;

/// Plays the service: one code is good, hardware that is known has its id back, reports are acknowledged. Says once it
/// listens.
async fn serve(port: u16, heard: Shared, listens: watch::Sender<bool>) {
    let options = MqttOptions::new("played", "127.0.0.1", port);
    let (client, mut events) = AsyncClient::new(options, 64);
    let mut filters = 2;
    for filter in [topic::ALL_ENROLS, topic::ALL_REPORTS] {
        client.try_subscribe(filter, QoS::AtLeastOnce).unwrap();
    }
    loop {
        let Ok(event) = events.poll().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let publish = match event {
            Event::Incoming(Packet::Publish(publish)) => publish,
            Event::Incoming(Packet::SubAck(_)) => {
                filters -= 1;
                listens.send_replace(filters == 0);
                continue;
            }
            _ => continue,
        };
        let name = String::from_utf8(publish.topic.to_vec()).unwrap();
        let (who, channel) = topic::parse(&name).unwrap();
        let (topic, answer) = if channel == Channel::Enrol {
            assert!(topic::is_passing(who), "{who}");
            let request = EnrolRequest::decode(publish.payload).unwrap();
            let answer = heard.lock().unwrap().enrol(request);
            (Channel::Enrolled, answer.encode_to_vec())
        } else {
            let report = Report::decode(publish.payload).unwrap();
            let ack = Ack {
                boot_id: report.boot_id.clone(),
                sequences: vec![report.sequence],
                server_time_ms: now() * 1_000,
                settings: None,
                renew_key: false,
            };
            heard.lock().unwrap().reports.push((who.to_owned(), report));
            (Channel::Ack, ack.encode_to_vec())
        };
        let topic = topic::of(who, topic);
        client
            .try_publish(topic, QoS::AtLeastOnce, false, answer)
            .unwrap();
    }
}

impl Heard {
    fn enrol(&mut self, request: EnrolRequest) -> EnrolResponse {
        let good = request.code == CODE;
        let next = self.ids.len() + 1;
        let hardware = request.hardware.clone().unwrap_or_default().encode_to_vec();
        self.requests.push(request);
        let result = if good {
            let known = self.ids.contains_key(&hardware);
            let id = self.ids.entry(hardware);
            enrol_response::Result::Enrolled(Enrolled {
                terminal: id.or_insert_with(|| format!("bb-{next}")).clone(),
                key: "k".repeat(43),
                known,
                school: "逊克县第一小学".to_owned(),
            })
        } else {
            enrol_response::Result::Refusal(EnrolRefusal::Code.into())
        };
        EnrolResponse {
            result: Some(result),
            server_time_ms: now() * 1_000,
        }
    }

    fn reporters(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.reports.iter().map(|(who, _)| who.as_str()).collect();
        names.dedup();
        names
    }
}

#[expect(clippy::disallowed_methods, reason = "a played service tells the time")]
fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_secs()).unwrap()
}

/// A machine made of files: what its board, its disk and its adapter say.
fn hardware(folder: &Path, number: u32) -> PathBuf {
    let root = folder.join(format!("machine-{number}"));
    for (path, text) in [
        ("sys/class/dmi/id/board_serial", format!("NB77{number}\n")),
        ("sys/block/sda/device/serial", format!("S4EV88{number}\n")),
        (
            "sys/class/net/eth0/address",
            format!("00:1b:21:3c:4d:0{number}\n"),
        ),
        ("sys/class/net/eth0/type", "1\n".to_owned()),
        ("sys/class/net/eth0/addr_assign_type", "0\n".to_owned()),
        ("sys/class/net/eth0/device/uevent", "\n".to_owned()),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

/// A disk, in a folder.
fn config(disk: &Path, port: u16, more: &str) -> Config {
    fs::create_dir_all(disk).unwrap();
    let path = |name: &str| disk.join(name).display().to_string();
    let text = format!(
        "server = \"127.0.0.1:{port}\"\njournal = {:?}\nsocket = {:?}\nsources = [\"tty\"]\ntick_seconds = 1\n\
         heartbeat_seconds = 15\njitter_seconds = 0\n{more}\n",
        path("journal"),
        path("local.sock"),
    );
    fs::write(disk.join("agent.toml"), text).unwrap();
    Config::load(Some(&disk.join("agent.toml")), Settings::default()).unwrap()
}

/// Runs an agent while something is waited for, and stops it in order: within two seconds.
async fn while_running(config: Config, done: impl AsyncFn() -> bool) {
    let (stop, stopped) = watch::channel(false);
    let waits = async {
        let until = async {
            while !done().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, until)
            .await
            .expect("in time");
        stop.send_replace(true);
        tokio::time::Instant::now()
    };
    let (ran, told) = tokio::join!(
        run::run(config, stopped, SaveNow::default(), Hearing::default()),
        waits
    );
    ran.unwrap();
    assert!(
        told.elapsed() <= Duration::from_secs(2),
        "{:?}",
        told.elapsed()
    );
}

/// Runs a scene while the service's part is played.
async fn played(port: u16, scene: impl AsyncFnOnce(&Shared)) {
    let heard = Shared::default();
    let (listens, mut listening) = watch::channel(false);
    let scene = async {
        listening.wait_for(|listening| *listening).await.unwrap();
        scene(&heard).await;
    };
    tokio::select! {
        () = serve(port, heard.clone(), listens) => unreachable!("it is played until the end"),
        () = scene => {}
    }
}

/// Whether a terminal has said how long it was on: not in its first word, which asks for the time.
fn reported_by(heard: &Shared, who: &str) -> bool {
    let heard = heard.lock().unwrap();
    let mut own = heard.reports.iter().filter(|(name, _)| name == who);
    own.any(|(_, report)| !report.sessions.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_becomes_a_terminal_and_keeps_its_name_over_a_wiped_disk_but_its_copy_does_not() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new());
    let port = free_port();
    let mosquitto = Mosquitto::start(&format!(
        "{FORGETS}listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n",
        authority.file("ca.pem"),
        authority.file("server.pem"),
        authority.file("server.key")
    ));
    wait_for(port, "mosquitto's TLS");
    let more = format!(
        "code = \"{CODE}\"\nroom = \"三年级(2)班\"\nca_file = {:?}",
        authority.file("ca.pem")
    );
    let on = |disk: &str, machine: u32| {
        let mut config = config(&folder.path().join(disk), port, &more);
        config.hardware_root = hardware(folder.path(), machine);
        config
    };
    played(mosquitto.port, async |heard| {
        // New.
        let began = now();
        while_running(on("one", 1), async || reported_by(heard, "bb-1")).await;
        {
            let heard = heard.lock().unwrap();
            let [request] = heard.requests.as_slice() else {
                panic!("asked once: {:?}", heard.requests);
            };
            let marks = request.hardware.as_ref().unwrap();
            let lengths = [marks.board.len(), marks.disk.len(), marks.macs.len()];
            assert_eq!(lengths, [16, 16, 1]);
            assert_eq!(request.room, "三年级(2)班");
            assert_eq!(
                request.facts.as_ref().unwrap().version,
                env!("CARGO_PKG_VERSION")
            );
            // What it saw before it had a name is reported.
            let mut sessions = heard
                .reports
                .iter()
                .flat_map(|(_, report)| &report.sessions);
            let powered = sessions.find(|session| session.kind == i32::from(Kind::Powered));
            assert!(powered.unwrap().start <= began, "{powered:?}");
        }
        let identity = IdentityFile::new(folder.path().join("one/identity"));
        let kept = identity.look().said.unwrap();
        assert_eq!(
            (kept.terminal.as_str(), kept.school.as_str()),
            ("bb-1", "逊克县第一小学")
        );

        // Started again: nobody is asked.
        heard.lock().unwrap().reports.clear();
        while_running(on("one", 1), async || reported_by(heard, "bb-1")).await;
        assert_eq!(heard.lock().unwrap().requests.len(), 1);

        // The same disk in another machine: a terminal of its own, and not one word under the other's name.
        heard.lock().unwrap().reports.clear();
        while_running(on("one", 2), async || reported_by(heard, "bb-2")).await;
        assert_eq!(heard.lock().unwrap().reporters(), ["bb-2"]);
        // Its last generation is put aside too, under a name of its own.
        let kept_aside = ["one/identity.foreign", "one/identity.foreign-2"]
            .map(|name| IdentityFile::new(folder.path().join(name)).look().said);
        assert!(kept_aside.contains(&Some(kept)), "{kept_aside:?}");
        let journal = FileJournal::new(folder.path().join("one/journal.foreign"));
        assert!(journal.look().state.is_some(), "kept, and sent by nobody");

        // The first machine with a disk that knows nothing.
        heard.lock().unwrap().reports.clear();
        while_running(on("two", 1), async || reported_by(heard, "bb-1")).await;
        assert_eq!(heard.lock().unwrap().requests.len(), 3);
    })
    .await;
    let log = mosquitto.log();
    assert!(log.contains(&format!("on port {port}")), "{log}");
}

fn noted(journal: &Path) -> Vec<i32> {
    let state = FileJournal::new(journal.to_owned()).look().state;
    let boots = state.map(|state| state.boots).unwrap_or_default();
    let signals = boots.iter().flat_map(|boot| &boot.signals);
    signals.map(|signal| signal.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_the_countys_is_told_nothing_and_the_county_is() {
    let (folder, county, other) = (TempDir::new().unwrap(), Authority::new(), Authority::new());
    let (county_port, other_port) = (free_port(), free_port());
    let listener = |port: u16, authority: &Authority| {
        format!(
            "listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n",
            authority.file("ca.pem"),
            authority.file("server.pem"),
            authority.file("server.key")
        )
    };
    let more = format!(
        "{FORGETS}{}{}",
        listener(county_port, &county),
        listener(other_port, &other)
    );
    let mosquitto = Mosquitto::start(&more);
    wait_for(county_port, "mosquitto's TLS");
    let at = |port: u16| {
        let more = format!(
            "terminal = \"pin-1\"\nca_file = {:?}",
            county.file("ca.pem")
        );
        config(&folder.path().join("disk"), port, &more)
    };
    let journal = folder.path().join("disk/journal");
    let refused = i32::from(SignalKind::ServerRefused);
    played(mosquitto.port, async |heard| {
        // TLS of somebody else: no word, and a note.
        while_running(at(other_port), async || noted(&journal).contains(&refused)).await;
        assert!(heard.lock().unwrap().reports.is_empty());
        // The county hears of it.
        let signalled = async || {
            let heard = heard.lock().unwrap();
            let mut signals = heard.reports.iter().flat_map(|(_, report)| &report.signals);
            signals.any(|signal| signal.kind == refused)
        };
        while_running(at(county_port), signalled).await;
    })
    .await;
}
