//! Rubrics, evaluation runs, their evidence, exclusions and parts. Changes run inside the writer's transaction, where
//! nobody else changes anything.
//!
//! Not responsible for what is refused without a look at the database (`store::evaluation::check`).

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{
    SqliteStore,
    failure::Failure,
    registry, retention,
    values::{Day, Text, fixed, period, signed, unsigned},
};
use crate::{
    domain::ids::{CountyCode, SchoolCode},
    store::{
        ContentDigest, EvaluationStore, EvidenceChange, Exclusion, Freeze, FreezeRun, KeptEvidence,
        KeptExclusion, KeptRun, NewRun, PartInfo, Run, RunState, StoreError, StoredRubric,
        evaluation::{check, inflate},
    },
};

#[async_trait]
impl EvaluationStore for SqliteStore {
    async fn rubrics(&self) -> Result<Vec<StoredRubric>, StoreError> {
        self.readers.run("list rubrics", rubrics).await
    }

    async fn rubric(&self, digest: ContentDigest) -> Result<Option<StoredRubric>, StoreError> {
        self.readers
            .run("read a rubric", move |on| rubric(on, digest))
            .await
    }

    async fn put_rubric(&self, text: &str, at: i64) -> Result<ContentDigest, StoreError> {
        check::rubric(text)?;
        let text = text.to_owned();
        self.writer
            .run("keep a rubric", move |on| put_rubric(on, &text, at))
            .await
            .map(|(digest, _new)| digest)
    }

    async fn create_run(&self, new: NewRun) -> Result<Run, StoreError> {
        check::new_run(&new)?;
        self.writer
            .run("create a run", move |on| create(on, &new))
            .await
    }

    async fn runs(&self, county: &CountyCode) -> Result<Vec<Run>, StoreError> {
        let county = county.clone();
        self.readers
            .run("list runs", move |on| runs(on, &county))
            .await
    }

    async fn run(&self, id: i64) -> Result<Run, StoreError> {
        self.readers.run("read a run", move |on| run(on, id)).await
    }

    async fn discard_run(&self, id: i64) -> Result<(), StoreError> {
        self.writer
            .run("discard a run", move |on| discard(on, id))
            .await
    }

    async fn evidence(
        &self,
        id: i64,
        school: Option<&SchoolCode>,
    ) -> Result<Vec<KeptEvidence>, StoreError> {
        let school = school.cloned();
        self.readers
            .run("read evidence", move |on| {
                run(on, id)?;
                evidence(on, id, school.as_ref())
            })
            .await
    }

    async fn put_evidence(
        &self,
        id: i64,
        expected_revision: Option<i64>,
        changes: Vec<EvidenceChange>,
    ) -> Result<i64, StoreError> {
        check::evidence(&changes)?;
        self.writer
            .run("keep evidence", move |on| {
                put_evidence(on, id, expected_revision, &changes)
            })
            .await
    }

    async fn exclusions(&self, id: i64) -> Result<Vec<KeptExclusion>, StoreError> {
        self.readers
            .run("read exclusions", move |on| {
                run(on, id)?;
                exclusions(on, id)
            })
            .await
    }

    async fn add_exclusion(&self, id: i64, exclusion: Exclusion) -> Result<i64, StoreError> {
        check::exclusion(&exclusion)?;
        self.writer
            .run("keep an exclusion", move |on| {
                add_exclusion(on, id, &exclusion)
            })
            .await
    }

    async fn remove_exclusion(&self, id: i64, exclusion: i64) -> Result<(), StoreError> {
        self.writer
            .run("take an exclusion back", move |on| {
                remove_exclusion(on, id, exclusion)
            })
            .await
    }

    async fn freeze_run(&self, freeze: FreezeRun) -> Result<(), StoreError> {
        check::freeze(&freeze)?;
        self.writer
            .run("freeze a run", move |on| freeze_one(on, &freeze))
            .await
    }

    async fn run_parts(&self, id: i64) -> Result<Vec<PartInfo>, StoreError> {
        self.readers
            .run("list a run's parts", move |on| {
                run(on, id)?;
                parts(on, id)
            })
            .await
    }

    async fn run_part(&self, id: i64, key: &str) -> Result<String, StoreError> {
        let key = key.to_owned();
        self.readers
            .run("read a run's part", move |on| part(on, id, &key))
            .await
    }
}

fn read_rubric(row: &Row<'_>) -> rusqlite::Result<StoredRubric> {
    Ok(StoredRubric {
        digest: ContentDigest(fixed(row, 0)?),
        text: row.get(1)?,
        stored_at: row.get(2)?,
    })
}

/// Every rubric, newest first.
pub(super) fn rubrics(connection: &Connection) -> Result<Vec<StoredRubric>, Failure> {
    let mut select = connection
        .prepare("SELECT digest, text, stored_at FROM rubric ORDER BY stored_at DESC, digest")?;
    let found = select.query_map([], read_rubric)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn rubric(connection: &Connection, digest: ContentDigest) -> Result<Option<StoredRubric>, Failure> {
    Ok(connection
        .query_row(
            "SELECT digest, text, stored_at FROM rubric WHERE digest = ?1",
            [&digest.0[..]],
            read_rubric,
        )
        .optional()?)
}

/// Keeps a rubric's text; whether it was new.
pub(super) fn put_rubric(
    connection: &Connection,
    text: &str,
    at: i64,
) -> Result<(ContentDigest, bool), Failure> {
    let digest = ContentDigest::of(text.as_bytes());
    let added = connection.execute(
        "INSERT INTO rubric (digest, text, stored_at) VALUES (?1, ?2, ?3) ON CONFLICT (digest) DO NOTHING",
        (&digest.0[..], text, at),
    )?;
    Ok((digest, added > 0))
}

const RUN: &str = "SELECT r.id, r.key, c.code, r.name, r.first_day, r.last_day, r.rubric,
        s.id, m.id, r.created_by, r.created_at, r.revision, r.digest, r.frozen_by, r.frozen_at, r.note,
        r.supersedes, r.minutes_from
     FROM run r JOIN county c ON c.id = r.county
        LEFT JOIN run s ON s.county = r.county AND s.key = r.supersedes
        LEFT JOIN run m ON m.county = r.county AND m.key = r.minutes_from";

fn read_run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let digest: Option<[u8; 32]> = row.get(12)?;
    let state = match digest {
        None => RunState::Draft,
        Some(digest) => RunState::Frozen(Freeze {
            digest: ContentDigest(digest),
            by: row.get(13)?,
            at: row.get(14)?,
            note: row.get(15)?,
        }),
    };
    Ok(Run {
        id: row.get(0)?,
        key: row.get(1)?,
        county: row.get::<_, Text<_>>(2)?.0,
        name: row.get(3)?,
        period: period(row, 4)?,
        rubric: ContentDigest(fixed(row, 6)?),
        supersedes: row.get(7)?,
        minutes_from: row.get(8)?,
        by: row.get(9)?,
        at: row.get(10)?,
        revision: row.get(11)?,
        state,
    })
}

/// Every run as it moves, by county and key.
pub(super) fn each_run(connection: &Connection) -> Result<Vec<KeptRun>, Failure> {
    let mut select = connection.prepare(&format!("{RUN} ORDER BY c.code, r.key"))?;
    let found = select.query_map([], |row| {
        Ok(KeptRun::new(read_run(row)?, row.get(16)?, row.get(17)?))
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn runs(connection: &Connection, county: &CountyCode) -> Result<Vec<Run>, Failure> {
    let mut select = connection.prepare(&format!("{RUN} WHERE c.code = ?1 ORDER BY r.id DESC"))?;
    let found = select.query_map([county.as_str()], read_run)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn run(connection: &Connection, id: i64) -> Result<Run, Failure> {
    let found = connection
        .query_row(&format!("{RUN} WHERE r.id = ?1"), [id], read_run)
        .optional()?;
    found.ok_or_else(|| Failure::not_found("evaluation run", &id))
}

/// A county's run by its key.
pub(super) fn by_key(
    connection: &Connection,
    county: &CountyCode,
    key: &str,
) -> Result<Option<Run>, Failure> {
    let sql = format!("{RUN} WHERE c.code = ?1 AND r.key = ?2");
    let found = connection.query_row(&sql, (county.as_str(), key), read_run);
    Ok(found.optional()?)
}

fn create(connection: &Connection, new: &NewRun) -> Result<Run, Failure> {
    let county = registry::county_key(connection, &new.county)?
        .ok_or_else(|| Failure::not_found("county", &new.county))?;
    if let Some(found) = by_key(connection, &new.county, &new.key)? {
        return Ok(check::again(found, new)?);
    }
    if rubric(connection, new.rubric)?.is_none() {
        return Err(Failure::not_found("rubric", &new.rubric));
    }
    let refer = |id: Option<i64>| -> Result<Option<String>, Failure> {
        let Some(id) = id else { return Ok(None) };
        let found = run(connection, id)?;
        check::referred(new, &found)?;
        Ok(Some(found.key))
    };
    let (supersedes, minutes_from) = (refer(new.supersedes)?, refer(new.minutes_from)?);
    let id: i64 = connection.query_row(
        "UPDATE meta SET last_run = last_run + 1 RETURNING last_run",
        [],
        |row| row.get(0),
    )?;
    connection.execute(
        "INSERT INTO run (id, county, key, name, first_day, last_day, rubric, supersedes, minutes_from,
            created_by, created_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0)",
        (
            id,
            county,
            &new.key,
            &new.name,
            Day(new.period.first),
            Day(new.period.last),
            &new.rubric.0[..],
            supersedes,
            minutes_from,
            &new.by,
            new.at,
        ),
    )?;
    put_evidence(connection, id, None, &new.evidence)?;
    for exclusion in &new.exclusions {
        add_exclusion(connection, id, exclusion)?;
    }
    run(connection, id)
}

/// A run that may be changed.
fn draft(connection: &Connection, id: i64, revision: Option<i64>) -> Result<Run, Failure> {
    let found = run(connection, id)?;
    check::draft(&found, revision)?;
    Ok(found)
}

fn raise_revision(connection: &Connection, id: i64) -> Result<i64, Failure> {
    Ok(connection.query_row(
        "UPDATE run SET revision = revision + 1 WHERE id = ?1 RETURNING revision",
        [id],
        |row| row.get(0),
    )?)
}

fn discard(connection: &Connection, id: i64) -> Result<(), Failure> {
    draft(connection, id, None)?;
    for sql in [
        "DELETE FROM evidence WHERE run = ?1",
        "DELETE FROM exclusion WHERE run = ?1",
        "DELETE FROM run WHERE id = ?1",
    ] {
        connection.execute(sql, [id])?;
    }
    Ok(())
}

/// A run's evidence, by school and item.
pub(super) fn evidence(
    connection: &Connection,
    id: i64,
    school: Option<&SchoolCode>,
) -> Result<Vec<KeptEvidence>, Failure> {
    let mut select = connection.prepare(
        "SELECT school, item, content FROM evidence
         WHERE run = ?1 AND (?2 IS NULL OR school = ?2) ORDER BY school, item",
    )?;
    let found = select.query_map((id, school.map(SchoolCode::as_str)), |row| {
        Ok(KeptEvidence {
            school: row.get::<_, Text<_>>(0)?.0,
            item: row.get(1)?,
            content: row.get(2)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn put_evidence(
    connection: &Connection,
    id: i64,
    expected: Option<i64>,
    changes: &[EvidenceChange],
) -> Result<i64, Failure> {
    let run = draft(connection, id, expected)?;
    let mut here = connection.prepare(
        "SELECT count(*) FROM school s JOIN county c ON c.id = s.county WHERE s.code = ?1 AND c.code = ?2",
    )?;
    let mut put = connection.prepare(
        "INSERT INTO evidence (run, school, item, content) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (run, school, item) DO UPDATE SET content = excluded.content
         WHERE content <> excluded.content",
    )?;
    let mut remove =
        connection.prepare("DELETE FROM evidence WHERE run = ?1 AND school = ?2 AND item = ?3")?;
    let mut count = 0;
    for change in changes {
        let school = change.school.as_str();
        let known: u32 = here.query_row((school, run.county.as_str()), |row| row.get(0))?;
        if known == 0 {
            return Err(Failure::not_found("school", &change.school));
        }
        count += match &change.content {
            Some(content) => put.execute((id, school, &change.item, content))?,
            None => remove.execute((id, school, &change.item))?,
        };
    }
    if count == 0 {
        return Ok(run.revision);
    }
    raise_revision(connection, id)
}

/// A run's exclusions, as they were made.
pub(super) fn exclusions(connection: &Connection, id: i64) -> Result<Vec<KeptExclusion>, Failure> {
    let mut select = connection.prepare(
        "SELECT number, terminal, first_day, last_day, reason, excluded_by, excluded_at
         FROM exclusion WHERE run = ?1 ORDER BY number",
    )?;
    let found = select.query_map([id], |row| {
        let days = period(row, 2)?;
        Ok(KeptExclusion {
            id: row.get(0)?,
            exclusion: Exclusion {
                terminal: row.get::<_, Text<_>>(1)?.0,
                first: days.first,
                last: days.last,
                reason: row.get(4)?,
                by: row.get(5)?,
                at: row.get(6)?,
            },
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn add_exclusion(connection: &Connection, id: i64, exclusion: &Exclusion) -> Result<i64, Failure> {
    draft(connection, id, None)?;
    let terminal = exclusion.terminal.as_str();
    let known: u32 = connection.query_row(
        "SELECT count(*) FROM terminal WHERE name = ?1",
        [terminal],
        |row| row.get(0),
    )?;
    if known == 0 {
        return Err(Failure::not_found("terminal", &exclusion.terminal));
    }
    let all = exclusions(connection, id)?;
    if let Some(same) = all.iter().find(|one| one.exclusion.is(exclusion)) {
        return Ok(same.id);
    }
    check::room(all.len())?;
    let number = raise_revision(connection, id)?;
    keep_exclusion(connection, id, number, exclusion)?;
    Ok(number)
}

/// Keeps an exclusion under its number; one that is there stays.
pub(super) fn keep_exclusion(
    connection: &Connection,
    id: i64,
    number: i64,
    exclusion: &Exclusion,
) -> Result<(), Failure> {
    connection.execute(
        "INSERT INTO exclusion (run, number, terminal, first_day, last_day, reason, excluded_by, excluded_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (run, number) DO NOTHING",
        (
            id,
            number,
            exclusion.terminal.as_str(),
            Day(exclusion.first),
            Day(exclusion.last),
            &exclusion.reason,
            &exclusion.by,
            exclusion.at,
        ),
    )?;
    Ok(())
}

fn remove_exclusion(connection: &Connection, id: i64, number: i64) -> Result<(), Failure> {
    draft(connection, id, None)?;
    let removed = connection.execute(
        "DELETE FROM exclusion WHERE run = ?1 AND number = ?2",
        (id, number),
    )?;
    if removed == 0 {
        return Err(Failure::not_found("exclusion", &number));
    }
    raise_revision(connection, id)?;
    Ok(())
}

fn freeze_one(connection: &Connection, wanted: &FreezeRun) -> Result<(), Failure> {
    let run = draft(connection, wanted.run, Some(wanted.revision))?;
    for part in &wanted.parts {
        keep_part(connection, run.id, &part.info, &part.deflated)?;
    }
    let Freeze {
        digest,
        by,
        at,
        note,
    } = &wanted.freeze;
    connection.execute(
        "UPDATE run SET digest = ?2, frozen_by = ?3, frozen_at = ?4, note = ?5 WHERE id = ?1",
        (run.id, &digest.0[..], by, at, note),
    )?;
    retention::note_evaluated(connection, &run.county, run.period)
}

/// Keeps a part; one that is there stays.
pub(super) fn keep_part(
    connection: &Connection,
    id: i64,
    part: &PartInfo,
    deflated: &[u8],
) -> Result<(), Failure> {
    connection.execute(
        "INSERT INTO run_part (run, key, digest, bytes, deflated) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (run, key) DO NOTHING",
        (
            id,
            &part.key,
            &part.digest.0[..],
            signed(part.bytes)?,
            deflated,
        ),
    )?;
    Ok(())
}

/// A run's parts, by key.
pub(super) fn parts(connection: &Connection, id: i64) -> Result<Vec<PartInfo>, Failure> {
    let mut select = connection
        .prepare("SELECT key, digest, bytes FROM run_part WHERE run = ?1 ORDER BY key")?;
    let found = select.query_map([id], |row| {
        Ok(PartInfo {
            key: row.get(0)?,
            digest: ContentDigest(fixed(row, 1)?),
            bytes: unsigned(row, 2)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// A part as it is kept.
pub(super) fn deflated(connection: &Connection, id: i64, key: &str) -> Result<Vec<u8>, Failure> {
    let found = connection
        .query_row(
            "SELECT deflated FROM run_part WHERE run = ?1 AND key = ?2",
            (id, key),
            |row| row.get(0),
        )
        .optional()?;
    found.ok_or_else(|| Failure::not_found("part", &format!("{key} of run {id}")))
}

fn part(connection: &Connection, id: i64, key: &str) -> Result<String, Failure> {
    run(connection, id)?;
    Ok(inflate(key, &deflated(connection, id, key)?)?)
}
