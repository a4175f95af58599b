//! The version of the ABI, which is that of this crate: it is only in `Cargo.toml`.

/// As `abi_stable` compares it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Changed when older libraries cannot work any more.
pub const ABI_MAJOR: u16 = number(env!("CARGO_PKG_VERSION_MAJOR"));

/// Changed when something was added that older libraries do not know.
pub const ABI_MINOR: u16 = number(env!("CARGO_PKG_VERSION_MINOR"));

const _: () = assert!(
    number(env!("CARGO_PKG_VERSION_PATCH")) == 0,
    "the version of the ABI is MAJOR.MINOR.0"
);

const fn number(text: &str) -> u16 {
    match u16::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("no number of a version"),
    }
}
