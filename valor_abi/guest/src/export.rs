//! What the host calls. `#[vlugin]` exports a function for each of these, which only passes on its arguments.

#![allow(clippy::missing_safety_doc)] // The contract of all of them is the module's first line.

use crate::{
    bodies,
    host::{self, HostRef},
    imports, init, memory,
    message::{self, MessageError},
    tasks,
    version::GUEST_ABI,
};
pub use core;
use std::{cell::RefCell, sync::Arc};
pub use valor_abi_wire::metadata::MetadataBlock;
use valor_abi_wire::{Created, Fault, Instance, Request, Response};

/// The block that describes a module without running it; `#[vlugin]` fills it in.
pub const fn metadata(name: &str, version: &str, form: u8) -> MetadataBlock {
    MetadataBlock::new((GUEST_ABI as u16, 0), name, version, false, form, "")
}

thread_local! {
    static INSTANCE: RefCell<Option<Arc<dyn Instance>>> = const { RefCell::new(None) };
}

/// `valor_alloc`.
pub fn alloc(len: usize) -> *mut u8 {
    memory::allocate(len)
}

/// `valor_free`.
pub unsafe fn free(ptr: *mut u8, len: usize) {
    // SAFETY: the host returns what it got from `valor_alloc`.
    unsafe { memory::free(ptr, len) }
}

/// The configuration of a vlugin: JSON.
pub struct Config<'a>(pub &'a str);

/// `valor_init`.
pub unsafe fn init(
    create: impl FnOnce(HostRef, Config<'_>) -> Created + 'static,
    ptr: *mut u8,
    len: usize,
) {
    // SAFETY: the bytes of an event are handed over, here and below.
    let block = unsafe { memory::take(ptr, len) };
    tasks::tell_of_panics();
    tasks::start(tasks::CREATION, async move {
        match created(create, &block).await {
            Ok(instance) => {
                INSTANCE.set(Some(instance));
                imports::ready(&[]);
            }
            Err(fault) => imports::ready(&message::encode_fault(&fault)),
        }
    });
    tasks::run();
}

async fn created(
    create: impl FnOnce(HostRef, Config<'_>) -> Created,
    block: &[u8],
) -> Result<Arc<dyn Instance>, Fault> {
    let said = init::read(block)
        .ok_or_else(|| Fault::error(500, "`valor_init` brought no JSON object"))?;
    let level = log::LevelFilter::iter().nth(said.level.unwrap_or(usize::MAX));
    let host = host::adopt(said.name, level.unwrap_or(log::LevelFilter::Trace));
    create(host, Config(said.config)).await
}

/// `valor_request`.
pub unsafe fn request(id: u32, ptr: *mut u8, len: usize) {
    // SAFETY: see `init`.
    let block = unsafe { memory::take(ptr, len) };
    tasks::start(id, async move {
        match answer(id, block).await {
            Ok(response) => {
                let (block, chunks) = message::encode_response(response);
                let writing = chunks.map(|chunks| bodies::outgoing(id, chunks));
                tasks::respond(id, &block);
                drop(block);
                if let Some(writing) = writing {
                    writing.await;
                }
            }
            Err(fault) => tasks::respond(id, &message::encode_fault_message(&fault)),
        }
    });
    tasks::run();
}

async fn answer(id: u32, block: Vec<u8>) -> Result<Response, Fault> {
    let unsound = |error: MessageError| Fault::error(400, error.to_string());
    let (head, body) = message::decode_host_request(block).map_err(unsound)?;
    let body = bodies::incoming(id, body);
    let instance = INSTANCE.with_borrow(Clone::clone);
    let instance = instance.ok_or_else(|| Fault::error(503, "the vlugin is not created yet"))?;
    instance.on_request(Request { head, body }).await
}

/// `valor_body`.
pub unsafe fn body(id: u32, ptr: *mut u8, len: usize, flags: u32) {
    // SAFETY: see `init`.
    bodies::piece(id, unsafe { memory::take(ptr, len) }, flags);
    tasks::run();
}

/// `valor_fetch_response`.
pub unsafe fn fetch_response(id: u32, ptr: *mut u8, len: usize) {
    // SAFETY: see `init`.
    host::answered(id, unsafe { memory::take(ptr, len) });
    tasks::run();
}

/// `valor_writable`.
pub fn writable(id: u32, bytes: u32) {
    bodies::writable(id, bytes);
    tasks::run();
}

/// `valor_timer`.
pub fn timer(id: u32) {
    host::timer(id);
    tasks::run();
}

/// `valor_cancel`.
pub fn cancel(id: u32) {
    tasks::remove(id);
    tasks::run();
}

/// `valor_poll`.
pub fn poll() {
    tasks::run();
}

/// Exports a vlugin; only `#[vlugin]` calls it, through `valor`. The arguments are those of a library, and the exports
/// those of the guest boundary. There is one module in a file, so its symbols have the boundary's own names.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($VLUGIN:expr, $form:literal, $module:literal, $metadata:literal) => {
        const _: () = {
            use $crate::export;

            #[unsafe(no_mangle)]
            extern "C" fn valor_abi() -> u32 {
                $crate::GUEST_ABI
            }

            #[unsafe(no_mangle)]
            extern "C" fn valor_alloc(len: usize) -> *mut u8 {
                export::alloc(len)
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn valor_free(ptr: *mut u8, len: usize) {
                // SAFETY: the host calls it as the boundary defines, and the call is passed on unchanged.
                unsafe { export::free(ptr, len) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn valor_init(ptr: *mut u8, len: usize) {
                // SAFETY: the host calls it as the boundary defines, and the call is passed on unchanged.
                unsafe { export::init(|host, config| $VLUGIN.create(host, config), ptr, len) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn valor_request(id: u32, ptr: *mut u8, len: usize) {
                // SAFETY: the host calls it as the boundary defines, and the call is passed on unchanged.
                unsafe { export::request(id, ptr, len) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn valor_body(id: u32, ptr: *mut u8, len: usize, flags: u32) {
                // SAFETY: the host calls it as the boundary defines, and the call is passed on unchanged.
                unsafe { export::body(id, ptr, len, flags) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn valor_fetch_response(id: u32, ptr: *mut u8, len: usize) {
                // SAFETY: the host calls it as the boundary defines, and the call is passed on unchanged.
                unsafe { export::fetch_response(id, ptr, len) }
            }

            #[unsafe(no_mangle)]
            extern "C" fn valor_writable(id: u32, bytes: u32) {
                export::writable(id, bytes)
            }

            #[unsafe(no_mangle)]
            extern "C" fn valor_timer(id: u32) {
                export::timer(id)
            }

            #[unsafe(no_mangle)]
            extern "C" fn valor_cancel(id: u32) {
                export::cancel(id)
            }

            #[unsafe(no_mangle)]
            extern "C" fn valor_poll() {
                export::poll()
            }

            #[unsafe(link_section = ".valor")]
            #[used]
            pub static METADATA: export::MetadataBlock = export::metadata(
                export::core::env!("CARGO_PKG_NAME"),
                export::core::env!("CARGO_PKG_VERSION"),
                $form,
            );
        };
    };
}
