//! A file on its way to the client: a piece at a time, and only once the piece before it was taken.
//!
//! If the system has a piece in memory, it is copied at once (on Linux, where the system can tell). Every other piece
//! is read on the threads that may block.

use super::{identity::Identity, ranges::Part};
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

/// How much is read at once. Files up to this size are sent as bytes. A piece may cost a trip to another thread and
/// back, so it has to be worth that. Each client that reads slowly holds one or two.
pub(super) const PIECE: u64 = 128 * 1024;

/// A text to be sent, and the part of the file behind it.
pub(super) struct Section {
    pub(super) text: Bytes,
    pub(super) part: Option<Part>,
}

/// Sections as the chunks of a body. It ends with an error if the file has become shorter, or is no longer in the
/// required state.
pub(super) struct Pieces {
    sections: VecDeque<Section>,
    /// The state that the file must still have once its last piece was read.
    state: Option<Identity>,
    /// The unread rest of the current part.
    left: Part,
    step: Step,
}

enum Step {
    Idle(File),
    Reading(Task<(File, io::Result<Bytes>)>),
    Ended,
}

impl Pieces {
    pub(super) fn new(
        file: File,
        state: Option<Identity>,
        sections: impl IntoIterator<Item = Section>,
    ) -> Self {
        Self {
            sections: sections.into_iter().collect(),
            state,
            left: Part { start: 0, len: 0 },
            step: Step::Idle(file),
        }
    }

    /// The state that the file must still have after the next piece, if that is the last.
    fn last_state(&self) -> Option<Identity> {
        let more = || self.sections.iter().any(|section| section.part.is_some());
        self.state.filter(|_| self.left.len <= PIECE && !more())
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
            match std::mem::replace(&mut this.step, Step::Ended) {
                Step::Ended => return Poll::Ready(None),
                Step::Reading(mut task) => {
                    let Poll::Ready((file, read)) = Pin::new(&mut task).poll(cx) else {
                        this.step = Step::Reading(task);
                        return Poll::Pending;
                    };
                    let data = read?;
                    this.step = Step::Idle(file);
                    return Poll::Ready(Some(Ok(this.taken(data))));
                }
                Step::Idle(file) if this.left.len > 0 => {
                    let Part { start, len } = this.left;
                    let len = len.min(PIECE);
                    let last = this.last_state();
                    if last.is_none()
                        && let Some(data) = cached(&file, start, len)
                    {
                        this.step = Step::Idle(file);
                        return Poll::Ready(Some(Ok(this.taken(data))));
                    }
                    this.step = Step::Reading(smol::unblock(move || {
                        let read =
                            read(&file, start, len).and_then(|data| still(&file, last, data));
                        (file, read)
                    }));
                }
                Step::Idle(file) => {
                    let Some(section) = this.sections.pop_front() else {
                        return Poll::Ready(None);
                    };
                    this.step = Step::Idle(file);
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

/// The bytes from `start` on that the system has in memory, at most `len`. `None` if it has none, or cannot tell.
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

/// The bytes read from a file, if it is still in this state.
fn still(file: &File, state: Option<Identity>, data: Bytes) -> io::Result<Bytes> {
    match state {
        Some(state) if !state.is_still(file)? => {
            Err(io::Error::other("the file changed while it was sent"))
        }
        _ => Ok(data),
    }
}

/// Reads exactly this many bytes of a file, from `start` on.
///
/// # Errors
/// The system's error, and [`io::ErrorKind::UnexpectedEof`] if there are fewer bytes.
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
        let mut pieces = Pieces::new(file, None, [section]);
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
        // Nothing beyond what was asked for has been read yet.
        same.set_len(10).unwrap();
        let error = next(4 + 4 * PIECE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    /// Bytes of one state must not be followed by bytes of another.
    #[cfg(unix)]
    #[test]
    fn a_file_that_changes_under_way_fails() {
        use std::os::unix::fs::FileExt;
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 * PIECE).unwrap();
        let state = Identity::of(&file.metadata().unwrap()).unwrap();
        let pieces = |sections: Vec<Section>| {
            let mut pieces = Pieces::new(file.try_clone().unwrap(), Some(state), sections);
            let whole = block_on(async {
                let mut read = 0;
                while let Some(chunk) = pieces.next().await {
                    match chunk? {
                        Chunk::Data(data) => read += data.len() as u64,
                        Chunk::Trailers(_) => panic!("there are none"),
                    }
                }
                Ok::<_, io::Error>(read)
            });
            whole.map_err(|error| error.to_string())
        };
        let part = |start, len| Section {
            text: "head".into(),
            part: Some(Part { start, len }),
        };
        let end = || Section {
            text: "end".into(),
            part: None,
        };
        let whole = || vec![part(0, 3 * PIECE)];
        let parts = || vec![part(0, PIECE), part(2 * PIECE, PIECE), end()];
        assert_eq!(pieces(whole()), Ok(4 + 3 * PIECE));
        assert_eq!(pieces(parts()), Ok(11 + 2 * PIECE));
        while state.is_still(&file).unwrap() {
            file.write_all_at(b"x", 0).unwrap();
        }
        let error = Err("the file changed while it was sent".to_owned());
        assert_eq!(pieces(whole()), error);
        assert_eq!(pieces(parts()), error);
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
