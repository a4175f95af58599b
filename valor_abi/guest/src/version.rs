//! The version of the boundary, which is the major version of this crate: it is only in `Cargo.toml`.

/// The version of the boundary, which a guest's `valor_abi` returns.
pub const GUEST_ABI: u32 = match u32::from_str_radix(env!("CARGO_PKG_VERSION_MAJOR"), 10) {
    Ok(number) => number,
    Err(_) => panic!("no number of a version"),
};
