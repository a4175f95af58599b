//! What the guard and the bodies promise, shown on bytes from outside. Only tests and the fuzz target use it.
//!
//! - `fuzzing`: the promises, as one check of any bytes.
//! - `differential`: the same requests as async-h1 reads them.

#[cfg(test)]
mod differential;
mod fuzzing;

#[cfg(feature = "fuzzing")]
pub use self::fuzzing::check;
