//! Rubrics and runs out, and another store's in.

use tokio::sync::mpsc;

use crate::store::{
    KeptRubric, KeptRun, KeptRunEvidence, KeptRunExclusion, KeptRunPart, OfRun, Record,
    postgres::{
        connection::{Lock, On},
        evaluation::{self, by_key},
        failure::Failure,
        registry,
        values::Day,
    },
    record::{PAGE, PAGE_BYTES, Parts},
};

/// Pages that are sent as they fill.
struct Pages<'a> {
    to: &'a mpsc::Sender<Vec<Record>>,
    page: Vec<Record>,
    /// Of what may be large.
    bytes: usize,
    /// Nobody takes pages any more.
    gone: bool,
}

impl Pages<'_> {
    async fn add(&mut self, record: Record) {
        self.bytes += record.bytes();
        self.page.push(record);
        if self.page.len() >= PAGE || self.bytes >= PAGE_BYTES {
            self.send().await;
        }
    }

    async fn send(&mut self) {
        self.bytes = 0;
        let page = std::mem::take(&mut self.page);
        if !self.gone && !page.is_empty() {
            self.gone = self.to.send(page).await.is_err();
        }
    }
}

/// Rubrics by digest, then runs by county and key, each followed by what is its. Ends early when nobody takes them.
pub(super) async fn send(on: &On<'_>, to: &mpsc::Sender<Vec<Record>>) -> Result<(), Failure> {
    let mut pages = Pages {
        to,
        page: Vec::new(),
        bytes: 0,
        gone: false,
    };
    let mut rubrics = evaluation::rubrics(on).await?;
    rubrics.sort_unstable_by_key(|rubric| rubric.digest);
    for rubric in rubrics {
        let rubric = KeptRubric {
            text: rubric.text,
            stored_at: rubric.stored_at,
        };
        pages.add(Record::Rubric(rubric)).await;
    }
    for kept in evaluation::each_run(on).await? {
        if pages.gone {
            break;
        }
        let id = kept.number;
        let of = kept.state();
        pages.add(Record::Run(Box::new(kept))).await;
        send_run(on, &mut pages, id, &of).await?;
    }
    pages.send().await;
    Ok(())
}

async fn send_run(on: &On<'_>, pages: &mut Pages<'_>, id: i64, of: &OfRun) -> Result<(), Failure> {
    for one in evaluation::evidence(on, id, None).await? {
        let evidence = KeptRunEvidence {
            of: of.clone(),
            school: one.school,
            item: one.item,
            content: one.content,
        };
        pages.add(Record::RunEvidence(evidence)).await;
    }
    for one in evaluation::exclusions(on, id).await? {
        let exclusion = KeptRunExclusion {
            of: of.clone(),
            number: one.id,
            exclusion: one.exclusion,
        };
        pages.add(Record::RunExclusion(exclusion)).await;
    }
    for part in evaluation::parts(on, id).await? {
        let deflated = evaluation::deflated(on, id, &part.key).await?;
        let part = KeptRunPart {
            of: of.clone(),
            part,
            deflated,
        };
        pages.add(Record::RunPart(Box::new(part))).await;
    }
    Ok(())
}

/// Takes in what a page has of evaluation.
pub(super) async fn take(on: &On<'_>, parts: &Parts) -> Result<(), Failure> {
    if parts.has_evaluation() {
        on.lock(Lock::Evaluation).await?;
    }
    for one in &parts.rubrics {
        evaluation::put_rubric(on, &one.text, one.stored_at).await?;
    }
    for one in &parts.runs {
        take_run(on, one).await?;
    }
    for one in &parts.evidence {
        if let Some(id) = at_state(on, &one.of).await? {
            on.execute(
                "INSERT INTO evidence (run, school, item, content) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (run, school, item) DO NOTHING",
                &[&id, &one.school.as_str(), &one.item, &one.content],
            )
            .await?;
        }
    }
    for one in &parts.exclusions {
        if let Some(id) = at_state(on, &one.of).await? {
            evaluation::keep_exclusion(on, id, one.number, &one.exclusion).await?;
        }
    }
    for one in &parts.frozen {
        if let Some(id) = at_state(on, &one.of).await? {
            evaluation::keep_part(on, id, &one.part, &one.deflated).await?;
        }
    }
    Ok(())
}

/// The run that is there at this very state, if any.
async fn at_state(on: &On<'_>, of: &OfRun) -> Result<Option<i64>, Failure> {
    let found = by_key(on, &of.county, &of.key).await?;
    let same = found.filter(|run| {
        let digest = run.frozen().map(|freeze| freeze.digest);
        (run.revision, digest) == (of.revision, of.digest)
    });
    Ok(same.map(|run| run.id))
}

/// A run that is not there keeps its number where that is free.
async fn take_run(on: &On<'_>, run: &KeptRun) -> Result<(), Failure> {
    let county = registry::county_key(on, &run.county)
        .await?
        .ok_or_else(|| Failure::not_found("county", &run.county))?;
    if by_key(on, &run.county, &run.key).await?.is_some() {
        return Ok(());
    }
    let sql = "SELECT id FROM run WHERE id = $1";
    let taken = on.maybe(sql, &[&run.number]).await?.is_some();
    let free = (!taken && run.number > 0).then_some(run.number);
    let row = on
        .row(
            "UPDATE meta SET last_run = greatest(last_run + CASE WHEN $1::bigint IS NULL THEN 1 ELSE 0 END, $1)
             RETURNING coalesce($1, last_run)",
            &[&free],
        )
        .await?;
    let id: i64 = row.try_get(0)?;
    let freeze = run.frozen.as_ref();
    on.execute(
        "INSERT INTO run (id, county, key, name, first_day, last_day, rubric, supersedes, minutes_from,
            created_by, created_at, revision, digest, frozen_by, frozen_at, note)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        &[
            &id,
            &county,
            &run.key,
            &run.name,
            &Day(run.first),
            &Day(run.last),
            &&run.rubric.0[..],
            &run.supersedes,
            &run.minutes_from,
            &run.by,
            &run.at,
            &run.revision,
            &freeze.map(|freeze| &freeze.digest.0[..]),
            &freeze.map(|freeze| &freeze.by),
            &freeze.map(|freeze| freeze.at),
            &freeze.map(|freeze| &freeze.note),
        ],
    )
    .await?;
    Ok(())
}
