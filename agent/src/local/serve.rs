//! The agent's side of local connections: hears helpers, answers `status`, drops who is slow, loud or talks rubbish.
//!
//! Not responsible for the carrier: a listener of each system tells who comes.

use std::{collections::BTreeMap, convert::Infallible, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::{debug, warn};

use super::{
    Feed, MOST_SESSIONS,
    wire::{self, Ask, MOST_REQUEST, Request, StatusAnswer},
};

/// Most connections of one user (or session) at once: a helper, and somebody who asks for the status.
pub const MOST_EACH: usize = 4;
/// Who says nothing whole for so long is dropped: a helper speaks every few seconds.
const SILENCE: Duration = Duration::from_secs(30);
/// An answer that the peer does not take for so long is not for it.
const ANSWER: Duration = Duration::from_secs(5);
/// Most requests of a connection in a window; more is no helper of ours.
const LOUD: (u32, Duration) = (20, Duration::from_secs(10));
/// Between two accepted connections: somebody who connects for sport must not keep the machine busy.
pub(super) const BREATH: Duration = Duration::from_millis(20);
/// After a failed accept, which may be out of file handles.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A place where local peers come in.
pub trait Accept: Send {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and whose it is: a user's or a session's number, as the system vouches for it. May be
    /// cancelled.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, u64)>> + Send;
}

/// The agent's state has to be asked for within this, or it has other things to do.
const MADE: Duration = Duration::from_secs(2);

/// What the agent shows of itself, made only when somebody asks. Cheap to clone; clones share.
#[derive(Debug, Clone)]
pub struct StatusBoard {
    shown: Arc<watch::Sender<serde_json::Value>>,
    wanted: Arc<Notify>,
}

impl Default for StatusBoard {
    fn default() -> Self {
        Self {
            shown: Arc::new(watch::Sender::new(serde_json::Value::Null)),
            wanted: Arc::default(),
        }
    }
}

impl StatusBoard {
    /// Puts up the state as it is now; all who have asked see it.
    pub fn set(&self, state: serde_json::Value) {
        self.shown.send_replace(state);
    }

    /// Waits until somebody asks.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Asks for the state as it is now; `null` where the agent is too busy to say.
    pub async fn ask(&self) -> serde_json::Value {
        let mut shown = self.shown.subscribe();
        self.wanted.notify_one();
        match timeout(MADE, shown.changed()).await {
            Ok(Ok(())) => shown.borrow().clone(),
            _ => serde_json::Value::Null,
        }
    }
}

/// What connections have to do with.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Where helpers' words go; `None` where none is heard.
    pub feed: Option<Feed>,
    /// What `status` is told.
    pub board: StatusBoard,
    /// Tells ms since boot.
    pub now_ms: fn() -> u64,
}

/// Attends to all who come, for ever. What is open ends with it.
pub async fn serve(mut listener: impl Accept, hub: Hub) -> Infallible {
    let mut guests: JoinSet<u64> = JoinSet::new();
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    let mut number = 0_u64;
    loop {
        let came = tokio::select! {
            came = listener.accept() => came,
            Some(gone) = guests.join_next() => {
                leave(&mut counts, gone.ok());
                continue;
            }
        };
        let (stream, who) = match came {
            Ok(came) => came,
            Err(error) => {
                warn!(%error, "a local connection could not be taken");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        let each = counts.entry(who).or_default();
        if *each >= MOST_EACH || guests.len() >= MOST_SESSIONS {
            debug!(who, "too many local connections; this one is dropped");
        } else {
            *each += 1;
            number += 1;
            let (number, hub) = (number, hub.clone());
            guests.spawn(async move {
                if let Err(error) = attend(stream, number, who, &hub).await {
                    debug!(%error, who, "a local connection was dropped");
                }
                who
            });
        }
        tokio::time::sleep(BREATH).await;
    }
}

fn leave(counts: &mut BTreeMap<u64, usize>, who: Option<u64>) {
    if let Some(who) = who
        && let Some(count) = counts.get_mut(&who)
    {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&who);
        }
    }
}

/// Attends to one peer until it ends; what it said is forgotten with it. `who` is its user or session.
///
/// # Errors
/// Why it was dropped.
async fn attend(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    number: u64,
    who: u64,
    hub: &Hub,
) -> io::Result<()> {
    let _forget = Forget(hub.feed.as_ref(), number);
    let (mut window, mut said) = (Instant::now(), 0);
    loop {
        let request = timeout(SILENCE, wire::read::<Request>(&mut stream, MOST_REQUEST));
        let Some(request) = request.await?? else {
            return Ok(());
        };
        if window.elapsed() > LOUD.1 {
            (window, said) = (Instant::now(), 0);
        }
        said += 1;
        if said > LOUD.0 {
            return Err(io::Error::other("too many requests"));
        }
        match request.ask {
            Some(Ask::Signs(signs)) => {
                let Some(feed) = &hub.feed else {
                    let words = "no word on a session is heard here";
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
                };
                if !feed.hear(number, who, (hub.now_ms)(), signs) {
                    return Err(io::Error::other("too many sessions"));
                }
            }
            Some(Ask::Status(_)) => {
                let answer = StatusAnswer {
                    json: hub.board.ask().await.to_string(),
                };
                timeout(ANSWER, wire::write(&mut stream, &answer)).await??;
            }
            None => {}
        }
    }
}

/// Forgets a helper's word however its connection ends.
struct Forget<'a>(Option<&'a Feed>, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(feed) = self.0 {
            feed.forget(self.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        sync::mpsc,
    };

    use super::*;
    use crate::local::Signs;

    /// Connections that a test brings.
    struct Door(mpsc::Receiver<(DuplexStream, u64)>);

    impl Accept for Door {
        type Stream = DuplexStream;

        async fn accept(&mut self) -> io::Result<(DuplexStream, u64)> {
            match self.0.recv().await {
                Some(came) => Ok(came),
                None => std::future::pending().await,
            }
        }
    }

    fn hub() -> Hub {
        Hub {
            feed: Some(Feed::default()),
            board: StatusBoard::default(),
            now_ms: || 100_000,
        }
    }

    fn heard(hub: &Hub) -> bool {
        hub.feed.as_ref().unwrap().seen(100_000).playing
    }

    fn playing() -> Request {
        let signs = Signs {
            playing: true,
            ..Signs::default()
        };
        signs.into()
    }

    async fn dropped(stream: &mut DuplexStream) -> bool {
        let end = timeout(Duration::from_mins(2), stream.read(&mut [0])).await;
        matches!(end, Ok(Ok(0) | Err(_)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_helper_is_heard_until_it_goes_and_status_is_answered() {
        let hub = hub();
        let (mut ours, theirs) = duplex(1_024);
        let ((), ended) = tokio::join!(
            async {
                wire::write(&mut ours, &playing()).await.unwrap();
                wire::write(&mut ours, &Request::default()).await.unwrap();
                let question = Request::from(wire::StatusQuestion {});
                wire::write(&mut ours, &question).await.unwrap();
                hub.board.wanted().await;
                hub.board.set(serde_json::json!({"terminal": "t-1"}));
                let answer: StatusAnswer = wire::read(&mut ours, 1_024).await.unwrap().unwrap();
                assert_eq!(answer.json, "{\"terminal\":\"t-1\"}");
                assert!(heard(&hub));
                drop(ours);
            },
            attend(theirs, 1, 7, &hub)
        );
        ended.unwrap();
        assert!(!heard(&hub));
    }

    #[tokio::test(start_paused = true)]
    async fn where_no_helper_is_heard_the_state_is_told_and_who_speaks_is_dropped() {
        let hub = Hub {
            feed: None,
            ..hub()
        };
        let (mut ours, theirs) = duplex(1_024);
        let ((), ended) = tokio::join!(
            async {
                let question = Request::from(wire::StatusQuestion {});
                wire::write(&mut ours, &question).await.unwrap();
                hub.board.wanted().await;
                hub.board.set(serde_json::json!(1));
                let answer: StatusAnswer = wire::read(&mut ours, 1_024).await.unwrap().unwrap();
                assert_eq!(answer.json, "1");
                wire::write(&mut ours, &playing()).await.unwrap();
            },
            attend(theirs, 1, 7, &hub)
        );
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_or_loud_or_talks_rubbish_is_dropped() {
        let hub = hub();
        let began = Instant::now();
        let (mut ours, theirs) = duplex(64 * 1_024);
        ours.write_all(&[5, 1]).await.unwrap();
        assert!(attend(theirs, 1, 7, &hub).await.is_err());
        assert_eq!(began.elapsed(), SILENCE, "half a request is none");

        let (mut ours, theirs) = duplex(64 * 1_024);
        for _ in 0..=LOUD.0 {
            wire::write(&mut ours, &playing()).await.unwrap();
        }
        let error = attend(theirs, 2, 7, &hub).await.unwrap_err();
        assert_eq!(error.to_string(), "too many requests");

        let (mut ours, theirs) = duplex(64 * 1_024);
        ours.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(attend(theirs, 3, 7, &hub).await.is_err());

        // One who asks and does not listen.
        let (mut ours, theirs) = duplex(8);
        let question = Request::from(wire::StatusQuestion {});
        wire::write(&mut ours, &question).await.unwrap();
        let began = Instant::now();
        let (ended, ()) = tokio::join!(attend(theirs, 4, 7, &hub), async {
            hub.board.wanted().await;
            hub.board.set(serde_json::json!("a long, long state"));
        });
        assert!(ended.is_err());
        assert_eq!(began.elapsed(), ANSWER);
        assert!(!heard(&hub), "all are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_is_made_when_it_is_asked_for_and_shown_to_all_who_ask() {
        let board = StatusBoard::default();
        assert_eq!(
            board.ask().await,
            serde_json::Value::Null,
            "nobody makes one"
        );
        let made = async {
            let mut made = 0;
            // The question that nobody heard is still there.
            while timeout(Duration::from_secs(1), board.wanted())
                .await
                .is_ok()
            {
                made += 1;
                board.set(serde_json::json!(made));
            }
            made
        };
        let (one, other, made) = tokio::join!(board.ask(), board.ask(), made);
        assert!(one == other && one.is_number());
        assert!(made <= 2, "{made}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_helper_that_speaks_every_few_seconds_is_heard_for_ever() {
        let hub = hub();
        let (mut ours, theirs) = duplex(1_024);
        let ((), ended) = tokio::join!(
            async {
                for _ in 0..500 {
                    wire::write(&mut ours, &playing()).await.unwrap();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                drop(ours);
            },
            attend(theirs, 1, 7, &hub)
        );
        ended.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_bounded_for_each_user_and_for_all() {
        let (come, door) = mpsc::channel(1);
        let hub = hub();
        let test = async {
            let bring = async |who: u64| {
                let (mut ours, theirs) = duplex(1_024);
                come.send((theirs, who)).await.unwrap();
                wire::write(&mut ours, &playing()).await.ok();
                tokio::time::sleep(Duration::from_millis(100)).await;
                ours
            };
            let mut mine = Vec::new();
            for _ in 0..MOST_EACH {
                mine.push(bring(7).await);
            }
            assert!(dropped(&mut bring(7).await).await, "one too many");
            // Nobody is silent for long in this test: the clock only moves by what `bring` waits.
            mine.clear();
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut all = Vec::new();
            for number in 0..MOST_SESSIONS as u64 {
                all.push(bring(7 + number / MOST_EACH as u64).await);
            }
            assert!(dropped(&mut bring(1_000).await).await, "too many in all");
            drop(all.remove(0));
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut late = bring(1_000).await;
            let more = timeout(Duration::from_secs(1), late.read(&mut [0])).await;
            assert!(more.is_err(), "there is room again");
        };
        tokio::select! {
            never = serve(Door(door), hub) => match never {},
            () = test => {}
        }
    }
}
