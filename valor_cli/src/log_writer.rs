//! Buffers log lines and writes them on a separate thread, so that no request waits for a write.
//!
//! `logging` uses one instead of standard error. While the reader keeps up, a line waits for at most [`GATHER`]. If it
//! does not, up to [`MOST`] bytes of lines are kept. Further lines are dropped and counted, and the log gets the count
//! as soon as there is room. So memory is bounded, requests never wait for the log, and no loss goes unnoticed.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use valor_runtime::lock::{locked, wait};

/// How long lines gather before they are written together.
const GATHER: Duration = Duration::from_millis(20);
/// The number of bytes that are written at once, without gathering more.
const ENOUGH: usize = 64 * 1024;
/// The most bytes that may wait.
const MOST: usize = 8 * 1024 * 1024;
/// How long [`LogWriter::flush`] waits for a reader that has stopped reading.
const FLUSH: Duration = Duration::from_secs(2);

/// A handle to the thread that writes; clones share it.
#[derive(Clone)]
pub struct LogWriter(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<Queue>,
    /// There is something to write, or enough of it, or someone waits for it.
    wanted: Condvar,
    /// Everything is written.
    written: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: Vec<u8>,
    lost: u64,
    writing: bool,
    hurry: bool,
    /// The error of a failed write, if any.
    failed: Option<io::Error>,
}

impl LogWriter {
    /// Starts the thread, which lives as long as the program.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Self(shared.clone());
        std::thread::Builder::new()
            .name("valor-log".into())
            .spawn(move || {
                let mut lines = Vec::new();
                loop {
                    let lost = shared.take(&mut lines);
                    shared.done(out.write_all(&lines).and_then(|()| out.flush()));
                    if lost > 0 {
                        log::warn!(
                            target: "valor::log", lost = lost;
                            "{lost} lines are missing here: they came faster than they could be written"
                        );
                    }
                }
            })?;
        Ok(writer)
    }

    /// Whether writing has failed so far. If standard error is gone, only the exit code can tell.
    ///
    /// # Errors
    /// The error of the write; it is returned once.
    pub fn written(&self) -> io::Result<()> {
        self.flush();
        match self.0.locked().failed.take() {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// Waits until all lines are written, for at most two seconds.
    pub fn flush(&self) {
        let deadline = Instant::now() + FLUSH;
        let mut state = self.0.locked();
        state.hurry = true;
        self.0.wanted.notify_one();
        while state.writing || !state.lines.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = wait(&self.0.written, state, Some(left));
        }
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, Queue> {
        locked(&self.state)
    }

    /// Waits for lines and takes them, with the number of lines that were lost before them.
    fn take(&self, lines: &mut Vec<u8>) -> u64 {
        lines.clear();
        let mut state = self.locked();
        while state.lines.is_empty() {
            state.hurry = false;
            state = wait(&self.wanted, state, None);
        }
        let deadline = Instant::now() + GATHER;
        while !state.hurry && state.lines.len() < ENOUGH {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = wait(&self.wanted, state, Some(left));
        }
        std::mem::swap(&mut state.lines, lines);
        state.writing = true;
        std::mem::take(&mut state.lost)
    }

    fn done(&self, written: io::Result<()>) {
        let mut state = self.locked();
        state.writing = false;
        state.failed = state.failed.take().or(written.err());
        if state.lines.is_empty() {
            self.written.notify_all();
        }
    }
}

impl Write for LogWriter {
    /// Takes whole lines; each call is one record.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.locked();
        let before = state.lines.len();
        if before + line.len() > MOST {
            state.lost += 1;
            return Ok(line.len());
        }
        state.lines.extend_from_slice(line);
        let enough = before < ENOUGH && state.lines.len() >= ENOUGH;
        if before == 0 || enough {
            self.0.wanted.notify_one();
        }
        Ok(line.len())
    }

    /// Does nothing: env_logger calls it for each record. [`LogWriter::flush`] waits.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A reader that reports each write, and takes it when the test tells it to.
    struct Gate {
        came: Sender<()>,
        open: Receiver<()>,
        seen: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.came.send(());
            let _ = self.open.recv();
            self.seen.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Log {
        writer: LogWriter,
        came: Receiver<()>,
        open: Sender<()>,
        seen: Arc<Mutex<Vec<u8>>>,
    }

    fn log() -> Log {
        let (came_sender, came) = channel();
        let (open, open_receiver) = channel();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let gate = Gate {
            came: came_sender,
            open: open_receiver,
            seen: seen.clone(),
        };
        let writer = LogWriter::start(gate).unwrap();
        Log {
            writer,
            came,
            open,
            seen,
        }
    }

    /// Everything that arrives once the reader reads.
    fn arrives(log: Log, bytes: usize) -> Vec<u8> {
        drop(log.open);
        // On a busy machine one flush may time out.
        for _ in 0..30 {
            log.writer.flush();
            if log.seen.lock().unwrap().len() >= bytes {
                break;
            }
        }
        std::mem::take(&mut *log.seen.lock().unwrap())
    }

    #[test]
    fn lines_arrive_whole_and_in_order() {
        let mut log = log();
        let mut expected = Vec::new();
        for number in 0..10_000 {
            let line = format!("line {number}\n");
            log.writer.write_all(line.as_bytes()).unwrap();
            expected.extend_from_slice(line.as_bytes());
        }
        assert!(arrives(log, expected.len()) == expected);
    }

    #[test]
    fn a_reader_that_stops_costs_bounded_memory_and_no_waiting() {
        let mut log = log();
        log.writer.write_all(b"first\n").unwrap();
        log.came.recv().unwrap();
        // The reader has the first line and stops; the function returns what is written.
        let line = vec![b'x'; MOST / 8];
        for _ in 0..64 {
            log.writer.write_all(&line).unwrap();
        }
        let state = log.writer.0.locked();
        assert_eq!((state.lines.len(), state.lost), (MOST, 64 - 8));
        drop(state);
        assert_eq!(arrives(log, 6 + MOST).len(), 6 + MOST);
    }
}
