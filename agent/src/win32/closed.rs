//! Whose a file or folder is, and who may open it: by handle, so that what was judged is what is closed.
//!
//! Not responsible for what follows from an owner (`install`).

use std::{
    fs::{File, OpenOptions},
    io,
    os::windows::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _},
        io::AsRawHandle as _,
    },
    path::Path,
    ptr,
};

use windows::{
    Win32::{
        Foundation::{HANDLE, HLOCAL, LocalFree},
        Security::{
            ACL,
            Authorization::{
                ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo,
                SDDL_REVISION_1, SE_FILE_OBJECT, SetSecurityInfo,
            },
            DACL_SECURITY_INFORMATION, GetSecurityDescriptorDacl, IsWellKnownSid,
            OWNER_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR,
            PSID, SECURITY_ATTRIBUTES, WinBuiltinAdministratorsSid, WinLocalSystemSid,
        },
        Storage::FileSystem::{
            CreateDirectoryW, FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_BACKUP_SEMANTICS,
            FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES, READ_CONTROL, WRITE_DAC,
        },
    },
    core::{BOOL, HSTRING, PCWSTR},
};

use super::{bytes_of, reason};

/// Whose something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The system's or its administrators'.
    Trusted,
    /// A person's, or that of a group of people.
    Other,
    /// The system does not tell us.
    Unknown,
}

/// What lies at a path; a link itself, never what it leads to.
#[derive(Debug)]
pub struct Found {
    /// Whose it is.
    pub owner: Owner,
    /// A link, a junction, or anything else that may lead elsewhere.
    pub link: bool,
    /// `None` where we may not even ask.
    open: Option<File>,
}

/// Looks at what lies at a path; `None` where nothing does.
///
/// # Errors
/// The system's own, but for its refusal: then nothing is known of the owner.
pub fn look(at: &Path) -> io::Result<Option<Found>> {
    let opened = OpenOptions::new()
        .access_mode(READ_CONTROL.0 | WRITE_DAC.0 | FILE_READ_ATTRIBUTES.0)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS.0 | FILE_FLAG_OPEN_REPARSE_POINT.0)
        .open(at);
    match opened {
        Ok(file) => Ok(Some(Found {
            owner: owner(&file),
            link: file.metadata()?.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT.0 != 0,
            open: Some(file),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Some(Found {
            owner: Owner::Unknown,
            link: false,
            open: None,
        })),
        Err(error) => Err(error),
    }
}

fn owner(of: &File) -> Owner {
    let (mut owner, mut whole) = (PSID::default(), PSECURITY_DESCRIPTOR::default());
    // SAFETY: the handle is open as long as `of`; two pointers are written, the first into what the second holds, which
    // is freed below.
    let told = unsafe {
        GetSecurityInfo(
            HANDLE(of.as_raw_handle()),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION,
            Some(&raw mut owner),
            None,
            None,
            None,
            Some(&raw mut whole),
        )
    };
    let _whole = Descriptor(whole);
    if told.is_err() || owner.is_invalid() {
        return Owner::Unknown;
    }
    let trusted = [WinLocalSystemSid, WinBuiltinAdministratorsSid];
    // SAFETY: the owner lives in what is freed when this function ends.
    let is = |known: &_| unsafe { IsWellKnownSid(owner, *known) }.as_bool();
    if trusted.iter().any(is) {
        Owner::Trusted
    } else {
        Owner::Other
    }
}

impl Found {
    /// Lets in whom `sddl` says, also to what lies in it, and nobody else: what its own folder says no longer holds.
    ///
    /// # Errors
    /// The system's own; `PermissionDenied` where it was not even told whose it is.
    pub fn close(&self, sddl: &str) -> io::Result<()> {
        let open = self.open.as_ref();
        let open = open.ok_or(io::ErrorKind::PermissionDenied)?;
        let descriptor = Descriptor::from(sddl)?;
        let (mut there, mut usual) = (BOOL::default(), BOOL::default());
        let mut list = ptr::null_mut::<ACL>();
        // SAFETY: the descriptor lives until the end; three words are written, the list's place within it.
        unsafe {
            GetSecurityDescriptorDacl(descriptor.0, &raw mut there, &raw mut list, &raw mut usual)?;
        }
        if list.is_null() {
            // It would let in everybody.
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: the handle is open as long as `open`; the list lives in the descriptor.
        unsafe {
            SetSecurityInfo(
                HANDLE(open.as_raw_handle()),
                SE_FILE_OBJECT,
                DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION,
                None,
                None,
                Some(list.cast_const()),
                None,
            )
        }
        .ok()
        .map_err(|error| reason(&error))
    }
}

/// Makes a folder that belongs to whom `sddl` says and lets in whom it says from its first moment.
///
/// # Errors
/// `AlreadyExists` where anything has that name; the system's own.
pub fn make_folder(at: &Path, sddl: &str) -> io::Result<()> {
    let path: Vec<u16> = at.as_os_str().encode_wide().chain([0]).collect();
    let descriptor = Descriptor::from(sddl)?;
    let attributes = descriptor.attributes();
    // SAFETY: path, descriptor and structure live until the call is over; the path ends with 0.
    unsafe { CreateDirectoryW(PCWSTR(path.as_ptr()), Some(&raw const attributes)) }
        .map_err(|error| reason(&error))
}

/// A security descriptor of the system's making, freed when it is done with.
pub(super) struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    /// What a text in the system's own notation says.
    pub(super) fn from(sddl: &str) -> io::Result<Self> {
        let mut descriptor = PSECURITY_DESCRIPTOR::default();
        // SAFETY: it writes one pointer, which is freed on drop.
        unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                &HSTRING::from(sddl),
                SDDL_REVISION_1,
                &raw mut descriptor,
                None,
            )?;
        }
        Ok(Self(descriptor))
    }

    /// For a call that makes something; good for as long as the descriptor.
    pub(super) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: bytes_of::<SECURITY_ATTRIBUTES>(),
            lpSecurityDescriptor: self.0.0,
            bInheritHandle: false.into(),
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: it was allocated for us, and nobody has it any more; freeing nothing does nothing. Nothing can be done
        // where it fails.
        unsafe { LocalFree(Some(HLOCAL(self.0.0))) };
    }
}
