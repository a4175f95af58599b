//! Names and values of headers for `http_types`, without its own check that they are ASCII.
//!
//! What fails that check becomes an `anyhow::Error`, which can write a backtrace: in a module that is
//! 25 KB of code, of which nothing ever runs. `valor_abi_http` asks here, for modules and for libraries alike.

use http_types::headers::{HeaderName, HeaderValue};

/// The value of these bytes; `None` where they are not ASCII.
pub fn value(bytes: &[u8]) -> Option<HeaderValue> {
    // SAFETY: it is ASCII, as this function asks for.
    (bytes.is_ascii()).then(|| unsafe { HeaderValue::from_bytes_unchecked(bytes.to_vec()) })
}

/// The name of these bytes, in lower case; `None` where they are not ASCII.
pub fn name(bytes: &[u8]) -> Option<HeaderName> {
    // SAFETY: as above.
    (bytes.is_ascii()).then(|| unsafe { HeaderName::from_bytes_unchecked(bytes.to_vec()) })
}
