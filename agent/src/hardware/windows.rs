//! What Windows says of its hardware: the firmware's table, the system disk, built-in adapters.

#![expect(unsafe_code, reason = "calls into Windows; each says why it is sound")]

use std::{ffi::OsStr, mem, os::windows::ffi::OsStrExt as _, path::Path, ptr};

use windows_sys::Win32::{
    Foundation::{CloseHandle, HANDLE, INVALID_HANDLE_VALUE},
    NetworkManagement::IpHelper::{FreeMibTable, GetIfTable2, MIB_IF_TABLE2},
    Storage::FileSystem::{CreateFileW, FILE_SHARE_READ, FILE_SHARE_WRITE, OPEN_EXISTING},
    System::{
        IO::DeviceIoControl,
        Ioctl::{
            IOCTL_STORAGE_QUERY_PROPERTY, PropertyStandardQuery, STORAGE_DEVICE_DESCRIPTOR,
            STORAGE_PROPERTY_QUERY, StorageDeviceProperty,
        },
        SystemInformation::{GetSystemFirmwareTable, GetSystemWindowsDirectoryW, RSMB},
    },
};

use super::{Said, smbios};

/// Larger than any table of firmware, bytes.
const MOST_TABLE: u32 = 1024 * 1024;
/// Larger than any disk's description, bytes.
const MOST_DESCRIPTION: usize = 4096;
const ETHERNET: u32 = 6;
const WIRELESS: u32 = 71;
/// Of an adapter's flags: it is a piece of hardware.
const HARDWARE: u8 = 1;

pub(super) fn said() -> Said {
    Said {
        disk: system_volume()
            .map(|volume| serial(&volume))
            .unwrap_or_default(),
        macs: macs(),
        ..smbios::from_windows(&firmware())
    }
}

fn firmware() -> Vec<u8> {
    // SAFETY: with no buffer the call only answers how long one must be.
    let length = unsafe { GetSystemFirmwareTable(RSMB, 0, ptr::null_mut(), 0) };
    if length == 0 || length > MOST_TABLE {
        return Vec::new();
    }
    let mut table = vec![0_u8; length as usize];
    // SAFETY: the buffer is as long as is said.
    let found = unsafe { GetSystemFirmwareTable(RSMB, 0, table.as_mut_ptr().cast(), length) };
    table.truncate(found.min(length) as usize);
    table
}

/// The volume that Windows lies on, as a device: `\\.\C:`.
fn system_volume() -> Option<String> {
    let mut path = [0_u16; 260];
    // SAFETY: the buffer is as long as is said.
    let length = unsafe { GetSystemWindowsDirectoryW(path.as_mut_ptr(), 260) } as usize;
    let path = String::from_utf16_lossy(path.get(..length)?);
    let drive = path.get(..2).filter(|drive| drive.ends_with(':'))?;
    Some(format!(r"\\.\{drive}"))
}

/// A handle that is closed.
struct Device(HANDLE);

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: opened here, and closed once.
        unsafe { CloseHandle(self.0) };
    }
}

fn open(path: &Path) -> Option<Device> {
    let name: Vec<u16> = OsStr::new(path).encode_wide().chain([0]).collect();
    // Without access to the contents: anybody may ask what a disk is.
    // SAFETY: the name ends with 0 and outlives the call.
    let handle = unsafe {
        CreateFileW(
            name.as_ptr(),
            0,
            FILE_SHARE_READ | FILE_SHARE_WRITE,
            ptr::null(),
            OPEN_EXISTING,
            0,
            ptr::null_mut(),
        )
    };
    (handle != INVALID_HANDLE_VALUE).then_some(Device(handle))
}

fn serial(volume: &str) -> String {
    let Some(device) = open(Path::new(volume)) else {
        return String::new();
    };
    let query = STORAGE_PROPERTY_QUERY {
        PropertyId: StorageDeviceProperty,
        QueryType: PropertyStandardQuery,
        AdditionalParameters: [0],
    };
    // In words of 8 bytes, so that the description lies as it must.
    let mut answer = vec![0_u64; MOST_DESCRIPTION / 8];
    let mut found = 0_u32;
    // SAFETY: both buffers are as long as is said, and outlive the call, which does not go on by itself.
    let done = unsafe {
        DeviceIoControl(
            device.0,
            IOCTL_STORAGE_QUERY_PROPERTY,
            ptr::from_ref(&query).cast(),
            u32::try_from(mem::size_of_val(&query)).unwrap_or(0),
            answer.as_mut_ptr().cast(),
            u32::try_from(MOST_DESCRIPTION).unwrap_or(0),
            &raw mut found,
            ptr::null_mut(),
        )
    };
    let bytes: Vec<u8> = answer.iter().flat_map(|word| word.to_ne_bytes()).collect();
    if done == 0 || (found as usize) < mem::size_of::<STORAGE_DEVICE_DESCRIPTOR>() {
        return String::new();
    }
    let at = mem::offset_of!(STORAGE_DEVICE_DESCRIPTOR, SerialNumberOffset);
    let offset = bytes[at..at + 4]
        .iter()
        .rev()
        .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    let text = bytes
        .get(offset..found as usize)
        .filter(|_| offset > 0)
        .unwrap_or_default();
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).trim().to_owned()
}

fn macs() -> Vec<[u8; 6]> {
    let mut table: *mut MIB_IF_TABLE2 = ptr::null_mut();
    // SAFETY: the call puts a table there, or fails.
    if unsafe { GetIfTable2(&raw mut table) } != 0 || table.is_null() {
        return Vec::new();
    }
    // SAFETY: the table has as many rows as it says, and lives until it is freed below.
    let rows = unsafe {
        std::slice::from_raw_parts(
            (&raw const (*table).Table).cast(),
            (*table).NumEntries as usize,
        )
    };
    let rows: &[windows_sys::Win32::NetworkManagement::IpHelper::MIB_IF_ROW2] = rows;
    let macs = rows
        .iter()
        .filter(|row| row.InterfaceAndOperStatusFlags._bitfield & HARDWARE != 0)
        .filter(|row| matches!(row.Type, ETHERNET | WIRELESS) && row.PhysicalAddressLength == 6)
        .map(|row| {
            let mut mac = [0; 6];
            mac.copy_from_slice(&row.PermanentPhysicalAddress[..6]);
            mac
        })
        .collect();
    // SAFETY: given by the call above, and freed once.
    unsafe { FreeMibTable(table.cast()) };
    macs
}
