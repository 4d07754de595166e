//! Every check of the doctor, well and ill: each failure says its mend in both languages.

use std::{io::Write as _, net::TcpListener};

use classpulse_proto::v1::Hardware;
use serde_json::Value;

use super::*;
use crate::identity::Identity;

fn mend(outcome: &Outcome) -> Option<Mend> {
    match outcome {
        Outcome::Wrong(_, mend) => Some(*mend),
        _ => None,
    }
}

fn remark(outcome: &Outcome) -> Option<Mend> {
    match outcome {
        Outcome::Remark(_, mend) => Some(*mend),
        _ => None,
    }
}

fn well(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Well(_))
}

#[test]
fn every_mend_is_said_in_both_languages_and_no_two_are_alike() {
    let mut texts = std::collections::BTreeSet::new();
    for mend in Mend::ALL {
        let (zh, en) = mend.texts();
        assert!(!zh.is_ascii() && en.is_ascii(), "{mend:?}");
        assert!(texts.insert(zh) && texts.insert(en), "{mend:?}");
    }
    let finding = Finding::new(
        Check::Reach,
        Outcome::Wrong("10.1.2.3:8883: refused".to_owned(), Mend::Reach),
    );
    let page = words(std::slice::from_ref(&finding));
    let (zh, en) = Mend::Reach.texts();
    assert!(
        page.starts_with("✗ 网络连接 network: 10.1.2.3:8883: refused\n"),
        "{page}"
    );
    assert!(page.contains(zh) && page.contains(en));
    let object = json(&[finding]);
    assert_eq!(object["well"], false);
    assert_eq!(object["checks"][0]["mend_en"], en);
    assert_eq!(object["checks"][0]["outcome"], "wrong");
}

#[test]
fn what_can_t_be_told_is_not_wrong() {
    let untold = Finding::new(Check::Clock, Outcome::Untold(String::new()));
    let fine = Finding::new(Check::Login, Outcome::Well(String::new()));
    assert!(all_well(&[untold, fine]));
    assert!(!all_well(&misconfigured("line 1".to_owned())));
}

#[test]
fn the_journals_place_is_tried() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    assert!(well(&machine::journal(&path)));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is left"
    );
    std::fs::write(&path, "torn").unwrap();
    assert_eq!(mend(&machine::journal(&path)), Some(Mend::JournalBad));
    let nowhere = folder.path().join("no/folder/journal");
    assert_eq!(mend(&machine::journal(&nowhere)), Some(Mend::JournalFolder));
    #[cfg(target_os = "linux")]
    assert_eq!(
        mend(&machine::journal("/dev/full/journal".as_ref())),
        Some(Mend::JournalFolder)
    );
}

#[test]
fn an_identity_must_fit_the_machine() {
    let machine = |number: u8| Hardware {
        board: vec![number; 16],
        disk: vec![number; 16],
        macs: vec![vec![number; 16]],
    };
    let enrolled = Identity {
        terminal: "t-1".to_owned(),
        hardware: Some(machine(1)),
        ..Identity::default()
    };
    let waiting = Identity {
        hardware: Some(machine(1)),
        ..Identity::default()
    };
    let check = |found, here: &Hardware, code| machine::identity(found, here, code);
    assert!(well(&check(Some(&enrolled), &machine(1), false)));
    for (found, here, code, expected) in [
        (Some(&enrolled), machine(2), true, Mend::ForeignIdentity),
        (Some(&enrolled), Hardware::default(), true, Mend::NoHardware),
        (Some(&waiting), machine(1), true, Mend::NotEnrolled),
        (Some(&waiting), machine(1), false, Mend::NoCode),
        (None, machine(1), false, Mend::NoCode),
    ] {
        assert_eq!(mend(&check(found, &here, code)), Some(expected));
    }
}

#[test]
fn the_way_to_the_server_is_told_step_by_step() {
    let (outcome, addresses) = server::name("127.0.0.1", 9);
    assert!(well(&outcome) && addresses.len() == 1);
    assert!(well(&server::name("[::1]", 9).0));
    let (outcome, _) = server::name("no-such-name.invalid", 9);
    assert_eq!(mend(&outcome), Some(Mend::Name));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert!(well(&server::reach(&[address]).0));
    drop(listener);
    assert_eq!(mend(&server::reach(&[address]).0), Some(Mend::Reach));
}

#[test]
fn what_speaks_no_tls_is_no_server_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let tls = crate::tls::client(
        &ca,
        crate::tls::Dates {
            vouched: || false,
            since: 0,
        },
    )
    .unwrap();
    for (answer, expected) in [
        (
            &b"HTTP/1.1 302 Found\r\nLocation: http://login\r\n\r\n"[..],
            Mend::Impostor,
        ),
        (&b""[..], Mend::TlsCut),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            std::io::copy(&mut stream, &mut std::io::sink()).ok();
        });
        let (_, stream) = server::reach(&[address]);
        let outcome = server::certificate("localhost", &tls, stream.unwrap());
        assert_eq!(mend(&outcome), Some(expected), "{outcome:?}");
        answering.join().unwrap();
    }
}

#[test]
fn what_the_agent_says_is_taken() {
    for (state, expected) in [
        ("denied", Some(Mend::KeyRefused)),
        ("not_enrolled", Some(Mend::CodeRefused)),
        ("impostor", Some(Mend::Impostor)),
        ("down", Some(Mend::Reach)),
        ("waiting", None),
        ("up", None),
    ] {
        assert_eq!(mend(&server::of_agent(state, None)), expected, "{state}");
    }
    let agent = |count: Value, trusted: bool| {
        serde_json::json!({
            "sensing": [{ "source": "session", "there": true, "count": count }],
            "clock": { "trusted": trusted, "system_off_seconds": 0 },
        })
    };
    assert!(well(&machine::helper(&agent(1.into(), true))));
    assert_eq!(
        remark(&machine::helper(&agent(Value::Null, true))),
        Some(Mend::Helper)
    );
    assert!(well(&machine::clock(&agent(1.into(), true))));
    assert_eq!(
        mend(&machine::clock(&agent(1.into(), false))),
        Some(Mend::Clock)
    );
}

#[cfg(target_os = "linux")]
#[test]
fn input_devices_are_tried() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(machine::input(folder.path()), Outcome::Untold(_)));
    std::fs::write(folder.path().join("event0"), "").unwrap();
    assert!(well(&machine::input(folder.path())));
    std::os::unix::fs::symlink("/nowhere", folder.path().join("event1")).unwrap();
    assert_eq!(remark(&machine::input(folder.path())), Some(Mend::Input));
}

fn config(sources: &[&str]) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    std::fs::write(&file, "").unwrap();
    let settings = crate::config::Settings {
        sources: Some(sources.iter().map(|name| (*name).to_owned()).collect()),
        ..crate::config::Settings::default()
    };
    Config::load(Some(&file), settings).unwrap()
}

#[test]
fn a_missing_source_is_a_remark_and_the_machine_is_well_while_something_sees_input() {
    let of_agent = |helpers: u64, missing: &[&str]| {
        let sensing: Vec<Value> = crate::sense::machine::SOURCES
            .iter()
            .map(|source| {
                serde_json::json!({
                    "source": source, "there": !missing.contains(source),
                    "count": (*source == "session").then_some(helpers),
                })
            })
            .collect();
        serde_json::json!({ "sensing": sensing, "clock": { "trusted": true, "system_off_seconds": 0 } })
    };
    let config = config(crate::sense::machine::SOURCES);
    let all = crate::sense::machine::SOURCES;
    let others: Vec<&str> = all
        .iter()
        .copied()
        .filter(|name| *name != "session")
        .collect();
    // No sound card, nothing else either: a person's session is seen, and that is enough.
    let findings = machine::sensing(&config, &of_agent(1, &others));
    let remarks = findings
        .iter()
        .filter(|finding| remark(&finding.outcome) == Some(Mend::Source));
    assert_eq!(remarks.count(), others.len());
    assert!(all_well(&findings), "{findings:?}");
    let page = words(&findings);
    let (zh, en) = Mend::Source.texts();
    assert!(page.contains(zh) && page.contains(en) && page.contains("! "));
    assert_eq!(json(&findings)["checks"][2]["outcome"], "remark");
    // Nobody's session is seen either.
    let findings = machine::sensing(&config, &of_agent(0, &others));
    assert!(!all_well(&findings));
    let wrong: Vec<Mend> = findings
        .iter()
        .filter_map(|one| mend(&one.outcome))
        .collect();
    assert_eq!(wrong, [Mend::Use]);
}

#[cfg(target_os = "linux")]
#[test]
fn what_sees_no_input_of_a_desktop_is_not_enough() {
    let silent = serde_json::json!({ "sensing": [] });
    let nobody = Value::Null;
    let sees =
        |sources: &[&str], devices, agent| machine::sees_use(&config(sources), devices, agent);
    assert!(well(&sees(&["evdev", "tty"], true, &silent)));
    for (sources, devices) in [
        (&["evdev", "tty", "session"][..], false),
        (&["tty", "alsa", "logind"], true),
        (&["session"], true),
    ] {
        assert_eq!(mend(&sees(sources, devices, &silent)), Some(Mend::Use));
    }
    // Without an agent nobody knows of helpers.
    assert!(matches!(
        sees(&["session"], false, &nobody),
        Outcome::Untold(_)
    ));
    assert_eq!(mend(&sees(&["tty"], true, &nobody)), Some(Mend::Use));
}
