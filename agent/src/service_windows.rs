//! The agent as a Windows service: the service manager's words → `run`, and helpers in people's sessions.
//!
//! Not responsible for registering the service (`install`) or for what the agent does (`run`).
//!
//! # Layout
//! - [`helpers`]: which session has its helper. `process`: starting one there. `stale`: those of a service before.

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    sync::{Mutex, OnceLock, mpsc},
    thread,
    time::Duration,
};

use tokio::sync::watch;
use tracing::{error, info, warn};
use windows_service::{
    define_windows_service,
    service::{
        PowerEventParam, ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState,
        ServiceStatus, ServiceType, SessionChangeReason,
    },
    service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle},
    service_dispatcher,
};

pub mod helpers;
mod process;
mod stale;

use crate::{
    chain::chain,
    clock::{Clock as _, SystemClock},
    config::{Config, LogFormat, Settings},
    folders::Folders,
    local::{Hearing, Speakers, windows::Helpers},
    log_file::{LARGEST, LogFile},
    publish::SaveNow,
    run,
    watchdog::Watchdog,
};
use helpers::{Keeper, Word};

/// The service's name.
pub const NAME: &str = "ClasspulseAgent";
/// From the word to stop to the end: no shutdown waits longer for the agent. What was not sent is in the journal.
const LAST_WORDS: Duration = Duration::from_millis(1_700);
/// The same where a disk hangs, and with it everything but the thread that ends it.
const LONGEST_END: Duration = Duration::from_millis(1_900);
/// From the word that the machine is about to sleep to our answer, with which it may. It waits some seconds at most.
const LAST_WRITE: Duration = Duration::from_millis(1_500);
/// What the service manager allows between two words of ours.
const HINT: Duration = Duration::from_secs(10);

/// Why the service did not run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It was not the service manager who started this program.
    #[error("only the service manager starts this: 请用 say `sc start {NAME}`")]
    Dispatcher(#[source] windows_service::Error),
}

/// The configuration file, for the entry that the service manager calls and tells nothing.
static CONFIGURATION: OnceLock<PathBuf> = OnceLock::new();

/// Where the service manager hears us, for the thread that ends what hangs.
static STATUS: OnceLock<ServiceStatusHandle> = OnceLock::new();

/// Becomes the service, until the service manager says stop.
///
/// # Errors
/// [`ServiceError`]; what goes wrong later is in the log, and told to the service manager.
pub fn dispatch(configuration: Option<PathBuf>) -> Result<(), ServiceError> {
    let configuration = configuration.unwrap_or_else(|| Folders::here().configuration());
    // The first stays; there is no second.
    CONFIGURATION.set(configuration).ok();
    service_dispatcher::start(NAME, service_entry).map_err(ServiceError::Dispatcher)
}

define_windows_service!(service_entry, serve);

/// What the service manager may learn of an end, in the place of a Windows error.
mod ended {
    /// The agent could not begin, or ended without having been told to.
    pub(super) const FAILED: u32 = 1;
    /// The configuration does not hold.
    pub(super) const CONFIGURATION: u32 = 2;
}

fn serve(_arguments: Vec<OsString>) {
    let (stop, stopped) = watch::channel(false);
    let (tell, told) = mpsc::channel();
    let save_now = SaveNow::default();
    let ears = Ears {
        stop,
        words: Mutex::new(tell),
        save_now: save_now.clone(),
        watchdog: Watchdog::default(),
    };
    let handler = move |control| ears.hear(&control);
    let Ok(status) = service_control_handler::register(NAME, handler) else {
        return;
    };
    STATUS.set(status).ok();
    say(status, ServiceState::StartPending, 0);
    let code = match work(status, stopped, told, save_now) {
        Ok(()) => 0,
        Err(code) => code,
    };
    say(status, ServiceState::Stopped, code);
}

/// Where the service manager's words go.
struct Ears {
    stop: watch::Sender<bool>,
    words: Mutex<mpsc::Sender<Word>>,
    save_now: SaveNow,
    watchdog: Watchdog,
}

/// The end, as far as the service manager is told, and then in fact.
fn end_at_once() {
    if let Some(status) = STATUS.get() {
        say(*status, ServiceState::Stopped, 0);
        std::process::exit(0);
    }
}

impl Ears {
    fn hear(&self, control: &ServiceControl) -> ServiceControlHandlerResult {
        match control {
            ServiceControl::Stop | ServiceControl::Shutdown | ServiceControl::Preshutdown => {
                self.watchdog.arm(LONGEST_END, end_at_once);
                self.stop.send_replace(true);
            }
            ServiceControl::SessionChange(change) => {
                let look = matches!(
                    change.reason,
                    SessionChangeReason::ConsoleConnect
                        | SessionChangeReason::RemoteConnect
                        | SessionChangeReason::SessionLogon
                        | SessionChangeReason::SessionUnlock
                );
                if look && let Ok(words) = self.words.lock() {
                    words.send(Word::Look).ok();
                }
            }
            // Nobody knows whether it wakes again.
            ServiceControl::PowerEvent(PowerEventParam::Suspend) => {
                if !self.save_now.ask(LAST_WRITE) {
                    warn!("the machine sleeps before the journal was written");
                }
            }
            ServiceControl::PowerEvent(
                PowerEventParam::ResumeAutomatic | PowerEventParam::ResumeCritical,
            ) => self.save_now.woken(),
            ServiceControl::Interrogate | ServiceControl::PowerEvent(_) => {}
            _ => return ServiceControlHandlerResult::NotImplemented,
        }
        ServiceControlHandlerResult::NoError
    }
}

fn say(status: ServiceStatusHandle, state: ServiceState, code: u32) {
    let running = state == ServiceState::Running;
    // Before the shutdown proper the network still works, and the last report may be heard.
    let accepted = ServiceControlAccept::STOP
        | ServiceControlAccept::PRESHUTDOWN
        | ServiceControlAccept::SESSION_CHANGE
        // A fast start-up (usual since Windows 8) ends no service: the shutdown before it is a sleep, of which they hear.
        | ServiceControlAccept::POWER_EVENT;
    let pending = matches!(
        state,
        ServiceState::StartPending | ServiceState::StopPending
    );
    let told = status.set_service_status(ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: if running {
            accepted
        } else {
            ServiceControlAccept::empty()
        },
        exit_code: match code {
            0 => ServiceExitCode::NO_ERROR,
            code => ServiceExitCode::ServiceSpecific(code),
        },
        checkpoint: u32::from(pending),
        wait_hint: if pending { HINT } else { Duration::ZERO },
        process_id: None,
    });
    if let Err(error) = told {
        warn!(error = chain(&error), "the service manager does not hear");
    }
}

/// Everything between the first and the last word to the service manager. The error is what it is told.
fn work(
    status: ServiceStatusHandle,
    stopped: watch::Receiver<bool>,
    told: mpsc::Receiver<Word>,
    save_now: SaveNow,
) -> Result<(), u32> {
    let path = CONFIGURATION.get().cloned().unwrap_or_default();
    let config = Config::load(Some(&path), Settings::default());
    open_log(config.as_ref().ok());
    let config = config.map_err(|error| {
        error!(error = chain(&error), "the configuration does not hold");
        ended::CONFIGURATION
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            error!(%error, "the runtime can't start");
            ended::FAILED
        })?;
    let helpers = Helpers::new();
    let hearing = Hearing {
        speakers: Speakers::Started(helpers.clone()),
        ..Hearing::default()
    };
    let now_ms = || SystemClock.now().mono_ms;
    let mut keeper = Keeper::new(helpers.clone(), hearing.feed.clone(), now_ms);
    // Not awaited: starting a process may hang, and the end of the service must not.
    thread::spawn(move || keeper.run(&told));
    say(status, ServiceState::Running, 0);
    let ended = runtime.block_on(until_told(status, config, stopped, save_now, hearing));
    runtime.shutdown_background();
    // They are of no use to the next service, which hears its own.
    helpers.end_all();
    ended
}

async fn until_told(
    status: ServiceStatusHandle,
    config: Config,
    mut stopped: watch::Receiver<bool>,
    save_now: SaveNow,
    hearing: Hearing,
) -> Result<(), u32> {
    let last_words = {
        let mut stopped = stopped.clone();
        async move {
            // The sender lives in the handler, which is never taken away.
            stopped.wait_for(|stop| *stop).await.ok();
            info!("stopping");
            say(status, ServiceState::StopPending, 0);
            tokio::time::sleep(LAST_WORDS).await;
        }
    };
    let sessions = tokio::select! {
        // In this order: the service manager hears that the end begins before the end.
        biased;
        () = last_words => {
            warn!("stopped at once; the journal keeps what was not heard");
            return Ok(());
        }
        sessions = run::run(config, stopped.clone(), save_now, hearing) => sessions,
    };
    match sessions {
        Err(error) => {
            error!(error = chain(&error), "the agent can't begin");
            Err(ended::FAILED)
        }
        Ok(_) if *stopped.borrow_and_update() => {
            info!("stopped");
            Ok(())
        }
        Ok(_) => {
            error!("stopped without having been told to");
            Err(ended::FAILED)
        }
    }
}

fn open_log(config: Option<&Config>) {
    let level = config.map(|config| config.log_level).unwrap_or_default();
    let lines = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(Mutex::new(LogFile::new(Folders::here().log(), LARGEST)))
        .with_max_level(tracing::Level::from(level));
    // The only one in this process.
    match config.map(|config| config.log).unwrap_or_default() {
        LogFormat::Text => lines.with_target(false).init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// What Windows says of a service that is not there, or is to be deleted.
#[must_use]
pub fn is_missing(error: &windows_service::Error) -> bool {
    const DOES_NOT_EXIST: i32 = 1_060;
    matches!(error, windows_service::Error::Winapi(error) if error.raw_os_error() == Some(DOES_NOT_EXIST))
}

/// The system's own reason.
#[must_use]
pub fn reason(error: windows_service::Error) -> io::Error {
    match error {
        windows_service::Error::Winapi(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_waits_for_the_journal_and_a_wake_for_nothing() {
        let (stop, stopped) = watch::channel(false);
        let (tell, _told) = mpsc::channel();
        let ears = Ears {
            stop,
            words: Mutex::new(tell),
            save_now: SaveNow::default(),
            watchdog: Watchdog::default(),
        };
        let save_now = ears.save_now.clone();
        let timed = |event| {
            let began = tokio::time::Instant::now();
            let heard = ears.hear(&ServiceControl::PowerEvent(event));
            assert!(matches!(heard, ServiceControlHandlerResult::NoError));
            began.elapsed()
        };
        // Nobody answers.
        assert!(timed(PowerEventParam::Suspend) >= LAST_WRITE);
        assert!(timed(PowerEventParam::ResumeAutomatic) < LAST_WRITE);
        // The agent does.
        let answer = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(async {
                // What was asked before is still to be answered.
                for _ in 0..2 {
                    save_now.wanted().await;
                    save_now.answer();
                }
            });
        });
        thread::sleep(Duration::from_millis(100));
        assert!(timed(PowerEventParam::Suspend) < LAST_WRITE);
        answer.join().unwrap();
        assert!(!*stopped.borrow(), "it goes on when the machine wakes");
    }
}
