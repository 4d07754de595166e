//! Calendar files: terms, holidays and 调休 as a bureau writes them.

use classpulse::domain::{calendar::Calendar, ids::Stage};

use crate::target;

target!(
    /// Any text is a calendar or is refused in words; a calendar answers for any day.
    any_text_is_a_calendar_or_refused,
    1_000,
    |bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        match Calendar::parse(text) {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(calendar) => {
                assert!((1..=120).contains(&calendar.lesson_minutes()));
                for term in calendar.terms() {
                    assert!(term.first <= term.last, "{term:?}");
                    for day in [term.first, term.last] {
                        let _teaching = calendar.teaching(Stage::Primary, day);
                    }
                }
            }
        }
    }
);
