//! The broker's side to the network: TLS where it is wanted, and nobody gets further who does not begin with a login.
//!
//! The library behind waits for ever for a connection's first word, and its own TLS brings a second library of ciphers. So
//! it listens on this machine alone, and here connections are held until their first packet, a CONNECT, is whole; then
//! they are passed on, with their address said in front (the PROXY protocol's line). Who says nothing, says something else,
//! or takes too long is cut off here, and where too many are on their way the oldest of them makes room.
//! Not responsible for who may log in (`door`).

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// How long a connection may take until its login is whole, TLS included.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// Connections whose login is not whole, at once; a further one ends the oldest.
const ON_THEIR_WAY: usize = 8_192;

/// The same of one address: a school's terminals may well stand behind one.
const PER_ADDRESS: usize = 2_048;

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
}

/// A connection whose login is not whole.
struct OnItsWay {
    from: IpAddr,
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
    let front = Front {
        listener,
        tls: tls.map(|config| TlsAcceptor::from(Arc::new(config))),
        inside,
    };
    Ok((address, front))
}

impl Front {
    /// Takes connections until dropped; those that are there end with it.
    pub(super) async fn run(self) {
        let mut connections = JoinSet::new();
        let mut waiting: VecDeque<OnItsWay> = VecDeque::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok(_) if connections.len() >= MOST => {
                        debug!("there are too many connections; a new one was ended");
                    }
                    Ok((stream, from)) => {
                        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                        make_room(&mut waiting, from.ip());
                        let through = CancellationToken::new();
                        let work = pass(stream, from, self.tls.clone(), self.inside, through.clone());
                        let abort = connections.spawn(async move {
                            if let Err(error) = work.await {
                                debug!(%from, %error, "a connection ended");
                            }
                        });
                        waiting.push_back(OnItsWay { from: from.ip(), abort, through });
                    }
                    Err(error) => {
                        debug!(%error, "a connection could not be accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(_ended) = connections.join_next() => {}
            }
        }
    }
}

/// Forgets who is through or gone, and ends whoever is on the way longest where there are too many.
fn make_room(waiting: &mut VecDeque<OnItsWay>, from: IpAddr) {
    waiting.retain(|one| !one.through.is_cancelled() && !one.abort.is_finished());
    let own = waiting.iter().filter(|one| one.from == from).count();
    let oldest = if own >= PER_ADDRESS {
        waiting.iter().position(|one| one.from == from)
    } else {
        (waiting.len() >= ON_THEIR_WAY).then_some(0)
    };
    if let Some(one) = oldest.and_then(|at| waiting.remove(at)) {
        one.abort.abort();
    }
}

async fn pass(
    stream: TcpStream,
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
    inside: SocketAddr,
    through: CancellationToken,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let within = tokio::time::Instant::now() + HANDSHAKE;
    let late = |_elapsed| io::Error::from(io::ErrorKind::TimedOut);
    match tls {
        None => {
            let known = knock(stream, from, inside);
            let (outer, inner) = tokio::time::timeout_at(within, known)
                .await
                .map_err(late)??;
            through.cancel();
            carry(outer, inner).await
        }
        Some(tls) => {
            let known = async { knock(tls.accept(stream).await?, from, inside).await };
            let (outer, inner) = tokio::time::timeout_at(within, known)
                .await
                .map_err(late)??;
            through.cancel();
            carry(outer, inner).await
        }
    }
}

/// Waits for the whole login, then says it inside.
async fn knock<S: AsyncRead + AsyncWrite + Unpin>(
    mut outer: S,
    from: SocketAddr,
    inside: SocketAddr,
) -> io::Result<(S, TcpStream)> {
    let mut said = Vec::with_capacity(256);
    loop {
        if outer.read_buf(&mut said).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if is_whole(&said)? {
            break;
        }
    }
    let mut inner = TcpStream::connect(inside).await?;
    inner.set_nodelay(true)?;
    let mut all = introduction(from).into_bytes();
    all.extend_from_slice(&said);
    inner.write_all(&all).await?;
    Ok((outer, inner))
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
        let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let bound = bind(any, None, inside.local_addr().unwrap());
        let (address, front) = bound.unwrap();
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
}
