//! [`Piped`]: what a program writes to its output or to its errors. A [`Program`](super::Program) has one for each that
//! is piped.
//!
//! It comes to its end with the program. A process that the program has left behind, such as a compiler's cache that
//! serves later builds too, may hold the pipe open for hours: nobody waits for that. What the program itself has
//! written is read in any case.

use std::{
    io::{self, Read},
    sync::{
        Mutex,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

/// How long what comes after a program's end is read: it takes far less to empty the pipe.
const AFTER: Duration = Duration::from_secs(1);
/// Between two looks at whether the program has ended.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes that are read at once: a pipe of Linux is full with as many.
const PIECE: usize = 64 * 1024;

/// The reading end of a program's pipe.
pub struct Piped {
    /// Alone with its reader: the lock makes a program with pipes one that threads can share.
    pieces: Mutex<Receiver<Piece>>,
    /// What of a piece is not read yet.
    left: Vec<u8>,
    has_ended: Box<dyn Fn() -> bool + Send + Sync>,
    /// When that was seen.
    ended: Option<Instant>,
}

/// Bytes, and when they came.
struct Piece(Vec<u8>, Instant);

impl Piped {
    /// Reads a pipe, on a thread that ends with it. `has_ended` says whether the program has.
    ///
    /// # Errors
    /// That there is no thread for it.
    pub(super) fn new(
        pipe: impl Read + Send + 'static,
        has_ended: impl Fn() -> bool + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (sender, pieces) = mpsc::channel();
        let reader = thread::Builder::new().name("valor-pipe".into());
        reader.spawn(move || empty(pipe, &sender))?;
        Ok(Self {
            pieces: Mutex::new(pieces),
            left: Vec::new(),
            has_ended: Box::new(has_ended),
            ended: None,
        })
    }

    /// The next bytes; `None` at the end of the pipe, or of the program.
    fn next(&mut self) -> Option<Vec<u8>> {
        let pieces = self.pieces.get_mut().unwrap_or_else(|it| it.into_inner());
        loop {
            if self.ended.is_none() && (self.has_ended)() {
                self.ended = Some(Instant::now());
            }
            let is_late = |time: Instant| self.ended.is_some_and(|it| time > it + AFTER);
            match pieces.recv_timeout(LOOK) {
                Ok(Piece(bytes, came)) => return (!is_late(came)).then_some(bytes),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if is_late(Instant::now()) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.is_empty() {
            match self.next() {
                Some(bytes) => self.left = bytes,
                None => return Ok(0),
            }
        }
        let len = buffer.len().min(self.left.len());
        buffer[..len].copy_from_slice(&self.left[..len]);
        self.left.drain(..len);
        Ok(len)
    }
}

/// Hands on what comes, at once, until the pipe's end or until nobody reads any more. What came before an error counts.
fn empty(mut pipe: impl Read, pieces: &Sender<Piece>) {
    let mut buffer = vec![0; PIECE];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => {
                let piece = Piece(buffer[..len].to_vec(), Instant::now());
                if pieces.send(piece).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Piped;
    use std::{
        io::{self, Read},
        sync::mpsc,
    };

    /// A pipe that somebody holds open: it is at its end when the sender is dropped.
    struct Held(mpsc::Receiver<&'static str>);

    impl Read for Held {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Ok(text) = self.0.recv() else {
                return Ok(0);
            };
            buffer[..text.len()].copy_from_slice(text.as_bytes());
            Ok(text.len())
        }
    }

    fn piped(has_ended: bool, texts: &[&'static str]) -> (Piped, mpsc::Sender<&'static str>) {
        let (sender, held) = mpsc::channel();
        for &text in texts {
            sender.send(text).unwrap();
        }
        (Piped::new(Held(held), move || has_ended).unwrap(), sender)
    }

    #[test]
    fn a_pipe_is_read_to_its_end() {
        for has_ended in [false, true] {
            let (piped, sender) = piped(has_ended, &["a", "bc", "def"]);
            drop(sender);
            // However few bytes are asked for.
            let mut piped = io::BufReader::with_capacity(1, piped);
            let mut text = String::new();
            piped.read_to_string(&mut text).unwrap();
            assert_eq!(text, "abcdef");
        }
    }

    #[test]
    fn a_pipe_that_is_held_open_ends_with_the_program() {
        let (mut piped, _held) = piped(true, &["a", "b"]);
        let mut text = String::new();
        piped.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ab");
    }
}
