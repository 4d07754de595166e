//! A process in a person's session, started by the service, which has the right to.

#![expect(
    unsafe_code,
    reason = "Windows is asked through pointers; each call stands in a function of its own that keeps its rules"
)]

use std::{
    ffi::c_void,
    io,
    os::windows::{
        ffi::OsStrExt as _,
        io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle},
    },
    path::Path,
    ptr,
};

use windows::{
    Win32::{
        Foundation::{ERROR_NO_TOKEN, HANDLE},
        System::{
            Environment::{CreateEnvironmentBlock, DestroyEnvironmentBlock},
            RemoteDesktop::{
                WTS_SESSION_INFOW, WTSActive, WTSEnumerateSessionsW, WTSFreeMemory,
                WTSGetActiveConsoleSessionId, WTSQueryUserToken,
            },
            Threading::{
                CREATE_NO_WINDOW, CREATE_UNICODE_ENVIRONMENT, CreateProcessAsUserW,
                PROCESS_INFORMATION, STARTUPINFOW,
            },
        },
    },
    core::{PCWSTR, PWSTR},
};

use crate::win32::Process;

/// Numbers of the sessions in which somebody may be looking at the screen.
pub(super) fn sessions() -> Vec<u32> {
    let (mut first, mut count) = (ptr::null_mut::<WTS_SESSION_INFOW>(), 0_u32);
    // SAFETY: the system writes where its list lies and how long it is; it is freed below.
    let told = unsafe { WTSEnumerateSessionsW(None, 0, 1, &raw mut first, &raw mut count) };
    if told.is_err() || first.is_null() {
        return console();
    }
    // SAFETY: as long as the system said; copied before it is freed.
    let list = unsafe { std::slice::from_raw_parts(first, count as usize) };
    // Session 0 is the services' own.
    let people = list
        .iter()
        .filter(|session| session.State == WTSActive && session.SessionId != 0);
    let numbers = people.map(|session| session.SessionId).collect();
    // SAFETY: it came from the system, and nobody has it any more.
    unsafe { WTSFreeMemory(first.cast::<c_void>()) };
    numbers
}

/// The session at the machine's own screen, which is known also where the service that keeps the list of all was
/// switched off, as trimmed systems have it. None between two sessions.
fn console() -> Vec<u32> {
    const NONE: u32 = u32::MAX;
    // SAFETY: it takes nothing.
    let session = unsafe { WTSGetActiveConsoleSessionId() };
    let people = [session]
        .into_iter()
        .filter(|session| !matches!(*session, 0 | NONE));
    people.collect()
}

/// Starts this program's `session` in a session, as the person who is logged on there, to speak at a place.
///
/// # Errors
/// `NotFound` where nobody is logged on; the system's own.
pub(super) fn start(session: u32, at: &Path) -> io::Result<Process> {
    let program = std::env::current_exe()?;
    let token = token(session)?;
    let environment = Environment::of(&token)?;
    let command = format!(
        "\"{}\" session --socket \"{}\"",
        program.display(),
        at.display()
    );
    create(&program, &command, &token, &environment)
}

fn token(session: u32) -> io::Result<OwnedHandle> {
    let mut token = HANDLE::default();
    // SAFETY: one handle is written.
    match unsafe { WTSQueryUserToken(session, &raw mut token) } {
        // SAFETY: it is open, and ours.
        Ok(()) => Ok(unsafe { OwnedHandle::from_raw_handle(token.0) }),
        Err(error) if error.code() == ERROR_NO_TOKEN.to_hresult() => {
            Err(io::ErrorKind::NotFound.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// A person's environment, which is not the service's.
struct Environment(*mut c_void);

impl Environment {
    fn of(token: &OwnedHandle) -> io::Result<Self> {
        let mut block = ptr::null_mut();
        // SAFETY: the token is open; one pointer is written, which is freed on drop.
        unsafe {
            CreateEnvironmentBlock(&raw mut block, Some(HANDLE(token.as_raw_handle())), false)?;
        }
        Ok(Self(block))
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // SAFETY: it came from the system, and nobody has it any more.
        unsafe { DestroyEnvironmentBlock(self.0) }.ok();
    }
}

fn create(
    program: &Path,
    command: &str,
    token: &OwnedHandle,
    environment: &Environment,
) -> io::Result<Process> {
    let wide = |text: &Path| -> Vec<u16> { text.as_os_str().encode_wide().chain([0]).collect() };
    let application = wide(program);
    let mut command = wide(Path::new(command));
    let mut desktop: Vec<u16> = wide(Path::new(r"winsta0\default"));
    let startup = STARTUPINFOW {
        cb: u32::try_from(size_of::<STARTUPINFOW>()).unwrap_or_default(),
        lpDesktop: PWSTR(desktop.as_mut_ptr()),
        ..STARTUPINFOW::default()
    };
    let mut made = PROCESS_INFORMATION::default();
    // SAFETY: all that is pointed to lives until the call is over; texts end with 0, and the command, which the system
    // may write into, is our own.
    unsafe {
        CreateProcessAsUserW(
            Some(HANDLE(token.as_raw_handle())),
            PCWSTR(application.as_ptr()),
            Some(PWSTR(command.as_mut_ptr())),
            None,
            None,
            false,
            CREATE_NO_WINDOW | CREATE_UNICODE_ENVIRONMENT,
            Some(environment.0),
            PCWSTR::null(),
            &raw const startup,
            &raw mut made,
        )?;
    }
    // SAFETY: both are open, and ours; the thread's is closed at once.
    unsafe {
        drop(OwnedHandle::from_raw_handle(made.hThread.0));
        Ok(Process::new(OwnedHandle::from_raw_handle(made.hProcess.0)))
    }
}
