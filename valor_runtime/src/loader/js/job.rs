//! [`spawn`]: on Windows, no Deno outlives this process, whatever ends it.
//!
//! `process` and `asked` start every Deno with this. It comes into a job object of this process before it runs at all:
//! the system takes no process into a job that has ended, and what one starts before it is taken stays outside. When
//! this process ends, the system closes the job's only handle, and ends everything in the job. A Deno also ends by
//! itself when its link to Valor breaks off, but only if nothing keeps it from that.

#![allow(unsafe_code)] // A boundary: each block states the invariant it leans on.

use smol::process::{Child, Command, windows::CommandExt};
use std::{
    io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
    sync::OnceLock,
};
use windows_sys::Win32::{
    Foundation::INVALID_HANDLE_VALUE,
    System::{
        Diagnostics::ToolHelp::{
            CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
        },
        JobObjects::{
            AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
            JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
            SetInformationJobObject,
        },
        Threading::{
            CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW, CREATE_SUSPENDED, OpenThread, ResumeThread,
            THREAD_SUSPEND_RESUME,
        },
    },
};

/// Starts a program that ends with this process.
///
/// # Errors
/// The system's reason, also if it has no job for it; the program has not run then.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    release(suspended(command)?)
}

/// Starts a program that does not run yet.
fn suspended(command: &mut Command) -> io::Result<Child> {
    // Ctrl-Break reaches everything on a console, so it gets a separate one, without a window.
    let apart = CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW;
    command.creation_flags(apart | CREATE_SUSPENDED).spawn()
}

/// Takes a program that does not run yet into the job, and lets it run.
fn release(mut child: Child) -> io::Result<Child> {
    let released = hold(&child).and_then(|()| resume(child.id()));
    if released.is_err() {
        // Nobody else could.
        let _ = child.kill();
    }
    released.map(|()| child)
}

fn hold(child: &Child) -> io::Result<()> {
    // SAFETY: Both handles are open for as long as this runs.
    let is_in = unsafe { AssignProcessToJobObject(job()?.as_raw_handle(), child.as_raw_handle()) };
    done(is_in)
}

/// Lets a process run that was started suspended. The number is not another's by now: the caller has a handle to it.
fn resume(process: u32) -> io::Result<()> {
    let threads = threads(process)?;
    for id in &threads {
        // SAFETY: It takes no pointer, and gives a handle of our own, or null.
        let thread = unsafe { owned(OpenThread(THREAD_SUSPEND_RESUME, 0, *id)) }?;
        // SAFETY: The handle is open for as long as this runs.
        if unsafe { ResumeThread(thread.as_raw_handle()) } == u32::MAX {
            return Err(io::Error::last_os_error());
        }
    }
    match threads.is_empty() {
        true => Err(io::ErrorKind::NotFound.into()),
        false => Ok(()),
    }
}

/// The threads of a process: one, if it was started suspended. The standard library has closed the handle of that one,
/// and the system lists threads only all together.
fn threads(process: u32) -> io::Result<Vec<u32>> {
    // SAFETY: It takes no pointer.
    let all = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) };
    if all == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: It is a handle of our own.
    let all = unsafe { owned(all) }?;
    let size = u32::try_from(size_of::<THREADENTRY32>()).expect("a few bytes");
    let mut thread = THREADENTRY32 {
        dwSize: size,
        ..THREADENTRY32::default()
    };
    let mut found = Vec::new();
    // SAFETY: The handle is open, and the pointer is to a value that says its size; so it is below.
    let mut is_one = unsafe { Thread32First(all.as_raw_handle(), &raw mut thread) };
    while is_one != 0 {
        if thread.th32OwnerProcessID == process {
            found.push(thread.th32ThreadID);
        }
        // SAFETY: As above.
        is_one = unsafe { Thread32Next(all.as_raw_handle(), &raw mut thread) };
    }
    Ok(found)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{thread::sleep, time::Duration};

    #[test]
    fn a_program_that_ends_at_once_is_started_by_a_slow_system_too() {
        let mut command = Command::new("cmd");
        let child = suspended(command.args(["/c", "exit 7"])).unwrap();
        // Whatever takes this long: a busy processor, an antivirus program, or Wine, which starts no thread while
        // another one reserves the addresses of all instances of modules.
        sleep(Duration::from_secs(3));
        let mut child = release(child).unwrap();
        let status = smol::block_on(child.status()).unwrap();
        assert_eq!(status.code(), Some(7));
    }
}
