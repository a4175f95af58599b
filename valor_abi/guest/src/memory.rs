//! Bytes that the host writes into this module's memory, and hands over with an event.

use std::alloc::{Layout, alloc, dealloc};

/// `len` bytes for the host to write to; null if there are none.
pub fn allocate(len: usize) -> *mut u8 {
    match Layout::array::<u8>(len) {
        Ok(layout) if len > 0 => {
            // SAFETY: the layout is not of size 0.
            unsafe { alloc(layout) }
        }
        _ => std::ptr::null_mut(),
    }
}

/// Takes back bytes that the host did not use.
///
/// # Safety
/// `ptr` and `len` are those of an [`allocate`] that was neither freed nor taken.
pub unsafe fn free(ptr: *mut u8, len: usize) {
    if let (true, Ok(layout)) = (len > 0 && !ptr.is_null(), Layout::array::<u8>(len)) {
        // SAFETY: as the caller promises, with the same layout.
        unsafe { dealloc(ptr, layout) }
    }
}

/// The bytes of an event, which belong to the guest from now on.
///
/// # Safety
/// As for [`free`], and the host has written all of them.
pub unsafe fn take(ptr: *mut u8, len: usize) -> Vec<u8> {
    if len == 0 || ptr.is_null() {
        return Vec::new();
    }
    // SAFETY: allocated by the global allocator, with alignment 1 and this capacity.
    unsafe { Vec::from_raw_parts(ptr, len, len) }
}
