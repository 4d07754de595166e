//! The rollup: sums of a school's day, rebuilt from the minutes wherever a mark says so.

use std::collections::{HashMap, hash_map::Entry};

use rusqlite::{Connection, Statement};

use super::{
    calendars,
    failure::Failure,
    values::{Day, Text, day_minutes, signed},
};
use crate::{
    domain::usage::Minutes,
    store::{
        SchoolDay,
        counting::{Calendars, Counting},
    },
};

/// Takes up to `limit` marks, the oldest first, and brings their school-days up to date.
pub(super) fn roll_up(
    connection: &Connection,
    calendars: &Calendars,
    limit: u32,
) -> Result<Vec<SchoolDay>, Failure> {
    let marks = marks(connection, limit)?;
    let mut schools = Schools::new(connection, calendars)?;
    let mut minutes = connection.prepare(
        "SELECT d.powered, d.used, d.last_seen
         FROM placement p CROSS JOIN terminal_day d
         WHERE p.school = ?1 AND p.from_day <= ?2 AND p.to_day >= ?2 AND d.terminal = p.terminal AND d.day = ?2",
    )?;
    let mut sums = Sums::new(connection)?;
    let mut unmark = connection.prepare("DELETE FROM dirty_school_day WHERE number = ?1")?;
    let mut done = Vec::with_capacity(marks.len());
    for (number, key, day) in marks {
        let school = schools.get(key)?;
        let mut sum = None;
        let mut rows = minutes.query((key, day))?;
        while let Some(row) = rows.next()? {
            *sum.get_or_insert_with(Minutes::default) += school.count(day.0, &day_minutes(row, 0)?);
        }
        sums.put(key, day, sum)?;
        unmark.execute([number])?;
        done.push(SchoolDay {
            county: school.county.clone(),
            school: school.code.clone(),
            day: day.0,
            minutes: sum.unwrap_or_default(),
        });
    }
    Ok(done)
}

fn marks(connection: &Connection, limit: u32) -> Result<Vec<(i64, i64, Day)>, Failure> {
    let mut select = connection
        .prepare("SELECT number, school, day FROM dirty_school_day ORDER BY number LIMIT ?1")?;
    let marks = select.query_map([limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(marks.collect::<Result<_, _>>()?)
}

/// Writes `school_day`.
struct Sums<'c> {
    put: Statement<'c>,
    remove: Statement<'c>,
}

impl<'c> Sums<'c> {
    fn new(connection: &'c Connection) -> Result<Self, Failure> {
        let put = connection.prepare(
            "INSERT INTO school_day (school, day, counted, powered, used, lessons_taught, reporting)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (school, day) DO UPDATE SET
                counted = excluded.counted,
                powered = excluded.powered,
                used = excluded.used,
                lessons_taught = excluded.lessons_taught,
                reporting = excluded.reporting",
        )?;
        let remove = connection.prepare("DELETE FROM school_day WHERE school = ?1 AND day = ?2")?;
        Ok(Self { put, remove })
    }

    /// `None`: no terminal that stood there has minutes.
    fn put(&mut self, school: i64, day: Day, sum: Option<Minutes>) -> Result<(), Failure> {
        let Some(sum) = sum else {
            self.remove.execute((school, day))?;
            return Ok(());
        };
        let Minutes {
            counted,
            powered,
            used,
            lessons_taught,
            reporting,
        } = sum;
        self.put.execute((
            school,
            day,
            signed(counted)?,
            signed(powered)?,
            signed(used)?,
            signed(lessons_taught)?,
            signed(reporting)?,
        ))?;
        Ok(())
    }
}

/// Schools by key, read once a transaction.
struct Schools<'c> {
    connection: &'c Connection,
    calendars: &'c Calendars,
    select: Statement<'c>,
    known: HashMap<i64, Counting>,
}

impl<'c> Schools<'c> {
    fn new(connection: &'c Connection, calendars: &'c Calendars) -> Result<Self, Failure> {
        let select = connection.prepare(
            "SELECT c.id, c.code, s.code, s.stage FROM school s JOIN county c ON c.id = s.county WHERE s.id = ?1",
        )?;
        Ok(Self {
            connection,
            calendars,
            select,
            known: HashMap::new(),
        })
    }

    fn get(&mut self, key: i64) -> Result<&Counting, Failure> {
        match self.known.entry(key) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let (county_key, county, code, stage) = self.select.query_row([key], |row| {
                    Ok((
                        row.get(0)?,
                        row.get::<_, Text<_>>(1)?,
                        row.get::<_, Text<_>>(2)?,
                        row.get::<_, Text<_>>(3)?,
                    ))
                })?;
                Ok(unknown.insert(Counting {
                    county: county.0,
                    code: code.0,
                    stage: stage.0,
                    calendar: calendars::in_force(self.connection, self.calendars, county_key)?,
                }))
            }
        }
    }
}
