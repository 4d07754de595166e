//! Does one piece of work several times and says how long it took.
//!
//! Not responsible for whole systems, which keep running while they are measured (`ingest`).

use crate::spread::{Spread, now, seconds};

/// Does the work `times` times; figures are in `unit`s, a fraction of a second such as 1e-3.
/// Returns the last answer as well: it must be asserted, and a compiler leaves out what nobody asks for.
pub(crate) fn time<T>(times: usize, unit: f64, mut work: impl FnMut() -> T) -> (Spread, T) {
    let mut last = None;
    let figures: Vec<f64> = (0..times.max(1))
        .map(|_| {
            let begun = now();
            last = Some(std::hint::black_box(work()));
            seconds(begun.elapsed()) / unit
        })
        .collect();
    (Spread::of(figures), last.expect("the work was done"))
}
