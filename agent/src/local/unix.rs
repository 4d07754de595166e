//! The local carrier on Linux: a socket that any session of this machine may speak to.
//!
//! Not responsible for what is said (`wire`) or for how much of it is listened to (`serve`).

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _},
        net::UnixStream as BlockingStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::net::{UnixListener, UnixStream};

use super::{serve::Accept, wire};

/// Where the agent listens.
pub const DEFAULT: &str = "/run/classpulse-agent/local.sock";
/// The longest wait of a client for the agent.
const WAIT: Duration = Duration::from_secs(5);

/// The agent's ear. Takes its socket away with it.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    at: PathBuf,
}

/// Begins to listen. The folder is made where it is missing; the socket of a dead agent is replaced, a living one's is
/// not taken.
///
/// # Errors
/// `AddrInUse` where an agent listens there, `AlreadyExists` where something else lies there, and the file system's own.
pub fn listen(at: &Path) -> io::Result<Listener> {
    if let Some(folder) = at.parent() {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o755).create(folder)?;
    }
    if let Ok(about) = fs::symlink_metadata(at) {
        if !about.file_type().is_socket() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        match BlockingStream::connect(at) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(at)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let listener = UnixListener::bind(at)?;
    // Sessions of every user speak here; what they can say is bounded.
    fs::set_permissions(at, fs::Permissions::from_mode(0o666))?;
    let at = at.to_owned();
    Ok(Listener { listener, at })
}

impl Accept for Listener {
    type Stream = UnixStream;

    async fn accept(&mut self) -> io::Result<(UnixStream, u64)> {
        let (stream, _) = self.listener.accept().await?;
        let who = stream.peer_cred()?.uid();
        Ok((stream, who.into()))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Best effort: the next agent replaces what is left.
        drop(fs::remove_file(&self.at));
    }
}

/// A helper's or a program's connection to the agent; it blocks, for some seconds at most.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` where no agent listens.
pub fn connect(at: &Path) -> io::Result<BlockingStream> {
    let stream = BlockingStream::connect(at)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    Ok(stream)
}

/// Asks the agent how it is: one JSON object.
///
/// # Errors
/// As [`connect`] and [`wire::ask_status`].
pub fn ask_status(at: &Path) -> io::Result<String> {
    wire::ask_status(&mut connect(at)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::local::{Feed, Hub, Signs, StatusBoard, serve};

    fn hub() -> Hub {
        Hub {
            feed: Some(Feed::default()),
            board: StatusBoard::default(),
            now_ms: || 60_000,
        }
    }

    #[tokio::test]
    async fn helpers_and_status_reach_the_agent_over_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("made/by/it/local.sock");
        let listener = listen(&at).unwrap();
        assert_eq!(fs::metadata(&at).unwrap().mode() & 0o777, 0o666);
        let made = fs::metadata(at.parent().unwrap()).unwrap();
        assert_eq!(made.mode() & 0o777, 0o755);
        let hub = hub();
        let board = hub.board.clone();
        let show = async {
            loop {
                board.wanted().await;
                board.set(serde_json::json!({"playing": false}));
            }
        };
        let peer = {
            let (at, feed) = (at.clone(), hub.feed.clone().unwrap());
            tokio::task::spawn_blocking(move || {
                let mut stream = connect(&at).unwrap();
                let signs = Signs {
                    input_ago_ms: Some(1_000),
                    ..Signs::default()
                };
                wire::tell(&mut stream, &signs.into()).unwrap();
                // On the same connection, so that the word before it is heard.
                let answer = wire::ask_status(&mut stream).unwrap();
                assert_eq!(feed.seen(60_000).last_input_mono_ms, Some(59_000));
                assert_eq!(answer, ask_status(&at).unwrap());
                answer
            })
        };
        let answer = tokio::select! {
            never = serve(listener, hub) => match never {},
            () = show => unreachable!(),
            answer = peer => answer.unwrap(),
        };
        assert_eq!(answer, "{\"playing\":false}");
        assert!(!at.exists(), "taken away with the listener");
        assert_eq!(ask_status(&at).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_dead_agents_socket_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("local.sock");
        let living = listen(&at).unwrap();
        let error = listen(&at).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        // Killed: nobody takes the socket away.
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("dead.sock")).unwrap());
        drop(living);
        fs::rename(folder.path().join("dead.sock"), &at).unwrap();
        assert_eq!(
            ask_status(&at).unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        let next = listen(&at).unwrap();
        drop(next);
        fs::write(&at, "a file").unwrap();
        let error = listen(&at).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&at).unwrap(), "a file");
    }
}
