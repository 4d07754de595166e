//! The broker's side to the network: TLS where it is wanted, and nobody gets further who does not begin with a login.
//!
//! The library behind waits for ever for a connection's first word, and its own TLS brings a second library of ciphers. So
//! it listens on this machine alone, and here connections are held until their first packet, a CONNECT, is whole; then
//! they are passed on, with their address said in front (the PROXY protocol's line). Who says nothing, says something else,
//! or takes too long is cut off here. Where too many are on their way, a further one waits in the lobby, until one is
//! through or the oldest has had its chance and makes room: in a county's storm it is we who are slow. The library is told of
//! a few at a time, so that its queue never overflows.
//! Not responsible for who may log in (`door`).

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// How long a connection may take until its login is whole, TLS included.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// How many may be on their way, and when one of them makes room.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections whose login is not whole, at once.
    at_once: usize,
    /// The same of one address: a school's terminals may well stand behind one, a county's behind a few.
    per_address: usize,
    /// Who has been on the way for so long has had its chance.
    chance: Duration,
    /// Logins that were said inside and not answered yet, at once. The library takes connections one by one, and a system
    /// that has too many before it drops them and tries again after seconds, up to a minute.
    turns: usize,
    /// After so long the next has its turn: an answer may be put off on purpose.
    heard: Duration,
}

/// In plain text a login is there with its first bytes. What is too short costs work that was done already, what is too
/// long lets a flood from one address keep its neighbours behind that address waiting.
const LIMITS: Limits = Limits {
    at_once: 8_192,
    per_address: 2_048,
    chance: Duration::from_millis(500),
    turns: 512,
    heard: Duration::from_millis(500),
};

/// The same with TLS: two thousand handshakes at once take two cores a second or two.
const CHANCE_WITH_TLS: Duration = Duration::from_secs(3);

/// Most that wait in the lobby, and most of one address; a further one is ended, and comes again.
const LOBBY: (usize, usize) = (16_384, 8_192);

/// How often those in the lobby are looked after, and at most how often all that are on their way are looked through.
const LOOK: Duration = Duration::from_millis(10);

/// Largest CONNECT: names, a key and a Last Will, with much room.
const MAX_LOGIN: usize = 4 * 1_024;

/// Bytes that a connection holds each way: reports and answers are small, and there are many connections.
const BUFFER: usize = 2 * 1_024;

/// Connections that the system holds until they are taken: a county's terminals, all switched on at 08:00.
const BACKLOG: u32 = 4_096;

/// How long one side is heard after the other has ended.
const LINGER: Duration = Duration::from_secs(2);

/// Most connections at once, those on their way included: the library's most sessions, and some room.
const MOST: usize = 33_000;

/// After an error of the listener itself, such as no more files: not at full speed.
const PAUSE: Duration = Duration::from_millis(100);

/// What stands between the network and the library.
pub(super) struct Front {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    /// Where the library listens.
    inside: SocketAddr,
    limits: Limits,
}

/// A connection whose login is not whole.
struct OnItsWay {
    from: IpAddr,
    since: Instant,
    abort: AbortHandle,
    /// Cancelled once it is passed on.
    through: CancellationToken,
}

/// Listens on an address, port 0 for any; the answer's first part is which.
///
/// # Errors
/// The system's, where the address is taken or not ours.
pub(super) fn bind(
    address: SocketAddr,
    tls: Option<ServerConfig>,
    inside: SocketAddr,
) -> io::Result<(SocketAddr, Front)> {
    let listener = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart does not wait for connections of the service before it.
    listener.set_reuseaddr(true)?;
    listener.bind(address)?;
    let listener = listener.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    let mut limits = LIMITS;
    if tls.is_some() {
        limits.chance = CHANCE_WITH_TLS;
    }
    let front = Front {
        listener,
        tls: tls.map(|config| TlsAcceptor::from(Arc::new(config))),
        inside,
        limits,
    };
    Ok((address, front))
}

/// All whose login is not whole, the oldest first.
struct Road {
    limits: Limits,
    all: VecDeque<OnItsWay>,
    of: HashMap<IpAddr, usize>,
    /// When those that are through or gone were last forgotten.
    cleared: Instant,
}

impl Road {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            all: VecDeque::new(),
            of: HashMap::new(),
            cleared: Instant::now(),
        }
    }

    fn set_out(&mut self, one: OnItsWay) {
        *self.of.entry(one.from).or_default() += 1;
        self.all.push_back(one);
    }

    /// Forgets who is through or gone. Looks at each, so not more often than every [`LOOK`].
    fn clear(&mut self, now: Instant) {
        if now < self.cleared + LOOK {
            return;
        }
        self.cleared = now;
        self.of.clear();
        self.all.retain(|one| {
            let stays = !one.through.is_cancelled() && !one.abort.is_finished();
            if stays {
                *self.of.entry(one.from).or_default() += 1;
            }
            stays
        });
    }

    fn is_full(&self) -> bool {
        self.all.len() >= self.limits.at_once
    }

    fn is_full_of(&self, from: IpAddr) -> bool {
        let own = self.of.get(&from).copied();
        own.unwrap_or_default() >= self.limits.per_address
    }

    /// Whether one more of an address may set out. The oldest of it, or of all, makes room if it has had its chance.
    fn has_room(&mut self, from: IpAddr, now: Instant) -> bool {
        self.clear(now);
        let oldest = if self.is_full_of(from) {
            self.all.iter().position(|one| one.from == from)
        } else if self.is_full() {
            Some(0)
        } else {
            return true;
        };
        let chance = self.limits.chance;
        let oldest = oldest.filter(|at| now >= self.all[*at].since + chance);
        let Some(one) = oldest.and_then(|at| self.all.remove(at)) else {
            return false;
        };
        // Since the last look it may have got through: then it is not on the way, and stays.
        if !one.through.is_cancelled() {
            one.abort.abort();
        }
        if let Some(own) = self.of.get_mut(&one.from) {
            *own -= 1;
        }
        true
    }
}

/// Connections that nobody has looked at yet: there is no room for them on the way.
#[derive(Default)]
struct Lobby {
    all: Vec<(TcpStream, SocketAddr)>,
    of: HashMap<IpAddr, usize>,
}

impl Lobby {
    fn enter(&mut self, stream: TcpStream, from: SocketAddr) {
        let own = self.of.entry(from.ip()).or_default();
        if self.all.len() >= LOBBY.0 || *own >= LOBBY.1 {
            debug!(%from, "the lobby is full; a new connection was ended");
            return;
        }
        *own += 1;
        self.all.push((stream, from));
    }
}

impl Front {
    /// Takes connections until dropped; those that are there end with it.
    pub(super) async fn run(self) {
        let mut connections = JoinSet::new();
        let mut road = Road::new(self.limits);
        let passage = Passage {
            inside: self.inside,
            turns: Arc::new(Semaphore::new(self.limits.turns)),
            heard: self.limits.heard,
        };
        let mut lobby = Lobby::default();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok(_) if connections.len() + lobby.all.len() >= MOST => {
                        debug!("there are too many connections; a new one was ended");
                    }
                    Ok((stream, from)) => {
                        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                        if road.has_room(from.ip(), Instant::now()) {
                            self.set_out(stream, from, &passage, &mut road, &mut connections);
                        } else {
                            lobby.enter(stream, from);
                        }
                    }
                    Err(error) => {
                        debug!(%error, "a connection could not be accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                _ = look.tick(), if !lobby.all.is_empty() => {
                    let now = Instant::now();
                    road.clear(now);
                    // An address that has no room now is not asked about again for each that waits.
                    let mut full = HashSet::new();
                    for (stream, from) in std::mem::take(&mut lobby).all {
                        if !full.contains(&from.ip()) && road.has_room(from.ip(), now) {
                            self.set_out(stream, from, &passage, &mut road, &mut connections);
                        } else {
                            full.insert(from.ip());
                            lobby.enter(stream, from);
                        }
                    }
                }
                Some(_ended) = connections.join_next() => {}
            }
        }
    }

    fn set_out(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        passage: &Passage,
        road: &mut Road,
        connections: &mut JoinSet<()>,
    ) {
        let through = CancellationToken::new();
        let work = pass(
            stream,
            from,
            self.tls.clone(),
            passage.clone(),
            through.clone(),
        );
        let abort = connections.spawn(async move {
            if let Err(error) = work.await {
                debug!(%from, %error, "a connection ended");
            }
        });
        road.set_out(OnItsWay {
            from: from.ip(),
            since: Instant::now(),
            abort,
            through,
        });
    }
}

/// The way to the library, for a few at a time.
#[derive(Clone)]
struct Passage {
    /// Where the library listens.
    inside: SocketAddr,
    turns: Arc<Semaphore>,
    /// How long a turn is at most.
    heard: Duration,
}

async fn pass(
    stream: TcpStream,
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
    passage: Passage,
    through: CancellationToken,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        None => let_in(login(stream), from, passage, through).await,
        Some(tls) => {
            let login = async { login(tls.accept(stream).await?).await };
            let_in(login, from, passage, through).await
        }
    }
}

/// Passes a connection on, if its login comes in time.
async fn let_in<S: AsyncRead + AsyncWrite + Unpin>(
    login: impl Future<Output = io::Result<(S, Vec<u8>)>>,
    from: SocketAddr,
    passage: Passage,
    through: CancellationToken,
) -> io::Result<()> {
    let late = |_elapsed| io::Error::from(io::ErrorKind::TimedOut);
    let login = tokio::time::timeout(HANDSHAKE, login).await;
    let (outer, said) = login.map_err(late)??;
    // From here on whoever waits, waits for us.
    through.cancel();
    let inner = passage.announce(from, &said).await?;
    carry(outer, inner).await
}

/// Waits for the whole login: the connection, and what it said.
async fn login<S: AsyncRead + Unpin>(mut outer: S) -> io::Result<(S, Vec<u8>)> {
    let mut said = Vec::with_capacity(256);
    while !is_whole(&said)? {
        if outer.read_buf(&mut said).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((outer, said))
}

impl Passage {
    /// Says a login inside, when it is its turn, and waits for a moment until it was heard.
    async fn announce(&self, from: SocketAddr, said: &[u8]) -> io::Result<TcpStream> {
        let closed = |_closed| io::Error::from(io::ErrorKind::BrokenPipe);
        let _turn = self.turns.acquire().await.map_err(closed)?;
        let mut inner = TcpStream::connect(self.inside).await?;
        inner.set_nodelay(true)?;
        let mut all = introduction(from).into_bytes();
        all.extend_from_slice(said);
        inner.write_all(&all).await?;
        drop(tokio::time::timeout(self.heard, inner.readable()).await);
        Ok(inner)
    }
}

/// Carries both ways until one side ends; what the other still has to say is heard for a moment.
async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    mut outer: S,
    mut inner: TcpStream,
) -> io::Result<()> {
    let ended = {
        let (mut from_outer, mut to_outer) = tokio::io::split(&mut outer);
        let (mut from_inner, mut to_inner) = inner.split();
        let up = forward(&mut from_outer, &mut to_inner);
        let down = forward(&mut from_inner, &mut to_outer);
        tokio::pin!(up, down);
        tokio::select! {
            ended = &mut up => {
                // Its last answers, where it only said that it says no more.
                drop(tokio::time::timeout(LINGER, &mut down).await);
                ended
            }
            // The library has ended it: whoever does not hang up is not waited for.
            ended = &mut down => ended,
        }
    };
    drop(tokio::time::timeout(LINGER, outer.shutdown()).await);
    ended
}

/// Copies until the end of what comes.
async fn forward(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
    }
}

/// Whether these bytes hold all of a CONNECT (MQTT 5, 2.1 and 3.1).
///
/// # Errors
/// `InvalidData` where they are no CONNECT's beginning, or that of one that is too long.
fn is_whole(said: &[u8]) -> io::Result<bool> {
    let refuse = || Err(io::ErrorKind::InvalidData.into());
    let Some((first, rest)) = said.split_first() else {
        return Ok(false);
    };
    if *first != 0x10 {
        return refuse();
    }
    let mut length = 0_usize;
    for (index, byte) in rest.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if length > MAX_LOGIN {
                return refuse();
            }
            return Ok(said.len() >= 2 + index + length);
        }
    }
    if rest.len() >= 4 { refuse() } else { Ok(false) }
}

/// The PROXY protocol's first line: who really comes. Both addresses must be of one kind; the second is not looked at.
fn introduction(from: SocketAddr) -> String {
    let (kind, here) = match from.ip() {
        IpAddr::V4(_) => ("TCP4", "127.0.0.1"),
        IpAddr::V6(_) => ("TCP6", "::1"),
    };
    format!("PROXY {kind} {} {here} {} 1883\r\n", from.ip(), from.port())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// MQTT 5, clean start, client id "x".
    const LOGIN: [u8; 16] = [
        0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 60, 0, 0, 1, b'x',
    ];

    #[test]
    fn a_login_is_whole_with_its_last_byte() {
        for end in 0..LOGIN.len() {
            assert!(!is_whole(&LOGIN[..end]).unwrap(), "{end} bytes");
        }
        assert!(is_whole(&LOGIN).unwrap());
        // Whoever says more at once is not refused for it.
        assert!(is_whole(&[&LOGIN[..], &[0xc0, 0]].concat()).unwrap());
        for wrong in [
            &b"GET / HTTP/1.1"[..],
            &[0x16, 3, 1],
            &[0x30, 2, 0, 0],
            &[0x10, 0xff, 0xff, 0xff, 0xff],
            &[0x10, 0x81, 0x20],
        ] {
            assert!(is_whole(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn who_comes_is_said_in_their_own_kind_of_address() {
        let four = "10.1.2.3:4567".parse().unwrap();
        assert_eq!(
            introduction(four),
            "PROXY TCP4 10.1.2.3 127.0.0.1 4567 1883\r\n"
        );
        let six = "[2001:db8::7]:4567".parse().unwrap();
        assert_eq!(
            introduction(six),
            "PROXY TCP6 2001:db8::7 ::1 4567 1883\r\n"
        );
    }

    proptest! {
        #[test]
        fn any_first_bytes_are_judged(said in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(true) = is_whole(&said) {
                prop_assert_eq!(said[0], 0x10);
            }
        }
    }

    async fn front() -> (SocketAddr, TcpListener) {
        front_with(LIMITS).await
    }

    async fn front_with(limits: Limits) -> (SocketAddr, TcpListener) {
        let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let bound = bind(any, None, inside.local_addr().unwrap());
        let (address, mut front) = bound.unwrap();
        front.limits = limits;
        drop(crate::tasks::start("front", front.run()));
        (address, inside)
    }

    #[tokio::test]
    async fn a_login_is_passed_on_with_its_address_and_answers_come_back() {
        let (address, inside) = front().await;
        let mut outer = TcpStream::connect(address).await.unwrap();
        let (first, second) = LOGIN.split_at(5);
        outer.write_all(first).await.unwrap();
        outer.write_all(second).await.unwrap();
        let (mut inner, _) = inside.accept().await.unwrap();
        let expected = [introduction(outer.local_addr().unwrap()).as_bytes(), &LOGIN].concat();
        let mut heard = vec![0; expected.len()];
        inner.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, expected);
        inner.write_all(b"yes").await.unwrap();
        let mut answer = [0; 3];
        outer.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"yes");
        drop(inner);
        assert_eq!(
            outer.read(&mut answer).await.unwrap(),
            0,
            "one end, both ends"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_cut_off_and_nobody_hears_of_it() {
        let (address, inside) = front().await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(&LOGIN[..9]).await.unwrap();
        let mut foreign = TcpStream::connect(address).await.unwrap();
        foreign.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut byte = [0];
        for stream in [&mut silent, &mut slow, &mut foreign] {
            // Ended in order or by a reset, but with no word.
            assert_eq!(stream.read(&mut byte).await.unwrap_or(0), 0);
        }
        let nobody = tokio::time::timeout(Duration::from_secs(1), inside.accept()).await;
        assert!(nobody.is_err(), "nothing was passed on");
    }

    /// Many more at once than may be on their way, and a library that is slow to take them: all get through, the first time.
    #[tokio::test]
    async fn in_a_storm_from_one_address_nobody_is_cut_off() {
        const ALL: usize = 200;
        let (address, inside) = front_with(Limits {
            at_once: 40,
            per_address: 20,
            chance: Duration::from_mins(1),
            ..LIMITS
        })
        .await;
        let mut outer = Vec::new();
        for _ in 0..ALL {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&LOGIN).await.unwrap();
            outer.push(stream);
        }
        let library = async {
            let mut taken = Vec::new();
            while taken.len() < ALL {
                let (mut inner, _) = inside.accept().await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
                inner.write_all(b"yes").await.unwrap();
                taken.push(inner);
            }
            taken
        };
        let answers = async {
            for stream in &mut outer {
                let mut answer = [0; 3];
                stream.read_exact(&mut answer).await.unwrap();
            }
        };
        let all = async { tokio::join!(library, answers) };
        let through = tokio::time::timeout(Duration::from_secs(30), all).await;
        assert!(through.is_ok(), "all in time");
    }

    /// What would overflow before the library waits here instead.
    #[tokio::test]
    async fn the_library_is_told_of_a_few_at_a_time() {
        const AT_ONCE: usize = 3;
        let (address, inside) = front_with(Limits {
            turns: AT_ONCE,
            heard: Duration::from_mins(1),
            ..LIMITS
        })
        .await;
        let mut outer = Vec::new();
        for _ in 0..2 * AT_ONCE {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&LOGIN).await.unwrap();
            outer.push(stream);
        }
        let mut told = Vec::new();
        for _ in 0..AT_ONCE {
            told.push(inside.accept().await.unwrap().0);
        }
        let soon = Duration::from_millis(300);
        let more = tokio::time::timeout(soon, inside.accept()).await;
        assert!(more.is_err(), "the others wait for their turn");
        for mut inner in told {
            inner.write_all(b"no").await.unwrap();
            // Answered: the next has its turn.
            inside.accept().await.unwrap();
        }
    }

    /// Who says nothing makes room once it has had its chance, the oldest first, and its own address's before others'.
    #[tokio::test(start_paused = true)]
    async fn the_silent_make_room_in_turn() {
        let limits = Limits {
            at_once: 4,
            per_address: 2,
            chance: Duration::from_secs(2),
            ..LIMITS
        };
        let (one, other): (IpAddr, IpAddr) =
            ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut road = Road::new(limits);
        let (mut tasks, mut silent) = (JoinSet::new(), Vec::new());
        for from in [other, one, one] {
            assert!(road.has_room(from, Instant::now()));
            let through = CancellationToken::new();
            let abort = tasks.spawn(std::future::pending::<()>());
            road.set_out(OnItsWay {
                from,
                since: Instant::now(),
                abort: abort.clone(),
                through: through.clone(),
            });
            silent.push((abort, through));
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(!road.has_room(one, Instant::now()), "they are young");
        assert!(road.has_room(other, Instant::now()));
        tokio::time::advance(limits.chance).await;
        assert!(road.has_room(one, Instant::now()));
        tokio::task::yield_now().await;
        let ended: Vec<_> = silent
            .iter()
            .map(|(abort, _)| abort.is_finished())
            .collect();
        assert_eq!(ended, [false, true, false], "its own oldest");
        // Who is through takes no room.
        for (_, through) in &silent {
            through.cancel();
        }
        tokio::time::advance(LOOK).await;
        road.clear(Instant::now());
        assert!(road.all.is_empty() && road.of.is_empty());
        assert!(!silent[0].0.is_finished(), "nor is it cut off");
    }
}
