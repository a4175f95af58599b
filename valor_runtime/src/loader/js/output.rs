//! What a script says, held to a rate: [`Lines`]. What a Deno writes to its standard output and error by itself, past
//! `console`, becomes lines of the log here too, in time that grows with its length alone.
//!
//! `outward` logs what `console` says through it. `process` reads from here how a process ended that could not say so.

use super::hints::plain;
use crate::escape::{more, one_line};
use futures_lite::{AsyncRead, AsyncReadExt, future};
use smol::{
    Timer,
    process::{ChildStderr, ChildStdout},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A line that is longer is cut.
const LINE: usize = 8 * 1024;
/// What is read at once.
const READ: usize = 64 * 1024;
/// Lines and bytes that are logged in a second.
const LINES: u32 = 2000;
const BYTES: usize = 1 << 20;
const WINDOW: Duration = Duration::from_secs(1);
/// What V8 says then.
const OUT_OF_MEMORY: &[u8] = b"JavaScript out of memory";
/// Between two reads of a flood.
const PAUSE: Duration = Duration::from_millis(1);

/// How much of what one source says is logged. What is over that is counted, and the count is logged.
pub(super) struct Lines {
    name: String,
    state: Mutex<Window>,
}

/// The second that runs.
struct Window {
    since: Instant,
    lines: u32,
    bytes: usize,
    left_out: u64,
}

impl Lines {
    /// For what is logged as that of this vlugin.
    pub(super) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            state: Mutex::new(Window {
                since: Instant::now(),
                lines: 0,
                bytes: 0,
                left_out: 0,
            }),
        })
    }

    /// Whether a line of so many bytes is to be logged.
    pub(super) fn admit(self: &Arc<Self>, bytes: usize) -> bool {
        let mut window = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if window.left_out == 0 && window.since.elapsed() >= WINDOW {
            (window.since, window.lines, window.bytes) = (Instant::now(), 0, 0);
        }
        if window.left_out == 0 && window.lines < LINES && window.bytes < BYTES {
            window.lines += 1;
            window.bytes = window.bytes.saturating_add(bytes);
            return true;
        }
        self.count(&mut window, 1);
        false
    }

    /// Notes that lines were left out before they came here.
    pub(super) fn leave_out(self: &Arc<Self>, count: u64) {
        let mut window = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.count(&mut window, count);
    }

    fn count(self: &Arc<Self>, window: &mut Window, more: u64) {
        if window.left_out == 0 {
            let lines = self.clone();
            let end = window.since + WINDOW;
            smol::spawn(async move {
                Timer::at(end).await;
                lines.tell();
            })
            .detach();
        }
        window.left_out = window.left_out.saturating_add(more);
    }

    /// Says how many lines were left out, and begins anew.
    fn tell(&self) {
        let mut window = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = std::mem::take(&mut window.left_out);
        (window.since, window.lines, window.bytes) = (Instant::now(), 0, 0);
        drop(window);
        let name = &*self.name;
        log::warn!(
            target: "valor::js", vlugin = name;
            "{left_out} lines of `{name}` were left out: at most {LINES} lines and {BYTES} bytes are logged in a second"
        );
    }

    fn is_flooded(&self) -> bool {
        let window = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        window.left_out > 0
    }
}

/// What was said until the end.
#[derive(Default)]
pub(super) struct Said {
    /// The last line.
    pub(super) last: String,
    /// Whether V8 has told that there was no memory left.
    pub(super) out_of_memory: bool,
    /// The last line, if it was left out.
    left_out: Begun,
}

/// Logs both until they end.
pub(super) fn log(
    name: &str,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
) -> smol::Task<Said> {
    let lines = Lines::new(name);
    smol::spawn(async move {
        let (_, said) = future::zip(read(&lines, stdout), read(&lines, stderr)).await;
        said
    })
}

async fn read(lines: &Arc<Lines>, stream: Option<impl AsyncRead + Unpin>) -> Said {
    let mut said = Said::default();
    let Some(mut stream) = stream else {
        return said;
    };
    let mut buffer = vec![0; READ];
    let mut begun = Begun::default();
    loop {
        let len = stream.read(&mut buffer).await.unwrap_or_default();
        let mut rest = &buffer[..len];
        if lines.is_flooded()
            && let Some(end) = memchr::memrchr(b'\n', rest)
        {
            // Of a flood, no line is looked at by itself.
            lines.leave_out(memchr::memchr_iter(b'\n', rest).count() as u64);
            said.out_of_memory |= memchr::memmem::find(rest, OUT_OF_MEMORY).is_some();
            begun.clear();
            rest = &rest[end + 1..];
        }
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            begun.extend(line);
            take(lines, &begun, &mut said);
            begun.clear();
            rest = &after[1..];
        }
        begun.extend(rest);
        if len == 0 {
            take(lines, &begun, &mut said);
            if !said.left_out.bytes.is_empty() {
                said.last = said.left_out.on_one_line();
            }
            return said;
        }
        // Others are read on this thread.
        if lines.is_flooded() && len > READ / 4 {
            Timer::after(PAUSE).await;
        } else {
            future::yield_now().await;
        }
    }
}

/// A line of which no more is kept than can be logged of it.
#[derive(Clone, Default)]
struct Begun {
    bytes: Vec<u8>,
    /// How many bytes of it were not kept.
    left_out: usize,
}

impl Begun {
    fn extend(&mut self, more: &[u8]) {
        let room = LINE.saturating_sub(self.bytes.len()).min(more.len());
        self.bytes.extend_from_slice(&more[..room]);
        self.left_out += more.len() - room;
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.left_out = 0;
    }

    fn on_one_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        match self.left_out {
            0 => one_line(&plain(&text)),
            left_out => one_line(&(plain(&text).into_owned() + &more(left_out))),
        }
    }
}

fn take(lines: &Arc<Lines>, line: &Begun, said: &mut Said) {
    if line.bytes.iter().all(u8::is_ascii_whitespace) {
        return;
    }
    // The report is for who works on V8: stacks, garbage collections.
    said.out_of_memory |= memchr::memmem::find(&line.bytes, OUT_OF_MEMORY).is_some();
    said.left_out.clear();
    if lines.admit(line.bytes.len()) {
        let line = line.on_one_line();
        log::debug!(target: "valor::js", vlugin = lines.name.as_str(); "{line}");
        said.last = line;
    } else {
        said.left_out = line.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_rate_is_counted_and_not_logged() {
        let lines = Lines::new("a");
        let admitted = |number: u32, len| (0..number).filter(|_| lines.admit(len)).count();
        assert_eq!(admitted(LINES + 7, 1), LINES as usize);
        assert!(lines.is_flooded());
        lines.tell();
        assert!(!lines.is_flooded());
        // By bytes: the one that goes over the limit is the last.
        assert_eq!(admitted(10, BYTES / 4 + 1), 4);
        lines.tell();
        assert_eq!(admitted(1, usize::MAX), 1);
    }

    #[test]
    fn a_line_is_cut_and_the_next_one_is_read_from_its_beginning() {
        let text = format!(
            "{}\nJavaScript out of memory\n\n  \nthe last",
            "x".repeat(3 * READ)
        );
        let said = smol::block_on(read(&Lines::new("a"), Some(text.as_bytes())));
        assert_eq!((said.last.as_str(), said.out_of_memory), ("the last", true));
        let long = format!("begun\n{}", "y".repeat(5 * READ));
        let said = smol::block_on(read(&Lines::new("a"), Some(long.as_bytes())));
        // As long as a message of others may be, and a mark.
        let mark = format!("yy… ({} more bytes)", 5 * READ - 2000);
        assert!(said.last.ends_with(&mark), "{}", &said.last[1990..]);
        assert_eq!(
            (said.last.len(), said.out_of_memory),
            (1998 + mark.len(), false)
        );
        // Of a flood, the time grows with its length alone.
        let flood = "x\n".repeat(1 << 18) + "JavaScript out of memory";
        let said = smol::block_on(read(&Lines::new("a"), Some(flood.as_bytes())));
        assert!(said.out_of_memory);
        assert_eq!(said.last, "JavaScript out of memory");
    }
}
