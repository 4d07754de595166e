//! The tables of permissions against what there is: no method, no page without a row, and no row without one.

use std::{collections::BTreeSet, fs, path::Path};

use classpulse::{api::METHODS, web::PAGES};
use prost::Message as _;

/// Every method of the contract, as a path.
fn described(descriptors: &[u8]) -> BTreeSet<String> {
    let set = prost_types::FileDescriptorSet::decode(descriptors).unwrap();
    let mut found = BTreeSet::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let (package, service) = (file.package(), service.name());
                found.insert(format!("/{package}.{service}/{}", method.name()));
            }
        }
    }
    found
}

#[test]
fn every_method_has_a_row() {
    let mut expected = described(classpulse_proto::DESCRIPTORS);
    assert!(expected.len() > 30);
    expected.extend(described(tonic_health::pb::FILE_DESCRIPTOR_SET));
    expected.extend(described(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
    expected.extend(described(
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ));
    let rows: BTreeSet<_> = METHODS.iter().map(|row| row.path.to_owned()).collect();
    assert_eq!(rows, expected);
    assert_eq!(rows.len(), METHODS.len(), "a row stands twice");
}

fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// `.route("PATH", get(…).post(…))` in a source.
fn routes(text: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for part in text.split(".route(").skip(1) {
        let Some((_, rest)) = part.split_once('"') else {
            continue;
        };
        let Some((path, handlers)) = rest.split_once('"') else {
            continue;
        };
        // Up to the parenthesis that closes the call.
        let mut depth = 1;
        let end = handlers.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let handlers = &handlers[..end.unwrap()];
        for (handler, method) in [
            ("get(", "GET"),
            ("post(", "POST"),
            ("put(", "PUT"),
            ("delete(", "DELETE"),
        ] {
            let said = handlers.match_indices(handler).any(|(at, _)| {
                !handlers[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
            });
            if said {
                found.insert((method.to_owned(), path.to_owned()));
            }
        }
    }
    found
}

#[test]
fn every_page_has_a_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut text = String::new();
    for folder in ["dashboard", "login"] {
        sources(&root.join(folder), &mut text);
    }
    text.push_str(&fs::read_to_string(root.join("app.rs")).unwrap());
    let found = routes(&text);
    let rows: BTreeSet<_> = PAGES
        .iter()
        .map(|row| (row.method.to_owned(), row.path.to_owned()))
        .collect();
    assert_eq!(rows, found);
    assert_eq!(rows.len(), PAGES.len(), "a row stands twice");
    let example =
        ".route(\"/a/{b}\", get(widget(x)).post(y)).route(\n \"/c\", axum::routing::post(z))";
    let example: Vec<_> = routes(example).into_iter().collect();
    let expected = [("GET", "/a/{b}"), ("POST", "/a/{b}"), ("POST", "/c")];
    assert_eq!(example, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}
