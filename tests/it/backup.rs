//! Backup and restore as an operator does them: by the commands, from store to store and back, with nothing lost.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use classpulse::{
    domain::{
        hardware::Hardware,
        incident::{Incident, Kind},
        minutes::{DayMinutes, MinuteSet},
        usage::Period,
    },
    store::{
        Batch, Contact, Enrolled, Enrolment, NewCode, Refusal, SchoolSum, SharedStore,
        sqlite::SqliteStore,
    },
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use jiff::{ToSpan as _, civil::date};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::{
    servers::postgres,
    support::{JUNIOR, PRIMARY, county, register, terminal},
};

const PERIOD: Period = Period {
    first: date(2026, 8, 1),
    last: date(2027, 1, 31),
};

fn classpulse(store: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_classpulse"))
        .env("CLASSPULSE_STORE", store)
        .args(arguments)
        .output()
        .unwrap()
}

fn done(store: &str, arguments: &[&str]) {
    let output = classpulse(store, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

/// Exit code and what was said on standard error.
fn refused(store: &str, arguments: &[&str]) -> (i32, String) {
    let output = classpulse(store, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), said)
}

/// Random minutes of placed and of waiting terminals, facts, refusals (one of them replayed), two calendars.
async fn fill(store: &SharedStore) {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let names: Vec<_> = (0..30)
        .map(|number| {
            let school = if number % 3 == 0 { JUNIOR } else { PRIMARY };
            (format!("b-{number:02}"), school)
        })
        .collect();
    register(store, &names).await;
    let later = crate::support::CALENDAR.replace("国庆节", "国庆");
    store.set_calendar(&county(), &later, 77).await.unwrap();
    for number in 0..35 {
        let name = terminal(&format!("b-{number:02}"));
        let mut batch = Batch::default();
        for day in 0..60 {
            let start = rng.random_range(0..1_300);
            let powered = MinuteSet::of(start, start + rng.random_range(1..140_u16));
            let minutes = DayMinutes {
                powered,
                used: powered & MinuteSet::of(0, start + 30),
                last_seen: rng.random_range(1_788_000_000..1_790_000_000),
            };
            batch
                .days
                .push((name.clone(), date(2026, 8, 25) + day.days(), minutes));
        }
        batch.contacts.push(Contact {
            terminal: name.clone(),
            received_at: 1_788_000_000 + number,
            clock_offset: -number,
            boot_id: rng.random(),
            sequence: (number % 3 > 0).then_some(number),
            facts: (number % 2 == 0).then(|| ("0.1.0".to_owned(), "麒麟 V10".to_owned())),
        });
        store.commit(batch).await.unwrap();
    }
    let refusals = (0..9).map(|number| Refusal {
        terminal: if number == 8 {
            "谁".to_owned()
        } else {
            "b-01".to_owned()
        },
        fingerprint: vec![number, 255],
        reason: "future".to_owned(),
        detail: "结束 \"晚\" 于现在".to_owned(),
        payload: vec![0, number, 200],
        received_at: 1_788_000_000,
        received_day: date(2026, 9, 1),
    });
    let batch = Batch {
        quarantined: refusals.collect(),
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    let first = store.quarantine(0, 1).await.unwrap()[0].id;
    let batch = Batch {
        replayed: vec![first],
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
}

/// A code, two machines that enrolled with it, an incident.
async fn enrol(store: &SharedStore) {
    let code = NewCode {
        hash: [5; 32],
        school: PRIMARY.parse().unwrap(),
        uses: 3,
        created_at: 1_788_000_000,
        expires_at: 1_798_000_000,
    };
    store.add_code(code).await.unwrap();
    for number in 1..=2 {
        let enrolment = Enrolment {
            code: [5; 32],
            hardware: Hardware {
                board: Some([number; 16]),
                disk: None,
                macs: vec![[number; 16], [99; 16]],
            },
            key: [number; 32],
            salted: [7; 76],
            room: "音乐室".to_owned(),
            at: 1_788_000_100,
            today: date(2026, 8, 29),
        };
        let done = store.enrol(enrolment).await.unwrap();
        assert!(matches!(done, Enrolled::Done { .. }), "{done:?}");
    }
    let incident = Incident {
        boot_id: [8; 16],
        seconds: -60,
        ..Incident::found(terminal("b-01"), Kind::ClockSet, 4, 1_788_000_200)
    };
    let batch = Batch {
        incidents: vec![incident],
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
}

async fn sums(store: &SharedStore) -> Vec<SchoolSum> {
    while !store.roll_up(1_000).await.unwrap().is_empty() {}
    store.school_sums(&county(), PERIOD).await.unwrap()
}

fn sqlite(path: &Path) -> SharedStore {
    Arc::new(SqliteStore::open(path).unwrap())
}

/// An export's lines between header and end.
fn lines(file: &Path) -> Vec<String> {
    let mut text = String::new();
    GzDecoder::new(fs::File::open(file).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert!(lines.remove(0).starts_with(r#"{"classpulse_export":1"#));
    assert!(lines.pop().unwrap().starts_with(r#"{"end""#));
    // Backups and restores are themselves recorded, and so never the same.
    lines.retain(|line| !line.starts_with(r#"{"recorded""#));
    lines
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_county_moves_to_postgresql_and_back_and_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| -> PathBuf { folder.path().join(name) };
    let (first, second) = (file("first.db"), file("second.db"));
    let store = sqlite(&first);
    fill(&store).await;
    enrol(&store).await;
    let before = sums(&store).await;
    assert!(before.iter().all(|sum| sum.minutes.counted > 0) && before.len() == 2);
    // The store stays open meanwhile, as under a running service.
    let (first, second) = (
        format!("sqlite:{}", first.display()),
        format!("sqlite:{}", second.display()),
    );
    let middle = postgres::shared().database();
    let exports = [file("1.gz"), file("2.gz"), file("3.gz")];
    done(&first, &["backup", "--portable", text(&exports[0])]);
    done(&middle, &["restore", text(&exports[0])]);
    done(&middle, &["backup", text(&exports[1])]);
    done(&second, &["restore", text(&exports[1])]);
    done(&second, &["backup", "--portable", text(&exports[2])]);
    store.close().await;

    let all = lines(&exports[0]);
    // 1 county, 2 schools, 2 calendars, 1 code, 37 terminals, 2 identities, 1 incident, 35 × 60 days, 9 refusals.
    assert_eq!(all.len(), 1 + 2 + 2 + 1 + 37 + 2 + 1 + 35 * 60 + 9);
    assert_eq!(lines(&exports[1]), all);
    assert_eq!(lines(&exports[2]), all);
    let back = sqlite(&file("second.db"));
    assert_eq!(sums(&back).await, before);
    assert_eq!(back.pending_count().await.unwrap(), 5);
    assert_eq!(back.quarantine(0, 99).await.unwrap().len(), 8);
    assert_eq!(back.keys().await.unwrap().len(), 2, "they still log in");
    assert_eq!(back.calendar(&county()).await.unwrap().unwrap().version, 2);
    back.close().await;
    for command in ["score", "usage"] {
        let shown: Vec<_> = [&first, &middle, &second]
            .map(|store| {
                let arguments = [
                    command,
                    "--json",
                    "--from",
                    "2026-09-01",
                    "--to",
                    "2026-10-20",
                ];
                let output = classpulse(store, &arguments);
                assert!(output.status.success(), "{output:?}");
                String::from_utf8(output.stdout).unwrap()
            })
            .to_vec();
        assert!(shown[0].contains(PRIMARY));
        assert_eq!(shown[0], shown[1]);
        assert_eq!(shown[0], shown[2]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_made_while_reports_come_is_whole_and_restores() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("classpulse.db");
    let store = sqlite(&path);
    fill(&store).await;
    let url = format!("sqlite:{}", path.display());
    let copy = folder.path().join("copy.db");
    let copying = tokio::task::spawn_blocking({
        let (url, copy) = (url.clone(), copy.clone());
        move || done(&url, &["backup", text(&copy)])
    });
    let mut rounds = 0_u16;
    while !copying.is_finished() {
        let set = MinuteSet::of(rounds % 1_440, rounds % 1_440 + 1);
        let minutes = DayMinutes {
            powered: set,
            used: set,
            last_seen: 0,
        };
        let batch = Batch {
            days: vec![
                (terminal("during-1"), date(2026, 9, 1), minutes),
                (terminal("during-2"), date(2026, 9, 1), minutes),
            ],
            ..Batch::default()
        };
        store.commit(batch).await.unwrap();
        rounds += 1;
    }
    copying.await.unwrap();
    store.close().await;
    assert!(rounds > 0);

    let restored = folder.path().join("deep/restored.db");
    let to = format!("sqlite:{}", restored.display());
    done(&to, &["restore", text(&copy)]);
    let store = sqlite(&restored);
    assert_eq!(store.quarantine(0, 99).await.unwrap().len(), 8);
    let day = async |name| store.terminal_days(&terminal(name), PERIOD).await.unwrap();
    assert_eq!(day("b-07").await.len(), 60);
    // A commit is in the copy as a whole, or not.
    assert_eq!(day("during-1").await, day("during-2").await);
    store.close().await;

    let (code, said) = refused(&to, &["restore", text(&copy)]);
    assert!(
        code == 3 && said.contains("restored.db is there already"),
        "{code} {said}"
    );
    let (code, said) = refused(&to, &["backup", text(&copy)]);
    assert!(
        code == 3 && said.contains("copy.db is there already"),
        "{code} {said}"
    );
    let postgres = postgres::shared().database();
    let (code, said) = refused(&postgres, &["restore", text(&copy)]);
    assert!(code == 3 && said.contains("--portable"), "{code} {said}");
    let missing = format!("sqlite:{}", folder.path().join("no.db").display());
    for portable in [&["backup", "x"][..], &["backup", "x", "--portable"]] {
        let (code, said) = refused(&missing, portable);
        assert!(code == 1 && said.contains("no.db"), "{code} {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_export_changes_nothing_and_says_where() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("classpulse.db");
    let store = sqlite(&path);
    fill(&store).await;
    store.close().await;
    let url = format!("sqlite:{}", path.display());
    let good = folder.path().join("good.gz");
    done(&url, &["backup", "--portable", text(&good)]);
    let (code, said) = refused(&url, &["restore", text(&good)]);
    assert!(code == 3 && said.contains("is not empty"), "{code} {said}");

    let bytes = fs::read(&good).unwrap();
    let mut plain = String::new();
    GzDecoder::new(&bytes[..])
        .read_to_string(&mut plain)
        .unwrap();
    let zipped = |text: &str| {
        let mut to = GzEncoder::new(Vec::new(), Compression::fast());
        std::io::Write::write_all(&mut to, text.as_bytes()).unwrap();
        to.finish().unwrap()
    };
    let minute = plain.find("\"powered\":\"").unwrap() + 11;
    let mut altered = plain.clone();
    altered.replace_range(
        minute..minute + 2,
        if &plain[minute..minute + 2] == "00" {
            "01"
        } else {
            "00"
        },
    );
    let unended = plain.rsplit_once("{\"end\"").unwrap().0;
    let without_a_line = plain.replacen(plain.lines().nth(50).unwrap(), "", 1);
    let wrong = [
        (bytes[..bytes.len() / 2].to_vec(), "cut off"),
        (zipped(&altered), "does not fit"),
        (zipped(unended), "cut off"),
        (zipped(&without_a_line), "line 51"),
        (
            zipped(&plain.replacen("export\":1", "export\":9", 1)),
            "format 9",
        ),
        (zipped(&format!("{plain}more\n")), "follows the end"),
        (b"PK\x03\x04".to_vec(), "no backup of Classpulse"),
    ];
    let empty = folder.path().join("empty.db");
    let to = format!("sqlite:{}", empty.display());
    for (content, expected) in wrong {
        let bad = folder.path().join("bad.gz");
        fs::write(&bad, content).unwrap();
        let (code, said) = refused(&to, &["restore", text(&bad)]);
        assert!(
            code == 3 && said.contains(expected),
            "{expected}: {code} {said}"
        );
        assert!(!empty.exists(), "{expected}");
    }
    done(&to, &["restore", text(&good)]);
    done(&to, &["restore", "--resume", text(&good)]);
    let again = folder.path().join("again.gz");
    done(&to, &["backup", "--portable", text(&again)]);
    assert_eq!(lines(&again), lines(&good));
}

/// What a program wrote that knew neither living boots nor codes, keys and incidents.
fn as_older_program_wrote(plain: &str) -> String {
    let mut older = String::new();
    for line in plain.lines() {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(heard) = value.pointer_mut("/terminal/heard") {
            heard.as_object_mut().map(|heard| heard.remove("boots"));
        }
        if let Some(end) = value.get_mut("end").and_then(|end| end.as_object_mut()) {
            for new in ["codes", "identities", "incidents"] {
                assert_eq!(end.remove(new), Some(0.into()));
            }
            value["crc32"] = crc32fast::hash(older.as_bytes()).into();
        }
        older.push_str(&value.to_string());
        older.push('\n');
    }
    older
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_programs_export_is_taken_in() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("classpulse.db");
    let store = sqlite(&path);
    fill(&store).await;
    store.close().await;
    let url = format!("sqlite:{}", path.display());
    let file = folder.path().join("new.gz");
    done(&url, &["backup", "--portable", text(&file)]);
    let mut plain = String::new();
    GzDecoder::new(fs::File::open(&file).unwrap())
        .read_to_string(&mut plain)
        .unwrap();
    assert!(plain.contains("\"boots\""));
    let older = as_older_program_wrote(&plain);
    assert!(!older.contains("\"boots\""));
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut zipped, older.as_bytes()).unwrap();
    let old = folder.path().join("old.gz");
    fs::write(&old, zipped.finish().unwrap()).unwrap();
    for to in [
        format!("sqlite:{}", folder.path().join("to.db").display()),
        postgres::shared().database(),
    ] {
        done(&to, &["restore", text(&old)]);
        let again = folder.path().join(format!("again-{}.gz", to.len()));
        done(&to, &["backup", "--portable", text(&again)]);
        assert_eq!(lines(&again).len(), lines(&file).len());
    }
}
