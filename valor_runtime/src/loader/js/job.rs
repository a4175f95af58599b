//! [`hold`]: on Windows, no Deno outlives this process, whatever ends it.
//!
//! `process` and `asked` call this for every Deno that they start. It comes into a job object of this process. When the
//! process ends, the system closes the job's only handle, and ends everything in the job. A Deno also ends by itself
//! when its link to Valor breaks off, but only if nothing keeps it from that.

#![allow(unsafe_code)] // A boundary: each block states the invariant it leans on.

use std::{
    io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
    sync::OnceLock,
};
use windows_sys::Win32::System::{
    JobObjects::{
        AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
        JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
        SetInformationJobObject,
    },
    Threading::{OpenProcess, PROCESS_SET_QUOTA, PROCESS_TERMINATE},
};

/// Has a process end with this one. It runs, or was not waited for yet.
///
/// # Errors
/// If the system has no job for it, with the system's reason.
pub(super) fn hold(process: u32) -> io::Result<()> {
    // SAFETY: It takes no pointer, and gives a handle of our own, or null.
    let process = unsafe {
        owned(OpenProcess(
            PROCESS_SET_QUOTA | PROCESS_TERMINATE,
            0,
            process,
        ))
    }?;
    // SAFETY: Both handles are open for as long as this runs.
    let is_in =
        unsafe { AssignProcessToJobObject(job()?.as_raw_handle(), process.as_raw_handle()) };
    done(is_in)
}

/// The job of this process. Its handle is never closed before the process ends.
fn job() -> io::Result<&'static OwnedHandle> {
    static JOB: OnceLock<Result<OwnedHandle, Option<i32>>> = OnceLock::new();
    let job = JOB.get_or_init(|| create().map_err(|error| error.raw_os_error()));
    let error =
        |code: &Option<i32>| code.map_or(io::ErrorKind::Other.into(), io::Error::from_raw_os_error);
    job.as_ref().map_err(error)
}

fn create() -> io::Result<OwnedHandle> {
    // SAFETY: Without attributes and a name, it gives a handle of our own that no child inherits, or null.
    let job = unsafe { owned(CreateJobObjectW(ptr::null(), ptr::null())) }?;
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    let size = u32::try_from(size_of_val(&limits)).expect("a few hundred bytes");
    // SAFETY: The pointer is to a value of the type that this class of information has, of this size.
    let is_set = unsafe {
        SetInformationJobObject(
            job.as_raw_handle(),
            JobObjectExtendedLimitInformation,
            ptr::from_ref(&limits).cast(),
            size,
        )
    };
    done(is_set).map(|()| job)
}

/// A handle that closes when it is dropped.
///
/// # Safety
/// Nobody else closes it; null stands for the system's last error.
unsafe fn owned(handle: *mut core::ffi::c_void) -> io::Result<OwnedHandle> {
    match handle.is_null() {
        true => Err(io::Error::last_os_error()),
        // SAFETY: It is open, and the caller's alone.
        false => Ok(unsafe { OwnedHandle::from_raw_handle(handle) }),
    }
}

fn done(outcome: i32) -> io::Result<()> {
    match outcome {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
