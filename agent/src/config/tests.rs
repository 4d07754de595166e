//! Which setting wins, what is allowed, and what a mistake is answered.

use super::*;

#[test]
fn flags_win_over_the_file_and_defaults_work() {
    let file: Settings =
        toml::from_str("server = \"a:1\"\nterminal = \"t-1\"\nidle_seconds = 60\n").unwrap();
    let said = Settings {
        server: Some("[::1]:1884".to_owned()),
        ..Settings::default()
    };
    let config = Config::check(said, file, Path::new("agent.toml")).unwrap();
    assert_eq!((config.host.as_str(), config.port), ("[::1]", 1884));
    assert_eq!(
        (
            config.terminal.as_deref(),
            config.idle_seconds,
            config.heartbeat_seconds
        ),
        (Some("t-1"), 60, 60)
    );
    assert_eq!(
        (config.log, config.log_level),
        (LogFormat::Text, LogLevel::Info)
    );
}

#[test]
fn a_machine_keeps_its_id_with_and_without_one_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (machine_id, journal) = (folder.path().join("machine-id"), folder.path().join("j"));
    let id = || places::default_terminal(&machine_id, &journal);
    let random = id().unwrap();
    assert!(topic::is_terminal(&random) && random.starts_with("pc-"));
    assert_eq!(id().unwrap(), random);
    fs::write(&machine_id, "uninitialized\n").unwrap();
    assert_eq!(id().unwrap(), random);
    let mut found = std::collections::BTreeSet::from([random]);
    for own in [
        "0123456789abcdef0123456789abcdef\n",
        "0123456789abcdef0123456789abcdee\n",
    ] {
        fs::write(&machine_id, own).unwrap();
        assert_eq!(id().unwrap().len(), 19);
        found.insert(id().unwrap());
    }
    assert_eq!(found.len(), 3);
    let nowhere = folder.path().join("no/such/folder/j");
    let error = places::default_terminal(&folder.path().join("none"), &nowhere).unwrap_err();
    assert!(error.to_string().contains("`terminal`"), "{error}");
}

#[test]
fn mistakes_name_the_setting_and_what_is_allowed() {
    let sources = machine::SOURCES.join(", ");
    for (text, words) in [
        ("server = \"here\"", "HOST:PORT"),
        ("server = \"here:0\"", "HOST:PORT"),
        ("terminal = \"三年级\"", "1 to 64"),
        ("sources = [\"camera\"]", sources.as_str()),
        ("tick_seconds = 60", "1 to 15"),
        ("heartbeat_seconds = 1", "15 to 3600"),
        ("idle_seconds = 3601", "30 to 3600"),
        ("jitter_seconds = 301", "0 to 300"),
        ("code = \"三年级\"", "7KQ4-M2XD-9TRA"),
        ("room = \"a\\nb\"", "64 characters"),
    ] {
        let file: Settings = toml::from_str(text).unwrap();
        let path = Path::new("/etc/x/agent.toml");
        let error = Config::check(Settings::default(), file, path)
            .unwrap_err()
            .to_string();
        let key = text.split(' ').next().unwrap();
        for word in [words, key, "/etc/x/agent.toml"] {
            assert!(error.contains(word), "{error}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    fs::write(&path, "sever = \"a:1\"\n").unwrap();
    let error = Config::load(Some(&path), Settings::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("agent.toml") && error.contains("line 1") && error.contains("sever"),
        "{error}"
    );
}

#[test]
fn a_flag_that_is_wrong_is_not_blamed_on_the_file() {
    let said = Settings {
        tick_seconds: Some(99),
        ..Settings::default()
    };
    let error = Config::check(said, Settings::default(), Path::new("agent.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tick_seconds = 99 (by flag or environment): must be 1 to 15"
    );
}

#[test]
fn a_code_is_no_flag_and_is_not_repeated_where_it_is_wrong() {
    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        settings: Settings,
    }
    use clap::Parser as _;
    assert!(Flags::try_parse_from(["agent", "--code", "7KQ4"]).is_err());
    let flags = Flags::try_parse_from(["agent", "--room", "三年级(2)班"]).unwrap();
    assert_eq!(flags.settings.room.as_deref(), Some("三年级(2)班"));
    let file: Settings = toml::from_str("code = \"secret!\"").unwrap();
    let error = Config::check(Settings::default(), file, Path::new("agent.toml")).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn the_identity_lies_beside_its_journal() {
    for (text, identity) in [
        ("journal = \"/d/journal\"", "/d/identity"),
        ("journal = \"/d/two.journal\"", "/d/two.journal.identity"),
        ("journal = \"/d/journal\"\nidentity = \"/e/i\"", "/e/i"),
    ] {
        let file: Settings = toml::from_str(text).unwrap();
        let config = Config::check(Settings::default(), file, Path::new("agent.toml")).unwrap();
        assert_eq!(config.identity, Path::new(identity));
        assert_eq!((config.code, config.history), (None, false));
    }
}
