//! Rubric files of other counties.

use std::collections::BTreeMap;

use classpulse::domain::{
    ids::Stage,
    rubric::{Rubric, scoring::score},
};

use crate::target;

target!(
    /// Any text is a rubric or is refused with lines; a school without evidence gets nothing of any rubric, and nothing
    /// stops the scoring.
    any_text_is_a_rubric_or_refused,
    1_000,
    |bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        match Rubric::parse(text) {
            Err(faults) => assert!(!faults.0.is_empty()),
            Ok(rubric) => {
                let sheet = score(&rubric, Stage::Primary, &BTreeMap::default(), None);
                let groups = sheet.groups.iter().map(|group| group.points).sum();
                assert_eq!(sheet.total, groups);
                for (group, scored) in rubric.groups.iter().zip(&sheet.groups) {
                    assert!(scored.points <= group.weight);
                }
            }
        }
    }
);
