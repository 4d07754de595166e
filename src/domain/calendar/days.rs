//! Single days of a calendar: holidays and make-up days that are added to its text or taken out, while all else stays as
//! the bureau wrote it, comments and order too.

use jiff::civil::{Date, Weekday};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::{Calendar, CalendarError, WEEKDAYS, wrong};

/// Days without lessons, from the first to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holiday {
    /// Such as 国庆节.
    pub name: String,
    /// First day without lessons.
    pub first: Date,
    /// Last day without lessons; not before the first, at most a year after it.
    pub last: Date,
}

/// One change of a calendar's special days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DayChange {
    /// A further holiday.
    AddHoliday(Holiday),
    /// The holiday with this first and last day is none.
    DropHoliday(Date, Date),
    /// 调休: this day is taught by that weekday's timetable.
    AddMakeup(Date, Weekday),
    /// This day is no make-up day.
    DropMakeup(Date),
}

impl DayChange {
    /// The calendar's text with this change, checked.
    ///
    /// # Errors
    /// [`CalendarError`] where the text is none of a calendar, where what is added stands there already, what is dropped
    /// does not, or where the changed calendar would be wrong.
    pub fn of(&self, text: &str) -> Result<String, CalendarError> {
        let before = Calendar::parse(text)?;
        let mut document: DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| CalendarError::Format(error.to_string()))?;
        match self {
            Self::AddHoliday(holiday) => {
                let (first, last) = (holiday.first, holiday.last);
                let same = |one: &Holiday| (one.first, one.last) == (first, last);
                if before.holidays().iter().any(same) {
                    return Err(wrong("[[holiday]]", "the same days stand there already"));
                }
                let fields = [
                    ("name", holiday.name.clone()),
                    ("first", first.to_string()),
                    ("last", last.to_string()),
                ];
                change(&mut document, "holiday", |own| own.push(table(fields)));
            }
            Self::DropHoliday(first, last) => {
                let (first, last) = (first.to_string(), last.to_string());
                drop_where(&mut document, "holiday", |entry| {
                    said(entry, "first") == first && said(entry, "last") == last
                })?;
            }
            Self::AddMakeup(date, follows) => {
                let fields = [
                    ("date", date.to_string()),
                    ("follows", weekday(*follows).to_owned()),
                ];
                change(&mut document, "makeup", |own| own.push(table(fields)));
            }
            Self::DropMakeup(date) => {
                let date = date.to_string();
                drop_where(&mut document, "makeup", |entry| said(entry, "date") == date)?;
            }
        }
        let text = document.to_string();
        Calendar::parse(&text)?;
        Ok(text)
    }
}

/// A weekday as calendars name it.
fn weekday(day: Weekday) -> &'static str {
    let found = WEEKDAYS.iter().find(|(_, own)| *own == day);
    found.map_or("monday", |(name, _)| name)
}

/// Changes the entries of one kind, however they are written: `[[holiday]]` or `holiday = [{ … }]`.
fn change<T>(
    document: &mut DocumentMut,
    kind: &str,
    by: impl FnOnce(&mut ArrayOfTables) -> T,
) -> T {
    let item = document.entry(kind).or_insert(Item::None);
    // What is no list of tables would not have passed the check before.
    let own = std::mem::take(item).into_array_of_tables();
    let mut own = own.unwrap_or_default();
    let done = by(&mut own);
    if !own.is_empty() {
        *item = Item::ArrayOfTables(own);
    }
    done
}

fn table<const N: usize>(fields: [(&str, String); N]) -> Table {
    let mut table = Table::new();
    for (key, text) in fields {
        table.insert(key, value(text));
    }
    table
}

/// A date as it is written, in one form: `2026-10-01`.
fn said(entry: &Table, key: &str) -> String {
    let text = entry.get(key).and_then(Item::as_str).unwrap_or_default();
    text.parse()
        .map_or_else(|_error| text.to_owned(), |date: Date| date.to_string())
}

fn drop_where(
    document: &mut DocumentMut,
    kind: &str,
    is: impl Fn(&Table) -> bool,
) -> Result<(), CalendarError> {
    change(document, kind, |own| {
        let place = own.iter().position(is);
        place.map(|place| own.remove(place)).map(drop)
    })
    .ok_or_else(|| wrong(&format!("[[{kind}]]"), "no such days stand there"))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::Stage;

    const EXAMPLE: &str = include_str!("../../../deploy/calendar/example.toml");

    fn holiday(first: Date, last: Date) -> Holiday {
        Holiday {
            name: "运动会".to_owned(),
            first,
            last,
        }
    }

    fn taught(text: &str, day: Date) -> bool {
        let calendar = Calendar::parse(text).unwrap();
        calendar.teaching(Stage::Primary, day).is_some()
    }

    #[test]
    fn what_is_added_counts_and_all_else_stays_as_it_was_written() {
        let day = date(2026, 11, 5);
        let added = DayChange::AddHoliday(holiday(day, day))
            .of(EXAMPLE)
            .unwrap();
        assert!(taught(EXAMPLE, day) && !taught(&added, day));
        let new =
            "\n[[holiday]]\nname = \"运动会\"\nfirst = \"2026-11-05\"\nlast = \"2026-11-05\"\n";
        assert_eq!(added.replacen(new, "", 1), EXAMPLE, "comments too");
        // Behind the other holidays, not behind the timetables.
        assert!(added.find(new) < added.find("[[makeup]]"));

        let saturday = date(2026, 11, 7);
        let made = DayChange::AddMakeup(saturday, Weekday::Thursday);
        let made = made.of(&added).unwrap();
        assert!(!taught(&added, saturday) && taught(&made, saturday));

        let undone = DayChange::DropMakeup(saturday).of(&made).unwrap();
        assert_eq!(undone, added);
        let undone = DayChange::DropHoliday(day, day).of(&undone).unwrap();
        assert_eq!(undone, EXAMPLE);
    }

    #[test]
    fn kinds_that_are_missing_or_written_in_a_line_are_found() {
        let timetable = "name = \"甲\"\n[[term]]\nname = \"秋\"\nfirst = \"2026-09-01\"\nlast = \"2027-01-15\"\n\
             [[timetable]]\nlessons = [\"08:00-08:40\"]\n";
        let day = date(2026, 11, 5);
        let added = DayChange::AddHoliday(holiday(day, day))
            .of(timetable)
            .unwrap();
        assert!(!taught(&added, day));
        assert_eq!(
            DayChange::DropHoliday(day, day).of(&added).unwrap(),
            timetable
        );
        let inline = format!(
            "holiday = [{{ name = \"校庆\", first = \"2026-11-05\", last = \"2026-11-06\" }}]\n{timetable}"
        );
        let other = date(2026, 11, 9);
        let added = DayChange::AddHoliday(holiday(other, other))
            .of(&inline)
            .unwrap();
        assert!(!taught(&added, day) && !taught(&added, other));
        let dropped = DayChange::DropHoliday(day, date(2026, 11, 6))
            .of(&added)
            .unwrap();
        assert!(taught(&dropped, day) && !taught(&dropped, other));
    }

    #[test]
    fn what_contradicts_the_calendar_is_refused() {
        let refused = |change: DayChange| change.of(EXAMPLE).unwrap_err().to_string();
        let (first, last) = (date(2026, 10, 1), date(2026, 10, 7));
        for (change, said) in [
            (
                DayChange::AddHoliday(holiday(first, last)),
                "[[holiday]]: the same days stand there already",
            ),
            (
                DayChange::AddHoliday(holiday(last, first)),
                "[[holiday]] 8 (运动会): last lies before first",
            ),
            (
                DayChange::DropHoliday(first, first),
                "[[holiday]]: no such days stand there",
            ),
            (
                DayChange::AddMakeup(date(2026, 10, 10), Weekday::Monday),
                "[[makeup]] 4: the date stands twice",
            ),
            (
                DayChange::DropMakeup(first),
                "[[makeup]]: no such days stand there",
            ),
        ] {
            assert_eq!(refused(change), said);
        }
        assert!(DayChange::DropMakeup(first).of("name = 1").is_err());
    }

    proptest! {
        #[test]
        fn adding_and_dropping_is_as_if_nothing_had_been(
            days in prop::collection::btree_map(0_i32..600, (0_i32..20, 0_i8..7), 1..12),
        ) {
            let at = |offset: i32| date(2026, 1, 1).saturating_add(jiff::Span::new().days(offset));
            let mut changes = Vec::new();
            for (offset, (length, weekday)) in days {
                let (first, last) = (at(offset), at(offset + length));
                changes.push((
                    DayChange::AddHoliday(holiday(first, last)),
                    DayChange::DropHoliday(first, last),
                ));
                let follows = Weekday::from_monday_zero_offset(weekday).unwrap();
                changes.push((DayChange::AddMakeup(first, follows), DayChange::DropMakeup(first)));
            }
            let mut text = EXAMPLE.to_owned();
            let mut done = Vec::new();
            for (add, drop) in changes {
                // Some of these days stand in the example already.
                if let Ok(changed) = add.of(&text) {
                    text = changed;
                    done.push(drop);
                }
            }
            for drop in done {
                text = drop.of(&text).unwrap();
            }
            prop_assert_eq!(text, EXAMPLE);
        }
    }
}
