//! The registry: counties, schools, and which terminal stood where and when. Changes and plain reads.
//!
//! Not responsible for terminals as they are listed (`terminals`), nor for what their minutes sum to (`rollup`).

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row};

use super::{
    commit::Terminals,
    dirty,
    failure::Failure,
    values::{Day, Text, period, unsigned},
};
use crate::{
    domain::ids::{CountyCode, SchoolCode, Stage, TerminalId},
    store::{County, Placement, RegistryChange, School, ServiceSpan, StoreError},
};

/// Applies a change, in the order in which its parts refer to each other.
pub(super) fn change(connection: &Connection, change: &RegistryChange) -> Result<(), Failure> {
    for county in &change.counties {
        connection.execute(
            "INSERT INTO county (code, name) VALUES (?1, ?2) ON CONFLICT (code) DO UPDATE SET name = excluded.name",
            (county.code.as_str(), &county.name),
        )?;
    }
    for school in &change.schools {
        put_school(connection, school)?;
    }
    let mut terminals = Terminals::new(connection)?;
    let mut placed = HashSet::new();
    for (terminal, placements) in &change.placements {
        if !placed.insert(terminal) {
            return Err(conflict(format!(
                "terminal {terminal} stands twice in the change"
            )));
        }
        place(connection, terminals.key(terminal)?, terminal, placements)?;
    }
    raise_version(connection)
}

/// Tells every process that what it knows of the registry and the calendars is stale.
pub(super) fn raise_version(connection: &Connection) -> Result<(), Failure> {
    connection.execute(
        "UPDATE meta SET registry_version = registry_version + 1",
        [],
    )?;
    Ok(())
}

/// See [`raise_version`].
pub(super) fn version(connection: &Connection) -> Result<i64, Failure> {
    Ok(connection.query_row("SELECT registry_version FROM meta", [], |row| row.get(0))?)
}

/// A county's key.
pub(super) fn county_key(
    connection: &Connection,
    county: &CountyCode,
) -> Result<Option<i64>, Failure> {
    Ok(connection
        .query_row(
            "SELECT id FROM county WHERE code = ?1",
            [county.as_str()],
            |row| row.get(0),
        )
        .optional()?)
}

/// A new stage or county changes what the school's minutes count, so its school-days become dirty.
fn put_school(connection: &Connection, school: &School) -> Result<(), Failure> {
    let county = county_key(connection, &school.county)?
        .ok_or_else(|| Failure::not_found("county", &school.county))?;
    let known: Option<(i64, i64, Text<Stage>)> = connection
        .query_row(
            "SELECT id, county, stage FROM school WHERE code = ?1",
            [school.code.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    if let Some((key, old_county, old_stage)) = known
        && (old_county, old_stage.0) != (county, school.stage)
    {
        dirty::mark_school(connection, key)?;
    }
    connection.execute(
        "INSERT INTO school (code, county, name, stage, township) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (code) DO UPDATE SET
            county = excluded.county, name = excluded.name, stage = excluded.stage, township = excluded.township",
        (school.code.as_str(), county, &school.name, school.stage.name(), &school.township),
    )?;
    Ok(())
}

/// A row of `placement` without its terminal.
#[derive(PartialEq, Eq)]
struct Stored {
    school: i64,
    room: String,
    from: Day,
    to: Day,
}

/// Replaces a terminal's history.
fn place(
    connection: &Connection,
    key: i64,
    terminal: &TerminalId,
    placements: &[Placement],
) -> Result<(), Failure> {
    let wanted = checked(connection, terminal, placements)?;
    let known = stored(connection, key)?;
    if wanted == known {
        return Ok(());
    }
    let spans = |placements: &[Stored]| -> Vec<_> {
        placements
            .iter()
            .map(|one| (one.school, one.from, one.to))
            .collect()
    };
    let moved = spans(&wanted) != spans(&known);
    if moved {
        dirty::mark_terminal(connection, key)?;
    }
    connection.execute("DELETE FROM placement WHERE terminal = ?1", [key])?;
    let mut add = connection.prepare(
        "INSERT INTO placement (terminal, from_day, to_day, school, room) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for one in &wanted {
        add.execute((key, one.from, one.to, one.school, &one.room))?;
    }
    if moved {
        dirty::mark_terminal(connection, key)?;
    }
    Ok(())
}

/// The placements as rows in order of time, if they make a history.
fn checked(
    connection: &Connection,
    terminal: &TerminalId,
    placements: &[Placement],
) -> Result<Vec<Stored>, Failure> {
    let mut find = connection.prepare("SELECT id FROM school WHERE code = ?1")?;
    let mut rows = Vec::with_capacity(placements.len());
    for placement in placements {
        let school = find
            .query_row([placement.school.as_str()], |row| row.get(0))
            .optional()?
            .ok_or_else(|| Failure::not_found("school", &placement.school))?;
        let (from, to) = (Day(placement.from), Day::end(placement.to));
        if to < from {
            return Err(conflict(format!(
                "terminal {terminal}: its placement in school {} ends on {} before it begins on {}",
                placement.school, to.0, from.0
            )));
        }
        rows.push(Stored {
            school,
            room: placement.room.clone(),
            from,
            to,
        });
    }
    rows.sort_by_key(|row| row.from);
    if let Some(pair) = rows.windows(2).find(|pair| pair[1].from <= pair[0].to) {
        return Err(conflict(format!(
            "terminal {terminal}: a placement begins on {} while another lasts to {}",
            pair[1].from.0, pair[0].to.0
        )));
    }
    Ok(rows)
}

fn stored(connection: &Connection, terminal: i64) -> Result<Vec<Stored>, Failure> {
    let mut select = connection.prepare(
        "SELECT school, room, from_day, to_day FROM placement WHERE terminal = ?1 ORDER BY from_day",
    )?;
    let rows = select.query_map([terminal], |row| {
        Ok(Stored {
            school: row.get(0)?,
            room: row.get(1)?,
            from: row.get(2)?,
            to: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn conflict(said: String) -> Failure {
    StoreError::Conflict(said).into()
}

/// All counties, by code.
pub(super) fn counties(connection: &Connection) -> Result<Vec<County>, Failure> {
    let mut select = connection.prepare("SELECT code, name FROM county ORDER BY code")?;
    let counties = select.query_map([], |row| {
        Ok(County {
            code: row.get::<_, Text<_>>(0)?.0,
            name: row.get(1)?,
        })
    })?;
    Ok(counties.collect::<Result<_, _>>()?)
}

/// A county's schools, by code.
pub(super) fn schools(
    connection: &Connection,
    county: &CountyCode,
) -> Result<Vec<School>, Failure> {
    let mut select = connection.prepare(
        "SELECT s.code, s.name, s.stage, s.township, c.code
         FROM county c JOIN school s ON s.county = c.id WHERE c.code = ?1 ORDER BY s.code",
    )?;
    let schools = select.query_map([county.as_str()], read_school)?;
    Ok(schools.collect::<Result<_, _>>()?)
}

/// One school.
pub(super) fn school(
    connection: &Connection,
    school: &SchoolCode,
) -> Result<Option<School>, Failure> {
    Ok(connection
        .query_row(
            "SELECT s.code, s.name, s.stage, s.township, c.code
             FROM school s JOIN county c ON c.id = s.county WHERE s.code = ?1",
            [school.as_str()],
            read_school,
        )
        .optional()?)
}

fn read_school(row: &Row<'_>) -> rusqlite::Result<School> {
    Ok(School {
        code: row.get::<_, Text<_>>(0)?.0,
        name: row.get(1)?,
        stage: row.get::<_, Text<_>>(2)?.0,
        township: row.get(3)?,
        county: row.get::<_, Text<_>>(4)?.0,
    })
}

/// A county's placements, equal spans counted together, by school and day.
pub(super) fn service_spans(
    connection: &Connection,
    county: &CountyCode,
) -> Result<Vec<ServiceSpan>, Failure> {
    let mut select = connection.prepare(
        "SELECT s.code, p.from_day, p.to_day, count(*)
         FROM county c CROSS JOIN school s CROSS JOIN placement p
         WHERE c.code = ?1 AND s.county = c.id AND p.school = s.id
         GROUP BY s.code, p.from_day, p.to_day ORDER BY s.code, p.from_day, p.to_day",
    )?;
    let spans = select.query_map([county.as_str()], |row| {
        Ok(ServiceSpan {
            school: row.get::<_, Text<_>>(0)?.0,
            service: period(row, 1)?,
            terminals: unsigned(row, 3)?,
        })
    })?;
    Ok(spans.collect::<Result<_, _>>()?)
}
