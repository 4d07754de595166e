//! `users`, `tokens` and `audit`, and what other commands leave in the log.

use std::process::{Command, Output};

use classpulse::cli::trail::{COMMANDS, Trail};
use serde_json::Value;
use tempfile::TempDir;

/// A store of its own for commands.
pub(super) struct Console(TempDir);

impl Console {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        let path = self.0.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    fn output(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_classpulse"))
            .args(arguments)
            .env(
                "CLASSPULSE_STORE",
                format!("sqlite:{}", self.path("test.db")),
            )
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    /// Runs a command that must end so.
    fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        format!("{}{said}", String::from_utf8(output.stdout).unwrap())
    }

    fn done(&self, arguments: &[&str]) -> String {
        self.ends(0, arguments)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let said = self.done(&[arguments, &["--json"]].concat());
        serde_json::from_str(&said).unwrap()
    }

    /// Actions in the log, oldest first.
    fn actions(&self) -> Vec<String> {
        let entries = self.json(&["audit", "list"]);
        let entries = entries.as_array().unwrap().iter().rev();
        let action = |one: &Value| one["entry"]["action"].as_str().unwrap().to_owned();
        entries.map(action).collect()
    }
}

#[test]
fn accounts_are_kept_by_rules() {
    let console = Console::new();
    let first = console.done(&["users", "link"]);
    assert!(first.contains("http://127.0.0.1:50051/setup/"), "{first}");
    let said = console.done(&["users", "add", "boss", "--role", "administrator"]);
    assert!(said.contains("/setup/"), "{said}");
    for (arguments, words) in [
        (&["add", "boss", "--role", "viewer"][..], "已经存在"),
        (
            &[
                "add",
                "aud",
                "--role",
                "auditor",
                "--scope",
                "county:231123",
            ],
            "全部",
        ),
        (
            &[
                "add",
                "sch",
                "--role",
                "evaluator",
                "--scope",
                "school:2123000001",
            ],
            "查看员",
        ),
        (&["change", "boss", "--role", "auditor"], "审计员"),
        (&["change", "boss", "--role", "viewer"], "另建账号"),
        (&["change", "nobody", "--role", "viewer"], "没有"),
        (&["lock", "nobody"], "没有"),
        (&["reset", "nobody"], "没有"),
        (&["link", "nobody"], "没有"),
    ] {
        let said = console.ends(3, &[&["users"], arguments].concat());
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    for wrong in [
        &["users", "add", "王科", "--role", "viewer"][..],
        &["users", "add", "wang", "--role", "root"],
        &[
            "users", "add", "wang", "--role", "viewer", "--scope", "class:3",
        ],
        &["tokens", "add", "x1", "--role", "viewer", "--days", "0"],
    ] {
        console.ends(2, wrong);
    }
}

#[test]
fn every_step_of_an_account_is_recorded() {
    let console = Console::new();
    console.done(&["users", "add", "boss", "--role", "administrator"]);
    console.done(&[
        "users",
        "add",
        "sch",
        "--role",
        "viewer",
        "--scope",
        "school:2123000001",
    ]);
    console.done(&[
        "users",
        "change",
        "sch",
        "--scope",
        "township:231123/奇克镇",
    ]);
    console.done(&["users", "lock", "sch"]);
    console.done(&["users", "unlock", "sch"]);
    console.done(&["users", "reset", "sch"]);
    console.done(&["users", "link", "sch"]);
    let listed = console.json(&["users", "list"]);
    assert_eq!(listed[1]["login"], "sch");
    assert_eq!(listed[1]["scope"], "township:231123/奇克镇");
    assert!(!listed.to_string().contains("password"), "{listed}");
    let token = console.json(&["tokens", "add", "exchange", "--role", "viewer"]);
    let text = token["token"].as_str().unwrap().to_owned();
    assert!(text.starts_with("cpt_") && text.len() > 40, "{text}");
    console.ends(3, &["tokens", "add", "exchange", "--role", "viewer"]);
    console.ends(3, &["tokens", "add", "root-2", "--role", "administrator"]);
    let id = token["listed"]["id"].to_string();
    assert!(!console.done(&["tokens", "list"]).contains(&text));
    console.done(&["tokens", "revoke", &id]);
    console.ends(3, &["tokens", "revoke", "99"]);
    assert_eq!(
        console.actions(),
        [
            "account.add",
            "account.link",
            "account.add",
            "account.link",
            "account.change",
            "account.change",
            "account.change",
            "account.reset",
            "account.link",
            "account.link",
            "token.add",
            "token.revoke",
        ]
    );
    let log = console.done(&["audit", "list", "--json"]);
    assert!(log.contains("\"console\"") && !log.contains(&text));
    let file = std::fs::read(console.path("test.db")).unwrap();
    let secret = text.as_bytes();
    assert!(
        !file.windows(secret.len()).any(|part| part == secret),
        "kept as a hash only"
    );
}

#[test]
fn a_tampered_log_is_found_by_its_exit_code() {
    let console = Console::new();
    for name in ["a1", "b2", "c3"] {
        console.done(&["users", "add", name, "--role", "viewer"]);
    }
    let whole = console.json(&["audit", "verify"]);
    assert_eq!(
        (&whole["ok"], &whole["entries"]),
        (&Value::Bool(true), &6.into())
    );
    let noted = whole["head"].as_str().unwrap().to_owned();
    console.done(&["users", "lock", "a1"]);
    console.done(&["audit", "verify", "--noted", &noted]);
    console.ends(2, &["audit", "verify", "--noted", "7"]);
    let database = rusqlite::Connection::open(console.path("test.db")).unwrap();
    database
        .execute_batch(
            "DROP TRIGGER audit_is_not_edited; DROP TRIGGER audit_is_not_cut;
             UPDATE audit SET who = 'nobody' WHERE number = 7",
        )
        .unwrap();
    let said = console.ends(3, &["audit", "verify"]);
    assert!(said.contains("entry 7"), "{said}");
    let output = console.output(&["audit", "verify", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["ok"], false);
    database
        .execute_batch(
            "DELETE FROM audit WHERE number > 5;
             UPDATE meta SET audit_number = 5, audit_hash = (SELECT hash FROM audit WHERE number = 5)",
        )
        .unwrap();
    console.done(&["audit", "verify"]);
    let said = console.ends(3, &["audit", "verify", "--noted", &noted]);
    assert!(said.contains("ends with entry 5"), "{said}");
}

#[test]
fn what_commands_change_and_export_is_recorded() {
    let console = Console::new();
    let root = env!("CARGO_MANIFEST_DIR");
    let deployed = |file: &str| format!("{root}/deploy/{file}");
    let ran = std::cell::RefCell::new(Vec::new());
    let done = |typed: &str, more: &[&str]| {
        let before = console.actions().len();
        let arguments: Vec<_> = typed.split(' ').chain(more.iter().copied()).collect();
        console.done(&arguments);
        ran.borrow_mut().push(typed.to_owned());
        let row = COMMANDS.iter().find(|(path, _)| *path == typed).unwrap();
        let Trail::Records(expected) = row.1 else {
            panic!("{typed} is said to read only")
        };
        let found = console.actions().split_off(before);
        let known = |action: &String| expected.iter().any(|one| action.starts_with(one));
        assert!(!found.is_empty(), "{typed} left no entry");
        assert!(found.iter().all(known), "{typed}: {found:?}");
    };
    done("import", &[&deployed("registry/schools.csv")]);
    done("import", &[&deployed("registry/terminals.csv")]);
    done("import", &[&deployed("calendar/example.toml")]);
    let schools = std::fs::read_to_string(deployed("registry/schools.csv")).unwrap();
    let fields: Vec<_> = schools.lines().nth(1).unwrap().split(',').collect();
    let school = *fields.iter().find(|field| field.len() == 10).unwrap();
    done("terminals codes create", &["--school", school]);
    done("terminals codes revoke", &["1"]);
    let rubric = deployed("rubric/example.toml");
    done("rubric import", &[&rubric]);
    done("rubric show", &["--out", "rubric.md"]);
    let run = [
        "试评",
        "--from",
        "2026-03-02",
        "--to",
        "2026-03-03",
        "--by",
        "wang",
    ];
    done("runs create", &run);
    done("evidence template", &["1"]);
    done("evidence export", &["1"]);
    done(
        "evidence set",
        &["1", school, "4.3.1", "--source", "x", "--by", "wang"],
    );
    let terminals = std::fs::read_to_string(deployed("registry/terminals.csv")).unwrap();
    let terminal = terminals.lines().nth(1).unwrap().split(',').next().unwrap();
    done(
        "runs exclude",
        &["1", terminal, "--reason", "坏", "--by", "wang"],
    );
    let exclusions = console.json(&["runs", "exclusions", "1"]);
    let number = exclusions[0]["id"].to_string();
    done("runs include", &["1", &number]);
    done("runs export", &["1"]);
    done("runs freeze", &["1", "--by", "wang", "--accept-missing"]);
    done(
        "runs create",
        &[
            "再评",
            "--from",
            "2026-03-02",
            "--to",
            "2026-03-03",
            "--by",
            "wang",
        ],
    );
    done("runs discard", &["2"]);
    done("backup", &["copy.db"]);
    done("backup", &["--portable", "all.gz"]);
    done("audit export", &[]);
    let csv = std::fs::read_to_string(console.path("audit.csv")).unwrap();
    assert!(
        csv.starts_with('\u{feff}') && csv.contains("registry.change"),
        "{csv}"
    );
    assert_eq!(console.json(&["audit", "verify"])["ok"], true);
    // Before and after are told.
    let log = console.json(&["audit", "list", "--action", "code.revoke"]);
    let before = log[0]["entry"]["before"].as_str().unwrap();
    assert!(before.contains(school), "{before}");
}
