//! Other processes of this program. Not responsible for when they start and are to end (`install`, `service_windows`).

use std::{
    ffi::OsString,
    io,
    os::windows::{
        ffi::OsStringExt as _,
        io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle},
    },
    path::PathBuf,
};

use windows::{
    Win32::{
        Foundation::{FILETIME, HANDLE, WAIT_OBJECT_0},
        System::{
            Diagnostics::ToolHelp::{
                CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW,
                TH32CS_SNAPPROCESS,
            },
            Threading::{
                GetProcessId, GetProcessTimes, OpenProcess, PROCESS_NAME_WIN32,
                PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE,
                QueryFullProcessImageNameW, TerminateProcess, WaitForSingleObject,
            },
        },
    },
    core::PWSTR,
};

use super::{bytes_of, reason};

/// A process that was ended is gone within this, ms, and no longer holds its files.
const GONE_MS: u32 = 3_000;
/// The longest path that the system gives a program, in its characters, with the 0 at the end.
const LONGEST_PATH: usize = 32_768;

/// A process, by a handle. For as long as it is held the system gives its number to no other, also once it has ended:
/// whoever has that number is this one.
#[derive(Debug)]
pub struct Process(OwnedHandle);

/// What tells a process from every other of the same boot, in numbers that can be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its number, which another has when it is gone.
    pub number: u32,
    /// When it began, in the system's own units.
    pub began: u64,
}

impl Process {
    /// Of a process whose handle may be asked, waited for, and used to end it.
    #[must_use]
    pub fn new(handle: OwnedHandle) -> Self {
        Self(handle)
    }

    /// The process of this mark, where it still runs and we may end it.
    ///
    /// # Errors
    /// `NotFound` where it has ended, also where another has its number now; the system's own.
    pub fn find(mark: Mark) -> io::Result<Self> {
        let rights = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE | PROCESS_TERMINATE;
        // SAFETY: the handle that it gives is ours, and closed on drop.
        let process = unsafe {
            let handle = OpenProcess(rights, false, mark.number).map_err(|error| reason(&error))?;
            Self(OwnedHandle::from_raw_handle(handle.0))
        };
        if process.mark()? == mark && process.runs() {
            Ok(process)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn handle(&self) -> HANDLE {
        HANDLE(self.0.as_raw_handle())
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        // SAFETY: the handle is open as long as `self`.
        unsafe { GetProcessId(self.handle()) }
    }

    /// What tells it from every other.
    ///
    /// # Errors
    /// The system's own.
    pub fn mark(&self) -> io::Result<Mark> {
        let mut times = [FILETIME::default(); 4];
        let [began, ended, kernel, user] = &mut times;
        // SAFETY: the handle is open as long as `self`; four structures are written.
        unsafe { GetProcessTimes(self.handle(), began, ended, kernel, user) }
            .map_err(|error| reason(&error))?;
        Ok(Mark {
            number: self.number(),
            began: u64::from(began.dwHighDateTime) << 32 | u64::from(began.dwLowDateTime),
        })
    }

    /// The program that it runs.
    ///
    /// # Errors
    /// The system's own.
    pub fn program(&self) -> io::Result<PathBuf> {
        let mut path = vec![0; LONGEST_PATH];
        let mut length = u32::try_from(path.len()).unwrap_or_default();
        let into = PWSTR(path.as_mut_ptr());
        // SAFETY: the handle is open as long as `self`; at most as many characters are written as it is told.
        unsafe {
            QueryFullProcessImageNameW(self.handle(), PROCESS_NAME_WIN32, into, &raw mut length)
        }
        .map_err(|error| reason(&error))?;
        path.truncate(usize::try_from(length).unwrap_or_default());
        Ok(OsString::from_wide(&path).into())
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn runs(&self) -> bool {
        // SAFETY: the handle is open as long as `self`.
        unsafe { WaitForSingleObject(self.handle(), 0) != WAIT_OBJECT_0 }
    }

    /// Ends it, and waits a little until it is gone.
    ///
    /// # Errors
    /// The system's own: it may not be ended, or has ended.
    pub fn end(&self) -> io::Result<()> {
        // SAFETY: the handle is open as long as `self`.
        unsafe {
            TerminateProcess(self.handle(), 1).map_err(|error| reason(&error))?;
            WaitForSingleObject(self.handle(), GONE_MS);
        }
        Ok(())
    }
}

/// Ends all processes of a program but this one; `name` is its file's. Those that may not be ended go on.
///
/// # Errors
/// Where the system lists no processes.
pub fn end_others(name: &str) -> io::Result<()> {
    for process in list()? {
        let end = process.szExeFile.iter().position(|letter| *letter == 0);
        let file = String::from_utf16_lossy(&process.szExeFile[..end.unwrap_or(0)]);
        let own = process.th32ProcessID == std::process::id();
        if file.eq_ignore_ascii_case(name) && !own {
            end_process(process.th32ProcessID).ok();
        }
    }
    Ok(())
}

fn list() -> io::Result<Vec<PROCESSENTRY32W>> {
    // SAFETY: the handle that it gives is ours, and closed on drop.
    let snapshot = unsafe {
        let handle = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
        OwnedHandle::from_raw_handle(handle.map_err(|error| reason(&error))?.0)
    };
    let snapshot = HANDLE(snapshot.as_raw_handle());
    let mut entry = PROCESSENTRY32W {
        dwSize: bytes_of::<PROCESSENTRY32W>(),
        ..PROCESSENTRY32W::default()
    };
    let mut all = Vec::new();
    // SAFETY: the snapshot is open; one structure is written, whose length it says.
    let mut more = unsafe { Process32FirstW(snapshot, &raw mut entry) };
    while more.is_ok() {
        all.push(entry);
        // SAFETY: as above.
        more = unsafe { Process32NextW(snapshot, &raw mut entry) };
    }
    Ok(all)
}

fn end_process(number: u32) -> io::Result<()> {
    // SAFETY: the handle that it gives is ours, and closed on drop.
    let process = unsafe {
        let handle = OpenProcess(PROCESS_TERMINATE | PROCESS_SYNCHRONIZE, false, number);
        let handle = handle.map_err(|error| reason(&error))?;
        Process(OwnedHandle::from_raw_handle(handle.0))
    };
    process.end()
}
