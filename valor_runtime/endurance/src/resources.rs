//! What the system grants a process: file descriptors for this one, memory for the server.

use std::{error::Error, io};

/// Raises this process's limit of open files to the allowed maximum, which must be at least `count`. The server
/// inherits it.
#[cfg(unix)]
pub fn allow_descriptors(count: u64) -> Result<(), Box<dyn Error>> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|most| most < count) {
        let most = limit.maximum.unwrap_or_default();
        return Err(format!(
            "{count} open files are needed, and {most} are allowed: raise the hard limit (`ulimit -Hn {count}`), or \
             ask for fewer connections"
        )
        .into());
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub fn allow_descriptors(_count: u64) -> Result<(), Box<dyn Error>> {
    Ok(())
}

/// A process's memory in bytes.
#[cfg(target_os = "linux")]
pub fn resident(pid: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let kib = kib.ok_or_else(|| io::Error::other("the server's memory is not told"))?;
    Ok(kib * 1024)
}

/// Only Linux is measured.
#[cfg(not(target_os = "linux"))]
pub fn resident(_pid: u32) -> io::Result<u64> {
    Err(io::Error::other(
        "the memory of a process is measured on Linux alone: run this there",
    ))
}
