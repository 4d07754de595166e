//! Rubrics and runs out, and another store's in.

use rusqlite::{Connection, OptionalExtension};

use super::{End, Pages};
use crate::store::{
    KeptRubric, KeptRun, KeptRunEvidence, KeptRunExclusion, KeptRunPart, OfRun, Record,
    record::Parts,
    sqlite::{
        evaluation::{self, by_key},
        failure::Failure,
        registry,
        values::Day,
    },
};

/// Rubrics by digest, then runs by county and key, each followed by what is its.
pub(super) fn send(connection: &Connection, pages: &mut Pages) -> Result<(), End> {
    let mut rubrics = evaluation::rubrics(connection)?;
    rubrics.sort_unstable_by_key(|rubric| rubric.digest);
    for rubric in rubrics {
        pages.add(Record::Rubric(KeptRubric {
            text: rubric.text,
            stored_at: rubric.stored_at,
        }))?;
    }
    for kept in evaluation::each_run(connection)? {
        let id = kept.number;
        let of = kept.state();
        pages.add(Record::Run(Box::new(kept)))?;
        send_run(connection, pages, id, &of)?;
    }
    Ok(())
}

fn send_run(connection: &Connection, pages: &mut Pages, id: i64, of: &OfRun) -> Result<(), End> {
    for one in evaluation::evidence(connection, id, None)? {
        pages.add(Record::RunEvidence(KeptRunEvidence {
            of: of.clone(),
            school: one.school,
            item: one.item,
            content: one.content,
        }))?;
    }
    for one in evaluation::exclusions(connection, id)? {
        pages.add(Record::RunExclusion(KeptRunExclusion {
            of: of.clone(),
            number: one.id,
            exclusion: one.exclusion,
        }))?;
    }
    for part in evaluation::parts(connection, id)? {
        let deflated = evaluation::deflated(connection, id, &part.key)?;
        pages.add(Record::RunPart(Box::new(KeptRunPart {
            of: of.clone(),
            part,
            deflated,
        })))?;
    }
    Ok(())
}

/// Takes in what a page has of evaluation.
pub(super) fn take(connection: &Connection, parts: &Parts) -> Result<(), Failure> {
    for one in &parts.rubrics {
        evaluation::put_rubric(connection, &one.text, one.stored_at)?;
    }
    for one in &parts.runs {
        take_run(connection, one)?;
    }
    let mut put = connection.prepare(
        "INSERT INTO evidence (run, school, item, content) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (run, school, item) DO NOTHING",
    )?;
    for one in &parts.evidence {
        if let Some(id) = at_state(connection, &one.of)? {
            put.execute((id, one.school.as_str(), &one.item, &one.content))?;
        }
    }
    for one in &parts.exclusions {
        if let Some(id) = at_state(connection, &one.of)? {
            evaluation::keep_exclusion(connection, id, one.number, &one.exclusion)?;
        }
    }
    for one in &parts.frozen {
        if let Some(id) = at_state(connection, &one.of)? {
            evaluation::keep_part(connection, id, &one.part, &one.deflated)?;
        }
    }
    Ok(())
}

/// The run that is there at this very state, if any.
fn at_state(connection: &Connection, of: &OfRun) -> Result<Option<i64>, Failure> {
    let found = by_key(connection, &of.county, &of.key)?;
    let same = found.filter(|run| {
        let digest = run.frozen().map(|freeze| freeze.digest);
        (run.revision, digest) == (of.revision, of.digest)
    });
    Ok(same.map(|run| run.id))
}

/// A run that is not there keeps its number where that is free.
fn take_run(connection: &Connection, run: &KeptRun) -> Result<(), Failure> {
    let county = registry::county_key(connection, &run.county)?
        .ok_or_else(|| Failure::not_found("county", &run.county))?;
    if by_key(connection, &run.county, &run.key)?.is_some() {
        return Ok(());
    }
    let taken: Option<i64> = connection
        .query_row("SELECT id FROM run WHERE id = ?1", [run.number], |row| {
            row.get(0)
        })
        .optional()?;
    let free = (taken.is_none() && run.number > 0).then_some(run.number);
    let id: i64 = connection.query_row(
        "UPDATE meta SET last_run = max(last_run + (?1 IS NULL), coalesce(?1, 0))
         RETURNING coalesce(?1, last_run)",
        [free],
        |row| row.get(0),
    )?;
    let freeze = run.frozen.as_ref();
    connection.execute(
        "INSERT INTO run (id, county, key, name, first_day, last_day, rubric, supersedes, minutes_from,
            created_by, created_at, revision, digest, frozen_by, frozen_at, note)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        (
            id,
            county,
            &run.key,
            &run.name,
            Day(run.first),
            Day(run.last),
            &run.rubric.0[..],
            &run.supersedes,
            &run.minutes_from,
            &run.by,
            run.at,
            run.revision,
            freeze.map(|freeze| &freeze.digest.0[..]),
            freeze.map(|freeze| &freeze.by),
            freeze.map(|freeze| freeze.at),
            freeze.map(|freeze| &freeze.note),
        ),
    )?;
    Ok(())
}
