//! What the system knows about a process and its children: processor time and memory.

use std::{
    fs, io,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// The processor time so far of a process and its children, user and system.
///
/// # Errors
/// If the process has gone, or if the system has no `/proc`.
pub fn cpu(pid: u32) -> io::Result<Duration> {
    let mut nanos = 0;
    for task in tasks(pid)? {
        // The first number is the nanoseconds on a processor (the kernel's documentation, sched-stats).
        let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        let first = text.split_whitespace().next();
        nanos += first.and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
    }
    let mut all = Duration::from_nanos(nanos);
    for child in children(pid)? {
        all += cpu(child)?;
    }
    Ok(all)
}

/// The resident memory of a process and its children, in bytes.
///
/// # Errors
/// If the process has gone, or if the system has no `/proc`.
pub fn resident(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    let mut all = kib.unwrap_or(0) * 1024;
    for child in children(pid)? {
        all += resident(child)?;
    }
    Ok(all)
}

/// The memory of a process and its children, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// The pages that are in memory, for each process.
    pub resident: u64,
    /// The same, but a page that several processes have is divided among them.
    pub proportional: u64,
}

/// The memory of a process and its children.
///
/// # Errors
/// If the process has gone, or if the system has no `/proc`.
pub fn memory(pid: u32) -> io::Result<Memory> {
    let mut all = Memory::default();
    for pid in tree(pid)? {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib: Option<u64> =
                line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            kib.unwrap_or(0) * 1024
        };
        all.resident += bytes("Rss:");
        all.proportional += bytes("Pss:");
    }
    Ok(all)
}

/// A process and all its descendants.
///
/// # Errors
/// If the process has gone, or if the system has no `/proc`.
pub fn tree(pid: u32) -> io::Result<Vec<u32>> {
    let mut all = vec![pid];
    for child in children(pid)? {
        all.extend(tree(child)?);
    }
    Ok(all)
}

fn tasks(pid: u32) -> io::Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

fn children(pid: u32) -> io::Result<Vec<u32>> {
    let of_task = |task: &Path| fs::read_to_string(task.join("children")).unwrap_or_default();
    let texts = tasks(pid)?
        .iter()
        .map(|task| of_task(task))
        .collect::<String>();
    Ok(texts
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect())
}

/// Ends what traces a process, and waits until the process is on its own. callgrind is controlled by tracing it.
///
/// # Errors
/// If the process has gone, or is still traced after ten seconds.
pub fn untrace(pid: u32) -> io::Result<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mut lines = status.lines();
        match lines.find_map(|line| line.strip_prefix("TracerPid:")) {
            None | Some("\t0") => return Ok(()),
            Some(tracer) => Command::new("kill").arg(tracer.trim()).status()?,
        };
        thread::sleep(Duration::from_millis(50));
    }
    Err(io::Error::other("the tracer does not end"))
}

/// Waits until somebody listens.
///
/// # Errors
/// If nobody does within ten seconds.
pub fn wait_for(addr: SocketAddr) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(addr) {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > Duration::from_secs(10) => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
