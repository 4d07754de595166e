//! The teaching calendar and counting policy: which minutes of which days count (DESIGN §3).
//!
//! A calendar is data that a bureau writes (TOML, `deploy/calendar/example.toml`); its mistakes are named with their line.
//! Not responsible for storing versions of it (store), nor for summing minutes (`usage`).

mod days;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::{Date, Weekday};
use serde::Deserialize;

pub use self::days::{DayChange, Holiday};
use super::{
    ids::Stage,
    minutes::{MinuteSet, run},
};

/// Why a calendar can't be used. `Display` names the place and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// Not TOML, or a key or value that is not known; the message has line and column.
    #[error("{0}")]
    Format(String),
    /// A value that contradicts another.
    #[error("{place}: {problem}")]
    Value {
        /// Such as `[[term]] 2`.
        place: String,
        /// What is wrong, and what is allowed.
        problem: String,
    },
}

/// A term (学期).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Term {
    /// Such as 2026-2027学年第一学期.
    pub name: String,
    /// First day.
    pub first: Date,
    /// Last day.
    pub last: Date,
}

/// The teaching time of one kind of day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeachingDay {
    /// Minutes that count.
    pub mask: MinuteSet,
    /// Lesson periods in order; may be empty.
    pub lessons: Vec<MinuteSet>,
}

/// A checked calendar.
#[derive(Debug, Clone)]
pub struct Calendar {
    name: String,
    terms: Vec<Term>,
    holidays: Vec<Holiday>,
    /// Every day of a holiday.
    free: BTreeSet<Date>,
    /// 调休: days taught although they are weekend or holiday, and whose timetable they follow.
    makeups: BTreeMap<Date, Weekday>,
    timetable: HashMap<(Stage, i8), TeachingDay>,
    daily_cap: Option<u32>,
    lesson_minutes: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    term: Vec<Span>,
    #[serde(default)]
    holiday: Vec<Span>,
    #[serde(default)]
    makeup: Vec<Makeup>,
    #[serde(default)]
    timetable: Vec<Timetable>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Policy {
    daily_cap_minutes: Option<u32>,
    lesson_minutes: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    name: String,
    first: String,
    last: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Makeup {
    date: String,
    follows: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Timetable {
    stages: Option<Vec<String>>,
    weekdays: Option<Vec<String>>,
    #[serde(default)]
    hours: Vec<String>,
    #[serde(default)]
    lessons: Vec<String>,
}

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// Counted minutes that make a lesson taught, where the policy says nothing.
const DEFAULT_LESSON_MINUTES: u32 = 15;

impl Calendar {
    /// Reads and checks a calendar file.
    ///
    /// # Errors
    /// [`CalendarError`] names the line or entry and what is allowed there.
    pub fn parse(text: &str) -> Result<Self, CalendarError> {
        let file: File =
            toml::from_str(text).map_err(|error| CalendarError::Format(error.to_string()))?;
        let lesson_minutes = file.policy.lesson_minutes.unwrap_or(DEFAULT_LESSON_MINUTES);
        if !(1..=120).contains(&lesson_minutes) {
            return Err(wrong("[policy] lesson_minutes", "must be 1 to 120"));
        }
        if file
            .policy
            .daily_cap_minutes
            .is_some_and(|cap| !(1..=1_440).contains(&cap))
        {
            return Err(wrong("[policy] daily_cap_minutes", "must be 1 to 1440"));
        }
        let (mut holidays, mut free) = (Vec::new(), BTreeSet::new());
        for (place, name, first, last) in spans("holiday", &file.holiday)? {
            let days = first
                .series(jiff::Span::new().days(1))
                .take_while(|day| *day <= last);
            free.extend(days.take(MAX_SPAN_DAYS));
            if first.saturating_add(jiff::Span::new().days(366)) < last {
                return Err(wrong(&place, "a holiday lasts at most a year"));
            }
            let name = name.to_owned();
            holidays.push(Holiday { name, first, last });
        }
        holidays.sort_by_key(|holiday| (holiday.first, holiday.last));
        Ok(Self {
            name: file.name,
            terms: terms(&file.term)?,
            holidays,
            free,
            makeups: makeups(&file.makeup)?,
            timetable: timetable(&file.timetable)?,
            daily_cap: file.policy.daily_cap_minutes,
            lesson_minutes,
        })
    }

    /// The calendar's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Terms in order of time.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Holidays in order of time.
    #[must_use]
    pub fn holidays(&self) -> &[Holiday] {
        &self.holidays
    }

    /// Make-up days (调休) in order of time, each with the weekday whose timetable it follows.
    pub fn makeups(&self) -> impl Iterator<Item = (Date, Weekday)> {
        self.makeups.iter().map(|(date, follows)| (*date, *follows))
    }

    /// The term that a day lies in, else the last one before it.
    #[must_use]
    pub fn term_at(&self, day: Date) -> Option<&Term> {
        self.terms.iter().rev().find(|term| term.first <= day)
    }

    /// The teaching time of a stage on a day; `None` on a day without teaching.
    ///
    /// A make-up day is taught even on a holiday or weekend, but only inside a term.
    #[must_use]
    pub fn teaching(&self, stage: Stage, day: Date) -> Option<&TeachingDay> {
        self.terms
            .iter()
            .find(|term| term.first <= day && day <= term.last)?;
        let weekday = match self.makeups.get(&day) {
            Some(follows) => *follows,
            None if self.free.contains(&day) => return None,
            None => day.weekday(),
        };
        self.timetable
            .get(&(stage, weekday.to_monday_zero_offset()))
    }

    /// Teaching days of a stage in `[first, last]`, with their teaching time. Days outside every term cost nothing.
    pub fn teaching_days(
        &self,
        stage: Stage,
        first: Date,
        last: Date,
    ) -> impl Iterator<Item = (Date, &TeachingDay)> {
        self.terms
            .iter()
            .flat_map(move |term| {
                let (from, to) = (term.first.max(first), term.last.min(last));
                from.series(jiff::Span::new().days(1))
                    .take_while(move |day| *day <= to)
            })
            .filter_map(move |day| Some((day, self.teaching(stage, day)?)))
    }

    /// The most minutes that one terminal may count on one day.
    #[must_use]
    pub fn daily_cap(&self) -> Option<u32> {
        self.daily_cap
    }

    /// Counted minutes from which a lesson counts as taught on the terminal.
    #[must_use]
    pub fn lesson_minutes(&self) -> u32 {
        self.lesson_minutes
    }
}

/// Longest span of days that is walked through.
const MAX_SPAN_DAYS: usize = 367;

fn wrong(place: &str, problem: &str) -> CalendarError {
    CalendarError::Value {
        place: place.to_owned(),
        problem: problem.to_owned(),
    }
}

fn parse_date(place: &str, key: &str, text: &str) -> Result<Date, CalendarError> {
    text.parse()
        .ok()
        .filter(|date: &Date| (2000..=2100).contains(&date.year()))
        .ok_or_else(|| {
            wrong(
                place,
                &format!(
                    "{key} = {text:?} is no date between 2000 and 2100, such as \"2026-09-01\""
                ),
            )
        })
}

fn parse_weekday(place: &str, text: &str) -> Result<Weekday, CalendarError> {
    WEEKDAYS
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, day)| *day)
        .ok_or_else(|| {
            wrong(
                place,
                &format!("{text:?} is no weekday: monday, tuesday, … sunday"),
            )
        })
}

type Named<'a> = (String, &'a str, Date, Date);

fn spans<'a>(kind: &str, entries: &'a [Span]) -> Result<Vec<Named<'a>>, CalendarError> {
    let mut found = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let place = format!("[[{kind}]] {} ({})", index + 1, entry.name);
        let first = parse_date(&place, "first", &entry.first)?;
        let last = parse_date(&place, "last", &entry.last)?;
        if last < first {
            return Err(wrong(&place, "last lies before first"));
        }
        found.push((place, entry.name.as_str(), first, last));
    }
    Ok(found)
}

fn terms(entries: &[Span]) -> Result<Vec<Term>, CalendarError> {
    let mut found = spans("term", entries)?;
    if found.is_empty() {
        return Err(wrong("[[term]]", "at least one term is needed"));
    }
    found.sort_by_key(|(_, _, first, _)| *first);
    if let Some(pair) = found.windows(2).find(|pair| pair[1].2 <= pair[0].3) {
        return Err(wrong(&pair[1].0, &format!("overlaps with {}", pair[0].0)));
    }
    Ok(found
        .into_iter()
        .map(|(_, name, first, last)| Term {
            name: name.to_owned(),
            first,
            last,
        })
        .collect())
}

fn makeups(entries: &[Makeup]) -> Result<BTreeMap<Date, Weekday>, CalendarError> {
    let mut found = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let place = format!("[[makeup]] {}", index + 1);
        let date = parse_date(&place, "date", &entry.date)?;
        let weekday = match &entry.follows {
            Some(name) => parse_weekday(&place, name)?,
            None => date.weekday(),
        };
        if found.insert(date, weekday).is_some() {
            return Err(wrong(&place, "the date stands twice"));
        }
    }
    Ok(found)
}

/// Timetables for named stages win over those for all; two that claim the same stage and weekday are a mistake.
fn timetable(entries: &[Timetable]) -> Result<HashMap<(Stage, i8), TeachingDay>, CalendarError> {
    if entries.is_empty() {
        return Err(wrong("[[timetable]]", "at least one timetable is needed"));
    }
    let (mut general, mut special) = (HashMap::new(), HashMap::new());
    for (index, entry) in entries.iter().enumerate() {
        let place = format!("[[timetable]] {}", index + 1);
        let day = teaching_day(&place, entry)?;
        let stages = match &entry.stages {
            None => Stage::ALL.to_vec(),
            Some(names) => names
                .iter()
                .map(|name| {
                    name.parse::<Stage>()
                        .map_err(|error| wrong(&place, &error.to_string()))
                })
                .collect::<Result<_, _>>()?,
        };
        let weekdays = match &entry.weekdays {
            None => WEEKDAYS[..5].iter().map(|(_, day)| *day).collect(),
            Some(names) => names
                .iter()
                .map(|name| parse_weekday(&place, name))
                .collect::<Result<Vec<_>, _>>()?,
        };
        let target = if entry.stages.is_some() {
            &mut special
        } else {
            &mut general
        };
        for stage in stages {
            for weekday in &weekdays {
                if target
                    .insert((stage, weekday.to_monday_zero_offset()), day.clone())
                    .is_some()
                {
                    return Err(wrong(
                        &place,
                        &format!("{stage} has another timetable on the same weekday"),
                    ));
                }
            }
        }
    }
    general.extend(special);
    Ok(general)
}

fn teaching_day(place: &str, entry: &Timetable) -> Result<TeachingDay, CalendarError> {
    let parse = |texts: &[String]| -> Result<Vec<MinuteSet>, CalendarError> {
        texts.iter().map(|text| parse_run(place, text)).collect()
    };
    let (hours, lessons) = (parse(&entry.hours)?, parse(&entry.lessons)?);
    if lessons.len() > 24 {
        return Err(wrong(place, "a day has at most 24 lessons"));
    }
    for (index, lesson) in lessons.iter().enumerate() {
        if lessons[..index]
            .iter()
            .any(|other| !(*other & *lesson).is_empty())
        {
            return Err(wrong(
                place,
                &format!(
                    "lesson {} overlaps with an earlier one",
                    entry.lessons[index]
                ),
            ));
        }
    }
    let all = |sets: &[MinuteSet]| sets.iter().fold(MinuteSet::EMPTY, |sum, set| sum | *set);
    let mask = if hours.is_empty() {
        all(&lessons)
    } else {
        all(&hours)
    };
    if mask.is_empty() {
        return Err(wrong(
            place,
            "needs hours = [\"08:00-11:30\", …] or lessons = [\"08:00-08:40\", …]",
        ));
    }
    if !all(&lessons).is_subset(&mask) {
        return Err(wrong(place, "a lesson lies outside the hours"));
    }
    Ok(TeachingDay { mask, lessons })
}

fn parse_run(place: &str, text: &str) -> Result<MinuteSet, CalendarError> {
    run(text)
        .map(|(start, end)| MinuteSet::of(start, end))
        .ok_or_else(|| {
            wrong(
                place,
                &format!("{text:?} is no span of the day such as \"08:00-08:40\""),
            )
        })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const TEXT: &str = r#"
        name = "试验"
        [policy]
        daily_cap_minutes = 300
        [[term]]
        name = "第一学期"
        first = "2026-09-01"
        last = "2027-01-15"
        [[holiday]]
        name = "国庆节"
        first = "2026-10-01"
        last = "2026-10-07"
        [[makeup]]
        date = "2026-10-10"
        follows = "friday"
        [[timetable]]
        hours = ["08:00-11:30", "13:30-16:00"]
        [[timetable]]
        stages = ["初中"]
        weekdays = ["friday"]
        lessons = ["08:00-08:45", "08:55-09:40"]
    "#;

    #[test]
    fn school_days_holidays_and_makeup_days() {
        let calendar = Calendar::parse(TEXT).unwrap();
        let taught = |stage, day| calendar.teaching(stage, day).map(|day| day.mask.count());
        assert_eq!(taught(Stage::Primary, date(2026, 9, 1)), Some(360));
        assert_eq!(taught(Stage::Primary, date(2026, 9, 5)), None, "Saturday");
        assert_eq!(taught(Stage::Primary, date(2026, 10, 2)), None, "holiday");
        assert_eq!(
            taught(Stage::Junior, date(2026, 10, 9)),
            Some(90),
            "its own Friday"
        );
        assert_eq!(
            taught(Stage::Junior, date(2026, 10, 10)),
            Some(90),
            "make-up follows Friday"
        );
        assert_eq!(
            taught(Stage::Junior, date(2026, 9, 3)),
            Some(360),
            "general on Thursday"
        );
        assert_eq!(
            taught(Stage::Primary, date(2026, 8, 31)),
            None,
            "before the term"
        );
        assert_eq!(
            taught(Stage::Primary, date(2027, 1, 18)),
            None,
            "after the term"
        );
        assert_eq!(calendar.term_at(date(2027, 2, 1)).unwrap().name, "第一学期");
        assert!(calendar.term_at(date(2026, 8, 1)).is_none());
        let week = calendar.teaching_days(Stage::Primary, date(2026, 10, 1), date(2026, 10, 12));
        let days: Vec<_> = week.map(|(day, _)| day.day()).collect();
        assert_eq!(days, [8, 9, 10, 12]);
    }

    #[test]
    fn the_example_calendar_is_a_calendar() {
        let text = include_str!("../../deploy/calendar/example.toml");
        let calendar = Calendar::parse(text).unwrap();
        let lessons = |stage, day| calendar.teaching(stage, day).map(|day| day.lessons.len());
        assert_eq!(lessons(Stage::Primary, date(2026, 11, 23)), Some(7));
        assert_eq!(
            lessons(Stage::Junior, date(2026, 10, 10)),
            Some(8),
            "made up"
        );
        assert_eq!(lessons(Stage::Junior, date(2026, 10, 5)), None, "holiday");
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (from, to, place) in [
            ("2026-09-01", "2026-13-01", "[[term]] 1"),
            ("2027-01-15", "2026-01-15", "last lies before first"),
            (
                "\"friday\"\n        [[timetable]]",
                "\"freitag\"\n        [[timetable]]",
                "freitag",
            ),
            ("08:55-09:40", "08:40-09:40", "overlaps"),
            ("08:00-11:30", "11:30-08:00", "11:30-08:00"),
            ("08:00-11:30", "08:00-1130:00", "08:00-1130:00"),
            ("初中", "大学", "[[timetable]] 2"),
            ("daily_cap_minutes", "daily_cap", "line 4"),
            ("= 300", "= 3000", "daily_cap_minutes"),
        ] {
            assert!(TEXT.contains(from), "{from}");
            let error = Calendar::parse(&TEXT.replacen(from, to, 1))
                .unwrap_err()
                .to_string();
            assert!(error.contains(place), "{to}: {error}");
        }
    }
}
