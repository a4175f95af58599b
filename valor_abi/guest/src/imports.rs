//! What a guest can ask of its host, as safe functions. They all return at once.

use crate::message::PieceKind;

mod raw {
    #[link(wasm_import_module = "valor1")]
    unsafe extern "C" {
        #[allow(clippy::too_many_arguments)] // As the boundary has it.
        pub fn log(
            level: u32,
            target: *const u8,
            target_len: usize,
            message: *const u8,
            message_len: usize,
            file: *const u8,
            file_len: usize,
            line: u32,
        );
        pub fn now_ms() -> f64;
        pub fn random(ptr: *mut u8, len: usize);
        pub fn wake();
        pub fn ready(ptr: *const u8, len: usize);
        pub fn respond(id: u32, ptr: *const u8, len: usize);
        pub fn write(id: u32, ptr: *const u8, len: usize, flags: u32);
        pub fn read_more(id: u32, bytes: u32);
        pub fn fetch(id: u32, vlugin: *const u8, vlugin_len: usize, ptr: *const u8, len: usize);
        pub fn timer(id: u32, ms: f64);
        pub fn abort(id: u32);
    }
}

/// A line for the host's log.
pub fn log(level: u32, target: &str, message: &str, file: &str, line: u32) {
    // SAFETY: the host reads the three texts, whose pointers and lengths are those of live slices, before it returns.
    unsafe {
        raw::log(
            level,
            target.as_ptr(),
            target.len(),
            message.as_ptr(),
            message.len(),
            file.as_ptr(),
            file.len(),
            line,
        );
    }
}

/// Milliseconds since 1970-01-01 00:00 UTC.
pub fn now_ms() -> f64 {
    // SAFETY: it touches no memory.
    unsafe { raw::now_ms() }
}

/// Fills the buffer.
pub fn random(buffer: &mut [u8]) {
    // SAFETY: the host only writes to these bytes, which are borrowed exclusively.
    unsafe { raw::random(buffer.as_mut_ptr(), buffer.len()) }
}

/// Asks for a call of `valor_poll`.
pub fn wake() {
    // SAFETY: it touches no memory.
    unsafe { raw::wake() }
}

/// The vlugin is created, or not, with the block of a fault.
pub fn ready(fault: &[u8]) {
    // SAFETY: as `log`.
    unsafe { raw::ready(fault.as_ptr(), fault.len()) }
}

/// The response to a request.
pub fn respond(id: u32, message: &[u8]) {
    // SAFETY: as `log`.
    unsafe { raw::respond(id, message.as_ptr(), message.len()) }
}

/// A piece of a body.
pub fn write(id: u32, bytes: &[u8], kind: PieceKind) {
    // SAFETY: as `log`.
    unsafe { raw::write(id, bytes.as_ptr(), bytes.len(), kind as u32) }
}

/// So many more bytes of a body can be received.
pub fn read_more(id: u32, bytes: u32) {
    // SAFETY: it touches no memory.
    unsafe { raw::read_more(id, bytes) }
}

/// A request to another server, or to the vlugin with that name.
pub fn fetch(id: u32, vlugin: &str, message: &[u8]) {
    // SAFETY: as `log`.
    unsafe {
        raw::fetch(
            id,
            vlugin.as_ptr(),
            vlugin.len(),
            message.as_ptr(),
            message.len(),
        );
    }
}

/// An event after so many milliseconds; a negative number cancels it.
pub fn timer(id: u32, ms: f64) {
    // SAFETY: it touches no memory.
    unsafe { raw::timer(id, ms) }
}

/// Cancels this.
pub fn abort(id: u32) {
    // SAFETY: it touches no memory.
    unsafe { raw::abort(id) }
}
