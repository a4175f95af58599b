//! [`waited_for`]: whether a program that reads what a project names (Deno, esbuild, cargo) waits for a FIFO among it,
//! for as long as nobody writes there. `loader/js` and the command line ask while such a program runs.
//!
//! Linux tells; elsewhere nothing is known.

use std::path::PathBuf;

/// The FIFO that a process, or one that it has started, reads from or is about to open. Its path, if that is known:
/// until somebody opens its other end as well it is not.
#[cfg(target_os = "linux")]
pub fn waited_for(process: u32) -> Option<Option<PathBuf>> {
    let mut left = vec![process];
    let mut seen = std::collections::HashSet::new();
    while let Some(process) = left.pop() {
        if !seen.insert(process) {
            continue;
        }
        if let Some(path) = linux::open(process) {
            return Some(Some(path));
        }
        for task in linux::entries(&format!("/proc/{process}/task")) {
            let read = |name: &str| std::fs::read_to_string(task.join(name)).unwrap_or_default();
            if read("wchan") == "wait_for_partner" {
                return Some(None);
            }
            let children = read("children");
            left.extend(
                children
                    .split_whitespace()
                    .filter_map(|it| it.parse::<u32>().ok()),
            );
        }
    }
    None
}

/// No other system tells.
#[cfg(not(target_os = "linux"))]
pub fn waited_for(_process: u32) -> Option<Option<PathBuf>> {
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs,
        os::unix::fs::FileTypeExt,
        path::{Path, PathBuf},
    };

    pub(super) fn entries(folder: &str) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|it| it.path())
    }

    /// A FIFO with a path that this process has open to read. Pipes have no path, and the FIFO that a `make` hands
    /// down is open to write as well.
    pub(super) fn open(process: u32) -> Option<PathBuf> {
        entries(&format!("/proc/{process}/fd")).find_map(|fd| {
            let path = fs::read_link(&fd).ok().filter(|it| it.is_absolute())?;
            let is_fifo = fs::metadata(&fd).is_ok_and(|it| it.file_type().is_fifo());
            (is_fifo && is_read_only(process, &fd)).then_some(path)
        })
    }

    fn is_read_only(process: u32, fd: &Path) -> bool {
        let number = fd.file_name().unwrap_or_default().to_string_lossy();
        let info = fs::read_to_string(format!("/proc/{process}/fdinfo/{number}"));
        let info = info.unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        // The last two bits say how it was opened.
        flags.is_some_and(|it| u32::from_str_radix(it.trim(), 8).is_ok_and(|it| it & 3 == 0))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::{
        fs::OpenOptions,
        process::{Child, Command, Stdio},
        thread,
        time::Duration,
    };

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_fifo_is_waited_for_with_and_without_a_writer() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let (kind, mode) = (rustix::fs::FileType::Fifo, 0o600.into());
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
        // By a program that this one has started.
        let mut reader = Command::new("sh");
        reader
            .args(["-c", "cat \"$0\"; :"])
            .arg(&fifo)
            .stdout(Stdio::null());
        let reader = Ended(reader.spawn().unwrap());
        let waits = || loop {
            match waited_for(reader.0.id()) {
                Some(path) => return path,
                None => thread::sleep(Duration::from_millis(1)),
            }
        };
        assert_eq!(waits(), None);
        let _writer = OpenOptions::new().write(true).open(&fifo).unwrap();
        let path = loop {
            match waits() {
                Some(path) => break path,
                None => thread::sleep(Duration::from_millis(1)),
            }
        };
        assert_eq!(path, fifo.canonicalize().unwrap());
    }

    #[test]
    fn pipes_and_what_make_hands_down_are_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let (kind, mode) = (rustix::fs::FileType::Fifo, 0o600.into());
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
        let mut program = Command::new("sh");
        program
            .args(["-c", "exec 3<> \"$0\"; echo; read it"])
            .arg(&fifo);
        program.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = Ended(program.spawn().unwrap());
        // It says a line once it has the FIFO open.
        let mut line = [0];
        std::io::Read::read_exact(&mut program.0.stdout.take().unwrap(), &mut line).unwrap();
        assert_eq!(waited_for(program.0.id()), None);
    }
}
