//! The table of attacks in deploy/security against the sources: a row whose test is gone, or that names none, does not pass.

use std::{fs, path::Path};

/// `FILE::NAME` in backquotes.
fn named(row: &str) -> Vec<(&str, &str)> {
    let spans = row.split('`').skip(1).step_by(2);
    spans.filter_map(|span| span.split_once("::")).collect()
}

fn is_there(file: &str, name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join(file)).unwrap_or_default();
    // A test, or a law that the contract's tests call by its name.
    text.contains(&format!("fn {name}("))
}

#[test]
fn every_row_names_a_test_that_is_there() {
    let text = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/security/README.md"
    ));
    let text = text.unwrap();
    let (_, attacks) = text.split_once("## 一、").unwrap();
    let (attacks, rest) = attacks.split_once("## 二、").unwrap();
    let rows: Vec<_> = attacks
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .collect();
    assert!(rows.len() >= 24, "{} rows", rows.len());
    for row in &rows {
        assert!(!named(row).is_empty(), "no test in: {row}");
    }
    for (file, name) in named(attacks).into_iter().chain(named(rest)) {
        assert!(is_there(file, name), "{file} has no {name}");
    }
}

#[test]
fn a_test_that_is_gone_is_missed() {
    let row = "| a | b | `tests/it/security/table.rs::is_there`、`tests/it/security/table.rs::was_there` |";
    let found = named(row);
    assert_eq!(found.len(), 2);
    let there: Vec<_> = found
        .iter()
        .map(|(file, name)| is_there(file, name))
        .collect();
    assert_eq!(there, [true, false]);
}
