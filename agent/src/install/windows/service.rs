//! The service manager: register, start, stop, remove. Each may be asked again with the same result.
//!
//! Not responsible for the service's work (`service_windows`).

use std::{ffi::OsString, io, path::Path, thread, time::Duration};

use windows_service::{
    service::{
        Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl,
        ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceStartType,
        ServiceState, ServiceType,
    },
    service_manager::{ServiceManager, ServiceManagerAccess},
};

use crate::service_windows::{NAME, is_missing, reason};

const ACCESS: ServiceAccess = ServiceAccess::QUERY_STATUS
    .union(ServiceAccess::QUERY_CONFIG)
    .union(ServiceAccess::CHANGE_CONFIG)
    .union(ServiceAccess::START)
    .union(ServiceAccess::STOP)
    .union(ServiceAccess::DELETE);
/// Seconds after which the service manager starts an agent again that failed or was killed: the first time, the
/// second, and every later one.
const AGAIN: [u64; 3] = [5, 30, 60];
/// A day without failure, and the first pause is the next again.
const FORGIVEN: Duration = Duration::from_hours(24);
/// The agent needs less than 2 s; the rest is the machine's, which may have an old disk.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(100);

/// Whether this process may register services: asked before anything is touched.
pub(super) fn may_install() -> bool {
    manager().is_ok()
}

/// What a shutdown waits for the service at most; by itself it ends within two seconds.
const SHUTDOWN: Duration = Duration::from_secs(3);

fn manager() -> windows_service::Result<ServiceManager> {
    let access = ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE;
    ServiceManager::local_computer(None::<&str>, access)
}

fn open() -> io::Result<Option<Service>> {
    match manager().map_err(reason)?.open_service(NAME, ACCESS) {
        Ok(service) => Ok(Some(service)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(reason(error)),
    }
}

/// Registers the service, or brings what is registered up to date.
pub(super) fn register(program: &Path) -> io::Result<Service> {
    let info = ServiceInfo {
        name: NAME.into(),
        display_name: "Classpulse 课脉".into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program.to_owned(),
        launch_arguments: vec![OsString::from("service")],
        dependencies: Vec::new(),
        account_name: None,
        account_password: None,
    };
    let service = match open()? {
        Some(service) => {
            service.change_config(&info).map_err(reason)?;
            service
        }
        None => manager()
            .and_then(|manager| manager.create_service(&info, ACCESS))
            .map_err(reason)?,
    };
    service
        .set_description(
            "统计班班通终端的开机和使用时长。Measures how long this terminal is on and used.",
        )
        .map_err(reason)?;
    Ok(service)
}

/// What the service manager shall do when the agent fails. Without it, it runs as well until then.
pub(super) fn recover(service: &Service) -> io::Result<()> {
    let restart = |seconds: &u64| ServiceAction {
        action_type: ServiceActionType::Restart,
        delay: Duration::from_secs(*seconds),
    };
    let actions = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(FORGIVEN),
        reboot_msg: None,
        command: None,
        actions: Some(AGAIN.iter().map(restart).collect()),
    };
    service.update_failure_actions(actions).map_err(reason)?;
    // A shutdown waits no longer for it, whatever hangs.
    service.set_preshutdown_timeout(SHUTDOWN).map_err(reason)?;
    // Also where it says itself that it failed.
    service
        .set_failure_actions_on_non_crash_failures(true)
        .map_err(reason)
}

/// Starts the service; one that runs is started anew only where that is needed. False where it ran and was left alone.
pub(super) fn start(anew: bool) -> io::Result<bool> {
    let service = open()?.ok_or(io::ErrorKind::NotFound)?;
    if state(&service)? == ServiceState::Running {
        if !anew {
            return Ok(false);
        }
        end(&service)?;
    }
    service.start::<&str>(&[]).map_err(reason)?;
    wait(&service, ServiceState::Running)?;
    Ok(true)
}

/// Stops the service where there is one.
pub(super) fn stop() -> io::Result<()> {
    match open()? {
        Some(service) => end(&service),
        None => Ok(()),
    }
}

/// Stops the service and forgets it. False where there was none.
pub(super) fn remove() -> io::Result<bool> {
    let Some(service) = open()? else {
        return Ok(false);
    };
    end(&service)?;
    service.delete().map_err(reason)?;
    Ok(true)
}

fn state(service: &Service) -> io::Result<ServiceState> {
    let status = service.query_status().map_err(reason)?;
    Ok(status.current_state)
}

fn end(service: &Service) -> io::Result<()> {
    if state(service)? == ServiceState::Stopped {
        return Ok(());
    }
    match service.stop() {
        Ok(_) => wait(service, ServiceState::Stopped),
        // It may have ended between the two questions, or be ending.
        Err(error) => wait(service, ServiceState::Stopped).map_err(|_late| reason(error)),
    }
}

fn wait(service: &Service, wanted: ServiceState) -> io::Result<()> {
    let looks = PATIENCE.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        let state = state(service)?;
        if state == wanted {
            return Ok(());
        }
        if state == ServiceState::Stopped {
            return Err(io::Error::other(
                r"it ended at once; see %ProgramData%\Classpulse\agent.log / 服务启动后随即退出,请看该日志",
            ));
        }
        thread::sleep(LOOK);
    }
    Err(io::ErrorKind::TimedOut.into())
}
