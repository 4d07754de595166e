//! How options are laid over a configuration that is there.

use super::*;
use crate::chain::chain;

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
        plain: true,
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

#[test]
fn nobody_is_spoken_to_in_plain_text_unless_that_was_said() {
    let to = |server: &str, plain| InstallOptions {
        server: Some(server.to_owned()),
        plain,
        ..InstallOptions::default()
    };
    let ca = Path::new("/etc/classpulse-agent/ca.pem");
    let error = configuration("", &to("10.1.2.3:1883", false), None).unwrap_err();
    let InstallError::Option { key: "ca", problem } = &error else {
        panic!("{error}");
    };
    assert!(problem.contains("--ca FILE") && problem.contains("--plain"));
    for server in ["127.0.0.1:1883", "localhost:1883", "[::1]:1883"] {
        assert!(
            configuration("", &to(server, false), None).is_ok(),
            "{server}"
        );
    }
    let plain = configuration("", &to("10.1.2.3:1883", true), None).unwrap();
    // An upgrade, with the same words or none, goes on as it is; another server is asked for again.
    for again in [to("10.1.2.3:1883", false), InstallOptions::default()] {
        assert_eq!(configuration(&plain, &again, None).unwrap(), plain);
    }
    assert!(configuration(&plain, &to("10.1.2.4:1883", false), None).is_err());
    // With an authority all others are spoken to by that, until plain text is said.
    let pinned = configuration("", &to("10.1.2.3:8883", false), Some(ca)).unwrap();
    let moved = configuration(&pinned, &to("10.1.2.4:8883", false), None).unwrap();
    assert!(read(&moved).unwrap().contains_key("ca_file"));
    let given_up = configuration(&pinned, &to("10.1.2.3:1883", true), None).unwrap();
    assert!(!read(&given_up).unwrap().contains_key("ca_file"));
}
