//! The subcommand `session`: arguments and exit code of the helper in a person's session.
//!
//! Not responsible for what it does: `helper`, in the library.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use classpulse_agent::{
    chain::chain,
    helper,
    local::carrier,
    sense::desktop::{self, Desktop},
};

/// Where the session and the agent are.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Where the agent listens.
    #[arg(long, default_value = carrier::DEFAULT)]
    socket: PathBuf,
    #[command(flatten)]
    screen: Screen,
}

/// Nothing needs to be said.
#[cfg(windows)]
#[derive(Debug, Args)]
struct Screen {}

#[cfg(windows)]
impl Screen {
    #[expect(clippy::unused_self, reason = "as elsewhere, where it is said")]
    fn place(&self) -> desktop::Place {
        desktop::Place
    }
}

#[cfg(target_os = "linux")]
#[derive(Debug, Args)]
struct Screen {
    /// The X display, such as ":0".
    #[arg(long, env = "DISPLAY")]
    display: Option<String>,
    /// The Wayland compositor's socket.
    #[arg(long, env = "WAYLAND_DISPLAY", hide = true)]
    wayland: Option<PathBuf>,
    /// Where a Wayland socket lies that is named without a folder.
    #[arg(long, env = "XDG_RUNTIME_DIR", hide = true)]
    runtime_folder: Option<PathBuf>,
}

#[cfg(target_os = "linux")]
impl Screen {
    fn place(&self) -> desktop::Place {
        // An absolute name stays as it is.
        let wayland = self.wayland.as_ref().map(|name| {
            self.runtime_folder
                .as_ref()
                .map_or_else(|| name.clone(), |folder| folder.join(name))
        });
        desktop::Place {
            display: self.display.clone(),
            wayland,
        }
    }
}

/// Helps until the session is gone.
pub(crate) fn run(place: &Place) -> ExitCode {
    match Desktop::open(&place.screen.place()) {
        Ok(desktop) => {
            helper::run(desktop, &place.socket);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("classpulse-agent: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}
