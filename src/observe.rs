//! What the service says of itself: log, counters, latency histograms, Prometheus text, closing summary.
//!
//! Not responsible for deciding what is worth counting: callers say what happened, in words of their own.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error. `filter` is in `tracing`'s words, such as `info` or `classpulse=debug`.
///
/// # Errors
/// The filter's mistake, or that logging was started before.
pub fn start_logging(filter: &str, format: LogFormat) -> Result<(), Box<dyn Error + Send + Sync>> {
    let filter = EnvFilter::try_new(filter)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    }
}

/// An error and its causes in one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            let _ = write!(text, ": {said}");
        }
        cause = error.source();
    }
    text
}

/// Counters and histograms of one service. All methods are cheap and never fail.
#[derive(Debug)]
pub struct Metrics {
    reports: AtomicU64,
    sessions: AtomicU64,
    unacknowledged: AtomicU64,
    store_failures: AtomicU64,
    broker_refusals: AtomicU64,
    /// Reports that the embedded broker could not hand to ingest in time.
    busy: AtomicU64,
    /// Connections to an outside broker that were lost, or could not be made.
    broker_losses: AtomicU64,
    /// 1 while connected to an outside broker.
    broker_connected: AtomicU64,
    /// Reports in the intake, and their bytes: now.
    waiting: AtomicU64,
    waiting_bytes: AtomicU64,
    rolled_up: AtomicU64,
    /// Incidents beyond a terminal's bound.
    dropped_incidents: AtomicU64,
    /// Machines that became terminals or came back, and those that did not.
    enrolled: AtomicU64,
    not_enrolled: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    /// Arrival at the service to commit, microseconds.
    latency: Mutex<Histogram<u64>>,
    /// Time of one commit, microseconds.
    commit: Mutex<Histogram<u64>>,
    /// Reports in one batch.
    batch: Mutex<Histogram<u64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            reports: AtomicU64::default(),
            sessions: AtomicU64::default(),
            unacknowledged: AtomicU64::default(),
            store_failures: AtomicU64::default(),
            broker_refusals: AtomicU64::default(),
            busy: AtomicU64::default(),
            broker_losses: AtomicU64::default(),
            broker_connected: AtomicU64::default(),
            waiting: AtomicU64::default(),
            waiting_bytes: AtomicU64::default(),
            rolled_up: AtomicU64::default(),
            dropped_incidents: AtomicU64::default(),
            enrolled: AtomicU64::default(),
            not_enrolled: AtomicU64::default(),
            refused: Mutex::default(),
            latency: Mutex::new(histogram()),
            commit: Mutex::new(histogram()),
            batch: Mutex::new(histogram()),
        }
    }
}

/// A report on its way through ingest, counted while it lives.
#[derive(Debug)]
pub struct Waiting {
    metrics: Arc<Metrics>,
    bytes: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.metrics.waiting.fetch_sub(1, Relaxed);
        self.metrics.waiting_bytes.fetch_sub(self.bytes, Relaxed);
    }
}

/// One microsecond to ten minutes, to two figures.
#[expect(
    clippy::expect_used,
    reason = "the bounds are constants that the library accepts"
)]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 2).expect("constant bounds")
}

/// A histogram is whole after every single change, so a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Metrics {
    /// A report was dealt with, so long after its arrival; so many of its sessions were believed.
    pub fn report(&self, sessions: usize, acknowledged: bool, latency: Duration) {
        self.reports.fetch_add(1, Relaxed);
        self.sessions.fetch_add(sessions as u64, Relaxed);
        if !acknowledged {
            self.unacknowledged.fetch_add(1, Relaxed);
        }
        lock(&self.latency).saturating_record(micros(latency));
    }

    /// A report or session was refused, for a reason's stable key.
    pub fn refused(&self, reason: &'static str) {
        *lock(&self.refused).entry(reason).or_default() += 1;
    }

    /// A batch of so many reports was committed.
    pub fn batch(&self, reports: usize) {
        lock(&self.batch).saturating_record(reports as u64);
    }

    /// A commit took so long.
    pub fn commit(&self, time: Duration) {
        lock(&self.commit).saturating_record(micros(time));
    }

    /// The store failed once.
    pub fn store_failure(&self) {
        self.store_failures.fetch_add(1, Relaxed);
    }

    /// The broker refused a login, publish or subscription.
    pub fn broker_refusal(&self) {
        self.broker_refusals.fetch_add(1, Relaxed);
    }

    /// The embedded broker sent a report away: ingest had no room or did not commit in time.
    pub fn busy(&self) {
        self.busy.fetch_add(1, Relaxed);
    }

    /// Reports sent away so far.
    #[must_use]
    pub fn busy_count(&self) -> u64 {
        self.busy.load(Relaxed)
    }

    /// The connection to the outside broker was lost, or could not be made.
    pub fn broker_lost(&self) {
        self.broker_losses.fetch_add(1, Relaxed);
        self.broker_connected(false);
    }

    /// Whether the outside broker is connected.
    pub fn broker_connected(&self, connected: bool) {
        self.broker_connected.store(connected.into(), Relaxed);
    }

    /// A report of so many bytes waits for its commit, as long as the answer lives.
    #[must_use]
    pub fn waiting(self: &Arc<Self>, bytes: usize) -> Waiting {
        self.waiting.fetch_add(1, Relaxed);
        self.waiting_bytes.fetch_add(bytes as u64, Relaxed);
        Waiting {
            metrics: Arc::clone(self),
            bytes: bytes as u64,
        }
    }

    /// Reports that wait for their commit now, and their bytes.
    #[must_use]
    pub fn waiting_now(&self) -> (u64, u64) {
        (self.waiting.load(Relaxed), self.waiting_bytes.load(Relaxed))
    }

    /// Failed attempts on the store so far.
    #[must_use]
    pub fn store_failures(&self) -> u64 {
        self.store_failures.load(Relaxed)
    }

    /// So many school-days were brought up to date.
    pub fn rolled_up(&self, school_days: usize) {
        self.rolled_up.fetch_add(school_days as u64, Relaxed);
    }

    /// So many incidents found their terminal's bound reached.
    pub fn dropped_incidents(&self, incidents: usize) {
        self.dropped_incidents.fetch_add(incidents as u64, Relaxed);
    }

    /// A machine asked to be a terminal, and is or is not.
    pub fn enrolment(&self, done: bool) {
        let counter = if done {
            &self.enrolled
        } else {
            &self.not_enrolled
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Reports dealt with so far.
    #[must_use]
    pub fn reports(&self) -> u64 {
        self.reports.load(Relaxed)
    }

    /// Every counter with its name and meaning.
    fn counters(&self) -> [(&'static str, &'static str, &AtomicU64); 11] {
        [
            (
                "reports",
                "Reports dealt with: committed, or kept in quarantine.",
                &self.reports,
            ),
            ("sessions", "Sessions believed and painted.", &self.sessions),
            (
                "unacknowledged",
                "Reports without an acknowledgement: they come again.",
                &self.unacknowledged,
            ),
            (
                "store_failures",
                "Failed attempts on the store, each tried again.",
                &self.store_failures,
            ),
            (
                "broker_refusals",
                "Logins, publishes and subscriptions that the broker refused.",
                &self.broker_refusals,
            ),
            (
                "busy",
                "Reports that the embedded broker sent away because ingest was full or slow: they come again.",
                &self.busy,
            ),
            (
                "broker_losses",
                "Connections to the outside broker that were lost or could not be made.",
                &self.broker_losses,
            ),
            (
                "rolled_up_school_days",
                "School-days brought up to date.",
                &self.rolled_up,
            ),
            (
                "dropped_incidents",
                "Incidents beyond what a terminal may tell in a day.",
                &self.dropped_incidents,
            ),
            (
                "enrolled",
                "Machines that became terminals, or got their identity back.",
                &self.enrolled,
            ),
            (
                "not_enrolled",
                "Requests for enrolment that were refused.",
                &self.not_enrolled,
            ),
        ]
    }

    /// All of it in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (name, help, counter) in self.counters() {
            let _ = writeln!(text, "# HELP classpulse_{name}_total {help}");
            let _ = writeln!(text, "# TYPE classpulse_{name}_total counter");
            let _ = writeln!(text, "classpulse_{name}_total {}", counter.load(Relaxed));
        }
        for (name, help, gauge) in [
            (
                "waiting_reports",
                "Reports that wait for their commit now.",
                &self.waiting,
            ),
            (
                "waiting_bytes",
                "Bytes of the reports that wait for their commit now.",
                &self.waiting_bytes,
            ),
            (
                "broker_connected",
                "1 while connected to an outside broker.",
                &self.broker_connected,
            ),
        ] {
            let _ = writeln!(text, "# HELP classpulse_{name} {help}");
            let _ = writeln!(text, "# TYPE classpulse_{name} gauge");
            let _ = writeln!(text, "classpulse_{name} {}", gauge.load(Relaxed));
        }
        let _ = writeln!(
            text,
            "# HELP classpulse_refused_total Reports or sessions sent to quarantine."
        );
        let _ = writeln!(text, "# TYPE classpulse_refused_total counter");
        for (reason, count) in &*lock(&self.refused) {
            let _ = writeln!(
                text,
                "classpulse_refused_total{{reason=\"{reason}\"}} {count}"
            );
        }
        summary(
            &mut text,
            "publish_to_commit_seconds",
            "Arrival to commit.",
            &lock(&self.latency),
            6,
        );
        summary(
            &mut text,
            "commit_seconds",
            "Time of one commit.",
            &lock(&self.commit),
            6,
        );
        summary(
            &mut text,
            "batch_reports",
            "Reports in one commit.",
            &lock(&self.batch),
            0,
        );
        text
    }

    /// The shutdown summary, one line.
    #[must_use]
    pub fn closing(&self) -> String {
        let refused: u64 = lock(&self.refused).values().sum();
        let (latency, commit, batch) = (lock(&self.latency), lock(&self.commit), lock(&self.batch));
        let at = |histogram: &Histogram<u64>, quantile| {
            Duration::from_micros(histogram.value_at_quantile(quantile))
        };
        format!(
            "{} reports, {} sessions, {refused} refused; publish to commit p50 {:?} p99 {:?} max {:?}; \
             {} commits, p50 {:?} p99 {:?}; batch p50 {} max {}",
            self.reports(),
            self.sessions.load(Relaxed),
            at(&latency, 0.5),
            at(&latency, 0.99),
            Duration::from_micros(latency.max()),
            commit.len(),
            at(&commit, 0.5),
            at(&commit, 0.99),
            batch.value_at_quantile(0.5),
            batch.max(),
        )
    }
}

/// A histogram as a Prometheus summary; its values are divided by ten to the power of `digits`.
fn summary(text: &mut String, name: &str, help: &str, histogram: &Histogram<u64>, digits: usize) {
    let scaled = |value: u128| {
        let unit = 10_u128.pow(u32::try_from(digits).unwrap_or(0));
        match digits {
            0 => value.to_string(),
            _ => format!("{}.{:0digits$}", value / unit, value % unit),
        }
    };
    let _ = writeln!(text, "# HELP classpulse_{name} {help}");
    let _ = writeln!(text, "# TYPE classpulse_{name} summary");
    for (label, quantile) in [
        ("0.5", 0.5),
        ("0.9", 0.9),
        ("0.99", 0.99),
        ("0.999", 0.999),
        ("1", 1.0),
    ] {
        let value = scaled(histogram.value_at_quantile(quantile).into());
        let _ = writeln!(text, "classpulse_{name}{{quantile=\"{label}\"}} {value}");
    }
    let sum = histogram
        .iter_recorded()
        .map(|step| u128::from(step.value_iterated_to()) * u128::from(step.count_at_value()));
    let _ = writeln!(text, "classpulse_{name}_sum {}", scaled(sum.sum()));
    let _ = writeln!(text, "classpulse_{name}_count {}", histogram.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_happened() {
        let metrics = Metrics::default();
        metrics.report(2, false, Duration::from_millis(5));
        metrics.refused("too_long");
        metrics.batch(1);
        metrics.commit(Duration::from_millis(3));
        let text = metrics.render();
        for line in [
            "classpulse_reports_total 1",
            "classpulse_sessions_total 2",
            "classpulse_unacknowledged_total 1",
            "classpulse_refused_total{reason=\"too_long\"} 1",
            "classpulse_batch_reports{quantile=\"0.5\"} 1",
            "classpulse_publish_to_commit_seconds_count 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(
            text.contains("classpulse_publish_to_commit_seconds{quantile=\"0.5\"} 0.005"),
            "{text}"
        );
        assert!(
            metrics
                .closing()
                .starts_with("1 reports, 2 sessions, 1 refused")
        );
    }

    #[test]
    fn a_cause_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("inner"));
        assert_eq!(chain(&error), "outer: inner");
    }
}
