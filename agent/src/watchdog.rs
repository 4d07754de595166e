//! An end that comes in any case: a thread of its own, for a disk that hangs holds up everything else.
//!
//! Not responsible for the orderly end (`publish`), which is sooner.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Once only, however often it is armed. Cheap to clone; clones share.
#[derive(Debug, Clone, Default)]
pub struct Watchdog(Arc<AtomicBool>);

impl Watchdog {
    /// Does `end` after so long, unless the process is gone by then. False where it was armed before.
    pub fn arm(&self, after: Duration, end: impl FnOnce() + Send + 'static) -> bool {
        if self.0.swap(true, Ordering::Relaxed) {
            return false;
        }
        thread::spawn(move || {
            thread::sleep(after);
            end();
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn it_bites_once_though_everything_else_hangs() {
        let (bitten, bites) = mpsc::channel();
        let dog = Watchdog::default();
        let bite = bitten.clone();
        assert!(dog.arm(Duration::from_millis(10), move || bite.send(()).unwrap()));
        // Armed again by a second word to stop.
        assert!(
            !dog.clone()
                .arm(Duration::ZERO, move || bitten.send(()).unwrap())
        );
        // This thread hangs until it does.
        bites.recv().unwrap();
        assert!(bites.recv().is_err(), "nobody is left to bite again");
    }
}
