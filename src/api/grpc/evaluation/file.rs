//! Workbooks and other files of `Evaluation`: in one request, out in pieces.

use classpulse_proto::v1;
use jiff::tz::TimeZone;
use tonic::Status;

use crate::{
    api::{convert, error},
    domain::ids::SchoolCode,
    evaluation::{self, Entry, Loaded},
    sheets::{
        WriteError,
        evidence::{self, CellFault, Origin, Overwritten},
        run::{self, Export, UnknownExport},
    },
    store::Store,
    tasks::blocking,
};

/// Largest workbook that is taken.
const MAX_FILE: usize = 8 * 1024 * 1024;

/// Most overwritten cells that are listed: as many as mistakes are.
const MAX_OVERWRITTEN: usize = 1_000;

/// Bytes in one piece.
const PIECE: usize = 1024 * 1024;

/// A file in pieces, the first with its name.
pub(super) fn chunks(name: &str, content: &[u8]) -> Vec<v1::FileChunk> {
    let mut pieces: Vec<v1::FileChunk> = content
        .chunks(PIECE)
        .map(|piece| v1::FileChunk {
            file_name: String::new(),
            content: piece.to_vec(),
        })
        .collect();
    if let Some(first) = pieces.first_mut() {
        name.clone_into(&mut first.file_name);
    }
    pieces
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn unwritten(problem: WriteError) -> Status {
    let problem: &(dyn std::error::Error + 'static) = &problem;
    tracing::error!(problem, "a workbook could not be written");
    Status::internal("the workbook could not be written, the operator's log says why")
}

/// The workbook to fill in, with what is known or empty.
pub(super) async fn workbook(store: &dyn Store, run: i64, empty: bool) -> Result<Vec<u8>, Status> {
    let entry = evaluation::form(store, run).await?;
    blocking(move || {
        let origin = Origin::of(&entry, empty);
        evidence::workbook(&entry.rubric, &entry.schools, &entry.evidence, &origin)
            .map_err(unwritten)
    })
    .await
}

/// Takes a filled workbook, all or nothing.
pub(super) async fn import(
    store: &dyn Store,
    request: v1::ImportEvidenceWorkbookRequest,
    now: i64,
) -> Result<v1::ImportEvidenceWorkbookResponse, Status> {
    let v1::ImportEvidenceWorkbookRequest {
        run,
        content,
        by,
        dry_run,
    } = request;
    if content.len() > MAX_FILE {
        let problem = format!("{} bytes, but a file has at most {MAX_FILE}", content.len());
        return Err(error::field("content", problem));
    }
    if by.trim().is_empty() {
        return Err(error::field("by", "who filled the workbook is needed"));
    }
    let form = evaluation::form(store, run).await?;
    let revision = form.revision;
    let read = blocking(move || {
        Ok::<_, Status>(evidence::read(
            &form.rubric,
            &form.schools,
            &form.evidence,
            &Origin::of(&form, false),
            &by,
            now,
            &content,
        ))
    })
    .await?;
    let reading = match read {
        Ok(reading) => reading,
        Err(faults) => {
            return Ok(v1::ImportEvidenceWorkbookResponse {
                faults: faults.into_iter().map(cell_fault).collect(),
                revision,
                ..Default::default()
            });
        }
    };
    let count = convert::narrow("changes", reading.changes.len())?;
    let mut answer = v1::ImportEvidenceWorkbookResponse {
        changed: count,
        removed: convert::narrow("removed", reading.removed())?,
        left_alone: convert::narrow("left_alone", reading.left_alone)?,
        overwritten: convert::narrow("overwritten", reading.overwritten.len())?,
        note: reading.note().unwrap_or_default(),
        faults: Vec::new(),
        overwritten_cells: overwritten(reading.overwritten),
        revision,
    };
    if !dry_run && count > 0 {
        let entries = reading.changes.into_iter().map(|one| Entry {
            school: one.school,
            item: one.item,
            evidence: one.evidence,
        });
        // What was compared with the workbook is what it replaces.
        let entries: Vec<Entry> = entries.collect();
        let entered = evaluation::enter(store, run, Some(revision), entries).await?;
        answer.revision = entered.revision;
    }
    Ok(answer)
}

fn overwritten(cells: Vec<Overwritten>) -> Vec<v1::OverwrittenCell> {
    let cells = cells.into_iter().take(MAX_OVERWRITTEN);
    let cells = cells.map(|cell| v1::OverwrittenCell {
        sheet: cell.sheet,
        row: cell.row,
        column: format!("{} {}", cell.column, cell.heading),
        kept: cell.kept,
    });
    cells.collect()
}

fn cell_fault(from: CellFault) -> v1::CellFault {
    let column = match (from.column.as_str(), from.heading.as_str()) {
        (column, "") => column.to_owned(),
        (column, heading) => format!("{column} {heading}"),
    };
    v1::CellFault {
        sheet: from.sheet,
        row: from.row,
        column,
        problem: from.problem,
    }
}

/// A run's results as a file: its name and content.
pub(super) async fn export(
    loaded: Loaded,
    request: &v1::ExportRunRequest,
    zone: TimeZone,
) -> Result<(String, Vec<u8>), Status> {
    let kind: Export = request
        .format
        .parse()
        .map_err(|problem: UnknownExport| error::field("format", problem.to_string()))?;
    let school: Option<SchoolCode> = convert::optional("school_code", &request.school_code)?;
    if kind == Export::SchoolXlsx && school.is_none() {
        return Err(error::field("school_code", "school.xlsx is of one school"));
    }
    blocking(move || {
        let results = run::results(&loaded, &zone);
        let found = run::export(&results, kind, school.as_ref()).map_err(unwritten)?;
        found.ok_or_else(|| Status::not_found("the school is not in the run"))
    })
    .await
}
