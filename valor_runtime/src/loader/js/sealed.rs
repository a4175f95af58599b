//! The sealed messages between Valor and a supervisor: [`Sealer`] and [`Opener`], one for each direction of a link.
//!
//! Deno can open any descriptor of its process by number, whatever the permissions of a script. So a script can write
//! to the link and read from it. But it has no key: what it writes does not open, and what it reads is unintelligible.
//!
//! A record is a u32 length, least significant byte first, and so many bytes of AES-256-GCM. Each process has its own
//! [`Key`], which its supervisor reads from its standard input before any script runs. A nonce is a u32 direction and
//! the u64 number of the record in that direction, so records are opened in the order in which they were sealed, each
//! once.

use crate::hex::hex;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::io;

const KEY: usize = 32;
const FROM_VALOR: u32 = 0;
const FROM_SUPERVISOR: u32 = 1;

/// The key of one process.
pub(super) struct Key([u8; KEY]);

impl Key {
    pub(super) fn random() -> io::Result<Self> {
        let mut key = [0; KEY];
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self(key))
    }

    /// In the form that the supervisor reads: hexadecimal digits.
    pub(super) fn told(&self) -> String {
        hex(&self.0)
    }

    /// The sealer for the supervisor, and the opener for its messages.
    pub(super) fn directions(&self) -> (Sealer, Opener) {
        let counter = |direction| Counter {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).expect("it has 32 bytes")),
            direction,
            next: 0,
        };
        (
            Sealer(counter(FROM_VALOR)),
            Opener(counter(FROM_SUPERVISOR)),
        )
    }
}

struct Counter {
    key: LessSafeKey,
    direction: u32,
    next: u64,
}

impl Counter {
    /// A new one, never used before.
    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..4].copy_from_slice(&self.direction.to_le_bytes());
        nonce[4..].copy_from_slice(&self.next.to_le_bytes());
        self.next += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Seals one record after the other.
pub(super) struct Sealer(Counter);

impl Sealer {
    /// The record, with its length first; `None` if a length cannot express it.
    pub(super) fn seal(&mut self, text: &str) -> Option<Vec<u8>> {
        let mut record = text.as_bytes().to_vec();
        let nonce = self.0.nonce();
        let Counter { key, .. } = &self.0;
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut record)
            .ok()?;
        let length = u32::try_from(record.len()).ok()?;
        record.splice(..0, length.to_le_bytes());
        Some(record)
    }
}

/// Opens one record after the other.
pub(super) struct Opener(Counter);

impl Opener {
    /// The content; `None` if this is not the next record of the other side.
    pub(super) fn open<'a>(&mut self, record: &'a mut [u8]) -> Option<&'a [u8]> {
        let nonce = self.0.nonce();
        let opened = self.0.key.open_in_place(nonce, Aad::empty(), record);
        opened.ok().map(|text| &*text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_opens_once_in_its_place_and_direction() {
        let key = Key::random().unwrap();
        let (mut sealer, _) = key.directions();
        let fresh = || {
            Opener(Counter {
                direction: FROM_VALOR,
                ..key.directions().1.0
            })
        };
        let records: Vec<_> = ["one", "two"].map(|it| sealer.seal(it).unwrap()).into();
        for record in &records {
            let length = u32::from_le_bytes(record[..4].try_into().unwrap());
            assert_eq!(length as usize, record.len() - 4);
            assert!(!record.windows(3).any(|it| it == b"one" || it == b"two"));
        }
        let [one, two] = [0, 1].map(|at| records[at][4..].to_vec());
        let mut opener = fresh();
        assert_eq!(opener.open(&mut one.clone()), Some(&b"one"[..]));
        assert_eq!(opener.open(&mut two.clone()), Some(&b"two"[..]));
        // Out of order, repeated, for the wrong direction, changed, or with another key.
        assert_eq!(fresh().open(&mut two.clone()), None);
        let mut opener = fresh();
        assert!(opener.open(&mut one.clone()).is_some());
        assert_eq!(opener.open(&mut one.clone()), None);
        assert_eq!(key.directions().1.open(&mut one.clone()), None);
        for at in 0..one.len() {
            let mut changed = one.clone();
            changed[at] ^= 1;
            assert_eq!(fresh().open(&mut changed), None);
        }
        let other = Key::random().unwrap();
        let mut other = Opener(Counter {
            direction: FROM_VALOR,
            ..other.directions().1.0
        });
        assert_eq!(other.open(&mut one.clone()), None);
        for length in 0..one.len() {
            assert_eq!(fresh().open(&mut one[..length].to_vec()), None);
        }
    }
}
