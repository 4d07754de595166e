//! Installing into a folder as if it were a machine: files, modes, again and again, and away.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn image() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let own = fs::metadata(root.path()).unwrap();
    // The service's user is whoever runs the test, who may give files to nobody else.
    let line = format!("{USER}:x:{}:", own.uid());
    fs::write(root.path().join("etc/passwd"), line).unwrap();
    let line = format!("root:x:0:\n{USER}-not:x:9:\n{USER}:x:{}:\n", own.gid());
    fs::write(root.path().join("etc/group"), line).unwrap();
    root
}

fn options(root: &tempfile::TempDir) -> InstallOptions {
    let ca = root.path().join("their.pem");
    fs::write(&ca, "-----BEGIN CERTIFICATE-----\n").unwrap();
    InstallOptions {
        server: Some("10.1.2.3:8883".to_owned()),
        code: Some("7KQ4-M2XD-9TRA".to_owned()),
        ca: Some(ca),
        journal: Some("/data/classpulse/journal".into()),
        root: Some(root.path().to_owned()),
        ..InstallOptions::default()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// All files and links under a folder.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn an_image_gets_all_that_it_needs_and_again_nothing_more() {
    let root = image();
    let options = options(&root);
    let first = install(&options).unwrap();
    let at = |path: &str| root.path().join(path.trim_start_matches('/'));
    assert_eq!(mode(&at(PROGRAM)), 0o755);
    assert_eq!(mode(&at(CONFIGURATION)), 0o640, "it holds the code");
    assert_eq!(mode(&at(AUTHORITY)), 0o644);
    assert_eq!(mode(&at("/data/classpulse")), 0o700);
    let text = fs::read_to_string(at(CONFIGURATION)).unwrap();
    for part in [
        "10.1.2.3:8883",
        "7KQ4",
        AUTHORITY,
        "/data/classpulse/journal",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let drop_in = fs::read_to_string(at(DROP_IN)).unwrap();
    assert!(
        drop_in.ends_with("ReadWritePaths=-/data/classpulse\n"),
        "{drop_in}"
    );
    assert_eq!(fs::read_link(at(ENABLED)).unwrap(), Path::new(UNIT));
    assert!(first.len() > 7, "{first:?}");

    let before = tree(root.path());
    assert_eq!(install(&options).unwrap(), Vec::<String>::new());
    assert_eq!(tree(root.path()), before);

    // An upgrade: what is not said stays, what is new comes.
    fs::write(at(UNIT), "an older unit").unwrap();
    fs::write(at(PROGRAM), "an older program").unwrap();
    let upgrade = InstallOptions {
        root: options.root,
        ..InstallOptions::default()
    };
    assert_eq!(install(&upgrade).unwrap().len(), 2);
    assert_eq!(fs::read_to_string(at(CONFIGURATION)).unwrap(), text);
    assert_eq!(fs::read_to_string(at(UNIT)).unwrap(), BROUGHT[0].1);
}

#[test]
fn uninstalling_leaves_what_only_a_purge_takes() {
    let root = image();
    let before = tree(root.path());
    let mut options = options(&root);
    install(&options).unwrap();
    let ca = options.ca.take().unwrap();
    fs::remove_file(ca).unwrap();
    let at = |path: &str| root.path().join(path.trim_start_matches('/'));
    fs::create_dir_all(at(STATE)).unwrap();
    for path in [
        "/var/lib/classpulse-agent/identity",
        "/data/classpulse/journal.bak",
        "/data/classpulse/identity",
        "/data/classpulse/journals",
    ] {
        fs::write(at(path), "").unwrap();
    }
    let without = UninstallOptions {
        purge: false,
        root: options.root.clone(),
    };
    uninstall(&without).unwrap();
    assert!(!at(PROGRAM).exists() && !at(UNIT).exists() && !at(DROP_IN).exists());
    assert!(at(CONFIGURATION).exists() && at("/var/lib/classpulse-agent/identity").exists());

    // Again, and the old configuration holds.
    install(&InstallOptions {
        root: options.root.clone(),
        ..InstallOptions::default()
    })
    .unwrap();
    assert!(at(DROP_IN).exists());
    let with = UninstallOptions {
        purge: true,
        root: options.root,
    };
    uninstall(&with).unwrap();
    let mut left = before;
    left.push("data/classpulse/journals".to_owned());
    left.sort();
    assert_eq!(tree(root.path()), left, "another's file stays");
    assert_eq!(uninstall(&with).unwrap(), Vec::<String>::new());
}

#[test]
fn what_is_wrong_is_said_before_anything_is_touched() {
    let root = image();
    let good = options(&root);
    let before = tree(root.path());
    let bad_ca = root.path().join("etc/group");
    let journal = |path: &str| InstallOptions {
        journal: Some(path.into()),
        ..good.clone()
    };
    for (options, words) in [
        (
            InstallOptions {
                ca: Some(bad_ca),
                ..good.clone()
            },
            "no certificate",
        ),
        (
            InstallOptions {
                ca: Some("/no/such".into()),
                ..good.clone()
            },
            "/no/such: read",
        ),
        (
            InstallOptions {
                server: None,
                ..good.clone()
            },
            "server: say",
        ),
        (journal("journal"), "full path"),
        (journal("/journal"), "full path"),
        (journal("/home/teacher/journal"), "does not see /home"),
        (journal("/tmp/journal"), "does not see /tmp"),
    ] {
        let error = install(&options).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(tree(root.path()), before, "{words}");
    }
    // The service's own folder needs no opening.
    assert_eq!(
        journal_folder("journal = \"/var/lib/classpulse-agent/j\"").unwrap(),
        None
    );
}

#[test]
fn without_the_services_user_the_code_is_roots_alone() {
    let root = image();
    fs::write(root.path().join("etc/passwd"), "").unwrap();
    fs::write(root.path().join("etc/group"), "").unwrap();
    let wanted = Wanted::secret(b"code", Machine::new(Some(root.path())).unwrap().service());
    let path = root.path().join("etc/secret");
    assert!(put(&path, &wanted).unwrap());
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(
        put(&path, &wanted).unwrap(),
        "one that others may read is mended"
    );
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_package_is_the_package_managers() {
    let root = image();
    let at = |path: &str| root.path().join(path.trim_start_matches('/'));
    for path in [PACKAGED, UNIT] {
        fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        fs::write(at(path), "").unwrap();
    }
    install(&options(&root)).unwrap();
    assert!(!at(PROGRAM).exists() && !at(UNIT).exists());
    assert_eq!(
        fs::read_link(at(ENABLED)).unwrap(),
        Path::new(PACKAGED_UNIT)
    );
    assert!(at(CONFIGURATION).exists());
    let error = uninstall(&UninstallOptions {
        purge: true,
        root: Some(root.path().to_owned()),
    });
    assert!(error.unwrap_err().to_string().contains("apt-get purge"));
}
