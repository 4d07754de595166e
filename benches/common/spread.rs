//! The spread of repeated measurements, and the benches' one reader of a clock.
//!
//! Not responsible for what is measured. Nothing here fails a bench: how fast a machine is, is no right or wrong.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "a bench measures time, and does so here"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The same thing measured several times: the distance from `min` to `max` is the machine's noise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    /// The lowest.
    pub min: f64,
    /// The one in the middle; of an even number the lower of the two.
    pub median: f64,
    /// The highest.
    pub max: f64,
}

impl Spread {
    /// Of at least one figure.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        Self {
            min: figures[0],
            median: figures[(figures.len() - 1) / 2],
            max: figures[figures.len() - 1],
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        write!(
            f,
            "{:.digits$} (min {:.digits$}, max {:.digits$})",
            self.median, self.min, self.max
        )
    }
}

/// A duration as a figure.
pub(crate) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
