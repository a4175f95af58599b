//! The allocator of a module. It keeps small freed pieces for the next allocation of the same size. A request makes
//! dozens of small allocations, and the system's allocator took a fifth of a warm call.
//!
//! What is kept is bounded, so that memory of one size can become memory of another. Authors who have their own
//! allocator leave out the feature `pool`.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::UnsafeCell,
    ptr,
};

/// The sizes of neighbouring lists differ by this; all of them fit every alignment up to [`ALIGN`].
const STEP: usize = 16;
/// The alignment of all memory from the system's allocator.
const ALIGN: usize = 8;
/// The number of lists: up to 512 bytes.
const LISTS: usize = 32;
/// The most pieces in a list: all lists together keep at most half a megabyte.
const KEPT: u32 = 64;

/// A free piece.
struct Free {
    next: *mut Free,
}

#[derive(Clone, Copy)]
struct List {
    first: *mut Free,
    len: u32,
}

/// The allocator.
pub struct Pool {
    lists: UnsafeCell<[List; LISTS]>,
}

// SAFETY: a module without atomics has one thread.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
unsafe impl Sync for Pool {}

impl Pool {
    /// One that keeps nothing yet.
    pub const fn new() -> Self {
        let empty = List {
            first: ptr::null_mut(),
            len: 0,
        };
        Self {
            lists: UnsafeCell::new([empty; LISTS]),
        }
    }
}

/// The list of a layout, and the layout of every piece in that list; larger ones are the system's.
#[inline]
fn list_of(layout: Layout) -> Option<(usize, Layout)> {
    // Nobody allocates nothing: 0 would wrap, and be too large.
    let list = layout.size().wrapping_sub(1) / STEP;
    let whole = Layout::from_size_align((list + 1) * STEP, ALIGN).ok()?;
    (list < LISTS && layout.align() <= ALIGN).then_some((list, whole))
}

// SAFETY: a piece has the size and the alignment of its list, which are at least those asked for. It comes from the
// system with the list's layout and is returned with the same. While it is in a list nobody else has it, and it is
// large enough for a `Free`.
unsafe impl GlobalAlloc for Pool {
    // Once per module, and not wherever something is allocated: 5 KB.
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and no reference into the lists outlives this block; `dealloc` has written what is in a
        // list.
        unsafe {
            let Some((list, whole)) = list_of(layout) else {
                return System.alloc(layout);
            };
            let list = &mut (*self.lists.get())[list];
            if list.first.is_null() {
                return System.alloc(whole);
            }
            let piece = list.first;
            list.first = (*piece).next;
            list.len -= 1;
            piece.cast()
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`; the caller returns the piece, so it may be written to.
        unsafe {
            let Some((list, whole)) = list_of(layout) else {
                return System.dealloc(ptr, layout);
            };
            let list = &mut (*self.lists.get())[list];
            if list.len == KEPT {
                return System.dealloc(ptr, whole);
            }
            let piece = ptr.cast::<Free>();
            piece.write(Free { next: list.first });
            list.first = piece;
            list.len += 1;
        }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller has made sure that the new size is a layout's. The old and the new piece do not overlap,
        // and the smaller of both sizes is in each.
        unsafe {
            let new = Layout::from_size_align_unchecked(new_size, layout.align());
            match (list_of(layout), list_of(new)) {
                (Some((old, _)), Some((new, _))) if old == new => return ptr,
                (None, None) => return System.realloc(ptr, layout, new_size),
                _ => {}
            }
            let moved = self.alloc(new);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(ptr, moved, layout.size().min(new_size));
                self.dealloc(ptr, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Memory that was filled with a byte.
    struct Piece {
        at: *mut u8,
        layout: Layout,
        byte: u8,
    }

    impl Piece {
        fn new(at: *mut u8, layout: Layout, byte: u8) -> Self {
            assert!(!at.is_null() && at as usize % layout.align() == 0);
            // SAFETY: it was allocated with this layout.
            unsafe { at.write_bytes(byte, layout.size()) };
            Self { at, layout, byte }
        }

        /// Whether so many bytes are as they were written.
        fn is_whole(&self, at: *mut u8, len: usize) -> bool {
            // SAFETY: so many bytes were written there.
            unsafe { std::slice::from_raw_parts(at, len) }
                .iter()
                .all(|byte| *byte == self.byte)
        }
    }

    proptest! {
        #[test]
        fn every_piece_is_its_owners_alone(
            steps in prop::collection::vec((0u8..3, 1usize..700, 0u32..6, any::<prop::sample::Index>()), 1..300),
        ) {
            let pool = Pool::new();
            let mut pieces: Vec<Piece> = Vec::new();
            for (number, (step, size, align, which)) in steps.into_iter().enumerate() {
                let byte = number as u8;
                if step == 0 || pieces.is_empty() {
                    let layout = Layout::from_size_align(size, 1 << align).unwrap();
                    // SAFETY: the size is not 0.
                    pieces.push(Piece::new(unsafe { pool.alloc(layout) }, layout, byte));
                    continue;
                }
                let piece = pieces.swap_remove(which.index(pieces.len()));
                let layout = piece.layout;
                prop_assert!(piece.is_whole(piece.at, layout.size()));
                if step == 1 {
                    // SAFETY: allocated above, with this layout; the size is not 0.
                    let at = unsafe { pool.realloc(piece.at, layout, size) };
                    prop_assert!(piece.is_whole(at, size.min(layout.size())));
                    let layout = Layout::from_size_align(size, layout.align()).unwrap();
                    pieces.push(Piece::new(at, layout, byte));
                } else {
                    // SAFETY: allocated above, with this layout.
                    unsafe { pool.dealloc(piece.at, layout) };
                }
            }
            for piece in pieces {
                prop_assert!(piece.is_whole(piece.at, piece.layout.size()));
                // SAFETY: as above.
                unsafe { pool.dealloc(piece.at, piece.layout) };
            }
        }
    }

    #[test]
    fn what_is_kept_is_used_again_and_has_a_bound() {
        let pool = Pool::new();
        let layout = Layout::from_size_align(40, 8).unwrap();
        // SAFETY: the size is not 0, and each piece goes back once, with its layout.
        unsafe {
            let first = pool.alloc(layout);
            pool.dealloc(first, layout);
            assert_eq!(pool.alloc(Layout::from_size_align(48, 1).unwrap()), first);
            pool.dealloc(first, layout);
            let many: Vec<_> = (0..3 * KEPT).map(|_| pool.alloc(layout)).collect();
            many.iter().for_each(|piece| pool.dealloc(*piece, layout));
            assert_eq!((*pool.lists.get())[2].len, KEPT);
        }
    }
}
