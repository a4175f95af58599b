//! What a Deno writes to its standard output and error by itself, past `console`: to the log, a line each.
//!
//! `process` reads from here how a process ended that could not say so.

use futures_lite::{AsyncRead, AsyncReadExt, future};
use smol::process::{ChildStderr, ChildStdout};

/// A line that is longer is cut.
const LINE: usize = 8 * 1024;

/// What was said until the end.
#[derive(Default)]
pub(super) struct Said {
    /// The last line.
    pub(super) last: String,
    /// Whether V8 has told that there was no memory left.
    pub(super) out_of_memory: bool,
}

/// Logs both until they end.
pub(super) fn log(
    name: &str,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
) -> smol::Task<Said> {
    let name = name.to_owned();
    smol::spawn(async move {
        let (_, said) = future::zip(read(&name, stdout), read(&name, stderr)).await;
        said
    })
}

async fn read(name: &str, stream: Option<impl AsyncRead + Unpin>) -> Said {
    let mut said = Said::default();
    let Some(mut stream) = stream else {
        return said;
    };
    let (mut buffer, mut text) = ([0; LINE], Vec::new());
    loop {
        let len = stream.read(&mut buffer).await.unwrap_or_default();
        text.extend_from_slice(&buffer[..len]);
        while let Some(end) = text.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            take(name, &line, &mut said);
        }
        if text.len() >= LINE || len == 0 {
            take(name, &text, &mut said);
            text.clear();
        }
        if len == 0 {
            return said;
        }
    }
}

fn take(name: &str, line: &[u8], said: &mut Said) {
    let line = crate::loader::one_line(&String::from_utf8_lossy(line));
    if line.is_empty() {
        return;
    }
    // The report is for who works on V8: stacks, garbage collections.
    said.out_of_memory |= line.contains("JavaScript out of memory");
    log::debug!(target: "valor::js", vlugin = name; "{line}");
    said.last = line;
}
