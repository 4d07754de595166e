//! The program on a classroom terminal: senses power and use, keeps a journal, reports over MQTT until acknowledged.
//!
//! # Layout
//! - [`core`]: what was seen, what to send next, when to forget; sans-IO.
//! - [`sense`]: the machine's own signs of use. [`clock`]: the only reader of time.
//! - [`local`]: what helpers in people's sessions tell the agent on the same machine. [`helper`]: such a helper.
//! - [`journal`]: what survives a power cut. [`publish`]: the driver that ties all to an MQTT connection.
//! - [`config`]: one small file, environment, flags. [`run`]: puts all of it together.
//! - [`install`]: makes a machine a terminal. [`history`]: when it was on before that.
//! - `service_windows`: the same under Windows's service manager, with its log in [`log_file`] and all in `folders`.
//! - `win32`: what Windows is asked, and the only place where that is unsafe.

pub mod clock;
pub mod config;
pub mod core;
#[cfg(windows)]
pub mod folders;
pub mod helper;
pub mod history;
pub mod install;
pub mod journal;
pub mod local;
pub mod log_file;
pub mod publish;
pub mod run;
pub mod sense;
#[cfg(windows)]
pub mod service_windows;
#[cfg(windows)]
pub mod win32;
