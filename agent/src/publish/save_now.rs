//! A word from outside: the machine is about to sleep, so write the journal at once; or it has slept.
//!
//! Windows's fast start-up shuts nothing down: services are told of a sleep, and the power may be cut while it lasts.
//! Not responsible for who says it (`service_windows`) or for the writing.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

/// Between the one who asks and the driver. Cheap to clone; clones share.
#[derive(Debug, Clone, Default)]
pub struct SaveNow(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    wanted: Notify,
    /// How often the driver has answered.
    answers: Mutex<u64>,
    answered: Condvar,
    /// The machine has slept, and the driver has not looked since.
    woken: AtomicBool,
}

impl SaveNow {
    /// Asks, and waits for the answer: the machine sleeps when this comes back. False where none came in time. Blocks;
    /// not within a runtime.
    #[must_use]
    pub fn ask(&self, patience: Duration) -> bool {
        let answers = self
            .0
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = *answers;
        self.0.wanted.notify_one();
        let (answers, _) = self
            .0
            .answered
            .wait_timeout_while(answers, patience, |answers| *answers == before)
            .unwrap_or_else(PoisonError::into_inner);
        *answers != before
    }

    /// The machine has slept. Time since boot may lack that: the driver's next look is told.
    pub fn woken(&self) {
        self.0.woken.store(true, Ordering::Relaxed);
    }

    /// Whether that was said since it was asked last.
    pub(crate) fn has_woken(&self) -> bool {
        self.0.woken.swap(false, Ordering::Relaxed)
    }

    /// Waits until somebody asks. May be cancelled.
    pub(crate) async fn wanted(&self) {
        self.0.wanted.notified().await;
    }

    /// The journal was written, or can't be.
    pub(crate) fn answer(&self) {
        *self
            .0
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.answered.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::sync::watch;

    use super::*;
    use crate::{
        access::Access,
        clock::{Clock as _, SystemClock},
        core::{Core, CoreConfig, JournalState, Observation},
        journal::{JournalStore, Loaded},
        local::StatusBoard,
        publish::{self, Options},
        sense::Sense,
    };

    const LONG: Duration = Duration::from_secs(20);

    struct Nobody;

    impl Sense for Nobody {
        fn observe(&mut self, _: u64, _: i64) -> Observation {
            Observation::default()
        }

        fn missing(&self) -> Vec<String> {
            Vec::new()
        }
    }

    /// How often it was written.
    #[derive(Clone, Default)]
    struct Counted(Arc<Mutex<usize>>);

    impl JournalStore for Counted {
        fn load(&mut self) -> Loaded {
            Loaded::default()
        }

        fn save(&mut self, _: &JournalState) -> io::Result<()> {
            *self.0.lock().unwrap() += 1;
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_journal_is_written_when_asked_though_nothing_is_due() {
        let (save_now, journal) = (SaveNow::default(), Counted::default());
        let config = CoreConfig {
            terminal: "asked".to_owned(),
            facts: classpulse_proto::v1::AgentFacts::default(),
            heartbeat_seconds: 60,
            idle_seconds: 300,
            hardware_ms: None,
            utc_offset_seconds: 8 * 3_600,
        };
        let core = Core::start([7; 16], SystemClock.now(), config, None);
        let options = Options {
            access: Access::plain("127.0.0.1".to_owned(), 9),
            login: None,
            enrolment: None,
            // One look, at once, and then none for longer than this test.
            tick: Duration::from_hours(1),
            jitter: Duration::ZERO,
            seed: 1,
            board: StatusBoard::default(),
            history: false,
            utc_offset_seconds: 8 * 3_600,
            save_now: save_now.clone(),
            found: Vec::new(),
        };
        let (stop, stopped) = watch::channel(false);
        let (progress, _) = watch::channel(0);
        let ask = {
            let journal = journal.clone();
            tokio::task::spawn_blocking(move || {
                // The first may come before the first look; the second finds nothing due.
                assert!(save_now.ask(LONG));
                let before = *journal.0.lock().unwrap();
                assert!(save_now.ask(LONG));
                let after = *journal.0.lock().unwrap();
                stop.send_replace(true);
                (before, after)
            })
        };
        let clock = SystemClock;
        let driver = publish::run(options, core, Nobody, clock, journal, stopped, progress);
        let (_, counts) = tokio::join!(driver, ask);
        let (before, after) = counts.unwrap();
        assert_eq!(after, before + 1);
    }

    #[test]
    fn an_agent_that_hangs_is_not_waited_for_long() {
        assert!(!SaveNow::default().ask(Duration::from_millis(20)));
    }
}
