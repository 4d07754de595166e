//! How options are laid over a configuration that is there.

use super::*;
use crate::run::chain;

#[test]
fn what_is_not_said_stays() {
    let options = InstallOptions {
        server: Some("10.1.2.3:8883".to_owned()),
        code: Some("7KQ4-M2XD-9TRA".to_owned()),
        room: Some("三年级(2)班 \"东\"".to_owned()),
        ..InstallOptions::default()
    };
    let ca = Path::new("/etc/classpulse-agent/ca.pem");
    let first = configuration("", &options, Some(ca)).unwrap();
    let table = read(&first).unwrap();
    assert_eq!(table["room"].as_str(), Some("三年级(2)班 \"东\""));
    assert_eq!(table["ca_file"].as_str(), ca.to_str());
    assert_eq!(configuration(&first, &options, Some(ca)).unwrap(), first);

    let own = format!("# by hand\n{first}idle_seconds = 600\n  history=false # not here\n");
    let more = InstallOptions {
        history: Some(true),
        server: Some("10.9.9.9:8883".to_owned()),
        ..InstallOptions::default()
    };
    let second = configuration(&own, &more, None).unwrap();
    assert_eq!(
        second,
        own.replace("10.1.2.3", "10.9.9.9")
            .replace("  history=false # not here", "history = true")
    );
}

#[test]
fn an_unreadable_configuration_is_not_written_over() {
    let server = |server: &str| InstallOptions {
        server: Some(server.to_owned()),
        ..InstallOptions::default()
    };
    for existing in ["server = ", "server = \"a:1\"\nserver = \"b:1\"\n", "{"] {
        let error = configuration(existing, &server("a:1"), None).unwrap_err();
        assert!(error.to_string().starts_with("configuration: "), "{error}");
    }
    for (options, key) in [
        (server("here"), "server"),
        (server("here:0"), "server"),
        (
            InstallOptions {
                code: Some("没有".to_owned()),
                ..server("a:1")
            },
            "code",
        ),
        (
            InstallOptions {
                room: Some("室".repeat(65)),
                ..server("a:1")
            },
            "room",
        ),
    ] {
        let error = chain(&configuration("", &options, None).unwrap_err());
        assert!(error.contains(&format!(": {key} = ")), "{error}");
    }
    // A value that can't hold is mended by saying another, and one of a later program's keys is not passed over.
    assert!(configuration("server = \"here\"\n", &server("a:1"), None).is_ok());
    let error = chain(&configuration("sever = \"a:1\"\n", &server("a:1"), None).unwrap_err());
    assert!(error.contains("sever"), "{error}");
    assert!(configuration("", &InstallOptions::default(), None).is_err());
}
