//! What Windows is asked, each question a safe function: the one place where the language's checks end.
//!
//! Only functions that Windows 7 has. Not responsible for what the answers mean.
//!
//! # Layout
//! - `closed`: whose files and folders are, and who may open them. `others`: other processes of this program.

#![expect(
    unsafe_code,
    reason = "Windows is asked through pointers; each call stands in a function of its own that keeps its rules"
)]

use std::{
    ffi::{OsString, c_void},
    io,
    os::windows::{
        ffi::{OsStrExt as _, OsStringExt as _},
        io::{AsRawHandle as _, IntoRawHandle as _, OwnedHandle},
    },
    path::{Path, PathBuf},
};

use tokio::net::windows::named_pipe::{NamedPipeClient, NamedPipeServer, ServerOptions};
use windows::{
    Win32::{
        Foundation::{HANDLE, STATUS_SUCCESS},
        Media::Audio::{
            DEVICE_STATE_ACTIVE, Endpoints::IAudioMeterInformation, IMMDevice, IMMDeviceEnumerator,
            MMDeviceEnumerator, eRender,
        },
        Storage::FileSystem::{MOVEFILE_REPLACE_EXISTING, MOVEFILE_WRITE_THROUGH, MoveFileExW},
        System::{
            Com::{CLSCTX_ALL, COINIT_MULTITHREADED, CoCreateInstance, CoInitializeEx},
            Pipes::{GetNamedPipeClientProcessId, GetNamedPipeClientSessionId},
            Power::{CallNtPowerInformation, SystemExecutionState},
            SystemInformation::{GetSystemDirectoryW, GetTickCount64},
            WindowsProgramming::QueryUnbiasedInterruptTime,
        },
        UI::{
            Input::KeyboardAndMouse::{GetLastInputInfo, LASTINPUTINFO},
            Shell::{
                CSIDL_COMMON_APPDATA, CSIDL_PROGRAM_FILES, SHGetFolderPathW,
                SHQueryUserNotificationState,
            },
        },
    },
    core::PCWSTR,
};

mod closed;
mod others;

use closed::Descriptor;
pub use closed::{Found, Owner, look, make_folder};
pub use others::{Mark, Process, end_others};

/// Bytes of a structure, as Windows wants to be told them.
const fn bytes_of<T>() -> u32 {
    // None of them has more than some dozens.
    #[expect(clippy::cast_possible_truncation, reason = "a structure of some bytes")]
    let bytes = size_of::<T>() as u32;
    bytes
}

/// What a function of Windows said, as the standard library knows it: by its own number, which has a kind, and not by
/// the number that COM makes of it.
fn reason(error: &windows::core::Error) -> io::Error {
    const OF_WINDOWS: u32 = 0x8007_0000;
    let code = error.code().0.cast_unsigned();
    match code & 0xFFFF_0000 {
        OF_WINDOWS => io::Error::from_raw_os_error((code & 0xFFFF).cast_signed()),
        _ => io::Error::from_raw_os_error(error.code().0),
    }
}

/// A folder of the machine, wherever its system drive is and whatever the environment says. Asked in the old way: the
/// new one answers with memory to be freed by `combase.dll`, which Windows 7 does not have.
fn known_folder(id: u32) -> Option<PathBuf> {
    let id = i32::try_from(id).ok()?;
    let mut path = [0; 260];
    // SAFETY: it writes at most so many characters, the last of them 0.
    unsafe { SHGetFolderPathW(None, id, None, 0, &mut path) }.ok()?;
    let length = path.iter().position(|character| *character == 0)?;
    Some(OsString::from_wide(&path[..length]).into())
}

/// Where the system's own programs are, such as `C:\Windows\System32`.
#[must_use]
pub fn system_folder() -> Option<PathBuf> {
    let mut path = [0; 260];
    // SAFETY: it writes at most so many characters, and says how many.
    let length = unsafe { GetSystemDirectoryW(Some(&mut path)) };
    let length = usize::try_from(length).ok()?;
    let path = path.get(..length).filter(|path| !path.is_empty())?;
    Some(OsString::from_wide(path).into())
}

/// Where programs are, such as `C:\Program Files`.
#[must_use]
pub fn program_files() -> Option<PathBuf> {
    known_folder(CSIDL_PROGRAM_FILES)
}

/// Where programs keep what is not one person's, such as `C:\ProgramData`.
#[must_use]
pub fn program_data() -> Option<PathBuf> {
    known_folder(CSIDL_COMMON_APPDATA)
}

/// Gives a file another's name, in its place where there is one, and comes back when the disk has it.
///
/// # Errors
/// The system's own; also where somebody has the other one open.
pub fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let wide = |path: &Path| -> Vec<u16> { path.as_os_str().encode_wide().chain([0]).collect() };
    let (from, to) = (wide(from), wide(to));
    let flags = MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH;
    // SAFETY: both texts end with 0 and live until the call is over.
    unsafe { MoveFileExW(PCWSTR(from.as_ptr()), PCWSTR(to.as_ptr()), flags) }
        .map_err(|error| reason(&error))
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

/// The sound of this session's outputs. Stays in the thread that opened it.
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

    /// How loud the loudest output is in this moment, 0 to 1; `None` where there is none, or none has a meter. All are
    /// asked, not only the usual one: a player may speak through the screen's loudspeakers while the usual output is
    /// the machine's own. They may be others each time: a screen is plugged in.
    #[must_use]
    pub fn peak(&self) -> Option<f32> {
        // SAFETY: objects of this thread, kept until they were asked.
        let outputs = unsafe {
            self.0
                .EnumAudioEndpoints(eRender, DEVICE_STATE_ACTIVE)
                .ok()?
        };
        // SAFETY: as above.
        let count = unsafe { outputs.GetCount() }.ok()?;
        // SAFETY: as above; numbers below the count.
        let all = (0..count).filter_map(|number| unsafe { peak(&outputs.Item(number).ok()?) });
        loudest(all)
    }
}

/// # Safety
/// In the thread that the output was opened in.
unsafe fn peak(output: &IMMDevice) -> Option<f32> {
    // SAFETY: as the caller says; the meter is asked and let go.
    unsafe {
        let meter: IAudioMeterInformation = output.Activate(CLSCTX_ALL, None).ok()?;
        meter.GetPeakValue().ok()
    }
}

/// Of the outputs that tell.
fn loudest(peaks: impl Iterator<Item = f32>) -> Option<f32> {
    peaks.reduce(f32::max)
}

/// One more end of the pipe `at` for a client to come to; `sddl` says who may.
///
/// # Errors
/// The system's own; `PermissionDenied` for a first end where another process has the pipe.
pub fn serve_pipe(options: &ServerOptions, at: &Path, sddl: &str) -> io::Result<NamedPipeServer> {
    let descriptor = Descriptor::from(sddl)?;
    let mut attributes = descriptor.attributes();
    // SAFETY: both structures live until the call is over; the pipe has its own copy.
    unsafe {
        options.create_with_security_attributes_raw(at, (&raw mut attributes).cast::<c_void>())
    }
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

/// The number of the process that opened the other end of a pipe.
///
/// # Errors
/// The system's own.
pub fn process_of(pipe: &NamedPipeServer) -> io::Result<u32> {
    let mut process = 0;
    // SAFETY: the handle is the pipe's own and lives as long; it writes one number.
    unsafe { GetNamedPipeClientProcessId(HANDLE(pipe.as_raw_handle()), &raw mut process) }
        .map_err(|error| reason(&error))?;
    Ok(process)
}

/// A client's end of a pipe, opened for overlapped use.
///
/// # Errors
/// The system's own. Within a runtime.
pub fn pipe_client(opened: OwnedHandle) -> io::Result<NamedPipeClient> {
    // SAFETY: an open handle that nobody else has; of another kind than a pipe, reading and writing fails.
    unsafe { NamedPipeClient::from_raw_handle(opened.into_raw_handle()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loudest_output_is_heard_and_a_deaf_one_hides_none() {
        assert_eq!(loudest([0.0, 0.3, 0.1].into_iter()), Some(0.3));
        assert_eq!(loudest([0.0].into_iter()), Some(0.0));
        assert_eq!(loudest([].into_iter()), None);
        if let Some(sound) = Sound::open() {
            // No output here, or one that tells something that is loudness.
            assert!(sound.peak().is_none_or(|peak| (0.0..=1.0).contains(&peak)));
        }
    }

    #[test]
    fn a_file_takes_anothers_place_and_its_bytes_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let (new, path) = (folder.path().join("new"), folder.path().join("file"));
        for bytes in ["first", "second, which is longer", "third"] {
            std::fs::write(&new, bytes).unwrap();
            replace(&new, &path).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bytes);
            assert!(!new.exists());
        }
        // As the standard library names it.
        let error = replace(&new, &path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
    }
}
