//! The program on a classroom terminal: senses power and use, keeps a journal, reports over MQTT until acknowledged.
//!
//! # Layout
//! - [`core`]: what was seen, what to send next, when to forget; sans-IO.
//! - [`sense`]: the machine's own signs of use. [`clock`]: the only reader of time.
//! - [`local`]: what helpers in people's sessions tell the agent on the same machine. [`helper`]: such a helper.
//! - [`journal`]: what survives a power cut. [`keep`]: files that are whole or not there.
//! - [`publish`]: the driver. [`link`]: keeps its MQTT connection. [`access`]: the way to the server. [`tls`]: who it is.
//! - [`identity`]: who this machine is. [`hardware`]: what it is. [`enrol`]: how it becomes a terminal.
//! - [`status`]: how the agent is. [`doctor`]: what is wrong, and the mend.
//! - [`mod@chain`]: an error and its causes in one line.
//! - [`config`]: one small file, environment, flags. [`run`]: puts all of it together.
//! - [`install`]: makes a machine a terminal. [`history`]: when it was on before that.
//! - `service_windows`: the same under Windows's service manager, with its log in [`log_file`] and all in `folders`.
//! - [`watchdog`]: an end that comes in any case.
//! - `win32`: what Windows is asked, and the only place where that is unsafe.

pub mod access;
pub mod chain;
pub mod clock;
pub mod config;
pub mod core;
pub mod doctor;
pub mod enrol;
#[cfg(windows)]
pub mod folders;
pub mod hardware;
pub mod helper;
pub mod history;
pub mod identity;
pub mod install;
pub mod journal;
pub mod keep;
pub mod link;
pub mod local;
pub mod log_file;
pub mod publish;
pub mod run;
pub mod sense;
#[cfg(windows)]
pub mod service_windows;
pub mod status;
pub mod tls;
pub mod watchdog;
#[cfg(windows)]
pub mod win32;
