//! The helpers that the service started, and the place at which they alone are heard.
//!
//! A pupil may start programs of any name, and hold any name that is known beforehand. So a helper's word is taken only
//! from a process that the service started itself, as the system vouches for it, and at a place whose name is drawn anew
//! at each start of the service. Not responsible for starting and ending them (`service_windows`).

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{net::windows::named_pipe::NamedPipeServer, time::sleep};
use tracing::debug;

use super::{Accept, DEFAULT, Listener, listen};
use crate::{
    local::serve::BREATH,
    win32::{self, Mark, Process},
};

/// The helpers of one service, one a session. Cheap to clone; clones share.
#[derive(Debug, Clone)]
pub struct Helpers {
    at: Arc<Path>,
    /// By session. One that has ended stays until it is replaced, so that no stranger gets its number meanwhile.
    started: Arc<Mutex<BTreeMap<u32, Process>>>,
}

impl Helpers {
    /// None yet, and a place whose name nobody could know before.
    #[must_use]
    pub fn new() -> Self {
        let chance: u128 = rand::random();
        Self::at(format!("{DEFAULT}-helpers-{chance:032x}").as_ref())
    }

    /// None yet, at this place.
    pub(super) fn at(place: &Path) -> Self {
        Self {
            at: place.into(),
            started: Arc::default(),
        }
    }

    /// Where they are heard.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.at
    }

    fn started(&self) -> MutexGuard<'_, BTreeMap<u32, Process>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a session's helper in, in the place of the one before.
    pub fn take(&self, session: u32, helper: Process) {
        self.started().insert(session, helper);
    }

    /// Whether a session's helper runs.
    #[must_use]
    pub fn run_in(&self, session: u32) -> bool {
        self.started().get(&session).is_some_and(Process::runs)
    }

    /// Ends a session's helper, where there is one.
    ///
    /// # Errors
    /// The system's own.
    pub fn end(&self, session: u32) -> io::Result<()> {
        match self.started().get(&session).filter(|helper| helper.runs()) {
            Some(helper) => helper.end(),
            None => Ok(()),
        }
    }

    /// Ends all. Those that can't be ended go on, unheard.
    pub fn end_all(&self) {
        for helper in std::mem::take(&mut *self.started()).values() {
            helper.end().ok();
        }
    }

    /// Forgets those that have ended, of sessions that are no more.
    pub fn keep_those_of(&self, sessions: &[u32]) {
        self.started()
            .retain(|session, helper| sessions.contains(session) || helper.runs());
    }

    /// What tells those that run from all other processes.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        let started = self.started();
        let running = started.values().filter(|helper| helper.runs());
        running.filter_map(|helper| helper.mark().ok()).collect()
    }

    /// The session whose helper has this number now.
    fn session_of(&self, number: u32) -> Option<u32> {
        let started = self.started();
        let mut running = started.iter().filter(|(_, helper)| helper.runs());
        running
            .find(|(_, helper)| helper.number() == number)
            .map(|(session, _)| *session)
    }

    /// Begins to listen to them, and to nobody else. Within a runtime.
    ///
    /// # Errors
    /// As [`listen`].
    pub fn listen(&self) -> io::Result<Door> {
        Ok(Door {
            listener: listen(&self.at)?,
            helpers: self.clone(),
        })
    }
}

impl Default for Helpers {
    fn default() -> Self {
        Self::new()
    }
}

/// Where helpers come in.
#[derive(Debug)]
pub struct Door {
    listener: Listener,
    helpers: Helpers,
}

impl Accept for Door {
    type Stream = NamedPipeServer;

    async fn accept(&mut self) -> io::Result<(NamedPipeServer, u64)> {
        loop {
            let (came, who) = self.listener.accept().await?;
            // By whoever opened the connection, who may have passed it on; nobody but its helper's own user could.
            let number = win32::process_of(&came)?;
            if let Some(session) = self.helpers.session_of(number) {
                return Ok((came, session.into()));
            }
            debug!(
                process = number,
                session = who,
                "no helper of ours; it is not heard"
            );
            drop(came);
            sleep(BREATH).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::windows::io::AsHandle as _,
        path::PathBuf,
        process::{Child, Command, Stdio},
        time::Duration,
    };

    use tokio::task::spawn_blocking;

    use super::*;
    use crate::local::{
        Feed, Hub, Signs, StatusBoard, serve,
        windows::{Client, connect},
        wire,
    };

    const NOW_MS: u64 = 60_000;
    /// Tells another process where to speak.
    const PLACE: &str = "CLASSPULSE_TEST_PLACE";
    const SPEAKER: &str = "local::windows::helpers::tests::another_process_speaks";

    fn playing() -> wire::Request {
        let signs = Signs {
            playing: true,
            ..Signs::default()
        };
        signs.into()
    }

    /// Another process of this program, which speaks once it is told to, for as long as it is not told to end.
    struct Other(Child);

    impl Other {
        fn start(at: &Path) -> Self {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", SPEAKER, "--ignored"])
                .env(PLACE, at)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            Self(child.unwrap())
        }

        fn speaks(&mut self) {
            self.0.stdin.as_mut().unwrap().write_all(b"!").unwrap();
        }

        fn process(&self) -> Process {
            Process::new(self.0.as_handle().try_clone_to_owned().unwrap())
        }
    }

    impl Drop for Other {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    #[test]
    #[ignore = "the other process of the tests below, which start it"]
    #[expect(clippy::disallowed_methods, reason = "a test tells its other process")]
    fn another_process_speaks() {
        let at = PathBuf::from(std::env::var_os(PLACE).unwrap());
        let mut word = [0];
        std::io::stdin().read_exact(&mut word).unwrap();
        let mut agent = connect(&at).unwrap();
        wire::tell(&mut agent, &playing()).unwrap();
        assert_eq!(std::io::stdin().read(&mut word).unwrap(), 0, "nothing more");
    }

    fn hub() -> (Hub, Feed) {
        let feed = Feed::default();
        let hub = Hub {
            feed: Some(feed.clone()),
            board: StatusBoard::default(),
            now_ms: || NOW_MS,
        };
        (hub, feed)
    }

    async fn until(holds: impl Fn() -> bool) {
        let wait = async {
            while !holds() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let patience = Duration::from_mins(1);
        tokio::time::timeout(patience, wait).await.unwrap();
    }

    /// Speaks from this process until it is not listened to any more.
    fn speak_until_dropped(at: &Path) {
        let mut agent: Client = connect(at).unwrap();
        while wire::tell(&mut agent, &playing()).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[tokio::test]
    async fn only_processes_that_the_service_started_are_heard() {
        let helpers = Helpers::new();
        let at = helpers.place().to_owned();
        let (hub, feed) = hub();
        let door = helpers.listen().unwrap();
        let test = async {
            // This process knows the place, and is none; nor is another that nobody started for a session.
            let (mut stranger, mut helper) = (Other::start(&at), Other::start(&at));
            stranger.speaks();
            let here = at.clone();
            spawn_blocking(move || speak_until_dropped(&here))
                .await
                .unwrap();
            assert!(!feed.seen(NOW_MS).playing, "by a stranger");

            helpers.take(3, helper.process());
            assert!(helpers.run_in(3) && !helpers.run_in(4));
            helper.speaks();
            until(|| feed.speaks(3, NOW_MS)).await;
            assert!(feed.seen(NOW_MS).playing);
            assert_eq!(feed.speakers(NOW_MS), 1, "the stranger is not heard");

            // It hangs and is replaced: with the process its word is gone.
            helpers.end(3).unwrap();
            until(|| !feed.speaks(3, NOW_MS)).await;
            assert!(!helpers.run_in(3) && helpers.marks().is_empty());
            let mut next = Other::start(&at);
            helpers.take(3, next.process());
            next.speaks();
            until(|| feed.speaks(3, NOW_MS)).await;
            // Its session is no more: it is kept for as long as it runs.
            helpers.keep_those_of(&[]);
            assert!(helpers.run_in(3));
            let marks = helpers.marks();
            assert_eq!(marks.len(), 1);
            helpers.end_all();
            until(|| !feed.speaks(3, NOW_MS)).await;
            assert!(Process::find(marks[0]).is_err(), "it has ended");
        };
        tokio::select! {
            never = serve(door, hub) => match never {},
            () = test => {}
        }
    }

    #[test]
    fn nobody_knows_the_place_beforehand() {
        let (one, other) = (Helpers::new(), Helpers::new());
        assert_ne!(one.place(), other.place());
        assert_ne!(one.place(), Path::new(DEFAULT));
    }

    #[test]
    fn a_process_is_found_by_its_number_and_beginning_together() {
        let other = Other::start(Path::new("nowhere"));
        let mark = other.process().mark().unwrap();
        assert_eq!(mark.number, other.0.id());
        let found = Process::find(mark).unwrap();
        assert_eq!(found.program().unwrap(), std::env::current_exe().unwrap());
        let another = Mark {
            began: mark.began + 1,
            ..mark
        };
        let error = Process::find(another).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
        assert!(other.process().runs());
        found.end().unwrap();
        assert!(Process::find(mark).is_err());
    }
}
