//! Bytes that cross the native boundary without being copied: the side that has them keeps their memory until the other
//! side is done. Bodies consist of them, whole or in pieces.

use abi_stable::StableAbi;
use std::{ptr, slice};
use valor_abi_wire::{Bytes, Fault, unwind::drop_caught};

/// Bytes of the side that created this, which only that side can free.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiBytes {
    data: *const u8,
    len: usize,
    /// What keeps them alive.
    owner: *mut (),
    release: unsafe extern "C" fn(owner: *mut ()),
}

// SAFETY: the only owners are `Box<Bytes>`, and `Bytes` is `Send`.
unsafe impl Send for FfiBytes {}
// SAFETY: as above; `Bytes` is `Sync`, and nothing here is changed before it is dropped.
unsafe impl Sync for FfiBytes {}

impl FfiBytes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl From<Bytes> for FfiBytes {
    fn from(bytes: Bytes) -> Self {
        let (data, len) = (bytes.as_ptr(), bytes.len());
        Self {
            data,
            len,
            owner: match len {
                0 => ptr::null_mut(),
                _ => Box::into_raw(Box::new(bytes)).cast(),
            },
            release,
        }
    }
}

unsafe extern "C" fn release(owner: *mut ()) {
    if owner.is_null() {
        return;
    }
    // SAFETY: `owner` comes from `From<Bytes>`, and only `Drop` calls this, once.
    let bytes = unsafe { Box::from_raw(owner.cast::<Bytes>()) };
    // The memory may belong to a type of the author's.
    if let Err(panicked) = drop_caught(bytes) {
        log::error!(target: "valor::panic", "{}", Fault::from(panicked));
    }
}

impl AsRef<[u8]> for FfiBytes {
    fn as_ref(&self) -> &[u8] {
        match self.len {
            0 => &[],
            // SAFETY: they were the slice of a `Bytes`, which does not move and which `owner` keeps.
            len => unsafe { slice::from_raw_parts(self.data, len) },
        }
    }
}

impl From<FfiBytes> for Bytes {
    fn from(bytes: FfiBytes) -> Self {
        match bytes.len {
            0 => Self::new(),
            _ => Self::from_owner(bytes),
        }
    }
}

impl Drop for FfiBytes {
    fn drop(&mut self) {
        // SAFETY: `release` belongs to this owner, which is not used again.
        unsafe { (self.release)(self.owner) }
    }
}
