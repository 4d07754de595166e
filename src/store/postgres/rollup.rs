//! The rollup: sums of a school's day, rebuilt from the minutes wherever a mark says so, by any number of processes.
//!
//! Each school-day is worked on by one process at a time, under a lock that the others do not wait for: they take
//! other school-days. A lock on the marks' own rows (`FOR UPDATE SKIP LOCKED`) would not do: two processes could hold
//! an old and a new mark of one school-day, and the one that read the minutes first could write its sum last.

use std::collections::{BTreeMap, HashMap};

use super::{
    calendars,
    connection::On,
    failure::Failure,
    values::{Day, day_minutes, signed, text},
};
use crate::{
    domain::usage::Minutes,
    store::{
        SchoolDay,
        counting::{Calendars, Counting},
    },
};

/// Most school-days in one transaction: each takes a place in the server's table of locks.
const STEP: u32 = 500;

/// Takes up to `limit` marked school-days, the oldest mark first, and brings them up to date.
pub(super) async fn roll_up(
    on: &On<'_>,
    calendars: &Calendars,
    limit: u32,
) -> Result<Vec<SchoolDay>, Failure> {
    let taken = take(on, limit.min(STEP)).await?;
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let (schools, days): (Vec<i32>, Vec<Day>) = taken.iter().copied().unzip();
    // What vanishes here was committed together with its minutes, which the next statement therefore sees.
    on.execute(
        "DELETE FROM dirty_school_day m USING (SELECT unnest($1::int4[]) AS school, unnest($2::date[]) AS day) t
         WHERE m.school = t.school AND m.day = t.day",
        &[&schools, &days],
    )
    .await?;
    let counting = facts(on, calendars, &schools).await?;
    let rows = on
        .rows(
            "SELECT t.school, t.day, d.powered, d.used, d.last_seen
             FROM (SELECT unnest($1::int4[]) AS school, unnest($2::date[]) AS day) t
                JOIN placement p ON p.school = t.school AND t.day BETWEEN p.from_day AND p.to_day
                JOIN terminal_day d ON d.terminal = p.terminal AND d.day = t.day",
            &[&schools, &days],
        )
        .await?;
    let mut sums: BTreeMap<(i32, Day), Minutes> = BTreeMap::new();
    for row in &rows {
        let key: (i32, Day) = (row.try_get(0)?, row.try_get(1)?);
        if let Some(school) = counting.get(&key.0) {
            *sums.entry(key).or_default() += school.count(key.1.0, &day_minutes(row, 2)?);
        }
    }
    put(on, &sums).await?;
    remove(on, &taken, &sums).await?;
    let done = taken.iter().filter_map(|(key, day)| {
        let school = counting.get(key)?;
        Some(SchoolDay {
            county: school.county.clone(),
            school: school.code.clone(),
            day: day.0,
            minutes: sums.get(&(*key, *day)).copied().unwrap_or_default(),
        })
    });
    Ok(done.collect())
}

/// The oldest marked school-days that nobody else works on. Only where all are taken, waits for the oldest: an empty
/// answer means that nothing is dirty.
async fn take(on: &On<'_>, limit: u32) -> Result<Vec<(i32, Day)>, Failure> {
    let marked = on
        .rows(
            "SELECT school, day FROM dirty_school_day GROUP BY school, day ORDER BY min(number) LIMIT $1",
            &[&i64::from(limit)],
        )
        .await?;
    let marked: Vec<(i32, Day)> = marked
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<_, Failure>>()?;
    let (schools, days): (Vec<i32>, Vec<Day>) = marked.iter().copied().unzip();
    let free = on
        .rows(
            "SELECT pg_try_advisory_xact_lock(s, d - DATE '2000-01-01')
             FROM unnest($1::int4[], $2::date[]) AS marked (s, d)",
            &[&schools, &days],
        )
        .await?;
    let mut taken = Vec::with_capacity(free.len());
    for (key, row) in marked.into_iter().zip(free) {
        if row.try_get(0)? {
            taken.push(key);
        }
    }
    if taken.is_empty()
        && let (Some(school), Some(day)) = (schools.first(), days.first())
    {
        on.execute(
            "SELECT pg_advisory_xact_lock($1::int4, $2::date - DATE '2000-01-01')",
            &[school, day],
        )
        .await?;
        taken.push((*school, *day));
    }
    Ok(taken)
}

/// What must be known of these schools to count their minutes.
async fn facts(
    on: &On<'_>,
    calendars: &Calendars,
    schools: &[i32],
) -> Result<HashMap<i32, Counting>, Failure> {
    let rows = on
        .rows(
            "SELECT s.id, c.id, c.code, s.code, s.stage
             FROM school s JOIN county c ON c.id = s.county WHERE s.id = ANY ($1)",
            &[&schools],
        )
        .await?;
    let mut in_force = HashMap::new();
    let mut found = HashMap::new();
    for row in rows {
        let county: i32 = row.try_get(1)?;
        if let std::collections::hash_map::Entry::Vacant(unknown) = in_force.entry(county) {
            unknown.insert(calendars::in_force(on, calendars, county).await?);
        }
        let counting = Counting {
            county: text(&row, 2)?,
            code: text(&row, 3)?,
            stage: text(&row, 4)?,
            calendar: in_force.get(&county).cloned().flatten(),
        };
        found.insert(row.try_get(0)?, counting);
    }
    Ok(found)
}

async fn put(on: &On<'_>, sums: &BTreeMap<(i32, Day), Minutes>) -> Result<(), Failure> {
    let schools: Vec<i32> = sums.keys().map(|(school, _)| *school).collect();
    let days: Vec<Day> = sums.keys().map(|(_, day)| *day).collect();
    let column = |value: fn(&Minutes) -> u64| -> Result<Vec<i64>, Failure> {
        Ok(sums
            .values()
            .map(|sum| signed(value(sum)))
            .collect::<Result<_, _>>()?)
    };
    on.execute(
        "INSERT INTO school_day (school, day, counted, powered, used, lessons_taught, reporting)
         SELECT unnest($1::int4[]), unnest($2::date[]), unnest($3::int8[]), unnest($4::int8[]), unnest($5::int8[]),
            unnest($6::int8[]), unnest($7::int8[])
         ON CONFLICT (school, day) DO UPDATE SET
            counted = excluded.counted,
            powered = excluded.powered,
            used = excluded.used,
            lessons_taught = excluded.lessons_taught,
            reporting = excluded.reporting",
        &[
            &schools,
            &days,
            &column(|sum| sum.counted)?,
            &column(|sum| sum.powered)?,
            &column(|sum| sum.used)?,
            &column(|sum| sum.lessons_taught)?,
            &column(|sum| sum.reporting)?,
        ],
    )
    .await?;
    Ok(())
}

/// School-days on which no terminal that stood there has minutes any more.
async fn remove(
    on: &On<'_>,
    taken: &[(i32, Day)],
    sums: &BTreeMap<(i32, Day), Minutes>,
) -> Result<(), Failure> {
    let (schools, days): (Vec<i32>, Vec<Day>) = taken
        .iter()
        .filter(|key| !sums.contains_key(key))
        .copied()
        .unzip();
    if schools.is_empty() {
        return Ok(());
    }
    on.execute(
        "DELETE FROM school_day s USING (SELECT unnest($1::int4[]) AS school, unnest($2::date[]) AS day) t
         WHERE s.school = t.school AND s.day = t.day",
        &[&schools, &days],
    )
    .await?;
    Ok(())
}
