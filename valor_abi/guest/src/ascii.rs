//! Names and values of headers for `http_types`, without its own check that they are ASCII.
//!
//! If that check fails, it creates an `anyhow::Error`, which can write a backtrace. In a module that is 25 KB of code,
//! none of which ever runs. `valor_abi_http` calls this, for modules and for libraries.

use http_types::headers::{HeaderName, HeaderValue};

/// The value of these bytes; `None` if they are not ASCII.
pub fn value(bytes: &[u8]) -> Option<HeaderValue> {
    // SAFETY: it is ASCII, as this function requires.
    (bytes.is_ascii()).then(|| unsafe { HeaderValue::from_bytes_unchecked(bytes.to_vec()) })
}

/// The name of these bytes, in lower case; `None` if they are not ASCII.
pub fn name(bytes: &[u8]) -> Option<HeaderName> {
    // SAFETY: as above.
    (bytes.is_ascii()).then(|| unsafe { HeaderName::from_bytes_unchecked(bytes.to_vec()) })
}
