//! What Windows is asked, each question a safe function: the one place where the language's checks end.
//!
//! Only functions that Windows 7 has. Not responsible for what the answers mean.

#![expect(
    unsafe_code,
    reason = "Windows is asked through pointers; each call stands in a function of its own that keeps its rules"
)]

use std::{
    ffi::{OsString, c_void},
    io,
    os::windows::{
        ffi::OsStringExt as _,
        io::{AsRawHandle as _, IntoRawHandle as _, OwnedHandle},
    },
    path::{Path, PathBuf},
};

use tokio::net::windows::named_pipe::{NamedPipeClient, NamedPipeServer, ServerOptions};
use windows::{
    Win32::{
        Foundation::{HANDLE, HLOCAL, LocalFree, MAX_PATH, STATUS_SUCCESS},
        Media::Audio::{
            Endpoints::IAudioMeterInformation, IMMDeviceEnumerator, MMDeviceEnumerator, eConsole,
            eRender,
        },
        Security::{
            Authorization::{
                ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
            },
            PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES,
        },
        System::{
            Com::{CLSCTX_ALL, COINIT_MULTITHREADED, CoCreateInstance, CoInitializeEx},
            Pipes::GetNamedPipeClientSessionId,
            Power::{CallNtPowerInformation, SystemExecutionState},
            SystemInformation::GetTickCount64,
            WindowsProgramming::QueryUnbiasedInterruptTime,
        },
        UI::{
            Input::KeyboardAndMouse::{GetLastInputInfo, LASTINPUTINFO},
            Shell::{
                CSIDL_COMMON_APPDATA, CSIDL_PROGRAM_FILES, SHGFP_TYPE_CURRENT, SHGetFolderPathW,
                SHQueryUserNotificationState,
            },
        },
    },
    core::HSTRING,
};

/// Bytes of a structure, as Windows wants to be told them.
const fn bytes_of<T>() -> u32 {
    // None of them has more than some dozens.
    #[expect(clippy::cast_possible_truncation, reason = "a structure of some bytes")]
    let bytes = size_of::<T>() as u32;
    bytes
}

/// A folder of the machine, wherever its system drive is and whatever the environment says. Asked in the old way: the
/// new one's answer is freed by a library (`combase`) that Windows 7 does not have.
fn folder(number: u32) -> Option<PathBuf> {
    let mut path = [0; MAX_PATH as usize];
    let number = i32::try_from(number).ok()?;
    let kind = u32::try_from(SHGFP_TYPE_CURRENT.0).ok()?;
    // SAFETY: it writes a text into a buffer of the length that it takes for granted.
    unsafe { SHGetFolderPathW(None, number, None, kind, &mut path) }.ok()?;
    let length = path.iter().position(|unit| *unit == 0)?;
    Some(OsString::from_wide(path.get(..length)?).into())
}

/// Where programs are, such as `C:\Program Files`.
#[must_use]
pub fn program_files() -> Option<PathBuf> {
    folder(CSIDL_PROGRAM_FILES)
}

/// Where programs keep what is not one person's, such as `C:\ProgramData`.
#[must_use]
pub fn program_data() -> Option<PathBuf> {
    folder(CSIDL_COMMON_APPDATA)
}

/// Time since boot with sleep, ms.
#[must_use]
pub fn ticks_ms() -> u64 {
    // SAFETY: it takes nothing.
    unsafe { GetTickCount64() }
}

/// Time since boot without sleep, ms.
#[must_use]
pub fn awake_ms() -> Option<u64> {
    let mut hundreds_of_ns = 0;
    // SAFETY: it writes one number.
    let told = unsafe { QueryUnbiasedInterruptTime(&raw mut hundreds_of_ns) };
    told.as_bool().then_some(hundreds_of_ns / 10_000)
}

/// When this session's last input was: the lower half of [`ticks_ms`] at that moment.
#[must_use]
pub fn last_input_ticks() -> Option<u32> {
    let mut info = LASTINPUTINFO {
        cbSize: bytes_of::<LASTINPUTINFO>(),
        dwTime: 0,
    };
    // SAFETY: it writes one structure, whose length it was told.
    let told = unsafe { GetLastInputInfo(&raw mut info) };
    told.as_bool().then_some(info.dwTime)
}

/// What the shell says of this session's screen, by its own numbers (`QUNS_…`).
#[must_use]
pub fn notification_state() -> Option<i32> {
    // SAFETY: it takes nothing.
    unsafe { SHQueryUserNotificationState() }
        .ok()
        .map(|state| state.0)
}

/// What programmes of all sessions ask of the machine, by its own bits (`ES_…`).
#[must_use]
pub fn execution_state() -> Option<u32> {
    let mut state = 0_u32;
    let into = (&raw mut state).cast::<c_void>();
    // SAFETY: it writes one number, whose length it was told.
    let status = unsafe {
        CallNtPowerInformation(SystemExecutionState, None, 0, Some(into), bytes_of::<u32>())
    };
    (status == STATUS_SUCCESS).then_some(state)
}

/// The sound of this session's default output. Stays in the thread that opened it.
#[derive(Debug)]
pub struct Sound(IMMDeviceEnumerator);

impl Sound {
    /// Finds the system's sound; `None` where it has none.
    #[must_use]
    pub fn open() -> Option<Self> {
        // SAFETY: it is told its only rule, which threads may use what it makes. It may have been called before.
        let begun = unsafe { CoInitializeEx(None, COINIT_MULTITHREADED) };
        begun.ok().ok()?;
        // SAFETY: the class and the type belong together.
        unsafe { CoCreateInstance(&MMDeviceEnumerator, None, CLSCTX_ALL) }
            .ok()
            .map(Self)
    }

    /// How loud it is in this moment, 0 to 1; `None` where there is no output, or it has no meter. The output may be
    /// another one each time: a screen with loudspeakers is plugged in.
    #[must_use]
    pub fn peak(&self) -> Option<f32> {
        // SAFETY: objects of this thread, kept until they were asked.
        unsafe {
            let output = self.0.GetDefaultAudioEndpoint(eRender, eConsole).ok()?;
            let meter: IAudioMeterInformation = output.Activate(CLSCTX_ALL, None).ok()?;
            meter.GetPeakValue().ok()
        }
    }
}

/// One more end of the pipe `at` for a client to come to; `sddl` says who may.
///
/// # Errors
/// The system's own; `PermissionDenied` for a first end where another process has the pipe.
pub fn serve_pipe(options: &ServerOptions, at: &Path, sddl: &str) -> io::Result<NamedPipeServer> {
    let mut descriptor = PSECURITY_DESCRIPTOR::default();
    // SAFETY: it writes one pointer, which is freed below.
    unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            &HSTRING::from(sddl),
            SDDL_REVISION_1,
            &raw mut descriptor,
            None,
        )?;
    }
    let mut attributes = SECURITY_ATTRIBUTES {
        nLength: bytes_of::<SECURITY_ATTRIBUTES>(),
        lpSecurityDescriptor: descriptor.0,
        bInheritHandle: false.into(),
    };
    // SAFETY: both structures live until the call is over; the pipe has its own copy.
    let pipe = unsafe {
        options.create_with_security_attributes_raw(at, (&raw mut attributes).cast::<c_void>())
    };
    // SAFETY: it was allocated for us, and nobody has it any more. Nothing can be done where it fails.
    unsafe { LocalFree(Some(HLOCAL(descriptor.0))) };
    pipe
}

/// The number of the session from which the other end of a pipe came.
///
/// # Errors
/// The system's own.
pub fn session_of(pipe: &NamedPipeServer) -> io::Result<u32> {
    let mut session = 0;
    // SAFETY: the handle is the pipe's own and lives as long; it writes one number.
    unsafe { GetNamedPipeClientSessionId(HANDLE(pipe.as_raw_handle()), &raw mut session)? };
    Ok(session)
}

/// A client's end of a pipe, opened for overlapped use.
///
/// # Errors
/// The system's own. Within a runtime.
pub fn pipe_client(opened: OwnedHandle) -> io::Result<NamedPipeClient> {
    // SAFETY: an open handle that nobody else has; of another kind than a pipe, reading and writing fails.
    unsafe { NamedPipeClient::from_raw_handle(opened.into_raw_handle()) }
}
