//! The house's order: imports go one way. Reads the `use` lines (and paths) of every module and fails on a forbidden one.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Who may import whom inside the service, lowest first. A module may import those listed for it and itself.
const ALLOWED: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &[]),
    ("tasks", &[]),
    ("tls", &["tasks"]),
    ("store", &["domain", "tls"]),
    ("access", &["clock", "domain", "store", "tables", "tasks"]),
    ("gate", &["access", "store"]),
    ("query", &["domain", "store"]),
    ("evaluation", &["domain", "query", "store", "tasks"]),
    ("tables", &[]),
    ("sheets", &["domain", "evaluation", "store", "tables"]),
    ("registry", &["domain", "store", "tables"]),
    ("enrolment", &["clock", "domain", "observe", "store"]),
    (
        "ingest",
        &[
            "domain",
            "store",
            "clock",
            "enrolment",
            "observe",
            "tasks",
            "tls",
        ],
    ),
    ("observe", &[]),
    (
        "broker",
        &[
            "domain",
            "enrolment",
            "ingest",
            "observe",
            "store",
            "tasks",
            "tls",
        ],
    ),
    ("backup", &["store"]),
    ("privacy", &["store"]),
    ("retention", &["clock", "domain", "observe", "store"]),
    ("rollup", &["observe", "store"]),
    ("config", &["observe", "tls"]),
    (
        "web",
        &[
            "access",
            "domain",
            "evaluation",
            "gate",
            "query",
            "store",
            "tasks",
        ],
    ),
    (
        "api",
        &[
            "access",
            "domain",
            "enrolment",
            "evaluation",
            "gate",
            "observe",
            "query",
            "registry",
            "sheets",
            "store",
            "tasks",
        ],
    ),
    (
        "dashboard",
        &[
            "access",
            "clock",
            "domain",
            "enrolment",
            "evaluation",
            "gate",
            "observe",
            "query",
            "registry",
            "sheets",
            "store",
            "tables",
            "tasks",
            "web",
        ],
    ),
    ("login", &["access", "domain", "gate", "web"]),
    (
        "app",
        &[
            "access",
            "api",
            "broker",
            "clock",
            "config",
            "dashboard",
            "enrolment",
            "gate",
            "ingest",
            "login",
            "observe",
            "retention",
            "rollup",
            "store",
            "tasks",
            "tls",
            "web",
        ],
    ),
    (
        "demo",
        &[
            "app", "clock", "config", "domain", "observe", "query", "store", "tasks",
        ],
    ),
    ("simulate", &["domain", "ingest", "store"]),
    (
        "cli",
        &[
            "access",
            "app",
            "backup",
            "broker",
            "clock",
            "config",
            "demo",
            "domain",
            "enrolment",
            "evaluation",
            "ingest",
            "observe",
            "privacy",
            "query",
            "registry",
            "sheets",
            "simulate",
            "store",
            "tasks",
            "tls",
        ],
    ),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules of this crate that a source names after `crate::`, outside its tests and comments.
fn imports(text: &str) -> Vec<String> {
    let code: String = text
        .split("#[cfg(test)]")
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = Vec::new();
    for part in code.split("crate::").skip(1) {
        match part.strip_prefix('{') {
            Some(group) => found.extend(top_names(group)),
            None => found.push(name(part)),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn name(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The first names of a `{a::b, c::{d, e}, f}` group.
fn top_names(group: &str) -> Vec<String> {
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(name(group[start..at].trim()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(name(group[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}

fn check(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    sources(root, &mut files);
    let mut wrong = Vec::new();
    for path in files {
        let inside = path.strip_prefix(root).unwrap();
        let module = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!(
                "{}: module {module} has no place in the order; add it",
                inside.display()
            ));
            continue;
        };
        for import in imports(&fs::read_to_string(&path).unwrap()) {
            let known = ALLOWED.iter().any(|(name, _)| *name == import);
            if known && import != module && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{} imports {import}", inside.display()));
            }
        }
    }
    wrong
}

#[test]
fn imports_go_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(check(&root), Vec::<String>::new());
}

#[test]
fn a_forbidden_import_is_found() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("domain")).unwrap();
    fs::write(
        folder.path().join("domain/a.rs"),
        "use crate::{domain::b, store::{Store, X}};\n",
    )
    .unwrap();
    fs::write(
        folder.path().join("api.rs"),
        "fn f() { crate::ingest::run() }\n",
    )
    .unwrap();
    assert_eq!(
        check(folder.path()),
        ["api.rs imports ingest", "domain/a.rs imports store"]
    );
}

#[test]
fn domain_is_pure_and_the_agent_knows_only_the_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src/domain"), &mut files);
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        for banned in [
            "tokio",
            "rusqlite",
            "std::fs",
            "std::net",
            "std::time",
            "async fn",
            "f64",
            "f32",
        ] {
            assert!(!text.contains(banned), "{} uses {banned}", path.display());
        }
    }
    let manifest = fs::read_to_string(root.join("agent/Cargo.toml")).unwrap();
    let ours: Vec<_> = manifest
        .lines()
        .filter(|line| line.starts_with("classpulse") && line.contains("workspace"))
        .collect();
    assert_eq!(ours, ["classpulse-proto.workspace = true"]);
}

#[test]
fn every_source_says_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "agent", "proto", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 30);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//! "),
            "{} opens without //!",
            path.display()
        );
    }
}
