//! `simulate --matrix`: clock faults × power losses × disk fates × images, what was and what the service counted.
//!
//! Not responsible for the cells themselves (`simulate::case`).

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use super::{FAILED, Failure, Figures, Options, SimulateArgs, USAGE, output, play};
use crate::simulate::{Case, Difference};

/// One cell, summed over its seeds.
#[derive(Debug, serde::Serialize)]
struct Row {
    #[serde(flatten)]
    case: Case,
    #[serde(flatten)]
    figures: Figures,
    differences: Vec<Found>,
}

/// A difference, and the seed that shows it.
#[derive(Debug, serde::Serialize)]
struct Found {
    seed: u64,
    #[serde(flatten)]
    difference: Difference,
}

/// Plays every cell that is wanted.
pub(super) fn matrix(
    arguments: &SimulateArgs,
    options: Options,
    json: bool,
) -> Result<(), Failure> {
    let only = arguments.only.as_deref().unwrap_or_default();
    let wanted = |case: &Case| words(*case).join(", ").contains(only);
    let cases: Vec<Case> = Case::all().filter(wanted).collect();
    if cases.is_empty() {
        let said = format!("no row of the matrix has `{only}` in its conditions");
        return Err(Failure::said(USAGE, said));
    }
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = cell(*case, arguments, options);
                    let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                    rows.push(row);
                    if rows.len() % 27 == 0 {
                        eprintln!("{}/{} cells", rows.len(), cases.len());
                    }
                }
            });
        }
    });
    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut rows = rows.into_iter().collect::<Result<Vec<Row>, Failure>>()?;
    rows.sort_by_key(|row| cases.iter().position(|case| *case == row.case));
    if json {
        output::json(&rows)?;
    } else {
        output::print(&table(&rows));
    }
    let failed: Vec<&Row> = rows
        .iter()
        .filter(|row| !row.differences.is_empty())
        .collect();
    for row in &failed {
        for difference in row.differences.iter().take(super::SHOWN) {
            let Found { seed, difference } = difference;
            let case = words(row.case).join(", ");
            eprintln!("{case}: {difference}");
            eprintln!(
                "  again: classpulse simulate --matrix --only {case:?} --from {seed} --seeds 1 --days {} --terminals {}",
                options.days, options.terminals
            );
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let said = format!("{} of {} cells failed", failed.len(), rows.len());
    Err(Failure::said(FAILED, said))
}

fn cell(case: Case, arguments: &SimulateArgs, options: Options) -> Result<Row, Failure> {
    let mut row = Row {
        case,
        figures: Figures::default(),
        differences: Vec::new(),
    };
    for seed in (0..arguments.seeds).map(|index| arguments.from.saturating_add(index)) {
        let options = Options {
            case: Some(case),
            ..options
        };
        let outcome = play(seed, options)?;
        row.figures += &outcome.figures;
        let found = outcome.differences.into_iter();
        row.differences
            .extend(found.map(|difference| Found { seed, difference }));
    }
    Ok(row)
}

fn words(case: Case) -> [&'static str; 4] {
    [
        case.clock.name(),
        case.power.name(),
        case.disk.name(),
        case.image.name(),
    ]
}

/// Minutes of truth, where they are, and what remains: nothing may.
fn table(rows: &[Row]) -> String {
    const HEADS: [&str; 13] = [
        "clock",
        "power",
        "disk",
        "image",
        "truth",
        "counted",
        "waiting",
        "quarantine",
        "misdated",
        "gone with disk",
        "last 15 s",
        "lost",
        "double",
    ];
    let mut table = output::table(&HEADS, 4);
    for row in rows {
        let figures = &row.figures;
        let numbers = [
            figures.truth,
            figures.counted,
            figures.waiting,
            figures.quarantined,
            figures.misdated,
            figures.gone,
            figures.tail,
            figures.lost,
            figures.doubled,
        ];
        let numbers = numbers.iter().map(ToString::to_string);
        let cells = words(row.case)
            .map(str::to_owned)
            .into_iter()
            .chain(numbers);
        table.add_row(cells);
    }
    table.to_string()
}
