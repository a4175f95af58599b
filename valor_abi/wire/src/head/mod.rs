//! The head of a request or a response as one contiguous block of bytes.
//!
//! This is the only encoding of a head in Valor: the server builds it from what it
//! parsed, every boundary (native, guest) carries it as it is, and the receiving side
//! reads it in place. Every caller may rely on this: a head that [`RequestHead::parse`] or
//! [`ResponseHead::parse`] accepted has lengths that fit, header names that are lower-case
//! tokens (RFC 9110, section 5.6.2) and header values without CR, LF or NUL.
//!
//! # Layout
//!
//! Integers are little endian. Both kinds begin with 12 bytes:
//!
//! | offset | type | request | response |
//! |---|---|---|---|
//! | 0 | u8 | kind, 1 | kind, 2 |
//! | 1 | u8 | HTTP version: 10, 11, 20, or 0 if there is none | the same |
//! | 2 | u16 | flags: bit 0 is set for `https` | status code |
//! | 4 | u32 | length of the target | 0 |
//! | 8 | u16 | number of headers | the same |
//! | 10 | u8 | length of the method | 0 |
//! | 11 | u8 | length of the peer's address | 0 |
//!
//! A request goes on with its method, its target and its peer's address (`ip:port`, UTF-8).
//! Then follow the headers, each `u16` length of the name, `u32` length of the value, name, value.

mod error;
mod fields;
mod rules;

pub use error::HeadError;
use fields::{ENTRY, add, check_headers, fields, push, remove};
pub use fields::{decode_headers, encode_headers};
use rules::{is_target, is_token, shown};
use std::fmt;

const FIXED: usize = 12;
/// The memory that is kept free for headers: enough for most messages, and for what a host adds.
pub const ROOM: usize = 500;
const KIND_REQUEST: u8 = 1;
const KIND_RESPONSE: u8 = 2;

/// The head of a request: method, target, headers and what is known about its peer.
///
/// ```
/// use valor_abi_wire::RequestHead;
///
/// let mut head = RequestHead::new("GET", "/greet?who=Zoe")?;
/// head.push("Accept", b"text/plain")?;
/// assert_eq!(head.path(), "/greet");
/// assert_eq!(head.header("accept"), Some(&b"text/plain"[..]));
/// assert_eq!(RequestHead::parse(head.as_bytes().to_vec())?, head);
/// # Ok::<(), valor_abi_wire::HeadError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RequestHead {
    bytes: Vec<u8>,
}

/// The head of a response: status and headers.
///
/// ```
/// use valor_abi_wire::ResponseHead;
///
/// let mut head = ResponseHead::new(404)?;
/// head.set("content-type", b"text/plain")?;
/// assert_eq!((head.status(), head.headers().count()), (404, 1));
/// # Ok::<(), valor_abi_wire::HeadError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseHead {
    bytes: Vec<u8>,
}

impl RequestHead {
    /// A head without headers.
    ///
    /// # Errors
    /// [`HeadError::Method`] and [`HeadError::Target`].
    pub fn new(method: &str, target: &str) -> Result<Self, HeadError> {
        if method.is_empty() || method.len() > 255 || !method.bytes().all(is_token) {
            return Err(HeadError::Method(shown(method.as_bytes())));
        }
        if !is_target(target.as_bytes()) {
            return Err(HeadError::Target);
        }
        let mut bytes = Vec::with_capacity(FIXED + method.len() + target.len() + ROOM);
        bytes.extend_from_slice(&[KIND_REQUEST, 11, 0, 0]);
        bytes.extend_from_slice(&(target.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&[0, 0, method.len() as u8, 0]);
        bytes.extend_from_slice(method.as_bytes());
        bytes.extend_from_slice(target.as_bytes());
        Ok(Self { bytes })
    }

    /// Takes a block from elsewhere, after checking that it is sound.
    ///
    /// # Errors
    /// Any [`HeadError`]: nothing in the block is trusted.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, HeadError> {
        check_fixed(&bytes, KIND_REQUEST)?;
        let head = Self { bytes };
        let start = head.headers_at();
        if head.bytes.len() < start {
            return Err(HeadError::Length {
                expected: start,
                actual: head.bytes.len(),
            });
        }
        let method = &head.bytes[FIXED..head.target_at()];
        if method.is_empty() || !method.iter().all(|&b| is_token(b)) {
            return Err(HeadError::Method(shown(method)));
        }
        if !is_target(&head.bytes[head.target_at()..head.peer_at()]) {
            return Err(HeadError::Target);
        }
        if std::str::from_utf8(&head.bytes[head.peer_at()..start]).is_err() {
            return Err(HeadError::Target);
        }
        check_headers(&head.bytes, start)?;
        Ok(head)
    }

    /// Takes a block that this side's host guarantees: only its lengths are checked.
    ///
    /// # Errors
    /// [`HeadError::Kind`] and [`HeadError::Length`].
    pub fn from_host(bytes: Vec<u8>) -> Result<Self, HeadError> {
        check_fixed(&bytes, KIND_REQUEST)?;
        let head = Self { bytes };
        let (expected, actual) = (head.headers_at(), head.bytes.len());
        if actual < expected {
            return Err(HeadError::Length { expected, actual });
        }
        let used: usize = head.fields().map(|(n, v)| ENTRY + n.len() + v.len()).sum();
        match expected + used {
            expected if expected != actual => Err(HeadError::Length { expected, actual }),
            _ => Ok(head),
        }
    }

    fn target_at(&self) -> usize {
        FIXED + self.bytes[10] as usize
    }

    fn target_len(&self) -> usize {
        u32::from_le_bytes([self.bytes[4], self.bytes[5], self.bytes[6], self.bytes[7]]) as usize
    }

    fn peer_at(&self) -> usize {
        self.target_at().saturating_add(self.target_len())
    }

    fn headers_at(&self) -> usize {
        self.peer_at().saturating_add(self.bytes[11] as usize)
    }

    /// The method, as it was sent: methods are case-sensitive (RFC 9110, section 9.1).
    pub fn method(&self) -> &str {
        text(&self.bytes[FIXED..self.target_at()])
    }

    /// The target, in origin form (`/path?query`) or in absolute form (`http://…`).
    pub fn target(&self) -> &str {
        text(&self.bytes[self.target_at()..self.peer_at()])
    }

    /// The target up to its query, without scheme and authority.
    pub fn path(&self) -> &str {
        let target = self.target();
        let target = match target.starts_with('/') {
            true => target,
            false => after_authority(target),
        };
        let end = target.bytes().position(|b| matches!(b, b'?' | b'#'));
        let path = &target[..end.unwrap_or(target.len())];
        if path.is_empty() { "/" } else { path }
    }

    /// Replaces the target.
    ///
    /// # Errors
    /// [`HeadError::Target`]; the head then stays as it was.
    pub fn set_target(&mut self, target: &str) -> Result<(), HeadError> {
        if !is_target(target.as_bytes()) {
            return Err(HeadError::Target);
        }
        let (from, to) = (self.target_at(), self.peer_at());
        self.bytes.splice(from..to, target.bytes());
        self.bytes[4..8].copy_from_slice(&(target.len() as u32).to_le_bytes());
        Ok(())
    }

    /// Removes this many bytes from the front of the target and returns them. If the rest does not begin with a slash,
    /// one is added.
    ///
    /// ```
    /// use valor_abi_wire::RequestHead;
    ///
    /// let mut head = RequestHead::new("GET", "/greet?who=Zoe")?;
    /// assert_eq!(head.take_prefix("/greet".len()), "/greet");
    /// assert_eq!(head.target(), "/?who=Zoe");
    /// # Ok::<(), valor_abi_wire::HeadError>(())
    /// ```
    ///
    /// # Panics
    /// If no character of the target begins there.
    pub fn take_prefix(&mut self, len: usize) -> String {
        let target = self.target();
        let (prefix, rest) = target.split_at(len);
        let slash = if rest.starts_with('/') { "" } else { "/" };
        let prefix = prefix.to_owned();
        let left = self.target_len() - len + slash.len();
        let from = self.target_at();
        match slash {
            // Moves the rest, and no more: the way that nearly every request takes.
            "" => drop(self.bytes.drain(from..from + len)),
            _ => drop(self.bytes.splice(from..from + len, slash.bytes())),
        }
        self.bytes[4..8].copy_from_slice(&(left as u32).to_le_bytes());
        prefix
    }

    /// The address of the peer, `ip:port`, if the request came over a network.
    pub fn peer(&self) -> Option<&str> {
        let peer = &self.bytes[self.peer_at()..self.headers_at()];
        (!peer.is_empty()).then(|| text(peer))
    }

    /// Sets the address of the peer. An address of more than 255 bytes is left out.
    pub fn set_peer(&mut self, peer: &str) {
        let peer = if peer.len() > 255 { "" } else { peer };
        let (from, to) = (self.peer_at(), self.headers_at());
        self.bytes.splice(from..to, peer.bytes());
        self.bytes[11] = peer.len() as u8;
    }

    /// Whether the request came over TLS.
    pub fn is_https(&self) -> bool {
        self.bytes[2] & 1 == 1
    }

    /// Sets whether the request came over TLS.
    pub fn set_https(&mut self, https: bool) {
        self.bytes[2] = u8::from(https);
    }
}

impl ResponseHead {
    /// A head without headers.
    ///
    /// # Errors
    /// [`HeadError::Status`] outside of 100 to 599.
    pub fn new(status: u16) -> Result<Self, HeadError> {
        if !(100..=599).contains(&status) {
            return Err(HeadError::Status(status));
        }
        let mut bytes = Vec::with_capacity(FIXED + ROOM);
        bytes.extend_from_slice(&[KIND_RESPONSE, 11]);
        bytes.extend_from_slice(&status.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Ok(Self { bytes })
    }

    /// Takes a block from elsewhere, after checking that it is sound.
    ///
    /// # Errors
    /// Any [`HeadError`]: nothing in the block is trusted.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, HeadError> {
        check_fixed(&bytes, KIND_RESPONSE)?;
        let head = Self { bytes };
        if !(100..=599).contains(&head.status()) {
            return Err(HeadError::Status(head.status()));
        }
        check_headers(&head.bytes, FIXED)?;
        Ok(head)
    }

    fn headers_at(&self) -> usize {
        FIXED
    }

    /// The status code, 100 to 599.
    pub fn status(&self) -> u16 {
        u16::from_le_bytes([self.bytes[2], self.bytes[3]])
    }

    /// Replaces the status code.
    ///
    /// # Errors
    /// [`HeadError::Status`] outside of 100 to 599; the head then stays as it was.
    pub fn set_status(&mut self, status: u16) -> Result<(), HeadError> {
        if !(100..=599).contains(&status) {
            return Err(HeadError::Status(status));
        }
        self.bytes[2..4].copy_from_slice(&status.to_le_bytes());
        Ok(())
    }
}

macro_rules! headers_of {
    ($head:ty) => {
        impl $head {
            /// The block itself.
            pub fn as_bytes(&self) -> &[u8] {
                &self.bytes
            }

            /// The block itself, moved out.
            pub fn into_bytes(self) -> Vec<u8> {
                self.bytes
            }

            /// The HTTP version as major × 10 + minor, 0 if there is none.
            pub fn version(&self) -> u8 {
                self.bytes[1]
            }

            /// Sets the HTTP version: 10, 11, 20 or 0.
            pub fn set_version(&mut self, version: u8) {
                self.bytes[1] = version;
            }

            /// The number of headers, duplicates included.
            pub fn len(&self) -> usize {
                usize::from(u16::from_le_bytes([self.bytes[8], self.bytes[9]]))
            }

            /// Whether there is none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Every header in the order sent, duplicates included; names are lower-case.
            pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
                self.fields().map(|(name, value)| (text(name), value))
            }

            /// As `headers`, for callers that do not need the names as text.
            pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
                fields(&self.bytes, self.headers_at())
            }

            /// The first header of this lower-case name.
            pub fn header(&self, name: &str) -> Option<&[u8]> {
                self.fields()
                    .find(|(n, _)| *n == name.as_bytes())
                    .map(|(_, value)| value)
            }

            /// The first header of this lower-case name, if its value is UTF-8.
            pub fn header_str(&self, name: &str) -> Option<&str> {
                self.header(name)
                    .and_then(|value| std::str::from_utf8(value).ok())
            }

            /// Adds a header after the existing ones.
            ///
            /// # Errors
            /// [`HeadError::HeaderName`], [`HeadError::HeaderValue`] and [`HeadError::TooManyHeaders`]; the head then
            /// stays as it was.
            pub fn push(&mut self, name: &str, value: &[u8]) -> Result<(), HeadError> {
                push(&mut self.bytes, name, value)
            }

            /// As `push`, for a parser that has checked every byte itself: the name is a token (RFC 9110, section
            /// 5.6.2), and the value has no CR, LF or NUL. Otherwise the head is not sound, and the message may be
            /// taken for two.
            ///
            /// # Errors
            /// [`HeadError::TooManyHeaders`]; the head then stays as it was.
            pub fn push_parsed(&mut self, name: &str, value: &[u8]) -> Result<(), HeadError> {
                add(&mut self.bytes, name.as_bytes(), value)
            }

            /// Removes every header of this lower-case name and returns whether there was one.
            pub fn remove(&mut self, name: &str) -> bool {
                let start = self.headers_at();
                remove(&mut self.bytes, start, name)
            }

            /// As `set`, for a name and a value that the caller has checked: see `push_parsed`.
            ///
            /// # Errors
            /// [`HeadError::TooManyHeaders`]; headers of that name are gone then.
            pub fn set_parsed(&mut self, name: &str, value: &[u8]) -> Result<(), HeadError> {
                self.remove(name);
                self.push_parsed(name, value)
            }

            /// Replaces all headers of a name with one.
            ///
            /// # Errors
            /// As for `push`; headers of that name are gone then.
            pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), HeadError> {
                self.remove(name);
                self.push(name, value)
            }
        }
    };
}

headers_of!(RequestHead);
headers_of!(ResponseHead);

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.method(), self.target())?;
        debug_headers(self.headers(), f)
    }
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.status())?;
        debug_headers(self.headers(), f)
    }
}

fn debug_headers<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.debug_map()
        .entries(headers.map(|(name, value)| (name, String::from_utf8_lossy(value))))
        .finish()
}

fn check_fixed(bytes: &[u8], kind: u8) -> Result<(), HeadError> {
    match bytes.first() {
        _ if bytes.len() < FIXED => Err(HeadError::Length {
            expected: FIXED,
            actual: bytes.len(),
        }),
        Some(&found) if found != kind => Err(HeadError::Kind(found)),
        _ => Ok(()),
    }
}

/// The part of a target in absolute form after scheme and authority.
fn after_authority(target: &str) -> &str {
    let Some((_, rest)) = target.split_once("://") else {
        return target;
    };
    rest.find(['/', '?', '#']).map_or("", |at| &rest[at..])
}

/// Text that was checked when the head was built.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
