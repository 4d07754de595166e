//! The local carrier on Windows: a named pipe that people's sessions on this machine may speak to.
//!
//! Not responsible for what is said (`wire`) or for how much of it is listened to (`serve`).
//!
//! # Layout
//! - [`Helpers`]: the processes whose word on a session is heard where the service starts them, and their own pipe.

use std::{
    fs::OpenOptions,
    io::{self, Read, Write},
    os::windows::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::windows::named_pipe::{NamedPipeClient, NamedPipeServer, ServerOptions},
    runtime::{Builder, Runtime},
    time::{Instant, sleep, timeout},
};
use windows::Win32::{
    Foundation::ERROR_PIPE_BUSY,
    Storage::FileSystem::{
        FILE_FLAG_OVERLAPPED, FILE_READ_ATTRIBUTES, FILE_READ_DATA, FILE_WRITE_ATTRIBUTES,
        FILE_WRITE_DATA, SECURITY_IDENTIFICATION, SYNCHRONIZE,
    },
};

mod helpers;

use super::{serve::Accept, wire};
use crate::win32;

pub use helpers::{Door, Helpers};

/// Where the agent listens.
pub const DEFAULT: &str = r"\\.\pipe\classpulse-agent";
/// The longest wait of a client for the agent.
const WAIT: Duration = Duration::from_secs(5);
/// Between two tries while every end of the pipe is taken.
const BUSY: Duration = Duration::from_millis(50);
/// What a client may do, and asks for: read and write, and not make an end of the pipe of its own (0x4), behind which
/// it would play the agent.
const MAY: u32 = FILE_READ_DATA.0
    | FILE_WRITE_DATA.0
    | FILE_READ_ATTRIBUTES.0
    | FILE_WRITE_ATTRIBUTES.0
    | SYNCHRONIZE.0;
/// Who may: the system, administrators and the agent's own user all (`GA`), people at the machine what [`MAY`] says.
const WHO: &str = "D:(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;OW)(A;;0x100183;;;IU)";

/// The agent's ear.
#[derive(Debug)]
pub struct Listener {
    /// The end to which the next client comes.
    next: NamedPipeServer,
    options: ServerOptions,
    at: Box<Path>,
}

/// Begins to listen. A dead agent's pipe is gone with it; a living one's is not taken. Within a runtime.
///
/// # Errors
/// `AddrInUse` where another process has the pipe (not under Wine 8), and the system's own.
pub fn listen(at: &Path) -> io::Result<Listener> {
    let mut options = ServerOptions::new();
    options.reject_remote_clients(true);
    let first = options.first_pipe_instance(true);
    let next = win32::serve_pipe(first, at, WHO).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => io::Error::new(io::ErrorKind::AddrInUse, error),
        _ => error,
    })?;
    options.first_pipe_instance(false);
    Ok(Listener {
        next,
        options,
        at: at.into(),
    })
}

impl Accept for Listener {
    type Stream = NamedPipeServer;

    async fn accept(&mut self) -> io::Result<(NamedPipeServer, u64)> {
        self.next.connect().await?;
        // Where no further end can be made, this one stays and is taken the next time.
        let next = win32::serve_pipe(&self.options, &self.at, WHO)?;
        let came = std::mem::replace(&mut self.next, next);
        // One whose session the system does not tell shares its bounds with all such.
        let who = win32::session_of(&came).map_or(u64::MAX, u64::from);
        Ok((came, who))
    }
}

/// A client's end; each read and write blocks, for some seconds at most.
#[derive(Debug)]
pub struct Client {
    pipe: NamedPipeClient,
    /// Only to wait with a limit, which files on Windows don't have.
    runtime: Runtime,
}

/// A helper's or a program's connection to the agent; it blocks, for some seconds at most. Not within a runtime.
///
/// # Errors
/// `NotFound` where no agent listens, `TimedOut` where it does not take the connection.
pub fn connect(at: &Path) -> io::Result<Client> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let pipe = runtime.block_on(open(at))?;
    Ok(Client { pipe, runtime })
}

async fn open(at: &Path) -> io::Result<NamedPipeClient> {
    let began = Instant::now();
    loop {
        let opened = OpenOptions::new()
            .access_mode(MAY)
            .custom_flags(FILE_FLAG_OVERLAPPED.0)
            // Whoever is behind it learns who we are, and can't act in our name.
            .security_qos_flags(SECURITY_IDENTIFICATION.0)
            .open(at);
        match opened {
            Ok(file) => return win32::pipe_client(file.into()),
            Err(error) if is_busy(&error) && began.elapsed() < WAIT => sleep(BUSY).await,
            Err(error) if is_busy(&error) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error),
        }
    }
}

fn is_busy(error: &io::Error) -> bool {
    let code = error
        .raw_os_error()
        .and_then(|code| u32::try_from(code).ok());
    code == Some(ERROR_PIPE_BUSY.0)
}

impl Read for Client {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = async { timeout(WAIT, self.pipe.read(into)).await };
        self.runtime.block_on(read)?
    }
}

impl Write for Client {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let write = async { timeout(WAIT, self.pipe.write(from)).await };
        self.runtime.block_on(write)?
    }

    fn flush(&mut self) -> io::Result<()> {
        let flush = async { timeout(WAIT, self.pipe.flush()).await };
        self.runtime.block_on(flush)?
    }
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
    use std::path::PathBuf;

    use super::*;
    use crate::local::{Feed, Hub, Signs, StatusBoard, serve};

    fn place(name: &str) -> PathBuf {
        format!(r"\\.\pipe\classpulse-test-{name}-{}", std::process::id()).into()
    }

    #[tokio::test]
    async fn helpers_and_status_reach_the_agent_over_the_pipe() {
        let at = place("speak");
        let listener = listen(&at).unwrap();
        let hub = Hub {
            feed: Some(Feed::default()),
            board: StatusBoard::default(),
            now_ms: || 60_000,
        };
        // More than one buffer of the pipe holds.
        let long = "long ".repeat(20_000);
        let board = hub.board.clone();
        let show = async {
            loop {
                board.wanted().await;
                board.set(serde_json::json!({"playing": long}));
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
        assert!(answer == format!("{{\"playing\":\"{long}\"}}"), "all of it");
        let gone = tokio::task::spawn_blocking(move || ask_status(&at).unwrap_err().kind());
        assert_eq!(gone.await.unwrap(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_living_agents_pipe_is_not_taken_and_a_dead_ones_is_gone() {
        let at = place("twice");
        let living = listen(&at).unwrap();
        // Wine 8 lets anybody have an end of a pipe; there the other half of this is all that can be seen.
        if windows_registry::LOCAL_MACHINE
            .open(r"Software\Wine")
            .is_err()
        {
            let error = listen(&at).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
        }
        drop(living);
        listen(&at).unwrap();
    }

    #[tokio::test]
    async fn an_agent_that_does_not_answer_is_not_waited_for_long() {
        let at = place("deaf");
        let _deaf = listen(&at).unwrap();
        let began = Instant::now();
        let asked = tokio::task::spawn_blocking(move || ask_status(&at).unwrap_err().kind());
        assert_eq!(asked.await.unwrap(), io::ErrorKind::TimedOut);
        assert!((WAIT..2 * WAIT).contains(&began.elapsed()));
    }
}
