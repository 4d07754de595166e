//! The registry: counties, schools, and which terminal stood where and when. Changes and plain reads.
//!
//! Not responsible for terminals as they are listed (`terminals`), nor for what their minutes sum to (`rollup`).

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Row;

use super::{
    commit::{Added, Keys, keys},
    connection::{Lock, On},
    dirty,
    failure::Failure,
    values::{Day, period, text, unsigned},
};
use crate::{
    domain::ids::{CountyCode, SchoolCode, Stage, TerminalId},
    store::{County, Placement, RegistryChange, School, ServiceSpan, StoreError},
};

/// Applies a change, in the order in which its parts refer to each other.
pub(super) async fn change(
    on: &On<'_>,
    known: &Keys,
    change: &RegistryChange,
) -> Result<Added, Failure> {
    on.lock(Lock::Registry).await?;
    for county in &change.counties {
        on.execute(
            "INSERT INTO county (code, name) VALUES ($1, $2) ON CONFLICT (code) DO UPDATE SET name = excluded.name",
            &[&county.code.as_str(), &county.name],
        )
        .await?;
    }
    for school in &change.schools {
        put_school(on, school).await?;
    }
    let added = place_all(on, known, &change.placements).await?;
    raise_version(on).await?;
    Ok(added)
}

/// Tells every process that what it knows of the registry and the calendars is stale.
pub(super) async fn raise_version(on: &On<'_>) -> Result<(), Failure> {
    on.execute(
        "UPDATE meta SET registry_version = registry_version + 1",
        &[],
    )
    .await?;
    Ok(())
}

/// See [`raise_version`].
pub(super) async fn version(on: &On<'_>) -> Result<i64, Failure> {
    Ok(on
        .row("SELECT registry_version FROM meta", &[])
        .await?
        .try_get(0)?)
}

/// A county's key.
pub(super) async fn county_key(on: &On<'_>, county: &CountyCode) -> Result<Option<i32>, Failure> {
    let found = on
        .maybe("SELECT id FROM county WHERE code = $1", &[&county.as_str()])
        .await?;
    Ok(found.map(|row| row.try_get(0)).transpose()?)
}

/// A new stage or county changes what the school's minutes count, so its school-days become dirty.
async fn put_school(on: &On<'_>, school: &School) -> Result<(), Failure> {
    let county = county_key(on, &school.county)
        .await?
        .ok_or_else(|| Failure::not_found("county", &school.county))?;
    let code = school.code.as_str();
    let known = on
        .maybe(
            "SELECT id, county, stage FROM school WHERE code = $1",
            &[&code],
        )
        .await?;
    if let Some(row) = known {
        let old: (i32, Stage) = (row.try_get(1)?, text(&row, 2)?);
        if old != (county, school.stage) {
            dirty::mark_school(on, row.try_get(0)?).await?;
        }
    }
    on.execute(
        "INSERT INTO school (code, county, name, stage, township) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (code) DO UPDATE SET
            county = excluded.county, name = excluded.name, stage = excluded.stage, township = excluded.township",
        &[&code, &county, &school.name, &school.stage.name(), &school.township],
    )
    .await?;
    Ok(())
}

/// A row of `placement` without its terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    school: i32,
    room: String,
    from: Day,
    to: Day,
}

/// Replaces terminals' histories, all in a few statements.
async fn place_all(
    on: &On<'_>,
    known: &Keys,
    placements: &[(TerminalId, Vec<Placement>)],
) -> Result<Added, Failure> {
    if placements.is_empty() {
        return Ok(Added::new());
    }
    let mut sorted: Vec<_> = placements.iter().collect();
    sorted.sort_by_key(|(terminal, _)| terminal);
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(conflict(format!(
            "terminal {} stands twice in the change",
            pair[0].0
        )));
    }
    let names: Vec<&TerminalId> = sorted.iter().map(|(terminal, _)| terminal).collect();
    let (keys, added) = keys(on, known, &names).await?;
    let schools = school_keys(on, &sorted).await?;
    let mut stored = stored(on, &keys).await?;
    let (mut changed, mut moved) = (BTreeMap::new(), Vec::new());
    for ((terminal, placements), key) in sorted.into_iter().zip(keys) {
        let wanted = checked(&schools, terminal, placements)?;
        let known = stored.remove(&key).unwrap_or_default();
        if wanted == known {
            continue;
        }
        let spans = |placements: &[Stored]| -> Vec<_> {
            placements
                .iter()
                .map(|one| (one.school, one.from, one.to))
                .collect()
        };
        if spans(&wanted) != spans(&known) {
            moved.push(key);
        }
        changed.insert(key, wanted);
    }
    dirty::mark_terminals(on, &moved).await?;
    replace(on, &changed).await?;
    dirty::mark_terminals(on, &moved).await?;
    Ok(added)
}

async fn replace(on: &On<'_>, changed: &BTreeMap<i32, Vec<Stored>>) -> Result<(), Failure> {
    let keys: Vec<i32> = changed.keys().copied().collect();
    on.execute("DELETE FROM placement WHERE terminal = ANY ($1)", &[&keys])
        .await?;
    let rows: Vec<(i32, &Stored)> = changed
        .iter()
        .flat_map(|(key, placements)| placements.iter().map(|one| (*key, one)))
        .collect();
    let terminals: Vec<i32> = rows.iter().map(|(key, _)| *key).collect();
    let schools: Vec<i32> = rows.iter().map(|(_, one)| one.school).collect();
    let rooms: Vec<&str> = rows.iter().map(|(_, one)| one.room.as_str()).collect();
    let from: Vec<Day> = rows.iter().map(|(_, one)| one.from).collect();
    let to: Vec<Day> = rows.iter().map(|(_, one)| one.to).collect();
    on.execute(
        "INSERT INTO placement (terminal, from_day, to_day, school, room)
         SELECT unnest($1::int4[]), unnest($2::date[]), unnest($3::date[]), unnest($4::int4[]), unnest($5::text[])",
        &[&terminals, &from, &to, &schools, &rooms],
    )
    .await?;
    on.execute(
        "UPDATE terminal t SET placed = NOT placed
         WHERE id = ANY ($1) AND placed <> EXISTS (SELECT 1 FROM placement p WHERE p.terminal = t.id)",
        &[&keys],
    )
    .await?;
    Ok(())
}

/// The keys of all schools that the placements name.
async fn school_keys(
    on: &On<'_>,
    placements: &[&(TerminalId, Vec<Placement>)],
) -> Result<HashMap<SchoolCode, i32>, Failure> {
    let mut codes: Vec<&str> = placements
        .iter()
        .flat_map(|(_, placements)| placements)
        .map(|placement| placement.school.as_str())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    let rows = on
        .rows(
            "SELECT code, id FROM school WHERE code = ANY ($1)",
            &[&codes],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((text(row, 0)?, row.try_get(1)?)))
        .collect()
}

/// The placements as rows in order of time, if they make a history.
fn checked(
    schools: &HashMap<SchoolCode, i32>,
    terminal: &TerminalId,
    placements: &[Placement],
) -> Result<Vec<Stored>, Failure> {
    let mut rows = Vec::with_capacity(placements.len());
    for placement in placements {
        let school = *schools
            .get(&placement.school)
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

async fn stored(on: &On<'_>, terminals: &[i32]) -> Result<HashMap<i32, Vec<Stored>>, Failure> {
    let rows = on
        .rows(
            "SELECT terminal, school, room, from_day, to_day FROM placement
             WHERE terminal = ANY ($1) ORDER BY terminal, from_day",
            &[&terminals],
        )
        .await?;
    let mut found: HashMap<i32, Vec<Stored>> = HashMap::new();
    for row in rows {
        found.entry(row.try_get(0)?).or_default().push(Stored {
            school: row.try_get(1)?,
            room: row.try_get(2)?,
            from: row.try_get(3)?,
            to: row.try_get(4)?,
        });
    }
    Ok(found)
}

fn conflict(said: String) -> Failure {
    StoreError::Conflict(said).into()
}

/// All counties, by code.
pub(super) async fn counties(on: &On<'_>) -> Result<Vec<County>, Failure> {
    let rows = on
        .rows("SELECT code, name FROM county ORDER BY code", &[])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(County {
                code: text(row, 0)?,
                name: row.try_get(1)?,
            })
        })
        .collect()
}

/// A county's schools, by code.
pub(super) async fn schools(on: &On<'_>, county: &CountyCode) -> Result<Vec<School>, Failure> {
    let rows = on
        .rows(
            "SELECT s.code, s.name, s.stage, s.township, c.code
             FROM county c JOIN school s ON s.county = c.id WHERE c.code = $1 ORDER BY s.code",
            &[&county.as_str()],
        )
        .await?;
    rows.iter().map(read_school).collect()
}

/// One school.
pub(super) async fn school(on: &On<'_>, school: &SchoolCode) -> Result<Option<School>, Failure> {
    let found = on
        .maybe(
            "SELECT s.code, s.name, s.stage, s.township, c.code
             FROM school s JOIN county c ON c.id = s.county WHERE s.code = $1",
            &[&school.as_str()],
        )
        .await?;
    found.as_ref().map(read_school).transpose()
}

fn read_school(row: &Row) -> Result<School, Failure> {
    Ok(School {
        code: text(row, 0)?,
        name: row.try_get(1)?,
        stage: text(row, 2)?,
        township: row.try_get(3)?,
        county: text(row, 4)?,
    })
}

/// A county's placements, equal spans counted together, by school and day.
pub(super) async fn service_spans(
    on: &On<'_>,
    county: &CountyCode,
) -> Result<Vec<ServiceSpan>, Failure> {
    let rows = on
        .rows(
            "SELECT s.code, p.from_day, p.to_day, count(*)
             FROM county c JOIN school s ON s.county = c.id JOIN placement p ON p.school = s.id
             WHERE c.code = $1
             GROUP BY s.code, p.from_day, p.to_day ORDER BY s.code, p.from_day, p.to_day",
            &[&county.as_str()],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(ServiceSpan {
                school: text(row, 0)?,
                service: period(row, 1)?,
                terminals: unsigned(row, 3)?,
            })
        })
        .collect()
}
