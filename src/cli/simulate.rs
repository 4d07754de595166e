//! `simulate`: plays seeds on a few threads, adds them up, and says which failed and how to repeat it.
//!
//! Not responsible for the world or the comparison (`simulate`).

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

mod matrix;

use super::{FAILED, Failure, USAGE, args::SimulateArgs, output};
use crate::{
    observe::chain,
    simulate::{
        self, Difference, Faults, Figures, MemoryStore, Options, Outcome, Sabotage, report::Fault,
    },
};

/// Progress is told once in so many seeds.
const TELL: u64 = 10;
/// Differences shown of one seed.
const SHOWN: usize = 5;

/// What all seeds came to.
#[derive(Debug, Default, serde::Serialize)]
struct Sum {
    figures: Figures,
    faults: Faults,
    failed: Vec<Failed>,
}

/// A seed that failed.
#[derive(Debug, serde::Serialize)]
struct Failed {
    seed: u64,
    repeat: String,
    differences: Vec<Difference>,
}

/// Plays.
pub(super) fn simulate(arguments: &SimulateArgs, json: bool) -> Result<(), Failure> {
    let options = Options {
        days: arguments.days,
        terminals: arguments.terminals,
        sabotage: arguments.sabotage,
        case: None,
    };
    if arguments.matrix {
        return matrix::matrix(arguments, options, json);
    }
    let (first, count) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.from, arguments.seeds),
    };
    let next = AtomicU64::new(0);
    let sum = Mutex::new((Sum::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..u64::from(arguments.jobs).min(count) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let played = play(first.saturating_add(index), options);
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    match played {
                        Ok(outcome) => sum.0.add(outcome, options),
                        Err(failure) => sum.1.push(failure),
                    }
                    tell(&sum.0, count);
                }
            });
        }
    });
    let (mut sum, broken) = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(failure) = broken.into_iter().next() {
        return Err(failure);
    }
    sum.failed.sort_by_key(|failed| failed.seed);
    if json {
        output::json(&sum)?;
    } else {
        output::print(&words(&sum));
    }
    if sum.failed.is_empty() {
        return Ok(());
    }
    Err(Failure::said(
        FAILED,
        format!("{} of {count} seeds failed", sum.failed.len()),
    ))
}

fn play(seed: u64, options: Options) -> Result<Outcome, Failure> {
    let mut store = MemoryStore::new(options.sabotage == Some(Sabotage::LastWriterWins));
    simulate::run(seed, &options, &mut store).map_err(|error| Failure::said(FAILED, chain(&error)))
}

impl Sum {
    fn add(&mut self, outcome: Outcome, options: Options) {
        self.figures += &outcome.figures;
        self.faults += &outcome.faults;
        if outcome.differences.is_empty() {
            return;
        }
        let failed = Failed {
            seed: outcome.seed,
            repeat: format!(
                "classpulse simulate --seed {} --days {} --terminals {}",
                outcome.seed, options.days, options.terminals
            ),
            differences: outcome.differences,
        };
        eprintln!("{}", said(&failed));
        self.failed.push(failed);
    }
}

fn tell(sum: &Sum, count: u64) {
    let figures = &sum.figures;
    if figures.seeds.is_multiple_of(TELL) || figures.seeds == count {
        eprintln!(
            "{}/{count} seeds, {} minutes of truth, {} lost, {} double, {} seeds failed",
            figures.seeds,
            figures.truth,
            figures.lost,
            figures.doubled,
            sum.failed.len()
        );
    }
}

fn said(failed: &Failed) -> String {
    let mut lines = vec![format!(
        "seed {} failed; again: {}",
        failed.seed, failed.repeat
    )];
    let shown = failed.differences.iter().take(SHOWN);
    lines.extend(shown.map(|difference| format!("  {difference}")));
    let more = failed.differences.len().saturating_sub(SHOWN);
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    lines.join("\n")
}

fn words(sum: &Sum) -> String {
    let figures = &sum.figures;
    let mut rows: Vec<(&str, u64)> = vec![
        ("seeds", figures.seeds),
        ("virtual terminal-hours", figures.terminal_hours),
        ("boots", figures.boots),
        ("reports sent", figures.reports_sent),
        ("reports delivered", figures.reports_delivered),
        ("  of them copies", figures.reports_duplicated),
        ("commits", figures.commits),
    ];
    rows.extend(
        Fault::ALL
            .iter()
            .map(|fault| (fault.name(), sum.faults.of(*fault))),
    );
    rows.extend([
        ("minutes of truth (powered and used)", figures.truth),
        ("  counted", figures.counted),
        ("  waiting in living journals", figures.waiting),
        ("  in quarantine with a reason", figures.quarantined),
        ("  misdated by a clock nobody vouched for", figures.misdated),
        ("  gone with the disk", figures.gone),
        ("  in the 15 s before the power went", figures.tail),
        ("lost", figures.lost),
        ("double, or never so", figures.doubled),
    ]);
    let line = |(name, value): &(&str, u64)| format!("{name:<56} {value:>14}");
    let lines: Vec<String> = rows.iter().map(line).collect();
    lines.join("\n")
}
