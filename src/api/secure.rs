//! TLS at the front's own listener: handshakes go on beside one another, each with an end, and no address holds all of them.
//! What comes out is served as plain connections are.
//!
//! Not responsible for certificates (`tls`).

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt as _, stream::FuturesUnordered};
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

/// Handshakes at once; further connections wait in the system's queue.
const AT_ONCE: usize = 1_024;

/// Handshakes of one address at once; more are cut off.
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
        by_address: HashMap::new(),
    };
    futures::stream::unfold(accepting, |mut accepting| async {
        let secure = accepting.next().await;
        Some((Ok(secure), accepting))
    })
}

type Handshake = Pin<Box<dyn Future<Output = (IpAddr, io::Result<TlsStream<TcpStream>>)> + Send>>;

struct Accepting {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: FuturesUnordered<Handshake>,
    by_address: HashMap<IpAddr, usize>,
}

impl Accepting {
    async fn next(&mut self) -> Secure {
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if self.handshakes.len() < AT_ONCE => match accepted {
                    Ok((stream, from)) => self.begin(stream, from.ip()),
                    Err(error) => {
                        debug!(%error, "a connection could not be accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some((from, done)) = self.handshakes.next() => {
                    self.forget(from);
                    match done {
                        Ok(stream) => return Secure(stream),
                        Err(error) => debug!(%from, %error, "no TLS"),
                    }
                }
            }
        }
    }

    fn begin(&mut self, stream: TcpStream, from: IpAddr) {
        let count = self.by_address.entry(from).or_default();
        if *count >= PER_ADDRESS {
            debug!(%from, "too many handshakes at once");
            return;
        }
        *count += 1;
        let nodelay = stream.set_nodelay(true);
        let handshake = self.acceptor.accept(stream);
        self.handshakes.push(Box::pin(async move {
            let done = async {
                nodelay?;
                let late = |_elapsed| io::Error::from(io::ErrorKind::TimedOut);
                tokio::time::timeout(HANDSHAKE, handshake)
                    .await
                    .map_err(late)?
            };
            (from, done.await)
        }));
    }

    fn forget(&mut self, from: IpAddr) {
        if let Some(count) = self.by_address.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&from);
            }
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
