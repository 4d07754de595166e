//! Rubrics, evaluation runs, their evidence, exclusions and parts. Changes of all processes follow one another
//! (`Lock::Evaluation`).
//!
//! Not responsible for what is refused without a look at the database (`store::evaluation::check`).

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresStore,
    connection::{Lock, On},
    failure::Failure,
    registry, retention,
    values::{Day, fixed, period, signed, text, unsigned},
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
impl EvaluationStore for PostgresStore {
    async fn rubrics(&self) -> Result<Vec<StoredRubric>, StoreError> {
        read!(self, "list rubrics", |on| rubrics(&on))
    }

    async fn rubric(&self, digest: ContentDigest) -> Result<Option<StoredRubric>, StoreError> {
        read!(self, "read a rubric", |on| rubric(&on, digest))
    }

    async fn put_rubric(&self, text: &str, at: i64) -> Result<ContentDigest, StoreError> {
        check::rubric(text)?;
        let kept = write!(self, "keep a rubric", |on| put_rubric(&on, text, at));
        kept.map(|(digest, _new)| digest)
    }

    async fn create_run(&self, new: NewRun) -> Result<Run, StoreError> {
        check::new_run(&new)?;
        write!(self, "create a run", |on| create(&on, &new))
    }

    async fn runs(&self, county: &CountyCode) -> Result<Vec<Run>, StoreError> {
        read!(self, "list runs", |on| runs(&on, county))
    }

    async fn run(&self, id: i64) -> Result<Run, StoreError> {
        read!(self, "read a run", |on| run(&on, id))
    }

    async fn discard_run(&self, id: i64) -> Result<(), StoreError> {
        write!(self, "discard a run", |on| discard(&on, id))
    }

    async fn evidence(
        &self,
        id: i64,
        school: Option<&SchoolCode>,
    ) -> Result<Vec<KeptEvidence>, StoreError> {
        read!(self, "read evidence", |on| async {
            run(&on, id).await?;
            evidence(&on, id, school).await
        })
    }

    async fn put_evidence(
        &self,
        id: i64,
        expected_revision: Option<i64>,
        changes: Vec<EvidenceChange>,
    ) -> Result<i64, StoreError> {
        check::evidence(&changes)?;
        write!(self, "keep evidence", |on| put_evidence(
            &on,
            id,
            expected_revision,
            &changes
        ))
    }

    async fn exclusions(&self, id: i64) -> Result<Vec<KeptExclusion>, StoreError> {
        read!(self, "read exclusions", |on| async {
            run(&on, id).await?;
            exclusions(&on, id).await
        })
    }

    async fn add_exclusion(&self, id: i64, exclusion: Exclusion) -> Result<i64, StoreError> {
        check::exclusion(&exclusion)?;
        write!(self, "keep an exclusion", |on| add_exclusion(
            &on, id, &exclusion
        ))
    }

    async fn remove_exclusion(&self, id: i64, exclusion: i64) -> Result<(), StoreError> {
        write!(self, "take an exclusion back", |on| remove_exclusion(
            &on, id, exclusion
        ))
    }

    async fn freeze_run(&self, freeze: FreezeRun) -> Result<(), StoreError> {
        check::freeze(&freeze)?;
        write!(self, "freeze a run", |on| freeze_one(&on, &freeze))
    }

    async fn run_parts(&self, id: i64) -> Result<Vec<PartInfo>, StoreError> {
        read!(self, "list a run's parts", |on| async {
            run(&on, id).await?;
            parts(&on, id).await
        })
    }

    async fn run_part(&self, id: i64, key: &str) -> Result<String, StoreError> {
        read!(self, "read a run's part", |on| part(&on, id, key))
    }
}

fn digest(row: &Row, at: usize) -> Result<ContentDigest, Failure> {
    Ok(ContentDigest(fixed(row, at)?))
}

fn read_rubric(row: &Row) -> Result<StoredRubric, Failure> {
    Ok(StoredRubric {
        digest: digest(row, 0)?,
        text: row.try_get(1)?,
        stored_at: row.try_get(2)?,
    })
}

/// Every rubric, newest first.
pub(super) async fn rubrics(on: &On<'_>) -> Result<Vec<StoredRubric>, Failure> {
    let sql = "SELECT digest, text, stored_at FROM rubric ORDER BY stored_at DESC, digest";
    let rows = on.rows(sql, &[]).await?;
    rows.iter().map(read_rubric).collect()
}

async fn rubric(on: &On<'_>, digest: ContentDigest) -> Result<Option<StoredRubric>, Failure> {
    let sql = "SELECT digest, text, stored_at FROM rubric WHERE digest = $1";
    let found = on.maybe(sql, &[&&digest.0[..]]).await?;
    found.as_ref().map(read_rubric).transpose()
}

/// Keeps a rubric's text; whether it was new.
pub(super) async fn put_rubric(
    on: &On<'_>,
    text: &str,
    at: i64,
) -> Result<(ContentDigest, bool), Failure> {
    let digest = ContentDigest::of(text.as_bytes());
    let added = on.execute(
        "INSERT INTO rubric (digest, text, stored_at) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING",
        &[&&digest.0[..], &text, &at],
    )
    .await?;
    Ok((digest, added > 0))
}

const RUN: &str = "SELECT r.id, r.key, c.code, r.name, r.first_day, r.last_day, r.rubric,
        s.id, m.id, r.created_by, r.created_at, r.revision, r.digest, r.frozen_by, r.frozen_at, r.note,
        r.supersedes, r.minutes_from
     FROM run r JOIN county c ON c.id = r.county
        LEFT JOIN run s ON s.county = r.county AND s.key = r.supersedes
        LEFT JOIN run m ON m.county = r.county AND m.key = r.minutes_from";

fn read_run(row: &Row) -> Result<Run, Failure> {
    let frozen: Option<&[u8]> = row.try_get(12)?;
    let state = match frozen {
        None => RunState::Draft,
        Some(_) => RunState::Frozen(Freeze {
            digest: digest(row, 12)?,
            by: row.try_get(13)?,
            at: row.try_get(14)?,
            note: row.try_get(15)?,
        }),
    };
    Ok(Run {
        id: row.try_get(0)?,
        key: row.try_get(1)?,
        county: text(row, 2)?,
        name: row.try_get(3)?,
        period: period(row, 4)?,
        rubric: digest(row, 6)?,
        supersedes: row.try_get(7)?,
        minutes_from: row.try_get(8)?,
        by: row.try_get(9)?,
        at: row.try_get(10)?,
        revision: row.try_get(11)?,
        state,
    })
}

/// Every run as it moves, by county and key.
pub(super) async fn each_run(on: &On<'_>) -> Result<Vec<KeptRun>, Failure> {
    let sql = format!("{RUN} ORDER BY c.code COLLATE \"C\", r.key");
    let rows = on.rows(&sql, &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(KeptRun::new(
                read_run(row)?,
                row.try_get(16)?,
                row.try_get(17)?,
            ))
        })
        .collect()
}

async fn runs(on: &On<'_>, county: &CountyCode) -> Result<Vec<Run>, Failure> {
    let sql = format!("{RUN} WHERE c.code = $1 ORDER BY r.id DESC");
    let rows = on.rows(&sql, &[&county.as_str()]).await?;
    rows.iter().map(read_run).collect()
}

async fn run(on: &On<'_>, id: i64) -> Result<Run, Failure> {
    let found = on.maybe(&format!("{RUN} WHERE r.id = $1"), &[&id]).await?;
    let found = found.ok_or_else(|| Failure::not_found("evaluation run", &id))?;
    read_run(&found)
}

/// A county's run by its key.
pub(super) async fn by_key(
    on: &On<'_>,
    county: &CountyCode,
    key: &str,
) -> Result<Option<Run>, Failure> {
    let sql = format!("{RUN} WHERE c.code = $1 AND r.key = $2");
    let found = on.maybe(&sql, &[&county.as_str(), &key]).await?;
    found.as_ref().map(read_run).transpose()
}

async fn create(on: &On<'_>, new: &NewRun) -> Result<Run, Failure> {
    on.lock(Lock::Evaluation).await?;
    let county = registry::county_key(on, &new.county)
        .await?
        .ok_or_else(|| Failure::not_found("county", &new.county))?;
    if let Some(found) = by_key(on, &new.county, &new.key).await? {
        return Ok(check::again(found, new)?);
    }
    if rubric(on, new.rubric).await?.is_none() {
        return Err(Failure::not_found("rubric", &new.rubric));
    }
    let supersedes = refer(on, new, new.supersedes).await?;
    let minutes_from = refer(on, new, new.minutes_from).await?;
    let sql = "UPDATE meta SET last_run = last_run + 1 RETURNING last_run";
    let id: i64 = on.row(sql, &[]).await?.try_get(0)?;
    on.execute(
        "INSERT INTO run (id, county, key, name, first_day, last_day, rubric, supersedes, minutes_from,
            created_by, created_at, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0)",
        &[
            &id,
            &county,
            &new.key,
            &new.name,
            &Day(new.period.first),
            &Day(new.period.last),
            &&new.rubric.0[..],
            &supersedes,
            &minutes_from,
            &new.by,
            &new.at,
        ],
    )
    .await?;
    put_evidence(on, id, None, &new.evidence).await?;
    for exclusion in &new.exclusions {
        add_exclusion(on, id, exclusion).await?;
    }
    run(on, id).await
}

/// The key of a run that a new one refers to.
async fn refer(on: &On<'_>, new: &NewRun, id: Option<i64>) -> Result<Option<String>, Failure> {
    let Some(id) = id else { return Ok(None) };
    let found = run(on, id).await?;
    check::referred(new, &found)?;
    Ok(Some(found.key))
}

/// A run that may be changed, while nobody else changes one.
async fn draft(on: &On<'_>, id: i64, revision: Option<i64>) -> Result<Run, Failure> {
    on.lock(Lock::Evaluation).await?;
    let found = run(on, id).await?;
    check::draft(&found, revision)?;
    Ok(found)
}

async fn raise_revision(on: &On<'_>, id: i64) -> Result<i64, Failure> {
    let sql = "UPDATE run SET revision = revision + 1 WHERE id = $1 RETURNING revision";
    Ok(on.row(sql, &[&id]).await?.try_get(0)?)
}

async fn discard(on: &On<'_>, id: i64) -> Result<(), Failure> {
    draft(on, id, None).await?;
    for sql in [
        "DELETE FROM evidence WHERE run = $1",
        "DELETE FROM exclusion WHERE run = $1",
        "DELETE FROM run WHERE id = $1",
    ] {
        on.execute(sql, &[&id]).await?;
    }
    Ok(())
}

/// A run's evidence, by school and item.
pub(super) async fn evidence(
    on: &On<'_>,
    id: i64,
    school: Option<&SchoolCode>,
) -> Result<Vec<KeptEvidence>, Failure> {
    let rows = on
        .rows(
            "SELECT school, item, content FROM evidence
             WHERE run = $1 AND ($2::text IS NULL OR school = $2) ORDER BY school, item",
            &[&id, &school.map(SchoolCode::as_str)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(KeptEvidence {
                school: text(row, 0)?,
                item: row.try_get(1)?,
                content: row.try_get(2)?,
            })
        })
        .collect()
}

async fn put_evidence(
    on: &On<'_>,
    id: i64,
    expected: Option<i64>,
    changes: &[EvidenceChange],
) -> Result<i64, Failure> {
    let run = draft(on, id, expected).await?;
    let schools = registry::schools(on, &run.county).await?;
    let known: std::collections::HashSet<&SchoolCode> =
        schools.iter().map(|school| &school.code).collect();
    let mut count = 0;
    for change in changes {
        if !known.contains(&change.school) {
            return Err(Failure::not_found("school", &change.school));
        }
        count += put_one(on, id, change).await?;
    }
    if count == 0 {
        return Ok(run.revision);
    }
    raise_revision(on, id).await
}

async fn put_one(on: &On<'_>, id: i64, change: &EvidenceChange) -> Result<u64, Failure> {
    let school = change.school.as_str();
    let Some(content) = &change.content else {
        let sql = "DELETE FROM evidence WHERE run = $1 AND school = $2 AND item = $3";
        return on.execute(sql, &[&id, &school, &change.item]).await;
    };
    on.execute(
        "INSERT INTO evidence AS known (run, school, item, content) VALUES ($1, $2, $3, $4)
         ON CONFLICT (run, school, item) DO UPDATE SET content = excluded.content
         WHERE known.content <> excluded.content",
        &[&id, &school, &change.item, content],
    )
    .await
}

/// A run's exclusions, as they were made.
pub(super) async fn exclusions(on: &On<'_>, id: i64) -> Result<Vec<KeptExclusion>, Failure> {
    let rows = on
        .rows(
            "SELECT number, terminal, first_day, last_day, reason, excluded_by, excluded_at
             FROM exclusion WHERE run = $1 ORDER BY number",
            &[&id],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let days = period(row, 2)?;
            Ok(KeptExclusion {
                id: row.try_get(0)?,
                exclusion: Exclusion {
                    terminal: text(row, 1)?,
                    first: days.first,
                    last: days.last,
                    reason: row.try_get(4)?,
                    by: row.try_get(5)?,
                    at: row.try_get(6)?,
                },
            })
        })
        .collect()
}

async fn add_exclusion(on: &On<'_>, id: i64, exclusion: &Exclusion) -> Result<i64, Failure> {
    draft(on, id, None).await?;
    let sql = "SELECT count(*) FROM terminal WHERE name = $1";
    let row = on.row(sql, &[&exclusion.terminal.as_str()]).await?;
    if row.try_get::<_, i64>(0)? == 0 {
        return Err(Failure::not_found("terminal", &exclusion.terminal));
    }
    let all = exclusions(on, id).await?;
    if let Some(same) = all.iter().find(|one| one.exclusion.is(exclusion)) {
        return Ok(same.id);
    }
    check::room(all.len())?;
    let number = raise_revision(on, id).await?;
    keep_exclusion(on, id, number, exclusion).await?;
    Ok(number)
}

/// Keeps an exclusion under its number; one that is there stays.
pub(super) async fn keep_exclusion(
    on: &On<'_>,
    id: i64,
    number: i64,
    exclusion: &Exclusion,
) -> Result<(), Failure> {
    on.execute(
        "INSERT INTO exclusion (run, number, terminal, first_day, last_day, reason, excluded_by, excluded_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (run, number) DO NOTHING",
        &[
            &id,
            &number,
            &exclusion.terminal.as_str(),
            &Day(exclusion.first),
            &Day(exclusion.last),
            &exclusion.reason,
            &exclusion.by,
            &exclusion.at,
        ],
    )
    .await?;
    Ok(())
}

async fn remove_exclusion(on: &On<'_>, id: i64, number: i64) -> Result<(), Failure> {
    draft(on, id, None).await?;
    let sql = "DELETE FROM exclusion WHERE run = $1 AND number = $2";
    if on.execute(sql, &[&id, &number]).await? == 0 {
        return Err(Failure::not_found("exclusion", &number));
    }
    raise_revision(on, id).await?;
    Ok(())
}

async fn freeze_one(on: &On<'_>, wanted: &FreezeRun) -> Result<(), Failure> {
    let run = draft(on, wanted.run, Some(wanted.revision)).await?;
    for part in &wanted.parts {
        keep_part(on, run.id, &part.info, &part.deflated).await?;
    }
    let Freeze {
        digest,
        by,
        at,
        note,
    } = &wanted.freeze;
    on.execute(
        "UPDATE run SET digest = $2, frozen_by = $3, frozen_at = $4, note = $5 WHERE id = $1",
        &[&run.id, &&digest.0[..], by, at, note],
    )
    .await?;
    retention::note_evaluated(on, &run.county, run.period).await
}

/// Keeps a part; one that is there stays.
pub(super) async fn keep_part(
    on: &On<'_>,
    id: i64,
    part: &PartInfo,
    deflated: &[u8],
) -> Result<(), Failure> {
    on.execute(
        "INSERT INTO run_part (run, key, digest, bytes, deflated) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (run, key) DO NOTHING",
        &[
            &id,
            &part.key,
            &&part.digest.0[..],
            &signed(part.bytes)?,
            &deflated,
        ],
    )
    .await?;
    Ok(())
}

/// A run's parts, by key.
pub(super) async fn parts(on: &On<'_>, id: i64) -> Result<Vec<PartInfo>, Failure> {
    let sql = "SELECT key, digest, bytes FROM run_part WHERE run = $1 ORDER BY key";
    let rows = on.rows(sql, &[&id]).await?;
    rows.iter()
        .map(|row| {
            Ok(PartInfo {
                key: row.try_get(0)?,
                digest: digest(row, 1)?,
                bytes: unsigned(row, 2)?,
            })
        })
        .collect()
}

/// A part as it is kept.
pub(super) async fn deflated(on: &On<'_>, id: i64, key: &str) -> Result<Vec<u8>, Failure> {
    let sql = "SELECT deflated FROM run_part WHERE run = $1 AND key = $2";
    match on.maybe(sql, &[&id, &key]).await? {
        Some(row) => Ok(row.try_get(0)?),
        None => Err(Failure::not_found("part", &format!("{key} of run {id}"))),
    }
}

async fn part(on: &On<'_>, id: i64, key: &str) -> Result<String, Failure> {
    run(on, id).await?;
    Ok(inflate(key, &deflated(on, id, key).await?)?)
}
