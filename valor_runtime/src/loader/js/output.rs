//! Turns a Deno's own output on standard output and error, past `console`, into lines of the log: rate-limited
//! ([`Lines`]), and in time proportional to its length.
//!
//! `requests` logs the lines of `console` through it. `process` learns from it how a process ended that could not say
//! so.

use super::hints::plain;
use crate::{
    escape::{more, one_line},
    host::lines::Lines,
    timer::Timer,
};
use futures_lite::{AsyncRead, AsyncReadExt, future};
use smol::process::{ChildStderr, ChildStdout};
use std::{sync::Arc, time::Duration};

/// Longer lines are cut.
const LINE: usize = 8 * 1024;
/// The most bytes that are read at once.
const READ: usize = 64 * 1024;
/// V8's message about that.
const OUT_OF_MEMORY: &[u8] = b"JavaScript out of memory";
/// The pause between two reads of a flood.
const PAUSE: Duration = Duration::from_millis(1);

/// What was printed until the end.
#[derive(Default)]
pub(super) struct Said {
    /// The last line.
    pub(super) last: String,
    /// Whether V8 reported that memory ran out.
    pub(super) out_of_memory: bool,
    /// The last line, if it was dropped.
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
            // In a flood, lines are not processed one by one.
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
        // This thread reads others as well.
        if lines.is_flooded() && len > READ / 4 {
            Timer::after(PAUSE).await;
        } else {
            future::yield_now().await;
        }
    }
}

/// A line, of which no more is kept than can be logged.
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
    // The report is for developers of V8: stacks, garbage collections.
    said.out_of_memory |= memchr::memmem::find(&line.bytes, OUT_OF_MEMORY).is_some();
    said.left_out.clear();
    let mut shown = String::new();
    // The text of others already has escapes then.
    let is_admitted = lines.admit(|| {
        shown = line.on_one_line();
        shown.len()
    });
    if is_admitted {
        let line = shown;
        log::debug!(target: "valor::js", vlugin = lines.name(); "{line}");
        said.last = line;
    } else {
        said.left_out = line.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // As long as a message of others may be, plus a mark.
        let mark = format!("yy… ({} more bytes)", 5 * READ - 2000);
        assert!(said.last.ends_with(&mark), "{}", &said.last[1990..]);
        assert_eq!(
            (said.last.len(), said.out_of_memory),
            (1998 + mark.len(), false)
        );
        // In a flood, the time is proportional to its length.
        let flood = "x\n".repeat(1 << 18) + "JavaScript out of memory";
        let said = smol::block_on(read(&Lines::new("a"), Some(flood.as_bytes())));
        assert!(said.out_of_memory);
        assert_eq!(said.last, "JavaScript out of memory");
    }
}
