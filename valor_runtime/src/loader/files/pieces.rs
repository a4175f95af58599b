//! A file on its way: read on the threads that may block, a piece at a time, and only when the
//! piece before it was taken.

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

/// What is read at once. Files up to this size are sent as bytes. Each piece is a way to another
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
    left: u64,
    /// Where to go first, at the begin of a part.
    seek: Option<u64>,
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
            left: 0,
            seek: None,
            state: State::Idle(file),
        }
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
                    this.left -= data.len() as u64;
                    this.state = State::Idle(file);
                    return Poll::Ready(Some(Ok(Chunk::Data(data))));
                }
                State::Idle(file) if this.left > 0 => {
                    let (seek, len) = (this.seek.take(), this.left.min(PIECE));
                    this.state = State::Reading(smol::unblock(move || {
                        let read = read(&file, seek, len);
                        (file, read)
                    }));
                }
                State::Idle(file) => {
                    let Some(section) = this.sections.pop_front() else {
                        return Poll::Ready(None);
                    };
                    this.state = State::Idle(file);
                    if let Some(part) = section.part {
                        this.left = part.len;
                        this.seek = Some(part.start);
                    }
                    if !section.text.is_empty() {
                        return Poll::Ready(Some(Ok(Chunk::Data(section.text))));
                    }
                }
            }
        }
    }
}

/// Reads exactly so much of a file.
///
/// # Errors
/// What the system says, and [`io::ErrorKind::UnexpectedEof`] where there is less.
pub(super) fn read(mut file: &File, seek: Option<u64>, len: u64) -> io::Result<Bytes> {
    if let Some(at) = seek {
        file.seek(SeekFrom::Start(at))?;
    }
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
        file.write_all(&vec![7; 5 * PIECE as usize]).unwrap();
        // It shares its position with the one that is read.
        let mut seen = file.try_clone().unwrap();
        let part = Part {
            start: 10,
            len: 3 * PIECE,
        };
        let section = Section {
            text: "head".into(),
            part: Some(part),
        };
        let mut pieces = Pieces::new(file, [section]);
        let mut next = || {
            block_on(pieces.next()).map(|chunk| match chunk.unwrap() {
                Chunk::Data(data) => data.len() as u64,
                Chunk::Trailers(_) => panic!("there are none"),
            })
        };
        assert_eq!(next(), Some(4));
        for read in 1..=3 {
            assert_eq!(next(), Some(PIECE));
            assert_eq!(seen.stream_position().unwrap(), 10 + read * PIECE);
        }
        assert_eq!(next(), None);
    }

    #[test]
    fn a_file_that_is_too_short_fails() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"12345").unwrap();
        assert_eq!(read(&file, Some(1), 4).unwrap(), "2345");
        let error = read(&file, Some(1), 5).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
