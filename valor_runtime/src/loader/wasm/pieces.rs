//! Bodies that a guest writes, piece by piece, on their way to their readers: no further ahead than a window.
//!
//! `shared` has the [`Pieces`] of each response, and `outgoing` those of a fetch's request. What was written but not
//! taken counts in the instance's account.

use crate::{Bytes, Chunk, account::Charge};
use std::{collections::VecDeque, io};

/// How many bytes a guest may write ahead of a reader: at least, however many readers there are, and at most.
const WINDOW: (u64, u64) = (4 * 1024, 128 * 1024);

/// How many bytes a guest may write ahead of each of this many readers. Together they take a part of the account that
/// leaves room for everything else. So readers that do not read stop the guest, but never end it.
pub(super) fn window(limit: u64, readers: usize) -> u32 {
    let share = limit / 16 / readers.max(1) as u64;
    share.clamp(WINDOW.0, WINDOW.1) as u32
}

/// A piece that a guest wrote.
pub(super) enum Piece {
    /// Bytes that hold their own charge.
    Data(Bytes),
    End(Bytes),
    Trailers(Vec<(String, Vec<u8>)>, Charge),
    Failed(String, Charge),
}

/// What should become of a piece.
pub(super) enum Wanted {
    Yes,
    /// Nobody reads the body any more, or it has ended.
    No,
    /// It has more bytes than the reader allowed.
    TooMuch,
}

/// What a reader takes: a chunk or the end. The charge comes along unless the bytes hold it.
pub(super) type Taken = (io::Result<Option<Chunk>>, Option<Charge>);

/// The pieces of a body that were written but not taken.
#[derive(Default)]
pub(super) struct Pieces {
    pub queue: VecDeque<Taken>,
    /// How many bytes may be written.
    allowed: u32,
    pub ended: bool,
}

impl Pieces {
    /// What should become of a piece with this many bytes of the body.
    pub fn wants(&self, bytes: usize) -> Wanted {
        match () {
            () if self.ended => Wanted::No,
            () if bytes > self.allowed as usize => Wanted::TooMuch,
            () => Wanted::Yes,
        }
    }

    /// Takes in a piece that is wanted.
    pub fn push(&mut self, piece: Piece) {
        let data = match &piece {
            Piece::Data(bytes) | Piece::End(bytes) => bytes.clone(),
            Piece::Trailers(..) | Piece::Failed(..) => Bytes::new(),
        };
        self.allowed = self.allowed.saturating_sub(data.len() as u32);
        if !data.is_empty() {
            self.queue.push_back((Ok(Some(Chunk::Data(data))), None));
        }
        self.ended = !matches!(piece, Piece::Data(_));
        match piece {
            Piece::Data(_) => {}
            Piece::End(_) => self.queue.push_back((Ok(None), None)),
            Piece::Trailers(trailers, charge) => {
                let trailers = Ok(Some(Chunk::Trailers(trailers)));
                self.queue.push_back((trailers, Some(charge)));
                self.queue.push_back((Ok(None), None));
            }
            Piece::Failed(why, charge) => {
                let failed = Err(io::Error::other(why));
                self.queue.push_back((failed, Some(charge)));
            }
        }
    }

    /// How many more bytes the guest may write, now that somebody wants some.
    pub fn allow(&mut self, window: u32) -> Option<u32> {
        (self.queue.is_empty() && self.allowed < window / 2).then(|| {
            let more = window - self.allowed;
            self.allowed = window;
            more
        })
    }
}

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn readers_that_do_not_read_leave_half_of_the_account() {
        for limit in [1 << 20, 1 << 26, 1 << 40] {
            // Each new reader gets its window when it comes, and the earlier ones keep theirs.
            let all = |readers| (1..=readers).map(|it| u64::from(window(limit, it))).sum();
            let together: u64 = all(1024.min((limit >> 14) as usize));
            assert!(together <= limit / 2, "{together} of {limit}");
        }
        assert_eq!(window(1 << 26, 1), 128 * 1024);
        assert_eq!(window(1 << 26, 512), 8 * 1024);
        assert_eq!(window(1 << 20, 1_000_000), 4 * 1024);
    }
}
