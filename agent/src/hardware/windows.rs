//! What Windows says of its hardware: the firmware's table, the system disk, built-in adapters.

#![expect(unsafe_code, reason = "calls into Windows; each says why it is sound")]

use std::{
    fs::{File, OpenOptions},
    io, mem,
    os::windows::{fs::OpenOptionsExt as _, io::AsRawHandle as _},
    ptr,
};

use windows::Win32::{
    Foundation::{ERROR_SUCCESS, HANDLE},
    NetworkManagement::IpHelper::{FreeMibTable, GetIfTable2, MIB_IF_ROW2, MIB_IF_TABLE2},
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
    let length = unsafe { GetSystemFirmwareTable(RSMB, 0, None) };
    if length == 0 || length > MOST_TABLE {
        return Vec::new();
    }
    let mut table = vec![0_u8; length as usize];
    // SAFETY: it writes no more than the buffer holds.
    let found = unsafe { GetSystemFirmwareTable(RSMB, 0, Some(&mut table)) };
    table.truncate(found.min(length) as usize);
    table
}

/// The volume that Windows lies on, as a device: `\\.\C:`.
fn system_volume() -> Option<String> {
    let mut path = [0_u16; 260];
    // SAFETY: it writes no more than the buffer holds.
    let length = unsafe { GetSystemWindowsDirectoryW(Some(&mut path)) } as usize;
    let path = String::from_utf16_lossy(path.get(..length)?);
    let drive = path.get(..2).filter(|drive| drive.ends_with(':'))?;
    Some(format!(r"\\.\{drive}"))
}

/// Without access to the contents: anybody may ask what a disk is.
fn open(volume: &str) -> io::Result<File> {
    OpenOptions::new().access_mode(0).open(volume)
}

fn serial(volume: &str) -> String {
    let Ok(device) = open(volume) else {
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
            HANDLE(device.as_raw_handle()),
            IOCTL_STORAGE_QUERY_PROPERTY,
            Some(ptr::from_ref(&query).cast()),
            u32::try_from(mem::size_of_val(&query)).unwrap_or(0),
            Some(answer.as_mut_ptr().cast()),
            u32::try_from(MOST_DESCRIPTION).unwrap_or(0),
            Some(&raw mut found),
            None,
        )
    };
    let bytes: Vec<u8> = answer.iter().flat_map(|word| word.to_ne_bytes()).collect();
    if done.is_err() || (found as usize) < mem::size_of::<STORAGE_DEVICE_DESCRIPTOR>() {
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
    if unsafe { GetIfTable2(&raw mut table) } != ERROR_SUCCESS || table.is_null() {
        return Vec::new();
    }
    // SAFETY: the table has as many rows as it says, and lives until it is freed below.
    let rows = unsafe {
        std::slice::from_raw_parts(
            (&raw const (*table).Table).cast::<MIB_IF_ROW2>(),
            (*table).NumEntries as usize,
        )
    };
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
