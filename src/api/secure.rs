//! TLS at the front's own listener: handshakes go on beside one another, each with an end, and no address holds all of them.
//! What comes out is served as plain connections are.
//!
//! Not responsible for certificates (`tls`).

use std::{
    collections::VecDeque,
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    Stream, StreamExt as _,
    future::{AbortHandle, Aborted, abortable},
    stream::FuturesUnordered,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::{Connected, TcpConnectInfo};
use tracing::debug;

/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes at once; a further one ends the oldest.
const AT_ONCE: usize = 1_024;

/// Handshakes of one address at once; a further one ends its oldest.
const PER_ADDRESS: usize = 128;

/// After an error of the listener itself, such as no more files: not at full speed.
const PAUSE: Duration = Duration::from_millis(100);

/// A secured connection.
pub(super) struct Secure(TlsStream<TcpStream>);

/// Connections as their handshakes are done.
pub(super) fn incoming(
    listener: TcpListener,
    config: Arc<ServerConfig>,
) -> impl Stream<Item = io::Result<Secure>> {
    let accepting = Accepting {
        listener,
        acceptor: TlsAcceptor::from(config),
        handshakes: FuturesUnordered::new(),
        pending: VecDeque::new(),
        next_number: 0,
    };
    futures::stream::unfold(accepting, |mut accepting| async {
        let secure = accepting.next().await;
        Some((Ok(secure), accepting))
    })
}

type Done = Result<io::Result<TlsStream<TcpStream>>, Aborted>;

type Handshake = Pin<Box<dyn Future<Output = (u64, Done)> + Send>>;

struct Accepting {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: FuturesUnordered<Handshake>,
    /// What goes on, the oldest first.
    pending: VecDeque<Pending>,
    next_number: u64,
}

/// A handshake that goes on.
struct Pending {
    number: u64,
    from: IpAddr,
    abort: AbortHandle,
}

impl Accepting {
    async fn next(&mut self) -> Secure {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, from)) => self.begin(stream, from.ip().to_canonical()),
                    Err(error) => {
                        debug!(%error, "a connection could not be accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some((number, done)) = self.handshakes.next() => {
                    self.pending.retain(|one| one.number != number);
                    match done {
                        Ok(Ok(stream)) => return Secure(stream),
                        Ok(Err(error)) => debug!(%error, "no TLS"),
                        Err(Aborted) => debug!("a handshake made room for a newer one"),
                    }
                }
            }
        }
    }

    fn begin(&mut self, stream: TcpStream, from: IpAddr) {
        self.make_room(from);
        let nodelay = stream.set_nodelay(true);
        let handshake = self.acceptor.accept(stream);
        let (work, abort) = abortable(async move {
            nodelay?;
            let late = |_elapsed| io::Error::from(io::ErrorKind::TimedOut);
            tokio::time::timeout(HANDSHAKE, handshake)
                .await
                .map_err(late)?
        });
        let number = self.next_number;
        self.next_number += 1;
        self.pending.push_back(Pending {
            number,
            from,
            abort,
        });
        self.handshakes
            .push(Box::pin(async move { (number, work.await) }));
    }

    /// Whoever is in the middle of it longest is most likely to be nobody: of the address that has too many, or of all.
    fn make_room(&mut self, from: IpAddr) {
        let own = self.pending.iter().filter(|one| one.from == from).count();
        let oldest = if own >= PER_ADDRESS {
            self.pending.iter().position(|one| one.from == from)
        } else {
            (self.pending.len() >= AT_ONCE).then_some(0)
        };
        if let Some(one) = oldest.and_then(|at| self.pending.remove(at)) {
            one.abort.abort();
        }
    }
}

impl Connected for Secure {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.0.get_ref().0.connect_info()
    }
}

impl AsyncRead for Secure {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Secure {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
