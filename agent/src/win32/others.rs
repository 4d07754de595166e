//! Other processes of this program. Not responsible for when they are to end (`install`).

use std::{
    io,
    os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle},
};

use windows::Win32::{
    Foundation::HANDLE,
    System::{
        Diagnostics::ToolHelp::{
            CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW,
            TH32CS_SNAPPROCESS,
        },
        Threading::{
            OpenProcess, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE, TerminateProcess,
            WaitForSingleObject,
        },
    },
};

use super::{bytes_of, reason};

/// A process that was ended is gone within this, ms, and no longer holds its files.
const GONE_MS: u32 = 3_000;

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

fn end_process(number: u32) -> windows::core::Result<()> {
    // SAFETY: the handle that it gives is ours, and closed on drop; it is open while it is used.
    unsafe {
        let process = OpenProcess(PROCESS_TERMINATE | PROCESS_SYNCHRONIZE, false, number)?;
        let _closed = OwnedHandle::from_raw_handle(process.0);
        TerminateProcess(process, 1)?;
        WaitForSingleObject(process, GONE_MS);
    }
    Ok(())
}
