//! What a component writes to stdout and stderr: lines of the host's log, with the vlugin's name.
//!
//! `guest` gives each instance two of these. A line that does not end is logged in parts, so that nothing is held
//! without a bound; what is left at the end of the instance is a line too.

use crate::escape::{LONGEST, one_line};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tokio::io::AsyncWrite;
use valor_abi_wire::{Host, LogRecord, lock::locked};
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

/// How much a component may write at once.
const PART: usize = 64 << 10;

/// One of the two streams of an instance.
#[derive(Clone)]
pub(super) struct Output(Arc<Lines>);

struct Lines {
    host: Arc<dyn Host>,
    level: log::Level,
    text: Mutex<Text>,
}

#[derive(Default)]
struct Text {
    /// The line that has not ended.
    line: Vec<u8>,
    /// The last ones that have.
    last: VecDeque<Vec<u8>>,
}

/// How many lines are kept, to say why a program has ended itself: a panic of Rust's takes two and a note.
const KEPT: usize = 3;

/// What Rust's own panics end with.
const NOTE: &[u8] = b"note: run with `RUST_BACKTRACE";

impl Output {
    /// A stream whose lines have this level.
    pub(super) fn new(host: Arc<dyn Host>, level: log::Level) -> Self {
        Self(Arc::new(Lines {
            host,
            level,
            text: Mutex::default(),
        }))
    }

    /// The last lines, which say why a program has ended itself.
    pub(super) fn last(&self) -> Option<String> {
        let text = locked(&self.0.text);
        let lines = text.last.iter().chain([&text.line]);
        let lines: Vec<_> = lines
            .filter(|line| !line.starts_with(NOTE))
            .map(|line| String::from_utf8_lossy(line))
            .collect();
        Some(one_line(&lines.join(" "))).filter(|last| !last.is_empty())
    }
}

impl Lines {
    fn write(&self, bytes: &[u8]) {
        let mut text = locked(&self.text);
        let Text { line, last } = &mut *text;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (part, ends) = match part.strip_suffix(b"\n") {
                Some(part) => (part, true),
                None => (part, false),
            };
            line.extend_from_slice(part);
            if ends || line.len() > LONGEST {
                self.log(line);
                if last.len() == KEPT {
                    last.pop_front();
                }
                last.push_back(std::mem::take(line));
            }
        }
    }

    fn log(&self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.host.log(&LogRecord {
            level: self.level,
            target: "",
            message: &String::from_utf8_lossy(line),
            file: "",
            line: 0,
        });
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let line = std::mem::take(&mut locked(&self.text).line);
        if !line.is_empty() {
            self.log(&line);
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PART)
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let now = &bytes[..bytes.len().min(PART)];
        self.0.write(now);
        Poll::Ready(Ok(now.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
