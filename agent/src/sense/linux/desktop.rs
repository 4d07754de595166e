//! A person's session on Linux, seen from within: last input and full screen on X11.
//!
//! Under Wayland no program may see more than its own windows, and what `XWayland` tells of input is only its own
//! part: nothing is taken from it, and the session says what it lacks. Input devices and logind's inhibitors cover it.

use std::path::PathBuf;

use x11rb::{
    connection::{Connection as _, RequestConnection as _},
    errors::{ConnectError, ReplyError},
    protocol::{
        dpms::{self, ConnectionExt as _, DPMSMode},
        screensaver::{self, ConnectionExt as _, State},
        xproto::{AtomEnum, ConnectionExt as _, Window},
    },
    rust_connection::RustConnection,
};

use crate::local::{Signs, lack};

/// Most atoms of a window's state that are read.
const MOST_STATES: u32 = 64;

/// Where the session's own programs find its screen.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The X display, such as ":0"; the environment's unless said.
    pub display: Option<String>,
    /// The Wayland compositor's socket, where there is one.
    pub wayland: Option<PathBuf>,
}

/// A session that can be looked at.
#[derive(Debug)]
pub struct Desktop(Screen);

#[derive(Debug)]
enum Screen {
    X11(Box<X11>),
    /// Lives as long as the compositor's socket.
    Wayland(PathBuf),
}

/// There is no session to look at.
#[derive(Debug, thiserror::Error)]
pub enum NoDesktop {
    /// Neither X11 nor Wayland.
    #[error("no X display to look at")]
    Display(#[source] ConnectError),
    /// It is there, and does not answer.
    #[error("the X display does not answer")]
    Answer(#[from] ReplyError),
}

/// The session has ended: the helper's usual end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl Desktop {
    /// Finds the session's screen.
    ///
    /// # Errors
    /// [`NoDesktop`] where there is none.
    pub fn open(place: &Place) -> Result<Self, NoDesktop> {
        if let Some(socket) = &place.wayland {
            return Ok(Self(Screen::Wayland(socket.clone())));
        }
        let x11 = X11::open(place.display.as_deref())?;
        Ok(Self(Screen::X11(Box::new(x11))))
    }

    /// What there is to see now.
    ///
    /// # Errors
    /// [`Gone`] once the session has ended.
    pub fn look(&mut self) -> Result<Signs, Gone> {
        match &self.0 {
            // Why the display is gone is of no interest to anybody in a session that has ended.
            Screen::X11(x11) => x11.look().map_err(|_ended| Gone),
            Screen::Wayland(socket) if socket.exists() => Ok(Signs {
                missing: vec![lack::INPUT.to_owned(), lack::FULL_SCREEN.to_owned()],
                ..Signs::default()
            }),
            Screen::Wayland(_) => Err(Gone),
        }
    }
}

/// An X display.
#[derive(Debug)]
struct X11 {
    display: RustConnection,
    root: Window,
    saver: bool,
    power: bool,
    active_window: u32,
    state: u32,
    full_screen: u32,
}

impl X11 {
    fn open(display: Option<&str>) -> Result<Self, NoDesktop> {
        let (display, screen) = x11rb::connect(display).map_err(NoDesktop::Display)?;
        let root = display.setup().roots[screen].root;
        let atom = |name: &[u8]| -> Result<u32, ReplyError> {
            Ok(display.intern_atom(false, name)?.reply()?.atom)
        };
        let has = |name| -> Result<bool, ReplyError> {
            Ok(display.extension_information(name)?.is_some())
        };
        Ok(Self {
            active_window: atom(b"_NET_ACTIVE_WINDOW")?,
            state: atom(b"_NET_WM_STATE")?,
            full_screen: atom(b"_NET_WM_STATE_FULLSCREEN")?,
            saver: has(screensaver::X11_EXTENSION_NAME)?,
            power: has(dpms::X11_EXTENSION_NAME)?,
            display,
            root,
        })
    }

    fn look(&self) -> Result<Signs, ReplyError> {
        let mut signs = Signs::default();
        let mut dark = self.power && self.is_off()?;
        if self.saver {
            let saver = self.display.screensaver_query_info(self.root)?.reply()?;
            signs.input_ago_ms = Some(saver.ms_since_user_input.into());
            dark |= saver.state == u8::from(State::ON);
        } else {
            signs.missing.push(lack::INPUT.to_owned());
        }
        // Behind a screen saver or on a dark screen nobody looks at it.
        signs.presenting = !dark && self.is_full()?;
        Ok(signs)
    }

    fn is_off(&self) -> Result<bool, ReplyError> {
        let power = self.display.dpms_info()?.reply()?;
        Ok(power.state && power.power_level != DPMSMode::ON)
    }

    /// Whether the window in front covers the whole screen, as window managers say it (EWMH).
    fn is_full(&self) -> Result<bool, ReplyError> {
        let asked = (self.active_window, AtomEnum::WINDOW);
        let Some(window) = self.words(self.root, asked, 1)?.first().copied() else {
            return Ok(false);
        };
        if window == x11rb::NONE {
            return Ok(false);
        }
        match self.words(window, (self.state, AtomEnum::ATOM), MOST_STATES) {
            Ok(states) => Ok(states.contains(&self.full_screen)),
            // The window went away between the two questions.
            Err(ReplyError::X11Error(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A window's property of 32-bit words.
    fn words(
        &self,
        window: Window,
        (name, of): (u32, AtomEnum),
        most: u32,
    ) -> Result<Vec<u32>, ReplyError> {
        let property = self
            .display
            .get_property(false, window, name, of, 0, most)?
            .reply()?;
        Ok(property
            .value32()
            .map(Iterator::collect)
            .unwrap_or_default())
    }
}
