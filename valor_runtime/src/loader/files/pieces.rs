//! A file on its way: a piece at a time, and only when the piece before it was taken.
//!
//! A piece that the system has in memory is copied at once, where the system can tell (on Linux).
//! Every other one is read on the threads that may block.

use super::ranges::Part;
use crate::{Bytes, Chunk};
use futures_core::Stream;
use smol::Task;
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    pin::Pin,
    task::{Context, Poll},
};

/// What is read at once. Files up to this size are sent as bytes. A piece may be a way to another
/// thread and back, which it has to be worth; each client that reads slowly holds one or two.
pub(super) const PIECE: u64 = 128 * 1024;

/// A text to be sent, and the part of the file behind it.
pub(super) struct Section {
    pub(super) text: Bytes,
    pub(super) part: Option<Part>,
}

/// Sections as the chunks of a body. Where the file has become shorter, it ends with an error.
pub(super) struct Pieces {
    sections: VecDeque<Section>,
    /// What is still to be read of the part at hand.
    left: Part,
    state: State,
}

enum State {
    Idle(File),
    Reading(Task<(File, io::Result<Bytes>)>),
    Ended,
}

impl Pieces {
    pub(super) fn new(file: File, sections: impl IntoIterator<Item = Section>) -> Self {
        Self {
            sections: sections.into_iter().collect(),
            left: Part { start: 0, len: 0 },
            state: State::Idle(file),
        }
    }

    fn taken(&mut self, data: Bytes) -> Chunk {
        self.left.start += data.len() as u64;
        self.left.len -= data.len() as u64;
        Chunk::Data(data)
    }
}

impl Stream for Pieces {
    type Item = io::Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Reading(mut task) => {
                    let Poll::Ready((file, read)) = Pin::new(&mut task).poll(cx) else {
                        this.state = State::Reading(task);
                        return Poll::Pending;
                    };
                    let data = read?;
                    this.state = State::Idle(file);
                    return Poll::Ready(Some(Ok(this.taken(data))));
                }
                State::Idle(file) if this.left.len > 0 => {
                    let Part { start, len } = this.left;
                    let len = len.min(PIECE);
                    if let Some(data) = cached(&file, start, len) {
                        this.state = State::Idle(file);
                        return Poll::Ready(Some(Ok(this.taken(data))));
                    }
                    this.state = State::Reading(smol::unblock(move || {
                        let read = read(&file, start, len);
                        (file, read)
                    }));
                }
                State::Idle(file) => {
                    let Some(section) = this.sections.pop_front() else {
                        return Poll::Ready(None);
                    };
                    this.state = State::Idle(file);
                    if let Some(part) = section.part {
                        this.left = part;
                    }
                    if !section.text.is_empty() {
                        return Poll::Ready(Some(Ok(Chunk::Data(section.text))));
                    }
                }
            }
        }
    }
}

/// As much as the system has in memory, from this byte on and at most of this length; `None` where
/// that is nothing, or it cannot tell.
#[cfg(target_os = "linux")]
fn cached(file: &File, start: u64, len: u64) -> Option<Bytes> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    let mut slices = [io::IoSliceMut::new(&mut bytes)];
    let amount = preadv2(file, &mut slices, start, ReadWriteFlags::NOWAIT).ok()?;
    bytes.truncate(amount);
    (amount > 0).then(|| bytes.into())
}

#[cfg(not(target_os = "linux"))]
fn cached(_file: &File, _start: u64, _len: u64) -> Option<Bytes> {
    None
}

/// Reads exactly so much of a file, from this byte on.
///
/// # Errors
/// What the system says, and [`io::ErrorKind::UnexpectedEof`] where there is less.
pub(super) fn read(mut file: &File, start: u64, len: u64) -> io::Result<Bytes> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != len {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file became shorter while it was sent",
        ));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::{StreamExt, future::block_on};
    use std::io::Write;

    #[test]
    fn a_piece_is_read_when_it_is_asked_for() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<_> = (0..5 * PIECE).map(|at| (at % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        let same = file.try_clone().unwrap();
        let section = Section {
            text: "head".into(),
            part: Some(Part {
                start: 10,
                len: 4 * PIECE,
            }),
        };
        let mut pieces = Pieces::new(file, [section]);
        let mut read = Vec::new();
        let mut next = |until: u64| {
            while (read.len() as u64) < until {
                match block_on(pieces.next()).expect("more")? {
                    Chunk::Data(data) => read.extend_from_slice(&data),
                    Chunk::Trailers(_) => panic!("there are none"),
                }
            }
            Ok::<_, io::Error>(read.clone())
        };
        assert_eq!(next(4).unwrap(), b"head");
        let read = next(4 + PIECE).unwrap();
        assert!(read[4..] == bytes[10..read.len() + 6]);
        // Of what was not asked for, nothing is there yet.
        same.set_len(10).unwrap();
        let error = next(4 + 4 * PIECE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_file_that_is_too_short_fails() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"12345").unwrap();
        assert_eq!(read(&file, 1, 4).unwrap(), "2345");
        let error = read(&file, 1, 5).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
